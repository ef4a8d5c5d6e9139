//! What a hold is to be: the words of its command line, and what they mean on this machine.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use linux::console::Failure;
use linux::cpu::{self, Choice, CoresSpec, Shards};
use service::load::CloseBy;
use service::load::hold::{Frames, Heartbeat, HoldConfig, Say};
use stats::{outcome, text};

use crate::args::{self, CloseWord, Output};
use crate::config::{few, new_seed, own, places};
use crate::request;
use crate::room::{Room, Wish};
use crate::target;
use crate::url::{Scheme, Url};
use crate::words::{self, Sources};

/// Open idle connections, keep them, and count every loss.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Words {
    /// Whom to hold connections to.
    #[arg(value_name = "URL", help = "http://HOST[:PORT][/PATH], echo://HOST:PORT or frame://HOST:PORT")]
    url: Url,
    /// Connections in all [from 1]
    #[arg(short = 'c', long, value_name = "N", default_value = "1k", value_parser = words::count)]
    connections: u32,
    /// Connects a second, or `max`: as fast as they go. At most 128 of a shard are on their way at a time,
    /// frame:// 512 [default: 10k; frame:// max]
    #[arg(long, alias = "connect-rate", value_name = "RATE", value_parser = ramp)]
    ramp: Option<Ramp>,
    /// Ask each connection so often whether it lives: echo:// by a message of 16 bytes, http:// by a GET that has to be answered with
    /// a status of class 2, frame:// by a PING. Spread evenly over the interval [1ms to 24h, frame:// 100ms to 15m; default: never,
    /// frame:// 30s]
    #[arg(long, value_name = "TIME", value_parser = words::duration)]
    heartbeat: Option<Duration>,
    /// How long to hold once all were tried, or `forever`: until Ctrl-C
    #[arg(long, alias = "for", value_name = "TIME", default_value = "60s", value_parser = duration)]
    duration: Duration,
    /// A connect, or a heartbeat, without an answer for so long ends its connection [1ms to 1h]
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = words::duration)]
    timeout: Duration,
    /// Open lost connections again, a second later. They still count as lost
    #[arg(long)]
    reopen: bool,
    /// How connections are closed at the end: by FIN, which keeps their ports in TIME_WAIT, or by a reset
    #[arg(long, value_name = "HOW", default_value = "fin")]
    close: CloseWord,
    /// Addresses of this machine to come from, in turn: 127.0.0.2-127.0.0.9,10.0.0.7. Each has its own ports
    #[arg(long, value_name = "LIST", value_parser = words::sources)]
    from: Option<Sources>,
    /// Addresses to connect to, in turn, in place of the one in the URL, at its port: 127.0.0.1-127.0.0.100. From one address to
    /// another there are only so many ports, and beyond half of them a free one is found slowly
    #[arg(long, value_name = "LIST", value_parser = words::sources)]
    to: Option<Sources>,
    /// frame://: silent intervals after which a peer is dead, as it is said in HELLO [2 to 20]
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(2..=20))]
    misses: u32,
    /// frame://: once all were tried, send a frame of 64 bytes on each connection, which has to come back
    #[arg(long)]
    echo_once: bool,
    /// frame://: let so many connections fall silent, without closing them, and see how soon the server ends them
    #[arg(long, alias = "kill-silently", value_name = "N", value_parser = words::count)]
    mute: Option<u32>,
    /// How long after the begin of the hold they do, and after --echo-once [0 to 24h]
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = words::pause, requires = "mute")]
    mute_after: Duration,
    /// Seed of the order of heartbeats [0 to 2^53-1; default: a new one, which the result names]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(..1 << 53))]
    seed: Option<u64>,
    /// Cores to run on: all, physical, or a list such as 1,4-7
    #[arg(long, value_name = "LIST", default_value = "all")]
    cores: CoresSpec,
    /// Threads, each with a core of its own [auto is one a core, or 1 to 4096]
    #[arg(long, value_name = "N", default_value = "auto")]
    shards: Shards,
    /// The whole result as JSON; - is standard output, and the summary then goes to standard error
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// The series, a line each second
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    /// A report with plots, one file that needs no network
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Show no progress
    #[arg(short, long)]
    quiet: bool,
}

/// One hold.
#[derive(Debug)]
pub(crate) struct Config {
    /// The hold, as its seats see it.
    pub(crate) hold: Arc<HoldConfig>,
    /// The process has too few descriptors: sockets come from the tables of rings.
    pub(crate) rings: bool,
    /// A core for each seat.
    pub(crate) cores: Choice,
    /// Where the result goes.
    pub(crate) output: Output,
    /// The same as the result has it.
    pub(crate) asked: outcome::Asked,
}

impl Config {
    /// What `words` mean on this machine. Errors: the first mistake, or what the machine or the server refused.
    pub(crate) fn of(words: Words) -> Result<Config, Failure> {
        let frames = frames(&words)?;
        let Words { url, connections, timeout, .. } = words;
        if url.scheme == Scheme::UdpEcho {
            let what = "udp-echo:// has no connections to hold";
            return Err(Failure::usage(what).cure("`echo://` or `http://`"));
        }
        let least = Duration::from_millis(1);
        if timeout < least || timeout > HOUR || words.heartbeat.is_some_and(|every| every < least) {
            let what = "--timeout is 1ms to 1h, --heartbeat at least 1ms";
            return Err(Failure::usage(what).cure("`ringmill-load hold --help`"));
        }
        let output = Output {
            json: words.json,
            csv: words.csv,
            hlog: None,
            hgrm: None,
            html: words.html,
            tui: false,
            quiet: words.quiet,
        };
        places(&output)?;
        let mut cores = cpu::choose(&words.cores, words.shards).map_err(Failure::usage_of)?;
        few(&mut cores, words.shards, connections)?;
        let from = words.from.unwrap_or_default().0;
        own(&from)?;
        let to = words.to.unwrap_or_default().0;
        let has = Room::ask()?;
        let wish = Wish {
            connections: connections.into(),
            shards: cores.cores.len() as u64,
            sources: from.len().max(1) as u64,
            destinations: to.len().max(1) as u64,
            is_local: is_loopback(&url),
            ..Wish::default()
        };
        // A socket that comes from somewhere is bound, and that only one of the process can be.
        let rings = has.is_short(wish) && from.is_empty();
        room(&has, Wish { rings, ..wish }, &url, from.is_empty())?;
        let most = has.ports * wish.sources * wish.destinations;
        if rings && 2 * u64::from(connections) > most {
            let need = has.destinations(connections.into());
            let what = format!(
                "more than half of the ports are needed: connects will be slow; `--to` with {need} addresses would do"
            );
            linux::console::warn(env!("CARGO_BIN_NAME"), &what);
        }
        let target = target::find(&url, if to.is_empty() { &from } else { &to })?;
        if let Some(other) = to.iter().find(|to| to.is_ipv4() != target.is_ipv4()) {
            let what = format!("--to {other}: the target and its other addresses are of one family");
            return Err(Failure::usage(what).cure("`--to` with addresses like the URL's"));
        }
        let is_frame = url.scheme == Scheme::Frame;
        let every = words.heartbeat.or_else(|| is_frame.then_some(FRAME_HEARTBEAT));
        let heartbeat = every.map(|every| Ok::<_, Failure>(Heartbeat { every, say: say(&url, frames)? }));
        let ramp = words.ramp.unwrap_or(if is_frame { Ramp(None) } else { Ramp(Some(RAMP_PER_S)) });
        let hold = HoldConfig {
            target,
            to,
            from,
            seats: cores.cores.len() as u16,
            connections,
            ramp_per_s: ramp.0,
            heartbeat: heartbeat.transpose()?,
            duration: words.duration,
            timeout,
            reopen: words.reopen,
            close: match words.close {
                CloseWord::Fin => CloseBy::Fin,
                CloseWord::Rst => CloseBy::Rst,
            },
            seed: words.seed.unwrap_or_else(new_seed),
        };
        let asked = asked(&url, &hold);
        Ok(Config { hold: Arc::new(hold), rings, cores, output, asked })
    }
}

/// As of a load; on loopback more addresses to come from cost nothing, and are named.
fn room(room: &Room, wish: Wish, url: &Url, is_from_open: bool) -> Result<(), Failure> {
    let is_loopback = is_loopback(url);
    let need = wish.connections.div_ceil(room.ports.max(1));
    let failure = match room.check(wish) {
        Err(failure)
            if wish.rings && wish.destinations == 1 && is_loopback && wish.connections > room.ports =>
        {
            let need = room.destinations(wish.connections).min(254);
            // Whatever else is short is said first.
            room.check(Wish { destinations: need, ..wish })?;
            let cure = format!("`--to 127.0.0.1-127.0.0.{need}`, at which the server listens too (0.0.0.0)");
            return Err(failure.cure(cure));
        }
        Err(failure) if wish.connections > room.ports && is_loopback && is_from_open && need < 253 => failure,
        other => return other,
    };
    // Whatever else is short is said first.
    room.check(Wish { sources: need, ..wish })?;
    let cure = format!("`--from 127.0.0.2-127.0.0.{}`, or `--connections {}`", need + 1, room.ports);
    Err(failure.cure(cure))
}

fn is_loopback(url: &Url) -> bool {
    url.host == "localhost" || url.host.starts_with("127.") || url.host == "::1"
}

/// Whether the flags that only frames know can be meant, and what they mean.
fn frames(words: &Words) -> Result<Frames, Failure> {
    let frames = Frames {
        misses: words.misses,
        echo_once: words.echo_once,
        mute: words.mute.unwrap_or(0),
        mute_after: words.mute_after,
    };
    let wrong = |what: String| Err(Failure::usage(what).cure("`ringmill-load hold --help`"));
    if words.url.scheme != Scheme::Frame {
        let plain = Frames { misses: MISSES, ..Frames::default() };
        return match frames == plain {
            true => Ok(frames),
            false => wrong("--misses, --echo-once and --mute mean nothing without frame://".into()),
        };
    }
    let every = words.heartbeat.unwrap_or(FRAME_HEARTBEAT);
    if every < FRAME_HEARTBEAT_MIN || every > FRAME_HEARTBEAT_MAX {
        return wrong("--heartbeat of frame:// is 100ms to 15m".into());
    }
    if frames.mute > words.connections {
        return wrong(format!("--mute {} is above --connections {}", frames.mute, words.connections));
    }
    let patience = every * frames.misses;
    let least = frames.mute_after + patience + Duration::from_secs(1);
    if frames.mute > 0 && words.duration < least {
        let time = |time: Duration| text::duration(time.as_nanos() as f64);
        let what = format!(
            "--duration {} is too short: who falls silent after {} is found {} later",
            time(words.duration),
            time(frames.mute_after),
            time(patience),
        );
        return Err(Failure::usage(what).cure(format!("`--duration {}s`", least.as_millis().div_ceil(1000))));
    }
    Ok(frames)
}

fn say(url: &Url, frames: Frames) -> Result<Say, Failure> {
    match url.scheme {
        Scheme::Echo => return Ok(Say::Echo),
        Scheme::Frame => return Ok(Say::Frame(frames)),
        Scheme::Http | Scheme::UdpEcho => {}
    }
    let none = args::Say { no_verify: true, ..args::Say::default() };
    request::request(url, &none, b"").map(Say::Http).map_err(Failure::usage)
}

fn asked(url: &Url, hold: &HoldConfig) -> outcome::Asked {
    outcome::Asked {
        url: url.to_string(),
        protocol: url.scheme.name().into(),
        address: hold.target.to_string(),
        arrivals: "closed".into(),
        schedule: hold.ramp_per_s.map_or(String::new(), text::rate),
        steady: true,
        seed: hold.seed,
        connections: hold.connections.into(),
        pipeline: 1,
        request_bytes: match hold.heartbeat.as_ref().map(|beat| &beat.say) {
            None => 0,
            Some(Say::Echo) => 16,
            Some(Say::Http(request)) => request.bytes.len() as u64,
            Some(Say::Frame(_)) => PING_BYTES,
        },
        shards: hold.seats.into(),
        duration_ns: if hold.duration == FOREVER { 0 } else { hold.duration.as_nanos() as u64 },
        warmup_ns: 0,
        timeout_ns: hold.timeout.as_nanos() as u64,
        late: String::new(),
        mode: "keep".into(),
        idle: "sleep".into(),
    }
}

/// Reads `60s`, or `forever`.
fn duration(word: &str) -> Result<Duration, String> {
    if word == "forever" { Ok(FOREVER) } else { words::duration(word) }
}

/// `--ramp`: connects a second; `None` is as fast as they go.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Ramp(Option<f64>);

/// Reads `10k/s`, or `max`.
fn ramp(word: &str) -> Result<Ramp, String> {
    if word == "max" { Ok(Ramp(None)) } else { words::steady_rate(word).map(|per_s| Ramp(Some(per_s))) }
}

const RAMP_PER_S: f64 = 10_000.0;
const FRAME_HEARTBEAT: Duration = Duration::from_secs(30);
/// The bounds of docs/FRAME.md.
const FRAME_HEARTBEAT_MIN: Duration = Duration::from_millis(100);
const FRAME_HEARTBEAT_MAX: Duration = Duration::from_secs(900);
const MISSES: u32 = 3;
/// A PING with its stamp.
const PING_BYTES: u64 = 25;
/// Longer than any machine runs, and short enough to be added to a time.
const FOREVER: Duration = Duration::from_secs(100 * 365 * 24 * 3600);
const HOUR: Duration = Duration::from_secs(3600);

const EXAMPLES: &str = "\
Examples:
  ringmill-load hold http://127.0.0.1:8080/ --connections 10k
  ringmill-load hold echo://127.0.0.1:7007 -c 100k --from 127.0.0.2-127.0.0.9
  ringmill-load hold frame://127.0.0.1:7016 -c 1M --to 127.0.0.1-127.0.0.100 --heartbeat 30s --echo-once
  ringmill-load hold http://10.0.0.7/ping -c 50k --heartbeat 30s --duration forever

Each connection takes a file descriptor (ulimit -n), and a port of the address that it comes from. Where
descriptors are too few, and without --from, sockets come from rings, each of which has as many of its own.
The verdict is degraded when any connection was lost, invalid when more than 5 % were, or when fewer
were opened than asked for.";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_ports_are_short_the_addresses_that_would_do_are_named() {
        let url = |text: &str| text.parse::<Url>().expect("a literal URL");
        let has = Room { descriptors: 1 << 20, ports: 28_232, files: None, memory: None };
        let wish = Wish { connections: 100_000, ..Wish::default() };
        let said = |room_: Room, to: &str| {
            room(&room_, wish, &url(to), true).expect_err("too many for one address").to_string()
        };
        let loopback = said(has, "echo://127.0.0.1:7");
        assert!(loopback.contains("`--from 127.0.0.2-127.0.0.5`, or `--connections 28232`"), "{loopback}");
        assert!(said(has, "echo://10.0.0.1:7").contains("`--from` with 4 addresses"));
        assert!(said(Room { descriptors: 1000, ..has }, "echo://127.0.0.1:7").contains("file descriptors"));
        let failure = room(&has, Wish { rings: true, ..wish }, &url("frame://127.0.0.1:7"), true);
        let to = failure.expect_err("too many for one pair").to_string();
        assert!(to.contains("`--to 127.0.0.1-127.0.0.8`"), "{to}");
        room(&has, Wish { sources: 4, ..wish }, &url("echo://127.0.0.1:7"), false).expect("room enough");
    }

    #[test]
    fn a_hold_may_last_until_it_is_ended() {
        assert_eq!(duration("forever"), Ok(FOREVER));
        assert_eq!(duration("2s"), Ok(Duration::from_secs(2)));
        assert!(duration("0").is_err());
    }
}

//! What a hold is to be: the words of its command line, and what they mean on this machine.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use linux::console::Failure;
use linux::cpu::{self, Choice, CoresSpec, Shards};
use service::load::CloseBy;
use service::load::hold::{Heartbeat, HoldConfig, Say};
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
    #[arg(value_name = "URL", help = "http://HOST[:PORT][/PATH] or echo://HOST:PORT")]
    url: Url,
    /// Connections in all [from 1]
    #[arg(short = 'c', long, value_name = "N", default_value = "1k", value_parser = words::count)]
    connections: u32,
    /// Connects a second: 10k/s
    #[arg(long, value_name = "RATE", default_value = "10k", value_parser = words::steady_rate)]
    ramp: f64,
    /// Ask each connection so often whether it lives: echo:// by a message of 16 bytes, http:// by a GET that has to be answered with
    /// a status of class 2. Spread evenly over the interval [1ms to 24h; default: never]
    #[arg(long, value_name = "TIME", value_parser = words::duration)]
    heartbeat: Option<Duration>,
    /// How long to hold once all were tried, or `forever`: until Ctrl-C
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = duration)]
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
        let wish = Wish {
            connections: connections.into(),
            shards: cores.cores.len() as u64,
            sources: from.len().max(1) as u64,
            udp: false,
        };
        room(&Room::ask()?, wish, &url, from.is_empty())?;
        let target = target::find(&url, &from)?;
        let heartbeat = words.heartbeat.map(|every| Ok::<_, Failure>(Heartbeat { every, say: say(&url)? }));
        let hold = HoldConfig {
            target,
            from,
            seats: cores.cores.len() as u16,
            connections,
            ramp_per_s: Some(words.ramp),
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
        Ok(Config { hold: Arc::new(hold), cores, output, asked })
    }
}

/// As of a load; on loopback more addresses to come from cost nothing, and are named.
fn room(room: &Room, wish: Wish, url: &Url, is_from_open: bool) -> Result<(), Failure> {
    let is_loopback = url.host == "localhost" || url.host.starts_with("127.");
    let need = wish.connections.div_ceil(room.ports.max(1));
    let failure = match room.check(wish) {
        Err(failure) if wish.connections > room.ports && is_loopback && is_from_open && need < 253 => failure,
        other => return other,
    };
    // Whatever else is short is said first.
    room.check(Wish { sources: need, ..wish })?;
    let cure = format!("`--from 127.0.0.2-127.0.0.{}`, or `--connections {}`", need + 1, room.ports);
    Err(failure.cure(cure))
}

fn say(url: &Url) -> Result<Say, Failure> {
    if url.scheme == Scheme::Echo {
        return Ok(Say::Echo);
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

/// Longer than any machine runs, and short enough to be added to a time.
const FOREVER: Duration = Duration::from_secs(100 * 365 * 24 * 3600);
const HOUR: Duration = Duration::from_secs(3600);

const EXAMPLES: &str = "\
Examples:
  ringmill-load hold http://127.0.0.1:8080/ --connections 10k
  ringmill-load hold echo://127.0.0.1:7007 -c 100k --from 127.0.0.2-127.0.0.9
  ringmill-load hold http://10.0.0.7/ping -c 50k --heartbeat 30s --duration forever

Each connection takes a file descriptor (ulimit -n), and a port of the address that it comes from.
The verdict is degraded when any connection was lost, invalid when more than 5 % were, or when fewer
were opened than asked for.";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_ports_are_short_the_addresses_that_would_do_are_named() {
        let url = |text: &str| text.parse::<Url>().expect("a literal URL");
        let has = Room { descriptors: 1 << 20, ports: 28_232 };
        let wish = Wish { connections: 100_000, shards: 1, sources: 1, udp: false };
        let said = |room_: Room, to: &str| {
            room(&room_, wish, &url(to), true).expect_err("too many for one address").to_string()
        };
        let loopback = said(has, "echo://127.0.0.1:7");
        assert!(loopback.contains("`--from 127.0.0.2-127.0.0.5`, or `--connections 28232`"), "{loopback}");
        assert!(said(has, "echo://10.0.0.1:7").contains("`--from` with 4 addresses"));
        assert!(said(Room { descriptors: 1000, ..has }, "echo://127.0.0.1:7").contains("file descriptors"));
        room(&has, Wish { sources: 4, ..wish }, &url("echo://127.0.0.1:7"), false).expect("room enough");
    }

    #[test]
    fn a_hold_may_last_until_it_is_ended() {
        assert_eq!(duration("forever"), Ok(FOREVER));
        assert_eq!(duration("2s"), Ok(Duration::from_secs(2)));
        assert!(duration("0").is_err());
    }
}

//! What is meant: a load, where it runs and where its result goes, made once from the flags and checked whole.
//!
//! Whatever could keep the load from starting is asked here, from the cheap to the costly: flags that contradict each other,
//! files, cores, limits, and last the server itself. After it, the first thread.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::io::IsTerminal;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use linux::console::Failure;
use linux::cpu::{self, Choice, Shards};
use linux::{file, net};
use service::load::{
    self, CloseBy, DATAGRAM_BYTES_MAX, DATAGRAM_BYTES_MIN, FRAME_BYTES_MAX, FRAME_HEADER_BYTES, Late, Life,
    Pace, Talk,
};
use stats::schedule::{Arrivals, Law, Stretch};
use stats::{outcome, text};

use crate::args::{CloseWord, Connections, IdleWord, LateWord, Output, Run, Say, When, word};
use crate::files::is_stdout;
use crate::request;
use crate::room::{Room, Wish};
use crate::target;
use crate::url::{Scheme, Url};

/// One run.
#[derive(Debug)]
pub(crate) struct Config {
    /// The load, as its seats see it.
    pub(crate) load: Arc<load::Config>,
    /// A core for each seat.
    pub(crate) cores: Choice,
    /// How the next arrival is waited for.
    pub(crate) idle: IdleWord,
    /// Where the result goes.
    pub(crate) output: Output,
    /// The same as the result has it.
    pub(crate) asked: outcome::Asked,
}

impl Config {
    /// What `run` means on this machine. Errors: the first mistake, or what the machine or the server refused.
    pub(crate) fn of(run: Run) -> Result<Config, Failure> {
        let Run { url, when, connections, say, generator, output } = run;
        belongs(&url, &connections, &say).map_err(unclear)?;
        bounds(&when, &say).map_err(unclear)?;
        places(&output)?;
        if output.tui && !std::io::stdout().is_terminal() {
            let what = "--tui draws on standard output, which is no terminal";
            return Err(Failure::usage(what).cure("a run without `--tui`, or without a pipe behind it"));
        }
        let talk = talk(&url, &say)?;
        let mut cores = cpu::choose(&generator.cores, generator.shards).map_err(Failure::usage_of)?;
        few(&mut cores, generator.shards, connections.connections)?;
        let from = connections.from.clone().unwrap_or_default().0;
        own(&from)?;
        Room::ask()?.check(Wish {
            connections: connections.connections.into(),
            shards: cores.cores.len() as u64,
            sources: from.len().max(1) as u64,
            udp: url.scheme == Scheme::UdpEcho,
            ..Wish::default()
        })?;
        let target = target::find(&url, &from)?;
        let seats = cores.cores.len() as u16;
        let seed = when.seed.unwrap_or_else(new_seed);
        let (pace, duration) = pace(&when, seed);
        let load = load::Config {
            target,
            talk,
            from,
            seats,
            connections: connections.connections,
            pipeline: connections.pipeline,
            pace,
            warmup: when.warmup,
            duration,
            late: match when.late {
                LateWord::Queue => Late::Queue,
                LateWord::Drop => Late::Drop,
            },
            waiting_max: u64::from(when.waiting_max.div_ceil(seats.into())),
            timeout: when.timeout,
            life: life(&connections),
            close: match connections.close {
                None | Some(CloseWord::Fin) => CloseBy::Fin,
                Some(CloseWord::Rst) => CloseBy::Rst,
            },
            ramp_per_s: connections.ramp,
            verify: !say.no_verify,
            seed,
        };
        let asked = asked(&url, &when, generator.idle, &load);
        Ok(Config { load: Arc::new(load), cores, idle: generator.idle, output, asked })
    }

    /// The same load of the same `url` at another time and pace, with a seed of its own if `when` has none.
    pub(crate) fn again(&self, url: &Url, when: &When) -> Config {
        let seed = when.seed.unwrap_or_else(new_seed);
        let (pace, duration) = pace(when, seed);
        let load = load::Config { pace, duration, warmup: when.warmup, seed, ..(*self.load).clone() };
        let asked = asked(url, when, self.idle, &load);
        // What there is to warn of was said once.
        let cores = Choice { cores: self.cores.cores.clone(), warning: None };
        Config { load: Arc::new(load), cores, idle: self.idle, output: self.output.clone(), asked }
    }
}

fn unclear(what: String) -> Failure {
    Failure::usage(what).cure("`ringmill-load run --help`")
}

/// Flags that mean nothing in the protocol of the URL.
fn belongs(url: &Url, connections: &Connections, say: &Say) -> Result<(), String> {
    let http: &[(&str, bool)] = &[
        ("--method", say.method.is_some()),
        ("--header", !say.header.is_empty()),
        ("--body", say.body.is_some()),
        ("--body-size", say.body_size.is_some()),
        ("--expect-bytes", say.expect_bytes.is_some()),
        ("--expect-crc32", say.expect_crc32.is_some()),
    ];
    let stream: &[(&str, bool)] = &[
        ("--pipeline above 1", connections.pipeline > 1),
        ("--churn", connections.churn.is_some()),
        ("--lifetime", connections.lifetime.is_some()),
        ("--close rst", connections.close == Some(CloseWord::Rst)),
        ("--ramp", connections.ramp.is_some()),
    ];
    let echo: &[(&str, bool)] = &[("--size", say.size.is_some())];
    let wrong = match url.scheme {
        Scheme::Http => vec![echo],
        Scheme::Echo | Scheme::Frame => vec![http],
        Scheme::UdpEcho => vec![http, stream],
    };
    match wrong.concat().iter().find(|(_, given)| *given) {
        Some((flag, _)) => Err(format!("{flag} means nothing with {}://", url.scheme.name())),
        None => Ok(()),
    }
}

/// Values that are too small or too large together with others, or for what they are used for.
fn bounds(when: &When, say: &Say) -> Result<(), String> {
    let least = Duration::from_millis(1);
    if when.duration < least || when.timeout < least {
        return Err("--duration and --timeout are at least 1ms".into());
    }
    if when.timeout > Duration::from_secs(3600) {
        return Err("--timeout is at most 1h, which is the longest time that is told apart".into());
    }
    if say.size == Some(0) {
        return Err("--size 0: a message has at least one byte".into());
    }
    Ok(())
}

fn talk(url: &Url, say: &Say) -> Result<Talk, Failure> {
    let bytes = say.size.unwrap_or(ECHO_BYTES);
    match url.scheme {
        Scheme::Echo => Ok(Talk::Echo { bytes }),
        Scheme::UdpEcho if !(DATAGRAM_BYTES_MIN..=DATAGRAM_BYTES_MAX).contains(&bytes) => {
            let fit = bytes.clamp(DATAGRAM_BYTES_MIN, DATAGRAM_BYTES_MAX);
            let most = format!("{DATAGRAM_BYTES_MIN} to {DATAGRAM_BYTES_MAX}");
            let what = format!("--size {bytes}: a datagram of a load has {most} bytes");
            Err(Failure::usage(what).cure(format!("`--size {fit}`")))
        }
        Scheme::UdpEcho => Ok(Talk::UdpEcho { bytes }),
        Scheme::Frame if bytes > FRAME_BYTES_MAX => {
            let what = format!("--size {bytes}: a frame of a load has at most {FRAME_BYTES_MAX} bytes");
            Err(Failure::usage(what).cure(format!("`--size {FRAME_BYTES_MAX}`")))
        }
        Scheme::Frame => Ok(Talk::Frame { bytes }),
        Scheme::Http => {
            let body = match (&say.body, say.body_size) {
                (Some(path), _) => body(path)?,
                (None, size) => request::letters(size.unwrap_or(0)),
            };
            request::request(url, say, &body).map(Talk::Http).map_err(unclear)
        }
    }
}

/// The file that is the body. A leading `@` is what users of curl type.
fn body(path: &Path) -> Result<Vec<u8>, Failure> {
    let path = path.to_str().and_then(|text| text.strip_prefix('@')).map_or(path, Path::new);
    let wrong = |why: String| {
        Failure::usage(format!("--body {}: {why}", path.display()))
            .cure("`--body FILE` with a file that can be read")
    };
    let found = std::fs::metadata(path).map_err(|why| wrong(why.to_string()))?;
    if !found.is_file() {
        return Err(wrong("this is no regular file".into()));
    }
    std::fs::read(path).map_err(|why| wrong(why.to_string()))
}

/// Files that could not be written are better known now than at the end.
pub(crate) fn places(output: &Output) -> Result<(), Failure> {
    let Output { json, csv, hlog, hgrm, html, .. } = output;
    let json = json.as_deref().filter(|path| !is_stdout(path));
    let others: [(&str, Option<&Path>); 5] = [
        ("--json", json),
        ("--csv", csv.as_deref()),
        ("--hlog", hlog.as_deref()),
        ("--hgrm", hgrm.as_deref()),
        ("--html", html.as_deref()),
    ];
    let mut seen: Vec<&Path> = Vec::new();
    for (flag, path) in others {
        let Some(path) = path else { continue };
        if is_stdout(path) {
            let what = format!("{flag} -: standard output is for the summary, or for --json alone");
            return Err(Failure::usage(what).cure(format!("`{flag} FILE`")));
        }
        if !file::has_place(path) {
            let what = format!("{flag} {} cannot be written", path.display());
            return Err(Failure::usage(what).cure(format!("`{flag} FILE` in a directory that exists")));
        }
        if seen.contains(&path) {
            let what = format!("{} is named for two results", path.display());
            return Err(Failure::usage(what).cure(format!("`{flag}` with another file")));
        }
        seen.push(path);
    }
    Ok(())
}

/// A seat without a connection would have arrivals and nowhere to send them: fewer seats, unless they were asked for.
pub(crate) fn few(cores: &mut Choice, shards: Shards, connections: u32) -> Result<(), Failure> {
    let most = connections as usize;
    if cores.cores.len() <= most {
        return Ok(());
    }
    if shards == Shards::Auto {
        cores.cores.truncate(most);
        return Ok(());
    }
    let what = format!("{} shards cannot share {connections} connections", cores.cores.len());
    Err(Failure::usage(what).cure(format!("`--shards {most}`, or `--connections {}`", cores.cores.len())))
}

/// Sources that this machine does not have. Those of loopback need not be asked for one by one: it has all of 127.0.0.0/8.
pub(crate) fn own(from: &[IpAddr]) -> Result<(), Failure> {
    let foreign = from.iter().filter(|ip| !ip.is_loopback());
    for ip in foreign {
        net::probe_free(SocketAddr::new(*ip, 0), net::Transport::Udp, None).map_err(Failure::usage_of)?;
    }
    Ok(())
}

fn pace(when: &When, seed: u64) -> (Pace, Duration) {
    if when.closed {
        return (Pace::Closed, when.duration);
    }
    let ns = when.duration.as_nanos() as u64;
    let mut stretches = match (&when.steps, when.rate) {
        (Some(steps), _) => steps.0.clone(),
        (None, Some(rate)) => vec![Stretch { from_per_s: rate.from_per_s, to_per_s: rate.to_per_s, ns }],
        (None, None) => vec![Stretch { from_per_s: RATE_PER_S, to_per_s: RATE_PER_S, ns }],
    };
    let measured = stretches.iter().map(|stretch| stretch.ns).sum();
    // The warm-up is at the rate with which the measured time begins.
    let per_s = stretches[0].from_per_s;
    let warmup_ns = when.warmup.as_nanos() as u64;
    if warmup_ns > 0 {
        stretches.insert(0, Stretch { from_per_s: per_s, to_per_s: per_s, ns: warmup_ns });
    }
    (Pace::Open(Arrivals { law: when.arrivals.into(), stretches, seed }), Duration::from_nanos(measured))
}

fn life(connections: &Connections) -> Life {
    match (connections.churn, connections.lifetime) {
        (Some(requests), _) => Life::Churn(requests.into()),
        (None, Some(time)) => Life::Time(time),
        (None, None) => Life::Keep,
    }
}

/// One that nobody chose. Below 2^53, so that every reader of JSON reads it exactly (RFC 8259 section 6).
pub(crate) fn new_seed() -> u64 {
    RandomState::new().hash_one(0) >> 11
}

fn asked(url: &Url, when: &When, idle: IdleWord, load: &load::Config) -> outcome::Asked {
    let (arrivals, late) = match &load.pace {
        Pace::Closed => ("closed", String::new()),
        Pace::Open(arrivals) if arrivals.law == Law::Constant => ("constant", word(when.late)),
        Pace::Open(_) => ("poisson", word(when.late)),
    };
    outcome::Asked {
        url: url.to_string(),
        protocol: url.scheme.name().into(),
        address: load.target.to_string(),
        arrivals: arrivals.into(),
        schedule: schedule(when),
        steady: is_steady(&load.pace),
        seed: load.seed,
        connections: load.connections.into(),
        pipeline: load.pipeline.into(),
        request_bytes: match &load.talk {
            Talk::Echo { bytes } | Talk::UdpEcho { bytes } => *bytes as u64,
            Talk::Frame { bytes } => (FRAME_HEADER_BYTES + *bytes) as u64,
            Talk::Http(request) => request.bytes.len() as u64,
        },
        shards: load.seats.into(),
        duration_ns: load.duration.as_nanos() as u64,
        warmup_ns: load.warmup.as_nanos() as u64,
        timeout_ns: load.timeout.as_nanos() as u64,
        late,
        mode: match load.life {
            Life::Keep => "keep",
            Life::Churn(_) => "churn",
            Life::Time(_) => "lifetime",
        }
        .into(),
        idle: word(idle),
    }
}

/// Whether the measured time has one rate.
fn is_steady(pace: &Pace) -> bool {
    match pace {
        Pace::Closed => true,
        Pace::Open(arrivals) => {
            let first = arrivals.stretches[0].from_per_s;
            arrivals.stretches.iter().all(|stretch| stretch.from_per_s == first && stretch.to_per_s == first)
        }
    }
}

/// The schedule in words.
fn schedule(when: &When) -> String {
    let rate = |from: f64, to: f64| match from == to {
        true => text::rate(from),
        false => format!("{}..{}", text::rate(from), text::rate(to)),
    };
    let time = |time: Duration| text::duration(time.as_nanos() as f64);
    match (&when.steps, when.rate) {
        _ if when.closed => String::new(),
        (Some(steps), _) => {
            let step = |s: &Stretch| {
                format!("{} for {}", rate(s.from_per_s, s.to_per_s), text::duration(s.ns as f64))
            };
            steps.0.iter().map(step).collect::<Vec<_>>().join(", ")
        }
        (None, given) => {
            let (from, to) = given.map_or((RATE_PER_S, RATE_PER_S), |rate| (rate.from_per_s, rate.to_per_s));
            if from == to {
                rate(from, to)
            } else {
                format!("{} over {}", rate(from, to), time(when.duration))
            }
        }
    }
}

/// What is sent where no rate was asked for: little enough to do no harm to a server that was named by mistake.
const RATE_PER_S: f64 = 1_000.0;
const ECHO_BYTES: usize = 64;

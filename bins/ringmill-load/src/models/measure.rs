//! One measurement: a fresh server, what is done to it, and what that gave and cost. Four kinds, for each variant and round.
//!
//! What the server's process spent is taken around the load, from before its first connection to after its last answer, and is divided by
//! all answers, those of the warm-up too.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use linux::calls::Calls;
use linux::console::Failure;
use linux::cpu::{CoresSpec, Shards};
use stats::models::Round;
use stats::outcome::{Environment, Outcome};

use super::args::Service;
use super::config::{Config, PING_BYTES};
use super::idle::Idle;
use super::server::Server;
use super::variants::Variant;
use crate::args::{CloseWord, Connections, Generator, IdleWord, LateWord, LawWord, Output, Run, Say, When};
use crate::stops::Stops;
use crate::words::Rate;
use crate::{config, run};

/// What is done to a server.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Pass {
    /// It is asked as fast as it answers.
    Closed,
    /// The same for a shorter time, while the kernel counts its system calls, which makes them dearer.
    Traced,
    /// It is asked at this rate.
    Open(f64),
    /// It has connections that say nothing.
    Idle,
}

impl Pass {
    /// What it is called beside figures.
    pub(super) fn name(self) -> &'static str {
        match self {
            Pass::Closed => "closed loop",
            Pass::Traced => "counted system calls",
            Pass::Open(_) => "open loop",
            Pass::Idle => "idle connections",
        }
    }
}

/// What all measurements share.
#[derive(Debug)]
pub(super) struct Bench<'a> {
    config: &'a Config,
    stops: &'a Stops,
    /// Where servers leave their reports; removed with the bench.
    home: PathBuf,
    /// Loads so far.
    loads: u64,
    /// Where the first load ran.
    pub(super) environment: Option<Environment>,
}

impl<'a> Bench<'a> {
    /// Errors: there is no place for the servers' reports.
    pub(super) fn new(config: &'a Config, stops: &'a Stops) -> Result<Bench<'a>, Failure> {
        let home = std::env::temp_dir().join(format!("ringmill-models-{}", std::process::id()));
        let wrong = |why| {
            Failure::runtime(format!("{}: {why}", home.display())).cure("`TMPDIR` with another directory")
        };
        fs::create_dir_all(&home).map_err(wrong)?;
        Ok(Bench { config, stops, home, loads: 0, environment: None })
    }

    /// Whether the server of `variant` serves at all. Errors: the line that it said instead.
    pub(super) fn probe(&self, variant: &Variant) -> Result<(), String> {
        Server::start(self.config, variant, &self.home)?.end().map(drop)
    }

    /// Measures, and puts what came of it into `round`. Errors: why there is nothing; what was known before stays.
    pub(super) fn measure(&mut self, variant: &Variant, pass: Pass, round: &mut Round) -> Result<(), String> {
        let server = Server::start(self.config, variant, &self.home)?;
        match pass {
            Pass::Closed => self.closed(server, round),
            Pass::Traced => self.traced(server, round),
            Pass::Open(per_s) => self.open(server, per_s, round),
            Pass::Idle => self.idle(server, round),
        }
    }

    fn closed(&mut self, server: Server, round: &mut Round) -> Result<(), String> {
        let spent = self.load(&server, None, self.duration())?;
        let left = server.end()?;
        let asked = &self.config.asked;
        let time_ns = (spent.outcome.measured_ns + asked.warmup_ns) as f64;
        round.requests_per_s = Some(spent.outcome.rate.achieved_per_s);
        round.cpu_ns_per_request = spent.cpu_ns.map(|ns| spent.each(ns));
        round.server_busy = spent.cpu_ns.map(|ns| rounded(ns as f64 / time_ns));
        round.generator_busy = Some(spent.outcome.generator.busy_max);
        round.enters_per_request = left.enters.map(|enters| spent.each(enters));
        round.calls_per_request = left.calls.map(|calls| spent.each(calls));
        round.switches_voluntary_per_request = Some(spent.each(left.ended.switches_voluntary));
        round.switches_involuntary_per_request = Some(spent.each(left.ended.switches_involuntary));
        round.failed_requests += spent.failed();
        Ok(())
    }

    fn traced(&mut self, server: Server, round: &mut Round) -> Result<(), String> {
        let mut calls = Calls::of(server.process.id()).map_err(|why| why.to_string())?;
        let spent = self.load(&server, None, self.duration() / 4)?;
        let count = calls.count().map_err(|why| why.to_string())?;
        server.end()?;
        round.syscalls_per_request = Some(spent.each(count));
        Ok(())
    }

    fn open(&mut self, server: Server, per_s: f64, round: &mut Round) -> Result<(), String> {
        let spent = self.load(&server, Some(per_s), self.duration())?;
        server.end()?;
        let response = &spent.outcome.latency.response;
        let figure = |ns: Option<u64>| ns.map(|ns| ns as f64);
        round.p50_ns = figure(response.p50_ns);
        round.p99_ns = figure(response.p99_ns);
        round.p99_9_ns = figure(response.p99_9_ns);
        round.cpu_ns_per_request_at_rate = spent.cpu_ns.map(|ns| spent.each(ns));
        round.verdict = Some(spent.outcome.verdict.state);
        round.failed_requests += spent.failed();
        Ok(())
    }

    fn idle(&self, server: Server, round: &mut Round) -> Result<(), String> {
        let asked = &self.config.asked;
        let mut idle = Idle::new(self.config.service, server.address);
        let (few, many) = (asked.connections as usize, asked.idle as usize);
        let gone = || "the server has ended".to_owned();
        if self.config.service != Service::UdpEcho {
            idle.grow(few, || self.stops.is_told())?;
        }
        let before = server.process.holds().ok_or_else(gone)?;
        round.threads = Some(before.threads as f64);
        round.resident_bytes = Some(before.resident_bytes as f64);
        if many > few {
            idle.grow(many, || self.stops.is_told())?;
            let after = server.process.holds().ok_or_else(gone)?;
            let grown = after.own_bytes.saturating_sub(before.own_bytes) as f64;
            round.memory_bytes_per_connection = Some(rounded(grown / (many - few) as f64));
        }
        drop(idle);
        server.end().map(drop)
    }

    /// Loads a server as fast as it answers, or at a rate. Errors: the load could not be made, or nothing was answered.
    fn load(&mut self, server: &Server, per_s: Option<f64>, duration: Duration) -> Result<Spent, String> {
        let seed = self.config.asked.seed.wrapping_add(self.loads) & SEED_MASK;
        self.loads += 1;
        let config =
            config::Config::of(self.run(server, per_s, duration, seed)).map_err(|why| why.to_string())?;
        let before = server.process.cpu_ns();
        let outcome = run::one(&config, self.stops).map_err(|why| why.to_string())?;
        let after = server.process.cpu_ns();
        let answers = outcome.arrivals.answered + outcome.arrivals.warmup;
        if answers == 0 {
            return Err("nothing was answered".into());
        }
        let first = || Environment { changes: Vec::new(), ..outcome.environment.clone() };
        self.environment.get_or_insert_with(first);
        let cpu_ns = after.zip(before).map(|(after, before)| after.saturating_sub(before));
        Ok(Spent { outcome, answers, cpu_ns })
    }

    fn run(&self, server: &Server, per_s: Option<f64>, duration: Duration, seed: u64) -> Run {
        let Config { asked, service, cores_load, .. } = self.config;
        let bytes = asked.bytes as usize;
        let path = match service {
            Service::Http if bytes == PING_BYTES => "/ping".to_owned(),
            Service::Http => format!("/bytes/{bytes}"),
            Service::Echo | Service::UdpEcho => String::new(),
        };
        let url = format!("{}://{}{path}", asked.service, server.address);
        Run {
            url: url.parse().expect("a scheme, an address and a path are a URL"),
            when: When {
                rate: per_s.map(|per_s| Rate { from_per_s: per_s, to_per_s: per_s }),
                steps: None,
                closed: per_s.is_none(),
                arrivals: LawWord::Poisson,
                duration: duration.max(SHORTEST),
                warmup: Duration::from_nanos(asked.warmup_ns),
                timeout: TIMEOUT,
                late: LateWord::Queue,
                waiting_max: WAITING_MAX,
                seed: Some(seed),
            },
            connections: Connections {
                connections: asked.connections as u32,
                pipeline: asked.pipeline as u16,
                churn: None,
                lifetime: None,
                // Load after load would leave its ports in TIME_WAIT.
                close: (*service != Service::UdpEcho).then_some(CloseWord::Rst),
                ramp: None,
                from: None,
            },
            say: Say {
                size: (*service != Service::Http).then_some(bytes),
                no_verify: !asked.verify,
                ..Say::default()
            },
            generator: Generator {
                cores: CoresSpec::List(cores_load.clone()),
                shards: Shards::Auto,
                idle: IdleWord::Hybrid,
            },
            output: Output { quiet: true, ..Output::default() },
        }
    }

    fn duration(&self) -> Duration {
        Duration::from_nanos(self.config.asked.duration_ns)
    }
}

impl Drop for Bench<'_> {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(Path::new(&self.home));
    }
}

/// A load that was made, and what the server's process spent on it.
struct Spent {
    outcome: Outcome,
    /// All of them, in the warm-up too.
    answers: u64,
    /// CPU time.
    cpu_ns: Option<u64>,
}

impl Spent {
    /// So much for each answer.
    fn each(&self, of: u64) -> f64 {
        rounded(of as f64 / self.answers as f64)
    }

    fn failed(&self) -> u64 {
        let Outcome { errors, arrivals, .. } = &self.outcome;
        errors.sum() + arrivals.dropped + arrivals.overflowed
    }
}

/// To a millionth: a float of few digits is read back as it was.
fn rounded(value: f64) -> f64 {
    (value * 1e6).round() / 1e6
}

/// As of `run`.
const TIMEOUT: Duration = Duration::from_secs(5);
const WAITING_MAX: u32 = 1_000_000;
const SHORTEST: Duration = Duration::from_millis(1);
/// What every reader of JSON reads exactly (RFC 8259 section 6).
const SEED_MASK: u64 = (1 << 53) - 1;

//! `ringmill-load search`: the highest rate that keeps a promise. Flags to a search, a search to runs, and what they say to a result.
//!
//! Which rate is next, and how sure the answer is, is decided in `stats::search`; what a run is, in [`crate::run`].

mod args;
mod drive;
mod result;
mod slo;
mod table;

pub(crate) use args::Search;

use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::time::Duration;

use linux::clock::Clock;
use linux::console::{Failure, warn};
use stats::outcome::Outcome;
use stats::search::{self, Options};
use stats::text;

use crate::args::{CloseWord, Output, Run, When};
use crate::config::Config;
use crate::run;
use crate::stops::Stops;
use crate::url::{Scheme, Url};
use crate::words::Rate;
use args::{Runs, What};
use drive::{Bench, Ran};

/// Searches, shows and writes what was found. Returns the exit code of its verdict.
pub(crate) fn search(asked: Search) -> Result<ExitCode, Failure> {
    let Search { url, what, runs, mut connections, say, generator, output } = asked;
    bounds(&what, &runs)?;
    if url.scheme != Scheme::UdpEcho {
        connections.close.get_or_insert(CloseWord::Rst);
    }
    let files = Output { json: output.json, html: output.html, quiet: output.quiet, ..Output::default() };
    let when = when(&runs);
    let first = Run { url: url.clone(), when, connections, say, generator, output: files.clone() };
    let mut config = Config::of(first)?;
    // Of a run among many a line is enough, where no terminal shows how it goes.
    config.output.quiet |= !std::io::stderr().is_terminal();
    let seed = config.asked.seed;
    let stops = Stops::listen()?;
    if let Some(warning) = &config.cores.warning {
        warn(env!("CARGO_BIN_NAME"), warning);
    }
    let end_ns = Clock::now_ns().saturating_add(what.budget.as_nanos() as u64);
    let is_quiet = files.quiet;
    let mut real =
        Real { config, url, what, runs, stops, end_ns, made: 0, longest: Duration::ZERO, is_quiet };
    let start_per_s = match real.what.start {
        Some(per_s) => per_s,
        None => real.capacity()? / 2.0,
    };
    let mut search = search::Search::new(options(&real.what, start_per_s, seed));
    let found = drive::drive(&mut search, &mut real)?;
    let (outcome, why) = result::of(&search, &real.what, found, seed);
    let table = table::text(&outcome, real.what.slo.first().name, why.as_deref());
    crate::end(&outcome, &table, &files)
}

/// Values that contradict each other. Errors: the first, with a cure.
fn bounds(what: &What, runs: &Runs) -> Result<(), Failure> {
    let least = what.min_rate.unwrap_or(0.0);
    let most = what.max_rate.unwrap_or(f64::INFINITY);
    let unclear = |what: String, cure: String| Err(Failure::usage(what).cure(cure));
    if least > most {
        let (least, most) = (text::rate(least), text::rate(most));
        return unclear(
            format!("--min-rate {least} is above --max-rate {most}"),
            "them the other way round".into(),
        );
    }
    if let Some(start) = what.start.filter(|start| !(least..=most).contains(start)) {
        let said = format!("--start {} is not between --min-rate and --max-rate", text::rate(start));
        return unclear(said, "a `--start` between them, or none".into());
    }
    if what.budget < Duration::from_secs(1) {
        return unclear("--budget is at least 1s".into(), "`ringmill-load search --help`".into());
    }
    // A request that was given up counts with the timeout: beneath the limit it would keep the promise.
    if what.slo.longest() > runs.timeout {
        let (limit, timeout) = (nanos(what.slo.longest()), nanos(runs.timeout));
        let said = format!("--slo promises {limit}, and a request is given up after --timeout {timeout}");
        return unclear(said, format!("`--timeout {}` or more", limit.replace(' ', "")));
    }
    Ok(())
}

fn nanos(time: Duration) -> String {
    text::duration(time.as_nanos() as f64)
}

/// A run, before its rate is known.
fn when(runs: &Runs) -> When {
    let Runs { run, warmup, arrivals, timeout, late, waiting_max, seed } = *runs;
    When {
        rate: None,
        steps: None,
        closed: false,
        arrivals,
        duration: run,
        warmup,
        timeout,
        late,
        waiting_max,
        seed,
    }
}

fn options(what: &What, start_per_s: f64, seed: u64) -> Options {
    let limit_ns = what.slo.first().limit_ns;
    let ceiling_per_s = what.max_rate.unwrap_or((start_per_s * 1e3).min(RATE_MAX));
    let floor_per_s = what.min_rate.unwrap_or(start_per_s / 100.0).min(ceiling_per_s);
    Options {
        floor_per_s,
        ceiling_per_s: ceiling_per_s.max(floor_per_s),
        ratio: 1.0 + what.precision,
        // It is the time that ends a search.
        runs_max: u32::MAX,
        seed,
        ..Options::new(limit_ns, start_per_s)
    }
}

/// The bench of the real world: each run is a load of its own in this process.
struct Real {
    config: Config,
    url: Url,
    what: What,
    runs: Runs,
    stops: Stops,
    /// Of the budget, by the clock.
    end_ns: u64,
    /// Runs so far.
    made: u64,
    /// For which it was said that runs have to be so long.
    longest: Duration,
    is_quiet: bool,
}

impl Real {
    /// Requests a second of a closed loop, for a moment: where to begin. Errors: it could not be run, or nothing was answered.
    fn capacity(&mut self) -> Result<f64, Failure> {
        let closed = When { closed: true, duration: ESTIMATE, ..when(&self.runs) };
        let outcome = run::one(&self.config.again(&self.url, &closed), &self.stops)?;
        if self.stops.is_told() {
            return Err(Failure::runtime("ended before anything was measured"));
        }
        let per_s = outcome.rate.achieved_per_s;
        if per_s <= 0.0 {
            let what = format!("{} answered nothing as it should in {}", self.url, nanos(ESTIMATE));
            return Err(Failure::runtime(what).cure("`ringmill-load run` to see what it does"));
        }
        self.say(&format!("a closed loop reaches {}: the search starts at half of it", text::rate(per_s)));
        Ok(per_s)
    }

    /// The measured time of a run at this rate.
    fn duration(&self, per_s: f64) -> Duration {
        self.runs.run.max(self.what.slo.time(per_s, self.what.precision))
    }
}

impl Bench for Real {
    type Trace = Outcome;

    fn run(&mut self, per_s: f64) -> Result<Ran<Outcome>, Failure> {
        let duration = self.duration(per_s);
        if duration > self.runs.run.max(self.longest) {
            let (at, time) = (text::rate(per_s), nanos(duration));
            self.say(&format!("runs at {at} take {time}, which {} needs", self.what.slo.typed));
            self.longest = duration;
        }
        let seed = self.config.asked.seed.wrapping_add(self.made) & SEED_MASK;
        let rate = Some(Rate { from_per_s: per_s, to_per_s: per_s });
        let when = When { rate, duration, seed: Some(seed), ..when(&self.runs) };
        self.made += 1;
        let outcome = run::one(&self.config.again(&self.url, &when), &self.stops)?;
        Ok(Ran {
            answer: self.what.slo.answer(&outcome),
            quantile_ns: self.what.slo.first().of(&outcome.latency.response),
            achieved_per_s: outcome.rate.achieved_per_s,
            trace: outcome,
        })
    }

    fn time(&self, per_s: f64) -> Duration {
        self.runs.warmup + self.duration(per_s)
    }

    fn left(&self) -> Duration {
        Duration::from_nanos(self.end_ns.saturating_sub(Clock::now_ns()))
    }

    fn is_told_to_end(&self) -> bool {
        self.stops.is_told()
    }

    fn say(&mut self, line: &str) {
        if !self.is_quiet {
            let left = self.left().as_secs();
            let _ = writeln!(std::io::stderr(), "{:>3}m{:02}s left  {line}", left / 60, left % 60);
        }
    }
}

/// Of the closed loop that says where to begin.
const ESTIMATE: Duration = Duration::from_secs(1);
/// As for a run: `words::rate`.
const RATE_MAX: f64 = 1e9;
/// What every reader of JSON reads exactly (RFC 8259 section 6).
const SEED_MASK: u64 = (1 << 53) - 1;

//! The course of a comparison: which variant is measured when, and what is told meanwhile.
//!
//! ```text
//! probe each variant -> round: closed loops -> [counted system calls] -> open loops -> idle connections -> round ... -> result
//!                              shuffled         shuffled                 shuffled      shuffled
//! ```
//!
//! A round that the user cuts short does not count. A measurement that fails leaves its reason in its round, and the others go on.

use std::sync::mpsc;

use linux::calls::Calls;
use linux::clock::Clock;
use linux::console::Failure;
use stats::models::{self, FIGURES, Group, Models, Plan, Round, order};
use stats::{outcome, text};

use super::config::Config;
use super::measure::{Bench, Pass};
use crate::args::Output;
use crate::progress::Progress;
use crate::stops::Stops;

/// Measures all rounds, or those until the user wants no more. Errors: no server serves, nothing is answered, or no round is whole.
pub(super) fn run(config: &Config) -> Result<Models, Failure> {
    let stops = Stops::listen()?;
    let output = Output { quiet: config.is_quiet, ..Output::default() };
    let progress = Progress::new(&output, &outcome::Asked::default(), mpsc::channel().0)?;
    let bench = Bench::new(config, &stops)?;
    let mut course = Course { config, stops: &stops, bench, progress, variants: Vec::new(), counts: true };
    let measured = course.measure();
    course.progress.clear();
    measured
}

struct Course<'a> {
    config: &'a Config,
    stops: &'a Stops,
    bench: Bench<'a>,
    progress: Progress,
    /// As the result has them, in the order of the configuration.
    variants: Vec<models::Variant>,
    /// Whether the kernel counts system calls.
    counts: bool,
}

impl Course<'_> {
    fn measure(&mut self) -> Result<Models, Failure> {
        let mut notes = Vec::new();
        if let Err(why) = Calls::of(std::process::id()) {
            self.counts = false;
            notes.push(format!(
                "the kernel's count of system calls is missing ({why}): it takes a tracefs at /sys/kernel/tracing and \
                 CAP_PERFMON, or kernel.perf_event_paranoid of at most 1"
            ));
        }
        self.probe()?;
        let plan = Plan {
            version: env!("CARGO_PKG_VERSION").into(),
            began_unix_s: Clock::unix_seconds(),
            asked: self.config.asked.clone(),
            baseline: self.config.baseline.clone(),
        };
        let mut rate = self.config.asked.rate_per_s;
        for round in 0..self.config.asked.rounds {
            let Some(rounds) = self.round(round, &mut rate)? else { break };
            let served = self.variants.iter_mut().filter(|variant| variant.refused.is_none());
            served.zip(rounds).for_each(|(variant, round)| variant.rounds.push(round));
        }
        let is_none_whole = self.variants.iter().all(|variant| variant.rounds.is_empty());
        let Some(rate) = rate.filter(|_| !is_none_whole) else {
            return Err(Failure::runtime("ended before a round was whole"));
        };
        let environment = self.bench.environment.take().unwrap_or_default();
        Ok(Models::new(plan, rate, std::mem::take(&mut self.variants), notes, environment))
    }

    /// Starts each server once. Errors: none of them serves.
    fn probe(&mut self) -> Result<(), Failure> {
        for variant in &self.config.variants {
            if self.stops.is_told() {
                return Err(Failure::runtime("ended before a round was whole"));
            }
            let refused = self.bench.probe(variant).err();
            if let Some(line) = &refused {
                self.progress.say(&format!("{} refuses to start: {line}", variant.name));
            }
            self.variants.push(models::Variant {
                name: variant.name.clone(),
                flags: variant.flags.clone(),
                refused,
                rounds: Vec::new(),
            });
        }
        match self.variants.first().and_then(|variant| variant.refused.as_ref()) {
            Some(line) if self.variants.iter().all(|variant| variant.refused.is_some()) => {
                let what = format!("no server starts; {}: {line}", self.variants[0].name);
                Err(Failure::runtime(what.trim_end_matches('.'))
                    .cure("the same flags with the server's program itself"))
            }
            _ => Ok(()),
        }
    }

    /// One round of those that serve, in their order; `None` where the user cut it short. The first one finds the rate. Errors: nothing
    /// is answered.
    fn round(&mut self, round: u64, rate: &mut Option<f64>) -> Result<Option<Vec<Round>>, Failure> {
        let serving = self.variants.iter().zip(&self.config.variants);
        let serving: Vec<_> =
            serving.filter(|(variant, _)| variant.refused.is_none()).map(|(_, v)| v).collect();
        let mut rounds = vec![Round::default(); serving.len()];
        for pass in 0..PASSES {
            let pass = match pass {
                0 => Pass::Closed,
                1 if !self.counts => continue,
                1 => Pass::Traced,
                2 => Pass::Open(self.rate(rate, &rounds)?),
                _ => Pass::Idle,
            };
            for at in order(self.config.asked.seed, round, number(pass), serving.len()) {
                let (variant, its) = (serving[at], &mut rounds[at]);
                let came = self.bench.measure(variant, pass, its);
                if self.stops.is_told() {
                    return Ok(None);
                }
                let said = match came {
                    Ok(()) => line(pass, its),
                    Err(why) => {
                        let why = why.trim_end_matches('.').to_owned();
                        its.failures.push(format!("{}: {why}", pass.name()));
                        why
                    }
                };
                let of = self.config.asked.rounds;
                self.progress.say(&format!(
                    "round {} of {of}  {}  {}: {said}",
                    round + 1,
                    variant.name,
                    pass.name()
                ));
            }
        }
        Ok(Some(rounds))
    }

    /// The rate of the open loop: what was asked for, or half of what the slowest reached in this first round.
    fn rate(&mut self, rate: &mut Option<f64>, rounds: &[Round]) -> Result<f64, Failure> {
        if let Some(per_s) = rate {
            return Ok(*per_s);
        }
        let found = models::half_of_slowest(rounds.iter().filter_map(|round| round.requests_per_s));
        let nothing = || {
            let why = rounds.iter().flat_map(|round| &round.failures).next();
            let why = why.map_or(String::new(), |why| format!(": {why}"));
            Failure::runtime(format!("nothing was answered{why}"))
                .cure("`ringmill-load run` to see what the server does")
        };
        let per_s = found.ok_or_else(nothing)?;
        *rate = Some(per_s);
        self.progress.say(&format!("open loop at {}, half of the slowest", text::rate(per_s)));
        Ok(per_s)
    }
}

/// What a measurement gave, in a few words.
fn line(pass: Pass, round: &Round) -> String {
    let group = match pass {
        Pass::Closed | Pass::Traced => Group::Closed,
        Pass::Open(_) => Group::Open,
        Pass::Idle => Group::Idle,
    };
    let is_traced = |key: &str| key == "syscalls_per_request";
    let figures = FIGURES.iter().filter(|figure| figure.group == group);
    let these = figures.filter(|figure| is_traced(figure.key) == (pass == Pass::Traced));
    let said = these.filter_map(|figure| {
        let value = (figure.of)(round)?;
        Some(format!("{} {}", figure.text(Some(value)), figure.short))
    });
    said.take(WORDS).collect::<Vec<_>>().join(", ").replace("/s requests/s", "/s")
}

/// Of its kind, for the shuffle.
fn number(pass: Pass) -> u64 {
    match pass {
        Pass::Closed => 0,
        Pass::Traced => 1,
        Pass::Open(_) => 2,
        Pass::Idle => 3,
    }
}

/// Kinds of measurements.
const PASSES: u64 = 4;
/// Figures in a line of progress.
const WORDS: usize = 3;

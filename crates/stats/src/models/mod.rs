//! One service on several servers: what each costs and gives, by how much it differs from the one that others are compared with, and
//! what may be said of that in plain words.
//!
//! Data and what follows from it; nothing is run here. The names are those of the JSON file (`docs/models.schema.json`); times are
//! nanoseconds and end with `_ns`, rates end with `_per_s`, what is counted for each answered request ends with `_per_request`.

mod charts;
mod compare;
mod figure;
mod page;
mod table;
mod words;

pub use compare::{Comparison, Finding};
pub use figure::{FIGURES, Figure, Group};
pub use page::page;
pub(crate) use table::wrapped;
pub use table::{markdown, text};

use crate::outcome::{Environment, State};
use crate::random::Random;
use serde::{Deserialize, Serialize};

/// The version of the format that this program writes.
pub const SCHEMA: u32 = 1;

/// What a comparison of servers measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Models {
    /// Version of this format: [`SCHEMA`].
    pub schema: u32,
    /// Always `models`: tells it from other results.
    pub command: String,
    /// The program's version.
    pub version: String,
    /// When the first round began, seconds since 1970 UTC.
    pub began_unix_s: u64,
    /// What was asked for.
    pub asked: Asked,
    /// Rounds that are whole; fewer than `asked.rounds` when it was ended early.
    pub rounds: u64,
    /// Arrivals a second of the open loop, the same for all.
    pub rate_per_s: f64,
    /// The variant that the others are compared with.
    pub baseline: String,
    /// In the order in which they were named.
    pub variants: Vec<Variant>,
    /// What follows for each variant but the baseline and each figure that both have; by variant, then as in [`FIGURES`].
    pub comparisons: Vec<Comparison>,
    /// What speaks against the figures, a sentence each.
    pub warnings: Vec<String>,
    /// What else one must know to read them, a sentence each.
    pub notes: Vec<String>,
    /// Where it ran.
    pub environment: Environment,
}

/// What was asked for, as it was understood.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Asked {
    /// `echo`, `http` or `udp-echo`.
    pub service: String,
    /// Bytes of one message; of `http`, of the answer's body.
    pub bytes: u64,
    /// Connections of the load.
    pub connections: u64,
    /// Requests outstanding on one connection, at most.
    pub pipeline: u64,
    /// Rounds.
    pub rounds: u64,
    /// Measured time of each load.
    pub duration_ns: u64,
    /// The same load before it, which is not measured.
    pub warmup_ns: u64,
    /// Arrivals a second of the open loop; `null`: half of what the slowest variant answered in the first round.
    pub rate_per_s: Option<f64>,
    /// Idle connections that memory is asked about; 0: it is not.
    pub idle: u64,
    /// Cores of the server.
    pub cores_server: Vec<u64>,
    /// Cores of the load.
    pub cores_load: Vec<u64>,
    /// Whether the bytes of answers were compared.
    pub verify: bool,
    /// Seed of the order in each round, of schedules and payloads.
    pub seed: u64,
}

/// One way to run the server.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Variant {
    /// Its name.
    pub name: String,
    /// What makes it different: flags of the server.
    pub flags: Vec<String>,
    /// What its server said instead of serving; `null` where it served.
    pub refused: Option<String>,
    /// What it gave and cost in each whole round; none where it refused.
    pub rounds: Vec<Round>,
}

/// One variant in one round. A figure is `null` where it was not measured.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Round {
    /// Answers a second of a closed loop.
    pub requests_per_s: Option<f64>,
    /// CPU time of the server's process in the closed loop.
    pub cpu_ns_per_request: Option<f64>,
    /// Waits in the kernel by the server's own meter: calls of io_uring_enter, or of what another engine has in its place.
    pub enters_per_request: Option<f64>,
    /// System calls for connections by the server's own meter; `null` where its engine does not count them.
    pub calls_per_request: Option<f64>,
    /// System calls by the kernel's count, of a closed loop of its own.
    pub syscalls_per_request: Option<f64>,
    /// Context switches of threads that waited.
    pub switches_voluntary_per_request: Option<f64>,
    /// Context switches of threads that had to let another run.
    pub switches_involuntary_per_request: Option<f64>,
    /// Median response time of the open loop.
    pub p50_ns: Option<f64>,
    /// Its 99th percentile.
    pub p99_ns: Option<f64>,
    /// Its 99.9th percentile.
    pub p99_9_ns: Option<f64>,
    /// CPU time of the server's process in the open loop.
    pub cpu_ns_per_request_at_rate: Option<f64>,
    /// By how much the server's memory grew for each of the idle connections beyond those of the load.
    pub memory_bytes_per_connection: Option<f64>,
    /// All memory of the server, with as many idle connections as the load has.
    pub resident_bytes: Option<f64>,
    /// Threads of the server, with as many connections.
    pub threads: Option<f64>,
    /// Share of the closed loop's time that the server's process ran; more than 1 where it has more than one core.
    pub server_busy: Option<f64>,
    /// Share of the closed loop's time that the busiest shard of the generator worked.
    pub generator_busy: Option<f64>,
    /// Requests of both loops that were not answered as they should be.
    pub failed_requests: u64,
    /// What the open loop said of itself.
    pub verdict: Option<State>,
    /// Measurements that could not be made, a sentence each.
    pub failures: Vec<String>,
}

/// What is known before the first round.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The program's version.
    pub version: String,
    /// When the first round begins, seconds since 1970 UTC.
    pub began_unix_s: u64,
    /// What was asked for.
    pub asked: Asked,
    /// The name of the variant that the others are to be compared with.
    pub baseline: String,
}

impl Models {
    /// The result of `variants`, of which each that served has the same number of rounds. Where the baseline did not serve, the first
    /// that did takes its place, and a note says so.
    pub fn new(
        plan: Plan,
        rate_per_s: f64,
        variants: Vec<Variant>,
        notes: Vec<String>,
        environment: Environment,
    ) -> Models {
        let Plan { version, began_unix_s, asked, baseline } = plan;
        let mut served = variants.iter().filter(|variant| variant.refused.is_none());
        let rounds = served.clone().map(|variant| variant.rounds.len() as u64).min().unwrap_or(0);
        let named = served.clone().find(|variant| variant.name == baseline);
        let first = named.or_else(|| served.next()).map_or(baseline.clone(), |variant| variant.name.clone());
        let mut models = Models {
            schema: SCHEMA,
            command: COMMAND.to_owned(),
            version,
            began_unix_s,
            asked,
            rounds,
            rate_per_s: thousandths(rate_per_s),
            baseline: first,
            variants,
            comparisons: Vec::new(),
            warnings: Vec::new(),
            notes,
            environment,
        };
        if models.baseline != baseline {
            let note = format!("{baseline} did not serve, so all are compared with {}", models.baseline);
            models.notes.insert(0, note);
        }
        models.comparisons = compare::all(&models.variants, &models.baseline);
        models.warnings = words::warnings(&models);
        models
    }

    /// What a program that ends with this result says to the shell: 0, or 3 where something speaks against the figures.
    pub fn exit_code(&self) -> u8 {
        if self.warnings.is_empty() { State::Valid.exit_code() } else { State::Degraded.exit_code() }
    }

    /// What is said of each variant but the baseline: its name, and sentences.
    pub fn words(&self) -> Vec<(String, Vec<String>)> {
        words::of(self)
    }

    /// Those that served.
    fn served(&self) -> impl Iterator<Item = &Variant> {
        self.variants.iter().filter(|variant| variant.refused.is_none())
    }

    /// The figures that some variant has.
    fn figures(&self) -> impl Iterator<Item = &'static Figure> {
        FIGURES.iter().filter(|figure| self.served().any(|variant| figure.median(variant).is_some()))
    }

    fn comparison(&self, variant: &str, figure: &Figure) -> Option<&Comparison> {
        self.comparisons.iter().find(|found| found.variant == variant && found.figure == figure.key)
    }
}

/// The order of `count` variants in one pass of one round: a shuffle that the seed decides, another in each.
pub fn order(seed: u64, round: u64, pass: u64, count: usize) -> Vec<usize> {
    let mut random = Random::new(seed ^ (round << 8 | pass).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let mut order: Vec<usize> = (0..count).collect();
    // From the last place down, each gets one of those that are left (Fisher, Yates).
    for last in (1..count).rev() {
        order.swap(last, random.below(last + 1));
    }
    order
}

/// The rate of the open loop: half of what the slowest answered, to two digits, so that a result can be repeated by typing it. `None`
/// where nobody answered anything.
pub fn half_of_slowest(per_s: impl IntoIterator<Item = f64>) -> Option<f64> {
    let half = per_s.into_iter().fold(f64::INFINITY, f64::min) / 2.0;
    if !half.is_finite() || half <= 0.0 {
        return None;
    }
    let scale = 10f64.powf(half.log10().floor() - 1.0);
    Some(thousandths((half / scale).floor() * scale)).filter(|per_s| *per_s > 0.0)
}

/// As other results have them: see `outcome`.
fn thousandths(value: f64) -> f64 {
    (value * 1e3).round() / 1e3
}

/// What tells it from other results.
pub const COMMAND: &str = "models";

#[cfg(test)]
mod tests;

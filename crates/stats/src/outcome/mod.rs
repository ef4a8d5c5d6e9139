//! What a run of `ringmill-load` measured, as it is written down: the JSON result.
//!
//! Data only, with the names that stand in the file. `schema` grows when a field changes its meaning or goes; new fields may come
//! without that. Times are nanoseconds and end with `_ns`; rates are requests per second and end with `_per_s`.
//! Floats are rounded to a thousandth, shares to a millionth.

mod build;
mod environment;
mod hold;
mod latency;
mod search;
mod step;

pub use build::{Build, Cost, End, Plan};
pub use environment::{Change, Environment};
pub use hold::{CodeCount, Echoes, Frames, Heartbeats, Hold, Losses, Muted};
pub use latency::{Ci95, Latencies, Latency, Point, Quantile};
pub use search::{Search, SearchPoint};
pub use step::Step;

use serde::{Deserialize, Serialize};

/// The version of the format that this program writes.
pub const SCHEMA: u32 = 1;

/// One result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// Version of this format: [`SCHEMA`].
    pub schema: u32,
    /// What was run.
    pub command: Command,
    /// The program's version.
    pub version: String,
    /// When the run began, seconds since 1970 UTC.
    pub began_unix_s: u64,
    /// What was asked for.
    pub asked: Asked,
    /// How long was measured; less than `asked.duration_ns` when the run was ended early.
    pub measured_ns: u64,
    /// Whether it is worth believing.
    pub verdict: Verdict,
    /// How many requests a second.
    pub rate: Rate,
    /// How long they took.
    pub latency: Latencies,
    /// Requests that ended otherwise than they should.
    pub errors: Errors,
    /// What the comparison of answers with what was to come found.
    pub verify: Verify,
    /// HTTP answers by class; all 0 for other protocols.
    pub status: Statuses,
    /// What became of connections.
    pub connections: Connections,
    /// What became of arrivals.
    pub arrivals: Arrivals,
    /// What it cost the generator.
    pub generator: Generator,
    /// The run in equal steps of at most a second, in order.
    pub series: Vec<Step>,
    /// Where it ran.
    pub environment: Environment,
    /// What a search found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub search: Option<Search>,
    /// What a hold found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<Hold>,
}

impl Outcome {
    /// What a program that ends with this result says to the shell: 0 valid, 3 degraded, 4 invalid.
    pub fn exit_code(&self) -> u8 {
        self.verdict.state.exit_code()
    }
}

/// What was run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Command {
    /// One load for one time.
    Run,
    /// The highest rate that keeps a promise.
    Search,
    /// Connections held open.
    Hold,
}

/// What was asked for, as it was understood.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Asked {
    /// The URL.
    pub url: String,
    /// `echo`, `udp-echo` or `http`.
    pub protocol: String,
    /// The address it stands for.
    pub address: String,
    /// `constant`, `poisson` or `closed`.
    pub arrivals: String,
    /// The schedule in words, as typed: `200k`, `10k..50k over 30s`.
    pub schedule: String,
    /// Whether the schedule has one rate for all of the measured time; true for a closed loop.
    pub steady: bool,
    /// Seed of schedule and payloads.
    pub seed: u64,
    /// Connections in all.
    pub connections: u64,
    /// Requests outstanding on one connection, at most.
    pub pipeline: u64,
    /// Bytes of one request as sent.
    pub request_bytes: u64,
    /// Shards.
    pub shards: u64,
    /// Measured time.
    pub duration_ns: u64,
    /// Time before it that is not measured.
    pub warmup_ns: u64,
    /// A request without an answer for so long has failed.
    pub timeout_ns: u64,
    /// `queue` or `drop`.
    pub late: String,
    /// `keep`, `churn` or `lifetime`.
    pub mode: String,
    /// `spin`, `hybrid` or `sleep`.
    pub idle: String,
}

/// Whether a result is worth believing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// The judgement.
    pub state: State,
    /// Why, a sentence each that begins with what was judged and a colon (`send_lag: p99 is ...`). Empty for `valid`.
    pub reasons: Vec<String>,
}

/// A judgement. The exit codes are 0, 3 and 4.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Nothing speaks against it.
    Valid,
    /// The figures hold with the reservations that stand beside it.
    Degraded,
    /// The figures do not say what they are meant to.
    Invalid,
}

impl State {
    /// 0, 3 and 4: 1 and 2 are those of a program that could not do what it was told, or did not understand it.
    pub fn exit_code(self) -> u8 {
        match self {
            State::Valid => 0,
            State::Degraded => 3,
            State::Invalid => 4,
        }
    }

    /// As it stands in the file.
    pub fn name(self) -> &'static str {
        match self {
            State::Valid => "valid",
            State::Degraded => "degraded",
            State::Invalid => "invalid",
        }
    }
}

/// Requests per second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Rate {
    /// The mean that the schedule intended over the measured time; `null` for a closed loop.
    pub target_per_s: Option<f64>,
    /// Good answers that came in the measured time, over that time, whenever they were asked for. An overloaded server that works off
    /// what waited when the time is over does not reach the rate by that.
    pub achieved_per_s: f64,
    /// Bytes received a second.
    pub received_bytes_per_s: f64,
    /// Bytes sent a second.
    pub sent_bytes_per_s: f64,
}

/// See [`Counts`](crate::interval::Counts) for what each means; here and below they are of the measured time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "documented where they are counted")]
pub struct Errors {
    pub refused: u64,
    pub reset: u64,
    pub timeout: u64,
    pub short: u64,
    pub mismatch: u64,
    pub status: u64,
}

impl Errors {
    /// All of them.
    pub fn sum(&self) -> u64 {
        self.refused + self.reset + self.timeout + self.short + self.mismatch + self.status
    }
}

/// What the comparison of answers found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "documented where they are counted")]
pub struct Verify {
    /// Whether answers were compared at all (`--no-verify`).
    pub on: bool,
    pub checked_bytes: u64,
    pub corrupt: u64,
    pub short: u64,
    pub extra: u64,
    pub reordered: u64,
    pub duplicated: u64,
    pub lost: u64,
}

/// HTTP answers by class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names are the classes")]
pub struct Statuses {
    #[serde(rename = "1xx")]
    pub informational: u64,
    #[serde(rename = "2xx")]
    pub success: u64,
    #[serde(rename = "3xx")]
    pub redirection: u64,
    #[serde(rename = "4xx")]
    pub client_error: u64,
    #[serde(rename = "5xx")]
    pub server_error: u64,
}

/// What became of connections, over the whole run with its warm-up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connections {
    /// Opened, in all.
    pub opened: u64,
    /// Open when the last answer had come, or was given up.
    pub held: u64,
    /// Ended by the peer or the network.
    pub lost: u64,
    /// Ended by this side as it was asked to.
    pub ended: u64,
}

/// What became of arrivals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Arrivals {
    /// Intended in the measured time.
    pub due: u64,
    /// Given to the kernel.
    pub sent: u64,
    /// Answered as they should be.
    pub answered: u64,
    /// Found no connection free and waited for one.
    pub waited: u64,
    /// Given up at once because no connection was free.
    pub dropped: u64,
    /// Given up because too many waited.
    pub overflowed: u64,
    /// Answered in the warm-up, which count nowhere else.
    pub warmup: u64,
    /// Kolmogorov-Smirnov distance of the gaps between sends from the arrival law, of a sample of them; `null` for a closed loop.
    pub gaps_ks: Option<f64>,
    /// Gaps in that sample.
    pub gaps_count: u64,
}

/// What the load cost this machine.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Generator {
    /// The core of each shard; `null` is not pinned.
    pub cores: Vec<Option<u64>>,
    /// CPU time of all shards over the measured time, in the kernel too, without what was spun.
    pub cpu_ns: u64,
    /// Time spent looking at memory for work instead of sleeping.
    pub spun_ns: u64,
    /// `cpu_ns` per answered request.
    pub cpu_ns_per_request: Option<f64>,
    /// Share of the measured time that the busiest shard worked, 0 to 1, without what was spun.
    pub busy_max: f64,
    /// The longest that a shard stood still, by how late its own timer was: what was due or came meanwhile was sent and timed late.
    pub paused_max_ns: u64,
    /// Calls of `io_uring_enter` per answered request.
    pub enters_per_request: Option<f64>,
}

/// To a thousandth: of a nanosecond, of a request a second. What is finer is noise, and a float of few digits is read back as it was
/// by every reader of JSON (`serde_json` without its `float_roundtrip` may miss the last bit of a long one).
fn thousandths(value: f64) -> f64 {
    (value * 1e3).round() / 1e3
}

#[cfg(test)]
pub(crate) mod tests;

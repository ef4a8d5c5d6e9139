//! What was typed behind `search`: the flags of a run that a search can have, and its own.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::slo::{self, Slo};
use crate::args::{Connections, Generator, LateWord, LawWord, Say};
use crate::url::Url;
use crate::words;

/// Find the highest rate that keeps a promise, with a confidence interval, and the curve around it.
///
/// Rates rise by half until one breaks the promise, then the bracket is halved (by ratio) until it is as narrow as --precision. One run
/// decides nothing: a rate is accepted when 3 of 3 runs kept the promise or 4 of 5, and rejected else. Each run has new connections.
/// Where the generator and not the server may have broken the promise, the run does not count, and after three of them the search
/// ends and says so.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Search {
    /// What to load.
    #[arg(
        value_name = "URL",
        help = "http://HOST[:PORT][/PATH], echo://HOST:PORT, udp-echo://HOST:PORT or frame://HOST:PORT"
    )]
    pub(crate) url: Url,
    #[command(flatten)]
    pub(crate) what: What,
    #[command(flatten)]
    pub(crate) runs: Runs,
    #[command(flatten)]
    pub(crate) connections: Connections,
    #[command(flatten)]
    pub(crate) say: Say,
    #[command(flatten)]
    pub(crate) generator: Generator,
    #[command(flatten)]
    pub(crate) output: Output,
}

/// What is searched.
#[derive(Debug, Args)]
#[command(next_help_heading = "Search")]
pub(crate) struct What {
    /// The promise: p50, p90, p99, p99.9 or p99.99 of the response time, with < or <=, and the share of requests that fail.
    /// Several with commas between; the curve is that of the first quantile. Without a limit of its own, errors<1%
    #[arg(long, value_name = "PROMISE", value_parser = slo::slo)]
    pub(crate) slo: Slo,
    /// The first rate to try [default: half of what a closed loop of a second reaches]
    #[arg(long, value_name = "RATE", value_parser = words::steady_rate)]
    pub(crate) start: Option<f64>,
    /// No lower rate is tried [default: a hundredth of the first]
    #[arg(long, value_name = "RATE", value_parser = words::steady_rate)]
    pub(crate) min_rate: Option<f64>,
    /// No higher rate is tried [default: a thousand times the first, at most 1G]
    #[arg(long, value_name = "RATE", value_parser = words::steady_rate)]
    pub(crate) max_rate: Option<f64>,
    /// How far the lowest rejected rate may be above the highest accepted [0.1% to 50%]
    #[arg(long, value_name = "SHARE", default_value = "3%", value_parser = precision)]
    pub(crate) precision: f64,
    /// Time for all runs together; what is known then is the result [1s to 24h]
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = words::duration)]
    pub(crate) budget: Duration,
}

/// Of each run.
#[derive(Debug, Args)]
#[command(next_help_heading = "Runs")]
pub(crate) struct Runs {
    /// Measured time of a run. Longer where the promise needs it: 2,000 requests for a p99, ten times as many for a p99.9, and the
    /// promised time divided by --precision [1ms to 24h]
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = words::duration)]
    pub(crate) run: Duration,
    /// The same load before it, which is not measured [0 to 24h]
    #[arg(long, value_name = "TIME", default_value = "500ms", value_parser = words::pause)]
    pub(crate) warmup: Duration,
    /// How arrivals follow each other. Users who know nothing of each other arrive as Poisson; constant is a metronome
    #[arg(long, value_name = "LAW", default_value = "poisson")]
    pub(crate) arrivals: LawWord,
    /// A request, or a connect, without an answer for so long has failed, and counts with that time [1ms to 1h]
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = words::duration)]
    pub(crate) timeout: Duration,
    /// What becomes of an arrival that finds no connection free: it waits and keeps its intended time, or is dropped and has failed
    #[arg(long, value_name = "POLICY", default_value = "queue")]
    pub(crate) late: LateWord,
    /// Arrivals that may wait for a connection, over all shards; further ones are given up and have failed
    #[arg(long, value_name = "N", default_value = "1M", value_parser = words::count)]
    pub(crate) waiting_max: u32,
    /// Seed of all runs, which is counted up from one to the next [0 to 2^53-1; default: a new one, which the result names]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(..1 << 53))]
    pub(crate) seed: Option<u64>,
}

/// Where the result goes, beside the table on standard output.
#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct Output {
    /// The result as JSON, which is that of a run at the rate that was found, and the search; - is standard output, and the
    /// table then goes to standard error
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// A report with the curve and other plots, one file that needs no network
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
    /// Show no progress
    #[arg(short, long)]
    pub(crate) quiet: bool,
}

/// Reads `3%`.
fn precision(word: &str) -> Result<f64, String> {
    match slo::share(word)? {
        share if (0.001..=0.5).contains(&share) => Ok(share),
        _ => Err("it is 0.1% to 50%".into()),
    }
}

const EXAMPLES: &str = "\
Examples:
  ringmill-load search http://127.0.0.1:8080/ping --slo 'p99<2ms' --html knee.html
  ringmill-load search echo://127.0.0.1:7007 --slo 'p99.9<=500us,errors<0.1%'

The quotes keep the shell from taking < as a redirection.

Exit codes:
  0   found, or the highest rate allowed keeps the promise
  1   the machine or the server refused before anything was known
  2   the flags cannot be meant
  3   ended early, or the figures of the run at the rate hold with reservations
  4   no rate keeps the promise

Units: times ns us ms s m h; rates and counts k M G (1k is 1,000); bytes KiB MiB GiB (a k alone is 1,024).
Ctrl-C ends early and still shows and writes what is known.
Connections are closed by a reset, so that run after run leaves no ports in TIME_WAIT.";

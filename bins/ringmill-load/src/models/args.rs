//! What was typed behind `models`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use linux::cpu::CoresSpec;

use super::variants::{self, Variant};
use crate::words;

/// Compare I/O models, or other ways to run the server: throughput, CPU, system calls, latency, memory, threads.
///
/// Each measurement has a server of its own, on cores of its own, and the order is shuffled in each round. The report has each figure,
/// its ratio to the baseline with a confidence interval, and says in words what is and what is not different.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Words {
    #[command(flatten)]
    pub(crate) what: What,
    #[command(flatten)]
    pub(crate) load: Load,
    #[command(flatten)]
    pub(crate) rounds: Rounds,
    /// Draw a result again that --json wrote; nothing is measured
    #[arg(long, value_name = "FILE", help_heading = "Output", conflicts_with_all = MEASURING)]
    pub(crate) from: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) output: Output,
}

/// Which servers.
#[derive(Debug, Args)]
#[command(next_help_heading = "Servers")]
pub(crate) struct What {
    /// The server's program [default: ringmill beside this program]
    #[arg(long, value_name = "FILE")]
    pub(crate) server: Option<PathBuf>,
    /// The I/O models, each as `--engine NAME`: uring, epoll, threads, pool, glommio. The default, unless --factors or --variant is given
    #[arg(long)]
    pub(crate) engines: bool,
    /// The uring engine with one thing changed at a time: ring setup, buffers, zero copy, spin. Ways to accept take two shards:
    /// --cores-server 0,1 --variant 'hand-off=--accept hand-off'
    #[arg(long)]
    pub(crate) factors: bool,
    /// A server with these flags, under this name; may be repeated: 'spin=--spin-us 100'. Without flags: 'plain='
    #[arg(long = "variant", value_name = "NAME=FLAGS", value_parser = variants::parse, allow_hyphen_values = true)]
    pub(crate) variants: Vec<Variant>,
    /// The variant that the others are compared with [default: the first]
    #[arg(long, value_name = "NAME")]
    pub(crate) baseline: Option<String>,
    /// Cores of the server
    #[arg(long, value_name = "LIST", default_value = "0", value_parser = cores)]
    pub(crate) cores_server: Cores,
}

/// What is asked of them.
#[derive(Debug, Args)]
#[command(next_help_heading = "Load")]
pub(crate) struct Load {
    /// What is served and asked for
    #[arg(long, value_name = "NAME", default_value = "echo")]
    pub(crate) service: Service,
    /// Bytes of one message; of http, of the answer's body, where /ping has 2 [1 to 1GiB; UDP: 8 to 65507; default 64, http 2]
    #[arg(long, value_name = "BYTES", value_parser = words::bytes)]
    pub(crate) bytes: Option<usize>,
    /// Connections in all (UDP: sockets) [from 1]
    #[arg(short = 'c', long, value_name = "N", default_value = "64", value_parser = words::count)]
    pub(crate) connections: u32,
    /// Requests outstanding on one connection, at most [1 to 65535]
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) pipeline: u16,
    /// Arrivals a second of the open loop, the same for all: 50k; auto is half of what the slowest variant answers in the first
    /// round
    #[arg(long, value_name = "RATE", default_value = "auto", value_parser = rate)]
    pub(crate) rate: Rate,
    /// Idle connections for memory per connection: grown from --connections to so many; 0 does not ask, nor does udp-echo
    #[arg(long, value_name = "N", default_value = "1000", value_parser = idle)]
    pub(crate) idle: u32,
    /// Do not compare the bytes of answers: the generator then costs less
    #[arg(long)]
    pub(crate) no_verify: bool,
    /// Cores of the load
    #[arg(long, value_name = "LIST", default_value = "1", value_parser = cores)]
    pub(crate) cores_load: Cores,
}

/// How often and how long.
#[derive(Debug, Args)]
#[command(next_help_heading = "Rounds")]
pub(crate) struct Rounds {
    /// Rounds, in each of which every variant is measured once; intervals take 6 [1 to 1000]
    #[arg(long, value_name = "N", default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) rounds: u32,
    /// Measured time of each load: there are two for each variant and round, and a short third where the kernel counts system calls
    /// [1ms to 24h]
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = words::duration)]
    pub(crate) duration: Duration,
    /// The same load before it, which is not measured [0 to 24h]
    #[arg(long, value_name = "TIME", default_value = "300ms", value_parser = words::pause)]
    pub(crate) warmup: Duration,
    /// Seed of the orders, schedules and payloads [0 to 2^53-1; default: a new one, which the result names]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(..1 << 53))]
    pub(crate) seed: Option<u64>,
}

/// Where the result goes, beside the table on standard output.
#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct Output {
    /// The whole result as JSON, with every round; - is standard output, and the table then goes to standard error
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// A page with tables and plots, one file that needs no network
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
    /// Tables and words as Markdown
    #[arg(long, value_name = "FILE")]
    pub(crate) md: Option<PathBuf>,
    /// Show no progress
    #[arg(short, long)]
    pub(crate) quiet: bool,
}

/// `--service`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[allow(missing_docs, reason = "the words are those of the help")]
pub(crate) enum Service {
    Echo,
    Http,
    UdpEcho,
}

/// `--rate`: `None` is `auto`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rate(pub(crate) Option<f64>);

fn rate(word: &str) -> Result<Rate, String> {
    if word == "auto" { Ok(Rate(None)) } else { words::steady_rate(word).map(|per_s| Rate(Some(per_s))) }
}

/// `--idle`.
fn idle(word: &str) -> Result<u32, String> {
    if word == "0" { Ok(0) } else { words::count(word) }
}

/// Cores by their numbers.
#[derive(Clone, Debug)]
pub(crate) struct Cores(pub(crate) Vec<usize>);

fn cores(word: &str) -> Result<Cores, String> {
    match word.parse::<CoresSpec>() {
        Ok(CoresSpec::List(cores)) => Ok(Cores(cores)),
        Ok(_) => Err("expected numbers and ranges such as 0,2-5".into()),
        Err(why) => Err(why.to_string()),
    }
}

/// Flags that mean nothing where nothing is measured.
const MEASURING: [&str; 18] = [
    "server",
    "engines",
    "factors",
    "variants",
    "baseline",
    "cores_server",
    "service",
    "bytes",
    "connections",
    "pipeline",
    "rate",
    "idle",
    "no_verify",
    "cores_load",
    "rounds",
    "duration",
    "warmup",
    "seed",
];

const EXAMPLES: &str = "\
Examples:
  ringmill-load models
  ringmill-load models --service http --connections 400 --html models.html --json models.json
  ringmill-load models --factors --bytes 16KiB --rounds 11
  ringmill-load models --variant 'plain=' --variant 'spin=--spin-us 100' --connections 1
  ringmill-load models --from models.json --html models.html

A round measures each variant as fast as it answers, then each at one rate, then each with idle connections. A variant whose server
refuses to start stands in the report with what it said.

Exit codes:
  0   measured
  1   the machine refused, or no server could be started
  2   the flags or the file cannot be meant
  3   measured, with what the warnings say: a variant refused, requests failed, it was ended early

Units: times ns us ms s m h; rates and counts k M G (1k is 1,000); bytes KiB MiB GiB (a k alone is 1,024).
Ctrl-C ends early and still reports the rounds that are whole.";

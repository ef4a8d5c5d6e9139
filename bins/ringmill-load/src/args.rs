//! What was typed: the command line by clap, a struct for each group of flags.
//!
//! Knows words and their bounds, not what they mean together: that is [`Config`](crate::config::Config).

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{Args, Parser, Subcommand, ValueEnum};
use linux::console::Failure;
use linux::cpu::{CoresSpec, Shards};
use stats::schedule::Law;

use crate::search::Search;
use crate::url::Url;
use crate::words::{self, Header, Rate, Sources, Steps};
use crate::{conformance, hold, models, storm};

/// What the program is asked to do.
#[derive(Debug)]
pub(crate) enum Asked {
    /// One load for one time.
    Run(Box<Run>),
    /// The highest rate that keeps a promise.
    Search(Box<Search>),
    /// Connections held open.
    Hold(Box<hold::Words>),
    /// A generator against servers that stall.
    Conformance(conformance::Words),
    /// Several servers against each other.
    Models(Box<models::Words>),
    /// Frames over datagrams through bad weather.
    Storm(Box<storm::Words>),
    /// Results as a page.
    Report(Report),
    /// Two results beside each other.
    Compare(Compare),
    /// Histograms of several files into one.
    Merge(Merge),
    /// Show the help or the version.
    Show(String),
}

#[derive(Debug, Parser)]
#[command(name = "ringmill-load", version, disable_help_subcommand = true, override_usage = USAGE, after_help = EXAMPLES)]
/// An open-loop load generator whose numbers can be believed.
///
/// Requests are sent when a schedule says, whatever the server does, and are timed from when they were due. A URL in place of a
/// command is `run`.
struct Line {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(Box<Run>),
    Search(Box<Search>),
    Hold(Box<hold::Words>),
    Conformance(conformance::Words),
    Models(Box<models::Words>),
    Storm(Box<storm::Words>),
    Report(Report),
    Compare(Compare),
    Merge(Merge),
}

/// Load a server for a time and say how long its answers took.
#[derive(Debug, Args)]
#[command(after_help = RUN_EXAMPLES)]
pub(crate) struct Run {
    /// What to load.
    #[arg(
        value_name = "URL",
        help = "http://HOST[:PORT][/PATH], echo://HOST:PORT, udp-echo://HOST:PORT or frame://HOST:PORT"
    )]
    pub(crate) url: Url,
    #[command(flatten)]
    pub(crate) when: When,
    #[command(flatten)]
    pub(crate) connections: Connections,
    #[command(flatten)]
    pub(crate) say: Say,
    #[command(flatten)]
    pub(crate) generator: Generator,
    #[command(flatten)]
    pub(crate) output: Output,
}

/// When requests are sent.
#[derive(Debug, Args)]
#[command(next_help_heading = "When")]
pub(crate) struct When {
    /// Requests a second, whatever the server does: 200k, 1.5M; 10k..50k goes from one to the other over the duration
    /// [above 0, at most 1G; default 1k]
    #[arg(long, value_name = "RATE", value_parser = words::rate, group = "pace")]
    pub(crate) rate: Option<Rate>,
    /// Rates one behind the other in place of --rate and --duration: 10k:5s,0..20k:10s,0:1s
    #[arg(long, value_name = "RATE:TIME,..", value_parser = words::steps, group = "pace", conflicts_with = "duration")]
    pub(crate) steps: Option<Steps>,
    /// Send as soon as an answer frees a connection. Asks how much a server can do; says little about how long its users wait
    #[arg(long, group = "pace")]
    pub(crate) closed: bool,
    /// How arrivals follow each other. Users who know nothing of each other arrive as Poisson; constant is a metronome
    #[arg(long, value_name = "LAW", default_value = "poisson", conflicts_with = "closed")]
    pub(crate) arrivals: LawWord,
    /// Measured time [1ms to 24h]
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = words::duration)]
    pub(crate) duration: Duration,
    /// The same load before it, which is not measured [0 to 24h]
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = words::pause)]
    pub(crate) warmup: Duration,
    /// A request, or a connect, without an answer for so long has failed, and counts with that time [1ms to 1h]
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = words::duration)]
    pub(crate) timeout: Duration,
    /// What becomes of an arrival that finds no connection free: it waits and keeps its intended time, or is dropped and counted
    #[arg(long, value_name = "POLICY", default_value = "queue", conflicts_with = "closed")]
    pub(crate) late: LateWord,
    /// Arrivals that may wait for a connection, over all shards; when more do, the oldest are given up
    /// and counted [from 1]
    #[arg(long, value_name = "N", default_value = "1M", value_parser = words::count, conflicts_with = "closed")]
    pub(crate) waiting_max: u32,
    /// Seed of the arrivals and the payloads: the same seed is the same load [0 to 2^53-1; default: a new one, which the result names]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(..1 << 53))]
    pub(crate) seed: Option<u64>,
}

/// Over what requests are sent.
#[derive(Debug, Args)]
#[command(next_help_heading = "Connections")]
pub(crate) struct Connections {
    /// Connections in all (UDP: sockets, at most 1024) [from 1]
    #[arg(short = 'c', long, value_name = "N", default_value = "64", value_parser = words::count)]
    pub(crate) connections: u32,
    /// Requests outstanding on one connection, at most [1 to 65535]
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) pipeline: u16,
    /// Close a connection after so many requests and open another [from 1]
    #[arg(long, value_name = "N", value_parser = words::count, conflicts_with = "lifetime")]
    pub(crate) churn: Option<u32>,
    /// Close a connection after so long and open another [above 0, at most 24h]
    #[arg(long, value_name = "TIME", value_parser = words::duration)]
    pub(crate) lifetime: Option<Duration>,
    /// How a connection is closed: by FIN, which keeps its port in TIME_WAIT, or by a reset [default: fin; search: rst]
    #[arg(long, value_name = "HOW")]
    pub(crate) close: Option<CloseWord>,
    /// Connects a second at the begin: 10k/s [default: as fast as they go]
    #[arg(long, value_name = "RATE", value_parser = words::steady_rate)]
    pub(crate) ramp: Option<f64>,
    /// Addresses of this machine to come from, in turn: 127.0.0.2-127.0.0.9,10.0.0.7. Each has its own ports
    #[arg(long, value_name = "LIST", value_parser = words::sources)]
    pub(crate) from: Option<Sources>,
}

/// What is sent, and what has to come back.
#[derive(Debug, Args, Default)]
#[command(next_help_heading = "Requests")]
pub(crate) struct Say {
    /// Echo: bytes of one message, which come back; frames: of one payload [1 to 1GiB; UDP: 8 to 65507; frames: to 1MiB;
    /// default 64]
    #[arg(long, value_name = "BYTES", value_parser = words::bytes)]
    pub(crate) size: Option<usize>,
    /// HTTP: the method [default GET, with a body POST]
    #[arg(short = 'X', long, value_name = "NAME", value_parser = words::method)]
    pub(crate) method: Option<String>,
    /// HTTP: a header; may be repeated
    #[arg(short = 'H', long, value_name = "NAME: VALUE", value_parser = words::header)]
    pub(crate) header: Vec<Header>,
    /// HTTP: a file that is the body
    #[arg(long, value_name = "FILE", conflicts_with = "body_size")]
    pub(crate) body: Option<PathBuf>,
    /// HTTP: a body of so many letters [0 to 1GiB]
    #[arg(long, value_name = "BYTES", value_parser = words::bytes)]
    pub(crate) body_size: Option<usize>,
    /// HTTP: length of each answer's body [default: that of the first answer]
    #[arg(long, value_name = "BYTES", value_parser = words::bytes, conflicts_with = "no_verify")]
    pub(crate) expect_bytes: Option<usize>,
    /// HTTP: CRC-32 of each answer's body, as crc32(1) prints it [default: that of the first answer]
    #[arg(long, value_name = "HEX", value_parser = words::crc32, conflicts_with = "no_verify")]
    pub(crate) expect_crc32: Option<u32>,
    /// Do not compare the bytes of answers. The result says so
    #[arg(long)]
    pub(crate) no_verify: bool,
}

/// What it runs on.
#[derive(Debug, Args)]
#[command(next_help_heading = "Generator")]
pub(crate) struct Generator {
    /// Cores to run on: all, physical, or a list such as 1,4-7. Best are those that the server does not have
    #[arg(long, value_name = "LIST", default_value = "all")]
    pub(crate) cores: CoresSpec,
    /// Threads, each with a core of its own [auto is one a core, or 1 to 4096]
    #[arg(long, value_name = "N", default_value = "auto")]
    pub(crate) shards: Shards,
    /// How the next arrival is waited for: hybrid sleeps and spins the last 100 us, spin never sleeps, sleep never spins and is
    /// late by what a wake-up takes
    #[arg(long, value_name = "HOW", default_value = "hybrid")]
    pub(crate) idle: IdleWord,
}

/// Where the result goes, beside the summary on standard output.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct Output {
    /// The whole result as JSON; - is standard output, and the summary then goes to standard error
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// The series, a line each second
    #[arg(long, value_name = "FILE")]
    pub(crate) csv: Option<PathBuf>,
    /// Interval log of HdrHistogram V2 with a tag for each histogram; `merge` joins several
    #[arg(long, value_name = "FILE")]
    pub(crate) hlog: Option<PathBuf>,
    /// Distribution of the response time, as HdrHistogram's plotter reads it
    #[arg(long, value_name = "FILE")]
    pub(crate) hgrm: Option<PathBuf>,
    /// A report with plots, one file that needs no network
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
    /// Show the load on the whole terminal while it runs: rate, percentiles, a heat map of latency; q ends it
    #[arg(long, conflicts_with = "quiet")]
    pub(crate) tui: bool,
    /// Show no progress
    #[arg(short, long)]
    pub(crate) quiet: bool,
}

/// Write results as one page with plots that needs no network: the same results give the same page.
#[derive(Debug, Args)]
#[command(after_help = REPORT_EXAMPLES)]
pub(crate) struct Report {
    /// Results that --json wrote; each but the first is compared with the first
    #[arg(value_name = "FILE", required = true, num_args = 1..)]
    pub(crate) files: Vec<PathBuf>,
    /// Where the page goes; - is standard output
    #[arg(short, long, value_name = "FILE", required_unless_present = "svg")]
    pub(crate) output: Option<PathBuf>,
    /// Write each chart of the page to a file of its own in this directory, which exists
    #[arg(long, value_name = "DIR")]
    pub(crate) svg: Option<PathBuf>,
}

/// Say in what the second result differs from the first, and how sure that is.
#[derive(Debug, Args)]
#[command(after_help = COMPARE_EXAMPLES)]
pub(crate) struct Compare {
    /// A result that --json wrote, or several of the same load with commas between: one run alone does not say how much runs differ
    #[arg(value_name = "A.json,..", value_parser = runs)]
    pub(crate) first: Runs,
    /// What to hold against it
    #[arg(value_name = "B.json,..", value_parser = runs)]
    pub(crate) second: Runs,
    /// A page of all of them with plots
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
}

/// Files of several runs of one load.
#[derive(Clone, Debug)]
pub(crate) struct Runs(pub(crate) Vec<PathBuf>);

fn runs(word: &str) -> Result<Runs, String> {
    match word.split(',').any(str::is_empty) {
        true => Err("a file has no name".into()),
        false => Ok(Runs(word.split(',').map(PathBuf::from).collect())),
    }
}

/// Join interval logs of several runs or machines: bucket to bucket, so that a percentile of the sum is that of all samples.
#[derive(Debug, Args)]
#[command(after_help = MERGE_EXAMPLES)]
pub(crate) struct Merge {
    /// Interval logs that --hlog wrote
    #[arg(value_name = "FILE", required = true, num_args = 1..)]
    pub(crate) files: Vec<PathBuf>,
    /// Where the joined log goes [default: only the summary is shown]
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

/// `--arrivals`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[allow(missing_docs, reason = "the words are those of the help")]
pub(crate) enum LawWord {
    Constant,
    Poisson,
}

impl From<LawWord> for Law {
    fn from(word: LawWord) -> Law {
        match word {
            LawWord::Constant => Law::Constant,
            LawWord::Poisson => Law::Poisson,
        }
    }
}

/// `--late`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LateWord {
    Queue,
    Drop,
}

/// `--close`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum CloseWord {
    Fin,
    Rst,
}

/// `--idle`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum IdleWord {
    Spin,
    Hybrid,
    Sleep,
}

/// The word that stands for a value, as it is typed.
pub(crate) fn word(value: impl ValueEnum) -> String {
    value.to_possible_value().map(|word| word.get_name().to_owned()).unwrap_or_default()
}

/// Reads the command line, program name first. Errors: what is wrong with it.
pub(crate) fn read(words: impl IntoIterator<Item = OsString>) -> Result<Asked, Failure> {
    match Line::try_parse_from(with_command(words.into_iter().collect())) {
        Ok(Line { command: Command::Run(run) }) => Ok(Asked::Run(run)),
        Ok(Line { command: Command::Search(search) }) => Ok(Asked::Search(search)),
        Ok(Line { command: Command::Hold(hold) }) => Ok(Asked::Hold(hold)),
        Ok(Line { command: Command::Conformance(words) }) => Ok(Asked::Conformance(words)),
        Ok(Line { command: Command::Models(words) }) => Ok(Asked::Models(words)),
        Ok(Line { command: Command::Storm(words) }) => Ok(Asked::Storm(words)),
        Ok(Line { command: Command::Report(report) }) => Ok(Asked::Report(report)),
        Ok(Line { command: Command::Compare(compare) }) => Ok(Asked::Compare(compare)),
        Ok(Line { command: Command::Merge(merge) }) => Ok(Asked::Merge(merge)),
        Err(error) => match error.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Ok(Asked::Show(error.render().to_string())),
            ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
                Err(Failure::usage("there is nothing to load")
                    .cure("`ringmill-load http://127.0.0.1:8080/ping`"))
            }
            _ => Err(Failure::unread(&error.render().to_string(), "ringmill-load --help")),
        },
    }
}

/// The words with `run` put in where they begin with a URL, or something that was meant as one, or a flag of it.
fn with_command(mut words: Vec<OsString>) -> Vec<OsString> {
    let is_run = words.get(1).and_then(|word| word.to_str()).is_some_and(|word| {
        let is_own = ["-h", "--help", "-V", "--version"].contains(&word);
        !is_own && (word.starts_with('-') || word.contains([':', '/', '.']))
    });
    if is_run {
        let is_storm = words[1].to_str().is_some_and(|word| word.starts_with("frame-udp://"));
        words.insert(1, if is_storm { "storm" } else { "run" }.into());
    }
    words
}

const USAGE: &str = "\
ringmill-load [run] <URL> [OPTIONS]
       ringmill-load <COMMAND> ...      (COMMAND --help has the flags of each)";
const EXAMPLES: &str = "\
Examples:
  ringmill-load http://127.0.0.1:8080/ping --rate 20k --duration 30s
  ringmill-load echo://127.0.0.1:7007 --closed --connections 256 --html report.html
  ringmill-load search http://127.0.0.1:8080/ping --slo 'p99<2ms' --html knee.html
  ringmill-load models --html models.html
  ringmill-load frame-udp://127.0.0.1:7016 --loss 10% --duplicate 10% --reorder 10%
  ringmill-load report run.json -o run.html
  ringmill-load compare before.json after.json
  ringmill-load merge a.hlog b.hlog -o both.hlog

Exit codes:
  0   measured, and the verdict is valid; or the question was answered
  1   the machine or the server refused: a port, a limit, io_uring
  2   the flags or the files cannot be meant
  3   measured, and the verdict is degraded: believe it with the reservations told
  4   measured, and the verdict is invalid: do not quote the figures";

const RUN_EXAMPLES: &str = "\
Examples:
  ringmill-load http://127.0.0.1:8080/ping --rate 20k
  ringmill-load http://10.0.0.7/api -X PUT --body order.json --rate 500
  ringmill-load echo://127.0.0.1:7007 --rate 1k..100k --duration 60s --html ramp.html
  ringmill-load udp-echo://127.0.0.1:7007 --rate 50k --arrivals constant --connections 8
  ringmill-load http://127.0.0.1:8080/ping --closed --pipeline 16 --cores 1 --json -

Units: times ns us ms s m h; rates and counts k M G (1k is 1,000); bytes KiB MiB GiB (a k alone is 1,024).
Ctrl-C ends early and still shows and writes what was measured; a second one does not wait.";

const REPORT_EXAMPLES: &str = "\
Examples:
  ringmill-load report run.json -o run.html
  ringmill-load report before.json after.json -o both.html";

const COMPARE_EXAMPLES: &str = "\
Examples:
  ringmill-load compare before.json after.json
  ringmill-load compare a1.json,a2.json,a3.json b1.json,b2.json,b3.json --html ab.html";

const MERGE_EXAMPLES: &str = "\
Examples:
  ringmill-load merge a.hlog b.hlog
  ringmill-load merge runs/*.hlog -o all.hlog";

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn typed(line: &str) -> Result<Asked, Failure> {
        read(std::iter::once("ringmill-load").chain(line.split_whitespace()).map(OsString::from))
    }

    fn run(line: &str) -> Run {
        match typed(line) {
            Ok(Asked::Run(run)) => *run,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn the_command_is_one_that_clap_accepts() {
        Line::command().debug_assert();
    }

    #[test]
    fn a_url_in_place_of_a_command_is_a_run_wherever_it_stands() {
        for line in ["http://x/", "run http://x/", "--rate 1k http://x/", "run --rate 1k http://x/"] {
            assert_eq!(run(line).url.to_string(), "http://x/", "{line}");
        }
    }

    #[test]
    fn flags_are_read_with_their_units() {
        let run = run(
            "echo://x:7 --steps 1k:5s,2k:5s -c 10k --ramp 10k/s --size 16KiB --cores 1 --shards 1 --idle spin",
        );
        assert_eq!(run.when.steps.expect("steps").0.len(), 2);
        assert_eq!((run.connections.connections, run.connections.ramp), (10_000, Some(1e4)));
        assert_eq!((run.say.size, run.generator.idle), (Some(16_384), IdleWord::Spin));
        assert_eq!(run.generator.cores, CoresSpec::List(vec![1]));
    }

    #[test]
    fn what_cannot_be_meant_is_one_line_and_a_cure() {
        let check = |line: &str, what: &str, cure: &str| {
            let failure = typed(line).expect_err(line).to_string();
            let (first, second) = failure.split_once(" Try ").expect("a cure");
            assert!(first.contains(what), "{line}: {failure}");
            assert!(second.contains(cure) && !failure.contains('\n'), "{line}: {failure}");
        };
        check("", "nothing to load", "http://");
        check("127.0.0.1:80", "is no URL", "--help");
        check("http://x --raet 5", "unexpected argument '--raet'", "`--rate`");
        check("mrege a", "'mrege'", "`merge`");
        check("http://x --rate 0", "a rate of 0 sends nothing", "--help");
        check("http://x --rate NaN", "`NaN`", "--help");
        check("http://x --rate 1 --closed", "cannot be used with", "--help");
        check("http://x --steps 1:1s --duration 5s", "cannot be used with", "--help");
        check("http://x --closed --late drop", "cannot be used with", "--help");
        check("http://x --connections 0", "expected 1 to", "--help");
        check("http://x --pipeline 0", "0 is not in 1..", "--help");
        check("http://x --churn 1 --lifetime 1s", "cannot be used with", "--help");
        check("http://x --cores 3-1", "runs backwards", "--help");
        check("http://x --idle nap", "'nap'", "--help");
        check("http://x --header A", "expected 'Name: value'", "--help");
        check("merge", "required arguments", "--help");
    }
}

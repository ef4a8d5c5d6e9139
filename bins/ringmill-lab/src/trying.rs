//! What is typed of experiments, and the plan that it means.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use linux::clock::Clock;
use linux::console::Failure;
use stats::experiment::Better;
use stats::text::{parse_duration, parse_rate};
use tune::experiment::{ArmError, ArmPlan, CourseError, FIGURES, Kind, Place, Workload, is_time_of_answers};

/// One paired experiment: arm B against arm A, with A again as its own control. Runs in namespaces of its own; takes root.
#[derive(Debug, Args)]
#[command(after_help = AB_EXAMPLES)]
pub(crate) struct Ab {
    /// What B is compared with: KNOB=VALUE,.. and ringmill:--flag VALUE; nothing is the default
    #[arg(long, value_name = "SPEC", default_value = "")]
    pub(crate) a: String,
    /// What is asked about
    #[arg(long, value_name = "SPEC")]
    pub(crate) b: String,
    #[command(flatten)]
    pub(crate) how: How,
    /// Time for all of it
    #[arg(long, value_name = "TIME", default_value = "20m", value_parser = time)]
    pub(crate) budget: Duration,
}

/// Each knob of a profile against the profile without it, and the whole profile against the default. Takes root.
#[derive(Debug, Args)]
#[command(after_help = PROVE_EXAMPLES)]
pub(crate) struct Prove {
    /// As of plan
    #[arg(value_name = "PROFILE")]
    pub(crate) profile: String,
    #[command(flatten)]
    pub(crate) how: How,
    /// Time for all of it
    #[arg(long, value_name = "TIME", default_value = "2h", value_parser = time)]
    pub(crate) budget: Duration,
}

/// How experiments are made.
#[derive(Debug, Args)]
pub(crate) struct How {
    /// http, echo, connect, bulk, or `command:PROGRAM ARGUMENTS`, which prints JSON
    #[arg(long, value_name = "WHAT", default_value = "http", value_parser = str::parse::<Kind>)]
    pub(crate) workload: Kind,
    /// The one figure that decides: requests_per_s, cpu_ns_per_request, with --rate p99_ns, ..; of a command, its path in the JSON
    #[arg(long, visible_alias = "metric", value_name = "NAME")]
    pub(crate) figure: Option<String>,
    /// Which way of it is good; to be said of a command's unless its name ends in _per_s or _ns
    #[arg(long, value_name = "higher|lower", value_parser = direction)]
    pub(crate) better: Option<Better>,
    /// Arrivals a second, for response times at a fixed rate; without it the load is as fast as the answers
    #[arg(long, value_name = "RATE", value_parser = parse_rate)]
    pub(crate) rate: Option<f64>,
    /// Effects within this much either way count as none, in percent
    #[arg(long, value_name = "PERCENT", default_value_t = stats::experiment::MARGIN_PCT, value_parser = margin)]
    pub(crate) margin: f64,
    /// Measured time of a run
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = time)]
    pub(crate) duration: Duration,
    /// Time before it that is not measured
    #[arg(long, value_name = "TIME", default_value = "500ms", value_parser = time)]
    pub(crate) warmup: Duration,
    /// Of the shuffles [default: from the clock, and written into the result]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(..1 << 53))]
    pub(crate) seed: Option<u64>,
    /// The server's program [default: `ringmill` beside this one]
    #[arg(long, value_name = "FILE")]
    pub(crate) server: Option<PathBuf>,
    /// The generator's program [default: `ringmill-load` beside this one]
    #[arg(long, value_name = "FILE")]
    pub(crate) load: Option<PathBuf>,
    /// The page too
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
    /// Say nothing meanwhile
    #[arg(short, long)]
    pub(crate) quiet: bool,
}

/// The page of a result, which is told too.
#[derive(Debug, Args)]
#[command(after_help = REPORT_CODES)]
pub(crate) struct Report {
    /// A file that `ab` or `prove` wrote with --json
    #[arg(value_name = "RESULT")]
    pub(crate) result: PathBuf,
    /// The page
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: PathBuf,
}

/// The same numbers again from the raw runs of a result.
#[derive(Debug, Args)]
#[command(after_help = REANALYSE_CODES)]
pub(crate) struct Reanalyse {
    /// A file that `ab` or `prove` wrote with --json
    #[arg(value_name = "RESULT")]
    pub(crate) result: PathBuf,
}

/// What `how` means here. The arms are the default, and the family is one. Errors: a command without a figure, or
/// of whose figure nobody knows which way is good; times of answers without a rate; what the machine refused.
pub(crate) fn plan(how: &How, budget: Duration) -> Result<tune::experiment::Plan, Failure> {
    let usual = Place::usual().map_err(|why| Failure::runtime(format!("programs and cores: {why}")))?;
    let place = Place {
        server: how.server.clone().unwrap_or(usual.server.clone()),
        load: how.load.clone().unwrap_or(usual.load.clone()),
        ..usual
    };
    let metric =
        how.figure.clone().or_else(|| how.workload.metric().map(str::to_owned)).ok_or_else(|| {
            Failure::usage("a command has no figure of its own").cure("`--figure rate.achieved_per_s`")
        })?;
    let kind = how.workload.clone();
    if !kind.has(&metric) {
        let cure = format!("one of {}", FIGURES.join(", "));
        return Err(Failure::usage(format!("no run of this workload has a figure {metric}")).cure(cure));
    }
    let better = how.better.or_else(|| kind.better(&metric)).ok_or_else(|| {
        Failure::usage(format!("nothing tells which way of {metric} is good"))
            .cure("`--better higher` or `--better lower`")
    })?;
    let is_closed = how.rate.is_none() && kind.scheme().is_some();
    if is_closed && is_time_of_answers(&metric) {
        let why = "a load without one sends nothing while it waits for a slow answer";
        return Err(Failure::usage(format!("{metric} takes a rate: {why}"))
            .cure("`--rate 10k`, which the server must be able to keep up with"));
    }
    let (duration, warmup, rate_per_s) = (how.duration, how.warmup, how.rate);
    Ok(tune::experiment::Plan {
        place,
        workload: Workload { kind, duration, warmup, rate_per_s, metric, better },
        a: ArmPlan::default(),
        b: ArmPlan::default(),
        margin_pct: how.margin,
        budget,
        family: 1,
        seed: how.seed.unwrap_or_else(Clock::unix_seconds),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        command_line: std::env::args().collect(),
    })
}

/// An arm, or what is wrong with it.
pub(crate) fn arm(flag: &str, spec: &str) -> Result<ArmPlan, Failure> {
    let wrong = |error: ArmError| Failure::usage(format!("{flag} {error}")).cure(error.cure());
    ArmPlan::parse(spec).map_err(wrong)
}

/// Why an experiment was not made.
pub(crate) fn failure(error: CourseError) -> Failure {
    let cure = error.cure();
    match error {
        CourseError::Budget { .. } => Failure::usage(error.to_string()).cure(cure),
        CourseError::Arm { .. } | CourseError::Nothing { .. } => {
            Failure::runtime(error.to_string()).cure(cure)
        }
    }
}

fn time(word: &str) -> Result<Duration, String> {
    let ns = parse_duration(word).map_err(|why| why.to_string())?;
    if ns == 0 { Err("expected more than nothing".into()) } else { Ok(Duration::from_nanos(ns)) }
}

fn direction(word: &str) -> Result<Better, String> {
    match word {
        "higher" => Ok(Better::Higher),
        "lower" => Ok(Better::Lower),
        _ => Err("expected higher or lower".to_owned()),
    }
}

fn margin(word: &str) -> Result<f64, String> {
    let percent = word.trim_end_matches('%').trim().parse::<f64>().ok();
    percent.filter(|percent| (0.0..=50.0).contains(percent)).ok_or_else(|| "expected 0 to 50".to_owned())
}

const AB_EXAMPLES: &str = "\
Examples:
  ringmill-lab ab --b net.core.somaxconn=8 --workload connect --json ab.json --html ab.html
  ringmill-lab ab --b 'net.ipv4.tcp_rmem=4096 4096 4096' --workload bulk
  ringmill-lab ab --a 'ringmill:--engine epoll' --b 'ringmill:--engine uring' --figure cpu_ns_per_request
  ringmill-lab ab --b net.core.somaxconn=8 --rate 10k --figure p99_ns
  ringmill-lab ab --b net.core.somaxconn=8 --workload 'command:./bench --json' --figure rate.achieved_per_s
  ringmill-lab ab --b net.core.somaxconn=8 --workload command:./bench --figure joules --better lower

Ctrl-C ends it with the blocks that are whole.

Exit codes:
  0   it was made, whatever came of it
  1   the machine refused
  2   what was typed cannot be meant
  3   something speaks against believing it: see the warnings";

const PROVE_EXAMPLES: &str = "\
Examples:
  ringmill-lab prove classic --json classic.json --html classic.html
  ringmill-lab prove latency --rate 10k --figure p99_ns --budget 4h

Knobs of the host and of the boot are not tried: they would be felt outside of the experiment, and the table says so.

Exit codes:
  0   it was made, whatever came of it
  1   the machine refused
  2   what was typed, or a file, cannot be meant
  3   something speaks against believing one of the experiments: see the warnings";

const REPORT_CODES: &str = "\
Exit codes:
  0   drawn and told
  1   the machine refused
  2   the file is no result of this program";

const REANALYSE_CODES: &str = "\
Exit codes:
  0   the file says what its runs give
  1   the machine refused
  2   the file is no result of this program
  3   the file says other numbers than its runs give";

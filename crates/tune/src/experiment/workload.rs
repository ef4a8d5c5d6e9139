//! What is asked of a server in each run, and which of its figures decides.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use stats::experiment::Better;

/// What a run does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One small HTTP request after the other on connections that are kept.
    Http,
    /// One small message after the other.
    Echo,
    /// A new connection for each request, many at once.
    Connect,
    /// Answers of a megabyte.
    Bulk,
    /// A program of the user's that prints JSON: its words, never read by a shell.
    Command(Vec<String>),
}

/// A workload with its times and its figure.
#[derive(Clone, Debug, PartialEq)]
pub struct Workload {
    /// What is done.
    pub kind: Kind,
    /// Measured time of a run.
    pub duration: Duration,
    /// The same load before it, which is not measured.
    pub warmup: Duration,
    /// Arrivals a second; `None`: as fast as the server answers.
    pub rate_per_s: Option<f64>,
    /// The figure that decides.
    pub metric: String,
    /// Which way of it is good.
    pub better: Better,
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(word: &str) -> Result<Kind, String> {
        match word {
            "http" => Ok(Kind::Http),
            "echo" => Ok(Kind::Echo),
            "connect" => Ok(Kind::Connect),
            "bulk" => Ok(Kind::Bulk),
            _ => {
                let words = word.strip_prefix("command:").unwrap_or("").split_whitespace();
                let words: Vec<String> = words.map(str::to_owned).collect();
                let none = || "expected http, echo, connect, bulk, or `command:PROGRAM ARGUMENTS`".to_owned();
                (!words.is_empty()).then_some(Kind::Command(words)).ok_or_else(none)
            }
        }
    }
}

impl Kind {
    /// The figure that decides unless another is declared; a command has none of its own.
    pub fn metric(&self) -> Option<&'static str> {
        match self {
            Kind::Http | Kind::Echo | Kind::Connect => Some("requests_per_s"),
            Kind::Bulk => Some("received_bytes_per_s"),
            Kind::Command(_) => None,
        }
    }

    /// Whether its runs have a figure of this name. What a command prints is not known before it has run.
    pub fn has(&self, figure: &str) -> bool {
        matches!(self, Kind::Command(_)) || FIGURES.contains(&figure)
    }

    /// Which way of a figure is good: a rate is better where it is higher, time and cost where they are lower. `None` where nobody knows: a
    /// command's figure tells by the end of its name, `_per_s` or `_ns`, or not at all.
    pub fn better(&self, metric: &str) -> Option<Better> {
        match self {
            _ if metric.ends_with("_per_s") => Some(Better::Higher),
            Kind::Command(_) if !metric.ends_with("_ns") => None,
            _ => Some(Better::Lower),
        }
    }

    /// The scheme of the server; `None` for a command, which brings its own.
    pub fn scheme(&self) -> Option<&'static str> {
        match self {
            Kind::Echo => Some("echo"),
            Kind::Http | Kind::Connect | Kind::Bulk => Some("http"),
            Kind::Command(_) => None,
        }
    }

    /// What follows the address in the URL, and the flags that make this load.
    pub(super) fn load(&self) -> (&'static str, &'static [&'static str]) {
        match self {
            Kind::Http => ("/ping", &["--connections", "64", "--close", "rst"]),
            Kind::Echo => ("", &["--connections", "64", "--size", "64", "--close", "rst"]),
            Kind::Connect => ("/ping", &["--connections", "256", "--churn", "1", "--close", "rst"]),
            Kind::Bulk => ("/bytes/1000000", &["--connections", "4", "--close", "rst"]),
            Kind::Command(_) => ("", &[]),
        }
    }
}

/// The figures of a run of the generator's.
pub const FIGURES: &[&str] = &[
    "requests_per_s",
    "received_bytes_per_s",
    "cpu_ns_per_request",
    "p50_ns",
    "p90_ns",
    "p99_ns",
    "p99_9_ns",
    "max_ns",
    "connect_p99_ns",
    "connect_max_ns",
    "failed_requests",
    "listen_overflows",
    "listen_drops",
    "retransmitted_segments",
];

/// Whether a figure of the generator's is made of the times that answers and connects took. It says what a client feels at a fixed rate
/// only: a load that waits for a slow answer sends nothing meanwhile, and so has few of them.
pub fn is_time_of_answers(metric: &str) -> bool {
    metric.ends_with("_ns") && !metric.starts_with("cpu")
}

impl fmt::Display for Workload {
    /// All of it, as it is declared.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::Command(words) => return write!(f, "command {}", words.join(" ")),
            Kind::Http => write!(f, "http")?,
            Kind::Echo => write!(f, "echo")?,
            Kind::Connect => write!(f, "connect burst")?,
            Kind::Bulk => write!(f, "bulk transfer")?,
        }
        let (path, flags) = self.kind.load();
        let pace = self.rate_per_s.map_or("closed loop".to_owned(), |per_s| format!("{per_s}/s, poisson"));
        let [measured, warmup] =
            [self.duration, self.warmup].map(|time| stats::text::duration(time.as_nanos() as f64));
        write!(f, " {path} {}; {pace}; {measured} after {warmup} of warm-up", flags.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_a_workload_and_a_command_is_words_that_no_shell_reads() {
        assert_eq!("bulk".parse(), Ok(Kind::Bulk));
        let words = ["bench", "$(reboot)", ";", "x"].map(str::to_owned).to_vec();
        assert_eq!("command:bench $(reboot) ; x".parse(), Ok(Kind::Command(words)));
        for wrong in ["", "command:", "command: ", "https"] {
            assert!(wrong.parse::<Kind>().unwrap_err().contains("expected http"), "{wrong}");
        }
    }

    #[test]
    fn the_direction_is_that_of_the_name_and_is_not_guessed_of_a_command() {
        let command = Kind::Command(vec!["bench".into()]);
        let of = |metric: &str| [Kind::Http.better(metric), command.better(metric)];
        assert_eq!(of("requests_per_s"), [Some(Better::Higher); 2]);
        assert_eq!(of("latency.p99_ns"), [Some(Better::Lower); 2]);
        assert_eq!(of("cpu_ns_per_request"), [Some(Better::Lower), None]);
        assert_eq!(of("throughput_mbps")[1], None);
    }

    #[test]
    fn a_figure_that_no_run_has_is_known_before_the_first_run() {
        let command = Kind::Command(vec!["bench".into()]);
        assert!(Kind::Http.has("p99_ns") && !Kind::Http.has("p98_ns") && command.has("joules"));
        assert!(
            [Kind::Http, Kind::Echo, Kind::Connect, Kind::Bulk]
                .iter()
                .all(|kind| kind.has(kind.metric().expect("one of its own")))
        );
    }

    #[test]
    fn what_answers_took_is_told_from_what_they_cost_and_how_many_there_were() {
        let of = |metric: &str| is_time_of_answers(metric);
        assert_eq!([of("p99_ns"), of("max_ns"), of("connect_p99_ns")], [true; 3]);
        assert_eq!([of("cpu_ns_per_request"), of("requests_per_s"), of("failed_requests")], [false; 3]);
    }

    #[test]
    fn what_is_declared_of_a_workload_says_all_of_it() {
        let (duration, warmup) = (Duration::from_secs(2), Duration::from_millis(500));
        let metric = "requests_per_s".to_owned();
        let (kind, better) = (Kind::Connect, Better::Higher);
        let workload = Workload { kind, duration, warmup, rate_per_s: None, metric, better };
        let said = "connect burst /ping --connections 256 --churn 1 --close rst; closed loop; 2 s after 500 ms of warm-up";
        assert_eq!(workload.to_string(), said);
    }
}

//! The metrics page: the meter's table as OpenMetrics text, for each shard and summed.
//!
//! Made whole from the table, so a number that is added there appears here by itself. Reads only; a scrape costs the data
//! path nothing. Format: OpenMetrics 1.0 (<https://prometheus.io/docs/specs/om/open_metrics_spec/>).

use shard::meter::{Board, Kind, METRICS, Metric};
use std::fmt::{Arguments, Write};

/// The media type of [`render`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Which engine moves the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Engine {
    /// What it is called.
    pub name: &'static str,
    /// The one that was to serve and was refused.
    pub instead_of: Option<&'static str>,
}

/// The page.
///
/// A number of the table is two families: `ringmill_shard_NAME` with a sample for each shard, and `ringmill_NAME` with their
/// sum; one family with both would make every `sum()` count twice. The status counters are one family with a label `class`.
/// Times are in seconds, as the format wants them.
pub fn render(board: &Board, engine: Engine) -> String {
    let shards: Vec<_> = (0..board.seats()).map(|seat| board.snapshot(seat).values()).collect();
    let mut page = String::with_capacity(METRICS.len() * (512 + 64 * shards.len()));
    info(&mut page, board, engine);
    for (column, metric) in METRICS.iter().enumerate() {
        let family = Family::of("ringmill_shard_", metric);
        family.head(&mut page, "");
        for (shard, values) in shards.iter().enumerate() {
            family.sample(&mut page, Some(shard), values[column]);
        }
    }
    for (column, metric) in METRICS.iter().enumerate() {
        let family = Family::of("ringmill_", metric);
        family.head(&mut page, " All shards together.");
        family.sample(&mut page, None, shards.iter().map(|values| values[column]).sum());
    }
    page.push_str("# EOF\n");
    page
}

/// Which engine serves, and which core each shard is pinned to.
fn info(page: &mut String, board: &Board, engine: Engine) {
    page.push_str("# TYPE ringmill_engine info\n");
    page.push_str(
        "# HELP ringmill_engine What moves the bytes, and the engine that was to and was refused.\n",
    );
    let (name, instead_of) = (engine.name, engine.instead_of.unwrap_or(""));
    line(page, format_args!("ringmill_engine_info{{engine=\"{name}\",instead_of=\"{instead_of}\"}} 1"));
    page.push_str("# TYPE ringmill_shard info\n# HELP ringmill_shard The core that a shard is pinned to.\n");
    for seat in 0..board.seats() {
        let core = board.core(seat).map_or(String::new(), |core| core.to_string());
        line(page, format_args!("ringmill_shard_info{{shard=\"{seat}\",core=\"{core}\"}} 1"));
    }
}

/// How a line of the table appears on the page.
struct Family {
    name: String,
    kind: Kind,
    help: String,
    /// `2xx`, for the status counters. They stand next to each other in the table, and share one head.
    class: Option<&'static str>,
    in_seconds: bool,
}

impl Family {
    fn of(prefix: &str, metric: &Metric) -> Family {
        let Metric { name, kind, help } = *metric;
        let class = name.strip_prefix("status_");
        let stem = name.strip_suffix("_ns");
        let (name, help) = match (class, stem) {
            (Some(_), _) => ("answers".to_owned(), "HTTP answers by the class of their status.".to_owned()),
            (None, Some(stem)) => (format!("{stem}_seconds"), help.replacen("Nanoseconds", "Seconds", 1)),
            (None, None) => (name.to_owned(), help.to_owned()),
        };
        Family { name: format!("{prefix}{name}"), kind, help, class, in_seconds: stem.is_some() }
    }

    fn head(&self, page: &mut String, more: &str) {
        if self.class.is_some_and(|class| class != "1xx") {
            return;
        }
        let Family { name, help, .. } = self;
        let kind = match self.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
        };
        line(page, format_args!("# TYPE {name} {kind}"));
        if self.in_seconds {
            line(page, format_args!("# UNIT {name} seconds"));
        }
        line(page, format_args!("# HELP {name} {help}{more}"));
    }

    fn sample(&self, page: &mut String, shard: Option<usize>, value: u64) {
        let name = &self.name;
        let total = if self.kind == Kind::Counter { "_total" } else { "" };
        let labels = match (shard, self.class) {
            (None, None) => String::new(),
            (Some(shard), None) => format!("{{shard=\"{shard}\"}}"),
            (None, Some(class)) => format!("{{class=\"{class}\"}}"),
            (Some(shard), Some(class)) => format!("{{shard=\"{shard}\",class=\"{class}\"}}"),
        };
        if self.in_seconds {
            let (seconds, nanoseconds) = (value / NANOS, value % NANOS);
            line(page, format_args!("{name}{total}{labels} {seconds}.{nanoseconds:09}"));
        } else {
            line(page, format_args!("{name}{total}{labels} {value}"));
        }
    }
}

fn line(page: &mut String, text: Arguments<'_>) {
    page.write_fmt(text).expect("writing to a String does not fail");
    page.push('\n');
}

const NANOS: u64 = 1_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn page() -> String {
        let board = Board::new(&[Some(0), None]);
        board.seat(0).requests.add(3);
        board.seat(1).requests.add(4);
        board.seat(0).status_2xx.add(7);
        board.seat(1).busy_ns.add(1_500_000_001);
        board.seat(1).connections.set(9);
        render(&board, Engine { name: "epoll", instead_of: Some("uring") })
    }

    #[test]
    fn numbers_are_given_for_each_shard_and_summed() {
        let page = page();
        for expected in [
            "ringmill_engine_info{engine=\"epoll\",instead_of=\"uring\"} 1",
            "ringmill_shard_info{shard=\"0\",core=\"0\"} 1",
            "ringmill_shard_info{shard=\"1\",core=\"\"} 1",
            "ringmill_shard_requests_total{shard=\"0\"} 3",
            "ringmill_shard_requests_total{shard=\"1\"} 4",
            "ringmill_requests_total 7",
            "ringmill_shard_answers_total{shard=\"0\",class=\"2xx\"} 7",
            "ringmill_answers_total{class=\"2xx\"} 7",
            "ringmill_shard_busy_seconds_total{shard=\"1\"} 1.500000001",
            "# UNIT ringmill_busy_seconds seconds",
            "ringmill_connections 9",
            "# TYPE ringmill_connections gauge",
            "# TYPE ringmill_requests counter",
        ] {
            assert!(page.lines().any(|line| line == expected), "{expected}\n{page}");
        }
    }

    #[test]
    fn the_page_is_open_metrics() {
        let page = page();
        assert!(page.ends_with("\n# EOF\n") && page.matches("# EOF").count() == 1);
        let mut families = BTreeSet::new();
        let mut family = "";
        for line in page.lines().filter(|line| *line != "# EOF") {
            if let Some(rest) = line.strip_prefix("# TYPE ") {
                family = rest.split(' ').next().unwrap();
                assert!(families.insert(family), "family {family} begins twice");
            } else if let Some(rest) = line.strip_prefix("# ") {
                assert_eq!(rest.split(' ').nth(1), Some(family), "{line}");
            } else {
                // Samples of a family stand behind its head, and nothing else does.
                let name = line.split(['{', ' ']).next().unwrap();
                let suffix = name.strip_prefix(family).unwrap_or_else(|| panic!("{line} stands in {family}"));
                assert!(["", "_total", "_info"].contains(&suffix), "{line}");
                assert!(line.rsplit(' ').next().unwrap().parse::<f64>().is_ok(), "{line}");
            }
        }
    }
}

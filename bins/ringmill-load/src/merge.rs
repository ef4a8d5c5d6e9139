//! `ringmill-load merge`: interval logs of several runs, or of several machines that loaded one server, as one.
//!
//! Histograms are added bucket to bucket; percentiles are never joined, which is why a distribution (`.hgrm`) is refused.

use std::path::Path;

use linux::console::{Failure, tell};
use linux::file;
use stats::hlog::{self, Joined};
use stats::outcome::Latency;
use stats::text;

use crate::args::Merge;
use crate::files::wrong;

/// Joins the logs, writes the sum where it was asked for, and shows what is in it.
pub(crate) fn merge(merge: &Merge) -> Result<(), Failure> {
    let mut joined = Joined::default();
    let mut began_unix_s = f64::INFINITY;
    for path in &merge.files {
        let log = std::fs::read(path).map_err(|why| unread(path, &why.to_string()))?;
        check(path, &log)?;
        joined.add(&log).map_err(|why| unread(path, &why.to_string()))?;
        began_unix_s = began_unix_s.min(hlog::began_unix_s(&log).unwrap_or(f64::INFINITY));
    }
    if let Some(path) = &merge.output {
        let program = concat!("ringmill-load ", env!("CARGO_PKG_VERSION"));
        let began_unix_s = if began_unix_s.is_finite() { began_unix_s } else { 0.0 };
        let log = joined.write(Vec::new(), program, began_unix_s).map_err(|why| wrong(path, why))?;
        file::replace(path, log).map_err(|why| wrong(path, why))?;
    }
    tell(&table(&joined))
}

fn unread(path: &Path, why: &str) -> Failure {
    Failure::usage(format!("{}: {why}", path.display())).cure("files that `--hlog FILE` wrote")
}

/// A distribution of percentiles begins with the head of its table, and an interval log with a comment or a quote.
fn check(path: &Path, log: &[u8]) -> Result<(), Failure> {
    if log.trim_ascii_start().starts_with(b"Value") {
        return Err(unread(path, "percentiles of two runs do not make those of both"));
    }
    Ok(())
}

/// A line for each tag. A quantile that the samples do not carry is a dash.
fn table(joined: &Joined) -> String {
    let mut lines =
        vec![row("", &["count", "p50", "p90", "p99", "p99.9", "p99.99", "max"].map(String::from))];
    for entry in joined.entries() {
        let Latency { count, p50_ns, p90_ns, p99_ns, p99_9_ns, p99_99_ns, max_ns, .. } =
            Latency::of(&entry.values);
        let time = |ns: Option<u64>| ns.map_or("-".into(), |ns| text::duration(ns as f64));
        let times = [p50_ns, p90_ns, p99_ns, p99_9_ns, p99_99_ns, max_ns].map(time);
        let [p50, p90, p99, p99_9, p99_99, max] = times;
        lines.push(row(&entry.tag, &[text::count(count), p50, p90, p99, p99_9, p99_99, max]));
    }
    lines.concat()
}

fn row(name: &str, cells: &[String; 7]) -> String {
    let cells: String = cells.iter().map(|cell| format!("{cell:>12}")).collect();
    format!("{name:<12}{cells}\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use stats::interval::Interval;

    #[test]
    fn a_table_has_a_line_for_each_tag() {
        let mut step = Interval { to_ns: 1_000_000_000, ..Interval::new() };
        (0..100).for_each(|_| step.response.record(83_000).expect("in bounds"));
        let mut writer = hlog::Writer::begin(Vec::new(), "a test", 0.0).expect("memory");
        writer.step(&step).expect("memory");
        let log = writer.end().expect("memory");
        let mut joined = Joined::default();
        joined.add(&log).expect("a log");
        joined.add(&log).expect("a log");
        let table = table(&joined);
        let words: Vec<&str> = table.lines().nth(1).expect("a line").split_whitespace().collect();
        assert_eq!(words, ["response", "200", "83", "us", "83", "us", "-", "-", "-", "83", "us"], "{table}");
    }

    #[test]
    fn a_distribution_of_percentiles_is_refused_with_its_reason() {
        let hgrm = stats::hgrm::text(&Interval::new().response);
        let failure = check(Path::new("a.hgrm"), hgrm.as_bytes()).expect_err("no log").to_string();
        assert!(failure.contains("a.hgrm: percentiles of two runs"), "{failure}");
    }
}

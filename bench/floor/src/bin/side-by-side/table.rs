//! Figures out of runs: windows pooled, ratios paired by round, Markdown and JSON out of both.

use std::fmt::Write;

use serde_json::{Value, json};

use crate::cases::Case;
use crate::contenders::Contender;
use crate::run::Run;

/// All runs of one contender in one case, in the order of the rounds.
pub struct Column {
    pub contender: Contender,
    /// `None` where a run failed.
    pub runs: Vec<Option<Run>>,
}

/// One number over the rounds.
#[derive(Clone, Copy)]
struct Range {
    low: f64,
    median: f64,
    high: f64,
}

impl Range {
    fn of(values: impl Iterator<Item = f64>) -> Option<Self> {
        let mut sorted: Vec<f64> = values.filter(|value| value.is_finite()).collect();
        sorted.sort_by(f64::total_cmp);
        let (low, high) = (*sorted.first()?, *sorted.last()?);
        let median = (sorted[(sorted.len() - 1) / 2] + sorted[sorted.len() / 2]) / 2.0;
        Some(Self { low, median, high })
    }

    fn json(self) -> Value {
        json!({ "low": self.low, "median": self.median, "high": self.high })
    }
}

/// What the table shows of one contender in one case.
struct Figures {
    rate_p10: f64,
    rate_median: f64,
    rate_p90: f64,
    rate_ratio: Option<Range>,
    cpu_ns: Option<Range>,
    cpu_ratio: Option<Range>,
    p50_us: Option<Range>,
    p99_us: Option<Range>,
    p999_us: Option<Range>,
    tail: Option<Range>,
    enters: Option<Range>,
    copied: Option<Range>,
    server_busy: Option<Range>,
    client_busy: Option<Range>,
    foreign: Option<Range>,
    rss_peak_kib: u64,
    start_ms: Option<Range>,
}

fn quantile(sorted: &[f64], q: f64) -> f64 {
    match sorted.len() {
        0 => f64::NAN,
        count => sorted[((count - 1) as f64 * q).round() as usize],
    }
}

/// Messages a second in each window of one run, sorted.
fn rates(run: &Run) -> Vec<f64> {
    let per_second = 1000.0 / run.client["window_ms"].as_f64().unwrap_or(100.0);
    let windows = run.client["windows"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut rates: Vec<f64> =
        windows.iter().filter_map(Value::as_f64).map(|count| count * per_second).collect();
    rates.sort_by(f64::total_cmp);
    rates
}

fn number(run: &Run, name: &str) -> f64 {
    run.client[name].as_f64().unwrap_or(f64::NAN)
}

fn cpu_ns(run: &Run) -> f64 {
    number(run, "server_cpu_ns") / number(run, "messages")
}

impl Column {
    fn over(&self, value: impl Fn(&Run) -> f64) -> Option<Range> {
        Range::of(self.runs.iter().flatten().map(value))
    }

    /// This contender's value over the baseline's of the same round.
    fn against(&self, baseline: Option<&Self>, value: impl Fn(&Run) -> f64) -> Option<Range> {
        let pairs = self.runs.iter().zip(&baseline?.runs);
        Range::of(pairs.filter_map(|(ours, theirs)| Some(value(ours.as_ref()?) / value(theirs.as_ref()?))))
    }

    fn figures(&self, case: &Case, baseline: Option<&Self>) -> Figures {
        let mut pooled: Vec<f64> = self.runs.iter().flatten().flat_map(rates).collect();
        pooled.sort_by(f64::total_cmp);
        let best = |run: &Run| quantile(&rates(run), 0.9);
        let total = |run: &Run, name: &str| run.totals[name].as_f64().unwrap_or(f64::NAN);
        Figures {
            rate_p10: quantile(&pooled, 0.1),
            rate_median: quantile(&pooled, 0.5),
            rate_p90: quantile(&pooled, 0.9),
            rate_ratio: self.against(baseline, best),
            cpu_ns: self.over(cpu_ns),
            cpu_ratio: self.against(baseline, cpu_ns),
            p50_us: self.over(|run| number(run, "latency_ns_p50") / 1e3),
            p99_us: self.over(|run| number(run, "latency_ns_p99") / 1e3),
            p999_us: self.over(|run| number(run, "latency_ns_p999") / 1e3),
            tail: self.over(|run| number(run, "latency_ns_p99") / number(run, "latency_ns_p50")),
            enters: self.over(|run| total(run, "enters") / number(run, "messages_ever")),
            copied: self.over(|run| {
                total(run, "bytes_copied") / (number(run, "messages_ever") * f64::from(case.bytes.max(1)))
            }),
            server_busy: self.over(|run| number(run, "server_cpu_ns") / number(run, "measured_ns")),
            client_busy: self.over(|run| number(run, "client_cpu_ns") / number(run, "measured_ns")),
            foreign: self.over(Run::foreign_share),
            rss_peak_kib: self.runs.iter().flatten().map(|run| run.rss_peak_kib).max().unwrap_or(0),
            start_ms: self.over(|run| run.start_us as f64 / 1e3),
        }
    }
}

/// The table of one case.
pub fn markdown(case: &Case, columns: &[Column], baseline_name: &str) -> String {
    let baseline = columns.iter().find(|column| column.contender.name == baseline_name);
    let (connections, depth) = (case.connections, case.depth);
    let size = if case.bytes > 0 { format!(", {} B", case.bytes) } else { String::new() };
    let spin = if case.spin { ", both sides spin" } else { "" };
    let mut text = format!("### {}\n\n{connections} connections, depth {depth}{size}{spin}; ", case.name);
    let _ = writeln!(text, "ratios are against `{baseline_name}`.\n");
    text.push_str(
        "| contender | messages/s p90 (median, p10) | of baseline | CPU ns/message | of baseline | p50 us | p99 us | p99.9 us \
         | p99/p50 | enters/message | copied B/B | server, client, others busy | RSS MiB | start ms |\n",
    );
    text.push_str("|---|---|---|---|---|---|---|---|---|---|---|---|---|---|\n");
    for column in columns {
        let figures = column.figures(case, baseline);
        let _ = writeln!(
            text,
            "| {} | {} ({}, {}) | {} | {} | {} | {} | {} | {} | {} | {} | {} | {}, {}, {} | {:.1} | {} |",
            column.contender.name,
            rate(figures.rate_p90),
            rate(figures.rate_median),
            rate(figures.rate_p10),
            ratio(figures.rate_ratio),
            plain(figures.cpu_ns, 0),
            ratio(figures.cpu_ratio),
            plain(figures.p50_us, 1),
            ranged(figures.p99_us, 1),
            plain(figures.p999_us, 0),
            plain(figures.tail, 2),
            plain(figures.enters, 3),
            plain(figures.copied, 3),
            plain(figures.server_busy, 2),
            plain(figures.client_busy, 2),
            plain(figures.foreign, 2),
            figures.rss_peak_kib as f64 / 1024.0,
            plain(figures.start_ms, 1),
        );
    }
    text
}

/// The same and every run's client output, for later questions.
pub fn json(case: &Case, columns: &[Column], baseline_name: &str) -> Value {
    let baseline = columns.iter().find(|column| column.contender.name == baseline_name);
    let entries = columns.iter().map(|column| {
        let figures = column.figures(case, baseline);
        let range = |range: Option<Range>| range.map_or(Value::Null, Range::json);
        let runs = column.runs.iter().map(|run| match run {
            None => Value::Null,
            Some(run) => {
                json!({ "client": run.client, "totals": run.totals, "rss_peak_kib": run.rss_peak_kib,
                "start_us": run.start_us })
            }
        });
        json!({
            "contender": column.contender.name,
            "command": column.contender.command,
            "rate_p10": figures.rate_p10,
            "rate_median": figures.rate_median,
            "rate_p90": figures.rate_p90,
            "rate_ratio": range(figures.rate_ratio),
            "cpu_ns": range(figures.cpu_ns),
            "cpu_ratio": range(figures.cpu_ratio),
            "latency_us_p50": range(figures.p50_us),
            "latency_us_p99": range(figures.p99_us),
            "latency_us_p999": range(figures.p999_us),
            "p99_over_p50": range(figures.tail),
            "enters_per_message": range(figures.enters),
            "copied_per_byte": range(figures.copied),
            "rss_peak_kib": figures.rss_peak_kib,
            "runs": runs.collect::<Vec<_>>(),
        })
    });
    json!({
        "case": case.name,
        "connections": case.connections,
        "depth": case.depth,
        "bytes": case.bytes,
        "spin": case.spin,
        "baseline": baseline_name,
        "contenders": entries.collect::<Vec<_>>(),
    })
}

fn rate(value: f64) -> String {
    if value >= 1e6 { format!("{:.2}M", value / 1e6) } else { format!("{:.1}k", value / 1e3) }
}

fn plain(range: Option<Range>, digits: usize) -> String {
    range.map_or("-".to_string(), |range| format!("{:.digits$}", range.median))
}

fn ranged(range: Option<Range>, digits: usize) -> String {
    let show =
        |range: Range| format!("{:.digits$} ({:.digits$}..{:.digits$})", range.median, range.low, range.high);
    range.map_or("-".to_string(), show)
}

fn ratio(range: Option<Range>) -> String {
    ranged(range, 3)
}

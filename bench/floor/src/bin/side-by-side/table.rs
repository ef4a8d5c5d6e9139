//! A case as a table: for people in Markdown, for programs in JSON. The page shows the same cells.
//!
//! Never decides what is good: figures stand side by side, and ratios are against the baseline.

use std::fmt::Write;

use serde_json::{Value, json};

use crate::cases::{Case, IDLE_FEW, IDLE_MANY, Load, Path, Spin};
use crate::figures::{Column, Measure, Range, Ratio, number, quantile};
use crate::run::Run;

/// Names of columns, and rows of cells.
pub struct Table {
    pub names: Vec<String>,
    pub rows: Vec<Vec<String>>,
}

/// What a case does, in words.
pub fn words(case: &Case) -> String {
    let (connections, depth) = (case.connections, case.depth);
    let size = if case.bytes > 0 { format!(", {} B", case.bytes) } else { String::new() };
    let spin = match case.spin {
        Spin::Nobody => "",
        Spin::Everybody => ", both sides spin",
        Spin::WhoCan => ", the client spins and so do servers that can",
    };
    let cores = if case.cores > 1 { ", server and client on both cores" } else { "" };
    let path = match case.path {
        Path::Loopback => "",
        Path::Veth => ", over a veth pair between two network namespaces",
    };
    let load = match case.load {
        Load::Closed => String::new(),
        Load::Churn(requests) => format!(", a new connection after every {requests} requests (ringmill-load, closed loop)"),
        Load::Open => ", Poisson arrivals at the same rate for all: half of what Ringmill answers to ringmill-load in the \
                       same round, or what --rate says"
            .to_string(),
        Load::Capacity => ", ringmill-load, closed loop".to_string(),
        Load::Idle => return format!("memory with {IDLE_FEW} and {IDLE_MANY} idle connections, each of which was answered once"),
    };
    format!("{connections} connections, depth {depth}{size}{spin}{cores}{path}{load}")
}

/// The table of one case.
pub fn table(case: &Case, columns: &[Column], baseline_name: &str) -> Table {
    let baseline = columns.iter().find(|column| column.contender.name == baseline_name);
    let (names, row): (&[&str], Row) = match case.load {
        Load::Closed => (CLOSED, closed_row),
        Load::Churn(_) | Load::Open | Load::Capacity => (GENERATED, generated_row),
        Load::Idle => (IDLE, idle_row),
    };
    let names = std::iter::once("contender").chain(names.iter().copied()).map(str::to_string).collect();
    let rows = columns.iter().map(|column| {
        let mut cells = vec![column.contender.name.clone()];
        cells.extend(row(case, column, baseline));
        cells
    });
    Table { names, rows: rows.collect() }
}

/// The cells of a contender behind its name, beside the baseline.
type Row = fn(&Case, &Column, Option<&Column>) -> Vec<String>;

const CLOSED: &[&str] = &[
    "messages/s p90 (median, p10)",
    "of baseline",
    "CPU ns/message",
    "of baseline",
    "p50 us",
    "p99 us",
    "p99.9 us",
    "p99/p50",
    "enters/message",
    "copied B/B",
    "server, client, others busy",
    "RSS MiB",
    "start ms",
];

fn closed_row(case: &Case, column: &Column, baseline: Option<&Column>) -> Vec<String> {
    let total = |run: &Run, name: &str| run.totals[name].as_f64().unwrap_or(f64::NAN);
    let messages = |run: &Run| number(run, "messages_ever");
    let mut cells = rates_and_cpu(column, baseline);
    cells.extend([
        plain(us(column, Measure::P50), 1),
        ranged(us(column, Measure::P99), 1),
        plain(us(column, Measure::P999), 0),
        plain(column.over(tail), 2),
        plain(column.over(|run| total(run, "enters") / messages(run)), 3),
        plain(
            column.over(|run| total(run, "bytes_copied") / (messages(run) * f64::from(case.bytes.max(1)))),
            3,
        ),
        busy(column),
        format!("{:.1}", rss_peak_kib(column) as f64 / 1024.0),
        plain(column.over(|run| run.start_us as f64 / 1e3), 1),
    ]);
    cells
}

const GENERATED: &[&str] = &[
    "requests/s p90 (median, p10)",
    "of baseline",
    "CPU ns/request",
    "of baseline",
    "asked/s",
    "p50 us",
    "p99 us",
    "p99 of baseline",
    "p99.9 us",
    "p99.9 of baseline",
    "send lag p99 us",
    "server, client, others busy",
    "RSS MiB",
];

fn generated_row(_: &Case, column: &Column, baseline: Option<&Column>) -> Vec<String> {
    let mut cells = rates_and_cpu(column, baseline);
    let against = |measure: Measure| ratio(column.against(baseline, |run| measure.of(run)));
    cells.extend([
        column.over(|run| number(run, "asked_per_s")).map_or("-".to_string(), |range| rate(range.median)),
        plain(us(column, Measure::P50), 1),
        ranged(us(column, Measure::P99), 1),
        against(Measure::P99),
        ranged(us(column, Measure::P999), 0),
        against(Measure::P999),
        plain(column.over(|run| number(run, "send_lag_ns_p99") / 1e3), 1),
        busy(column),
        format!("{:.1}", rss_peak_kib(column) as f64 / 1024.0),
    ]);
    cells
}

const IDLE: &[&str] = &[
    "bytes a connection",
    "of baseline",
    "MiB with many",
    "of baseline",
    "MiB with few",
    "MiB with none",
    "start ms",
];

fn idle_row(_: &Case, column: &Column, baseline: Option<&Column>) -> Vec<String> {
    let mib = |name: &'static str| column.over(move |run| number(run, name) / 1024.0);
    let against = |measure: Measure| ratio(column.against(baseline, |run| measure.of(run)));
    vec![
        ranged(column.over(|run| Measure::MemoryEach.of(run)), 0),
        against(Measure::MemoryEach),
        ranged(mib("memory_kib_many"), 1),
        against(Measure::MemoryMany),
        plain(mib("memory_kib_few"), 1),
        plain(mib("memory_kib_none"), 1),
        plain(column.over(|run| run.start_us as f64 / 1e3), 1),
    ]
}

fn rates_and_cpu(column: &Column, baseline: Option<&Column>) -> Vec<String> {
    let pooled = column.pooled_rates();
    let [p90, median, p10] = [0.9, 0.5, 0.1].map(|q| rate(quantile(&pooled, q)));
    vec![
        format!("{p90} ({median}, {p10})"),
        ratio(column.against(baseline, |run| Measure::Rate.of(run))),
        plain(column.over(|run| Measure::CpuNs.of(run)), 0),
        ratio(column.against(baseline, |run| Measure::CpuNs.of(run))),
    ]
}

fn us(column: &Column, measure: Measure) -> Option<Range> {
    column.over(|run| measure.of(run) / 1e3)
}

fn tail(run: &Run) -> f64 {
    Measure::P99.of(run) / Measure::P50.of(run)
}

fn busy(column: &Column) -> String {
    let share =
        |name: &'static str| plain(column.over(|run| number(run, name) / number(run, "measured_ns")), 2);
    let foreign = plain(column.over(Run::foreign_share), 2);
    format!("{}, {}, {foreign}", share("server_cpu_ns"), share("client_cpu_ns"))
}

fn rss_peak_kib(column: &Column) -> u64 {
    column.runs.iter().flatten().map(|run| run.rss_peak_kib).max().unwrap_or(0)
}

/// With its heading.
pub fn markdown(case: &Case, columns: &[Column], baseline_name: &str) -> String {
    let mut text = format!("### {}\n\n{}; ratios are against `{baseline_name}`.\n\n", case.name, words(case));
    let Table { names, rows } = table(case, columns, baseline_name);
    let _ = writeln!(text, "| {} |\n|{}", names.join(" | "), "---|".repeat(names.len()));
    rows.iter().for_each(|cells| {
        let _ = writeln!(text, "| {} |", cells.join(" | "));
    });
    text
}

/// The same and every run's client output, for later questions.
pub fn json(case: &Case, columns: &[Column], baseline_name: &str) -> Value {
    let baseline = columns.iter().find(|column| column.contender.name == baseline_name);
    let entries = columns.iter().map(|column| {
        let pooled = column.pooled_rates();
        let range = |range: Option<Range>| range.map_or(Value::Null, Range::json);
        let over = |measure: Measure| range(column.over(|run| measure.of(run)));
        let against = |measure: Measure| {
            column.against(baseline, |run| measure.of(run)).map_or(Value::Null, Ratio::json)
        };
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
            "configured": column.contender.configured,
            "rate_p10": quantile(&pooled, 0.1),
            "rate_median": quantile(&pooled, 0.5),
            "rate_p90": quantile(&pooled, 0.9),
            "rate_ratio": against(Measure::Rate),
            "cpu_ns": over(Measure::CpuNs),
            "cpu_ratio": against(Measure::CpuNs),
            "latency_us_p50": range(us(column, Measure::P50)),
            "latency_us_p99": range(us(column, Measure::P99)),
            "latency_us_p999": range(us(column, Measure::P999)),
            "latency_p50_ratio": against(Measure::P50),
            "latency_p99_ratio": against(Measure::P99),
            "latency_p999_ratio": against(Measure::P999),
            "p99_over_p50": range(column.over(tail)),
            "memory_bytes_each": over(Measure::MemoryEach),
            "memory_kib_many": over(Measure::MemoryMany),
            "memory_each_ratio": against(Measure::MemoryEach),
            "rss_peak_kib": rss_peak_kib(column),
            "runs": runs.collect::<Vec<_>>(),
        })
    });
    json!({
        "case": case.name,
        "connections": case.connections,
        "depth": case.depth,
        "bytes": case.bytes,
        "spin": case.spin != Spin::Nobody,
        "cores": case.cores,
        "words": words(case),
        "baseline": baseline_name,
        "contenders": entries.collect::<Vec<_>>(),
    })
}

fn rate(value: f64) -> String {
    match value {
        none if !none.is_finite() => "-".to_string(),
        many if many >= 1e6 => format!("{:.2}M", many / 1e6),
        few => format!("{:.1}k", few / 1e3),
    }
}

fn plain(range: Option<Range>, digits: usize) -> String {
    range.map_or("-".to_string(), |range| format!("{:.digits$}", range.median))
}

fn ranged(range: Option<Range>, digits: usize) -> String {
    let show =
        |range: Range| format!("{:.digits$} ({:.digits$}..{:.digits$})", range.median, range.low, range.high);
    range.map_or("-".to_string(), show)
}

/// Median, lowest to highest, and where enough rounds carry it the interval of 95 %.
pub fn ratio(ratio: Option<Ratio>) -> String {
    let interval =
        |ratio: Ratio| ratio.ci95.map_or(String::new(), |[low, high]| format!("; 95 % {low:.3}..{high:.3}"));
    let show = |ratio: Ratio| {
        let Range { low, median, high } = ratio.range;
        format!("{median:.3} ({low:.3}..{high:.3}{})", interval(ratio))
    };
    ratio.map_or("-".to_string(), show)
}

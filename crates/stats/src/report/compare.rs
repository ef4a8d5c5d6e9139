//! Two results, or several runs of each of two things, side by side: by how much they differ, and whether that says anything.
//!
//! Never says "better": a lower latency at a lower rate may be worse. One run of each side has intervals of its own samples only, which
//! know nothing of what changes from run to run; that is said beside the table. Runs of several are taken in pairs, in their order, as
//! they come from interleaved rounds (A, B, A, B).

use crate::outcome::{Outcome, State};
use crate::paired;
use crate::text::{count, duration, rate};
use std::fmt::Write;

/// What differs between two sides.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// What speaks against comparing them, a sentence each.
    pub warnings: Vec<String>,
    /// One figure each; empty where they cannot be compared at all.
    pub rows: Vec<Row>,
    /// How it was decided, in a sentence.
    pub method: String,
}

/// One figure of both sides.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Its name.
    pub name: &'static str,
    /// What it is measured in.
    pub unit: Measure,
    /// Of the first side; the median of its runs. `None` where a run does not carry it.
    pub a: Option<f64>,
    /// Of the second.
    pub b: Option<f64>,
    /// By how much the second lies above the first, in percent of the first.
    pub percent: Option<f64>,
    /// What that could as well be, with 95 % confidence.
    pub ci95_percent: Option<[f64; 2]>,
    /// What follows.
    pub finding: Finding,
}

/// What a figure is measured in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// Requests a second.
    PerSecond,
    /// Nanoseconds.
    Nanoseconds,
}

impl Measure {
    /// A figure as people read it; `-` for none.
    pub fn text(self, figure: Option<f64>) -> String {
        match (self, figure) {
            (_, None) => "-".to_string(),
            (Measure::PerSecond, Some(per_s)) => rate(per_s),
            (Measure::Nanoseconds, Some(ns)) => duration(ns),
        }
    }
}

/// Whether two figures differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finding {
    /// The interval of their difference does not hold 0.
    Different,
    /// It does: what differs may be chance. How large a difference that would hide, the interval says.
    NotDifferent,
    /// There is no interval, or it is of one run of each side and not far from 0.
    CannotSay,
}

impl Finding {
    /// In plain words.
    pub fn words(self) -> &'static str {
        match self {
            Finding::Different => "different",
            Finding::NotDifferent => "not different",
            Finding::CannotSay => "cannot say",
        }
    }
}

/// Compares the runs of `b` with those of `a`, both in the order in which they ran. Nothing is compared, and a warning says why, where
/// one side is empty or the results are of different formats, protocols or commands.
pub fn compare(a: &[Outcome], b: &[Outcome]) -> Comparison {
    let mut warnings = Vec::new();
    let all = || a.iter().chain(b);
    let refused = refusal(a, b);
    if let Some(why) = &refused {
        warnings.push(format!("these results cannot be compared: {why}"));
        return Comparison { warnings, rows: Vec::new(), method: String::new() };
    }
    let invalid = all().filter(|outcome| outcome.verdict.state == State::Invalid).count();
    if invalid > 0 {
        let runs = a.len() + b.len();
        warnings.push(format!(
            "{invalid} of {runs} results judge themselves invalid: what follows is not worth believing"
        ));
    }
    for (what, of) in ASKED {
        let (first, second) = (of(&a[0]), of(&b[0]));
        if let Some(other) = all().map(of).find(|other| *other != first) {
            let second = if second == first { other } else { second };
            warnings.push(format!("{what} differs: {first} against {second}"));
        }
    }
    let rows = FIGURES.iter().map(|figure| figure.row(a, b)).collect();
    let method = match (a.len(), b.len()) {
        (1, 1) => "One run of each: the intervals are those of its own samples, and know nothing of what changes from run to run; \
                   what lies within a third to a half is not said to differ."
            .to_string(),
        (n, m) if n == m && n >= PAIRS_MIN => {
            format!("{n} pairs of runs, in their order: Hodges-Lehmann estimate of the ratio, with its interval by signed ranks.")
        }
        (n, m) => format!("{n} runs against {m}: an interval needs as many of each, and {PAIRS_MIN} or more, run in turn."),
    };
    Comparison { warnings, rows, method }
}

impl Comparison {
    /// A table for a terminal; warnings come first, the method last.
    pub fn text(&self) -> String {
        let mut out = String::new();
        for warning in &self.warnings {
            let _ = writeln!(out, "warning: {warning}");
        }
        if self.rows.is_empty() {
            return out;
        }
        let _ = writeln!(
            out,
            "{:<16} {:>12} {:>12} {:>12}   {:<22} finding",
            "", "A", "B", "B against A", "95 % interval"
        );
        for row in &self.rows {
            let [a, b] = [row.a, row.b].map(|figure| row.unit.text(figure));
            let [percent, ci95] = row.difference();
            let words = row.finding.words();
            let _ = writeln!(out, "{:<16} {a:>12} {b:>12} {percent:>12}   {ci95:<22} {words}", row.name);
        }
        let _ = writeln!(out, "{}", self.method);
        out
    }
}

impl Row {
    /// The difference and its interval as people read them: `+3.2 %` and `+1.1 % to +5.0 %`; `-` and nothing where there is none.
    pub(super) fn difference(&self) -> [String; 2] {
        let percent = self.percent.map_or("-".to_string(), signed);
        let ci95 = self.ci95_percent.map(|ends| ends.map(signed));
        [percent, ci95.map_or(String::new(), |[low, high]| format!("{low} to {high}"))]
    }
}

fn refusal(a: &[Outcome], b: &[Outcome]) -> Option<String> {
    let (Some(first), Some(_)) = (a.first(), b.first()) else {
        return Some("one side has no run".to_string());
    };
    for other in a.iter().chain(b) {
        if other.schema != first.schema {
            return Some(format!("schema {} against {}", first.schema, other.schema));
        }
        if other.asked.protocol != first.asked.protocol {
            return Some(format!("protocol {} against {}", first.asked.protocol, other.asked.protocol));
        }
        if other.command != first.command {
            let [one, two] = [first, other].map(|outcome| format!("{:?}", outcome.command).to_lowercase());
            return Some(format!("a {one} against a {two}"));
        }
    }
    None
}

type Words = fn(&Outcome) -> String;

/// What makes two loads different questions.
const ASKED: [(&str, Words); 5] = [
    ("the arrival law", |outcome| outcome.asked.arrivals.clone()),
    ("the schedule", |outcome| outcome.asked.schedule.clone()),
    ("the number of connections", |outcome| outcome.asked.connections.to_string()),
    ("the pipeline", |outcome| outcome.asked.pipeline.to_string()),
    ("the CPU", |outcome| outcome.environment.cpu_model.clone()),
];

/// One figure of a result and, where its samples carry one, its interval.
struct Figure {
    name: &'static str,
    unit: Measure,
    of: fn(&Outcome) -> Option<f64>,
    ci95: fn(&Outcome) -> Option<[u64; 2]>,
}

const FIGURES: [Figure; 7] = {
    use Measure::{Nanoseconds as Ns, PerSecond};
    [
        Figure { name: "rate", unit: PerSecond, of: |run| Some(run.rate.achieved_per_s), ci95: |_| None },
        Figure {
            name: "response p50",
            unit: Ns,
            of: |run| ns(run.latency.response.p50_ns),
            ci95: |run| run.latency.response.ci95.p50_ns,
        },
        Figure {
            name: "response p99",
            unit: Ns,
            of: |run| ns(run.latency.response.p99_ns),
            ci95: |run| run.latency.response.ci95.p99_ns,
        },
        Figure {
            name: "response p99.9",
            unit: Ns,
            of: |run| ns(run.latency.response.p99_9_ns),
            ci95: |run| run.latency.response.ci95.p99_9_ns,
        },
        Figure {
            name: "service p50",
            unit: Ns,
            of: |run| ns(run.latency.service.p50_ns),
            ci95: |run| run.latency.service.ci95.p50_ns,
        },
        Figure {
            name: "service p99",
            unit: Ns,
            of: |run| ns(run.latency.service.p99_ns),
            ci95: |run| run.latency.service.ci95.p99_ns,
        },
        Figure {
            name: "CPU per request",
            unit: Ns,
            of: |run| run.generator.cpu_ns_per_request,
            ci95: |_| None,
        },
    ]
};

/// One run against one says nothing of a difference within these, in percent: runs of one load on one machine differ by a third.
const ONE_RUN_PERCENT: [f64; 2] = [-100.0 / 3.0, 50.0];

impl Figure {
    fn row(&self, a: &[Outcome], b: &[Outcome]) -> Row {
        let values = |side: &[Outcome]| -> Option<Vec<f64>> { side.iter().map(self.of).collect() };
        let (a_values, b_values) = (values(a), values(b));
        let (mut percent, mut ci95_percent) = (None, None);
        if let (Some(a_values), Some(b_values)) = (&a_values, &b_values) {
            if let Some(ratios) = log_ratios(a_values, b_values) {
                percent = paired::center(&ratios).map(in_percent);
                ci95_percent = paired::center_ci95(&ratios).map(|ends| ends.map(in_percent));
            } else {
                let (a, b) = (median(a_values), median(b_values));
                percent = (a > 0.0).then(|| (b / a - 1.0) * 100.0);
            }
            if let ([a], [b]) = (a, b) {
                ci95_percent = (self.ci95)(a).zip((self.ci95)(b)).and_then(|(a, b)| ratio_percent(a, b));
            }
        }
        // The interval of one run of each side knows nothing of how much runs differ.
        let [least, most] = if a.len() == 1 && b.len() == 1 { ONE_RUN_PERCENT } else { [0.0, 0.0] };
        let finding = match ci95_percent {
            Some([low, high]) if high < least || low > most => Finding::Different,
            Some([low, high]) if low <= 0.0 && high >= 0.0 => Finding::NotDifferent,
            _ => Finding::CannotSay,
        };
        let [a, b] = [a_values, b_values].map(|values| values.as_deref().map(median));
        Row { name: self.name, unit: self.unit, a, b, percent, ci95_percent, finding }
    }
}

/// The logarithms of the ratios of pairs; `None` where runs do not pair or a figure is 0.
fn log_ratios(a: &[f64], b: &[f64]) -> Option<Vec<f64>> {
    let pairs = a.len() == b.len() && a.iter().chain(b).all(|value| *value > 0.0);
    pairs.then(|| a.iter().zip(b).map(|(a, b)| (b / a).ln()).collect())
}

fn in_percent(log_ratio: f64) -> f64 {
    log_ratio.exp_m1() * 100.0
}

/// The widest that a ratio can be when both figures lie somewhere in their intervals. Without 0 in it exactly when those do not meet.
fn ratio_percent(a: [u64; 2], b: [u64; 2]) -> Option<[f64; 2]> {
    let ratio = |b: u64, a: u64| (b as f64 / a as f64 - 1.0) * 100.0;
    (a[0] > 0).then(|| [ratio(b[0], a[1]), ratio(b[1], a[0])])
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    f64::midpoint(sorted[(sorted.len() - 1) / 2], sorted[sorted.len() / 2])
}

fn ns(value: Option<u64>) -> Option<f64> {
    value.map(|ns| ns as f64)
}

/// With its sign, and with the digits that tell it from 0 and from -100 %; how many times as much where percent would be no figure
/// that one can grasp.
fn signed(percent: f64) -> String {
    let text = match percent {
        p if p >= 900.0 => return format!("{}x", times_text(1.0 + p / 100.0)),
        p if p.abs() < 9.95 => format!("{p:+.1}"),
        p if p < -99.0 => format!("{p:+.3}"),
        p => format!("{p:+.0}"),
    };
    if text == "+0.0" || text == "-0.0" { "0 %".to_string() } else { format!("{text} %") }
}

/// With at least three digits.
fn times_text(times: f64) -> String {
    if times < 99.95 { format!("{times:.1}") } else { count(times.round() as u64) }
}

/// Pairs from which a confidence interval of 95 % by signed ranks exists.
const PAIRS_MIN: usize = 6;

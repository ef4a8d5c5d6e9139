//! Figures out of runs: what each run says of a measure, its range over the rounds, ratios paired by round.
//!
//! Never prints; never compares runs of different rounds.

use serde_json::{Value, json};
use stats::paired::{center, center_ci95};

use crate::contenders::Contender;
use crate::run::Run;

/// All runs of one contender in one case, in the order of the rounds.
pub struct Column {
    pub contender: Contender,
    /// `None` where a run failed.
    pub runs: Vec<Option<Run>>,
}

/// What can be asked of a run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Measure {
    /// Messages a second: the p90 of the run's 100 ms windows, or its mean where the client has none.
    Rate,
    CpuNs,
    P50,
    P99,
    P999,
    /// Bytes of memory that each connection between the first few and the many added.
    MemoryEach,
    /// KiB with many idle connections.
    MemoryMany,
}

impl Measure {
    /// Of one run; not a number where it was not measured.
    pub fn of(self, run: &Run) -> f64 {
        match self {
            Self::Rate => quantile(&rates(run), 0.9),
            Self::CpuNs => number(run, "server_cpu_ns") / number(run, "messages"),
            Self::P50 => number(run, "latency_ns_p50"),
            Self::P99 => number(run, "latency_ns_p99"),
            Self::P999 => number(run, "latency_ns_p999"),
            Self::MemoryEach => number(run, "memory_bytes_each"),
            Self::MemoryMany => number(run, "memory_kib_many"),
        }
    }

    /// In words, with its unit.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rate => "messages/s",
            Self::CpuNs => "CPU time a message",
            Self::P50 => "p50",
            Self::P99 => "p99",
            Self::P999 => "p99.9",
            Self::MemoryEach => "bytes a connection",
            Self::MemoryMany => "memory of all",
        }
    }

    pub fn more_is_better(self) -> bool {
        self == Self::Rate
    }
}

/// One number over the rounds.
#[derive(Clone, Copy)]
pub struct Range {
    pub low: f64,
    pub median: f64,
    pub high: f64,
}

impl Range {
    pub fn of(values: impl Iterator<Item = f64>) -> Option<Self> {
        let mut sorted: Vec<f64> = values.filter(|value| value.is_finite()).collect();
        sorted.sort_by(f64::total_cmp);
        let (low, high) = (*sorted.first()?, *sorted.last()?);
        let median = (sorted[(sorted.len() - 1) / 2] + sorted[sorted.len() / 2]) / 2.0;
        Some(Self { low, median, high })
    }

    pub fn json(self) -> Value {
        json!({ "low": self.low, "median": self.median, "high": self.high })
    }
}

/// What one contender has of another's, round by round.
#[derive(Clone, Copy)]
pub struct Ratio {
    pub range: Range,
    /// The Hodges-Lehmann estimate of the logarithms, and its interval of 95 %, which takes six rounds.
    pub center: f64,
    pub ci95: Option<[f64; 2]>,
}

impl Ratio {
    fn of(ratios: &[f64]) -> Option<Self> {
        let range = Range::of(ratios.iter().copied())?;
        let logs: Vec<f64> = ratios.iter().map(|ratio| ratio.ln()).filter(|log| log.is_finite()).collect();
        let ci95 = center_ci95(&logs).map(|ends| ends.map(f64::exp));
        Some(Self { range, center: center(&logs)?.exp(), ci95 })
    }

    pub fn json(self) -> Value {
        let mut value = self.range.json();
        value["center"] = self.center.into();
        value["ci95"] = json!(self.ci95);
        value
    }
}

impl Column {
    pub fn over(&self, value: impl Fn(&Run) -> f64) -> Option<Range> {
        Range::of(self.runs.iter().flatten().map(value))
    }

    /// This contender's value over the other's of the same round.
    pub fn against(&self, other: Option<&Self>, value: impl Fn(&Run) -> f64) -> Option<Ratio> {
        let pairs = self.runs.iter().zip(&other?.runs);
        let ratio = |(ours, theirs): (&Option<Run>, &Option<Run>)| {
            Some(value(ours.as_ref()?) / value(theirs.as_ref()?))
        };
        let ratios: Vec<f64> = pairs.filter_map(ratio).filter(|ratio| ratio.is_finite()).collect();
        Ratio::of(&ratios)
    }

    /// Rates of all windows of all rounds, sorted.
    pub fn pooled_rates(&self) -> Vec<f64> {
        let mut pooled: Vec<f64> = self.runs.iter().flatten().flat_map(rates).collect();
        pooled.sort_by(f64::total_cmp);
        pooled
    }
}

pub fn number(run: &Run, name: &str) -> f64 {
    run.client[name].as_f64().unwrap_or(f64::NAN)
}

/// Of sorted values; not a number where there is none.
pub fn quantile(sorted: &[f64], q: f64) -> f64 {
    match sorted.len() {
        0 => f64::NAN,
        count => sorted[((count - 1) as f64 * q).round() as usize],
    }
}

/// Messages a second in each window of one run, sorted; the mean alone where the client has no windows.
fn rates(run: &Run) -> Vec<f64> {
    let per_second = 1000.0 / run.client["window_ms"].as_f64().unwrap_or(100.0);
    let windows = run.client["windows"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut rates: Vec<f64> =
        windows.iter().filter_map(Value::as_f64).map(|count| count * per_second).collect();
    rates.extend(run.client["rate_per_s"].as_f64());
    rates.sort_by(f64::total_cmp);
    rates
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cases::Kind;

    fn column(rates: &[Option<f64>]) -> Column {
        let contender = Contender::parse("x=echo:x").expect("a contender");
        assert_eq!(contender.kind, Kind::Echo);
        let run = |rate: &Option<f64>| {
            let client = json!({ "rate_per_s": (*rate)? });
            Some(Run { client, totals: Value::Null, rss_peak_kib: 0, start_us: 0 })
        };
        Column { contender, runs: rates.iter().map(run).collect() }
    }

    #[test]
    fn a_ratio_pairs_runs_of_the_same_round_and_leaves_out_rounds_in_which_one_failed() {
        let ours = column(&[Some(110.0), None, Some(300.0)]);
        let theirs = column(&[Some(100.0), Some(1.0), Some(200.0)]);
        let ratio = ours.against(Some(&theirs), |run| Measure::Rate.of(run)).expect("two pairs");
        assert_eq!((ratio.range.low, ratio.range.high), (1.1, 1.5));
        assert!(ratio.ci95.is_none(), "two rounds carry no interval");
    }

    #[test]
    fn six_rounds_carry_an_interval_that_holds_the_center() {
        let ours = column(&[1.0, 1.1, 1.2, 1.3, 1.4, 1.5].map(Some));
        let theirs = column(&[Some(1.0); 6]);
        let ratio = ours.against(Some(&theirs), |run| Measure::Rate.of(run)).expect("six pairs");
        let [low, high] = ratio.ci95.expect("six rounds");
        assert!((1.0..=ratio.center).contains(&low) && (ratio.center..=1.5 + 1e-9).contains(&high));
    }

    #[test]
    fn what_was_not_measured_is_not_a_number_and_has_no_range() {
        assert!(column(&[Some(1.0)]).over(|run| Measure::MemoryEach.of(run)).is_none());
    }
}

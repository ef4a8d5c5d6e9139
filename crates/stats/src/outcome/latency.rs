//! One histogram as it is written down: quantiles that the samples carry, each with its interval, and the curve.
//!
//! Values are those of HdrHistogram: the highest that falls into the same bucket, at most 0.1 % above what was recorded. The maximum
//! and the minimum are kept to the same digits.

use super::thousandths;
use crate::interval::Interval;
use crate::quantile::{ci95, value};
use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// The histograms, side by side.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Latencies {
    /// From the intended arrival to the last byte of the answer. What a user of the server waits.
    pub response: Latency,
    /// From the first byte given to the kernel to the last byte of the answer.
    pub service: Latency,
    /// From when a request was due and a connection free to the first byte given to the kernel: the generator's own error.
    pub send_lag: Latency,
    /// From the start of a connect to its success, over the whole run with its warm-up.
    pub connect: Latency,
    /// From the first byte given to the kernel to the first byte of the answer.
    pub first_byte: Latency,
}

impl Latencies {
    /// What an interval's histograms say.
    pub fn of(interval: &Interval) -> Latencies {
        let [response, service, send_lag, connect, first_byte] =
            interval.each().map(|(_, of)| Latency::of(of));
        Latencies { response, service, send_lag, connect, first_byte }
    }

    /// Each with its name in the file.
    pub fn each(&self) -> [(&'static str, &Latency); 5] {
        let Latencies { response, service, send_lag, connect, first_byte } = self;
        [
            ("response", response),
            ("service", service),
            ("send_lag", send_lag),
            ("connect", connect),
            ("first_byte", first_byte),
        ]
    }
}

/// One histogram. A quantile `q` is `null` where fewer than 20 samples lie beyond it (`n (1 - q) < 20`); the maximum always stands
/// when there is a sample.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names are the statistics")]
pub struct Latency {
    pub count: u64,
    pub mean_ns: Option<f64>,
    pub min_ns: Option<u64>,
    pub p50_ns: Option<u64>,
    pub p90_ns: Option<u64>,
    pub p99_ns: Option<u64>,
    pub p99_9_ns: Option<u64>,
    pub p99_99_ns: Option<u64>,
    pub max_ns: Option<u64>,
    /// Confidence intervals of 95 % of the quantiles above, by order statistics.
    pub ci95: Ci95,
    /// The distribution from its minimum to its maximum, for a plot.
    pub curve: Vec<Point>,
}

impl Latency {
    /// What one histogram says. The curve has ticks like HdrHistogram's percentile distribution, eight to each halving of
    /// what is left above, so that each decade of the tail has as many points as the last: at most 170 for a million samples, 250 for
    /// a billion.
    pub fn of(histogram: &Histogram<u64>) -> Latency {
        let n = histogram.len();
        let any = n > 0;
        let ci95 = |q| ci95(histogram, q);
        let curve = histogram.iter_quantiles(TICKS_PER_HALF_DISTANCE);
        Latency {
            count: n,
            mean_ns: any.then(|| thousandths(histogram.mean())),
            min_ns: any.then(|| histogram.min()),
            p50_ns: value(histogram, 0.5),
            p90_ns: value(histogram, 0.9),
            p99_ns: value(histogram, 0.99),
            p99_9_ns: value(histogram, 0.999),
            p99_99_ns: value(histogram, 0.9999),
            max_ns: any.then(|| histogram.max()),
            ci95: Ci95 {
                p50_ns: ci95(0.5),
                p90_ns: ci95(0.9),
                p99_ns: ci95(0.99),
                p99_9_ns: ci95(0.999),
                p99_99_ns: ci95(0.9999),
            },
            curve: curve
                .filter(|_| any)
                .map(|tick| Point {
                    quantile: tick.quantile_iterated_to(),
                    value_ns: tick.value_iterated_to(),
                })
                .collect(),
        }
    }

    /// The quantiles that a result has.
    pub fn quantiles(&self) -> [Quantile; 5] {
        let Latency { p50_ns, p90_ns, p99_ns, p99_9_ns, p99_99_ns, ci95, .. } = self;
        let of =
            |q, name, value_ns: &Option<u64>, ci95_ns| Quantile { q, name, value_ns: *value_ns, ci95_ns };
        [
            of(0.5, "p50", p50_ns, ci95.p50_ns),
            of(0.9, "p90", p90_ns, ci95.p90_ns),
            of(0.99, "p99", p99_ns, ci95.p99_ns),
            of(0.999, "p99.9", p99_9_ns, ci95.p99_9_ns),
            of(0.9999, "p99.99", p99_99_ns, ci95.p99_99_ns),
        ]
    }
}

/// One quantile of a histogram.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quantile {
    /// 0 to 1.
    pub q: f64,
    /// As people write it: `p99.9`.
    pub name: &'static str,
    /// Nanoseconds; `None` where the samples do not carry it.
    pub value_ns: Option<u64>,
    /// A confidence interval of 95 %.
    pub ci95_ns: Option<[u64; 2]>,
}

/// Of the curve. HdrHistogram's own output has five, which is coarse for a few thousand samples.
const TICKS_PER_HALF_DISTANCE: u32 = 8;

/// Lower and upper end, where the quantile itself stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names are those of the quantiles")]
pub struct Ci95 {
    pub p50_ns: Option<[u64; 2]>,
    pub p90_ns: Option<[u64; 2]>,
    pub p99_ns: Option<[u64; 2]>,
    pub p99_9_ns: Option<[u64; 2]>,
    pub p99_99_ns: Option<[u64; 2]>,
}

/// One point of a distribution: the share `quantile` of samples is at most `value_ns`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// 0 to 1.
    pub quantile: f64,
    /// Nanoseconds.
    pub value_ns: u64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interval::histogram;

    fn of(n: u64) -> Latency {
        let mut values = histogram();
        (1..=n).for_each(|k| values.record(k * 1_000).expect("in range"));
        Latency::of(&values)
    }

    #[test]
    fn a_quantile_is_printed_from_the_sample_on_that_leaves_twenty_beyond_it() {
        let printed = |n| of(n).quantiles().iter().filter(|quantile| quantile.value_ns.is_some()).count();
        for (n, count) in
            [(0, 0), (39, 0), (40, 1), (199, 1), (200, 2), (1_999, 2), (2_000, 3), (19_999, 3), (20_000, 4)]
        {
            assert_eq!(printed(n), count, "{n} samples");
        }
        assert_eq!((printed(199_999), printed(200_000)), (4, 5));
    }

    #[test]
    fn every_printed_quantile_lies_in_its_interval() {
        for Quantile { q, name, value_ns, ci95_ns } in of(200_000).quantiles() {
            let (value, [low, high]) = (value_ns.expect(name), ci95_ns.expect(name));
            assert!(low <= value && value <= high, "{name}: {value} in {low}..{high}");
            let exact = q * 200_000.0 * 1_000.0;
            assert!((value as f64 / exact - 1.0).abs() < 0.001, "{name}: {value}, exact {exact}");
        }
    }

    #[test]
    fn the_curve_goes_from_the_minimum_to_the_maximum_and_never_falls() {
        let mut values = histogram();
        (1..=1_000_000).for_each(|k| values.record(1_000_000_000_000 / k).expect("in range"));
        let Latency { curve, max_ns, min_ns, .. } = Latency::of(&values);
        assert!((120..=170).contains(&curve.len()), "{} points", curve.len());
        assert!(curve.is_sorted_by(|a, b| a.quantile < b.quantile && a.value_ns <= b.value_ns));
        let (first, last) = (curve[0], curve[curve.len() - 1]);
        // The minimum is the lowest of its bucket, the curve has the highest.
        assert!(
            first.quantile == 0.0 && values.equivalent(first.value_ns, min_ns.expect("there are samples"))
        );
        assert_eq!((last.quantile, Some(last.value_ns)), (1.0, max_ns));
        assert!(curve.iter().filter(|point| point.quantile > 0.999).count() > 30, "the tail is drawn too");
    }

    #[test]
    fn nothing_recorded_is_nothing_printed() {
        assert_eq!(Latency::of(&histogram()), Latency::default());
    }
}

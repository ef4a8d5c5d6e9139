//! One histogram as it is written down: quantiles that the samples carry, each with its interval, and the curve.

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

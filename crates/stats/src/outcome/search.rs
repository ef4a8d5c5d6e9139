//! What a search for the highest rate found.

use serde::{Deserialize, Serialize};

/// The highest rate that keeps a promise, and the curve that says so.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Search {
    /// The promise, as typed: `p99<2ms`.
    pub slo: String,
    /// The highest rate that was accepted; `null` when none was.
    pub rate_per_s: Option<f64>,
    /// A confidence interval of 95 % of the rate at which the curve meets the promise, by bootstrap over runs.
    pub ci95_per_s: Option<[f64; 2]>,
    /// Every candidate, by rate.
    pub points: Vec<SearchPoint>,
    /// Why it ended: `found`, `ceiling` (the highest rate asked for holds), `floor` (the lowest does not), `budget`, `interrupted`,
    /// `generator` (it could not send as fast as the next rate asks).
    pub ended: String,
}

/// One rate that was tried.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SearchPoint {
    /// Requests per second that were asked for.
    pub rate_per_s: f64,
    /// Median of what was achieved.
    pub achieved_per_s: f64,
    /// The quantile of the promise in each run, in the order in which they ran; `null` where a run could not carry it.
    pub runs_ns: Vec<Option<u64>>,
    /// Whether each run kept the promise.
    pub kept: Vec<bool>,
    /// Whether the rate was accepted.
    pub accepted: bool,
    /// The curve at this rate: isotonic regression over the medians of the runs.
    pub fitted_ns: Option<f64>,
}

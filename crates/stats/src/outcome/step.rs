//! One step of a run: what a second of it looked like.

use super::thousandths;
use crate::interval::Interval;
use crate::quantile::value;
use serde::{Deserialize, Serialize};

/// One step of the series.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Begin, since the measured time began.
    pub from_ns: u64,
    /// End; exclusive.
    pub to_ns: u64,
    /// Requests of the measured time that were answered as they should be in it; of the last step, after it too.
    pub answered: u64,
    /// Good answers that came in it, whenever they were asked for: what its rate is made of.
    pub completed: u64,
    /// Errors that were seen in it.
    pub errors: u64,
    /// Bytes received in it.
    pub bytes_in: u64,
    /// Of `response`, of what ended in it.
    pub mean_ns: Option<f64>,
    /// Of `response`.
    pub p50_ns: Option<u64>,
    /// Of `response`.
    pub p90_ns: Option<u64>,
    /// Of `response`.
    pub p99_ns: Option<u64>,
    /// Of `response`.
    pub p99_9_ns: Option<u64>,
    /// Of `response`.
    pub max_ns: Option<u64>,
    /// Of `service`.
    pub service_p99_ns: Option<u64>,
    /// Of `send_lag`.
    pub send_lag_p99_ns: Option<u64>,
    /// Connections open at its end.
    pub connections: u64,
}

impl Step {
    /// What one interval says, with so many connections open at its end.
    pub fn of(interval: &Interval, connections: u64) -> Step {
        let Interval { from_ns, to_ns, response, service, send_lag, counts, .. } = interval;
        let any = !response.is_empty();
        Step {
            from_ns: *from_ns,
            to_ns: *to_ns,
            answered: counts.answered,
            completed: counts.completed,
            errors: counts.errors(),
            bytes_in: counts.bytes_in,
            mean_ns: any.then(|| thousandths(response.mean())),
            p50_ns: value(response, 0.5),
            p90_ns: value(response, 0.9),
            p99_ns: value(response, 0.99),
            p99_9_ns: value(response, 0.999),
            max_ns: any.then(|| response.max()),
            service_p99_ns: value(service, 0.99),
            send_lag_p99_ns: value(send_lag, 0.99),
            connections,
        }
    }
}

//! The figures of a comparison: one table, from which every text, page and chart takes names, units and order.

use super::{Round, Variant};
use crate::text::{bytes, duration, rate};
use crate::trend::median;

/// One figure.
#[derive(Debug)]
pub struct Figure {
    /// Its key in a round.
    pub key: &'static str,
    /// What it is called in sentences and above columns.
    pub name: &'static str,
    /// The same in at most ten letters, for a column of a terminal.
    pub short: &'static str,
    /// What it is measured in.
    pub unit: Unit,
    /// By which measurement.
    pub group: Group,
    /// Where it stands.
    pub of: fn(&Round) -> Option<f64>,
}

/// What a figure is measured in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Requests a second.
    PerSecond,
    /// Nanoseconds.
    Nanoseconds,
    /// Bytes.
    Bytes,
    /// A number.
    Count,
}

/// How a figure was measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// As fast as the server answers.
    Closed,
    /// At a rate that is the same for all.
    Open,
    /// With connections that say nothing.
    Idle,
}

impl Figure {
    /// The median of the rounds that have it.
    pub fn median(&self, variant: &Variant) -> Option<f64> {
        let mut values = self.values(variant);
        (!values.is_empty()).then(|| median(&mut values))
    }

    /// Of the rounds that have it, in their order.
    pub fn values(&self, variant: &Variant) -> Vec<f64> {
        variant.rounds.iter().filter_map(self.of).collect()
    }

    /// A value as people read it; `-` for none.
    pub fn text(&self, value: Option<f64>) -> String {
        let Some(value) = value else { return "-".to_owned() };
        match self.unit {
            Unit::PerSecond => rate(value),
            Unit::Nanoseconds => duration(value),
            Unit::Bytes => bytes(value),
            Unit::Count => count(value),
        }
    }
}

/// Three digits, and no more than four decimals: what is rarer happened a few times in a run.
fn count(value: f64) -> String {
    let text = match value {
        v if v >= 100.0 => format!("{v:.0}"),
        v if v >= 10.0 => format!("{v:.1}"),
        v if v >= 1.0 => format!("{v:.2}"),
        v if v >= 0.1 => format!("{v:.3}"),
        v => format!("{v:.4}"),
    };
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// Every figure there is, in the order in which they are shown.
pub const FIGURES: &[Figure] = {
    use Group::{Closed, Idle, Open};
    use Unit::{Bytes, Count, Nanoseconds, PerSecond};
    &[
        figure("requests_per_s", "requests/s", "requests/s", PerSecond, Closed, |r| r.requests_per_s),
        figure("cpu_ns_per_request", "CPU per request", "CPU", Nanoseconds, Closed, |r| r.cpu_ns_per_request),
        figure("enters_per_request", "waits per request (meter)", "waits", Count, Closed, |r| {
            r.enters_per_request
        }),
        figure("calls_per_request", "system calls per request (meter)", "calls", Count, Closed, |r| {
            r.calls_per_request
        }),
        figure("syscalls_per_request", "system calls per request (kernel)", "syscalls", Count, Closed, |r| {
            r.syscalls_per_request
        }),
        figure(
            "switches_voluntary_per_request",
            "voluntary context switches per request",
            "voluntary",
            Count,
            Closed,
            |r| r.switches_voluntary_per_request,
        ),
        figure(
            "switches_involuntary_per_request",
            "involuntary context switches per request",
            "involunt.",
            Count,
            Closed,
            |r| r.switches_involuntary_per_request,
        ),
        figure("p50_ns", "response p50", "p50", Nanoseconds, Open, |r| r.p50_ns),
        figure("p99_ns", "response p99", "p99", Nanoseconds, Open, |r| r.p99_ns),
        figure("p99_9_ns", "response p99.9", "p99.9", Nanoseconds, Open, |r| r.p99_9_ns),
        figure("cpu_ns_per_request_at_rate", "CPU per request at the rate", "CPU", Nanoseconds, Open, |r| {
            r.cpu_ns_per_request_at_rate
        }),
        figure("memory_bytes_per_connection", "memory per idle connection", "per idle", Bytes, Idle, |r| {
            r.memory_bytes_per_connection
        }),
        figure("resident_bytes", "resident memory", "resident", Bytes, Idle, |r| r.resident_bytes),
        figure("threads", "threads", "threads", Count, Idle, |r| r.threads),
    ]
};

const fn figure(
    key: &'static str,
    name: &'static str,
    short: &'static str,
    unit: Unit,
    group: Group,
    of: fn(&Round) -> Option<f64>,
) -> Figure {
    Figure { key, name, short, unit, group, of }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_has_the_digits_that_tell_it_from_others() {
        for (value, text) in [
            (0.0, "0"),
            (0.00004, "0"),
            (0.0314, "0.0314"),
            (0.5, "0.5"),
            (2.004, "2"),
            (33.33, "33.3"),
            (1234.0, "1234"),
        ] {
            assert_eq!(count(value), text);
        }
    }

    #[test]
    fn every_figure_is_a_key_of_a_round_with_a_column_that_holds_its_name() {
        let round = serde_json::to_value(Round::default()).expect("a round can be written");
        for figure in FIGURES {
            assert!(round.get(figure.key).is_some(), "{}", figure.key);
            assert!(figure.short.len() <= 10, "{}", figure.short);
        }
    }
}

//! A result from its parts: what was asked, the steps one by one, and what stood at the end.
//!
//! Steps come as they end and are not kept: each adds to the sum and leaves one line of the series, so that memory grows by a hundred
//! bytes a second, whatever the rate. What is derived (rates, quantiles, costs a request, the verdict) is derived here, once.

use super::{
    Arrivals, Asked, Command, Connections, Environment, Errors, Generator, Latencies, Outcome, Rate, SCHEMA,
    State, Statuses, Step, Verdict, Verify, thousandths,
};
use crate::fit::gap_distance;
use crate::interval::{Counts, Interval};
use crate::schedule::Law;
use crate::verdict;

/// What is known before a run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What is run.
    pub command: Command,
    /// The program's version.
    pub version: String,
    /// Seconds since 1970 UTC.
    pub began_unix_s: u64,
    /// What was asked for.
    pub asked: Asked,
    /// The law of arrivals; `None` for a closed loop.
    pub law: Option<Law>,
    /// Whether answers are compared.
    pub verify: bool,
}

/// What is known when a run has ended.
#[derive(Clone, Debug)]
pub struct End {
    /// How long was measured, in nanoseconds; above 0.
    pub measured_ns: u64,
    /// Arrivals that the schedule expects in that time ([`crate::schedule::Arrivals::expected`]); `None` for a closed loop.
    pub expected: Option<f64>,
    /// Connections open when the measured time ended.
    pub held: u64,
    /// Times between sends that follow each other, as intended and as sent, in nanoseconds: a seeded sample.
    pub gaps: Vec<(u64, u64)>,
    /// What it cost.
    pub cost: Cost,
    /// Where it ran.
    pub environment: Environment,
}

/// What the shards' meters say of the measured time.
#[derive(Clone, Debug, Default)]
pub struct Cost {
    /// The core of each shard; `None` is not pinned.
    pub cores: Vec<Option<u64>>,
    /// CPU time of all shards, in the kernel too, without what was spun.
    pub cpu_ns: u64,
    /// Time spent looking at memory for work instead of sleeping.
    pub spun_ns: u64,
    /// Share of the time that the busiest shard worked, 0 to 1, without what was spun.
    pub busy_max: f64,
    /// Calls of `io_uring_enter`; `None` where nobody counts them.
    pub enters: Option<u64>,
}

/// A result in the making.
#[derive(Clone, Debug)]
pub struct Build {
    plan: Plan,
    whole: Interval,
    series: Vec<Step>,
}

impl Build {
    /// Of a run that begins.
    pub fn new(plan: Plan) -> Build {
        Build { plan, whole: Interval::new(), series: Vec::new() }
    }

    /// Adds the next step, joined over all seats, and says what it looked like. Steps come in order; the first also has the connects
    /// of the time before.
    pub fn add(&mut self, step: &Interval) -> &Step {
        if let Some(last) = self.series.last() {
            assert!(
                step.from_ns >= last.from_ns,
                "a step from {} after one from {}",
                step.from_ns,
                last.from_ns
            );
        }
        self.whole.join(step);
        let Counts { opened, ended, lost_connections, .. } = self.whole.counts;
        let open = opened.saturating_sub(ended + lost_connections);
        self.series.push(Step::of(step, open));
        &self.series[self.series.len() - 1]
    }

    /// Everything so far, joined.
    pub fn whole(&self) -> &Interval {
        &self.whole
    }

    /// The series so far.
    pub fn series(&self) -> &[Step] {
        &self.series
    }

    /// The result, judged.
    pub fn finish(self, end: End) -> Outcome {
        let Build { plan, whole, series } = self;
        let counts = whole.counts;
        assert!(end.measured_ns > 0, "a time that was measured is not empty");
        let measured_s = end.measured_ns as f64 / 1e9;
        let per_s = |sum: f64| thousandths(sum / measured_s);
        let per_request =
            |sum: f64| (counts.completed > 0).then(|| thousandths(sum / counts.completed as f64));
        let mut outcome = Outcome {
            schema: SCHEMA,
            command: plan.command,
            version: plan.version,
            began_unix_s: plan.began_unix_s,
            asked: plan.asked,
            measured_ns: end.measured_ns,
            verdict: Verdict { state: State::Valid, reasons: Vec::new() },
            rate: Rate {
                target_per_s: end.expected.map(per_s),
                achieved_per_s: per_s(counts.completed as f64),
                received_bytes_per_s: per_s(counts.bytes_in as f64),
                sent_bytes_per_s: per_s(counts.bytes_out as f64),
            },
            latency: Latencies::of(&whole),
            errors: Errors::of(&counts),
            verify: Verify::of(&counts, plan.verify),
            status: Statuses::of(&counts),
            connections: Connections {
                opened: counts.opened,
                held: end.held,
                lost: counts.lost_connections,
                ended: counts.ended,
            },
            arrivals: Arrivals {
                due: counts.due,
                sent: counts.sent,
                answered: counts.answered,
                waited: counts.waited,
                dropped: counts.dropped,
                overflowed: counts.overflowed,
                warmup: counts.warmup,
                gaps_ks: plan.law.and_then(|law| gap_distance(&end.gaps, law)).map(millionths),
                gaps_count: end.gaps.len() as u64,
            },
            generator: Generator {
                cores: end.cost.cores,
                cpu_ns: end.cost.cpu_ns,
                spun_ns: end.cost.spun_ns,
                cpu_ns_per_request: per_request(end.cost.cpu_ns as f64),
                busy_max: millionths(end.cost.busy_max),
                paused_max_ns: whole.paused_max_ns,
                enters_per_request: end.cost.enters.and_then(|enters| per_request(enters as f64)),
            },
            series,
            environment: end.environment,
            search: None,
            hold: None,
        };
        outcome.verdict = verdict::judge(&outcome);
        outcome
    }
}

fn millionths(share: f64) -> f64 {
    (share * 1e6).round() / 1e6
}

impl Errors {
    fn of(counts: &Counts) -> Errors {
        let Counts { refused, reset, connect_timeout, short, mismatch, status, .. } = *counts;
        // Connects that had no answer in time stand beside the requests that had none.
        let timeout = counts.timeout + connect_timeout;
        Errors { refused, reset, timeout, short, mismatch, status }
    }
}

impl Verify {
    fn of(counts: &Counts, on: bool) -> Verify {
        let Counts { checked_bytes, corrupt, short, extra, reordered, duplicated, lost, .. } = *counts;
        Verify { on, checked_bytes, corrupt, short, extra, reordered, duplicated, lost }
    }
}

impl Statuses {
    fn of(counts: &Counts) -> Statuses {
        let Counts { status_1xx, status_2xx, status_3xx, status_4xx, status_5xx, .. } = *counts;
        Statuses {
            informational: status_1xx,
            success: status_2xx,
            redirection: status_3xx,
            client_error: status_4xx,
            server_error: status_5xx,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    #[test]
    fn steps_add_up_to_the_result_and_leave_a_line_each() {
        let mut build = Build::new(sample::plan());
        for k in 0..4 {
            let mut step = sample::second(k, 1_000);
            (step.counts.opened, step.counts.lost_connections) =
                ([64, 0, 2, 0][k as usize], [0, 5, 0, 0][k as usize]);
            assert_eq!(build.add(&step).answered, 1_000);
        }
        let open: Vec<u64> = build.series().iter().map(|step| step.connections).collect();
        assert_eq!(open, [64, 59, 61, 61]);
        assert_eq!((build.whole().response.len(), build.whole().to_ns), (4_000, 4_000_000_000));

        let end = End { measured_ns: 4_000_000_000, expected: Some(4_001.0), held: 61, ..sample::end() };
        let outcome = build.finish(end);
        assert_eq!((outcome.rate.target_per_s, outcome.rate.achieved_per_s), (Some(1_000.25), 1_000.0));
        assert_eq!((outcome.rate.received_bytes_per_s, outcome.rate.sent_bytes_per_s), (120_000.0, 62_000.0));
        assert_eq!(
            (outcome.latency.response.count, outcome.arrivals.answered, outcome.series.len()),
            (4_000, 4_000, 4)
        );
        let Connections { opened, held, lost, ended } = outcome.connections;
        assert_eq!((opened, held, lost, ended), (66, 61, 5, 0));
        assert_eq!(outcome.generator.cpu_ns_per_request, Some(525_000.0));
        assert_eq!(outcome.generator.enters_per_request, Some(22.5));
        assert_eq!(outcome.verdict.reasons, ["duration: ended after 4 s of 10 s"]);
    }

    #[test]
    #[should_panic(expected = "a step from 0 after one from 1000000000")]
    fn steps_out_of_order_are_a_mistake_of_ours() {
        let mut build = Build::new(sample::plan());
        build.add(&sample::second(1, 10));
        build.add(&sample::second(0, 10));
    }
}

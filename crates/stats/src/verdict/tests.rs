//! One row for each reason that a result can be doubted, and one for each that is close and is none.

use super::{findings, judge};
use crate::outcome::State::{Degraded, Invalid, Valid};
use crate::outcome::{Arrivals, Command, Latency, Outcome, State, Step};
use crate::sample;

type Change = fn(&mut Outcome);

/// A result of a good run, changed, and what is to be said of it: the begin of each reason.
fn check(name: &str, change: Change, state: State, reasons: &[&str]) {
    let mut outcome = sample::good();
    change(&mut outcome);
    let verdict = judge(&outcome);
    assert_eq!(verdict.state, state, "{name}: {:?}", verdict.reasons);
    assert_eq!(verdict.reasons.len(), reasons.len(), "{name}: {:?}", verdict.reasons);
    for (said, expected) in verdict.reasons.iter().zip(reasons) {
        assert!(said.starts_with(expected), "{name}: `{said}` does not begin with `{expected}`");
    }
}

fn closed(outcome: &mut Outcome) {
    outcome.rate.target_per_s = None;
    outcome.arrivals.gaps_ks = None;
    outcome.asked.arrivals = "closed".to_owned();
}

fn hold(outcome: &mut Outcome) {
    closed(outcome);
    outcome.command = Command::Hold;
    outcome.asked.connections = 64;
    (outcome.arrivals.due, outcome.arrivals.sent, outcome.arrivals.answered) = (0, 0, 0);
    outcome.latency.response = Latency::default();
}

/// Without a warm-up, and with answers that take so long on average.
fn no_warmup(outcome: &mut Outcome, mean_ns: f64) {
    outcome.asked.warmup_ns = 0;
    outcome.latency.service.mean_ns = Some(mean_ns);
}

/// The series with a figure that goes from 1 to `1 + by` in a straight line.
fn drifting(outcome: &mut Outcome, by: f64, set: fn(&mut Step, f64)) {
    let steps = outcome.series.len();
    for (k, step) in outcome.series.iter_mut().enumerate() {
        set(step, 1.0 + by * k as f64 / (steps - 1) as f64);
    }
}

#[test]
fn each_thing_that_spoils_a_result_is_found_and_named() {
    #[rustfmt::skip]
    let rows: &[(&str, Change, State, &[&str])] = &[
        ("a good run", |_| {}, Valid, &[]),
        ("nothing answered", |o| { o.arrivals.answered = 0; o.rate.achieved_per_s = 0.0; o.latency.response = Latency::default() },
            Invalid, &["answers: none came to 100,000 requests"]),
        ("nothing due", |o| { o.arrivals = Arrivals::default(); o.latency.response = Latency::default() },
            Invalid, &["answers: no request was sent within 10 s"]),
        ("39 samples", |o| o.latency.response.count = 39, Invalid, &["samples: 39 carry no quantile at all, a median needs 40"]),
        ("1,999 samples", |o| o.latency.response.count = 1_999, Degraded, &["samples: 1,999 carry no p99, which needs 2,000"]),
        ("2,000 samples", |o| o.latency.response.count = 2_000, Valid, &[]),
        ("Ctrl-C", |o| o.measured_ns = 3_000_000_000, Degraded, &["duration: ended after 3 s of 10 s"]),
        ("99.1 % of the rate", |o| o.rate.achieved_per_s = 9_910.0, Valid, &[]),
        ("98 % of the rate", |o| o.rate.achieved_per_s = 9_800.0, Degraded, &["rate: 9.8k/s of 10k/s was answered (98 %); lower"]),
        ("94 % of the rate", |o| o.rate.achieved_per_s = 9_400.0, Invalid, &["rate: 9.4k/s of 10k/s was answered (94 %); lower"]),
        ("98 % without a warm-up, where 2 % were on their way at the end", |o| { no_warmup(o, 200e6); o.rate.achieved_per_s = 9_800.0 }, Valid, &[]),
        ("96 % of it", |o| { no_warmup(o, 200e6); o.rate.achieved_per_s = 9_600.0 }, Degraded, &["rate: 9.6k/s of 10k/s"]),
        ("75 % where an answer takes half a second longer than the warm-up, of 2 s",
            |o| { o.measured_ns = 2_000_000_000; o.asked.duration_ns = 2_000_000_000; o.latency.service.mean_ns = Some(o.asked.warmup_ns as f64 + 5e8);
                o.rate.achieved_per_s = 7_500.0 }, Valid, &[]),
        ("98.5 % of a Poisson rate that is so by chance", |o| { o.asked.arrivals = "poisson".into(); o.rate.target_per_s = Some(1_000.0); o.rate.achieved_per_s = 970.0 },
            Valid, &[]),
        ("send_lag of 83 us", |o| o.latency.send_lag.p99_ns = Some(83_000), Degraded,
            &["send_lag: p99 is 83 us, more than 20 us; free the generator's core or lower the rate"]),
        ("send_lag of 201 us", |o| o.latency.send_lag.p99_ns = Some(201_000), Invalid, &["send_lag: p99 is 201 us, more than 20 us"]),
        ("send_lag of 83 us of a service of 2 ms", |o| { o.latency.send_lag.p99_ns = Some(83_000); o.latency.service.p50_ns = Some(2_000_000) },
            Valid, &[]),
        ("send_lag of few samples", |o| { o.latency.send_lag.p99_ns = None; o.latency.send_lag.p90_ns = Some(25_000) },
            Degraded, &["send_lag: p90 is 25 us"]),
        ("send_lag of a closed loop", |o| { closed(o); o.latency.send_lag.p99_ns = Some(900_000) }, Valid, &[]),
        ("a busy core", |o| o.generator.busy_max = 0.93, Degraded, &["generator: its busiest core worked 93 % of the time; give"]),
        ("a pause", |o| o.generator.paused_max_ns = 200_000_000, Degraded, &["pause: a shard of the generator stood still for 200 ms"]),
        ("a moment", |o| o.generator.paused_max_ns = 9_000_000, Valid, &[]),
        ("a busy core of a closed loop", |o| { closed(o); o.generator.busy_max = 0.93 }, Valid, &[]),
        ("a full core of a closed loop", |o| { closed(o); o.generator.busy_max = 0.99 }, Degraded,
            &["generator: its busiest core worked 99 % of the time: the rate may be its ceiling"]),
        ("one error", |o| o.errors.reset = 1, Degraded, &["errors: <0.01 % of all requests failed (1 reset)"]),
        ("errors above 1 %", |o| { o.errors.timeout = 1_000; o.errors.status = 1_000 }, Invalid,
            &["errors: 1.96 % of all requests failed (1,000 timeout, 1,000 status)"]),
        ("a datagram lost", |o| o.verify.lost = 1, Degraded, &["lost: 1 datagram (<0.01 %) without an answer within 2 s"]),
        ("many lost", |o| o.verify.lost = 5_000, Invalid, &["lost: 5,000 datagrams (5 %)"]),
        ("one corrupt answer", |o| { o.verify.corrupt = 1; o.errors.mismatch = 1 }, Invalid,
            &["errors: <0.01 % of all requests failed (1 mismatch)", "verify: 1 corrupt"]),
        ("one mismatch of another kind", |o| o.errors.mismatch = 1, Invalid,
            &["errors: <0.01 %", "verify: 1 answer not as they should be"]),
        ("one short answer", |o| { o.verify.short = 1; o.errors.short = 1 }, Degraded, &["errors: <0.01 % of all requests failed (1 short)"]),
        ("bytes too many", |o| o.verify.extra = 5, Invalid, &["verify: 5 extra bytes"]),
        ("a stream out of order", |o| o.verify.reordered = 2, Invalid, &["verify: 2 reordered"]),
        ("datagrams out of order", |o| { o.asked.protocol = "udp-echo".into(); o.verify.reordered = 2; o.verify.duplicated = 1 },
            Degraded, &["verify: 2 reordered, 1 duplicated"]),
        ("a corrupt datagram", |o| { o.asked.protocol = "udp-echo".into(); o.verify.corrupt = 2 }, Invalid, &["verify: 2 corrupt"]),
        ("one arrival dropped", |o| o.arrivals.dropped = 1, Degraded, &["arrivals: 1 (<0.01 %) were given up for want"]),
        ("many overflowed", |o| o.arrivals.overflowed = 2_000, Invalid, &["arrivals: 2,000 (2 %) were given up for want"]),
        ("0.1 % waited", |o| o.arrivals.waited = 100, Valid, &[]),
        ("0.2 % waited", |o| o.arrivals.waited = 200, Degraded,
            &["arrivals: 200 (0.2 %) waited for a free connection, which their response time has; raise --connections or --pipeline"]),
        ("a median that rises by half", |o| drifting(o, 0.5, |step, by| step.p50_ns = Some((120_000.0 * by) as u64)), Degraded,
            &["trend: the response median went from 127 us to 173 us during the run (p 6e-7)"]),
        ("a mean that rises by half where no step carries a median",
            |o| drifting(o, 0.5, |step, by| (step.p50_ns, step.mean_ns) = (None, Some(120_000.0 * by))), Degraded,
            &["trend: the response mean went from 127 us to 173 us during the run (p 6e-7)"]),
        ("a median that rises by 5 %", |o| drifting(o, 0.05, |step, by| step.p50_ns = Some((120_000.0 * by) as u64)), Valid, &[]),
        ("a median that rises with a ramp", |o| { o.asked.steady = false; drifting(o, 0.5, |step, by| step.p50_ns = Some((120_000.0 * by) as u64)) },
            Valid, &[]),
        ("a throughput that falls", |o| { closed(o); drifting(o, -0.5, |step, by| step.completed = (10_000.0 * by) as u64) }, Degraded,
            &["trend: the throughput went from 9.444k/s to 5.555k/s during the run (p 6e-7)"]),
        ("an open loop's counts", |o| drifting(o, -0.5, |step, by| step.completed = (10_000.0 * by) as u64), Valid, &[]),
        ("sent in batches", |o| o.arrivals.gaps_ks = Some(0.31), Degraded,
            &["gaps: 1,000 gaps between sends are 0.310 from the constant law (KS, more than 0.05)"]),
        ("few gaps", |o| { o.arrivals.gaps_ks = Some(0.1); o.arrivals.gaps_count = 99 }, Valid, &[]),
        ("not all opened", |o| o.connections.opened = 63, Degraded, &["connections: 63 of 64 were opened"]),
        ("few opened", |o| o.connections.opened = 32, Invalid, &["connections: 32 of 64 were opened"]),
        ("a server that ends connections", |o| o.connections.lost = 7, Valid, &[]),
        ("silent connections that are held", hold, Valid, &[]),
        ("many of them lost", |o| { hold(o); o.connections.lost = 4 }, Invalid, &["connections: 4 of 64 were lost"]),
        ("one of them lost", |o| { hold(o); o.connections.lost = 1 }, Degraded, &["connections: 1 of 64 were lost"]),
    ];
    for (name, change, state, reasons) in rows {
        check(name, *change, *state, reasons);
    }
}

#[test]
fn the_worst_reason_decides_and_the_exit_code_says_it() {
    let mut outcome = sample::good();
    assert_eq!(outcome.exit_code(), 0);
    outcome.errors.reset = 1;
    outcome.verdict = judge(&outcome);
    assert_eq!(outcome.exit_code(), 3);
    outcome.verify.corrupt = 1;
    outcome.verdict = judge(&outcome);
    assert_eq!((outcome.exit_code(), outcome.verdict.reasons.len()), (4, 2));
}

#[test]
fn a_reservation_stays_one_beside_what_makes_a_result_invalid() {
    let mut outcome = sample::good();
    (outcome.errors.timeout, outcome.latency.send_lag.p99_ns) = (2_000, Some(83_000));
    let found = findings(&outcome);
    let states: Vec<_> =
        found.iter().map(|finding| (finding.reason.split(':').next(), finding.state)).collect();
    assert_eq!(states, [(Some("send_lag"), Degraded), (Some("errors"), Invalid)]);
    assert_eq!(judge(&outcome).state, Invalid);
}

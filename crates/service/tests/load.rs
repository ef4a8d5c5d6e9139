//! The load generator in the simulated world: what it reports is held against what the server really did.
//!
//! The world is perfect unless a test says otherwise; then the wire takes 10 to 50 us a way and everybody looks at what came within
//! 5 us, so an answer is back [`WIRE_NS`] after the server was asked, give or take.

#[allow(dead_code, reason = "each test program uses a part")]
mod load_rig;

use load_rig::queue::Queue;
use load_rig::{
    BEGIN_NS, Ending, MS, SECOND, Seen, Server, assert_sound, config, echo, length, open, run, run_sim,
};
use service::load::{CloseBy, Config, Gap, Gate, Late, Life, Pace, Talk};
use shard::engine::sim::{Line, Peer};
use stats::lindley::{self, Stall};
use stats::schedule::{Arrivals, Law, Share, Stretch};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

/// What the wire and the turns of both sides add to a response.
const WIRE_NS: Range<f64> = 10_000.0..125_000.0;
/// Arrivals so close to each other may come to the server in the other order.
const OVERTAKE_NS: f64 = 45_000.0;

/// Every response of the measured time is that of the recursion, and not only some percentile of them.
fn assert_lindley(seen: &Seen, config: &Config, service: fn(u64) -> u64, stalls: &[Stall]) {
    let Pace::Open(arrivals) = &config.pace else { panic!("only an open loop has a schedule") };
    let times: Vec<u64> = arrivals.share(Share { index: 0, of: 1 }).collect();
    let all = lindley::responses(times.iter().copied(), |index, _| service(index), stalls);
    let measured = |(at, _): &(&u64, u64)| **at >= config.warmup.as_nanos() as u64;
    let mut expected: Vec<u64> = times.iter().zip(all).filter(measured).map(|(_, ns)| ns).collect();
    expected.sort_unstable();
    let seen_ns = seen.responses();
    assert_eq!(seen_ns.len(), expected.len());
    let overtake = if arrivals.law == Law::Poisson { OVERTAKE_NS } else { 0.0 };
    for (seen, expected) in seen_ns.iter().zip(&expected) {
        let (low, high) = (*expected as f64 + WIRE_NS.start, *expected as f64 + WIRE_NS.end);
        // The histogram keeps three digits.
        let range = (low - overtake) * 0.999..(high + overtake) * 1.001;
        assert!(range.contains(&(*seen as f64)), "{seen} ns where the recursion has {expected}");
    }
    assert_eq!(seen.counts().answered, expected.len() as u64);
    assert!(
        seen.total.send_lag.max() <= 1_000,
        "the generator itself was late: {}",
        seen.total.send_lag.max()
    );
}

fn world(stalls: &[Stall]) -> Vec<(u64, u64)> {
    stalls.iter().map(|stall| (BEGIN_NS + stall.from_ns, BEGIN_NS + stall.to_ns)).collect()
}

#[test]
fn every_arrival_of_an_echo_is_answered_and_timed() {
    let seen = run(1, open(echo(64), Law::Constant, 1000.0), Server::echo());
    let counts = seen.counts();
    assert_eq!((counts.due, counts.sent, counts.answered, counts.errors()), (1000, 1000, 1000, 0));
    assert_eq!((counts.warmup, counts.waited, counts.checked_bytes), (1000, 0, 2 * 64 * 1000));
    assert_eq!((counts.bytes_in, counts.bytes_out), (64 * 1000, 64 * 1000));
    assert_eq!(seen.total.response.len(), 1000);
    assert_eq!((seen.steps.len(), seen.opened, seen.held, seen.over), (10, 4, 4, 1));
}

#[test]
fn a_stall_is_seen_by_response_in_full_and_by_no_other() {
    // 100 arrivals a second, each on a connection of its own; from 1.2 s to 1.7 s of the run nothing is answered.
    let mut config = open(echo(64), Law::Constant, 100.0);
    config.connections = 100;
    let seen = run(2, config, Server::echo().stalls(1_200_000_000, 1_700_000_000));
    // Those that arrived in the stall waited for its end: 500 ms, 490 ms, ... 10 ms, and the two ways on the wire.
    let waited = seen.responses().iter().filter(|ns| **ns > 5_000_000).count();
    assert_eq!(seen.counts().answered, 100);
    assert!((49..=50).contains(&waited), "{waited}");
    let max = seen.total.response.max() as f64;
    assert!((max - 5e8).abs() < 1e6, "{max}");
    assert!(seen.total.send_lag.max() <= 1000, "the generator itself was never late");
}

#[test]
fn a_stall_of_a_busy_server_and_the_queue_that_it_leaves_are_as_in_the_recursion() {
    for (seed, law) in [(1, Law::Constant), (2, Law::Poisson), (3, Law::Poisson)] {
        let mut config = open(echo(64), law, 2000.0);
        (config.connections, config.seed) = (1500, seed);
        let stalls = [Stall { from_ns: 1_300 * MS, to_ns: 1_700 * MS }];
        let server = Queue::new(64, true, |_| 200_000, world(&stalls));
        let seen = run(seed, config.clone(), server);
        assert_lindley(&seen, &config, |_| 200_000, &stalls);
        assert_eq!(seen.counts().waited, 0, "there were connections enough");
    }
}

#[test]
fn a_server_that_does_nothing_for_10_ms_every_200_ms_is_as_in_the_recursion() {
    let mut config = open(echo(64), Law::Poisson, 2000.0);
    config.connections = 200;
    let stall = |k: u64| Stall { from_ns: k * 200 * MS, to_ns: k * 200 * MS + 10 * MS };
    let stalls: Vec<Stall> = (1..15).map(stall).collect();
    let seen = run(4, config.clone(), Queue::new(64, true, |_| 20_000, world(&stalls)));
    assert_lindley(&seen, &config, |_| 20_000, &stalls);
}

#[test]
fn one_in_40_that_is_slow_by_50_ms_is_reported_as_one_in_40() {
    let service = |index: u64| if index.is_multiple_of(40) { 50_020_000 } else { 20_000 };
    let mut config = open(echo(64), Law::Constant, 1000.0);
    config.connections = 100;
    let seen = run(5, config, Queue::new(64, false, service, Vec::new()));
    let times = seen.responses();
    let slow = times.iter().filter(|ns| (50_040_000..50_200_000).contains(*ns)).count();
    let fast = times.iter().filter(|ns| (40_000..146_000).contains(*ns)).count();
    assert_eq!((slow, fast, times.len()), (25, 975, 1000));
}

#[test]
fn what_waits_for_a_connection_keeps_its_intended_time_and_is_no_lag_of_the_generator() {
    // One connection and 100 us of service: the connection is the queue.
    let mut config = open(echo(64), Law::Constant, 1000.0);
    config.connections = 1;
    let server = Server::echo().stalls(BEGIN_NS + 1_200 * MS, BEGIN_NS + 1_300 * MS);
    let seen = run(6, config, server);
    seen.assert_accounts("one connection");
    // The first of the stall waits for 100 ms on the wire, the others behind it.
    let late = seen.responses().iter().filter(|ns| **ns > 50 * MS).count();
    assert!((48..=60).contains(&late), "{late}");
    assert!((99..=120).contains(&seen.counts().waited), "{:?}", seen.counts());
    assert!(seen.total.send_lag.max() <= 1_000, "{}", seen.total.send_lag.max());
    assert!(seen.total.service.value_at_quantile(0.99) < 200_000, "only one was long on the wire");
}

#[test]
fn the_gaps_that_were_sent_are_those_of_the_schedule() {
    for late in [Late::Queue, Late::Drop] {
        let mut config = open(echo(64), Law::Poisson, 5_000.0);
        (config.connections, config.late, config.seats) = (100, late, 2);
        let seen = run(1, config, Server::echo());
        assert!((1_000..=2_000).contains(&seen.gaps.len()), "{}", seen.gaps.len());
        for gap @ Gap { intended_ns, sent_ns } in &seen.gaps {
            // The world's seats wake at the deadline or up to 5 us behind an event.
            assert!(sent_ns.abs_diff(*intended_ns) <= 6_000, "{gap:?}");
        }
        let mean = seen.gaps.iter().map(|gap| gap.intended_ns as f64).sum::<f64>() / seen.gaps.len() as f64;
        assert!((mean / 400_000.0 - 1.0).abs() < 0.15, "a seat's arrivals are 400 us apart: {mean}");
    }
}

#[test]
fn a_watched_gap_never_spans_an_arrival_that_was_given_up_or_lost() {
    // One arrival a millisecond; most find no connection free, or lose theirs.
    for server in [Server::echo().silent(), Server::echo().ends(Ending::Resets(1))] {
        for late in [Late::Queue, Late::Drop] {
            let mut config = open(echo(64), Law::Constant, 1_000.0);
            (config.late, config.timeout, config.waiting_max) = (late, Duration::from_millis(7), 3);
            let seen = run(1, config, server.clone());
            seen.assert_accounts("gaps");
            for gap in &seen.gaps {
                assert_eq!(gap.intended_ns, MS, "{late:?}");
            }
        }
    }
}

#[test]
fn what_finds_no_connection_is_dropped_if_that_was_asked_for_and_counted() {
    let mut config = open(echo(64), Law::Constant, 1000.0);
    config.late = Late::Drop;
    // 500 ms of stall: four on the wire, everybody else is dropped.
    let server = Server::echo().stalls(BEGIN_NS + 1_200 * MS, BEGIN_NS + 1_700 * MS);
    let seen = run(1, config, server);
    seen.assert_accounts("drop");
    let c = seen.counts();
    assert_eq!((c.due, c.waited, c.timeout, c.overflowed), (1000, 0, 0, 0));
    assert!((495..=497).contains(&c.dropped), "{c:?}");
    assert_eq!(seen.responses().iter().filter(|ns| **ns > MS).count(), 4);
}

#[test]
fn no_more_arrivals_wait_than_the_bound_and_those_beyond_it_are_counted() {
    let mut config = open(echo(64), Law::Constant, 1000.0);
    config.waiting_max = 100;
    let server = Server::echo().stalls(BEGIN_NS + 1_200 * MS, BEGIN_NS + 1_700 * MS);
    let seen = run(1, config.clone(), server);
    seen.assert_accounts("overflow");
    let c = seen.counts();
    // 500 come in the stall: four are on the wire, 100 wait, and at each look up to 100 ms of arrivals more.
    assert!((296..=397).contains(&c.overflowed), "{c:?}");
    assert_eq!((c.dropped, c.timeout), (0, 0));
    // With a connection free nothing overflows, however small the bound is.
    config.waiting_max = 0;
    let seen = run(1, config, Server::echo());
    assert_eq!((seen.counts().overflowed, seen.counts().answered), (0, 1000));
}

#[test]
fn a_timeout_is_recorded_at_no_less_than_the_timeout_in_a_connection_and_in_the_queue() {
    let mut config = open(echo(64), Law::Constant, 200.0);
    config.timeout = Duration::from_millis(150);
    let seen = run(1, config.clone(), Server::echo().silent());
    seen.assert_accounts("silent");
    let c = seen.counts();
    assert_eq!((c.due, c.timeout, c.answered, c.warmup), (200, 200, 0, 0));
    assert!(c.sent > 0 && c.sent < 200, "some time out in the queue: {c:?}");
    assert!(seen.total.response.min() >= 149 * MS, "{}", seen.total.response.min());
    // What waited first and was then sent waited twice, and looks are 7.5 ms apart.
    assert!(seen.total.response.max() <= 330 * MS, "{}", seen.total.response.max());
}

#[test]
fn a_connection_lives_for_as_many_requests_as_it_is_to() {
    for close in [CloseBy::Fin, CloseBy::Rst] {
        let mut config = open(echo(8), Law::Constant, 1000.0);
        (config.life, config.close, config.warmup) = (Life::Churn(7), close, Duration::ZERO);
        config = open(config, Law::Constant, 1000.0);
        let server = Server::echo();
        let log = server.log();
        let seen = run(1, config, server);
        seen.assert_accounts("churn");
        let c = seen.counts();
        assert_eq!((c.answered, c.errors(), c.lost_connections), (1000, 0, 0));
        let requests: Vec<usize> = log.borrow().iter().map(|(_, bytes)| bytes / 8).collect();
        let full = requests.iter().filter(|n| **n == 7).count() as u64;
        assert_eq!((full, c.ended), (c.ended, full));
        assert!(requests.iter().all(|n| *n <= 7) && full >= 1000 / 7 - 4, "{requests:?}");
        assert_eq!(requests.iter().sum::<usize>(), 1000);
    }
}

#[test]
fn a_connection_lives_as_long_as_it_is_to_and_ends_between_requests() {
    let mut config = open(echo(8), Law::Constant, 1000.0);
    config.life = Life::Time(Duration::from_millis(100));
    let server = Server::echo();
    let log = server.log();
    let seen = run(1, config, server);
    let c = seen.counts();
    assert_eq!((c.answered, c.errors(), c.lost_connections), (1000, 0, 0));
    // Four connections for 2.1 s, each 100 to 105 ms.
    assert!((76..=88).contains(&log.borrow().len()), "{}", log.borrow().len());
}

#[test]
fn connections_are_opened_as_fast_as_the_ramp_says() {
    let mut config = open(echo(8), Law::Constant, 100.0);
    (config.connections, config.ramp_per_s, config.seats) = (100, Some(200.0), 2);
    let server = Server::echo();
    let log = server.log();
    let seen = run(1, config, server);
    assert_eq!((seen.opened, seen.counts().opened), (100, 100));
    let mut times: Vec<u64> = log.borrow().iter().map(|(at, _)| *at).collect();
    times.sort_unstable();
    for (k, at) in times.iter().enumerate() {
        // Of each of two seats the first at once, then one every 10 ms; looks are up to 5 ms apart.
        let due = k as u64 / 2 * 10 * MS;
        assert!((due..due + 7 * MS).contains(at), "connect {k} at {at}");
    }
}

#[test]
fn a_stop_ends_a_load_early_and_what_was_measured_is_told() {
    struct Stopper(Arc<Gate>, Server);
    impl Peer for Stopper {
        fn on_connect(&mut self, line: &mut Line<'_>) {
            self.1.on_connect(line);
        }
        fn on_bytes(&mut self, bytes: &[u8], line: &mut Line<'_>) {
            if line.now_ns() >= BEGIN_NS + 1_350 * MS {
                self.0.stop();
            }
            self.1.on_bytes(bytes, line);
        }
        fn on_timer(&mut self, line: &mut Line<'_>) {
            self.1.on_timer(line);
        }
    }
    // It stops in the 4th step of the measured time, or in the warm-up; a server that is too slow lets arrivals wait.
    for (warmup_ms, steps) in [(1_000, 4), (2_000, 1)] {
        for (closed, slow) in [(true, false), (false, false), (false, true)] {
            let mut config = echo(64);
            config.warmup = Duration::from_millis(warmup_ms);
            config.connections = if slow { 1 } else { 4 };
            if !closed {
                config = open(config, Law::Constant, if slow { 30_000.0 } else { 1_000.0 });
            }
            let (gate, server) = (Arc::new(Gate::default()), Server::echo());
            gate.open(BEGIN_NS);
            let (target, log, stopper, drain) = (config.target, server.log(), gate.clone(), length(&config));
            let world = move |sim: shard::engine::sim::Sim| {
                sim.upstream(target, move || Stopper(stopper.clone(), server.clone()))
            };
            let (seen, _) = run_sim(config, gate, world, 1, drain);
            let what = format!("closed {closed}, slow {slow}, warm-up {warmup_ms}");
            assert_eq!((seen.over, seen.steps.len()), (1, steps), "{what}");
            let (due, sent) =
                (seen.counts().due, log.borrow().iter().map(|(_, bytes)| bytes / 64).sum::<usize>());
            let last = seen.steps.last().unwrap();
            match (warmup_ms, closed, slow) {
                (1_000, false, _) => {
                    seen.assert_accounts(&what);
                    let expected = if slow { 350 * 30 } else { 350 };
                    assert!(due.abs_diff(expected) <= expected / 50, "{what}: {due}");
                    assert!((350 * MS..360 * MS).contains(&last.1), "{what}: {last:?}");
                }
                (1_000, true, _) => assert!((350 * MS..360 * MS).contains(&last.1), "{what}: {last:?}"),
                _ => assert_eq!(due, 0, "{what}"),
            }
            if !closed && !slow {
                assert!(sent.abs_diff(1_350) <= 7, "{what}: nothing is sent after it: {sent}");
            }
            if closed {
                // A closed loop makes a round trip in 20 to 130 us on each of 4 connections.
                assert!(sent < 4 * 1_360 * 50, "{what}: {sent}");
            }
        }
    }
}

#[test]
fn a_load_that_is_stopped_before_it_begins_is_over_and_says_so() {
    let gate = Arc::new(Gate::default());
    gate.stop();
    let config = open(echo(64), Law::Constant, 1000.0);
    let (target, drain) = (config.target, length(&config));
    let (seen, _) = run_sim(config, gate, move |sim| sim.upstream(target, Server::echo), 1, drain);
    assert_eq!((seen.over, seen.counts().due, seen.counts().sent), (1, 0, 0));
}

#[test]
fn a_drain_before_the_end_leaves_nothing_without_an_account() {
    let mut config = open(echo(64), Law::Constant, 1000.0);
    config.pipeline = 4;
    let gate = Arc::new(Gate::default());
    gate.open(BEGIN_NS);
    let target = config.target;
    let server = Server::echo().silent();
    let world = move |sim: shard::engine::sim::Sim| sim.upstream(target, move || server.clone());
    let (seen, _) = run_sim(config, gate, world, 1, Duration::from_nanos(BEGIN_NS + 1_500 * MS));
    seen.assert_accounts("drained");
    assert_eq!(seen.over, 1);
    assert!(seen.counts().due.abs_diff(500) <= 6, "{:?}", seen.counts());
}

#[test]
fn what_an_overloaded_server_works_off_after_the_end_is_no_part_of_the_rate() {
    // 6,000 arrivals a second, of which 5,000 can be answered: the last of them wait for 0.4 s, and none for its timeout.
    let config = open(echo(64), Law::Constant, 6_000.0);
    let seen = run(6, config.clone(), Queue::new(64, true, |_| 200_000, Vec::new()));
    assert_sound(&seen, &config, "overloaded");
    let counts = seen.counts();
    assert_eq!((counts.due, counts.answered), (6_000, 6_000), "every one is in the account");
    assert!(counts.completed.abs_diff(5_000) <= 5, "{} in a second", counts.completed);
    assert_eq!(
        (counts.bytes_in, counts.bytes_out.abs_diff(counts.bytes_in) <= 64 * 5),
        (64 * counts.completed, true)
    );
}

#[test]
fn a_closed_loop_leaves_no_answer_out_that_came_after_the_end() {
    let mut config = echo(64);
    config.connections = 4;
    let stalls = [Stall { from_ns: 1_900 * MS, to_ns: 2_500 * MS }];
    let seen = run(7, config.clone(), Queue::new(64, true, |_| 20_000, world(&stalls)));
    assert_sound(&seen, &config, "stalled at the end");
    let max = seen.total.response.max() as f64;
    assert!((max - 6e8).abs() < 1e6, "the stall is what the slowest waited for: {max}");
}

#[test]
fn a_closed_loop_keeps_each_connection_as_full_as_its_pipeline() {
    for pipeline in [1, 16] {
        let mut config = echo(64);
        (config.pipeline, config.warmup) = (pipeline, Duration::ZERO);
        let seen = run(1, config.clone(), Server::echo());
        assert_sound(&seen, &config, "closed");
        let c = seen.counts();
        assert_eq!((c.failed(), c.waited, c.dropped), (0, 0, 0));
        // A round trip takes 20 to 125 us, and what one answer lets go is answered with it.
        let most = 4 * u64::from(pipeline) * 50_000;
        assert!((most / 7..most).contains(&c.answered), "{pipeline}: {c:?}");
        assert_eq!(c.warmup, 0);
    }
}

#[test]
fn seats_share_a_schedule_and_together_they_send_all_of_it() {
    for (seats, law) in [(1, Law::Constant), (3, Law::Constant), (4, Law::Poisson)] {
        let mut config = open(echo(64), law, 999.0);
        (config.seats, config.connections) = (seats, 60);
        let seen = run(1, config.clone(), Server::echo());
        assert_sound(&seen, &config, &format!("{seats} seats"));
        assert_eq!((seen.counts().answered, seen.opened), (seen.counts().due, 60));
    }
}

#[test]
fn the_schedule_of_a_ramp_is_sent_step_by_step_as_it_rises() {
    let mut config = echo(64);
    (config.warmup, config.connections) = (Duration::ZERO, 50);
    let stretches = vec![Stretch { from_per_s: 0.0, to_per_s: 2_000.0, ns: SECOND }];
    config.pace = Pace::Open(Arrivals { law: Law::Constant, stretches, seed: 1 });
    let seen = run(1, config, Server::echo());
    // 10 at the end of the first tenth, 40 at the end of the second, k squared times 10.
    let due: Vec<u64> = seen.steps.iter().map(|(.., counts)| counts.due).collect();
    for (k, due) in (0..10).zip(&due) {
        assert!(due.abs_diff(20 * k + 10) <= 1, "{k}: {due}");
    }
    assert_eq!(due.iter().sum::<u64>(), 1_000);
}

#[test]
fn a_peer_that_closes_or_resets_each_connection_is_not_asked_as_fast_as_it_can_close() {
    for ending in [Ending::Closes(0), Ending::Resets(0), Ending::Resets(1)] {
        let mut config = echo(64);
        config.connections = 1;
        let server = Server::echo().silent().ends(ending);
        let log = server.log();
        let seen = run(1, config.clone(), server);
        // 10, 20, 40 ... 640 ms and then a second each.
        assert!((3..=12).contains(&log.borrow().len()), "{ending:?}: {} connects", log.borrow().len());
        assert_eq!(seen.counts().answered, 0);
    }
    // One that works at last is asked as before, whatever it took.
    let mut config = open(echo(64), Law::Constant, 100.0);
    config.connections = 1;
    let server = Server::echo().ends(Ending::Closes(64)).resets_first(6);
    let log = server.log();
    assert_eq!(run(1, config, server).counts().answered, 100);
    let times: Vec<u64> = log.borrow().iter().map(|(at, _)| *at).skip(7).collect();
    assert!(times.windows(2).all(|pair| pair[1] - pair[0] < 15 * MS), "{times:?}");
    // One that answers first is asked again at once.
    let mut config = open(echo(64), Law::Constant, 100.0);
    config.connections = 1;
    let seen = run(1, config, Server::echo().ends(Ending::Closes(64)));
    let c = seen.counts();
    assert_eq!((c.answered, c.failed()), (100, 0));
    assert!(c.waited <= 1 && seen.total.response.max() < 300_000, "{}", seen.total.response.max());
}

#[test]
fn nobody_listens_and_each_arrival_is_told_so_in_time() {
    let mut config = open(echo(64), Law::Constant, 100.0);
    config.timeout = Duration::from_millis(300);
    let gate = Arc::new(Gate::default());
    gate.open(BEGIN_NS);
    let drain = length(&config);
    let (seen, _) = run_sim(config, gate, |sim| sim, 1, drain);
    seen.assert_accounts("nobody");
    let c = seen.counts();
    assert_eq!((seen.opened, seen.failed, c.timeout, c.sent), (0, 4, 100, 0));
    assert!((4..=40).contains(&c.refused), "{c:?}");
}

#[test]
fn a_server_that_reads_nothing_is_no_reason_to_lose_an_arrival() {
    // A server that reads nothing: 64 KiB fit into its window, then the output fills.
    let mut config = open(echo(20_000), Law::Constant, 100.0);
    (config.connections, config.pipeline, config.timeout) = (1, 100, Duration::from_millis(500));
    let seen = run(1, config.clone(), Server::echo().deaf());
    seen.assert_accounts("deaf");
    assert_eq!((seen.counts().answered, seen.counts().timeout), (0, 100));
}

/// What a load of datagrams does when `fate` says of each datagram that it sends what comes back, and when.
fn datagrams(config: &Config, fate: impl Fn(usize, &[u8]) -> Vec<(u64, Vec<u8>)>) -> Seen {
    let gate = || {
        let gate = Arc::new(Gate::default());
        gate.open(BEGIN_NS);
        gate
    };
    // What is sent when does not depend on what comes back, so long as there is room for it: a first run tells it.
    let (_, run) = run_sim(config.clone(), gate(), |sim| sim, 1, length(config));
    let Pace::Open(arrivals) = &config.pace else { panic!("only a schedule is known before") };
    let times: Vec<u64> = arrivals.share(Share { index: 0, of: 1 }).collect();
    assert_eq!(run.replies.len(), times.len());
    let world = |mut sim: shard::engine::sim::Sim| {
        for (index, ((listener, sent), at)) in run.replies.iter().zip(&times).enumerate() {
            assert_eq!(sent.to, config.target);
            for (after_ns, bytes) in fate(index, &sent.bytes) {
                let at = Duration::from_nanos(BEGIN_NS + at + after_ns);
                sim = sim.datagram(at, *listener, config.target, &bytes);
            }
        }
        sim
    };
    let seen = run_sim(config.clone(), gate(), world, 1, length(config)).0;
    seen.assert_accounts("datagrams");
    seen
}

#[test]
fn datagrams_that_are_lost_doubled_swapped_or_damaged_are_named_so() {
    let mut config = config(Talk::UdpEcho { bytes: 64 });
    (config.connections, config.pipeline, config.warmup) = (1, 1000, Duration::ZERO);
    config.timeout = Duration::from_millis(400);
    let config = open(config, Law::Constant, 100.0);
    let back = |bytes: &[u8]| vec![(100_000, bytes.to_vec())];

    let good = datagrams(&config, |_, bytes| back(bytes)).counts();
    assert_eq!((good.answered, good.errors(), good.lost, good.reordered), (100, 0, 0, 0));
    assert_eq!((good.duplicated, good.extra, good.corrupt), (0, 0, 0));

    let lost = datagrams(&config, |k, bytes| if k % 10 == 3 { vec![] } else { back(bytes) });
    let c = lost.counts();
    assert_eq!((c.answered, c.lost, c.timeout, c.corrupt), (90, 10, 10, 0));
    assert_eq!(c.reordered, 0, "none came behind a later one");
    assert_eq!(lost.responses().iter().filter(|ns| **ns >= 399 * MS).count(), 10);

    let twice = datagrams(&config, |_, bytes| [back(bytes), back(bytes)].concat()).counts();
    assert_eq!((twice.answered, twice.duplicated, twice.extra), (100, 99, 0), "the last ends it");

    // Every tenth comes 15 ms late, behind the one after it.
    let late = |k, bytes: &[u8]| vec![(if k % 10 == 3 { 15 * MS } else { 100_000 }, bytes.to_vec())];
    let late = datagrams(&config, late).counts();
    assert_eq!((late.answered, late.reordered, late.duplicated), (100, 10, 0));

    // Every tenth comes so late that it was given up, and the one at 33 twice.
    let given_up = |k, bytes: &[u8]| match k {
        33 => vec![(450 * MS, bytes.to_vec()), (460 * MS, bytes.to_vec())],
        _ => vec![(if k % 10 == 3 { 450 * MS } else { 100_000 }, bytes.to_vec())],
    };
    let given_up = datagrams(&config, given_up).counts();
    assert_eq!((given_up.lost, given_up.duplicated, given_up.extra), (10, 1, 0), "late is not twice");

    let damaged = |k, bytes: &[u8]| {
        let mut bytes = bytes.to_vec();
        bytes[20] ^= u8::from(k % 10 == 3);
        bytes.truncate(if k % 10 == 5 { 40 } else { 64 });
        back(&bytes)
    };
    let damaged = datagrams(&config, damaged).counts();
    assert_eq!((damaged.answered, damaged.corrupt, damaged.mismatch), (80, 20, 20));

    let strange = |_, bytes: &[u8]| {
        vec![(50_000, b"who?".to_vec()), (60_000, vec![0xff; 64]), (100_000, bytes.to_vec())]
    };
    let strange = datagrams(&config, strange).counts();
    assert_eq!((strange.answered, strange.extra), (100, 68 * 100));
}

#[test]
fn the_first_arrival_is_on_time_wherever_between_two_ticks_the_schedule_begins() {
    for begin_ns in [BEGIN_NS + 1, BEGIN_NS + 437_211, BEGIN_NS + 999_999] {
        let mut config = echo(64);
        config.warmup = Duration::ZERO;
        let config = open(config, Law::Constant, 1000.0);
        let gate = Arc::new(Gate::default());
        gate.open(begin_ns);
        let (target, drain) = (config.target, length(&config));
        let (seen, _) = run_sim(config, gate, move |sim| sim.upstream(target, Server::echo), 1, drain);
        assert!(seen.total.send_lag.max() <= 1_000, "{begin_ns}: {}", seen.total.send_lag.max());
    }
}

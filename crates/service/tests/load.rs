//! The load generator in the simulated world: what it reports is held against what the server really did.
//!
//! The world is perfect unless a test says otherwise; then the wire takes 10 to 50 us a way and everybody looks at what came within
//! 5 us, so an answer is back [`WIRE_NS`] after the server was asked, give or take.

mod load_rig;

use load_rig::queue::Queue;
use load_rig::rogue::Rogue;
use load_rig::{
    BEGIN_NS, Ending, MS, SECOND, Seen, Server, config, echo, length, open, run, run_sim, run_with,
};
use service::load::http::Request;
use service::load::{CloseBy, Config, Gap, Gate, Late, Life, Pace, Talk};
use shard::engine::sim::{Faults, Line, Peer};
use shard::random::Random;
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
    assert_eq!((seen.steps.len(), seen.opened, seen.over), (10, 4, 1));
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
    let service = |index: u64| if index % 40 == 0 { 50_020_000 } else { 20_000 };
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

/// A request of HTTP, and how long it is.
fn http() -> (Talk, usize) {
    let mut request = Request::new("GET", "h", "/", &[], b"").unwrap();
    (request.expect_bytes, request.expect_crc32) = (Some(2), Some(0x79dc_dd47));
    let bytes = request.bytes.len();
    (Talk::Http(request), bytes)
}

/// A load that seed `seed` chooses, of 100 to 200 ms behind a short warm-up, and the server that is wrong as often as `wrong`.
fn any_load(seed: u64, wrong: f64, until_ns: u64) -> (Config, Rogue) {
    let mut random = Random::new(seed);
    let is_http = random.chance(0.5);
    let (http, http_bytes) = http();
    let bytes = [1, 5, 8, 64, 1000][random.below(5) as usize];
    let mut config = config(if is_http { http } else { Talk::Echo { bytes } });
    config.seed = seed;
    config.seats = 1 + random.below(3) as u16;
    config.connections = u32::from(config.seats) + random.below(6) as u32;
    config.pipeline = [1, 1, 2, 16][random.below(4) as usize];
    config.warmup = Duration::from_millis([0, 30][random.below(2) as usize]);
    config.duration = Duration::from_millis(100 + random.below(100));
    config.timeout = Duration::from_millis(20 + random.below(100));
    config.late = if random.chance(0.3) { Late::Drop } else { Late::Queue };
    config.waiting_max = [3, 1_000_000][random.below(2) as usize];
    config.life = [Life::Keep, Life::Churn(1 + random.below(5)), Life::Time(Duration::from_millis(20))]
        [random.below(3) as usize];
    config.close = if random.chance(0.5) { CloseBy::Fin } else { CloseBy::Rst };
    config.verify = random.chance(0.8);
    if random.chance(0.8) {
        let law = if random.chance(0.5) { Law::Constant } else { Law::Poisson };
        config = open(config, law, 200.0 + random.below(2000) as f64);
    } else {
        config.warmup = Duration::ZERO;
    }
    let server =
        if is_http { Rogue::http(http_bytes, wrong, until_ns) } else { Rogue::echo(bytes, wrong, until_ns) };
    (config, server)
}

/// What must hold of every load, whatever happens to it.
fn assert_sound(seen: &Seen, config: &Config, what: &str) {
    let c = seen.counts();
    if let Pace::Open(arrivals) = &config.pace {
        seen.assert_accounts(what);
        let zero = config.warmup.as_nanos() as u64;
        let share = |index| arrivals.share(Share { index, of: config.seats.into() });
        let due = (0..config.seats.into()).flat_map(share).filter(|at| *at >= zero).count();
        assert_eq!(c.due, due as u64, "{what}: the schedule");
    } else {
        assert_eq!(c.due, c.answered + c.failed() + c.warmup, "{what}: {c:?}");
        assert_eq!(c.due, c.sent, "{what}");
    }
    let seats = u32::from(config.seats);
    assert_eq!((seen.over, seen.ready), (seats, seats), "{what}: over and ready, once a seat");
    assert_eq!(seen.opened + seen.failed, config.connections, "{what}: tried");
    assert_eq!(seen.steps.len() as u32, 10 * seats, "{what}: steps");
    assert_eq!(c.status, c.status_4xx + c.status_5xx, "{what}");
    if c.timeout > 0 {
        let timeout = config.timeout.as_nanos() as u64;
        let longest = seen.total.response.iter_recorded().filter(|v| v.value_iterated_to() >= timeout);
        let long: u64 = longest.map(|v| v.count_at_value()).sum();
        assert!(long >= c.timeout, "{what}: {long} took as long as the timeout, {} timed out", c.timeout);
    }
}

#[test]
fn whatever_network_and_server_do_every_arrival_ends_once() {
    for seed in 1..=SEEDS {
        let wrong = [0.0, 0.05, 0.5, 1.0][(seed % 4) as usize];
        let (config, server) = any_load(seed, wrong, u64::MAX);
        let (seen, _) = run_with(seed, config.clone(), server, Faults::mixed(seed));
        assert_sound(&seen, &config, &format!("seed {seed}"));
    }
}

#[test]
fn once_the_server_behaves_again_every_connection_is_of_use_again() {
    for seed in 1..=SEEDS / 2 {
        let sober_ns = BEGIN_NS + 500 * MS;
        let (mut config, server) = any_load(seed, 0.5, sober_ns);
        // What failed last is tried again within a second.
        (config.duration, config.life, config.seats) = (Duration::from_millis(3_000), Life::Keep, 1);
        (config.late, config.waiting_max, config.timeout) =
            (Late::Queue, 1_000_000, Duration::from_millis(50));
        config = open(config, Law::Constant, 100.0);
        let (seen, _) = run_with(seed, config.clone(), server, Faults::NONE);
        assert_sound(&seen, &config, &format!("seed {seed}"));
        let late = &seen.steps[7..];
        let (due, answered): (u64, u64) =
            late.iter().fold((0, 0), |sum, (.., c)| (sum.0 + c.due, sum.1 + c.answered));
        assert!(answered >= due && due > 80, "seed {seed}: {late:?}");
    }
}

/// Of each of the tests over many seeds.
const SEEDS: u64 = 2000;

//! The load generator against servers that do whatever they like, in a network that does too: over many seeds every arrival ends once.

#[allow(dead_code, reason = "each test program uses a part")]
mod load_rig;

use load_rig::rogue::{ANSWER, Rogue};
use load_rig::{BEGIN_NS, MS, Server, assert_sound, config, echo, open, run, run_with};
use service::load::http::Request;
use service::load::{CloseBy, Config, Late, Life, Talk};
use shard::engine::sim::Faults;
use shard::random::Random;
use stats::schedule::Law;
use std::time::Duration;

/// A request of HTTP, and how long it is.
fn http() -> (Talk, usize) {
    let mut request = Request::new("GET", "/", &[("Host", "h")], None).unwrap();
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
const SEEDS: u64 = 1500;

#[test]
fn one_seed_is_one_result() {
    for seed in 1..50 {
        let figures = || {
            let (config, server) = any_load(seed, 0.3, u64::MAX);
            let (seen, run) = run_with(seed, config, server, Faults::mixed(seed));
            (seen.steps.clone(), seen.responses(), seen.gaps.clone(), run.trace.digest())
        };
        assert_eq!(figures(), figures(), "seed {seed}");
    }
}

#[test]
fn the_warm_up_counts_nowhere_but_in_its_own_count() {
    // All that can go wrong does, in the warm-up.
    let wrong = |seed| Rogue::echo(64, 1.0, BEGIN_NS + 300 * MS + seed);
    for seed in 1..200 {
        let mut config = open(echo(64), Law::Constant, 500.0);
        (config.timeout, config.pipeline) = (Duration::from_millis(50), 2);
        let seen = run(seed, config, wrong(seed));
        let c = seen.counts();
        assert_eq!(
            (c.due, c.answered, c.failed(), c.corrupt, c.reordered),
            (500, 500, 0, 0, 0),
            "seed {seed}"
        );
        assert_eq!(
            (c.bytes_in, c.bytes_out, seen.total.response.len()),
            (32_000, 32_000, 500),
            "seed {seed}"
        );
    }
}

#[test]
fn a_connection_on_which_an_answer_came_unasked_is_not_asked_again() {
    let (talk, _) = http();
    let config = open(config(talk), Law::Constant, 500.0);
    let twice = Server::echo().changes(|_| ANSWER.repeat(2).into_bytes());
    let seen = run(1, config, twice);
    seen.assert_accounts("twice");
    let c = seen.counts();
    assert_eq!((c.answered, c.errors()), (500, 0));
    assert!(c.opened >= 1_000, "each request has a connection of its own: {c:?}");
    assert_eq!(c.extra, 1_000 * ANSWER.len() as u64);
}

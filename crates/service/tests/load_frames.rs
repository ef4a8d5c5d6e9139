//! Loads of frames in the simulated world: every request ends once, whatever the server makes of its frames.

#[allow(dead_code, reason = "each test program uses a part")]
mod load_rig;

use load_rig::frames::{Frames as Server, Trick};
use load_rig::{assert_sound, config, open, run, run_with};
use service::load::{Config, Life, Talk};
use shard::engine::sim::Faults;
use stats::schedule::Law;
use std::time::Duration;

fn frames(bytes: usize) -> Config {
    config(Talk::Frame { bytes })
}

#[test]
fn frames_of_every_size_and_depth_come_back_compared() {
    for (bytes, pipeline) in [(1, 1), (7, 16), (8, 2), (64, 16), (5_000, 4), (100_000, 2)] {
        let duration = Duration::from_millis(50);
        let config = Config { pipeline, warmup: Duration::ZERO, duration, ..frames(bytes) };
        let server = Server::default();
        let log = server.seen();
        let seen = run(1, config.clone(), server);
        let counts = seen.counts();
        assert_sound(&seen, &config, &format!("{bytes} bytes"));
        assert_eq!((counts.errors(), counts.answered), (0, counts.due), "{bytes}: {counts:?}");
        assert!(counts.answered > 20, "{bytes}: {counts:?}");
        // Headers come on top of what is sent, and are read too.
        assert!(counts.checked_bytes >= counts.answered * (bytes as u64 + 16), "{bytes}: {counts:?}");
        assert_eq!(log.borrow().hellos.len(), 4, "one a connection");
    }
}

#[test]
fn an_open_loop_of_frames_sends_what_is_due() {
    let config = open(frames(64), Law::Poisson, 1000.0);
    let seen = run(1, config.clone(), Server::default());
    assert_sound(&seen, &config, "poisson");
    assert_eq!((seen.counts().answered, seen.counts().errors()), (seen.counts().due, 0));
}

#[test]
fn a_server_that_asks_is_answered_in_the_midst_of_a_load() {
    let server = Server::default().asks(Duration::from_millis(50));
    let log = server.seen();
    let seen = run(1, open(frames(64), Law::Constant, 1000.0), server);
    assert_eq!((seen.counts().errors(), seen.counts().lost_connections), (0, 0));
    assert!(log.borrow().pongs >= 4 * 35, "{:?}", log.borrow().pongs);
}

#[test]
fn each_way_to_be_wrong_fails_and_is_named() {
    let check = |trick: Trick, name: &str, is_named: fn(&stats::interval::Counts) -> bool| {
        let duration = Duration::from_millis(100);
        let timeout = Duration::from_millis(300);
        let config = Config { timeout, warmup: Duration::ZERO, duration, ..frames(64) };
        let seen = run(1, config.clone(), Server::new(trick));
        let counts = seen.counts();
        assert_sound(&seen, &config, name);
        assert!(is_named(&counts), "{name}: {counts:?}");
    };
    let data = |seq, flip, times, spoil| Trick::Data { seq, flip, times, spoil };
    check(data(1, 0, 1, 99), "another number", |c| {
        c.answered == 0 && c.corrupt > 0 && c.lost_connections > 0
    });
    check(data(0, 1, 1, 99), "another byte", |c| c.answered == 0 && c.corrupt > 0 && c.lost_connections == 0);
    check(data(0, 0, 1, 0), "no magic", |c| c.answered == 0 && c.corrupt > 0 && c.lost_connections > 0);
    check(data(0, 0, 2, 99), "twice", |c| c.answered == c.due && c.duplicated >= c.answered - 4);
    check(data(0, 0, 0, 99), "never", |c| c.answered == 0 && c.timeout > 0);
    check(Trick::Speechless, "no HELLO before DATA", |c| {
        c.answered == 0 && c.corrupt > 0 && c.lost_connections > 0
    });
    check(Trick::Instead(b"HTTP/1.1 400 Bad\r\n"), "HTTP", |c| c.answered == 0 && c.corrupt > 0);
    check(Trick::Busy(16), "ERROR in place of HELLO", |c| c.answered == 0 && c.failed() == c.due);
    check(Trick::Refuses(7), "ERROR", |c| c.answered == 0 && c.failed() == c.due);
    check(Trick::Leaves, "GOAWAY", |c| c.answered == 0 && c.failed() == c.due);
}

#[test]
fn frames_are_read_wherever_the_network_cuts_them_and_connections_may_be_new_ones() {
    for seed in 1..=200 {
        let life = if seed % 2 == 0 { Life::Keep } else { Life::Churn(3) };
        let config = Config { pipeline: 1 + (seed % 5) as u16, life, seed, ..frames(1 + seed as usize % 90) };
        let config = Config {
            warmup: Duration::ZERO,
            duration: Duration::from_millis(100),
            timeout: Duration::from_millis(100),
            ..config
        };
        let (seen, _) = run_with(seed, config.clone(), Server::default(), Faults::mixed(seed));
        assert_sound(&seen, &config, &format!("seed {seed}"));
        let c = seen.counts();
        assert_eq!((c.corrupt, c.duplicated, c.extra), (0, 0, 0), "seed {seed}: the server is true: {c:?}");
    }
}

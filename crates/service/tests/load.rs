//! The load generator in the simulated world: what it reports is held against what the server really did.

mod load_rig;

use load_rig::{Server, config, run};
use service::load::{Pace, Talk};
use stats::schedule::{Arrivals, Law};

const SECOND: u64 = 1_000_000_000;

fn constant(per_s: f64, ns: u64) -> Pace {
    Pace::Open(Arrivals::steady(Law::Constant, per_s, ns, 1))
}

#[test]
fn every_arrival_of_an_echo_is_answered_and_timed() {
    let mut config = config(Talk::Echo { bytes: 64 });
    config.pace = constant(1000.0, 2 * SECOND);
    let seen = run(1, config, Server::echo());
    let counts = seen.total.counts;
    assert_eq!((counts.due, counts.sent, counts.answered, counts.errors()), (1000, 1000, 1000, 0));
    assert_eq!((counts.warmup, counts.waited, counts.checked_bytes), (1000, 0, 2 * 64 * 1000));
    assert_eq!(seen.total.response.len(), 1000);
    assert_eq!((seen.steps, seen.opened, seen.over), (10, 4, 1));
}

#[test]
fn a_stall_is_seen_by_response_in_full_and_by_no_other() {
    // 100 arrivals a second, each on a connection of its own; from 1.2 s to 1.7 s of the run nothing is answered.
    let mut config = config(Talk::Echo { bytes: 64 });
    config.connections = 100;
    config.pace = constant(100.0, 2 * SECOND);
    let seen = run(2, config, Server::echo().stalls(1_200_000_000, 1_700_000_000));
    let response = &seen.total.response;
    // Those that arrived in the stall waited for its end: 500 ms, 490 ms, ... 10 ms, and the two ways on the wire.
    let waited: Vec<u64> =
        response.iter_recorded().map(|v| v.value_iterated_to()).filter(|ns| *ns > 5_000_000).collect();
    assert_eq!(seen.total.counts.answered, 100);
    assert!((49..=50).contains(&waited.len()), "{waited:?}");
    let max = response.max() as f64;
    assert!((max - 5e8).abs() < 1e6, "{max}");
    assert!(
        seen.total.send_lag.max() <= 1000,
        "the generator itself was never late: {}",
        seen.total.send_lag.max()
    );
}

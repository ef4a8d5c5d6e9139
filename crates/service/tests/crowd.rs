//! Many simulated connections that stay: small here, as large as wanted in `examples/crowd.rs`.

mod crowd_rig;

use crowd_rig::{Crowd, Talk};
use shard::engine::sim::Faults;
use std::time::Duration;

fn crowd(talk: Talk, faults: Faults, seed: u64) -> Crowd {
    let (lasts, every) = (Duration::from_secs(180), Duration::from_secs(30));
    Crowd { talk, connections: 500, lasts, every, faults, seed }
}

#[test]
fn every_heartbeat_of_a_crowd_is_answered_and_nobody_is_taken_for_dead() {
    let run = crowd(Talk::Frame, Faults::NONE, 1).run().check();
    let seat = &run.seats[0];
    assert_eq!((seat.accepted, seat.closed, seat.orphans, seat.aborted), (500, 500, 0, 0));
    assert_eq!((seat.peers_silent, seat.peers_stuck, seat.refused), (0, 0, 0));
    // Five or six each: those of the clients, and those of the seat where a client was quiet for as long.
    assert!((500 * 4..500 * 7).contains(&seat.heartbeats_answered), "{}", seat.heartbeats_answered);
    assert!((500..500 * 6).contains(&seat.heartbeats_sent), "{}", seat.heartbeats_sent);
    // To hear of a peer is a store: the timer is looked at once an interval, not once a frame.
    assert!((500 * 5..500 * 9).contains(&seat.timer_fires), "{}", seat.timer_fires);
}

#[test]
fn every_request_of_a_crowd_is_answered_and_nobody_is_closed_before_he_leaves() {
    let run = crowd(Talk::Http, Faults::NONE, 1).run().check();
    let seat = &run.seats[0];
    assert_eq!((seat.accepted, seat.closed, seat.orphans, seat.aborted), (500, 500, 0, 0));
    // At least once a connection, and then every 30 s.
    assert!((500 * 6..500 * 8).contains(&seat.requests), "{}", seat.requests);
    // The deadline of a session is looked at once in a keep-alive time of 75 s, not once a request.
    assert!((1..500 * 3).contains(&seat.timer_fires), "{}", seat.timer_fires);
}

#[test]
fn a_crowd_in_a_bad_network_is_kept_every_promise() {
    for seed in 1..6 {
        for talk in [Talk::Frame, Talk::Http] {
            crowd(talk, Faults::mixed(seed), seed).run().check();
        }
    }
}

#[test]
fn one_seed_is_one_crowd() {
    let run = || crowd(Talk::Frame, Faults::mixed(3), 3).run();
    let (one, two) = (run(), run());
    assert_eq!((one.trace.digest(), one.took), (two.trace.digest(), two.took));
}

//! The framed protocol in the simulated world: thousands of seeds, and the cases that have to come out just so.

#[path = "scenarios/mod.rs"]
mod scenarios;

use shard::engine::sim::Seeds;

#[test]
fn no_living_peer_is_killed_and_each_silent_one_is_found_in_its_time() {
    Seeds::new("frame", 3_000).run(scenarios::frame::run);
}

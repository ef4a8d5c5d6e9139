//! The client of the framed protocol in the simulated world.

#[path = "scenarios/mod.rs"]
mod scenarios;

use scenarios::fleet::Fleet;
use service::frame::client::Backoff;
use std::time::Duration;

#[test]
fn a_restart_with_20_000_clients_sees_no_storm() {
    const CLIENTS: usize = 20_000;
    let fleet = Fleet::new(CLIENTS, Backoff::default());
    let (run, log) = fleet.run(1);
    run.check();
    // Each was greeted before and after.
    assert_eq!(log.ups, 2 * CLIENTS, "{} downs", log.downs);
    assert_eq!(log.answers, 2 * CLIENTS as u64);
    let down = fleet.down.as_millis() as usize / 100;
    let peak = log.slots[down..].iter().max().expect("there are slots");
    assert!(*peak < 1_000, "{peak} arrivals in 100 ms");
    let back = Duration::from_millis(log.last_ms);
    assert!(back < fleet.up + Backoff::default().cap, "the last one came back at {back:?}");
}

#[test]
fn the_same_with_a_fixed_wait_is_a_storm() {
    let second = Duration::from_secs(1);
    let fleet = Fleet::new(2_000, Backoff { base: second, first: second, cap: second });
    let (run, log) = fleet.run(1);
    run.check();
    let up = fleet.up.as_millis() as usize / 100;
    let peak = log.slots[up..].iter().max().expect("there are slots");
    assert!(*peak > 1_500, "{peak} arrivals in 100 ms: the plot compares nothing");
}

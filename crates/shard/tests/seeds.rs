//! Thousands of simulated runs, each from one seed. See docs/SIMULATION.md.

mod scenarios;

use scenarios::{ALL, Scenario};

fn check(name: &str) {
    let Scenario { seeds, run, .. } =
        ALL.iter().find(|s| s.name == name).expect("the scenario is in the list");
    seeds.run(run);
}

#[test]
fn every_seed_of_echo_gives_back_what_was_sent() {
    check("plain-echo");
}

#[test]
fn a_service_that_wishes_at_random_is_kept_every_promise() {
    check("chaos");
}

#[test]
fn one_seed_is_one_run() {
    for Scenario { run, .. } in &ALL {
        for seed in 1..20 {
            let (one, two) = (run(seed), run(seed));
            assert_eq!((one.trace.digest(), one.took), (two.trace.digest(), two.took));
        }
    }
}

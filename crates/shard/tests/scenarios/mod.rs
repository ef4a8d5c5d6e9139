//! Scenarios of the simulation: each makes one run from a seed. Used by the test that runs many and the example that
//! replays one.

mod chaos;
mod echo;

use shard::engine::sim::{Run, Seeds};

/// One scenario.
pub(crate) struct Scenario {
    /// Its name on the command line.
    pub(crate) name: &'static str,
    /// Its runs.
    pub(crate) seeds: Seeds,
    /// Makes one.
    pub(crate) run: fn(u64) -> Run,
}

/// All of this crate.
pub(crate) const ALL: [Scenario; 2] = [
    Scenario {
        name: "plain-echo",
        seeds: Seeds::new("plain-echo", 1500).regressions(include_str!("../regressions/echo")),
        run: echo::run,
    },
    Scenario {
        name: "chaos",
        seeds: Seeds::new("chaos", 3000).regressions(include_str!("../regressions/chaos")),
        run: chaos::run,
    },
];

//! Many seeds of one scenario, and the way back to the one that failed.

use super::Run;
use std::env;

/// A scenario's name, the seeds that failed once, and how many new ones to run.
///
/// `RINGMILL_SIM_SEEDS=n` runs n seeds instead; `RINGMILL_SIM_SEED=n` runs that one alone.
#[derive(Clone, Copy, Debug)]
pub struct Seeds {
    scenario: &'static str,
    regressions: &'static str,
    count: u64,
}

impl Seeds {
    /// Seeds 1 to `count` of a scenario.
    pub const fn new(scenario: &'static str, count: u64) -> Seeds {
        Seeds { scenario, regressions: "", count }
    }

    /// Runs these first: one seed a line, `#` begins a comment.
    pub const fn regressions(self, regressions: &'static str) -> Seeds {
        Seeds { regressions, ..self }
    }

    /// Runs them all; returns how many. Panics at the first whose run broke a promise, with what broke, the end of its
    /// trace, and the command that replays it.
    pub fn run(self, run: impl Fn(u64) -> Run) -> u64 {
        let seeds = self.seeds();
        for &seed in &seeds {
            let Run { broken, .. } = &run(seed);
            if !broken.is_empty() {
                // Once more: a run that cannot be repeated is a bug of the simulation.
                let again = run(seed);
                let repeats = if again.broken == *broken { "" } else { "\n(the second run differs)" };
                let Seeds { scenario, .. } = self;
                panic!("{}{repeats}\nreplay with: make sim SCENARIO={scenario} SEED={seed}", again.story());
            }
        }
        seeds.len() as u64
    }

    fn seeds(self) -> Vec<u64> {
        if let Some(seed) = number("RINGMILL_SIM_SEED") {
            return vec![seed];
        }
        let lines = self.regressions.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
        let old = lines.filter(|line| !line.is_empty());
        let old = old.map(|line| line.parse().unwrap_or_else(|_| panic!("{line} is not a seed")));
        old.chain(1..=number("RINGMILL_SIM_SEEDS").unwrap_or(self.count)).collect()
    }
}

fn number(name: &str) -> Option<u64> {
    let value = env::var(name).ok().filter(|value| !value.is_empty())?;
    Some(value.parse().unwrap_or_else(|_| panic!("{name}={value} is not a number")))
}

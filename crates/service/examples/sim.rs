//! Replays one simulated run and prints what happened: `sim SCENARIO SEED`. `make sim SCENARIO=http SEED=7` calls it.
#![allow(clippy::print_stdout, reason = "its output is its purpose")]

/// Those of the executor alone.
#[path = "../../shard/tests/scenarios/mod.rs"]
#[allow(dead_code, reason = "how many seeds there are is for the test that runs them")]
mod executor;
#[path = "../tests/scenarios/mod.rs"]
mod scenarios;

use shard::engine::sim::Run;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let seed = arguments.get(1).and_then(|seed| seed.parse().ok());
    let Some(run) = seed.and_then(|seed| run(&arguments[0], seed)) else { return usage() };
    print!("{}", run.trace);
    println!("seed {}: {} events in {:?}, faults: {}", run.seed, run.trace.len(), run.took, run.faults);
    run.broken.iter().for_each(|what| println!("broken: {what}"));
    if run.broken.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn run(name: &str, seed: u64) -> Option<Run> {
    if scenarios::NAMES.contains(&name) {
        return Some(scenarios::run(name, seed));
    }
    let scenario = executor::ALL.iter().find(|scenario| scenario.name == name)?;
    Some((scenario.run)(seed))
}

fn usage() -> ExitCode {
    let others = executor::ALL.iter().map(|scenario| scenario.name);
    let names: Vec<&str> = scenarios::NAMES.into_iter().chain(others).collect();
    println!("usage: make sim SCENARIO=name SEED=number, where name is one of: {}", names.join(", "));
    ExitCode::from(2)
}

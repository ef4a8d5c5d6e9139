//! Replays one simulated run and prints what happened: `sim SCENARIO SEED`.
#![allow(clippy::print_stdout, reason = "its output is its purpose")]

#[path = "../tests/scenarios/mod.rs"]
mod scenarios;

use scenarios::ALL;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [name, seed] = &arguments[..] else { return usage() };
    let (Some(scenario), Ok(seed)) = (ALL.iter().find(|s| s.name == name), seed.parse()) else {
        return usage();
    };
    let run = (scenario.run)(seed);
    print!("{}", run.trace);
    println!("seed {seed}: {} events in {:?}, faults: {}", run.trace.len(), run.took, run.faults);
    run.broken.iter().for_each(|what| println!("broken: {what}"));
    if run.broken.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn usage() -> ExitCode {
    let names: Vec<&str> = ALL.iter().map(|scenario| scenario.name).collect();
    println!("sim SCENARIO SEED, where SCENARIO is one of: {}", names.join(", "));
    ExitCode::from(2)
}

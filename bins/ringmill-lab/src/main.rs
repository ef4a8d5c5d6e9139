//! The `ringmill-lab` program: kernel settings looked at, applied safely, and proven.
//!
//! No logic of its own about settings: that is in `tune`.
#![forbid(unsafe_code)]

mod ab;
mod applying;
mod args;
mod looking;
mod progress;
mod prove;
mod reanalyse;
mod report;
mod results;
mod stops;
mod trying;

use std::process::ExitCode;

use args::{Asked, Command};
use linux::console::{Failure, tell};

fn main() -> ExitCode {
    answer().unwrap_or_else(|failure| failure.tell(env!("CARGO_BIN_NAME")))
}

fn answer() -> Result<ExitCode, Failure> {
    let (command, common) = match args::read(std::env::args_os())? {
        Asked::Do(command, common) => (command, common),
        Asked::Show(text) => return tell(&text).map(|()| ExitCode::SUCCESS),
    };
    match command {
        Command::Doctor => looking::doctor(&common),
        Command::Knobs(knobs) => looking::knobs(&knobs, &common),
        Command::Explain(explain) => looking::explain(&explain, &common),
        Command::Plan(plan) => looking::plan(&plan, &common),
        Command::Audit(audit) => looking::audit(&audit, &common),
        Command::Apply(apply) => applying::apply(&apply, &common),
        Command::Confirm(confirm) => applying::confirm(&confirm, &common),
        Command::Revert(revert) => applying::revert(&revert, &common),
        Command::Recover(recover) => applying::recover(&recover, &common),
        Command::Persist(persist) => applying::keep(&persist, &common),
        Command::DeadMan => applying::dead_man(),
        Command::Ab(words) => ab::ab(&words, &common),
        Command::Prove(words) => prove::prove(&words, &common),
        Command::Report(words) => report::report(&words, &common),
        Command::Reanalyse(words) => reanalyse::reanalyse(&words, &common),
    }
}

//! The `ringmill` program: flags and file to a configuration, a configuration to shards, signals to a drain and a report.
//!
//! No logic of its own about bytes, protocols or rings: that is in the crates below.
#![forbid(unsafe_code)]

mod args;
mod caps;
mod config;
mod engine;
mod file;
mod knobs;
mod lock;
mod loops;
mod memory;
mod report;
mod run;
mod services;
mod table;
mod url;

use std::process::ExitCode;

use args::Asked;
use caps::Caps;
use linux::console::{Failure, tell};

fn main() -> ExitCode {
    match answer() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.tell(env!("CARGO_BIN_NAME")),
    }
}

fn answer() -> Result<(), Failure> {
    match args::read(std::env::args_os())? {
        Asked::Serve(args) => args.of_file(run::serve(&args.config()?))?,
        Asked::Check(args) => check(&args).map_err(Failure::of_check)?,
        Asked::PrintConfig(args) => tell(&file::print(&args.config()?))?,
        Asked::Caps { json: true } => tell(&Caps::ask(None)?.json())?,
        Asked::Caps { json: false } => tell(&Caps::ask(None)?.text())?,
        Asked::Show(text) => tell(&text)?,
    }
    Ok(())
}

fn check(args: &args::Args) -> Result<(), Failure> {
    tell(&args.of_file(run::check(&args.config()?))?)
}

//! The `ringmill-load` program: flags to a load, a load to shards, what they saw to a result and a verdict.
//!
//! No logic of its own about bytes, schedules or statistics: that is in the crates below.
#![forbid(unsafe_code)]

mod args;
mod config;
mod conformance;
mod cost;
mod files;
mod hold;
mod merge;
mod models;
mod progress;
mod request;
mod results;
mod room;
mod run;
#[cfg_attr(not(feature = "tui"), path = "screen/absent.rs")]
mod screen;
mod search;
mod steps;
mod stops;
mod storm;
mod target;
mod url;
mod wire;
mod words;

use std::io::Write;
use std::process::ExitCode;

use args::Asked;
use config::Config;
use linux::console::{Failure, tell};
use stats::outcome::{Outcome, State};
use stats::summary;

fn main() -> ExitCode {
    answer().unwrap_or_else(|failure| failure.tell(env!("CARGO_BIN_NAME")))
}

fn answer() -> Result<ExitCode, Failure> {
    match args::read(std::env::args_os())? {
        Asked::Run(run) => measure(*run),
        Asked::Search(search) => search::search(*search),
        Asked::Hold(words) => {
            let config = hold::Config::of(*words)?;
            let outcome = hold::run(&config)?;
            end(&outcome, &summary::text(&outcome), &config.output)
        }
        Asked::Conformance(words) => Ok(match conformance::run(&words)? {
            true => ExitCode::SUCCESS,
            false => ExitCode::from(State::Invalid.exit_code()),
        }),
        Asked::Storm(words) => Ok(match storm::run(&words)? {
            true => ExitCode::SUCCESS,
            false => ExitCode::from(State::Invalid.exit_code()),
        }),
        Asked::Models(words) => models::models(*words),
        Asked::Report(report) => results::report(&report).map(|()| ExitCode::SUCCESS),
        Asked::Compare(compare) => results::compare(&compare).map(|()| ExitCode::SUCCESS),
        Asked::Merge(merge) => merge::merge(&merge).map(|()| ExitCode::SUCCESS),
        Asked::Show(text) => tell(&text).map(|()| ExitCode::SUCCESS),
    }
}

/// One load, its files and its verdict, which is the exit code.
fn measure(run: args::Run) -> Result<ExitCode, Failure> {
    let config = Config::of(run)?;
    let outcome = run::run(&config)?;
    end(&outcome, &summary::text(&outcome), &config.output)
}

/// Shows a result and writes its files. Returns the exit code of its verdict.
fn end(outcome: &Outcome, text: &str, output: &args::Output) -> Result<ExitCode, Failure> {
    let told = if output.json.as_deref().is_some_and(files::is_stdout) {
        let _ = std::io::stderr().write_all(text.as_bytes());
        Ok(())
    } else {
        tell(text)
    };
    // What was measured is kept too when nobody could be told of it.
    files::write(outcome, output)?;
    told?;
    Ok(ExitCode::from(outcome.exit_code()))
}

//! `ringmill-load models`: one service on several servers, in rounds of a shuffled order. Flags to variants, variants to servers that are
//! started fresh for each measurement, and what these cost and gave to one report.
//!
//! What may be said of the figures is decided in `stats::models`; what a load is, in [`crate::run`].

mod args;
mod config;
mod course;
mod idle;
mod measure;
mod server;
mod variants;

pub(crate) use args::Words;

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use linux::console::{Failure, tell};
use stats::models::{self, COMMAND, Models, SCHEMA};

use crate::files;
use args::Output;
use config::Config;

/// Compares, or draws again what was compared; shows and writes it. Returns the exit code that goes with it.
pub(crate) fn models(words: Words) -> Result<ExitCode, Failure> {
    config::places(&words.output)?;
    let models = match &words.from {
        Some(path) => read(path)?,
        None => course::run(&Config::of(&words)?)?,
    };
    end(&models, &words.output)
}

fn end(models: &Models, output: &Output) -> Result<ExitCode, Failure> {
    let text = models::text(models);
    let told = if output.json.as_deref().is_some_and(files::is_stdout) {
        let _ = std::io::stderr().write_all(text.as_bytes());
        Ok(())
    } else {
        tell(&text)
    };
    // What was measured is kept too when nobody could be told of it.
    let json = || serde_json::to_string_pretty(models).expect("numbers under names are JSON") + "\n";
    let json = output.json.as_deref().map(|path| files::put(path, &json()));
    let md = output.md.as_deref().map(|path| files::put(path, &models::markdown(models)));
    let html = output.html.as_deref().map(|path| files::put(path, &models::page(models)));
    [json, md, html].into_iter().flatten().collect::<Result<(), Failure>>()?;
    told?;
    Ok(ExitCode::from(models.exit_code()))
}

/// Errors: it cannot be read, is no result of `models`, or is one of a newer version than this.
fn read(path: &Path) -> Result<Models, Failure> {
    let wrong = |why: String| {
        let cure = "a file that `ringmill-load models --json FILE` wrote";
        Failure::usage(format!("{}: {why}", path.display())).cure(cure)
    };
    let text = std::fs::read_to_string(path).map_err(|why| wrong(why.to_string()))?;
    let value: serde_json::Value =
        serde_json::from_str(&text).map_err(|why| wrong(format!("this is no JSON: {why}")))?;
    match value["schema"].as_u64() {
        _ if value["command"] != COMMAND => return Err(wrong("this is no result of `models`".into())),
        Some(schema) if schema > SCHEMA.into() => {
            let what = format!("{}: schema {schema} is newer than {SCHEMA}", path.display());
            return Err(Failure::usage(what).cure("the version of ringmill-load that wrote it"));
        }
        _ => {}
    }
    serde_json::from_value(value).map_err(|why| wrong(why.to_string()))
}

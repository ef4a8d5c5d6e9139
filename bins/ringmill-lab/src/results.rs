//! Results of experiments in files: read, told, and put where they were asked for.

use std::path::Path;

use linux::console::{Failure, tell};
use linux::file;
use stats::experiment::{COMMAND, Experiment, Proof, SCHEMA};

use crate::args::Common;

/// A result of either kind.
#[derive(Debug)]
pub(crate) enum Stored {
    Ab(Box<Experiment>),
    Prove(Box<Proof>),
}

/// Whether the files can be written, asked before the first run and before the first change. Errors: the first that has no place.
pub(crate) fn places(common: &Common, html: Option<&Path>) -> Result<(), Failure> {
    let json = common.json.as_deref().filter(|path| *path != Path::new("-"));
    match [json, html].into_iter().flatten().find(|path| !file::has_place(path)) {
        Some(path) => Err(Failure::usage(format!("{}: there is no such directory", path.display()))
            .cure("a file in a directory that is there")),
        None => Ok(()),
    }
}

/// Tells the text, or the JSON in its place, and writes what was asked for.
pub(crate) fn end<T: serde::Serialize>(
    common: &Common,
    html: Option<&Path>,
    result: &T,
    text: impl FnOnce() -> String,
    page: impl FnOnce() -> String,
) -> Result<(), Failure> {
    let json = || serde_json::to_string_pretty(result).expect("numbers under names are JSON") + "\n";
    let is_stdout = common.json.as_deref() == Some(Path::new("-"));
    // What was measured is kept too when nobody could be told of it.
    if let Some(path) = common.json.as_deref().filter(|_| !is_stdout) {
        put(path, &json())?;
    }
    if let Some(path) = html {
        put(path, &page())?;
    }
    tell(&if is_stdout { json() } else { text() })
}

/// Errors: it cannot be written.
pub(crate) fn put(path: &Path, content: &str) -> Result<(), Failure> {
    file::replace(path, content).map_err(|why| {
        Failure::runtime(format!("{}: {why}", path.display()))
            .cure("a file in a directory that can be written")
    })
}

/// Errors: it cannot be read, is no result of an experiment or not a whole one, or is of a newer version than this.
pub(crate) fn read(path: &Path) -> Result<Stored, Failure> {
    let wrong = |why: String| {
        let cure = "a file that `ringmill-lab ab --json FILE` or `prove --json FILE` wrote";
        Failure::usage(format!("{}: {why}", path.display())).cure(cure)
    };
    let text = std::fs::read_to_string(path).map_err(|why| wrong(why.to_string()))?;
    let value: serde_json::Value =
        serde_json::from_str(&text).map_err(|why| wrong(format!("this is no JSON: {why}")))?;
    if value["schema"].as_u64().is_some_and(|schema| schema > SCHEMA.into()) {
        return Err(wrong(format!("its schema is newer than {SCHEMA}")));
    }
    let read = match value["command"].as_str() {
        Some(COMMAND) => serde_json::from_value(value).map(Stored::Ab),
        Some("prove") => serde_json::from_value(value).map(Stored::Prove),
        _ => return Err(wrong("this is no result of an experiment".into())),
    };
    let stored = read.map_err(|why| wrong(why.to_string()))?;
    match &stored {
        Stored::Ab(experiment) => experiment.check(),
        Stored::Prove(proof) => proof.check(),
    }
    .map_err(wrong)?;
    Ok(stored)
}

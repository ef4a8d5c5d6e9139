//! `ringmill-load report` and `compare`: results of earlier runs, read from their JSON files.
//!
//! The same files give the same bytes: nothing but what stands in them, and their names, is shown.

use std::path::{Path, PathBuf};

use linux::console::{Failure, tell};
use serde_json::Value;
use stats::outcome::{Outcome, SCHEMA};
use stats::report;

use crate::args::{Compare, Report, Runs};
use crate::files;

/// Writes one page of all results.
pub(crate) fn report(asked: &Report) -> Result<(), Failure> {
    let results = asked.files.iter().map(|path| read(path)).collect::<Result<Vec<_>, _>>()?;
    let names: Vec<String> = asked.files.iter().map(|path| name(path)).collect();
    let named: Vec<(&str, &Outcome)> = names.iter().map(String::as_str).zip(&results).collect();
    for (name, picture) in asked.svg.iter().flat_map(|_| report::pictures(&named)) {
        let folder = asked.svg.as_deref().unwrap_or(Path::new("."));
        files::put(&folder.join(format!("{name}.svg")), &picture)?;
    }
    asked.output.as_ref().map_or(Ok(()), |path| files::put(path, &report::page(&named)))
}

/// Says in what the second differs from the first, and writes a page of both where it was asked for.
pub(crate) fn compare(asked: &Compare) -> Result<(), Failure> {
    let side = |Runs(files): &Runs| files.iter().map(|path| read(path)).collect::<Result<Vec<_>, _>>();
    let (first, second) = (side(&asked.first)?, side(&asked.second)?);
    if let Some(path) = &asked.html {
        let paths: Vec<PathBuf> = asked.first.0.iter().chain(&asked.second.0).cloned().collect();
        let results: Vec<Outcome> = first.iter().chain(&second).cloned().collect();
        files::put(path, &page(&paths, &results))?;
    }
    tell(&report::compare(&first, &second).text())
}

fn page(paths: &[PathBuf], results: &[Outcome]) -> String {
    let names: Vec<String> = paths.iter().map(|path| name(path)).collect();
    let named: Vec<(&str, &Outcome)> = names.iter().map(String::as_str).zip(results).collect();
    report::page(&named)
}

/// What a result is called: its file without folder and ending.
pub(crate) fn name(path: &Path) -> String {
    path.file_stem().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

/// Errors: it cannot be read, is no result, or is one of a newer version than this.
fn read(path: &Path) -> Result<Outcome, Failure> {
    let wrong = |why: String| {
        Failure::usage(format!("{}: {why}", path.display())).cure("files that `--json FILE` wrote")
    };
    let text = std::fs::read_to_string(path).map_err(|why| wrong(why.to_string()))?;
    let value: Value = serde_json::from_str(&text).map_err(|why| wrong(format!("this is no JSON: {why}")))?;
    match value["schema"].as_u64() {
        None => return Err(wrong("this is no result of ringmill-load".into())),
        Some(schema) if schema > SCHEMA.into() => {
            let what = format!("{}: schema {schema} is newer than {SCHEMA}", path.display());
            return Err(Failure::usage(what).cure("the version of ringmill-load that wrote it"));
        }
        Some(_) => {}
    }
    serde_json::from_value(value).map_err(|why| wrong(why.to_string()))
}

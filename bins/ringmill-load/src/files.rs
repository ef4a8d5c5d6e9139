//! The files of a result. Each takes the place of an older one whole, or not at all.

use std::fmt::Display;
use std::io::{BufWriter, Write};
use std::path::Path;

use linux::console::{Failure, tell};
use linux::file::{self, Draft};
use stats::hlog::Writer;
use stats::interval::Interval;
use stats::outcome::Outcome;
use stats::{csv, hgrm, report};

use crate::args::Output;
use crate::results;

/// Writes what was asked for of a result, the interval log and the distribution apart, which need what is not in it. Errors: the
/// first file that could not be written; the others are written all the same.
pub(crate) fn write(outcome: &Outcome, output: &Output) -> Result<(), Failure> {
    let json = output.json.as_deref().map(|path| put(path, &json(outcome)));
    let csv = output.csv.as_deref().map(|path| put(path, &csv::series(&outcome.series)));
    let html =
        output.html.as_deref().map(|path| put(path, &report::page(&[(&results::name(path), outcome)])));
    [json, csv, html].into_iter().flatten().collect()
}

/// Writes the distribution of all response times, if it was asked for.
pub(crate) fn distribution(output: &Output, whole: &Interval) -> Result<(), Failure> {
    output.hgrm.as_deref().map_or(Ok(()), |path| put(path, &hgrm::text(&whole.response)))
}

/// Whether the JSON goes to standard output, so that nothing else may.
pub(crate) fn is_stdout(path: &Path) -> bool {
    path == Path::new("-")
}

/// The result as it stands in its file, with a line end.
fn json(outcome: &Outcome) -> String {
    serde_json::to_string_pretty(outcome).expect("numbers under names are JSON") + "\n"
}

/// Replaces the file at `path`, or prints the text where that is `-`.
pub(crate) fn put(path: &Path, text: &str) -> Result<(), Failure> {
    if is_stdout(path) { tell(text) } else { file::replace(path, text).map_err(|why| wrong(path, why)) }
}

/// What went wrong with a file.
pub(crate) fn wrong(path: &Path, why: impl Display) -> Failure {
    Failure::runtime(format!("{}: {why}", path.display())).cure("a directory that exists, with room in it")
}

/// The interval log of a load that runs.
pub(crate) struct Log<'a> {
    path: &'a Path,
    writer: Writer<BufWriter<Draft>>,
}

impl<'a> Log<'a> {
    /// Opens it, for steps whose times count from `began_unix_s`, seconds since 1970 UTC. Errors: the file cannot be made.
    pub(crate) fn begin(path: &'a Path, began_unix_s: f64) -> Result<Log<'a>, Failure> {
        let program = concat!("ringmill-load ", env!("CARGO_PKG_VERSION"));
        let open = || Writer::begin(BufWriter::new(Draft::of(path)?), program, began_unix_s);
        Ok(Log { path, writer: open().map_err(|why| wrong(path, why))? })
    }

    /// Writes a step.
    pub(crate) fn step(&mut self, step: &Interval) -> Result<(), Failure> {
        self.writer.step(step).map_err(|why| wrong(self.path, why))
    }

    /// The load is over.
    pub(crate) fn keep(self) -> Result<(), Failure> {
        let keep = || {
            let mut file = self.writer.end()?;
            file.flush()?;
            file.into_inner().map_err(|error| error.into_error())?.keep()
        };
        keep().map_err(|why| wrong(self.path, why))
    }
}

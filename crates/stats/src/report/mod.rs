//! The report: results as one HTML page that needs nothing but itself, and the comparison of results.
//!
//! No script, no address of anything outside, no date but those of the runs: the same results give the same bytes. Whatever a person or
//! another machine wrote (URLs, names of files, the command line, the kernel's words) is escaped. Narrow screens, paper and the dark
//! are cared for by the style.

mod charts;
mod compare;
mod details;
mod look;
mod tables;

pub use compare::{Comparison, Finding, Measure, Row, compare};
pub(crate) use tables::date;

use crate::outcome::Outcome;
use crate::plot::{STYLE, escape};
use std::fmt::Write;

/// A result with its name.
#[derive(Clone, Copy)]
struct Run<'a> {
    /// What it is called: the name of its file.
    name: &'a str,
    /// What was measured.
    outcome: &'a Outcome,
    /// Its letter among several.
    letter: char,
}

impl Run<'_> {
    /// A measure of it among those of others.
    fn label(&self, measure: &str) -> String {
        format!("{} {measure}", self.letter)
    }
}

/// The page of one or more results, each with its name (that of its file). Of several, every chart has all of them, and each but the
/// first is compared with the first. None at all gives a page that says so.
pub fn page(results: &[(&str, &Outcome)]) -> String {
    let runs = lettered(results);
    let title = match runs.as_slice() {
        [] => "No result".to_string(),
        [run] => format!("{} {}", tables::command(run.outcome), run.outcome.asked.url),
        runs => format!("{} results", runs.len()),
    };
    let mut out = begin(&title);
    let _ = writeln!(out, "<h1>{}</h1>", escape(&title));
    for run in &runs {
        tables::head(&mut out, run, runs.len() > 1);
    }
    for run in runs.iter().skip(1) {
        let _ = writeln!(out, "<h2>{} against {}</h2>", run.letter, runs[0].letter);
        let compared = compare(std::slice::from_ref(runs[0].outcome), std::slice::from_ref(run.outcome));
        tables::comparison(&mut out, &compared, [runs[0].letter, run.letter]);
    }
    let charts = charts::charts(&runs);
    if !charts.is_empty() {
        out.push_str("<div class=\"charts\">\n");
        for chart in charts {
            let _ = writeln!(out, "<figure>{}</figure>", chart.inline());
        }
        out.push_str("</div>\n");
    }
    for run in &runs {
        details::details(&mut out, run, runs.len() > 1);
    }
    out.push_str(WORDS);
    end(&mut out);
    out
}

/// A page up to what stands on it, with the look of all pages.
pub(crate) fn begin(title: &str) -> String {
    begin_of("ringmill-load", title)
}

/// The same for a page of another program.
pub(crate) fn begin_of(program: &str, title: &str) -> String {
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <title>{} - {program}</title>\n<style>\n{}{STYLE}</style>\n</head>\n<body>\n<main>\n",
        escape(title),
        look::PAGE
    )
}

/// What closes it.
pub(crate) fn end(out: &mut String) {
    out.push_str("</main>\n</body>\n</html>\n");
}

/// The charts of [`page`], each by itself as an SVG file, with a name made of its title: `latency-by-percentile`.
pub fn pictures(results: &[(&str, &Outcome)]) -> Vec<(String, String)> {
    let file = |title: &str| title.to_lowercase().replace(|c: char| !c.is_ascii_alphanumeric(), "-");
    charts::charts(&lettered(results)).iter().map(|chart| (file(&chart.title), chart.svg())).collect()
}

fn lettered<'a>(results: &[(&'a str, &'a Outcome)]) -> Vec<Run<'a>> {
    let letters = ('A'..='Z').chain(std::iter::repeat('?'));
    results.iter().zip(letters).map(|((name, outcome), letter)| Run { name, outcome, letter }).collect()
}

/// What the words of the tables mean.
const WORDS: &str = "<details>\n<summary>What the words mean</summary>\n<dl>\n\
<dt>response</dt><dd>From when a request was due by the schedule to the last byte of its answer: what a user waits.</dd>\n\
<dt>service</dt><dd>From the first byte given to the kernel to the last byte of the answer: what most tools call latency.</dd>\n\
<dt>send_lag</dt><dd>From when a request was due and a connection free to its first byte given to the kernel: the generator's own \
error.</dd>\n\
<dt>connect</dt><dd>From the start of a connect to its success.</dd>\n\
<dt>first_byte</dt><dd>From the first byte given to the kernel to the first byte of the answer.</dd>\n\
<dt>the figures below a quantile</dt><dd>Its confidence interval of 95 %, by order statistics. A quantile is left out where fewer \
than 20 samples lie beyond it.</dd>\n</dl>\n</details>\n";

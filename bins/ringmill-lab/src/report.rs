//! `ringmill-lab report`: the page of a result, and the result told as it was when it was made.

use std::process::ExitCode;

use linux::console::Failure;
use stats::experiment::{page, proof_page, proof_text, text};

use crate::args::Common;
use crate::results::{self, Stored};
use crate::trying::Report;

pub(crate) fn report(words: &Report, common: &Common) -> Result<ExitCode, Failure> {
    let html = Some(words.output.as_path());
    results::places(common, html)?;
    match results::read(&words.result)? {
        Stored::Ab(made) => results::end(common, html, &made, || text(&made), || page(&made)),
        Stored::Prove(made) => results::end(common, html, &made, || proof_text(&made), || proof_page(&made)),
    }
    .map(|()| ExitCode::SUCCESS)
}

//! `ringmill-lab report`: the page of a result.

use std::process::ExitCode;

use linux::console::Failure;
use stats::experiment::{page, proof_page};

use crate::results::{self, Stored};
use crate::trying::Report;

pub(crate) fn report(words: &Report) -> Result<ExitCode, Failure> {
    let page = match results::read(&words.result)? {
        Stored::Ab(experiment) => page(&experiment),
        Stored::Prove(proof) => proof_page(&proof),
    };
    results::put(&words.output, &page).map(|()| ExitCode::SUCCESS)
}

//! `ringmill-lab reanalyse`: the same numbers again from the raw runs, and whether the file says the same.

use std::process::ExitCode;

use linux::console::{Failure, warn};
use stats::experiment::{page, proof_page, proof_text, text};

use crate::args::Common;
use crate::results::{self, Stored};
use crate::trying::Reanalyse;

pub(crate) fn reanalyse(words: &Reanalyse, common: &Common) -> Result<ExitCode, Failure> {
    let is_same = match results::read(&words.result)? {
        Stored::Ab(stored) => {
            let again = stored.again();
            results::end(common, None, &again, || text(&again), || page(&again))?;
            again == *stored
        }
        Stored::Prove(stored) => {
            let again = stored.again();
            results::end(common, None, &again, || proof_text(&again), || proof_page(&again))?;
            again == *stored
        }
    };
    if is_same {
        return Ok(ExitCode::SUCCESS);
    }
    warn(
        env!("CARGO_BIN_NAME"),
        &format!("{}: the runs do not give what the file says", words.result.display()),
    );
    Ok(ExitCode::from(DIFFERENT))
}

/// The file says other numbers than its runs.
const DIFFERENT: u8 = 3;

//! `ringmill-lab prove`: a profile on trial, shown and written.

use std::cell::RefCell;
use std::process::ExitCode;

use linux::console::Failure;
use stats::experiment::{proof_page, proof_text};
use tune::Profile;
use tune::experiment::{self, Course};

use crate::args::Common;
use crate::progress::Progress;
use crate::results;
use crate::stops::Stops;
use crate::trying::{self, Prove, failure};

pub(crate) fn prove(words: &Prove, common: &Common) -> Result<ExitCode, Failure> {
    results::places(common, words.how.html.as_deref())?;
    let profile = Profile::find(&words.profile)
        .map_err(|error| Failure::usage(error.to_string()).cure(error.cure()))?;
    let plan = trying::plan(&words.how, words.budget)?;
    let stops = Stops::listen()?;
    let progress = RefCell::new(Progress::new(words.how.quiet));
    let mut tell = |news: &experiment::News<'_>| progress.borrow_mut().news(news);
    let mut next = |name: &str| progress.borrow_mut().say(name);
    let course = &mut Course { is_stopped: &|| stops.is_told(), tell: &mut tell };
    let made = experiment::prove(&profile, &plan, course, &mut next);
    progress.borrow_mut().clear();
    let made = made.map_err(failure)?;
    results::end(common, words.how.html.as_deref(), &made, || proof_text(&made), || proof_page(&made))?;
    Ok(ExitCode::from(made.exit_code()))
}

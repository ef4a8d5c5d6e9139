//! `ringmill-lab ab`: one paired experiment, shown and written.

use std::process::ExitCode;

use linux::console::Failure;
use stats::experiment::{page, text};
use tune::experiment::{Course, Plan};

use crate::args::Common;
use crate::progress::Progress;
use crate::results;
use crate::stops::Stops;
use crate::trying::{self, Ab, failure};

pub(crate) fn ab(words: &Ab, common: &Common) -> Result<ExitCode, Failure> {
    results::places(common, words.how.html.as_deref())?;
    let (a, b) = (trying::arm("--a", &words.a)?, trying::arm("--b", &words.b)?);
    let plan = Plan { a, b, ..trying::plan(&words.how, words.budget)? };
    let has_flags = [&plan.a, &plan.b].iter().any(|arm| !arm.flags.is_empty());
    if has_flags && plan.workload.kind.scheme().is_none() {
        return Err(Failure::usage(
            "a command brings its own server, to which nobody gives ringmill's flags",
        )
        .cure("to write the flags into the command"));
    }
    let declared = plan.declaration().map_err(failure)?;
    let stops = Stops::listen()?;
    let mut progress = Progress::new(words.how.quiet);
    progress.say(&format!("declaration sha256 {}", declared.sha256()));
    let mut tell = |news: &tune::experiment::News<'_>| progress.news(news);
    let made = plan.run(&mut Course { is_stopped: &|| stops.is_told(), tell: &mut tell });
    progress.clear();
    let made = made.map_err(failure)?;
    results::end(common, words.how.html.as_deref(), &made, || text(&made), || page(&made))?;
    Ok(ExitCode::from(made.exit_code()))
}

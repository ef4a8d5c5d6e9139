//! What is shown while an experiment runs, on standard error: one line that changes where a terminal reads it, else a line each block.
//!
//! Never a figure of a run: who sees an effect before the end stops when it suits, and no bound of a look holds any more.

use std::io::{IsTerminal, Write};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tune::experiment::News;

/// The way in which progress is shown.
#[derive(Debug)]
pub(crate) enum Progress {
    /// One line that changes.
    Bar(ProgressBar),
    /// A line for each block; the last that was told of.
    Lines(u64),
    /// Not at all.
    Quiet,
}

impl Progress {
    /// As the user wants it, and standard error can show it.
    pub(crate) fn new(is_quiet: bool) -> Progress {
        match (is_quiet, std::io::stderr().is_terminal()) {
            (true, _) => Progress::Quiet,
            (false, false) => Progress::Lines(0),
            (false, true) => {
                let style = ProgressStyle::with_template("{bar:20} {wide_msg}").expect("a literal template");
                let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
                Progress::Bar(bar.with_style(style.progress_chars("=> ")))
            }
        }
    }

    /// Something else begins.
    pub(crate) fn say(&mut self, what: &str) {
        match self {
            Progress::Bar(bar) => bar.println(what),
            Progress::Lines(block) => {
                *block = 0;
                line(what);
            }
            Progress::Quiet => {}
        }
    }

    /// A run begins.
    pub(crate) fn news(&mut self, news: &News<'_>) {
        let excluded = match news.excluded {
            0 => String::new(),
            excluded => format!("; {excluded} runs excluded"),
        };
        let block = format!("block {} of at most {}", news.block, news.blocks_max);
        match self {
            Progress::Bar(bar) => {
                bar.set_length(news.blocks_max);
                bar.set_position(news.block - 1);
                bar.set_message(format!("{block}, arm {}{excluded}", news.arm));
            }
            Progress::Lines(last) if *last != news.block => {
                *last = news.block;
                line(&format!("{block}{excluded}"));
            }
            Progress::Lines(_) | Progress::Quiet => {}
        }
    }

    /// Takes the line away.
    pub(crate) fn clear(&mut self) {
        if let Progress::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}

fn line(what: &str) {
    let _ = writeln!(std::io::stderr(), "{what}");
}

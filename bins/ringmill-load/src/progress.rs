//! What is shown while a load runs, on standard error: one line that changes where a terminal reads it, else a line each step.

use std::io::{IsTerminal, Write};
use std::sync::mpsc::Sender;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use linux::console::Failure;
use stats::interval::Interval;
use stats::outcome::{Asked, Step};
use stats::text;

use crate::args::Output;
use crate::screen::Screen;
use crate::wire::News;

/// The way in which progress is shown.
#[derive(Debug)]
pub(crate) enum Progress {
    /// One line that changes.
    Bar(ProgressBar),
    /// The whole terminal.
    Screen(Box<Screen>),
    /// A line for each step.
    Lines,
    /// Not at all.
    Quiet,
}

impl Progress {
    /// As the user wants it, and standard error can show it. Errors: the whole terminal was asked for, and there is none.
    pub(crate) fn new(output: &Output, asked: &Asked, news: Sender<News>) -> Result<Progress, Failure> {
        if output.tui {
            return Ok(Progress::Screen(Box::new(Screen::open(asked, news)?)));
        }
        Ok(match (output.quiet, std::io::stderr().is_terminal()) {
            (true, _) => Progress::Quiet,
            (false, false) => Progress::Lines,
            (false, true) => {
                let style = ProgressStyle::with_template("{bar:20} {wide_msg}").expect("a literal template");
                let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
                Progress::Bar(bar.with_style(style.progress_chars("=> ")))
            }
        })
    }

    /// Something goes on that is not measured.
    pub(crate) fn say(&mut self, what: &str) {
        match self {
            Progress::Bar(bar) => bar.set_message(what.to_owned()),
            Progress::Screen(screen) => screen.say(what),
            Progress::Lines => line(what),
            Progress::Quiet => {}
        }
    }

    /// A step of `duration_ns` was measured, which `step` is the figures of; `errors` so far.
    pub(crate) fn step(&mut self, whole: &Interval, step: &Step, errors: u64, duration_ns: u64) {
        match self {
            Progress::Bar(bar) => {
                bar.set_length(duration_ns);
                bar.set_position(step.to_ns);
                bar.set_message(message(step, errors));
            }
            Progress::Screen(screen) => screen.step(whole, step, errors),
            Progress::Lines => {
                line(&format!("{:>6}  {}", text::duration(step.to_ns as f64), message(step, errors)));
            }
            Progress::Quiet => {}
        }
    }

    /// Nothing more will come: the line, or the view, goes.
    pub(crate) fn clear(&mut self) {
        match self {
            Progress::Bar(bar) => bar.finish_and_clear(),
            Progress::Screen(screen) => screen.close(),
            Progress::Lines | Progress::Quiet => {}
        }
    }
}

/// The figures of a step in one line. A quantile that its samples do not carry is a dash.
fn message(step: &Step, errors: u64) -> String {
    let seconds = step.to_ns.saturating_sub(step.from_ns).max(1) as f64 / 1e9;
    let time = |ns: Option<u64>| ns.map_or("-".into(), |ns| text::duration(ns as f64));
    format!(
        "{}  p50 {}  p99 {}  p99.9 {}  errors {}  send_lag p99 {}",
        text::rate(step.completed as f64 / seconds),
        time(step.p50_ns),
        time(step.p99_ns),
        time(step.p99_9_ns),
        text::count(errors),
        time(step.send_lag_p99_ns),
    )
}

fn line(what: &str) {
    let _ = writeln!(std::io::stderr(), "{what}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_one_line_and_what_it_does_not_carry_is_a_dash() {
        let step = Step {
            from_ns: 1_000_000_000,
            to_ns: 1_500_000_000,
            completed: 100_000,
            p50_ns: Some(83_190),
            p99_ns: Some(2_100_000),
            send_lag_p99_ns: Some(900),
            ..Step::default()
        };
        let expected = "200k/s  p50 83.2 us  p99 2.1 ms  p99.9 -  errors 1,234  send_lag p99 900 ns";
        assert_eq!(message(&step, 1234), expected);
    }
}

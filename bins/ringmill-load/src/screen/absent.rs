//! A program that was built without its full-screen view.

use std::sync::mpsc::Sender;

use linux::console::Failure;
use stats::interval::Interval;
use stats::outcome::{Asked, Step};

use crate::wire::News;

/// There is none.
#[derive(Debug)]
pub(crate) enum Screen {}

impl Screen {
    /// Errors: always.
    pub(crate) fn open(_: &Asked, _: Sender<News>) -> Result<Screen, Failure> {
        Err(Failure::usage("this ringmill-load was built without --tui").cure("`cargo build --features tui`"))
    }

    pub(crate) fn say(&mut self, _: &str) {
        match *self {}
    }

    pub(crate) fn step(&mut self, _: &Interval, _: &Step, _: u64) {
        match *self {}
    }

    pub(crate) fn close(&mut self) {
        match *self {}
    }
}

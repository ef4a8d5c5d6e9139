//! The user's word that it is enough: a signal, told to whichever load runs.
//!
//! A signal that comes between two loads is told to the next, at once.

use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use linux::console::Failure;
use linux::signal::{Signal, Signals};

use crate::wire::News;

/// Who hears of signals.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stops(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    is_told: bool,
    load: Option<Sender<News>>,
}

impl Stops {
    /// Listens from now on, to the end of the program. To be called before the first thread: threads inherit the mask, and one
    /// without it would be killed by the signal.
    pub(crate) fn listen() -> Result<Stops, Failure> {
        let signals = Signals::block([Signal::Interrupt, Signal::Terminate, Signal::Hangup])?;
        let stops = Stops::default();
        let its = stops.clone();
        thread::spawn(move || {
            while signals.wait().is_ok() {
                its.tell();
            }
        });
        Ok(stops)
    }

    /// From now on `load` is told.
    pub(crate) fn of(&self, load: Sender<News>) {
        self.with(|state| {
            if state.is_told {
                // One that has ended already needs no word.
                let _ = load.send(News::Stop);
            }
            state.load = Some(load);
        });
    }

    /// Whether there was a signal.
    pub(crate) fn is_told(&self) -> bool {
        self.with(|state| state.is_told)
    }

    fn tell(&self) {
        self.with(|state| {
            state.is_told = true;
            if let Some(load) = &state.load {
                let _ = load.send(News::Stop);
            }
        });
    }

    fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn a_load_is_told_of_what_came_before_it_and_of_what_comes() {
        let stops = Stops::default();
        let (first, its) = mpsc::channel();
        stops.of(first);
        assert!(its.try_recv().is_err() && !stops.is_told());
        stops.tell();
        assert!(matches!(its.try_recv(), Ok(News::Stop)) && stops.is_told());
        let (next, its) = mpsc::channel();
        stops.of(next);
        assert!(matches!(its.try_recv(), Ok(News::Stop)));
    }
}

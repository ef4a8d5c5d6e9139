//! The user's word that it is enough: a signal, after which the run that goes on is given up and what is whole is judged, or what was
//! written is taken back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use linux::console::Failure;
use linux::signal::{Signal, Signals};

/// Who asks whether there was one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stops(Arc<AtomicBool>);

impl Stops {
    /// Listens from now on, to the end of the program. To be called before the first thread: threads inherit the mask, and one
    /// without it would be killed by the signal.
    pub(crate) fn listen() -> Result<Stops, Failure> {
        Stops::listen_and(|| ())
    }

    /// The same, and does `act` at each signal, in a thread of its own.
    pub(crate) fn listen_and(act: impl Fn() + Send + 'static) -> Result<Stops, Failure> {
        let signals = Signals::block([Signal::Interrupt, Signal::Terminate, Signal::Hangup])?;
        let stops = Stops::default();
        let its = stops.clone();
        thread::spawn(move || {
            while signals.wait().is_ok() {
                its.0.store(true, Ordering::Relaxed);
                act();
            }
        });
        Ok(stops)
    }

    /// Whether there was a signal.
    pub(crate) fn is_told(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

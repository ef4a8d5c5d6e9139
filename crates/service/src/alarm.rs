//! The one timer that watches a conversation, lazily: it may fire early, and is then armed again.
//!
//! So a touch is a store. What puts a deadline off (a byte that came, a heartbeat that was heard) writes the time it happened and does
//! not call the wheel; the deadline is computed from that when the timer fires. A connection that is never silent touches
//! the wheel once in its timeout and not once a message. Only a deadline that comes sooner arms the timer anew ([`Alarm::by`]).

use shard::{Io, Service, Tick, Token};
use std::time::Duration;

/// The timer of one conversation. Always armed, from its first moment to its last.
#[derive(Debug)]
pub(crate) struct Alarm {
    timer: Token,
    at: Tick,
}

impl Alarm {
    /// Rings at `at`.
    pub(crate) fn at<S: Service>(at: Tick, io: &mut Io<'_, S>) -> Alarm {
        let wait = Duration::from_millis(at.0.saturating_sub(io.now().0));
        Alarm { timer: io.timer(wait), at }
    }

    /// Rings at `due` or earlier.
    #[inline]
    pub(crate) fn by<S: Service>(&mut self, due: Tick, io: &mut Io<'_, S>) {
        if due < self.at {
            io.cancel(self.timer);
            *self = Alarm::at(due, io);
        }
    }

    /// Whether this is the timer that fired.
    pub(crate) fn is(&self, timer: Token) -> bool {
        self.timer == timer
    }
}

// It is part of every idle connection.
const _: () = assert!(size_of::<Alarm>() == 16);

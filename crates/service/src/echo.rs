//! TCP echo: what comes goes back, the received buffer itself, never a copy of it.
//!
//! Holds nothing: what has no room in the output stays unread, so a peer that does not read is not read from either. Order
//! and integrity follow from moving chunks from the front of one queue to the back of another.

use shard::{Event, Input, Io, Leg, Next, Service};
use std::time::Duration;

/// How long a drain goes on answering, at most half of its time. An echo has no request that could be the last one.
const DRAIN_GRACE: Duration = Duration::from_millis(500);

/// One echoing connection.
#[derive(Debug)]
pub struct Session {
    leg: Leg,
}

impl Session {
    /// A connection that was just accepted.
    pub fn new(leg: Leg) -> Session {
        Session { leg }
    }

    /// Handles one event.
    #[inline]
    pub fn on<S: Service>(&mut self, event: Event<'_, S>, io: &mut Io<'_, S>) -> Next {
        match event {
            Event::Bytes(_, input) => self.forward(input, io),
            // Everything received has been moved to the output by now: it leaves before the leg is closed.
            Event::Eof(_) | Event::Failed(..) => Next::Close,
            // What is on its way to us, or waits in the socket of a connection just accepted, is still answered.
            Event::Drain(until) => {
                let half = Duration::from_millis(until.0.saturating_sub(io.now().0) / 2);
                io.timer(DRAIN_GRACE.min(half));
                Next::Stay
            }
            Event::Timer(_) => {
                // The peer does not know that we stop and may be sending; a reset would destroy what is on its way back.
                io.linger(self.leg);
                Next::Close
            }
            _ => Next::Stay,
        }
    }

    #[inline]
    fn forward<S: Service>(&self, mut input: Input<'_>, io: &mut Io<'_, S>) -> Next {
        io.meter().requests.inc();
        let out = io.out(self.leg);
        // Without room the rest stays where it is, and is offered again after `Drained`.
        while !input.is_empty() && out.reserve(input.first().len()) {
            let Some(chunk) = input.take(out.room()) else { break };
            if out.push(chunk).is_err() {
                unreachable!("a chunk no longer than the room fits");
            }
        }
        Next::Stay
    }
}

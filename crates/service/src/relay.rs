//! TCP relay: a client's connection carried on to another address, as a machine on two pipes.
//!
//! ```text
//! connecting --Opened--> relaying --Eof--> half closed --Eof--> closed
//!   |                       \_________________\__Failed__________^  the other side is reset
//!   \__Failed (upstream_failed)__________________________________^  the client is closed
//! ```
//!
//! No byte comes by here: the seat moves received buffers from one leg's input to the other's output, and stops receiving
//! where the output is full. The client is paused until the upstream is there: its first bytes wait in its socket.
//! A FIN is passed on behind the last byte; whatever breaks one side resets the other, so that a cut stream never
//! looks like a whole one. A drain changes nothing: the relay goes on until both sides are done or the deadline cuts it.
//!
//! [`relay_task`](crate::relay_task) does the same as a story.

use shard::{Connect, Event, Io, Leg, Next, Service};
use std::net::SocketAddr;
use std::time::Duration;

/// Where a relay leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// The upstream.
    pub to: SocketAddr,
    /// How long it may take to answer; then the client is closed.
    pub connect_deadline: Duration,
}

impl Config {
    /// A relay to `to` whose upstream has 5 s to answer: two retries of a lost SYN (after 1 and 3 s, tcp(7)).
    pub fn new(to: SocketAddr) -> Config {
        Config { to, connect_deadline: Duration::from_secs(5) }
    }

    pub(crate) fn connect(&self) -> Connect {
        Connect { to: self.to, from: None, deadline: self.connect_deadline }
    }
}

/// One relayed connection.
#[derive(Debug)]
pub struct Session {
    client: Leg,
    /// `None` when there was no room for it.
    upstream: Option<Leg>,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Connecting,
    Relaying,
    /// One side has finished sending.
    HalfClosed,
}

impl Session {
    /// A connection that was just accepted: connects the upstream. Without room for that the client is closed, as after
    /// any connect that fails.
    pub fn new<S: Service>(client: Leg, config: &Config, io: &mut Io<'_, S>) -> Session {
        io.pause(client);
        let upstream = io.connect(&config.connect()).ok();
        if upstream.is_none() {
            io.meter().upstream_failed.inc();
            // A session cannot be closed while it is being opened: the next turn does it.
            io.waker().wake();
        }
        Session { client, upstream, state: State::Connecting }
    }

    /// Handles one event.
    pub fn on<S: Service>(&mut self, event: Event<'_, S>, io: &mut Io<'_, S>) -> Next {
        match event {
            Event::Opened(upstream) => {
                self.state = State::Relaying;
                io.pipe(self.client, upstream, u64::MAX);
                io.pipe(upstream, self.client, u64::MAX);
                Next::Stay
            }
            Event::Eof(_) if self.state == State::HalfClosed => Next::Close,
            Event::Eof(leg) => {
                self.state = State::HalfClosed;
                self.other(leg).into_iter().for_each(|other| io.finish(other));
                Next::Stay
            }
            Event::Failed(leg, _) => self.broke(leg, io),
            Event::Wake if self.upstream.is_none() => Next::Close,
            // The end of a pipe is `Done` for whatever reason: `Eof` or `Failed` follows and says which.
            _ => Next::Stay,
        }
    }

    fn broke<S: Service>(&mut self, leg: Leg, io: &mut Io<'_, S>) -> Next {
        if leg != self.client {
            io.meter().upstream_failed.inc();
        }
        // A client whose upstream never answered is closed, not reset: nothing was cut.
        if self.state != State::Connecting || leg == self.client {
            self.other(leg).into_iter().for_each(|other| io.abort(other));
        }
        Next::Close
    }

    fn other(&self, leg: Leg) -> Option<Leg> {
        if leg == self.client { self.upstream } else { Some(self.client) }
    }
}

const _: () = assert!(size_of::<Session>() <= 24);

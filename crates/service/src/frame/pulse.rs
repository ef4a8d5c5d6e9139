//! What the one timer of a frame connection does: HELLO in time, heartbeats, verdicts, the end of a drain.
//!
//! Lazy: bytes only note when they came, and a timer that comes early is set again, so an idle connection has one timer and a
//! busy one touches the wheel once an interval.
//!
//! Whether the peer lives is judged in `ear.rs`.

use super::ear::Ear;
use super::session::{Reading, Session};
use proto::frame::heartbeat::Beat;
use proto::frame::{HEADER_BYTES, Header, Kind, State};
use shard::{Io, Next, Service};
use std::time::Duration;

impl Session {
    /// Sets the timer anew.
    pub(super) fn rearm<S: Service>(&mut self, after: Duration, io: &mut Io<'_, S>) {
        io.cancel(self.alarm);
        self.alarm = io.timer(after);
    }

    /// The timer fired.
    #[cold]
    pub(super) fn look<S: Service>(&mut self, io: &mut Io<'_, S>) -> Next {
        match self.conversation.state() {
            _ if io.draining() => self.look_at_the_end(io),
            State::Greeting => self.look_for_hello(io),
            _ => self.beat(io),
        }
    }

    /// The grace of the drain is over. A frame that is on its way, and a GOAWAY that found no room, have until the drain's deadline.
    fn look_at_the_end<S: Service>(&mut self, io: &mut Io<'_, S>) -> Next {
        if self.reading != Reading::Header || self.conversation.state() == State::Open {
            self.alarm = io.timer(DRAIN_LOOK);
            return Next::Stay;
        }
        // The peer may not know yet that we stop, and be sending; a reset would destroy what is on its way back.
        io.linger(self.leg);
        Next::Close
    }

    fn look_for_hello<S: Service>(&mut self, io: &mut Io<'_, S>) -> Next {
        match self.ear().look_for_hello(io.late_ms(), io) {
            Some(ms) => self.look_in(ms, io),
            None => self.refuse_late(io),
        }
    }

    fn beat<S: Service>(&mut self, io: &mut Io<'_, S>) -> Next {
        match self.ear().look(io.late_ms(), io) {
            Beat::Wait(ms) | Beat::Postpone(ms) => self.look_in(ms, io),
            Beat::Ping(ms) => {
                self.ping(io);
                self.look_in(ms, io)
            }
            Beat::Dead => self.bury(io),
        }
    }

    fn look_in<S: Service>(&mut self, ms: u32, io: &mut Io<'_, S>) -> Next {
        self.alarm = io.rough_timer(Duration::from_millis(ms.into()));
        Next::Stay
    }

    fn ear(&mut self) -> Ear<'_> {
        Ear { leg: self.leg, heard: &mut self.heard, pace: self.pace, looks: &mut self.looks }
    }

    /// Asks, unless an answer is on its way out, which a PING would break.
    fn ping<S: Service>(&self, io: &mut Io<'_, S>) {
        if self.reading == Reading::Header && io.room(self.leg) >= HEADER_BYTES {
            io.out(self.leg).copy(&Header::new(Kind::Ping, 0, 0).to_bytes());
            io.meter().heartbeats_sent.inc();
            io.meter().frames_out.inc();
        }
    }

    /// The peer is dead. A reset, not a close: what it will never acknowledge would stay in the kernel for minutes.
    fn bury<S: Service>(&mut self, io: &mut Io<'_, S>) -> Next {
        let stuck = io.unsent(self.leg) > 0;
        let meter = io.meter();
        if stuck {
            meter.peers_stuck.inc()
        } else {
            meter.peers_silent.inc()
        }
        io.abort(self.leg);
        Next::Close
    }
}

/// How often a drain looks whether the frame that is on its way is over.
const DRAIN_LOOK: Duration = Duration::from_millis(50);

//! What the one timer of a frame connection does: HELLO in time, heartbeats, verdicts, the end of a drain.
//!
//! Lazy: bytes only note when they came, and a timer that comes early is set again, so an idle connection has one timer and a
//! busy one touches the wheel once an interval.
//!
//! No living peer is killed by mistake. The turn takes completions before it fires timers, so what a verdict does not know is
//! what the kernel has and did not hand over; then
//! - a late look is not counted as silence, and a verdict in it waits for one more turn ([`Heard::look`](proto::frame::Heard::look));
//! - a seat that knows it is behind says so ([`Io::caught_up_since`]);
//! - bytes that waited for a buffer begin the silence anew ([`Io::was_starved`]);
//! - a peer that reads what is sent to it, however slowly, lives: while our output is full we do not hear it.

use super::session::{Reading, Session};
use proto::frame::heartbeat::{Beat, Look};
use proto::frame::{HEADER_BYTES, Header, Heard, Kind, State};
use shard::{Io, Next, Service, Tick};
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

    /// The grace of the drain is over. A frame that is on its way has until the drain's deadline.
    fn look_at_the_end<S: Service>(&mut self, io: &mut Io<'_, S>) -> Next {
        if self.reading != Reading::Header {
            self.alarm = io.timer(DRAIN_LOOK);
            return Next::Stay;
        }
        // The peer may not know yet that we stop, and be sending; a reset would destroy what is on its way back.
        io.linger(self.leg);
        Next::Close
    }

    fn look_for_hello<S: Service>(&mut self, io: &mut Io<'_, S>) -> Next {
        let due = Tick(io.now().0.saturating_sub(io.late_ms()));
        let starved = io.was_starved(self.leg);
        let fair = io.caught_up_since(due) && io.late_ms() <= 1 && !starved;
        if !fair && self.looks < HELLO_LOOKS {
            self.looks += 1;
            self.alarm = io.timer(if starved { STARVED } else { TICK });
            return Next::Stay;
        }
        self.refuse_late(io)
    }

    fn beat<S: Service>(&mut self, io: &mut Io<'_, S>) -> Next {
        let now_ms = io.now().0;
        if io.was_starved(self.leg) {
            self.heard = Heard::at(now_ms);
        }
        // Output that stands here is to be looked at again before a verdict: does it leave?
        self.looks = self.looks.max(u8::from(io.unsent(self.leg) > 0));
        let over = self.heard.quiet_ms(now_ms).saturating_sub(self.pace.patience_ms());
        let behind = !io.caught_up_since(Tick(now_ms - u64::from(over)));
        let look = Look { now_ms, late_ms: io.late_ms(), behind };
        let next_ms = match self.heard.look(self.pace, look, io.random()) {
            Beat::Wait(ms) => ms,
            Beat::Ping(ms) => {
                self.ping(io);
                ms
            }
            Beat::Postpone(ms) => {
                io.meter().verdicts_postponed.inc();
                ms
            }
            Beat::Dead => match self.last_look(now_ms, io) {
                Some(ms) => ms,
                None => return self.bury(io),
            },
        };
        self.alarm = io.timer(Duration::from_millis(next_ms.into()));
        Next::Stay
    }

    /// Asks, unless an answer is on its way out, which a PING would break.
    fn ping<S: Service>(&self, io: &mut Io<'_, S>) {
        if self.reading == Reading::Header && io.room(self.leg) >= HEADER_BYTES {
            io.out(self.leg).copy(&Header::new(Kind::Ping, 0, 0).to_bytes());
            io.meter().heartbeats_sent.inc();
            io.meter().frames_out.inc();
        }
    }

    /// A peer that says nothing may be reading: then it does not hear it, nor we it. When to look again, if it is.
    fn last_look<S: Service>(&mut self, now_ms: u64, io: &mut Io<'_, S>) -> Option<u32> {
        if io.unsent(self.leg) == 0 {
            // What stood here at an earlier look has left since.
            let reads = std::mem::take(&mut self.looks) > 0;
            return reads.then(|| {
                self.heard = Heard::at(now_ms);
                1
            });
        }
        let moved = io.moved(self.leg).map_or(0, |at| at.0);
        let left = u64::from(self.pace.patience_ms()).saturating_sub(now_ms.saturating_sub(moved));
        if left > 0 {
            self.looks = 1;
            return Some(left as u32);
        }
        // A send that is under way says what left of it when it ends; see `Io::recall`.
        if self.looks <= RECALLS && io.recall(self.leg) {
            self.looks += 1;
            return Some(RECALL_MS);
        }
        None
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

const TICK: Duration = Duration::from_millis(1);
/// How long a HELLO may take to be received once a buffer is free again.
const STARVED: Duration = Duration::from_millis(100);
/// How often the verdict about a HELLO is put off.
const HELLO_LOOKS: u8 = 50;
/// How long a send that is called back may take to end, and how often it is.
const RECALL_MS: u32 = 100;
const RECALLS: u8 = 2;
/// How often a drain looks whether the frame that is on its way is over.
const DRAIN_LOOK: Duration = Duration::from_millis(50);

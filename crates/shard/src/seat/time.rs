//! What comes without a peer's doing: alarms, wakes, notes from other seats, the drain.

use super::{CLOSE, Port, Ready, Seat};
use crate::alarm::{Alarm, LOOKS_END};
use crate::conn::{Flag, Phase};
use crate::service::{End, Event, LegError, Service, Token};
use crate::slab::Key;
use crate::wheel::{Fired, Tick};
use std::time::Duration;

impl<S: Service> Seat<S> {
    /// The time of the turn that begins. Never turns back.
    pub(crate) fn tick(&mut self, now_ns: u64) {
        self.desk.now_ns = now_ns.max(self.desk.now_ns);
        self.desk.now = Tick(self.desk.now_ns / 1_000_000);
        (self.pushed, self.sends) = (0, 0);
    }

    /// When the seat must run again though nothing happens, in nanoseconds of its clock.
    pub(crate) fn deadline_ns(&self) -> Option<u64> {
        let wheel = self.desk.wheel.next_deadline().map(|tick| tick.0 * 1_000_000);
        let exact = self.desk.exact.map(|(at, _)| at);
        wheel.into_iter().chain(exact).min()
    }

    /// Fires what is due, up to a bound. What is left is due at once ([`Seat::deadline_ns`] has passed), in the next turn: first
    /// the seat hears what came meanwhile, which may be what some of those timers wait for.
    pub(crate) fn fire<P: Port>(&mut self, port: &mut P) {
        if !self.desk.behind {
            self.desk.caught_up = self.desk.now;
        }
        for _ in 0..FIRES_MAX {
            let Some(Fired { timer, what, at }) = self.desk.wheel.fire(self.desk.now) else { break };
            if let Some(Alarm::Session(next)) = self.desk.wheel.coming().map(Alarm::from) {
                self.sessions.foresee(next.slot);
                self.desk.timers.foresee(next.slot);
            }
            self.desk.meter().timer_fires.inc();
            self.desk.late_ms = self.desk.now.0 - at.0;
            match Alarm::from(what) {
                Alarm::Session(session) => {
                    self.desk.timer_over(session, timer);
                    self.deliver(session, Event::Timer(Token(timer.into())), port);
                    self.ready.push_back(Ready::Orphan(session));
                }
                Alarm::Idle(leg, looks) => self.check_idle(leg, looks, port),
                Alarm::Connect(leg) => {
                    if self.alarm_of(leg, Phase::Connecting) {
                        self.failed(leg, LegError::Timeout, port);
                    }
                }
                Alarm::Linger(leg) => {
                    if self.alarm_of(leg, Phase::Lingering) {
                        self.shut(leg, true, port);
                    }
                }
                Alarm::Close(leg, looks) => self.check_close(leg, looks, port),
                Alarm::Ebb => {
                    if self.desk.take_ebb() {
                        linux::heap::trim();
                    }
                }
                Alarm::Drain => self.abort(port),
            }
        }
        if let Some((_, token)) = self.desk.exact.take_if(|(at, _)| *at <= self.desk.now_ns) {
            self.deliver(self.root, Event::Timer(token), port);
        }
    }

    /// Delivers the wakes that tasks of this seat got since the last call.
    pub(crate) fn wake<P: Port>(&mut self, port: &mut P) {
        if !self.desk.inbox.is_pending() {
            return;
        }
        let mut woken = std::mem::take(&mut self.woken);
        self.desk.inbox.drain(|slot, generation| woken.push((slot, generation)));
        for (slot, generation) in woken.drain(..) {
            // A word has fewer bits for the generation than a key. A stale word that fits by chance is one poll too many.
            if let Some(key) = self.sessions.key_at(slot)
                && key.generation & GENERATION_MASK == generation
            {
                self.desk.meter().wakes.add(1);
                self.deliver(key, Event::Wake, port);
            }
        }
        self.woken = woken;
        if self.desk.inbox.take_all() {
            let all: Vec<Key> = self.sessions.keys().collect();
            all.into_iter().for_each(|key| self.deliver(key, Event::Wake, port));
        }
    }

    /// Delivers notes from other seats; bounded, so that they cannot hold the turn.
    pub(crate) fn mail(&mut self) {
        while let Some((_, letter)) = self.desk.post.take() {
            self.desk.letters.push_back(letter);
        }
    }

    /// Begins the drain: every session is told, and those that outlive the deadline are aborted.
    pub(crate) fn drain<P: Port>(&mut self, port: &mut P) {
        if self.desk.draining {
            return;
        }
        self.desk.draining = true;
        let until = self.after(self.limits.drain);
        self.drain_until = until;
        self.desk.wheel.insert(until, Alarm::Drain.into());
        let all: Vec<Key> =
            self.sessions.keys().filter(|key| self.sessions.get(*key).is_some_and(|s| !s.late)).collect();
        self.ready.extend(all.into_iter().map(Ready::Drain));
        self.run(port);
    }

    /// Drains what served through the drain. Nothing of the seat is left but that, so it is told once and then closed.
    pub(crate) fn drain_late<P: Port>(&mut self, port: &mut P) {
        let all: Vec<Key> = self.sessions.keys().collect();
        for key in all {
            self.deliver_drain(key, port);
            self.end_session(key, End::Closed, port);
        }
    }

    /// Ends every session now.
    pub(crate) fn abort<P: Port>(&mut self, port: &mut P) {
        self.desk.draining = true;
        let all: Vec<Key> = self.sessions.keys().collect();
        for key in all {
            let flushes = self.is_flushing(key);
            let Some(session) = self.sessions.get_mut(key) else { continue };
            if !session.root && (flushes || session.ending.is_none()) {
                self.desk.meter().aborted.add(1);
            }
            if let Some(why) = session.ending.as_mut().filter(|_| flushes) {
                // It wanted to end, and what it said last is cut.
                *why = End::Aborted;
            }
            self.end_session(key, End::Aborted, port);
        }
        // Legs whose session ended before them: still flushing, or lingering, which have said all.
        let legs: Vec<Key> = self.desk.conns.keys().collect();
        legs.into_iter().for_each(|leg| self.shut(leg, true, port));
    }

    /// Whether a leg of a session is being closed and its last output is still on its way.
    fn is_flushing(&self, key: Key) -> bool {
        let mut next = self.first_leg(key);
        while let Some(leg) = next {
            if self.desk.conns.get(leg).is_some_and(|conn| conn.phase == Phase::Closing) {
                return true;
            }
            next = self.leg_after(key, leg);
        }
        false
    }

    pub(super) fn deliver_drain<P: Port>(&mut self, key: Key, port: &mut P) {
        if let Some(session) = self.sessions.get_mut(key)
            && !std::mem::replace(&mut session.drained, true)
        {
            self.deliver(key, Event::Drain(self.drain_until), port);
        }
    }

    /// Begins to look whether a leg is idle. Comes before its session is told of it, whose wishes may need the alarm.
    pub(super) fn arm_idle(&mut self, leg: Key) {
        if let Some(idle) = self.limits.idle {
            self.arm(leg, idle, |leg| Alarm::Idle(leg, 0));
        }
    }

    /// Sets the one alarm of a leg.
    pub(super) fn arm(&mut self, leg: Key, after: Duration, alarm: impl FnOnce(Key) -> Alarm) {
        let timer = self.desk.wheel.insert(self.after(after), alarm(leg).into());
        let old = self.desk.conns.get_mut(leg).and_then(|conn| conn.alarm.replace(timer));
        if let Some(old) = old {
            self.desk.wheel.cancel(old);
        }
    }

    /// Takes note that the alarm of a leg has fired; says whether the leg is still where it was armed for.
    fn alarm_of(&mut self, leg: Key, phase: Phase) -> bool {
        self.desk.conns.get_mut(leg).is_some_and(|conn| {
            conn.alarm = None;
            conn.phase == phase
        })
    }

    /// Lazy: bytes only note when they moved, and an alarm that comes early is set again.
    fn check_idle<P: Port>(&mut self, leg: Key, looks: u8, port: &mut P) {
        let Some(idle) = self.limits.idle else { return };
        if !self.alarm_of(leg, Phase::Open) {
            return;
        }
        let now = self.desk.now;
        let Some(conn) = self.desk.conns.get(leg).filter(|conn| !conn.is(Flag::Datagram)) else { return };
        let quiet = Duration::from_millis(now.0 - conn.active.0);
        if conn.is(Flag::Starved) {
            // It is we who do not read.
            return self.arm(leg, idle, |leg| Alarm::Idle(leg, 0));
        }
        if quiet < idle {
            return self.arm(leg, idle - quiet, |leg| Alarm::Idle(leg, 0));
        }
        if self.recalls(leg, looks, port) {
            return self.arm(leg, RECALL, |leg| Alarm::Idle(leg, looks + 1));
        }
        self.desk.meter().sessions_idle_closed.add(1);
        self.failed(leg, LegError::Idle, port);
    }

    fn check_close<P: Port>(&mut self, leg: Key, looks: u8, port: &mut P) {
        if !self.alarm_of(leg, Phase::Closing) {
            return;
        }
        if self.recalls(leg, looks, port) {
            return self.arm(leg, RECALL, |leg| Alarm::Close(leg, looks + 1));
        }
        let Some(conn) = self.desk.conns.get(leg) else { return };
        let quiet = Duration::from_millis(self.desk.now.0 - conn.active.0);
        if quiet < CLOSE {
            self.arm(leg, CLOSE - quiet, |leg| Alarm::Close(leg, 0));
        } else {
            self.shut(leg, true, port);
        }
    }

    /// Calls a leg's send back, to see before a deadline cuts it whether bytes leave slowly. Twice: a socket that was found full
    /// wakes its writer only when a third of it is free, so what left may show only in what the first recall's new send took.
    fn recalls<P: Port>(&mut self, leg: Key, looks: u8, port: &mut P) -> bool {
        let recalls = looks < LOOKS && self.desk.is_sending(leg);
        if recalls {
            port.recall(leg);
        }
        recalls
    }

    fn after(&self, after: Duration) -> Tick {
        self.desk.after(after)
    }
}

/// Timers that fire in one turn: more are due at once only after a pause, or where time jumped.
const FIRES_MAX: usize = 1024;
/// How long a send that is called back may take to end.
const RECALL: Duration = Duration::from_millis(100);
const LOOKS: u8 = 2;
const _: () = assert!(LOOKS < LOOKS_END);
const GENERATION_MASK: u32 = (1 << 28) - 1;

//! The io_uring engine: one ring a seat, multishot accept and receive, one enter a turn.
//!
//! A turn: take every completion that was reaped and tell the seat; fire timers, wakes, notes; let the seat flush; then one
//! `io_uring_enter` that submits all of it and waits if nothing is runnable.
//!
//! - `driver.rs` acts for the seat, `link.rs` is what it knows of a leg, `accept.rs` the listeners
//! - `complete.rs` understands completions: every trap of the kernel's contract is handled there
//! - `ring.rs` is the small trait the engine is generic over; `rings.rs` is one ring or many; `fake.rs` breaks every promise the kernel does not make
//! - `start.rs` makes seats out of a plan

mod accept;
mod complete;
mod driver;
#[cfg(test)]
mod fake;
mod link;
mod ring;
mod rings;
mod start;

pub use start::{check, start};

use crate::engine::hand_off::HandOff;
use crate::engine::peers::Peers;
use crate::engine::seats::{EMPTIED_A_TURN, LATE_PLACES};
use crate::engine::timed::Timed;
use crate::plan::{Control, Stop, Wake, ZeroCopy};
use crate::seat::Seat;
use crate::service::Service;
use crate::slab::Key;
use accept::{Accept, Room, Waiting};
use driver::{Driver, For, News};
use link::{Fact, Receive, Send};
use linux::Pool;
use linux::clock::Clock;
use linux::ring::{Counts, Op, RingError};
use linux::wake::Parker;
use ring::Ring;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Bytes of this process that an idle connection of `S` costs: its places in the tables of the seat and of the ring, with one timer,
/// and in the list of those that may be parked. Counters are the seat's; what tables have to spare is not in it.
pub const fn idle_bytes<S: Service>() -> usize {
    crate::seat::idle_bytes::<S>() + size_of::<link::Link>() + size_of::<Key>()
}

/// One seat's loop.
struct Uring<S: Service, R> {
    seat: Seat<S>,
    driver: Driver<R>,
    accepts: Vec<Accept>,
    /// Its part in handing connections over, where they are.
    hand_off: Option<HandOff>,
    /// How many connections may wait in the queues of its listeners.
    crowd: usize,
    /// The queue of a listener that is about to close was not emptied in this turn.
    emptying: bool,
    /// The seat is at its bound.
    at_bound: bool,
    peers: Arc<Peers>,
    parker: &'static Parker,
    control: Control,
    told: Stop,
    /// Holds what a receive delivered while the seat works on it.
    pieces: VecDeque<linux::Chunk>,
    zero_copy: ZeroCopy,
    spin_ns: u64,
    wake: Wake,
    /// The ring waits a little for more than one completion ([`Factors::min_wait_us`](linux::ring::Factors::min_wait_us)).
    batches: bool,
    /// Completions that end a sleep: 1, or, where it batches, half of what the last turn took.
    want: u32,
    counted: Counts,
    timed: Timed,
    /// How long a leg is idle before it is parked; 0 is never.
    park_ms: u64,
    /// When the legs that may be parked are looked at next, and how many of them are left to look at now.
    look_ns: u64,
    looks: usize,
    /// The sessions of late listeners were told of the drain.
    last_call: bool,
    /// The late listeners were told to end.
    told_last: bool,
}

/// How long before an exact deadline a [`Wake::Hybrid`] seat stops sleeping: more than a timer's interrupt and a thread's
/// way back to its core take on a machine that is not overloaded, less than would keep a core busy at 1,000 deadlines a second.
const HYBRID_NS: u64 = 100_000;
/// How often a spin looks at memory between two looks at the clock, and how often when it is to end at an exact deadline: a
/// look's pause is 10 to 50 ns.
const LOOKS: u32 = 64;
const EXACT_LOOKS: u32 = 4;
/// Legs that are looked at in one turn whether they can be parked.
const PARKED_A_TURN: usize = 256;
/// How long the end of a seat waits for its last completions.
const FINISH_NS: u64 = 2_000_000_000;
/// How often it looks for them.
const FINISH_STEP_NS: u64 = 10_000_000;
const NOBODY: Key = Key { slot: 0, generation: 0 };

impl<S: Service, R: Ring> Uring<S, R> {
    /// Serves until told to stop and everything has ended.
    fn run(&mut self) -> Result<(), RingError> {
        self.driver.ring.push(Op::PollMulti(self.parker.event()), driver::tag(For::Event, NOBODY));
        loop {
            self.turn(Clock::now_ns());
            if self.is_over() {
                return self.finish();
            }
            self.wait()?;
        }
    }

    /// Everything that can be done without waiting.
    fn turn(&mut self, now_ns: u64) {
        self.driver.turn = self.driver.turn.wrapping_add(1);
        self.seat.tick(now_ns);
        let mut taken = 0;
        while let Some(completion) = self.driver.ring.next() {
            self.foresee();
            self.complete(completion);
            taken += 1;
        }
        // Once: what completes then may bring more, which waits for the end of the turn like all else.
        if self.driver.ring.hasten() {
            while let Some(completion) = self.driver.ring.next() {
                self.complete(completion);
            }
        }
        self.seat.desk.behind = self.driver.ring.is_behind(taken);
        self.seat.fire(&mut self.driver);
        self.seat.wake(&mut self.driver);
        self.seat.mail();
        while let Some((id, fd)) = self.hand_off.as_mut().and_then(HandOff::take) {
            self.take_in_plain(fd, id);
        }
        self.emptying = false;
        self.obey();
        self.tell();
        self.seat.run(&mut self.driver);
        self.tell();
        self.close_down();
        self.relieve();
        self.park_idle();
        self.accept_more();
        self.flush_mail();
        self.count();
    }

    /// Has the processor fetch what the next completion will be about: of a million connections it is in no cache.
    #[inline]
    fn foresee(&self) {
        if let Some(tag) = self.driver.ring.ahead() {
            self.driver.foresee(tag.slot());
            self.seat.desk.conns.foresee(tag.slot());
        }
    }

    /// Submits the turn's work, and waits for more if nothing is runnable.
    fn wait(&mut self) -> Result<(), RingError> {
        if (self.spin_ns > 0 || self.wake != Wake::Sleep) && !self.is_runnable() {
            let due = self.spin()?;
            if due || self.driver.ring.has_next() {
                return Ok(());
            }
        }
        if self.is_runnable() || !self.park() {
            return self.enter(0, None);
        }
        let waited = self.enter(self.want, self.sleeps_until_ns());
        self.parker.unpark();
        waited
    }

    /// Gives the kernel what was pushed, and notes when, if anybody wants to know.
    #[inline]
    fn enter(&mut self, want: u32, deadline_ns: Option<u64>) -> Result<(), RingError> {
        if self.seat.desk.wants_stamp() {
            self.seat.desk.stamp(Clock::now_ns());
        }
        self.driver.ring.wait(want, deadline_ns)
    }

    /// Submits what is left to submit, then looks for work in shared memory for a while, and fetches it. `true` when
    /// it found none and a deadline has come: there is no use in sleeping.
    fn spin(&mut self) -> Result<bool, RingError> {
        let pool = self.driver.ring.pool();
        // Buffers go back at an enter only: a long spin must not leave the kernel with few.
        if self.driver.ring.has_unsubmitted() || pool.returned() > pool.count() as usize / 4 {
            self.enter(0, None)?;
        }
        let began_ns = Clock::now_ns();
        let exact_ns = self.spins_to_ns(began_ns);
        let until_ns = began_ns.saturating_add(self.spin_ns).max(exact_ns.unwrap_or(0));
        let until_ns = self.deadline_ns().map_or(until_ns, |deadline| deadline.min(until_ns));
        let looks = if exact_ns.is_some() { EXACT_LOOKS } else { LOOKS };
        let mut now_ns = began_ns;
        let mut found = self.finds_work();
        while !found && now_ns < until_ns {
            found = (0..looks).any(|_| {
                std::hint::spin_loop();
                self.finds_work()
            });
            now_ns = Clock::now_ns();
        }
        self.seat.desk.meter().spun_ns.add(now_ns - began_ns);
        if found && !self.driver.ring.has_next() && self.driver.ring.work_waits() {
            self.enter(0, None)?;
        }
        Ok(!found && self.deadline_ns().is_some_and(|at| now_ns >= at))
    }

    /// Whether there is work, as far as shared memory says.
    #[inline]
    fn finds_work(&mut self) -> bool {
        self.driver.ring.has_next() || self.has_mail() || self.driver.ring.work_waits()
    }

    /// The exact deadline, if it is one to be waited for without sleeping from now on.
    fn spins_to_ns(&self, now_ns: u64) -> Option<u64> {
        let (at_ns, _) = self.seat.desk.exact?;
        match self.wake {
            Wake::Sleep => None,
            Wake::Hybrid => (at_ns <= now_ns.saturating_add(HYBRID_NS)).then_some(at_ns),
            Wake::Spin => Some(at_ns),
        }
    }

    /// When a sleep must end though nothing happens.
    fn sleeps_until_ns(&self) -> Option<u64> {
        let deadline = self.deadline_ns()?;
        match (self.wake, self.seat.desk.exact) {
            (Wake::Hybrid, Some((at_ns, _))) => Some(deadline.min(at_ns.saturating_sub(HYBRID_NS))),
            _ => Some(deadline),
        }
    }

    /// Announces sleep. `false` when other threads have left something to do.
    fn park(&mut self) -> bool {
        let parker = self.parker;
        parker.park(|| self.has_mail())
    }

    /// Whether another thread gave this seat something that it has not looked at.
    fn has_mail(&self) -> bool {
        let desk = &self.seat.desk;
        let others_ended = self.last_call && !self.told_last && self.peers.all_left();
        let handed = self.hand_off.as_ref().is_some_and(HandOff::has_news);
        let told = self.control.stop() > self.told;
        others_ended || desk.inbox.is_pending() || !desk.post.is_empty() || handed || told
    }

    /// Ends what the loop itself has in flight. The notifications of zero-copy sends may take as long as their peers.
    fn finish(&mut self) -> Result<(), RingError> {
        let event = driver::tag(For::Event, NOBODY);
        self.driver.ring.push(Op::Cancel(event), driver::tag(For::Forgotten, NOBODY));
        let until_ns = Clock::now_ns() + FINISH_NS;
        while self.driver.ring.counts().in_flight > 0 && Clock::now_ns() < until_ns {
            // In steps: what a ring beside has is no longer signalled.
            self.driver.ring.wait(1, Some(until_ns.min(Clock::now_ns() + FINISH_STEP_NS)))?;
            while let Some(completion) = self.driver.ring.next() {
                self.complete(completion);
            }
        }
        self.count();
        self.timed.count(self.seat.desk.meter());
        Ok(())
    }

    /// Tells the seat what the driver learned while it acted.
    fn tell(&mut self) {
        while let Some(news) = self.driver.news.pop_front() {
            match news {
                News::Failed(leg, why) => self.seat.failed(leg, why, &mut self.driver),
                News::Closed(leg) => self.seat.closed(leg),
                News::Starved(leg, on) => {
                    self.seat.desk.meter().enobufs.add(on.into());
                    self.seat.starved(leg, on);
                }
            }
        }
    }

    /// Looks after buffers: marks sends that outlived their turn, takes buffers back from them when they are short, and arms
    /// receives that found none.
    fn relieve(&mut self) {
        let mut senders = std::mem::take(&mut self.driver.senders);
        senders.retain(|&leg| {
            if self.driver.link(leg).is_some_and(|link| link.send == Send::Fresh) {
                self.mark_slow(leg);
            }
            let Some(link) = self.driver.link(leg) else { return false };
            // Only those stay that are fresh or hold buffers, which are few: nobody looks through all slow readers each turn.
            link.listed = link.send == Send::Fresh || link.send == Send::Slow && link.leases;
            link.listed
        });
        self.driver.senders = senders;
        let pools = [Some(self.driver.ring.pool()), self.driver.ring.fetch_pool()];
        let starve = !self.driver.starved.is_empty() || !self.driver.hungry.is_empty();
        let short = |pool: &Pool| {
            let (lent, count) = (pool.lent(), pool.count());
            lent > count / 2 && (lent > count / 4 * 3 || starve)
        };
        let is_short = pools.into_iter().flatten().any(short);
        let pool = self.driver.ring.pool();
        let (lent, count, returned) = (pool.lent(), pool.count(), pool.returned());
        if is_short {
            let reclaimed = self.driver.reclaim((count as usize / 8).max(1));
            self.seat.desk.meter().sends_reclaimed.add(reclaimed);
        }
        self.driver.feed();
        // ENOBUFS says that every buffer was lent or in completions not yet taken, so one comes back before it is needed.
        let free = (count - lent) as usize;
        let mut share = returned.max(free);
        while share > 0
            && let Some(leg) = self.driver.starved.pop_front()
        {
            // Those that went, or are not wanted, take no share: who stands behind them might never be looked at again.
            let Some(link) = self.driver.link(leg) else { continue };
            if link.receive == Receive::Starved {
                link.receive = Receive::Idle;
                self.driver.arm(leg);
                share -= usize::from(self.driver.link(leg).is_some_and(|l| l.receive == Receive::Armed));
            } else if link.set(Fact::Hungry, false) {
                self.driver.fetch(leg);
                share -= usize::from(self.driver.link(leg).is_some_and(|l| l.is(Fact::Fetches)));
            }
            // Who is not wanted any more does not starve: a peer that reads nothing would be excused for ever.
            self.driver.sated(leg);
        }
    }

    /// Parks legs that have been idle for a while: they wait by a poll, which costs less memory than a receive. All of them
    /// are looked at twice in that time, some in each turn; where none are armed nobody looks.
    fn park_idle(&mut self) {
        if self.park_ms == 0 || self.driver.watched.is_empty() {
            self.looks = 0;
            return;
        }
        let desk = &self.seat.desk;
        if self.looks == 0 {
            if desk.now_ns < self.look_ns {
                return;
            }
            self.look_ns = desk.now_ns.saturating_add(self.park_ms.saturating_mul(500_000));
            self.looks = self.driver.watched.len();
        }
        let (now, park_ms) = (desk.now, self.park_ms);
        for _ in 0..self.looks.min(PARKED_A_TURN) {
            self.looks -= 1;
            let Some(leg) = self.driver.watched.pop_front() else { break };
            let active = self.seat.desk.conns.get(leg).map(|conn| conn.active);
            let (Some(link), Some(active)) = (self.driver.link(leg), active) else { continue };
            if link.receive == Receive::Armed && active.0.saturating_add(park_ms) <= now.0 {
                self.driver.park(leg, now.0);
                self.seat.desk.meter().parked.inc();
            } else {
                self.driver.watched.push_back(leg);
            }
        }
    }

    /// When legs are to be looked at whether they can be parked.
    fn looks_at_ns(&self) -> Option<u64> {
        (!self.driver.watched.is_empty() && self.park_ms > 0).then_some(self.look_ns)
    }

    /// Marks a send that was pushed in an earlier turn: its peer reads slowly.
    fn mark_slow(&mut self, leg: Key) {
        let turn = self.driver.turn;
        let Some(link) = self.driver.link(leg).filter(|link| link.turn != turn) else { return };
        link.send = Send::Slow;
        self.seat.slow(leg);
    }

    /// Does what the run was told: drain, or end.
    fn obey(&mut self) {
        let stop = self.control.stop();
        self.told = stop.max(self.told);
        match self.told {
            Stop::Run => return,
            Stop::Drain => {}
            // In each turn: an accept that is being cancelled may let one more in.
            Stop::Abort => self.seat.abort(&mut self.driver),
        }
        self.hand_off.iter_mut().for_each(HandOff::stop);
        let short = self.stop_listening(false);
        // Where descriptors are short, those who have one have to end before the rest of the queue can be served.
        if self.is_closed() || short {
            self.seat.drain(&mut self.driver);
        }
    }

    /// Whether nobody new comes any more, but for who is late.
    fn is_closed(&mut self) -> bool {
        let settled = self.hand_off.as_mut().is_none_or(HandOff::is_settled);
        (settled || self.told == Stop::Abort) && self.accepts.iter().all(|a| a.late || a.listener.is_none())
    }

    /// The end of a drain: when nothing but late listeners serves on any seat, they end too.
    fn close_down(&mut self) {
        if self.seat.desk.draining && !self.last_call && self.seat.only_late() && self.is_closed() {
            self.last_call = true;
            self.peers.leave(self.seat.desk.seat);
        }
        if self.last_call && (self.peers.all_left() || self.told == Stop::Abort) {
            self.told_last = true;
            self.stop_listening(true);
            self.seat.drain_late(&mut self.driver);
        }
    }

    /// Closes listeners, each after the connections that wait in its queue were accepted: closing would reset them. No more
    /// than a queue holds, some in each turn, so that those who keep coming cannot hold up the end; and only as long as the
    /// drain has time. Says whether there was no descriptor for one.
    fn stop_listening(&mut self, late: bool) -> bool {
        let (now_ns, mut short) = (self.seat.desk.now_ns, false);
        let over = self.told == Stop::Abort || self.seat.is_past_drain();
        for index in 0..self.accepts.len() {
            if self.accepts[index].late != late {
                continue;
            }
            if !self.accepts[index].is_idle() {
                self.accepts[index].stop(&mut self.driver);
                continue;
            }
            for _ in 0..EMPTIED_A_TURN {
                let accept = &mut self.accepts[index];
                match accept.next_waiting(now_ns, self.crowd) {
                    Waiting::One(fd) => {
                        let id = accept.id;
                        self.take_in_plain(fd, id);
                    }
                    Waiting::Later if !over => {
                        short = true;
                        break;
                    }
                    waiting => {
                        accept.listener = None;
                        let unserved = u64::from(matches!(waiting, Waiting::Later));
                        self.seat.desk.meter().accept_errors.add(unserved);
                        break;
                    }
                }
            }
            self.emptying |= self.accepts[index].listener.is_some() && !short;
        }
        short
    }

    /// Accepts as far as there is room, and counts each time that there is none any more. Late listeners have a few places
    /// of their own: health checks and metrics are wanted most when a seat is full.
    fn accept_more(&mut self) {
        let (now_ns, serving) = (self.seat.desk.now_ns, self.told == Stop::Run);
        let (listeners, told_last) = (self.accepts.len(), self.told_last);
        let own = self.seat.desk.connections_max.saturating_sub(self.seat.taken());
        let places = self.hand_off.as_ref().map_or(own, |hand_off| hand_off.places(own));
        let late_places = LATE_PLACES.saturating_sub(self.seat.late());
        for accept in self.accepts.iter_mut().filter(|a| if a.late { !told_last } else { serving }) {
            let places = if accept.late { late_places } else { places };
            accept.arm(now_ns, Room { places, crowd: self.crowd, listeners }, &mut self.driver);
        }
        let full = places == 0;
        if full && !self.at_bound {
            self.seat.desk.meter().accepts_paused.inc();
        }
        self.at_bound = full;
    }

    /// Lets other seats see this turn's notes and connections, and wakes those that sleep.
    fn flush_mail(&mut self) {
        let (peers, ring) = (&self.peers, &mut self.driver.ring);
        let mut wake = |to: u16| {
            let parker = peers.parkers[usize::from(to)];
            if !parker.claim_wake() {
                return;
            }
            match peers.rings[usize::from(to)].load(Ordering::Acquire) {
                -1 => parker.event().signal(),
                other => {
                    let tag = driver::tag(For::Wake, NOBODY);
                    let seat = Key { slot: to.into(), generation: 0 };
                    ring.push(Op::Message { ring: other, tag }, driver::tag(For::Message, seat));
                }
            }
        };
        self.seat.desk.post.flush(&mut wake);
        self.hand_off.iter_mut().for_each(|hand_off| hand_off.send(&mut wake));
    }

    fn is_runnable(&self) -> bool {
        self.seat.is_ready() || !self.driver.news.is_empty() || self.emptying || self.looks > 0
    }

    fn deadline_ns(&self) -> Option<u64> {
        let now_ns = self.seat.desk.now_ns;
        let rests = self.accepts.iter().filter_map(|accept| accept.rests_until_ns(now_ns));
        self.seat.deadline_ns().into_iter().chain(rests).chain(self.looks_at_ns()).min()
    }

    /// Carries the ring's counts over to the meter.
    fn count(&mut self) {
        let (now, before) = (self.driver.ring.counts(), self.counted);
        let meter = self.seat.desk.meter();
        meter.submissions.add(now.submissions - before.submissions);
        meter.completions.add(now.completions - before.completions);
        meter.enters.add(now.enters - before.enters);
        meter.calls.add(now.enters - before.enters);
        meter.cq_overflows.add(now.cq_overflows - before.cq_overflows);
        meter.enobufs.add(std::mem::take(&mut self.driver.hungers));
        meter.datagrams_dropped.add(std::mem::take(&mut self.driver.datagrams_dropped));
        meter.in_flight.set(now.in_flight);
        if self.batches {
            // Half, so that a load that gets thinner is not waited for in vain for long.
            self.want = ((now.completions - before.completions) / 2).max(1) as u32;
        }
        meter.buffers_lent.set(u64::from(self.driver.ring.pool().lent()));
        self.counted = now;
        self.timed.look(self.seat.desk.now_ns, self.seat.desk.meter());
    }

    fn is_over(&self) -> bool {
        self.last_call && self.seat.is_over() && self.accepts.iter().all(|a| a.listener.is_none())
    }
}

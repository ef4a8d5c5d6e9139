//! One core's sessions: who they are, what is delivered to them, and what becomes of their wishes.
//!
//! Shared by every engine. The engine tells the seat what happened (`accepted`, `received`, `sent`, `closed` ...); the
//! seat calls the service and tells the engine what to do through its [`Port`]. The seat never makes a system call, and
//! a port never calls back into the seat: what an engine learns while it acts waits in the engine's own queue.
//!
//! - `mod.rs`: sessions, delivery, wishes
//! - `input.rs`: received bytes, what is kept of them, pipes, the peer's end
//! - `output.rs`: flushing, what was sent, closing
//! - `time.rs`: alarms, notes, wakes, drain

mod input;
mod output;
mod time;

#[cfg(test)]
mod tests;

use crate::alarm::{Alarm, Word};
use crate::conn::{Conn, Flag, Phase, Pipe};
use crate::desk::{Datagram, Desk, Wish};
use crate::io::{Connect, Io};
use crate::service::{End, Event, Leg, LegError, ListenerId, Next, Origin, Outcome, Service, Token};
use crate::slab::{Key, Slab, slot_bytes};
use crate::timers::TIMERS_BYTES;
use crate::wheel::{Tick, timer_bytes};
use linux::{Chunk, Gather};
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

/// What a seat asks its engine to do. Each is begun at once and ends with a call to the seat in a later step.
pub(crate) trait Port {
    /// Receive on this leg, or stop doing so. What was received meanwhile may still come.
    fn receive(&mut self, leg: Key, on: bool);
    /// Receive little at a time from now on, on whatever leg, or as usual again.
    fn ration(&mut self, on: bool);
    /// Let what this leg's receive may still bring be as little as on one that begins now.
    fn narrow(&mut self, leg: Key);
    /// Send all of it. Ends with [`Seat::sent`]. Never called while another send of the leg is in flight.
    fn send(&mut self, leg: Key, gather: Box<Gather>, zero_copy: bool);
    /// End the send in flight early, if there is one, with what it took so far.
    fn recall(&mut self, leg: Key);
    /// Send a datagram, or drop it and count that.
    fn send_to(&mut self, datagram: Datagram);
    /// Send FIN. Called once, when all output is flushed.
    fn finish(&mut self, leg: Key);
    /// Let go of the leg, by a reset if `abort`. Ends with [`Seat::closed`] once nothing of it is in flight.
    fn close(&mut self, leg: Key, abort: bool);
    /// Connect it. Ends with [`Seat::opened`] or [`Seat::failed`].
    fn connect(&mut self, leg: Key, to: &Connect);
}

pub(crate) struct Seat<S: Service> {
    pub(crate) desk: Desk<S::Note>,
    service: S,
    sessions: Slab<Session<S>>,
    /// What is to be delivered without the world's doing; empty before the seat waits.
    ready: VecDeque<Ready>,
    /// Pipes that ended, with the bytes they moved: told before anything that they kept from being told.
    done: VecDeque<(Key, Token, u64)>,
    limits: Limits,
    root: Key,
    /// Legs of the root session, which are counted and not listed: it may have very many.
    root_legs: usize,
    /// The root session has made a pipe, so that its legs must be looked through where one of them goes.
    root_pipes: bool,
    /// Sessions of late listeners.
    late: usize,
    /// Bytes given to sends in this turn.
    pushed: usize,
    /// Sends begun in this turn, those of datagrams too.
    sends: u32,
    /// The engine was told to receive little at a time.
    rationed: bool,
    drain_until: Tick,
    woken: Vec<(u32, u32)>,
}

struct Session<S: Service> {
    state: S::Session,
    /// The first of a list, in which the root's legs do not stand.
    legs: Option<Key>,
    /// Why it is ending; nothing is delivered to it any more.
    ending: Option<End>,
    root: bool,
    /// It was told of the drain.
    drained: bool,
    /// Its listener serves through the drain.
    late: bool,
}

/// Bytes that a seat keeps for a session with one leg and one timer, all of them idle.
pub(crate) const fn idle_bytes<S: Service>() -> usize {
    slot_bytes::<Conn>() + slot_bytes::<Session<S>>() + timer_bytes::<Word>() + TIMERS_BYTES
}

/// The bounds a seat keeps by itself.
#[derive(Clone)]
pub(crate) struct Limits {
    pub(crate) idle: Option<Duration>,
    pub(crate) drain: Duration,
    /// Which listeners serve through the drain, by their position.
    pub(crate) late: Rc<[bool]>,
    /// Sends from this many bytes on go out without a copy in the kernel.
    pub(crate) zero_copy_bytes: Option<usize>,
    /// Sends of one turn.
    pub(crate) turn_sends: u32,
}

enum Ready {
    Bound(Key, ListenerId),
    /// Offer a leg's unread input, or tell its end.
    Offer(Key),
    /// End the session if nothing can happen to it any more.
    Orphan(Key),
    Drain(Key),
}

/// The session of a leg that has none yet.
const NOBODY: Key = Key { slot: u32::MAX, generation: 0 };
/// Buffers that one leg may hold across turns.
pub(crate) const LEASES_MAX: usize = 16;
/// Bytes of one send.
const SEND_BYTES_MAX: usize = 1 << 20;
/// Bytes that one turn gives to sends before what is large waits for the next: some milliseconds of copying. As much as 64
/// connections echo a turn with 16 messages of 64 KiB on their way each: the default pool holds no more.
const TURN_BYTES_MAX: usize = 4 << 20;
/// Output up to this size never waits for the next turn: an answer is not held up by the downloads of others.
const SMALL_BYTES: usize = 16 << 10;
/// Output that is flushed before the end of the turn.
const FLUSH_BYTES: usize = 64 << 10;
/// How long a leg that is closing may make no progress in sending its last output.
const CLOSE: Duration = Duration::from_secs(30);
/// When that is looked at first, to know what the peer begins with.
const CLOSE_LOOK: Duration = Duration::from_secs(1);
/// What a lingering leg discards, and for how long (RFC 9112, section 9.6, leaves both open).
const LINGER_BYTES: u32 = 256 << 10;
const LINGER: Duration = Duration::from_secs(2);

impl<S: Service> Seat<S> {
    pub(crate) fn new(service: S, desk: Desk<S::Note>, limits: Limits) -> Seat<S> {
        let (sessions, ready, done, woken) = (Slab::new(), VecDeque::new(), VecDeque::new(), Vec::new());
        let (root, drain_until) = (NOBODY, Tick(0));
        Seat {
            desk,
            service,
            sessions,
            ready,
            done,
            limits,
            root,
            root_legs: 0,
            root_pipes: false,
            late: 0,
            pushed: 0,
            sends: 0,
            rationed: false,
            drain_until,
            woken,
        }
    }

    /// Takes the place of a seat that is gone, for which [`Seat::leave`] gave `unused`: its addresses name nobody here.
    pub(crate) fn succeed(&mut self, unused: u32) {
        debug_assert!(self.sessions.is_empty());
        self.sessions = Slab::after(unused);
    }

    /// Gives up the seat, on which nobody is left: its desk, and what a seat in its place must know.
    pub(crate) fn leave(self) -> (Desk<S::Note>, u32) {
        (self.desk, self.sessions.unused())
    }

    /// Opens the root session. Its datagram listeners follow by [`Seat::bound`].
    pub(crate) fn open_root<P: Port>(&mut self, port: &mut P) -> Key {
        self.open(Origin::Root, None, port).expect("an empty slab has room for the root session")
    }

    /// A datagram listener is there; returns its leg. The root session is told in the first run, when the engine is
    /// ready to act on the leg.
    pub(crate) fn bound(&mut self, root: Key, listener: ListenerId) -> Option<Key> {
        let mut conn = Conn::new(root, listener, Phase::Open, self.desk.now);
        conn.set(Flag::Datagram, true);
        // It takes no connection's place.
        self.desk.connections_max += 1;
        let leg = self.desk.add_leg(conn).ok()?;
        self.adopt(root, leg);
        self.ready.push_back(Ready::Bound(leg, listener));
        Some(leg)
    }

    /// Whether another leg fits.
    pub(crate) fn has_room(&self) -> bool {
        self.desk.conns.len() < self.desk.connections_max
    }

    /// Legs that take the place of a connection: those of late listeners have places of their own.
    pub(crate) fn taken(&self) -> usize {
        self.desk.conns.len().saturating_sub(self.late)
    }

    /// How many sessions late listeners have.
    pub(crate) fn late(&self) -> usize {
        self.late
    }

    /// Whether a drain has had its time.
    pub(crate) fn is_past_drain(&self) -> bool {
        self.desk.draining && self.desk.now >= self.drain_until
    }

    /// Reserves the leg of a connection that was accepted. The engine prepares its side, then calls [`Seat::accepted`].
    pub(crate) fn reserve(&mut self, listener: ListenerId) -> Option<Key> {
        // The session is not known yet; `accepted` sets it before anything else can happen to the leg.
        // What was accepted is served, even where a turn brought a few more than the bound.
        self.desk.conns.insert(Conn::new(NOBODY, listener, Phase::Open, self.desk.now))
    }

    /// The engine is ready to act on a reserved leg: its session begins.
    pub(crate) fn accepted<P: Port>(&mut self, leg: Key, listener: ListenerId, port: &mut P) {
        let meter = self.desk.meter();
        meter.accepted.add(1);
        meter.connections.inc();
        self.arm_idle(leg);
        if self.open(Origin::Accepted(Leg(leg), listener), Some(leg), port).is_none() {
            self.shut(leg, true, port);
        }
    }

    /// Turns away the connection of a reserved leg: `answer` is sent, and the leg closed in stages. It gets no session and
    /// counts as no connection.
    pub(crate) fn turn_away<P: Port>(&mut self, leg: Key, answer: Option<&'static [u8]>, port: &mut P) {
        self.desk.meter().shed.inc();
        if let Some(answer) = answer {
            self.desk.out(NOBODY, leg).fixed(answer);
        }
        // It is received from when it lingers. What comes before that stays in the socket, where a close would answer it
        // with a reset, and that would destroy the answer.
        if let Some(conn) = self.desk.conns.get_mut(leg) {
            conn.set(Flag::Deaf, true);
        }
        self.close(leg, port);
    }

    /// A connect succeeded.
    pub(crate) fn opened<P: Port>(&mut self, leg: Key, port: &mut P) {
        let now = self.desk.now;
        let Some(conn) = self.desk.conns.get_mut(leg).filter(|c| c.phase == Phase::Connecting) else {
            return;
        };
        conn.phase = Phase::Open;
        conn.active = now;
        let (session, deaf) = (conn.session, conn.is(Flag::Deaf));
        conn.set(Flag::Counted, true);
        self.desk.meter().connections.inc();
        port.receive(leg, !deaf);
        self.arm_idle(leg);
        self.deliver(session, Event::Opened(Leg(leg)), port);
        self.mark_dirty(leg);
    }

    /// The leg is gone. What it still had to say is dropped.
    pub(crate) fn failed<P: Port>(&mut self, leg: Key, error: LegError, port: &mut P) {
        let Some(conn) = self.desk.conns.get_mut(leg) else { return };
        let (phase, session) = (conn.phase, conn.session);
        if phase == Phase::Closed {
            return;
        }
        // An idle leg ends as by a close of its own. A reset tells the peer, and frees the socket, where something is stuck.
        let stuck = conn.has_input() || conn.out.as_ref().is_some_and(|out| !out.is_empty());
        let abort = match error {
            LegError::Reset => false,
            LegError::Idle => stuck,
            _ => true,
        };
        self.end_pipes(leg, true);
        self.shut(leg, abort, port);
        if phase <= Phase::Open {
            self.run_done(port);
            self.deliver(session, Event::Failed(Leg(leg), error), port);
        }
    }

    /// Nothing of the leg is in flight any more and its descriptor is gone: the slot may be used again.
    pub(crate) fn closed(&mut self, leg: Key) {
        let Some(conn) = self.desk.remove_leg(leg) else { return };
        debug_assert_eq!(conn.phase, Phase::Closed);
        if conn.is(Flag::Counted) {
            let meter = self.desk.meter();
            meter.closed.add(1);
            meter.connections.dec();
        }
        if let Some(mut out) = conn.out {
            out.discard();
            out.lost();
            self.desk.keep_out(out);
        }
        self.disown(conn.session, leg, conn.sibling);
        self.ready.push_back(Ready::Orphan(conn.session));
    }

    /// Delivers what waits for no one, and flushes. After it nothing is left to do until the world moves, except what
    /// [`Seat::is_ready`] says.
    pub(crate) fn run<P: Port>(&mut self, port: &mut P) {
        // What becomes ready while this runs waits for the next turn: completions get their share too.
        self.run_done(port);
        for _ in 0..self.ready.len() {
            let Some(ready) = self.ready.pop_front() else { break };
            match ready {
                Ready::Bound(leg, listener) => {
                    self.deliver(self.root, Event::Bound(Leg(leg), listener), port);
                }
                Ready::Offer(leg) => self.offer_again(leg, port),
                Ready::Orphan(session) => self.check_orphan(session),
                Ready::Drain(session) => self.deliver_drain(session, port),
            }
        }
        for _ in 0..self.desk.letters.len() {
            let Some(letter) = self.desk.letters.pop_front() else { break };
            self.deliver(letter.to, Event::Note(letter.note), port);
        }
        self.send_datagrams(port);
        self.flush_dirty(port);
        self.ration(port);
    }

    /// Tells the engine how much to receive at a time, when that changed.
    #[inline]
    fn ration<P: Port>(&mut self, port: &mut P) {
        let over = self.desk.is_over_budget();
        if over != self.rationed {
            self.rationed = over;
            port.ration(over);
        }
    }

    /// Whether [`Seat::run`] has more to do.
    pub(crate) fn is_ready(&self) -> bool {
        let told = self.desk.post.is_empty() && self.done.is_empty() && self.ready.is_empty();
        let sent = self.desk.dirty.is_empty() && self.desk.datagrams.is_empty();
        !told || !sent || !self.desk.letters.is_empty()
    }

    /// Whether only sessions of late listeners are left in a drain.
    pub(crate) fn only_late(&self) -> bool {
        self.sessions.len() == self.late
    }

    /// Whether nobody is on the seat: no session, no root, no leg that is still closing.
    pub(crate) fn is_vacant(&self) -> bool {
        self.sessions.is_empty() && self.desk.conns.is_empty()
    }

    /// Whether a drain has come to its end: no session is left.
    pub(crate) fn is_over(&self) -> bool {
        self.desk.draining && self.is_vacant()
    }

    fn open<P: Port>(&mut self, origin: Origin, leg: Option<Key>, port: &mut P) -> Option<Key> {
        let (service, desk) = (&mut self.service, &mut self.desk);
        let (late, root) = match origin {
            Origin::Accepted(_, listener) => {
                (self.limits.late.get(usize::from(listener.0)) == Some(&true), false)
            }
            Origin::Root => (false, true),
        };
        let key = self.sessions.insert_with(|key| {
            if let Some(conn) = leg.and_then(|leg| desk.conns.get_mut(leg)) {
                conn.session = key;
                conn.set(Flag::Counted, true);
            }
            let state = service.open(origin, &mut Io { desk, session: key });
            Session { state, legs: leg, ending: None, root, drained: false, late }
        })?;
        if root {
            self.root = key;
        }
        self.late += usize::from(late);
        if self.desk.draining && !late {
            self.ready.push_back(Ready::Drain(key));
        }
        self.settle(key, Next::Stay, port);
        if let Some(leg) = leg
            && let Some(conn) = self.desk.conns.get_mut(leg)
        {
            if conn.is_open() && !conn.is(Flag::Deaf) {
                port.receive(leg, true);
            } else {
                // Closed already: if it lingers, that is when it begins to receive.
                conn.set(Flag::Deaf, true);
            }
        }
        Some(key)
    }

    /// Calls the service, then carries out what it wished.
    #[inline]
    fn deliver<P: Port>(&mut self, key: Key, event: Event<'_, S>, port: &mut P) {
        let Some(session) = self.sessions.get_mut(key).filter(|s| s.ending.is_none()) else { return };
        let next = self.service.on(&mut session.state, event, &mut Io { desk: &mut self.desk, session: key });
        self.settle(key, next, port);
    }

    #[inline]
    fn settle<P: Port>(&mut self, key: Key, next: Next, port: &mut P) {
        while let Some(wish) = self.desk.wishes.pop_front() {
            self.grant(key, wish, port);
        }
        if !self.desk.datagrams.is_empty() {
            self.send_datagrams(port);
        }
        if next == Next::Close {
            self.end_session(key, End::Closed, port);
        }
    }

    fn grant<P: Port>(&mut self, session: Key, wish: Wish, port: &mut P) {
        match wish {
            Wish::Connect(leg, to) => {
                self.adopt(session, leg);
                self.arm(leg, to.deadline, Alarm::Connect);
                port.connect(leg, &to);
            }
            Wish::Pipe { session, from, to, n, token } => self.start_pipe(session, from, to, n, token, port),
            Wish::Pause(leg, _)
            | Wish::Finish(leg)
            | Wish::Close(leg)
            | Wish::Abort(leg)
            | Wish::Recall(leg)
                if self.desk.own(session, leg).is_none() => {}
            Wish::Finish(leg) if self.desk.own_stream(session, leg).is_none() => {}
            Wish::Pause(leg, on) => self.pause(leg, on, port),
            Wish::Recall(leg) => port.recall(leg),
            Wish::Finish(leg) => self.finish(leg),
            Wish::Close(leg) => self.close(leg, port),
            Wish::Abort(leg) => {
                self.end_pipes(leg, true);
                self.shut(leg, true, port);
            }
        }
    }

    /// The session hears nothing from now on; it is gone when its last leg is.
    fn end_session<P: Port>(&mut self, key: Key, why: End, port: &mut P) {
        let Some(session) = self.sessions.get_mut(key).filter(|s| s.ending.is_none()) else { return };
        session.ending = Some(why);
        let mut next = self.first_leg(key);
        while let Some(leg) = next {
            next = self.leg_after(key, leg);
            if why == End::Aborted { self.shut(leg, true, port) } else { self.close(leg, port) }
        }
        self.ready.push_back(Ready::Orphan(key));
    }

    /// Ends a session that has no leg and either wants to end or can never be called again.
    fn check_orphan(&mut self, key: Key) {
        let root_legs = self.root_legs;
        let bare = |s: &&mut Session<S>| s.legs.is_none() && (!s.root || root_legs == 0);
        let Some(session) = self.sessions.get_mut(key).filter(bare) else { return };
        let why = match session.ending {
            Some(why) => why,
            None if self.done.iter().any(|(of, ..)| *of == key) => {
                return self.ready.push_back(Ready::Orphan(key));
            }
            None if session.root || self.desk.has_timers(key) => return,
            None => End::Orphan,
        };
        if why == End::Orphan {
            self.desk.meter().orphans.add(1);
        }
        self.desk.cancel_timers(key);
        let session = self.sessions.remove(key).expect("it was there just now");
        self.late -= usize::from(session.late);
        if self.desk.draining && why != End::Aborted && !session.root {
            self.desk.meter().drained.inc();
        }
        self.service.end(session.state, why);
    }

    fn adopt(&mut self, session: Key, leg: Key) {
        let Some(owner) = self.sessions.get_mut(session) else { return };
        if owner.root {
            self.root_legs += 1;
        } else if let Some(conn) = self.desk.conns.get_mut(leg) {
            conn.sibling = owner.legs.replace(leg);
        }
    }

    /// Takes a leg out of its session's list: as long as the session has legs before it, which is rarely more than one.
    fn disown(&mut self, session: Key, leg: Key, sibling: Option<Key>) {
        let Some(owner) = self.sessions.get_mut(session) else { return };
        if owner.root {
            self.root_legs -= 1;
            return;
        }
        let mut at = &mut owner.legs;
        if *at == Some(leg) {
            *at = sibling;
            return;
        }
        while let Some(other) = *at {
            let Some(conn) = self.desk.conns.get_mut(other) else { return };
            at = &mut conn.sibling;
            if *at == Some(leg) {
                *at = sibling;
                return;
            }
        }
    }

    /// A leg of a session to begin with, where all of them are looked at: those of the root by looking through all there are.
    fn first_leg(&self, session: Key) -> Option<Key> {
        if session == self.root { self.root_leg_from(0) } else { self.sessions.get(session)?.legs }
    }

    /// The leg that follows; to be asked before anything becomes of `leg`.
    fn leg_after(&self, session: Key, leg: Key) -> Option<Key> {
        if session == self.root {
            self.root_leg_from(leg.slot + 1)
        } else {
            self.desk.conns.get(leg)?.sibling
        }
    }

    fn root_leg_from(&self, slot: u32) -> Option<Key> {
        let (conns, root) = (&self.desk.conns, self.root);
        let roots = |slot: &u32| conns.at(*slot).is_some_and(|(conn, _)| conn.session == root);
        conns.key_at((slot..conns.slots()).find(roots)?)
    }

    /// Delivers the ends of pipes that wait: they come before the failure that ended them.
    fn run_done<P: Port>(&mut self, port: &mut P) {
        for _ in 0..self.done.len() {
            let Some((session, token, moved)) = self.done.pop_front() else { return };
            self.deliver(session, Event::Done(token, Outcome::Piped(moved)), port);
        }
    }
}

/// Sum of the bytes in some pieces.
#[inline]
fn bytes_in(pieces: &VecDeque<Chunk>) -> usize {
    pieces.iter().map(Chunk::len).sum()
}

impl Pipe {
    fn boxed(to: Key, token: Token, left: u64) -> Box<Pipe> {
        Box::new(Pipe { to, token, left, moved: 0 })
    }
}

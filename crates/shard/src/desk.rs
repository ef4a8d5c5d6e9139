//! What lies between the services and the engine of one seat: legs, timers, wishes, mail, spare memory.
//!
//! [`Io`](crate::Io) writes here during a call, the seat reads it after the call returned. Nothing in it submits.

use crate::alarm::{Alarm, Word};
use crate::conn::{Conn, Flag, Phase, Pieces};
use crate::io::{Connect, Full};
use crate::mail::Post;
use crate::meter::{Board, Meter};
use crate::out::Out;
use crate::random::Random;
use crate::service::{Address, LegError, Token};
use crate::slab::{Key, Slab};
use crate::timers::Timers;
use crate::wheel::{Tick, TimerId, Wheel};
use linux::wake::Inbox;
use linux::{Chunk, Gather, Pool};
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

pub(crate) struct Desk<N: Send> {
    pub(crate) seat: u16,
    pub(crate) conns: Slab<Conn>,
    pub(crate) wheel: Wheel<Word>,
    pub(crate) wishes: VecDeque<Wish>,
    /// Datagrams wished for, in order; bounded by `DATAGRAMS_MAX`.
    pub(crate) datagrams: VecDeque<Datagram>,
    /// Legs with output to flush before the next wait.
    pub(crate) dirty: VecDeque<Key>,
    /// When each leg's bytes were last given to the kernel, if the plan wants to know.
    pub(crate) stamps: Option<Box<Stamps>>,
    pub(crate) board: Arc<Board>,
    pub(crate) pool: Pool,
    /// The buffers of streams that are only polled, where there are such.
    pub(crate) fetch_pool: Option<Pool>,
    pub(crate) spare: Spare,
    pub(crate) post: Post<Letter<N>>,
    /// Notes from this seat to itself.
    pub(crate) letters: VecDeque<Letter<N>>,
    pub(crate) inbox: Inbox,
    pub(crate) random: Random,
    pub(crate) now: Tick,
    pub(crate) now_ns: u64,
    pub(crate) clock: fn() -> u64,
    pub(crate) second: Option<(Tick, u64)>,
    /// The exact deadline and its name.
    pub(crate) exact: Option<(u64, Token)>,
    pub(crate) draining: bool,
    /// How much later than it was wished for the timer that is being told of fires, in milliseconds.
    pub(crate) late_ms: u64,
    /// The engine knows that more has come than this turn took.
    pub(crate) behind: bool,
    /// The last turn that took all that had come.
    pub(crate) caught_up: Tick,
    pub(crate) out_max: usize,
    /// Bytes that are held for peers: unread input of every leg, and what slow legs have queued or in flight.
    pub(crate) held_bytes: usize,
    /// What may be held before the bounds of legs become narrow.
    pub(crate) held_max: usize,
    /// The most that was held since memory was last given back to the system.
    held_peak: usize,
    /// The alarm that looks whether most of it has gone is set.
    ebbs: bool,
    pub(crate) connections_max: usize,
    pub(crate) timers: Timers,
    tokens: u64,
    /// Stands in for the output of a leg that is gone.
    void: Out,
}

/// What a service asked for, to be carried out after its call.
pub(crate) enum Wish {
    Pause(Key, bool),
    Finish(Key),
    Close(Key),
    Abort(Key),
    Recall(Key),
    Connect(Key, Connect),
    Pipe { session: Key, from: Key, to: Key, n: u64, token: Token },
}

/// When bytes of each leg were last given to the kernel.
#[derive(Default)]
pub(crate) struct Stamps {
    /// Legs whose sends stand before the kernel and were not given to it yet.
    fresh: Vec<Key>,
    /// By slot, in nanoseconds of the seat's clock; 0 is never.
    at_ns: Vec<u64>,
}

impl Stamps {
    fn forget(&mut self, leg: Key) {
        if let Some(at) = self.at_ns.get_mut(leg.slot as usize) {
            *at = 0;
        }
    }
}

/// A note on its way.
pub(crate) struct Letter<N> {
    pub(crate) to: Key,
    pub(crate) note: N,
}

/// One datagram on its way out.
pub(crate) struct Datagram {
    pub(crate) leg: Key,
    pub(crate) peer: SocketAddr,
    pub(crate) local: Option<IpAddr>,
    pub(crate) chunk: Chunk,
}

/// Emptied memory kept for use again, so that a request allocates nothing. Each list is bounded, in items and in bytes:
/// what a burst or a crowd of slow peers made grow is given back.
#[derive(Default)]
#[allow(clippy::vec_box, reason = "the boxes are what is kept")]
pub(crate) struct Spare {
    outs: Vec<Box<Out>>,
    tails: Vec<Vec<u8>>,
    /// The capacity of `tails`.
    tail_bytes: usize,
    gathers: Vec<Box<Gather>>,
    inputs: Vec<Pieces>,
}

/// A tick before `at`, by less than [`ROUGH_MS`], at which many others are due too: each tick at which some timer is due ends a sleep.
fn rough(now: Tick, at: Tick) -> Tick {
    Tick(if at.0 - now.0 >= ROUGH_FROM_MS { at.0 / ROUGH_MS * ROUGH_MS } else { at.0 })
}

/// The ticks at which rough timers come. More of them at once end fewer sleeps, and keep others waiting for longer: a hundred thousand of 5 s
/// are 160 at once. What it brings: docs/decisions/0014-rings.md.
const ROUGH_MS: u64 = 8;
/// Below that it is exact.
const ROUGH_FROM_MS: u64 = 8 * ROUGH_MS;

const SPARES_MAX: usize = 1024;
/// A copy buffer that grew past this is not kept.
const TAIL_BYTES_MAX: usize = 64 * 1024;
/// Nor one that would bring those that are kept past this.
const TAILS_BYTES_MAX: usize = 4 << 20;
/// Nor a queue of chunks with memory for more than this.
const CHUNKS_MAX: usize = 64;
/// The budget of a seat: what it holds for all its peers before the bounds of each become narrow. Then a leg has room for
/// `NARROW_BYTES` of output, and its receives bring little at a time ([`Port::ration`](crate::seat::Port::ration)).
const HELD_BYTES_MAX: usize = 64 << 20;
/// The bound of a leg's output while the seat is over its budget: of every leg's, since nobody knows which of them will be
/// found slow next.
const NARROW_BYTES: usize = 16 << 10;
/// What must have been held before it is worth asking the allocator for it.
const TRIM_BYTES: usize = 16 << 20;
/// How long after that, and how often at most.
const EBB: Duration = Duration::from_secs(1);
/// Datagrams waiting for their send, a seat; further ones are dropped and counted.
const DATAGRAMS_MAX: usize = 1024;
/// Notes of a seat to itself; further ones are refused.
const LETTERS_MAX: usize = 1024;
/// Marks the tokens of pipes and exact deadlines apart from those of timers.
const COUNTED: u64 = 1 << 63;

impl Spare {
    pub(crate) fn gather(&mut self) -> Box<Gather> {
        self.gathers.pop().unwrap_or_else(Gather::new)
    }

    /// A copy buffer. One that was used may be far larger than what is about to be written: a seat that is over its budget
    /// begins with nothing.
    pub(crate) fn tail(&mut self, over_budget: bool) -> Vec<u8> {
        if over_budget {
            return Vec::new();
        }
        let tail = self.tails.pop().unwrap_or_default();
        self.tail_bytes -= tail.capacity();
        tail
    }

    pub(crate) fn input(&mut self) -> Pieces {
        self.inputs.pop().unwrap_or_default()
    }

    pub(crate) fn keep_gather(&mut self, mut gather: Box<Gather>) {
        for chunk in gather.drain() {
            if let Chunk::Copied(scratch) = chunk {
                self.keep_tail(scratch.into_vec());
            }
        }
        keep(&mut self.gathers, gather);
    }

    pub(crate) fn keep_input(&mut self, input: Pieces) {
        debug_assert!(input.is_empty());
        if input.capacity() <= CHUNKS_MAX {
            keep(&mut self.inputs, input);
        }
    }

    /// `max` is the bound it has when it is used again.
    pub(crate) fn keep_out(&mut self, mut out: Box<Out>, max: usize) {
        out.reset(max);
        self.keep_tail(out.take_tail());
        if out.capacity() <= CHUNKS_MAX {
            keep(&mut self.outs, out);
        }
    }

    fn keep_tail(&mut self, tail: Vec<u8>) {
        let bytes = tail.capacity();
        let fits = (1..=TAIL_BYTES_MAX).contains(&bytes) && self.tail_bytes + bytes <= TAILS_BYTES_MAX;
        if fits && self.tails.len() < SPARES_MAX {
            self.tail_bytes += bytes;
            self.tails.push(tail);
        }
    }
}

fn keep<T>(list: &mut Vec<T>, item: T) {
    if list.len() < SPARES_MAX {
        list.push(item);
    }
}

/// What a desk is made of; see [`Desk::new`].
pub(crate) struct Parts<N: Send> {
    pub(crate) seat: u16,
    pub(crate) board: Arc<Board>,
    pub(crate) pool: Pool,
    pub(crate) post: Post<Letter<N>>,
    pub(crate) inbox: Inbox,
    pub(crate) seed: u64,
    pub(crate) unix_seconds: fn() -> u64,
    pub(crate) out_max: usize,
    pub(crate) connections_max: usize,
}

impl<N: Send> Desk<N> {
    pub(crate) fn new(parts: Parts<N>, now_ns: u64) -> Desk<N> {
        let Parts { seat, board, pool, post, inbox, seed, unix_seconds, out_max, connections_max } = parts;
        let now = Tick(now_ns / 1_000_000);
        let mut void = Out::new(0);
        void.shut();
        Desk {
            seat,
            conns: Slab::new(),
            wheel: Wheel::new(now),
            wishes: VecDeque::new(),
            datagrams: VecDeque::new(),
            dirty: VecDeque::new(),
            stamps: None,
            board,
            pool,
            fetch_pool: None,
            spare: Spare::default(),
            post,
            letters: VecDeque::new(),
            inbox,
            random: Random::new(seed),
            now,
            now_ns,
            clock: unix_seconds,
            second: None,
            exact: None,
            draining: false,
            late_ms: 0,
            behind: false,
            caught_up: now,
            out_max,
            held_bytes: 0,
            held_max: HELD_BYTES_MAX,
            held_peak: 0,
            ebbs: false,
            connections_max,
            timers: Timers::new(),
            tokens: 0,
            void,
        }
    }

    pub(crate) fn meter(&self) -> &Meter {
        self.board.seat(usize::from(self.seat))
    }

    pub(crate) fn wish(&mut self, wish: Wish) {
        self.wishes.push_back(wish);
    }

    pub(crate) fn unix_seconds(&mut self) -> u64 {
        match self.second {
            Some((at, seconds)) if at == self.now => seconds,
            _ => {
                let seconds = (self.clock)();
                self.second = Some((self.now, seconds));
                seconds
            }
        }
    }

    pub(crate) fn token(&mut self) -> Token {
        self.tokens += 1;
        Token(COUNTED | self.tokens)
    }

    pub(crate) fn wake_at(&mut self, at_ns: u64) -> Token {
        let token = self.token();
        self.exact = Some((at_ns, token));
        token
    }

    /// The first tick that is at least `after` from now.
    pub(crate) fn after(&self, after: Duration) -> Tick {
        Tick(
            self.now
                .0
                .saturating_add(u64::try_from(after.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX / 2)),
        )
    }

    pub(crate) fn roughly_after(&self, after: Duration) -> Tick {
        rough(self.now, self.after(after))
    }

    pub(crate) fn start_timer(&mut self, session: Key, at: Tick) -> Token {
        let timer = self.wheel.insert(at, Alarm::Session(session).into());
        self.timers.add(session.slot, timer);
        Token(timer.into())
    }

    pub(crate) fn cancel_timer(&mut self, session: Key, timer: Token) -> bool {
        let timer = TimerId::from(timer.0);
        self.timer_over(session, timer) && self.wheel.cancel(timer).is_some()
    }

    /// A timer of a session is no more; `false` when it was not one of its timers.
    pub(crate) fn timer_over(&mut self, session: Key, timer: TimerId) -> bool {
        self.timers.remove(session.slot, timer)
    }

    pub(crate) fn has_timers(&self, session: Key) -> bool {
        self.timers.has_any(session.slot)
    }

    /// Takes back every timer of a session that ends.
    pub(crate) fn cancel_timers(&mut self, session: Key) {
        for timer in self.timers.take(session.slot) {
            self.wheel.cancel(timer);
        }
    }

    pub(crate) fn waker(&self, session: Key) -> std::task::Waker {
        self.inbox.word(session.slot, session.generation & ((1 << 28) - 1)).waker()
    }

    /// A leg of this session that may still be written to.
    pub(crate) fn own(&mut self, session: Key, leg: Key) -> Option<&mut Conn> {
        self.conns.get_mut(leg).filter(|conn| conn.session == session && conn.is_open())
    }

    /// Whether a send of a leg is under way.
    pub(crate) fn is_sending(&self, leg: Key) -> bool {
        self.conns.get(leg).and_then(|conn| conn.out.as_ref()).is_some_and(|out| out.in_flight())
    }

    /// A stream of this session: datagrams know no order, end or pipe.
    pub(crate) fn own_stream(&mut self, session: Key, leg: Key) -> Option<&mut Conn> {
        self.own(session, leg).filter(|conn| !conn.is(Flag::Datagram))
    }

    /// Whether output of this session may still be added to a leg.
    pub(crate) fn is_writable(&self, session: Key, leg: Key) -> bool {
        self.conns.get(leg).is_some_and(|conn| conn.session == session && conn.is_writable())
    }

    #[inline]
    pub(crate) fn out(&mut self, session: Key, leg: Key) -> &mut Out {
        let (over, max) = (self.is_over_budget(), self.out_bound());
        let mine = |conn: &&mut Conn| conn.session == session && conn.is_writable();
        let Some(conn) = self.conns.get_mut(leg).filter(mine) else {
            return &mut self.void;
        };
        if conn.set(Flag::Dirty, true) {
            self.dirty.push_back(leg);
        }
        let spare = &mut self.spare;
        let out = conn.out.get_or_insert_with(|| {
            let mut out = spare.outs.pop().unwrap_or_else(|| Box::new(Out::new(max)));
            out.set_max(max);
            out
        });
        if !out.has_tail_buffer() {
            out.set_tail(spare.tail(over));
        }
        out
    }

    /// Whether more is held than the seat's budget: then each leg may hold little.
    #[inline]
    pub(crate) fn is_over_budget(&self) -> bool {
        self.held_bytes > self.held_max
    }

    /// The bound of a leg's output at this moment.
    #[inline]
    pub(crate) fn out_bound(&self) -> usize {
        if self.is_over_budget() { self.out_max.min(NARROW_BYTES) } else { self.out_max }
    }

    /// Brings the account of what is held up to date for one leg, and its output's bound with it. What it has stays until it
    /// leaves. The output of a leg that is not slow is not counted: it is gone within a turn or two.
    pub(crate) fn charge(&mut self, leg: Key) {
        let Some(conn) = self.conns.get_mut(leg) else { return };
        let slow = conn.is(Flag::Slow);
        let unread: usize = conn.input.iter().flat_map(|input| input.iter()).map(Chunk::len).sum();
        let unsent = conn.out.as_ref().filter(|_| slow).map_or(0, |out| out.len());
        let holds = u32::try_from(unread + unsent).unwrap_or(u32::MAX);
        self.held_bytes += holds as usize;
        self.held_bytes -= std::mem::replace(&mut conn.charged, holds) as usize;
        if self.held_bytes > self.held_peak {
            self.held_peak = self.held_bytes;
            self.watch_ebb();
        }
        let max = self.out_bound();
        if let Some(out) = self.conns.get_mut(leg).and_then(|conn| conn.out.as_mut()) {
            out.set_max(max);
            if slow && holds > 0 && max < self.out_max {
                out.shrink();
            }
        }
    }

    /// Takes a leg's unread input out, and off the account.
    pub(crate) fn take_input(&mut self, leg: Key) -> Option<Pieces> {
        let input = self.conns.get_mut(leg)?.input.take()?;
        self.charge(leg);
        Some(input)
    }

    /// Takes a leg out, and off the account.
    pub(crate) fn remove_leg(&mut self, leg: Key) -> Option<Conn> {
        let conn = self.conns.remove(leg)?;
        if let Some(stamps) = &mut self.stamps {
            stamps.forget(leg);
        }
        self.held_bytes -= conn.charged as usize;
        Some(conn)
    }

    /// Whether most of what was held has gone, so that the allocator should be asked to give its memory back. Asked by
    /// [`Alarm::Ebb`], which is set while there was much: never on the way of a byte.
    pub(crate) fn take_ebb(&mut self) -> bool {
        self.ebbs = false;
        let ebb = self.held_bytes <= self.held_peak / 4;
        if ebb {
            self.held_peak = self.held_bytes;
        }
        self.watch_ebb();
        ebb
    }

    fn watch_ebb(&mut self) {
        if self.held_peak >= TRIM_BYTES && !self.ebbs {
            self.ebbs = true;
            self.wheel.insert(self.after(EBB), Alarm::Ebb.into());
        }
    }

    /// A send of this leg was given to the engine.
    #[inline]
    pub(crate) fn note_send(&mut self, leg: Key) {
        if let Some(stamps) = &mut self.stamps {
            stamps.fresh.push(leg);
        }
    }

    /// Whether the engine is to read the clock and call [`Desk::stamp`] before it gives what it has to the kernel.
    #[inline]
    pub(crate) fn wants_stamp(&self) -> bool {
        self.stamps.as_ref().is_some_and(|stamps| !stamps.fresh.is_empty())
    }

    /// What was noted is given to the kernel now.
    pub(crate) fn stamp(&mut self, now_ns: u64) {
        let Some(Stamps { fresh, at_ns }) = self.stamps.as_deref_mut() else { return };
        for leg in fresh.drain(..).filter(|leg| self.conns.contains(*leg)) {
            let slot = leg.slot as usize;
            if at_ns.len() <= slot {
                at_ns.resize(slot + 1, 0);
            }
            at_ns[slot] = now_ns;
        }
    }

    pub(crate) fn sent_ns(&self, leg: Key) -> u64 {
        let at_ns = self.stamps.as_ref().filter(|_| self.conns.contains(leg)).map(|stamps| &stamps.at_ns);
        at_ns.and_then(|at_ns| at_ns.get(leg.slot as usize)).copied().unwrap_or(0)
    }

    /// Keeps the output of a leg that has no more to send.
    pub(crate) fn keep_out(&mut self, out: Box<Out>) {
        self.spare.keep_out(out, self.out_max);
    }

    pub(crate) fn add_leg(&mut self, conn: Conn) -> Result<Key, LegError> {
        if self.conns.len() >= self.connections_max {
            return Err(LegError::NoRoom);
        }
        self.conns.insert(conn).ok_or(LegError::NoRoom)
    }

    pub(crate) fn send_to(
        &mut self,
        session: Key,
        leg: Key,
        peer: SocketAddr,
        local: Option<IpAddr>,
        chunk: Chunk,
    ) -> Result<(), Full> {
        let fits = self.datagrams.len() < DATAGRAMS_MAX;
        if !fits || self.own(session, leg).is_none_or(|conn| conn.phase != Phase::Open) {
            self.meter().datagrams_dropped.add(1);
            return Err(Full);
        }
        self.datagrams.push_back(Datagram { leg, peer, local, chunk });
        Ok(())
    }

    pub(crate) fn post(&mut self, to: Address, note: N) -> Result<(), Full> {
        let letter = Letter { to: to.session, note };
        let sent = if to.seat != self.seat {
            self.post.post(to.seat, letter).is_ok()
        } else if self.letters.len() < LETTERS_MAX {
            self.letters.push_back(letter);
            true
        } else {
            false
        };
        let meter = self.meter();
        if sent {
            meter.notes_sent.add(1)
        } else {
            meter.notes_full.add(1)
        }
        if sent { Ok(()) } else { Err(Full) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rough_timers_come_a_little_early_together_and_short_ones_exactly() {
        for now in 1_000..1_020 {
            let at = |after| rough(Tick(now), Tick(now + after)).0;
            assert!((0..64).all(|after| at(after) == now + after));
            assert!(
                (64..5_000)
                    .all(|after| at(after).is_multiple_of(8) && (0..8).contains(&(now + after - at(after))))
            );
            assert!(at(64) > now);
        }
        assert_eq!(rough(Tick(0), Tick(u64::MAX)).0, u64::MAX - 7);
    }

    #[test]
    fn spare_memory_is_bounded_in_bytes() {
        let mut spare = Spare::default();
        for bytes in [0, TAIL_BYTES_MAX, TAIL_BYTES_MAX + 1].into_iter().cycle().take(3 * SPARES_MAX) {
            let mut out = Box::new(Out::new(1));
            out.set_tail(Vec::with_capacity(bytes));
            spare.keep_out(out, 1);
        }
        let kept: usize = spare.tails.iter().map(Vec::capacity).sum();
        assert_eq!((kept, spare.tail_bytes), (TAILS_BYTES_MAX, TAILS_BYTES_MAX));
        assert_eq!((0..=SPARES_MAX).map(|_| spare.tail(false).capacity()).sum::<usize>(), TAILS_BYTES_MAX);
        assert_eq!(spare.tail_bytes, 0);
    }

    #[test]
    fn a_queue_that_a_burst_made_grow_is_given_back() {
        let mut spare = Spare::default();
        let mut out = Box::new(Out::new(usize::MAX));
        for _ in 0..=CHUNKS_MAX {
            assert!(out.fixed(&[b'x'; 300]));
        }
        out.discard();
        spare.keep_out(out, 1);
        spare.keep_input(Box::new(VecDeque::with_capacity(CHUNKS_MAX + 1)));
        assert!(spare.outs.is_empty() && spare.inputs.is_empty());
    }
}

//! What a service may ask for during one call. Wishes are noted here and carried out by the seat after `on` returned.
//!
//! Never submits, never blocks, never calls back. A wish about a leg that is gone, or is another session's, is a no-op.

use crate::conn::{Conn, Flag, Phase};
use crate::desk::{Desk, Wish};
use crate::meter::{Board, Meter};
use crate::out::Out;
use crate::service::{Address, Leg, LegError, ListenerId, Service, Token};
use crate::slab::Key;
use crate::wheel::Tick;
use linux::Chunk;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// The wishes of one call.
pub struct Io<'a, S: Service> {
    pub(crate) desk: &'a mut Desk<S::Note>,
    pub(crate) session: Key,
}

/// Where an outgoing connection goes.
#[derive(Clone, Copy, Debug)]
pub struct Connect {
    /// The peer.
    pub to: SocketAddr,
    /// The address to come from; `None` leaves it to the kernel.
    pub from: Option<SocketAddr>,
    /// After this long without an answer the leg fails with [`LegError::Timeout`].
    pub deadline: Duration,
}

/// Something bounded was at its bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

impl<S: Service> Io<'_, S> {
    /// The time of this turn, in milliseconds of an arbitrary monotonic clock. Constant during a call.
    pub fn now(&self) -> Tick {
        self.desk.now
    }

    /// The time of this turn in nanoseconds of the same clock.
    pub fn now_ns(&self) -> u64 {
        self.desk.now_ns
    }

    /// In [`Event::Timer`](crate::Event::Timer): how much later than it was wished for the timer fires, in milliseconds. A
    /// turn that was long, or a core that was taken away, makes every timer late that was due meanwhile.
    pub fn late_ms(&self) -> u64 {
        self.desk.late_ms
    }

    /// Whether the seat has had a turn since `at` that took all that the kernel had for it by then: what it has not heard of had
    /// not come. A seat that has more to do than it gets done may be behind for many turns.
    pub fn caught_up_since(&self, at: Tick) -> bool {
        self.desk.caught_up >= at
    }

    /// Whether the engine knows of bytes for a leg that it is about to deliver: who judges its silence waits for them.
    pub fn is_announced(&self, leg: Leg) -> bool {
        self.desk.conns.get(leg.0).is_some_and(|conn| conn.is(Flag::Announced))
    }

    /// When bytes of a leg last moved, in either direction; when it began, if none did. `None` for a leg that is gone.
    pub fn moved(&self, leg: Leg) -> Option<Tick> {
        self.desk.conns.get(leg.0).map(|conn| conn.active)
    }

    /// Seconds since 1970, for `Date` and the like; read at most once a turn.
    pub fn unix_seconds(&mut self) -> u64 {
        self.desk.unix_seconds()
    }

    /// A random number; the simulated engine seeds it.
    pub fn random(&mut self) -> u64 {
        self.desk.random.next()
    }

    /// The address of this session, for notes to it.
    pub fn me(&self) -> Address {
        Address { seat: self.desk.seat, session: self.session }
    }

    /// A waker of this session: waking it, from any thread and at any time, brings [`Event::Wake`](crate::Event::Wake)
    /// as long as the session lives, and nothing afterwards.
    pub fn waker(&self) -> std::task::Waker {
        self.desk.waker(self.session)
    }

    /// The counters of this seat.
    pub fn meter(&self) -> &Meter {
        self.desk.meter()
    }

    /// The counters of all seats.
    pub fn board(&self) -> &Board {
        &self.desk.board
    }

    /// Whether the seat is draining.
    pub fn draining(&self) -> bool {
        self.desk.draining
    }

    /// The listener a leg was accepted by, or that a datagram leg is.
    pub fn listener(&self, leg: Leg) -> Option<ListenerId> {
        self.desk.conns.get(leg.0).map(|conn| conn.listener)
    }

    /// What this leg is still to send. For a leg that is gone, shut or of datagrams, an output without room that drops
    /// all.
    #[inline]
    pub fn out(&mut self, leg: Leg) -> &mut Out {
        self.desk.out(self.session, leg.0)
    }

    /// Bytes that may be added to a leg's output.
    pub fn room(&self, leg: Leg) -> usize {
        match self.desk.conns.get(leg.0) {
            Some(conn) if conn.is_writable() => {
                conn.out.as_ref().map_or_else(|| self.desk.out_bound(), |out| out.room())
            }
            _ => 0,
        }
    }

    /// Whether there were no buffers to receive into at some time since this was asked last: what the peer sent then waited
    /// here, and a deadline for it has to begin anew.
    pub fn was_starved(&mut self, leg: Leg) -> bool {
        let Some(conn) = self.desk.own(self.session, leg.0) else { return false };
        conn.set(Flag::WasStarved, false) || conn.is(Flag::Starved)
    }

    /// Bytes of a leg's output that were not sent yet, as far as is known: what a send that is under way has taken is known
    /// when it ends.
    pub fn unsent(&self, leg: Leg) -> usize {
        self.desk.conns.get(leg.0).and_then(|conn| conn.out.as_ref()).map_or(0, |out| out.len())
    }

    /// When bytes or a datagram of this leg were last given to the kernel, in nanoseconds of [`Io::now_ns`]: read right
    /// before the call that hands over all that a turn sends. 0 when that never was, for a leg that is gone, and without
    /// [`Plan::stamps`](crate::plan::Plan::stamps).
    #[inline]
    pub fn sent_ns(&self, leg: Leg) -> u64 {
        self.desk.sent_ns(leg.0)
    }

    /// Ends the send that is under way, so that [`Io::unsent`] says what left some milliseconds later; the rest is sent anew.
    /// `false` when none is. A socket that was found full takes more only when a good part of it has left, so a slow reader's
    /// progress may show at the second recall only, as what the first one's new send took.
    pub fn recall(&mut self, leg: Leg) -> bool {
        let sends = self.desk.own(self.session, leg.0).is_some() && self.desk.is_sending(leg.0);
        if sends {
            self.desk.wish(Wish::Recall(leg.0));
        }
        sends
    }

    /// Stops receiving. What is in flight is kept (bounded) and offered after `resume`.
    pub fn pause(&mut self, leg: Leg) {
        self.desk.wish(Wish::Pause(leg.0, true));
    }

    /// Receives again; unread input is offered right away.
    pub fn resume(&mut self, leg: Leg) {
        self.desk.wish(Wish::Pause(leg.0, false));
    }

    /// Flushes, sends FIN, keeps receiving.
    pub fn finish(&mut self, leg: Leg) {
        self.desk.wish(Wish::Finish(leg.0));
    }

    /// Flushes, then closes.
    pub fn close(&mut self, leg: Leg) {
        self.desk.wish(Wish::Close(leg.0));
    }

    /// Resets now. What is queued is dropped.
    pub fn abort(&mut self, leg: Leg) {
        self.desk.wish(Wish::Abort(leg.0));
    }

    /// Says that the peer may still be sending when this leg is closed. It is then closed in stages: flush, FIN, discard
    /// up to 256 KiB or 2 s, close; otherwise a reset would destroy the answer on its way (RFC 9112, section 9.6).
    pub fn linger(&mut self, leg: Leg) {
        if let Some(conn) = self.desk.own_stream(self.session, leg.0) {
            conn.set(Flag::Linger, true);
        }
    }

    /// Opens a leg to a peer: `Opened` or `Failed` follows. Errors: [`LegError::NoRoom`] when the seat is at its bound.
    pub fn connect(&mut self, to: &Connect) -> Result<Leg, LegError> {
        let conn = Conn::new(self.session, ListenerId(u16::MAX), Phase::Connecting, self.desk.now);
        let leg = self.desk.add_leg(conn)?;
        self.desk.wish(Wish::Connect(leg, *to));
        Ok(Leg(leg))
    }

    /// Sends one datagram. `local` is the address to answer from. Errors: [`Full`] when too many are on their way; the
    /// datagram is dropped and counted.
    pub fn send_to(
        &mut self,
        leg: Leg,
        peer: SocketAddr,
        local: Option<IpAddr>,
        chunk: Chunk,
    ) -> Result<(), Full> {
        self.desk.send_to(self.session, leg.0, peer, local, chunk)
    }

    /// Moves the next `n` bytes of `from` to the output of `to` without further calls; [`u64::MAX`] means all that come.
    /// Ends with `Done(token, Piped(bytes))`: when they are moved, at the end of `from`, or when either leg fails.
    pub fn pipe(&mut self, from: Leg, to: Leg, n: u64) -> Token {
        let token = self.desk.token();
        self.desk.wish(Wish::Pipe { session: self.session, from: from.0, to: to.0, n, token });
        token
    }

    /// Fires `Timer(token)` after `after`, to the next millisecond.
    pub fn timer(&mut self, after: Duration) -> Token {
        self.desk.start_timer(self.session, self.desk.after(after))
    }

    /// The same for who only looks whether something is to be done, and looks again if not: from 64 ms on it may come up to 8 ms too
    /// early, together with others, so that many of them end few sleeps.
    pub fn rough_timer(&mut self, after: Duration) -> Token {
        self.desk.start_timer(self.session, self.desk.roughly_after(after))
    }

    /// Takes a timer back; `false` when it has fired or never was.
    pub fn cancel(&mut self, timer: Token) -> bool {
        self.desk.cancel_timer(self.session, timer)
    }

    /// Wakes the root session with `Timer` at this time (nanoseconds of [`Io::now_ns`]), finer than the wheel's
    /// millisecond: the wait's timeout is set to it. One per seat; a new one replaces it.
    pub fn wake_at_ns(&mut self, at: u64) -> Token {
        self.desk.wake_at(at)
    }

    /// Sends a note to a session of whichever seat. A note to a session that is gone is dropped. Errors: [`Full`] when
    /// the mailbox between the two seats is full.
    pub fn post(&mut self, to: Address, note: S::Note) -> Result<(), Full> {
        self.desk.post(to, note)
    }
}

//! Received bytes on their way to the service, what is kept of them, pipes, and the peer's end.
//!
//! Bytes the service does not take are kept in order and offered again when something changed. Buffers are a shared
//! resource: what is kept for long is copied out of them, so that no peer can hold them.

use super::{LEASES_MAX, Pipe, Port, Ready, Seat, bytes_in};
use crate::conn::{Flag, Phase};
use crate::input::{Input, Packet};
use crate::service::{Event, Leg, LegError, Service, Token};
use crate::slab::Key;
use linux::{Chunk, Lease};
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};

impl<S: Service> Seat<S> {
    /// Bytes came, never none. `pieces` is left empty.
    pub(crate) fn received<P: Port>(&mut self, leg: Key, pieces: &mut VecDeque<Chunk>, port: &mut P) {
        let now = self.desk.now;
        let Some(conn) = self.desk.conns.get_mut(leg) else { return pieces.clear() };
        let bytes = bytes_in(pieces);
        if conn.phase == Phase::Open {
            // What comes later is nobody's, and is no progress of a leg that is closing.
            conn.active = now;
        }
        self.desk.board.seat(usize::from(self.desk.seat)).bytes_in.add(bytes as u64);
        if conn.phase != Phase::Open || conn.is(Flag::EofTold) {
            pieces.clear();
            return self.discard(leg, bytes, port);
        }
        if self.rationed {
            port.narrow(leg);
        }
        if let Some(mut kept) = self.desk.take_input(leg) {
            kept.append(pieces);
            std::mem::swap(&mut *kept, pieces);
            self.desk.spare.keep_input(kept);
        }
        let Some(conn) = self.desk.conns.get(leg) else { return pieces.clear() };
        if conn.pipe.is_some() {
            self.pump(leg, pieces, port);
        } else if conn.is(Flag::Paused) || conn.is(Flag::Offered) {
            // An offer is due, and what it follows (the end of a pipe, `Drained`) is told first.
            self.keep(leg, pieces, port);
        } else {
            self.offer(leg, pieces, port);
        }
    }

    /// A datagram came.
    pub(crate) fn datagram<P: Port>(
        &mut self,
        leg: Key,
        bytes: &Lease,
        peer: SocketAddr,
        local: Option<IpAddr>,
        port: &mut P,
    ) {
        let Some(conn) = self.desk.conns.get(leg).filter(|conn| conn.is_open()) else { return };
        let session = conn.session;
        self.desk.meter().bytes_in.add(bytes.len() as u64);
        self.deliver(session, Event::Datagram(Leg(leg), Packet { bytes, peer, local }), port);
    }

    /// The peer finished sending.
    pub(crate) fn eof<P: Port>(&mut self, leg: Key, port: &mut P) {
        let Some(conn) = self.desk.conns.get_mut(leg) else { return };
        conn.set(Flag::EofSeen, true);
        match conn.phase {
            Phase::Open => self.tell_eof(leg, port),
            Phase::Lingering => self.shut(leg, false, port),
            _ => {}
        }
    }

    /// The engine found no buffer for what a leg's peer sent, or goes on to receive.
    pub(crate) fn starved(&mut self, leg: Key, on: bool) {
        let now = self.desk.now;
        let Some(conn) = self.desk.conns.get_mut(leg) else { return };
        conn.set(Flag::Starved, on);
        conn.set(Flag::WasStarved, true);
        conn.active = now;
    }

    /// The engine knows that bytes have come, and fetches them; or has done so.
    pub(crate) fn announced(&mut self, leg: Key, on: bool) {
        let now = self.desk.now;
        if let Some(conn) = self.desk.conns.get_mut(leg) {
            conn.set(Flag::Announced, on);
            if on && conn.phase == Phase::Open {
                conn.active = now;
            }
            // What is fetched now goes to it, in this very turn.
            self.sessions.foresee(conn.session.slot);
        }
    }

    pub(super) fn pause<P: Port>(&mut self, leg: Key, on: bool, port: &mut P) {
        let Some(conn) = self.desk.conns.get_mut(leg) else { return };
        if conn.set(Flag::Paused, on) {
            self.hear(leg, port);
            if on {
                self.unlease_input(leg);
            } else {
                self.offer_soon(leg);
            }
        }
    }

    /// Offers a leg's unread input before the seat waits.
    pub(super) fn offer_soon(&mut self, leg: Key) {
        let Some(conn) = self.desk.conns.get_mut(leg) else { return };
        if conn.set(Flag::Offered, true) {
            self.ready.push_back(Ready::Offer(leg));
        }
    }

    pub(super) fn offer_again<P: Port>(&mut self, leg: Key, port: &mut P) {
        let Some(conn) = self.desk.conns.get_mut(leg) else { return };
        let session = conn.session;
        if self.done.iter().any(|(of, ..)| *of == session) {
            return self.ready.push_back(Ready::Offer(leg));
        }
        conn.set(Flag::Offered, false);
        if conn.phase != Phase::Open {
            return;
        }
        if conn.pipe.is_some() {
            return self.pump_kept(leg, port);
        }
        if !conn.is(Flag::Paused)
            && let Some(mut kept) = self.desk.take_input(leg)
        {
            self.offer(leg, &mut kept, port);
            kept.clear();
            self.desk.spare.keep_input(kept);
        }
        self.tell_eof(leg, port);
    }

    /// Lends `pieces` to the service and keeps what it leaves.
    fn offer<P: Port>(&mut self, leg: Key, pieces: &mut VecDeque<Chunk>, port: &mut P) {
        let Some(conn) = self.desk.conns.get(leg) else { return pieces.clear() };
        let session = conn.session;
        let mut copied = 0;
        // Delivered by hand: the wishes of this call are carried out after its leftovers are in place.
        let Some(owner) = self.sessions.get_mut(session).filter(|s| s.ending.is_none()) else {
            return pieces.clear();
        };
        let before = if pieces.len() == 1 { pieces[0].len() } else { bytes_in(pieces) };
        let mut io = crate::io::Io { desk: &mut self.desk, session };
        let input = Input::new(pieces, &mut copied);
        let next = self.service.on(&mut owner.state, Event::Bytes(Leg(leg), input), &mut io);
        if copied > 0 {
            self.desk.meter().bytes_copied.add(copied);
        }
        if pieces.is_empty() {
            self.hear(leg, port);
            self.settle(session, next, port);
            return self.flush_large(leg, port);
        }
        let after = bytes_in(pieces);
        self.keep(leg, pieces, port);
        self.settle(session, next, port);
        let stuck = self.desk.conns.get(leg).is_some_and(|conn| {
            conn.phase == Phase::Open && !conn.is(Flag::Paused) && !conn.output_waits() && conn.pipe.is_none()
        });
        if stuck && after == before && after >= S::INPUT_MAX {
            self.desk.meter().input_full.add(1);
            self.failed(leg, LegError::InputFull, port);
        }
    }

    /// Puts unread pieces away. Those that wait for output which has just begun to leave are offered again in a moment, or
    /// that output is found slow: until then they stay where they are, unless buffers are short.
    fn keep<P: Port>(&mut self, leg: Key, pieces: &mut VecDeque<Chunk>, port: &mut P) {
        let mut kept = self.desk.spare.input();
        std::mem::swap(&mut *kept, pieces);
        self.desk.meter().bytes_copied.add(join_small(&mut kept));
        let pressed = self.is_pressed();
        let Some(conn) = self.desk.conns.get_mut(leg) else { return };
        debug_assert!(conn.input.is_none());
        conn.input = Some(kept);
        // A service that leaves input because its output is full need not say so.
        if let Some(out) = conn.out.as_mut().filter(|out| out.room() == 0) {
            out.reserve(1);
        }
        let for_a_moment = conn.output_waits() && !conn.is(Flag::Slow) && !conn.is(Flag::Paused);
        if pressed || !for_a_moment || conn.pipe.is_some() {
            self.unlease_input(leg);
        }
        self.desk.charge(leg);
        self.ration(port);
        self.hear(leg, port);
    }

    /// Copies kept input out of buffers that would be held for a few bytes, or past the leg's or the pool's share.
    pub(super) fn unlease_input(&mut self, leg: Key) {
        let pressed = self.is_pressed();
        let small = self.desk.pool.buffer_bytes() as usize / 4;
        let Some(input) = self.desk.conns.get_mut(leg).and_then(|conn| conn.input.as_mut()) else { return };
        let mut copied = 0;
        for (index, piece) in input.iter_mut().enumerate() {
            if piece.is_lease() && (pressed || index >= LEASES_MAX || piece.len() < small) {
                copied += piece.len() as u64;
                *piece = Chunk::Copied(piece.to_vec().into());
            }
        }
        if copied > 0 {
            self.desk.meter().bytes_copied.add(copied);
        }
    }

    /// Whether more than half of the buffers are lent.
    pub(super) fn is_pressed(&self) -> bool {
        let pools = [Some(&self.desk.pool), self.desk.fetch_pool.as_ref()];
        pools.into_iter().flatten().any(|pool| pool.lent() > pool.count() / 2)
    }

    /// Tells the engine whether to receive on this leg, when that changed.
    pub(super) fn hear<P: Port>(&mut self, leg: Key, port: &mut P) {
        let Some(conn) = self.desk.conns.get_mut(leg) else { return };
        let deaf = match &conn.input {
            _ if conn.is(Flag::Datagram) => false,
            None => conn.is(Flag::Paused),
            Some(_) if conn.is(Flag::Paused) || conn.output_waits() || conn.pipe.is_some() => true,
            Some(input) => bytes_in(input) >= S::INPUT_MAX,
        };
        if conn.set(Flag::Deaf, deaf) && conn.phase == Phase::Open {
            port.receive(leg, !deaf);
        }
    }

    /// Tells the end, once what came before it was offered and nothing holds it back.
    fn tell_eof<P: Port>(&mut self, leg: Key, port: &mut P) {
        let Some(conn) = self.desk.conns.get_mut(leg) else { return };
        if !conn.is(Flag::EofSeen) || conn.is(Flag::EofTold) || conn.phase != Phase::Open {
            return;
        }
        // What is about to be offered comes first; the offer then ends here again.
        let offered = conn.is(Flag::Offered);
        let held = conn.has_input() && (offered || conn.output_waits() || conn.pipe.is_some());
        if held || conn.is(Flag::Paused) {
            return;
        }
        conn.set(Flag::EofTold, true);
        let session = conn.session;
        if let Some(pipe) = conn.pipe.take() {
            self.done.push_back((session, pipe.token, pipe.moved));
            self.run_done(port);
            if self.desk.conns.get(leg).is_none_or(|conn| conn.phase != Phase::Open) {
                // It was told of the pipe's end and let go of the leg.
                return;
            }
        }
        self.deliver(session, Event::Eof(Leg(leg)), port);
        if let Some(mut kept) = self.desk.take_input(leg) {
            kept.clear();
            self.desk.spare.keep_input(kept);
        }
    }

    pub(super) fn start_pipe<P: Port>(
        &mut self,
        session: Key,
        from: Key,
        to: Key,
        n: u64,
        token: Token,
        port: &mut P,
    ) {
        let ours = self.desk.is_writable(session, to);
        let Some(conn) =
            self.desk.own_stream(session, from).filter(|c| ours && n > 0 && !c.is(Flag::EofTold))
        else {
            self.done.push_back((session, token, 0));
            return self.offer_soon(from);
        };
        self.root_pipes |= session == self.root;
        if let Some(old) = conn.pipe.replace(Pipe::boxed(to, token, n)) {
            self.done.push_back((session, old.token, old.moved));
        }
        self.pause(from, false, port);
        self.offer_soon(from);
    }

    /// Moves kept input through a leg's pipe, as far as there is room.
    fn pump_kept<P: Port>(&mut self, from: Key, port: &mut P) {
        let kept = self.desk.take_input(from);
        let mut kept = kept.unwrap_or_else(|| self.desk.spare.input());
        self.pump(from, &mut kept, port);
        self.desk.spare.keep_input(kept);
    }

    /// Moves `pieces` through a leg's pipe, as far as there is room, and keeps the rest.
    fn pump<P: Port>(&mut self, from: Key, pieces: &mut VecDeque<Chunk>, port: &mut P) {
        let Some(conn) = self.desk.conns.get_mut(from) else { return pieces.clear() };
        let session = conn.session;
        let Some(mut pipe) = conn.pipe.take() else { return pieces.clear() };
        let mut full = false;
        let open = self.desk.is_writable(session, pipe.to);
        while open && pipe.left > 0 && !full {
            let Some(mut piece) = pieces.pop_front() else { break };
            let out = self.desk.out(session, pipe.to);
            let n = piece.len().min(out.room()).min(usize::try_from(pipe.left).unwrap_or(usize::MAX));
            full = !out.reserve(1);
            if n > 0 {
                let whole = n == piece.len();
                let part = if whole {
                    std::mem::replace(&mut piece, Chunk::Shared(bytes::Bytes::new()))
                } else {
                    piece.split_to(n)
                };
                pipe.left -= n as u64;
                pipe.moved += n as u64;
                let pushed = out.push(part);
                debug_assert!(pushed.is_ok(), "there was room for it");
            }
            if !piece.is_empty() {
                pieces.push_front(piece);
            }
        }
        let conn = self.desk.conns.get_mut(from).expect("its pipe is being pumped");
        if pipe.left == 0 || !open {
            self.done.push_back((session, pipe.token, pipe.moved));
            self.offer_soon(from);
        } else {
            conn.pipe = Some(pipe);
        }
        if pieces.is_empty() {
            self.hear(from, port);
        } else {
            self.keep(from, pieces, port);
        }
        self.tell_eof(from, port);
    }

    /// Room appeared in `to`: pumps the pipes that lead to it. `true` when there is one.
    pub(super) fn pump_into<P: Port>(&mut self, to: Key, port: &mut P) -> bool {
        let Some(session) = self.desk.conns.get(to).map(|conn| conn.session) else { return false };
        if !self.has_pipes(session) {
            return false;
        }
        let mut any = false;
        let mut next = self.first_leg(session);
        while let Some(from) = next {
            next = self.leg_after(session, from);
            let Some(conn) = self.desk.conns.get(from) else { break };
            if conn.pipe.as_ref().is_some_and(|pipe| pipe.to == to) {
                any = true;
                self.pump_kept(from, port);
            }
        }
        any
    }

    /// Whether a session may have pipes. The root has none as a rule, and too many legs to look.
    fn has_pipes(&self, session: Key) -> bool {
        session != self.root || self.root_pipes
    }

    /// Ends the pipes to a leg that takes no more, and, when it is going, from it.
    pub(super) fn end_pipes(&mut self, leg: Key, going: bool) {
        let Some(session) = self.desk.conns.get(leg).map(|conn| conn.session) else { return };
        if !self.has_pipes(session) {
            return;
        }
        let mut next = self.first_leg(session);
        while let Some(from) = next {
            next = self.leg_after(session, from);
            let Some(conn) = self.desk.conns.get_mut(from) else { return };
            if let Some(pipe) = conn.pipe.take_if(|pipe| pipe.to == leg || (going && from == leg)) {
                self.done.push_back((session, pipe.token, pipe.moved));
                self.offer_soon(from);
            }
        }
    }
}

/// Puts the small pieces at the end together when they are many: what comes byte by byte would take an entry and an allocation for
/// each. Says how many bytes were copied.
fn join_small(kept: &mut VecDeque<Chunk>) -> u64 {
    let small = kept.iter().rev().take_while(|piece| piece.len() <= SMALL_BYTES).count();
    if small <= PIECES_MAX {
        return 0;
    }
    let mut joined = Vec::with_capacity(kept.iter().rev().take(small).map(Chunk::len).sum());
    kept.drain(kept.len() - small..).for_each(|piece| joined.extend_from_slice(&piece));
    let copied = joined.len() as u64;
    kept.push_back(Chunk::Copied(joined.into()));
    copied
}

/// What a small piece is, and how many of them one leg keeps in a row.
const SMALL_BYTES: usize = 256;
const PIECES_MAX: usize = 64;

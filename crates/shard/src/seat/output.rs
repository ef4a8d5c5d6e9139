//! Output on its way to the kernel: flushing, what was sent, and the ways a leg ends.
//!
//! One send of a leg is in flight at a time, always; what queues meanwhile is gathered into the next. Two would interleave
//! as soon as one of them is short.

use super::{
    CLOSE_LOOK, FLUSH_BYTES, LINGER, LINGER_BYTES, Port, SEND_BYTES_MAX, SMALL_BYTES, Seat, TURN_BYTES_MAX,
};
use crate::alarm::Alarm;
use crate::conn::{Flag, Phase};
use crate::service::{Event, Leg, LegError, Service};
use crate::slab::Key;
use linux::Gather;

impl<S: Service> Seat<S> {
    /// A send ended: `Ok` with the bytes it took, which may be fewer than it had.
    pub(crate) fn sent<P: Port>(
        &mut self,
        leg: Key,
        mut gather: Box<Gather>,
        result: Result<usize, LegError>,
        port: &mut P,
    ) {
        let now = self.desk.now;
        let Some(conn) = self.desk.conns.get_mut(leg) else { return self.desk.spare.keep_gather(gather) };
        let out = conn.out.as_mut().expect("a leg with a send in flight has an output");
        let sent = match result {
            Ok(sent) if conn.phase != Phase::Closed => sent,
            _ => {
                out.lost();
                self.desk.spare.keep_gather(gather);
                if let Err(error) = result {
                    self.failed(leg, error, port);
                }
                return;
            }
        };
        out.sent(sent);
        let max = out.max();
        if sent > 0 {
            conn.active = now;
        }
        let slow = conn.is(Flag::Slow);
        if slow {
            conn.set(Flag::Slow, sent < gather.bytes());
        }
        if slow || max != self.desk.out_bound() {
            self.desk.charge(leg);
        }
        let Some(conn) = self.desk.conns.get_mut(leg) else { return };
        let out = conn.out.as_mut().expect("it was there just now");
        let (drained, idle) = (out.take_drained(), out.queued() == 0 && !out.waits());
        let meter = self.desk.board.seat(usize::from(self.desk.seat));
        meter.bytes_out.add(sent as u64);
        if sent < gather.bytes() {
            gather.advance(sent);
            // A slow one was called back for its buffers, which is counted as such.
            if slow {
                meter.bytes_copied.add(gather.unlease());
            } else {
                meter.short_sends.inc();
            }
            self.desk.note_send(leg);
            port.send(leg, gather, false);
        } else {
            self.desk.spare.keep_gather(gather);
            if idle && !drained && conn.phase == Phase::Open && !conn.is(Flag::Finishing) {
                // The common case: all went out, nothing waits for it.
                let out = conn.out.take().expect("it was there just now");
                return self.desk.keep_out(out);
            }
            self.mark_dirty(leg);
        }
        if drained && !self.pump_into(leg, port) {
            let Some(conn) = self.desk.conns.get(leg).filter(|conn| conn.is_open()) else { return };
            self.deliver(conn.session, Event::Drained(Leg(leg)), port);
            self.hear(leg, port);
            self.offer_soon(leg);
        }
    }

    /// A part of a send went out, and the rest waits for the socket: what is to be sent of it is shorter by that.
    pub(crate) fn moved(&mut self, leg: Key, sent: usize) {
        let now = self.desk.now;
        let Some(conn) = self.desk.conns.get_mut(leg).filter(|conn| conn.phase != Phase::Closed) else {
            return;
        };
        let Some(out) = conn.out.as_mut() else { return };
        out.sent(sent);
        if sent > 0 {
            conn.active = now;
        }
        let slow = conn.is(Flag::Slow);
        let meter = self.desk.meter();
        meter.bytes_out.add(sent as u64);
        meter.short_sends.inc();
        if slow {
            self.desk.charge(leg);
        }
    }

    /// The engine saw that a send outlived its turn: the peer reads slowly.
    pub(crate) fn slow(&mut self, leg: Key) {
        let pressed = self.is_pressed();
        let Some(conn) = self.desk.conns.get_mut(leg) else { return };
        conn.set(Flag::Slow, true);
        if let Some(out) = conn.out.as_mut()
            && (pressed || out.leases() > super::LEASES_MAX)
        {
            let copied = out.unlease();
            self.desk.meter().bytes_copied.add(copied);
        }
        self.unlease_input(leg);
        self.desk.charge(leg);
    }

    pub(super) fn mark_dirty(&mut self, leg: Key) {
        let Some(conn) = self.desk.conns.get_mut(leg) else { return };
        if conn.set(Flag::Dirty, true) {
            self.desk.dirty.push_back(leg);
        }
    }

    /// Flushes what has grown large before the end of the turn, so that a turn's output stays bounded.
    pub(super) fn flush_large<P: Port>(&mut self, leg: Key, port: &mut P) {
        if self.has_share() && self.queued(leg) >= FLUSH_BYTES {
            self.flush(leg, port);
        }
    }

    /// Whether this turn may still send.
    pub(crate) fn has_share(&self) -> bool {
        self.pushed < TURN_BYTES_MAX && self.sends < self.limits.turn_sends
    }

    /// Flushes a leg before the end of the turn, where a send costs a call of its own anyway: what was just received is still in
    /// the core's cache, and its buffer comes back for the next leg.
    pub(crate) fn flush_now<P: Port>(&mut self, leg: Key, port: &mut P) {
        if self.has_share() && self.queued(leg) > 0 {
            self.flush(leg, port);
        }
    }

    fn queued(&self, leg: Key) -> usize {
        self.desk.conns.get(leg).and_then(|conn| conn.out.as_ref()).map_or(0, |out| out.queued())
    }

    /// Flushes what has output, in the order in which it got some. The kernel copies all of a turn's output in one enter, and
    /// nobody is heard meanwhile: past `TURN_BYTES_MAX` what is large waits for the next turn, and past the plan's bound of
    /// sends all that is left does. What waits keeps its place.
    pub(super) fn flush_dirty<P: Port>(&mut self, port: &mut P) {
        // `flush` adds no leg to the list.
        let mut dirty = std::mem::take(&mut self.desk.dirty);
        let (mut left, mut waiting) = (dirty.len(), 0);
        while left > 0 && self.sends < self.limits.turn_sends {
            let Some(leg) = dirty.pop_front() else { break };
            left -= 1;
            if self.pushed >= TURN_BYTES_MAX && self.queued(leg) > SMALL_BYTES {
                dirty.push_back(leg);
                waiting += 1;
            } else if let Some(conn) = self.desk.conns.get_mut(leg) {
                conn.set(Flag::Dirty, false);
                self.flush(leg, port);
            }
        }
        // Those that were looked at stand behind those that were not.
        dirty.rotate_right(waiting);
        debug_assert!(self.desk.dirty.is_empty());
        self.desk.dirty = dirty;
    }

    /// Sends the datagrams that were wished for, as many as this turn may.
    pub(crate) fn send_datagrams<P: Port>(&mut self, port: &mut P) {
        while self.sends < self.limits.turn_sends
            && let Some(datagram) = self.desk.datagrams.pop_front()
        {
            // One that had to wait may have outlived its socket.
            if self.desk.conns.get(datagram.leg).is_none_or(|conn| conn.phase == Phase::Closed) {
                self.desk.meter().datagrams_dropped.add(1);
                continue;
            }
            self.sends += 1;
            self.desk.note_send(datagram.leg);
            port.send_to(datagram);
        }
    }

    /// Sends what is queued, or does what waited for the queue to be empty.
    fn flush<P: Port>(&mut self, leg: Key, port: &mut P) {
        let over = self.desk.is_over_budget();
        let Some(conn) = self.desk.conns.get_mut(leg) else { return };
        match conn.phase {
            // Nobody knows how long it connects: what waits for it holds no buffers.
            Phase::Connecting => {
                let copied = conn.out.as_mut().map_or(0, |out| out.unlease());
                return self.desk.meter().bytes_copied.add(copied);
            }
            Phase::Closed => return,
            _ => {}
        }
        if let Some(out) = conn.out.as_mut() {
            if out.in_flight() {
                if conn.is(Flag::Slow) {
                    self.slow(leg);
                }
                return;
            }
            if out.queued() > 0 {
                let spare = &mut self.desk.spare;
                let mut gather = spare.gather();
                out.gather(&mut gather, SEND_BYTES_MAX, || spare.tail(over));
                let zero_copy = self.limits.zero_copy_bytes.is_some_and(|least| gather.bytes() >= least)
                    && gather.chunks().len() == 1
                    && gather.chunks()[0].is_lease()
                    && !conn.is(Flag::Copies);
                self.pushed += gather.bytes();
                self.sends += 1;
                self.desk.note_send(leg);
                return port.send(leg, gather, zero_copy);
            }
            if conn.phase == Phase::Open
                && !conn.is(Flag::Finishing)
                && let Some(out) = conn.out.take()
            {
                // It was asked for and not used.
                return self.desk.keep_out(out);
            }
        }
        if conn.is(Flag::Finishing) && conn.set(Flag::Finished, true) {
            port.finish(leg);
        }
        if conn.phase == Phase::Closing {
            self.close_flushed(leg, port);
        }
    }

    pub(super) fn finish(&mut self, leg: Key) {
        let Some(conn) = self.desk.conns.get_mut(leg) else { return };
        if let Some(out) = conn.out.as_mut() {
            out.shut();
        }
        conn.set(Flag::Finishing, true);
        self.mark_dirty(leg);
        self.end_pipes(leg, false);
    }

    /// Flushes, then closes.
    pub(super) fn close<P: Port>(&mut self, leg: Key, port: &mut P) {
        let Some(conn) = self.desk.conns.get_mut(leg) else { return };
        match conn.phase {
            Phase::Connecting => {
                self.end_pipes(leg, true);
                return self.shut(leg, false, port);
            }
            Phase::Open => {}
            Phase::Closing | Phase::Lingering | Phase::Closed => return,
        }
        conn.phase = Phase::Closing;
        conn.budget = LINGER_BYTES;
        // What was received and not read, or was not received for now, is what a reset would answer.
        let unread = conn.has_input() || conn.is(Flag::Deaf) || conn.is(Flag::Paused);
        conn.set(Flag::Linger, !conn.is(Flag::Datagram) && (unread || conn.is(Flag::Linger)));
        if let Some(out) = conn.out.as_mut() {
            out.shut();
        }
        self.end_pipes(leg, true);
        self.forget_input(leg);
        self.arm(leg, CLOSE_LOOK, |leg| Alarm::Close(leg, 0));
        self.mark_dirty(leg);
    }

    fn close_flushed<P: Port>(&mut self, leg: Key, port: &mut P) {
        let Some(conn) = self.desk.conns.get_mut(leg) else { return };
        if !conn.is(Flag::Linger) || conn.is(Flag::EofSeen) {
            return self.shut(leg, false, port);
        }
        conn.phase = Phase::Lingering;
        conn.budget = LINGER_BYTES;
        if conn.set(Flag::Finished, true) {
            port.finish(leg);
        }
        if conn.set(Flag::Deaf, false) {
            port.receive(leg, true);
        }
        self.arm(leg, LINGER, Alarm::Linger);
    }

    /// Bytes came that nobody reads any more. Past the budget a leg that still flushes hears no more until it lingers, and
    /// one that lingers is over.
    pub(super) fn discard<P: Port>(&mut self, leg: Key, bytes: usize, port: &mut P) {
        let Some(conn) = self.desk.conns.get_mut(leg) else { return };
        let left = conn.budget.checked_sub(u32::try_from(bytes).unwrap_or(u32::MAX));
        match (conn.phase, left) {
            (Phase::Closing | Phase::Lingering, Some(left)) => conn.budget = left,
            (Phase::Closing, None) if conn.set(Flag::Deaf, true) => port.receive(leg, false),
            (Phase::Lingering, None) => self.shut(leg, true, port),
            _ => {}
        }
    }

    /// Lets go of a leg now: what is queued is dropped.
    pub(super) fn shut<P: Port>(&mut self, leg: Key, abort: bool, port: &mut P) {
        let Some(conn) = self.desk.conns.get_mut(leg) else { return };
        if conn.phase == Phase::Closed {
            return;
        }
        conn.phase = Phase::Closed;
        conn.set(Flag::EofTold, true);
        if let Some(out) = conn.out.as_mut() {
            out.discard();
        }
        let alarm = conn.alarm.take();
        self.forget_input(leg);
        if let Some(alarm) = alarm {
            self.desk.wheel.cancel(alarm);
        }
        port.close(leg, abort);
    }

    fn forget_input(&mut self, leg: Key) {
        if let Some(mut kept) = self.desk.take_input(leg) {
            kept.clear();
            self.desk.spare.keep_input(kept);
        }
    }
}

//! What completions mean. The traps of io_uring's contract, each handled here and tested with the fake ring:
//!
//! - a completion may be for an owner of the slot who has left: every one is checked against the generation;
//! - a multishot ends when `F_MORE` is missing, whatever its result: an overflow ends it with a good one;
//! - `ENOBUFS` loses no data, it is still in the socket: receive again when buffers came back;
//! - a send may be short even with `MSG_WAITALL`: by an error after some bytes, or by a cancel;
//! - the memory of a zero-copy send comes back with its notification, also when the send failed;
//! - a leg's descriptor is closed only after every submission of it had its last completion.

use super::accept::is_shortage;
use super::driver::For;
use super::link::{Fact, Receive, Send};
use super::ring::Ring;
use super::{Uring, driver};
use crate::conn::Flag;
use crate::engine::failure::leg_error;
use crate::plan::ZeroCopy;
use crate::service::{LegError, ListenerId, Service};
use crate::slab::Key;
use linux::errno;
use linux::ring::{Completion, Op, Sock, With};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

impl<S: Service, R: Ring> Uring<S, R> {
    pub(super) fn complete(&mut self, completion: Completion) {
        let tag = completion.tag;
        let leg = Key { slot: tag.slot(), generation: tag.generation() };
        match tag.op() {
            op if op == For::Receive as u8 => self.received(leg, completion),
            op if op == For::Send as u8 => self.sent(leg, completion),
            op if op == For::Accept as u8 => {
                self.accepted(ListenerId(leg.slot as u16), leg.generation, completion);
            }
            op if op == For::Connect as u8 => self.connected(leg, completion.result),
            op if op == For::Datagrams as u8 => self.datagram(leg, completion),
            op if op == For::SendTo as u8 => self.sent_to(leg, completion.result),
            op if op == For::Finish as u8 => self.driver.done(leg),
            op if op == For::Poll as u8 => self.polled(leg, completion),
            op if op == For::Fetch as u8 => self.fetched(leg, completion),
            op if op == For::Socket as u8 => self.made(leg, completion.result),
            op if op == For::Event as u8 => self.woken(completion.more),
            // It was not woken by the message, and nobody else will try: the wake was claimed.
            op if op == For::Message as u8 => self.peers.parkers[leg.slot as usize].event().signal(),
            _ => {} // messages only wake; nobody waits for the rest
        }
    }

    fn accepted(&mut self, id: ListenerId, kind: u32, completion: Completion) {
        let Completion { result, more, with, .. } = completion;
        if !more {
            let errno = if result < 0 { -result } else { 0 };
            let now_ns = self.seat.desk.now_ns;
            if let Some(accept) = self.accepts.iter_mut().find(|accept| accept.id == id) {
                accept.ended(kind, errno, now_ns);
            }
        }
        match with {
            With::Descriptor(fd) => {
                // Late ones are served where they come.
                let handed = self.accepts.iter().any(|accept| accept.id == id && accept.is_handed());
                let mine = match self.hand_off.as_mut().filter(|_| handed) {
                    Some(hand_off) => hand_off.pass(id, fd),
                    None => Some(fd),
                };
                mine.into_iter().for_each(|fd| self.take_in_plain(fd, id));
            }
            _ if result >= 0 => self.take_in(Sock::Direct(result as u32), None, id),
            _ if is_shortage(-result) => self.seat.desk.meter().accept_errors.inc(),
            _ => {}
        }
    }

    /// A connection that has a descriptor of the process: its ring has none of its own, or it was accepted outside of it.
    pub(super) fn take_in_plain(&mut self, fd: OwnedFd, id: ListenerId) {
        self.take_in(Sock::Plain(fd.as_raw_fd()), Some(fd), id);
    }

    fn take_in(&mut self, sock: Sock, fd: Option<OwnedFd>, id: ListenerId) {
        let Some(leg) = self.seat.reserve(id) else {
            self.seat.desk.meter().accept_errors.inc();
            if matches!(sock, Sock::Direct(_)) {
                self.driver.ring.push(Op::Close(sock), driver::tag(For::Forgotten, super::NOBODY));
            }
            return;
        };
        self.driver.attach(leg, sock, fd);
        self.seat.accepted(leg, id, &mut self.driver);
    }

    fn received(&mut self, leg: Key, completion: Completion) {
        let Completion { result, more, with, .. } = completion;
        self.hand_on(leg, &with);
        let over = is_over(result);
        if !more && let Some(link) = self.driver.link(leg) {
            link.receive = match -result {
                errno::ENOBUFS => Receive::Starved,
                _ if over => Receive::Over,
                _ => Receive::Idle,
            };
            if result == -errno::ENOBUFS {
                self.driver.starve(leg);
            }
            self.driver.done(leg);
            self.driver.arm(leg);
        }
        if over && self.driver.link(leg).is_some() {
            match result {
                0 => self.seat.eof(leg, &mut self.driver),
                _ => self.seat.failed(leg, error_of(result), &mut self.driver),
            }
        }
    }

    /// Gives the seat what a receive brought.
    fn hand_on(&mut self, leg: Key, with: &With) {
        if !matches!(with, With::Buffers) {
            return;
        }
        let mut pieces = std::mem::take(&mut self.pieces);
        std::mem::swap(self.driver.ring.pieces(), &mut pieces);
        if self.driver.link(leg).is_some() {
            self.seat.received(leg, &mut pieces, &mut self.driver);
        }
        pieces.clear();
        self.pieces = pieces;
    }

    /// A stream that is polled has something, or its poll ended.
    fn polled(&mut self, leg: Key, completion: Completion) {
        let Completion { result, more, .. } = completion;
        // What it says of the socket is found out by the fetch.
        let failed = result < 0 && is_over(result);
        if !more && let Some(link) = self.driver.link(leg) {
            link.receive = if failed { Receive::Over } else { Receive::Idle };
        }
        if result >= 0 {
            let unparked = self.driver.readable(leg, result, self.seat.desk.now.0);
            self.seat.desk.meter().unparked.add(unparked.into());
            let fetches =
                self.driver.link(leg).is_some_and(|link| link.is(Fact::Fetches) || link.is(Fact::Hungry));
            self.seat.announced(leg, fetches);
        }
        if !more && self.driver.link(leg).is_some() {
            self.driver.done(leg);
            self.driver.arm(leg);
        }
        if failed && self.driver.link(leg).is_some() {
            self.seat.failed(leg, error_of(result), &mut self.driver);
        }
    }

    /// What a poll announced was fetched.
    fn fetched(&mut self, leg: Key, completion: Completion) {
        let Completion { result, left, with, .. } = completion;
        let mut more = result > 0 && left;
        if let Some(link) = self.driver.link(leg) {
            link.set(Fact::Fetches, false);
            more |= result > 0 && link.is(Fact::EndComes);
        }
        self.seat.announced(leg, result == -errno::ENOBUFS);
        self.hand_on(leg, &with);
        let over = is_over(result);
        if over {
            self.driver.end(leg);
        } else if result == -errno::ENOBUFS {
            self.driver.hunger(leg);
        } else if more {
            // There may be more, of which the poll has spoken already.
            self.driver.fetch(leg);
        }
        self.driver.done(leg);
        if over && self.driver.link(leg).is_some() {
            match result {
                0 => self.seat.eof(leg, &mut self.driver),
                _ => self.seat.failed(leg, error_of(result), &mut self.driver),
            }
        }
    }

    /// The ring has made a socket that is to connect, or could not.
    fn made(&mut self, leg: Key, result: i32) {
        match u32::try_from(result) {
            Ok(slot) => self.driver.made(leg, slot),
            Err(_) if self.driver.link(leg).is_some() => {
                self.seat.failed(leg, error_of(result), &mut self.driver);
            }
            Err(_) => {}
        }
        self.driver.done(leg);
    }

    fn sent(&mut self, leg: Key, completion: Completion) {
        let Completion { result, more, with, .. } = completion;
        let gather = match with {
            With::Gather(gather) => gather,
            With::Notified { copied } => return self.notified(leg, copied),
            _ => return,
        };
        if more {
            self.seat.desk.meter().zero_copy_used.inc();
        }
        let Some(link) = self.driver.link(leg) else { return self.seat.desk.spare.keep_gather(gather) };
        let reclaimed = link.send == Send::Reclaimed;
        link.send = Send::Idle;
        let sent = match usize::try_from(result) {
            Ok(sent) => Ok(sent),
            // Cancelled by us before a byte went: what it held is copied and sent again.
            Err(_) if reclaimed && matches!(-result, errno::ECANCELED | errno::EINTR) => Ok(0),
            Err(_) => Err(error_of(result)),
        };
        // The leg may be sent on or let go in this call; both count what is pending themselves.
        self.seat.sent(leg, gather, sent, &mut self.driver);
        self.driver.done(leg);
    }

    fn notified(&mut self, leg: Key, copied: bool) {
        if !copied {
            return;
        }
        self.seat.desk.meter().zero_copy_copied.inc();
        if self.zero_copy == ZeroCopy::Auto
            && let Some(conn) = self.seat.desk.conns.get_mut(leg)
        {
            conn.set(Flag::Copies, true);
        }
    }

    fn connected(&mut self, leg: Key, result: i32) {
        let Some(link) = self.driver.link(leg) else { return };
        link.set(Fact::Connects, false);
        match result {
            0 => self.seat.opened(leg, &mut self.driver),
            _ => self.seat.failed(leg, error_of(result), &mut self.driver),
        }
        self.driver.done(leg);
    }

    fn datagram(&mut self, leg: Key, completion: Completion) {
        let Completion { result, more, with, .. } = completion;
        match with {
            With::Datagram(received) if !received.cut => {
                let (bytes, peer, local) = (&received.bytes, received.peer, received.local);
                self.seat.datagram(leg, bytes, peer, local, &mut self.driver);
            }
            With::Datagram(_) => self.seat.desk.meter().datagrams_dropped.inc(),
            _ => {}
        }
        if more {
            return;
        }
        if let Some(link) = self.driver.link(leg) {
            link.receive = match -result {
                errno::ENOBUFS => Receive::Starved,
                errno::ECANCELED | errno::EINTR | errno::EAGAIN => Receive::Idle,
                // An error that stays would be met again at once, for ever.
                _ if result < 0 => Receive::Over,
                _ => Receive::Idle,
            };
            if result == -errno::ENOBUFS {
                self.driver.starve(leg);
            }
            self.driver.done(leg);
            self.driver.arm(leg);
        }
    }

    fn sent_to(&mut self, leg: Key, result: i32) {
        self.driver.datagrams -= 1;
        let meter = self.seat.desk.meter();
        match u64::try_from(result) {
            Ok(bytes) => meter.bytes_out.add(bytes),
            // A port that nobody listens on, a full queue: a datagram may always be lost.
            Err(_) => meter.datagrams_dropped.inc(),
        }
        self.driver.done(leg);
    }

    fn woken(&mut self, more: bool) {
        self.parker.event().drain();
        if !more && !self.is_over() {
            self.driver.ring.push(Op::PollMulti(self.parker.event()), driver::tag(For::Event, super::NOBODY));
        }
    }
}

/// Whether a receive that ended so is the last of its stream.
fn is_over(result: i32) -> bool {
    result <= 0 && !matches!(-result, errno::ENOBUFS | errno::ECANCELED | errno::EINTR | errno::EAGAIN)
}

fn error_of(result: i32) -> LegError {
    leg_error(&io::Error::from_raw_os_error(-result))
}

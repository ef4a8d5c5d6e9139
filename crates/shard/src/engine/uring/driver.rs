//! The ring, the links and what is to be told to the seat: the seat's [`Port`].
//!
//! Acts only; what it learns while it acts waits in `news` until the loop tells the seat.

use super::link::{Fact, HEARD_MS, Link, Receive, Send};
use super::ring::Ring;
use crate::desk::Datagram;
use crate::engine::failure::no_socket;
use crate::io::Connect;
use crate::seat::Port;
use crate::service::LegError;
use crate::slab::Key;
use crate::table::Table;
use linux::Gather;
use linux::ring::{Op, Sock, Tag};
use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd};

/// What a submission was for: the op byte of its tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum For {
    Accept = 1,
    Receive,
    Send,
    Connect,
    Finish,
    Datagrams,
    SendTo,
    /// The eventfd of this seat's parker.
    Event,
    /// A message to another seat's ring that could not be sent; the slot is the seat's number.
    Message,
    /// A message from another seat's ring: only to wake.
    Wake,
    /// Cancels, socket options, closes: nobody waits for them.
    Forgotten,
    /// A stream's poll, and the fetch of what it announced.
    Poll,
    Fetch,
    /// A socket that is to connect.
    Socket,
}

pub(super) struct Driver<R> {
    pub(super) ring: R,
    links: Table<Link>,
    /// Legs whose receive found no buffer, oldest first.
    pub(super) starved: VecDeque<Key>,
    /// Legs whose ring has no buffers of its own, and that found none to fetch into, oldest first.
    pub(super) hungry: VecDeque<Key>,
    /// How many came there since they were counted.
    pub(super) hungers: u64,
    /// Legs with a send that was pushed since the last look, or that is slow and holds buffers.
    pub(super) senders: Vec<Key>,
    pub(super) news: VecDeque<News>,
    /// The byte limit of receives from now on; 0 is none.
    limit: u32,
    /// The seat holds more than its budget: receives bring little at a time.
    rationed: bool,
    /// Counts turns, modulo 256.
    pub(super) turn: u8,
    /// Legs are parked when they were idle; or all of them are, always.
    pub(super) parks: bool,
    pub(super) always_parked: bool,
    /// Legs with an armed receive, which may be parked; those that went are found when they are looked at.
    pub(super) watched: VecDeque<Key>,
    /// Where to those sockets are to connect that the ring is making, by slot.
    connecting: HashMap<u32, SocketAddr>,
    /// Datagrams in flight, of all datagram legs.
    pub(super) datagrams: u32,
    pub(super) datagrams_dropped: u64,
}

/// What the seat is to be told.
pub(super) enum News {
    Failed(Key, LegError),
    Closed(Key),
    /// There is no buffer for what its peer sent; or its receive is armed again.
    Starved(Key, bool),
}

/// Bytes after which a multishot receive ends and is armed again, once buffers have been short. Before that there is no
/// limit: with one the kernel maps buffers for all of it at each receive (docs/decisions/0003-buffers.md).
const RECEIVE_BYTES: u32 = 384 << 10;
/// How many may starve before they get less than that each: as many connections as were measured with it.
const CROWD: usize = 64;
/// Buffers that a receive may fill while the seat is over its budget.
const RATION_BUFFERS: u32 = 2;
/// A parked leg that says something twice within this time, in units of [`HEARD_MS`], is busy. A heartbeat is not.
const BUSY: u16 = 4;
/// The slot of a socket that is being made.
const NO_SLOT: u32 = u32::MAX;
/// Datagrams in flight; further ones are dropped and counted.
const DATAGRAMS_MAX: u32 = 1024;

impl<R: Ring> Driver<R> {
    pub(super) fn new(ring: R) -> Driver<R> {
        let (starved, senders, news) = (VecDeque::new(), Vec::new(), VecDeque::new());
        Driver {
            ring,
            links: Table::new(),
            starved,
            hungry: VecDeque::new(),
            hungers: 0,
            senders,
            news,
            limit: 0,
            rationed: false,
            turn: 0,
            parks: false,
            always_parked: false,
            watched: VecDeque::new(),
            connecting: HashMap::new(),
            datagrams: 0,
            datagrams_dropped: 0,
        }
    }

    /// Gives a leg its socket.
    pub(super) fn attach(&mut self, leg: Key, sock: Sock, fd: Option<OwnedFd>) {
        while self.links.len() <= leg.slot {
            self.links.push(Link::vacant());
        }
        let link = self.links.get_mut(leg.slot).expect("as many were made");
        debug_assert_eq!(link.pending, 0, "a slot is used again only when nothing of it is in flight");
        *link = Link::new(leg, sock, fd);
    }

    /// Gives a datagram leg its socket and receives on it.
    pub(super) fn attach_datagram(&mut self, leg: Key, fd: OwnedFd, wildcard: bool) {
        self.attach(leg, Sock::Plain(fd.as_raw_fd()), Some(fd));
        let link = self.link(leg).expect("it was attached just now");
        link.datagram = true;
        link.wildcard = wildcard;
        link.wanted = true;
        self.arm(leg);
    }

    /// The link of a leg, or of a completion's tag.
    #[inline]
    pub(super) fn link(&mut self, leg: Key) -> Option<&mut Link> {
        self.links.get_mut(leg.slot).filter(|link| link.generation == leg.generation)
    }

    /// Has the processor fetch the link of a slot, if there is one.
    #[inline]
    pub(super) fn foresee(&self, slot: u32) {
        self.links.foresee(slot);
    }

    /// A submission of a leg.
    pub(super) fn push(&mut self, leg: Key, what: For, op: Op) {
        if let Some(link) = self.link(leg) {
            link.pending += 1;
        }
        self.ring.push(op, tag(what, leg));
    }

    /// Asks for the end of a submission of a leg.
    fn cancel(&mut self, leg: Key, what: For) {
        let op = match what {
            For::Receive | For::Poll => Op::Cancel(tag(what, leg)),
            _ => Op::CancelKept(tag(what, leg)),
        };
        let Some(sock) = self.link(leg).map(|link| link.sock) else { return };
        self.ring.push_at(sock, op, tag(For::Forgotten, leg));
    }

    /// Asks for the end of what a leg waits for bytes by.
    fn stop_receiving(&mut self, leg: Key) {
        let Some(link) = self.link(leg) else { return };
        link.receive = Receive::Stopping;
        let what = link.waits_by();
        self.cancel(leg, what);
    }

    /// A submission of a leg had its last completion. Says whether the leg is still in use by whom it was for.
    pub(super) fn done(&mut self, leg: Key) {
        let Some(link) = self.link(leg) else { return };
        link.pending -= 1;
        if link.pending == 0 && link.closing.is_some() {
            self.let_go(leg);
        }
    }

    /// Arms the receive of a leg if it is wanted and nothing stands against it.
    pub(super) fn arm(&mut self, leg: Key) {
        let limit = self.limit();
        let (rationed, parks, always) = (self.rationed, self.parks, self.always_parked);
        let Some(link) = self.links.get_mut(leg.slot).filter(|l| l.generation == leg.generation) else {
            return;
        };
        if link.wanted && link.receive == Receive::Idle && link.closing.is_none() && !link.is(Fact::Ended) {
            link.receive = Receive::Armed;
            link.wide = !rationed;
            let parked = always || link.is(Fact::Parked);
            let polls = !link.datagram && (parked || self.ring.only_polls(link.sock));
            link.set(Fact::Polls, polls);
            let (sock, what) = (link.sock, link.waits_by());
            let watch = parks && what == For::Receive && link.set(Fact::Watched, true);
            self.sated(leg);
            if watch {
                self.watched.push_back(leg);
            }
            let op = match what {
                For::Datagrams => Op::ReceiveDatagrams(sock),
                For::Poll => Op::Poll(sock),
                _ => Op::Receive { sock, limit },
            };
            self.push(leg, what, op);
        }
    }

    /// A leg's poll said something: fetches what is there. One that was parked and has become busy is received from as usual.
    /// Says whether it was.
    pub(super) fn readable(&mut self, leg: Key, events: i32, now_ms: u64) -> bool {
        let Some(link) = self.link(leg) else { return false };
        if events & linux::ring::HANG_UP != 0 {
            // It says so once, perhaps together with the last bytes.
            link.set(Fact::EndComes, true);
        }
        let heard = (now_ms / HEARD_MS) as u16;
        let busy = heard.wrapping_sub(std::mem::replace(&mut link.heard, heard)) < BUSY;
        let unparked = busy && link.set(Fact::Parked, false);
        if unparked && link.receive == Receive::Armed {
            self.stop_receiving(leg);
        }
        self.fetch(leg);
        unparked
    }

    /// Fetches what has come to a leg. Where others wait for a buffer, it waits behind them.
    pub(super) fn fetch(&mut self, leg: Key) {
        let Some(sock) = self.fetches_from(leg) else { return };
        let waits = !self.hungry.is_empty() && self.ring.only_polls(sock);
        match waits || !self.ring.can_fetch(sock) {
            true => self.hunger(leg),
            false => self.fetch_now(leg, sock),
        }
    }

    /// The socket of a leg from which something is to be fetched.
    fn fetches_from(&mut self, leg: Key) -> Option<Sock> {
        let link = self.link(leg)?;
        let none = !link.wanted || link.closing.is_some() || link.is(Fact::Ended) || link.is(Fact::Fetches);
        (!none).then_some(link.sock)
    }

    fn fetch_now(&mut self, leg: Key, sock: Sock) {
        let Some(link) = self.link(leg) else { return };
        link.set(Fact::Fetches, true);
        self.sated(leg);
        self.push(leg, For::Fetch, Op::Fetch(sock));
    }

    /// A fetch found no buffer.
    pub(super) fn hunger(&mut self, leg: Key) {
        let Some(link) = self.link(leg).filter(|link| !link.is(Fact::Hungry)) else { return };
        link.set(Fact::Hungry, true);
        let sock = link.sock;
        if !self.ring.only_polls(sock) {
            return self.starve(leg);
        }
        // Its bytes are announced, so nobody takes it for silent meanwhile; that it starves is for those who may wait for long.
        self.hungers += u64::from(!self.ring.can_fetch(sock));
        self.hungry.push_back(leg);
    }

    /// Fetches for those whose fetch found no buffer, as far as there are some by now.
    pub(super) fn feed(&mut self) {
        while let Some(&leg) = self.hungry.front() {
            if let Some(link) = self.link(leg) {
                let sock = link.sock;
                if !self.ring.can_fetch(sock) {
                    return;
                }
            }
            self.hungry.pop_front();
            if self.link(leg).is_some_and(|link| link.set(Fact::Hungry, false))
                && let Some(sock) = self.fetches_from(leg)
            {
                self.fetch_now(leg, sock);
            }
        }
    }

    /// A leg's stream has come to its end.
    pub(super) fn end(&mut self, leg: Key) {
        let Some(link) = self.link(leg) else { return };
        link.set(Fact::Ended, true);
        if link.receive == Receive::Armed {
            self.stop_receiving(leg);
        }
    }

    /// Lets a leg that has been idle wait by a poll from now on.
    pub(super) fn park(&mut self, leg: Key, now_ms: u64) {
        let Some(link) = self.link(leg) else { return };
        link.set(Fact::Watched, false);
        link.set(Fact::Parked, true);
        // As if it had been quiet for long.
        link.heard = ((now_ms / HEARD_MS) as u16).wrapping_sub(BUSY);
        self.stop_receiving(leg);
    }

    /// The ring has made a leg's socket: it connects.
    pub(super) fn made(&mut self, leg: Key, slot: u32) {
        let address = self.connecting.remove(&leg.slot);
        let Some(link) = self.link(leg) else { return };
        link.sock = Sock::Direct(slot);
        let (sock, closing) = (link.sock, link.closing.is_some());
        if let Some(address) = address.filter(|_| !closing) {
            self.push(leg, For::Connect, Op::Connect(sock, address));
        }
    }

    /// A receive found no buffer. It is armed again when some came back; from now on receives are limited, so that those
    /// that are armed do not take all that comes back while others starve.
    pub(super) fn starve(&mut self, leg: Key) {
        self.starved.push_back(leg);
        self.news.push_back(News::Starved(leg, true));
        if let Some(link) = self.link(leg) {
            link.starved = true;
        }
        self.limit = RECEIVE_BYTES;
    }

    /// A leg waits for no buffer any more: it is received from again, or nobody wants its bytes.
    pub(super) fn sated(&mut self, leg: Key) {
        if self.link(leg).is_some_and(|link| std::mem::take(&mut link.starved)) {
            self.news.push_back(News::Starved(leg, false));
        }
    }

    /// The byte limit of a receive that is armed now. The more legs starve the less each gets, so that the last of them and
    /// whoever comes after it wait for a few turns only.
    fn limit(&self) -> u32 {
        receive_limit(self.limit, self.starved.len(), self.rationed, self.ring.pool().buffer_bytes())
    }

    /// Nothing of a closing leg is in flight: its descriptor goes.
    fn let_go(&mut self, leg: Key) {
        let Some(link) = self.link(leg) else { return };
        let (sock, abort) = (link.sock, link.closing == Some(true));
        match link.fd.take() {
            Some(fd) if abort => drop(linux::net::set_linger_zero(&fd)),
            _ => {}
        }
        // Nobody is told twice, and late completions find nobody.
        link.generation = 0;
        if matches!(sock, Sock::Direct(slot) if slot != NO_SLOT) {
            if abort {
                // Done while it is submitted, so it comes before the close.
                self.ring.push(Op::LingerZero(sock), tag(For::Forgotten, leg));
            }
            self.ring.push(Op::Close(sock), tag(For::Forgotten, leg));
        }
        self.connecting.remove(&leg.slot);
        self.news.push_back(News::Closed(leg));
    }

    /// Sockets that hold buffers because their peers read slowly give them up: their sends are cancelled, what is left of
    /// them is copied and sent again. Oldest first, at most `most`.
    pub(super) fn reclaim(&mut self, most: usize) -> u64 {
        let mut reclaimed = 0;
        for index in 0..self.senders.len() {
            let leg = self.senders[index];
            if self.link(leg).is_none_or(|l| l.send != Send::Slow || !l.leases) {
                continue;
            }
            self.recall(leg);
            reclaimed += 1;
            if reclaimed == most as u64 {
                break;
            }
        }
        reclaimed
    }
}

/// See [`Driver::limit`]. `usual` and the result: 0 is none.
fn receive_limit(usual: u32, starved: usize, rationed: bool, buffer: u32) -> u32 {
    let usual = if usual == 0 { u32::MAX } else { usual };
    let share = match starved {
        0..=CROWD => usual,
        _ => usual.min(u32::try_from(RECEIVE_BYTES as usize * CROWD / starved).unwrap_or(usual)).max(buffer),
    };
    match if rationed { share.min(RATION_BUFFERS * buffer) } else { share } {
        u32::MAX => 0,
        limit => limit,
    }
}

pub(super) fn tag(what: For, leg: Key) -> Tag {
    Tag::new(what as u8, leg.slot, leg.generation)
}

impl<R: Ring> Port for Driver<R> {
    fn receive(&mut self, leg: Key, on: bool) {
        let Some(link) = self.link(leg) else { return };
        link.wanted = on;
        match link.receive {
            Receive::Idle if on => self.arm(leg),
            Receive::Armed if !on => self.stop_receiving(leg),
            _ => {}
        }
    }

    fn ration(&mut self, on: bool) {
        self.rationed = on;
    }

    fn narrow(&mut self, leg: Key) {
        let narrows = |link: &&mut Link| link.wide && link.waits_by() == For::Receive;
        let Some(link) = self.link(leg).filter(narrows) else { return };
        if link.receive == Receive::Armed {
            // It is armed again at its last completion.
            link.wide = false;
            self.stop_receiving(leg);
        }
    }

    fn send(&mut self, leg: Key, gather: Box<Gather>, zero_copy: bool) {
        let zero_copy = zero_copy && self.ring.can_send_zero_copy(&gather);
        let turn = self.turn;
        let link = self.link(leg).expect("a leg that sends has a socket");
        debug_assert!(link.send == Send::Idle, "one send of a leg is in flight at a time");
        link.send = Send::Fresh;
        link.turn = turn;
        link.leases = gather.chunks().iter().any(|chunk| chunk.is_lease());
        let sock = link.sock;
        if !std::mem::replace(&mut link.listed, true) {
            self.senders.push(leg);
        }
        let op = if zero_copy { Op::SendZeroCopy(sock, gather) } else { Op::Send(sock, gather) };
        self.push(leg, For::Send, op);
    }

    fn recall(&mut self, leg: Key) {
        let Some(link) = self.link(leg).filter(|l| matches!(l.send, Send::Fresh | Send::Slow)) else {
            return;
        };
        link.send = Send::Reclaimed;
        self.cancel(leg, For::Send);
    }

    fn send_to(&mut self, datagram: Datagram) {
        let Datagram { leg, peer, local, chunk } = datagram;
        let Some(link) = self.link(leg) else { return };
        // A socket that is bound to one address sends from it anyway, and finding the route for another costs.
        let (sock, local) = (link.sock, local.filter(|_| link.wildcard));
        if self.datagrams >= DATAGRAMS_MAX {
            self.datagrams_dropped += 1;
            return;
        }
        self.datagrams += 1;
        self.push(leg, For::SendTo, Op::SendTo { sock, peer, local, chunk });
    }

    fn finish(&mut self, leg: Key) {
        let Some(link) = self.link(leg) else { return };
        match &link.fd {
            // Done here: through the ring a shutdown always costs a worker thread.
            Some(fd) => drop(linux::net::shutdown_write(fd)),
            None => {
                let sock = link.sock;
                self.push(leg, For::Finish, Op::Shutdown(sock));
            }
        }
    }

    fn close(&mut self, leg: Key, abort: bool) {
        let Some(link) = self.link(leg) else {
            // A connect that got no socket.
            return self.news.push_back(News::Closed(leg));
        };
        link.closing = Some(abort);
        if link.pending == 0 {
            return self.let_go(leg);
        }
        // Each by its tag: to cancel all that a direct descriptor has in flight takes Linux 6.0. A shutdown and datagrams on
        // their way end by themselves; what else a plain descriptor has in flight is its connect.
        let receiving = matches!(link.receive, Receive::Armed | Receive::Stopping);
        let sending = link.send != Send::Idle;
        let known = u16::from(receiving) + u16::from(sending) + u16::from(link.is(Fact::Fetches));
        let others = link.pending > known;
        // A socket that is still being made has nothing to be cancelled, and no ring of its own.
        let made = !matches!(link.sock, Sock::Direct(NO_SLOT));
        let connecting = others && made && !link.datagram && (link.fd.is_some() || link.is(Fact::Connects));
        let receive = link.waits_by();
        for (what, in_flight) in [(receive, receiving), (For::Send, sending), (For::Connect, connecting)] {
            if in_flight {
                self.cancel(leg, what);
            }
        }
    }

    fn connect(&mut self, leg: Key, to: &Connect) {
        if to.from.is_none() && self.ring.has_sockets() {
            // Without `TCP_NODELAY`, which the others have (`net::connect_socket`): an option would be one more submission for each
            // connect. Only who holds many connections asks for such sockets (`Plan::ring_sockets`). It says less than a segment, in one send, and waits for the
            // answer, whose acknowledgement lets the next go (Nagle's rule, RFC 9293 section 3.7.4). What may be late, by the peer's
            // delayed acknowledgement, is a PING right behind a PONG, which no answer follows: once in hundreds of heartbeats.
            self.attach(leg, Sock::Direct(NO_SLOT), None);
            if let Some(link) = self.link(leg) {
                link.set(Fact::Connects, true);
            }
            self.connecting.insert(leg.slot, to.to);
            return self.push(leg, For::Socket, Op::Socket(to.to.is_ipv6()));
        }
        match linux::net::connect_socket(to.to, to.from) {
            Ok(fd) => {
                let sock = Sock::Plain(fd.as_raw_fd());
                self.attach(leg, sock, Some(fd));
                self.push(leg, For::Connect, Op::Connect(sock, to.to));
            }
            Err(error) => {
                self.news.push_back(News::Failed(leg, no_socket(&error)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_more_starve_the_less_each_gets_and_over_the_budget_nobody_gets_much() {
        const KIB: u32 = 1 << 10;
        for (usual, starved, rationed, limit) in [
            (0, 0, false, 0),
            (0, 0, true, 32 * KIB),
            (RECEIVE_BYTES, 64, false, RECEIVE_BYTES),
            (RECEIVE_BYTES, 128, false, RECEIVE_BYTES / 2),
            (RECEIVE_BYTES, 128, true, 32 * KIB),
            (RECEIVE_BYTES, 100_000, false, 16 * KIB),
            (RECEIVE_BYTES, 100_000, true, 16 * KIB),
        ] {
            assert_eq!(
                receive_limit(usual, starved, rationed, 16 * KIB),
                limit,
                "{usual} {starved} {rationed}"
            );
        }
    }
}

//! The sockets of one seat under an engine that is told which descriptors are ready: the seat's [`Port`].
//!
//! Acts at once and never waits. What it learns while it acts waits in `news` until the loop tells the seat. What cannot be
//! done now is noted, and its descriptor is watched until it can: nothing else is ever asked of the [`Watch`].

use crate::desk::Datagram;
use crate::engine::failure::{leg_error, no_socket};
use crate::io::Connect;
use crate::seat::Port;
use crate::service::LegError;
use crate::slab::Key;
use linux::net::{self, Read};
use linux::poll::{Event, Interest};
use linux::ring::Received;
use linux::{Chunk, Gather, Pool};
use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// How an engine learns which descriptors are ready. Level-triggered: what is ready and was not dealt with is told again.
pub(crate) trait Watch {
    /// System calls that a change makes.
    const CALLS_A_CHANGE: u64;
    /// Events of one wait, at most: who gets as many may not have all.
    const EVENTS_MAX: usize;

    /// Changes what is wanted of a descriptor, which is in the set exactly when anything was wanted of it. `token` comes back
    /// with its events.
    fn set(
        &mut self,
        fd: BorrowedFd<'_>,
        before: Interest,
        now: Interest,
        token: u64,
    ) -> Result<(), linux::Error>;
    /// Waits for events, at most `timeout_ns`; `None` is for ever.
    fn wait(&mut self, timeout_ns: Option<u64>, events: &mut Vec<Event>) -> Result<(), linux::Error>;
}

pub(crate) struct Sockets<W> {
    pub(crate) watch: W,
    pub(crate) pool: Pool,
    links: Vec<Link>,
    /// Legs whose descriptor is to be watched for something else than it is.
    changed: Vec<Key>,
    pub(crate) news: VecDeque<News>,
    /// Legs whose receive found no buffer, oldest first.
    starved: VecDeque<Key>,
    /// Legs with a send that did not go out whole: those that are new, and those that hold buffers.
    senders: Vec<Key>,
    /// How many legs have such a send.
    sending: usize,
    /// The seat holds more than its budget: receives bring little at a time.
    rationed: bool,
    /// Counts turns, modulo 256.
    pub(crate) turn: u8,
    /// Datagrams that wait for their socket, of all legs.
    waiting: usize,
    pub(crate) datagrams_dropped: u64,
    /// Bytes of datagrams that went out.
    pub(crate) datagram_bytes: u64,
    /// System calls that were made for legs.
    pub(crate) calls: u64,
}

/// What the seat is to be told.
pub(crate) enum News {
    Opened(Key),
    /// A part of a send went out; the rest waits for the socket.
    Moved(Key, usize),
    Sent(Key, Box<Gather>, Result<usize, LegError>),
    Failed(Key, LegError),
    Closed(Key),
    /// There is no buffer for what its peer sent; or there is one again.
    Starved(Key, bool),
}

/// What is known of one leg's descriptor.
#[derive(Default)]
struct Link {
    generation: u32,
    fd: Option<OwnedFd>,
    /// The seat wants bytes.
    wanted: bool,
    /// No bytes will come any more.
    over: bool,
    starved: bool,
    connecting: bool,
    datagram: bool,
    /// A datagram socket on the wildcard address: its answers must say where they come from.
    wildcard: bool,
    /// Stands in the list of changed legs.
    listed: bool,
    /// Its last receive filled a buffer: the next one is given several.
    wide: bool,
    /// It filled all that it was given: there may be more.
    full: bool,
    /// The turn in which the send was begun, modulo 256.
    turn: u8,
    slow: bool,
    watched: Interest,
    /// What is left of a send that did not go out whole.
    send: Option<Box<Gather>>,
    /// Datagrams that found the socket full.
    #[allow(clippy::box_collection, reason = "8 bytes in an idle connection instead of 32")]
    queue: Option<Box<VecDeque<Datagram>>>,
}

const _: () = assert!(size_of::<Link>() <= 40, "an idle connection is paid for a million times");

/// What one leg may receive in a turn before others get theirs, in buffers, and how many one call may fill: what is answered
/// at once goes out before the next are filled.
const SHARE: usize = 16;
const CALL_BUFFERS: usize = 4;
/// The same while the seat is over its budget.
const RATION: usize = 2;
/// Datagrams of one socket in a turn.
const DATAGRAMS_A_TURN: usize = 64;
/// Datagrams that wait for their sockets; further ones are dropped and counted.
const DATAGRAMS_MAX: usize = 1024;
/// A token that no leg has: its slot is above all that there can be.
pub(crate) const EVENT: u64 = u64::MAX;

/// The token of a leg's descriptor.
fn token(leg: Key) -> u64 {
    u64::from(leg.generation) << 32 | u64::from(leg.slot)
}

/// The leg that a token names.
pub(crate) fn leg_of(token: u64) -> Key {
    Key { slot: token as u32, generation: (token >> 32) as u32 }
}

/// What became of a leg's receive.
pub(crate) enum Taken {
    Bytes,
    Nothing,
    Eof,
    Failed(LegError),
}

impl<W: Watch> Sockets<W> {
    pub(crate) fn new(watch: W, pool: Pool) -> Sockets<W> {
        Sockets {
            watch,
            pool,
            links: Vec::new(),
            changed: Vec::new(),
            news: VecDeque::new(),
            starved: VecDeque::new(),
            senders: Vec::new(),
            sending: 0,
            rationed: false,
            turn: 0,
            waiting: 0,
            datagrams_dropped: 0,
            datagram_bytes: 0,
            calls: 0,
        }
    }

    /// Gives a leg its socket.
    pub(crate) fn attach(&mut self, leg: Key, fd: OwnedFd) {
        let slot = leg.slot as usize;
        if self.links.len() <= slot {
            self.links.resize_with(slot + 1, Link::default);
        }
        debug_assert!(self.links[slot].fd.is_none(), "a slot is used again only when its descriptor is gone");
        self.links[slot] = Link { generation: leg.generation, fd: Some(fd), ..Link::default() };
    }

    /// Gives a datagram leg its socket and receives on it.
    pub(crate) fn attach_datagram(&mut self, leg: Key, fd: OwnedFd, wildcard: bool) {
        self.attach(leg, fd);
        let link = &mut self.links[leg.slot as usize];
        (link.datagram, link.wildcard, link.wanted) = (true, wildcard, true);
        self.note(leg);
    }

    fn link(&mut self, leg: Key) -> Option<&mut Link> {
        self.links
            .get_mut(leg.slot as usize)
            .filter(|link| link.generation == leg.generation && link.fd.is_some())
    }

    /// Whether a leg still wants to receive, or to be told of datagrams.
    pub(crate) fn wants(&mut self, leg: Key) -> bool {
        self.link(leg).is_some_and(|link| link.wanted && !link.over && !link.starved && !link.connecting)
    }

    pub(crate) fn is_datagram(&mut self, leg: Key) -> bool {
        self.link(leg).is_some_and(|link| link.datagram)
    }

    /// How many buffers a leg may fill in a turn.
    pub(crate) fn share(&self) -> usize {
        if self.rationed { RATION } else { SHARE }
    }

    /// Whether another turn has work though nothing is ready. Who found no buffer in the turn in which sends took the last ones
    /// is relieved by the next, for which those are old enough to be called back; the peers of both may have no more to say.
    pub(crate) fn is_runnable(&self) -> bool {
        !self.news.is_empty() || !self.starved.is_empty() && !self.senders.is_empty()
    }

    /// Sends and the datagrams that wait, whose end is to come.
    pub(crate) fn in_flight(&self) -> u64 {
        (self.sending + self.waiting) as u64
    }

    /// Receives once on a leg, at most `most` buffers, into `pieces`.
    pub(crate) fn receive_some(&mut self, leg: Key, most: usize, pieces: &mut VecDeque<Chunk>) -> Taken {
        let Some(link) = self.links.get_mut(leg.slot as usize).filter(|l| l.generation == leg.generation)
        else {
            return Taken::Nothing;
        };
        let Some(fd) = link.fd.as_ref() else { return Taken::Nothing };
        // One buffer serves small messages; who filled it has more to say.
        let buffers = if link.wide { most.min(CALL_BUFFERS) } else { 1 };
        self.calls += 1;
        match net::receive(fd, &self.pool, buffers, pieces) {
            Ok(Read::Bytes(bytes)) => {
                let buffer = self.pool.buffer_bytes() as usize;
                (link.wide, link.full) = (bytes >= buffer, bytes >= buffers * buffer);
                Taken::Bytes
            }
            Ok(Read::Nothing) => Taken::Nothing,
            Ok(Read::NoBuffer) => {
                link.starved = true;
                self.starved.push_back(leg);
                self.news.push_back(News::Starved(leg, true));
                self.note(leg);
                Taken::Nothing
            }
            Ok(Read::Eof) => {
                link.over = true;
                self.note(leg);
                Taken::Eof
            }
            Err(error) => {
                link.over = true;
                self.note(leg);
                Taken::Failed(leg_error(&error))
            }
        }
    }

    /// Whether there may be more than a leg's last receive brought.
    pub(crate) fn is_full(&mut self, leg: Key) -> bool {
        self.link(leg).is_some_and(|link| link.full)
    }

    /// Receives the datagrams of a leg, at most a turn's share.
    pub(crate) fn receive_datagrams(&mut self, leg: Key, mut each: impl FnMut(&mut Sockets<W>, Received)) {
        for _ in 0..DATAGRAMS_A_TURN {
            let link = self.links.get(leg.slot as usize).filter(|link| link.generation == leg.generation);
            let Some(fd) = link.and_then(|link| link.fd.as_ref()) else { return };
            let received = net::receive_datagram(fd, &self.pool);
            self.calls += 1;
            match received {
                Ok(Some(received)) if !received.cut => each(self, received),
                Ok(Some(_)) => self.datagrams_dropped += 1,
                // Nothing there, no buffer (it is told again), or an error that passed: a refusal of an earlier answer.
                Ok(None) | Err(_) => return,
            }
        }
    }

    /// A leg's descriptor can be written to: its connect is decided, or what waits can go.
    pub(crate) fn writable(&mut self, leg: Key) {
        let Some(link) = self.link(leg) else { return };
        if link.connecting {
            link.connecting = false;
            let failed = link.fd.as_ref().map(net::so_error);
            let news = match failed {
                Some(Ok(None)) => News::Opened(leg),
                Some(Ok(Some(error))) => News::Failed(leg, leg_error(&error)),
                _ => News::Failed(leg, LegError::Reset),
            };
            self.calls += 1;
            self.news.push_back(news);
            return self.note(leg);
        }
        if link.send.is_some() {
            self.push_on(leg);
        }
        self.send_waiting(leg);
        self.note(leg);
    }

    /// Goes on with a send that did not go out whole.
    fn push_on(&mut self, leg: Key) {
        let Some(link) = self.link(leg) else { return };
        let (Some(fd), Some(gather)) = (link.fd.as_ref(), link.send.as_mut()) else { return };
        let result = net::send(fd, gather);
        match result {
            Ok(sent) if sent < gather.bytes() => {
                gather.advance(sent);
                self.news.push_back(News::Moved(leg, sent));
            }
            result => self.end_send(leg, result.map_err(|error| leg_error(&error))),
        }
        self.calls += 1;
    }

    /// Ends the send of a leg: the seat is told what went of what was left.
    fn end_send(&mut self, leg: Key, result: Result<usize, LegError>) {
        let Some(link) = self.link(leg) else { return };
        let Some(gather) = link.send.take() else { return };
        self.sending -= 1;
        self.news.push_back(News::Sent(leg, gather, result));
        self.note(leg);
    }

    /// Sends datagrams that found the socket full before.
    fn send_waiting(&mut self, leg: Key) {
        while let Some(link) = self.link(leg)
            && let Some(datagram) = link.queue.as_mut().and_then(|queue| queue.pop_front())
        {
            self.waiting -= 1;
            if let Some(datagram) = self.send_now(datagram) {
                let link = self.link(leg).expect("it was there just now");
                link.queue.get_or_insert_default().push_front(datagram);
                self.waiting += 1;
                return;
            }
        }
    }

    /// Sends one datagram; gives it back when the socket is full.
    fn send_now(&mut self, datagram: Datagram) -> Option<Datagram> {
        let link = self.link(datagram.leg)?;
        // A socket that is bound to one address sends from it anyway, and finding the route for another costs.
        let local = datagram.local.filter(|_| link.wildcard);
        let fd = link.fd.as_ref().expect("a link has a descriptor");
        let sent = net::send_datagram(fd, datagram.peer, local, &datagram.chunk);
        self.calls += 1;
        match sent {
            Ok(true) => self.datagram_bytes += datagram.chunk.len() as u64,
            Ok(false) => return Some(datagram),
            // A port that nobody listens on, an address that is not ours: a datagram may always be lost.
            Err(_) => self.datagrams_dropped += 1,
        }
        None
    }

    /// Has the descriptor of a leg looked at before the next wait.
    fn note(&mut self, leg: Key) {
        let Some(link) = self.link(leg) else { return };
        if !std::mem::replace(&mut link.listed, true) {
            self.changed.push(leg);
        }
    }

    /// Brings the watch up to date. A descriptor of which nothing is wanted is not watched at all: one whose peer is gone would
    /// be told of for ever.
    pub(crate) fn settle(&mut self) {
        while let Some(leg) = self.changed.pop() {
            let Some(link) =
                self.links.get_mut(leg.slot as usize).filter(|link| link.generation == leg.generation)
            else {
                continue;
            };
            link.listed = false;
            let Some(fd) = &link.fd else { continue };
            let read = link.wanted && !link.over && !link.starved && !link.connecting;
            let queued = link.queue.as_ref().is_some_and(|queue| !queue.is_empty());
            let now = Interest { read, write: link.connecting || link.send.is_some() || queued };
            if now == link.watched {
                continue;
            }
            let before = std::mem::replace(&mut link.watched, now);
            self.calls += W::CALLS_A_CHANGE;
            if self.watch.set(fd.as_fd(), before, now, token(leg)).is_err() {
                // There is no memory, or no watch left for this user: the leg cannot be served.
                link.watched = Interest::default();
                self.news.push_back(News::Failed(leg, LegError::NoRoom));
            }
        }
    }

    /// Looks after buffers: `slow` is called for each leg whose send outlived its turn; when buffers are short, sends that hold
    /// some are called back; legs that found none are watched again when some came back. Says how many were called back.
    pub(crate) fn relieve(&mut self, mut slow: impl FnMut(Key)) -> u64 {
        let (lent, count) = (self.pool.lent(), self.pool.count());
        let pressed = lent > count / 2 && (lent > count / 4 * 3 || !self.starved.is_empty());
        let most = if pressed { (count as u64 / 8).max(1) } else { 0 };
        let (turn, mut reclaimed) = (self.turn, 0);
        // Nobody looks through all slow readers each turn: only those stay that are fresh or hold buffers.
        let mut senders = std::mem::take(&mut self.senders);
        senders.retain(|&leg| {
            let Some(link) = self.link(leg).filter(|link| link.send.is_some()) else { return false };
            if link.turn == turn {
                return true;
            }
            if !std::mem::replace(&mut link.slow, true) {
                slow(leg);
            }
            let holds = link.send.as_ref().is_some_and(|gather| gather.chunks().iter().any(Chunk::is_lease));
            if holds && reclaimed < most {
                reclaimed += 1;
                self.recall(leg);
                return false;
            }
            holds
        });
        // What was called back is sent again when the seat is told, which adds to the list.
        debug_assert!(self.senders.is_empty());
        self.senders = senders;
        let mut free = (count - lent) as usize;
        while free > 0
            && let Some(leg) = self.starved.pop_front()
        {
            // Those that went, or are not wanted, take no share.
            let Some(link) = self.link(leg) else { continue };
            link.starved = false;
            free -= usize::from(link.wanted);
            self.news.push_back(News::Starved(leg, false));
            self.note(leg);
        }
        reclaimed
    }
}

impl<W: Watch> Port for Sockets<W> {
    fn receive(&mut self, leg: Key, on: bool) {
        if let Some(link) = self.link(leg) {
            link.wanted = on;
            self.note(leg);
        }
    }

    fn ration(&mut self, on: bool) {
        self.rationed = on;
    }

    fn narrow(&mut self, _: Key) {
        // A receive is one call, and the next one is as small as it is to be.
    }

    fn send(&mut self, leg: Key, mut gather: Box<Gather>, _: bool) {
        let turn = self.turn;
        let link = self.link(leg).expect("a leg that sends has a socket");
        debug_assert!(link.send.is_none(), "one send of a leg is in flight at a time");
        (link.turn, link.slow) = (turn, false);
        let whole = gather.bytes();
        let result = net::send(link.fd.as_ref().expect("a link has a descriptor"), &mut gather);
        self.calls += 1;
        match result {
            Ok(sent) if sent == whole => self.news.push_back(News::Sent(leg, gather, Ok(sent))),
            Ok(sent) => {
                gather.advance(sent);
                let link = self.link(leg).expect("it was there just now");
                link.send = Some(gather);
                self.sending += 1;
                self.senders.push(leg);
                self.news.push_back(News::Moved(leg, sent));
                self.note(leg);
            }
            Err(error) => self.news.push_back(News::Sent(leg, gather, Err(leg_error(&error)))),
        }
    }

    fn recall(&mut self, leg: Key) {
        self.end_send(leg, Ok(0));
    }

    fn send_to(&mut self, datagram: Datagram) {
        let leg = datagram.leg;
        let Some(link) = self.link(leg) else { return };
        let behind = link.queue.as_ref().is_some_and(|queue| !queue.is_empty());
        let Some(datagram) = (if behind { Some(datagram) } else { self.send_now(datagram) }) else { return };
        if self.waiting >= DATAGRAMS_MAX {
            self.datagrams_dropped += 1;
            return;
        }
        self.waiting += 1;
        let link = self.link(leg).expect("it was there just now");
        link.queue.get_or_insert_default().push_back(datagram);
        self.note(leg);
    }

    fn finish(&mut self, leg: Key) {
        if let Some(fd) = self.link(leg).and_then(|link| link.fd.as_ref()) {
            drop(net::shutdown_write(fd));
            self.calls += 1;
        }
    }

    fn close(&mut self, leg: Key, abort: bool) {
        self.end_send(leg, Ok(0));
        if let Some(link) = self.link(leg) {
            let queued = link.queue.take().map_or(0, |queue| queue.len());
            let fd = link.fd.take().expect("a link has a descriptor");
            let watched = std::mem::take(&mut link.watched);
            // Closing would take it out of the set by itself, unless somebody had duplicated it; a list must be told.
            if !watched.is_none() {
                let _ = self.watch.set(fd.as_fd(), watched, Interest::default(), token(leg));
            }
            if abort {
                drop(net::set_linger_zero(&fd));
            }
            self.waiting -= queued;
            self.datagrams_dropped += queued as u64;
            self.calls += 1;
        }
        self.news.push_back(News::Closed(leg));
    }

    fn connect(&mut self, leg: Key, to: &Connect) {
        let fd = match net::connect_socket(to.to, to.from) {
            Ok(fd) => fd,
            Err(error) => return self.news.push_back(News::Failed(leg, no_socket(&error))),
        };
        match net::connect_start(&fd, to.to) {
            Ok(true) => {
                self.attach(leg, fd);
                self.news.push_back(News::Opened(leg));
            }
            Ok(false) => {
                self.attach(leg, fd);
                self.links[leg.slot as usize].connecting = true;
                self.note(leg);
            }
            Err(error) => self.news.push_back(News::Failed(leg, leg_error(&error))),
        }
        self.calls += 2;
    }
}

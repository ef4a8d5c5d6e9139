//! The sockets of one seat under glommio: the seat's [`Port`].
//!
//! Acts at once and never waits. A stream is glommio's, and is read and written by its `poll_read` and `poll_write`: where they
//! have nothing to do, glommio polls the descriptor and wakes the leg's task, whose waker stands here. What is learned meanwhile
//! waits in `news` until the seat is told. Every call must be made inside the executor that the streams were made in.

use crate::desk::Datagram;
use crate::engine::failure::{leg_error, no_socket};
use crate::engine::sockets::News;
use crate::io::Connect;
use crate::seat::Port;
use crate::service::LegError;
use crate::slab::Key;
use futures_lite::io::{AsyncRead, AsyncWrite};
use glommio::net::{TcpStream, UdpSocket};
use linux::{Chunk, Gather, Lease, Pool, net};
use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

pub(super) struct Streams {
    pub(super) pool: Pool,
    links: Vec<Link>,
    pub(super) news: VecDeque<News>,
    /// Legs that have a socket and no task yet.
    pub(super) born: Vec<Key>,
    /// Legs to be heard after the next look at the kernel: they had their share, or may receive again.
    again: Vec<Key>,
    /// Legs whose receive found no buffer, oldest first.
    starved: VecDeque<Key>,
    /// Legs with a send that did not go out whole: those that are new, and those that hold buffers.
    senders: Vec<Key>,
    /// How many legs have such a send.
    sending: usize,
    /// The seat holds more than its budget: receives bring little at a time.
    rationed: bool,
    /// Counts turns, modulo 256.
    pub(super) turn: u8,
    /// Datagrams that wait to be sent, of all legs.
    waiting: usize,
    pub(super) datagrams_dropped: u64,
    /// Bytes of datagrams that went out.
    pub(super) datagram_bytes: u64,
    /// System calls that this engine made by itself; glommio tells nobody of its own.
    pub(super) calls: u64,
}

/// What is known of one leg's socket.
#[derive(Default)]
struct Link {
    generation: u32,
    socket: Socket,
    /// What its task is woken by; none before it ran for the first time.
    task: Option<Waker>,
    /// The seat wants bytes.
    wanted: bool,
    /// No bytes will come any more.
    over: bool,
    starved: bool,
    connecting: bool,
    /// The turn in which the send was begun, modulo 256.
    turn: u8,
    slow: bool,
    /// What is left of a send that did not go out whole.
    send: Option<Box<Gather>>,
}

#[derive(Default)]
enum Socket {
    #[default]
    None,
    Stream(TcpStream),
    Datagram(Box<Datagrams>),
}

/// A datagram socket, and what is to be sent by it.
struct Datagrams {
    socket: Rc<UdpSocket>,
    queue: VecDeque<Datagram>,
}

/// What became of a leg's receive.
pub(super) enum Taken {
    Bytes(Lease),
    Nothing,
    Eof,
    Failed(LegError),
}

/// What one leg may receive in a turn before others get theirs, in buffers.
const SHARE: usize = 16;
/// The same while the seat is over its budget.
const RATION: usize = 2;
/// Datagrams that wait for their sockets; further ones are dropped and counted.
const DATAGRAMS_MAX: usize = 1024;

impl Streams {
    pub(super) fn new(pool: Pool) -> Streams {
        Streams {
            pool,
            links: Vec::new(),
            news: VecDeque::new(),
            born: Vec::new(),
            again: Vec::new(),
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

    /// Gives a leg its stream; its task is to be spawned.
    pub(super) fn attach(&mut self, leg: Key, stream: TcpStream) {
        self.place(leg, Socket::Stream(stream));
    }

    /// Gives a datagram leg its socket; its task is to be spawned.
    pub(super) fn attach_datagram(&mut self, leg: Key, fd: OwnedFd) {
        let socket = Rc::new(net::adopt(fd));
        self.place(leg, Socket::Datagram(Box::new(Datagrams { socket, queue: VecDeque::new() })));
    }

    fn place(&mut self, leg: Key, socket: Socket) {
        let slot = leg.slot as usize;
        if self.links.len() <= slot {
            self.links.resize_with(slot + 1, Link::default);
        }
        debug_assert!(
            matches!(self.links[slot].socket, Socket::None),
            "a slot is used again only when its socket is gone"
        );
        self.links[slot] = Link { generation: leg.generation, socket, ..Link::default() };
        self.born.push(leg);
    }

    fn link(&mut self, leg: Key) -> Option<&mut Link> {
        self.links
            .get_mut(leg.slot as usize)
            .filter(|link| link.generation == leg.generation && !matches!(link.socket, Socket::None))
    }

    /// The task of a leg runs: it will be woken by `cx` from now on. `false` when the leg has gone, and the task ends.
    pub(super) fn attend(&mut self, leg: Key, cx: &Context<'_>) -> bool {
        let Some(link) = self.link(leg) else { return false };
        if !link.task.as_ref().is_some_and(|task| task.will_wake(cx.waker())) {
            link.task = Some(cx.waker().clone());
        }
        true
    }

    /// The socket of a datagram leg.
    pub(super) fn datagrams(&mut self, leg: Key) -> Option<Rc<UdpSocket>> {
        match &self.link(leg)?.socket {
            Socket::Datagram(datagrams) => Some(datagrams.socket.clone()),
            _ => None,
        }
    }

    fn wake(&mut self, leg: Key) {
        if let Some(task) = self.link(leg).and_then(|link| link.task.as_ref()) {
            task.wake_by_ref();
        }
    }

    /// Whether a leg wants to receive, and may.
    pub(super) fn wants(&mut self, leg: Key) -> bool {
        self.link(leg).is_some_and(|link| link.wanted && !link.over && !link.starved && !link.connecting)
    }

    /// How many buffers a leg may fill in a turn.
    pub(super) fn share(&self) -> usize {
        if self.rationed { RATION } else { SHARE }
    }

    /// The leg is to be heard again, behind all that the kernel has to tell by then.
    pub(super) fn go_on(&mut self, leg: Key) {
        self.again.push(leg);
    }

    /// The kernel was looked at: those who waited for that are heard.
    pub(super) fn resume(&mut self) {
        let mut again = std::mem::take(&mut self.again);
        again.drain(..).for_each(|leg| self.wake(leg));
        self.again = again;
    }

    /// Whether there is something to do though nothing happens.
    pub(super) fn is_runnable(&self) -> bool {
        // Who found no buffer in the turn in which sends took the last ones is relieved by the next turn, for which those are
        // old enough to be called back; the peers of both may have no more to say until then.
        let relieves = !self.starved.is_empty() && !self.senders.is_empty();
        relieves || !self.news.is_empty() || !self.again.is_empty() || !self.born.is_empty()
    }

    /// Sends and the datagrams that wait, whose end is to come.
    pub(super) fn in_flight(&self) -> u64 {
        (self.sending + self.waiting) as u64
    }

    /// Receives once on a leg; where nothing is there, its task is woken when something is.
    pub(super) fn receive_some(&mut self, leg: Key, cx: &mut Context<'_>) -> Taken {
        let Some(link) = self.links.get_mut(leg.slot as usize).filter(|l| l.generation == leg.generation)
        else {
            return Taken::Nothing;
        };
        let Socket::Stream(stream) = &mut link.socket else { return Taken::Nothing };
        let read = self.pool.fill_with(|room| match Pin::new(stream).poll_read(cx, room) {
            Poll::Ready(read) => read.map_err(Some),
            Poll::Pending => Err(None),
        });
        match read {
            Some(Ok(Some(lease))) => Taken::Bytes(lease),
            Some(Err(None)) => Taken::Nothing,
            None => {
                link.starved = true;
                self.starved.push_back(leg);
                self.news.push_back(News::Starved(leg, true));
                Taken::Nothing
            }
            Some(Ok(None)) => {
                link.over = true;
                Taken::Eof
            }
            Some(Err(Some(error))) => {
                link.over = true;
                Taken::Failed(leg_error(&error))
            }
        }
    }

    /// The task of a leg was woken: its connect may be decided, or what waits can go.
    pub(super) fn writable(&mut self, leg: Key, cx: &mut Context<'_>) {
        let Some(link) = self.link(leg) else { return };
        if link.connecting {
            // A socket that still connects takes no bytes, not even none of them; when it is decided it says how.
            let Socket::Stream(stream) = &mut link.socket else { return };
            let Poll::Ready(decided) = Pin::new(stream).poll_write(cx, &[]) else { return };
            link.connecting = false;
            let news = match decided {
                Ok(_) => News::Opened(leg),
                Err(error) => News::Failed(leg, leg_error(&error)),
            };
            return self.news.push_back(news);
        }
        if let Some(gather) = link.send.take() {
            self.sending -= 1;
            self.push(leg, gather, cx);
        }
    }

    /// Sends what the socket takes of `gather`, a chunk at a time: glommio's stream knows no vector. What is left stays with the
    /// leg, whose task is woken when the socket takes more.
    fn push(&mut self, leg: Key, mut gather: Box<Gather>, cx: &mut Context<'_>) {
        let link = self.link(leg).expect("a leg that sends has a socket");
        let Socket::Stream(stream) = &mut link.socket else { return };
        let mut moved = 0;
        let result = loop {
            let Some(chunk) = gather.chunks().iter().find(|chunk| !chunk.is_empty()) else { break Ok(true) };
            match Pin::new(&mut *stream).poll_write(cx, chunk) {
                Poll::Ready(Ok(sent)) => {
                    moved += sent;
                    gather.advance(sent);
                }
                Poll::Ready(Err(error)) => break Err(leg_error(&error)),
                Poll::Pending => break Ok(false),
            }
        };
        match result {
            Ok(true) => self.news.push_back(News::Sent(leg, gather, Ok(moved))),
            Ok(false) => {
                link.send = Some(gather);
                self.sending += 1;
                self.news.push_back(News::Moved(leg, moved));
            }
            Err(error) => self.news.push_back(News::Sent(leg, gather, Err(error))),
        }
    }

    /// Ends the send of a leg: the seat is told that no more went of what was left.
    fn end_send(&mut self, leg: Key) {
        let Some(link) = self.link(leg) else { return };
        let Some(gather) = link.send.take() else { return };
        self.sending -= 1;
        self.news.push_back(News::Sent(leg, gather, Ok(0)));
    }

    /// The next datagram that a leg is to send.
    pub(super) fn next_datagram(&mut self, leg: Key) -> Option<Datagram> {
        let Socket::Datagram(datagrams) = &mut self.link(leg)?.socket else { return None };
        let datagram = datagrams.queue.pop_front()?;
        self.waiting -= 1;
        Some(datagram)
    }

    /// Looks after buffers: `slow` is called for each leg whose send outlived its turn; when buffers are short, sends that hold
    /// some are called back; legs that found none are heard again when some came back. Says how many were called back.
    pub(super) fn relieve(&mut self, mut slow: impl FnMut(Key)) -> u64 {
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
                self.end_send(leg);
                return false;
            }
            holds
        });
        debug_assert!(self.senders.is_empty(), "what was called back is sent again when the seat is told");
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
            self.again.push(leg);
        }
        reclaimed
    }

    /// Makes the stream of a leg that connects.
    fn begin_connect(&mut self, leg: Key, to: &Connect) -> Result<(), LegError> {
        let fd = net::connect_socket(to.to, to.from).map_err(|error| no_socket(&error))?;
        let connected = net::connect_start(&fd, to.to).map_err(|error| leg_error(&error))?;
        self.attach(leg, net::adopt(fd));
        if connected {
            self.news.push_back(News::Opened(leg));
        }
        self.links[leg.slot as usize].connecting = !connected;
        Ok(())
    }
}

impl Port for Streams {
    fn receive(&mut self, leg: Key, on: bool) {
        if let Some(link) = self.link(leg) {
            link.wanted = on;
        }
        if on {
            self.go_on(leg);
        }
    }

    fn ration(&mut self, on: bool) {
        self.rationed = on;
    }

    fn narrow(&mut self, _: Key) {
        // A receive is one call, and the next one is as small as it is to be.
    }

    fn send(&mut self, leg: Key, gather: Box<Gather>, _: bool) {
        let turn = self.turn;
        let link = self.link(leg).expect("a leg that sends has a socket");
        debug_assert!(link.send.is_none(), "one send of a leg is in flight at a time");
        (link.turn, link.slow) = (turn, false);
        // One whose task has not run yet is written to all the same: its first run goes on with the rest.
        let task = link.task.clone().unwrap_or_else(|| Waker::noop().clone());
        self.push(leg, gather, &mut Context::from_waker(&task));
        if self.link(leg).is_some_and(|link| link.send.is_some()) {
            self.senders.push(leg);
        }
    }

    fn recall(&mut self, leg: Key) {
        self.end_send(leg);
    }

    fn send_to(&mut self, datagram: Datagram) {
        let (leg, full) = (datagram.leg, self.waiting >= DATAGRAMS_MAX);
        let Some(Link { socket: Socket::Datagram(datagrams), .. }) = self.link(leg) else { return };
        if full {
            self.datagrams_dropped += 1;
            return;
        }
        datagrams.queue.push_back(datagram);
        self.waiting += 1;
        self.wake(leg);
    }

    fn finish(&mut self, leg: Key) {
        if let Some(Link { socket: Socket::Stream(stream), .. }) = self.link(leg) {
            drop(net::shutdown_write(net::borrow(stream)));
            self.calls += 1;
        }
    }

    fn close(&mut self, leg: Key, abort: bool) {
        self.end_send(leg);
        // The task finds its leg gone and ends.
        self.wake(leg);
        if let Some(link) = self.link(leg) {
            let socket = std::mem::take(&mut link.socket);
            link.task = None;
            match &socket {
                // Best effort: a peer that hears an end instead of a reset is as gone.
                Socket::Stream(stream) if abort => drop(net::set_linger_zero(net::borrow(stream))),
                Socket::Datagram(datagrams) => {
                    self.waiting -= datagrams.queue.len();
                    self.datagrams_dropped += datagrams.queue.len() as u64;
                }
                _ => {}
            }
            self.calls += 1;
        }
        self.news.push_back(News::Closed(leg));
    }

    fn connect(&mut self, leg: Key, to: &Connect) {
        if let Err(error) = self.begin_connect(leg, to) {
            self.news.push_back(News::Failed(leg, error));
        }
        self.calls += 2;
    }
}

//! The simulated network: the queue of what happens when, and stream sockets with windows.
//!
//! Knows neither seats nor peers: a socket has an owner, who is told by whoever runs the queue. Bytes keep their order on
//! each way; everything else (where they are cut, how long they take, when the connection breaks) is the seed's choice.

use super::faults::Faults;
use super::queue::Queue;
use super::trace::{Trace, Who};
use crate::random::Random;
use crate::service::LegError;
use crate::slab::Key;
use std::collections::VecDeque;
use std::net::SocketAddr;

pub(super) struct Net {
    /// Nanoseconds since the run began.
    pub(super) now: u64,
    pub(super) random: Random,
    pub(super) faults: Faults,
    pub(super) trace: Trace,
    /// How many happened.
    pub(super) events: u64,
    queue: Queue<Event>,
    sockets: Vec<Socket>,
    /// Where stations are.
    pub(super) stations: Vec<SocketAddr>,
}

/// Position of a socket in the run; never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SocketId(u32);

/// Who is told what happens to a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    Leg(u16, Key),
    Peer(u32),
    /// Waits in the backlog of this seat.
    Backlog(u16),
}

/// What is due at some time.
#[derive(Debug)]
pub(super) enum Event {
    /// Bytes reach a socket.
    Bytes(SocketId, Vec<u8>),
    /// The other side's FIN reaches it.
    Fin(SocketId),
    /// A reset reaches it.
    Reset(SocketId),
    /// The network breaks its connection, both ways.
    Break(SocketId),
    /// There is room for more of what it sends.
    Room(SocketId),
    /// A connect reaches an address.
    Knock(SocketId, SocketAddr),
    /// The answer to a connect.
    Answer(SocketId, Result<(), LegError>),
    /// A client begins.
    Begin(u32),
    /// A peer looks at what it received.
    Read(u32),
    /// A peer's timer.
    PeerTimer(u32),
    /// A seat's turn.
    Turn(u16),
    /// The kernel let go of a leg.
    Gone(u16, Key),
    /// A send of a leg, by its number, ends.
    SendEnds(u16, Key, u64, Result<usize, LegError>),
    /// A datagram reaches a listener (by its position): a piece of the datagram plan.
    Datagram(usize),
    /// A station begins.
    StationBegins(u32),
    /// What it waited for last, by number.
    StationTimer(u32, u64),
    /// A datagram of a station reaches its listener.
    ToListener(u32, Vec<u8>),
    /// A datagram reaches a station.
    ToStation(u32, Vec<u8>),
    /// All seats are told to drain.
    Drain,
}

/// One end of a stream connection.
pub(super) struct Socket {
    pub(super) owner: Owner,
    other: Option<SocketId>,
    /// Arrived and unread.
    pub(super) received: VecDeque<u8>,
    /// Most bytes that may be unread or on their way here.
    window: u32,
    flying: u32,
    /// When the last of what flies here arrives: bytes do not overtake each other.
    arrival: u64,
    pub(super) fin_sent: bool,
    pub(super) fin_got: bool,
    /// It is dead: nothing can be sent or received.
    pub(super) reset: bool,
    /// Its owner let go of it.
    pub(super) closed: bool,
    /// Its owner has bytes that did not fit.
    wants_room: bool,
    /// A fault or a drain broke this connection: its peer cannot expect a good end.
    pub(super) harmed: bool,
}

const WINDOW: u32 = 64 << 10;
// A million connections have two million of them.
const _: () = assert!(size_of::<Socket>() <= 80);

impl Net {
    pub(super) fn new(seed: u64, faults: Faults) -> Net {
        let (random, trace) = (Random::new(seed), Trace::default());
        Net {
            now: 0,
            random,
            faults,
            trace,
            events: 0,
            queue: Queue::new(),
            sockets: Vec::new(),
            stations: Vec::new(),
        }
    }

    pub(super) fn at(&mut self, at: u64, event: Event) {
        self.queue.push(at.max(self.now), event);
    }

    pub(super) fn after(&mut self, ns: u64, event: Event) {
        self.at(self.now + ns, event);
    }

    /// The next event; the clock jumps to it.
    pub(super) fn next(&mut self) -> Option<Event> {
        let (at, event) = self.queue.pop()?;
        self.now = at;
        self.events += 1;
        Some(event)
    }

    pub(super) fn note(&mut self, who: Who, what: &'static str, n: u64) {
        self.trace.note(self.now, who, what, n);
    }

    /// Rolls the dice for a fault.
    pub(super) fn fault(&mut self, probability: f64) -> bool {
        probability > 0.0 && self.random.chance(probability)
    }

    /// A datagram sets out: it may be lost, come twice, and be overtaken.
    pub(super) fn datagram(&mut self, bytes: Vec<u8>, event: impl Fn(Vec<u8>) -> Event) {
        if self.fault(self.faults.datagram_lost) {
            return;
        }
        if self.fault(self.faults.datagram_twice) {
            let after = self.latency();
            self.after(after, event(bytes.clone()));
        }
        let after = self.latency();
        self.after(after, event(bytes));
    }

    /// How long something takes on its way.
    pub(super) fn latency(&mut self) -> u64 {
        if self.fault(self.faults.delay) {
            return self.random.below(20_000_000);
        }
        10_000 + self.random.below(40_000)
    }

    /// A socket that is not connected yet.
    pub(super) fn open(&mut self, owner: Owner) -> SocketId {
        let small = self.fault(self.faults.small_window);
        let window = if small { 100 + self.random.below(2900) as u32 } else { WINDOW };
        self.sockets.push(Socket {
            owner,
            other: None,
            received: VecDeque::new(),
            window,
            flying: 0,
            arrival: 0,
            fin_sent: false,
            fin_got: false,
            reset: false,
            closed: false,
            wants_room: false,
            harmed: false,
        });
        SocketId(self.sockets.len() as u32 - 1)
    }

    pub(super) fn link(&mut self, a: SocketId, b: SocketId) {
        self.socket_mut(a).other = Some(b);
        self.socket_mut(b).other = Some(a);
        if self.fault(self.faults.reset) {
            let when = self.random.below(50_000_000);
            self.after(when, Event::Break(a));
        }
    }

    pub(super) fn socket(&self, id: SocketId) -> &Socket {
        &self.sockets[id.0 as usize]
    }

    pub(super) fn socket_mut(&mut self, id: SocketId) -> &mut Socket {
        &mut self.sockets[id.0 as usize]
    }

    /// The peer at the other end, if there is one and it is no leg.
    pub(super) fn far_peer(&self, id: SocketId) -> Option<u32> {
        match self.socket(self.socket(id).other?).owner {
            Owner::Peer(peer) => Some(peer),
            _ => None,
        }
    }

    /// Sends what fits into the other side's window; what does not is the owner's to send after [`Event::Room`].
    pub(super) fn send(&mut self, id: SocketId, bytes: &[u8]) -> Result<usize, LegError> {
        let socket = self.socket(id);
        assert!(!socket.closed && !socket.fin_sent, "sent after its own end");
        let Some(other) = socket.other.filter(|_| !socket.reset) else { return Err(LegError::Reset) };
        let far = self.socket(other);
        let taken = far.received.len() + far.flying as usize;
        let room = if far.closed { bytes.len() } else { (far.window as usize).saturating_sub(taken) };
        let fits = bytes.len().min(room);
        let mut from = 0;
        while from < fits {
            let rest = fits - from;
            let part =
                if self.fault(self.faults.cut) { 1 + self.random.below(rest as u64) as usize } else { rest };
            let at = self.arrival(other);
            self.socket_mut(other).flying += part as u32;
            self.at(at, Event::Bytes(other, bytes[from..from + part].to_vec()));
            from += part;
        }
        self.socket_mut(id).wants_room = fits < bytes.len();
        Ok(fits)
    }

    /// Sends FIN behind the bytes.
    pub(super) fn finish(&mut self, id: SocketId) {
        let socket = self.socket_mut(id);
        if std::mem::replace(&mut socket.fin_sent, true) || socket.reset {
            return;
        }
        if let Some(other) = socket.other {
            let at = self.arrival(other);
            self.at(at, Event::Fin(other));
        }
    }

    /// The owner lets go. As in Linux, what it left unread turns its end into a reset (RFC 9293, section 3.10.4, and
    /// RFC 2525, section 2.17), and so do bytes that arrive later.
    pub(super) fn close(&mut self, id: SocketId, abort: bool) {
        let socket = self.socket_mut(id);
        if std::mem::replace(&mut socket.closed, true) || socket.reset {
            return;
        }
        if abort || !socket.received.is_empty() {
            if let Some(other) = socket.other {
                let after = self.latency();
                self.after(after, Event::Reset(other));
            }
        } else {
            self.finish(id);
        }
    }

    /// Bytes arrive. Says whether the owner is to be told.
    pub(super) fn bytes(&mut self, id: SocketId, bytes: Vec<u8>) -> bool {
        let socket = self.socket_mut(id);
        socket.flying -= bytes.len() as u32;
        if socket.closed {
            let other = socket.other.expect("bytes came over a connection");
            let after = self.latency();
            self.after(after, Event::Reset(other));
            return false;
        }
        if !socket.reset {
            append(&mut socket.received, bytes);
        }
        !socket.reset
    }

    /// FIN arrives. Says whether the owner is to be told.
    pub(super) fn fin(&mut self, id: SocketId) -> bool {
        let socket = self.socket_mut(id);
        socket.fin_got = true;
        !socket.closed && !socket.reset
    }

    /// A reset arrives: what was not read is lost. Says whether the owner is to be told.
    pub(super) fn reset(&mut self, id: SocketId) -> bool {
        let socket = self.socket_mut(id);
        let news = !socket.closed && !socket.reset;
        socket.reset = true;
        socket.received.clear();
        news
    }

    /// The network breaks a connection. Gives the other end.
    pub(super) fn harm(&mut self, id: SocketId) -> Option<SocketId> {
        let other = self.socket(id).other;
        for end in [Some(id), other].into_iter().flatten() {
            self.socket_mut(end).harmed = true;
        }
        other
    }

    /// From here on no peer can expect a good end.
    pub(super) fn harm_all(&mut self) {
        self.sockets.iter_mut().for_each(|socket| socket.harmed |= !socket.closed && !socket.reset);
    }

    /// Reads at most `most` bytes.
    pub(super) fn read(&mut self, id: SocketId, most: usize) -> Vec<u8> {
        let socket = self.socket_mut(id);
        let n = socket.received.len().min(most);
        let bytes = if n == socket.received.len() {
            // With its memory: a socket without bytes has none.
            std::mem::take(&mut socket.received).into()
        } else {
            socket.received.drain(..n).collect()
        };
        let other = socket.other;
        if let Some(other) = other.filter(|other| n > 0 && self.socket(*other).wants_room) {
            self.socket_mut(other).wants_room = false;
            let after = self.latency();
            self.after(after, Event::Room(other));
        }
        bytes
    }

    fn arrival(&mut self, to: SocketId) -> u64 {
        let at = self.now + self.latency();
        let socket = self.socket_mut(to);
        socket.arrival = socket.arrival.max(at);
        socket.arrival
    }
}

/// Puts bytes behind others, and moves them where there are none.
pub(super) fn append(queue: &mut VecDeque<u8>, bytes: Vec<u8>) {
    if queue.is_empty() {
        *queue = bytes.into();
    } else {
        queue.extend(bytes);
    }
}

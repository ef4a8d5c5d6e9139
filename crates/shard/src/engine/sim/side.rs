//! The kernel's half of one seat: what was begun for its legs, and the completions that wait for its next turn.
//!
//! Behaves like the ring, at its worst: bytes come after a stop, sends end short, a closed leg lingers. It never calls the
//! seat; what it learns waits in `done`.

use super::net::{Event, Net, Owner, SocketId};
use super::trace::Who;
use crate::desk::Datagram;
use crate::io::Connect;
use crate::seat::Port;
use crate::service::{LegError, ListenerId};
use crate::slab::Key;
use linux::{Chunk, Gather, Lease, Pool};
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};

pub(super) struct Side {
    seat: u16,
    pub(super) pool: Pool,
    pub(super) done: VecDeque<Done>,
    /// By the leg's slot.
    legs: Vec<Option<LegSide>>,
    /// Legs whose receive found no free buffer.
    starved: VecDeque<Key>,
    /// Legs with a send that was begun in this turn.
    begun: Vec<Key>,
    /// Connections that arrived while the seat had no room.
    pub(super) backlog: VecDeque<(ListenerId, SocketId)>,
    pub(super) turn_at: Option<u64>,
    /// The seat has no core until then.
    pub(super) stalled_until: u64,
    sends: u64,
    pub(super) enobufs: u64,
    /// Datagrams that the seat sent: when, from which listener, to whom.
    pub(super) datagrams: Vec<(u64, ListenerId, Reply)>,
}

/// One thing that ended in the kernel.
pub(super) enum Done {
    Accepted(ListenerId, SocketId),
    Received(Key, VecDeque<Chunk>),
    Eof(Key),
    Broken(Key),
    Sent(Key, Box<Gather>, Result<usize, LegError>),
    Opened(Key),
    Refused(Key, LegError),
    Datagram(Key, Lease, SocketAddr, Option<IpAddr>),
    Closed(Key),
    Starved(Key, bool),
}

/// A datagram that a service sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// Whom it went to.
    pub to: SocketAddr,
    /// The address that the service wished it to come from.
    pub from: Option<IpAddr>,
    /// The payload.
    pub bytes: Vec<u8>,
}

struct LegSide {
    key: Key,
    socket: Option<SocketId>,
    listener: Option<ListenerId>,
    hearing: bool,
    /// One more receive may end though it no longer hears.
    late: bool,
    /// A receive has ended and the seat has not heard of it yet.
    receiving: bool,
    send: Option<Sending>,
    /// Its end was received: nothing more will be.
    ended: bool,
    closing: bool,
    /// It stands among the starved.
    starved: bool,
}

struct Sending {
    number: u64,
    gather: Box<Gather>,
    bytes: Vec<u8>,
    taken: usize,
    /// Its end is on its way to the seat.
    ending: bool,
}

/// Most buffers of one receive.
pub(super) const RECEIVE_BUFFERS: usize = 4;

impl Side {
    pub(super) fn new(seat: u16, pool: Pool) -> Side {
        Side {
            seat,
            pool,
            done: VecDeque::new(),
            legs: Vec::new(),
            starved: VecDeque::new(),
            begun: Vec::new(),
            backlog: VecDeque::new(),
            turn_at: None,
            stalled_until: 0,
            sends: 0,
            enobufs: 0,
            datagrams: Vec::new(),
        }
    }

    /// Something ended: the seat hears of it in its next turn.
    pub(super) fn push(&mut self, done: Done, net: &mut Net) {
        self.done.push_back(done);
        self.wake(net);
    }

    /// Lets the seat run soon.
    pub(super) fn wake(&mut self, net: &mut Net) {
        let most = if net.fault(net.faults.coalesce) { 2_000_000 } else { 5_000 };
        let at = net.now + net.random.below(most);
        self.turn(at, net);
    }

    /// Lets the seat run at `at`, unless it does so before.
    pub(super) fn turn(&mut self, at: u64, net: &mut Net) {
        let at = at.max(self.stalled_until);
        if self.turn_at.is_none_or(|turn| turn > at) {
            let at = at.max(net.now);
            self.turn_at = Some(at);
            net.at(at, Event::Turn(self.seat));
        }
    }

    /// A leg begins its life in the kernel.
    pub(super) fn add(&mut self, key: Key, socket: Option<SocketId>, listener: Option<ListenerId>) {
        let slot = key.slot as usize;
        if self.legs.len() <= slot {
            self.legs.resize_with(slot + 1, || None);
        }
        assert!(self.legs[slot].is_none(), "slot {slot} has a new leg while the old one is not closed");
        self.legs[slot] = Some(LegSide {
            key,
            socket,
            listener,
            hearing: false,
            late: false,
            receiving: false,
            send: None,
            ended: false,
            closing: false,
            starved: false,
        });
    }

    /// The kernel has let go of a leg.
    pub(super) fn gone(&mut self, key: Key, net: &mut Net) {
        let leg = self.legs[key.slot as usize].take().expect("it was closing");
        assert!(leg.closing && leg.key == key && leg.send.is_none());
        self.push(Done::Closed(key), net);
    }

    /// Legs that the kernel still has.
    pub(super) fn legs(&self) -> usize {
        self.legs.iter().flatten().count()
    }

    /// The datagram leg of a listener.
    pub(super) fn listener(&self, listener: ListenerId) -> Option<Key> {
        self.legs
            .iter()
            .flatten()
            .find(|leg| leg.listener == Some(listener) && !leg.closing)
            .map(|leg| leg.key)
    }

    /// Legs whose sends outlived the turn in which they began.
    pub(super) fn slow(&mut self) -> Vec<Key> {
        let begun = std::mem::take(&mut self.begun);
        begun.into_iter().filter(|key| self.leg(*key).is_some_and(|leg| leg.send.is_some())).collect()
    }

    /// The seat has taken what a receive brought.
    pub(super) fn taken(&mut self, key: Key, net: &mut Net) {
        if let Some(leg) = self.leg(key) {
            leg.receiving = false;
            self.hear(key, net);
        }
    }

    /// Receives for those that found no buffer.
    pub(super) fn feed(&mut self, net: &mut Net) {
        for _ in 0..self.starved.len() {
            let Some(key) = self.starved.pop_front() else { return };
            if let Some(leg) = self.leg(key) {
                leg.starved = false;
            }
            self.done.push_back(Done::Starved(key, false));
            self.hear(key, net);
        }
        if !self.starved.is_empty() {
            // The lack may have been a fault of ours: no buffer need come back to end it.
            self.turn(net.now + 1_000_000, net);
        }
    }

    /// Receives what there is, if the leg is to.
    pub(super) fn hear(&mut self, key: Key, net: &mut Net) {
        let (small, pool) = (net.fault(net.faults.small_receive), self.pool.clone());
        let Some(leg) = self.leg(key) else { return };
        let wanted = leg.hearing || leg.late;
        let Some(socket) = leg.socket.filter(|_| wanted && !leg.receiving && !leg.ended && !leg.closing)
        else {
            return;
        };
        let state = net.socket(socket);
        if state.reset {
            leg.ended = true;
            return self.push(Done::Broken(key), net);
        }
        if state.received.is_empty() {
            if state.fin_got {
                leg.ended = true;
                self.push(Done::Eof(key), net);
            }
            return;
        }
        let starved = net.fault(net.faults.starve_buffers) || pool.lent() == pool.count();
        if starved {
            self.enobufs += 1;
            net.note(Who::Leg(self.seat, key), "found no buffer", 0);
            let leg = self.leg(key).expect("it was there just now");
            if !std::mem::replace(&mut leg.starved, true) {
                self.starved.push_back(key);
                self.done.push_back(Done::Starved(key, true));
            }
            return self.wake(net);
        }
        let mut pieces = VecDeque::new();
        for _ in 0..RECEIVE_BUFFERS {
            let most = pool.buffer_bytes() as usize;
            let most = if small { 1 + net.random.below(most as u64) as usize } else { most };
            if net.socket(socket).received.is_empty() || pool.lent() == pool.count() {
                break;
            }
            let lease = pool.fill(&net.read(socket, most)).expect("a buffer is free");
            pieces.push_back(Chunk::Lease(lease));
            if small {
                break;
            }
        }
        let leg = self.leg(key).expect("it is hearing");
        leg.receiving = true;
        leg.late = false;
        self.push(Done::Received(key, pieces), net);
    }

    /// Sends what fits of the send in flight.
    pub(super) fn pour(&mut self, key: Key, net: &mut Net) {
        let seat = self.seat;
        let Some(leg) = self.leg(key).filter(|leg| !leg.closing) else { return };
        let (Some(socket), Some(send)) = (leg.socket, &mut leg.send) else { return };
        if send.ending {
            return;
        }
        let result = match net.send(socket, &send.bytes[send.taken..]) {
            Err(error) => Err(error),
            Ok(n) => {
                send.taken += n;
                let short = send.taken < send.bytes.len();
                if short && !net.fault(net.faults.short_send) {
                    return;
                }
                Ok(send.taken)
            }
        };
        send.ending = true;
        let number = send.number;
        let after = if net.fault(net.faults.delay) { net.latency() } else { 0 };
        net.after(after, Event::SendEnds(seat, key, number, result));
    }

    /// The end of a send reaches the seat.
    pub(super) fn send_ends(
        &mut self,
        key: Key,
        number: u64,
        result: Result<usize, LegError>,
        net: &mut Net,
    ) {
        let Some(leg) = self.leg(key) else { return };
        let Some(send) = leg.send.take_if(|send| send.number == number) else { return };
        self.push(Done::Sent(key, send.gather, result), net);
    }

    /// A reset reached the leg's socket: whatever is in flight learns of it.
    pub(super) fn broken(&mut self, key: Key, net: &mut Net) {
        self.pour(key, net);
        self.hear(key, net);
    }

    /// The answer to a leg's connect.
    pub(super) fn answered(&mut self, key: Key, result: Result<(), LegError>, net: &mut Net) {
        if self.leg(key).is_none_or(|leg| leg.closing) {
            return;
        }
        let done = match result {
            Ok(()) => Done::Opened(key),
            Err(why) => Done::Refused(key, why),
        };
        self.push(done, net);
    }

    fn leg(&mut self, key: Key) -> Option<&mut LegSide> {
        self.legs.get_mut(key.slot as usize)?.as_mut().filter(|leg| leg.key == key)
    }
}

/// A seat's way to its side of the world, for the length of one turn.
pub(super) struct Wire<'a> {
    pub(super) side: &'a mut Side,
    pub(super) net: &'a mut Net,
}

impl Wire<'_> {
    fn note(&mut self, leg: Key, what: &'static str, n: usize) {
        let who = Who::Leg(self.side.seat, leg);
        self.net.note(who, what, n as u64);
    }
}

impl Port for Wire<'_> {
    /// Each receive brings little here, always.
    fn ration(&mut self, _on: bool) {}

    fn narrow(&mut self, _leg: Key) {}

    fn receive(&mut self, key: Key, on: bool) {
        self.note(key, if on { "receives" } else { "stops receiving" }, 0);
        let late = !on && self.net.fault(self.net.faults.late_bytes);
        let leg = self.side.leg(key).expect("the seat knows which legs are there");
        assert!(!leg.closing, "a leg that is closing is not to receive");
        (leg.hearing, leg.late) = (on, late);
        self.side.hear(key, self.net);
    }

    fn send(&mut self, key: Key, gather: Box<Gather>, _zero_copy: bool) {
        self.note(key, "sends", gather.bytes());
        self.side.sends += 1;
        let number = self.side.sends;
        let leg = self.side.leg(key).expect("the seat knows which legs are there");
        assert!(leg.send.is_none(), "two sends in flight on {key:?}");
        assert!(!leg.closing, "a send on a leg that is closing");
        let mut bytes = Vec::with_capacity(gather.bytes());
        gather.chunks().iter().for_each(|chunk| bytes.extend_from_slice(chunk));
        assert!(!bytes.is_empty() && bytes.len() == gather.bytes());
        leg.send = Some(Sending { number, gather, bytes, taken: 0, ending: false });
        self.side.begun.push(key);
        self.side.pour(key, self.net);
    }

    fn recall(&mut self, key: Key) {
        self.note(key, "calls its send back", 0);
        let Some(leg) = self.side.leg(key) else { return };
        if let Some(send) = leg.send.take_if(|send| !send.ending) {
            self.side.done.push_back(Done::Sent(key, send.gather, Ok(send.taken)));
        }
    }

    fn send_to(&mut self, datagram: Datagram) {
        self.note(datagram.leg, "sends a datagram", datagram.chunk.len());
        let now = self.net.now;
        let leg = self.side.leg(datagram.leg).expect("the seat knows which legs are there");
        let listener = leg.listener.expect("only datagram legs send datagrams");
        if let Some(index) = self.net.stations.iter().position(|at| *at == datagram.peer) {
            let bytes = datagram.chunk.to_vec();
            return self.net.datagram(bytes, |bytes| Event::ToStation(index as u32, bytes));
        }
        let reply = Reply { to: datagram.peer, from: datagram.local, bytes: datagram.chunk.to_vec() };
        self.side.datagrams.push((now, listener, reply));
    }

    fn finish(&mut self, key: Key) {
        self.note(key, "finishes", 0);
        let leg = self.side.leg(key).expect("the seat knows which legs are there");
        assert!(leg.send.is_none() && !leg.closing, "FIN before all was sent, or after the close");
        let socket = leg.socket.expect("only streams finish");
        assert!(!self.net.socket(socket).fin_sent, "two FINs on {key:?}");
        self.net.finish(socket);
    }

    fn close(&mut self, key: Key, abort: bool) {
        self.note(key, if abort { "resets" } else { "closes" }, 0);
        let late = self.net.fault(self.net.faults.late_close);
        let seat = self.side.seat;
        let leg = self.side.leg(key).expect("the seat knows which legs are there");
        assert!(!std::mem::replace(&mut leg.closing, true), "{key:?} is closed twice");
        if let Some(socket) = leg.socket {
            self.net.close(socket, abort);
        }
        if let Some(send) = leg.send.take() {
            self.side.done.push_back(Done::Sent(key, send.gather, Err(LegError::Os(125))));
        }
        let after = if late { self.net.random.below(20_000_000) } else { self.net.random.below(20_000) };
        self.net.after(after, Event::Gone(seat, key));
    }

    fn connect(&mut self, key: Key, to: &Connect) {
        self.note(key, "connects to port", usize::from(to.to.port()));
        let socket = self.net.open(Owner::Leg(self.side.seat, key));
        self.side.add(key, Some(socket), None);
        let after = self.net.latency();
        if self.net.fault(self.net.faults.refuse) {
            self.net.harm(socket);
            self.net.after(after, Event::Answer(socket, Err(LegError::Refused)));
        } else if !self.net.fault(self.net.faults.silence) {
            self.net.after(after, Event::Knock(socket, to.to));
        }
    }
}

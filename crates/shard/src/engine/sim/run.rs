//! One run: takes the next event off the queue, tells whom it concerns, and judges it all when it is over.

use super::checked::{Checked, Ledger};
use super::net::{Event, Net, Owner, SocketId};
use super::peer::Crowd;
use super::side::{Done, RECEIVE_BUFFERS, Reply, Side, Wire};
use super::station::Member as Station;
use super::trace::{Trace, Who};
use super::{Client, Datagram, Sim, Upstream};
use crate::desk::{Desk, Parts};
use crate::mail::mesh;
use crate::meter::{Board, Snapshot};
use crate::plan::{Listen, Plan, Transport};
use crate::seat::{LEASES_MAX, Limits, Seat};
use crate::service::{LegError, ListenerId, Service};
use crate::slab::Key;
use linux::Pool;
use linux::wake::Inbox;
use std::cell::Cell;
use std::net::{IpAddr, SocketAddr};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// What became of a run.
#[derive(Clone, Debug)]
pub struct Run {
    /// The seed that makes it again.
    pub seed: u64,
    /// What went wrong, by name and probability.
    pub faults: super::Faults,
    /// Promises that were broken; empty is good.
    pub broken: Vec<String>,
    /// What happened.
    pub trace: Trace,
    /// The counters of each seat.
    pub seats: Vec<Snapshot>,
    /// Datagrams that the services sent, in their order.
    pub replies: Vec<(ListenerId, Reply)>,
    /// How long it took on the virtual clock, up to the last that happened: turns for which nothing is left do not count.
    pub took: Duration,
    /// What happened in the world: arrivals, timers, turns and the like.
    pub events: u64,
    /// Turns of all seats.
    pub turns: u64,
}

impl Run {
    /// The run, if every promise was kept. Panics otherwise, with the end of the trace.
    pub fn check(self) -> Run {
        assert!(self.broken.is_empty(), "{}", self.story());
        self
    }

    /// What broke and what happened before, in words.
    pub fn story(&self) -> String {
        let Run { seed, faults, broken, trace, .. } = self;
        let broken = broken.join("\n  ");
        format!("seed {seed}, faults: {faults}\n{}broken:\n  {broken}", trace.tail(60))
    }
}

/// How many times longer than its clients a run may take, on the virtual clock.
const LIMIT: u64 = 6;
/// Promises that are told of, at most: one broken promise is often followed by others.
const BROKEN_MAX: usize = 20;

pub(super) fn run<S: Service>(sim: Sim, make: impl FnMut(u16) -> S) -> Run {
    let (seed, faults) = (sim.seed, sim.faults);
    let mut world = World::new(sim, make);
    let result = catch_unwind(AssertUnwindSafe(|| world.run()));
    let mut broken = world.ledger.with(|seen| std::mem::take(&mut seen.broken));
    match result {
        Ok(()) => world.judge(&mut broken),
        Err(panic) => broken.push(format!("panic: {}", said(&*panic))),
    }
    broken.truncate(BROKEN_MAX);
    world.take_told();
    let mut replies: Vec<_> = world.sides.iter_mut().flat_map(|side| side.datagrams.drain(..)).collect();
    replies.sort_by_key(|(at, ..)| *at);
    Run {
        seed,
        faults,
        broken,
        seats: (0..world.board.seats()).map(|seat| world.board.snapshot(seat)).collect(),
        replies: replies.into_iter().map(|(_, listener, reply)| (listener, reply)).collect(),
        took: Duration::from_nanos(world.net.trace.last_ns()),
        events: world.net.events,
        turns: world.turn.get(),
        trace: world.net.trace,
    }
}

struct World<S: Service> {
    net: Net,
    seats: Vec<Seat<Checked<S>>>,
    sides: Vec<Side>,
    crowd: Crowd,
    plan: Plan,
    upstreams: Vec<(SocketAddr, Upstream)>,
    datagrams: Vec<Datagram>,
    stations: Vec<Station>,
    /// The listener of each client, by its place in the crowd.
    clients: Vec<ListenerId>,
    board: Arc<Board>,
    ledger: Ledger,
    /// Counts turns.
    turn: Rc<Cell<u64>>,
    /// A client that is not over after this long hangs.
    patience_ns: u64,
    /// Whether seats are to drain, and which have been told.
    draining: bool,
    drained: Vec<bool>,
    /// Which have closed their late listeners too.
    last: Vec<bool>,
    drain_began: u64,
}

thread_local! {
    /// The virtual clock, for the calendar: a seat's clock is a plain function.
    static NOW_NS: Cell<u64> = const { Cell::new(0) };
}

/// When runs begin, in seconds since 1970: 2025-06-01 00:00 UTC.
const EPOCH: u64 = 1_748_736_000;

fn unix_seconds() -> u64 {
    EPOCH + NOW_NS.get() / 1_000_000_000
}

impl<S: Service> World<S> {
    fn new(sim: Sim, mut make: impl FnMut(u16) -> S) -> World<S> {
        let Sim { seed, faults, plan, clients, upstreams, datagrams, stations, drain_at, patience } = sim;
        let board = Board::new(&plan.cores);
        let ledger = Ledger::default();
        let turn = Rc::new(Cell::new(0));
        let mut net = Net::new(seed, faults);
        let late = plan.listeners.iter().map(|listen| listen.late).collect();
        let limits = Limits {
            idle: plan.idle,
            drain: plan.drain,
            late,
            zero_copy_bytes: None,
            turn_sends: plan.turn_sends,
        };
        let (mut seats, mut sides) = (Vec::new(), Vec::new());
        for (seat, post) in (0..).zip(mesh(plan.cores.len() as u16)) {
            let pool = Pool::new(plan.pool).expect("the plan's pool can be mapped");
            sides.push(Side::new(seat, pool.clone()));
            let parts = Parts {
                seat,
                board: board.clone(),
                pool,
                post,
                inbox: Inbox::register().expect("an inbox is free"),
                seed: net.random.next(),
                unix_seconds,
                out_max: plan.out_max,
                connections_max: plan.connections_max,
            };
            let service = Checked::new(make(seat), seat, ledger.clone(), turn.clone());
            let mut desk = Desk::new(parts, 0);
            desk.stamps = plan.stamps.then(Box::default);
            seats.push(Seat::new(service, desk, limits.clone()));
        }
        let mut crowd = Crowd::default();
        let mut admit = |Client { at, listener, peer }: Client| {
            let index = crowd.add(peer, true);
            net.at(at.as_nanos() as u64, Event::Begin(index));
            listener
        };
        let clients: Vec<_> = clients.into_iter().map(&mut admit).collect();
        for (index, datagram) in datagrams.iter().enumerate() {
            if net.fault(faults.datagram_lost) {
                continue;
            }
            for _ in 0..=usize::from(net.fault(faults.datagram_twice)) {
                let at = datagram.at.as_nanos() as u64 + net.latency();
                net.at(at, Event::Datagram(index));
            }
        }
        let mut members = Vec::new();
        for (index, (at, member)) in (0..).zip(stations) {
            net.stations.push(member.address);
            net.at(at.as_nanos() as u64, Event::StationBegins(index));
            members.push(member);
        }
        if let Some(at) =
            drain_at.or((clients.is_empty() && members.is_empty()).then_some(Duration::from_secs(10)))
        {
            net.at(at.as_nanos() as u64, Event::Drain);
        }
        let (drained, last) = (vec![false; seats.len()], vec![false; seats.len()]);
        World {
            net,
            seats,
            sides,
            crowd,
            plan,
            upstreams,
            datagrams,
            stations: members,
            clients,
            board,
            ledger,
            turn,
            patience_ns: patience.as_nanos() as u64,
            draining: false,
            drained,
            last,
            drain_began: 0,
        }
    }

    fn run(&mut self) {
        (0..self.seats.len()).for_each(|seat| self.start(seat));
        loop {
            let event = self.net.next();
            NOW_NS.set(self.net.now);
            let still = event.is_none();
            event.into_iter().for_each(|event| self.happen(event));
            let waiting = self.crowd.waiting + self.stations.iter().filter(|member| !member.over).count();
            let comes_from_peers = !self.clients.is_empty() || !self.stations.is_empty();
            if !self.draining && comes_from_peers && (still || self.net.now > self.patience_ns) {
                self.broken(format!("{waiting} clients hang"));
                self.drain();
            } else if !self.draining && waiting == 0 && comes_from_peers {
                self.drain();
            } else if still {
                return;
            }
            if self.net.now > LIMIT * self.patience_ns {
                return self.broken("the world does not come to rest".into());
            }
        }
    }

    fn start(&mut self, seat: usize) {
        let mut wire = Wire { side: &mut self.sides[seat], net: &mut self.net };
        let root = self.seats[seat].open_root(&mut wire);
        for (index, listen) in self.plan.listeners.iter().enumerate() {
            let here = listen.seat.is_none_or(|only| usize::from(only) == seat);
            if here && listen.transport == Transport::Udp {
                let listener = ListenerId(index as u16);
                if let Some(leg) = self.seats[seat].bound(root, listener) {
                    wire.side.add(leg, None, Some(listener));
                }
            }
        }
        self.seats[seat].run(&mut wire);
        self.seats[seat].desk.stamp(self.net.now);
        self.sides[seat].wake(&mut self.net);
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Bytes(socket, bytes) => {
                if self.net.bytes(socket, bytes) {
                    self.readable(socket);
                }
            }
            Event::Fin(socket) => {
                if self.net.fin(socket) {
                    self.readable(socket);
                }
            }
            Event::Reset(socket) => self.reset(socket),
            Event::Break(socket) => {
                self.net.note(Who::World, "breaks a connection", 0);
                let other = self.net.harm(socket);
                self.reset(socket);
                other.into_iter().for_each(|other| self.reset(other));
            }
            Event::Room(socket) => match self.net.socket(socket).owner {
                _ if self.net.socket(socket).closed => {}
                Owner::Leg(seat, leg) => self.sides[usize::from(seat)].pour(leg, &mut self.net),
                Owner::Peer(peer) => self.crowd.pour(peer, &mut self.net),
                Owner::Backlog(_) => {}
            },
            Event::Begin(peer) => self.begin(peer),
            Event::Knock(socket, address) => self.knock(socket, address),
            Event::Answer(socket, result) => self.answer(socket, result),
            Event::Read(peer) => self.crowd.look(peer, &mut self.net),
            Event::PeerTimer(peer) => self.crowd.timer(peer, &mut self.net),
            Event::Turn(seat) => self.turn(usize::from(seat)),
            Event::Gone(seat, leg) => self.sides[usize::from(seat)].gone(leg, &mut self.net),
            Event::SendEnds(seat, leg, number, result) => {
                self.sides[usize::from(seat)].send_ends(leg, number, result, &mut self.net);
            }
            Event::Datagram(index) => self.datagram(index),
            Event::StationBegins(index) => self.stations[index as usize].begin(index, &mut self.net),
            Event::StationTimer(index, timer) => {
                self.stations[index as usize].timer(index, timer, &mut self.net);
            }
            Event::ToStation(index, bytes) => {
                self.stations[index as usize].hear(index, &bytes, &mut self.net)
            }
            Event::ToListener(index, bytes) => {
                let Station { listener, address, .. } = self.stations[index as usize];
                // One address comes to one seat, as with SO_REUSEPORT.
                self.deliver(listener, address, &bytes, index as u16 % self.seats.len() as u16);
            }
            Event::Drain => self.drain(),
        }
    }

    fn readable(&mut self, socket: SocketId) {
        match self.net.socket(socket).owner {
            Owner::Leg(seat, leg) => self.sides[usize::from(seat)].hear(leg, &mut self.net),
            Owner::Peer(peer) => self.crowd.readable(peer, &mut self.net),
            Owner::Backlog(_) => {}
        }
    }

    fn reset(&mut self, socket: SocketId) {
        if !self.net.reset(socket) {
            return;
        }
        match self.net.socket(socket).owner {
            Owner::Leg(seat, leg) => self.sides[usize::from(seat)].broken(leg, &mut self.net),
            Owner::Peer(peer) => self.crowd.failed(peer, LegError::Reset, &mut self.net),
            Owner::Backlog(_) => {}
        }
    }

    fn begin(&mut self, peer: u32) {
        // Clients are the first of the crowd, in their order.
        let listener = self.clients[peer as usize];
        let socket = self.net.open(Owner::Peer(peer));
        self.crowd.seat_at(peer, socket);
        let after = self.net.latency();
        self.net.after(after, Event::Knock(socket, self.plan.listeners[usize::from(listener.0)].address));
    }

    /// A connect arrives: at an upstream, at a listener, or at nobody.
    fn knock(&mut self, from: SocketId, address: SocketAddr) {
        if self.net.socket(from).closed {
            return;
        }
        let after = self.net.latency();
        if let Some((_, make)) = self.upstreams.iter_mut().find(|(at, _)| *at == address) {
            let peer = self.crowd.add(make(), false);
            let socket = self.net.open(Owner::Peer(peer));
            self.crowd.seat_at(peer, socket);
            self.net.link(from, socket);
            self.crowd.connected(peer, &mut self.net);
            return self.net.after(after, Event::Answer(from, Ok(())));
        }
        let Some(seat) = self.listening(address) else {
            self.net.harm(from);
            return self.net.after(after, Event::Answer(from, Err(LegError::Refused)));
        };
        let socket = self.net.open(Owner::Backlog(seat));
        self.net.link(from, socket);
        let position = self.plan.listeners.iter().position(|listen| listen.address == address);
        let listener = ListenerId(position.expect("a seat listens there") as u16);
        self.sides[usize::from(seat)].push(Done::Accepted(listener, socket), &mut self.net);
        self.net.after(after, Event::Answer(from, Ok(())));
    }

    /// One of the seats that listen at an address, as the kernel spreads them (SO_REUSEPORT).
    fn listening(&mut self, address: SocketAddr) -> Option<u16> {
        let stream = |listen: &&Listen| listen.address == address && listen.transport == Transport::Tcp;
        let listen = self.plan.listeners.iter().find(stream)?;
        let seat = listen.seat.unwrap_or(self.net.random.below(self.seats.len() as u64) as u16);
        self.accepts(seat, *listen).then_some(seat)
    }

    /// Whether a listener still accepts on a seat: not in a drain, unless it is a late one and the drain goes on.
    fn accepts(&self, seat: u16, listen: Listen) -> bool {
        !self.draining || (listen.late && !self.last[usize::from(seat)])
    }

    fn answer(&mut self, socket: SocketId, result: Result<(), LegError>) {
        let state = self.net.socket(socket);
        if state.closed {
            return;
        }
        let result = if state.reset { Err(LegError::Reset) } else { result };
        match (state.owner, result) {
            (Owner::Leg(seat, leg), _) => {
                self.sides[usize::from(seat)].answered(leg, result, &mut self.net);
            }
            (Owner::Peer(peer), Ok(())) => {
                self.crowd.connected(peer, &mut self.net);
                self.crowd.readable(peer, &mut self.net);
            }
            (Owner::Peer(peer), Err(why)) => self.crowd.failed(peer, why, &mut self.net),
            (Owner::Backlog(_), _) => unreachable!("a socket in a backlog did not connect"),
        }
    }

    fn datagram(&mut self, index: usize) {
        let any = self.net.random.below(self.seats.len() as u64) as u16;
        let Datagram { listener, peer, bytes, .. } = &self.datagrams[index];
        let (listener, peer, bytes) = (*listener, *peer, bytes.clone());
        self.deliver(listener, peer, &bytes, any);
    }

    fn deliver(&mut self, listener: ListenerId, peer: SocketAddr, bytes: &[u8], any: u16) {
        let listen = self.plan.listeners[usize::from(listener.0)];
        let side = &mut self.sides[usize::from(listen.seat.unwrap_or(any))];
        let Some(leg) = side.listener(listener) else { return };
        let starved = self.net.fault(self.net.faults.starve_buffers);
        // What finds no buffer is lost, as in a full socket.
        let Some(lease) = side.pool.fill(bytes).filter(|_| !starved) else { return };
        let local = Some(listen.address.ip()).filter(|ip: &IpAddr| !ip.is_unspecified());
        side.push(Done::Datagram(leg, lease, peer, local), &mut self.net);
    }

    fn drain(&mut self) {
        if std::mem::replace(&mut self.draining, true) {
            return;
        }
        self.net.note(Who::World, "drains", 0);
        self.drain_began = self.net.now;
        self.net.harm_all();
        self.stations.iter_mut().for_each(|member| member.harmed = !member.over);
        self.sides.iter_mut().for_each(|side| side.wake(&mut self.net));
    }

    fn turn(&mut self, seat: usize) {
        let now = self.net.now;
        if self.sides[seat].turn_at != Some(now) {
            return;
        }
        self.sides[seat].turn_at = None;
        if self.net.fault(self.net.faults.stall) {
            return self.stall(seat);
        }
        self.turn.set(self.turn.get() + 1);
        self.seats[seat].tick(now);
        if self.draining && !std::mem::replace(&mut self.drained[seat], true) {
            let mut wire = Wire { side: &mut self.sides[seat], net: &mut self.net };
            self.seats[seat].drain(&mut wire);
        }
        let slow = self.sides[seat].slow();
        slow.into_iter().for_each(|leg| self.seats[seat].slow(leg));
        let mut touched = Vec::new();
        self.shuffle(seat);
        let mut share = self.sides[seat].done.len();
        if share > 1 && self.net.fault(self.net.faults.few_taken) {
            share = 1 + self.net.random.below(3.min(share as u64 - 1)) as usize;
        }
        self.seats[seat].desk.behind = share < self.sides[seat].done.len();
        for _ in 0..share {
            let Some(done) = self.sides[seat].done.pop_front() else { break };
            self.hear(seat, done, &mut touched);
            self.take_told();
        }
        let (state, side) = (&mut self.seats[seat], &mut self.sides[seat]);
        let mut wire = Wire { side, net: &mut self.net };
        state.fire(&mut wire);
        state.wake(&mut wire);
        state.mail();
        state.run(&mut wire);
        if self.drained[seat] && state.only_late() && !std::mem::replace(&mut self.last[seat], true) {
            state.drain_late(&mut wire);
            state.run(&mut wire);
        }
        state.desk.stamp(now);
        state.desk.meter().enobufs.add(std::mem::take(&mut wire.side.enobufs));
        wire.side.feed(wire.net);
        let mut posted = Vec::new();
        state.desk.post.flush(|to| posted.push(to));
        self.take_told();
        self.watch_memory(seat, &touched);
        posted.into_iter().for_each(|to| self.sides[usize::from(to)].wake(&mut self.net));
        for (side, state) in self.sides.iter_mut().zip(&self.seats) {
            if state.desk.inbox.is_pending() {
                side.wake(&mut self.net);
            }
        }
        let (state, side) = (&self.seats[seat], &mut self.sides[seat]);
        if state.desk.behind {
            // Its turns are long: that is why it does not get done.
            let after = self.net.random.below(20_000_000);
            side.turn(now + after, &mut self.net);
        } else if state.is_ready() {
            side.turn(now + 1_000, &mut self.net);
        } else if let Some(deadline) = state.deadline_ns().filter(|_| !state.is_over()) {
            side.turn(deadline.max(now + 1), &mut self.net);
        }
    }

    /// The seat's core is taken away: mostly for a short time, now and then for seconds.
    fn stall(&mut self, seat: usize) {
        let longest = 1 << self.net.random.below(34);
        let side = &mut self.sides[seat];
        side.stalled_until = self.net.now + self.net.random.below(longest);
        self.net.note(
            Who::World,
            "takes a seat's core for ms",
            (side.stalled_until - self.net.now) / 1_000_000,
        );
        side.turn(side.stalled_until, &mut self.net);
    }

    /// Tells a seat of one completion.
    fn hear(&mut self, seat: usize, done: Done, touched: &mut Vec<Key>) {
        let (state, side) = (&mut self.seats[seat], &mut self.sides[seat]);
        let mut wire = Wire { side, net: &mut self.net };
        match done {
            Done::Accepted(listener, socket) => self.accept(seat, listener, socket),
            Done::Received(leg, mut pieces) => {
                state.received(leg, &mut pieces, &mut wire);
                assert!(pieces.is_empty(), "the seat leaves no piece behind");
                wire.side.taken(leg, wire.net);
                touched.push(leg);
            }
            Done::Eof(leg) => state.eof(leg, &mut wire),
            Done::Broken(leg) => state.failed(leg, LegError::Reset, &mut wire),
            Done::Sent(leg, gather, result) => {
                state.sent(leg, gather, result, &mut wire);
                touched.push(leg);
            }
            Done::Opened(leg) => state.opened(leg, &mut wire),
            Done::Refused(leg, why) => state.failed(leg, why, &mut wire),
            Done::Datagram(leg, lease, peer, local) => state.datagram(leg, &lease, peer, local, &mut wire),
            Done::Starved(leg, on) => state.starved(leg, on),
            Done::Closed(leg) => {
                state.closed(leg);
                while self.seats[seat].has_room()
                    && let Some((listener, socket)) = self.sides[seat].backlog.pop_front()
                {
                    self.accept(seat, listener, socket);
                }
            }
        }
    }

    fn accept(&mut self, seat: usize, listener: ListenerId, socket: SocketId) {
        let accepts = self.accepts(seat as u16, self.plan.listeners[usize::from(listener.0)]);
        let (state, side) = (&mut self.seats[seat], &mut self.sides[seat]);
        if !accepts {
            return self.net.close(socket, true);
        }
        if !state.has_room() {
            state.desk.meter().accepts_paused.inc();
            return side.backlog.push_back((listener, socket));
        }
        let leg = state.reserve(listener).expect("there is room for it");
        let peer = self.net.far_peer(socket).map_or(u64::MAX, u64::from);
        self.net.note(Who::Leg(seat as u16, leg), "accepted from peer", peer);
        self.net.socket_mut(socket).owner = Owner::Leg(seat as u16, leg);
        side.add(leg, Some(socket), None);
        state.accepted(leg, listener, &mut Wire { side, net: &mut self.net });
    }

    /// Another order among legs; what concerns one leg keeps its own.
    fn shuffle(&mut self, seat: usize) {
        if !self.net.fault(self.net.faults.shuffle) {
            return;
        }
        let side = &mut self.sides[seat];
        let Some(Done::Received(late, _) | Done::Sent(late, ..)) = side.done.front() else { return };
        let late = *late;
        let (others, its): (Vec<Done>, Vec<Done>) =
            side.done.drain(..).partition(|done| done.leg() != Some(late));
        side.done = others.into_iter().chain(its).collect();
    }

    /// Memory is bounded: what a leg keeps of its input, the buffers it holds with it, and its output.
    fn watch_memory(&mut self, seat: usize, touched: &[Key]) {
        let receive = RECEIVE_BUFFERS * self.plan.pool.bytes as usize;
        // One receive may end after the stop, and one beside it because of `late_bytes`.
        let input_most = S::INPUT_MAX + 2 * receive;
        for leg in touched {
            let Some(conn) = self.seats[seat].desk.conns.get(*leg) else { continue };
            let pieces = conn.input.as_deref();
            let input: usize = pieces.into_iter().flatten().map(|piece| piece.len()).sum();
            let leases = pieces.into_iter().flatten().filter(|piece| piece.is_lease()).count();
            let out = conn.out.as_ref().map_or(0, |out| out.len());
            if input > input_most || leases > LEASES_MAX || out > self.plan.out_max {
                self.broken(format!("{leg:?} keeps {input} bytes in {leases} buffers and {out} to send"));
            }
        }
    }

    fn take_told(&mut self) {
        let told = self.ledger.with(|seen| std::mem::take(&mut seen.told));
        for (who, what, n) in told {
            self.net.note(who, what, n);
        }
    }

    fn broken(&self, what: String) {
        self.ledger.with(|seen| seen.broken.push(what));
    }

    /// What must hold when all is over.
    fn judge(&self, broken: &mut Vec<String>) {
        broken.extend(self.crowd.verdicts(&self.net));
        broken.extend(self.stations.iter().filter_map(|member| member.verdict().err()));
        let (opened, ended) = self.ledger.with(|seen| (seen.opened, seen.ended));
        if opened != ended {
            broken.push(format!("{opened} sessions were opened and {ended} ended"));
        }
        for (index, (state, side)) in self.seats.iter().zip(&self.sides).enumerate() {
            let counts = self.board.snapshot(index);
            let mut must = |holds: bool, what: &str, n: u64| {
                if !holds {
                    broken.push(format!("seat {index}: {what} ({n})"));
                }
            };
            must(state.is_over(), "the drain did not end", self.net.now - self.drain_began);
            must(side.pool.lent() == 0, "buffers are lent for ever", side.pool.lent().into());
            must(side.legs() == 0, "legs were never closed", side.legs() as u64);
            must(counts.connections == 0, "connections are counted that are gone", counts.connections);
            must(counts.closed >= counts.accepted, "accepted and never closed", counts.accepted);
        }
    }
}

impl Done {
    fn leg(&self) -> Option<Key> {
        match self {
            Done::Accepted(..) => None,
            Done::Received(leg, _)
            | Done::Eof(leg)
            | Done::Broken(leg)
            | Done::Sent(leg, ..)
            | Done::Opened(leg)
            | Done::Refused(leg, _)
            | Done::Datagram(leg, ..)
            | Done::Starved(leg, _)
            | Done::Closed(leg) => Some(*leg),
        }
    }
}

fn said(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("without a word")
}

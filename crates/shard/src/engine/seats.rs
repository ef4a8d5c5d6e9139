//! From a plan to running seats, whatever the engine: everything that can fail is done, or has failed, before the first
//! connection is accepted.

use super::hand_off::{self, HandOff};
use super::peers::{Peers, Place};
use crate::desk::{Desk, Letter, Parts};
use crate::mail::{self, Post};
use crate::meter::{Board, Snapshot};
use crate::plan::{Accept, Control, EngineError, Listen, Plan, Running, SeatInfo, SeatReport, Transport};
use crate::seat::Limits;
use crate::service::ListenerId;
use linux::clock::Clock;
use linux::net::{CORES_MAX, ListenOptions, Listener, UdpOptions, UdpSocket, probe_free};
use linux::wake::{Inbox, Parker};
use linux::{Pool, cpu, limits};
use std::net::SocketAddr;
use std::sync::{Arc, mpsc};

/// What the thread of one seat begins with.
pub(crate) struct Start<N: Send> {
    pub(crate) seat: u16,
    pub(crate) plan: Arc<Plan>,
    pub(crate) control: Control,
    pub(crate) board: Arc<Board>,
    pub(crate) peers: Arc<Peers>,
    pub(crate) sockets: Vec<(ListenerId, Socket)>,
    /// The mail of its workers, one for each that it may have.
    pub(crate) workers: Vec<Post<Letter<N>>>,
    /// The soft limit of descriptors, raised as far as it goes.
    pub(crate) nofile: u64,
    /// Its end of the ways that connections are handed over by, where they are.
    hand_off: Option<hand_off::End>,
    post: Post<Letter<N>>,
    inbox: Inbox,
    ready: mpsc::Sender<(u16, Result<SeatInfo, EngineError>)>,
}

/// A listener's socket on one seat.
pub(crate) enum Socket {
    Stream(Listener),
    Datagram(UdpSocket),
}

/// Says that a seat serves.
pub(crate) struct Ready {
    seat: u16,
    ready: mpsc::Sender<(u16, Result<SeatInfo, EngineError>)>,
}

/// Connections that one turn takes out of the queue of a listener that is about to close.
pub(crate) const EMPTIED_A_TURN: usize = 64;
/// Places beside the bound for late listeners together.
pub(crate) const LATE_PLACES: usize = 16;
/// How long accept rests after an error: long enough not to spin, short enough not to be noticed.
pub(crate) const BACK_OFF_NS: u64 = 50_000_000;
/// Descriptors that a seat keeps beyond its bound, for late listeners and for what is closing.
pub(crate) const SPARE_SLOTS: u64 = 64;
/// Listeners of one plan.
const LISTENERS_MAX: usize = 1024;

/// Starts a thread for each seat of the plan and returns when all of them serve, or none. `body` is the life of one seat: it
/// makes what its engine needs, calls [`Start::open`], says [`Ready::serves`], and runs.
///
/// Errors: a plan that cannot be, an address that is taken (also by a socket that would share it), a core that is not
/// allowed, limits that are short, and what `body` says.
pub(crate) fn start<N: Send + 'static>(
    plan: Plan,
    control: Control,
    body: impl Fn(Start<N>) -> SeatReport + Send + Sync + 'static,
) -> Result<Running, EngineError> {
    start_with_workers(plan, control, 0, body)
}

/// The same, where each of these seats is a shard that may have so many workers, which are seats too.
pub(crate) fn start_with_workers<N: Send + 'static>(
    plan: Plan,
    control: Control,
    workers: usize,
    body: impl Fn(Start<N>) -> SeatReport + Send + Sync + 'static,
) -> Result<Running, EngineError> {
    check(&plan)?;
    let nofile = limits::raise_nofile()?.soft;
    let board = Board::with_workers(&plan.cores, workers);
    let seats = plan.cores.len() as u16;
    let (sockets, addresses) = bind_all(&plan)?;
    let all = u16::try_from(plan.cores.len() * (1 + workers)).expect("there are inboxes for every seat");
    let mut posts = if workers == 0 { mail::mesh(all) } else { mail::boxes(all) };
    let mut staff = posts.split_off(usize::from(seats)).into_iter();
    let mut posts = posts.into_iter();
    let inboxes = (0..seats).map(|_| Inbox::register()).collect::<Result<Vec<_>, _>>()?;
    let parkers = inboxes.iter().map(|inbox| inbox.parker()).collect();
    let peers = Peers::new(parkers, plan.cores.len() * workers);
    inboxes.iter().for_each(|inbox| control.add(inbox.parker()));
    // One seat has nobody to hand them to.
    let mut hand_offs =
        if plan.accept == Accept::HandOff && seats > 1 { hand_off::mesh(seats) } else { Vec::new() }
            .into_iter();
    let (body, plan) = (Arc::new(body), Arc::new(plan));
    let (ready, starts) = mpsc::channel();
    let (mut threads, mut failure) = (Vec::new(), None);
    for ((seat, inbox), sockets) in (0..seats).zip(inboxes).zip(sockets) {
        let (post, hand_off) = (posts.next().expect("there is a post for each seat"), hand_offs.next());
        let workers = staff.by_ref().take(workers).collect();
        let (plan, board, control) = (plan.clone(), board.clone(), control.clone());
        let (peers, ready, body) = (peers.clone(), ready.clone(), body.clone());
        let life = move || {
            let _place = Place { peers: peers.clone(), seat };
            body(Start {
                seat,
                plan,
                control,
                board,
                peers,
                sockets,
                workers,
                nofile,
                hand_off,
                post,
                inbox,
                ready,
            })
        };
        match std::thread::Builder::new().name(format!("shard-{seat}")).spawn(life) {
            Ok(thread) => threads.push(thread),
            Err(errno) => {
                failure = Some(linux::Error::Os { what: "start a thread", errno }.into());
                break;
            }
        }
    }
    drop(ready);
    let mut infos: Vec<Option<SeatInfo>> = vec![None; usize::from(seats)];
    // Each seat says one word, or none if it panicked.
    for (seat, start) in starts {
        match start {
            Ok(info) => infos[usize::from(seat)] = Some(info),
            Err(error) => failure = failure.or(Some(error)),
        }
    }
    if failure.is_none() && infos.iter().any(Option::is_none) {
        failure = Some(EngineError::Plan("a seat panicked before it served".into()));
    }
    let running = |seats| Running { addresses, seats, control: control.clone(), board, threads };
    match failure {
        None => Ok(running(infos.into_iter().flatten().collect())),
        Some(error) => {
            control.abort();
            running(Vec::new()).join();
            Err(error)
        }
    }
}

impl<N: Send> Start<N> {
    /// The core that this seat is to be pinned to.
    pub(crate) fn core(&self) -> Option<usize> {
        self.plan.cores[usize::from(self.seat)]
    }

    /// What others wake this seat by.
    pub(crate) fn parker(&self) -> &'static Parker {
        self.inbox.parker()
    }

    /// Its part in handing connections over, where each seat holds `connections_max` of them.
    pub(crate) fn hand_off(&mut self, connections_max: usize) -> Option<HandOff> {
        let end = self.hand_off.take()?;
        Some(HandOff::new(end, connections_max, self.peers.clone(), self.board.clone()))
    }

    /// The seat cannot serve. The report is that of one that did nothing.
    pub(crate) fn refuse(self, error: EngineError) -> SeatReport {
        let (core, counts) = (self.core(), Snapshot::default());
        let _ = self.ready.send((self.seat, Err(error)));
        SeatReport { core, counts, in_flight_at_exit: 0, buffers_lent_at_exit: 0 }
    }

    /// Lays the desk of the seat, with its bounds; what remains is the word that it serves.
    pub(crate) fn open(
        self,
        pool: Pool,
        connections_max: usize,
        turn_sends: u32,
        zero_copy_bytes: Option<usize>,
    ) -> (Desk<N>, Limits, Ready) {
        let Start { seat, plan, board, post, inbox, ready, .. } = self;
        let parts = Parts {
            seat,
            board,
            pool,
            post,
            inbox,
            seed: Clock::now_ns() ^ u64::from(seat) << 56,
            unix_seconds: Clock::unix_seconds,
            out_max: plan.out_max,
            connections_max,
        };
        let mut desk = Desk::new(parts, Clock::now_ns());
        desk.stamps = plan.stamps.then(Box::default);
        let late = plan.listeners.iter().map(|listen| listen.late).collect();
        let limits = Limits { idle: plan.idle, drain: plan.drain, late, zero_copy_bytes, turn_sends };
        (desk, limits, Ready { seat, ready })
    }
}

impl Ready {
    /// The seat serves from now on.
    pub(crate) fn serves(self, info: SeatInfo) {
        let _ = self.ready.send((self.seat, Ok(info)));
    }
}

/// Whether a plan can be, as far as that is known without making anything. Errors: as of [`start`].
pub(crate) fn check(plan: &Plan) -> Result<(), EngineError> {
    let wrong = |what: &str| Err(EngineError::Plan(what.into()));
    if plan.cores.is_empty() || plan.cores.len() > 4096 {
        return wrong("a plan has 1 to 4096 seats");
    }
    if plan.listeners.len() > LISTENERS_MAX {
        return wrong("a plan has at most 1024 listeners");
    }
    if plan.turn_sends == 0 {
        return wrong("a turn has at least one send");
    }
    if plan.connections_max == 0 {
        return wrong("a seat holds at least one connection");
    }
    if plan.listeners.iter().any(|l| l.seat.is_some_and(|seat| usize::from(seat) >= plan.cores.len())) {
        return wrong("a listener names a seat that there is not");
    }
    if plan.accept == Accept::Cbpf && plan.cores.iter().any(Option::is_none) {
        return wrong("connections go by cores only to seats that are pinned to one");
    }
    if plan.accept == Accept::Cbpf && plan.cores.len() > CORES_MAX {
        return wrong("connections go by cores to at most 2000 seats");
    }
    let allowed = cpu::allowed()?;
    for core in plan.cores.iter().flatten() {
        if !allowed.contains(core) {
            return Err(linux::Error::NoSuchCore { core: *core, allowed }.into());
        }
    }
    Ok(())
}

/// Whether the first seat accepts for all. What serves through the drain stays on every seat.
pub(crate) fn is_handed(plan: &Plan, listen: &Listen) -> bool {
    let alike = listen.transport == Transport::Tcp && listen.seat.is_none() && !listen.late;
    alike && plan.accept == Accept::HandOff && plan.cores.len() > 1
}

/// How many connections may wait in the queues of a seat's listeners.
pub(crate) fn crowd(plan: &Plan, seat: u16) -> usize {
    let listens = |l: &&Listen| l.transport == Transport::Tcp && l.seat.is_none_or(|only| only == seat);
    let somaxconn = limits::somaxconn().and_then(|most| usize::try_from(most).ok()).unwrap_or(usize::MAX);
    // One more than the backlog waits (listen(2) of Linux: the queue is full when it is longer than that).
    plan.listeners.iter().filter(listens).count() * ((plan.backlog as usize).min(somaxconn) + 1)
}

/// Binds every listener on each of its seats: sockets by seat, and the address of each listener.
#[allow(clippy::type_complexity, reason = "two lists that belong together, made and taken apart once")]
fn bind_all(plan: &Plan) -> Result<(Vec<Vec<(ListenerId, Socket)>>, Vec<SocketAddr>), EngineError> {
    let mut seats: Vec<Vec<(ListenerId, Socket)>> = plan.cores.iter().map(|_| Vec::new()).collect();
    let mut addresses = Vec::new();
    for (index, listen) in plan.listeners.iter().enumerate() {
        let v6only = listen.address.is_ipv6().then_some(listen.v6only);
        if listen.address.port() != 0 {
            probe_free(listen.address, listen.transport, v6only)?;
        }
        let only = listen.seat.or(is_handed(plan, listen).then_some(0));
        let wanted = (0..plan.cores.len()).filter(|seat| only.is_none_or(|only| usize::from(only) == *seat));
        let wanted: Vec<usize> = wanted.collect();
        let mut address = listen.address;
        for seat in &wanted {
            let socket = bind(listen, address, wanted.len() > 1, v6only, plan.backlog)?;
            address = match &socket {
                Socket::Stream(listener) => listener.address(),
                Socket::Datagram(socket) => socket.address(),
            };
            seats[*seat].push((ListenerId(index as u16), socket));
        }
        if plan.accept == Accept::Cbpf && wanted.len() > 1 {
            steer(plan, &seats[0])?;
        }
        addresses.push(address);
    }
    Ok((seats, addresses))
}

/// Steers the connections of the listener that was bound last. Its sockets stand in the kernel's group as they began to
/// listen: in the order of the seats, hence of the cores.
fn steer(plan: &Plan, first: &[(ListenerId, Socket)]) -> Result<(), EngineError> {
    let Some((_, Socket::Stream(listener))) = first.last() else { return Ok(()) };
    let cores: Vec<usize> = plan.cores.iter().copied().flatten().collect();
    Ok(listener.steer_by_core(&cores)?)
}

fn bind(
    listen: &Listen,
    address: SocketAddr,
    reuse_port: bool,
    v6only: Option<bool>,
    backlog: u32,
) -> Result<Socket, EngineError> {
    Ok(match listen.transport {
        Transport::Tcp => {
            let options = ListenOptions { backlog, reuse_port, v6only, ..ListenOptions::default() };
            Socket::Stream(Listener::bind(address, &options)?)
        }
        Transport::Udp => {
            let options = UdpOptions { reuse_port, v6only, ..UdpOptions::default() };
            Socket::Datagram(UdpSocket::bind(address, &options)?)
        }
    })
}

//! From a plan to running seats: everything that can fail is done, or has failed, before the first connection is accepted.

use super::accept::Accept;
use super::driver::Driver;
use super::{Peers, Place, Timed, Uring};
use crate::desk::{Desk, Parts};
use crate::mail;
use crate::meter::Board;
use crate::plan::{
    Control, EngineError, Listen, Plan, Running, SeatInfo, SeatReport, Stop, Transport, Wake, ZeroCopy,
};
use crate::seat::{Limits, Seat};
use crate::service::{ListenerId, Service};
use linux::clock::Clock;
use linux::net::{ListenOptions, Listener, UdpOptions, UdpSocket, probe_free};
use linux::ring::{Counts, Ring, RingError, Setup};
use linux::wake::Inbox;
use linux::{Pool, cpu, limits};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering;
use std::sync::{Arc, mpsc};
use std::time::Duration;

/// Starts a thread for each seat of the plan and returns when all of them serve, or none.
///
/// `make` builds the service of each seat on that seat's thread. Errors: a plan that cannot be, an address that is taken
/// (also by a socket that would share it), a core that is not allowed, limits that are short, a ring that is refused.
pub fn start<S: Service + 'static>(
    plan: Plan,
    control: Control,
    make: impl Fn(u16, &Arc<Board>) -> S + Send + Sync + 'static,
) -> Result<Running, EngineError> {
    check(&plan)?;
    let limit = limits::raise_nofile()?;
    let board = Board::new(&plan.cores);
    let seats = plan.cores.len() as u16;
    let (sockets, addresses) = bind_all(&plan)?;
    let mut posts = mail::mesh(seats).into_iter();
    let inboxes = (0..seats).map(|_| Inbox::register()).collect::<Result<Vec<_>, _>>()?;
    let peers = Peers::new(inboxes.iter().map(|inbox| inbox.parker()).collect());
    inboxes.iter().for_each(|inbox| control.add(inbox.parker()));
    let (make, plan) = (Arc::new(make), Arc::new(plan));
    let (ready, starts) = mpsc::channel();
    let (mut threads, mut failure) = (Vec::new(), None);
    for ((seat, inbox), sockets) in (0..seats).zip(inboxes).zip(sockets) {
        let post = posts.next().expect("the mesh has a post for each seat");
        let (plan, board, make) = (plan.clone(), board.clone(), make.clone());
        let (peers, control, ready) = (peers.clone(), control.clone(), ready.clone());
        let body = move || {
            let core = plan.cores[usize::from(seat)];
            let _place = Place { peers: peers.clone(), seat };
            let made = prepare(&plan, seat, limit.soft);
            let (ring, info) = match made {
                Ok(made) => made,
                Err(error) => {
                    let _ = ready.send((seat, Err(error)));
                    return SeatReport {
                        core,
                        counts: board.snapshot(usize::from(seat)),
                        in_flight_at_exit: 0,
                        buffers_lent_at_exit: 0,
                    };
                }
            };
            peers.rings[usize::from(seat)].store(ring.descriptor(), Ordering::Release);
            let parts = Parts {
                seat,
                board: board.clone(),
                pool: ring.pool().clone(),
                post,
                inbox,
                seed: Clock::now_ns() ^ u64::from(seat) << 56,
                unix_seconds: Clock::unix_seconds,
                out_max: plan.out_max,
                connections_max: info.connections_max,
            };
            let parker = parts.inbox.parker();
            let mut desk = Desk::new(parts, Clock::now_ns());
            desk.stamps = plan.stamps.then(Box::default);
            let late = plan.listeners.iter().map(|listen| listen.late).collect();
            let zero_copy_bytes = match plan.zero_copy {
                ZeroCopy::Auto => Some(ZERO_COPY_BYTES),
                ZeroCopy::Off => None,
                ZeroCopy::AtLeast(bytes) => Some(bytes as usize),
            };
            let turn_sends = if plan.stamps { plan.turn_sends.min(STAMPED_SENDS) } else { plan.turn_sends };
            let limits = Limits { idle: plan.idle, drain: plan.drain, late, zero_copy_bytes, turn_sends };
            let mut uring = Uring {
                seat: Seat::new(make(seat, &board), desk, limits),
                driver: Driver::new(ring),
                accepts: Vec::new(),
                crowd: crowd(&plan, seat),
                emptying: false,
                at_bound: false,
                peers: peers.clone(),
                parker,
                control,
                told: Stop::Run,
                pieces: VecDeque::new(),
                zero_copy: plan.zero_copy,
                spin_ns: u64::try_from(plan.spin.as_nanos()).unwrap_or(u64::MAX),
                wake: plan.wake,
                counted: Counts::default(),
                timed: Timed::new(),
                last_call: false,
                told_last: false,
            };
            uring.listen(sockets, &plan.listeners);
            let _ = ready.send((seat, Ok(info)));
            drop(ready);
            let result = uring.run();
            // No seat sends messages to a ring that is about to be closed.
            peers.rings[usize::from(seat)].store(-1, Ordering::Release);
            if let Err(error) = result {
                panic!("the ring of seat {seat} failed: {error}");
            }
            uring.report(core)
        };
        match std::thread::Builder::new().name(format!("shard-{seat}")).spawn(body) {
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

/// Zero-copy sends pay from here on (docs/decisions/0003-buffers.md).
const ZERO_COPY_BYTES: usize = 32 * 1024;
/// Locked memory that a seat's ring and buffer ring are charged with, at most.
const RING_BYTES: u64 = 96 * 1024;
/// What its ring alone takes.
const RING_LEAST_BYTES: u64 = 64 * 1024;
/// Descriptor slots that a seat keeps beyond its bound, for late listeners and for what is closing.
const SPARE_SLOTS: u64 = 64;
/// Listeners of one plan.
const LISTENERS_MAX: usize = 1024;
/// Entries of a seat's submission queue.
const SUBMISSIONS: u32 = 256;
/// The same where sends are stamped, and the most of them that are sends of one turn: a queue that is full is submitted
/// before the clock is read for the stamp.
const STAMPED_SUBMISSIONS: u32 = 1024;
const STAMPED_SENDS: u32 = 512;

enum Socket {
    Stream(Listener),
    Datagram(UdpSocket),
}

/// Whether a plan can be, as far as that is known without making anything. Errors: as of [`start`].
pub fn check(plan: &Plan) -> Result<(), EngineError> {
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
    let (need, have) = (plan.cores.len() as u64 * RING_LEAST_BYTES, limits::memlock()?.soft);
    if have < need && !limits::has_cap_ipc_lock() {
        return Err(RingError::Memlock { what: "a ring for each shard", need, have }.into());
    }
    let allowed = cpu::allowed()?;
    for core in plan.cores.iter().flatten() {
        if !allowed.contains(core) {
            return Err(linux::Error::NoSuchCore { core: *core, allowed }.into());
        }
    }
    Ok(())
}

/// How many connections may wait in the queues of a seat's listeners: what a multishot accept may bring at once.
fn crowd(plan: &Plan, seat: u16) -> usize {
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
        let wanted =
            (0..plan.cores.len()).filter(|seat| listen.seat.is_none_or(|only| usize::from(only) == *seat));
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
        addresses.push(address);
    }
    Ok((seats, addresses))
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

/// Pins this thread and makes its ring and buffers, in that order: memory is first touched where it will be used.
fn prepare(plan: &Plan, seat: u16, nofile: u64) -> Result<(Ring, SeatInfo), EngineError> {
    let core = plan.cores[usize::from(seat)];
    if let Some(core) = core {
        cpu::pin(core)?;
    }
    if plan.wake != Wake::Sleep || plan.stamps {
        linux::clock::set_timer_slack_ns(1)?;
    }
    let pool = Pool::new(plan.pool).map_err(|error| RingError::Os { what: "the receive buffers", error })?;
    // The descriptor table is bounded by RLIMIT_NOFILE, for each ring apart (io_uring_register(2)).
    let slots = (plan.connections_max as u64 + SPARE_SLOTS).min(nofile);
    let connections_max = plan.connections_max.min(slots.saturating_sub(SPARE_SLOTS.min(slots / 4)) as usize);
    // Each seat keeps to its part, its ring included: else the last one to start would find nothing left.
    let fixed_bytes = match limits::has_cap_ipc_lock() {
        true => usize::MAX,
        false => (limits::memlock()?.soft / plan.cores.len() as u64).saturating_sub(RING_BYTES) as usize,
    };
    let setup = Setup {
        submissions: if plan.stamps { STAMPED_SUBMISSIONS } else { SUBMISSIONS },
        completions: (2 * u32::from(plan.pool.count)).max(2048).next_power_of_two(),
        descriptors: slots as u32,
        spin: plan.spin > Duration::ZERO || plan.wake != Wake::Sleep,
        fixed_bytes,
        highest: plan.highest_tier,
    };
    let ring = Ring::new(&setup, pool)?;
    let features = ring.features().clone();
    Ok((ring, SeatInfo { core, features, connections_max }))
}

impl<S: Service> Uring<S, Ring> {
    fn listen(&mut self, sockets: Vec<(ListenerId, Socket)>, plan: &[Listen]) {
        let root = self.seat.open_root(&mut self.driver);
        for (id, socket) in sockets {
            match socket {
                Socket::Stream(listener) => {
                    self.accepts.push(Accept::new(listener, id, plan[usize::from(id.0)].late));
                }
                Socket::Datagram(socket) => {
                    let wildcard = socket.address().ip().is_unspecified();
                    let fd = OwnedFd::from(socket);
                    let Some(leg) = self.seat.bound(root, id) else { continue };
                    self.driver.attach_datagram(leg, fd, wildcard);
                }
            }
        }
    }

    fn report(&self, core: Option<usize>) -> SeatReport {
        SeatReport {
            core,
            counts: self.seat.desk.meter().snapshot(),
            in_flight_at_exit: self.driver.ring.counts().in_flight,
            buffers_lent_at_exit: u64::from(self.seat.desk.pool.lent()),
        }
    }
}

//! What a seat of this engine needs before it serves: a pinned thread, buffers, a ring.

use super::accept::Accept;
use super::driver::Driver;
use super::ring::Ring as _;
use super::rings::Rings;
use super::{Timed, Uring};
use crate::engine::seats::{self, SPARE_SLOTS, Socket, Start, crowd, is_handed};
use crate::meter::Board;
use crate::plan::{
    Accept as Way, Control, EngineError, Plan, Running, SeatInfo, SeatReport, Stop, Transport, Wake, ZeroCopy,
};
use crate::seat::Seat;
use crate::service::{ListenerId, Service};
use linux::pool::Plan as PoolPlan;
use linux::ring::{Counts, Home, Ring, RingError, Setup};
use linux::{Pool, cpu, limits};
use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
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
    seats::start(plan, control, move |start: Start<S::Note>| live(start, &make))
}

/// Whether a plan can be, as far as that is known without making anything. Errors: as of [`start`].
pub fn check(plan: &Plan) -> Result<(), EngineError> {
    seats::check(plan)?;
    let (need, have) = (plan.cores.len() as u64 * RING_LEAST_BYTES, limits::memlock()?.soft);
    if have < need && !limits::has_cap_ipc_lock() {
        return Err(RingError::Memlock { what: "a ring for each shard", need, have }.into());
    }
    if plan.ring.incremental && plan.listeners.iter().any(|l| l.transport == Transport::Udp) {
        let why = "a datagram may not fit what is left of a buffer, and then fails (liburing issue 1433): no UDP listener";
        return Err(RingError::Factor { word: "inc=on".into(), why: why.into() }.into());
    }
    Ok(())
}

/// Zero-copy sends pay from here on (docs/decisions/0003-buffers.md).
const ZERO_COPY_BYTES: usize = 32 * 1024;
/// Locked memory that a seat's ring and buffer ring are charged with, at most.
const RING_BYTES: u64 = 96 * 1024;
/// What its ring alone takes.
const RING_LEAST_BYTES: u64 = 64 * 1024;
/// Entries of a seat's submission queue.
const SUBMISSIONS: u32 = 256;
/// The same where sends are stamped, and the most of them that are sends of one turn: a queue that is full is submitted
/// before the clock is read for the stamp.
const STAMPED_SUBMISSIONS: u32 = 1024;
const STAMPED_SENDS: u32 = 512;

/// Rings of one seat: with RLIMIT_NOFILE as small as 4,096 still a million connections.
const RINGS_MAX: u64 = 256;
/// Which part of the process's descriptors rings may take: one in so many.
const RING_SHARE: u64 = 8;
/// Completions that one of them holds beside its own: what is more waits in the kernel, which costs time and loses nothing.
const BESIDE_COMPLETIONS: u32 = 2048;
/// The buffers of those that are only polled: each is filled when there is something to fill it with, and lent for a turn. More and
/// smaller ones than a receive waits with, since a turn may bring something small from many.
fn fetch_pool(pool: PoolPlan) -> PoolPlan {
    PoolPlan { count: (pool.count * 4).min(1024), bytes: (pool.bytes / 4).max(1024), ..pool }
}

/// The life of one seat, on its thread.
fn live<S: Service>(
    mut start: Start<S::Note>,
    make: &(impl Fn(u16, &Arc<Board>) -> S + Send + Sync),
) -> SeatReport {
    let (ring, info) = match prepare(&start) {
        Ok(made) => made,
        Err(error) => return start.refuse(error),
    };
    let (seat, core, parker) = (start.seat, start.core(), start.parker());
    let (plan, peers, control) = (start.plan.clone(), start.peers.clone(), start.control.clone());
    let (board, sockets) = (start.board.clone(), std::mem::take(&mut start.sockets));
    peers.rings[usize::from(seat)].store(ring.primary().descriptor(), Ordering::Release);
    let zero_copy_bytes = match plan.zero_copy {
        ZeroCopy::Auto => Some(ZERO_COPY_BYTES),
        ZeroCopy::Off => None,
        ZeroCopy::AtLeast(bytes) => Some(bytes as usize),
    };
    let hand_off = start.hand_off(info.connections_max);
    let turn_sends = if plan.stamps { plan.turn_sends.min(STAMPED_SENDS) } else { plan.turn_sends };
    let (mut desk, limits, ready) =
        start.open(ring.primary().pool().clone(), info.connections_max, turn_sends, zero_copy_bytes);
    desk.fetch_pool = ring.fetch_pool().cloned();
    let mut driver = Driver::new(ring);
    driver.parks = !plan.park.is_zero();
    driver.always_parked = plan.ring.parked;
    let mut uring = Uring {
        seat: Seat::new(make(seat, &board), desk, limits),
        driver,
        accepts: Vec::new(),
        hand_off,
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
        batches: plan.ring.min_wait_us > 0,
        want: 1,
        counted: Counts::default(),
        timed: Timed::new(),
        park_ms: u64::try_from(plan.park.as_millis()).unwrap_or(u64::MAX),
        look_ns: 0,
        looks: 0,
        last_call: false,
        told_last: false,
    };
    uring.listen(sockets, &plan);
    ready.serves(info);
    let result = uring.run();
    // No seat sends messages to a ring that is about to be closed.
    peers.rings[usize::from(seat)].store(-1, Ordering::Release);
    if let Err(error) = result {
        panic!("the ring of seat {seat} failed: {error}");
    }
    uring.report(core)
}

/// Pins this thread and makes its ring and buffers, in that order: memory is first touched where it will be used.
fn prepare<N: Send + 'static>(start: &Start<N>) -> Result<(Rings, SeatInfo), EngineError> {
    let (plan, nofile, core) = (&*start.plan, start.nofile, start.core());
    if let Some(core) = core {
        cpu::pin(core)?;
    }
    if plan.wake != Wake::Sleep || plan.stamps {
        linux::clock::set_timer_slack_ns(1)?;
    }
    let pool = Pool::new(plan.pool).map_err(|error| RingError::Os { what: "the receive buffers", error })?;
    // A table of direct descriptors is bounded by RLIMIT_NOFILE, for each ring apart (io_uring_register(2)); descriptors of
    // the process are bounded by it for all of them.
    // Those that are handed over have one of these.
    let shared = !plan.ring.direct || plan.accept == Way::HandOff;
    let most = if shared { nofile / plan.cores.len() as u64 } else { nofile.min(plan.ring.slots.into()) };
    let wanted = plan.connections_max as u64 + SPARE_SLOTS;
    let slots = wanted.min(most);
    // Each ring takes a descriptor of the process; most of them are for others.
    let rings_max = (nofile / RING_SHARE / plan.cores.len() as u64).clamp(1, RINGS_MAX);
    let count = if shared { 1 } else { wanted.div_ceil(slots).min(rings_max) };
    // Each seat keeps to its part, its ring included: else the last one to start would find nothing left.
    let fixed_bytes = match limits::has_cap_ipc_lock() {
        true => usize::MAX,
        false => (limits::memlock()?.soft / plan.cores.len() as u64).saturating_sub(RING_BYTES) as usize,
    };
    let setup = Setup {
        submissions: if plan.stamps { STAMPED_SUBMISSIONS } else { SUBMISSIONS },
        completions: (2 * u32::from(plan.pool.count)).max(2048).next_power_of_two(),
        descriptors: slots as u32,
        spin: plan.spin > Duration::ZERO || plan.wake != Wake::Sleep || count > 1,
        fixed_bytes,
        alone: count == 1,
        factors: plan.ring,
    };
    let ring = Ring::new(&setup, pool)?;
    let mut features = ring.features().clone();
    let ring = match count {
        1 if plan.ring_sockets && !shared => Rings::one_with_sockets(ring),
        1 => Rings::one(ring),
        _ => {
            let pool = fetch_pool(plan.pool);
            let pool = Pool::new(pool).map_err(|error| RingError::Os { what: "the fetch buffers", error })?;
            let setup = Setup { submissions: SUBMISSIONS, completions: BESIDE_COMPLETIONS, ..setup };
            let mut rings = Rings::many(ring, pool, &setup, plan.ring_sockets);
            // Fewer serve too, for fewer connections: who asked for them is told.
            let refused = (1..count).find_map(|_| rings.add(&setup, start.parker().event()).err());
            features.missing.extend(refused.map(|error| ("more rings", error.to_string())));
            rings
        }
    };
    let all = slots * ring.count() as u64;
    let connections_max = plan.connections_max.min(all.saturating_sub(SPARE_SLOTS.min(all / 4)) as usize);
    let rings = ring.count() as u32;
    Ok((ring, SeatInfo { core, ring: Some(features), rings, connections_max }))
}

impl<S: Service> Uring<S, Rings> {
    fn listen(&mut self, sockets: Vec<(ListenerId, Socket)>, plan: &Plan) {
        let root = self.seat.open_root(&mut self.driver);
        for (id, socket) in sockets {
            match socket {
                Socket::Stream(listener) => {
                    let listen = &plan.listeners[usize::from(id.0)];
                    let home = if is_handed(plan, listen) { Home::Process } else { Home::Ring };
                    self.accepts.push(Accept::new(listener, id, listen.late, home));
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

//! The threads of a shard that has more than one: the one that accepts, the workers that serve, and what they know of each other.
//!
//! Each of them is a seat, so timers, notes, wakes and the drain hold for each. The one that accepts has the root session, the
//! datagram listeners and the late listeners; a worker has a connection, and no root. How a connection comes to a worker is for
//! each engine to say ([`Dispatch`]). Nothing here is asked on the way of a byte.

use crate::desk::{Desk, Letter, Parts};
use crate::engine::peers::Peers;
use crate::engine::readiness::{Readiness, descriptors};
use crate::engine::seats::{self, Start};
use crate::engine::sockets::{Sockets, Watch};
use crate::mail::Post;
use crate::meter::{Board, Meter};
use crate::plan::{Control, EngineError, Plan, SeatReport, Stop};
use crate::seat::{Limits, Seat};
use crate::service::{ListenerId, Service};
use linux::Pool;
use linux::clock::Clock;
use linux::poll::{Event, Interest, PollSet};
use linux::wake::{INBOXES_MAX, Inbox, Parker};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering, fence};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// What a readiness loop asks of the others of its shard. The answers that stand here are those of a seat that has no others.
pub(crate) trait Crew {
    /// A turn begins.
    fn look(&mut self) {}

    /// A drain has begun, or the end.
    fn drain(&mut self) {}

    /// A turn ends: others may see what they were given.
    fn send(&mut self, _: &Peers) {}

    /// Takes a connection that this seat accepted, as far as it is not to serve it itself.
    fn hand_over(&mut self, fd: OwnedFd, _: ListenerId) -> Handed {
        Handed::Back(fd)
    }

    /// How many more connections may be accepted where this seat has room for `room`.
    fn places(&self, room: usize) -> usize {
        room
    }

    /// Whether nobody can be given another connection, so that what is to be served must wait where it is.
    fn is_full(&self) -> bool {
        false
    }

    /// The next connection that this seat is to serve, asked until there is none. `vacant`: it serves none. `over`: nor will it any more.
    fn next(&mut self, _vacant: bool, _over: bool, _: &Meter) -> Option<(OwnedFd, ListenerId)> {
        None
    }

    /// From now on this seat must, or need not, hear of each connection that ends.
    fn expect(&mut self, _: bool) {}

    /// Whether there is something that this seat has not looked at; asked before it sleeps.
    fn has_news(&self) -> bool {
        false
    }

    /// Whether the others have no connection left. A worker never says so: it is for its shard to end the run.
    fn is_idle(&self) -> bool {
        true
    }

    /// Whether no other seat passes connections to this one any more.
    fn is_settled(&mut self) -> bool {
        true
    }

    /// Whether this seat has come to its end. `drained`: as the only one it had.
    fn is_done(&self, drained: bool, _vacant: bool) -> bool {
        drained
    }
}

/// What became of a connection that was to be handed over.
pub(crate) enum Handed {
    /// Somebody else has it.
    Over,
    /// The seat is to serve it.
    Back(OwnedFd),
    /// Nobody can serve it.
    Refused(OwnedFd),
}

/// A seat that is all of its shard.
pub(crate) struct Alone;

impl Crew for Alone {}

/// How an engine brings a connection to a worker.
pub(crate) trait Dispatch {
    /// Whether every worker is busy and no more may wait for one, where workers have `away` connections, waiting ones included.
    fn is_full(&self, away: usize) -> bool;
    /// How many more connections may be accepted, where the shard has room for `room`.
    fn places(&self, room: usize, away: usize) -> usize;
    /// Brings it. It may be given back where the machine refuses what that takes.
    fn bring(&mut self, visit: Visit) -> Result<(), Visit>;
    /// The run has no time left for those who wait for a worker: they go. Says how many.
    fn give_up(&mut self) -> usize;
}

/// The crew of the seat that accepts.
pub(crate) struct Foreman<D> {
    pub(crate) dispatch: D,
    books: Arc<Books>,
    board: Arc<Board>,
    control: Control,
    seat: u16,
    drain: Duration,
    /// How many connections the workers had at the last look.
    seen: usize,
    expects: bool,
}

impl<D> Foreman<D> {
    pub(crate) fn new<F>(shard: &Shard<F>, dispatch: D) -> Foreman<D> {
        let (books, board, control) = (shard.books.clone(), shard.board.clone(), shard.control.clone());
        let (seat, drain) = (shard.seat, shard.plan.drain);
        Foreman { dispatch, books, board, control, seat, drain, seen: 0, expects: false }
    }
}

impl<D: Dispatch> Crew for Foreman<D> {
    fn look(&mut self) {
        self.seen = self.books.away();
        if self.control.stop() != Stop::Run {
            self.books.drain_until(Clock::now_ns(), self.drain);
        }
    }

    fn hand_over(&mut self, fd: OwnedFd, listener: ListenerId) -> Handed {
        if self.is_full() {
            return Handed::Refused(fd);
        }
        let visit = Visit { fd, listener, entry: Entry::new(&self.books) };
        self.seen += 1;
        match self.dispatch.bring(visit) {
            Ok(()) => Handed::Over,
            // What was accepted is served, if need be by this seat, which never waits for one of its peers.
            Err(visit) => {
                self.board.seat(usize::from(self.seat)).accept_errors.inc();
                Handed::Back(visit.fd)
            }
        }
    }

    fn places(&self, room: usize) -> usize {
        self.dispatch.places(room, self.books.away())
    }

    fn is_full(&self) -> bool {
        self.dispatch.is_full(self.books.away())
    }

    fn next(&mut self, _: bool, over: bool, meter: &Meter) -> Option<(OwnedFd, ListenerId)> {
        if over {
            meter.shed.add(self.dispatch.give_up() as u64);
        }
        None
    }

    fn expect(&mut self, on: bool) {
        self.expects = on;
        self.books.expected.store(on, Ordering::Relaxed);
    }

    fn has_news(&self) -> bool {
        self.expects && self.books.away() != self.seen
    }

    fn is_idle(&self) -> bool {
        self.books.away() == 0
    }
}

/// A connection on its way to a worker.
pub(crate) struct Visit {
    pub(crate) fd: OwnedFd,
    pub(crate) listener: ListenerId,
    pub(crate) entry: Entry,
}

/// A connection's line in the books, from when it is handed over until it has ended, however that happens.
pub(crate) struct Entry(Arc<Books>);

impl Entry {
    pub(super) fn new(books: &Arc<Books>) -> Entry {
        books.away.fetch_add(1, Ordering::Relaxed);
        Entry(books.clone())
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        // Release: who sees that it has ended sees what its worker gave back before.
        self.0.away.fetch_sub(1, Ordering::Release);
        // Either this sees that the end is expected, or who expects it sees the end: it writes `expected`, puts a fence as it
        // parks, and looks at `away`.
        fence(Ordering::SeqCst);
        if self.0.expected.load(Ordering::Relaxed) {
            self.0.acceptor.notify();
        }
    }
}

/// What the threads of a shard write for each other to read.
pub(super) struct Books {
    /// Connections that were handed over and have not ended.
    away: AtomicUsize,
    /// The seat that accepts is to be woken when one ends.
    expected: AtomicBool,
    acceptor: &'static Parker,
    /// When a drain has had its time, once there is one: workers that begin in it have no more of it than others.
    drain_until_ns: OnceLock<u64>,
    /// What workers that ended left behind: 0.
    in_flight: AtomicU64,
    buffers_lent: AtomicU64,
}

impl Books {
    pub(super) fn new(acceptor: &'static Parker) -> Books {
        let (away, expected, drain_until_ns) = (AtomicUsize::new(0), AtomicBool::new(false), OnceLock::new());
        let (in_flight, buffers_lent) = (AtomicU64::new(0), AtomicU64::new(0));
        Books { away, expected, acceptor, drain_until_ns, in_flight, buffers_lent }
    }

    pub(super) fn away(&self) -> usize {
        self.away.load(Ordering::Acquire)
    }

    fn drain_until(&self, now_ns: u64, drain: Duration) {
        let drain_ns = u64::try_from(drain.as_nanos()).unwrap_or(u64::MAX);
        self.drain_until_ns.get_or_init(|| now_ns.saturating_add(drain_ns));
    }

    fn drain_left(&self, now_ns: u64) -> Option<Duration> {
        self.drain_until_ns.get().map(|until_ns| Duration::from_nanos(until_ns.saturating_sub(now_ns)))
    }
}

/// What the threads of one shard begin with.
pub(crate) struct Shard<F> {
    pub(crate) seat: u16,
    pub(crate) plan: Arc<Plan>,
    pub(crate) board: Arc<Board>,
    pub(crate) peers: Arc<Peers>,
    control: Control,
    make: Arc<F>,
    /// Legs of one worker.
    legs_max: usize,
    books: Arc<Books>,
}

impl<F> Shard<F> {
    pub(crate) fn new<N: Send>(start: &Start<N>, make: &Arc<F>, legs_max: usize) -> Arc<Shard<F>> {
        Arc::new(Shard {
            seat: start.seat,
            plan: start.plan.clone(),
            board: start.board.clone(),
            peers: start.peers.clone(),
            control: start.control.clone(),
            make: make.clone(),
            legs_max,
            books: Arc::new(Books::new(start.parker())),
        })
    }

    /// A chair for a worker's seat that has never been used.
    pub(crate) fn chair<N: Send>(&self, post: Post<Letter<N>>, inbox: Inbox) -> Chair<N> {
        self.peers.add_worker(post.seat(), inbox.parker());
        self.control.add(inbox.parker());
        Chair { post, inbox, unused: 1 }
    }

    /// The buffers of a worker, on its thread. Errors: there is no memory.
    pub(crate) fn buffers(&self) -> Result<Pool, EngineError> {
        let memory = |errno| linux::Error::Os { what: "map a worker's receive buffers", errno };
        Ok(Pool::new(buffers(&self.plan)).map_err(memory)?)
    }

    /// The loop of a worker, on its thread.
    pub(crate) fn open<S: Service, C: Crew>(
        &self,
        chair: Chair<S::Note>,
        pool: Pool,
        crew: C,
    ) -> Readiness<S, PollSet, C>
    where
        F: Fn(u16, &Arc<Board>) -> S,
    {
        let Chair { post, inbox, unused } = chair;
        let (seat, parker, now_ns) = (post.seat(), inbox.parker(), Clock::now_ns());
        let parts = Parts {
            seat,
            board: self.board.clone(),
            pool: pool.clone(),
            post,
            inbox,
            seed: now_ns ^ u64::from(seat) << 48,
            unix_seconds: Clock::unix_seconds,
            out_max: self.plan.out_max,
            connections_max: self.legs_max,
        };
        let mut desk = Desk::new(parts, now_ns);
        desk.stamps = self.plan.stamps.then(Box::default);
        let limits = Limits {
            idle: self.plan.idle,
            drain: self.books.drain_left(now_ns).unwrap_or(self.plan.drain),
            late: self.plan.listeners.iter().map(|listen| listen.late).collect(),
            zero_copy_bytes: None,
            turn_sends: self.plan.turn_sends,
        };
        let mut seat = Seat::new((self.make)(seat, &self.board), desk, limits);
        seat.succeed(unused);
        let sockets = Sockets::new(PollSet::default(), pool);
        let (peers, control) = (self.peers.clone(), self.control.clone());
        Readiness::new(seat, sockets, crew, &self.plan, peers, parker, control)
    }

    /// The end of a worker's loop; its chair is free.
    pub(crate) fn close<S: Service, C: Crew>(&self, readiness: Readiness<S, PollSet, C>) -> Chair<S::Note> {
        let Readiness { seat, sockets, .. } = readiness;
        self.books.in_flight.fetch_add(sockets.in_flight(), Ordering::Relaxed);
        self.books.buffers_lent.fetch_add(u64::from(sockets.pool.lent()), Ordering::Relaxed);
        let (desk, unused) = seat.leave();
        Chair { post: desk.post, inbox: desk.inbox, unused }
    }

    /// The report of the shard, once its workers have ended: `own` is that of the seat that accepts.
    pub(crate) fn report(&self, own: SeatReport) -> SeatReport {
        SeatReport {
            counts: self.board.snapshot(usize::from(self.seat)),
            in_flight_at_exit: own.in_flight_at_exit + self.books.in_flight.load(Ordering::Relaxed),
            buffers_lent_at_exit: own.buffers_lent_at_exit + self.books.buffers_lent.load(Ordering::Relaxed),
            ..own
        }
    }
}

/// What a worker's seat keeps while no thread has it: its number, its mail, its wake-up, and which keys it has given away.
pub(crate) struct Chair<N: Send> {
    post: Post<Letter<N>>,
    inbox: Inbox,
    unused: u32,
}

impl<N: Send> Chair<N> {
    /// The number of the seat.
    pub(crate) fn seat(&self) -> u16 {
        self.post.seat()
    }
}

/// Whether a plan can be, with so many workers a shard. Errors: as of [`seats::check`].
pub(crate) fn check(plan: &Plan, workers: u16) -> Result<(), EngineError> {
    seats::check(plan)?;
    if !(1..INBOXES_MAX).contains(&usize::from(workers)) || plan.cores.len() > INBOXES_MAX / 2 {
        let what = "an engine of threads has 1 to 2048 shards, and each of them 1 to 4095 workers";
        return Err(EngineError::Plan(what.into()));
    }
    Ok(())
}

/// How many workers each shard may have, where the plan has `wanted` and each takes so many descriptors: 1 at least.
pub(crate) fn workers_max(plan: &Plan, wanted: u16, nofile: u64, descriptors_each: usize) -> usize {
    // Each seat of the process has an inbox.
    let inboxes = INBOXES_MAX / plan.cores.len() - 1;
    usize::from(wanted).min(inboxes).min(descriptors(plan, nofile) / descriptors_each).max(1)
}

/// A worker has few buffers: what one flush takes, for the few legs that it has. A datagram never goes there.
fn buffers(plan: &Plan) -> linux::pool::Plan {
    let bytes = plan.pool.bytes.min(POOL_BYTES / 2);
    let count = plan.pool.count.min((POOL_BYTES / bytes) as u16);
    linux::pool::Plan { count, bytes, huge_pages: false }
}

/// Buffers of one worker together.
const POOL_BYTES: u32 = 64 << 10;

impl Watch for PollSet {
    const EVENTS_MAX: usize = usize::MAX;
    const CALLS_A_CHANGE: u64 = 0;

    fn set(
        &mut self,
        fd: BorrowedFd<'_>,
        _before: Interest,
        now: Interest,
        token: u64,
    ) -> Result<(), linux::Error> {
        match now.is_none() {
            true => self.remove(token),
            false => PollSet::set(self, fd, now, token),
        }
        Ok(())
    }

    fn wait(&mut self, timeout_ns: Option<u64>, events: &mut Vec<Event>) -> Result<(), linux::Error> {
        PollSet::wait(self, timeout_ns, events)
    }
}

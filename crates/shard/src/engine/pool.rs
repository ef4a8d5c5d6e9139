//! The engine of a pool: so many workers, a bounded queue of connections before them, and an answer for those that find it full.
//!
//! A worker serves one connection until it ends, then takes the next; between two it sleeps. It is a seat like any other
//! (`crew.rs`), for the whole run. A connection that keeps its worker without asking anything keeps it all the same:
//! that is the model's nature, and why the queue may be full while cores idle.

use crate::engine::crew::{self, Chair, Crew, Dispatch, Entry, Foreman, Shard, Visit};
use crate::engine::peers::Peers;
use crate::engine::readiness::{Readiness, descriptors, prepare};
use crate::engine::seats::{self, Start};
use crate::meter::{Board, Meter};
use crate::plan::{Control, EngineError, Plan, Running, SeatInfo, SeatReport};
use crate::service::{ListenerId, Service};
use linux::limits;
use linux::poll::PollSet;
use linux::wake::Inbox;
use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, mpsc};
use std::thread::{Builder, JoinHandle};

/// Starts a thread for each shard of the plan, and its workers, and returns when all of them serve, or none.
///
/// `make` builds the service of each seat on that seat's thread. Errors: a plan that cannot be, an address that is taken
/// (also by a socket that would share it), a core that is not allowed, limits that are short, a thread that is refused.
pub fn start<S: Service + 'static>(
    plan: Plan,
    control: Control,
    make: impl Fn(u16, &Arc<Board>) -> S + Send + Sync + 'static,
) -> Result<Running, EngineError> {
    check(&plan)?;
    let nofile = limits::raise_nofile()?.soft;
    let workers = crew::workers_max(&plan, plan.pool_workers, nofile, DESCRIPTORS);
    let make = Arc::new(make);
    seats::start_with_workers(plan, control, workers, move |start: Start<S::Note>| live(start, &make))
}

/// Whether a plan can be, as far as that is known without making anything. Errors: as of [`start`].
pub fn check(plan: &Plan) -> Result<(), EngineError> {
    if plan.pool_queue == 0 {
        return Err(EngineError::Plan("the queue before a pool has room for one connection at least".into()));
    }
    crew::check(plan, plan.pool_workers)
}

/// Of a worker where descriptors are few: its wake-up, its connection, and two that wait.
const DESCRIPTORS: usize = 4;

/// The life of one shard, on the thread that accepts.
fn live<S: Service + 'static, F>(mut start: Start<S::Note>, make: &Arc<F>) -> SeatReport
where
    F: Fn(u16, &Arc<Board>) -> S + Send + Sync + 'static,
{
    let core = start.core();
    let (sockets, info) = match prepare(&start.plan, core, start.nofile, || Ok(PollSet::default())) {
        Ok(made) => made,
        Err(error) => return start.refuse(error),
    };
    // What its workers wake up by is taken from what it has for connections.
    let fits = descriptors(&start.plan, start.nofile).saturating_sub(start.workers.len()).max(1);
    let info = SeatInfo { connections_max: info.connections_max.min(fits), ..info };
    let shard = Shard::new(&start, make, info.connections_max);
    let staff = match Staff::hire(&mut start, &shard) {
        Ok(staff) => staff,
        Err(error) => return start.refuse(error),
    };
    let foreman = Foreman::new(&shard, staff);
    let mut readiness = Readiness::start(start, sockets, info, foreman, &**make);
    if let Err(error) = readiness.run() {
        panic!("a seat's poll failed: {error}");
    }
    readiness.crew.dispatch.dismiss();
    shard.report(readiness.report(core))
}

/// The workers of one shard, and those who wait for them.
struct Staff {
    lobby: Arc<Lobby>,
    peers: Arc<Peers>,
    seats: Vec<u16>,
    threads: Vec<JoinHandle<()>>,
}

impl Staff {
    /// Starts the workers and waits until each of them serves. Errors: descriptors, threads or memory are short.
    fn hire<S: Service + 'static, F>(
        start: &mut Start<S::Note>,
        shard: &Arc<Shard<F>>,
    ) -> Result<Staff, EngineError>
    where
        F: Fn(u16, &Arc<Board>) -> S + Send + Sync + 'static,
    {
        let posts = std::mem::take(&mut start.workers);
        let lobby = Arc::new(Lobby::new(shard.plan.pool_queue, posts.len()));
        let (seats, threads) = (posts.iter().map(|post| post.seat()).collect(), Vec::new());
        let mut staff = Staff { lobby, peers: shard.peers.clone(), seats, threads };
        let (ready, starts) = mpsc::channel();
        for post in posts {
            let chair = shard.chair(post, Inbox::register()?);
            let (shard, ready) = (shard.clone(), ready.clone());
            let worker = Worker { seat: chair.seat(), lobby: staff.lobby.clone(), serves: None };
            let name = format!("shard-{}-{}", shard.seat, chair.seat());
            let thread = Builder::new().name(name).spawn(move || serve(&shard, chair, worker, ready));
            staff.threads.push(thread.map_err(|errno| linux::Error::Os { what: "start a worker", errno })?);
        }
        drop(ready);
        starts.into_iter().collect::<Result<(), EngineError>>()?;
        Ok(staff)
    }

    /// Lets the workers go, who have nothing to do any more, and waits until they have gone.
    fn dismiss(&mut self) {
        self.send_home();
        for thread in self.threads.drain(..) {
            thread.join().unwrap_or_else(|panic| resume_unwind(panic));
        }
    }

    fn send_home(&self) {
        self.lobby.closed.store(true, Ordering::Release);
        self.seats.iter().for_each(|seat| self.peers.notify(*seat));
    }
}

impl Drop for Staff {
    fn drop(&mut self) {
        // Where the shard could not start, its workers end before that is said; where it panicked, by themselves.
        self.send_home();
        if !std::thread::panicking() {
            self.threads.drain(..).for_each(|thread| drop(thread.join()));
        }
    }
}

impl Dispatch for Staff {
    fn is_full(&self, _: usize) -> bool {
        self.lobby.is_full()
    }

    fn places(&self, room: usize, away: usize) -> usize {
        room.saturating_sub(away)
    }

    fn bring(&mut self, visit: Visit) -> Result<(), Visit> {
        if let Some(idle) = self.lobby.come_in(visit) {
            self.peers.notify(idle);
        }
        Ok(())
    }

    fn give_up(&mut self) -> usize {
        self.lobby.clear().len()
    }
}

/// Where connections wait for a worker, and workers for a connection.
struct Lobby {
    inside: Mutex<Inside>,
    /// How many connections wait, for a worker who wants to know whether any does.
    waiting: AtomicUsize,
    /// Nobody will come any more.
    closed: AtomicBool,
    /// Connections that may wait while every worker has one.
    most: usize,
}

struct Inside {
    /// First in, first out.
    visits: VecDeque<Visit>,
    /// Workers who sleep, each once. The last to lie down is woken first: its memory is the likeliest to be in the cache.
    asleep: Vec<u16>,
    /// Workers without a connection, those included who were woken and have not come yet.
    vacant: usize,
}

impl Lobby {
    fn new(most: usize, workers: usize) -> Lobby {
        let inside = Inside { visits: VecDeque::new(), asleep: Vec::new(), vacant: workers };
        let (waiting, closed) = (AtomicUsize::new(0), AtomicBool::new(false));
        Lobby { inside: Mutex::new(inside), waiting, closed, most }
    }

    fn is_full(&self) -> bool {
        let inside = self.open();
        inside.visits.len() >= self.most + inside.vacant
    }

    /// A connection waits from now on; returns the worker to wake for it, if one sleeps.
    fn come_in(&self, visit: Visit) -> Option<u16> {
        let mut inside = self.open();
        inside.visits.push_back(visit);
        self.waiting.store(inside.visits.len(), Ordering::Release);
        inside.asleep.pop()
    }

    /// The connection that has waited longest. Where there is none the worker is known to sleep. `was_vacant`: it had none
    /// before either.
    fn next(&self, worker: u16, was_vacant: bool) -> Option<Visit> {
        let mut inside = self.open();
        let visit = inside.visits.pop_front();
        self.waiting.store(inside.visits.len(), Ordering::Release);
        match (&visit, was_vacant) {
            (Some(_), true) => inside.vacant -= 1,
            (None, false) => inside.vacant += 1,
            _ => {}
        }
        match &visit {
            // It need not have been woken for this one: whoever looks while somebody waits may be first.
            Some(_) => inside.asleep.retain(|asleep| *asleep != worker),
            None if !inside.asleep.contains(&worker) => inside.asleep.push(worker),
            None => {}
        }
        visit
    }

    /// All that wait.
    fn clear(&self) -> VecDeque<Visit> {
        let mut inside = self.open();
        self.waiting.store(0, Ordering::Release);
        std::mem::take(&mut inside.visits)
    }

    fn open(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().expect("nothing panics under this lock")
    }
}

/// The life of one worker.
fn serve<S: Service, F>(
    shard: &Shard<F>,
    chair: Chair<S::Note>,
    worker: Worker,
    ready: mpsc::Sender<Result<(), EngineError>>,
) where
    F: Fn(u16, &Arc<Board>) -> S,
{
    let mut readiness = match shard.buffers() {
        Ok(pool) => shard.open(chair, pool, worker),
        Err(error) => return drop(ready.send(Err(error))),
    };
    // The only thing that it says: who starts the workers waits until nobody can say anything more.
    let _ = ready.send(Ok(()));
    drop(ready);
    if let Err(error) = readiness.run() {
        panic!("a seat's poll failed: {error}");
    }
    shard.close(readiness);
}

/// The crew of a worker.
struct Worker {
    seat: u16,
    lobby: Arc<Lobby>,
    /// What it serves, in the books of its shard.
    serves: Option<Entry>,
}

impl Crew for Worker {
    fn next(&mut self, vacant: bool, over: bool, meter: &Meter) -> Option<(OwnedFd, ListenerId)> {
        if !vacant {
            return None;
        }
        let mut was_vacant = self.serves.take().is_none();
        let Visit { fd, listener, entry } = loop {
            let visit = self.lobby.next(self.seat, was_vacant)?;
            if !over {
                break visit;
            }
            // Those who wait have no time left, and a worker's deadline may come before its shard's.
            meter.shed.inc();
            was_vacant = false;
        };
        self.serves = Some(entry);
        Some((fd, listener))
    }

    fn has_news(&self) -> bool {
        let (waiting, closed) = (&self.lobby.waiting, &self.lobby.closed);
        self.serves.is_none() && (waiting.load(Ordering::Acquire) > 0 || closed.load(Ordering::Acquire))
    }

    fn is_idle(&self) -> bool {
        false
    }

    fn is_done(&self, _: bool, vacant: bool) -> bool {
        vacant && self.lobby.closed.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::crew::Books;

    /// Somebody who waits, by a descriptor that is at hand.
    fn visit(books: &Arc<Books>) -> Visit {
        let fd = OwnedFd::from(std::fs::File::open("/dev/null").expect("it is there"));
        Visit { fd, listener: ListenerId(0), entry: Entry::new(books) }
    }

    #[test]
    fn a_worker_that_took_what_another_was_woken_for_is_not_woken_while_it_serves() {
        let inbox = Inbox::register().expect("there is an inbox");
        let (books, lobby) = (Arc::new(Books::new(inbox.parker())), Lobby::new(8, 3));
        (6..9).for_each(|worker| assert!(lobby.next(worker, true).is_none()));
        assert_eq!(lobby.come_in(visit(&books)), Some(8));
        assert!(lobby.next(7, true).is_some(), "7 had not parked yet, and saw it first");
        assert!(lobby.next(8, true).is_none(), "8 was woken for nothing");
        let woken: Vec<Option<u16>> = (0..3).map(|_| lobby.come_in(visit(&books))).collect();
        assert_eq!(woken, [Some(8), Some(6), None], "7 serves");
    }

    #[test]
    fn a_lobby_is_full_when_every_worker_has_a_connection_or_is_to_get_one_and_as_many_wait_as_may() {
        let inbox = Inbox::register().expect("there is an inbox");
        let (books, lobby) = (Arc::new(Books::new(inbox.parker())), Lobby::new(1, 2));
        assert!(
            lobby.next(7, true).is_none() && lobby.next(8, true).is_none() && lobby.next(8, true).is_none()
        );
        let woken: Vec<Option<u16>> = (0..3).map(|_| lobby.come_in(visit(&books))).collect();
        assert_eq!(woken, [Some(8), Some(7), None], "each is woken once, the last to lie down first");
        // Two have a worker that has not come yet.
        assert!(lobby.is_full());
        let (first, second) = (lobby.next(7, true), lobby.next(8, true));
        assert!(first.is_some() && second.is_some() && lobby.is_full());
        assert_eq!(books.away(), 3);
        drop(first);
        // It takes the one that waits, and leaves its place to another.
        assert!(lobby.next(7, false).is_some() && !lobby.is_full());
        assert_eq!(lobby.come_in(visit(&books)), None);
        assert!(lobby.is_full());
        assert_eq!((lobby.clear().len(), lobby.is_full()), (1, false));
        drop(second);
        assert_eq!(books.away(), 0, "who was served, given up or dropped on the way has ended");
    }
}

//! The engine of one thread for each connection: started when it is accepted, ended with it, bounded in number.
//!
//! A thread is a seat like any other while it lives (`crew.rs`); its number, mail, wake-up and row of the board are
//! used again by the next. What a thread costs to start and to end is this model's price for each connection, and is not hidden.
//! At the bound the shard accepts no more, and what comes waits in the listener's queue.

use crate::desk::Letter;
use crate::engine::crew::{self, Chair, Crew, Dispatch, Foreman, Shard, Visit};
use crate::engine::readiness::{Readiness, prepare};
use crate::engine::seats::{self, Start};
use crate::mail::Post;
use crate::meter::Board;
use crate::plan::{Control, EngineError, Plan, Running, SeatInfo, SeatReport};
use crate::service::Service;
use linux::limits;
use linux::poll::PollSet;
use linux::wake::Inbox;
use std::panic::resume_unwind;
use std::sync::{Arc, Mutex};
use std::thread::{Builder, JoinHandle};

/// Starts a thread for each shard of the plan and returns when all of them accept, or none.
///
/// `make` builds the service of each seat on that seat's thread: for the shards, and for each connection. Errors: a plan that
/// cannot be, an address that is taken (also by a socket that would share it), a core that is not allowed, limits that are short.
pub fn start<S: Service + 'static>(
    plan: Plan,
    control: Control,
    make: impl Fn(u16, &Arc<Board>) -> S + Send + Sync + 'static,
) -> Result<Running, EngineError> {
    check(&plan)?;
    let nofile = limits::raise_nofile()?.soft;
    let threads = crew::workers_max(&plan, plan.threads_max, nofile, DESCRIPTORS);
    let make = Arc::new(make);
    seats::start_with_workers(plan, control, threads, move |start: Start<S::Note>| {
        live(start, threads, &make)
    })
}

/// Whether a plan can be, as far as that is known without making anything. Errors: as of [`start`].
pub fn check(plan: &Plan) -> Result<(), EngineError> {
    crew::check(plan, plan.threads_max)
}

/// Of a thread: its connection, and its wake-up.
const DESCRIPTORS: usize = 2;

/// The life of one shard, on the thread that accepts.
fn live<S: Service + 'static, F>(mut start: Start<S::Note>, threads: usize, make: &Arc<F>) -> SeatReport
where
    F: Fn(u16, &Arc<Board>) -> S + Send + Sync + 'static,
{
    let core = start.core();
    let (sockets, info) = match prepare(&start.plan, core, start.nofile, || Ok(PollSet::default())) {
        Ok(made) => made,
        Err(error) => return start.refuse(error),
    };
    let info = SeatInfo { connections_max: info.connections_max.min(threads), ..info };
    let shard = Shard::new(&start, make, info.connections_max);
    let spawner = Spawner {
        shard: shard.clone(),
        most: threads,
        fresh: std::mem::take(&mut start.workers),
        free: Arc::default(),
        threads: Vec::new(),
        sweep_at: SWEEP,
    };
    let foreman = Foreman::new(&shard, spawner);
    let mut readiness = Readiness::start(start, sockets, info, foreman, &**make);
    if let Err(error) = readiness.run() {
        panic!("a seat's poll failed: {error}");
    }
    let threads = std::mem::take(&mut readiness.crew.dispatch.threads);
    threads.into_iter().for_each(join);
    shard.report(readiness.report(core))
}

/// Starts threads.
struct Spawner<S: Service, F> {
    shard: Arc<Shard<F>>,
    /// Threads at a time.
    most: usize,
    /// The mail of seats that no thread has had yet.
    fresh: Vec<Post<Letter<S::Note>>>,
    free: Arc<Chairs<S::Note>>,
    /// All that live, and some that have ended.
    threads: Vec<JoinHandle<()>>,
    /// So many of them, and those that have ended are let go of.
    sweep_at: usize,
}

/// Seats of threads that have ended.
type Chairs<N> = Mutex<Vec<Chair<N>>>;

/// Threads that may have ended before anybody looks.
const SWEEP: usize = 64;

impl<S: Service + 'static, F> Dispatch for Spawner<S, F>
where
    F: Fn(u16, &Arc<Board>) -> S + Send + Sync + 'static,
{
    fn is_full(&self, away: usize) -> bool {
        away >= self.most
    }

    fn places(&self, room: usize, away: usize) -> usize {
        room.min(self.most).saturating_sub(away)
    }

    fn bring(&mut self, visit: Visit) -> Result<(), Visit> {
        self.sweep();
        let Some(chair) = self.chair() else { return Err(visit) };
        let name = format!("shard-{}-{}", self.shard.seat, chair.seat());
        // Not moved into the thread: were there none, it would be lost with it.
        let parcel = Arc::new(Mutex::new(Some((chair, visit))));
        let (theirs, shard, free) = (parcel.clone(), self.shard.clone(), self.free.clone());
        let life = move || {
            let taken = theirs.lock().expect("nothing panics under this lock").take();
            let (chair, visit) = taken.expect("it is taken once");
            drop(theirs);
            serve(&shard, chair, visit, &free);
        };
        match Builder::new().name(name).spawn(life) {
            Ok(thread) => self.threads.push(thread),
            Err(_) => {
                let taken = parcel.lock().expect("nothing panics under this lock").take();
                let (chair, visit) = taken.expect("no thread was there to take it");
                put_back(&self.free, chair);
                return Err(visit);
            }
        }
        Ok(())
    }

    fn give_up(&mut self) -> usize {
        // Nobody waits: a thread that starts has its connection, and ends it.
        0
    }
}

impl<S: Service, F> Spawner<S, F> {
    /// A seat that no thread has: one that was used before, or a new one. `None` where the machine has no descriptor for it.
    fn chair(&mut self) -> Option<Chair<S::Note>> {
        let used = self.free.lock().expect("nothing panics under this lock").pop();
        used.or_else(|| {
            let inbox = Inbox::register().ok()?;
            Some(self.shard.chair(self.fresh.pop()?, inbox))
        })
    }

    /// Lets go of the threads that have ended, so that they are no more than those that live and as many again.
    fn sweep(&mut self) {
        if self.threads.len() < self.sweep_at {
            return;
        }
        let (ended, live) = std::mem::take(&mut self.threads).into_iter().partition(JoinHandle::is_finished);
        self.threads = live;
        self.sweep_at = 2 * self.threads.len() + SWEEP;
        let ended: Vec<JoinHandle<()>> = ended;
        ended.into_iter().for_each(join);
    }
}

/// The life of one thread: as long as that of its connection.
fn serve<S: Service, F>(shard: &Shard<F>, chair: Chair<S::Note>, visit: Visit, free: &Chairs<S::Note>)
where
    F: Fn(u16, &Arc<Board>) -> S,
{
    let Visit { fd, listener, entry } = visit;
    let chair = match shard.buffers() {
        Ok(pool) => {
            let mut readiness = shard.open(chair, pool, Visited);
            readiness.serve(fd, listener);
            if let Err(error) = readiness.run() {
                panic!("a seat's poll failed: {error}");
            }
            shard.close(readiness)
        }
        // Without memory there is no way to serve it, here or elsewhere.
        Err(_) => {
            shard.board.seat(usize::from(chair.seat())).accept_errors.inc();
            chair
        }
    };
    put_back(free, chair);
    // Last: who sees that there is a place again finds a seat for it.
    drop(entry);
}

/// The crew of a thread that has its connection from the beginning.
struct Visited;

impl Crew for Visited {
    fn is_idle(&self) -> bool {
        false
    }

    fn is_done(&self, _: bool, vacant: bool) -> bool {
        vacant
    }
}

fn put_back<N: Send>(free: &Chairs<N>, chair: Chair<N>) {
    free.lock().expect("nothing panics under this lock").push(chair);
}

/// A thread that panicked takes its shard with it.
fn join(thread: JoinHandle<()>) {
    thread.join().unwrap_or_else(|panic| resume_unwind(panic));
}

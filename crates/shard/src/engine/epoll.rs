//! The epoll engine: one set a seat, level-triggered; what is ready is received and sent by calls of its own.
//!
//! The loop is that of `readiness.rs`; here is what epoll(7) has of its own. A connection costs one `epoll_ctl` when it begins
//! and one each time that it waits for something else: a full socket, a pause.

use crate::engine::crew::{Alone, Crew};
use crate::engine::readiness::{Readiness, prepare};
use crate::engine::seats::{self, Start};
use crate::engine::sockets::{Sockets, Watch};
use crate::meter::Board;
use crate::plan::{Control, EngineError, Plan, Running, SeatInfo, SeatReport};
use crate::service::Service;
use linux::epoll::Epoll;
use linux::poll::{Event, Interest};
use std::os::fd::BorrowedFd;
use std::sync::Arc;

/// Starts a thread for each seat of the plan and returns when all of them serve, or none.
///
/// `make` builds the service of each seat on that seat's thread. Errors: a plan that cannot be, an address that is taken
/// (also by a socket that would share it), a core that is not allowed, limits that are short.
pub fn start<S: Service + 'static>(
    plan: Plan,
    control: Control,
    make: impl Fn(u16, &Arc<Board>) -> S + Send + Sync + 'static,
) -> Result<Running, EngineError> {
    seats::start(plan, control, move |start: Start<S::Note>| live(start, &make))
}

/// Whether a plan can be, as far as that is known without making anything. Errors: as of [`start`].
pub fn check(plan: &Plan) -> Result<(), EngineError> {
    seats::check(plan)
}

/// Events of one wait: what is ready beyond them is told by the next.
const EVENTS_MAX: usize = 512;

fn live<S: Service>(
    mut start: Start<S::Note>,
    make: &(impl Fn(u16, &Arc<Board>) -> S + Send + Sync),
) -> SeatReport {
    let core = start.core();
    let (sockets, info) = match prepare(&start.plan, core, start.nofile, || Epoll::new(EVENTS_MAX)) {
        Ok(made) => made,
        Err(error) => return start.refuse(error),
    };
    match start.hand_off(info.connections_max) {
        None => serve(start, sockets, info, Alone, make),
        Some(hand_off) => serve(start, sockets, info, hand_off, make),
    }
}

fn serve<S: Service>(
    start: Start<S::Note>,
    sockets: Sockets<Epoll>,
    info: SeatInfo,
    crew: impl Crew,
    make: &(impl Fn(u16, &Arc<Board>) -> S + Send + Sync),
) -> SeatReport {
    let core = start.core();
    let mut readiness = Readiness::start(start, sockets, info, crew, make);
    if let Err(error) = readiness.run() {
        panic!("a seat's epoll set failed: {error}");
    }
    readiness.report(core)
}

impl Watch for Epoll {
    const CALLS_A_CHANGE: u64 = 1;
    const EVENTS_MAX: usize = EVENTS_MAX;

    fn set(
        &mut self,
        fd: BorrowedFd<'_>,
        before: Interest,
        now: Interest,
        token: u64,
    ) -> Result<(), linux::Error> {
        match (before.is_none(), now.is_none()) {
            (true, _) => self.add(fd, now, token),
            (false, false) => self.change(fd, now, token),
            (false, true) => self.remove(fd),
        }
    }

    fn wait(&mut self, timeout_ns: Option<u64>, events: &mut Vec<Event>) -> Result<(), linux::Error> {
        Epoll::wait(self, timeout_ns, events)
    }
}

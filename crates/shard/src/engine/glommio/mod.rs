//! The glommio engine: glommio 0.9's executor on each seat, its streams and sockets, one task for each connection.
//!
//! glommio has rings of its own, and does not receive or send by them: a stream polls its descriptor through the ring, then calls
//! recv(2) and send(2). What it gives and what it cannot is in docs/decisions/0010-glommio.md.
//!
//! - `tasks.rs`: what runs; `hub.rs`: what the tasks share; `streams.rs`: the sockets, which are the seat's port

mod hub;
mod streams;
mod tasks;

use crate::engine::seats::{self, Start};
use crate::meter::Board;
use crate::plan::{Control, EngineError, Plan, Running, SeatInfo, SeatReport, Transport, Wake};
use crate::service::Service;
use glommio::{CpuSet, GlommioError, LocalExecutor, LocalExecutorBuilder, Placement};
use hub::Hub;
use linux::ring::RingError;
use linux::{Pool, limits};
use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// Starts a thread for each seat of the plan and returns when all of them serve, or none.
///
/// `make` builds the service of each seat on that seat's thread. Errors: a plan that cannot be, an address that is taken
/// (also by a socket that would share it), a core that is not allowed, limits that are short, a ring that is refused, and a
/// datagram listener on a wildcard address.
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
    let wild = |transport, ip: std::net::IpAddr| transport == Transport::Udp && ip.is_unspecified();
    if let Some(listen) = plan.listeners.iter().find(|l| wild(l.transport, l.address.ip())) {
        return Err(EngineError::Plan(format!(
            "the engine glommio cannot serve udp on {}: its sockets do not tell which address was asked; name one, or take \
             another engine",
            listen.address
        )));
    }
    let (seats, have) = (plan.cores.len() as u64, limits::memlock()?.soft);
    // glommio looks at the limit itself, and does not ask for the capability that lifts it.
    if have < LIMIT_LEAST_BYTES {
        return Err(memlock("glommio", LIMIT_LEAST_BYTES, have));
    }
    if have < seats * SEAT_BYTES && !limits::has_cap_ipc_lock() {
        return Err(memlock("glommio's three rings for each shard", seats * SEAT_BYTES, have));
    }
    // Where a ring is refused, glommio panics.
    linux::ring::probe(&linux::ring::Factors::BEST)?;
    Ok(())
}

fn memlock(what: &'static str, need: u64, have: u64) -> EngineError {
    RingError::Memlock { what, need, have }.into()
}

/// Rings of one executor.
const RINGS: u64 = 3;
/// Memory that an executor registers with each of its rings. It is for files: streams never use it, a datagram that has to wait
/// does for a moment. So it is the least that glommio takes, where its default is 10 MiB, which no plain user's limit allows.
const REGISTERED_BYTES: usize = 64 * 1024;
/// Locked memory that a seat is charged with, rings included: 448 KiB as VmPin of proc(5) says on Linux 6.18. Where it is short
/// glommio writes a line to a log that nobody keeps, and goes on without.
const SEAT_BYTES: u64 = 512 * 1024;
/// What glommio itself asks of RLIMIT_MEMLOCK.
const LIMIT_LEAST_BYTES: u64 = 512 * 1024;
/// Descriptors of one executor: its rings, its eventfd, and the duplicate of ours that it waits on.
const EXECUTOR_DESCRIPTORS: u64 = RINGS + 2;
/// Standard streams and what the process opens for itself.
const PROCESS_DESCRIPTORS: u64 = 16;
/// Places of late listeners, and what is closing.
const SEAT_DESCRIPTORS: u64 = 24;
/// After how long glommio takes a task off its core. It never has to: tasks end their share by themselves. And it must not: where
/// this timer fires between setting it and looking at the tasks, glommio 0.9 sleeps beside tasks that could run (`run_task_queues`
/// leaves at once and says that it ran none), until something else wakes it.
const PREEMPT: Duration = Duration::from_secs(24 * 60 * 60);

/// The life of one seat, on its thread.
fn live<S: Service + 'static>(
    start: Start<S::Note>,
    make: &(impl Fn(u16, &Arc<Board>) -> S + Send + Sync),
) -> SeatReport {
    let core = start.core();
    let (executor, pool, info) = match prepare(&start.plan, core, start.nofile) {
        Ok(made) => made,
        Err(error) => return start.refuse(error),
    };
    executor.run(async move {
        let hub = Rc::new(RefCell::new(Hub::new(start, pool, info, make)));
        tasks::serve(hub.clone()).await;
        hub.borrow_mut().report(core)
    })
}

/// Makes what a seat needs: the executor first, which pins the thread, so that memory is first touched where it will be used.
/// Errors leave the seat unstarted.
fn prepare(
    plan: &Plan,
    core: Option<usize>,
    nofile: u64,
) -> Result<(LocalExecutor, Pool, SeatInfo), EngineError> {
    let executor = executor(core, plan.spin).map_err(refused)?;
    if plan.wake != Wake::Sleep || plan.stamps {
        linux::clock::set_timer_slack_ns(1)?;
    }
    let memory = |errno| linux::Error::Os { what: "map the receive buffers", errno };
    let pool = Pool::new(plan.pool).map_err(memory)?;
    // Descriptors belong to the process: each seat keeps to its part of them. glommio has a second one of each listener, and
    // perhaps a connection that waits for its place.
    let share = (nofile - PROCESS_DESCRIPTORS.min(nofile / 4)) / plan.cores.len() as u64;
    let kept = EXECUTOR_DESCRIPTORS + SEAT_DESCRIPTORS + 3 * plan.listeners.len() as u64;
    let fits = usize::try_from(share - kept.min(share / 2)).unwrap_or(usize::MAX);
    let connections_max = plan.connections_max.min(fits.max(1));
    Ok((executor, pool, SeatInfo { core, ring: None, rings: 0, connections_max }))
}

/// An executor on this thread. One that is to spin must be bound: glommio spins on no other, so where no core is named it is
/// bound to all of them.
fn executor(core: Option<usize>, spin: Duration) -> Result<LocalExecutor, GlommioError<()>> {
    let placement = match core {
        Some(core) => Placement::Fixed(core),
        None if spin.is_zero() => Placement::Unbound,
        None => Placement::Fenced(CpuSet::online()?),
    };
    LocalExecutorBuilder::new(placement)
        .spin_before_park(spin)
        .io_memory(REGISTERED_BYTES)
        .preempt_timer(PREEMPT)
        .make()
}

/// Why there is no executor.
fn refused(error: GlommioError<()>) -> EngineError {
    linux::Error::Os { what: "start glommio's executor", errno: io::Error::from(error) }.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Listen;
    use glommio::{TaskQueueHandle, spawn_local_into};
    use std::net::SocketAddr;
    use std::sync::mpsc;

    /// Never reached unless the test fails.
    const PATIENCE: Duration = Duration::from_secs(30);

    fn udp(address: &str) -> Plan {
        let address: SocketAddr = address.parse().expect("an address");
        let listener = Listen {
            transport: Transport::Udp,
            address,
            v6only: false,
            seat: None,
            late: false,
            refusal: None,
        };
        Plan { listeners: vec![listener], ..Plan::default() }
    }

    #[test]
    fn a_wildcard_for_datagrams_is_refused_with_its_address_and_streams_have_any() {
        for wild in ["0.0.0.0:53", "[::]:53"] {
            let refusal =
                check(&udp(wild)).expect_err("it could not answer from the address asked").to_string();
            assert!(refusal.contains(wild) && refusal.contains("glommio"), "{refusal}");
        }
        let mut plan = udp("0.0.0.0:53");
        plan.listeners[0].transport = Transport::Tcp;
        check(&plan).expect("this machine has io_uring, as the other tests need it");
    }

    #[test]
    fn an_executor_does_not_sleep_beside_a_task_that_can_run() {
        // With a PREEMPT of a nanosecond, which fires before the first look at the tasks each time, this never ends.
        let (done, ended) = mpsc::channel();
        std::thread::spawn(move || {
            let executor = executor(None, Duration::ZERO).expect("an executor can be made");
            let count = executor.run(async {
                let mut count = 0;
                for _ in 0..1000 {
                    count +=
                        spawn_local_into(async { 1 }, TaskQueueHandle::default()).expect("a queue").await;
                }
                count
            });
            done.send(count).expect("the test waits");
        });
        assert_eq!(ended.recv_timeout(PATIENCE), Ok(1000), "it sleeps beside a task that can run");
    }
}

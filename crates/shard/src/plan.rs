//! What an engine is to run, and the handles to what it runs. Checked whole before the first thread starts.

use crate::meter::{Board, Snapshot};
use linux::console::Failure;
use linux::ring::{Factors, Features};
use linux::wake::Parker;
use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// Everything an engine needs to know. The defaults are those of `ringmill`.
#[derive(Clone)]
pub struct Plan {
    /// The core of each seat; `None` leaves a seat unpinned. At least one, at most 4,096.
    pub cores: Vec<Option<usize>>,
    /// What to listen on, on every seat that a listener names.
    pub listeners: Vec<Listen>,
    /// Most connections of one seat, outgoing ones included. At the bound accept stops and `accepts_paused` counts.
    pub connections_max: usize,
    /// Connections that wait to be accepted, a listener (listen(2); the kernel caps it at net.core.somaxconn).
    pub backlog: u32,
    /// Which seat of a listener gets a connection.
    pub accept: Accept,
    /// Most connections that a shard of the engine `threads` serves at a time, each by a thread of its own, 1 to 4,095. A thread
    /// needs two descriptors, so the real bound may be lower. At it accept stops and `accepts_paused` counts.
    pub threads_max: u16,
    /// Threads of a shard of the engine `pool`, 1 to 4,095; few descriptors may make it fewer.
    pub pool_workers: u16,
    /// Connections of a shard that wait for one of them, at least 1. Further ones are turned away and `shed` counts; where
    /// [`connections_max`](Plan::connections_max) is reached first, accept stops instead.
    pub pool_queue: usize,
    /// Receive buffers of each seat.
    pub pool: linux::pool::Plan,
    /// How long a seat looks for work before it sleeps; 0 sleeps at once.
    pub spin: Duration,
    /// How the deadline of [`Io::wake_at_ns`](crate::Io::wake_at_ns) is waited for.
    pub wake: Wake,
    /// The engine notes when each leg's bytes were last given to the kernel ([`Io::sent_ns`](crate::Io::sent_ns)). Costs a
    /// clock reading for each turn that sends, and 8 bytes a leg; the submission queue is made larger for it, so that it is
    /// not full before the clock was read.
    pub stamps: bool,
    /// Most sends of one turn, at least 1; what is more keeps its place and goes in the next turn, which begins at once.
    /// A turn's sends share one stamp, so few of them make it precise. What a send left over is not counted.
    pub turn_sends: u32,
    /// When a send goes out by `SEND_ZC`.
    pub zero_copy: ZeroCopy,
    /// A leg on which nothing moved for so long is closed; `None` is never.
    pub idle: Option<Duration>,
    /// A connection that has been idle for so long waits by a poll instead of an armed receive, which saves the kernel's memory
    /// for it; 0 is never. Of the engine uring.
    pub park: Duration,
    /// Sockets that connect without an address to come from are made in the ring's table, so that they need no descriptor of the
    /// process, even where one ring is enough. Of the engine uring, with direct descriptors.
    pub ring_sockets: bool,
    /// How long a drain may take before what is left is aborted.
    pub drain: Duration,
    /// Most bytes of output that one leg queues. Peers that read slowly share 64 MiB a seat, their unread input counted:
    /// beyond it each of them queues no more than 16 KiB, until it has read what was sent.
    pub out_max: usize,
    /// How the rings of the io_uring engine differ from the default: for experiments and tests.
    pub ring: Factors,
}

impl Default for Plan {
    fn default() -> Plan {
        Plan {
            cores: vec![None],
            listeners: Vec::new(),
            connections_max: 100_000,
            backlog: 4096,
            accept: Accept::Reuseport,
            threads_max: 512,
            pool_workers: 64,
            pool_queue: 256,
            pool: linux::pool::Plan::default(),
            spin: Duration::ZERO,
            wake: Wake::Sleep,
            stamps: false,
            turn_sends: u32::MAX,
            zero_copy: ZeroCopy::Auto,
            idle: None,
            park: Duration::from_secs(5),
            ring_sockets: false,
            drain: Duration::from_secs(10),
            out_max: 256 * 1024,
            ring: Factors::default(),
        }
    }
}

/// One listener. Each of its seats has a socket of its own on the same address (SO_REUSEPORT, socket(7)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listen {
    /// Stream or datagram.
    pub transport: Transport,
    /// Where; port 0 lets the kernel choose one, the same for all seats.
    pub address: SocketAddr,
    /// For `[::]`: `true` leaves IPv4 out, `false` takes it in (dual stack).
    pub v6only: bool,
    /// The only seat that has it, or all.
    pub seat: Option<u16>,
    /// It serves through the drain and is closed last: for health checks and metrics.
    pub late: bool,
    /// What a connection is answered that has to be turned away, before it is closed. No session is opened for it, so nobody
    /// else could say it.
    pub refusal: Option<&'static [u8]>,
}

pub use linux::net::Transport;

/// Which seat of a TCP listener gets a connection. Datagrams always go by the hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accept {
    /// By a hash of the addresses (`SO_REUSEPORT`): even over many connections, uneven over few.
    Reuseport,
    /// That of the core on which the handshake came in (`SO_ATTACH_REUSEPORT_CBPF`); by the hash where that core has no seat.
    /// Takes pinned seats, a core each.
    Cbpf,
    /// Each in its turn: the first seat accepts for all, and hands connections over by mail. Of the engines uring and epoll.
    HandOff,
}

impl FromStr for Accept {
    type Err = String;

    fn from_str(text: &str) -> Result<Accept, String> {
        match text {
            "reuseport" => Ok(Accept::Reuseport),
            "cbpf" => Ok(Accept::Cbpf),
            "hand-off" => Ok(Accept::HandOff),
            _ => Err(format!("`{text}`: expected reuseport, cbpf or hand-off")),
        }
    }
}

impl fmt::Display for Accept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Accept::Reuseport => "reuseport",
            Accept::Cbpf => "cbpf",
            Accept::HandOff => "hand-off",
        })
    }
}

/// How a seat waits for its exact deadline, when nothing else happens. Work that comes ends each of them at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wake {
    /// In the kernel: late by what its timer and the scheduler take, some 5 to 100 us.
    Sleep,
    /// In the kernel until 100 us before it, then looking for work in memory.
    Hybrid,
    /// Looking for work in memory all the time: a core is busy for it.
    Spin,
}

/// When a send goes out by `SEND_ZC` from registered memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ZeroCopy {
    /// From 32 KiB on; given up on a leg whose sends the kernel reports as copied (loopback and veth always do). Such a
    /// send is a part of one receive buffer, so it takes buffers of 32 KiB or more: with those of 16 KiB that are the
    /// default it never happens.
    Auto,
    /// Never.
    Off,
    /// From this many bytes on, whatever the kernel reports.
    AtLeast(u32),
}

/// What is to become of the run. One per run, shared by all who may say so.
#[derive(Clone, Default)]
pub struct Control(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: AtomicU8,
    /// Locked when a seat starts and when a run is told to stop, never on the way of a byte.
    parkers: Mutex<Vec<&'static Parker>>,
}

/// How far a run has been told to stop. It only moves down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stop {
    /// Not at all.
    Run,
    /// Accept nothing new, let what is begun end.
    Drain,
    /// Now.
    Abort,
}

impl Control {
    /// Lets every seat drain. Returns at once.
    pub fn drain(&self) {
        self.tell(Stop::Drain);
    }

    /// Ends every seat now; what lives is reset. Returns at once.
    pub fn abort(&self) {
        self.tell(Stop::Abort);
    }

    /// How far the run has been told to stop.
    pub fn stop(&self) -> Stop {
        match self.0.state.load(Ordering::Acquire) {
            0 => Stop::Run,
            1 => Stop::Drain,
            _ => Stop::Abort,
        }
    }

    pub(crate) fn add(&self, parker: &'static Parker) {
        self.0.parkers.lock().expect("nothing panics under this lock").push(parker);
    }

    fn tell(&self, stop: Stop) {
        self.0.state.fetch_max(stop as u8, Ordering::SeqCst);
        self.0.parkers.lock().expect("nothing panics under this lock").iter().for_each(|p| p.notify());
    }
}

/// What a seat says of itself once it serves.
#[derive(Clone, Debug)]
pub struct SeatInfo {
    /// The core it is pinned to.
    pub core: Option<usize>,
    /// What the kernel gave its ring, and what is missing and why; `None` where the engine has none.
    pub ring: Option<Features>,
    /// How many rings it has: more than one where a table of descriptors cannot hold its bound of connections. 0 where the
    /// engine has none.
    pub rings: u32,
    /// Its real bound on connections, after the descriptors there are.
    pub connections_max: usize,
}

/// A run that serves.
pub struct Running {
    pub(crate) addresses: Vec<SocketAddr>,
    pub(crate) seats: Vec<SeatInfo>,
    pub(crate) control: Control,
    pub(crate) board: Arc<Board>,
    pub(crate) threads: Vec<JoinHandle<SeatReport>>,
}

impl Running {
    /// The bound address of each listener of the plan, in its order.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// What each seat says of itself.
    pub fn seats(&self) -> &[SeatInfo] {
        &self.seats
    }

    /// The handle to stop it.
    pub fn control(&self) -> &Control {
        &self.control
    }

    /// The live counters.
    pub fn board(&self) -> &Arc<Board> {
        &self.board
    }

    /// Whether every seat has ended, so that `join` returns at once.
    pub fn is_finished(&self) -> bool {
        self.threads.iter().all(|t| t.is_finished())
    }

    /// Waits until every seat has ended. A seat that panicked makes this panic.
    pub fn join(self) -> Report {
        let seats =
            self.threads.into_iter().map(|t| t.join().unwrap_or_else(|p| std::panic::resume_unwind(p)));
        Report { seats: seats.collect() }
    }
}

/// The end of one seat.
#[derive(Clone, Debug)]
pub struct SeatReport {
    /// The core it was pinned to.
    pub core: Option<usize>,
    /// Its counters.
    pub counts: Snapshot,
    /// Submissions without a last completion: 0 after a drain.
    pub in_flight_at_exit: u64,
    /// Buffers not given back: 0 after a drain.
    pub buffers_lent_at_exit: u64,
}

/// The end of a run.
#[derive(Clone, Debug)]
pub struct Report {
    /// One per seat, in the order of the plan.
    pub seats: Vec<SeatReport>,
}

/// Why an engine could not start. Nothing runs then.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The ring: switched off, too old a kernel, memory.
    #[error(transparent)]
    Ring(#[from] linux::ring::RingError),
    /// Sockets, cores, limits.
    #[error(transparent)]
    Linux(#[from] linux::Error),
    /// A plan that cannot be.
    #[error("{0}")]
    Plan(String),
}

impl From<EngineError> for Failure {
    fn from(error: EngineError) -> Failure {
        match error {
            EngineError::Ring(error) => Failure::runtime(error.to_string()).cure_if(error.cure()),
            EngineError::Linux(error) => error.into(),
            EngineError::Plan(what) => Failure::usage(what).cure("`--help`"),
        }
    }
}

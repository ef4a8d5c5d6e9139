//! The loops that drive a seat. Each engine is a file or a folder of its own and knows nothing of the others.
//!
//! - `uring/`: completions, one ring a seat; `epoll.rs`: readiness, one set a seat; `threads.rs`: a thread for each connection;
//!   `pool.rs`: a bounded number of them, and a queue; `sim/`: no kernel at all
//! - `glommio/`: the executor of another project; `glommio_absent.rs` stands for it in a build without
//! - `readiness.rs` and `sockets.rs`: what engines share that are told which descriptors are ready
//! - `crew.rs`: what those share whose shards have more threads than one
//! - `hand_off.rs`: connections that one seat accepts for all
//! - `seats.rs`, `peers.rs`, `timed.rs`, `failure.rs`: what all share that run on threads

mod crew;
pub mod epoll;
mod failure;
#[cfg(feature = "glommio")]
pub mod glommio;
#[cfg(not(feature = "glommio"))]
#[path = "glommio_absent.rs"]
pub mod glommio;
mod hand_off;
mod peers;
pub mod pool;
mod readiness;
mod seats;
pub mod sim;
mod sockets;
pub mod threads;
mod timed;
pub mod uring;

use crate::meter::Board;
use crate::plan::{Accept, Control, EngineError, Plan, Running};
use crate::service::Service;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// An engine that serves over sockets: how a seat learns what happened and has its wishes carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// io_uring: completions ([`uring`]).
    Uring,
    /// epoll: readiness ([`epoll`]).
    Epoll,
    /// A thread for each connection ([`threads`]).
    Threads,
    /// So many threads, and a queue before them ([`pool`]).
    Pool,
    /// glommio 0.9: a task for each connection ([`glommio`]).
    Glommio,
}

impl Engine {
    /// Every engine there is, the default first.
    pub const ALL: [Engine; 5] =
        [Engine::Uring, Engine::Epoll, Engine::Threads, Engine::Pool, Engine::Glommio];

    /// What it is called.
    pub fn name(self) -> &'static str {
        match self {
            Engine::Uring => "uring",
            Engine::Epoll => "epoll",
            Engine::Threads => "threads",
            Engine::Pool => "pool",
            Engine::Glommio => "glommio",
        }
    }

    /// Whether a request may cost it an allocation: glommio makes a record of each wait.
    pub fn allocates(self) -> bool {
        self == Engine::Glommio
    }

    /// Whether a datagram listener on a wildcard address can be served: answers must come from the address that was asked, and
    /// glommio's sockets do not tell which one that was.
    pub fn serves_udp_wildcards(self) -> bool {
        self != Engine::Glommio
    }

    /// Whether [`Accept::HandOff`] can be had.
    pub fn hands_off(self) -> bool {
        matches!(self, Engine::Uring | Engine::Epoll)
    }

    fn can_accept(self, plan: &Plan) -> Result<(), EngineError> {
        match plan.accept {
            Accept::HandOff if !self.hands_off() => Err(EngineError::Plan(format!(
                "the engine {self} does not hand connections from one shard to another: take uring or epoll, or another way to \
                 accept"
            ))),
            _ => Ok(()),
        }
    }

    /// Starts the seats of a plan and returns when all of them serve, or none. `make` builds the service of each seat on that
    /// seat's thread.
    ///
    /// Errors: a plan that cannot be, an address that is taken (also by a socket that would share it), a core that is not
    /// allowed, limits that are short, and what the engine itself needs.
    pub fn start<S: Service + 'static>(
        self,
        plan: Plan,
        control: Control,
        make: impl Fn(u16, &Arc<Board>) -> S + Send + Sync + 'static,
    ) -> Result<Running, EngineError> {
        self.can_accept(&plan)?;
        match self {
            Engine::Uring => uring::start(plan, control, make),
            Engine::Epoll => epoll::start(plan, control, make),
            Engine::Threads => threads::start(plan, control, make),
            Engine::Pool => pool::start(plan, control, make),
            Engine::Glommio => glommio::start(plan, control, make),
        }
    }

    /// Whether a plan can be, as far as that is known without making anything. Errors: as of [`Engine::start`].
    pub fn check(self, plan: &Plan) -> Result<(), EngineError> {
        self.can_accept(plan)?;
        match self {
            Engine::Uring => uring::check(plan),
            Engine::Epoll => epoll::check(plan),
            Engine::Threads => threads::check(plan),
            Engine::Pool => pool::check(plan),
            Engine::Glommio => glommio::check(plan),
        }
    }
}

impl FromStr for Engine {
    type Err = String;

    fn from_str(text: &str) -> Result<Engine, String> {
        let all = Engine::ALL.map(Engine::name).join(", ");
        let named = Engine::ALL.into_iter().find(|engine| engine.name() == text);
        named.ok_or_else(|| format!("`{text}` is no engine of this version: there are {all}"))
    }
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

//! What servers do, as state machines and stories on the seam of `shard`.
//!
//! [`any::Any`] serves every kind of listener on one seat; each kind is a module of its own that knows nothing of the others.
//! Nothing here touches a socket, a clock, a thread or the environment: what a service sees comes in events, what it wants
//! goes out in wishes, so all of it runs unchanged on every engine and in the simulation.
#![forbid(unsafe_code)]

pub mod any;
pub mod echo;
pub mod frame;
pub mod http;
pub mod load;
pub mod metrics;
pub mod relay;
pub mod relay_task;
pub mod stall;
pub mod udp_echo;

mod alarm;

//! The load generator: client conversations as sessions on the seam, so that they run on the executor that serves.

mod config;
pub mod http;
mod sink;

pub use config::{CloseBy, Config, Gate, Late, Life, Pace, Talk};
pub use sink::{Gap, Sink};

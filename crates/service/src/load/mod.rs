//! The load generator: client conversations on the seam, so that they run on the executor that serves.
//!
//! One seat has its part of the connections and of the schedule, and needs nobody while it runs. Its root session owns every
//! connection. The way of a request:
//!
//! ```text
//! schedule (pace) -> a free connection (line) -> its bytes (pattern, http) -> Out ... the kernel ... -> Input
//!   -> held against what was to come (reader: echo, frame, http) -> times (record) -> histograms of the step -> sink
//! ```
//!
//! It never reads a clock: intended times are arithmetic, the time of an answer is that of the turn in which it came, and when a
//! request left is told by the engine ([`shard::Io::sent_ns`]).

mod config;
mod connect;
mod echo;
mod frame;
mod generator;
mod hear;
pub mod hold;
pub mod http;
mod line;
mod pace;
mod pattern;
mod probe;
mod reader;
mod record;
mod send;
mod sink;
mod sockets;
pub mod storm;
mod time;
mod udp;

pub use config::{CloseBy, Config, Gate, Late, Life, Pace, Talk};
pub use frame::{BYTES_MAX as FRAME_BYTES_MAX, FRAME_HEADER_BYTES};
pub use generator::Load;
pub use sink::{Gap, Sink};
pub use sockets::{listeners, out_max, step_ns};
pub use udp::{BYTES_MAX as DATAGRAM_BYTES_MAX, BYTES_MIN as DATAGRAM_BYTES_MIN};

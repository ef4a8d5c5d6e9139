//! What one hold is: everything that is fixed before its first connection.

use super::super::config::CloseBy;
use super::super::http;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// One hold, as all its seats see it.
#[derive(Clone, Debug)]
pub struct HoldConfig {
    /// Whom to connect to.
    pub target: SocketAddr,
    /// Addresses to connect to in turn, at the target's port; empty is the target's alone.
    pub to: Vec<IpAddr>,
    /// Addresses to come from, in turn; empty leaves it to the kernel.
    pub from: Vec<IpAddr>,
    /// Seats that share the connections, at least 1.
    pub seats: u16,
    /// Connections in all. Seat `i` has those whose number is `i` modulo `seats`.
    pub connections: u32,
    /// Connects a second, of all seats; `None` is as fast as they go.
    pub ramp_per_s: Option<f64>,
    /// What is said on a connection now and then; `None` is never anything.
    pub heartbeat: Option<Heartbeat>,
    /// How long connections are held once all were opened.
    pub duration: Duration,
    /// A connect, or a heartbeat, without an answer for so long ends its connection.
    pub timeout: Duration,
    /// A connection that was lost, or could not be opened, is tried again a second later.
    pub reopen: bool,
    /// How connections are closed at the end.
    pub close: CloseBy,
    /// Of the order and the jitter of heartbeats, and of their payloads.
    pub seed: u64,
}

/// What is said on each connection, and how often.
#[derive(Clone, Debug)]
pub struct Heartbeat {
    /// From one to the next on the same connection, at least 1 ms.
    pub every: Duration,
    /// What is said.
    pub say: Say,
}

/// What a heartbeat says.
#[derive(Clone, Debug)]
pub enum Say {
    /// A numbered message of 16 bytes, which has to come back.
    Echo,
    /// A request, whose answer has to be of class 2.
    Http(http::Request),
    /// PING, which has to be answered by PONG (docs/FRAME.md). The connection is one of frames: it begins with HELLO.
    Frame(Frames),
}

/// What frame connections do beside their heartbeats.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Frames {
    /// Silent intervals after which a side is dead, as it is wished in HELLO; 0 leaves it to the server.
    pub misses: u32,
    /// When all connections were tried, each sends a frame that has to come back.
    pub echo_once: bool,
    /// So many connections, of all seats, fall silent without being closed: the server has to find them.
    pub mute: u32,
    /// How long after the hold began they do, if the echoes are over by then.
    pub mute_after: Duration,
}

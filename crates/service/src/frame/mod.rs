//! Ringmill's framed protocol over TCP (docs/FRAME.md): the server's side, which echoes, and a client.
//!
//! - `session.rs`: one accepted connection: what it reads and answers
//! - `pulse.rs`: the one timer of it: HELLO in time, heartbeats, the end of a drain
//! - `client.rs`: the other side, on the same executor
//! - `ear.rs`: whether the peer lives, as both sides judge it
//! - `udp/`: the same over datagrams

pub mod client;
mod ear;
mod pulse;
mod session;
pub mod udp;

pub use proto::frame::{Offer, heartbeat};
pub use session::Session;

use std::time::Duration;

/// What a frame listener holds its clients to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// The heartbeat of clients that wish no other, and the longest payload.
    pub offer: Offer,
    /// How long a client may take until its HELLO has come whole, however slowly its bytes come. Default 10 s.
    pub hello: Duration,
}

impl Default for Config {
    fn default() -> Config {
        Config { offer: Offer::default(), hello: Duration::from_secs(10) }
    }
}

//! The framed protocol over datagrams (docs/FRAME.md, "Over UDP"): a server that echoes, and a client.
//!
//! - `server.rs`: what comes to the datagram listeners of a seat, and the table of its peers
//! - `link.rs`: a conversation that was agreed to, the same for both sides
//! - `room.rs`: what is kept for them, and how much of it one host may have
//! - `press.rs`: the memory that frames are written to
//! - `farewell.rs`: whom a drain tells when
//! - `client.rs`: the other side; it has no socket and no clock of its own
//! - `lasting.rs`: a client that comes back
//! - `weather.rs`: loss, duplication and reordering on purpose, for those who test

mod client;
mod farewell;
mod lasting;
mod link;
mod press;
mod room;
mod server;
mod weather;

pub use client::{Client, Closed, Full, Host, News};
pub use lasting::Lasting;
pub use link::{KEPT_BYTES_MAX, Moment, ORDER_MS, PROOF_MS};
pub use proto::frame::udp::{CallerState, Jar, KEY_BYTES};
pub use server::Server;
pub use weather::{Odds, Weather};

use super::Offer;

/// What a listener of datagrams holds its clients to.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// The heartbeat of clients that wish no other, and the longest payload.
    pub offer: Offer,
    /// Gives and checks cookies; the same on all seats.
    pub jar: Jar,
    /// Most peers of one seat; one host (IPv4 address, IPv6 /64) has at most an eighth. Who comes at either bound is told ERROR 16, busy.
    pub peers_max: usize,
}

/// Most peers of one seat, unless somebody says otherwise. One that is idle is about 600 bytes.
pub const PEERS_MAX: usize = 65_536;

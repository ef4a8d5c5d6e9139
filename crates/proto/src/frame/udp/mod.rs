//! The framed protocol over datagrams, one frame each (docs/FRAME.md, "Over UDP").
//!
//! ```text
//! datagram -> frame::datagram -> talk: who may say what, and what is said to strangers
//!                                  |
//!              cookie: is the address its own?      receiver: once, and in order     sender: until it is acknowledged
//! ```
//!
//! No clock, no socket, no memory that a peer can make grow: every call is told the time in milliseconds, and a window is
//! [`WINDOW`] numbers wide. What is kept of a frame is the caller's (`P`), so nothing is copied or allocated for a datagram here.
//!
//! Numbers of acknowledged frames stand in a row: a number is acknowledged, or its sender gives it up and says so (the number of a
//! PING is its sender's *floor*: all below is settled). So a receiver knows of each number in its window whether it came, and
//! nothing is delivered twice or lost without a word. Frames that want no acknowledgement have numbers of their own.

mod cookie;
mod pace;
mod receiver;
mod rtt;
mod sender;
mod talk;
mod window;

pub use cookie::{COOKIE_BYTES, Jar, KEY_BYTES, PERIOD_MS};
pub use receiver::{Receiver, Taken};
pub use rtt::{RTO_FIRST_MS, RTO_MAX_MS, RTO_MIN_MS, Rtt};
pub use sender::{Due, Sender};
pub use talk::{Caller, CallerSays, CallerState, Came, Known, ServerSays, server};

/// Numbers that a sender may be ahead of the oldest that is not settled, and that a receiver tells apart.
pub const WINDOW: u32 = 256;

/// How often a frame is sent until it is given up, the first time included: where 19 % of the tries fail (10 % of the frames and
/// 10 % of the ACKs are lost) one in 600,000 is.
pub const TRIES_MAX: u8 = 8;

/// How far `seq` is ahead of `of`, on numbers modulo 2^32 (RFC 1982).
const fn ahead(seq: u32, of: u32) -> i32 {
    seq.wrapping_sub(of) as i32
}

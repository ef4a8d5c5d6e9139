//! Ringmill's framed protocol, as both sides of it read and write it, over a stream or one frame a datagram (docs/FRAME.md).
//!
//! ```text
//! bytes -> Header::read -> Conversation::on -> what to do about it
//!             |
//!             +-> Body: where the payload ends, and its sum; the payload itself goes on in the caller's chunks
//! ```
//!
//! The payload is never held here, nor is a frame put together: 16 bytes must stand in a row, the rest may come in any pieces.
//! Only control frames, at most [`CONTROL_BYTES_MAX`] long, are read whole. Reading allocates for the texts of HELLO, ERROR and
//! GOAWAY alone.
//!
//! Strict on purpose: a [`Refusal`] is final, and the answer to an input does not depend on where the network cut it.

mod body;
mod conversation;
mod header;
pub mod heartbeat;
mod kind;
mod limits;
mod message;
mod refusal;
pub mod udp;

pub use body::{Body, CRC_BYTES, sum};
pub use conversation::{Answer, Conversation, Role, State};
pub use header::{Flags, HEADER_BYTES, Header, Over, Rules, VERSION, datagram, whole};
pub use heartbeat::{Heard, Pace};
pub use kind::Kind;
pub use limits::{CLIENT_ID_BYTES_MAX, CONTROL_BYTES_MAX, FRAME_BYTES_MAX, PING_BYTES_MAX};
pub use message::{Ack, Agreed, Error, Goaway, Hello, Offer, Ping, read, write, write_error};
/// What the payload of a control frame is; see [`read()`] and [`write()`].
pub use prost::Message;
pub use refusal::Refusal;

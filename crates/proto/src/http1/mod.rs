//! HTTP/1.1 and HTTP/1.0 as a server reads and writes them, and the answers as a client reads them (RFC 9112, RFC 9110).
//!
//! ```text
//! bytes -> head::parse -> Head -> body::Body::decode -> payload pieces, in place
//!                          |
//!                          +-> a service decides -> encode::head -> bytes
//! ```
//!
//! Strict on purpose: what two servers could read in two ways is refused with a [`Refusal`] and the
//! connection is closed, never guessed at. The answer to an input does not depend on where the network cut
//! it: [`head::parse`] and [`body::Body::decode`] give the same refusal whole and byte by byte.

pub mod body;
pub mod date;
pub mod encode;
mod fields;
pub mod head;
pub mod host;
mod limits;
mod refusal;
pub mod reply;
mod scan;
mod status;
pub mod target;
mod token;

pub use body::{Body, Step};
pub use head::{Framing, Head, Method, Version};
pub use limits::{HEADERS_MAX, Limits, METHOD_BYTES_MAX};
pub use refusal::Refusal;
pub use scan::Scan;
pub use status::Status;
pub use token::{is_field_value, is_token};

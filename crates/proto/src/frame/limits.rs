//! How long things may be. Bounds only: no deadlines, those are in [`heartbeat`](super::heartbeat) and the service's.

/// Longest payload of a frame in bytes, unless one side says less in its HELLO: 1 MiB. A longer one is refused when its
/// header is read, before a byte of it is kept.
pub const FRAME_BYTES_MAX: u32 = 1 << 20;

/// Longest payload of a HELLO, ACK, ERROR or GOAWAY in bytes.
pub const CONTROL_BYTES_MAX: u32 = 1024;

/// Longest payload of a PING or PONG in bytes: whoever is asked sends it back, so it must cost him little.
pub const PING_BYTES_MAX: u32 = 64;

/// Longest client id in bytes.
pub const CLIENT_ID_BYTES_MAX: usize = 64;

//! What an HTTP load asks for.

use bytes::Bytes;

/// One request, sent again and again, and what its answer has to be.
#[derive(Clone, Debug)]
pub struct Request {
    /// Head and body as they are sent.
    pub bytes: Bytes,
    /// It is a HEAD: its answer has no body (RFC 9110 section 9.3.2).
    pub head: bool,
    /// Length of the answer's body; `None` takes it from the first answer of each connection.
    pub expect_bytes: Option<u64>,
    /// CRC-32 (IEEE) of the answer's body; `None` takes it from the first answer.
    pub expect_crc32: Option<u32>,
}

//! How much of a request is read before it is refused. Bounds only: no deadlines, those are the service's.

/// Most header lines a request can have, whatever [`Limits::headers_max`] says: the parser's table is this long.
pub const HEADERS_MAX: usize = 100;

/// Longest method in bytes. The longest registered one has 17 (IANA HTTP Method Registry).
pub const METHOD_BYTES_MAX: usize = 32;

/// The bounds of one request. `Default` has the values named at each field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Longest request target in bytes; beyond it 414. Default 8 KiB.
    pub uri_bytes_max: usize,
    /// Longest head in bytes, from the first byte to the empty line and including both; beyond it 431. Also
    /// bounds the trailers of a chunked body. Default 32 KiB, at most `u32::MAX`.
    pub head_bytes_max: usize,
    /// Most header lines, and most trailer lines; beyond it 431. Default and ceiling [`HEADERS_MAX`].
    pub headers_max: usize,
    /// Longest body in bytes; beyond it 413. Default `u64::MAX`: bodies are streamed, not stored.
    pub body_bytes_max: u64,
    /// Most bytes of chunk extensions in one body; beyond it 400. Default 4 KiB: nobody uses them, and a
    /// peer could otherwise make us read a megabyte of them for each byte of body.
    pub extension_bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            uri_bytes_max: 8 << 10,
            head_bytes_max: 32 << 10,
            headers_max: HEADERS_MAX,
            body_bytes_max: u64::MAX,
            extension_bytes_max: 4 << 10,
        }
    }
}

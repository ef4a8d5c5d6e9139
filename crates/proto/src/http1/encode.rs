//! Writing answers: heads, chunk framing, error pages, all appended to a buffer the caller owns.
//!
//! Allocates only if that buffer has too little capacity. Decides nothing about the connection except what
//! the version forces: a peer of HTTP/1.0 cannot read chunks, so a body of unknown length ends with the
//! connection ([`head`] says so in its result).

use super::date::{DATE_BYTES, Date};
use super::head::Version;
use super::refusal::Refusal;
use super::status::Status;
use super::token::is_value_byte;

/// How long the body of an answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// So many bytes. For the answer to HEAD: as many as GET would have.
    Known(u64),
    /// Not known yet: chunked, or to the end of the connection for HTTP/1.0.
    Unknown,
    /// No body and no word about one (the answers 204 and 304).
    None,
}

/// What an answer's head says besides its status.
#[derive(Clone, Copy, Debug)]
pub struct Meta<'a> {
    /// The version of the request.
    pub version: Version,
    /// Whether the connection stays open after this answer.
    pub keep_alive: bool,
    /// The body's length.
    pub length: Length,
    /// The body's media type, if it has one.
    pub content_type: Option<&'a str>,
    /// Forbids browsers to guess another media type than the one given.
    pub nosniff: bool,
    /// The methods of a 405 or of OPTIONS: `GET, HEAD`.
    pub allow: Option<&'a str>,
    /// Further headers. Names are the program's own; bytes that a value may not have are written as spaces,
    /// so that no value can begin a new line.
    pub extra: &'a [(&'a str, &'a [u8])],
    /// The date, rendered once a second by [`imf_fixdate`](super::date::imf_fixdate).
    pub date: &'a Date,
}

impl<'a> Meta<'a> {
    /// A head without a body that keeps the connection of an HTTP/1.1 peer.
    #[must_use]
    pub fn new(date: &'a Date) -> Self {
        Self {
            version: Version::H11,
            keep_alive: true,
            length: Length::None,
            content_type: None,
            nosniff: false,
            allow: None,
            extra: &[],
            date,
        }
    }
}

/// What a written head has promised: how the body must be sent, and what happens after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "the body must be framed as the head says"]
pub struct Promise {
    /// The body goes out in chunks ([`chunk_head`], [`CHUNK_END`], [`LAST_CHUNK`]).
    pub chunked: bool,
    /// The connection stays open.
    pub keep_alive: bool,
}

/// Appends the head of an answer.
#[inline]
pub fn head(out: &mut Vec<u8>, status: Status, meta: &Meta<'_>) -> Promise {
    let is_unknown = meta.length == Length::Unknown && !status.is_bodiless();
    let chunked = is_unknown && meta.version == Version::H11;
    let keep_alive = meta.keep_alive && (chunked || !is_unknown);

    out.extend_from_slice(status.line().as_bytes());
    out.extend_from_slice(b"Date: ");
    out.extend_from_slice(meta.date);
    if let Some(content_type) = meta.content_type {
        out.extend_from_slice(b"\r\nContent-Type: ");
        out.extend_from_slice(content_type.as_bytes());
    }
    match meta.length {
        Length::Known(bytes) if !status.is_bodiless() => {
            out.extend_from_slice(b"\r\nContent-Length: ");
            decimal(out, bytes);
        }
        _ if chunked => out.extend_from_slice(b"\r\nTransfer-Encoding: chunked"),
        _ => {}
    }
    match (meta.version, keep_alive) {
        (Version::H11, true) => {}
        (Version::H10, true) => out.extend_from_slice(b"\r\nConnection: keep-alive"),
        (_, false) => out.extend_from_slice(b"\r\nConnection: close"),
    }
    if meta.nosniff {
        out.extend_from_slice(b"\r\nX-Content-Type-Options: nosniff");
    }
    if let Some(allow) = meta.allow {
        field(out, "Allow", allow.as_bytes());
    }
    for (name, value) in meta.extra {
        field(out, name, value);
    }
    out.extend_from_slice(b"\r\n\r\n");
    Promise { chunked, keep_alive }
}

/// Appends a whole small answer in plain text: `404 Not Found` and a line end. `with_body` is false for HEAD.
pub fn page(out: &mut Vec<u8>, status: Status, meta: &Meta<'_>, with_body: bool) {
    text(out, status, meta, status.reason(), with_body);
}

/// Appends the answer to a request that is refused: its status, one line that says why, and the close.
pub fn refusal(out: &mut Vec<u8>, refusal: Refusal, date: &Date) {
    let meta = Meta { keep_alive: false, ..Meta::new(date) };
    text(out, refusal.status(), &meta, refusal.reason(), true);
}

fn text(out: &mut Vec<u8>, status: Status, meta: &Meta<'_>, line: &str, with_body: bool) {
    let length = Length::Known(line.len() as u64 + 1);
    let _no_framing = head(out, status, &Meta { length, content_type: Some(TEXT), nosniff: true, ..*meta });
    if with_body && !status.is_bodiless() {
        out.extend_from_slice(line.as_bytes());
        out.push(b'\n');
    }
}

/// Appends the size line of a chunk of `bytes` bytes, not 0: that would end the body.
pub fn chunk_head(out: &mut Vec<u8>, bytes: u64) {
    assert!(bytes > 0, "a chunk of no bytes ends the body");
    let digits = (u64::BITS - bytes.leading_zeros()).div_ceil(4);
    for digit in (0..digits).rev() {
        out.push(b"0123456789abcdef"[(bytes >> (digit * 4)) as usize & 0xf]);
    }
    out.extend_from_slice(b"\r\n");
}

/// What follows a chunk's payload.
pub const CHUNK_END: &[u8] = b"\r\n";

/// What ends a chunked body; no trailers are sent.
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// Tells a peer that its body is wanted. Sent once, when the body is first read (RFC 9110 section 10.1.1).
pub const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// An answer that never changes but for its date: written once, then copied.
///
/// For an answer as small as `/ping` the copy is most of the work of answering.
#[derive(Clone, Debug)]
pub struct Canned {
    bytes: Vec<u8>,
    date_at: usize,
    head_bytes: usize,
}

impl Canned {
    /// An answer with this body. `meta.length` is set from it.
    #[must_use]
    pub fn new(status: Status, meta: &Meta<'_>, body: &[u8]) -> Self {
        let mut bytes = Vec::new();
        let _no_framing =
            head(&mut bytes, status, &Meta { length: Length::Known(body.len() as u64), ..*meta });
        let head_bytes = bytes.len();
        bytes.extend_from_slice(body);
        Self { bytes, date_at: status.line().len() + "Date: ".len(), head_bytes }
    }

    /// Sets the date of the copies to come: once a second, not once an answer.
    pub fn set_date(&mut self, date: &Date) {
        self.bytes[self.date_at..self.date_at + DATE_BYTES].copy_from_slice(date);
    }

    /// The whole answer.
    #[inline]
    #[must_use]
    pub fn answer(&self) -> &[u8] {
        &self.bytes
    }

    /// The answer to HEAD: all but the body.
    #[inline]
    #[must_use]
    pub fn answer_to_head(&self) -> &[u8] {
        &self.bytes[..self.head_bytes]
    }
}

/// Appends `number` in decimal digits.
pub fn decimal(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [b'0'; U64_DIGITS_MAX];
    let mut at = U64_DIGITS_MAX;
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

fn field(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    debug_assert!(super::token::is_token(name.as_bytes()), "{name:?} is no header name");
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend(value.iter().map(|&byte| if is_value_byte(byte) { byte } else { b' ' }));
}

const U64_DIGITS_MAX: usize = 20;
const TEXT: &str = "text/plain; charset=utf-8";

//! What an HTTP load asks for, and how its answers are read.
//!
//! Most answers of a load are the same bytes, or the same for a second, until `Date` changes. So an answer is first held against
//! the last good one, byte by byte: one that is equal has the same status, length and body. Only one that differs is parsed, framed
//! and summed. Neither way looks at fewer bytes than came.

use super::reader::{Answer, Reader};
use bytes::Bytes;
use proto::http1::reply::{self, End, Reply};
use proto::http1::{self, Body, Limits, Step};
use std::fmt::Write;
use std::rc::Rc;

/// One request, sent again and again, and what its answer has to be.
#[derive(Clone, Debug)]
pub struct Request {
    /// Head and body as they are sent.
    pub bytes: Bytes,
    /// It is a HEAD: its answer has no body (RFC 9110 section 9.3.2).
    pub head: bool,
    /// Length of the answer's body; `None` takes it from the first answer of class 2.
    pub expect_bytes: Option<u64>,
    /// CRC-32 (ISO 3309, as of zip) of the answer's body; `None` takes it from the first answer of class 2.
    pub expect_crc32: Option<u32>,
}

impl Request {
    /// A request for `target` with these headers, `Host` among them, in their order. `Content-Length` comes behind them where there is a
    /// body, if only an empty one, or the method means to have one (RFC 9110 section 8.6).
    ///
    /// Errors: a sentence about a method, target or header that would break the request's lines, change its framing, or end its
    /// connection.
    pub fn new(
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: Option<&[u8]>,
    ) -> Result<Request, String> {
        if !http1::is_token(method.as_bytes()) {
            return Err(format!("{method:?} is not a method (RFC 9110 section 9.1)"));
        }
        if method == "CONNECT" {
            return Err("a CONNECT makes a tunnel and has no answer to measure".into());
        }
        if !target.starts_with('/') && target != "*" || !target.bytes().all(|b| (0x21..0x7f).contains(&b)) {
            return Err(format!("{target:?} is not a path as it stands in a request; encode it (RFC 3986)"));
        }
        let mut head = format!("{method} {target} HTTP/1.1\r\n");
        for (name, value) in headers {
            if !http1::is_token(name.as_bytes()) || !http1::is_field_value(value.as_bytes()) {
                return Err(format!("\"{name}: {value}\" is not a header (RFC 9110 section 5)"));
            }
            match name.to_ascii_lowercase().as_str() {
                "content-length" | "transfer-encoding" => {
                    return Err(format!("`{name}` follows from the body, which goes out whole"));
                }
                "connection" | "upgrade" => {
                    return Err(format!("`{name}` is not the request's to say: --churn 1 closes after each"));
                }
                "expect" => return Err("`Expect` would have each body wait for a word of the server".into()),
                _ => {}
            }
            let _ = write!(head, "{name}: {value}\r\n");
        }
        if body.is_some() || ["POST", "PUT", "PATCH"].contains(&method) {
            let _ = write!(head, "Content-Length: {}\r\n", body.map_or(0, <[u8]>::len));
        }
        head.push_str("\r\n");
        let bytes = [head.as_bytes(), body.unwrap_or_default()].concat().into();
        Ok(Request { bytes, head: method == "HEAD", expect_bytes: None, expect_crc32: None })
    }
}

/// What a seat knows of its answers.
#[derive(Debug)]
pub(super) struct Answers {
    head: bool,
    verify: bool,
    expect: Option<(u64, u32)>,
    expect_bytes: Option<u64>,
    expect_crc32: Option<u32>,
    known: Rc<Known>,
    /// When `known` was made.
    known_ns: u64,
    #[allow(clippy::vec_box, reason = "they are boxed where they are used, and go back and forth")]
    spare: Vec<Box<Slow>>,
}

/// The last good answer, as it came. Empty when there is none, or it is too long.
#[derive(Debug, Default)]
pub(super) struct Known {
    bytes: Vec<u8>,
    class: u8,
}

/// An answer of which a part has come.
#[derive(Debug)]
pub(super) enum Partial {
    /// So many bytes, equal to those of this one.
    Known(Rc<Known>, usize),
    /// It is another one.
    Slow(Box<Slow>),
}

/// An answer that is parsed.
#[derive(Debug, Default)]
pub(super) struct Slow {
    /// The head as far as it came, then the body as far as it is worth keeping.
    raw: Vec<u8>,
    /// `raw` has all that came.
    whole: bool,
    reply: Option<Reply>,
    body: Option<Body>,
    body_bytes: u64,
    sum: crc32fast::Hasher,
}

/// Longest answer that is held against byte by byte.
const KNOWN_MAX: usize = 256 << 10;
/// Longest head that is read.
const HEAD_MAX: usize = 64 << 10;
/// How often the known answer is made anew, at most: a server whose answers are never twice the same must not cost more by it.
const KNOWN_AGAIN_NS: u64 = 50_000_000;

impl Answers {
    pub(super) fn new(request: &Request, verify: bool) -> Answers {
        Answers {
            head: request.head,
            verify,
            expect: None,
            expect_bytes: request.expect_bytes,
            expect_crc32: request.expect_crc32,
            known: Rc::default(),
            known_ns: 0,
            spare: Vec::new(),
        }
    }

    /// Reads `bytes`; `ended` is told of each answer. Returns how many of the `outstanding` requests are left.
    #[inline]
    pub(super) fn read(
        &mut self,
        reader: &mut Reader,
        mut outstanding: usize,
        mut bytes: &[u8],
        now_ns: u64,
        mut ended: impl FnMut(Answer),
    ) {
        if let Reader::Idle = reader {
            // The common case: whole answers, equal to the last one.
            let known = &*self.known;
            while outstanding > 0 && !known.bytes.is_empty() && bytes.starts_with(&known.bytes) {
                bytes = &bytes[known.bytes.len()..];
                outstanding -= 1;
                ended(Answer::Good(known.class));
            }
        }
        while !bytes.is_empty() {
            if outstanding == 0 {
                return ended(Answer::Extra(bytes.len() as u64));
            }
            let partial = match std::mem::take(reader) {
                Reader::Http(partial) => partial,
                _ => Partial::Known(self.known.clone(), 0),
            };
            let mut slow = match partial {
                Partial::Slow(slow) => slow,
                Partial::Known(known, at) => {
                    let n = bytes.len().min(known.bytes.len() - at);
                    if n > 0 && bytes[..n] == known.bytes[at..at + n] {
                        bytes = &bytes[n..];
                        if at + n < known.bytes.len() {
                            *reader = Reader::Http(Partial::Known(known, at + n));
                        } else {
                            outstanding -= 1;
                            ended(Answer::Good(known.class));
                        }
                        continue;
                    }
                    let mut slow = self.spare.pop().unwrap_or_default();
                    slow.begin();
                    // What was equal so far is its beginning.
                    let begun = slow.take(&known.bytes[..at], self.head, self.verify);
                    debug_assert_eq!(begun, Ok(at), "a part of a good answer is good");
                    slow
                }
            };
            let Ok(used) = slow.take(bytes, self.head, self.verify) else {
                return ended(Answer::Garbage);
            };
            bytes = &bytes[used..];
            if slow.is_done() {
                outstanding -= 1;
                self.judge(slow, now_ns, &mut ended);
            } else {
                *reader = Reader::Http(Partial::Slow(slow));
            }
        }
    }

    /// The peer finished sending: an answer without a length ends so. Says whether one did.
    pub(super) fn end(&mut self, reader: &mut Reader, now_ns: u64, mut ended: impl FnMut(Answer)) -> bool {
        match std::mem::take(reader) {
            Reader::Http(Partial::Slow(slow)) if slow.ends_with_connection() => {
                self.judge(slow, now_ns, &mut ended);
                true
            }
            other => {
                *reader = other;
                false
            }
        }
    }

    fn judge(&mut self, mut slow: Box<Slow>, now_ns: u64, ended: &mut impl FnMut(Answer)) {
        let reply = slow.reply.expect("an answer that is done has a head");
        let class = (reply.status / 100) as u8;
        if !reply.keep_alive {
            ended(Answer::Closing);
        }
        let as_expected =
            !self.verify || self.is_expected(class, slow.body_bytes, slow.sum.clone().finalize());
        match (class, as_expected) {
            (4 | 5, _) => ended(Answer::Status(class)),
            (_, false) => ended(Answer::Corrupt),
            _ => {
                let again = now_ns >= self.known_ns + KNOWN_AGAIN_NS || self.known.bytes.is_empty();
                if reply.keep_alive && slow.whole && again {
                    self.known = Rc::new(Known { bytes: std::mem::take(&mut slow.raw), class });
                    self.known_ns = now_ns;
                }
                ended(Answer::Good(class));
            }
        }
        if self.spare.len() < SPARE_MAX {
            self.spare.push(slow);
        }
    }

    fn is_expected(&mut self, class: u8, bytes: u64, sum: u32) -> bool {
        if class != 2 {
            return true;
        }
        let learned =
            self.expect.get_or_insert((self.expect_bytes.unwrap_or(bytes), self.expect_crc32.unwrap_or(sum)));
        *learned == (bytes, sum)
    }
}

/// Parsers that are kept for use again.
const SPARE_MAX: usize = 64;

impl Slow {
    fn begin(&mut self) {
        self.raw.clear();
        (self.whole, self.reply, self.body, self.body_bytes) = (true, None, None, 0);
        self.sum = crc32fast::Hasher::new();
    }

    fn is_done(&self) -> bool {
        self.reply.is_some() && self.body.as_ref().is_some_and(Body::is_done)
    }

    fn ends_with_connection(&self) -> bool {
        self.reply.is_some_and(|reply| reply.end == End::Close)
    }

    /// Takes what belongs to this answer from the start of `bytes`, and says how much that is.
    fn take(&mut self, bytes: &[u8], to_head: bool, verify: bool) -> Result<usize, ()> {
        let mut used = 0;
        while self.reply.is_none() {
            let before = self.raw.len();
            self.raw.extend_from_slice(&bytes[used..]);
            match reply::parse(&self.raw, to_head) {
                Ok(None) if self.raw.len() <= HEAD_MAX => return Ok(bytes.len()),
                Ok(Some(reply)) => {
                    self.raw.truncate(reply.len);
                    used += reply.len - before;
                    if reply.status / 100 == 1 && reply.status != 101 {
                        // The answer proper is still to come (RFC 9110 section 15.2).
                        self.raw.clear();
                        self.whole = false;
                        continue;
                    }
                    self.reply = Some(reply);
                    self.body = match reply.end {
                        End::Framed(framing) => Some(Body::new(framing)),
                        End::Close => None,
                    };
                }
                _ => return Err(()),
            }
        }
        let rest = &bytes[used..];
        let of_body = self.take_body(rest, verify)?;
        if self.whole && self.raw.len() + of_body <= KNOWN_MAX {
            self.raw.extend_from_slice(&rest[..of_body]);
        } else if of_body > 0 {
            self.whole = false;
        }
        Ok(used + of_body)
    }

    fn take_body(&mut self, bytes: &[u8], verify: bool) -> Result<usize, ()> {
        let Some(body) = &mut self.body else {
            self.body_bytes += bytes.len() as u64;
            self.sum.update(if verify { bytes } else { &[] });
            return Ok(bytes.len());
        };
        let mut used = 0;
        while !body.is_done() {
            match body.decode(&bytes[used..], &LIMITS).map_err(|_| ())? {
                Step::Data { skip, len } => {
                    let data = &bytes[used + skip..used + skip + len];
                    self.body_bytes += len as u64;
                    self.sum.update(if verify { data } else { &[] });
                    used += skip + len;
                }
                Step::More { used: more } => return Ok(used + more),
                Step::Done { used: last } => used += last,
            }
        }
        Ok(used)
    }
}

const LIMITS: Limits = Limits {
    uri_bytes_max: 0,
    head_bytes_max: HEAD_MAX,
    headers_max: http1::HEADERS_MAX,
    body_bytes_max: u64::MAX,
    extension_bytes_max: 4 << 10,
};

#[cfg(test)]
mod tests;

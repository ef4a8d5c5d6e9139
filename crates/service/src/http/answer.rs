//! What is answered, before it is bytes: an enum that the routes return and the conversation writes.
//!
//! Knows no socket and no board. The date and the answers that never change are rendered once a second by whoever comes first
//! in it, so an idle server has nothing to do.

use bytes::Bytes;
use proto::http1::date::{Date, imf_fixdate};
use proto::http1::encode::{self, Canned, Length, Meta};
use proto::http1::{Framing, Head, Method, Refusal, Status, Version};

/// An answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    /// `ok`, the answer that is copied from a template.
    Ok,
    /// A body from memory.
    Body { status: Status, media: &'static str, extra: Extra, body: Bytes },
    /// The status and its name as text.
    Page(Status),
    /// What OPTIONS says (204), or which methods there are instead (405).
    Methods { status: Status, allow: &'static str },
    /// So many bytes of [`PATTERN`](super::pattern::PATTERN).
    Pattern(u64),
    /// The body of the request.
    Echo,
}

/// Further header lines.
pub(crate) type Extra = &'static [(&'static str, &'static [u8])];

impl Reply {
    /// A line of text.
    pub(crate) fn text(status: Status, text: &'static str) -> Reply {
        Reply::Body { status, media: TEXT, extra: &[], body: Bytes::from_static(text.as_bytes()) }
    }

    /// Whether nothing of it is streamed: [`Stamp::write`] writes all of it.
    #[inline]
    pub(crate) fn is_whole(&self) -> bool {
        !matches!(self, Reply::Body { .. } | Reply::Pattern(_))
    }

    /// The status it will have.
    pub(crate) fn status(&self) -> Status {
        match self {
            Reply::Ok | Reply::Pattern(_) | Reply::Echo => Status::Ok,
            Reply::Body { status, .. } | Reply::Page(status) | Reply::Methods { status, .. } => *status,
        }
    }
}

/// What an answer must know of its request, once the head's bytes are gone.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ask {
    pub(crate) version: Version,
    pub(crate) framing: Framing,
    /// Whether the connection goes on after the answer.
    pub(crate) keep_alive: bool,
    pub(crate) expects_continue: bool,
    pub(crate) is_head: bool,
}

impl Ask {
    #[inline]
    pub(crate) fn of(head: &Head<'_>) -> Ask {
        Ask {
            version: head.version,
            framing: head.framing,
            keep_alive: head.keep_alive,
            expects_continue: head.expect_continue,
            is_head: head.method == Method::Head,
        }
    }

    /// Whether a body follows.
    #[inline]
    pub(crate) fn has_body(&self) -> bool {
        !matches!(self.framing, Framing::None | Framing::Length(0))
    }
}

/// The longest head that an answer of ours has, with a small body behind it; checked in debug builds by `Out::write`.
pub(crate) const HEAD_BYTES_MAX: usize = 1024;

/// The present second as answers say it.
pub(crate) struct Stamp {
    second: u64,
    date: Date,
    ok: Canned,
}

impl Stamp {
    pub(crate) fn new() -> Stamp {
        let date = imf_fixdate(0);
        let meta = Meta { content_type: Some(TEXT), ..Meta::new(&date) };
        Stamp { second: 0, date, ok: Canned::new(Status::Ok, &meta, b"ok") }
    }

    /// Renders the date if the second is a new one.
    #[inline]
    pub(crate) fn set(&mut self, second: u64) {
        if self.second != second {
            self.second = second;
            self.date = imf_fixdate(second);
            self.ok.set_date(&self.date);
        }
    }

    /// Whether the answer is the canned one, as it is.
    #[inline]
    pub(crate) fn is_canned(reply: &Reply, ask: &Ask) -> bool {
        *reply == Reply::Ok && ask.keep_alive && ask.version == Version::H11 && !ask.is_head
    }

    /// The canned answer.
    #[inline]
    pub(crate) fn canned(&self) -> &[u8] {
        self.ok.answer()
    }

    /// Writes `reply` as far as it fits a head: all of it but the bodies that are streamed.
    #[inline]
    pub(crate) fn write(&self, out: &mut Vec<u8>, reply: &Reply, ask: &Ask) {
        match reply {
            Reply::Ok if ask.keep_alive && ask.version == Version::H11 => {
                let canned = if ask.is_head { self.ok.answer_to_head() } else { self.ok.answer() };
                out.extend_from_slice(canned);
            }
            _ => self.write_rare(out, reply, ask),
        }
    }

    fn write_rare(&self, out: &mut Vec<u8>, reply: &Reply, ask: &Ask) {
        let meta = Meta { version: ask.version, keep_alive: ask.keep_alive, ..Meta::new(&self.date) };
        let known = |bytes: usize| Length::Known(bytes as u64);
        let meta = match reply {
            Reply::Ok => Meta { length: known(2), content_type: Some(TEXT), ..meta },
            Reply::Body { media, extra, body, .. } => {
                Meta { length: known(body.len()), content_type: Some(media), nosniff: true, extra, ..meta }
            }
            Reply::Page(status) => return encode::page(out, *status, &meta, !ask.is_head),
            Reply::Methods { status: Status::NoContent, allow } => Meta { allow: Some(allow), ..meta },
            Reply::Methods { status, allow } => {
                return encode::page(out, *status, &Meta { allow: Some(allow), ..meta }, !ask.is_head);
            }
            Reply::Pattern(count) => {
                Meta { length: Length::Known(*count), content_type: Some(OCTETS), nosniff: true, ..meta }
            }
            Reply::Echo => {
                let length = match ask.framing {
                    Framing::None => Length::Known(0),
                    Framing::Length(bytes) => Length::Known(bytes),
                    Framing::Chunked => Length::Unknown,
                };
                Meta { length, content_type: Some(OCTETS), nosniff: true, ..meta }
            }
        };
        let promise = encode::head(out, reply.status(), &meta);
        // Chunked requests are HTTP/1.1 only, so an echo never has to be ended by closing.
        debug_assert_eq!(promise.keep_alive, ask.keep_alive);
        if *reply == Reply::Ok && !ask.is_head {
            out.extend_from_slice(b"ok");
        }
    }

    /// Writes the answer to a request that is refused.
    pub(crate) fn refuse(&self, out: &mut Vec<u8>, refusal: Refusal) {
        encode::refusal(out, refusal, &self.date);
    }
}

const TEXT: &str = "text/plain; charset=utf-8";
const OCTETS: &str = "application/octet-stream";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_say_the_second_that_was_set_last_and_it_is_rendered_once() {
        let mut stamp = Stamp::new();
        let check = |stamp: &Stamp, expected: &str| {
            let ask = Ask {
                version: Version::H11,
                keep_alive: true,
                is_head: false,
                expects_continue: false,
                framing: Framing::None,
            };
            let answers = [Reply::Ok, Reply::Page(Status::NotFound), Reply::Pattern(1)];
            let mut written: Vec<Vec<u8>> = answers
                .map(|reply| {
                    let mut out = Vec::new();
                    stamp.write(&mut out, &reply, &ask);
                    out
                })
                .into();
            written.push(stamp.canned().to_vec());
            let mut refused = Vec::new();
            stamp.refuse(&mut refused, Refusal::ALL[0]);
            written.push(refused);
            for out in written {
                let text = String::from_utf8(out).expect("ASCII");
                assert!(text.contains(&format!("\r\nDate: {expected}\r\n")), "{text}");
            }
        };
        stamp.set(784_111_777);
        check(&stamp, "Sun, 06 Nov 1994 08:49:37 GMT");
        stamp.set(784_111_778);
        check(&stamp, "Sun, 06 Nov 1994 08:49:38 GMT");
        // Within the second nothing is rendered: what stands there is left alone.
        stamp.date = imf_fixdate(0);
        stamp.set(784_111_778);
        assert_eq!(stamp.date, imf_fixdate(0));
    }
}

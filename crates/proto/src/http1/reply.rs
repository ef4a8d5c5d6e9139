//! The head of an answer, as a client reads it (RFC 9112 section 4 and 6.3).
//!
//! Never decides what to do about it. The grammar of the lines is httparse's; how the body is framed, the part in which clients and
//! servers are made to disagree, is read here and strictly: two lengths, a length beside chunks, or a coding that is not `chunked`
//! alone is refused.

use super::head::Framing;
use super::limits::HEADERS_MAX;

/// The head of one answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reply {
    /// Bytes of the head, the empty line included.
    pub len: usize,
    /// 100 to 599.
    pub status: u16,
    /// Where the body ends.
    pub end: End,
    /// The connection goes on behind it.
    pub keep_alive: bool,
}

/// Where the body of an answer ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Where its framing says.
    Framed(Framing),
    /// Where the connection ends (RFC 9112 section 6.3, rule 8).
    Close,
}

/// Why bytes are not the head of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAReply {
    /// The lines are not those of a head.
    #[error("not an HTTP answer: {0}")]
    Grammar(httparse::Error),
    /// A status that there is not.
    #[error("status {0} is not 100 to 599")]
    Status(u16),
    /// Lengths or codings that contradict each other.
    #[error("the length of the body cannot be known: {0}")]
    Framing(&'static str),
}

/// Reads the head at the start of `input`; `None` when it has not come whole. `to_head` says that a HEAD was asked: such an answer
/// has no body whatever it says.
pub fn parse(input: &[u8], to_head: bool) -> Result<Option<Reply>, NotAReply> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut response = httparse::Response::new(&mut headers);
    let len = match response.parse(input) {
        Ok(httparse::Status::Complete(len)) => len,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(why) => return Err(NotAReply::Grammar(why)),
    };
    let status = response.code.unwrap_or(0);
    if !(100..600).contains(&status) {
        return Err(NotAReply::Status(status));
    }
    let (mut length, mut chunked, mut close, mut keep) = (None, false, false, false);
    for header in response.headers.iter() {
        if header.name.eq_ignore_ascii_case("content-length") {
            let value = number(header.value).ok_or(NotAReply::Framing("a Content-Length is not a number"))?;
            if length.replace(value).is_some_and(|before| before != value) {
                return Err(NotAReply::Framing("two lengths"));
            }
        } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
            if chunked || !header.value.trim_ascii().eq_ignore_ascii_case(b"chunked") {
                return Err(NotAReply::Framing("a Transfer-Encoding other than chunked"));
            }
            chunked = true;
        } else if header.name.eq_ignore_ascii_case("connection") {
            let options = || header.value.split(|b| *b == b',').map(<[u8]>::trim_ascii);
            close |= options().any(|option| option.eq_ignore_ascii_case(b"close"));
            keep |= options().any(|option| option.eq_ignore_ascii_case(b"keep-alive"));
        }
    }
    if chunked && length.is_some() {
        return Err(NotAReply::Framing("a length beside chunks"));
    }
    let without_body = to_head || status < 200 || status == 204 || status == 304;
    let end = match (without_body, chunked, length) {
        (true, ..) => End::Framed(Framing::None),
        (_, true, _) => End::Framed(Framing::Chunked),
        (_, _, Some(length)) => End::Framed(Framing::Length(length)),
        _ => End::Close,
    };
    // HTTP/1.0 goes on only when it says so (RFC 9112 section 9.3).
    let keep_alive = end != End::Close && !close && (response.version == Some(1) || keep);
    Ok(Some(Reply { len, status, end, keep_alive }))
}

fn number(value: &[u8]) -> Option<u64> {
    let digits = value.trim_ascii();
    let is_number = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    is_number.then(|| std::str::from_utf8(digits).ok()?.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEEP: bool = true;
    const LAST: bool = false;

    #[test]
    fn a_head_says_where_its_body_ends_and_whether_the_connection_goes_on() {
        let framed = |framing| End::Framed(framing);
        for (head, status, end, keep_alive) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", 200, framed(Framing::Length(5)), KEEP),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n",
                200,
                framed(Framing::Length(5)),
                KEEP,
            ),
            ("HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\n\r\n", 200, framed(Framing::Chunked), KEEP),
            ("HTTP/1.1 204 No Content\r\n\r\n", 204, framed(Framing::None), KEEP),
            ("HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", 304, framed(Framing::None), KEEP),
            ("HTTP/1.1 100 Continue\r\n\r\n", 100, framed(Framing::None), KEEP),
            ("HTTP/1.1 200 OK\r\n\r\n", 200, End::Close, LAST),
            (
                "HTTP/1.1 500 No\r\nContent-Length: 0\r\nConnection: x, Close\r\n\r\n",
                500,
                framed(Framing::Length(0)),
                LAST,
            ),
            ("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n", 200, framed(Framing::Length(2)), LAST),
            (
                "HTTP/1.0 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\n",
                200,
                framed(Framing::Length(2)),
                KEEP,
            ),
        ] {
            for cut in 0..head.len() {
                assert_eq!(parse(&head.as_bytes()[..cut], false), Ok(None), "{head:?} cut at {cut}");
            }
            let expected = Reply { len: head.len(), status, end, keep_alive };
            assert_eq!(parse(format!("{head}body").as_bytes(), false), Ok(Some(expected)), "{head:?}");
            let to_head = parse(head.as_bytes(), true).unwrap().unwrap();
            assert_eq!(to_head.end, framed(Framing::None));
        }
    }

    #[test]
    fn what_two_clients_could_read_in_two_ways_is_refused() {
        for head in [
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\n",
        ] {
            assert!(matches!(parse(head.as_bytes(), false), Err(NotAReply::Framing(_))), "{head:?}");
        }
        assert_eq!(parse(b"HTTP/1.1 999 OK\r\n\r\n", false), Err(NotAReply::Status(999)));
        for garbage in ["garbage\r\n\r\n", "\0\0\0\0", "SSH-2.0-OpenSSH_9.2\r\n", "HTTP/2 200\r\n\r\n"] {
            assert!(matches!(parse(garbage.as_bytes(), false), Err(NotAReply::Grammar(_))), "{garbage:?}");
        }
    }
}

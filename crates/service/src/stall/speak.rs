//! What a stalling server understands: where a request ends, and what its answer is. As little as every load generator needs.

/// What is spoken on a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speaks {
    /// HTTP/1.1: whatever has no body is answered with a page of 2 bytes.
    Http,
    /// Messages of so many bytes, at least 1, which go back.
    Echo {
        /// Of one message.
        bytes: usize,
    },
}

/// A request that is whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) bytes: usize,
    /// The connection is closed behind its answer.
    pub(super) last: bool,
}

impl Speaks {
    /// The first request of `bytes`, if it is whole.
    pub(super) fn request(self, bytes: &[u8]) -> Option<Request> {
        match self {
            Speaks::Echo { bytes: message } => {
                (bytes.len() >= message).then_some(Request { bytes: message, last: false })
            }
            Speaks::Http => {
                let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
                let mut lines = bytes[..end].split(|byte| *byte == b'\n');
                let last = lines.any(|line| line.trim_ascii().eq_ignore_ascii_case(b"connection: close"));
                Some(Request { bytes: end, last })
            }
        }
    }

    /// What a request is answered with.
    pub(super) fn answer(self, request: &[u8]) -> &[u8] {
        match self {
            Speaks::Echo { .. } => request,
            Speaks::Http => PAGE,
        }
    }
}

const PAGE: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_ends_where_its_head_does_and_may_be_the_last() {
        let check = |bytes: &str, expected: Option<(usize, bool)>| {
            let expected = expected.map(|(bytes, last)| Request { bytes, last });
            assert_eq!(Speaks::Http.request(bytes.as_bytes()), expected, "{bytes:?}");
        };
        check("GET / HTTP/1.1\r\nHost: x\r\n", None);
        check("GET / HTTP/1.1\r\nHost: x\r\n\r\nGET", Some((27, false)));
        check("GET / HTTP/1.1\r\nconnection: Close\r\n\r\n", Some((37, true)));
        assert_eq!(Speaks::Echo { bytes: 3 }.request(b"ab"), None);
        assert_eq!(Speaks::Echo { bytes: 3 }.request(b"abcd"), Some(Request { bytes: 3, last: false }));
        assert_eq!(Speaks::Echo { bytes: 3 }.answer(b"abc"), b"abc");
    }
}

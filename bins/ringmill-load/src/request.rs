//! The HTTP request that was typed: its method, headers and body.
//!
//! Pure. One request is made once and sent again and again, so nothing here is on the way of a request.

use service::load::http::Request;

use crate::args::Say;
use crate::url::Url;

/// The request that `say` means with this body. Errors: one sentence about a header that is not the user's to give.
pub(crate) fn request(url: &Url, say: &Say, body: &[u8]) -> Result<Request, String> {
    let has_body = say.body.is_some() || say.body_size.is_some();
    let method = say.method.as_deref().unwrap_or(if has_body { "POST" } else { "GET" });
    let given = |name: &str| say.header.iter().any(|header| header.name.eq_ignore_ascii_case(name));
    let host = url.authority();
    let mut headers = Vec::new();
    // Host goes first (RFC 9110 section 7.2).
    if !given("Host") {
        headers.push(("Host", host.as_str()));
    }
    headers.extend(say.header.iter().map(|header| (header.name.as_str(), header.value.as_str())));
    if !given("User-Agent") {
        headers.push(("User-Agent", concat!("ringmill-load/", env!("CARGO_PKG_VERSION"))));
    }
    let request = Request::new(method, &url.path, &headers, has_body.then_some(body))?;
    Ok(Request {
        expect_bytes: say.expect_bytes.map(|bytes| bytes as u64),
        expect_crc32: say.expect_crc32,
        ..request
    })
}

/// A body of so many letters, as `--body-size` means it.
pub(crate) fn letters(bytes: usize) -> Vec<u8> {
    (b'a'..=b'z').cycle().take(bytes).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::Header;

    fn url() -> Url {
        "http://x:8080/a?b".parse().expect("a literal URL")
    }

    fn header(name: &str, value: &str) -> Header {
        Header { name: name.into(), value: value.into() }
    }

    const AGENT: &str = concat!("User-Agent: ringmill-load/", env!("CARGO_PKG_VERSION"), "\r\n");

    #[test]
    fn a_request_is_written_as_the_rfc_has_it() {
        let check = |say: &Say, body: &[u8], expected: &str| {
            let bytes = request(&url(), say, body).expect("a request").bytes;
            assert_eq!(std::str::from_utf8(&bytes), Ok(expected));
        };
        check(&Say::default(), b"", &format!("GET /a?b HTTP/1.1\r\nHost: x:8080\r\n{AGENT}\r\n"));
        let body = Say { body_size: Some(3), ..Say::default() };
        check(
            &body,
            &letters(3),
            &format!("POST /a?b HTTP/1.1\r\nHost: x:8080\r\n{AGENT}Content-Length: 3\r\n\r\nabc"),
        );
        let own = Say { header: vec![header("host", "y"), header("user-agent", "me")], ..Say::default() };
        check(&own, b"", "GET /a?b HTTP/1.1\r\nhost: y\r\nuser-agent: me\r\n\r\n");
        let put = Say { method: Some("PUT".into()), ..Say::default() };
        check(&put, b"", &format!("PUT /a?b HTTP/1.1\r\nHost: x:8080\r\n{AGENT}Content-Length: 0\r\n\r\n"));
    }

    #[test]
    fn a_head_is_known_to_have_an_answer_without_a_body() {
        let head = Say { method: Some("HEAD".into()), ..Say::default() };
        assert!(request(&url(), &head, b"").expect("a request").head);
        assert!(!request(&url(), &Say::default(), b"").expect("a request").head);
    }

    #[test]
    fn headers_that_would_change_the_framing_are_refused() {
        for name in ["Content-Length", "transfer-encoding", "Connection", "Upgrade", "Expect"] {
            let say = Say { header: vec![header(name, "x")], ..Say::default() };
            assert!(request(&url(), &say, b"").is_err(), "{name}");
        }
    }
}

//! The bytes of an HTTP request, from what was typed of it.
//!
//! Pure. One request is made once and sent again and again, so nothing here is on the way of a request.

use std::fmt::Write;

use bytes::Bytes;
use service::load::http::Request;

use crate::args::Say;
use crate::url::Url;
use crate::words::Header;

/// The request that `say` means with this body. Errors: one sentence about a header that is not the user's to give.
pub(crate) fn request(url: &Url, say: &Say, body: &[u8]) -> Result<Request, String> {
    let has_body = say.body.is_some() || say.body_size.is_some();
    let method = say.method.as_deref().unwrap_or(if has_body { "POST" } else { "GET" });
    say.header.iter().try_for_each(check)?;
    let given = |name: &str| say.header.iter().any(|header| header.name.eq_ignore_ascii_case(name));
    let mut head = format!("{method} {} HTTP/1.1\r\n", url.path);
    let mut add = |name: &str, value: &str| {
        // Writing to a String never fails.
        let _ = write!(head, "{name}: {value}\r\n");
    };
    // Host goes first (RFC 9110 section 7.2).
    if !given("Host") {
        add("Host", &url.authority());
    }
    say.header.iter().for_each(|header| add(&header.name, &header.value));
    if !given("User-Agent") {
        add("User-Agent", concat!("ringmill-load/", env!("CARGO_PKG_VERSION")));
    }
    // An empty body is said to be one where the method means to have one (RFC 9110 section 8.6).
    if has_body || matches!(method, "POST" | "PUT" | "PATCH") {
        add("Content-Length", &body.len().to_string());
    }
    head.push_str("\r\n");
    let mut bytes = head.into_bytes();
    bytes.extend_from_slice(body);
    Ok(Request {
        bytes: Bytes::from(bytes),
        head: method == "HEAD",
        expect_bytes: say.expect_bytes.map(|bytes| bytes as u64),
        expect_crc32: say.expect_crc32,
    })
}

/// A body of so many letters, as `--body-size` means it.
pub(crate) fn letters(bytes: usize) -> Vec<u8> {
    (b'a'..=b'z').cycle().take(bytes).collect()
}

fn check(header: &Header) -> Result<(), String> {
    let name = header.name.to_ascii_lowercase();
    match name.as_str() {
        "content-length" | "transfer-encoding" => {
            Err(format!("`{}` follows from the body, which goes out whole", header.name))
        }
        "connection" | "upgrade" => {
            Err(format!("`{}` is not the request's to say: --churn 1 closes after each", header.name))
        }
        "expect" => Err("`Expect` would have each body wait for a word of the server".into()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn say() -> Say {
        Say {
            size: None,
            method: None,
            header: Vec::new(),
            body: None,
            body_size: None,
            expect_bytes: None,
            expect_crc32: None,
            no_verify: false,
        }
    }

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
        check(&say(), b"", &format!("GET /a?b HTTP/1.1\r\nHost: x:8080\r\n{AGENT}\r\n"));
        let body = Say { body_size: Some(3), ..say() };
        check(
            &body,
            &letters(3),
            &format!("POST /a?b HTTP/1.1\r\nHost: x:8080\r\n{AGENT}Content-Length: 3\r\n\r\nabc"),
        );
        let own = Say { header: vec![header("host", "y"), header("user-agent", "me")], ..say() };
        check(&own, b"", "GET /a?b HTTP/1.1\r\nhost: y\r\nuser-agent: me\r\n\r\n");
        let put = Say { method: Some("PUT".into()), ..say() };
        check(&put, b"", &format!("PUT /a?b HTTP/1.1\r\nHost: x:8080\r\n{AGENT}Content-Length: 0\r\n\r\n"));
    }

    #[test]
    fn a_head_is_known_to_have_an_answer_without_a_body() {
        let head = Say { method: Some("HEAD".into()), ..say() };
        assert!(request(&url(), &head, b"").expect("a request").head);
        assert!(!request(&url(), &say(), b"").expect("a request").head);
    }

    #[test]
    fn headers_that_would_change_the_framing_are_refused() {
        for name in ["Content-Length", "transfer-encoding", "Connection", "Upgrade", "Expect"] {
            let say = Say { header: vec![header(name, "x")], ..say() };
            assert!(request(&url(), &say, b"").is_err(), "{name}");
        }
    }
}

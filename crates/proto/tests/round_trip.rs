//! What is written is read back: generated requests and chunked bodies, whole and cut.

mod support;

use proptest::prelude::*;
use proto::http1::encode::{self, CHUNK_END, LAST_CHUNK, Length, Meta};
use proto::http1::{Limits, Refusal, Status, Version, date};
use support::read;

fn token() -> impl Strategy<Value = String> {
    "[!#$%&'*+.^_`|~0-9A-Za-z-]{1,24}"
}

fn path() -> impl Strategy<Value = String> {
    "(/([A-Za-z0-9_~!$&'()*+,;=:@-]|%[2-9A-Fa-f][0-9a-dA-D]){1,8}){1,4}"
}

fn fields() -> impl Strategy<Value = Vec<(String, String)>> {
    // An X in front keeps a name from being one that HTTP itself must know.
    prop::collection::vec(
        (token().prop_map(|name| format!("X{name}")), "([!-~]([ -~\t]{0,20}[!-~])?)?"),
        0..12,
    )
}

proptest! {
    #[test]
    fn every_well_formed_request_is_accepted(
        method in token(),
        path in path(),
        query in prop::option::of("[A-Za-z0-9/?:@!$&'()*+,;=._~-]{0,20}"),
        fields in fields(),
        body in prop::option::of(prop::collection::vec(any::<u8>(), 0..60)),
        cuts in prop::collection::vec(0.0..1.0f64, 0..4),
    ) {
        prop_assume!(method != "CONNECT");
        let target = query.map_or(path.clone(), |query| format!("{path}?{query}"));
        let mut input = format!("{method} {target} HTTP/1.1\r\nHost: a.example:80\r\n");
        for (name, value) in &fields {
            input += &format!("{name}: {value}\r\n");
        }
        let framing = body.as_ref().map_or("nobody".to_owned(), |body| body.len().to_string());
        if body.is_some() {
            input += &format!("Content-Length: {framing}\r\n");
        }
        let mut expected = vec![format!("= {method} {target} 1.1 a.example:80 {framing} keep")];
        expected.extend(body.as_ref().map(|body| format!(": {}", body.escape_ascii())));
        let mut input = (input + "\r\n").into_bytes();
        input.extend(body.unwrap_or_default());
        check(&input, &cuts, &expected)?;
    }

    #[test]
    fn chunks_written_here_are_read_here(
        chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..300), 0..6),
        cuts in prop::collection::vec(0.0..1.0f64, 0..4),
    ) {
        let mut input = b"PUT /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
        for chunk in &chunks {
            encode::chunk_head(&mut input, chunk.len() as u64);
            input.extend_from_slice(chunk);
            input.extend_from_slice(CHUNK_END);
        }
        input.extend_from_slice(LAST_CHUNK);
        let payload = chunks.concat();
        let expected = ["= PUT /x 1.1 a chunked keep".to_owned(), format!(": {}", payload.escape_ascii())];
        check(&input, &cuts, &expected)?;
    }

    #[test]
    fn an_answer_has_no_line_that_was_not_meant(value in prop::collection::vec(any::<u8>(), 0..40), bytes in any::<u64>()) {
        let date = date::imf_fixdate(784_111_777);
        let mut out = Vec::new();
        let meta = Meta { length: Length::Known(bytes), extra: &[("X-Echo", &value)], ..Meta::new(&date) };
        let promise = encode::head(&mut out, Status::Ok, &meta);
        prop_assert!(promise.keep_alive && !promise.chunked);
        let mut slots = [httparse::EMPTY_HEADER; 8];
        let mut answer = httparse::Response::new(&mut slots);
        prop_assert_eq!(answer.parse(&out), Ok(httparse::Status::Complete(out.len())));
        let names: Vec<_> = answer.headers.iter().map(|header| header.name).collect();
        prop_assert_eq!(names, ["Date", "Content-Length", "X-Echo"]);
        let length = bytes.to_string();
        prop_assert_eq!(answer.headers[1].value, length.as_bytes());
    }
}

fn check(input: &[u8], cuts: &[f64], expected: &[String]) -> Result<(), TestCaseError> {
    let mut cuts: Vec<usize> = cuts.iter().map(|at| (at * input.len() as f64) as usize).collect();
    cuts.sort_unstable();
    for told in [
        read(input, Limits::default(), []),
        read(input, Limits::default(), cuts),
        read(input, Limits::default(), 1..input.len()),
    ] {
        prop_assert_eq!(&told[..], expected);
    }
    for cut in 1..input.len() {
        prop_assert_eq!(&read(input, Limits::default(), [cut])[..], expected, "cut at {}", cut);
    }
    Ok(())
}

#[test]
fn answers_are_written_as_the_version_demands() {
    let date = date::imf_fixdate(784_111_777);
    let written = |status, meta: &Meta<'_>| {
        let mut out = Vec::new();
        let promise = encode::head(&mut out, status, meta);
        let text = String::from_utf8(out).expect("ASCII").replace("\r\n", "|");
        (text.replace("Date: Sun, 06 Nov 1994 08:49:37 GMT", "DATE"), promise.chunked, promise.keep_alive)
    };
    let meta = Meta::new(&date);
    let known = Meta { length: Length::Known(2), content_type: Some("text/plain"), ..meta };
    let unknown = Meta { length: Length::Unknown, ..meta };
    let old = Version::H10;
    let expect = |text: &str, chunked, keep| (text.to_owned(), chunked, keep);
    for (told, expected) in [
        (
            written(Status::Ok, &known),
            expect("HTTP/1.1 200 OK|DATE|Content-Type: text/plain|Content-Length: 2||", false, true),
        ),
        (
            written(Status::Ok, &Meta { keep_alive: false, ..known }),
            expect(
                "HTTP/1.1 200 OK|DATE|Content-Type: text/plain|Content-Length: 2|Connection: close||",
                false,
                false,
            ),
        ),
        (
            written(Status::Ok, &Meta { version: old, content_type: None, ..known }),
            expect("HTTP/1.1 200 OK|DATE|Content-Length: 2|Connection: keep-alive||", false, true),
        ),
        (
            written(Status::Ok, &unknown),
            expect("HTTP/1.1 200 OK|DATE|Transfer-Encoding: chunked||", true, true),
        ),
        (
            written(Status::Ok, &Meta { version: old, ..unknown }),
            expect("HTTP/1.1 200 OK|DATE|Connection: close||", false, false),
        ),
        (written(Status::NoContent, &meta), expect("HTTP/1.1 204 No Content|DATE||", false, true)),
        (
            written(Status::NotModified, &known),
            expect("HTTP/1.1 304 Not Modified|DATE|Content-Type: text/plain||", false, true),
        ),
        (written(Status::NoContent, &unknown), expect("HTTP/1.1 204 No Content|DATE||", false, true)),
        (
            written(Status::MethodNotAllowed, &Meta { allow: Some("GET, HEAD"), nosniff: true, ..meta }),
            expect(
                "HTTP/1.1 405 Method Not Allowed|DATE|X-Content-Type-Options: nosniff|Allow: GET, HEAD||",
                false,
                true,
            ),
        ),
    ] {
        assert_eq!(told, expected);
    }
}

#[test]
fn a_refusal_is_answered_with_its_reason_and_a_close() {
    let date = date::imf_fixdate(784_111_777);
    for &refusal in Refusal::ALL {
        let mut out = Vec::new();
        encode::refusal(&mut out, refusal, &date);
        let text = String::from_utf8(out).expect("ASCII");
        let (head, body) = text.split_once("\r\n\r\n").expect("a head and a body");
        assert!(head.starts_with(refusal.status().line().trim_end()));
        assert!(head.contains("\r\nConnection: close"));
        assert!(head.contains(&format!("\r\nContent-Length: {}", body.len())));
        assert_eq!(body, format!("{refusal}\n"));
    }
}

#[test]
fn a_canned_answer_is_the_written_one_with_a_new_date() {
    let (old, new) = (date::imf_fixdate(0), date::imf_fixdate(784_111_777));
    let meta = Meta { content_type: Some("text/plain"), ..Meta::new(&old) };
    let mut canned = encode::Canned::new(Status::Ok, &meta, b"ok");
    canned.set_date(&new);
    let mut out = Vec::new();
    let _ = encode::head(&mut out, Status::Ok, &Meta { length: Length::Known(2), date: &new, ..meta });
    assert_eq!(canned.answer_to_head(), out);
    out.extend_from_slice(b"ok");
    assert_eq!(canned.answer(), out);
}

#[test]
fn chunk_sizes_are_written_in_hex_without_zeros_in_front() {
    for bytes in [1, 9, 10, 15, 16, 255, 4096, 65_535, u64::MAX] {
        let mut out = Vec::new();
        encode::chunk_head(&mut out, bytes);
        assert_eq!(out, format!("{bytes:x}\r\n").into_bytes());
        out.clear();
        encode::decimal(&mut out, bytes);
        assert_eq!(out, bytes.to_string().into_bytes());
    }
}

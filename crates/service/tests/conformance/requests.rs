//! Requests that are served: every method and route in its kind of answer, one after another on one connection.

use crate::server::{Engine, Server};
use std::io::Write;
use std::thread;

on_every_engine! {
    each_kind_of_request_gets_its_kind_of_answer
    a_thousand_pipelined_requests_in_odd_pieces_are_answered_in_order
    continue_is_said_before_the_body_and_only_where_it_is_wanted
    figures_are_shown_under_our_own_names_only
}

on_every_ring! {
    each_kind_of_request_gets_its_kind_of_answer
    a_thousand_pipelined_requests_in_odd_pieces_are_answered_in_order
    continue_is_said_before_the_body_and_only_where_it_is_wanted
}

/// Sends a request and checks its answer's status and one of its headers; then what becomes of the connection.
fn check(server: &Server, request: &str, status: u16, header: &str, goes_on: bool) {
    let mut client = server.site();
    client.send(request);
    let answer =
        client.answer_of(request.starts_with("HEAD ")).unwrap_or_else(|| panic!("no answer to {request:?}"));
    assert_eq!(answer.status, status, "{request:?}: {answer:?}");
    assert!(answer.has(header), "{request:?} wants {header:?}: {answer:?}");
    if goes_on {
        client.send("GET /ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        assert_eq!(client.answer().text(), "ok", "after {request:?}");
    }
    assert!(client.is_closed(), "after {request:?}");
}

fn each_kind_of_request_gets_its_kind_of_answer(engine: Engine) {
    let server = Server::new(engine);
    for (request, status, header, goes_on) in [
        ("GET /ping HTTP/1.1\r\nHost: x\r\n\r\n", 200, "Content-Length: 2", true),
        ("HEAD /ping HTTP/1.1\r\nHost: x\r\n\r\n", 200, "Content-Length: 2", true),
        ("HEAD /bytes/1073741824 HTTP/1.1\r\nHost: x\r\n\r\n", 200, "Content-Length: 1073741824", true),
        ("GET /bytes/100000 HTTP/1.1\r\nHost: x\r\n\r\n", 200, "Content-Length: 100000", true),
        ("GET /users/7?type=a HTTP/1.1\r\nHost: x\r\n\r\n", 200, "Content-Type: application/json", true),
        ("OPTIONS /echo HTTP/1.1\r\nHost: x\r\n\r\n", 204, "Allow: POST, OPTIONS", true),
        ("OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", 204, "Allow: GET, HEAD, POST, OPTIONS", true),
        (
            "PUT /ping HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi",
            405,
            "Allow: GET, HEAD, OPTIONS",
            true,
        ),
        ("GET /echo HTTP/1.1\r\nHost: x\r\n\r\n", 405, "Allow: POST, OPTIONS", true),
        ("HEAD /nothing HTTP/1.1\r\nHost: x\r\n\r\n", 404, "X-Content-Type-Options: nosniff", true),
        (
            "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi",
            200,
            "Content-Type: application/octet-stream",
            true,
        ),
        ("GET /ping HTTP/1.0\r\n\r\n", 200, "Connection: close", false),
        ("GET /ping HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", 200, "Connection: keep-alive", true),
        ("GET /ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 200, "Connection: close", false),
        // A TLS ClientHello on the plain port.
        ("\x16\x03\x01\x02\0\x01\0\x01\u{fc}\x03\x03", 400, "Connection: close", false),
    ] {
        check(&server, request, status, header, goes_on);
    }
    server.end();
}

fn a_thousand_pipelined_requests_in_odd_pieces_are_answered_in_order(engine: Engine) {
    let server = Server::new(engine);
    let mut requests = Vec::new();
    for n in 0..1000 {
        match n % 4 {
            0 => write!(requests, "GET /users/{n} HTTP/1.1\r\nHost: x\r\n\r\n"),
            1 => write!(requests, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n{n:04}"),
            2 => write!(requests, "GET /nothing/{n} HTTP/1.1\r\nHost: x\r\n\r\n"),
            _ => write!(
                requests,
                "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n#\r\n4\r\n{n:04}\r\n0\r\n\r\n"
            ),
        }
        .unwrap();
    }
    let mut client = server.site();
    let mut writer = client.stream().try_clone().unwrap();
    let sender = thread::spawn(move || {
        let mut rest = &requests[..];
        for size in (1..=97).cycle() {
            let (piece, after) = rest.split_at(size.min(rest.len()));
            writer.write_all(piece).unwrap();
            rest = after;
            if rest.is_empty() {
                return;
            }
        }
    });
    for n in 0..1000 {
        let answer = client.answer();
        match n % 4 {
            0 => assert_eq!(answer.text(), format!("{{\"id\":\"{n}\"}}")),
            1 => assert_eq!(answer.text(), format!("{n:04}")),
            2 => assert_eq!(answer.status, 404),
            _ => assert_eq!(answer.text(), format!("#{n:04}")),
        }
    }
    sender.join().unwrap();
    assert_eq!(server.end().requests, 1000);
}

fn continue_is_said_before_the_body_and_only_where_it_is_wanted(engine: Engine) {
    let server = Server::new(engine);
    let expecting = |path: &str| {
        format!("POST {path} HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
    };
    let mut client = server.site();
    for body in ["hello", "again"] {
        assert_eq!(client.send(expecting("/echo")).answer().status, 100);
        assert_eq!(client.send(body).answer().text(), body);
    }
    // The body is here already: nobody waits for leave to send it.
    assert_eq!(client.send(expecting("/echo") + "early").answer().text(), "early");
    // Nobody wants this one, and whether it comes is not known: the connection cannot go on.
    let answer = client.send(expecting("/nothing")).answer();
    assert_eq!((answer.status, answer.has("Connection: close")), (404, true));
    assert!(client.is_closed());
    drop(client);
    let counts = server.end();
    assert_eq!((counts.status_1xx, counts.status_2xx, counts.status_4xx), (2, 3, 1));
}

fn figures_are_shown_under_our_own_names_only(engine: Engine) {
    let server = Server::new(engine);
    let ask = |path: &str, host: &str| format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n");
    for (host, status) in
        [("localhost", 200), ("127.0.0.1:1", 200), ("[::1]", 200), ("evil.example", 421), ("", 421)]
    {
        let (mut site, mut admin) = (server.site(), server.admin());
        for path in ["/", "/live.json"] {
            assert_eq!(site.send(ask(path, host)).answer().status, status, "{path} as {host:?}");
        }
        for path in ["/metrics", "/caps", "/ready"] {
            assert_eq!(admin.send(ask(path, host)).answer().status, status, "{path} as {host:?}");
        }
        // What tells nothing is told to everybody.
        assert_eq!(site.send(ask("/ping", host)).answer().status, 200);
        assert_eq!(admin.send(ask("/health", host)).answer().status, 200);
    }
    server.end();
}

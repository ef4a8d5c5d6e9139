//! HTTP over real sockets: what each kind of request gets, and what becomes of the connection.

mod site_rig;

use site_rig::{Client, Rig, noise};
use std::io::Write;
use std::net::Shutdown;
use std::thread;

/// A request whose answer is `ok`, and then the end.
const LAST: &str = "GET /ping HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

/// Sends a request and checks its status; then whether the connection goes on, by what happens to a further request.
fn check(rig: &Rig, request: &str, status: u16, goes_on: bool) {
    let mut client = rig.site();
    let is_head = request.starts_with("HEAD ");
    // In one write: sent apart, the second might find the connection closed, and be answered with a reset.
    client.send(format!("{request}{LAST}"));
    let answer = client.answer_of(is_head).unwrap_or_else(|| panic!("an answer to {request:?}"));
    assert_eq!(answer.status, status, "{request:?}: {answer:?}");
    assert_eq!(answer.has("Connection: close"), !goes_on, "{request:?}: {answer:?}");
    if goes_on {
        assert_eq!(client.answer().text(), "ok", "after {request:?}");
    }
    assert!(client.is_closed(), "after {request:?}");
}

#[test]
fn requests_are_answered_and_the_connection_goes_on() {
    let rig = Rig::new();
    for (request, status) in [
        ("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", 200),
        ("GET /page.css HTTP/1.1\r\nHost: x\r\n\r\n", 200),
        ("GET /page.js HTTP/1.1\r\nHost: x\r\n\r\n", 200),
        ("GET /live.json HTTP/1.1\r\nHost: 127.0.0.1:1\r\n\r\n", 200),
        ("GET /live.json HTTP/1.1\r\nHost: evil.example\r\n\r\n", 421),
        ("GET /ping HTTP/1.1\r\nHost: x\r\n\r\n", 200),
        ("\r\nGET /ping HTTP/1.1\r\nHost: x\r\n\r\n", 200),
        ("HEAD /ping HTTP/1.1\r\nHost: x\r\n\r\n", 200),
        ("HEAD /bytes/1000000 HTTP/1.1\r\nHost: x\r\n\r\n", 200),
        ("GET http://x/ping HTTP/1.1\r\nHost: y\r\n\r\n", 200),
        ("GET /ping HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", 200),
        ("GET /ping HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello", 200),
        ("GET /ping HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", 200),
        ("GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n", 404),
        ("PUT /ping HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi", 405),
        ("GET /bytes/0 HTTP/1.1\r\nHost: x\r\n\r\n", 200),
        ("GET /bytes/300000 HTTP/1.1\r\nHost: x\r\n\r\n", 200),
        ("GET /bytes/many HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        ("GET /users/1?type=a HTTP/1.1\r\nHost: x\r\n\r\n", 200),
        ("OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", 204),
        ("POST /echo HTTP/1.1\r\nHost: x\r\n\r\n", 200),
        ("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello", 200),
        ("POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 200),
        (
            "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1;a=b\r\nx\r\n0\r\nT: v\r\n\r\n",
            200,
        ),
        ("POST /nothing HTTP/1.1\r\nHost: x\r\nContent-Length: 60000\r\n\r\n", 404),
    ] {
        let mut request = request.to_owned();
        if request.contains("60000") {
            request.push_str(&"x".repeat(60_000));
        }
        check(&rig, &request, status, true);
    }
    rig.end();
}

#[test]
fn what_two_programs_could_read_in_two_ways_is_refused_and_the_connection_closed() {
    let rig = Rig::new();
    let get = |lines: &str| format!("GET /ping HTTP/1.1\r\nHost: x\r\n{lines}\r\n\r\n");
    let chunked =
        |body: &str| format!("POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n{body}");
    let mut cases = vec![
        ("GET /ping HTTP/1.1\r\n\r\n".to_owned(), 400),
        ("GET /ping HTTP/1.1\nHost: x\n\n".to_owned(), 400),
        ("GET  /ping HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(), 400),
        ("GET /ping HTTP/2.0\r\nHost: x\r\n\r\n".to_owned(), 505),
        ("GET /../ping HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(), 400),
        ("GET /%2e%2e/ping HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(), 400),
        ("GET /%00 HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(), 400),
        ("GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(), 400),
        ("\x16\x03\x01\x02\0\x01\0\x01\u{fc}\x03\x03".to_owned(), 400),
        (format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(9000)), 414),
        ("POST /echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".to_owned(), 400),
        (get("Host: y"), 400),
        (get("A : b"), 400),
        (get("A: b\r\n c"), 400),
        (get(": b"), 400),
        (get("A: b\0"), 400),
        (get("A: b\rc"), 400),
        (get("Content-Length: 1\r\nContent-Length: 1"), 400),
        (get("Content-Length: +1"), 400),
        (get("Content-Length: 1\r\nTransfer-Encoding: chunked"), 400),
        (get("Transfer-Encoding: gzip"), 501),
        (get("Transfer-Encoding: chunked, chunked"), 400),
        (get("Expect: miracles"), 417),
        (get("A: b\r\n".repeat(101).trim_end()), 431),
        (get(&format!("A: {}", "b".repeat(130 << 10))), 431),
    ];
    for body in ["zz\r\n", "-1\r\n", "5\r\nhelloX", "11111111111111111\r\n", "1 \r\nx", "0\r\nA : b\r\n\r\n"]
    {
        cases.push((chunked(body), 400));
    }
    for (request, status) in &cases {
        check(&rig, request, *status, false);
    }
    let counts = rig.end();
    assert_eq!(counts.refused, cases.len() as u64);
}

#[test]
fn a_connection_ends_when_either_side_wants_it() {
    let rig = Rig::new();
    for request in [
        "GET /ping HTTP/1.0\r\n\r\n",
        "GET /ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        "GET / HTTP/1.0\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc",
        // A body that nobody wants and that may never come, or is too long to be read for nothing.
        "GET /ping HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n",
        "GET /ping HTTP/1.1\r\nHost: x\r\nContent-Length: 10000000\r\n\r\n",
    ] {
        check(&rig, request, 200, false);
    }
    rig.end();
}

#[test]
fn pipelined_requests_are_answered_in_order_however_many() {
    let rig = Rig::new();
    let mut client = rig.site();
    let mut stream = client.stream().try_clone().unwrap();
    // More answers than an output holds, so the server has to stop reading more than once.
    let sender = thread::spawn(move || {
        for n in 0..5000 {
            let request = match n % 3 {
                0 => format!("GET /users/{n} HTTP/1.1\r\nHost: x\r\n\r\n"),
                1 => format!("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n{n:04}"),
                _ => "GET /bytes/1000 HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(),
            };
            stream.write_all(request.as_bytes()).unwrap();
        }
    });
    for n in 0..5000 {
        let answer = client.answer();
        match n % 3 {
            0 => assert_eq!(answer.text(), format!("{{\"id\":\"{n}\"}}")),
            1 => assert_eq!(answer.text(), format!("{n:04}")),
            _ => assert_eq!(answer.body.len(), 1000),
        }
    }
    sender.join().unwrap();
    assert_eq!(rig.end().requests, 5000);
}

#[test]
fn a_row_of_the_same_requests_ends_where_another_begins() {
    const PING: &str = "GET /ping HTTP/1.1\r\nHost: x\r\n\r\n";
    // Each begins as PING does.
    for (other, status, text) in [
        ("GET /ping HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", 200, "ok"),
        ("GET /ping HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello", 200, "ok"),
        ("GET /ping HTTP/1.1\r\nHost: xy\r\n\r\n", 200, "ok"),
        ("GET /ping/no HTTP/1.1\r\nHost: x\r\n\r\n", 404, "Not Found\n"),
        (
            "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 36\r\n\r\nGET /ping HTTP/1.1\r\nHost: x\r\n\r\nhello",
            200,
            "GET /ping HTTP/1.1\r\nHost: x\r\n\r\nhello",
        ),
    ] {
        let rig = Rig::new();
        let mut client = rig.site();
        let (before, between) = (PING.repeat(5), PING.repeat(3));
        client.send(format!("{before}{other}{between}{other}{other}{PING}{LAST}{PING}"));
        for is_ping in [[true; 5].as_slice(), &[false], &[true; 3], &[false; 2], &[true; 2]].concat() {
            let (answer, (status, text)) =
                (client.answer(), if is_ping { (200, "ok") } else { (status, text) });
            assert_eq!((answer.status, answer.text()), (status, text), "{other:?}");
        }
        assert!(client.is_closed(), "what comes after the last is not answered");
        assert_eq!(rig.end().requests, 13);
    }
}

#[test]
fn a_body_of_many_megabytes_comes_back_whole_with_a_length_and_in_chunks() {
    let rig = Rig::new();
    let body = noise(1, 20_000_000);
    for chunked in [false, true] {
        let mut client = rig.site();
        let mut stream = client.stream().try_clone().unwrap();
        let sent = body.clone();
        let sender = thread::spawn(move || {
            let framing = if chunked {
                "Transfer-Encoding: chunked".into()
            } else {
                format!("Content-Length: {}", sent.len())
            };
            write!(stream, "POST /echo HTTP/1.1\r\nHost: x\r\n{framing}\r\n\r\n").unwrap();
            for (n, piece) in sent.chunks(70_001).enumerate() {
                if chunked {
                    // Sizes of all kinds, empty extensions included.
                    let (a, b) = piece.split_at(piece.len() / (1 + n % 50));
                    for part in [a, b].into_iter().filter(|part| !part.is_empty()) {
                        write!(stream, "{:X};n={n}\r\n", part.len()).unwrap();
                        stream.write_all(part).unwrap();
                        stream.write_all(b"\r\n").unwrap();
                    }
                } else {
                    stream.write_all(piece).unwrap();
                }
            }
            if chunked {
                stream.write_all(b"0\r\n\r\n").unwrap();
            }
        });
        let answer = client.answer();
        sender.join().unwrap();
        assert!(answer.body == body, "chunked: {chunked}");
        assert!(
            answer.has("Content-Type: application/octet-stream")
                && answer.has("X-Content-Type-Options: nosniff")
        );
        assert_eq!(client.send(LAST).answer().text(), "ok");
    }
    rig.end();
}

#[test]
fn bytes_are_streamed_and_are_the_pattern() {
    let rig = Rig::new();
    let mut client = rig.site();
    let answer = client.send("GET /bytes/5000003 HTTP/1.1\r\nHost: x\r\n\r\n").answer();
    assert_eq!(answer.body.len(), 5_000_003);
    assert!(answer.body.iter().zip(0u64..).all(|(byte, at)| u64::from(*byte) == at % 251));
    assert_eq!(client.send(LAST).answer().text(), "ok");
    rig.end();
}

#[test]
fn continue_is_said_once_and_only_when_the_body_is_read() {
    let rig = Rig::new();
    let mut client = rig.site();
    client.send("POST /echo HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
    assert_eq!(client.answer().status, 100);
    assert_eq!(client.send("hello").answer().text(), "hello");
    client.send("POST /nothing HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
    assert_eq!(client.answer().status, 404);
    assert!(client.is_closed());
    let counts = rig.end();
    assert_eq!((counts.status_1xx, counts.status_2xx, counts.status_4xx), (1, 1, 1));
}

#[test]
fn a_client_still_sending_a_long_head_reads_its_431() {
    let rig = Rig::new();
    let mut client = rig.site();
    let head = format!("GET / HTTP/1.1\r\nHost: localhost\r\nCookie: {}\r\n\r\n", "c".repeat(130 << 10));
    assert_eq!(client.send(head).answer().status, 431);
    rig.end();
}

#[test]
fn a_client_that_finished_sending_reads_all_it_asked_for() {
    let rig = Rig::new();
    let mut client = rig.site();
    client.send("GET /bytes/3000000 HTTP/1.1\r\nHost: x\r\n\r\n");
    client.stream().shutdown(Shutdown::Write).unwrap();
    assert_eq!(client.answer().body.len(), 3_000_000);
    assert!(client.is_closed());
    rig.end();
}

#[test]
fn the_page_carries_its_policy_and_the_figures() {
    let rig = Rig::new();
    let mut client = rig.site();
    let page = client.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").answer();
    assert!(page.text().contains("<table"));
    assert!(page.headers.iter().any(|line| line.starts_with("Content-Security-Policy: default-src 'none';")));
    assert!(page.has("Content-Type: text/html; charset=utf-8"));
    rig.end();
}

#[test]
fn admin_shows_the_counters_and_stays_reachable_while_others_drain() {
    let rig = Rig::new();
    let mut busy = rig.site();
    busy.send("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\na");
    let mut admin = rig.admin();
    let ask = |admin: &mut Client, path: &str| {
        admin.send(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n")).answer()
    };
    assert_eq!((ask(&mut admin, "/ready").status, ask(&mut admin, "/health").status), (200, 200));
    let metrics = ask(&mut admin, "/metrics");
    assert!(metrics.has(&format!("Content-Type: {}", service::metrics::CONTENT_TYPE)));
    assert!(metrics.text().lines().any(|line| line == "ringmill_connections 2"), "{}", metrics.text());
    rig.drain();
    while ask(&mut admin, "/ready").status != 503 {}
    assert_eq!(ask(&mut rig.admin(), "/ready").status, 503, "a new connection is served too");
    busy.send("b");
    assert_eq!(busy.answer().text(), "ab");
    assert!(busy.is_closed() && admin.is_closed());
    assert_eq!(rig.end().aborted, 0);
}

#[test]
fn a_drain_answers_what_was_asked_and_tells_the_client_to_go() {
    let rig = Rig::new();
    let mut idle = rig.site();
    let mut client = rig.site();
    assert_eq!(client.send("GET /ping HTTP/1.1\r\nHost: x\r\n\r\n").answer().text(), "ok");
    rig.drain();
    // One request is still welcome; which answer is the last one is said in it.
    let answer = client.send("GET /ping HTTP/1.1\r\nHost: x\r\n\r\n").answer();
    assert_eq!(answer.text(), "ok");
    if !answer.has("Connection: close") {
        assert!(client.send("GET /ping HTTP/1.1\r\nHost: x\r\n\r\n").answer().has("Connection: close"));
    }
    assert!(client.is_closed() && idle.is_closed());
    assert_eq!(rig.end().aborted, 0);
}

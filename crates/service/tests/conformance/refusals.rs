//! Requests that must be refused. The source is the golden tables of `proto`, so what the parser refuses, a server refuses
//! over a socket: with the status of its row, `Connection: close`, and an answer that the client can read to its end.

#[path = "../../../proto/tests/support/mod.rs"]
mod golden;

use crate::server::{Engine, Recipe, Server};
use crate::site_rig::Client;
use proto::http1::Limits;
use std::io::Write;
use std::net::Shutdown;
use std::thread;

on_every_engine! {
    every_refusal_of_the_golden_tables_is_answered_and_closes_the_connection
    a_client_that_is_still_sending_reads_its_refusal_whole
    a_client_that_reads_late_finds_its_refusal
}

const TABLES: [&str; 4] = [
    include_str!("../../../proto/tests/golden/heads.txt"),
    include_str!("../../../proto/tests/golden/fields.txt"),
    include_str!("../../../proto/tests/golden/bodies.txt"),
    include_str!("../../../proto/tests/golden/limits.txt"),
];

fn every_refusal_of_the_golden_tables_is_answered_and_closes_the_connection(engine: Engine) {
    let server = Server::new(engine);
    let mut refused = 0;
    for case in TABLES.iter().flat_map(|table| golden::cases(table)) {
        // The rows with bounds of their own are the parser's; a server's bounds are its own.
        let Some(status) = refusal(&case.expected).filter(|_| case.limits == Limits::default()) else {
            continue;
        };
        refused += 1;
        let shown = case.input.escape_ascii();
        let mut client = server.site();
        client.send(&case.input);
        let mut last = None;
        for line in case.expected.iter().filter(|line| !line.starts_with(':')) {
            // A request that is refused in its body has no answer of its own: it may have had the head's.
            match client.answer_of(line.starts_with("= HEAD ")) {
                Some(answer) => last = Some(answer),
                None => break,
            }
        }
        let last = last.unwrap_or_else(|| panic!("no answer to {shown}"));
        assert_eq!((last.status, last.has("Connection: close")), (status, true), "{shown}: {last:?}");
        assert!(client.is_closed(), "{shown}");
    }
    let counts = server.end();
    assert_eq!(counts.refused, refused);
    assert!(refused > 150, "the tables hold {refused} refusals: are they read?");
}

/// The status of the refusal in which a golden case ends.
fn refusal(expected: &[String]) -> Option<u16> {
    let line = expected.last()?.strip_prefix("! ")?;
    line.rsplit_once(' ')?.1.parse().ok()
}

/// Requests of which the answer is known long before they are whole: status, head, and bytes that follow it.
fn long_requests() -> [(u16, String, usize); 5] {
    const BODY: usize = BODY_BYTES_MAX as usize;
    let post = |path: &str, body: usize| {
        format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {body}\r\n\r\n")
    };
    let chunked =
        format!("POST /nothing HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n{BODY:x}\r\n");
    [
        (431, "GET /ping HTTP/1.1\r\nHost: x\r\nCookie: ".into(), 130 << 10),
        (404, post("/nothing", BODY), BODY),
        (404, chunked, BODY),
        (405, post("/ping", BODY), BODY),
        (413, post("/echo", BODY + 1), BODY),
    ]
}

const BODY_BYTES_MAX: u64 = 10 << 20;

fn bounded(engine: Engine) -> Server {
    Recipe::new().site(|site| site.limits.body_bytes_max = BODY_BYTES_MAX).serve(engine)
}

fn a_client_that_is_still_sending_reads_its_refusal_whole(engine: Engine) {
    let server = bounded(engine);
    for (status, head, bytes) in long_requests() {
        let mut client = server.site();
        let mut writer = client.stream().try_clone().unwrap();
        let sender = thread::spawn(move || {
            // The server stops reading at its bound: what is sent beyond it fails, as it should.
            let _cut = writer.write_all(head.as_bytes()).and_then(|()| writer.write_all(&vec![b'x'; bytes]));
        });
        assert_eq!(client.answer().status, status);
        client.stream().shutdown(Shutdown::Both).unwrap_or_default();
        sender.join().unwrap();
    }
    server.end();
}

fn a_client_that_reads_late_finds_its_refusal(engine: Engine) {
    let server = bounded(engine);
    for (status, head, bytes) in long_requests() {
        // No more than a server discards after its answer: nothing is reset then.
        let bytes = bytes.min(130 << 10);
        let mut client: Client = server.site();
        client.send(head).send(vec![b'x'; bytes]);
        assert_eq!(client.answer().status, status);
        client.stream().shutdown(Shutdown::Write).unwrap();
        assert!(client.is_closed());
    }
    server.end();
}

//! Bodies of any size, streamed through: whole, in order, in bounded memory however slowly the client reads.

use crate::echo::fill;
use crate::server::{Engine, Recipe, Server, rss_bytes, until};
use crate::site_rig::noise;
use shard::plan::Plan;
use std::io::Write;
use std::thread;

on_every_engine! {
    a_long_body_with_a_length_comes_back_whole_to_a_client_that_reads_late
    a_long_body_in_chunks_comes_back_whole_to_a_client_that_reads_late
    gigabytes_that_nobody_reads_cost_no_memory
}

on_every_ring! {
    a_long_body_with_a_length_comes_back_whole_to_a_client_that_reads_late
    a_long_body_in_chunks_comes_back_whole_to_a_client_that_reads_late
}

const BODY_BYTES: usize = 64 << 20;

fn a_long_body_with_a_length_comes_back_whole_to_a_client_that_reads_late(engine: Engine) {
    check(engine, |body| {
        let head = format!("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n", body.len());
        [head.as_bytes(), body].concat()
    });
}

fn a_long_body_in_chunks_comes_back_whole_to_a_client_that_reads_late(engine: Engine) {
    check(engine, |body| {
        let mut request = b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
        // Chunks of all sizes, from one byte to more than a server keeps unread; the last one is empty.
        let mut rest = body;
        for size in [1, 17, 4096, 65_537, 1_000_000].into_iter().cycle() {
            let (chunk, after) = rest.split_at(size.min(rest.len()));
            write!(request, "{:x}\r\n", chunk.len()).unwrap();
            request.extend_from_slice(chunk);
            request.extend_from_slice(b"\r\n");
            rest = after;
            if chunk.is_empty() {
                break;
            }
        }
        request
    });
}

/// Sends the request that `encode` makes of a body, without reading for as long as that goes; then reads: the body must come
/// back.
fn check(engine: Engine, encode: impl Fn(&[u8]) -> Vec<u8>) {
    let server = Server::new(engine);
    let body = noise(1, BODY_BYTES);
    let request = encode(&body);
    let mut client = server.site();
    let sent = fill(client.stream(), &request);
    assert!(sent < request.len(), "nothing held the client back");
    let held = server.held_bytes();
    assert!(held <= held_bytes_max(), "{held} bytes are held of {sent} that were sent");
    let mut writer = client.stream().try_clone().unwrap();
    let sender = thread::spawn(move || writer.write_all(&request[sent..]).unwrap());
    let answer = client.answer();
    sender.join().unwrap();
    assert_eq!(answer.status, 200);
    assert!(answer.body == body, "{} of {} bytes came back, or others", answer.body.len(), body.len());
    assert_eq!(client.send("GET /ping HTTP/1.1\r\nHost: x\r\n\r\n").answer().text(), "ok");
    server.end();
}

fn gigabytes_that_nobody_reads_cost_no_memory(engine: Engine) {
    const CLIENTS: usize = 20;
    let server = Recipe::new().serve_alone(engine);
    let before = rss_bytes();
    let mut clients: Vec<_> = (0..CLIENTS).map(|_| server.site()).collect();
    for client in &mut clients {
        client.send("GET /bytes/1073741824 HTTP/1.1\r\nHost: x\r\n\r\n");
    }
    // Each gives what the kernel takes and no more, while others are served.
    until("all answers have begun", || server.counts().requests == CLIENTS as u64);
    assert_eq!(server.site().send("GET /ping HTTP/1.1\r\nHost: x\r\n\r\n").answer().text(), "ok");
    let grown = rss_bytes().saturating_sub(before);
    assert!(grown <= 2 * CLIENTS * Plan::default().out_max, "{grown} bytes more than before");
    drop(clients);
    server.end();
}

/// Most that may be held for one connection: a full output, a full input, and what was on its way when receiving stopped.
fn held_bytes_max() -> u64 {
    let plan = Plan::default();
    let pool = plan.pool.bytes as usize * usize::from(plan.pool.count);
    (plan.out_max + service::any::INPUT_MAX + pool) as u64
}

//! A thousand clients that send and never read: they hold bounded memory, and the next client does not notice them.

use crate::echo::{exchange, fill};
use crate::server::{Engine, Recipe, Server, patient, rss_bytes, until};
use crate::site_rig::noise;
use linux::{limits, sandbox};
use shard::plan::Plan;
use std::io::{ErrorKind, Read};
use std::net::TcpStream;
use std::time::Duration;

on_every_engine! {
    a_thousand_that_never_read_leave_the_next_client_alone
    the_same_holds_with_a_pool_of_32_buffers
    a_drain_cuts_those_that_never_read_at_its_deadline
}

on_every_ring! {
    the_same_holds_with_a_pool_of_32_buffers
}

fn a_thousand_that_never_read_leave_the_next_client_alone(engine: Engine) {
    check(engine, 256);
}

fn the_same_holds_with_a_pool_of_32_buffers(engine: Engine) {
    check(engine, 32);
}

fn a_drain_cuts_those_that_never_read_at_its_deadline(engine: Engine) {
    let change = |plan: &mut Plan| plan.drain = Duration::from_millis(50);
    let server = Recipe::new().plan(change).plan(|plan| seat_all(plan, 101)).serve(engine);
    let readers = stuffed(&server, 100);
    assert_eq!(server.end().aborted, 100);
    for (mut stream, _) in readers {
        // What was on its way comes, and then the cut: it never looks like an end.
        let cut = loop {
            match stream.read(&mut [0; 4096]) {
                Ok(0) => break None,
                Ok(_) => {}
                Err(error) => break Some(error.kind()),
            }
        };
        assert_eq!(cut, Some(ErrorKind::ConnectionReset));
    }
}

/// Lets a shard serve so many at a time where each takes a thread.
fn seat_all(plan: &mut Plan, connections: u16) {
    (plan.threads_max, plan.pool_workers) = (connections, connections);
}

/// The buffers there are: those of the shard, where its workers have none of their own.
fn buffers_of_all(engine: Engine, shard: u16) -> u64 {
    match engine {
        Engine::Uring | Engine::Epoll | Engine::Glommio => shard.into(),
        Engine::Threads | Engine::Pool => 4 * (READERS as u64 + 1),
    }
}

const READERS: usize = 1000;

/// What one of them sends: more than a server may hold for it. The rest waits in the kernel.
const SENT_BYTES_MAX: usize = 512 << 10;

/// What one of them may cost this process, both ends together: the output and the unread input of its leg at their bounds
/// (`Plan::out_max`, `INPUT_MAX`), and as much again for what was on its way when receiving stopped.
const RSS_BYTES_EACH_MAX: usize = 2 * ((256 << 10) + service::any::INPUT_MAX);

fn check(engine: Engine, buffers: u16) {
    limits::require_nofile(2 * READERS as u64).or_else(|_| limits::raise_nofile().map(drop)).unwrap();
    let change = |plan: &mut Plan| plan.pool.count = buffers;
    let server =
        Recipe::new().plan(change).plan(|plan| seat_all(plan, READERS as u16 + 1)).serve_alone(engine);
    let before = rss_bytes();
    let mut readers = stuffed(&server, READERS);
    let sent: usize = readers.iter().map(|(_, sent)| sent).sum();
    let counts = server.counts();
    assert!(counts.buffers_lent <= buffers_of_all(engine, buffers), "{counts:?}");
    assert!(counts.bytes_in < sent as u64, "the server stopped reading: {sent} sent, {counts:?}");
    let grown = rss_bytes().saturating_sub(before);
    assert!(grown <= READERS * RSS_BYTES_EACH_MAX, "{grown} bytes more than before");

    let mut next = server.echo();
    for (bytes, messages) in [(64, 1000), (16 << 10, 1000), (200_000, 10)] {
        let message = noise(2, bytes);
        for _ in 0..messages {
            assert!(exchange(&mut next, &message) == message, "{bytes} bytes");
        }
    }
    // Half of them end, half reset.
    for (stream, _) in readers.drain(..READERS / 2) {
        linux::net::set_linger_zero(&stream).unwrap();
    }
    drop((readers, next));
    until("all have gone and all buffers are back", || {
        let counts = server.counts();
        (counts.connections, counts.buffers_lent) == (0, 0)
    });
    server.end();
}

/// Clients that have sent, without reading, until nothing moved any more: what lies between them and themselves is full.
/// Each with what it sent.
pub(crate) fn stuffed(server: &Server, readers: usize) -> Vec<(TcpStream, usize)> {
    let connect = || {
        let stream = sandbox::connect_narrow(server.echo_address()).expect("the server listens");
        patient(&stream);
        (stream, 0)
    };
    let mut readers: Vec<(TcpStream, usize)> = (0..readers).map(|_| connect()).collect();
    let piece = noise(1, SENT_BYTES_MAX);
    let mut moves = true;
    while moves {
        moves = false;
        for (stream, sent) in &mut readers {
            let more = fill(stream, &piece[*sent..]);
            moves |= more > 0;
            *sent += more;
        }
        // The server has had a turn, and serves others meanwhile.
        let mut next = server.echo();
        assert_eq!(exchange(&mut next, b"is there room for one more?"), b"is there room for one more?");
    }
    readers
}

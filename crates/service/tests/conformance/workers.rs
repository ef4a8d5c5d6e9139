//! Engines whose connections take threads: what those hear for whom there is none, and that threads come back.

use crate::echo::exchange;
use crate::server::{Engine, Recipe, Server, connect, tcp, until};
use crate::site_rig::Client;
use service::http::BUSY;
use shard::plan::Plan;
use shard::{End, Event, Io, Next, Origin, Service};
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

const PING: &str = "GET /ping HTTP/1.1\r\nHost: x\r\n\r\n";

/// A pool of one worker, whose queue has room for one.
fn narrow_pool(plan: &mut Plan) {
    (plan.pool_workers, plan.pool_queue) = (1, 1);
}

/// A server whose only worker is busy with the first client, and in whose queue the second one waits.
fn full() -> (Server, TcpStream, Client) {
    let server = Recipe::new().plan(narrow_pool).serve(Engine::Pool);
    let mut busy = server.echo();
    assert_eq!(exchange(&mut busy, b"mine"), b"mine");
    let mut waiting = server.site();
    waiting.send(PING);
    (server, busy, waiting)
}

#[test]
fn who_finds_the_queue_of_a_pool_full_is_answered_counted_and_closed() {
    let (server, mut busy, mut waiting) = full();
    for n in 1..=3 {
        let mut late = connect(server.site_address());
        let mut answer = Vec::new();
        late.write_all(PING.as_bytes()).and_then(|()| late.read_to_end(&mut answer)).unwrap();
        assert_eq!(answer.escape_ascii().to_string(), BUSY.escape_ascii().to_string());
        let mut late = server.echo();
        late.write_all(b"what is never read does not turn the end into a reset").unwrap();
        assert_eq!(late.read(&mut [0]).unwrap(), 0);
        assert_eq!(server.counts().shed, 2 * n);
    }
    // Health checks wait for no worker.
    let ready = "GET /ready HTTP/1.1\r\nHost: localhost\r\n\r\n";
    assert_eq!(server.admin().send(ready).answer().status, 200);
    assert_eq!(exchange(&mut busy, b"still mine"), b"still mine");
    drop(busy);
    assert_eq!(waiting.answer().text(), "ok");
    drop(waiting);
    let counts = server.end();
    assert_eq!((counts.accepted, counts.shed, counts.accepts_paused), (3, 6, 0));
}

#[test]
fn what_waits_in_the_queue_of_a_pool_when_a_drain_begins_is_served() {
    let (server, busy, mut waiting) = full();
    server.control().drain();
    drop(busy);
    assert_eq!(waiting.answer().text(), "ok");
    assert!(waiting.is_closed());
    let counts = server.end();
    assert_eq!((counts.accepted, counts.shed, counts.aborted), (2, 0, 0));
}

#[test]
fn what_a_drain_has_no_time_for_is_shed_from_the_queue_of_a_pool() {
    let short = |plan: &mut Plan| plan.drain = Duration::from_millis(50);
    let server = Recipe::new().plan(narrow_pool).plan(short).serve(Engine::Pool);
    // Its request is begun, and never comes whole.
    let mut stuck = server.site();
    stuck.send("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf ");
    until("it has the worker", || server.counts().requests == 1);
    let mut waiting = server.echo();
    waiting.write_all(b"me too").unwrap();
    // Who comes next finds the queue full, so the other one is in it.
    assert_eq!(server.echo().read(&mut [0]).unwrap(), 0);
    server.control().drain();
    assert_eq!(waiting.read(&mut [0]).map_err(|error| error.kind()), Err(ErrorKind::ConnectionReset));
    let counts = server.end();
    assert_eq!((counts.accepted, counts.shed, counts.aborted), (1, 2, 1));
}

#[test]
fn an_abort_ends_those_who_are_served_and_those_who_wait() {
    for engine in [Engine::Threads, Engine::Pool] {
        let server = Recipe::new().plan(narrow_pool).serve(engine);
        let mut clients = [server.echo(), server.echo()];
        assert_eq!(exchange(&mut clients[0], b"mine"), b"mine");
        server.control().abort();
        for mut client in clients {
            let heard = client.read(&mut [0]).map_err(|error| error.kind());
            assert!(matches!(heard, Ok(0) | Err(ErrorKind::ConnectionReset)), "{heard:?}");
        }
        server.end();
    }
}

#[test]
fn at_the_bound_of_threads_the_next_client_waits_until_one_ends() {
    let server = Recipe::new().plan(|plan| plan.threads_max = 2).serve(Engine::Threads);
    assert_eq!(server.seats()[0].connections_max, 2);
    let mut clients = [server.echo(), server.echo()];
    clients.iter_mut().for_each(|client| assert_eq!(exchange(client, b"in"), b"in"));
    until("accepting stops", || server.counts().accepts_paused == 1);
    let mut waiting = server.site();
    waiting.send(PING);
    assert_eq!(server.counts().accepted, 2);
    // The bound is not for those who look after the server.
    let ready = "GET /ready HTTP/1.1\r\nHost: localhost\r\n\r\n";
    assert_eq!(server.admin().send(ready).answer().status, 200);
    drop(clients);
    assert_eq!(waiting.answer().text(), "ok");
    drop(waiting);
    let counts = server.end();
    assert_eq!((counts.shed, counts.accept_errors, counts.aborted), (0, 0, 0));
}

#[test]
fn a_thousand_connections_one_after_another_share_three_places_and_leave_no_threads() {
    let server = Recipe::new().plan(|plan| plan.threads_max = 3).serve(Engine::Threads);
    for n in 0..1000_u32 {
        assert_eq!(exchange(&mut server.echo(), &n.to_le_bytes()), n.to_le_bytes());
    }
    // Other tests have some of their own.
    let threads = || std::fs::read_dir("/proc/self/task").expect("proc(5) is mounted").count();
    until("their threads have ended", || server.counts().connections == 0 && threads() < 1000);
    assert_eq!(server.end().accepted, 1000);
}

#[test]
fn one_line_stands_for_a_shard_and_all_of_its_workers() {
    for engine in [Engine::Threads, Engine::Pool] {
        let server = Recipe::new().plan(|plan| plan.cores = vec![None; 2]).serve(engine);
        let mut clients: Vec<TcpStream> = (0..8).map(|_| server.echo()).collect();
        clients.iter_mut().for_each(|client| assert_eq!(exchange(client, b"in"), b"in"));
        let board = server.board();
        let lines: Vec<u64> = (0..board.seats()).map(|shard| board.snapshot(shard).connections).collect();
        assert_eq!((lines.len(), lines.iter().sum::<u64>()), (2, 8), "{engine}");
        let page = server.admin().send("GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").answer();
        let shards = page.text().lines().filter(|line| line.starts_with("ringmill_shard_accepted_total{"));
        assert_eq!(shards.count(), 2, "{engine}");
        drop(clients);
        server.end();
    }
}

/// A service that has a mistake in it.
struct Broken;

impl Service for Broken {
    type Session = ();
    type Note = ();
    const INPUT_MAX: usize = 4096;

    fn open(&mut self, _: Origin, _: &mut Io<'_, Self>) {}

    fn on(&mut self, (): &mut (), event: Event<'_, Self>, _: &mut Io<'_, Self>) -> Next {
        match event {
            Event::Bytes(..) => panic!("a mistake of ours"),
            Event::Drain(_) => Next::Close,
            _ => Next::Stay,
        }
    }

    fn end(&mut self, (): (), _: End) {}
}

#[test]
fn a_worker_that_panics_makes_the_end_of_the_run_panic_as_a_seat_does() {
    for engine in Engine::ALL {
        let server = Server::of(engine, Plan { listeners: vec![tcp()], ..Plan::default() }, |_, _| Broken);
        let mut client = connect(server.addresses()[0]);
        client.write_all(b"x").unwrap();
        assert!(matches!(client.read(&mut [0]), Ok(0) | Err(_)), "{engine}");
        let ended = catch_unwind(AssertUnwindSafe(|| server.end()));
        let panic = ended.expect_err("the mistake is not hidden");
        assert_eq!(panic.downcast_ref::<&str>(), Some(&"a mistake of ours"), "{engine}");
    }
}

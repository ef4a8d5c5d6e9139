//! A drain as a load balancer sees it: nothing that was begun fails, idle connections go, what is stuck is cut at the end.
//!
//! What counts as a failed request: one on a connection that the server *accepted*, to which no whole answer came. A
//! connection that the kernel completed and the server never accepted is reset when its listener is closed, before a byte of
//! an answer; to a balancer it is as good as refused, and it tries another server. The server says itself how many it
//! accepted, so the test need not guess: each of those must have had an answer to each request that it got.

use crate::echo::exchange;
use crate::server::{ECHO, Engine, PATIENCE, Recipe, Server, connect, until};
use crate::site_rig::Client;
use crate::slow_readers::stuffed;
use shard::plan::{Accept, Plan};
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

on_every_engine! {
    no_accepted_request_fails_in_a_drain_under_load
    no_accepted_request_fails_in_a_drain_where_cores_choose_the_shard
    what_waits_in_the_accept_queue_when_a_drain_begins_is_served
    idle_connections_are_closed_within_the_grace
    what_is_stuck_at_the_deadline_is_aborted_and_counted
    the_next_server_has_the_same_address_at_once
    a_drain_is_told_to_balancers_though_no_site_session_is_open
    metrics_that_nobody_reads_do_not_outlive_the_deadline
}

on_every_ring! {
    no_accepted_request_fails_in_a_drain_under_load
    what_waits_in_the_accept_queue_when_a_drain_begins_is_served
    idle_connections_are_closed_within_the_grace
    what_is_stuck_at_the_deadline_is_aborted_and_counted
    a_drain_is_told_to_balancers_though_no_site_session_is_open
    metrics_that_nobody_reads_do_not_outlive_the_deadline
}

const CLIENTS: usize = 6;
/// Answers after which the drain begins.
const ANSWERS: u64 = 3000;

fn no_accepted_request_fails_in_a_drain_under_load(engine: Engine) {
    drain_under_load(Recipe::new().plan(|plan| plan.cores = vec![None; 2]).serve(engine));
}

fn no_accepted_request_fails_in_a_drain_where_cores_choose_the_shard(engine: Engine) {
    let cores = linux::cpu::allowed().expect("a thread may run somewhere").into_iter().map(Some).take(2);
    let change = |plan: &mut Plan| (plan.cores, plan.accept) = (cores.collect(), Accept::Cbpf);
    drain_under_load(Recipe::new().plan(change).serve(engine));
}

pub(crate) fn drain_under_load(server: Server) {
    let (answered, served) = (AtomicU64::new(0), AtomicU64::new(0));
    thread::scope(|scope| {
        for client in 0..CLIENTS {
            let (address, answered, served) = (server.site_address(), &answered, &served);
            // Half of them keep their connections, half of them come anew for each request or two.
            let most = if client % 2 == 0 { u64::MAX } else { 1 + client as u64 / 2 };
            scope.spawn(move || {
                while let Some(answers) = converse(address, most, answered) {
                    served.fetch_add(u64::from(answers > 0), Relaxed);
                }
            });
        }
        until("the load is there", || answered.load(Relaxed) >= ANSWERS);
        server.control().drain();
    });
    let counts = server.end();
    assert_eq!(counts.aborted, 0);
    assert_eq!(counts.requests, answered.load(Relaxed), "each request that came was answered");
    assert_eq!(counts.accepted, served.load(Relaxed), "each connection that was accepted was served");
}

/// At its bound a seat accepts nothing, so what comes then waits in the queue for sure.
fn what_waits_in_the_accept_queue_when_a_drain_begins_is_served(engine: Engine) {
    let server = Recipe::new().plan(|plan| plan.connections_max = 4).serve(engine);
    let mut held: Vec<TcpStream> = (0..4).map(|_| server.echo()).collect();
    held.iter_mut().for_each(|client| assert_eq!(exchange(client, b"in"), b"in"));
    until("accepting stops", || server.counts().accepts_paused == 1);
    // One more turn of the seat, and what it was told to stop has stopped.
    assert_eq!(exchange(&mut held[0], b"still in"), b"still in");
    let mut waiting: Vec<Client> = (0..8).map(|_| server.site()).collect();
    for client in &mut waiting {
        client.send(PING);
    }
    assert_eq!(server.counts().accepted, 4, "the others wait in the listener's queue");
    server.control().drain();
    drop(held);
    for mut client in waiting {
        assert_eq!(client.answer().text(), "ok");
        assert!(client.is_closed());
    }
    let counts = server.end();
    assert_eq!((counts.accepted, counts.status_2xx, counts.aborted), (12, 8, 0));
}

/// One connection with at most `most` requests, one after another, until the server asks for its end. Says how many were
/// answered, 0 for a connection that was never accepted; `None` when nobody listens any more.
fn converse(to: SocketAddr, most: u64, answered: &AtomicU64) -> Option<u64> {
    let stream = match TcpStream::connect(to) {
        Ok(stream) => stream,
        Err(error) => {
            let gone = matches!(error.kind(), ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset);
            assert!(gone, "connect: {error}");
            return None;
        }
    };
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut stream = BufReader::new(stream);
    for n in 0..most {
        let close = if n + 1 == most { "Connection: close\r\n" } else { "" };
        let asked = write!(stream.get_mut(), "GET /users/{n} HTTP/1.1\r\nHost: x\r\n{close}\r\n");
        match asked.and_then(|()| answer(&mut stream)) {
            Ok(last) => {
                answered.fetch_add(1, Relaxed);
                if last {
                    return Some(n + 1);
                }
            }
            Err(error) if n == 0 => {
                // Never accepted, or the sums at the end will not agree.
                assert!(
                    matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe),
                    "{error}"
                );
                return Some(0);
            }
            Err(error) => panic!("request {n} of an accepted connection failed: {error}"),
        }
    }
    unreachable!("the last answer says that it is the last")
}

/// Reads one answer; says whether it is the connection's last.
fn answer(stream: &mut BufReader<TcpStream>) -> Result<bool, std::io::Error> {
    let (mut line, mut last, mut length) = (String::new(), false, None);
    loop {
        line.clear();
        if stream.read_line(&mut line)? == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        match line.trim_end() {
            "" => break,
            "Connection: close" => last = true,
            other => {
                length = length.or(other.strip_prefix("Content-Length: ").and_then(|text| text.parse().ok()))
            }
        }
    }
    let mut body = vec![0; length.expect("every answer here has a length")];
    stream.read_exact(&mut body)?;
    assert!(body.starts_with(b"{\"id\":"), "{}", body.escape_ascii());
    Ok(last)
}

const PING: &str = "GET /ping HTTP/1.1\r\nHost: x\r\n\r\n";

fn idle_connections_are_closed_within_the_grace(engine: Engine) {
    let short = Duration::from_millis(20);
    let server = Recipe::new().site(|site| site.deadlines.drain_grace = short).serve(engine);
    let mut clients: Vec<Client> = (0..20).map(|_| server.site()).collect();
    // Some were asked nothing yet.
    for client in &mut clients[10..] {
        assert_eq!(client.send(PING).answer().text(), "ok");
    }
    let mut echo = server.echo();
    assert_eq!(exchange(&mut echo, b"here"), b"here");
    server.control().drain();
    assert!(clients.iter_mut().all(Client::is_closed));
    assert_eq!(echo.read(&mut [0]).unwrap(), 0);
    drop((clients, echo));
    let counts = server.end();
    assert_eq!((counts.aborted, counts.drained), (0, 21));
}

fn what_is_stuck_at_the_deadline_is_aborted_and_counted(engine: Engine) {
    let server = Recipe::new().plan(|plan| plan.drain = Duration::from_millis(50)).serve(engine);
    let mut stuck = server.site();
    stuck.send("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf ");
    // It hears the half that it sent: its request is begun.
    let mut heard = Vec::new();
    while !heard.ends_with(b"half ") {
        let mut byte = [0];
        stuck.stream().read_exact(&mut byte).unwrap();
        heard.extend(byte);
    }
    server.control().drain();
    assert_eq!(stuck.stream().read(&mut [0]).map_err(|error| error.kind()), Err(ErrorKind::ConnectionReset));
    assert_eq!(server.end().aborted, 1);
}

fn the_next_server_has_the_same_address_at_once(engine: Engine) {
    let serve = |port: u16| -> Server {
        // An address of its own: no connection of another test can have taken the port meanwhile.
        let address = SocketAddr::from(([127, 77, 7, 7], port));
        let change = |plan: &mut Plan| plan.listeners[ECHO].address = address;
        Recipe::new().plan(change).serve(engine)
    };
    let mut port = 0;
    for _ in 0..5 {
        let server = serve(port);
        port = server.echo_address().port();
        // Closed by the server: its side of the connection stays behind in TIME_WAIT.
        let mut client = connect(server.echo_address());
        assert_eq!(exchange(&mut client, b"again"), b"again");
        server.control().drain();
        assert_eq!(client.read(&mut [0]).unwrap(), 0);
        drop(client);
        server.end();
    }
}

fn a_drain_is_told_to_balancers_though_no_site_session_is_open(engine: Engine) {
    let server = Recipe::new().plan(|plan| plan.drain = PATIENCE).serve(engine);
    // An echo whose peer does not read: its last bytes hold up the drain, and no HTTP session hears of it.
    let stuck = stuffed(&server, 1);
    let ready =
        |server: &Server| server.admin().send("GET /ready HTTP/1.1\r\nHost: localhost\r\n\r\n").answer();
    assert_eq!(ready(&server).status, 200);
    server.control().drain();
    until("the answer turns", || ready(&server).status == 503);
    drop(stuck);
    server.end();
}

/// Answers of many kilobytes fill the output while hundreds of requests wait unread behind it: an exchange that is offered
/// input before there is room must wait for the room, not spin (it once did, for good).
fn metrics_that_nobody_reads_do_not_outlive_the_deadline(engine: Engine) {
    let server = Recipe::new().plan(|plan| plan.drain = Duration::from_millis(50)).serve(engine);
    let mut admin = server.admin();
    let requests = "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(1000);
    admin.send(&requests);
    until("the output is full", || server.counts().requests > 1);
    server.control().drain();
    server.end();
}

//! Connections that a server makes itself: opened, refused, given up at their deadline, and carried both ways until the end.

use crate::server::{Engine, PATIENCE, Server, connect, patient, tcp};
use crate::site_rig::noise;
use linux::net::{ListenOptions, Listener};
use service::any::{Any, Config, Kind};
use service::relay;
use shard::plan::Plan;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

on_every_engine! {
    megabytes_go_through_a_relay_both_ways_and_a_half_close_follows_them
    a_reset_goes_through_a_relay
    an_upstream_that_refuses_closes_the_client_and_is_counted
    an_upstream_that_never_answers_closes_the_client_at_the_deadline_and_is_counted
}

/// A relay to `to`.
fn relay(engine: Engine, to: SocketAddr, connect_deadline: Duration) -> Server {
    let config = Config::new(vec![Kind::Relay(relay::Config { to, connect_deadline })]);
    let plan = Plan { listeners: vec![tcp()], ..Plan::default() };
    Server::of(engine, plan, move |_, _| Any::new(config.clone()))
}

/// A relay, a client of it, and where that came out.
fn pair(engine: Engine) -> (Server, TcpStream, TcpStream) {
    let upstream = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = relay(engine, upstream.local_addr().unwrap(), PATIENCE);
    let client = connect(server.addresses()[0]);
    let far = upstream.accept().unwrap().0;
    patient(&far);
    (server, client, far)
}

fn megabytes_go_through_a_relay_both_ways_and_a_half_close_follows_them(engine: Engine) {
    let (server, client, far) = pair(engine);
    let ends = [(client, 1), (far, 2)].map(|(end, seed)| {
        let mut writer = end.try_clone().unwrap();
        let written = thread::spawn(move || {
            writer.write_all(&noise(seed, 4 << 20)).and_then(|()| writer.shutdown(Shutdown::Write)).unwrap();
        });
        (end, written, 3 - seed)
    });
    for (mut end, written, other) in ends {
        let mut heard = Vec::new();
        end.read_to_end(&mut heard).unwrap();
        assert!(heard == noise(other, 4 << 20), "{} bytes came through, or others", heard.len());
        written.join().unwrap();
    }
    assert_eq!(server.end_after_connecting(1).upstream_failed, 0);
}

fn a_reset_goes_through_a_relay(engine: Engine) {
    let (server, mut client, mut far) = pair(engine);
    client.write_all(b"?").and_then(|()| far.read_exact(&mut [0])).unwrap();
    linux::net::set_linger_zero(&far).unwrap();
    drop(far);
    let heard = client.read(&mut [0]).map_err(|error| error.kind());
    assert_eq!(heard, Err(ErrorKind::ConnectionReset));
    assert_eq!(server.end_after_connecting(1).upstream_failed, 1);
}

/// Relays to where no connection can be made.
fn closes(engine: Engine, to: SocketAddr, connect_deadline: Duration) {
    let server = relay(engine, to, connect_deadline);
    assert_eq!(connect(server.addresses()[0]).read(&mut [0]).map_err(|error| error.kind()), Ok(0));
    assert_eq!(server.end().upstream_failed, 1);
}

fn an_upstream_that_refuses_closes_the_client_and_is_counted(engine: Engine) {
    // A connected socket has this address, so that nobody can begin to listen there.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let holder = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    closes(engine, holder.local_addr().unwrap(), PATIENCE);
}

fn an_upstream_that_never_answers_closes_the_client_at_the_deadline_and_is_counted(engine: Engine) {
    // One connection fills the queue of a listener with backlog 0; further SYNs are dropped (listen(2)).
    let options = ListenOptions { backlog: 0, ..ListenOptions::default() };
    let full = Listener::bind(tcp().address, &options).unwrap();
    let _first = TcpStream::connect(full.address()).unwrap();
    closes(engine, full.address(), Duration::from_millis(20));
}

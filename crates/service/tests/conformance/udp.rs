//! UDP echo: answers come from the address that was asked, whatever the listener is bound to, and only to whom they may.

use crate::server::{Engine, PATIENCE, Recipe, Server, UDP_ECHO, cannot, udp};
use service::udp_echo::{Config, Rate};
use shard::plan::{Listen, Plan};
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, UdpSocket};

on_every_engine! {
    a_wildcard_answers_from_the_address_that_was_asked
    service_ports_and_our_own_port_are_never_answered
    a_source_is_answered_to_its_bound_and_the_rest_is_counted
}

/// A server whose UDP echo is bound to `address`.
fn serve(engine: Engine, address: &str, config: Config) -> Server {
    let mut recipe = Recipe::new().plan(|plan| {
        plan.listeners[UDP_ECHO].address = SocketAddr::new(address.parse().unwrap(), 0);
    });
    recipe.udp_echo = config;
    recipe.serve(engine)
}

/// A client that hears nothing but what comes from the address it asks.
fn client(from: IpAddr, to: SocketAddr) -> UdpSocket {
    let socket = UdpSocket::bind((from, 0)).unwrap();
    socket.connect(to).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

fn ask(socket: &UdpSocket, message: &[u8]) {
    socket.send(message).unwrap();
    let mut heard = vec![0; 10_000];
    let n = socket.recv(&mut heard).unwrap_or_else(|error| panic!("{error}: {:?}", socket.peer_addr()));
    assert!(heard[..n] == *message, "{} bytes came back as {n}, or others", message.len());
}

fn a_wildcard_answers_from_the_address_that_was_asked(engine: Engine) {
    if !engine.serves_udp_wildcards() {
        cannot();
        return a_wildcard_is_refused(engine);
    }
    for (bound, asked) in
        [("0.0.0.0", &["127.0.0.1", "127.0.0.2"][..]), ("::", &["127.0.0.1", "127.0.0.2", "::1"])]
    {
        let server = serve(engine, bound, Config::default());
        for ip in asked {
            let ip: IpAddr = ip.parse().unwrap();
            let socket = client(ip, SocketAddr::new(ip, server.udp_echo().port()));
            for bytes in [0, 1, 64, 1400, 9000] {
                ask(&socket, &vec![7; bytes]);
            }
        }
        assert_eq!(server.end().datagrams_dropped, 0, "{bound}");
    }
}

/// The engine says before it starts that it cannot.
fn a_wildcard_is_refused(engine: Engine) {
    for bound in ["0.0.0.0", "::"] {
        let listener = Listen { address: SocketAddr::new(bound.parse().unwrap(), 0), ..udp() };
        let plan = Plan { listeners: vec![listener], ..Plan::default() };
        let refusal = engine.check(&plan).expect_err("it cannot serve this").to_string();
        assert!(refusal.contains(engine.name()) && refusal.contains("udp"), "{refusal}");
    }
}

#[expect(clippy::print_stderr, reason = "a test that leaves something out says so")]
fn service_ports_and_our_own_port_are_never_answered(engine: Engine) {
    let server = serve(engine, "127.0.0.1", Config::default());
    let other: IpAddr = [127, 0, 0, 9].into();
    let mut refused = vec![UdpSocket::bind((other, server.udp_echo().port())).unwrap()];
    match (1..1024).rev().find_map(|port| UdpSocket::bind((other, port)).ok()) {
        Some(socket) => refused.push(socket),
        None => {
            eprintln!("this user may not bind ports below 1024: that half is left out");
        }
    }
    for socket in &refused {
        socket.send_to(b"an answer would not end here", server.udp_echo()).unwrap();
    }
    // Answers come in the order of the questions: this one shows that the others had none.
    ask(&client([127, 0, 0, 1].into(), server.udp_echo()), b"but you may");
    for socket in &refused {
        socket.set_nonblocking(true).unwrap();
        assert_eq!(socket.recv(&mut [0]).map_err(|error| error.kind()), Err(ErrorKind::WouldBlock));
    }
    assert_eq!(server.end().datagrams_dropped, refused.len() as u64);
}

fn a_source_is_answered_to_its_bound_and_the_rest_is_counted(engine: Engine) {
    // A bucket that is never refilled: no clock decides how this ends.
    let rate = Rate { per_second: 0, burst: 5 };
    let server = serve(engine, "127.0.0.1", Config { rate_loopback: Some(rate), ..Config::default() });
    let [greedy, modest] = [(); 2].map(|()| client([127, 0, 0, 1].into(), server.udp_echo()));
    for n in 0..50 {
        greedy.send(&[n]).unwrap();
    }
    let mut heard = [0; 10];
    for n in 0..5 {
        assert_eq!((greedy.recv(&mut heard).unwrap(), heard[0]), (1, n));
    }
    // Another source has a bound of its own, and is answered behind all of those.
    (0..5).for_each(|_| ask(&modest, b"please"));
    greedy.set_nonblocking(true).unwrap();
    assert_eq!(greedy.recv(&mut heard).map_err(|error| error.kind()), Err(ErrorKind::WouldBlock));
    let counts = server.end();
    assert_eq!((counts.requests, counts.datagrams_dropped), (55, 45));
}

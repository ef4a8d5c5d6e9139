//! A request allocates nothing: not in its machine, not in the seat, and not in the engine, unless that says so of itself.

use crate::server::{Engine, Server, cannot, connect, tcp};
use linux::counting_alloc::allocations_in_this_thread;
use proto::frame::{Flags, Header, Hello, Kind, Offer, sum, write};
use service::{echo, frame, http};
use shard::plan::Plan;
use shard::{End, Event, Io, ListenerId, Next, Origin, Service};
use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

on_every_engine! {
    a_ping_allocates_nothing
    an_echo_allocates_nothing
    a_frame_allocates_nothing
}

/// HTTP on the first listener, echo on the second, frames on the third, and the seat's allocations so far as of its last event.
struct Counted {
    http: http::Http,
    config: Arc<http::Config>,
    allocations: Arc<AtomicU64>,
}

enum Session {
    Root,
    Http(http::Session),
    Echo(echo::Session),
    Frame(frame::Session),
}

impl Service for Counted {
    type Session = Session;
    type Note = ();
    const INPUT_MAX: usize = service::any::INPUT_MAX;

    fn open(&mut self, origin: Origin, io: &mut Io<'_, Self>) -> Session {
        match origin {
            Origin::Root => Session::Root,
            Origin::Accepted(leg, ListenerId(1)) => Session::Echo(echo::Session::new(leg)),
            Origin::Accepted(leg, ListenerId(2)) => Session::Frame(frame::Session::new(leg, &FRAMES, io)),
            Origin::Accepted(leg, listener) => Session::Http(self.http.open(&self.config, leg, listener, io)),
        }
    }

    fn on(&mut self, session: &mut Session, event: Event<'_, Self>, io: &mut Io<'_, Self>) -> Next {
        self.allocations.store(allocations_in_this_thread(), Relaxed);
        match (session, event) {
            (Session::Http(session), event) => self.http.on(&self.config, session, event, io),
            (Session::Echo(session), event) => session.on(event, io),
            (Session::Frame(session), event) => session.on(|_| &FRAMES, event, io),
            (Session::Root, Event::Drain(_)) => Next::Close,
            (Session::Root, _) => Next::Stay,
        }
    }

    fn end(&mut self, session: Session, _: End) {
        if let Session::Http(session) = session {
            self.http.end(&self.config, session);
        }
    }
}

/// Exchanges `request` for `answer_bytes` bytes, again and again. Buffers are made when they are first needed and kept: after
/// some time a thousand exchanges must allocate nothing at all.
fn check(engine: Engine, listener: usize, request: &[u8], answer_bytes: usize) {
    let allocations = Arc::new(AtomicU64::new(0));
    let config = Arc::new(http::Config::site(tcp().address, false, &[]));
    let counter = allocations.clone();
    let make = move |_, _: &_| Counted {
        http: http::Http::new(),
        config: config.clone(),
        allocations: counter.clone(),
    };
    let server = Server::of(engine, Plan { listeners: vec![tcp(), tcp(), tcp()], ..Plan::default() }, make);
    let mut stream = connect(server.addresses()[listener]);
    if listener == 2 {
        greet(&mut stream);
    }
    let mut answer = vec![0; answer_bytes];
    let mut exchange_thousand = || {
        let before = allocations.load(Relaxed);
        for _ in 0..1000 {
            stream.write_all(request).and_then(|()| stream.read_exact(&mut answer)).expect("it answers");
        }
        allocations.load(Relaxed) - before
    };
    assert!(exchange_thousand() > 0, "the counting allocator is not in place");
    let counts: Vec<u64> = (0..10).map(|_| exchange_thousand()).collect();
    assert_eq!(counts.contains(&0), !engine.allocates(), "allocations of each 1,000 exchanges: {counts:?}");
    if engine.allocates() {
        cannot();
    }
    drop(stream);
    server.end();
}

const FRAMES: frame::Config = frame::Config {
    offer: Offer { heartbeat_ms: 5_000, misses: 3, payload_bytes_max: 1 << 20 },
    hello: std::time::Duration::from_secs(10),
};

fn greet(stream: &mut std::net::TcpStream) {
    let mut bytes = Vec::new();
    write(&mut bytes, Kind::Hello, Flags::NONE, 0, &Hello::new());
    let mut greeting = Vec::new();
    let agreed = Hello::new().agree(&FRAMES.offer).expect("good");
    write(&mut greeting, Kind::Hello, Flags::NONE, 0, &Hello::answer(&agreed));
    stream.write_all(&bytes).and_then(|()| stream.read_exact(&mut greeting)).expect("it is greeted");
}

/// PING, small frames together, one that is summed, and one that no buffer holds whole.
fn a_frame_allocates_nothing(engine: Engine) {
    let frame = |bytes: usize, flags: Flags| {
        let payload = vec![7; bytes];
        let header = Header::new(Kind::Data, bytes as u32, 1).with(flags);
        let sum = flags.has(Flags::CRC).then(|| sum(&header, &payload)).into_iter().flatten();
        header.to_bytes().into_iter().chain(payload.clone()).chain(sum).collect::<Vec<u8>>()
    };
    let ping = Header::new(Kind::Ping, 0, 1).to_bytes();
    check(engine, 2, &ping, ping.len());
    for request in [frame(64, Flags::NONE).repeat(16), frame(64, Flags::CRC), frame(100_000, Flags::CRC)] {
        check(engine, 2, &request, request.len());
    }
    let acked = frame(64, Flags::ACK_WANTED);
    check(engine, 2, &acked, acked.len() + ping.len());
}

fn a_ping_allocates_nothing(engine: Engine) {
    let answer = "HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Type: text/plain; charset=utf-8\r\n\
                  Content-Length: 2\r\n\r\nok";
    let ping = "GET /ping HTTP/1.1\r\nHost: localhost\r\n\r\n";
    check(engine, 0, ping.as_bytes(), answer.len());
    check(engine, 0, ping.repeat(16).as_bytes(), answer.len() * 16);
}

fn an_echo_allocates_nothing(engine: Engine) {
    for bytes in [1, 64, 16 << 10, 100_000] {
        check(engine, 1, &vec![7; bytes], bytes);
    }
}

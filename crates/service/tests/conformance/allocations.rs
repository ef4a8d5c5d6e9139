//! A request allocates nothing: not in its machine, not in the seat, and not in the engine, unless that says so of itself.

use crate::server::{Engine, PATIENCE, Server, cannot, connect, tcp, udp};
use linux::counting_alloc::allocations_in_this_thread;
use proto::frame::udp::COOKIE_BYTES;
use proto::frame::{Ack, Flags, Header, Hello, Kind, Offer, Rules, datagram, read, sum, write};
use service::{echo, frame, http};
use shard::plan::Plan;
use shard::{End, Event, Io, ListenerId, Next, Origin, Service};
use std::io::{Read, Write};
use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

on_every_engine! {
    a_ping_allocates_nothing
    an_echo_allocates_nothing
    a_frame_allocates_nothing
    a_frame_over_datagrams_allocates_nothing
}

/// HTTP on the first listener, echo on the second, frames on the third, over datagrams on the fourth, and the seat's allocations so far
/// as of its last event.
struct Counted {
    http: http::Http,
    config: Arc<http::Config>,
    datagrams: frame::udp::Server,
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
            (Session::Root, Event::Datagram(leg, packet)) => {
                self.datagrams.on_datagram(&DATAGRAMS, &[], (leg, ListenerId(3)), packet, io);
                Next::Stay
            }
            (Session::Root, Event::Timer(token)) => {
                self.datagrams.on_timer(token, io);
                Next::Stay
            }
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

/// Counts of different threads would mix: only who asks for datagrams has a listener of them.
fn serve(engine: Engine, datagrams: bool) -> (Server, Arc<AtomicU64>) {
    let allocations = Arc::new(AtomicU64::new(0));
    let config = Arc::new(http::Config::site(tcp().address, false, &[]));
    let counter = allocations.clone();
    let make = move |_, _: &_| Counted {
        http: http::Http::new(),
        config: config.clone(),
        datagrams: frame::udp::Server::default(),
        allocations: counter.clone(),
    };
    let listeners = [tcp(), tcp(), tcp()].into_iter().chain(datagrams.then(udp)).collect();
    let plan = Plan { listeners, ..Plan::default() };
    (Server::of(engine, plan, make), allocations)
}

/// Exchanges `request` for `answer_bytes` bytes, again and again.
fn check(engine: Engine, listener: usize, request: &[u8], answer_bytes: usize) {
    let (server, allocations) = serve(engine, false);
    let mut stream = connect(server.addresses()[listener]);
    if listener == 2 {
        greet(&mut stream);
    }
    let mut answer = vec![0; answer_bytes];
    settles(engine, &allocations, 1, || {
        stream.write_all(request).and_then(|()| stream.read_exact(&mut answer)).expect("it answers");
    });
    drop(stream);
    server.end();
}

/// Buffers are made when they are first needed and kept: after some time a thousand exchanges must allocate nothing at all. `step` of them
/// are made in each call.
fn settles(engine: Engine, allocations: &AtomicU64, step: usize, mut exchange: impl FnMut()) {
    let mut exchange_thousand = || {
        let before = allocations.load(Relaxed);
        (0..1000).step_by(step).for_each(|_| exchange());
        allocations.load(Relaxed) - before
    };
    assert!(exchange_thousand() > 0, "the counting allocator is not in place");
    let mut counts = Vec::new();
    while counts.len() < 10 && counts.last() != Some(&0) {
        counts.push(exchange_thousand());
    }
    assert_eq!(counts.contains(&0), !engine.allocates(), "allocations of each 1,000 exchanges: {counts:?}");
    if engine.allocates() {
        cannot();
    }
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

const DATAGRAMS: frame::udp::Config =
    frame::udp::Config { offer: FRAMES.offer, jar: frame::udp::Jar::new([7; 16]), peers_max: 1 };

/// Frames that are kept until they are acknowledged, one and some at a time, and frames that may be lost.
fn a_frame_over_datagrams_allocates_nothing(engine: Engine) {
    let acked = Flags::ACK_WANTED.with(Flags::ORDERED);
    for (flags, frames, bytes) in [(acked, 1, 64), (acked.with(Flags::CRC), 16, 1_000), (Flags::NONE, 1, 64)]
    {
        let (server, allocations) = serve(engine, true);
        let socket = UdpSocket::bind(("127.0.0.1", 0)).expect("a socket");
        socket.connect(server.addresses()[3]).expect("loopback");
        socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let (mut next, payload) = (greeted(&socket), vec![7; bytes]);
        let mut buffer = [0; 2_000];
        settles(engine, &allocations, frames as usize, || {
            for seq in next..next + frames {
                let header = Header::new(Kind::Data, bytes as u32, seq).with(flags);
                let sum = flags.has(Flags::CRC).then(|| sum(&header, &payload)).into_iter().flatten();
                let frame: Vec<u8> =
                    header.to_bytes().into_iter().chain(payload.iter().copied()).chain(sum).collect();
                socket.send(&frame).expect("it is sent");
            }
            let (mut answered, mut acks) = (0, if flags.has(Flags::ACK_WANTED) { frames } else { 0 });
            while answered < frames || acks > 0 {
                let n = socket.recv(&mut buffer).expect("it answers");
                let (header, _) = datagram(&buffer[..n], &Rules::DATAGRAM).expect("a frame");
                match header.kind {
                    Kind::Ack => acks -= 1,
                    // One that was sent again: this side is slow.
                    Kind::Data if header.flags.has(Flags::RETRANSMISSION) => {}
                    Kind::Data => answered += 1,
                    _ => continue,
                }
                if header.kind == Kind::Data && header.flags.has(Flags::ACK_WANTED) {
                    let mut ack = Vec::new();
                    let told = Ack { before: u64::MAX, floor: header.seq + 1 };
                    write(&mut ack, Kind::Ack, Flags::NONE, header.seq, &told);
                    socket.send(&ack).expect("it is sent");
                }
            }
            next += frames;
        });
        server.end();
    }
}

/// The number of the first frame.
fn greeted(socket: &UdpSocket) -> u32 {
    let mut buffer = [0; 2_000];
    let mut cookie = vec![0; COOKIE_BYTES];
    loop {
        let mut bytes = Vec::new();
        write(&mut bytes, Kind::Hello, Flags::NONE, 1, &Hello { cookie, ..Hello::new() });
        socket.send(&bytes).expect("it is sent");
        let n = socket.recv(&mut buffer).expect("it answers");
        let (_, payload) = datagram(&buffer[..n], &Rules::DATAGRAM).expect("a frame");
        let hello: Hello = read(payload).expect("HELLO");
        if hello.cookie.is_empty() {
            return hello.first;
        }
        cookie = hello.cookie;
    }
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

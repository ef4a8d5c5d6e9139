//! A request allocates nothing: not in its machine, not in the seat, not in the engine.

use linux::counting_alloc::{CountingAlloc, allocations_in_this_thread};
use service::{echo, http};
use shard::engine::uring;
use shard::plan::{Control, Listen, Plan, Running, Transport};
use shard::{End, Event, Io, ListenerId, Next, Origin, Service};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

#[global_allocator]
static ALLOCATOR: CountingAlloc = CountingAlloc;

/// HTTP on the first listener, echo on the second, and the seat's allocations so far as of its last event.
struct Counted {
    http: http::Http,
    config: Arc<http::Config>,
    allocations: Arc<AtomicU64>,
}

enum Session {
    Root,
    Http(http::Session),
    Echo(echo::Session),
}

impl Service for Counted {
    type Session = Session;
    type Note = ();
    const INPUT_MAX: usize = 64 << 10;

    fn open(&mut self, origin: Origin, io: &mut Io<'_, Self>) -> Session {
        match origin {
            Origin::Root => Session::Root,
            Origin::Accepted(leg, ListenerId(1)) => Session::Echo(echo::Session::new(leg)),
            Origin::Accepted(leg, listener) => Session::Http(self.http.open(&self.config, leg, listener, io)),
        }
    }

    fn on(&mut self, session: &mut Session, event: Event<'_, Self>, io: &mut Io<'_, Self>) -> Next {
        self.allocations.store(allocations_in_this_thread(), Relaxed);
        match (session, event) {
            (Session::Http(session), event) => self.http.on(&self.config, session, event, io),
            (Session::Echo(session), event) => session.on(event, io),
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

fn start(allocations: Arc<AtomicU64>) -> Running {
    let address = SocketAddr::from(([127, 0, 0, 1], 0));
    let listener = Listen { transport: Transport::Tcp, address, v6only: false, seat: None, late: false };
    let plan = Plan { listeners: vec![listener, listener], ..Plan::default() };
    let config = Arc::new(http::Config::site(address, false, &[]));
    let make = move |_: u16, _: &_| Counted {
        http: http::Http::new(),
        config: config.clone(),
        allocations: allocations.clone(),
    };
    uring::start(plan, Control::default(), make).expect("the engine starts")
}

/// Exchanges `request` for `answer_bytes` bytes, again and again. Buffers are made when they are first needed and kept: after
/// some time a thousand exchanges must allocate nothing at all.
fn check(listener: usize, request: &[u8], answer_bytes: usize) {
    let allocations = Arc::new(AtomicU64::new(0));
    let running = start(allocations.clone());
    let mut stream = TcpStream::connect(running.addresses()[listener]).expect("the server listens");
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
    assert!(counts.contains(&0), "allocations of each 1,000 exchanges: {counts:?}");
    drop(stream);
    running.control().drain();
    running.join();
}

#[test]
fn a_ping_allocates_nothing() {
    let answer = "HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Type: text/plain; charset=utf-8\r\n\
                  Content-Length: 2\r\n\r\nok";
    let ping = "GET /ping HTTP/1.1\r\nHost: localhost\r\n\r\n";
    check(0, ping.as_bytes(), answer.len());
    check(0, ping.repeat(16).as_bytes(), answer.len() * 16);
}

#[test]
fn an_echo_allocates_nothing() {
    for bytes in [1, 64, 16 << 10, 100_000] {
        check(1, &vec![7; bytes], bytes);
    }
}

//! What an idle frame connection costs in memory of this process, on real sockets: everything that the seat's thread has allocated
//! for it, in the service, in the seat and in the engine, its heartbeat's timer included. The kernel's part is not in it.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the figure, and what was skipped, are to be seen"
)]

use linux::counting_alloc::{CountingAlloc, live_bytes_in_this_thread};
use proto::frame::{Flags, HEADER_BYTES, Header, Hello, Kind, Offer, write};
use service::any::{INPUT_MAX, Session};
use service::frame;
use shard::engine::uring;
use shard::plan::{Control, Listen, Plan, Transport};
use shard::{End, Event, Io, Next, Origin, Service};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::time::Duration;

#[global_allocator]
static ALLOCATOR: CountingAlloc = CountingAlloc;

/// The frame service in sessions of the size that `ringmill` has, and what its thread had allocated at its last event.
struct Measured(Arc<AtomicI64>);

impl Service for Measured {
    type Session = Seated;
    type Note = ();
    const INPUT_MAX: usize = INPUT_MAX;

    fn open(&mut self, origin: Origin, io: &mut Io<'_, Measured>) -> Self::Session {
        match origin {
            Origin::Accepted(leg, _) => {
                Seated { frame: Some(frame::Session::new(leg, &CONFIG, io)), ..Seated::ROOT }
            }
            Origin::Root => Seated::ROOT,
        }
    }

    fn on(
        &mut self,
        session: &mut Self::Session,
        event: Event<'_, Measured>,
        io: &mut Io<'_, Measured>,
    ) -> Next {
        self.0.store(live_bytes_in_this_thread(), Relaxed);
        match &mut session.frame {
            Some(session) => session.on(|_| &CONFIG, event, io),
            None if matches!(event, Event::Drain(_)) => Next::Close,
            None => Next::Stay,
        }
    }

    fn end(&mut self, _: Self::Session, _: End) {}
}

/// A session as large as any of `ringmill`'s, whatever kinds it has.
struct Seated {
    frame: Option<frame::Session>,
    _rest: [u8; REST],
}

const REST: usize = size_of::<Session>() - size_of::<Option<frame::Session>>();

impl Seated {
    const ROOT: Seated = Seated { frame: None, _rest: [0; REST] };
}

const CONFIG: frame::Config = frame::Config {
    offer: Offer { heartbeat_ms: 30_000, misses: 3, payload_bytes_max: 1 << 20 },
    hello: Duration::from_secs(10),
};

/// The greeting of the server: a header, version, interval, misses, longest payload.
const GREETING_BYTES: usize = HEADER_BYTES + 3 + 4 + 2 + 4;

/// A client that was greeted and says nothing more.
fn greeted(to: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(to).expect("the server listens");
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let mut hello = Vec::new();
    write(&mut hello, Kind::Hello, Flags::NONE, 0, &Hello::new());
    let mut greeting = [0; GREETING_BYTES];
    stream.write_all(&hello).and_then(|()| stream.read_exact(&mut greeting)).expect("it is greeted");
    stream
}

/// What the seat's thread had allocated when this client asked: nothing else goes on.
fn ask(mut client: &TcpStream, live: &AtomicI64) -> i64 {
    let ping = Header::new(Kind::Ping, 0, 1).to_bytes();
    let mut pong = ping;
    for _ in 0..2 {
        client.write_all(&ping).and_then(|()| client.read_exact(&mut pong)).expect("it is answered");
    }
    live.load(Relaxed)
}

#[test]
fn an_idle_frame_connection_costs_at_most_256_bytes_heartbeat_included() {
    // Tables grow by doubling: these counts, with the root's own place, fill them.
    let (few, many) = (1023, 4095);
    let limit = linux::limits::raise_nofile().expect("limits can be read").soft;
    if limit < 2 * many as u64 + 500 {
        return eprintln!("SKIPPED: {limit} descriptors are too few to measure anything");
    }
    let address = SocketAddr::from(([127, 0, 0, 1], 0));
    let listen =
        Listen { transport: Transport::Tcp, address, v6only: false, seat: None, late: false, refusal: None };
    let plan = Plan { listeners: vec![listen], connections_max: 5_000, ..Plan::default() };
    let live = Arc::new(AtomicI64::new(0));
    let seen = live.clone();
    let make = move |_, _: &_| Measured(seen.clone());
    let server = uring::start(plan, Control::default(), make).expect("the engine starts");
    let to = server.addresses()[0];
    let mut clients: Vec<TcpStream> = (0..few).map(|_| greeted(to)).collect();
    let first = ask(&clients[0], &live);
    clients.extend((few..many).map(|_| greeted(to)));
    let then = ask(&clients[0], &live);
    let each = (then - first) as f64 / f64::from(many - few);
    println!("{each:.1} bytes an idle frame connection, over {} of them", many - few);
    server.control().abort();
    server.join();
    // A fifth of a byte is the pages' own addresses.
    assert!((128.0..256.0).contains(&each), "{each} bytes each: {first}, {then}");
}

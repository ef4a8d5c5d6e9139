//! A server on the engine that is asked for, and the end that every server must come to.

use crate::rings;
use crate::site_rig::Client;
use service::any::{Any, Config, Kind};
use service::{http, udp_echo};
use shard::Service;
use shard::meter::{Board, Snapshot};
use shard::plan::{Control, Listen, Plan, Running, Transport};
use std::io::{self, Write};
use std::net::{SocketAddr, TcpStream};
use std::ops::Deref;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::thread;
use std::time::{Duration, Instant};

pub(crate) use shard::engine::Engine;

/// Starts a service, on such rings as the test is about.
fn start<S: Service + 'static>(
    engine: Engine,
    mut plan: Plan,
    make: impl Fn(u16, &Arc<Board>) -> S + Send + Sync + 'static,
) -> Running {
    plan.ring = rings::way();
    if plan.ring.incremental {
        // The last of a recipe: the others keep their numbers.
        plan.listeners.retain(|listen| listen.transport == Transport::Tcp);
    }
    engine.start(plan, Control::default(), make).expect("the engine starts")
}

/// The engine says of itself that it cannot do what this test asks of the others, and the test holds it to that. Written past the
/// harness, which keeps what a test prints: `docs/conformance.awk` reads it.
pub(crate) fn cannot() {
    let test = thread::current();
    let line = format!("cannot {}\n", test.name().unwrap_or_default());
    io::stdout().write_all(line.as_bytes()).expect("somebody reads it");
}

/// How long a client waits for what must come: never reached unless the test fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A server that runs, until `end`.
pub(crate) struct Server {
    running: Running,
    _place: Place,
}

/// What a server of [`Any`] is made from: HTTP, admin, echo and UDP echo, each on a port of the kernel's choice.
pub(crate) struct Recipe {
    pub(crate) plan: Plan,
    pub(crate) site: http::Config,
    pub(crate) udp_echo: udp_echo::Config,
}

/// Where they stand among the listeners of the plan.
const SITE: usize = 0;
const ADMIN: usize = 1;
pub(crate) const ECHO: usize = 2;
pub(crate) const UDP_ECHO: usize = 3;

impl Recipe {
    /// One unpinned seat with the defaults of `ringmill`, on 127.0.0.1.
    pub(crate) fn new() -> Recipe {
        let site = Listen { refusal: Some(http::BUSY), ..tcp() };
        let admin = Listen { late: true, ..tcp() };
        let plan = Plan { listeners: vec![site, admin, tcp(), udp()], ..Plan::default() };
        Recipe {
            plan,
            site: http::Config::site(tcp().address, false, &[]),
            udp_echo: udp_echo::Config::default(),
        }
    }

    /// Changes the plan.
    pub(crate) fn plan(mut self, change: impl FnOnce(&mut Plan)) -> Recipe {
        change(&mut self.plan);
        self
    }

    /// Changes the site.
    pub(crate) fn site(mut self, change: impl FnOnce(&mut http::Config)) -> Recipe {
        change(&mut self.site);
        self
    }

    pub(crate) fn serve(self, engine: Engine) -> Server {
        self.serve_in(engine, Place::Shared(shared()))
    }

    /// As `serve`, while no other test of this process has a server: for what is counted for the whole process.
    pub(crate) fn serve_alone(self, engine: Engine) -> Server {
        self.serve_in(engine, Place::Alone(alone()))
    }

    fn serve_in(self, engine: Engine, place: Place) -> Server {
        let name = service::metrics::Engine { name: engine.name(), instead_of: None };
        let admin = http::Config::admin(tcp().address, &[], "{}".into(), name);
        let config = Config::new(vec![
            Kind::Http(Box::new(self.site)),
            Kind::Http(Box::new(admin)),
            Kind::Echo,
            Kind::UdpEcho(self.udp_echo),
        ]);
        let seats = config.clone();
        let running = start(engine, self.plan, move |_, _| Any::new(seats.clone()));
        config.set_bound(running.addresses());
        Server { running, _place: place }
    }
}

/// A listener of streams on 127.0.0.1.
pub(crate) fn tcp() -> Listen {
    let address = SocketAddr::from(([127, 0, 0, 1], 0));
    Listen { transport: Transport::Tcp, address, v6only: false, seat: None, late: false, refusal: None }
}

/// A listener of datagrams on 127.0.0.1.
pub(crate) fn udp() -> Listen {
    Listen { transport: Transport::Udp, ..tcp() }
}

impl Server {
    /// The server of [`Recipe::new`].
    pub(crate) fn new(engine: Engine) -> Server {
        Recipe::new().serve(engine)
    }

    /// A server of a test's own service.
    pub(crate) fn of<S: Service + 'static>(
        engine: Engine,
        plan: Plan,
        make: impl Fn(u16, &Arc<Board>) -> S + Send + Sync + 'static,
    ) -> Server {
        Server { running: start(engine, plan, make), _place: Place::Shared(shared()) }
    }

    pub(crate) fn site(&self) -> Client {
        http_client(self.site_address())
    }

    pub(crate) fn site_address(&self) -> SocketAddr {
        self.addresses()[SITE]
    }

    pub(crate) fn admin(&self) -> Client {
        http_client(self.addresses()[ADMIN])
    }

    pub(crate) fn echo(&self) -> TcpStream {
        connect(self.echo_address())
    }

    pub(crate) fn echo_address(&self) -> SocketAddr {
        self.addresses()[ECHO]
    }

    pub(crate) fn udp_echo(&self) -> SocketAddr {
        self.addresses()[UDP_ECHO]
    }

    pub(crate) fn counts(&self) -> Snapshot {
        self.board().total()
    }

    /// Bytes that were received from peers and not yet taken by the kernel for sending.
    pub(crate) fn held_bytes(&self) -> u64 {
        // Out is read first: what moves between the two reads counts as held, never as missing.
        let out = self.counts().bytes_out;
        self.counts().bytes_in.saturating_sub(out)
    }

    /// Drains, waits for the end, and makes sure that nothing was lost or left behind.
    pub(crate) fn end(self) -> Snapshot {
        self.end_after_connecting(0)
    }

    /// The same of a server that opened connections of its own, which are closed too.
    pub(crate) fn end_after_connecting(self, opened: u64) -> Snapshot {
        self.control().drain();
        let report = self.running.join();
        for seat in &report.seats {
            assert_eq!((seat.in_flight_at_exit, seat.buffers_lent_at_exit), (0, 0));
            assert_eq!((seat.counts.accepted + opened, seat.counts.connections), (seat.counts.closed, 0));
        }
        report.seats.iter().map(|seat| seat.counts).sum()
    }
}

impl Deref for Server {
    type Target = Running;

    fn deref(&self) -> &Running {
        &self.running
    }
}

/// A connection whose reads and writes fail instead of hanging.
pub(crate) fn connect(to: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(to).expect("the server listens");
    patient(&stream);
    stream
}

pub(crate) fn http_client(to: SocketAddr) -> Client {
    let mut client = Client::connect(to);
    patient(client.stream());
    client
}

pub(crate) fn patient(stream: &TcpStream) {
    stream.set_read_timeout(Some(PATIENCE)).and_then(|()| stream.set_write_timeout(Some(PATIENCE))).unwrap();
    stream.set_nodelay(true).unwrap();
}

/// Waits until `condition` holds.
pub(crate) fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !condition() {
        assert!(begin.elapsed() < PATIENCE, "never happened: {what}");
        thread::yield_now();
    }
}

/// Memory of this process that is in RAM.
pub(crate) fn rss_bytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("proc(5) is mounted");
    let line =
        status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("every process has a line VmRSS");
    let kib: usize = line.trim().trim_end_matches(" kB").parse().expect("it is a number of kB");
    kib << 10
}

/// A server shares the process with those of other tests, or has it for itself.
enum Place {
    Shared(#[expect(dead_code, reason = "held")] RwLockReadGuard<'static, ()>),
    Alone(#[expect(dead_code, reason = "held")] RwLockWriteGuard<'static, ()>),
}

static PROCESS: RwLock<()> = RwLock::new(());

fn shared() -> RwLockReadGuard<'static, ()> {
    PROCESS.read().unwrap_or_else(PoisonError::into_inner)
}

fn alone() -> RwLockWriteGuard<'static, ()> {
    PROCESS.write().unwrap_or_else(PoisonError::into_inner)
}

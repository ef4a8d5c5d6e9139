//! The load generator and the services that it loads, both on the io_uring engine, over loopback.
//!
//! What takes how long means nothing here: only that all of it is accounted for, and that a request costs no memory.

use linux::counting_alloc::allocations_in_this_thread;
use service::any::{Any, Kind};
use service::load::http::Request;
use service::load::{CloseBy, Config, Gap, Gate, Late, Life, Load, Pace, Sink, Talk};
use service::{frame, http, udp_echo};
use shard::engine::uring;
use shard::plan::{Control, Listen, Plan, Running, Transport};
use stats::interval::{Counts, Interval};
use stats::schedule::{Arrivals, Law};
use std::io::Read;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

#[global_allocator]
static ALLOCATOR: linux::counting_alloc::CountingAlloc = linux::counting_alloc::CountingAlloc;

/// How long a test waits for what must come: never reached unless it fails.
const PATIENCE: Duration = Duration::from_secs(30);

const HTTP: usize = 0;
const ECHO: usize = 1;
const UDP_ECHO: usize = 2;
const FRAME: usize = 3;

fn listen(transport: Transport) -> Listen {
    let address = SocketAddr::from(([127, 0, 0, 1], 0));
    Listen { transport, address, v6only: false, seat: None, late: false, refusal: None }
}

/// HTTP, echo, UDP echo and frames, each on a port of the kernel's choice.
fn serve() -> Running {
    let [tcp, udp] = [Transport::Tcp, Transport::Udp];
    let listeners = vec![listen(tcp), listen(tcp), listen(udp), listen(tcp)];
    let site = http::Config::site(listeners[HTTP].address, false, &[]);
    let (udp_echo, frame) = (udp_echo::Config::default(), frame::Config::default());
    let kinds = vec![Kind::Http(Box::new(site)), Kind::Echo, Kind::UdpEcho(udp_echo), Kind::Frame(frame)];
    let config = service::any::Config::new(kinds);
    let seats = config.clone();
    let plan = Plan { listeners, ..Plan::default() };
    let running = uring::start(plan, Control::default(), move |_, _| Any::new(seats.clone()));
    let running = running.expect("the engine starts");
    config.set_bound(running.addresses());
    running
}

fn end(running: Running) {
    running.control().drain();
    for seat in &running.join().seats {
        assert_eq!((seat.in_flight_at_exit, seat.buffers_lent_at_exit, seat.counts.connections), (0, 0, 0));
    }
}

/// What a seat told, by a channel: nothing of it may be made while it runs.
struct Tell {
    sender: Sender<Told>,
    counts: Counts,
    samples: u64,
    /// Allocations of the seat's thread as of each step.
    allocations: Vec<u64>,
}

#[derive(Debug)]
enum Told {
    Ready(u32, u32),
    Over(Box<(Counts, u64, Vec<u64>)>),
}

impl Sink for Tell {
    fn ready(&mut self, opened: u32, failed: u32) {
        self.sender.send(Told::Ready(opened, failed)).expect("the test listens");
    }

    fn step(&mut self, step: &mut Box<Interval>) {
        self.counts += step.counts;
        self.samples += step.response.len();
        step.counts = Counts::default();
        step.response.reset();
        assert!(self.allocations.len() < self.allocations.capacity());
        self.allocations.push(allocations_in_this_thread());
    }

    fn over(&mut self, _gaps: Vec<Gap>, _held: u32) {
        let allocations = std::mem::take(&mut self.allocations);
        self.sender.send(Told::Over(Box::new((self.counts, self.samples, allocations)))).expect("it listens");
    }
}

struct Outcome {
    counts: Counts,
    opened: u32,
    failed: u32,
    /// Allocations in each step of each seat.
    allocations: Vec<Vec<u64>>,
}

fn next(receiver: &Receiver<Told>) -> Told {
    receiver.recv_timeout(PATIENCE).expect("a load tells of its end")
}

fn load(config: Config) -> Outcome {
    let (sender, receiver) = channel();
    let sender = Mutex::new(sender);
    let gate = Arc::new(Gate::default());
    let plan = Plan {
        cores: vec![None; config.seats.into()],
        listeners: service::load::listeners(&config),
        out_max: service::load::out_max(&config),
        stamps: true,
        ..Plan::default()
    };
    let (shared, opens) = (Arc::new(config), gate.clone());
    let config = shared.clone();
    let make = move |seat, _: &_| {
        let sender = sender.lock().unwrap().clone();
        let (counts, samples, allocations) = (Counts::default(), 0, Vec::with_capacity(100));
        let sink = Box::new(Tell { sender, counts, samples, allocations });
        Load::new(shared.clone(), gate.clone(), seat, sink)
    };
    let running = uring::start(plan, Control::default(), make).expect("the engine starts");
    let mut outcome = Outcome { counts: Counts::default(), opened: 0, failed: 0, allocations: Vec::new() };
    for _ in 0..config.seats {
        let Told::Ready(opened, failed) = next(&receiver) else { panic!("it is over before it is ready") };
        (outcome.opened, outcome.failed) = (outcome.opened + opened, outcome.failed + failed);
    }
    opens.open(linux::clock::Clock::now_ns());
    let mut samples = 0;
    for _ in 0..config.seats {
        let Told::Over(told) = next(&receiver) else { panic!("it is ready twice") };
        let (counts, of_seat, allocations) = *told;
        outcome.counts += counts;
        samples += of_seat;
        outcome.allocations.push(allocations.windows(2).map(|pair| pair[1] - pair[0]).collect());
    }
    end(running);
    let c = outcome.counts;
    assert_eq!(c.due, c.answered + c.failed() + c.dropped + c.overflowed, "{c:?}");
    assert_eq!(samples, c.answered + c.failed());
    outcome
}

/// So long without a warm-up, so that all that is begun is in the account.
fn config(target: SocketAddr, talk: Talk, pace_per_s: Option<f64>) -> Config {
    let duration = Duration::from_millis(500);
    let ns = duration.as_nanos() as u64;
    let arrivals = |per_s| Arrivals::steady(Law::Poisson, per_s, ns, 7);
    Config {
        target,
        talk,
        from: Vec::new(),
        seats: 1,
        connections: 8,
        pipeline: 1,
        pace: pace_per_s.map_or(Pace::Closed, |per_s| Pace::Open(arrivals(per_s))),
        warmup: Duration::ZERO,
        duration,
        late: Late::Queue,
        waiting_max: 1_000_000,
        timeout: Duration::from_secs(10),
        life: Life::Keep,
        close: CloseBy::Fin,
        ramp_per_s: None,
        verify: true,
        seed: 7,
    }
}

fn get(target: &str) -> Talk {
    Talk::Http(Request::new("GET", target, &[("Host", "localhost")], None).expect("it is a request"))
}

#[test]
fn our_own_services_are_loaded_without_an_error_and_a_request_allocates_nothing() {
    let server = serve();
    let talks = [
        (HTTP, get("/ping"), 1),
        (HTTP, get("/ping"), 16),
        (ECHO, Talk::Echo { bytes: 64 }, 1),
        (ECHO, Talk::Echo { bytes: 9000 }, 4),
        (UDP_ECHO, Talk::UdpEcho { bytes: 64 }, 1),
        (FRAME, Talk::Frame { bytes: 64 }, 16),
        (FRAME, Talk::Frame { bytes: 9000 }, 4),
    ];
    for (listener, talk, pipeline) in talks {
        for pace in [Some(2_000.0), None] {
            let mut config = config(server.addresses()[listener], talk.clone(), pace);
            config.pipeline = pipeline;
            // On loopback datagrams may find no room, and an echo of them has a bound.
            let udp = listener == UDP_ECHO;
            config.timeout = if udp { Duration::from_millis(100) } else { config.timeout };
            let seen = load(config);
            let (c, what) = (seen.counts, format!("{talk:?}, pipeline {pipeline}, {pace:?}"));
            assert_eq!((seen.opened, seen.failed), (8, 0), "{what}");
            assert_eq!((c.failed() - c.lost, c.corrupt, c.extra, c.reordered), (0, 0, 0, 0), "{what}: {c:?}");
            assert!(c.answered > 100 && (udp || c.lost == 0), "{what}: {c:?}");
            assert!(
                seen.allocations[0].contains(&0),
                "{what}: allocations of each step {:?}",
                seen.allocations
            );
        }
    }
    end(server);
}

#[test]
fn several_seats_and_short_lives_add_up() {
    let server = serve();
    for close in [CloseBy::Fin, CloseBy::Rst] {
        for life in [Life::Churn(10), Life::Time(Duration::from_millis(50))] {
            let mut config = config(server.addresses()[HTTP], get("/ping"), Some(2_000.0));
            (config.seats, config.life, config.close) = (2, life, close);
            let c = load(config).counts;
            assert_eq!((c.errors(), c.lost_connections, c.answered), (0, 0, c.due), "{c:?}");
            assert!(c.ended > 8 && c.opened >= c.ended, "{c:?}");
        }
    }
    end(server);
}

#[test]
fn a_server_that_is_not_there_is_a_refused_connect_and_each_arrival_times_out() {
    // An address of its own: nobody is given the port meanwhile, and no connection comes from there.
    let nobody = TcpListener::bind("127.77.7.12:0").unwrap().local_addr().unwrap();
    let mut config = config(nobody, Talk::Echo { bytes: 64 }, Some(500.0));
    config.timeout = Duration::from_millis(100);
    let seen = load(config);
    let c = seen.counts;
    assert_eq!((seen.opened, seen.failed, c.sent, c.answered), (0, 8, 0, 0));
    assert_eq!((c.timeout, c.connect_timeout), (c.due, 0));
    assert!(c.refused > 0, "{c:?}");
}

#[test]
fn connections_come_from_the_addresses_in_turn() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let target = listener.local_addr().unwrap();
    let echo = std::thread::spawn(move || {
        let from: Vec<IpAddr> = (0..6)
            .map(|_| listener.accept().expect("they come"))
            .map(|(mut stream, peer)| {
                // Each is read to its end: nothing is answered.
                std::thread::spawn(move || drop(stream.read_to_end(&mut Vec::new())));
                peer.ip()
            })
            .collect();
        from
    });
    let mut config = config(target, Talk::Echo { bytes: 64 }, Some(100.0));
    config.from = ["127.0.0.2", "127.0.0.3", "127.0.0.4"].map(|ip| ip.parse().unwrap()).to_vec();
    (config.connections, config.timeout) = (6, Duration::from_secs(2));
    config.duration = Duration::from_millis(50);
    config.pace = Pace::Open(Arrivals::steady(Law::Constant, 100.0, 50_000_000, 7));
    let c = load(config.clone()).counts;
    assert_eq!((c.due, c.answered, c.timeout), (5, 0, 5));
    let mut from = echo.join().unwrap();
    from.sort();
    let expected: Vec<IpAddr> = config.from.iter().flat_map(|ip| [*ip, *ip]).collect();
    assert_eq!(from, expected);
}

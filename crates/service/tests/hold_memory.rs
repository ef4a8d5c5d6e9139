//! What a held connection costs in memory of this process, on real sockets: everything that the seat's thread has allocated for it,
//! in the service, in the seat and in the engine. The kernel's part, and the receive buffers, which all share, are not in it.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the figure, and what was skipped, are to be seen"
)]

use linux::counting_alloc::{CountingAlloc, live_bytes_in_this_thread};
use service::any::{Any, Config, Kind};
use service::frame;
use service::load::hold::{Frames, Heartbeat, Hold, HoldConfig, HoldSink, Report, Say};
use service::load::{CloseBy, Gate};
use shard::engine::uring;
use shard::plan::{Control, Listen, Plan, Transport};
use stats::interval::Interval;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

#[global_allocator]
static ALLOCATOR: CountingAlloc = CountingAlloc;

/// Ends the hold once every connection has had heartbeats, and says what the seat's thread had allocated then.
struct Measure {
    gate: Arc<Gate>,
    connections: u64,
    /// Answers that came before all connections were open.
    before: Option<u64>,
    bytes: Sender<(Report, i64)>,
}

impl HoldSink for Measure {
    fn settled(&mut self, report: &Report) {
        self.before = Some(report.beats.answered);
        self.gate.open(1);
    }

    fn step(&mut self, report: &Report, step: &mut Box<Interval>) {
        step.clear();
        if self.before.is_some_and(|before| report.beats.answered >= before + 2 * self.connections) {
            self.gate.stop();
        }
    }

    fn over(&mut self, report: &Report, _step: &mut Box<Interval>, _silences_ms: Vec<u32>) {
        self.bytes.send((*report, live_bytes_in_this_thread())).expect("the test listens");
    }
}

/// What the seat's thread had allocated while it held so many connections.
fn bytes_of(connections: u32, say: Say, target: SocketAddr) -> (Report, i64) {
    let config = Arc::new(HoldConfig {
        target,
        to: Vec::new(),
        from: Vec::new(),
        seats: 1,
        connections,
        ramp_per_s: None,
        heartbeat: Some(Heartbeat { every: Duration::from_millis(500), say }),
        duration: Duration::from_secs(3600),
        timeout: Duration::from_secs(60),
        reopen: false,
        // No TIME_WAIT is left behind: the next run needs the ports.
        close: CloseBy::Rst,
        seed: 1,
    });
    let (gate, (bytes, measured)) = (Arc::new(Gate::default()), channel());
    let plan = Plan { connections_max: connections as usize, ..Plan::default() };
    let make = move |seat, _: &_| {
        let (gate, bytes) = (gate.clone(), bytes.clone());
        let measure = Measure { gate: gate.clone(), connections: connections.into(), before: None, bytes };
        Hold::new(config.clone(), gate, seat, Box::new(measure))
    };
    let running = uring::start(plan, Control::default(), make).expect("the engine starts");
    let measured = measured.recv().expect("the hold ends");
    running.control().drain();
    running.join();
    measured
}

/// How many bytes each of many held connections took more than each of few, where `most` are allowed.
fn check(name: &str, kind: fn() -> Kind, say: &Say, most: f64) {
    let limit = linux::limits::raise_nofile().expect("limits can be read").soft;
    let few = 1000;
    let many = if limit >= 14_000 { few + 10_000 } else { few + (limit as u32).saturating_sub(3000) };
    if many == few {
        return eprintln!("SKIPPED: {limit} descriptors are too few to measure anything");
    }
    let listen = Listen {
        transport: Transport::Tcp,
        address: "127.0.0.1:0".parse().unwrap(),
        v6only: true,
        seat: None,
        late: false,
        refusal: None,
    };
    let plan = Plan { listeners: vec![listen], connections_max: 13_000, ..Plan::default() };
    let make = move |_, _: &_| Any::new(Config::new(vec![kind()]));
    let server = uring::start(plan, Control::default(), make).expect("the engine starts");
    let target = server.addresses()[0];
    let (first, first_bytes) = bytes_of(few, say.clone(), target);
    let (then, then_bytes) = bytes_of(many, say.clone(), target);
    server.control().abort();
    server.join();
    for (report, connections) in [(first, few), (then, many)] {
        assert_eq!((report.open, report.lost.sum()), (connections.into(), 0), "{report:?}");
    }
    let each = (then_bytes - first_bytes) as f64 / f64::from(many - few);
    println!("{each:.0} bytes a held connection of {name}, over {} of them", many - few);
    assert!((64.0..=most).contains(&each), "{name}: {each} bytes each: {first_bytes}, {then_bytes}");
}

#[test]
fn a_held_connection_costs_at_most_256_bytes() {
    check("echo", || Kind::Echo, &Say::Echo, 512.0);
    let frames = Say::Frame(Frames { echo_once: true, ..Frames::default() });
    check("frames", || Kind::Frame(frame::Config::default()), &frames, 256.0);
}

//! Held frame connections over loopback, whose sockets come from the tables of one ring and of several, on both sides.

use linux::ring::Factors;
use service::any::{Any, Config, Kind};
use service::frame;
use service::load::hold::{Frames, Heartbeat, Hold, HoldConfig, HoldSink, Report, Say};
use service::load::{CloseBy, Gate};
use shard::engine::uring;
use shard::plan::{Control, Listen, Plan, Running, Transport};
use stats::interval::Interval;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

/// Opens the gate, and tells how it ended.
struct Tell(Arc<Gate>, Sender<(Report, Vec<u32>)>);

impl HoldSink for Tell {
    fn settled(&mut self, _report: &Report) {
        self.0.open(linux::clock::Clock::now_ns());
    }

    fn step(&mut self, _report: &Report, step: &mut Box<Interval>) {
        step.clear();
    }

    fn over(&mut self, report: &Report, _step: &mut Box<Interval>, silences_ms: Vec<u32>) {
        self.1.send((*report, silences_ms)).expect("the test listens");
    }
}

fn serve(ring: Factors) -> Running {
    let address = SocketAddr::from(([127, 0, 0, 1], 0));
    let transport = Transport::Tcp;
    let listen = Listen { transport, address, v6only: false, seat: None, late: false, refusal: None };
    let plan = Plan { listeners: vec![listen], connections_max: 1000, ring, ..Plan::default() };
    let make = |_, _: &_| Any::new(Config::new(vec![Kind::Frame(frame::Config::default())]));
    uring::start(plan, Control::default(), make).expect("the engine starts")
}

fn hold(target: SocketAddr, ring: Factors) -> (Report, Vec<u32>) {
    let frames = Frames { echo_once: true, mute: 20, ..Frames::default() };
    let config = Arc::new(HoldConfig {
        target,
        to: vec!["127.0.0.1".parse().unwrap()],
        from: Vec::new(),
        seats: 1,
        connections: 300,
        ramp_per_s: None,
        heartbeat: Some(Heartbeat { every: Duration::from_millis(300), say: Say::Frame(frames) }),
        duration: Duration::from_millis(1200),
        timeout: Duration::from_secs(20),
        reopen: false,
        close: CloseBy::Rst,
        seed: 1,
    });
    let (gate, (tell, told)) = (Arc::new(Gate::default()), channel());
    let plan = Plan { connections_max: 330, ring_sockets: true, ring, ..Plan::default() };
    let make = move |seat, _: &_| {
        Hold::new(config.clone(), gate.clone(), seat, Box::new(Tell(gate.clone(), tell.clone())))
    };
    let running = uring::start(plan, Control::default(), make).expect("the engine starts");
    let told = told.recv_timeout(Duration::from_secs(60)).expect("a hold tells of its end");
    running.control().drain();
    for seat in &running.join().seats {
        assert_eq!((seat.in_flight_at_exit, seat.buffers_lent_at_exit, seat.counts.connections), (0, 0, 0));
    }
    told
}

#[test]
fn sockets_of_one_ring_and_of_several_are_held_asked_and_echoed_and_the_silent_ones_found() {
    // 330 and the spare places are three tables of 128, or more.
    for ring in [Factors::default(), Factors { slots: 128, ..Factors::default() }] {
        let server = serve(ring);
        let (report, silences_ms) = hold(server.addresses()[0], ring);
        let (frames, what) = (report.frames, format!("{} slots: {report:?}", ring.slots));
        assert_eq!((report.reached, report.refused.sum(), report.lost.sum()), (300, 0, 0), "{what}");
        assert_eq!((frames.echoes, frames.echoed, frames.echoes_failed), (300, 300, 0), "{what}");
        assert_eq!((frames.muted, frames.found, report.open), (20, 20, 280), "{what}");
        assert!(report.beats.answered + frames.pongs >= 280, "{what}");
        // Not sooner than after three intervals from when they were heard last, an interval before at most.
        assert!(silences_ms.iter().all(|ms| *ms >= 560), "{what}: {silences_ms:?}");
        server.control().drain();
        server.join();
    }
}

#[test]
fn nobody_at_the_port_refuses_sockets_of_rings_too() {
    let gone = std::net::TcpListener::bind("127.77.7.14:0").unwrap().local_addr().unwrap();
    let config = Arc::new(HoldConfig {
        target: gone,
        to: Vec::new(),
        from: Vec::new(),
        seats: 1,
        connections: 300,
        ramp_per_s: None,
        heartbeat: Some(Heartbeat { every: Duration::from_secs(1), say: Say::Frame(Frames::default()) }),
        duration: Duration::from_millis(1),
        timeout: Duration::from_secs(20),
        reopen: false,
        close: CloseBy::Fin,
        seed: 1,
    });
    let (gate, (tell, told)) = (Arc::new(Gate::default()), channel());
    let ring = Factors { slots: 128, ..Factors::default() };
    let plan = Plan { connections_max: 330, ring, ..Plan::default() };
    let make = move |seat, _: &_| {
        Hold::new(config.clone(), gate.clone(), seat, Box::new(Tell(gate.clone(), tell.clone())))
    };
    let running = uring::start(plan, Control::default(), make).expect("the engine starts");
    let (report, _) = told.recv_timeout(Duration::from_secs(60)).expect("a hold tells of its end");
    assert_eq!((report.refused.refused, report.open), (300, 0), "{report:?}");
    running.control().drain();
    assert_eq!(running.join().seats[0].counts.connections, 0);
}

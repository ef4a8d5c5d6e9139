//! Held connections in the simulated world: a sink that keeps what it is told, and a run.

use service::load::hold::{Heartbeat, Hold, HoldConfig, HoldSink, Report, Say};
use service::load::{CloseBy, Gate};
use shard::engine::sim::{Faults, Peer, Sim, plan};
use shard::plan::Plan;
use stats::interval::Interval;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// What the sinks of a run were told; of each seat one report at its end.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) settled: Vec<Report>,
    pub(crate) steps: Vec<Report>,
    pub(crate) over: Vec<Report>,
    pub(crate) silences_ms: Vec<u32>,
    pub(crate) times: Interval,
}

impl Seen {
    /// All seats together.
    pub(crate) fn sum(&self) -> Report {
        let mut sum = Report::default();
        self.over.iter().for_each(|report| sum += *report);
        sum
    }
}

struct Keep(Rc<RefCell<Seen>>, Arc<Gate>);

impl HoldSink for Keep {
    fn settled(&mut self, report: &Report) {
        self.0.borrow_mut().settled.push(*report);
        // The hold begins when the last seat is ready.
        self.1.open(1);
    }

    fn step(&mut self, report: &Report, step: &mut Box<Interval>) {
        let mut seen = self.0.borrow_mut();
        seen.steps.push(*report);
        seen.times.join(step);
        step.clear();
    }

    fn over(&mut self, report: &Report, step: &mut Box<Interval>, silences_ms: Vec<u32>) {
        let mut seen = self.0.borrow_mut();
        seen.over.push(*report);
        seen.silences_ms.extend(silences_ms);
        seen.times.join(step);
    }
}

/// 100 connections at 50 a second, until 10 s of the world.
pub(crate) fn config(heartbeat: Option<Say>) -> HoldConfig {
    HoldConfig {
        target: "192.0.2.9:7".parse().unwrap(),
        to: Vec::new(),
        from: Vec::new(),
        seats: 1,
        connections: 100,
        ramp_per_s: Some(50.0),
        heartbeat: heartbeat.map(|say| Heartbeat { every: Duration::from_secs(1), say }),
        duration: Duration::from_secs(10),
        timeout: Duration::from_millis(500),
        reopen: false,
        close: CloseBy::Fin,
        seed: 3,
    }
}

/// Holds until `end` of the world, where `server` is, if there is one.
pub(crate) fn run<P: Peer + Clone + 'static>(config: HoldConfig, server: Option<P>, end: Duration) -> Seen {
    let (config, gate) = (Arc::new(config), Arc::new(Gate::default()));
    let seen = Rc::new(RefCell::new(Seen::default()));
    let kept = seen.clone();
    let plan = Plan {
        pool: linux::pool::Plan { count: 64, bytes: 4096, huge_pages: false },
        listeners: Vec::new(),
        ..plan(config.seats)
    };
    let mut sim = Sim::new(5).faults(Faults::NONE).plan(plan).drain_at(end);
    if let Some(server) = server {
        sim = sim.upstream(config.target, move || server.clone());
    }
    sim.run(move |seat| {
        Hold::new(config.clone(), gate.clone(), seat, Box::new(Keep(kept.clone(), gate.clone())))
    })
    .check();
    Rc::try_unwrap(seen).ok().expect("the run is over").into_inner()
}

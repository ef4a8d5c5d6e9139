//! A load in the simulated world: a server that behaves as it is told, and a sink that keeps what it is told.

use service::load::{CloseBy, Config, Gap, Gate, Late, Life, Load, Pace, Sink, Talk};
use shard::engine::sim::{Faults, Line, Peer, Run, Sim, plan};
use shard::plan::Plan;
use stats::interval::Interval;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// What the sinks of a run were told.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) total: Interval,
    pub(crate) steps: u64,
    pub(crate) opened: u32,
    pub(crate) failed: u32,
    pub(crate) over: u32,
    pub(crate) gaps: Vec<Gap>,
}

struct Keep(Rc<RefCell<Seen>>);

impl Sink for Keep {
    fn ready(&mut self, opened: u32, failed: u32) {
        let mut seen = self.0.borrow_mut();
        (seen.opened, seen.failed) = (seen.opened + opened, seen.failed + failed);
    }

    fn step(&mut self, step: &mut Box<Interval>) {
        let mut seen = self.0.borrow_mut();
        assert!(step.to_ns > step.from_ns);
        seen.total.join(step);
        seen.steps += 1;
        step.clear();
    }

    fn over(&mut self, mut gaps: Vec<Gap>) {
        let mut seen = self.0.borrow_mut();
        seen.over += 1;
        seen.gaps.append(&mut gaps);
    }
}

/// How a server ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Ending {
    /// It does not.
    #[default]
    Never,
    /// It closes each connection after so many bytes.
    Closes(usize),
    /// It resets each connection after so many bytes.
    Resets(usize),
}

/// A server of the simulated world.
#[derive(Clone, Default)]
pub(crate) struct Server {
    stall: Option<(u64, u64)>,
    ending: Ending,
    /// What becomes of the bytes of one call.
    change: Option<fn(Vec<u8>) -> Vec<u8>>,
    silent: bool,
    waiting: Vec<u8>,
    got: usize,
    answered: bool,
}

impl Server {
    pub(crate) fn echo() -> Server {
        Server::default()
    }

    /// Answers nothing between two times of the world.
    pub(crate) fn stalls(self, from_ns: u64, to_ns: u64) -> Server {
        Server { stall: Some((from_ns, to_ns)), ..self }
    }

    pub(crate) fn ends(self, ending: Ending) -> Server {
        Server { ending, ..self }
    }

    pub(crate) fn changes(self, change: fn(Vec<u8>) -> Vec<u8>) -> Server {
        Server { change: Some(change), ..self }
    }

    pub(crate) fn silent(self) -> Server {
        Server { silent: true, ..self }
    }

    fn answer(&mut self, line: &mut Line<'_>) {
        let now = line.now_ns();
        if let Some((from, to)) = self.stall.filter(|(from, to)| (*from..*to).contains(&now)) {
            let _ = from;
            if !std::mem::replace(&mut self.answered, true) {
                line.wait(Duration::from_nanos(to - now));
            }
            return;
        }
        let bytes = std::mem::take(&mut self.waiting);
        self.got += bytes.len();
        let bytes = match self.change {
            Some(change) => change(bytes),
            None => bytes,
        };
        if !self.silent && !bytes.is_empty() {
            line.send(bytes);
        }
        match self.ending {
            Ending::Closes(after) if self.got >= after => line.finish(),
            Ending::Resets(after) if self.got >= after => line.reset(),
            _ => {}
        }
    }
}

impl Peer for Server {
    fn on_connect(&mut self, _line: &mut Line<'_>) {}

    fn on_bytes(&mut self, bytes: &[u8], line: &mut Line<'_>) {
        self.waiting.extend_from_slice(bytes);
        self.answer(line);
    }

    fn on_timer(&mut self, line: &mut Line<'_>) {
        self.answered = false;
        self.answer(line);
    }
}

/// A closed load of one second behind one of warm-up, on 4 connections.
pub(crate) fn config(talk: Talk) -> Config {
    Config {
        target: "192.0.2.9:7".parse().unwrap(),
        talk,
        from: Vec::new(),
        seats: 1,
        connections: 4,
        pipeline: 1,
        pace: Pace::Closed,
        warmup: Duration::from_secs(1),
        duration: Duration::from_secs(1),
        late: Late::Queue,
        waiting_max: 1_000_000,
        timeout: Duration::from_secs(2),
        life: Life::Keep,
        close: CloseBy::Fin,
        ramp_per_s: None,
        verify: true,
        seed: 7,
    }
}

pub(crate) fn run(seed: u64, config: Config, server: Server) -> Seen {
    run_with(seed, config, server, Faults::NONE).0
}

/// Runs a load to its end. The schedule begins at 100 ms of the world.
pub(crate) fn run_with(seed: u64, config: Config, server: Server, faults: Faults) -> (Seen, Run) {
    let config = Arc::new(config);
    let gate = Arc::new(Gate::default());
    gate.open(BEGIN_NS);
    let seen = Rc::new(RefCell::new(Seen::default()));
    let target = config.target;
    let length = Duration::from_nanos(BEGIN_NS) + config.warmup + config.duration + 3 * config.timeout;
    let plan = Plan {
        listeners: service::load::listeners(&config),
        stamps: true,
        out_max: service::load::out_max(&config),
        pool: linux::pool::Plan { count: 64, bytes: 4096, huge_pages: false },
        ..plan(config.seats)
    };
    let kept = seen.clone();
    let run = Sim::new(seed)
        .faults(faults)
        .plan(plan)
        .upstream(target, move || server.clone())
        .drain_at(length)
        .run(move |seat| Load::new(config.clone(), gate.clone(), seat, Box::new(Keep(kept.clone()))))
        .check();
    let seen = std::mem::take(&mut *seen.borrow_mut());
    (seen, run)
}

/// When the schedule begins.
pub(crate) const BEGIN_NS: u64 = 100_000_000;

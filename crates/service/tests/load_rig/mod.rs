//! A load in the simulated world: servers that behave as they are told, and a sink that keeps what it is told.

pub(crate) mod frames;
pub(crate) mod held;
pub(crate) mod queue;
pub(crate) mod rogue;

use service::load::{CloseBy, Config, Gap, Gate, Late, Life, Load, Pace, Sink, Talk};
use shard::engine::sim::{Faults, Line, Peer, Run, Sim, plan};
use shard::plan::Plan;
use stats::interval::{Counts, Interval};
use stats::schedule::{Arrivals, Law, Share};
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

pub(crate) const MS: u64 = 1_000_000;
pub(crate) const SECOND: u64 = 1_000 * MS;

/// What the sinks of a run were told.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) total: Interval,
    /// From, to and counts of each step.
    pub(crate) steps: Vec<(u64, u64, Counts)>,
    pub(crate) opened: u32,
    pub(crate) failed: u32,
    pub(crate) ready: u32,
    pub(crate) over: u32,
    pub(crate) held: u32,
    pub(crate) gaps: Vec<Gap>,
}

impl Seen {
    pub(crate) fn counts(&self) -> Counts {
        self.total.counts
    }

    /// Every response in order, as the histogram keeps them.
    pub(crate) fn responses(&self) -> Vec<u64> {
        let all = self.total.response.iter_recorded();
        let all = all.map(|v| (v.value_iterated_to(), v.count_at_value() as usize));
        all.flat_map(|(value, count)| std::iter::repeat_n(value, count)).collect()
    }

    /// Every request ends once, and whatever ends so is timed so.
    pub(crate) fn assert_accounts(&self, what: &str) {
        let c = self.counts();
        let ended = c.answered + c.dropped + c.overflowed + c.failed();
        assert_eq!(c.due, ended, "{what}: due, and all the ways to end: {c:?}");
        assert_eq!(self.total.response.len(), c.answered + c.failed(), "{what}: samples");
        assert!(c.sent <= c.due && c.answered <= c.sent, "{what}: {c:?}");
    }
}

struct Keep(Rc<RefCell<Seen>>);

impl Sink for Keep {
    fn ready(&mut self, opened: u32, failed: u32) {
        let mut seen = self.0.borrow_mut();
        (seen.opened, seen.failed) = (seen.opened + opened, seen.failed + failed);
        seen.ready += 1;
    }

    fn step(&mut self, step: &mut Box<Interval>) {
        let mut seen = self.0.borrow_mut();
        seen.total.join(step);
        seen.steps.push((step.from_ns, step.to_ns, step.counts));
        step.clear();
    }

    fn over(&mut self, mut gaps: Vec<Gap>, held: u32) {
        let mut seen = self.0.borrow_mut();
        seen.over += 1;
        seen.held += held;
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

/// A server of the simulated world that answers each call's bytes with those, or with what `change` makes of them.
#[derive(Clone, Default)]
pub(crate) struct Server {
    stall: Option<(u64, u64)>,
    ending: Ending,
    change: Option<fn(Vec<u8>) -> Vec<u8>>,
    silent: bool,
    deaf: bool,
    /// So many connections are reset at once, the first ones.
    resets: usize,
    waiting: Vec<u8>,
    got: usize,
    sleeps: bool,
    /// When each connection came, and how many requests' bytes it sent.
    log: Rc<RefCell<Vec<(u64, usize)>>>,
    index: usize,
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

    /// Resets so many connections before it begins to work.
    pub(crate) fn resets_first(self, resets: usize) -> Server {
        Server { resets, ..self }
    }

    /// Reads nothing.
    pub(crate) fn deaf(self) -> Server {
        Server { deaf: true, ..self }
    }

    /// When each connection came, and how many bytes it sent.
    pub(crate) fn log(&self) -> Rc<RefCell<Vec<(u64, usize)>>> {
        self.log.clone()
    }

    fn answer(&mut self, line: &mut Line<'_>) {
        let now = line.now_ns();
        if let Some((_, to)) = self.stall.filter(|(from, to)| (*from..*to).contains(&now)) {
            if !std::mem::replace(&mut self.sleeps, true) {
                line.wait(Duration::from_nanos(to - now));
            }
            return;
        }
        let bytes = std::mem::take(&mut self.waiting);
        self.got += bytes.len();
        self.log.borrow_mut()[self.index].1 = self.got;
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
    fn on_connect(&mut self, line: &mut Line<'_>) {
        if self.deaf {
            line.read(false);
        }
        self.index = self.log.borrow().len();
        self.log.borrow_mut().push((line.now_ns(), 0));
        match self.ending {
            _ if self.index < self.resets => line.reset(),
            Ending::Closes(0) => line.finish(),
            Ending::Resets(0) => line.reset(),
            _ => {}
        }
    }

    fn on_bytes(&mut self, bytes: &[u8], line: &mut Line<'_>) {
        self.waiting.extend_from_slice(bytes);
        self.answer(line);
    }

    fn on_timer(&mut self, line: &mut Line<'_>) {
        self.sleeps = false;
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

pub(crate) fn echo(bytes: usize) -> Config {
    config(Talk::Echo { bytes })
}

/// So many arrivals a second from the begin of the warm-up to the end.
pub(crate) fn open(config: Config, law: Law, per_s: f64) -> Config {
    let ns = (config.warmup + config.duration).as_nanos() as u64;
    Config { pace: Pace::Open(Arrivals::steady(law, per_s, ns, config.seed)), ..config }
}

/// What must hold of every load, whatever happens to it.
pub(crate) fn assert_sound(seen: &Seen, config: &Config, what: &str) {
    let c = seen.counts();
    seen.assert_accounts(what);
    if let Pace::Open(arrivals) = &config.pace {
        let zero = config.warmup.as_nanos() as u64;
        let share = |index| arrivals.share(Share { index, of: config.seats.into() });
        let due = (0..config.seats.into()).flat_map(share).filter(|at| *at >= zero).count();
        assert_eq!(c.due, due as u64, "{what}: the schedule");
    } else {
        assert_eq!(c.due, c.sent, "{what}");
    }
    let seats = u32::from(config.seats);
    assert_eq!((seen.over, seen.ready), (seats, seats), "{what}: over and ready, once a seat");
    assert_eq!(seen.opened + seen.failed, config.connections, "{what}: tried");
    assert_eq!(seen.steps.len() as u32, 10 * seats, "{what}: steps");
    assert_eq!(c.status, c.status_4xx + c.status_5xx, "{what}");
    if c.timeout > 0 {
        let timeout = config.timeout.as_nanos() as u64;
        let longest = seen.total.response.iter_recorded().filter(|v| v.value_iterated_to() >= timeout);
        let long: u64 = longest.map(|v| v.count_at_value()).sum();
        assert!(long >= c.timeout, "{what}: {long} took as long as the timeout, {} timed out", c.timeout);
    }
}

pub(crate) fn run<P: Peer + Clone + 'static>(seed: u64, config: Config, server: P) -> Seen {
    run_with(seed, config, server, Faults::NONE).0
}

/// Runs a load to its end. The schedule begins at 100 ms of the world.
pub(crate) fn run_with<P: Peer + Clone + 'static>(
    seed: u64,
    config: Config,
    server: P,
    faults: Faults,
) -> (Seen, Run) {
    let (gate, length) = (Arc::new(Gate::default()), length(&config));
    gate.open(BEGIN_NS);
    let target = config.target;
    run_sim(config, gate, |sim| sim.faults(faults).upstream(target, move || server.clone()), seed, length)
}

/// By then a load is over, whatever happens to it.
pub(crate) fn length(config: &Config) -> Duration {
    Duration::from_nanos(BEGIN_NS) + config.warmup + config.duration + 3 * config.timeout
}

pub(crate) fn run_sim(
    config: Config,
    gate: Arc<Gate>,
    world: impl FnOnce(Sim) -> Sim,
    seed: u64,
    drain_at: Duration,
) -> (Seen, Run) {
    let config = Arc::new(config);
    let seen = Rc::new(RefCell::new(Seen::default()));
    let plan = Plan {
        listeners: service::load::listeners(&config),
        stamps: true,
        out_max: service::load::out_max(&config),
        pool: linux::pool::Plan { count: 64, bytes: 4096, huge_pages: false },
        ..plan(config.seats)
    };
    let kept = seen.clone();
    let run = world(Sim::new(seed).plan(plan))
        .drain_at(drain_at)
        .run(move |seat| Load::new(config.clone(), gate.clone(), seat, Box::new(Keep(kept.clone()))))
        .check();
    let seen = std::mem::take(&mut *seen.borrow_mut());
    (seen, run)
}

/// When the schedule begins.
pub(crate) const BEGIN_NS: u64 = 100_000_000;

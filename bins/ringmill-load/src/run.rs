//! From a checked load to its result: seats are started, connect, wait for the gate, send, and are waited for.
//!
//! ```text
//! start -> connecting -> gate opens -> warm-up -> measured -> last answers -> drained -> result
//!              |                          |           |
//!              +-- a signal: nothing -----+           +-- a signal: what was measured so far
//! ```
//!
//! This thread waits for what the seats tell it and never touches a byte.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use linux::clock::Clock;
use linux::console::{Failure, warn};
use service::load::{self, Gate, Load, Pace};
use shard::engine::uring;
use shard::plan::{Control, Plan, Running, Wake};
use stats::interval::Interval;
use stats::outcome::{self, Build, Command, Outcome};

use crate::args::IdleWord;
use crate::config::Config;
use crate::cost::{self, Reading};
use crate::files::{self, Log};
use crate::progress::Progress;
use crate::steps::Steps;
use crate::stops::Stops;
use crate::wire::{News, Wires};

/// Runs the load, and nothing else. Errors: why nothing could be measured.
pub(crate) fn run(config: &Config) -> Result<Outcome, Failure> {
    let stops = Stops::listen()?;
    if let Some(warning) = &config.cores.warning {
        warn(env!("CARGO_BIN_NAME"), warning);
    }
    one(config, &stops)
}

/// Runs the load, perhaps as one of several, until its end or that of all. Errors: why nothing could be measured.
pub(crate) fn one(config: &Config, stops: &Stops) -> Result<Outcome, Failure> {
    let mut log = None;
    let Wires { seats, news, others, empty } = Wires::new(config.load.seats);
    let gate = Arc::new(Gate::default());
    let wires = Mutex::new(seats);
    let (load, its_gate) = (Arc::clone(&config.load), Arc::clone(&gate));
    let make = move |seat: u16, _: &_| {
        let wire = wires.lock().expect("nothing panics under this lock")[usize::from(seat)].take();
        let wire = wire.expect("an engine makes each seat once");
        Load::new(Arc::clone(&load), Arc::clone(&its_gate), seat, Box::new(wire))
    };
    let running = uring::start(plan(config), Control::default(), make)?;
    stops.of(others.clone());
    let mut course = Course {
        load: &config.load,
        news,
        gate,
        progress: Progress::new(&config.output, &config.asked, others)
            .inspect_err(|_| running.control().abort())?,
        running: &running,
        over: 0,
        gaps: Vec::new(),
        held: 0,
    };
    let result = course.connect().and_then(|()| {
        // Its times count from the begin of the measured time, which comes after the warm-up.
        let began_unix_s = Clock::unix_seconds() as f64 + config.load.warmup.as_secs_f64();
        log = config.output.hlog.as_deref().map(|path| Log::begin(path, began_unix_s)).transpose()?;
        let step = |step: &Interval| log.as_mut().map_or(Ok(()), |log| log.step(step));
        course.measure(config, &empty, step)
    });
    course.progress.clear();
    let (build, end) = match result {
        Ok(ended) => ended,
        Err(failure) => {
            running.control().abort();
            running.join();
            return Err(failure);
        }
    };
    running.control().drain();
    running.join();
    log.map_or(Ok(()), |log: Log<'_>| log.keep())?;
    files::distribution(&config.output, build.whole())?;
    Ok(build.finish(end))
}

fn plan(config: &Config) -> Plan {
    let load = &config.load;
    Plan {
        cores: config.cores.cores.iter().map(|core| Some(*core)).collect(),
        listeners: load::listeners(load),
        // All may be closing while others take their place.
        connections_max: 2 * load.connections.div_ceil(load.seats.into()) as usize + SPARE_CONNECTIONS,
        out_max: load::out_max(load),
        drain: DRAIN,
        stamps: true,
        // A stamp is shared by the sends of a turn: few of them are stamped well, many go out fast.
        turn_sends: if matches!(load.pace, Pace::Closed) { u32::MAX } else { 16 },
        wake: match config.idle {
            IdleWord::Sleep => Wake::Sleep,
            IdleWord::Hybrid => Wake::Hybrid,
            IdleWord::Spin => Wake::Spin,
        },
        ..Plan::default()
    }
}

/// A load on its way.
struct Course<'a> {
    load: &'a load::Config,
    news: Receiver<News>,
    gate: Arc<Gate>,
    progress: Progress,
    running: &'a Running,
    /// Seats that will say nothing more.
    over: u16,
    gaps: Vec<(u64, u64)>,
    /// Connections that were open to the last.
    held: u64,
}

impl Course<'_> {
    /// Waits until every seat has tried its connections. Errors: none is open, or the user wants no more.
    fn connect(&mut self) -> Result<(), Failure> {
        let address = self.load.target;
        self.progress.say(&format!("connecting to {address}"));
        let (mut ready, mut open, mut not) = (0, 0, 0);
        while ready < self.load.seats {
            match self.next(NEVER)? {
                Some(News::Ready { opened, failed }) => {
                    (ready, open, not) = (ready + 1, open + opened, not + failed);
                }
                Some(News::Stop) => return Err(too_early()),
                Some(News::Step(..) | News::Over(..)) | None => {}
            }
        }
        if open == 0 {
            let what = format!("none of {not} connections to {address} could be opened");
            return Err(Failure::runtime(what)
                .cure("fewer `--connections`, or a `--ramp`, if the server has a bound"));
        }
        Ok(())
    }

    /// Opens the gate and waits until every seat is through. Errors: the user wants no more before anything was measured.
    fn measure(
        &mut self,
        config: &Config,
        empty: &[Sender<Box<Interval>>],
        mut each: impl FnMut(&Interval) -> Result<(), Failure>,
    ) -> Result<(Build, outcome::End), Failure> {
        let begin_ns = Clock::now_ns() + LEAD_NS;
        let zero_ns = begin_ns + self.load.warmup.as_nanos() as u64;
        let duration_ns = self.load.duration.as_nanos() as u64;
        self.gate.open(begin_ns);
        self.progress.say("warming up");
        let mut begin = None;
        let mut end: Option<Reading> = None;
        let mut steps = Steps::new(self.load.seats);
        let mut build = Build::new(plan_of(config, zero_ns));
        let mut failure = None;
        let mut add = |build: &mut Build, progress: &mut Progress, step: &Interval| {
            if let Err(why) = each(step) {
                failure.get_or_insert(why);
            }
            let line = *build.add(step);
            progress.step(step, &line, build.whole().counts.errors(), duration_ns);
        };
        while self.over < self.load.seats {
            // The meters are read when the measured time begins and when it ends.
            let due_ns = match (&begin, &end) {
                (None, _) => zero_ns,
                (Some(_), None) => zero_ns + duration_ns,
                (Some(_), Some(_)) => NEVER,
            };
            let came = self.next(due_ns)?;
            let now_ns = Clock::now_ns();
            if begin.is_none() && now_ns >= zero_ns {
                begin = Some(Reading::take(self.running.board()));
            }
            if begin.is_some() && end.is_none() && now_ns >= zero_ns + duration_ns {
                end = Some(Reading::take(self.running.board()));
            }
            match came {
                Some(News::Step(seat, mut part)) => {
                    steps.add(&part, |step| add(&mut build, &mut self.progress, step));
                    part.clear();
                    // A seat that has ended wants none back.
                    let _ = empty[usize::from(seat)].send(part);
                }
                Some(News::Over(gaps, held)) => {
                    self.over += 1;
                    self.held += u64::from(held);
                    self.gaps.extend(gaps.iter().map(|gap| (gap.intended_ns, gap.sent_ns)));
                }
                Some(News::Stop) if begin.is_none() => return Err(too_early()),
                Some(News::Stop) if self.gate.is_stopped() => {
                    return Err(Failure::runtime("told twice to end: what was measured is not kept"));
                }
                Some(News::Stop) => {
                    self.gate.stop();
                    self.progress.say("waiting for the last answers");
                    end.get_or_insert_with(|| Reading::take(self.running.board()));
                }
                Some(News::Ready { .. }) | None => {}
            }
        }
        steps.finish(|step| add(&mut build, &mut self.progress, step));
        failure.map_or(Ok(()), Err)?;
        let begin = begin.ok_or_else(too_early)?;
        let end = end.unwrap_or_else(|| Reading::take(self.running.board()));
        // Of one that was ended early the seats say how long it was: they stop a moment after they are told.
        let is_whole = !self.gate.is_stopped();
        let measured_ns = if is_whole { duration_ns } else { build.whole().to_ns.clamp(1, duration_ns) };
        let warmup_ns = self.load.warmup.as_nanos() as u64;
        let end = outcome::End {
            measured_ns,
            expected: match &self.load.pace {
                Pace::Open(arrivals) => Some(arrivals.expected(warmup_ns, warmup_ns + measured_ns)),
                Pace::Closed => None,
            },
            held: self.held,
            gaps: std::mem::take(&mut self.gaps),
            cost: begin.cost(&end, measured_ns, self.running.seats()),
            environment: cost::environment(self.running, begin.changes(&end)),
        };
        Ok((build, end))
    }

    /// What comes next, or `None` at `until_ns` or a little later than nothing. Errors: the seats have ended without a word.
    fn next(&self, until_ns: u64) -> Result<Option<News>, Failure> {
        let left = Duration::from_nanos(until_ns.saturating_sub(Clock::now_ns())).min(LOOK);
        match self.news.recv_timeout(left) {
            Ok(news) => Ok(Some(news)),
            Err(RecvTimeoutError::Timeout) if !self.running.is_finished() => Ok(None),
            Err(_) => Err(Failure::runtime("the shards ended before their load did")),
        }
    }
}

/// What is known before the run, of which the measured time begins at `zero_ns`.
fn plan_of(config: &Config, zero_ns: u64) -> outcome::Plan {
    let load = &config.load;
    let ahead_s = zero_ns.saturating_sub(Clock::now_ns()) / 1_000_000_000;
    outcome::Plan {
        command: Command::Run,
        version: env!("CARGO_PKG_VERSION").into(),
        began_unix_s: Clock::unix_seconds() + ahead_s,
        asked: config.asked.clone(),
        law: match &load.pace {
            Pace::Open(arrivals) => Some(arrivals.law),
            Pace::Closed => None,
        },
        verify: load.verify,
    }
}

fn too_early() -> Failure {
    Failure::runtime("ended before anything was measured")
}

/// What the seats get to see that the gate is open, before the schedule begins.
const LEAD_NS: u64 = 5_000_000;
/// How often this thread looks whether the seats are still there, when they say nothing.
const LOOK: Duration = Duration::from_millis(100);
const NEVER: u64 = u64::MAX;
/// How long connections may take to close at the end.
const DRAIN: Duration = Duration::from_secs(2);
/// Of one seat: places for those that are closing for longer.
const SPARE_CONNECTIONS: usize = 64;

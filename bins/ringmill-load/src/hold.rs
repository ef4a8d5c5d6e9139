//! `ringmill-load hold`: connections opened along a ramp and kept, with every loss counted.
//!
//! ```text
//! start -> opening (each connection tried once) -> gate -> held for the duration, or until a signal -> closed -> result
//! ```
//!
//! This thread waits for what the seats tell it and never touches a byte.

use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use linux::clock::Clock;
use linux::console::{Failure, warn};
use linux::signal::{Signal, Signals};
use service::load::Gate;
use service::load::hold::{Heartbeat, Hold, HoldConfig, HoldSink, Reasons, Report, Say};
use shard::engine::uring;
use shard::plan::{Control, Plan, Running};
use stats::interval::Interval;
use stats::outcome::{
    self, Build, CodeCount, Command, Echoes, Frames, Heartbeats, Losses, Muted, Outcome, State,
};
use stats::text::{count, duration};
use stats::verdict;

use crate::cost::{self, Reading};
use crate::progress::Progress;
use crate::steps::Steps;

mod config;

pub(crate) use config::{Config, Words};

/// What seats tell.
enum News {
    Settled(Report),
    Step(u16, Report, Box<Interval>),
    Over(u16, Report, Box<Interval>, Vec<u32>),
    Stop,
}

/// The seat's end.
struct Wire(u16, Sender<News>);

impl HoldSink for Wire {
    fn settled(&mut self, report: &Report) {
        self.tell(News::Settled(*report));
    }

    fn step(&mut self, report: &Report, step: &mut Box<Interval>) {
        self.tell(News::Step(self.0, *report, std::mem::take(step)));
    }

    fn over(&mut self, report: &Report, step: &mut Box<Interval>, silences_ms: Vec<u32>) {
        self.tell(News::Over(self.0, *report, std::mem::take(step), silences_ms));
    }
}

impl Wire {
    /// Nobody listens any more only when the program ends.
    fn tell(&self, news: News) {
        let _ = self.1.send(news);
    }
}

/// Holds. Errors: why not one connection could be held.
pub(crate) fn run(config: &Config) -> Result<Outcome, Failure> {
    // Before the first thread: threads inherit the mask, and one without it would be killed by the signal.
    let signals = Signals::block([Signal::Interrupt, Signal::Terminate, Signal::Hangup])?;
    if let Some(warning) = &config.cores.warning {
        warn(env!("CARGO_BIN_NAME"), warning);
    }
    let (tell, news) = mpsc::channel();
    let gate = Arc::new(Gate::default());
    let (hold, its_gate, its_end) = (config.hold.clone(), gate.clone(), Mutex::new(tell.clone()));
    let make = move |seat: u16, _: &_| {
        let wire = Wire(seat, its_end.lock().expect("nothing panics under this lock").clone());
        Hold::new(hold.clone(), its_gate.clone(), seat, Box::new(wire))
    };
    let before = resident_bytes();
    let running = uring::start(plan(config), Control::default(), make)?;
    thread::spawn(move || while signals.wait().is_ok() && tell.send(News::Stop).is_ok() {});
    let progress = Progress::new(&config.output, &config.asked, mpsc::channel().0)?;
    let (last, open_per_s) = (Vec::new(), Vec::new());
    let mut course = Course { config, news, gate, progress, running: &running, last, open_per_s, before };
    let mut result = course.hold();
    course.progress.clear();
    if result.is_err() {
        running.control().abort();
    } else {
        running.control().drain();
    }
    let (began_ns, within) = (Clock::now_ns(), drain(config));
    running.join();
    let closing_ns = Clock::now_ns() - began_ns;
    if let Ok(Outcome { hold: Some(hold), .. }) = &mut result {
        hold.closing_ns = Some(closing_ns).filter(|ns| u128::from(*ns) < within.as_nanos());
    }
    result
}

/// How long connections may take to close at the end.
fn drain(config: &Config) -> Duration {
    DRAIN + Duration::from_secs(u64::from(config.hold.connections) / CLOSED_PER_S)
}

fn plan(config: &Config) -> Plan {
    let hold = &config.hold;
    Plan {
        cores: config.cores.cores.iter().map(|core| Some(*core)).collect(),
        connections_max: hold.connections.div_ceil(hold.seats.into()) as usize + SPARE_CONNECTIONS,
        ring_sockets: config.rings,
        drain: drain(config),
        ..Plan::default()
    }
}

/// A hold on its way.
struct Course<'a> {
    config: &'a Config,
    news: Receiver<News>,
    gate: Arc<Gate>,
    progress: Progress,
    running: &'a Running,
    /// What each seat said last.
    last: Vec<Report>,
    open_per_s: Vec<u64>,
    /// Memory of this process before the first seat.
    before: Option<u64>,
}

impl Course<'_> {
    fn hold(&mut self) -> Result<Outcome, Failure> {
        let seats = self.config.hold.seats;
        let (began_ns, began_unix_s) = (Clock::now_ns(), Clock::unix_seconds());
        let begin = Reading::take(self.running.board());
        self.last = vec![Report::default(); seats.into()];
        let mut build = Build::new(outcome::Plan {
            command: Command::Hold,
            version: env!("CARGO_PKG_VERSION").into(),
            began_unix_s,
            asked: self.config.asked.clone(),
            law: None,
            verify: false,
        });
        let mut steps = Steps::new(seats);
        let (mut settled, mut over, mut opening_ns, mut held_from_ns) = (0, 0, 0, None);
        let (mut bytes_each, mut open, mut silences_ms) = (None, 0, Vec::new());
        while over < seats {
            match self.next()? {
                Some(News::Settled(report)) => {
                    settled += 1;
                    open += report.open;
                    opening_ns = opening_ns.max(report.at_ns);
                    if settled == seats {
                        let now_ns = Clock::now_ns();
                        held_from_ns = Some(now_ns);
                        self.gate.open(now_ns);
                        bytes_each = self.bytes_each(open);
                    }
                }
                Some(News::Step(seat, report, step)) => {
                    self.last[usize::from(seat)] = report;
                    steps.add(&step, |step| {
                        build.add(step);
                    });
                    if seat == 0 {
                        self.open_per_s.push(self.sum().open);
                        self.say(settled == seats);
                    }
                }
                Some(News::Over(seat, report, step, more)) => {
                    over += 1;
                    silences_ms.extend(more);
                    self.last[usize::from(seat)] = report;
                    steps.add(&step, |step| {
                        build.add(step);
                    });
                }
                Some(News::Stop) if self.gate.is_stopped() => return Err(too_early()),
                Some(News::Stop) => self.gate.stop(),
                None => {}
            }
        }
        steps.finish(|step| {
            build.add(step);
        });
        let end = Reading::take(self.running.board());
        let measured_ns = (Clock::now_ns() - began_ns).max(1);
        let sum = self.sum();
        if sum.opened == 0 {
            return Err(self.nothing(&sum));
        }
        let mut outcome = build.finish(outcome::End {
            measured_ns,
            expected: None,
            held: sum.open,
            gaps: Vec::new(),
            cost: begin.cost(&end, measured_ns, self.running.seats()),
            environment: cost::environment(self.running, begin.changes(&end)),
        });
        // Connections that were opened again do not make up for others that never were.
        outcome.connections.opened = sum.reached;
        outcome.connections.lost = sum.lost.sum();
        outcome.hold = Some(outcome::Hold {
            reached: sum.reached,
            opening_ns,
            refused: losses(&sum.refused),
            lost: losses(&sum.lost),
            heartbeats: Heartbeats {
                every_ns: self.config.hold.heartbeat.as_ref().map(|beat| beat.every.as_nanos() as u64),
                sent: sum.beats.sent,
                answered: sum.beats.answered,
                late: sum.beats.late,
                status: sum.beats.status,
            },
            bytes_per_connection: bytes_each,
            closing_ns: None,
            open_per_s: std::mem::take(&mut self.open_per_s),
            frames: frames(&self.config.hold, &sum, silences_ms),
        });
        outcome.verdict = verdict::judge(&outcome);
        let asked_ns = self.config.asked.duration_ns;
        let held_ns = held_from_ns.map_or(0, |from_ns| Clock::now_ns() - from_ns);
        if asked_ns > 0 && held_ns < asked_ns {
            let (held, asked) = (duration(held_ns as f64), duration(asked_ns as f64));
            outcome.verdict.state = outcome.verdict.state.max(State::Degraded);
            outcome.verdict.reasons.retain(|reason| !reason.starts_with("duration:"));
            outcome.verdict.reasons.push(format!("duration: held for {held} of {asked}"));
        }
        Ok(outcome)
    }

    fn sum(&self) -> Report {
        let mut sum = Report::default();
        self.last.iter().for_each(|report| sum += *report);
        sum
    }

    /// The live line.
    fn say(&mut self, settled: bool) {
        let sum = self.sum();
        let what = if settled { "holding" } else { "opening" };
        let mut line = format!("{:>6}  {what} {}", duration(sum.at_ns as f64), count(sum.open));
        let before = self.open_per_s.len().checked_sub(2).map_or(0, |at| self.open_per_s[at]);
        if !settled {
            line += &format!("  {}/s", count(sum.open.saturating_sub(before)));
        }
        let more = [
            ("opening", sum.opening),
            ("refused", sum.refused.sum()),
            ("lost", sum.lost.sum()),
            ("heartbeats answered", sum.beats.answered),
            ("late", sum.beats.late),
            ("echoed", sum.frames.echoed),
            ("echoes failed", sum.frames.echoes_failed),
            ("muted", sum.frames.muted),
            ("found", sum.frames.found),
        ];
        for (name, n) in more.iter().filter(|(_, n)| *n > 0) {
            line += &format!("  {} {name}", count(*n));
        }
        self.progress.say(&line);
    }

    /// By how much this process has grown, for each of `open` connections; of few it would only tell what all share.
    fn bytes_each(&self, open: u64) -> Option<f64> {
        let grown = resident_bytes()?.saturating_sub(self.before?);
        (open >= TELLING).then(|| (grown as f64 / open as f64 * 10.0).round() / 10.0)
    }

    fn nothing(&self, sum: &Report) -> Failure {
        let most = losses(&sum.refused).each().into_iter().max_by_key(|(_, n)| *n);
        let why = most.map_or("", |(name, _)| name).replace('_', " ");
        let what = format!(
            "none of {} connections to {} could be opened ({why})",
            count(self.config.hold.connections.into()),
            self.config.hold.target
        );
        Failure::runtime(what).cure("fewer `--connections`, or a lower `--ramp`, if the server has a bound")
    }

    /// What comes next, or `None` after a while without anything. Errors: the seats have ended without a word.
    fn next(&self) -> Result<Option<News>, Failure> {
        match self.news.recv_timeout(LOOK) {
            Ok(news) => Ok(Some(news)),
            Err(RecvTimeoutError::Timeout) if !self.running.is_finished() => Ok(None),
            Err(_) => Err(Failure::runtime("the shards ended before their connections did")),
        }
    }
}

fn losses(reasons: &Reasons) -> Losses {
    let Reasons { refused, reset, closed, timeout, answer, no_descriptor, no_port, .. } = *reasons;
    let Reasons { error, goaway, silent, other, .. } = *reasons;
    Losses { refused, reset, closed, timeout, answer, no_descriptor, no_port, error, goaway, silent, other }
}

/// What frame connections did, of a hold of such.
fn frames(hold: &HoldConfig, sum: &Report, mut silences_ms: Vec<u32>) -> Option<Frames> {
    let Some(Heartbeat { say: Say::Frame(wishes), .. }) = &hold.heartbeat else { return None };
    let counts = &sum.frames;
    silences_ms.sort_unstable();
    let ns = |ms: &u32| u64::from(*ms) * 1_000_000;
    let errors = (0..).zip(counts.errors).filter(|(_, count)| *count > 0);
    Some(Frames {
        pongs: counts.pongs,
        errors: errors.map(|(code, count)| CodeCount { code, count: count.into() }).collect(),
        echo: wishes.echo_once.then_some(Echoes {
            sent: counts.echoes,
            answered: counts.echoed,
            failed: counts.echoes_failed,
            took_ns: counts.echoes_ns,
        }),
        muted: (wishes.mute > 0).then_some(Muted {
            muted: counts.muted,
            found: counts.found,
            silent_min_ns: silences_ms.first().map(ns),
            silent_p50_ns: silences_ms.get(silences_ms.len().saturating_sub(1) / 2).map(ns),
            silent_max_ns: silences_ms.last().map(ns),
        }),
    })
}

/// Memory of this process that is not on disk or shared, in bytes (proc_pid_statm(5), without the pages of files).
fn resident_bytes() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("RssAnon:"))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? * 1024)
}

fn too_early() -> Failure {
    Failure::runtime("ended before the connections were closed")
}

/// Connections from which on memory for each is told.
const TELLING: u64 = 10_000;
/// How often this thread looks whether the seats are still there, when they say nothing.
const LOOK: Duration = Duration::from_millis(100);
/// How long connections may take to close at the end, beside what many take.
const DRAIN: Duration = Duration::from_secs(5);
/// Connections that are closed in a second, at least.
const CLOSED_PER_S: u64 = 5_000;
/// Of one seat: connections that are closing while others take their place.
const SPARE_CONNECTIONS: usize = 64;

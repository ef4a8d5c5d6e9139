//! Connections that are held: opened along a ramp, kept idle, asked now and then whether they still live, every loss counted.
//!
//! ```text
//! Opening (each tried once) -> Settled (waits for the gate) -> Holding (for its time) -> Closing -> Over
//! ```
//!
//! A held connection costs a record of 32 bytes here beside what the engine keeps of it. It has no timer: when it has its heartbeats
//! is arithmetic (`beat`), and nothing ever looks through all connections but the end, which closes them in parts.

mod beat;
mod config;
mod connect;
mod frame;
mod hear;
mod report;

pub use config::{Frames, Heartbeat, HoldConfig, Say};
pub use report::{BeatCounts, CODES, FrameCounts, HoldSink, Reasons, Report};

use super::config::Gate;
use super::http::Answers;
use super::pattern::Pattern;
use super::reader::Reader;
use beat::Beats;
use bytes::Bytes;
use shard::{End, Event, Io, Leg, LegError, Next, Origin, Service, Token};
use stats::interval::Interval;
use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

/// The held connections of one seat.
pub struct Hold {
    config: Arc<HoldConfig>,
    gate: Arc<Gate>,
    seat: u16,
    sink: Box<dyn HoldSink>,
    phase: Phase,
    held: Vec<Held>,
    /// The connection of a leg, by the leg's index.
    by_leg: Vec<u32>,
    /// How far answers have come of which a part is here. Few at any time.
    midway: HashMap<u32, Reader>,
    say: Saying,
    beats: Option<Beats>,
    /// The next beat to send, and the next to look after.
    beat: u64,
    looked: u64,
    /// What the exact deadline of the seat is set to.
    wake_ns: u64,
    /// The first connection that was never tried.
    next: usize,
    untried: usize,
    /// Those to try again, and when.
    again: VecDeque<(u64, u32)>,
    /// How many the end has closed.
    closed: usize,
    since_ns: u64,
    /// When the next step is told of.
    until_ns: u64,
    report: Report,
    step: Box<Interval>,
    tick: Option<Token>,
}

/// One connection.
struct Held {
    /// When its connect began, or its outstanding heartbeat was due; of frames: when the peer was last heard, or it fell silent.
    since_ns: u64,
    leg: Option<Leg>,
    /// Heartbeats that were sent.
    beats: u32,
    state: State,
    /// It was opened, or could not be, once.
    tried: bool,
    /// It was open once.
    reached: bool,
    /// What became of the frame that was to come back.
    echo: frame::Echo,
    /// Its peer has been quiet for so long that it is looked after by itself.
    suspect: bool,
}

const _: () = assert!(size_of::<Held>() <= 32, "a held connection is paid for a million times");

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Down,
    Connecting,
    /// HELLO was said and not answered yet.
    Greeting,
    Open,
    /// Open, and a heartbeat is not answered yet.
    Beating,
    /// Open, and it does not say a word.
    Muted,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Opening,
    Settled,
    /// Until this time.
    Holding(u64),
    Closing,
    Over,
}

/// What heartbeats say, as a seat needs it.
enum Saying {
    Nothing,
    Echo(Pattern),
    Http(Bytes, Answers),
    Frame(Box<frame::Frames>),
}

/// Bytes of an echoed heartbeat.
const ECHO_BYTES: usize = 16;
/// How often things are looked after that nothing else brings about: a ramp, and a hold.
const TICK: Duration = Duration::from_millis(1);
const TICK_HOLDING: Duration = Duration::from_millis(20);
/// The length of a step.
const STEP_NS: u64 = 1_000_000_000;

impl Hold {
    /// The hold of seat `seat`, below `config.seats`. It connects at once, tells `sink` when each connection was tried, and holds for
    /// the duration from the time that `gate` says.
    pub fn new(config: Arc<HoldConfig>, gate: Arc<Gate>, seat: u16, sink: Box<dyn HoldSink>) -> Hold {
        let count = (u32::from(seat)..config.connections).step_by(usize::from(config.seats)).count();
        let down = || Held {
            since_ns: 0,
            leg: None,
            beats: 0,
            state: State::Down,
            tried: false,
            reached: false,
            echo: frame::Echo::None,
            suspect: false,
        };
        let every = config.heartbeat.as_ref().map_or(Duration::ZERO, |heartbeat| heartbeat.every);
        let say = match config.heartbeat.as_ref().map(|heartbeat| &heartbeat.say) {
            None => Saying::Nothing,
            Some(Say::Echo) => Saying::Echo(Pattern::new(config.seed, ECHO_BYTES)),
            // Only the class of an answer counts: a page that changes is alive.
            Some(Say::Frame(frames)) => {
                Saying::Frame(Box::new(frame::Frames::new(*frames, every, config.seed, seat, config.seats)))
            }
            Some(Say::Http(request)) => Saying::Http(request.bytes.clone(), Answers::new(request, false)),
        };
        Hold {
            config,
            gate,
            seat,
            sink,
            phase: Phase::Opening,
            held: std::iter::repeat_with(down).take(count).collect(),
            by_leg: Vec::with_capacity(count),
            midway: HashMap::new(),
            say,
            beats: None,
            beat: 0,
            looked: 0,
            wake_ns: 0,
            next: 0,
            untried: count,
            again: VecDeque::new(),
            closed: 0,
            since_ns: 0,
            until_ns: 0,
            report: Report::default(),
            step: Box::default(),
            tick: None,
        }
    }

    fn begin(&mut self, io: &mut Io<'_, Hold>) {
        self.since_ns = io.now_ns();
        self.until_ns = self.since_ns + STEP_NS;
        if let Some(heartbeat) = self.config.heartbeat.as_ref().filter(|_| !self.held.is_empty()) {
            let every_ns = (heartbeat.every.as_nanos() as u64).max(1);
            // Seats begin a part of one place behind each other, so that all of them together are spread evenly too.
            let behind =
                every_ns / self.held.len() as u64 * u64::from(self.seat) / u64::from(self.config.seats);
            let seed = self.config.seed ^ u64::from(self.seat) << 32;
            let beats = Beats::new(self.since_ns + behind, every_ns, self.held.len() as u32, seed);
            self.beats = Some(if let Saying::Frame(_) = self.say { beats.drawn() } else { beats });
        }
        self.check_settled(io);
        self.connect_more(io);
        self.tick = Some(io.timer(TICK));
    }

    fn check_settled(&mut self, io: &mut Io<'_, Hold>) {
        if self.phase == Phase::Opening && self.untried == 0 {
            self.phase = Phase::Settled;
            self.report.at_ns = io.now_ns() - self.since_ns;
            self.sink.settled(&self.report);
        }
    }

    /// Looks after what nothing else brings about.
    fn look_after(&mut self, io: &mut Io<'_, Hold>) {
        let now_ns = io.now_ns();
        self.report.at_ns = now_ns - self.since_ns;
        match (self.phase, self.gate.begin_ns()) {
            (Phase::Over, _) => return,
            (Phase::Closing, _) => {}
            _ if self.gate.is_stopped() => self.end_hold(),
            (Phase::Settled, Some(begin_ns)) => {
                self.phase = Phase::Holding(begin_ns.saturating_add(self.config.duration.as_nanos() as u64));
            }
            (Phase::Holding(until_ns), _) if now_ns >= until_ns => self.end_hold(),
            _ => {}
        }
        if self.phase == Phase::Closing {
            self.close_more(io);
        } else {
            self.time_out(io);
            self.connect_more(io);
            self.beat_due(io);
            self.do_once(io);
        }
        while now_ns >= self.until_ns && self.phase != Phase::Closing && self.phase != Phase::Over {
            // Whole seconds of the seat's own time, so that those of all seats add up.
            self.step.to_ns = self.until_ns - self.since_ns;
            let from_ns = self.step.to_ns;
            self.sink.step(&self.report, &mut self.step);
            self.step.from_ns = from_ns;
            self.until_ns += STEP_NS;
        }
        let holding = matches!(self.phase, Phase::Settled | Phase::Holding(_)) && self.again.is_empty();
        let after = if holding { TICK_HOLDING } else { TICK };
        self.tick = (self.phase != Phase::Over).then(|| io.timer(after));
    }

    /// The hold is over: what is open is closed from now on.
    fn end_hold(&mut self) {
        self.step.to_ns = self.report.at_ns.max(self.step.from_ns + 1);
        let silences_ms = match &mut self.say {
            Saying::Frame(frames) => std::mem::take(&mut frames.silences_ms),
            _ => Vec::new(),
        };
        self.sink.over(&self.report, &mut self.step, silences_ms);
        self.phase = Phase::Closing;
    }

    fn index_of(&self, leg: Leg) -> Option<u32> {
        let index = *self.by_leg.get(leg.index())?;
        (self.held.get(index as usize)?.leg == Some(leg)).then_some(index)
    }
}

impl Service for Hold {
    type Session = ();
    type Note = Infallible;
    // All that comes is read at once.
    const INPUT_MAX: usize = 1 << 20;

    fn open(&mut self, origin: Origin, io: &mut Io<'_, Hold>) {
        debug_assert!(origin == Origin::Root, "nobody connects to a load");
        self.begin(io);
    }

    fn on(&mut self, (): &mut (), event: Event<'_, Hold>, io: &mut Io<'_, Hold>) -> Next {
        match event {
            Event::Timer(token) if Some(token) == self.tick => {
                self.look_after(io);
                if self.phase == Phase::Over && io.draining() {
                    return Next::Close;
                }
            }
            Event::Timer(_) => {
                self.wake_ns = 0;
                if self.phase != Phase::Closing && self.phase != Phase::Over {
                    self.beat_due(io);
                }
            }
            Event::Bytes(leg, input) => {
                if let Some(index) = self.index_of(leg) {
                    self.hear(index, input, io);
                }
            }
            Event::Opened(leg) => {
                if let Some(index) = self.index_of(leg) {
                    self.opened(index, io);
                    self.connect_more(io);
                }
            }
            Event::Eof(leg) => {
                if let Some(index) = self.index_of(leg) {
                    self.ended(index, |reasons| &mut reasons.closed, io);
                    io.close(leg);
                }
            }
            Event::Failed(leg, why) => {
                if let Some(index) = self.index_of(leg) {
                    self.failed(index, why, io);
                    if why == LegError::Refused || why == LegError::Timeout {
                        self.connect_more(io);
                    }
                }
            }
            // What is held goes in parts.
            Event::Drain(_) if self.phase == Phase::Closing => {}
            Event::Drain(_) => {
                if !matches!(self.phase, Phase::Closing | Phase::Over) {
                    self.report.at_ns = io.now_ns() - self.since_ns;
                    self.end_hold();
                }
                return Next::Close;
            }
            Event::Bound(..) | Event::Datagram(..) | Event::Drained(_) | Event::Done(..) => {}
            Event::Note(_) | Event::Wake => {}
        }
        Next::Stay
    }

    fn end(&mut self, (): (), _why: End) {}
}

//! The service of one seat: connections are opened, requests sent when they are due, answers timed, all of it accounted for.
//!
//! Every arrival ends as exactly one of: answered, failed with a name, dropped, overflowed. What is outstanding when the load ends is
//! waited for until its timeout. What is done is in files of their own: `connect`, `send`, `hear`, `time`.

use super::config::{Config, Gate, Pace, Talk};
use super::frame;
use super::http::Answers;
use super::line::{Line, State};
use super::pace::Pacer;
use super::pattern::Pattern;
use super::probe::Probe;
use super::record::Recorder;
use super::sink::Sink;
use super::sockets::step_ns;
use super::udp::{self, Messages};
use shard::{End, Event, Io, Leg, Next, Origin, Service, Token};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

/// The load of one seat.
pub struct Load {
    pub(super) config: Arc<Config>,
    pub(super) gate: Arc<Gate>,
    pub(super) seat: u16,
    pub(super) phase: Phase,
    pub(super) talk: Saying,
    pub(super) lines: Vec<Line>,
    /// The line of a leg, by the leg's index.
    pub(super) by_leg: Vec<u32>,
    /// Lines with room for a request, the one that waits longest first.
    pub(super) free: VecDeque<u32>,
    /// Lines from this one on have not begun to connect.
    pub(super) fresh: u32,
    /// Lines that are to connect again, and when.
    pub(super) down: BinaryHeap<Reverse<(u64, u32)>>,
    pub(super) connecting: usize,
    /// Since when connects are begun, for the ramp.
    pub(super) since_ns: u64,
    pub(super) untried: u32,
    pub(super) pacer: Option<Pacer>,
    /// What the exact deadline of the seat is set to.
    pub(super) wake_ns: u64,
    pub(super) outstanding: u64,
    pub(super) record: Recorder,
    pub(super) probe: Probe,
    pub(super) tick: Option<Token>,
    /// When that is to fire at the latest.
    pub(super) tick_ns: u64,
    pub(super) looked_ns: u64,
}

/// How far the load is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Connections are being opened, and then wait for the gate.
    Waiting,
    /// Requests are sent.
    Running,
    /// Nothing more is sent; answers are waited for.
    Ending,
    Over,
}

/// What is said, as one seat needs it.
pub(super) enum Saying {
    Echo(Pattern),
    Datagrams(Pattern, Vec<Messages>),
    Http(Answers),
    /// With the HELLO of each connection.
    Frame(Pattern, Vec<u8>),
}

/// How often things are looked after that nothing else brings about.
const TICK: Duration = Duration::from_millis(5);
const TICK_WAITING: Duration = Duration::from_millis(1);

impl Load {
    /// The load of seat `seat`, below `config.seats`. It connects at once, tells `sink` when that is done, and sends from the time that
    /// `gate` says.
    pub fn new(config: Arc<Config>, gate: Arc<Gate>, seat: u16, sink: Box<dyn Sink>) -> Load {
        let numbers = (u32::from(seat)..config.connections).step_by(usize::from(config.seats));
        let lines: Vec<Line> = numbers.map(|number| Line::new(number, config.pipeline.into())).collect();
        let pattern = |bytes| Pattern::new(config.seed, bytes);
        let talk = match &config.talk {
            Talk::Echo { bytes } => Saying::Echo(pattern(*bytes)),
            Talk::UdpEcho { bytes } => {
                assert!((udp::BYTES_MIN..=udp::BYTES_MAX).contains(bytes), "{bytes} bytes");
                let pattern = pattern(*bytes);
                let pipeline = config.pipeline.into();
                let all = lines.iter().map(|line| Messages::new(&pattern, line.number, pipeline)).collect();
                Saying::Datagrams(pattern, all)
            }
            Talk::Http(request) => Saying::Http(Answers::new(request, config.verify)),
            Talk::Frame { bytes } => Saying::Frame(pattern(*bytes), frame::hello()),
        };
        let step_ns = step_ns(config.duration);
        let steps = config.duration.as_nanos() as u64 / step_ns;
        let probe = match &config.pace {
            Pace::Open(arrivals) => {
                let expected = arrivals.expected(0, arrivals.ns()) / f64::from(config.seats);
                Probe::new(expected, config.seed ^ u64::from(seat))
            }
            Pace::Closed => Probe::default(),
        };
        Load {
            talk,
            untried: lines.len() as u32,
            fresh: 0,
            down: BinaryHeap::new(),
            free: VecDeque::with_capacity(lines.len() + 1),
            lines,
            by_leg: Vec::new(),
            config,
            gate,
            seat,
            phase: Phase::Waiting,
            connecting: 0,
            since_ns: 0,
            pacer: None,
            wake_ns: 0,
            outstanding: 0,
            record: Recorder::new(sink, step_ns, steps),
            probe,
            tick: None,
            tick_ns: u64::MAX,
            looked_ns: 0,
        }
    }

    pub(super) fn line_of(&self, leg: Leg) -> Option<u32> {
        let index = *self.by_leg.get(leg.index())?;
        (self.lines.get(index as usize)?.leg == Some(leg)).then_some(index)
    }

    pub(super) fn own(&mut self, leg: Leg, index: u32) {
        if self.by_leg.len() <= leg.index() {
            self.by_leg.resize(leg.index() + 1, u32::MAX);
        }
        self.by_leg[leg.index()] = index;
        self.lines[index as usize].leg = Some(leg);
    }
}

impl Service for Load {
    type Session = ();
    type Note = Infallible;
    // All that comes is read at once.
    const INPUT_MAX: usize = 1 << 20;

    fn open(&mut self, origin: Origin, io: &mut Io<'_, Load>) {
        debug_assert!(origin == Origin::Root, "nobody connects to a load");
        self.since_ns = io.now_ns();
        self.tick = Some(io.timer(TICK_WAITING));
        if self.lines.is_empty() {
            self.record.ready(0, 0);
        }
        self.connect_more(io);
    }

    fn on(&mut self, (): &mut (), event: Event<'_, Load>, io: &mut Io<'_, Load>) -> Next {
        self.probe.look(|leg| io.sent_ns(leg));
        self.record.tick(io.now_ns());
        match event {
            Event::Bytes(leg, input) => {
                if let Some(index) = self.line_of(leg) {
                    self.hear(index, input, io);
                    self.send_due(io);
                }
            }
            Event::Datagram(leg, packet) => {
                if let Some(index) = self.line_of(leg) {
                    self.datagram(index, &packet, io);
                    self.send_due(io);
                }
            }
            Event::Timer(token) if Some(token) == self.tick => {
                self.record.paused(io.now_ns(), io.now_ns().saturating_sub(self.tick_ns));
                self.look_after(io);
                self.send_due(io);
                let again = if self.phase == Phase::Waiting { TICK_WAITING } else { TICK };
                self.tick = (self.phase != Phase::Over).then(|| io.timer(again));
                // The wheel goes by whole milliseconds.
                self.tick_ns = io.now_ns() + again.as_nanos() as u64 + 1_000_000;
            }
            Event::Timer(_) => {
                self.wake_ns = 0;
                if self.phase == Phase::Waiting {
                    self.wait_for_gate(io);
                }
                self.send_due(io);
            }
            Event::Opened(leg) => {
                if let Some(index) = self.line_of(leg) {
                    self.opened(index, io);
                    self.connect_more(io);
                    self.send_due(io);
                }
            }
            Event::Bound(leg, listener) => {
                let index = u32::from(listener.0) / u32::from(self.config.seats);
                self.own(leg, index);
                self.lines[index as usize].state = State::Open;
                self.record.bound();
                self.tried(index);
            }
            Event::Drained(leg) => {
                if let Some(index) = self.line_of(leg) {
                    let line = &mut self.lines[index as usize];
                    (line.blocked, line.free_ns) = (false, io.now_ns());
                    self.has_room(index, io);
                    self.send_due(io);
                }
            }
            Event::Eof(leg) => {
                if let Some(index) = self.line_of(leg) {
                    self.eof(index, io);
                }
            }
            Event::Failed(leg, why) => {
                if let Some(index) = self.line_of(leg) {
                    self.lost(index, why, io);
                    self.send_due(io);
                }
            }
            Event::Drain(_) => {
                if self.phase != Phase::Over {
                    self.abandon(io);
                    self.end_load(io);
                }
                return Next::Close;
            }
            Event::Done(..) | Event::Note(_) | Event::Wake => {}
        }
        self.check_over(io);
        Next::Stay
    }

    fn end(&mut self, (): (), _why: End) {}
}

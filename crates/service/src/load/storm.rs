//! A load of frames over datagrams through weather of its own making: what becomes of each of them is counted.
//!
//! Frames are due at a steady rate, whatever the server does. One that finds no room in its client's window waits, and its time
//! counts from when it was due. Loss, duplication and reordering are made on this side, both ways, so that any server can be put
//! through them.

use crate::frame::udp::{CallerState, Client, Closed, Host, Moment, News, Odds, Weather};
use bytes::Bytes;
use hdrhistogram::Histogram;
use linux::Chunk;
use proto::frame::{Flags, Header, Hello, Kind};
use shard::random::Random;
use shard::{End, Event, Io, Leg, Next, Origin, Service};
use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::mpsc::Sender;
use std::time::Duration;

/// What is sent, how fast, and through what.
#[derive(Clone, Debug)]
pub struct Config {
    /// The server.
    pub target: SocketAddr,
    /// Sockets, each a client of its own. At least 1.
    pub clients: u32,
    /// Frames a second of all clients.
    pub rate_per_s: f64,
    /// How long frames are due.
    pub duration: Duration,
    /// Bytes of a payload, at least [`BYTES_MIN`].
    pub bytes: usize,
    /// Whether frames are to be delivered in their order.
    pub ordered: bool,
    /// Either way.
    pub odds: Odds,
    /// Of the weather.
    pub seed: u64,
}

/// Shortest payload: the number of the frame.
pub const BYTES_MIN: usize = 8;

/// What became of all frames.
#[derive(Clone, Debug)]
pub struct Report {
    /// Frames that a client took to send.
    pub frames: u64,
    /// Those that came back.
    pub answered: u64,
    /// Answers that came again to the one who uses the client.
    pub twice: u64,
    /// Answers that came behind a later one though order was asked.
    pub disordered: u64,
    /// Answers that were not what was sent.
    pub wrong: u64,
    /// Frames that were reported as given up and not answered.
    pub given_up: u64,
    /// Frames whose answer was reported not to come.
    pub no_answer: u64,
    /// Frames of conversations that ended before they were settled, which was reported.
    pub ended: u64,
    /// Frames of which nothing was said: lost silently.
    pub silent: u64,
    /// Frames that were due and never sent, for want of room in the windows.
    pub unsent: u64,
    /// Frames that clients sent again.
    pub retransmitted: u64,
    /// Clients whose server answered HELLO, and that ended otherwise than by GOAWAY.
    pub opened: u64,
    /// See `opened`.
    pub broken: u64,
    /// Datagrams dropped, doubled and held back on the way out, and on the way in.
    pub weather: [[u64; 3]; 2],
    /// From when a frame was due to its answer, in microseconds.
    pub response_us: Histogram<u64>,
}

impl Default for Report {
    fn default() -> Report {
        let response_us = Histogram::new(3).expect("three digits are within what it can");
        Report {
            frames: 0,
            answered: 0,
            twice: 0,
            disordered: 0,
            wrong: 0,
            given_up: 0,
            no_answer: 0,
            ended: 0,
            silent: 0,
            unsent: 0,
            retransmitted: 0,
            opened: 0,
            broken: 0,
            weather: [[0; 3]; 2],
            response_us,
        }
    }
}

/// The load of one seat.
pub struct Storm {
    config: Config,
    lines: Vec<Line>,
    bound: u32,
    /// Whose turn it is to send.
    turn: usize,
    began_ns: u64,
    due: u64,
    /// Frames that are due and wait for room, by when they were due.
    waiting: VecDeque<u64>,
    told: Option<Sender<Report>>,
}

struct Line {
    leg: Leg,
    client: Client,
    out: Weather,
    back: Weather,
    desk: Desk,
    /// When it is to be called, as it said last.
    due_ms: u64,
}

/// What a client says and is told.
struct Desk {
    out: Vec<Bytes>,
    first: Option<u32>,
    /// Of each frame: when it was due, and what became of it.
    frames: Vec<(u64, Fate)>,
    last: u32,
    bytes: usize,
    ordered: bool,
    number: u64,
    now_ns: u64,
    report: Report,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Open,
    Answered,
    GivenUp,
    NoAnswer,
}

impl Desk {
    fn frame(&mut self, seq: u32) -> Option<&mut (u64, Fate)> {
        let at = seq.wrapping_sub(self.first?);
        self.frames.get_mut(at as usize)
    }

    fn payload(&self, at: u32) -> Vec<u8> {
        let number = self.number << 32 | u64::from(at);
        let mut payload = number.to_be_bytes().to_vec();
        let mut random = Random::new(number);
        payload.extend(std::iter::repeat_with(|| random.next() as u8).take(self.bytes - BYTES_MIN));
        payload
    }

    fn answer(&mut self, header: Header, payload: &[u8]) {
        let at = header.seq.wrapping_sub(self.first.unwrap_or(header.seq));
        let (ordered, last, now_ns) = (self.ordered, self.last, self.now_ns);
        if self.payload(at) != payload {
            self.report.wrong += 1;
        }
        let Some(frame) = self.frame(header.seq) else {
            self.report.wrong += 1;
            return;
        };
        if frame.1 == Fate::Answered {
            self.report.twice += 1;
            return;
        }
        let (due_ns, _) = std::mem::replace(frame, (0, Fate::Answered));
        self.report.disordered += u64::from(ordered && at < last);
        self.last = at;
        self.report.response_us.record(now_ns.saturating_sub(due_ns) / 1_000).expect("it grows as it must");
    }
}

impl Host for Desk {
    fn send(&mut self, frame: Bytes) {
        self.out.push(frame);
    }

    fn news(&mut self, news: News<'_>) {
        let mut settle = |seq, fate| {
            if let Some(frame) = self.frame(seq)
                && frame.1 == Fate::Open
            {
                frame.1 = fate;
            }
        };
        match news {
            News::Opened(_) => self.report.opened += 1,
            News::Answer(header, payload) => self.answer(header, payload),
            News::GivenUp(seq) => settle(seq, Fate::GivenUp),
            News::NoAnswer(seq) => settle(seq, Fate::NoAnswer),
            News::Leaving => {}
            News::Closed(Closed::Left) => {}
            News::Closed(_) => self.report.broken += 1,
        }
    }
}

impl Storm {
    /// A load of one seat that says what became of it when it is over.
    pub fn new(config: Config, told: Sender<Report>) -> Storm {
        let (lines, waiting) = (Vec::new(), VecDeque::new());
        Storm { config, lines, bound: 0, turn: 0, began_ns: 0, due: 0, waiting, told: Some(told) }
    }

    fn bind(&mut self, leg: Leg, io: &mut Io<'_, Storm>) {
        let Config { odds, seed, bytes, ordered, .. } = self.config;
        let mut desk = Desk {
            out: Vec::new(),
            first: None,
            frames: Vec::new(),
            last: 0,
            bytes,
            ordered,
            number: self.bound.into(),
            now_ns: 0,
            report: Report::default(),
        };
        let client = Client::new(Hello::new(), io.random(), io.now().0, &mut desk);
        let [out, back] = [0, 1].map(|way| Weather::new(odds, seed ^ u64::from(self.bound) << 8 ^ way));
        self.lines.push(Line { leg, client, out, back, desk, due_ms: 0 });
        self.bound += 1;
        if self.bound == self.config.clients {
            io.timer(TICK);
        }
    }

    fn tick(&mut self, io: &mut Io<'_, Storm>) -> Next {
        let (now_ms, now_ns) = (io.now().0, io.now_ns());
        let greeted =
            |line: &Line| !matches!(line.client.state(), CallerState::Asking | CallerState::Proving);
        if self.began_ns == 0 && self.lines.iter().all(greeted) {
            self.began_ns = now_ns;
        }
        self.come_due(now_ns);
        self.send_waiting(io);
        for line in &mut self.lines {
            line.desk.now_ns = now_ns;
            if line.due_ms <= now_ms {
                let late_ms = if line.due_ms == 0 { 0 } else { now_ms - line.due_ms };
                // A tick may be as late as a tick.
                let moment =
                    Moment { now_ms, late_ms: late_ms.saturating_sub(1), behind: false, random: io.random() };
                line.client.on_time(moment, &mut line.desk);
            }
            line.flush(self.config.target, io);
        }
        if self.is_over(now_ns) {
            self.lines.iter_mut().for_each(|line| {
                line.client.leave(now_ms, &mut line.desk);
                line.flush(self.config.target, io);
            });
        }
        if self.lines.iter().all(|line| line.client.state() == CallerState::Closed) {
            self.tell();
            return Next::Close;
        }
        io.timer(TICK);
        Next::Stay
    }

    fn come_due(&mut self, now_ns: u64) {
        if self.began_ns == 0 {
            return;
        }
        let passed = Duration::from_nanos(now_ns - self.began_ns).min(self.config.duration);
        let due = (passed.as_secs_f64() * self.config.rate_per_s) as u64;
        while self.due < due {
            let at = self.due as f64 / self.config.rate_per_s * 1e9;
            self.waiting.push_back(self.began_ns + at as u64);
            self.due += 1;
        }
    }

    fn send_waiting(&mut self, io: &mut Io<'_, Storm>) {
        let flags =
            if self.config.ordered { Flags::ACK_WANTED.with(Flags::ORDERED) } else { Flags::ACK_WANTED };
        let lines = self.lines.len();
        let mut full = 0;
        while let Some(&due_ns) = self.waiting.front()
            && full < lines
        {
            self.turn = (self.turn + 1) % lines;
            let line = &mut self.lines[self.turn];
            let desk = &mut line.desk;
            let payload = desk.payload(desk.frames.len() as u32);
            match line.client.send((Kind::Data, flags), &payload, io.now().0, desk) {
                Ok(seq) => {
                    desk.first.get_or_insert(seq);
                    desk.frames.push((due_ns, Fate::Open));
                    self.waiting.pop_front();
                    full = 0;
                }
                Err(_) => full += 1,
            }
        }
    }

    /// All is sent and settled, or nobody can settle it any more.
    fn is_over(&self, now_ns: u64) -> bool {
        let since = now_ns.saturating_sub(self.began_ns);
        let all_due = self.began_ns > 0 && since >= self.config.duration.as_nanos() as u64;
        let settled = |line: &Line| {
            line.client.flying() == 0
                && line.desk.frames.iter().rev().take(1_024).all(|frame| frame.1 != Fate::Open)
        };
        let done = self.waiting.is_empty() && self.lines.iter().all(settled);
        all_due && (done || since >= (self.config.duration + PATIENCE).as_nanos() as u64)
    }

    fn tell(&mut self) {
        let mut sum = Report { unsent: self.waiting.len() as u64, ..Report::default() };
        for line in &self.lines {
            let report = &line.desk.report;
            let count = |fate| line.desk.frames.iter().filter(|frame| frame.1 == fate).count() as u64;
            let open = count(Fate::Open);
            sum.frames += line.desk.frames.len() as u64;
            sum.answered += count(Fate::Answered);
            sum.given_up += count(Fate::GivenUp);
            sum.no_answer += count(Fate::NoAnswer);
            // Who was told that the conversation is over was told of all that was open in it.
            *(if report.broken > 0 { &mut sum.ended } else { &mut sum.silent }) += open;
            sum.twice += report.twice;
            sum.disordered += report.disordered;
            sum.wrong += report.wrong;
            sum.opened += report.opened;
            sum.broken += report.broken;
            sum.retransmitted += line.client.retransmitted();
            for (sum, way) in sum.weather.iter_mut().zip([&line.out, &line.back]) {
                sum.iter_mut().zip(way.counts).for_each(|(sum, count)| *sum += count);
            }
            sum.response_us.add(&report.response_us).expect("both are made alike");
        }
        if let Some(told) = self.told.take() {
            // Nobody waits for it when the program ends.
            let _ = told.send(sum);
        }
    }
}

impl Line {
    /// What the client wishes to send sets out.
    fn flush(&mut self, target: SocketAddr, io: &mut Io<'_, Storm>) {
        let Line { leg, client, out, desk, due_ms, .. } = self;
        for frame in desk.out.drain(..) {
            // One that finds no room on its way is lost like any other.
            out.pass(frame, |frame| _ = io.send_to(*leg, target, None, Chunk::Shared(frame)));
        }
        *due_ms = client.due_ms().unwrap_or(u64::MAX);
    }

    fn hear(&mut self, bytes: &[u8], io: &mut Io<'_, Storm>) {
        let Line { client, back, desk, .. } = self;
        desk.now_ns = io.now_ns();
        back.pass(Bytes::copy_from_slice(bytes), |bytes| client.on_datagram(&bytes, io.now().0, desk));
    }
}

impl Service for Storm {
    type Session = ();
    type Note = Infallible;
    const INPUT_MAX: usize = 64 << 10;

    fn open(&mut self, _: Origin, _: &mut Io<'_, Storm>) {}

    fn on(&mut self, (): &mut (), event: Event<'_, Storm>, io: &mut Io<'_, Storm>) -> Next {
        match event {
            Event::Bound(leg, _) => self.bind(leg, io),
            Event::Datagram(leg, packet) => {
                if let Some(line) = self.lines.iter_mut().find(|line| line.leg == leg)
                    && packet.peer == self.config.target
                {
                    line.hear(packet.bytes(), io);
                    line.flush(self.config.target, io);
                    self.send_waiting(io);
                }
            }
            Event::Timer(_) => return self.tick(io),
            Event::Drain(_) => {
                self.tell();
                return Next::Close;
            }
            _ => {}
        }
        Next::Stay
    }

    fn end(&mut self, (): (), _: End) {}
}

/// How often is looked at what is due.
const TICK: Duration = Duration::from_millis(1);
/// How long after the last frame was due all must be settled: all tries of one take 5 s or, where round trips are long, 20.
const PATIENCE: Duration = Duration::from_secs(60);

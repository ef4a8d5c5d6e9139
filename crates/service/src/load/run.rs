//! The service of one seat: connections are opened, requests sent when they are due, answers timed, all of it accounted for.
//!
//! Every arrival ends as exactly one of: answered, failed with a name, dropped, overflowed. What is outstanding when the load ends is
//! waited for until its timeout.

use super::config::{CloseBy, Config, Gate, Late, Life, Pace, Talk};
use super::echo::{self, Window};
use super::http::Answers;
use super::line::{Line, Request, State};
use super::pace::Pacer;
use super::pattern::Pattern;
use super::probe::Probe;
use super::reader::Answer;
use super::record::{Failure, Recorder};
use super::sink::Sink;
use super::udp::Messages;
use shard::plan::{Listen, Transport};
use shard::{Connect, End, Event, Input, Io, Leg, LegError, Next, Origin, Packet, Service, Token};
use stats::schedule::Share;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

/// The load of one seat.
pub struct Load {
    config: Arc<Config>,
    gate: Arc<Gate>,
    seat: u16,
    phase: Phase,
    talk: Saying,
    lines: Vec<Line>,
    /// The line of a leg, by the leg's index.
    by_leg: Vec<u32>,
    /// Lines with room for a request, the one that waits longest first.
    free: VecDeque<u32>,
    /// Lines that are to connect, in no order.
    down: VecDeque<u32>,
    connecting: usize,
    /// Connects begun, and since when, for the ramp.
    begun: u64,
    since_ns: u64,
    untried: u32,
    pacer: Option<Pacer>,
    /// What the exact deadline of the seat is set to.
    wake_ns: u64,
    outstanding: u64,
    record: Recorder,
    probe: Probe,
    tick: Option<Token>,
    looked_ns: u64,
}

/// How far the load is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Connections are being opened, and then wait for the gate.
    Waiting,
    /// Requests are sent.
    Running,
    /// Nothing more is sent; answers are waited for.
    Ending,
    Over,
}

/// What is said, as one seat needs it.
enum Saying {
    Echo(Pattern),
    Datagrams(Pattern, Vec<Messages>),
    Http(Answers),
}

/// Connects of one seat that may be on their way at a time: a listener's queue is often no longer than 128 or 4096.
const CONNECTING_MAX: usize = 128;
/// After a failure a connection waits for so long, twice as long after each further one, at most this long.
const BACKOFF_NS: u64 = 10_000_000;
const BACKOFF_MAX_NS: u64 = 1_000_000_000;
/// How often things are looked after that nothing else brings about.
const TICK: Duration = Duration::from_millis(5);
const TICK_WAITING: Duration = Duration::from_millis(1);
/// An HTTP request up to this long is copied, a longer one is sent from where it stands.
const COPIED: usize = 2048;

/// The length of a step of the series, in nanoseconds: at most a second, and ten or a multiple of ten of them are the measured time.
pub fn step_ns(duration: Duration) -> u64 {
    let ns = duration.as_nanos() as u64;
    (ns / (10 * ns.div_ceil(10_000_000_000).max(1))).max(1)
}

/// Most bytes of output that one connection of a load queues: what `Plan::out_max` has to be at least.
pub fn out_max(config: &Config) -> usize {
    let bytes = match &config.talk {
        Talk::Echo { bytes } | Talk::UdpEcho { bytes } => *bytes,
        Talk::Http(request) => request.bytes.len(),
    };
    (2 * bytes * usize::from(config.pipeline)).clamp(256 << 10, 64 << 20)
}

/// The sockets of a load that has no connections: one datagram listener for each, on a port that the kernel chooses.
pub fn listeners(config: &Config) -> Vec<Listen> {
    if !matches!(config.talk, Talk::UdpEcho { .. }) {
        return Vec::new();
    }
    let any = |number: usize| match config.from.get(number % config.from.len().max(1)) {
        Some(from) => *from,
        None if config.target.is_ipv4() && config.target.ip().is_loopback() => Ipv4Addr::LOCALHOST.into(),
        None if config.target.is_ipv4() => Ipv4Addr::UNSPECIFIED.into(),
        None if config.target.ip().is_loopback() => Ipv6Addr::LOCALHOST.into(),
        None => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    let listen = |number: u32| Listen {
        transport: Transport::Udp,
        address: SocketAddr::new(any(number as usize), 0),
        v6only: true,
        seat: Some((number % u32::from(config.seats)) as u16),
        late: false,
    };
    (0..config.connections).map(listen).collect()
}

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
                assert!((super::udp::BYTES_MIN..=super::udp::BYTES_MAX).contains(bytes), "{bytes} bytes");
                let pattern = pattern(*bytes);
                let pipeline = config.pipeline.into();
                let all = lines.iter().map(|line| Messages::new(&pattern, line.number, pipeline)).collect();
                Saying::Datagrams(pattern, all)
            }
            Talk::Http(request) => Saying::Http(Answers::new(request, config.verify)),
        };
        let step_ns = step_ns(config.duration);
        let steps = config.duration.as_nanos() as u64 / step_ns;
        let closed = matches!(config.pace, Pace::Closed);
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
            down: (0..lines.len() as u32).collect(),
            free: VecDeque::with_capacity(lines.len() + 1),
            lines,
            by_leg: Vec::new(),
            config,
            gate,
            seat,
            phase: Phase::Waiting,
            connecting: 0,
            begun: 0,
            since_ns: 0,
            pacer: None,
            wake_ns: 0,
            outstanding: 0,
            record: Recorder::new(sink, step_ns, steps, closed),
            probe,
            tick: None,
            looked_ns: 0,
        }
    }

    fn line_of(&self, leg: Leg) -> Option<u32> {
        let index = *self.by_leg.get(leg.index())?;
        (self.lines.get(index as usize)?.leg == Some(leg)).then_some(index)
    }

    fn own(&mut self, leg: Leg, index: u32) {
        if self.by_leg.len() <= leg.index() {
            self.by_leg.resize(leg.index() + 1, u32::MAX);
        }
        self.by_leg[leg.index()] = index;
        self.lines[index as usize].leg = Some(leg);
    }

    // Connections.

    /// Connects what is to be connected, as far as the ramp and the bound of connects allow.
    fn connect_more(&mut self, io: &mut Io<'_, Load>) {
        if matches!(self.talk, Saying::Datagrams(..)) || self.phase == Phase::Over {
            return;
        }
        let now_ns = io.now_ns();
        let allowed = self.config.ramp_per_s.map_or(u64::MAX, |per_s| {
            let seconds = (now_ns - self.since_ns) as f64 / 1e9;
            (seconds * per_s / f64::from(self.config.seats)) as u64 + 1
        });
        for _ in 0..self.down.len() {
            let Some(index) = self.down.pop_front() else { break };
            let line = &self.lines[index as usize];
            // The ramp is for the first time; who comes back was counted.
            let waits = line.again_ns > now_ns || !line.tried && self.begun >= allowed;
            if waits || self.connecting >= CONNECTING_MAX {
                self.down.push_back(index);
            } else {
                self.begun += u64::from(!line.tried);
                self.connect(index, io);
            }
        }
    }

    fn connect(&mut self, index: u32, io: &mut Io<'_, Load>) {
        let number = self.lines[index as usize].number as usize;
        let from = self.config.from.get(number % self.config.from.len().max(1)).copied();
        let connect = Connect {
            to: self.config.target,
            from: from.map(|ip| SocketAddr::new(ip, 0)),
            deadline: self.config.timeout,
        };
        match io.connect(&connect) {
            Ok(leg) => {
                self.own(leg, index);
                self.lines[index as usize].state = State::Connecting(io.now_ns());
                self.connecting += 1;
            }
            Err(why) => self.not_connected(index, why, io),
        }
    }

    fn not_connected(&mut self, index: u32, why: LegError, io: &mut Io<'_, Load>) {
        if self.phase != Phase::Waiting {
            let counts = self.record.counts();
            match why {
                LegError::Timeout => counts.timeout += 1,
                _ => counts.refused += 1,
            }
        }
        self.tried(index);
        let line = &mut self.lines[index as usize];
        line.reset();
        line.again_ns = io.now_ns() + line.backoff_ns;
        line.backoff_ns = (2 * line.backoff_ns).clamp(BACKOFF_NS, BACKOFF_MAX_NS);
        self.down.push_back(index);
    }

    fn tried(&mut self, index: u32) {
        if !std::mem::replace(&mut self.lines[index as usize].tried, true) {
            self.untried -= 1;
            if self.untried == 0 {
                let opened = self.lines.iter().filter(|line| line.state == State::Open).count() as u32;
                self.record.ready(opened, self.lines.len() as u32 - opened);
            }
        }
    }

    fn opened(&mut self, index: u32, io: &mut Io<'_, Load>) {
        let now_ns = io.now_ns();
        let line = &mut self.lines[index as usize];
        let State::Connecting(since_ns) = line.state else { return };
        line.state = State::Open;
        line.backoff_ns = 0;
        line.free_ns = now_ns;
        (line.left, line.until_ns) = match self.config.life {
            Life::Keep => (u64::MAX, u64::MAX),
            Life::Churn(requests) => (requests.max(1), u64::MAX),
            Life::Time(life) => (u64::MAX, now_ns.saturating_add(life.as_nanos() as u64)),
        };
        self.connecting -= 1;
        self.record.connected(now_ns - since_ns);
        self.tried(index);
        self.has_room(index, io);
    }

    /// A connection has ended by itself. What was outstanding on it has failed.
    fn lost(&mut self, index: u32, why: LegError, io: &mut Io<'_, Load>) {
        let line = &mut self.lines[index as usize];
        if let State::Connecting(_) = line.state {
            self.connecting -= 1;
            return self.not_connected(index, why, io);
        }
        if line.left > 0 || !line.requests.is_empty() {
            self.record.counts().lost_connections += 1;
        } else {
            self.record.counts().ended += 1;
        }
        self.give_up(index, Failure::Reset, io);
        self.gone(index, io);
    }

    /// This side ends a connection.
    fn hang_up(&mut self, index: u32, by: CloseBy, io: &mut Io<'_, Load>) {
        if let Some(leg) = self.lines[index as usize].leg {
            match by {
                CloseBy::Fin => io.close(leg),
                CloseBy::Rst => io.abort(leg),
            }
        }
        self.gone(index, io);
    }

    fn gone(&mut self, index: u32, io: &mut Io<'_, Load>) {
        self.record.open = self.record.open.saturating_sub(1);
        let line = &mut self.lines[index as usize];
        line.reset();
        line.again_ns = io.now_ns() + line.backoff_ns;
        // One that closes at once, always, is not asked as fast as it can close.
        line.backoff_ns =
            if line.next == 0 { (2 * line.backoff_ns).clamp(BACKOFF_NS, BACKOFF_MAX_NS) } else { 0 };
        self.down.push_back(index);
        if self.phase == Phase::Running {
            self.connect_more(io);
        }
    }

    /// Every request that is outstanding on a connection has failed.
    fn give_up(&mut self, index: u32, why: Failure, io: &mut Io<'_, Load>) {
        let now_ns = io.now_ns();
        let line = &mut self.lines[index as usize];
        if let Some(leg) = line.leg {
            line.stamp(io.sent_ns(leg));
        }
        let midway = line.reader.is_midway();
        let least_ns = if why == Failure::Timeout { self.config.timeout.as_nanos() as u64 } else { 0 };
        let mut first = true;
        while let Some(request) = line.pop() {
            if request.intended_ns != super::udp::DONE {
                self.outstanding -= 1;
                let why = if first && midway && why == Failure::Reset { Failure::Short } else { why };
                self.record.failed(now_ns, &request, why, least_ns);
            }
            first = false;
        }
    }

    // Sending.

    /// A connection may have room for a request.
    fn has_room(&mut self, index: u32, io: &mut Io<'_, Load>) {
        let pipeline = usize::from(self.config.pipeline);
        let line = &mut self.lines[index as usize];
        if self.phase != Phase::Running || !line.is_free(pipeline) {
            return;
        }
        if matches!(self.config.pace, Pace::Closed) {
            return self.send_closed(index, io);
        }
        if !std::mem::replace(&mut line.queued, true) {
            self.free.push_back(index);
        }
    }

    /// Sends as many requests as a connection of a closed loop has room for.
    #[inline]
    fn send_closed(&mut self, index: u32, io: &mut Io<'_, Load>) {
        let now_ns = io.now_ns();
        let pipeline = usize::from(self.config.pipeline);
        while self.lines[index as usize].is_free(pipeline) {
            let request = Request { intended_ns: now_ns, due_ns: now_ns, sent_ns: 0 };
            if !self.write(index, request, io) {
                return;
            }
            if let Some(counts) = self.record.counts_of(now_ns) {
                counts.due += 1;
            }
        }
    }

    /// Sends what is due as far as there are connections free.
    #[inline]
    fn send_due(&mut self, io: &mut Io<'_, Load>) {
        let now_ns = io.now_ns();
        let Some(pacer) = &mut self.pacer else { return };
        let mut next = pacer.next_ns();
        while let Some(intended_ns) = next.filter(|ns| *ns <= now_ns) {
            let Some(index) = self.next_free() else {
                if self.config.late == Late::Queue {
                    return;
                }
                self.pass(intended_ns);
                if let Some(counts) = self.record.counts_of(intended_ns) {
                    counts.dropped += 1;
                }
                next = self.pacer.as_ref().and_then(Pacer::next_ns);
                continue;
            };
            let free_ns = self.lines[index as usize].free_ns;
            let request = Request { intended_ns, due_ns: intended_ns.max(free_ns), sent_ns: 0 };
            let idle = self.lines[index as usize].requests.is_empty();
            if self.write(index, request, io) {
                if let Some(counts) = self.record.counts_of(intended_ns) {
                    counts.waited += u64::from(free_ns > intended_ns);
                }
                if let Some(leg) = self.lines[index as usize].leg {
                    self.probe.written(leg, intended_ns, now_ns, idle && free_ns <= intended_ns);
                }
                self.pass(intended_ns);
                self.has_room(index, io);
            }
            next = self.pacer.as_ref().and_then(Pacer::next_ns);
        }
        if let Some(next) = next.filter(|next| *next != self.wake_ns) {
            self.wake_ns = next;
            io.wake_at_ns(next);
        }
    }

    /// An arrival is taken from the schedule.
    #[inline]
    fn pass(&mut self, intended_ns: u64) {
        if let Some(pacer) = &mut self.pacer {
            pacer.take();
        }
        if let Some(counts) = self.record.counts_of(intended_ns) {
            counts.due += 1;
        }
    }

    #[inline]
    fn next_free(&mut self) -> Option<u32> {
        while let Some(index) = self.free.pop_front() {
            let line = &mut self.lines[index as usize];
            line.queued = false;
            if line.is_free(self.config.pipeline.into()) {
                return Some(index);
            }
        }
        None
    }

    /// Writes a request. `false`: there was no room; the connection is free again when there is.
    #[inline]
    fn write(&mut self, index: u32, request: Request, io: &mut Io<'_, Load>) -> bool {
        let line = &mut self.lines[index as usize];
        let Some(leg) = line.leg else { return false };
        line.stamp(io.sent_ns(leg));
        let now_ns = io.now_ns();
        let (written, bytes) = match (&self.talk, &self.config.talk) {
            (Saying::Echo(pattern), _) => {
                (pattern.write(line.number, line.next, io.out(leg)), pattern.bytes())
            }
            (Saying::Http(_), Talk::Http(http)) if http.bytes.len() <= COPIED => {
                (io.out(leg).copy(&http.bytes), http.bytes.len())
            }
            (Saying::Http(_), Talk::Http(http)) => {
                let out = io.out(leg);
                // One that is longer than the whole output goes by copy, when that is empty.
                let written = match out.room() >= http.bytes.len() {
                    true => out.push(linux::Chunk::Shared(http.bytes.clone())).is_ok(),
                    false => out.copy(&http.bytes),
                };
                (written, http.bytes.len())
            }
            (Saying::Datagrams(pattern, all), _) => {
                let chunk = all[index as usize].chunk(line.next);
                (io.send_to(leg, self.config.target, None, chunk).is_ok(), pattern.bytes())
            }
            (Saying::Http(_), _) => unreachable!("what is said is what the configuration says"),
        };
        if !written {
            line.blocked = !matches!(self.talk, Saying::Datagrams(..));
            return false;
        }
        line.push(request, now_ns);
        self.outstanding += 1;
        if let Some(counts) = self.record.counts_of(request.intended_ns) {
            counts.sent += 1;
            counts.bytes_out += bytes as u64;
        }
        true
    }

    // Answers.

    #[inline]
    fn hear(&mut self, index: u32, mut input: Input<'_>, io: &mut Io<'_, Load>) {
        let now_ns = io.now_ns();
        let Load { lines, record, talk, config, outstanding, .. } = self;
        let line = &mut lines[index as usize];
        if let Some(leg) = line.leg {
            line.stamp(io.sent_ns(leg));
        }
        let full = line.requests.len() == usize::from(config.pipeline);
        if !line.reader.is_midway() {
            line.first_ns = now_ns;
        }
        let mut reader = std::mem::take(&mut line.reader);
        let (mut garbage, mut bytes) = (false, 0);
        for piece in input.chunks() {
            bytes += piece.len() as u64;
            let window =
                Window { connection: line.number, next: line.next, outstanding: line.requests.len() as u64 };
            let ended = |answer: Answer| {
                if answer == Answer::Garbage {
                    garbage = true;
                } else {
                    ended(line, record, outstanding, answer, now_ns);
                }
            };
            match talk {
                Saying::Echo(pattern) => {
                    echo::read(&mut reader, pattern, window, piece, config.verify, ended);
                }
                Saying::Http(answers) => {
                    answers.read(&mut reader, window.outstanding as usize, piece, now_ns, ended);
                }
                Saying::Datagrams(..) => unreachable!("datagrams come by themselves"),
            }
            if garbage {
                break;
            }
        }
        line.reader = reader;
        let counts = record.counts();
        counts.bytes_in += bytes;
        counts.checked_bytes += if config.verify { bytes } else { 0 };
        let len = input.len();
        input.skip(len);
        if garbage {
            self.record.counts().corrupt += 1;
            self.give_up(index, Failure::Mismatch, io);
            return self.hang_up(index, CloseBy::Rst, io);
        }
        self.answered(index, full, io);
    }

    /// Answers came on a connection: it may have room again, or be at the end of its life.
    #[inline]
    fn answered(&mut self, index: u32, was_full: bool, io: &mut Io<'_, Load>) {
        let line = &mut self.lines[index as usize];
        if was_full {
            line.free_ns = io.now_ns();
        }
        if line.left == 0 && line.requests.is_empty() {
            if line.state == State::Open {
                self.record.counts().ended += 1;
                self.hang_up(index, self.config.close, io);
            }
            return;
        }
        self.has_room(index, io);
    }

    fn datagram(&mut self, index: u32, packet: &Packet<'_>, io: &mut Io<'_, Load>) {
        let now_ns = io.now_ns();
        let counts = self.record.counts();
        counts.bytes_in += packet.bytes().len() as u64;
        if packet.peer != self.config.target {
            counts.extra += packet.bytes().len() as u64;
            return;
        }
        let line = &mut self.lines[index as usize];
        let full = line.requests.len() == usize::from(self.config.pipeline);
        if let Some(leg) = line.leg {
            line.stamp(io.sent_ns(leg));
        }
        let Saying::Datagrams(_, all) = &self.talk else { return };
        let (answer, request) = all[index as usize].read(line, packet.bytes(), self.config.verify);
        counts.checked_bytes += if self.config.verify { packet.bytes().len() as u64 } else { 0 };
        match answer {
            Answer::Extra(bytes) => counts.extra += bytes,
            Answer::Duplicated => counts.duplicated += 1,
            Answer::Corrupt => counts.corrupt += 1,
            Answer::Reordered => counts.reordered += 1,
            _ => {}
        }
        if let Some(request) = request {
            self.outstanding -= 1;
            if answer == Answer::Corrupt {
                self.record.failed(now_ns, &request, Failure::Mismatch, 0);
            } else {
                self.record.answered(now_ns, &request, now_ns);
            }
        }
        self.answered(index, full, io);
    }

    // Time.

    /// Looks after what nothing else brings about.
    fn look_after(&mut self, io: &mut Io<'_, Load>) {
        let now_ns = io.now_ns();
        self.record.tick(now_ns);
        if self.gate.is_stopped() {
            self.stop(now_ns);
        }
        match self.phase {
            Phase::Waiting => self.wait_for_gate(io),
            Phase::Running if self.is_sent(now_ns) => self.phase = Phase::Ending,
            _ => {}
        }
        self.connect_more(io);
        let timeout_ns = self.config.timeout.as_nanos() as u64;
        if now_ns >= self.looked_ns + (timeout_ns / 20).clamp(1_000_000, 100_000_000) {
            self.looked_ns = now_ns;
            self.time_out(timeout_ns, io);
        }
        if let Life::Time(_) = self.config.life {
            self.retire(io);
        }
    }

    fn wait_for_gate(&mut self, io: &mut Io<'_, Load>) {
        let Some(begin_ns) = self.gate.begin_ns().filter(|ns| *ns <= io.now_ns()) else { return };
        self.phase = Phase::Running;
        self.record.begin(begin_ns + self.config.warmup.as_nanos() as u64);
        if let Pace::Open(arrivals) = &self.config.pace {
            let share = Share { index: self.seat.into(), of: self.config.seats.into() };
            self.pacer = Some(Pacer::new(arrivals.share(share), begin_ns));
            // They were free all the time.
            self.lines.iter_mut().for_each(|line| line.free_ns = line.free_ns.min(begin_ns));
        }
        (0..self.lines.len() as u32).for_each(|index| self.has_room(index, io));
    }

    fn stop(&mut self, now_ns: u64) {
        if self.phase == Phase::Running {
            self.record.cut(now_ns);
            if let Some(pacer) = &mut self.pacer {
                pacer.cut(now_ns);
            }
        } else if self.phase == Phase::Waiting {
            self.phase = Phase::Ending;
        }
    }

    /// Whether nothing more is to be sent.
    fn is_sent(&self, now_ns: u64) -> bool {
        match &self.pacer {
            Some(pacer) => pacer.next_ns().is_none(),
            None => now_ns >= self.record.end_ns(),
        }
    }

    /// Gives up what has waited for too long: for an answer, or for a connection.
    fn time_out(&mut self, timeout_ns: u64, io: &mut Io<'_, Load>) {
        let now_ns = io.now_ns();
        for index in 0..self.lines.len() as u32 {
            let line = &self.lines[index as usize];
            let Some(oldest) = line.requests.front() else { continue };
            if oldest.due_ns.saturating_add(timeout_ns) > now_ns {
                continue;
            }
            if matches!(self.talk, Saying::Datagrams(..)) {
                self.lose(index, timeout_ns, io);
            } else {
                // What was asked behind it on this connection will not be answered either.
                self.give_up(index, Failure::Timeout, io);
                self.hang_up(index, CloseBy::Rst, io);
            }
        }
        while let Some(pacer) = self.pacer.as_mut() {
            let Some(intended_ns) = pacer.next_ns().filter(|ns| *ns <= now_ns) else { break };
            let late = intended_ns.saturating_add(timeout_ns) <= now_ns;
            let over = pacer.waiting(now_ns) > self.config.waiting_max;
            if !late && !over {
                break;
            }
            let request = Request { intended_ns, due_ns: intended_ns, sent_ns: 0 };
            self.pass(intended_ns);
            self.probe.skipped();
            match self.record.counts_of(intended_ns) {
                Some(counts) if !late => counts.overflowed += 1,
                _ => self.record.failed(now_ns, &request, Failure::Timeout, timeout_ns),
            }
        }
    }

    /// Datagrams that were not answered in time are lost.
    fn lose(&mut self, index: u32, timeout_ns: u64, io: &mut Io<'_, Load>) {
        let now_ns = io.now_ns();
        let line = &mut self.lines[index as usize];
        let full = line.requests.len() == usize::from(self.config.pipeline);
        while let Some(oldest) = line.requests.front().copied() {
            if oldest.due_ns.saturating_add(timeout_ns) > now_ns {
                break;
            }
            let request = line.take(0);
            self.outstanding -= 1;
            if let Some(counts) = self.record.counts_of(request.intended_ns) {
                counts.lost += 1;
            }
            self.record.failed(now_ns, &request, Failure::Timeout, timeout_ns);
        }
        self.answered(index, full, io);
    }

    /// Connections that have lived long enough begin nothing more.
    fn retire(&mut self, io: &mut Io<'_, Load>) {
        let now_ns = io.now_ns();
        for index in 0..self.lines.len() as u32 {
            let line = &mut self.lines[index as usize];
            if line.state == State::Open && line.until_ns <= now_ns && line.left > 0 {
                line.left = 0;
                self.answered(index, false, io);
            }
        }
    }

    /// Ends the load when nothing is left of it.
    fn check_over(&mut self, io: &mut Io<'_, Load>) {
        if self.phase == Phase::Running && self.is_sent(io.now_ns()) {
            self.phase = Phase::Ending;
        }
        if self.phase == Phase::Ending && self.outstanding == 0 {
            self.end_load(io);
        }
    }

    fn end_load(&mut self, io: &mut Io<'_, Load>) {
        self.phase = Phase::Over;
        self.record.over(io.now_ns(), self.probe.take());
        for line in &mut self.lines {
            match (line.leg, self.config.close) {
                (Some(_), _) if matches!(self.talk, Saying::Datagrams(..)) => {}
                (Some(leg), CloseBy::Fin) => io.close(leg),
                (Some(leg), CloseBy::Rst) => io.abort(leg),
                (None, _) => {}
            }
            line.leg = None;
        }
    }
}

/// Accounts for one answer of a stream.
#[inline]
fn ended(line: &mut Line, record: &mut Recorder, outstanding: &mut u64, answer: Answer, now_ns: u64) {
    match answer {
        Answer::Closing => return line.left = 0,
        Answer::Duplicated => return record.counts().duplicated += 1,
        Answer::Extra(bytes) => return record.counts().extra += bytes,
        _ => {}
    }
    let first_ns = std::mem::replace(&mut line.first_ns, now_ns);
    let Some(request) = line.pop() else { return };
    *outstanding -= 1;
    if let Some(counts) = record.counts_of(request.intended_ns) {
        match answer {
            Answer::Corrupt => counts.corrupt += 1,
            Answer::Reordered => counts.reordered += 1,
            Answer::Good(class) | Answer::Status(class) => match class {
                1 => counts.status_1xx += 1,
                2 => counts.status_2xx += 1,
                3 => counts.status_3xx += 1,
                4 => counts.status_4xx += 1,
                5 => counts.status_5xx += 1,
                _ => {}
            },
            _ => {}
        }
    }
    match answer {
        Answer::Corrupt | Answer::Reordered => record.failed(now_ns, &request, Failure::Mismatch, 0),
        Answer::Status(_) => record.failed(now_ns, &request, Failure::Status, 0),
        _ => record.answered(now_ns, &request, first_ns),
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
                self.look_after(io);
                self.send_due(io);
                let again = if self.phase == Phase::Waiting { TICK_WAITING } else { TICK };
                self.tick = (self.phase != Phase::Over).then(|| io.timer(again));
            }
            Event::Timer(_) => {
                self.wake_ns = 0;
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
                self.tried(index);
            }
            Event::Drained(leg) => {
                if let Some(index) = self.line_of(leg) {
                    self.lines[index as usize].blocked = false;
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

impl Load {
    /// The peer finished sending.
    fn eof(&mut self, index: u32, io: &mut Io<'_, Load>) {
        let now_ns = io.now_ns();
        let Load { lines, record, talk, outstanding, .. } = self;
        let line = &mut lines[index as usize];
        if let Saying::Http(answers) = talk {
            let mut reader = std::mem::take(&mut line.reader);
            answers.end(&mut reader, now_ns, |answer| ended(line, record, outstanding, answer, now_ns));
            line.reader = reader;
        }
        let leg = line.leg;
        self.lost(index, LegError::Reset, io);
        if let Some(leg) = leg {
            io.close(leg);
        }
        self.send_due(io);
    }
}

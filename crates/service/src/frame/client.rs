//! A client of the framed protocol, as a part of a session on any seat: one connection that comes back by itself.
//!
//! ```text
//! away --wait--> connecting --Opened--> greeting --HELLO--> open --GOAWAY--> leaving
//!  ^                 |                      |                 |                 |
//!  \_________________\______________________\_________________\_________________/   lost; then `ended` if it was told to end
//! ```
//!
//! Its session gives it the events of its leg and its timer ([`Client::concerns`]) and is told what came of them ([`Told`]).
//! A request waits in a bounded queue while there is no connection, and in it until its deadline. What was sent when a connection is
//! lost is told as lost and never sent again: nobody knows whether it was done. Heartbeats are those of
//! [`heartbeat`](proto::frame::heartbeat), and whether the server lives is judged by the same rules as in its session.
//!
//! - `client/hear.rs`: what comes from the server
//! - `client/backoff.rs`: how long it stays away

mod backoff;
mod hear;

pub use backoff::Backoff;

use super::ear::Ear;
use bytes::Bytes;
use linux::Chunk;
use proto::frame::heartbeat::Beat;
use proto::frame::{
    Agreed, Body, CRC_BYTES, Conversation, FRAME_BYTES_MAX, Flags, HEADER_BYTES, Header, Heard, Hello, Kind,
    Pace, Refusal, Role, State as Talk, sum, write,
};
use shard::{Connect, Event, Io, Leg, LegError, Service, Tick, Token};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// What a client wants. Shared by many.
#[derive(Clone, Debug)]
pub struct Config {
    /// The server.
    pub to: SocketAddr,
    /// The address to come from; `None` leaves it to the kernel.
    pub from: Option<SocketAddr>,
    /// How long a connect may take, then HELLO, and in the end the server's close.
    pub connect: Duration,
    /// The heartbeat's interval to ask for; `None` leaves it to the server.
    pub heartbeat: Option<Duration>,
    /// Who it is, at most 64 bytes.
    pub id: Vec<u8>,
    /// Requests have a checksum.
    pub crc: bool,
    /// Requests that wait, or were sent and are neither answered nor late, at most. Further ones are refused.
    pub requests_max: usize,
    /// Bytes of payload that wait, at most.
    pub waiting_bytes_max: usize,
    /// How long it stays away between two tries.
    pub backoff: Backoff,
}

impl Config {
    /// A client of `to`: 5 s to connect, the server's heartbeat, no checksums, 1,024 requests and 1 MiB waiting.
    pub fn new(to: SocketAddr) -> Config {
        Config {
            to,
            from: None,
            connect: Duration::from_secs(5),
            heartbeat: None,
            id: Vec::new(),
            crc: false,
            requests_max: 1024,
            waiting_bytes_max: 1 << 20,
            backoff: Backoff::default(),
        }
    }
}

/// Name of a request of one client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ticket(pub u64);

/// What a client's session is told.
#[derive(Debug, PartialEq)]
pub enum Told<'a> {
    /// The server was greeted: requests go out.
    Up(Agreed),
    /// The connection is gone. It is tried again after this wait; `None` is the end of the client.
    Down(Why, Option<Duration>),
    /// A piece of an answer; `left` bytes of it are still to come, 0 with the last piece. Until then it may still fail.
    Answer(Ticket, &'a [u8], u32),
    /// A request comes to nothing, or nobody will know.
    Failed(Ticket, Fate),
}

/// Why a connection is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// It was refused, timed out, was reset, or there was no room for it.
    Leg(LegError),
    /// The server finished sending.
    Eof,
    /// The server said ERROR with this code.
    Error(u32),
    /// The server said something that is not the protocol.
    Refused(Refusal),
    /// The server was silent for as many heartbeats as agreed.
    Silent,
    /// The server did not answer HELLO in time.
    NoHello,
    /// The server left with GOAWAY, or this client did.
    Left,
}

/// What became of a request that has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Its deadline passed before the end of its answer. If it was sent, it may have been done.
    Late,
    /// The connection went after it was sent: it may have been done.
    Lost,
    /// It was not sent: the client ends, or the server that was found takes none so long.
    Unsent,
}

/// Why a request is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// Too many wait already.
    Full,
    /// It is longer than the server takes.
    TooLong,
    /// The client has ended, or is about to.
    Ended,
}

/// One client.
pub struct Client {
    config: Arc<Config>,
    leg: Option<Leg>,
    conversation: Conversation,
    heard: Heard,
    pace: Pace,
    /// See [`Ear`].
    looks: u8,
    payload_bytes_max: u32,
    /// The wait before the last try; `None` after a good connection.
    waited: Option<Duration>,
    /// When the state is to be looked at: the end of a wait, HELLO's time, the next beat.
    look_at: Tick,
    alarm: Option<(Token, Tick)>,
    seq: u32,
    tickets: u64,
    waiting: VecDeque<Waiting>,
    waiting_bytes: usize,
    asked: VecDeque<Asked>,
    /// What is left of the frame that is being sent, and its sum.
    sending: Option<(Bytes, Option<Bytes>)>,
    /// The answer that is being read, and the request that it is the answer of, unless nobody waits for it any more.
    answer: Option<(Option<Asked>, Body)>,
    ending: bool,
    ended: bool,
}

struct Waiting {
    ticket: Ticket,
    kind: Kind,
    payload: Bytes,
    due: Tick,
}

/// A request that was sent. Once it is late nobody knows it any more, and its answer is read and dropped.
struct Asked {
    seq: u32,
    ticket: Ticket,
    due: Tick,
}

impl Client {
    /// A client that is not connected yet; see [`Client::start`].
    pub fn new(config: Arc<Config>) -> Client {
        Client {
            config,
            leg: None,
            conversation: Conversation::new(Role::Client),
            heard: Heard::at(0),
            pace: Pace::default(),
            looks: 0,
            payload_bytes_max: FRAME_BYTES_MAX,
            waited: None,
            look_at: Tick(u64::MAX),
            alarm: None,
            seq: 0,
            tickets: 0,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            asked: VecDeque::new(),
            sending: None,
            answer: None,
            ending: false,
            ended: false,
        }
    }

    /// Connects, after a wait of the caller's choice: who starts many of them spreads them.
    pub fn start<S: Service>(&mut self, after: Duration, io: &mut Io<'_, S>) {
        self.look_at = later(io.now(), after);
        self.arm(io);
    }

    /// Whether an event is this client's. Those of its leg, and its timer.
    pub fn concerns<S: Service>(&self, event: &Event<'_, S>) -> bool {
        match event {
            Event::Opened(leg)
            | Event::Bytes(leg, _)
            | Event::Drained(leg)
            | Event::Eof(leg)
            | Event::Failed(leg, _) => self.leg == Some(*leg),
            Event::Timer(timer) => self.timer() == Some(*timer),
            _ => false,
        }
    }

    /// Its leg, while it has one: for who keeps many clients in a table by [`Leg::index`].
    pub fn leg(&self) -> Option<Leg> {
        self.leg
    }

    /// Its one timer, as long as it is not ended. It changes with each call.
    pub fn timer(&self) -> Option<Token> {
        self.alarm.map(|(timer, _)| timer)
    }

    /// Whether requests go out at once.
    pub fn is_up(&self) -> bool {
        self.conversation.state() == Talk::Open && self.leg.is_some()
    }

    /// Whether it is over: nothing of it is left, and nothing is told any more.
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    /// Takes a request: sent now, or when there is a connection and room. Its answer is told, or its failure by its deadline.
    pub fn ask<S: Service>(
        &mut self,
        kind: Kind,
        payload: Bytes,
        deadline: Duration,
        io: &mut Io<'_, S>,
    ) -> Result<Ticket, Refused> {
        if self.ended || self.ending {
            return Err(Refused::Ended);
        }
        if kind.is_control() || payload.len() > self.payload_bytes_max as usize {
            return Err(Refused::TooLong);
        }
        let full = self.waiting.len() + self.asked.len() >= self.config.requests_max;
        if full || self.waiting_bytes + payload.len() > self.config.waiting_bytes_max {
            return Err(Refused::Full);
        }
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        self.waiting_bytes += payload.len();
        self.waiting.push_back(Waiting { ticket, kind, payload, due: later(io.now(), deadline) });
        self.pour(io);
        self.arm(io);
        Ok(ticket)
    }

    /// Ends it: what was sent is waited for, what was not fails, then GOAWAY.
    pub fn leave<S: Service>(&mut self, io: &mut Io<'_, S>, told: &mut impl FnMut(Told<'_>)) {
        self.ending = true;
        while let Some(waiting) = self.waiting.pop_front() {
            told(Told::Failed(waiting.ticket, Fate::Unsent));
        }
        self.waiting_bytes = 0;
        if !self.is_up() && self.conversation.state() != Talk::Leaving {
            self.lose(Why::Left, io, told);
        }
        self.depart(io);
        self.arm(io);
    }

    /// Handles an event that [concerns](Client::concerns) it.
    pub fn on<S: Service>(
        &mut self,
        event: Event<'_, S>,
        io: &mut Io<'_, S>,
        told: &mut impl FnMut(Told<'_>),
    ) {
        match event {
            Event::Opened(_) => self.greet(io),
            Event::Bytes(_, input) => self.hear(input, io, told),
            Event::Drained(_) => self.pour(io),
            Event::Eof(_) => {
                let left = self.conversation.state() >= Talk::Leaving;
                self.lose(if left { Why::Left } else { Why::Eof }, io, told);
            }
            Event::Failed(_, why) => {
                self.leg = None;
                self.lose(Why::Leg(why), io, told);
            }
            Event::Timer(_) => {
                self.alarm = None;
                self.expire(io.now(), told);
                if io.now() >= self.look_at {
                    self.look(io, told);
                }
            }
            _ => {}
        }
        self.depart(io);
        self.arm(io);
    }

    fn greet<S: Service>(&mut self, io: &mut Io<'_, S>) {
        let Some(leg) = self.leg else { return };
        let heartbeat = self.config.heartbeat.map_or(0, |heartbeat| heartbeat.as_millis() as u32);
        let hello = Hello { heartbeat_ms: heartbeat, client_id: self.config.id.clone(), ..Hello::new() };
        io.out(leg).write(HELLO_BYTES, |to| write(to, Kind::Hello, Flags::NONE, 0, &hello));
        self.look_at = later(io.now(), self.config.connect);
    }

    /// A wait is over, or the server's HELLO or its close late, or it is time for a beat.
    fn look<S: Service>(&mut self, io: &mut Io<'_, S>, told: &mut impl FnMut(Told<'_>)) {
        let Some(leg) = self.leg else { return self.connect(io, told) };
        let late_ms = io.now().0 - self.look_at.0;
        let mut ear = Ear { leg, heard: &mut self.heard, pace: self.pace, looks: &mut self.looks };
        match self.conversation.state() {
            Talk::Greeting => {
                return match ear.look_for_hello(late_ms, io) {
                    Some(ms) => self.look_in(ms, io),
                    None => self.lose(Why::NoHello, io, told),
                };
            }
            // It was told that nothing more comes, and does not close.
            Talk::Closed => return self.lose(Why::Left, io, told),
            Talk::Open | Talk::Leaving => {}
        }
        match ear.look(late_ms, io) {
            Beat::Wait(ms) | Beat::Postpone(ms) => self.look_in(ms, io),
            Beat::Ping(ms) => {
                if self.sending.is_none() && io.room(leg) >= HEADER_BYTES {
                    io.out(leg).copy(&Header::new(Kind::Ping, 0, 0).to_bytes());
                }
                self.look_in(ms, io);
            }
            Beat::Dead => {
                io.abort(leg);
                self.lose(Why::Silent, io, told);
            }
        }
    }

    fn look_in<S: Service>(&mut self, ms: u32, io: &mut Io<'_, S>) {
        self.look_at = Tick(io.now().0 + u64::from(ms));
    }

    fn connect<S: Service>(&mut self, io: &mut Io<'_, S>, told: &mut impl FnMut(Told<'_>)) {
        let Config { to, from, connect, .. } = *self.config;
        (self.conversation, self.looks) = (Conversation::new(Role::Client), 0);
        match io.connect(&Connect { to, from, deadline: connect }) {
            // The engine keeps the connect's deadline.
            Ok(leg) => (self.leg, self.look_at) = (Some(leg), Tick(u64::MAX)),
            Err(why) => self.lose(Why::Leg(why), io, told),
        }
    }

    /// The connection is gone, or is let go: what was asked is lost, and it comes back after a wait, or is over.
    fn lose<S: Service>(&mut self, why: Why, io: &mut Io<'_, S>, told: &mut impl FnMut(Told<'_>)) {
        if self.ended {
            return;
        }
        if let Some(leg) = self.leg.take() {
            io.close(leg);
        }
        self.conversation.close();
        self.sending = None;
        let answer = self.answer.take().and_then(|(asked, _)| asked);
        for asked in answer.into_iter().chain(self.asked.drain(..)) {
            told(Told::Failed(asked.ticket, Fate::Lost));
        }
        if self.ending {
            self.ended = true;
            return told(Told::Down(why, None));
        }
        let wait = self.config.backoff.next(self.waited, io.random());
        (self.waited, self.look_at) = (Some(wait), later(io.now(), wait));
        told(Told::Down(why, Some(wait)));
    }

    /// Says GOAWAY if one side leaves and nobody waits for an answer any more. The server closes then.
    fn depart<S: Service>(&mut self, io: &mut Io<'_, S>) {
        let leaves = self.ending || self.conversation.state() == Talk::Leaving;
        let answered = self.answer.as_ref().is_some_and(|(asked, _)| asked.is_some());
        let busy = self.sending.is_some() || answered || !self.asked.is_empty();
        let talks = matches!(self.conversation.state(), Talk::Open | Talk::Leaving);
        let Some(leg) = self.leg.filter(|_| leaves && talks && !busy) else { return };
        // A full output says when it has room.
        if !io.out(leg).copy(&Header::new(Kind::Goaway, 0, 0).to_bytes()) {
            return;
        }
        self.conversation.close();
        io.finish(leg);
        self.look_at = later(io.now(), self.config.connect);
    }

    /// Sends what waits, as far as there is room.
    fn pour<S: Service>(&mut self, io: &mut Io<'_, S>) {
        let Some(leg) = self.leg.filter(|_| self.conversation.state() >= Talk::Open) else { return };
        loop {
            if let Some((rest, sum)) = &mut self.sending {
                let out = io.out(leg);
                // The sum leaves with the last bytes.
                let room = out.room().saturating_sub(if sum.is_some() { CRC_BYTES } else { 0 });
                let n = room.min(rest.len());
                if n == 0 && !(rest.is_empty() && out.room() >= CRC_BYTES) {
                    out.reserve(HEADER_BYTES);
                    return;
                }
                if n > 0 && out.push(Chunk::Shared(rest.split_to(n))).is_err() {
                    unreachable!("a chunk no longer than the room fits");
                }
                if rest.is_empty() {
                    if let Some(sum) = sum {
                        out.copy(sum);
                    }
                    self.sending = None;
                }
                continue;
            }
            if self.conversation.state() != Talk::Open
                || self.waiting.is_empty()
                || !io.out(leg).reserve(HEADER_BYTES)
            {
                return;
            }
            let Some(Waiting { ticket, kind, payload, due }) = self.waiting.pop_front() else { return };
            self.waiting_bytes -= payload.len();
            self.seq = self.seq.wrapping_add(1);
            let flags = if self.config.crc { Flags::CRC } else { Flags::NONE };
            let header = Header::new(kind, payload.len() as u32, self.seq).with(flags);
            let sum = self.config.crc.then(|| Bytes::copy_from_slice(&sum(&header, &payload)));
            io.out(leg).copy(&header.to_bytes());
            self.asked.push_back(Asked { seq: self.seq, ticket, due });
            self.sending = Some((payload, sum));
        }
    }

    /// Tells of requests whose deadlines have passed.
    fn expire(&mut self, now: Tick, told: &mut impl FnMut(Told<'_>)) {
        let mut is_late = |ticket, due: Tick| {
            let late = due <= now;
            if late {
                told(Told::Failed(ticket, Fate::Late));
            }
            late
        };
        if let Some((answered, _)) = &mut self.answer {
            answered.take_if(|asked| is_late(asked.ticket, asked.due));
        }
        self.asked.retain(|asked| !is_late(asked.ticket, asked.due));
        let bytes = &mut self.waiting_bytes;
        self.waiting.retain(|waiting| {
            let late = is_late(waiting.ticket, waiting.due);
            *bytes -= if late { waiting.payload.len() } else { 0 };
            !late
        });
    }

    /// Tells of requests that are longer than the server takes.
    fn refuse_long(&mut self, told: &mut impl FnMut(Told<'_>)) {
        let (most, bytes) = (self.payload_bytes_max as usize, &mut self.waiting_bytes);
        self.waiting.retain(|waiting| {
            let fits = waiting.payload.len() <= most;
            if !fits {
                *bytes -= waiting.payload.len();
                told(Told::Failed(waiting.ticket, Fate::Unsent));
            }
            fits
        });
    }

    /// Sets the timer to what is due first. It stays where it is when it comes early.
    fn arm<S: Service>(&mut self, io: &mut Io<'_, S>) {
        let due = if self.ended { Tick(u64::MAX) } else { self.due() };
        if self.alarm.is_some_and(|(_, at)| at <= due && !self.ended) {
            return;
        }
        if let Some((timer, _)) = self.alarm.take() {
            io.cancel(timer);
        }
        if due == Tick(u64::MAX) {
            return;
        }
        let after = Duration::from_millis(due.0.saturating_sub(io.now().0));
        self.alarm = Some((io.timer(after), due));
    }
}

impl Client {
    /// What is due first. While the timer is armed it is no later than what was due when it was set: only the newest request can
    /// be earlier.
    fn due(&self) -> Tick {
        if self.alarm.is_some() {
            let asked = self.asked.back().map(|asked| asked.due);
            let waiting = self.waiting.back().map(|waiting| waiting.due);
            return asked.into_iter().chain(waiting).fold(self.look_at, Tick::min);
        }
        let answered = self.answer.iter().filter_map(|(asked, _)| asked.as_ref());
        let asked = answered.chain(&self.asked).map(|asked| asked.due);
        asked.chain(self.waiting.iter().map(|waiting| waiting.due)).fold(self.look_at, Tick::min)
    }
}

fn later(now: Tick, after: Duration) -> Tick {
    Tick(now.0.saturating_add(u64::try_from(after.as_millis()).unwrap_or(u64::MAX)))
}

/// The longest HELLO.
const HELLO_BYTES: usize = 256;

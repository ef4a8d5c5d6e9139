//! One frame connection as the server has it: HELLO, heartbeats, and DATA that goes back as it came.
//!
//! ```text
//! Bytes -> header -+-> control frame: whole (at most 1 KiB), answered at once
//!                  +-> DATA: header out; payload moved chunk by chunk; sum passed on; ACK if one is wanted
//! ```
//!
//! A payload is never held: what came of it is on its way out before the rest has come. Its sum is checked as it passes. One
//! that is wrong goes out as it came, so that the client sees the damage too, and ERROR follows. Frames that lie whole in one
//! received piece, as small ones do, go out as they lie, header and all, many at once.
//!
//! What has no room in the output stays unread, so a peer that does not read is not read from either; and a PING costs its
//! sender as many bytes as its PONG costs us. Nothing of ours is ever put between the header and the end of a frame.

use super::Config;
use proto::frame::{
    Answer, Body, CRC_BYTES, Conversation, Flags, Goaway, HEADER_BYTES, Header, Heard, Hello, Kind, Over,
    PING_BYTES_MAX, Pace, Ping, Refusal, Role, Rules, State, read, whole, write, write_error,
};
use shard::{Event, Input, Io, Leg, ListenerId, Next, Service, Token};
use std::time::Duration;

/// One connection.
#[derive(Debug)]
pub struct Session {
    pub(super) leg: Leg,
    /// The one timer: always armed.
    pub(super) alarm: Token,
    pub(super) heard: Heard,
    pub(super) pace: Pace,
    payload_bytes_max: u32,
    /// The number of the frame that is passing, and what of it has passed.
    seq: u32,
    body: Body,
    pub(super) conversation: Conversation,
    pub(super) reading: Reading,
    /// See `Ear` in `ear.rs`.
    pub(super) looks: u8,
}

// An idle connection is paid for a million times; what it costs in all, `tests/frame_memory.rs` measures.
const _: () = assert!(size_of::<Session>() <= 48);

/// Where in a frame the next byte stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    /// At the beginning of a header.
    Header,
    /// In a payload, before its end.
    Payload,
    /// Behind the payload, before the sum if there is one.
    Trailer,
    /// The same, without a sum, and the peer finished sending: only the end of this frame has no room yet.
    Last,
}

/// What a step of reading comes to.
enum Step {
    /// Something was read: go on.
    On,
    /// More bytes, or more room, are needed.
    Wait,
    /// The conversation is over.
    End,
}

impl Session {
    /// A connection that was just accepted.
    pub fn new<S: Service>(leg: Leg, config: &Config, io: &mut Io<'_, S>) -> Session {
        Session {
            leg,
            alarm: io.timer(config.hello),
            heard: Heard::at(io.now().0),
            pace: Pace::default(),
            payload_bytes_max: config.offer.payload_bytes_max,
            seq: 0,
            body: Body::new(&Header::new(Kind::Data, 0, 0)),
            conversation: Conversation::new(Role::Server),
            reading: Reading::Header,
            looks: 0,
        }
    }

    /// Handles one event. `config` is that of a listener: it is looked up where it is needed, once a connection.
    #[inline]
    pub fn on<'c, S: Service>(
        &mut self,
        config: impl Fn(ListenerId) -> &'c Config,
        event: Event<'_, S>,
        io: &mut Io<'_, S>,
    ) -> Next {
        match event {
            Event::Bytes(_, input) => {
                self.heard = Heard::at(io.now().0);
                // HELLO has its time however busily it comes.
                if self.conversation.state() != State::Greeting {
                    self.looks = 0;
                }
                self.read(config, input, io)
            }
            Event::Eof(_) if self.awaits_room() => {
                self.reading = Reading::Last;
                Next::Stay
            }
            // What came is answered by now: it leaves before the leg is closed.
            Event::Eof(_) | Event::Failed(..) => Next::Close,
            Event::Drained(_) => self.drained(io),
            Event::Timer(timer) if timer == self.alarm => self.look(io),
            Event::Drain(until) => {
                let half = Duration::from_millis(until.0.saturating_sub(io.now().0) / 2);
                self.rearm(DRAIN_GRACE.min(half), io);
                self.leave(io);
                Next::Stay
            }
            _ => Next::Stay,
        }
    }

    /// There is room again. Unread input is offered right after, but not everything that waits has some.
    fn drained<S: Service>(&mut self, io: &mut Io<'_, S>) -> Next {
        if self.awaits_room() {
            let last = self.reading == Reading::Last;
            match self.finish(&[], io) {
                Step::End => return Next::Close,
                Step::Wait => return Next::Stay,
                Step::On if last => return Next::Close,
                Step::On => {}
            }
        }
        if io.draining() {
            self.leave(io);
        }
        Next::Stay
    }

    /// Whether a frame has come whole whose end has no room yet.
    fn awaits_room(&self) -> bool {
        matches!(self.reading, Reading::Trailer | Reading::Last) && self.body.trailer_bytes() == 0
    }

    #[inline]
    fn read<'c, S: Service>(
        &mut self,
        config: impl Fn(ListenerId) -> &'c Config,
        mut input: Input<'_>,
        io: &mut Io<'_, S>,
    ) -> Next {
        while !input.is_empty() || self.reading == Reading::Trailer {
            let step = match self.reading {
                Reading::Header => self.header(&config, &mut input, io),
                Reading::Payload => self.payload(&mut input, io),
                Reading::Trailer | Reading::Last => self.trailer(&mut input, io),
            };
            match step {
                Step::On => {}
                Step::Wait => break,
                Step::End => return Next::Close,
            }
        }
        Next::Stay
    }

    fn rules(&self) -> Rules {
        Rules { over: Over::Stream, payload_bytes_max: self.payload_bytes_max }
    }

    #[inline]
    fn header<'c, S: Service>(
        &mut self,
        config: &impl Fn(ListenerId) -> &'c Config,
        input: &mut Input<'_>,
        io: &mut Io<'_, S>,
    ) -> Step {
        let rules = self.rules();
        if matches!(self.conversation.state(), State::Open | State::Leaving) {
            let run = Run::of(input.first(), io.room(self.leg), &rules);
            if run.frames > 0 {
                return self.pass(&run, input, io);
            }
        }
        let header = match Header::read(input.contiguous(HEADER_BYTES), &rules) {
            Ok(Some(header)) => header,
            Ok(None) => return Step::Wait,
            // It stays unread while it cannot be said why.
            Err(_) if !self.has_room(REPLY_BYTES, io) => return Step::Wait,
            Err(refusal) => return self.refuse(0, refusal, io),
        };
        if header.kind.is_control() {
            return self.control(config, &header, input, io);
        }
        if !self.has_room(HEADER_BYTES, io) {
            return Step::Wait;
        }
        if let Answer::Refuse(refusal) = self.conversation.on(header.kind) {
            return self.refuse(header.seq, refusal, io);
        }
        let back = Header { flags: header.flags.without(Flags::ACK_WANTED), ..header };
        io.out(self.leg).copy(&back.to_bytes());
        input.skip(HEADER_BYTES);
        (self.body, self.seq) = (Body::new(&header), header.seq);
        self.reading = if header.length > 0 { Reading::Payload } else { Reading::Trailer };
        Step::On
    }

    /// Frames that go back as they lie.
    #[inline]
    fn pass<S: Service>(&mut self, run: &Run, input: &mut Input<'_>, io: &mut Io<'_, S>) -> Step {
        let meter = io.meter();
        meter.requests.add(run.frames);
        meter.frames_in.add(run.frames);
        meter.frames_out.add(run.frames);
        let chunk = input.take(run.bytes).expect("the run lies in the first piece");
        if io.out(self.leg).push(chunk).is_err() {
            unreachable!("a run is no longer than the room");
        }
        Step::On
    }

    #[inline]
    fn payload<S: Service>(&mut self, input: &mut Input<'_>, io: &mut Io<'_, S>) -> Step {
        let out = io.out(self.leg);
        while self.body.left() > 0 {
            let left = self.body.left() as usize;
            let next = input.first().len().min(left);
            if next == 0 || !out.reserve(next) {
                return Step::Wait;
            }
            let Some(chunk) = input.take(left.min(out.room())) else { return Step::Wait };
            self.body.pass(&chunk);
            if out.push(chunk).is_err() {
                unreachable!("a chunk no longer than the room fits");
            }
        }
        self.reading = Reading::Trailer;
        Step::On
    }

    /// The end of a frame that was passed on: its sum goes on too, right or wrong.
    fn trailer<S: Service>(&mut self, input: &mut Input<'_>, io: &mut Io<'_, S>) -> Step {
        let n = self.body.trailer_bytes();
        let mut sum = [0; CRC_BYTES];
        let came = input.contiguous(n);
        if came.len() < n {
            return Step::Wait;
        }
        sum[..n].copy_from_slice(came);
        let step = self.finish(&sum[..n], io);
        if !matches!(step, Step::Wait) {
            input.skip(n);
        }
        step
    }

    fn finish<S: Service>(&mut self, sum: &[u8], io: &mut Io<'_, S>) -> Step {
        if !self.has_room(sum.len() + REPLY_BYTES, io) {
            return Step::Wait;
        }
        let out = io.out(self.leg);
        out.copy(sum);
        let good = self.body.end(sum);
        self.reading = Reading::Header;
        let wants_ack = self.body.flags().has(Flags::ACK_WANTED);
        if good.is_ok() && wants_ack {
            out.copy(&Header::new(Kind::Ack, 0, self.seq).to_bytes());
        }
        let meter = io.meter();
        meter.frames_out.add(1 + u64::from(good.is_ok() && wants_ack));
        if let Err(refusal) = good {
            return self.refuse(self.seq, refusal, io);
        }
        meter.requests.inc();
        meter.frames_in.inc();
        if io.draining() {
            self.leave(io);
        }
        Step::On
    }

    fn control<'c, S: Service>(
        &mut self,
        config: &impl Fn(ListenerId) -> &'c Config,
        header: &Header,
        input: &mut Input<'_>,
        io: &mut Io<'_, S>,
    ) -> Step {
        let bytes = header.frame_bytes();
        if input.len() < bytes || !self.has_room(REPLY_BYTES, io) {
            return Step::Wait;
        }
        let step = match whole(input.contiguous(bytes), &self.rules()) {
            Ok(Some((header, payload))) => self.answer(config, &header, payload, io),
            Ok(None) => unreachable!("all of it is there"),
            Err(refusal) => Err(refusal),
        };
        input.skip(bytes);
        step.unwrap_or_else(|refusal| self.refuse(header.seq, refusal, io))
    }

    fn answer<'c, S: Service>(
        &mut self,
        config: &impl Fn(ListenerId) -> &'c Config,
        header: &Header,
        payload: &[u8],
        io: &mut Io<'_, S>,
    ) -> Result<Step, Refusal> {
        match header.kind {
            Kind::Ping | Kind::Pong => drop(read::<Ping>(payload)?),
            Kind::Ack => drop(read::<proto::frame::Ack>(payload)?),
            Kind::Error => drop(read::<proto::frame::Error>(payload)?),
            Kind::Goaway => drop(read::<Goaway>(payload)?),
            _ => {}
        }
        io.meter().frames_in.inc();
        match self.conversation.on(header.kind) {
            Answer::Greet => {
                let hello = read(payload)?;
                let listener = io.listener(self.leg).expect("a leg that has bytes is there");
                self.greet(&config(listener).offer, header.seq, &hello, io)?;
            }
            Answer::Pong => {
                io.meter().heartbeats_answered.inc();
                io.meter().frames_out.inc();
                let back = Header::new(Kind::Pong, header.length, header.seq).to_bytes();
                let out = io.out(self.leg);
                out.copy(&back);
                out.copy(payload);
            }
            Answer::Refuse(refusal) => return Err(refusal),
            // A client that said GOAWAY has said all that it had to say.
            Answer::Finish | Answer::Close => {
                // What it sent before it knew is not to destroy the answers on their way.
                io.linger(self.leg);
                return Ok(Step::End);
            }
            Answer::Nothing | Answer::Heard | Answer::Take | Answer::Leave => {}
        }
        Ok(Step::On)
    }

    /// The client's HELLO: what holds from now on, and the first beat.
    fn greet<S: Service>(
        &mut self,
        offer: &proto::frame::Offer,
        seq: u32,
        hello: &Hello,
        io: &mut Io<'_, S>,
    ) -> Result<(), Refusal> {
        let agreed = hello.agree(offer)?;
        (self.pace, self.payload_bytes_max, self.looks) = (agreed.pace, agreed.payload_bytes_max, 0);
        let hello = Hello::answer(&agreed);
        io.out(self.leg).write(REPLY_BYTES, |to| write(to, Kind::Hello, Flags::NONE, seq, &hello));
        io.meter().frames_out.inc();
        if io.draining() {
            self.leave(io);
        } else {
            let beat = self.pace.beat_ms(io.random());
            self.rearm(Duration::from_millis(beat.into()), io);
        }
        Ok(())
    }

    /// Says GOAWAY, unless it was said, nobody was greeted yet, a frame is on its way, or there is no room: then at its end, or when
    /// there is.
    fn leave<S: Service>(&mut self, io: &mut Io<'_, S>) {
        let ready = self.reading == Reading::Header && self.conversation.state() == State::Open;
        if !ready || !self.has_room(REPLY_BYTES, io) {
            return;
        }
        self.conversation.leave();
        let goaway = Goaway { deadline_ms: DRAIN_GRACE.as_millis() as u32, text: "shutting down".into() };
        io.out(self.leg).write(REPLY_BYTES, |to| write(to, Kind::Goaway, Flags::NONE, 0, &goaway));
        io.meter().frames_out.inc();
    }

    /// Says why, if that can still be said, and closes in stages: the peer may be sending.
    #[cold]
    fn refuse<S: Service>(&mut self, seq: u32, refusal: Refusal, io: &mut Io<'_, S>) -> Step {
        let meter = io.meter();
        meter.refused.inc();
        meter.frame_refused(refusal.number()).inc();
        if io.out(self.leg).write(REPLY_BYTES, |to| write_error(to, seq, refusal)) {
            io.meter().frames_out.inc();
        }
        self.conversation.close();
        io.linger(self.leg);
        Step::End
    }

    /// The HELLO did not come in time.
    pub(super) fn refuse_late<S: Service>(&mut self, io: &mut Io<'_, S>) -> Next {
        self.refuse(0, Refusal::HelloLate, io);
        Next::Close
    }

    /// Whether the output takes `n` bytes; when not, the leg is told of `Drained`, and its input is offered again.
    #[inline]
    fn has_room<S: Service>(&self, n: usize, io: &mut Io<'_, S>) -> bool {
        io.room(self.leg) >= n || io.out(self.leg).reserve(n)
    }
}

/// Whole frames in a row that go back as they are: DATA and the application's, without a wish for an ACK.
struct Run {
    bytes: usize,
    frames: u64,
}

impl Run {
    /// Those at the front of `bytes`, as far as there is room.
    #[inline]
    fn of(bytes: &[u8], room: usize, rules: &Rules) -> Run {
        let bytes = &bytes[..bytes.len().min(room)];
        let mut run = Run { bytes: 0, frames: 0 };
        while let Ok(Some(header)) = Header::read(&bytes[run.bytes..], rules) {
            let frame = bytes[run.bytes..].get(HEADER_BYTES..header.frame_bytes());
            let Some(rest) =
                frame.filter(|_| !header.kind.is_control() && !header.flags.has(Flags::ACK_WANTED))
            else {
                break;
            };
            if header.flags.has(Flags::CRC) && !is_sound(&header, rest) {
                break;
            }
            run.bytes += header.frame_bytes();
            run.frames += 1;
        }
        run
    }
}

fn is_sound(header: &Header, rest: &[u8]) -> bool {
    let (payload, sum) = rest.split_at(header.length as usize);
    let mut body = Body::new(header);
    body.pass(payload);
    body.end(sum).is_ok()
}

/// The longest thing that is said at once: ERROR and GOAWAY with their texts, a PONG with what was asked.
const REPLY_BYTES: usize = 128;
const _: () = assert!(HEADER_BYTES + PING_BYTES_MAX as usize <= REPLY_BYTES);
/// How long a drain goes on answering after GOAWAY, at most half of its time.
const DRAIN_GRACE: Duration = Duration::from_secs(1);

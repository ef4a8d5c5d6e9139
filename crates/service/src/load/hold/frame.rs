//! Held frame connections: HELLO, heartbeats both ways, a frame that comes back once, and some that fall silent on purpose.
//!
//! ```text
//! opened -> HELLO (Greeting) -> its answer (Open) -> PING (Beating) -> PONG (Open) -> ...
//! ```
//!
//! Who is to be asked is found by counting ([`Beats`](super::beat::Beats)), so each connection is looked at once an interval. One whose
//! peer may be silent for too long before the next look stands among the suspects until it is heard or dead: they are few, unless the
//! server is gone. When a PING was sent stands in the PING, and comes back.

use super::{Hold, Phase, Saying, State, config};
use crate::load::pattern::{HEAD, Pattern};
use proto::frame::heartbeat::{Beat, Look};
use proto::frame::{
    Answer, Conversation, Error, Flags, HEADER_BYTES, Header, Heard, Hello, Kind, Pace, Ping, Refusal, Role,
    Rules, read, whole, write, write_error,
};
use shard::{Input, Io, Leg, Tick};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::Duration;

/// What the frame connections of a seat share.
pub(super) struct Frames {
    wishes: config::Frames,
    /// How many of this seat fall silent, and whether they did.
    mute: usize,
    muted: bool,
    /// When the hold would have ended without them.
    until_ns: u64,
    /// HELLO as it is sent.
    hello: Vec<u8>,
    /// What the server agreed to.
    pace: Pace,
    /// Until when those that said HELLO wait for its answer, in order.
    greetings: VecDeque<(u64, u32)>,
    /// Whose peer is quiet, and when that is looked at, in nanoseconds.
    suspects: BinaryHeap<Reverse<(u64, u32)>>,
    echoes: Echoes,
    /// How long those that the server has found had been silent.
    pub(super) silences_ms: Vec<u32>,
}

/// The frames that come back, one of each connection.
struct Echoes {
    pattern: Pattern,
    begun_ns: Option<u64>,
    over: bool,
    /// The next connection that sends its frame.
    next: usize,
    in_flight: usize,
    /// Until when each waits, in order; also of some that came back.
    waiting: VecDeque<(u64, u32)>,
}

/// What became of the frame of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Echo {
    None,
    Asked,
    Back,
    Failed,
}

/// Whether a connection goes on behind a frame.
enum Then {
    On,
    Gone,
}

/// Bytes of a frame that comes back.
const ECHO_BYTES: usize = 64;
/// Such frames of a seat that are on their way at a time.
const ECHOES_AT_ONCE: usize = 256;
/// A longest answer: PONG with what was asked, GOAWAY, ERROR with its text.
const REPLY_BYTES: usize = 128;
/// PINGs that are due within so long leave together.
const TOGETHER_NS: u64 = 1_000_000;
/// How much longer than they agreed on a server may take to end its silent peers before the hold ends without that.
const FOUND_NS: u64 = 30_000_000_000;
const MS: u64 = 1_000_000;
/// No answer is longer than what was sent; control frames have their own bounds.
const RULES: Rules = Rules { payload_bytes_max: ECHO_BYTES as u32, ..Rules::STREAM };

impl Frames {
    pub(super) fn new(wishes: config::Frames, every: Duration, seed: u64, seat: u16, seats: u16) -> Frames {
        let heartbeat_ms = u32::try_from(every.as_millis()).unwrap_or(u32::MAX);
        let wish = Hello { heartbeat_ms, misses: wishes.misses, ..Hello::new() };
        let mut hello = Vec::new();
        write(&mut hello, Kind::Hello, Flags::NONE, 0, &wish);
        let mute = (u32::from(seat)..wishes.mute).step_by(seats.into()).count();
        Frames {
            wishes,
            mute,
            muted: false,
            until_ns: 0,
            hello,
            pace: Pace::new(heartbeat_ms, proto::frame::heartbeat::MISSES),
            greetings: VecDeque::new(),
            suspects: BinaryHeap::new(),
            echoes: Echoes {
                pattern: Pattern::new(seed, ECHO_BYTES),
                begun_ns: None,
                over: !wishes.echo_once,
                next: 0,
                in_flight: 0,
                waiting: VecDeque::new(),
            },
            silences_ms: Vec::new(),
        }
    }
}

impl Hold {
    /// The frames, where there are some.
    fn frames(&mut self) -> Option<&mut Frames> {
        if let Saying::Frame(frames) = &mut self.say { Some(frames) } else { None }
    }

    /// A connection was opened: it says HELLO.
    pub(super) fn greet(&mut self, index: u32, io: &mut Io<'_, Hold>) {
        let until_ns = io.now_ns().saturating_add(self.config.timeout.as_nanos() as u64);
        let held = &mut self.held[index as usize];
        let (Saying::Frame(frames), Some(leg)) = (&mut self.say, held.leg) else { return };
        held.state = State::Greeting;
        io.out(leg).copy(&frames.hello);
        self.step.counts.bytes_out += frames.hello.len() as u64;
        frames.greetings.push_back((until_ns, index));
    }

    /// Sends what is due, and looks after suspects.
    pub(super) fn ping_due(&mut self, io: &mut Io<'_, Hold>) {
        let now_ns = io.now_ns();
        let mut wake_ns = u64::MAX;
        while let Some(beat) = self.beats.as_ref().map(|beats| beats.at(self.beat)) {
            if beat.at_ns > now_ns {
                wake_ns = beat.at_ns;
                break;
            }
            self.beat += 1;
            self.look_at(beat.index, io);
        }
        while let Some(Reverse((due_ns, index))) = self.frames().and_then(|f| f.suspects.peek().copied()) {
            if due_ns > now_ns {
                wake_ns = wake_ns.min(due_ns);
                break;
            }
            self.frames().and_then(|frames| frames.suspects.pop());
            self.suspect(index, due_ns, io);
        }
        if wake_ns == u64::MAX {
            return;
        }
        // A million connections have a beat each 30 us: not each of them is a turn of its own.
        let wake_ns = wake_ns.max(now_ns + TOGETHER_NS);
        if wake_ns < self.wake_ns || self.wake_ns <= now_ns {
            self.wake_ns = wake_ns;
            io.wake_at_ns(wake_ns);
        }
    }

    /// The one look at a connection in an interval: asks a peer that was quiet.
    fn look_at(&mut self, index: u32, io: &mut Io<'_, Hold>) {
        let Some(pace) = self.frames().map(|frames| frames.pace) else { return };
        let held = &self.held[index as usize];
        if !matches!(held.state, State::Open | State::Beating) {
            return;
        }
        let interval_ns = u64::from(pace.interval_ms()) * MS;
        let patience_ns = u64::from(pace.patience_ms()) * MS;
        let quiet_ns = io.now_ns().saturating_sub(held.since_ns);
        let dead_ns = held.since_ns + patience_ns;
        // Whom the server has just asked it has heard, and been heard by.
        if quiet_ns >= interval_ns / 2 {
            self.ping(index, io);
        }
        // The next look comes 1.1 intervals later at the latest.
        if quiet_ns + interval_ns / 8 * 9 >= patience_ns {
            self.watch(index, dead_ns);
        }
    }

    fn watch(&mut self, index: u32, due_ns: u64) {
        if !std::mem::replace(&mut self.held[index as usize].suspect, true)
            && let Some(frames) = self.frames()
        {
            frames.suspects.push(Reverse((due_ns, index)));
        }
    }

    fn ping(&mut self, index: u32, io: &mut Io<'_, Hold>) {
        let stamp = io.now_ns();
        let held = &mut self.held[index as usize];
        let Some(leg) = held.leg else { return };
        let seq = held.beats.wrapping_add(1);
        if !io.out(leg).write(REPLY_BYTES, |to| write(to, Kind::Ping, Flags::NONE, seq, &Ping { stamp })) {
            self.report.beats.late += 1;
            return;
        }
        let counts = &mut self.step.counts;
        if held.state == State::Beating {
            // The one before it was not answered, or is too late by now.
            self.report.beats.late += 1;
            counts.timeout += 1;
        }
        (held.state, held.beats) = (State::Beating, seq);
        self.report.beats.sent += 1;
        (counts.due, counts.sent) = (counts.due + 1, counts.sent + 1);
        counts.bytes_out += PING_FRAME_BYTES;
    }

    /// A peer was quiet for as long as it may be. The rules are those of both sides: [`Heard::look`].
    fn suspect(&mut self, index: u32, due_ns: u64, io: &mut Io<'_, Hold>) {
        let Some(pace) = self.frames().map(|frames| frames.pace) else { return };
        let now_ns = io.now_ns();
        let held = &mut self.held[index as usize];
        held.suspect = false;
        let (State::Open | State::Beating, Some(leg)) = (held.state, held.leg) else { return };
        if io.was_starved(leg) {
            held.since_ns = now_ns;
        }
        let (now_ms, interval_ns) = (now_ns / MS, u64::from(pace.interval_ms()) * MS);
        if now_ns.saturating_sub(held.since_ns) < interval_ns {
            // It was heard since.
            return;
        }
        let mut heard = Heard::at(held.since_ns / MS);
        let over = heard.quiet_ms(now_ms).saturating_sub(pace.patience_ms());
        let behind = !io.caught_up_since(Tick(now_ms - u64::from(over))) || io.is_announced(leg);
        let look = Look { now_ms, late_ms: (now_ns - due_ns) / MS, behind };
        let again_ms = match heard.look(pace, look, io.random()) {
            Beat::Wait(ms) | Beat::Ping(ms) | Beat::Postpone(ms) => ms,
            Beat::Dead => {
                self.lose(index, |lost| &mut lost.silent, io);
                return io.abort(leg);
            }
        };
        held.since_ns = (now_ms - u64::from(heard.quiet_ms(now_ms))) * MS;
        self.watch(index, now_ns + u64::from(again_ms) * MS);
    }

    /// Bytes came. What is not a whole frame yet stays where it is.
    pub(super) fn hear_frames(&mut self, index: u32, mut input: Input<'_>, io: &mut Io<'_, Hold>) {
        let held = &mut self.held[index as usize];
        let Some(leg) = held.leg.filter(|_| held.state != State::Muted) else {
            let len = input.len();
            return input.skip(len);
        };
        if held.state != State::Greeting {
            held.since_ns = io.now_ns();
        }
        loop {
            let (bytes, then) = match Header::read(input.contiguous(HEADER_BYTES), &RULES) {
                Ok(Some(header)) if input.len() >= header.frame_bytes() => {
                    let bytes = header.frame_bytes();
                    let frame = whole(input.contiguous(bytes), &RULES);
                    let frame = frame.map(|frame| frame.expect("all of it is there"));
                    (bytes, frame.and_then(|(header, payload)| self.frame(index, leg, &header, payload, io)))
                }
                Ok(_) => return,
                Err(refusal) => (0, Err(refusal)),
            };
            self.step.counts.bytes_in += bytes as u64;
            input.skip(bytes);
            if let Err(refusal) = then {
                io.out(leg).write(REPLY_BYTES, |to| write_error(to, 0, refusal));
                self.ended(index, |reasons| &mut reasons.answer, io);
                io.close(leg);
            }
            if !matches!(then, Ok(Then::On)) {
                let len = input.len();
                return input.skip(len);
            }
        }
    }

    /// A frame came.
    fn frame(
        &mut self,
        index: u32,
        leg: Leg,
        header: &Header,
        payload: &[u8],
        io: &mut Io<'_, Hold>,
    ) -> Result<Then, Refusal> {
        let mut conversation = Conversation::new(Role::Client);
        if self.held[index as usize].state != State::Greeting {
            conversation.on(Kind::Hello);
        }
        match conversation.on(header.kind) {
            Answer::Greet => {
                let agreed = read::<Hello>(payload)?.settled()?;
                if let Some(frames) = self.frames() {
                    frames.pace = agreed.pace;
                }
                self.begun(index, io);
                self.held[index as usize].since_ns = io.now_ns();
                self.connect_more(io);
            }
            Answer::Pong => {
                read::<Ping>(payload)?;
                let back = Header::new(Kind::Pong, header.length, header.seq).to_bytes();
                let said = io.out(leg).write(REPLY_BYTES, |to| {
                    to.extend_from_slice(&back);
                    to.extend_from_slice(payload);
                });
                self.report.frames.pongs += u64::from(said);
                self.step.counts.bytes_out += if said { header.frame_bytes() as u64 } else { 0 };
            }
            Answer::Heard if header.kind == Kind::Pong => {
                self.ponged(index, header.seq, read(payload)?, io.now_ns())?;
            }
            Answer::Heard | Answer::Nothing => {}
            Answer::Take => {
                self.echoed(index, header, payload)?;
                self.echo_more(io);
            }
            Answer::Leave | Answer::Finish => {
                io.out(leg).copy(&Header::new(Kind::Goaway, 0, 0).to_bytes());
                self.ended(index, |reasons| &mut reasons.goaway, io);
                io.close(leg);
                return Ok(Then::Gone);
            }
            Answer::Close => {
                let code = read::<Error>(payload)?.code as usize;
                let errors = &mut self.report.frames.errors;
                errors[if code < errors.len() { code } else { 0 }] += 1;
                self.ended(index, |reasons| &mut reasons.error, io);
                io.close(leg);
                return Ok(Then::Gone);
            }
            Answer::Refuse(refusal) => return Err(refusal),
        }
        Ok(Then::On)
    }

    /// An answer to a PING. One to an earlier PING than the last says only that the peer lives.
    fn ponged(&mut self, index: u32, seq: u32, ping: Ping, now_ns: u64) -> Result<(), Refusal> {
        let held = &mut self.held[index as usize];
        if held.state != State::Beating || seq != held.beats {
            return if held.beats.wrapping_sub(seq) > held.beats { Err(Refusal::Malformed) } else { Ok(()) };
        }
        if !(self.since_ns..=now_ns).contains(&ping.stamp) {
            return Err(Refusal::Malformed);
        }
        held.state = State::Open;
        self.report.beats.answered += 1;
        let counts = &mut self.step.counts;
        (counts.answered, counts.completed) = (counts.answered + 1, counts.completed + 1);
        self.step.response.saturating_record((now_ns - ping.stamp).max(1));
        Ok(())
    }

    /// Brings about what is to happen once in a hold.
    pub(super) fn do_once(&mut self, io: &mut Io<'_, Hold>) {
        let Phase::Holding(until_ns) = self.phase else { return };
        self.echo_more(io);
        let from_ns = until_ns.saturating_sub(self.config.duration.as_nanos() as u64);
        let Some(frames) = self.frames().filter(|frames| !frames.muted && frames.mute > 0) else { return };
        let due_ns = from_ns.saturating_add(frames.wishes.mute_after.as_nanos() as u64);
        if frames.echoes.over && io.now_ns() >= due_ns {
            (frames.muted, frames.until_ns) = (true, until_ns);
            let (count, patience_ns) = (frames.mute, u64::from(frames.pace.patience_ms()) * MS);
            self.fall_silent(count, io.now_ns());
            // The echoes may have taken longer than was thought, and the server may be late: who is to be found is waited for.
            self.phase = Phase::Holding(until_ns.max(io.now_ns() + patience_ns + FOUND_NS));
        }
    }

    /// So many connections, evenly among all, say nothing more.
    fn fall_silent(&mut self, count: usize, now_ns: u64) {
        let len = self.held.len();
        for index in (0..count.min(len)).map(|n| n * len / count.min(len)) {
            let held = &mut self.held[index];
            if matches!(held.state, State::Open | State::Beating) {
                (held.state, held.since_ns) = (State::Muted, now_ns);
                self.report.frames.muted += 1;
            }
        }
    }

    /// The server has ended one that fell silent.
    pub(super) fn found(&mut self, index: u32, io: &mut Io<'_, Hold>) {
        let silent_ms = io.now_ns().saturating_sub(self.held[index as usize].since_ns) / MS;
        self.report.frames.found += 1;
        let all = self.report.frames.found == self.report.frames.muted;
        let phase = self.phase;
        if let Some(frames) = self.frames() {
            let until_ns = frames.until_ns;
            frames.silences_ms.push(u32::try_from(silent_ms).unwrap_or(u32::MAX));
            if let (true, Phase::Holding(_)) = (all, phase) {
                self.phase = Phase::Holding(until_ns);
            }
        }
        self.gone(index);
    }

    /// Sends the frames that are to come back, as many at a time as may be on their way.
    fn echo_more(&mut self, io: &mut Io<'_, Hold>) {
        let Phase::Holding(_) = self.phase else { return };
        let now_ns = io.now_ns();
        let until_ns = now_ns.saturating_add(self.config.timeout.as_nanos() as u64);
        let Saying::Frame(frames) = &mut self.say else { return };
        let echoes = &mut frames.echoes;
        if echoes.over {
            return;
        }
        let begun_ns = *echoes.begun_ns.get_or_insert(now_ns);
        while echoes.in_flight < ECHOES_AT_ONCE && echoes.next < self.held.len() {
            let index = echoes.next as u32;
            echoes.next += 1;
            let held = &mut self.held[index as usize];
            let (State::Open | State::Beating, Some(leg)) = (held.state, held.leg) else { continue };
            self.report.frames.echoes += 1;
            let header = Header::new(Kind::Data, ECHO_BYTES as u32, index).to_bytes();
            let written = io.out(leg).write(HEADER_BYTES + ECHO_BYTES, |to| {
                to.extend_from_slice(&header);
                to.extend_from_slice(&u64::from(index).to_le_bytes());
                to.extend_from_slice(echoes.pattern.fill(index, 0, 0));
            });
            if written {
                (held.echo, echoes.in_flight) = (Echo::Asked, echoes.in_flight + 1);
                echoes.waiting.push_back((until_ns, index));
                self.step.counts.bytes_out += (HEADER_BYTES + ECHO_BYTES) as u64;
            } else {
                held.echo = Echo::Failed;
                self.report.frames.echoes_failed += 1;
            }
        }
        if echoes.in_flight == 0 && echoes.next == self.held.len() {
            echoes.over = true;
            self.report.frames.echoes_ns = (now_ns - begun_ns).max(1);
        }
    }

    /// A frame came that can only be the one that was sent.
    fn echoed(&mut self, index: u32, header: &Header, payload: &[u8]) -> Result<(), Refusal> {
        let Saying::Frame(frames) = &mut self.say else { return Ok(()) };
        let held = &mut self.held[index as usize];
        let pattern = &frames.echoes.pattern;
        let right = header.kind == Kind::Data
            && header.seq == index
            && payload.len() == ECHO_BYTES
            && payload[..HEAD] == u64::from(index).to_le_bytes()
            && payload[HEAD..] == *pattern.fill(index, 0, 0);
        match held.echo {
            Echo::Asked if right => {
                (held.echo, frames.echoes.in_flight) = (Echo::Back, frames.echoes.in_flight - 1);
                self.report.frames.echoed += 1;
                Ok(())
            }
            // It was given up.
            Echo::Failed if right => Ok(()),
            _ => Err(Refusal::Malformed),
        }
    }

    /// A connection is gone, or what it waits for will not come.
    pub(super) fn forget_echo(&mut self, index: u32) {
        let held = &mut self.held[index as usize];
        if let (Saying::Frame(frames), Echo::Asked) = (&mut self.say, held.echo) {
            held.echo = Echo::Failed;
            frames.echoes.in_flight -= 1;
            self.report.frames.echoes_failed += 1;
        }
    }

    /// Gives up what was not answered in time: HELLO, and frames that were to come back.
    pub(super) fn time_out_frames(&mut self, io: &mut Io<'_, Hold>) {
        let now_ns = io.now_ns();
        while let Some((until_ns, index)) = self.frames().and_then(|f| f.greetings.front().copied()) {
            let waits = self.held[index as usize].state == State::Greeting;
            if waits && until_ns > now_ns {
                break;
            }
            self.frames().and_then(|frames| frames.greetings.pop_front());
            let leg = self.held[index as usize].leg;
            if waits {
                self.ended(index, |reasons| &mut reasons.timeout, io);
                leg.into_iter().for_each(|leg| io.abort(leg));
            }
        }
        while let Some((until_ns, index)) = self.frames().and_then(|f| f.echoes.waiting.front().copied()) {
            let waits = self.held[index as usize].echo == Echo::Asked;
            if waits && until_ns > now_ns {
                break;
            }
            self.frames().and_then(|frames| frames.echoes.waiting.pop_front());
            if waits {
                self.forget_echo(index);
            }
        }
    }
}

/// A PING with its stamp: a field's tag and eight bytes (protobuf.dev, "Encoding").
const PING_FRAME_BYTES: u64 = HEADER_BYTES as u64 + 9;

//! Simulated clients of a frame listener: some live, some fall silent, in a world with every fault and a server whose core is
//! taken away for seconds.
//!
//! No peer that lives is killed: each of them wants every answer and the end that it asked for. Each that falls silent is found:
//! it must be reset, and not before its time nor later than the seat's own time allows, which [`Watched`] judges from outside.

use proto::frame::{Flags, Header, Hello, Kind, Rules, sum, whole, write};
use service::frame;
use shard::engine::sim::{Faults, Line, Peer, Run, Sim, plan};
use shard::plan::Plan;
use shard::random::Random;
use shard::{End, Event, Io, Leg, LegError, Next, Origin, Service};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

const MISSES: u64 = 3;

/// Runs a few clients against the frame service in a world of faults.
pub fn run(seed: u64) -> Run {
    let mut random = Random::new(seed);
    let mut faults = Faults::mixed(seed);
    if random.chance(0.7) {
        faults = faults.with("stall", random.below(1000) as f64 / 8_000.0);
    }
    if random.chance(0.5) {
        faults = faults.with("few_taken", random.below(900) as f64 / 1000.0);
    }
    let interval_ms = [100, 500, 2_000][random.below(3) as usize];
    let judge = Judge { interval_ms, faults, wrong: Rc::default() };
    // Enough for most: who found no buffer for the peer's bytes begins its silence anew, which the judge does not see.
    let pool = linux::pool::Plan { count: 32, ..plan(1).pool };
    let mut world = Sim::new(seed).faults(faults).plan(Plan { pool, ..plan(1) });
    for _ in 0..1 + random.below(5) {
        let at = Duration::from_millis(random.below(2 * interval_ms));
        world = world.client_at(at, shard::ListenerId(0), Talker::new(&mut random, interval_ms));
    }
    judge.run(world)
}

/// So many clients that say HELLO at once and then only answer PING, in a world with one fault.
pub fn crowd(seed: u64, clients: usize, fault: &str, probability: f64) -> Run {
    let interval_ms = 100;
    let faults = Faults::NONE.with(fault, probability);
    let judge = Judge { interval_ms, faults, wrong: Rc::default() };
    let mut random = Random::new(seed);
    let pool = linux::pool::Plan { count: 256, ..plan(1).pool };
    let mut world = Sim::new(seed).faults(faults).plan(Plan { pool, ..plan(1) });
    for _ in 0..clients {
        let idle = Talker {
            fate: Fate::Leaves,
            rounds: 0,
            idle_ms: 20 * interval_ms,
            ..Talker::new(&mut random, interval_ms)
        };
        world = world.client(idle);
    }
    judge.run(world)
}

impl Judge {
    fn run(&self, world: Sim) -> Run {
        let mut run = world.run(|_| Watched(self.clone()));
        let starved = run.seats.iter().any(|seat| seat.enobufs > 0);
        let wrong = self.wrong.take().into_iter().filter(|(late, _)| !(*late && starved));
        run.broken.extend(wrong.map(|(_, what)| what));
        run
    }
}

/// What a client expects next.
#[derive(Debug, PartialEq)]
enum Due {
    Greeting,
    Frame(Header, Vec<u8>),
    Ack(u32),
    Pong(u32),
}

/// How a client ends.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    /// It says GOAWAY when it has all answers.
    Leaves,
    /// It says nothing any more, not even PONG.
    FallsSilent,
    /// The same in the midst of a frame.
    BreaksOff,
    /// It goes on asking and reads no answer.
    StopsReading,
    /// The same, but now and then it reads some; in the end it has all and says GOAWAY.
    Sips,
}

#[derive(Debug)]
pub struct Talker {
    random: u64,
    interval_ms: u64,
    fate: Fate,
    /// How long it says nothing at first.
    idle_ms: u64,
    rounds: u64,
    seq: u32,
    due: VecDeque<Due>,
    got: Vec<u8>,
    mute: bool,
    sips: bool,
    wrong: Option<String>,
    ended: bool,
    failed: bool,
}

impl Talker {
    fn new(random: &mut Random, interval_ms: u64) -> Talker {
        let fates = [
            Fate::Leaves,
            Fate::Leaves,
            Fate::Leaves,
            Fate::FallsSilent,
            Fate::BreaksOff,
            Fate::StopsReading,
            Fate::Sips,
        ];
        Talker {
            random: random.next(),
            interval_ms,
            fate: fates[random.below(7) as usize],
            idle_ms: 0,
            rounds: random.below(8),
            seq: 0,
            due: VecDeque::new(),
            got: Vec::new(),
            mute: false,
            sips: false,
            wrong: None,
            ended: false,
            failed: false,
        }
    }

    fn leaves(&self) -> bool {
        matches!(self.fate, Fate::Leaves | Fate::Sips)
    }

    fn below(&mut self, n: u64) -> u64 {
        let mut random = Random::new(self.random);
        self.random = random.next();
        random.below(n)
    }

    fn ask(&mut self, line: &mut Line<'_>) {
        // Sips are small, and nobody waits for hours.
        let most = if self.fate == Fate::Sips { 5 } else { 6 };
        let bytes = [0, 1, 64, 700, 5_000, 30_000][self.below(most) as usize];
        let payload: Vec<u8> = (0..bytes).map(|at| (at * 7 + self.seq as usize) as u8).collect();
        self.seq += 1;
        if self.below(5) == 0 {
            let ping = Header::new(Kind::Ping, 0, self.seq);
            self.due.push_back(Due::Pong(self.seq));
            return line.send(ping.to_bytes());
        }
        let kind = if self.below(2) == 0 { Kind::Data } else { Kind::Application(0x9000) };
        let flags = Flags(self.below(4) as u8);
        let header = Header::new(kind, bytes as u32, self.seq).with(flags);
        let mut frame = header.to_bytes().to_vec();
        frame.extend(&payload);
        if flags.has(Flags::CRC) {
            frame.extend(sum(&header, &payload));
        }
        line.send(frame);
        let back = Header { flags: flags.without(Flags::ACK_WANTED), ..header };
        self.due.push_back(Due::Frame(back, payload));
        if flags.has(Flags::ACK_WANTED) {
            self.due.push_back(Due::Ack(self.seq));
        }
    }

    fn end(&mut self, line: &mut Line<'_>) {
        match self.fate {
            Fate::Leaves | Fate::Sips if self.due.is_empty() => {
                line.read(true);
                line.send(Header::new(Kind::Goaway, 0, 0).to_bytes());
                self.mute = true;
            }
            // Not before all has come: it may be waiting for a server without a core.
            Fate::Leaves => line.wait(Duration::from_millis(self.interval_ms)),
            Fate::Sips => {
                if !std::mem::replace(&mut self.sips, true) {
                    (0..2).for_each(|_| self.ask(line));
                }
                line.read(true);
                // It reads PINGs too late, but says that it lives; with its output full, the server does not hear even that.
                line.send(Header::new(Kind::Ack, 0, 0).to_bytes());
                line.wait(Duration::from_millis(self.interval_ms));
            }
            Fate::FallsSilent => self.mute = true,
            Fate::BreaksOff => {
                let frame = Header::new(Kind::Data, 100, self.seq + 1).to_bytes();
                let part = self.below(16) as usize;
                line.send(&frame[..part + 1]);
                self.mute = true;
            }
            Fate::StopsReading => {
                line.read(false);
                self.mute = true;
                (0..20).for_each(|_| self.ask(line));
            }
        }
    }

    fn hear(&mut self, header: &Header, payload: &[u8], line: &mut Line<'_>) {
        let due = self.due.front();
        let is_due = match header.kind {
            Kind::Ping => {
                if !self.mute {
                    line.send(Header::new(Kind::Pong, 0, header.seq).to_bytes());
                }
                return;
            }
            Kind::Hello => due == Some(&Due::Greeting),
            Kind::Pong => due == Some(&Due::Pong(header.seq)),
            Kind::Ack => due == Some(&Due::Ack(header.seq)),
            Kind::Data | Kind::Application(_) => {
                matches!(due, Some(Due::Frame(back, bytes)) if back == header && bytes == payload)
            }
            Kind::Error | Kind::Goaway => false,
        };
        if is_due {
            self.due.pop_front();
        } else if !(header.kind == Kind::Goaway && self.mute) {
            let due = due.map(|due| {
                if let Due::Frame(header, _) = due { format!("{header:?}") } else { format!("{due:?}") }
            });
            self.wrong = Some(format!("{header:?} of {} bytes, due was {due:?}", payload.len()));
        }
    }
}

impl Peer for Talker {
    fn on_connect(&mut self, line: &mut Line<'_>) {
        let hello = Hello { heartbeat_ms: self.interval_ms as u32, misses: MISSES as u32, ..Hello::new() };
        let mut bytes = Vec::new();
        write(&mut bytes, Kind::Hello, Flags::NONE, 0, &hello);
        line.send(bytes);
        self.due.push_back(Due::Greeting);
        self.on_timer(line);
    }

    fn on_timer(&mut self, line: &mut Line<'_>) {
        if self.idle_ms > 0 {
            return line.wait(Duration::from_millis(std::mem::take(&mut self.idle_ms)));
        }
        if self.rounds > 0 && !self.mute {
            self.rounds -= 1;
            (0..self.below(4)).for_each(|_| self.ask(line));
            // Often longer than the whole patience: only its PONGs say that it lives.
            let pause =
                [self.interval_ms / 10, self.interval_ms, 25 * self.interval_ms][self.below(3) as usize];
            return line.wait(Duration::from_millis(1 + self.below(pause)));
        }
        if !self.mute {
            self.end(line);
        }
        if self.mute && !self.leaves() {
            // Who only listens for bytes does not see a reset.
            line.wait(Duration::from_millis(self.interval_ms));
        }
    }

    fn on_bytes(&mut self, bytes: &[u8], line: &mut Line<'_>) {
        if self.sips && !self.due.is_empty() {
            line.read(false);
        }
        self.got.extend(bytes);
        let got = std::mem::take(&mut self.got);
        let mut rest = &got[..];
        loop {
            match whole(rest, &Rules::STREAM) {
                Ok(Some((header, payload))) => {
                    self.hear(&header, payload, line);
                    rest = &rest[header.frame_bytes()..];
                }
                Ok(None) => break,
                Err(refusal) => {
                    self.wrong = Some(format!("the server sent what is refused: {refusal}"));
                    break;
                }
            }
        }
        self.got = rest.to_vec();
    }

    fn on_eof(&mut self, line: &mut Line<'_>) {
        self.ended = true;
        line.finish();
    }

    fn on_failed(&mut self, _: LegError) {
        self.failed = true;
    }

    fn verdict(&self, harmed: bool) -> Result<(), String> {
        let served = match self.fate {
            Fate::Leaves | Fate::Sips => {
                self.ended && !self.failed && self.due.is_empty() && self.got.is_empty()
            }
            Fate::FallsSilent | Fate::BreaksOff | Fate::StopsReading => self.failed,
        };
        match &self.wrong {
            Some(wrong) => Err(wrong.clone()),
            None if harmed || served => Ok(()),
            None => {
                let Talker { fate, seq, due, ended, failed, .. } = self;
                Err(format!("{fate:?} after {seq}, {} are due, ended: {ended}, failed: {failed}", due.len()))
            }
        }
    }
}

/// What the service under test is held to.
#[derive(Clone)]
struct Judge {
    interval_ms: u64,
    faults: Faults,
    /// What was wrong, and whether it was that a verdict came late.
    wrong: Rc<RefCell<Vec<(bool, String)>>>,
}

/// The frame service, watched: when it buries a peer, was that the time?
struct Watched(Judge);

struct Session {
    frame: Option<(Leg, frame::Session)>,
    /// When bytes of the peer last came.
    heard_ms: u64,
    /// What the looks since then were late.
    late_ms: u64,
    /// The last of them found output that the peer had not taken.
    unsent: bool,
}

impl Service for Watched {
    type Session = Session;
    type Note = ();
    const INPUT_MAX: usize = service::any::INPUT_MAX;

    fn open(&mut self, origin: Origin, io: &mut Io<'_, Self>) -> Session {
        let frame = match origin {
            Origin::Accepted(leg, _) => Some((leg, frame::Session::new(leg, &CONFIG, io))),
            Origin::Root => None,
        };
        Session { frame, heard_ms: io.now().0, late_ms: 0, unsent: false }
    }

    fn on(&mut self, session: &mut Session, event: Event<'_, Self>, io: &mut Io<'_, Self>) -> Next {
        let Some((leg, frame)) = &mut session.frame else {
            return if matches!(event, Event::Drain(_)) { Next::Close } else { Next::Stay };
        };
        match &event {
            Event::Bytes(..) => {
                (session.heard_ms, session.late_ms, session.unsent) = (io.now().0, 0, false);
            }
            Event::Timer(_) => {
                session.late_ms += if io.late_ms() > 1 { io.late_ms() } else { 0 };
                let stood = std::mem::replace(&mut session.unsent, io.unsent(*leg) > 0);
                if stood && !session.unsent {
                    // It has read, and perhaps could not be heard until then.
                    let moved_ms = io.moved(*leg).map_or(0, |at| at.0);
                    if moved_ms > session.heard_ms {
                        session.heard_ms = moved_ms;
                        session.late_ms = session.late_ms.min(io.now().0 - moved_ms);
                    }
                }
            }
            _ => {}
        }
        let before = io.meter().peers_silent.get();
        let next = frame.on(|_| &CONFIG, event, io);
        if io.meter().peers_silent.get() > before {
            self.0.judge(io.now().0 - session.heard_ms, session);
        }
        next
    }

    fn end(&mut self, _: Session, _: End) {}
}

const CONFIG: frame::Config = frame::Config {
    offer: frame::Offer { heartbeat_ms: 5_000, misses: 3, payload_bytes_max: 1 << 20 },
    hello: Duration::from_secs(10),
};

impl Judge {
    fn judge(&self, quiet_ms: u64, session: &Session) {
        let patience = MISSES * self.interval_ms;
        let late_ms = session.late_ms;
        let lived = quiet_ms.saturating_sub(late_ms);
        // A tick more where the last look was late, and one that any timer may come behind its tick.
        let most = patience + if self.faults.few_taken > 0.0 { self.interval_ms + 1 } else { 2 };
        if quiet_ms < patience || lived > most {
            let judged = format!("buried after {quiet_ms} ms, of which {late_ms} late; patience {patience}");
            self.wrong.borrow_mut().push((quiet_ms >= patience, judged));
        }
    }
}

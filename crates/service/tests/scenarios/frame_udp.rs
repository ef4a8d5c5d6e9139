//! Simulated clients of a datagram listener that speaks frames, in a world that loses, doubles and delays datagrams, takes the
//! server's core away for seconds, and now and then makes a client deaf for as long.
//!
//! Each client judges what becomes of each of its frames: no answer comes twice, none comes out of order that was to come in
//! order, and each is answered, or reported as given up, or without an answer, or the end of the conversation is.

use bytes::Bytes;
use proto::frame::{Flags, Header, Hello, Kind};
use service::any::{Any, Config, Kind as Served};
use service::frame::udp::{self, CallerState, Client, Closed, Host, Jar, Moment, News};
use shard::ListenerId;
use shard::engine::sim::{Faults, Post, Run, Sim, Station, listener, plan};
use shard::plan::{Plan, Transport};
use shard::random::Random;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

/// What became of the frames of a run.
#[derive(Clone, Copy, Debug, Default)]
pub struct Told {
    pub frames: u64,
    pub answered: u64,
    pub given_up: u64,
    pub no_answer: u64,
    pub closed: u64,
}

/// A few clients in a world of the seed's own faults.
pub fn run(seed: u64) -> Run {
    told(seed).0
}

/// The same, and what became of the frames.
pub fn told(seed: u64) -> (Run, Told) {
    let mut random = Random::new(seed);
    let mut faults =
        Faults::mixed(seed).with("datagram_lost", [0.0, 0.1, 0.1, 0.3][random.below(4) as usize]);
    faults = faults.with("datagram_twice", [0.0, 0.1, 0.3][random.below(3) as usize]);
    faults = faults.with("delay", [0.0, 0.1, 0.5][random.below(3) as usize]);
    if random.chance(0.3) {
        faults = faults.with("stall", random.below(1000) as f64 / 20_000.0);
    }
    world(seed, faults, SMALL, &mut random)
}

/// 10 % lost, 10 % doubled, 10 % late by up to 20 ms, each way.
pub fn stormy(seed: u64) -> (Run, Told) {
    let faults = Faults::NONE.with("datagram_lost", 0.1).with("datagram_twice", 0.1).with("delay", 0.1);
    world(seed, faults, 512, &mut Random::new(seed))
}

/// Receive buffers of a world in which more is lost than the network loses.
const SMALL: u16 = 16;

fn world(seed: u64, faults: Faults, buffers: u16, random: &mut Random) -> (Run, Told) {
    let seats = 1 + random.below(2) as u16;
    let address = SocketAddr::from(([192, 0, 2, 1], 7016));
    let small = plan(seats);
    let pool = linux::pool::Plan { count: buffers, ..small.pool };
    let plan = Plan { listeners: vec![listener(Transport::Udp, address)], pool, ..small };
    let sum = Rc::new(RefCell::new(Told::default()));
    let mut world = Sim::new(seed).faults(faults).plan(plan);
    for number in 0..1 + random.below(3) {
        let at = Duration::from_millis(random.below(30));
        let deaf = if buffers == SMALL && random.chance(0.2) { 0.002 } else { 0.0 };
        let from = SocketAddr::from(([192, 0, 2, 9], 5_000 + number as u16));
        world = world.station(at, ListenerId(0), from, Caller { deaf, ..Caller::new(random, sum.clone()) });
    }
    // Two of one host.
    let peers_max = 16;
    let config = move |_| {
        Config::new(vec![Served::FrameUdp(udp::Config {
            offer: service::frame::Offer::default(),
            jar: Jar::new([seed as u8; 16]),
            peers_max,
        })])
    };
    let run = world.run(|seat| Any::new(config(seat)));
    let told = *sum.borrow();
    (run, told)
}

/// A client that means well: some hundred frames, then it leaves.
pub struct Caller {
    client: Option<Client>,
    desk: Desk,
    /// Frames to send in all, and how many at a time.
    frames: u32,
    at_once: u64,
    flags: Flags,
    /// When it was to be called next.
    due_ms: u64,
    /// Now and then it hears nothing, for so long.
    deaf: f64,
    deaf_until_ms: u64,
    ended: bool,
    sum: Rc<RefCell<Told>>,
}

/// What the client said, and what it is told.
#[derive(Default)]
struct Desk {
    out: Vec<Bytes>,
    /// By frame, in the order in which they were sent: its number, its payload, and what became of it.
    sent: VecDeque<Sent>,
    /// The highest of those in order that was answered.
    last: Option<u32>,
    opened: bool,
    leaving: bool,
    closed: Option<Closed>,
    wrong: Option<String>,
    told: Told,
}

struct Sent {
    seq: u32,
    payload: Vec<u8>,
    ordered: bool,
    answered: bool,
    given_up: bool,
    no_answer: bool,
}

impl Desk {
    fn frame(&mut self, seq: u32) -> Option<&mut Sent> {
        self.sent.iter_mut().find(|sent| sent.seq == seq)
    }

    fn answer(&mut self, header: Header, payload: &[u8]) {
        let last = self.last;
        let Some(sent) = self.frame(header.seq) else {
            self.wrong = Some(format!("an answer to {} that was never sent", header.seq));
            return;
        };
        let late = sent.ordered && last.is_some_and(|last| (header.seq.wrapping_sub(last) as i32) < 0);
        let wrong = if sent.answered {
            Some("came twice")
        } else if sent.payload != payload {
            Some("is another")
        } else if late {
            Some("came out of order")
        } else if sent.no_answer {
            Some("came though the server gave it up")
        } else {
            None
        };
        let ordered = sent.ordered;
        sent.answered = true;
        if ordered {
            self.last = Some(header.seq);
        }
        self.told.answered += 1;
        if let Some(wrong) = wrong {
            self.wrong = Some(format!("the answer to {} {wrong}", header.seq));
        }
    }
}

impl Host for Desk {
    fn send(&mut self, frame: Bytes) {
        self.out.push(frame);
    }

    fn news(&mut self, news: News<'_>) {
        match news {
            News::Opened(_) => self.opened = true,
            News::Answer(header, payload) => self.answer(header, payload),
            News::GivenUp(seq) => {
                self.told.given_up += 1;
                self.frame(seq).expect("it was sent").given_up = true;
            }
            News::NoAnswer(seq) => {
                self.told.no_answer += 1;
                let sent = self.frame(seq).expect("it was sent");
                if sent.answered {
                    self.wrong = Some(format!("{seq} was answered, and is to have no answer"));
                } else {
                    sent.no_answer = true;
                }
            }
            News::Leaving => self.leaving = true,
            News::Closed(why) => {
                self.told.closed += 1;
                self.closed = Some(why);
            }
        }
    }
}

impl Caller {
    pub fn new(random: &mut Random, sum: Rc<RefCell<Told>>) -> Caller {
        let ordered = random.chance(0.5);
        Caller {
            client: None,
            desk: Desk::default(),
            frames: random.below(400) as u32,
            at_once: 1 + random.below(80),
            flags: if ordered { Flags::ACK_WANTED.with(Flags::ORDERED) } else { Flags::ACK_WANTED },
            due_ms: 0,
            deaf: 0.0,
            deaf_until_ms: 0,
            ended: false,
            sum,
        }
    }

    /// Something happened: what the client wishes is done, and more is asked.
    fn go_on(&mut self, post: &mut Post<'_>) {
        let now_ms = post.now_ns() / 1_000_000;
        let client = self.client.as_mut().expect("it began");
        let mut burst = 1 + post.random().below(self.at_once);
        while client.state() == CallerState::Open && self.frames > 0 && burst > 0 {
            let number = self.frames;
            let payload: Vec<u8> = (0..number % 200).map(|at| (at ^ number) as u8).collect();
            // One in some is not asked in order even so.
            let flags = if number.is_multiple_of(7) { Flags::ACK_WANTED } else { self.flags };
            let crc = if number.is_multiple_of(3) { Flags::CRC } else { Flags::NONE };
            let Ok(seq) = client.send((Kind::Data, flags.with(crc)), &payload, now_ms, &mut self.desk) else {
                break;
            };
            let ordered = flags.has(Flags::ORDERED);
            let sent = Sent { seq, payload, ordered, answered: false, given_up: false, no_answer: false };
            self.desk.sent.push_back(sent);
            self.desk.told.frames += 1;
            (self.frames, burst) = (self.frames - 1, burst - 1);
        }
        let settled = self.desk.sent.iter().all(|sent| sent.answered || sent.given_up || sent.no_answer);
        if (self.frames == 0 || self.desk.leaving) && settled && client.flying() == 0 {
            client.leave(now_ms, &mut self.desk);
        }
        for frame in self.desk.out.drain(..) {
            post.send(frame.to_vec());
        }
        match client.due_ms() {
            Some(due_ms) => {
                self.due_ms = due_ms.max(self.deaf_until_ms);
                post.wait(Duration::from_millis(self.due_ms.saturating_sub(now_ms).max(1)));
            }
            None => {
                if !std::mem::replace(&mut self.ended, true) {
                    let Told { frames, answered, given_up, no_answer, closed } = self.desk.told;
                    let mut sum = self.sum.borrow_mut();
                    sum.frames += frames;
                    sum.answered += answered;
                    sum.given_up += given_up;
                    sum.no_answer += no_answer;
                    sum.closed += closed;
                }
                post.end();
            }
        }
    }
}

impl Station for Caller {
    fn on_begin(&mut self, post: &mut Post<'_>) {
        let now_ms = post.now_ns() / 1_000_000;
        let hello = Hello { heartbeat_ms: 2_000, ..Hello::new() };
        let random = post.random().next();
        self.client = Some(Client::new(hello, random, now_ms, &mut self.desk));
        self.go_on(post);
    }

    fn on_datagram(&mut self, bytes: &[u8], post: &mut Post<'_>) {
        let now_ms = post.now_ns() / 1_000_000;
        if post.random().chance(self.deaf) {
            self.deaf_until_ms = now_ms + post.random().below(9_000);
        }
        if now_ms < self.deaf_until_ms {
            return;
        }
        self.client.as_mut().expect("it began").on_datagram(bytes, now_ms, &mut self.desk);
        self.go_on(post);
    }

    fn on_timer(&mut self, post: &mut Post<'_>) {
        let now_ms = post.now_ns() / 1_000_000;
        let late_ms = now_ms.saturating_sub(self.due_ms);
        let moment = Moment { now_ms, late_ms, behind: false, random: post.random().next() };
        self.client.as_mut().expect("it began").on_time(moment, &mut self.desk);
        self.go_on(post);
    }

    fn verdict(&self, _harmed: bool) -> Result<(), String> {
        if let Some(wrong) = &self.desk.wrong {
            return Err(wrong.clone());
        }
        let silent = |sent: &&Sent| !(sent.answered || sent.given_up || sent.no_answer);
        let lost = self.desk.sent.iter().filter(silent).count();
        match self.desk.closed {
            None => Err("it has no end".into()),
            Some(Closed::Left) if lost > 0 => Err(format!("{lost} frames were lost without a word")),
            Some(Closed::Refused(code)) if code != 16 && code != 9 => Err(format!("refused with {code}")),
            Some(_) => Ok(()),
        }
    }
}

//! Simulated clients of the site, and the runs that are made of them.
#![allow(dead_code, unreachable_pub, reason = "each user of it takes its part")]

pub mod fleet;
pub mod frame;
pub mod frame_udp;

use service::any::{Any, Config, Kind};
use service::http;
use shard::LegError;
use shard::engine::sim::{Faults, Line, Mirror, Peer, Run, Sim};
use shard::random::Random;
use std::collections::VecDeque;
use std::ops::RangeInclusive;
use std::time::Duration;

/// The scenarios, by name.
pub const NAMES: [&str; 5] = ["http", "tcp-echo", "frame", "frame-udp", "frame-udp-storm"];

/// Runs a scenario in a world with faults. Panics when there is none of that name.
pub fn run(scenario: &str, seed: u64) -> Run {
    if scenario == "frame" {
        return frame::run(seed);
    }
    if scenario == "frame-udp" {
        return frame_udp::run(seed);
    }
    if scenario == "frame-udp-storm" {
        return frame_udp::stormy(seed).0;
    }
    let mut random = Random::new(seed);
    let mut world = Sim::new(seed).faults(Faults::mixed(seed));
    for _ in 0..1 + random.below(4) {
        let at = Duration::from_millis(random.below(30));
        let listener = shard::ListenerId(0);
        world = match scenario {
            "http" => world.client_at(at, listener, asker(&mut random)),
            "tcp-echo" => {
                let (bytes, ahead) = (random.below(40_000), 1 + random.below(20_000));
                world.client_at(at, listener, Mirror::new(random.next(), bytes, ahead))
            }
            _ => panic!("the scenarios are {NAMES:?}"),
        };
    }
    let kind = |_| if scenario == "http" { Kind::Http(Box::new(site())) } else { Kind::Echo };
    world.run(|seat| Any::new(Config::new(vec![kind(seat)])))
}

/// A site whose listener is the simulation's.
pub fn site() -> http::Config {
    http::Config::site("192.0.2.1:80".parse().expect("an address"), true, &[])
}

/// Runs clients against the site in a perfect world.
pub fn serve(clients: impl IntoIterator<Item = Asker>) -> Run {
    let world = clients.into_iter().fold(Sim::new(1), Sim::client);
    world.run(|_| Any::new(Config::new(vec![Kind::Http(Box::new(site()))])))
}

/// A client with a few requests of all kinds, pipelined or cut as the seed wants it. The last one ends the connection.
fn asker(random: &mut Random) -> Asker {
    let mut asker = Asker::new();
    for _ in 0..1 + random.below(6) {
        let bytes = random.below(3000) as usize;
        let body = vec![b'a' + (bytes % 26) as u8; bytes];
        let (request, body) = match random.below(6) {
            0 => ("GET /ping HTTP/1.1\r\nHost: x\r\n\r\n".into(), b"ok".to_vec()),
            1 => (format!("GET /bytes/{} HTTP/1.1\r\nHost: x\r\n\r\n", bytes * 5), pattern(bytes * 5)),
            2 => (
                format!("GET /users/{bytes} HTTP/1.1\r\nHost: x\r\n\r\n"),
                format!("{{\"id\":\"{bytes}\"}}").into(),
            ),
            3 => {
                let head = format!("GET /ping HTTP/1.1\r\nHost: x\r\nContent-Length: {bytes}\r\n\r\n");
                (head + str::from_utf8(&body).expect("ASCII"), b"ok".to_vec())
            }
            4 => {
                let head = format!("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: {bytes}\r\n\r\n");
                (head + str::from_utf8(&body).expect("ASCII"), body)
            }
            _ => {
                let mut request =
                    "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned();
                for chunk in body.chunks(1 + random.below(1500) as usize) {
                    request += &format!("{:x}\r\n{}\r\n", chunk.len(), str::from_utf8(chunk).expect("ASCII"));
                }
                (request + "0\r\n\r\n", body)
            }
        };
        asker = asker.send(request).expect(200, body);
        if random.chance(0.3) {
            asker = asker.wait(Duration::from_millis(random.below(200)));
        }
    }
    asker.send("GET /ping HTTP/1.0\r\n\r\n").expect(200, "ok")
}

/// The first `bytes` bytes of `/bytes/N`.
pub fn pattern(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|at| (at % 251) as u8).collect()
}

/// A status and a body.
type Answer = (u16, Vec<u8>);
/// A body and what follows it.
type Split<'a> = (Vec<u8>, &'a [u8]);

/// A client that acts by a list, and at the end wants certain answers and then the end of the connection.
#[derive(Debug, Default)]
pub struct Asker {
    acts: VecDeque<Act>,
    expected: Vec<Answer>,
    got: Vec<u8>,
    ended: Option<(u64, Result<(), LegError>)>,
    /// The end must come in this time, in milliseconds since the run began.
    ends_ms: Option<RangeInclusive<u64>>,
    /// It must be a reset, and what came before does not matter.
    is_reset: bool,
}

#[derive(Debug)]
enum Act {
    Send(Vec<u8>),
    Wait(Duration),
    Read(bool),
}

impl Asker {
    pub fn new() -> Asker {
        Asker::default()
    }

    pub fn send(mut self, bytes: impl Into<Vec<u8>>) -> Asker {
        self.acts.push_back(Act::Send(bytes.into()));
        self
    }

    pub fn wait(mut self, wait: Duration) -> Asker {
        self.acts.push_back(Act::Wait(wait));
        self
    }

    pub fn read(mut self, on: bool) -> Asker {
        self.acts.push_back(Act::Read(on));
        self
    }

    /// One more answer, at any time: its status and its body.
    pub fn expect(mut self, status: u16, body: impl Into<Vec<u8>>) -> Asker {
        self.expected.push((status, body.into()));
        self
    }

    pub fn ends_ms(mut self, when: RangeInclusive<u64>) -> Asker {
        self.ends_ms = Some(when);
        self
    }

    pub fn ends_by_reset(mut self) -> Asker {
        self.is_reset = true;
        self
    }

    fn go_on(&mut self, line: &mut Line<'_>) {
        while let Some(act) = self.acts.pop_front() {
            match act {
                Act::Send(bytes) => line.send(bytes),
                Act::Read(on) => line.read(on),
                Act::Wait(wait) => return line.wait(wait),
            }
        }
        // A reset is not seen by a peer that only listens for data; looking now and then is enough.
        if self.is_reset && self.ended.is_none() {
            line.wait(Duration::from_secs(1));
        }
    }
}

impl Peer for Asker {
    fn on_connect(&mut self, line: &mut Line<'_>) {
        self.go_on(line);
    }

    fn on_bytes(&mut self, bytes: &[u8], _: &mut Line<'_>) {
        self.got.extend(bytes);
    }

    fn on_eof(&mut self, line: &mut Line<'_>) {
        self.ended = Some((line.now_ns() / 1_000_000, Ok(())));
        line.finish();
    }

    fn on_failed(&mut self, why: LegError) {
        self.ended = Some((0, Err(why)));
    }

    fn on_timer(&mut self, line: &mut Line<'_>) {
        self.go_on(line);
    }

    fn verdict(&self, harmed: bool) -> Result<(), String> {
        if self.is_reset {
            let reset = matches!(self.ended, Some((_, Err(LegError::Reset))));
            return if reset { Ok(()) } else { Err(format!("no reset but {:?}", self.ended)) };
        }
        let (answers, whole) = answers(&self.got)?;
        let wanted = &self.expected[..self.expected.len().min(answers.len())];
        if let Some(at) = answers.iter().zip(wanted).position(|(got, wanted)| got != wanted) {
            let short = |(status, body): &Answer| format!("{status} with {} bytes", body.len());
            return Err(format!("answer {at}: {}, not {}", short(&answers[at]), short(&wanted[at])));
        }
        let all = answers.len() == self.expected.len() && whole && matches!(self.ended, Some((_, Ok(()))));
        if answers.len() > self.expected.len() || !harmed && !all {
            let (got, wanted) = (answers.len(), self.expected.len());
            return Err(format!("{got} answers of {wanted}, whole: {whole}, end: {:?}", self.ended));
        }
        match (&self.ends_ms, self.ended) {
            (Some(when), Some((at, _))) if !harmed && !when.contains(&at) => {
                Err(format!("it ended at {at} ms, not {when:?}"))
            }
            _ => Ok(()),
        }
    }
}

/// The answers in some bytes, and whether the bytes end where an answer does. None of them is to HEAD.
fn answers(mut bytes: &[u8]) -> Result<(Vec<Answer>, bool), String> {
    let mut answers = Vec::new();
    while let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
        let head = str::from_utf8(&bytes[..end]).map_err(|_| "a head is not text")?;
        let status =
            head.get(9..12).and_then(|code| code.parse().ok()).ok_or_else(|| format!("no status: {head}"))?;
        let value = |name: &str| head.lines().find_map(|line| line.strip_prefix(name));
        let rest = &bytes[end + 4..];
        let body = match (value("Content-Length: "), value("Transfer-Encoding: ")) {
            _ if status == 204 || status == 100 => Some((Vec::new(), rest)),
            (Some(length), None) => {
                let length = length.parse().map_err(|_| "a length is no number")?;
                rest.split_at_checked(length).map(|(body, rest)| (body.to_vec(), rest))
            }
            (None, Some("chunked")) => chunks(rest)?,
            _ => return Err(format!("no framing: {head}")),
        };
        let Some((body, rest)) = body else { return Ok((answers, false)) };
        answers.push((status, body));
        bytes = rest;
    }
    Ok((answers, bytes.is_empty()))
}

/// The payload of a chunked body and what follows it; `None` when its end is missing.
fn chunks(mut bytes: &[u8]) -> Result<Option<Split<'_>>, String> {
    let mut body = Vec::new();
    while let Some(end) = bytes.windows(2).position(|window| window == b"\r\n") {
        let size = str::from_utf8(&bytes[..end]).ok().and_then(|size| usize::from_str_radix(size, 16).ok());
        let size = size.ok_or("a chunk size is no number")?;
        let Some((chunk, rest)) = bytes[end + 2..].split_at_checked(size) else { return Ok(None) };
        body.extend(chunk);
        let Some(rest) = rest.strip_prefix(b"\r\n") else {
            return if rest.len() < 2 { Ok(None) } else { Err("a chunk has no end".into()) };
        };
        if size == 0 {
            return Ok(Some((body, rest)));
        }
        bytes = rest;
    }
    Ok(None)
}

/// A client that asks again and again, some time after each answer, until it is told that the connection ends.
#[derive(Debug)]
pub struct Regular {
    think: Duration,
    asked: u32,
    answered: u32,
    told: bool,
    got: Vec<u8>,
}

impl Regular {
    pub fn new(think: Duration) -> Regular {
        Regular { think, asked: 0, answered: 0, told: false, got: Vec::new() }
    }
}

impl Peer for Regular {
    fn on_connect(&mut self, line: &mut Line<'_>) {
        self.on_timer(line);
    }

    fn on_timer(&mut self, line: &mut Line<'_>) {
        line.send("GET /ping HTTP/1.1\r\nHost: x\r\n\r\n");
        self.asked += 1;
    }

    fn on_bytes(&mut self, bytes: &[u8], line: &mut Line<'_>) {
        self.got.extend(bytes);
        if self.got.ends_with(b"\r\n\r\nok") {
            self.told =
                str::from_utf8(&self.got).is_ok_and(|answer| answer.contains("\r\nConnection: close\r\n"));
            self.answered += 1;
            self.got.clear();
            if !self.told {
                line.wait(self.think);
            }
        }
    }

    fn verdict(&self, _: bool) -> Result<(), String> {
        let Regular { asked, answered, told, .. } = self;
        let good = *told && asked == answered;
        if good { Ok(()) } else { Err(format!("{answered} answers to {asked} requests, told to go: {told}")) }
    }
}

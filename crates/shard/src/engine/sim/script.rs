//! Two ready-made peers: one that follows a script, and one that wants back what it sends.

use super::peer::{Line, Peer};
use crate::random::Random;
use crate::service::LegError;
use std::collections::VecDeque;
use std::time::Duration;

/// A peer that does one thing after the other. What comes must be what it expects, byte for byte and nothing else.
///
/// ```
/// use shard::engine::sim::Script;
/// Script::new().send("GET / HTTP/1.0\r\n\r\n").expect("HTTP/1.0 200 OK\r\n\r\n").eof();
/// ```
#[derive(Clone, Debug, Default)]
pub struct Script {
    steps: VecDeque<Step>,
    got: VecDeque<u8>,
    eof: bool,
    waiting: bool,
    /// Ended by a reset that it was to expect.
    failed: Option<LegError>,
    broken: Option<String>,
    done: usize,
}

#[derive(Clone, Debug)]
enum Step {
    Send(Vec<u8>),
    Expect(Vec<u8>),
    Skip(usize),
    Eof,
    Failed,
    Finish,
    Close,
    Reset,
    Wait(Duration),
    Read(bool),
}

impl Script {
    /// A peer that connects and does nothing.
    pub fn new() -> Script {
        Script::default()
    }

    /// Sends these bytes.
    pub fn send(self, bytes: impl Into<Vec<u8>>) -> Script {
        self.then(Step::Send(bytes.into()))
    }

    /// Waits for exactly these bytes.
    pub fn expect(self, bytes: impl Into<Vec<u8>>) -> Script {
        self.then(Step::Expect(bytes.into()))
    }

    /// Waits for `n` bytes, whatever they are.
    pub fn skip(self, n: usize) -> Script {
        self.then(Step::Skip(n))
    }

    /// Waits for the service's FIN, with no byte before it.
    pub fn eof(self) -> Script {
        self.then(Step::Eof)
    }

    /// Waits for a reset or a refusal.
    pub fn failed(self) -> Script {
        self.then(Step::Failed)
    }

    /// Sends FIN and goes on reading.
    pub fn finish(self) -> Script {
        self.then(Step::Finish)
    }

    /// Closes both ways without reading on.
    pub fn close(self) -> Script {
        self.then(Step::Close)
    }

    /// Resets the connection.
    pub fn reset(self) -> Script {
        self.then(Step::Reset)
    }

    /// Does nothing for this long.
    pub fn wait(self, after: Duration) -> Script {
        self.then(Step::Wait(after))
    }

    /// Reads from now on, or stops doing so.
    pub fn read(self, on: bool) -> Script {
        self.then(Step::Read(on))
    }

    fn then(mut self, step: Step) -> Script {
        self.steps.push_back(step);
        self
    }

    fn go_on(&mut self, line: &mut Line<'_>) {
        while !self.waiting && self.broken.is_none() && self.step(line) {
            self.steps.pop_front();
            self.done += 1;
        }
        if self.waiting {
            return;
        }
        if self.eof {
            line.finish();
        } else if self.broken.is_some() || self.steps.is_empty() {
            line.close();
        }
    }

    /// Does the next step; `false` when it must wait or there is none.
    fn step(&mut self, line: &mut Line<'_>) -> bool {
        let Some(step) = self.steps.front() else { return false };
        match step {
            Step::Expect(bytes) => {
                if let Some(at) = bytes.iter().zip(&self.got).position(|(want, got)| want != got) {
                    let (want, got) = (shown(&bytes[at..]), shown(&self.got.make_contiguous()[at..]));
                    self.broken = Some(format!("step {}: wanted {want} and got {got}", self.done));
                    return false;
                }
                if self.got.len() < bytes.len() {
                    return false;
                }
                self.got.drain(..bytes.len());
            }
            Step::Skip(n) if self.got.len() < *n => return false,
            Step::Skip(n) => drop(self.got.drain(..*n)),
            Step::Eof if !self.got.is_empty() => {
                let got = shown(self.got.make_contiguous());
                self.broken = Some(format!("step {}: wanted the end and got {got}", self.done));
                return false;
            }
            Step::Eof => return self.eof,
            Step::Failed => return false,
            Step::Send(bytes) => line.send(bytes.clone()),
            Step::Finish => line.finish(),
            Step::Close => line.close(),
            Step::Reset => line.reset(),
            Step::Read(on) => line.read(*on),
            Step::Wait(after) => {
                line.wait(*after);
                self.waiting = true;
            }
        }
        true
    }
}

impl Peer for Script {
    fn on_connect(&mut self, line: &mut Line<'_>) {
        self.go_on(line);
    }

    fn on_bytes(&mut self, bytes: &[u8], line: &mut Line<'_>) {
        self.got.extend(bytes);
        self.go_on(line);
    }

    fn on_eof(&mut self, line: &mut Line<'_>) {
        self.eof = true;
        self.go_on(line);
    }

    fn on_failed(&mut self, why: LegError) {
        if let Some(Step::Failed) = self.steps.front() {
            self.steps.pop_front();
            self.done += 1;
        }
        self.failed = Some(why);
    }

    fn on_timer(&mut self, line: &mut Line<'_>) {
        self.waiting = false;
        self.go_on(line);
    }

    fn verdict(&self, harmed: bool) -> Result<(), String> {
        if let Some(broken) = &self.broken {
            return Err(broken.clone());
        }
        match self.steps.front() {
            Some(step) if !harmed => {
                let step = format!("{step:?}");
                let short: String = step.chars().take(120).collect();
                let end = if self.eof { "eof".into() } else { format!("{:?}", self.failed) };
                Err(format!(
                    "stopped at step {} ({short}) with {} bytes unread, {end}",
                    self.done,
                    self.got.len()
                ))
            }
            None if !self.got.is_empty() => Err(format!("{} bytes more than expected", self.got.len())),
            _ => Ok(()),
        }
    }
}

/// A client that sends bytes of its seed and wants the same back: in order, all of them, then the end.
#[derive(Clone, Debug)]
pub struct Mirror {
    seed: u64,
    bytes: u64,
    /// Most bytes sent and not back yet.
    ahead: u64,
    sent: u64,
    back: u64,
    finished: bool,
    eof: bool,
    broken: Option<String>,
    content: Random,
    expected: Random,
}

impl Mirror {
    /// Sends `bytes` in all, never more than `ahead` beyond what came back, then half-closes and reads the rest.
    pub fn new(seed: u64, bytes: u64, ahead: u64) -> Mirror {
        let (content, expected) = (Random::new(seed), Random::new(seed));
        let (finished, eof, broken) = (false, false, None);
        Mirror {
            seed,
            bytes,
            ahead: ahead.max(1),
            sent: 0,
            back: 0,
            finished,
            eof,
            broken,
            content,
            expected,
        }
    }

    fn go_on(&mut self, line: &mut Line<'_>) {
        let n = (self.bytes - self.sent).min(self.ahead - (self.sent - self.back));
        if n > 0 {
            let content = &mut self.content;
            line.send((0..n).map(|_| content.next() as u8).collect::<Vec<u8>>());
            self.sent += n;
        }
        if self.sent == self.bytes && !std::mem::replace(&mut self.finished, true) {
            line.finish();
        }
    }
}

impl Peer for Mirror {
    fn on_connect(&mut self, line: &mut Line<'_>) {
        self.go_on(line);
    }

    fn on_bytes(&mut self, bytes: &[u8], line: &mut Line<'_>) {
        for byte in bytes {
            if *byte != self.expected.next() as u8 || self.back == self.sent {
                let (back, sent, seed) = (self.back, self.sent, self.seed);
                self.broken = Some(format!("byte {back} of {sent} sent is not what was sent (seed {seed})"));
                return line.close();
            }
            self.back += 1;
        }
        self.go_on(line);
    }

    fn on_eof(&mut self, line: &mut Line<'_>) {
        self.eof = true;
        line.finish();
    }

    fn verdict(&self, harmed: bool) -> Result<(), String> {
        match &self.broken {
            Some(broken) => Err(broken.clone()),
            None if harmed || (self.back == self.bytes && self.eof) => Ok(()),
            None => Err(format!("{} of {} bytes came back, end seen: {}", self.back, self.bytes, self.eof)),
        }
    }
}

fn shown(bytes: &[u8]) -> String {
    let short = &bytes[..bytes.len().min(60)];
    format!("\"{}\" ({} bytes)", short.escape_ascii(), bytes.len())
}

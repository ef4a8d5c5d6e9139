//! A client that stays: it asks now and then, wants an answer before it asks again, and goes when its time is over.
//!
//! Small and quiet, so that a million of them fit in one run: between two beats it holds no byte.

use super::peer::{Line, Peer};
use crate::service::LegError;
use std::rc::Rc;
use std::time::Duration;

/// What clients of one kind say, and how they read what they hear. One value serves all of them.
pub trait Beat {
    /// What a client sends the `nth` time, from 0: the first time as soon as it is connected.
    fn ask(&self, nth: u32) -> Vec<u8>;

    /// Looks at all that came and was not taken yet. What else is to be said (an answer to a beat of the service) goes out
    /// through the line. An error is what is wrong with these bytes, and ends the client.
    fn hear(&self, unread: &[u8], line: &mut Line<'_>) -> Result<Heard, String>;
}

/// What [`Beat::hear`] found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// Bytes of whole messages; the rest is offered again with what follows.
    pub taken: usize,
    /// How many of these messages answer what the client asked.
    pub answers: u32,
}

/// One such client.
#[derive(Debug)]
pub struct Pulse<B> {
    beat: Rc<B>,
    every_ns: u64,
    until_ns: u64,
    unread: Vec<u8>,
    asked: u32,
    answered: u32,
    /// It has said all and sent its end.
    leaves: bool,
    eof: bool,
    broken: Option<Box<str>>,
}

impl<B: Beat> Pulse<B> {
    /// Asks when it is connected, and from some moment within the first `every` on again and again, 15/16 to 17/16 of `every`
    /// later each time; leaves at the first beat that is not before `until`, a time of the run.
    pub fn new(beat: Rc<B>, every: Duration, until: Duration) -> Pulse<B> {
        Pulse {
            beat,
            // At least 16: the jitter is a share of it.
            every_ns: (every.as_nanos() as u64).max(16),
            until_ns: until.as_nanos() as u64,
            unread: Vec::new(),
            asked: 0,
            answered: 0,
            leaves: false,
            eof: false,
            broken: None,
        }
    }

    fn ask(&mut self, line: &mut Line<'_>) {
        line.send(self.beat.ask(self.asked));
        self.asked += 1;
    }

    fn account(&self) -> String {
        format!("asked {} times and had {} answers", self.asked, self.answered)
    }

    fn fail(&mut self, why: String, line: &mut Line<'_>) {
        self.broken = Some(why.into());
        line.close();
    }
}

impl<B: Beat> Peer for Pulse<B> {
    fn on_connect(&mut self, line: &mut Line<'_>) {
        self.ask(line);
        let first = line.random().below(self.every_ns);
        line.wait(Duration::from_nanos(first));
    }

    fn on_timer(&mut self, line: &mut Line<'_>) {
        if self.asked != self.answered {
            // The first interval may be as short as it likes.
            if self.asked > 1 || line.now_ns() >= self.until_ns {
                return self.fail(self.account(), line);
            }
            return line.wait(Duration::from_nanos(self.every_ns));
        }
        if line.now_ns() >= self.until_ns {
            self.leaves = true;
            return line.finish();
        }
        self.ask(line);
        let jitter = line.random().below(self.every_ns / 8);
        line.wait(Duration::from_nanos(self.every_ns - self.every_ns / 16 + jitter));
    }

    fn on_bytes(&mut self, bytes: &[u8], line: &mut Line<'_>) {
        let beat = self.beat.clone();
        let all = if self.unread.is_empty() {
            bytes
        } else {
            self.unread.extend_from_slice(bytes);
            &self.unread
        };
        match beat.hear(all, line) {
            Ok(Heard { taken, answers }) => {
                self.unread = all[taken..].to_vec();
                self.answered += answers;
                if self.answered > self.asked {
                    self.fail(self.account(), line);
                }
            }
            Err(why) => self.fail(why, line),
        }
    }

    fn on_eof(&mut self, line: &mut Line<'_>) {
        self.eof = true;
        line.finish();
    }

    fn on_failed(&mut self, _: LegError) {
        self.eof = false;
    }

    fn verdict(&self, harmed: bool) -> Result<(), String> {
        let Pulse { asked, answered, leaves, eof, .. } = self;
        match &self.broken {
            Some(why) => Err(why.to_string()),
            None if harmed || (*leaves && *eof && asked == answered && self.unread.is_empty()) => Ok(()),
            None => Err(format!("{answered} answers of {asked}, left: {leaves}, end seen: {eof}")),
        }
    }
}

// A million of them.
const _: () = assert!(size_of::<Pulse<()>>() <= 80);

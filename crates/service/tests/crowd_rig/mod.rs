//! A crowd of simulated clients that stay connected to one seat and ask now and then. Used by the test, which keeps it small,
//! and by the example `crowd`, which does not.
#![allow(unreachable_pub, reason = "each user of it takes its part")]

use proto::frame::{Flags, Header, Hello, Kind, Rules, whole, write};
use service::any::{self, Any};
use service::{frame, http};
use shard::ListenerId;
use shard::engine::sim::{Beat, Faults, Heard, Line, Pulse, Run, Sim, plan};
use shard::plan::Plan;
use std::rc::Rc;
use std::time::Duration;

/// How many there are, what they talk, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct Crowd {
    pub talk: Talk,
    pub connections: u32,
    /// The virtual time at which they begin to leave. They arrive within the first `every`.
    pub lasts: Duration,
    pub every: Duration,
    pub faults: Faults,
    pub seed: u64,
}

/// What a crowd talks to its seat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Talk {
    /// Frames: HELLO, then heartbeats in both directions.
    Frame,
    /// HTTP: a request for `/ping` on a connection that is kept alive.
    Http,
}

impl Crowd {
    /// Lets them come, talk and leave.
    pub fn run(self) -> Run {
        let every = self.every;
        match self.talk {
            Talk::Frame => {
                let kind = || any::Kind::Frame(frame::Config::default());
                self.run_with(Heartbeat { interval_ms: every.as_millis() as u32 }, kind)
            }
            Talk::Http => self.run_with(Ping, || {
                let site = http::Config::site("192.0.2.1:80".parse().expect("an address"), true, &[]);
                any::Kind::Http(Box::new(site))
            }),
        }
    }

    fn run_with(self, beat: impl Beat + 'static, kind: impl Fn() -> any::Kind) -> Run {
        let Crowd { connections, lasts, every, faults, seed, .. } = self;
        let plan = Plan {
            connections_max: connections as usize,
            pool: linux::pool::Plan { count: 1024, bytes: 1024, huge_pages: false },
            ..plan(1)
        };
        let beat = Rc::new(beat);
        let mut sim = Sim::new(seed).faults(faults).plan(plan).patience(lasts + 4 * every);
        for n in 0..connections {
            let at = every.mul_f64(f64::from(n) / f64::from(connections));
            sim = sim.client_at(at, ListenerId(0), Pulse::new(beat.clone(), every, lasts));
        }
        sim.run(|_| Any::new(any::Config::new(vec![kind()])))
    }
}

/// A frame client: its PING each interval, and a PONG to each of the server's.
#[derive(Debug)]
struct Heartbeat {
    interval_ms: u32,
}

impl Beat for Heartbeat {
    fn ask(&self, nth: u32) -> Vec<u8> {
        if nth > 0 {
            return Header::new(Kind::Ping, 0, nth).to_bytes().to_vec();
        }
        let hello = Hello { heartbeat_ms: self.interval_ms, ..Hello::new() };
        let mut frame = Vec::new();
        write(&mut frame, Kind::Hello, Flags::NONE, 0, &hello);
        frame
    }

    fn hear(&self, unread: &[u8], line: &mut Line<'_>) -> Result<Heard, String> {
        let mut heard = Heard::default();
        while let Some((header, payload)) =
            whole(&unread[heard.taken..], &Rules::STREAM).map_err(|refusal| format!("{refusal:?}"))?
        {
            heard.taken += header.frame_bytes();
            match header.kind {
                Kind::Hello | Kind::Pong => heard.answers += 1,
                Kind::Ping => {
                    let mut back = Header::new(Kind::Pong, header.length, header.seq).to_bytes().to_vec();
                    back.extend_from_slice(payload);
                    line.send(back);
                }
                Kind::Goaway => {}
                kind => return Err(format!("{} for a heartbeat", kind.name())),
            }
        }
        Ok(heard)
    }
}

/// A request to the site that keeps its connection alive, so that the session has a deadline in the timer wheel.
#[derive(Debug)]
struct Ping;

impl Beat for Ping {
    fn ask(&self, _: u32) -> Vec<u8> {
        b"GET /ping HTTP/1.1\r\nHost: x\r\n\r\n".to_vec()
    }

    fn hear(&self, unread: &[u8], _: &mut Line<'_>) -> Result<Heard, String> {
        const BEGIN: &[u8] = b"HTTP/1.1 200 OK\r\n";
        const END: &[u8] = b"\r\n\r\nok";
        let begin = unread.len().min(BEGIN.len());
        if unread[..begin] != BEGIN[..begin] {
            return Err(format!("not an answer: {}", unread.escape_ascii()));
        }
        // One answer at a time: a client asks again when it has the one before.
        let answers = u32::from(unread.ends_with(END));
        Ok(Heard { taken: if answers == 1 { unread.len() } else { 0 }, answers })
    }
}

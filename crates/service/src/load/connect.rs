//! Connections of a load: opened, lost, hung up, opened again.

use super::config::{CloseBy, Life};
use super::generator::{Load, Phase, Saying};
use super::line::{Line, State};
use super::record::Failure;
use super::udp::DONE;
use shard::{Connect, Io, LegError};
use std::cmp::Reverse;
use std::net::SocketAddr;

/// Connects of one seat that may be on their way at a time: a listener's queue is often no longer than 128 or 4096.
const CONNECTING_MAX: usize = 128;
/// After a failure a connection waits for so long, twice as long after each further one, at most this long.
const BACKOFF_NS: u64 = 10_000_000;
const BACKOFF_MAX_NS: u64 = 1_000_000_000;

impl Line {
    fn back_off(&mut self, now_ns: u64) {
        self.backoff_ns = (2 * self.backoff_ns).clamp(BACKOFF_NS, BACKOFF_MAX_NS);
        self.again_ns = now_ns + self.backoff_ns;
    }
}

impl Load {
    /// Connects what is to be connected, as far as the ramp and the bound of connects allow.
    pub(super) fn connect_more(&mut self, io: &mut Io<'_, Load>) {
        if matches!(self.talk, Saying::Datagrams(..)) || self.phase == Phase::Over {
            return;
        }
        let now_ns = io.now_ns();
        let allowed = self.config.ramp_per_s.map_or(u64::MAX, |per_s| {
            let seconds = (now_ns - self.since_ns) as f64 / 1e9;
            (seconds * per_s / f64::from(self.config.seats)) as u64 + 1
        });
        while self.connecting < CONNECTING_MAX {
            // The ramp is for the first time; who comes back was counted.
            if let Some(Reverse((_, index))) =
                self.down.peek().copied().filter(|Reverse((at, _))| *at <= now_ns)
            {
                self.down.pop();
                self.connect(index, io);
            } else if (self.fresh as usize) < self.lines.len() && u64::from(self.fresh) < allowed {
                self.fresh += 1;
                self.connect(self.fresh - 1, io);
            } else {
                break;
            }
        }
    }

    pub(super) fn connect(&mut self, index: u32, io: &mut Io<'_, Load>) {
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

    pub(super) fn not_connected(&mut self, index: u32, why: LegError, io: &mut Io<'_, Load>) {
        if self.phase != Phase::Waiting {
            let counts = self.record.counts();
            match why {
                LegError::Timeout => counts.connect_timeout += 1,
                _ => counts.refused += 1,
            }
        }
        self.tried(index);
        let line = &mut self.lines[index as usize];
        line.reset();
        line.back_off(io.now_ns());
        self.down.push(Reverse((line.again_ns, index)));
    }

    pub(super) fn tried(&mut self, index: u32) {
        if !std::mem::replace(&mut self.lines[index as usize].tried, true) {
            self.untried -= 1;
            if self.untried == 0 {
                let opened = self.lines.iter().filter(|line| line.state == State::Open).count() as u32;
                self.record.ready(opened, self.lines.len() as u32 - opened);
            }
        }
    }

    pub(super) fn opened(&mut self, index: u32, io: &mut Io<'_, Load>) {
        let now_ns = io.now_ns();
        let line = &mut self.lines[index as usize];
        let State::Connecting(since_ns) = line.state else { return };
        line.state = State::Open;
        line.answered = false;
        line.free_ns = now_ns;
        (line.left, line.until_ns) = match self.config.life {
            Life::Keep => (u64::MAX, u64::MAX),
            Life::Churn(requests) => (requests.max(1), u64::MAX),
            Life::Time(life) => (u64::MAX, now_ns.saturating_add(life.as_nanos() as u64)),
        };
        if let (Saying::Frame(_, hello), Some(leg)) = (&self.talk, line.leg) {
            // What is asked need not wait for its answer.
            io.out(leg).copy(hello);
        }
        self.connecting -= 1;
        self.record.connected(now_ns - since_ns);
        self.tried(index);
        self.has_room(index, io);
    }

    /// A connection has ended by itself. What was outstanding on it has failed.
    pub(super) fn lost(&mut self, index: u32, why: LegError, io: &mut Io<'_, Load>) {
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

    /// This side gives up a connection that cannot go on.
    pub(super) fn break_off(&mut self, index: u32, io: &mut Io<'_, Load>) {
        self.record.counts().lost_connections += 1;
        self.hang_up(index, CloseBy::Rst, io);
    }

    /// This side ends a connection.
    pub(super) fn hang_up(&mut self, index: u32, by: CloseBy, io: &mut Io<'_, Load>) {
        if let Some(leg) = self.lines[index as usize].leg {
            match by {
                CloseBy::Fin => io.close(leg),
                CloseBy::Rst => io.abort(leg),
            }
        }
        self.gone(index, io);
    }

    pub(super) fn gone(&mut self, index: u32, io: &mut Io<'_, Load>) {
        let line = &mut self.lines[index as usize];
        let meant = line.left == 0;
        line.reset();
        // One that closes at once, always, is not asked as fast as it can close.
        if line.answered || meant {
            line.backoff_ns = 0;
            line.again_ns = io.now_ns();
        } else {
            line.back_off(io.now_ns());
        }
        let again_ns = line.again_ns;
        if self.phase == Phase::Running && again_ns <= io.now_ns() && self.connecting < CONNECTING_MAX {
            self.connect(index, io);
        } else {
            self.down.push(Reverse((again_ns, index)));
        }
    }

    /// Every request that is outstanding on a connection has failed.
    pub(super) fn give_up(&mut self, index: u32, why: Failure, io: &mut Io<'_, Load>) {
        let now_ns = io.now_ns();
        let line = &mut self.lines[index as usize];
        if let Some(leg) = line.leg {
            line.stamp(io.sent_ns(leg));
        }
        let midway = line.reader.is_midway();
        let least_ns = if why == Failure::Timeout { self.config.timeout.as_nanos() as u64 } else { 0 };
        let mut first = true;
        while let Some(request) = line.pop() {
            if request.intended_ns != DONE {
                self.outstanding -= 1;
                let why = if first && midway && why == Failure::Reset { Failure::Short } else { why };
                self.record.failed(now_ns, &request, why, least_ns);
            }
            first = false;
        }
    }
}

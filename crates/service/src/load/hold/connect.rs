//! Connections of a hold: opened along the ramp, lost with a reason, closed at the end.

use super::super::config::CloseBy;
use super::report::Reasons;
use super::{Hold, Phase, Saying, State};
use shard::{Connect, Io, LegError};
use std::net::SocketAddr;

/// Connects of one seat that may be on their way at a time: a listener's queue is often no longer than 128 or 4096.
const CONNECTING_MAX: u64 = 128;
/// The same with HELLO, which takes two more turns of each side; who speaks frames is Ringmill, whose queue is long.
const GREETING_MAX: u64 = 512;
/// How long a lost connection waits until it is tried again.
const AGAIN_NS: u64 = 1_000_000_000;
/// Connections that one turn closes: each is a wish, which needs memory until it is carried out.
const CLOSED_AT_ONCE: usize = 1024;

impl Hold {
    /// Connects what is to be connected, as far as the ramp and the bound of connects allow.
    pub(super) fn connect_more(&mut self, io: &mut Io<'_, Hold>) {
        if self.phase == Phase::Closing || self.phase == Phase::Over {
            return;
        }
        let now_ns = io.now_ns();
        let allowed = self.config.ramp_per_s.map_or(u64::MAX, |per_s| {
            let seconds = (now_ns - self.since_ns) as f64 / 1e9;
            (seconds * per_s / f64::from(self.config.seats)) as u64 + 1
        });
        let opening_max = if let Saying::Frame(_) = self.say { GREETING_MAX } else { CONNECTING_MAX };
        while self.next < self.held.len() && (self.next as u64) < allowed && self.report.opening < opening_max
        {
            self.next += 1;
            self.connect(self.next as u32 - 1, io);
        }
        while self.report.opening < opening_max
            && self.again.front().is_some_and(|(due_ns, _)| *due_ns <= now_ns)
        {
            let Some((_, index)) = self.again.pop_front() else { break };
            self.connect(index, io);
        }
    }

    fn connect(&mut self, index: u32, io: &mut Io<'_, Hold>) {
        let number = index as usize * usize::from(self.config.seats) + usize::from(self.seat);
        let from = self.config.from.get(number % self.config.from.len().max(1)).copied();
        let to = self.config.to.get(number % self.config.to.len().max(1)).copied();
        let target = self.config.target;
        let connect = Connect {
            to: SocketAddr::new(to.unwrap_or(target.ip()), target.port()),
            from: from.map(|ip| SocketAddr::new(ip, 0)),
            deadline: self.config.timeout,
        };
        match io.connect(&connect) {
            Ok(leg) => {
                if self.by_leg.len() <= leg.index() {
                    self.by_leg.resize(leg.index() + 1, u32::MAX);
                }
                self.by_leg[leg.index()] = index;
                let held = &mut self.held[index as usize];
                (held.leg, held.state, held.since_ns) = (Some(leg), State::Connecting, io.now_ns());
                self.report.opening += 1;
            }
            Err(why) => {
                *reason(&mut self.report.refused, why) += 1;
                self.tried(index, io);
                self.try_again(index, io);
            }
        }
    }

    pub(super) fn opened(&mut self, index: u32, io: &mut Io<'_, Hold>) {
        let held = &mut self.held[index as usize];
        if held.state != State::Connecting {
            return;
        }
        match self.say {
            Saying::Frame(_) => self.greet(index, io),
            _ => self.begun(index, io),
        }
    }

    /// A connection is one that is held from now on.
    pub(super) fn begun(&mut self, index: u32, io: &mut Io<'_, Hold>) {
        let held = &mut self.held[index as usize];
        let took_ns = io.now_ns() - held.since_ns;
        held.state = State::Open;
        let fresh = !std::mem::replace(&mut held.reached, true);
        self.report.opening -= 1;
        self.report.open += 1;
        self.report.opened += 1;
        self.report.reached += u64::from(fresh);
        self.step.counts.opened += 1;
        self.step.connect.saturating_record(took_ns.max(1));
        self.tried(index, io);
    }

    /// The engine says that a connection failed, or could not be opened.
    pub(super) fn failed(&mut self, index: u32, why: LegError, io: &mut Io<'_, Hold>) {
        self.ended(index, |reasons| reason(reasons, why), io);
    }

    /// A connection is no more: it was open, or could not be opened.
    pub(super) fn ended(
        &mut self,
        index: u32,
        reason: impl FnOnce(&mut Reasons) -> &mut u64,
        io: &mut Io<'_, Hold>,
    ) {
        if matches!(self.held[index as usize].state, State::Connecting | State::Greeting) {
            self.report.opening -= 1;
            *reason(&mut self.report.refused) += 1;
            self.gone(index);
            self.tried(index, io);
            self.try_again(index, io);
        } else {
            self.lose(index, reason, io);
        }
    }

    /// An open connection is no more. A heartbeat that was on its way has failed, and took as long as it took.
    pub(super) fn lose(
        &mut self,
        index: u32,
        reason: impl FnOnce(&mut Reasons) -> &mut u64,
        io: &mut Io<'_, Hold>,
    ) {
        self.report.open -= 1;
        let held = &self.held[index as usize];
        if held.state == State::Muted {
            return self.found(index, io);
        }
        *reason(&mut self.report.lost) += 1;
        self.step.counts.lost_connections += 1;
        if held.state == State::Beating && matches!(self.say, Saying::Frame(_)) {
            // When it was sent is known to the PING alone.
            self.step.counts.reset += 1;
        } else if held.state == State::Beating {
            self.step.response.saturating_record(io.now_ns().saturating_sub(held.since_ns).max(1));
            self.step.counts.reset += 1;
        }
        self.gone(index);
        self.try_again(index, io);
    }

    pub(super) fn gone(&mut self, index: u32) {
        self.forget_echo(index);
        let held = &mut self.held[index as usize];
        (held.state, held.leg) = (State::Down, None);
        self.midway.remove(&index);
    }

    fn try_again(&mut self, index: u32, io: &mut Io<'_, Hold>) {
        if self.config.reopen {
            self.again.push_back((io.now_ns() + AGAIN_NS, index));
        }
    }

    /// A connection was opened, or not, for the first time or again.
    fn tried(&mut self, index: u32, io: &mut Io<'_, Hold>) {
        if !std::mem::replace(&mut self.held[index as usize].tried, true) {
            self.untried -= 1;
            self.check_settled(io);
        }
    }

    /// Closes the next connections at the end of the hold.
    pub(super) fn close_more(&mut self, io: &mut Io<'_, Hold>) {
        let until = self.held.len().min(self.closed + CLOSED_AT_ONCE);
        for held in &mut self.held[self.closed..until] {
            match (held.leg.take(), self.config.close) {
                (Some(leg), CloseBy::Fin) => io.close(leg),
                (Some(leg), CloseBy::Rst) => io.abort(leg),
                (None, _) => {}
            }
            held.state = State::Down;
        }
        self.closed = until;
        if self.closed == self.held.len() {
            self.phase = Phase::Over;
        }
    }
}

/// The count that an engine's word belongs to.
fn reason(reasons: &mut Reasons, why: LegError) -> &mut u64 {
    match why {
        LegError::Refused => &mut reasons.refused,
        LegError::Reset => &mut reasons.reset,
        LegError::Timeout => &mut reasons.timeout,
        LegError::NoRoom => &mut reasons.no_descriptor,
        LegError::Os(EADDRNOTAVAIL | EADDRINUSE) => &mut reasons.no_port,
        LegError::Os(_) | LegError::Idle | LegError::InputFull => &mut reasons.other,
    }
}

/// Of connect(2): no port is left between the two addresses; of bind(2): nor on the source address.
const EADDRNOTAVAIL: i32 = 99;
const EADDRINUSE: i32 = 98;

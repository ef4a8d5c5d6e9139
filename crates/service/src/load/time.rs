//! What only time brings about: the begin, timeouts, the ends of connections and of the load.

use super::config::{CloseBy, Life, Pace};
use super::generator::{Load, Phase, Saying};
use super::line::{Request, State};
use super::pace::Pacer;
use super::record::Failure;
use shard::Io;
use stats::schedule::Share;

impl Load {
    /// Looks after what nothing else brings about.
    pub(super) fn look_after(&mut self, io: &mut Io<'_, Load>) {
        let now_ns = io.now_ns();
        if self.gate.is_stopped() {
            self.stop(now_ns);
        }
        match self.phase {
            Phase::Waiting => self.wait_for_gate(io),
            Phase::Running if self.is_sent(now_ns) => self.phase = Phase::Ending,
            _ => {}
        }
        self.connect_more(io);
        if let (Saying::Datagrams(..), Pace::Closed) = (&self.talk, &self.config.pace) {
            // A socket that found too many datagrams on their way is told by nobody when they are fewer.
            (0..self.lines.len() as u32).for_each(|index| self.has_room(index, io));
        }
        let timeout_ns = self.config.timeout.as_nanos() as u64;
        if now_ns >= self.looked_ns + (timeout_ns / 20).clamp(1_000_000, 100_000_000) {
            self.looked_ns = now_ns;
            // What waits only for this turn does not wait for a connection.
            self.send_due(io);
            self.time_out(timeout_ns, io);
        }
        if let Life::Time(_) = self.config.life {
            self.retire(io);
        }
    }

    pub(super) fn wait_for_gate(&mut self, io: &mut Io<'_, Load>) {
        let Some(begin_ns) = self.gate.begin_ns() else { return };
        if begin_ns > io.now_ns() {
            io.wake_at_ns(begin_ns);
            return;
        }
        self.phase = Phase::Running;
        self.record.begin(begin_ns + self.config.warmup.as_nanos() as u64);
        if let Pace::Open(arrivals) = &self.config.pace {
            let share = Share { index: self.seat.into(), of: self.config.seats.into() };
            self.pacer = Some(Pacer::new(arrivals.share(share), begin_ns));
            // They were free all the time.
            self.lines.iter_mut().for_each(|line| line.free_ns = line.free_ns.min(begin_ns));
        }
        (0..self.lines.len() as u32).for_each(|index| self.has_room(index, io));
    }

    pub(super) fn stop(&mut self, now_ns: u64) {
        if self.phase == Phase::Running {
            self.record.cut(now_ns);
            match &mut self.pacer {
                Some(pacer) => pacer.cut(now_ns),
                None => self.phase = Phase::Ending,
            }
        } else if self.phase == Phase::Waiting {
            self.phase = Phase::Ending;
        }
    }

    /// Whether nothing more is to be sent.
    pub(super) fn is_sent(&self, now_ns: u64) -> bool {
        match &self.pacer {
            Some(pacer) => pacer.next_ns().is_none(),
            None => now_ns >= self.record.end_ns(),
        }
    }

    /// Gives up what has waited for too long: for an answer, or for a connection.
    pub(super) fn time_out(&mut self, timeout_ns: u64, io: &mut Io<'_, Load>) {
        let now_ns = io.now_ns();
        for index in 0..self.lines.len() as u32 {
            let line = &self.lines[index as usize];
            let Some(oldest) = line.requests.front() else { continue };
            if oldest.due_ns.saturating_add(timeout_ns) > now_ns {
                continue;
            }
            if matches!(self.talk, Saying::Datagrams(..)) {
                self.lose(index, timeout_ns, io);
            } else {
                // What was asked behind it on this connection will not be answered either.
                self.give_up(index, Failure::Timeout, io);
                self.break_off(index, io);
            }
        }
        while let Some(pacer) = self.pacer.as_mut() {
            let Some(intended_ns) = pacer.next_ns().filter(|ns| *ns <= now_ns) else { break };
            let late = intended_ns.saturating_add(timeout_ns) <= now_ns;
            let over = pacer.waiting(now_ns) > self.config.waiting_max;
            if !late && !over {
                break;
            }
            let request = Request { intended_ns, due_ns: intended_ns, sent_ns: 0 };
            self.pass(intended_ns);
            self.probe.skipped();
            if let Some(counts) = self.record.counts_of(intended_ns) {
                *(if late { &mut counts.waited } else { &mut counts.overflowed }) += 1;
            }
            if late {
                self.record.failed(now_ns, &request, Failure::Timeout, timeout_ns);
            }
        }
    }

    /// Gives up all that is due or outstanding: the engine is to end before the load has.
    pub(super) fn abandon(&mut self, io: &mut Io<'_, Load>) {
        let (now_ns, timeout_ns) = (io.now_ns(), self.config.timeout.as_nanos() as u64);
        (0..self.lines.len() as u32).for_each(|index| self.give_up(index, Failure::Timeout, io));
        while let Some(intended_ns) = self.pacer.as_ref().and_then(Pacer::next_ns).filter(|ns| *ns <= now_ns)
        {
            self.pass(intended_ns);
            let request = Request { intended_ns, due_ns: intended_ns, sent_ns: 0 };
            self.record.failed(now_ns, &request, Failure::Timeout, timeout_ns);
        }
        self.record.cut(now_ns);
    }

    /// Datagrams that were not answered in time are lost.
    pub(super) fn lose(&mut self, index: u32, timeout_ns: u64, io: &mut Io<'_, Load>) {
        let now_ns = io.now_ns();
        let line = &mut self.lines[index as usize];
        let full = line.requests.len() == usize::from(self.config.pipeline);
        while let Some(oldest) = line.requests.front().copied() {
            if oldest.due_ns.saturating_add(timeout_ns) > now_ns {
                break;
            }
            if let Saying::Datagrams(_, all) = &mut self.talk {
                all[index as usize].lose(line.next - line.requests.len() as u64);
            }
            let request = line.take(0);
            self.outstanding -= 1;
            if let Some(counts) = self.record.counts_of(request.intended_ns) {
                counts.lost += 1;
            }
            self.record.failed(now_ns, &request, Failure::Timeout, timeout_ns);
        }
        self.answered(index, full, io);
    }

    /// Connections that have lived long enough begin nothing more.
    pub(super) fn retire(&mut self, io: &mut Io<'_, Load>) {
        let now_ns = io.now_ns();
        for index in 0..self.lines.len() as u32 {
            let line = &mut self.lines[index as usize];
            if line.state == State::Open && line.until_ns <= now_ns && line.left > 0 {
                line.left = 0;
                self.answered(index, false, io);
            }
        }
    }

    /// Ends the load when nothing is left of it.
    pub(super) fn check_over(&mut self, io: &mut Io<'_, Load>) {
        if self.phase == Phase::Running && self.is_sent(io.now_ns()) {
            self.phase = Phase::Ending;
        }
        if self.phase == Phase::Ending && self.outstanding == 0 {
            self.end_load(io);
        }
    }

    pub(super) fn end_load(&mut self, io: &mut Io<'_, Load>) {
        self.phase = Phase::Over;
        let held = self.lines.iter().filter(|line| line.state == State::Open).count() as u32;
        self.record.over(io.now_ns(), self.probe.take(), held);
        for line in &mut self.lines {
            match (line.leg, self.config.close) {
                (Some(_), _) if matches!(self.talk, Saying::Datagrams(..)) => {}
                (Some(leg), CloseBy::Fin) => io.close(leg),
                (Some(leg), CloseBy::Rst) => io.abort(leg),
                (None, _) => {}
            }
            line.leg = None;
        }
    }
}

//! Heartbeats of a hold: sent when they are due, their answers held against what was to come, given up in time.

use super::super::echo::{self, Window};
use super::super::reader::{Answer, Reader};
use super::{Hold, Saying, State};
use shard::{Input, Io};

impl Hold {
    /// Sends the heartbeats that are due.
    pub(super) fn beat_due(&mut self, io: &mut Io<'_, Hold>) {
        if let Saying::Frame(_) = self.say {
            return self.ping_due(io);
        }
        let now_ns = io.now_ns();
        while let Some(beat) = self.beats.as_ref().map(|beats| beats.at(self.beat)) {
            if beat.at_ns > now_ns {
                if beat.at_ns != self.wake_ns {
                    self.wake_ns = beat.at_ns;
                    io.wake_at_ns(beat.at_ns);
                }
                return;
            }
            self.beat += 1;
            self.say(beat.index, beat.at_ns, io);
        }
    }

    fn say(&mut self, index: u32, at_ns: u64, io: &mut Io<'_, Hold>) {
        let held = &mut self.held[index as usize];
        let Some(leg) = held.leg else { return };
        let written = match (held.state, &self.say) {
            (State::Open, Saying::Echo(pattern)) => pattern.write(index, held.beats.into(), io.out(leg)),
            (State::Open, Saying::Http(bytes, _)) => io.out(leg).copy(bytes),
            (State::Beating, _) => false,
            _ => return,
        };
        if !written {
            self.report.beats.late += 1;
            return;
        }
        (held.state, held.since_ns, held.beats) = (State::Beating, at_ns, held.beats.wrapping_add(1));
        self.report.beats.sent += 1;
        let counts = &mut self.step.counts;
        (counts.due, counts.sent) = (counts.due + 1, counts.sent + 1);
        counts.bytes_out += match &self.say {
            Saying::Echo(pattern) => pattern.bytes() as u64,
            Saying::Http(bytes, _) => bytes.len() as u64,
            Saying::Nothing | Saying::Frame(_) => 0,
        };
    }

    /// Bytes came on a connection.
    pub(super) fn hear(&mut self, index: u32, mut input: Input<'_>, io: &mut Io<'_, Hold>) {
        if let Saying::Frame(_) = self.say {
            return self.hear_frames(index, input, io);
        }
        let now_ns = io.now_ns();
        let held = &mut self.held[index as usize];
        let mut outstanding = u64::from(held.state == State::Beating);
        let mut reader = match self.midway.is_empty() {
            true => Reader::Idle,
            false => self.midway.remove(&index).unwrap_or_default(),
        };
        let (mut good, mut status, mut wrong) = (false, false, false);
        for piece in input.chunks() {
            let mut ended = |answer| match answer {
                Answer::Good(0 | 2) => good = true,
                Answer::Good(_) | Answer::Status(_) => status = true,
                // The end of the connection follows by itself.
                Answer::Closing => {}
                _ => wrong = true,
            };
            match &mut self.say {
                Saying::Echo(pattern) => {
                    let window = Window { connection: index, next: held.beats.into(), outstanding };
                    echo::read(&mut reader, pattern, window, piece, true, &mut ended);
                }
                Saying::Http(_, answers) => {
                    answers.read(&mut reader, outstanding as usize, piece, now_ns, &mut ended);
                }
                // Nobody asked for it. Some servers greet.
                Saying::Nothing | Saying::Frame(_) => {}
            }
            outstanding = u64::from(outstanding > 0 && !good && !status);
        }
        let len = input.len();
        self.step.counts.bytes_in += len as u64;
        input.skip(len);
        if wrong {
            let leg = held.leg;
            if std::mem::replace(&mut held.state, State::Open) == State::Beating {
                self.step.response.saturating_record(now_ns.saturating_sub(held.since_ns).max(1));
                self.step.counts.mismatch += 1;
            }
            self.lose(index, |lost| &mut lost.answer, io);
            return leg.into_iter().for_each(|leg| io.abort(leg));
        }
        if !matches!(reader, Reader::Idle) {
            self.midway.insert(index, reader);
        }
        if good || status {
            let took_ns = now_ns.saturating_sub(held.since_ns).max(1);
            held.state = State::Open;
            self.report.beats.answered += u64::from(good);
            self.report.beats.status += u64::from(status);
            self.step.counts.answered += u64::from(good);
            self.step.counts.completed += u64::from(good);
            self.step.counts.status += u64::from(status);
            self.step.response.saturating_record(took_ns);
        }
    }

    /// Ends connections whose heartbeat was not answered in time. Looks at those alone that may be: the second look at a beat comes when
    /// its answer should have.
    pub(super) fn time_out(&mut self, io: &mut Io<'_, Hold>) {
        if let Saying::Frame(_) = self.say {
            return self.time_out_frames(io);
        }
        let now_ns = io.now_ns();
        let timeout_ns = self.config.timeout.as_nanos() as u64;
        while let Some(beat) = self.beats.as_ref().map(|beats| beats.at(self.looked)) {
            if self.looked >= self.beat || beat.at_ns.saturating_add(timeout_ns) > now_ns {
                return;
            }
            self.looked += 1;
            let held = &mut self.held[beat.index as usize];
            if held.state != State::Beating || held.since_ns > beat.at_ns {
                continue;
            }
            let leg = held.leg;
            held.state = State::Open;
            self.step.response.saturating_record((now_ns - beat.at_ns).max(timeout_ns));
            self.step.counts.timeout += 1;
            self.lose(beat.index, |lost| &mut lost.timeout, io);
            // It does not answer: it would not answer a FIN either.
            leg.into_iter().for_each(|leg| io.abort(leg));
        }
    }
}

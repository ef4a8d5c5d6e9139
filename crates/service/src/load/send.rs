//! Sending: what is due, on the connection that has been free for longest.

use super::config::{Late, Pace, Talk};
use super::frame;
use super::generator::{Load, Phase, Saying};
use super::line::Request;
use super::pace::Pacer;
use linux::Chunk;
use shard::Io;

/// An HTTP request up to this long is copied, a longer one is sent from where it stands.
const COPIED: usize = 2048;

impl Load {
    /// A connection may have room for a request.
    pub(super) fn has_room(&mut self, index: u32, io: &mut Io<'_, Load>) {
        let pipeline = usize::from(self.config.pipeline);
        let line = &mut self.lines[index as usize];
        if self.phase != Phase::Running || !line.is_free(pipeline) {
            return;
        }
        if matches!(self.config.pace, Pace::Closed) {
            return self.send_closed(index, io);
        }
        if !std::mem::replace(&mut line.queued, true) {
            self.free.push_back(index);
        }
    }

    /// Sends as many requests as a connection of a closed loop has room for.
    #[inline]
    pub(super) fn send_closed(&mut self, index: u32, io: &mut Io<'_, Load>) {
        let now_ns = io.now_ns();
        let pipeline = usize::from(self.config.pipeline);
        while self.lines[index as usize].is_free(pipeline) {
            let request = Request { intended_ns: now_ns, due_ns: now_ns, sent_ns: 0 };
            if !self.write(index, request, io) {
                return;
            }
            if let Some(counts) = self.record.counts_of(now_ns) {
                counts.due += 1;
            }
        }
    }

    /// Sends what is due as far as there are connections free.
    #[inline]
    pub(super) fn send_due(&mut self, io: &mut Io<'_, Load>) {
        let now_ns = io.now_ns();
        let Some(pacer) = &mut self.pacer else { return };
        let mut next = pacer.next_ns();
        while let Some(intended_ns) = next.filter(|ns| *ns <= now_ns) {
            let Some(index) = self.next_free() else {
                if self.config.late == Late::Queue {
                    return;
                }
                self.pass(intended_ns);
                self.probe.skipped();
                if let Some(counts) = self.record.counts_of(intended_ns) {
                    counts.dropped += 1;
                }
                next = self.pacer.as_ref().and_then(Pacer::next_ns);
                continue;
            };
            let free_ns = self.lines[index as usize].free_ns;
            let request = Request { intended_ns, due_ns: intended_ns.max(free_ns), sent_ns: 0 };
            let idle = self.lines[index as usize].requests.is_empty();
            if self.write(index, request, io) {
                if let Some(counts) = self.record.counts_of(intended_ns) {
                    counts.waited += u64::from(free_ns > intended_ns);
                }
                if let Some(leg) = self.lines[index as usize].leg {
                    self.probe.written(leg, intended_ns, now_ns, idle && free_ns <= intended_ns);
                }
                self.pass(intended_ns);
                self.has_room(index, io);
            } else if !self.lines[index as usize].blocked {
                // Too many datagrams are on their way: the tick tries again.
                return self.has_room(index, io);
            }
            next = self.pacer.as_ref().and_then(Pacer::next_ns);
        }
        if let Some(next) = next.filter(|next| *next != self.wake_ns) {
            self.wake_ns = next;
            io.wake_at_ns(next);
        }
    }

    /// An arrival is taken from the schedule.
    #[inline]
    pub(super) fn pass(&mut self, intended_ns: u64) {
        if let Some(pacer) = &mut self.pacer {
            pacer.take();
        }
        if let Some(counts) = self.record.counts_of(intended_ns) {
            counts.due += 1;
        }
    }

    #[inline]
    pub(super) fn next_free(&mut self) -> Option<u32> {
        while let Some(index) = self.free.pop_front() {
            let line = &mut self.lines[index as usize];
            line.queued = false;
            if line.is_free(self.config.pipeline.into()) {
                return Some(index);
            }
        }
        None
    }

    /// Writes a request. `false`: there was no room; the connection is free again when there is.
    #[inline]
    pub(super) fn write(&mut self, index: u32, request: Request, io: &mut Io<'_, Load>) -> bool {
        let line = &mut self.lines[index as usize];
        let Some(leg) = line.leg else { return false };
        line.stamp(io.sent_ns(leg));
        let now_ns = io.now_ns();
        let (written, bytes) = match (&self.talk, &self.config.talk) {
            (Saying::Echo(pattern), _) => {
                (pattern.write(line.number, line.next, io.out(leg)), pattern.bytes())
            }
            (Saying::Frame(pattern, _), _) => {
                let written = frame::request(pattern, line.number, line.next, io.out(leg));
                (written, frame::FRAME_HEADER_BYTES + pattern.bytes())
            }
            (Saying::Http(_), Talk::Http(http)) if http.bytes.len() <= COPIED => {
                (io.out(leg).copy(&http.bytes), http.bytes.len())
            }
            (Saying::Http(_), Talk::Http(http)) => {
                let out = io.out(leg);
                // One that is longer than the whole output goes by copy, when that is empty.
                let written = match out.room() >= http.bytes.len() {
                    true => out.push(Chunk::Shared(http.bytes.clone())).is_ok(),
                    false => out.copy(&http.bytes),
                };
                (written, http.bytes.len())
            }
            (Saying::Datagrams(pattern, all), _) => {
                let chunk = all[index as usize].chunk(line.next);
                (io.send_to(leg, self.config.target, None, chunk).is_ok(), pattern.bytes())
            }
            (Saying::Http(_), _) => unreachable!("what is said is what the configuration says"),
        };
        if !written {
            line.blocked = !matches!(self.talk, Saying::Datagrams(..));
            return false;
        }
        line.push(request, now_ns);
        self.outstanding += 1;
        if let Some(counts) = self.record.counts_of(request.intended_ns) {
            counts.sent += 1;
        }
        if let Some(counts) = self.record.counts_in_time(now_ns) {
            counts.bytes_out += bytes as u64;
        }
        true
    }
}

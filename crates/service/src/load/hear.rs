//! Answers: held against what was to come, timed, accounted for.

use super::echo::{self, Window};
use super::frame;
use super::generator::{Load, Saying};
use super::line::{Line, State};
use super::reader::{Answer, Reader};
use super::record::{Failure, Recorder};
use shard::{Input, Io, LegError, Packet};

impl Load {
    #[inline]
    pub(super) fn hear(&mut self, index: u32, mut input: Input<'_>, io: &mut Io<'_, Load>) {
        let now_ns = io.now_ns();
        let Load { lines, record, talk, config, outstanding, .. } = self;
        let line = &mut lines[index as usize];
        if let Some(leg) = line.leg {
            line.stamp(io.sent_ns(leg));
        }
        let full = line.requests.len() == usize::from(config.pipeline);
        if !line.reader.is_midway() {
            line.first_ns = now_ns;
        }
        let mut reader = std::mem::take(&mut line.reader);
        let (mut garbage, mut extra, mut bytes) = (false, false, 0);
        for piece in input.chunks() {
            bytes += piece.len() as u64;
            let window =
                Window { connection: line.number, next: line.next, outstanding: line.requests.len() as u64 };
            let ended = |answer: Answer| {
                if answer == Answer::Garbage {
                    garbage = true;
                } else {
                    extra |= matches!(answer, Answer::Extra(_));
                    ended(line, record, outstanding, answer, now_ns);
                }
            };
            match talk {
                Saying::Echo(pattern) => {
                    echo::read(&mut reader, pattern, window, piece, config.verify, ended);
                }
                Saying::Frame(pattern, _) => {
                    frame::read(&mut reader, pattern, window, piece, config.verify, ended);
                }
                Saying::Http(answers) => {
                    answers.read(&mut reader, window.outstanding as usize, piece, now_ns, ended);
                }
                Saying::Datagrams(..) => unreachable!("datagrams come by themselves"),
            }
            if garbage {
                break;
            }
        }
        if let (Reader::Frame(frames), Some(leg)) = (&mut reader, line.leg)
            && !frames.pongs.is_empty()
        {
            io.out(leg).copy(&frames.pongs);
            frames.pongs.clear();
        }
        line.reader = reader;
        if let Some(counts) = record.counts_in_time(now_ns) {
            counts.bytes_in += bytes;
        }
        let counts = record.counts();
        counts.checked_bytes += if config.verify { bytes } else { 0 };
        let len = input.len();
        input.skip(len);
        if garbage {
            let oldest = self.lines[index as usize].requests.front().copied();
            if let Some(counts) = oldest.and_then(|oldest| self.record.counts_of(oldest.intended_ns)) {
                counts.corrupt += 1;
            }
            self.give_up(index, Failure::Mismatch, io);
            return self.break_off(index, io);
        }
        if extra && matches!(self.talk, Saying::Http(_)) {
            // Where the next answer begins can no longer be known (RFC 9112 section 9.2).
            return self.break_off(index, io);
        }
        self.answered(index, full, io);
    }

    /// Answers came on a connection: it may have room again, or be at the end of its life.
    #[inline]
    pub(super) fn answered(&mut self, index: u32, was_full: bool, io: &mut Io<'_, Load>) {
        let line = &mut self.lines[index as usize];
        if was_full {
            line.free_ns = io.now_ns();
        }
        if line.left == 0 && line.requests.is_empty() {
            if line.state == State::Open {
                self.record.counts().ended += 1;
                self.hang_up(index, self.config.close, io);
            }
            return;
        }
        self.has_room(index, io);
    }

    pub(super) fn datagram(&mut self, index: u32, packet: &Packet<'_>, io: &mut Io<'_, Load>) {
        let now_ns = io.now_ns();
        if let Some(counts) = self.record.counts_in_time(now_ns) {
            counts.bytes_in += packet.bytes().len() as u64;
        }
        let counts = self.record.counts();
        if packet.peer != self.config.target {
            counts.extra += packet.bytes().len() as u64;
            return;
        }
        let line = &mut self.lines[index as usize];
        let full = line.requests.len() == usize::from(self.config.pipeline);
        if let Some(leg) = line.leg {
            line.stamp(io.sent_ns(leg));
        }
        let Saying::Datagrams(_, all) = &mut self.talk else { return };
        let (answer, request) = all[index as usize].read(line, packet.bytes(), self.config.verify);
        counts.checked_bytes += if self.config.verify { packet.bytes().len() as u64 } else { 0 };
        match answer {
            Answer::Extra(bytes) => counts.extra += bytes,
            Answer::Duplicated => counts.duplicated += 1,
            _ => {}
        }
        if let Some(request) = request {
            self.outstanding -= 1;
            if let Some(counts) = self.record.counts_of(request.intended_ns) {
                counts.corrupt += u64::from(answer == Answer::Corrupt);
                counts.reordered += u64::from(answer == Answer::Reordered);
            }
            if answer == Answer::Corrupt {
                self.record.failed(now_ns, &request, Failure::Mismatch, 0);
            } else {
                self.record.answered(now_ns, &request, now_ns, 0);
            }
        }
        self.answered(index, full, io);
    }

    /// The peer finished sending.
    pub(super) fn eof(&mut self, index: u32, io: &mut Io<'_, Load>) {
        let now_ns = io.now_ns();
        let Load { lines, record, talk, outstanding, .. } = self;
        let line = &mut lines[index as usize];
        if let Saying::Http(answers) = talk {
            let mut reader = std::mem::take(&mut line.reader);
            answers.end(&mut reader, now_ns, |answer| ended(line, record, outstanding, answer, now_ns));
            line.reader = reader;
        }
        let leg = line.leg;
        self.lost(index, LegError::Reset, io);
        if let Some(leg) = leg {
            io.close(leg);
        }
        self.send_due(io);
    }
}

/// Accounts for one answer of a stream.
#[inline]
fn ended(line: &mut Line, record: &mut Recorder, outstanding: &mut u64, answer: Answer, now_ns: u64) {
    match answer {
        Answer::Closing => return line.left = 0,
        Answer::Duplicated => return record.counts().duplicated += 1,
        Answer::Extra(bytes) => return record.counts().extra += bytes,
        _ => {}
    }
    let first_ns = std::mem::replace(&mut line.first_ns, now_ns);
    let Some(request) = line.pop() else { return };
    *outstanding -= 1;
    line.answered = true;
    match answer {
        Answer::Corrupt => {
            if let Some(counts) = record.counts_of(request.intended_ns) {
                counts.corrupt += 1;
            }
            record.failed(now_ns, &request, Failure::Mismatch, 0);
        }
        Answer::Reordered => {
            if let Some(counts) = record.counts_of(request.intended_ns) {
                counts.reordered += 1;
            }
            record.failed(now_ns, &request, Failure::Mismatch, 0);
        }
        Answer::Status(class) => record.failed(now_ns, &request, Failure::Status(class), 0),
        Answer::Good(class) => record.answered(now_ns, &request, first_ns, class),
        Answer::Closing | Answer::Duplicated | Answer::Extra(_) | Answer::Garbage => {}
    }
}

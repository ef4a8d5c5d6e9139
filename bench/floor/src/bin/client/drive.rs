//! The closed loop: what is answered is sent again, `depth` messages outstanding on each connection.

use std::collections::VecDeque;
use std::io;
use std::mem;
use std::os::fd::{AsRawFd, OwnedFd};

use floor::args::quit;
use floor::buffers::{Buffers, Layout};
use floor::process::now_ns;
use floor::ring::{Cqe, F_MORE, Ring, Setup, Sqe};

use crate::load::{Load, Mode};
use crate::pattern;
use crate::peer::{self, HTTP_REQUEST};
use crate::tally::Tally;

const RECV: u64 = 1 << 56;
const SEND: u64 = 2 << 56;
const GROUP: u16 = 0;
/// A datagram that is not answered for so long is counted as lost and sent again.
const LOST_NS: u64 = 200_000_000;

/// Messages sent together, with the time of their sending.
#[derive(Clone, Copy)]
struct Batch {
    sent_ns: u64,
    messages: u32,
}

#[derive(Default)]
struct Conn {
    outstanding: VecDeque<Batch>,
    /// Bytes of the answer that has begun to come.
    partial: usize,
    /// Messages to send when the send in flight is done.
    owed: u32,
    /// Bytes of the send in flight; 0 for none.
    flying_bytes: usize,
    /// Stream offsets, for the pattern.
    sent: usize,
    received: usize,
}

/// All connections of a run and the ring that serves them.
pub struct Client<'a> {
    load: &'a Load,
    pub ring: Ring,
    pub tally: Tally,
    /// Messages answered from first to last, measured or not.
    pub messages: u64,
    pub lost: u64,
    buffers: Buffers,
    conns: Vec<Conn>,
    _sockets: Vec<OwnedFd>,
    request_bytes: usize,
    answer_bytes: usize,
    /// What is sent: the repeated request, or the pattern.
    source: Vec<u8>,
    draining: bool,
    in_flight: u64,
}

impl<'a> Client<'a> {
    /// Connects everything; sends nothing yet but one HTTP request, to learn the answer's length.
    pub fn connect(load: &'a Load) -> io::Result<Self> {
        let (request_bytes, answer_bytes, source) = match load.mode {
            Mode::Http => {
                (HTTP_REQUEST.len(), peer::learn_answer(load.addr)?, HTTP_REQUEST.repeat(load.depth as usize))
            }
            Mode::Echo | Mode::Udp => {
                (load.size, load.size, pattern::bytes_beyond_period(load.depth as usize * load.size))
            }
        };
        let connect = |_| peer::connect(load.mode, load.addr);
        let sockets: Vec<OwnedFd> = (0..load.connections).map(connect).collect::<io::Result<_>>()?;
        let ring = Ring::new(&Setup {
            entries: 4096,
            completions: 16_384,
            files: 0,
            spin: load.spin,
            ..Setup::default()
        })?;
        ring.submitter().register_files(&sockets.iter().map(AsRawFd::as_raw_fd).collect::<Vec<_>>())?;
        let buffers = if load.verify {
            Buffers::new(&ring, GROUP, 512, 64 << 10, Layout::Single)?
        } else {
            Buffers::sink(&ring, GROUP, 4096, 1 << 20)?
        };
        Ok(Self {
            load,
            ring,
            tally: Tally::new(now_ns() + load.warmup_ms * 1_000_000, load.seconds),
            messages: 0,
            lost: 0,
            buffers,
            conns: (0..load.connections).map(|_| Conn::default()).collect(),
            _sockets: sockets,
            request_bytes,
            answer_bytes,
            source,
            draining: false,
            in_flight: 0,
        })
    }

    /// Sends the first messages.
    pub fn start(&mut self) {
        for index in 0..self.conns.len() as u32 {
            self.arm(index);
            self.conns[index as usize].owed = self.load.depth;
            self.send_owed(index, now_ns());
        }
    }

    /// Serves until `end_ns`.
    pub fn run_until(&mut self, end_ns: u64) -> io::Result<()> {
        let mut looked = now_ns();
        loop {
            let now = now_ns();
            if now >= end_ns || (self.draining && self.in_flight == 0) {
                return Ok(());
            }
            if self.load.mode == Mode::Udp && now - looked > LOST_NS / 4 && !self.draining {
                looked = now;
                self.resend_lost(now);
            }
            if self.load.spin {
                self.ring.watch(|| now_ns() < end_ns)?;
            } else {
                self.ring.turn(1, (end_ns - now).min(LOST_NS / 4))?;
            }
            self.turn();
        }
    }

    /// Sends no more, and waits for what is still to come: all of it, and not a byte beyond.
    pub fn drain(&mut self) -> io::Result<()> {
        self.draining = true;
        self.run_until(now_ns() + 2_000_000_000)?;
        if self.in_flight > 0 && self.load.mode != Mode::Udp {
            quit(&format!("{} messages were never answered", self.in_flight));
        }
        if self.conns.iter().any(|conn| conn.partial != 0) {
            quit("a part of an answer came that no message asked for");
        }
        Ok(())
    }

    fn turn(&mut self) {
        let completions = self.ring.reap();
        for &cqe in &completions {
            let conn = cqe.user_data as u32;
            if cqe.user_data & !0xffff_ffff == RECV { self.received(conn, cqe) } else { self.sent(conn, cqe) }
        }
        self.ring.give_back(completions);
        self.buffers.publish();
    }

    fn arm(&mut self, index: u32) {
        let discard = if self.load.verify { 0 } else { libc::MSG_TRUNC };
        self.ring.push(Sqe::recv_multishot(index, GROUP, false, 0, discard, RECV | index as u64));
    }

    fn received(&mut self, index: u32, cqe: Cqe) {
        if cqe.result <= 0 && cqe.result != -libc::ENOBUFS {
            quit(&format!("connection {index}: receive ended with {}", cqe.result));
        }
        if cqe.result > 0 {
            let chunk = self.buffers.take_single(cqe);
            if self.load.verify {
                self.compare(index, chunk.bytes());
            }
            self.buffers.release(chunk);
            self.count(index, cqe.result as usize);
        }
        if cqe.flags & F_MORE == 0 {
            self.buffers.publish();
            self.arm(index);
        }
    }

    fn compare(&mut self, index: u32, bytes: &[u8]) {
        let conn = &mut self.conns[index as usize];
        match self.load.mode {
            Mode::Http => {
                let head = b"HTTP/1.1 200 ";
                let begins = conn.received % self.answer_bytes;
                let expected = &head[begins.min(head.len())..];
                let shared = expected.len().min(bytes.len());
                if bytes[..shared] != expected[..shared] {
                    quit(&format!("connection {index}: an answer does not begin as one"));
                }
            }
            Mode::Echo | Mode::Udp => {
                let mut compared = 0;
                while compared < bytes.len() {
                    let at = pattern::at(index, conn.received + compared);
                    let shared = (bytes.len() - compared).min(self.source.len() - at);
                    if bytes[compared..compared + shared] != self.source[at..at + shared] {
                        quit(&format!(
                            "connection {index}: other bytes came back at {}",
                            conn.received + compared
                        ));
                    }
                    compared += shared;
                }
            }
        }
        conn.received += bytes.len();
    }

    /// Answers of `bytes` bytes have come: times them and sends as many new messages.
    fn count(&mut self, index: u32, bytes: usize) {
        let now = now_ns();
        let conn = &mut self.conns[index as usize];
        if self.load.mode == Mode::Udp && conn.outstanding.is_empty() {
            // The answer to a datagram that was given up for lost.
            return;
        }
        conn.partial += bytes;
        let messages = (conn.partial / self.answer_bytes) as u32;
        if messages == 0 {
            return;
        }
        conn.partial %= self.answer_bytes;
        let mut left = messages;
        while left > 0 {
            let Some(batch) = conn.outstanding.front_mut() else { quit("more answers than messages") };
            let ended = batch.messages.min(left);
            self.tally.record(now, batch.sent_ns, ended);
            batch.messages -= ended;
            left -= ended;
            if batch.messages == 0 {
                conn.outstanding.pop_front();
            }
        }
        self.messages += u64::from(messages);
        self.in_flight -= u64::from(messages);
        if self.draining {
            return;
        }
        conn.owed += messages;
        self.send_owed(index, now);
    }

    fn send_owed(&mut self, index: u32, now: u64) {
        let conn = &mut self.conns[index as usize];
        if conn.flying_bytes > 0 || conn.owed == 0 {
            return;
        }
        let messages = mem::take(&mut conn.owed);
        let bytes = messages as usize * self.request_bytes;
        let at =
            if self.load.verify && self.load.mode != Mode::Http { pattern::at(index, conn.sent) } else { 0 };
        conn.outstanding.push_back(Batch { sent_ns: now, messages });
        conn.flying_bytes = bytes;
        conn.sent += bytes;
        self.in_flight += u64::from(messages);
        let from = self.source[at..at + bytes].as_ptr();
        self.ring.push(Sqe::send(index, from, bytes as u32, SEND | index as u64));
    }

    fn sent(&mut self, index: u32, cqe: Cqe) {
        let conn = &mut self.conns[index as usize];
        if cqe.result as isize != conn.flying_bytes as isize {
            quit(&format!("connection {index}: sent {} of {} bytes", cqe.result, conn.flying_bytes));
        }
        conn.flying_bytes = 0;
        if conn.owed > 0 && !self.draining {
            self.send_owed(index, now_ns());
        }
    }

    /// UDP only: sends again what got no answer.
    fn resend_lost(&mut self, now: u64) {
        for index in 0..self.conns.len() as u32 {
            let conn = &mut self.conns[index as usize];
            let Some(first) = conn.outstanding.front().copied() else { continue };
            if conn.flying_bytes > 0 || now - first.sent_ns < LOST_NS {
                continue;
            }
            let lost: u32 = conn.outstanding.drain(..).map(|batch| batch.messages).sum();
            self.lost += u64::from(lost);
            self.in_flight -= u64::from(lost);
            conn.owed += lost;
            conn.sent -= lost as usize * self.request_bytes;
            self.send_owed(index, now);
        }
    }
}

//! TCP echo on one ring: multishot accept and receive, the received buffer itself sent back, one enter a turn.
//!
//! One send is in flight per connection; what is received meanwhile is gathered into the next one. A slow reader may hold
//! the whole pool: a floor has no limits.

use std::collections::VecDeque;
use std::mem;
use std::os::fd::AsRawFd;

use floor::args::{Args, quit};
use floor::buffers::{Buffers, Chunk, Layout};
use floor::process::{now_ns, pin, raise_nofile, stop_on_signals, stopped, write_report};
use floor::ring::{Cqe, F_MORE, Ring, Setup, Sqe};
use floor::sock;

const ACCEPT: u64 = 1 << 56;
const RECV: u64 = 2 << 56;
const SEND: u64 = 3 << 56;
const SILENT: u64 = 4 << 56;
const GROUP: u16 = 0;
/// Most pieces of one send; the kernel's limit is 1024.
const GATHER_MAX: usize = 256;

/// One connection; its place in the table is its slot in the ring's file table.
#[derive(Default)]
struct Conn {
    /// A multishot receive is in flight.
    receiving: bool,
    /// The receive came to its byte limit.
    paused: bool,
    /// No more will be received, or sending failed: close when nothing is in flight and nothing waits.
    ending: bool,
    /// Waits for `begin_send` at the end of the turn.
    marked: bool,
    /// Received and not yet given to a send.
    waiting: VecDeque<Chunk>,
    /// What the send in flight refers to.
    flying: Vec<Chunk>,
    pieces: Vec<libc::iovec>,
}

struct Echo {
    ring: Ring,
    buffers: Buffers,
    listener: i32,
    conns: Vec<Conn>,
    /// Connections with something to send, first in, first out.
    marked: Vec<u32>,
    /// Connections whose receive ended for want of a buffer.
    starved: Vec<u32>,
    again: Vec<u32>,
    /// Bytes after which a receive ends once the pool has run short; it is armed again when all of them are in a send.
    /// 0: never.
    limit: u32,
    enobufs: u64,
    sends: u64,
}

impl Echo {
    fn turn(&mut self) {
        let completions = self.ring.reap();
        for &cqe in &completions {
            let slot = cqe.user_data as u32;
            match cqe.user_data & !0xffff_ffff {
                ACCEPT => self.accepted(cqe),
                RECV => self.received(slot, cqe),
                SEND => self.sent(slot, cqe),
                _ => {}
            }
        }
        self.ring.give_back(completions);
        for at in 0..self.marked.len() {
            self.begin_send(self.marked[at]);
        }
        self.marked.clear();
        for at in 0..self.again.len() {
            self.arm(self.again[at]);
        }
        self.again.clear();
        if self.buffers.publish() {
            for at in 0..self.starved.len() {
                self.arm(self.starved[at]);
            }
            self.starved.clear();
        }
    }

    fn accepted(&mut self, cqe: Cqe) {
        if cqe.result >= 0 {
            self.arm(cqe.result as u32);
        }
        if cqe.flags & F_MORE == 0 {
            self.ring.push(Sqe::accept_multishot(self.listener, ACCEPT));
        }
    }

    fn arm(&mut self, slot: u32) {
        self.conns[slot as usize].receiving = true;
        self.ring.push(Sqe::recv_multishot(
            slot,
            GROUP,
            self.buffers.bundles(),
            self.limit_now(),
            0,
            RECV | slot as u64,
        ));
    }

    /// The pool has run short once: from then on every connection takes a bounded share before it waits its turn.
    fn limit_now(&self) -> u32 {
        if self.enobufs > 0 { self.limit } else { 0 }
    }

    fn received(&mut self, slot: u32, cqe: Cqe) {
        let limit = self.limit_now();
        let conn = &mut self.conns[slot as usize];
        if cqe.result > 0 {
            self.buffers.take(cqe, |chunk| conn.waiting.push_back(chunk));
            mark(conn, &mut self.marked, slot);
        }
        if cqe.flags & F_MORE != 0 {
            return;
        }
        // A multishot ends for four reasons: EOF, an error, no buffer, or a full completion queue (with a good result).
        conn.receiving = false;
        if cqe.result == -libc::ENOBUFS && !conn.ending {
            self.enobufs += 1;
            self.starved.push(slot);
        } else if cqe.result > 0 && !conn.ending {
            // With a limit it is armed again when all that came is in a send (`begin_send`).
            conn.paused = limit > 0;
            if !conn.paused {
                self.arm(slot);
            }
        } else {
            conn.ending = true;
            mark(conn, &mut self.marked, slot);
        }
    }

    fn sent(&mut self, slot: u32, cqe: Cqe) {
        let conn = &mut self.conns[slot as usize];
        let mut left = cqe.result.max(0) as u32;
        let mut flying = mem::take(&mut conn.flying);
        let whole = flying
            .iter()
            .take_while(|chunk| {
                chunk.len <= left && {
                    left -= chunk.len;
                    true
                }
            })
            .count();
        flying.drain(..whole).for_each(|chunk| self.buffers.release(chunk));
        if cqe.result <= 0 {
            // The peer is gone: nothing that waits can be delivered.
            flying.drain(..).for_each(|chunk| self.buffers.release(chunk));
            conn.waiting.drain(..).for_each(|chunk| self.buffers.release(chunk));
            if !mem::replace(&mut conn.ending, true) && conn.receiving {
                self.ring.push(Sqe::cancel(RECV | slot as u64, SILENT));
            }
        } else if let Some(first) = flying.first_mut() {
            // Short in spite of MSG_WAITALL: the rest goes first.
            first.skip(left);
            flying.drain(..).rev().for_each(|chunk| conn.waiting.push_front(chunk));
        }
        conn.flying = flying;
        if !conn.waiting.is_empty() || conn.ending {
            mark(conn, &mut self.marked, slot);
        }
    }

    fn begin_send(&mut self, slot: u32) {
        let conn = &mut self.conns[slot as usize];
        conn.marked = false;
        if !conn.flying.is_empty() {
            return;
        }
        let count = conn.waiting.len().min(GATHER_MAX);
        if count == 0 {
            if conn.ending && !conn.receiving {
                *conn = Conn::default();
                self.ring.push(Sqe::close(slot, SILENT));
            }
            return;
        }
        self.sends += 1;
        conn.flying.extend(conn.waiting.drain(..count));
        if conn.waiting.is_empty() && mem::take(&mut conn.paused) {
            self.again.push(slot);
        }
        let user_data = SEND | slot as u64;
        self.ring.push(if let [only] = conn.flying[..] {
            Sqe::send(slot, only.from, only.len, user_data)
        } else {
            conn.pieces.clear();
            let piece =
                |chunk: &Chunk| libc::iovec { iov_base: chunk.from as *mut _, iov_len: chunk.len as usize };
            conn.pieces.extend(conn.flying.iter().map(piece));
            Sqe::send_gathered(slot, conn.pieces.as_ptr(), count as u32, user_data)
        });
    }
}

fn mark(conn: &mut Conn, marked: &mut Vec<u32>, slot: u32) {
    if !mem::replace(&mut conn.marked, true) {
        marked.push(slot);
    }
}

fn main() -> std::io::Result<()> {
    let mut args = Args::from_env();
    let addr = args.parse("--addr", "127.0.0.1:7100".parse().expect("an address"));
    let core = args.parse("--core", 0usize);
    // Sizes and limits are the best of those tried: bench/results, buffer-policies.
    let (layout, bytes, count, limit) = match args.parse("--policy", "bundle".to_string()).as_str() {
        "small" => (Layout::Single, 4 << 10, 1024, 0),
        "bundle" => (Layout::Bundle, 16 << 10, 256, 384 << 10),
        "large" => (Layout::Single, 64 << 10, 64, 256 << 10),
        "inc" => (Layout::Incremental, 256 << 10, 16, 256 << 10),
        other => quit(&format!("--policy {other}: small, bundle, large or inc")),
    };
    let bytes = args.parse("--buffer-bytes", bytes);
    let count = args.parse("--buffers", count);
    let spin_ns = args.parse("--spin-us", 0u64) * 1000;
    let limit = args.parse("--limit-bytes", limit);
    let report = args.text("--report");
    args.finish();

    pin(core)?;
    stop_on_signals();
    let listener = sock::listen(addr)?;
    let files = raise_nofile().min(65_536) as u32;
    let mut ring = Ring::new(&Setup {
        entries: 4096,
        completions: 16_384,
        files,
        spin: spin_ns > 0,
        ..Setup::default()
    })?;
    let buffers = Buffers::new(&ring, GROUP, count, bytes, layout)?;
    ring.push(Sqe::accept_multishot(listener.as_raw_fd(), ACCEPT));
    let conns = (0..files).map(|_| Conn::default()).collect();
    let (marked, starved, again) = (Vec::new(), Vec::new(), Vec::new());
    let mut echo = Echo {
        ring,
        buffers,
        listener: listener.as_raw_fd(),
        conns,
        marked,
        starved,
        again,
        limit,
        enobufs: 0,
        sends: 0,
    };
    while !stopped() {
        let watched = spin_ns > 0 && {
            let begun = now_ns();
            echo.ring.watch(|| now_ns() - begun < spin_ns)?
        };
        if !watched {
            echo.ring.turn(1, 0)?;
        }
        echo.turn();
    }
    let totals = [
        ("enters", echo.ring.enters()),
        ("enobufs", echo.enobufs),
        ("sends", echo.sends),
        ("bytes_copied", 0),
    ];
    write_report(report.as_deref(), &totals);
    Ok(())
}

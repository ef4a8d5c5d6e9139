//! HTTP on one ring with a canned answer: counts the heads in what was received, answers all of one turn in one send.
//!
//! Buffers go back at once: nothing is kept but how much of an end mark was seen, and how many answers are owed.

use std::mem;
use std::os::fd::AsRawFd;

use floor::args::Args;
use floor::buffers::{Buffers, Layout};
use floor::http::{ANSWER_BYTES, Answers, BLOCK_ANSWERS, Heads};
use floor::process::{pin, raise_nofile, stop_on_signals, stopped, write_report};
use floor::ring::{Cqe, F_MORE, Ring, Setup, Sqe};
use floor::sock;

const ACCEPT: u64 = 1 << 56;
const RECV: u64 = 2 << 56;
const SEND: u64 = 3 << 56;
const SILENT: u64 = 4 << 56;
const GROUP: u16 = 0;

/// One connection; its place in the table is its slot in the ring's file table.
#[derive(Default)]
struct Conn {
    heads: Heads,
    /// Answers not yet given to a send.
    owed: u32,
    /// Bytes of the send in flight, and the block that they lie in.
    flying_bytes: u32,
    block: u32,
    receiving: bool,
    /// EOF or an error: close when nothing is in flight.
    ending: bool,
    /// Waits for `answer` at the end of the turn.
    marked: bool,
}

struct Http {
    ring: Ring,
    buffers: Buffers,
    answers: Answers,
    listener: i32,
    conns: Vec<Conn>,
    marked: Vec<u32>,
    starved: Vec<u32>,
}

impl Http {
    fn turn(&mut self) {
        self.answers.refresh();
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
            self.answer(self.marked[at]);
        }
        self.marked.clear();
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
        self.ring.push(Sqe::recv_multishot(slot, GROUP, false, 0, 0, RECV | slot as u64));
    }

    fn received(&mut self, slot: u32, cqe: Cqe) {
        let conn = &mut self.conns[slot as usize];
        if cqe.result > 0 {
            let chunk = self.buffers.take_single(cqe);
            conn.owed += conn.heads.count(chunk.bytes()) as u32;
            self.buffers.release(chunk);
        }
        if cqe.flags & F_MORE == 0 {
            conn.receiving = false;
            if cqe.result == -libc::ENOBUFS && !conn.ending {
                self.starved.push(slot);
            } else if cqe.result > 0 && !conn.ending {
                self.arm(slot);
            } else {
                conn.ending = true;
            }
        }
        mark(&mut self.conns[slot as usize], &mut self.marked, slot);
    }

    fn sent(&mut self, slot: u32, cqe: Cqe) {
        let conn = &mut self.conns[slot as usize];
        self.answers.give_back(conn.block as usize);
        // MSG_WAITALL: a short send is a broken connection.
        if cqe.result as i64 != i64::from(conn.flying_bytes) {
            conn.owed = 0;
            if !mem::replace(&mut conn.ending, true) && conn.receiving {
                self.ring.push(Sqe::cancel(RECV | slot as u64, SILENT));
            }
        }
        conn.flying_bytes = 0;
        if conn.owed > 0 || conn.ending {
            mark(conn, &mut self.marked, slot);
        }
    }

    fn answer(&mut self, slot: u32) {
        let conn = &mut self.conns[slot as usize];
        conn.marked = false;
        if conn.flying_bytes > 0 {
            return;
        }
        if conn.owed == 0 {
            if conn.ending && !conn.receiving {
                *conn = Conn::default();
                self.ring.push(Sqe::close(slot, SILENT));
            }
            return;
        }
        let count = conn.owed.min(BLOCK_ANSWERS as u32);
        conn.owed -= count;
        conn.flying_bytes = count * ANSWER_BYTES as u32;
        let (block, bytes) = self.answers.lend();
        conn.block = block as u32;
        self.ring.push(Sqe::send(slot, bytes.as_ptr(), conn.flying_bytes, SEND | slot as u64));
    }
}

fn mark(conn: &mut Conn, marked: &mut Vec<u32>, slot: u32) {
    if !mem::replace(&mut conn.marked, true) {
        marked.push(slot);
    }
}

fn main() -> std::io::Result<()> {
    let mut args = Args::from_env();
    let addr = args.parse("--addr", "127.0.0.1:7102".parse().expect("an address"));
    let core = args.parse("--core", 0usize);
    let bytes = args.parse("--buffer-bytes", 4u32 << 10);
    let count = args.parse("--buffers", 512u16);
    let report = args.text("--report");
    args.finish();

    pin(core)?;
    stop_on_signals();
    let listener = sock::listen(addr)?;
    let files = raise_nofile().min(65_536) as u32;
    let mut ring = Ring::new(&Setup { entries: 4096, completions: 16_384, files, ..Setup::default() })?;
    let buffers = Buffers::new(&ring, GROUP, count, bytes, Layout::Single)?;
    ring.push(Sqe::accept_multishot(listener.as_raw_fd(), ACCEPT));
    let mut http = Http {
        ring,
        buffers,
        answers: Answers::new(),
        listener: listener.as_raw_fd(),
        conns: (0..files).map(|_| Conn::default()).collect(),
        marked: Vec::new(),
        starved: Vec::new(),
    };
    while !stopped() {
        http.ring.turn(1, 0)?;
        http.turn();
    }
    write_report(report.as_deref(), &[("enters", http.ring.enters())]);
    Ok(())
}

//! Many rings on one thread: the probe behind docs/decisions/0014-rings.md, and the floor of a million connections.
//!
//! A table of direct descriptors holds RLIMIT_NOFILE of them, for each ring apart. So one thread has `--rings` of them, `--slots`
//! connections each, and answers what comes with the same bytes. A connection waits by a multishot poll; what comes is received
//! into one of a few buffers at once. One primary ring is waited on. How it learns that another ring has work is what `--wait` says:
//!
//! - `eventfd`: the other rings signal one eventfd (io_uring_register_eventfd(3)); which of them it was, their flags in shared memory say
//! - `poll`: the primary ring polls the descriptor of each other ring
//! - `coop`: as `poll`, the other rings being of the kind whose completions are posted in any system call of the thread
//!
//! It answers the heartbeats of frame://, and echoes whatever else comes.
//!
//! With `--clients` it is its own load: so many connections, each sending 64 bytes when its turn comes, `--busy` of them at once.

use std::io;
use std::io::{Read, Write};
use std::net::{SocketAddrV4, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use floor::args::{Args, quit};
use floor::process::{now_ns, pin, raise_nofile, stop_on_signals, stopped, thread_cpu_ns, write_report};
use floor::ring::{Cqe, F_MORE, Ring, Setup, Sqe};
use floor::sock;

const ACCEPT: u64 = 1 << 56;
const POLL: u64 = 2 << 56;
const RECV: u64 = 3 << 56;
const SEND: u64 = 4 << 56;
const EVENT: u64 = 5 << 56;
const RING: u64 = 6 << 56;
const SILENT: u64 = 7 << 56;
const KIND: u64 = 0xff << 56;
/// Bytes that are received at a time, and how many such pieces may be on their way.
const PIECE: usize = 256;
const PIECES: usize = 1 << 19;

#[derive(Clone, Copy, PartialEq)]
enum Wait {
    Eventfd,
    Poll,
    Coop,
}

/// One ring of many.
struct One {
    ring: Ring,
    taken: u32,
    /// Stands in the list of those to be entered.
    marked: bool,
}

struct Server {
    rings: Vec<One>,
    listener: i32,
    slots: u32,
    /// The ring that accepts.
    filling: usize,
    wait: Wait,
    event: i32,
    /// Rings that are to be entered.
    marked: Vec<usize>,
    pieces: Box<[[u8; PIECE]]>,
    free: Vec<u32>,
    answered: u64,
}

impl Server {
    fn new(listener: i32, rings: usize, slots: u32, wait: Wait) -> io::Result<Server> {
        // SAFETY: no pointers; it lives as long as the process.
        let event = sock::check(unsafe { libc::eventfd(0, libc::EFD_NONBLOCK | libc::EFD_CLOEXEC) })?;
        let mut all = Vec::new();
        for index in 0..rings {
            let coop = wait == Wait::Coop && index > 0;
            let setup = Setup { entries: 512, completions: 4096, files: slots, spin: true, coop };
            let ring = Ring::new(&setup)?;
            if wait == Wait::Eventfd && index > 0 {
                ring.submitter().register_eventfd(event)?;
            }
            all.push(One { ring, taken: 0, marked: false });
        }
        let primary = &mut all[0];
        primary.ring.push(Sqe::poll_multishot_fd(event, EVENT));
        if wait != Wait::Eventfd {
            for index in 1..rings {
                let fd = all[index].ring.descriptor();
                all[0].ring.push(Sqe::poll_multishot_fd(fd, RING | index as u64));
            }
        }
        let mut server = Server {
            rings: all,
            listener,
            slots,
            filling: 0,
            wait,
            event,
            marked: Vec::new(),
            pieces: vec![[0; PIECE]; PIECES].into(),
            free: (0..PIECES as u32).rev().collect(),
            answered: 0,
        };
        server.accept();
        Ok(server)
    }

    /// One accept at a time, on the first ring that has room.
    fn accept(&mut self) {
        let room = |one: &One| one.taken < self.slots;
        let Some(index) = (self.filling..self.rings.len()).find(|&index| room(&self.rings[index])) else {
            return;
        };
        self.filling = index;
        self.push(index, Sqe::accept(self.listener, ACCEPT));
    }

    fn push(&mut self, index: usize, sqe: Sqe) {
        self.rings[index].ring.push(sqe);
        self.mark(index);
    }

    fn mark(&mut self, index: usize) {
        if index > 0 && !std::mem::replace(&mut self.rings[index].marked, true) {
            self.marked.push(index);
        }
    }

    fn take(&mut self, index: usize) {
        let completions = self.rings[index].ring.reap();
        for &cqe in &completions {
            self.complete(index, cqe);
        }
        self.rings[index].ring.give_back(completions);
    }

    fn complete(&mut self, index: usize, cqe: Cqe) {
        let slot = cqe.user_data as u32 & 0xff_ffff;
        let piece = (cqe.user_data >> 24) as u32;
        let about = cqe.user_data & !KIND;
        match cqe.user_data & KIND {
            ACCEPT => {
                if cqe.result >= 0 {
                    self.rings[index].taken += 1;
                    self.push(index, Sqe::poll_multishot(cqe.result as u32, POLL | cqe.result as u64));
                }
                self.accept();
            }
            // Its connection was closed.
            POLL if cqe.result < 0 => {}
            POLL => {
                let piece = self.free.pop().unwrap_or_else(|| quit("too many answers are under way"));
                let to = self.pieces[piece as usize].as_mut_ptr();
                let tag = RECV | u64::from(piece) << 24 | u64::from(slot);
                self.push(index, Sqe::recv(slot, to, PIECE as u32, tag));
                if cqe.flags & F_MORE == 0 {
                    self.push(index, Sqe::poll_multishot(slot, POLL | u64::from(slot)));
                }
            }
            RECV if cqe.result > 0 => {
                // Of a PING of docs/FRAME.md a PONG is made; all else goes back as it came, HELLO too.
                let bytes = &mut self.pieces[piece as usize];
                if bytes[..2] == *b"RM" && bytes[4..6] == [0, 2] {
                    bytes[5] = 3;
                }
                let from = bytes.as_ptr();
                self.push(index, Sqe::send(slot, from, cqe.result as u32, SEND | about));
            }
            RECV => {
                // Zero-filled memory is not there before it is used, and the same pieces are used first.
                self.free.push(piece);
                if cqe.result != -libc::EAGAIN {
                    self.push(index, Sqe::cancel(POLL | u64::from(slot), SILENT));
                    self.push(index, Sqe::close(slot, SILENT));
                    self.rings[index].taken -= 1;
                    self.filling = self.filling.min(index);
                }
            }
            SEND => {
                self.answered += 1;
                self.free.push(piece);
            }
            EVENT => {
                let mut count = 0u64;
                // SAFETY: eight bytes are given.
                unsafe { libc::read(self.event, (&raw mut count).cast(), 8) };
                // A poll that another ring's completion ends does so once (io_poll_wake(), EPOLL_URING_WAKE).
                if cqe.flags & F_MORE == 0 {
                    self.rings[0].ring.push(Sqe::poll_multishot_fd(self.event, EVENT));
                }
            }
            RING => {
                let fd = self.rings[slot as usize].ring.descriptor();
                self.mark(slot as usize);
                if cqe.flags & F_MORE == 0 {
                    self.rings[0].ring.push(Sqe::poll_multishot_fd(fd, RING | u64::from(slot)));
                }
            }
            _ => {}
        }
    }

    fn turn(&mut self) -> io::Result<()> {
        self.take(0);
        if self.wait == Wait::Eventfd {
            for index in 1..self.rings.len() {
                if self.rings[index].ring.work_waits() {
                    self.mark(index);
                }
            }
        }
        // A ring whose completions bring new submissions stands in the list again, until it has none.
        let mut at = 0;
        while at < self.marked.len() {
            let index = self.marked[at];
            at += 1;
            self.rings[index].marked = false;
            self.rings[index].ring.turn(0, 0)?;
            self.take(index);
        }
        self.marked.clear();
        Ok(())
    }

    fn serve(&mut self, stop: impl Fn() -> bool) -> io::Result<()> {
        while !stop() {
            self.turn()?;
            self.rings[0].ring.turn(1, 100_000_000)?;
        }
        Ok(())
    }

    fn enters(&self) -> u64 {
        self.rings.iter().map(|one| one.ring.enters()).sum()
    }
}

fn main() -> io::Result<()> {
    let mut args = Args::from_env();
    let (rings, slots) = (args.parse("--rings", 25), args.parse("--slots", 400));
    let (clients, busy) = (args.parse("--clients", 0), args.parse("--busy", 64));
    let rate: u64 = args.parse("--rate", 0);
    let seconds: u64 = args.parse("--seconds", 2);
    let address: SocketAddrV4 = args.parse("--listen", SocketAddrV4::new([127, 0, 0, 1].into(), 0));
    let report = args.text("--report");
    let wait = match args.text("--wait").as_deref() {
        None | Some("eventfd") => Wait::Eventfd,
        Some("poll") => Wait::Poll,
        Some("coop") => Wait::Coop,
        Some(other) => quit(&format!("--wait: {other} is none of eventfd, poll, coop")),
    };
    args.finish();
    raise_nofile();
    stop_on_signals();
    let listener = sock::listen(address)?;
    let bound = TcpListener::from(listener.try_clone()?).local_addr()?;
    if clients == 0 {
        eprintln!("listening on {bound}");
        pin(0)?;
        let mut server = Server::new(listener.as_raw_fd(), rings, slots, wait)?;
        server.serve(stopped)?;
        write_report(report.as_deref(), &[("requests", server.answered), ("enters", server.enters())]);
        return Ok(());
    }
    let (over, look) = (AtomicBool::new(false), AtomicBool::new(false));
    let (cpu_ns, enters) = (AtomicU64::new(0), AtomicU64::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            pin(0).expect("core 0");
            let mut server = Server::new(listener.as_raw_fd(), rings, slots, wait).expect("rings");
            while !over.load(Ordering::Relaxed) {
                let until = || look.swap(false, Ordering::Relaxed) || over.load(Ordering::Relaxed);
                server.serve(until).expect("io_uring_enter");
                cpu_ns.store(thread_cpu_ns(), Ordering::Relaxed);
                enters.store(server.enters(), Ordering::Release);
            }
        });
        let snapshot = || {
            look.store(true, Ordering::Relaxed);
            std::thread::sleep(Duration::from_millis(150));
            (cpu_ns.load(Ordering::Relaxed), enters.load(Ordering::Acquire))
        };
        pin(1).expect("core 1");
        let mut streams: Vec<TcpStream> = Vec::new();
        for _ in 0..clients {
            streams.push(TcpStream::connect(bound).expect("a connection"));
        }
        let before = snapshot();
        let (answers, took_ns) = drive(&mut streams, busy, rate, seconds);
        let after = snapshot();
        std::thread::sleep(Duration::from_secs(1));
        let idle = snapshot();
        println!(
            "{rings} rings {answers} answers {:.0}/s cpu {:.0} ns/answer {:.3} enters/answer; idle {} enters, {:.1} ms CPU",
            answers as f64 * 1e9 / took_ns as f64,
            (after.0 - before.0) as f64 / answers as f64,
            (after.1 - before.1) as f64 / answers as f64,
            idle.1 - after.1,
            (idle.0 - after.0) as f64 / 1e6,
        );
        over.store(true, Ordering::Relaxed);
    });
    Ok(())
}

/// Sends on `busy` connections, hears them all, and goes on with others; paced to `rate` a second if that is not 0.
fn drive(streams: &mut [TcpStream], busy: usize, rate: u64, seconds: u64) -> (u64, u64) {
    let (began, mut answers, mut at) = (now_ns(), 0, 0);
    let mut room = [0; 64];
    while now_ns() - began < seconds * 1_000_000_000 {
        // Far apart in the order in which they came, so that they stand on many rings.
        let chosen: Vec<usize> = (0..busy).map(|n| (at + n) * 7919 % streams.len()).collect();
        at += busy;
        for &index in &chosen {
            streams[index].write_all(&[7; 64]).expect("it was sent");
        }
        for &index in &chosen {
            streams[index].read_exact(&mut room).expect("it was answered");
        }
        answers += busy as u64;
        while rate > 0 && (now_ns() - began) * rate < answers * 1_000_000_000 {
            std::thread::sleep(Duration::from_micros(50));
        }
    }
    (answers, now_ns() - began)
}

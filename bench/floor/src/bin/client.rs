//! The closed-loop client of the comparisons: one ring, one core, `depth` messages outstanding on each connection.
//!
//! Received bytes are counted and thrown away in the kernel (`MSG_TRUNC`, tcp(7)), so that the client is lighter than any
//! server; `--verify` receives and compares them instead. Answers of HTTP are counted by their length, which is read off
//! the first one and must be the same for all. Prints one JSON object.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::mem;
use std::net::{SocketAddrV4, TcpStream, UdpSocket};
use std::os::fd::{AsRawFd, OwnedFd};

use floor::args::{Args, quit};
use floor::buffers::{Buffers, Layout};
use floor::process::{machine_busy_ns, now_ns, pin, process_cpu_ns, raise_nofile, thread_cpu_ns};
use floor::ring::{Cqe, F_MORE, Ring, Setup, Sqe};
use hdrhistogram::Histogram;
use serde_json::json;

const RECV: u64 = 1 << 56;
const SEND: u64 = 2 << 56;
const GROUP: u16 = 0;
const WINDOW_NS: u64 = 100_000_000;
/// A datagram that is not answered for so long is counted as lost and sent again.
const LOST_NS: u64 = 200_000_000;
/// Period of the verified pattern; a prime, so that no two messages of a connection look alike.
const PATTERN_PERIOD: usize = 65_521;
const HTTP_REQUEST: &[u8] = b"GET /ping HTTP/1.1\r\nHost: bench\r\n\r\n";

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Echo,
    Http,
    Udp,
}

/// Messages sent together, with the time of their sending.
#[derive(Clone, Copy)]
struct Batch {
    sent_ns: u64,
    messages: u32,
}

struct Conn {
    outstanding: VecDeque<Batch>,
    /// Bytes of the answer that has begun to come.
    partial: usize,
    /// Messages to send when the send in flight is done.
    owed: u32,
    sending: bool,
    flying_bytes: usize,
    /// Stream offsets, for the pattern.
    sent: usize,
    received: usize,
}

struct Client {
    ring: Ring,
    buffers: Buffers,
    conns: Vec<Conn>,
    mode: Mode,
    verify: bool,
    depth: u32,
    request_bytes: usize,
    answer_bytes: usize,
    /// What is sent: the repeated request, or the pattern.
    source: Vec<u8>,
    histogram: Histogram<u64>,
    windows: Vec<u64>,
    /// Start and end of the measured time.
    measured: (u64, u64),
    draining: bool,
    in_flight: u64,
    messages: u64,
    lost: u64,
}

impl Client {
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
        let discard = if self.verify { 0 } else { libc::MSG_TRUNC };
        self.ring.push(Sqe::recv_multishot(index, GROUP, false, 0, discard, RECV | index as u64));
    }

    fn received(&mut self, index: u32, cqe: Cqe) {
        if cqe.result <= 0 && cqe.result != -libc::ENOBUFS {
            quit(&format!("connection {index}: receive ended with {}", cqe.result));
        }
        if cqe.result > 0 {
            let chunk = self.buffers.take_single(cqe);
            if self.verify {
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
        match self.mode {
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
                    let at = pattern_at(index, conn.received + compared);
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
        conn.partial += bytes;
        let messages = (conn.partial / self.answer_bytes) as u32;
        if messages == 0 {
            return;
        }
        conn.partial %= self.answer_bytes;
        let in_time = now >= self.measured.0 && now < self.measured.1;
        let mut left = messages;
        while left > 0 {
            let Some(batch) = conn.outstanding.front_mut() else { quit("more answers than messages") };
            let ended = batch.messages.min(left);
            if in_time {
                self.histogram.saturating_record_n(now - batch.sent_ns, ended.into());
            }
            batch.messages -= ended;
            left -= ended;
            if batch.messages == 0 {
                conn.outstanding.pop_front();
            }
        }
        if in_time {
            self.windows[((now - self.measured.0) / WINDOW_NS) as usize] += u64::from(messages);
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
        if conn.sending || conn.owed == 0 {
            return;
        }
        let messages = mem::take(&mut conn.owed);
        let bytes = messages as usize * self.request_bytes;
        let at = if self.verify && self.mode != Mode::Http { pattern_at(index, conn.sent) } else { 0 };
        conn.outstanding.push_back(Batch { sent_ns: now, messages });
        (conn.sending, conn.flying_bytes) = (true, bytes);
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
        conn.sending = false;
        if conn.owed > 0 && !self.draining {
            self.send_owed(index, now_ns());
        }
    }

    /// UDP only: sends again what got no answer.
    fn resend_lost(&mut self) {
        let now = now_ns();
        for index in 0..self.conns.len() as u32 {
            let conn = &mut self.conns[index as usize];
            let Some(first) = conn.outstanding.front().copied() else { continue };
            if conn.sending || now - first.sent_ns < LOST_NS {
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

    fn run_until(&mut self, end_ns: u64, spin: bool, done: impl Fn(&Self) -> bool) -> io::Result<()> {
        let mut looked = now_ns();
        while !done(self) {
            let now = now_ns();
            if now >= end_ns {
                break;
            }
            if self.mode == Mode::Udp && now - looked > LOST_NS / 4 && !self.draining {
                looked = now;
                self.resend_lost();
            }
            if spin {
                self.ring.watch(|| now_ns() < end_ns)?;
            } else {
                self.ring.turn(1, (end_ns - now).min(LOST_NS / 4))?;
            }
            self.turn();
        }
        Ok(())
    }
}

/// Where the pattern of a connection stands at a stream offset.
fn pattern_at(index: u32, offset: usize) -> usize {
    (offset + index as usize * 997) % PATTERN_PERIOD
}

/// Bytes that repeat after `PATTERN_PERIOD` and nowhere before, `bytes` more than one period.
fn pattern(bytes: usize) -> Vec<u8> {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    let period: Vec<u8> = (0..PATTERN_PERIOD).map(|_| next()).collect();
    period.iter().copied().cycle().take(PATTERN_PERIOD + bytes).collect()
}

/// Asks once, reads one answer whole, gives its length.
fn learn_answer(addr: SocketAddrV4) -> io::Result<usize> {
    let mut stream = TcpStream::connect(addr)?;
    stream.write_all(HTTP_REQUEST)?;
    let (mut answer, mut piece) = (Vec::new(), [0; 4096]);
    loop {
        let read = stream.read(&mut piece)?;
        if read == 0 {
            quit("the server closed instead of answering");
        }
        answer.extend_from_slice(&piece[..read]);
        let text = String::from_utf8_lossy(&answer).to_ascii_lowercase();
        let Some(head_bytes) = text.find("\r\n\r\n").map(|at| at + 4) else { continue };
        let length = text[..head_bytes].lines().find_map(|line| line.strip_prefix("content-length:"));
        let Some(body_bytes) = length.and_then(|value| value.trim().parse::<usize>().ok()) else {
            quit("the answer has no Content-Length");
        };
        if !text.starts_with("http/1.1 200") {
            quit("the answer is not 200");
        }
        if answer.len() == head_bytes + body_bytes {
            return Ok(answer.len());
        }
    }
}

fn connect(mode: Mode, addr: SocketAddrV4) -> io::Result<OwnedFd> {
    if mode == Mode::Udp {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        socket.connect(addr)?;
        return Ok(socket.into());
    }
    let stream = TcpStream::connect(addr)?;
    stream.set_nodelay(true)?;
    Ok(stream.into())
}

fn main() -> io::Result<()> {
    let mut args = Args::from_env();
    let mode = match args.parse("--mode", "echo".to_string()).as_str() {
        "echo" => Mode::Echo,
        "http" => Mode::Http,
        "udp" => Mode::Udp,
        other => quit(&format!("--mode {other}: echo, http or udp")),
    };
    let addr: SocketAddrV4 = args.parse("--addr", "127.0.0.1:7100".parse().expect("an address"));
    let core = args.parse("--core", 1usize);
    let connections = args.parse("--connections", 64usize);
    let depth = args.parse("--depth", 1u32);
    let size = args.parse("--size", 64usize);
    let seconds = args.parse("--seconds", 1.5f64);
    let warmup_ms = args.parse("--warmup-ms", 300u64);
    let server_pid = args.parse("--server-pid", 0u32);
    let (verify, spin) = (args.switch("--verify"), args.switch("--spin"));
    args.finish();

    pin(core)?;
    raise_nofile();
    let (request_bytes, answer_bytes) =
        if mode == Mode::Http { (HTTP_REQUEST.len(), learn_answer(addr)?) } else { (size, size) };
    let source =
        if mode == Mode::Http { HTTP_REQUEST.repeat(depth as usize) } else { pattern(depth as usize * size) };
    let fds: Vec<OwnedFd> = (0..connections).map(|_| connect(mode, addr)).collect::<io::Result<_>>()?;
    let ring = Ring::new(&Setup { entries: 4096, completions: 16_384, files: 0, spin })?;
    ring.submitter().register_files(&fds.iter().map(AsRawFd::as_raw_fd).collect::<Vec<_>>())?;
    let buffers = if verify {
        Buffers::new(&ring, GROUP, 512, 64 << 10, Layout::Single)?
    } else {
        Buffers::sink(&ring, GROUP, 4096, 1 << 20)?
    };
    let conns = (0..connections).map(|_| Conn {
        outstanding: VecDeque::new(),
        partial: 0,
        owed: depth,
        sending: false,
        flying_bytes: 0,
        sent: 0,
        received: 0,
    });
    let windows_count = ((seconds * 1e9) as u64).div_ceil(WINDOW_NS).max(1);
    let start = now_ns();
    let measured_from = start + warmup_ms * 1_000_000;
    let measured_to = measured_from + windows_count * WINDOW_NS;
    let mut client = Client {
        ring,
        buffers,
        conns: conns.collect(),
        mode,
        verify,
        depth,
        request_bytes,
        answer_bytes,
        source,
        histogram: Histogram::new_with_bounds(1, 60_000_000_000, 3).expect("constant bounds"),
        windows: vec![0; windows_count as usize],
        measured: (measured_from, measured_to),
        draining: false,
        in_flight: 0,
        messages: 0,
        lost: 0,
    };
    for index in 0..connections as u32 {
        client.arm(index);
        client.send_owed(index, start);
    }
    let spent = || [now_ns(), thread_cpu_ns(), process_cpu_ns(server_pid), machine_busy_ns()];
    client.run_until(measured_from, spin, |_| false)?;
    let before = spent();
    client.run_until(measured_to, spin, |_| false)?;
    let after = spent();
    let [measured_ns, client_cpu_ns, server_cpu_ns, busy_ns] =
        std::array::from_fn(|at| after[at] - before[at]);
    client.draining = true;
    client.run_until(now_ns() + 2_000_000_000, false, |client| client.in_flight == 0)?;
    if client.in_flight > 0 && mode != Mode::Udp {
        quit(&format!("{} messages were never answered", client.in_flight));
    }
    if client.conns.iter().any(|conn| conn.partial != 0) {
        quit("a part of an answer came that no message asked for");
    }
    let total: u64 = client.windows.iter().sum();
    let quantile = |q| client.histogram.value_at_quantile(q);
    let report = json!({
        "messages": total,
        "messages_ever": client.messages,
        "connections": connections,
        "depth": client.depth,
        "window_ms": WINDOW_NS / 1_000_000,
        "windows": client.windows,
        "latency_ns_p50": quantile(0.5),
        "latency_ns_p90": quantile(0.9),
        "latency_ns_p99": quantile(0.99),
        "latency_ns_p999": quantile(0.999),
        "latency_ns_max": client.histogram.max(),
        "measured_ns": measured_ns,
        "client_cpu_ns": client_cpu_ns,
        "server_cpu_ns": server_cpu_ns,
        "foreign_cpu_ns": busy_ns.saturating_sub(client_cpu_ns + server_cpu_ns),
        "enters": client.ring.enters(),
        "lost": client.lost,
    });
    println!("{report}");
    Ok(())
}

//! TCP echo on a readiness loop: level-triggered epoll, one core buffer, a bounded share of a turn for each connection.
//!
//! A connection is read again within its turn only while reads come back full; what a short write leaves is kept, and that
//! connection is not read until it is gone.

use std::mem;
use std::os::fd::{AsRawFd, OwnedFd};

use floor::args::Args;
use floor::process::{now_ns, pin, raise_nofile, stop_on_signals, stopped, write_report};
use floor::sock::{self, check};

const LISTENER: u64 = u64::MAX;
const BUFFER_BYTES: usize = 64 << 10;
/// Full reads of one connection in one turn.
const READS_MAX: usize = 4;

/// Bytes that a short write left, by descriptor.
#[derive(Default)]
struct Conn {
    left: Vec<u8>,
}

struct Echo {
    epoll: i32,
    conns: Vec<Conn>,
    buffer: Box<[u8]>,
    calls: u64,
}

impl Echo {
    fn accept(&mut self, listener: &OwnedFd) {
        loop {
            let flags = libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
            // SAFETY: no address is asked for.
            let fd = unsafe {
                libc::accept4(listener.as_raw_fd(), std::ptr::null_mut(), std::ptr::null_mut(), flags)
            };
            if fd < 0 {
                return;
            }
            if self.conns.len() <= fd as usize {
                self.conns.resize_with(fd as usize + 1, Conn::default);
            }
            self.watch(libc::EPOLL_CTL_ADD, fd, libc::EPOLLIN);
        }
    }

    fn watch(&mut self, op: i32, fd: i32, events: i32) {
        let mut event = libc::epoll_event { events: events as u32, u64: fd as u64 };
        // SAFETY: `event` outlives the call.
        unsafe { libc::epoll_ctl(self.epoll, op, fd, &mut event) };
    }

    fn close(&mut self, fd: i32) {
        self.conns[fd as usize].left = Vec::new();
        // SAFETY: the descriptor is ours and is not used after this.
        unsafe { libc::close(fd) };
    }

    fn readable(&mut self, fd: i32) {
        for _ in 0..READS_MAX {
            self.calls += 1;
            // SAFETY: the buffer is ours and as long as we say.
            let read = unsafe { libc::recv(fd, self.buffer.as_mut_ptr().cast(), BUFFER_BYTES, 0) };
            if read < 0 && errno() == libc::EAGAIN {
                return;
            }
            if read <= 0 {
                return self.close(fd);
            }
            let read = read as usize;
            let Some(sent) = send(fd, &self.buffer[..read]) else { return self.close(fd) };
            self.calls += 1;
            if sent < read {
                self.conns[fd as usize].left.extend_from_slice(&self.buffer[sent..read]);
                return self.watch(libc::EPOLL_CTL_MOD, fd, libc::EPOLLOUT);
            }
            if read < BUFFER_BYTES {
                return;
            }
        }
    }

    fn writable(&mut self, fd: i32) {
        let mut left = mem::take(&mut self.conns[fd as usize].left);
        let Some(sent) = send(fd, &left) else { return self.close(fd) };
        self.calls += 1;
        left.drain(..sent);
        if left.is_empty() {
            self.watch(libc::EPOLL_CTL_MOD, fd, libc::EPOLLIN);
        }
        self.conns[fd as usize].left = left;
    }
}

/// Bytes that the socket took; nothing when the connection is gone.
fn send(fd: i32, bytes: &[u8]) -> Option<usize> {
    // SAFETY: `bytes` outlives the call.
    let sent = unsafe { libc::send(fd, bytes.as_ptr().cast(), bytes.len(), libc::MSG_NOSIGNAL) };
    if sent >= 0 {
        return Some(sent as usize);
    }
    (errno() == libc::EAGAIN).then_some(0)
}

fn errno() -> i32 {
    std::io::Error::last_os_error().raw_os_error().unwrap_or(0)
}

fn main() -> std::io::Result<()> {
    let mut args = Args::from_env();
    let addr = args.parse("--addr", "127.0.0.1:7101".parse().expect("an address"));
    let core = args.parse("--core", 0usize);
    let spin_ns = args.parse("--spin-us", 0u64) * 1000;
    let report = args.text("--report");
    args.finish();

    pin(core)?;
    stop_on_signals();
    raise_nofile();
    let listener = sock::listen(addr)?;
    // SAFETY: no pointers.
    let epoll = check(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?;
    let mut echo = Echo { epoll, conns: Vec::new(), buffer: vec![0; BUFFER_BYTES].into(), calls: 0 };
    let mut event = libc::epoll_event { events: libc::EPOLLIN as u32, u64: LISTENER };
    // SAFETY: `event` outlives the call.
    check(unsafe { libc::epoll_ctl(epoll, libc::EPOLL_CTL_ADD, listener.as_raw_fd(), &mut event) })?;
    let mut events = vec![libc::epoll_event { events: 0, u64: 0 }; 512];
    let mut idle_since = now_ns();
    while !stopped() {
        let timeout = if spin_ns > 0 && now_ns() - idle_since < spin_ns { 0 } else { -1 };
        // SAFETY: the array is as long as we say.
        let ready = unsafe { libc::epoll_wait(epoll, events.as_mut_ptr(), events.len() as i32, timeout) };
        echo.calls += 1;
        if ready > 0 && spin_ns > 0 {
            idle_since = now_ns();
        }
        for event in &events[..ready.max(0) as usize] {
            let (mask, token) = (event.events, event.u64);
            match token {
                LISTENER => echo.accept(&listener),
                fd if mask & libc::EPOLLOUT as u32 != 0 => echo.writable(fd as i32),
                fd => echo.readable(fd as i32),
            }
        }
    }
    write_report(report.as_deref(), &[("enters", echo.calls)]);
    Ok(())
}

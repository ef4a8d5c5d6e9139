//! A readiness loop: level-triggered epoll, one core buffer, a bounded share of a turn for each connection.
//!
//! What to answer is a `Reply`, known at compile time. A connection is read again within its turn only while reads come back
//! full; what a short write leaves is kept, and that connection is not read until it is gone.

use std::io;
use std::mem;
use std::os::fd::{AsRawFd, OwnedFd};
use std::ptr;

use crate::process::{now_ns, stopped};
use crate::sock::check;

/// What a readiness floor does with received bytes.
pub trait Reply {
    /// What it remembers of one connection.
    type Memory: Default;
    /// Called once a turn, before the events.
    fn begin_turn(&mut self);
    /// The bytes that answer `received`.
    fn reply<'a>(&'a mut self, memory: &mut Self::Memory, received: &'a [u8]) -> &'a [u8];
}

const LISTENER: u64 = u64::MAX;
const BUFFER_BYTES: usize = 64 << 10;
/// Full reads of one connection in one turn.
const READS_MAX: usize = 4;

/// One connection, found by its descriptor.
struct Conn<M> {
    memory: M,
    /// What a short write left.
    left: Vec<u8>,
}

/// The loop's state.
pub struct Epoll<R: Reply> {
    epoll: i32,
    listener: OwnedFd,
    conns: Vec<Conn<R::Memory>>,
    buffer: Box<[u8]>,
    reply: R,
    calls: u64,
}

impl<R: Reply> Epoll<R> {
    /// Watches `listener`.
    pub fn new(listener: OwnedFd, reply: R) -> io::Result<Self> {
        // SAFETY: no pointers.
        let epoll = check(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?;
        let mut event = libc::epoll_event { events: libc::EPOLLIN as u32, u64: LISTENER };
        // SAFETY: `event` outlives the call.
        check(unsafe { libc::epoll_ctl(epoll, libc::EPOLL_CTL_ADD, listener.as_raw_fd(), &mut event) })?;
        Ok(Self { epoll, listener, conns: Vec::new(), buffer: vec![0; BUFFER_BYTES].into(), reply, calls: 0 })
    }

    /// Serves until a signal comes; gives the number of syscalls made. With `spin_ns` it polls so long before it waits.
    pub fn run(mut self, spin_ns: u64) -> u64 {
        let mut events = vec![libc::epoll_event { events: 0, u64: 0 }; 512];
        let mut idle_since = now_ns();
        while !stopped() {
            let timeout = if spin_ns > 0 && now_ns() - idle_since < spin_ns { 0 } else { -1 };
            // SAFETY: the array is as long as we say.
            let ready =
                unsafe { libc::epoll_wait(self.epoll, events.as_mut_ptr(), events.len() as i32, timeout) };
            self.calls += 1;
            if ready > 0 && spin_ns > 0 {
                idle_since = now_ns();
            }
            self.reply.begin_turn();
            for event in &events[..ready.max(0) as usize] {
                let (mask, token) = (event.events, event.u64);
                match token {
                    LISTENER => self.accept(),
                    fd if mask & libc::EPOLLOUT as u32 != 0 => self.writable(fd as i32),
                    fd => self.readable(fd as i32),
                }
            }
        }
        self.calls
    }

    fn accept(&mut self) {
        loop {
            let flags = libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
            // SAFETY: no address is asked for.
            let fd =
                unsafe { libc::accept4(self.listener.as_raw_fd(), ptr::null_mut(), ptr::null_mut(), flags) };
            if fd < 0 {
                return;
            }
            if self.conns.len() <= fd as usize {
                self.conns
                    .resize_with(fd as usize + 1, || Conn { memory: R::Memory::default(), left: Vec::new() });
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
        self.conns[fd as usize] = Conn { memory: R::Memory::default(), left: Vec::new() };
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
            let conn = &mut self.conns[fd as usize];
            let bytes = self.reply.reply(&mut conn.memory, &self.buffer[..read as usize]);
            if !bytes.is_empty() {
                self.calls += 1;
                let Some(sent) = send(fd, bytes) else { return self.close(fd) };
                if sent < bytes.len() {
                    conn.left.extend_from_slice(&bytes[sent..]);
                    return self.watch(libc::EPOLL_CTL_MOD, fd, libc::EPOLLOUT);
                }
            }
            if read < BUFFER_BYTES as isize {
                return;
            }
        }
    }

    fn writable(&mut self, fd: i32) {
        let mut left = mem::take(&mut self.conns[fd as usize].left);
        self.calls += 1;
        let Some(sent) = send(fd, &left) else { return self.close(fd) };
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
    io::Error::last_os_error().raw_os_error().unwrap_or(0)
}

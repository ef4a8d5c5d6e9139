//! What the servers have in common and is none of their authors' doing: the command line, a listener for each core, and the
//! thread that has it.
//!
//! Never speaks to a connection. Servers that bring listeners and threads of their own (actix-web, ntex, may, ringline) take
//! the command line from here and nothing else.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::thread;

use core_affinity::{CoreId, set_for_current};
use socket2::{Domain, Protocol, Socket, Type};

/// The body of every answer.
pub const BODY: &str = "ok";

/// Its media type.
pub const CONTENT_TYPE: &str = "text/plain; charset=utf-8";

/// What one read of an echo server may bring: a whole message of the largest case.
pub const BUFFER_BYTES: usize = 64 << 10;

/// Connections that wait to be accepted. The kernel caps it at net.core.somaxconn (listen(2)).
pub const BACKLOG: u32 = 4096;

/// The command line: `--addr ADDR [--threads N]`.
pub struct Line {
    pub addr: SocketAddr,
    /// Threads that serve, one a core, from core 0.
    pub threads: usize,
}

impl Line {
    /// Reads it. Errors: a usage line for anything else.
    pub fn read() -> io::Result<Self> {
        let words: Vec<String> = std::env::args().skip(1).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let (addr, threads) = match words[..] {
            ["--addr", addr] => (addr.parse().ok(), Some(1)),
            ["--addr", addr, "--threads", threads] => (addr.parse().ok(), threads.parse().ok()),
            _ => (None, None),
        };
        match (addr, threads) {
            (Some(addr), Some(threads)) if threads > 0 => Ok(Self { addr, threads }),
            _ => Err(io::Error::other("usage: --addr ADDR [--threads N]")),
        }
    }

    /// Runs `serve` on every thread, each pinned to its core, each with a listener of its own: the kernel spreads connections
    /// over them. Gives the first error; the others end with the program.
    pub fn serve(&self, serve: fn(TcpListener) -> io::Result<()>) -> io::Result<()> {
        let listeners: Vec<TcpListener> =
            (0..self.threads).map(|_| listener(self.addr)).collect::<io::Result<_>>()?;
        let run = |(core, listener): (usize, TcpListener)| {
            thread::spawn(move || {
                set_for_current(CoreId { id: core });
                serve(listener)
            })
        };
        let threads: Vec<_> = listeners.into_iter().enumerate().map(run).collect();
        threads.into_iter().try_for_each(|thread| {
            thread.join().unwrap_or_else(|_| Err(io::Error::other("a thread panicked")))
        })
    }
}

/// A listener of a group (SO_REUSEPORT) that does not block.
pub fn listener(addr: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&addr.into())?;
    socket.listen(BACKLOG as i32)?;
    Ok(socket.into())
}

//! Sockets as the loops want them. IPv4 only: the floors run on loopback.

use std::io;
use std::mem;
use std::net::SocketAddrV4;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

/// A non-blocking listener with TCP_NODELAY, which accepted sockets inherit.
pub fn listen(addr: SocketAddrV4) -> io::Result<OwnedFd> {
    let fd = socket(libc::SOCK_STREAM)?;
    option(fd.as_raw_fd(), libc::SOL_SOCKET, libc::SO_REUSEADDR, 1)?;
    option(fd.as_raw_fd(), libc::IPPROTO_TCP, libc::TCP_NODELAY, 1)?;
    bind(&fd, addr)?;
    // SAFETY: `fd` is a bound socket that we own.
    check(unsafe { libc::listen(fd.as_raw_fd(), 4096) })?;
    Ok(fd)
}

/// A non-blocking UDP socket bound to `addr`, with 4 MiB of buffers where the limits allow it.
pub fn bind_udp(addr: SocketAddrV4) -> io::Result<OwnedFd> {
    let fd = socket(libc::SOCK_DGRAM)?;
    for name in [libc::SO_RCVBUF, libc::SO_SNDBUF] {
        option(fd.as_raw_fd(), libc::SOL_SOCKET, name, 4 << 20)?;
    }
    bind(&fd, addr)?;
    Ok(fd)
}

/// Sets one integer option.
pub fn option(fd: RawFd, level: libc::c_int, name: libc::c_int, value: libc::c_int) -> io::Result<()> {
    // SAFETY: `value` outlives the call and its size is given.
    let result =
        unsafe { libc::setsockopt(fd, level, name, (&raw const value).cast(), size_of_val(&value) as u32) };
    check(result).map(drop)
}

/// `-1` to the error that errno names.
pub fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// The address as the kernel wants it.
pub fn raw_addr(addr: SocketAddrV4) -> libc::sockaddr_in {
    // SAFETY: all zeroes is a valid `sockaddr_in`.
    let mut raw: libc::sockaddr_in = unsafe { mem::zeroed() };
    raw.sin_family = libc::AF_INET as u16;
    raw.sin_port = addr.port().to_be();
    raw.sin_addr.s_addr = u32::from(*addr.ip()).to_be();
    raw
}

fn socket(kind: libc::c_int) -> io::Result<OwnedFd> {
    // SAFETY: no pointers; the descriptor is ours alone.
    unsafe {
        let fd = check(libc::socket(libc::AF_INET, kind | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC, 0))?;
        Ok(OwnedFd::from_raw_fd(fd))
    }
}

fn bind(fd: &OwnedFd, addr: SocketAddrV4) -> io::Result<()> {
    let raw = raw_addr(addr);
    // SAFETY: `raw` outlives the call and its size is given.
    check(unsafe { libc::bind(fd.as_raw_fd(), (&raw const raw).cast(), size_of_val(&raw) as u32) }).map(drop)
}

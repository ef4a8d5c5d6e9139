//! Sockets as an engine wants them: listeners that several shards share, outgoing sockets not yet connected, and what
//! one asks of a connected one.
//!
//! Nothing here waits: that is the engine's. Addresses come from the configuration, already resolved. Sources: socket(7), tcp(7), ip(7), ipv6(7).

mod accept;
mod address;
mod foreign;
mod steer;
mod stream;
mod udp;

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

pub use address::SockAddr;
pub use foreign::{adopt, borrow};
pub use steer::CORES_MAX;
pub use stream::{BUFFERS_MAX, Read, connect_start, receive, receive_datagram, send, send_datagram};
pub use udp::{Arrival, ReplyFrom, UdpOptions, UdpSocket};

use crate::error::Error;

/// How a listener is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListenOptions {
    /// Connections that may wait to be accepted; the kernel caps it at `net.core.somaxconn`.
    pub backlog: u32,
    /// Whether other sockets of this user may listen on the same address, each with a queue of its own
    /// (`SO_REUSEPORT`). They would do so silently: see [`probe_free`].
    pub reuse_port: bool,
    /// `TCP_NODELAY`, which accepted connections inherit.
    pub nodelay: bool,
    /// For an IPv6 address: `Some(false)` also serves IPv4 (dual stack), `None` leaves it to `net.ipv6.bindv6only`.
    pub v6only: Option<bool>,
    /// `O_NONBLOCK` on the listener itself; a ring does not need it, and accepted descriptors do not inherit it.
    pub nonblocking: bool,
}

impl Default for ListenOptions {
    fn default() -> ListenOptions {
        ListenOptions { backlog: 4096, reuse_port: false, nodelay: true, v6only: None, nonblocking: false }
    }
}

/// A TCP socket that listens. Closing it resets what still waits in its queue: accept that first.
#[derive(Debug)]
pub struct Listener {
    fd: OwnedFd,
    address: SocketAddr,
}

impl Listener {
    /// Binds to `addr` and listens. Port 0 lets the kernel choose: see [`Listener::address`].
    ///
    /// Errors: `AddressInUse`, `NoSuchAddress`, `Permission` (a port below 1024), `NofileShort`, else `Os`.
    pub fn bind(addr: SocketAddr, options: &ListenOptions) -> Result<Listener, Error> {
        let fd = socket(addr, Transport::Tcp, options.nonblocking)?;
        // Else an address with connections in TIME_WAIT could not be bound again for a minute after a restart.
        set(&fd, libc::SOL_SOCKET, libc::SO_REUSEADDR, true)?;
        set(&fd, libc::SOL_SOCKET, libc::SO_REUSEPORT, options.reuse_port)?;
        set(&fd, libc::IPPROTO_TCP, libc::TCP_NODELAY, options.nodelay)?;
        set_v6only(&fd, addr, options.v6only)?;
        bind(&fd, addr)?;
        let backlog = libc::c_int::try_from(options.backlog).unwrap_or(libc::c_int::MAX);
        // SAFETY: listen(2) takes no pointer, and `fd` is open while it is borrowed here.
        check(unsafe { libc::listen(fd.as_raw_fd(), backlog) })
            .map_err(|errno| Error::about(addr, "listen on", errno))?;
        let address = local_address_of(&fd)?;
        Ok(Listener { fd, address })
    }

    /// The address that is bound, with the port that the kernel chose where 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl From<Listener> for OwnedFd {
    fn from(listener: Listener) -> OwnedFd {
        listener.fd
    }
}

/// The two transports of a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// Streams.
    Tcp,
    /// Datagrams.
    Udp,
}

/// Whether nobody has `addr` yet, not even a socket that would share it.
///
/// With `SO_REUSEPORT` a second server of the same user binds without a word and takes half of the connections. So,
/// before the first listener is made, this binds a throw-away socket without that option. `v6only` as in the options
/// of the socket to come. Errors: `AddressInUse`, and the others of [`Listener::bind`].
pub fn probe_free(addr: SocketAddr, transport: Transport, v6only: Option<bool>) -> Result<(), Error> {
    let fd = socket(addr, transport, false)?;
    if transport == Transport::Tcp {
        // Passes over TIME_WAIT, never over a listener. A UDP socket with it would pass over other sockets too.
        set(&fd, libc::SOL_SOCKET, libc::SO_REUSEADDR, true)?;
    }
    set_v6only(&fd, addr, v6only)?;
    bind(&fd, addr)
}

/// A blocking TCP socket for a connection to `to`, not connected yet, with `TCP_NODELAY`; bound to `from` if given.
///
/// Where `from` has port 0, the port is chosen at connect, so that one local port may serve several peers
/// (`IP_BIND_ADDRESS_NO_PORT`, ip(7)). Errors: as [`Listener::bind`]; `NoSuchAddress` also for a `from` of the other
/// family.
pub fn connect_socket(to: SocketAddr, from: Option<SocketAddr>) -> Result<OwnedFd, Error> {
    let fd = socket(to, Transport::Tcp, false)?;
    set(&fd, libc::IPPROTO_TCP, libc::TCP_NODELAY, true)?;
    if let Some(from) = from {
        if from.is_ipv4() != to.is_ipv4() {
            return Err(Error::NoSuchAddress { addr: from });
        }
        if from.port() == 0 {
            set(&fd, libc::IPPROTO_IP, libc::IP_BIND_ADDRESS_NO_PORT, true)?;
        }
        bind(&fd, from)?;
    }
    Ok(fd)
}

/// The address of the other end. Errors: `Os` with ENOTCONN when there is none.
pub fn peer_address(fd: impl AsFd) -> Result<SocketAddr, Error> {
    address_by("getpeername", libc::getpeername, fd.as_fd())
}

/// The address of this end.
pub fn local_address_of(fd: impl AsFd) -> Result<SocketAddr, Error> {
    address_by("getsockname", libc::getsockname, fd.as_fd())
}

/// Sends FIN after what was written; reading goes on. Errors: `Os` with ENOTCONN when the peer is gone.
pub fn shutdown_write(fd: impl AsFd) -> Result<(), Error> {
    // SAFETY: shutdown(2) takes no pointer, and the descriptor is open while it is borrowed.
    let result = unsafe { libc::shutdown(fd.as_fd().as_raw_fd(), libc::SHUT_WR) };
    check(result).map_err(|errno| Error::os("shutdown", errno))
}

/// Makes the next close send RST and throw away what was not sent (`SO_LINGER` with time 0).
pub fn set_linger_zero(fd: impl AsFd) -> Result<(), Error> {
    let linger = libc::linger { l_onoff: 1, l_linger: 0 };
    set(fd, libc::SOL_SOCKET, libc::SO_LINGER, linger)
}

/// Takes the error that waits on the socket (`SO_ERROR`): how a non-blocking connect went.
pub fn so_error(fd: impl AsFd) -> Result<Option<io::Error>, Error> {
    let errno: libc::c_int = get(fd, libc::SOL_SOCKET, libc::SO_ERROR)?;
    Ok((errno != 0).then(|| io::Error::from_raw_os_error(errno)))
}

fn socket(addr: SocketAddr, transport: Transport, nonblocking: bool) -> Result<OwnedFd, Error> {
    let family = if addr.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
    let kind = match transport {
        Transport::Tcp => libc::SOCK_STREAM,
        Transport::Udp => libc::SOCK_DGRAM,
    };
    let flags = libc::SOCK_CLOEXEC | if nonblocking { libc::SOCK_NONBLOCK } else { 0 };
    // SAFETY: socket(2) takes no pointer.
    let fd = unsafe { libc::socket(family, kind | flags, 0) };
    check(fd).map_err(|errno| Error::about(addr, "open a socket for", errno))?;
    // SAFETY: the call above succeeded, so `fd` is a new descriptor that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn set_v6only(fd: &OwnedFd, addr: SocketAddr, v6only: Option<bool>) -> Result<(), Error> {
    match v6only {
        Some(only) if addr.is_ipv6() => set(fd, libc::IPPROTO_IPV6, libc::IPV6_V6ONLY, only),
        _ => Ok(()),
    }
}

fn bind(fd: &OwnedFd, addr: SocketAddr) -> Result<(), Error> {
    let name = SockAddr::from(addr);
    // SAFETY: `name` holds `len` bytes of an address and lives through the call; bind(2) only reads it.
    let result = unsafe { libc::bind(fd.as_raw_fd(), name.as_ptr(), name.len()) };
    check(result).map_err(|errno| Error::about(addr, "bind", errno))
}

/// Connects a blocking socket and waits for the answer.
pub(crate) fn connect(fd: &OwnedFd, to: SocketAddr) -> Result<(), Error> {
    let name = SockAddr::from(to);
    // SAFETY: `name` holds `len` bytes of an address and lives through the call; connect(2) only reads it.
    let result = unsafe { libc::connect(fd.as_raw_fd(), name.as_ptr(), name.len()) };
    check(result).map_err(|errno| Error::about(to, "connect", errno))
}

/// A value that setsockopt(2) and getsockopt(2) may copy from and to.
pub(crate) trait OptionValue: Copy {
    /// What the kernel sees.
    type Raw: Copy;
    fn raw(self) -> Self::Raw;
}

impl OptionValue for bool {
    type Raw = libc::c_int;
    fn raw(self) -> libc::c_int {
        self.into()
    }
}

impl OptionValue for libc::c_int {
    type Raw = libc::c_int;
    fn raw(self) -> libc::c_int {
        self
    }
}

impl OptionValue for libc::linger {
    type Raw = libc::linger;
    fn raw(self) -> libc::linger {
        self
    }
}

pub(crate) fn set<V: OptionValue>(fd: impl AsFd, level: i32, name: i32, value: V) -> Result<(), Error> {
    let raw = value.raw();
    let bytes = size_of::<V::Raw>() as libc::socklen_t;
    // SAFETY: `raw` is `bytes` long, initialized (integers without padding) and lives through the call, which only
    // reads it (setsockopt(2)).
    let result =
        unsafe { libc::setsockopt(fd.as_fd().as_raw_fd(), level, name, (&raw const raw).cast(), bytes) };
    check(result).map_err(|errno| Error::os("setsockopt", errno))
}

fn get(fd: impl AsFd, level: i32, name: i32) -> Result<libc::c_int, Error> {
    let mut value: libc::c_int = 0;
    let mut bytes = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: the kernel writes at most `bytes` bytes into `value`, and the length into `bytes` (getsockopt(2)).
    let result = unsafe {
        let value = (&raw mut value).cast();
        libc::getsockopt(fd.as_fd().as_raw_fd(), level, name, value, &raw mut bytes)
    };
    check(result).map_err(|errno| Error::os("getsockopt", errno))?;
    Ok(value)
}

type NameCall = unsafe extern "C" fn(libc::c_int, *mut libc::sockaddr, *mut libc::socklen_t) -> libc::c_int;

fn address_by(what: &'static str, call: NameCall, fd: BorrowedFd<'_>) -> Result<SocketAddr, Error> {
    let mut name = SockAddr::empty();
    let (place, len) = name.as_mut_parts();
    // SAFETY: `call` is getsockname(2) or getpeername(2): it writes at most `*len` bytes to `place`, which are there,
    // and the true length to `len`.
    let result = unsafe { call(fd.as_raw_fd(), place, len) };
    check(result).map_err(|errno| Error::os(what, errno))?;
    let strange = || Error::Strange { what: "a socket's address", text: format!("{name:?}") };
    name.to_socket_addr().ok_or_else(strange)
}

/// Turns the kernel's -1 into the error that goes with it.
fn check(result: libc::c_int) -> Result<(), io::Error> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

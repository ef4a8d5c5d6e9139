//! Receiving and sending on sockets by the calls that a readiness loop makes: one call each, never waiting.
//!
//! Every call carries `MSG_DONTWAIT`, so it does not matter whether the descriptor is non-blocking. Bytes land in buffers
//! of a [`Pool`] that no kernel ring reads, and leave from a [`Gather`]. Sources: recv(2), send(2).

use super::{Arrival, ReplyFrom, SockAddr, check};
use crate::pool::{Chunk, Gather, Pool};
use crate::ring::Received;
use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

/// What a receive found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    /// This many bytes, never 0.
    Bytes(usize),
    /// The peer has finished sending.
    Eof,
    /// Nothing is there now.
    Nothing,
    /// The pool has no free buffer. What the peer sent is still in the socket.
    NoBuffer,
}

/// Most buffers of one receive.
pub const BUFFERS_MAX: usize = 16;

/// Receives once, into as many free buffers as there are, at most `buffers` (1 to [`BUFFERS_MAX`]); what came is added to
/// `pieces`.
///
/// Errors: what ended the stream, as the kernel says it (`ECONNRESET` as a rule).
pub fn receive(
    socket: impl AsFd,
    pool: &Pool,
    buffers: usize,
    pieces: &mut VecDeque<Chunk>,
) -> io::Result<Read> {
    let fd = socket.as_fd().as_raw_fd();
    let mut taken = [0; BUFFERS_MAX];
    let mut count = 0;
    while count < buffers.clamp(1, BUFFERS_MAX)
        && let Some(index) = pool.take()
    {
        taken[count] = index;
        count += 1;
    }
    let taken = &taken[..count];
    let received = match taken {
        [] => return Ok(Read::NoBuffer),
        [one] => {
            let room = pool.room(*one);
            // SAFETY: the buffer was taken out of the pool, so nobody reads or writes it; `room` is its whole length, and
            // recv(2) writes no more than that and keeps no pointer.
            unsafe { libc::recv(fd, room.iov_base, room.iov_len, libc::MSG_DONTWAIT) }
        }
        several => {
            let mut rooms = [NOWHERE; BUFFERS_MAX];
            several.iter().zip(&mut rooms).for_each(|(index, room)| *room = pool.room(*index));
            let mut message = no_message();
            (message.msg_iov, message.msg_iovlen) = (rooms.as_mut_ptr(), several.len());
            // SAFETY: each of the `msg_iovlen` entries names a buffer that was taken out of the pool, with its length; the
            // header and the entries live through the call (recvmsg(2)).
            unsafe { libc::recvmsg(fd, &raw mut message, libc::MSG_DONTWAIT) }
        }
    };
    let errno = io::Error::last_os_error();
    let mut left = usize::try_from(received).unwrap_or(0);
    for index in taken {
        let part = left.min(pool.buffer_bytes() as usize);
        left -= part;
        match part {
            0 => pool.put_back(*index),
            _ => pieces.push_back(Chunk::Lease(pool.filled(*index, part as u32))),
        }
    }
    match usize::try_from(received) {
        Ok(0) => Ok(Read::Eof),
        Ok(bytes) => Ok(Read::Bytes(bytes)),
        Err(_) if is_nothing(&errno) => Ok(Read::Nothing),
        Err(_) => Err(errno),
    }
}

/// Sends once what is left of `gather`, and tells how much of it the kernel took; that may be nothing.
///
/// Errors: what ended the stream, as the kernel says it (`EPIPE`, `ECONNRESET` as a rule). No SIGPIPE comes.
pub fn send(socket: impl AsFd, gather: &mut Gather) -> io::Result<usize> {
    const FLAGS: libc::c_int = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    let fd = socket.as_fd().as_raw_fd();
    let sent = match gather.single() {
        // SAFETY: the chunk lives through the call, which reads its `len` bytes (send(2)).
        Some(chunk) => unsafe { libc::send(fd, chunk.as_ptr().cast(), chunk.len(), FLAGS) },
        // SAFETY: `prepare` makes a header of the chunks, which live through the call; it only reads them (sendmsg(2)).
        None => unsafe { libc::sendmsg(fd, gather.prepare(), FLAGS) },
    };
    match usize::try_from(sent) {
        Ok(sent) => Ok(sent),
        Err(_) => {
            let errno = io::Error::last_os_error();
            if is_nothing(&errno) { Ok(0) } else { Err(errno) }
        }
    }
}

/// Receives one datagram; `None` when none is there, or no buffer is free. `local` is told by sockets of
/// [`UdpSocket::bind`](super::UdpSocket::bind).
///
/// Errors: as the kernel says it; a socket lives on after one.
pub fn receive_datagram(socket: impl AsFd, pool: &Pool) -> io::Result<Option<Received>> {
    let Some(index) = pool.take() else { return Ok(None) };
    let mut room = pool.room(index);
    let (mut name, mut control) = (SockAddr::empty(), Control([0; Arrival::CONTROL_BYTES]));
    let mut message = no_message();
    let (place, len) = name.as_mut_parts();
    // SAFETY: `len` points to the length of `name`, which lives here.
    (message.msg_name, message.msg_namelen) = (place.cast(), unsafe { *len });
    (message.msg_iov, message.msg_iovlen) = (&raw mut room, 1);
    (message.msg_control, message.msg_controllen) = (control.0.as_mut_ptr().cast(), control.0.len());
    // SAFETY: the header names an address, a buffer out of the pool and room for control messages, each with its length,
    // and all of them live through the call (recvmsg(2)).
    let received = unsafe { libc::recvmsg(socket.as_fd().as_raw_fd(), &raw mut message, libc::MSG_DONTWAIT) };
    let Ok(bytes) = u32::try_from(received) else {
        let errno = io::Error::last_os_error();
        pool.put_back(index);
        return if is_nothing(&errno) { Ok(None) } else { Err(errno) };
    };
    let bytes = pool.filled(index, bytes);
    // SAFETY: `len` points to the length of `name`; the kernel has written the true one into the header.
    unsafe { *len = message.msg_namelen };
    let peer = name.to_socket_addr().ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))?;
    let local = Arrival::parse(&control.0[..message.msg_controllen]).map(|arrival| arrival.local);
    Ok(Some(Received { bytes, peer, local, cut: message.msg_flags & libc::MSG_TRUNC != 0 }))
}

/// Sends one datagram, from `local` if that is given; `false` when the socket is full.
///
/// Errors: as the kernel says it; a socket lives on after one.
pub fn send_datagram(
    socket: impl AsFd,
    peer: SocketAddr,
    local: Option<IpAddr>,
    bytes: &[u8],
) -> io::Result<bool> {
    let (name, from) = (SockAddr::from(peer), local.map(ReplyFrom::new));
    let mut vector = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    let mut message = no_message();
    (message.msg_name, message.msg_namelen) = (name.as_ptr().cast_mut().cast(), name.len());
    (message.msg_iov, message.msg_iovlen) = (&raw mut vector, 1);
    let control = from.as_ref().map_or(&[][..], ReplyFrom::control);
    (message.msg_control, message.msg_controllen) = (control.as_ptr().cast_mut().cast(), control.len());
    const FLAGS: libc::c_int = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    // SAFETY: address, bytes and control message live through the call, which only reads them (sendmsg(2)).
    let sent = unsafe { libc::sendmsg(socket.as_fd().as_raw_fd(), &raw const message, FLAGS) };
    if sent >= 0 {
        return Ok(true);
    }
    let errno = io::Error::last_os_error();
    if is_nothing(&errno) { Ok(false) } else { Err(errno) }
}

/// Begins to connect a socket of [`connect_socket`](super::connect_socket) and does not wait: the descriptor is non-blocking
/// from then on, writable when it is decided, and [`so_error`](super::so_error) says how. `true` when it is connected already.
///
/// Errors: as of connect(2), such as `ConnectionRefused`.
pub fn connect_start(fd: &OwnedFd, to: SocketAddr) -> io::Result<bool> {
    set_nonblocking(fd)?;
    let name = SockAddr::from(to);
    // SAFETY: `name` holds `len` bytes of an address and lives through the call; connect(2) only reads it.
    let result = unsafe { libc::connect(fd.as_raw_fd(), name.as_ptr(), name.len()) };
    match check(result) {
        Ok(()) => Ok(true),
        Err(errno) if errno.raw_os_error() == Some(libc::EINPROGRESS) => Ok(false),
        Err(errno) => Err(errno),
    }
}

/// Makes calls on a descriptor fail instead of waiting (`O_NONBLOCK`, fcntl(2)).
pub(super) fn set_nonblocking(fd: &OwnedFd) -> io::Result<()> {
    // SAFETY: F_SETFL takes an integer, and the descriptor is open while it is borrowed.
    check(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETFL, libc::O_NONBLOCK) })
}

/// Room for control messages, aligned as they must be (cmsg(3)).
#[repr(C, align(8))]
struct Control([u8; Arrival::CONTROL_BYTES]);

const NOWHERE: libc::iovec = libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 };

fn no_message() -> libc::msghdr {
    // SAFETY: an all-zero msghdr is a valid value: null pointers and zero lengths.
    unsafe { std::mem::zeroed() }
}

/// Whether a call had nothing to do now, and may be made again.
fn is_nothing(errno: &io::Error) -> bool {
    matches!(errno.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

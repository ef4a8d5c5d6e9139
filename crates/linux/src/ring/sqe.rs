//! What may be submitted. An operation owns every byte that the kernel will read or write for it.
//!
//! Entries are written field by field (io_uring_enter(2)): the crate's builders have no place for `POLL_FIRST`, for the
//! byte limit of a multishot receive, or for socket commands.

use super::cqe::UNAWAITED;
use super::inflight::{DatagramOut, Held, InFlight};
use super::setup::Gifts;
use crate::net::{ReplyFrom, SockAddr};
use crate::pool::{Chunk, Gather};
use crate::wake::EventFd;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, RawFd};

/// A socket, as submissions name it.
///
/// A number, not a borrow: it outlives the call that pushes it. That is a matter of I/O safety, not of memory: an operation
/// owns all that the kernel reads or writes for it, whichever file a number names, so a wrong one can harm a stream and
/// never a byte of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sock {
    /// A slot in the ring's table of direct descriptors.
    Direct(u32),
    /// A descriptor of the process. Whoever owns it keeps it open until nothing of it is in flight: of a number that was
    /// closed, the kernel says `EBADF`, or does it to whoever has the number by then.
    Plain(RawFd),
}

/// Where an accepted connection gets its descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Home {
    /// In the ring's table, where it has one ([`Factors::direct`](super::Factors::direct)): the result is the slot.
    Ring,
    /// Among those of the process: it comes as [`With::Descriptor`](super::With::Descriptor).
    Process,
}

/// One submission.
pub enum Op {
    /// Accept until cancelled, each connection into a descriptor where the [`Home`] says.
    AcceptMulti(Sock, Home),
    /// Accept one connection, as above.
    Accept(Sock, Home),
    /// Receive until EOF, an error, or no buffer; at most `limit` bytes where the kernel can limit it.
    Receive {
        /// Where from.
        sock: Sock,
        /// Bytes after which it ends by itself.
        limit: u32,
    },
    /// Say each time that a stream becomes readable, or ends, until cancelled. It costs the kernel less memory than an armed
    /// [`Op::Receive`] (docs/MILLION.md).
    Poll(Sock),
    /// Receive what is there by now, at most one buffer of it. Never waits: `-EAGAIN` where there is nothing.
    Fetch(Sock),
    /// Send all of it: `MSG_WAITALL`, so that only an error or a cancel makes it short.
    Send(Sock, Box<Gather>),
    /// Send its one chunk, a lease, from registered memory without a copy. A lease is a part of one buffer, so such a send
    /// is never larger than a buffer of the pool: 16 KiB as pools are by default.
    SendZeroCopy(Sock, Box<Gather>),
    /// Receive datagrams until cancelled.
    ReceiveDatagrams(Sock),
    /// Send one datagram, from `local` if given.
    SendTo {
        /// The datagram socket.
        sock: Sock,
        /// To whom.
        peer: SocketAddr,
        /// The address to send from.
        local: Option<IpAddr>,
        /// The payload.
        chunk: Chunk,
    },
    /// Make a TCP socket in the ring's table; the result is its slot. `true` for IPv6.
    Socket(bool),
    /// Connect a fresh socket.
    Connect(Sock, SocketAddr),
    /// Say each time an eventfd becomes readable.
    PollMulti(&'static EventFd),
    /// End the submission with this tag: a receive of a stream or a poll.
    Cancel(super::Tag),
    /// End the submission with this tag of which the ring keeps something: a send, a connect, an accept, or receives of
    /// datagrams.
    CancelKept(super::Tag),
    /// Send FIN. Always done by a worker thread of the kernel: for real half-closes only.
    Shutdown(Sock),
    /// Make the close of a direct descriptor that follows a reset (`SO_LINGER` with 0 s). Where the kernel cannot (feature
    /// "resets"), nothing is submitted, no completion comes, and the close sends FIN.
    LingerZero(Sock),
    /// Close a direct descriptor. Silent when it works.
    Close(Sock),
    /// Complete with `tag` on another ring. Silent when it works.
    Message {
        /// The descriptor of the other ring.
        ring: RawFd,
        /// The tag of the completion there.
        tag: super::Tag,
    },
}

impl Op {
    /// The socket that it is about, where it is about one.
    #[inline]
    pub fn sock(&mut self) -> Option<&mut Sock> {
        match self {
            Op::AcceptMulti(sock, _)
            | Op::Accept(sock, _)
            | Op::Receive { sock, .. }
            | Op::Poll(sock)
            | Op::Fetch(sock)
            | Op::Send(sock, _)
            | Op::SendZeroCopy(sock, _)
            | Op::ReceiveDatagrams(sock)
            | Op::SendTo { sock, .. }
            | Op::Connect(sock, _)
            | Op::Shutdown(sock)
            | Op::LingerZero(sock)
            | Op::Close(sock) => Some(sock),
            Op::Socket(_) | Op::PollMulti(_) | Op::Cancel(_) | Op::CancelKept(_) | Op::Message { .. } => None,
        }
    }
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
pub(super) struct Sqe {
    opcode: u8,
    pub(super) flags: u8,
    ioprio: u16,
    fd: i32,
    off: u64,
    addr: u64,
    len: u32,
    op_flags: u32,
    pub(super) user_data: u64,
    buf: u16,
    personality: u16,
    file_index: u32,
    addr3: u64,
    pad: u64,
}

const _: () = assert!(size_of::<Sqe>() == size_of::<io_uring::squeue::Entry>() && size_of::<Sqe>() == 64);

impl Sqe {
    fn on(sock: Sock, opcode: u8) -> Sqe {
        match sock {
            Sock::Direct(slot) => Sqe { opcode, flags: FIXED_FILE, fd: slot as i32, ..Sqe::default() },
            Sock::Plain(fd) => Sqe { opcode, fd, ..Sqe::default() },
        }
    }

    /// Whether a completion comes even when it works.
    pub(super) fn is_silent(&self) -> bool {
        self.flags & SKIP_SUCCESS != 0
    }
}

/// What the result of an [`Op::Poll`] has where the stream has ended, or is about to once what is there was received (poll(2)).
pub const HANG_UP: i32 = (libc::POLLRDHUP | libc::POLLHUP | libc::POLLERR) as i32;

/// Writes the entry for `op` and puts its memory into `held`.
pub(super) fn encode(op: Op, tag: u64, gifts: &Gifts, held: &mut InFlight) -> Sqe {
    let sqe = match op {
        Op::Accept(sock, home) => return accept(sock, home, 0, tag, gifts, held),
        Op::AcceptMulti(sock, home) => return accept(sock, home, ACCEPT_MULTISHOT, tag, gifts, held),
        Op::Receive { sock, limit } => return receive(sock, limit, tag, gifts),
        Op::Poll(sock) => Sqe {
            len: POLL_ADD_MULTI,
            op_flags: (libc::POLLIN | libc::POLLRDHUP) as u32,
            ..Sqe::on(sock, OP_POLL_ADD)
        },
        Op::Fetch(sock) => {
            let on = Sqe::on(sock, OP_RECV);
            let op_flags = libc::MSG_DONTWAIT as u32;
            match gifts.pool.as_ref() {
                None => {
                    let (flags, len) = (on.flags | BUFFER_SELECT, gifts.buffer_bytes);
                    Sqe { flags, len, op_flags, buf: GROUP, ..on }
                }
                Some(pool) => {
                    let taken = pool.take().expect("who fetches has looked whether a buffer is free");
                    let room = pool.room(taken);
                    let (addr, len) = (room.iov_base as u64, room.iov_len as u32);
                    return Sqe { addr, len, op_flags, user_data: held.keep(tag, Held::Room(taken)), ..on };
                }
            }
        }
        Op::Send(sock, mut gather) => {
            let op_flags = (libc::MSG_WAITALL | libc::MSG_NOSIGNAL) as u32;
            let sqe = match gather.single() {
                Some(chunk) => Sqe {
                    addr: chunk.as_ptr() as u64,
                    len: chunk.len() as u32,
                    op_flags,
                    ..Sqe::on(sock, OP_SEND)
                },
                None => Sqe { addr: gather.prepare() as u64, len: 1, op_flags, ..Sqe::on(sock, OP_SENDMSG) },
            };
            return Sqe { user_data: held.keep(tag, Held::Send(gather)), ..sqe };
        }
        Op::SendZeroCopy(sock, gather) => {
            let Some(Chunk::Lease(lease)) = gather.single() else {
                panic!("a zero-copy send has one chunk and that is a lease")
            };
            let lease = lease.clone();
            let sqe = Sqe {
                addr: lease.as_ptr() as u64,
                len: lease.len() as u32,
                op_flags: (libc::MSG_WAITALL | libc::MSG_NOSIGNAL) as u32,
                ioprio: FIXED_BUF | ZC_REPORT_USAGE,
                ..Sqe::on(sock, OP_SEND_ZC)
            };
            return Sqe { user_data: held.keep(tag, Held::ZeroCopy { gather: Some(gather), lease }), ..sqe };
        }
        Op::ReceiveDatagrams(sock) => {
            // SAFETY: an all-zero msghdr is a valid value. Only the two lengths are read for a multishot recvmsg: the
            // room to keep for the address and the control messages (io_uring_prep_recvmsg_multishot(3)).
            let mut header: Box<libc::msghdr> = Box::new(unsafe { std::mem::zeroed() });
            header.msg_namelen = NAME_BYTES as u32;
            header.msg_controllen = CONTROL_BYTES;
            let sqe = Sqe {
                flags: BUFFER_SELECT,
                ioprio: RECV_MULTISHOT | gifts.poll_first,
                addr: &raw const *header as u64,
                len: 1,
                buf: GROUP,
                ..Sqe::on(sock, OP_RECVMSG)
            };
            let flags = sqe.flags | Sqe::on(sock, OP_RECVMSG).flags;
            return Sqe { flags, user_data: held.keep(tag, Held::Header(header)), ..sqe };
        }
        Op::SendTo { sock, peer, local, chunk } => {
            let mut out = held.datagram();
            out.peer = SockAddr::from(peer);
            out.control = local.map(ReplyFrom::new);
            out.chunk = chunk;
            out.prepare();
            let sqe = Sqe { addr: &raw const out.message as u64, len: 1, ..Sqe::on(sock, OP_SENDMSG) };
            return Sqe { user_data: held.keep(tag, Held::Datagram(out)), ..sqe };
        }
        Op::Socket(v6) => {
            let sqe = Sqe {
                opcode: OP_SOCKET,
                fd: if v6 { libc::AF_INET6 } else { libc::AF_INET },
                off: libc::SOCK_STREAM as u64,
                len: 0,
                file_index: FILE_INDEX_ALLOC,
                ..Sqe::default()
            };
            return Sqe { user_data: held.keep(tag, Held::Slot), ..sqe };
        }
        Op::Connect(sock, to) => {
            let address = Box::new(SockAddr::from(to));
            let sqe = Sqe {
                addr: address.as_ptr() as u64,
                off: u64::from(address.len()),
                ..Sqe::on(sock, OP_CONNECT)
            };
            return Sqe { user_data: held.keep(tag, Held::Address(address)), ..sqe };
        }
        Op::PollMulti(event) => Sqe {
            len: POLL_ADD_MULTI,
            op_flags: libc::POLLIN as u32,
            ..Sqe::on(Sock::Plain(event.as_fd().as_raw_fd()), OP_POLL_ADD)
        },
        Op::Cancel(of) => cancel(of.0),
        Op::CancelKept(of) => cancel(held.find(of.0).unwrap_or(of.0)),
        Op::Shutdown(sock) => Sqe { len: libc::SHUT_WR as u32, ..Sqe::on(sock, OP_SHUTDOWN) },
        Op::LingerZero(sock) => return linger_zero(sock, tag, held),
        Op::Close(Sock::Direct(slot)) => {
            Sqe { opcode: OP_CLOSE, flags: SKIP_SUCCESS, file_index: slot + 1, ..Sqe::default() }
        }
        Op::Close(Sock::Plain(_)) => panic!("a descriptor of the process is closed by who owns it"),
        Op::Message { ring, tag } => Sqe {
            opcode: OP_MSG_RING,
            flags: SKIP_SUCCESS,
            fd: ring,
            off: tag.0 | UNAWAITED,
            ..Sqe::default()
        },
    };
    let mark = if sqe.is_silent() { UNAWAITED } else { 0 };
    Sqe { user_data: tag | mark, ..sqe }
}

fn accept(sock: Sock, home: Home, ioprio: u16, tag: u64, gifts: &Gifts, held: &mut InFlight) -> Sqe {
    let sqe = Sqe { ioprio, ..Sqe::on(sock, OP_ACCEPT) };
    match gifts.direct && home == Home::Ring {
        // Kept where the slot that comes is to be numbered.
        true if gifts.numbers => {
            Sqe { file_index: FILE_INDEX_ALLOC, user_data: held.keep(tag, Held::Slot), ..sqe }
        }
        true => Sqe { file_index: FILE_INDEX_ALLOC, user_data: tag, ..sqe },
        // Kept, so that its completions are known to be of an accept: only then is their result a descriptor.
        false => Sqe { op_flags: libc::SOCK_CLOEXEC as u32, user_data: held.keep(tag, Held::Accept), ..sqe },
    }
}

fn cancel(user_data: u64) -> Sqe {
    Sqe { fd: -1, addr: user_data, opcode: OP_ASYNC_CANCEL, ..Sqe::default() }
}

pub(super) fn linger_zero(sock: Sock, tag: u64, held: &mut InFlight) -> Sqe {
    let linger = Box::new(libc::linger { l_onoff: 1, l_linger: 0 });
    let sqe = Sqe {
        off: u64::from(SOCKET_CMD_SETSOCKOPT),
        addr: libc::SOL_SOCKET as u64 | (libc::SO_LINGER as u64) << 32,
        file_index: size_of::<libc::linger>() as u32,
        addr3: &raw const *linger as u64,
        ..Sqe::on(sock, OP_URING_CMD)
    };
    Sqe { user_data: held.keep(tag, Held::Linger(linger)), ..sqe }
}

pub(super) fn receive(sock: Sock, limit: u32, tag: u64, gifts: &Gifts) -> Sqe {
    let on = Sqe::on(sock, OP_RECV);
    let multi = if gifts.multishot { RECV_MULTISHOT } else { 0 };
    let bundle = if gifts.bundles { BUNDLE } else { 0 };
    Sqe {
        flags: on.flags | BUFFER_SELECT,
        // POLL_FIRST spares the first try, which finds nothing: data that came before is seen by the poll.
        ioprio: gifts.poll_first | multi | bundle,
        // A multishot takes 0 alone: the whole buffer. To the single receive of Linux 5.19 that is no byte.
        len: if gifts.multishot { 0 } else { gifts.buffer_bytes },
        buf: GROUP,
        file_index: if gifts.limits { limit } else { 0 },
        user_data: tag,
        ..on
    }
}

impl DatagramOut {
    /// Points the header at its neighbours; the box keeps them in place.
    fn prepare(&mut self) {
        self.vector =
            libc::iovec { iov_base: self.chunk.as_ptr().cast_mut().cast(), iov_len: self.chunk.len() };
        let (name, len) = (self.peer.as_ptr(), self.peer.len());
        self.message.msg_name = name.cast_mut().cast();
        self.message.msg_namelen = len;
        self.message.msg_iov = &raw mut self.vector;
        self.message.msg_iovlen = 1;
        let control = self.control.as_ref().map_or(&[][..], |control| control.control());
        self.message.msg_control = control.as_ptr().cast_mut().cast();
        self.message.msg_controllen = control.len();
    }
}

/// The group of the one provided-buffer ring.
pub(super) const GROUP: u16 = 0;
/// Room for the sender's address in front of a datagram.
pub(super) const NAME_BYTES: usize = size_of::<libc::sockaddr_in6>().next_multiple_of(8);
/// Room for its control messages.
pub(super) const CONTROL_BYTES: usize = crate::net::Arrival::CONTROL_BYTES;

const OP_POLL_ADD: u8 = 6;
const OP_SENDMSG: u8 = 9;
const OP_RECVMSG: u8 = 10;
const OP_ACCEPT: u8 = 13;
const OP_ASYNC_CANCEL: u8 = 14;
const OP_CONNECT: u8 = 16;
const OP_CLOSE: u8 = 19;
const OP_SEND: u8 = 26;
const OP_RECV: u8 = 27;
const OP_SHUTDOWN: u8 = 34;
const OP_MSG_RING: u8 = 40;
const OP_SOCKET: u8 = 45;
const OP_URING_CMD: u8 = 46;
pub(super) const OP_SEND_ZC: u8 = 47;

const FIXED_FILE: u8 = 1 << 0;
const BUFFER_SELECT: u8 = 1 << 5;
const SKIP_SUCCESS: u8 = 1 << 6;
pub(super) const POLL_FIRST: u16 = 1 << 0;
const RECV_MULTISHOT: u16 = 1 << 1;
const FIXED_BUF: u16 = 1 << 2;
const ZC_REPORT_USAGE: u16 = 1 << 3;
const BUNDLE: u16 = 1 << 4;
const ACCEPT_MULTISHOT: u16 = 1 << 0;
const FILE_INDEX_ALLOC: u32 = u32::MAX;
const POLL_ADD_MULTI: u32 = 1 << 0;
const CANCEL_ALL: u32 = 1 << 0;
const SOCKET_CMD_SETSOCKOPT: u32 = 3;
const CANCEL_ANY: u32 = 1 << 2;

impl Sqe {
    /// Ends everything that is in flight on the ring.
    pub(super) fn cancel_any() -> Sqe {
        Sqe {
            opcode: OP_ASYNC_CANCEL,
            fd: -1,
            op_flags: CANCEL_ANY | CANCEL_ALL,
            user_data: super::Tag::new(0x3f, 0, 0).0,
            ..Sqe::default()
        }
    }
}

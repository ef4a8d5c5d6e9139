//! A UDP socket that tells to which of the machine's addresses a datagram came, and can answer from that one.
//!
//! Bound to a wildcard, an answer would leave from whatever address the route prefers, and the asker would not know
//! it. The kernel tells and is told in control messages (cmsg(3)): `IP_PKTINFO` of ip(7), `IPV6_PKTINFO` of ipv6(7).
//! The parser works on bytes that any message may hold and never trusts a length.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use super::address::piece;
use super::{Transport, bind, get, local_address_of, set, set_v6only, socket};
use crate::error::Error;

/// How a UDP socket is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct UdpOptions {
    /// Whether other sockets of this user may bind the same address; the kernel spreads the flows over them by hash.
    pub reuse_port: bool,
    /// For an IPv6 address: `Some(false)` also serves IPv4 (dual stack), `None` leaves it to `net.ipv6.bindv6only`.
    pub v6only: Option<bool>,
    /// Bytes that may wait to be received, overhead included; the kernel caps it at `net.core.rmem_max`. `None` is
    /// the kernel's default.
    pub receive_bytes: Option<u32>,
    /// `O_NONBLOCK`; a ring does not need it.
    pub nonblocking: bool,
}

/// A bound UDP socket: control messages name the local address, broadcast is off, ICMP errors are not queued.
#[derive(Debug)]
pub struct UdpSocket {
    fd: OwnedFd,
    address: SocketAddr,
}

impl UdpSocket {
    /// Binds to `addr`. Port 0 lets the kernel choose.
    ///
    /// Errors: `AddressInUse`, `NoSuchAddress`, `Permission` (a port below 1024), `NofileShort`, else `Os`.
    pub fn bind(addr: SocketAddr, options: &UdpOptions) -> Result<UdpSocket, Error> {
        let fd = socket(addr, Transport::Udp, options.nonblocking)?;
        set(&fd, libc::SOL_SOCKET, libc::SO_REUSEPORT, options.reuse_port)?;
        set(&fd, libc::SOL_SOCKET, libc::SO_BROADCAST, false)?;
        if addr.is_ipv4() {
            set(&fd, libc::IPPROTO_IP, libc::IP_PKTINFO, true)?;
            set(&fd, libc::IPPROTO_IP, libc::IP_RECVERR, false)?;
        } else {
            set(&fd, libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO, true)?;
            set(&fd, libc::IPPROTO_IPV6, libc::IPV6_RECVERR, false)?;
        }
        if let Some(bytes) = options.receive_bytes {
            let bytes = libc::c_int::try_from(bytes).unwrap_or(libc::c_int::MAX);
            set(&fd, libc::SOL_SOCKET, libc::SO_RCVBUF, bytes)?;
        }
        set_v6only(&fd, addr, options.v6only)?;
        bind(&fd, addr)?;
        let address = local_address_of(&fd)?;
        Ok(UdpSocket { fd, address })
    }

    /// The address that is bound, with the port that the kernel chose where 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Bytes that may wait to be received, as the kernel counts them: twice what was asked for, for its own overhead.
    pub fn receive_bytes(&self) -> Result<u32, Error> {
        let bytes = get(&self.fd, libc::SOL_SOCKET, libc::SO_RCVBUF)?;
        Ok(bytes.unsigned_abs())
    }
}

impl AsFd for UdpSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl From<UdpSocket> for OwnedFd {
    fn from(socket: UdpSocket) -> OwnedFd {
        socket.fd
    }
}

/// Where a datagram arrived.
///
/// On a dual-stack socket IPv4 shows itself as mapped IPv6 (`::ffff:10.0.0.1`), here as in the peer's address, and
/// goes back to the kernel in the same form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrival {
    /// The destination that the sender wrote: one of this machine's addresses, or a group or broadcast address.
    pub to: IpAddr,
    /// The machine's address to answer from. Differs from `to` where that was a group or broadcast address.
    pub local: IpAddr,
    /// The index of the interface.
    pub interface: u32,
}

impl Arrival {
    /// Room that the control messages of one datagram take: one `IPV6_PKTINFO`, the longer of the two.
    pub const CONTROL_BYTES: usize = HEAD_BYTES + align(IN6_PKTINFO_BYTES);

    /// Reads the control messages that came with a datagram. `None` if none of them tells, or they are cut.
    pub fn parse(control: &[u8]) -> Option<Arrival> {
        let mut rest = control;
        loop {
            let len = usize::from_ne_bytes(piece(rest, 0)?);
            let level = libc::c_int::from_ne_bytes(piece(rest, 8)?);
            let kind = libc::c_int::from_ne_bytes(piece(rest, 12)?);
            let info = rest.get(HEAD_BYTES..len)?;
            match (level, kind) {
                (libc::IPPROTO_IP, libc::IP_PKTINFO) => return Arrival::from_in(info),
                (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => return Arrival::from_in6(info),
                _ => rest = rest.get(align(len)..)?,
            }
        }
    }

    /// Whether the datagram was sent to this machine alone, not to a group or to everybody.
    pub fn is_unicast(&self) -> bool {
        self.to == self.local && !self.to.is_multicast()
    }

    /// `struct in_pktinfo { int ifindex; struct in_addr spec_dst; struct in_addr addr; }`
    fn from_in(info: &[u8]) -> Option<Arrival> {
        let interface = u32::from_ne_bytes(piece(info, 0)?);
        let local = Ipv4Addr::from(piece::<4>(info, 4)?);
        let to = Ipv4Addr::from(piece::<4>(info, 8)?);
        Some(Arrival { to: to.into(), local: local.into(), interface })
    }

    /// `struct in6_pktinfo { struct in6_addr addr; unsigned int ifindex; }`
    fn from_in6(info: &[u8]) -> Option<Arrival> {
        let to = Ipv6Addr::from(piece::<16>(info, 0)?);
        let interface = u32::from_ne_bytes(piece(info, 16)?);
        let local = if to.is_multicast() { Ipv6Addr::UNSPECIFIED } else { to };
        Some(Arrival { to: to.into(), local: local.into(), interface })
    }
}

/// The control message that makes a datagram leave from a given address of this machine.
///
/// `from` has the family of the socket. A plain value; while the kernel has its address, it must stay where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C, align(8))]
pub struct ReplyFrom {
    bytes: [u8; Arrival::CONTROL_BYTES],
    len: usize,
}

impl ReplyFrom {
    /// The message for `from`. An address that this machine does not have makes the send fail with EINVAL.
    pub fn new(from: IpAddr) -> ReplyFrom {
        let mut bytes = [0; Arrival::CONTROL_BYTES];
        // The interface stays 0, which leaves it to the route.
        let (level, kind, info_bytes) = match from {
            IpAddr::V4(ip) => {
                bytes[HEAD_BYTES + 4..HEAD_BYTES + 8].copy_from_slice(&ip.octets());
                (libc::IPPROTO_IP, libc::IP_PKTINFO, IN_PKTINFO_BYTES)
            }
            IpAddr::V6(ip) => {
                bytes[HEAD_BYTES..HEAD_BYTES + 16].copy_from_slice(&ip.octets());
                (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, IN6_PKTINFO_BYTES)
            }
        };
        bytes[..8].copy_from_slice(&(HEAD_BYTES + info_bytes).to_ne_bytes());
        bytes[8..12].copy_from_slice(&level.to_ne_bytes());
        bytes[12..16].copy_from_slice(&kind.to_ne_bytes());
        ReplyFrom { bytes, len: HEAD_BYTES + align(info_bytes) }
    }

    /// The message, aligned as a control buffer must be (cmsg(3)).
    pub fn control(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// `CMSG_ALIGN`: control messages begin at multiples of a word. Saturates, so that a wild length ends the walk.
const fn align(bytes: usize) -> usize {
    bytes.saturating_add(WORD_BYTES - 1) & !(WORD_BYTES - 1)
}

const WORD_BYTES: usize = size_of::<usize>();
const HEAD_BYTES: usize = align(size_of::<libc::cmsghdr>());
const IN_PKTINFO_BYTES: usize = size_of::<libc::in_pktinfo>();
const IN6_PKTINFO_BYTES: usize = size_of::<libc::in6_pktinfo>();

// The layout that the parser counts on: 64-bit Linux.
const _: () = {
    use std::mem::offset_of;
    assert!(WORD_BYTES == 8 && HEAD_BYTES == 16 && IN_PKTINFO_BYTES == 12 && IN6_PKTINFO_BYTES == 20);
    assert!(offset_of!(libc::cmsghdr, cmsg_level) == 8 && offset_of!(libc::cmsghdr, cmsg_type) == 12);
    assert!(offset_of!(libc::in_pktinfo, ipi_spec_dst) == 4 && offset_of!(libc::in_pktinfo, ipi_addr) == 8);
    assert!(offset_of!(libc::in6_pktinfo, ipi6_ifindex) == 16);
};

#[cfg(test)]
mod tests {
    use super::*;

    /// One control message with its padding.
    fn message(level: i32, kind: i32, info: &[u8]) -> Vec<u8> {
        let mut bytes = (HEAD_BYTES + info.len()).to_ne_bytes().to_vec();
        bytes.extend(level.to_ne_bytes());
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(info);
        bytes.resize(align(bytes.len()), 0);
        bytes
    }

    fn local_address(control: &[u8]) -> Option<IpAddr> {
        Arrival::parse(control).map(|arrival| arrival.local)
    }

    fn in_pktinfo(interface: u32, local: [u8; 4], to: [u8; 4]) -> Vec<u8> {
        let info = [interface.to_ne_bytes(), local, to].concat();
        message(libc::IPPROTO_IP, libc::IP_PKTINFO, &info)
    }

    #[test]
    fn a_broadcast_is_told_from_a_datagram_to_this_machine_alone() {
        let ours = Arrival::parse(&in_pktinfo(2, [10, 0, 0, 1], [10, 0, 0, 1])).expect("complete");
        assert_eq!((ours.interface, ours.is_unicast()), (2, true));
        let everybodys = Arrival::parse(&in_pktinfo(2, [10, 0, 0, 1], [10, 0, 0, 255])).expect("complete");
        assert!(!everybodys.is_unicast());
        assert_eq!(everybodys.local, IpAddr::from([10, 0, 0, 1]));
    }

    #[test]
    fn other_control_messages_are_passed_over() {
        let mut control = message(libc::SOL_SOCKET, libc::SO_TIMESTAMP, &[0; 16]);
        control.extend(message(libc::IPPROTO_IP, libc::IP_TTL, &[64, 0, 0, 0]));
        assert_eq!(local_address(&control), None);
        control.extend(in_pktinfo(1, [127, 0, 0, 1], [127, 0, 0, 1]));
        assert_eq!(local_address(&control), Some(Ipv4Addr::LOCALHOST.into()));
    }

    #[test]
    fn a_group_of_version_6_is_no_address_to_answer_from() {
        let group: Ipv6Addr = "ff02::1".parse().expect("a literal address");
        let info = [&group.octets()[..], &3u32.to_ne_bytes()].concat();
        let arrival =
            Arrival::parse(&message(libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, &info)).expect("complete");
        assert!(!arrival.is_unicast());
        assert_eq!(arrival.local, Ipv6Addr::UNSPECIFIED);
    }

    #[test]
    fn control_cut_anywhere_tells_nothing_and_never_panics() {
        let mut control = message(libc::IPPROTO_IP, libc::IP_TTL, &[64, 0, 0, 0]);
        control.extend(in_pktinfo(1, [127, 0, 0, 1], [127, 0, 0, 1]));
        let complete = control.len() - 4; // the last four bytes are padding
        for cut in 0..complete {
            assert_eq!(Arrival::parse(&control[..cut]), None, "cut at {cut}");
        }
    }

    #[test]
    fn wild_lengths_end_the_walk() {
        for len in [0, 1, 15, 17, usize::MAX - 3, usize::MAX] {
            let mut control = message(libc::IPPROTO_IP, libc::IP_TTL, &[64, 0, 0, 0]);
            control[..8].copy_from_slice(&len.to_ne_bytes());
            assert_eq!(Arrival::parse(&control), None, "length {len}");
        }
    }

    #[test]
    fn what_is_built_for_an_answer_reads_as_what_was_received() {
        for ip in ["127.0.0.1", "::1", "::ffff:10.0.0.1"] {
            let ip: IpAddr = ip.parse().expect("a literal address");
            let reply = ReplyFrom::new(ip);
            assert_eq!(reply.control().as_ptr() as usize % align_of::<libc::cmsghdr>(), 0);
            // For IPv4 that is `spec_dst`, the field that names the source of a send (ip(7)).
            assert_eq!(local_address(reply.control()), Some(ip));
        }
    }
}

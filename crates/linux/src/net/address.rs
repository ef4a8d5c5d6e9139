//! A socket address in the kernel's form: 28 bytes and their length, enough for IPv4 and IPv6.
//!
//! Read and written byte by byte, so that it needs no cast. `sockaddr_storage` has 100 bytes more that only local
//! sockets use, and one of these stands in each connect and each datagram in flight.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

/// `sockaddr_in` or `sockaddr_in6`, or nothing (ip(7), ipv6(7)).
///
/// A plain value; while the kernel has its address, it must stay where it is.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(C, align(8))]
pub struct SockAddr {
    bytes: [u8; BYTES_MAX],
    len: libc::socklen_t,
}

impl SockAddr {
    /// No address: a place for the kernel to write one.
    pub fn empty() -> SockAddr {
        SockAddr { bytes: [0; BYTES_MAX], len: BYTES_MAX as libc::socklen_t }
    }

    /// Reads an address as it stands in a received message's name. `None` for another family or too few bytes.
    pub fn parse(name: &[u8]) -> Option<SocketAddr> {
        let family = u16::from_ne_bytes(piece(name, 0)?);
        let port = u16::from_be_bytes(piece(name, 2)?);
        match libc::c_int::from(family) {
            libc::AF_INET => {
                let ip = Ipv4Addr::from(piece::<4>(name, 4)?);
                Some(SocketAddrV4::new(ip, port).into())
            }
            libc::AF_INET6 => {
                let flow = u32::from_ne_bytes(piece(name, 4)?);
                let ip = Ipv6Addr::from(piece::<16>(name, 8)?);
                let scope = u32::from_ne_bytes(piece(name, 24)?);
                Some(SocketAddrV6::new(ip, port, flow, scope).into())
            }
            _ => None,
        }
    }

    /// The address; `None` if the kernel has written none, or one of another family.
    pub fn to_socket_addr(&self) -> Option<SocketAddr> {
        // The kernel gives the true length even where it had to cut (getsockname(2)).
        let len = (self.len as usize).min(BYTES_MAX);
        SockAddr::parse(&self.bytes[..len])
    }

    /// For the kernel to read: [`SockAddr::len`] bytes from here.
    pub(crate) fn as_ptr(&self) -> *const libc::sockaddr {
        self.bytes.as_ptr().cast()
    }

    /// How many bytes the address has.
    pub(crate) fn len(&self) -> libc::socklen_t {
        self.len
    }

    /// For the kernel to write: the room and its length, which the kernel changes to the address's.
    pub(crate) fn as_mut_parts(&mut self) -> (*mut libc::sockaddr, *mut libc::socklen_t) {
        self.len = BYTES_MAX as libc::socklen_t;
        (self.bytes.as_mut_ptr().cast(), &raw mut self.len)
    }
}

impl From<SocketAddr> for SockAddr {
    fn from(addr: SocketAddr) -> SockAddr {
        let mut bytes = [0; BYTES_MAX];
        bytes[2..4].copy_from_slice(&addr.port().to_be_bytes());
        let (family, len) = match addr {
            SocketAddr::V4(v4) => {
                bytes[4..8].copy_from_slice(&v4.ip().octets());
                (libc::AF_INET, size_of::<libc::sockaddr_in>())
            }
            SocketAddr::V6(v6) => {
                bytes[4..8].copy_from_slice(&v6.flowinfo().to_ne_bytes());
                bytes[8..24].copy_from_slice(&v6.ip().octets());
                bytes[24..28].copy_from_slice(&v6.scope_id().to_ne_bytes());
                (libc::AF_INET6, BYTES_MAX)
            }
        };
        bytes[..2].copy_from_slice(&(family as u16).to_ne_bytes());
        SockAddr { bytes, len: len as libc::socklen_t }
    }
}

impl fmt::Debug for SockAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.to_socket_addr() {
            Some(addr) => write!(f, "SockAddr({addr})"),
            None => write!(f, "SockAddr(none)"),
        }
    }
}

/// `N` bytes of `bytes` from `at`, or `None` where they end before.
pub(super) fn piece<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at.checked_add(N)?)?.try_into().ok()
}

/// The length of `sockaddr_in6`, the longest that is used here.
pub(super) const BYTES_MAX: usize = 28;

const _: () = {
    use std::mem::offset_of;
    assert!(size_of::<libc::sockaddr_in6>() == BYTES_MAX && size_of::<SockAddr>() == 32);
    assert!(align_of::<SockAddr>() >= align_of::<libc::sockaddr_in6>());
    assert!(offset_of!(libc::sockaddr_in, sin_port) == 2 && offset_of!(libc::sockaddr_in, sin_addr) == 4);
    assert!(
        offset_of!(libc::sockaddr_in6, sin6_port) == 2 && offset_of!(libc::sockaddr_in6, sin6_flowinfo) == 4
    );
    assert!(
        offset_of!(libc::sockaddr_in6, sin6_addr) == 8 && offset_of!(libc::sockaddr_in6, sin6_scope_id) == 24
    );
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_survives_the_way_to_the_kernels_form_and_back() {
        for text in ["127.0.0.1:80", "255.1.2.3:65535", "[::1]:1", "[2001:db8::7]:443", "[::ffff:10.0.0.1]:9"]
        {
            let addr: SocketAddr = text.parse().expect("a literal address");
            assert_eq!(SockAddr::from(addr).to_socket_addr(), Some(addr));
        }
        let scoped = SocketAddrV6::new("fe80::1".parse().expect("a literal address"), 53, 7, 3).into();
        assert_eq!(SockAddr::from(scoped).to_socket_addr(), Some(scoped));
    }

    #[test]
    fn a_name_cut_anywhere_is_no_address_and_never_a_panic() {
        for text in ["127.0.0.1:80", "[::1]:80"] {
            let name = SockAddr::from(text.parse::<SocketAddr>().expect("a literal address"));
            let needed = if text.starts_with('[') { 28 } else { 8 };
            for cut in 0..needed {
                assert_eq!(SockAddr::parse(&name.bytes[..cut]), None, "{text} cut at {cut}");
            }
        }
    }

    #[test]
    fn nothing_and_other_families_are_no_address() {
        assert_eq!(SockAddr::empty().to_socket_addr(), None);
        assert_eq!(SockAddr::parse(&[libc::AF_UNIX as u8, 0, b'/', b'x', 0, 0, 0, 0]), None);
    }
}

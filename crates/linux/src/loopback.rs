//! The loopback device of a network namespace, which is down when the namespace is new.
//!
//! Never touches another device, and does nothing where it is up already.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// Lifts `lo` of the calling thread's network namespace. Errors: as of socket(2) and netdevice(7); takes CAP_NET_ADMIN.
pub fn lift() -> io::Result<()> {
    // SAFETY: socket(2) takes no pointer.
    let socket = unsafe { libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) };
    if socket < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just given us this descriptor, and nobody else knows of it.
    let socket = unsafe { OwnedFd::from_raw_fd(socket) };
    // SAFETY: ifreq is arrays and a union of integers, for which zero is a value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    request.ifr_name[..2].copy_from_slice(&[b'l' as libc::c_char, b'o' as libc::c_char]);
    // SAFETY: `request` is a live ifreq with a name that ends with a zero; both calls keep no pointer to it, and the flags are the
    // member of the union that the first one fills and the second one reads (netdevice(7)).
    let result = unsafe {
        if libc::ioctl(socket.as_raw_fd(), libc::SIOCGIFFLAGS, &raw mut request) != 0 {
            return Err(io::Error::last_os_error());
        }
        request.ifr_ifru.ifru_flags |= (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
        libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request)
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;
    use std::thread;

    #[test]
    #[expect(clippy::print_stderr, reason = "a test that is not made says so")]
    fn a_new_namespace_can_be_listened_in_and_connected_in_once_its_loopback_is_up() {
        let inside = thread::spawn(|| {
            if let Err(error) = crate::namespace::new_network() {
                return eprintln!("not tested: a network namespace takes CAP_SYS_ADMIN ({error})");
            }
            let down = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
            assert!(down.and_then(std::net::TcpStream::connect).is_err(), "it is down at first");
            lift().expect("the namespace is ours");
            lift().expect("once more is nothing");
            let listener = TcpListener::bind("127.0.0.1:0").expect("it is up");
            let address = listener.local_addr().expect("it is bound");
            std::net::TcpStream::connect(address).expect("it is up");
        });
        inside.join().expect("what was asserted inside");
    }
}

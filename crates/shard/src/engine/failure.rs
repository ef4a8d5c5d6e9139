//! What the kernel's refusals mean for a leg, whatever the engine.

use crate::service::LegError;
use linux::errno;
use std::io;

/// Why a leg that is to connect got no socket.
pub(crate) fn no_socket(error: &linux::Error) -> LegError {
    match error {
        linux::Error::NofileShort { .. } => LegError::NoRoom,
        linux::Error::Os { errno, .. } if errno.raw_os_error() == Some(errno::ENFILE) => LegError::NoRoom,
        linux::Error::Os { errno, .. } => leg_error(errno),
        linux::Error::AddressInUse { .. } => LegError::Os(errno::EADDRINUSE),
        _ => LegError::Os(errno::EADDRNOTAVAIL),
    }
}

/// A leg's failure by its errno.
pub(crate) fn leg_error(error: &io::Error) -> LegError {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => LegError::Refused,
        io::ErrorKind::TimedOut => LegError::Timeout,
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => LegError::Reset,
        _ => LegError::Os(error.raw_os_error().unwrap_or(0)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leg_without_a_socket_says_whether_descriptors_ports_or_the_address_were_wanting() {
        let os = |errno| linux::Error::Os { what: "socket", errno: io::Error::from_raw_os_error(errno) };
        let addr = "127.0.0.1:80".parse().expect("an address");
        for (error, expected) in [
            (linux::Error::NofileShort { have: 64, need: 65 }, LegError::NoRoom),
            (os(errno::ENFILE), LegError::NoRoom),
            (os(errno::ENOBUFS), LegError::Os(errno::ENOBUFS)),
            (linux::Error::AddressInUse { addr }, LegError::Os(errno::EADDRINUSE)),
            (linux::Error::NoSuchAddress { addr }, LegError::Os(errno::EADDRNOTAVAIL)),
        ] {
            assert_eq!(no_socket(&error), expected, "{error}");
        }
    }
}

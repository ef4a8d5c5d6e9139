//! Accepting without waiting: for readiness loops, and to empty a listener's queue before it is closed, since what waits
//! there would be reset otherwise.

use super::{Listener, stream};
use crate::error::Error;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

impl Listener {
    /// Accepts one connection that waits, without waiting itself; `None` when none does. From the first call on the
    /// listener is non-blocking, so nothing may be armed on it any more.
    ///
    /// Errors: `NofileShort` without a descriptor; a connection that was reset while it waited is passed over.
    pub fn accept_waiting(&self) -> Result<Option<OwnedFd>, Error> {
        self.set_nonblocking()?;
        self.accept_next()
    }

    /// From now on accepts do not wait.
    pub fn set_nonblocking(&self) -> Result<(), Error> {
        stream::set_nonblocking(&self.fd).map_err(|errno| Error::os("fcntl", errno))
    }

    /// Accepts one connection that waits; `None` when none does. Waits itself before [`Listener::set_nonblocking`].
    /// Errors: as of [`Listener::accept_waiting`].
    pub fn accept_next(&self) -> Result<Option<OwnedFd>, Error> {
        let listener = self.fd.as_raw_fd();
        loop {
            // SAFETY: null pointers: the peer's address is not asked for (accept4(2)).
            let fd = unsafe {
                libc::accept4(listener, std::ptr::null_mut(), std::ptr::null_mut(), libc::SOCK_CLOEXEC)
            };
            if fd >= 0 {
                // SAFETY: the call succeeded, so `fd` is a new descriptor that nobody else owns.
                return Ok(Some(unsafe { OwnedFd::from_raw_fd(fd) }));
            }
            let errno = io::Error::last_os_error();
            match errno.raw_os_error() {
                Some(libc::EAGAIN) => return Ok(None),
                Some(libc::ECONNABORTED | libc::EINTR) => {}
                _ => return Err(Error::os("accept", errno)),
            }
        }
    }

    /// Listens no more, whoever else has the descriptor: what waits in the queue is reset, and an accept that waits ends with
    /// EINVAL (shutdown(2) of a listening socket). Empty the queue first.
    pub fn stop(&self) {
        // SAFETY: shutdown(2) takes no pointer, and the descriptor is open while it is borrowed. It cannot fail on a socket
        // that listens; one that was stopped before does so already.
        unsafe { libc::shutdown(self.fd.as_raw_fd(), libc::SHUT_RD) };
    }
}

#[cfg(test)]
mod tests {
    use crate::net::{ListenOptions, Listener};
    use std::net::TcpStream;

    #[test]
    fn one_that_was_stopped_refuses_though_somebody_still_has_its_descriptor() {
        let listener = Listener::bind("127.0.0.1:0".parse().unwrap(), &ListenOptions::default()).unwrap();
        listener.stop();
        listener.stop();
        assert!(TcpStream::connect(listener.address()).is_err());
        assert!(listener.accept_next().is_err(), "nothing is there to wait for any more");
    }

    #[test]
    fn what_waits_is_accepted_and_nothing_is_waited_for() {
        let options = ListenOptions::default();
        let listener = Listener::bind("127.0.0.1:0".parse().unwrap(), &options).unwrap();
        assert!(listener.accept_waiting().unwrap().is_none());
        let clients = [1, 2].map(|_| TcpStream::connect(listener.address()).unwrap());
        let waiting = std::iter::from_fn(|| listener.accept_waiting().unwrap()).count();
        assert_eq!(waiting, clients.len());
    }
}

//! A counter that a descriptor stands for: adding to it makes the descriptor readable (eventfd(2)).

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use crate::error::Error;

/// An eventfd, non-blocking. Any thread may signal it; its owner waits on it in a ring, or in poll(2).
#[derive(Debug)]
pub struct EventFd {
    fd: OwnedFd,
}

impl EventFd {
    /// Makes one whose count is 0. Errors: `NofileShort` without a descriptor, else `Os`.
    pub fn new() -> Result<EventFd, Error> {
        // SAFETY: eventfd(2) takes no pointer.
        let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
        if fd < 0 {
            return Err(Error::last("eventfd"));
        }
        // SAFETY: the call succeeded, so `fd` is a new descriptor that nobody else owns.
        Ok(EventFd { fd: unsafe { OwnedFd::from_raw_fd(fd) } })
    }

    /// Makes the descriptor readable.
    pub fn signal(&self) {
        let one: u64 = 1;
        // SAFETY: `one` lives through the call, which reads its 8 bytes.
        let written = unsafe { libc::write(self.fd.as_raw_fd(), (&raw const one).cast(), size_of::<u64>()) };
        // It can fail for one reason, a count at its end (EAGAIN): then the descriptor is readable as it is.
        debug_assert!(
            written == 8 || std::io::Error::last_os_error().kind() == std::io::ErrorKind::WouldBlock
        );
    }

    /// Makes the descriptor unreadable again and tells whether it was readable.
    pub fn drain(&self) -> bool {
        let mut count: u64 = 0;
        // SAFETY: `count` lives through the call, which writes its 8 bytes or nothing.
        let read = unsafe { libc::read(self.fd.as_raw_fd(), (&raw mut count).cast(), size_of::<u64>()) };
        read == 8
    }
}

impl AsFd for EventFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

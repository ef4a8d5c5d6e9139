//! Which descriptors are ready, asked of a set that the kernel keeps (epoll(7)).
//!
//! Level-triggered: what is ready and was not dealt with is told again. Never reads or writes a descriptor of the set.

use crate::error::Error;
use crate::poll::{Event, Interest};
use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

/// A set of descriptors with what is wanted of each.
#[derive(Debug)]
pub struct Epoll {
    fd: OwnedFd,
    found: Vec<libc::epoll_event>,
    /// The kernel has no epoll_pwait2 (before Linux 5.11, or a filter refuses it): waits are rounded up to milliseconds.
    coarse: bool,
}

impl Epoll {
    /// An empty set that tells at most `events_max` (at least 1) at a time. Errors: `NofileShort`, else `Os`.
    pub fn new(events_max: usize) -> Result<Epoll, Error> {
        // SAFETY: epoll_create1(2) takes no pointer.
        let fd = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        if fd < 0 {
            return Err(Error::last("epoll_create1"));
        }
        // SAFETY: the call succeeded, so `fd` is a new descriptor that nobody else owns.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        let found = vec![libc::epoll_event { events: 0, u64: 0 }; events_max.max(1)];
        Ok(Epoll { fd, found, coarse: false })
    }

    /// Takes a descriptor into the set. `token` comes back with its events. Errors: `Os`, such as ENOSPC past
    /// fs.epoll.max_user_watches.
    pub fn add(&self, fd: impl AsFd, interest: Interest, token: u64) -> Result<(), Error> {
        self.control(libc::EPOLL_CTL_ADD, fd, interest, token)
    }

    /// Changes what is wanted of a descriptor of the set.
    pub fn change(&self, fd: impl AsFd, interest: Interest, token: u64) -> Result<(), Error> {
        self.control(libc::EPOLL_CTL_MOD, fd, interest, token)
    }

    /// Takes a descriptor out of the set. One that is closed leaves it by itself.
    pub fn remove(&self, fd: impl AsFd) -> Result<(), Error> {
        self.control(libc::EPOLL_CTL_DEL, fd, Interest::default(), 0)
    }

    /// Waits until something is ready, or until `timeout_ns` have passed; `None` is for ever. Adds what was found to
    /// `events`. A signal ends the wait early. Errors: `Os`.
    pub fn wait(&mut self, timeout_ns: Option<u64>, events: &mut Vec<Event>) -> Result<(), Error> {
        let mut found = if self.coarse { self.wait_ms(timeout_ns) } else { self.wait_ns(timeout_ns) };
        if found < 0 && !self.coarse && matches!(last_errno(), libc::ENOSYS | libc::EPERM) {
            self.coarse = true;
            found = self.wait_ms(timeout_ns);
        }
        let Ok(found) = usize::try_from(found) else {
            let errno = io::Error::last_os_error();
            return match errno.kind() {
                io::ErrorKind::Interrupted => Ok(()),
                _ => Err(Error::os("epoll_pwait2", errno)),
            };
        };
        events.extend(self.found[..found].iter().map(|event| Event::of(event.u64, event.events)));
        Ok(())
    }

    fn wait_ns(&mut self, timeout_ns: Option<u64>) -> i64 {
        let timeout = timeout_ns.map(crate::poll::timespec);
        let timeout = timeout.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
        let (fd, place, room) =
            (self.fd.as_raw_fd(), self.found.as_mut_ptr(), self.found.len() as libc::c_int);
        // SAFETY: the kernel writes at most `room` events to `found`, which has as many; the timeout lives through the call,
        // and the signal mask stays as it is (epoll_pwait2(2)).
        unsafe {
            libc::syscall(libc::SYS_epoll_pwait2, fd, place, room, timeout, std::ptr::null::<u8>(), 0usize)
        }
    }

    fn wait_ms(&mut self, timeout_ns: Option<u64>) -> i64 {
        let ms =
            timeout_ns.map_or(-1, |ns| libc::c_int::try_from(ns.div_ceil(1_000_000)).unwrap_or(i32::MAX));
        let room = self.found.len() as libc::c_int;
        // SAFETY: as above (epoll_wait(2)).
        unsafe { libc::epoll_wait(self.fd.as_raw_fd(), self.found.as_mut_ptr(), room, ms) }.into()
    }

    fn control(&self, op: libc::c_int, fd: impl AsFd, interest: Interest, token: u64) -> Result<(), Error> {
        let mut event = libc::epoll_event { events: interest.bits(), u64: token };
        // SAFETY: both descriptors are open while they are borrowed, and the event lives through the call (epoll_ctl(2)).
        let result =
            unsafe { libc::epoll_ctl(self.fd.as_raw_fd(), op, fd.as_fd().as_raw_fd(), &raw mut event) };
        if result < 0 { Err(Error::last("epoll_ctl")) } else { Ok(()) }
    }
}

fn last_errno() -> i32 {
    io::Error::last_os_error().raw_os_error().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wake::EventFd;

    const READ: Interest = Interest { read: true, write: false };

    #[test]
    fn what_is_ready_is_told_again_until_it_is_dealt_with() {
        let (mut epoll, event) = (Epoll::new(4).unwrap(), EventFd::new().unwrap());
        epoll.add(&event, READ, 7).unwrap();
        let mut seen = Vec::new();
        epoll.wait(Some(0), &mut seen).unwrap();
        assert!(seen.is_empty());
        event.signal();
        for _ in 0..2 {
            epoll.wait(None, &mut seen).unwrap();
        }
        assert_eq!(seen, vec![Event { token: 7, read: true, write: false }; 2]);
        event.drain();
        epoll.wait(Some(0), &mut seen).unwrap();
        assert_eq!(seen.len(), 2);
    }

    #[test]
    fn without_the_newer_call_a_wait_is_rounded_up_and_finds_the_same() {
        let (mut epoll, event) = (Epoll::new(4).unwrap(), EventFd::new().unwrap());
        epoll.coarse = true;
        epoll.add(&event, READ, 7).unwrap();
        let (began_ns, mut seen) = (crate::clock::Clock::now_ns(), Vec::new());
        epoll.wait(Some(1), &mut seen).unwrap();
        assert!(seen.is_empty() && crate::clock::Clock::now_ns() > began_ns);
        event.signal();
        epoll.wait(None, &mut seen).unwrap();
        assert_eq!(seen, [Event { token: 7, read: true, write: false }]);
    }

    #[test]
    fn what_is_not_wanted_any_more_is_not_told() {
        let (mut epoll, event) = (Epoll::new(4).unwrap(), EventFd::new().unwrap());
        event.signal();
        epoll.add(&event, READ, 1).unwrap();
        epoll.change(&event, Interest { read: false, write: true }, 2).unwrap();
        let mut seen = Vec::new();
        epoll.wait(None, &mut seen).unwrap();
        assert_eq!(seen, [Event { token: 2, read: false, write: true }]);
        epoll.remove(&event).unwrap();
        epoll.wait(Some(0), &mut seen).unwrap();
        assert_eq!(seen.len(), 1);
        assert!(epoll.remove(&event).is_err(), "it is not there any more");
    }
}

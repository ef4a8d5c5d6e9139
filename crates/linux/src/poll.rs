//! Which descriptors are ready, asked of a list that is handed over at each call (poll(2)).
//!
//! For a thread with few descriptors: the kernel looks at all of them each time. Never reads or writes a descriptor.

use crate::error::Error;
use std::io;
use std::os::fd::{AsFd, AsRawFd};

/// What is wanted of a descriptor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Interest {
    /// To receive, or to accept.
    pub read: bool,
    /// To send, or to know how a connect went.
    pub write: bool,
}

impl Interest {
    /// Whether nothing is wanted.
    pub fn is_none(self) -> bool {
        self == Interest::default()
    }

    /// The bits of poll(2), which are those of epoll_ctl(2) too.
    pub(crate) fn bits(self) -> u32 {
        let read = if self.read { libc::EPOLLIN } else { 0 };
        let write = if self.write { libc::EPOLLOUT } else { 0 };
        (read | write) as u32
    }
}

/// What a descriptor is ready for. One that failed, or whose peer is gone, is ready for both: the call that is made then says
/// what happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// What was given with the descriptor.
    pub token: u64,
    /// A receive will not wait.
    pub read: bool,
    /// A send will not wait.
    pub write: bool,
}

impl Event {
    pub(crate) fn of(token: u64, bits: u32) -> Event {
        let over = bits & (libc::EPOLLERR | libc::EPOLLHUP) as u32 != 0;
        Event {
            token,
            read: over || bits & libc::EPOLLIN as u32 != 0,
            write: over || bits & libc::EPOLLOUT as u32 != 0,
        }
    }
}

const _: () = assert!(
    libc::POLLIN as i32 == libc::EPOLLIN
        && libc::POLLOUT as i32 == libc::EPOLLOUT
        && libc::POLLERR as i32 == libc::EPOLLERR
        && libc::POLLHUP as i32 == libc::EPOLLHUP
);

/// A list of descriptors with what is wanted of each. The caller takes one out before it closes it.
#[derive(Debug, Default)]
pub struct PollSet {
    list: Vec<libc::pollfd>,
    tokens: Vec<u64>,
}

impl PollSet {
    /// Takes a descriptor into the list, or changes what is wanted of the one that has this token.
    pub fn set(&mut self, fd: impl AsFd, interest: Interest, token: u64) {
        let entry =
            libc::pollfd { fd: fd.as_fd().as_raw_fd(), events: interest.bits() as libc::c_short, revents: 0 };
        match self.tokens.iter().position(|t| *t == token) {
            Some(at) => self.list[at] = entry,
            None => {
                self.list.push(entry);
                self.tokens.push(token);
            }
        }
    }

    /// Takes the descriptor with this token out.
    pub fn remove(&mut self, token: u64) {
        if let Some(at) = self.tokens.iter().position(|t| *t == token) {
            self.list.swap_remove(at);
            self.tokens.swap_remove(at);
        }
    }

    /// Waits until something is ready, or until `timeout_ns` have passed; `None` is for ever. Adds what was found to
    /// `events`. A signal ends the wait early. Errors: `Os`.
    pub fn wait(&mut self, timeout_ns: Option<u64>, events: &mut Vec<Event>) -> Result<(), Error> {
        let timeout = timeout_ns.map(timespec);
        let timeout = timeout.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
        // SAFETY: the list has `len` entries that the kernel reads and whose last field it writes; the timeout lives through
        // the call, and the signal mask stays as it is (ppoll(2)).
        let found = unsafe {
            libc::ppoll(self.list.as_mut_ptr(), self.list.len() as libc::nfds_t, timeout, std::ptr::null())
        };
        if found < 0 {
            let errno = io::Error::last_os_error();
            return match errno.kind() {
                io::ErrorKind::Interrupted => Ok(()),
                _ => Err(Error::os("ppoll", errno)),
            };
        }
        let ready = self.list.iter().zip(&self.tokens).filter(|(entry, _)| entry.revents != 0);
        events.extend(ready.map(|(entry, token)| Event::of(*token, entry.revents as u32)));
        Ok(())
    }
}

/// A span as the kernel reads it.
pub(crate) fn timespec(ns: u64) -> libc::timespec {
    libc::timespec { tv_sec: (ns / 1_000_000_000) as i64, tv_nsec: (ns % 1_000_000_000) as i64 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wake::EventFd;

    const READ: Interest = Interest { read: true, write: false };

    #[test]
    fn each_descriptor_is_told_by_its_token_and_only_while_it_is_in_the_list() {
        let events = [EventFd::new().unwrap(), EventFd::new().unwrap()];
        let mut set = PollSet::default();
        set.set(&events[0], READ, 10);
        set.set(&events[1], READ, 11);
        let mut seen = Vec::new();
        set.wait(Some(0), &mut seen).unwrap();
        assert!(seen.is_empty());
        events[1].signal();
        set.wait(None, &mut seen).unwrap();
        assert_eq!(seen, [Event { token: 11, read: true, write: false }]);
        set.set(&events[1], Interest::default(), 11);
        set.wait(Some(0), &mut seen).unwrap();
        set.set(&events[1], READ, 11);
        set.remove(11);
        set.remove(11);
        set.wait(Some(0), &mut seen).unwrap();
        assert_eq!(seen.len(), 1);
    }
}

//! The signals that a server obeys, taken one by one where it is convenient instead of in a handler.
//!
//! Blocked in the first thread before any other starts (threads inherit the mask), then waited for by sigtimedwait(2).
//! No handler ever runs, so there is nothing that could interrupt a shard. See signal(7), "Synchronously accepting".

use std::io;
use std::time::Duration;

use crate::error::Error;

/// A signal that a server obeys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Signal {
    /// SIGINT: Ctrl-C.
    Interrupt,
    /// SIGTERM: please end.
    Terminate,
    /// SIGUSR1: report.
    User1,
    /// SIGHUP: the terminal is gone, or read the configuration again.
    Hangup,
}

impl Signal {
    /// Every signal there is here.
    pub const ALL: [Signal; 4] = [Signal::Interrupt, Signal::Terminate, Signal::User1, Signal::Hangup];

    fn number(self) -> libc::c_int {
        match self {
            Signal::Interrupt => libc::SIGINT,
            Signal::Terminate => libc::SIGTERM,
            Signal::User1 => libc::SIGUSR1,
            Signal::Hangup => libc::SIGHUP,
        }
    }

    /// Sends this signal to the calling thread, which alone can take it (raise(3)).
    pub fn raise(self) -> Result<(), Error> {
        // SAFETY: raise(3) takes no pointer.
        let result = unsafe { libc::raise(self.number()) };
        if result == 0 { Ok(()) } else { Err(Error::last("raise")) }
    }

    /// Sends this signal to the process itself. Blocked in all threads, it waits until one of them takes it; a second
    /// one of the same kind that comes before merges with it (signal(7)).
    pub fn send_to_self(self) -> Result<(), Error> {
        // SAFETY: kill(2) takes no pointer.
        let result = unsafe { libc::kill(libc::getpid(), self.number()) };
        if result == 0 { Ok(()) } else { Err(Error::last("kill")) }
    }
}

/// A set of signals that are blocked for good and taken synchronously.
#[derive(Debug, Clone)]
pub struct Signals {
    signals: Vec<Signal>,
}

impl Signals {
    /// Blocks `signals` in the calling thread and in every thread that it starts from now on.
    ///
    /// Call it before the first thread is started: one that leaves them open would be killed by them. SIGPIPE is
    /// ignored, as Rust's start-up code does too: a write to a closed connection is an error of that write.
    pub fn block(signals: impl IntoIterator<Item = Signal>) -> Result<Signals, Error> {
        let signals = Signals { signals: signals.into_iter().collect() };
        let set = signals.set();
        // SAFETY: `set` lives through the call, which only reads it; the old mask is not asked for.
        let result = unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()) };
        if result != 0 {
            return Err(Error::os("pthread_sigmask", io::Error::from_raw_os_error(result)));
        }
        // SAFETY: SIG_IGN is a disposition, not a handler: no code will run.
        if unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) } == libc::SIG_ERR {
            return Err(Error::last("ignore SIGPIPE"));
        }
        Ok(signals)
    }

    /// Waits until one of the signals has come, takes it and tells which.
    pub fn wait(&self) -> Result<Signal, Error> {
        loop {
            if let Some(signal) = self.take(None)? {
                return Ok(signal);
            }
        }
    }

    /// The same, but for no longer than `timeout`; zero only looks. `None` when none has come.
    pub fn wait_timeout(&self, timeout: Duration) -> Result<Option<Signal>, Error> {
        let seconds = libc::time_t::try_from(timeout.as_secs()).unwrap_or(libc::time_t::MAX);
        let timeout = libc::timespec { tv_sec: seconds, tv_nsec: timeout.subsec_nanos().into() };
        self.take(Some(&timeout))
    }

    fn take(&self, timeout: Option<&libc::timespec>) -> Result<Option<Signal>, Error> {
        let set = self.set();
        let timeout = timeout.map_or(std::ptr::null(), std::ptr::from_ref);
        // SAFETY: `set` lives through the call and is only read; the details of the signal are not asked for; the
        // timeout is null, which is none, or points to a timespec that the caller holds (sigtimedwait(2)).
        let number = unsafe { libc::sigtimedwait(&raw const set, std::ptr::null_mut(), timeout) };
        if number < 0 {
            let errno = io::Error::last_os_error();
            return match errno.raw_os_error() {
                // EINTR: a signal outside the set came, or a debugger.
                Some(libc::EAGAIN | libc::EINTR) => Ok(None),
                _ => Err(Error::os("sigtimedwait", errno)),
            };
        }
        Ok(self.signals.iter().copied().find(|signal| signal.number() == number))
    }

    fn set(&self) -> libc::sigset_t {
        let mut set = std::mem::MaybeUninit::uninit();
        // SAFETY: sigemptyset(3) initializes the set behind its pointer, which lives here; sigaddset(3) changes it and
        // only fails for a number that is no signal.
        unsafe {
            libc::sigemptyset(set.as_mut_ptr());
            for signal in &self.signals {
                libc::sigaddset(set.as_mut_ptr(), signal.number());
            }
            set.assume_init()
        }
    }
}

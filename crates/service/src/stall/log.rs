//! What a stalling server really did, for whoever computes what was to be seen of it.

use std::sync::{Arc, Mutex};

/// What a server did. Times are of the seat's clock (`CLOCK_MONOTONIC`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Log {
    /// When the first request came.
    pub first_ns: Option<u64>,
    /// Stalls of all that are over, in order; at most 65,536.
    pub stalls: Vec<Span>,
    /// Further ones.
    pub unlisted: u64,
    /// Requests that were taken in, as of the last stall's end, or of the server's.
    pub requests: u64,
    /// Of these, those that were answered late on purpose; of a slow accept, the connections.
    pub slow: u64,
}

/// A stretch of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Its begin.
    pub from_ns: u64,
    /// Its end, when the first of those that waited for it was served; exclusive.
    pub to_ns: u64,
}

/// Keeps counts without a lock, and writes them when a stall ends.
pub(super) struct Writer {
    shared: Arc<Mutex<Log>>,
    requests: u64,
    slow: u64,
}

impl Writer {
    pub(super) fn new(shared: Arc<Mutex<Log>>) -> Writer {
        Writer { shared, requests: 0, slow: 0 }
    }

    /// A request is taken in. Says how many there have been with it.
    pub(super) fn request(&mut self) -> u64 {
        self.requests += 1;
        self.requests
    }

    pub(super) fn slow(&mut self) {
        self.slow += 1;
    }

    pub(super) fn first(&mut self, now_ns: u64) {
        self.write(|log| log.first_ns = Some(now_ns));
    }

    pub(super) fn stalled(&mut self, span: Span) {
        self.write(|log| match log.stalls.len() < STALLS_MAX {
            true => log.stalls.push(span),
            false => log.unlisted += 1,
        });
    }

    /// The first of those that waited for the end of the last stall is served: so long it really was.
    pub(super) fn went_on(&mut self, now_ns: u64) {
        self.write(|log| {
            if let Some(last) = log.stalls.last_mut().filter(|_| log.unlisted == 0) {
                last.to_ns = now_ns;
            }
        });
    }

    pub(super) fn end(&mut self) {
        self.write(|_| {});
    }

    fn write(&mut self, write: impl FnOnce(&mut Log)) {
        let mut log = self.shared.lock().expect("nothing panics under this lock");
        (log.requests, log.slow) = (self.requests, self.slow);
        write(&mut log);
    }
}

const STALLS_MAX: usize = 65_536;

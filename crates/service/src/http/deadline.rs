//! How long a peer may take, and the one timer that watches it.
//!
//! Lazy: what moves a deadline into the future only moves the number it is computed from. The timer is armed again when it
//! fires early, so a busy connection touches the timer wheel once in a keep-alive time and not once in a request.

use shard::{Io, Service, Tick, Token};
use std::time::Duration;

/// How long a peer may take for each part of a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadlines {
    /// From the first byte of a head to its last; then 408. Default 10 s.
    pub head: Duration,
    /// Before a body must have come at `body_bytes_per_second`. Default 5 s.
    pub body_grace: Duration,
    /// Least mean rate of a body after its grace, in bytes a second, at least 1. Default 500.
    pub body_bytes_per_second: u32,
    /// Between two requests, and before the first. Default 75 s.
    pub keep_alive: Duration,
    /// Without one byte of a body coming, or of an answer leaving, while it is awaited. Default 30 s.
    pub progress: Duration,
    /// How long a connection that is idle when the drain begins may still bring a request: a client that is just
    /// sending one must not see it fail. Never more than half the drain. Default 1 s.
    pub drain_grace: Duration,
}

impl Default for Deadlines {
    fn default() -> Deadlines {
        Deadlines {
            head: Duration::from_secs(10),
            body_grace: Duration::from_secs(5),
            body_bytes_per_second: 500,
            keep_alive: Duration::from_secs(75),
            progress: Duration::from_secs(30),
            drain_grace: Duration::from_secs(1),
        }
    }
}

impl Deadlines {
    /// When a body that began at `began` and of which `bytes` have come, the last of them at `heard`, is too slow.
    pub(crate) fn body(&self, began: Tick, heard: Tick, bytes: u64) -> Tick {
        let earned_ms = bytes.saturating_mul(1000) / u64::from(self.body_bytes_per_second.max(1));
        let by_rate = after(began, self.body_grace).0.saturating_add(earned_ms);
        // A fast start does not buy hours of silence.
        Tick(by_rate).min(after(heard, self.progress))
    }
}

/// `wait` later than `tick`.
pub(crate) fn after(tick: Tick, wait: Duration) -> Tick {
    Tick(tick.0.saturating_add(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)))
}

/// The timer of one conversation. Always armed, from its first moment to its last.
#[derive(Debug)]
pub(crate) struct Alarm {
    timer: Token,
    at: Tick,
}

impl Alarm {
    /// Rings at `at`.
    pub(crate) fn at<S: Service>(at: Tick, io: &mut Io<'_, S>) -> Alarm {
        let wait = Duration::from_millis(at.0.saturating_sub(io.now().0));
        Alarm { timer: io.timer(wait), at }
    }

    /// Rings at `due` or earlier.
    #[inline]
    pub(crate) fn by<S: Service>(&mut self, due: Tick, io: &mut Io<'_, S>) {
        if due < self.at {
            io.cancel(self.timer);
            *self = Alarm::at(due, io);
        }
    }

    /// Whether this is the timer that fired.
    pub(crate) fn is(&self, timer: Token) -> bool {
        self.timer == timer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_must_keep_its_rate_after_its_grace_and_never_fall_silent() {
        let deadlines = Deadlines::default();
        for (began, heard, bytes, due) in [
            (0, 0, 0, 5_000),
            (1_000, 1_000, 499, 6_998),
            (0, 4_000, 5_000, 15_000),
            // A gigabyte in one second, and then nothing.
            (0, 1_000, 1 << 30, 31_000),
            (0, 0, u64::MAX, 30_000),
        ] {
            assert_eq!(deadlines.body(Tick(began), Tick(heard), bytes), Tick(due), "{began} {heard} {bytes}");
        }
    }
}

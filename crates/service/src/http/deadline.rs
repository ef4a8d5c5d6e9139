//! How long a peer may take. One [`Alarm`](crate::alarm::Alarm) a conversation watches it.

use shard::Tick;
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

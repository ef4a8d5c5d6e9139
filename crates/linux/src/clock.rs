//! The two clocks of a machine: one that only grows, for deadlines, and the calendar's, for `Date`.
//!
//! The calls for these two stay in user space (vDSO, vdso(7)) on the machines that we know. A third says how long a
//! thread has run. The simulator never calls them.

use crate::error::Error;

/// Reads the clocks. Has no state.
#[derive(Debug, Clone, Copy, Default)]
pub struct Clock;

impl Clock {
    /// Nanoseconds since an arbitrary point (`CLOCK_MONOTONIC`): never goes back, and stands still while suspended.
    #[inline]
    pub fn now_ns() -> u64 {
        let now = read(libc::CLOCK_MONOTONIC);
        now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
    }

    /// Nanoseconds that the calling thread has run, in the kernel and outside of it (`CLOCK_THREAD_CPUTIME_ID`). A real
    /// system call: not for every turn.
    pub fn thread_cpu_ns() -> u64 {
        let ran = read(libc::CLOCK_THREAD_CPUTIME_ID);
        ran.tv_sec as u64 * 1_000_000_000 + ran.tv_nsec as u64
    }

    /// Seconds since 1970-01-01 00:00 UTC (`CLOCK_REALTIME`); a clock set before that reads as 0.
    #[inline]
    pub fn unix_seconds() -> u64 {
        read(libc::CLOCK_REALTIME).tv_sec.max(0) as u64
    }
}

/// Lets the kernel wake the calling thread this many nanoseconds after it asked to be woken, and not later: it may put
/// timers of a thread off by its slack, 50 us as a rule, to wake less often (`PR_SET_TIMERSLACK`, prctl(2)). 0 brings back
/// what the thread began with. Errors: `Os`, on a kernel without it.
pub fn set_timer_slack_ns(ns: u64) -> Result<(), Error> {
    // SAFETY: this option of prctl(2) takes an integer and no pointer.
    match unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, ns as libc::c_ulong) } {
        0 => Ok(()),
        _ => Err(Error::last("set the timer slack")),
    }
}

#[inline]
fn read(clock: libc::clockid_t) -> libc::timespec {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `now` is a live timespec that clock_gettime(2) fills; it keeps no pointer to it.
    let result = unsafe { libc::clock_gettime(clock, &raw mut now) };
    assert_eq!(result, 0, "clock_gettime fails only for a clock that does not exist, and these always do");
    now
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{SystemTime, UNIX_EPOCH};

    #[test]
    fn the_monotonic_clock_never_goes_back() {
        let mut last = Clock::now_ns();
        for _ in 0..10_000 {
            let now = Clock::now_ns();
            assert!(now >= last);
            last = now;
        }
    }

    #[test]
    fn the_slack_of_a_threads_timers_is_what_was_set_and_0_brings_back_the_first() {
        // SAFETY: this option of prctl(2) takes no argument.
        let slack = || unsafe { libc::prctl(libc::PR_GET_TIMERSLACK) };
        let first = slack();
        set_timer_slack_ns(1).expect("every thread may");
        assert_eq!(slack(), 1);
        set_timer_slack_ns(0).expect("every thread may");
        assert_eq!(slack(), first);
    }

    #[test]
    fn unix_seconds_lie_between_two_readings_of_the_system_time() {
        let std_seconds = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let before = std_seconds();
        let ours = Clock::unix_seconds();
        assert!(before <= ours && ours <= std_seconds());
    }
}

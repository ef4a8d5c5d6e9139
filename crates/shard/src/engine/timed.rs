//! How a seat's time is split: what its thread ran, in the kernel too, and what it slept.
//!
//! Most of a busy turn is spent inside system calls, so the time between two clock readings around the wait would tell
//! nothing: the thread's own CPU clock does.

use crate::meter::Meter;
use linux::clock::Clock;

/// When busy and parked time were last counted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timed {
    wall_ns: u64,
    cpu_ns: u64,
    again_ns: u64,
}

/// How often they are counted at most.
const TIMED_NS: u64 = 10_000_000;

impl Timed {
    pub(crate) fn new() -> Timed {
        Timed { wall_ns: Clock::now_ns(), cpu_ns: Clock::thread_cpu_ns(), again_ns: 0 }
    }

    /// Counts if it is time to.
    #[inline]
    pub(crate) fn look(&mut self, now_ns: u64, meter: &Meter) {
        if now_ns >= self.again_ns {
            self.count(meter);
        }
    }

    /// Splits the time since the last call.
    pub(crate) fn count(&mut self, meter: &Meter) {
        let (wall_ns, cpu_ns) = (Clock::now_ns(), Clock::thread_cpu_ns());
        let (wall, busy) = (wall_ns.saturating_sub(self.wall_ns), cpu_ns.saturating_sub(self.cpu_ns));
        meter.busy_ns.add(busy);
        meter.parked_ns.add(wall.saturating_sub(busy));
        *self = Timed { wall_ns, cpu_ns, again_ns: wall_ns + TIMED_NS };
    }
}

//! Which arrival is next, and when: the schedule of one seat on its clock.
//!
//! An arrival that cannot be sent yet is not stored: the schedule just is not read on, and gives the same time later. So any number of
//! them may wait in no memory.

use stats::schedule::Schedule;

/// The arrivals of one seat.
#[derive(Debug)]
pub(super) struct Pacer {
    schedule: Schedule,
    begin_ns: u64,
    /// The next one, on the seat's clock.
    next_ns: Option<u64>,
    taken: u64,
    /// Reads ahead, to count those that wait: a schedule, the arrival it stands at, and how many it has passed.
    ahead: Schedule,
    ahead_ns: Option<u64>,
    passed: u64,
    /// Nothing arrives from here on.
    until_ns: u64,
}

impl Pacer {
    /// The schedule begins at `begin_ns`.
    pub(super) fn new(schedule: Schedule, begin_ns: u64) -> Pacer {
        let mut pacer = Pacer {
            ahead: schedule.clone(),
            schedule,
            begin_ns,
            next_ns: None,
            taken: 0,
            ahead_ns: None,
            passed: 0,
            until_ns: u64::MAX,
        };
        pacer.next_ns = pacer.schedule.next().map(|ns| begin_ns + ns);
        pacer.ahead_ns = pacer.ahead.next().map(|ns| begin_ns + ns);
        pacer
    }

    /// When the next arrival is intended; `None` when there is none.
    #[inline]
    pub(super) fn next_ns(&self) -> Option<u64> {
        self.next_ns
    }

    /// The next arrival is taken.
    #[inline]
    pub(super) fn take(&mut self) {
        self.taken += 1;
        self.next_ns = self.schedule.next().map(|ns| self.begin_ns + ns).filter(|ns| *ns < self.until_ns);
    }

    /// Nothing arrives from this time on. Told again, the first time stands.
    pub(super) fn cut(&mut self, now_ns: u64) {
        self.until_ns = self.until_ns.min(now_ns);
        self.next_ns = self.next_ns.filter(|ns| *ns < self.until_ns);
    }

    /// How many arrivals are due and not taken.
    pub(super) fn waiting(&mut self, now_ns: u64) -> u64 {
        let until = self.until_ns.min(now_ns + 1);
        while self.ahead_ns.is_some_and(|ns| ns < until) {
            self.passed += 1;
            self.ahead_ns = self.ahead.next().map(|ns| self.begin_ns + ns);
        }
        self.passed.saturating_sub(self.taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stats::schedule::{Arrivals, Law, Share};

    #[test]
    fn what_waits_is_counted_without_being_stored_and_keeps_its_time() {
        let arrivals = Arrivals::steady(Law::Constant, 1000.0, 1_000_000_000, 0);
        let mut pacer = Pacer::new(arrivals.share(Share { index: 0, of: 1 }), 5_000_000);
        assert_eq!((pacer.next_ns(), pacer.waiting(4_999_999)), (Some(5_000_000), 0));
        assert_eq!(pacer.waiting(14_000_000), 10);
        (0..4).for_each(|_| pacer.take());
        assert_eq!((pacer.next_ns(), pacer.waiting(14_000_000)), (Some(9_000_000), 6));
        pacer.cut(11_000_000);
        assert_eq!(pacer.waiting(99_000_000), 6, "they had arrived before the cut");
        pacer.cut(20_000_000);
        assert_eq!(pacer.waiting(99_000_000), 6, "a cut that is told again is no later one");
        (0..2).for_each(|_| pacer.take());
        assert_eq!(pacer.next_ns(), None);
    }
}

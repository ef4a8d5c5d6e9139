//! A sample of the times between sends, to hold against the arrival law.
//!
//! Every so many arrivals one and the next are watched. When both have left, the gap that the schedule intended and the one that was
//! sent are noted. Which ones is seeded; how many is bounded.

use super::sink::Gap;
use shard::Leg;

/// The sample of one seat.
#[derive(Debug, Default)]
pub(super) struct Probe {
    /// One of so many gaps is watched; 0 is none.
    stride: u64,
    /// Arrivals until the next one that is watched.
    left: u64,
    first: Option<Watched>,
    second: Option<Watched>,
    gaps: Vec<Gap>,
}

#[derive(Clone, Copy, Debug)]
struct Watched {
    leg: Leg,
    intended_ns: u64,
    written_ns: u64,
    sent_ns: u64,
}

/// Gaps in a sample.
const GAPS: usize = 1000;

impl Probe {
    /// A sample of the `expected` arrivals of a seat.
    pub(super) fn new(expected: f64, seed: u64) -> Probe {
        // Twice as often as would do: some cannot be seen.
        let stride = (expected / (2 * GAPS) as f64).ceil().max(2.0) as u64;
        Probe { stride, left: seed % stride, first: None, second: None, gaps: Vec::with_capacity(GAPS) }
    }

    /// An arrival was written to a leg. Called for each, in the order of the schedule; `idle` says that nothing stood before it there.
    #[inline]
    pub(super) fn written(&mut self, leg: Leg, intended_ns: u64, now_ns: u64, idle: bool) {
        if self.left > 0 {
            self.left -= 1;
            return;
        }
        self.watch(Watched { leg, intended_ns, written_ns: now_ns, sent_ns: 0 }, idle);
    }

    fn watch(&mut self, watched: Watched, idle: bool) {
        if self.gaps.len() == GAPS || self.stride == 0 {
            self.left = u64::MAX;
        } else if !idle {
            // Another request may have left on this leg meanwhile, so its stamp would be ambiguous.
            (self.first, self.second) = (None, None);
        } else if self.first.is_none() || self.second.is_some() {
            // Of the two before one never left: its connection was lost.
            (self.first, self.second) = (Some(watched), None);
        } else {
            self.second = Some(watched);
            self.left = self.stride - 2;
        }
    }

    /// An arrival between two that are watched was given up: they do not follow each other.
    pub(super) fn skipped(&mut self) {
        if self.second.is_none() {
            self.first = None;
        }
    }

    /// Looks whether what is watched has left. Called once an event, before anything else is written.
    #[inline]
    pub(super) fn look(&mut self, sent_ns: impl Fn(Leg) -> u64) {
        if self.first.is_none() {
            return;
        }
        for watched in [&mut self.first, &mut self.second].into_iter().flatten() {
            let sent = sent_ns(watched.leg);
            if watched.sent_ns == 0 && sent >= watched.written_ns {
                watched.sent_ns = sent;
            }
        }
        let (Some(first), Some(second)) = (self.first, self.second) else { return };
        if first.sent_ns > 0 && second.sent_ns > 0 {
            self.gaps.push(Gap {
                intended_ns: second.intended_ns - first.intended_ns,
                sent_ns: second.sent_ns.saturating_sub(first.sent_ns),
            });
        } else if second.sent_ns == 0 && first.sent_ns == 0 {
            return;
        }
        if second.sent_ns > 0 {
            (self.first, self.second) = (None, None);
        }
    }

    /// The sample.
    pub(super) fn take(&mut self) -> Vec<Gap> {
        std::mem::take(&mut self.gaps)
    }
}

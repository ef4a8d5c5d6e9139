//! How many frames may be on their way at once: more while they arrive, half as many when one has to be sent again.
//!
//! The rule of TCP (RFC 5681, section 3.1), in frames, halved at most once a round trip: a sender that goes on at its rate into a full
//! queue would lose all that it sends there (RFC 8085, section 3.1).

use super::WINDOW;

/// At first: what RFC 6928 lets TCP begin with is 10 segments; frames are mostly shorter.
const FIRST: u32 = 16;
/// The fewest, so that frames which overtake a lost one tell of it.
const LEAST: u32 = 4;

/// Of one sender. 24 bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// How many may fly.
    most: u32,
    /// Below this, each that arrives makes room for one more; above, a window of them does.
    steep: u32,
    arrived: u32,
    cut_ms: u64,
}

impl Pace {
    pub(super) const fn new() -> Pace {
        Pace { most: FIRST, steep: WINDOW, arrived: 0, cut_ms: 0 }
    }

    pub(super) const fn allows(&self, flying: u32) -> bool {
        flying < self.most
    }

    /// So many were acknowledged, while `flying` were on their way. Who does not use what he may does not earn more.
    pub(super) fn arrived(&mut self, frames: u32, flying: u32) {
        if 2 * flying < self.most {
            return;
        }
        self.arrived += frames;
        let step = if self.most < self.steep { 1 } else { self.most };
        self.most = (self.most + self.arrived / step).min(WINDOW);
        self.arrived %= step;
    }

    /// One has to be sent again.
    pub(super) fn lost(&mut self, now_ms: u64, rtt_ms: u32) {
        if now_ms >= self.cut_ms {
            self.cut_ms = now_ms + u64::from(rtt_ms);
            self.most = (self.most / 2).max(LEAST);
            (self.steep, self.arrived) = (self.most, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_fly_doubles_is_halved_once_a_round_trip_and_grows_by_one() {
        let mut pace = Pace::new();
        let most = |pace: &Pace| (0..=WINDOW).find(|n| !pace.allows(*n)).unwrap();
        assert_eq!(most(&pace), FIRST);
        pace.arrived(FIRST, FIRST);
        assert_eq!(most(&pace), 2 * FIRST);
        pace.arrived(1_000, 2 * FIRST);
        assert_eq!(most(&pace), WINDOW);
        (0..10).for_each(|_| pace.lost(5, 20));
        assert_eq!(most(&pace), WINDOW / 2);
        pace.arrived(WINDOW / 2, WINDOW / 2);
        assert_eq!(most(&pace), WINDOW / 2 + 1);
        pace.arrived(1_000, 3);
        assert_eq!(most(&pace), WINDOW / 2 + 1, "it was not used");
        (0..20).for_each(|n| pace.lost(100 * n + 25, 20));
        assert_eq!(most(&pace), LEAST);
    }
}

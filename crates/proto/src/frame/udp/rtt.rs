//! How long an acknowledgement takes, and how long to wait for one (RFC 6298), in milliseconds.

/// The wait before anything was measured.
pub const RTO_FIRST_MS: u32 = 250;
/// The shortest wait. RFC 6298 has a second, for receivers that answer late on purpose; here every frame is acknowledged at once.
pub const RTO_MIN_MS: u32 = 20;
/// The longest, also of one that was doubled.
pub const RTO_MAX_MS: u32 = 4_000;

/// What was measured of one peer. 8 bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rtt {
    /// Eighths of a millisecond, so that a mean of small numbers moves. 0: nothing was measured.
    smoothed: u32,
    /// Quarters.
    varies: u32,
}

impl Rtt {
    /// A frame that was sent once was acknowledged after `ms` (Karn's rule: one that was sent again says nothing).
    pub fn measured(&mut self, ms: u64) {
        let ms = (ms.min(60_000) as u32).max(1);
        if self.smoothed == 0 {
            (self.smoothed, self.varies) = (8 * ms, 2 * ms);
            return;
        }
        let off = (self.smoothed / 8).abs_diff(ms);
        self.varies = self.varies - self.varies / 4 + off;
        self.smoothed = self.smoothed - self.smoothed / 8 + ms;
    }

    /// How long to wait for the acknowledgement of try number `tries`, from 1: doubled from one to the next.
    #[must_use]
    pub fn rto_ms(&self, tries: u8) -> u32 {
        let once = match self.smoothed {
            0 => RTO_FIRST_MS,
            smoothed => smoothed / 8 + self.varies.max(1),
        };
        let doubled = u64::from(once.max(RTO_MIN_MS)) << tries.saturating_sub(1).min(16);
        doubled.min(RTO_MAX_MS.into()) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_follows_what_was_measured_and_doubles_to_its_bound() {
        let mut rtt = Rtt::default();
        let waits = |rtt: &Rtt| [1, 2, 3, 8].map(|tries| rtt.rto_ms(tries));
        assert_eq!(waits(&rtt), [250, 500, 1_000, 4_000]);
        rtt.measured(100);
        assert_eq!(waits(&rtt), [300, 600, 1_200, 4_000]);
        (0..100).for_each(|_| rtt.measured(100));
        assert!((100..110).contains(&rtt.rto_ms(1)), "{}", rtt.rto_ms(1));
        (0..100).for_each(|_| rtt.measured(0));
        assert_eq!(waits(&rtt), [20, 40, 80, 2_560]);
        (0..100).for_each(|_| rtt.measured(u64::MAX));
        assert_eq!(rtt.rto_ms(1), RTO_MAX_MS);
    }
}

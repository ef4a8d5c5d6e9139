//! Numbers that a seed decides: the same on every machine, for ever (an exponential one to the last bits of its logarithm).
//!
//! splitmix64 (Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014). What comes out is part of what a seed
//! means, so it must not change. Never for secrets.

/// A stream of numbers.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The stream of a seed. Seeds that lie side by side give streams that have nothing to do with each other.
    pub fn new(seed: u64) -> Random {
        Random(mix(seed))
    }

    /// All 64 bits are random.
    #[inline]
    #[allow(
        clippy::should_implement_trait,
        reason = "it never ends, so no caller should have to ask whether it did"
    )]
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// Between 0 and 1, never either of them.
    #[inline]
    pub fn uniform(&mut self) -> f64 {
        ((self.next() >> 11) as f64 + 0.5) / (1u64 << 53) as f64
    }

    /// Exponentially distributed with mean 1, by inversion; never 0 or infinite.
    #[inline]
    pub fn exponential(&mut self) -> f64 {
        -self.uniform().ln()
    }

    /// Below `bound`, which is at least 1. By multiplication (Lemire, 2019) without its rejection: the bias is below `bound` / 2^64.
    #[inline]
    pub fn below(&mut self, bound: usize) -> usize {
        assert!(bound > 0, "nothing is below 0");
        ((u128::from(self.next()) * bound as u128) >> 64) as usize
    }
}

/// Spreads a number over all 64 bits; one to one.
#[inline]
pub(crate) fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stream_is_that_of_the_reference_implementation() {
        // splitmix64.c by Vigna, state 1234567.
        let mut random = Random(1_234_567);
        let expected = [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431];
        assert_eq!([(); 4].map(|()| random.next()), expected);
    }

    #[test]
    fn each_number_below_a_bound_comes_about_as_often_as_the_others() {
        let mut random = Random::new(1);
        let mut seen = [0u32; 7];
        (0..70_000).for_each(|_| seen[random.below(7)] += 1);
        assert!(seen.iter().all(|count| (9_600..10_400).contains(count)), "{seen:?}");
    }
}

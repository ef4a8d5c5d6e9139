//! When each request is to be sent: arithmetic, never a clock.
//!
//! The intended time of arrival `k` follows from `k`, the seed and the rates alone. A schedule that is read late gives the same times
//! as one that is read early, so lateness can neither shift nor hide an arrival.
//!
//! Rates may change over time: the arrivals of a unit-rate process are mapped through the inverse of the cumulative rate (Cinlar,
//! "Introduction to Stochastic Processes", 1975, section 4.7; for a constant law `k` itself is mapped). Of `n` shares each is again a
//! process of the same law: a Poisson process of rate `r` is the sum of `n` independent ones of `r/n`; of a constant process share
//! `i` takes every `n`-th arrival, beginning with the `i`-th.

use crate::random::{Random, mix};
use serde::{Deserialize, Serialize};

/// How arrivals follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Law {
    /// At equal distances.
    Constant,
    /// At distances that are exponentially distributed: many clients who know nothing of each other.
    Poisson,
}

/// A stretch of time in which the rate goes from one value to another in a straight line.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stretch {
    /// Arrivals a second at its begin; 0 and above, finite.
    pub from_per_s: f64,
    /// Arrivals a second at its end.
    pub to_per_s: f64,
    /// How long it is, above 0.
    pub ns: u64,
}

/// All arrivals of a load.
#[derive(Clone, Debug, PartialEq)]
pub struct Arrivals {
    /// How they follow each other.
    pub law: Law,
    /// What rates, one stretch behind the other. Nothing arrives after the last.
    pub stretches: Vec<Stretch>,
    /// Of the Poisson law.
    pub seed: u64,
}

/// Which part of the arrivals: share `index` of `of`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// Below `of`.
    pub index: u32,
    /// At least 1.
    pub of: u32,
}

impl Arrivals {
    /// One rate for one time.
    pub fn steady(law: Law, per_s: f64, ns: u64, seed: u64) -> Arrivals {
        Arrivals { law, stretches: vec![Stretch { from_per_s: per_s, to_per_s: per_s, ns }], seed }
    }

    /// How long they last.
    pub fn ns(&self) -> u64 {
        self.stretches.iter().map(|stretch| stretch.ns).sum()
    }

    /// How many are expected between two times, in nanoseconds since the begin. Of the constant law that many come, to within one.
    pub fn expected(&self, from_ns: u64, to_ns: u64) -> f64 {
        self.cumulative(to_ns) - self.cumulative(from_ns)
    }

    /// The part of one share.
    pub fn share(&self, share: Share) -> Schedule {
        assert!(share.index < share.of, "share {} of {}", share.index, share.of);
        // Seeds of shares must not be those of another run's: they are spread by a hash, not added.
        let random = Random::new(self.seed ^ mix(u64::from(share.index) + 1));
        let mut schedule = Schedule {
            stretches: self.stretches.clone().into(),
            at: 0,
            begin_ns: 0.0,
            before: 0.0,
            law: self.law,
            share,
            arrived: 0,
            units: 0.0,
            random,
        };
        schedule.units = match self.law {
            Law::Constant => f64::from(share.index),
            Law::Poisson => schedule.random.exponential() * f64::from(share.of),
        };
        schedule
    }

    fn cumulative(&self, until_ns: u64) -> f64 {
        let (mut begin, mut sum) = (0, 0.0);
        for stretch in &self.stretches {
            let inside = until_ns.saturating_sub(begin).min(stretch.ns) as f64;
            let slope = (stretch.to_per_s - stretch.from_per_s) / stretch.ns as f64;
            sum += (stretch.from_per_s + slope * inside / 2.0) * inside / 1e9;
            begin += stretch.ns;
        }
        sum
    }
}

/// The intended times of one share, in nanoseconds since the begin of the load, never falling. Memory does not depend on how many.
#[derive(Clone, Debug)]
pub struct Schedule {
    stretches: Box<[Stretch]>,
    /// The stretch that the next arrival lies in or behind.
    at: usize,
    /// Where that begins, and the arrivals expected before it.
    begin_ns: f64,
    before: f64,
    law: Law,
    share: Share,
    arrived: u64,
    /// The next arrival in units of the whole process: how many are expected up to it.
    units: f64,
    random: Random,
}

impl Iterator for Schedule {
    type Item = u64;

    #[inline]
    fn next(&mut self) -> Option<u64> {
        loop {
            let stretch = self.stretches.get(self.at)?;
            let Stretch { from_per_s: from, to_per_s: to, ns } = *stretch;
            let here = (from + to) / 2.0 * ns as f64 / 1e9;
            let units = self.units - self.before;
            if units >= here {
                self.at += 1;
                self.begin_ns += ns as f64;
                self.before += here;
                continue;
            }
            let inside_s = if units <= 0.0 {
                0.0
            } else if from == to {
                units / from
            } else {
                // from t + slope t^2 / 2 = units, in the form that does not cancel for a small slope.
                let slope = (to - from) / (ns as f64 / 1e9);
                2.0 * units / (from + (from * from + 2.0 * slope * units).max(0.0).sqrt())
            };
            let at_ns = self.begin_ns + (inside_s * 1e9).min(ns as f64);
            self.arrived += 1;
            self.units = match self.law {
                // By a product, not a sum: errors do not add up over a billion arrivals.
                Law::Constant => self.arrived as f64 * f64::from(self.share.of) + f64::from(self.share.index),
                Law::Poisson => self.units + self.random.exponential() * f64::from(self.share.of),
            };
            // To the nearest: 15.7 ms come out a little below, and are not to be a nanosecond early.
            return Some((at_ns + 0.5) as u64);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn constant_arrivals_are_where_arithmetic_says_also_after_a_billion() {
        let mut schedule = Arrivals::steady(Law::Constant, 3.0, SECOND, 0).share(Share { index: 0, of: 1 });
        assert_eq!(schedule.by_ref().collect::<Vec<_>>(), [0, 333_333_333, 666_666_667]);
        let long = Arrivals::steady(Law::Constant, 1e6, 2_000 * SECOND, 0);
        let mut schedule = long.share(Share { index: 0, of: 1 });
        schedule.arrived = 1_000_000_000;
        schedule.units = 1e9;
        assert_eq!(schedule.nth(7), Some(1_000 * SECOND + 7_000));
    }

    #[test]
    fn shares_of_a_constant_law_are_shifted_in_phase_and_join_to_the_whole() {
        let arrivals = Arrivals {
            law: Law::Constant,
            stretches: vec![
                Stretch { from_per_s: 0.0, to_per_s: 5_000.0, ns: SECOND },
                Stretch { from_per_s: 5_000.0, to_per_s: 5_000.0, ns: SECOND },
                Stretch { from_per_s: 700.0, to_per_s: 100.0, ns: SECOND },
            ],
            seed: 0,
        };
        let whole: Vec<u64> = arrivals.share(Share { index: 0, of: 1 }).collect();
        assert!(whole.is_sorted());
        assert_eq!(whole.len(), 2_500 + 5_000 + 400);
        let mut joined: Vec<u64> = (0..3).flat_map(|index| arrivals.share(Share { index, of: 3 })).collect();
        joined.sort_unstable();
        assert_eq!(joined, whole);
    }
}

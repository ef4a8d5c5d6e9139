//! Which quantiles a number of samples carries, and how sure each is: order statistics, no assumption about the distribution.
//!
//! The samples at or below the true quantile `q` are binomially distributed, `B(n, q)`, whatever was measured; so ranks alone give a
//! confidence interval (David, Nagaraja, "Order Statistics", 3rd edition, 2003, section 7.1). It assumes that samples are independent.
//! Latencies that share a queue are not, and their interval is then too narrow: it says what the number of samples allows at best.

use hdrhistogram::Histogram;

/// Samples that must lie beyond a quantile for it to be told.
pub const BEYOND_MIN: f64 = 20.0;

/// Whether `count` samples carry the quantile `q`: at least 20 are expected beyond it, `n (1 - q) >= 20`.
pub fn carries(count: u64, q: f64) -> bool {
    // 1 - 0.999 is a little less than 0.001, and 20,000 samples do carry p99.9.
    count as f64 * (1.0 - q) >= BEYOND_MIN * (1.0 - 1e-9)
}

/// The quantile `q`, 0 to 1, as the histogram has it; `None` where its samples do not carry it.
pub fn value(histogram: &Histogram<u64>, q: f64) -> Option<u64> {
    carries(histogram.len(), q).then(|| histogram.value_at_quantile(q))
}

/// A confidence interval of 95 % of the quantile `q`, between 0 and 1, both ends recorded values. `None` where the samples do not
/// carry the quantile, or are too few for an end.
pub fn ci95(histogram: &Histogram<u64>, q: f64) -> Option<[u64; 2]> {
    let count = histogram.len();
    if !carries(count, q) {
        return None;
    }
    // Half a rank lower, so that rounding cannot reach the next: value_at_quantile rounds the rank up.
    let at_rank = |rank: u64| histogram.value_at_quantile((rank as f64 - 0.5) / count as f64);
    ranks_ci95(count, q).map(|ranks| ranks.map(at_rank))
}

/// The ranks, 1 for the smallest sample, between which the true quantile `q` (between 0 and 1) lies with at least 95 %: at most 2.5 % are
/// left out on either side. `None` when `count` is too small for that.
pub fn ranks_ci95(count: u64, q: f64) -> Option<[u64; 2]> {
    assert!(q > 0.0 && q < 1.0, "the quantile {q} does not lie between 0 and 1");
    if count == 0 {
        return None;
    }
    let variance = count as f64 * q * (1.0 - q);
    let [low, high] = if variance <= VARIANCE_MAX { exact(count, q) } else { approximate(count, q) };
    // P(fewer than `low` samples lie below) <= 2.5 %, and so for more than `high`.
    (low >= 1 && high < count).then_some([low, high + 1])
}

/// The 2.5 % and the 97.5 % point of `B(count, q)`: the smallest numbers up to which at least that much lies.
///
/// Weights by the ratio of neighbours, outwards from the mode and as far as they matter, divided by their sum: nothing cancels, and
/// no gamma function is needed. About 20 standard deviations of terms.
fn exact(count: u64, q: f64) -> [u64; 2] {
    let odds = q / (1.0 - q);
    let mode = (((count + 1) as f64 * q) as u64).min(count);
    let mut weights = std::collections::VecDeque::from([1.0]);
    let (mut first, mut weight) = (mode, 1.0);
    while first > 0 && weight > NEGLIGIBLE {
        weight *= first as f64 / ((count - first + 1) as f64 * odds);
        weights.push_front(weight);
        first -= 1;
    }
    let (mut last, mut weight) = (mode, 1.0);
    while last < count && weight > NEGLIGIBLE {
        weight *= (count - last) as f64 * odds / (last + 1) as f64;
        weights.push_back(weight);
        last += 1;
    }
    let all: f64 = weights.iter().sum();
    [0.025, 0.975].map(|share| {
        let mut below = 0.0;
        let at = weights.iter().position(|weight| {
            below += weight;
            below >= share * all
        });
        first + at.map_or(weights.len() as u64 - 1, |at| at as u64)
    })
}

/// The same by the normal distribution with its first correction for skewness (Cornish, Fisher, 1938) and for continuity. Where the
/// standard deviation is above 100 it is off by one rank at most.
fn approximate(count: u64, q: f64) -> [u64; 2] {
    let (mean, deviation) = (count as f64 * q, (count as f64 * q * (1.0 - q)).sqrt());
    let skew = (1.0 - 2.0 * q) * (Z95 * Z95 - 1.0) / 6.0;
    [-Z95, Z95].map(|z| (mean + z * deviation + skew - 0.5).ceil().clamp(0.0, count as f64) as u64)
}

/// The 97.5 % point of the normal distribution.
pub(crate) const Z95: f64 = 1.959_963_984_540_054;
/// Up to here the binomial distribution is summed.
const VARIANCE_MAX: f64 = 10_000.0;
/// A weight, relative to that of the mode, behind which nothing matters.
const NEGLIGIBLE: f64 = 1e-18;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{interval, random::Random};

    #[test]
    fn a_quantile_needs_twenty_samples_beyond_it() {
        for (q, least) in [(0.5, 40), (0.9, 200), (0.99, 2_000), (0.999, 20_000), (0.9999, 200_000)] {
            assert!(carries(least, q), "{least} carry {q}");
            assert!(!carries(least - 1, q), "{} do not carry {q}", least - 1);
        }
    }

    #[test]
    fn the_sum_and_the_approximation_agree_to_a_rank_where_they_meet() {
        for (count, q) in [(40_000, 0.5), (111_111, 0.9), (1_010_101, 0.99), (100_010_001, 0.9999)] {
            let (exact, approximate) = (exact(count, q), approximate(count, q));
            assert!(
                (0..2).all(|end| exact[end].abs_diff(approximate[end]) <= 1),
                "{exact:?} {approximate:?}"
            );
        }
    }

    #[test]
    fn ranks_of_few_samples_are_those_of_the_table_and_of_too_few_are_none() {
        // The median: Conover, "Practical Nonparametric Statistics", 1999, section 3.2.
        assert_eq!(ranks_ci95(10, 0.5), Some([2, 9]));
        assert_eq!(ranks_ci95(6, 0.5), Some([1, 6]));
        assert_eq!(ranks_ci95(5, 0.5), None);
        assert_eq!(ranks_ci95(0, 0.5), None);
        assert_eq!(ranks_ci95(20, 0.05), None, "there is no lower end");
    }

    #[test]
    fn the_interval_covers_the_true_quantile_in_about_ninety_five_of_a_hundred_runs() {
        let mut random = Random::new(7);
        for (count, q) in [(100, 0.5), (2_000, 0.99)] {
            let truth = -(1.0f64 - q).ln() * 1e6;
            let mut covered = 0;
            let mut histogram = interval::histogram();
            for _ in 0..1_000 {
                histogram.reset();
                (0..count).for_each(|_| histogram.record((random.exponential() * 1e6) as u64).unwrap());
                let [low, high] = ci95(&histogram, q).unwrap();
                assert!((low..=high).contains(&value(&histogram, q).unwrap()));
                covered += u32::from(low as f64 <= truth && truth <= high as f64);
            }
            // At least 95 % by construction; below 935 lies with 2 %, and a histogram rounds to 0.1 %.
            assert!((935..=985).contains(&covered), "q {q}: {covered} of 1000");
        }
    }

    #[test]
    fn what_the_samples_do_not_carry_has_neither_value_nor_interval() {
        let mut histogram = interval::histogram();
        histogram.record_n(1_000, 1_999).unwrap();
        assert_eq!((value(&histogram, 0.99), ci95(&histogram, 0.99)), (None, None));
        histogram.record(5_000).unwrap();
        assert_eq!((value(&histogram, 0.99), ci95(&histogram, 0.99)), (Some(1_000), Some([1_000, 1_000])));
    }
}

//! How far samples lie from a law: Kolmogorov-Smirnov distances, and Anderson-Darling for exponential and uniform samples.
//!
//! A distance is a size, 0 to 1, and does not grow with the number of samples; a test's statistic does, and at a million samples it refuses
//! whatever a real machine sends. Verdicts therefore ask for [`gap_distance`]; the tests are for schedules, which are arithmetic.

use crate::schedule::Law;

/// The Kolmogorov-Smirnov distance of samples, which are sorted, from the distribution function `below`. 0 without a sample.
pub fn distance(sorted: &[f64], below: impl Fn(f64) -> f64) -> f64 {
    debug_assert!(sorted.is_sorted(), "samples are to be sorted");
    let count = sorted.len() as f64;
    let at = |(rank, sample): (usize, &f64)| {
        let expected = below(*sample);
        f64::max((rank + 1) as f64 / count - expected, expected - rank as f64 / count)
    };
    sorted.iter().enumerate().map(at).fold(0.0, f64::max)
}

/// The two-sample Kolmogorov-Smirnov distance. Both are sorted, neither is empty.
pub fn distance_between(a: &[f64], b: &[f64]) -> f64 {
    f64::max(excess(a, b), excess(b, a))
}

/// How much more of `a` than of `b` lies at or below some value, at most. Both are sorted, neither is empty.
fn excess(a: &[f64], b: &[f64]) -> f64 {
    debug_assert!(a.is_sorted() && b.is_sorted(), "samples are to be sorted");
    let (mut most, mut seen) = (0.0, 0);
    for (rank, value) in a.iter().enumerate() {
        // Of equal values the last counts them all; those before it give less.
        seen += b[seen..].partition_point(|other| other <= value);
        most = f64::max(most, (rank + 1) as f64 / a.len() as f64 - seen as f64 / b.len() as f64);
    }
    most
}

/// How far the gaps between sends lie from those that the law intended, 0 to 1: each gap is (intended, sent), in nanoseconds. `None` without
/// one.
///
/// Poisson: the two-sample Kolmogorov-Smirnov distance between the gaps as intended and as sent. Both are of the same arrivals, so the
/// noise of sampling is in both and cancels; what is left is the sender's.
///
/// Constant: the intended distribution is a step, from which a nanosecond of jitter alone would be a distance of 0.5. A gap may therefore
/// lie within `max(20 us, 5 %)` of what was intended, and the distance is the share of gaps that would have to move to lie there (a
/// distance like Lévy's, with its width given).
pub fn gap_distance(gaps: &[(u64, u64)], law: Law) -> Option<f64> {
    if gaps.is_empty() {
        return None;
    }
    let sorted = |gap: fn(&(u64, u64)) -> f64| {
        let mut values: Vec<f64> = gaps.iter().map(gap).collect();
        values.sort_unstable_by(f64::total_cmp);
        values
    };
    let sent = sorted(|(_, sent)| *sent as f64);
    Some(match law {
        Law::Poisson => distance_between(&sorted(|(intended, _)| *intended as f64), &sent),
        Law::Constant => {
            let shortest = sorted(|(intended, _)| *intended as f64 - tolerance(*intended));
            let longest = sorted(|(intended, _)| *intended as f64 + tolerance(*intended));
            f64::max(excess(&sent, &shortest), excess(&longest, &sent))
        }
    })
}

/// By how many nanoseconds a gap of a constant law may differ.
fn tolerance(intended_ns: u64) -> f64 {
    f64::max(20_000.0, 0.05 * intended_ns as f64)
}

/// The Anderson-Darling statistic A² of a sample, and how likely one as large is under the law.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AndersonDarling {
    /// The statistic, without any correction for the number of samples.
    pub statistic: f64,
    /// The law fits no better than this: for a law known in full how likely such a statistic is; where its mean was estimated the
    /// smallest level of Stephens' table that it reaches, or 1.
    pub p: f64,
}

/// Against the exponential distribution of the mean `mean`, known beforehand. Samples are sorted and not below 0; at least one. One of 0 is refused
/// for certain.
pub fn exponential(sorted: &[f64], mean: f64) -> AndersonDarling {
    let statistic = a_squared(sorted, |sample| (-(-sample / mean).exp_m1(), (-sample / mean).exp()));
    AndersonDarling { statistic, p: 1.0 - known_below(sorted.len(), statistic) }
}

/// Against the exponential distribution of whichever mean: it is estimated. Samples are sorted and above 0; at least one.
///
/// Levels are those of Stephens, "EDF statistics for goodness of fit and some comparisons", 1974, table 1.3, with its factor
/// `1 + 0.6 / n`.
pub fn exponential_of_any_mean(sorted: &[f64]) -> AndersonDarling {
    let mean = sorted.iter().sum::<f64>() / sorted.len() as f64;
    let statistic = exponential(sorted, mean).statistic;
    let corrected = statistic * (1.0 + 0.6 / sorted.len() as f64);
    let levels = [(1.957, 0.01), (1.606, 0.025), (1.341, 0.05), (1.078, 0.10), (0.922, 0.15)];
    let p = levels.into_iter().find(|(critical, _)| corrected >= *critical).map_or(1.0, |(_, level)| level);
    AndersonDarling { statistic, p }
}

/// Against the uniform distribution between two values. Samples are sorted and lie between them; at least one.
pub fn uniform(sorted: &[f64], from: f64, to: f64) -> AndersonDarling {
    let width = to - from;
    let statistic = a_squared(sorted, |sample| ((sample - from) / width, (to - sample) / width));
    AndersonDarling { statistic, p: 1.0 - known_below(sorted.len(), statistic) }
}

/// A² from how much of the law lies below a sample, and above it: told apart because one less the other loses the tail.
fn a_squared(sorted: &[f64], sides: impl Fn(f64) -> (f64, f64)) -> f64 {
    assert!(!sorted.is_empty(), "no sample");
    debug_assert!(sorted.is_sorted(), "samples are to be sorted");
    let count = sorted.len();
    let term = |rank: usize| {
        let (low, high) = (sides(sorted[rank]).0, sides(sorted[count - 1 - rank]).1);
        (2 * rank + 1) as f64 * (low.ln() + high.ln())
    };
    -(count as f64) - (0..count).map(term).sum::<f64>() / count as f64
}

/// The distribution of A² of `count` samples of a law known in full (Marsaglia, Marsaglia, "Evaluating the Anderson-Darling
/// distribution", 2004): its limit, and the correction for a finite number; better than 5e-5 from 8 samples on.
fn known_below(count: usize, statistic: f64) -> f64 {
    if statistic <= 0.0 {
        return 0.0;
    }
    // Nothing is left beyond it, and infinity has no logarithm of a logarithm.
    if statistic > 50.0 {
        return 1.0;
    }
    let z = statistic;
    let limit = if z < 2.0 {
        (-1.233_714_1 / z).exp() / z.sqrt()
            * polynomial(z, &[2.000_12, 0.247_105, -0.064_982_1, 0.034_796_2, -0.011_672, 0.001_686_91])
    } else {
        (-polynomial(z, &[1.0776, -2.30695, 0.43424, -0.082433, 0.008056, -0.0003146]).exp()).exp()
    };
    let n = count as f64;
    let middle = 0.01265 + 0.1757 / n;
    let correction = if limit > 0.8 {
        polynomial(limit, &[-130.2137, 745.2337, -1705.091, 1950.646, -1116.360, 255.7844]) / n
    } else if limit < middle {
        let t = limit / middle;
        t.sqrt() * (1.0 - t) * (49.0 * t - 102.0) * (0.0037 / (n * n) + 0.00078 / n + 0.00006) / n
    } else {
        let t = (limit - middle) / (0.8 - middle);
        polynomial(t, &[-0.00022633, 6.54034, -14.6538, 14.458, -8.259, 1.91864]) * (0.04213 + 0.01365 / n)
            / n
    };
    (limit + correction).clamp(0.0, 1.0)
}

/// By Horner's rule, the constant first.
fn polynomial(x: f64, coefficients: &[f64]) -> f64 {
    coefficients.iter().rev().fold(0.0, |sum, coefficient| sum * x + coefficient)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    /// Gaps of 100 us on average, as intended by the law, and sent later by what `lag` says of each arrival.
    fn gaps(law: Law, mut lag: impl FnMut(usize) -> f64) -> Vec<(u64, u64)> {
        let mut random = Random::new(3);
        let (mut at, mut sent_before) = (0.0, 0.0);
        let arrival = |index| {
            let gap = if law == Law::Constant { 1e5 } else { 1e5 * random.exponential() };
            at += gap;
            let sent = f64::max(at + lag(index), sent_before);
            let pair = (gap as u64, (sent - sent_before) as u64);
            sent_before = sent;
            pair
        };
        (0..1_001).map(arrival).skip(1).collect()
    }

    #[test]
    fn gaps_that_are_sent_as_intended_have_no_distance_even_where_a_sample_differs_from_its_law() {
        for law in [Law::Constant, Law::Poisson] {
            assert_eq!(gap_distance(&gaps(law, |_| 0.0), law), Some(0.0));
            assert_eq!(gap_distance(&[], law), None);
        }
    }

    #[test]
    fn jitter_is_near_and_batches_are_far() {
        for law in [Law::Constant, Law::Poisson] {
            let mut random = Random::new(5);
            let jitter = gap_distance(&gaps(law, |_| 5_000.0 * random.uniform()), law).unwrap();
            // Ten at a time: the first waits for the tenth.
            let batches = gap_distance(&gaps(law, |index| 1e5 * (9 - index % 10) as f64), law).unwrap();
            assert!(jitter < 0.05 && batches > 0.3, "{law:?}: jitter {jitter}, batches {batches}");
        }
    }

    #[test]
    fn a_constant_gap_may_differ_by_twenty_microseconds_or_a_twentieth_and_counts_beyond() {
        for (intended, within) in [(100_000, 20_000), (1_000_000, 50_000)] {
            let off =
                |by: u64| gap_distance(&[(intended, intended), (intended, intended + by)], Law::Constant);
            assert_eq!(off(within), Some(0.0));
            assert_eq!(off(within + 1), Some(0.5));
            let early =
                |by: u64| gap_distance(&[(intended, intended), (intended, intended - by)], Law::Constant);
            assert_eq!((early(within), early(within + 1)), (Some(0.0), Some(0.5)));
        }
    }

    #[test]
    fn equal_samples_have_no_distance_and_those_apart_have_all() {
        assert_eq!(distance_between(&[1.0, 1.0, 2.0], &[1.0, 1.0, 2.0]), 0.0);
        assert_eq!(distance_between(&[1.0, 2.0], &[3.0]), 1.0);
        assert_eq!(distance(&[0.5], |x| x), 0.5);
        assert_eq!(distance(&[], |x| x), 0.0);
    }

    #[test]
    fn levels_of_the_known_law_are_those_of_the_table() {
        // Stephens, 1974, table 1.0, upper percentage points of A².
        for (statistic, level) in [(1.933, 0.10), (2.492, 0.05), (3.070, 0.025), (3.857, 0.01)] {
            let p = 1.0 - known_below(1_000_000, statistic);
            assert!((p - level).abs() < 3e-4, "{statistic}: {p}");
        }
        // 1.5 million samples of eight uniform numbers; the limit would be 0.3520, 0.6427 and 0.9000.
        for (statistic, below) in [(0.6, 0.3571), (1.0, 0.6453), (1.933, 0.8986)] {
            assert!((known_below(8, statistic) - below).abs() < 8e-4, "{statistic}");
        }
        assert_eq!(known_below(10, 0.0), 0.0);
        assert_eq!(uniform(&[0.0, 0.5], 0.0, 1.0), AndersonDarling { statistic: f64::INFINITY, p: 0.0 });
    }

    #[test]
    fn a_test_refuses_the_true_law_as_often_as_its_level_says_and_a_wrong_one_mostly() {
        let mut random = Random::new(11);
        let mut refused = [0; 5];
        for _ in 0..2_000 {
            let mut gaps: Vec<f64> = (0..50).map(|_| 3.0 * random.exponential()).collect();
            let mut spread: Vec<f64> = (0..50).map(|_| 6.0 * random.uniform()).collect();
            gaps.sort_unstable_by(f64::total_cmp);
            spread.sort_unstable_by(f64::total_cmp);
            let tests = [
                exponential(&gaps, 3.0),
                exponential_of_any_mean(&gaps),
                uniform(&spread, 0.0, 6.0),
                exponential(&gaps, 5.0),
                exponential_of_any_mean(&spread),
            ];
            tests.iter().zip(&mut refused).for_each(|(test, count)| *count += u32::from(test.p <= 0.05));
        }
        assert!(refused[..3].iter().all(|count| (70..=130).contains(count)), "of 2000: {refused:?}");
        assert!(refused[3..].iter().all(|count| *count > 1_500), "of 2000: {refused:?}");
    }
}

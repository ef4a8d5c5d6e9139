//! How much one thing differs from another, and how sure that is: without the assumption that anything is normal.
//!
//! For runs in interleaved pairs (A, B, A, B): take the differences, or the logarithms of the ratios. Twenty of them are many; whatever
//! can be counted exactly is. Randomness comes from a seed, so a result can be made again.

use crate::random::Random;
use crate::trend::{median, normal_point};

/// The Hodges-Lehmann estimate: the median of the means of all pairs of differences, each with itself too. `None` without one.
///
/// As robust as a median nearly (29 % may be wild), and nearly as precise as a mean where nothing is (Hodges, Lehmann, 1963).
pub fn center(differences: &[f64]) -> Option<f64> {
    (!differences.is_empty()).then(|| median(&mut walsh(differences)))
}

/// A confidence interval of 95 % of [`center`]: [`center_ci`] with 2.5 % beyond either end. `None` for fewer than six differences.
pub fn center_ci95(differences: &[f64]) -> Option<[f64; 2]> {
    center_ci(differences, 0.025)
}

/// A confidence interval of [`center`] that leaves at most `tail` (below a half) beyond either end, by the signed ranks of Wilcoxon: exact
/// up to 50 differences, normal beyond. `None` for too few of them, which cannot be that sure: less than six for 2.5 %, less than eight
/// for 0.6 % (Hollander, Wolfe, "Nonparametric Statistical Methods", 1999, section 3.4).
pub fn center_ci(differences: &[f64], tail: f64) -> Option<[f64; 2]> {
    let outside = signed_rank_outside(differences.len(), tail)?;
    let mut means = walsh(differences);
    means.sort_unstable_by(f64::total_cmp);
    Some([means[outside], means[means.len() - 1 - outside]])
}

/// By how much `b` lies above `a` when they are no pairs: the median of all differences. `None` if either is empty.
pub fn shift(a: &[f64], b: &[f64]) -> Option<f64> {
    let mut differences: Vec<f64> = a.iter().flat_map(|a| b.iter().map(move |b| b - a)).collect();
    (!differences.is_empty()).then(|| median(&mut differences))
}

/// How likely a mean as far from 0 is when each difference could as well have had the other sign; both sides. 1 without a difference.
///
/// All signs are tried for up to 16 differences. Beyond, 100,000 of them from `seed`, of which the observed is one more (so it is never 0;
/// Phipson, Smyth, "Permutation p-values should never be zero", 2010).
pub fn sign_flip(differences: &[f64], seed: u64) -> f64 {
    let size = |sign: &dyn Fn(usize) -> bool| {
        let flipped = |(at, d): (usize, &f64)| if sign(at) { -d } else { *d };
        differences.iter().enumerate().map(flipped).sum::<f64>().abs()
    };
    // Sums of the same numbers in another order differ by rounding, and must count as equal.
    let far = size(&|_| false) - 1e-12 * differences.iter().map(|d| d.abs()).sum::<f64>();
    if differences.len() <= EXACT_SIGNS {
        let all = 1u64 << differences.len();
        let count = (0..all).filter(|signs| size(&|at| signs >> at & 1 == 1) >= far).count();
        return count as f64 / all as f64;
    }
    let mut random = Random::new(seed);
    let mut signs = vec![0u64; differences.len().div_ceil(64)];
    let mut count = 1;
    for _ in 0..FLIPS {
        signs.iter_mut().for_each(|word| *word = random.next());
        count += u32::from(size(&|at| signs[at / 64] >> (at % 64) & 1 == 1) >= far);
    }
    f64::from(count) / f64::from(FLIPS + 1)
}

/// A percentile interval of 95 % of any statistic by bootstrap: 2,000 samples of the same number, drawn with replacement (Efron,
/// Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13). Too narrow for fewer than about ten. `None` without a sample.
pub fn bootstrap_ci95<T: Copy>(
    samples: &[T],
    seed: u64,
    mut statistic: impl FnMut(&[T]) -> f64,
) -> Option<[f64; 2]> {
    if samples.is_empty() {
        return None;
    }
    let mut random = Random::new(seed);
    let mut drawn = samples.to_vec();
    let draw = |_| {
        drawn.iter_mut().for_each(|sample| *sample = samples[random.below(samples.len())]);
        statistic(&drawn)
    };
    Some(middle95((0..RESAMPLES).map(draw).collect()))
}

/// What 2.5 % of values lie below and above. Not empty.
pub(crate) fn middle95(mut values: Vec<f64>) -> [f64; 2] {
    values.sort_unstable_by(f64::total_cmp);
    let outside = (values.len() as f64 * 0.025) as usize;
    [values[outside], values[values.len() - 1 - outside]]
}

/// The means of all pairs, each value with itself too.
fn walsh(values: &[f64]) -> Vec<f64> {
    values
        .iter()
        .enumerate()
        .flat_map(|(at, a)| values[at..].iter().map(move |b| f64::midpoint(*a, *b)))
        .collect()
}

/// How many of the sorted means of pairs may be left out on either side: Wilcoxon's sum of ranks is at most that with at most `tail`.
/// `None` where even the range of all of them is not so sure.
fn signed_rank_outside(count: usize, tail: f64) -> Option<usize> {
    let sums = count * (count + 1) / 2;
    if count > EXACT_RANKS {
        let (n, sum) = (count as f64, sums as f64);
        let deviation = (n * (n + 1.0) * (2.0 * n + 1.0) / 24.0).sqrt();
        let outside = (sum / 2.0 + normal_point(tail) * deviation - 0.5).floor();
        return (outside >= 0.0).then_some(outside as usize);
    }
    // Each rank is in the sum or is not, both as likely.
    let mut likely = vec![0.0; sums + 1];
    likely[0] = 1.0;
    for rank in 1..=count {
        for sum in (0..=sums).rev() {
            let without: f64 = likely[sum];
            likely[sum] = f64::midpoint(without, if sum >= rank { likely[sum - rank] } else { 0.0 });
        }
    }
    let mut below = 0.0;
    let beyond = likely.iter().position(|likely| {
        below += likely;
        below > tail
    });
    beyond.expect("all of them are more than a tail").checked_sub(1)
}

/// Up to so many differences all signs are tried: 65,536 sums.
const EXACT_SIGNS: usize = 16;
/// Up to so many differences the distribution of the sum of ranks is counted.
const EXACT_RANKS: usize = 50;
/// Signs tried at random.
const FLIPS: u32 = 100_000;
/// Samples that a bootstrap draws.
pub(crate) const RESAMPLES: usize = 2_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_of_six_is_their_range_and_of_five_is_none() {
        assert_eq!(center_ci95(&[3.0, 1.0, 2.0, 6.0, 5.0, 4.0]), Some([1.0, 6.0]));
        assert_eq!(center_ci95(&[1.0; 5]), None);
        assert_eq!((center(&[]), shift(&[], &[1.0]), sign_flip(&[], 0)), (None, None, 1.0));
    }

    #[test]
    fn one_wild_run_moves_the_mean_and_not_the_center() {
        let calm = [1.0, 1.1, 0.9, 1.05, 0.95, 1.0, 1.02, 0.98];
        let mut wild = calm;
        wild[3] = 1_000.0;
        assert!((center(&wild).unwrap() - center(&calm).unwrap()).abs() < 0.05);
        assert_eq!(shift(&calm, &calm.map(|x| x + 0.5)), Some(0.5));
    }

    #[test]
    fn counted_and_normal_ranks_agree_where_they_meet() {
        // Wilcoxon's table, two-sided 5 %: R's qsignrank(0.025, n).
        let outside = |count| signed_rank_outside(count, 0.025);
        assert_eq!([6, 8, 10, 20, 30].map(outside), [0, 3, 8, 52, 137].map(Some));
        // 51 is by the normal distribution; counted it is 453 too.
        assert_eq!([50, 51].map(outside), [434, 453].map(Some));
        // At 0.5 % a side: R's qsignrank(0.005, n) less one where the tail is passed; seven runs are too few.
        assert_eq!(
            [7, 8, 10, 20].map(|count| signed_rank_outside(count, 0.005)),
            [None, Some(0), Some(3), Some(37)]
        );
    }

    #[test]
    fn flips_at_random_agree_with_all_flips_and_are_the_same_again() {
        let seventeen: Vec<f64> = (0..17).map(|k| f64::from(k * 7 % 17) - 5.0).collect();
        let p = sign_flip(&seventeen, 1);
        assert_eq!(p, sign_flip(&seventeen, 1));
        let size: f64 = seventeen.iter().sum::<f64>().abs();
        let as_far = |signs: &u32| {
            let sum: f64 =
                (0..17).map(|at| if signs >> at & 1 == 1 { -seventeen[at] } else { seventeen[at] }).sum();
            sum.abs() >= size
        };
        let exact = (0..1u32 << 17).filter(as_far).count() as f64 / f64::from(1u32 << 17);
        assert!((p - exact).abs() < 4.0 * (exact * (1.0 - exact) / 1e5).sqrt(), "{p} is not {exact}");
        assert!(sign_flip(&[1.0; 40], 1) <= 2e-5);
    }

    #[test]
    fn the_interval_covers_the_center_in_about_ninety_five_of_a_hundred_experiments() {
        let mut random = Random::new(2);
        // Symmetric about 1 with heavy tails: a difference of two exponentials.
        let mut ranks = 0;
        let mut bootstrap = 0;
        for seed in 0..400 {
            let runs: Vec<f64> = (0..20).map(|_| 1.0 + random.exponential() - random.exponential()).collect();
            let covers = |[low, high]: [f64; 2]| u32::from(low <= 1.0 && 1.0 <= high);
            ranks += covers(center_ci95(&runs).unwrap());
            if seed < 100 {
                bootstrap += covers(bootstrap_ci95(&runs, seed, |runs| center(runs).unwrap()).unwrap());
            }
        }
        assert!((366..=396).contains(&ranks), "{ranks} of 400");
        assert!((86..=100).contains(&bootstrap), "{bootstrap} of 100");
    }
}

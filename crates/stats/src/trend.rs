//! Whether a series drifts, and how much: Mann-Kendall and Theil-Sen.
//!
//! Only the order of values counts, so one outlier cannot make a trend. Ten windows of a run are the usual input. Ask for both: `p`
//! says whether there is a drift, [`Trend::relative`] whether it matters.

/// What is known of the drift of a series.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Trend {
    /// Pairs that rise less pairs that fall (Mann, 1945; Kendall, "Rank Correlation Methods", 1975).
    pub s: i64,
    /// Variance of `s` when there is no trend, less what ties take from it.
    pub variance: f64,
    /// `s` by its standard deviation, one nearer to 0 for continuity; 0 where all values are the same.
    pub z: f64,
    /// How likely an `s` as far from 0 is without a trend, both sides: exact for up to ten values without ties, by `z` for others.
    pub p: f64,
    /// Median of the slopes of all pairs, in units of a value per step (Sen, 1968).
    pub slope: f64,
    /// The drift over the whole series by the slope, relative to its median; 0 where that is 0.
    pub relative: f64,
}

impl Trend {
    /// Of values at equal distances in time, in order, each a number. `None` for fewer than three.
    pub fn of(values: &[f64]) -> Option<Trend> {
        let count = values.len();
        if count < 3 {
            return None;
        }
        let mut s = 0i64;
        let mut slopes = Vec::with_capacity(count * (count - 1) / 2);
        for (early, a) in values.iter().enumerate() {
            for (steps, b) in values[early..].iter().enumerate().skip(1) {
                s += i64::from(b > a) - i64::from(b < a);
                slopes.push((b - a) / steps as f64);
            }
        }
        let ties = ties(values);
        let scatter = |n: usize| (n * (n - 1) * (2 * n + 5)) as f64;
        let variance = (scatter(count) - ties.iter().map(|n| scatter(*n)).sum::<f64>()) / 18.0;
        let z = if s == 0 { 0.0 } else { (s - s.signum()) as f64 / variance.sqrt() };
        let p = if ties.is_empty() && count <= EXACT_MAX {
            exact(s, count)
        } else {
            (2.0 * below(-z.abs())).min(1.0)
        };
        let slope = median(&mut slopes);
        let middle = median(&mut values.to_vec());
        let relative = if middle == 0.0 { 0.0 } else { slope * (count - 1) as f64 / middle.abs() };
        Some(Trend { s, variance, z, p, slope, relative })
    }
}

/// Sizes of the groups of equal values.
fn ties(values: &[f64]) -> Vec<usize> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.chunk_by(|a, b| a == b).map(<[f64]>::len).filter(|n| *n > 1).collect()
}

/// Both tails of `s` when each order of `count` different values is as likely as any other. Orders are counted by their inversions:
/// the `n`-th value may stand in front of 0 to `n - 1` of those before it.
fn exact(s: i64, count: usize) -> f64 {
    let pairs = count * (count - 1) / 2;
    let mut orders = vec![0u64; pairs + 1];
    orders[0] = 1;
    for n in 2..=count {
        for inversions in (0..=pairs).rev() {
            orders[inversions] = orders[inversions.saturating_sub(n - 1)..=inversions].iter().sum();
        }
    }
    // s = pairs - 2 * inversions, and the distribution is symmetric.
    let tail = (pairs - s.unsigned_abs() as usize) / 2;
    let (far, all) = (orders[..=tail].iter().sum::<u64>(), orders.iter().sum::<u64>());
    (2.0 * far as f64 / all as f64).min(1.0)
}

/// The middle value; the mean of both when there are two. Sorts. At least one value.
pub(crate) fn median(values: &mut [f64]) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    let half = values.len() / 2;
    if values.len() % 2 == 1 { values[half] } else { f64::midpoint(values[half - 1], values[half]) }
}

/// The standard normal distribution: how much lies below `z`. By its series in the middle and its continued fraction in the tails
/// (Marsaglia, "Evaluating the normal distribution", 2004).
pub(crate) fn below(z: f64) -> f64 {
    let x = z.abs();
    let density = (-x * x / 2.0).exp() / std::f64::consts::TAU.sqrt();
    let tail = if x < 3.0 {
        let (mut term, mut sum, mut odd) = (x, x, 3.0);
        while term > sum * 1e-17 {
            term *= x * x / odd;
            sum += term;
            odd += 2.0;
        }
        0.5 - density * sum
    } else {
        density / (1..=100).rev().fold(x, |fraction, k| x + f64::from(k) / fraction)
    };
    if z < 0.0 { tail } else { 1.0 - tail }
}

/// The value below which `share` of the standard normal distribution lies; `share` is above 0 and below 1. By halving.
pub(crate) fn normal_point(share: f64) -> f64 {
    assert!(share > 0.0 && share < 1.0, "{share} of a distribution");
    let [mut low, mut high] = [-40.0, 40.0];
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        if below(middle) < share { low = middle } else { high = middle }
    }
    high
}

/// Up to so many values all orders are counted: 10! fits easily, and the approximation is good from there on (Kendall, 1975).
const EXACT_MAX: usize = 10;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quantile::Z95;

    #[test]
    fn ten_rising_windows_are_a_trend_and_one_that_stands_out_is_none() {
        let rising: Vec<f64> = (0..10).map(|k| 100.0 + f64::from(k)).collect();
        let trend = Trend::of(&rising).unwrap();
        assert_eq!((trend.s, trend.slope), (45, 1.0));
        assert!((trend.p - 2.0 / 3_628_800.0).abs() < 1e-15, "one order of 10! each way, {}", trend.p);
        assert!((trend.relative - 9.0 / 104.5).abs() < 1e-12);
        let mut outlier = [5.0, 3.0, 4.0, 6.0, 2.0, 5.5, 3.5, 4.5, 2.5, 400.0];
        assert!(Trend::of(&outlier).unwrap().p > 0.5);
        outlier.reverse();
        assert!(Trend::of(&outlier).unwrap().slope.abs() < 0.5);
    }

    #[test]
    fn equal_values_have_no_trend_and_two_are_too_few() {
        let flat = Trend::of(&[7.0; 10]).unwrap();
        assert_eq!(
            (flat.s, flat.variance, flat.z, flat.p, flat.slope, flat.relative),
            (0, 0.0, 0.0, 1.0, 0.0, 0.0)
        );
        assert_eq!(Trend::of(&[1.0, 2.0]), None);
        assert_eq!(Trend::of(&[0.0, 0.0, 0.0]).unwrap().relative, 0.0);
    }

    #[test]
    fn the_normal_distribution_is_smooth_where_its_two_forms_meet() {
        assert!((below(Z95) - 0.975).abs() < 1e-15);
        assert!((below(-Z95) - 0.025).abs() < 1e-15);
        assert!((normal_point(0.025) + Z95).abs() < 1e-12 && normal_point(0.5).abs() < 1e-12);
        let (series, fraction) = (below(-2.999_999_999), below(-3.000_000_001));
        assert!((series / fraction - 1.0).abs() < 1e-7 && series > fraction);
        assert!((below(-3.0) / 0.001_349_898_031_630_094_6 - 1.0).abs() < 1e-13);
    }
}

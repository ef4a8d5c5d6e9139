//! What this crate says of samples is what scipy says of them: `data/vectors.json`, written by `vectors.py` beside this file.

use serde::Deserialize;
use stats::{fit, isotonic, paired, quantile, trend::Trend};

#[derive(Deserialize)]
struct Vectors {
    ranks: Vec<Ranks>,
    trends: Vec<Series>,
    distances: Vec<Distances>,
    anderson: Vec<Anderson>,
    isotonic: Vec<Isotonic>,
    paired: Vec<Paired>,
}

#[derive(Deserialize)]
struct Ranks {
    count: u64,
    q: f64,
    ranks: Option<[u64; 2]>,
}

#[derive(Deserialize)]
struct Series {
    values: Vec<f64>,
    s: i64,
    variance: f64,
    z: f64,
    p: f64,
    slope: f64,
}

#[derive(Deserialize)]
struct Distances {
    a: Vec<f64>,
    b: Vec<f64>,
    between: f64,
    exponential_mean_2: f64,
}

#[derive(Deserialize)]
struct Anderson {
    values: Vec<f64>,
    any_mean: f64,
    any_mean_p: f64,
    mean_3: f64,
    uniform_0_to_50: f64,
}

#[derive(Deserialize)]
struct Isotonic {
    values: Vec<f64>,
    weights: Vec<f64>,
    fitted: Vec<f64>,
}

#[derive(Deserialize)]
struct Paired {
    values: Vec<f64>,
    other: Vec<f64>,
    center: f64,
    ci95: Option<[f64; 2]>,
    sign_flip: Option<f64>,
    shift: f64,
}

fn vectors() -> Vectors {
    serde_json::from_str(include_str!("data/vectors.json")).expect("vectors.py wrote it")
}

#[track_caller]
fn same(seen: f64, expected: f64) {
    let near = (seen - expected).abs() <= 1e-9 * expected.abs().max(1e-3);
    assert!(near, "{seen} is not {expected}");
}

#[test]
fn ranks_about_a_quantile_are_those_of_the_binomial_distribution_summed_or_approximated() {
    for Ranks { count, q, ranks } in vectors().ranks {
        assert_eq!(quantile::ranks_ci95(count, q), ranks, "{count} samples, {q}");
    }
}

#[test]
fn trends_are_those_of_pymannkendall_and_exact_ones_those_of_kendalltau() {
    for Series { values, s, variance, z, p, slope } in vectors().trends {
        let trend = Trend::of(&values).unwrap();
        assert_eq!(trend.s, s);
        same(trend.variance, variance);
        same(trend.z, z);
        same(trend.slope, slope);
        same(trend.p, p);
    }
}

#[test]
fn distances_are_those_of_kstest_and_ks_2samp() {
    for Distances { a, b, between, exponential_mean_2 } in vectors().distances {
        same(fit::distance_between(&a, &b), between);
        same(fit::distance_between(&b, &a), between);
        same(fit::distance(&a, |x| 1.0 - (-x / 2.0).exp()), exponential_mean_2);
    }
}

#[test]
fn anderson_darling_statistics_are_those_of_scipy() {
    for Anderson { values, any_mean, any_mean_p, mean_3, uniform_0_to_50 } in vectors().anderson {
        let test = fit::exponential_of_any_mean(&values);
        same(test.statistic, any_mean);
        // A level of the table, and scipy's between it and the next.
        let next = [0.01, 0.025, 0.05, 0.10, 0.15].into_iter().rfind(|level| *level < test.p).unwrap_or(0.0);
        assert!(next <= any_mean_p && any_mean_p <= test.p, "{} is not {any_mean_p}", test.p);
        same(fit::exponential(&values, 3.0).statistic, mean_3);
        same(fit::uniform(&values, 0.0, 50.0).statistic, uniform_0_to_50);
    }
}

#[test]
fn isotonic_curves_are_those_of_isotonic_regression() {
    for Isotonic { values, weights, fitted } in vectors().isotonic {
        let points: Vec<(f64, f64)> = values.into_iter().zip(weights).collect();
        let seen = isotonic::rising(&points);
        assert_eq!(seen.len(), fitted.len());
        seen.into_iter().zip(fitted).for_each(|(seen, expected)| same(seen, expected));
    }
}

#[test]
fn centers_intervals_and_flips_are_those_that_counting_and_wilcoxon_give() {
    for Paired { values, other, center, ci95, sign_flip, shift } in vectors().paired {
        same(paired::center(&values).unwrap(), center);
        same(paired::shift(&values, &other).unwrap(), shift);
        let seen = paired::center_ci95(&values);
        assert_eq!(seen.is_some(), ci95.is_some(), "{} differences", values.len());
        for (seen, expected) in seen.into_iter().flatten().zip(ci95.into_iter().flatten()) {
            same(seen, expected);
        }
        if let Some(p) = sign_flip {
            same(paired::sign_flip(&values, 0), p);
        }
    }
}

//! A schedule keeps its law, whatever its rates, its seed and the number of its shares.

use stats::fit;
use stats::random::Random;
use stats::schedule::{Arrivals, Law, Share, Stretch};

const SECOND: u64 = 1_000_000_000;
const WHOLE: Share = Share { index: 0, of: 1 };

fn stretch(from_per_s: f64, to_per_s: f64, ns: u64) -> Stretch {
    Stretch { from_per_s, to_per_s, ns }
}

/// A load of up to five stretches, some of rate 0, some that rise or fall, of about a thousand arrivals each.
fn any(law: Law, seed: u64) -> Arrivals {
    let mut random = Random::new(seed);
    let rate = |random: &mut Random| match random.below(4) {
        0 => 0.0,
        _ => 2_000.0 * random.uniform(),
    };
    let stretches = (0..1 + random.below(5))
        .map(|_| {
            let from = rate(&mut random);
            let to = if random.below(2) == 0 { from } else { rate(&mut random) };
            stretch(from, to, 1 + random.next() % SECOND)
        })
        .collect();
    Arrivals { law, stretches, seed }
}

/// All shares, in order of time.
fn union(arrivals: &Arrivals, of: u32) -> Vec<u64> {
    let mut times: Vec<u64> = (0..of).flat_map(|index| arrivals.share(Share { index, of })).collect();
    times.sort_unstable();
    times
}

fn gaps(times: &[u64]) -> Vec<f64> {
    let mut gaps: Vec<f64> = times.windows(2).map(|pair| (pair[1] - pair[0]) as f64).collect();
    gaps.sort_unstable_by(f64::total_cmp);
    gaps
}

/// A seed in an old result must give its old load.
#[test]
fn a_seed_gives_the_times_that_it_always_gave() {
    let arrivals = Arrivals::steady(Law::Poisson, 1_000.0, SECOND, 42);
    let first = |share: Share| arrivals.share(share).take(5).collect::<Vec<_>>();
    assert_eq!(first(WHOLE), [1_645_298, 2_694_892, 4_741_618, 5_472_320, 6_848_183]);
    assert_eq!(first(Share { index: 1, of: 4 }), [4_377_705, 8_996_932, 21_869_532, 22_737_799, 27_283_434]);
    assert_eq!(arrivals.share(WHOLE).count(), 1_026);
}

#[test]
fn times_never_fall_and_lie_within_the_load() {
    for seed in 0..200 {
        for law in [Law::Constant, Law::Poisson] {
            let arrivals = any(law, seed);
            for share in [WHOLE, Share { index: 2, of: 3 }] {
                let times: Vec<u64> = arrivals.share(share).collect();
                assert!(times.is_sorted(), "{arrivals:?}");
                assert!(times.last().is_none_or(|last| *last <= arrivals.ns()), "{arrivals:?}");
            }
        }
    }
}

#[test]
fn nothing_arrives_while_the_rate_is_zero() {
    for law in [Law::Constant, Law::Poisson] {
        let stretches = vec![
            stretch(0.0, 0.0, SECOND),
            stretch(500.0, 500.0, SECOND),
            stretch(0.0, 0.0, SECOND),
            stretch(900.0, 900.0, SECOND),
            stretch(0.0, 0.0, SECOND),
        ];
        let times: Vec<u64> = Arrivals { law, stretches, seed: 4 }.share(WHOLE).collect();
        let seconds: Vec<usize> =
            (0..5).map(|s| times.iter().filter(|ns| **ns / SECOND == s).count()).collect();
        assert_eq!([seconds[0], seconds[2], seconds[4]], [0, 0, 0], "{law:?}: {seconds:?}");
        assert!(seconds[1].abs_diff(500) < 100 && seconds[3].abs_diff(900) < 130, "{law:?}: {seconds:?}");
    }
    assert_eq!(Arrivals::steady(Law::Poisson, 0.0, SECOND, 1).share(WHOLE).next(), None);
    assert_eq!(Arrivals { law: Law::Constant, stretches: vec![], seed: 1 }.share(WHOLE).next(), None);
}

#[test]
fn a_constant_load_has_as_many_arrivals_up_to_any_time_as_are_expected_to_within_one() {
    for seed in 0..200 {
        let arrivals = any(Law::Constant, seed);
        let times: Vec<u64> = arrivals.share(WHOLE).collect();
        for tenth in 1..=10 {
            let until = arrivals.ns() * tenth / 10;
            let count = times.partition_point(|ns| *ns < until) as f64;
            let expected = arrivals.expected(0, until);
            assert!(
                (count - expected).abs() <= 1.0 + 1e-6,
                "{count} is not {expected} at {until} of {arrivals:?}"
            );
        }
    }
}

#[test]
fn a_poisson_load_has_as_many_in_each_stretch_as_are_expected_to_within_its_scatter() {
    let (mut squares, mut stretches) = (0.0, 0u32);
    for seed in 0..300 {
        let arrivals = any(Law::Poisson, seed);
        let times: Vec<u64> = arrivals.share(WHOLE).collect();
        let mut begin = 0;
        for ns in arrivals.stretches.iter().map(|stretch| stretch.ns) {
            let expected = arrivals.expected(begin, begin + ns);
            let count = times.iter().filter(|at| (begin..begin + ns).contains(at)).count() as f64;
            if expected > 10.0 {
                squares += (count - expected).powi(2) / expected;
                stretches += 1;
            }
            begin += ns;
        }
    }
    // The variance of a Poisson count is its mean; of chi-squared / n it is 2 / n.
    let off = (squares / f64::from(stretches) - 1.0) / (2.0 / f64::from(stretches)).sqrt();
    assert!(stretches > 300 && off.abs() < 4.0, "{off} standard deviations over {stretches} stretches");
}

#[test]
fn a_ramp_has_its_share_in_each_tenth() {
    for (from, to) in [(0.0, 20_000.0), (20_000.0, 0.0), (5_000.0, 15_000.0), (10_000.0, 10_000.000_001)] {
        for law in [Law::Constant, Law::Poisson] {
            let arrivals = Arrivals { law, stretches: vec![stretch(from, to, 10 * SECOND)], seed: 8 };
            let times: Vec<u64> = arrivals.share(WHOLE).collect();
            for tenth in 0..10 {
                let count = times.iter().filter(|ns| **ns / SECOND == tenth).count() as f64;
                let expected = from + (to - from) * (tenth as f64 + 0.5) / 10.0;
                let scatter = if law == Law::Constant { 1.0 } else { 4.0 * expected.sqrt() };
                assert!((count - expected).abs() <= scatter, "{law:?} {from}..{to}, tenth {tenth}: {count}");
            }
        }
    }
}

#[test]
fn a_step_takes_effect_at_its_time() {
    let stretches = vec![stretch(1_000.0, 1_000.0, SECOND), stretch(4_000.0, 4_000.0, SECOND)];
    let times: Vec<u64> = Arrivals { law: Law::Constant, stretches, seed: 0 }.share(WHOLE).collect();
    assert_eq!(times[998..1_003], [998_000_000, 999_000_000, SECOND, 1_000_250_000, 1_000_500_000]);
    assert_eq!(times.len(), 5_000);
}

#[test]
fn constant_times_are_whole_nanoseconds_where_the_gap_is() {
    for (per_s, gap) in [(10_000.0, 100_000), (64_000.0, 15_625), (200_000.0, 5_000), (1e6, 1_000)] {
        let mut times = Arrivals::steady(Law::Constant, per_s, 10 * SECOND, 0).share(WHOLE).enumerate();
        let off = times.find(|(k, ns)| *ns != *k as u64 * gap);
        assert_eq!(off, None, "at {per_s}/s");
    }
}

#[test]
fn poisson_gaps_are_exponential_and_know_nothing_of_each_other() {
    let count = 100_000.0;
    let arrivals = Arrivals::steady(Law::Poisson, 1e5, SECOND, 3);
    let times: Vec<u64> = arrivals.share(WHOLE).collect();
    let sorted = gaps(&times);
    let mean = sorted.iter().sum::<f64>() / sorted.len() as f64;
    let variance = sorted.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / sorted.len() as f64;
    assert!((mean / 1e4 - 1.0).abs() < 4.0 / f64::sqrt(count), "mean {mean}");
    assert!((variance / 1e8 - 1.0).abs() < 4.0 * f64::sqrt(8.0 / count), "variance {variance}");
    // 1.63 / sqrt(n) is the 1 % point of Kolmogorov's distribution.
    let distance = fit::distance(&sorted, |gap| -(-gap / 1e4).exp_m1());
    assert!(distance < 1.63 / f64::sqrt(count), "distance {distance}");
    let next: Vec<f64> =
        times.windows(3).map(|t| ((t[1] - t[0]) as f64 - 1e4) * ((t[2] - t[1]) as f64 - 1e4)).collect();
    let correlation = next.iter().sum::<f64>() / next.len() as f64 / variance;
    assert!(correlation.abs() < 4.0 / f64::sqrt(count), "correlation {correlation}");
}

#[test]
fn anderson_and_darling_accept_poisson_schedules_of_most_seeds() {
    let refused = (0..400).filter(|seed| {
        let arrivals = Arrivals::steady(Law::Poisson, 1e3, SECOND, *seed);
        let gaps = gaps(&arrivals.share(WHOLE).collect::<Vec<_>>());
        fit::exponential(&gaps, 1e6).p < 0.05
    });
    let refused = refused.count();
    assert!((8..40).contains(&refused), "{refused} of 400");
}

#[test]
fn shares_of_a_poisson_load_are_together_poisson_of_the_whole_rate() {
    for of in [2, 3, 16] {
        let arrivals = Arrivals::steady(Law::Poisson, 1e5, SECOND, 77);
        let times = union(&arrivals, of);
        let sorted = gaps(&times);
        let limit = 1.63 / (sorted.len() as f64).sqrt();
        let distance = fit::distance(&sorted, |gap| -(-gap / 1e4).exp_m1());
        assert!(distance < limit, "{of} shares: distance {distance}");
        assert!(
            (times.len() as f64 - 1e5).abs() < 4.0 * f64::sqrt(1e5),
            "{of} shares: {} arrivals",
            times.len()
        );
        // Each share alone has its part, and none is another's copy.
        for index in 0..of {
            let share: Vec<u64> = arrivals.share(Share { index, of }).collect();
            let expected = 1e5 / f64::from(of);
            assert!((share.len() as f64 - expected).abs() < 4.0 * expected.sqrt());
            let next = arrivals.share(Share { index: (index + 1) % of, of }).take(5).collect::<Vec<_>>();
            assert_ne!(share[..5], next);
        }
    }
}

#[test]
fn shares_of_a_constant_load_join_to_the_whole_whatever_the_rates() {
    for seed in 0..100 {
        let arrivals = any(Law::Constant, seed);
        let whole: Vec<u64> = arrivals.share(WHOLE).collect();
        for of in [2, 7] {
            assert_eq!(union(&arrivals, of), whole, "{of} shares of {arrivals:?}");
        }
    }
}

#[test]
fn other_seeds_and_other_shares_give_other_times() {
    let first = |seed, share| Arrivals::steady(Law::Poisson, 1e3, SECOND, seed).share(share).next();
    let mut seen: Vec<Option<u64>> = (0..100)
        .flat_map(|seed| (0..8).map(move |index| (seed, Share { index, of: 8 })))
        .map(|(seed, share)| first(seed, share))
        .collect();
    seen.sort_unstable();
    seen.dedup();
    // 800 draws from some ten million nanoseconds: hardly two are the same.
    assert!(seen.len() > 795, "{} of 800 differ", seen.len());
}

//! When an experiment looks at what it has so far, and what it costs to look so often.
//!
//! Who looks after every block and stops at the first p below 5 % calls one of four equal pairs different. Here the looks are few, named
//! before the run, and each is held to a stricter bound, so that all of them together are wrong with 5 % (Pocock, "Group sequential
//! methods in the design and analysis of clinical trials", 1977). Pure arithmetic: knows of blocks, not of what is in them.

use crate::trend::{below, normal_point};

/// Blocks after which an experiment may end, each some 1.4 times those before it: about as much is learned between any two.
pub const BLOCKS: [u64; 7] = [8, 12, 17, 24, 34, 48, 64];

/// A look claims a difference where it is that many standard errors from 0. [`chance`] of it over [`BLOCKS`] is 5 %.
pub const Z: f64 = 2.509;

/// The looks of an experiment of at most `blocks_max` blocks: those of [`BLOCKS`] below it, and one at its end.
pub fn planned(blocks_max: u64) -> Vec<u64> {
    BLOCKS.into_iter().filter(|blocks| *blocks < blocks_max).chain([blocks_max]).collect()
}

/// What may lie beyond either end of an interval at the level of a look.
pub fn tail(z: f64) -> f64 {
    below(-z)
}

/// How likely it is that any of `looks` is at least `z` standard errors from 0, on either side, where nothing differs.
///
/// The sum over blocks is a random walk, and a look sees it at its number of blocks: the density of those that no look has stopped is
/// carried from look to look by Simpson's rule (Armitage, McPherson, Rowe, "Repeated significance tests on accumulating data", 1969).
pub fn chance(z: f64, looks: &[u64]) -> f64 {
    if z <= 0.0 {
        return 1.0;
    }
    let step = 2.0 * z / STEPS as f64;
    let grid: Vec<[f64; 2]> = (0..=STEPS)
        .map(|at| {
            let weight = if at == 0 || at == STEPS { 1.0 } else { 2.0 + 2.0 * (at % 2) as f64 };
            [at as f64 * step - z, weight * step / 3.0]
        })
        .collect();
    let mut going: Vec<f64> = grid.iter().map(|[at, _]| density(*at)).collect();
    let mut stopped = 2.0 * below(-z);
    for pair in looks.windows(2) {
        // Of a look's standing, `kept` is that of the look before it, and the rest is new.
        let share = pair[0] as f64 / pair[1] as f64;
        let (kept, new) = (share.sqrt(), (1.0 - share).sqrt());
        let mass: Vec<[f64; 2]> =
            grid.iter().zip(&going).map(|([at, weight], going)| [at * kept, weight * going]).collect();
        stopped += mass
            .iter()
            .map(|[at, mass]| mass * (below((at - z) / new) + below((-at - z) / new)))
            .sum::<f64>();
        going = grid
            .iter()
            .map(|[to, _]| mass.iter().map(|[at, mass]| mass * density((to - at) / new)).sum::<f64>() / new)
            .collect();
    }
    stopped.min(1.0)
}

/// A `p` of both sides as seen at one of `looks`, with what the others add to it: the chance that any of them shows as much.
pub fn adjusted(p: f64, looks: &[u64]) -> f64 {
    if p >= 1.0 { 1.0 } else { chance(-normal_point(p / 2.0), looks) }
}

fn density(z: f64) -> f64 {
    (-z * z / 2.0).exp() / std::f64::consts::TAU.sqrt()
}

/// Steps of the grid between the bounds, an even number: fine against the narrowest new part of a look, 0.5.
const STEPS: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quantile::Z95;

    #[test]
    fn seven_looks_at_the_bound_are_wrong_in_five_of_a_hundred() {
        let all = chance(Z, &BLOCKS);
        assert!((0.0495..=0.0505).contains(&all), "{all}");
        // One look has nothing to pay for, and seven at the usual bound are wrong far too often.
        assert!((chance(Z95, &[64]) - 0.05).abs() < 1e-9);
        assert!(chance(Z95, &BLOCKS) > 0.15);
    }

    #[test]
    fn equal_looks_have_the_bound_of_the_table() {
        // Pocock's constants for 2 and 5 equal looks at 5 % (Jennison, Turnbull, 2000, table 2.1).
        for (z, looks) in [(2.178, &[1, 2][..]), (2.413, &[1, 2, 3, 4, 5])] {
            assert!((chance(z, looks) - 0.05).abs() < 1e-4, "{z}: {}", chance(z, looks));
        }
    }

    #[test]
    fn a_p_grows_by_the_looks_and_never_beyond_all_of_them() {
        for p in [1e-9, 1e-5, 0.001, 0.0121, 0.2, 0.999] {
            let all = adjusted(p, &BLOCKS);
            assert!(all >= p * 0.999_999 && all <= 7.0 * p, "{p}: {all}");
        }
        assert_eq!((adjusted(1.0, &BLOCKS), chance(0.0, &BLOCKS)), (1.0, 1.0));
    }

    #[test]
    fn the_last_look_is_at_the_end_of_the_budget() {
        assert_eq!(planned(64), BLOCKS);
        assert_eq!(planned(20), [8, 12, 17, 20]);
        assert_eq!(planned(8), [8]);
        assert_eq!(planned(3), [3]);
    }
}

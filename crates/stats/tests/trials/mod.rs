//! Made-up experiments whose truth is known: runs of a machine that changes its speed slowly, with an effect or without.
//!
//! The logarithms of runs are an autoregressive series of order one: what is left of a run's deviation in the next is `PHI`, as was
//! measured on a shared machine of two cores. The same seed gives the same experiment.
#![allow(dead_code, unreachable_pub, reason = "who includes it uses a part")]

use stats::experiment::{Arm, Better, Declaration, Ended, Experiment, Origin, Run, ends};
use stats::random::Random;

/// What is left of a run's deviation in the run after it.
pub const PHI: f64 = 0.57;
/// Standard deviation of the runs' logarithms.
pub const DEVIATION: f64 = 0.03;

/// Deviations of `count` runs from their mean, from the first on as of a machine that has run for ever.
pub fn trace(seed: u64, count: usize) -> Vec<f64> {
    let mut random = Random::new(seed);
    let mut normal = move || {
        let (radius, turn) = ((2.0 * random.exponential()).sqrt(), std::f64::consts::TAU * random.uniform());
        radius * turn.cos()
    };
    let mut at = DEVIATION * normal();
    (0..count)
        .map(|_| {
            let now = at;
            at = PHI * at + DEVIATION * (1.0 - PHI * PHI).sqrt() * normal();
            now
        })
        .collect()
}

/// One whole experiment as it would be run: block by block, until it may end. `slowdown` is what B adds to the metric, a share.
pub fn experiment(seed: u64, slowdown: f64) -> Experiment {
    let mut declaration = Declaration::new("", "knob=1", "cpu_ns_per_request", Better::Lower, seed);
    declaration.workload = format!("made-up runs, seed {seed}");
    let trace = trace(seed, 3 * declaration.blocks_max as usize);
    let mut arms: Vec<Arm> = declaration
        .arms
        .iter()
        .map(|arm| Arm { name: arm.name.clone(), spec: arm.spec.clone(), runs: Vec::new() })
        .collect();
    let mut order = 0;
    let ended = (1..).find_map(|block| {
        for at in declaration.order(block) {
            let effect = if at == 2 { 1.0 + slowdown } else { 1.0 };
            let value = 4_200.0 * trace[order].exp() * effect;
            order += 1;
            let mut run = Run { order: order as u64, block, ..Run::default() };
            run.put("cpu_ns_per_request", value);
            run.put("p50_ns", value * 20.0);
            run.put("p90_ns", value * 30.0 * if at == 2 { 1.02 } else { 1.0 });
            run.put("p99_ns", value * 90.0);
            arms[at].runs.push(run);
        }
        ends(&declaration, &arms)
    });
    let origin = Origin { version: "0.1.0".to_owned(), began_unix_s: 1_790_000_000, ..Origin::default() };
    Experiment::of(declaration, arms, ended.unwrap_or(Ended::Budget), origin)
}

/// Whether ten runs of A and then ten of B, which is the same, are called different by a t-test at 5 %.
pub fn ten_then_ten_differ(trace: &[f64]) -> bool {
    /// The 97.5 % point of Student's distribution with 18 degrees of freedom.
    const T18: f64 = 2.100_922;
    let (a, b) = (&trace[..10], &trace[10..20]);
    let mean = |runs: &[f64]| runs.iter().sum::<f64>() / 10.0;
    let squares = |runs: &[f64]| runs.iter().map(|run| (run - mean(runs)).powi(2)).sum::<f64>();
    let error = ((squares(a) + squares(b)) / 18.0 * 0.2).sqrt();
    ((mean(b) - mean(a)) / error).abs() > T18
}

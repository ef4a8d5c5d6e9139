//! Whole experiments on made-up runs whose truth is known: how often they are wrong, how much they see, and that a file gives the same
//! numbers again. Seeds are fixed, so nothing here can come out otherwise on another day; `examples/trust.rs` has a thousand of each.

mod trials;

use stats::experiment::{Ended, Experiment, Verdict};
use trials::{experiment, ten_then_ten_differ, trace};

#[test]
fn equal_arms_are_called_different_seldom_and_by_ten_then_ten_often() {
    let (mut claims, mut naive) = (0, 0);
    for seed in 0..60 {
        claims += u32::from(matches!(experiment(seed, 0.0).verdict, Verdict::Better | Verdict::Worse));
        naive += u32::from(ten_then_ten_differ(&trace(seed, 20)));
    }
    assert!(claims <= 4 && naive >= 12, "{claims} and {naive} of 60");
}

#[test]
fn five_percent_slower_is_found_and_found_early() {
    let made: Vec<Experiment> = (0..30).map(|seed| experiment(seed, 0.05)).collect();
    let found = made.iter().filter(|made| made.verdict == Verdict::Worse).count();
    assert!(found >= 24, "{found} of 30");
    let early = made.iter().filter(|made| made.ended == Ended::Decided && made.blocks <= 24).count();
    assert!(early >= 24, "{early} of 30");
}

#[test]
fn a_trace_has_the_deviation_and_the_autocorrelation_that_it_is_said_to_have() {
    let trace = trace(1, 40_000);
    let squares = |lag: usize| trace.iter().zip(&trace[lag..]).map(|(a, b)| a * b).sum::<f64>();
    let (variance, kept) = (squares(0) / trace.len() as f64, squares(1) / squares(0));
    assert!((variance.sqrt() / trials::DEVIATION - 1.0).abs() < 0.03, "{}", variance.sqrt());
    assert!((kept - trials::PHI).abs() < 0.02, "{kept}");
}

#[test]
fn an_experiment_from_a_file_is_the_same_to_the_last_digit() {
    for seed in 0..5 {
        let made = experiment(seed, 0.02);
        let file = serde_json::to_string(&made).expect("numbers under names are JSON");
        let read: Experiment = serde_json::from_str(&file).expect("it is read back");
        assert_eq!(read.again(), made, "seed {seed}");
        assert_eq!(read.declaration.sha256(), made.declaration_sha256);
    }
}

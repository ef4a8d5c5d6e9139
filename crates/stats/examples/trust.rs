//! How often an experiment is wrong, and how much it sees, on made-up runs whose truth is known:
//! `cargo run --release -p ringmill-stats --example trust [EXPERIMENTS] [DIRECTORY]`.
//!
//! 1,000 experiments without a difference, judged as `ringmill-lab ab` judges them and as "ten runs of A, then ten of B" with a t-test
//! does; and 1,000 in which B is 5 % slower. The directory gets a page of one of the latter. The same numbers every time.

#[path = "../tests/trials/mod.rs"]
mod trials;

use stats::experiment::{Verdict, page, text};
use std::path::Path;
use trials::{DEVIATION, PHI, experiment, ten_then_ten_differ, trace};

#[allow(clippy::print_stdout, reason = "an example says what it found")]
fn main() -> std::io::Result<()> {
    let mut words = std::env::args().skip(1);
    let count: u64 = words.next().and_then(|word| word.parse().ok()).unwrap_or(1_000);
    let percent = |of: u64| of as f64 * 100.0 / count as f64;
    println!("{count} experiments each; runs deviate by {} %, autocorrelation {PHI}", DEVIATION * 100.0);

    let (mut claims, mut aa, mut equivalent, mut naive) = (0, 0, 0, 0);
    for seed in 0..count {
        let made = experiment(seed, 0.0);
        claims += u64::from(matches!(made.verdict, Verdict::Better | Verdict::Worse));
        equivalent += u64::from(made.verdict == Verdict::Equivalent);
        aa += u64::from(made.aa.differs);
        naive += u64::from(ten_then_ten_differ(&trace(seed, 20)));
    }
    println!(
        "no difference: {:.1} % called different, {:.1} % equivalent; A/A differs in {:.1} %",
        percent(claims),
        percent(equivalent),
        percent(aa)
    );
    println!("no difference, ten then ten with a t-test: {:.1} % called different", percent(naive));

    for slowdown in [0.02, 0.03, 0.05] {
        let (mut found, mut wrong, mut blocks) = (0, 0, 0);
        for seed in 0..count {
            let made = experiment(seed, slowdown);
            found += u64::from(made.verdict == Verdict::Worse);
            wrong += u64::from(made.verdict == Verdict::Better);
            blocks += made.blocks;
        }
        let mean = blocks as f64 / count as f64;
        println!(
            "B {:.0} % slower: {:.1} % found, {:.1} % called better; {mean:.1} blocks in the mean",
            slowdown * 100.0,
            percent(found),
            percent(wrong)
        );
    }
    let Some(directory) = words.next() else { return Ok(()) };
    let one = experiment(3, 0.05);
    println!("\n{}", text(&one));
    std::fs::write(Path::new(&directory).join("experiment.html"), page(&one))
}

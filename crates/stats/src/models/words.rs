//! The same in plain words: what is and what is not different, and what speaks against the figures.
//!
//! Pure. Never "better" or "worse": more memory for fewer system calls is for the reader to weigh.

use super::{Comparison, FIGURES, Figure, Finding, Models, Round, Variant};
use crate::outcome::State;
use crate::text::{count, plural};
use crate::trend::median;

/// Of each variant that served, but the baseline: its name, and sentences.
pub(super) fn of(models: &Models) -> Vec<(String, Vec<String>)> {
    let others = models.served().filter(|variant| variant.name != models.baseline);
    others.map(|variant| (variant.name.clone(), sentences(models, &variant.name))).collect()
}

fn sentences(models: &Models, variant: &str) -> Vec<String> {
    let found: Vec<(&Figure, &Comparison)> =
        FIGURES.iter().filter_map(|figure| Some((figure, models.comparison(variant, figure)?))).collect();
    let named = |finding: Finding| -> Vec<&str> {
        let these = found.iter().filter(|(_, comparison)| comparison.finding == finding);
        these.map(|(figure, _)| figure.name).collect()
    };
    let differs = |finding| matches!(finding, Finding::Higher | Finding::Lower);
    let mut sentences: Vec<String> = found
        .iter()
        .filter(|(_, comparison)| differs(comparison.finding))
        .map(|(figure, comparison)| format!("{}: {}", figure.name, difference(comparison)))
        .collect();
    for (finding, begin) in [(Finding::Tie, "no difference seen in "), (Finding::Unclear, "cannot say: ")] {
        let names = named(finding);
        if !names.is_empty() {
            sentences.push(format!("{begin}{}", names.join(", ")));
        }
    }
    sentences
}

/// `12 % lower (8 to 15 %)`, `2.1 times as high (2 to 2.3)`; what has no ratio is higher or lower than nothing.
pub(super) fn difference(comparison: &Comparison) -> String {
    let Some(ratio) = comparison.ratio else {
        return match comparison.finding {
            Finding::Higher => "higher, where one of them was 0".to_owned(),
            Finding::Lower => "lower, where one of them was 0".to_owned(),
            Finding::Tie | Finding::Unclear => "-".to_owned(),
        };
    };
    if !(0.5..2.0).contains(&ratio) {
        let interval = comparison
            .ci95
            .map_or(String::new(), |[low, high]| format!(" ({} to {})", times(low), times(high)));
        return format!("{} times as high{interval}", times(ratio));
    }
    let word = if ratio < 1.0 { "lower" } else { "higher" };
    // The ends in the direction of the difference, the smaller one first.
    let interval = comparison.ci95.map_or(String::new(), |[low, high]| {
        let mut ends = [low, high].map(|end| (end - 1.0) * 100.0 * if ratio < 1.0 { -1.0 } else { 1.0 });
        ends.sort_unstable_by(f64::total_cmp);
        format!(" ({:.1} to {:.1} %)", ends[0], ends[1])
    });
    format!("{:.1} % {word}{interval}", (ratio - 1.0).abs() * 100.0)
}

/// A ratio with three digits.
pub(super) fn times(ratio: f64) -> String {
    match ratio {
        r if r >= 99.5 => count(r.round() as u64),
        r if r >= 9.95 => format!("{r:.1}"),
        r if r >= 0.0995 => format!("{r:.2}"),
        r => format!("{r:.4}"),
    }
}

/// What speaks against the figures.
pub(super) fn warnings(models: &Models) -> Vec<String> {
    let mut warnings = Vec::new();
    let asked = models.asked.rounds;
    if models.rounds < asked {
        warnings.push(format!("ended early: {} of {asked} rounds are whole", models.rounds));
    }
    if models.rounds < ROUNDS_MIN && models.served().count() > 1 {
        let rounds = plural(models.rounds, "round");
        warnings.push(format!(
            "{rounds}: an interval of 95 % takes {ROUNDS_MIN}, so it cannot be said what is more than chance"
        ));
    }
    for variant in &models.variants {
        let name = &variant.name;
        if let Some(line) = &variant.refused {
            warnings.push(format!("{name} was not measured, its server refused: {line}"));
            continue;
        }
        warnings.extend(of_rounds(variant).into_iter().map(|what| format!("{name}: {what}")));
    }
    warnings
}

fn of_rounds(variant: &Variant) -> Vec<String> {
    let mut what: Vec<String> = Vec::new();
    for (at, round) in variant.rounds.iter().enumerate() {
        what.extend(round.failures.iter().map(|failure| format!("round {}: {failure}", at + 1)));
    }
    let failed: u64 = variant.rounds.iter().map(|round| round.failed_requests).sum();
    if failed > 0 {
        what.push(format!("{} failed", plural(failed, "request")));
    }
    let invalid = variant.rounds.iter().filter(|round| round.verdict == Some(State::Invalid)).count();
    if invalid > 0 {
        let of = variant.rounds.len();
        what.push(format!(
            "{invalid} of {of} open loops judged themselves invalid: do not quote their latency"
        ));
    }
    let middle = |of: fn(&Round) -> Option<f64>| {
        let mut values: Vec<f64> = variant.rounds.iter().filter_map(of).collect();
        (!values.is_empty()).then(|| median(&mut values))
    };
    let busy = middle(|round| round.server_busy).zip(middle(|round| round.generator_busy));
    if busy.is_some_and(|(server, generator)| server < BUSY && generator >= BUSY) {
        what.push(
            "the generator was busy and the server was not: requests/s is the generator's limit".to_owned(),
        );
    }
    what
}

/// Rounds from which a confidence interval of 95 % by signed ranks exists.
const ROUNDS_MIN: u64 = 6;
/// Share of its time from which on a core has none left.
const BUSY: f64 = 0.95;

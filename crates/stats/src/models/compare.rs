//! By how much a variant differs from the baseline, figure by figure, and whether that says anything.
//!
//! Rounds are pairs: both ran in each, in an order that a shuffle decided, so what changes from minute to minute is in both. The ratio is
//! the Hodges-Lehmann estimate over the logarithms of the pairs' ratios, with its interval by signed ranks. Never says "better".

use super::{FIGURES, Figure, Variant};
use crate::paired;
use serde::{Deserialize, Serialize};

/// One figure of a variant against that of the baseline.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// The variant.
    pub variant: String,
    /// Key of the figure in a round.
    pub figure: String,
    /// Rounds in which both have it.
    pub pairs: u64,
    /// How many times the baseline's it is; `null` where one of them was 0 in a round.
    pub ratio: Option<f64>,
    /// What that could as well be, with 95 % confidence; `null` for fewer than six pairs.
    pub ci95: Option<[f64; 2]>,
    /// What follows.
    pub finding: Finding,
}

/// What may be said of two figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Finding {
    /// It is higher than the baseline's, by 3 % or more, and the interval says so.
    Higher,
    /// It is lower, in the same way.
    Lower,
    /// They are within 3 %, or the interval holds no difference.
    Tie,
    /// They lie further apart than 3 %, and there is no interval that says whether that was chance.
    Unclear,
}

/// Every comparison there is.
pub(super) fn all(variants: &[Variant], baseline: &str) -> Vec<Comparison> {
    let Some(base) = variants.iter().find(|variant| variant.name == baseline) else { return Vec::new() };
    let others = variants.iter().filter(|variant| variant.name != baseline);
    others.flat_map(|variant| FIGURES.iter().filter_map(|figure| one(figure, base, variant))).collect()
}

fn one(figure: &Figure, base: &Variant, variant: &Variant) -> Option<Comparison> {
    let rounds = base.rounds.iter().zip(&variant.rounds);
    let pairs: Vec<[f64; 2]> = rounds.filter_map(|(a, b)| Some([(figure.of)(a)?, (figure.of)(b)?])).collect();
    if pairs.is_empty() {
        return None;
    }
    let (ratio, ci95, finding) = match pairs.iter().flatten().all(|value| *value > 0.0) {
        true => by_ratio(&pairs),
        false => by_difference(&pairs),
    };
    Some(Comparison {
        variant: variant.name.clone(),
        figure: figure.key.to_owned(),
        pairs: pairs.len() as u64,
        ratio: ratio.map(millionths),
        ci95: ci95.map(|ends| ends.map(millionths)),
        finding,
    })
}

type Found = (Option<f64>, Option<[f64; 2]>, Finding);

fn by_ratio(pairs: &[[f64; 2]]) -> Found {
    let logs: Vec<f64> = pairs.iter().map(|[a, b]| (b / a).ln()).collect();
    let ratio = paired::center(&logs).map_or(1.0, f64::exp);
    let ci95 = paired::center_ci95(&logs).map(|ends| ends.map(f64::exp));
    let is_near = (1.0 - TIE..=1.0 + TIE).contains(&ratio);
    let finding = match ci95 {
        _ if is_near => Finding::Tie,
        Some([low, high]) if low <= 1.0 && high >= 1.0 => Finding::Tie,
        Some(_) if ratio > 1.0 => Finding::Higher,
        Some(_) => Finding::Lower,
        None => Finding::Unclear,
    };
    (Some(ratio), ci95, finding)
}

/// A figure that was 0 has no ratio; whether it differs can still be told.
fn by_difference(pairs: &[[f64; 2]]) -> Found {
    let differences: Vec<f64> = pairs.iter().map(|[a, b]| b - a).collect();
    let finding = match paired::center_ci95(&differences) {
        _ if differences.iter().all(|difference| *difference == 0.0) => Finding::Tie,
        Some([low, _]) if low > 0.0 => Finding::Higher,
        Some([_, high]) if high < 0.0 => Finding::Lower,
        Some(_) => Finding::Tie,
        None => Finding::Unclear,
    };
    (None, None, finding)
}

/// So that a float of few digits is read back as it was.
fn millionths(value: f64) -> f64 {
    (value * 1e6).round() / 1e6
}

/// What differs by less is no difference on any machine that also does other things.
pub(super) const TIE: f64 = 0.03;

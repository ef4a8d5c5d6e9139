//! What the blocks so far allow to say: effect, interval, and a verdict on the interval alone.
//!
//! ```text
//!                    -margin        0        +margin
//!   worse, better       |           |  |-----o-----|        the interval leaves 0 out
//!   equivalent          |   |---o---|--|      |             it lies within the margin (two one-sided tests)
//!   undecided        |--|-------o---|---------|--|          neither: the runs do not say
//! ```
//!
//! An interval that leaves 0 out and lies within the margin is `equivalent`: what is that small was declared not to matter. Where A' against A
//! is not known to within the margin, nothing else is, and `equivalent` is not said.

use super::declaration::{Better, Declaration};
use super::{Experiment, looks};
use crate::paired;
use crate::trend::normal_point;
use serde::{Deserialize, Serialize};

/// What may be said of B against A.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// B is better.
    Better,
    /// B is worse.
    Worse,
    /// They differ by less than the margin.
    Equivalent,
    /// The runs do not say.
    Undecided,
}

impl Verdict {
    /// As it stands in the file.
    pub fn name(self) -> &'static str {
        match self {
            Verdict::Better => "better",
            Verdict::Worse => "worse",
            Verdict::Equivalent => "equivalent",
            Verdict::Undecided => "undecided",
        }
    }
}

/// A verdict and what it rests on; logarithms of ratios.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Judged {
    /// The effect; `None` without a block.
    pub center: Option<f64>,
    /// The repeated interval; `None` for fewer than eight blocks.
    pub interval: Option<[f64; 2]>,
    /// What four of five such experiments would show.
    pub detectable: Option<f64>,
    /// Whether A' against A is known to within the margin.
    pub is_aa_narrow: bool,
    /// What follows.
    pub verdict: Verdict,
}

/// Judges `differences` (B against A, block by block) with `aa` (A' against A) as their control.
pub fn judge(differences: &[f64], aa: &[f64], declaration: &Declaration) -> Judged {
    let (tail, margin) = (looks::tail(declaration.looks_z), declaration.margin());
    let interval = paired::center_ci(differences, tail);
    let half = |[low, high]: [f64; 2]| (high - low) / 2.0;
    let is_aa_narrow = paired::center_ci(aa, tail).is_some_and(|ends| half(ends) <= margin);
    let sign = if declaration.better == Better::Higher { 1.0 } else { -1.0 };
    let verdict = match interval {
        Some([low, high]) if low > -margin && high < margin && is_aa_narrow => Verdict::Equivalent,
        Some([low, high]) if (low > 0.0 || high < 0.0) && stands(differences, declaration) => {
            if (low + high) * sign > 0.0 { Verdict::Better } else { Verdict::Worse }
        }
        _ => Verdict::Undecided,
    };
    // The interval is as many standard errors wide on either side as a look asks for.
    let error = interval.map(|ends| half(ends) / declaration.looks_z);
    let detectable = error.map(|error| error * (declaration.looks_z + normal_point(POWER)));
    Judged { center: paired::center(differences), interval, detectable, is_aa_narrow, verdict }
}

/// Whether a claim stands among the others of its family, whatever these come to: Holm's procedure can only be kinder.
fn stands(differences: &[f64], declaration: &Declaration) -> bool {
    if declaration.family <= 1 {
        return true;
    }
    let p = looks::adjusted(paired::sign_flip(differences, declaration.seed), &declaration.looks);
    p * declaration.family as f64 <= ALPHA
}

/// The verdict in a sentence.
pub(super) fn reason(experiment: &Experiment, judged: &Judged) -> String {
    let (metric, margin) = (&experiment.metric, experiment.margin_pct);
    let Some(effect) = experiment.effect_pct else {
        return format!("no block has {metric} of both A and B");
    };
    let Some([low, high]) = experiment.ci95_pct else {
        let blocks = experiment.blocks;
        return format!(
            "{blocks} usable blocks are too few for an interval at the level of a look, which takes 8"
        );
    };
    let seen = format!("{metric} of B lies {} ({low:+.2} to {high:+.2})", away(effect));
    let detectable = experiment.detectable_pct.unwrap_or(f64::INFINITY);
    match judged.verdict {
        Verdict::Better | Verdict::Worse => seen,
        Verdict::Equivalent => format!("{seen}, within the declared margin of {margin} %"),
        Verdict::Undecided if low > 0.0 || high < 0.0 => {
            let family = experiment.declaration.family;
            format!("{seen}, which does not stand among {family} experiments, or not yet")
        }
        Verdict::Undecided if !judged.is_aa_narrow => format!(
            "{seen}; an effect of {detectable:.1} % would have been seen, and A' against A is not known to within {margin} %"
        ),
        Verdict::Undecided => format!("{seen}; an effect of {detectable:.1} % would have been seen"),
    }
}

/// `1.20 % below A's`.
pub(super) fn away(effect: f64) -> String {
    format!("{:.2} % {} A's", effect.abs(), if effect < 0.0 { "below" } else { "above" })
}

/// What all looks of all experiments of a family may be wrong with, together.
pub(super) const ALPHA: f64 = 0.05;
/// Of experiments with an effect of [`Judged::detectable`], so many find it.
const POWER: f64 = 0.8;

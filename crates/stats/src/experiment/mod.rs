//! One paired experiment: what was declared, every run in its order, and what follows from them.
//!
//! Data and arithmetic; nothing is run here, so that an old file can be judged again and must come out the same ([`Experiment::again`]).
//! In each block of an experiment every arm runs once, in an order that a shuffle decides: arm A, the same again as A', and B. The
//! response is the logarithm of a ratio within a block, so what changes from minute to minute is in both of its sides, and by the shuffle
//! it has one sign as often as the other where nothing differs, whatever the distribution and however alike neighbouring runs are. That
//! is all that the tests below assume.

mod charts;
mod declaration;
mod guards;
mod judge;
pub mod looks;
mod page;
mod proof;
mod table;

pub use declaration::{ArmSpec, BLOCKS_MAX, Better, Declaration, MARGIN_PCT};
pub use judge::{Judged, Verdict, judge};
pub use page::{page, proof_page};
pub use proof::{Knob, Outlook, Proof, Tried, holm};
pub use table::{proof_text, text};

use crate::outcome::Environment;
use crate::paired;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The version of the format that this program writes.
pub const SCHEMA: u32 = 1;

/// The result of one experiment. A figure is `null` where the runs do not carry it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Experiment {
    /// Version of this format: [`SCHEMA`].
    pub schema: u32,
    /// `ab`, or `prove` where it is the head of a [`Proof`].
    pub command: String,
    /// The program's version.
    pub version: String,
    /// When the first run began, seconds since 1970 UTC.
    pub began_unix_s: u64,
    /// What may be said of B against A.
    pub verdict: Verdict,
    /// The same in a sentence.
    pub reason: String,
    /// The declared metric.
    pub metric: String,
    /// By how much B lies above A: the Hodges-Lehmann estimate over the blocks.
    pub effect_pct: Option<f64>,
    /// The repeated interval at the looks' level: 95 % over all looks together, so wider than one that is made once.
    pub ci95_pct: Option<[f64; 2]>,
    /// What kind of interval that is, in words.
    pub interval: String,
    /// By sign flips, at the last look alone.
    pub p: Option<f64>,
    /// The chance that any of the looks shows as much where nothing differs: what Holm's procedure takes.
    pub p_looks: Option<f64>,
    /// Blocks in which both A and B can be used.
    pub blocks: u64,
    /// The declared margin.
    pub margin_pct: f64,
    /// The smallest effect that so many blocks of such runs show in four of five experiments.
    pub detectable_pct: Option<f64>,
    /// A' against A: what this machine says of no difference at all.
    pub aa: Aa,
    /// What speaks against believing any of it, a sentence each.
    pub banners: Vec<String>,
    /// What else one must know, a sentence each.
    pub notes: Vec<String>,
    /// Every other figure that all arms have, each with an interval of 95 % of its own: to find questions, never to answer them.
    pub exploratory: Vec<Exploratory>,
    /// Each arm with its runs.
    pub arms: Vec<Arm>,
    /// Why there are no more runs.
    pub ended: Ended,
    /// What was declared before the first of them.
    pub declaration: Declaration,
    /// Its hash.
    pub declaration_sha256: String,
    /// Where it ran.
    pub environment: Environment,
}

/// The arm that is its own control.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Aa {
    /// By how much A' lies above A.
    pub effect_pct: Option<f64>,
    /// Its repeated interval, at the same level.
    pub ci95_pct: Option<[f64; 2]>,
    /// Half the width of that.
    pub half_width_pct: Option<f64>,
    /// Whether it leaves 0 out, which it does by chance in 1.2 % of experiments: it is as sure as one look, and looked at once.
    pub differs: bool,
    /// Blocks in which both can be used.
    pub blocks: u64,
}

/// A figure that nothing was declared of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Exploratory {
    /// Its key in a run.
    pub metric: String,
    /// By how much B lies above A.
    pub effect_pct: f64,
    /// With 95 %, for this figure alone and looked at once; `null` for fewer than six blocks.
    pub ci95_pct: Option<[f64; 2]>,
    /// Blocks that have it.
    pub blocks: u64,
}

/// An arm and what it gave.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Arm {
    /// `A`, `A'` or `B`.
    pub name: String,
    /// What makes it what it is.
    pub spec: String,
    /// In the order in which they ran.
    pub runs: Vec<Run>,
}

/// One run: a fresh namespace, a fresh server, fresh connections.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// Its place among all runs of the experiment, 1 for the first.
    pub order: u64,
    /// Its block, 1 for the first.
    pub block: u64,
    /// Why it is not used: what the generator said of itself, or that it could not be made. Never its value.
    pub excluded: Option<String>,
    /// Everything that was measured, by name. Rounded to nine digits.
    pub figures: BTreeMap<String, f64>,
    /// Share of its time that the hypervisor gave to others; `null` where nobody counts.
    pub steal_share: Option<f64>,
    /// Share of its time that some task waited for a core (PSI); `null` where the kernel does not count it.
    pub pressure_share: Option<f64>,
}

impl Run {
    /// Puts a figure into it, rounded, so that it is read back from JSON as it was.
    pub fn put(&mut self, name: &str, value: f64) {
        self.figures.insert(name.to_owned(), digits(value));
    }

    /// A figure of it, if the run is used and the figure has a logarithm.
    pub fn usable(&self, metric: &str) -> Option<f64> {
        let value = self.figures.get(metric).copied().filter(|value| value.is_finite() && *value > 0.0);
        value.filter(|_| self.excluded.is_none())
    }
}

/// Why an experiment has no more runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ended {
    /// A look was sure.
    Decided,
    /// All declared blocks, or all the time that there was for them, are used up.
    Budget,
    /// The user wanted no more.
    Stopped,
}

/// What is known beside the runs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Origin {
    /// The program's version.
    pub version: String,
    /// When the first run began, seconds since 1970 UTC.
    pub began_unix_s: u64,
    /// Where they ran.
    pub environment: Environment,
}

impl Experiment {
    /// What follows from these runs. `arms` are those of the declaration, in its order.
    pub fn of(declaration: Declaration, arms: Vec<Arm>, ended: Ended, origin: Origin) -> Experiment {
        assert_eq!(declaration.arms.len(), arms.len(), "the arms are those that were declared");
        let differences = |to: usize| ratios(&arms[0], &arms[to], &declaration.metric);
        let control = control(&differences(1), &declaration);
        let (pairs, judged) = (differences(2), judge(&differences(2), &differences(1), &declaration));
        let p = (!pairs.is_empty()).then(|| paired::sign_flip(&pairs, declaration.seed));
        let p_looks = p.map(|p| looks::adjusted(p, &declaration.looks));
        let mut experiment = Experiment {
            schema: SCHEMA,
            command: COMMAND.to_owned(),
            version: origin.version,
            began_unix_s: origin.began_unix_s,
            verdict: judged.verdict,
            reason: String::new(),
            metric: declaration.metric.clone(),
            effect_pct: judged.center.map(percent),
            ci95_pct: judged.interval.map(|ends| ends.map(percent)),
            interval: format!("repeated, |z| > {} at {} looks", declaration.looks_z, declaration.looks.len()),
            p: p.map(digits),
            p_looks: p_looks.map(digits),
            blocks: pairs.len() as u64,
            margin_pct: declaration.margin_pct,
            detectable_pct: judged.detectable.map(percent),
            aa: control,
            banners: Vec::new(),
            notes: Vec::new(),
            exploratory: exploratory(&arms, &declaration.metric),
            arms,
            ended,
            declaration_sha256: declaration.sha256(),
            declaration,
            environment: origin.environment,
        };
        experiment.reason = judge::reason(&experiment, &judged);
        (experiment.banners, experiment.notes) = guards::of(&experiment);
        experiment
    }

    /// Whether its runs are those of the arms that it declares, and its looks have a bound: of a file that somebody else wrote it is not
    /// sure, and [`again`](Experiment::again) and the pictures rest on it. Errors: what is not so, in a sentence without its end.
    pub fn check(&self) -> Result<(), String> {
        let declared: Vec<&str> = self.declaration.arms.iter().map(|arm| arm.name.as_str()).collect();
        let run: Vec<&str> = self.arms.iter().map(|arm| arm.name.as_str()).collect();
        if let Some(names) = [declared, run].into_iter().find(|names| *names != ARMS) {
            return Err(format!("its arms are {} in place of {}", names.join(", "), ARMS.join(", ")));
        }
        let z = self.declaration.looks_z;
        if z > 0.0 { Ok(()) } else { Err(format!("a bound of {z} standard errors is none")) }
    }

    /// The same from its own raw runs and its declaration: everything else is made anew.
    pub fn again(&self) -> Experiment {
        let origin = Origin {
            version: self.version.clone(),
            began_unix_s: self.began_unix_s,
            environment: self.environment.clone(),
        };
        let made = Experiment::of(self.declaration.clone(), self.arms.clone(), self.ended, origin);
        Experiment { command: self.command.clone(), ..made }
    }

    /// What a program that ends with this result says to the shell: 0, or 3 where something speaks against believing it.
    pub fn exit_code(&self) -> u8 {
        if self.banners.is_empty() { 0 } else { 3 }
    }

    /// Runs of all arms.
    fn runs(&self) -> impl Iterator<Item = &Run> {
        self.arms.iter().flat_map(|arm| &arm.runs)
    }
}

/// Whether these runs end the experiment: the look that has just been reached is sure, or there are as many blocks as were declared.
/// Looks at nothing between two looks, so that nobody stops on what it saw there.
pub fn ends(declaration: &Declaration, arms: &[Arm]) -> Option<Ended> {
    let pairs = ratios(&arms[0], &arms[2], &declaration.metric);
    let is_look = declaration.looks.contains(&(pairs.len() as u64));
    let begun = arms.iter().map(|arm| arm.runs.len() as u64).min().unwrap_or(0);
    let aa = ratios(&arms[0], &arms[1], &declaration.metric);
    if is_look && judge(&pairs, &aa, declaration).verdict != Verdict::Undecided {
        return Some(Ended::Decided);
    }
    (begun >= declaration.blocks_max).then_some(Ended::Budget)
}

/// The logarithm of `to` by `from` in each block that has both, in the order of blocks.
pub fn ratios(from: &Arm, to: &Arm, metric: &str) -> Vec<f64> {
    let by_block = |arm: &Arm| -> BTreeMap<u64, f64> {
        arm.runs.iter().filter_map(|run| Some((run.block, run.usable(metric)?))).collect()
    };
    let to = by_block(to);
    by_block(from).iter().filter_map(|(block, a)| Some((to.get(block)? / a).ln())).collect()
}

fn control(differences: &[f64], declaration: &Declaration) -> Aa {
    let interval = paired::center_ci(differences, looks::tail(declaration.looks_z));
    Aa {
        effect_pct: paired::center(differences).map(percent),
        ci95_pct: interval.map(|ends| ends.map(percent)),
        half_width_pct: interval.map(|[low, high]| percent((high - low) / 2.0)),
        differs: interval.is_some_and(|[low, high]| low > 0.0 || high < 0.0),
        blocks: differences.len() as u64,
    }
}

fn exploratory(arms: &[Arm], metric: &str) -> Vec<Exploratory> {
    let names: std::collections::BTreeSet<&String> =
        arms.iter().flat_map(|arm| &arm.runs).flat_map(|run| run.figures.keys()).collect();
    let others = names.into_iter().filter(|name| name.as_str() != metric);
    let one = |name: &String| {
        let differences = ratios(&arms[0], &arms[2], name);
        Some(Exploratory {
            metric: name.clone(),
            effect_pct: percent(paired::center(&differences)?),
            ci95_pct: paired::center_ci95(&differences).map(|ends| ends.map(percent)),
            blocks: differences.len() as u64,
        })
    };
    others.filter_map(one).collect()
}

/// The logarithm of a ratio as percent, to a ten-thousandth: a float of few digits is read back as it was.
fn percent(log: f64) -> f64 {
    (log.exp_m1() * 1e6).round() / 1e4
}

/// To nine digits, for the same reason.
fn digits(value: f64) -> f64 {
    format!("{value:.8e}").parse().expect("a number was just written")
}

/// What tells it from other results.
pub const COMMAND: &str = "ab";
/// The arms of every experiment.
const ARMS: [&str; 3] = ["A", "A'", "B"];

#[cfg(test)]
pub(crate) mod tests;

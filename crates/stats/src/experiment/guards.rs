//! What must be said beside a verdict: that the machine calls equal things different, drifts, is shared, or that runs are missing.
//!
//! Never changes a verdict. A *banner* speaks against believing it; a *note* says what the design has already dealt with, or what one must
//! know to read the figures.

use super::judge::away;
use super::{Arm, Experiment, Run, looks};
use crate::text::plural;
use crate::trend::{Trend, median};

/// Banners and notes.
pub(super) fn of(experiment: &Experiment) -> (Vec<String>, Vec<String>) {
    let banners = [aa_differs, steal, uneven_exclusions, without_figure];
    let notes = [aa_wide, drift, alike, pressure, excluded, stopped];
    let say = |guards: &[Guard]| guards.iter().filter_map(|guard| guard(experiment)).collect();
    (say(&banners), say(&notes))
}

type Guard = fn(&Experiment) -> Option<String>;

fn aa_differs(experiment: &Experiment) -> Option<String> {
    let ([low, high], effect) = (experiment.aa.ci95_pct?, experiment.aa.effect_pct?);
    // Its interval is that of one look, and it is looked at once: at the end.
    let chance = 2.0 * looks::tail(experiment.declaration.looks_z);
    experiment.aa.differs.then(|| {
        format!(
            "A/A differs: A' is the same as A, and its {} lies {} ({low:+.2} to {high:+.2}). It happens to {:.1} % of \
             experiments by chance; repeat this one with another seed before believing it",
            experiment.metric,
            away(effect),
            chance * 100.0
        )
    })
}

fn aa_wide(experiment: &Experiment) -> Option<String> {
    let (half, margin) = (experiment.aa.half_width_pct?, experiment.margin_pct);
    (half > margin).then(|| {
        format!("A' against A is known to {half:.2} % only, more than the margin of {margin} %: `equivalent` cannot be said here")
    })
}

fn steal(experiment: &Experiment) -> Option<String> {
    let share = middle(experiment, |run| run.steal_share)?;
    (share > STEAL).then(|| {
        let percent = share * 100.0;
        format!("the hypervisor gave {percent:.1} % of the cores' time to others in the middle run: another hour or machine would say more")
    })
}

fn pressure(experiment: &Experiment) -> Option<String> {
    let share = middle(experiment, |run| run.pressure_share)?;
    (share > PRESSURE).then(|| {
        let percent = share * 100.0;
        format!(
            "tasks waited for a core for {percent:.0} % of the middle run (PSI): stop what else runs here"
        )
    })
}

fn middle(experiment: &Experiment, of: impl Fn(&Run) -> Option<f64>) -> Option<f64> {
    let mut shares: Vec<f64> = experiment.runs().filter_map(of).collect();
    (!shares.is_empty()).then(|| median(&mut shares))
}

fn drift(experiment: &Experiment) -> Option<String> {
    let trend = Trend::of(&control(experiment))?;
    let percent = trend.relative * 100.0;
    (trend.p < 0.01 && percent.abs() > experiment.margin_pct).then(|| {
        format!("A itself drifted by {percent:+.1} % from the first block to the last; each block is compared within itself")
    })
}

/// Runs that lie side by side are alike.
fn alike(experiment: &Experiment) -> Option<String> {
    let values = control(experiment);
    let correlation = lag1(&values)?;
    (correlation > 2.0 / (values.len() as f64).sqrt()).then(|| {
        format!(
            "runs of A are like the ones before them (autocorrelation {correlation:.2}): ten runs of one and then ten of the other would \
             call equal things different here; shuffled blocks do not"
        )
    })
}

fn uneven_exclusions(experiment: &Experiment) -> Option<String> {
    let share = |arm: &Arm| missing(arm) as f64 / arm.runs.len().max(1) as f64;
    let (a, b) = (experiment.arms.first()?, experiment.arms.last()?);
    ((share(a) - share(b)).abs() > UNEVEN && missing(a).abs_diff(missing(b)) > 2).then(|| {
        let why = a.runs.iter().chain(&b.runs).find_map(|run| run.excluded.as_ref());
        format!(
            "{} of A and {} of B are excluded, so that one arm itself may be why: {}",
            plural(missing(a), "run"),
            missing(b),
            why.map_or("-", String::as_str)
        )
    })
}

fn excluded(experiment: &Experiment) -> Option<String> {
    let first = experiment.runs().find_map(|run| run.excluded.as_ref())?;
    let all = experiment.arms.iter().map(missing).sum();
    Some(format!("{} excluded, by what the generator said of itself; the first: {first}", plural(all, "run")))
}

fn without_figure(experiment: &Experiment) -> Option<String> {
    let metric = &experiment.metric;
    let has_none = |run: &&Run| run.excluded.is_none() && run.usable(metric).is_none();
    let of = |arm: &Arm| arm.runs.iter().filter(has_none).count() as u64;
    let all: u64 = experiment.arms.iter().map(of).sum();
    (all > 0).then(|| {
        format!(
            "{} no {metric} above 0, which has no ratio",
            plural(all, "run") + if all == 1 { " has" } else { " have" }
        )
    })
}

fn stopped(experiment: &Experiment) -> Option<String> {
    (experiment.ended == super::Ended::Stopped)
        .then(|| format!("ended by its user after {}", plural(experiment.blocks, "usable block")))
}

fn missing(arm: &Arm) -> u64 {
    arm.runs.iter().filter(|run| run.excluded.is_some()).count() as u64
}

/// What A gave, in the order of its runs.
fn control(experiment: &Experiment) -> Vec<f64> {
    experiment.arms[0].runs.iter().filter_map(|run| run.usable(&experiment.metric)).collect()
}

/// How much each value is like the one before it, -1 to 1. `None` for fewer than eight, or where all are the same.
pub(super) fn lag1(values: &[f64]) -> Option<f64> {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let all: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    let pairs: f64 = values.windows(2).map(|pair| (pair[0] - mean) * (pair[1] - mean)).sum();
    (values.len() >= 8 && all > 0.0).then(|| pairs / all)
}

/// More stolen time than this is more than a setting is usually worth.
const STEAL: f64 = 0.02;
/// Server and generator wait for each other's kernel work on any machine of few cores; more than this is somebody else.
const PRESSURE: f64 = 0.25;
/// Shares of excluded runs that lie further apart are no chance.
const UNEVEN: f64 = 0.2;

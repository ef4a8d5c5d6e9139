//! An experiment as text, for a terminal of 100 columns: ASCII without colour, the same in a file.

use super::{Experiment, Proof};
use crate::models::wrapped;
use std::fmt::Write;

/// One experiment.
pub fn text(experiment: &Experiment) -> String {
    let mut out = String::new();
    for banner in &experiment.banners {
        wrapped(&mut out, "", &format!("WARNING: {banner}"));
    }
    wrapped(&mut out, "", &format!("{}: {}.", experiment.verdict.name(), experiment.reason));
    out.push('\n');
    let aa = &experiment.aa;
    let line = |out: &mut String, name: &str, effect: Option<f64>, ends: Option<[f64; 2]>, rest: &str| {
        let line = format!("{name:<34} {:>9}   {:<22} {rest}", percent(effect), interval(ends));
        let _ = writeln!(out, "{}", line.trim_end());
    };
    let p = experiment.p.map_or(String::new(), |p| format!("p {p:.2e}"));
    line(
        &mut out,
        &format!("{}, B against A", experiment.metric),
        experiment.effect_pct,
        experiment.ci95_pct,
        &p,
    );
    let differs = if aa.differs { "differs" } else { "" };
    line(&mut out, &format!("{}, A' against A", experiment.metric), aa.effect_pct, aa.ci95_pct, differs);
    out.push('\n');
    let detectable = experiment.detectable_pct.map_or("-".to_owned(), |effect| format!("{effect:.2} %"));
    let budget = format!(
        "{} usable blocks of at most {}; margin {} %, detectable {detectable}; interval {}",
        experiment.blocks, experiment.declaration.blocks_max, experiment.margin_pct, experiment.interval
    );
    wrapped(&mut out, "", &budget);
    for arm in &experiment.arms {
        let spec = if arm.spec.is_empty() { "nothing changed" } else { &arm.spec };
        wrapped(&mut out, "  ", &format!("{:<3} {spec}", arm.name));
    }
    if !experiment.exploratory.is_empty() {
        out.push_str("\nexploratory, each alone with 95 %\n");
    }
    for other in &experiment.exploratory {
        line(&mut out, &format!("  {}", other.metric), Some(other.effect_pct), other.ci95_pct, "");
    }
    for note in &experiment.notes {
        wrapped(&mut out, "", &format!("note: {note}"));
    }
    let _ = writeln!(out, "declaration sha256 {}", experiment.declaration_sha256);
    out
}

/// A profile on trial.
pub fn proof_text(proof: &Proof) -> String {
    let whole = &proof.whole;
    let mut out = format!(
        "{}: {} knobs by {}, margin {} %\n\n",
        proof.profile,
        proof.knobs.len(),
        whole.metric,
        whole.margin_pct
    );
    let longest = proof.knobs.iter().map(|knob| knob.name.len() + knob.value.len() + 3).max().unwrap_or(0);
    let names = longest.clamp(20, 48);
    let row = |out: &mut String, name: &str, verdict: &str, effect: Option<f64>, ends: Option<[f64; 2]>| {
        // Some that were tried together have a long name: its figures stand below it.
        let name = match name.len() > names {
            true => {
                wrapped(out, "", name);
                ""
            }
            false => name,
        };
        let line = format!("{name:<names$}  {verdict:<18} {:>9}  {}", percent(effect), interval(ends));
        let _ = writeln!(out, "{}", line.trim_end());
    };
    for knob in &proof.knobs {
        let name = format!("{} = {}", knob.name, knob.value);
        row(&mut out, &name, knob.verdict.name(), knob.effect_pct, knob.ci95_pct);
        if knob.experiment.is_none() {
            wrapped(&mut out, "    ", &knob.reason);
        }
    }
    row(&mut out, "the whole profile", whole.verdict.name(), whole.effect_pct, whole.ci95_pct);
    out.push('\n');
    let knobs = proof.knobs.iter().filter_map(|knob| Some((knob.name.as_str(), knob.experiment.as_ref()?)));
    for (name, experiment) in knobs.chain([("the whole profile", whole)]) {
        for banner in &experiment.banners {
            wrapped(&mut out, "", &format!("WARNING: {name}: {banner}"));
        }
    }
    out
}

pub(super) fn percent(value: Option<f64>) -> String {
    value.map_or("-".to_owned(), |value| format!("{} %", signed(value)))
}

pub(super) fn interval(ends: Option<[f64; 2]>) -> String {
    ends.map_or(String::new(), |[low, high]| format!("{} to {}", signed(low), signed(high)))
}

/// With its sign; what rounds to 0 has that of 0. Of some hundred, hundredths are nothing.
fn signed(value: f64) -> String {
    match value.abs() {
        size if size < 0.005 => "+0.00".to_owned(),
        size if size < 100.0 => format!("{value:+.2}"),
        _ => format!("{value:+.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentage_has_its_sign_and_no_more_digits_than_say_something() {
        let shown = [-0.001, 0.001, 1.234, -99.99, 3630.75].map(|value| percent(Some(value)));
        assert_eq!(shown, ["+0.00 %", "+0.00 %", "+1.23 %", "-99.99 %", "+3631 %"]);
        assert_eq!(interval(Some([-12.0, 2984.05])), "-12.00 to +2984");
        assert_eq!((percent(None), interval(None)), ("-".to_owned(), String::new()));
    }
}

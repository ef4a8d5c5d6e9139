//! An experiment, or a profile on trial, as one HTML page that needs nothing but itself: verdict, table, pictures, every run.
//!
//! No script, no address of anything outside, no date but that of the run: the same result gives the same bytes. Every text that comes
//! from a result goes through `escape`; what is written here does not need to.

use super::table::{interval, percent};
use super::{Experiment, Outlook, Proof, Verdict, charts};
use crate::plot::escape;
use crate::report::{begin_of, date, end};
use std::fmt::Write;

/// The page of one experiment.
pub fn page(experiment: &Experiment) -> String {
    let title = format!("{}: B against A", experiment.metric);
    let mut out = begin_of(PROGRAM, &title);
    let _ = writeln!(out, "<h1>{}</h1>", escape(&title));
    asked(&mut out, experiment);
    body(&mut out, experiment);
    words(&mut out);
    end(&mut out);
    out
}

/// The page of a profile: a table of all knobs, then each experiment, folded.
pub fn proof_page(proof: &Proof) -> String {
    let title = format!("{} on trial", proof.profile);
    let mut out = begin_of(PROGRAM, &title);
    let _ = writeln!(out, "<h1>{}</h1>", escape(&title));
    asked(&mut out, &proof.whole);
    let experiments =
        || proof.knobs.iter().filter_map(|knob| Some((knob.name.as_str(), knob.experiment.as_ref()?)));
    for (name, experiment) in experiments() {
        for banner in &experiment.banners {
            let _ = writeln!(out, "<p class=\"warning\">{}: {}</p>", escape(name), escape(banner));
        }
    }
    knobs(&mut out, proof);
    let _ =
        writeln!(out, "<div class=\"charts\">\n<figure>{}</figure>\n</div>", charts::knobs(proof).inline());
    out.push_str("<h2>The whole profile against the default</h2>\n");
    body(&mut out, &proof.whole);
    for (name, experiment) in experiments() {
        let _ = writeln!(
            out,
            "<details>\n<summary>{}: the profile with it against without</summary>",
            escape(name)
        );
        body(&mut out, experiment);
        out.push_str("</details>\n");
    }
    words(&mut out);
    end(&mut out);
    out
}

/// What was declared, in sentences.
fn asked(out: &mut String, experiment: &Experiment) {
    let declared = &experiment.declaration;
    let _ = writeln!(
        out,
        "<p class=\"asked\">{}. Declared before the first run: {} ({} is better), margin {} %, at most {} blocks of {} runs each, shuffled \
         by seed {}; {}.<br><code>sha256 {}</code></p>",
        escape(&declared.workload),
        escape(&declared.metric),
        if declared.better == super::Better::Higher { "more" } else { "less" },
        declared.margin_pct,
        declared.blocks_max,
        declared.arms.len(),
        declared.seed,
        date(experiment.began_unix_s),
        escape(&experiment.declaration_sha256)
    );
}

fn body(out: &mut String, experiment: &Experiment) {
    for banner in &experiment.banners {
        let _ = writeln!(out, "<p class=\"warning\">{}</p>", escape(banner));
    }
    let (sign, class) = match experiment.verdict {
        Verdict::Better => ("✓", "valid"),
        Verdict::Worse => ("✗", "invalid"),
        Verdict::Equivalent => ("=", "valid"),
        Verdict::Undecided => ("?", "degraded"),
    };
    let _ = writeln!(
        out,
        "<div class=\"verdict {class}\"><strong>{sign} {}</strong>: {}</div>",
        experiment.verdict.name(),
        escape(&experiment.reason)
    );
    effects(out, experiment);
    out.push_str("<div class=\"charts\">\n");
    for picture in charts::of(experiment) {
        let _ = writeln!(out, "<figure>{}</figure>", picture.inline());
    }
    out.push_str("</div>\n");
    for note in &experiment.notes {
        let _ = writeln!(out, "<p class=\"note\">{}</p>", escape(note));
    }
    details(out, experiment);
}

fn effects(out: &mut String, experiment: &Experiment) {
    out.push_str(
        "<div class=\"wide\"><table class=\"figures\">\n<thead><tr><th></th><th>effect</th><th>interval</th><th>p</th><th>blocks</th></tr></thead>\n<tbody>\n",
    );
    let mut row = |name: &str, effect, ends, p: Option<f64>, blocks: u64| {
        let p = p.map_or("-".to_owned(), |p| format!("{p:.2e}"));
        let (effect, ends) = (percent(effect), interval(ends));
        let name = pieces(name);
        let _ = writeln!(
            out,
            "<tr><th class=\"name\">{name}</th><td>{effect}</td><td class=\"span\">{ends}</td><td>{p}</td><td>{blocks}</td></tr>"
        );
    };
    let (metric, aa) = (&experiment.metric, &experiment.aa);
    let ends = experiment.ci95_pct;
    row(&format!("{metric}, B against A"), experiment.effect_pct, ends, experiment.p, experiment.blocks);
    row(&format!("{metric}, A' against A"), aa.effect_pct, aa.ci95_pct, None, aa.blocks);
    for other in &experiment.exploratory {
        let name = format!("{} (exploratory)", other.metric);
        row(&name, Some(other.effect_pct), other.ci95_pct, None, other.blocks);
    }
    out.push_str("</tbody></table></div>\n");
    if let Some(detectable) = experiment.detectable_pct {
        let _ = writeln!(
            out,
            "<p class=\"note\">Four of five such experiments would show an effect of {detectable:.2} %. The interval of {} is {}.</p>",
            escape(metric),
            escape(&experiment.interval)
        );
    }
}

fn knobs(out: &mut String, proof: &Proof) {
    out.push_str(
        "<div class=\"wide\"><table class=\"figures\">\n<thead><tr><th>knob</th><th>value</th><th class=\"say\">verdict</th><th>effect</th><th>interval</th><th>p (Holm)</th></tr></thead>\n<tbody>\n",
    );
    for knob in &proof.knobs {
        let p = knob.p_holm.map_or("-".to_owned(), |p| format!("{p:.3}"));
        let why = match knob.verdict {
            Outlook::NotTestable => format!("<small>{}</small>", escape(&knob.reason)),
            _ => String::new(),
        };
        let _ = writeln!(
            out,
            "<tr><th class=\"name\">{}</th><td>{}</td><td class=\"say\">{}{why}</td><td>{}</td><td class=\"span\">{}</td><td>{p}</td></tr>",
            pieces(&knob.name),
            escape(&knob.value),
            knob.verdict.name(),
            percent(knob.effect_pct),
            interval(knob.ci95_pct)
        );
    }
    let whole = &proof.whole;
    let _ = writeln!(
        out,
        "<tr><th>the whole profile</th><td></td><td class=\"say\">{}</td><td>{}</td><td class=\"span\">{}</td><td></td></tr>\n</tbody></table></div>",
        whole.verdict.name(),
        percent(whole.effect_pct),
        interval(whole.ci95_pct)
    );
}

/// A name that may go on in the next line after each of its words: on a telephone it is wider than its column.
fn pieces(name: &str) -> String {
    escape(name).replace('.', ".<wbr>").replace('_', "_<wbr>")
}

/// Arms, every run, and where it was; folded.
fn details(out: &mut String, experiment: &Experiment) {
    out.push_str("<details>\n<summary>Arms, every run, and where</summary>\n<table><tbody>\n");
    let environment = &experiment.environment;
    let mut say = |name: &str, value: &str| {
        let (name, value) = (escape(name), escape(value));
        let _ = writeln!(out, "<tr><th class=\"words\">{name}</th><td class=\"words\">{value}</td></tr>");
    };
    for arm in &experiment.arms {
        say(&arm.name, if arm.spec.is_empty() { "nothing changed" } else { &arm.spec });
    }
    say("kernel", &environment.kernel);
    say("CPU", &format!("{} x {}", environment.cpus, environment.cpu_model));
    say("command line", &environment.command_line.join(" "));
    out.push_str("</tbody></table>\n<div class=\"wide\"><table>\n<thead><tr><th>run</th><th>block</th><th>arm</th><th>");
    let _ = writeln!(out, "{}</th><th></th></tr></thead>\n<tbody>", escape(&experiment.metric));
    let mut runs: Vec<_> =
        experiment.arms.iter().flat_map(|arm| arm.runs.iter().map(move |run| (run, &arm.name))).collect();
    runs.sort_by_key(|(run, _)| run.order);
    for (run, arm) in runs {
        let value = run.figures.get(&experiment.metric);
        let _ = writeln!(
            out,
            "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td class=\"words\">{}</td></tr>",
            run.order,
            run.block,
            escape(arm),
            value.map_or("-".to_owned(), |value| charts::say(&experiment.metric, *value)),
            escape(run.excluded.as_deref().unwrap_or(""))
        );
    }
    out.push_str("</tbody></table></div>\n</details>\n");
}

fn words(out: &mut String) {
    out.push_str(WORDS);
}

const PROGRAM: &str = "ringmill-lab";

/// What the words of the page mean.
const WORDS: &str = "<details>\n<summary>What the words mean</summary>\n<dl>\n\
<dt>block</dt><dd>One run of each arm, in an order that a shuffle decides; ratios are taken within a block.</dd>\n\
<dt>A'</dt><dd>The same as A. What is said of it is said of no difference at all.</dd>\n\
<dt>effect</dt><dd>By how much B lies above A: the Hodges-Lehmann estimate over the logarithms of the blocks' ratios.</dd>\n\
<dt>interval</dt><dd>By inverted signed ranks. That of the declared metric is the repeated interval: 95 % over all looks together.</dd>\n\
<dt>p</dt><dd>How often flipped signs of the blocks give a mean as far from none; at the last look alone.</dd>\n\
<dt>equivalent</dt><dd>The whole interval lies within the margin that was declared.</dd>\n\
<dt>undecided</dt><dd>The runs do not say; the smallest effect that they would have shown stands beside it.</dd>\n\
<dt>exploratory</dt><dd>Nothing was declared of it: one of twenty such intervals leaves out no difference by chance.</dd>\n</dl>\n</details>\n";

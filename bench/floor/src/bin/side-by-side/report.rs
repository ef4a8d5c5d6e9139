//! The whole result as text: the machine, the way it was measured, a table for each case, the commands.

use std::fmt::Write;
use std::fs;

use serde_json::{Value, json};

use crate::Outcome;
use crate::contenders;
use crate::machine;
use crate::plan::Plan;
use crate::table;
use crate::targets;

/// The machine, and how it was measured, in a few lines.
pub fn how(plan: &Plan) -> String {
    let machine = machine::fingerprint();
    let fact = |name: &str| machine[name].to_string().trim_matches('"').to_string();
    format!(
        "Linux {} on {}, {} cores, {}; {}.\n{} rounds of {} s after {} ms, 100 ms windows, seed {}{}; server on core 0, \
         client on core 1; one contender alive at a time, cases and contenders shuffled in each round.",
        fact("kernel"),
        fact("cpu"),
        fact("cores"),
        fact("memory"),
        fact("day"),
        plan.rounds,
        plan.bench.seconds,
        plan.bench.warmup_ms,
        plan.seed,
        if plan.bench.realtime { ", realtime priority" } else { "" },
    )
}

/// With what versions: peers that were built, then those of the system.
pub fn versions(plan: &Plan) -> Vec<String> {
    let lock = fs::read_to_string(plan.bench.confs.join("Cargo.lock")).unwrap_or_default();
    machine::versions(&lock)
}

/// Who could not be measured, and why.
pub fn absent(plan: &Plan) -> Vec<String> {
    let never = contenders::NEVER.iter().map(|(name, why)| format!("{name}: {why}"));
    let all = plan.has_page().then_some(never).into_iter().flatten();
    plan.absent.iter().map(|name| format!("{name}: its program is not there")).chain(all).collect()
}

/// For people.
pub fn markdown(plan: &Plan, outcome: &Outcome) -> String {
    let mut text = format!("# {}\n\n{}\n\n", plan.label, how(plan));
    for (title, lines) in [("Absent", &absent(plan)), ("Failed", &outcome.failures)] {
        if !lines.is_empty() {
            let _ = writeln!(text, "{title}: {}.\n", lines.join("; "));
        }
    }
    let targets = if plan.has_page() { targets::lines(plan, outcome) } else { Vec::new() };
    if !targets.is_empty() {
        let _ = writeln!(text, "{}\n## Cases\n", targets::markdown(&targets));
    }
    for (case, columns) in plan.cases.iter().zip(&outcome.tables) {
        let _ = writeln!(text, "{}", table::markdown(case, columns, plan.baseline(case)));
    }
    let _ = writeln!(text, "Versions: {}.\n", versions(plan).join(", "));
    text.push_str("## Commands\n\n");
    for one in &plan.contenders {
        let _ =
            writeln!(text, "- `{}` ({}): `{}`; {}", one.name, one.kind.mode(), one.command, one.configured);
    }
    text
}

/// For programs, with every run.
pub fn json(plan: &Plan, outcome: &Outcome) -> Value {
    let tables = plan.cases.iter().zip(&outcome.tables);
    let cases: Vec<Value> =
        tables.map(|(case, columns)| table::json(case, columns, plan.baseline(case))).collect();
    json!({
        "label": plan.label,
        "machine": machine::fingerprint(),
        "versions": versions(plan),
        "rounds": plan.rounds,
        "seconds": plan.bench.seconds,
        "warmup_ms": plan.bench.warmup_ms,
        "realtime": plan.bench.realtime,
        "seed": plan.seed,
        "absent": absent(plan),
        "failures": outcome.failures,
        "targets": targets::json(&targets::lines(plan, outcome)),
        "cases": cases,
    })
}

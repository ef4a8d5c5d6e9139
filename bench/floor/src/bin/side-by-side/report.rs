//! The whole result as text: the machine, the way it was measured, a table for each case, the commands.

use std::fmt::Write;

use serde_json::{Value, json};

use crate::Outcome;
use crate::machine;
use crate::plan::Plan;
use crate::table;

/// For people.
pub fn markdown(plan: &Plan, outcome: &Outcome) -> String {
    let machine = machine::fingerprint();
    let fact = |name: &str| machine[name].to_string().trim_matches('"').to_string();
    let mut text = format!(
        "# {}\n\nLinux {} on {}, {} cores, {}; {}.\n{} rounds of {} s after {} ms, 100 ms windows, seed {}{}; server on core 0, \
         client on core 1.\n\n",
        plan.label,
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
    );
    for (title, lines) in [("Absent", &plan.absent), ("Failed", &outcome.failures)] {
        if !lines.is_empty() {
            let _ = writeln!(text, "{title}: {}.\n", lines.join("; "));
        }
    }
    for (case, columns) in plan.cases.iter().zip(&outcome.tables) {
        let _ = writeln!(text, "{}", table::markdown(case, columns, plan.baseline(case)));
    }
    text.push_str("## Commands\n\n");
    for one in &plan.contenders {
        let _ = writeln!(text, "- `{}` ({}): `{}`", one.name, one.kind.mode(), one.command);
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
        "rounds": plan.rounds,
        "seconds": plan.bench.seconds,
        "warmup_ms": plan.bench.warmup_ms,
        "realtime": plan.bench.realtime,
        "seed": plan.seed,
        "absent": plan.absent,
        "failures": outcome.failures,
        "cases": cases,
    })
}

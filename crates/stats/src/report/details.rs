//! What stands below the charts of the page: everything that was counted, and where and how it ran.
//!
//! Every text that comes from a result goes through `escape`; what is written here does not need to.

use super::Run;
use crate::outcome::Outcome;
use crate::plot::escape;
use crate::text::{bytes, count, duration, percent};
use std::fmt::Write;

/// Both, folded; with the letter of the run where there are several.
pub(super) fn details(out: &mut String, run: &Run<'_>, several: bool) {
    let whose = if several { format!("{}: ", run.letter) } else { String::new() };
    let _ = writeln!(out, "<details>\n<summary>{whose}All counts</summary>");
    counts(out, run.outcome);
    let _ = writeln!(out, "</details>\n<details>\n<summary>{whose}Where and how it ran</summary>");
    environment(out, run.outcome);
    out.push_str("</details>\n");
}

fn counts(out: &mut String, outcome: &Outcome) {
    let Outcome { errors, verify, status, connections, arrivals, rate, generator, .. } = outcome;
    let share = |part: u64| {
        if arrivals.due == 0 {
            String::new()
        } else {
            format!(" ({})", percent(part as f64 / arrivals.due as f64))
        }
    };
    let number = |name: &'static str, value: u64| (name, count(value));
    let of_due = |name: &'static str, value: u64| (name, count(value) + &share(value));
    let mut groups = vec![
        (
            "Arrivals",
            vec![
                number("due", arrivals.due),
                of_due("sent", arrivals.sent),
                of_due("answered", arrivals.answered),
                of_due("waited for a connection", arrivals.waited),
                of_due("dropped", arrivals.dropped),
                of_due("overflowed", arrivals.overflowed),
                number("answered in the warm-up", arrivals.warmup),
            ],
        ),
        (
            "Errors",
            vec![
                number("refused", errors.refused),
                number("reset", errors.reset),
                number("timeout", errors.timeout),
                number("short", errors.short),
                number("mismatch", errors.mismatch),
                number("status", errors.status),
            ],
        ),
        (
            "Connections",
            vec![
                number("opened", connections.opened),
                number("held at the end", connections.held),
                number("lost", connections.lost),
                number("closed as asked", connections.ended),
            ],
        ),
        (
            "Bytes",
            vec![
                ("received", bytes(rate.received_bytes_per_s) + "/s"),
                ("sent", bytes(rate.sent_bytes_per_s) + "/s"),
            ],
        ),
    ];
    let verified = if verify.on {
        vec![
            ("compared", bytes(verify.checked_bytes as f64)),
            number("corrupt", verify.corrupt),
            number("short", verify.short),
            ("extra", bytes(verify.extra as f64)),
            number("reordered", verify.reordered),
            number("duplicated", verify.duplicated),
            number("lost", verify.lost),
        ]
    } else {
        vec![("compared", "nothing (--no-verify)".to_string())]
    };
    groups.push(("Verification", verified));
    if outcome.asked.protocol == "http" {
        groups.push((
            "HTTP answers",
            vec![
                number("1xx", status.informational),
                number("2xx", status.success),
                number("3xx", status.redirection),
                number("4xx", status.client_error),
                number("5xx", status.server_error),
            ],
        ));
    }
    let mut cost = vec![
        ("CPU time", duration(generator.cpu_ns as f64)),
        ("spun", duration(generator.spun_ns as f64)),
        ("busiest shard", percent(generator.busy_max)),
    ];
    if let Some(enters) = generator.enters_per_request {
        cost.push(("io_uring_enter per request", format!("{enters:.3}")));
    }
    if let Some(ks) = arrivals.gaps_ks {
        cost.push((
            "gaps from the arrival law (KS)",
            format!("{ks:.3} of {} gaps", count(arrivals.gaps_count)),
        ));
    }
    groups.push(("Generator", cost));
    out.push_str("<div class=\"groups\">\n");
    for (name, rows) in groups {
        let _ = writeln!(out, "<section><h3>{name}</h3>\n<table><tbody>");
        for (name, value) in rows {
            let _ = writeln!(out, "<tr><th>{name}</th><td>{}</td></tr>", escape(&value));
        }
        out.push_str("</tbody></table></section>\n");
    }
    out.push_str("</div>\n");
}

fn environment(out: &mut String, outcome: &Outcome) {
    let environment = &outcome.environment;
    let command_line: Vec<String> = environment.command_line.iter().map(|word| quoted(word)).collect();
    let cores: Vec<String> = outcome
        .generator
        .cores
        .iter()
        .map(|core| core.map_or("not pinned".to_string(), |core| core.to_string()))
        .collect();
    let asked = &outcome.asked;
    let rows = [
        ("command line", command_line.join(" ")),
        ("URL", asked.url.clone()),
        ("address", asked.address.clone()),
        ("protocol", asked.protocol.clone()),
        ("late / mode / idle", format!("{} / {} / {}", asked.late, asked.mode, asked.idle)),
        (
            "request, timeout",
            format!("{}, {}", bytes(asked.request_bytes as f64), duration(asked.timeout_ns as f64)),
        ),
        ("program", environment.program.clone()),
        ("version", outcome.version.clone()),
        ("kernel", environment.kernel.clone()),
        ("CPU", format!("{} x {}", environment.cpus, environment.cpu_model)),
        ("shards", asked.shards.to_string()),
        ("their cores", cores.join(", ")),
        ("clock source", environment.clocksource.clone()),
        ("governor", environment.governor.clone().unwrap_or_else(|| "-".to_string())),
        ("ring", environment.ring_tier.clone()),
    ];
    table(out, rows.iter().map(|(name, value)| (*name, value.as_str())));
    if !environment.mitigations.is_empty() {
        out.push_str("<h3>CPU vulnerabilities</h3>\n");
        table(out, environment.mitigations.iter().map(|(name, state)| (name.as_str(), state.as_str())));
    }
    if !environment.changes.is_empty() {
        out.push_str("<h3>Kernel counters that changed over the measured time</h3>\n");
        let changes: Vec<(&str, String)> = environment
            .changes
            .iter()
            .map(|change| (change.name.as_str(), format!("{:+}", change.by)))
            .collect();
        table(out, changes.iter().map(|(name, by)| (*name, by.as_str())));
    }
}

fn table<'a>(out: &mut String, rows: impl Iterator<Item = (&'a str, &'a str)>) {
    out.push_str("<table><tbody>\n");
    for (name, value) in rows {
        let _ = writeln!(
            out,
            "<tr><th class=\"words\">{}</th><td class=\"words\">{}</td></tr>",
            escape(name),
            escape(value)
        );
    }
    out.push_str("</tbody></table>\n");
}

/// A word as a shell would read it back.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_string()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_line_can_be_typed_again() {
        let typed = ["ringmill-load", "echo://127.0.0.1:9", "it's", "", "a b"];
        assert_eq!(typed.map(quoted).join(" "), "ringmill-load echo://127.0.0.1:9 'it'\\''s' '' 'a b'");
    }
}

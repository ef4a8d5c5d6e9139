//! The words and tables of the page: what was measured, the verdict, the figures, a comparison, and where it ran.
//!
//! Every text that comes from a result goes through `escape`; what is written here does not need to.

use super::{Comparison, Run};
use crate::outcome::{Command, Outcome, Quantile, State};
use crate::plot::escape;
use crate::text::{bytes, count, duration, percent, rate};
use std::fmt::Write;

/// What was run, in words that the URL follows.
pub(super) fn command(outcome: &Outcome) -> &'static str {
    match outcome.command {
        Command::Run => "Load of",
        Command::Search => "Highest rate of",
        Command::Hold => "Connections held open to",
    }
}

/// What was measured, whether it is worth believing, and the figures.
pub(super) fn head(out: &mut String, run: &Run<'_>, several: bool) {
    let outcome = run.outcome;
    if several {
        let (url, name) = (escape(&outcome.asked.url), escape(run.name));
        let _ = writeln!(
            out,
            "<h2>{}: {name}</h2>\n<p class=\"asked\">{} {url}</p>",
            run.letter,
            command(outcome)
        );
    } else {
        let _ = writeln!(out, "<p class=\"asked\">{}</p>", escape(run.name));
    }
    verdict(out, outcome);
    let _ = writeln!(out, "<p class=\"asked\">{}</p>", escape(&asked(outcome)));
    big(out, outcome);
    latencies(out, outcome);
}

/// What stands below the charts: everything that was counted, and where it ran.
pub(super) fn details(out: &mut String, run: &Run<'_>, several: bool) {
    let whose = if several { format!("{}: ", run.letter) } else { String::new() };
    let _ = writeln!(out, "<details>\n<summary>{whose}All counts</summary>");
    counts(out, run.outcome);
    let _ = writeln!(out, "</details>\n<details>\n<summary>{whose}Where and how it ran</summary>");
    environment(out, run.outcome);
    out.push_str("</details>\n");
}

/// The rows of a comparison between the runs of these letters, with what speaks against it.
pub(super) fn comparison(out: &mut String, compared: &Comparison, [a, b]: [char; 2]) {
    for warning in &compared.warnings {
        let _ = writeln!(out, "<p class=\"warning\">Warning: {}</p>", escape(warning));
    }
    if compared.rows.is_empty() {
        return;
    }
    let _ = writeln!(
        out,
        "<div class=\"wide\"><table>\n<thead><tr><th></th><th>{a}</th><th>{b}</th><th>{b} against {a}</th><th>finding</th></tr></thead>\n<tbody>"
    );
    for row in &compared.rows {
        let [a, b] = [row.a, row.b].map(|figure| row.unit.text(figure));
        let [percent, ci95] = row.difference();
        let ci95 = if ci95.is_empty() { ci95 } else { format!("<small>{ci95}</small>") };
        let words = row.finding.words();
        let _ = writeln!(
            out,
            "<tr><th>{}</th><td>{a}</td><td>{b}</td><td>{percent}{ci95}</td><td>{words}</td></tr>",
            row.name
        );
    }
    let _ = writeln!(out, "</tbody></table></div>\n<p class=\"note\">{}</p>", escape(&compared.method));
}

fn verdict(out: &mut String, outcome: &Outcome) {
    let (sign, words) = match outcome.verdict.state {
        State::Valid => ("✓", "nothing speaks against these figures"),
        State::Degraded => ("!", "the figures hold with these reservations"),
        State::Invalid => ("✗", "the figures do not say what they are meant to"),
    };
    let class = outcome.verdict.state.name();
    let _ = writeln!(out, "<div class=\"verdict {class}\"><strong>{sign} {class}</strong>: {words}");
    if !outcome.verdict.reasons.is_empty() {
        out.push_str("<ul>\n");
        for reason in &outcome.verdict.reasons {
            let _ = writeln!(out, "<li>{}</li>", escape(reason));
        }
        out.push_str("</ul>\n");
    }
    out.push_str("</div>\n");
}

/// What was asked for, in a sentence.
fn asked(outcome: &Outcome) -> String {
    let asked = &outcome.asked;
    let mut text = match asked.arrivals.as_str() {
        "closed" => "Closed loop".to_string(),
        law => format!("{} arrivals, {}", law, asked.schedule),
    };
    if let Some(first) = text.get(..1).map(str::to_uppercase) {
        text.replace_range(..1, &first);
    }
    let _ = write!(
        text,
        "; {} connections, pipeline {}; {} measured after {} of warm-up; {}, seed {}.",
        count(asked.connections),
        asked.pipeline,
        duration(outcome.measured_ns as f64),
        duration(asked.warmup_ns as f64),
        date(outcome.began_unix_s),
        asked.seed
    );
    text
}

/// The figures that one looks for first.
fn big(out: &mut String, outcome: &Outcome) {
    let mut figures: Vec<(String, String)> = Vec::new();
    if let Some(search) = &outcome.search {
        let best = search.rate_per_s.map_or("none".to_string(), rate);
        let mut words = format!("highest rate with {}", search.slo);
        if let Some([low, high]) = search.ci95_per_s {
            let _ = write!(words, ", 95 %: {} to {}", rate(low), rate(high));
        }
        figures.push((best, format!("{words} (ended: {})", search.ended)));
    }
    let target =
        outcome.rate.target_per_s.map_or(String::new(), |target| format!(", of {} asked for", rate(target)));
    figures.push((rate(outcome.rate.achieved_per_s), format!("answered{target}")));
    let response = &outcome.latency.response;
    for (value, name) in [(response.p50_ns, "p50"), (response.p99_ns, "p99"), (response.max_ns, "max")] {
        if let Some(ns) = value {
            figures.push((duration(ns as f64), format!("response {name}")));
        }
    }
    figures.push((count(outcome.errors.sum()), "errors".to_string()));
    if let Some(ns) = outcome.generator.cpu_ns_per_request {
        figures.push((duration(ns), "CPU of the generator per request".to_string()));
    }
    if outcome.command == Command::Hold {
        figures.push((count(outcome.connections.held), "connections held".to_string()));
        figures.push((count(outcome.connections.lost), "connections lost".to_string()));
    }
    out.push_str("<div class=\"big\">\n");
    for (figure, words) in figures {
        let _ = writeln!(out, "<div><b>{}</b><span>{}</span></div>", escape(&figure), escape(&words));
    }
    out.push_str("</div>\n");
}

fn latencies(out: &mut String, outcome: &Outcome) {
    if outcome.latency.each().iter().all(|(_, latency)| latency.count == 0) {
        return;
    }
    out.push_str(
        "<div class=\"wide\"><table>\n<thead><tr><th>latency</th><th>samples</th><th>mean</th><th>p50</th><th>p90</th><th>p99</th>\
         <th>p99.9</th><th>p99.99</th><th>max</th></tr></thead>\n<tbody>\n",
    );
    for (name, latency) in outcome.latency.each() {
        if latency.count == 0 {
            continue;
        }
        let mean = latency.mean_ns.map_or("-".to_string(), duration);
        let _ = write!(out, "<tr><th>{name}</th><td>{}</td><td>{mean}</td>", count(latency.count));
        for Quantile { value_ns, ci95_ns, .. } in latency.quantiles() {
            out.push_str(&quantile(value_ns, ci95_ns));
        }
        let _ = writeln!(
            out,
            "<td>{}</td></tr>",
            latency.max_ns.map_or("-".to_string(), |ns| duration(ns as f64))
        );
    }
    out.push_str("</tbody></table></div>\n");
}

/// A quantile with its interval below it.
fn quantile(value: Option<u64>, ci95: Option<[u64; 2]>) -> String {
    let Some(ns) = value else {
        return "<td title=\"fewer than 20 samples lie beyond it\">-</td>".to_string();
    };
    let interval = ci95.map_or(String::new(), |ends| {
        let [low, high] = ends.map(|ns| duration(ns as f64));
        format!("<small>{low} to {high}</small>")
    });
    format!("<td>{}{interval}</td>", duration(ns as f64))
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
    for (name, rows) in groups {
        let _ = writeln!(out, "<h3>{name}</h3>\n<table><tbody>");
        for (name, value) in rows {
            let _ = writeln!(out, "<tr><th>{name}</th><td>{}</td></tr>", escape(&value));
        }
        out.push_str("</tbody></table>\n");
    }
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
        ("program", format!("{} (ringmill-load {})", environment.program, outcome.version)),
        ("kernel", environment.kernel.clone()),
        ("CPU", format!("{} x {}", environment.cpus, environment.cpu_model)),
        ("cores used", format!("{} ({} shards)", cores.join(", "), asked.shards)),
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

/// Seconds since 1970 as a date and a time in UTC (Hinnant, "chrono-compatible low-level date algorithms", `civil_from_days`).
fn date(unix_s: u64) -> String {
    let (days, second) = (unix_s / 86_400 + 719_468, unix_s % 86_400);
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (year, month) = if month < 10 { (year, month + 3) } else { (year + 1, month - 9) };
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC", era * 400 + year)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_that_of_the_calendar() {
        for (unix_s, expected) in [
            (0, "1970-01-01 00:00:00 UTC"),
            (951_782_399, "2000-02-28 23:59:59 UTC"),
            (951_782_400, "2000-02-29 00:00:00 UTC"),
            (1_772_323_200, "2026-03-01 00:00:00 UTC"),
            (4_107_542_399, "2100-02-28 23:59:59 UTC"),
            (4_107_542_400, "2100-03-01 00:00:00 UTC"),
        ] {
            assert_eq!(date(unix_s), expected, "{unix_s}");
        }
    }

    #[test]
    fn a_command_line_can_be_typed_again() {
        let typed = ["ringmill-load", "echo://127.0.0.1:9", "it's", "", "a b"];
        assert_eq!(typed.map(quoted).join(" "), "ringmill-load echo://127.0.0.1:9 'it'\\''s' '' 'a b'");
    }
}

//! The head of the page for each result: what was measured, the verdict, the figures; and a comparison.
//!
//! Every text that comes from a result goes through `escape`; what is written here does not need to.

use super::{Comparison, Run};
use crate::outcome::{Command, Latency, Outcome, Quantile, State};
use crate::plot::escape;
use crate::text::{count, duration, rate};
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
        "<div class=\"wide\"><table class=\"figures\">\n<thead><tr><th></th><th>{a}</th><th>{b}</th><th>{b} against {a}</th><th>finding</th></tr></thead>\n<tbody>"
    );
    for row in &compared.rows {
        let [a, b] = [row.a, row.b].map(|figure| row.unit.text(figure));
        let [percent, ci95] = row.difference();
        let ci95 = if ci95.is_empty() { ci95 } else { small(&ci95) };
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
        _ if outcome.command == Command::Hold && outcome.arrivals.due == 0 => "Nothing was asked".to_string(),
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
    if outcome.command != Command::Hold || outcome.arrivals.due > 0 {
        figures.push((rate(outcome.rate.achieved_per_s), format!("answered{target}")));
    }
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

/// A column for each histogram that has a sample, so that a telephone has room for them.
fn latencies(out: &mut String, outcome: &Outcome) {
    let shown: Vec<(&str, &Latency)> =
        outcome.latency.each().into_iter().filter(|(_, latency)| latency.count > 0).collect();
    if shown.is_empty() {
        return;
    }
    let row = |out: &mut String, name: &str, cell: &dyn Fn(&Latency) -> String| {
        let cells: String = shown.iter().map(|(_, latency)| cell(latency)).collect();
        let _ = writeln!(out, "<tr><th>{name}</th>{cells}</tr>");
    };
    let time = |ns: Option<f64>| format!("<td>{}</td>", ns.map_or("-".to_string(), duration));
    let names: String = shown.iter().map(|(name, _)| format!("<th>{name}</th>")).collect();
    let quantiles = Latency::default().quantiles();
    out.push_str("<div class=\"wide\"><table class=\"figures\">\n<thead><tr><th>latency</th>");
    let _ = writeln!(out, "{names}</tr></thead>\n<tbody>");
    for (at, Quantile { name, .. }) in quantiles.into_iter().enumerate() {
        row(out, name, &|latency| quantile(latency.quantiles()[at]));
    }
    row(out, "max", &|latency| time(latency.max_ns.map(|ns| ns as f64)));
    row(out, "mean", &|latency| time(latency.mean_ns));
    row(out, "samples", &|latency| format!("<td>{}</td>", count(latency.count)));
    out.push_str("</tbody></table></div>\n");
}

/// A quantile with its interval below it.
fn quantile(quantile: Quantile) -> String {
    let Some(ns) = quantile.value_ns else {
        return "<td title=\"fewer than 20 samples lie beyond it\">-</td>".to_string();
    };
    let interval = quantile.ci95_ns.map_or(String::new(), |ends| {
        let [low, high] = ends.map(|ns| duration(ns as f64));
        small(&format!("{low} to {high}"))
    });
    format!("<td>{}{interval}</td>", duration(ns as f64))
}

/// An interval below its figure, which may be broken before the `to` and nowhere else.
fn small(interval: &str) -> String {
    format!("<small>{}</small>", interval.replace(' ', "\u{a0}").replace("\u{a0}to", " to"))
}

/// Seconds since 1970 as a date and a time in UTC (Hinnant, "chrono-compatible low-level date algorithms", `civil_from_days`).
pub(crate) fn date(unix_s: u64) -> String {
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
}

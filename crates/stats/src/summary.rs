//! The table that ends a run: a result in plain text for a terminal of 100 columns.
//!
//! ASCII, no colour, no cursor movement: it reads the same in a file. A figure that the samples do not carry is `-`. What did not
//! happen has no line, so that a line of errors is one of errors. The same result gives the same bytes.

use crate::outcome::{Command, Generator, Hold, Latency, Outcome};
use crate::text::{aligned, bytes, count, duration, percent, plural, rate};
use crate::verdict::GAPS_MIN;
use std::fmt::Write;

/// The whole table, with the verdict last.
pub fn text(outcome: &Outcome) -> String {
    let mut out = String::new();
    head(&mut out, outcome);
    latencies(&mut out, outcome);
    let facts = [
        ("rate", rate_line(outcome)),
        ("arrivals", arrivals_line(outcome)),
        ("errors", errors_line(outcome)),
        ("status", status_line(outcome)),
        ("verify", verify_line(outcome)),
        ("connections", connections_line(outcome)),
        ("generator", generator_line(&outcome.generator)),
        ("search", search_line(outcome)),
        ("refused", outcome.hold.as_ref().and_then(|hold| counts(&hold.refused.each()))),
        ("lost", outcome.hold.as_ref().and_then(|hold| counts(&hold.lost.each()))),
        ("heartbeats", outcome.hold.as_ref().and_then(heartbeats_line)),
        ("memory", outcome.hold.as_ref().and_then(memory_line)),
        ("server pings", outcome.hold.as_ref().and_then(pongs_line)),
        ("errors said", outcome.hold.as_ref().and_then(codes_line)),
        ("echo once", outcome.hold.as_ref().and_then(echo_line)),
        ("muted", outcome.hold.as_ref().and_then(muted_line)),
        ("closing", outcome.hold.as_ref().and_then(closing_line)),
    ];
    for (name, fact) in facts {
        if let Some(fact) = fact {
            wrapped(&mut out, name, &fact);
        }
    }
    out.push('\n');
    wrapped(&mut out, "verdict", outcome.verdict.state.name());
    for reason in &outcome.verdict.reasons {
        wrapped(&mut out, "", reason);
    }
    out
}

const WIDTH: usize = 100;
const LABEL: usize = 13;
const CELL: usize = 10;

fn head(out: &mut String, outcome: &Outcome) {
    let asked = &outcome.asked;
    if outcome.command == Command::Hold {
        let held = outcome.hold.as_ref().map_or(0, |hold| hold.opening_ns);
        let _ = writeln!(
            out,
            "{}: {} opened in {} and held for {}, {}\n",
            asked.url,
            plural(asked.connections, "connection"),
            duration(held as f64),
            duration(outcome.measured_ns.saturating_sub(held) as f64),
            plural(asked.shards, "shard"),
        );
        return;
    }
    let pace = if outcome.rate.target_per_s.is_some() {
        format!("{} {}", asked.arrivals, asked.schedule)
    } else {
        "closed loop".to_owned()
    };
    let warmup = match asked.warmup_ns {
        0 => String::new(),
        ns => format!(" after {} of warm-up", duration(ns as f64)),
    };
    let said = format!(
        "{}: {pace}, {}{warmup}, {}, {}",
        asked.url,
        duration(outcome.measured_ns as f64),
        plural(asked.connections, "connection"),
        plural(asked.shards, "shard"),
    );
    let pipeline = if asked.pipeline > 1 { format!(", pipeline {}", asked.pipeline) } else { String::new() };
    let _ = writeln!(out, "{said}{pipeline}\n");
}

fn latencies(out: &mut String, outcome: &Outcome) {
    if outcome.latency.each().iter().all(|(_, latency)| latency.count == 0) {
        return;
    }
    let _ = write!(out, "{:LABEL$}", "");
    for name in ["p50", "p90", "p99", "p99.9", "p99.99", "max"] {
        let _ = write!(out, "{name:>CELL$}");
    }
    let _ = writeln!(out, "   95 % of p99");
    for (name, latency) in outcome.latency.each() {
        if latency.count > 0 {
            latency_line(out, name, latency);
        }
    }
    out.push('\n');
}

fn latency_line(out: &mut String, name: &str, latency: &Latency) {
    let cell = |value: Option<u64>| value.map_or("-".to_owned(), |ns| aligned(ns as f64));
    let _ = write!(out, "{:LABEL$}", name.replace('_', " "));
    for quantile in latency.quantiles() {
        let _ = write!(out, "{:>CELL$}", cell(quantile.value_ns));
    }
    let _ = write!(out, "{:>CELL$}", cell(latency.max_ns));
    if let Some([low, high]) = latency.ci95.p99_ns {
        let _ = write!(out, "   {} .. {}", aligned(low as f64), aligned(high as f64));
    }
    out.push('\n');
}

fn rate_line(outcome: &Outcome) -> Option<String> {
    let achieved = outcome.rate.achieved_per_s;
    if outcome.command == Command::Hold && outcome.arrivals.due == 0 {
        return None;
    }
    let of_target = match outcome.rate.target_per_s {
        Some(target) if target > 0.0 => {
            format!("{} of {} ({})", rate(achieved), rate(target), percent(achieved / target))
        }
        _ => rate(achieved),
    };
    let (received, sent) = (outcome.rate.received_bytes_per_s, outcome.rate.sent_bytes_per_s);
    Some(format!("{of_target}; received {}/s, sent {}/s", bytes(received), bytes(sent)))
}

fn arrivals_line(outcome: &Outcome) -> Option<String> {
    let arrivals = outcome.arrivals;
    let more = [
        ("waited for a connection", arrivals.waited),
        ("dropped", arrivals.dropped),
        ("overflowed", arrivals.overflowed),
    ];
    let more = more
        .iter()
        .filter(|(_, n)| *n > 0)
        .map(|(what, n)| format!(", {} {what}", count(*n)))
        .collect::<String>();
    let gaps = arrivals.gaps_ks.filter(|_| arrivals.gaps_count >= GAPS_MIN);
    let gaps = gaps.map_or(String::new(), |ks| format!("; gaps {ks:.3} from the law (KS)"));
    (arrivals.due > 0).then(|| {
        format!(
            "{} due, {} sent, {} answered{more}{gaps}",
            count(arrivals.due),
            count(arrivals.sent),
            count(arrivals.answered)
        )
    })
}

fn errors_line(outcome: &Outcome) -> Option<String> {
    let errors = outcome.errors;
    counts(&[
        ("refused", errors.refused),
        ("reset", errors.reset),
        ("timeout", errors.timeout),
        ("short", errors.short),
        ("mismatch", errors.mismatch),
        ("status", errors.status),
    ])
}

fn status_line(outcome: &Outcome) -> Option<String> {
    let status = outcome.status;
    counts(&[
        ("1xx", status.informational),
        ("2xx", status.success),
        ("3xx", status.redirection),
        ("4xx", status.client_error),
        ("5xx", status.server_error),
    ])
}

fn verify_line(outcome: &Outcome) -> Option<String> {
    let verify = outcome.verify;
    if outcome.command == Command::Hold {
        return None;
    }
    if !verify.on {
        return Some("off (--no-verify): answers were counted, not compared".to_owned());
    }
    let wrong = counts(&[
        ("corrupt", verify.corrupt),
        ("short", verify.short),
        ("extra bytes", verify.extra),
        ("reordered", verify.reordered),
        ("duplicated", verify.duplicated),
        ("lost", verify.lost),
    ]);
    let compared = format!("{} compared", plural(verify.checked_bytes, "byte"));
    match wrong {
        Some(wrong) => Some(format!("{compared}, {wrong}")),
        None => (verify.checked_bytes > 0).then(|| format!("{compared}, all as they were to be")),
    }
}

fn connections_line(outcome: &Outcome) -> Option<String> {
    let connections = outcome.connections;
    let mut said = format!("{} opened, {} held", count(connections.opened), count(connections.held));
    for (what, n) in [("lost", connections.lost), ("ended as asked", connections.ended)] {
        if n > 0 {
            let _ = write!(said, ", {} {what}", count(n));
        }
    }
    Some(said)
}

fn generator_line(generator: &Generator) -> Option<String> {
    let cores: Vec<String> = generator.cores.iter().flatten().map(u64::to_string).collect();
    let mut said = match cores.len() {
        0 => "not pinned".to_owned(),
        1 => format!("core {}", cores[0]),
        _ => format!("cores {}", cores.join(",")),
    };
    let _ = write!(said, ", busiest {}", percent(generator.busy_max));
    if let Some(ns) = generator.cpu_ns_per_request {
        let _ = write!(said, ", {} of CPU a request", duration(ns));
    }
    if let Some(enters) = generator.enters_per_request {
        // A closed loop serves many requests with one enter.
        let _ = match enters {
            0.0 => Ok(()),
            few if few < 0.5 => write!(said, ", {:.0} requests an enter", 1.0 / few),
            _ => write!(said, ", {enters:.2} enters a request"),
        };
    }
    if generator.spun_ns > 0 {
        let _ = write!(said, ", spun {}", duration(generator.spun_ns as f64));
    }
    Some(said)
}

fn search_line(outcome: &Outcome) -> Option<String> {
    let search = outcome.search.as_ref()?;
    let Some(found) = search.rate_per_s else {
        // Where it ended otherwise, the rates below were not tried, or not often enough.
        let known = if search.ended == "floor" { "no rate keeps" } else { "no rate is known to keep" };
        return Some(format!("{known} {} ({})", search.slo, search.ended));
    };
    let interval = search
        .ci95_per_s
        .map_or(String::new(), |[low, high]| format!(", 95 % {} .. {}", rate(low), rate(high)));
    Some(format!("{} keeps {}{interval} ({})", rate(found), search.slo, search.ended))
}

fn heartbeats_line(hold: &Hold) -> Option<String> {
    let beats = hold.heartbeats;
    let every = duration(beats.every_ns? as f64);
    let mut said = format!("every {every}, {} sent, {} answered", count(beats.sent), count(beats.answered));
    for (what, n) in [("late", beats.late), ("of another class than 2", beats.status)] {
        if n > 0 {
            let _ = write!(said, ", {} {what}", count(n));
        }
    }
    Some(said)
}

fn memory_line(hold: &Hold) -> Option<String> {
    hold.bytes_per_connection.map(|each| format!("{} a connection, in this process", bytes(each)))
}

fn pongs_line(hold: &Hold) -> Option<String> {
    hold.frames.as_ref().map(|frames| format!("{} answered", count(frames.pongs)))
}

fn codes_line(hold: &Hold) -> Option<String> {
    let errors = &hold.frames.as_ref()?.errors;
    let said = errors.iter().map(|error| format!("{} of code {}", count(error.count), error.code));
    (!errors.is_empty()).then(|| said.collect::<Vec<_>>().join(", "))
}

fn echo_line(hold: &Hold) -> Option<String> {
    let echo = hold.frames.as_ref()?.echo?;
    let took = match echo.took_ns {
        0 => "the hold ended before the last".to_owned(),
        ns => format!("in {}", duration(ns as f64)),
    };
    let (answered, sent, failed) = (count(echo.answered), count(echo.sent), count(echo.failed));
    Some(format!("{answered} of {sent} came back, {failed} failed, {took}"))
}

fn muted_line(hold: &Hold) -> Option<String> {
    let muted = hold.frames.as_ref()?.muted?;
    let mut said = format!("{} fell silent, the server found {}", count(muted.muted), count(muted.found));
    if let (Some(min), Some(p50), Some(max)) = (muted.silent_min_ns, muted.silent_p50_ns, muted.silent_max_ns)
    {
        let ms = |ns: u64| count(ns / 1_000_000);
        let _ = write!(said, " after {} to {} ms, median {} ms", ms(min), ms(max), ms(p50));
    }
    Some(said)
}

fn closing_line(hold: &Hold) -> Option<String> {
    hold.closing_ns.map(|ns| format!("all closed in {}", duration(ns as f64)))
}

/// `3 reset, 1 timeout`, of what is not 0; `None` when all are.
fn counts(named: &[(&str, u64)]) -> Option<String> {
    let said: Vec<String> =
        named.iter().filter(|(_, n)| *n > 0).map(|(name, n)| format!("{} {name}", count(*n))).collect();
    (!said.is_empty()).then(|| said.join(", "))
}

/// A label and a text that goes on below itself where it is too long for the line.
fn wrapped(out: &mut String, label: &str, text: &str) {
    let _ = write!(out, "{label:LABEL$}");
    let mut column = LABEL;
    for (at, word) in text.split(' ').enumerate() {
        if at > 0 && column + 1 + word.len() > WIDTH {
            let _ = write!(out, "\n{:LABEL$}", "");
            column = LABEL;
        } else if at > 0 {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += word.len();
    }
    out.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::{Asked, Environment};
    use crate::{sample, verdict};

    /// Set `RINGMILL_BLESS=1` to write what is said now, and look at the difference.
    fn check(name: &str, outcome: &Outcome) {
        let path = format!("{}/tests/golden/{name}", env!("CARGO_MANIFEST_DIR"));
        let said = text(outcome);
        assert!(
            said.lines().all(|line| line.len() <= WIDTH || line.starts_with("http")),
            "too wide:\n{said}"
        );
        assert!(said.is_ascii() && !said.lines().any(|line| line.ends_with(' ')), "{said}");
        if std::env::var_os("RINGMILL_BLESS").is_some() {
            std::fs::write(&path, &said).expect("the file can be written");
        }
        assert_eq!(said, std::fs::read_to_string(&path).expect(&path));
    }

    #[test]
    fn a_good_run_reads_as_it_should() {
        check("summary-good.txt", &sample::good());
    }

    #[test]
    fn a_bad_run_says_what_was_wrong_and_what_to_do() {
        let mut outcome = sample::good();
        outcome.rate.achieved_per_s = 9_312.4;
        outcome.arrivals.answered = 93_124;
        outcome.arrivals.waited = 4_100;
        outcome.latency.send_lag.p99_ns = Some(83_000);
        (outcome.errors.reset, outcome.errors.timeout) = (3, 12);
        (outcome.status.server_error, outcome.verify.corrupt, outcome.errors.mismatch) = (1, 2, 2);
        (outcome.connections.lost, outcome.connections.held) = (3, 61);
        outcome.verdict = verdict::judge(&outcome);
        check("summary-bad.txt", &outcome);
    }

    #[test]
    fn what_says_nothing_is_not_said() {
        let mut outcome = sample::good();
        outcome.generator.enters_per_request = Some(0.02);
        (outcome.asked.warmup_ns, outcome.arrivals.gaps_count, outcome.verify.checked_bytes) = (0, 99, 0);
        let said = text(&outcome);
        assert!(said.contains(", 50 requests an enter"), "{said}");
        for part in ["warm-up", "(KS)", "verify", "enters a request"] {
            assert!(!said.contains(part), "{part}: {said}");
        }
    }

    #[test]
    fn a_closed_loop_without_answers_has_no_figures() {
        let mut plan = sample::plan();
        (plan.law, plan.verify) = (None, false);
        plan.asked = Asked { arrivals: "closed".to_owned(), pipeline: 16, shards: 2, ..plan.asked };
        let mut end = sample::end();
        (end.expected, end.held, end.environment) = (None, 0, Environment::default());
        end.cost.cores = vec![None, None];
        (end.gaps, end.cost.spun_ns) = (Vec::new(), 0);
        check("summary-empty.txt", &crate::outcome::Build::new(plan).finish(end));
    }
}

//! A comparison as text: for a terminal of 100 columns, and as Markdown for a page of documentation.
//!
//! The terminal's is ASCII without colour and reads the same in a file. A figure that was not measured is `-`. The same result gives the
//! same bytes.

use super::{Figure, Group, Models, Variant, words};
use crate::text::{bytes, duration, plural, rate};
use std::fmt::Write;

/// For a terminal.
pub fn text(models: &Models) -> String {
    let mut out = String::new();
    wrapped(&mut out, "", &format!("{}.", asked(models)));
    for group in [Group::Closed, Group::Open, Group::Idle] {
        columns(&mut out, models, group);
    }
    for (name, sentences) in models.words() {
        let _ = writeln!(out, "\n{name} against {}", models.baseline);
        sentences.iter().for_each(|sentence| wrapped(&mut out, "  ", sentence));
    }
    for (head, lines) in [("warnings", &models.warnings), ("notes", &models.notes)] {
        if !lines.is_empty() {
            let _ = writeln!(out, "\n{head}");
            lines.iter().for_each(|line| wrapped(&mut out, "  ", line));
        }
    }
    out
}

/// As Markdown, with every ratio and interval.
pub fn markdown(models: &Models) -> String {
    let mut out = format!("# {}\n\n{}.\n", title(models), asked(models));
    for line in &models.warnings {
        let _ = writeln!(out, "\n> Warning: {}", cell(line));
    }
    for group in [Group::Closed, Group::Open, Group::Idle] {
        let figures = of_group(models, group);
        if figures.is_empty() {
            continue;
        }
        let _ = writeln!(out, "\n## {}\n", heading(models, group));
        let names: String = figures.iter().map(|figure| format!(" {} |", figure.name)).collect();
        let _ = writeln!(out, "| |{names}\n|---|{}", "---:|".repeat(figures.len()));
        for variant in models.served() {
            let cells: String =
                figures.iter().map(|figure| format!(" {} |", with_ratio(models, variant, figure))).collect();
            let _ = writeln!(out, "| {} |{cells}", cell(&variant.name));
        }
    }
    let _ = writeln!(out, "\n{METHOD}\n");
    for (name, sentences) in models.words() {
        let _ = writeln!(out, "**{}** against {}:\n", cell(&name), cell(&models.baseline));
        sentences.iter().for_each(|sentence| out += &format!("- {sentence}\n"));
        out.push('\n');
    }
    for variant in models.variants.iter().filter(|variant| !variant.flags.is_empty()) {
        let _ = writeln!(out, "- {}: `{}`", cell(&variant.name), variant.flags.join(" ").replace('`', "'"));
    }
    for note in &models.notes {
        let _ = writeln!(out, "- {}", cell(note));
    }
    let environment = &models.environment;
    let _ = writeln!(
        out,
        "\n{}, {} x {}, ringmill-load {}.",
        environment.kernel, environment.cpus, environment.cpu_model, models.version
    );
    out
}

/// How ratios come about, for who reads the tables.
pub(super) const METHOD: &str = "Figures are medians of the rounds. Below each is its ratio to that of the baseline: \
Hodges-Lehmann estimate over the pairs of rounds, with its interval of 95 % by signed ranks. A difference of less than 3 %, or an \
interval that holds 1, is no difference seen. One ratio of twenty lies outside of its interval by chance.";

/// What was compared.
pub(super) fn title(models: &Models) -> String {
    let names: Vec<&str> = models.variants.iter().map(|variant| variant.name.as_str()).collect();
    let service = &models.asked.service;
    match names.as_slice() {
        [] => service.clone(),
        [one] => format!("{service}: {one}"),
        [first @ .., last] if names.len() <= 6 => format!("{service}: {} and {last}", first.join(", ")),
        names => format!("{service}: {} variants", names.len()),
    }
}

/// How it was measured, in a sentence without its end.
pub(super) fn asked(models: &Models) -> String {
    let asked = &models.asked;
    let cores = |cores: &[u64]| cores.iter().map(u64::to_string).collect::<Vec<_>>().join(",");
    format!(
        "{}, {} a message, {}, pipeline {}; {} of {} after {} of warm-up, in an order shuffled by seed {}; server on core {}, load \
         on core {}{}",
        asked.service,
        bytes(asked.bytes as f64),
        plural(asked.connections, "connection"),
        asked.pipeline,
        plural(models.rounds, "round"),
        duration(asked.duration_ns as f64),
        duration(asked.warmup_ns as f64),
        asked.seed,
        cores(&asked.cores_server),
        cores(&asked.cores_load),
        if asked.verify { "" } else { "; answers were not compared" },
    )
}

/// What the figures of a group have in common.
pub(super) fn heading(models: &Models, group: Group) -> String {
    match group {
        Group::Closed => "As fast as it answers".to_owned(),
        Group::Open => format!("At {}, open loop", rate(models.rate_per_s)),
        Group::Idle if models.asked.service == "udp-echo" => "Before the first datagram".to_owned(),
        Group::Idle if models.asked.idle > models.asked.connections => {
            format!("With {} idle connections, then {}", models.asked.connections, models.asked.idle)
        }
        Group::Idle => format!("With {} idle connections", models.asked.connections),
    }
}

/// The figures of a group that some variant has.
pub(super) fn of_group(models: &Models, group: Group) -> Vec<&'static Figure> {
    models.figures().filter(|figure| figure.group == group).collect()
}

/// `0.95` and `0.93 to 0.97`, the second empty without an interval; nothing for the baseline, or where there is no ratio.
pub(super) fn ratio(models: &Models, variant: &Variant, figure: &Figure) -> Option<[String; 2]> {
    let comparison = models.comparison(&variant.name, figure)?;
    let interval = comparison.ci95.map(|ends| ends.map(words::times));
    let interval = interval.map_or(String::new(), |[low, high]| format!("{low} to {high}"));
    Some([words::times(comparison.ratio?), interval])
}

fn with_ratio(models: &Models, variant: &Variant, figure: &Figure) -> String {
    let median = figure.text(figure.median(variant));
    match ratio(models, variant, figure) {
        None => median,
        Some([ratio, interval]) if interval.is_empty() => format!("{median}<br>{ratio}"),
        Some([ratio, interval]) => format!("{median}<br>{ratio} ({interval})"),
    }
}

/// The medians of a group, a line for each variant.
fn columns(out: &mut String, models: &Models, group: Group) {
    let figures = of_group(models, group);
    if figures.is_empty() {
        return;
    }
    let _ = writeln!(out, "\n{}", heading(models, group));
    let longest = models.served().map(|variant| variant.name.chars().count()).max().unwrap_or(0);
    let names = longest.clamp(8, NAME);
    let _ = write!(out, "{:names$}", "");
    figures.iter().for_each(|figure| *out += &format!("{:>CELL$}", figure.short));
    out.push('\n');
    for variant in models.served() {
        let name: String = variant.name.chars().take(NAME).collect();
        let _ = write!(out, "{name:names$}");
        figures.iter().for_each(|figure| *out += &format!("{:>CELL$}", figure.text(figure.median(variant))));
        out.push('\n');
    }
}

/// A text that goes on below itself where it is too long for the line.
pub(crate) fn wrapped(out: &mut String, indent: &str, text: &str) {
    let mut column = 0;
    for word in text.split_whitespace() {
        if column > 0 && column + 1 + word.len() > WIDTH {
            let _ = write!(out, "\n{indent}  ");
            column = indent.len() + 2;
        } else if column > 0 {
            out.push(' ');
            column += 1;
        } else {
            out.push_str(indent);
            column = indent.len();
        }
        out.push_str(word);
        column += word.len();
    }
    out.push('\n');
}

/// A text within a cell or a line of Markdown.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('<', "&lt;").replace('\n', " ")
}

const WIDTH: usize = 100;
const NAME: usize = 28;
const CELL: usize = 12;

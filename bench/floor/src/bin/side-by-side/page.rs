//! The result of the peers' suite as one page that needs nothing but itself: what was to reach, plots and tables of each case, how each
//! contender is configured, who is absent and why.
//!
//! No script, no address of anything outside. The same run gives the same bytes.

use std::fmt::Write;

use stats::plot::{Axis, STYLE, Scale, Unit, escape};

use crate::Outcome;
use crate::cases::{Case, Load, Spin};
use crate::contenders::Contender;
use crate::dots::{Dot, Rank, plot};
use crate::figures::{Column, Measure};
use crate::machine;
use crate::plan::{OURS, Plan};
use crate::report;
use crate::table::{self, Table};
use crate::targets::{self, Line};

/// The page.
pub fn html(plan: &Plan, outcome: &Outcome) -> String {
    let mut out = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>Ringmill beside its peers, {0}</title>\n\
         <style>\n{LOOK}{STYLE}</style>\n</head>\n<body>\n<main>\n<h1>Ringmill beside its peers</h1>\n<p>{1}</p>\n<p>{WORDS}</p>\n",
        escape(&machine::day()),
        escape(&report::how(plan)),
    );
    let lines = targets::lines(plan, outcome);
    if !lines.is_empty() {
        write_targets(&mut out, &lines);
    }
    for (case, columns) in plan.cases.iter().zip(&outcome.tables) {
        write_case(&mut out, case, columns, plan.baseline(case));
    }
    write_contenders(&mut out, &plan.contenders);
    let _ = writeln!(out, "<p>Versions: {}.</p>", escape(&report::versions(plan).join(", ")));
    for (title, lines) in [("Absent", &report::absent(plan)), ("Failed", &outcome.failures)] {
        if !lines.is_empty() {
            let items: String = lines.iter().map(|line| format!("<li>{}</li>\n", escape(line))).collect();
            let _ = writeln!(out, "<h2>{title}</h2>\n<ul>\n{items}</ul>");
        }
    }
    out.push_str("</main>\n</body>\n</html>\n");
    out
}

fn write_targets(out: &mut String, lines: &[Line]) {
    out.push_str("<h2>What was to reach</h2>\n<div class=\"wide\"><table>\n<thead><tr><th>case</th><th class=\"words\">to reach</th>\
                  <th>measured</th><th></th></tr></thead>\n<tbody>\n");
    for line in lines {
        let word = line.verdict.word();
        let class = word.split(' ').next().unwrap_or_default();
        let _ = writeln!(
            out,
            "<tr><td>{}</td><td class=\"words\">{}</td><td>{}</td><td class=\"{class}\">{word}</td></tr>",
            escape(line.case),
            escape(&line.wanted),
            escape(&table::ratio(line.measured)),
        );
    }
    out.push_str("</tbody></table></div>\n");
}

fn write_case(out: &mut String, case: &Case, columns: &[Column], baseline: &str) {
    let _ = writeln!(out, "<h2>{}</h2>\n<p>{}.</p>", escape(case.name), escape(&table::words(case)));
    out.push_str("<div class=\"charts\">\n");
    for &measure in measures(case) {
        if let Some(drawn) = draw(case, columns, measure) {
            let _ = writeln!(out, "<figure>{drawn}</figure>");
        }
    }
    out.push_str("</div>\n");
    let Table { names, rows } = table::table(case, columns, baseline);
    let row = |cells: &[String], tag: &str| {
        let cells: String = cells.iter().map(|cell| format!("<{tag}>{}</{tag}>", escape(cell))).collect();
        format!("<tr>{cells}</tr>\n")
    };
    let body: String = rows.iter().map(|cells| row(cells, "td")).collect();
    let _ = writeln!(
        out,
        "<details><summary>All figures; ratios are against {}</summary>\n<div class=\"wide\"><table>\n<thead>{}</thead>\n\
         <tbody>{body}</tbody></table></div></details>",
        escape(baseline),
        row(&names, "th"),
    );
}

/// What of a case is drawn: what its target asks for.
fn measures(case: &Case) -> &'static [Measure] {
    match (case.load, case.spin) {
        (Load::Open, _) => &[Measure::P50, Measure::P99, Measure::P999, Measure::CpuNs],
        (Load::Idle, _) => &[Measure::MemoryEach, Measure::MemoryMany],
        (_, Spin::Nobody) => &[Measure::Rate, Measure::CpuNs],
        _ => &[Measure::P50, Measure::P99],
    }
}

/// Best first. `None` where nobody has a figure.
fn draw(case: &Case, columns: &[Column], measure: Measure) -> Option<String> {
    let dot = |column: &Column| {
        let range = column.over(|run| measure.of(run) * scale(measure))?;
        let name = column.contender.name.clone();
        let rank = rank(&column.contender);
        Some(Dot { name, range, rank })
    };
    let mut dots: Vec<Dot> = columns.iter().filter_map(dot).collect();
    dots.sort_by(|a, b| a.range.median.total_cmp(&b.range.median));
    if measure.more_is_better() {
        dots.reverse();
    }
    let ends = dots.iter().flat_map(|dot| [dot.range.low, dot.range.high]);
    let (label, scale, unit) = match measure {
        Measure::Rate => ("messages/s: more is better", Scale::Linear, Unit::Count),
        Measure::CpuNs => {
            ("CPU time of the server a message: less is better", Scale::Linear, Unit::Nanoseconds)
        }
        Measure::P50 | Measure::P99 | Measure::P999 => {
            ("from asking to the answer: less is better", Scale::Log, Unit::Nanoseconds)
        }
        Measure::MemoryEach => ("bytes a connection: less is better", Scale::Log, Unit::Count),
        Measure::MemoryMany => ("bytes: less is better", Scale::Log, Unit::Count),
    };
    let axis = Axis::fit(label, scale, unit, ends);
    (!dots.is_empty()).then(|| plot(&format!("{}: {}", case.name, measure.name()), &axis, &dots))
}

/// From the measure's unit to that of its axis.
fn scale(measure: Measure) -> f64 {
    if measure == Measure::MemoryMany { 1024.0 } else { 1.0 }
}

fn rank(contender: &Contender) -> Rank {
    match contender.name.as_str() {
        ours if ours.starts_with(OURS) => Rank::Ours,
        floor if targets::is_floor(floor) => Rank::Floor,
        _ => Rank::Peer,
    }
}

fn write_contenders(out: &mut String, contenders: &[Contender]) {
    out.push_str("<h2>How each is configured</h2>\n<div class=\"wide\"><table>\n<thead><tr><th>contender</th><th class=\"words\">speaks</th>\
                  <th class=\"words\">configured</th><th class=\"words\">command</th></tr></thead>\n<tbody>\n");
    for one in contenders {
        let _ = writeln!(
            out,
            "<tr><td>{}</td><td class=\"words\">{}</td><td class=\"words\">{}</td><td class=\"words\"><code>{}</code></td></tr>",
            escape(&one.name),
            one.kind.mode(),
            escape(&one.configured),
            escape(&one.command),
        );
    }
    out.push_str("</tbody></table></div>\n");
}

const WORDS: &str = "A dot is the median of the rounds, its bar goes from the lowest round to the highest. Ratios pair runs of the same \
round: median (lowest..highest), and with six rounds or more the interval of 95 % of the Hodges-Lehmann estimate. Differences under 3 % \
are ties. Open circles are floors: hand-written loops that answer anything, and so a bound on what a server could do, not servers.";

const LOOK: &str = "\
:root{color-scheme:light dark;--text:#1b1b1b;--soft:#595959;--back:#ffffff;--rule:#d0d0d0;--won:#00694d;--tie:#8a5a00;--lost:#b00020}
@media screen and (prefers-color-scheme:dark){:root{--text:#ececec;--soft:#a8a8a8;--back:#1a1a1a;--rule:#444444;--won:#4ad8ae;\
--tie:#ffb84d;--lost:#ff8080}}
*{box-sizing:border-box}
body{margin:0;background:var(--back);color:var(--text);font:15px/1.45 system-ui,-apple-system,'Segoe UI','DejaVu Sans',sans-serif}
main{max-width:1120px;margin:0 auto;padding:16px}
h1{font-size:1.45em;margin:.2em 0 .6em}
h2{font-size:1.15em;margin:1.6em 0 .2em}
p{max-width:80ch;margin:.4em 0}
.wide{overflow-x:auto;max-width:100%}
table{border-collapse:collapse;margin:8px 0;font-size:13px;font-variant-numeric:tabular-nums}
th,td{padding:4px 10px;text-align:right;vertical-align:top;border-bottom:1px solid var(--rule);white-space:nowrap}
th:first-child,td:first-child{text-align:left;padding-left:0}
thead th{color:var(--soft);font-weight:600}
td.words,th.words{text-align:left;white-space:normal;min-width:9ch}
td.won{color:var(--won);font-weight:600}td.tie{color:var(--tie);font-weight:600}td.lost{color:var(--lost);font-weight:600}
td.not{color:var(--soft)}
.charts{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,420px),1fr));gap:16px;margin:10px 0}
figure{margin:0;min-width:0}
figure svg{width:100%;max-width:660px;height:auto;display:block}
details{margin:6px 0}
summary{cursor:pointer;color:var(--soft)}
code{font:12px ui-monospace,'DejaVu Sans Mono',monospace;overflow-wrap:anywhere}
@media (max-width:600px){main{padding:10px}th,td{padding:3px 5px;white-space:normal}}
@media print{main{max-width:none}figure,tr{break-inside:avoid}details:not([open])::details-content{content-visibility:visible;height:auto}}
";

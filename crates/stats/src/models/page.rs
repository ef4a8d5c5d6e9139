//! A comparison as one HTML page that needs nothing but itself: words, tables, pictures.
//!
//! No script, no address of anything outside, no date but that of the run: the same result gives the same bytes. Every text that comes from
//! a result goes through `escape`; what is written here does not need to.

use super::table::{METHOD, asked, heading, of_group, ratio, title};
use super::{Figure, Group, Models, Variant, charts};
use crate::plot::escape;
use crate::report::{self, date};
use std::fmt::Write;

/// The page.
pub fn page(models: &Models) -> String {
    let title = title(models);
    let mut out = report::begin(&title);
    let _ = writeln!(out, "<h1>{}</h1>", escape(&title));
    let began = date(models.began_unix_s);
    let _ = writeln!(out, "<p class=\"asked\">{}; {began}.</p>", escape(&asked(models)));
    for warning in &models.warnings {
        let _ = writeln!(out, "<p class=\"warning\">{}</p>", escape(warning));
    }
    for (name, sentences) in models.words() {
        let _ = writeln!(out, "<h2>{} against {}</h2>\n<ul>", escape(&name), escape(&models.baseline));
        sentences.iter().for_each(|sentence| out += &format!("<li>{}</li>\n", escape(sentence)));
        out.push_str("</ul>\n");
    }
    for group in [Group::Closed, Group::Open, Group::Idle] {
        figures(&mut out, models, group);
    }
    let _ = writeln!(out, "<p class=\"note\">{METHOD}</p>");
    details(&mut out, models);
    report::end(&mut out);
    out
}

/// The table of a group, and its pictures.
fn figures(out: &mut String, models: &Models, group: Group) {
    let figures = of_group(models, group);
    if figures.is_empty() {
        return;
    }
    let _ = writeln!(
        out,
        "<h2>{}</h2>\n<div class=\"wide\"><table class=\"figures\">",
        escape(&heading(models, group))
    );
    out.push_str("<thead><tr><th></th>");
    figures.iter().for_each(|figure| *out += &format!("<th class=\"narrow\">{}</th>", escape(figure.name)));
    out.push_str("</tr></thead>\n<tbody>\n");
    for variant in models.served() {
        let cells: String = figures.iter().map(|figure| cell(models, variant, figure)).collect();
        let _ = writeln!(out, "<tr><th>{}</th>{cells}</tr>", escape(&variant.name));
    }
    out.push_str("</tbody></table></div>\n<div class=\"charts\">\n");
    for picture in figures.iter().flat_map(|figure| charts::of(models, figure)) {
        let _ = writeln!(out, "<figure>{}</figure>", picture.inline());
    }
    out.push_str("</div>\n");
}

fn cell(models: &Models, variant: &Variant, figure: &Figure) -> String {
    let median = escape(&figure.text(figure.median(variant)));
    let small = |text: &String| format!("<small>{}</small>", escape(text));
    let ratio = ratio(models, variant, figure).unwrap_or_default();
    let ratio: String = ratio.iter().filter(|text| !text.is_empty()).map(small).collect();
    format!("<td>{median}{ratio}</td>")
}

/// What each variant is, what one must know, and where it ran; folded.
fn details(out: &mut String, models: &Models) {
    let environment = &models.environment;
    let mut rows: Vec<(String, String)> = models
        .variants
        .iter()
        .map(|variant| {
            let flags =
                if variant.flags.is_empty() { "no flags".to_owned() } else { variant.flags.join(" ") };
            (variant.name.clone(), flags)
        })
        .collect();
    let mut say = |name: &str, value: String| rows.push((name.to_owned(), value));
    say("command line", environment.command_line.join(" "));
    say("program", environment.program.clone());
    say("kernel", environment.kernel.clone());
    say("CPU", format!("{} x {}", environment.cpus, environment.cpu_model));
    say("clock source", environment.clocksource.clone());
    models.notes.iter().for_each(|note| say("note", note.clone()));
    out.push_str("<details>\n<summary>What was run, and where</summary>\n<table><tbody>\n");
    for (name, value) in rows {
        let (name, value) = (escape(&name), escape(&value));
        let _ = writeln!(out, "<tr><th class=\"words\">{name}</th><td class=\"words\">{value}</td></tr>");
    }
    out.push_str("</tbody></table>\n</details>\n");
}

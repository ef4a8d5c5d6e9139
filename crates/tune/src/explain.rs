//! The catalogue in words: a list, one knob at length, and the page `docs/KNOBS.md`.
//!
//! Pure: all of it is made from the rows, so that help, page and program cannot disagree.

use std::fmt::Write;

use serde::Serialize;

use crate::catalogue::SUBJECTS;
use crate::knob::{Access, Knob};
use crate::probe::{Found, Probe};

/// Every knob in one line, subject after subject, and what `probe` found of it.
pub fn list(probe: &Probe) -> String {
    let mut text = String::new();
    let width = crate::catalogue::all().map(|knob| knob.name.len()).max().unwrap_or_default();
    for subject in SUBJECTS {
        writeln!(text, "{}", subject.title).expect("writing to a String cannot fail");
        for knob in subject.knobs {
            let found = probe.note(knob).map_or(String::new(), |found| format!(" [here {}]", found.text()));
            writeln!(text, "  {:width$}  {}{found}", knob.name, knob.what)
                .expect("writing to a String cannot fail");
        }
        text.push('\n');
    }
    text
}

/// All that is known of one knob, and what `probe` found of it.
pub fn one(knob: &Knob, probe: &Probe) -> String {
    let mut rows = vec![("values", values(knob))];
    rows.extend(knob.default.map(|default| ("default", default.to_owned())));
    rows.push(("where", place(knob)));
    rows.push(("whose", knob.scope.to_string()));
    let present = [
        knob.since.map(|since| format!("since Linux {since}")),
        knob.removed.map(|gone| format!("gone since Linux {gone}")),
    ];
    rows.extend(present.into_iter().flatten().map(|there| ("there", there)));
    rows.extend(probe.note(knob).map(|found| ("here", found.text().to_owned())));
    rows.extend((!knob.inert.is_empty()).then(|| ("inert", knob.inert.to_owned())));
    rows.push(("risk", format!("{}: {}.", knob.danger, knob.risk)));
    rows.extend((!knob.coupled.is_empty()).then(|| ("with", knob.coupled.join(", "))));
    rows.extend((!knob.truth.is_empty()).then(|| ("truth", knob.truth.to_owned())));
    rows.push(("source", knob.source.to_owned()));
    let mut text = format!("{}\n{}.\n\n", knob.name, knob.what);
    for (name, told) in rows {
        writeln!(text, "{name:9}{told}").expect("writing to a String cannot fail");
    }
    text
}

/// All knobs as JSON, with a line end.
pub fn json(probe: &Probe) -> String {
    let rows: Vec<Row> = crate::catalogue::all().map(|knob| Row::of(knob, probe)).collect();
    serde_json::to_string_pretty(&rows).expect("text is JSON") + "\n"
}

/// One knob as JSON, with a line end.
pub fn json_one(knob: &Knob, probe: &Probe) -> String {
    serde_json::to_string_pretty(&Row::of(knob, probe)).expect("text is JSON") + "\n"
}

/// The page `docs/KNOBS.md`.
pub fn markdown() -> String {
    let mut text = String::from(HEAD);
    for subject in SUBJECTS {
        write!(text, "\n## {}\n", subject.title).expect("writing to a String cannot fail");
        for knob in subject.knobs {
            text.push_str(&section(knob));
        }
    }
    text
}

fn section(knob: &Knob) -> String {
    let mut text = format!("\n### {}\n\n{}.\n\n", knob.name, knob.what);
    let mut facts = vec![values(knob)];
    facts.extend(knob.default.map(|default| format!("default `{default}`")));
    facts.push(format!("scope: {}", knob.scope));
    facts.extend(knob.since.map(|since| format!("since Linux {since}")));
    facts.extend(knob.removed.map(|gone| format!("**gone since Linux {gone}**")));
    writeln!(text, "- {}; {}", facts.join("; "), code(&place(knob)))
        .expect("writing to a String cannot fail");
    if !knob.inert.is_empty() {
        writeln!(text, "- **Inert:** {}", knob.inert).expect("writing to a String cannot fail");
    }
    writeln!(text, "- Risk ({}): {}.", knob.danger, knob.risk).expect("writing to a String cannot fail");
    if !knob.truth.is_empty() {
        writeln!(text, "- **Truth:** {}", knob.truth).expect("writing to a String cannot fail");
    }
    if !knob.coupled.is_empty() {
        writeln!(text, "- Together with {}", knob.coupled.join(", "))
            .expect("writing to a String cannot fail");
    }
    writeln!(text, "- Source: {}", knob.source).expect("writing to a String cannot fail");
    text
}

/// A path is code, words are not. Stars in a path are no emphasis then.
fn code(place: &str) -> String {
    if place.starts_with('/') { format!("`{place}`") } else { place.into() }
}

fn values(knob: &Knob) -> String {
    match knob.unit {
        "" => knob.kind.to_string(),
        unit => format!("{} {unit}", knob.kind),
    }
}

fn place(knob: &Knob) -> String {
    match knob.access {
        Access::File => format!("/{}", knob.path),
        Access::Flag(flag) => format!("the flag `{flag}` of ringmill"),
        Access::Advice => "nowhere that this program writes".into(),
    }
}

#[derive(Serialize)]
struct Row {
    name: &'static str,
    path: &'static str,
    kind: String,
    unit: &'static str,
    scope: String,
    default: Option<&'static str>,
    what: &'static str,
    inert: &'static str,
    risk: &'static str,
    danger: String,
    truth: &'static str,
    coupled: &'static [&'static str],
    since: Option<&'static str>,
    removed: Option<&'static str>,
    writable: bool,
    /// What the kernel says here, where it is something else.
    found: Option<&'static str>,
    flag: Option<&'static str>,
    source: &'static str,
}

impl Row {
    fn of(knob: &Knob, probe: &Probe) -> Row {
        let flag = match knob.access {
            Access::Flag(flag) => Some(flag),
            Access::File | Access::Advice => None,
        };
        Row {
            name: knob.name,
            path: knob.path,
            kind: knob.kind.to_string(),
            unit: knob.unit,
            scope: knob.scope.to_string(),
            default: knob.default,
            what: knob.what,
            inert: knob.inert,
            risk: knob.risk,
            danger: knob.danger.to_string(),
            truth: knob.truth,
            coupled: knob.coupled,
            since: knob.since,
            removed: knob.removed,
            writable: knob.is_writable(),
            found: probe.note(knob).map(Found::text),
            flag,
            source: knob.source,
        }
    }
}

const HEAD: &str = "\
# Knobs

Every setting that `ringmill-lab` knows: what it does, when it does nothing, and what is widely said of it and is not so. Made by
`ringmill-lab knobs --markdown` from the tables in `crates/tune/src/catalogue/`; a test keeps it current. A profile may name these and no
others. A default is the kernel's own; where none is given it depends on memory, release or build.
";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue;
    use crate::probe::Note;

    #[test]
    fn the_page_of_the_knobs_is_the_catalogue() {
        let page = include_str!("../../../docs/KNOBS.md");
        assert!(page == markdown(), "try `ringmill-lab knobs --markdown > docs/KNOBS.md`");
    }

    #[test]
    fn a_knob_is_explained_with_all_that_its_row_says() {
        let text = one(catalogue::named("net.ipv4.tcp_tw_recycle").expect("it is there"), &Probe::default());
        for part in [
            "gone since Linux 4.12",
            "never worked behind NAT",
            "high: Where it",
            "network namespace",
            "/proc/sys/net/ipv4/tcp_tw_recycle",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        let text = one(catalogue::named("net.core.netdev_budget").expect("it is there"), &Probe::default());
        assert!(text.contains("with     net.core.netdev_budget_usecs"), "{text}");
        assert!(text.contains("values   0 to 2147483647 packets"), "{text}");
        assert!(!text.contains("truth"), "{text}");
    }

    #[test]
    fn the_list_and_the_json_have_every_knob() {
        let note = Note { name: "net.core.somaxconn", found: Found::OfHost };
        let probe = Probe { asked: 1, notes: vec![note], no_namespace: None };
        let (list, rows) =
            (list(&probe), serde_json::from_str::<serde_json::Value>(&json(&probe)).expect("JSON"));
        assert!(list.contains("[here it is the whole host's"), "{list}");
        assert_eq!(rows.as_array().map(Vec::len), Some(catalogue::all().count()));
        for (knob, row) in catalogue::all().zip(rows.as_array().expect("a list")) {
            assert!(list.contains(knob.name), "{}", knob.name);
            assert_eq!(row["name"], knob.name);
            assert_eq!(row["writable"], knob.is_writable());
            assert_eq!(row["found"].is_string(), knob.name == "net.core.somaxconn");
        }
    }
}

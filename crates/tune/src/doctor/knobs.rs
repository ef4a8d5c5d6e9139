//! The catalogue against this kernel: whether a setting is where the catalogue says, and whose it says it is.

use super::{Cost, Report, told};
use crate::catalogue;
use crate::look::Look;
use crate::probe::{Found, Note, Probe};
use crate::root::Root;

const SUBJECT: &str = "knobs";

/// On a host only: whose the files of a tree are, no kernel says.
pub(super) fn examine(look: &Look, report: &mut Report) {
    if look.is_host() {
        match Root::host() {
            Ok(root) => tell(&Probe::of(&root, catalogue::all()), report),
            Err(why) => report.unknown(SUBJECT, why.to_string()),
        }
    }
}

fn tell(probe: &Probe, report: &mut Report) {
    let of = |is_wanted: fn(Found) -> bool| -> Vec<&Note> {
        probe.notes.iter().filter(|note| is_wanted(note.found)).collect()
    };
    let scopes = of(|found| matches!(found, Found::OfHost | Found::OfNamespace));
    if !scopes.is_empty() {
        let told_each = scopes.iter().map(|note| format!("{}: {}", note.name, note.found.text()));
        let evidence = told_each.collect::<Vec<_>>().join("; ");
        let what = "this kernel has settings that are others' than the catalogue says: who else feels a change is not what is said there";
        let cure = "`ringmill-lab plan`, which says it of each of its knobs, before a change";
        report.find(Cost::Slight, SUBJECT, told(what, evidence, cure));
    }
    let mut seen = format!("{} of {} files are here", probe.asked - probe.absent(), probe.asked);
    let closed = of(|found| found == Found::ReadOnly);
    if !closed.is_empty() {
        let names: Vec<&str> = closed.iter().map(|note| note.name).collect();
        seen += &format!(", and nobody may write {}", names.join(", "));
    }
    match &probe.no_namespace {
        Some(why) => report.unknown(SUBJECT, format!("{seen}; whose they are was not asked: {why}")),
        None => report.fine(SUBJECT, seen),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_says_otherwise_is_a_finding_and_what_it_was_built_without_is_not() {
        let note = |found| Note { name: "net.core.somaxconn", found };
        let seen = |notes, no_namespace| {
            let mut report = Report::default();
            tell(&Probe { asked: 9, notes, no_namespace }, &mut report);
            report
        };
        let report = seen(vec![note(Found::OfHost)], None);
        assert!(report.findings[0].evidence.contains("net.core.somaxconn: it is the whole host's"));
        let report = seen(vec![note(Found::Absent)], None);
        assert_eq!((report.findings.len(), report.fine[0].evidence.as_str()), (0, "8 of 9 files are here"));
        let report = seen(vec![note(Found::ReadOnly)], None);
        assert_eq!(report.findings, []);
        assert!(report.fine[0].evidence.ends_with("nobody may write net.core.somaxconn"));
        let hidden = seen(Vec::new(), Some("a namespace: no".into()));
        assert!(hidden.unknown[0].evidence.contains("a namespace: no"));
    }
}

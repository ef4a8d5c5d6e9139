//! What on this host costs a network server: findings with their evidence and what to do, most expensive first.
//!
//! Looks and never changes anything. The order of the subjects is that of the gains which others have published (one stepwise list
//! went from 224,000 to 1.2 million requests a second, and almost nothing of it was a sysctl), not of how often advice names them. A
//! finding is a place to look at and to measure, no promise.

mod audit;
mod clock;
mod drops;
mod knobs;
mod limits;
mod listen;
mod memory;
mod mitigations;
mod netfilter;
mod packet;
mod power;
mod ring;
mod seccomp;
mod spread;

use std::fmt::{self, Write};

use serde::Serialize;

use crate::look::Look;

/// What was seen on a host.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// What costs, most expensive first.
    pub findings: Vec<Finding>,
    /// What was looked at and costs nothing that is known.
    pub fine: Vec<Seen>,
    /// What could not be looked at, and how a person can.
    pub unknown: Vec<Seen>,
}

/// Something that costs a server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How much.
    pub cost: Cost,
    /// Where: `netfilter`, `clock source`.
    pub subject: &'static str,
    /// What it is, in one sentence.
    pub what: String,
    /// What was read, and where.
    pub evidence: String,
    /// What to do, in words that follow "Try".
    pub cure: String,
}

/// Something that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Seen {
    /// What it was about.
    pub subject: &'static str,
    /// What was seen.
    pub evidence: String,
}

/// How much a finding costs; the most first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Cost {
    /// Requests or packets have been lost, or nothing works as it should.
    Failing,
    /// A good part of the CPU, of each request or of each packet.
    Heavy,
    /// Some of it, or latency.
    Moderate,
    /// Little, or only under a load that may never come.
    Slight,
}

/// What looks at one subject.
type Subject = fn(&Look, &mut Report);

/// In the order in which they are named where costs are equal: by what others gained.
const SUBJECTS: &[Subject] = &[
    drops::examine,
    mitigations::examine,
    netfilter::examine,
    spread::examine,
    audit::examine,
    seccomp::examine,
    clock::examine,
    ring::examine,
    packet::examine,
    power::examine,
    listen::examine,
    limits::examine,
    memory::examine,
    knobs::examine,
];

impl Report {
    /// Looks at a host.
    pub fn of(look: &Look) -> Report {
        let mut report = Report::default();
        SUBJECTS.iter().for_each(|examine| examine(look, &mut report));
        // Stable: within a cost the order of the subjects stays.
        report.findings.sort_by_key(|finding| finding.cost);
        report
    }

    /// For people.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for (index, finding) in self.findings.iter().enumerate() {
            let Finding { cost, subject, what, evidence, cure } = finding;
            write!(
                text,
                "{}. {subject} ({cost}): {what}.\n   seen: {evidence}\n   Try {cure}.\n\n",
                index + 1
            )
            .expect("writing to a String cannot fail");
        }
        if self.findings.is_empty() {
            text.push_str("Nothing that is known to cost a server was seen.\n\n");
        }
        for (title, list) in [("fine", &self.fine), ("unknown", &self.unknown)] {
            for Seen { subject, evidence } in list {
                writeln!(text, "{title:9}{subject}: {evidence}").expect("writing to a String cannot fail");
            }
        }
        text
    }

    /// As JSON, with a line end.
    pub fn json(&self) -> String {
        serde_json::to_string_pretty(self).expect("text is JSON") + "\n"
    }

    fn find(&mut self, cost: Cost, subject: &'static str, told: Told) {
        let Told { what, evidence, cure } = told;
        self.findings.push(Finding { cost, subject, what, evidence, cure });
    }

    fn fine(&mut self, subject: &'static str, evidence: impl Into<String>) {
        self.fine.push(Seen { subject, evidence: evidence.into() });
    }

    fn unknown(&mut self, subject: &'static str, evidence: impl Into<String>) {
        self.unknown.push(Seen { subject, evidence: evidence.into() });
    }
}

/// The words of a finding.
struct Told {
    what: String,
    evidence: String,
    cure: String,
}

/// Three texts could be swapped, so they are named once here.
fn told(what: impl Into<String>, evidence: impl Into<String>, cure: impl Into<String>) -> Told {
    Told { what: what.into(), evidence: evidence.into(), cure: cure.into() }
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Cost::Failing => "failing",
            Cost::Heavy => "heavy",
            Cost::Moderate => "moderate",
            Cost::Slight => "slight",
        })
    }
}

/// The directories of the processes with this name in proc(5).
fn processes(look: &Look, name: &str) -> Vec<String> {
    let is_number = |entry: &String| entry.bytes().all(|byte| byte.is_ascii_digit());
    let directories = look.names("proc").into_iter().filter(is_number).map(|pid| format!("proc/{pid}"));
    directories.filter(|directory| look.line(&format!("{directory}/comm")).as_deref() == Some(name)).collect()
}

/// Whose limits are looked at: a server that runs, or else this program, which its user may start a server beside.
fn server(look: &Look) -> (String, &'static str) {
    match processes(look, "ringmill").pop() {
        Some(directory) => (directory, "ringmill"),
        None => ("proc/self".into(), "this program"),
    }
}

/// Whether a part of the kernel is there, so that a question to it loads nothing: as a module that is loaded, built in, or because no
/// module ever was loaded here. A container sees the modules of its host, which would be loaded there.
fn has_module(look: &Look, name: &str) -> bool {
    let modules = look.read("proc/modules").unwrap_or_default();
    let is_loaded = modules.lines().any(|line| line.split_whitespace().next() == Some(name));
    let release = look.line("proc/sys/kernel/osrelease").unwrap_or_default();
    let built_in = look.read(&format!("lib/modules/{release}/modules.builtin")).unwrap_or_default();
    is_loaded || modules.is_empty() || built_in.lines().any(|line| line.ends_with(&format!("/{name}.ko")))
}

/// The value of a line `NAME:<space>VALUE`.
fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':').map(str::trim))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::fake::Fake;

    /// What one subject says of a host with these files, a line each: `cost: what` or `fine: evidence`.
    pub(crate) fn seen(examine: Subject, files: &[(&str, &str)]) -> Vec<String> {
        let mut report = Report::default();
        examine(&Fake::of(files).look(), &mut report);
        let Report { findings, fine, unknown } = report;
        assert!(findings.iter().all(|finding| !finding.evidence.is_empty() && !finding.cure.is_empty()));
        let findings = findings.iter().map(|f| format!("{}: {} [{}]", f.cost, f.what, f.evidence));
        let fine = fine.iter().map(|seen| format!("fine: {}", seen.evidence));
        let unknown = unknown.iter().map(|seen| format!("unknown: {}", seen.evidence));
        findings.chain(fine).chain(unknown).collect()
    }

    /// One subject says one thing of a host, with this in it.
    pub(crate) fn check(examine: Subject, files: &[(&str, &str)], expected: &str) {
        let got = seen(examine, files);
        let (kind, part) = expected.split_once(": ").expect("a kind");
        assert!(
            got.iter().any(|line| line.starts_with(&format!("{kind}: ")) && line.contains(part)),
            "{expected}: {got:#?}"
        );
    }

    #[test]
    fn the_most_expensive_finding_comes_first_whatever_its_subject() {
        let fake = Fake::of(&[
            ("sys/kernel/mm/transparent_hugepage/enabled", "[always] madvise never\n"),
            ("sys/devices/system/clocksource/clocksource0/current_clocksource", "hpet\n"),
            ("proc/net/softnet_stat", "00000010 00000002 00000000\n"),
            // Its subject comes before that of the clock, which costs more.
            ("proc/self/status", "Seccomp:\t2\n"),
        ]);
        let report = Report::of(&fake.look());
        let costs: Vec<Cost> = report.findings.iter().map(|finding| finding.cost).collect();
        assert!(costs.is_sorted(), "{costs:?}");
        assert_eq!(costs.first(), Some(&Cost::Failing));
        assert_eq!(report.findings.last().map(|finding| finding.subject), Some("huge pages"));
        let text = report.text();
        assert!(text.starts_with("1. drops (failing): "), "{text}");
        let told: serde_json::Value = serde_json::from_str(&report.json()).expect("JSON");
        assert_eq!(told["findings"][0]["cost"], "failing");
    }

    #[test]
    fn a_question_that_would_load_a_module_is_known_before_it_is_asked() {
        let release = ("proc/sys/kernel/osrelease", "6.1.0-x\n");
        let files = [release, ("lib/modules/6.1.0-x/modules.builtin", "kernel/net/ipv4/tcp_diag.ko\n")];
        let fake = Fake::of(&files);
        fake.put("proc/modules", "nf_tables 311296 0 - Live 0x0\n");
        let has = |name: &str| has_module(&fake.look(), name);
        assert_eq!(
            [has("nf_tables"), has("tcp_diag"), has("udp_diag"), has("diag")],
            [true, true, false, false]
        );
        assert!(has_module(&Fake::of(&[release]).look(), "udp_diag"), "there is none to load");
    }

    #[test]
    fn a_host_of_which_nothing_can_be_read_is_no_panic_and_no_claim() {
        let report = Report::of(&Fake::of(&[]).look());
        assert_eq!(report.findings, []);
        assert!(!report.unknown.is_empty());
    }

    #[test]
    fn this_host_can_be_looked_at() {
        let report = Report::of(&Look::at("/"));
        assert!(report.findings.len() + report.fine.len() > 3, "{report:?}");
    }
}

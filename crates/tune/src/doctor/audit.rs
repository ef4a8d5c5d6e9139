//! Audit: while it is on, each system call of each task goes the longer way, unless a rule leaves all tasks out.
//!
//! The kernel tells root of the first network namespace (netlink); everybody else sees processes and the command line.

use linux::netlink::{self, Audit};

use super::{Cost, Report, processes, told};
use crate::look::Look;

const SUBJECT: &str = "audit";

pub(super) fn examine(look: &Look, report: &mut Report) {
    let line = look.line("proc/cmdline").unwrap_or_default();
    if line.split_whitespace().any(|word| word == "audit=0" || word == "audit=off") {
        return report.fine(SUBJECT, "off (audit=0 on the kernel's command line)");
    }
    if look.is_host()
        && let Ok(audit) = netlink::audit()
    {
        return tell(audit, report);
    }
    if !processes(look, "auditd").is_empty() {
        let what =
            "system calls may be audited: a rule makes each of them longer, also those that it does not name";
        let cure = "`auditctl -l`; what need not be recorded, take out, or exclude the server (`auditctl -a never,task`)";
        return report.find(Cost::Moderate, SUBJECT, told(what, "auditd runs", cure));
    }
    if processes(look, "kauditd").is_empty() {
        report.fine(SUBJECT, "no auditd, and no kauditd of the kernel");
    } else {
        report.unknown(SUBJECT, "no auditd runs; whether rules are loaded, `auditctl -l` says to root");
    }
}

/// What the kernel says. A task that began while audit was on goes the longer way whatever the rules are, but for one that leaves it out
/// (audit_alloc() in kernel/auditsc.c).
fn tell(audit: Audit, report: &mut Report) {
    let Audit { is_on, rules, leaves_all_out } = audit;
    let evidence =
        format!("{} with {rules} rules (AUDIT_GET, AUDIT_LIST_RULES)", if is_on { "on" } else { "off" });
    if !is_on || leaves_all_out {
        return report.fine(SUBJECT, evidence);
    }
    let (what, cure) = match rules {
        0 => (
            "system calls go the longer way though no rule asks for any",
            "`auditctl -a never,task`, and the server started again",
        ),
        _ => (
            "system calls are audited: a rule makes each of them longer, also those that it does not name",
            "`auditctl -l`; what need not be recorded, take out, or exclude the server (`auditctl -a never,task`)",
        ),
    };
    report.find(Cost::Moderate, SUBJECT, told(what, evidence, cure));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::tests::check;

    #[test]
    fn audit_that_is_on_costs_with_and_without_rules_unless_one_leaves_all_out() {
        let of = |is_on, rules, leaves_all_out| {
            let mut report = Report::default();
            tell(Audit { is_on, rules, leaves_all_out }, &mut report);
            report.findings.first().map_or("fine".into(), |finding| finding.what.clone())
        };
        assert!(of(true, 0, false).contains("no rule asks for any"));
        assert!(of(true, 3, false).contains("are audited"));
        assert_eq!([of(true, 1, true), of(false, 3, false), of(false, 0, false)], ["fine"; 3]);
    }

    #[test]
    fn who_audits_is_seen_and_who_cannot_is_fine() {
        check(examine, &[("proc/812/comm", "auditd\n")], "moderate: auditd runs");
        check(examine, &[("proc/cmdline", "quiet audit=0\n"), ("proc/812/comm", "auditd\n")], "fine: off");
        check(examine, &[("proc/30/comm", "kauditd\n")], "unknown: auditctl -l");
        check(examine, &[("proc/1/comm", "init\n")], "fine: no kauditd");
    }
}

//! Audit rules: with one loaded, each system call of each task goes the longer way.

use super::{Cost, Report, processes, told};
use crate::look::Look;

const SUBJECT: &str = "audit";

pub(super) fn examine(look: &Look, report: &mut Report) {
    let line = look.line("proc/cmdline").unwrap_or_default();
    if line.split_whitespace().any(|word| word == "audit=0" || word == "audit=off") {
        return report.fine(SUBJECT, "off (audit=0 on the kernel's command line)");
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

#[cfg(test)]
mod tests {
    use super::examine;
    use crate::doctor::tests::check;

    #[test]
    fn who_audits_is_seen_and_who_cannot_is_fine() {
        check(examine, &[("proc/812/comm", "auditd\n")], "moderate: auditd runs");
        check(examine, &[("proc/cmdline", "quiet audit=0\n"), ("proc/812/comm", "auditd\n")], "fine: off");
        check(examine, &[("proc/30/comm", "kauditd\n")], "unknown: auditctl -l");
        check(examine, &[("proc/1/comm", "init\n")], "fine: no kauditd");
    }
}

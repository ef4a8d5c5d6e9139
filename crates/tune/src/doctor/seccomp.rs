//! Seccomp: a filter program runs before each system call of a confined process, as container engines confine by default.

use super::{Cost, Report, field, server, told};
use crate::look::Look;

const SUBJECT: &str = "seccomp";

pub(super) fn examine(look: &Look, report: &mut Report) {
    let (process, name) = server(look);
    let Ok(status) = look.read(&format!("{process}/status")) else {
        return report.unknown(SUBJECT, format!("/{process}/status cannot be read"));
    };
    let filters = field(&status, "Seccomp_filters").unwrap_or("1");
    match field(&status, "Seccomp") {
        Some("2") => {
            let what = format!("{name} is confined: a filter runs before each of its system calls");
            let evidence = format!("Seccomp: 2, Seccomp_filters: {filters} (/{process}/status)");
            let cure = "the engine uring, which needs few calls and which the filter must allow; or a service in place of a container";
            report.find(Cost::Moderate, SUBJECT, told(what, evidence, cure));
        }
        Some(_) => report.fine(SUBJECT, format!("none on {name}")),
        None => report.fine(SUBJECT, "this kernel has none"),
    }
}

#[cfg(test)]
mod tests {
    use super::examine;
    use crate::doctor::tests::check;

    #[test]
    fn a_server_that_runs_is_looked_at_before_this_program() {
        let free = "Name:\tx\nSeccomp:\t0\nSeccomp_filters:\t0\n";
        let confined = "Name:\tringmill\nSeccomp:\t2\nSeccomp_filters:\t3\n";
        check(examine, &[("proc/self/status", free)], "fine: none on this program");
        check(examine, &[("proc/self/status", confined)], "moderate: this program is confined");
        let both = [("proc/self/status", free), ("proc/9/comm", "ringmill\n"), ("proc/9/status", confined)];
        check(examine, &both, "moderate: Seccomp_filters: 3 (/proc/9/status)");
        check(examine, &[], "unknown: cannot be read");
    }
}

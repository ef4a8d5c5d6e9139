//! Protections against side channels of the CPU: they make each way into the kernel dearer.
//!
//! Says what is on, never that it should be off: that is a question of who else is on the host.

use super::{Cost, Report, told};
use crate::look::Look;

const SUBJECT: &str = "mitigations";
const DIRECTORY: &str = "sys/devices/system/cpu/vulnerabilities";

/// What costs at each entry to the kernel, rather than once or nowhere.
const DEAR: &[&str] =
    &["PTI", "Retpolines", "IBRS", "Clear CPU buffers", "untrained return thunk", "Safe RET"];

pub(super) fn examine(look: &Look, report: &mut Report) {
    let names = look.names(DIRECTORY);
    if names.is_empty() {
        return report.unknown(SUBJECT, format!("/{DIRECTORY} is not there"));
    }
    let state = |name: &String| Some((name.clone(), look.line(&format!("{DIRECTORY}/{name}"))?));
    let active: Vec<_> =
        names.iter().filter_map(state).filter(|(_, state)| state.contains("Mitigation")).collect();
    // Enhanced IBRS is switched on once and stays on.
    let costs = |state: &str| DEAR.iter().any(|dear| state.contains(dear)) && !state.contains("Enhanced");
    let (dear, cheap): (Vec<_>, Vec<_>) = active.iter().partition(|(_, state)| costs(state));
    let list = |states: &[&(String, String)]| {
        states.iter().map(|(name, state)| format!("{name}: {state}")).collect::<Vec<_>>().join("; ")
    };
    if dear.is_empty() {
        return report.fine(SUBJECT, format!("{} on, none that costs at each system call", cheap.len()));
    }
    let what = "each system call and interrupt pays for protection against the CPU's side channels";
    let cure = "fewer system calls (the engine uring), or a newer CPU. Off (boot.mitigations) only on a host that runs nothing of others: \
                one published list gained 28 % by it, and gave up what it protects";
    report.find(Cost::Heavy, SUBJECT, told(what, list(&dear), cure));
}

#[cfg(test)]
mod tests {
    use super::{DIRECTORY, examine};
    use crate::doctor::tests::check;

    #[test]
    fn only_what_costs_at_each_call_is_a_finding() {
        let at = |name: &str| format!("{DIRECTORY}/{name}");
        let (v2, v1) = (at("spectre_v2"), at("spectre_v1"));
        let barriers = (v1.as_str(), "Mitigation: usercopy/swapgs barriers\n");
        check(
            examine,
            &[barriers, (&v2, "Mitigation: Retpolines; IBPB: conditional\n")],
            "heavy: spectre_v2: Mitigation: Retpolines",
        );
        check(examine, &[barriers, (&v2, "Mitigation: Enhanced / Automatic IBRS; IBPB\n")], "fine: 2 on");
        check(examine, &[(&v2, "Not affected\n")], "fine: 0 on");
        check(examine, &[(&v2, "Vulnerable\n")], "fine: 0 on");
        check(examine, &[], "unknown: not there");
    }
}

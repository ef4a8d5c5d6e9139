//! The clock source: with some of them each look at the clock is a system call, or a slow read of a device.

use super::{Cost, Report, told};
use crate::look::Look;

const SUBJECT: &str = "clock source";
const DIRECTORY: &str = "sys/devices/system/clocksource/clocksource0";

/// Those that are read without a system call (vdso(7)).
const FAST: &[&str] =
    &["tsc", "kvm-clock", "hyperv_clocksource_tsc_page", "arch_sys_counter", "riscv_clocksource"];

pub(super) fn examine(look: &Look, report: &mut Report) {
    let Some(current) = look.line(&format!("{DIRECTORY}/current_clocksource")) else {
        return report.unknown(SUBJECT, "it is not named below /sys");
    };
    if FAST.contains(&current.as_str()) {
        return report.fine(SUBJECT, current);
    }
    let available = look.line(&format!("{DIRECTORY}/available_clocksource")).unwrap_or_default();
    let what = "each look at the clock is a system call";
    let evidence = format!("{current}; there are {available}");
    let cure = match FAST.iter().find(|fast| available.split_whitespace().any(|name| name == **fast)) {
        Some(fast) => format!(
            "`ringmill-lab explain cpu.clocksource`, and `{fast}` if the kernel's log does not call it unstable"
        ),
        None => "the kernel's log for why it does not trust the TSC (`dmesg | grep -i tsc`)".into(),
    };
    report.find(Cost::Heavy, SUBJECT, told(what, evidence, cure));
}

#[cfg(test)]
mod tests {
    use super::{DIRECTORY, examine};
    use crate::doctor::tests::check;

    #[test]
    fn a_clock_that_needs_a_call_is_found() {
        let (current, available) =
            (format!("{DIRECTORY}/current_clocksource"), format!("{DIRECTORY}/available_clocksource"));
        check(examine, &[(&current, "tsc\n")], "fine: tsc");
        check(
            examine,
            &[(&current, "xen\n"), (&available, "xen tsc hpet\n")],
            "heavy: there are xen tsc hpet",
        );
        check(examine, &[(&current, "hpet\n"), (&available, "hpet acpi_pm\n")], "heavy: hpet");
        check(examine, &[], "unknown: not named");
    }
}

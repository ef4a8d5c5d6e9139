//! Frequency and idle states: what a core that was idle pays before it answers.

use super::{Cost, Report, told};
use crate::look::Look;

const CPUS: &str = "sys/devices/system/cpu";

pub(super) fn examine(look: &Look, report: &mut Report) {
    let is_cpu = |name: &String| {
        name.strip_prefix("cpu")
            .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_digit()))
    };
    let cpus: Vec<String> = look.names(CPUS).into_iter().filter(is_cpu).collect();
    governor(look, &cpus, report);
    idle(look, &cpus, report);
}

fn governor(look: &Look, cpus: &[String], report: &mut Report) {
    const SUBJECT: &str = "governor";
    let of = |cpu: &String, file: &str| look.line(&format!("{CPUS}/{cpu}/cpufreq/{file}"));
    let slow = |cpu: &&String| {
        let driver = of(cpu, "scaling_driver").unwrap_or_default();
        // These choose by load under the name powersave.
        let chooses = ["intel_pstate", "amd-pstate-epp"].contains(&driver.as_str());
        match of(cpu, "scaling_governor").as_deref() {
            Some("powersave") => !chooses,
            Some("ondemand" | "conservative") => true,
            _ => false,
        }
    };
    let Some(first) = cpus.iter().find_map(|cpu| of(cpu, "scaling_governor")) else {
        return report.fine(SUBJECT, "nobody on this host changes the frequency");
    };
    match cpus.iter().filter(slow).count() {
        0 => report.fine(SUBJECT, first),
        count => {
            let what = "cores begin at a low frequency, and are slow to notice work that comes in pieces";
            let evidence = format!("{count} of {} CPUs, the first has {first}", cpus.len());
            report.find(
                Cost::Moderate,
                SUBJECT,
                told(what, evidence, "`ringmill-lab plan --set cpu.governor=performance`"),
            );
        }
    }
}

fn idle(look: &Look, cpus: &[String], report: &mut Report) {
    const SUBJECT: &str = "idle states";
    let Some(cpu) = cpus.iter().find(|cpu| !look.names(&format!("{CPUS}/{cpu}/cpuidle")).is_empty()) else {
        return report.fine(SUBJECT, "no CPU has any that this kernel knows");
    };
    let directory = format!("{CPUS}/{cpu}/cpuidle");
    let deep = look.names(&directory).into_iter().filter_map(|state| {
        let of = |file: &str| look.line(&format!("{directory}/{state}/{file}"));
        let latency_us: u64 = of("latency")?.parse().ok()?;
        let is_on = of("disable").is_none_or(|disable| disable == "0");
        (is_on && latency_us > DEEP_US)
            .then(|| format!("{} {latency_us} us", of("name").unwrap_or_else(|| state.clone())))
    });
    let deep: Vec<String> = deep.collect();
    if deep.is_empty() {
        return report.fine(SUBJECT, format!("none of {cpu} takes more than {DEEP_US} us to come back"));
    }
    let what = "a core that has slept long comes back late: the first request after a pause waits for it";
    let evidence = format!("{cpu}: {}", deep.join(", "));
    let cure = "`ringmill --spin-us 100` on cores of its own, or a program that holds /dev/cpu_dma_latency open (`ringmill-lab explain cpu.dma_latency`)";
    report.find(Cost::Moderate, SUBJECT, told(what, evidence, cure));
}

/// A round trip on loopback takes some 20 us: a state that takes longer to leave can be seen.
const DEEP_US: u64 = 20;

#[cfg(test)]
mod tests {
    use super::examine;
    use crate::doctor::tests::check;

    #[test]
    fn a_governor_that_is_slow_to_notice_is_found_but_not_one_that_only_has_the_name() {
        const GOVERNOR: &str = "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor";
        const DRIVER: &str = "sys/devices/system/cpu/cpu0/cpufreq/scaling_driver";
        check(examine, &[(GOVERNOR, "performance\n")], "fine: performance");
        check(examine, &[(GOVERNOR, "powersave\n"), (DRIVER, "acpi-cpufreq\n")], "moderate: 1 of 1 CPUs");
        check(examine, &[(GOVERNOR, "powersave\n"), (DRIVER, "intel_pstate\n")], "fine: powersave");
        check(examine, &[("sys/devices/system/cpu/cpufreq/x", "")], "fine: nobody on this host");
    }

    #[test]
    fn an_idle_state_with_a_long_way_back_is_found_unless_it_is_forbidden() {
        let state = |file: &str| format!("sys/devices/system/cpu/cpu0/cpuidle/state3/{file}");
        let (name, latency, disable) = (state("name"), state("latency"), state("disable"));
        let deep = [(name.as_str(), "C6\n"), (latency.as_str(), "133\n")];
        check(examine, &deep, "moderate: C6 133 us");
        check(examine, &[deep[0], deep[1], (&disable, "1\n")], "fine: none of cpu0");
        check(examine, &[(&latency, "2\n")], "fine: none of cpu0");
        check(examine, &[], "fine: no CPU has any");
    }
}

//! What a measurement must say of the machine it ran on: the kernel, the CPU, and what else the kernel counted meanwhile.
//!
//! Reads proc(5) and sysfs once, when asked; sets nothing. What a machine does not have is empty, never an error: a result
//! is worth having without it. The parsers are pure.

mod counters;

pub use counters::Counters;

use crate::{cpu, limits};
use std::fs;
use std::path::Path;

/// One machine, as its kernel describes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Machine {
    /// Name and release of the kernel: `Linux 6.18.4`.
    pub kernel: String,
    /// Model of the first CPU.
    pub cpu_model: String,
    /// CPUs that are online; 0 where nobody says.
    pub cpus: usize,
    /// State of each known vulnerability of the CPU, sorted by name
    /// (Documentation/ABI/testing/sysfs-devices-system-cpu).
    pub mitigations: Vec<(String, String)>,
    /// The clock source: reading the time is a system call with some of them.
    pub clocksource: String,
    /// The frequency governor of the first CPU; `None` where nothing changes its frequency, or only a host does.
    pub governor: Option<String>,
}

impl Machine {
    /// This machine.
    pub fn read() -> Machine {
        let online = said("/sys/devices/system/cpu/online").unwrap_or_default();
        Machine {
            kernel: limits::kernel_release().map(|release| format!("Linux {release}")).unwrap_or_default(),
            cpu_model: parse_model(&fs::read_to_string("/proc/cpuinfo").unwrap_or_default()),
            cpus: cpu::parse_list(&online).map_or(0, |cores| cores.len()),
            mitigations: mitigations(Path::new("/sys/devices/system/cpu/vulnerabilities")),
            clocksource: said("/sys/devices/system/clocksource/clocksource0/current_clocksource")
                .unwrap_or_default(),
            governor: said("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        }
    }
}

/// The one line of a file, unless there is none.
fn said(path: impl AsRef<Path>) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    Some(text.trim().to_owned()).filter(|line| !line.is_empty())
}

fn mitigations(directory: &Path) -> Vec<(String, String)> {
    let files = fs::read_dir(directory).into_iter().flatten().flatten();
    let mut states: Vec<_> = files
        .filter_map(|file| Some((file.file_name().to_string_lossy().into_owned(), said(file.path())?)))
        .collect();
    states.sort();
    states
}

/// The model's name in `/proc/cpuinfo`, which has no fixed place among the architectures.
fn parse_model(cpuinfo: &str) -> String {
    let value = |name: &str| {
        cpuinfo.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            (key.trim() == name && !value.trim().is_empty()).then(|| value.trim().to_owned())
        })
    };
    let model = ["model name", "cpu model", "Model", "CPU part"].into_iter().find_map(value);
    model.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_model_is_found_under_the_name_that_its_architecture_has_for_it() {
        let x86 =
            "processor\t: 0\nmodel\t\t: 17\nmodel name\t: AMD EPYC 9R14\nflags\t\t: fpu\n\nprocessor\t: 1\n";
        let arm = "processor\t: 0\nBogoMIPS\t: 243.75\nCPU implementer\t: 0x41\nCPU part\t: 0xd0c\n";
        assert_eq!(parse_model(x86), "AMD EPYC 9R14");
        assert_eq!(parse_model(arm), "0xd0c");
        assert_eq!(parse_model("model name\t:\n"), "");
        assert_eq!(parse_model(""), "");
    }

    #[test]
    fn what_a_machine_has_not_is_empty() {
        assert_eq!(mitigations(Path::new("/nowhere")), []);
        assert_eq!(said("/nowhere"), None);
    }

    #[test]
    fn this_machine_has_a_kernel_and_at_least_the_cpus_that_may_be_used() {
        let machine = Machine::read();
        assert!(machine.kernel.starts_with("Linux ") && machine.kernel.len() > 8, "{machine:?}");
        assert!(machine.cpus >= cpu::allowed().expect("a thread runs somewhere").len(), "{machine:?}");
        assert!(machine.mitigations.is_sorted());
    }
}

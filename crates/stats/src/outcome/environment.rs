//! Where a run ran: what another machine would have to be like to give the same figures.

use serde::{Deserialize, Serialize};

/// The machine, the program and what else happened on it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Environment {
    /// Name and release of the kernel.
    pub kernel: String,
    /// Model of the CPU.
    pub cpu_model: String,
    /// CPUs that are online.
    pub cpus: u64,
    /// State of each CPU vulnerability, by its name below `/sys/devices/system/cpu/vulnerabilities`.
    pub mitigations: Vec<(String, String)>,
    /// The kernel's clock source.
    pub clocksource: String,
    /// The frequency governor of CPU 0; `null` where there is none.
    pub governor: Option<String>,
    /// What ring the kernel gave.
    pub ring_tier: String,
    /// The command line, as typed.
    pub command_line: Vec<String>,
    /// The program and the version of its source, its allocator and profile where known.
    pub program: String,
    /// Kernel counters that changed over the measured time: TcpExt, Tcp, softnet, PSI.
    pub changes: Vec<Change>,
}

/// How much one kernel counter grew.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// Where it stands: `TcpExt.ListenOverflows`, `softnet.dropped`, `psi.cpu.some_us`.
    pub name: String,
    /// By how much.
    pub by: i64,
}

//! Parameters of the kernel's command line: advice only. This program writes no boot loader's file, and none of them can be tried
//! without a reboot (Documentation/admin-guide/kernel-parameters.txt).

use crate::knob::{Access, Danger, Knob, SYSCTL, Scope};
use crate::value::Kind;

const BOOT: Knob = Knob {
    kind: Kind::Text,
    scope: Scope::Boot,
    access: Access::Advice,
    source: "Documentation/admin-guide/kernel-parameters.txt",
    ..SYSCTL
};

pub(super) const KNOBS: &[Knob] = &[
    Knob {
        name: "boot.mitigations",
        kind: Kind::Text,
        what: "Protection against the known side channels of the CPU: auto, auto,nosmt or off",
        inert: "On CPUs that have none of them; see /sys/devices/system/cpu/vulnerabilities.",
        risk: "off: programs on this host can read each other's memory, and the kernel's",
        danger: Danger::High,
        truth: "It makes system calls dearer, so it costs an epoll server more than one with a call for many requests. Measure before you give safety away.",
        ..BOOT
    },
    Knob {
        name: "boot.isolcpus",
        what: "CPUs on which the scheduler places nothing by itself",
        inert: "For threads that are pinned there, as shards are, and for interrupts, which have an affinity of their own.",
        risk: "Threads that are not pinned share fewer CPUs",
        danger: Danger::Medium,
        truth: "It is deprecated in favour of cpusets, which need no reboot.",
        ..BOOT
    },
    Knob {
        name: "boot.nohz_full",
        what: "CPUs without a periodic tick while one thread runs on them",
        inert: "Without CONFIG_NO_HZ_FULL, and with two runnable threads on the CPU.",
        risk: "Each way into the kernel and out costs more: for a server that makes many system calls it may lose",
        danger: Danger::Medium,
        source: "Documentation/timers/no_hz.rst",
        ..BOOT
    },
    Knob {
        name: "boot.rcu_nocbs",
        what: "CPUs whose RCU callbacks run in threads elsewhere",
        inert: "Without CONFIG_RCU_NOCB_CPU.",
        risk: "More wakes elsewhere",
        ..BOOT
    },
    Knob {
        name: "boot.idle",
        kind: Kind::Enum(&["poll", "halt", "nomwait"]),
        what: "What an idle x86 CPU does: poll never sleeps",
        inert: "While all CPUs are busy.",
        risk: "poll: full power for ever, and the other thread of the core gets less",
        danger: Danger::Medium,
        truth: "`ringmill --spin-us` gives the latency for its own cores alone, and without a reboot.",
        ..BOOT
    },
    Knob {
        name: "boot.max_cstate",
        kind: Kind::Integer { min: 0, max: 9 },
        what: "The deepest idle state (intel_idle.max_cstate, processor.max_cstate)",
        inert: "In guests, and under load.",
        risk: "Power and heat, less turbo",
        danger: Danger::Medium,
        truth: "intel_idle.max_cstate=0 is not the shallowest: it switches intel_idle off, and acpi_idle comes in its place with states of its own.",
        ..BOOT
    },
    Knob {
        name: "boot.nosmt",
        what: "One thread for each physical core",
        inert: "On CPUs without SMT.",
        risk: "Less throughput of work that waits for memory",
        danger: Danger::Medium,
        ..BOOT
    },
    Knob {
        name: "boot.audit",
        kind: Kind::SWITCH,
        what: "Whether the audit subsystem is there: with it each system call of an audited task goes a longer way",
        inert: "While nobody has switched it on, which auditd does, and for tasks that a rule leaves out (`auditctl -a never,task`).",
        risk: "0: nothing is recorded, where somebody may be obliged to",
        danger: Danger::High,
        truth: "No rule is not no cost: a task that began while audit was on goes the longer way all the same.",
        source: "Documentation/admin-guide/kernel-parameters.txt; audit_alloc() in kernel/auditsc.c",
        ..BOOT
    },
];

//! Devices, queues, CPUs and interrupts: files of sysfs and `/proc/irq`, of which there are as many as the host has parts
//! (Documentation/networking/scaling.rst, napi.rst, Documentation/ABI/testing).
//!
//! A network namespace shows its own devices only below a sysfs that is mounted in it.

use crate::knob::{Access, Danger, Knob, SYSCTL, Scope};
use crate::value::Kind;

const NAPI: &str = "Documentation/networking/napi.rst";
const SCALING: &str = "Documentation/networking/scaling.rst";
const DEVICE: Knob = Knob { scope: Scope::Device, ..SYSCTL };
const HOST: Knob = Knob { scope: Scope::Host, ..SYSCTL };

pub(super) const KNOBS: &[Knob] = &[
    Knob {
        name: "device.gro_flush_timeout",
        path: "sys/class/net/*/gro_flush_timeout",
        kind: Kind::Integer { min: 0, max: 1_000_000_000 },
        unit: "ns",
        default: Some("0"),
        what: "How long GRO waits for more segments, and, with napi_defer_hard_irqs, how long interrupts stay off",
        inert: "On loopback. Without napi_defer_hard_irqs it only holds segments back.",
        risk: "Latency of each packet that waits",
        danger: Danger::Medium,
        coupled: &["device.napi_defer_hard_irqs"],
        source: NAPI,
        ..DEVICE
    },
    Knob {
        name: "device.napi_defer_hard_irqs",
        path: "sys/class/net/*/napi_defer_hard_irqs",
        kind: Kind::COUNT,
        unit: "polls",
        default: Some("0"),
        what: "Empty polls before interrupts are switched on again; between them the timer of gro_flush_timeout polls",
        inert: "While gro_flush_timeout is 0, and on loopback.",
        risk: "Latency up to the timer's",
        danger: Danger::Medium,
        coupled: &["device.gro_flush_timeout"],
        since: Some("5.8"),
        source: NAPI,
        ..DEVICE
    },
    Knob {
        name: "device.threaded",
        path: "sys/class/net/*/threaded",
        default: Some("0"),
        what: "Polls the device in kernel threads that the scheduler places, in place of softirqs",
        inert: "On loopback.",
        risk: "The threads compete with the shards, unless each is pinned",
        danger: Danger::Medium,
        since: Some("5.12"),
        source: NAPI,
        ..DEVICE
    },
    Knob {
        name: "device.tx_queue_len",
        path: "sys/class/net/*/tx_queue_len",
        kind: Kind::COUNT,
        unit: "packets",
        what: "Packets that may wait in the queueing discipline (txqueuelen)",
        inert: "For disciplines with a limit of their own, such as fq and fq_codel, and for devices with none (noqueue).",
        risk: "Long queues delay all that is behind them",
        source: "Documentation/ABI/testing/sysfs-class-net; tc-pfifo_fast(8)",
        ..DEVICE
    },
    Knob {
        name: "device.rps_cpus",
        path: "sys/class/net/*/queues/*/rps_cpus",
        kind: Kind::Bitmap,
        default: Some("0"),
        what: "CPUs to which a receive queue spreads its packets by their flow",
        inert: "On loopback, whose packets are processed where they are sent, unless it is set there too.",
        risk: "An interrupt to another CPU for each batch, where the NIC could have chosen the CPU itself (RSS)",
        truth: "It is for NICs with fewer queues than CPUs. With a queue for each shard it only costs.",
        source: SCALING,
        ..DEVICE
    },
    Knob {
        name: "device.rps_flow_cnt",
        path: "sys/class/net/*/queues/*/rps_flow_cnt",
        kind: Kind::PowerOfTwo { max: 1 << 24 },
        unit: "flows",
        default: Some("0"),
        what: "Flows of a receive queue that RFS remembers",
        inert: "Unless net.core.rps_sock_flow_entries is set.",
        risk: "Memory for each queue",
        coupled: &["net.core.rps_sock_flow_entries"],
        source: SCALING,
        ..DEVICE
    },
    Knob {
        name: "device.xps_cpus",
        path: "sys/class/net/*/queues/*/xps_cpus",
        kind: Kind::Bitmap,
        what: "CPUs that send by this transmit queue",
        inert: "With one transmit queue: the file is refused.",
        risk: "CPUs that share a queue contend for its lock",
        source: SCALING,
        ..DEVICE
    },
    Knob {
        name: "device.irq_affinity",
        path: "proc/irq/*/smp_affinity_list",
        kind: Kind::Text,
        what: "CPUs that take an interrupt, as 0-3,8",
        inert: "For managed interrupts, whose file refuses it, and while irqbalance runs, which changes it back.",
        risk: "A device whose interrupts all come to one core is as fast as that core",
        danger: Danger::Medium,
        source: "Documentation/core-api/irq/irq-affinity.rst",
        ..HOST
    },
    Knob {
        name: "cpu.governor",
        path: "sys/devices/system/cpu/*/cpufreq/scaling_governor",
        kind: Kind::Enum(&["performance", "powersave", "schedutil", "ondemand", "conservative", "userspace"]),
        what: "Who chooses a CPU's frequency, and by what",
        inert: "In most guests, where the host chooses. With intel_pstate, powersave is not slow by itself.",
        risk: "Power, and heat that slows other cores",
        danger: Danger::Medium,
        source: "Documentation/admin-guide/pm/cpufreq.rst",
        ..HOST
    },
    Knob {
        name: "cpu.energy_performance_preference",
        path: "sys/devices/system/cpu/*/cpufreq/energy_performance_preference",
        kind: Kind::Enum(&["default", "performance", "balance_performance", "balance_power", "power"]),
        what: "Which way the CPU itself leans between speed and power",
        inert: "With other drivers than intel_pstate and amd-pstate.",
        risk: "Power",
        source: "Documentation/admin-guide/pm/intel_pstate.rst",
        ..HOST
    },
    Knob {
        name: "cpu.no_turbo",
        path: "sys/devices/system/cpu/intel_pstate/no_turbo",
        default: Some("0"),
        what: "Keeps CPUs from going beyond their nominal frequency",
        inert: "Without intel_pstate.",
        risk: "1: slower. 0: figures depend on heat and on the neighbours",
        source: "Documentation/admin-guide/pm/intel_pstate.rst",
        ..HOST
    },
    Knob {
        name: "cpu.idle_state_disable",
        path: "sys/devices/system/cpu/*/cpuidle/*/disable",
        default: Some("0"),
        what: "Forbids one idle state of one CPU: those with a long way back cost latency",
        inert: "Under load, when no CPU is idle; with `ringmill --spin-us`; in guests that have no such states.",
        risk: "Power and heat, and less turbo for the other cores",
        danger: Danger::Medium,
        source: "Documentation/admin-guide/pm/cpuidle.rst",
        ..HOST
    },
    Knob {
        name: "cpu.dma_latency",
        path: "",
        kind: Kind::COUNT,
        unit: "us",
        access: Access::Advice,
        what: "The longest way back from an idle state that is allowed, for as long as /dev/cpu_dma_latency is held open",
        inert: "Once the file is closed: writing it from a script and leaving does nothing.",
        risk: "Power and heat while it is held",
        danger: Danger::Medium,
        truth: "`echo 0 > /dev/cpu_dma_latency` ends with the echo.",
        source: "Documentation/power/pm_qos_interface.rst",
        ..HOST
    },
    Knob {
        name: "cpu.clocksource",
        path: "sys/devices/system/clocksource/clocksource0/current_clocksource",
        kind: Kind::Text,
        what: "The clock behind clock_gettime(2): tsc and kvm-clock are read without a system call",
        inert: "Where it is tsc or kvm-clock already.",
        risk: "A clock that the kernel took for unstable drifts",
        danger: Danger::High,
        source: "Documentation/timers/timekeeping.rst; vdso(7)",
        ..HOST
    },
    Knob {
        name: "mm.transparent_hugepage",
        path: "sys/kernel/mm/transparent_hugepage/enabled",
        kind: Kind::Enum(&["always", "madvise", "never"]),
        what: "Who gets huge pages without asking for them",
        inert: "For Ringmill's small state, and with madvise for programs that do not ask.",
        risk: "always: stalls while memory is compacted, and more of it used than asked for",
        danger: Danger::Medium,
        source: "Documentation/admin-guide/mm/transhuge.rst",
        ..HOST
    },
    Knob {
        name: "mm.transparent_hugepage_defrag",
        path: "sys/kernel/mm/transparent_hugepage/defrag",
        kind: Kind::Enum(&["always", "defer", "defer+madvise", "madvise", "never"]),
        default: Some("madvise"),
        what: "Whether an allocation waits while memory is compacted to make it a huge page",
        inert: "While free memory has whole huge pages.",
        risk: "always: any allocation may stall",
        danger: Danger::Medium,
        source: "Documentation/admin-guide/mm/transhuge.rst",
        ..HOST
    },
];

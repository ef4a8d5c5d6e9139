//! `fs`, `vm`, `kernel` and connection tracking: settings of the whole host, which no namespace keeps to itself, and which an
//! experiment in one must therefore leave alone (Documentation/admin-guide/sysctl).

use crate::knob::{Danger, Knob, SYSCTL, Scope};
use crate::value::Kind;

const FS: Knob = Knob { scope: Scope::Host, source: "Documentation/admin-guide/sysctl/fs.rst", ..SYSCTL };
const VM: Knob = Knob { scope: Scope::Host, source: "Documentation/admin-guide/sysctl/vm.rst", ..SYSCTL };
const KERNEL: Knob =
    Knob { scope: Scope::Host, source: "Documentation/admin-guide/sysctl/kernel.rst", ..SYSCTL };
const CONNTRACK: Knob = Knob { source: "Documentation/networking/nf_conntrack-sysctl.rst", ..SYSCTL };
const BYTES: Kind = Kind::Integer { min: 0, max: i64::MAX };

pub(super) const KNOBS: &[Knob] = &[
    Knob {
        name: "fs.file-max",
        path: "proc/sys/fs/file-max",
        kind: Kind::Integer { min: 0, max: i64::MAX },
        unit: "files",
        what: "Open files of all processes together",
        inert: "While the first number of /proc/sys/fs/file-nr is below it, and for root, who may go beyond.",
        risk: "Kernel memory: about a kilobyte for each open socket and more",
        danger: Danger::Medium,
        truth: "It counts direct descriptors of a ring too. On most hosts it is so large already that it bounds nothing.",
        ..FS
    },
    Knob {
        name: "fs.nr_open",
        path: "proc/sys/fs/nr_open",
        // A word of the kernel's table of descriptors at least, and whole words only (sysctl_nr_open_min and _max, fs/file.c).
        kind: Kind::Integer { min: 64, max: i32::MAX as i64 & -64 },
        unit: "files",
        default: Some("1048576"),
        what: "The most that RLIMIT_NOFILE of a process may be raised to",
        inert: "While RLIMIT_NOFILE is below it, as `ulimit -Hn` says.",
        risk: "A process may hold that much kernel memory",
        danger: Danger::Medium,
        truth: "A million connections need RLIMIT_NOFILE as well, and of a ring's direct descriptors each ring may have as many, up to 1,048,576.",
        source: "Documentation/admin-guide/sysctl/fs.rst; fs/file.c; io_uring/rsrc.c",
        ..FS
    },
    Knob {
        name: "fs.epoll.max_user_watches",
        path: "proc/sys/fs/epoll/max_user_watches",
        kind: BYTES,
        unit: "descriptors",
        what: "Descriptors that all epoll instances of one user may watch",
        inert: "For io_uring, which watches nothing by epoll.",
        risk: "160 bytes of kernel memory for each",
        ..FS
    },
    Knob {
        name: "vm.swappiness",
        path: "proc/sys/vm/swappiness",
        kind: Kind::Integer { min: 0, max: 200 },
        default: Some("60"),
        what: "How readily memory of programs is swapped out in place of dropping cached files",
        inert: "Without swap, and while memory is free.",
        risk: "0: under pressure the cache thrashes and processes are killed sooner",
        danger: Danger::Medium,
        ..VM
    },
    Knob {
        name: "vm.min_free_kbytes",
        path: "proc/sys/vm/min_free_kbytes",
        kind: Kind::Integer { min: 1024, max: 64 << 20 },
        unit: "KiB",
        what: "Memory kept free for allocations that cannot wait, such as a driver's receive buffers",
        inert: "While no packet is dropped for want of memory.",
        risk: "Too much kills processes at once, too little makes the kernel stall",
        danger: Danger::High,
        ..VM
    },
    Knob {
        name: "vm.zone_reclaim_mode",
        path: "proc/sys/vm/zone_reclaim_mode",
        kind: Kind::Integer { min: 0, max: 7 },
        default: Some("0"),
        what: "Frees memory of the own NUMA node before another's is taken: 1 on, 2 with writing, 4 with swapping, as a sum",
        inert: "With one NUMA node.",
        risk: "Stalls while another node has memory",
        danger: Danger::Medium,
        ..VM
    },
    Knob {
        name: "vm.stat_interval",
        path: "proc/sys/vm/stat_interval",
        kind: Kind::Integer { min: 1, max: 3600 },
        unit: "s",
        default: Some("1"),
        what: "How often each CPU folds its memory counters into the sums",
        inert: "On a CPU whose counters did not change.",
        risk: "Sums are that much older",
        ..VM
    },
    Knob {
        name: "vm.dirty_bytes",
        path: "proc/sys/vm/dirty_bytes",
        kind: Kind::Integer { min: 8192, max: i64::MAX },
        unit: "bytes",
        what: "Unwritten file data at which writers must write themselves",
        inert: "For a server that writes no files.",
        risk: "Small: writers stall. It replaces vm.dirty_ratio, which then shows 0",
        danger: Danger::Medium,
        truth: "0 is what it shows while vm.dirty_ratio is in force, and is refused when it is written: to take it back, write the ratio.",
        coupled: &["vm.dirty_ratio"],
        ..VM
    },
    Knob {
        name: "vm.dirty_ratio",
        path: "proc/sys/vm/dirty_ratio",
        kind: Kind::Integer { min: 0, max: 100 },
        unit: "%",
        default: Some("20"),
        what: "The same as a share of the memory that is available",
        inert: "For a server that writes no files, and while vm.dirty_bytes is not 0.",
        risk: "Large: one writer fills the memory, and all wait for the disk",
        danger: Danger::Medium,
        coupled: &["vm.dirty_bytes"],
        ..VM
    },
    Knob {
        name: "vm.nr_hugepages",
        path: "proc/sys/vm/nr_hugepages",
        kind: Kind::Integer { min: 0, max: 1 << 32 },
        unit: "pages",
        default: Some("0"),
        what: "Huge pages set aside, for `ringmill --huge-pages` among others",
        inert: "For programs that do not ask for them.",
        risk: "Memory that nobody else gets. The kernel may find fewer: read it back",
        danger: Danger::Medium,
        source: "Documentation/admin-guide/mm/hugetlbpage.rst",
        ..VM
    },
    Knob {
        name: "vm.max_map_count",
        path: "proc/sys/vm/max_map_count",
        kind: Kind::COUNT,
        unit: "mappings",
        default: Some("65530"),
        what: "Mappings that a process may have",
        inert: "For Ringmill, which has some dozens.",
        risk: "Kernel memory of the process",
        ..VM
    },
    Knob {
        name: "kernel.io_uring_disabled",
        path: "proc/sys/kernel/io_uring_disabled",
        kind: Kind::Integer { min: 0, max: 2 },
        default: Some("0"),
        what: "Who may create a ring: 0 everybody, 1 CAP_SYS_ADMIN and the group kernel.io_uring_group, 2 nobody",
        inert: "For rings that exist.",
        risk: "0 opens a part of the kernel to every user that some would rather keep closed; 2 leaves Ringmill with epoll",
        danger: Danger::High,
        since: Some("6.6"),
        ..KERNEL
    },
    Knob {
        name: "kernel.numa_balancing",
        path: "proc/sys/kernel/numa_balancing",
        kind: Kind::Integer { min: 0, max: 3 },
        what: "Unmaps memory now and then to learn which node uses it, and moves it there: 0 off, 1 on, 2 between tiers",
        inert: "With one NUMA node.",
        risk: "Off: memory of threads that move stays where it was. Ringmill's are pinned and touch their memory first",
        ..KERNEL
    },
    Knob {
        name: "kernel.sched_autogroup_enabled",
        path: "proc/sys/kernel/sched_autogroup_enabled",
        what: "Shares CPU time among terminals' sessions rather than among threads",
        inert: "For what systemd starts in a cgroup of its own, and on a CPU with one runnable thread.",
        risk: "Off: one session with many threads starves an interactive one",
        source: "sched(7)",
        ..KERNEL
    },
    Knob {
        name: "kernel.timer_migration",
        path: "proc/sys/kernel/timer_migration",
        default: Some("1"),
        what: "Lets timers of an idle CPU fire on a busy one",
        inert: "While all CPUs are busy.",
        risk: "Off: idle CPUs wake up for their own timers",
        source: "kernel/time/timer.c",
        ..KERNEL
    },
    Knob {
        name: "kernel.nmi_watchdog",
        path: "proc/sys/kernel/nmi_watchdog",
        what: "Watches for CPUs that are stuck, by a performance counter",
        inert: "In guests without performance counters.",
        risk: "Off: a CPU that hangs is not noticed",
        danger: Danger::Medium,
        ..KERNEL
    },
    Knob {
        name: "kernel.sched_rt_runtime_us",
        path: "proc/sys/kernel/sched_rt_runtime_us",
        kind: Kind::Integer { min: -1, max: i32::MAX as i64 },
        unit: "us",
        default: Some("950000"),
        what: "Time of each period that realtime threads may take; -1 is all of it",
        inert: "Without realtime threads.",
        risk: "-1: a realtime thread that spins locks the host up",
        danger: Danger::High,
        truth: "More than kernel.sched_rt_period_us, which is 1000000 unless somebody changed it, is refused.",
        source: "Documentation/scheduler/sched-rt-group.rst",
        ..KERNEL
    },
    Knob {
        name: "net.netfilter.nf_conntrack_max",
        path: "proc/sys/net/netfilter/nf_conntrack_max",
        kind: Kind::COUNT,
        unit: "connections",
        scope: Scope::Host,
        what: "Connections that are tracked; more are dropped (\"table full, dropping packet\")",
        inert: "Where no rule of netfilter asks for connection tracking.",
        risk: "Some 300 bytes for each. Too few drops new connections",
        danger: Danger::Medium,
        truth: "Cheaper than a large table is none: rules without state (notrack) for the server's port. The default is nf_conntrack_buckets, and each connection stands in the table twice, once for each way.",
        ..CONNTRACK
    },
    Knob {
        name: "net.netfilter.nf_conntrack_tcp_timeout_established",
        path: "proc/sys/net/netfilter/nf_conntrack_tcp_timeout_established",
        kind: Kind::COUNT,
        unit: "s",
        default: Some("432000"),
        what: "How long an idle connection stays tracked",
        inert: "Where nothing is tracked.",
        risk: "Shorter than a connection may idle: its next packet is invalid, and dropped by rules that say so",
        danger: Danger::Medium,
        ..CONNTRACK
    },
];

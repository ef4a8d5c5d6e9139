//! `net.core`: queues, budgets and buffers that all protocols share (Documentation/admin-guide/sysctl/net.rst).
//!
//! Most of them are the host's: a network namespace has its own `somaxconn`, `optmem_max`, `rps_default_mask` and `txrehash`, sees
//! the socket buffers read-only, and does not see the rest (looked at on Linux 6.18).

use crate::knob::{Danger, Knob, SYSCTL, Scope};
use crate::value::Kind;

const NET: &str = "Documentation/admin-guide/sysctl/net.rst";
const SCALING: &str = "Documentation/networking/scaling.rst";
const HOST: Knob = Knob { scope: Scope::Host, source: NET, ..SYSCTL };
// SOCK_MIN_RCVBUF and SOCK_MIN_SNDBUF of a 64-bit kernel (include/net/sock.h): less is refused.
const RECEIVE: Kind = Kind::Integer { min: 2304, max: i32::MAX as i64 };
const SEND: Kind = Kind::Integer { min: 4608, max: i32::MAX as i64 };

pub(super) const KNOBS: &[Knob] = &[
    Knob {
        name: "net.core.somaxconn",
        path: "proc/sys/net/core/somaxconn",
        kind: Kind::COUNT,
        unit: "connections",
        default: Some("4096"),
        what: "Cuts the backlog that listen(2) asks for: connections that wait to be accepted on one listener",
        inert: "While the program's own listen() backlog is smaller, and for listeners that are open already: the cut is made in listen().",
        risk: "A long queue keeps clients waiting for answers that nobody will read any more",
        truth: "Raising it does nothing by itself: listen() must ask for as much, and must be called again. The default has been 4096 since Linux 5.4; advice to leave 128 behind is older.",
        source: "Documentation/networking/ip-sysctl.rst; listen(2)",
        ..SYSCTL
    },
    Knob {
        name: "net.core.rmem_max",
        path: "proc/sys/net/core/rmem_max",
        kind: RECEIVE,
        unit: "bytes",
        what: "The largest receive buffer that SO_RCVBUF may ask for",
        inert: "For TCP sockets that do not set SO_RCVBUF: their growth ends at net.ipv4.tcp_rmem.",
        risk: "Each socket that asks may hold that much memory",
        danger: Danger::Medium,
        truth: "It does not bound TCP's own growth. A program that sets SO_RCVBUF switches that growth off for its socket.",
        source: "Documentation/admin-guide/sysctl/net.rst; socket(7); tcp(7)",
        ..HOST
    },
    Knob {
        name: "net.core.wmem_max",
        path: "proc/sys/net/core/wmem_max",
        kind: SEND,
        unit: "bytes",
        what: "The largest send buffer that SO_SNDBUF may ask for",
        inert: "For TCP sockets that do not set SO_SNDBUF: their growth ends at net.ipv4.tcp_wmem.",
        risk: "Each socket that asks may hold that much memory",
        danger: Danger::Medium,
        truth: "It does not bound TCP's own growth.",
        source: "Documentation/admin-guide/sysctl/net.rst; socket(7); tcp(7)",
        ..HOST
    },
    Knob {
        name: "net.core.rmem_default",
        path: "proc/sys/net/core/rmem_default",
        kind: RECEIVE,
        unit: "bytes",
        default: Some("212992"),
        what: "The receive buffer of a new socket",
        inert: "For TCP, which begins with the second field of net.ipv4.tcp_rmem.",
        risk: "Each UDP socket may hold that much unread data",
        danger: Danger::Medium,
        ..HOST
    },
    Knob {
        name: "net.core.wmem_default",
        path: "proc/sys/net/core/wmem_default",
        kind: SEND,
        unit: "bytes",
        default: Some("212992"),
        what: "The send buffer of a new socket",
        inert: "For TCP, which begins with the second field of net.ipv4.tcp_wmem.",
        risk: "Each UDP socket may hold that much unsent data",
        danger: Danger::Medium,
        ..HOST
    },
    Knob {
        name: "net.core.optmem_max",
        path: "proc/sys/net/core/optmem_max",
        kind: Kind::COUNT,
        unit: "bytes",
        what: "Memory of one socket for ancillary data, pending zero-copy notifications among it",
        inert: "Where no socket has much of it: zero-copy sends (MSG_ZEROCOPY, SEND_ZC) do.",
        risk: "Memory of each socket that asks for it",
        source: "Documentation/admin-guide/sysctl/net.rst; Documentation/networking/msg_zerocopy.rst",
        scope: Scope::Netns,
        ..HOST
    },
    Knob {
        name: "net.core.netdev_max_backlog",
        path: "proc/sys/net/core/netdev_max_backlog",
        kind: Kind::COUNT,
        unit: "packets",
        default: Some("1000"),
        what: "Packets that may wait on one CPU for the stack; more are dropped (second column of /proc/net/softnet_stat)",
        inert: "For drivers with NAPI without RPS: their packets do not go through this queue. Loopback's and veth's do.",
        risk: "Longer waits in place of drops",
        truth: "If the second column of /proc/net/softnet_stat does not grow, it has never been full.",
        ..HOST
    },
    Knob {
        name: "net.core.netdev_budget",
        path: "proc/sys/net/core/netdev_budget",
        kind: Kind::COUNT,
        unit: "packets",
        default: Some("300"),
        what: "Packets that one softirq takes from all devices before it gives the CPU back",
        inert: "While the third column of /proc/net/softnet_stat does not grow: the budget was never short.",
        risk: "Programs on that CPU wait longer",
        coupled: &["net.core.netdev_budget_usecs"],
        ..HOST
    },
    Knob {
        name: "net.core.netdev_budget_usecs",
        path: "proc/sys/net/core/netdev_budget_usecs",
        // The kernel takes 0 too (net/core/sysctl_net_core.c), and then each softirq ends after its first device.
        kind: Kind::Integer { min: 1, max: i32::MAX as i64 },
        unit: "us",
        what: "Time that one softirq takes for packets before it gives the CPU back",
        inert: "While the third column of /proc/net/softnet_stat does not grow.",
        truth: "It is counted in ticks of the kernel (CONFIG_HZ: 1 to 10 ms), rounded up. The default is two of them.",
        source: "Documentation/admin-guide/sysctl/net.rst; net_rx_action() in net/core/dev.c",
        risk: "Programs on that CPU wait longer",
        coupled: &["net.core.netdev_budget"],
        since: Some("4.12"),
        ..HOST
    },
    Knob {
        name: "net.core.dev_weight",
        path: "proc/sys/net/core/dev_weight",
        kind: Kind::Integer { min: 1, max: i32::MAX as i64 },
        unit: "packets",
        default: Some("64"),
        what: "Packets that a CPU takes from its own backlog at a time, and that one run of a queueing discipline sends",
        inert: "Of what is received, for drivers with NAPI without RPS. Of what is sent, for devices without a queueing discipline: loopback, veth.",
        risk: "One source of packets keeps the others waiting",
        truth: "It bounds sending too: when a run of the discipline has sent so many, a softirq sends the rest (dev_weight_rx_bias and dev_weight_tx_bias multiply it for either way).",
        source: "Documentation/admin-guide/sysctl/net.rst; net/sched/sch_generic.c",
        ..HOST
    },
    Knob {
        name: "net.core.busy_poll",
        path: "proc/sys/net/core/busy_poll",
        kind: Kind::COUNT,
        unit: "us",
        default: Some("0"),
        what: "How long poll(2), select(2) and epoll(7) look at the device's queue before they sleep",
        inert: "On loopback and other devices without a hardware queue, for sockets without SO_BUSY_POLL, and for io_uring, which has NAPI settings of its own.",
        risk: "A CPU is busy, and draws power, while nothing comes",
        truth: "It does nothing on loopback: there is no queue to look at. So no test against 127.0.0.1 can show what it brings.",
        coupled: &["net.core.busy_read"],
        ..HOST
    },
    Knob {
        name: "net.core.busy_read",
        path: "proc/sys/net/core/busy_read",
        kind: Kind::COUNT,
        unit: "us",
        default: Some("0"),
        what: "SO_BUSY_POLL of new sockets: how long a read looks at the device's queue before it sleeps",
        inert: "On loopback and other devices without a hardware queue.",
        risk: "A CPU is busy, and draws power, while nothing comes",
        truth: "It does nothing on loopback. The socket option does the same for one program only.",
        coupled: &["net.core.busy_poll"],
        ..HOST
    },
    Knob {
        name: "net.core.default_qdisc",
        path: "proc/sys/net/core/default_qdisc",
        kind: Kind::Text,
        default: Some("pfifo_fast"),
        what: "Queueing discipline of devices that come up after the change",
        inert: "For devices that are up, and for loopback and veth, which have no queue.",
        risk: "A name that is no module of this kernel is refused; another order of packets is another latency",
        truth: "BBR paces by itself since Linux 4.13 and no longer needs fq (its first page of advice did).",
        source: "Documentation/admin-guide/sysctl/net.rst; tcp_bbr.c",
        ..HOST
    },
    Knob {
        name: "net.core.rps_sock_flow_entries",
        path: "proc/sys/net/core/rps_sock_flow_entries",
        kind: Kind::PowerOfTwo { max: 1 << 29 },
        unit: "flows",
        default: Some("0"),
        what: "Size of the table by which RFS sends a flow's packets to the CPU where its program last read",
        inert: "Unless the queues have an rps_flow_cnt too. Where the NIC's queue is already the shard's core, there is nothing to steer.",
        risk: "One interrupt between CPUs for packets that arrive on the wrong one",
        coupled: &["device.rps_flow_cnt"],
        source: SCALING,
        ..HOST
    },
    Knob {
        name: "net.core.rps_default_mask",
        path: "proc/sys/net/core/rps_default_mask",
        kind: Kind::Bitmap,
        default: Some("0"),
        what: "CPUs to which receive queues of new devices of this namespace spread packets",
        inert: "For devices that exist: their queues have an rps_cpus each.",
        risk: "As of device.rps_cpus",
        truth: "A write may return an error and change the value all the same: read it back.",
        since: Some("6.3"),
        scope: Scope::Netns,
        ..HOST
    },
    Knob {
        name: "net.core.flow_limit_cpu_bitmap",
        path: "proc/sys/net/core/flow_limit_cpu_bitmap",
        kind: Kind::Bitmap,
        default: Some("0"),
        what: "CPUs that drop packets of the largest flow first, once their backlog is half full",
        inert: "Without RPS, and while the backlog stays below half of net.core.netdev_max_backlog.",
        risk: "Large flows lose packets sooner",
        source: SCALING,
        ..HOST
    },
    Knob {
        name: "net.core.gro_normal_batch",
        path: "proc/sys/net/core/gro_normal_batch",
        kind: Kind::Integer { min: 1, max: i32::MAX as i64 },
        unit: "segments",
        default: Some("8"),
        what: "Segments that leave GRO together",
        inert: "On loopback, whose packets do not pass GRO.",
        risk: "Latency of what waits for a batch",
        since: Some("5.4"),
        ..HOST
    },
    Knob {
        name: "net.core.skb_defer_max",
        path: "proc/sys/net/core/skb_defer_max",
        kind: Kind::COUNT,
        unit: "packets",
        what: "Received packets that may wait to be freed by the CPU that allocated them",
        inert: "Where packets are read on the CPU on which they came.",
        risk: "Memory that waits",
        since: Some("5.19"),
        ..HOST
    },
    Knob {
        name: "net.core.mem_pcpu_rsv",
        path: "proc/sys/net/core/mem_pcpu_rsv",
        // A megabyte in pages of 4 KiB (SK_MEMORY_PCPU_RESERVE, include/net/proto_memory.h): less is refused.
        kind: Kind::Integer { min: 256, max: i32::MAX as i64 },
        unit: "pages",
        default: Some("256"),
        what: "Pages of protocol memory that a CPU keeps to itself before it touches the counter that all share",
        risk: "The sum is that much less exact on each CPU",
        since: Some("6.9"),
        ..HOST
    },
    Knob {
        name: "net.core.netdev_tstamp_prequeue",
        path: "proc/sys/net/core/netdev_tstamp_prequeue",
        default: Some("1"),
        what: "Whether packets are stamped before RPS passes them on, or after",
        inert: "Without RPS, and where nobody asks for time stamps.",
        risk: "Stamps that include the wait for the other CPU",
        ..HOST
    },
    Knob {
        name: "net.core.txrehash",
        path: "proc/sys/net/core/txrehash",
        default: Some("1"),
        what: "Whether a listener's connections take another path (hash) after a timeout",
        inert: "Where the network has one path only.",
        risk: "A connection stays on a path that loses packets",
        since: Some("5.18"),
        scope: Scope::Netns,
        ..HOST
    },
];

//! Ringmill's own flags, and what a socket or a ring asks of the kernel: factors of an experiment of equal standing.
//!
//! None is a file: a flag is given to `ringmill` when it starts, the rest is for those who write servers.

use crate::knob::{Access, Danger, Knob, SYSCTL, Scope};
use crate::value::Kind;

const FLAG: Knob =
    Knob { kind: Kind::Text, scope: Scope::Ringmill, source: "ringmill --help; docs/decisions", ..SYSCTL };
const SOCKET: Knob = Knob { scope: Scope::Socket, access: Access::Advice, ..SYSCTL };

pub(super) const KNOBS: &[Knob] = &[
    Knob {
        name: "ringmill.engine",
        kind: Kind::Enum(&["auto", "uring", "epoll", "threads", "pool", "glommio"]),
        default: Some("auto"),
        access: Access::Flag("--engine"),
        what: "What moves the bytes: io_uring, epoll, a thread for each connection, a pool of threads, glommio",
        risk: "Others than uring are there to be compared",
        source: "docs/IO-MODELS.md",
        ..FLAG
    },
    Knob {
        name: "ringmill.zero-copy-bytes",
        default: Some("auto"),
        access: Access::Flag("--zero-copy-bytes"),
        unit: "bytes",
        what: "Sends of at least so many bytes leave without a copy in the kernel: auto, off or a number",
        inert: "On loopback and veth, which copy anyway; auto notices it.",
        risk: "Slower for small sends, and where the kernel copies all the same",
        source: "ringmill --help; io_uring_prep_send_zc(3)",
        ..FLAG
    },
    Knob {
        name: "ringmill.spin-us",
        kind: Kind::Integer { min: 0, max: 1_000_000 },
        unit: "us",
        default: Some("0"),
        access: Access::Flag("--spin-us"),
        what: "How long an idle shard looks for work before it sleeps",
        inert: "Under load, when it never sleeps.",
        risk: "The core is busy while nothing comes; without a core for each shard it takes time from the others",
        danger: Danger::Medium,
        ..FLAG
    },
    Knob {
        name: "ringmill.ring",
        default: Some("default"),
        access: Access::Flag("--ring"),
        what: "How rings differ from those that measured best: words such as tier=coop,bundles=off",
        inert: "With other engines than uring.",
        risk: "sqpoll=on without a spare core is ruinous",
        source: "docs/decisions/0008-ring-factors.md",
        ..FLAG
    },
    Knob {
        name: "ringmill.recv-buffers",
        access: Access::Flag("--recv-buffers"),
        what: "Receive buffers of each shard, as 128x16KiB",
        risk: "Too few: `enobufs` grows. Too many leave the core's cache",
        source: "docs/decisions/0003-buffers.md",
        ..FLAG
    },
    Knob {
        name: "ringmill.huge-pages",
        kind: Kind::Enum(&["true", "false"]),
        default: Some("false"),
        access: Access::Flag("--huge-pages"),
        what: "Huge pages under the receive buffers",
        inert: "Where there are none: see vm.nr_hugepages.",
        risk: "Memory is taken 2 MiB at a time",
        coupled: &["vm.nr_hugepages"],
        ..FLAG
    },
    Knob {
        name: "ringmill.backlog",
        kind: Kind::Integer { min: 1, max: 1_000_000 },
        unit: "connections",
        default: Some("4096"),
        access: Access::Flag("--backlog"),
        what: "Connections that may wait to be accepted, on each listener of each shard",
        inert: "Beyond net.core.somaxconn, which cuts it.",
        risk: "Clients wait for answers that nobody will read any more",
        coupled: &["net.core.somaxconn"],
        ..FLAG
    },
    Knob {
        name: "ringmill.accept",
        kind: Kind::Enum(&["reuseport", "cbpf", "hand-off"]),
        default: Some("reuseport"),
        access: Access::Flag("--accept"),
        what: "Which shard gets a connection: by a hash of its addresses, that of the core on which its handshake came in, or each in its turn",
        inert: "With one shard.",
        risk: "cbpf: where all packets come on one core, one shard gets all connections; on loopback that is the client's core. hand-off: one shard accepts for all",
        ..FLAG
    },
    Knob {
        name: "ringmill.shards",
        access: Access::Flag("--shards"),
        default: Some("auto"),
        what: "How many cores serve: auto is one shard a core",
        risk: "More shards than cores take turns",
        ..FLAG
    },
    Knob {
        name: "socket.incoming_cpu",
        kind: Kind::Integer { min: -1, max: 8191 },
        what: "SO_INCOMING_CPU of a listener: of several on one port, the one whose CPU a packet came on is preferred",
        inert: "Without SO_REUSEPORT, and where packets come on other CPUs than shards run on. With SO_REUSEPORT the kernel ignored it from Linux 4.6 until 6.2, unless the mend was ported back.",
        risk: "If all packets come on one CPU, one shard gets all connections",
        danger: Danger::Medium,
        since: Some("4.4"),
        source: "socket(7); net/core/sock_reuseport.c (commit b261eda84ec1)",
        ..SOCKET
    },
    Knob {
        name: "socket.busy_poll",
        kind: Kind::COUNT,
        unit: "us",
        default: Some("0"),
        what: "SO_BUSY_POLL: how long a call looks at the device's queue before it sleeps",
        inert: "On loopback. Raising it needs CAP_NET_ADMIN.",
        risk: "A CPU is busy while nothing comes",
        truth: "Busy polling does nothing on loopback: there is no queue of a device to look at.",
        source: "socket(7)",
        ..SOCKET
    },
    Knob {
        name: "socket.napi",
        kind: Kind::COUNT,
        unit: "us",
        what: "IORING_REGISTER_NAPI: how long a ring that waits looks at the queues of its sockets' devices",
        inert: "On loopback, and while the ring never waits.",
        risk: "A CPU is busy while nothing comes",
        since: Some("6.9"),
        truth: "Busy polling does nothing on loopback.",
        source: "io_uring_register_napi(3)",
        ..SOCKET
    },
];

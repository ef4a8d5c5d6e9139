//! `net.ipv4`: TCP, UDP and ports; those of TCP hold for IPv6 too (Documentation/networking/ip-sysctl.rst).
//!
//! A network namespace has its own of all but the sums over all sockets (`tcp_mem`, `udp_mem`, `tcp_max_orphans`).

use crate::knob::{Danger, Knob, SYSCTL, Scope};
use crate::value::Kind;

const IP: &str = "Documentation/networking/ip-sysctl.rst";
const TCP: Knob = Knob { source: IP, ..SYSCTL };
const BUFFERS: Kind = Kind::Vector { count: 3, min: 1, max: i32::MAX as i64 };
const PAGES: Kind = Kind::Vector { count: 3, min: 0, max: i64::MAX };
const BYTE: Kind = Kind::Integer { min: 0, max: 255 };

pub(super) const KNOBS: &[Knob] = &[
    Knob {
        name: "net.ipv4.tcp_max_syn_backlog",
        path: "proc/sys/net/ipv4/tcp_max_syn_backlog",
        kind: Kind::COUNT,
        unit: "handshakes",
        what: "Handshakes of one listener that may be half done before unknown peers are refused",
        inert: "While net.ipv4.tcp_syncookies is on, which is the default. What bounds handshakes then is the backlog of listen().",
        risk: "Some 300 bytes for each half-open handshake",
        truth: "It is inert while syncookies are on: the kernel compares with it only where it would not send cookies.",
        source: "Documentation/networking/ip-sysctl.rst; tcp_conn_request() in net/ipv4/tcp_input.c",
        ..TCP
    },
    Knob {
        name: "net.ipv4.tcp_syncookies",
        path: "proc/sys/net/ipv4/tcp_syncookies",
        kind: Kind::Integer { min: 0, max: 2 },
        default: Some("1"),
        what: "Answers handshakes from a cookie when a listener's queue is full: 0 never, 1 then, 2 always",
        inert: "While no queue is full, with 1.",
        risk: "Off: a flood of SYNs keeps real clients out. Always: connections lose options where there are no time stamps",
        danger: Danger::High,
        truth: "It is a way to survive an attack. If TCPReqQFullDoCookies grows without one, the queue is too short or the program accepts too slowly.",
        ..TCP
    },
    Knob {
        name: "net.ipv4.tcp_abort_on_overflow",
        path: "proc/sys/net/ipv4/tcp_abort_on_overflow",
        default: Some("0"),
        what: "Resets a connection that finds the accept queue full, in place of letting its handshake be repeated",
        inert: "While ListenOverflows does not grow.",
        risk: "Clients see resets in a burst that would have passed",
        danger: Danger::Medium,
        truth: "0 is the default: setting it changes nothing.",
        ..TCP
    },
    Knob {
        name: "net.ipv4.tcp_migrate_req",
        path: "proc/sys/net/ipv4/tcp_migrate_req",
        default: Some("0"),
        what: "Moves connections that wait in a listener to another one of the same port when it closes",
        inert: "Without SO_REUSEPORT, and for the last listener of a port.",
        risk: "Listeners of different settings hand each other connections that they do not expect",
        truth: "This is what saves connections when one of several SO_REUSEPORT listeners closes; without it those in its queue are reset. Ringmill drains its queues first, so only a moment is left to save.",
        since: Some("5.14"),
        ..TCP
    },
    Knob {
        name: "net.ipv4.tcp_tw_reuse",
        path: "proc/sys/net/ipv4/tcp_tw_reuse",
        kind: Kind::Integer { min: 0, max: 2 },
        default: Some("2"),
        what: "Whether connect() may take a port that is in TIME_WAIT: 0 no, 1 yes, 2 on loopback only",
        inert: "For connections that are accepted, and without TCP time stamps.",
        risk: "A late segment of the old connection meets the new one, if the peer's stamps are not what they should be",
        danger: Danger::Medium,
        truth: "It concerns outgoing connections only, so a server gains nothing; a proxy may. The default has been 2 since Linux 4.19.",
        ..TCP
    },
    Knob {
        name: "net.ipv4.tcp_tw_recycle",
        path: "proc/sys/net/ipv4/tcp_tw_recycle",
        default: Some("0"),
        what: "Was to end TIME_WAIT early, by the peer's time stamps",
        inert: "Always: Linux 4.12 removed it.",
        risk: "Where it still exists it refuses clients behind one NAT at random",
        danger: Danger::High,
        truth: "It is gone since Linux 4.12, and never worked behind NAT. A profile that sets it to 0 sets nothing.",
        removed: Some("4.12"),
        source: "Linux commit 4396e46187ca, \"tcp: remove tcp_tw_recycle\"",
        ..TCP
    },
    Knob {
        name: "net.ipv4.tcp_tw_reuse_delay",
        path: "proc/sys/net/ipv4/tcp_tw_reuse_delay",
        kind: Kind::Integer { min: 1, max: 60_000 },
        unit: "ms",
        default: Some("1000"),
        what: "How long a port stays in TIME_WAIT before connect() may take it",
        inert: "Where net.ipv4.tcp_tw_reuse forbids it.",
        risk: "Shorter than the peer's time stamp clock: old segments are taken for new ones",
        danger: Danger::Medium,
        since: Some("6.14"),
        coupled: &["net.ipv4.tcp_tw_reuse"],
        ..TCP
    },
    Knob {
        name: "net.ipv4.tcp_max_tw_buckets",
        path: "proc/sys/net/ipv4/tcp_max_tw_buckets",
        kind: Kind::COUNT,
        unit: "connections",
        what: "Connections in TIME_WAIT that are kept; more are destroyed at once (TCPTimeWaitOverflow)",
        inert: "While there are fewer.",
        risk: "Too few: late segments reach new connections. Each costs some 250 bytes",
        danger: Danger::Medium,
        ..TCP
    },
    Knob {
        name: "net.ipv4.tcp_fin_timeout",
        path: "proc/sys/net/ipv4/tcp_fin_timeout",
        kind: Kind::Integer { min: 1, max: i32::MAX as i64 },
        unit: "s",
        default: Some("60"),
        what: "How long a closed connection waits for its peer's FIN (FIN_WAIT_2)",
        inert: "For connections that somebody still has open, for those that the peer closes, and in TIME_WAIT.",
        risk: "Slow peers are cut off",
        truth: "It is not the time of TIME_WAIT, which is 60 s and fixed (TCP_TIMEWAIT_LEN).",
        source: "Documentation/networking/ip-sysctl.rst; include/net/tcp.h",
        ..TCP
    },
    Knob {
        name: "net.ipv4.tcp_max_orphans",
        path: "proc/sys/net/ipv4/tcp_max_orphans",
        kind: Kind::COUNT,
        unit: "connections",
        scope: Scope::Host,
        what: "Connections that no program has open any more; more are reset (TCPAbortOnMemory)",
        inert: "While there are fewer.",
        risk: "Each orphan holds up to 64 KiB",
        danger: Danger::Medium,
        ..TCP
    },
    Knob {
        name: "net.ipv4.tcp_orphan_retries",
        path: "proc/sys/net/ipv4/tcp_orphan_retries",
        kind: BYTE,
        unit: "retransmissions",
        default: Some("0"),
        what: "How often data of a closed connection is sent again before it is given up; 0 means 8",
        risk: "The end of an answer is lost on a bad path",
        ..TCP
    },
    Knob {
        name: "net.ipv4.tcp_rmem",
        path: "proc/sys/net/ipv4/tcp_rmem",
        kind: BUFFERS,
        unit: "bytes",
        what: "Receive buffer of a TCP connection: least, first, most",
        inert: "For sockets that set SO_RCVBUF. Its first field is written alone by a single number, and the others stay.",
        risk: "A small maximum starves long fat paths; a large one lets each slow reader hold as much",
        danger: Danger::Medium,
        truth: "One number changes only the first of its three fields. What bounds throughput is the third, and only where bandwidth times delay exceeds it.",
        ..TCP
    },
    Knob {
        name: "net.ipv4.tcp_wmem",
        path: "proc/sys/net/ipv4/tcp_wmem",
        kind: BUFFERS,
        unit: "bytes",
        default: Some("4096 16384 4194304"),
        what: "Send buffer of a TCP connection: least, first, most",
        inert: "For sockets that set SO_SNDBUF.",
        risk: "A large maximum lets each slow reader hold as much",
        danger: Danger::Medium,
        ..TCP
    },
    Knob {
        name: "net.ipv4.tcp_mem",
        path: "proc/sys/net/ipv4/tcp_mem",
        kind: PAGES,
        unit: "pages",
        scope: Scope::Host,
        what: "Memory of all TCP sockets together: below this all is well, from here on it is saved, more is refused",
        inert: "Below its second field: see `mem` in /proc/net/sockstat.",
        risk: "Too small: connections fail. Too large: TCP takes the host's memory",
        danger: Danger::High,
        truth: "It is in pages of memory, not in bytes.",
        ..TCP
    },
    Knob {
        name: "net.ipv4.tcp_moderate_rcvbuf",
        path: "proc/sys/net/ipv4/tcp_moderate_rcvbuf",
        default: Some("1"),
        what: "Lets the receive buffer grow with the path, up to the third field of net.ipv4.tcp_rmem",
        inert: "For sockets that set SO_RCVBUF.",
        risk: "Off: fast paths stay at the first size",
        danger: Danger::Medium,
        coupled: &["net.ipv4.tcp_rmem"],
        ..TCP
    },
    Knob {
        name: "net.ipv4.tcp_notsent_lowat",
        path: "proc/sys/net/ipv4/tcp_notsent_lowat",
        kind: Kind::Integer { min: 0, max: u32::MAX as i64 },
        unit: "bytes",
        default: Some("4294967295"),
        what: "Unsent bytes at which a socket stops being writable",
        inert: "For sockets with TCP_NOTSENT_LOWAT, and while answers fit into the congestion window.",
        risk: "More wakes and smaller writes for bulk data",
        ..TCP
    },
    Knob {
        name: "net.ipv4.tcp_limit_output_bytes",
        path: "proc/sys/net/ipv4/tcp_limit_output_bytes",
        kind: Kind::COUNT,
        unit: "bytes",
        what: "Bytes of one connection that may wait in queueing discipline and device (TCP small queues)",
        risk: "Small: bulk senders stall. Large: one connection delays the others",
        ..TCP
    },
    Knob {
        name: "net.ipv4.tcp_autocorking",
        path: "proc/sys/net/ipv4/tcp_autocorking",
        default: Some("1"),
        what: "Joins small writes while an earlier packet of the connection still waits in the device",
        inert: "Where each answer is one write, as Ringmill's are.",
        risk: "Off: more packets for programs that write in small pieces",
        ..TCP
    },
    Knob {
        name: "net.ipv4.tcp_slow_start_after_idle",
        path: "proc/sys/net/ipv4/tcp_slow_start_after_idle",
        default: Some("1"),
        what: "Starts slowly again after a connection was idle for a retransmission timeout",
        inert: "On connections that are never idle so long, and for answers of less than ten segments.",
        risk: "Off: a burst into a path that may have changed meanwhile",
        ..TCP
    },
    Knob {
        name: "net.ipv4.tcp_congestion_control",
        path: "proc/sys/net/ipv4/tcp_congestion_control",
        kind: Kind::Text,
        what: "Congestion control of new connections; accepted ones have that of their listener",
        inert: "Without loss or queues on the path, as on loopback, and for listeners that are open.",
        risk: "Another share of a path that is full",
        danger: Danger::Medium,
        truth: "In a child namespace only those of net.ipv4.tcp_allowed_congestion_control may be chosen. On loopback it is a difference in CPU, if any.",
        ..TCP
    },
    Knob {
        name: "net.ipv4.tcp_ecn",
        path: "proc/sys/net/ipv4/tcp_ecn",
        kind: Kind::Integer { min: 0, max: 5 },
        default: Some("2"),
        what: "Explicit congestion notification: 0 off, 1 ask and accept, 2 accept only; 3 to 5 (accurate ECN) on kernels that have it",
        inert: "Where no router marks packets.",
        risk: "Old middleboxes drop what asks for it",
        ..TCP
    },
    Knob {
        name: "net.ipv4.tcp_fastopen",
        path: "proc/sys/net/ipv4/tcp_fastopen",
        kind: Kind::Integer { min: 0, max: 0x607 },
        default: Some("1"),
        what: "Data in the SYN, as a sum: 1 for clients, 2 for servers, 4 client without cookie, 0x200 server without cookie, 0x400 every listener",
        inert: "For listeners without TCP_FASTOPEN, unless 0x400 is set. Ringmill does not set it.",
        risk: "A request may arrive twice; without cookies anybody may send one from a false address",
        danger: Danger::Medium,
        ..TCP
    },
    Knob {
        name: "net.ipv4.tcp_timestamps",
        path: "proc/sys/net/ipv4/tcp_timestamps",
        kind: Kind::Integer { min: 0, max: 2 },
        default: Some("1"),
        what: "TCP time stamps: 0 off, 1 with a random offset for each connection, 2 without",
        risk: "Off: no round-trip times on retransmission, no protection of sequence numbers, no tcp_tw_reuse, weak syncookies",
        danger: Danger::Medium,
        truth: "Switching it off saves 12 bytes a segment and costs what it protects.",
        ..TCP
    },
    Knob {
        name: "net.ipv4.tcp_sack",
        path: "proc/sys/net/ipv4/tcp_sack",
        default: Some("1"),
        what: "Selective acknowledgements",
        inert: "Without loss.",
        risk: "Off: each loss costs far more",
        danger: Danger::Medium,
        ..TCP
    },
    Knob {
        name: "net.ipv4.tcp_window_scaling",
        path: "proc/sys/net/ipv4/tcp_window_scaling",
        default: Some("1"),
        what: "Windows of more than 64 KiB",
        inert: "Where bandwidth times delay is below 64 KiB.",
        risk: "Off: long paths are slow",
        danger: Danger::Medium,
        ..TCP
    },
    Knob {
        name: "net.ipv4.tcp_shrink_window",
        path: "proc/sys/net/ipv4/tcp_shrink_window",
        default: Some("0"),
        what: "Lets the kernel take back window that it has offered, to keep a receive buffer within its bound",
        inert: "For readers that keep up.",
        risk: "Peers that do not expect it send again",
        since: Some("6.5"),
        ..TCP
    },
    Knob {
        name: "net.ipv4.tcp_rto_min_us",
        path: "proc/sys/net/ipv4/tcp_rto_min_us",
        kind: Kind::Integer { min: 1, max: i32::MAX as i64 },
        unit: "us",
        default: Some("200000"),
        what: "The shortest time after which unacknowledged data is sent again",
        inert: "Without loss, and where a route or a socket says otherwise.",
        risk: "Below a peer's delayed acknowledgement (40 ms and more): needless retransmissions",
        danger: Danger::Medium,
        since: Some("6.11"),
        ..TCP
    },
    Knob {
        name: "net.ipv4.tcp_retries2",
        path: "proc/sys/net/ipv4/tcp_retries2",
        kind: BYTE,
        unit: "retransmissions",
        default: Some("15"),
        what: "How often data is sent again before the connection is given up: 15 is at least 924 s",
        inert: "While peers answer.",
        risk: "Below 8, connections do not survive what RFC 1122 asks for (100 s)",
        danger: Danger::Medium,
        ..TCP
    },
    Knob {
        name: "net.ipv4.tcp_synack_retries",
        path: "proc/sys/net/ipv4/tcp_synack_retries",
        kind: BYTE,
        unit: "retransmissions",
        default: Some("5"),
        what: "How often the answer to a SYN is sent again: 5 is given up after 63 s",
        inert: "While clients finish their handshakes.",
        risk: "Clients on bad paths do not get in",
        ..TCP
    },
    Knob {
        name: "net.ipv4.tcp_keepalive_time",
        path: "proc/sys/net/ipv4/tcp_keepalive_time",
        kind: Kind::Integer { min: 1, max: i32::MAX as i64 },
        unit: "s",
        default: Some("7200"),
        what: "How long a connection with SO_KEEPALIVE is idle before it is probed",
        inert: "For sockets without SO_KEEPALIVE, or with TCP_KEEPIDLE.",
        risk: "A packet for each idle connection that often: a million of them at 60 s are 16,667 a second",
        truth: "It has nothing to do with HTTP keep-alive.",
        coupled: &["net.ipv4.tcp_keepalive_intvl", "net.ipv4.tcp_keepalive_probes"],
        ..TCP
    },
    Knob {
        name: "net.ipv4.tcp_keepalive_intvl",
        path: "proc/sys/net/ipv4/tcp_keepalive_intvl",
        kind: Kind::Integer { min: 1, max: i32::MAX as i64 },
        unit: "s",
        default: Some("75"),
        what: "Time between probes that are not answered",
        inert: "For sockets without SO_KEEPALIVE, or with TCP_KEEPINTVL.",
        risk: "Peers that are away for a moment lose their connection",
        ..TCP
    },
    Knob {
        name: "net.ipv4.tcp_keepalive_probes",
        path: "proc/sys/net/ipv4/tcp_keepalive_probes",
        kind: Kind::Integer { min: 1, max: 255 },
        unit: "probes",
        default: Some("9"),
        what: "Probes without an answer after which a connection is given up",
        inert: "For sockets without SO_KEEPALIVE, or with TCP_KEEPCNT.",
        risk: "Peers that are away for a moment lose their connection",
        ..TCP
    },
    Knob {
        name: "net.ipv4.tcp_mtu_probing",
        path: "proc/sys/net/ipv4/tcp_mtu_probing",
        kind: Kind::Integer { min: 0, max: 2 },
        default: Some("0"),
        what: "Finds the largest packet by trying: 0 never, 1 when a path swallows large ones, 2 always",
        inert: "Where ICMP gets through.",
        risk: "Smaller segments on paths that only lose",
        ..TCP
    },
    Knob {
        name: "net.ipv4.tcp_no_metrics_save",
        path: "proc/sys/net/ipv4/tcp_no_metrics_save",
        default: Some("0"),
        what: "Forgets what a closed connection learned of its peer",
        inert: "For peers that come once.",
        risk: "Each connection learns anew; what one run learned no longer helps, or spoils, the next",
        ..TCP
    },
    Knob {
        name: "net.ipv4.tcp_min_tso_segs",
        path: "proc/sys/net/ipv4/tcp_min_tso_segs",
        kind: Kind::Integer { min: 1, max: 255 },
        unit: "segments",
        default: Some("2"),
        what: "The fewest segments that are given to the device as one",
        risk: "Bursts",
        ..TCP
    },
    Knob {
        name: "net.ipv4.tcp_tso_rtt_log",
        path: "proc/sys/net/ipv4/tcp_tso_rtt_log",
        kind: BYTE,
        default: Some("9"),
        what: "Makes segments given to near peers larger: near is below 2^N us; 0 switches it off",
        inert: "For messages that fit into one segment.",
        risk: "Bursts",
        since: Some("5.18"),
        ..TCP
    },
    Knob {
        name: "net.ipv4.tcp_comp_sack_nr",
        path: "proc/sys/net/ipv4/tcp_comp_sack_nr",
        kind: BYTE,
        unit: "acknowledgements",
        default: Some("44"),
        what: "Selective acknowledgements that may be joined to one; 0 joins none",
        inert: "Without loss or disorder.",
        risk: "More acknowledgements",
        since: Some("4.18"),
        ..TCP
    },
    Knob {
        name: "net.ipv4.tcp_backlog_ack_defer",
        path: "proc/sys/net/ipv4/tcp_backlog_ack_defer",
        default: Some("1"),
        what: "Sends one acknowledgement for all that a program finds queued on its socket at the end of a call",
        risk: "Off: a call that finds much queued takes longer",
        since: Some("6.7"),
        ..TCP
    },
    Knob {
        name: "net.ipv4.tcp_pingpong_thresh",
        path: "proc/sys/net/ipv4/tcp_pingpong_thresh",
        kind: Kind::Integer { min: 1, max: 255 },
        default: Some("1"),
        what: "Answers after which a connection is taken for request and response, and its acknowledgements wait for the next answer",
        risk: "More bare acknowledgements",
        since: Some("6.7"),
        ..TCP
    },
    Knob {
        name: "net.ipv4.tcp_child_ehash_entries",
        path: "proc/sys/net/ipv4/tcp_child_ehash_entries",
        kind: Kind::Integer { min: 0, max: 1 << 24 },
        unit: "buckets",
        default: Some("0"),
        what: "Hash buckets for connections in namespaces that are made after the change; 0 shares the host's",
        inert: "For namespaces that exist.",
        risk: "Eight bytes a bucket for each namespace",
        since: Some("6.1"),
        ..TCP
    },
    Knob {
        name: "net.ipv4.ip_local_port_range",
        path: "proc/sys/net/ipv4/ip_local_port_range",
        kind: Kind::Vector { count: 2, min: 1, max: 65_535 },
        unit: "ports",
        default: Some("32768 60999"),
        what: "Ports that connect() and bind() to port 0 choose from: first and last",
        inert: "For what is accepted: a server needs one port for any number of clients.",
        risk: "A service whose port lies inside may find it taken",
        danger: Danger::Medium,
        truth: "It bounds outgoing connections to one address and port, 28,232 of them, not a server's clients. A first port below net.ipv4.ip_unprivileged_port_start is refused.",
        coupled: &["net.ipv4.ip_unprivileged_port_start"],
        ..TCP
    },
    Knob {
        name: "net.ipv4.ip_unprivileged_port_start",
        path: "proc/sys/net/ipv4/ip_unprivileged_port_start",
        kind: Kind::Integer { min: 0, max: 65_535 },
        unit: "ports",
        default: Some("1024"),
        what: "The first port that bind() gives to programs without CAP_NET_BIND_SERVICE",
        inert: "For ports of 1024 and more, and for root.",
        risk: "Any user may take the place of a service that is down",
        danger: Danger::Medium,
        truth: "More than the first port of net.ipv4.ip_local_port_range is refused: of the two, the one that makes room is written first.",
        coupled: &["net.ipv4.ip_local_port_range"],
        since: Some("4.11"),
        ..TCP
    },
    Knob {
        name: "net.ipv4.ip_local_reserved_ports",
        path: "proc/sys/net/ipv4/ip_local_reserved_ports",
        kind: Kind::Ports,
        what: "Ports that are never chosen, as 8080,9000-9100",
        inert: "For bind() to a port by its number.",
        risk: "Fewer ports for outgoing connections. A write replaces the whole list",
        ..TCP
    },
    Knob {
        name: "net.ipv4.udp_mem",
        path: "proc/sys/net/ipv4/udp_mem",
        kind: PAGES,
        unit: "pages",
        scope: Scope::Host,
        what: "Memory of all UDP sockets together: least, pressure, most",
        inert: "Below the first field.",
        risk: "Too small: datagrams are dropped. Too large: UDP takes the host's memory",
        danger: Danger::High,
        ..TCP
    },
    Knob {
        name: "net.ipv4.udp_rmem_min",
        path: "proc/sys/net/ipv4/udp_rmem_min",
        kind: Kind::Integer { min: 1, max: i32::MAX as i64 },
        unit: "bytes",
        default: Some("4096"),
        what: "Receive memory that each UDP socket has even under pressure",
        inert: "Below net.ipv4.udp_mem's pressure.",
        risk: "Memory of each UDP socket",
        ..TCP
    },
    Knob {
        name: "net.ipv4.udp_early_demux",
        path: "proc/sys/net/ipv4/udp_early_demux",
        default: Some("1"),
        what: "Looks the socket up before the route, for connected UDP sockets",
        inert: "For TCP, which has a knob of its own.",
        risk: "Off: one more lookup for connected sockets; on: a vain one for unconnected ones",
        since: Some("4.12"),
        ..TCP
    },
    Knob {
        name: "net.ipv4.tcp_early_demux",
        path: "proc/sys/net/ipv4/tcp_early_demux",
        default: Some("1"),
        what: "Looks the socket up before the route, for established connections",
        risk: "Off: a route lookup for each packet",
        since: Some("4.12"),
        ..TCP
    },
];

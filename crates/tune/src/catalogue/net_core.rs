//! `net.core`: queues, budgets and buffers that all protocols share (Documentation/admin-guide/sysctl/net.rst).

use crate::knob::{Knob, SYSCTL};
use crate::value::Kind;

pub(super) const KNOBS: &[Knob] = &[Knob {
    name: "net.core.somaxconn",
    path: "proc/sys/net/core/somaxconn",
    kind: Kind::COUNT,
    unit: "connections",
    default: Some("4096"),
    what: "Cuts the backlog that listen(2) asks for: connections that wait to be accepted on one listener",
    inert: "While the program's own listen() backlog is smaller, and for listeners that are open already: the cut is made in listen().",
    risk: "A long queue keeps clients waiting for answers that nobody will read any more",
    truth: "Raising it does nothing by itself. listen() must ask for as much, and the program must be started again.",
    source: "Documentation/networking/ip-sysctl.rst, listen(2)",
    ..SYSCTL
}];

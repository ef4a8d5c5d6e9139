//! Who is measured: a name and a command line each.
//!
//! In a command `{floor}` and `{peers}` are the directories of the built programs, `{ringmill}` the server, `{addr}` and
//! `{port}` where to listen, `{report}` a file for totals, `{dir}` an empty directory, and `{spin}` the flag of the spinning
//! case. A contender without `{spin}` sits that case out.

use crate::cases::{Case, Kind};

/// One program with its flags.
#[derive(Clone)]
pub struct Contender {
    pub name: String,
    pub kind: Kind,
    pub command: String,
}

const KNOWN: &[(&str, Kind, &str)] = &[
    (
        "ringmill",
        Kind::Echo,
        "{ringmill} --listen echo://{addr} --cores 0 --shards 1 {spin} --report {report}",
    ),
    ("ring-bundle", Kind::Echo, "{floor}/ring-echo --policy bundle --addr {addr} {spin} --report {report}"),
    ("ring-small", Kind::Echo, "{floor}/ring-echo --policy small --addr {addr} {spin} --report {report}"),
    ("ring-large", Kind::Echo, "{floor}/ring-echo --policy large --addr {addr} {spin} --report {report}"),
    ("ring-inc", Kind::Echo, "{floor}/ring-echo --policy inc --addr {addr} {spin} --report {report}"),
    ("epoll-echo", Kind::Echo, "{floor}/epoll-echo --addr {addr} {spin} --report {report}"),
    ("ringmill", Kind::Http, "{ringmill} --listen http://{addr} --cores 0 --shards 1 --report {report}"),
    ("ring-http", Kind::Http, "{floor}/ring-http --addr {addr} --report {report}"),
    ("epoll-http", Kind::Http, "{floor}/epoll-http --addr {addr} --report {report}"),
    ("hyper", Kind::Http, "{peers}/hyper-ping --addr {addr}"),
    ("nginx", Kind::Http, "nginx -p {dir} -c {dir}/nginx.conf -e stderr"),
    ("ringmill", Kind::Udp, "{ringmill} --listen udp-echo://{addr} --cores 0 --shards 1 --report {report}"),
    ("udp-plain", Kind::Udp, "{floor}/udp-echo --mode plain --addr {addr} --report {report}"),
    ("udp-batch", Kind::Udp, "{floor}/udp-echo --mode batch --addr {addr} --report {report}"),
    ("udp-gro", Kind::Udp, "{floor}/udp-echo --mode gro --addr {addr} --report {report}"),
    ("udp-ring", Kind::Udp, "{floor}/udp-echo --mode ring --addr {addr} --report {report}"),
];

/// Those who are measured always, before `--contender` adds any.
pub fn known() -> Vec<Contender> {
    let owned = |&(name, kind, command): &(&str, Kind, &str)| Contender {
        name: name.to_string(),
        kind,
        command: command.to_string(),
    };
    KNOWN.iter().map(owned).collect()
}

impl Contender {
    /// Reads `name=kind:command`.
    pub fn parse(text: &str) -> Option<Self> {
        let (name, rest) = text.split_once('=')?;
        let (kind, command) = rest.split_once(':')?;
        let kind = [Kind::Echo, Kind::Http, Kind::Udp].into_iter().find(|known| known.mode() == kind)?;
        Some(Self { name: name.to_string(), kind, command: command.to_string() })
    }

    /// Whether it can do this case at all.
    pub fn takes_part(&self, case: &Case) -> bool {
        self.kind == case.kind && (!case.spin || self.command.contains("{spin}"))
    }
}

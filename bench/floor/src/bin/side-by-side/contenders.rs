//! Who is measured: a name, a command line and how it is configured, each.
//!
//! In a command `{floor}` and `{peers}` are the directories of the built programs, `{ringmill}` the server, `{addr}` and
//! `{port}` where to listen, `{report}` a file for totals, `{dir}` an empty directory with `nginx.conf` and `haproxy.cfg` filled
//! in, `{spin}` the flag of spinning cases, `{threads}` and `{cores}` how many threads serve and on which cores. A contender
//! without `{spin}` sits out what everybody spins in, one without `{threads}` what has two cores.

use crate::cases::{Case, Kind, Spin, Suite};

/// One program with its flags.
#[derive(Clone)]
pub struct Contender {
    pub name: String,
    pub kind: Kind,
    pub command: String,
    /// In words, for the page.
    pub configured: String,
    /// Measured in the peers' suite alone.
    pub peers_only: bool,
}

/// Measured in both suites.
const KNOWN: &[(&str, Kind, &str, &str)] = &[
    (
        "ringmill",
        Kind::Echo,
        "{ringmill} --listen echo://{addr} --cores {cores} --shards {threads} {spin} --report {report}",
        "the release program with its defaults, a shard a core; --spin-us 100 where it spins",
    ),
    (
        "ring-bundle",
        Kind::Echo,
        "{floor}/ring-echo --policy bundle --addr {addr} {spin} --report {report}",
        "hand-written ring loop, 256 buffers of 16 KiB, receive bundles, gathered sends: a floor, no server",
    ),
    (
        "ring-small",
        Kind::Echo,
        "{floor}/ring-echo --policy small --addr {addr} {spin} --report {report}",
        "the same with 4 KiB buffers, one buffer a completion",
    ),
    (
        "ring-large",
        Kind::Echo,
        "{floor}/ring-echo --policy large --addr {addr} {spin} --report {report}",
        "the same with 64 KiB buffers",
    ),
    (
        "ring-inc",
        Kind::Echo,
        "{floor}/ring-echo --policy inc --addr {addr} {spin} --report {report}",
        "the same with 256 KiB incremental buffers",
    ),
    (
        "epoll-echo",
        Kind::Echo,
        "{floor}/epoll-echo --addr {addr} {spin} --report {report}",
        "hand-written level-triggered epoll loop, one 64 KiB buffer: a floor, no server",
    ),
    (
        "ringmill",
        Kind::Http,
        "{ringmill} --listen http://{addr} --cores {cores} --shards {threads} {spin} --report {report}",
        "the release program with its defaults and its whole site, a shard a core; --spin-us 100 where it spins",
    ),
    (
        "ring-http",
        Kind::Http,
        "{floor}/ring-http --addr {addr} --report {report}",
        "hand-written ring loop that counts head ends and answers canned bytes: a floor, no server",
    ),
    (
        "epoll-http",
        Kind::Http,
        "{floor}/epoll-http --addr {addr} --report {report}",
        "the same on level-triggered epoll",
    ),
    (
        "hyper",
        Kind::Http,
        "{peers}/hyper-ping --addr {addr} --threads {threads}",
        "hyper 1, a current-thread tokio runtime and an SO_REUSEPORT listener a core, pipeline_flush, mimalloc",
    ),
    (
        "nginx",
        Kind::Http,
        "nginx -p {dir} -c {dir}/nginx.conf -e stderr",
        "return 200, a worker a core, no logs, keep-alive without end, reuseport (bench/peers/nginx.conf)",
    ),
    (
        "ringmill",
        Kind::Udp,
        "{ringmill} --listen udp-echo://{addr} --cores {cores} --shards {threads} --report {report}",
        "the release program with its defaults",
    ),
    (
        "udp-plain",
        Kind::Udp,
        "{floor}/udp-echo --mode plain --addr {addr} --report {report}",
        "blocking recvfrom and sendto",
    ),
    (
        "udp-batch",
        Kind::Udp,
        "{floor}/udp-echo --mode batch --addr {addr} --report {report}",
        "recvmmsg and sendmmsg of up to 64",
    ),
    (
        "udp-gro",
        Kind::Udp,
        "{floor}/udp-echo --mode gro --addr {addr} --report {report}",
        "the same with UDP_GRO and UDP_SEGMENT",
    ),
    (
        "udp-ring",
        Kind::Udp,
        "{floor}/udp-echo --mode ring --addr {addr} --report {report}",
        "multishot recvmsg, one send a datagram, one enter a turn",
    ),
];

/// Measured in the peers' suite beside those.
const PEERS: &[(&str, Kind, &str, &str)] = &[
    (
        "ringmill-epoll",
        Kind::Echo,
        "{ringmill} --engine epoll --listen echo://{addr} --cores {cores} --shards {threads} --report {report}",
        "ringmill with its epoll engine",
    ),
    (
        "ringmill-epoll",
        Kind::Http,
        "{ringmill} --engine epoll --listen http://{addr} --cores {cores} --shards {threads} --report {report}",
        "ringmill with its epoll engine",
    ),
    (
        "tokio",
        Kind::Echo,
        "{peers}/tokio-echo --addr {addr} --threads {threads}",
        "a current-thread runtime and an SO_REUSEPORT listener a core, a task a connection, read and write_all",
    ),
    (
        "may",
        Kind::Echo,
        "{peers}/may-echo --addr {addr} --threads {threads}",
        "a coroutine a connection, a worker a core",
    ),
    (
        "monoio",
        Kind::Echo,
        "{peers}/monoio-echo --addr {addr} --threads {threads}",
        "io_uring runtime with 4096 entries a core, a task a connection, owned buffers",
    ),
    (
        "compio",
        Kind::Echo,
        "{peers}/compio-echo --addr {addr} --threads {threads}",
        "io_uring runtime a core, a task a connection, owned buffers",
    ),
    (
        "glommio",
        Kind::Echo,
        "{peers}/glommio-echo --addr {addr} --threads {threads}",
        "an executor a core, a task a connection, preempt timer of an hour (against its known hang)",
    ),
    (
        "ringline",
        Kind::Echo,
        "{peers}/ringline-echo --addr {addr} --threads {threads}",
        "its defaults, received buffers sent from where they are (forward_held), a worker a core; an acceptor thread beside them",
    ),
    (
        "axum",
        Kind::Http,
        "{peers}/axum-ping --addr {addr} --threads {threads}",
        "a router with one route on hyper 1, a current-thread runtime a core, pipeline_flush, mimalloc",
    ),
    (
        "actix",
        Kind::Http,
        "{peers}/actix-ping --addr {addr} --threads {threads}",
        "actix-web 4, a worker a core, no timeouts, keep-alive left to the kernel, mimalloc",
    ),
    (
        "ntex",
        Kind::Http,
        "{peers}/ntex-ping --addr {addr} --threads {threads}",
        "ntex 3 (the last for this compiler) on its io_uring runtime, a worker a core, no timeouts, mimalloc",
    ),
    (
        "may_minihttp",
        Kind::Http,
        "{peers}/may-ping --addr {addr} --threads {threads}",
        "a may worker a core, stacks and pool as in its authors' own benchmark, mimalloc",
    ),
    (
        "haproxy",
        Kind::Http,
        "haproxy -db -f {dir}/haproxy.cfg",
        "http-request return 200, a thread a core, no logs, keep-alive without end; sends no Date (bench/peers/haproxy.cfg)",
    ),
    (
        "fasthttp",
        Kind::Http,
        "env GOMAXPROCS={threads} {peers}/go-fasthttp -addr {addr}",
        "GOMAXPROCS as many as cores",
    ),
    (
        "go net/http",
        Kind::Http,
        "env GOMAXPROCS={threads} {peers}/go-net-http -addr {addr}",
        "GOMAXPROCS as many as cores",
    ),
];

/// Who one would look for here and does not find, and why.
pub const NEVER: &[(&str, &str)] = &[
    ("ntex 4", "it wants Rust 1.97, the compiler here is 1.95; ntex 3.12 stands for it"),
    (
        "monoio (http)",
        "monoio has no HTTP server; monoio-http 0.3 calls itself low-level and a work in progress: echo only",
    ),
    (
        "compio (http), ringline (http), tokio (http)",
        "runtimes without an HTTP server of their own (ringline-http is a client); hyper and axum stand for tokio",
    ),
];

/// Those who are measured always, before `--contender` adds any.
pub fn known() -> Vec<Contender> {
    let owned = |peers_only: bool| {
        move |&(name, kind, command, configured): &(&str, Kind, &str, &str)| Contender {
            name: name.to_string(),
            kind,
            command: command.to_string(),
            configured: configured.to_string(),
            peers_only,
        }
    };
    KNOWN.iter().map(owned(false)).chain(PEERS.iter().map(owned(true))).collect()
}

impl Contender {
    /// Reads `name=kind:command`.
    pub fn parse(text: &str) -> Option<Self> {
        let (name, rest) = text.split_once('=')?;
        let (kind, command) = rest.split_once(':')?;
        let kind = [Kind::Echo, Kind::Http, Kind::Udp].into_iter().find(|known| known.mode() == kind)?;
        let configured = "as its command says".to_string();
        Some(Self {
            name: name.to_string(),
            kind,
            command: command.to_string(),
            configured,
            peers_only: false,
        })
    }

    /// Whether it can do this case at all.
    pub fn takes_part(&self, case: &Case) -> bool {
        let spins = case.spin != Spin::Everybody || self.command.contains("{spin}");
        // Files in {dir} say how many threads serve, too.
        let scales = case.cores == 1 || ["{threads}", "{dir}"].iter().any(|mark| self.command.contains(mark));
        let asked = !self.peers_only || case.suite == Suite::Peers;
        self.kind == case.kind && spins && scales && asked
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MARKS: &[&str] = &[
        "{floor}",
        "{peers}",
        "{ringmill}",
        "{addr}",
        "{port}",
        "{report}",
        "{dir}",
        "{spin}",
        "{threads}",
        "{cores}",
    ];

    #[test]
    fn a_command_has_no_mark_that_nobody_fills_in() {
        for one in known() {
            let filled = MARKS.iter().fold(one.command.clone(), |command, mark| command.replace(mark, ""));
            assert!(!filled.contains(['{', '}']), "{}: {}", one.name, one.command);
        }
    }

    #[test]
    fn no_two_contenders_of_a_protocol_have_one_name() {
        let known = known();
        for (at, one) in known.iter().enumerate() {
            let twin = known[at + 1..].iter().any(|other| other.name == one.name && other.kind == one.kind);
            assert!(!twin, "{} over {} twice", one.name, one.kind.mode());
        }
    }
}

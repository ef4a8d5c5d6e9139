//! Accept queues: how long they may be, whether a program asked for less, and whether one is full right now.
//!
//! How many may wait at a listener only netlink tells; in /proc/net/tcp is who waits. A kernel without tcp_diag is not asked: the
//! question would load it.

use linux::netlink::{self, Listener};

use super::{Cost, Report, has_module, told};
use crate::look::Look;

const SUBJECT: &str = "accept queues";

/// What Ringmill asks listen(2) for (`--backlog`).
const BACKLOG: i64 = 4096;
/// So many listeners are named.
const NAMED_MAX: usize = 5;

pub(super) fn examine(look: &Look, report: &mut Report) {
    let Some(most) = look.number("proc/sys/net/core/somaxconn") else {
        return report.unknown(SUBJECT, "net.core.somaxconn cannot be read");
    };
    let told_by_kernel = (look.is_host() && has_module(look, "tcp_diag")).then(netlink::listeners);
    match told_by_kernel.and_then(Result::ok) {
        Some(listeners) => queues(&listeners, most, report),
        None => {
            let tables = ["proc/net/tcp", "proc/net/tcp6"].map(|path| look.read(path).unwrap_or_default());
            let waiting = tables.iter().flat_map(|table| table.lines()).filter_map(waiting);
            // Nobody may wait at more places than the kernel allows now, unless it allowed more when the program asked.
            let all: Vec<_> = waiting.map(|(port, waiting)| Queue { port, waiting, most }).collect();
            full(&all, report);
            report.unknown(SUBJECT, "how many may wait at each listener, `ss -ltn` says (Send-Q)");
        }
    }
    if most < BACKLOG {
        let what =
            "accept queues are cut shorter than Ringmill asks for: a burst of connections is turned away";
        let evidence = format!("net.core.somaxconn {most}, --backlog {BACKLOG}");
        let cure = format!(
            "`ringmill-lab plan --set net.core.somaxconn={BACKLOG}`, and start the server again: listen() makes the cut"
        );
        report.find(Cost::Moderate, SUBJECT, told(what, evidence, cure));
    } else {
        report.fine(SUBJECT, format!("net.core.somaxconn {most}"));
    }
}

/// The queue of a listener.
struct Queue {
    port: u16,
    waiting: i64,
    /// How many may wait.
    most: i64,
}

fn queues(listeners: &[Listener], somaxconn: i64, report: &mut Report) {
    let queue =
        |one: &Listener| Queue { port: one.port, waiting: one.waiting.into(), most: one.backlog.into() };
    let mut all: Vec<Queue> = listeners.iter().map(queue).collect();
    full(&all, report);
    // Of one port there may be many listeners: each shard has its own.
    all.sort_by_key(|queue| (queue.most, queue.port));
    all.dedup_by_key(|queue| (queue.most, queue.port));
    let other = |is_less: bool| {
        let of: Vec<String> = all
            .iter()
            .filter(|queue| if is_less { queue.most < somaxconn } else { queue.most > somaxconn })
            .map(|queue| format!("port {}: {}", queue.port, queue.most))
            .collect();
        let more = of.len().saturating_sub(NAMED_MAX);
        let named = of[..of.len() - more].join(", ");
        if more > 0 { format!("{named} and {more} more") } else { named }
    };
    let (less, more) = (other(true), other(false));
    if !less.is_empty() {
        let what = "programs asked listen() for less than the host allows, or before it did: a larger net.core.somaxconn does nothing for them";
        let evidence = format!("{less}; net.core.somaxconn {somaxconn}");
        let cure = "a larger backlog in the program (nginx `backlog=`, redis `tcp-backlog`), or its restart, if its queue overflows";
        report.find(Cost::Slight, SUBJECT, told(what, evidence, cure));
    }
    if !more.is_empty() {
        report.fine(SUBJECT, format!("{more}, from before net.core.somaxconn was {somaxconn}"));
    }
}

/// Whether the fullest of these queues is about to overflow.
fn full(queues: &[Queue], report: &mut Report) {
    let is_full = |queue: &&Queue| queue.waiting > 0 && queue.waiting >= queue.most / 2;
    if let Some(Queue { port, waiting, most }) =
        queues.iter().filter(is_full).max_by_key(|queue| queue.waiting)
    {
        let what = "connections wait to be accepted, and the queue is about to overflow";
        let evidence = format!("{waiting} wait at port {port}, where {most} may");
        let cure =
            "more shards, or a server that accepts faster; a longer queue only makes clients wait longer";
        report.find(Cost::Failing, SUBJECT, told(what, evidence, cure));
    }
}

/// Of a line of /proc/net/tcp that is a listener: its port, and how many connections wait (its receive queue).
fn waiting(line: &str) -> Option<(u16, i64)> {
    const LISTEN: &str = "0A";
    let mut words = line.split_whitespace().skip(1);
    let address = words.next()?;
    let queues = words.nth(2).filter(|_| line.split_whitespace().nth(3) == Some(LISTEN))?;
    let (_, receive) = queues.split_once(':')?;
    let (_, port) = address.rsplit_once(':')?;
    Some((u16::from_str_radix(port, 16).ok()?, i64::from_str_radix(receive, 16).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::tests::check;

    const SOMAXCONN: &str = "proc/sys/net/core/somaxconn";

    #[test]
    fn a_queue_that_is_cut_short_or_full_is_found() {
        check(examine, &[(SOMAXCONN, "4096\n")], "fine: 4096");
        check(examine, &[(SOMAXCONN, "4096\n")], "unknown: ss -ltn");
        check(examine, &[(SOMAXCONN, "128\n")], "moderate: net.core.somaxconn 128");
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr\n\
             0: 0100007F:1F90 00000000:0000 0A 00000000:00001000 00:00000000\n\
             1: 0100007F:1F90 0100007F:ABCD 01 00000000:00002000 00:00000000\n";
        check(examine, &[(SOMAXCONN, "4096\n"), ("proc/net/tcp", table)], "failing: 4096 wait at port 8080");
        check(examine, &[], "unknown: cannot be read");
    }

    #[test]
    fn the_queue_of_each_listener_is_held_against_its_own_bound_and_the_hosts() {
        let seen = |of: &[(u16, u32, u32)]| {
            let listeners: Vec<Listener> =
                of.iter().map(|&(port, waiting, backlog)| Listener { port, waiting, backlog }).collect();
            let mut report = Report::default();
            queues(&listeners, 4096, &mut report);
            let findings = report.findings.iter().map(|f| format!("{}: {}", f.cost, f.evidence));
            findings
                .chain(report.fine.iter().map(|seen| format!("fine: {}", seen.evidence)))
                .collect::<Vec<_>>()
        };
        assert_eq!(seen(&[(80, 3, 4096)]), Vec::<String>::new());
        assert_eq!(
            seen(&[(6379, 0, 511), (22, 0, 128), (22, 0, 128), (80, 0, 4096)]),
            ["slight: port 22: 128, port 6379: 511; net.core.somaxconn 4096"]
        );
        // Half of its own, which is far from the host's.
        assert_eq!(
            seen(&[(22, 64, 128)]),
            ["failing: 64 wait at port 22, where 128 may", "slight: port 22: 128; net.core.somaxconn 4096"]
        );
        assert_eq!(seen(&[(80, 0, 9000)]), ["fine: port 80: 9000, from before net.core.somaxconn was 4096"]);
        let many: Vec<(u16, u32, u32)> = (1..=7).map(|port| (port, 0, 128)).collect();
        assert!(seen(&many)[0].contains("port 5: 128 and 2 more"), "{:?}", seen(&many));
    }
}

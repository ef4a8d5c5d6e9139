//! What was lost since boot: packets, connections, segments that had to be sent again.
//!
//! Others on the host count too, and since boot is long: a number is a hint where to look. Whether it grows under the server's load
//! is what to look at next.

use super::{Cost, Report, told};
use crate::look::Look;

const SUBJECT: &str = "drops";

pub(super) fn examine(look: &Look, report: &mut Report) {
    let before = report.findings.len();
    backlog(&look.read("proc/net/softnet_stat").unwrap_or_default(), report);
    let (netstat, snmp) =
        ["proc/net/netstat", "proc/net/snmp"].map(|path| look.read(path).unwrap_or_default()).into();
    protocols(&netstat, &snmp, report);
    devices(look, report);
    if !look.has("proc/net/softnet_stat") {
        report.unknown(SUBJECT, "/proc/net cannot be read");
    } else if report.findings.len() == before {
        report.fine(SUBJECT, "none since boot (softnet_stat, netstat, snmp, devices)");
    }
}

/// /proc/net/softnet_stat: a line a CPU, hexadecimal: processed, dropped, squeezed, ...
fn backlog(table: &str, report: &mut Report) {
    let column = |index: usize| -> u64 {
        let words = table.lines().filter_map(|line| line.split_whitespace().nth(index));
        words.filter_map(|word| u64::from_str_radix(word, 16).ok()).sum()
    };
    let (processed, dropped, squeezed) = (column(0), column(1), column(2));
    if dropped > 0 {
        let evidence = format!("{dropped} of {processed} packets (second column of /proc/net/softnet_stat)");
        let cure = "spreading the packets (`ringmill-lab explain device.rps_cpus`), then net.core.netdev_max_backlog";
        report.find(
            Cost::Failing,
            SUBJECT,
            told("packets found a CPU's backlog full, and were dropped", evidence, cure),
        );
    }
    // A few are how it is meant to work; one in a thousand packets is a CPU that has no end of them.
    if squeezed > 0 && squeezed >= processed / 1000 {
        let evidence =
            format!("{squeezed} times in {processed} packets (third column of /proc/net/softnet_stat)");
        let cure = "spreading the packets over more CPUs, then net.core.netdev_budget";
        report.find(Cost::Slight, SUBJECT, told("softirqs stopped with packets left over", evidence, cure));
    }
}

/// A counter of what should not happen.
struct Counter {
    /// Table and column.
    name: &'static str,
    cost: Cost,
    what: &'static str,
    cure: &'static str,
}

const COUNTERS: &[Counter] = &[
    Counter {
        name: "TcpExt.ListenOverflows",
        cost: Cost::Failing,
        what: "connections found an accept queue full",
        cure: "a longer queue (`ringmill --backlog`, net.core.somaxconn), or a server that accepts faster",
    },
    Counter {
        name: "TcpExt.TCPReqQFullDrop",
        cost: Cost::Failing,
        what: "handshakes found a listener full, and were dropped",
        cure: "net.ipv4.tcp_syncookies=1, and a longer queue",
    },
    Counter {
        name: "TcpExt.TCPAbortOnMemory",
        cost: Cost::Failing,
        what: "connections were ended for want of memory",
        cure: "net.ipv4.tcp_mem and net.ipv4.tcp_max_orphans against /proc/net/sockstat",
    },
    Counter {
        name: "TcpExt.TCPBacklogDrop",
        cost: Cost::Failing,
        what: "segments found a socket's queue full",
        cure: "a larger net.ipv4.tcp_rmem, or a reader that keeps up",
    },
    Counter {
        name: "TcpExt.TCPRcvQDrop",
        cost: Cost::Failing,
        what: "segments found a receive buffer full",
        cure: "a larger net.ipv4.tcp_rmem, or a reader that keeps up",
    },
    Counter {
        name: "Udp.RcvbufErrors",
        cost: Cost::Failing,
        what: "datagrams found a receive buffer full",
        cure: "a larger net.core.rmem_default, or a reader that keeps up",
    },
    Counter {
        name: "TcpExt.TCPReqQFullDoCookies",
        cost: Cost::Moderate,
        what: "handshakes found a listener full, and were answered by cookies",
        cure: "a longer queue (`ringmill --backlog`, net.core.somaxconn), if it was no attack",
    },
    Counter {
        name: "TcpExt.TCPTimeWaitOverflow",
        cost: Cost::Slight,
        what: "connections found no place in TIME_WAIT, and were forgotten early",
        cure: "clients that close first, or a larger net.ipv4.tcp_max_tw_buckets",
    },
];

fn protocols(netstat: &str, snmp: &str, report: &mut Report) {
    let counter = |name: &str| {
        let (table, column) = name.split_once('.').expect("all have a table");
        value(netstat, table, column).or_else(|| value(snmp, table, column)).unwrap_or(0)
    };
    for Counter { name, cost, what, cure } in COUNTERS {
        let count = counter(name);
        if count > 0 {
            report.find(*cost, SUBJECT, told(*what, format!("{name} {count} since boot"), *cure));
        }
    }
    let (again, sent) = (counter("Tcp.RetransSegs"), counter("Tcp.OutSegs"));
    if again > 0 && again >= sent / 100 {
        let evidence = format!("Tcp.RetransSegs {again} of Tcp.OutSegs {sent} since boot");
        let what = "a percent of the segments or more had to be sent again";
        report.find(
            Cost::Moderate,
            SUBJECT,
            told(what, evidence, "`ss -ti` for which peers: the path loses, or a queue is too short"),
        );
    }
}

/// The value of a column of /proc/net/netstat or snmp: two lines for each table, names and values.
fn value(text: &str, table: &str, column: &str) -> Option<i64> {
    let mut lines = text.lines().filter_map(|line| line.strip_prefix(table)?.strip_prefix(':'));
    let (names, values) = (lines.next()?, lines.next()?);
    let index = names.split_whitespace().position(|name| name == column)?;
    values.split_whitespace().nth(index)?.parse().ok()
}

fn devices(look: &Look, report: &mut Report) {
    for device in look.names("sys/class/net") {
        let of = |file: &str| look.number(&format!("sys/class/net/{device}/statistics/{file}")).unwrap_or(0);
        let (missed, fifo) = (of("rx_missed_errors"), of("rx_fifo_errors"));
        if missed + fifo > 0 {
            let evidence = format!("{device}: rx_missed_errors {missed}, rx_fifo_errors {fifo} since boot");
            let cure =
                format!("a longer ring (`ethtool -G {device}`), or more queues (`ethtool -L {device}`)");
            report.find(Cost::Failing, SUBJECT, told("the NIC had no room for packets", evidence, cure));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::examine;
    use crate::doctor::tests::check;

    #[test]
    fn what_was_lost_is_found_by_the_counter_that_saw_it() {
        let quiet = ("proc/net/softnet_stat", "00001000 00000000 00000001 0\n00000010 00000000 00000000 0\n");
        check(examine, &[quiet], "fine: none since boot");
        check(examine, &[("proc/net/softnet_stat", "0000000a 00000002 0\n")], "failing: 2 of 10 packets");
        check(
            examine,
            &[("proc/net/softnet_stat", "00000100 00000000 00000080\n")],
            "slight: 128 times in 256",
        );
        let netstat = "TcpExt: SyncookiesSent ListenOverflows\nTcpExt: 0 7\nIpExt: InOctets\nIpExt: 5\n";
        check(examine, &[quiet, ("proc/net/netstat", netstat)], "failing: ListenOverflows 7");
        let snmp = "Tcp: OutSegs RetransSegs\nTcp: 1000 10\nUdp: InDatagrams RcvbufErrors\nUdp: 9 3\n";
        check(examine, &[quiet, ("proc/net/snmp", snmp)], "failing: RcvbufErrors 3");
        check(examine, &[quiet, ("proc/net/snmp", snmp)], "moderate: RetransSegs 10 of Tcp.OutSegs 1000");
        let few = "Tcp: OutSegs RetransSegs\nTcp: 100000 10\n";
        check(examine, &[quiet, ("proc/net/snmp", few)], "fine: none");
        let missed = "sys/class/net/eth0/statistics/rx_missed_errors";
        check(examine, &[quiet, (missed, "4\n")], "failing: eth0: rx_missed_errors 4");
        check(examine, &[], "unknown: cannot be read");
    }
}

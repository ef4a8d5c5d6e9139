//! Accept queues: how long they may be, and whether one is full right now.

use super::{Cost, Report, told};
use crate::look::Look;

const SUBJECT: &str = "accept queues";

/// What Ringmill asks listen(2) for (`--backlog`).
const BACKLOG: i64 = 4096;

pub(super) fn examine(look: &Look, report: &mut Report) {
    let Some(most) = look.number("proc/sys/net/core/somaxconn") else {
        return report.unknown(SUBJECT, "net.core.somaxconn cannot be read");
    };
    let tables = ["proc/net/tcp", "proc/net/tcp6"].map(|path| look.read(path).unwrap_or_default());
    let longest =
        tables.iter().flat_map(|table| table.lines()).filter_map(waiting).max_by_key(|(_, count)| *count);
    if let Some((address, count)) = longest.filter(|(_, count)| *count > 0 && *count >= most / 2) {
        let what = "connections wait to be accepted, and the queue is about to overflow";
        let evidence = format!("{count} wait at {address}, net.core.somaxconn is {most}");
        let cure =
            "more shards, or a server that accepts faster; a longer queue only makes clients wait longer";
        report.find(Cost::Failing, SUBJECT, told(what, evidence, cure));
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

/// Of a line of /proc/net/tcp that is a listener: its address, and how many connections wait (its receive queue).
fn waiting(line: &str) -> Option<(String, i64)> {
    const LISTEN: &str = "0A";
    let mut words = line.split_whitespace().skip(1);
    let address = words.next()?;
    let queues = words.nth(2).filter(|_| line.split_whitespace().nth(3) == Some(LISTEN))?;
    let (_, receive) = queues.split_once(':')?;
    let (_, port) = address.rsplit_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    Some((format!("port {port}"), i64::from_str_radix(receive, 16).ok()?))
}

#[cfg(test)]
mod tests {
    use super::examine;
    use crate::doctor::tests::check;

    const SOMAXCONN: &str = "proc/sys/net/core/somaxconn";

    #[test]
    fn a_queue_that_is_cut_short_or_full_is_found() {
        check(examine, &[(SOMAXCONN, "4096\n")], "fine: 4096");
        check(examine, &[(SOMAXCONN, "128\n")], "moderate: net.core.somaxconn 128");
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr\n\
             0: 0100007F:1F90 00000000:0000 0A 00000000:00001000 00:00000000\n\
             1: 0100007F:1F90 0100007F:ABCD 01 00000000:00002000 00:00000000\n";
        check(examine, &[(SOMAXCONN, "4096\n"), ("proc/net/tcp", table)], "failing: 4096 wait at port 8080");
        check(examine, &[], "unknown: cannot be read");
    }
}

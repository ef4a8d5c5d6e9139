//! Packet sockets: each one that listens to a device gets a copy of each packet, whoever forgot it there.

use super::{Cost, Report, told};
use crate::look::Look;

const SUBJECT: &str = "packet sockets";

pub(super) fn examine(look: &Look, report: &mut Report) {
    let Ok(table) = look.read("proc/net/packet") else {
        return report.unknown(SUBJECT, "`ss -0pl` names them, where /proc/net/packet cannot be read");
    };
    match table.lines().skip(1).filter(|line| !line.trim().is_empty()).count() {
        0 => report.fine(SUBJECT, "none (/proc/net/packet)"),
        count => {
            let what = "packets are copied to who captures them, before the server sees them";
            let evidence = format!("{count} in /proc/net/packet");
            let cure = "`ss -0pl` to see whose they are: a tcpdump that was forgotten, a DHCP client, lldpd";
            report.find(Cost::Moderate, SUBJECT, told(what, evidence, cure));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::examine;
    use crate::doctor::tests::check;

    #[test]
    fn a_socket_that_captures_is_found() {
        const HEAD: &str = "sk               RefCnt Type Proto  Iface R Rmem   User   Inode\n";
        check(examine, &[("proc/net/packet", HEAD)], "fine: none");
        let one = format!("{HEAD}0000000000000000 3 3 0003 2 1 0 0 4711\n");
        check(examine, &[("proc/net/packet", &one)], "moderate: 1 in");
        check(examine, &[], "unknown: ss -0pl");
    }
}

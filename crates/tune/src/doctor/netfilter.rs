//! Packet filter and connection tracking: work for each packet, before any socket sees it.
//!
//! How many rules nftables has only netlink tells, and only root; what else can be read is whether tables are there and connections
//! tracked. A kernel without nf_tables is not asked: the question would load it.

use std::io;

use linux::netlink;

use super::{Cost, Report, has_module, told};
use crate::look::Look;

const SUBJECT: &str = "netfilter";
const IP_TABLES: &str = "proc/net/ip_tables_names";
const IP6_TABLES: &str = "proc/net/ip6_tables_names";

pub(super) fn examine(look: &Look, report: &mut Report) {
    tracked(look, report);
    let rules = (look.is_host() && has_module(look, "nf_tables")).then(netlink::nftables_rules);
    tables(look, rules, report);
}

fn tracked(look: &Look, report: &mut Report) {
    let number = |name: &str| look.number(&format!("proc/sys/net/netfilter/{name}"));
    let Some(count) = number("nf_conntrack_count") else {
        return report.fine("connection tracking", "there is no nf_conntrack here");
    };
    let most = number("nf_conntrack_max").unwrap_or(i64::MAX);
    let evidence = format!("nf_conntrack_count {count} of nf_conntrack_max {most}");
    let dropped = dropped(&look.read("proc/net/stat/nf_conntrack").unwrap_or_default());
    let cure = "rules with `notrack` for the server's ports, or a larger net.netfilter.nf_conntrack_max";
    if dropped > 0 || count >= most / 10 * 9 {
        let what = "the table of tracked connections is or was full: new ones are dropped";
        let evidence = format!("{evidence}; {dropped} dropped since boot (/proc/net/stat/nf_conntrack)");
        report.find(Cost::Failing, "connection tracking", told(what, evidence, cure));
    } else if count > 0 {
        let what = "each packet is looked up among tracked connections";
        report.find(Cost::Heavy, "connection tracking", told(what, evidence, cure));
    } else {
        report.fine("connection tracking", evidence);
    }
}

/// Connections that found no place, over all CPUs: a table of hexadecimal numbers with a header.
fn dropped(table: &str) -> u64 {
    let mut lines = table.lines();
    let header: Vec<&str> = lines.next().unwrap_or_default().split_whitespace().collect();
    let columns = ["drop", "early_drop", "insert_failed"].map(|name| header.iter().position(|h| *h == name));
    let value = |line: &str, column: usize| {
        line.split_whitespace().nth(column).and_then(|word| u64::from_str_radix(word, 16).ok())
    };
    lines.flat_map(|line| columns.iter().flatten().filter_map(move |column| value(line, *column))).sum()
}

/// `rules` is what the kernel said of nftables, if it was asked.
fn tables(look: &Look, rules: Option<io::Result<usize>>, report: &mut Report) {
    let mut found = Vec::new();
    // Root's alone to read: who may not has seen nothing, which is not the same as seeing none.
    let is_hidden = look.has(IP_TABLES) && look.read(IP_TABLES).is_err();
    for (file, program) in [(IP_TABLES, "iptables"), (IP6_TABLES, "ip6tables")] {
        let names = look.line(file).unwrap_or_default();
        if !names.is_empty() {
            found.push(format!("{program} has {}", names.split_whitespace().collect::<Vec<_>>().join(", ")));
        }
    }
    let modules = look.read("proc/modules").ok();
    let nft = modules.as_deref().and_then(|modules| uses(modules, "nf_tables")).filter(|uses| *uses > 0);
    let is_told = matches!(rules, Some(Ok(_)));
    match rules {
        Some(Ok(0)) => {}
        Some(Ok(rules)) => found.push(format!("nftables has {rules} rules (NFT_MSG_GETRULE)")),
        // Without the kernel's word a module with users is one that has tables.
        Some(Err(_)) | None => found.extend(nft.map(|uses| format!("module nf_tables has {uses} users"))),
    }
    if !found.is_empty() {
        let what = "each packet passes the tables of a packet filter";
        let cure = "`nft list ruleset` or `iptables-save`; where they are empty, unload them. Accept the server's ports early, without state";
        report.find(Cost::Heavy, SUBJECT, told(what, found.join("; "), cure));
    } else if is_hidden {
        report.unknown(
            SUBJECT,
            format!("/{IP_TABLES} is for root to read; `nft list ruleset` says to root what there is"),
        );
    } else if is_told {
        report.fine(SUBJECT, "no table of iptables, and no rule of nftables (NFT_MSG_GETRULE)");
    } else if modules.is_some() {
        report.fine(SUBJECT, "no table of iptables, and nf_tables is not in use");
    } else {
        report.unknown(SUBJECT, "without /proc/modules only `nft list ruleset` says whether there are rules");
    }
}

/// How many use a module: the third word of its line.
fn uses(modules: &str, name: &str) -> Option<u64> {
    let line = modules.lines().find(|line| line.split_whitespace().next() == Some(name))?;
    line.split_whitespace().nth(2)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::tests::check;
    use crate::fake::Fake;

    const COUNT: &str = "proc/sys/net/netfilter/nf_conntrack_count";
    const MAX: &str = "proc/sys/net/netfilter/nf_conntrack_max";

    #[test]
    fn tracked_connections_cost_and_a_full_table_loses() {
        check(examine, &[(COUNT, "0\n"), (MAX, "262144\n")], "fine: nf_conntrack_count 0");
        check(examine, &[(COUNT, "12\n"), (MAX, "262144\n")], "heavy: looked up");
        check(examine, &[(COUNT, "262000\n"), (MAX, "262144\n")], "failing: full");
        let stat = "entries found drop early_drop\n0000000c 00000000 0000000a 00000001\n0000000c 0 1 0\n";
        check(
            examine,
            &[(COUNT, "1\n"), (MAX, "9999\n"), ("proc/net/stat/nf_conntrack", stat)],
            "failing: 12 dropped",
        );
        check(examine, &[], "fine: no nf_conntrack");
    }

    #[test]
    fn what_the_kernel_says_of_its_rules_counts_more_than_the_users_of_a_module() {
        let fake = Fake::of(&[("proc/modules", "nf_tables 311296 42 nft_ct, Live 0x0\n")]);
        let seen = |rules| {
            let mut report = Report::default();
            tables(&fake.look(), rules, &mut report);
            let finding = report.findings.first().map(|finding| finding.evidence.clone());
            finding.unwrap_or_else(|| report.fine[0].evidence.clone())
        };
        assert_eq!(seen(Some(Ok(7))), "nftables has 7 rules (NFT_MSG_GETRULE)");
        assert!(seen(Some(Ok(0))).contains("no rule of nftables"));
        for silent in [None, Some(Err(io::Error::from(io::ErrorKind::PermissionDenied)))] {
            assert_eq!(seen(silent), "module nf_tables has 42 users");
        }
    }

    #[test]
    fn tables_are_seen_whichever_program_made_them() {
        check(examine, &[("proc/net/ip_tables_names", "nat\nfilter\n")], "heavy: iptables has nat, filter");
        let modules = "nf_tables 311296 42 nft_ct, Live 0x0\n";
        check(examine, &[("proc/modules", modules)], "heavy: nf_tables has 42 users");
        check(examine, &[("proc/modules", "nf_tables 311296 0 - Live 0x0\n")], "fine: not in use");
        check(examine, &[], "unknown: nft list ruleset");
        // A directory stands for a file that may not be read: root may read everything else.
        let hidden = [("proc/net/ip_tables_names/x", ""), ("proc/modules", "x 1 0 - Live 0x0\n")];
        check(examine, &hidden, "unknown: for root to read");
    }
}

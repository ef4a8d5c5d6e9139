//! What the kernel counts for the whole machine, read before and after a measurement: losses that no socket reports.
//!
//! Others on the machine count too, so a change is a hint where to look and no proof.

use std::collections::BTreeMap;
use std::fs;

/// The counters at one moment, by name:
///
/// - `TcpExt.*`, of `/proc/net/netstat`, and `Tcp.*` and `Udp.*`, of `/proc/net/snmp`
/// - `softnet.processed`, `softnet.dropped`, `softnet.time_squeeze`, of `/proc/net/softnet_stat`, all CPUs together
/// - `psi.{cpu,io,memory}.{some,full}_us`: microseconds in which some task, or all that were not idle, waited for it, of
///   `/proc/pressure` (Documentation/accounting/psi.rst)
///
/// The first two are those of this network namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters(BTreeMap<String, i64>);

impl Counters {
    /// The counters now. Those that the machine has not are not there. Reads seven files: some 100 us.
    pub fn now() -> Counters {
        let text = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let mut counters = Counters::default();
        counters.add_protocols(&text("/proc/net/netstat"), &["TcpExt"]);
        counters.add_protocols(&text("/proc/net/snmp"), &["Tcp", "Udp"]);
        counters.add_softnet(&text("/proc/net/softnet_stat"));
        for resource in ["cpu", "io", "memory"] {
            counters.add_pressure(resource, &text(&format!("/proc/pressure/{resource}")));
        }
        counters
    }

    /// Those that changed since `before`, by name, with how much they grew. One that either moment has not is left out. A few
    /// are not counts but levels, as `Tcp.CurrEstab`, and may shrink.
    pub fn since(&self, before: &Counters) -> Vec<(String, i64)> {
        let changes = self.0.iter().filter_map(|(name, now)| {
            let by = now.checked_sub(*before.0.get(name)?)?;
            (by != 0).then(|| (name.clone(), by))
        });
        changes.collect()
    }

    /// The value of one counter; `None` where the machine has it not.
    pub fn get(&self, name: &str) -> Option<i64> {
        self.0.get(name).copied()
    }

    /// Two lines a protocol, names and values: `Tcp: A B` and `Tcp: 1 2`.
    fn add_protocols(&mut self, text: &str, wanted: &[&str]) {
        let mut lines = text.lines();
        while let (Some(names), Some(values)) = (lines.next(), lines.next()) {
            let (Some((protocol, names)), Some((same, values))) =
                (names.split_once(':'), values.split_once(':'))
            else {
                return;
            };
            if protocol != same || !wanted.contains(&protocol) {
                continue;
            }
            for (name, value) in names.split_whitespace().zip(values.split_whitespace()) {
                if let Ok(value) = value.parse() {
                    self.0.insert(format!("{protocol}.{name}"), value);
                }
            }
        }
    }

    /// A line a CPU, hexadecimal words of 32 bits that wrap; of them the first three.
    fn add_softnet(&mut self, text: &str) {
        for line in text.lines() {
            let words = line.split_whitespace().map(|word| i64::from_str_radix(word, 16).unwrap_or(0));
            for (name, word) in ["processed", "dropped", "time_squeeze"].into_iter().zip(words) {
                *self.0.entry(format!("softnet.{name}")).or_default() += word;
            }
        }
    }

    /// `some avg10=0.00 avg60=0.00 avg300=0.00 total=123`, and the same for `full`.
    fn add_pressure(&mut self, resource: &str, text: &str) {
        for line in text.lines() {
            let kind = line.split_whitespace().next().unwrap_or_default();
            let total = line.split_once("total=").and_then(|(_, total)| total.trim().parse().ok());
            if let Some(total) = total {
                self.0.insert(format!("psi.{resource}.{kind}_us"), total);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SNMP: &str = "Ip: Forwarding InReceives\nIp: 2 264228117\n\
        Tcp: MaxConn ActiveOpens CurrEstab RetransSegs\nTcp: -1 100 7 3\n\
        Udp: InDatagrams RcvbufErrors\nUdp: 50 2\nUdpLite: InDatagrams RcvbufErrors\nUdpLite: 9 9\n";
    const SOFTNET: &str = "0814e16e 00002ab5 0000003c 00000000\n07aaf100 00000001 00000004 00000000\n";
    const PRESSURE: &str = "some avg10=22.59 avg60=39.48 avg300=31.41 total=1708899026\n\
        full avg10=0.00 avg60=0.00 avg300=0.00 total=12\n";

    fn counters(snmp: &str, softnet: &str, pressure: &str) -> Counters {
        let mut counters = Counters::default();
        counters.add_protocols(snmp, &["Tcp", "Udp"]);
        counters.add_softnet(softnet);
        counters.add_pressure("cpu", pressure);
        counters
    }

    #[test]
    fn each_file_is_read_by_its_own_form() {
        let all = counters(SNMP, SOFTNET, PRESSURE);
        let expected = [
            ("Tcp.ActiveOpens", 100),
            ("Tcp.CurrEstab", 7),
            ("Tcp.MaxConn", -1),
            ("Tcp.RetransSegs", 3),
            ("Udp.InDatagrams", 50),
            ("Udp.RcvbufErrors", 2),
            ("psi.cpu.full_us", 12),
            ("psi.cpu.some_us", 1_708_899_026),
            ("softnet.dropped", 0x2ab5 + 1),
            ("softnet.processed", 0x0814_e16e + 0x07aa_f100),
            ("softnet.time_squeeze", 0x40),
        ];
        let expected = expected.map(|(name, value)| (name.to_owned(), value));
        assert_eq!(all.0.into_iter().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn only_what_changed_is_told_and_a_level_may_shrink() {
        let before = counters(SNMP, SOFTNET, PRESSURE);
        assert_eq!(before.since(&before), []);
        let after = SNMP.replace("-1 100 7 3", "-1 110 4 3");
        let after = counters(&after, SOFTNET, &PRESSURE.replace("total=12", "total=15"));
        let expected = [("Tcp.ActiveOpens", 10), ("Tcp.CurrEstab", -3), ("psi.cpu.full_us", 3)];
        assert_eq!(after.since(&before), expected.map(|(name, by)| (name.to_owned(), by)));
        // A file that was there at one of the moments only says nothing.
        assert_eq!(after.since(&Counters::default()), []);
        assert_eq!(Counters::default().since(&before), []);
    }

    #[test]
    fn files_that_are_cut_or_empty_give_what_they_have() {
        assert_eq!(counters("", "", ""), Counters::default());
        for cut in 0..SNMP.len() {
            let some = counters(&SNMP[..cut], "", "");
            assert!(some.0.keys().all(|name| name.starts_with("Tcp.") || name.starts_with("Udp.")));
        }
        assert_eq!(counters("Tcp: A B\nTcp: 1\n", "zz\n", "some\n").get("Tcp.A"), Some(1));
        assert_eq!(counters("Tcp: A\nUdp: 1\n", "", "").get("Tcp.A"), None);
    }

    #[test]
    fn this_machine_counts_segments() {
        let now = Counters::now();
        assert!(now.get("Tcp.OutSegs").is_some() && now.get("TcpExt.ListenOverflows").is_some());
    }
}

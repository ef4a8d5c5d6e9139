//! How packets spread over CPUs: interrupts, receive queues, RPS and XPS of each hardware device.
//!
//! Best is a queue for each shard whose interrupt comes to the shard's core. Loopback and tunnels have no interrupts, and are left out.

use super::{Cost, Report, told};
use crate::look::Look;

const SUBJECT: &str = "spread of packets";

pub(super) fn examine(look: &Look, report: &mut Report) {
    let has_hardware = |device: &String| look.has(&format!("sys/class/net/{device}/device"));
    let devices: Vec<String> = look.names("sys/class/net").into_iter().filter(has_hardware).collect();
    let cpus = look.line("sys/devices/system/cpu/online").and_then(|list| linux::cpu::parse_list(&list).ok());
    let cpus = cpus.map_or(1, |cpus| cpus.len());
    if devices.is_empty() {
        return report.fine(SUBJECT, "there is no network hardware");
    }
    if cpus == 1 {
        return report.fine(SUBJECT, "there is one CPU");
    }
    let table = look.read("proc/interrupts").unwrap_or_default();
    for device in &devices {
        queues(look, device, cpus, report);
        interrupts(look, device, &table, report);
    }
}

fn queues(look: &Look, device: &str, cpus: usize, report: &mut Report) {
    let directory = format!("sys/class/net/{device}/queues");
    let names = look.names(&directory);
    let of = |kind: &str| names.iter().filter(|name| name.starts_with(kind)).count();
    // A mask of zeros and commas is empty.
    let is_set = |file: &str| {
        names.iter().any(|name| {
            let mask = look.line(&format!("{directory}/{name}/{file}")).unwrap_or_default();
            mask.bytes().any(|byte| !b"0,".contains(&byte))
        })
    };
    let (receive, send) = (of("rx-"), of("tx-"));
    let evidence = format!("{device}: {receive} receive and {send} transmit queues, {cpus} CPUs");
    if receive < cpus && !is_set("rps_cpus") {
        let what = "packets come to fewer CPUs than serve: the stack's work piles up there";
        let cure = format!(
            "more queues (`ethtool -L {device} combined {cpus}`); where there are none, `ringmill-lab explain device.rps_cpus`"
        );
        report.find(Cost::Heavy, SUBJECT, told(what, format!("{evidence}; no rps_cpus"), cure));
    } else if receive >= cpus && is_set("rps_cpus") {
        let what = "RPS moves packets to another CPU though each CPU has a queue";
        let cure = format!("`ringmill-lab plan --set device.rps_cpus=0` for {device}");
        report.find(Cost::Moderate, SUBJECT, told(what, evidence, cure));
    } else if send > 1 && !is_set("xps_cpus") {
        let what = "CPUs have no transmit queue of their own";
        let cure = "`ringmill-lab explain device.xps_cpus`";
        report.find(Cost::Slight, SUBJECT, told(what, format!("{evidence}; no xps_cpus"), cure));
    } else {
        report.fine(SUBJECT, evidence);
    }
}

/// Interrupts of a device that came to one CPU, out of all: from how many on they say something.
const COUNT_MIN: u64 = 10_000;

fn interrupts(look: &Look, device: &str, table: &str, report: &mut Report) {
    // Of a virtio device they belong to the PCI device that it sits on.
    let lists = ["device/msi_irqs", "device/../msi_irqs"]
        .map(|path| look.names(&format!("sys/class/net/{device}/{path}")));
    let numbers: Vec<&String> = lists.iter().flatten().collect();
    let counts = per_cpu(table, &numbers);
    let all: u64 = counts.iter().sum();
    let Some((cpu, most)) = counts.iter().enumerate().max_by_key(|(_, count)| **count) else { return };
    if numbers.len() > 2 && all >= COUNT_MIN && *most > all / 10 * 9 {
        let what = "the interrupts of all queues come to one CPU";
        let evidence = format!("{device}: {most} of {all} to CPU {cpu} (/proc/interrupts)");
        let cure = "a CPU for each queue: `ringmill-lab explain device.irq_affinity`, or irqbalance where shards are not pinned";
        report.find(Cost::Heavy, SUBJECT, told(what, evidence, cure));
    }
}

/// Interrupts of these numbers, for each CPU.
fn per_cpu(table: &str, numbers: &[&String]) -> Vec<u64> {
    let mut lines = table.lines();
    let cpus = lines.next().unwrap_or_default().split_whitespace().count();
    let mut counts = vec![0; cpus];
    for line in lines {
        let Some((number, rest)) = line.split_once(':') else { continue };
        if numbers.iter().any(|wanted| *wanted == number.trim()) {
            let words = rest.split_whitespace().take(cpus).map(|word| word.parse::<u64>().unwrap_or(0));
            counts.iter_mut().zip(words).for_each(|(sum, count)| *sum += count);
        }
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::examine;
    use crate::doctor::tests::{check, seen};

    const ONLINE: (&str, &str) = ("sys/devices/system/cpu/online", "0-1\n");
    const HARDWARE: (&str, &str) = ("sys/class/net/eth0/device/uevent", "x\n");
    const RX0: &str = "sys/class/net/eth0/queues/rx-0/rps_cpus";
    const RX1: &str = "sys/class/net/eth0/queues/rx-1/rps_cpus";

    #[test]
    fn a_queue_for_each_cpu_is_fine_and_fewer_want_rps() {
        check(
            examine,
            &[ONLINE, HARDWARE, (RX0, "0\n")],
            "heavy: 1 receive and 0 transmit queues, 2 CPUs; no rps_cpus",
        );
        check(examine, &[ONLINE, HARDWARE, (RX0, "00000000,00000003\n")], "fine: 1 receive");
        check(examine, &[ONLINE, HARDWARE, (RX0, "0\n"), (RX1, "0\n")], "fine: 2 receive");
        check(examine, &[ONLINE, HARDWARE, (RX0, "3\n"), (RX1, "0\n")], "moderate: 2 receive");
        let xps = ["sys/class/net/eth0/queues/tx-0/xps_cpus", "sys/class/net/eth0/queues/tx-1/xps_cpus"];
        check(
            examine,
            &[ONLINE, HARDWARE, (RX0, "0\n"), (RX1, "0\n"), (xps[0], "0\n"), (xps[1], "0\n")],
            "slight: no xps_cpus",
        );
        check(examine, &[ONLINE], "fine: no network hardware");
    }

    #[test]
    fn interrupts_that_all_come_to_one_cpu_are_found() {
        let table = "           CPU0       CPU1\n 24:  20000  10  PCI-MSIX eth0-0\n 25:  19000  5  PCI-MSIX eth0-1\n\
                      26:  0  0  PCI-MSIX eth0-c\n 27:  5  900000  PCI-MSIX nvme\nNMI: 1 1 x\n";
        let irqs = [24, 25, 26].map(|irq| format!("sys/class/net/eth0/device/msi_irqs/{irq}"));
        let mut files = vec![ONLINE, HARDWARE, (RX0, "0\n"), (RX1, "0\n"), ("proc/interrupts", table)];
        files.extend(irqs.iter().map(|path| (path.as_str(), "msix\n")));
        check(examine, &files, "heavy: 39000 of 39015 to CPU 0");
        let even = table.replace("19000  5", "10  19000");
        let at = files.iter().position(|(path, _)| *path == "proc/interrupts").expect("it is there");
        files[at].1 = &even;
        assert!(seen(examine, &files).iter().all(|line| !line.contains("interrupts")));
    }
}

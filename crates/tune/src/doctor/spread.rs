//! How packets spread over CPUs: interrupts, receive queues, RPS and XPS of each hardware device.
//!
//! Best is a queue for each shard whose interrupt comes to the shard's core. Loopback and tunnels have no interrupts, and are left out.

use super::{Cost, Report, field, processes, told};
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
    let shards = shard_cores(look);
    for device in &devices {
        queues(look, device, cpus, report);
        interrupts(device, &Interrupts::of(look, device, &table), &shards, report);
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

/// Cores to which threads of a server that runs are pinned, one each; none where there is no server.
fn shard_cores(look: &Look) -> Vec<usize> {
    let Some(process) = processes(look, "ringmill").pop() else { return Vec::new() };
    let threads = look.names(&format!("{process}/task"));
    let core = |thread: String| {
        let status = look.read(&format!("{process}/task/{thread}/status")).ok()?;
        field(&status, "Cpus_allowed_list")?.parse().ok()
    };
    threads.into_iter().filter_map(core).collect()
}

/// Interrupts of a device since boot.
struct Interrupts {
    /// How many it has.
    numbers: usize,
    /// How many came, for each CPU.
    counts: Vec<u64>,
}

impl Interrupts {
    fn of(look: &Look, device: &str, table: &str) -> Interrupts {
        // Of a virtio device they belong to the PCI device that it sits on.
        let lists = ["device/msi_irqs", "device/../msi_irqs"];
        let lists = lists.map(|path| look.names(&format!("sys/class/net/{device}/{path}")));
        let numbers: Vec<&String> = lists.iter().flatten().collect();
        Interrupts { numbers: numbers.len(), counts: per_cpu(table, &numbers) }
    }
}

/// So many interrupts say something.
const COUNT_MIN: u64 = 10_000;

fn interrupts(device: &str, seen: &Interrupts, shards: &[usize], report: &mut Report) {
    let all: u64 = seen.counts.iter().sum();
    if all < COUNT_MIN {
        return;
    }
    let busiest = seen.counts.iter().enumerate().max_by_key(|(_, count)| **count);
    let (cpu, most) = busiest.expect("some CPU took them");
    if seen.numbers > 2 && *most > all / 10 * 9 {
        let what = "the interrupts of all queues come to one CPU";
        let evidence = format!("{device}: {most} of {all} to CPU {cpu} (/proc/interrupts)");
        let cure = "a CPU for each queue: `ringmill-lab explain device.irq_affinity`, or irqbalance where shards are not pinned";
        report.find(Cost::Heavy, SUBJECT, told(what, evidence, cure));
    }
    let elsewhere = seen.counts.iter().enumerate().filter(|(cpu, _)| !shards.contains(cpu));
    let elsewhere: u64 = elsewhere.map(|(_, count)| count).sum();
    if !shards.is_empty() && elsewhere > all / 2 {
        let what = "most interrupts come to cores that no shard has: each packet changes cores on its way";
        let cores = linux::cpu::list(shards);
        let evidence = format!(
            "{device}: {elsewhere} of {all} elsewhere than on {cores} (/proc/interrupts, Cpus_allowed_list)"
        );
        let cure = "the same cores for both: `ringmill --cores`, `ringmill-lab explain device.irq_affinity`";
        report.find(Cost::Moderate, SUBJECT, told(what, evidence, cure));
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

    #[test]
    fn interrupts_that_come_to_cores_without_a_shard_are_found() {
        let table = "    CPU0   CPU1\n 24:  20000  10  PCI-MSIX eth0-0\n";
        let irq = ("sys/class/net/eth0/device/msi_irqs/24", "msix\n");
        let host = |core: &'static str| {
            [
                ONLINE,
                HARDWARE,
                irq,
                ("proc/interrupts", table),
                ("proc/9/comm", "ringmill\n"),
                ("proc/9/task/9/status", "Cpus_allowed_list:\t0-1\n"),
                ("proc/9/task/10/status", core),
            ]
        };
        check(examine, &host("Cpus_allowed_list:\t1\n"), "moderate: 20000 of 20010 elsewhere than on 1");
        let same = seen(examine, &host("Cpus_allowed_list:\t0\n"));
        assert!(same.iter().all(|line| !line.contains("elsewhere")), "{same:?}");
    }
}

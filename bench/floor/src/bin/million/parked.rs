//! Parked beside armed: what a connection costs that waits by a poll, and one that waits by a receive.
//!
//! Two servers at once, so that both are measured on the same memory and in the same seconds: one that never parks, one that parks
//! at once. Each has a holder of its own with as many connections, all of which a table of one ring holds: rings beside the first only poll.

use super::host::{self, Slabs};
use super::process::{Process, command};
use super::run::beats_per_s;
use floor::process::{now_ns, process_cpu_ns};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::Duration;

/// Connections of each server: its ring's table and its crowd of waiting ones fit RLIMIT_NOFILE of 20,000.
const MOST: u64 = 15_000;
const HEARTBEAT_S: u64 = 2;
/// Until all are parked, and the kernel has freed what it frees later (RCU).
const SETTLE: Duration = Duration::from_secs(8);
const WINDOWS: usize = 5;
const WINDOW: Duration = Duration::from_secs(6);

/// A server, its holder, and what came of them.
struct Side {
    name: &'static str,
    server: Process,
    holder: Process,
    result: PathBuf,
    /// What the kernel's caches grew by, of both ends.
    slabs: Slabs,
    /// When the holder began.
    began_ns: u64,
    /// Of each window: when, as the holder counts, and the share of a core that the server took.
    windows: Vec<([f64; 2], f64)>,
}

/// What came of one side.
struct Cost {
    name: &'static str,
    slabs: Slabs,
    /// CPU of the server a heartbeat, of each window, and heartbeats a second in all of them.
    each_us: Vec<f64>,
    beats_per_s: f64,
}

pub struct Parked {
    connections: u64,
    sides: Vec<Cost>,
}

pub fn measure(server: &str, holder: &str, nofile: u64) -> Result<Parked, String> {
    let connections = MOST.min(nofile * 3 / 4);
    let mut sides = Vec::new();
    for (name, park_after_ms, port) in [("armed", "0", 7017), ("parked", "500", 7018)] {
        sides.push(side(name, park_after_ms, port, connections, server, holder)?);
    }
    for _ in 0..WINDOWS {
        let (from_ns, before) = (now_ns(), sides.iter().map(cpu_ns).collect::<Vec<_>>());
        sleep(WINDOW);
        let to_ns = now_ns();
        for (side, before) in sides.iter_mut().zip(before) {
            let busy = (cpu_ns(side) - before) as f64 / (to_ns - from_ns) as f64;
            let at = |ns: u64| (ns - side.began_ns) as f64 / 1e9;
            side.windows.push(([at(from_ns), at(to_ns)], busy));
        }
    }
    let sides = sides.into_iter().map(end).collect::<Result<_, _>>()?;
    Ok(Parked { connections, sides })
}

fn end(mut side: Side) -> Result<Cost, String> {
    side.holder.end()?;
    side.server.end()?;
    let text = fs::read_to_string(&side.result).unwrap_or_default();
    let _ = fs::remove_file(&side.result);
    let result: Value = serde_json::from_str(&text).unwrap_or_default();
    let (mut each_us, mut sum) = (Vec::new(), 0.0);
    for (window, busy) in &side.windows {
        let Some(beats) = beats_per_s(&result, *window).filter(|beats| *beats > 0.0) else {
            return Err(format!("{}: no heartbeats: {}", side.name, side.holder.said()));
        };
        each_us.push(busy * 1e6 / beats);
        sum += beats;
    }
    Ok(Cost { name: side.name, slabs: side.slabs, beats_per_s: sum / each_us.len() as f64, each_us })
}

fn cpu_ns(side: &Side) -> u64 {
    process_cpu_ns(side.server.id())
}

fn side(
    name: &'static str,
    park_after_ms: &str,
    port: u16,
    connections: u64,
    server: &str,
    holder: &str,
) -> Result<Side, String> {
    let result = std::env::temp_dir().join(format!("million-{name}-{}.json", std::process::id()));
    let words = format!(
        "--listen frame://0.0.0.0:{port} --cores 0 --connections-max {} --park-after-ms {park_after_ms}",
        connections + 200
    );
    let server = Process::start(command(server, &words), &format!("{name}-server"))?;
    sleep(Duration::from_secs(1));
    let before = host::slabs().map_err(|error| format!("/proc/slabinfo: {error}"))?;
    let words = format!(
        "hold frame://127.0.0.1:{port} --to 127.0.0.1-127.0.0.8 --connections {connections} --heartbeat {HEARTBEAT_S}s --duration 1h \
         --cores 1 --close rst --json {}",
        result.display()
    );
    let (others, _) = host::sockets();
    let began_ns = now_ns();
    let mut holder = Process::start(command(holder, &words), &format!("{name}-holder"))?;
    while host::sockets().0 < others + 2 * connections {
        if holder.has_ended()? {
            return Err(format!("{name}: {}", holder.said()));
        }
        sleep(Duration::from_millis(100));
    }
    sleep(SETTLE);
    let slabs = host::grown(&before, &host::slabs().unwrap_or_default());
    Ok(Side { name, server, holder, result, slabs, began_ns, windows: Vec::new() })
}

impl Parked {
    pub fn markdown(&self) -> String {
        let mut text = String::new();
        let names: Vec<&str> = self.sides.iter().map(|side| side.name).collect();
        let n = self.connections as f64;
        let _ = writeln!(
            text,
            "| {} connections of each on one ring, a heartbeat each {HEARTBEAT_S} s | {} |\n|---|{}",
            self.connections,
            names.join(" | "),
            "---|".repeat(names.len())
        );
        let mut row = |name: &str, cell: &dyn Fn(&Cost) -> String| {
            let cells: Vec<String> = self.sides.iter().map(cell).collect();
            let _ = writeln!(text, "| {name} | {} |", cells.join(" | "));
        };
        row("kernel memory of both ends, bytes a connection", &|side| {
            format!("{:.0}", side.slabs.values().sum::<u64>() as f64 / n)
        });
        let caches: BTreeSet<&String> = self.sides.iter().flat_map(|side| side.slabs.keys()).collect();
        for cache in caches {
            let of = |side: &Cost| side.slabs.get(cache).copied().unwrap_or(0) as f64 / n;
            let all: Vec<f64> = self.sides.iter().map(of).collect();
            if all.iter().any(|bytes| (bytes - all[0]).abs() >= 16.0) {
                row(&format!("of it {cache}"), &|side| format!("{:.0}", of(side)));
            }
        }
        row("heartbeats a second, both ways", &|side| format!("{:.0}", side.beats_per_s));
        row("CPU of the server a heartbeat, us: least, median, most of the windows", &|side| {
            let mut sorted = side.each_us.clone();
            sorted.sort_by(f64::total_cmp);
            format!("{:.1}, {:.1}, {:.1}", sorted[0], sorted[sorted.len() / 2], sorted[sorted.len() - 1])
        });
        text
    }

    pub fn json(&self) -> Value {
        let side = |side: &Cost| {
            json!({
                "name": side.name,
                "slab_bytes_both_ends": side.slabs,
                "cpu_us_a_heartbeat": side.each_us,
                "heartbeats_per_s": side.beats_per_s,
            })
        };
        let sides: Vec<_> = self.sides.iter().map(side).collect();
        json!({ "connections": self.connections, "heartbeat_s": HEARTBEAT_S, "sides": sides })
    }
}

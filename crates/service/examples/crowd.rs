//! A million simulated connections on one seat, with heartbeats every 30 s of virtual time:
//! `crowd --connections 1000000 --minutes 5`. Says how long that took, how much happened, and the most memory it needed.
#![allow(clippy::print_stdout, reason = "its output is its purpose")]

#[path = "../tests/crowd_rig/mod.rs"]
mod crowd_rig;

use crowd_rig::{Crowd, Talk};
use linux::clock::Clock;
use shard::engine::sim::Faults;
use std::process::ExitCode;
use std::time::{Duration, Instant};

fn main() -> ExitCode {
    let Some(crowd) = crowd() else {
        println!(
            "usage: crowd [--connections N] [--minutes N] [--every-s N] [--seed N] [--mixed SEED] [--talk frame|http]"
        );
        return ExitCode::from(2);
    };
    let before = peak_bytes();
    let (began, began_cpu_ns) = (Instant::now(), Clock::thread_cpu_ns());
    let run = crowd.run();
    let (took, cpu_ns) = (began.elapsed(), Clock::thread_cpu_ns() - began_cpu_ns);
    let seat = &run.seats[0];
    println!(
        "{} connections ({:?}), {:.1} min of virtual time in {:.1} s ({:.1} s of a core); seed {}, faults: {}",
        crowd.connections,
        crowd.talk,
        run.took.as_secs_f64() / 60.0,
        took.as_secs_f64(),
        cpu_ns as f64 / 1e9,
        run.seed,
        run.faults,
    );
    println!(
        "{} events, {:.0} ns of a core each; {} requests, {} PINGs answered and {} asked, {} timers fired, {} turns",
        run.events,
        cpu_ns as f64 / run.events as f64,
        seat.requests,
        seat.heartbeats_answered,
        seat.heartbeats_sent,
        seat.timer_fires,
        run.turns,
    );
    let bytes = peak_bytes().saturating_sub(before);
    println!(
        "peak memory {:.2} GiB: {} B a connection, both ends and what is on its way",
        bytes as f64 / f64::from(1 << 30),
        bytes / u64::from(crowd.connections)
    );
    run.broken.iter().for_each(|what| println!("broken: {what}"));
    if run.broken.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn crowd() -> Option<Crowd> {
    let (lasts, every) = (Duration::from_secs(300), Duration::from_secs(30));
    let (talk, faults) = (Talk::Frame, Faults::NONE);
    let mut crowd = Crowd { talk, connections: 1_000_000, lasts, every, faults, seed: 1 };
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    for pair in arguments.chunks(2) {
        let [name, value] = pair else { return None };
        if name == "--talk" {
            crowd.talk = match value.as_str() {
                "frame" => Talk::Frame,
                "http" => Talk::Http,
                _ => return None,
            };
            continue;
        }
        let value: u64 = value.parse().ok()?;
        match name.as_str() {
            "--connections" => {
                crowd.connections = u32::try_from(value).ok().filter(|n| (1..1 << 24).contains(n))?
            }
            "--minutes" => crowd.lasts = Duration::from_secs(60 * value),
            "--every-s" if value > 0 => crowd.every = Duration::from_secs(value),
            "--seed" => crowd.seed = value,
            "--mixed" => crowd.faults = Faults::mixed(value),
            _ => return None,
        }
    }
    Some(crowd)
}

/// The most memory that this process has had, as the kernel says; 0 where it does not.
fn peak_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok()).map_or(0, |kb| kb * 1024)
}

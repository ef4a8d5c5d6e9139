//! The closed-loop client of the comparisons: one ring, one core, `depth` messages outstanding on each connection.
//!
//! Received bytes are counted and thrown away in the kernel (`MSG_TRUNC`, tcp(7)), so that the client is lighter than any
//! server; `--verify` receives and compares them instead. Answers of HTTP are counted by their length, which is read off
//! the first one and must be the same for all. Prints one JSON object.

mod drive;
mod load;
mod pattern;
mod peer;
mod tally;

use std::array;
use std::io;

use floor::process::{machine_busy_ns, now_ns, pin, process_cpu_ns, raise_nofile, thread_cpu_ns};
use serde_json::json;

use drive::Client;
use load::Load;
use tally::WINDOW_NS;

fn main() -> io::Result<()> {
    let load = Load::from_args();
    load.core.map_or(Ok(()), pin)?;
    raise_nofile();
    let mut client = Client::connect(&load)?;
    client.start();

    let server_cpu_ns = || load.server_pids.iter().map(|pid| process_cpu_ns(*pid)).sum();
    let clocks = || [now_ns(), thread_cpu_ns(), server_cpu_ns(), machine_busy_ns()];
    client.run_until(client.tally.from_ns)?;
    let before = clocks();
    client.run_until(client.tally.to_ns)?;
    let after = clocks();
    client.drain()?;

    let [measured_ns, client_cpu_ns, server_cpu_ns, busy_ns] = array::from_fn(|at| after[at] - before[at]);
    let tally = &client.tally;
    let latency_ns = |quantile| tally.latency.value_at_quantile(quantile);
    let report = json!({
        "messages": tally.windows.iter().sum::<u64>(),
        "messages_ever": client.messages,
        "lost": client.lost,
        "connections": load.connections,
        "depth": load.depth,
        "window_ms": WINDOW_NS / 1_000_000,
        "windows": tally.windows,
        "latency_ns_p50": latency_ns(0.5),
        "latency_ns_p90": latency_ns(0.9),
        "latency_ns_p99": latency_ns(0.99),
        "latency_ns_p999": latency_ns(0.999),
        "latency_ns_max": tally.latency.max(),
        "measured_ns": measured_ns,
        "client_cpu_ns": client_cpu_ns,
        "server_cpu_ns": server_cpu_ns,
        "foreign_cpu_ns": busy_ns.saturating_sub(client_cpu_ns + server_cpu_ns),
        "enters": client.ring.enters(),
    });
    println!("{report}");
    Ok(())
}

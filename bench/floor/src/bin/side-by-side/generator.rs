//! Cases that `ringmill-load` drives: connections that end after some requests, and an open loop at a fixed rate.
//!
//! Its result is put into the words of the client's, so that the tables are made of one kind. CPU time is that of the whole run
//! (warm-up, connects and all) over all answers of the run, which are taken to come at the measured pace.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use floor::process::{children_cpu_ns, machine_busy_ns};
use serde_json::{Value, json};

use crate::cases::{Case, Load};
use crate::run::Bench;
use crate::server::{Server, prepare};

/// Loads `server` as `case` says; `rate` is that of an open loop.
pub fn drive(
    bench: &Bench,
    case: &Case,
    addr: SocketAddr,
    server: &Server,
    rate: f64,
    dir: &Path,
) -> Result<Value, String> {
    let file = dir.join("load.json");
    let mut load = Command::new(bench.ringmill.with_file_name("ringmill-load"));
    load.arg(format!("http://{addr}/ping"))
        .args(["--cores", "1", "--shards", "1", "--quiet", "--json"])
        .arg(&file);
    load.args(["--connections", &case.connections.to_string()]);
    load.arg("--duration").arg(format!("{}ms", (bench.seconds * 1e3) as u64));
    load.arg("--warmup").arg(format!("{}ms", bench.warmup_ms));
    // A reset leaves no port in TIME_WAIT for the runs to come.
    match case.load {
        Load::Churn(requests) => load.args(["--closed", "--close", "rst", "--churn", &requests.to_string()]),
        Load::Open => load.args(["--rate", &format!("{rate:.0}")]),
        Load::Capacity | Load::Closed | Load::Idle => load.args(["--closed", "--close", "rst"]),
    };
    prepare(&mut load, &[1], bench.realtime);

    let clocks = || [server.cpu_ns(), children_cpu_ns(), machine_busy_ns()];
    let (begun, before) = (Instant::now(), clocks());
    let output = load
        .output()
        .map_err(|error| format!("ringmill-load: {error}; `cargo build --release` at the root builds it"))?;
    let (wall, after) = (begun.elapsed(), clocks());
    let [server_ns, client_ns, busy_ns] = std::array::from_fn(|at| after[at].saturating_sub(before[at]));
    let text =
        std::fs::read(&file).map_err(|_| String::from_utf8_lossy(&output.stderr).trim().to_string())?;
    let result: Value = serde_json::from_slice(&text).map_err(|error| format!("ringmill-load: {error}"))?;
    let failed: u64 = result["errors"]
        .as_object()
        .into_iter()
        .flat_map(|kinds| kinds.values())
        .filter_map(Value::as_u64)
        .sum();
    if failed > 0 {
        return Err(format!("{failed} requests failed: {}", result["errors"]));
    }
    // What was measured is a part of the run; the rest of it went at the same pace.
    let measured_ns = result["measured_ns"].as_f64().unwrap_or(0.0);
    let part = measured_ns / (measured_ns + bench.warmup_ms as f64 * 1e6);
    let quantile = |name: &str| result["latency"]["response"][name].clone();
    Ok(json!({
        "messages": result["latency"]["response"]["count"],
        "rate_per_s": result["rate"]["achieved_per_s"],
        "asked_per_s": result["rate"]["target_per_s"],
        "verdict": result["verdict"],
        "send_lag_ns_p99": result["latency"]["send_lag"]["p99_ns"],
        "latency_ns_p50": quantile("p50_ns"),
        "latency_ns_p99": quantile("p99_ns"),
        "latency_ns_p999": quantile("p99_9_ns"),
        "latency_ns_max": quantile("max_ns"),
        "measured_ns": measured_ns,
        "client_cpu_ns": client_ns as f64 * part,
        "server_cpu_ns": server_ns as f64 * part,
        // Of the whole run, as a share of the measured time.
        "foreign_cpu_ns": busy_ns.saturating_sub(server_ns + client_ns) as f64 * measured_ns / wall.as_nanos() as f64,
    }))
}

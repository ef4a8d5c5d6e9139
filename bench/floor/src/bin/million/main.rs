//! `make million`: one server, one holder, N connections with heartbeats, in a network namespace of their own.
//!
//! Both ends stand on this host, the server on core 0 and the holder on core 1. Ringmill is measured, and beside it the floor
//! `rings`: a hand-written loop that answers the same heartbeats. What comes of it is a table, a plot and a result as JSON.
//! Nothing of the host's settings is changed: the namespace has a range of ports of its own.

mod host;
mod parked;
mod process;
mod run;
mod table;

use floor::args::{Args, quit};
use floor::process::raise_nofile;
use serde_json::json;
use std::fs;
use std::process::Command;

/// What is asked for.
pub struct Wanted {
    pub connections: u64,
    pub heartbeat_s: u64,
    /// How long Ringmill's are held; the floor's for a part of it.
    pub hold_s: u64,
    pub silent: u64,
    pub server: String,
    pub holder: String,
    pub floor: String,
}

fn main() {
    let mut args = Args::from_env();
    let wanted = Wanted {
        connections: args.parse("--connections", 1_000_000),
        heartbeat_s: args.parse("--heartbeat", 30),
        hold_s: args.parse("--hold", 600),
        silent: args.parse("--silent", 10_000),
        server: args.parse("--server", "target/release/ringmill".into()),
        holder: args.parse("--holder", "target/release/ringmill-load".into()),
        floor: args.parse("--floor", "bench/floor/target/release/rings".into()),
    };
    let out = args.text("--out");
    let only = args.text("--only");
    args.finish();
    let nofile = raise_nofile();
    let obstacles = host::obstacles(wanted.connections, nofile);
    if !obstacles.is_empty() {
        quit(&obstacles.join("\n         "));
    }
    if let Err(why) = own_namespace() {
        quit(&format!("no network namespace of its own: {why}; it needs root, or user namespaces"));
    }
    // Negative where the table is that of the host (Documentation/networking/ip-sysctl.rst).
    let buckets = fs::read_to_string(format!("{IPV4}/tcp_ehash_entries")).unwrap_or_default();
    let buckets = buckets.trim().parse::<i64>().ok();
    // First, while the kernel's caches are as they were.
    let parked = (only.as_deref().unwrap_or("parked") == "parked").then(|| {
        let parked = parked::measure(&wanted.server, &wanted.holder, nofile);
        parked.unwrap_or_else(|why| quit(&format!("parked beside armed: {why}")))
    });
    let mut runs = Vec::new();
    // The kernel keeps memory of connections that have gone: what they cost is seen in the first run alone.
    for who in [run::Who::Ringmill, run::Who::Floor] {
        if only.as_deref().is_some_and(|only| only != who.name()) {
            continue;
        }
        match run::one(who, &wanted, nofile) {
            Ok(run) => runs.push(run),
            Err(why) => quit(&format!("{}: {why}", who.name())),
        }
    }
    let mut text = if runs.is_empty() { String::new() } else { table::markdown(&wanted, &runs) };
    text.extend(parked.as_ref().map(|parked| format!("\n{}", parked.markdown())));
    println!("{text}");
    if let Some(out) = out {
        let all: Vec<_> = runs.iter().map(run::Run::json).collect();
        let parked = parked.as_ref().map(parked::Parked::json);
        let json = json!({
            "connections": wanted.connections,
            "heartbeat_s": wanted.heartbeat_s,
            "established_buckets": buckets,
            "runs": all,
            "parked_beside_armed": parked,
        });
        let write = |end: &str, text: String| {
            let path = format!("{out}.{end}");
            fs::write(&path, text).unwrap_or_else(|error| quit(&format!("{path}: {error}")));
        };
        write("json", format!("{json:#}\n"));
        write("md", text);
        write("svg", table::plot(&wanted, &runs));
    }
}

/// Moves this process into a network namespace of its own whose loopback is up and whose ports and buckets are many.
fn own_namespace() -> Result<(), String> {
    unshare()?;
    // Those of this namespace alone: /proc/sys/net shows that of who opens it. The buckets are of namespaces that are made in it (Linux 6.1).
    if fs::write(format!("{IPV4}/tcp_child_ehash_entries"), BUCKETS.to_string()).is_ok() {
        unshare()?;
    }
    let up = Command::new("ip").args(["link", "set", "lo", "up"]).output();
    let up = up.map_err(|error| format!("ip (iproute2): {error}"))?;
    if !up.status.success() {
        return Err(String::from_utf8_lossy(&up.stderr).trim().into());
    }
    let path = format!("{IPV4}/ip_local_port_range");
    fs::write(&path, "10000 65000").map_err(|error| format!("{path}: {error}"))
}

fn unshare() -> Result<(), String> {
    // SAFETY: a call that touches no memory.
    match unsafe { libc::unshare(libc::CLONE_NEWNET) } {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error().to_string()),
    }
}

const IPV4: &str = "/proc/sys/net/ipv4";
/// Buckets of the table of established connections: what a host that is to hold millions would have (`thash_entries=`), 32 MiB.
const BUCKETS: u32 = 4 << 20;

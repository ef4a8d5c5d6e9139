//! `make million`: one server, one holder, N connections with heartbeats, in a network namespace of their own.
//!
//! Both ends stand on this host, the server on core 0 and the holder on core 1. Ringmill is measured, and beside it the floor
//! `rings`: a hand-written loop that answers the same heartbeats. What comes of it is a table, a plot and a result as JSON.
//! Nothing of the host's settings is changed: the namespace has a range of ports of its own.

mod host;
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
    let text = table::markdown(&wanted, &runs);
    println!("{text}");
    if let Some(out) = out {
        let all: Vec<_> = runs.iter().map(run::Run::json).collect();
        let json =
            json!({ "connections": wanted.connections, "heartbeat_s": wanted.heartbeat_s, "runs": all });
        let write = |end: &str, text: String| {
            let path = format!("{out}.{end}");
            fs::write(&path, text).unwrap_or_else(|error| quit(&format!("{path}: {error}")));
        };
        write("json", format!("{json:#}\n"));
        write("md", text);
        write("svg", table::plot(&wanted, &runs));
    }
}

/// Moves this process into a network namespace of its own whose loopback is up and whose ports are many.
fn own_namespace() -> Result<(), String> {
    // SAFETY: a call that touches no memory.
    if unsafe { libc::unshare(libc::CLONE_NEWNET) } != 0 {
        return Err(std::io::Error::last_os_error().to_string());
    }
    let up = Command::new("ip").args(["link", "set", "lo", "up"]).output();
    let up = up.map_err(|error| format!("ip (iproute2): {error}"))?;
    if !up.status.success() {
        return Err(String::from_utf8_lossy(&up.stderr).trim().into());
    }
    // Those of this namespace alone: /proc/sys/net shows that of who opens it.
    let path = "/proc/sys/net/ipv4/ip_local_port_range";
    fs::write(path, "10000 65000").map_err(|error| format!("{path}: {error}"))
}

//! One server and its holder, from the first connection to the last close.

use super::Wanted;
use super::host::{self, Slabs};
use super::process::{Process, command};
use floor::process::{now_ns, process_cpu_ns};
use serde_json::{Value, json};
use std::fs;
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

#[derive(Clone, Copy, PartialEq)]
pub enum Who {
    Floor,
    Ringmill,
}

impl Who {
    pub fn name(self) -> &'static str {
        match self {
            Who::Floor => "floor",
            Who::Ringmill => "ringmill",
        }
    }
}

/// What was seen each second.
#[derive(Clone, Copy)]
pub struct Second {
    pub at_s: f64,
    /// Connections: half of the sockets that are in use.
    pub connections: u64,
    pub cpu_ns: u64,
    pub rss: u64,
}

pub struct Run {
    pub who: Who,
    pub seconds: Vec<Second>,
    /// Memory of the server and of the holder before the first connection and with all of them.
    pub rss: [u64; 2],
    pub holder_rss: [u64; 2],
    /// What the kernel's caches grew by for both ends, and what TCP had queued.
    pub slabs: Slabs,
    pub queued: u64,
    /// Seconds from the first connection to the last.
    pub connect_s: f64,
    /// When all of them were there.
    pub up_s: f64,
    pub held: u64,
    /// What the holder says.
    pub holder: Value,
    /// What the server says at its end.
    pub report: Value,
    pub close_s: f64,
}

/// After all have come they get time to be parked, and for the one echo of each.
const SETTLE_S: f64 = 90.0;
/// How long the server's time is looked at then.
const REST_S: f64 = 60.0;
/// When some fall silent.
const MUTE_AFTER_S: u64 = (SETTLE_S + REST_S) as u64 + 5;
const PORT: u16 = 7016;
/// Of a frame (docs/FRAME.md).
const HEADER_BYTES: f64 = 16.0;

pub fn one(who: Who, wanted: &Wanted, nofile: u64) -> Result<Run, String> {
    let report = std::env::temp_dir().join(format!("million-{}-{}.json", who.name(), std::process::id()));
    let result = report.with_extension("hold.json");
    let mut server = Process::start(server(who, wanted, nofile, &report.to_string_lossy()), "server")?;
    sleep(Duration::from_secs(1));
    let (pid, began) = (server.id(), now_ns());
    let before = (host::rss(pid), host::slabs().map_err(|error| format!("/proc/slabinfo: {error}"))?);
    // The floor is held for as long as it is looked at.
    let rest_s = (SETTLE_S + REST_S) as u64 + 10;
    let found_s = MUTE_AFTER_S + 3 * wanted.heartbeat_s + 1;
    let hold_s = if who == Who::Floor { rest_s } else { wanted.hold_s.max(rest_s).max(found_s) };
    let mut holder = Process::start(hold(who, wanted, hold_s, &result.to_string_lossy()), "holder")?;
    let holder_before = host::rss(holder.id());
    let since = || (now_ns() - began) as f64 / 1e9;
    let (mut seconds, mut up, mut full, mut last) = (Vec::new(), None, None, None);
    while !holder.has_ended()? {
        if server.has_ended()? {
            return Err("the server has ended".into());
        }
        let (sockets, _) = host::sockets();
        let second = Second {
            at_s: since(),
            connections: sockets / 2,
            cpu_ns: process_cpu_ns(pid),
            rss: host::rss(pid),
        };
        seconds.push(second);
        if second.connections >= wanted.connections && up.is_none() {
            up = Some(second.at_s);
        }
        if up.is_some_and(|up| second.at_s > up + SETTLE_S) && second.connections >= wanted.connections {
            full.get_or_insert((
                second,
                host::slabs().unwrap_or_default(),
                host::tcp_memory(),
                host::rss(holder.id()),
            ));
            last = Some(second);
        }
        if seconds.len() % 10 == 0 {
            eprintln!("{:>5.0} s  {}  {} connections", second.at_s, who.name(), second.connections);
        }
        // Seconds while they connect are looked at more closely.
        sleep(Duration::from_millis(if up.is_none() { 250 } else { 1000 }));
    }
    let (Some((first, after, queued, holder_rss)), Some(last)) = (full, last) else {
        return Err(format!("no {} connections came about: {}", wanted.connections, holder.said()));
    };
    // What is still open when the holder has gone is the server's part of it.
    let closed_at = since();
    while host::sockets().0 > 2 && since() < closed_at + 60.0 {
        sleep(Duration::from_millis(100));
    }
    let close_s = since() - closed_at;
    server.end()?;
    let read = |path: &std::path::Path| {
        let text = fs::read_to_string(path).unwrap_or_default();
        let _ = fs::remove_file(path);
        serde_json::from_str(&text).unwrap_or(Value::Null)
    };
    let began_at = seconds.iter().find(|second| second.connections > 0).map_or(0.0, |second| second.at_s);
    Ok(Run {
        who,
        rss: [before.0, first.rss],
        holder_rss: [holder_before, holder_rss],
        slabs: host::grown(&before.1, &after),
        queued,
        connect_s: up.unwrap_or(0.0) - began_at,
        up_s: up.unwrap_or(0.0),
        held: seconds
            .iter()
            .filter(|s| s.at_s >= first.at_s && s.at_s <= last.at_s)
            .map(|s| s.connections)
            .min()
            .unwrap_or(0),
        seconds,
        holder: read(&result),
        report: read(&report),
        close_s,
    })
}

fn server(who: Who, wanted: &Wanted, nofile: u64, report: &str) -> Command {
    let most = wanted.connections + 1000;
    let address = format!("0.0.0.0:{PORT}");
    match who {
        Who::Ringmill => command(
            &wanted.server,
            &format!("--listen frame://{address} --cores 0 --connections-max {most} --report {report}"),
        ),
        Who::Floor => {
            let rings = most.div_ceil(nofile);
            command(
                &wanted.floor,
                &format!("--listen {address} --slots {nofile} --rings {rings} --report {report}"),
            )
        }
    }
}

fn hold(who: Who, wanted: &Wanted, hold_s: u64, result: &str) -> Command {
    let (url, to) = (format!("frame://127.0.0.1:{PORT}"), format!("127.0.0.1-127.0.0.{DESTINATIONS}"));
    let words = format!(
        "hold {url} --to {to} --connections {} --heartbeat {}s --duration {hold_s}s --cores 1 --ramp 100k --close rst \
         --timeout 60s --json {result}",
        wanted.connections, wanted.heartbeat_s
    );
    let mut command = command(&wanted.holder, &words);
    let mute = wanted.silent.min(wanted.connections);
    if who == Who::Ringmill {
        command.arg("--echo-once");
    }
    if who == Who::Ringmill && mute > 0 {
        // When the server's time has been looked at, and early enough for all of them to be found.
        command.args(["--mute", &mute.to_string(), "--mute-after", &format!("{MUTE_AFTER_S}s")]);
    }
    command
}

/// Heartbeats a second, of either side, between two times that a holder counts from its start: its PONG has what its PING had, and
/// a PING of the server is a header.
pub fn beats_per_s(holder: &Value, [from_s, to_s]: [f64; 2]) -> Option<f64> {
    let ping_bytes = holder.pointer("/asked/request_bytes")?.as_f64()?;
    let (mut beats, mut took_ns) = (0.0, 0.0);
    for second in holder.pointer("/series")?.as_array()? {
        let of = |name: &str| second[name].as_f64().unwrap_or(0.0);
        if of("from_ns") < from_s * 1e9 || of("to_ns") > to_s * 1e9 {
            continue;
        }
        let servers = (of("bytes_in") - of("answered") * ping_bytes).max(0.0) / HEADER_BYTES;
        beats += of("answered") + servers;
        took_ns += of("to_ns") - of("from_ns");
    }
    (took_ns > 0.0).then(|| beats * 1e9 / took_ns)
}

/// Addresses of loopback that are connected to, each with the ports of the range for itself: past 14,000 of them a connect takes a hundred times
/// as long, since the kernel tries all even ports first (inet_hash_connect()).
const DESTINATIONS: u32 = 100;

impl Run {
    /// CPU of the server while nothing happens but heartbeats: nanoseconds, over so many seconds.
    pub fn rest(&self) -> Option<[f64; 2]> {
        let from = self.up_s + SETTLE_S;
        let first = self.seconds.iter().find(|second| second.at_s >= from)?;
        let last = self.seconds.iter().rev().find(|second| second.at_s <= from + REST_S)?;
        (last.at_s > first.at_s).then(|| [(last.cpu_ns - first.cpu_ns) as f64, last.at_s - first.at_s])
    }

    /// Heartbeats a second in the time that [`Run::rest`] is of.
    pub fn beats_per_s(&self) -> Option<f64> {
        let from_s = self.up_s + SETTLE_S;
        beats_per_s(&self.holder, [from_s, from_s + REST_S])
    }

    pub fn json(&self) -> Value {
        let seconds: Vec<_> =
            self.seconds.iter().map(|s| json!([s.at_s, s.connections, s.cpu_ns, s.rss])).collect();
        json!({
            "who": self.who.name(),
            "connect_s": self.connect_s,
            "held_least": self.held,
            "rss_before": self.rss[0], "rss_with_all": self.rss[1],
            "holder_rss_before": self.holder_rss[0], "holder_rss_with_all": self.holder_rss[1],
            "slab_bytes_both_ends": self.slabs,
            "tcp_queued_bytes": self.queued,
            "rest_cpu_ns_and_s": self.rest(), "heartbeats_per_s": self.beats_per_s(),
            "server_close_s": self.close_s,
            "seconds": { "columns": ["at_s", "connections", "cpu_ns", "rss"], "rows": seconds },
            "holder": self.holder,
            "server": self.report,
        })
    }
}

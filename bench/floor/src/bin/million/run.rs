//! One server and its holder, from the first connection to the last close.

use super::Wanted;
use super::host::{self, Slabs};
use floor::process::{now_ns, process_cpu_ns};
use serde_json::{Value, json};
use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
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
const SETTLE_S: f64 = 60.0;
/// How long the server's time is looked at then.
const REST_S: f64 = 60.0;
const PORT: u16 = 7016;

pub fn one(who: Who, wanted: &Wanted, nofile: u64) -> Result<Run, String> {
    let report = std::env::temp_dir().join(format!("million-{}-{}.json", who.name(), std::process::id()));
    let result = report.with_extension("hold.json");
    let mut server = Process::start(server(who, wanted, nofile, &report.to_string_lossy()), "server")?;
    sleep(Duration::from_secs(1));
    let (pid, began) = (server.id(), now_ns());
    let before = (host::rss(pid), host::slabs().map_err(|error| format!("/proc/slabinfo: {error}"))?);
    // The floor is held for as long as it is looked at.
    let rest_s = (SETTLE_S + REST_S) as u64 + 10;
    let hold_s = if who == Who::Floor { rest_s } else { wanted.hold_s.max(rest_s) };
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
            &[
                "--listen",
                &format!("frame://{address}"),
                "--cores",
                "0",
                "--connections-max",
                &most.to_string(),
                "--report",
                report,
            ],
        ),
        Who::Floor => command(
            &wanted.floor,
            &[
                "--listen",
                &address,
                "--slots",
                &nofile.to_string(),
                "--rings",
                &most.div_ceil(nofile).to_string(),
                "--report",
                report,
            ],
        ),
    }
}

fn hold(who: Who, wanted: &Wanted, hold_s: u64, result: &str) -> Command {
    let (url, to) = (format!("frame://127.0.0.1:{PORT}"), format!("127.0.0.1-127.0.0.{DESTINATIONS}"));
    let words = format!(
        "hold {url} --to {to} --connections {} --heartbeat {}s --duration {hold_s}s --cores 1 --ramp 100k --close rst \
         --timeout 60s --json {result}",
        wanted.connections, wanted.heartbeat_s
    );
    let mut command = command(&wanted.holder, &words.split(' ').collect::<Vec<_>>());
    let mute = wanted.silent.min(wanted.connections);
    if who == Who::Ringmill {
        command.arg("--echo-once");
    }
    if who == Who::Ringmill && mute > 0 {
        // When the server's time has been looked at, and early enough for all of them to be found.
        let after = (SETTLE_S + REST_S) as u64 + 5;
        command.args(["--mute", &mute.to_string(), "--mute-after", &format!("{after}s")]);
    }
    command
}

/// Addresses of loopback that are connected to, each with the ports of the range for itself: past 14,000 of them a connect takes a hundred times
/// as long, since the kernel tries all even ports first (inet_hash_connect()).
const DESTINATIONS: u32 = 100;

fn command(program: &str, words: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(words);
    command
}

/// A child that ends with this process's run, whatever becomes of it.
struct Process {
    child: Child,
    name: &'static str,
    /// Where its standard error goes.
    log: PathBuf,
}

impl Process {
    fn start(mut command: Command, name: &'static str) -> Result<Process, String> {
        let program = command.get_program().to_string_lossy().into_owned();
        let log = std::env::temp_dir().join(format!("million-{name}-{}.log", std::process::id()));
        let to = fs::File::create(&log).map_err(|error| format!("{}: {error}", log.display()))?;
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(to);
        let child =
            command.spawn().map_err(|error| format!("{program}: {error}; `make million` builds it"))?;
        Ok(Process { child, name, log })
    }

    fn id(&self) -> u32 {
        self.child.id()
    }

    fn has_ended(&mut self) -> Result<bool, String> {
        let ended = self.child.try_wait().map_err(|error| format!("{}: {error}", self.name))?;
        Ok(ended.is_some())
    }

    /// The last that it said.
    fn said(&self) -> String {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let last: Vec<&str> = text.lines().rev().take(5).collect();
        last.into_iter().rev().collect::<Vec<_>>().join(" | ")
    }

    fn end(&mut self) -> Result<(), String> {
        // SAFETY: a call that touches no memory; the child is ours and was not waited for.
        unsafe { libc::kill(self.child.id() as i32, libc::SIGTERM) };
        self.child.wait().map(drop).map_err(|error| format!("{}: {error}", self.name))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        let _ = fs::remove_file(&self.log);
    }
}

impl Run {
    /// CPU of the server while nothing happens but heartbeats: nanoseconds, over so many seconds.
    pub fn rest(&self) -> Option<[f64; 2]> {
        let from = self.up_s + SETTLE_S;
        let first = self.seconds.iter().find(|second| second.at_s >= from)?;
        let last = self.seconds.iter().rev().find(|second| second.at_s <= from + REST_S)?;
        (last.at_s > first.at_s).then(|| [(last.cpu_ns - first.cpu_ns) as f64, last.at_s - first.at_s])
    }

    /// Heartbeats that were answered, by either side, a second: those of the whole hold.
    pub fn beats_per_s(&self) -> Option<f64> {
        let count = |path: &str| self.holder.pointer(path).and_then(Value::as_u64);
        let beats = count("/hold/heartbeats/answered")? + count("/hold/frames/pongs").unwrap_or(0);
        let end = self.seconds.last()?.at_s;
        // Connections that came in even steps have been there for half of that time, on average.
        Some(beats as f64 / (end - self.up_s + self.connect_s / 2.0))
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

//! One server and what it was loaded with: traffic alone, then traffic and a storm, or the other way round.

use std::fs;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use floor::process::{now_ns, process_cpu_ns, run_first};
use serde_json::{Value, json};

use super::Wanted;

#[derive(Clone, Copy)]
pub struct Case {
    pub shards: usize,
    pub accept: &'static str,
}

impl Case {
    pub fn name(self) -> String {
        match self.shards {
            1 => "1 shard".into(),
            shards => format!("{shards} shards, {}", self.accept),
        }
    }

    /// Cores of the server, and of each generator.
    fn cores(self) -> [&'static str; 2] {
        if self.shards == 1 { ["0", "1"] } else { ["0,1", "0,1"] }
    }
}

/// A case without and with the storm.
pub struct Round {
    pub calm: Half,
    pub stormy: Half,
}

/// What came of one server's life. Times in microseconds.
pub struct Half {
    pub p50: f64,
    pub p99: f64,
    /// Requests a second of the traffic that were answered.
    pub answered: f64,
    /// How late the traffic itself was, p99.
    pub lag_p99: f64,
    /// The server's part of a core.
    pub busy: f64,
    /// Connections by shard.
    pub accepted: Vec<u64>,
    pub accept_errors: u64,
    pub storm: Option<Storm>,
}

pub struct Storm {
    /// Connections a second that were made, answered and reset.
    pub achieved: f64,
    pub connect_p99: f64,
    pub failed: u64,
}

const PORT: u16 = 7019;
const CONNECTIONS: u32 = 64;
/// Connections that the storm has at one time, at most.
const CROWD: u32 = 256;
/// Of both, before anything is measured.
const WARMUP_MS: u64 = 500;
/// The storm begins before the traffic and ends behind it.
const MARGIN_MS: u64 = 300;

impl Round {
    pub fn run(case: Case, wanted: &Wanted, storm_first: bool) -> Result<Round, String> {
        let mut halves = [storm_first, !storm_first].map(|stormy| half(case, wanted, stormy));
        if storm_first {
            halves.reverse();
        }
        let [calm, stormy] = halves;
        Ok(Round { calm: calm?, stormy: stormy? })
    }

    /// How many times its p99 the traffic has in the storm.
    pub fn ratio(&self) -> f64 {
        self.stormy.p99 / self.calm.p99
    }

    pub fn json(&self) -> Value {
        json!({ "calm": self.calm.json(), "storm": self.stormy.json() })
    }
}

impl Half {
    fn json(&self) -> Value {
        let storm = self.storm.as_ref().map(|storm| {
            json!({ "achieved_per_s": storm.achieved, "connect_us_p99": storm.connect_p99, "failed": storm.failed })
        });
        json!({
            "response_us_p50": self.p50, "response_us_p99": self.p99, "answered_per_s": self.answered,
            "send_lag_us_p99": self.lag_p99, "server_cores": self.busy,
            "accepted_by_shard": self.accepted, "accept_errors": self.accept_errors,
            "connects": storm,
        })
    }
}

fn half(case: Case, wanted: &Wanted, stormy: bool) -> Result<Half, String> {
    let files = ["report", "traffic", "storm"]
        .map(|name| std::env::temp_dir().join(format!("storm-{}-{name}.json", std::process::id())));
    let done = life(case, wanted, stormy, &files);
    files.iter().for_each(|file| drop(fs::remove_file(file)));
    done
}

fn life(case: Case, wanted: &Wanted, stormy: bool, files: &[PathBuf; 3]) -> Result<Half, String> {
    let [report, traffic_file, storm_file] = files;
    let [cores, _] = case.cores();
    let words = format!(
        "--listen echo://127.0.0.1:{PORT} --cores {cores} --shards {} --accept {} {}",
        case.shards, case.accept, wanted.with
    );
    let mut server = command(&wanted.server, &words, wanted.realtime);
    let mut server = Running::start(server.arg("--report").arg(report))?;
    server.answers()?;
    let measured_ms = (wanted.seconds * 1e3) as u64;
    let mut storm = None;
    if stormy {
        let words = format!(
            "--connections {CROWD} --churn 1 --rate {} --duration {}ms --warmup {WARMUP_MS}ms",
            wanted.storm,
            measured_ms + 2 * MARGIN_MS
        );
        storm = Some(Running::start(&mut load(case, wanted, &words, storm_file, false))?);
        sleep(Duration::from_millis(MARGIN_MS));
    }
    let words = format!(
        "--connections {CONNECTIONS} --rate {} --duration {measured_ms}ms --warmup {WARMUP_MS}ms",
        wanted.rate
    );
    let (began_ns, before_ns) = (now_ns(), process_cpu_ns(server.id()));
    Running::start(&mut load(case, wanted, &words, traffic_file, wanted.realtime))?.wait()?;
    let busy = (process_cpu_ns(server.id()) - before_ns) as f64 / (now_ns() - began_ns) as f64;
    if let Some(mut storm) = storm.take() {
        storm.wait()?;
    }
    server.end()?;
    let (report, traffic) = (read(report)?, read(traffic_file)?);
    let us = |result: &Value, path: &str| {
        let ns = result.pointer(path).and_then(Value::as_f64);
        ns.map(|ns| ns / 1e3).ok_or_else(|| format!("the result has no {path}"))
    };
    let per_s = |result: &Value| result["rate"]["achieved_per_s"].as_f64().unwrap_or(0.0);
    let shards = report["shards"].as_array().map_or(&[][..], Vec::as_slice);
    let of_storm = |result: Value| {
        Ok::<_, String>(Storm {
            achieved: per_s(&result),
            // Of fewer than 2,000 there is none.
            connect_p99: us(&result, "/latency/connect/p99_ns").unwrap_or(f64::NAN),
            failed: failures(&result),
        })
    };
    if failures(&traffic) > 0 {
        return Err(format!("requests of the traffic failed: {}", traffic["errors"]));
    }
    Ok(Half {
        p50: us(&traffic, "/latency/response/p50_ns")?,
        p99: us(&traffic, "/latency/response/p99_ns")?,
        answered: per_s(&traffic),
        lag_p99: us(&traffic, "/latency/send_lag/p99_ns")?,
        busy,
        accepted: shards.iter().filter_map(|shard| shard["accepted"].as_u64()).collect(),
        accept_errors: report["totals"]["accept_errors"].as_u64().unwrap_or(0),
        storm: if stormy { Some(of_storm(read(storm_file)?)?) } else { None },
    })
}

fn load(case: Case, wanted: &Wanted, words: &str, file: &Path, first: bool) -> Command {
    let [_, cores] = case.cores();
    let words = format!(
        "echo://127.0.0.1:{PORT} --size 64 --close rst --cores {cores} --shards {} --idle sleep --quiet {words}",
        case.shards
    );
    let mut command = command(&wanted.load, &words, first);
    command.arg("--json").arg(file);
    command
}

fn failures(result: &Value) -> u64 {
    let kinds = result["errors"].as_object().into_iter().flat_map(|kinds| kinds.values());
    kinds.filter_map(Value::as_u64).sum()
}

fn read(path: &Path) -> Result<Value, String> {
    let text = fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    serde_json::from_slice(&text).map_err(|error| format!("{}: {error}", path.display()))
}

/// A program and its words, of which none has a space; before all that is not realtime if `first`.
fn command(program: &str, words: &str, first: bool) -> Command {
    let mut command = Command::new(program);
    command.args(words.split_whitespace());
    if first {
        // SAFETY: between fork and exec it only makes a system call, on memory of the stack.
        unsafe { command.pre_exec(run_first) };
    }
    command
}

/// A child that does not outlive this value.
struct Running(Child);

impl Running {
    fn start(command: &mut Command) -> Result<Running, String> {
        let program = command.get_program().to_string_lossy().into_owned();
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        child.map(Running).map_err(|error| format!("{program}: {error}; `make storm` builds it, as root"))
    }

    fn id(&self) -> u32 {
        self.0.id()
    }

    /// Waits until it echoes. Errors: it has ended, or says nothing for two seconds.
    fn answers(&mut self) -> Result<(), String> {
        let until = Instant::now() + Duration::from_secs(2);
        while echo().is_err() {
            if Instant::now() > until || !matches!(self.0.try_wait(), Ok(None)) {
                return Err(format!("the server does not answer on port {PORT}"));
            }
            sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    fn wait(&mut self) -> Result<(), String> {
        self.0.wait().map(drop).map_err(|error| error.to_string())
    }

    fn end(&mut self) -> Result<(), String> {
        // SAFETY: a call that touches no memory; the child is ours and was not waited for.
        unsafe { libc::kill(self.0.id() as i32, libc::SIGTERM) };
        self.wait()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if matches!(self.0.try_wait(), Ok(None)) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }
}

fn echo() -> io::Result<()> {
    let mut stream = TcpStream::connect(("127.0.0.1", PORT))?;
    stream.set_read_timeout(Some(Duration::from_millis(500)))?;
    stream.write_all(b"ready?")?;
    stream.read_exact(&mut [0; 6])
}

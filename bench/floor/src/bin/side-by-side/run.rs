//! One run: a fresh server on its cores, a fresh client on the other, both gone afterwards.

use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use floor::process::machine_busy_ns;
use serde_json::Value;

use crate::cases::{self, Case, Load, Spin};
use crate::contenders::Contender;
use crate::server::{Server, prepare};
use crate::veth::Veth;
use crate::{generator, idle};

/// Where the programs are and how long a run lasts.
pub struct Bench {
    pub floor: PathBuf,
    pub peers: PathBuf,
    pub ringmill: PathBuf,
    /// Where `nginx.conf` and `haproxy.cfg` are, with marks as in commands.
    pub confs: PathBuf,
    pub seconds: f64,
    pub warmup_ms: u64,
    /// A run beside which other programs used more than this share of the cores is made again, up to `REPEATS_MAX` times.
    pub foreign_max: f64,
    /// Server and client run before everything else on their cores (SCHED_RR; needs the right to it).
    pub realtime: bool,
    /// Where a case goes over a wire: the two namespaces.
    pub veth: Option<Veth>,
}

/// Repetitions of a disturbed run; the last one counts whatever it is.
const REPEATS_MAX: u32 = 8;

/// How long the machine is looked at before a run, and how long a run waits for it to be quiet.
const QUIET_SAMPLE: Duration = Duration::from_millis(100);
const QUIET_PATIENCE: Duration = Duration::from_secs(30);

/// What one run gave.
pub struct Run {
    /// The client's JSON, or what stands for it.
    pub client: Value,
    /// `totals` of the server's report, where it writes one.
    pub totals: Value,
    /// Most memory that the server had resident.
    pub rss_peak_kib: u64,
    /// From the start of the process to its first answer.
    pub start_us: u64,
}

impl Run {
    /// What other programs took of the two cores, 0 to 1.
    pub fn foreign_share(&self) -> f64 {
        let nanoseconds = |name: &str| self.client[name].as_f64().unwrap_or(0.0);
        nanoseconds("foreign_cpu_ns") / (2.0 * nanoseconds("measured_ns").max(1.0))
    }
}

const CORES: [usize; 2] = [0, 1];
const CLIENT_CORE: usize = 1;
/// The files that configure servers which have no flags for it.
const CONFS: [&str; 2] = ["nginx.conf", "haproxy.cfg"];

impl Bench {
    /// The program of a contender, or `None` when it is not there.
    pub fn program(&self, contender: &Contender) -> Option<PathBuf> {
        let command = self.fill(&contender.command, &[]);
        let mut words = command.split_whitespace().filter(|word| *word != "env" && !word.contains('='));
        let word = words.next()?.to_string();
        let path = PathBuf::from(&word);
        if word.contains('/') {
            return (path.exists() && self.has_engine(&command)).then_some(path);
        }
        let search = std::env::var_os("PATH")?;
        std::env::split_paths(&search).map(|dir| dir.join(&word)).find(|path| path.exists())
    }

    /// Whether this Ringmill has the engine that a command wants of it.
    fn has_engine(&self, command: &str) -> bool {
        let Some((_, rest)) = command.split_once("--engine ") else { return true };
        let engine = rest.split_whitespace().next().unwrap_or_default();
        let asked = Command::new(&self.ringmill).args(["--engine", engine, "--print-config"]).output();
        asked.is_ok_and(|said| said.status.success())
    }

    /// Runs until the machine was ours alone. `rate` is that of an open loop.
    pub fn run(&self, case: &Case, contender: &Contender, rate: f64) -> Result<Run, String> {
        for _ in 0..REPEATS_MAX {
            if !self.realtime {
                self.wait_for_quiet();
            }
            let run = self.run_once(case, contender, rate)?;
            if run.foreign_share() <= self.foreign_max {
                return Ok(run);
            }
        }
        self.run_once(case, contender, rate)
    }

    /// Waits, within reason, until others leave the machine alone.
    fn wait_for_quiet(&self) {
        let begun = Instant::now();
        while begun.elapsed() < QUIET_PATIENCE && self.foreign_max < 1.0 {
            let before = machine_busy_ns();
            std::thread::sleep(QUIET_SAMPLE);
            let busy_ns = (machine_busy_ns() - before) as f64;
            if busy_ns / (2.0 * QUIET_SAMPLE.as_nanos() as f64) <= self.foreign_max.max(0.05) {
                return;
            }
        }
    }

    /// One run in a directory of its own.
    fn run_once(&self, case: &Case, contender: &Contender, rate: f64) -> Result<Run, String> {
        let port = free_port().map_err(|error| format!("no free port: {error}"))?;
        let dir = std::env::temp_dir().join(format!("side-by-side-{}-{port}", std::process::id()));
        fs::create_dir_all(&dir).map_err(|error| format!("no directory: {error}"))?;
        let outcome = self.run_in(&dir, port, case, contender, rate);
        let _ = fs::remove_dir_all(&dir);
        outcome
    }

    /// Starts, measures, stops.
    fn run_in(
        &self,
        dir: &Path,
        port: u16,
        case: &Case,
        contender: &Contender,
        rate: f64,
    ) -> Result<Run, String> {
        let loopback = SocketAddr::from(([127, 0, 0, 1], port));
        let (addr, _inside) = match (case.path, &self.veth) {
            (cases::Path::Loopback, _) => (loopback, None),
            (cases::Path::Veth, Some(veth)) => (veth.server(port), Some(veth.enter()?)),
            (cases::Path::Veth, None) => return Err("there are no namespaces to run it in".to_string()),
        };
        let report = dir.join("server.report.json");
        let cores: Vec<String> = CORES[..case.cores].iter().map(usize::to_string).collect();
        let words = [
            ("{addr}", addr.to_string()),
            ("{port}", port.to_string()),
            ("{report}", report.display().to_string()),
            ("{dir}", dir.display().to_string()),
            ("{spin}", if case.spin == Spin::Nobody { "" } else { "--spin-us 100" }.to_string()),
            ("{threads}", case.cores.to_string()),
            ("{cores}", cores.join(",")),
            ("{master}", if case.cores > 1 { "on" } else { "off" }.to_string()),
        ];
        for name in CONFS {
            let conf = fs::read_to_string(self.confs.join(name)).unwrap_or_default();
            fs::write(dir.join(name), self.fill(&conf, &words)).map_err(|error| error.to_string())?;
        }
        let command = self.fill(&contender.command, &words);
        let place = self.veth.as_ref().filter(|_| case.path == cases::Path::Veth);
        let place = place.map(Veth::server_namespace);
        let server = Server::start(&command, &CORES[..case.cores], self.realtime, place, case.kind, addr)?;
        let measured = match case.load {
            Load::Closed => self.drive(case, addr, &server),
            Load::Churn(_) | Load::Open | Load::Capacity => {
                generator::drive(self, case, addr, &server, rate, dir)
            }
            Load::Idle => idle::measure(addr, &server),
        };
        let (rss_peak_kib, start_us) = (server.rss_peak_kib(), server.start_us);
        let ended = server.stop();
        let client = measured?;
        ended?;
        let report = fs::read(&report).ok().and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok());
        let totals = report.map_or(Value::Null, |report| report["totals"].clone());
        Ok(Run { client, totals, rss_peak_kib, start_us })
    }

    /// The closed loop of the floor's client.
    fn drive(&self, case: &Case, addr: SocketAddr, server: &Server) -> Result<Value, String> {
        let (core, cores) = match case.cores {
            1 => (CLIENT_CORE.to_string(), &CORES[CLIENT_CORE..]),
            _ => ("any".to_string(), &CORES[..]),
        };
        let pids: Vec<String> = server.pids().iter().map(u32::to_string).collect();
        let mut client = Command::new(self.floor.join("client"));
        client.args(["--mode", case.kind.mode()]).args(["--addr", &addr.to_string()]);
        client.args(["--core", &core]).args(["--connections", &case.connections.to_string()]);
        client.args(["--depth", &case.depth.to_string()]).args(["--size", &case.bytes.to_string()]);
        client
            .args(["--seconds", &self.seconds.to_string()])
            .args(["--warmup-ms", &self.warmup_ms.to_string()]);
        client.args(["--server-pids", &pids.join(",")]);
        if case.spin != Spin::Nobody {
            client.arg("--spin");
        }
        prepare(&mut client, cores, self.realtime);
        let output = client.output().map_err(|error| format!("client: {error}"))?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).trim().to_string());
        }
        serde_json::from_slice(&output.stdout).map_err(|error| format!("client: {error}"))
    }

    fn fill(&self, template: &str, words: &[(&str, String)]) -> String {
        let places = [("{floor}", &self.floor), ("{peers}", &self.peers), ("{ringmill}", &self.ringmill)];
        let text = places
            .iter()
            .fold(template.to_string(), |text, (mark, path)| text.replace(mark, &path.display().to_string()));
        words.iter().fold(text, |text, (mark, word)| text.replace(mark, word))
    }
}

fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

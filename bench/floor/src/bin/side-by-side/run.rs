//! One run: a fresh server on core 0, a fresh client on core 1, both gone afterwards.

use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use floor::process::{machine_busy_ns, pin, run_first};
use serde_json::Value;

use crate::cases::{Case, Kind};
use crate::contenders::Contender;

/// Where the programs are and how long a run lasts.
pub struct Bench {
    pub floor: PathBuf,
    pub peers: PathBuf,
    pub ringmill: PathBuf,
    pub nginx_conf: PathBuf,
    pub seconds: f64,
    pub warmup_ms: u64,
    /// A run beside which other programs used more than this share of the cores is made again, up to `REPEATS_MAX` times.
    pub foreign_max: f64,
    /// Server and client run before everything else on their cores (SCHED_RR; needs the right to it).
    pub realtime: bool,
}

/// Repetitions of a disturbed run; the last one counts whatever it is.
const REPEATS_MAX: u32 = 8;

/// How long the machine is looked at before a run, and how long a run waits for it to be quiet.
const QUIET_SAMPLE: Duration = Duration::from_millis(100);
const QUIET_PATIENCE: Duration = Duration::from_secs(30);

/// What one run gave.
pub struct Run {
    /// The client's JSON.
    pub client: Value,
    /// `totals` of the server's report, where it writes one.
    pub totals: Value,
    /// Most memory that the server had resident.
    pub rss_peak_kib: u64,
    /// From the start of the process to the first connection taken or datagram answered.
    pub start_us: u64,
}

impl Run {
    /// What other programs took of the two cores, 0 to 1.
    pub fn foreign_share(&self) -> f64 {
        let nanoseconds = |name: &str| self.client[name].as_f64().unwrap_or(0.0);
        nanoseconds("foreign_cpu_ns") / (2.0 * nanoseconds("measured_ns").max(1.0))
    }
}

const SERVER_CORE: usize = 0;
const CLIENT_CORE: usize = 1;
const PATIENCE: Duration = Duration::from_secs(5);

impl Bench {
    /// The program of a contender, or `None` when it is not there.
    pub fn program(&self, contender: &Contender) -> Option<PathBuf> {
        let word = self.fill(&contender.command, &[]).split_whitespace().next()?.to_string();
        let path = PathBuf::from(&word);
        if word.contains('/') {
            return path.exists().then_some(path);
        }
        let search = std::env::var_os("PATH")?;
        std::env::split_paths(&search).map(|dir| dir.join(&word)).find(|path| path.exists())
    }

    /// Runs until the machine was ours alone.
    pub fn run(&self, case: &Case, contender: &Contender) -> Result<Run, String> {
        for _ in 0..REPEATS_MAX {
            if !self.realtime {
                self.wait_for_quiet();
            }
            let run = self.run_once(case, contender)?;
            if run.foreign_share() <= self.foreign_max {
                return Ok(run);
            }
        }
        self.run_once(case, contender)
    }

    /// Waits, within reason, until others leave the machine alone.
    fn wait_for_quiet(&self) {
        let begun = Instant::now();
        while begun.elapsed() < QUIET_PATIENCE {
            let before = machine_busy_ns();
            std::thread::sleep(QUIET_SAMPLE);
            let busy_ns = (machine_busy_ns() - before) as f64;
            if busy_ns / (2.0 * QUIET_SAMPLE.as_nanos() as f64) <= self.foreign_max.max(0.05) {
                return;
            }
        }
    }

    /// One run in a directory of its own.
    fn run_once(&self, case: &Case, contender: &Contender) -> Result<Run, String> {
        let port = free_port().map_err(|error| format!("no free port: {error}"))?;
        let dir = std::env::temp_dir().join(format!("side-by-side-{}-{port}", std::process::id()));
        fs::create_dir_all(&dir).map_err(|error| format!("no directory: {error}"))?;
        let outcome = self.run_in(&dir, port, case, contender);
        let _ = fs::remove_dir_all(&dir);
        outcome
    }

    /// Starts, measures, stops.
    fn run_in(&self, dir: &Path, port: u16, case: &Case, contender: &Contender) -> Result<Run, String> {
        let addr = SocketAddr::from(([127, 0, 0, 1], port));
        let report = dir.join("server.report.json");
        let words = [
            ("{addr}", addr.to_string()),
            ("{port}", port.to_string()),
            ("{report}", report.display().to_string()),
            ("{dir}", dir.display().to_string()),
            ("{spin}", if case.spin { "--spin-us 100" } else { "" }.to_string()),
        ];
        let conf = fs::read_to_string(&self.nginx_conf).unwrap_or_default();
        fs::write(dir.join("nginx.conf"), self.fill(&conf, &words)).map_err(|error| error.to_string())?;

        let mut server = start(&self.fill(&contender.command, &words), self.realtime)?;
        let ready = wait_until_ready(case.kind, addr, &mut server);
        let measured = ready.and_then(|start_us| Ok((start_us, self.drive(case, addr, &server)?)));
        let rss_peak_kib = rss_peak_kib(server.id());
        let ended = stop(server);
        let (start_us, client) = measured?;
        ended?;
        let report = fs::read(&report).ok().and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok());
        let totals = report.map_or(Value::Null, |report| report["totals"].clone());
        Ok(Run { client, totals, rss_peak_kib, start_us })
    }

    fn drive(&self, case: &Case, addr: SocketAddr, server: &Child) -> Result<Value, String> {
        let mut client = Command::new(self.floor.join("client"));
        client.args(["--mode", case.kind.mode()]).args(["--addr", &addr.to_string()]);
        client
            .args(["--core", &CLIENT_CORE.to_string()])
            .args(["--connections", &case.connections.to_string()]);
        client.args(["--depth", &case.depth.to_string()]).args(["--size", &case.bytes.to_string()]);
        client
            .args(["--seconds", &self.seconds.to_string()])
            .args(["--warmup-ms", &self.warmup_ms.to_string()]);
        client.args(["--server-pid", &server.id().to_string()]);
        if case.spin {
            client.arg("--spin");
        }
        prepare(&mut client, CLIENT_CORE, self.realtime);
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

fn start(command: &str, realtime: bool) -> Result<Child, String> {
    let mut words = command.split_whitespace();
    let mut server = Command::new(words.next().unwrap_or_default());
    server.args(words).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    prepare(&mut server, SERVER_CORE, realtime);
    server.spawn().map_err(|error| format!("server: {error}"))
}

/// What the new process does before it becomes the program.
fn prepare(command: &mut Command, core: usize, realtime: bool) {
    let before = move || pin(core).and_then(|()| if realtime { run_first() } else { Ok(()) });
    // SAFETY: between fork and exec only sched_setaffinity(2) and sched_setscheduler(2) are called, on memory of the stack.
    unsafe { command.pre_exec(before) };
}

/// TCP: a connection is taken. UDP: a datagram comes back. Gives the microseconds that it took.
fn wait_until_ready(kind: Kind, addr: SocketAddr, server: &mut Child) -> Result<u64, String> {
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE {
        if let Ok(Some(status)) = server.try_wait() {
            return Err(format!("the server ended at once: {status}"));
        }
        let ready = match kind {
            Kind::Udp => answers_datagram(addr).is_ok(),
            Kind::Echo | Kind::Http => TcpStream::connect(addr).is_ok(),
        };
        if ready {
            return Ok(begun.elapsed().as_micros() as u64);
        }
        std::thread::sleep(Duration::from_micros(200));
    }
    Err("the server took no connection".to_string())
}

fn answers_datagram(addr: SocketAddr) -> io::Result<()> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    socket.set_read_timeout(Some(Duration::from_millis(50)))?;
    socket.connect(addr)?;
    socket.send(b"ready?")?;
    socket.recv(&mut [0; 16]).map(drop)
}

/// SIGTERM, and SIGKILL for one that does not obey in time.
fn stop(mut server: Child) -> Result<(), String> {
    // SAFETY: the child is ours and not yet waited for, so the id is its own.
    unsafe { libc::kill(server.id() as libc::pid_t, libc::SIGTERM) };
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE {
        if let Ok(Some(_)) = server.try_wait() {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let _ = server.kill();
    let _ = server.wait();
    Err("the server did not end on SIGTERM".to_string())
}

fn rss_peak_kib(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

//! The server under test: started on its cores, asked for its processes, their time and their memory, and ended.
//!
//! Never loads it. A server may be several processes (nginx with two workers); what it costs is the sum over them.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::os::fd::RawFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use floor::process::{pin_to, process_cpu_ns, run_first};

use crate::cases::Kind;
use crate::{ping, veth};

/// How long a server may take to begin and to end.
const PATIENCE: Duration = Duration::from_secs(5);

/// A running server.
pub struct Server {
    child: Child,
    /// From the start of the process to its first answer.
    pub start_us: u64,
}

impl Server {
    /// Starts `command` on `cores`, in a network namespace if one is given, and waits until it answers. With `realtime` it runs
    /// before all that is not.
    pub fn start(
        command: &str,
        cores: &[usize],
        realtime: bool,
        namespace: Option<RawFd>,
        kind: Kind,
        addr: SocketAddr,
    ) -> Result<Self, String> {
        let mut words = command.split_whitespace();
        let mut program = Command::new(words.next().unwrap_or_default());
        program.args(words).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        prepare(&mut program, cores, realtime);
        if let Some(namespace) = namespace {
            veth::move_into(&mut program, namespace);
        }
        let child = program.spawn().map_err(|error| format!("server: {error}"))?;
        let mut server = Self { child, start_us: 0 };
        match server.wait_until_ready(kind, addr) {
            Ok(start_us) => server.start_us = start_us,
            Err(why) => {
                let _ = server.stop();
                return Err(why);
            }
        }
        Ok(server)
    }

    /// The process and all that descend from it.
    pub fn pids(&self) -> Vec<u32> {
        let mut pids = vec![self.child.id()];
        let mut at = 0;
        while let Some(&pid) = pids.get(at) {
            // proc_pid_task_children(5): children belong to the thread that made them.
            let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
            for task in tasks {
                let children = fs::read_to_string(task.path().join("children")).unwrap_or_default();
                pids.extend(children.split_whitespace().filter_map(|word| word.parse::<u32>().ok()));
            }
            at += 1;
        }
        pids
    }

    /// CPU nanoseconds of all of them.
    pub fn cpu_ns(&self) -> u64 {
        self.pids().into_iter().map(process_cpu_ns).sum()
    }

    /// Memory that is theirs: each page over the number of processes that share it (Pss of smaps_rollup, proc_pid_smaps(5)).
    pub fn memory_kib(&self) -> u64 {
        let field = |pid| field_kib(&format!("/proc/{pid}/smaps_rollup"), "Pss:");
        self.pids().into_iter().map(field).sum()
    }

    /// Most memory that each had resident, added up.
    pub fn rss_peak_kib(&self) -> u64 {
        self.pids().into_iter().map(|pid| field_kib(&format!("/proc/{pid}/status"), "VmHWM:")).sum()
    }

    /// SIGTERM, and SIGKILL for one that does not obey in time.
    pub fn stop(mut self) -> Result<(), String> {
        // SAFETY: the child is ours and not yet waited for, so the id is its own.
        unsafe { libc::kill(self.child.id() as libc::pid_t, libc::SIGTERM) };
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            if let Ok(Some(_)) = self.child.try_wait() {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        Err("the server did not end on SIGTERM".to_string())
    }

    /// Asks until there is an answer: a listener alone says nothing of the processes behind it. Gives the microseconds that it took.
    fn wait_until_ready(&mut self, kind: Kind, addr: SocketAddr) -> Result<u64, String> {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(format!("the server ended at once: {status}"));
            }
            let ready = match kind {
                Kind::Udp => answers_datagram(addr),
                Kind::Echo => echoes(addr),
                Kind::Http => ping::connect(addr).map(drop),
            };
            match ready {
                Ok(()) => return Ok(begun.elapsed().as_micros() as u64),
                Err(error) if error.kind() == io::ErrorKind::InvalidData => return Err(error.to_string()),
                // It will be there in a moment.
                Err(_) => {}
            }
            std::thread::sleep(Duration::from_micros(200));
        }
        Err("the server gave no answer".to_string())
    }
}

/// What a new process does before it becomes the program.
pub fn prepare(command: &mut Command, cores: &[usize], realtime: bool) {
    let cores = cores.to_vec();
    let before = move || pin_to(&cores).and_then(|()| if realtime { run_first() } else { Ok(()) });
    // SAFETY: between fork and exec only sched_setaffinity(2) and sched_setscheduler(2) are called, on memory of the stack; the
    // list of cores is read, not changed.
    unsafe { command.pre_exec(before) };
}

fn echoes(addr: SocketAddr) -> io::Result<()> {
    let mut stream = TcpStream::connect(addr)?;
    stream.set_read_timeout(Some(Duration::from_millis(500)))?;
    stream.write_all(b"ready?")?;
    stream.read_exact(&mut [0; 6])
}

fn answers_datagram(addr: SocketAddr) -> io::Result<()> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    socket.set_read_timeout(Some(Duration::from_millis(50)))?;
    socket.connect(addr)?;
    socket.send(b"ready?")?;
    socket.recv(&mut [0; 16]).map(drop)
}

/// The number behind `name` in a file of `/proc`; 0 where there is none.
fn field_kib(path: &str, name: &str) -> u64 {
    let text = fs::read_to_string(path).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

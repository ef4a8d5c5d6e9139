//! A program that this one starts, watches and ends: kept to its cores, and never alive after the thread that started it.
//!
//! Never reads what the program says: its pipes are the caller's. It has a process group of its own, so that Ctrl-C on a terminal comes
//! to us alone, and the kernel kills it when the thread that started it ends, whatever that died of (`PR_SET_PDEATHSIG`,
//! prctl(2)). What it cost comes from clock_getcpuclockid(3), proc_pid_status(5) and wait4(2); the parser is pure.

use std::fs;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStderr, ChildStdout, Command};
use std::thread;
use std::time::{Duration, Instant};

/// A program that runs, or has ended and was not waited for. Dropped, it is killed.
#[derive(Debug)]
pub struct Process {
    child: Child,
    ended: Option<Ended>,
}

/// How a program ended, and what the kernel counted of all its threads, those that ended before it too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    /// Its exit code; `None` where a signal ended it.
    pub code: Option<i32>,
    /// Times that a thread waited and another ran instead.
    pub switches_voluntary: u64,
    /// Times that a thread was made to let another run.
    pub switches_involuntary: u64,
}

/// What a program has at a moment (proc_pid_status(5)).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Holds {
    /// Threads.
    pub threads: u64,
    /// Bytes of memory that are not in a file: heap, stacks, and what it shares with the kernel.
    pub own_bytes: u64,
    /// Bytes in memory, all together.
    pub resident_bytes: u64,
}

impl Process {
    /// Starts `command` on `cores`, which is not empty and whose cores exist. No signal is blocked in it. Errors: as of fork(2),
    /// sched_setaffinity(2) and execve(2).
    pub fn start(command: &mut Command, cores: &[usize]) -> io::Result<Process> {
        // SAFETY: cpu_set_t is an array of integers, for which zero is a value.
        let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
        for core in cores {
            assert!(*core < libc::CPU_SETSIZE as usize, "core {core} cannot be named");
            // SAFETY: `core` lies within the set, as was asserted.
            unsafe { libc::CPU_SET(*core, &mut set) };
        }
        // SAFETY: getpid(2) takes nothing and cannot fail.
        let parent = unsafe { libc::getpid() };
        let prepare = move || leash(&set, parent);
        // SAFETY: between fork and exec only async-signal-safe calls are made, on values of this closure: it takes no lock and
        // allocates nothing (signal-safety(7)).
        unsafe { command.pre_exec(prepare) };
        Ok(Process { child: command.process_group(0).spawn()?, ended: None })
    }

    /// Its number.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Its standard output, if that is a pipe and nobody has taken it.
    pub fn stdout(&mut self) -> Option<ChildStdout> {
        self.child.stdout.take()
    }

    /// Its standard error, in the same way.
    pub fn stderr(&mut self) -> Option<ChildStderr> {
        self.child.stderr.take()
    }

    /// Nanoseconds that all its threads have run so far, exact to the moment also while they run: `utime` of proc_pid_stat(5) counts
    /// in hundredths of a second. `None` once it has ended.
    pub fn cpu_ns(&self) -> Option<u64> {
        let mut clock: libc::clockid_t = 0;
        // SAFETY: `clock` is a live clockid_t that clock_getcpuclockid(3) fills; it keeps no pointer to it.
        if unsafe { libc::clock_getcpuclockid(self.pid(), &raw mut clock) } != 0 {
            return None;
        }
        let mut ran = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: `ran` is a live timespec that clock_gettime(2) fills; it keeps no pointer to it.
        let result = unsafe { libc::clock_gettime(clock, &raw mut ran) };
        (result == 0).then(|| ran.tv_sec as u64 * 1_000_000_000 + ran.tv_nsec as u64)
    }

    /// What it has now. `None` once it has ended.
    pub fn holds(&self) -> Option<Holds> {
        parse_status(&fs::read_to_string(format!("/proc/{}/status", self.id())).ok()?)
    }

    /// Whether it has ended, and how.
    pub fn has_ended(&mut self) -> io::Result<Option<Ended>> {
        if self.ended.is_none() {
            self.ended = self.wait(libc::WNOHANG)?;
        }
        Ok(self.ended)
    }

    /// Waits until it has ended, for no longer than `patience`; `None` where it runs still.
    pub fn wait_for(&mut self, patience: Duration) -> io::Result<Option<Ended>> {
        let until = Instant::now() + patience;
        loop {
            match self.has_ended()? {
                None if Instant::now() < until => thread::sleep(LOOK),
                ended => return Ok(ended),
            }
        }
    }

    /// Asks it to end (SIGTERM), waits, and kills it when it has not ended after `patience`.
    pub fn end(&mut self, patience: Duration) -> io::Result<Ended> {
        if self.has_ended()?.is_none() {
            self.signal(libc::SIGTERM);
        }
        if let Some(ended) = self.wait_for(patience)? {
            return Ok(ended);
        }
        self.signal(libc::SIGKILL);
        self.ended = self.wait(0)?;
        Ok(self.ended.expect("a wait that may block ends with the process"))
    }

    /// Must not be called for one that was waited for: its number may be another's.
    fn signal(&self, number: libc::c_int) {
        assert!(self.ended.is_none(), "it was waited for");
        // SAFETY: kill(2) takes no pointer, and the process is a child that nobody has waited for, so the number is its own.
        unsafe { libc::kill(self.pid(), number) };
    }

    fn wait(&self, options: libc::c_int) -> io::Result<Option<Ended>> {
        let mut status = 0;
        // SAFETY: rusage is plain integers, for which zero is a value.
        let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
        loop {
            // SAFETY: both places live through the call, and wait4(2) keeps no pointer to them.
            match unsafe { libc::wait4(self.pid(), &raw mut status, options, &raw mut usage) } {
                0 => return Ok(None),
                pid if pid > 0 => break,
                _ => match io::Error::last_os_error() {
                    error if error.kind() == io::ErrorKind::Interrupted => {}
                    error => return Err(error),
                },
            }
        }
        Ok(Some(Ended {
            code: libc::WIFEXITED(status).then(|| libc::WEXITSTATUS(status)),
            switches_voluntary: usage.ru_nvcsw as u64,
            switches_involuntary: usage.ru_nivcsw as u64,
        }))
    }

    fn pid(&self) -> libc::pid_t {
        self.child.id() as libc::pid_t
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Ok(None) = self.has_ended() {
            self.signal(libc::SIGKILL);
            let _ = self.wait(0);
        }
    }
}

/// What the new process does before it becomes the program.
fn leash(set: &libc::cpu_set_t, parent: libc::pid_t) -> io::Result<()> {
    // SAFETY: sigset_t is plain integers, for which zero is a value.
    let mut none: libc::sigset_t = unsafe { std::mem::zeroed() };
    // SAFETY: the first call initializes the set that lives here, and the others only read what lives through them.
    let results = unsafe {
        [
            libc::sigemptyset(&raw mut none),
            libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut()),
            libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), set),
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL),
        ]
    };
    if results.iter().any(|result| *result != 0) {
        return Err(io::Error::last_os_error());
    }
    // The parent may have ended before the kernel was told what to do then.
    // SAFETY: getppid(2) takes nothing and cannot fail.
    if unsafe { libc::getppid() } != parent { Err(io::Error::from_raw_os_error(libc::ESRCH)) } else { Ok(()) }
}

/// `None` where the process has no memory any more: it has ended and was not waited for.
fn parse_status(status: &str) -> Option<Holds> {
    let number = |name: &str| {
        let rest = status.lines().find_map(|line| line.strip_prefix(name))?;
        rest.split_whitespace().next()?.parse::<u64>().ok()
    };
    let bytes = |name: &str| number(name).map(|kib| kib * 1024);
    Some(Holds {
        threads: number("Threads:")?,
        own_bytes: bytes("RssAnon:")? + bytes("RssShmem:")?,
        resident_bytes: bytes("VmRSS:")?,
    })
}

/// How often a wait with an end looks.
const LOOK: Duration = Duration::from_millis(1);

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::process::Stdio;

    fn shell(script: &str) -> Process {
        let core = crate::cpu::allowed().expect("a thread runs somewhere")[0];
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]).stdin(Stdio::null()).stdout(Stdio::piped());
        Process::start(&mut command, &[core]).expect("a shell")
    }

    /// What it says until it ends, or says a line.
    fn line(process: &mut Process) -> String {
        let (mut out, mut line) = (process.stdout().expect("a pipe"), String::new());
        let mut byte = [0];
        while !line.ends_with('\n') && out.read(&mut byte).expect("it can be read") > 0 {
            line.push(byte[0].into());
        }
        line
    }

    #[test]
    fn a_program_runs_on_its_core_in_a_group_of_its_own() {
        let mut process = shell("grep Cpus_allowed_list /proc/self/status; exit 3");
        let core = crate::cpu::allowed().expect("a thread runs somewhere")[0];
        assert_eq!(line(&mut process).split_whitespace().nth(1), Some(core.to_string().as_str()));
        process.ended = process.wait(0).expect("a child of ours");
        assert_eq!(process.end(Duration::ZERO).expect("it has ended").code, Some(3));
        assert_eq!(process.cpu_ns(), None, "one that was waited for has no clock");
    }

    #[test]
    fn a_program_that_waits_is_asked_to_end_and_one_that_does_not_obey_is_killed() {
        let mut obeys = shell("trap 'exit 7' TERM; echo ready; while :; do :; done");
        assert_eq!(line(&mut obeys), "ready\n");
        assert!(obeys.has_ended().expect("a child of ours").is_none());
        let holds = obeys.holds().expect("it runs");
        assert!(holds.threads == 1 && holds.resident_bytes >= holds.own_bytes, "{holds:?}");
        assert!(obeys.cpu_ns().is_some_and(|ns| ns > 0));
        assert_eq!(obeys.end(Duration::from_secs(60)).expect("a child of ours").code, Some(7));
        let mut deaf = shell("trap '' TERM; echo ready; while :; do :; done");
        assert_eq!(line(&mut deaf), "ready\n");
        assert_eq!(deaf.end(Duration::ZERO).expect("a child of ours").code, None);
    }

    #[test]
    fn a_program_does_not_outlive_the_thread_that_started_it() {
        let start = || shell("echo ready; while :; do :; done");
        let mut orphan = thread::spawn(start).join().expect("it starts one");
        // Killed by the kernel; a wait without an end is how this test would fail.
        assert_eq!(orphan.wait(0).expect("a child of ours").map(|ended| ended.code), Some(None));
        orphan.ended = Some(Ended { code: None, switches_voluntary: 0, switches_involuntary: 0 });
    }

    #[test]
    fn the_status_of_a_process_without_memory_says_nothing() {
        let status = "Name:\tx\nVmRSS:\t   4608 kB\nRssAnon:\t  96 kB\nRssShmem:\t  4 kB\nThreads:\t3\n";
        let holds = Holds { threads: 3, own_bytes: 100 * 1024, resident_bytes: 4608 * 1024 };
        assert_eq!(parse_status(status), Some(holds));
        assert_eq!(parse_status("Name:\tx\nState:\tZ (zombie)\nThreads:\t1\n"), None);
    }
}

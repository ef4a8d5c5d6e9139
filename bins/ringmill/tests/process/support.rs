//! A real `ringmill` process, started on free ports and spoken to as a user would.
//!
//! Nothing here sleeps: a test waits for a line, an answer, a datagram or the end of the process.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use std::{env, fs};

/// The program that is tested.
pub(crate) fn ringmill() -> Command {
    Command::new(env!("CARGO_BIN_EXE_ringmill"))
}

/// A run that ends by itself.
pub(crate) fn run(args: &[&str]) -> Output {
    ringmill().args(args).output().expect("ringmill starts")
}

/// What a program that ended said: exit code, standard output, standard error.
pub(crate) fn said(output: Output) -> (Option<i32>, String, String) {
    let text = |bytes| String::from_utf8(bytes).expect("ringmill prints text");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// A refusal is one line that says what, and one that says what to try.
pub(crate) fn check_refusal(output: Output, code: i32, what: &str, cure: &str) {
    let (exit, out, err) = said(output);
    let lines: Vec<&str> = err.lines().collect();
    assert_eq!((exit, out.as_str()), (Some(code), ""), "{err}");
    assert!(
        matches!(lines[..], [first, second] if first.starts_with("ringmill: ")
        && first.contains(what) && second.trim_start().starts_with("Try ") && second.contains(cure)),
        "{err}"
    );
}

/// A process that serves. Dropped, it is killed.
pub(crate) struct Server {
    child: Child,
    out: BufReader<ChildStdout>,
    /// The start table.
    pub(crate) table: String,
}

impl Server {
    /// Starts `command` and reads its start table to the end. Panics with what it said instead.
    pub(crate) fn start(command: &mut Command) -> Server {
        let piped = command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = piped.spawn().expect("ringmill starts");
        let out = BufReader::new(child.stdout.take().expect("it was piped"));
        let mut server = Server { child, out, table: String::new() };
        server.table = server.read_until("Ctrl-C");
        server
    }

    /// Starts with these listeners and flags.
    pub(crate) fn with(args: &[&str]) -> Server {
        Server::start(ringmill().args(args))
    }

    /// What it prints up to and with the line that starts with `last`.
    pub(crate) fn read_until(&mut self, last: &str) -> String {
        let mut text = String::new();
        loop {
            let start = text.len();
            if self.out.read_line(&mut text).expect("ringmill prints text") == 0 {
                let mut err = String::new();
                let stderr = self.child.stderr.as_mut().expect("it was piped");
                stderr.read_to_string(&mut err).expect("ringmill prints text");
                panic!("ringmill ended before it said `{last}`:\n{text}{err}");
            }
            if text[start..].starts_with(last) {
                return text;
            }
        }
    }

    /// The bound address of the first listener of this scheme.
    pub(crate) fn address(&self, scheme: &str) -> SocketAddr {
        let start = format!("{scheme}://");
        let url = self.table.split_whitespace().find_map(|word| word.strip_prefix(&start));
        let url = url.unwrap_or_else(|| panic!("no {scheme} in\n{}", self.table));
        url.split('?').next().expect("split gives one part").parse().expect("a bound address")
    }

    /// A connection to the first listener of this scheme.
    pub(crate) fn connect(&self, scheme: &str) -> TcpStream {
        connect(self.address(scheme))
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal by its name.
    pub(crate) fn signal(&self, name: &str) {
        let script = format!("kill -{name} {}", self.pid());
        let status = Command::new("/bin/sh").args(["-c", &script]).status().expect("a shell");
        assert!(status.success(), "{script}");
    }

    /// Waits for the end: how it ended, and what it printed after the start table.
    pub(crate) fn wait(mut self) -> (ExitStatus, String) {
        let mut rest = String::new();
        self.out.read_to_string(&mut rest).expect("ringmill prints text");
        (self.child.wait().expect("a child of ours"), rest)
    }

    /// Asks it to end again and again until it does.
    pub(crate) fn insist(mut self) -> (ExitStatus, String) {
        while self.child.try_wait().expect("a child of ours").is_none() {
            self.signal("TERM");
        }
        self.wait()
    }

    /// Asks it to end and waits: what it said on standard error.
    pub(crate) fn terminate_for_errors(mut self) -> String {
        self.signal("TERM");
        let mut err = String::new();
        let stderr = self.child.stderr.as_mut().expect("it was piped");
        stderr.read_to_string(&mut err).expect("ringmill prints text");
        err
    }

    /// Asks it to end and waits.
    pub(crate) fn terminate(self) -> (ExitStatus, String) {
        self.signal("TERM");
        self.wait()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// A connection on which nothing waits for ever: a hang becomes a failure that names its line.
pub(crate) fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("a listener");
    stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a timeout");
    stream
}

/// Asks on a connection of its own and returns the whole answer.
pub(crate) fn get(address: SocketAddr, path: &str) -> String {
    let mut stream = connect(address);
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("the server reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("the server answers");
    answer
}

/// Sends on an echo connection and checks what comes back.
pub(crate) fn check_echo(stream: &mut TcpStream, message: &[u8]) {
    stream.write_all(message).expect("the server reads");
    let mut back = vec![0; message.len()];
    stream.read_exact(&mut back).expect("the server echoes");
    assert_eq!(back, message);
}

/// A directory of one test, removed with it.
pub(crate) struct Home(PathBuf);

impl Home {
    pub(crate) fn new() -> Home {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = env::temp_dir().join(format!("ringmill-test-{}-{count}", std::process::id()));
        fs::create_dir_all(&path).expect("a directory of our own");
        Home(path)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> String {
        fs::write(self.path(name), text).expect("a file of our own");
        self.path(name).display().to_string()
    }

    /// The program where every user may run it: the build may stand in a home that only its owner can enter.
    pub(crate) fn program(&self) -> PathBuf {
        let copy = self.path("ringmill");
        // By another process: one that this one forks meanwhile would have the copy open for writing, and it could not be run.
        let status = Command::new("cp").arg(env!("CARGO_BIN_EXE_ringmill")).arg(&copy).status();
        assert!(status.expect("cp(1)").success(), "the program was built");
        for path in [Path::new(&self.0), &copy] {
            fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("files of our own");
        }
        copy
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}

/// Whether the tests run as root.
pub(crate) fn is_root() -> bool {
    fs::metadata("/proc/self").expect("proc is mounted").uid() == 0
}

/// A server on a free port with one shard, for tests that look at something else.
pub(crate) const SMALL: &[&str] =
    &["--listen", "http://127.0.0.1:0", "--listen", "echo://127.0.0.1:0", "--shards", "1"];

//! A real `ringmill-load` process, and servers for it that are threads of the test.
//!
//! Nothing here sleeps: a test waits for a line or for the end of the process. How good the figures are is the machine's affair, so
//! no test asks for a verdict: it asks that the exit code is that of the verdict.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, ChildStderr, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::{env, fs, io, thread};

use serde_json::Value;

/// The program that is tested.
pub(crate) fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_ringmill-load"))
}

/// A run that ends by itself: exit code, standard output, standard error.
pub(crate) fn run(args: &[&str]) -> (Option<i32>, String, String) {
    said(program().args(args).output().expect("the program starts"))
}

/// What a program that ended said.
pub(crate) fn said(output: Output) -> (Option<i32>, String, String) {
    let text = |bytes| String::from_utf8(bytes).expect("it prints text");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// A refusal is one line that says what, and one that says what to try.
pub(crate) fn check_refusal(said: (Option<i32>, String, String), code: i32, what: &str, cure: &str) {
    let (exit, out, err) = said;
    let lines: Vec<&str> = err.lines().collect();
    assert_eq!((exit, out.as_str()), (Some(code), ""), "{err}");
    let [first, second] = lines[..] else { panic!("{err}") };
    assert!(first.starts_with("ringmill-load: ") && first.contains(what), "{err}");
    assert!(second.starts_with("               Try ") && second.contains(cure), "{err}");
}

/// A short load of `url` with these flags, and its result: what the process said is checked against it.
pub(crate) fn measure(url: &str, flags: &[&str]) -> Value {
    let short = ["--duration", "300ms", "--warmup", "0", "-c", "4", "--shards", "1", "--json", "-"];
    let output = program().arg(url).args(short).args(flags).output();
    let (code, out, err) = said(output.expect("the program starts"));
    let result: Value = serde_json::from_str(&out).unwrap_or_else(|why| panic!("{why}: {out}{err}"));
    assert_eq!(code, Some(exit_code(&result)), "{err}");
    result
}

/// The exit code that goes with the verdict of a result.
pub(crate) fn exit_code(result: &Value) -> i32 {
    match result["verdict"]["state"].as_str() {
        Some("valid") => 0,
        Some("degraded") => 3,
        Some("invalid") => 4,
        other => panic!("{other:?}"),
    }
}

/// A server whose connections are each answered by `serve`, until the test ends.
pub(crate) fn serve(serve: impl Fn(TcpStream) + Copy + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || serve(stream));
        }
    });
    address
}

/// Bytes come back.
pub(crate) fn echo(stream: TcpStream) {
    let _ = io::copy(&mut &stream, &mut &stream);
}

/// Everything is read and nothing is said.
pub(crate) fn silent(stream: TcpStream) {
    let _ = io::copy(&mut &stream, &mut io::sink());
}

/// Every request, whatever it is, is answered with 200 and `ok`.
pub(crate) fn http(stream: TcpStream) {
    answer(&stream, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
}

/// Every request head is answered with these bytes.
pub(crate) fn answer(mut stream: &TcpStream, bytes: &[u8]) {
    let mut lines = BufReader::new(stream).lines();
    while let Some(Ok(line)) = lines.next() {
        if line.is_empty() && stream.write_all(bytes).is_err() {
            return;
        }
    }
}

/// A process that runs until it is told to end. Dropped, it is killed.
pub(crate) struct Running {
    child: Child,
    err: BufReader<ChildStderr>,
}

impl Running {
    /// Starts with these flags.
    pub(crate) fn start(args: &[&str]) -> Running {
        let mut command = program();
        let piped = command.args(args).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = piped.spawn().expect("the program starts");
        let err = BufReader::new(child.stderr.take().expect("it was piped"));
        Running { child, err }
    }

    /// Its number.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for a line of progress that has `part` in it.
    pub(crate) fn wait_for(&mut self, part: &str) {
        let mut line = String::new();
        while !line.contains(part) {
            line.clear();
            assert!(self.err.read_line(&mut line).expect("it prints text") > 0, "ended before `{part}`");
        }
    }

    /// Sends it the signal of Ctrl-C.
    pub(crate) fn interrupt(&self) {
        let script = format!("kill -INT {}", self.child.id());
        let status = Command::new("/bin/sh").args(["-c", &script]).status().expect("a shell");
        assert!(status.success(), "{script}");
    }

    /// Waits for its end: exit code, standard output, the rest of standard error.
    pub(crate) fn end(mut self) -> (Option<i32>, String, String) {
        let (mut out, mut err) = (String::new(), String::new());
        self.child.stdout.take().expect("it was piped").read_to_string(&mut out).expect("it prints text");
        self.err.read_to_string(&mut err).expect("it prints text");
        (self.child.wait().expect("a child of ours").code(), out, err)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// A directory of one test, removed with it.
pub(crate) struct Home(PathBuf);

impl Home {
    pub(crate) fn new() -> Home {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = env::temp_dir().join(format!("ringmill-load-test-{}-{count}", std::process::id()));
        fs::create_dir_all(&path).expect("a directory of our own");
        Home(path)
    }

    /// A file in it, as an argument.
    pub(crate) fn path(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.0.join(name)).unwrap_or_else(|why| panic!("{name}: {why}"))
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> String {
        fs::write(self.0.join(name), text).expect("a file of our own");
        self.path(name)
    }

    /// What is in it, by name.
    pub(crate) fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).expect("a directory of our own").flatten();
        let mut names: Vec<String> =
            entries.map(|entry| entry.file_name().to_string_lossy().into()).collect();
        names.sort();
        names
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}

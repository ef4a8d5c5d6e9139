//! The load that the flags ask for.

use std::net::SocketAddrV4;

use floor::args::{Args, quit};

/// What is spoken.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Echo,
    Http,
    Udp,
}

/// One run's flags.
pub struct Load {
    pub mode: Mode,
    pub addr: SocketAddrV4,
    /// `None` to run wherever the scheduler likes.
    pub core: Option<usize>,
    pub connections: usize,
    /// Messages outstanding on each connection.
    pub depth: u32,
    /// Bytes of a message; HTTP requests are what they are.
    pub size: usize,
    pub seconds: f64,
    pub warmup_ms: u64,
    /// Whose CPU time is read at both ends of the measured time: all processes of the server.
    pub server_pids: Vec<u32>,
    /// Receive and compare every byte instead of discarding.
    pub verify: bool,
    /// Watch the queues instead of waiting in the kernel.
    pub spin: bool,
}

impl Load {
    /// Reads the command line.
    pub fn from_args() -> Self {
        let mut args = Args::from_env();
        let mode = match args.parse("--mode", "echo".to_string()).as_str() {
            "echo" => Mode::Echo,
            "http" => Mode::Http,
            "udp" => Mode::Udp,
            other => quit(&format!("--mode {other}: echo, http or udp")),
        };
        let core = match args.parse("--core", "1".to_string()).as_str() {
            "any" => None,
            number => Some(number.parse().unwrap_or_else(|_| quit("--core: a number or any"))),
        };
        let pids = args.parse("--server-pids", String::new());
        let pid =
            |word: &str| word.parse().unwrap_or_else(|_| quit("--server-pids: numbers with commas between"));
        let load = Self {
            mode,
            addr: args.parse("--addr", "127.0.0.1:7100".parse().expect("an address")),
            core,
            connections: args.parse("--connections", 64),
            depth: args.parse("--depth", 1),
            size: args.parse("--size", 64),
            seconds: args.parse("--seconds", 1.5),
            warmup_ms: args.parse("--warmup-ms", 300),
            server_pids: pids.split(',').filter(|word| !word.is_empty()).map(pid).collect(),
            verify: args.switch("--verify"),
            spin: args.switch("--spin"),
        };
        args.finish();
        if load.depth == 0 || load.connections == 0 || (load.size == 0 && mode != Mode::Http) {
            quit("--depth, --connections and --size begin at 1");
        }
        load
    }
}

//! A server of every kind of listener on one unpinned seat, and a client that reads answers.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

use service::any::{Any, Config, Kind};
use service::{http, udp_echo};
use shard::engine::uring;
use shard::meter::{Board, Snapshot};
use shard::plan::{Control, Listen, Plan, Running, Transport};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

/// The server. Its ports are the kernel's choice.
pub struct Rig {
    running: Running,
}

const SITE: usize = 0;
const ADMIN: usize = 1;
const ECHO: usize = 2;
const UDP_ECHO: usize = 3;

/// What the admin pages say of the engine in tests that are not about it.
const ENGINE: service::metrics::Engine = service::metrics::Engine { name: "uring", instead_of: None };

impl Rig {
    pub fn new() -> Rig {
        Rig::with(|_| {}, udp_echo::Config::default())
    }

    /// A server whose site is changed before it starts.
    pub fn with(change: impl FnOnce(&mut http::Config), udp: udp_echo::Config) -> Rig {
        let any_port = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut site = http::Config::site(any_port, false, &[]);
        change(&mut site);
        let admin = http::Config::admin(any_port, &[], "{}".into(), ENGINE);
        let kinds =
            vec![Kind::Http(Box::new(site)), Kind::Http(Box::new(admin)), Kind::Echo, Kind::UdpEcho(udp)];
        let config = Config::new(kinds);
        let listen = |transport, late| Listen {
            transport,
            address: any_port,
            v6only: false,
            seat: None,
            late,
            refusal: None,
        };
        let listeners = vec![
            listen(Transport::Tcp, false),
            listen(Transport::Tcp, true),
            listen(Transport::Tcp, false),
            listen(Transport::Udp, false),
        ];
        let plan = Plan { listeners, ..Plan::default() };
        let seats = config.clone();
        let make = move |_: u16, _: &Arc<Board>| Any::new(seats.clone());
        let running = uring::start(plan, Control::default(), make).expect("the engine starts");
        config.set_bound(running.addresses());
        Rig { running }
    }

    pub fn site(&self) -> Client {
        Client::connect(self.running.addresses()[SITE])
    }

    pub fn admin(&self) -> Client {
        Client::connect(self.running.addresses()[ADMIN])
    }

    pub fn echo(&self) -> TcpStream {
        TcpStream::connect(self.running.addresses()[ECHO]).expect("the server listens")
    }

    pub fn udp_echo(&self) -> SocketAddr {
        self.running.addresses()[UDP_ECHO]
    }

    pub fn counts(&self) -> Snapshot {
        self.running.board().total()
    }

    pub fn drain(&self) {
        self.running.control().drain();
    }

    /// Drains, waits for the end, and makes sure that nothing was left behind.
    pub fn end(self) -> Snapshot {
        self.drain();
        let report = self.running.join();
        for seat in &report.seats {
            assert_eq!((seat.in_flight_at_exit, seat.buffers_lent_at_exit), (0, 0));
        }
        report.seats.iter().map(|seat| seat.counts).sum()
    }
}

/// One HTTP connection.
pub struct Client {
    stream: BufReader<TcpStream>,
}

/// One answer.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    /// The head without the status line, `Date` left out.
    pub headers: Vec<String>,
    pub body: Vec<u8>,
}

impl Client {
    pub fn connect(address: SocketAddr) -> Client {
        Client { stream: BufReader::new(TcpStream::connect(address).expect("the server listens")) }
    }

    pub fn stream(&mut self) -> &mut TcpStream {
        self.stream.get_mut()
    }

    /// Sends; a server that has closed already is no failure of the client.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Client {
        let _closed = self.stream.get_mut().write_all(bytes.as_ref());
        self
    }

    /// Reads the answer to a request that is not HEAD.
    pub fn answer(&mut self) -> Answer {
        self.answer_of(false).expect("an answer comes")
    }

    /// Reads an answer; `None` when the connection ends instead.
    pub fn answer_of(&mut self, head: bool) -> Option<Answer> {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            if self.stream.read_line(&mut line).expect("the connection is not reset") == 0 {
                assert!(lines.is_empty(), "a head ends with its empty line: {lines:?}");
                return None;
            }
            let line = line.strip_suffix("\r\n").expect("lines end with CR LF");
            if line.is_empty() {
                break;
            }
            lines.push(line.to_owned());
        }
        let status =
            lines.remove(0).split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status line");
        let value = |name: &str| lines.iter().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
        let body = match (value("Content-Length: "), value("Transfer-Encoding: ")) {
            _ if head || status == 100 || status == 204 => Vec::new(),
            (Some(length), None) => self.read(length.parse().expect("a length is a number")),
            (None, Some(coding)) if coding == "chunked" => self.chunks(),
            other => panic!("no framing: {other:?}"),
        };
        let dates = lines.iter().filter(|line| line.starts_with("Date: ")).count();
        assert_eq!(dates, usize::from(status != 100), "{lines:?}");
        lines.retain(|line| !line.starts_with("Date: "));
        Some(Answer { status, headers: lines, body })
    }

    /// Whether the server has closed the connection, and said nothing more.
    pub fn is_closed(&mut self) -> bool {
        matches!(self.stream.read(&mut [0]), Ok(0))
    }

    fn read(&mut self, bytes: usize) -> Vec<u8> {
        let mut body = vec![0; bytes];
        self.stream.read_exact(&mut body).expect("a body comes whole");
        body
    }

    fn chunks(&mut self) -> Vec<u8> {
        let mut body = Vec::new();
        loop {
            let mut size = String::new();
            self.stream.read_line(&mut size).expect("a chunk begins with its size");
            let size = usize::from_str_radix(size.trim_end(), 16).expect("a size is hexadecimal");
            body.extend(self.read(size));
            assert_eq!(self.read(2), b"\r\n");
            if size == 0 {
                return body;
            }
        }
    }
}

impl Answer {
    /// Whether a header line stands in the head.
    pub fn has(&self, line: &str) -> bool {
        self.headers.iter().any(|found| found == line)
    }

    pub fn text(&self) -> &str {
        str::from_utf8(&self.body).expect("a text body")
    }
}

/// `bytes` bytes that look random, the same for the same seed (an xorshift of 64 bits).
pub fn noise(seed: u64, bytes: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let words = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    words.flatten().take(bytes).collect()
}

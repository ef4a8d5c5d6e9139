//! What one load is: everything that is fixed before the first connection.

use super::http;
use stats::schedule::Arrivals;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// One load, as all its seats see it.
#[derive(Clone, Debug)]
pub struct Config {
    /// Whom to load.
    pub target: SocketAddr,
    /// What to say.
    pub talk: Talk,
    /// Addresses to come from, in turn; empty leaves it to the kernel.
    pub from: Vec<IpAddr>,
    /// Seats that share the load, at least 1.
    pub seats: u16,
    /// Connections (UDP: sockets) in all. Seat `i` has those whose number is `i` modulo `seats`.
    pub connections: u32,
    /// Requests outstanding on one connection, at most; at least 1.
    pub pipeline: u16,
    /// When to send.
    pub pace: Pace,
    /// Time before the measured one, under the same load.
    pub warmup: Duration,
    /// Measured time.
    pub duration: Duration,
    /// What becomes of an arrival that finds no connection free.
    pub late: Late,
    /// Arrivals that may wait for a connection, of one seat. When more do, those that have waited longest are given up and counted as
    /// overflowed; looked at every twentieth of the timeout, and at least ten times a second.
    pub waiting_max: u64,
    /// A request, or a connect, without an answer for so long has failed.
    pub timeout: Duration,
    /// How long a connection lives.
    pub life: Life,
    /// How a connection is closed.
    pub close: CloseBy,
    /// Connects a second, of all seats; `None` is as fast as they go.
    pub ramp_per_s: Option<f64>,
    /// Compare every byte of every answer.
    pub verify: bool,
    /// Of the schedule, the payloads and every choice.
    pub seed: u64,
}

/// What is said on a connection.
#[derive(Clone, Debug)]
pub enum Talk {
    /// Messages of so many bytes that come back on the same connection, at least 1.
    Echo {
        /// Of one message.
        bytes: usize,
    },
    /// Datagrams that come back, at least 1 byte and at most 65,507.
    UdpEcho {
        /// Of one datagram.
        bytes: usize,
    },
    /// HTTP/1.1 requests.
    Http(http::Request),
    /// DATA frames of Ringmill's framed protocol (docs/FRAME.md) that come back, behind a HELLO for each connection.
    Frame {
        /// Of one payload, 1 to 1,048,576.
        bytes: usize,
    },
}

/// When requests are sent.
#[derive(Clone, Debug)]
pub enum Pace {
    /// By a schedule, whatever the server does. The schedule begins with the warm-up.
    Open(Arrivals),
    /// Each as soon as a connection has room for it.
    Closed,
}

/// What becomes of an arrival that finds no connection free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Late {
    /// It waits for one and keeps its intended time.
    Queue,
    /// It is given up and counted.
    Drop,
}

/// How long a connection lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// As long as the load.
    Keep,
    /// For so many requests.
    Churn(u64),
    /// For so long.
    Time(Duration),
}

/// How a connection is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseBy {
    /// By FIN: this side then keeps the TIME_WAIT (RFC 9293 section 3.6).
    Fin,
    /// By a reset.
    Rst,
}

/// When the schedule of all seats begins, and whether it is to end early. Told once each, from any thread.
#[derive(Debug, Default)]
pub struct Gate {
    /// Nanoseconds of the seats' clock; 0 is not yet.
    begin_ns: AtomicU64,
    stop: AtomicU64,
}

impl Gate {
    /// The schedule begins at this time of the seats' clock (`CLOCK_MONOTONIC`), which is not 0.
    pub fn open(&self, at_ns: u64) {
        self.begin_ns.store(at_ns, Ordering::Release);
    }

    /// Nothing more is sent; what is outstanding is waited for until the timeout.
    pub fn stop(&self) {
        self.stop.store(1, Ordering::Release);
    }

    /// When the schedule begins, if that was said.
    pub fn begin_ns(&self) -> Option<u64> {
        Some(self.begin_ns.load(Ordering::Acquire)).filter(|ns| *ns > 0)
    }

    /// Whether the load is to end early.
    pub fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Acquire) != 0
    }
}

//! What a seat says of the connections that it holds: once a second, and at the end.

use stats::interval::Interval;
use std::ops::AddAssign;

/// Where a seat's figures go. Belongs to its seat's thread and must not block.
pub trait HoldSink {
    /// Every connection of the seat was tried once, and it waits for the gate. Called once.
    fn settled(&mut self, report: &Report);
    /// Another second has passed: what is so now, and the times of that second (`connect`; `response` of heartbeats), which are to be
    /// swapped for an empty interval.
    fn step(&mut self, report: &Report, step: &mut Box<Interval>);
    /// The hold is over and nothing more will come: `report.open` is what was open when it ended.
    /// `silences_ms` is how long each connection that fell silent on purpose had been so when the server ended it, in milliseconds.
    fn over(&mut self, report: &Report, step: &mut Box<Interval>, silences_ms: Vec<u32>);
}

/// What is so at a time, and what happened since the seat began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Nanoseconds since the seat began.
    pub at_ns: u64,
    /// Connections that are open.
    pub open: u64,
    /// Connects that are on their way.
    pub opening: u64,
    /// Connections that were opened, all in all.
    pub opened: u64,
    /// The same, at most once each.
    pub reached: u64,
    /// Connects that failed.
    pub refused: Reasons,
    /// Open connections that ended before this side ended them.
    pub lost: Reasons,
    /// Heartbeats.
    pub beats: BeatCounts,
    /// What frame connections did besides.
    pub frames: FrameCounts,
}

/// What happened on frame connections beside heartbeats.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FrameCounts {
    /// PINGs of the server that were answered.
    pub pongs: u64,
    /// ERROR frames of the server by their code; those of an unknown code stand at 0.
    pub errors: [u32; CODES],
    /// Frames that were sent to come back, those that did, those that did not.
    pub echoes: u64,
    /// See `echoes`.
    pub echoed: u64,
    /// See `echoes`.
    pub echoes_failed: u64,
    /// From the first to the end of the last; 0 until then.
    pub echoes_ns: u64,
    /// Connections that fell silent on purpose, and those of them that the server has ended since.
    pub muted: u64,
    /// See `muted`.
    pub found: u64,
}

/// Codes of ERROR, 0 included.
pub const CODES: usize = proto::frame::Refusal::ALL.len() + 1;

/// What became of heartbeats.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BeatCounts {
    /// Written.
    pub sent: u64,
    /// Answered as they should be.
    pub answered: u64,
    /// Not sent, because the one before it was not answered yet.
    pub late: u64,
    /// Answered with another class than 2.
    pub status: u64,
}

/// Why connections are not there, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reasons {
    /// Nobody listened, or would have it.
    pub refused: u64,
    /// The peer, or the network, reset it.
    pub reset: u64,
    /// The peer closed it.
    pub closed: u64,
    /// No answer in time: to the connect, or to a heartbeat.
    pub timeout: u64,
    /// An answer to a heartbeat that cannot be understood or is not what was sent.
    pub answer: u64,
    /// This process, or the system, has no descriptor for it (EMFILE, ENFILE).
    pub no_descriptor: u64,
    /// The source address has no port left for it (EADDRNOTAVAIL, EADDRINUSE).
    pub no_port: u64,
    /// The peer said ERROR.
    pub error: u64,
    /// The peer said GOAWAY.
    pub goaway: u64,
    /// The peer was silent for the agreed number of heartbeats.
    pub silent: u64,
    /// Anything else that the kernel said.
    pub other: u64,
}

impl Reasons {
    /// All of them.
    pub fn sum(&self) -> u64 {
        let Reasons { refused, reset, closed, timeout, answer, no_descriptor, no_port, .. } = self;
        let Reasons { error, goaway, silent, other, .. } = self;
        let said = error + goaway + silent;
        refused + reset + closed + timeout + answer + no_descriptor + no_port + said + other
    }
}

impl AddAssign for Reasons {
    fn add_assign(&mut self, more: Reasons) {
        self.refused += more.refused;
        self.reset += more.reset;
        self.closed += more.closed;
        self.timeout += more.timeout;
        self.answer += more.answer;
        self.no_descriptor += more.no_descriptor;
        self.no_port += more.no_port;
        self.error += more.error;
        self.goaway += more.goaway;
        self.silent += more.silent;
        self.other += more.other;
    }
}

impl AddAssign for Report {
    /// The sum of two seats; its time is the later one.
    fn add_assign(&mut self, more: Report) {
        self.at_ns = self.at_ns.max(more.at_ns);
        self.open += more.open;
        self.opening += more.opening;
        self.opened += more.opened;
        self.reached += more.reached;
        self.refused += more.refused;
        self.lost += more.lost;
        self.beats.sent += more.beats.sent;
        self.beats.answered += more.beats.answered;
        self.beats.late += more.beats.late;
        self.beats.status += more.beats.status;
        self.frames += more.frames;
    }
}

impl AddAssign for FrameCounts {
    /// The sum of two seats; the longer time.
    fn add_assign(&mut self, more: FrameCounts) {
        self.pongs += more.pongs;
        self.errors.iter_mut().zip(more.errors).for_each(|(sum, more)| *sum += more);
        self.echoes += more.echoes;
        self.echoed += more.echoed;
        self.echoes_failed += more.echoes_failed;
        self.echoes_ns = self.echoes_ns.max(more.echoes_ns);
        self.muted += more.muted;
        self.found += more.found;
    }
}

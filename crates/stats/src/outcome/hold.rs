//! What a hold of connections found, beyond what every result has.

use serde::{Deserialize, Serialize};

/// Connections that were held.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Hold {
    /// Connections that were open at least once.
    pub reached: u64,
    /// How long it took until each had been tried.
    pub opening_ns: u64,
    /// Connects that failed, by reason.
    pub refused: Losses,
    /// Open connections that ended before this side ended them, by reason.
    pub lost: Losses,
    /// What became of heartbeats.
    pub heartbeats: Heartbeats,
    /// By how much the memory of this process grew while connections were opened, buffers that all share included and the kernel's
    /// part not, for each that was open then; `null` under 10,000.
    pub bytes_per_connection: Option<f64>,
    /// How long it took to close all that was open at the end, to the last descriptor; `null` when it was cut short.
    #[serde(default)]
    pub closing_ns: Option<u64>,
    /// Connections that were open at the end of each second since the first connect.
    #[serde(default)]
    pub open_per_s: Vec<u64>,
    /// What frame connections did beside their heartbeats; stands in holds of `frame://` only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frames: Option<Frames>,
}

/// What frame connections did beside their heartbeats.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Frames {
    /// PINGs of the server that were answered.
    pub pongs: u64,
    /// ERROR frames of the server, by code (docs/FRAME.md); those of an unknown code count as 0.
    pub errors: Vec<CodeCount>,
    /// The one frame of each connection that had to come back; `null` where it was not asked for.
    pub echo: Option<Echoes>,
    /// Connections that fell silent without being closed; `null` where that was not asked for.
    pub muted: Option<Muted>,
}

/// How often the server said an ERROR.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CodeCount {
    /// Its code.
    pub code: u32,
    /// How often.
    pub count: u64,
}

/// One frame of each connection that had to come back, byte by byte.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Echoes {
    /// Frames that were sent, one on each connection that was open then.
    pub sent: u64,
    /// That came back as they were sent.
    pub answered: u64,
    /// That did not, or not in time, or whose connection was lost meanwhile.
    pub failed: u64,
    /// From the first frame to the end of the last; 0 when the hold ended before that.
    pub took_ns: u64,
}

/// Connections that fell silent: they neither sent nor answered anything, and were not closed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Muted {
    /// How many fell silent.
    pub muted: u64,
    /// How many of them the server had ended when the hold ended.
    pub found: u64,
    /// After how long a silence, the shortest; `null` when none was found. To the millisecond.
    pub silent_min_ns: Option<u64>,
    /// The median.
    pub silent_p50_ns: Option<u64>,
    /// The longest.
    pub silent_max_ns: Option<u64>,
}

/// Why connections are not there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Losses {
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
    /// No descriptor was left.
    pub no_descriptor: u64,
    /// The source address had no port left.
    pub no_port: u64,
    /// The peer said ERROR.
    #[serde(default)]
    pub error: u64,
    /// The peer said GOAWAY.
    #[serde(default)]
    pub goaway: u64,
    /// The peer was silent for the agreed number of heartbeats.
    #[serde(default)]
    pub silent: u64,
    /// Anything else that the kernel said.
    pub other: u64,
}

impl Losses {
    /// Each with its name in the file.
    pub fn each(&self) -> [(&'static str, u64); 11] {
        let Losses { refused, reset, closed, timeout, answer, no_descriptor, no_port, .. } = *self;
        let Losses { error, goaway, silent, other, .. } = *self;
        [
            ("refused", refused),
            ("reset", reset),
            ("closed", closed),
            ("timeout", timeout),
            ("answer", answer),
            ("no_descriptor", no_descriptor),
            ("no_port", no_port),
            ("error", error),
            ("goaway", goaway),
            ("silent", silent),
            ("other", other),
        ]
    }
}

/// What became of heartbeats. Their response times are the result's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heartbeats {
    /// From one to the next on the same connection; `null` where there were none.
    pub every_ns: Option<u64>,
    /// Written.
    pub sent: u64,
    /// Answered as they should be.
    pub answered: u64,
    /// Not sent, because the one before it was not answered yet.
    pub late: u64,
    /// Answered with an HTTP status of another class than 2.
    pub status: u64,
}

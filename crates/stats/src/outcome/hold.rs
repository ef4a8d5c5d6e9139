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
    /// Anything else that the kernel said.
    pub other: u64,
}

impl Losses {
    /// Each with its name in the file.
    pub fn each(&self) -> [(&'static str, u64); 8] {
        let Losses { refused, reset, closed, timeout, answer, no_descriptor, no_port, other } = *self;
        [
            ("refused", refused),
            ("reset", reset),
            ("closed", closed),
            ("timeout", timeout),
            ("answer", answer),
            ("no_descriptor", no_descriptor),
            ("no_port", no_port),
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

//! What the processes of a transaction say to each other: one JSON object a line, each question answered before the next.
//!
//! Two talk to the dead-man: the process that applies, by the socket that is the dead-man's standard input, and whoever confirms
//! or takes back, by the socket `control` in the directory of the journal. Knows nothing of settings.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::Outcome;
use super::journal::Record;

/// What the dead-man is told or asked.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Ask {
    /// Watch over this transaction. The first question.
    Watch(Order),
    /// This is in the journal now.
    Note(Record),
    /// Take everything back.
    TakeBack {
        /// Why.
        why: String,
    },
    /// Let everything stay.
    Confirm,
}

/// What somebody else than its parent asks the dead-man.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Visit {
    /// The network namespace of who asks, as the kernel names it.
    pub(super) namespace: String,
    pub(super) question: Ask,
}

/// What the dead-man has to know.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Order {
    pub(super) tree: Option<PathBuf>,
    pub(super) netns: Option<String>,
    /// From when this is read.
    pub(super) confirm_within_ms: u64,
    /// What is in the journal so far: the old values are in it.
    pub(super) records: Vec<Record>,
}

/// What the dead-man answers.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Say {
    /// It was understood, and the watch goes on.
    Noted,
    /// The watch goes on, and what was asked is not done.
    Refused {
        /// Why.
        why: String,
    },
    /// The watch goes on, in another network namespace than the asker's.
    Elsewhere {
        /// Its name; none for the host.
        netns: Option<String>,
    },
    /// The transaction has ended. The last answer.
    Ended(Outcome),
}

/// One side of a talk.
#[derive(Debug)]
pub(super) struct Parley {
    stream: UnixStream,
}

impl Parley {
    pub(super) fn of(stream: UnixStream) -> Parley {
        Parley { stream }
    }

    pub(super) fn stream(&self) -> &UnixStream {
        &self.stream
    }

    pub(super) fn say<T: Serialize>(&mut self, words: &T) -> io::Result<()> {
        let mut line = serde_json::to_vec(words)?;
        line.push(b'\n');
        self.stream.write_all(&line)
    }

    /// The next line; `None` where the other side is gone. There is never more than one under way, so nothing is read ahead.
    pub(super) fn hear<T: DeserializeOwned>(&mut self) -> io::Result<Option<T>> {
        let mut line = Vec::new();
        let mut piece = [0; 4096];
        while line.last() != Some(&b'\n') {
            match self.stream.read(&mut piece) {
                Ok(0) => return Ok(None),
                Ok(count) => line.extend_from_slice(&piece[..count]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(None),
                Err(error) => return Err(error),
            }
            if line.len() > LINE_BYTES_MAX {
                return Err(io::Error::from(io::ErrorKind::FileTooLarge));
            }
        }
        serde_json::from_slice(&line).map(Some).map_err(io::Error::from)
    }

    /// Asks, and waits for the answer; `None` where the other side is gone.
    pub(super) fn ask<T: Serialize>(&mut self, question: &T) -> Option<Say> {
        self.say(question).ok()?;
        self.hear().ok().flatten()
    }
}

/// The old values of some hundred settings are the longest line.
const LINE_BYTES_MAX: usize = 4 << 20;

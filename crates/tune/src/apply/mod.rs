//! Settings changed as one transaction that takes itself back.
//!
//! ```text
//! lock -> snapshot -> journal -> dead-man -> (announce, write, read back) each -> health check -> confirmed, or taken back
//!         what was    on disk    a process                                                        on failure, when the time is up,
//!                                of its own                                                       or when this process is gone
//! ```
//!
//! Never writes a setting that is not in the catalogue, never writes before the old values are on disk and in the memory of
//! a second process, and never takes back what somebody else has changed since. Where both processes are killed, the journal
//! is left: it blocks the next [`apply`], and [`recover`] takes it back. Reads no clock but for the deadline.

mod deadman;
pub mod journal;
mod parley;
pub mod persist;
mod revert;
mod setting;
mod state;
mod transaction;

use std::io;
use std::path::PathBuf;

pub use deadman::{confirm, stand_by, take_back_now};
pub use revert::{Fate, FateEnd};
pub use setting::{Change, Lookup, Setting};
pub use state::{recover, revert_last};
pub use transaction::{Request, apply};

use serde::{Deserialize, Serialize};

use crate::root::Root;

/// Where a transaction acts.
#[derive(Debug, Clone)]
pub struct Host {
    /// A tree of files in place of `/`.
    pub tree: Option<PathBuf>,
    /// The name of the network namespace that the calling thread has entered, for settings of it alone.
    pub netns: Option<String>,
    /// Where knobs are looked up by name.
    pub knobs: Lookup,
}

impl Host {
    /// Its settings. Errors: as of [`Root::host`].
    pub fn root(&self) -> io::Result<Root> {
        match (&self.tree, &self.netns) {
            (Some(path), _) => Root::tree(path),
            (None, Some(_)) => Root::namespace(),
            (None, None) => Root::host(),
        }
    }
}

/// How a transaction ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// How.
    pub end: End,
    /// Why, in a sentence without its full stop.
    pub why: String,
    /// What became of each setting; empty where all stays.
    pub fates: Vec<Fate>,
}

/// The two ends of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// Everything is written and stays.
    Confirmed,
    /// It was taken back, as far as that could be.
    TakenBack,
}

impl Outcome {
    /// Everything stays.
    fn confirmed() -> Outcome {
        Outcome { end: End::Confirmed, why: "it was confirmed".into(), fates: Vec::new() }
    }

    /// Whether every setting is as somebody wished: as written, or as before.
    pub fn is_clean(&self) -> bool {
        self.fates.iter().all(Fate::is_back)
    }
}

/// Where a transaction has come to. Each is told when it has been done, so a process that ends there has done this and no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step<'a> {
    /// This is the only one on the host.
    Locked,
    /// The old values are known.
    Snapshot,
    /// An empty journal is there.
    JournalCreated,
    /// The old values are on disk.
    JournalWritten,
    /// The dead-man watches: a process of this number.
    Armed(u32),
    /// The write of this setting is announced on disk.
    Announced(&'a str),
    /// It is written.
    Wrote(&'a str),
    /// What it reads now is on disk.
    ReadBack(&'a str),
    /// All are written and healthy.
    Checked,
    /// It waits to be confirmed.
    Applied,
    /// This setting is about to be taken back.
    TakingBack(&'a str),
    /// It was written back.
    TookBack(&'a str),
}

/// Why nothing was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApplyError {
    /// Another process is changing settings.
    #[error("another ringmill-lab is changing settings of this host")]
    Busy,
    /// A transaction of this boot was cut off.
    #[error("a transaction of this boot was cut off and has not been taken back")]
    Unfinished {
        /// The network namespace in which it was.
        netns: Option<String>,
    },
    /// The journal belongs to another namespace than the calling thread's.
    #[error("the journal is of {}", namespace_of(.netns))]
    OtherNamespace {
        /// Its name; none for the host.
        netns: Option<String>,
    },
    /// The setting is felt outside of the namespace.
    #[error("{name} is felt outside of the network namespace, and is not changed from within one")]
    Leaks {
        /// Which.
        name: String,
    },
    /// The setting is felt by everybody on the host, and that was not asked for.
    #[error("{name} is felt by every process of the host")]
    HostWide {
        /// Which.
        name: String,
    },
    /// This program does not write it.
    #[error("{name} is not written by this program")]
    NotWritable {
        /// Which.
        name: String,
    },
    /// The setting cannot be read, so it could not be taken back.
    #[error("{name} cannot be read: {error}")]
    Unreadable {
        /// Which.
        name: String,
        /// What the kernel said.
        error: io::Error,
    },
    /// No transaction waits to be confirmed or taken back.
    #[error("no transaction waits")]
    NothingWaits,
    /// The one that waits is in another namespace than the calling thread.
    #[error("the transaction that waits is in {}", namespace_of(.netns))]
    WaitsElsewhere {
        /// Its name; none for the host.
        netns: Option<String>,
    },
    /// The one that waits did not do what it was asked.
    #[error("the transaction goes on: {why}")]
    Refused {
        /// Why.
        why: String,
    },
    /// The directory of the journal, or the journal.
    #[error("{what}: {error}")]
    State {
        /// What was done.
        what: &'static str,
        /// What the kernel said.
        error: io::Error,
    },
}

impl ApplyError {
    /// What the user can do, in words that follow "Try".
    pub fn cure(&self) -> Option<String> {
        let within =
            |netns: &Option<String>| netns.as_ref().map_or(String::new(), |name| format!(" --netns {name}"));
        match self {
            ApplyError::Busy => {
                Some("`ringmill-lab confirm` or `ringmill-lab revert`, or wait for it".into())
            }
            ApplyError::Unfinished { netns } | ApplyError::OtherNamespace { netns } => {
                Some(format!("`ringmill-lab recover{}`", within(netns)))
            }
            ApplyError::WaitsElsewhere { netns: Some(name) } => {
                Some(format!("the same with `--netns {name}`, if that one is meant"))
            }
            ApplyError::WaitsElsewhere { netns: None } => {
                Some("the same without `--netns`, if that one is meant".into())
            }
            ApplyError::Leaks { .. } => Some("it without `--netns`, with `--host`".into()),
            ApplyError::HostWide { .. } => Some("`--host`, if that is meant".into()),
            ApplyError::NotWritable { name } => {
                let knob = name.split('@').next().unwrap_or(name);
                Some(format!("`ringmill-lab explain {knob}`, which says how it is changed"))
            }
            ApplyError::State { error, .. } if error.kind() == io::ErrorKind::PermissionDenied => {
                Some("it as root".into())
            }
            ApplyError::State { error, .. } if error.kind() == io::ErrorKind::InvalidData => Some(
                "to look at run/ringmill-lab/journal.jsonl, put back what its lines `before` say, and remove it".into(),
            ),
            _ => None,
        }
    }

    fn state(what: &'static str) -> impl FnOnce(io::Error) -> ApplyError {
        move |error| ApplyError::State { what, error }
    }
}

fn namespace_of(netns: &Option<String>) -> String {
    netns.as_ref().map_or("the host".into(), |name| format!("the network namespace {name}"))
}

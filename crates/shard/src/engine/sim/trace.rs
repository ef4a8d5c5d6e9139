//! What happened in a run, in the order of the virtual clock. Noted as numbers, drawn as text only when somebody asks.

use crate::slab::Key;
use std::fmt;

/// The events of one run.
#[derive(Clone, Debug, Default)]
pub struct Trace {
    entries: Vec<Entry>,
    digest: u64,
    last_ns: u64,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    at_ns: u64,
    who: Who,
    what: &'static str,
    n: u64,
}

/// To whom something happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    World,
    Peer(u32),
    Session(u16, u32),
    Leg(u16, Key),
}

/// Further events of a run count in its digest, but are not kept: 40 bytes each.
const ENTRIES_MAX: usize = 1 << 20;

impl Trace {
    pub(crate) fn note(&mut self, at_ns: u64, who: Who, what: &'static str, n: u64) {
        let word = match who {
            Who::World => 0,
            Who::Peer(peer) => 1 << 60 | u64::from(peer),
            Who::Session(seat, slot) => 3 << 60 | u64::from(seat) << 32 | u64::from(slot),
            Who::Leg(seat, leg) => 4 << 60 | u64::from(seat) << 32 | u64::from(leg.slot),
        };
        for part in [at_ns, word, what.len() as u64, n] {
            // One step of FNV-1a a word.
            self.digest = (self.digest ^ part).wrapping_mul(0x0000_0100_0000_01b3);
        }
        self.last_ns = at_ns;
        if self.entries.len() < ENTRIES_MAX {
            self.entries.push(Entry { at_ns, who, what, n });
        }
    }

    /// One number for all that happened: two runs of a seed have the same.
    pub fn digest(&self) -> u64 {
        self.digest
    }

    /// When the last of it happened.
    pub(super) fn last_ns(&self) -> u64 {
        self.last_ns
    }

    /// Number of events.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing happened.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The last `n` events, one line each.
    pub fn tail(&self, n: usize) -> String {
        let from = self.entries.len().saturating_sub(n);
        self.entries[from..].iter().map(|entry| format!("{entry}\n")).collect()
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.entries.iter().try_for_each(|entry| writeln!(f, "{entry}"))
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let who = match self.who {
            Who::World => "world".to_string(),
            Who::Peer(peer) => format!("peer {peer}"),
            Who::Session(seat, slot) => format!("seat {seat} session {slot}"),
            Who::Leg(seat, leg) => format!("seat {seat} leg {leg:?}"),
        };
        write!(f, "{:>12.3} us  {who:<18}  {} {}", self.at_ns as f64 / 1000.0, self.what, self.n)
    }
}

//! The drain of a listener of datagrams: who is told when that the server leaves.
//!
//! A step tells [`STEP`] peers, so that neither a turn is long nor the queue of datagrams full, and the next step is a millisecond
//! later. GOAWAY may be lost: who is still there when all were told is told again, [`AGAIN`] after the last round.

use super::server::Key;
use shard::{Io, Service, Token};
use std::time::Duration;

/// A drain that has begun.
#[derive(Debug)]
pub(super) struct Farewell {
    keys: Vec<Key>,
    /// How many of them were told in this round.
    told: usize,
    next: Token,
    over: Token,
    over_ms: u64,
}

impl Farewell {
    /// The first step comes at the next tick, the end after `grace`.
    pub(super) fn new<S: Service>(keys: Vec<Key>, grace: Duration, io: &mut Io<'_, S>) -> Farewell {
        let over_ms = io.now().0 + grace.as_millis() as u64;
        Farewell { keys, told: 0, next: io.timer(Duration::ZERO), over: io.timer(grace), over_ms }
    }

    /// Whether a timer is one of this.
    pub(super) fn knows(&self, token: Token) -> bool {
        token == self.next || token == self.over
    }

    /// Whether it is the last.
    pub(super) fn is_over(&self, token: Token) -> bool {
        token == self.over
    }

    /// Milliseconds until the end.
    pub(super) fn left_ms<S: Service>(&self, io: &Io<'_, S>) -> u32 {
        self.over_ms.saturating_sub(io.now().0) as u32
    }

    /// Whom to tell now, if they are still there.
    pub(super) fn step<S: Service>(&mut self, is_there: impl Fn(&Key) -> bool, io: &mut Io<'_, S>) -> &[Key] {
        if self.told == self.keys.len() {
            self.keys.retain(is_there);
            self.told = 0;
        }
        let from = self.told;
        self.told = self.keys.len().min(from + STEP);
        self.next = io.timer(if self.told < self.keys.len() { TICK } else { AGAIN });
        &self.keys[from..self.told]
    }

    /// It is over. Gives all who were there when it began.
    pub(super) fn end<S: Service>(&mut self, io: &mut Io<'_, S>) -> Vec<Key> {
        io.cancel(self.next);
        std::mem::take(&mut self.keys)
    }
}

/// Peers that are told in one step. Those of a second of it are more than a table of the default size has.
const STEP: usize = 256;
const TICK: Duration = Duration::from_millis(1);
/// How long after a round the next one begins.
const AGAIN: Duration = Duration::from_millis(250);

//! What echo loads send: messages that say which they are, so that an answer tells what happened to it.
//!
//! Message `s` of a connection is `s` in 8 little-endian bytes (fewer, if it is shorter), then bytes of a seeded pattern that begin
//! at a place that depends on `s` and the connection. So two messages of one run look alike nowhere, and a lost, doubled or swapped one
//! is told from a damaged one.

use bytes::Bytes;
use linux::Chunk;
use shard::Out;
use shard::random::Random;

/// Bytes that number a message.
pub(super) const HEAD: usize = 8;
/// Period of the places where messages begin in the pattern; a prime, so that no message length divides it.
const PERIOD: usize = 65_521;
/// From so many bytes on the pattern is sent from where it stands instead of being copied.
const SHARED: usize = 4096;

/// The messages of one size.
#[derive(Debug)]
pub(super) struct Pattern {
    fill: Bytes,
    bytes: usize,
}

impl Pattern {
    /// Messages of `bytes` bytes, at least 1.
    pub(super) fn new(seed: u64, bytes: usize) -> Pattern {
        let mut random = Random::new(seed);
        let fill: Vec<u8> = (0..PERIOD + bytes).map(|_| random.next() as u8).collect();
        Pattern { fill: fill.into(), bytes }
    }

    /// Bytes of one message.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Bytes of it that number it.
    pub(super) fn head(&self) -> usize {
        HEAD.min(self.bytes)
    }

    /// Message `number` of a connection, from byte `at` behind its head on.
    #[inline]
    pub(super) fn fill(&self, connection: u32, number: u64, at: usize) -> &[u8] {
        let begin = place(connection, number);
        &self.fill[begin + at..begin + self.bytes - self.head()]
    }

    /// Writes message `number`; `false` when there is no room for it.
    #[inline]
    pub(super) fn write(&self, connection: u32, number: u64, out: &mut Out) -> bool {
        self.write_behind(&[], connection, number, out)
    }

    /// The same behind `front`, with which it belongs together.
    #[inline]
    pub(super) fn write_behind(&self, front: &[u8], connection: u32, number: u64, out: &mut Out) -> bool {
        let head = &number.to_le_bytes()[..self.head()];
        let all = front.len() + self.bytes;
        // An output whose bound is shorter than a message takes one by copy, when it is empty.
        if self.bytes < SHARED || out.room() < all {
            return out.write(all, |to| {
                to.extend_from_slice(front);
                to.extend_from_slice(head);
                to.extend_from_slice(self.fill(connection, number, 0));
            });
        }
        let begin = place(connection, number);
        let rest = Chunk::Shared(self.fill.slice(begin..begin + self.bytes - head.len()));
        let written = (front.is_empty() || out.copy(front)) && out.copy(head) && out.push(rest).is_ok();
        debug_assert!(written, "there was room for all of it");
        written
    }
}

/// Where a message begins in the pattern.
#[inline]
fn place(connection: u32, number: u64) -> usize {
    ((number.wrapping_mul(997)).wrapping_add(u64::from(connection) * 31) % PERIOD as u64) as usize
}

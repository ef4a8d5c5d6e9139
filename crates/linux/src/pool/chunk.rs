//! A piece of bytes on its way out or kept for later: lent by the kernel, shared, or our own copy.
//!
//! A chunk never moves its bytes while it lives, wherever the chunk itself is moved: that is what lets the ring hold one
//! while the kernel reads it.

use super::Lease;
use bytes::Bytes;
use std::ops::Deref;

/// Bytes that somebody owns, whoever it is.
#[derive(Debug)]
pub enum Chunk {
    /// A received buffer, forwarded without a copy.
    Lease(Lease),
    /// Shared or static bytes.
    Shared(Bytes),
    /// A copy of ours, whose memory is used again after it was sent.
    Copied(Scratch),
}

impl Chunk {
    /// Bytes in it. Reads the chunk alone, not the memory it stands for.
    #[inline]
    pub fn len(&self) -> usize {
        match self {
            Chunk::Lease(lease) => lease.len(),
            Chunk::Shared(bytes) => bytes.len(),
            Chunk::Copied(scratch) => scratch.bytes.len() - scratch.from,
        }
    }

    /// Whether it is empty.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Drops the first `n` bytes. Panics when there are fewer.
    pub fn skip(&mut self, n: usize) {
        match self {
            Chunk::Lease(lease) => lease.skip(n),
            Chunk::Shared(bytes) => drop(bytes.split_to(n)),
            Chunk::Copied(scratch) => scratch.skip(n),
        }
    }

    /// Splits off the first `n` bytes; `self` keeps the rest. A copy is copied again. Panics when there are fewer.
    pub fn split_to(&mut self, n: usize) -> Chunk {
        let head = match self {
            Chunk::Lease(lease) => Chunk::Lease(lease.part(0, n)),
            Chunk::Shared(bytes) => return Chunk::Shared(bytes.split_to(n)),
            Chunk::Copied(scratch) => Chunk::Copied(Scratch::from(scratch[..n].to_vec())),
        };
        self.skip(n);
        head
    }

    /// Whether this chunk holds a lent buffer.
    pub fn is_lease(&self) -> bool {
        matches!(self, Chunk::Lease(_))
    }
}

impl Deref for Chunk {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Chunk::Lease(lease) => lease,
            Chunk::Shared(bytes) => bytes,
            Chunk::Copied(scratch) => scratch,
        }
    }
}

/// A vector with a read position, so that what was sent can be dropped from the front without moving the rest.
#[derive(Debug, Default)]
pub struct Scratch {
    bytes: Vec<u8>,
    from: usize,
}

impl Scratch {
    /// The emptied vector with its capacity, for use again.
    pub fn into_vec(mut self) -> Vec<u8> {
        self.bytes.clear();
        self.bytes
    }

    fn skip(&mut self, n: usize) {
        assert!(n <= self.len());
        self.from += n;
    }
}

impl From<Vec<u8>> for Scratch {
    fn from(bytes: Vec<u8>) -> Scratch {
        Scratch { bytes, from: 0 }
    }
}

impl Deref for Scratch {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[self.from..]
    }
}

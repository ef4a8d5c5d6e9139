//! What a leg is still to send: a bounded queue of chunks, in order.
//!
//! Small writes are gathered into one buffer of ours, large ones stand as they came: a received buffer, shared bytes. So are small
//! chunks, behind small writes or many pieces: a peer that sends byte by byte and reads nothing is not to cost an entry for each.
//! It never submits; the seat takes a [`Gather`] out of it when no send of the leg is in flight. At its bound it takes
//! nothing, remembers that, and the seat says `Drained` once when half of it is free again.

use bytes::Bytes;
use linux::{Chunk, Gather};
use std::collections::VecDeque;

/// Bytes on their way out of one leg.
pub struct Out {
    queue: VecDeque<Chunk>,
    /// The copy that small writes are added to; stands behind `queue`.
    tail: Vec<u8>,
    /// Bytes in `queue` and `tail`.
    queued: usize,
    /// Bytes in the send that is in flight.
    flight: usize,
    max: usize,
    /// Somebody found it full and waits for `Drained`.
    full: bool,
    /// Nothing may be added any more.
    shut: bool,
}

impl Out {
    pub(crate) fn new(max: usize) -> Out {
        let (queue, tail) = (VecDeque::new(), Vec::new());
        // With no room at all a pipe into it could not move a byte.
        Out { queue, tail, queued: 0, flight: 0, max: max.max(1), full: false, shut: false }
    }

    /// Bytes that may still be added. Less than a caller needs counts as found full: see [`Out::reserve`].
    pub fn room(&self) -> usize {
        if self.shut { 0 } else { self.max.saturating_sub(self.queued + self.flight) }
    }

    /// Whether `n` bytes fit (`n` is cut to the whole bound: an empty output takes them). When not, `Drained` will come once
    /// there is room again.
    pub fn reserve(&mut self, n: usize) -> bool {
        let fits = !self.shut && self.room() >= n.min(self.max);
        // Nothing ever drains from an output that takes no more: nobody may wait for it.
        self.full |= !fits && !self.shut;
        fits
    }

    /// Adds a chunk without a copy, unless that is so small that the copy is cheaper. Gives it back when it does not fit; `Drained`
    /// will come, unless there is nothing to drain: a chunk larger than the whole bound never fits, and goes in parts of at most
    /// [`Out::room`].
    pub fn push(&mut self, chunk: Chunk) -> Result<(), Chunk> {
        if self.shut || self.room() < chunk.len() {
            self.full = !self.shut;
            return Err(chunk);
        }
        if chunk.is_empty() {
            return Ok(());
        }
        self.queued += chunk.len();
        let behind = !self.tail.is_empty() || self.queue.len() >= Gather::CHUNKS_MAX;
        if behind && chunk.len() <= SMALL_BYTES {
            self.tail.extend_from_slice(&chunk);
            return Ok(());
        }
        self.seal();
        self.queue.push_back(chunk);
        Ok(())
    }

    /// Adds a copy of `bytes`, all or nothing. `false` when they do not fit; `Drained` will come.
    pub fn copy(&mut self, bytes: &[u8]) -> bool {
        self.write(bytes.len(), |to| to.extend_from_slice(bytes))
    }

    /// Adds static bytes without a copy, all or nothing.
    pub fn fixed(&mut self, bytes: &'static [u8]) -> bool {
        self.push(Chunk::Shared(Bytes::from_static(bytes))).is_ok()
    }

    /// Lets `write` append at most `most` bytes to the copy in the making. `false`, and `write` is not called, when
    /// `most` bytes do not fit; `Drained` will come.
    pub fn write(&mut self, most: usize, write: impl FnOnce(&mut Vec<u8>)) -> bool {
        if !self.reserve(most) {
            return false;
        }
        let before = self.tail.len();
        write(&mut self.tail);
        let written = self.tail.len() - before;
        debug_assert!(written <= most, "wrote {written} of at most {most} bytes");
        self.queued += written;
        true
    }

    /// Whether nothing is queued and nothing is in flight.
    pub fn is_empty(&self) -> bool {
        self.queued == 0 && self.flight == 0
    }

    /// Bytes queued or in flight.
    pub fn len(&self) -> usize {
        self.queued + self.flight
    }

    /// Bytes not yet given to a send.
    pub(crate) fn queued(&self) -> usize {
        self.queued
    }

    pub(crate) fn in_flight(&self) -> bool {
        self.flight > 0
    }

    /// Found full before and half empty now: true once per time it was found full.
    pub(crate) fn take_drained(&mut self) -> bool {
        let drained = self.full && !self.shut && self.len() <= self.max / 2;
        self.full &= !drained;
        drained
    }

    /// Whether somebody waits for `Drained`: only while there is something to drain.
    pub(crate) fn waits(&self) -> bool {
        self.full && !self.is_empty()
    }

    /// Nothing can be added from now on; what is queued still leaves.
    pub(crate) fn shut(&mut self) {
        self.shut = true;
        self.full = false;
    }

    /// Drops what is queued. What is in flight stays the ring's.
    pub(crate) fn discard(&mut self) {
        self.queue.clear();
        self.tail.clear();
        self.queued = 0;
        self.shut();
    }

    /// Moves queued chunks into `gather`, at most `bytes_max` and as many as it holds. `fresh` becomes the next copy buffer.
    pub(crate) fn gather(&mut self, gather: &mut Gather, bytes_max: usize, fresh: impl FnOnce() -> Vec<u8>) {
        debug_assert!(!self.in_flight() && gather.is_empty());
        while !gather.is_full() && gather.bytes() < bytes_max {
            let Some(mut chunk) = self.queue.pop_front() else { break };
            let left = bytes_max - gather.bytes();
            if chunk.len() > left && !matches!(chunk, Chunk::Copied(_)) {
                gather.push(chunk.split_to(left));
                self.queue.push_front(chunk);
            } else if !chunk.is_empty() {
                gather.push(chunk);
            }
        }
        if self.queue.is_empty() && !self.tail.is_empty() && !gather.is_full() && gather.bytes() < bytes_max {
            gather.push(Chunk::Copied(std::mem::replace(&mut self.tail, fresh()).into()));
        }
        self.queued -= gather.bytes();
        self.flight = gather.bytes();
    }

    /// A send reported `sent` bytes.
    pub(crate) fn sent(&mut self, sent: usize) {
        self.flight -= sent;
    }

    /// The send in flight ended without sending the rest of its bytes, and they will not be sent again.
    pub(crate) fn lost(&mut self) {
        self.flight = 0;
    }

    /// Replaces queued leases by copies, so that their buffers go back. Returns the bytes copied.
    pub(crate) fn unlease(&mut self) -> u64 {
        let mut copied = 0;
        for chunk in self.queue.iter_mut().filter(|c| c.is_lease()) {
            copied += chunk.len() as u64;
            *chunk = Chunk::Copied(chunk.to_vec().into());
        }
        copied
    }

    /// Buffers that queued leases hold.
    pub(crate) fn leases(&self) -> usize {
        self.queue.iter().filter(|c| c.is_lease()).count()
    }

    /// The bound.
    pub(crate) fn max(&self) -> usize {
        self.max
    }

    /// Changes the bound. What is queued beyond it still leaves.
    pub(crate) fn set_max(&mut self, max: usize) {
        self.max = max.max(1);
    }

    /// As new, for another leg.
    pub(crate) fn reset(&mut self, max: usize) {
        debug_assert!(self.is_empty());
        (self.full, self.shut) = (false, false);
        self.set_max(max);
    }

    /// Chunks that the queue has memory for.
    pub(crate) fn capacity(&self) -> usize {
        self.queue.capacity()
    }

    /// Gives back the copy's memory that is not in use.
    pub(crate) fn shrink(&mut self) {
        if self.tail.capacity() > 2 * self.tail.len() {
            self.tail.shrink_to_fit();
        }
    }

    /// The emptied copy buffer, for use again.
    pub(crate) fn take_tail(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.tail)
    }

    pub(crate) fn set_tail(&mut self, tail: Vec<u8>) {
        debug_assert!(self.tail.is_empty() && tail.is_empty());
        self.tail = tail;
    }

    pub(crate) fn has_tail_buffer(&self) -> bool {
        self.tail.capacity() > 0
    }

    /// Closes the copy in the making, so that what comes next stands behind it.
    fn seal(&mut self) {
        if !self.tail.is_empty() {
            self.queue.push_back(Chunk::Copied(std::mem::take(&mut self.tail).into()));
        }
    }
}

/// A chunk as a piece of its own costs an entry here and one of the send's vector; copying so many bytes costs less.
const SMALL_BYTES: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    const MAX: usize = 100;

    fn shared(n: usize) -> Chunk {
        Chunk::Shared(Bytes::from(vec![b'x'; n]))
    }

    /// Sends all that is queued.
    fn flush(out: &mut Out) {
        let mut gather = Gather::new();
        out.gather(&mut gather, usize::MAX, Vec::new);
        out.sent(gather.bytes());
    }

    #[test]
    fn a_chunk_larger_than_the_bound_goes_in_parts() {
        let mut out = Out::new(MAX);
        let mut chunk = out.push(shared(MAX + 1)).unwrap_err();
        assert!(!out.waits(), "nothing could ever drain");
        assert!(out.push(chunk.split_to(out.room())).is_ok() && out.waits(), "now something can");
        flush(&mut out);
        assert!(out.take_drained() && out.push(chunk).is_ok());
    }

    #[test]
    fn nobody_waits_for_an_output_with_nothing_in_it() {
        for max in [0, 1, MAX] {
            let mut out = Out::new(max);
            for n in [0, 1, MAX, 10 * MAX] {
                assert!(out.reserve(n) && !out.waits());
            }
        }
    }

    /// What each byte of a full output takes of memory, in a row of chunks of these sizes.
    fn cost(sizes: &[usize]) -> f64 {
        let mut out = Out::new(256 << 10);
        let mut sizes = sizes.iter().cycle();
        while out.push(shared(*sizes.next().expect("it goes on"))).is_ok() {}
        out.unlease();
        let copies = out.queue.iter().filter(|chunk| matches!(chunk, Chunk::Copied(_))).count();
        let entries = out.queue.capacity() * size_of::<Chunk>() + copies * 2 * size_of::<usize>();
        (entries + out.tail.capacity() + out.max) as f64 / out.len() as f64
    }

    #[test]
    fn whatever_the_sizes_of_its_chunks_are_an_output_costs_little_more_than_its_bytes() {
        for sizes in [&[1][..], &[2, 1], &[256], &[257], &[1, 257], &[256, 257], &[4096], &[1, 4096]] {
            let cost = cost(sizes);
            assert!(cost < 2.5, "{cost} bytes a byte of chunks of {sizes:?}");
        }
    }

    #[test]
    fn small_chunks_stay_in_their_order_among_large_ones_and_copies() {
        let mut out = Out::new(1 << 20);
        let mut expected = Vec::new();
        for at in 0..400_usize {
            let bytes: Vec<u8> = (0..[1, 300, 3, 256][at % 4]).map(|n| (at + n) as u8).collect();
            expected.extend(&bytes);
            match at % 7 {
                0 => assert!(out.copy(&bytes)),
                _ => assert!(out.push(Chunk::Shared(Bytes::from(bytes))).is_ok()),
            }
        }
        let mut sent = Vec::new();
        while !out.is_empty() {
            let mut gather = Gather::new();
            out.gather(&mut gather, usize::MAX, Vec::new);
            gather.chunks().iter().for_each(|chunk| sent.extend_from_slice(chunk));
            out.sent(gather.bytes());
        }
        assert_eq!(sent, expected);
    }

    #[test]
    fn an_output_that_is_shut_takes_nothing_at_all() {
        let mut out = Out::new(MAX);
        out.shut();
        assert!(out.push(shared(0)).is_err() && out.push(shared(1)).is_err() && !out.copy(b""));
        assert!(out.is_empty() && !out.waits());
    }
}

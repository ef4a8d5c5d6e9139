//! The chunks of one send, with the vector the kernel reads them by.
//!
//! Lives in a box that the ring owns while the send is in flight, and is used again afterwards. Its order is the order of
//! the bytes on the wire.

use super::Chunk;
use std::fmt;

/// Chunks that leave in one send. At most [`Gather::CHUNKS_MAX`] of them.
pub struct Gather {
    chunks: Vec<Chunk>,
    /// Filled by `prepare` from `chunks`; stale at any other time.
    vector: Vec<libc::iovec>,
    message: libc::msghdr,
    bytes: usize,
}

impl Gather {
    /// Most chunks of one send. The kernel copies the vector at submission; past 8 entries it allocates
    /// (`UIO_FASTIOV`), so a long vector is worth its price only for bytes that would be a send of their own otherwise.
    pub const CHUNKS_MAX: usize = 64;

    /// An empty gather; the vectors grow on use and are kept.
    pub fn new() -> Box<Gather> {
        // SAFETY: an all-zero msghdr is a valid value: null pointers and zero lengths.
        let message = unsafe { std::mem::zeroed() };
        Box::new(Gather { chunks: Vec::new(), vector: Vec::new(), message, bytes: 0 })
    }

    /// Adds a chunk at the end. Panics when the gather is full.
    pub fn push(&mut self, chunk: Chunk) {
        assert!(!self.is_full());
        self.bytes += chunk.len();
        self.chunks.push(chunk);
    }

    /// Bytes that are left to send.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether no byte is left.
    pub fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// Whether no further chunk fits.
    pub fn is_full(&self) -> bool {
        self.chunks.len() == Gather::CHUNKS_MAX
    }

    /// The chunks in order.
    pub fn chunks(&self) -> &[Chunk] {
        &self.chunks
    }

    /// Drops what a send reported as sent, from the front. Panics when `sent` is more than there was.
    pub fn advance(&mut self, sent: usize) {
        assert!(sent <= self.bytes);
        self.bytes -= sent;
        let mut left = sent;
        let mut whole = 0;
        for chunk in &mut self.chunks {
            if left < chunk.len() {
                chunk.skip(left);
                break;
            }
            left -= chunk.len();
            whole += 1;
        }
        self.chunks.drain(..whole);
    }

    /// Replaces leases by copies, so that their buffers go back. Returns the bytes copied.
    pub fn unlease(&mut self) -> u64 {
        let leases = self.chunks.iter_mut().filter(|chunk| chunk.is_lease());
        leases
            .map(|chunk| {
                *chunk = Chunk::Copied(chunk.to_vec().into());
                chunk.len() as u64
            })
            .sum()
    }

    /// Takes all chunks out, the gather stays usable.
    pub fn drain(&mut self) -> impl Iterator<Item = Chunk> + '_ {
        self.bytes = 0;
        self.chunks.drain(..)
    }

    /// The only chunk, when there is just one: it needs no vector.
    pub(crate) fn single(&self) -> Option<&Chunk> {
        match &self.chunks[..] {
            [one] => Some(one),
            _ => None,
        }
    }

    /// Fills the vector and the header that points to it. Both stay valid until a chunk is added or removed, wherever
    /// the box moves.
    pub(crate) fn prepare(&mut self) -> *const libc::msghdr {
        self.vector.clear();
        self.vector.extend(
            self.chunks
                .iter()
                .map(|c| libc::iovec { iov_base: c.as_ptr().cast_mut().cast(), iov_len: c.len() }),
        );
        self.message.msg_iov = self.vector.as_mut_ptr();
        self.message.msg_iovlen = self.vector.len();
        &raw const self.message
    }
}

impl fmt::Debug for Gather {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Gather({} bytes in {} chunks)", self.bytes, self.chunks.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn gather(parts: &[&'static str]) -> Box<Gather> {
        let mut gather = Gather::new();
        parts.iter().for_each(|p| gather.push(Chunk::Shared(Bytes::from_static(p.as_bytes()))));
        gather
    }

    #[test]
    fn a_short_send_leaves_the_unsent_rest_at_every_length() {
        let whole = "abcdefghij";
        for sent in 0..=whole.len() {
            let mut gather = gather(&["abc", "", "defg", "hij"]);
            gather.advance(sent);
            let rest: Vec<u8> = gather.chunks().iter().flat_map(|c| c.to_vec()).collect();
            assert_eq!((&rest[..], gather.bytes()), (&whole.as_bytes()[sent..], whole.len() - sent));
        }
    }

    #[test]
    #[should_panic(expected = "sent <= self.bytes")]
    fn more_sent_than_given_is_our_mistake() {
        gather(&["abc"]).advance(4);
    }
}

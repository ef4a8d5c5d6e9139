//! What a leg received and the service has not read yet, lent for the length of one call.
//!
//! Reads in place. Bytes are copied only when `contiguous` must join pieces, and that is counted.

use linux::{Chunk, Lease};
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};

/// Unread bytes of one leg, oldest first, in pieces as the kernel laid them down.
pub struct Input<'a> {
    pub(crate) pieces: &'a mut VecDeque<Chunk>,
    pub(crate) copied: &'a mut u64,
    taken: usize,
}

impl<'a> Input<'a> {
    pub(crate) fn new(pieces: &'a mut VecDeque<Chunk>, copied: &'a mut u64) -> Input<'a> {
        Input { pieces, copied, taken: 0 }
    }

    /// Unread bytes.
    pub fn len(&self) -> usize {
        self.pieces.iter().map(Chunk::len).sum()
    }

    /// Whether nothing is left to read.
    pub fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// The oldest piece; empty only when nothing is left.
    pub fn first(&self) -> &[u8] {
        self.pieces.front().map_or(&[], |p| p)
    }

    /// All pieces in order.
    pub fn chunks(&self) -> impl Iterator<Item = &[u8]> {
        self.pieces.iter().map(|p| &p[..])
    }

    /// The first `n` bytes in one slice, or fewer when there are fewer. Pieces are joined by a copy only when the first
    /// one is shorter than `n`; the copy replaces them, so asking again is free.
    pub fn contiguous(&mut self, n: usize) -> &[u8] {
        if self.first().len() < n && self.pieces.len() > 1 {
            self.join(n);
        }
        let first = self.first();
        &first[..n.min(first.len())]
    }

    /// Reads past `n` bytes. Panics when there are fewer.
    pub fn skip(&mut self, n: usize) {
        let mut left = n;
        while left > 0 {
            let first = self.pieces.front_mut().expect("skip stays within the input");
            if first.len() > left {
                first.skip(left);
                break;
            }
            left -= first.len();
            self.pieces.pop_front();
        }
        self.taken += n;
    }

    /// Takes at most `n` bytes out of the oldest piece, to keep or to send on without a copy. `None` when nothing is
    /// left or `n` is 0.
    pub fn take(&mut self, n: usize) -> Option<Chunk> {
        let first = self.pieces.front_mut().filter(|_| n > 0)?;
        let chunk = if first.len() <= n { self.pieces.pop_front()? } else { first.split_to(n) };
        self.taken += chunk.len();
        Some(chunk)
    }

    fn join(&mut self, n: usize) {
        let mut bytes = Vec::with_capacity(n.min(self.len()));
        while bytes.len() < n {
            let Some(mut piece) = self.pieces.pop_front() else { break };
            let part = piece.len().min(n - bytes.len());
            bytes.extend_from_slice(&piece[..part]);
            if part < piece.len() {
                piece.skip(part);
                self.pieces.push_front(piece);
            }
        }
        *self.copied += bytes.len() as u64;
        self.pieces.push_front(Chunk::Copied(bytes.into()));
    }
}

/// One datagram, which may be empty.
pub struct Packet<'a> {
    pub(crate) bytes: &'a Lease,
    /// Who sent it.
    pub peer: SocketAddr,
    /// The address it was sent to, from IP_PKTINFO (ip(7)): a wildcard listener answers from it.
    pub local: Option<IpAddr>,
}

impl Packet<'_> {
    /// The payload.
    pub fn bytes(&self) -> &[u8] {
        self.bytes
    }

    /// The payload as a chunk that can be sent on without a copy.
    pub fn chunk(&self) -> Chunk {
        Chunk::Lease(self.bytes.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn pieces(parts: &[&'static str]) -> VecDeque<Chunk> {
        parts.iter().map(|p| Chunk::Shared(Bytes::from_static(p.as_bytes()))).collect()
    }

    #[test]
    fn what_straddles_pieces_is_joined_once_and_counted() {
        let (mut pieces, mut copied) = (pieces(&["ab", "cd", "efgh"]), 0);
        let mut input = Input::new(&mut pieces, &mut copied);
        assert_eq!(input.contiguous(2), b"ab");
        assert_eq!(input.contiguous(5), b"abcde");
        assert_eq!(input.contiguous(5), b"abcde");
        assert_eq!(input.contiguous(99), b"abcdefgh");
        assert_eq!(copied, 5 + 8);
    }

    #[test]
    fn skip_and_take_cross_pieces_at_every_position() {
        for cut in 0..=8 {
            let (mut pieces, mut copied) = (pieces(&["ab", "cd", "efgh"]), 0);
            let mut input = Input::new(&mut pieces, &mut copied);
            input.skip(cut);
            let mut rest = Vec::new();
            while let Some(chunk) = input.take(3) {
                assert!((1..=3).contains(&chunk.len()));
                rest.extend_from_slice(&chunk);
            }
            assert_eq!((&rest[..], input.is_empty(), copied), (&b"abcdefgh"[cut..], true, 0));
        }
    }
}

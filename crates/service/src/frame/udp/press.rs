//! Where frames are written: those that are sent once, and those that are kept.
//!
//! What is sent once (ACK, PING, HELLO ...) is written one behind the other on pages, which are used again when nothing on them is
//! needed any more. A frame that is kept until it is acknowledged has a piece of memory of its own, of one of a few sizes: so what it is
//! charged with is what it takes, and no small frame can keep a large piece from being used again. Pieces that come back are kept,
//! within bounds, for the next frames: in the steady state nothing is allocated.

use bytes::{BufMut, Bytes, BytesMut};
use proto::frame::{Ack, Flags, HEADER_BYTES, Header, Kind, Message, sum, write};
use std::collections::VecDeque;

/// The press of one seat, or of one client.
#[derive(Debug, Default)]
pub(super) struct Press {
    pages: [BytesMut; PAGES],
    page: usize,
    /// Pieces of each size that came back. They may still be on their way to the network.
    spare: [VecDeque<Bytes>; SIZES.len()],
}

/// Bytes that the piece of a frame of so many bytes takes, with what the allocator and its counter of owners take beside it.
pub(super) fn piece_bytes(frame_bytes: usize) -> usize {
    SIZES.get(size(frame_bytes)).copied().unwrap_or(frame_bytes) + BESIDE_BYTES
}

impl Press {
    /// A frame that is sent once.
    pub(super) fn frame(&mut self, header: &Header, payload: &[u8]) -> Bytes {
        let page = self.page(header.frame_bytes());
        put(page, header, payload);
        page.split().freeze()
    }

    /// A control frame.
    pub(super) fn message(&mut self, kind: Kind, seq: u32, message: &impl Message) -> Bytes {
        let mut frame = Vec::with_capacity(MESSAGE_BYTES);
        write(&mut frame, kind, Flags::NONE, seq, message);
        let page = self.page(frame.len());
        page.put_slice(&frame);
        page.split().freeze()
    }

    /// The ACK of a frame: what is said most, and needs no allocation.
    pub(super) fn ack(&mut self, seq: u32, ack: Ack) -> Bytes {
        let length = ack.encoded_len();
        let page = self.page(HEADER_BYTES + length);
        page.put_slice(&Header::new(Kind::Ack, length as u32, seq).to_bytes());
        ack.encode_raw(page);
        page.split().freeze()
    }

    /// A frame in a piece of its own.
    pub(super) fn keep(&mut self, header: &Header, payload: &[u8]) -> Bytes {
        let mut piece = self.piece(header.frame_bytes());
        put(&mut piece, header, payload);
        piece.split().freeze()
    }

    /// What was kept is not needed any more.
    pub(super) fn give_back(&mut self, piece: Bytes) {
        let at = size(piece.len());
        if let (Some(bytes), Some(spare)) = (SIZES.get(at), self.spare.get_mut(at))
            && (spare.len() + 1) * bytes <= SPARE_BYTES_MAX
        {
            spare.push_back(piece);
        }
    }

    /// Marks a frame that was kept as one that was sent before. The sum does not cover flags.
    pub(super) fn mark(&mut self, kept: &mut Bytes) {
        if Flags(kept[FLAGS_AT]).has(Flags::RETRANSMISSION) {
            return;
        }
        let mut piece = std::mem::take(kept).try_into_mut().unwrap_or_else(|lent| {
            // The first try has not left yet.
            let mut piece = self.piece(lent.len());
            piece.put_slice(&lent);
            piece
        });
        piece[FLAGS_AT] |= Flags::RETRANSMISSION.0;
        *kept = piece.split().freeze();
    }

    /// An empty piece that holds so many bytes.
    fn piece(&mut self, bytes: usize) -> BytesMut {
        let at = size(bytes);
        let Some(spare) = self.spare.get_mut(at) else { return BytesMut::with_capacity(bytes) };
        match spare.pop_front().map(Bytes::try_into_mut) {
            Some(Ok(mut piece)) => {
                piece.clear();
                return piece;
            }
            // It is not sent yet: later.
            Some(Err(lent)) => spare.push_back(lent),
            None => {}
        }
        BytesMut::with_capacity(SIZES[at])
    }

    /// A page with room for so many bytes behind what is written on it.
    fn page(&mut self, bytes: usize) -> &mut BytesMut {
        if self.pages[self.page].capacity() < bytes {
            self.page = (self.page + 1) % PAGES;
            let page = &mut self.pages[self.page];
            let wanted = bytes.max(PAGE_BYTES);
            if !page.try_reclaim(wanted) {
                *page = BytesMut::with_capacity(wanted);
            }
        }
        &mut self.pages[self.page]
    }
}

fn put(out: &mut BytesMut, header: &Header, payload: &[u8]) {
    out.put_slice(&header.to_bytes());
    out.put_slice(payload);
    if header.flags.has(Flags::CRC) {
        out.put_slice(&sum(header, payload));
    }
}

/// Which of [`SIZES`] holds so many bytes; their number when none does.
fn size(bytes: usize) -> usize {
    SIZES.iter().position(|size| bytes <= *size).unwrap_or(SIZES.len())
}

/// Of pieces: small messages, half a packet, a packet of Ethernet, and what one receive buffer holds.
const SIZES: [usize; 5] = [128, 512, 1_536, 4_096, 16_384];
/// Two headers of malloc(3) and the counter of owners that `bytes` allocates.
const BESIDE_BYTES: usize = 80;
/// Most bytes of pieces of one size that wait to be used again: 1.25 MiB in all.
const SPARE_BYTES_MAX: usize = 256 << 10;
const FLAGS_AT: usize = 3;
/// Longest control frame that is said, as a first guess.
const MESSAGE_BYTES: usize = 128;
const PAGE_BYTES: usize = 4 << 10;
/// What is on one is mostly sent when the others are full.
const PAGES: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    fn header(bytes: usize) -> Header {
        Header::new(Kind::Data, bytes as u32, 7)
    }

    #[test]
    fn a_piece_that_came_back_is_used_again_and_not_before_it_was_sent() {
        let mut press = Press::default();
        let first = press.keep(&header(5), b"hello");
        let (at, lent) = (first.as_ptr(), first.clone());
        press.give_back(first);
        let second = press.keep(&header(5), b"other");
        assert_ne!(second.as_ptr(), at, "it is still on its way");
        assert_eq!(&lent[HEADER_BYTES..], b"hello");
        drop(lent);
        assert_eq!(press.keep(&header(100), &[1; 100]).as_ptr(), at);
    }

    #[test]
    fn a_mark_changes_the_frame_where_it_lies_unless_it_is_lent() {
        let mut press = Press::default();
        let mut kept = press.keep(&header(5), b"hello");
        let lent = kept.clone();
        press.mark(&mut kept);
        assert_eq!((lent[FLAGS_AT], kept[FLAGS_AT]), (0, Flags::RETRANSMISSION.0));
        assert_eq!((&lent[4..], lent.as_ptr() == kept.as_ptr()), (&kept[4..], false));
        let mut own = press.keep(&header(5), b"hello");
        let at = own.as_ptr();
        press.mark(&mut own);
        assert_eq!((own[FLAGS_AT], own.as_ptr()), (Flags::RETRANSMISSION.0, at));
    }

    #[test]
    fn what_waits_to_be_used_again_has_a_bound() {
        let mut press = Press::default();
        let kept: Vec<Bytes> = (0..4_000).map(|_| press.keep(&header(5), b"hello")).collect();
        kept.into_iter().for_each(|piece| press.give_back(piece));
        assert_eq!(press.spare[0].len() * SIZES[0], SPARE_BYTES_MAX);
    }
}

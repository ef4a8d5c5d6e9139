//! What stands behind a header: so many bytes of payload, and their sum if its flag is set.
//!
//! The sum is CRC-32C (Castagnoli, RFC 3720 appendix B.4, as iSCSI and SCTP have it) over the bytes from the type on: type,
//! reserved, length, seq, payload. Magic and version are compared anyway. Flags are left out because they change on the way (a
//! retransmission is marked), so that whoever passes a frame on passes its sum on as well: it goes from end to end.

use super::header::{Flags, Header};
use super::refusal::Refusal;

/// Bytes of the sum.
pub const CRC_BYTES: usize = 4;

/// Where a payload is being read, or passed on. 12 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Body {
    left: u32,
    crc: u32,
    flags: Flags,
}

impl Body {
    /// At the first byte behind a header.
    #[must_use]
    #[inline]
    pub fn new(header: &Header) -> Body {
        let crc = if header.flags.has(Flags::CRC) { begin(header) } else { 0 };
        Body { left: header.length, crc, flags: header.flags }
    }

    /// The flags of the frame.
    #[must_use]
    pub const fn flags(&self) -> Flags {
        self.flags
    }

    /// Bytes of payload that are still to come.
    #[must_use]
    pub const fn left(&self) -> u32 {
        self.left
    }

    /// Bytes of the sum that come then: 0 or [`CRC_BYTES`].
    #[must_use]
    pub const fn trailer_bytes(&self) -> usize {
        if self.flags.has(Flags::CRC) { CRC_BYTES } else { 0 }
    }

    /// Takes note of the next bytes of payload. Panics when they are more than are [`left`](Self::left).
    #[inline]
    pub fn pass(&mut self, payload: &[u8]) {
        assert!(payload.len() <= self.left as usize, "a payload does not go beyond its length");
        self.left -= payload.len() as u32;
        if self.flags.has(Flags::CRC) {
            self.crc = crc32c::crc32c_append(self.crc, payload);
        }
    }

    /// Holds the sum that came against the one of what came. Errors: [`Refusal::Crc`]. Panics before the end of the payload,
    /// and when `trailer` is not [`trailer_bytes`](Self::trailer_bytes) long.
    pub fn end(&self, trailer: &[u8]) -> Result<(), Refusal> {
        assert!(self.left == 0 && trailer.len() == self.trailer_bytes(), "the trailer comes last, and whole");
        if self.flags.has(Flags::CRC) && trailer != self.crc.to_be_bytes() {
            Err(Refusal::Crc)
        } else {
            Ok(())
        }
    }
}

/// The sum of a whole frame, to be written behind its payload when [`Flags::CRC`] is set.
#[must_use]
pub fn sum(header: &Header, payload: &[u8]) -> [u8; CRC_BYTES] {
    crc32c::crc32c_append(begin(header), payload).to_be_bytes()
}

fn begin(header: &Header) -> u32 {
    crc32c::crc32c(&header.to_bytes()[4..])
}

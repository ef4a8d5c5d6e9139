//! The 16 bytes that every frame begins with.
//!
//! ```text
//!  0      2       3      4      6          8        12     16
//!  | "RM" | version | flags | type | reserved | length |  seq | payload ... | CRC-32C, if its flag is set |
//! ```
//!
//! All numbers are in network order. Checked in the order of the bytes, each as soon as it is there: so the answer to a header
//! that is cut anywhere is the one to the whole of it.

use super::body::{Body, CRC_BYTES};
use super::kind::Kind;
use super::limits::FRAME_BYTES_MAX;
use super::refusal::Refusal;

/// Bytes of a header.
pub const HEADER_BYTES: usize = 16;

/// The version that is spoken here.
pub const VERSION: u8 = 1;

const MAGIC: [u8; 2] = *b"RM";

/// What the bytes of a frame's header say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// What the frame is.
    pub kind: Kind,
    /// What is special about it.
    pub flags: Flags,
    /// Bytes of its payload.
    pub length: u32,
    /// Its number. An answer (PONG, ACK, the echo of DATA, an ERROR about a frame) has the number of what it answers.
    pub seq: u32,
}

/// The flags of a frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags(pub u8);

impl Flags {
    /// None of them.
    pub const NONE: Flags = Flags(0);
    /// A CRC-32C stands behind the payload.
    pub const CRC: Flags = Flags(1);
    /// The receiver says ACK when it has the frame whole.
    pub const ACK_WANTED: Flags = Flags(1 << 1);
    /// The frame is delivered behind those with lower numbers that have this flag too. Datagrams only.
    pub const ORDERED: Flags = Flags(1 << 2);
    /// The frame was sent before. Datagrams only.
    pub const RETRANSMISSION: Flags = Flags(1 << 3);

    /// Whether all flags of `other` are set.
    #[must_use]
    pub const fn has(self, other: Flags) -> bool {
        self.0 & other.0 == other.0
    }

    /// These and those of `other`.
    #[must_use]
    pub const fn with(self, other: Flags) -> Flags {
        Flags(self.0 | other.0)
    }

    /// These, but for those of `other`.
    #[must_use]
    pub const fn without(self, other: Flags) -> Flags {
        Flags(self.0 & !other.0)
    }
}

/// What carries the frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    /// A stream of bytes: order and arrival are its business, [`Flags::ORDERED`] and [`Flags::RETRANSMISSION`] mean nothing.
    Stream,
    /// One frame a datagram.
    Datagram,
}

/// What a receiver takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// What carries the frames.
    pub over: Over,
    /// Longest payload of DATA and the application's frames in bytes. Control frames have bounds of their own
    /// ([`Kind::control_bytes_max`]), so that two sides can always speak.
    pub payload_bytes_max: u32,
}

impl Rules {
    /// Those of a stream, with payloads of the default length.
    pub const STREAM: Rules = Rules { over: Over::Stream, payload_bytes_max: FRAME_BYTES_MAX };
    /// Those of datagrams: a payload fits one UDP datagram over IPv4 (65,507 bytes, RFC 768 and 791) with header and sum.
    pub const DATAGRAM: Rules =
        Rules { over: Over::Datagram, payload_bytes_max: 65_507 - (HEADER_BYTES + CRC_BYTES) as u32 };

    const fn flags(&self) -> Flags {
        let every = Flags::CRC.with(Flags::ACK_WANTED);
        match self.over {
            Over::Stream => every,
            Over::Datagram => every.with(Flags::ORDERED).with(Flags::RETRANSMISSION),
        }
    }
}

impl Header {
    /// A header without flags.
    #[must_use]
    pub const fn new(kind: Kind, length: u32, seq: u32) -> Header {
        Header { kind, flags: Flags::NONE, length, seq }
    }

    /// The same, with `flags` set.
    #[must_use]
    pub const fn with(self, flags: Flags) -> Header {
        Header { flags: self.flags.with(flags), ..self }
    }

    /// Reads the header at the front of `bytes`; `None` when more are needed, which are then 16 in a row.
    ///
    /// Errors: [`Refusal::Magic`], `Version`, `Flag`, `Type`, `Reserved` and `TooLong`, as soon as the byte that is wrong is there.
    #[inline]
    pub fn read(bytes: &[u8], rules: &Rules) -> Result<Option<Header>, Refusal> {
        let Some(bytes) = bytes.first_chunk::<HEADER_BYTES>() else {
            return Self::fault(bytes, rules).map_or(Ok(None), Err);
        };
        let [m0, m1, version, flags, t0, t1, r0, r1, l0, l1, l2, l3, s0, s1, s2, s3] = *bytes;
        let kind = Kind::from_number(u16::from_be_bytes([t0, t1]));
        let (flags, length) = (Flags(flags), u32::from_be_bytes([l0, l1, l2, l3]));
        match kind {
            Some(kind)
                if [m0, m1] == MAGIC
                    && version == VERSION
                    && rules.flags().has(flags)
                    && [r0, r1] == [0, 0]
                    && length <= longest(kind, rules) =>
            {
                Ok(Some(Header { kind, flags, length, seq: u32::from_be_bytes([s0, s1, s2, s3]) }))
            }
            _ => Err(Self::fault(bytes, rules).expect("a header that is not taken has a fault")),
        }
    }

    /// What is wrong with the part of a header that is there. The first wrong byte decides.
    #[cold]
    fn fault(bytes: &[u8], rules: &Rules) -> Option<Refusal> {
        let begin = bytes.len().min(MAGIC.len());
        if bytes[..begin] != MAGIC[..begin] {
            return Some(Refusal::Magic);
        }
        if *bytes.get(2)? != VERSION {
            return Some(Refusal::Version);
        }
        if !rules.flags().has(Flags(*bytes.get(3)?)) {
            return Some(Refusal::Flag);
        }
        let Some(kind) = Kind::from_number(u16::from_be_bytes([*bytes.get(4)?, *bytes.get(5)?])) else {
            return Some(Refusal::Type);
        };
        if bytes.iter().skip(6).take(2).any(|&byte| byte != 0) {
            return Some(Refusal::Reserved);
        }
        let length = u32::from_be_bytes(*bytes.get(8..12)?.first_chunk()?);
        (length > longest(kind, rules)).then_some(Refusal::TooLong)
    }

    /// The header as it stands on the wire.
    #[must_use]
    #[inline]
    pub fn to_bytes(&self) -> [u8; HEADER_BYTES] {
        let [t0, t1] = self.kind.number().to_be_bytes();
        let [l0, l1, l2, l3] = self.length.to_be_bytes();
        let [s0, s1, s2, s3] = self.seq.to_be_bytes();
        [MAGIC[0], MAGIC[1], VERSION, self.flags.0, t0, t1, 0, 0, l0, l1, l2, l3, s0, s1, s2, s3]
    }

    /// Bytes of the sum behind the payload: 0 or [`CRC_BYTES`].
    #[must_use]
    pub const fn trailer_bytes(&self) -> usize {
        if self.flags.has(Flags::CRC) { CRC_BYTES } else { 0 }
    }

    /// Bytes of the whole frame.
    #[must_use]
    pub const fn frame_bytes(&self) -> usize {
        HEADER_BYTES + self.length as usize + self.trailer_bytes()
    }
}

const fn longest(kind: Kind, rules: &Rules) -> u32 {
    match kind.control_bytes_max() {
        Some(most) => most,
        None => rules.payload_bytes_max,
    }
}

/// The frame at the front of `bytes` and its payload, with its sum checked; `None` when it is not there whole. The next one
/// begins at [`Header::frame_bytes`].
///
/// For control frames, datagrams and clients that keep what they read; whoever passes payloads on uses [`Header::read`] and
/// [`Body`]. Errors: those of [`Header::read`], and [`Refusal::Crc`].
pub fn whole<'a>(bytes: &'a [u8], rules: &Rules) -> Result<Option<(Header, &'a [u8])>, Refusal> {
    let Some(header) = Header::read(bytes, rules)? else { return Ok(None) };
    let Some(frame) = bytes.get(..header.frame_bytes()) else { return Ok(None) };
    let (payload, trailer) = frame[HEADER_BYTES..].split_at(header.length as usize);
    let mut body = Body::new(&header);
    body.pass(payload);
    body.end(trailer)?;
    Ok(Some((header, payload)))
}

/// The one frame that a datagram is. Errors: those of [`whole`], and [`Refusal::Length`] when the datagram is shorter or longer.
pub fn datagram<'a>(bytes: &'a [u8], rules: &Rules) -> Result<(Header, &'a [u8]), Refusal> {
    match whole(bytes, rules)? {
        Some((header, payload)) if header.frame_bytes() == bytes.len() => Ok((header, payload)),
        _ => Err(Refusal::Length),
    }
}

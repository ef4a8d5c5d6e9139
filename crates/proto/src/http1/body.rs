//! Finding the payload of a request body inside the bytes received: lengths, chunks, trailers.
//!
//! Nothing is copied: [`Body::decode`] says how many bytes to skip and how many payload bytes follow, and the
//! caller takes them out of its input. It can be stopped and resumed at any byte. What a peer may add around
//! the payload (extensions, trailers) is checked, bounded and then ignored; no trailer ever becomes a header.
//!
//! ```text
//! Size -> (Extension ..) -> SizeLf -> Data -> DataCr -> DataLf -> Size
//!                             | size 0
//!                             +-> Trailer -> (Name -> Value -> ValueLf -> Trailer) -> EndLf -> Done
//! ```

use super::head::Framing;
use super::limits::{HEADERS_MAX, Limits};
use super::refusal::Refusal;
use super::target::hex;
use super::token::{is_token_byte, is_value_byte};

/// What the bytes given to [`Body::decode`] are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// `skip` bytes of framing, then `len` bytes of payload, at least one. Both count as taken: the next call
    /// gets what follows them. A caller with room for less gives less input.
    Data {
        /// Framing bytes before the payload.
        skip: usize,
        /// Payload bytes in this input.
        len: usize,
    },
    /// `used` bytes of framing, all there were; the body goes on.
    More {
        /// Bytes used: the whole input.
        used: usize,
    },
    /// The body ended after `used` bytes; the next request begins there.
    Done {
        /// Framing bytes used.
        used: usize,
    },
}

/// The decoder of one body. Small enough to live in a session; never holds payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Body {
    state: State,
    /// Payload bytes announced so far, those of the chunk being read included.
    announced: u64,
    /// Bytes of chunk extensions so far.
    extension_bytes: u32,
    /// Bytes of trailers so far, and their lines.
    trailer_bytes: u32,
    trailers: u16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Payload of a body with a length.
    Length {
        left: u64,
    },
    /// Hex digits of a chunk size.
    Size {
        size: u64,
        digits: u8,
    },
    /// The extensions behind it (RFC 9112 section 7.1.1).
    Extension {
        size: u64,
        part: Extension,
    },
    /// The line feed of the size line.
    SizeLf {
        size: u64,
    },
    /// Payload of a chunk.
    Data {
        left: u64,
    },
    DataCr,
    DataLf,
    /// The first byte of a trailer line, or of the end.
    Trailer,
    TrailerName,
    TrailerValue,
    TrailerLf,
    EndLf,
    Done,
}

/// Where in `;name=value;name="quoted"` the decoder is. White space around them, which RFC 9112 calls bad, is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Extension {
    NameFirst,
    Name,
    ValueFirst,
    Value,
    Quoted,
    /// Behind a backslash in a quoted string.
    Escaped,
    /// Behind the closing quote.
    Closed,
}

impl Body {
    /// A decoder at the start of a body framed so.
    #[must_use]
    pub fn new(framing: Framing) -> Self {
        let state = match framing {
            Framing::None | Framing::Length(0) => State::Done,
            Framing::Length(left) => State::Length { left },
            Framing::Chunked => State::Size { size: 0, digits: 0 },
        };
        Self { state, announced: 0, extension_bytes: 0, trailer_bytes: 0, trailers: 0 }
    }

    /// Whether the body has ended.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Says what the start of `input` is: the bytes after those the calls before have used.
    ///
    /// Errors: [`Refusal::ChunkSize`], [`Refusal::ChunkExtension`], [`Refusal::ChunkEnd`], [`Refusal::Trailer`],
    /// [`Refusal::TrailersTooLarge`], [`Refusal::BodyTooLarge`]; the connection must then be closed, and the
    /// decoder not be used again.
    pub fn decode(&mut self, input: &[u8], limits: &Limits) -> Result<Step, Refusal> {
        let mut used = 0;
        loop {
            let rest = &input[used..];
            match &mut self.state {
                State::Done => return Ok(Step::Done { used }),
                _ if rest.is_empty() => return Ok(Step::More { used }),
                State::Length { left } => {
                    let len = take(left, rest.len());
                    if *left == 0 {
                        self.state = State::Done;
                    }
                    return Ok(Step::Data { skip: used, len });
                }
                State::Data { left } => {
                    let len = take(left, rest.len());
                    if *left == 0 {
                        self.state = State::DataCr;
                    }
                    return Ok(Step::Data { skip: used, len });
                }
                _ => {
                    self.state = self.framing_byte(rest[0], limits)?;
                    used += 1;
                }
            }
        }
    }

    /// The state after one byte of framing.
    fn framing_byte(&mut self, byte: u8, limits: &Limits) -> Result<State, Refusal> {
        match (self.state, byte) {
            (State::Size { digits: 1.., size }, b'\r') => Ok(State::SizeLf { size }),
            (State::Size { digits: 1.., size }, b';') => {
                self.count_extension(limits)?;
                Ok(State::Extension { size, part: Extension::NameFirst })
            }
            (State::Size { size, digits }, _) => {
                let digit = hex(byte).filter(|_| digits < SIZE_DIGITS_MAX).ok_or(Refusal::ChunkSize)?;
                Ok(State::Size { size: size << 4 | u64::from(digit), digits: digits + 1 })
            }
            (State::Extension { size, part }, b'\r') if part.may_end() => Ok(State::SizeLf { size }),
            (State::Extension { size, part }, _) => {
                self.count_extension(limits)?;
                Ok(State::Extension { size, part: part.after(byte).ok_or(Refusal::ChunkExtension)? })
            }
            (State::SizeLf { size: 0 }, b'\n') => Ok(State::Trailer),
            (State::SizeLf { size }, b'\n') => {
                let announced = self.announced.checked_add(size).filter(|sum| *sum <= limits.body_bytes_max);
                self.announced = announced.ok_or(Refusal::BodyTooLarge)?;
                Ok(State::Data { left: size })
            }
            (State::SizeLf { .. }, _) => Err(Refusal::ChunkSize),
            (State::DataCr, b'\r') => Ok(State::DataLf),
            (State::DataLf, b'\n') => Ok(State::Size { size: 0, digits: 0 }),
            (State::DataCr | State::DataLf, _) => Err(Refusal::ChunkEnd),
            _ => self.trailer_byte(byte, limits),
        }
    }

    /// Trailer lines obey the rules of header lines (RFC 9112 section 7.1.2) and the bounds of a head.
    fn trailer_byte(&mut self, byte: u8, limits: &Limits) -> Result<State, Refusal> {
        let next = match (self.state, byte) {
            (State::EndLf, b'\n') => return Ok(State::Done),
            (State::Trailer, b'\r') => return Ok(State::EndLf),
            (State::Trailer, _) if is_token_byte(byte) => {
                self.trailers += 1;
                State::TrailerName
            }
            (State::TrailerName, b':') => State::TrailerValue,
            (State::TrailerName, _) if is_token_byte(byte) => State::TrailerName,
            (State::TrailerValue, b'\r') => State::TrailerLf,
            (State::TrailerValue, _) if is_value_byte(byte) => State::TrailerValue,
            (State::TrailerLf, b'\n') => State::Trailer,
            _ => return Err(Refusal::Trailer),
        };
        self.trailer_bytes += 1;
        let too_many = usize::from(self.trailers) > limits.headers_max.min(HEADERS_MAX);
        if too_many || self.trailer_bytes as usize > limits.head_bytes_max {
            return Err(Refusal::TrailersTooLarge);
        }
        Ok(next)
    }

    fn count_extension(&mut self, limits: &Limits) -> Result<(), Refusal> {
        self.extension_bytes += 1;
        if self.extension_bytes as usize > limits.extension_bytes_max {
            return Err(Refusal::ChunkExtension);
        }
        Ok(())
    }
}

impl Extension {
    fn may_end(self) -> bool {
        matches!(self, Self::Name | Self::Value | Self::Closed)
    }

    /// The part after one more byte; `None` if that byte may not stand there.
    fn after(self, byte: u8) -> Option<Self> {
        match (self, byte) {
            (_, b';') if self.may_end() => Some(Self::NameFirst),
            (Self::Name, b'=') => Some(Self::ValueFirst),
            (Self::NameFirst | Self::Name, _) if is_token_byte(byte) => Some(Self::Name),
            (Self::ValueFirst, b'"') | (Self::Escaped, _) if is_value_byte(byte) => Some(Self::Quoted),
            (Self::ValueFirst | Self::Value, _) if is_token_byte(byte) => Some(Self::Value),
            (Self::Quoted, b'"') => Some(Self::Closed),
            (Self::Quoted, b'\\') => Some(Self::Escaped),
            (Self::Quoted, _) if is_value_byte(byte) => Some(Self::Quoted),
            _ => None,
        }
    }
}

/// Takes up to `len` bytes off `left`; gives how many.
fn take(left: &mut u64, len: usize) -> usize {
    let taken = usize::try_from(*left).map_or(len, |left| left.min(len));
    *left -= taken as u64;
    taken
}

/// More than 16 hex digits do not fit into 64 bits.
const SIZE_DIGITS_MAX: u8 = 16;

const _: () = assert!(size_of::<Body>() <= 48, "a body lives in every session");

//! Reads frames (docs/FRAME.md): the answer to a request is a DATA frame with its number and its payload.
//!
//! Frames of a stream are answered in the order in which they came, so a number that is neither the oldest outstanding one nor one that
//! was answered before means that nothing behind it can be believed. What the server asks meanwhile is answered by whoever reads.

use super::echo::Window;
use super::pattern::Pattern;
use super::reader::{Answer, Reader};
use proto::frame::{
    Body, CRC_BYTES, Flags, HEADER_BYTES, Header, Hello, Kind, Ping, Refusal, Rules, read as message, write,
};
use shard::Out;

/// Most bytes of a payload: what both sides take when nobody says more.
pub const BYTES_MAX: usize = proto::frame::FRAME_BYTES_MAX as usize;
/// Bytes before each payload.
pub const FRAME_HEADER_BYTES: usize = HEADER_BYTES;
/// PONGs that are owed, in bytes; a server that asks for more than that at once is no server.
const PONGS_MAX: usize = 4096;

/// How far the frames of one connection have come.
#[derive(Debug, Default)]
pub(super) struct Partial {
    header: [u8; HEADER_BYTES],
    /// Bytes of the header that came.
    at: usize,
    passing: Option<Passing>,
    /// The server's HELLO came.
    greeted: bool,
    /// PONGs that are to be said.
    pub(super) pongs: Vec<u8>,
}

/// A frame whose header is known.
#[derive(Debug)]
struct Passing {
    header: Header,
    body: Body,
    /// Which request it answers.
    number: u64,
    /// A byte of it is not what it should be.
    bad: bool,
    /// Of a control frame the payload; then the sum, if it has one.
    kept: Vec<u8>,
}

/// The HELLO of a load, which leaves everything to the server.
pub(super) fn hello() -> Vec<u8> {
    let mut out = Vec::new();
    write(&mut out, Kind::Hello, Flags::NONE, 0, &Hello::new());
    out
}

/// Writes request `number`; `false` when there is no room for it.
#[inline]
pub(super) fn request(pattern: &Pattern, connection: u32, number: u64, out: &mut Out) -> bool {
    let header = Header::new(Kind::Data, pattern.bytes() as u32, number as u32).to_bytes();
    pattern.write_behind(&header, connection, number, out)
}

/// Reads `bytes`; `ended` is told of each answer. Without `verify` payloads are not compared.
#[inline]
pub(super) fn read(
    reader: &mut Reader,
    pattern: &Pattern,
    mut window: Window,
    mut bytes: &[u8],
    verify: bool,
    mut ended: impl FnMut(Answer),
) {
    let mut partial = match std::mem::take(reader) {
        Reader::Frame(partial) => partial,
        _ => Box::default(),
    };
    while !bytes.is_empty() {
        let answer = match partial.step(pattern, window, &mut bytes, verify) {
            Ok(None) => continue,
            Ok(Some(answer)) => answer,
            Err(_) => Answer::Garbage,
        };
        if matches!(answer, Answer::Good(_) | Answer::Corrupt) {
            window.outstanding -= 1;
        }
        ended(answer);
        if answer == Answer::Garbage {
            return;
        }
    }
    *reader = Reader::Frame(partial);
}

impl Partial {
    /// Whether a part of a frame has come.
    pub(super) fn is_midway(&self) -> bool {
        self.at > 0
    }

    /// Reads on in `bytes`. Errors: what cannot be understood.
    #[inline]
    fn step(
        &mut self,
        pattern: &Pattern,
        window: Window,
        bytes: &mut &[u8],
        verify: bool,
    ) -> Result<Option<Answer>, Refusal> {
        let Some(passing) = &mut self.passing else { return self.begin(pattern, window, bytes) };
        let (part, rest) = bytes.split_at(bytes.len().min(passing.body.left() as usize));
        passing.take(pattern, window.connection, part, verify);
        let missing = passing.body.trailer_bytes().saturating_sub(passing.kept.len());
        let (sum, rest) = if passing.body.left() > 0 || passing.header.kind.is_control() {
            (&[][..], rest)
        } else {
            rest.split_at(rest.len().min(missing))
        };
        passing.kept.extend_from_slice(sum);
        *bytes = rest;
        self.end_if_whole(window)
    }

    fn begin(
        &mut self,
        pattern: &Pattern,
        window: Window,
        bytes: &mut &[u8],
    ) -> Result<Option<Answer>, Refusal> {
        let (part, rest) = bytes.split_at(bytes.len().min(HEADER_BYTES - self.at));
        self.header[self.at..][..part.len()].copy_from_slice(part);
        self.at += part.len();
        *bytes = rest;
        let rules = Rules { payload_bytes_max: pattern.bytes() as u32, ..Rules::STREAM };
        let Some(header) = Header::read(&self.header[..self.at], &rules)? else { return Ok(None) };
        if header.kind.is_control() && header.flags.has(Flags::CRC) {
            // Nobody asked for it, and all that is known here never says it.
            return Err(Refusal::Flag);
        }
        if !self.greeted && !matches!(header.kind, Kind::Hello | Kind::Error | Kind::Goaway) {
            return Err(Refusal::HelloExpected);
        }
        let oldest = window.next - window.outstanding;
        // Of the numbers that end so the one that is nearest to those that are outstanding.
        let ahead = header.seq.wrapping_sub(oldest as u32).cast_signed();
        let number = oldest.wrapping_add_signed(ahead.into());
        let bad = header.kind != Kind::Data || header.length as usize != pattern.bytes();
        self.passing = Some(Passing { header, body: Body::new(&header), number, bad, kept: Vec::new() });
        self.end_if_whole(window)
    }

    fn end_if_whole(&mut self, window: Window) -> Result<Option<Answer>, Refusal> {
        let is_whole = self.passing.as_ref().is_some_and(|passing| {
            let sum = if passing.header.kind.is_control() { 0 } else { passing.body.trailer_bytes() };
            passing.body.left() == 0 && (sum == 0 || passing.kept.len() == CRC_BYTES)
        });
        let Some(passing) = self.passing.take_if(|_| is_whole) else { return Ok(None) };
        self.at = 0;
        match passing.header.kind.is_control() {
            true => self.control(&passing.header, &passing.kept),
            false => passing.judge(window).map(Some),
        }
    }

    fn control(&mut self, header: &Header, payload: &[u8]) -> Result<Option<Answer>, Refusal> {
        match header.kind {
            Kind::Hello if self.greeted => return Err(Refusal::HelloRepeated),
            Kind::Hello => {
                message::<Hello>(payload)?.settled()?;
                self.greeted = true;
            }
            Kind::Ping => {
                message::<Ping>(payload)?;
                if self.pongs.len() > PONGS_MAX {
                    return Err(Refusal::Busy);
                }
                self.pongs.extend(Header::new(Kind::Pong, header.length, header.seq).to_bytes());
                self.pongs.extend(payload);
            }
            // Nothing new is begun; who said it closes when it has answered, or at once.
            Kind::Error | Kind::Goaway => return Ok(Some(Answer::Closing)),
            _ => {}
        }
        Ok(None)
    }
}

impl Passing {
    /// The next bytes of the payload.
    #[inline]
    fn take(&mut self, pattern: &Pattern, connection: u32, part: &[u8], verify: bool) {
        let at = (self.header.length - self.body.left()) as usize;
        self.body.pass(part);
        if self.header.kind.is_control() {
            return self.kept.extend_from_slice(part);
        }
        if !verify || self.bad {
            return;
        }
        let head = self.number.to_le_bytes();
        let of_head = part.len().min(pattern.head().saturating_sub(at));
        let (first, rest) = part.split_at(of_head);
        self.bad = *first != head[at.min(head.len())..][..of_head];
        if !rest.is_empty() {
            let fill = pattern.fill(connection, self.number, at + of_head - pattern.head());
            self.bad |= *rest != fill[..rest.len()];
        }
    }

    fn judge(&self, window: Window) -> Result<Answer, Refusal> {
        let oldest = window.next - window.outstanding;
        if self.number < oldest {
            return Ok(Answer::Duplicated);
        }
        if self.number > oldest || window.outstanding == 0 {
            return Err(Refusal::Malformed);
        }
        let sound = self.body.end(&self.kept).is_ok();
        Ok(if self.bad || !sound { Answer::Corrupt } else { Answer::Good(0) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proto::frame::Goaway;

    const NEXT: u64 = (1 << 32) + 2;

    fn data(pattern: &Pattern, number: u64) -> Vec<u8> {
        let header = Header::new(Kind::Data, pattern.bytes() as u32, number as u32).to_bytes();
        let head = number.to_le_bytes();
        [&header[..], &head[..pattern.head()], pattern.fill(3, number, 0)].concat()
    }

    fn control(kind: Kind, message: &impl proto::frame::Message) -> Vec<u8> {
        let mut bytes = Vec::new();
        write(&mut bytes, kind, Flags::NONE, 9, message);
        bytes
    }

    /// Reads pieces, of which `outstanding` requests before [`NEXT`] are to come. Returns the answers and the PONGs that are owed.
    fn read_pieces(pattern: &Pattern, mut outstanding: u64, pieces: &[&[u8]]) -> (Vec<Answer>, Vec<u8>) {
        let (mut reader, mut answers) = (Reader::default(), Vec::new());
        for piece in pieces {
            let window = Window { connection: 3, next: NEXT, outstanding };
            read(&mut reader, pattern, window, piece, true, |answer| {
                outstanding -= u64::from(matches!(answer, Good(_) | Corrupt));
                answers.push(answer);
            });
            if answers.last() == Some(&Garbage) {
                break;
            }
        }
        let pongs = if let Reader::Frame(partial) = reader { partial.pongs } else { Vec::new() };
        (answers, pongs)
    }

    /// The same wherever it is cut: at every position, and at every pair of positions.
    fn read_all(pattern: &Pattern, outstanding: u64, bytes: &[u8]) -> (Vec<Answer>, Vec<u8>) {
        let whole = read_pieces(pattern, outstanding, &[bytes]);
        for first in 0..=bytes.len() {
            for second in first..=bytes.len() {
                let pieces = [&bytes[..first], &bytes[first..second], &bytes[second..]];
                assert_eq!(read_pieces(pattern, outstanding, &pieces), whole, "cut at {first}, {second}");
            }
        }
        whole
    }

    use Answer::{Closing, Corrupt, Duplicated, Garbage, Good};

    #[test]
    fn frames_of_every_size_are_read_wherever_they_are_cut_and_over_the_wrap_of_their_numbers() {
        for bytes in (1..=9).chain([40]) {
            let pattern = Pattern::new(1, bytes);
            let stream = [
                hello(),
                data(&pattern, NEXT - 3),
                control(Kind::Ping, &Ping { stamp: 5 }),
                data(&pattern, NEXT - 2),
                data(&pattern, NEXT - 1),
                control(Kind::Goaway, &Goaway::default()),
            ];
            let (answers, pongs) = read_all(&pattern, 3, &stream.concat());
            assert_eq!(answers, [Good(0), Good(0), Good(0), Closing], "{bytes} bytes");
            assert_eq!(pongs, control(Kind::Pong, &Ping { stamp: 5 }));
        }
    }

    #[test]
    fn each_way_to_be_wrong_has_its_name() {
        let pattern = Pattern::new(1, 12);
        let seen = |outstanding, frames: &[Vec<u8>]| {
            let stream = [&[hello()], frames].concat().concat();
            read_all(&pattern, outstanding, &stream).0
        };
        let right = |back: u64| data(&pattern, NEXT - back);
        let mut bad = right(2);
        bad[HEADER_BYTES + 9] ^= 1;
        let mut short = Header::new(Kind::Data, 1, (NEXT - 2) as u32).to_bytes().to_vec();
        short.push(0);
        assert_eq!(seen(2, &[bad, right(1)]), [Corrupt, Good(0)]);
        assert_eq!(seen(2, &[short, right(1)]), [Corrupt, Good(0)], "another length");
        assert_eq!(seen(2, &[right(2), right(2), right(1)]), [Good(0), Duplicated, Good(0)]);
        assert_eq!(seen(2, &[right(1)]), [Garbage], "overtaken");
        assert_eq!(seen(1, &[data(&pattern, NEXT)]), [Garbage], "never sent");
        assert_eq!(seen(1, &[hello()]), [Garbage], "a second HELLO");
        assert_eq!(seen(1, &[b"HTTP/1.1 200 OK\r\n\r\n".to_vec()]), [Garbage]);
        assert_eq!(read_all(&pattern, 1, &right(1)).0, [Garbage], "before HELLO");
        let asked = control(Kind::Ping, &Ping { stamp: 5 }).repeat(1000);
        let stream = [hello(), asked].concat();
        assert_eq!(read_pieces(&pattern, 1, &[&stream]).0, [Garbage], "asked without end");
    }
}

//! The line scanner for heads that did not arrive whole and correct: finds the end, refuses bad bytes at once.
//!
//! It looks at each byte once, however the head is cut, because [`Scan`] remembers how far it got. It judges
//! bytes and line ends only, in the order of the bytes; what a line means is judged in `head`. The rule that
//! makes the answer independent of cuts is: *the first bad line decides, and within a line its bytes are
//! judged before its meaning.*

use super::limits::{Limits, METHOD_BYTES_MAX};
use super::refusal::Refusal;

/// Where the reading of a head stands. One for each connection, 12 bytes; `Default` is the start of a head.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scan {
    /// Offset of the request line: 0, or 2 behind one empty line.
    start: u32,
    /// Offset of the line being read.
    line: u32,
    /// Bytes looked at. Invariant: start <= line <= at.
    at: u32,
}

impl Scan {
    /// Whether no byte of this head has been looked at.
    #[inline]
    #[must_use]
    pub fn is_fresh(&self) -> bool {
        self.at == 0
    }

    /// Bytes of the head looked at so far.
    #[must_use]
    pub fn seen(&self) -> usize {
        self.at as usize
    }

    /// Offset of the request line.
    pub(super) fn start(&self) -> usize {
        self.start as usize
    }

    /// Offset of the line being read: all lines before it are complete and free of bad bytes.
    pub(super) fn line(&self) -> usize {
        self.line as usize
    }

    /// Whether the request line is not complete yet.
    pub(super) fn in_request_line(&self) -> bool {
        self.line == self.start
    }

    /// Looks at the bytes that are new in `input`, which holds the head from its first byte. Gives the
    /// head's length once its empty line is there.
    pub(super) fn advance(&mut self, input: &[u8], limits: &Limits) -> Result<Option<usize>, Refusal> {
        assert!(self.seen() <= input.len(), "a head shrank between two calls");
        loop {
            let bound = self.bound(limits);
            let window = &input[..input.len().min(bound)];
            self.at = position(find_special(window, self.seen(), self.in_request_line()));
            let at = self.seen();
            let at_bound = window.len() == bound;
            match (window.get(at), window.get(at + 1)) {
                (None, _) | (Some(b'\r'), None) if at_bound => return Err(self.too_long(window, limits)),
                (None, _) | (Some(b'\r'), None) => return Ok(None),
                (Some(b'\r'), Some(b'\n')) => {
                    if let Some(end) = self.line_ended(at)? {
                        return Ok(Some(end));
                    }
                }
                (Some(b'\r'), Some(_)) => return Err(Refusal::BareCr),
                (Some(b'\n'), _) => return Err(Refusal::BareLf),
                (Some(b'\t'), _) if !self.in_request_line() => self.at += 1,
                (Some(0x80..), _) => return Err(Refusal::NonAscii),
                (Some(_), _) => return Err(Refusal::ControlByte),
            }
        }
    }

    /// Steps over the line end at `at`; gives the head's length if that was the empty line.
    fn line_ended(&mut self, at: usize) -> Result<Option<usize>, Refusal> {
        let next = position(at + 2);
        let is_empty = at == self.line();
        match (self.in_request_line(), is_empty) {
            // One empty line before a request is ignored (RFC 9112 section 2.2), not two.
            (true, true) if self.start == 0 => self.start = next,
            (true, true) => return Err(Refusal::EmptyLines),
            (false, true) => return Ok(Some(next as usize)),
            (_, false) => {}
        }
        (self.line, self.at) = (next, next);
        Ok(None)
    }

    /// The offset that the line being read may not reach without an end.
    fn bound(&self, limits: &Limits) -> usize {
        let request_line =
            self.start() + limits.uri_bytes_max.saturating_add(METHOD_BYTES_MAX + "  HTTP/1.1\r\n".len());
        if self.in_request_line() { request_line.min(limits.head_bytes_max) } else { limits.head_bytes_max }
    }

    fn too_long(&self, window: &[u8], limits: &Limits) -> Refusal {
        if window.len() >= limits.head_bytes_max {
            return Refusal::HeadTooLarge;
        }
        let method = window[self.start()..].iter().take(METHOD_BYTES_MAX + 1);
        if method.into_iter().any(|&byte| byte == b' ') {
            Refusal::UriTooLong
        } else {
            Refusal::MethodTooLong
        }
    }
}

/// Offsets are kept in 32 bits: `Limits::head_bytes_max` bounds them.
fn position(offset: usize) -> u32 {
    u32::try_from(offset).expect("a head is shorter than 4 GiB")
}

/// Offset of the first byte at or after `from` that ends or spoils a line: below 0x20, 0x7F and, in the
/// request line, 0x80 and more. `bytes.len()` if there is none.
#[inline]
pub(super) fn find_special(bytes: &[u8], from: usize, ascii_only: bool) -> usize {
    let (words, tail) = bytes[from..].as_chunks::<8>();
    let high = if ascii_only { HIGH } else { 0 };
    for (index, word) in words.iter().enumerate() {
        let found = special(u64::from_le_bytes(*word), high);
        if found != 0 {
            return from + index * 8 + found.trailing_zeros() as usize / 8;
        }
    }
    let is_special = |&byte: &u8| byte < 0x20 || byte == 0x7f || (ascii_only && byte >= 0x80);
    bytes.len() - tail.len() + tail.iter().position(is_special).unwrap_or(tail.len())
}

/// Offset of the first byte of `bytes` below `bound`, which is at most 0x80; `bytes.len()` if there is none.
#[inline]
pub(super) fn find_below(bytes: &[u8], bound: u8) -> usize {
    let (words, tail) = bytes.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let found = word.wrapping_sub(ONES * u64::from(bound)) & !word & HIGH;
        if found != 0 {
            return index * 8 + found.trailing_zeros() as usize / 8;
        }
    }
    bytes.len() - tail.len() + tail.iter().position(|&byte| byte < bound).unwrap_or(tail.len())
}

/// The high bit of each special byte of `word`. Bits above the lowest one set may be wrong (a borrow runs
/// upwards), so only the lowest is used.
#[inline]
fn special(word: u64, high: u64) -> u64 {
    let below_space = word.wrapping_sub(ONES * 0x20) & !word;
    let delete = word ^ (ONES * 0x7f);
    let is_delete = delete.wrapping_sub(ONES) & !delete;
    (below_space | is_delete) & HIGH | word & high
}

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_word_scan_finds_what_a_byte_loop_finds_at_every_offset() {
        for byte in 0..=255u8 {
            for at in 0..19 {
                for ascii_only in [false, true] {
                    let mut bytes = *b"abcdefghijklmnopqrst";
                    bytes[at] = byte;
                    let is_special = byte < 0x20 || byte == 0x7f || (ascii_only && byte >= 0x80);
                    let expected = if is_special { at } else { bytes.len() };
                    assert_eq!(find_special(&bytes, 0, ascii_only), expected, "{byte:#x} at {at}");
                    bytes[at + 1] = 0x1f;
                    let expected = if is_special { at } else { at + 1 };
                    assert_eq!(find_special(&bytes, 0, ascii_only), expected, "{byte:#x} at {at}, then 0x1f");
                }
            }
        }
    }
}

//! Reads echoed messages: where each begins is known, so all that can be wrong has a name.

use super::pattern::{HEAD, Pattern};
use super::reader::{Answer, Reader};

/// A message of which a part has come.
#[derive(Debug, Default)]
pub(super) struct Partial {
    /// Bytes of it that came.
    at: usize,
    head: [u8; HEAD],
    /// A byte behind its head is not what it should be.
    bad: bool,
    /// The message before it could not be told to be any of ours.
    strange: bool,
    /// Messages that were overtaken and have not come yet.
    missing: Option<Vec<u64>>,
    /// Messages that came since and were none of these.
    others: u32,
}

/// Overtaken messages that are remembered; further ones count as corrupt when they come.
const MISSING_MAX: usize = 64;
/// After so many others an overtaken message is lost, which no stream does: each answer would be taken for the one before it.
const OTHERS_MAX: u32 = 16;

/// What is known of a connection's messages: those from `first` to before `next` are outstanding.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    pub(super) connection: u32,
    pub(super) next: u64,
    pub(super) outstanding: u64,
}

/// Reads `bytes`; `ended` is told of each answer. Without `verify` only lengths count.
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
        Reader::Echo(partial) => partial,
        _ => Partial::default(),
    };
    while !bytes.is_empty() {
        if window.outstanding == 0 && !verify {
            ended(Answer::Extra(bytes.len() as u64));
            break;
        }
        let (part, rest) = bytes.split_at(bytes.len().min(pattern.bytes() - partial.at));
        bytes = rest;
        if verify {
            partial.compare(pattern, window, part);
        }
        partial.at += part.len();
        if partial.at < pattern.bytes() {
            break;
        }
        let answer = match verify {
            true => partial.judge(pattern, window),
            false => Answer::Good(0),
        };
        let answer = match answer {
            Answer::Duplicated | Answer::Garbage => answer,
            _ if window.outstanding == 0 => Answer::Extra(pattern.bytes() as u64),
            _ => answer,
        };
        if !matches!(answer, Answer::Duplicated | Answer::Garbage | Answer::Extra(_)) {
            window.outstanding -= 1;
        }
        ended(answer);
        if answer == Answer::Garbage {
            return;
        }
        (partial.at, partial.bad) = (0, false);
    }
    // Overtaken messages are remembered between answers too; a connection without any is idle again.
    if partial.at > 0 || partial.strange || partial.missing.is_some() {
        *reader = Reader::Echo(partial);
    }
}

impl Partial {
    /// Whether a part of a message has come.
    pub(super) fn is_midway(&self) -> bool {
        self.at > 0
    }

    fn compare(&mut self, pattern: &Pattern, window: Window, part: &[u8]) {
        let of_head = part.len().min(pattern.head().saturating_sub(self.at));
        self.head[self.at.min(HEAD)..][..of_head].copy_from_slice(&part[..of_head]);
        let (at, rest) = (self.at + of_head, &part[of_head..]);
        if rest.is_empty() {
            return;
        }
        let fill = pattern.fill(window.connection, self.number(pattern, window), at - pattern.head());
        self.bad |= fill[..rest.len()] != *rest;
    }

    /// The number that the message gives itself. One too short for it is taken for the oldest that is outstanding.
    fn number(&self, pattern: &Pattern, window: Window) -> u64 {
        if pattern.head() < HEAD {
            return window.next - window.outstanding;
        }
        u64::from_le_bytes(self.head)
    }

    fn judge(&mut self, pattern: &Pattern, window: Window) -> Answer {
        let oldest = window.next - window.outstanding;
        if pattern.head() < HEAD {
            let expected = &oldest.to_le_bytes()[..pattern.head()];
            return if self.head[..expected.len()] == *expected { self.known() } else { self.strange() };
        }
        let number = self.number(pattern, window);
        if number >= window.next {
            return self.strange();
        }
        self.strange = false;
        if self.bad {
            return Answer::Corrupt;
        }
        if let Some(at) = self.missing.as_ref().and_then(|missing| missing.iter().position(|m| *m == number))
        {
            // The one that was overtaken: it answers the request that the one before it in the stream did not.
            self.forget(at);
            return Answer::Good(0);
        }
        // Answers that were taken out of order count for the oldest request, so what is expected next is the oldest number that is
        // neither outstanding nor missing.
        let ahead = self.missing.as_ref().map_or(0, |missing| missing.len() as u64);
        let expected = oldest + ahead;
        if number == expected {
            self.others += u32::from(ahead > 0);
            return if self.others > OTHERS_MAX { Answer::Garbage } else { Answer::Good(0) };
        }
        if number < expected {
            return Answer::Duplicated;
        }
        let missing = self.missing.get_or_insert_default();
        if missing.len() as u64 + (number - expected) > MISSING_MAX as u64 {
            return Answer::Corrupt;
        }
        missing.extend(expected..number);
        Answer::Reordered
    }

    fn known(&mut self) -> Answer {
        self.strange = false;
        Answer::Good(0)
    }

    /// One may be damaged; where two follow each other the stream has lost its step, and nothing behind them means anything.
    fn strange(&mut self) -> Answer {
        match std::mem::replace(&mut self.strange, true) {
            true => Answer::Garbage,
            false => Answer::Corrupt,
        }
    }

    fn forget(&mut self, at: usize) {
        self.others = 0;
        if let Some(missing) = self.missing.as_mut() {
            missing.swap_remove(at);
            if missing.is_empty() {
                self.missing = None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use shard::random::Random;

    const NEXT: u64 = 12;

    fn message(pattern: &Pattern, number: u64) -> Vec<u8> {
        [&number.to_le_bytes()[..pattern.head()], pattern.fill(3, number, 0)].concat()
    }

    fn messages(pattern: &Pattern, numbers: &[u64]) -> Vec<u8> {
        numbers.iter().flat_map(|number| message(pattern, *number)).collect()
    }

    /// Reads pieces, of which `outstanding` requests before [`NEXT`] are to come; stops where a connection would be given up.
    fn read_pieces(pattern: &Pattern, mut outstanding: u64, pieces: &[&[u8]], verify: bool) -> Vec<Answer> {
        let (mut reader, mut answers) = (Reader::default(), Vec::new());
        for piece in pieces {
            let window = Window { connection: 3, next: NEXT, outstanding };
            read(&mut reader, pattern, window, piece, verify, |answer| {
                outstanding -= u64::from(!matches!(answer, Duplicated | Extra(_) | Garbage));
                answers.push(answer);
            });
            if answers.last() == Some(&Garbage) {
                break;
            }
        }
        answers
    }

    /// The same wherever it is cut: at every position, and at every pair of positions.
    fn read_all(pattern: &Pattern, outstanding: u64, bytes: &[u8]) -> Vec<Answer> {
        let whole = read_pieces(pattern, outstanding, &[bytes], true);
        for first in 0..=bytes.len() {
            for second in first..=bytes.len() {
                let pieces = [&bytes[..first], &bytes[first..second], &bytes[second..]];
                assert_eq!(
                    read_pieces(pattern, outstanding, &pieces, true),
                    whole,
                    "cut at {first}, {second}"
                );
            }
        }
        whole
    }

    use Answer::{Corrupt, Duplicated, Extra, Garbage, Good, Reordered};

    #[test]
    fn messages_of_every_size_are_read_wherever_they_are_cut() {
        for bytes in (1..=9).chain([17, 40]) {
            let pattern = Pattern::new(1, bytes);
            let three = messages(&pattern, &[9, 10, 11]);
            assert_eq!(read_all(&pattern, 3, &three), [Good(0); 3], "{bytes} bytes");
            assert_eq!(read_pieces(&pattern, 3, &[&three], false), [Good(0); 3]);
            assert_eq!(read_all(&pattern, 3, &three[..three.len() - 1]), [Good(0); 2]);
        }
    }

    #[test]
    fn each_way_to_be_wrong_has_its_name() {
        let pattern = Pattern::new(1, 12);
        let seen =
            |outstanding, numbers: &[u64]| read_all(&pattern, outstanding, &messages(&pattern, numbers));
        assert_eq!(seen(4, &[8, 10, 9, 11]), [Good(0), Reordered, Good(0), Good(0)], "swapped");
        assert_eq!(seen(4, &[11, 10, 9, 8]), [Reordered, Good(0), Good(0), Good(0)], "the last came first");
        assert_eq!(seen(4, &[8, 8, 9, 10, 11]), [Good(0), Duplicated, Good(0), Good(0), Good(0)]);
        assert_eq!(seen(1, &[11, 11]), [Good(0), Duplicated], "with nothing outstanding too");
        assert_eq!(seen(2, &[10, 99, 11]), [Good(0), Corrupt, Duplicated], "99 was never sent");
        assert_eq!(seen(3, &[98, 99, 9]), [Corrupt, Garbage], "a second one in a row: out of step");
        let lost: Vec<u64> = (0..40).filter(|number| *number != 3).collect();
        let window = Window { connection: 3, next: 40, outstanding: 40 };
        let (mut reader, mut answers) = (Reader::default(), Vec::new());
        read(&mut reader, &pattern, window, &messages(&pattern, &lost), true, |answer| answers.push(answer));
        let good_before_and_then =
            [vec![Good(0); 3], vec![Reordered], vec![Good(0); 16], vec![Garbage]].concat();
        assert_eq!(
            answers, good_before_and_then,
            "one that never comes: each answer would be that of another"
        );
        let mut twice = messages(&pattern, &[9, 10, 11]);
        twice.insert(12, 0);
        assert_eq!(read_all(&pattern, 3, &twice), [Good(0), Corrupt, Garbage], "a byte too many");
        let mut short = messages(&pattern, &[9, 10, 11]);
        short.remove(3);
        assert_eq!(read_all(&pattern, 3, &short)[1], Garbage, "a byte too few");
        assert_eq!(read_pieces(&pattern, 0, &[b"abc"], false), [Extra(3)]);
        assert_eq!(read_pieces(&pattern, 0, &[b"abcdefghijkl"], true), [Extra(12)]);
    }

    #[test]
    fn a_damaged_byte_at_whichever_offset_is_found_and_the_next_message_is_good() {
        for bytes in [1, 7, 8, 9, 40] {
            let pattern = Pattern::new(1, bytes);
            for at in 0..bytes {
                for flip in [1, 0x80, 0xff] {
                    let mut stream = messages(&pattern, &[9, 10, 11]);
                    stream[bytes + at] ^= flip;
                    let answers = read_all(&pattern, 3, &stream);
                    if bytes == HEAD {
                        // It is nothing but its number: with that damaged it may be another message, and look overtaken.
                        assert!(matches!(answers[..2], [Good(0), Corrupt | Reordered | Duplicated]), "{at}");
                    } else {
                        assert_eq!(answers, [Good(0), Corrupt, Good(0)], "{bytes} bytes, {at}");
                    }
                    assert_eq!(read_pieces(&pattern, 3, &[&stream], false), [Good(0); 3], "not compared");
                }
            }
        }
    }

    #[test]
    fn whatever_comes_no_request_is_answered_twice_and_what_is_kept_is_bounded() {
        for seed in 0..20_000 {
            let mut random = Random::new(seed);
            let pattern = Pattern::new(1, 1 + random.below(20) as usize);
            let mut stream = messages(&pattern, &(0..12).map(|_| random.below(14)).collect::<Vec<_>>());
            for _ in 0..random.below(4) {
                let at = random.below(stream.len() as u64) as usize;
                match random.below(3) {
                    0 => stream[at] = random.next() as u8,
                    1 => drop(stream.remove(at)),
                    _ => stream.insert(at, 0),
                }
            }
            let outstanding = random.below(13);
            let cut = random.below(stream.len() as u64) as usize;
            let cut = stream.split_at(cut);
            let whole = read_pieces(&pattern, outstanding, &[&stream], true);
            assert_eq!(read_pieces(&pattern, outstanding, &[cut.0, cut.1], true), whole, "seed {seed}");
            let ended = whole.iter().filter(|answer| matches!(answer, Good(_) | Corrupt | Reordered)).count();
            assert!(ended as u64 <= outstanding, "seed {seed}: {whole:?}");
        }
        let mut partial = Partial::default();
        let pattern = Pattern::new(1, 8);
        let window = Window { connection: 0, next: 1 << 40, outstanding: 1 << 40 };
        for number in 0..100_000u64 {
            partial.head = (number * 30).to_le_bytes();
            partial.judge(&pattern, window);
            assert!(partial.missing.as_ref().is_none_or(|missing| missing.len() <= MISSING_MAX));
        }
    }
}

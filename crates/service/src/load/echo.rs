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
}

/// Overtaken messages that are remembered; further ones count as corrupt when they come.
const MISSING_MAX: usize = 64;

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
            return Answer::Good(0);
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
        if let Some(missing) = self.missing.as_mut() {
            missing.swap_remove(at);
            if missing.is_empty() {
                self.missing = None;
            }
        }
    }
}

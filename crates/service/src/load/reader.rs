//! What comes back on a connection, held against what was to come.
//!
//! A reader is told bytes, cut anywhere, and says for each answer that ended how it was. It keeps no bytes of an answer that is as
//! expected.

use super::{echo, frame, http};

/// What was found of one answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// As it was to be; of HTTP with the class of its status, 1 to 5.
    Good(u8),
    /// It came before one that was asked for earlier.
    Reordered,
    /// Other bytes than were to come.
    Corrupt,
    /// An HTTP answer of class 4 or 5.
    Status(u8),
    /// It came a second time: no request is answered by it.
    Duplicated,
    /// Bytes that no request asked for: no request is answered by them.
    Extra(u64),
    /// It cannot be understood, and nothing after it.
    Garbage,
    /// The peer closes the connection behind the answer that is told of next.
    Closing,
}

/// How far the answer of one connection has come.
#[derive(Debug, Default)]
pub(super) enum Reader {
    /// Between two answers, of whichever kind.
    #[default]
    Idle,
    /// In an echoed message.
    Echo(echo::Partial),
    /// In an HTTP answer.
    Http(http::Partial),
    /// Among frames.
    Frame(Box<frame::Partial>),
}

impl Reader {
    /// Whether a part of an answer has come.
    #[inline]
    pub(super) fn is_midway(&self) -> bool {
        match self {
            Reader::Idle => false,
            Reader::Echo(partial) => partial.is_midway(),
            Reader::Http(_) => true,
            Reader::Frame(partial) => partial.is_midway(),
        }
    }
}

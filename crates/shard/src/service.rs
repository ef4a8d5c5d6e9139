//! The seam: what a service is told, what it may wish for, and what every engine promises.
//!
//! A service is a state machine. It never touches a socket, a clock or a thread: bytes, ticks and notes come in as
//! [`Event`]s, wishes go out through [`Io`]. One value of it lives on each seat and is owned by that seat's thread.
//!
//! Promises of every engine (docs/SEAM.md; each has a simulation test):
//!
//! - bytes of a leg come in order, never new-and-empty, never after `Eof` or `Failed`;
//! - `on` is never re-entered, and what was wished in it takes effect after it returned, in the order of the wishes;
//! - `pipe` ends with `Done(token, Piped(bytes))`, also when one of its legs fails;
//! - `Drain` comes once to each session; `connect` obeys its deadline; `end` comes exactly once, and nothing after it.

use crate::input::{Input, Packet};
use crate::io::Io;
use crate::slab::Key;
use crate::wheel::Tick;
use std::fmt;

/// What a server or a client does. One value per seat.
pub trait Service: Sized {
    /// One conversation. Lives inline in the seat's slab: keep it small, box what only a busy one needs.
    type Session;
    /// What sessions may tell each other, across seats too.
    type Note: Send + 'static;
    /// Most unread bytes an engine keeps for one leg before it stops receiving.
    const INPUT_MAX: usize;

    /// A new session: an accepted connection, or the seat's root.
    fn open(&mut self, origin: Origin, io: &mut Io<'_, Self>) -> Self::Session;
    /// Something happened to a session.
    fn on(&mut self, session: &mut Self::Session, event: Event<'_, Self>, io: &mut Io<'_, Self>) -> Next;
    /// The session is over: its legs are closed and nothing will come for it.
    fn end(&mut self, session: Self::Session, why: End);
}

/// Where a session comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A peer connected to a listener.
    Accepted(Leg, ListenerId),
    /// The one session of each seat that lives until the drain. It owns the datagram listeners and any outgoing legs.
    Root,
}

/// One thing that happened. Lent input is valid for this call only; what is not taken is kept and offered again.
pub enum Event<'a, S: Service> {
    /// A `connect` succeeded.
    Opened(Leg),
    /// A datagram listener of the seat is ready; its leg belongs to the root session.
    Bound(Leg, ListenerId),
    /// Unread bytes: new ones, or kept ones after `resume` or `Drained`.
    Bytes(Leg, Input<'a>),
    /// One datagram.
    Datagram(Leg, Packet<'a>),
    /// An `Out` that was found full has room for half its bound again. Unread input is offered right after.
    Drained(Leg),
    /// The peer finished sending. Unread input was offered before, what is left of it is dropped after this call.
    Eof(Leg),
    /// The leg is gone; nothing more can be sent or received on it.
    Failed(Leg, LegError),
    /// A timer fired.
    Timer(Token),
    /// Something begun with a token ended.
    Done(Token, Outcome),
    /// A note from another session.
    Note(S::Note),
    /// A waker of this session was woken, from whichever thread.
    Wake,
    /// The seat is draining: finish what is begun. What still lives at the deadline is aborted.
    Drain(Tick),
}

/// What becomes of a session after an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Next {
    /// It goes on.
    Stay,
    /// It ends: every leg is flushed and closed, then `end` is called.
    Close,
}

/// Why a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The service returned [`Next::Close`].
    Closed,
    /// It had no leg, timer, task or pipe left, so nothing could ever happen to it again.
    Orphan,
    /// It outlived the drain's deadline.
    Aborted,
}

/// One connection or datagram socket of a session. Stale legs are harmless: every use is checked.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Leg(pub(crate) Key);

impl Leg {
    /// Its slot: small numbers, no two living legs of a seat share one. For tables that are indexed by leg, which stay as
    /// short as the seat has had legs at a time. A leg that is gone may share it with the one that has the slot now.
    #[inline]
    pub fn index(self) -> usize {
        self.0.slot as usize
    }
}

impl fmt::Debug for Leg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "leg {}.{}", self.0.slot, self.0.generation)
    }
}

/// Position of a listener in the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ListenerId(pub u16);

/// Where a session lives, for notes to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Address {
    pub(crate) seat: u16,
    pub(crate) session: Key,
}

/// Name of something that will end with an event: a timer or a pipe. Unique on its seat.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Token(pub(crate) u64);

/// How something begun with a token ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A pipe moved this many bytes: all it was asked for, or what came until the end of its source.
    Piped(u64),
}

/// Why a leg failed. A peer's doing in each case but the last two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LegError {
    /// The peer reset the connection, or the network gave it up.
    #[error("connection reset")]
    Reset,
    /// Nothing listens where `connect` went.
    #[error("connection refused")]
    Refused,
    /// `connect` passed its deadline.
    #[error("connect timed out")]
    Timeout,
    /// No byte moved for the idle timeout.
    #[error("idle")]
    Idle,
    /// A full input from which the service took nothing.
    #[error("input full")]
    InputFull,
    /// There was no room for the leg: descriptors or slots.
    #[error("no room for another connection")]
    NoRoom,
    /// Anything else the kernel said, as errno.
    #[error("error {0}")]
    Os(i32),
}

//! What every engine keeps of one leg: whose it is, what it has not read, what it has not sent, how far its end has come.
//!
//! It never submits and never calls a service: the seat decides, the engine acts. An idle connection is this struct, its
//! session and nothing else; the boxes exist while there is something in them.

use crate::out::Out;
use crate::service::{ListenerId, Token};
use crate::slab::Key;
use crate::wheel::{Tick, TimerId};
use linux::Chunk;
use std::collections::VecDeque;

/// Unread input of one leg, boxed: most legs have none, and each pays for the place.
#[allow(clippy::box_collection, reason = "8 bytes in an idle connection instead of 32")]
pub(crate) type Pieces = Box<VecDeque<Chunk>>;

/// One leg of a session.
pub(crate) struct Conn {
    pub(crate) session: Key,
    /// The next leg of the same session.
    pub(crate) sibling: Option<Key>,
    /// Unread input.
    pub(crate) input: Option<Pieces>,
    pub(crate) out: Option<Box<Out>>,
    pub(crate) pipe: Option<Box<Pipe>>,
    /// When bytes last moved.
    pub(crate) active: Tick,
    pub(crate) listener: ListenerId,
    pub(crate) phase: Phase,
    flags: u16,
    /// Bytes that lingering may still discard.
    pub(crate) budget: u32,
    /// What the seat's account of held bytes has for this leg; see [`Desk::charge`](crate::desk::Desk::charge).
    pub(crate) charged: u32,
    /// The idle, connect or linger alarm: a leg has one at a time.
    pub(crate) alarm: Option<TimerId>,
}

const _: () = assert!(size_of::<Conn>() <= 80, "an idle connection is paid for a million times");

/// How far a leg's life has come. It only ever moves down this list.
///
/// ```text
/// Connecting -> Open -> Closing (flush) -> Lingering (FIN sent, input discarded) -> Closed (the engine lets go)
///        \________\_________\________________________________________________________^
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    Connecting,
    Open,
    Closing,
    Lingering,
    Closed,
}

/// Facts about a leg that are either so or not.
#[derive(Clone, Copy)]
#[repr(u16)]
pub(crate) enum Flag {
    /// The service paused it.
    Paused = 1,
    /// The engine is not to receive: paused, input full, or output full with input unread.
    Deaf = 1 << 1,
    /// The peer's FIN came.
    EofSeen = 1 << 2,
    /// The service (or the pipe) was told of it, or of a failure: no input goes to it any more.
    EofTold = 1 << 3,
    /// FIN goes out once the output is flushed.
    Finishing = 1 << 4,
    /// FIN went out.
    Finished = 1 << 5,
    /// The peer may still be sending when the leg is closed: linger.
    Linger = 1 << 6,
    /// Stands in the seat's list of legs with output to flush.
    Dirty = 1 << 7,
    /// Stands in the seat's list of legs to offer input again.
    Offered = 1 << 8,
    /// A datagram socket.
    Datagram = 1 << 9,
    /// Its send has been in flight for longer than a turn, or was: its peer reads slowly.
    Slow = 1 << 10,
    /// The kernel reported that it copied a zero-copy send of this leg: no further one is tried.
    Copies = 1 << 11,
    /// Counted in the `connections` gauge.
    Counted = 1 << 12,
    /// The engine has no buffer to receive into: what the peer sent waits in the socket.
    Starved = 1 << 13,
    /// It was so at some time since the service last asked.
    WasStarved = 1 << 14,
    /// The kernel said that bytes have come, and they are being fetched.
    Announced = 1 << 15,
}

/// A pipe that moves input of this leg to another one without asking the service.
pub(crate) struct Pipe {
    pub(crate) to: Key,
    pub(crate) token: Token,
    pub(crate) left: u64,
    pub(crate) moved: u64,
}

impl Conn {
    pub(crate) fn new(session: Key, listener: ListenerId, phase: Phase, now: Tick) -> Conn {
        let (input, out, pipe) = (None, None, None);
        Conn {
            session,
            sibling: None,
            input,
            out,
            pipe,
            active: now,
            listener,
            phase,
            flags: 0,
            budget: 0,
            charged: 0,
            alarm: None,
        }
    }

    pub(crate) fn is(&self, flag: Flag) -> bool {
        self.flags & flag as u16 != 0
    }

    /// Sets or clears a fact; says whether that changed it.
    pub(crate) fn set(&mut self, flag: Flag, on: bool) -> bool {
        let before = self.flags;
        self.flags = if on { before | flag as u16 } else { before & !(flag as u16) };
        self.flags != before
    }

    /// Whether the service may still hear of this leg and write to it.
    pub(crate) fn is_open(&self) -> bool {
        self.phase <= Phase::Open
    }

    /// Whether output may still be added: a stream that is open and not finished by the service.
    pub(crate) fn is_writable(&self) -> bool {
        self.is_open() && self.flags & (Flag::Finishing as u16 | Flag::Datagram as u16) == 0
    }

    /// Whether somebody waits for this leg's output to drain.
    pub(crate) fn output_waits(&self) -> bool {
        self.out.as_ref().is_some_and(|out| out.waits())
    }

    /// Whether there is unread input.
    pub(crate) fn has_input(&self) -> bool {
        self.input.as_ref().is_some_and(|input| !input.is_empty())
    }
}

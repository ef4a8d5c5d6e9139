//! What the ring knows of one leg: its socket, and what of it is in flight.
//!
//! Stands beside the seat's `Conn` of the same slot. It takes no decisions.

use super::driver::For;
use crate::slab::Key;
use linux::ring::Sock;
use std::os::fd::OwnedFd;

/// The ring's side of one leg.
pub(super) struct Link {
    /// Who uses this slot now; completions for anyone else are late.
    pub(super) generation: u32,
    pub(super) sock: Sock,
    /// Owns the descriptor of a [`Sock::Plain`].
    pub(super) fd: Option<OwnedFd>,
    /// Submissions of this leg whose last completion is to come (notifications of zero-copy sends apart: their memory is
    /// the ring's, and they may take as long as the peer's acknowledgement).
    pub(super) pending: u16,
    pub(super) receive: Receive,
    /// The receive that is armed may bring more than one of a seat that is over its budget.
    pub(super) wide: bool,
    /// It found no buffer, and the seat thinks so.
    pub(super) starved: bool,
    /// The seat wants bytes.
    pub(super) wanted: bool,
    pub(super) send: Send,
    /// The turn in which the send was pushed, modulo 256.
    pub(super) turn: u8,
    /// The send in flight holds lent buffers.
    pub(super) leases: bool,
    /// Stands in the driver's list of senders.
    pub(super) listed: bool,
    pub(super) datagram: bool,
    /// A datagram socket on the wildcard address: its answers must say where they come from.
    pub(super) wildcard: bool,
    /// Letting go, once nothing is pending; by a reset if so.
    pub(super) closing: Option<bool>,
    /// Facts that came later: a bit each, since there is no room for more bytes.
    facts: u8,
    /// When its poll last said something, in units of [`HEARD_MS`] modulo 2^16.
    pub(super) heard: u16,
}

/// What is so, or not, of the way in which a leg is received from.
#[derive(Clone, Copy)]
#[repr(u8)]
pub(super) enum Fact {
    /// What is armed, or was last, is a poll.
    Polls = 1,
    /// It is to be polled: it has been idle for a while.
    Parked = 1 << 1,
    /// A fetch is in flight.
    Fetches = 1 << 2,
    /// Its fetch found no buffer: it is made again when some came back.
    Hungry = 1 << 3,
    /// The stream has ended: never armed again.
    Ended = 1 << 4,
    /// It has no socket yet, or is connecting one that the ring made.
    Connects = 1 << 5,
    /// Stands in the list of those that may be parked.
    Watched = 1 << 6,
    /// Its poll said that the stream's end has come, behind what is still to be fetched.
    EndComes = 1 << 7,
}

/// The unit of [`Link::heard`].
pub(super) const HEARD_MS: u64 = 64;

const _: () = assert!(size_of::<Link>() <= 32, "an idle connection is paid for a million times");

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Receive {
    /// Nothing armed.
    Idle,
    /// A multishot receive is armed, or a multishot poll.
    Armed,
    /// It is being cancelled; its last completion is to come.
    Stopping,
    /// There was no buffer: armed again when some came back.
    Starved,
    /// The stream has ended or failed: never armed again.
    Over,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Send {
    Idle,
    /// In flight since the turn before, or this one.
    Fresh,
    /// In flight for longer: the socket is full, its peer reads slowly.
    Slow,
    /// Being cancelled, so that the buffers it holds can be copied and go back.
    Reclaimed,
}

impl Link {
    /// What it waits for bytes by, or did last.
    pub(super) fn waits_by(&self) -> For {
        match self.datagram {
            true => For::Datagrams,
            false if self.is(Fact::Polls) => For::Poll,
            false => For::Receive,
        }
    }

    pub(super) fn is(&self, fact: Fact) -> bool {
        self.facts & fact as u8 != 0
    }

    /// Sets or clears a fact; says whether that changed it.
    pub(super) fn set(&mut self, fact: Fact, on: bool) -> bool {
        let before = self.facts;
        self.facts = if on { before | fact as u8 } else { before & !(fact as u8) };
        self.facts != before
    }

    pub(super) fn new(key: Key, sock: Sock, fd: Option<OwnedFd>) -> Link {
        Link {
            generation: key.generation,
            sock,
            fd,
            pending: 0,
            receive: Receive::Idle,
            wide: false,
            starved: false,
            wanted: false,
            send: Send::Idle,
            turn: 0,
            leases: false,
            listed: false,
            datagram: false,
            wildcard: false,
            closing: None,
            facts: 0,
            heard: 0,
        }
    }

    /// A slot that nobody has.
    pub(super) fn vacant() -> Link {
        Link::new(Key { slot: 0, generation: 0 }, Sock::Direct(0), None)
    }
}

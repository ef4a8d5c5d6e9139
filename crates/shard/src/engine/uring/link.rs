//! What the ring knows of one leg: its socket, and what of it is in flight.
//!
//! Stands beside the seat's `Conn` of the same slot. It takes no decisions.

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
}

const _: () = assert!(size_of::<Link>() <= 32, "an idle connection is paid for a million times");

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Receive {
    /// Nothing armed.
    Idle,
    /// A multishot receive is armed.
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
        }
    }

    /// A slot that nobody has.
    pub(super) fn vacant() -> Link {
        Link::new(Key { slot: 0, generation: 0 }, Sock::Direct(0), None)
    }
}

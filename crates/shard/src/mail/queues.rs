//! One bounded queue for each ordered pair of seats, so that every queue has one writer and one reader.
//!
//! Never locks, and never allocates after [`mesh`]. The number of queues is the square of that of the seats.

use super::NOTES_MAX;
use linux::spsc::{Receiver, Sender, queue};

/// The ends of all queues that one seat has.
#[derive(Debug)]
pub(super) struct Queues<E: Send> {
    /// By seat; `None` for this one.
    outgoing: Box<[Option<Sender<E>>]>,
    incoming: Box<[Option<Receiver<E>>]>,
    /// Whose queue is looked at next.
    turn: u16,
}

/// The queues of each of `seats` seats.
pub(super) fn mesh<E: Send>(seats: u16) -> Vec<Queues<E>> {
    let mut all: Vec<Queues<E>> = (0..seats).map(|_| Queues::new(seats)).collect();
    for from in 0..usize::from(seats) {
        for to in (0..usize::from(seats)).filter(|&to| to != from) {
            let (sender, receiver) = queue(NOTES_MAX);
            all[from].outgoing[to] = Some(sender);
            all[to].incoming[from] = Some(receiver);
        }
    }
    all
}

impl<E: Send> Queues<E> {
    fn new(seats: u16) -> Queues<E> {
        Queues {
            outgoing: (0..seats).map(|_| None).collect(),
            incoming: (0..seats).map(|_| None).collect(),
            turn: 0,
        }
    }

    /// Adds to the queue to a seat; gives back what finds no room.
    pub(super) fn push(&mut self, to: u16, envelope: E) -> Result<(), E> {
        self.outgoing[usize::from(to)].as_mut().expect("there is a queue to every other seat").push(envelope)
    }

    /// Lets a seat see what was added; says whether anything was.
    pub(super) fn flush(&mut self, to: u16) -> bool {
        self.outgoing[usize::from(to)].as_mut().is_some_and(Sender::flush)
    }

    /// Each seat's queue is looked at first in its turn, so that one that always has mail cannot hide the others'.
    pub(super) fn next_turn(&mut self) {
        self.turn = self.after(self.turn);
    }

    /// The next envelope and the seat it is from. Costs one load a seat when there is none.
    pub(super) fn pop(&mut self) -> Option<(u16, E)> {
        for _ in 0..self.incoming.len() {
            let from = self.turn;
            if let Some(envelope) = self.incoming[usize::from(from)].as_mut().and_then(Receiver::pop) {
                return Some((from, envelope));
            }
            self.turn = self.after(from);
        }
        None
    }

    pub(super) fn is_empty(&self) -> bool {
        self.incoming.iter().flatten().all(Receiver::is_empty)
    }

    fn after(&self, seat: u16) -> u16 {
        if usize::from(seat) + 1 < self.incoming.len() { seat + 1 } else { 0 }
    }
}

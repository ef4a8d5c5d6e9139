//! One letter box for each seat, which all others lock to put something in: a thousand workers would need a million queues.
//!
//! A box holds what each sender may have unread, [`NOTES_MAX`], and no more; it allocates when more senders have mail in it than
//! ever before. It is first in, first out, so no sender can hide another. Nobody keeps a lock while it does anything else.

use super::NOTES_MAX;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard};

/// The boxes of all seats, by seat.
#[derive(Debug)]
pub(super) struct LetterBoxes<E>(Box<[LetterBox<E>]>);

#[derive(Debug)]
struct LetterBox<E> {
    /// How many envelopes lie in it, for a reader who wants to know no more than whether there are any.
    count: AtomicUsize,
    inside: Mutex<Inside<E>>,
}

#[derive(Debug)]
struct Inside<E> {
    /// Each with the seat that it is from.
    envelopes: VecDeque<(u16, E)>,
    /// The seats that have mail here, unread or yet to be flushed, and how much.
    senders: Vec<(u16, usize)>,
}

impl<E> LetterBoxes<E> {
    pub(super) fn new(seats: u16) -> LetterBoxes<E> {
        let inside = || Mutex::new(Inside { envelopes: VecDeque::new(), senders: Vec::new() });
        LetterBoxes((0..seats).map(|_| LetterBox { count: AtomicUsize::new(0), inside: inside() }).collect())
    }

    /// Keeps a place in the box of `to`; `false` when it has all that it may have from this seat.
    pub(super) fn reserve(&self, from: u16, to: u16) -> bool {
        let senders = &mut self.0[usize::from(to)].open().senders;
        match senders.iter_mut().find(|(sender, _)| *sender == from) {
            Some((_, count)) if *count >= NOTES_MAX => return false,
            Some((_, count)) => *count += 1,
            None => senders.push((from, 1)),
        }
        true
    }

    /// Puts an envelope in, whose place was reserved.
    pub(super) fn push(&self, from: u16, to: u16, envelope: E) {
        let letters = &self.0[usize::from(to)];
        let mut inside = letters.open();
        inside.envelopes.push_back((from, envelope));
        letters.count.store(inside.envelopes.len(), Ordering::Release);
    }

    /// The oldest envelope in the box of a seat, and whom it is from.
    pub(super) fn pop(&self, seat: u16) -> Option<(u16, E)> {
        if self.is_empty(seat) {
            return None;
        }
        let letters = &self.0[usize::from(seat)];
        let mut inside = letters.open();
        let (from, envelope) = inside.envelopes.pop_front()?;
        letters.count.store(inside.envelopes.len(), Ordering::Release);
        let at = inside.senders.iter().position(|(sender, _)| *sender == from);
        let at = at.expect("who has mail in a box had a place in it");
        inside.senders[at].1 -= 1;
        if inside.senders[at].1 == 0 {
            inside.senders.swap_remove(at);
        }
        Some((from, envelope))
    }

    pub(super) fn is_empty(&self, seat: u16) -> bool {
        self.0[usize::from(seat)].count.load(Ordering::Acquire) == 0
    }
}

impl<E> LetterBox<E> {
    fn open(&self) -> MutexGuard<'_, Inside<E>> {
        self.inside.lock().expect("nothing panics under this lock")
    }
}

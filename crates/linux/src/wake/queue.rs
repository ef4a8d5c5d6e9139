//! A bounded queue of words from any thread to one: the letter box of an inbox.
//!
//! Dmitry Vyukov's array queue (1024cores.net, "Bounded MPMC queue") with one reader. A giver claims a place by moving
//! `tail` and then publishes it by the place's own turn, so nobody waits for a lock, and a giver that is stopped
//! between the two delays those behind it, who are seen when it goes on; it then notifies for all of them.
//!
//! Words are plain integers in atomics, so even a broken protocol could only lose one, never touch wrong memory.

use crate::sync::{AtomicU64, Ordering, Padded};

/// Place `index` is free for the giver with position p, `p % places == index`, while its turn is p; it holds a word for
/// the reader while its turn is p + 1; taken, its turn is p + places.
#[derive(Debug)]
pub(super) struct Queue {
    places: Box<[Place]>,
    /// The next position to claim.
    tail: Padded<AtomicU64>,
    /// The next position to read; written by the reader alone.
    head: Padded<AtomicU64>,
}

#[derive(Debug)]
struct Place {
    turn: AtomicU64,
    word: AtomicU64,
}

impl Queue {
    /// A queue of `places`, a power of two and at least 2 (with one, a full place and a free one look alike).
    pub(super) fn new(places: usize) -> Queue {
        assert!(places.is_power_of_two() && places >= 2);
        let place = |index| Place { turn: AtomicU64::new(index as u64), word: AtomicU64::new(0) };
        let places = (0..places).map(place).collect();
        Queue { places, tail: Padded(AtomicU64::new(0)), head: Padded(AtomicU64::new(0)) }
    }

    /// Puts `word` at the end; false when there is no place.
    pub(super) fn push(&self, word: u64) -> bool {
        let mut position = self.tail.0.load(Ordering::Relaxed);
        loop {
            let place = self.place(position);
            // Acquire: the reader's `take` of the round before has happened before our store of the word.
            let turn = place.turn.load(Ordering::Acquire);
            let ahead = turn.wrapping_sub(position).cast_signed();
            if ahead < 0 {
                return false; // still holds the word of one round ago
            }
            if ahead > 0 {
                position = self.tail.0.load(Ordering::Relaxed); // another giver was first
                continue;
            }
            let next = position.wrapping_add(1);
            match self.tail.0.compare_exchange_weak(position, next, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => {
                    place.word.store(word, Ordering::Relaxed);
                    // Release: whoever reads this word sees what its giver did before.
                    place.turn.store(next, Ordering::Release);
                    return true;
                }
                Err(now) => position = now,
            }
        }
    }

    /// Reader: takes the oldest word, if its giver has published it.
    pub(super) fn pop(&self) -> Option<u64> {
        let head = self.head.0.load(Ordering::Relaxed);
        let place = self.place(head);
        if place.turn.load(Ordering::Acquire) != head.wrapping_add(1) {
            return None;
        }
        let word = place.word.load(Ordering::Relaxed);
        // Release: the load above has happened before the giver of the next round stores there.
        place.turn.store(head.wrapping_add(self.places.len() as u64), Ordering::Release);
        self.head.0.store(head.wrapping_add(1), Ordering::Relaxed);
        Some(word)
    }

    /// Reader: whether [`Queue::pop`] would find nothing.
    pub(super) fn is_empty(&self) -> bool {
        let head = self.head.0.load(Ordering::Relaxed);
        self.place(head).turn.load(Ordering::Acquire) != head.wrapping_add(1)
    }

    fn place(&self, position: u64) -> &Place {
        &self.places[position as usize & (self.places.len() - 1)]
    }
}

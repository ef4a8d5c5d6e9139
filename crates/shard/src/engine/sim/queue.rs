//! What is due when, in the order of the virtual clock; what is due at one time comes first in, first out.
//!
//! Most of what waits in a large world are timers, seconds away, while most of what happens is due within microseconds. So only the
//! present slice of time is kept sorted, in a heap that stays small; the slices that follow are unsorted lists. The order is the
//! same as that of one heap.

use std::cmp::{Ordering, Reverse};
use std::collections::{BTreeMap, BinaryHeap};

pub(super) struct Queue<T> {
    near: BinaryHeap<Reverse<Due<T>>>,
    /// The slice of `near`. What is due before its end is there.
    slice: u64,
    /// Later slices, by number.
    far: BTreeMap<u64, Vec<Due<T>>>,
    order: u64,
}

struct Due<T> {
    at: u64,
    /// Breaks ties: first in, first out.
    order: u64,
    what: T,
}

/// Nanoseconds of a slice, as a power of two: about a millisecond.
const SLICE_BITS: u32 = 20;

impl<T> Queue<T> {
    pub(super) fn new() -> Queue<T> {
        Queue { near: BinaryHeap::new(), slice: 0, far: BTreeMap::new(), order: 0 }
    }

    pub(super) fn push(&mut self, at: u64, what: T) {
        self.order += 1;
        let due = Due { at, order: self.order, what };
        let slice = at >> SLICE_BITS;
        if slice <= self.slice {
            self.near.push(Reverse(due));
        } else {
            self.far.entry(slice).or_default().push(due);
        }
    }

    /// What is due next, and when.
    pub(super) fn pop(&mut self) -> Option<(u64, T)> {
        if self.near.is_empty() {
            let (slice, dues) = self.far.pop_first()?;
            self.slice = slice;
            self.near.extend(dues.into_iter().map(Reverse));
        }
        let Reverse(Due { at, what, .. }) = self.near.pop()?;
        Some((at, what))
    }
}

impl<T> PartialEq for Due<T> {
    fn eq(&self, other: &Due<T>) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl<T> Eq for Due<T> {}

impl<T> PartialOrd for Due<T> {
    fn partial_cmp(&self, other: &Due<T>) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for Due<T> {
    fn cmp(&self, other: &Due<T>) -> Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    #[test]
    fn what_comes_out_is_sorted_and_first_in_first_out_within_one_time() {
        for seed in 0..200 {
            let (mut random, mut queue) = (Random::new(seed), Queue::new());
            let (mut model, mut now) = (Vec::new(), 0);
            for n in 0..2_000 {
                if random.chance(0.6) {
                    // Often the same time, often across slices, rarely far away.
                    let reach = [1, 50, 3 << SLICE_BITS, 1 << 40][random.below(4) as usize];
                    let at = now + random.below(reach);
                    queue.push(at, n);
                    model.push((at, n));
                } else {
                    let first = model.iter().copied().min();
                    assert_eq!(queue.pop(), first);
                    model.retain(|due| Some(*due) != first);
                    now = first.map_or(now, |(at, _)| at);
                }
            }
        }
    }
}

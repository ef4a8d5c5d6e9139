//! A bounded queue from one thread to one other: the mail between two cores.
//!
//! Never blocks, never allocates after [`queue`], never wakes anybody: what was flushed lies there until the receiver
//! looks. The sender publishes once a turn, so that a turn's mail costs one shared cache line and not one each.
//!
//! Letters: `head` counts what was taken, `tail` what was published; both only grow (and wrap). A slot with
//! `head <= index < tail` belongs to the receiver, every other one to the sender.

use std::mem::MaybeUninit;

use crate::sync::{Arc, AtomicUsize, Ordering, Padded, UnsafeCell};

/// Makes a queue of `capacity` places, a power of two, and returns its two ends.
pub fn queue<T>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    assert!(capacity.is_power_of_two(), "the capacity is a power of two: {capacity}");
    let slots = (0..capacity).map(|_| UnsafeCell::new(MaybeUninit::uninit())).collect();
    let ring = Ring { slots, head: Padded(AtomicUsize::new(0)), tail: Padded(AtomicUsize::new(0)) };
    let ring = Arc::new(ring);
    let sender = Sender { ring: Arc::clone(&ring), tail: 0, published: 0, head_seen: 0 };
    (sender, Receiver { ring, head: 0, tail_seen: 0 })
}

/// The end that pushes. Dropped, it publishes what it still holds.
#[derive(Debug)]
pub struct Sender<T> {
    ring: Arc<Ring<T>>,
    /// The next index to write. Invariant: published <= tail <= head_seen + capacity
    tail: usize,
    /// What the receiver may see.
    published: usize,
    /// The receiver's `head` when it was last asked for: it only lags, so it only makes the queue look fuller.
    head_seen: usize,
}

impl<T> Sender<T> {
    /// Puts `value` into the queue, to be seen after the next [`Sender::flush`]. Gives it back when there is no place.
    #[inline]
    pub fn push(&mut self, value: T) -> Result<(), T> {
        if self.is_full() {
            return Err(value);
        }
        self.ring.slot(self.tail).with_mut(|slot| {
            // SAFETY: `tail` is not published, and `is_full` saw (Acquire) that the receiver has taken what was in
            // this slot one round ago, so the slot is ours; no other sender exists, since `Sender` is not Clone and
            // this is `&mut self`. What is overwritten is uninitialized: nothing to drop.
            unsafe { (*slot).write(value) };
        });
        self.tail = self.tail.wrapping_add(1);
        Ok(())
    }

    /// Publishes what was pushed since the last time. Whether there was anything: then the receiver, if it is parked,
    /// must be woken.
    #[inline]
    pub fn flush(&mut self) -> bool {
        let is_news = self.published != self.tail;
        if is_news {
            // Release: the receiver, which acquires `tail`, sees the values too.
            self.ring.tail.0.store(self.tail, Ordering::Release);
            self.published = self.tail;
        }
        is_news
    }

    /// Whether the next push would find no place.
    #[inline]
    pub fn is_full(&mut self) -> bool {
        let capacity = self.ring.slots.len();
        if self.tail.wrapping_sub(self.head_seen) == capacity {
            // Acquire: what the receiver read from the slot has happened before we write there.
            self.head_seen = self.ring.head.0.load(Ordering::Acquire);
        }
        self.tail.wrapping_sub(self.head_seen) == capacity
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        self.flush();
    }
}

/// The end that pops.
#[derive(Debug)]
pub struct Receiver<T> {
    ring: Arc<Ring<T>>,
    /// The next index to take. Invariant: head <= tail_seen
    head: usize,
    /// The sender's `tail` when it was last asked for: it only lags, so it only makes the queue look emptier.
    tail_seen: usize,
}

impl<T> Receiver<T> {
    /// Takes the oldest value that was published.
    #[inline]
    pub fn pop(&mut self) -> Option<T> {
        if self.head == self.tail_seen {
            // Acquire: pairs with the sender's Release, so the values are there.
            self.tail_seen = self.ring.tail.0.load(Ordering::Acquire);
            if self.head == self.tail_seen {
                return None;
            }
        }
        let value = self.ring.slot(self.head).with_mut(|slot| {
            // SAFETY: `head < tail_seen`, so the sender wrote this slot, published it and leaves it alone until `head`
            // has passed it; no other receiver exists, since `Receiver` is not Clone and this is `&mut self`. `head`
            // passes it below, so it is read once.
            unsafe { (*slot).assume_init_read() }
        });
        self.head = self.head.wrapping_add(1);
        // Release: the read above has happened before the sender, which acquires `head`, writes there again.
        self.ring.head.0.store(self.head, Ordering::Release);
        Some(value)
    }

    /// Whether nothing that was published is left. The check before parking: see `wake::Parker`.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.head == self.tail_seen && self.head == self.ring.tail.0.load(Ordering::Acquire)
    }
}

#[derive(Debug)]
struct Ring<T> {
    slots: Box<[UnsafeCell<MaybeUninit<T>>]>,
    /// Written by the receiver.
    head: Padded<AtomicUsize>,
    /// Written by the sender.
    tail: Padded<AtomicUsize>,
}

// SAFETY: each slot belongs to one end at a time, handed over by Release and Acquire on `tail` and `head` (the letters
// above), so values move from one thread to another and are never used by two. That takes `T: Send` and no more.
unsafe impl<T: Send> Sync for Ring<T> {}

impl<T> Ring<T> {
    #[inline]
    fn slot(&self, index: usize) -> &UnsafeCell<MaybeUninit<T>> {
        &self.slots[index & (self.slots.len() - 1)]
    }
}

impl<T> Drop for Ring<T> {
    fn drop(&mut self) {
        // Both ends are gone, and `Arc` has put their last stores before this.
        let tail = self.tail.0.load(Ordering::Relaxed);
        let mut head = self.head.0.load(Ordering::Relaxed);
        while head != tail {
            self.slot(head).with_mut(|slot| {
                // SAFETY: `head <= index < tail` is published and not taken, so it holds a value; nobody else has the
                // ring any more, and each index comes once.
                unsafe { (*slot).assume_init_drop() };
            });
            head = head.wrapping_add(1);
        }
    }
}

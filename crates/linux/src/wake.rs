//! Wakers that any thread may hold for as long as it likes, and wake.
//!
//! A waker is one word, {shard 12 | slot 24 | generation 28 bits}, and owns nothing: cloning and dropping it do nothing,
//! and no task's memory stands behind it. The word leads to the *inbox* of the task's thread in a table that belongs to
//! the process and whose entries are never freed; so a wake is sound after the task has ended, after its thread has
//! ended, and after another thread has taken that inbox over: then it is dropped by the owner, who knows the
//! generation of each slot, or it costs one poll too many, which every future must bear (`std::task::Waker::wake`).
//!
//! Nothing is ever lost: where a letter box is full, its owner is told to poll every task.

mod event_fd;
mod parker;
mod queue;

use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{RawWaker, RawWakerVTable, Waker};

pub use event_fd::EventFd;
pub use parker::Parker;
use queue::Queue;

use crate::error::Error;

/// Where the wakes of one thread's tasks arrive. The thread that has it may register it, read it and park by it.
#[derive(Debug)]
pub struct Inbox {
    shard: u16,
    inner: &'static Inner,
}

impl Inbox {
    /// Takes a free inbox: one that was dropped before, or a new one.
    ///
    /// Errors: `InboxesMax` beyond [`INBOXES_MAX`] at a time; `NofileShort` without a descriptor for a new one.
    pub fn register() -> Result<Inbox, Error> {
        let mut indices = indices();
        let shard = indices.take().ok_or(Error::InboxesMax { max: INBOXES_MAX })?;
        let place = &TABLE[usize::from(shard)];
        let inner = match place.get() {
            Some(inner) => inner,
            None => match EventFd::new() {
                Ok(event) => place.get_or_init(|| Box::new(Inner::new(event))),
                Err(error) => {
                    indices.put_back(shard);
                    return Err(error);
                }
            },
        };
        drop(indices);
        let mut inbox = Inbox { shard, inner };
        inbox.clear(); // stale wakes for the owner before
        Ok(inbox)
    }

    /// The word of the task in `slot` (below 2^24) in its `generation` (below 2^28), which leads here.
    pub fn word(&self, slot: u32, generation: u32) -> Word {
        Word::new(self.shard, slot, generation)
    }

    /// The number in the table, below [`INBOXES_MAX`].
    pub fn shard(&self) -> u16 {
        self.shard
    }

    /// How the owner sleeps. Others who give it work by ways of their own, such as mail, may hold this and notify; they
    /// may do so after the inbox was dropped, which wakes nobody or the next owner for nothing.
    pub fn parker(&self) -> &'static Parker {
        &self.inner.parker
    }

    /// Hands each wake to `wake(slot, generation)`, oldest first; at most as many as the letter box holds, so that a
    /// task that wakes itself cannot keep its thread here. The same task may come more than once.
    pub fn drain(&mut self, mut wake: impl FnMut(u32, u32)) {
        for _ in 0..LETTERS_MAX {
            let Some(letter) = self.inner.letters.pop() else { return };
            let word = Word(letter);
            wake(word.slot(), word.generation());
        }
    }

    /// Whether wakes found the letter box full since this was last asked: then every task must be polled. Ask it after
    /// each [`Inbox::drain`], when there is room again.
    pub fn take_all(&mut self) -> bool {
        // AcqRel on both sides: what all of the givers did before is seen by the polls that follow.
        self.inner.all.load(Ordering::Relaxed) && self.inner.all.swap(false, Ordering::AcqRel)
    }

    /// Whether a wake waits. The part of [`Parker::park`]'s question that is about tasks.
    pub fn is_pending(&self) -> bool {
        !self.inner.letters.is_empty() || self.inner.all.load(Ordering::Acquire)
    }

    fn clear(&mut self) {
        self.inner.parker.unpark();
        self.inner.parker.event().drain();
        self.drain(|_, _| ());
        self.take_all();
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        self.inner.parker.unpark(); // else the next stale wake would write to an eventfd that nobody reads
        indices().put_back(self.shard);
    }
}

/// One task of one thread, in 64 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Word(u64);

impl Word {
    /// Packs the three. Panics where one of them has too many bits: a cut slot would wake a stranger.
    pub fn new(shard: u16, slot: u32, generation: u32) -> Word {
        assert!(
            usize::from(shard) < INBOXES_MAX && slot < 1 << SLOT_BITS && generation < 1 << GENERATION_BITS
        );
        let shard = u64::from(shard) << (SLOT_BITS + GENERATION_BITS);
        Word(shard | u64::from(slot) << GENERATION_BITS | u64::from(generation))
    }

    /// The number of the inbox.
    pub fn shard(self) -> u16 {
        (self.0 >> (SLOT_BITS + GENERATION_BITS)) as u16
    }

    /// The task's place at its owner.
    pub fn slot(self) -> u32 {
        (self.0 >> GENERATION_BITS) as u32 & ((1 << SLOT_BITS) - 1)
    }

    /// Which of the tasks that had this place.
    pub fn generation(self) -> u32 {
        self.0 as u32 & ((1 << GENERATION_BITS) - 1)
    }

    /// Wakes the task, from any thread at any time. No lock and no allocation; a system call only if the owner is
    /// parked, so never when the owner wakes its own tasks.
    pub fn wake(self) {
        // No inbox: a word that was made up.
        let Some(inner) = TABLE[usize::from(self.shard())].get() else { return };
        if !inner.letters.push(self.0) {
            // A swap and not a store: it continues the release sequence, so the owner sees what each giver did.
            inner.all.swap(true, Ordering::AcqRel);
        }
        inner.parker.notify();
    }

    /// A waker that calls [`Word::wake`]. Makes no allocation, nor do its clones.
    pub fn waker(self) -> Waker {
        let raw = raw_waker(self.as_pointer());
        // SAFETY: the contract of `RawWakerVTable` asks that the functions are thread-safe and that the data stays
        // valid for them until `drop`. The data is no pointer to anything but the word itself, which they take as a
        // number; `wake` is sound from any thread at any time; `clone` and `drop` own nothing.
        unsafe { Waker::from_raw(raw) }
    }

    fn as_pointer(self) -> *const () {
        ptr::without_provenance(self.0 as usize)
    }

    fn from_pointer(data: *const ()) -> Word {
        Word(data.addr() as u64)
    }
}

fn raw_waker(data: *const ()) -> RawWaker {
    RawWaker::new(data, &VTABLE)
}

fn wake(data: *const ()) {
    Word::from_pointer(data).wake();
}

static VTABLE: RawWakerVTable = RawWakerVTable::new(raw_waker, wake, wake, |_| ());

/// What others reach of an inbox. Made once, never freed.
#[derive(Debug)]
struct Inner {
    letters: Queue,
    /// The letter box was full: poll every task.
    all: AtomicBool,
    parker: Parker,
}

impl Inner {
    fn new(event: EventFd) -> Inner {
        Inner { letters: Queue::new(LETTERS_MAX), all: AtomicBool::new(false), parker: Parker::new(event) }
    }
}

/// The indices of the table that no inbox has.
#[derive(Debug)]
struct Indices {
    used_before: Vec<u16>,
    next: u16,
    max: u16,
}

impl Indices {
    const fn new(max: u16) -> Indices {
        Indices { used_before: Vec::new(), next: 0, max }
    }

    fn take(&mut self) -> Option<u16> {
        if let Some(index) = self.used_before.pop() {
            return Some(index);
        }
        let index = self.next;
        (index < self.max).then(|| {
            self.next += 1;
            index
        })
    }

    fn put_back(&mut self, index: u16) {
        debug_assert!(index < self.next && !self.used_before.contains(&index));
        self.used_before.push(index);
    }
}

fn indices() -> MutexGuard<'static, Indices> {
    // A panic with the lock held leaves at worst one index unused.
    INDICES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Inboxes that may exist at a time: as many as 12 bits can name.
pub const INBOXES_MAX: usize = 4096;

/// Wakes that one letter box holds. More of them between two turns than this, and polling every task costs less than
/// it seems.
const LETTERS_MAX: usize = 1024;

const SLOT_BITS: u32 = 24;
const GENERATION_BITS: u32 = 28;

static TABLE: [OnceLock<Box<Inner>>; INBOXES_MAX] = [const { OnceLock::new() }; INBOXES_MAX];
static INDICES: Mutex<Indices> = Mutex::new(Indices::new(INBOXES_MAX as u16));

const _: () = assert!(size_of::<usize>() == size_of::<Word>(), "a waker's data is a pointer: 64 bits");
const _: () = assert!(INBOXES_MAX.ilog2() + SLOT_BITS + GENERATION_BITS == u64::BITS);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_keeps_its_three_parts_apart() {
        for (shard, slot, generation) in
            [(0, 0, 0), (4095, (1 << 24) - 1, (1 << 28) - 1), (1, 2, 3), (4095, 0, 0), (0, 0, (1 << 28) - 1)]
        {
            let word = Word::new(shard, slot, generation);
            assert_eq!((word.shard(), word.slot(), word.generation()), (shard, slot, generation));
            assert_eq!(Word::from_pointer(word.as_pointer()), word);
        }
    }

    #[test]
    #[should_panic(expected = "slot < 1 << SLOT_BITS")]
    fn a_slot_that_does_not_fit_is_our_mistake() {
        Word::new(0, 1 << 24, 0);
    }

    #[test]
    fn indices_are_used_again_and_end_at_their_bound() {
        let mut indices = Indices::new(2);
        assert_eq!((indices.take(), indices.take(), indices.take()), (Some(0), Some(1), None));
        indices.put_back(1);
        assert_eq!((indices.take(), indices.take()), (Some(1), None));
    }
}

//! Where a seat keeps its sessions and legs: numbered slots in a table (`table.rs`), found by a [`Key`] that goes stale on removal.
//!
//! Never moves an entry, and never gives a slot back: after a peak the memory waits for the next one. Owned by one seat, no
//! thread but its own.
//!
//! Free slots are used again last in, first out: the slot that was left last is the one still in the cache. Order among
//! *connections with work* is a different matter (first in, first out) and not decided here.

use crate::table::Table;
use std::fmt;

/// Numbered slots for values of one kind. Lookup costs two loads and three compares.
///
/// Each slot costs 8 bytes beside its `Option<T>`.
pub struct Slab<T> {
    entries: Table<Entry<T>>,
    free: u32,
    len: u32,
    slots_max: u32,
    /// The generation that slots begin with.
    first: u32,
}

/// Name of one entry. Copies may outlive it: a key whose entry was removed finds nothing, even after the slot has a new
/// owner, until that slot has been used 2^32 - 1 times more.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key {
    /// Position, below [`SLOTS_MAX`], so that it fits the 24 bits a completion's `user_data` has for it.
    pub slot: u32,
    /// How often the slot was used, starting at 1, or where a slab before it ended. Never 0, so 0 is free to mean "nobody".
    pub generation: u32,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.slot, self.generation)
    }
}

/// Most slots that a slab can have: 2^24.
pub const SLOTS_MAX: u32 = 1 << 24;

impl<T> Slab<T> {
    /// An empty slab of at most [`SLOTS_MAX`] entries. Allocates nothing yet.
    pub fn new() -> Slab<T> {
        Slab::bounded(SLOTS_MAX)
    }

    /// An empty slab of at most `slots_max` entries, and never more than [`SLOTS_MAX`].
    pub fn bounded(slots_max: u32) -> Slab<T> {
        Slab { entries: Table::new(), free: NONE, len: 0, slots_max: slots_max.min(SLOTS_MAX), first: 1 }
    }

    /// An empty slab in the place of one that is gone, and that had [`unused`](Slab::unused): the keys of that one find
    /// nothing here either.
    pub fn after(unused: u32) -> Slab<T> {
        Slab { first: unused, ..Slab::new() }
    }

    /// A generation that no key of an empty slab has had.
    pub fn unused(&self) -> u32 {
        debug_assert!(self.is_empty());
        self.entries.iter().map(|entry| entry.generation).fold(self.first, u32::max)
    }

    /// Keeps `value`. `None` when the slab is full, and the value is dropped; ask [`is_full`](Slab::is_full) first to keep it.
    pub fn insert(&mut self, value: T) -> Option<Key> {
        self.insert_with(|_| value)
    }

    /// Keeps what `make` returns; it is told the key that its value will have. `None` when the slab is full, and `make` is
    /// not called.
    pub fn insert_with(&mut self, make: impl FnOnce(Key) -> T) -> Option<Key> {
        if self.is_full() {
            return None;
        }
        // `make` runs before anything changes: should it panic, the slot is still free.
        let key = match self.entries.get_mut(self.free) {
            Some(entry) => {
                let key = Key { slot: self.free, generation: entry.generation };
                entry.value = Some(make(key));
                self.free = entry.next_free;
                key
            }
            None => {
                let key = Key { slot: self.entries.len(), generation: self.first };
                let value = Some(make(key));
                self.entries.push(Entry { generation: self.first, next_free: NONE, value });
                key
            }
        };
        self.len += 1;
        Some(key)
    }

    /// The value of `key`, unless it was removed.
    #[inline]
    pub fn get(&self, key: Key) -> Option<&T> {
        let entry = self.entries.get(key.slot)?;
        if entry.generation == key.generation { entry.value.as_ref() } else { None }
    }

    /// Has the processor fetch a slot, if there is one: it will be looked at soon.
    #[inline]
    pub fn foresee(&self, slot: u32) {
        self.entries.foresee(slot);
    }

    /// The value of `key`, unless it was removed.
    #[inline]
    pub fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        let entry = self.entries.get_mut(key.slot)?;
        if entry.generation == key.generation { entry.value.as_mut() } else { None }
    }

    /// Whether `key` still names a value.
    #[inline]
    pub fn contains(&self, key: Key) -> bool {
        self.get(key).is_some()
    }

    /// Takes the value of `key` out. From here on the key finds nothing.
    pub fn remove(&mut self, key: Key) -> Option<T> {
        let free = self.free;
        let entry = self.entries.get_mut(key.slot).filter(|entry| entry.generation == key.generation)?;
        let value = entry.value.take()?;
        entry.generation = entry.generation.checked_add(1).unwrap_or(1);
        entry.next_free = free;
        self.free = key.slot;
        self.len -= 1;
        Some(value)
    }

    /// Number of values.
    pub fn len(&self) -> usize {
        self.len as usize
    }

    /// Whether there is no value.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether the next insertion will be refused.
    pub fn is_full(&self) -> bool {
        self.len >= self.slots_max
    }

    /// Number of slots that exist, used or free. `(0..slots()).filter_map(key_at)` visits every entry while entries are
    /// removed on the way.
    pub fn slots(&self) -> u32 {
        self.entries.len()
    }

    /// The value in `slot` and its generation, unless the slot is free.
    #[inline]
    pub fn at(&self, slot: u32) -> Option<(&T, u32)> {
        let entry = self.entries.get(slot)?;
        Some((entry.value.as_ref()?, entry.generation))
    }

    /// The key of the value in `slot`, unless the slot is free.
    #[inline]
    pub fn key_at(&self, slot: u32) -> Option<Key> {
        self.at(slot).map(|(_, generation)| Key { slot, generation })
    }

    /// The keys of all values, lowest slot first.
    pub fn keys(&self) -> impl Iterator<Item = Key> {
        (0..self.slots()).filter_map(|slot| self.key_at(slot))
    }
}

impl<T> Default for Slab<T> {
    fn default() -> Slab<T> {
        Slab::new()
    }
}

/// Bytes of one slot.
pub(crate) const fn slot_bytes<T>() -> usize {
    size_of::<Entry<T>>()
}

/// Invariant: a free entry's generation is one that no key has had yet, so no key finds a free entry.
struct Entry<T> {
    generation: u32,
    next_free: u32,
    value: Option<T>,
}

const NONE: u32 = u32::MAX;

const _: () = assert!(SLOTS_MAX < NONE);

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    #[test]
    fn a_key_finds_its_value_until_it_is_removed_and_never_after() {
        let mut slab = Slab::new();
        let old = slab.insert("old").unwrap();
        assert_eq!((slab.get(old), slab.len()), (Some(&"old"), 1));
        assert_eq!(slab.remove(old), Some("old"));

        let new = slab.insert("new").unwrap();
        assert_eq!(new, Key { slot: old.slot, generation: old.generation + 1 });
        assert_eq!((slab.get(old), slab.contains(old)), (None, false));
        assert_eq!(slab.get_mut(old), None);
        assert_eq!(slab.remove(old), None);
        assert_eq!((slab.contains(new), slab.key_at(new.slot)), (true, Some(new)));
    }

    #[test]
    fn the_keys_of_a_slab_find_nothing_in_the_one_that_takes_its_place() {
        let (mut unused, mut keys) = (1, Vec::new());
        for round in 1..=3 {
            let mut slab = Slab::after(unused);
            for n in 0..round {
                keys.push(slab.insert(n).unwrap());
                slab.insert(n).unwrap();
                let all: Vec<Key> = slab.keys().collect();
                assert!(keys[..keys.len() - 1].iter().all(|key| !slab.contains(*key)));
                all.into_iter().for_each(|key| assert!(slab.remove(key).is_some()));
            }
            unused = slab.unused();
        }
        assert_eq!(unused, 1 + 1 + 2 + 3);
    }

    #[test]
    fn slots_are_handed_out_in_ascending_order_and_the_last_left_is_used_first() {
        let mut slab = Slab::new();
        let keys: Vec<Key> = (0..600).map(|n| slab.insert(n).unwrap()).collect();
        assert!(keys.iter().zip(0..).all(|(key, slot)| key.slot == slot && key.generation == 1));
        for slot in [7, 300, 9] {
            slab.remove(keys[slot]);
        }
        let again: Vec<u32> = (0..4).map(|n| slab.insert(n).unwrap().slot).collect();
        assert_eq!(again, [9, 300, 7, 600]);
    }

    #[test]
    fn a_full_slab_refuses_and_does_not_make_the_value() {
        let mut slab = Slab::bounded(300);
        let keys: Vec<Key> = (0..300).map(|n| slab.insert(n).unwrap()).collect();
        assert!(slab.is_full());
        assert_eq!(slab.insert_with(|_| unreachable!("there is no room for it")), None);
        slab.remove(keys[123]);
        assert_eq!(slab.insert(0).map(|key| key.slot), Some(123));
        assert_eq!(slab.insert(0), None);
        assert_eq!(Slab::<u8>::bounded(u32::MAX).slots_max, SLOTS_MAX);
    }

    #[test]
    fn growing_moves_no_entry() {
        let mut slab = Slab::new();
        let first = slab.insert([0_u64; 4]).unwrap();
        let place: *const _ = slab.get(first).unwrap();
        for _ in 0..10_000 {
            slab.insert([1; 4]).unwrap();
        }
        assert!(std::ptr::eq(place, slab.get(first).unwrap()));
        assert_eq!(slab.slots(), 10_001);
    }

    #[test]
    fn a_value_is_told_its_own_key() {
        let mut slab = Slab::new();
        let key = slab.insert_with(|key| key).unwrap();
        assert_eq!(slab.get(key), Some(&key));
    }

    #[test]
    fn a_generation_that_wraps_skips_zero() {
        let mut slab = Slab::new();
        let key = slab.insert(()).unwrap();
        slab.entries.get_mut(key.slot).unwrap().generation = u32::MAX;
        slab.remove(Key { generation: u32::MAX, ..key });
        assert_eq!(slab.insert(()), Some(Key { slot: key.slot, generation: 1 }));
    }

    #[test]
    fn keys_of_no_slab_find_nothing() {
        let mut slab = Slab::new();
        slab.insert(1).unwrap();
        for key in [(0, 0), (1, 1), (256, 1), (u32::MAX, 1)] {
            let key = Key { slot: key.0, generation: key.1 };
            assert_eq!((slab.get(key), slab.at(key.slot.max(1))), (None, None));
            assert_eq!(slab.remove(key), None);
        }
    }

    #[test]
    fn the_cost_of_a_slot_is_eight_bytes_beside_its_value() {
        assert_eq!(size_of::<Entry<Box<u8>>>(), 16);
    }

    #[test]
    fn a_thousand_rounds_of_anything_agree_with_a_hash_map() {
        let mut random = 0x9e37_79b9_7f4a_7c15_u64;
        let mut next = move |below: u64| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 33) % below
        };
        let (mut slab, mut model, mut known) = (Slab::bounded(700), HashMap::new(), Vec::new());
        for round in 0..20_000_u64 {
            if next(5) < 3 {
                match slab.insert(round) {
                    Some(key) => {
                        assert_eq!(model.insert(key, round), None, "{key:?} was handed out twice");
                        known.push(key);
                    }
                    None => assert_eq!(model.len(), 700),
                }
            } else if !known.is_empty() {
                let key = known[next(known.len() as u64) as usize];
                assert_eq!(slab.get(key), model.get(&key));
                assert_eq!(slab.remove(key), model.remove(&key));
            }
            assert_eq!(slab.len(), model.len());
        }
        let mut seen: Vec<Key> = slab.keys().collect();
        let mut expected: Vec<Key> = model.keys().copied().collect();
        seen.sort_by_key(|key| key.slot);
        expected.sort_by_key(|key| key.slot);
        assert_eq!(seen, expected);
    }
}

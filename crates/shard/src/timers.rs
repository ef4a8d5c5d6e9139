//! Which timers each session has armed, so that the end of a session takes them back.
//!
//! Nearly every session has one: eight bytes by its slot. What a few have beyond that lies in a map beside it.

use crate::table::Table;
use crate::wheel::TimerId;
use std::collections::HashMap;

/// The timers of all sessions of a seat, by the session's slot.
pub(crate) struct Timers {
    // Invariant: a session with timers in `more` has one in `one`.
    one: Table<Option<TimerId>>,
    /// A list that is empty keeps its memory until its session ends.
    more: HashMap<u32, Vec<TimerId>>,
}

impl Timers {
    pub(crate) fn new() -> Timers {
        Timers { one: Table::new(), more: HashMap::new() }
    }

    pub(crate) fn add(&mut self, slot: u32, timer: TimerId) {
        while self.one.len() <= slot {
            self.one.push(None);
        }
        match self.one.get_mut(slot) {
            Some(one) if one.is_none() => *one = Some(timer),
            _ => self.more.entry(slot).or_default().push(timer),
        }
    }

    /// Has the processor fetch what is known of a session's timers.
    #[inline]
    pub(crate) fn foresee(&self, slot: u32) {
        self.one.foresee(slot);
    }

    /// Whether it was one of them.
    pub(crate) fn remove(&mut self, slot: u32, timer: TimerId) -> bool {
        let Some(one) = self.one.get_mut(slot) else { return false };
        if *one == Some(timer) {
            *one = if self.more.is_empty() { None } else { self.more.get_mut(&slot).and_then(Vec::pop) };
            return true;
        }
        let more = if self.more.is_empty() { None } else { self.more.get_mut(&slot) };
        let Some(more) = more else { return false };
        let Some(index) = more.iter().position(|other| *other == timer) else { return false };
        more.swap_remove(index);
        true
    }

    pub(crate) fn has_any(&self, slot: u32) -> bool {
        self.one.get(slot).is_some_and(Option::is_some)
    }

    /// All of a session that ends.
    pub(crate) fn take(&mut self, slot: u32) -> impl Iterator<Item = TimerId> + use<> {
        let one = self.one.get_mut(slot).and_then(Option::take);
        let more = if self.more.is_empty() { None } else { self.more.remove(&slot) };
        one.into_iter().chain(more.into_iter().flatten())
    }
}

/// What it costs a session.
pub(crate) const TIMERS_BYTES: usize = size_of::<Option<TimerId>>();
const _: () = assert!(TIMERS_BYTES == 8);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;
    use std::collections::BTreeSet;

    fn id(n: u64) -> TimerId {
        TimerId::from(n << 32 | 1)
    }

    #[test]
    fn each_session_has_what_was_added_and_not_removed() {
        for seed in 0..50 {
            let (mut random, mut timers) = (Random::new(seed), Timers::new());
            let mut model = vec![BTreeSet::new(); 5];
            for n in 0..1_000 {
                let slot = random.below(5) as u32;
                let its = &mut model[slot as usize];
                let some = its.iter().nth(random.below(4) as usize).copied();
                match (random.below(20), some) {
                    (0, _) => {
                        let taken: BTreeSet<u64> = timers.take(slot).map(|id| u64::from(id) >> 32).collect();
                        assert_eq!(taken, std::mem::take(its));
                    }
                    (1..10, Some(some)) => {
                        assert!(timers.remove(slot, id(some)));
                        assert!(!timers.remove(slot, id(some)));
                        its.remove(&some);
                    }
                    _ => {
                        timers.add(slot, id(n));
                        its.insert(n);
                    }
                }
                let any: Vec<bool> = model.iter().map(|its| !its.is_empty()).collect();
                assert_eq!((0..5).map(|slot| timers.has_any(slot)).collect::<Vec<_>>(), any);
            }
            assert!(!timers.remove(77, id(1)) && !timers.has_any(77) && timers.take(77).next().is_none());
        }
    }
}

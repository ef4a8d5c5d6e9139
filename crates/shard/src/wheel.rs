//! Timer wheel of one core: 4 levels of 64 slots, tick = 1 ms.
//!
//! Never reads a clock: [`Wheel::fire`] is told the time. Never holds a lock, never allocates once it has held as many timers
//! as it holds now. Owned by one seat, touched by no other thread.
//!
//! A level is one base-64 digit of the tick, so level 0 tells single ticks apart and level 3 spans 4.6 hours. A timer lies
//! where its deadline first differs from the present, read from the highest digit down:
//!
//! ```text
//!              digit 3  digit 2  digit 1  digit 0
//! present         0        5        9       40
//! deadline A      0        5        9       63     level 0, slot 63: its list is one tick, ready to fire
//! deadline B      0        5       12        7     level 1, slot 12: comes down to level 0 when digit 1 turns 12
//! deadline C      2        0        0        1     level 3, slot 2
//! ```
//!
//! All timers of a level are therefore due before all of the level above, and the first occupied slot of the lowest occupied
//! level is the next thing to do. One bitmap a level finds it in a few instructions, however far time has jumped.

use std::num::NonZeroU32;

/// Timers that each carry a `V` (a token, a key: something small that says whose timer it is).
pub struct Wheel<V> {
    // Invariant: every deadline >= now, and each timer lies in the list that `list_of(now, at)` names, or (level 3 only, past
    // the horizon) in one that comes down earlier.
    now: u64,
    occupied: [u64; LEVELS],
    heads: [u32; LEVELS * SLOTS],
    nodes: Nodes<V>,
    len: usize,
}

/// A moment in milliseconds since an arbitrary start: the engine's clock, real or simulated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tick(pub u64);

/// Name of one armed timer. Once it fired or was cancelled, the name finds nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TimerId {
    node: u32,
    generation: NonZeroU32,
}

/// The name as one word, never 0 and with the highest bit 0, so that a token may use that bit to mean something else.
impl From<TimerId> for u64 {
    fn from(id: TimerId) -> u64 {
        u64::from(id.node) << 32 | u64::from(id.generation.get())
    }
}

/// The name back from its word. A word that no timer had finds nothing, or at worst another timer: never more.
impl From<u64> for TimerId {
    fn from(word: u64) -> TimerId {
        match NonZeroU32::new(word as u32) {
            Some(generation) => TimerId { node: (word >> 32) as u32, generation },
            None => TimerId { node: NONE, generation: NonZeroU32::MAX },
        }
    }
}

/// A timer that fired. Its name finds nothing any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fired<V> {
    /// The name it had.
    pub timer: TimerId,
    /// When it was due.
    pub at: Tick,
    /// What it carried.
    pub what: V,
}

impl<V: Copy> Wheel<V> {
    /// An empty wheel whose present is `now`. Allocates nothing yet.
    pub fn new(now: Tick) -> Wheel<V> {
        Wheel {
            now: now.0,
            occupied: [0; LEVELS],
            heads: [NONE; LEVELS * SLOTS],
            nodes: Nodes { pages: Vec::new(), made: 0, free: NONE },
            len: 0,
        }
    }

    /// Arms a timer for `at`. A deadline that is not in the wheel's future fires one tick after its present, never in the
    /// same tick: a timer that arms itself again at once cannot hold the turn.
    ///
    /// Deadlines past the horizon (4.6 h) cost one move for each horizon they are away.
    pub fn insert(&mut self, at: Tick, what: V) -> TimerId {
        let at = at.0.max(self.now + 1);
        let (node, generation) = self.nodes.add(at, what);
        self.link(node);
        self.len += 1;
        TimerId { node, generation }
    }

    /// Disarms a timer and gives back what it carried; `None` when it has fired or was cancelled before. Takes constant time.
    pub fn cancel(&mut self, id: TimerId) -> Option<V> {
        let node = self.nodes.find(id.node)?;
        if node.generation != id.generation || node.list == FREE {
            return None;
        }
        Some(self.remove(id.node).what)
    }

    /// The earliest timer due at or before `now`, taken off the wheel. Call it until it returns `None`: then all that was
    /// due has fired and the wheel's present is `now`. Between two calls the wheel may be used freely: what is cancelled
    /// then does not fire, what is armed then fires in its order.
    ///
    /// Order: by deadline, and within one tick by insertion (timers armed for beyond the horizon may fall behind others of
    /// their tick). A `now` before the wheel's present fires nothing and does not turn it back.
    pub fn fire(&mut self, now: Tick) -> Option<Fired<V>> {
        while let Some((level, list, start)) = self.next_list()
            && start <= now.0
        {
            self.now = start;
            if level == 0 {
                return Some(self.remove(self.heads[list]));
            }
            self.cascade(list);
        }
        self.now = self.now.max(now.0);
        None
    }

    /// When `fire` is next worth calling: exact if a timer is due within the present block of 64 ms, else the moment at which
    /// timers must come down a level. That is never late, and early at most three times for one timer within the horizon.
    pub fn next_deadline(&self) -> Option<Tick> {
        self.next_list().map(|(_, _, start)| Tick(start))
    }

    /// Number of armed timers.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether no timer is armed.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Level and list that come next, and the first tick of that list.
    #[inline]
    fn next_list(&self) -> Option<(usize, usize, u64)> {
        let level = self.occupied.iter().position(|&slots| slots != 0)?;
        let present = self.now >> (BITS * level);
        // How many slots ahead. Only on the top level may slots lie behind the present's digit: they are of its next round.
        // There is no slot 64 ahead, so one that shares the present's digit is due now (level 0 alone has such).
        let digit = present % SLOTS as u64;
        let ahead = u64::from(self.occupied[level].rotate_right(digit as u32).trailing_zeros());
        let slot = (digit + ahead) as usize % SLOTS;
        Some((level, level * SLOTS + slot, (present + ahead) << (BITS * level)))
    }

    /// Moves every timer of a list to where it belongs now that the list's first tick is the present.
    fn cascade(&mut self, list: usize) {
        while self.heads[list] != NONE {
            let node = self.heads[list];
            self.unlink(node);
            self.link(node);
            // Else this would never end.
            debug_assert_ne!(usize::from(self.nodes.get(node).list), list);
        }
    }

    /// Appends `node` to the list of its deadline. Lists are rings: the head's `previous` is the tail.
    fn link(&mut self, node: u32) {
        let list = list_of(self.now, self.nodes.get(node).at);
        let head = self.heads[list];
        let (previous, next) =
            if head == NONE { (node, node) } else { (self.nodes.get(head).previous, head) };
        if head == NONE {
            self.heads[list] = node;
            self.occupied[list / SLOTS] |= 1 << (list % SLOTS);
        }
        self.nodes.get_mut(previous).next = node;
        self.nodes.get_mut(next).previous = node;
        let linked = self.nodes.get_mut(node);
        (linked.previous, linked.next, linked.list) = (previous, next, list as u16);
    }

    fn unlink(&mut self, node: u32) {
        let &Node { previous, next, list, .. } = self.nodes.get(node);
        let list = usize::from(list);
        if next == node {
            self.heads[list] = NONE;
            self.occupied[list / SLOTS] &= !(1 << (list % SLOTS));
            return;
        }
        self.nodes.get_mut(previous).next = next;
        self.nodes.get_mut(next).previous = previous;
        if self.heads[list] == node {
            self.heads[list] = next;
        }
    }

    fn remove(&mut self, node: u32) -> Fired<V> {
        self.unlink(node);
        self.len -= 1;
        self.nodes.free(node)
    }
}

/// The list for a deadline `at`, seen from `now`. On the top level at most 63 slots ahead, so that a slot never means two
/// rounds: what lies further is parked in the last one and put back when that comes down.
fn list_of(now: u64, at: u64) -> usize {
    let top_shift = BITS * TOP;
    let top_ahead = (at >> top_shift) - (now >> top_shift);
    if top_ahead > 0 {
        let slot = (now >> top_shift) + top_ahead.min(SLOTS as u64 - 1);
        return TOP * SLOTS + slot as usize % SLOTS;
    }
    // `| 1` makes a deadline of this very tick differ in digit 0.
    let level = ((now ^ at) | 1).ilog2() as usize / BITS;
    level * SLOTS + (at >> (BITS * level)) as usize % SLOTS
}

/// Timers in pages that never move; free ones form a stack through `next`.
struct Nodes<V> {
    pages: Vec<Vec<Node<V>>>,
    made: u32,
    free: u32,
}

/// A free node keeps the deadline and the value that it had last; nobody reads them.
struct Node<V> {
    at: u64,
    what: V,
    previous: u32,
    next: u32,
    generation: NonZeroU32,
    list: u16,
}

impl<V: Copy> Nodes<V> {
    /// A node that is in no list yet.
    fn add(&mut self, at: u64, what: V) -> (u32, NonZeroU32) {
        if self.free == NONE {
            return (self.grow(at, what), NonZeroU32::MIN);
        }
        let index = self.free;
        let node = self.get_mut(index);
        (node.at, node.what) = (at, what);
        let (next, generation) = (node.next, node.generation);
        self.free = next;
        (index, generation)
    }

    /// Adds a node that was never used, and a page for it when the last one is full.
    #[cold]
    fn grow(&mut self, at: u64, what: V) -> u32 {
        let index = self.made;
        assert!(index < NODES_MAX, "a seat with 2^31 timers is a leak of ours");
        if (index as usize).is_multiple_of(PAGE_NODES) {
            self.pages.push(Vec::with_capacity(PAGE_NODES));
        }
        let node = Node { at, what, previous: index, next: index, generation: NonZeroU32::MIN, list: FREE };
        self.pages[index as usize / PAGE_NODES].push(node);
        self.made += 1;
        index
    }

    /// Makes every id of the node stale and gives back what is known of the timer.
    fn free(&mut self, index: u32) -> Fired<V> {
        let free = self.free;
        let node = self.get_mut(index);
        let timer = TimerId { node: index, generation: node.generation };
        let fired = Fired { timer, at: Tick(node.at), what: node.what };
        node.generation = node.generation.checked_add(1).unwrap_or(NonZeroU32::MIN);
        (node.next, node.list) = (free, FREE);
        self.free = index;
        fired
    }

    fn find(&self, index: u32) -> Option<&Node<V>> {
        self.pages.get(index as usize / PAGE_NODES)?.get(index as usize % PAGE_NODES)
    }

    #[inline]
    fn get(&self, index: u32) -> &Node<V> {
        &self.pages[index as usize / PAGE_NODES][index as usize % PAGE_NODES]
    }

    #[inline]
    fn get_mut(&mut self, index: u32) -> &mut Node<V> {
        &mut self.pages[index as usize / PAGE_NODES][index as usize % PAGE_NODES]
    }
}

const LEVELS: usize = 4;
const TOP: usize = LEVELS - 1;
const BITS: usize = 6;
const SLOTS: usize = 1 << BITS;
const PAGE_NODES: usize = 256;
const NODES_MAX: u32 = 1 << 31;
const NONE: u32 = u32::MAX;
/// In place of a list: the node is free.
const FREE: u16 = u16::MAX;

// A bitmap has one bit a slot, and an idle timeout costs a connection 32 bytes.
const _: () = assert!(SLOTS == u64::BITS as usize && LEVELS * SLOTS < FREE as usize);
const _: () = assert!(size_of::<Node<u64>>() == 32 && size_of::<Option<TimerId>>() == 8);

#[cfg(test)]
mod tests;

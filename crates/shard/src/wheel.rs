//! Timer wheel of one core: 4 levels of 128 slots, tick = 1 ms.
//!
//! Never reads a clock: [`Wheel::fire`] is told the time. Never holds a lock, never allocates once it has held as many timers
//! as it holds now. Never moves more than [`MOVES_MAX`] timers of a level in one round, however many it holds. Owned by one seat,
//! touched by no other thread.
//!
//! A level is one base-64 digit of the tick, so level 0 tells single ticks apart and level 3 spans 4.6 hours. A timer is armed
//! where its deadline first differs from the present, read from the highest digit down:
//!
//! ```text
//!              digit 3  digit 2  digit 1  digit 0
//! present         0        5        9       40
//! deadline A      0        5        9       63     level 0: its list is one tick, ready to fire
//! deadline B      0        5       12        7     level 1, slot 12: comes down to level 0 before digit 1 turns 12
//! deadline C      2        0        0        1     level 3, slot 2
//! ```
//!
//! A slot of a level is as long as all 64 digits of the level below, and is to be empty when its time begins: its timers come
//! down. That need not wait for the moment: a level has slots for two rounds of its digit, this one and the next, so while one
//! slot's time runs, the timers of the next can go down beside those of this one: in each round ([`Wheel::fire`]) as many as
//! must so that the last of them is down in time. A million timers of 30 s that lie in one slot of 4 s need 256 a millisecond
//! of the 4 s before it, and none of them is late.
//!
//! One bitmap a level finds what comes next in a few instructions, however far time has jumped.

use crate::table::Table;
use std::num::NonZeroU32;

/// Timers that each carry a `V` (a token, a key: something small that says whose timer it is).
pub struct Wheel<V> {
    // Invariant: every deadline >= now. Each timer lies in the list that `list_of(now, at)` names, or lower, where its lists
    // were the next ones to come down, or (top level only, past the horizon) in one that comes down earlier. So a level's
    // timers are at most SLOTS - 1 slots ahead of the present, and above level 0 at least one.
    now: u64,
    /// Timers of each level that may still come down in this round.
    moves: [u32; LEVELS],
    moves_max: u32,
    occupied: [u128; LEVELS],
    lists: [List; LEVELS * SLOTS],
    nodes: Nodes<V>,
    len: usize,
}

/// A ring of nodes: the head's `previous` is the tail.
#[derive(Clone, Copy)]
struct List {
    head: u32,
    len: u32,
}

/// Timers of a level that come down in one round, at most, so that a turn stays short. With a round in each tick these are
/// 2^20 timers in the time of one slot of level 2; what it costs is measured by `examples/wheel`.
pub const MOVES_MAX: u32 = 256;

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
        Wheel::with_moves_max(now, MOVES_MAX)
    }

    /// An empty wheel that brings down at most `moves_max` timers of a level in a round. At least one; for tests and measurements.
    pub fn with_moves_max(now: Tick, moves_max: u32) -> Wheel<V> {
        let moves_max = moves_max.max(1);
        Wheel {
            now: now.0,
            moves: [moves_max; LEVELS],
            moves_max,
            occupied: [0; LEVELS],
            lists: [List { head: NONE, len: 0 }; LEVELS * SLOTS],
            nodes: Nodes { table: Table::new(), free: NONE },
            len: 0,
        }
    }

    /// Arms a timer for `at`. A deadline that is not in the wheel's future fires one tick after its present, never in the
    /// same tick: a timer that arms itself again at once cannot hold the turn.
    ///
    /// Deadlines past the horizon (9.2 h) cost one move for each horizon they are away.
    pub fn insert(&mut self, at: Tick, what: V) -> TimerId {
        let at = at.0.max(self.now + 1);
        let (node, generation) = self.nodes.add(at, what);
        self.link(node, list_of(self.now, at));
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

    /// The earliest timer due at or before `now`, taken off the wheel. Called until it returns `None`, it makes a round. Between
    /// two calls the wheel may be used freely: what is cancelled then does not fire, what is armed then fires in its order.
    ///
    /// A round brings down at most [`MOVES_MAX`] timers of a level. Almost always that is enough, and after it all that was due
    /// has fired and the wheel's present is `now`. Where more must come down than could be done ahead (the clock jumped, or
    /// hundreds of timers a millisecond are due), the present stays behind, [`next_deadline`](Wheel::next_deadline) is not after
    /// `now`, and the rounds that follow go on: timers are then late by turns, but none is lost or out of order.
    ///
    /// Order: by deadline, and within one tick by insertion (timers armed for beyond the horizon may fall behind others of
    /// their tick). A `now` before the wheel's present fires nothing and does not turn it back.
    pub fn fire(&mut self, now: Tick) -> Option<Fired<V>> {
        loop {
            let due = self.lists[list_at(0, self.now)].head;
            if due != NONE && self.now <= now.0 {
                let fired = self.remove(due);
                self.foresee();
                return Some(fired);
            }
            match self.next_list() {
                Some((0, start)) if start <= now.0 => self.now = start,
                Some((level, start)) if start <= now.0 => {
                    // Time stands right before the slot's until the slot is empty, or what is due first could be overtaken.
                    self.now = self.now.max(start - 1);
                    if !self.come_down(level, u32::MAX) {
                        break;
                    }
                }
                _ => {
                    self.now = self.now.max(now.0);
                    self.prepare();
                    break;
                }
            }
        }
        self.moves = [self.moves_max; LEVELS];
        None
    }

    /// What the timer of this tick carries that fires next, if there is one, and it is not cancelled.
    #[inline]
    pub fn coming(&self) -> Option<V> {
        let next = self.lists[list_at(0, self.now)].head;
        (next != NONE).then(|| self.nodes.get(next).what)
    }

    /// Has the processor fetch the node behind the one that fires next, which was touched just now.
    #[inline]
    fn foresee(&self) {
        let next = self.lists[list_at(0, self.now)].head;
        if next != NONE {
            self.nodes.table.foresee(self.nodes.get(next).next);
        }
    }

    /// When `fire` is next worth calling: exact if a timer is due within the present block of 64 ms, else the moment at which
    /// timers must come down a level. That is early at most three times for one timer within the horizon, and one tick more
    /// for each further [`MOVES_MAX`] timers that come down with it. It is late only where `fire` says so.
    pub fn next_deadline(&self) -> Option<Tick> {
        (0..LEVELS).filter_map(|level| self.begin(level)).min().map(Tick)
    }

    /// Number of armed timers.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether no timer is armed.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Level of the list that comes next, and its first tick. Of two lists that begin together it is the one of the higher
    /// level: its timers must come down before the other fires.
    fn next_list(&self) -> Option<(usize, u64)> {
        let mut next = None;
        for level in (0..LEVELS).rev() {
            if let Some(start) = self.first_start(level)
                && next.is_none_or(|(_, earliest)| start < earliest)
            {
                next = Some((level, start));
            }
        }
        next
    }

    /// The first tick of the first occupied list of a level.
    #[inline]
    fn first_start(&self, level: usize) -> Option<u64> {
        let slots = self.occupied[level];
        if slots == 0 {
            return None;
        }
        let present = self.now >> (BITS * level);
        let ahead = u64::from(slots.rotate_right((present % SLOTS as u64) as u32).trailing_zeros());
        debug_assert!(level == 0 || ahead > 0);
        Some((present + ahead) << (BITS * level))
    }

    /// When the first occupied list of a level must begin to come down, a round a tick, to be empty when its time begins.
    fn begin(&self, level: usize) -> Option<u64> {
        let start = self.first_start(level)?;
        if level == 0 {
            return Some(start);
        }
        let len = self.lists[list_at(level, start >> (BITS * level))].len;
        let ahead = u64::from((len - 1) / self.moves_max);
        // Not before it is the next slot, nor in the tick that has had its round.
        let earliest = (start - (1 << (BITS * level))).max(self.now + 1);
        Some(start.saturating_sub(ahead).max(earliest))
    }

    /// Brings down some timers of each level's next slot: with as many in each tick until its time begins, all of them.
    fn prepare(&mut self) {
        for level in 1..LEVELS {
            let slot = (self.now >> (BITS * level)) + 1;
            let len = self.lists[list_at(level, slot)].len;
            if len > 0 {
                let ticks = (slot << (BITS * level)) - self.now;
                // At least one, and never more than there are.
                self.come_down(level, u64::from(len).div_ceil(ticks) as u32);
            }
        }
    }

    /// Moves up to `most` timers of the next slot of a level to where they belong in the level below. `false` when it is not
    /// empty after that.
    fn come_down(&mut self, level: usize, most: u32) -> bool {
        let slot = (self.now >> (BITS * level)) + 1;
        let list = list_at(level, slot);
        let moves = self.lists[list].len.min(most).min(self.moves[level]);
        self.moves[level] -= moves;
        for _ in 0..moves {
            let node = self.lists[list].head;
            let at = self.nodes.get(node).at;
            self.unlink(node);
            let parked = at >> (BITS * level) != slot;
            debug_assert!(!parked || level == TOP);
            let below = list_at(level - 1, at >> (BITS * (level - 1)));
            self.link(node, if parked { list_of(self.now, at) } else { below });
        }
        self.lists[list].len == 0
    }

    /// Appends `node` to a list.
    fn link(&mut self, node: u32, list: usize) {
        let List { head, len } = self.lists[list];
        let (previous, next) =
            if head == NONE { (node, node) } else { (self.nodes.get(head).previous, head) };
        if head == NONE {
            self.occupied[list / SLOTS] |= 1 << (list % SLOTS);
        }
        self.lists[list] = List { head: if head == NONE { node } else { head }, len: len + 1 };
        self.nodes.get_mut(previous).next = node;
        self.nodes.get_mut(next).previous = node;
        let linked = self.nodes.get_mut(node);
        (linked.previous, linked.next, linked.list) = (previous, next, list as u16);
    }

    fn unlink(&mut self, node: u32) {
        let &Node { previous, next, list, .. } = self.nodes.get(node);
        let list = usize::from(list);
        self.lists[list].len -= 1;
        if next == node {
            self.lists[list].head = NONE;
            self.occupied[list / SLOTS] &= !(1 << (list % SLOTS));
            return;
        }
        self.nodes.get_mut(previous).next = next;
        self.nodes.get_mut(next).previous = previous;
        if self.lists[list].head == node {
            self.lists[list].head = next;
        }
    }

    fn remove(&mut self, node: u32) -> Fired<V> {
        self.unlink(node);
        self.len -= 1;
        self.nodes.free(node)
    }
}

/// The list in which a deadline `at` is armed, seen from `now`. On the top level at most `SLOTS - 1` slots ahead, so that a
/// slot never means two rounds: what lies further is parked in the last one and put back when that comes down.
fn list_of(now: u64, at: u64) -> usize {
    let present = now >> (BITS * TOP);
    let ahead = (at >> (BITS * TOP)) - present;
    if ahead > 0 {
        return list_at(TOP, present + ahead.min(SLOTS as u64 - 1));
    }
    // `| 1` makes a deadline of this very tick differ in digit 0.
    let level = ((now ^ at) | 1).ilog2() as usize / BITS;
    list_at(level, at >> (BITS * level))
}

fn list_at(level: usize, slot: u64) -> usize {
    level * SLOTS + slot as usize % SLOTS
}

/// Timers in places that never move; free ones form a stack through `next`.
struct Nodes<V> {
    table: Table<Node<V>>,
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

    /// Adds a node that was never used.
    #[cold]
    fn grow(&mut self, at: u64, what: V) -> u32 {
        let index = self.table.len();
        assert!(index < NODES_MAX, "a seat with 2^31 timers is a leak of ours");
        self.table.push(Node {
            at,
            what,
            previous: index,
            next: index,
            generation: NonZeroU32::MIN,
            list: FREE,
        });
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
        self.table.get(index)
    }

    #[inline]
    fn get(&self, index: u32) -> &Node<V> {
        self.table.get(index).expect(LINKED)
    }

    #[inline]
    fn get_mut(&mut self, index: u32) -> &mut Node<V> {
        self.table.get_mut(index).expect(LINKED)
    }
}

/// Bytes of one timer.
pub(crate) const fn timer_bytes<V>() -> usize {
    size_of::<Node<V>>()
}

const LEVELS: usize = 4;
const TOP: usize = LEVELS - 1;
/// Bits of a digit.
const BITS: usize = 6;
/// Slots of a level: two rounds of its digit.
const SLOTS: usize = 2 << BITS;
const NODES_MAX: u32 = 1 << 31;
const LINKED: &str = "a node that is linked was made";
const NONE: u32 = u32::MAX;
/// In place of a list: the node is free.
const FREE: u16 = u16::MAX;

// A bitmap has one bit a slot, and an idle timeout costs a connection 32 bytes, which never straddle a cache line.
const _: () = assert!(SLOTS == u128::BITS as usize && LEVELS * SLOTS < FREE as usize);
const _: () = assert!(size_of::<Node<u64>>() == 32 && size_of::<Option<TimerId>>() == 8);

#[cfg(test)]
mod tests;

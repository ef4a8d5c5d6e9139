//! The timer wheel of the textbook, which was Ringmill's before it brought timers down ahead of their time: 4 levels of 64
//! slots, and a slot whose time begins comes down whole. Here to be measured beside the other; its deadlines are all within
//! its horizon of 4.4 hours, and nothing is cancelled.

use shard::Tick;

/// Timers that each carry a number.
pub(crate) struct Whole {
    now: u64,
    occupied: [u64; LEVELS],
    heads: [u32; LEVELS * SLOTS],
    pages: Vec<Vec<Node>>,
    free: u32,
    made: u32,
}

struct Node {
    at: u64,
    what: u64,
    previous: u32,
    next: u32,
    generation: u32,
    list: u16,
}

impl Whole {
    pub(crate) fn new(now: Tick) -> Whole {
        let (occupied, heads) = ([0; LEVELS], [NONE; LEVELS * SLOTS]);
        Whole { now: now.0, occupied, heads, pages: Vec::new(), free: NONE, made: 0 }
    }

    pub(crate) fn insert(&mut self, at: Tick, what: u64) {
        let at = at.0.max(self.now + 1);
        let node = self.add(at, what);
        self.link(node);
    }

    pub(crate) fn fire(&mut self, now: Tick) -> Option<u64> {
        while let Some((level, list, start)) = self.next_list()
            && start <= now.0
        {
            self.now = start;
            if level == 0 {
                return Some(self.remove(self.heads[list]));
            }
            while self.heads[list] != NONE {
                let node = self.heads[list];
                self.unlink(node);
                self.link(node);
            }
        }
        self.now = self.now.max(now.0);
        None
    }

    pub(crate) fn next_deadline(&self) -> Option<Tick> {
        self.next_list().map(|(_, _, start)| Tick(start))
    }

    fn next_list(&self) -> Option<(usize, usize, u64)> {
        let level = self.occupied.iter().position(|&slots| slots != 0)?;
        let present = self.now >> (BITS * level);
        let digit = present % SLOTS as u64;
        let ahead = u64::from(self.occupied[level].rotate_right(digit as u32).trailing_zeros());
        let slot = (digit + ahead) as usize % SLOTS;
        Some((level, level * SLOTS + slot, (present + ahead) << (BITS * level)))
    }

    fn link(&mut self, node: u32) {
        let at = self.get(node).at;
        let level = ((self.now ^ at) | 1).ilog2() as usize / BITS;
        let list = level * SLOTS + (at >> (BITS * level)) as usize % SLOTS;
        let head = self.heads[list];
        let (previous, next) = if head == NONE { (node, node) } else { (self.get(head).previous, head) };
        if head == NONE {
            self.heads[list] = node;
            self.occupied[list / SLOTS] |= 1 << (list % SLOTS);
        }
        self.get(previous).next = node;
        self.get(next).previous = node;
        let linked = self.get(node);
        (linked.previous, linked.next, linked.list) = (previous, next, list as u16);
    }

    fn unlink(&mut self, node: u32) {
        let &mut Node { previous, next, list, .. } = self.get(node);
        let list = usize::from(list);
        if next == node {
            self.heads[list] = NONE;
            self.occupied[list / SLOTS] &= !(1 << (list % SLOTS));
            return;
        }
        self.get(previous).next = next;
        self.get(next).previous = previous;
        if self.heads[list] == node {
            self.heads[list] = next;
        }
    }

    fn add(&mut self, at: u64, what: u64) -> u32 {
        if self.free == NONE {
            let index = self.made;
            if (index as usize).is_multiple_of(PAGE_NODES) {
                self.pages.push(Vec::with_capacity(PAGE_NODES));
            }
            let node = Node { at, what, previous: index, next: index, generation: 1, list: 0 };
            self.pages[index as usize / PAGE_NODES].push(node);
            self.made += 1;
            return index;
        }
        let index = self.free;
        let node = self.get(index);
        (node.at, node.what) = (at, what);
        self.free = node.next;
        index
    }

    fn remove(&mut self, index: u32) -> u64 {
        self.unlink(index);
        let free = self.free;
        let node = self.get(index);
        node.generation = node.generation.wrapping_add(1);
        node.next = free;
        let what = node.what;
        self.free = index;
        what
    }

    fn get(&mut self, index: u32) -> &mut Node {
        &mut self.pages[index as usize / PAGE_NODES][index as usize % PAGE_NODES]
    }
}

const LEVELS: usize = 4;
const BITS: usize = 6;
const SLOTS: usize = 1 << BITS;
const PAGE_NODES: usize = 256;
const NONE: u32 = u32::MAX;

// As large as the other's, so that both have the same caches to fill.
const _: () = assert!(size_of::<Node>() == 32);

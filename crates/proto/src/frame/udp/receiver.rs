//! What came from one peer: each frame once, and in order where that is asked.

use super::sender::grown;
use super::window::Window;
use super::{WINDOW, ahead};
use crate::frame::Ack;
use std::collections::VecDeque;

/// The receiving half. `P` is what the caller keeps of a frame that has to wait.
#[derive(Debug)]
pub struct Receiver<P> {
    /// The lowest number that is not settled: it did not come, and was not given up.
    floor: u32,
    came: Window,
    /// Those above the floor that wait for it, by their numbers: fewer than [`WINDOW`].
    held: VecDeque<(u32, P)>,
    /// Of the frames that want no acknowledgement: the highest number, and from bit 0 down what came.
    loose: (u32, Window),
}

/// What becomes of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It is delivered. Acknowledge it, then [`Receiver::pop`] what waited for it.
    Now,
    /// It waits for lower numbers. Acknowledge it.
    Held,
    /// It was taken before, or given up by its sender. Acknowledge it: the first ACK may be lost.
    Duplicate,
    /// Its number is not in the window: none of this conversation. Say nothing.
    Beyond,
    /// The caller had no room for it. Say nothing: it will be sent again.
    NoRoom,
}

/// How far numbers of frames that want no acknowledgement may jump: more than a network loses in a row, and a four-thousandth of all
/// numbers, so that a blind forger has to try as often.
const LOOSE_JUMP: i32 = 1 << 20;

impl<P> Receiver<P> {
    /// A receiver whose peer's first number is `first`.
    #[must_use]
    pub const fn new(first: u32) -> Receiver<P> {
        // Nothing below the first is of this conversation.
        let loose = (first.wrapping_sub(1), Window([u64::MAX; 4]));
        Receiver { floor: first, came: Window([0; 4]), held: VecDeque::new(), loose }
    }

    /// The lowest number that is not settled.
    #[must_use]
    pub const fn floor(&self) -> u32 {
        self.floor
    }

    /// What a frame that wants an acknowledgement would come to; changes nothing.
    #[must_use]
    pub fn look(&self, seq: u32, ordered: bool) -> Taken {
        let at = ahead(seq, self.floor);
        if at < -(WINDOW as i32) || at >= WINDOW as i32 {
            Taken::Beyond
        } else if at < 0 || self.came.has(at as u32) {
            Taken::Duplicate
        } else if !ordered || at == 0 {
            Taken::Now
        } else {
            Taken::Held
        }
    }

    /// Takes a frame that wants an acknowledgement. `keep` is asked for what to keep of one that has to
    /// wait, and says `None` where there is no room for it.
    pub fn take(&mut self, seq: u32, ordered: bool, keep: impl FnOnce() -> Option<P>) -> Taken {
        let taken = self.look(seq, ordered);
        if taken == Taken::Held {
            let Some(kept) = keep() else { return Taken::NoRoom };
            let places = grown(self.held.capacity(), self.held.len() + 1);
            self.held.reserve_exact(places - self.held.len());
            let behind = self.held.iter().rposition(|(other, _)| ahead(*other, seq) < 0);
            self.held.insert(behind.map_or(0, |at| at + 1), (seq, kept));
        }
        if matches!(taken, Taken::Now | Taken::Held) {
            self.came.set(seq.wrapping_sub(self.floor));
            self.rise();
        }
        taken
    }

    /// Takes a frame that wants none: whether it is new. One that is more than the window behind is not known to be, and one that
    /// is a million (`LOOSE_JUMP`) ahead is not of this conversation.
    pub fn take_loose(&mut self, seq: u32) -> bool {
        let (top, came) = &mut self.loose;
        let up = ahead(seq, *top);
        if up > LOOSE_JUMP {
            return false;
        }
        if up > 0 {
            came.push(up as u32);
            came.set(0);
            *top = seq;
            return true;
        }
        let down = up.unsigned_abs();
        let fresh = down < WINDOW && !came.has(down);
        if fresh {
            came.set(down);
        }
        fresh
    }

    /// The next that waited and need not any more.
    pub fn pop(&mut self) -> Option<(u32, P)> {
        let (seq, _) = self.held.front()?;
        if ahead(*seq, self.floor) < 0 { self.held.pop_front() } else { None }
    }

    /// The highest number that waits for lower ones.
    #[must_use]
    pub fn waits(&self) -> Option<u32> {
        self.held.back().map(|(seq, _)| *seq)
    }

    /// Bytes of the table of what waits, which grows with it.
    #[must_use]
    pub fn table_bytes(&self) -> usize {
        self.held.capacity() * size_of::<(u32, P)>()
    }

    /// By how many bytes the table grows with one more that waits.
    #[must_use]
    pub fn growth_bytes(&self) -> usize {
        let places = self.held.capacity();
        (grown(places, self.held.len() + 1) - places) * size_of::<(u32, P)>()
    }

    /// Gives the memory of an empty table back: nothing waits.
    pub fn rest(&mut self) {
        if self.held.is_empty() {
            self.held = VecDeque::new();
        }
    }

    /// The sender says that all below `floor` is settled: it waits for the ACK of none of it. `lost` is told of those that never
    /// came. `false` for a number that cannot be. [`Receiver::pop`] what waited for them.
    pub fn settle(&mut self, floor: u32, mut lost: impl FnMut(u32)) -> bool {
        let up = ahead(floor, self.floor);
        if up > WINDOW as i32 || up < -(WINDOW as i32) {
            return false;
        }
        let up = up.max(0) as u32;
        (0..up).filter(|n| !self.came.has(*n)).for_each(|n| lost(self.floor.wrapping_add(n)));
        self.came.slide(up);
        self.floor = self.floor.wrapping_add(up);
        self.rise();
        true
    }

    /// The ACK of `seq`, which tells of the others too.
    #[must_use]
    pub fn ack(&self, seq: u32) -> Ack {
        let before = (0..64).fold(0, |bits, n| {
            let at = ahead(seq.wrapping_sub(1 + n), self.floor);
            bits | u64::from(at < 0 || self.came.has(at as u32)) << n
        });
        Ack { before, floor: self.floor }
    }

    fn rise(&mut self) {
        let row = self.came.row();
        self.came.slide(row);
        self.floor = self.floor.wrapping_add(row);
    }
}

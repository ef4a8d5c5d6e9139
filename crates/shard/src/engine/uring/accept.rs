//! Listeners of one seat: accepting, stopping at the bound, backing off, and the end.
//!
//! ```text
//! Armed --room below the crowd, or drain--> Stopping --last completion--> Idle --room above the crowd--> Armed
//!   \--error or F_MORE lost--> Idle (armed again at once, or after the back-off)
//! ```
//!
//! A multishot accept takes in all that waits, however much room there is: what finds no slot in the descriptor table is
//! accepted and dropped by the kernel. So it is armed only while there is room for the whole crowd, all that may wait in
//! the queues at one time; nearer to the bound single accepts share the places that are left. Each listener keeps one as long
//! as there is a place, so that none starves: with L listeners the bound may be passed by L - 1, for which the table has
//! spare slots.

use super::driver::{Driver, For};
use super::ring::Ring;
use crate::engine::seats::BACK_OFF_NS;
use crate::service::ListenerId;
use linux::errno;
use linux::net::Listener;
use linux::ring::{Home, Op, Sock, Tag};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

/// One listener's socket on this seat.
pub(super) struct Accept {
    pub(super) listener: Option<Listener>,
    pub(super) id: ListenerId,
    /// It serves through the drain and is closed at its end.
    pub(super) late: bool,
    /// Where its connections get their descriptors: those that are handed to another seat need one of the process.
    home: Home,
    state: State,
    /// Single accepts in flight, a bit each: of several with one tag a cancel would find the same one again and again.
    singles: u16,
    /// Those of them that are being cancelled.
    stopping: u16,
    /// Not armed before this time: descriptors or memory were short.
    again_ns: u64,
    /// Connections taken out of its queue since it was to close.
    emptied: usize,
}

/// What a listener that is about to close has in its queue.
pub(super) enum Waiting {
    One(OwnedFd),
    None,
    /// There is no descriptor for it.
    Later,
}

/// How far a listener may accept.
#[derive(Clone, Copy)]
pub(super) struct Room {
    /// Connections that still fit.
    pub(super) places: usize,
    /// How many may wait in all queues of the seat.
    pub(super) crowd: usize,
    /// How many listeners share the places.
    pub(super) listeners: usize,
}

impl Room {
    fn singles(self) -> u32 {
        match self.places {
            0 => 0,
            places => (places / self.listeners).clamp(1, SINGLES_MAX as usize) as u32,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Idle,
    Armed,
    Stopping,
}

/// Single accepts of one listener in flight.
const SINGLES_MAX: u32 = u16::BITS;

impl Accept {
    pub(super) fn new(listener: Listener, id: ListenerId, late: bool, home: Home) -> Accept {
        Accept {
            listener: Some(listener),
            id,
            late,
            home,
            state: State::Idle,
            singles: 0,
            stopping: 0,
            again_ns: 0,
            emptied: 0,
        }
    }

    /// Accepts as far as there is room, unless it is resting.
    pub(super) fn arm<R: Ring>(&mut self, now_ns: u64, room: Room, driver: &mut Driver<R>) {
        let Some(listener) = self.listener.as_ref().filter(|_| now_ns >= self.again_ns) else { return };
        let sock = Sock::Plain(listener.as_fd().as_raw_fd());
        let armed = (self.state == State::Armed).then(|| self.tag(MULTI));
        let slots = match self.home {
            Home::Ring => driver.ring.room(armed),
            Home::Process => usize::MAX,
        };
        let is_wide = room.places.min(slots) > room.crowd;
        match self.state {
            State::Idle if is_wide => {
                self.stop_singles(SINGLES_MAX, driver);
                self.state = State::Armed;
                driver.ring.push(Op::AcceptMulti(sock, self.home), self.tag(MULTI));
            }
            State::Armed if !is_wide => self.stop_multi(driver),
            State::Idle => {
                let wanted = room.singles();
                let mut armed = (self.singles & !self.stopping).count_ones();
                // A slot is kept for each of them: those that wait where the table has filled up would lose what they accept.
                while armed < wanted && self.singles != u16::MAX && self.has_slot(driver) {
                    let bit = self.singles.trailing_ones();
                    self.singles |= 1 << bit;
                    armed += 1;
                    driver.ring.push(Op::Accept(sock, self.home), self.tag(SINGLE + bit));
                }
                self.stop_singles(armed.saturating_sub(wanted), driver);
            }
            State::Armed | State::Stopping => {}
        }
    }

    /// Stops accepting; what waits stays in the listener's queue.
    pub(super) fn stop<R: Ring>(&mut self, driver: &mut Driver<R>) {
        if self.state == State::Armed {
            self.stop_multi(driver);
        }
        self.stop_singles(SINGLES_MAX, driver);
    }

    /// A last completion came: of a single accept, or of the multishot. `errno` 0 is a good one.
    pub(super) fn ended(&mut self, kind: u32, errno: i32, now_ns: u64) {
        match kind {
            MULTI => self.state = State::Idle,
            single => {
                self.singles &= !(1 << (single - SINGLE));
                self.stopping &= self.singles;
            }
        }
        if !matches!(errno, 0 | errno::ECANCELED | errno::ECONNABORTED | errno::EINTR) {
            self.again_ns = now_ns + BACK_OFF_NS;
        }
    }

    /// The next connection out of its queue, nothing of it being in flight; at most `most` of them.
    pub(super) fn next_waiting(&mut self, now_ns: u64, most: usize) -> Waiting {
        let Some(listener) = self.listener.as_ref().filter(|_| self.emptied < most) else {
            return Waiting::None;
        };
        if now_ns < self.again_ns {
            return Waiting::Later;
        }
        match listener.accept_waiting() {
            Ok(Some(fd)) => {
                self.emptied += 1;
                Waiting::One(fd)
            }
            Ok(None) => Waiting::None,
            Err(_) => {
                self.again_ns = now_ns + BACK_OFF_NS;
                Waiting::Later
            }
        }
    }

    /// When it wants to be armed again though nothing happens.
    pub(super) fn rests_until_ns(&self, now_ns: u64) -> Option<u64> {
        (self.listener.is_some() && self.again_ns > now_ns).then_some(self.again_ns)
    }

    /// Its connections are handed to all seats.
    pub(super) fn is_handed(&self) -> bool {
        self.home == Home::Process
    }

    /// Nothing of it is in flight.
    pub(super) fn is_idle(&self) -> bool {
        self.state == State::Idle && self.singles == 0
    }

    /// Cancels `most` of the single accepts in flight.
    fn stop_singles<R: Ring>(&mut self, most: u32, driver: &mut Driver<R>) {
        for _ in 0..most {
            let armed = self.singles & !self.stopping;
            if armed == 0 {
                return;
            }
            let bit = armed.trailing_zeros();
            self.stopping |= 1 << bit;
            let single = self.tag(SINGLE + bit);
            driver.ring.push(Op::CancelKept(single), super::driver::tag(For::Forgotten, super::NOBODY));
        }
    }

    /// Whether some table has room for one more connection than it already waits for.
    fn has_slot<R: Ring>(&self, driver: &Driver<R>) -> bool {
        self.home == Home::Process || driver.ring.room(None) > 0
    }

    fn stop_multi<R: Ring>(&mut self, driver: &mut Driver<R>) {
        self.state = State::Stopping;
        driver.ring.push(Op::CancelKept(self.tag(MULTI)), super::driver::tag(For::Forgotten, super::NOBODY));
    }

    fn tag(&self, kind: u32) -> Tag {
        Tag::new(For::Accept as u8, u32::from(self.id.0), kind)
    }
}

/// Kinds of accept, where other tags have the generation: the multishot, and from 1 on the single ones.
const MULTI: u32 = 0;
const SINGLE: u32 = 1;

/// Whether this is the tag of a single accept.
#[inline]
pub(super) fn is_single(tag: Tag) -> bool {
    tag.op() == For::Accept as u8 && tag.generation() != MULTI
}

/// Whether an error of accept is a lack of something that may come back.
pub(super) fn is_shortage(errno: i32) -> bool {
    matches!(errno, errno::EMFILE | errno::ENFILE | errno::ENOBUFS | errno::ENOMEM)
}

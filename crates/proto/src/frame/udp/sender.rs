//! What was sent to one peer and is not acknowledged: sent again after a wait that doubles, given up after [`TRIES_MAX`] tries.

use super::pace::Pace;
use super::rtt::Rtt;
use super::{TRIES_MAX, WINDOW, ahead};
use crate::frame::Ack;
use std::collections::VecDeque;

/// The sending half. `P` is what the caller sends again.
#[derive(Debug)]
pub struct Sender<P> {
    /// The lowest number that is not settled, or not known to be by the peer.
    floor: u32,
    /// From the floor on, at most [`WINDOW`].
    slots: VecDeque<Slot<P>>,
    flying: u32,
    /// Bytes of the frames that are flying.
    bytes: usize,
    rtt: Rtt,
    pace: Pace,
    /// When the peer is asked again whether it knows the floor, and how often it was.
    ask_ms: u64,
    asked: u8,
}

#[derive(Debug)]
enum Slot<P> {
    /// Not sent yet: an answer whose question has not been answered.
    Empty,
    Flying(Flight<P>),
    Acknowledged,
    /// Given up, or never to be sent. The peer must be told before the window moves on.
    Skipped,
}

#[derive(Debug)]
struct Flight<P> {
    frame: P,
    bytes: u32,
    sent_ms: u64,
    due_ms: u64,
    /// One more than [`TRIES_MAX`]: the end was put off once.
    tries: u8,
    /// How many ACKs came for numbers above.
    passed: u8,
}

/// What is to be done now.
#[derive(Debug, PartialEq, Eq)]
pub enum Due<'a, P> {
    /// Send this once more, with its flag of a retransmission.
    Again(u32, &'a mut P),
    /// This was tried often enough: whether it came is not known. Tell its sender.
    Lost(u32, P),
    /// Send a PING with this number, the floor.
    Ask(u32),
}

impl<P> Sender<P> {
    /// A sender whose first number is `first`.
    #[must_use]
    pub fn new(first: u32) -> Sender<P> {
        let slots = VecDeque::new();
        let (rtt, pace) = (Rtt::default(), Pace::new());
        Sender { floor: first, slots, flying: 0, bytes: 0, rtt, pace, ask_ms: 0, asked: 0 }
    }

    /// Frames that are not acknowledged.
    #[must_use]
    pub const fn flying(&self) -> u32 {
        self.flying
    }

    /// Their bytes, as they were said to [`Sender::sent`].
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Bytes of the table of the window, which grows with it.
    #[must_use]
    pub fn table_bytes(&self) -> usize {
        self.slots.capacity() * size_of::<Slot<P>>()
    }

    /// By how many bytes the table grows for a frame with this number; 0 for one that is not in the window.
    #[must_use]
    pub fn growth_bytes(&self, seq: u32) -> usize {
        let at = seq.wrapping_sub(self.floor);
        if at >= WINDOW {
            return 0;
        }
        (grown(self.slots.capacity(), at as usize + 1) - self.slots.capacity()) * size_of::<Slot<P>>()
    }

    /// Makes the table as large as a frame with this number needs it. Panics when there is no room for it.
    pub fn reserve(&mut self, seq: u32) {
        let at = seq.wrapping_sub(self.floor);
        assert!(at < WINDOW, "a table beyond the window");
        self.slots.reserve_exact(grown(self.slots.capacity(), at as usize + 1) - self.slots.len());
    }

    /// Gives the memory of an empty table back: nothing is on its way.
    pub fn rest(&mut self) {
        if self.slots.is_empty() {
            self.slots = VecDeque::new();
        }
    }

    /// The number for the next frame of one who chooses his own; `None` while the window is full, or as many fly as may. Who answers
    /// has the numbers of the questions, and their pace.
    #[must_use]
    pub fn next(&self) -> Option<u32> {
        let ahead = self.slots.len() as u32;
        (ahead < WINDOW && self.pace.allows(self.flying)).then(|| self.floor.wrapping_add(ahead))
    }

    /// Whether a frame with this number may be sent: it is in the window, and was not.
    #[must_use]
    pub fn has_room(&self, seq: u32) -> bool {
        let at = seq.wrapping_sub(self.floor);
        at < WINDOW && matches!(self.slots.get(at as usize), None | Some(Slot::Empty))
    }

    /// A frame of so many bytes was sent. Panics when there was no room for it.
    pub fn sent(&mut self, seq: u32, frame: P, bytes: usize, now_ms: u64) {
        assert!(self.has_room(seq), "sent beyond the window, or twice");
        let due_ms = now_ms + u64::from(self.rtt.rto_ms(1));
        *self.slot(seq) =
            Slot::Flying(Flight { frame, bytes: bytes as u32, sent_ms: now_ms, due_ms, tries: 1, passed: 0 });
        self.flying += 1;
        self.bytes += bytes;
    }

    /// All numbers below `floor` that were not sent never will be: there was no question.
    pub fn leave_out(&mut self, floor: u32) {
        let up = floor.wrapping_sub(self.floor);
        if up == 0 || up > WINDOW {
            return;
        }
        self.slot(floor.wrapping_sub(1));
        let unsent = self.slots.iter_mut().take(up as usize).filter(|slot| matches!(slot, Slot::Empty));
        unsent.for_each(|slot| *slot = Slot::Skipped);
        self.rise();
    }

    /// An ACK came. Gives how many frames it acknowledged for the first time, or `None` when it is about a number that was never
    /// sent. A frame that three others overtook is due at once (RFC 9002, section 6.1.1). `free` gets back what was kept of those
    /// that it acknowledged.
    pub fn acknowledged(&mut self, seq: u32, ack: Ack, now_ms: u64, mut free: impl FnMut(P)) -> Option<u32> {
        let at = ahead(seq, self.floor);
        if at < -(WINDOW as i32) || at >= self.slots.len() as i32 {
            return None;
        }
        let flying = self.flying;
        self.measure(at, now_ms);
        self.settle(at, &mut free);
        let mut before = ack.before;
        while before != 0 {
            let n = before.trailing_zeros();
            before &= before - 1;
            self.settle(at - 1 - n as i32, &mut free);
        }
        self.confirm(ack.floor, &mut free);
        let at = ahead(seq, self.floor);
        for slot in self.slots.iter_mut().take(at.max(0) as usize) {
            let Slot::Flying(flight) = slot else { continue };
            flight.passed = flight.passed.saturating_add(1);
            if flight.passed == OVERTAKEN && flight.tries == 1 {
                flight.due_ms = now_ms;
            }
        }
        self.rise();
        self.pace.arrived(flying - self.flying, flying);
        Some(flying - self.flying)
    }

    /// A PONG came with this number: the peer knows that all below is settled. Whether it can be.
    pub fn confirmed(&mut self, floor: u32) -> bool {
        let up = ahead(floor, self.floor);
        let known = up.max(0) as usize;
        if up < -(WINDOW as i32) || known > self.slots.len() {
            return false;
        }
        if self.slots.iter().take(known).any(|slot| !matches!(slot, Slot::Acknowledged | Slot::Skipped)) {
            return false;
        }
        self.slots.drain(..known);
        self.floor = self.floor.wrapping_add(known as u32);
        self.asked = 0;
        self.rise();
        true
    }

    /// The number of a PING: all below is settled.
    #[must_use]
    pub fn floor(&self) -> u32 {
        self.floor.wrapping_add(self.settled() as u32)
    }

    /// What is due, from slot `at` on: begin with 0, and ask until there is nothing. `late` says that this look itself comes late, so
    /// that ACKs may have come that nobody has looked at: what would be given up in it waits once more, and then never again.
    pub fn due(&mut self, at: &mut usize, now_ms: u64, late: bool) -> Option<Due<'_, P>> {
        if *at == 0 && self.asks() && self.ask_ms <= now_ms {
            self.asked = self.asked.saturating_add(1);
            self.ask_ms = now_ms + u64::from(self.rtt.rto_ms(self.asked));
            return Some(Due::Ask(self.floor()));
        }
        let rtt = self.rtt;
        let found = (*at..self.slots.len()).find(|n| match &mut self.slots[*n] {
            Slot::Flying(flight) if flight.due_ms <= now_ms && flight.tries == TRIES_MAX && late => {
                flight.tries += 1;
                flight.due_ms = now_ms + u64::from(rtt.rto_ms(1));
                false
            }
            Slot::Flying(flight) => flight.due_ms <= now_ms,
            _ => false,
        });
        let Some(n) = found else {
            *at = self.slots.len().max(1);
            return None;
        };
        *at = n + 1;
        let seq = self.floor.wrapping_add(n as u32);
        if matches!(&self.slots[n], Slot::Flying(flight) if flight.tries >= TRIES_MAX) {
            self.flying -= 1;
            let Slot::Flying(flight) = std::mem::replace(&mut self.slots[n], Slot::Skipped) else {
                unreachable!("it was flying")
            };
            self.bytes -= flight.bytes as usize;
            // Nothing moves before the peer confirms: the places of the others stay as they are.
            return Some(Due::Lost(seq, flight.frame));
        }
        let Slot::Flying(flight) = &mut self.slots[n] else { unreachable!("it is flying") };
        self.pace.lost(now_ms, rtt.rto_ms(1));
        flight.tries += 1;
        flight.due_ms = now_ms + u64::from(rtt.rto_ms(flight.tries));
        Some(Due::Again(seq, &mut flight.frame))
    }

    /// When something is due next, in milliseconds; `None` when nothing will be.
    #[must_use]
    pub fn due_ms(&self) -> Option<u64> {
        let flights = self.slots.iter().filter_map(|slot| match slot {
            Slot::Flying(flight) => Some(flight.due_ms),
            _ => None,
        });
        flights.chain(self.asks().then_some(self.ask_ms)).min()
    }

    /// Takes back all that is not acknowledged: the conversation is over.
    pub fn drain(&mut self) -> impl Iterator<Item = (u32, P)> {
        (self.flying, self.bytes) = (0, 0);
        let floor = self.floor;
        self.slots.drain(..).zip(0_u32..).filter_map(move |(slot, n)| match slot {
            Slot::Flying(flight) => Some((floor.wrapping_add(n), flight.frame)),
            _ => None,
        })
    }

    fn slot(&mut self, seq: u32) -> &mut Slot<P> {
        let at = seq.wrapping_sub(self.floor) as usize;
        if at >= self.slots.len() {
            self.reserve(seq);
        }
        while self.slots.len() <= at {
            self.slots.push_back(Slot::Empty);
        }
        &mut self.slots[at]
    }

    /// The ACK of this very frame came: one that another's tells of may have come long ago.
    fn measure(&mut self, at: i32, now_ms: u64) {
        let slot = usize::try_from(at).ok().and_then(|at| self.slots.get(at));
        if let Some(Slot::Flying(Flight { tries: 1, sent_ms, .. })) = slot {
            self.rtt.measured(now_ms.saturating_sub(*sent_ms));
        }
    }

    /// The peer says that all below `floor` is settled: its ACKs of them may be lost, and it knows of what was given up.
    fn confirm(&mut self, floor: u32, free: &mut impl FnMut(P)) {
        let up = ahead(floor, self.floor).max(0) as usize;
        let unsent = |slot: &Slot<P>| matches!(slot, Slot::Empty);
        if floor == 0 || up == 0 || up > self.slots.len() || self.slots.iter().take(up).any(unsent) {
            return;
        }
        (0..up as i32).for_each(|at| self.settle(at, free));
        self.slots.drain(..up);
        self.floor = self.floor.wrapping_add(up as u32);
        self.asked = 0;
    }

    fn settle(&mut self, at: i32, free: &mut impl FnMut(P)) {
        let Some(slot) = usize::try_from(at).ok().and_then(|at| self.slots.get_mut(at)) else { return };
        if let Slot::Flying(_) = slot
            && let Slot::Flying(flight) = std::mem::replace(slot, Slot::Acknowledged)
        {
            self.bytes -= flight.bytes as usize;
            self.flying -= 1;
            free(flight.frame);
        }
    }

    fn rise(&mut self) {
        while matches!(self.slots.front(), Some(Slot::Acknowledged)) {
            self.slots.pop_front();
            self.floor = self.floor.wrapping_add(1);
        }
    }

    /// How many in a row are settled.
    fn settled(&self) -> usize {
        self.slots.iter().take_while(|slot| matches!(slot, Slot::Acknowledged | Slot::Skipped)).count()
    }

    /// Whether the window stands still because the peer does not know yet what was given up.
    fn asks(&self) -> bool {
        matches!(self.slots.front(), Some(Slot::Skipped))
    }
}

/// Places of a table that had `places` and needs `least`: doubled, so that a window that opens does not move it each time.
pub(super) fn grown(places: usize, least: usize) -> usize {
    if least <= places { places } else { least.next_power_of_two().max(8) }
}

/// So many later frames that came say that an earlier one did not.
const OVERTAKEN: u8 = 3;

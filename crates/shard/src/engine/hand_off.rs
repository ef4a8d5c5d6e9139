//! Connections on their way from the seat that accepted them to the one that will serve them: to each seat in its turn.
//!
//! The first seat has the listening sockets. Never loses a connection: what finds no room on its way, and what comes once a
//! drain has begun, is served where it was accepted; and no seat drains before all that was passed to it has come.

use crate::engine::crew::{Crew, Handed};
use crate::engine::peers::Peers;
use crate::mail::{self, Post};
use crate::meter::{Board, Meter};
use crate::service::ListenerId;
use std::cell::Cell;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// A connection, and the listener that it came by.
type Visitor = (ListenerId, OwnedFd);

/// One seat's part in it.
pub(crate) struct HandOff {
    post: Post<Visitor>,
    common: Arc<Common>,
    /// Whose turn is next.
    next: u16,
    /// What a seat holds at most.
    connections_max: usize,
    peers: Arc<Peers>,
    board: Arc<Board>,
    /// Connections that this seat took since the end of its last turn.
    taken: usize,
    draining: bool,
    /// The first seat found no room anywhere when it looked last; another: it had none itself.
    full: Cell<bool>,
    /// This seat knows that nothing comes any more.
    settled: bool,
}

/// What all seats look at.
struct Common {
    /// Connections on their way to each seat, or there and not counted on the board yet.
    coming: Vec<AtomicUsize>,
    /// Nothing more will be passed.
    over: AtomicBool,
}

/// One seat's end of the ways between all of them.
pub(crate) struct End {
    post: Post<Visitor>,
    common: Arc<Common>,
}

/// The ways between `seats` seats, one end each in their order.
pub(crate) fn mesh(seats: u16) -> Vec<End> {
    let coming = (0..seats).map(|_| AtomicUsize::new(0)).collect();
    let common = Arc::new(Common { coming, over: AtomicBool::new(false) });
    mail::mesh(seats).into_iter().map(|post| End { post, common: common.clone() }).collect()
}

impl HandOff {
    pub(crate) fn new(end: End, connections_max: usize, peers: Arc<Peers>, board: Arc<Board>) -> HandOff {
        let End { post, common } = end;
        HandOff {
            post,
            common,
            next: 0,
            connections_max,
            peers,
            board,
            taken: 0,
            draining: false,
            full: Cell::new(false),
            settled: false,
        }
    }

    /// Puts a connection on its way to the seat whose turn it is; seats that are full are passed over. Gives back what this seat
    /// is to serve itself.
    pub(crate) fn pass(&mut self, id: ListenerId, fd: OwnedFd) -> Option<OwnedFd> {
        let (own, seats) = (self.post.seat(), self.seats());
        let order = (0..seats).map(|step| (self.next + step) % seats);
        let to = order.into_iter().find(|&seat| self.room(seat) > 0).unwrap_or(own);
        self.next = (to + 1) % seats;
        if to == own || self.draining {
            return Some(fd);
        }
        if let Err((_, fd)) = self.post.post(to, (id, fd)) {
            return Some(fd);
        }
        self.common.coming[usize::from(to)].fetch_add(1, Ordering::Relaxed);
        None
    }

    fn seats(&self) -> u16 {
        self.common.coming.len() as u16
    }

    /// How many more connections a seat has room for, as far as it is known here.
    fn room(&self, seat: u16) -> usize {
        let seat = usize::from(seat);
        let there = self.board.seat(seat).connections.get() as usize;
        self.connections_max.saturating_sub(there + self.common.coming[seat].load(Ordering::Relaxed))
    }

    /// How many more connections may be accepted where this seat itself has room for `own`: for the first seat the
    /// others have some, too.
    pub(crate) fn places(&self, own: usize) -> usize {
        if self.post.seat() > 0 {
            return own;
        }
        let places = own + self.room_elsewhere();
        self.full.set(places == 0);
        places
    }

    fn room_elsewhere(&self) -> usize {
        let others = (0..self.seats()).filter(|seat| *seat != self.post.seat());
        others.map(|seat| self.room(seat)).sum()
    }

    /// The next one that was handed to this seat.
    pub(crate) fn take(&mut self) -> Option<Visitor> {
        let (_, visitor) = self.post.take()?;
        self.taken += 1;
        Some(visitor)
    }

    /// Once a turn: lets the others see what was passed, and calls `wake` with each that got something.
    pub(crate) fn send(&mut self, wake: impl FnMut(u16)) {
        self.post.flush(wake);
        // By now the board counts them.
        let taken = std::mem::take(&mut self.taken);
        let own = self.post.seat();
        self.common.coming[usize::from(own)].fetch_sub(taken, Ordering::Relaxed);
        // The first seat may wait for room on this one.
        if own > 0 && self.full.replace(self.room(own) == 0) && !self.full.get() {
            self.peers.notify(0);
        }
    }

    /// A drain has begun, or the end: from now on this seat serves what it accepts.
    pub(crate) fn stop(&mut self) {
        if !std::mem::replace(&mut self.draining, true) && self.post.seat() == 0 {
            self.end();
        }
    }

    /// Nothing more will be passed; the others are told.
    fn end(&mut self) {
        let peers = &self.peers;
        self.post.flush(|to| peers.notify(to));
        self.common.over.store(true, Ordering::SeqCst);
        (0..self.seats()).for_each(|seat| self.peers.notify(seat));
    }

    /// Whether nothing can come to this seat any more: nothing is passed, and what was is taken.
    pub(crate) fn is_settled(&mut self) -> bool {
        // In this order: what was passed is seen before it is seen that it was the last.
        self.settled = self.settled || self.common.over.load(Ordering::SeqCst) && self.post.is_empty();
        self.settled
    }

    /// Whether there is something that this seat has not looked at; asked before it sleeps.
    pub(crate) fn has_news(&self) -> bool {
        let ends = self.draining && !self.settled && self.common.over.load(Ordering::SeqCst);
        let has_room = self.post.seat() == 0 && self.full.get() && self.room_elsewhere() > 0;
        ends || has_room || !self.post.is_empty()
    }
}

impl Drop for HandOff {
    fn drop(&mut self) {
        // However the first seat ends, nobody waits for it.
        if self.post.seat() == 0 {
            self.end();
        }
    }
}

impl Crew for HandOff {
    fn hand_over(&mut self, fd: OwnedFd, id: ListenerId) -> Handed {
        self.pass(id, fd).map_or(Handed::Over, Handed::Back)
    }

    fn places(&self, room: usize) -> usize {
        HandOff::places(self, room)
    }

    fn next(&mut self, _: bool, _: bool, _: &Meter) -> Option<(OwnedFd, ListenerId)> {
        self.take().map(|(id, fd)| (fd, id))
    }

    fn drain(&mut self) {
        self.stop();
    }

    fn send(&mut self, peers: &Peers) {
        HandOff::send(self, |to| peers.notify(to));
    }

    fn has_news(&self) -> bool {
        HandOff::has_news(self)
    }

    fn is_settled(&mut self) -> bool {
        HandOff::is_settled(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::NOTES_MAX;
    use linux::wake::Inbox;
    use std::fs::File;

    /// Two seats, each of which holds `most`.
    fn two(most: usize) -> (HandOff, HandOff) {
        let inboxes = [Inbox::register().unwrap(), Inbox::register().unwrap()];
        let peers = Peers::new(inboxes.iter().map(Inbox::parker).collect(), 0);
        let board = Board::new(&[None, None]);
        let mut ends = mesh(2).into_iter().map(|end| HandOff::new(end, most, peers.clone(), board.clone()));
        (ends.next().unwrap(), ends.next().unwrap())
    }

    fn fd() -> OwnedFd {
        File::open("/dev/null").unwrap().into()
    }

    /// How many of `count` connections the first seat is to serve itself.
    fn kept(first: &mut HandOff, count: usize) -> usize {
        (0..count).filter(|_| first.pass(ListenerId(0), fd()).is_some()).count()
    }

    fn take_all(seat: &mut HandOff) -> usize {
        std::iter::from_fn(|| seat.take()).count()
    }

    #[test]
    fn each_has_its_turn_and_one_that_is_full_with_what_is_on_its_way_is_passed_over() {
        let (mut first, mut second) = two(6);
        assert_eq!((first.places(6), kept(&mut first, 10)), (12, 5));
        assert_eq!(kept(&mut first, 3), 2, "one more is on its way, and the second seat is full");
        assert_eq!(first.places(0), 0);
        first.send(drop);
        assert_eq!(take_all(&mut second), 6);
        assert_eq!(kept(&mut first, 3), 3, "they are there and not counted yet");
        (0..4).for_each(|_| second.board.seat(1).connections.inc());
        second.send(drop);
        assert_eq!((first.places(0), kept(&mut first, 4)), (2, 2));
    }

    #[test]
    fn where_only_the_first_is_full_the_others_get_all() {
        let (mut first, _second) = two(4);
        (0..4).for_each(|_| first.board.seat(0).connections.inc());
        assert_eq!((first.places(0), kept(&mut first, 4)), (4, 0));
        assert!(first.places(0) == 0 && !first.has_news(), "it sleeps until there is room");
        first.common.coming[1].fetch_sub(1, Ordering::Relaxed);
        assert!(first.has_news() && first.places(0) == 1 && !first.has_news());
    }

    #[test]
    fn what_finds_no_room_on_its_way_is_served_where_it_was_accepted() {
        let (mut first, _second) = two(usize::MAX / 4);
        assert_eq!(kept(&mut first, 4 * NOTES_MAX), 3 * NOTES_MAX);
    }

    #[test]
    fn in_a_drain_nothing_is_passed_on_and_what_was_comes_before_its_seat_is_settled() {
        let (mut first, mut second) = two(usize::MAX / 4);
        assert_eq!(kept(&mut first, 2), 1);
        second.stop();
        assert!(!second.is_settled(), "the first seat may still pass something on");
        assert!(!second.has_news(), "it may sleep meanwhile");
        first.stop();
        assert!(second.has_news() && !second.is_settled(), "somebody waits to be taken");
        assert_eq!(take_all(&mut second), 1);
        assert!(second.has_news(), "what it waits for has come");
        assert!(second.is_settled() && !second.has_news());
        assert_eq!(kept(&mut first, 2), 2);
    }

    #[test]
    fn nobody_waits_for_a_first_seat_that_is_gone() {
        let (first, mut second) = two(1);
        second.stop();
        drop(first);
        assert!(second.is_settled());
    }
}

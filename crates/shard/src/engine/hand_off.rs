//! Connections on their way from the seat that accepted them to the one that will serve them: to each seat in its turn.
//!
//! The first seat has the listening sockets. Never loses a connection: what finds no room on its way, and what comes once a
//! drain has begun, is served where it was accepted; and no seat ends before nothing more can be on its way to it.

use crate::engine::crew::{Crew, Handed};
use crate::engine::peers::Peers;
use crate::mail::{self, Post};
use crate::meter::{Board, Meter};
use crate::service::ListenerId;
use std::os::fd::OwnedFd;
use std::sync::Arc;

/// One seat's part in it.
pub(crate) struct HandOff {
    post: Post<(ListenerId, OwnedFd)>,
    seats: u16,
    /// Whose turn is next.
    next: u16,
    /// What a seat holds at most.
    connections_max: usize,
    peers: Arc<Peers>,
    board: Arc<Board>,
    draining: bool,
}

impl HandOff {
    /// The ways between `seats` seats, one end each in their order.
    pub(crate) fn mesh(seats: u16) -> Vec<Post<(ListenerId, OwnedFd)>> {
        mail::mesh(seats)
    }

    pub(crate) fn new(
        post: Post<(ListenerId, OwnedFd)>,
        seats: u16,
        connections_max: usize,
        peers: Arc<Peers>,
        board: Arc<Board>,
    ) -> HandOff {
        HandOff { post, seats, next: 0, connections_max, peers, board, draining: false }
    }

    /// Puts a connection on its way to the seat whose turn it is; seats that are full are passed over. Gives back what this seat
    /// is to serve itself.
    pub(crate) fn pass(&mut self, id: ListenerId, fd: OwnedFd) -> Option<OwnedFd> {
        let full = |seat: u16| self.board.seat(seat.into()).connections.get() >= self.connections_max as u64;
        let order = (0..self.seats).map(|step| (self.next + step) % self.seats);
        let to = order.into_iter().find(|&seat| !full(seat)).filter(|_| !self.draining);
        let Some(to) = to.filter(|to| *to != self.post.seat()) else {
            self.next = (self.post.seat() + 1) % self.seats;
            return Some(fd);
        };
        self.next = (to + 1) % self.seats;
        self.post.post(to, (id, fd)).err().map(|(_, fd)| fd)
    }

    /// The next one that was handed to this seat.
    pub(crate) fn take(&mut self) -> Option<(ListenerId, OwnedFd)> {
        self.post.take().map(|(_, visitor)| visitor)
    }

    /// Once a turn: lets the others see what was passed, and calls `wake` with each that got something.
    pub(crate) fn send(&mut self, wake: impl FnMut(u16)) {
        self.post.flush(wake);
    }

    /// A drain has begun: from now on this seat serves what it accepts. Said before the seat leaves its peers.
    pub(crate) fn stop(&mut self) {
        if !std::mem::replace(&mut self.draining, true) {
            let peers = &self.peers;
            self.post.flush(|to| peers.notify(to));
        }
    }

    /// Whether something waits to be taken.
    pub(crate) fn has_more(&self) -> bool {
        !self.post.is_empty()
    }

    /// Whether nothing can come any more: no seat accepts, and what they passed was taken.
    pub(crate) fn is_done(&self) -> bool {
        self.peers.all_left() && !self.has_more()
    }
}

impl Crew for HandOff {
    fn hand_over(&mut self, fd: OwnedFd, id: ListenerId) -> Handed {
        self.pass(id, fd).map_or(Handed::Over, Handed::Back)
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
        self.has_more()
    }

    fn is_done(&self, drained: bool, _: bool) -> bool {
        drained && HandOff::is_done(self)
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
        let mut ends = HandOff::mesh(2)
            .into_iter()
            .map(|post| HandOff::new(post, 2, most, peers.clone(), board.clone()));
        (ends.next().unwrap(), ends.next().unwrap())
    }

    fn fd() -> OwnedFd {
        File::open("/dev/null").unwrap().into()
    }

    /// How many of `count` connections the first seat is to serve itself.
    fn kept(first: &mut HandOff, count: usize) -> usize {
        (0..count).filter(|_| first.pass(ListenerId(0), fd()).is_some()).count()
    }

    #[test]
    fn each_has_its_turn_and_a_full_one_is_passed_over() {
        let (mut first, mut second) = two(1);
        assert_eq!(kept(&mut first, 10), 5);
        first.send(drop);
        assert_eq!(std::iter::from_fn(|| second.take()).count(), 5);
        second.board.seat(1).connections.inc();
        assert_eq!(kept(&mut first, 10), 10);
    }

    #[test]
    fn what_finds_no_room_on_its_way_is_served_where_it_was_accepted() {
        let (mut first, _second) = two(usize::MAX);
        assert_eq!(kept(&mut first, 4 * NOTES_MAX), 3 * NOTES_MAX);
    }

    #[test]
    fn in_a_drain_nothing_is_passed_on_and_what_was_is_seen() {
        let (mut first, second) = two(usize::MAX);
        assert_eq!(kept(&mut first, 2), 1);
        first.stop();
        assert!(second.has_more());
        assert_eq!(kept(&mut first, 2), 2);
    }

    #[test]
    fn a_seat_is_done_when_nobody_accepts_and_it_has_taken_all_that_was_passed() {
        let (mut first, mut second) = two(usize::MAX);
        kept(&mut first, 2);
        first.stop();
        second.peers.leave(1);
        assert!(second.take().is_some() && !second.has_more());
        assert!(!second.is_done(), "the first seat may still accept");
        let (mut first, mut second) = two(usize::MAX);
        kept(&mut first, 2);
        first.stop();
        (0..2).for_each(|seat| first.peers.leave(seat));
        assert!(!second.is_done(), "somebody waits to be taken");
        assert!(second.take().is_some() && second.is_done());
    }
}

//! Mail between seats: one bounded queue for each ordered pair of them, so that every queue has one writer and one reader.
//!
//! Never blocks, never allocates after [`mesh`], never wakes anybody: [`Post::flush`] says who got something new, and the
//! caller knows who sleeps. Input is what services post; what a seat tells itself does not come here, its desk keeps that.

use linux::spsc::{Receiver, Sender, queue};

/// The posts of `seats` seats, in their order; each moves into its seat's thread. Each holds at most [`NOTES_MAX`]
/// unread envelopes from every other.
pub fn mesh<E: Send>(seats: u16) -> Vec<Post<E>> {
    let mut posts: Vec<Post<E>> = (0..seats).map(|seat| Post::new(seat, seats)).collect();
    for from in 0..usize::from(seats) {
        for to in (0..usize::from(seats)).filter(|&to| to != from) {
            let (sender, receiver) = queue(NOTES_MAX);
            posts[from].outgoing[to] = Some(sender);
            posts[to].incoming[from] = Some(receiver);
        }
    }
    posts
}

/// One seat's letter boxes and its way to all others. Envelopes from one seat arrive in the order in which it posted them.
#[derive(Debug)]
pub struct Post<E: Send> {
    seat: u16,
    /// By seat; `None` for this one.
    outgoing: Box<[Option<Sender<E>>]>,
    incoming: Box<[Option<Receiver<E>>]>,
    /// Seats that were posted to since the last flush, each once.
    unflushed: Vec<u16>,
    /// Whose letter box is opened next.
    turn: u16,
    /// How many envelopes may still be taken out before the next flush.
    takes_left: usize,
}

impl<E: Send> Post<E> {
    fn new(seat: u16, seats: u16) -> Post<E> {
        Post {
            seat,
            outgoing: (0..seats).map(|_| None).collect(),
            incoming: (0..seats).map(|_| None).collect(),
            unflushed: Vec::with_capacity(seats.into()),
            turn: 0,
            takes_left: NOTES_MAX,
        }
    }

    /// The seat it belongs to.
    pub fn seat(&self) -> u16 {
        self.seat
    }

    /// Puts `envelope` on its way to seat `to`, which sees it after the next [`flush`](Post::flush). Gives it back when
    /// that seat has [`NOTES_MAX`] unread from here, which is also what becomes of mail to a seat that has ended.
    ///
    /// Panics when `to` is this seat or no seat.
    pub fn post(&mut self, to: u16, envelope: E) -> Result<(), E> {
        let sender =
            self.outgoing[usize::from(to)].as_mut().expect("what a seat tells itself does not go by mail");
        sender.push(envelope)?;
        if !self.unflushed.contains(&to) {
            self.unflushed.push(to);
        }
        Ok(())
    }

    /// Once a turn: lets the others see what was posted, and calls `wake` with each seat that got something new. Whether it
    /// sleeps and must be woken is for the caller to find out, after this publication (`linux::wake::Parker`).
    ///
    /// Begins a new turn for [`take`](Post::take).
    pub fn flush(&mut self, mut wake: impl FnMut(u16)) {
        for to in self.unflushed.drain(..) {
            if self.outgoing[usize::from(to)].as_mut().is_some_and(Sender::flush) {
                wake(to);
            }
        }
        self.takes_left = NOTES_MAX;
        // Each seat's box is opened first in its turn, so that one that always has mail cannot hide the others'.
        self.turn = self.after(self.turn);
    }

    /// The next envelope and the seat it is from. `None` when there is none, or [`NOTES_MAX`] were taken since the last
    /// flush: mail may not hold the turn. Costs one load a seat when there is none.
    pub fn take(&mut self) -> Option<(u16, E)> {
        if self.takes_left == 0 {
            return None;
        }
        for _ in 0..self.incoming.len() {
            let from = self.turn;
            if let Some(envelope) = self.incoming[usize::from(from)].as_mut().and_then(Receiver::pop) {
                self.takes_left -= 1;
                return Some((from, envelope));
            }
            self.turn = self.after(from);
        }
        None
    }

    /// Whether no mail waits. Asked before parking: what `take` left behind for the next turn counts, too.
    pub fn is_empty(&self) -> bool {
        self.incoming.iter().flatten().all(Receiver::is_empty)
    }

    fn after(&self, seat: u16) -> u16 {
        if usize::from(seat) + 1 < self.incoming.len() { seat + 1 } else { 0 }
    }
}

/// Most unread envelopes from one seat to another, and most that a seat takes in one turn.
pub const NOTES_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use std::thread;

    fn pair() -> (Post<u32>, Post<u32>) {
        let mut posts = mesh(2);
        let second = posts.pop().unwrap();
        (posts.pop().unwrap(), second)
    }

    fn flushed(post: &mut Post<u32>) -> Vec<u16> {
        let mut woken = Vec::new();
        post.flush(|seat| woken.push(seat));
        woken
    }

    #[test]
    fn mail_is_seen_after_the_flush_and_in_its_order() {
        let (mut a, mut b) = pair();
        for n in 0..3 {
            a.post(1, n).unwrap();
        }
        assert_eq!((b.take(), b.is_empty()), (None, true));
        assert_eq!((flushed(&mut a), flushed(&mut a)), (vec![1], vec![]));
        assert!(!b.is_empty());
        let got: Vec<_> = std::iter::from_fn(|| b.take()).collect();
        assert_eq!(got, [(0, 0), (0, 1), (0, 2)]);
        assert!(b.is_empty());
    }

    #[test]
    fn a_full_box_gives_the_envelope_back_and_has_room_again_once_it_was_read() {
        let (mut a, mut b) = pair();
        for n in 0..NOTES_MAX as u32 {
            assert_eq!(a.post(1, n), Ok(()));
        }
        assert_eq!(a.post(1, 9_999), Err(9_999));
        flushed(&mut a);
        assert_eq!(b.take(), Some((0, 0)));
        assert_eq!((a.post(1, 256), a.post(1, 257)), (Ok(()), Err(257)));
        drop(b);
        assert_eq!(a.post(1, 257), Err(257), "a seat that has ended reads nothing more");
    }

    #[test]
    fn a_turn_takes_no_more_than_its_bound_and_no_sender_hides_another() {
        let mut posts = mesh(4);
        let mut reader = posts.pop().unwrap();
        for post in &mut posts {
            for n in 0..NOTES_MAX as u32 {
                post.post(3, n).unwrap();
            }
            flushed(post);
        }
        let mut seen = BTreeMap::new();
        for _ in 0..3 {
            let mut count = 0;
            while let Some((from, _)) = reader.take() {
                count += 1;
                seen.entry(from).and_modify(|n| *n += 1).or_insert(1);
                // The box is filled up as fast as it is read.
                posts[usize::from(from)].post(3, 0).unwrap();
                flushed(&mut posts[usize::from(from)]);
            }
            assert_eq!(count, NOTES_MAX);
            assert!(!reader.is_empty());
            flushed(&mut reader);
        }
        assert_eq!(seen.keys().copied().collect::<Vec<_>>(), [0, 1, 2]);
    }

    #[test]
    fn flush_names_each_seat_that_got_something_new_once() {
        let mut posts = mesh::<u32>(5);
        for to in [4, 2, 4, 0, 2] {
            posts[1].post(to, 7).unwrap();
        }
        assert_eq!((flushed(&mut posts[1]), flushed(&mut posts[1])), (vec![4, 2, 0], vec![]));
        assert_eq!(posts[1].seat(), 1);
    }

    #[test]
    fn a_lone_seat_has_no_mail() {
        let mut post = mesh::<u32>(1).pop().unwrap();
        assert_eq!((post.take(), post.is_empty(), flushed(&mut post)), (None, true, vec![]));
    }

    #[test]
    #[should_panic(expected = "what a seat tells itself does not go by mail")]
    fn mail_to_oneself_is_our_mistake() {
        let _ = pair().0.post(0, 1);
    }

    #[test]
    fn every_seat_hears_from_every_other_in_order_across_threads() {
        const SEATS: u16 = 4;
        const NOTES: u32 = 2_000;
        let everybody = |mut post: Post<u32>| {
            let mut sent = [0; SEATS as usize];
            let mut heard = [0; SEATS as usize];
            sent[usize::from(post.seat())] = NOTES;
            heard[usize::from(post.seat())] = NOTES;
            while sent != [NOTES; SEATS as usize] || heard != [NOTES; SEATS as usize] {
                for to in 0..SEATS {
                    let next = &mut sent[usize::from(to)];
                    while *next < NOTES && post.post(to, *next).is_ok() {
                        *next += 1;
                    }
                }
                post.flush(|_| ());
                while let Some((from, note)) = post.take() {
                    assert_eq!(note, heard[usize::from(from)]);
                    heard[usize::from(from)] += 1;
                }
                thread::yield_now();
            }
        };
        thread::scope(|scope| {
            for post in mesh(SEATS) {
                scope.spawn(|| everybody(post));
            }
        });
    }
}

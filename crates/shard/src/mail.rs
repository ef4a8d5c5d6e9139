//! Mail between seats: bounded, in the order of each sender, and given back where it finds no room.
//!
//! Never blocks for a reader, never wakes anybody: [`Post::flush`] says who got something new, and the caller knows who sleeps.
//! Input is what services post; what a seat tells itself does not come here, its desk keeps that. There are two ways of
//! carrying it, with the same bounds: `queues.rs`, without a lock, for few seats; `boxes.rs`, for very many.

mod boxes;
mod queues;

use boxes::LetterBoxes;
use queues::Queues;
use std::sync::Arc;

/// The posts of `seats` seats, in their order, with a queue for each ordered pair of them; each moves into its seat's thread.
/// Each holds at most [`NOTES_MAX`] unread envelopes from every other. Nothing is allocated afterwards.
pub fn mesh<E: Send>(seats: u16) -> Vec<Post<E>> {
    let ways = queues::mesh(seats).into_iter().map(Way::Queues);
    (0..seats).zip(ways).map(|(seat, way)| Post::new(seat, way, seats.into())).collect()
}

/// The same for very many seats: each has one box, which the others lock to put something in.
pub fn boxes<E: Send>(seats: u16) -> Vec<Post<E>> {
    let boxes = Arc::new(LetterBoxes::new(seats));
    let way = || Way::Boxes { boxes: boxes.clone(), staged: Vec::new() };
    (0..seats).map(|seat| Post::new(seat, way(), 0)).collect()
}

/// One seat's mail and its way to all others. Envelopes from one seat arrive in the order in which it posted them.
#[derive(Debug)]
pub struct Post<E: Send> {
    seat: u16,
    way: Way<E>,
    /// Seats that were posted to since the last flush, each once.
    unflushed: Vec<u16>,
    /// How many envelopes may still be taken out before the next flush.
    takes_left: usize,
}

#[derive(Debug)]
enum Way<E: Send> {
    Queues(Queues<E>),
    /// `staged` has what was posted since the last flush, and to whom.
    Boxes {
        boxes: Arc<LetterBoxes<E>>,
        staged: Vec<(u16, E)>,
    },
}

impl<E: Send> Post<E> {
    /// `room` is for how many seats it has room without an allocation.
    fn new(seat: u16, way: Way<E>, room: usize) -> Post<E> {
        Post { seat, way, unflushed: Vec::with_capacity(room), takes_left: NOTES_MAX }
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
        assert_ne!(to, self.seat, "what a seat tells itself does not go by mail");
        match &mut self.way {
            Way::Queues(queues) => queues.push(to, envelope)?,
            Way::Boxes { boxes, .. } if !boxes.reserve(self.seat, to) => return Err(envelope),
            Way::Boxes { staged, .. } => staged.push((to, envelope)),
        }
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
        match &mut self.way {
            Way::Queues(queues) => {
                self.unflushed.drain(..).filter(|to| queues.flush(*to)).for_each(wake);
                queues.next_turn();
            }
            Way::Boxes { boxes, staged } => {
                staged.drain(..).for_each(|(to, envelope)| boxes.push(self.seat, to, envelope));
                self.unflushed.drain(..).for_each(&mut wake);
            }
        }
        self.takes_left = NOTES_MAX;
    }

    /// The next envelope and the seat it is from. `None` when there is none, or [`NOTES_MAX`] were taken since the last
    /// flush: mail may not hold the turn. Costs one load when there is none, for each queue or for the box.
    pub fn take(&mut self) -> Option<(u16, E)> {
        if self.takes_left == 0 {
            return None;
        }
        let taken = match &mut self.way {
            Way::Queues(queues) => queues.pop(),
            Way::Boxes { boxes, .. } => boxes.pop(self.seat),
        };
        self.takes_left -= usize::from(taken.is_some());
        taken
    }

    /// Whether no mail waits. Asked before parking: what `take` left behind for the next turn counts, too.
    pub fn is_empty(&self) -> bool {
        match &self.way {
            Way::Queues(queues) => queues.is_empty(),
            Way::Boxes { boxes, .. } => boxes.is_empty(self.seat),
        }
    }
}

/// Most unread envelopes from one seat to another, and most that a seat takes in one turn.
pub const NOTES_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use std::thread;

    /// Both ways of carrying mail.
    const WAYS: [Make; 2] = [mesh, boxes];

    type Make = fn(u16) -> Vec<Post<u32>>;

    fn pair(way: Make) -> (Post<u32>, Post<u32>) {
        let mut posts = way(2);
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
        for way in WAYS {
            let (mut a, mut b) = pair(way);
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
    }

    #[test]
    fn a_full_box_gives_the_envelope_back_and_has_room_again_once_it_was_read() {
        for way in WAYS {
            let (mut a, mut b) = pair(way);
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
    }

    #[test]
    fn a_turn_takes_no_more_than_its_bound_and_no_sender_hides_another() {
        for way in WAYS {
            let mut posts = way(4);
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
    }

    #[test]
    fn flush_names_each_seat_that_got_something_new_once() {
        for way in WAYS {
            let mut posts = way(5);
            for to in [4, 2, 4, 0, 2] {
                posts[1].post(to, 7).unwrap();
            }
            assert_eq!((flushed(&mut posts[1]), flushed(&mut posts[1])), (vec![4, 2, 0], vec![]));
            assert_eq!(posts[1].seat(), 1);
        }
    }

    #[test]
    fn a_lone_seat_has_no_mail() {
        for way in WAYS {
            let mut post = way(1).pop().unwrap();
            assert_eq!((post.take(), post.is_empty(), flushed(&mut post)), (None, true, vec![]));
        }
    }

    #[test]
    #[should_panic(expected = "what a seat tells itself does not go by mail")]
    fn mail_to_oneself_is_our_mistake() {
        let _ = pair(boxes).0.post(0, 1);
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
        for way in WAYS {
            thread::scope(|scope| {
                for post in way(SEATS) {
                    scope.spawn(|| everybody(post));
                }
            });
        }
    }
}

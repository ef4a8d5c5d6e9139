//! A root session with very many legs, with an engine that only takes note: no leg costs more because there are others.

use super::*;
use std::net::SocketAddr;

const LEGS: usize = 20_000;

/// Its root opens legs, closes those that it is told to, and pipes one into another.
#[derive(Default)]
struct Client {
    legs: Vec<Leg>,
    closes: Vec<Leg>,
    pipes: bool,
    moved: Option<u64>,
    ended: Option<End>,
}

impl Service for Client {
    type Session = ();
    type Note = ();
    const INPUT_MAX: usize = 1024;

    fn open(&mut self, _: Origin, io: &mut Io<'_, Self>) {
        let to = SocketAddr::from(([192, 0, 2, 7], 80));
        let to = Connect { to, from: None, deadline: Duration::from_secs(1) };
        self.legs = (0..LEGS).map(|_| io.connect(&to).expect("there is room")).collect();
    }

    fn on(&mut self, (): &mut (), event: Event<'_, Self>, io: &mut Io<'_, Self>) -> Next {
        match event {
            Event::Opened(leg) if std::mem::take(&mut self.pipes) => {
                io.pipe(leg, self.legs[1], u64::MAX);
            }
            Event::Timer(_) => self.closes.drain(..).for_each(|leg| io.close(leg)),
            Event::Done(_, Outcome::Piped(moved)) => self.moved = Some(moved),
            Event::Drain(_) => return Next::Close,
            _ => {}
        }
        Next::Stay
    }

    fn end(&mut self, (): (), why: End) {
        self.ended = Some(why);
    }
}

fn root(client: Client) -> (Seat<Client>, Notes) {
    let mut parts = parts();
    parts.connections_max = LEGS;
    let limits = Limits { idle: None, ..limits() };
    let (mut seat, mut notes) = (Seat::new(client, Desk::new(parts, 0), limits), Notes::default());
    seat.open_root(&mut notes);
    (seat, notes)
}

/// The engine lets go of all that it was told to close, the oldest first.
fn let_go(seat: &mut Seat<Client>, notes: &mut Notes) {
    let mut closes = std::mem::take(&mut notes.closes);
    closes.sort_by_key(|(leg, _)| leg.slot);
    closes.into_iter().for_each(|(leg, _)| seat.closed(leg));
    seat.run(notes);
}

#[test]
fn the_legs_of_a_root_stand_in_no_list_and_close_in_whatever_order() {
    let (mut seat, mut notes) = root(Client::default());
    let legs = seat.service.legs.clone();
    legs.iter().for_each(|leg| seat.opened(leg.0, &mut notes));
    // A list would be walked for each leg that goes: as far as there are younger ones.
    assert!(seat.sessions.get(seat.root).unwrap().legs.is_none());
    assert!(legs.iter().all(|leg| seat.desk.conns.get(leg.0).unwrap().sibling.is_none()));
    assert_eq!(seat.root_legs, LEGS);
    seat.service.closes = legs[..LEGS / 2].to_vec();
    seat.desk.wake_at(0);
    seat.fire(&mut notes);
    seat.run(&mut notes);
    assert_eq!(notes.closes.len(), LEGS / 2);
    let_go(&mut seat, &mut notes);
    assert_eq!((seat.root_legs, seat.service.ended), (LEGS / 2, None));
    seat.drain(&mut notes);
    seat.run(&mut notes);
    assert_eq!(notes.closes.len(), LEGS / 2, "the end of the root closes each leg that is left");
    let_go(&mut seat, &mut notes);
    assert_eq!((seat.root_legs, seat.service.ended), (0, Some(End::Closed)));
    assert!(seat.is_over());
}

#[test]
fn a_root_ends_after_its_last_leg_and_not_before() {
    let (mut seat, mut notes) = root(Client::default());
    seat.drain(&mut notes);
    seat.run(&mut notes);
    let last = notes.closes.pop().expect("each leg is closed");
    let_go(&mut seat, &mut notes);
    assert_eq!((seat.root_legs, seat.service.ended), (1, None));
    notes.closes.push(last);
    let_go(&mut seat, &mut notes);
    assert_eq!((seat.root_legs, seat.service.ended), (0, Some(End::Closed)));
}

#[test]
fn a_pipe_between_two_legs_of_a_root_ends_when_either_fails() {
    for fails in [0, 1] {
        let (mut seat, mut notes) = root(Client { pipes: true, ..Client::default() });
        let legs = seat.service.legs.clone();
        seat.opened(legs[0].0, &mut notes);
        seat.opened(legs[1].0, &mut notes);
        let mut pieces = VecDeque::from([Chunk::Shared(vec![b'x'; 100].into())]);
        seat.received(legs[0].0, &mut pieces, &mut notes);
        assert_eq!(seat.service.moved, None);
        seat.failed(legs[fails].0, LegError::Reset, &mut notes);
        seat.run(&mut notes);
        assert!(seat.service.moved.is_some(), "leg {fails} failed");
    }
}

#[test]
fn an_abort_resets_every_leg_of_a_root() {
    let (mut seat, mut notes) = root(Client::default());
    seat.abort(&mut notes);
    assert_eq!(notes.closes.iter().filter(|(_, abort)| *abort).count(), LEGS);
    let_go(&mut seat, &mut notes);
    assert_eq!(seat.service.ended, Some(End::Aborted));
}

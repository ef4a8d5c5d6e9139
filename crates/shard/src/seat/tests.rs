//! What a seat tells its engine when its peers do not help, with an engine that only takes note.

mod root;

use super::*;
use crate::desk::Parts;
use crate::mail::mesh;
use crate::meter::Board;
use linux::Pool;
use linux::wake::Inbox;

/// Sends back what it receives. `Timer` asks whether its leg was starved.
struct Echo {
    starved: Rc<std::cell::RefCell<Vec<bool>>>,
}

impl Service for Echo {
    type Session = Option<Leg>;
    type Note = ();
    const INPUT_MAX: usize = 64 << 10;

    fn open(&mut self, origin: Origin, _io: &mut Io<'_, Self>) -> Option<Leg> {
        let Origin::Accepted(leg, _) = origin else { return None };
        Some(leg)
    }

    fn on(&mut self, leg: &mut Option<Leg>, event: Event<'_, Self>, io: &mut Io<'_, Self>) -> Next {
        match event {
            Event::Bytes(leg, mut input) => {
                while let Some(chunk) = input.take(io.room(leg)) {
                    assert!(io.out(leg).push(chunk).is_ok(), "no more was taken than there is room for");
                }
            }
            Event::Wake => self.starved.borrow_mut().push(io.was_starved(leg.unwrap())),
            Event::Failed(..) => return Next::Close,
            _ => {}
        }
        Next::Stay
    }

    fn end(&mut self, _: Option<Leg>, _: End) {}
}

#[derive(Default)]
struct Notes {
    rations: Vec<bool>,
    narrowed: Vec<Key>,
    sends: Vec<(Key, Box<Gather>)>,
    closes: Vec<(Key, bool)>,
}

impl Notes {
    fn bytes(&self) -> usize {
        self.sends.iter().map(|(_, gather)| gather.bytes()).sum()
    }
}

impl Port for Notes {
    fn receive(&mut self, _leg: Key, _on: bool) {}
    fn ration(&mut self, on: bool) {
        self.rations.push(on);
    }
    fn narrow(&mut self, leg: Key) {
        self.narrowed.push(leg);
    }
    fn send(&mut self, leg: Key, gather: Box<Gather>, _zero_copy: bool) {
        self.sends.push((leg, gather));
    }
    fn recall(&mut self, _leg: Key) {}
    fn send_to(&mut self, _datagram: Datagram) {}
    fn finish(&mut self, _leg: Key) {}
    fn close(&mut self, leg: Key, abort: bool) {
        self.closes.push((leg, abort));
    }
    fn connect(&mut self, _leg: Key, _to: &Connect) {}
}

struct Rig {
    seat: Seat<Echo>,
    notes: Notes,
    starved: Rc<std::cell::RefCell<Vec<bool>>>,
}

const OUT_MAX: usize = 256 << 10;
const IDLE: Duration = Duration::from_millis(100);

fn parts<N: Send>() -> Parts<N> {
    let pool = linux::pool::Plan { count: 2, bytes: 1024, huge_pages: false };
    Parts {
        seat: 0,
        board: Board::new(&[None]),
        pool: Pool::new(pool).expect("a small pool can be mapped"),
        post: mesh(1).remove(0),
        inbox: Inbox::register().expect("an inbox is free"),
        seed: 1,
        unix_seconds: || 0,
        out_max: OUT_MAX,
        connections_max: 1000,
    }
}

fn limits() -> Limits {
    let (late, turn_sends) = (Rc::default(), u32::MAX);
    Limits { idle: Some(IDLE), drain: IDLE, late, zero_copy_bytes: None, turn_sends }
}

impl Rig {
    fn new() -> Rig {
        let starved = Rc::default();
        let service = Echo { starved: Rc::clone(&starved) };
        Rig { seat: Seat::new(service, Desk::new(parts(), 0), limits()), notes: Notes::default(), starved }
    }

    fn client(&mut self) -> Key {
        let leg = self.seat.reserve(ListenerId(0)).expect("there is room");
        self.seat.accepted(leg, ListenerId(0), &mut self.notes);
        leg
    }

    fn receives(&mut self, leg: Key, bytes: usize) {
        let mut pieces = VecDeque::from([Chunk::Shared(vec![b'x'; bytes].into())]);
        self.seat.received(leg, &mut pieces, &mut self.notes);
    }

    fn run(&mut self) {
        self.seat.run(&mut self.notes);
    }

    /// All sends end well.
    fn sent(&mut self) {
        for (leg, gather) in std::mem::take(&mut self.notes.sends) {
            let bytes = gather.bytes();
            self.seat.sent(leg, gather, Ok(bytes), &mut self.notes);
        }
    }

    fn at(&mut self, ms: u64) {
        self.seat.tick(ms * 1_000_000);
        self.seat.fire(&mut self.notes);
        self.run();
    }
}

#[test]
fn unread_input_of_whatever_leg_is_on_the_account_until_it_is_read() {
    let mut rig = Rig::new();
    let leg = rig.client();
    rig.receives(leg, OUT_MAX + 1000);
    assert_eq!(rig.seat.desk.held_bytes, 1000, "it is not slow, and did not take this");
    rig.run();
    rig.sent();
    rig.run();
    assert_eq!((rig.seat.desk.held_bytes, rig.notes.bytes()), (0, 1000));
    rig.receives(leg, OUT_MAX);
    assert_eq!(rig.seat.desk.held_bytes, 1000);
    rig.seat.failed(leg, LegError::Reset, &mut rig.notes);
    assert_eq!(rig.seat.desk.held_bytes, 0);
}

#[test]
fn unread_input_that_came_byte_by_byte_is_kept_in_few_pieces() {
    let mut rig = Rig::new();
    let leg = rig.client();
    rig.receives(leg, OUT_MAX);
    for bytes in 1..=1000 {
        rig.receives(leg, 1);
        let conn = rig.seat.desk.conns.get(leg).expect("it is there");
        let kept = conn.input.as_ref().expect("it is not read");
        assert!(kept.len() <= 64 + bytes / 256 && bytes_in(kept) == bytes, "{} pieces", kept.len());
    }
}

#[test]
fn over_its_budget_a_seat_receives_little_and_every_leg_has_a_narrow_output_until_enough_has_left() {
    let mut rig = Rig::new();
    rig.seat.desk.held_max = 40 << 10;
    let (slow, other) = (rig.client(), rig.client());
    rig.receives(slow, 41 << 10);
    rig.run();
    rig.seat.slow(slow);
    rig.run();
    assert_eq!(rig.notes.rations, [true]);
    rig.receives(other, 100 << 10);
    rig.run();
    let out = |rig: &Rig| rig.seat.desk.conns.get(other).and_then(|conn| conn.out.as_ref()).unwrap().len();
    assert_eq!((&rig.notes.narrowed[..], out(&rig)), (&[other][..], 16 << 10));
    rig.sent();
    rig.run();
    while rig.notes.bytes() > 0 {
        rig.sent();
        rig.run();
    }
    assert_eq!((rig.seat.desk.held_bytes, rig.notes.rations.last()), (0, Some(&false)));
    rig.receives(other, 100 << 10);
    assert_eq!(out(&rig), 100 << 10, "as wide as before");
}

#[test]
fn an_ebb_is_seen_once_after_a_flood_and_then_nobody_looks_any_more() {
    let mut rig = Rig::new();
    let legs: Vec<Key> = (0..20).map(|_| rig.client()).collect();
    for leg in &legs {
        rig.receives(*leg, OUT_MAX + (1 << 20));
    }
    assert_eq!(rig.seat.desk.held_bytes, 20 << 20);
    assert!(!rig.seat.desk.take_ebb(), "all of it is there");
    for leg in &legs[..16] {
        rig.seat.failed(*leg, LegError::Reset, &mut rig.notes);
    }
    assert!(rig.seat.desk.take_ebb());
    assert!(!rig.seat.desk.take_ebb(), "once");
    for leg in &legs[16..] {
        rig.seat.failed(*leg, LegError::Reset, &mut rig.notes);
    }
    rig.at(2_000);
    assert!(rig.seat.deadline_ns().is_none(), "nothing wakes it");
}

#[test]
fn what_is_large_waits_for_the_next_turn_in_its_order_and_what_is_small_does_not() {
    let mut rig = Rig::new();
    let large: Vec<Key> = (0..40).map(|_| rig.client()).collect();
    let small = rig.client();
    for leg in &large {
        rig.receives(*leg, OUT_MAX);
    }
    rig.receives(small, 100);
    let mut order = Vec::new();
    for (turn, sends) in [(0, 17), (1, 16), (2, 8)] {
        if turn > 0 {
            rig.seat.tick(turn * 1_000_000);
        }
        rig.run();
        assert_eq!(rig.notes.sends.len(), sends, "turn {turn}");
        assert_eq!(rig.notes.sends.iter().any(|(leg, _)| *leg == small), turn == 0);
        assert_eq!(rig.seat.is_ready(), turn < 2, "it does not sleep on what waits");
        order.extend(rig.notes.sends.drain(..).map(|(leg, _)| leg).filter(|leg| *leg != small));
    }
    assert_eq!(order, large);
}

#[test]
fn what_waits_for_its_size_stands_before_what_waits_because_a_turn_has_no_more_sends() {
    let mut rig = Rig::new();
    let large: Vec<Key> = (0..20).map(|_| rig.client()).collect();
    let small = [(); 3].map(|()| rig.client());
    // The large ones take all the bytes of the first turn, and the small ones the last of its sends.
    rig.seat.limits.turn_sends = 18;
    large.iter().for_each(|leg| rig.receives(*leg, OUT_MAX));
    small.iter().for_each(|leg| rig.receives(*leg, 100));
    let mut order = Vec::new();
    for turn in 0..2 {
        if turn > 0 {
            rig.seat.tick(turn * 1_000_000);
        }
        rig.run();
        order.push(rig.notes.sends.drain(..).map(|(leg, _)| leg).collect::<Vec<_>>());
    }
    assert_eq!(order[0], [&large[..16], &small[..2]].concat());
    assert_eq!(order[1], [&large[16..], &small[2..]].concat());
    assert!(!rig.seat.is_ready());
}

#[test]
fn an_idle_leg_is_closed_in_order_and_one_whose_output_is_stuck_is_reset() {
    let mut rig = Rig::new();
    let (idle, stuck) = (rig.client(), rig.client());
    rig.receives(stuck, 100);
    rig.at(0);
    rig.at(150);
    // Its send was called back twice, and nothing of it had left.
    rig.at(300);
    rig.at(450);
    rig.notes.closes.sort_by_key(|(leg, _)| leg.slot);
    assert_eq!(rig.notes.closes, [(idle, false), (stuck, true)]);
}

#[test]
fn a_leg_that_finds_no_buffer_is_not_idle_and_its_service_can_know() {
    let mut rig = Rig::new();
    let leg = rig.client();
    rig.at(50);
    rig.seat.starved(leg, true);
    rig.at(149);
    rig.at(300);
    rig.at(450);
    assert_eq!(rig.notes.closes, [], "it is we who do not read");
    rig.at(400);
    let session = rig.seat.desk.conns.get(leg).unwrap().session;
    let ask = |rig: &mut Rig| rig.seat.deliver(session, Event::Wake, &mut rig.notes);
    ask(&mut rig);
    ask(&mut rig);
    rig.seat.starved(leg, false);
    ask(&mut rig);
    ask(&mut rig);
    assert_eq!(*rig.starved.borrow(), [true, true, true, false]);
    rig.at(499);
    assert_eq!(rig.notes.closes, []);
    rig.at(600);
    assert_eq!(rig.notes.closes, [(leg, false)]);
}

#[test]
fn a_turn_fires_a_bounded_number_of_timers_and_the_next_comes_at_once() {
    let mut rig = Rig::new();
    for _ in 0..1_500 {
        rig.client();
    }
    (0..100).for_each(|ms| rig.at(ms));
    assert_eq!(rig.notes.closes.len(), 0);
    rig.at(150);
    assert_eq!(rig.notes.closes.len(), 1_024, "of 1,500 legs that are idle for too long");
    assert!(rig.seat.deadline_ns().is_some_and(|at_ns| at_ns <= 150_000_000));
    rig.at(150);
    assert_eq!(rig.notes.closes.len(), 1_500);
}

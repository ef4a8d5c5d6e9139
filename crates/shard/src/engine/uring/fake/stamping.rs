//! When bytes were given to the kernel, as the services are told, and how many sends a turn has.

use super::Luck;
use super::rig::{Rig, Setting, WINDOW};
use super::services::Noted;
use crate::io::{Connect, Io};
use crate::service::{End, Event, Leg, LegError, ListenerId, Next, Origin, Service};
use crate::slab::Key;
use linux::Chunk;
use linux::net::UdpSocket;
use std::time::Duration;

/// Its root opens some legs, and says a word on each when its timer fires.
struct Caller {
    legs: usize,
    says: &'static [u8],
    opened: Noted<Leg>,
}

impl Service for Caller {
    type Session = Vec<Leg>;
    type Note = ();
    const INPUT_MAX: usize = 4096;

    fn open(&mut self, origin: Origin, io: &mut Io<'_, Self>) -> Vec<Leg> {
        assert_eq!(origin, Origin::Root);
        let to = Connect {
            to: "127.0.0.1:9".parse().expect("an address"),
            from: None,
            deadline: Duration::from_secs(9),
        };
        (0..self.legs).map(|_| io.connect(&to).expect("there is room")).collect()
    }

    fn on(&mut self, legs: &mut Vec<Leg>, event: Event<'_, Self>, io: &mut Io<'_, Self>) -> Next {
        match event {
            Event::Opened(leg) => self.opened.borrow_mut().push(leg),
            Event::Timer(_) => legs.iter().for_each(|leg| assert!(io.out(*leg).fixed(self.says))),
            Event::Drain(_) => return Next::Close,
            _ => {}
        }
        Next::Stay
    }

    fn end(&mut self, _: Vec<Leg>, _: End) {}
}

struct Call {
    rig: Rig<Caller>,
    opened: Noted<Leg>,
}

impl Call {
    /// `window` is what the kernel takes of each leg before its far end reads.
    fn new(legs: usize, window: usize, says: &'static [u8], setting: Setting) -> Call {
        let opened = Noted::default();
        let luck = Luck { upstream_window: window, ..setting.luck };
        let caller = Caller { legs, says, opened: Noted::clone(&opened) };
        let mut rig = Rig::new(caller, Setting { luck, listeners: 0, ..setting });
        rig.turns(3);
        assert_eq!(opened.borrow().len(), legs);
        Call { rig, opened }
    }

    /// The next turn writes on every leg.
    fn speak(&mut self) {
        let at = self.rig.now_ns;
        self.rig.uring.seat.desk.wake_at(at);
        self.rig.turn();
    }

    fn leg(&self, index: usize) -> Key {
        self.opened.borrow()[index].0
    }

    /// A datagram socket of the root.
    fn datagram_leg(&mut self) -> (Key, Key) {
        let uring = &mut self.rig.uring;
        let socket = UdpSocket::bind("127.0.0.1:0".parse().expect("an address"), &Default::default());
        let root = uring.seat.desk.conns.get(self.opened.borrow()[0].0).expect("it is there").session;
        let leg = uring.seat.bound(root, ListenerId(1)).expect("there is room");
        uring.driver.attach_datagram(leg, socket.expect("a port is free").into(), false);
        (root, leg)
    }

    /// What the service is told now, by leg.
    fn told(&self) -> Vec<u64> {
        let desk = &self.rig.uring.seat.desk;
        self.opened.borrow().iter().map(|leg| desk.sent_ns(leg.0)).collect()
    }
}

#[test]
fn a_stamp_is_that_of_the_flush_that_carried_the_bytes() {
    let mut call = Call::new(3, WINDOW, b"hello", Setting { stamps: true, ..Setting::default() });
    assert_eq!(call.told(), [0; 3], "nothing was sent");
    for _ in 0..2 {
        call.speak();
        let sent_ns = call.rig.now_ns;
        assert_eq!(call.told(), [sent_ns; 3]);
        call.rig.turns(5);
        assert_eq!(call.told(), [sent_ns; 3], "turns without a send change nothing");
    }
    call.rig.drain();
}

#[test]
fn a_leg_blocked_by_a_send_in_flight_keeps_its_older_stamp() {
    let mut call = Call::new(1, 5, b"hello, you", Setting { stamps: true, ..Setting::default() });
    call.speak();
    let first_ns = call.rig.now_ns;
    call.speak();
    call.rig.turns(3);
    assert_eq!(call.told(), [first_ns], "the first send is in flight, and the second waits for it");
    for id in call.rig.ring().sockets.ids() {
        call.rig.socket(id).widen(WINDOW);
    }
    call.rig.turns(3);
    assert!(call.told()[0] > first_ns + 1_000_000);
    call.rig.drain();
}

#[test]
fn a_slot_that_is_used_again_has_no_stamp() {
    let mut call = Call::new(2, WINDOW, b"hello", Setting { stamps: true, ..Setting::default() });
    call.speak();
    let leg = call.leg(1);
    call.rig.uring.seat.failed(leg, LegError::Reset, &mut call.rig.uring.driver);
    call.rig.turns(3);
    assert_eq!(call.told()[1], 0, "the leg is gone");
    let (_, again) = call.datagram_leg();
    assert_eq!(again.slot, leg.slot);
    assert_eq!(call.rig.uring.seat.desk.sent_ns(again), 0);
    call.rig.drain();
}

#[test]
fn without_stamps_nothing_is_noted() {
    let mut call = Call::new(2, WINDOW, b"hello", Setting::default());
    call.speak();
    assert_eq!(call.told(), [0, 0]);
    assert!(!call.rig.uring.seat.desk.wants_stamp());
    call.rig.drain();
}

#[test]
fn a_turn_has_so_many_sends_and_what_waits_keeps_its_order_and_is_not_lost() {
    let setting = Setting { stamps: true, turn_sends: 3, ..Setting::default() };
    let mut call = Call::new(8, WINDOW, b"hello", setting);
    call.speak();
    let first_ns = call.rig.now_ns;
    assert!(call.rig.uring.is_runnable(), "it does not sleep on what waits");
    call.rig.turns(2);
    assert!(!call.rig.uring.is_runnable());
    let told: Vec<u64> = call.told().iter().map(|at| (at - first_ns) / 1_000_000).collect();
    assert_eq!(told, [0, 0, 0, 1, 1, 1, 2, 2]);
    for id in call.rig.ring().sockets.ids() {
        assert_eq!(call.rig.heard(id), b"hello");
    }
    call.rig.drain();
}

#[test]
fn datagrams_share_the_sends_of_a_turn_and_are_stamped() {
    let setting = Setting { stamps: true, turn_sends: 2, ..Setting::default() };
    let mut call = Call::new(1, WINDOW, b"", setting);
    let (root, leg) = call.datagram_leg();
    let peer = "192.0.2.1:7".parse().expect("an address");
    for number in 0..5 {
        let word = Chunk::Shared(vec![number].into());
        let sent = call.rig.uring.seat.desk.send_to(root, leg, peer, None, word);
        assert!(sent.is_ok());
    }
    let seat = &mut call.rig.uring.seat;
    seat.send_datagrams(&mut call.rig.uring.driver);
    assert_eq!(seat.desk.datagrams.len(), 3);
    for left in [1, 0] {
        assert!(call.rig.uring.is_runnable(), "it does not sleep on what waits");
        call.rig.turn();
        let desk = &call.rig.uring.seat.desk;
        assert_eq!((desk.datagrams.len(), desk.sent_ns(leg)), (left, call.rig.now_ns));
    }
    call.rig.turns(2);
    let words: Vec<u8> = call.rig.ring().datagrams_sent.iter().map(|(word, _)| word[0]).collect();
    assert_eq!(words, [0, 1, 2, 3, 4]);
    call.rig.drain();
}

//! Traps of the end: completions for who has left, descriptors closed too soon, and a seat that must wait for both.

use super::super::driver::{self, For};
use super::super::{NOBODY, Ring};
use super::kernel::ECONNRESET;
use super::rig::{self, Rig, Setting, WINDOW, echo, only_leg, zero_copy_echo};
use super::services::{CONNECT, Carrier, Echo, Noted, Stubborn};
use super::socket::Id;
use super::{Brings, Entry, Luck};
use crate::io::Io;
use crate::seat::Port;
use crate::service::{End, Event, Leg, LegError, Next, Origin, Service};
use crate::slab::Key;
use linux::ring::Op;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::time::Duration;

// A completion may be for an owner of the slot who has left.

#[test]
fn a_completion_for_an_owner_who_left_touches_nobody() {
    for (what, result) in [(For::Receive, 0), (For::Receive, -ECONNRESET), (For::Connect, -ECONNRESET)] {
        let mut rig = echo(Luck::default());
        let first = rig.client(WINDOW);
        rig.socket(first).reset();
        rig.turns(4);
        let second = rig.client(WINDOW);
        let leg = only_leg(&mut rig);
        assert!(leg.generation > 1, "the second has the slot of the first");
        let tag = driver::tag(what, Key { generation: leg.generation - 1, ..leg });
        rig.ring().counts.in_flight += 1;
        rig.ring().reaped.push_back(Entry { tag, result, more: false, with: Brings::Nothing, ends: None });
        rig.turn();
        rig.say(second, b"still here");
        assert_eq!(rig.heard(second), b"still here", "{what:?}");
        rig.drain();
    }
}

#[test]
fn a_late_notification_says_nothing_of_who_has_the_slot_now() {
    let mut rig = zero_copy_echo(Luck { copied: 1.0, notification_rests: 12, ..Luck::default() });
    let first = rig.client(WINDOW);
    rig.say(first, b"copied later");
    rig.socket(first).reset();
    rig.turns(4);
    let second = rig.client(WINDOW);
    rig.turns(12);
    assert_eq!(rig.meter().zero_copy_copied, 1);
    rig.say(second, b"without a copy");
    assert_eq!(rig.ring().tally.zero_copies, 2);
    rig.drain();
}

// Cancel before close, and close after the last completion.

#[test]
fn a_descriptor_is_closed_after_its_last_completion_though_the_cancel_is_late() {
    for seed in 0..20 {
        let luck = Luck { late_cancel: 1.0, ..Luck::default() };
        let mut rig = Rig::new(Echo, Setting { seed, luck, ..Setting::default() });
        let client = rig.client(4);
        rig.say(client, b"more than its window");
        rig.control.abort();
        rig.turn();
        // The fake panics when a descriptor is closed with its receive or its send in flight.
        assert!(!rig.socket(client).is_closed());
        rig.end();
        assert!(rig.socket(client).was_reset);
    }
}

#[test]
fn a_close_cancels_each_submission_that_is_in_flight_and_no_other() {
    for (said, cancels) in [(&b""[..], 1), (b"more than its window", 2)] {
        let mut rig = echo(Luck::default());
        let client = rig.client(4);
        rig.say(client, said);
        let leg = only_leg(&mut rig);
        let before = rig.ring().tally.cancels;
        rig.uring.driver.close(leg, true);
        assert_eq!(rig.ring().tally.cancels, before + cancels);
    }
}

#[test]
fn a_slot_that_the_next_connection_has_at_once_carries_only_its_own_bytes() {
    let luck = Luck { late_cancel: 1.0, ..Luck::default() };
    let mut rig =
        Rig::new(Echo, Setting { luck, connections_max: 1, crowd: 3, slots: 1, ..Setting::default() });
    let clients: Vec<_> = (0..5).map(|_| rig.ring().arrive(4)).collect();
    for (index, client) in clients.into_iter().enumerate() {
        // With one place and one slot the next is accepted when the one before has been closed.
        rig.turns(120);
        let word = format!("the words of {index}");
        rig.say(client, word.as_bytes());
        for _ in 0..6 {
            rig.socket(client).read(usize::MAX);
            rig.turns(1);
        }
        assert_eq!(rig.heard(client), word.as_bytes());
        rig.say(client, b"lost, lost");
        rig.socket(client).reset();
    }
    rig.drain();
}

// Connecting.

#[test]
fn a_refused_connect_fails_its_leg_and_an_unanswered_one_does_at_its_deadline() {
    let to: SocketAddr = "127.0.0.1:9".parse().unwrap();
    let cases = [
        (Luck { refused: 1.0, ..Luck::default() }, LegError::Refused),
        (Luck { unanswered: 1.0, late_cancel: 1.0, ..Luck::default() }, LegError::Timeout),
    ];
    for (luck, expected) in cases {
        let failures = Noted::default();
        let carrier = Carrier { to, failures: failures.clone() };
        let mut rig = Rig::new(carrier, Setting { luck, ..Setting::default() });
        let client = rig.client(WINDOW);
        rig.turns(CONNECT.as_millis() as u32 + 10);
        assert_eq!(*failures.borrow(), [expected]);
        // It was paused, so it may have more to say: it is closed when it ends.
        rig.socket(client).peer_finished = true;
        rig.turns(10);
        assert!(rig.socket(client).is_closed());
        rig.drain();
    }
}

// The end.

#[test]
fn the_end_waits_for_the_last_notification() {
    let mut rig = zero_copy_echo(Luck { notification_rests: 100, ..Luck::default() });
    let client = rig.client(WINDOW);
    rig.say(client, b"in flight");
    rig.heard(client);
    rig.socket(client).peer_finished = true;
    rig.drain();
}

#[test]
fn the_end_waits_for_connections_that_close_late() {
    for seed in 0..20 {
        let luck = Luck { late: 1.0, late_cancel: 1.0, idle: 0.5, odd_order: true, ..Luck::default() };
        let mut rig = Rig::new(Echo, Setting { seed, luck, ..Setting::default() });
        let clients = [(); 4].map(|_| rig.ring().arrive(4));
        rig.turns(30);
        clients.iter().for_each(|id| rig.socket(*id).say(b"flushed before the end"));
        rig.turns(10);
        rig.control.drain();
        rig.end();
        for id in clients {
            assert_eq!(rig.heard(id), b"flushed before the end");
        }
    }
}

#[test]
fn sessions_are_told_of_the_drain_when_their_listeners_are_closed_and_not_before() {
    let luck = Luck { late_cancel: 1.0, ..Luck::default() };
    let mut rig = Rig::new(Echo, Setting { luck, ..Setting::default() });
    let clients = [(); 2].map(|_| rig.client(WINDOW));
    rig.control.drain();
    rig.turn();
    while rig.uring.accepts[0].listener.is_some() {
        assert!(!rig.uring.seat.desk.draining);
        clients.iter().for_each(|client| assert!(!rig.socket(*client).is_closed()));
        rig.turn();
    }
    assert!(rig.uring.seat.desk.draining);
    rig.end();
}

#[test]
fn a_late_listener_serves_while_another_seat_does_and_the_end_waits_for_what_it_flushes() {
    let mut rig = Rig::new(Echo, Setting { late: true, ..Setting::default() });
    let other_seats = rig.uring.peers.clone();
    other_seats.serving.fetch_add(1, Ordering::SeqCst);
    rig.control.drain();
    rig.turns(10);
    let client = rig.client(4);
    rig.say(client, b"served in the drain");
    other_seats.serving.fetch_sub(1, Ordering::SeqCst);
    rig.end();
    assert_eq!(rig.heard(client), b"served in the drain");
    assert!(!rig.socket(client).was_reset);
}

#[test]
fn a_connection_that_arrives_amid_the_abort_is_aborted_too() {
    for turns in 0..4 {
        let luck = Luck { late_cancel: 1.0, ..Luck::default() };
        let (heard, ends) = (Noted::default(), Noted::default());
        let stubborn = Stubborn { pause: Duration::from_millis(1), heard, ends: ends.clone() };
        let mut rig = Rig::new(stubborn, Setting { luck, ..Setting::default() });
        let first = rig.client(WINDOW);
        rig.control.abort();
        rig.turns(turns);
        // The accept is being cancelled, and lets one more in.
        let second = rig.ring().arrive(WINDOW);
        rig.end();
        assert!(rig.socket(first).was_reset);
        assert!(ends.borrow().iter().all(|end| *end == End::Aborted), "{turns}: {:?}", ends.borrow());
        assert!(rig.ring().backlog.contains(&second) || rig.socket(second).was_reset);
    }
}

// The last output of a leg that is closing.

#[test]
fn a_leg_that_is_closing_lives_as_long_as_a_byte_leaves_in_half_a_minute_though_its_send_never_ends() {
    let mut rig = echo(Luck::default());
    let client = rig.client(4);
    rig.say(client, &rig::pattern(1000));
    rig.socket(client).peer_finished = true;
    rig.turns(4);
    for _ in 0..20 {
        rig.socket(client).read(4);
        rig.turn_after(20_000_000_000);
        rig.turns(150);
    }
    assert!(!rig.socket(client).is_closed());
    for _ in 0..6 {
        rig.turn_after(20_000_000_000);
        rig.turns(150);
    }
    assert!(rig.socket(client).was_reset, "it reads no more");
    rig.drain();
}

// Lingering: a close with bytes unread would be a reset, and destroy the answer.

/// Does with a new client, and with its bytes and its timer, what a test wants.
struct Does {
    open: fn(Leg, &mut Io<'_, Does>),
    bytes: fn(Leg, &mut Io<'_, Does>),
    timer: fn(Leg, &mut Io<'_, Does>),
}

impl Service for Does {
    type Session = Option<Leg>;
    type Note = ();
    const INPUT_MAX: usize = 4096;

    fn open(&mut self, origin: Origin, io: &mut Io<'_, Self>) -> Option<Leg> {
        let Origin::Accepted(leg, _) = origin else { return None };
        (self.open)(leg, io);
        Some(leg)
    }

    fn on(&mut self, leg: &mut Option<Leg>, event: Event<'_, Self>, io: &mut Io<'_, Self>) -> Next {
        match (*leg, event) {
            (Some(leg), Event::Bytes(_, mut input)) => {
                input.skip(input.len());
                (self.bytes)(leg, io);
            }
            (Some(leg), Event::Timer(_)) => (self.timer)(leg, io),
            (_, Event::Eof(_) | Event::Failed(..) | Event::Drain(_)) => return Next::Close,
            _ => {}
        }
        Next::Stay
    }

    fn end(&mut self, _leg: Option<Leg>, _why: End) {}
}

fn answer(leg: Leg, io: &mut Io<'_, Does>) {
    assert!(io.out(leg).copy(b"enough"));
    io.close(leg);
}

/// The answer comes, and the descriptor is closed when the peer ends and not before.
fn answers_and_lingers(mut rig: Rig<Does>, client: Id) {
    rig.turns(10);
    assert_eq!(rig.heard(client), b"enough");
    rig.socket(client).say(b"still talking");
    rig.turns(10);
    assert!(!rig.socket(client).is_closed());
    rig.socket(client).peer_finished = true;
    rig.turns(10);
    assert!(rig.socket(client).is_closed() && !rig.socket(client).was_reset);
    rig.drain();
}

#[test]
fn a_leg_that_is_closed_while_paused_lingers() {
    let pause: fn(Leg, &mut Io<'_, Does>) = |leg, io| {
        io.pause(leg);
        io.timer(Duration::from_millis(5));
    };
    let mut rig = Rig::new(Does { open: |_, _| {}, bytes: pause, timer: answer }, Setting::default());
    let client = rig.client(WINDOW);
    rig.say(client, b"ask");
    answers_and_lingers(rig, client);
}

#[test]
fn a_leg_that_is_closed_in_open_lingers_when_told_to() {
    let open: fn(Leg, &mut Io<'_, Does>) = |leg, io| {
        io.linger(leg);
        answer(leg, io);
    };
    let mut rig = Rig::new(Does { open, bytes: |_, _| {}, timer: |_, _| {} }, Setting::default());
    let client = rig.client(WINDOW);
    answers_and_lingers(rig, client);
}

#[test]
fn an_output_that_was_only_looked_at_is_given_back() {
    let look: fn(Leg, &mut Io<'_, Does>) = |leg, io| assert!(io.out(leg).reserve(1));
    let mut rig = Rig::new(Does { open: look, bytes: look, timer: |_, _| {} }, Setting::default());
    let client = rig.client(WINDOW);
    rig.say(client, b"hello");
    let conns = &rig.uring.seat.desk.conns;
    assert!(conns.keys().all(|leg| conns.get(leg).is_some_and(|conn| conn.out.is_none())));
    rig.drain();
}

// The fake itself: what it must not let pass.

#[test]
#[should_panic(expected = "a second send while one is in flight")]
fn the_fake_sees_two_sends_that_would_interleave() {
    let mut rig = echo(Luck::default());
    let client = rig.client(4);
    rig.say(client, b"the first is in flight");
    let leg = only_leg(&mut rig);
    let sock = rig.uring.driver.link(leg).unwrap().sock;
    rig.ring().push(Op::Send(sock, linux::Gather::new()), driver::tag(For::Send, leg));
}

#[test]
#[should_panic(expected = "a second receive while one is in flight")]
fn the_fake_sees_two_receives_that_would_take_turns() {
    let mut rig = echo(Luck::default());
    rig.client(4);
    let leg = only_leg(&mut rig);
    let sock = rig.uring.driver.link(leg).unwrap().sock;
    rig.ring().push(Op::Receive { sock, limit: 1 }, driver::tag(For::Receive, leg));
}

#[test]
#[should_panic(expected = "closed under requests in flight")]
fn the_fake_sees_a_close_under_a_receive() {
    let mut rig = echo(Luck::default());
    rig.client(4);
    rig.ring().push(Op::Close(linux::ring::Sock::Direct(0)), driver::tag(For::Forgotten, NOBODY));
}

#[test]
#[should_panic(expected = "used after its close")]
fn the_fake_sees_a_slot_used_after_its_close() {
    let mut rig = echo(Luck::default());
    let client = rig.client(4);
    let leg = only_leg(&mut rig);
    let sock = rig.uring.driver.link(leg).unwrap().sock;
    rig.socket(client).reset();
    rig.turns(4);
    rig.ring().push(Op::Receive { sock, limit: 1 }, driver::tag(For::Receive, leg));
}

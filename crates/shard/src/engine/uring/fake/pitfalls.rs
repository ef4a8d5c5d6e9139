//! One test for each trap of io_uring's contract that DESIGN.md names. Each fails when its handling is taken out.

use super::super::driver::{self, For};
use super::super::{NOBODY, Ring};
use super::kernel::ECONNRESET;
use super::rig::{BUFFER, Rig, Setting};
use super::services::{CONNECT, Carrier, Echo, Hoarder, Noted, Stubborn};
use super::{Brings, Entry, Luck};
use crate::service::{End, LegError};
use crate::slab::Key;
use linux::ring::Op;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::time::Duration;

const WINDOW: usize = 1 << 20;

fn echo(luck: Luck) -> Rig<Echo> {
    Rig::new(Echo, Setting { luck, ..Setting::default() })
}

/// An echo that sends without a copy whenever it can.
fn zero_copy_echo(luck: Luck) -> Rig<Echo> {
    Rig::new(Echo, Setting { luck, zero_copy_bytes: Some(1), ..Setting::default() })
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at * 7 + at / 251) as u8).collect()
}

// A multishot ends when F_MORE is missing, whatever its result.

#[test]
fn a_receive_that_lost_its_more_flag_with_a_good_result_is_armed_again() {
    let mut rig = echo(Luck { overflow: 1.0, ..Luck::default() });
    let client = rig.client(WINDOW);
    for word in ["one ", "two ", "three"] {
        rig.say(client, word.as_bytes());
    }
    assert_eq!(rig.heard(client), b"one two three");
    rig.drain();
}

#[test]
fn an_accept_that_lost_its_more_flag_with_a_good_result_is_armed_again() {
    let mut rig = echo(Luck { overflow: 1.0, ..Luck::default() });
    for _ in 0..3 {
        let client = rig.client(WINDOW);
        rig.say(client, b"here");
        assert_eq!(rig.heard(client), b"here");
    }
    assert_eq!(rig.meter().accepted, 3);
    rig.drain();
}

#[test]
fn the_wake_up_that_lost_its_more_flag_is_armed_again() {
    let mut rig = echo(Luck { overflow: 1.0, ..Luck::default() });
    for wake in 1..4 {
        rig.ring().signalled = true;
        rig.turns(3);
        assert_eq!((rig.ring().signalled, rig.ring().tally.polls), (false, wake + 1));
    }
    rig.drain();
}

#[test]
fn a_datagram_receive_that_lost_its_more_flag_or_found_no_buffer_is_armed_again() {
    let mut rig = echo(Luck { overflow: 1.0, ..Luck::default() });
    let socket = linux::net::UdpSocket::bind("127.0.0.1:0".parse().unwrap(), &Default::default()).unwrap();
    let root = rig.uring.seat.open_root(&mut rig.uring.driver);
    let leg = rig.uring.seat.bound(root, crate::service::ListenerId(1)).unwrap();
    rig.uring.driver.attach_datagram(leg, OwnedFd::from(socket));
    let peer: SocketAddr = "127.0.0.1:9".parse().unwrap();
    let sent: Vec<_> = (0..3).map(|i| (vec![i; 10], peer)).collect();
    for (bytes, peer) in &sent {
        rig.ring().datagrams.push_back((bytes.clone(), *peer));
        rig.turns(3);
    }
    let held: Vec<_> = std::iter::from_fn(|| rig.ring().pool.fill(b"held")).collect();
    rig.ring().datagrams.push_back((vec![9; 10], peer));
    rig.turns(3);
    assert_eq!((rig.ring().datagrams_sent.clone(), rig.meter().enobufs), (sent, 1));
    drop(held);
    rig.turns(3);
    assert_eq!(rig.ring().datagrams_sent.last(), Some(&(vec![9; 10], peer)));
}

#[test]
fn a_receive_that_ended_at_its_byte_limit_goes_on() {
    let mut rig = echo(Luck { receive_limit: Some(700), ..Luck::default() });
    let client = rig.client(WINDOW);
    let sent = pattern(5000);
    rig.say(client, &sent);
    rig.turns(10);
    assert_eq!(rig.heard(client), sent);
    rig.drain();
}

// A receive without a buffer: the data is still in the socket.

#[test]
fn a_receive_without_a_buffer_rests_until_one_comes_back_and_loses_nothing() {
    let heard = Noted::default();
    let hoarder = Hoarder { after: Duration::from_millis(50), heard: heard.clone() };
    let mut rig = Rig::new(hoarder, Setting { buffers: 4, ..Setting::default() });
    let greedy = rig.client(WINDOW);
    let late = rig.client(WINDOW);
    rig.say(greedy, &pattern(4 * BUFFER));
    assert_eq!(rig.lent(), 4);
    rig.say(late, b"patience");
    let before = (rig.meter().enobufs, rig.ring().tally.receives);
    rig.turns(20);
    assert!(!rig.uring.is_runnable());
    let after = (rig.meter().enobufs, rig.ring().tally.receives);
    assert_eq!(
        (before.0, before),
        (1, after),
        "it is not armed again while there is nothing to receive into"
    );
    rig.turns(30);
    assert_eq!(*heard.borrow(), [&pattern(4 * BUFFER)[..], b"patience"].concat());
    rig.turns(60);
    rig.drain();
}

// One send of a stream at a time, continued where it was short.

#[test]
fn what_queues_behind_a_send_waits_for_its_completion_and_leaves_as_one() {
    let mut rig = echo(Luck::default());
    let client = rig.client(4);
    for word in ["alpha ", "beta ", "gamma ", "delta"] {
        rig.say(client, word.as_bytes());
    }
    assert_eq!(rig.ring().tally.sends, 1);
    for _ in 0..10 {
        rig.socket(client).read(usize::MAX);
        rig.turns(2);
    }
    assert_eq!((rig.heard(client), rig.ring().tally.sends), (b"alpha beta gamma delta".to_vec(), 2));
    rig.drain();
}

#[test]
fn a_short_send_continues_with_the_rest() {
    let mut rig = echo(Luck { short_send: 1.0, partial: 1.0, ..Luck::default() });
    let client = rig.client(WINDOW);
    let sent = pattern(3000);
    rig.say(client, &sent);
    rig.turns(60);
    assert_eq!(rig.heard(client), sent);
    assert!(rig.meter().short_sends > 1);
    rig.drain();
}

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
fn a_slot_that_the_next_connection_has_at_once_carries_only_its_own_bytes() {
    let luck = Luck { late_cancel: 1.0, ..Luck::default() };
    let mut rig = Rig::new(Echo, Setting { luck, slots: 1, ..Setting::default() });
    let clients: Vec<_> = (0..5).map(|_| rig.ring().arrive(4)).collect();
    for (index, client) in clients.into_iter().enumerate() {
        // With one slot the table is full until the one before has been closed: ENFILE, and again after a rest.
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

#[test]
fn a_receive_that_outlives_its_cancel_still_delivers_in_order() {
    let luck = Luck { late_cancel: 1.0, partial: 1.0, ..Luck::default() };
    let (heard, ends) = (Noted::default(), Noted::default());
    let stubborn = Stubborn { pause: Duration::from_millis(10), heard: heard.clone(), ends };
    let mut rig = Rig::new(stubborn, Setting { luck, ..Setting::default() });
    let client = rig.client(WINDOW);
    let sent = pattern(2000);
    for part in sent.chunks(100) {
        rig.say(client, part);
    }
    rig.turns(200);
    assert_eq!(*heard.borrow(), sent);
    assert!(rig.ring().tally.cancels > 1, "each pause cancels the receive");
    rig.control.abort();
    rig.end();
}

// Accept: short of descriptors, and at the bound.

#[test]
fn an_accept_without_a_descriptor_rests_and_is_armed_again() {
    let mut rig = echo(Luck { no_descriptor: 1.0, ..Luck::default() });
    let client = rig.client(WINDOW);
    rig.turns(10);
    assert_eq!((rig.ring().tally.accepts, rig.meter().accept_errors), (1, 1), "it rests");
    let deadline = rig.uring.deadline_ns().expect("the wait ends when the rest does");
    assert!(deadline > rig.now_ns, "and the loop does not spin until then");
    rig.ring().luck.no_descriptor = 0.0;
    rig.turn_after(deadline - rig.now_ns);
    rig.turns(1);
    rig.say(client, b"let in");
    assert_eq!((rig.heard(client), rig.ring().tally.accepts), (b"let in".to_vec(), 2));
    rig.drain();
}

#[test]
fn at_the_bound_accept_stops_and_says_so_once_and_goes_on_when_there_is_room() {
    let mut rig = Rig::new(Echo, Setting { connections_max: 2, ..Setting::default() });
    let first = rig.client(WINDOW);
    let second = rig.client(WINDOW);
    let third = rig.client(WINDOW);
    rig.turns(10);
    assert_eq!((rig.meter().accepted, rig.meter().accepts_paused), (2, 1));
    assert!(rig.uring.deadline_ns().is_none(), "nothing wakes it until somebody leaves");
    rig.say(second, b"served");
    assert_eq!(rig.heard(second), b"served");
    rig.socket(first).peer_finished = true;
    rig.turns(6);
    rig.say(third, b"served too");
    assert_eq!((rig.heard(third), rig.meter().accepted), (b"served too".to_vec(), 3));
    rig.drain();
}

#[test]
fn what_a_late_cancel_of_accept_lets_in_beyond_the_bound_is_served() {
    let luck = Luck { late_cancel: 1.0, ..Luck::default() };
    let mut rig = Rig::new(Echo, Setting { luck, connections_max: 1, ..Setting::default() });
    let clients = [(); 3].map(|_| rig.ring().arrive(WINDOW));
    rig.turns(10);
    for client in clients {
        rig.say(client, b"served");
        assert_eq!(rig.heard(client), b"served");
    }
    rig.drain();
}

// The memory of a zero-copy send comes back at its notification.

#[test]
fn a_zero_copy_send_lends_its_buffer_until_the_notification() {
    let mut rig = zero_copy_echo(Luck { notification_rests: 20, ..Luck::default() });
    let client = rig.client(WINDOW);
    rig.say(client, b"no copy");
    assert_eq!((rig.heard(client), rig.lent(), rig.meter().zero_copy_used), (b"no copy".to_vec(), 1, 1));
    rig.say(client, b"the next does not wait for it");
    assert_eq!((rig.heard(client).len(), rig.lent()), (36, 2));
    rig.turns(30);
    assert_eq!(rig.lent(), 0);
    rig.drain();
}

#[test]
fn a_failed_zero_copy_send_ends_its_leg_at_once_and_lends_until_the_notification() {
    let mut rig = zero_copy_echo(Luck { notification_rests: 20, ..Luck::default() });
    let client = rig.client(0);
    rig.say(client, b"never read");
    rig.socket(client).reset();
    rig.turns(4);
    assert!(rig.socket(client).is_closed());
    assert_eq!((rig.meter().connections, rig.lent()), (0, 1));
    rig.turns(20);
    assert_eq!(rig.lent(), 0);
    rig.drain();
}

#[test]
fn a_zero_copy_send_that_failed_before_it_began_has_no_notification_and_lends_nothing() {
    let mut rig = zero_copy_echo(Luck { no_zero_copy: 1.0, ..Luck::default() });
    let client = rig.client(WINDOW);
    rig.say(client, b"refused");
    assert!(rig.socket(client).is_closed());
    assert_eq!((rig.lent(), rig.meter().zero_copy_used), (0, 0));
    rig.drain();
}

#[test]
fn a_leg_whose_zero_copy_sends_are_copied_sends_plainly_from_then_on() {
    let mut rig = zero_copy_echo(Luck { copied: 1.0, ..Luck::default() });
    let client = rig.client(WINDOW);
    (0..3).for_each(|_| rig.say(client, b"again "));
    assert_eq!(rig.heard(client), b"again again again ");
    let tally = rig.ring().tally;
    assert_eq!((tally.zero_copies, tally.sends, rig.meter().zero_copy_copied), (1, 2, 1));
    rig.drain();
}

// Sends that hold buffers while others need them.

/// Two clients that read nothing and hold every buffer, and one that reads.
fn pressed(luck: Luck, window: usize, zero_copy_bytes: Option<usize>) {
    let setting = Setting { luck, buffers: 8, zero_copy_bytes, ..Setting::default() };
    let mut rig = Rig::new(Echo, setting);
    let slow = [(); 2].map(|_| rig.client(window));
    let quick = rig.client(WINDOW);
    let sent = pattern(4 * BUFFER);
    slow.iter().for_each(|id| rig.socket(*id).say(&sent));
    rig.turns(3);
    rig.say(quick, b"I read");
    rig.turns(20);
    assert_eq!(rig.heard(quick), b"I read", "who reads is not held up by those who do not");
    assert!(rig.meter().sends_reclaimed > 0 && rig.meter().bytes_copied > 0);
    slow.iter().for_each(|id| rig.socket(*id).widen(WINDOW));
    rig.turns(40);
    for id in slow {
        assert!(rig.heard(id) == sent, "what was called back is sent once, in order");
        assert!(!rig.socket(id).is_closed());
    }
    rig.drain();
}

#[test]
fn a_slow_send_is_called_back_copied_and_sent_again() {
    pressed(Luck::default(), 1, None);
}

#[test]
fn a_slow_send_that_was_called_back_before_its_first_byte_is_sent_again() {
    let luck = Luck { bundle: 8, ..Luck::default() };
    let mut rig = Rig::new(Echo, Setting { luck, buffers: 8, ..Setting::default() });
    let slow = rig.client(0);
    let sent = pattern(7 * BUFFER);
    rig.say(slow, &sent);
    rig.turns(10);
    assert!(rig.meter().sends_reclaimed > 0);
    assert_eq!(rig.lent(), 0, "its buffers came back");
    rig.socket(slow).widen(WINDOW);
    rig.turns(20);
    assert!(rig.heard(slow) == sent);
    rig.drain();
}

#[test]
fn a_slow_send_whose_cancel_came_too_late_is_not_sent_twice() {
    for window in [1, 700, 2 * BUFFER] {
        pressed(Luck { late_cancel: 1.0, ..Luck::default() }, window, None);
    }
}

#[test]
fn a_slow_zero_copy_send_is_called_back_too() {
    pressed(Luck { notification_rests: 3, ..Luck::default() }, 1, Some(1));
}

// Connecting.

#[test]
fn a_refused_connect_fails_its_leg_and_an_unanswered_one_does_at_its_deadline() {
    let to: SocketAddr = "127.0.0.1:9".parse().unwrap();
    let cases = [
        (Luck { refuses: Some(to), ..Luck::default() }, LegError::Refused),
        (Luck { silent: Some(to), late_cancel: 1.0, ..Luck::default() }, LegError::Timeout),
    ];
    for (luck, expected) in cases {
        let failures = Noted::default();
        let carrier = Carrier { to, failures: failures.clone() };
        let mut rig = Rig::new(carrier, Setting { luck, ..Setting::default() });
        let client = rig.client(WINDOW);
        rig.turns(CONNECT.as_millis() as u32 + 10);
        assert_eq!(*failures.borrow(), [expected]);
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
#[should_panic(expected = "closed under requests in flight")]
fn the_fake_sees_a_close_under_a_receive() {
    let mut rig = echo(Luck::default());
    rig.client(4);
    rig.ring().push(Op::Close(0), driver::tag(For::Forgotten, NOBODY));
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

/// The one leg that the engine has.
fn only_leg(rig: &mut Rig<Echo>) -> Key {
    let mut legs = rig.uring.seat.desk.conns.keys();
    let leg = legs.next().expect("there is a connection");
    assert!(legs.next().is_none());
    leg
}

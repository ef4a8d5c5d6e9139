//! Traps of multishots: receives and accepts that end early, late, or for want of something.

use super::Luck;
use super::rig::{BUFFER, Rig, Setting, WINDOW, echo, pattern};
use super::services::{Echo, Hoarder, Noted, Stubborn};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::time::Duration;

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
    rig.uring.driver.attach_datagram(leg, OwnedFd::from(socket), false);
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

// A cancel that is late.

#[test]
fn a_receive_that_outlives_its_cancel_still_delivers_in_order() {
    let luck = Luck { late_cancel: 1.0, partial: 1.0, ..Luck::default() };
    // Resumed while the cancel is on its way, and long after.
    for pause in [1, 10].map(Duration::from_millis) {
        let (heard, ends) = (Noted::default(), Noted::default());
        let stubborn = Stubborn { pause, heard: heard.clone(), ends };
        let mut rig = Rig::new(stubborn, Setting { luck, ..Setting::default() });
        let client = rig.client(WINDOW);
        let sent = pattern(2000);
        for part in sent.chunks(100) {
            rig.say(client, part);
        }
        rig.turns(200);
        assert!(*heard.borrow() == sent);
        assert!(rig.ring().tally.cancels > 1, "each pause cancels the receive");
        rig.control.abort();
        rig.end();
    }
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

#[test]
fn near_the_bound_no_more_is_accepted_than_fits() {
    // What is accepted without a slot is lost, and there are no slots beyond the bound here.
    let setting = Setting { connections_max: 4, crowd: 50, slots: 4, ..Setting::default() };
    let mut rig = Rig::new(Echo, setting);
    rig.turns(2);
    let clients = [(); 50].map(|_| rig.ring().arrive(WINDOW));
    for (index, client) in clients.iter().enumerate() {
        rig.turns(6);
        assert_eq!((rig.meter().accepted, rig.meter().accept_errors), ((index as u64 + 4).min(50), 0));
        rig.say(*client, b"served");
        assert_eq!(rig.heard(*client), b"served");
        rig.socket(*client).peer_finished = true;
    }
    rig.drain();
}

#[test]
fn when_places_come_free_single_accepts_give_way_to_a_multishot_and_back() {
    let mut rig = Rig::new(Echo, Setting { connections_max: 4, crowd: 2, ..Setting::default() });
    let clients = [(); 4].map(|_| rig.client(WINDOW));
    rig.turns(4);
    assert_eq!(rig.meter().accepts_paused, 1);
    for client in clients {
        rig.socket(client).peer_finished = true;
    }
    rig.turns(6);
    let before = rig.ring().tally.accepts;
    for _ in 0..2 {
        let client = rig.client(WINDOW);
        rig.say(client, b"served");
        assert_eq!(rig.heard(client), b"served");
        rig.socket(client).peer_finished = true;
        rig.turns(6);
    }
    assert!(rig.ring().tally.accepts - before <= 4, "a multishot took in both, or a few accepts did");
    rig.drain();
}

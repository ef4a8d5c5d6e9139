//! Traps of receives: multishots that end early, late, or for want of something.

use super::Luck;
use super::rig::{BUFFER, Rig, Setting, WINDOW, echo, pattern};
use super::services::{Echo, Hoarder, Noted, Stubborn};
use crate::conn::Flag;
use crate::desk::Datagram;
use crate::seat::Port;
use crate::service::{LegError, ListenerId};
use crate::slab::Key;
use linux::net::UdpSocket;
use linux::{Chunk, Lease, errno};
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
    bind(&mut rig);
    let sent: Vec<_> = (0..3).map(|i| (vec![i; 10], peer())).collect();
    for (bytes, peer) in &sent {
        rig.ring().datagrams.push_back((bytes.clone(), *peer));
        rig.turns(3);
    }
    let held = hold(&mut rig);
    rig.ring().datagrams.push_back((vec![9; 10], peer()));
    rig.turns(3);
    assert_eq!((rig.ring().datagrams_sent.clone(), rig.meter().enobufs), (sent, 1));
    drop(held);
    rig.turns(3);
    assert_eq!(rig.ring().datagrams_sent.last(), Some(&(vec![9; 10], peer())));
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

#[test]
fn a_receive_that_met_no_buffer_is_armed_again_though_the_buffers_came_back_before_that_was_seen() {
    let mut rig = echo(Luck::default());
    let client = rig.client(WINDOW);
    let held = hold(&mut rig);
    rig.socket(client).say(b"patience");
    rig.ring().step();
    drop(held);
    rig.ring().pool.publish();
    rig.settle();
    assert_eq!((rig.heard(client), rig.meter().enobufs), (b"patience".to_vec(), 1));
    rig.drain();
}

#[test]
fn a_live_leg_is_armed_though_starved_legs_before_it_are_gone() {
    let gone: [fn(&mut Rig<Echo>, Key); 2] = [
        |rig, leg| rig.uring.seat.failed(leg, LegError::Idle, &mut rig.uring.driver),
        |rig, leg| rig.uring.driver.receive(leg, false),
    ];
    for leave in gone {
        let mut rig = Rig::new(Echo, Setting { buffers: 2, ..Setting::default() });
        let held = hold(&mut rig);
        let clients = [(); 8].map(|_| rig.client(WINDOW));
        clients.iter().for_each(|client| rig.say(*client, b"patience"));
        assert_eq!(rig.meter().enobufs, 8);
        let legs: Vec<Key> = rig.uring.driver.starved.iter().copied().collect();
        legs[..7].iter().for_each(|leg| leave(&mut rig, *leg));
        rig.settle();
        drop(held);
        rig.settle();
        assert_eq!(rig.heard(clients[7]), b"patience", "nothing else would wake the engine");
        let conns = &rig.uring.seat.desk.conns;
        let starve = legs.iter().filter_map(|leg| conns.get(*leg)).any(|conn| conn.is(Flag::Starved));
        assert!(!starve, "who is not wanted would be excused for ever");
        rig.drain();
    }
}

/// Takes every buffer.
fn hold(rig: &mut Rig<Echo>) -> Vec<Lease> {
    std::iter::from_fn(|| rig.ring().pool.fill(b"held")).collect()
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

// Errors that pass, and those that stay.

#[test]
fn a_receive_that_was_interrupted_goes_on() {
    for errno in [errno::EINTR, errno::EAGAIN] {
        let mut rig = echo(Luck::default());
        let client = rig.client(WINDOW);
        rig.socket(client).receive_errors.push_back(errno);
        rig.say(client, b"still here");
        assert_eq!(rig.heard(client), b"still here", "{errno}");
        assert!(rig.socket(client).receive_errors.is_empty() && !rig.socket(client).is_closed());
        rig.drain();
    }
}

/// Gives the engine a datagram listener.
fn bind(rig: &mut Rig<Echo>) -> Key {
    let socket = UdpSocket::bind("127.0.0.1:0".parse().unwrap(), &Default::default()).unwrap();
    let root = rig.uring.seat.open_root(&mut rig.uring.driver);
    let leg = rig.uring.seat.bound(root, ListenerId(1)).unwrap();
    rig.uring.driver.attach_datagram(leg, OwnedFd::from(socket), false);
    leg
}

fn peer() -> SocketAddr {
    "127.0.0.1:9".parse().unwrap()
}

#[test]
fn a_datagram_receive_is_armed_again_after_an_error_that_passes() {
    for errno in [errno::ENOBUFS, errno::ECANCELED, errno::EINTR, errno::EAGAIN] {
        let mut rig = echo(Luck::default());
        bind(&mut rig);
        rig.ring().datagram_errors.push_back(errno);
        rig.turns(3);
        assert!(rig.ring().datagram_errors.is_empty());
        rig.ring().datagrams.push_back((vec![7; 10], peer()));
        rig.turns(3);
        assert_eq!(rig.ring().datagrams_sent, [(vec![7; 10], peer())], "{errno}");
    }
}

#[test]
fn a_datagram_receive_is_not_armed_again_after_an_error_that_stays() {
    let mut rig = echo(Luck::default());
    bind(&mut rig);
    // As of a kernel that knows no multishot recvmsg.
    rig.ring().datagram_errors.extend([errno::EINVAL; 20]);
    rig.turns(10);
    assert_eq!(rig.ring().datagram_errors.len(), 19, "it was met once");
    let client = rig.client(WINDOW);
    rig.say(client, b"streams go on");
    assert_eq!(rig.heard(client), b"streams go on");
}

#[test]
fn datagrams_beyond_the_bound_in_flight_are_dropped_and_counted() {
    let mut rig = echo(Luck::default());
    let leg = bind(&mut rig);
    let send = |rig: &mut Rig<Echo>, n: usize| {
        let datagram = || Datagram { leg, peer: peer(), local: None, chunk: Chunk::Copied(vec![1].into()) };
        (0..n).for_each(|_| rig.uring.driver.send_to(datagram()));
        rig.turns(2);
        (rig.ring().datagrams_sent.len(), rig.meter().datagrams_dropped)
    };
    assert_eq!(send(&mut rig, 1024 + 6), (1024, 6));
    assert_eq!(send(&mut rig, 1), (1025, 6), "there is room when they were sent");
}

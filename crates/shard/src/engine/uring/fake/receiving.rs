//! Traps of receives: multishots that end early, late, or for want of something.

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

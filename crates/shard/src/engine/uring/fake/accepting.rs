//! Traps of accepts: short of descriptors, at the bound, and near it, where a multishot would take in too much.

use super::Luck;
use super::rig::{Rig, Setting, WINDOW, echo};
use super::services::Echo;

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

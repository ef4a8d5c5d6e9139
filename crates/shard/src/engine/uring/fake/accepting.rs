//! Traps of accepts: short of descriptors, at the bound, and near it, where a multishot would take in too much.

use super::rig::{Rig, Setting, WINDOW, echo};
use super::services::Echo;
use super::{Luck, What};
use linux::errno;

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
fn whatever_accepts_are_short_of_is_counted_each_time_and_they_recover_by_themselves() {
    for shortage in [errno::EMFILE, errno::ENFILE, errno::ENOBUFS, errno::ENOMEM] {
        // By a multishot, and near the bound by single accepts.
        for (crowd, armed) in [(0, 1), (50, 4)] {
            let mut rig = Rig::new(Echo, Setting { connections_max: 4, crowd, ..Setting::default() });
            rig.ring().accept_errors = vec![shortage; 3 * armed as usize].into();
            let client = rig.ring().arrive(WINDOW);
            rig.turns(2);
            for rest in 1..=3 {
                rig.turns(10);
                let counts = (rig.ring().tally.accepts, rig.meter().accept_errors);
                assert_eq!(counts, (rest * armed, u64::from(rest * armed)), "{shortage}: it rests");
                let deadline = rig.uring.deadline_ns().expect("the wait ends when the rest does");
                rig.turn_after(deadline - rig.now_ns);
                rig.turns(1);
            }
            rig.say(client, b"let in");
            assert_eq!((rig.heard(client), rig.meter().accepted), (b"let in".to_vec(), 1), "{shortage}");
            rig.drain();
        }
    }
}

#[test]
fn who_has_gone_before_the_accept_is_no_shortage() {
    let mut rig = echo(Luck::default());
    rig.ring().accept_errors = [errno::ECONNABORTED].into();
    let client = rig.client(WINDOW);
    rig.say(client, b"let in");
    assert_eq!(
        (rig.heard(client), rig.meter().accept_errors),
        (b"let in".to_vec(), 0),
        "nobody waits for a rest"
    );
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

#[test]
fn a_multishot_gives_way_to_single_accepts_before_the_places_run_out() {
    let setting = Setting { connections_max: 4, crowd: 3, slots: 4, ..Setting::default() };
    let mut rig = Rig::new(Echo, setting);
    let [first, _] = [(); 2].map(|_| rig.client(WINDOW));
    rig.turns(4);
    // As many as may wait, and one more than fits.
    let crowd = [(); 3].map(|_| rig.ring().arrive(WINDOW));
    rig.turns(4);
    assert_eq!((rig.meter().accepted, rig.meter().accept_errors), (4, 0), "who does not fit waits");
    rig.socket(first).peer_finished = true;
    rig.turns(6);
    for client in crowd {
        rig.say(client, b"served");
        assert_eq!(rig.heard(client), b"served");
    }
    rig.drain();
}

// Several listeners share the places that are left.

/// The listener of each accept in flight.
fn accepting(rig: &mut Rig<Echo>) -> Vec<u32> {
    let accepts = rig.ring().requests.iter().filter(|request| matches!(request.what, What::Accept { .. }));
    let mut listeners: Vec<u32> = accepts.map(|request| request.tag.slot()).collect();
    listeners.sort_unstable();
    listeners
}

#[test]
fn each_listener_keeps_one_accept_while_there_is_a_place() {
    let setting = Setting { listeners: 3, connections_max: 2, crowd: 50, ..Setting::default() };
    let mut rig = Rig::new(Echo, setting);
    rig.turns(2);
    assert_eq!(accepting(&mut rig), [0, 1, 2], "two places");
    let client = rig.client(WINDOW);
    rig.turns(2);
    assert_eq!(accepting(&mut rig), [0, 1, 2], "one place");
    rig.client(WINDOW);
    rig.turns(2);
    assert_eq!(accepting(&mut rig), [0; 0], "none");
    rig.socket(client).peer_finished = true;
    rig.turns(4);
    assert_eq!(accepting(&mut rig), [0, 1, 2], "one again");
    rig.drain();
}

#[test]
fn single_accepts_beyond_the_places_that_are_left_are_cancelled_once_each() {
    let luck = Luck { late_cancel: 1.0, ..Luck::default() };
    let setting = Setting { luck, listeners: 2, connections_max: 12, crowd: 50, ..Setting::default() };
    let mut rig = Rig::new(Echo, setting);
    rig.turns(2);
    assert_eq!(accepting(&mut rig), [[0; 6], [1; 6]].concat());
    // The first listener takes them in, and the second is left with six accepts for its half of six places.
    (0..6).for_each(|_| _ = rig.ring().arrive(WINDOW));
    rig.turns(10);
    assert_eq!((rig.meter().accepted, rig.ring().tally.cancels), (6, 3));
    assert_eq!(accepting(&mut rig), [[0; 3], [1; 3]].concat());
    rig.drain();
}

#[test]
fn a_drain_cancels_each_single_accept_once() {
    let luck = Luck { late_cancel: 1.0, ..Luck::default() };
    let setting = Setting { luck, connections_max: 8, crowd: 50, ..Setting::default() };
    let mut rig = Rig::new(Echo, setting);
    rig.turns(2);
    assert_eq!(accepting(&mut rig), [0; 8]);
    rig.control.drain();
    rig.end();
    assert_eq!(rig.ring().tally.cancels, 8 + 1, "the last is that of the wake-up");
}

#[test]
fn a_late_listener_accepts_though_the_seat_is_full_as_many_as_have_places_of_their_own() {
    let setting = Setting { late: true, connections_max: 0, crowd: 50, ..Setting::default() };
    let mut rig = Rig::new(Echo, setting);
    let clients = [(); 20].map(|_| rig.client(WINDOW));
    for (index, client) in clients.into_iter().enumerate() {
        let served = if index < 16 { b"how are you?".to_vec() } else { Vec::new() };
        rig.say(client, b"how are you?");
        assert_eq!((rig.heard(client), rig.meter().accepts_paused), (served, 1), "{index}");
    }
    rig.drain();
}

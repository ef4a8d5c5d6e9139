//! Connections that wait by a poll: those that were idle, and those whose ring has no buffers for receives that wait.

use super::Luck;
use super::rig::{BUFFER, Rig, Setting, WINDOW, echo, pattern};
use super::services::Echo;
use super::socket::Id;

const PARK_MS: u64 = 100;

fn parking(luck: Luck) -> Rig<Echo> {
    Rig::new(Echo, Setting { luck, park_ms: PARK_MS, ..Setting::default() })
}

/// A client that said something and was quiet until it was parked.
fn parked(rig: &mut Rig<Echo>) -> Id {
    let client = rig.client(WINDOW);
    rig.say(client, b"hello ");
    let before = rig.meter().parked;
    rest(rig);
    assert_eq!(rig.meter().parked, before + 1);
    client
}

/// Nothing happens for long enough that whoever is idle is found.
fn rest(rig: &mut Rig<Echo>) {
    for _ in 0..4 {
        rig.turn_after(PARK_MS * 1_000_000);
    }
    rig.turns(4);
}

#[test]
fn who_was_idle_waits_by_a_poll_and_a_word_now_and_then_does_not_change_that() {
    let mut rig = parking(Luck::default());
    let client = parked(&mut rig);
    let receives = rig.ring().tally.receives;
    for beat in 0..5 {
        rig.say(client, b"beat ");
        rest(&mut rig);
        assert_eq!(rig.ring().tally.fetches, beat + 1);
    }
    assert_eq!(rig.heard(client), b"hello beat beat beat beat beat ");
    let ring = rig.ring();
    assert_eq!((ring.tally.receives, ring.tally.stream_polls), (receives, 1), "one poll for all of it");
    assert_eq!(rig.meter().unparked, 0);
    rig.drain();
}

#[test]
fn who_becomes_busy_is_received_from_again_and_parked_again_later() {
    let mut rig = parking(Luck::default());
    let client = parked(&mut rig);
    for word in [&b"one "[..], b"two ", b"three "] {
        rig.say(client, word);
    }
    assert_eq!((rig.meter().unparked, rig.ring().tally.receives), (1, 2));
    let fetches = rig.ring().tally.fetches;
    rig.say(client, b"four ");
    assert_eq!(rig.ring().tally.fetches, fetches, "the receive brings it");
    rest(&mut rig);
    assert_eq!(rig.meter().parked, 2);
    rig.say(client, b"five");
    assert_eq!(rig.heard(client), b"hello one two three four five");
    rig.drain();
}

#[test]
fn nobody_looks_for_idle_connections_where_all_are_parked() {
    let mut rig = parking(Luck::default());
    parked(&mut rig);
    assert_eq!(rig.uring.looks_at_ns(), None);
    let other = rig.client(WINDOW);
    assert!(rig.uring.looks_at_ns().is_some());
    rig.socket(other).peer_finished = true;
    rig.turns(4);
    rest(&mut rig);
    assert_eq!(rig.uring.looks_at_ns(), None, "one that went is forgotten");
    rig.drain();
}

#[test]
fn more_than_a_buffer_holds_is_fetched_whole_though_the_poll_speaks_once() {
    for luck in [Luck::default(), Luck { overflow: 1.0, ..Luck::default() }] {
        let mut rig = parking(luck);
        let client = parked(&mut rig);
        let sent = pattern(3 * BUFFER + 100);
        rig.say(client, &sent);
        rig.turns(8);
        assert_eq!(rig.heard(client)[6..], sent);
        rig.drain();
    }
}

#[test]
fn a_parked_stream_ends_by_its_peer_and_by_a_reset() {
    for resets in [false, true] {
        let mut rig = parking(Luck::default());
        let client = parked(&mut rig);
        if resets {
            rig.socket(client).reset();
        } else {
            rig.socket(client).say(b"bye");
            rig.socket(client).peer_finished = true;
        }
        rig.turns(8);
        assert_eq!(rig.meter().connections, 0);
        assert_eq!(rig.heard(client), if resets { &b""[..] } else { b"hello bye" });
        rig.drain();
    }
}

#[test]
fn a_fetch_that_finds_no_buffer_is_made_again_when_one_came_back() {
    for only_polls in [false, true] {
        let luck = Luck { only_polls, ..Luck::default() };
        let mut rig = Rig::new(Echo, Setting { luck, park_ms: PARK_MS, buffers: 2, ..Setting::default() });
        let client = rig.client(WINDOW);
        rig.say(client, b"hello ");
        rest(&mut rig);
        let pool = rig.ring().pool.clone();
        let held = [pool.fill(b"1"), pool.fill(b"2")];
        rig.say(client, b"there");
        assert_eq!((rig.heard(client), rig.meter().enobufs), (b"hello ".to_vec(), 1));
        drop(held);
        rig.turns(4);
        assert_eq!(rig.heard(client), b"hello there");
        rig.drain();
    }
}

#[test]
fn who_waits_for_a_buffer_is_not_overtaken_by_who_comes_when_one_is_free_again() {
    let luck = Luck { only_polls: true, ..Luck::default() };
    let mut rig = Rig::new(Echo, Setting { luck, buffers: 2, ..Setting::default() });
    let [first, second] = [(); 2].map(|_| rig.client(WINDOW));
    let pool = rig.ring().pool.clone();
    let [one, other] = [pool.fill(b"1"), pool.fill(b"2")];
    rig.say(first, b"first");
    assert_eq!(rig.meter().enobufs, 1);
    // The engine sees at one time that there is a buffer and that the other has come.
    rig.socket(second).say(b"second");
    rig.ring().step();
    drop(one);
    while rig.heard(second).is_empty() {
        rig.turn();
        assert!(rig.heard(first) == b"first" || rig.heard(second).is_empty(), "it was overtaken");
    }
    drop(other);
    rig.drain();
}

#[test]
fn where_there_are_only_polls_nothing_is_ever_received_by_an_armed_receive() {
    let mut rig = echo(Luck { only_polls: true, ..Luck::default() });
    let client = rig.client(WINDOW);
    let sent = pattern(10 * BUFFER);
    for part in sent.chunks(BUFFER / 3) {
        rig.say(client, part);
    }
    rig.turns(8);
    assert_eq!(rig.heard(client), sent);
    assert_eq!(rig.ring().tally.receives, 0);
    rig.drain();
}

#[test]
fn a_reader_that_does_not_read_is_not_fetched_from() {
    let luck = Luck { only_polls: true, ..Luck::default() };
    let mut rig = Rig::new(Echo, Setting { luck, out_max: 2 * BUFFER, ..Setting::default() });
    let client = rig.client(10);
    let sent = pattern(200 * BUFFER);
    rig.say(client, &sent);
    rig.turns(300);
    let held = sent.len() - rig.socket(client).arriving.len();
    assert!(held < 100 * BUFFER, "{held} bytes were taken for one who reads none");
    rig.socket(client).widen(WINDOW);
    for _ in 0..400 {
        rig.turn();
        rig.heard(client);
    }
    assert_eq!(rig.heard(client), sent);
    rig.drain();
}

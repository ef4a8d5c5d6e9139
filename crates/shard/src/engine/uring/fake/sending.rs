//! Traps of sends: short, one at a time, without a copy, and slow while others need their buffers.

use super::Luck;
use super::rig::{BUFFER, Rig, Setting, WINDOW, echo, pattern, zero_copy_echo};
use super::services::Echo;
use crate::plan::ZeroCopy;

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

#[test]
fn whoever_asked_for_zero_copy_from_a_size_on_gets_it_though_the_kernel_copies() {
    let mut rig = zero_copy_echo(Luck { copied: 1.0, ..Luck::default() });
    rig.uring.zero_copy = ZeroCopy::AtLeast(1);
    let client = rig.client(WINDOW);
    (0..3).for_each(|_| rig.say(client, b"again "));
    assert_eq!(rig.heard(client), b"again again again ");
    let tally = rig.ring().tally;
    assert_eq!((tally.zero_copies, tally.sends, rig.meter().zero_copy_copied), (3, 0, 3));
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

// What was pushed and not submitted would wait as long as the engine spins.

#[test]
fn what_a_turn_pushed_is_submitted_before_the_engine_spins() {
    let mut rig = echo(Luck::default());
    rig.uring.turn(0);
    assert!(!rig.ring().pushed.is_empty(), "an accept");
    rig.uring.spin().expect("the fake does not fail");
    assert!(rig.ring().pushed.is_empty());
    rig.drain();
}

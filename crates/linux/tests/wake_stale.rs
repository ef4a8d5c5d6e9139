//! A waker that outlives everything it was made for. Alone in its file: its stale wakes go to whoever has the inbox
//! next, and that must not be another test.

use std::thread;

use linux::wake::Inbox;

#[test]
fn a_waker_outlives_its_inbox_and_its_owners_thread() {
    let (word, waker) = thread::spawn(|| {
        let inbox = Inbox::register().expect("register");
        assert!(inbox.parker().park(|| inbox.is_pending()));
        (inbox.word(8, 3), inbox.word(8, 3).waker())
    })
    .join()
    .expect("the thread does not panic");
    for _ in 0..5000 {
        waker.wake_by_ref();
    }
    // The place is used again sooner or later; the old wakes are gone, and a new stale one shows its old generation.
    let mut others = Vec::new();
    let mut heir = loop {
        let inbox = Inbox::register().expect("register");
        if inbox.shard() == word.shard() {
            break inbox;
        }
        others.push(inbox);
    };
    assert_eq!(drained(&mut heir), []);
    assert!(!heir.take_all() && !heir.parker().event().drain());
    waker.wake();
    assert_eq!(drained(&mut heir), [(8, 3)]);
}

fn drained(inbox: &mut Inbox) -> Vec<(u32, u32)> {
    let mut wakes = Vec::new();
    inbox.drain(|slot, generation| wakes.push((slot, generation)));
    wakes
}

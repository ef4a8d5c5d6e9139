//! The queue between two cores: order, bounds, what is published when, and who drops what.

use std::sync::Arc;
use std::thread;

use linux::spsc;

#[test]
fn nothing_is_seen_before_the_flush_and_all_of_it_after() {
    let (mut sender, mut receiver) = spsc::queue(4);
    assert!(!sender.flush(), "there is nothing to publish");
    sender.push(1).expect("empty");
    sender.push(2).expect("half full");
    assert!(receiver.is_empty());
    assert_eq!(receiver.pop(), None);
    assert!(sender.flush());
    assert!(!sender.flush(), "published already");
    assert!(!receiver.is_empty());
    assert_eq!([receiver.pop(), receiver.pop(), receiver.pop()], [Some(1), Some(2), None]);
    assert!(receiver.is_empty());
}

#[test]
fn a_full_queue_gives_the_value_back_until_one_is_taken() {
    let (mut sender, mut receiver) = spsc::queue(2);
    sender.push("a").expect("empty");
    sender.push("b").expect("half full");
    assert!(sender.is_full());
    assert_eq!(sender.push("c"), Err("c"));
    sender.flush();
    assert_eq!(sender.push("c"), Err("c"), "published is not taken");
    assert_eq!(receiver.pop(), Some("a"));
    sender.push("c").expect("one was taken");
    assert_eq!(sender.push("d"), Err("d"));
}

#[test]
fn a_queue_of_one_place_works() {
    let (mut sender, mut receiver) = spsc::queue(1);
    for round in 0..5 {
        sender.push(round).expect("empty");
        assert_eq!(sender.push(round), Err(round));
        sender.flush();
        assert_eq!(receiver.pop(), Some(round));
    }
}

#[test]
#[should_panic(expected = "power of two")]
fn a_capacity_that_is_no_power_of_two_is_our_mistake() {
    spsc::queue::<u8>(3);
}

#[test]
fn a_dropped_sender_publishes_what_it_held() {
    let (mut sender, mut receiver) = spsc::queue(4);
    sender.push(7).expect("empty");
    drop(sender);
    assert_eq!([receiver.pop(), receiver.pop()], [Some(7), None]);
}

#[test]
fn what_nobody_took_is_dropped_once_with_the_queue() {
    let counted = Arc::new(());
    let (mut sender, mut receiver) = spsc::queue(8);
    for _ in 0..6 {
        sender.push(Arc::clone(&counted)).expect("room for eight");
    }
    sender.flush();
    drop(receiver.pop());
    sender.push(Arc::clone(&counted)).expect("room for eight");
    assert_eq!(Arc::strong_count(&counted), 7);
    drop(receiver);
    assert_eq!(Arc::strong_count(&counted), 7, "the sender still has the queue");
    drop(sender);
    assert_eq!(Arc::strong_count(&counted), 1);
}

#[test]
fn a_hundred_thousand_values_cross_in_order_whatever_the_batches() {
    let check = |capacity: usize, batch: u64| {
        let (mut sender, mut receiver) = spsc::queue::<Box<u64>>(capacity);
        let giver = thread::spawn(move || {
            for value in 0..COUNT {
                let mut boxed = Box::new(value);
                while let Err(back) = sender.push(boxed) {
                    boxed = back;
                    sender.flush();
                    thread::yield_now();
                }
                if value % batch == 0 {
                    sender.flush();
                }
            }
        });
        let mut expected = 0;
        while expected < COUNT {
            match receiver.pop() {
                Some(value) => {
                    assert_eq!(*value, expected);
                    expected += 1;
                }
                None => thread::yield_now(),
            }
        }
        giver.join().expect("the giver does not panic");
        assert_eq!(receiver.pop(), None);
    };
    check(1, 1);
    check(64, 7);
    check(1024, 1000);
}

const COUNT: u64 = 100_000;

//! The lock-free parts under every order that the memory model allows, or every one with a bounded number of switches.
//!
//! The files are those of the library, built here on loom's atomics: they name `crate::sync`, which is another module
//! in this crate. The eventfd becomes loom's own notification, so that a wake that gets lost is a deadlock, which loom
//! reports.

// The files are a library there and a program here, and only part of what they offer is used.
#![allow(unreachable_pub, dead_code)]

#[path = "../src/wake/parker.rs"]
mod parker;
#[path = "../src/wake/queue.rs"]
mod queue;
#[path = "../src/spsc.rs"]
mod spsc;

mod sync {
    pub(crate) use loom::cell::UnsafeCell;
    pub(crate) use loom::sync::Arc;
    pub(crate) use loom::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering, fence};

    #[derive(Debug)]
    pub(crate) struct Padded<T>(pub(crate) T);
}

mod event_fd {
    /// Readable or not: what the eventfd is to its owner.
    #[derive(Debug)]
    pub(crate) struct EventFd(loom::sync::Notify);

    impl EventFd {
        pub(crate) fn new() -> EventFd {
            EventFd(loom::sync::Notify::new())
        }

        pub(crate) fn signal(&self) {
            self.0.notify();
        }

        pub(crate) fn wait(&self) {
            self.0.wait();
        }
    }
}

use loom::sync::Arc;
use loom::thread;

use event_fd::EventFd;
use parker::Parker;
use queue::Queue;

/// Runs `scenario` under every order with at most `switches` switches of thread that nothing forced.
fn explore(switches: usize, scenario: impl Fn() + Send + Sync + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(switches);
    model.check(scenario);
}

#[test]
fn mail_arrives_in_order_and_its_places_are_used_again() {
    explore(4, || {
        let (mut sender, mut receiver) = spsc::queue(2);
        let giver = thread::spawn(move || {
            let mut given = Vec::new();
            for value in 0..4 {
                if sender.push(Box::new(value)).is_ok() {
                    given.push(value);
                }
                sender.flush();
            }
            given
        });
        let mut taken: Vec<i32> = (0..3).filter_map(|_| receiver.pop()).map(|value| *value).collect();
        let given = giver.join().expect("the giver does not panic");
        while let Some(value) = receiver.pop() {
            taken.push(*value);
        }
        assert_eq!(given, taken);
    });
}

#[test]
fn mail_that_nobody_takes_is_dropped() {
    // Loom's Arc reports a leak.
    explore(3, || {
        let (mut sender, mut receiver) = spsc::queue(2);
        let giver = thread::spawn(move || {
            for _ in 0..2 {
                sender.push(Arc::new(())).expect("there is room for two");
            }
        });
        drop(receiver.pop());
        drop(receiver);
        giver.join().expect("the giver does not panic");
    });
}

#[test]
fn each_letter_of_two_givers_arrives_once_or_is_refused() {
    explore(3, || {
        let queue = Arc::new(Queue::new(2));
        let give = |words: [u64; 2]| {
            let queue = Arc::clone(&queue);
            thread::spawn(move || words.into_iter().filter(|&word| queue.push(word)).collect::<Vec<_>>())
        };
        let givers = [give([1, 2]), give([3, 4])];
        let mut taken: Vec<u64> = (0..2).filter_map(|_| queue.pop()).collect();
        let mut given: Vec<u64> =
            givers.into_iter().flat_map(|giver| giver.join().expect("the giver does not panic")).collect();
        taken.extend(std::iter::from_fn(|| queue.pop()));
        for pair in [[1, 2], [3, 4]] {
            let place = |word| taken.iter().position(|&taken| taken == word);
            let (first, second) = (place(pair[0]), place(pair[1]));
            assert!(first.is_none() || second.is_none() || first < second, "a giver's own order is kept");
        }
        taken.sort_unstable();
        given.sort_unstable();
        assert_eq!(given, taken);
        assert!(queue.is_empty());
    });
}

#[test]
fn a_parked_owner_gets_the_letters_of_two_givers() {
    explore(3, || {
        let inbox = Arc::new((Queue::new(2), Parker::new(EventFd::new())));
        for word in [1, 2] {
            let inbox = Arc::clone(&inbox);
            thread::spawn(move || {
                assert!(inbox.0.push(word), "there is room for two");
                inbox.1.notify();
            });
        }
        let (queue, parker) = (&inbox.0, &inbox.1);
        let mut taken = 0;
        while taken != 1 + 2 {
            while let Some(word) = queue.pop() {
                taken += word;
            }
            if taken != 1 + 2 && parker.park(|| !queue.is_empty()) {
                parker.event().wait();
                parker.unpark();
            }
        }
    });
}

#[test]
fn a_parked_owner_gets_its_mail() {
    explore(4, || {
        let (mut sender, mut receiver) = spsc::queue(2);
        let parker = Arc::new(Parker::new(EventFd::new()));
        let neighbour = Arc::clone(&parker);
        thread::spawn(move || {
            for value in [1, 2] {
                sender.push(value).expect("there is room for two");
                if sender.flush() {
                    neighbour.notify();
                }
            }
        });
        let mut taken = Vec::new();
        while taken != [1, 2] {
            taken.extend(std::iter::from_fn(|| receiver.pop()));
            if taken != [1, 2] && parker.park(|| !receiver.is_empty()) {
                parker.event().wait();
                parker.unpark();
            }
        }
    });
}

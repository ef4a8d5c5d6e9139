//! Wakers from any thread at any time: nothing is lost, nothing stale does harm, and a wake costs what it says.

use std::future::Future;
use std::os::fd::{AsFd, AsRawFd};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::thread;

use linux::counting_alloc::{CountingAlloc, allocations_in_this_thread};
use linux::wake::{EventFd, Inbox, Parker, Word};

#[global_allocator]
static ALLOCATOR: CountingAlloc = CountingAlloc;

fn drained(inbox: &mut Inbox) -> Vec<(u32, u32)> {
    let mut wakes = Vec::new();
    inbox.drain(|slot, generation| wakes.push((slot, generation)));
    wakes
}

/// Waits until `event` is readable. The bound is only there to make a lost wake a failure instead of a hang.
fn wait(event: &EventFd) {
    let mut poll = libc::pollfd { fd: event.as_fd().as_raw_fd(), events: libc::POLLIN, revents: 0 };
    // SAFETY: `poll` is one pollfd that lives through the call.
    let ready = unsafe { libc::poll(&raw mut poll, 1, 60_000) };
    assert_eq!(ready, 1, "a wake was lost");
    event.drain();
}

#[test]
fn wakes_arrive_in_order_with_slot_and_generation() {
    let mut inbox = Inbox::register().expect("register");
    inbox.word(5, 9).wake();
    let waker = inbox.word(6, 1).waker();
    waker.wake_by_ref();
    thread::spawn(move || waker.wake()).join().expect("the thread does not panic");
    assert_eq!(drained(&mut inbox), [(5, 9), (6, 1), (6, 1)]);
    assert_eq!(drained(&mut inbox), []);
    assert!(!inbox.take_all());
}

#[test]
fn an_owner_that_is_awake_is_not_signalled() {
    let mut inbox = Inbox::register().expect("register");
    inbox.word(1, 1).wake();
    assert!(!inbox.parker().event().drain(), "no system call for a wake of one's own");
    assert!(!inbox.parker().park(|| inbox.is_pending()), "a wake that is pending keeps its owner awake");
    assert!(!inbox.parker().is_parked());
    assert_eq!(drained(&mut inbox), [(1, 1)]);
}

#[test]
fn a_parked_owner_is_signalled_once_for_many_wakes() {
    let inbox = Inbox::register().expect("register");
    let parker = inbox.parker();
    assert!(parker.park(|| inbox.is_pending()));
    assert!(parker.is_parked());
    inbox.word(1, 1).wake();
    assert!(!parker.is_parked(), "the first giver takes the task of waking");
    assert!(parker.event().drain());
    inbox.word(2, 1).wake();
    assert!(!parker.event().drain());
    parker.unpark();
}

#[test]
fn a_neighbour_claims_the_wake_once_and_may_wake_by_a_way_of_its_own() {
    let parker = Arc::new(Parker::new(EventFd::new().expect("eventfd")));
    assert!(!parker.claim_wake(), "the owner is awake");
    assert!(parker.park(|| false));
    assert!(parker.claim_wake());
    assert!(!parker.claim_wake());
    assert!(!parker.event().drain(), "claiming signals nothing");
}

#[test]
fn beyond_the_bound_every_task_is_to_be_polled_and_nothing_is_lost() {
    let mut inbox = Inbox::register().expect("register");
    for slot in 0..5000 {
        inbox.word(slot, 1).wake();
    }
    assert!(inbox.is_pending());
    let wakes = drained(&mut inbox);
    assert!(wakes.len() < 5000, "the letter box is bounded");
    assert!(wakes.iter().enumerate().all(|(index, &wake)| wake == (index as u32, 1)));
    assert!(inbox.is_pending(), "the owner may not park before it has polled all");
    assert!(inbox.take_all());
    assert!(!inbox.take_all() && !inbox.is_pending());
    inbox.word(3, 2).wake();
    assert_eq!(drained(&mut inbox), [(3, 2)], "there is room again");
}

#[test]
fn a_task_that_wakes_itself_does_not_keep_its_thread_in_the_drain() {
    let mut inbox = Inbox::register().expect("register");
    let word = inbox.word(1, 1);
    word.wake();
    let mut polls = 0;
    inbox.drain(|_, _| {
        polls += 1;
        word.wake();
    });
    assert!(polls >= 1);
    assert!(inbox.is_pending());
}

#[test]
fn inboxes_are_used_again_however_many_come_and_go() {
    let mut highest = 0;
    for round in 0..20_000 {
        let mut inbox = Inbox::register().expect("register");
        highest = highest.max(inbox.shard());
        inbox.word(round, 1).wake();
        assert_eq!(drained(&mut inbox), [(round, 1)]);
    }
    assert!(highest < 64, "only the tests that run at the same time have some: {highest}");
}

#[test]
fn a_word_that_leads_nowhere_wakes_nobody() {
    Word::new(4095, 1, 1).waker().wake();
}

#[test]
fn wakers_compare_by_task_and_cost_no_allocation() {
    let mut inbox = Inbox::register().expect("register");
    let before = allocations_in_this_thread();
    let waker = inbox.word(1, 1).waker();
    let clone = waker.clone();
    assert!(waker.will_wake(&clone));
    assert!(!waker.will_wake(&inbox.word(1, 2).waker()));
    clone.wake();
    waker.wake_by_ref();
    let mut wakes = 0;
    inbox.drain(|_, _| wakes += 1);
    assert_eq!((wakes, allocations_in_this_thread() - before), (2, 0));
    drop(Box::new(0));
    assert!(allocations_in_this_thread() > before, "the allocator counts");
}

#[test]
fn an_event_is_readable_from_the_signal_to_the_drain() {
    let event = EventFd::new().expect("eventfd");
    assert!(!event.drain());
    event.signal();
    event.signal();
    assert!(event.drain());
    assert!(!event.drain());
}

#[test]
fn no_wake_of_four_foreign_threads_is_lost_while_the_owner_parks_again_and_again() {
    let mut inbox = Inbox::register().expect("register");
    let work: Arc<Vec<AtomicBool>> = Arc::new((0..GIVERS).map(|_| AtomicBool::new(false)).collect());
    let givers: Vec<_> = (0..GIVERS)
        .map(|slot| {
            let (work, waker) = (Arc::clone(&work), inbox.word(slot, 1).waker());
            thread::spawn(move || {
                for _ in 0..ROUNDS {
                    // The next round begins when the owner has done the last one.
                    while work[slot as usize].swap(true, Ordering::AcqRel) {
                        thread::yield_now();
                    }
                    waker.wake_by_ref();
                }
            })
        })
        .collect();
    let mut done = 0;
    while done < GIVERS * ROUNDS {
        let mut poll = |slot: u32| done += u32::from(work[slot as usize].swap(false, Ordering::AcqRel));
        inbox.drain(|slot, _| poll(slot));
        if inbox.take_all() {
            (0..GIVERS).for_each(&mut poll);
        }
        let parker = inbox.parker();
        if done < GIVERS * ROUNDS && parker.park(|| inbox.is_pending()) {
            wait(parker.event());
            parker.unpark();
        }
    }
    for giver in givers {
        giver.join().expect("the giver does not panic");
    }
}

const GIVERS: u32 = 4;
const ROUNDS: u32 = 5_000;

/// Runs one future to its end in this thread: the smallest executor on an inbox.
fn block_on<F: Future>(future: F) -> F::Output {
    let mut inbox = Inbox::register().expect("register");
    let mut future = pin!(future);
    let waker = inbox.word(0, 1).waker();
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        let mut is_woken = false;
        while !is_woken {
            let parker = inbox.parker();
            if parker.park(|| inbox.is_pending()) {
                wait(parker.event());
                parker.unpark();
            }
            inbox.drain(|_, generation| is_woken |= generation == 1);
            is_woken |= inbox.take_all();
        }
    }
}

/// A number that two tasks count up in turn, each waiting for the other.
#[derive(Default)]
struct Count {
    now: u32,
    waiting: Option<Waker>,
}

struct Turn<'a> {
    count: &'a Mutex<Count>,
    at: u32,
}

impl Future for Turn<'_> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut count = self.count.lock().expect("nobody panics with it");
        if count.now != self.at {
            count.waiting = Some(context.waker().clone());
            return Poll::Pending;
        }
        count.now += 1;
        if let Some(waker) = count.waiting.take() {
            waker.wake();
        }
        Poll::Ready(())
    }
}

#[test]
fn two_runtimes_at_once_wake_each_others_tasks() {
    let count = Arc::new(Mutex::new(Count::default()));
    let runtime = |first: u32| {
        let count = Arc::clone(&count);
        thread::spawn(move || {
            block_on(async {
                for at in (first..2000).step_by(2) {
                    Turn { count: &count, at }.await;
                }
            });
        })
    };
    let runtimes = [runtime(0), runtime(1)];
    for runtime in runtimes {
        runtime.join().expect("the runtime does not panic");
    }
    assert_eq!(count.lock().expect("nobody panicked").now, 2000);
}

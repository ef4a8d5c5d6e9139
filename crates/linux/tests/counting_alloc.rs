//! The counting allocator, installed as tests of the other crates install it.

use std::hint::black_box;

use linux::counting_alloc::{CountingAlloc, allocations_in_this_thread, live_bytes_in_this_thread};

#[global_allocator]
static ALLOCATOR: CountingAlloc = CountingAlloc;

/// How many allocations `work` makes in this thread.
fn counted(work: impl FnOnce()) -> u64 {
    let before = allocations_in_this_thread();
    work();
    allocations_in_this_thread() - before
}

#[test]
fn each_way_to_ask_for_memory_counts_once_and_giving_it_back_does_not() {
    assert_eq!(counted(|| drop(black_box(Box::new(7)))), 1);
    assert_eq!(counted(|| drop(black_box(vec![0u8; 4096]))), 1, "zeroed");
    let mut grown = Vec::with_capacity(1);
    grown.push(1u64);
    assert_eq!(counted(|| black_box(&mut grown).reserve_exact(1000)), 1, "reallocated");
}

#[test]
fn bytes_live_until_they_are_given_back() {
    let before = live_bytes_in_this_thread();
    let live = || live_bytes_in_this_thread() - before;
    let mut grown = black_box(Vec::<u8>::with_capacity(100));
    assert_eq!(live(), 100);
    grown.reserve_exact(300);
    assert_eq!(live(), 300, "reallocated");
    let zeroed = black_box(vec![0u8; 4096]);
    assert_eq!(live(), 4396);
    drop(grown);
    assert_eq!(live(), 4096);
    drop(zeroed);
    assert_eq!(live(), 0);
}

#[test]
fn work_on_the_stack_counts_nothing() {
    assert_eq!(
        counted(|| assert_eq!(black_box([1u8; 64]).iter().map(|&byte| u32::from(byte)).sum::<u32>(), 64)),
        0
    );
}

#[test]
fn another_threads_allocations_are_not_ours() {
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let (done, finished) = std::sync::mpsc::sync_channel::<u64>(1);
    let other = std::thread::spawn(move || {
        wait.recv().expect("the test lives");
        let allocations = counted(|| drop(black_box(vec![1u8; 100])));
        done.send(allocations).expect("the test lives");
    });
    go.send(()).expect("the thread lives");
    let before = allocations_in_this_thread();
    let theirs = loop {
        if let Ok(allocations) = finished.try_recv() {
            break allocations;
        }
        std::thread::yield_now();
    };
    assert_eq!((theirs, allocations_in_this_thread() - before), (1, 0));
    other.join().expect("the thread does not panic");
}

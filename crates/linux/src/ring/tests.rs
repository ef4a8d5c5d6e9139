//! A ring against the kernel, where its rules are subtle.

use super::*;
use crate::pool::{Gather, Plan};
use crate::sandbox::refuse_call_in_this_thread;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

fn ring() -> Ring {
    let pool = Pool::new(Plan { count: 2, bytes: 1024, huge_pages: false }).expect("it can be mapped");
    let setup = Setup { descriptors: 8, fixed_bytes: 0, ..Setup::default() };
    Ring::new(&setup, pool).expect("this kernel gives rings")
}

fn next(ring: &mut Ring) -> Completion {
    while !ring.has_next() {
        ring.wait(1, None).expect("a ring can be waited on");
    }
    ring.pop().expect("there is one")
}

#[test]
fn buffers_are_not_given_back_while_the_kernel_holds_completions_back() {
    let pool = Pool::new(Plan { count: 2, bytes: 1024, huge_pages: false }).expect("it can be mapped");
    let setup = Setup { submissions: 8, completions: 16, descriptors: 8, fixed_bytes: 0, ..Setup::default() };
    let mut ring = Ring::new(&setup, pool).expect("this kernel gives rings");
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    theirs.write_all(b"first").unwrap();
    ring.push(Op::Receive { sock: Sock::Plain(ours.as_raw_fd()), limit: 0 }, Tag::new(1, 0, 0));
    assert_eq!(next(&mut ring).result, 5);
    ring.pieces().clear();
    assert_eq!(ring.pool().returned(), 1);
    // More completions than the queue holds, which nobody reaps meanwhile: each close of an empty slot fails aloud.
    for _ in 0..3 {
        (0..8).for_each(|slot| ring.push(Op::Close(Sock::Direct(slot)), Tag::new(2, slot, 0)));
        ring.enter(0, None).unwrap();
    }
    ring.reap();
    while ring.pop().is_some() {}
    assert!(ring.uring.completion().is_empty() && ring.uring.submission().cq_overflow());
    ring.wait(0, None).unwrap();
    assert_eq!(ring.pool().returned(), 1, "the kernel held completions back");
    while ring.pop().is_some() {}
    ring.wait(0, None).unwrap();
    assert_eq!((ring.pool().returned(), ring.counts().cq_overflows), (0, 1));
}

#[test]
fn what_a_refused_enter_did_not_take_is_still_unsubmitted() {
    // Of its own: a filter stays with its thread, and the ring with its memory.
    let busy = || {
        let mut ring = ring();
        ring.push(Op::Close(Sock::Direct(0)), Tag::new(1, 0, 0));
        refuse_call_in_this_thread(libc::SYS_io_uring_enter, libc::EBUSY).expect("seccomp filters");
        ring.wait(0, None).expect("busy is no failure");
        let left = ring.has_unsubmitted();
        // Its drop would wait for what can never be submitted.
        std::mem::forget(ring);
        left
    };
    assert!(std::thread::spawn(busy).join().expect("no panic"));
    let mut ring = ring();
    ring.push(Op::Close(Sock::Direct(0)), Tag::new(1, 0, 0));
    assert!(ring.has_unsubmitted());
    ring.wait(0, None).unwrap();
    assert!(!ring.has_unsubmitted());
}

#[test]
fn a_receive_of_the_oldest_kernel_takes_what_fits_a_buffer() {
    let mut ring = ring();
    ring.gifts = Gifts { buffer_bytes: 1024, ..Gifts::default() };
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    theirs.write_all(&[7; 1500]).unwrap();
    for expected in [1024, 476] {
        ring.push(Op::Receive { sock: Sock::Plain(ours.as_raw_fd()), limit: 0 }, Tag::new(1, 0, 0));
        let completion = next(&mut ring);
        assert_eq!((completion.result, completion.more), (expected, false));
        assert_eq!(ring.pieces().drain(..).map(|piece| piece.len()).sum::<usize>(), expected as usize);
    }
}

#[test]
fn a_reset_is_not_submitted_where_the_kernel_has_none() {
    let mut ring = ring();
    ring.gifts.resets = false;
    ring.push(Op::LingerZero(Sock::Direct(0)), Tag::new(1, 0, 0));
    assert!(!ring.has_unsubmitted() && ring.counts().in_flight == 0);
    ring.gifts.resets = true;
    ring.push(Op::LingerZero(Sock::Direct(0)), Tag::new(1, 0, 0));
    assert!(next(&mut ring).result < 0, "no descriptor stands in that slot");
}

#[test]
fn buffers_are_not_given_back_while_completions_stand_in_the_queue() {
    let mut ring = ring();
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    let sock = Sock::Plain(ours.as_raw_fd());
    theirs.write_all(b"first").unwrap();
    ring.push(Op::Receive { sock, limit: 0 }, Tag::new(1, 0, 0));
    assert_eq!(next(&mut ring).result, 5);
    ring.pieces().clear();
    assert_eq!(ring.pool().returned(), 1);
    // An enter whose completions nobody reaps.
    let (echo, mut other) = UnixStream::pair().unwrap();
    let mut gather = Gather::new();
    gather.push(Chunk::Shared(bytes::Bytes::from_static(b"out")));
    ring.push(Op::Send(Sock::Plain(echo.as_raw_fd()), gather), Tag::new(2, 0, 0));
    ring.enter(0, None).unwrap();
    ring.wait(0, None).unwrap();
    assert_eq!(ring.pool().returned(), 1, "a completion was untaken");
    assert_eq!(next(&mut ring).tag.op(), 2);
    ring.wait(0, None).unwrap();
    assert_eq!(ring.pool().returned(), 0);
    let mut heard = [0; 3];
    other.read_exact(&mut heard).unwrap();
    assert_eq!(&heard, b"out");
}

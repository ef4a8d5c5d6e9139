//! What a ring counts as in flight: what it submitted and awaits, and nothing that others send it. Which pools it takes.

use linux::Pool;
use linux::clock::Clock;
use linux::pool::Plan;
use linux::ring::{Op, Ring, Setup, Tag};

fn ring() -> Ring {
    let pool =
        Pool::new(Plan { count: 2, bytes: 1024, huge_pages: false }).expect("a small pool can be mapped");
    let setup = Setup { submissions: 8, completions: 64, descriptors: 8, fixed_bytes: 0, ..Setup::default() };
    Ring::new(&setup, pool).expect("this kernel gives rings")
}

/// The next completion; far sooner than the deadline, which only keeps a failure from hanging.
fn next(ring: &mut Ring) -> (Tag, i32) {
    let deadline_ns = Clock::now_ns() + 30_000_000_000;
    while !ring.has_next() {
        assert!(Clock::now_ns() < deadline_ns, "no completion came");
        ring.wait(1, Some(deadline_ns)).expect("a ring can be waited on");
    }
    let completion = ring.pop().expect("there is one");
    (completion.tag, completion.result)
}

#[test]
fn a_message_arrives_with_its_tag_and_was_never_in_flight_where_it_arrives() {
    let (mut from, mut to) = (ring(), ring());
    let (ours, theirs) = (Tag::new(1, 2, 3), Tag::new(4, 5, 6));
    for _ in 0..10 {
        from.push(Op::Message { ring: to.descriptor(), tag: theirs }, ours);
        from.wait(0, None).expect("it is submitted");
        assert_eq!(next(&mut to), (theirs, 0));
        assert_eq!((from.counts().in_flight, to.counts().in_flight), (0, 0));
    }
}

#[test]
fn what_is_silent_when_it_works_is_never_in_flight_and_tells_when_it_fails() {
    let mut ring = ring();
    let tag = Tag::new(1, 2, 3);
    let no_descriptor = -1;
    for op in [Op::Message { ring: no_descriptor, tag }, Op::Close(linux::ring::Sock::Direct(3))] {
        ring.push(op, tag);
        let (of, result) = next(&mut ring);
        assert!(of == tag && result < 0, "{of:?} {result}");
        assert_eq!(ring.counts().in_flight, 0);
    }
}

#[test]
fn more_submissions_than_both_queues_hold_all_complete() {
    let mut ring = ring();
    let count = 10 * 64;
    for slot in 0..count {
        // Refused, each with a completion: no descriptor stands there.
        ring.push(Op::Close(linux::ring::Sock::Direct(slot % 8)), Tag::new(1, slot, 1));
    }
    for slot in 0..count {
        assert_eq!(next(&mut ring).0.slot(), slot);
    }
    assert!(!ring.has_next());
}

#[test]
#[should_panic(expected = "one kernel ring")]
fn a_second_ring_on_a_pool_is_refused() {
    let _second = Ring::new(&Setup::default(), ring().pool().clone());
}

#[test]
#[should_panic(expected = "before it is filled")]
fn a_ring_on_a_pool_that_lends_is_refused() {
    let pool = Pool::new(Plan { count: 2, bytes: 1024, huge_pages: false }).expect("it can be mapped");
    let _lease = pool.fill(b"read while the kernel would write");
    let _ring = Ring::new(&Setup::default(), pool.clone());
}

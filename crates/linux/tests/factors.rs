//! What each factor of a ring changes, on the rings of this kernel. A factor that it has not is skipped aloud.
#![expect(clippy::print_stderr, reason = "what is skipped is told")]

use linux::clock::Clock;
use linux::pool::Plan;
use linux::ring::{Completion, Factors, Home, Op, Ring, RingError, Setup, Sock, Tag, Tier, With};
use linux::{Chunk, Pool};
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;

const BUFFER_BYTES: u32 = 1024;

/// A ring with these words; `None` where this kernel has no such.
fn ring(words: &str) -> Option<Ring> {
    let pool =
        Pool::new(Plan { count: 4, bytes: BUFFER_BYTES, huge_pages: false }).expect("it can be mapped");
    let factors = words.parse().expect(words);
    let setup = Setup { submissions: 8, completions: 64, descriptors: 8, factors, ..Setup::default() };
    match Ring::new(&setup, pool) {
        Ok(ring) => Some(ring),
        Err(RingError::Factor { word, why }) => {
            eprintln!("skipped on this kernel: {word}: {why}");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

/// The next completion; far sooner than the deadline, which only keeps a failure from hanging.
fn next(ring: &mut Ring) -> Completion {
    let deadline_ns = Clock::now_ns() + 30_000_000_000;
    while !ring.has_next() {
        assert!(Clock::now_ns() < deadline_ns, "no completion came");
        ring.wait(1, Some(deadline_ns)).expect("a ring can be waited on");
    }
    ring.pop().expect("there is one")
}

fn receive(ring: &mut Ring, from: &UnixStream) {
    ring.push(Op::Receive { sock: Sock::Plain(from.as_raw_fd()), limit: 0 }, Tag::new(1, 0, 0));
}

#[test]
fn a_rung_that_was_asked_for_is_had_and_not_another() {
    for (words, tier) in [
        ("sqarray=on", Tier::DeferWithArray),
        ("tier=coop", Tier::Coop),
        ("tier=plain", Tier::Plain),
        ("sqpoll=on,bundles=off", Tier::Polled),
    ] {
        let Some(ring) = ring(words) else { continue };
        assert_eq!(ring.features().tier, tier, "{words}");
    }
}

#[test]
fn what_was_left_out_is_told_as_missing_with_the_word_that_asked_for_it() {
    for (words, feature) in [
        ("ring-fd=off", "registered ring descriptor"),
        ("direct=off", "direct descriptors"),
        ("fixed=off", "zero-copy sends"),
        ("bundles=off", "receive bundles"),
    ] {
        let ring = ring(words).expect("nothing more than usual is asked for");
        let why = ring.features().missing.iter().find(|(name, _)| *name == feature);
        assert!(why.is_some_and(|(_, why)| why.contains(words)), "{words}: {:?}", ring.features());
        assert!(!ring.features().has(feature), "{words}");
    }
}

#[test]
fn without_direct_descriptors_an_accept_brings_one_of_the_process() {
    let mut ring = ring("direct=off").expect("nothing more than usual is asked for");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let tag = Tag::new(1, 0, 0);
    ring.push(Op::AcceptMulti(Sock::Plain(listener.as_raw_fd()), Home::Ring), tag);
    for _ in 0..2 {
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let Completion { with: With::Descriptor(fd), more: true, .. } = next(&mut ring) else {
            panic!("an accept brings a descriptor, and lives on")
        };
        let ours = TcpStream::from(fd);
        assert_eq!(ours.peer_addr().unwrap(), client.local_addr().unwrap());
    }
    ring.push(Op::CancelKept(tag), Tag::new(2, 0, 0));
    let ended = [next(&mut ring), next(&mut ring)];
    let last = ended.iter().find(|completion| completion.tag == tag).expect("its last completion");
    assert!(last.result == -linux::errno::ECANCELED && !last.more, "{last:?}");
    assert_eq!(ring.counts().in_flight, 0);
}

#[test]
fn without_bundles_each_completion_has_one_buffer() {
    for (words, pieces) in [("bundles=off", 1), ("default", 2)] {
        let mut ring = ring(words).expect("nothing more than usual is asked for");
        if pieces == 2 && !ring.features().has("receive bundles") {
            eprintln!("skipped on this kernel: receive bundles");
            continue;
        }
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        theirs.write_all(&[7; 2 * BUFFER_BYTES as usize]).unwrap();
        receive(&mut ring, &ours);
        let completion = next(&mut ring);
        assert_eq!(completion.result as u32, pieces * BUFFER_BYTES, "{words}");
        assert_eq!(ring.pieces().drain(..).count() as u32, pieces, "{words}");
    }
}

#[test]
fn bit_by_bit_receives_of_many_share_a_buffer_and_each_gets_its_own_bytes() {
    for words in ["inc=on", "inc=on,bundles=off", "tier=plain,inc=on", "sqpoll=on,bundles=off,inc=on"] {
        let Some(mut ring) = ring(words) else { continue };
        let mut pairs: Vec<_> = (0..3).map(|_| UnixStream::pair().unwrap()).collect();
        for (slot, (ours, _)) in (0..).zip(&pairs) {
            let op = Op::Receive { sock: Sock::Plain(ours.as_raw_fd()), limit: 0 };
            ring.push(op, Tag::new(1, slot, 0));
        }
        let (mut heard, mut sent) = ([const { Vec::new() }; 3], [const { Vec::new() }; 3]);
        let mut shared = false;
        let mut before: Option<u16> = None;
        // Lengths that neither divide a buffer nor each other, through the whole pool more than once.
        for (round, len) in (0..100u8).zip([100, 333, 7, 512].into_iter().cycle()) {
            let at = usize::from(round) % 3;
            let message = vec![round; len];
            pairs[at].1.write_all(&message).unwrap();
            sent[at].extend(message);
            while heard[at].len() < sent[at].len() {
                let completion = next(&mut ring);
                assert!(completion.result > 0 || !completion.more, "{words}: {completion:?}");
                for piece in ring.pieces().drain(..) {
                    let Chunk::Lease(lease) = &piece else { panic!("what is received is lent") };
                    shared |= before.replace(lease.index()) == Some(lease.index());
                    heard[completion.tag.slot() as usize].extend_from_slice(&piece);
                }
                if !completion.more {
                    let slot = completion.tag.slot();
                    let sock = Sock::Plain(pairs[slot as usize].0.as_raw_fd());
                    ring.push(Op::Receive { sock, limit: 0 }, completion.tag);
                }
            }
        }
        assert!(heard == sent, "{words}");
        assert!(shared, "{words}: two receives share a buffer");
        // An end of file takes no buffer, whatever its completion names.
        ring.wait(0, None).expect("buffers can be given back");
        drop(pairs.remove(0).1);
        assert_eq!(next(&mut ring).result, 0, "{words}");
        assert_eq!((ring.pool().lent(), ring.pool().returned()), (0, 0), "{words}");
    }
}

#[test]
fn a_wait_for_more_than_one_completion_ends_with_one_when_the_min_wait_is_over() {
    let Some(mut ring) = ring("min-wait-us=1000") else { return };
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    receive(&mut ring, &ours);
    theirs.write_all(b"alone").unwrap();
    // Without a deadline: it would wait for ever for the seven others.
    ring.wait(8, None).expect("a ring can be waited on");
    assert_eq!(ring.pop().expect("the one that came").result, 5);
}

#[test]
fn a_wait_with_a_min_wait_sleeps_on_while_nothing_comes() {
    let Some(mut ring) = ring("min-wait-us=1") else { return };
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    receive(&mut ring, &ours);
    ring.wait(0, None).expect("it is submitted");
    std::thread::scope(|scope| {
        // It may come before the wait or in it; either way one wait is enough.
        scope.spawn(|| {
            (0..1000).for_each(|_| std::thread::yield_now());
            theirs.write_all(b"late").unwrap();
        });
        ring.wait(8, None).expect("a ring can be waited on");
        assert_eq!(ring.pop().expect("no wait ends without a completion").result, 4);
    });
}

#[test]
fn a_thread_of_the_kernel_takes_more_submissions_than_both_queues_hold() {
    let Some(mut ring) = ring("sqpoll=on,bundles=off") else { return };
    let count = 10 * 64;
    for slot in 0..count {
        // Refused, each with a completion: no descriptor stands there.
        ring.push(Op::Close(Sock::Direct(slot % 8)), Tag::new(1, slot, 1));
    }
    for slot in 0..count {
        assert_eq!(next(&mut ring).tag.slot(), slot);
    }
}

#[test]
fn a_factor_is_part_of_no_ring_that_did_not_ask_for_it() {
    let ring = ring("default").expect("this kernel gives rings");
    for name in ["incremental buffers", "min wait"] {
        assert!(!ring.features().has(name), "{name}");
    }
    assert_eq!(Factors::default(), Factors::BEST);
}

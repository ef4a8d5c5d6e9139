//! The framed protocol over datagrams in the simulated world.

#[path = "scenarios/mod.rs"]
mod scenarios;

use scenarios::frame_udp::{Told, stormy, told};
use shard::engine::sim::Seeds;
use std::cell::RefCell;

/// Runs so many seeds and gives the sum of what became of the frames.
fn sum(
    name: &'static str,
    seeds: u64,
    run: impl Fn(u64) -> (shard::engine::sim::Run, Told),
) -> (Told, [u64; 4]) {
    let sum = RefCell::new((Told::default(), [0; 4]));
    Seeds::new(name, seeds).run(|seed| {
        let (run, told) = run(seed);
        let (all, counts) = &mut *sum.borrow_mut();
        all.frames += told.frames;
        all.answered += told.answered;
        all.given_up += told.given_up;
        all.no_answer += told.no_answer;
        all.closed += told.closed;
        for seat in &run.seats {
            counts[0] += seat.frames_retransmitted;
            counts[1] += seat.frames_duplicate;
            counts[2] += seat.frames_given_up;
            counts[3] += seat.frames_no_room;
        }
        run
    });
    sum.into_inner()
}

#[test]
fn whatever_becomes_of_datagrams_no_answer_comes_twice_and_none_is_lost_without_a_word() {
    let (told, counts) = sum("frame-udp", 3_000, told);
    assert!(told.frames > 400_000 && told.given_up > 0 && told.no_answer > 0, "{told:?}");
    assert!(counts.iter().all(|count| *count > 0), "{counts:?}");
}

#[test]
#[expect(clippy::print_stderr, reason = "the figure is what it is for")]
fn with_ten_per_cent_lost_doubled_and_late_all_is_answered_once() {
    let (told, [again, twice, given_up, no_room]) = sum("frame-udp-storm", 1_000, stormy);
    eprintln!(
        "{told:?}; of the server: sent again {again}, came again {twice}, given up {given_up}, no room {no_room}"
    );
    assert!(
        told.frames > 100_000 && told.answered + told.given_up + told.no_answer >= told.frames,
        "{told:?}"
    );
    assert!(told.given_up + given_up < 10, "one in 600,000 fails eight times: {told:?}");
}

//! Made-up frames, as a stream that is read whole and in pieces, and as datagrams, against an oracle that is slow and simple.
//!
//! Deterministic, with the variables of `tests/fuzz.rs`: `RINGMILL_FUZZ_SEED` (default 1), `RINGMILL_FUZZ_COUNT` and
//! `RINGMILL_FUZZ_MS`. A failure prints the seed that replays its input alone.

use crate::golden::cases;
use crate::oracle;
use crate::random::Random;
use crate::reader::hex;
use proto::frame::{Ack, Flags, Header, Kind, sum, write};
use std::env;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::{Duration, Instant};

const COUNT: u64 = 60_000;

#[test]
fn made_up_streams_and_datagrams_are_read_alike_in_pieces_and_never_against_the_oracle() {
    let first = number("RINGMILL_FUZZ_SEED").unwrap_or(1);
    let count = number("RINGMILL_FUZZ_COUNT").unwrap_or(COUNT);
    let until = number("RINGMILL_FUZZ_MS").map(|ms| Instant::now() + Duration::from_millis(ms));
    let corpus: Vec<Vec<u8>> = cases().into_iter().map(|case| case.input).collect();
    let (mut seed, mut good) = (first, [0; 2]);
    while until.map_or(seed - first < count, |until| Instant::now() < until) {
        let mut random = Random(seed);
        let pieces = make(&mut random, &corpus);
        match catch_unwind(AssertUnwindSafe(|| check(&mut random, &pieces))) {
            Ok(frames) => good.iter_mut().zip(frames).for_each(|(good, frames)| *good += frames),
            Err(panic) => {
                #[expect(clippy::print_stderr, reason = "what a failed run must say")]
                {
                    let hex: Vec<String> = pieces.iter().map(|piece| hex(piece)).collect();
                    eprintln!("RINGMILL_FUZZ_SEED={seed} RINGMILL_FUZZ_COUNT=1 replays {}", hex.join(" "));
                }
                resume_unwind(panic);
            }
        }
        seed += 1;
    }
    let enough = good.iter().all(|good| *good as u64 > count / 2);
    assert!(count < 1000 || until.is_some() || enough, "{good:?} good frames in {count} inputs prove little");
}

fn number(name: &str) -> Option<u64> {
    let text = env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}={text} is not a number")))
}

/// Reads one input in every way there is. Returns how many frames were good in a stream, and were delivered of datagrams.
fn check(random: &mut Random, pieces: &[Vec<u8>]) -> [usize; 2] {
    let payload_bytes_max = *random.pick(&[8, 400, 1 << 20, 1 << 20]);
    let input = pieces.concat();
    let mut cuts: Vec<usize> = (0..random.below(5)).map(|_| random.below(input.len() + 1)).collect();
    cuts.sort_unstable();
    let delivered = oracle::datagrams(pieces.iter().map(Vec::as_slice), payload_bytes_max);
    [oracle::stream(&input, payload_bytes_max, &cuts), delivered]
}

/// Good frames, mostly, and then something done to some of them.
fn make(random: &mut Random, corpus: &[Vec<u8>]) -> Vec<Vec<u8>> {
    // The numbers of datagrams lie in a window of 256: there is a bound for each input, so that some come again; those
    // of any number are mostly not of the conversation.
    let (seqs, flags) = (*random.pick(&[1, 4, 300, 300, 300, 1 << 32]), *random.pick(&[4, 4, 16]));
    let mut pieces = Vec::new();
    for _ in 0..random.below(6) {
        pieces.push(match random.below(3) {
            0 => random.pick(corpus).clone(),
            _ => frame(random, seqs, flags),
        });
    }
    for _ in 0..random.below(6).saturating_sub(2).min(pieces.len()) {
        let piece = random.below(pieces.len());
        spoil(random, &mut pieces[piece]);
    }
    pieces
}

fn spoil(random: &mut Random, input: &mut Vec<u8>) {
    let at = random.below(input.len() + 1);
    let end = (at + 1 + random.below(8)).min(input.len());
    match random.below(5) {
        0 if at < input.len() => input[at] ^= 1 << random.below(8),
        1 if at < input.len() => input[at] = random.next() as u8,
        2 => drop(input.drain(at..end)),
        3 => input.truncate(at),
        _ => {
            let copy = input[at..end].to_vec();
            drop(input.splice(at..at, copy));
        }
    }
}

/// A good one whose number is below `seqs` and whose flags are below `flags`: from 4 on they mean nothing in a stream.
fn frame(random: &mut Random, seqs: usize, flags: usize) -> Vec<u8> {
    let kinds = [Kind::Ping, Kind::Pong, Kind::Ack, Kind::Data, Kind::Data, Kind::Application(0x8001)];
    let (kind, seq) = (*random.pick(&kinds), random.below(seqs) as u32);
    let flags = Flags(random.below(flags) as u8);
    let mut bytes = Vec::new();
    if kind == Kind::Ack {
        let ack = Ack { before: random.next() & random.next(), floor: random.below(seqs) as u32 };
        write(&mut bytes, kind, flags, seq, &ack);
        return bytes;
    }
    let length = if kind.is_control() { 0 } else { *random.pick(&[0, 1, 7, 64, 300]) };
    let payload: Vec<u8> = (0..length).map(|_| random.next() as u8).collect();
    let header = Header::new(kind, length, seq).with(flags);
    bytes.extend(header.to_bytes());
    bytes.extend(&payload);
    if header.flags.has(Flags::CRC) {
        bytes.extend(sum(&header, &payload));
    }
    bytes
}

//! Made-up streams of frames, read whole and in pieces, against an oracle that is slow and simple.
//!
//! Deterministic, with the variables of `tests/fuzz.rs`: `RINGMILL_FUZZ_SEED` (default 1), `RINGMILL_FUZZ_COUNT` and
//! `RINGMILL_FUZZ_MS`. A failure prints the seed that replays its input alone.

use crate::golden::cases;
use crate::random::Random;
use crate::reader::{Told, at_once, datagram, hex, in_pieces};
use proto::frame::{Conversation, Flags, Header, Kind, Over, Role, Rules, State, sum};
use std::env;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::{Duration, Instant};

const COUNT: u64 = 60_000;

#[test]
fn made_up_streams_are_read_alike_in_pieces_and_never_against_the_oracle() {
    let first = number("RINGMILL_FUZZ_SEED").unwrap_or(1);
    let count = number("RINGMILL_FUZZ_COUNT").unwrap_or(COUNT);
    let until = number("RINGMILL_FUZZ_MS").map(|ms| Instant::now() + Duration::from_millis(ms));
    let corpus: Vec<Vec<u8>> = cases().into_iter().map(|case| case.input).collect();
    let (mut seed, mut good) = (first, 0);
    while until.map_or(seed - first < count, |until| Instant::now() < until) {
        let mut random = Random(seed);
        let input = make(&mut random, &corpus);
        match catch_unwind(AssertUnwindSafe(|| check(&mut random, &input))) {
            Ok(frames) => good += frames,
            Err(panic) => {
                #[expect(clippy::print_stderr, reason = "what a failed run must say")]
                {
                    eprintln!("RINGMILL_FUZZ_SEED={seed} RINGMILL_FUZZ_COUNT=1 replays {}", hex(&input));
                }
                resume_unwind(panic);
            }
        }
        seed += 1;
    }
    assert!(count < 1000 || good as u64 > count / 2, "{good} good frames in {count} inputs prove little");
}

fn number(name: &str) -> Option<u64> {
    let text = env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}={text} is not a number")))
}

/// Reads one input in every way there is. Returns how many frames were good.
fn check(random: &mut Random, input: &[u8]) -> usize {
    let payload_bytes_max = *random.pick(&[8, 400, 1 << 20, 1 << 20]);
    let rules = Rules { over: Over::Stream, payload_bytes_max };
    let whole = at_once(input, &rules);
    assert_eq!(whole.frames.len(), judge(input, &rules, &whole));
    assert_eq!(whole, in_pieces(input, &rules, 1..input.len()), "byte by byte");
    let mut cuts: Vec<usize> = (0..random.below(5)).map(|_| random.below(input.len() + 1)).collect();
    cuts.sort_unstable();
    assert_eq!(whole, in_pieces(input, &rules, cuts.iter().copied()), "cut at {cuts:?}");
    for role in [Role::Server, Role::Client] {
        converse(role, &whole);
    }
    let rules = Rules { over: Over::Datagram, ..rules };
    let one = datagram(input, &rules);
    assert_eq!(one.frames.len(), usize::from(one.refusal.is_none()));
    whole.frames.len()
}

/// Counts good frames by the letter of the specification, from the raw bytes. Stops at the first that is not good.
fn judge(input: &[u8], rules: &Rules, told: &Told) -> usize {
    let (mut rest, mut frames) = (input, 0);
    while rest.len() >= 16 {
        let number = |at: usize| u32::from_be_bytes(rest[at..at + 4].try_into().expect("4 bytes")) as usize;
        let (kind, length, flags) = (number(4) >> 16, number(8), rest[3]);
        let longest = match kind {
            2 | 3 => 64,
            1 | 4..=6 => 1024,
            256 | 0x8000.. => rules.payload_bytes_max as usize,
            _ => break,
        };
        let good = rest[..3] == *b"RM\x01" && flags < 4 && rest[6..8] == [0, 0];
        if !good || length > longest {
            break;
        }
        let end = 16 + length;
        let whole = end + if flags & 1 == 1 { 4 } else { 0 };
        if rest.len() < whole {
            assert_eq!((told.refusal, told.rest), (None, rest.len()));
            return frames;
        }
        if flags & 1 == 1 && crc(&rest[4..end]) != rest[end..whole] {
            break;
        }
        if frames == told.frames.len() {
            // Only the message of a control frame can still be wrong.
            assert!(kind < 256, "a good frame was refused");
            break;
        }
        frames += 1;
        rest = &rest[whole..];
    }
    frames
}

/// CRC-32C bit by bit.
fn crc(bytes: &[u8]) -> [u8; 4] {
    let step = |crc: u32, _| crc >> 1 ^ if crc & 1 == 1 { 0x82f6_3b78 } else { 0 };
    let crc = bytes.iter().fold(u32::MAX, |crc, &byte| (0..8).fold(crc ^ u32::from(byte), step));
    (!crc).to_be_bytes()
}

/// Whatever comes, a conversation only ever moves on, and says nothing more once it is closed.
fn converse(role: Role, told: &Told) {
    let mut conversation = Conversation::new(role);
    for frame in &told.frames {
        let before = conversation.state();
        let name = frame["frame"].as_str().expect("a name");
        let all = [Kind::Hello, Kind::Ping, Kind::Pong, Kind::Ack, Kind::Error, Kind::Goaway, Kind::Data];
        let kind = all.into_iter().find(|kind| kind.name() == name).unwrap_or(Kind::Application(0x8000));
        let answer = conversation.on(kind);
        assert!(conversation.state() >= before);
        assert!(before != State::Closed || answer == proto::frame::Answer::Nothing);
    }
}

/// Good frames, mostly, and then something done to them.
fn make(random: &mut Random, corpus: &[Vec<u8>]) -> Vec<u8> {
    let mut input = Vec::new();
    for _ in 0..random.below(6) {
        match random.below(3) {
            0 => input.extend(random.pick(corpus)),
            _ => input.extend(frame(random)),
        }
    }
    for _ in 0..random.below(6).saturating_sub(2) {
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
    input.truncate(4096);
    input
}

fn frame(random: &mut Random) -> Vec<u8> {
    let kind = *random.pick(&[Kind::Ping, Kind::Data, Kind::Data, Kind::Application(0x8001)]);
    let length = if kind == Kind::Ping { 0 } else { *random.pick(&[0, 1, 7, 64, 300]) };
    let payload: Vec<u8> = (0..length).map(|_| random.next() as u8).collect();
    let header = Header::new(kind, length, random.next() as u32).with(Flags(random.below(4) as u8));
    let mut bytes = header.to_bytes().to_vec();
    bytes.extend(&payload);
    if header.flags.has(Flags::CRC) {
        bytes.extend(sum(&header, &payload));
    }
    bytes
}

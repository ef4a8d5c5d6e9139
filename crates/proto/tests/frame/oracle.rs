//! What any bytes must come to, as a stream of frames and as datagrams, judged by code that is slow and simple.
//!
//! Shared by the fuzz runner of the tests (`fuzz.rs`) and the coverage-guided target (`fuzz/fuzz_targets/frame.rs`), which only
//! differ in who makes the bytes up.

use crate::reader::{Told, at_once, datagram, in_pieces};
use proto::frame::udp::{Receiver, Sender, Taken, WINDOW};
use proto::frame::{Ack, Answer, Conversation, Flags, Kind, Over, Role, Rules, State, read};
use std::collections::BTreeSet;

/// Reads a stream whole, byte by byte, and cut at `cuts`, which ascend. Returns how many frames were good.
pub(crate) fn stream(input: &[u8], payload_bytes_max: u32, cuts: &[usize]) -> usize {
    let rules = Rules { over: Over::Stream, payload_bytes_max };
    let whole = at_once(input, &rules);
    assert_eq!(whole.frames.len(), judge(input, &rules, &whole));
    assert_eq!(whole, in_pieces(input, &rules, 1..input.len()), "byte by byte");
    assert_eq!(whole, in_pieces(input, &rules, cuts.iter().copied()), "cut at {cuts:?}");
    for role in [Role::Server, Role::Client] {
        converse(role, &whole);
    }
    whole.frames.len()
}

/// Reads datagrams of one peer, and gives what is good of them to both halves of a conversation. Returns how many frames were
/// delivered.
pub(crate) fn datagrams<'a>(inputs: impl IntoIterator<Item = &'a [u8]>, payload_bytes_max: u32) -> usize {
    let rules = Rules { over: Over::Datagram, payload_bytes_max };
    let mut ends = Ends::new();
    for input in inputs {
        let told = datagram(input, &rules);
        assert_eq!(told.frames.len(), usize::from(told.refusal.is_none()));
        assert_eq!(told.frames.len(), judge_datagram(input, &rules, &told));
        if told.refusal.is_none() {
            ends.hear(input, &rules);
        }
    }
    ends.delivered.len() + ends.loose.len()
}

/// Counts good frames by the letter of the specification, from the raw bytes. Stops at the first that is not good.
fn judge(input: &[u8], rules: &Rules, told: &Told) -> usize {
    let (mut rest, mut frames) = (input, 0);
    while let Some((kind, whole)) = header(rest, rules) {
        if rest.len() < whole {
            assert_eq!((told.refusal, told.rest), (None, rest.len()));
            return frames;
        }
        if !is_sound(&rest[..whole]) {
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

/// 1 if the datagram is one whole frame, else 0.
fn judge_datagram(input: &[u8], rules: &Rules, told: &Told) -> usize {
    let good = header(input, rules).filter(|(_, whole)| *whole == input.len() && is_sound(input));
    let Some((kind, _)) = good else { return 0 };
    assert!(kind < 256 || told.refusal.is_none(), "a good datagram was refused");
    told.frames.len()
}

/// The type and the bytes of a frame whose header is good.
fn header(bytes: &[u8], rules: &Rules) -> Option<(usize, usize)> {
    if bytes.len() < 16 {
        return None;
    }
    let number = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().expect("4 bytes")) as usize;
    let (kind, length, flags) = (number(4) >> 16, number(8), bytes[3]);
    let longest = match kind {
        2 | 3 => 64,
        1 | 4..=6 => 1024,
        256 | 0x8000.. => rules.payload_bytes_max as usize,
        _ => return None,
    };
    let flags_end = if rules.over == Over::Stream { 4 } else { 16 };
    let good = bytes[..3] == *b"RM\x01" && flags < flags_end && bytes[6..8] == [0, 0] && length <= longest;
    good.then_some((kind, 16 + length + if flags & 1 == 1 { 4 } else { 0 }))
}

/// Whether the sum behind a whole frame is right, if there is one.
fn is_sound(frame: &[u8]) -> bool {
    let (bytes, sum) = frame.split_at(frame.len() - 4);
    frame[3] & 1 == 0 || crc(&bytes[4..]) == sum
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
        assert!(before != State::Closed || answer == Answer::Nothing);
    }
}

/// Both halves of one end, with a window of frames on their way, told of whatever came.
struct Ends {
    sender: Sender<u32>,
    receiver: Receiver<u32>,
    delivered: BTreeSet<u32>,
    loose: BTreeSet<u32>,
    now_ms: u64,
}

impl Ends {
    fn new() -> Ends {
        let mut sender = Sender::new(0);
        (0..WINDOW).for_each(|seq| sender.sent(seq, seq, 1, 0));
        let receiver = Receiver::new(0);
        Ends { sender, receiver, delivered: BTreeSet::new(), loose: BTreeSet::new(), now_ms: 0 }
    }

    fn hear(&mut self, datagram: &[u8], rules: &Rules) {
        let (header, payload) = proto::frame::datagram(datagram, rules).expect("it was good before");
        self.now_ms += 100;
        let (flying, floor) = (self.sender.flying(), self.receiver.floor());
        match header.kind {
            Kind::Ack => {
                let ack = read::<Ack>(payload).expect("it was good before");
                if let Some(new) = self.sender.acknowledged(header.seq, ack, self.now_ms, |_| {}) {
                    assert_eq!(flying, self.sender.flying() + new);
                }
            }
            Kind::Pong => _ = self.sender.confirmed(header.seq),
            Kind::Ping => {
                let delivered = &self.delivered;
                let lost = |seq| assert!(!delivered.contains(&seq), "{seq} came, and is told as lost");
                _ = self.receiver.settle(header.seq, lost);
            }
            Kind::Data | Kind::Application(_) if header.flags.has(Flags::ACK_WANTED) => {
                let ordered = header.flags.has(Flags::ORDERED);
                if self.receiver.take(header.seq, ordered, || Some(header.seq)) == Taken::Now {
                    assert!(self.delivered.insert(header.seq), "{} is delivered twice", header.seq);
                }
            }
            Kind::Data | Kind::Application(_) => {
                if self.receiver.take_loose(header.seq) {
                    assert!(self.loose.insert(header.seq), "{} is delivered twice", header.seq);
                }
            }
            Kind::Hello | Kind::Error | Kind::Goaway => {}
        }
        while let Some((seq, kept)) = self.receiver.pop() {
            assert!(seq == kept && self.delivered.insert(seq), "{seq} is delivered twice");
        }
        assert!(self.sender.flying() <= flying && self.sender.bytes() == self.sender.flying() as usize);
        assert!(self.receiver.floor().wrapping_sub(floor) <= WINDOW, "the floor only rises");
    }
}

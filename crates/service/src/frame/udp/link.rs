//! A conversation over datagrams that both sides have agreed to: the windows, what is kept for them, and the heartbeat.
//!
//! The same for a server and a client. No clock and no socket: frames go to whoever is given as `wire`.

use bytes::{BufMut, Bytes, BytesMut};
use proto::frame::heartbeat::{Beat, Look};
use proto::frame::udp::{Due, Receiver, Sender, Taken};
use proto::frame::{Ack, Flags, HEADER_BYTES, Header, Heard, Kind, Message, Pace, sum, write};

/// Most bytes that are kept for one peer: frames that are not acknowledged, and frames that wait for their order.
pub const KEPT_BYTES_MAX: usize = 256 << 10;

/// One conversation.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) sender: Sender<Bytes>,
    pub(super) receiver: Receiver<(Header, Bytes)>,
    pub(super) heard: Heard,
    pub(super) pace: Pace,
    /// When the heartbeat looks next.
    beat_ms: u64,
    held_bytes: usize,
    press: Press,
}

/// What a look at a conversation did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Looked {
    pub(super) retransmitted: u64,
    pub(super) given_up: u64,
    pub(super) pings: u64,
    pub(super) postponed: u64,
    /// The peer is dead.
    pub(super) dead: bool,
}

/// What a look knows of itself.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// The time, in milliseconds of whatever clock.
    pub now_ms: u64,
    /// How much later than it was wished for this look comes.
    pub late_ms: u64,
    /// There may be datagrams that nobody has looked at.
    pub behind: bool,
    /// Any number, equally likely.
    pub random: u64,
}

impl Link {
    /// `hello` is the number of the client's HELLO: frames are numbered from the next on, both ways.
    pub(super) fn new(hello: u32, pace: Pace, now_ms: u64, random: u64) -> Link {
        let first = hello.wrapping_add(1);
        Link {
            sender: Sender::new(first),
            receiver: Receiver::new(first),
            heard: Heard::at(now_ms),
            pace,
            beat_ms: now_ms + u64::from(pace.beat_ms(random)),
            held_bytes: 0,
            press: Press::default(),
        }
    }

    /// Bytes that are kept.
    pub(super) const fn kept(&self) -> usize {
        self.sender.bytes() + self.held_bytes
    }

    /// Whether a frame of so many bytes of payload may be sent with this number, which the peer will have to acknowledge.
    pub(super) fn has_room(&self, seq: u32, bytes: usize) -> bool {
        self.sender.has_room(seq) && self.kept() + bytes <= KEPT_BYTES_MAX
    }

    /// Sends a frame until it is acknowledged.
    pub(super) fn send(
        &mut self,
        header: &Header,
        payload: &[u8],
        now_ms: u64,
        wire: &mut impl FnMut(Bytes),
    ) {
        let frame = self.press.frame(header, payload);
        self.sender.sent(header.seq, frame.clone(), frame.len(), now_ms);
        wire(frame);
    }

    /// Takes a frame that wants an ACK; see [`Receiver::take`].
    pub(super) fn take(&mut self, header: &Header, payload: &[u8]) -> Taken {
        let fits = self.kept() + payload.len() <= KEPT_BYTES_MAX;
        let Link { receiver, press, .. } = self;
        let keep = || fits.then(|| (*header, press.keep(payload)));
        let taken = receiver.take(header.seq, header.flags.has(Flags::ORDERED), keep);
        if taken == Taken::Held {
            self.held_bytes += payload.len();
        }
        taken
    }

    /// The next frame that waited and need not any more.
    pub(super) fn pop(&mut self) -> Option<(Header, Bytes)> {
        let (_, (header, payload)) = self.receiver.pop()?;
        self.held_bytes -= payload.len();
        Some((header, payload))
    }

    /// An ACK came. `None` when it is about a number that was never sent.
    pub(super) fn acknowledged(&mut self, seq: u32, ack: Ack, now_ms: u64) -> Option<u32> {
        self.sender.acknowledged(seq, ack, now_ms)
    }

    /// When something is to be done next, in milliseconds.
    pub(super) fn due_ms(&self) -> u64 {
        self.sender.due_ms().map_or(self.beat_ms, |due| due.min(self.beat_ms))
    }

    /// Does what is due. `lost` is told of each frame that is given up.
    pub(super) fn look(
        &mut self,
        moment: Moment,
        scratch: &mut Press,
        wire: &mut impl FnMut(Bytes),
        mut lost: impl FnMut(u32),
    ) -> Looked {
        let Moment { now_ms, late_ms, .. } = moment;
        let mut looked = Looked::default();
        if self.beat_ms <= now_ms {
            self.beat(moment, scratch, wire, &mut looked);
            if looked.dead {
                return looked;
            }
        }
        let (mut at, late) = (0, late_ms > u64::from(proto::frame::heartbeat::LATE_MS));
        let Link { sender, press, .. } = self;
        while let Some(due) = sender.due(&mut at, now_ms, late) {
            match due {
                Due::Again(_, frame) => {
                    looked.retransmitted += 1;
                    if !Flags(frame[FLAGS_AT]).has(Flags::RETRANSMISSION) {
                        *frame = press.marked(frame);
                    }
                    wire(frame.clone());
                }
                Due::Lost(seq, _) => {
                    looked.given_up += 1;
                    lost(seq);
                }
                Due::Ask(floor) => {
                    looked.pings += 1;
                    wire(scratch.frame(&Header::new(Kind::Ping, 0, floor), &[]));
                }
            }
        }
        looked
    }

    fn beat(
        &mut self,
        moment: Moment,
        scratch: &mut Press,
        wire: &mut impl FnMut(Bytes),
        looked: &mut Looked,
    ) {
        let Moment { now_ms, late_ms, behind, random } = moment;
        let next = match self.heard.look(self.pace, Look { now_ms, late_ms, behind }, random) {
            Beat::Wait(ms) => ms,
            Beat::Postpone(ms) => {
                looked.postponed += 1;
                ms
            }
            Beat::Ping(ms) => {
                looked.pings += 1;
                // With a stamp it is long enough for a server that does not know us any more to say so.
                let stamp = proto::frame::Ping { stamp: now_ms };
                wire(scratch.message(Kind::Ping, self.sender.floor(), &stamp));
                ms
            }
            Beat::Dead => {
                looked.dead = true;
                return;
            }
        };
        self.beat_ms = now_ms + u64::from(next);
    }
}

/// Frames are written here, many to a piece of memory, which is used again when none of them is needed any more.
#[derive(Debug, Default)]
pub(super) struct Press(BytesMut);

impl Press {
    /// A frame with its payload, and its sum if the flag is set.
    pub(super) fn frame(&mut self, header: &Header, payload: &[u8]) -> Bytes {
        self.reserve(header.frame_bytes());
        self.0.put_slice(&header.to_bytes());
        self.0.put_slice(payload);
        if header.flags.has(Flags::CRC) {
            self.0.put_slice(&sum(header, payload));
        }
        self.0.split().freeze()
    }

    /// A control frame.
    pub(super) fn message(&mut self, kind: Kind, seq: u32, message: &impl Message) -> Bytes {
        let mut frame = Vec::with_capacity(MESSAGE_BYTES);
        write(&mut frame, kind, Flags::NONE, seq, message);
        self.keep(&frame)
    }

    /// The ACK of a frame: what is said most, and needs no allocation.
    pub(super) fn ack(&mut self, seq: u32, ack: Ack) -> Bytes {
        let length = ack.encoded_len();
        self.reserve(HEADER_BYTES + length);
        self.0.put_slice(&Header::new(Kind::Ack, length as u32, seq).to_bytes());
        ack.encode_raw(&mut self.0);
        self.0.split().freeze()
    }

    fn keep(&mut self, bytes: &[u8]) -> Bytes {
        self.reserve(bytes.len());
        self.0.put_slice(bytes);
        self.0.split().freeze()
    }

    /// The same frame as one that was sent before. The sum does not cover flags.
    fn marked(&mut self, frame: &[u8]) -> Bytes {
        self.reserve(frame.len());
        self.0.put_slice(frame);
        self.0[FLAGS_AT] |= Flags::RETRANSMISSION.0;
        self.0.split().freeze()
    }

    /// A new piece only when the old one is full.
    fn reserve(&mut self, bytes: usize) {
        if self.0.capacity() < bytes {
            self.0.reserve(bytes.max(PIECE_BYTES));
        }
    }
}

const FLAGS_AT: usize = 3;
/// Longest control frame that is said, as a first guess.
const MESSAGE_BYTES: usize = 128;
/// An idle peer keeps none: a piece is taken with the first frame.
const PIECE_BYTES: usize = 4 << 10;

//! A conversation over datagrams that both sides have agreed to: the windows, what is kept for them, and the heartbeat.
//!
//! The same for a server and a client. No clock and no socket: frames go to whoever is given as `wire`.

use super::press::{Press, piece_bytes};
use bytes::Bytes;
use proto::frame::heartbeat::{Beat, LATE_MS, Look};
use proto::frame::udp::{Due, Receiver, Sender, Taken};
use proto::frame::{Ack, Flags, Header, Heard, Kind, Pace};

/// Most bytes that are kept for one peer: frames that are not acknowledged, frames that wait for their order (half of it at most), and
/// the tables of both.
pub const KEPT_BYTES_MAX: usize = 256 << 10;

/// How long a number may be missing while higher ones wait for it, in milliseconds: about twice what all tries of a frame take. Who
/// waits longer waits for a sender that does not keep to the protocol.
pub const ORDER_MS: u64 = 60_000;

/// How long a peer is believed to be where it has shown to be, in milliseconds. It is then asked for what only its address can know, and
/// has as long again for the answer, or its patience if that is longer.
pub const PROOF_MS: u64 = 60_000;

/// How often it is asked for then.
const PROOF_BEAT_MS: u32 = 5_000;

/// One conversation.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) sender: Sender<Bytes>,
    pub(super) receiver: Receiver<Bytes>,
    pub(super) heard: Heard,
    pub(super) pace: Pace,
    /// When the heartbeat looks next.
    beat_ms: u64,
    /// Of the frames that wait for their order.
    held_bytes: usize,
    /// A number that waited at this time, and all below it were sent before. See [`Link::watch`].
    waits: Option<(u32, u64)>,
    /// What the next PONG has to bring to show that its sender still has the address, and since when that is so. A client does not ask.
    proof: Option<(u64, u64)>,
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
    /// A gap in what was to come in order is open for too long.
    pub(super) gap: bool,
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
    /// Frames are numbered from `first` on, both ways.
    pub(super) fn new(first: u32, pace: Pace, now_ms: u64, random: u64) -> Link {
        Link {
            sender: Sender::new(first),
            receiver: Receiver::new(first),
            heard: Heard::at(now_ms),
            pace,
            beat_ms: now_ms + u64::from(pace.beat_ms(random)),
            held_bytes: 0,
            waits: None,
            proof: None,
        }
    }

    /// The peer has shown that its address is its own; the next PONG that does so brings `stamp`.
    pub(super) fn proven(&mut self, stamp: u64, now_ms: u64) {
        self.proof = Some((stamp, now_ms));
    }

    /// Whether this stamp shows it.
    pub(super) fn is_proof(&self, stamp: u64) -> bool {
        self.proof.is_some_and(|(asked, _)| asked == stamp)
    }

    /// Bytes that are kept.
    pub(super) fn kept(&self) -> usize {
        self.sender.bytes() + self.held_bytes + self.sender.table_bytes() + self.receiver.table_bytes()
    }

    /// What would be kept for a frame of so many bytes that the peer has to acknowledge, sent with this number now, or when it has
    /// waited for its order. `None` when there is no room for it in the window, or within [`KEPT_BYTES_MAX`].
    pub(super) fn need(&self, seq: u32, frame_bytes: usize, waits: bool) -> Option<usize> {
        if !self.sender.has_room(seq) {
            return None;
        }
        let table = if waits { self.receiver.growth_bytes() } else { 0 };
        let need = piece_bytes(frame_bytes) + self.sender.growth_bytes(seq) + table;
        // So what all that waits waits for finds room.
        let most = if waits { KEPT_BYTES_MAX / 2 } else { KEPT_BYTES_MAX };
        (self.kept() + need <= most).then_some(need)
    }

    /// Whether there is room for a frame of so many bytes to wait for its order.
    pub(super) fn may_hold(&self, frame_bytes: usize) -> bool {
        self.kept() + piece_bytes(frame_bytes) + self.receiver.growth_bytes() <= KEPT_BYTES_MAX
    }

    /// Sends a frame that the press keeps until it is acknowledged.
    pub(super) fn send(&mut self, seq: u32, frame: Bytes, now_ms: u64, wire: &mut impl FnMut(Bytes)) {
        self.sender.sent(seq, frame.clone(), piece_bytes(frame.len()), now_ms);
        wire(frame);
    }

    /// Takes a frame that wants an ACK; see [`Receiver::take`]. One that waits for its order is kept as `header` says.
    pub(super) fn take(&mut self, header: &Header, payload: &[u8], press: &mut Press) -> Taken {
        let keep = || Some(press.keep(header, payload));
        let taken = self.receiver.take(header.seq, header.flags.has(Flags::ORDERED), keep);
        if taken == Taken::Held {
            self.held_bytes += piece_bytes(header.frame_bytes());
        }
        taken
    }

    /// The next frame that waited and need not any more, with its number.
    pub(super) fn pop(&mut self) -> Option<(u32, Bytes)> {
        let (seq, frame) = self.receiver.pop()?;
        self.held_bytes -= piece_bytes(frame.len());
        Some((seq, frame))
    }

    /// Takes note of what waits for its order. A sender gives a number up within 32 s after it sent it, and says so: all
    /// that is below one that waits is settled in that time, whatever was sent since. So a frame waits for twice [`ORDER_MS`] at most,
    /// if its peer leaves numbers out.
    pub(super) fn watch(&mut self, now_ms: u64) {
        let floor = self.receiver.floor();
        let below = |seq: u32| (seq.wrapping_sub(floor) as i32) < 0;
        self.waits = match (self.receiver.waits(), self.waits) {
            (Some(top), None) => Some((top, now_ms)),
            (Some(top), Some((seq, _))) if below(seq) => Some((top, now_ms)),
            (Some(_), waits) => waits,
            (None, _) => None,
        };
    }

    /// An ACK came. `None` when it is about a number that was never sent.
    pub(super) fn acknowledged(&mut self, seq: u32, ack: Ack, now_ms: u64, press: &mut Press) -> Option<u32> {
        self.sender.acknowledged(seq, ack, now_ms, |piece| press.give_back(piece))
    }

    /// When something is to be done next, in milliseconds.
    pub(super) fn due_ms(&self) -> u64 {
        let waits = self.waits.map(|(_, since)| since + ORDER_MS);
        [self.sender.due_ms(), waits].into_iter().flatten().fold(self.beat_ms, u64::min)
    }

    /// Does what is due. `lost` is told of each frame that is given up.
    pub(super) fn look(
        &mut self,
        moment: Moment,
        press: &mut Press,
        wire: &mut impl FnMut(Bytes),
        mut lost: impl FnMut(u32),
    ) -> Looked {
        let Moment { now_ms, late_ms, .. } = moment;
        let mut looked = Looked::default();
        if self.beat_ms <= now_ms {
            self.beat(moment, press, wire, &mut looked);
            if looked.dead {
                return looked;
            }
        }
        let late = late_ms > u64::from(LATE_MS);
        if let Some((_, since)) = &mut self.waits {
            // Time in which nobody listened is not the peer's.
            *since = (*since + if late { late_ms } else { 0 }).min(now_ms);
            let quiet_ms = now_ms - *since;
            // What is missing may lie there unread.
            looked.gap = quiet_ms >= if moment.behind { 2 * ORDER_MS } else { ORDER_MS };
        }
        let mut at = 0;
        while let Some(due) = self.sender.due(&mut at, now_ms, late) {
            match due {
                Due::Again(_, frame) => {
                    looked.retransmitted += 1;
                    press.mark(frame);
                    wire(frame.clone());
                }
                Due::Lost(seq, piece) => {
                    press.give_back(piece);
                    looked.given_up += 1;
                    lost(seq);
                }
                Due::Ask(floor) => {
                    looked.pings += 1;
                    wire(press.frame(&Header::new(Kind::Ping, 0, floor), &[]));
                }
            }
        }
        looked
    }

    fn beat(&mut self, moment: Moment, press: &mut Press, wire: &mut impl FnMut(Bytes), looked: &mut Looked) {
        let Moment { now_ms, late_ms, behind, random } = moment;
        // Nothing is on its way: a table that was large once is no longer paid for.
        if self.receiver.waits().is_none() {
            self.sender.rest();
            self.receiver.rest();
        }
        let (stamp, unproven_ms) = match &mut self.proof {
            None => (now_ms, 0),
            Some((stamp, since)) => {
                *since = (*since + if late_ms > u64::from(LATE_MS) { late_ms } else { 0 }).min(now_ms);
                (*stamp, now_ms - *since)
            }
        };
        let patience_ms = u64::from(self.pace.patience_ms());
        let proof_ms = PROOF_MS + patience_ms.max(PROOF_MS);
        // The proof may lie there unread.
        let over = unproven_ms >= if behind { proof_ms + PROOF_MS } else { proof_ms };
        let mut next = match self.heard.look(self.pace, Look { now_ms, late_ms, behind }, random) {
            _ if over => {
                looked.dead = true;
                return;
            }
            // It is heard, but that may be somebody else: whoever saw its numbers can say anything but this.
            Beat::Wait(ms) if unproven_ms >= PROOF_MS => {
                self.ping(stamp, press, wire, looked);
                ms
            }
            Beat::Wait(ms) => ms,
            Beat::Postpone(ms) => {
                looked.postponed += 1;
                ms
            }
            Beat::Ping(ms) => {
                self.ping(stamp, press, wire, looked);
                ms
            }
            Beat::Dead => {
                looked.dead = true;
                return;
            }
        };
        if unproven_ms >= PROOF_MS {
            // Many tries until then, however long the interval is, and the last look in time.
            let left = u32::try_from(proof_ms.saturating_sub(unproven_ms)).unwrap_or(u32::MAX).max(1);
            next = next.min(PROOF_BEAT_MS).min(left);
        }
        self.beat_ms = now_ms + u64::from(next);
    }

    /// With a stamp it is long enough for a server that does not know us any more to say so.
    fn ping(&self, stamp: u64, press: &mut Press, wire: &mut impl FnMut(Bytes), looked: &mut Looked) {
        looked.pings += 1;
        wire(press.message(Kind::Ping, self.sender.floor(), &proto::frame::Ping { stamp }));
    }
}

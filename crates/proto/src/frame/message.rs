//! The payloads of control frames, and how both sides agree on what they say in HELLO.
//!
//! The structs stand beside `frame.proto` and are tested against it and the golden vectors. Their fields have proto3's defaults:
//! what was not sent is 0, empty, or for the reader to decide.

use super::header::{Flags, Header, Rules, VERSION};
use super::heartbeat;
use super::kind::Kind;
use super::limits::{CLIENT_ID_BYTES_MAX, FRAME_BYTES_MAX};
use super::refusal::Refusal;
use prost::Message;

/// HELLO: the first frame of each side. The client says what it can and wants, the server what holds.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Hello {
    /// The versions that the sender speaks. In the server's: the one that holds.
    #[prost(uint32, repeated, tag = "1")]
    pub versions: Vec<u32>,
    /// The heartbeat's interval in milliseconds. 0 leaves it to the server.
    #[prost(uint32, tag = "2")]
    pub heartbeat_ms: u32,
    /// After how many silent intervals a side is dead. 0 leaves it to the server.
    #[prost(uint32, tag = "3")]
    pub misses: u32,
    /// The longest payload that the sender takes, in bytes. 0 is [`FRAME_BYTES_MAX`].
    #[prost(uint32, tag = "4")]
    pub payload_bytes_max: u32,
    /// Who the client is, in its own words: at most [`CLIENT_ID_BYTES_MAX`] bytes.
    #[prost(bytes = "vec", tag = "5")]
    pub client_id: Vec<u8>,
    /// Over datagrams: what the server gave to prove that the client's address is its own.
    #[prost(bytes = "vec", tag = "6")]
    pub cookie: Vec<u8>,
    /// Over datagrams, in the server's: the number of the first frame of either side. The server draws it anew for each conversation, so
    /// that nothing which was sent in another one fits into this.
    #[prost(uint32, tag = "7")]
    pub first: u32,
}

/// PING and PONG: whatever the asker wants back. Both may be empty.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct Ping {
    /// Any number, for example when it was sent.
    #[prost(fixed64, tag = "1")]
    pub stamp: u64,
}

/// ACK: the frame whose number is in the header arrived whole.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct Ack {
    /// Over datagrams: which of the 64 numbers before it arrived too; bit n stands for `seq - 1 - n`.
    #[prost(fixed64, tag = "1")]
    pub before: u64,
    /// Over datagrams: all numbers below this came, or were given up by their sender. 0 says nothing.
    #[prost(uint32, tag = "2")]
    pub floor: u32,
}

/// ERROR: why the sender closes.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Error {
    /// See [`Refusal::number`].
    #[prost(uint32, tag = "1")]
    pub code: u32,
    /// The same for people.
    #[prost(string, tag = "2")]
    pub text: String,
}

/// GOAWAY: the sender begins nothing new, and takes nothing new after `deadline_ms`.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Goaway {
    /// How long the sender will stay for what was begun, in milliseconds.
    #[prost(uint32, tag = "1")]
    pub deadline_ms: u32,
    /// Why, for people.
    #[prost(string, tag = "2")]
    pub text: String,
}

/// What a server holds its clients to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offer {
    /// The heartbeat's interval for clients that name none, in milliseconds; brought into
    /// [`heartbeat::INTERVAL_MS_MIN`]`..=`[`heartbeat::INTERVAL_MS_MAX`].
    pub heartbeat_ms: u32,
    /// After how many silent intervals a peer is dead, for clients that name none.
    pub misses: u32,
    /// The longest payload that the server takes, in bytes.
    pub payload_bytes_max: u32,
}

impl Default for Offer {
    fn default() -> Offer {
        Offer {
            heartbeat_ms: heartbeat::INTERVAL_MS,
            misses: heartbeat::MISSES,
            payload_bytes_max: FRAME_BYTES_MAX,
        }
    }
}

/// What holds for both sides after HELLO went both ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Agreed {
    /// When to ask and when to give up.
    pub pace: heartbeat::Pace,
    /// The longest payload in bytes, in both directions.
    pub payload_bytes_max: u32,
}

impl Hello {
    /// A HELLO that speaks the version that this crate speaks, and leaves the rest to the server.
    #[must_use]
    pub fn new() -> Hello {
        Hello { versions: vec![VERSION.into()], ..Hello::default() }
    }

    /// What a server makes of a client's HELLO. Errors: [`Refusal::NoVersion`]; [`Refusal::Malformed`] for a client id that is
    /// too long.
    pub fn agree(&self, offer: &Offer) -> Result<Agreed, Refusal> {
        self.check()?;
        let wish = |wished: u32, otherwise: u32| if wished == 0 { otherwise } else { wished };
        Ok(Agreed {
            pace: heartbeat::Pace::new(
                wish(self.heartbeat_ms, offer.heartbeat_ms),
                wish(self.misses, offer.misses),
            ),
            payload_bytes_max: wish(self.payload_bytes_max, FRAME_BYTES_MAX).min(offer.payload_bytes_max),
        })
    }

    /// The same over datagrams: a payload fits one ([`Rules::DATAGRAM`]), and the pace is [`heartbeat::Pace::over_datagrams`].
    pub fn agree_datagram(&self, offer: &Offer) -> Result<Agreed, Refusal> {
        let Agreed { pace, payload_bytes_max } = self.agree(offer)?;
        let most = Rules::DATAGRAM.payload_bytes_max;
        Ok(Agreed { pace: pace.over_datagrams(), payload_bytes_max: payload_bytes_max.min(most) })
    }

    /// What a client makes of the server's answer. Errors: as for [`agree`](Self::agree).
    pub fn settled(&self) -> Result<Agreed, Refusal> {
        self.agree(&Offer::default())
    }

    /// The server's answer.
    #[must_use]
    pub fn answer(agreed: &Agreed) -> Hello {
        Hello {
            heartbeat_ms: agreed.pace.interval_ms(),
            misses: agreed.pace.misses(),
            payload_bytes_max: agreed.payload_bytes_max,
            ..Hello::new()
        }
    }

    fn check(&self) -> Result<(), Refusal> {
        if !self.versions.contains(&VERSION.into()) {
            return Err(Refusal::NoVersion);
        }
        if self.client_id.len() > CLIENT_ID_BYTES_MAX { Err(Refusal::Malformed) } else { Ok(()) }
    }
}

/// Reads the payload of a control frame. Errors: [`Refusal::Malformed`].
pub fn read<M: Message + Default>(payload: &[u8]) -> Result<M, Refusal> {
    M::decode(payload).map_err(|_| Refusal::Malformed)
}

/// Writes a control frame behind what is in `out`.
pub fn write(out: &mut Vec<u8>, kind: Kind, flags: Flags, seq: u32, message: &impl Message) {
    let length = message.encoded_len() as u32;
    debug_assert!(kind.control_bytes_max().is_some_and(|most| length <= most), "{} of {length}", kind.name());
    let header = Header::new(kind, length, seq).with(flags);
    out.extend_from_slice(&header.to_bytes());
    let payload = out.len();
    message.encode_raw(out);
    if flags.has(Flags::CRC) {
        let sum = super::sum(&header, &out[payload..]);
        out.extend_from_slice(&sum);
    }
}

/// Writes the ERROR that says why a frame was refused. `seq` is the number of that frame, 0 when it is not known.
pub fn write_error(out: &mut Vec<u8>, seq: u32, refusal: Refusal) {
    let error = Error { code: refusal.number(), text: refusal.reason().to_owned() };
    write(out, Kind::Error, Flags::NONE, seq, &error);
}

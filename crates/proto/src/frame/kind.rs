//! What a frame is: the type of its header.

use super::limits::{CONTROL_BYTES_MAX, PING_BYTES_MAX};

/// The type of a frame. 1 to 255 are control frames, 256 is DATA, [`Kind::APPLICATION_MIN`] and above are the application's;
/// all others are unknown, and refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The first frame of each side: what it speaks and wants. See [`Hello`](super::Hello).
    Hello,
    /// Is anybody there? Its payload comes back in a PONG. See [`Ping`](super::Ping).
    Ping,
    /// The answer to a PING: its sequence number and its payload.
    Pong,
    /// The frame with this sequence number was taken whole. See [`Ack`](super::Ack).
    Ack,
    /// Why the sender closes. Never answered. See [`Error`](super::Error).
    Error,
    /// Nothing new after this; what was begun is finished. See [`Goaway`](super::Goaway).
    Goaway,
    /// Opaque bytes. A Ringmill server sends them back.
    Data,
    /// Opaque bytes of a type that the application gave a meaning, at least [`Kind::APPLICATION_MIN`].
    Application(u16),
}

impl Kind {
    /// The first type of the application's range, which goes up to 65535.
    pub const APPLICATION_MIN: u16 = 0x8000;

    /// The type as it stands in a header.
    #[must_use]
    pub const fn number(self) -> u16 {
        match self {
            Kind::Hello => 1,
            Kind::Ping => 2,
            Kind::Pong => 3,
            Kind::Ack => 4,
            Kind::Error => 5,
            Kind::Goaway => 6,
            Kind::Data => 256,
            Kind::Application(number) => number,
        }
    }

    /// The kind of a header's type; `None` when it is unknown.
    #[must_use]
    pub const fn from_number(number: u16) -> Option<Kind> {
        Some(match number {
            1 => Kind::Hello,
            2 => Kind::Ping,
            3 => Kind::Pong,
            4 => Kind::Ack,
            5 => Kind::Error,
            6 => Kind::Goaway,
            256 => Kind::Data,
            Kind::APPLICATION_MIN.. => Kind::Application(number),
            _ => return None,
        })
    }

    /// Whether its payload is a message of this protocol, and short; that of the others is opaque.
    #[must_use]
    pub const fn is_control(self) -> bool {
        !matches!(self, Kind::Data | Kind::Application(_))
    }

    /// The longest payload in bytes that a control frame of this kind may have; `None` for the others.
    #[must_use]
    pub const fn control_bytes_max(self) -> Option<u32> {
        match self {
            Kind::Ping | Kind::Pong => Some(PING_BYTES_MAX),
            Kind::Hello | Kind::Ack | Kind::Error | Kind::Goaway => Some(CONTROL_BYTES_MAX),
            Kind::Data | Kind::Application(_) => None,
        }
    }

    /// Its name in documents and messages: `HELLO`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Hello => "HELLO",
            Kind::Ping => "PING",
            Kind::Pong => "PONG",
            Kind::Ack => "ACK",
            Kind::Error => "ERROR",
            Kind::Goaway => "GOAWAY",
            Kind::Data => "DATA",
            Kind::Application(_) => "APPLICATION",
        }
    }
}

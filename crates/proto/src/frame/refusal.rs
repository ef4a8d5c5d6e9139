//! Why a frame is refused: one row for each rule, with the code of its ERROR and a word that stays the same for metrics.
//!
//! After any of these a stream says ERROR once and closes: where the next frame would begin is not known. A datagram that is
//! refused is dropped; it ends nothing.

use core::fmt;

/// Makes the enum, its list and its table out of one row for each refusal.
macro_rules! refusals {
    ($($(#[$doc:meta])+ $name:ident: $number:literal, $code:literal, $reason:literal;)+) => {
        /// A frame that will not be taken.
        ///
        /// `Display` says it to a person, [`code`](Self::code) to a metric, [`number`](Self::number) to the peer.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum Refusal {
            $($(#[$doc])+ $name = $number,)+
        }

        impl Refusal {
            /// Every refusal, in the order of the numbers: for metrics that list all labels, and for tests.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            const fn row(self) -> (&'static str, &'static str) {
                match self {
                    $(Self::$name => ($code, $reason),)+
                }
            }
        }
    };
}

refusals! {
    /// The first two bytes are not `RM`. TLS or HTTP on the plain port ends here.
    Magic: 1, "bad-magic", "a frame does not begin with RM";
    /// The version of the header is not one that is spoken here.
    Version: 2, "version-unknown", "a frame of a version that is not spoken here";
    /// A flag that is unknown, or that means nothing over this transport.
    Flag: 3, "flag-unknown", "a flag that has no meaning here";
    /// A type that nobody has given a meaning.
    Type: 4, "type-unknown", "a frame of an unknown type";
    /// The reserved bytes of the header are not 0.
    Reserved: 5, "reserved-set", "the reserved bytes are not 0";
    /// The payload is longer than [`Rules::payload_bytes_max`](super::Rules::payload_bytes_max), or than its type allows.
    TooLong: 6, "too-long", "the payload is too long";
    /// The sum at the end of the frame is not that of what came.
    Crc: 7, "bad-crc", "the checksum does not match";
    /// The payload of a control frame is not the message that it should be.
    Malformed: 8, "malformed", "a control frame that is not the message of its type";
    /// Something other than HELLO came first.
    HelloExpected: 9, "hello-expected", "the first frame is not HELLO";
    /// A second HELLO.
    HelloRepeated: 10, "hello-repeated", "a second HELLO";
    /// No version that both sides speak.
    NoVersion: 11, "no-common-version", "no version that both sides speak";
    /// The peer's HELLO did not arrive whole in its time. Set by whoever keeps the time, never by this crate.
    HelloLate: 12, "hello-late", "HELLO did not arrive in time";
    /// The datagram is not one whole frame.
    Length: 13, "length-mismatch", "the datagram is not one whole frame";
    /// The cookie of a HELLO is not the one that was given (datagrams).
    Cookie: 14, "bad-cookie", "the cookie is not valid";
    /// The peer was silent for as long as both sides had agreed on. Set by whoever keeps the time, never by this crate.
    Silent: 15, "silent", "nothing was heard for the agreed number of heartbeats";
    /// There is no room for what was asked. Set by the service, never by this crate.
    Busy: 16, "busy", "there is no room";
    /// Frames waited for their order for too long: a lower number never came (datagrams). Set by whoever keeps the time.
    OrderLate: 17, "order-late", "frames waited for their order for too long";
}

impl Refusal {
    /// The code of the ERROR that the peer is told.
    #[must_use]
    pub const fn number(self) -> u32 {
        self as u32
    }

    /// The refusal of an ERROR's code; `None` for one that is unknown.
    #[must_use]
    pub fn from_number(number: u32) -> Option<Refusal> {
        Refusal::ALL.iter().copied().find(|refusal| refusal.number() == number)
    }

    /// A short name that never changes, for a metric's label: `bad-crc`.
    #[must_use]
    pub const fn code(self) -> &'static str {
        self.row().0
    }

    /// One sentence for people, without a final stop.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        self.row().1
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.reason())
    }
}

impl core::error::Error for Refusal {}

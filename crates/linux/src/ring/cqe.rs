//! What the kernel says of a submission: its tag, its result, and the memory that comes back with it.
//!
//! Decoded once, here. Nobody above reads a raw flag.

use crate::pool::{Gather, Lease};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;

/// Names what a submission was for. The engine chooses it; the ring hands it back unread.
///
/// ```text
/// 63      56 55          32 31           0
/// [ op tag  ][    slot     ][ generation ]
/// ```
///
/// Every completion is checked against the generation of its slot: it may come long after the slot's owner left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Tag(pub(crate) u64);

/// Marks user data of completions that are not awaited: of a silent submission that failed, and of another ring's message.
pub(super) const UNAWAITED: u64 = 1 << 62;

impl Tag {
    /// Packs a tag. Panics when `slot` has more than 24 bits or `op` more than 6: the others are the ring's own marks.
    pub fn new(op: u8, slot: u32, generation: u32) -> Tag {
        assert!(slot < 1 << 24 && op < 0x40);
        Tag(u64::from(op) << 56 | u64::from(slot) << 32 | u64::from(generation))
    }

    /// What was submitted.
    pub fn op(self) -> u8 {
        (self.0 >> 56) as u8
    }

    /// For whom.
    pub fn slot(self) -> u32 {
        (self.0 >> 32) as u32 & 0xff_ffff
    }

    /// For which owner of that slot.
    pub fn generation(self) -> u32 {
        self.0 as u32
    }
}

/// One completion.
#[derive(Debug)]
pub struct Completion {
    /// The tag of the submission.
    pub tag: Tag,
    /// Bytes, a descriptor, or a negated errno, as the operation has it.
    pub result: i32,
    /// The submission lives on and more completions will come for it (`IORING_CQE_F_MORE`).
    pub more: bool,
    /// A receive left bytes in the socket (`IORING_CQE_F_SOCK_NONEMPTY`; TCP).
    pub left: bool,
    /// What came along.
    pub with: With,
}

/// What came along with a completion.
#[derive(Debug)]
pub enum With {
    /// Nothing.
    Nothing,
    /// The buffers a receive filled stand in [`Ring::pieces`](super::Ring::pieces); `result` bytes in all.
    Buffers,
    /// The chunks of a send, which the kernel has finished with. For a zero-copy send: another lease of them; the kernel
    /// still reads and [`With::Notified`] follows.
    Gather(Box<Gather>),
    /// A datagram.
    Datagram(Received),
    /// The connection that was accepted into a descriptor of the process.
    Descriptor(OwnedFd),
    /// The notification of a zero-copy send: the kernel has let go of the buffer.
    Notified {
        /// It had made a copy after all (`IORING_NOTIF_USAGE_ZC_COPIED`).
        copied: bool,
    },
}

/// One received datagram.
#[derive(Debug)]
pub struct Received {
    /// The payload.
    pub bytes: Lease,
    /// Who sent it.
    pub peer: SocketAddr,
    /// The local address it was sent to, when the socket was asked to tell.
    pub local: Option<IpAddr>,
    /// It did not fit its buffer and was cut (`MSG_TRUNC`).
    pub cut: bool,
}

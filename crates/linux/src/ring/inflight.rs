//! The memory that the kernel may still read or write: kept here from submission to last completion.
//!
//! Entries are boxes, so they do not move when the table grows. A completion names its entry by index and generation; one
//! that does not fit is our mistake and stops the process, since the memory it speaks of would be in doubt.

use crate::net::SockAddr;
use crate::pool::{Chunk, Gather, Lease};

/// What one submission points to.
pub(super) enum Held {
    /// A plain send: the chunks and their vector.
    Send(Box<Gather>),
    /// A zero-copy send. The kernel reads `lease` until the notification; `gather` goes back with the result.
    ZeroCopy {
        gather: Option<Box<Gather>>,
        #[allow(dead_code, reason = "the kernel reads it")]
        lease: Lease,
    },
    /// A datagram with its header.
    Datagram(Box<DatagramOut>),
    /// The address of a connect.
    Address(#[allow(dead_code, reason = "the kernel reads it")] Box<SockAddr>),
    /// The header that names the sizes of a multishot recvmsg.
    Header(#[allow(dead_code, reason = "the kernel reads it")] Box<libc::msghdr>),
    /// Nothing: an accept into descriptors of the process, told by standing here.
    Accept,
    /// Nothing: what makes a direct descriptor on a ring whose slots do not begin at 0.
    Slot,
    /// A buffer that was taken for a receive.
    Room(u16),
    /// The argument of a socket option.
    Linger(#[allow(dead_code, reason = "the kernel reads it")] Box<libc::linger>),
}

/// One outgoing datagram, with all that its msghdr points to.
pub(super) struct DatagramOut {
    pub(super) peer: SockAddr,
    pub(super) control: Option<crate::net::ReplyFrom>,
    pub(super) chunk: Chunk,
    pub(super) vector: libc::iovec,
    pub(super) message: libc::msghdr,
}

/// The table.
#[derive(Default)]
pub(super) struct InFlight {
    entries: Vec<Entry>,
    free: Vec<u32>,
    /// Boxes of datagrams that were sent, for use again.
    #[allow(clippy::vec_box, reason = "the boxes are what is kept")]
    datagrams: Vec<Box<DatagramOut>>,
}

struct Entry {
    generation: u32,
    /// What the submitter calls it.
    tag: u64,
    held: Option<Held>,
}

/// Marks user data that names an entry here instead of being a tag.
const OURS: u64 = 1 << 63;

/// Boxes of datagrams that are kept for use again.
const DATAGRAMS_MAX: usize = 256;

impl InFlight {
    /// A box for a datagram.
    pub(super) fn datagram(&mut self) -> Box<DatagramOut> {
        self.datagrams.pop().unwrap_or_else(|| {
            // SAFETY: an all-zero msghdr is a valid value: null pointers and zero lengths.
            let message = unsafe { std::mem::zeroed() };
            let (peer, chunk) = (SockAddr::empty(), Chunk::Shared(bytes::Bytes::new()));
            let vector = libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 };
            Box::new(DatagramOut { peer, control: None, chunk, vector, message })
        })
    }

    /// Takes the box of a datagram back whose last completion has come.
    pub(super) fn keep_datagram(&mut self, mut datagram: Box<DatagramOut>) {
        datagram.chunk = Chunk::Shared(bytes::Bytes::new());
        if self.datagrams.len() < DATAGRAMS_MAX {
            self.datagrams.push(datagram);
        }
    }

    /// Keeps `held`; returns the user data of its submission.
    pub(super) fn keep(&mut self, tag: u64, held: Held) -> u64 {
        let index = self.free.pop().unwrap_or_else(|| {
            self.entries.push(Entry { generation: 0, tag: 0, held: None });
            self.entries.len() as u32 - 1
        });
        let entry = &mut self.entries[index as usize];
        debug_assert!(entry.held.is_none());
        entry.generation = entry.generation.wrapping_add(1);
        entry.tag = tag;
        entry.held = Some(held);
        OURS | u64::from(index) << 32 | u64::from(entry.generation)
    }

    pub(super) fn is_ours(user_data: u64) -> bool {
        user_data & OURS != 0
    }

    /// The entry that a completion names, and its tag.
    pub(super) fn get(&mut self, user_data: u64) -> (u64, &mut Held) {
        let (index, generation) = Self::split(user_data);
        let entry = &mut self.entries[index as usize];
        assert_eq!(entry.generation, generation, "a completion for memory that was let go before");
        (entry.tag, entry.held.as_mut().expect("a completion after the last one"))
    }

    /// Lets go of the memory: its last completion has come.
    pub(super) fn take(&mut self, user_data: u64) -> (u64, Held) {
        let (index, generation) = Self::split(user_data);
        let entry = &mut self.entries[index as usize];
        assert_eq!(entry.generation, generation, "a completion for memory that was let go before");
        self.free.push(index);
        (entry.tag, entry.held.take().expect("a completion after the last one"))
    }

    /// The user data under which `tag` is in flight, if it is and can still be cancelled: a zero-copy send that only waits for
    /// its notification cannot, and may share its tag with the send after it. Searches, since to cancel is rare.
    pub(super) fn find(&self, tag: u64) -> Option<u64> {
        let waits = |held: &Held| !matches!(held, Held::ZeroCopy { gather: None, .. });
        let index = self.entries.iter().position(|e| e.tag == tag && e.held.as_ref().is_some_and(waits))?;
        Some(OURS | (index as u64) << 32 | u64::from(self.entries[index].generation))
    }

    fn split(user_data: u64) -> (u32, u32) {
        ((user_data >> 32) as u32 & 0x7fff_ffff, user_data as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[should_panic(expected = "let go before")]
    fn a_completion_for_an_entry_used_again_stops_the_process() {
        let mut table = InFlight::default();
        let first = table.keep(7, Held::Send(Gather::new()));
        assert_eq!(table.take(first).0, 7);
        table.keep(8, Held::Send(Gather::new()));
        table.take(first);
    }

    #[test]
    fn a_cancel_finds_the_send_behind_a_zero_copy_send_that_waits_for_its_notification() {
        let pool = crate::Pool::new(crate::pool::Plan { count: 2, bytes: 1024, huge_pages: false }).unwrap();
        let mut table = InFlight::default();
        let lease = pool.fill(b"acknowledged late").unwrap();
        let first = table.keep(7, Held::ZeroCopy { gather: Some(Gather::new()), lease });
        assert_eq!(table.find(7), Some(first));
        if let (_, Held::ZeroCopy { gather, .. }) = table.get(first) {
            *gather = None;
        }
        assert_eq!(table.find(7), None);
        let second = table.keep(7, Held::Send(Gather::new()));
        assert_eq!(table.find(7), Some(second));
    }
}

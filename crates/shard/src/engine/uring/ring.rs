//! The ring as this engine uses it: few enough calls that a fake can keep the kernel's contract and break its luck.

use linux::ring::{Completion, Counts, Op, RingError, Sock, Tag};
use linux::{Chunk, Gather, Pool};
use std::collections::VecDeque;

/// Pieces of deferred work that one enter runs at most (`IO_LOCAL_TW_DEFAULT_MAX`, since Linux 6.14): an enter that brought as
/// many completions may have left some behind, of sockets that have had their bytes for a while.
pub(super) const TASK_WORK_MAX: u32 = 20;

/// What the engine needs of a ring. The rules are those of `linux::ring::Ring`; where it is many, [`Rings`](super::rings::Rings)
/// knows which.
pub(crate) trait Ring {
    fn push(&mut self, op: Op, tag: Tag);
    /// Pushes what is about something in flight of this socket.
    fn push_at(&mut self, at: Sock, op: Op, tag: Tag);
    /// Whether the kernel may have had more than the `taken` completions that the last wait brought.
    fn is_behind(&self, taken: u32) -> bool {
        taken >= TASK_WORK_MAX
    }
    /// Whether this stream is to be polled and fetched from: its ring has no buffers for receives that wait.
    fn only_polls(&self, sock: Sock) -> bool;
    /// Whether a fetch finds a buffer, as far as that is known before.
    fn can_fetch(&self, sock: Sock) -> bool;
    /// The buffers of those that are only polled, where there are such.
    fn fetch_pool(&self) -> Option<&Pool>;
    /// Whether sockets that connect come from the ring's tables instead of the descriptors of the process.
    fn has_sockets(&self) -> bool;
    /// Connections that the table has room for into which this accept brings them; without one, the table with most.
    fn room(&self, accept: Option<Tag>) -> usize;
    fn wait(&mut self, want: u32, deadline_ns: Option<u64>) -> Result<(), RingError>;
    /// Submits at once what completes at once, where that costs no more than later. Says whether completions came of it.
    fn hasten(&mut self) -> bool {
        false
    }
    fn next(&mut self) -> Option<Completion>;
    /// The tag of the completion after that, as far as it is known.
    fn ahead(&self) -> Option<Tag> {
        None
    }
    fn has_next(&self) -> bool;
    fn has_unsubmitted(&self) -> bool;
    fn pieces(&mut self) -> &mut VecDeque<Chunk>;
    fn pool(&self) -> &Pool;
    fn counts(&self) -> Counts;
    fn work_waits(&mut self) -> bool;
    fn can_send_zero_copy(&self, gather: &Gather) -> bool;
}

//! How far the kernel has come in each buffer that it fills bit by bit (`IOU_PBUF_RING_INC`).
//!
//! Arithmetic alone, on the lengths that completions report, in their order: a buffer is done when its last byte was
//! reported, and the kernel's until then. It never looks at `IORING_CQE_F_BUF_MORE`, which says the same where it is right: it
//! is missing from a completion that brought nothing (liburing issue 1545), and that of a bundle may be of an earlier buffer
//! (mended in 2026). Datagrams do not come here: a kernel gives up a buffer whose rest is too small for one without a word
//! (liburing issue 1433), so an engine that fills bit by bit listens to none.

use std::cell::Cell;

pub(super) struct Progress {
    /// Bytes of each buffer that were reported; 0 before the first and after the last.
    each: Box<[Cell<u32>]>,
    buffer_bytes: u32,
}

impl Progress {
    pub(super) fn new(count: u32, buffer_bytes: u32) -> Progress {
        Progress { each: (0..count).map(|_| Cell::new(0)).collect(), buffer_bytes }
    }

    /// The next piece of a buffer, at most `most` bytes: where it begins and how long it is.
    pub(super) fn next(&self, index: u16, most: u32) -> (u32, u32) {
        let filled = &self.each[usize::from(index)];
        let from = filled.get();
        let len = most.min(self.buffer_bytes - from);
        filled.set((from + len) % self.buffer_bytes);
        (from, len)
    }

    /// Whether the kernel goes on with this buffer: it must not be given to it again.
    pub(super) fn is_begun(&self, index: u16) -> bool {
        self.each[usize::from(index)].get() > 0
    }
}

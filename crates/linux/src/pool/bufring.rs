//! The provided-buffer ring: the queue of free buffers that the kernel takes from, first in, first out.
//!
//! Layout and rules are those of io_uring_register_buf_ring(3): an array of {address, length, id} whose first entry's
//! last field doubles as the tail. We write entries and the tail; the kernel keeps its own head, which we never read.

use super::arena::anonymous;
use std::io;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU16, Ordering};

#[repr(C)]
struct Entry {
    address: u64,
    len: u32,
    id: u16,
    /// In entry 0 this is the ring's tail.
    tail: AtomicU16,
}

const _: () = assert!(size_of::<Entry>() == 16);

pub(super) struct BufRing {
    base: NonNull<Entry>,
    entries: u16,
    /// Position of the next entry to write; counts on and wraps.
    tail: u16,
    /// Position of the oldest entry. Kept by `take_first` alone, for pools without a kernel ring.
    head: u16,
    /// Position at which each buffer stands or stood last.
    positions: Box<[u16]>,
}

impl BufRing {
    pub(super) fn map(entries: u16) -> io::Result<BufRing> {
        debug_assert!(entries.is_power_of_two());
        let base = anonymous(usize::from(entries) * size_of::<Entry>(), 0)?.cast();
        Ok(BufRing { base, entries, tail: 0, head: 0, positions: vec![0; usize::from(entries)].into() })
    }

    /// Writes one entry behind the tail; the kernel sees it after `publish`.
    ///
    /// There are as many entries as buffers, and the kernel takes them in order. So once every completion was taken, what
    /// is overwritten here is the entry of a buffer that was lent, perhaps still is, and whose length was read then. With
    /// a completion untaken it may be the entry that this completion is about: the caller sees to it.
    pub(super) fn put(&mut self, id: u16, address: u64, len: u32) {
        let entry = self.entry(self.tail);
        // SAFETY: `entry` is in bounds (masked) of our live mapping. The kernel reads entries only below the tail that
        // it has seen, and this one is above it. The tail field inside entry 0 is not written here.
        unsafe {
            (&raw mut (*entry).address).write(address);
            (&raw mut (*entry).len).write(len);
            (&raw mut (*entry).id).write(id);
        }
        self.positions[usize::from(id)] = self.tail;
        self.tail = self.tail.wrapping_add(1);
    }

    pub(super) fn publish(&mut self) {
        // SAFETY: entry 0 is part of the live mapping and its tail field is an aligned u16 that is only ever accessed
        // as an atomic, by us and by the kernel.
        let tail = unsafe { &(*self.base.as_ptr()).tail };
        // Release: the entries above must be visible before the tail that covers them.
        tail.store(self.tail, Ordering::Release);
    }

    /// The buffer at the position behind `id`'s own.
    pub(super) fn after(&self, id: u16) -> u16 {
        self.id_at(self.positions[usize::from(id)].wrapping_add(1))
    }

    /// The length that `id`'s entry has now: the kernel shortens it when it uses only a part of the buffer.
    pub(super) fn len_of(&self, id: u16) -> u32 {
        let entry = self.entry(self.positions[usize::from(id)]);
        // SAFETY: in bounds (masked) of the live mapping. The kernel wrote the length, if at all, before the completion that
        // named this buffer, and does not write it again before the entry is published again.
        unsafe { (&raw const (*entry).len).read() }
    }

    /// Shortens `id`'s entry, as the kernel does for a bundle that takes only a part of the buffer.
    #[cfg(test)]
    pub(super) fn shorten(&mut self, id: u16, len: u32) {
        let entry = self.entry(self.positions[usize::from(id)]);
        // SAFETY: in bounds (masked) of the live mapping, which no kernel ring reads in the tests that call this.
        unsafe { (&raw mut (*entry).len).write(len) };
    }

    /// Whether there is an entry that [`BufRing::take_first`] would take.
    pub(super) fn has_first(&self) -> bool {
        self.head != self.tail
    }

    /// Takes the oldest entry, as a kernel would; `None` when there is none.
    pub(super) fn take_first(&mut self) -> Option<u16> {
        if self.head == self.tail {
            return None;
        }
        let id = self.id_at(self.head);
        self.head = self.head.wrapping_add(1);
        Some(id)
    }

    /// Whether `take_first` has taken nothing: the kernel begins to read where we would.
    pub(super) fn is_unread(&self) -> bool {
        self.head == 0
    }

    pub(super) fn address(&self) -> u64 {
        self.base.as_ptr() as u64
    }

    pub(super) fn entries(&self) -> u16 {
        self.entries
    }

    fn id_at(&self, position: u16) -> u16 {
        // SAFETY: in bounds (masked) of the live mapping; ids are written by us alone.
        unsafe { (&raw const (*self.entry(position)).id).read() }
    }

    fn entry(&self, position: u16) -> *mut Entry {
        let index = usize::from(position & (self.entries - 1));
        // SAFETY: `index` is below `entries`, the length of the mapping.
        unsafe { self.base.as_ptr().add(index) }
    }
}

impl Drop for BufRing {
    fn drop(&mut self) {
        let bytes = usize::from(self.entries) * size_of::<Entry>();
        // SAFETY: made by `map` with this length. A kernel ring that reads it holds its own pin on the pages and was
        // torn down before its pool (see `Ring::drop`).
        unsafe { libc::munmap(self.base.as_ptr().cast(), bytes) };
    }
}

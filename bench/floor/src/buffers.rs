//! A provided-buffer ring over one arena, in three ways: one buffer a completion, bundles, incremental.
//!
//! The kernel takes buffers in ring order, so a bundle that starts with buffer `b` continues at the ring positions behind
//! `b`'s, whatever ids stand there. It may also shorten `len` of an entry in the ring while it maps a bundle; the length of a
//! buffer that a bundle has filled is therefore read from the entry, never assumed.

use std::io;
use std::ptr;
use std::sync::atomic::{AtomicU16, Ordering};

use crate::ring::{Cqe, F_BUF_MORE, F_BUFFER, Ring};

/// One entry of the ring that is shared with the kernel; `tail` overlays the last field of the first.
#[repr(C)]
struct Slot {
    addr: u64,
    len: u32,
    id: u16,
    tail: u16,
}

/// How received bytes are laid into buffers.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// A completion fills one buffer.
    Single,
    /// A completion fills as many buffers as it needs (`IORING_RECVSEND_BUNDLE`).
    Bundle,
    /// A completion fills the next bytes of a buffer that the kernel keeps (`IOU_PBUF_RING_INC`).
    Incremental,
}

/// Received bytes, lent until they are released.
#[derive(Clone, Copy)]
pub struct Chunk {
    pub from: *const u8,
    pub len: u32,
    id: u16,
}

impl Chunk {
    /// The buffer's number in its group.
    pub fn id(&self) -> u16 {
        self.id
    }

    /// Takes `bytes` bytes off the front; the chunk still stands for its buffer.
    pub fn skip(&mut self, bytes: u32) {
        debug_assert!(bytes <= self.len);
        self.from = self.from.wrapping_add(bytes as usize);
        self.len -= bytes;
    }

    /// The bytes themselves.
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: the kernel has finished writing these bytes (their completion came), and the buffer goes back to it
        // only when the chunk is released.
        unsafe { std::slice::from_raw_parts(self.from, self.len as usize) }
    }
}

/// What we know of one buffer.
#[derive(Clone, Copy, Default)]
struct Held {
    /// Ring position where it was last given.
    position: u16,
    /// Chunks not yet released (incremental only).
    chunks: u16,
    /// Bytes already filled (incremental only).
    filled: u32,
    /// The kernel has let go of it (incremental only).
    ended: bool,
}

/// The buffers of one group.
pub struct Buffers {
    slots: *mut Slot,
    arena: *mut u8,
    mask: u16,
    /// Size of a buffer.
    bytes: u32,
    /// Distance between the starts of two buffers: `bytes`, or 0 where all share one piece of memory.
    stride: u32,
    tail: u16,
    layout: Layout,
    held: Vec<Held>,
    freed: Vec<u16>,
}

const PBUF_RING_INC: u16 = 2;

impl Buffers {
    /// `count` buffers (a power of two) of `bytes` bytes each, all given to the kernel as `group`.
    pub fn new(ring: &Ring, group: u16, count: u16, bytes: u32, layout: Layout) -> io::Result<Self> {
        Self::with_stride(ring, group, count, bytes, bytes, layout)
    }

    /// Buffers whose bytes nobody reads, for receives that discard: all ids share one piece of memory.
    pub fn sink(ring: &Ring, group: u16, count: u16, bytes: u32) -> io::Result<Self> {
        Self::with_stride(ring, group, count, bytes, 0, Layout::Single)
    }

    fn with_stride(
        ring: &Ring,
        group: u16,
        count: u16,
        bytes: u32,
        stride: u32,
        layout: Layout,
    ) -> io::Result<Self> {
        assert!(count.is_power_of_two(), "the kernel wants a power of two");
        let slots = map(count as usize * size_of::<Slot>())?.cast::<Slot>();
        let arena = map((count as usize * stride as usize).max(bytes as usize))?;
        let flags = if layout == Layout::Incremental { PBUF_RING_INC } else { 0 };
        // SAFETY: the mapping is page aligned, long enough, and never unmapped.
        unsafe { ring.submitter().register_buf_ring_with_flags(slots as u64, count, group, flags)? };
        let held = vec![Held::default(); count as usize];
        let freed = (0..count).collect();
        let mut buffers = Self { slots, arena, mask: count - 1, bytes, stride, tail: 0, layout, held, freed };
        buffers.publish();
        Ok(buffers)
    }

    /// Calls `lend` with each chunk that this completion has filled, in order.
    #[inline]
    pub fn take(&mut self, cqe: Cqe, mut lend: impl FnMut(Chunk)) {
        debug_assert!(cqe.result > 0 && cqe.flags & F_BUFFER != 0);
        let id = (cqe.flags >> 16) as u16;
        let mut left = cqe.result as u32;
        match self.layout {
            Layout::Single => lend(self.take_single(cqe)),
            Layout::Bundle => {
                let mut position = self.held[id as usize].position;
                while left > 0 {
                    // SAFETY: inside the ring; the kernel is done with this position, and we do not reuse it before
                    // all completions of this turn are taken (see `publish`).
                    let slot = unsafe { &*self.slots.add((position & self.mask) as usize) };
                    let len = left.min(slot.len);
                    lend(Chunk { from: self.start(slot.id), len, id: slot.id });
                    left -= len;
                    position = position.wrapping_add(1);
                }
            }
            Layout::Incremental => {
                let held = &mut self.held[id as usize];
                let from = held.filled as usize;
                held.filled += left;
                held.chunks += 1;
                held.ended = cqe.flags & F_BUF_MORE == 0;
                lend(Chunk { from: self.start(id).wrapping_add(from), len: left, id });
            }
        }
    }

    /// The chunk of a completion that fills one buffer.
    #[inline]
    pub fn take_single(&self, cqe: Cqe) -> Chunk {
        debug_assert!(self.layout == Layout::Single && cqe.result > 0 && cqe.flags & F_BUFFER != 0);
        let id = (cqe.flags >> 16) as u16;
        Chunk { from: self.start(id), len: cqe.result as u32, id }
    }

    /// Gives the chunk's memory back; the kernel sees it at the next `publish`.
    #[inline]
    pub fn release(&mut self, chunk: Chunk) {
        if self.layout == Layout::Incremental {
            let held = &mut self.held[chunk.id as usize];
            held.chunks -= 1;
            if held.chunks > 0 || !held.ended {
                return;
            }
            *held = Held::default();
        }
        self.freed.push(chunk.id);
    }

    /// Gives the kernel what was released since the last time; true if that was anything.
    ///
    /// Call it once a turn, after the last `take`: completions may come in another order than buffers were used, and a
    /// buffer given at once could overwrite the ring position of a bundle that is yet to be taken.
    #[inline]
    pub fn publish(&mut self) -> bool {
        if self.freed.is_empty() {
            return false;
        }
        while let Some(id) = self.freed.pop() {
            self.give(id);
        }
        // SAFETY: the tail lies in the first slot, aligned to two bytes, and only we write it.
        let tail = unsafe { AtomicU16::from_ptr(&raw mut (*self.slots).tail) };
        tail.store(self.tail, Ordering::Release);
        true
    }

    /// Whether receives should be armed as bundles.
    pub fn bundles(&self) -> bool {
        self.layout == Layout::Bundle
    }

    #[inline]
    fn give(&mut self, id: u16) {
        let start = self.start(id);
        // SAFETY: inside the ring. The position is free: there are as many positions as buffers. The tail field of the
        // first slot is not touched.
        unsafe {
            let slot = self.slots.add((self.tail & self.mask) as usize);
            (*slot).addr = start as u64;
            (*slot).len = self.bytes;
            (*slot).id = id;
        }
        self.held[id as usize].position = self.tail;
        self.tail = self.tail.wrapping_add(1);
    }

    #[inline]
    fn start(&self, id: u16) -> *mut u8 {
        self.arena.wrapping_add(id as usize * self.stride as usize)
    }
}

/// Zeroed pages, touched by the calling thread.
fn map(bytes: usize) -> io::Result<*mut u8> {
    // SAFETY: a fresh private mapping; nothing else refers to it.
    let at = unsafe {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_POPULATE;
        libc::mmap(ptr::null_mut(), bytes, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0)
    };
    if at == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(at.cast()) }
}

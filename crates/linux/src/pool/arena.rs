//! One anonymous mapping, cut by its owner; it never moves and never grows.
//!
//! It hands out addresses and slices but keeps no account of who holds them: [`super::Pool`] does, and is the only user.

use std::io;
use std::ptr::NonNull;

/// A private anonymous mapping, zeroed, its pages faulted in.
pub struct Arena {
    base: NonNull<u8>,
    bytes: usize,
    huge: bool,
}

const HUGE_PAGE_BYTES: usize = 2 << 20;

impl Arena {
    /// Maps `bytes` (rounded up to whole pages) and faults every page in, on the memory node of the calling thread. With
    /// `huge`, explicit huge pages are tried first (mmap(2), `MAP_HUGETLB`), then transparent ones are advised
    /// (madvise(2), `MADV_HUGEPAGE`).
    pub fn map(bytes: usize, huge: bool) -> io::Result<Arena> {
        let explicit = bytes.next_multiple_of(HUGE_PAGE_BYTES);
        let granted = if huge { anonymous(explicit, libc::MAP_HUGETLB).ok() } else { None };
        let arena = match granted {
            Some(base) => Arena { base, bytes: explicit, huge: true },
            None => Arena { base: anonymous(bytes, 0)?, bytes, huge: false },
        };
        if huge && !arena.huge {
            arena.advise(libc::MADV_HUGEPAGE);
        }
        arena.advise(libc::MADV_POPULATE_WRITE);
        Ok(arena)
    }

    /// Where the kernel does not follow, pages come at their first use: nothing depends on it.
    fn advise(&self, advice: i32) {
        // SAFETY: the range is this mapping, and neither advice given here changes its contents.
        unsafe { libc::madvise(self.base.as_ptr().cast(), self.bytes, advice) };
    }

    /// Whether explicit huge pages were granted.
    pub fn huge(&self) -> bool {
        self.huge
    }

    pub(super) fn address(&self, from: usize) -> u64 {
        assert!(from < self.bytes);
        self.base.as_ptr() as u64 + from as u64
    }

    pub(super) fn range(&self) -> libc::iovec {
        libc::iovec { iov_base: self.base.as_ptr().cast(), iov_len: self.bytes }
    }

    /// The pool calls this only for a part that is lent: no one writes there.
    pub(super) fn slice(&self, from: usize, len: usize) -> &[u8] {
        assert!(from.checked_add(len).is_some_and(|end| end <= self.bytes));
        // SAFETY: in bounds of the mapping (asserted), which lives as long as `self` and was zeroed by the kernel, so
        // the bytes are initialised. The pool lends a part only after the kernel has finished with it, and gives it
        // to the kernel again only when no lease, hence no slice, is left.
        unsafe { std::slice::from_raw_parts(self.base.as_ptr().add(from), len) }
    }

    /// The pool calls this only for a part that it has taken for one writer, and lends it to nobody meanwhile.
    #[allow(
        clippy::mut_from_ref,
        reason = "the pool's counts say who has a part, not a borrow of the whole arena"
    )]
    pub(super) fn slice_mut(&self, from: usize, len: usize) -> &mut [u8] {
        assert!(from.checked_add(len).is_some_and(|end| end <= self.bytes));
        // SAFETY: in bounds of the mapping (asserted), which lives as long as `self` and was zeroed by the kernel, so the
        // bytes are initialised. The part was just taken out of the free ones and is given on only when the slice is gone,
        // so no lease, no kernel and no second call reads or writes it.
        unsafe { std::slice::from_raw_parts_mut(self.base.as_ptr().add(from), len) }
    }

    /// The pool calls this only for a part that is in nobody's hands.
    pub(super) fn write(&self, from: usize, bytes: &[u8]) {
        assert!(from.checked_add(bytes.len()).is_some_and(|end| end <= self.bytes));
        // SAFETY: in bounds (asserted); the part was just taken out of the free ring and no lease of it exists, so no
        // slice of it does; `bytes` is a live slice elsewhere, hence it does not overlap the part.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.base.as_ptr().add(from), bytes.len()) };
    }
}

impl Drop for Arena {
    fn drop(&mut self) {
        // SAFETY: the mapping was made by `map` with this length and nothing refers to it: leases keep the pool alive,
        // and a ring that the kernel still reads is leaked together with its pool (see `Ring::drop`).
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.bytes) };
    }
}

pub(super) fn anonymous(bytes: usize, flags: i32) -> io::Result<NonNull<u8>> {
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    let flags = flags | libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    // SAFETY: a fresh anonymous mapping at an address of the kernel's choice touches no existing memory.
    let base = unsafe { libc::mmap(std::ptr::null_mut(), bytes, protection, flags, -1, 0) };
    if base == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    Ok(NonNull::new(base.cast()).expect("mmap without MAP_FIXED never returns page zero"))
}

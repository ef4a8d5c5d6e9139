//! A part of one buffer, readable for as long as the lease lives.
//!
//! Never writes. Cloning and splitting count up, dropping counts down, and the last one gives the buffer back to its pool.

use super::Pool;
use std::fmt;
use std::ops::Deref;

/// A readable part of one lent buffer. Made from a receive completion; `!Send`.
pub struct Lease {
    pool: Pool,
    index: u16,
    from: u32,
    len: u32,
}

impl Lease {
    pub(super) fn new(pool: Pool, index: u16, from: u32, len: u32) -> Lease {
        Lease { pool, index, from, len }
    }

    /// Bytes in this part.
    #[inline]
    pub fn len(&self) -> usize {
        self.len as usize
    }

    /// Whether the part is empty.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Another lease of `len` bytes from `from` on. Panics when that is outside this part.
    #[inline]
    pub fn part(&self, from: usize, len: usize) -> Lease {
        assert!(from.checked_add(len).is_some_and(|end| end <= self.len()));
        self.pool.again(self.index);
        Lease::new(self.pool.clone(), self.index, self.from + from as u32, len as u32)
    }

    /// Drops the first `n` bytes. Panics when there are fewer.
    #[inline]
    pub fn skip(&mut self, n: usize) {
        assert!(n <= self.len());
        self.from += n as u32;
        self.len -= n as u32;
    }

    /// Number of the buffer in its pool: two leases with the same number share it.
    pub fn index(&self) -> u16 {
        self.index
    }
}

impl Deref for Lease {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        self.pool.slice(self.index, self.from, self.len)
    }
}

impl Clone for Lease {
    fn clone(&self) -> Lease {
        self.part(0, self.len())
    }
}

impl Drop for Lease {
    #[inline]
    fn drop(&mut self) {
        self.pool.release(self.index);
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Lease({}: {}+{})", self.index, self.from, self.len)
    }
}

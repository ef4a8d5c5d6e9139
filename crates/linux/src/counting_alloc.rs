//! An allocator that counts, for tests which say that a request allocates nothing.
//!
//! A test installs it with `#[global_allocator]`. The counters are per thread, so that the threads of other tests do
//! not disturb; what one thread asks for and another one gives back is counted in both. Programs never use it.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// The system's allocator, and one count for each call of it that asks for memory.
#[derive(Debug, Clone, Copy, Default)]
pub struct CountingAlloc;

/// How often the calling thread has asked for memory: allocations, zeroed ones and reallocations, since its start.
///
/// Always 0 in a program whose global allocator is another one: a test proves first that one allocation is counted.
pub fn allocations_in_this_thread() -> u64 {
    ALLOCATIONS.get()
}

/// Bytes that the calling thread has asked for and not given back, by the layouts it asked with: what the allocator adds to
/// each is not seen. Below 0 where it gave back what another thread had asked for.
pub fn live_bytes_in_this_thread() -> i64 {
    LIVE_BYTES.get()
}

thread_local! {
    // `const` and without a destructor: reaching it neither allocates nor registers anything, which an allocator
    // must not do.
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
    static LIVE_BYTES: Cell<i64> = const { Cell::new(0) };
}

fn count(asked: usize, given_back: usize) {
    ALLOCATIONS.set(ALLOCATIONS.get() + u64::from(asked > 0));
    LIVE_BYTES.set(LIVE_BYTES.get() + asked as i64 - given_back as i64);
}

// SAFETY: every call is passed on unchanged to `System`, which keeps the contract of `GlobalAlloc`; counting touches
// two integers of the thread, does not allocate and does not panic.
unsafe impl GlobalAlloc for CountingAlloc {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 0);
        // SAFETY: the caller's promise about `layout` is the one that `System` asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 0);
        // SAFETY: as in `alloc`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        count(bytes, layout.size());
        // SAFETY: `place` came from this allocator, hence from `System`, with this `layout`: the caller's promise.
        unsafe { System.realloc(place, layout, bytes) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        count(0, layout.size());
        // SAFETY: as in `realloc`.
        unsafe { System.dealloc(place, layout) }
    }
}

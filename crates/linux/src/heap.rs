//! The allocator's memory, given back to the system.
//!
//! Small blocks that are freed between others stay with the allocator: after a burst the process is as large as at its
//! peak, whatever is in use. Never called on the way of a byte.

/// Asks the allocator to give back every whole page that is free (malloc_trim(3)). It walks the whole heap: not for
/// the way of a byte. Nothing where the C library has no such call.
pub fn trim() {
    give_back();
}

#[cfg(target_env = "gnu")]
fn give_back() {
    // SAFETY: it takes an integer, touches only memory that nobody has, and is safe in every thread (malloc_trim(3)).
    unsafe { libc::malloc_trim(0) };
}

#[cfg(not(target_env = "gnu"))]
fn give_back() {}

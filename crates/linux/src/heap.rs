//! The allocator's memory: given back to the system, and made of huge pages.
//!
//! Small blocks that are freed between others stay with the allocator: after a burst the process is as large as at its
//! peak, whatever is in use. And where there are many of them, looked at in no order, small pages cost time.
//! Nothing here is called on the way of a byte.

use std::mem::MaybeUninit;

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

/// Says that memory which is not used yet is better made of huge pages (MADV_HUGEPAGE of madvise(2)) where it has room for some: it will
/// be looked at in no order. A hint: it changes nothing but time, and nothing where the system has none, or
/// `/sys/kernel/mm/transparent_hugepage/enabled` says "never". Below [`HUGE_FROM`] bytes nothing is asked: a small process stays small.
pub fn prefer_huge<T>(room: &mut [MaybeUninit<T>]) {
    let bytes = size_of_val(room);
    if bytes < HUGE_FROM {
        return;
    }
    let start = room.as_mut_ptr().addr().next_multiple_of(PAGE_BYTES);
    let end = (room.as_mut_ptr().addr() + bytes) / PAGE_BYTES * PAGE_BYTES;
    // SAFETY: these are whole pages within memory that we hold, and the advice leaves what is in them as it is (madvise(2)).
    unsafe { libc::madvise(start as *mut libc::c_void, end - start, libc::MADV_HUGEPAGE) };
}

/// Twice a huge page, so that one lies in it however it is aligned.
pub const HUGE_FROM: usize = 4 << 20;

/// The page that madvise(2) counts in: the largest that Linux is built with on what we run on.
const PAGE_BYTES: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    /// The flags of the mapping in which an address lies (proc(5), `VmFlags` of smaps).
    fn flags_at(address: usize) -> String {
        let maps = std::fs::read_to_string("/proc/self/smaps").expect("a process may read its own");
        let mut within = false;
        for line in maps.lines() {
            let range = line.split(' ').next().and_then(|word| word.split_once('-'));
            if let Some(range) = range {
                let [start, end] = [range.0, range.1].map(|hex| usize::from_str_radix(hex, 16).unwrap_or(0));
                within = (start..end).contains(&address);
            } else if within && let Some(flags) = line.strip_prefix("VmFlags:") {
                return flags.to_owned();
            }
        }
        panic!("an address of ours is in one of our mappings");
    }

    #[test]
    fn huge_pages_are_asked_for_where_there_is_room_for_one_and_what_is_around_stays() {
        // A kernel without transparent huge pages marks nothing.
        if !std::path::Path::new("/sys/kernel/mm/transparent_hugepage").exists() {
            return;
        }
        for (bytes, huge) in [(HUGE_FROM, true), (HUGE_FROM - 1, false)] {
            let mut memory: Vec<u8> = Vec::with_capacity(1 + bytes);
            memory.push(7);
            prefer_huge(memory.spare_capacity_mut().split_at_mut(bytes).0);
            let middle = memory.as_ptr().addr() + bytes / 2;
            assert_eq!(flags_at(middle).split(' ').any(|flag| flag == "hg"), huge, "{bytes} bytes");
            assert_eq!(memory, [7]);
        }
    }
}

//! One core's buffers: an arena cut into equal parts, lent out a part at a time.
//!
//! A pool belongs to one thread and is shared inside it by reference count. Each part is in exactly one of two hands:
//! the kernel's (it stands in the provided-buffer ring and may be written at any moment) or ours (one or more [`Lease`]s
//! read it, nobody writes). It changes hands twice a round: a completion names it, the last lease of it is dropped. A pool whose
//! buffers the kernel fills bit by bit is the same by the byte: what a completion reported is ours, the rest is still the
//! kernel's, and the buffer goes back when all of it was reported and no lease of any part is left.

mod arena;
mod bufring;
mod chunk;
mod gather;
mod lease;
mod progress;

pub use arena::Arena;
pub use chunk::{Chunk, Scratch};
pub use gather::Gather;
pub use lease::Lease;

use bufring::BufRing;
use progress::Progress;
use std::cell::{Cell, OnceCell, RefCell};
use std::io;
use std::rc::Rc;

/// How a pool is cut. See [`Plan::default`] for the sizes and their reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Number of buffers: a power of two, 2 to 32,768 (the limit of a provided-buffer ring, io_uring_register_buf_ring(3)).
    pub count: u16,
    /// Bytes in each buffer: a power of two, 1 KiB to 1 MiB.
    pub bytes: u32,
    /// Back the arena with huge pages: `MAP_HUGETLB` where the host keeps some, else `MADV_HUGEPAGE`.
    pub huge_pages: bool,
}

impl Default for Plan {
    /// 256 buffers of 16 KiB: 4 MiB a shard. Sixteen KiB with receive bundles costs small messages nothing and serves
    /// large ones as well as a 64 KiB buffer does; see docs/decisions/0003-buffers.md for the measurements.
    fn default() -> Plan {
        Plan { count: 256, bytes: 16 * 1024, huge_pages: false }
    }
}

/// The buffers of one core. Cheap to clone; `!Send`, since its counts are not atomic.
#[derive(Clone)]
pub struct Pool(Rc<Inner>);

struct Inner {
    arena: Arena,
    bytes: u32,
    /// Leases of each buffer; 0 = the buffer is in the kernel's hands.
    leases: Box<[Cell<u32>]>,
    /// Buffers with at least one lease.
    lent: Cell<u32>,
    /// Buffers that came back and wait for `publish`.
    returned: RefCell<Vec<u16>>,
    ring: RefCell<BufRing>,
    /// A kernel ring reads `ring`; only completions may take buffers out of it then.
    kernel: Cell<bool>,
    /// How far the kernel has come in each buffer, where it fills them bit by bit.
    progress: OnceCell<Progress>,
}

impl Pool {
    /// Maps the arena and puts every buffer into the provided-buffer ring. The pages are faulted in here, so call this
    /// on the pinned thread that will use it: that is how they come to lie on that core's memory node.
    ///
    /// Errors: `mmap` refused (`ENOMEM`), or a plan outside the ranges of [`Plan`] (`InvalidInput`).
    pub fn new(plan: Plan) -> io::Result<Pool> {
        let counts = plan.count.is_power_of_two() && (2..=32_768).contains(&plan.count);
        let sizes = plan.bytes.is_power_of_two() && (1 << 10..=1 << 20).contains(&plan.bytes);
        if !counts || !sizes {
            let what = format!(
                "{} buffers of {} bytes: both must be powers of two in range",
                plan.count, plan.bytes
            );
            return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
        }
        let arena = Arena::map(usize::from(plan.count) * plan.bytes as usize, plan.huge_pages)?;
        let mut ring = BufRing::map(plan.count)?;
        for index in 0..plan.count {
            ring.put(index, arena.address(usize::from(index) * plan.bytes as usize), plan.bytes);
        }
        ring.publish();
        Ok(Pool(Rc::new(Inner {
            arena,
            bytes: plan.bytes,
            leases: (0..plan.count).map(|_| Cell::new(0)).collect(),
            lent: Cell::new(0),
            returned: RefCell::new(Vec::with_capacity(usize::from(plan.count))),
            ring: RefCell::new(ring),
            kernel: Cell::new(false),
            progress: OnceCell::new(),
        })))
    }

    /// Number of buffers.
    pub fn count(&self) -> u32 {
        self.0.leases.len() as u32
    }

    /// Bytes of one buffer.
    pub fn buffer_bytes(&self) -> u32 {
        self.0.bytes
    }

    /// Buffers that are lent at this moment: 0 when every lease is back.
    pub fn lent(&self) -> u32 {
        self.0.lent.get()
    }

    /// Whether huge pages back the arena (`MAP_HUGETLB` was granted).
    pub fn huge_pages(&self) -> bool {
        self.0.arena.huge()
    }

    /// Puts the buffers that came back since the last call behind those that are free.
    ///
    /// For engines and fakes without a kernel ring. Panics when a kernel ring reads this pool: only that ring knows when
    /// every completion was taken.
    pub fn publish(&self) {
        assert!(!self.0.kernel.get(), "a pool that a kernel ring reads is published by that ring alone");
        self.put_returned();
    }

    /// Gives the kernel the buffers that came back since the last call. Once a turn, before the enter, and only when
    /// every completion was taken (see [`BufRing::put`]).
    pub(crate) fn put_returned(&self) {
        let mut returned = self.0.returned.borrow_mut();
        if returned.is_empty() {
            return;
        }
        let mut ring = self.0.ring.borrow_mut();
        for index in returned.drain(..) {
            let address = self.0.arena.address(usize::from(index) * self.0.bytes as usize);
            ring.put(index, address, self.0.bytes);
        }
        ring.publish();
    }

    /// Whether a buffer can be taken. For pools that no kernel ring reads.
    pub fn has_free(&self) -> bool {
        self.returned() > 0 || self.0.ring.borrow().has_first()
    }

    /// Buffers that came back and wait for `publish`.
    pub fn returned(&self) -> usize {
        self.0.returned.borrow().len()
    }

    /// Takes a free buffer and copies `bytes` into it, as the kernel does for a receive. Copies at most one buffer's
    /// worth; the caller looks at the lease's length. `None` when no buffer is free.
    ///
    /// For engines and fakes without a kernel ring. Panics when a kernel ring reads this pool: the two would lend the
    /// same buffer.
    pub fn fill(&self, bytes: &[u8]) -> Option<Lease> {
        assert!(!self.0.kernel.get(), "a pool that a kernel ring reads is filled by the kernel alone");
        self.publish();
        let index = self.0.ring.borrow_mut().take_first()?;
        let len = bytes.len().min(self.0.bytes as usize);
        self.0.arena.write(usize::from(index) * self.0.bytes as usize, &bytes[..len]);
        Some(self.lease(index, 0, len as u32))
    }

    /// Takes a free buffer, has `write` fill it from its beginning, and lends what it says it wrote; where that is nothing, or
    /// an error, the buffer is free again. `None` when no buffer is free: `write` is not called then.
    ///
    /// For engines that receive by calls of their own. Panics when a kernel ring reads this pool, and when `write` says more
    /// than there was room for.
    pub fn fill_with<E>(
        &self,
        write: impl FnOnce(&mut [u8]) -> Result<usize, E>,
    ) -> Option<Result<Option<Lease>, E>> {
        let index = self.take()?;
        let bytes = self.0.bytes as usize;
        let written = write(self.0.arena.slice_mut(usize::from(index) * bytes, bytes));
        if !matches!(written, Ok(1..)) {
            self.put_back(index);
        }
        Some(written.map(|len| {
            assert!(len <= bytes, "{len} bytes are more than a buffer holds");
            (len > 0).then(|| self.lease(index, 0, len as u32))
        }))
    }

    /// Takes a free buffer, the one that came back last if there is one: it is the likeliest to be in the core's cache.
    ///
    /// For engines without a kernel ring, which hand it back by [`Pool::put_back`] or lend it by [`Pool::filled`]. Panics
    /// when a kernel ring reads this pool.
    pub(crate) fn take(&self) -> Option<u16> {
        assert!(!self.0.kernel.get(), "a pool that a kernel ring reads is filled by the kernel alone");
        self.0.returned.borrow_mut().pop().or_else(|| self.0.ring.borrow_mut().take_first())
    }

    /// Where a buffer that was taken stands: nobody else reads or writes there.
    pub(crate) fn room(&self, taken: u16) -> libc::iovec {
        let at = self.0.arena.address(usize::from(taken) * self.0.bytes as usize);
        libc::iovec { iov_base: at as *mut libc::c_void, iov_len: self.0.bytes as usize }
    }

    /// Gives back a buffer that was taken and not filled.
    pub(crate) fn put_back(&self, taken: u16) {
        self.0.returned.borrow_mut().push(taken);
    }

    /// Lends a buffer that was taken and whose first `len` bytes were written.
    pub(crate) fn filled(&self, taken: u16, len: u32) -> Lease {
        self.lease(taken, 0, len)
    }

    /// Lends the buffers of one receive completion, in the order of their bytes. `first` is the buffer the completion
    /// named, `len` the bytes it reported. A bundle spans consecutive positions of the provided-buffer ring, which
    /// are not consecutive ids (io_uring_prep_recv(3), IORING_RECVSEND_BUNDLE).
    pub(crate) fn lend(&self, first: u16, len: u32, mut each: impl FnMut(Lease)) {
        let mut index = first;
        let mut left = len;
        loop {
            // A bundle's receive may be told a shorter buffer than we gave, and then goes on in the next one; the entry
            // holds the length that was used.
            let (from, part) = match self.0.progress.get() {
                None => (0, left.min(self.0.ring.borrow().len_of(index))),
                Some(progress) => progress.next(index, left),
            };
            each(self.lease(index, from, part));
            left -= part;
            if left == 0 {
                return;
            }
            index = self.0.ring.borrow().after(index);
        }
    }

    /// Gives a buffer straight back that a completion named but put nothing into. One that the kernel fills bit by bit it
    /// has kept: it moves on by the bytes that it wrote, and these are none.
    pub(crate) fn give_back(&self, index: u16) {
        if self.0.progress.get().is_none() {
            drop(self.lease(index, 0, 0));
        }
    }

    /// Marks the pool as read by a kernel ring, for good, and shows where its ring stands. `incremental` if each receive
    /// fills the next bytes of a buffer, else each has buffers for itself.
    ///
    /// Panics when a ring has or had it already (each would lend what the other writes to), when a buffer is lent, or
    /// when one was taken before: a kernel ring begins at entry 0 and would write to what stood there.
    pub(crate) fn hand_to_kernel(&self, incremental: bool) -> (u64, u16) {
        let ring = self.0.ring.borrow();
        assert!(!self.0.kernel.get(), "a pool serves one kernel ring, once");
        assert!(
            self.lent() == 0 && ring.is_unread(),
            "a pool is handed to a kernel ring before it is filled"
        );
        self.0.kernel.set(true);
        if incremental {
            self.0.progress.get_or_init(|| Progress::new(self.count(), self.0.bytes));
        }
        (ring.address(), ring.entries())
    }

    /// The arena as one range, for registration as a fixed buffer.
    pub(crate) fn range(&self) -> libc::iovec {
        self.0.arena.range()
    }

    fn lease(&self, index: u16, from: u32, len: u32) -> Lease {
        let leases = &self.0.leases[usize::from(index)];
        let is_shared = from > 0 && self.0.progress.get().is_some();
        assert!(leases.get() == 0 || is_shared, "buffer {index} was lent while a lease of it lives");
        self.0.lent.set(self.0.lent.get() + u32::from(leases.get() == 0));
        leases.set(leases.get() + 1);
        Lease::new(self.clone(), index, from, len)
    }

    fn slice(&self, index: u16, from: u32, len: u32) -> &[u8] {
        assert!(self.0.leases[usize::from(index)].get() > 0 && from + len <= self.0.bytes);
        self.0.arena.slice(usize::from(index) * self.0.bytes as usize + from as usize, len as usize)
    }

    fn again(&self, index: u16) {
        let leases = &self.0.leases[usize::from(index)];
        leases.set(leases.get() + 1);
    }

    fn release(&self, index: u16) {
        let leases = &self.0.leases[usize::from(index)];
        leases.set(leases.get() - 1);
        if leases.get() == 0 {
            self.0.lent.set(self.0.lent.get() - 1);
            if !self.0.progress.get().is_some_and(|progress| progress.is_begun(index)) {
                self.0.returned.borrow_mut().push(index);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(count: u16) -> Pool {
        Pool::new(Plan { count, bytes: 1024, huge_pages: false }).expect("a small pool can be mapped")
    }

    #[test]
    fn a_buffer_comes_back_when_its_last_lease_goes() {
        let pool = pool(2);
        let one = pool.fill(b"hello world").unwrap();
        let two = one.part(6, 5);
        assert_eq!((&one[..], &two[..], pool.lent()), (&b"hello world"[..], &b"world"[..], 1));
        drop(one);
        assert_eq!((&two[..], pool.lent()), (&b"world"[..], 1));
        drop(two);
        assert_eq!(pool.lent(), 0);
    }

    #[test]
    fn a_buffer_is_lent_as_far_as_it_was_written_and_else_stays_free() {
        let pool = pool(2);
        let write = |room: &mut [u8]| -> Result<usize, ()> {
            assert_eq!(room.len(), 1024);
            room[..5].copy_from_slice(b"hello");
            Ok(5)
        };
        let lease = pool.fill_with(write).expect("a buffer is free").unwrap().expect("it was written to");
        assert_eq!((&lease[..], pool.lent()), (&b"hello"[..], 1));
        assert!(pool.fill_with(|_| Ok::<_, ()>(0)).expect("the other is free").unwrap().is_none());
        assert!(pool.fill_with(|_| Err(7)).expect("and still is").is_err_and(|error| error == 7));
        let _other = pool.fill_with(write).expect("and still is");
        assert!(pool.fill_with(write).is_none());
        assert_eq!(pool.lent(), 2, "both are lent, and no more");
    }

    #[test]
    fn an_empty_pool_lends_nothing_and_recovers() {
        let pool = pool(2);
        let (a, b) = (pool.fill(b"a").unwrap(), pool.fill(b"b").unwrap());
        assert!(pool.fill(b"c").is_none());
        drop((a, b));
        assert!(pool.fill(b"c").is_some());
    }

    #[test]
    fn a_bundle_follows_ring_positions_not_buffer_ids() {
        let pool = pool(4);
        let held: Vec<Lease> = (0..4).map(|_| pool.fill(b"x").unwrap()).collect();
        let mut held: Vec<Option<Lease>> = held.into_iter().map(Some).collect();
        // They come back as 2, 0, 3, 1: that is the order in which a bundle would use them now.
        for index in [2, 0, 3, 1] {
            held[index] = None;
        }
        pool.publish();
        let mut seen = Vec::new();
        pool.lend(2, 2 * 1024 + 7, |lease| seen.push((lease.index(), lease.len())));
        assert_eq!(seen, [(2, 1024), (0, 1024), (3, 7)]);
    }

    #[test]
    fn a_bundle_is_cut_where_the_kernel_shortened_an_entry() {
        let pool = pool(4);
        pool.0.ring.borrow_mut().shorten(1, 300);
        let mut seen = Vec::new();
        pool.lend(0, 1024 + 300 + 50, |lease| seen.push((lease.index(), lease.len())));
        assert_eq!(seen, [(0, 1024), (1, 300), (2, 50)]);
    }

    /// The pieces of one completion: buffer, place in it, length; kept for as long as the vector.
    fn lent(pool: &Pool, first: u16, len: u32) -> Vec<Lease> {
        let mut leases = Vec::new();
        pool.lend(first, len, |lease| leases.push(lease));
        leases
    }

    #[test]
    fn a_buffer_filled_bit_by_bit_comes_back_when_it_is_full_and_no_part_of_it_is_read() {
        let pool = pool(2);
        pool.hand_to_kernel(true);
        let places = |leases: &[Lease]| -> Vec<String> { leases.iter().map(|l| format!("{l:?}")).collect() };
        let first = lent(&pool, 0, 100);
        drop(lent(&pool, 0, 24));
        let third = lent(&pool, 0, 900);
        assert_eq!(
            (places(&first), places(&third)),
            (vec!["Lease(0: 0+100)".into()], vec!["Lease(0: 124+900)".into()])
        );
        drop(first);
        assert_eq!((pool.lent(), pool.returned()), (1, 0));
        drop(third);
        assert_eq!((pool.lent(), pool.returned()), (0, 1));
    }

    #[test]
    fn a_buffer_that_the_kernel_goes_on_with_stays_its_own_though_nobody_reads_it() {
        let pool = pool(2);
        pool.hand_to_kernel(true);
        drop(lent(&pool, 0, 1000));
        // An end of file names the buffer at hand and takes nothing of it.
        pool.give_back(0);
        assert_eq!((pool.lent(), pool.returned()), (0, 0));
        drop(lent(&pool, 0, 24));
        assert_eq!((pool.lent(), pool.returned()), (0, 1));
    }

    #[test]
    fn a_bundle_begins_where_the_buffer_was_left_and_leaves_the_last_one_begun() {
        let pool = pool(4);
        pool.hand_to_kernel(true);
        drop(lent(&pool, 0, 1000));
        let bundle = lent(&pool, 0, 24 + 1024 + 7);
        let lens: Vec<_> = bundle.iter().map(|lease| (lease.index(), lease.len())).collect();
        assert_eq!(lens, [(0, 24), (1, 1024), (2, 7)]);
        drop(bundle);
        assert_eq!((pool.lent(), pool.returned()), (0, 2));
        assert_eq!(lent(&pool, 2, 5)[0].index(), 2);
    }

    #[test]
    #[should_panic(expected = "one kernel ring")]
    fn a_second_kernel_ring_on_a_pool_is_refused() {
        let pool = pool(2);
        pool.hand_to_kernel(false);
        pool.clone().hand_to_kernel(false);
    }

    #[test]
    #[should_panic(expected = "before it is filled")]
    fn a_pool_that_lends_is_not_handed_to_a_kernel_ring() {
        let pool = pool(2);
        let _lease = pool.fill(b"mine");
        pool.hand_to_kernel(false);
    }

    #[test]
    #[should_panic(expected = "before it is filled")]
    fn a_pool_that_lent_is_not_handed_to_a_kernel_ring() {
        let pool = pool(2);
        drop(pool.fill(b"was mine"));
        pool.hand_to_kernel(false);
    }

    #[test]
    #[should_panic(expected = "by that ring alone")]
    fn nobody_else_publishes_to_a_kernel_ring() {
        let pool = pool(2);
        pool.hand_to_kernel(false);
        pool.publish();
    }

    #[test]
    fn a_plan_out_of_range_is_an_error() {
        for (count, bytes) in [(3, 1024), (0, 1024), (2, 1000), (2, 512), (2, 1 << 21)] {
            let plan = Plan { count, bytes, huge_pages: false };
            assert!(Pool::new(plan).is_err_and(|e| e.kind() == io::ErrorKind::InvalidInput), "{plan:?}");
        }
    }
}

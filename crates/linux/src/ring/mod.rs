//! One core's io_uring: submissions go in with the memory they need, completions come out with it.
//!
//! A ring belongs to the thread that made it. It submits and reaps with one `io_uring_enter` a turn ([`Ring::wait`]), and
//! keeps every byte that the kernel may touch until the last completion for it: that is why nothing here is `unsafe` to
//! call. It knows no connections and takes no decisions.

mod beside;
mod cqe;
mod factors;
mod inflight;
mod setup;
mod sqe;
#[cfg(test)]
mod tests;
mod trial;

pub use cqe::{Completion, Received, Tag, With};
pub use factors::Factors;
pub use setup::{Features, RingError, Setup, Tier};
pub use sqe::{HANG_UP, Home, Op, Sock};

use crate::clock::Clock;
use crate::net::{Arrival, SockAddr};
use crate::pool::{Chunk, Pool};
use beside::numbered;
use cqe::UNAWAITED;
use inflight::{Held, InFlight};
use io_uring::{IoUring, cqueue, squeue};
use setup::Gifts;
use sqe::{CONTROL_BYTES, GROUP, NAME_BYTES, Sqe};
use std::collections::VecDeque;
use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

/// The ring of one thread, with its pool registered.
pub struct Ring {
    // Both are dropped by hand: never before the kernel has let go of every byte.
    uring: ManuallyDrop<IoUring>,
    memory: ManuallyDrop<(Pool, InFlight)>,
    gifts: Gifts,
    /// Buffers from the first on that zero-copy sends can go out from.
    fixed: u32,
    features: Features,
    /// Completions copied out of the queue, so that the queue is free while they are worked on.
    reaped: VecDeque<cqueue::Entry>,
    /// What the receive completion at hand delivered.
    pieces: VecDeque<Chunk>,
    counts: Counts,
    /// Entries that the kernel has not taken yet.
    unsubmitted: u32,
    /// The number of its first direct descriptor, and how many of them nobody has.
    first: u32,
    free: u32,
}

/// What a ring has done so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    /// Entries pushed.
    pub submissions: u64,
    /// Completions reaped.
    pub completions: u64,
    /// `io_uring_enter` calls.
    pub enters: u64,
    /// Turns in which the kernel held back completions because the queue was full.
    pub cq_overflows: u64,
    /// Submissions whose last completion is to come.
    pub in_flight: u64,
}

impl Ring {
    /// Makes a ring and registers `pool` with it: as the provided-buffer ring, and as a fixed buffer if wanted and allowed.
    ///
    /// Errors: [`RingError`], each with its numbers. What is merely missing is told by [`Ring::features`]. Panics when the
    /// pool was given to a ring before, or filled: what is lent by one would be written to by the other.
    pub fn new(setup: &Setup, pool: Pool) -> Result<Ring, RingError> {
        let (uring, tier) = setup::climb(setup)?;
        let factors = setup.factors;
        let mut features = Features { tier, present: Vec::new(), missing: Vec::new() };
        let asked = |word: &str| Err(format!("left out, as asked by {word}"));
        let registered = match factors.ring_fd {
            true => uring.submitter().register_ring_fd().map_err(|e| format!("{e}; Linux 5.18 has it")),
            false => asked("ring-fd=off"),
        };
        features.note("registered ring descriptor", registered);
        if !factors.direct {
            features.note("direct descriptors", asked("direct=off"));
        } else if setup.descriptors > 0 {
            uring.submitter().register_files_sparse(setup.descriptors).map_err(|e| {
                RingError::from_io("the descriptor table", e, u64::from(setup.descriptors) * 16)
            })?;
            features.note("direct descriptors", Ok(()));
        }
        register_buffers(&uring, &pool, factors.incremental)?;
        let params = uring.params();
        if factors.min_wait_us > 0 && !params.is_feature_min_timeout() {
            return Err(RingError::factor(factors.min_wait_word(), "this kernel has it not; Linux 6.12 has"));
        }
        let gifts = Gifts {
            no_iowait: params.is_feature_no_iowait(),
            direct: factors.direct,
            poll_first: if factors.poll_first { sqe::POLL_FIRST } else { 0 },
            polled: tier == Tier::Polled,
            min_wait_us: factors.min_wait_us,
            buffer_bytes: pool.buffer_bytes(),
            ..Gifts::default()
        };
        let bundles = factors.bundles && params.is_feature_recvsend_bundle();
        let fixed = match factors.fixed {
            true if !setup.alone => {
                let why = "a shard of several rings has none; a larger `ulimit -n` or a smaller --connections-max makes it one";
                features.note(ZERO_COPY, Err(why.into()));
                0
            }
            true => register_arena(&uring, &pool, setup.fixed_bytes, &mut features),
            false => {
                features.note(ZERO_COPY, asked("fixed=off"));
                0
            }
        };
        let mut ring = Ring {
            uring: ManuallyDrop::new(uring),
            memory: ManuallyDrop::new((pool, InFlight::default())),
            gifts,
            fixed,
            features,
            reaped: VecDeque::new(),
            pieces: VecDeque::new(),
            counts: Counts::default(),
            unsubmitted: 0,
            first: 0,
            free: if factors.direct { setup.descriptors } else { 0 },
        };
        ring.try_receives(bundles, &factors)?;
        ring.try_resets()?;
        ring.counts = Counts::default();
        Ok(ring)
    }

    /// What the kernel gave.
    pub fn features(&self) -> &Features {
        &self.features
    }

    /// The pool that receives are filled from.
    pub fn pool(&self) -> &Pool {
        &self.memory.0
    }

    /// What it has done so far.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Whether this send can go out as [`Op::SendZeroCopy`]: one chunk, a lease of registered memory. Sends larger than one
    /// buffer of the pool have several, hence never can.
    pub fn can_send_zero_copy(&self, gather: &crate::pool::Gather) -> bool {
        matches!(gather.single(), Some(Chunk::Lease(lease)) if u32::from(lease.index()) < self.fixed)
    }

    /// The descriptor by which other rings send messages here.
    pub fn descriptor(&self) -> RawFd {
        self.uring.as_raw_fd()
    }

    /// Queues a submission. A full queue is submitted first. It reaches the kernel at the next [`Ring::wait`].
    #[inline]
    pub fn push(&mut self, mut op: Op, tag: Tag) {
        if matches!(op, Op::LingerZero(_)) && !self.gifts.resets {
            return;
        }
        if self.gifts.numbers && matches!(op, Op::Close(_)) {
            self.free += 1;
        }
        if self.first > 0
            && let Some(Sock::Direct(slot)) = op.sock()
        {
            *slot -= self.first;
        }
        let sqe = sqe::encode(op, tag.0, &self.gifts, &mut self.memory.1);
        self.push_entry(sqe);
    }

    /// Submits all that was pushed and runs the kernel's deferred work; with `want` 1 also waits for a completion, at most
    /// until `deadline_ns` of [`Clock`]. Gives back buffers first. One system call; on a [`Tier::Polled`] ring none where
    /// nobody has to be woken or waited for.
    ///
    /// With a min wait ([`Factors::min_wait_us`]) `want` may be more: it waits for so many completions for that long, and
    /// then for one. Without it that is a mistake, since fewer might come.
    pub fn wait(&mut self, want: u32, deadline_ns: Option<u64>) -> Result<(), RingError> {
        // Buffers go back only when every completion was taken: the ring's entries say how long each received piece is, and
        // giving back writes over them. Completions that stand in the queue since an earlier enter count too, and those
        // that the kernel holds back for want of room.
        debug_assert!(want <= 1 || self.gifts.min_wait_us > 0, "who waits for more may wait for ever");
        let want = if self.reaped.is_empty() { want } else { 0 };
        let untaken = !self.reaped.is_empty() || !self.uring.completion().is_empty();
        if self.gifts.pool.is_none() && !untaken && !self.uring.submission().cq_overflow() {
            self.pool().put_returned();
        }
        self.enter(want, deadline_ns).map_err(|e| RingError::from_io("io_uring_enter", e, 0))?;
        self.reap();
        Ok(())
    }

    /// Whether the kernel has something for [`Ring::wait`] to fetch. Reads shared memory only; needs [`Setup::spin`].
    pub fn work_waits(&mut self) -> bool {
        let told = {
            let queue = self.uring.submission();
            queue.taskrun() || queue.cq_overflow()
        };
        told || !self.uring.completion().is_empty()
    }

    /// The next completion that was reaped; `None` when there is none until the next [`Ring::wait`].
    #[inline]
    pub fn pop(&mut self) -> Option<Completion> {
        let entry = self.reaped.pop_front()?;
        let (result, flags) = (entry.result(), entry.flags());
        let (more, user_data) = (cqueue::more(flags), entry.user_data());
        if InFlight::is_ours(user_data) {
            self.counts.in_flight -= u64::from(!more);
            return Some(self.decode_held(user_data, result, flags, more));
        }
        let awaited = user_data & UNAWAITED == 0;
        self.counts.in_flight -= u64::from(awaited && !more);
        let with = match cqueue::buffer_select(flags) {
            None => With::Nothing,
            Some(buffer) if result > 0 => {
                let pieces = &mut self.pieces;
                self.memory.0.lend(buffer, result as u32, |lease| pieces.push_back(Chunk::Lease(lease)));
                With::Buffers
            }
            Some(buffer) => {
                self.memory.0.give_back(buffer);
                With::Nothing
            }
        };
        let left = cqueue::sock_nonempty(flags);
        Some(Completion { tag: Tag(user_data & !UNAWAITED), result, more, left, with })
    }

    /// The tag of the next completion, where that is known without a look at what it holds.
    #[inline]
    pub fn ahead(&self) -> Option<Tag> {
        let user_data = self.reaped.front()?.user_data();
        (!InFlight::is_ours(user_data)).then_some(Tag(user_data & !UNAWAITED))
    }

    /// Whether [`Ring::pop`] has something.
    pub fn has_next(&self) -> bool {
        !self.reaped.is_empty()
    }

    /// Whether something was pushed that the kernel has not taken.
    pub fn has_unsubmitted(&self) -> bool {
        self.unsubmitted > 0
    }

    /// What the last [`With::Buffers`] delivered; the caller takes it out.
    pub fn pieces(&mut self) -> &mut VecDeque<Chunk> {
        &mut self.pieces
    }

    fn decode_held(&mut self, user_data: u64, result: i32, flags: u32, more: bool) -> Completion {
        let left = cqueue::sock_nonempty(flags);
        let (pool, held) = &mut *self.memory;
        if more {
            let (tag, entry) = held.get(user_data);
            let with = match entry {
                Held::ZeroCopy { gather, .. } => gather.take().map_or(With::Nothing, With::Gather),
                Held::Header(_) => match cqueue::buffer_select(flags) {
                    Some(buffer) => datagram(pool, buffer, result),
                    None => With::Nothing,
                },
                Held::Accept => accepted(result),
                _ => With::Nothing,
            };
            let result = if matches!(entry, Held::Slot) {
                numbered(result, self.first, &mut self.free)
            } else {
                result
            };
            return Completion { tag: Tag(tag), result, more, left, with };
        }
        let (tag, entry) = held.take(user_data);
        let with = match entry {
            Held::Send(gather) => With::Gather(gather),
            Held::ZeroCopy { gather: None, .. } => {
                With::Notified { copied: result as u32 & NOTIF_COPIED != 0 }
            }
            // A zero-copy send that failed before it began has no notification.
            Held::ZeroCopy { gather: Some(gather), .. } => With::Gather(gather),
            Held::Header(_) => match cqueue::buffer_select(flags) {
                Some(buffer) => datagram(pool, buffer, result),
                None => With::Nothing,
            },
            Held::Datagram(out) => {
                held.keep_datagram(out);
                With::Nothing
            }
            Held::Accept => accepted(result),
            Held::Slot => {
                let result = numbered(result, self.first, &mut self.free);
                return Completion { tag: Tag(tag), result, more, left, with: With::Nothing };
            }
            Held::Room(taken) if result > 0 => {
                self.pieces.push_back(Chunk::Lease(pool.filled(taken, result as u32)));
                With::Buffers
            }
            Held::Room(taken) => {
                pool.put_back(taken);
                With::Nothing
            }
            Held::Address(_) | Held::Linger(_) => With::Nothing,
        };
        Completion { tag: Tag(tag), result, more, left, with }
    }

    fn push_entry(&mut self, sqe: Sqe) {
        self.counts.submissions += 1;
        self.counts.in_flight += u64::from(!sqe.is_silent());
        // SAFETY: both are 64 bytes of plain integers in the kernel's layout (asserted where `Sqe` is defined).
        let entry: squeue::Entry = unsafe { std::mem::transmute(sqe) };
        loop {
            // SAFETY: what the entry points to is owned by `memory` until its last completion: `encode` put it there, and
            // only a completion (`decode_held`) takes it out.
            if unsafe { self.uring.submission().push(&entry) }.is_ok() {
                self.unsubmitted += 1;
                return;
            }
            self.make_room().expect("a full submission queue can be submitted");
            // The kernel may take nothing more before it has room for completions.
            self.reap();
        }
    }

    /// Submits a queue that is full; where a thread of the kernel takes entries by itself, waits until it has taken one.
    fn make_room(&mut self) -> io::Result<()> {
        let wait = if self.gifts.polled { ENTER_SQ_WAKEUP | ENTER_SQ_WAIT } else { 0 };
        self.call(wait, 0, None)
    }

    fn enter(&mut self, want: u32, deadline_ns: Option<u64>) -> io::Result<()> {
        if !self.gifts.polled {
            return self.call(0, want, deadline_ns);
        }
        // What the kernel's thread takes and completes by itself takes no call: only it may be asleep, and only a call brings
        // completions for which there was no room.
        let asleep = self.uring.submission().need_wakeup() && !self.uring.submission().is_empty();
        if want == 0 && !asleep && !self.uring.submission().cq_overflow() {
            self.unsubmitted = 0;
            return Ok(());
        }
        self.call(if asleep { ENTER_SQ_WAKEUP } else { 0 }, want, deadline_ns)
    }

    fn call(&mut self, flags: u32, want: u32, deadline_ns: Option<u64>) -> io::Result<()> {
        let to_submit = self.uring.submission().len() as u32;
        let batched = want > 1 && self.gifts.min_wait_us > 0;
        // Without a deadline the kernel ends the wait with the min wait, though nothing came (io_uring_enter(2) does not say
        // so; io_cqring_min_timer_wakeup() does): an idle thread would never sleep.
        let deadline_ns = if batched { deadline_ns.or(Some(u64::MAX)) } else { deadline_ns };
        let time = deadline_ns.map(|at| {
            let left = at.saturating_sub(Clock::now_ns()).min(FAR_NS);
            Timespec { seconds: (left / 1_000_000_000) as i64, nanoseconds: (left % 1_000_000_000) as i64 }
        });
        let timeout = time.as_ref().map_or(0, |time| std::ptr::from_ref(time) as u64);
        let min_wait_us = if batched { self.gifts.min_wait_us } else { 0 };
        let events = GetEvents { sigmask: 0, sigmask_bytes: 0, min_wait_us, timeout };
        // GETEVENTS always: under DEFER_TASKRUN an enter without it runs no deferred work, and a loop that never sleeps
        // would starve its completions.
        let no_iowait = if self.gifts.no_iowait { ENTER_NO_IOWAIT } else { 0 };
        let flags = ENTER_GETEVENTS | ENTER_EXT_ARG | no_iowait | flags;
        self.counts.enters += 1;
        // SAFETY: `events` and `time` outlive the call; the entries were checked when they were pushed.
        let entered = unsafe { self.uring.submitter().enter(to_submit, want, flags, Some(&events)) };
        // The queue's own word: a refused enter may have taken none of them, and a good one not all. What the kernel's thread
        // is awake to take is as good as taken.
        self.unsubmitted = if self.gifts.polled { 0 } else { self.uring.submission().len() as u32 };
        match entered {
            Ok(_) => Ok(()),
            Err(error) => match error.raw_os_error() {
                // Time is up; a signal came; completions must be reaped, or memory freed, before more is submitted.
                Some(libc::ETIME | libc::EINTR | libc::EBUSY | libc::EAGAIN) => Ok(()),
                _ => Err(error),
            },
        }
    }

    fn reap(&mut self) {
        self.counts.cq_overflows += u64::from(self.uring.submission().cq_overflow());
        let queue = self.uring.completion();
        self.counts.completions += queue.len() as u64;
        self.reaped.extend(queue);
    }
}

impl Drop for Ring {
    /// Ends everything that is in flight and waits for it, then frees. Memory whose completion does not come is leaked:
    /// the kernel may still write to it.
    fn drop(&mut self) {
        let clear = self.counts.in_flight == 0 || {
            self.push_entry(Sqe::cancel_any());
            (0..1000).any(|_| {
                let deadline = Clock::now_ns() + 10_000_000;
                let waited = self.wait(1, Some(deadline));
                while self.pop().is_some() {
                    self.pieces.clear();
                }
                waited.is_err() || self.counts.in_flight == 0
            }) && self.counts.in_flight == 0
        };
        self.pieces.clear();
        // SAFETY: dropped once, here, and not used after.
        unsafe { ManuallyDrop::drop(&mut self.uring) };
        if clear {
            // SAFETY: as above; and no submission is in flight, so the kernel reads and writes none of this memory. The
            // ring that read the buffer ring is closed.
            unsafe { ManuallyDrop::drop(&mut self.memory) };
        }
    }
}

/// What io_uring is to this process, found out by making such a ring and dropping it.
///
/// Errors: those of [`Ring::new`].
pub fn probe(factors: &Factors) -> Result<Features, RingError> {
    let pool = crate::pool::Plan { count: 16, ..crate::pool::Plan::default() };
    let pool = Pool::new(pool).map_err(|e| RingError::from_io("the buffers", e, 0))?;
    let ring = Ring::new(&Setup { descriptors: 8, factors: *factors, ..Setup::default() }, pool)?;
    Ok(ring.features.clone())
}

/// What registered buffers are for, among the features.
const ZERO_COPY: &str = "zero-copy sends";

/// Registers the pool's buffer ring; if `incremental`, one of whose buffers each receive fills the next bytes.
fn register_buffers(uring: &IoUring, pool: &Pool, incremental: bool) -> Result<(), RingError> {
    let (address, entries) = pool.hand_to_kernel(incremental);
    let flags = if incremental { PBUF_RING_INC } else { 0 };
    // SAFETY: the buffer ring is a live mapping of `entries` entries inside `pool`, which the ring that is being made keeps
    // until the kernel's side is torn down (see its `drop`).
    let registered =
        unsafe { uring.submitter().register_buf_ring_with_flags(address, entries, GROUP, flags) };
    registered.map_err(|error| match error.raw_os_error() {
        Some(libc::EINVAL) if incremental => {
            RingError::factor("inc=on", "this kernel has it not; Linux 6.12 has")
        }
        _ => RingError::from_io("the buffer ring", error, u64::from(entries) * 16),
    })
}

/// Registers the first `bytes` of the pool's arena as fixed buffer 0 and returns how many whole buffers that makes. The
/// kernel charges them to RLIMIT_MEMLOCK unless the process has CAP_IPC_LOCK (io_uring_register(2)).
fn register_arena(uring: &IoUring, pool: &Pool, bytes: usize, features: &mut Features) -> u32 {
    if !setup::knows_zero_copy(uring) {
        features.note(ZERO_COPY, Err("this kernel has them not; Linux 6.0 has".into()));
        return 0;
    }
    let each = pool.buffer_bytes() as usize;
    let mut range = pool.range();
    let fixed = (bytes.min(range.iov_len) / each).min(pool.count() as usize);
    let have = crate::limits::memlock().map_or(0, |limit| limit.soft);
    let short = |fixed: usize| {
        let (count, need) = (pool.count(), pool.count() as usize * each);
        Err(format!(
            "from {fixed} of {count} buffers only: {need} bytes are over this shard's part of RLIMIT_MEMLOCK ({have})"
        ))
    };
    range.iov_len = fixed * each;
    // SAFETY: the range is a part of the pool's arena, a live mapping that this ring keeps until the kernel's side is torn
    // down. The kernel only reads it, for sends of parts that are lent.
    let registered = match fixed {
        0 => Err(io::Error::from_raw_os_error(libc::ENOMEM)),
        // SAFETY: as above.
        _ => unsafe { uring.submitter().register_buffers(&[range]) },
    };
    let there = registered.is_ok();
    match registered {
        Ok(()) if fixed == pool.count() as usize => features.note(ZERO_COPY, Ok(())),
        Ok(()) => features.note(ZERO_COPY, short(fixed)),
        Err(error) if error.raw_os_error() == Some(libc::ENOMEM) => features.note(ZERO_COPY, short(0)),
        Err(error) => features.note(ZERO_COPY, Err(error.to_string())),
    };
    if there { fixed as u32 } else { 0 }
}

/// What the completion of an accept into descriptors of the process brings.
fn accepted(result: i32) -> With {
    match result {
        0.. => {
            // SAFETY: the result of such an accept, good and seen once, is a new descriptor that nobody else owns.
            With::Descriptor(unsafe { OwnedFd::from_raw_fd(result) })
        }
        _ => With::Nothing,
    }
}

/// Takes a datagram apart that a multishot recvmsg laid into a buffer: a header of lengths, the room for the name, the room
/// for the control messages, the payload (io_uring_prep_recvmsg_multishot(3)).
fn datagram(pool: &Pool, buffer: u16, result: i32) -> With {
    let mut whole = None;
    if result <= 0 {
        pool.give_back(buffer);
        return With::Nothing;
    }
    pool.lend(buffer, result as u32, |lease| whole = Some(lease));
    let mut bytes = whole.expect("one buffer was lent");
    let word =
        |at: usize| bytes.get(at..at + 4).map(|b| u32::from_ne_bytes([b[0], b[1], b[2], b[3]]) as usize);
    let parts = (|| Some((word(0)?, word(4)?, word(8)?, word(12)?)))();
    let Some((name_len, control_len, payload_len, flags)) = parts else { return With::Nothing };
    const HEADER_BYTES: usize = 16;
    let name_at = HEADER_BYTES;
    let control_at = name_at + NAME_BYTES;
    let payload_at = control_at + CONTROL_BYTES;
    let name = bytes.get(name_at..name_at + name_len.min(NAME_BYTES)).and_then(SockAddr::parse);
    let control = bytes.get(control_at..control_at + control_len.min(CONTROL_BYTES));
    let local = control.and_then(Arrival::parse).map(|arrival| arrival.local);
    let Some(peer) = name.filter(|_| payload_at <= bytes.len()) else { return With::Nothing };
    let cut = flags & libc::MSG_TRUNC as usize != 0 || payload_len > bytes.len() - payload_at;
    bytes.skip(payload_at);
    With::Datagram(Received { bytes, peer, local, cut })
}

#[repr(C)]
struct Timespec {
    seconds: i64,
    nanoseconds: i64,
}

#[repr(C)]
struct GetEvents {
    sigmask: u64,
    sigmask_bytes: u32,
    min_wait_us: u32,
    timeout: u64,
}

const ENTER_GETEVENTS: u32 = 1 << 0;
const ENTER_SQ_WAKEUP: u32 = 1 << 1;
const ENTER_SQ_WAIT: u32 = 1 << 2;
const ENTER_EXT_ARG: u32 = 1 << 3;
const ENTER_NO_IOWAIT: u32 = 1 << 7;
/// Longer than anybody waits: a deadline for waits that have none and need one.
const FAR_NS: u64 = 3_600_000_000_000;
const PBUF_RING_INC: u16 = 1 << 1;
/// `IORING_NOTIF_USAGE_ZC_COPIED`
const NOTIF_COPIED: u32 = 1 << 31;

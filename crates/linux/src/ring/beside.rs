//! Rings of one thread beside its first: for more direct descriptors than one table holds, and nothing else.
//!
//! Their slots are numbered and counted, they receive into buffers that no kernel ring reads, and they say by an eventfd that they
//! have something, while they are told to.

use super::inflight::InFlight;
use super::setup::{self, Gifts};
use super::{Counts, Features, Ring, RingError, Setup};
use crate::pool::Pool;
use crate::sync::{Ordering, fence};
use crate::wake::EventFd;
use io_uring::IoUring;
use std::collections::VecDeque;
use std::mem::ManuallyDrop;
use std::os::fd::{AsFd, AsRawFd};

impl Ring {
    /// Makes a ring beside this one, for more direct descriptors of the same thread: a table's size is bounded for each ring
    /// apart (io_uring_register(2)). Its slots are numbered from `first` on. It is given no buffers: what it is to receive is
    /// polled for ([`Op::Poll`](super::Op::Poll)) and fetched into buffers of `pool`, which no kernel ring reads. While it is told to
    /// ([`Ring::notify`]), it signals `event` when it has something.
    ///
    /// Errors: as of [`Ring::new`].
    pub fn beside(
        &self,
        setup: &Setup,
        first: u32,
        pool: Pool,
        event: &'static EventFd,
    ) -> Result<Ring, RingError> {
        // Whether it has work must be seen in memory: nobody enters it to find out.
        let (uring, tier) = setup::climb(&Setup { spin: true, ..*setup })?;
        // A thread may register 16 of them (IO_RINGFD_REG_MAX); further ones are found by their descriptor.
        if setup.factors.ring_fd {
            drop(uring.submitter().register_ring_fd());
        }
        let bytes = u64::from(setup.descriptors) * 16;
        let table = uring.submitter().register_files_sparse(setup.descriptors);
        table.map_err(|e| RingError::from_io("the descriptor table", e, bytes))?;
        let signals = uring.submitter().register_eventfd(event.as_fd().as_raw_fd());
        signals.map_err(|e| RingError::from_io("the signal of a ring", e, 0))?;
        if CAN_HUSH {
            hush(&uring, true);
        }
        Ok(Ring {
            uring: ManuallyDrop::new(uring),
            memory: ManuallyDrop::new((pool.clone(), InFlight::default())),
            gifts: Gifts { pool: Some(pool), numbers: true, ..self.gifts.clone() },
            fixed: 0,
            features: Features { tier, present: Vec::new(), missing: Vec::new() },
            reaped: VecDeque::new(),
            pieces: VecDeque::new(),
            counts: Counts::default(),
            unsubmitted: 0,
            first,
            free: setup.descriptors,
        })
    }

    /// Lets [`Ring::free_descriptors`] be right. Before the first of them is used.
    pub fn count_descriptors(&mut self) {
        self.gifts.numbers = true;
    }

    /// Direct descriptors that nobody has, where they are counted.
    pub fn free_descriptors(&self) -> u32 {
        self.free
    }

    /// Whether rings beside another are to signal that they have something. What came while they were not told to is seen by
    /// [`Ring::work_waits`] alone, so look after this.
    pub fn notify<'a>(rings: impl Iterator<Item = &'a mut Ring>, on: bool) {
        if !CAN_HUSH {
            return;
        }
        rings.for_each(|ring| hush(&ring.uring, !on));
        // One for all of them, since it is what costs. None where a signal too many is all that can come of it.
        if on {
            fence(Ordering::SeqCst);
        }
    }
}

/// Whether a ring may be told not to signal while its thread is awake. The kernel says that there is work and then looks whether
/// to signal (io_req_local_work_add()); only where atomic operations are barriers is it certain that one of both sides sees the other.
const CAN_HUSH: bool = cfg!(target_arch = "x86_64");

fn hush(uring: &IoUring, on: bool) {
    // SAFETY: a completion queue of its own; only its flags are used, and nobody else has one of this ring at this moment.
    let queue = unsafe { uring.completion_shared() };
    if on {
        queue.disable_eventfd();
    } else {
        queue.enable_eventfd();
    }
}

/// A slot that the kernel gave out, as it is called outside.
pub(super) fn numbered(result: i32, first: u32, free: &mut u32) -> i32 {
    if result < 0 {
        return result;
    }
    *free -= 1;
    result + first as i32
}

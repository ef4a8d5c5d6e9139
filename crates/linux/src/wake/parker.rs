//! How a thread goes to sleep without missing what another one just gave it.
//!
//! Two threads each write one thing and read the other's: the giver publishes its work and reads `parked`; the owner
//! writes `parked` and looks for work. Between its write and its read each puts a SeqCst fence, so at least one of them
//! sees the other: the giver wakes the owner, or the owner does not park. With Release and Acquire alone both reads
//! could miss, and the owner would sleep beside its work.

use super::event_fd::EventFd;
use crate::sync::{AtomicBool, Ordering, fence};

/// The bed of one thread, its owner. The others hold a reference to it.
#[derive(Debug)]
pub struct Parker {
    parked: AtomicBool,
    event: EventFd,
}

impl Parker {
    /// A parker that wakes its owner by `event`, on which the owner waits.
    pub fn new(event: EventFd) -> Parker {
        Parker { parked: AtomicBool::new(false), event }
    }

    /// What the owner waits on.
    pub fn event(&self) -> &EventFd {
        &self.event
    }

    /// Owner: announces that it is about to wait, then asks `is_pending` whether some work is there already.
    ///
    /// True: wait now, and call [`Parker::unpark`] afterwards. False: there is work, and nothing was announced.
    /// `is_pending` must look at every queue whose givers use this parker, and at the queues themselves, not at what
    /// was seen of them before.
    #[inline]
    pub fn park(&self, is_pending: impl FnOnce() -> bool) -> bool {
        // A store would do; a swap stands in one order with the swaps of `claim_wake` even for loom, which would
        // otherwise let a giver read its own old `false` after it has seen this.
        self.parked.swap(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        let may_wait = !is_pending();
        if !may_wait {
            self.unpark();
        }
        may_wait
    }

    /// Owner: says that it is awake, for whatever reason it woke. Givers no longer signal.
    #[inline]
    pub fn unpark(&self) {
        self.parked.store(false, Ordering::Relaxed);
    }

    /// Giver, after it has published: whether it must wake the owner. Says so to one giver for each time of sleep.
    ///
    /// For a giver with a cheaper way than the eventfd, such as a message from ring to ring.
    #[inline]
    pub fn claim_wake(&self) -> bool {
        fence(Ordering::SeqCst);
        self.parked.load(Ordering::Relaxed) && self.parked.swap(false, Ordering::Relaxed)
    }

    /// Giver, after it has published: wakes the owner if it is parked. Costs no system call if it is not.
    #[inline]
    pub fn notify(&self) {
        if self.claim_wake() {
            self.event.signal();
        }
    }

    /// Whether the owner is parked, or about to be. A hint: only [`Parker::claim_wake`] is ordered after what the
    /// caller published.
    #[inline]
    pub fn is_parked(&self) -> bool {
        self.parked.load(Ordering::Relaxed)
    }
}

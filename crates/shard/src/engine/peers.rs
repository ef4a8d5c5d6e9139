//! What the seats of one run know of each other: how each is woken, and which of them still serve.

use linux::wake::Parker;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

pub(crate) struct Peers {
    pub(crate) parkers: Vec<&'static Parker>,
    /// Those of workers, whose seats are numbered behind the shards'. One that never began has none.
    workers: Box<[OnceLock<&'static Parker>]>,
    /// The descriptor of each seat's ring, -1 when it has none.
    pub(crate) rings: Vec<AtomicI32>,
    /// Seats that still serve.
    pub(crate) serving: AtomicUsize,
    /// Which do not.
    left: Vec<AtomicBool>,
}

impl Peers {
    /// The shards, and how many workers they may have together.
    pub(crate) fn new(parkers: Vec<&'static Parker>, workers: usize) -> Arc<Peers> {
        let rings = parkers.iter().map(|_| AtomicI32::new(-1)).collect();
        let left = parkers.iter().map(|_| AtomicBool::new(false)).collect();
        let serving = AtomicUsize::new(parkers.len());
        let workers = (0..workers).map(|_| OnceLock::new()).collect();
        Arc::new(Peers { parkers, workers, rings, serving, left })
    }

    /// A worker's seat is used for the first time; it keeps its parker for the run.
    pub(crate) fn add_worker(&self, seat: u16, parker: &'static Parker) {
        let added = self.workers[usize::from(seat) - self.parkers.len()].set(parker);
        debug_assert!(added.is_ok(), "a seat has one parker");
    }

    /// Wakes a seat, of a worker too, if it sleeps.
    pub(crate) fn notify(&self, seat: u16) {
        let seat = usize::from(seat);
        let parker = match seat.checked_sub(self.parkers.len()) {
            None => Some(self.parkers[seat]),
            Some(worker) => self.workers[worker].get().copied(),
        };
        parker.into_iter().for_each(Parker::notify);
    }

    /// A seat serves no more but what is late. Said more than once it counts once.
    pub(crate) fn leave(&self, seat: u16) {
        if !self.left[usize::from(seat)].swap(true, Ordering::SeqCst)
            && self.serving.fetch_sub(1, Ordering::SeqCst) == 1
        {
            self.parkers.iter().for_each(|parker| parker.notify());
        }
    }

    /// Whether no seat serves anything but what is late.
    pub(crate) fn all_left(&self) -> bool {
        self.serving.load(Ordering::Acquire) == 0
    }
}

/// A seat's place among its peers, given up when its thread ends, however that ends.
pub(crate) struct Place {
    pub(crate) peers: Arc<Peers>,
    pub(crate) seat: u16,
}

impl Drop for Place {
    fn drop(&mut self) {
        // No seat sends messages to a ring that is about to be closed.
        self.peers.rings[usize::from(self.seat)].store(-1, Ordering::Release);
        self.peers.leave(self.seat);
    }
}

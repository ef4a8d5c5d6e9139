//! One server behind all connections, which works as the recursion in `stats::lindley` says: what it does is known in closed form.

use shard::engine::sim::{Line, Peer};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

/// It answers messages of `bytes` bytes with themselves.
#[derive(Clone)]
pub(crate) struct Queue {
    bytes: usize,
    /// The time of service of each, by its index.
    service: fn(u64) -> u64,
    /// In stalls nothing is served: (begin, end), of the world's time.
    stalls: Rc<Vec<(u64, u64)>>,
    shared: Rc<RefCell<Shared>>,
    /// One request after the other, or all at once.
    fifo: bool,
    waiting: Vec<u8>,
    /// What this connection's client is to get, and when.
    leaving: VecDeque<(u64, Vec<u8>)>,
}

#[derive(Default)]
struct Shared {
    index: u64,
    free_ns: u64,
}

impl Queue {
    pub(crate) fn new(bytes: usize, fifo: bool, service: fn(u64) -> u64, stalls: Vec<(u64, u64)>) -> Queue {
        let (stalls, shared) = (Rc::new(stalls), Rc::default());
        Queue { bytes, service, stalls, shared, fifo, waiting: Vec::new(), leaving: VecDeque::new() }
    }

    /// When the next request leaves, which arrives now. Nanosecond by nanosecond in thought: work is done outside of stalls.
    fn serve(&self, now: u64) -> u64 {
        let mut shared = self.shared.borrow_mut();
        let mut at = if self.fifo { now.max(shared.free_ns) } else { now };
        let mut left = (self.service)(shared.index);
        for (from, to) in self.stalls.iter() {
            let before = from.saturating_sub(at);
            if *to <= at || before >= left {
                continue;
            }
            (at, left) = (at.max(*to), left - before);
        }
        shared.index += 1;
        shared.free_ns = at + left;
        at + left
    }

    fn send(&mut self, line: &mut Line<'_>) {
        while let Some((at, bytes)) = self.leaving.front_mut() {
            if *at > line.now_ns() {
                return line.wait(Duration::from_nanos(*at - line.now_ns()));
            }
            line.send(std::mem::take(bytes));
            self.leaving.pop_front();
        }
    }
}

impl Peer for Queue {
    fn on_connect(&mut self, _line: &mut Line<'_>) {}

    fn on_bytes(&mut self, bytes: &[u8], line: &mut Line<'_>) {
        self.waiting.extend_from_slice(bytes);
        while self.waiting.len() >= self.bytes {
            let message = self.waiting.drain(..self.bytes).collect();
            let leaves = self.serve(line.now_ns());
            self.leaving.push_back((leaves, message));
            if self.leaving.len() == 1 {
                self.send(line);
            }
        }
    }

    fn on_timer(&mut self, line: &mut Line<'_>) {
        self.send(line);
    }
}

//! One connection of a load: what is outstanding on it, and when each request left.
//!
//! Answers of a stream come in the order of its requests. A request is *stamped* when the engine has told that bytes of its
//! connection were given to the kernel at or after the time it was written.

use super::reader::Reader;
use super::udp::DONE;
use shard::Leg;
use std::collections::VecDeque;

/// One request on its way. Times are of the seat's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Request {
    /// When the schedule wanted it sent.
    pub(super) intended_ns: u64,
    /// When it was intended and a connection was free for it.
    pub(super) due_ns: u64,
    /// When its first byte was given to the kernel; 0 is not known yet.
    pub(super) sent_ns: u64,
}

/// One connection.
#[derive(Debug)]
pub(super) struct Line {
    /// Which one it is of all connections of the load.
    pub(super) number: u32,
    pub(super) state: State,
    pub(super) leg: Option<Leg>,
    /// Oldest first.
    pub(super) requests: VecDeque<Request>,
    /// How many of the newest have no stamp yet.
    unstamped: usize,
    /// When the newest was written.
    written_ns: u64,
    /// Number of the next request; it goes on when the connection is a new one.
    pub(super) next: u64,
    /// How far the answer to the oldest request has come.
    pub(super) reader: Reader,
    /// When the first byte of that answer came.
    pub(super) first_ns: u64,
    /// When the connection last had room again for a request.
    pub(super) free_ns: u64,
    /// It stands in the queue of free lines.
    pub(super) queued: bool,
    /// Its output had no room for a request: `Drained` will come.
    pub(super) blocked: bool,
    /// Requests that this connection may still begin.
    pub(super) left: u64,
    /// When this connection ends its life.
    pub(super) until_ns: u64,
    /// When it connects again, and how long it waits after the next failure.
    pub(super) again_ns: u64,
    pub(super) backoff_ns: u64,
    /// A request was answered on this connection.
    pub(super) answered: bool,
    /// It has been opened, or has failed, once.
    pub(super) tried: bool,
}

/// How far a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Not connected.
    Down,
    /// Since this time.
    Connecting(u64),
    /// Ready for requests.
    Open,
}

impl Line {
    pub(super) fn new(number: u32, pipeline: usize) -> Line {
        Line {
            number,
            state: State::Down,
            leg: None,
            requests: VecDeque::with_capacity(pipeline),
            unstamped: 0,
            written_ns: 0,
            next: 0,
            reader: Reader::default(),
            first_ns: 0,
            free_ns: 0,
            queued: false,
            blocked: false,
            left: u64::MAX,
            until_ns: u64::MAX,
            again_ns: 0,
            backoff_ns: 0,
            answered: false,
            tried: false,
        }
    }

    /// Takes note of a request that was just written.
    #[inline]
    pub(super) fn push(&mut self, request: Request, now_ns: u64) {
        self.requests.push_back(request);
        self.unstamped += 1;
        self.written_ns = now_ns;
        self.next += 1;
        self.left -= 1;
    }

    /// The engine says that bytes of this connection last left at `sent_ns`. Asked before each write and each answer, so that no
    /// later send is taken for an earlier one.
    #[inline]
    pub(super) fn stamp(&mut self, sent_ns: u64) {
        // What waits behind a send that the kernel took only a part of has not left yet.
        if self.unstamped > 0 && sent_ns >= self.written_ns {
            let from = self.requests.len() - self.unstamped;
            for request in self.requests.range_mut(from..) {
                request.sent_ns = sent_ns.max(request.due_ns);
            }
            self.unstamped = 0;
        }
    }

    /// The oldest request was answered, or is given up.
    #[inline]
    pub(super) fn pop(&mut self) -> Option<Request> {
        let mut request = self.requests.pop_front()?;
        if self.unstamped > self.requests.len() {
            self.unstamped = self.requests.len();
            // Without a stamp the time at which it was written has to do.
            request.sent_ns = request.due_ns.max(self.written_ns);
        }
        Some(request)
    }

    /// The request at this place of the window was answered before older ones: it leaves when it is the oldest.
    pub(super) fn take(&mut self, at: usize) -> Request {
        let mut request = self.requests[at];
        if request.sent_ns == 0 {
            request.sent_ns = request.due_ns.max(self.written_ns);
        }
        self.requests[at].intended_ns = DONE;
        while self.requests.front().is_some_and(|request| request.intended_ns == DONE) {
            self.requests.pop_front();
        }
        self.unstamped = self.unstamped.min(self.requests.len());
        request
    }

    /// Forgets what belonged to a connection that is gone. Its requests were popped before.
    pub(super) fn reset(&mut self) {
        debug_assert!(self.requests.is_empty());
        (self.state, self.leg, self.unstamped) = (State::Down, None, 0);
        self.blocked = false;
        self.reader = Reader::default();
    }

    /// Whether another request may be begun on it.
    #[inline]
    pub(super) fn is_free(&self, pipeline: usize) -> bool {
        self.state == State::Open && !self.blocked && self.left > 0 && self.requests.len() < pipeline
    }
}

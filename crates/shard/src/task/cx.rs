//! What a story holds: reads, writes, legs and time, as futures that only note what they wait for.
//!
//! Each of them may be dropped at any await, by a `select` or a timeout, without losing or doubling a byte. Several may
//! wait at once, under whatever combinator.

use super::slate::{Answer, Ask, Slate, Ticket};
use crate::io::Connect;
use crate::meter::Meter;
use crate::service::{Leg, LegError};
use crate::wheel::Tick;
use linux::Chunk;
use std::cell::RefCell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

/// The story's side of a [`Task`](super::Task). Cheap to clone, so that parts of a story can each have one.
#[derive(Clone)]
pub struct Cx(Rc<RefCell<Slate>>);

impl Cx {
    pub(super) fn new(slate: Rc<RefCell<Slate>>) -> Cx {
        Cx(slate)
    }

    /// The next bytes of a leg as they came, never empty; `None` once the peer has finished sending. At most one piece is
    /// taken from the engine ahead of its reader; dropped while it waits, it takes none.
    ///
    /// A piece is a receive buffer of the seat until it is dropped or written, and there are few: what a story keeps while
    /// it waits for something slow, it copies.
    ///
    /// Errors: why the leg failed; `Os(EBADF)` for a leg that was closed or never was this task's.
    pub async fn read(&self, leg: Leg) -> Result<Option<Chunk>, LegError> {
        self.poll(|slate, cx| slate.read(leg, cx)).await
    }

    /// Adds a chunk to a leg's output; waits until there is room for all of it. Dropped while it waits, it has written
    /// all or nothing: a chunk that is partly queued follows whole, before anything written later.
    ///
    /// Errors: why the leg failed; `Os(EPIPE)` after [`finish`](Cx::finish), `Os(EBADF)` as in [`read`](Cx::read).
    pub async fn write(&self, leg: Leg, chunk: Chunk) -> Result<(), LegError> {
        let mut chunk = Some(chunk);
        self.poll(move |slate, cx| slate.write(leg, &mut chunk, cx)).await
    }

    /// Waits until a leg fails, and says why. A FIN of the peer is no failure.
    pub async fn failed(&self, leg: Leg) -> LegError {
        self.poll(|slate, cx| slate.failed(leg, cx)).await
    }

    /// Opens a leg to a peer. Dropped while it waits, it gives the attempt up.
    ///
    /// Errors: [`LegError::NoRoom`] at the seat's bound, else why it failed, [`LegError::Timeout`] at its deadline.
    pub async fn connect(&self, to: Connect) -> Result<Leg, LegError> {
        match self.ask(Ask::Connect(to)).await {
            Answer::Connected(result) => result,
            other => unreachable!("a connect was answered by {other:?}"),
        }
    }

    /// Moves the next `n` bytes of `from` to `to` without coming by here; [`u64::MAX`] means all that come. The bytes
    /// moved: fewer than `n` when `from` ended or either leg failed, which the next read or write of that leg tells.
    ///
    /// Dropped while it waits, it goes on. Until it ends, `from` is not for reading.
    pub async fn pipe(&self, from: Leg, to: Leg, n: u64) -> u64 {
        let first = self.0.borrow_mut().left_over(from, n);
        let ahead = first.as_ref().map_or(0, |chunk| chunk.len() as u64);
        if let Some(chunk) = first
            && self.write(to, chunk).await.is_err()
        {
            return 0;
        }
        match self.ask(Ask::Pipe(from, to, n - ahead)).await {
            Answer::Piped(bytes) => ahead + bytes,
            other => unreachable!("a pipe was answered by {other:?}"),
        }
    }

    /// Waits, to the next millisecond.
    pub async fn sleep(&self, after: Duration) {
        self.ask(Ask::Sleep(after)).await;
    }

    /// Waits until the seat drains; returns at once if it does already.
    pub async fn draining(&self) {
        self.poll(|slate, cx| slate.draining(cx)).await;
    }

    /// The time of this turn; see [`Io::now`](crate::Io::now).
    pub fn now(&self) -> Tick {
        self.0.borrow().now()
    }

    /// Flushes, sends FIN, keeps receiving. A write that still waits for room goes out first.
    pub fn finish(&self, leg: Leg) {
        self.0.borrow_mut().finish(leg);
    }

    /// Flushes, then closes. A write that still waits for room goes out first. The leg is no longer the task's.
    ///
    /// A leg that has failed is remembered until it is closed or aborted too: a story that opens many closes each.
    pub fn close(&self, leg: Leg) {
        self.0.borrow_mut().close(leg);
    }

    /// Resets now; what is queued or waits for room is dropped. The leg is no longer the task's.
    pub fn abort(&self, leg: Leg) {
        self.0.borrow_mut().abort(leg);
    }

    /// Counts something on the seat's meter, right after this poll.
    pub fn count(&self, count: fn(&Meter)) {
        self.0.borrow_mut().count(count);
    }

    async fn poll<T>(&self, mut poll: impl FnMut(&mut Slate, &Context<'_>) -> Poll<T>) -> T {
        poll_fn(|cx| poll(&mut self.0.borrow_mut(), cx)).await
    }

    async fn ask(&self, ask: Ask) -> Answer {
        let asked = Asked { slate: &self.0, ticket: self.0.borrow_mut().ask(ask) };
        poll_fn(|cx| asked.slate.borrow_mut().answer_of(asked.ticket, cx)).await
    }
}

/// Gives up what was asked for when its future is dropped, answered or not.
struct Asked<'a> {
    slate: &'a RefCell<Slate>,
    ticket: Ticket,
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        self.slate.borrow_mut().give_up(self.ticket);
    }
}

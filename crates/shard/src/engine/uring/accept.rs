//! Listeners of one seat: accepting, stopping at the bound, backing off, and the end.
//!
//! ```text
//! Armed --bound reached / drain--> Stopping --last completion--> Idle --room again--> Armed
//!   \--error or F_MORE lost--> Idle (armed again at once, or after the back-off)
//! ```

use super::driver::{Driver, For};
use super::ring::Ring;
use crate::service::ListenerId;
use linux::errno;
use linux::net::Listener;
use linux::ring::{Op, Sock, Tag};
use std::os::fd::{AsFd, AsRawFd};

/// One listener's socket on this seat.
pub(super) struct Accept {
    pub(super) listener: Option<Listener>,
    pub(super) id: ListenerId,
    /// It serves through the drain and is closed at its end.
    pub(super) late: bool,
    state: State,
    /// Not armed before this time: descriptors or memory were short.
    again_ns: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Idle,
    Armed,
    Stopping,
}

/// How long accept rests after EMFILE, ENFILE, ENOBUFS or ENOMEM: long enough not to spin, short enough not to be noticed.
const BACK_OFF_NS: u64 = 50_000_000;

impl Accept {
    pub(super) fn new(listener: Listener, id: ListenerId, late: bool) -> Accept {
        Accept { listener: Some(listener), id, late, state: State::Idle, again_ns: 0 }
    }

    /// Arms it if it is neither armed nor resting.
    pub(super) fn arm<R: Ring>(&mut self, now_ns: u64, driver: &mut Driver<R>) {
        if let Some(listener) =
            self.listener.as_ref().filter(|_| self.state == State::Idle && now_ns >= self.again_ns)
        {
            self.state = State::Armed;
            driver.ring.push(Op::AcceptMulti(Sock::Plain(listener.as_fd().as_raw_fd())), self.tag());
        }
    }

    /// Stops accepting; what waits stays in the listener's queue. Says whether that changed anything.
    pub(super) fn stop<R: Ring>(&mut self, driver: &mut Driver<R>) -> bool {
        if self.state != State::Armed {
            return false;
        }
        self.state = State::Stopping;
        driver.ring.push(Op::Cancel(self.tag()), super::driver::tag(For::Forgotten, super::NOBODY));
        true
    }

    /// Its last completion came. `errno` 0 is a multishot that just ended.
    pub(super) fn ended(&mut self, errno: i32, now_ns: u64) {
        self.state = State::Idle;
        if is_shortage(errno) {
            self.again_ns = now_ns + BACK_OFF_NS;
        }
    }

    /// When it wants to be armed again though nothing happens.
    pub(super) fn rests_until_ns(&self) -> Option<u64> {
        (self.listener.is_some() && self.state == State::Idle).then_some(self.again_ns)
    }

    pub(super) fn is_idle(&self) -> bool {
        self.state == State::Idle
    }

    fn tag(&self) -> Tag {
        Tag::new(For::Accept as u8, u32::from(self.id.0), 0)
    }
}

/// Whether an error of accept is a lack of something that may come back.
pub(super) fn is_shortage(errno: i32) -> bool {
    matches!(errno, errno::EMFILE | errno::ENFILE | errno::ENOBUFS | errno::ENOMEM)
}

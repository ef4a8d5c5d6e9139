//! The ring as this engine uses it: few enough calls that a fake can keep the kernel's contract and break its luck.

use linux::ring::{self, Completion, Counts, Op, RingError, Tag};
use linux::{Chunk, Gather, Pool};
use std::collections::VecDeque;

/// What the engine needs of a ring. The rules are those of `linux::ring::Ring`.
pub(crate) trait Ring {
    fn push(&mut self, op: Op, tag: Tag);
    fn wait(&mut self, want: u32, deadline_ns: Option<u64>) -> Result<(), RingError>;
    fn next(&mut self) -> Option<Completion>;
    fn has_next(&self) -> bool;
    fn has_unsubmitted(&self) -> bool;
    fn pieces(&mut self) -> &mut VecDeque<Chunk>;
    fn pool(&self) -> &Pool;
    fn counts(&self) -> Counts;
    fn work_waits(&mut self) -> bool;
    fn can_send_zero_copy(&self, gather: &Gather) -> bool;
}

impl Ring for ring::Ring {
    #[inline]
    fn push(&mut self, op: Op, tag: Tag) {
        ring::Ring::push(self, op, tag);
    }

    fn wait(&mut self, want: u32, deadline_ns: Option<u64>) -> Result<(), RingError> {
        ring::Ring::wait(self, want, deadline_ns)
    }

    #[inline]
    fn next(&mut self) -> Option<Completion> {
        ring::Ring::pop(self)
    }

    fn has_next(&self) -> bool {
        ring::Ring::has_next(self)
    }

    fn has_unsubmitted(&self) -> bool {
        ring::Ring::has_unsubmitted(self)
    }

    fn pieces(&mut self) -> &mut VecDeque<Chunk> {
        ring::Ring::pieces(self)
    }

    fn pool(&self) -> &Pool {
        ring::Ring::pool(self)
    }

    fn counts(&self) -> Counts {
        ring::Ring::counts(self)
    }

    fn work_waits(&mut self) -> bool {
        ring::Ring::work_waits(self)
    }

    fn can_send_zero_copy(&self, gather: &Gather) -> bool {
        ring::Ring::can_send_zero_copy(self, gather)
    }
}

//! The rings of one seat: one, or, where RLIMIT_NOFILE is smaller than the bound of connections, as many as their tables take.
//!
//! A table of direct descriptors holds at most RLIMIT_NOFILE of them, for each ring apart (io_uring_register(2)). So a seat
//! that is to hold more has rings beside its own, for those who find no place in that:
//!
//! ```text
//! its own    slots 0 .. n-1     armed receives; and all else: the wait, mail, datagrams, the seat's eventfd <--+
//! beside 1   slots n .. 2n-1    polled, fetched into buffers that these rings share                        ---+ signalled
//! beside 2   slots 2n .. 3n-1   ...                                                                        ---+ in its sleep
//! ```
//!
//! Which ring has work is seen in memory, and only those are entered: a turn costs as many enters as rings have work, and
//! one more if the seat sleeps. What was tried, and what it costs: docs/decisions/0014-rings.md.

use super::accept::is_single;
use super::driver::For;
use super::ring::{Ring, TASK_WORK_MAX};
use linux::ring::{self, Completion, Counts, Op, RingError, Setup, Sock, Tag};
use linux::wake::EventFd;
use linux::{Chunk, Gather, Pool};
use std::collections::VecDeque;

pub(super) struct Rings {
    primary: ring::Ring,
    beside: Vec<Beside>,
    /// Slots of each ring.
    slots: u32,
    /// What those beside fetch into; none where there is one ring.
    pool: Option<Pool>,
    /// Sockets that connect come from the tables.
    sockets: bool,
    /// Rings with submissions that the kernel has not taken.
    pushed: Vec<usize>,
    /// Rings with completions to be taken.
    reaped: VecDeque<usize>,
    /// The last wait may have left something with the kernel.
    behind: bool,
    /// What went wrong amid a turn, to be told by the wait.
    failed: Option<RingError>,
    /// Whose completion came last.
    last: Option<usize>,
    /// Sockets that each ring is making, or waits for by single accepts: they will have slots that are still counted as free.
    making: Vec<usize>,
    /// Into which ring each accept brings its connections: 0 is the seat's own.
    accepts: Vec<(Tag, usize)>,
}

struct Beside {
    ring: ring::Ring,
    /// Stands in `pushed`.
    pushed: bool,
    /// Stands in `reaped`.
    reaped: bool,
}

impl Rings {
    /// One ring.
    pub(super) fn one(primary: ring::Ring) -> Rings {
        let (beside, pushed, accepts) = (Vec::new(), Vec::new(), Vec::new());
        Rings {
            primary,
            beside,
            slots: 0,
            pool: None,
            sockets: false,
            making: Vec::new(),
            pushed,
            reaped: VecDeque::new(),
            behind: false,
            failed: None,
            last: None,
            accepts,
        }
    }

    /// One ring, from whose table sockets that connect come.
    pub(super) fn one_with_sockets(mut primary: ring::Ring) -> Rings {
        primary.count_descriptors();
        Rings { sockets: true, ..Rings::one(primary) }
    }

    /// A seat's own ring, beside which others will stand that fetch into `pool` ([`Rings::add`]). With `sockets`, those that connect
    /// come from the tables.
    pub(super) fn many(mut primary: ring::Ring, pool: Pool, setup: &Setup, sockets: bool) -> Rings {
        primary.count_descriptors();
        let (slots, making) = (setup.descriptors, vec![0]);
        Rings { slots, pool: Some(pool), sockets, making, ..Rings::one(primary) }
    }

    /// One more ring, of as many slots as the seat's own, that signals `event`.
    ///
    /// Errors: what the kernel says; those that are there serve without it.
    pub(super) fn add(&mut self, setup: &Setup, event: &'static EventFd) -> Result<(), RingError> {
        let pool = self.pool.clone().expect("of several rings those beside have a pool");
        let first = self.making.len() as u32 * self.slots;
        let ring = self.primary.beside(setup, first, pool, event)?;
        self.beside.push(Beside { ring, pushed: false, reaped: false });
        self.making.push(0);
        Ok(())
    }

    /// How many rings there are.
    pub(super) fn count(&self) -> usize {
        1 + self.beside.len()
    }

    pub(super) fn primary(&self) -> &ring::Ring {
        &self.primary
    }

    /// Which ring a socket is of: 0 is the seat's own.
    #[inline]
    fn ring_of(&self, sock: Sock) -> usize {
        match sock {
            Sock::Direct(slot) if !self.beside.is_empty() => (slot / self.slots) as usize,
            _ => 0,
        }
    }

    fn push_to(&mut self, ring: usize, op: Op, tag: Tag) {
        let Some(index) = ring.checked_sub(1) else { return self.primary.push(op, tag) };
        let beside = &mut self.beside[index];
        beside.ring.push(op, tag);
        if !std::mem::replace(&mut beside.pushed, true) {
            self.pushed.push(index);
        }
        // A full queue was submitted, and its completions were reaped with it.
        self.note(index);
    }

    /// Free slots of a ring.
    fn free(&self, ring: usize) -> usize {
        let making = self.making[ring];
        let ring = ring.checked_sub(1).map_or(&self.primary, |beside| &self.beside[beside].ring);
        (ring.free_descriptors() as usize).saturating_sub(making)
    }

    /// The ring with most room; of several the first: connections stand together, so that fewer rings have work.
    fn roomiest(&self) -> usize {
        (0..=self.beside.len()).rev().max_by_key(|ring| self.free(*ring)).unwrap_or(0)
    }

    /// Remembers that a ring has completions.
    fn note(&mut self, index: usize) {
        let beside = &mut self.beside[index];
        if beside.ring.has_next() && !std::mem::replace(&mut beside.reaped, true) {
            self.reaped.push_back(index);
        }
    }

    /// A socket was made or accepted, or could not be: its slot, if it has one, is counted from now on.
    #[inline]
    fn note_made(&mut self, ring: usize, completion: &Completion) {
        if (completion.tag.op() == For::Socket as u8 || is_single(completion.tag))
            && !self.beside.is_empty()
            && let Some(making) = self.making.get_mut(ring)
        {
            *making -= 1;
        }
    }

    fn enter(&mut self, index: usize) -> Result<(), RingError> {
        let beside = &mut self.beside[index];
        let before = beside.ring.counts().completions;
        beside.ring.wait(0, None)?;
        // What an enter leaves behind is not seen in memory: the ring is entered again in the next turn, which comes at once.
        if beside.ring.counts().completions - before >= TASK_WORK_MAX.into() {
            self.behind = true;
            if !std::mem::replace(&mut beside.pushed, true) {
                self.pushed.push(index);
            }
        }
        self.note(index);
        Ok(())
    }

    /// Submits what was pushed beside.
    fn submit(&mut self) -> Result<(), RingError> {
        let mut pushed = std::mem::take(&mut self.pushed);
        for index in pushed.drain(..) {
            self.beside[index].pushed = false;
            self.enter(index)?;
        }
        // Keeps the memory, and those that are to be entered again.
        pushed.append(&mut self.pushed);
        self.pushed = pushed;
        Ok(())
    }

    /// Fetches what the kernel has for the rings beside.
    fn fetch(&mut self) -> Result<(), RingError> {
        for index in 0..self.beside.len() {
            if self.beside[index].ring.work_waits() {
                self.enter(index)?;
            }
        }
        Ok(())
    }

    fn any_waits(&mut self) -> bool {
        self.beside.iter_mut().any(|beside| beside.ring.work_waits())
    }

    fn notify(&mut self, on: bool) {
        ring::Ring::notify(self.beside.iter_mut().map(|beside| &mut beside.ring), on);
    }

    fn wait_many(&mut self, want: u32, deadline_ns: Option<u64>) -> Result<(), RingError> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        self.behind = false;
        self.submit()?;
        let sleeps = want > 0 && self.reaped.is_empty() && !self.primary.has_next();
        if !sleeps {
            if self.primary.has_unsubmitted() || self.primary.work_waits() {
                let before = self.primary.counts().completions;
                self.primary.wait(0, None)?;
                self.behind |= self.primary.counts().completions - before >= TASK_WORK_MAX.into();
            }
            return self.fetch();
        }
        self.notify(true);
        // What came before that is not signalled. A ring that says so and brings nothing may say so until its next completion
        // (the flag can be set behind the enter that did its work): what comes from now on is signalled, so it is not believed twice.
        if self.any_waits() {
            self.fetch()?;
        }
        let want = if self.reaped.is_empty() && self.pushed.is_empty() { want } else { 0 };
        let before = self.primary.counts().completions;
        let waited = self.primary.wait(want, deadline_ns);
        self.notify(false);
        waited?;
        self.behind |= self.primary.counts().completions - before >= TASK_WORK_MAX.into();
        self.fetch()
    }
}

impl Ring for Rings {
    #[inline]
    fn push(&mut self, mut op: Op, tag: Tag) {
        if self.beside.is_empty() {
            return self.primary.push(op, tag);
        }
        let ring = match &mut op {
            Op::AcceptMulti(_, ring::Home::Ring) | Op::Accept(_, ring::Home::Ring) => {
                let ring = self.roomiest();
                self.accepts.retain(|(accept, _)| *accept != tag);
                self.accepts.push((tag, ring));
                // It may wait for long, and has to find a slot then.
                self.making[ring] += usize::from(is_single(tag));
                ring
            }
            Op::Socket(_) => {
                let ring = self.roomiest();
                self.making[ring] += 1;
                ring
            }
            Op::CancelKept(of) => {
                self.accepts.iter().find(|(accept, _)| accept == of).map_or(0, |(_, ring)| *ring)
            }
            op => op.sock().map_or(0, |sock| self.ring_of(*sock)),
        };
        self.push_to(ring, op, tag);
    }

    fn push_at(&mut self, at: Sock, op: Op, tag: Tag) {
        self.push_to(self.ring_of(at), op, tag);
    }

    fn is_behind(&self, taken: u32) -> bool {
        match self.beside.is_empty() {
            true => taken >= TASK_WORK_MAX,
            false => self.behind,
        }
    }

    fn only_polls(&self, sock: Sock) -> bool {
        self.ring_of(sock) > 0
    }

    fn can_fetch(&self, sock: Sock) -> bool {
        self.ring_of(sock) == 0 || self.pool.as_ref().is_some_and(Pool::has_free)
    }

    fn fetch_pool(&self) -> Option<&Pool> {
        self.pool.as_ref()
    }

    fn has_sockets(&self) -> bool {
        self.sockets
    }

    fn room(&self, accept: Option<Tag>) -> usize {
        if self.beside.is_empty() {
            return usize::MAX;
        }
        let armed = accept.and_then(|accept| self.accepts.iter().find(|(armed, _)| *armed == accept));
        self.free(armed.map_or_else(|| self.roomiest(), |(_, ring)| *ring))
    }

    fn wait(&mut self, want: u32, deadline_ns: Option<u64>) -> Result<(), RingError> {
        if self.beside.is_empty() {
            return self.primary.wait(want, deadline_ns);
        }
        self.wait_many(want, deadline_ns)
    }

    /// Fetches: each is entered for anyway, and has its bytes by then. So what a poll announced is there in the same turn.
    fn hasten(&mut self) -> bool {
        if self.pushed.is_empty() {
            return false;
        }
        let behind = self.behind;
        self.failed = self.submit().err();
        self.behind |= behind;
        !self.reaped.is_empty()
    }

    #[inline]
    fn next(&mut self) -> Option<Completion> {
        if let Some(completion) = self.primary.pop() {
            self.last = None;
            self.note_made(0, &completion);
            return Some(completion);
        }
        while let Some(&index) = self.reaped.front() {
            if let Some(completion) = self.beside[index].ring.pop() {
                self.last = Some(index);
                self.note_made(index + 1, &completion);
                return Some(completion);
            }
            self.reaped.pop_front();
            self.beside[index].reaped = false;
        }
        None
    }

    #[inline]
    fn ahead(&self) -> Option<Tag> {
        let Some(index) = self.last else { return self.primary.ahead() };
        let of = |index: usize| self.beside[index].ring.ahead();
        of(index).or_else(|| self.reaped.get(1).and_then(|next| of(*next)))
    }

    fn has_next(&self) -> bool {
        self.primary.has_next() || self.reaped.iter().any(|index| self.beside[*index].ring.has_next())
    }

    fn has_unsubmitted(&self) -> bool {
        self.primary.has_unsubmitted() || !self.pushed.is_empty()
    }

    fn pieces(&mut self) -> &mut VecDeque<Chunk> {
        match self.last {
            Some(index) => self.beside[index].ring.pieces(),
            None => self.primary.pieces(),
        }
    }

    fn pool(&self) -> &Pool {
        self.primary.pool()
    }

    fn counts(&self) -> Counts {
        let mut sum = self.primary.counts();
        for beside in &self.beside {
            let counts = beside.ring.counts();
            sum.submissions += counts.submissions;
            sum.completions += counts.completions;
            sum.enters += counts.enters;
            sum.cq_overflows += counts.cq_overflows;
            sum.in_flight += counts.in_flight;
        }
        sum
    }

    fn work_waits(&mut self) -> bool {
        self.primary.work_waits() || self.any_waits()
    }

    fn can_send_zero_copy(&self, gather: &Gather) -> bool {
        // Of several rings each would have to know the memory of all.
        self.beside.is_empty() && self.primary.can_send_zero_copy(gather)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use linux::clock::Clock;
    use linux::net::{ListenOptions, Listener};
    use linux::pool::Plan;
    use linux::ring::Home;
    use linux::wake::Inbox;
    use std::net::TcpStream;
    use std::os::fd::{AsFd, AsRawFd};

    /// Three rings of four slots each.
    fn rings() -> Rings {
        let pool = || Pool::new(Plan { count: 2, bytes: 1024, huge_pages: false }).expect("it can be mapped");
        let setup = Setup {
            submissions: 64,
            completions: 64,
            descriptors: 4,
            fixed_bytes: 0,
            spin: true,
            alone: false,
            ..Setup::default()
        };
        let primary = ring::Ring::new(&setup, pool()).expect("this kernel gives rings");
        let mut rings = Rings::many(primary, pool(), &setup, false);
        let event = Inbox::register().expect("an inbox is free").parker().event();
        (0..2).for_each(|_| rings.add(&setup, event).expect("and more of them"));
        rings
    }

    fn next(rings: &mut Rings) -> Completion {
        let soon = Clock::now_ns() + 10_000_000_000;
        while Clock::now_ns() < soon {
            if let Some(completion) = rings.next() {
                return completion;
            }
            rings.wait(0, None).expect("rings can be waited on");
        }
        panic!("nothing completes");
    }

    #[test]
    fn a_slot_is_kept_for_each_accept_that_waits_until_it_has_ended() {
        let listener = Listener::bind("127.0.0.1:0".parse().unwrap(), &ListenOptions::default()).unwrap();
        let sock = Sock::Plain(listener.as_fd().as_raw_fd());
        let single = |bit| Tag::new(For::Accept as u8, 0, bit);
        let mut rings = rings();
        (1..=10).for_each(|bit| rings.push(Op::Accept(sock, Home::Ring), single(bit)));
        assert_eq!(rings.room(None), 1, "two of twelve are left, on two rings");
        // One that waits on the fullest ring gives up its slot.
        let (cancelled, _) = rings.accepts[0];
        rings.push(Op::CancelKept(cancelled), Tag::new(For::Forgotten as u8, 0, 0));
        let ended: Vec<Completion> = (0..2).map(|_| next(&mut rings)).collect();
        assert!(ended.iter().any(|completion| completion.tag == cancelled && completion.result < 0));
        rings.push(Op::Accept(sock, Home::Ring), cancelled);
        let clients: Vec<_> = (0..10).map(|_| TcpStream::connect(listener.address()).unwrap()).collect();
        for _ in &clients {
            let slot = next(&mut rings).result;
            assert!((0..12).contains(&slot), "a connection was lost: {slot}");
            rings.push(Op::Close(Sock::Direct(slot as u32)), Tag::new(For::Forgotten as u8, 0, 0));
        }
        rings.wait(0, None).unwrap();
        while rings.next().is_some() {}
        assert_eq!((rings.room(None), rings.counts().in_flight), (4, 0));
    }
}

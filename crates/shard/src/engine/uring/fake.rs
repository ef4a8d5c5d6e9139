//! A ring without a kernel: keeps io_uring's contract and breaks every promise that is not in it.
//!
//! What the engine pushes is run by [`Fake::step`] against sockets that are queues of bytes, with bad luck drawn from a
//! seed: the same seed is the same run. It watches the engine too, and panics where a kernel would corrupt a stream in
//! silence: a second send while one is in flight, a descriptor closed under a request, a slot used after its close.
//!
//! Never reorders the bytes of one socket, never completes a request twice, never loses one. Its sources are the man
//! pages of the operations, io_uring_enter(2), and what was seen of Linux 6.18 (DESIGN.md, section 3).
//!
//! - `kernel.rs` what becomes of each submission, `luck.rs` what may go wrong, `socket.rs` a connection and its far end
//! - `rig.rs` an engine on a fake, turned by hand; `services.rs` what it serves
//! - `accepting.rs`, `receiving.rs`, `parking.rs`, `sending.rs`, `ending.rs` a test for each trap, `mixed.rs` all at once, by seeds
//! - `stamping.rs` when bytes left, and how many in a turn

mod accepting;
mod ending;
mod kernel;
mod luck;
mod mixed;
mod parking;
mod receiving;
mod rig;
mod sending;
mod services;
mod socket;
mod stamping;

use super::ring::Ring;
use crate::random::Random;
use linux::ring::{Completion, Counts, Op, Received, RingError, Sock, Tag, With};
use linux::{Chunk, Gather, Lease, Pool};
use luck::Luck;
use socket::{Id, Socket, Sockets};
use std::collections::VecDeque;
use std::net::SocketAddr;

pub(super) struct Fake {
    pool: Pool,
    luck: Luck,
    random: Random,
    sockets: Sockets,
    /// Pushed, and not yet seen by the kernel.
    pushed: Vec<(Op, Tag)>,
    /// In flight, oldest first.
    requests: Vec<Request>,
    reaped: VecDeque<Entry>,
    pieces: VecDeque<Chunk>,
    /// Buffers of completions that were not taken yet.
    filled: u32,
    counts: Counts,
    /// Connections that wait to be accepted.
    backlog: VecDeque<Id>,
    /// What accepts end with before they take one, each one of them.
    accept_errors: VecDeque<i32>,
    /// Datagrams that wait to be received, and those that were sent.
    datagrams: VecDeque<(Vec<u8>, SocketAddr)>,
    datagrams_sent: Vec<(Vec<u8>, SocketAddr)>,
    /// What receives of datagrams end with before they take anything, each one of them.
    datagram_errors: VecDeque<i32>,
    /// The eventfd was signalled.
    signalled: bool,
    /// How often something of each kind was pushed.
    tally: Tally,
}

/// Submissions by kind, for tests that count them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Tally {
    accepts: u32,
    receives: u32,
    sends: u32,
    zero_copies: u32,
    cancels: u32,
    polls: u32,
    /// Of streams.
    stream_polls: u32,
    fetches: u32,
}

/// One submission that has not had its last completion.
struct Request {
    tag: Tag,
    socket: Option<Id>,
    what: What,
    /// Steps in which nothing happens to it.
    rests: u32,
    /// Steps until a cancel takes effect.
    cancel: Option<u32>,
}

enum What {
    Accept { multi: bool },
    Receive { left: u32 },
    Send { gather: Option<Box<Gather>>, taken: usize, lease: Option<Lease> },
    Notification { copied: bool, _lease: Lease },
    Connect,
    Shutdown,
    Poll,
    PollStream,
    Datagrams,
    SendTo { peer: SocketAddr, chunk: Chunk },
}

impl What {
    /// Whether a ring keeps something of its submission until its end.
    fn is_kept(&self) -> bool {
        !matches!(self, What::Receive { .. } | What::Poll | What::PollStream)
    }
}

/// A completion that was not taken yet. Its buffers are filled when it is, as with the kernel's ring.
struct Entry {
    tag: Tag,
    result: i32,
    more: bool,
    with: Brings,
    /// The socket that has one request less in flight from here on.
    ends: Option<Id>,
}

enum Brings {
    Nothing,
    Bytes(Vec<u8>),
    Gather(Box<Gather>),
    Datagram(Vec<u8>, SocketAddr),
    Notified { copied: bool },
}

impl Fake {
    fn new(seed: u64, luck: Luck, pool: Pool, slots: u32) -> Fake {
        Fake {
            pool,
            luck,
            random: Random::new(seed),
            sockets: Sockets::new(slots),
            pushed: Vec::new(),
            requests: Vec::new(),
            reaped: VecDeque::new(),
            pieces: VecDeque::new(),
            filled: 0,
            counts: Counts::default(),
            backlog: VecDeque::new(),
            accept_errors: VecDeque::new(),
            datagrams: VecDeque::new(),
            datagrams_sent: Vec::new(),
            datagram_errors: VecDeque::new(),
            signalled: false,
            tally: Tally::default(),
        }
    }

    /// A client connects and waits to be accepted. It takes `window` bytes before it reads.
    fn arrive(&mut self, window: usize) -> Id {
        let id = self.sockets.add(window);
        self.backlog.push_back(id);
        id
    }

    fn socket(&mut self, id: Id) -> &mut Socket {
        self.sockets.get(id)
    }

    fn unlucky(&mut self, p: f64) -> bool {
        p > 0.0 && self.random.chance(p)
    }

    /// Some of `n`, at least 1, when luck wants it so.
    fn part(&mut self, n: usize) -> usize {
        if n > 1 && self.unlucky(self.luck.partial) {
            1 + self.random.below(n as u64 - 1) as usize
        } else {
            n
        }
    }

    fn delay(&mut self) -> u32 {
        if self.unlucky(self.luck.late) { 1 + self.random.below(4) as u32 } else { 0 }
    }

    /// The kernel: takes what was pushed, in order, then gives each request a chance to go on, in any order.
    fn step(&mut self) {
        if self.reaped.is_empty() {
            self.pool.publish();
        }
        self.counts.enters += 1;
        for (op, tag) in std::mem::take(&mut self.pushed) {
            self.submit(op, tag);
        }
        let mut requests = std::mem::take(&mut self.requests);
        let mut over = vec![false; requests.len()];
        let mut order: Vec<usize> = (0..requests.len()).collect();
        if self.luck.odd_order {
            for last in (1..order.len()).rev() {
                order.swap(last, self.random.below(last as u64 + 1) as usize);
            }
        }
        for index in order {
            over[index] = self.go_on(&mut requests[index]);
        }
        let mut over = over.into_iter();
        requests.retain(|_| !over.next().expect("one for each request"));
        // What began during this step stands behind the older ones.
        requests.append(&mut self.requests);
        self.requests = requests;
    }

    /// A buffer of the pool, filled: there was one when the completion was made.
    fn fill(&mut self, bytes: &[u8]) -> Lease {
        self.filled -= 1;
        self.pool.fill(bytes).expect("a buffer was set aside for it")
    }
}

impl Ring for Fake {
    fn push(&mut self, op: Op, tag: Tag) {
        self.counts.submissions += 1;
        self.counts.in_flight += u64::from(!matches!(op, Op::Close(_) | Op::Message { .. }));
        match &op {
            Op::AcceptMulti(..) | Op::Accept(..) => self.tally.accepts += 1,
            Op::PollMulti(_) => self.tally.polls += 1,
            Op::Cancel(_) | Op::CancelKept(_) => self.tally.cancels += 1,
            Op::LingerZero(sock) => _ = self.sockets.find(*sock),
            Op::Poll(sock) => {
                self.tally.stream_polls += 1;
                self.sockets.begin_receive(*sock);
            }
            Op::Fetch(sock) => {
                self.tally.fetches += 1;
                self.sockets.begin(*sock);
            }
            Op::Receive { sock, .. } => {
                self.tally.receives += 1;
                self.sockets.begin_receive(*sock);
            }
            Op::Send(sock, _) => {
                self.tally.sends += 1;
                self.sockets.begin_send(*sock);
            }
            Op::SendZeroCopy(sock, _) => {
                self.tally.zero_copies += 1;
                self.sockets.begin_send(*sock);
            }
            Op::Shutdown(sock) => self.sockets.begin_shutdown(*sock),
            Op::Connect(sock, _) => {
                let Sock::Plain(fd) = *sock else { panic!("the engine connects plain descriptors") };
                self.sockets.open(fd, self.luck.upstream_window);
                self.sockets.begin(*sock);
            }
            Op::Close(Sock::Direct(slot)) => self.sockets.begin_close(*slot),
            _ => {}
        }
        self.pushed.push((op, tag));
    }

    fn push_at(&mut self, _: Sock, op: Op, tag: Tag) {
        self.push(op, tag);
    }

    fn only_polls(&self, _: Sock) -> bool {
        self.luck.only_polls
    }

    fn can_fetch(&self, _: Sock) -> bool {
        !self.luck.only_polls || self.pool.lent() + self.filled < self.pool.count()
    }

    fn fetch_pool(&self) -> Option<&Pool> {
        None
    }

    fn has_sockets(&self) -> bool {
        false
    }

    fn room(&self, _: Option<Tag>) -> usize {
        usize::MAX
    }

    fn wait(&mut self, _want: u32, _deadline_ns: Option<u64>) -> Result<(), RingError> {
        self.step();
        Ok(())
    }

    fn next(&mut self) -> Option<Completion> {
        let Entry { tag, result, more, with, ends } = self.reaped.pop_front()?;
        self.counts.in_flight -= u64::from(!more);
        if let Some(id) = ends {
            self.sockets.get(id).end(tag.op());
        }
        let with = match with {
            Brings::Nothing => With::Nothing,
            Brings::Gather(gather) => With::Gather(gather),
            Brings::Notified { copied } => With::Notified { copied },
            Brings::Datagram(bytes, peer) => {
                With::Datagram(Received { bytes: self.fill(&bytes), peer, local: None, cut: false })
            }
            Brings::Bytes(bytes) => {
                for part in bytes.chunks(self.pool.buffer_bytes() as usize) {
                    let lease = self.fill(part);
                    self.pieces.push_back(Chunk::Lease(lease));
                }
                With::Buffers
            }
        };
        let left = ends.is_some_and(|id| !self.sockets.get(id).arriving.is_empty());
        Some(Completion { tag, result, more, left, with })
    }

    fn has_unsubmitted(&self) -> bool {
        !self.pushed.is_empty()
    }

    fn has_next(&self) -> bool {
        !self.reaped.is_empty()
    }

    fn pieces(&mut self) -> &mut VecDeque<Chunk> {
        &mut self.pieces
    }

    fn pool(&self) -> &Pool {
        &self.pool
    }

    fn counts(&self) -> Counts {
        self.counts
    }

    fn work_waits(&mut self) -> bool {
        self.has_next()
    }

    fn can_send_zero_copy(&self, gather: &Gather) -> bool {
        matches!(gather.chunks(), [Chunk::Lease(_)])
    }
}

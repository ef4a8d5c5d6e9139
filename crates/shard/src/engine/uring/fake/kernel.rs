//! What the kernel does with each submission: takes it in, goes on with it step by step, and ends it, some time.

use super::socket::Id;
use super::{Brings, Entry, Fake, Request, What};
use linux::Chunk;
use linux::Gather;
use linux::ring::{Op, Sock, Tag};

impl Fake {
    /// Takes one submission in; what needs no time is done at once.
    pub(super) fn submit(&mut self, op: Op, tag: Tag) {
        let (socket, what) = match op {
            Op::AcceptMulti(..) => (None, What::Accept { multi: true }),
            Op::Accept(..) => (None, What::Accept { multi: false }),
            Op::Receive { sock, limit } => {
                let limit = if limit > 0 { limit } else { u32::MAX };
                let left = limit.min(self.luck.receive_limit.unwrap_or(u32::MAX));
                (Some(self.sockets.find(sock)), What::Receive { left })
            }
            Op::Poll(sock) => {
                let id = self.sockets.find(sock);
                self.socket(id).tell_all();
                (Some(id), What::PollStream)
            }
            Op::Fetch(sock) => {
                let id = self.sockets.find(sock);
                return self.fetch(id, tag);
            }
            Op::Send(sock, gather) => {
                let what = What::Send { gather: Some(gather), taken: 0, lease: None };
                (Some(self.sockets.find(sock)), what)
            }
            Op::SendZeroCopy(sock, gather) => {
                let [Chunk::Lease(lease)] = gather.chunks() else { panic!("a zero-copy send has one lease") };
                let lease = Some(lease.clone());
                (Some(self.sockets.find(sock)), What::Send { gather: Some(gather), taken: 0, lease })
            }
            Op::Connect(sock, _) => (Some(self.sockets.find(sock)), What::Connect),
            Op::Shutdown(sock) => (Some(self.sockets.find(sock)), What::Shutdown),
            Op::PollMulti(_) => (None, What::Poll),
            Op::ReceiveDatagrams(_) => (None, What::Datagrams),
            Op::SendTo { peer, chunk, .. } => (None, What::SendTo { peer, chunk }),
            Op::Cancel(of) | Op::CancelKept(of) => {
                let is_kept = matches!(op, Op::CancelKept(_));
                for request in self.requests.iter().filter(|request| request.tag == of) {
                    assert_eq!(request.what.is_kept(), is_kept, "the ring looks for it where it is not");
                }
                let result = self.cancel(of);
                return self.complete(tag, result, false, Brings::Nothing, None);
            }
            Op::LingerZero(sock) => {
                let id = self.sockets.find(sock);
                self.socket(id).linger_zero = true;
                return self.complete(tag, 0, false, Brings::Nothing, None);
            }
            Op::Close(Sock::Direct(slot)) => return self.sockets.close(slot),
            Op::Close(Sock::Plain(_)) | Op::Socket(_) => panic!("the engine does not ask for that here"),
            Op::Message { .. } => return,
        };
        let rests = match what {
            What::Shutdown | What::Connect => self.delay(),
            _ => 0,
        };
        self.requests.push(Request { tag, socket, what, rests, cancel: None });
    }

    /// Cancels one request; answers as io_uring_prep_cancel(3): 0, or `-EALREADY` where it could not be stopped at once, or
    /// `-ENOENT`.
    fn cancel(&mut self, of: Tag) -> i32 {
        let stoppable = |what: &What| !matches!(what, What::Notification { .. } | What::Shutdown);
        let found = self.requests.iter().position(|request| request.tag == of && stoppable(&request.what));
        let Some(index) = found else { return -ENOENT };
        let delay = if self.unlucky(self.luck.late_cancel) { 1 + self.random.below(3) as u32 } else { 0 };
        let cancel = &mut self.requests[index].cancel;
        *cancel = Some(cancel.map_or(delay, |left| left.min(delay)));
        if delay > 0 { -EALREADY } else { 0 }
    }

    fn complete(&mut self, tag: Tag, result: i32, more: bool, with: Brings, ends: Option<Id>) {
        self.reaped.push_back(Entry { tag, result, more, with, ends });
        self.counts.completions += 1;
    }

    /// Lets one request do what it can. Says whether it had its last completion.
    pub(super) fn go_on(&mut self, request: &mut Request) -> bool {
        if let Some(id) = request.socket {
            assert!(!self.socket(id).is_closed(), "{id:?} was closed under requests in flight");
        }
        match &mut request.cancel {
            Some(0) => return self.cancelled(request),
            Some(left) => *left -= 1,
            None => {}
        }
        if request.rests > 0 {
            request.rests -= 1;
            return false;
        }
        if self.unlucky(self.luck.idle) {
            return false;
        }
        match request.what {
            What::Accept { multi } => self.accept(request.tag, multi),
            What::Receive { .. } => self.receive(request),
            What::Send { .. } => self.send(request),
            What::Notification { copied, .. } => {
                self.complete(request.tag, 0, false, Brings::Notified { copied }, None);
                true
            }
            What::Connect => self.connect(request),
            What::Shutdown => {
                let id = request.socket.expect("a shutdown is of a socket");
                self.socket(id).finished = true;
                self.complete(request.tag, 0, false, Brings::Nothing, Some(id));
                true
            }
            What::Poll => {
                if !std::mem::take(&mut self.signalled) {
                    return false;
                }
                let more = !self.overflows();
                self.complete(request.tag, 1, more, Brings::Nothing, None);
                !more
            }
            What::PollStream => {
                let id = request.socket.expect("it is of a socket");
                if !self.socket(id).has_news() {
                    return false;
                }
                let more = !self.overflows();
                let (_, finished, reset) = self.socket(id).readable();
                let events = if finished || reset { 1 | linux::ring::HANG_UP } else { 1 };
                self.complete(request.tag, events, more, Brings::Nothing, Some(id).filter(|_| !more));
                !more
            }
            What::Datagrams => self.receive_datagram(request.tag),
            What::SendTo { peer, ref chunk } => {
                self.datagrams_sent.push((chunk.to_vec(), peer));
                self.complete(request.tag, chunk.len() as i32, false, Brings::Nothing, None);
                true
            }
        }
    }

    /// A cancel takes effect. What was done until then is told where something was.
    fn cancelled(&mut self, request: &mut Request) -> bool {
        if let What::Send { taken, .. } = request.what {
            let none = if self.random.chance(0.5) { -ECANCELED } else { -EINTR };
            let result = if taken > 0 { taken as i32 } else { none };
            self.end_send(request, result);
        } else {
            self.complete(request.tag, -ECANCELED, false, Brings::Nothing, request.socket);
        }
        true
    }

    /// Whether the completion queue is full just now, which ends a multishot whatever its result.
    fn overflows(&mut self) -> bool {
        let overflows = self.unlucky(self.luck.overflow);
        self.counts.cq_overflows += u64::from(overflows);
        overflows
    }

    fn accept(&mut self, tag: Tag, multi: bool) -> bool {
        if self.backlog.is_empty() {
            return false;
        }
        if let Some(errno) = self.accept_errors.pop_front() {
            self.complete(tag, -errno, false, Brings::Nothing, None);
            return true;
        }
        if self.unlucky(self.luck.no_descriptor) {
            self.complete(tag, -EMFILE, false, Brings::Nothing, None);
            return true;
        }
        while let Some(id) = self.backlog.pop_front() {
            let Some(slot) = self.sockets.place(id) else {
                // Accepted, and dropped for want of a slot.
                self.socket(id).lose();
                self.complete(tag, -ENFILE, false, Brings::Nothing, None);
                return true;
            };
            let more = multi && !self.overflows();
            self.complete(tag, slot as i32, more, Brings::Nothing, None);
            if !more {
                return true;
            }
        }
        false
    }

    fn receive(&mut self, request: &mut Request) -> bool {
        let id = request.socket.expect("a receive is of a socket");
        let What::Receive { left } = &mut request.what else { unreachable!() };
        if let Some(errno) = self.sockets.get(id).receive_errors.pop_front() {
            self.complete(request.tag, -errno, false, Brings::Nothing, Some(id));
            return true;
        }
        let (waiting, finished, reset) = self.sockets.get(id).readable();
        if reset || waiting == 0 {
            if !reset && !finished {
                return false;
            }
            let result = if reset { -ECONNRESET } else { 0 };
            self.complete(request.tag, result, false, Brings::Nothing, Some(id));
            return true;
        }
        let free = self.pool.count() - self.pool.lent() - self.filled;
        if free == 0 {
            self.complete(request.tag, -ENOBUFS, false, Brings::Nothing, Some(id));
            return true;
        }
        let each = self.pool.buffer_bytes() as usize;
        let most = self.luck.bundle.min(free) as usize * each;
        let n = self.part(waiting.min(most).min(*left as usize));
        if *left < u32::MAX {
            *left -= n as u32;
        }
        let limit_reached = *left == 0;
        self.filled += n.div_ceil(each) as u32;
        let bytes = self.sockets.get(id).arriving.drain(..n).collect();
        let more = !limit_reached && !self.overflows();
        self.complete(request.tag, n as i32, more, Brings::Bytes(bytes), Some(id).filter(|_| !more));
        !more
    }

    /// Receives what is there, at once.
    fn fetch(&mut self, id: Id, tag: Tag) {
        let (waiting, finished, reset) = self.sockets.get(id).readable();
        let free = self.pool.count() - self.pool.lent() - self.filled;
        let result = match waiting {
            _ if self.sockets.get(id).is_closed() => panic!("{id:?} is fetched from after its close"),
            _ if reset => -ECONNRESET,
            0 if finished => 0,
            0 => -EAGAIN,
            _ if free == 0 => -ENOBUFS,
            _ => waiting.min(self.pool.buffer_bytes() as usize) as i32,
        };
        let Ok(n @ 1..) = usize::try_from(result) else {
            return self.complete(tag, result, false, Brings::Nothing, Some(id));
        };
        // Less than the buffer holds is all there was.
        self.filled += 1;
        let bytes = self.sockets.get(id).arriving.drain(..n).collect();
        self.sockets.get(id).fetched();
        self.complete(tag, result, false, Brings::Bytes(bytes), Some(id));
    }

    fn send(&mut self, request: &mut Request) -> bool {
        let id = request.socket.expect("a send is of a socket");
        let What::Send { gather: Some(gather), taken, lease } = &mut request.what else { unreachable!() };
        if self.sockets.get(id).peer_reset {
            let result = if *taken > 0 { *taken as i32 } else { -ECONNRESET };
            self.end_send(request, result);
            return true;
        }
        if lease.is_some() && *taken == 0 && self.unlucky(self.luck.no_zero_copy) {
            // It failed before it began, so no notification follows.
            let gather = gather_of(request);
            self.complete(request.tag, -ECONNRESET, false, Brings::Gather(gather), Some(id));
            return true;
        }
        let left = gather.bytes() - *taken;
        let room = self.sockets.get(id).room().min(left);
        let n = if room > 0 { self.part(room) } else { 0 };
        let bytes = gather.chunks().iter().flat_map(|chunk| chunk.iter().copied()).skip(*taken).take(n);
        self.sockets.get(id).unread.extend(bytes);
        *taken += n;
        let (taken, all) = (*taken, n == left);
        if all || (taken > 0 && self.unlucky(self.luck.short_send)) {
            self.end_send(request, taken as i32);
            return true;
        }
        false
    }

    fn end_send(&mut self, request: &mut Request, result: i32) {
        let gather = gather_of(request);
        let What::Send { lease, .. } = &mut request.what else { unreachable!() };
        let lease = lease.take();
        self.complete(request.tag, result, lease.is_some(), Brings::Gather(gather), request.socket);
        if let Some(lease) = lease {
            // The peer has yet to acknowledge, and the kernel reads the memory until then, also of a send that failed.
            let copied = self.unlucky(self.luck.copied);
            let what = What::Notification { copied, _lease: lease };
            let rests = self.delay() + self.luck.notification_rests;
            self.requests.push(Request { tag: request.tag, socket: None, what, rests, cancel: None });
        }
    }

    fn connect(&mut self, request: &mut Request) -> bool {
        if self.unlucky(self.luck.unanswered) {
            request.rests = u32::MAX;
            return false;
        }
        let result = if self.unlucky(self.luck.refused) { -ECONNREFUSED } else { 0 };
        self.complete(request.tag, result, false, Brings::Nothing, request.socket);
        true
    }

    fn receive_datagram(&mut self, tag: Tag) -> bool {
        if let Some(errno) = self.datagram_errors.pop_front() {
            self.complete(tag, -errno, false, Brings::Nothing, None);
            return true;
        }
        if self.datagrams.is_empty() {
            return false;
        }
        if self.pool.count() == self.pool.lent() + self.filled {
            self.complete(tag, -ENOBUFS, false, Brings::Nothing, None);
            return true;
        }
        let (bytes, peer) = self.datagrams.pop_front().expect("it is not empty");
        self.filled += 1;
        let more = !self.overflows();
        self.complete(tag, bytes.len() as i32, more, Brings::Datagram(bytes, peer), None);
        !more
    }
}

fn gather_of(request: &mut Request) -> Box<Gather> {
    let What::Send { gather, .. } = &mut request.what else { unreachable!() };
    gather.take().expect("a send ends once")
}

const ENOENT: i32 = 2;
const EINTR: i32 = 4;
const EAGAIN: i32 = 11;
const EMFILE: i32 = 24;
const ENFILE: i32 = 23;
const ENOBUFS: i32 = 105;
pub(super) const ECONNRESET: i32 = 104;
const ECONNREFUSED: i32 = 111;
const EALREADY: i32 = 114;
const ECANCELED: i32 = 125;

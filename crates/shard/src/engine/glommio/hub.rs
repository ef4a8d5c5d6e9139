//! What the tasks of one seat share: the seat, its sockets, its listeners. Borrowed by the task that runs, never across a wait.
//!
//! A turn is what one pass of glommio's executor makes runnable: tasks of legs and listeners tell the seat what came, and behind
//! them the keeper (`tasks.rs`) ends the turn by [`Hub::turn`]: timers, wakes, notes, the flush. It decides nothing that another
//! engine decides otherwise: bounds, the drain and its order are those of docs/SEAM.md.

use super::streams::{Streams, Taken};
use crate::engine::peers::Peers;
use crate::engine::seats::{BACK_OFF_NS, EMPTIED_A_TURN, LATE_PLACES, Socket, Start, crowd};
use crate::engine::sockets::News;
use crate::engine::timed::Timed;
use crate::meter::Board;
use crate::plan::{Control, SeatInfo, SeatReport, Stop, Wake};
use crate::seat::Seat;
use crate::service::{ListenerId, Service};
use crate::slab::Key;
use glommio::net::{TcpListener, TcpStream};
use linux::clock::Clock;
use linux::net::{self, Listener};
use linux::wake::Parker;
use linux::{Chunk, Pool};
use std::collections::VecDeque;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

pub(super) struct Hub<S: Service> {
    pub(super) seat: Seat<S>,
    pub(super) streams: Streams,
    pub(super) accepts: Vec<Accept>,
    crowd: usize,
    /// The queue of a listener that is about to close was not emptied in this turn.
    emptying: bool,
    at_bound: bool,
    peers: Arc<Peers>,
    pub(super) parker: &'static Parker,
    control: Control,
    told: Stop,
    wake: Wake,
    timed: Timed,
    last_call: bool,
    told_last: bool,
    /// Ends each turn; none before it ran for the first time.
    pub(super) keeper: Option<Waker>,
    /// Brings about a look at the kernel, where it waits to be asked for one.
    pacer: Option<Waker>,
    /// Such a look is asked for.
    asked: bool,
    /// How many of those looks there were, for tasks that wait for the next.
    pub(super) passes: u64,
    /// The turn has begun: the seat was told the time, and the keeper was woken to end it.
    begun: bool,
    /// Holds what a receive brought while the seat works on it.
    pieces: VecDeque<Chunk>,
    /// Tasks that have not ended, the keeper not counted.
    pub(super) tasks: usize,
}

/// One listener's socket on this seat.
pub(super) struct Accept {
    listener: Option<Listener>,
    id: ListenerId,
    /// It serves through the drain and is closed at its end.
    late: bool,
    /// Its task, where it waits for a place.
    task: Option<Waker>,
    /// Connections that it brought since the last look at the kernel.
    brought: usize,
    /// Not accepted before this time: descriptors or memory were short.
    again_ns: u64,
    /// Connections taken out of its queue since it was to close.
    emptied: usize,
    /// Its task has ended: no accept is under way any more.
    ended: bool,
}

impl Accept {
    /// Whether nobody can come by it any more.
    fn is_closed(&self) -> bool {
        self.listener.is_none() && self.ended
    }
}

/// Connections that one listener brings before the kernel is looked at again, and others are heard.
const ACCEPTS_A_PASS: usize = 64;
/// How long before an exact deadline a [`Wake::Hybrid`] seat stops sleeping, as under io_uring.
const HYBRID_NS: u64 = 100_000;

impl<S: Service> Hub<S> {
    /// Everything a seat has, its root open; its tasks are to be spawned.
    pub(super) fn new(
        mut start: Start<S::Note>,
        pool: Pool,
        info: SeatInfo,
        make: &(impl Fn(u16, &Arc<Board>) -> S + Send + Sync),
    ) -> Hub<S> {
        let (plan, peers, parker) = (start.plan.clone(), start.peers.clone(), start.parker());
        let (control, board, index) = (start.control.clone(), start.board.clone(), start.seat);
        let bound = std::mem::take(&mut start.sockets);
        let (desk, limits, ready) = start.open(pool.clone(), info.connections_max, plan.turn_sends, None);
        let mut this = Hub {
            seat: Seat::new(make(index, &board), desk, limits),
            streams: Streams::new(pool),
            accepts: Vec::new(),
            crowd: crowd(&plan, index),
            emptying: false,
            at_bound: false,
            peers,
            parker,
            control,
            told: Stop::Run,
            wake: plan.wake,
            timed: Timed::new(),
            last_call: false,
            told_last: false,
            keeper: None,
            pacer: None,
            asked: false,
            passes: 0,
            begun: false,
            pieces: VecDeque::new(),
            tasks: 0,
        };
        let root = this.seat.open_root(&mut this.streams);
        for (id, socket) in bound {
            match socket {
                Socket::Stream(listener) => {
                    let late = plan.listeners[usize::from(id.0)].late;
                    let (listener, task, brought, again_ns, emptied) = (Some(listener), None, 0, 0, 0);
                    let ended = false;
                    this.accepts.push(Accept { listener, id, late, task, brought, again_ns, emptied, ended });
                }
                Socket::Datagram(socket) => {
                    let Some(leg) = this.seat.bound(root, id) else { continue };
                    this.streams.attach_datagram(leg, OwnedFd::from(socket));
                }
            }
        }
        ready.serves(info);
        this
    }

    /// The listeners for glommio to accept on: duplicates, since ours empty the queue when they close.
    pub(super) fn listeners(&self) -> Vec<TcpListener> {
        let ours = self.accepts.iter().filter_map(|accept| accept.listener.as_ref());
        let duplicate = |listener: &Listener| listener.as_fd().try_clone_to_owned();
        ours.map(|listener| net::adopt(duplicate(listener).expect("a descriptor was kept for it"))).collect()
    }

    /// A task runs because something happened: a turn begins, if it has not yet, and the keeper will end it behind all that this
    /// look at the kernel has woken.
    pub(super) fn begin(&mut self) {
        if self.open_turn()
            && let Some(keeper) = &self.keeper
        {
            keeper.wake_by_ref();
        }
    }

    fn open_turn(&mut self) -> bool {
        let opens = !std::mem::replace(&mut self.begun, true);
        if opens {
            self.streams.turn = self.streams.turn.wrapping_add(1);
            self.seat.tick(Clock::now_ns());
        }
        opens
    }

    /// The pacer waits to be asked for a look at the kernel; it ends where `false` is ready.
    pub(super) fn poll_pacer(&mut self, cx: &Context<'_>) -> Poll<bool> {
        if self.has_ended() {
            return Poll::Ready(false);
        }
        if std::mem::take(&mut self.asked) {
            return Poll::Ready(true);
        }
        self.pacer = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Asks for a look at the kernel, behind which the next turn begins though nothing happens.
    pub(super) fn ask_pass(&mut self) {
        self.asked = true;
        if let Some(pacer) = self.pacer.take() {
            pacer.wake();
        }
    }

    /// The kernel was looked at: what waited for that goes on.
    pub(super) fn pass(&mut self) {
        self.passes += 1;
        self.accepts.iter_mut().for_each(|accept| accept.brought = 0);
        self.streams.resume();
        self.begin();
    }

    /// The task of a stream was woken: sends, then receives, as far as its share goes. Ready when the leg has gone.
    pub(super) fn poll_leg(&mut self, leg: Key, cx: &mut Context<'_>) -> Poll<()> {
        self.begin();
        if !self.streams.attend(leg, cx) {
            return Poll::Ready(());
        }
        self.streams.writable(leg, cx);
        // A connect that was decided is told before what came on it.
        self.tell();
        self.receive(leg, cx);
        Poll::Pending
    }

    /// Receives what a leg has, until glommio waits for more or its share of a turn is used up.
    fn receive(&mut self, leg: Key, cx: &mut Context<'_>) {
        for _ in 0..self.streams.share() {
            if !self.streams.wants(leg) {
                return;
            }
            match self.streams.receive_some(leg, cx) {
                Taken::Bytes(lease) => {
                    self.pieces.push_back(Chunk::Lease(lease));
                    self.seat.received(leg, &mut self.pieces, &mut self.streams);
                    self.pieces.clear();
                }
                Taken::Nothing => return,
                Taken::Eof => return self.seat.eof(leg, &mut self.streams),
                Taken::Failed(error) => return self.seat.failed(leg, error, &mut self.streams),
            }
        }
        self.streams.go_on(leg);
    }

    /// A listener's task asks whether it may accept; it waits until it may, and ends where `false` is ready.
    pub(super) fn poll_place(&mut self, index: usize, cx: &Context<'_>) -> Poll<bool> {
        let accept = &self.accepts[index];
        if accept.listener.is_none() || !self.listens(accept.late) {
            return Poll::Ready(false);
        }
        let open = self.may_accept(index);
        self.accepts[index].task = (!open).then(|| cx.waker().clone());
        if open { Poll::Ready(true) } else { Poll::Pending }
    }

    /// Whoever came by an accept that was under way when the seat became full waits here as in the queue: glommio's accept cannot be
    /// called back without losing them. In a drain they are let in with those of the queue.
    pub(super) fn poll_room(&mut self, index: usize, cx: &Context<'_>) -> Poll<()> {
        let Accept { late, ref listener, .. } = self.accepts[index];
        if self.places(late) > 0 || listener.is_none() || !self.listens(late) {
            return Poll::Ready(());
        }
        self.accepts[index].task = Some(cx.waker().clone());
        Poll::Pending
    }

    /// The task of a listener ends.
    pub(super) fn accept_ended(&mut self, index: usize) {
        self.accepts[index].ended = true;
    }

    /// What an accept came to. One that was under way when its listener closed may still bring somebody, who is served.
    pub(super) fn accepted(&mut self, index: usize, accepted: Result<TcpStream, ()>) {
        self.begin();
        let accept = &mut self.accepts[index];
        match accepted {
            Ok(stream) => {
                accept.brought += 1;
                let id = accept.id;
                self.take_in(stream, id);
            }
            Err(()) if accept.listener.is_none() => {}
            Err(()) => {
                accept.again_ns = self.seat.desk.now_ns + BACK_OFF_NS;
                self.seat.desk.meter().accept_errors.inc();
            }
        }
    }

    fn take_in(&mut self, stream: TcpStream, id: ListenerId) {
        let Some(leg) = self.seat.reserve(id) else {
            return self.seat.desk.meter().accept_errors.inc();
        };
        self.streams.attach(leg, stream);
        self.seat.accepted(leg, id, &mut self.streams);
    }

    fn listens(&self, late: bool) -> bool {
        if late { !self.told_last } else { self.told == Stop::Run }
    }

    fn may_accept(&self, index: usize) -> bool {
        let Accept { late, brought, again_ns, .. } = self.accepts[index];
        brought < ACCEPTS_A_PASS && self.seat.desk.now_ns >= again_ns && self.places(late) > 0
    }

    fn places(&self, late: bool) -> usize {
        match late {
            true => LATE_PLACES.saturating_sub(self.seat.late()),
            false => self.seat.desk.connections_max.saturating_sub(self.seat.taken()),
        }
    }

    /// Ends the turn: everything that can be done without waiting and was not done by the tasks before.
    pub(super) fn turn(&mut self) {
        self.open_turn();
        self.tell();
        self.seat.fire(&mut self.streams);
        self.seat.wake(&mut self.streams);
        self.seat.mail();
        self.emptying = false;
        self.obey();
        self.tell();
        self.seat.run(&mut self.streams);
        if self.seat.desk.wants_stamp() {
            self.seat.desk.stamp(Clock::now_ns());
        }
        self.tell();
        self.close_down();
        self.relieve();
        self.accept_more();
        let peers = &self.peers;
        self.seat.desk.post.flush(|to| peers.parkers[usize::from(to)].notify());
        self.count();
        self.begun = false;
    }

    /// Tells the seat what became of what it asked for.
    fn tell(&mut self) {
        while let Some(news) = self.streams.news.pop_front() {
            match news {
                News::Opened(leg) => self.seat.opened(leg, &mut self.streams),
                News::Moved(leg, sent) => self.seat.moved(leg, sent),
                News::Sent(leg, gather, result) => self.seat.sent(leg, gather, result, &mut self.streams),
                News::Failed(leg, why) => self.seat.failed(leg, why, &mut self.streams),
                News::Closed(leg) => self.seat.closed(leg),
                News::Starved(leg, on) => {
                    self.seat.starved(leg, on);
                    self.seat.desk.meter().enobufs.add(u64::from(on));
                }
            }
        }
    }

    fn relieve(&mut self) {
        let seat = &mut self.seat;
        let reclaimed = self.streams.relieve(|leg| seat.slow(leg));
        self.seat.desk.meter().sends_reclaimed.add(reclaimed);
    }

    /// Does what the run was told: drain, or end.
    fn obey(&mut self) {
        self.told = self.control.stop().max(self.told);
        match self.told {
            Stop::Run => return,
            Stop::Drain => {}
            Stop::Abort => self.seat.abort(&mut self.streams),
        }
        let short = self.stop_listening(false);
        // Where descriptors are short, those who have one have to end before the rest of the queue can be served.
        if short || self.accepts.iter().all(|a| a.late || a.is_closed()) {
            self.seat.drain(&mut self.streams);
        }
    }

    /// The end of a drain: when nothing but late listeners serves on any seat, they end too.
    fn close_down(&mut self) {
        let closed = self.accepts.iter().all(|a| a.late || a.is_closed());
        if closed && self.seat.desk.draining && !self.last_call && self.seat.only_late() {
            self.last_call = true;
            self.peers.leave(self.seat.desk.seat);
        }
        if self.last_call && (self.peers.all_left() || self.told == Stop::Abort) {
            self.told_last = true;
            self.stop_listening(true);
            self.seat.drain_late(&mut self.streams);
            self.tell();
        }
    }

    /// Closes listeners, each after the connections that wait in its queue were accepted: closing would reset them. No more
    /// than a queue holds, some in each turn; and only as long as the drain has time. Says whether there was no descriptor
    /// for one.
    fn stop_listening(&mut self, late: bool) -> bool {
        let (now_ns, mut short) = (self.seat.desk.now_ns, false);
        let over = self.told == Stop::Abort || self.seat.is_past_drain();
        for index in 0..self.accepts.len() {
            if self.accepts[index].late != late {
                continue;
            }
            for _ in 0..EMPTIED_A_TURN {
                let accept = &mut self.accepts[index];
                let Some(listener) = accept.listener.as_ref() else { break };
                let rests = now_ns < accept.again_ns;
                let next = match accept.emptied < self.crowd {
                    true if rests => Err(()),
                    true => listener.accept_waiting().map_err(drop),
                    false => Ok(None),
                };
                match next {
                    Ok(Some(fd)) => {
                        accept.emptied += 1;
                        let id = accept.id;
                        self.take_in(net::adopt(fd), id);
                    }
                    Err(()) if !over => {
                        accept.again_ns = if rests { accept.again_ns } else { now_ns + BACK_OFF_NS };
                        short = true;
                        break;
                    }
                    next => {
                        // An accept of glommio's that is under way ends by this, or with a connection; it is not cancelled,
                        // since one that had just brought somebody would lose them.
                        listener.stop();
                        accept.listener = None;
                        self.seat.desk.meter().accept_errors.add(u64::from(next.is_err()));
                    }
                }
            }
            self.emptying |= self.accepts[index].listener.is_some() && !short;
        }
        short
    }

    /// Lets listeners go on as far as there is room, and counts each time that there is none any more. Late listeners have a few
    /// places of their own: health checks and metrics are wanted most when a seat is full.
    fn accept_more(&mut self) {
        for index in 0..self.accepts.len() {
            let ended = self.accepts[index].listener.is_none() || !self.listens(self.accepts[index].late);
            if (ended || self.may_accept(index))
                && let Some(task) = self.accepts[index].task.take()
            {
                task.wake();
            }
        }
        let full = self.places(false) == 0;
        if full && !self.at_bound {
            self.seat.desk.meter().accepts_paused.inc();
        }
        self.at_bound = full;
    }

    /// Whether another thread gave this seat something that it has not looked at.
    pub(super) fn has_mail(&self) -> bool {
        let desk = &self.seat.desk;
        let others_ended = self.last_call && !self.told_last && self.peers.all_left();
        others_ended || desk.inbox.is_pending() || !desk.post.is_empty() || self.control.stop() > self.told
    }

    /// Whether the next turn is to come at once: there is more to do, a deadline has passed, or an exact one is not slept for.
    pub(super) fn is_runnable(&self) -> bool {
        let exact_ns = self.seat.desk.exact.map(|(at_ns, _)| at_ns);
        let spins = match self.wake {
            Wake::Sleep => false,
            Wake::Hybrid => exact_ns.is_some_and(|at_ns| at_ns <= Clock::now_ns().saturating_add(HYBRID_NS)),
            Wake::Spin => exact_ns.is_some(),
        };
        let crowded = self.accepts.iter().any(|a| a.task.is_some() && a.brought >= ACCEPTS_A_PASS);
        let due = self.deadline_ns().is_some_and(|at_ns| at_ns <= Clock::now_ns());
        let told = self.seat.is_ready() || self.streams.is_runnable() || self.emptying;
        spins || crowded || due || told
    }

    /// When the next turn is to come though nothing happens.
    pub(super) fn deadline_ns(&self) -> Option<u64> {
        let now_ns = self.seat.desk.now_ns;
        let rests = self.accepts.iter().filter(|a| a.listener.is_some()).map(|a| a.again_ns);
        let rests = rests.filter(|at_ns| *at_ns > now_ns);
        let exact_ns = self.seat.desk.exact.filter(|_| self.wake == Wake::Hybrid);
        let early_ns = exact_ns.map(|(at_ns, _)| at_ns.saturating_sub(HYBRID_NS));
        self.seat.deadline_ns().into_iter().chain(rests).chain(early_ns).min()
    }

    /// Carries the counts over to the meter.
    fn count(&mut self) {
        let meter = self.seat.desk.meter();
        meter.calls.add(std::mem::take(&mut self.streams.calls));
        meter.bytes_out.add(std::mem::take(&mut self.streams.datagram_bytes));
        meter.datagrams_dropped.add(std::mem::take(&mut self.streams.datagrams_dropped));
        meter.in_flight.set(self.streams.in_flight());
        meter.buffers_lent.set(u64::from(self.streams.pool.lent()));
        self.timed.look(self.seat.desk.now_ns, meter);
    }

    /// Whether nothing is left to serve.
    pub(super) fn has_ended(&self) -> bool {
        self.last_call && self.seat.is_over() && self.accepts.iter().all(Accept::is_closed)
    }

    /// Whether every task but the keeper has ended too.
    pub(super) fn is_over(&self) -> bool {
        self.has_ended() && self.tasks == 0
    }

    pub(super) fn report(&mut self, core: Option<usize>) -> SeatReport {
        self.timed.count(self.seat.desk.meter());
        SeatReport {
            core,
            counts: self.seat.desk.meter().snapshot(),
            in_flight_at_exit: self.streams.in_flight(),
            buffers_lent_at_exit: u64::from(self.streams.pool.lent()),
        }
    }
}

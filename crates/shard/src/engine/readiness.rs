//! The loop of a seat that is told which descriptors are ready: accept, receive, send, and the end.
//!
//! A turn: deal with what is ready and tell the seat; fire timers, wakes, notes; let the seat flush; then bring the watch up
//! to date and wait if nothing is runnable. It decides nothing that another engine decides otherwise: bounds, the drain and
//! its order are those of docs/SEAM.md. How readiness is learned is the [`Watch`]'s.

use crate::engine::crew::{Crew, Handed};
use crate::engine::peers::Peers;
use crate::engine::seats::{BACK_OFF_NS, EMPTIED_A_TURN, LATE_PLACES, Socket, Start};
use crate::engine::sockets::{EVENT, News, Sockets, Taken, Watch, leg_of};
use crate::engine::timed::Timed;
use crate::meter::Board;
use crate::plan::{Control, EngineError, Listen, Plan, SeatInfo, SeatReport, Stop, Wake};
use crate::seat::Seat;
use crate::service::{ListenerId, Service};
use crate::slab::Key;
use linux::clock::Clock;
use linux::net::Listener;
use linux::poll::{Event, Interest};
use linux::wake::Parker;
use linux::{Chunk, Pool, cpu};
use std::collections::VecDeque;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

pub(crate) struct Readiness<S: Service, W, C> {
    pub(crate) seat: Seat<S>,
    pub(crate) sockets: Sockets<W>,
    /// The others of its shard, if there are any.
    pub(crate) crew: C,
    pub(crate) accepts: Vec<Accept>,
    crowd: usize,
    /// The queue of a listener that is about to close was not emptied in this turn.
    emptying: bool,
    at_bound: bool,
    pub(crate) peers: Arc<Peers>,
    parker: &'static Parker,
    control: Control,
    told: Stop,
    events: Vec<Event>,
    /// The last wait brought as many as it could: there may be more.
    more: bool,
    /// Holds what a receive brought while the seat works on it.
    pieces: VecDeque<Chunk>,
    spin_ns: u64,
    wake: Wake,
    timed: Timed,
    waits: u64,
    last_call: bool,
    told_last: bool,
}

/// One listener's socket on this seat.
pub(crate) struct Accept {
    listener: Option<Listener>,
    id: ListenerId,
    /// It serves through the drain and is closed at its end.
    late: bool,
    /// What those are told who are turned away.
    refusal: Option<&'static [u8]>,
    watched: bool,
    /// Somebody waits in its queue.
    ready: bool,
    /// Not accepted before this time: descriptors or memory were short.
    again_ns: u64,
    /// Connections taken out of its queue since it was to close.
    emptied: usize,
}

/// Connections that one listener brings in a turn before others are heard.
const ACCEPTS_A_TURN: usize = 64;
/// How long before an exact deadline a [`Wake::Hybrid`] seat stops sleeping, as under io_uring.
const HYBRID_NS: u64 = 100_000;
/// Where the tokens of listeners begin: no leg has such a slot.
const LISTENERS: u64 = u64::MAX - (1 << 20);

/// Makes what a seat of a readiness engine needs, in this order: pinned first, so that memory is first touched where it will be
/// used. Errors leave the seat unstarted.
pub(crate) fn prepare<W: Watch>(
    plan: &Plan,
    core: Option<usize>,
    nofile: u64,
    watch: impl FnOnce() -> Result<W, linux::Error>,
) -> Result<(Sockets<W>, SeatInfo), EngineError> {
    if let Some(core) = core {
        cpu::pin(core)?;
    }
    if plan.wake != Wake::Sleep || plan.stamps {
        linux::clock::set_timer_slack_ns(1)?;
    }
    let memory = |errno| linux::Error::Os { what: "map the receive buffers", errno };
    let pool = Pool::new(plan.pool).map_err(memory)?;
    let connections_max = plan.connections_max.min(descriptors(plan, nofile));
    Ok((Sockets::new(watch()?, pool), SeatInfo { core, ring: None, rings: 0, connections_max }))
}

/// Descriptors that a seat may have for its connections, at least 1. They belong to the process: each seat keeps to its part of
/// them. Where they are few, what is kept back is little.
pub(crate) fn descriptors(plan: &Plan, nofile: u64) -> usize {
    let share = (nofile - PROCESS_DESCRIPTORS.min(nofile / 4)) / plan.cores.len() as u64;
    let kept = (SEAT_DESCRIPTORS + plan.listeners.len() as u64).min(share / 4);
    usize::try_from(share - kept).unwrap_or(usize::MAX).max(1)
}

/// Standard streams and what the process opens for itself.
const PROCESS_DESCRIPTORS: u64 = 16;
/// A seat's watch and its wake-up, places of late listeners, and what is closing.
const SEAT_DESCRIPTORS: u64 = 24;

impl<S: Service, W: Watch, C: Crew> Readiness<S, W, C> {
    /// The loop of a seat, its listeners watched and its root open; `ready` has been said.
    pub(crate) fn start(
        mut start: Start<S::Note>,
        sockets: Sockets<W>,
        info: SeatInfo,
        crew: C,
        make: &(impl Fn(u16, &Arc<Board>) -> S + Send + Sync),
    ) -> Readiness<S, W, C> {
        let (plan, peers, parker) = (start.plan.clone(), start.peers.clone(), start.parker());
        let (control, board, index) = (start.control.clone(), start.board.clone(), start.seat);
        let bound = std::mem::take(&mut start.sockets);
        let (desk, limits, ready) =
            start.open(sockets.pool.clone(), info.connections_max, plan.turn_sends, None);
        let seat = Seat::new(make(index, &board), desk, limits);
        let mut this = Readiness::new(seat, sockets, crew, &plan, peers, parker, control);
        this.crowd = crate::engine::seats::crowd(&plan, index);
        this.listen(bound, &plan.listeners);
        ready.serves(info);
        this
    }

    /// The loop of a seat without listeners or root.
    pub(crate) fn new(
        seat: Seat<S>,
        sockets: Sockets<W>,
        crew: C,
        plan: &Plan,
        peers: Arc<Peers>,
        parker: &'static Parker,
        control: Control,
    ) -> Readiness<S, W, C> {
        Readiness {
            seat,
            sockets,
            crew,
            accepts: Vec::new(),
            crowd: 0,
            emptying: false,
            at_bound: false,
            peers,
            parker,
            control,
            told: Stop::Run,
            events: Vec::new(),
            more: false,
            pieces: VecDeque::new(),
            spin_ns: u64::try_from(plan.spin.as_nanos()).unwrap_or(u64::MAX),
            wake: plan.wake,
            timed: Timed::new(),
            waits: 0,
            last_call: false,
            told_last: false,
        }
    }

    fn listen(&mut self, sockets: Vec<(ListenerId, Socket)>, plan: &[Listen]) {
        let root = self.seat.open_root(&mut self.sockets);
        for (id, socket) in sockets {
            match socket {
                Socket::Stream(listener) => {
                    // One that stays blocking would hold the seat: an accept may find its connection gone.
                    listener.set_nonblocking().expect("an open descriptor takes O_NONBLOCK");
                    let Listen { late, refusal, .. } = plan[usize::from(id.0)];
                    let listener = Some(listener);
                    let (watched, ready, again_ns, emptied) = (false, false, 0, 0);
                    let accept = Accept { listener, id, late, refusal, watched, ready, again_ns, emptied };
                    self.accepts.push(accept);
                }
                Socket::Datagram(socket) => {
                    let wildcard = socket.address().ip().is_unspecified();
                    let Some(leg) = self.seat.bound(root, id) else { continue };
                    self.sockets.attach_datagram(leg, OwnedFd::from(socket), wildcard);
                }
            }
        }
    }

    /// Serves until told to stop and everything has ended. Errors: the wait itself failed.
    pub(crate) fn run(&mut self) -> Result<(), linux::Error> {
        let read = Interest { read: true, write: false };
        self.sockets.watch.set(self.parker.event().as_fd(), Interest::default(), read, EVENT)?;
        loop {
            self.turn(Clock::now_ns());
            if self.is_over() {
                self.timed.count(self.seat.desk.meter());
                return Ok(());
            }
            self.wait()?;
        }
    }

    /// Everything that can be done without waiting.
    pub(crate) fn turn(&mut self, now_ns: u64) {
        self.sockets.turn = self.sockets.turn.wrapping_add(1);
        self.seat.tick(now_ns);
        self.crew.look();
        let mut events = std::mem::take(&mut self.events);
        // What has no share of this turn is dealt with first in the next, before anything else is asked for: the order of a
        // level-triggered set would favour those who stand in front.
        let mut done = 0;
        while done < events.len() && self.seat.has_share() {
            self.ready(events[done]);
            done += 1;
        }
        events.drain(..done);
        self.seat.desk.behind = !events.is_empty() || self.more;
        self.events = events;
        self.tell();
        self.seat.fire(&mut self.sockets);
        self.seat.wake(&mut self.sockets);
        self.seat.mail();
        self.emptying = false;
        self.obey();
        self.tell();
        self.seat.run(&mut self.sockets);
        if self.seat.desk.wants_stamp() {
            self.seat.desk.stamp(Clock::now_ns());
        }
        self.tell();
        self.close_down();
        self.relieve();
        self.accept_more();
        self.serve_next();
        let peers = &self.peers;
        self.seat.desk.post.flush(|to| peers.notify(to));
        self.crew.send(peers);
        self.sockets.settle();
        self.count();
    }

    /// Waits if nothing is runnable, and fetches what is ready.
    fn wait(&mut self) -> Result<(), linux::Error> {
        if !self.events.is_empty() {
            return Ok(());
        }
        if self.is_runnable() {
            return self.look(Some(0));
        }
        if (self.spin_ns > 0 || self.wake != Wake::Sleep) && self.spin()? {
            return Ok(());
        }
        let parker = self.parker;
        if !parker.park(|| self.has_mail()) {
            return self.look(Some(0));
        }
        let waited = self.look(self.sleeps_ns());
        self.parker.unpark();
        waited
    }

    fn look(&mut self, timeout_ns: Option<u64>) -> Result<(), linux::Error> {
        self.waits += 1;
        let before = self.events.len();
        let waited = self.sockets.watch.wait(timeout_ns, &mut self.events);
        self.more = self.events.len() - before >= W::EVENTS_MAX;
        waited
    }

    /// Looks for work for a while, by calls that do not wait. `true` when there is some, or a deadline has come.
    fn spin(&mut self) -> Result<bool, linux::Error> {
        let began_ns = Clock::now_ns();
        let exact_ns = self.seat.desk.exact.map(|(at_ns, _)| at_ns).filter(|at_ns| match self.wake {
            Wake::Sleep => false,
            Wake::Hybrid => *at_ns <= began_ns.saturating_add(HYBRID_NS),
            Wake::Spin => true,
        });
        let until_ns = began_ns.saturating_add(self.spin_ns).max(exact_ns.unwrap_or(0));
        let deadline_ns = self.deadline_ns();
        let mut now_ns = began_ns;
        while now_ns < until_ns && deadline_ns.is_none_or(|at| now_ns < at) {
            self.look(Some(0))?;
            if !self.events.is_empty() || self.has_mail() {
                break;
            }
            now_ns = Clock::now_ns();
        }
        self.seat.desk.meter().spun_ns.add(now_ns - began_ns);
        Ok(!self.events.is_empty() || self.has_mail() || deadline_ns.is_some_and(|at| now_ns >= at))
    }

    /// How long a sleep may last though nothing happens.
    fn sleeps_ns(&self) -> Option<u64> {
        let mut until_ns = self.deadline_ns()?;
        if let (Wake::Hybrid, Some((at_ns, _))) = (self.wake, self.seat.desk.exact) {
            until_ns = until_ns.min(at_ns.saturating_sub(HYBRID_NS));
        }
        Some(until_ns.saturating_sub(Clock::now_ns()))
    }

    /// One descriptor is ready.
    fn ready(&mut self, event: Event) {
        match event.token {
            EVENT => drop(self.parker.event().drain()),
            token if token >= LISTENERS => {
                // It is accepted from at the end of the turn, as far as there is room.
                let id = ListenerId((token - LISTENERS) as u16);
                self.accepts
                    .iter_mut()
                    .filter(|accept| accept.id == id)
                    .for_each(|accept| accept.ready = true);
            }
            token => {
                let leg = leg_of(token);
                if event.write {
                    self.sockets.writable(leg);
                    // A connect that was decided is told before what came on it.
                    self.tell();
                }
                if event.read {
                    self.receive(leg);
                }
            }
        }
    }

    /// Receives what a leg has, as far as its share of a turn goes.
    fn receive(&mut self, leg: Key) {
        if !self.sockets.wants(leg) {
            return;
        }
        if self.sockets.is_datagram(leg) {
            let seat = &mut self.seat;
            return self.sockets.receive_datagrams(leg, |sockets, received| {
                seat.datagram(leg, &received.bytes, received.peer, received.local, sockets);
            });
        }
        let mut pieces = std::mem::take(&mut self.pieces);
        let mut left = self.sockets.share();
        loop {
            let taken = self.sockets.receive_some(leg, left, &mut pieces);
            left = left.saturating_sub(pieces.len().max(1));
            match taken {
                Taken::Bytes => {
                    self.seat.received(leg, &mut pieces, &mut self.sockets);
                    pieces.clear();
                    self.seat.flush_now(leg, &mut self.sockets);
                    self.tell();
                }
                Taken::Nothing => break,
                Taken::Eof => {
                    self.seat.eof(leg, &mut self.sockets);
                    break;
                }
                Taken::Failed(error) => {
                    self.seat.failed(leg, error, &mut self.sockets);
                    break;
                }
            }
            if left == 0 || !self.sockets.is_full(leg) || !self.sockets.wants(leg) {
                break;
            }
        }
        self.pieces = pieces;
    }

    /// Tells the seat what became of what it asked for.
    fn tell(&mut self) {
        while let Some(news) = self.sockets.news.pop_front() {
            match news {
                News::Opened(leg) => self.seat.opened(leg, &mut self.sockets),
                News::Moved(leg, sent) => self.seat.moved(leg, sent),
                News::Sent(leg, gather, result) => self.seat.sent(leg, gather, result, &mut self.sockets),
                News::Failed(leg, why) => self.seat.failed(leg, why, &mut self.sockets),
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
        let reclaimed = self.sockets.relieve(|leg| seat.slow(leg));
        self.seat.desk.meter().sends_reclaimed.add(reclaimed);
    }

    /// Does what the run was told: drain, or end.
    fn obey(&mut self) {
        self.told = self.control.stop().max(self.told);
        match self.told {
            Stop::Run => return,
            Stop::Drain => {}
            Stop::Abort => self.seat.abort(&mut self.sockets),
        }
        self.crew.drain();
        let short = self.stop_listening(false);
        // Where descriptors are short, those who have one have to end before the rest of the queue can be served.
        if self.is_closed() || short {
            self.seat.drain(&mut self.sockets);
        }
    }

    /// Whether nobody new comes any more, but for who is late.
    fn is_closed(&mut self) -> bool {
        let comes = self.told != Stop::Abort && !self.crew.is_settled();
        !comes && self.accepts.iter().all(|a| a.late || a.listener.is_none())
    }

    /// The end of a drain: when nothing but late listeners serves on any seat, they end too.
    fn close_down(&mut self) {
        let idle = self.seat.only_late() && self.crew.is_idle();
        if self.seat.desk.draining && !self.last_call && idle && self.is_closed() {
            self.last_call = true;
            self.peers.leave(self.seat.desk.seat);
        }
        if self.last_call && (self.peers.all_left() || self.told == Stop::Abort) {
            self.told_last = true;
            self.stop_listening(true);
            self.seat.drain_late(&mut self.sockets);
            self.tell();
        }
    }

    /// Closes listeners, each after the connections that wait in its queue were accepted: closing would reset them. No more
    /// than a queue holds, some in each turn; and only as long as the drain has time. Says whether there was no descriptor
    /// for one.
    fn stop_listening(&mut self, late: bool) -> bool {
        let (now_ns, mut short) = (self.seat.desk.now_ns, false);
        let over = self.is_past_end();
        for index in 0..self.accepts.len() {
            if self.accepts[index].late != late {
                continue;
            }
            for _ in 0..EMPTIED_A_TURN {
                let accept = &mut self.accepts[index];
                let Some(listener) = accept.listener.as_ref() else { break };
                let rests = now_ns < accept.again_ns;
                let full = !late && self.crew.is_full();
                let next = match accept.emptied < self.crowd {
                    true if rests || full => Err(()),
                    true => listener.accept_next().map_err(drop),
                    false => Ok(None),
                };
                match next {
                    Ok(Some(fd)) => {
                        accept.emptied += 1;
                        self.take_in(fd, index);
                    }
                    Err(()) if !over => {
                        // A crew that is full says when it is not.
                        accept.again_ns = if rests || full { accept.again_ns } else { now_ns + BACK_OFF_NS };
                        short = true;
                        break;
                    }
                    next => {
                        self.close_listener(index);
                        self.seat.desk.meter().accept_errors.add(u64::from(next.is_err()));
                    }
                }
            }
            self.emptying |= self.accepts[index].listener.is_some() && !short;
        }
        short
    }

    fn close_listener(&mut self, index: usize) {
        self.watch_listener(index, false);
        self.accepts[index].listener = None;
    }

    fn watch_listener(&mut self, index: usize, on: bool) {
        let accept = &mut self.accepts[index];
        let Some(listener) = accept.listener.as_ref().filter(|_| accept.watched != on) else { return };
        let (before, now) =
            (Interest { read: accept.watched, write: false }, Interest { read: on, write: false });
        let token = LISTENERS + u64::from(accept.id.0);
        if self.sockets.watch.set(listener.as_fd(), before, now, token).is_ok() {
            accept.watched = on;
        }
    }

    /// Accepts as far as there is room, and counts each time that there is none any more. Late listeners have a few places of
    /// their own: health checks and metrics are wanted most when a seat is full.
    fn accept_more(&mut self) {
        let (now_ns, serving) = (self.seat.desk.now_ns, self.told == Stop::Run);
        for index in 0..self.accepts.len() {
            let Accept { late, again_ns, ready, .. } = self.accepts[index];
            let listens = if late { !self.told_last } else { serving };
            // What is left is told again by the next wait.
            self.accepts[index].ready = false;
            for _ in 0..ACCEPTS_A_TURN {
                if !listens || !ready || now_ns < again_ns || self.places(late) == 0 {
                    break;
                }
                let Some(listener) = self.accepts[index].listener.as_ref() else { break };
                self.sockets.calls += 1;
                match listener.accept_next() {
                    Ok(Some(fd)) => self.take_in(fd, index),
                    Ok(None) => break,
                    Err(_) => {
                        self.seat.desk.meter().accept_errors.inc();
                        self.accepts[index].again_ns = now_ns + BACK_OFF_NS;
                        break;
                    }
                }
            }
            let watched = listens && now_ns >= self.accepts[index].again_ns && self.places(late) > 0;
            self.watch_listener(index, watched);
        }
        let full = self.places(false) == 0;
        if full && !self.at_bound {
            self.seat.desk.meter().accepts_paused.inc();
        }
        self.at_bound = full;
        self.crew.expect(full || !serving);
    }

    /// Begins with connections that somebody else accepted, as far as this seat is to serve them.
    fn serve_next(&mut self) {
        let over = self.is_past_end();
        while let Some((fd, id)) = self.crew.next(self.seat.is_vacant(), over, self.seat.desk.meter()) {
            self.serve(fd, id);
        }
    }

    fn places(&self, late: bool) -> usize {
        match late {
            true => LATE_PLACES.saturating_sub(self.seat.late()),
            false => self.crew.places(self.seat.desk.connections_max.saturating_sub(self.seat.taken())),
        }
    }

    /// A connection was accepted. Those of late listeners are served here, whoever else there is.
    fn take_in(&mut self, fd: OwnedFd, index: usize) {
        let Accept { id, late, refusal, .. } = self.accepts[index];
        let handed = if late { Handed::Back(fd) } else { self.crew.hand_over(fd, id) };
        match handed {
            Handed::Over => {}
            Handed::Back(fd) => self.serve(fd, id),
            Handed::Refused(fd) => {
                if let Some(leg) = self.reserve(fd, id) {
                    self.seat.turn_away(leg, refusal, &mut self.sockets);
                }
            }
        }
    }

    /// Serves a connection.
    pub(crate) fn serve(&mut self, fd: OwnedFd, id: ListenerId) {
        if let Some(leg) = self.reserve(fd, id) {
            self.seat.accepted(leg, id, &mut self.sockets);
        }
    }

    fn reserve(&mut self, fd: OwnedFd, id: ListenerId) -> Option<Key> {
        let Some(leg) = self.seat.reserve(id) else {
            self.seat.desk.meter().accept_errors.inc();
            return None;
        };
        self.sockets.attach(leg, fd);
        Some(leg)
    }

    /// Whether another thread gave this seat something that it has not looked at.
    fn has_mail(&self) -> bool {
        let desk = &self.seat.desk;
        let others_ended = self.last_call && !self.told_last && self.peers.all_left();
        let told = self.control.stop() > self.told || self.crew.has_news();
        others_ended || desk.inbox.is_pending() || !desk.post.is_empty() || told
    }

    fn is_runnable(&self) -> bool {
        self.seat.is_ready() || self.sockets.is_runnable() || self.emptying
    }

    fn deadline_ns(&self) -> Option<u64> {
        let now_ns = self.seat.desk.now_ns;
        let rests = self.accepts.iter().filter(|a| a.listener.is_some()).map(|a| a.again_ns);
        self.seat.deadline_ns().into_iter().chain(rests.filter(|at| *at > now_ns)).min()
    }

    /// Carries the counts over to the meter.
    fn count(&mut self) {
        let meter = self.seat.desk.meter();
        let waits = std::mem::take(&mut self.waits);
        let calls = std::mem::take(&mut self.sockets.calls);
        meter.enters.add(waits);
        meter.calls.add(waits + calls);
        meter.bytes_out.add(std::mem::take(&mut self.sockets.datagram_bytes));
        meter.datagrams_dropped.add(std::mem::take(&mut self.sockets.datagrams_dropped));
        meter.in_flight.set(self.sockets.in_flight());
        meter.buffers_lent.set(u64::from(self.sockets.pool.lent()));
        self.timed.look(self.seat.desk.now_ns, meter);
    }

    /// Whether what is left has had its time.
    fn is_past_end(&self) -> bool {
        self.told == Stop::Abort || self.seat.is_past_drain()
    }

    fn is_over(&self) -> bool {
        let closed = self.accepts.iter().all(|a| a.listener.is_none());
        self.crew.is_done(self.last_call && closed && self.seat.is_over(), self.seat.is_vacant())
    }

    pub(crate) fn report(&self, core: Option<usize>) -> SeatReport {
        SeatReport {
            core,
            counts: self.seat.desk.meter().snapshot(),
            in_flight_at_exit: self.sockets.in_flight(),
            buffers_lent_at_exit: u64::from(self.sockets.pool.lent()),
        }
    }
}

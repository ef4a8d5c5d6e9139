//! The HTTP machine: what one connection does with each event.
//!
//! ```text
//!         first byte           head whole              answer sent, body over
//!   Idle ------------> Head ---------------> Exchange ------------------------> Idle, or closed if it was the last
//!    |                                          ^
//!    +--- a request that came whole and is answered at once passes through both within one call, and nothing is boxed
//!
//!   too late: Idle 75 s: closed      Head 10 s: 408      Exchange, body: 408 if nothing was answered yet, else closed
//! ```
//!
//! In each state it may wait for room in the output. Then nothing is read, and if no byte leaves for 30 s the connection is
//! reset. Answers are in order because the next head is not looked at before the exchange is over.
//!
//! It never closes on a peer that may still be sending without lingering: the reset would destroy the answer.

mod late;

use super::Config;
use super::answer::{Ask, HEAD_BYTES_MAX, Reply, Stamp};
use super::deadline::after;
use super::exchange::{DISCARD_BYTES_MAX, Exchange, Flow, rehearse};
use super::site::{self, Facts};
use super::tally::Tally;
use crate::alarm::Alarm;
use proto::http1::{Body, Framing, Refusal, Scan, encode, head};
use shard::{Event, Input, Io, Leg, ListenerId, Next, Service, Tick};
use std::time::Duration;

/// What the HTTP sessions of one seat share.
pub struct Http {
    stamp: Stamp,
    /// Boxes of sessions that went idle, so that the next busy one allocates nothing.
    #[expect(clippy::vec_box, reason = "the boxes are what is kept")]
    spare: Vec<Box<Busy>>,
    drain: Option<Drain>,
    /// Admin sessions of this seat.
    admins: u64,
}

/// One connection.
pub struct Session {
    leg: Leg,
    alarm: Alarm,
    /// When the present state began; while it waits for room, when some came last.
    since: Tick,
    /// What only a busy connection needs; `None` is idle.
    busy: Option<Box<Busy>>,
    /// While it waits for room: how much was not sent.
    unsent: u32,
    listener: ListenerId,
    wait: Wait,
    /// The connection ends with the present exchange.
    last: bool,
}

/// Whether it waits for room in the output, and how often its send was called back to see what left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd)]
enum Wait {
    No,
    Begun,
    BegunOnce,
    BegunTwice,
    /// What left first is known: room in the socket's buffer, which says nothing of the peer.
    Watched,
    WatchedOnce,
    WatchedTwice,
}

impl Wait {
    /// After a further recall; `None` after two, which tell all that there is to know.
    fn recalled(self) -> Option<Wait> {
        match self {
            Wait::Begun => Some(Wait::BegunOnce),
            Wait::BegunOnce => Some(Wait::BegunTwice),
            Wait::Watched => Some(Wait::WatchedOnce),
            Wait::WatchedOnce => Some(Wait::WatchedTwice),
            Wait::No | Wait::BegunTwice | Wait::WatchedTwice => None,
        }
    }
}

const _: () = assert!(size_of::<Session>() <= 48, "an idle connection is paid for a million times");

enum Busy {
    /// Part of a head has come.
    Head(Scan),
    /// A request is being answered.
    Exchange(Work),
}

struct Work {
    exchange: Exchange,
    /// When the clock of its body was started; it starts anew after a wait for room.
    began: Tick,
    /// Bytes of the body that had come by then.
    before: u64,
    /// When bytes of it came last.
    heard: Tick,
}

struct Drain {
    until: Tick,
    half: Duration,
}

/// Boxes that one seat keeps for use again.
const SPARES_MAX: usize = 1024;
/// Bytes joined at once where a head lies across two received pieces; more follow if they are not enough.
const JOIN_BYTES: usize = 1024;

impl Http {
    /// For a seat that begins.
    #[expect(clippy::new_without_default, reason = "a seat has one, made in one place")]
    pub fn new() -> Http {
        Http { stamp: Stamp::new(), spare: Vec::new(), drain: None, admins: 0 }
    }

    /// A connection that was just accepted by a listener with this configuration.
    pub fn open<S: Service>(
        &mut self,
        config: &Config,
        leg: Leg,
        listener: ListenerId,
        io: &mut Io<'_, S>,
    ) -> Session {
        self.admins += u64::from(config.is_admin());
        let since = io.now();
        let alarm = Alarm::at(after(since, config.deadlines.keep_alive), io);
        Session { leg, alarm, since, busy: None, unsent: 0, listener, wait: Wait::No, last: false }
    }

    /// Handles one event.
    #[inline]
    pub fn on<S: Service>(
        &mut self,
        config: &Config,
        session: &mut Session,
        event: Event<'_, S>,
        io: &mut Io<'_, S>,
    ) -> Next {
        let mut tally = Tally::default();
        let next = match event {
            Event::Bytes(_, mut input) => {
                self.stamp.set(io.unix_seconds());
                self.converse(config, session, &mut input, &mut tally, io)
            }
            Event::Drained(_) if session.waits() => self.drained(session, io),
            Event::Eof(_) => session.eof(),
            Event::Failed(..) => Next::Close,
            Event::Timer(timer) if session.alarm.is(timer) => self.ring(config, session, &mut tally, io),
            Event::Drain(until) => self.drain(session, until, io),
            _ => Next::Stay,
        };
        tally.count(io.meter());
        if next == Next::Stay {
            session.alarm.by(self.due(config, session), io);
        }
        next
    }

    /// A session is over.
    pub fn end(&mut self, config: &Config, mut session: Session) {
        self.admins -= u64::from(config.is_admin());
        self.put_away(&mut session);
    }

    /// Answers requests in order until the input is used up, the output is full or the connection ends.
    fn converse<S: Service>(
        &mut self,
        config: &Config,
        session: &mut Session,
        input: &mut Input<'_>,
        tally: &mut Tally,
        io: &mut Io<'_, S>,
    ) -> Next {
        // What comes while it waits for room stays unread: the answer before it is not sent yet.
        while !input.is_empty() && !session.waits() {
            let next = if matches!(session.busy.as_deref(), Some(Busy::Exchange(_))) {
                self.receive(config, session, input, tally, io)
            } else if io.out(session.leg).reserve(HEAD_BYTES_MAX) {
                self.request(config, session, input, tally, io)
            } else {
                Some(session.wait(io))
            };
            if let Some(next) = next {
                return next;
            }
        }
        Next::Stay
    }

    /// Reads one head and answers it, or begins to. `None`: the input goes on to be read.
    #[inline]
    fn request<S: Service>(
        &mut self,
        config: &Config,
        session: &mut Session,
        input: &mut Input<'_>,
        tally: &mut Tally,
        io: &mut Io<'_, S>,
    ) -> Option<Next> {
        let mut scan = match session.busy.as_deref() {
            Some(Busy::Head(scan)) => *scan,
            _ => Scan::default(),
        };
        let (reply, mut ask, used) = loop {
            // Matched by reference: a head is a dozen words, and moving it costs a fifth of a pipelined request.
            match &head::parse(input.first(), &config.limits, &mut scan) {
                Ok(Some((head, used))) => {
                    // The seat's own word: sessions of late listeners, which answer `/ready`, are told of a drain last.
                    let facts = Facts { board: io.board(), draining: io.draining() };
                    break (site::answer(config, head, facts), Ask::of(head), *used);
                }
                Ok(None) if input.first().len() < input.len() => {
                    let joined = input.first().len() + JOIN_BYTES;
                    input.contiguous(joined);
                }
                Ok(None) => {
                    self.go_on_with_head(session, scan, io.now());
                    return Some(Next::Stay);
                }
                Err(refusal) => return Some(self.refuse(session, *refusal, tally, io)),
            }
        };
        input.skip(used);
        tally.requests += 1;
        ask.keep_alive &= goes_on(&ask, &reply) && !self.ends_with(config, &ask, input);
        if ask.has_body() || !reply.is_whole() {
            return self.begin(config, session, reply, &ask, input, tally, io);
        }
        let stamp = &self.stamp;
        io.out(session.leg).write(HEAD_BYTES_MAX, |out| stamp.write(out, &reply, &ask));
        tally.answered(reply.status().code());
        session.last = !ask.keep_alive;
        let row = Stamp::is_canned(&reply, &ask) && self.drain.is_none();
        let over = self.over(session, io);
        if row && !input.is_empty() {
            self.row(config, session, input, tally, io);
        }
        over
    }

    /// Answers what comes right behind a canned answer and gets the same one, as pipelining clients send it: in one go, with
    /// one look at the output. Whatever else comes is left to [`Http::request`].
    fn row<S: Service>(
        &mut self,
        config: &Config,
        session: &Session,
        input: &mut Input<'_>,
        tally: &mut Tally,
        io: &mut Io<'_, S>,
    ) {
        let (out, answer) = (io.out(session.leg), self.stamp.canned());
        let most = out.room() / answer.len();
        let (first, mut used, mut count) = (input.first(), 0, 0);
        let mut before: &[u8] = &[];
        while count < most {
            let rest = &first[used..];
            // The same bytes again are the same request.
            if before.is_empty() || !rest.starts_with(before) {
                match &head::parse(rest, &config.limits, &mut Scan::default()) {
                    Ok(Some((head, bytes))) if site::is_ping(config, head) => before = &rest[..*bytes],
                    _ => break,
                }
            }
            used += before.len();
            count += 1;
        }
        out.write(count * answer.len(), |out| (0..count).for_each(|_| out.extend_from_slice(answer)));
        input.skip(used);
        tally.requests += count as u64;
        tally.answered_times(200, count as u64);
    }

    /// Begins an exchange: an answer that is streamed, or a request with a body.
    #[inline(never)]
    #[expect(clippy::too_many_arguments, reason = "the rarer half of `request`")]
    fn begin<S: Service>(
        &mut self,
        config: &Config,
        session: &mut Session,
        reply: Reply,
        ask: &Ask,
        input: &mut Input<'_>,
        tally: &mut Tally,
        io: &mut Io<'_, S>,
    ) -> Option<Next> {
        if let Err(refusal) = rehearse(&Body::new(ask.framing), input, &config.limits) {
            return Some(self.refuse(session, refusal, tally, io));
        }
        let (out, stamp) = (io.out(session.leg), &self.stamp);
        if reply != Reply::Echo {
            out.write(HEAD_BYTES_MAX, |out| stamp.write(out, &reply, ask));
            tally.answered(reply.status().code());
        } else if ask.expects_continue && input.is_empty() {
            // The body is about to be read, and no byte of it has come.
            out.copy(encode::CONTINUE);
            tally.answered(100);
        }
        let mut exchange = Exchange::new(reply, ask);
        let flow = exchange.send(out);
        if !ask.keep_alive && ask.has_body() {
            io.linger(session.leg);
        }
        session.last = !ask.keep_alive;
        let now = io.now();
        self.set_busy(session, Busy::Exchange(Work { exchange, began: now, before: 0, heard: now }));
        match flow {
            Flow::Over => self.over(session, io),
            Flow::Room => Some(session.wait(io)),
            _ => None,
        }
    }

    /// Reads the body of the request that is being answered.
    fn receive<S: Service>(
        &mut self,
        config: &Config,
        session: &mut Session,
        input: &mut Input<'_>,
        tally: &mut Tally,
        io: &mut Io<'_, S>,
    ) -> Option<Next> {
        let now = io.now();
        let Some(Busy::Exchange(work)) = session.busy.as_deref_mut() else {
            unreachable!("it was asked for just now")
        };
        let before = (work.exchange.bytes, work.exchange.has_begun());
        let flow = work.exchange.receive(input, io.out(session.leg), &config.limits, &self.stamp);
        if work.exchange.bytes > before.0 {
            work.heard = now;
        }
        if work.exchange.has_begun() && !before.1 {
            tally.answered(200);
        }
        match flow {
            Flow::Over => self.over(session, io),
            Flow::Bytes => Some(Next::Stay),
            Flow::Room => Some(session.wait(io)),
            Flow::Refused(refusal) => Some(self.refuse(session, refusal, tally, io)),
            Flow::Unwanted => {
                io.linger(session.leg);
                Some(Next::Close)
            }
        }
    }

    /// There is room again. Unread input is offered after this.
    fn drained<S: Service>(&mut self, session: &mut Session, io: &mut Io<'_, S>) -> Next {
        let now = io.now();
        session.wait = Wait::No;
        session.restart(now);
        let Some(Busy::Exchange(work)) = session.busy.as_deref_mut() else { return Next::Stay };
        match work.exchange.send(io.out(session.leg)) {
            Flow::Over => self.over(session, io).unwrap_or(Next::Stay),
            Flow::Room => session.wait(io),
            _ => Next::Stay,
        }
    }

    /// A request was answered whole and its body has been read.
    #[inline]
    fn over<S: Service>(&mut self, session: &mut Session, io: &mut Io<'_, S>) -> Option<Next> {
        if session.last {
            if self.drain.is_some() {
                // The peer did not ask for the end and may be sending its next request.
                io.linger(session.leg);
            }
            return Some(Next::Close);
        }
        session.since = io.now();
        self.put_away(session);
        None
    }

    /// Answers a request that breaks the rules, if nothing else was answered yet, and ends the connection.
    #[cold]
    fn refuse<S: Service>(
        &mut self,
        session: &Session,
        refusal: Refusal,
        tally: &mut Tally,
        io: &mut Io<'_, S>,
    ) -> Next {
        let begun =
            matches!(session.busy.as_deref(), Some(Busy::Exchange(work)) if work.exchange.has_begun());
        let stamp = &self.stamp;
        if !begun && io.out(session.leg).write(HEAD_BYTES_MAX, |out| stamp.refuse(out, refusal)) {
            tally.answered(refusal.status().code());
        }
        tally.refused += 1;
        io.linger(session.leg);
        Next::Close
    }

    /// Whether the drain makes this request the connection's last. Requests that stand behind it in the input were sent
    /// before the peer could know, and are answered too.
    #[inline]
    fn ends_with(&self, config: &Config, ask: &Ask, input: &Input<'_>) -> bool {
        self.drain.is_some() && !config.is_admin() && (ask.has_body() || input.is_empty())
    }

    fn go_on_with_head(&mut self, session: &mut Session, scan: Scan, now: Tick) {
        if session.busy.is_none() {
            session.since = now;
        }
        self.set_busy(session, Busy::Head(scan));
    }

    fn set_busy(&mut self, session: &mut Session, busy: Busy) {
        match (&mut session.busy, self.spare.pop()) {
            (Some(place), spare) => {
                **place = busy;
                self.spare.extend(spare);
            }
            (empty, Some(mut spare)) => {
                *spare = busy;
                *empty = Some(spare);
            }
            (empty, None) => *empty = Some(Box::new(busy)),
        }
    }

    #[inline]
    fn put_away(&mut self, session: &mut Session) {
        if let Some(mut busy) = session.busy.take()
            && self.spare.len() < SPARES_MAX
        {
            *busy = Busy::Head(Scan::default());
            self.spare.push(busy);
        }
    }
}

impl Session {
    /// The listener that accepted it.
    pub fn listener(&self) -> ListenerId {
        self.listener
    }

    fn is_idle(&self) -> bool {
        self.busy.is_none() && !self.waits()
    }

    fn waits(&self) -> bool {
        self.wait != Wait::No
    }

    /// The clocks of the peer begin anew: it was the server that did not read.
    fn restart(&mut self, now: Tick) {
        self.since = now;
        if let Some(Busy::Exchange(work)) = self.busy.as_deref_mut() {
            (work.began, work.heard, work.before) = (now, now, work.exchange.bytes);
        }
    }

    /// Waits for room in the output; `Drained` will come.
    fn wait<S: Service>(&mut self, io: &Io<'_, S>) -> Next {
        self.wait = Wait::Begun;
        self.since = io.now();
        self.unsent = unsent(self.leg, io);
        Next::Stay
    }

    /// The peer sends no more, but may read what it asked for.
    fn eof(&mut self) -> Next {
        match self.busy.as_deref() {
            Some(Busy::Exchange(work)) if work.exchange.has_body() => {
                self.last = true;
                Next::Stay
            }
            _ => Next::Close,
        }
    }
}

fn unsent<S: Service>(leg: Leg, io: &Io<'_, S>) -> u32 {
    u32::try_from(io.unsent(leg)).unwrap_or(u32::MAX)
}

/// Whether the connection can go on after an answer that does not want the body: if what is left of it is worth reading, and
/// if it is certain to come (a peer that waits for `100 Continue` may send it or not).
#[inline]
fn goes_on(ask: &Ask, reply: &Reply) -> bool {
    match ask.framing {
        _ if !ask.has_body() || *reply == Reply::Echo => true,
        Framing::Length(bytes) => bytes <= DISCARD_BYTES_MAX && !ask.expects_continue,
        _ => !ask.expects_continue,
    }
}

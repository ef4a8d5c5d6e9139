//! Servers that stall as they are told, to hold load generators against: what each of them must report is known beforehand.
//!
//! A server answers HTTP requests with a fixed page, or echoes messages, at once; its [`Fault`] says when it does not. In a stall of all
//! nothing is read and nothing answered: input stays unread, and connections whose input came meanwhile go on in the order in which it
//! came. What a server really did, and when, is in its [`Log`]. Counts are the seat's: such a server has one seat.
//!
//! ```text
//! Fresh (slow accept) ---Go---> Open <---Go--- Stalled (input came in a stall), Owing (a slow answer)
//!                                 \____________^
//! ```

mod log;
mod speak;

pub use log::{Log, Span};
pub use speak::Speaks;

use bytes::Bytes;
use linux::Chunk;
use log::Writer;
use shard::{Address, End, Event, Input, Io, Leg, ListenerId, Next, Origin, Service};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What a server is to do wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    None,
    /// One stall of all.
    Once {
        /// Its begin, counted from the first request.
        after: Duration,
        /// Its length.
        long: Duration,
    },
    /// Stalls of all, again and again.
    Periodic {
        /// From the begin of one to the begin of the next; the first begins so long after the first request. Longer than `long`.
        every: Duration,
        /// The length of each.
        long: Duration,
    },
    /// One request in so many is answered late. What is behind it on its connection waits; other connections do not.
    SlowOneIn {
        /// The last of so many, at least 1.
        requests: u64,
        /// So much later.
        by: Duration,
    },
    /// A connection has its first answer no earlier than so long after it was accepted.
    SlowAccept {
        /// So long.
        by: Duration,
    },
}

/// One server that stalls.
pub struct Stall {
    fault: Fault,
    /// What is spoken on each listener, in the order of the plan.
    speaks: Vec<Speaks>,
    /// When the first request came.
    first_ns: Option<u64>,
    /// The stall that is going on: when it began, and when it is to end.
    stall: Option<Span>,
    /// A stall is over, and nothing that waited for its end has been served yet.
    resuming: bool,
    /// When the next one is to begin.
    next_ns: Option<u64>,
    /// Sessions whose input came in a stall, in the order in which it did.
    stalled: VecDeque<Address>,
    /// Sessions that are to go on at a time, in order.
    owing: VecDeque<(u64, Address)>,
    /// What the exact deadline of the seat is set to.
    wake_ns: u64,
    log: Writer,
}

/// One connection, or the root.
pub struct Session {
    /// None of the root.
    leg: Option<Leg>,
    speaks: Speaks,
    state: State,
}

enum State {
    Fresh,
    Open,
    Stalled,
    /// It has waited for the end of a stall, and answers now whatever happens.
    Released,
    /// Has this to send, late.
    Owing(Chunk),
}

/// A session is to go on.
#[derive(Clone, Copy, Debug)]
pub struct Go;

impl Stall {
    /// A server with one fault, whose listeners speak what `speaks` says. What it does is written to `log` when a stall ends, and at the
    /// end.
    pub fn new(fault: Fault, speaks: Vec<Speaks>, log: Arc<Mutex<Log>>) -> Stall {
        if let Fault::Periodic { every, long } = fault {
            assert!(every > long, "a stall ends before the next one begins");
        }
        Stall {
            fault,
            speaks,
            first_ns: None,
            stall: None,
            resuming: false,
            next_ns: None,
            stalled: VecDeque::new(),
            owing: VecDeque::new(),
            wake_ns: u64::MAX,
            log: Writer::new(log),
        }
    }

    /// Takes note of what the time has brought: a stall begins, or ends; late answers are due.
    fn look(&mut self, io: &mut Io<'_, Stall>) {
        let now_ns = io.now_ns();
        if let Some(stall) = self.stall.take_if(|stall| stall.to_ns <= now_ns) {
            self.log.stalled(Span { to_ns: now_ns, ..stall });
            self.resuming = !self.stalled.is_empty();
        }
        if let Some(from_ns) = self.next_ns.take_if(|from_ns| *from_ns <= now_ns) {
            let (long, every) = match self.fault {
                Fault::Once { long, .. } => (long, None),
                Fault::Periodic { long, every } => (long, Some(every)),
                _ => unreachable!("others have no stall of all"),
            };
            self.stall = Some(Span { from_ns: now_ns, to_ns: from_ns + ns(long) });
            self.next_ns = every.map(|every| from_ns + ns(every));
        }
        self.let_go(io);
        self.set_wake(io);
    }

    /// Tells sessions to go on whose time has come. Those that find the mailbox full stay in front.
    fn let_go(&mut self, io: &mut Io<'_, Stall>) {
        let now_ns = io.now_ns();
        while let Some((_, address)) = self.owing.front().filter(|(due_ns, _)| *due_ns <= now_ns) {
            if io.post(*address, Go).is_err() {
                return;
            }
            self.owing.pop_front();
        }
        while let Some(address) = self.stalled.front().filter(|_| self.stall.is_none()) {
            if io.post(*address, Go).is_err() {
                return;
            }
            self.stalled.pop_front();
        }
    }

    fn set_wake(&mut self, io: &mut Io<'_, Stall>) {
        let stall_ns = self.stall.map(|stall| stall.to_ns).or(self.next_ns);
        let owing_ns = self.owing.front().map(|(due_ns, _)| *due_ns);
        // Left over by a full mailbox: the next turn.
        let left_ns = (self.stall.is_none() && !self.stalled.is_empty()).then_some(0);
        let wake_ns = [stall_ns, owing_ns, left_ns].into_iter().flatten().min().unwrap_or(u64::MAX);
        if wake_ns != self.wake_ns && wake_ns < u64::MAX {
            io.wake_at_ns(wake_ns);
        }
        self.wake_ns = wake_ns;
    }

    /// Bytes came on a connection.
    fn hear(&mut self, session: &mut Session, leg: Leg, input: Input<'_>, io: &mut Io<'_, Stall>) -> Next {
        self.look(io);
        match session.state {
            State::Open if self.stall.is_some() || !self.stalled.is_empty() => {
                io.pause(leg);
                session.state = State::Stalled;
                self.stalled.push_back(io.me());
                self.set_wake(io);
                Next::Stay
            }
            State::Open | State::Released => {
                if std::mem::take(&mut self.resuming) {
                    self.log.went_on(io.now_ns());
                }
                session.state = State::Open;
                self.serve(session, leg, input, io)
            }
            State::Fresh | State::Stalled | State::Owing(_) => {
                io.pause(leg);
                Next::Stay
            }
        }
    }

    /// Answers all requests that are whole.
    fn serve(
        &mut self,
        session: &mut Session,
        leg: Leg,
        mut input: Input<'_>,
        io: &mut Io<'_, Stall>,
    ) -> Next {
        let all = input.len();
        let bytes = input.contiguous(all);
        let (mut used, mut next) = (0, Next::Stay);
        while let Some(request) = session.speaks.request(&bytes[used..]) {
            let answer = session.speaks.answer(&bytes[used..used + request.bytes]);
            if !io.out(leg).reserve(answer.len()) {
                break;
            }
            used += request.bytes;
            self.begin(io);
            let requests = self.log.request();
            let slow = match self.fault {
                Fault::SlowOneIn { requests: of, by } if requests.is_multiple_of(of) => Some(by),
                _ => None,
            };
            if let Some(by) = slow {
                self.log.slow();
                session.state = State::Owing(Chunk::Shared(Bytes::copy_from_slice(answer)));
                self.owing.push_back((io.now_ns() + ns(by), io.me()));
                self.set_wake(io);
                io.pause(leg);
                break;
            }
            let written = io.out(leg).copy(answer);
            debug_assert!(written, "it was asked for room");
            if request.last {
                next = Next::Close;
                break;
            }
        }
        if used == 0 && all > HEAD_MAX && session.speaks == Speaks::Http {
            return Next::Close;
        }
        input.skip(used);
        next
    }

    /// The first request begins the plan of stalls.
    fn begin(&mut self, io: &mut Io<'_, Stall>) {
        if self.first_ns.is_some() {
            return;
        }
        let now_ns = io.now_ns();
        self.first_ns = Some(now_ns);
        self.log.first(now_ns);
        self.next_ns = match self.fault {
            Fault::Once { after, .. } => Some(now_ns + ns(after)),
            Fault::Periodic { every, .. } => Some(now_ns + ns(every)),
            _ => None,
        };
        self.set_wake(io);
    }

    /// A session may go on.
    fn go(&mut self, session: &mut Session, io: &mut Io<'_, Stall>) {
        let Some(leg) = session.leg else { return };
        match std::mem::replace(&mut session.state, State::Open) {
            State::Owing(chunk) => {
                if let Err(chunk) = io.out(leg).push(chunk) {
                    // `Drained` tries again.
                    session.state = State::Owing(chunk);
                    return;
                }
            }
            State::Stalled => session.state = State::Released,
            State::Fresh => self.log.slow(),
            State::Open | State::Released => return,
        }
        io.resume(leg);
    }
}

impl Service for Stall {
    type Session = Session;
    type Note = Go;
    const INPUT_MAX: usize = 256 << 10;

    fn open(&mut self, origin: Origin, io: &mut Io<'_, Stall>) -> Session {
        let Origin::Accepted(leg, ListenerId(listener)) = origin else {
            return Session { leg: None, speaks: Speaks::Http, state: State::Open };
        };
        let speaks = self.speaks[usize::from(listener)];
        let mut state = State::Open;
        if let Fault::SlowAccept { by } = self.fault {
            state = State::Fresh;
            self.owing.push_back((io.now_ns() + ns(by), io.me()));
            self.set_wake(io);
        }
        Session { leg: Some(leg), speaks, state }
    }

    fn on(&mut self, session: &mut Session, event: Event<'_, Stall>, io: &mut Io<'_, Stall>) -> Next {
        match event {
            Event::Bytes(leg, input) => return self.hear(session, leg, input, io),
            Event::Note(Go) => self.go(session, io),
            Event::Drained(_) if matches!(session.state, State::Owing(_)) => self.go(session, io),
            Event::Timer(_) => {
                self.wake_ns = u64::MAX;
                self.look(io);
            }
            Event::Eof(_) | Event::Failed(..) => return Next::Close,
            Event::Drain(_) => {
                if session.leg.is_none() {
                    self.log.end();
                }
                return Next::Close;
            }
            _ => {}
        }
        Next::Stay
    }

    fn end(&mut self, _session: Session, _why: End) {}
}

fn ns(time: Duration) -> u64 {
    time.as_nanos() as u64
}

/// A head that is longer is not waited for.
const HEAD_MAX: usize = 64 << 10;

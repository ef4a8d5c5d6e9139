//! A service around another one that holds every engine to the seam's promises, event by event.
//!
//! Changes nothing that passes through it. What it finds goes into the [`Ledger`], not into a panic: the run goes on, and
//! its trace shows what followed.

use super::trace::Who;
use crate::conn::Conn;
use crate::desk::Wish;
use crate::input::Input;
use crate::io::Io;
use crate::service::{End, Event, Leg, Next, Origin, Outcome, Service, Token};
use std::cell::RefCell;
use std::rc::Rc;

/// What the checkers of one run have seen, all seats together.
#[derive(Clone, Default)]
pub(super) struct Ledger(Rc<RefCell<Seen>>);

#[derive(Default)]
pub(super) struct Seen {
    pub(super) broken: Vec<String>,
    pub(super) opened: u64,
    pub(super) ended: u64,
    /// What the services were told since the trace last took it.
    pub(super) told: Vec<(Who, &'static str, u64)>,
}

impl Ledger {
    pub(super) fn with<T>(&self, use_it: impl FnOnce(&mut Seen) -> T) -> T {
        use_it(&mut self.0.borrow_mut())
    }

    fn told(&self, who: Who, what: &'static str, n: u64) {
        self.with(|seen| seen.told.push((who, what, n)));
    }
}

/// Wraps a service; made once for each seat.
pub(super) struct Checked<S: Service> {
    inner: S,
    seat: u16,
    ledger: Ledger,
    /// Counts the seat's turns: the world moves between two of them.
    turn: Rc<std::cell::Cell<u64>>,
    last_ns: u64,
}

/// A session with what it was told.
pub(super) struct Watched<T> {
    inner: T,
    root: bool,
    slot: u32,
    legs: Vec<Watch>,
    pipes: Vec<Flow>,
    drained: bool,
}

/// One leg as its session knows it.
struct Watch {
    leg: Leg,
    /// It is being connected: until when.
    due_ns: Option<u64>,
    eof: bool,
    /// It failed, or the service let go of it: nothing more may be told.
    over: bool,
    /// What was offered and not taken.
    kept: Vec<u8>,
    /// The turn in which `on` took nothing of it and nothing has changed since.
    refused: Option<u64>,
    paused: bool,
    /// Its output was found full.
    full: bool,
    datagram: bool,
}

struct Flow {
    token: Token,
    from: Leg,
    most: u64,
}

/// A connect's alarm may come this late: a tick of the wheel, and a turn that sleeps.
const LATE_NS: u64 = 5_000_000;

impl<S: Service> Checked<S> {
    pub(super) fn new(inner: S, seat: u16, ledger: Ledger, turn: Rc<std::cell::Cell<u64>>) -> Checked<S> {
        Checked { inner, seat, ledger, turn, last_ns: 0 }
    }

    fn broken(&self, slot: u32, what: String) {
        self.ledger.with(|seen| seen.broken.push(format!("seat {} session {slot}: {what}", self.seat)));
    }

    /// Notes what a service was told, and says what must not have been.
    fn before(
        &mut self,
        session: &mut Watched<S::Session>,
        event: &Event<'_, Checked<S>>,
        io: &Io<'_, Self>,
    ) {
        let slot = session.slot;
        let mut wrong = Vec::new();
        if !io.desk.wishes.is_empty() {
            wrong.push("called while wishes of an earlier call wait".to_string());
        }
        if io.now_ns() < self.last_ns || io.now().0 != io.now_ns() / 1_000_000 {
            wrong.push("time turned back".into());
        }
        self.last_ns = io.now_ns();
        let (what, leg, n) = told(event);
        let who = leg.map_or(Who::Session(self.seat, slot), |leg| Who::Leg(self.seat, leg.0));
        self.ledger.told(who, what, n);
        for watch in session.legs.iter().filter(|watch| !watch.over) {
            if watch.due_ns.is_some_and(|due| io.now_ns() > due + LATE_NS) {
                wrong.push(format!("{:?} was neither opened nor failed by its deadline", watch.leg));
            }
        }
        if let Event::Bound(leg, _) = event {
            session.legs.push(Watch { datagram: true, ..Watch::new(*leg) });
        }
        if let Some(leg) = leg {
            match session.legs.iter_mut().find(|watch| watch.leg == leg) {
                None => wrong.push(format!("{what} of {leg:?}, which is not its leg")),
                Some(watch) => {
                    if watch.over {
                        wrong.push(format!("{what} of {leg:?}, which is over"));
                    }
                    if watch.due_ns.is_some() && !matches!(event, Event::Opened(_) | Event::Failed(..)) {
                        wrong.push(format!("{what} of {leg:?}, which is not open yet"));
                    }
                    wrong.extend(watch.told(event, self.turn.get()));
                }
            }
        }
        match event {
            Event::Bytes(leg, _) if session.pipes.iter().any(|flow| flow.from == *leg) => {
                wrong.push(format!("bytes of {leg:?}, which a pipe has"));
            }
            Event::Done(token, Outcome::Piped(moved)) => {
                match session.pipes.iter().position(|flow| flow.token == *token) {
                    None => wrong.push(format!("{token:?} ended twice or never began")),
                    Some(index) => {
                        let flow = session.pipes.remove(index);
                        if *moved > flow.most {
                            wrong.push(format!("a pipe of {} bytes moved {moved}", flow.most));
                        }
                    }
                }
            }
            Event::Drain(until) => {
                if std::mem::replace(&mut session.drained, true) {
                    wrong.push("drained twice".into());
                }
                if !io.draining() || until.0 < io.now().0 {
                    wrong.push("drained before the drain, or after its end".into());
                }
            }
            _ => {}
        }
        wrong.into_iter().for_each(|what| self.broken(slot, what));
    }

    /// Notes what the call wished for.
    fn after(&self, session: &mut Watched<S::Session>, io: &Io<'_, Self>) {
        let mine = |watch: &Watch, key| watch.leg == Leg(key) && !watch.over;
        for wish in &io.desk.wishes {
            match *wish {
                Wish::Connect(key, to) => {
                    let due = io.now_ns().saturating_add(to.deadline.as_nanos() as u64);
                    session.legs.push(Watch { due_ns: Some(due), ..Watch::new(Leg(key)) });
                }
                Wish::Pipe { from, to, n, token, .. } => {
                    session.pipes.push(Flow { token, from: Leg(from), most: n });
                    session.touch(Leg(from), |watch| {
                        watch.paused = false;
                        // How much of it the pipe takes is told by no event but its end.
                        watch.kept.clear();
                    });
                    // The pipe may find it full and end before there is room.
                    session.touch(Leg(to), |watch| watch.full = true);
                }
                Wish::Pause(key, on) => session.touch(Leg(key), |watch| watch.paused = on),
                Wish::Close(key) | Wish::Abort(key) => {
                    // A leg that is gone already, and whose failure is about to be told, is not the service's to close.
                    let own = |conn: &Conn| conn.session == io.session && conn.is_open();
                    if io.desk.conns.get(key).is_some_and(own) {
                        session.legs.iter_mut().filter(|w| mine(w, key)).for_each(|w| w.over = true);
                    }
                }
                Wish::Finish(_) | Wish::Recall(_) => {}
            }
        }
        for watch in session.legs.iter_mut().filter(|watch| !watch.over) {
            if let Some(out) = io.desk.conns.get(watch.leg.0).and_then(|conn| conn.out.as_ref()) {
                // A seat itself asks for `Drained` where input was left unread because the output is full.
                watch.full |= out.waits() || out.room() == 0;
            }
        }
        session.legs.retain(|watch| io.desk.conns.contains(watch.leg.0));
    }
}

impl<T> Watched<T> {
    fn touch(&mut self, leg: Leg, change: impl FnOnce(&mut Watch)) {
        if let Some(watch) = self.legs.iter_mut().find(|watch| watch.leg == leg) {
            watch.refused = None;
            change(watch);
        }
    }
}

impl Watch {
    fn new(leg: Leg) -> Watch {
        Watch {
            leg,
            due_ns: None,
            eof: false,
            over: false,
            kept: Vec::new(),
            refused: None,
            paused: false,
            full: false,
            datagram: false,
        }
    }

    /// Notes an event of this leg; says what is wrong with it.
    fn told<S: Service>(&mut self, event: &Event<'_, S>, turn: u64) -> Option<String> {
        let leg = self.leg;
        match event {
            Event::Opened(_) if self.due_ns.take().is_none() => Some(format!("{leg:?} was opened twice")),
            Event::Bytes(_, input) => {
                let fresh = input.len().checked_sub(self.kept.len());
                let kept = begins_with(input, &self.kept);
                if input.is_empty() || input.chunks().any(|piece| piece.is_empty()) {
                    Some(format!("bytes of {leg:?} without a byte"))
                } else if self.eof {
                    Some(format!("bytes of {leg:?} after its end"))
                } else if self.paused {
                    Some(format!("bytes of {leg:?}, which is paused"))
                } else if fresh.is_none() || !kept {
                    Some(format!("bytes of {leg:?} do not begin with those that were left unread"))
                } else if fresh == Some(0) && self.refused == Some(turn) {
                    Some(format!("the same bytes of {leg:?} again in the turn in which none were taken"))
                } else {
                    None
                }
            }
            Event::Eof(_) if std::mem::replace(&mut self.eof, true) => Some(format!("{leg:?} ended twice")),
            Event::Eof(_) => {
                self.kept.clear();
                None
            }
            Event::Drained(_) if !std::mem::replace(&mut self.full, false) => {
                Some(format!("{leg:?} drained though its output was not found full"))
            }
            Event::Drained(_) => {
                self.refused = None;
                None
            }
            Event::Failed(..) => {
                self.over = true;
                None
            }
            Event::Datagram(..) if !self.datagram => Some(format!("a datagram on {leg:?}, a stream")),
            _ => None,
        }
    }
}

impl<S: Service> Service for Checked<S> {
    type Session = Watched<S::Session>;
    type Note = S::Note;
    const INPUT_MAX: usize = S::INPUT_MAX;

    fn open(&mut self, origin: Origin, io: &mut Io<'_, Self>) -> Self::Session {
        let slot = io.session.slot;
        let legs = match origin {
            Origin::Accepted(leg, _) => vec![Watch::new(leg)],
            Origin::Root => Vec::new(),
        };
        self.ledger.with(|seen| seen.opened += 1);
        self.ledger.told(Who::Session(self.seat, slot), "opens", 0);
        let inner = self.inner.open(origin, &mut Io { desk: &mut *io.desk, session: io.session });
        let root = origin == Origin::Root;
        let mut session = Watched { inner, root, slot, legs, pipes: Vec::new(), drained: false };
        self.after(&mut session, io);
        session
    }

    fn on(&mut self, session: &mut Self::Session, event: Event<'_, Self>, io: &mut Io<'_, Self>) -> Next {
        self.before(session, &event, io);
        let mut inside = Io { desk: &mut *io.desk, session: io.session };
        let (service, state) = (&mut self.inner, &mut session.inner);
        let next = match event {
            Event::Bytes(leg, input) => {
                let before = input.len();
                let Input { pieces, copied, .. } = input;
                let next = service.on(state, Event::Bytes(leg, Input::new(pieces, copied)), &mut inside);
                if let Some(watch) = session.legs.iter_mut().find(|watch| watch.leg == leg) {
                    watch.kept.clear();
                    pieces.iter().for_each(|piece| watch.kept.extend_from_slice(piece));
                    watch.refused = (watch.kept.len() == before).then(|| self.turn.get());
                }
                next
            }
            Event::Opened(leg) => service.on(state, Event::Opened(leg), &mut inside),
            Event::Bound(leg, listener) => service.on(state, Event::Bound(leg, listener), &mut inside),
            Event::Datagram(leg, packet) => service.on(state, Event::Datagram(leg, packet), &mut inside),
            Event::Drained(leg) => service.on(state, Event::Drained(leg), &mut inside),
            Event::Eof(leg) => service.on(state, Event::Eof(leg), &mut inside),
            Event::Failed(leg, why) => service.on(state, Event::Failed(leg, why), &mut inside),
            Event::Timer(token) => service.on(state, Event::Timer(token), &mut inside),
            Event::Done(token, outcome) => service.on(state, Event::Done(token, outcome), &mut inside),
            Event::Note(note) => service.on(state, Event::Note(note), &mut inside),
            Event::Wake => service.on(state, Event::Wake, &mut inside),
            Event::Drain(until) => service.on(state, Event::Drain(until), &mut inside),
        };
        self.after(session, io);
        next
    }

    fn end(&mut self, session: Self::Session, why: End) {
        let what = match why {
            End::Closed => "ends, closed",
            End::Orphan => "ends, an orphan",
            End::Aborted => "ends, aborted",
        };
        self.ledger.with(|seen| seen.ended += 1);
        self.ledger.told(Who::Session(self.seat, session.slot), what, 0);
        if why == End::Orphan && !session.pipes.is_empty() {
            self.broken(session.slot, format!("{} pipes never ended", session.pipes.len()));
        }
        if why == End::Orphan && session.root {
            self.broken(session.slot, "the root session cannot be an orphan".into());
        }
        self.inner.end(session.inner, why);
    }
}

/// Whether these bytes come first.
fn begins_with(input: &Input<'_>, mut first: &[u8]) -> bool {
    for piece in input.chunks() {
        let n = piece.len().min(first.len());
        if piece[..n] != first[..n] {
            return false;
        }
        first = &first[n..];
    }
    first.is_empty()
}

/// An event's name, its leg and its size.
fn told<S: Service>(event: &Event<'_, S>) -> (&'static str, Option<Leg>, u64) {
    match event {
        Event::Opened(leg) => ("told: opened", Some(*leg), 0),
        Event::Bound(leg, listener) => ("told: bound", Some(*leg), listener.0.into()),
        Event::Bytes(leg, input) => ("told: bytes", Some(*leg), input.len() as u64),
        Event::Datagram(leg, packet) => ("told: datagram", Some(*leg), packet.bytes().len() as u64),
        Event::Drained(leg) => ("told: drained", Some(*leg), 0),
        Event::Eof(leg) => ("told: eof", Some(*leg), 0),
        Event::Failed(leg, _) => ("told: failed", Some(*leg), 0),
        Event::Timer(_) => ("told: timer", None, 0),
        Event::Done(_, Outcome::Piped(moved)) => ("told: piped", None, *moved),
        Event::Note(_) => ("told: note", None, 0),
        Event::Wake => ("told: wake", None, 0),
        Event::Drain(until) => ("told: drain", None, until.0),
    }
}

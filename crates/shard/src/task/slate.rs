//! What a story and its task tell each other: legs with one piece in either hand, and a short list of things asked for.
//!
//! The story writes here while it is polled; the task reads it afterwards, acts on the `Io`, and writes down what became
//! of it. Neither ever calls the other. Everything in it is bounded: one unread piece and one unsent piece a leg, and
//! as many questions as there are futures that wait for their answer.

use crate::input::Input;
use crate::io::{Connect, Io};
use crate::meter::Meter;
use crate::service::{Leg, LegError, Service, Token};
use crate::wheel::Tick;
use linux::Chunk;
use std::cell::RefCell;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

pub(super) struct Slate {
    legs: Vec<Side>,
    asked: Vec<Question>,
    counts: Vec<fn(&Meter)>,
    /// The task's own waker: it need not be called, since every event polls.
    waker: Waker,
    /// Wakers of combinators that poll only the child that was woken. Called before each poll, whatever happened.
    strangers: Vec<Waker>,
    now: Tick,
    draining: bool,
}

/// A leg as its story sees it.
struct Side {
    leg: Leg,
    /// Taken from the engine for a read that has not picked it up yet.
    input: Option<Chunk>,
    /// Waits for room in the leg's output.
    output: Option<Chunk>,
    /// How the peer's side ended: `Ok` is its FIN.
    end: Option<Result<(), LegError>>,
    /// How ours is to end, once `output` is gone.
    exit: Exit,
    /// The last poll left a read of it waiting.
    awaited: bool,
    /// The engine was told to stop receiving.
    paused: bool,
}

/// How far the story has taken leave of a leg. It only moves down this list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Exit {
    Stay,
    Finish,
    Finished,
    Close,
    Abort,
}

/// What a story may ask for that is answered by an event of its own.
#[derive(Clone, Copy, Debug)]
pub(super) enum Ask {
    Connect(Connect),
    Pipe(Leg, Leg, u64),
    Sleep(Duration),
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Answer {
    Connected(Result<Leg, LegError>),
    Piped(u64),
    Slept,
}

/// Where a question stands in the list.
#[derive(Clone, Copy)]
pub(super) struct Ticket(usize);

#[derive(Clone, Copy, Debug)]
enum Question {
    /// A place for the next one.
    Free,
    Asked(Ask),
    Connecting(Leg),
    Piping(Token),
    Sleeping(Token),
    Answered(Answer),
    /// Nobody waits for this timer any more.
    Cancel(Token),
}

/// errno(3): not a leg of this task.
const EBADF: LegError = LegError::Os(9);
/// errno(3): writing after FIN.
const EPIPE: LegError = LegError::Os(32);

/// The story's half, called while it is polled.
impl Slate {
    pub(super) fn read(&mut self, leg: Leg, cx: &Context<'_>) -> Poll<Result<Option<Chunk>, LegError>> {
        let Some(side) = self.side(leg) else { return Poll::Ready(Err(EBADF)) };
        if let Some(chunk) = side.input.take() {
            return Poll::Ready(Ok(Some(chunk)));
        }
        if let Some(end) = side.end {
            return Poll::Ready(end.map(|()| None));
        }
        side.awaited = true;
        self.pending(cx)
    }

    /// `chunk` is taken once the leg's hand is free, and written once it is free again.
    pub(super) fn write(
        &mut self,
        leg: Leg,
        chunk: &mut Option<Chunk>,
        cx: &Context<'_>,
    ) -> Poll<Result<(), LegError>> {
        let Some(side) = self.side(leg) else { return Poll::Ready(Err(EBADF)) };
        if let Some(Err(why)) = side.end {
            return Poll::Ready(Err(why));
        }
        let free = side.output.is_none();
        match chunk.take_if(|chunk| free || chunk.is_empty()) {
            Some(_) if side.exit > Exit::Stay => return Poll::Ready(Err(EPIPE)),
            Some(chunk) if chunk.is_empty() => return Poll::Ready(Ok(())),
            Some(chunk) => side.output = Some(chunk),
            None if free => return Poll::Ready(Ok(())),
            None => {}
        }
        self.pending(cx)
    }

    pub(super) fn failed(&mut self, leg: Leg, cx: &Context<'_>) -> Poll<LegError> {
        match self.side(leg) {
            None => Poll::Ready(EBADF),
            Some(Side { end: Some(Err(why)), .. }) => Poll::Ready(*why),
            Some(_) => self.pending(cx),
        }
    }

    pub(super) fn finish(&mut self, leg: Leg) {
        self.exit(leg, Exit::Finish);
    }

    pub(super) fn close(&mut self, leg: Leg) {
        self.exit(leg, Exit::Close);
    }

    pub(super) fn abort(&mut self, leg: Leg) {
        self.exit(leg, Exit::Abort);
    }

    pub(super) fn count(&mut self, count: fn(&Meter)) {
        self.counts.push(count);
    }

    pub(super) fn now(&self) -> Tick {
        self.now
    }

    pub(super) fn draining(&mut self, cx: &Context<'_>) -> Poll<()> {
        if self.draining { Poll::Ready(()) } else { self.pending(cx) }
    }

    pub(super) fn ask(&mut self, ask: Ask) -> Ticket {
        let free = self.asked.iter().position(|question| matches!(question, Question::Free));
        let at = free.unwrap_or_else(|| {
            self.asked.push(Question::Free);
            self.asked.len() - 1
        });
        self.asked[at] = Question::Asked(ask);
        Ticket(at)
    }

    /// What came of a question.
    pub(super) fn answer_of(&mut self, ticket: Ticket, cx: &Context<'_>) -> Poll<Answer> {
        let question = &mut self.asked[ticket.0];
        if let Question::Answered(answer) = *question {
            *question = Question::Free;
            return Poll::Ready(answer);
        }
        self.pending(cx)
    }

    /// The asker is gone. A connection that he did not pick up goes with him.
    pub(super) fn give_up(&mut self, ticket: Ticket) {
        let question = std::mem::replace(&mut self.asked[ticket.0], Question::Free);
        match question {
            Question::Sleeping(timer) => self.asked[ticket.0] = Question::Cancel(timer),
            Question::Connecting(leg) | Question::Answered(Answer::Connected(Ok(leg))) => self.abort(leg),
            _ => {}
        }
    }

    /// At most `n` bytes that were taken for a read which was dropped before it picked them up.
    pub(super) fn left_over(&mut self, leg: Leg, n: u64) -> Option<Chunk> {
        let input = &mut self.side(leg)?.input;
        match input {
            Some(chunk) if chunk.len() as u64 > n => Some(chunk.split_to(n as usize)),
            _ => input.take(),
        }
    }

    fn side(&mut self, leg: Leg) -> Option<&mut Side> {
        self.legs.iter_mut().find(|side| side.leg == leg && side.exit < Exit::Close)
    }

    fn exit(&mut self, leg: Leg, exit: Exit) {
        // An abort may overtake a close that still waits for room, so closing sides are found here too.
        if let Some(side) = self.legs.iter_mut().find(|side| side.leg == leg) {
            side.exit = side.exit.max(exit);
        }
    }

    fn pending<T>(&mut self, cx: &Context<'_>) -> Poll<T> {
        let known = |waker: &Waker| waker.will_wake(cx.waker());
        if !known(&self.waker) && !self.strangers.iter().any(known) {
            self.strangers.push(cx.waker().clone());
        }
        Poll::Pending
    }
}

/// The task's half, called between two polls.
impl Slate {
    pub(super) fn new<S: Service>(legs: &[Leg], io: &Io<'_, S>) -> Slate {
        Slate {
            legs: legs.iter().copied().map(Side::new).collect(),
            asked: Vec::new(),
            counts: Vec::new(),
            waker: io.waker(),
            strangers: Vec::new(),
            now: io.now(),
            draining: io.draining(),
        }
    }

    pub(super) fn opened(&mut self, leg: Leg) {
        self.connected(leg, Ok(leg));
    }

    pub(super) fn ended(&mut self, leg: Leg, end: Result<(), LegError>) {
        if let Err(why) = end
            && self.connected(leg, Err(why))
        {
            return self.legs.retain(|side| side.leg != leg);
        }
        if let Some(side) = self.legs.iter_mut().find(|side| side.leg == leg) {
            side.end = Some(end);
            if end.is_err() {
                side.output = None;
            }
        }
    }

    /// A timer fired or a pipe ended.
    pub(super) fn answer(&mut self, token: Token, answer: Answer) {
        for question in &mut self.asked {
            match *question {
                Question::Piping(t) | Question::Sleeping(t) if t == token => {
                    *question = Question::Answered(answer)
                }
                Question::Cancel(t) if t == token => *question = Question::Free,
                _ => {}
            }
        }
    }

    pub(super) fn drain(&mut self) {
        self.draining = true;
    }

    /// Takes the next piece for a read that waits. `false` when none waits or nothing is left.
    pub(super) fn take(&mut self, leg: Leg, input: &mut Input<'_>) -> bool {
        let Some(side) = self.side(leg).filter(|side| side.awaited) else { return false };
        side.input = input.take(usize::MAX);
        side.input.is_some()
    }

    /// Nobody waits for what this leg still has: it stays in the engine, which stops receiving.
    pub(super) fn pause<S: Service>(&mut self, leg: Leg, io: &mut Io<'_, S>) {
        if let Some(side) = self.side(leg) {
            side.paused = true;
            io.pause(leg);
        }
    }

    /// Wakes what a combinator with wakers of its own is to poll again. The slate is not borrowed meanwhile: a waker may
    /// do anything.
    pub(super) fn wake_strangers(slate: &RefCell<Slate>) {
        loop {
            let Some(waker) = slate.borrow_mut().strangers.pop() else { return };
            waker.wake();
        }
    }

    /// Whatever waits says so again during the poll that follows.
    pub(super) fn before_poll<S: Service>(&mut self, io: &Io<'_, S>) {
        self.now = io.now();
        self.legs.iter_mut().for_each(|side| side.awaited = false);
    }

    /// The story has ended: nobody reads any more. What it wrote is still to go out.
    pub(super) fn close_book(&mut self) {
        for side in &mut self.legs {
            side.awaited = false;
            side.input = None;
        }
    }

    /// Does what the story wished. `true` when that answered something, so that it can go on.
    pub(super) fn carry_out<S: Service>(&mut self, io: &mut Io<'_, S>) -> bool {
        let mut progress = false;
        for count in self.counts.drain(..) {
            count(io.meter());
        }
        for at in 0..self.asked.len() {
            self.asked[at] = match self.asked[at] {
                Question::Asked(ask) => self.begin(ask, io),
                Question::Cancel(timer) => {
                    io.cancel(timer);
                    Question::Free
                }
                _ => continue,
            };
            progress |= matches!(self.asked[at], Question::Answered(_));
        }
        self.legs.retain_mut(|side| {
            side.hear(io);
            progress |= side.send(io);
            side.leave(io)
        });
        progress
    }

    /// Whether something is still to go into an output.
    pub(super) fn is_writing(&self) -> bool {
        self.legs.iter().any(|side| side.output.is_some())
    }

    fn begin<S: Service>(&mut self, ask: Ask, io: &mut Io<'_, S>) -> Question {
        match ask {
            Ask::Sleep(after) => Question::Sleeping(io.timer(after)),
            Ask::Connect(to) => match io.connect(&to) {
                Ok(leg) => {
                    self.legs.push(Side::new(leg));
                    Question::Connecting(leg)
                }
                Err(why) => Question::Answered(Answer::Connected(Err(why))),
            },
            // What was written to `to` before goes out before.
            Ask::Pipe(_, to, _) if self.side(to).is_some_and(|side| side.output.is_some()) => {
                Question::Asked(ask)
            }
            Ask::Pipe(from, to, n) => {
                if let Some(side) = self.side(from) {
                    side.paused = false; // a pipe resumes its source
                }
                Question::Piping(io.pipe(from, to, n))
            }
        }
    }

    /// Answers the connect of `leg`; `false` when none waits for it.
    fn connected(&mut self, leg: Leg, result: Result<Leg, LegError>) -> bool {
        let of_leg = |question: &&mut Question| matches!(question, Question::Connecting(l) if *l == leg);
        let question = self.asked.iter_mut().find(of_leg);
        question.map(|question| *question = Question::Answered(Answer::Connected(result))).is_some()
    }
}

impl Side {
    fn new(leg: Leg) -> Side {
        Side { leg, input: None, output: None, end: None, exit: Exit::Stay, awaited: false, paused: false }
    }

    /// Receives again when somebody waits for it.
    fn hear<S: Service>(&mut self, io: &mut Io<'_, S>) {
        if self.awaited && self.paused {
            self.paused = false;
            io.resume(self.leg);
        }
    }

    /// Moves the unsent piece into the output, as far as there is room. `true` when all of it is there.
    fn send<S: Service>(&mut self, io: &mut Io<'_, S>) -> bool {
        let Some(chunk) = self.output.take() else { return false };
        let out = io.out(self.leg);
        let Err(mut rest) = out.push(chunk) else { return true };
        // What does not fit found the output full, so `Drained` will come. A piece larger than the whole bound goes in parts.
        let room = out.room();
        if room > 0 {
            let fits = out.push(rest.split_to(room));
            debug_assert!(fits.is_ok(), "there was room for it");
        }
        // Few buffers serve all legs: what waits for a slow reader must not be one of them.
        self.output = Some(copied(rest, io));
        false
    }

    /// Ends our side once nothing waits for room. `false` when nothing is left of it.
    fn leave<S: Service>(&mut self, io: &mut Io<'_, S>) -> bool {
        match self.exit {
            Exit::Abort => io.abort(self.leg),
            _ if self.output.is_some() => return true,
            Exit::Stay | Exit::Finished => return true,
            Exit::Finish => {
                self.exit = Exit::Finished;
                io.finish(self.leg);
                return true;
            }
            Exit::Close => io.close(self.leg),
        }
        false
    }
}

/// The chunk without the receive buffer it may hold. The copy is counted.
fn copied<S: Service>(chunk: Chunk, io: &Io<'_, S>) -> Chunk {
    if !chunk.is_lease() {
        return chunk;
    }
    io.meter().bytes_copied.add(chunk.len() as u64);
    Chunk::Copied(chunk.to_vec().into())
}

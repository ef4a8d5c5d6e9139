//! A conversation told as a story: an `async fn` that runs inside a session and is polled when one of its events comes.
//!
//! The service keeps the [`Task`] in its session and forwards events to it; the story acts through its [`Cx`]. A story
//! cannot hold the [`Io`] of a call, which is lent anew each time: it notes what it wishes in a `Slate` shared with the
//! task, the task carries that out on the real `Io` after the poll, and polls again as long as this got the story
//! further. So a write that fits into the output is over within the event that caused it.
//!
//! It never spawns, never allocates for an event, and never reads ahead: bytes that nobody awaits stay unread in the
//! engine, and their leg is paused.

mod cx;
mod join;
mod slate;

#[cfg(test)]
mod tests;

pub use cx::Cx;
pub use join::{both, either};

use crate::input::Input;
use crate::io::Io;
use crate::service::{Event, Leg, Next, Outcome, Service};
use slate::{Answer, Slate};
use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Context;

/// A future, what it wished for and what it waits for. Lives in a session; dropped with it, wherever the story stands.
///
/// Costs its service one box for the future and one for the slate, when it is made, and no allocation afterwards.
///
/// ```
/// use shard::{Event, Io, LegError, Next, Service, task::{Cx, Task}, Leg};
///
/// async fn echo(cx: Cx, leg: Leg) -> Result<(), LegError> {
///     while let Some(chunk) = cx.read(leg).await? {
///         cx.write(leg, chunk).await?;
///     }
///     Ok(())
/// }
///
/// fn open<S: Service>(leg: Leg, io: &mut Io<'_, S>) -> Task {
///     Task::new(&[leg], |cx| async move { _ = echo(cx, leg).await }, io)
/// }
///
/// fn on<S: Service>(session: &mut Task, event: Event<'_, S>, io: &mut Io<'_, S>) -> Next {
///     session.on(event, io)
/// }
/// ```
pub struct Task {
    /// The story; `None` once it has ended.
    story: Option<Pin<Box<dyn Future<Output = ()>>>>,
    slate: Rc<RefCell<Slate>>,
}

impl Task {
    /// Begins a story that takes over `legs` of its session; those it connects itself are its own. It runs at once, up to
    /// where it first has to wait. From here on every event of the session is for [`Task::on`].
    ///
    /// An engine ends a session that has no leg and no timer: a story that waits for nothing but a waker in another
    /// thread must hold one or the other.
    pub fn new<S: Service, F: Future<Output = ()> + 'static>(
        legs: &[Leg],
        story: impl FnOnce(Cx) -> F,
        io: &mut Io<'_, S>,
    ) -> Task {
        let slate = Rc::new(RefCell::new(Slate::new(legs, io)));
        let story: Pin<Box<dyn Future<Output = ()>>> = Box::pin(story(Cx::new(slate.clone())));
        let mut task = Task { story: Some(story), slate };
        if task.run(io) == Next::Close {
            // A session cannot be closed while it is being opened: the next turn does it.
            io.waker().wake();
        }
        task
    }

    /// Tells the story what happened and runs it up to where it has to wait again. [`Next::Close`] when it has ended and
    /// all it wrote is on its way. Notes and datagrams are not for stories: they are dropped here.
    pub fn on<S: Service>(&mut self, event: Event<'_, S>, io: &mut Io<'_, S>) -> Next {
        match event {
            Event::Bytes(leg, input) => return self.bytes(leg, input, io),
            Event::Opened(leg) => self.slate.borrow_mut().opened(leg),
            Event::Eof(leg) => self.slate.borrow_mut().ended(leg, Ok(())),
            Event::Failed(leg, why) => self.slate.borrow_mut().ended(leg, Err(why)),
            Event::Timer(token) => self.slate.borrow_mut().answer(token, Answer::Slept),
            Event::Done(token, Outcome::Piped(bytes)) => {
                self.slate.borrow_mut().answer(token, Answer::Piped(bytes));
            }
            Event::Drain(_) => self.slate.borrow_mut().drain(),
            Event::Drained(_) | Event::Wake => {}
            Event::Note(_) | Event::Bound(..) | Event::Datagram(..) => return Next::Stay,
        }
        self.run(io)
    }

    /// Hands over one piece after the other for as long as the story asks for more.
    fn bytes<S: Service>(&mut self, leg: Leg, mut input: Input<'_>, io: &mut Io<'_, S>) -> Next {
        let mut next = Next::Stay;
        while next == Next::Stay && self.slate.borrow_mut().take(leg, &mut input) {
            next = self.run(io);
        }
        if !input.is_empty() {
            self.slate.borrow_mut().pause(leg, io);
        }
        next
    }

    fn run<S: Service>(&mut self, io: &mut Io<'_, S>) -> Next {
        let waker = io.waker();
        let mut context = Context::from_waker(&waker);
        loop {
            Slate::wake_strangers(&self.slate);
            if let Some(story) = &mut self.story {
                self.slate.borrow_mut().before_poll(io);
                if story.as_mut().poll(&mut context).is_ready() {
                    self.story = None;
                    self.slate.borrow_mut().close_book();
                }
            }
            let mut slate = self.slate.borrow_mut();
            if !slate.carry_out(io) {
                let over = self.story.is_none() && !slate.is_writing();
                return if over { Next::Close } else { Next::Stay };
            }
        }
    }
}

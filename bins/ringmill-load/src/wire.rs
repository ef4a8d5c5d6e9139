//! From the seats to the thread that waits for them: what they saw, in boxes that go back empty.
//!
//! Nothing is shared and nobody waits: a seat gives a full interval away and takes an empty one, once a step.

use std::sync::mpsc::{self, Receiver, Sender};

use service::load::{Gap, Sink};
use stats::interval::Interval;

/// What comes to the thread that waits.
#[derive(Debug)]
pub(crate) enum News {
    /// A seat has tried each of its connections once.
    Ready {
        /// Of them, that are open.
        opened: u32,
        /// And that are not.
        failed: u32,
    },
    /// A step of a seat is over.
    Step(u16, Box<Interval>),
    /// A seat will say nothing more.
    Over(Vec<Gap>, u32),
    /// The user wants no more.
    Stop,
}

/// The seat's end.
#[derive(Debug)]
pub(crate) struct Wire {
    seat: u16,
    news: Sender<News>,
    empty: Receiver<Box<Interval>>,
}

/// Both ends: a wire for each seat; what comes out of them; who else may say something; and where empty intervals go.
pub(crate) struct Wires {
    /// By seat; taken by it.
    pub(crate) seats: Vec<Option<Wire>>,
    /// From everybody.
    pub(crate) news: Receiver<News>,
    /// For who is no seat.
    pub(crate) others: Sender<News>,
    /// By seat.
    pub(crate) empty: Vec<Sender<Box<Interval>>>,
}

impl Wires {
    /// For so many seats, each with an interval in reserve: with the one that it fills, that is all it ever needs.
    pub(crate) fn new(seats: u16) -> Wires {
        let (others, news) = mpsc::channel();
        let wire = |seat| {
            let (back, empty) = mpsc::channel();
            (0..RESERVE).for_each(|_| back.send(Box::default()).expect("the other end is here"));
            (Some(Wire { seat, news: others.clone(), empty }), back)
        };
        let (seats, empty) = (0..seats).map(wire).unzip();
        Wires { seats, news, others, empty }
    }
}

impl Sink for Wire {
    fn ready(&mut self, opened: u32, failed: u32) {
        self.tell(News::Ready { opened, failed });
    }

    fn step(&mut self, step: &mut Box<Interval>) {
        // Only a main thread that was kept for seconds from giving them back costs an allocation here.
        let empty = self.empty.try_recv().unwrap_or_default();
        self.tell(News::Step(self.seat, std::mem::replace(step, empty)));
    }

    fn over(&mut self, gaps: Vec<Gap>, held: u32) {
        self.tell(News::Over(gaps, held));
    }
}

impl Wire {
    /// Nobody listens any more only when the program ends.
    fn tell(&self, news: News) {
        let _ = self.news.send(news);
    }
}

/// Intervals that a seat has besides the one that it fills.
const RESERVE: usize = 2;

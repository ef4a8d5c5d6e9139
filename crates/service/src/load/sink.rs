//! Where a seat's figures go: called once a step, never on the way of a request.

use stats::interval::Interval;

/// What a seat tells of its load. A sink belongs to its seat's thread and must not block.
pub trait Sink {
    /// Every connection of the seat was opened or has failed once: it waits for the gate. Called once.
    fn ready(&mut self, opened: u32, failed: u32);
    /// A step of the measured time is over: `step` is what ended in it, and is to be swapped for an empty interval. Of the answers
    /// that come after the measured time the last step tells.
    fn step(&mut self, step: &mut Box<Interval>);
    /// Nothing more will come. `gaps` is a seeded sample of the times between sends; `held` connections were open to the last.
    fn over(&mut self, gaps: Vec<Gap>, held: u32);
}

/// The time between two sends of one seat that follow each other in the schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// As the schedule has it, in nanoseconds.
    pub intended_ns: u64,
    /// As they were given to the kernel.
    pub sent_ns: u64,
}

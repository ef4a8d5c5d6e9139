//! What a seat saw, step by step: samples into the histograms of the present step, whole steps to the sink.
//!
//! Reads no clock: every time is told. A request counts when its intended time lies in the measured time; what was intended before
//! counts as warm-up and nowhere else. A sample belongs to the step in which it ended; those that end after the measured time belong to
//! the last.

use super::line::Request;
use super::sink::{Gap, Sink};
use hdrhistogram::Histogram;
use stats::interval::{Counts, Interval};

/// The recorder of one seat.
pub(super) struct Recorder {
    sink: Box<dyn Sink>,
    step: Box<Interval>,
    runs: [Run; 4],
    step_ns: u64,
    steps: u64,
    /// When the measured time begins and ends on the seat's clock; `u64::MAX` as long as that is not known.
    zero_ns: u64,
    end_ns: u64,
    /// When the present step ends.
    until_ns: u64,
}

/// A run of equal samples, which cost as much to record as one. Answers that come together were often sent together.
#[derive(Clone, Copy, Debug, Default)]
struct Run {
    value: u64,
    count: u64,
}

/// How a request ended that was not answered as it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    Reset,
    Timeout,
    Short,
    Mismatch,
    /// With its class, 4 or 5.
    Status(u8),
}

impl Recorder {
    /// Steps of `step_ns`, `steps` of them.
    pub(super) fn new(sink: Box<dyn Sink>, step_ns: u64, steps: u64) -> Recorder {
        Recorder {
            sink,
            step: Box::default(),
            runs: [Run::default(); 4],
            step_ns,
            steps,
            zero_ns: u64::MAX,
            end_ns: u64::MAX,
            until_ns: u64::MAX,
        }
    }

    /// The measured time begins at `zero_ns`.
    pub(super) fn begin(&mut self, zero_ns: u64) {
        self.zero_ns = zero_ns;
        self.end_ns = zero_ns + self.step_ns * self.steps;
        self.until_ns = zero_ns + self.step_ns;
        (self.step.from_ns, self.step.to_ns) = (0, self.step_ns);
    }

    /// When the measured time ends.
    pub(super) fn end_ns(&self) -> u64 {
        self.end_ns
    }

    /// The measured time ends now.
    pub(super) fn cut(&mut self, now_ns: u64) {
        self.end_ns = self.end_ns.min(now_ns.max(self.zero_ns.saturating_add(1)));
    }

    /// What is counted at this time, and when that does not matter.
    pub(super) fn counts(&mut self) -> &mut Counts {
        &mut self.step.counts
    }

    /// The counts, for what is about a request that was intended at this time: `None` for one of the warm-up.
    #[inline]
    pub(super) fn counts_of(&mut self, intended_ns: u64) -> Option<&mut Counts> {
        (intended_ns >= self.zero_ns).then_some(&mut self.step.counts)
    }

    /// The counts, for what happens at this time: `None` before the measured time and after it, so that what it is divided by is its own.
    #[inline]
    pub(super) fn counts_in_time(&mut self, now_ns: u64) -> Option<&mut Counts> {
        (self.zero_ns <= now_ns && now_ns < self.end_ns).then_some(&mut self.step.counts)
    }

    /// Time goes on: steps that are over are told of.
    #[inline]
    pub(super) fn tick(&mut self, now_ns: u64) {
        while now_ns >= self.until_ns && self.until_ns < self.end_ns {
            self.turn_over();
        }
    }

    /// A request was answered as it should be; of HTTP with the class of its status, of others with 0.
    #[inline]
    pub(super) fn answered(&mut self, now_ns: u64, request: &Request, first_ns: u64, class: u8) {
        if let Some(counts) = self.counts_in_time(now_ns) {
            counts.completed += 1;
        }
        if request.intended_ns < self.zero_ns {
            self.step.counts.warmup += 1;
            return;
        }
        self.step.counts.answered += 1;
        if class > 0 {
            *class_of(&mut self.step.counts, class) += 1;
        }
        self.times(now_ns, request);
        self.add(FIRST_BYTE, first_ns.saturating_sub(request.sent_ns));
    }

    /// A request ended otherwise. `least_ns`: it took at least so long, whatever the clock says.
    pub(super) fn failed(&mut self, now_ns: u64, request: &Request, why: Failure, least_ns: u64) {
        if request.intended_ns < self.zero_ns {
            return;
        }
        let counts = &mut self.step.counts;
        match why {
            Failure::Reset => counts.reset += 1,
            Failure::Timeout => counts.timeout += 1,
            Failure::Short => counts.short += 1,
            Failure::Mismatch => counts.mismatch += 1,
            Failure::Status(class) => {
                counts.status += 1;
                *class_of(counts, class) += 1;
            }
        }
        if request.sent_ns > 0 {
            self.times(now_ns.max(request.sent_ns + least_ns), request);
        } else {
            self.add(RESPONSE, (now_ns - request.intended_ns).max(least_ns));
        }
    }

    #[inline]
    fn times(&mut self, now_ns: u64, request: &Request) {
        self.add(RESPONSE, now_ns - request.intended_ns);
        self.add(SERVICE, now_ns.saturating_sub(request.sent_ns));
        self.add(SEND_LAG, request.sent_ns - request.due_ns);
    }

    /// A timer of this seat was late by so much.
    pub(super) fn paused(&mut self, now_ns: u64, late_ns: u64) {
        if now_ns >= self.zero_ns {
            self.step.paused_max_ns = self.step.paused_max_ns.max(late_ns);
        }
    }

    /// A connection was opened after so long.
    pub(super) fn connected(&mut self, took_ns: u64) {
        self.step.counts.opened += 1;
        self.step.connect.saturating_record(took_ns.max(1));
    }

    /// A socket that needs no connecting is there.
    pub(super) fn bound(&mut self) {
        self.step.counts.opened += 1;
    }

    pub(super) fn ready(&mut self, opened: u32, failed: u32) {
        self.sink.ready(opened, failed);
    }

    /// Nothing more will be recorded.
    pub(super) fn over(&mut self, now_ns: u64, gaps: Vec<Gap>, held: u32) {
        self.tick(now_ns);
        if self.zero_ns != u64::MAX && self.end_ns > self.zero_ns {
            self.step.to_ns = self.step.to_ns.min(self.end_ns - self.zero_ns).max(self.step.from_ns + 1);
        }
        self.flush();
        self.sink.step(&mut self.step);
        self.sink.over(gaps, held);
    }

    fn turn_over(&mut self) {
        self.flush();
        let (from_ns, to_ns) = (self.step.to_ns, self.step.to_ns + self.step_ns);
        self.sink.step(&mut self.step);
        (self.step.from_ns, self.step.to_ns) = (from_ns, to_ns);
        self.until_ns += self.step_ns;
    }

    #[inline]
    fn add(&mut self, which: usize, value: u64) {
        let run = &mut self.runs[which];
        if run.value == value {
            run.count += 1;
        } else {
            let before = std::mem::replace(run, Run { value, count: 1 });
            self.write(which, before);
        }
    }

    fn flush(&mut self) {
        for which in 0..self.runs.len() {
            let run = std::mem::take(&mut self.runs[which]);
            self.write(which, run);
        }
    }

    #[inline]
    fn write(&mut self, which: usize, run: Run) {
        if run.count > 0 {
            self.histogram(which).saturating_record_n(run.value.max(1), run.count);
        }
    }

    #[inline]
    fn histogram(&mut self, which: usize) -> &mut Histogram<u64> {
        match which {
            RESPONSE => &mut self.step.response,
            SERVICE => &mut self.step.service,
            SEND_LAG => &mut self.step.send_lag,
            _ => &mut self.step.first_byte,
        }
    }
}

#[inline]
fn class_of(counts: &mut Counts, class: u8) -> &mut u64 {
    match class {
        1 => &mut counts.status_1xx,
        2 => &mut counts.status_2xx,
        3 => &mut counts.status_3xx,
        4 => &mut counts.status_4xx,
        _ => &mut counts.status_5xx,
    }
}

const RESPONSE: usize = 0;
const SERVICE: usize = 1;
const SEND_LAG: usize = 2;
const FIRST_BYTE: usize = 3;

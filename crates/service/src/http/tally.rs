//! What one call adds to the meter, added once at its end: a pipelined read is one addition, not sixteen.

use shard::meter::Meter;

/// Requests and answers of one call.
#[derive(Default)]
pub(super) struct Tally {
    pub(super) requests: u64,
    classes: [u64; 6],
    pub(super) refused: u64,
}

impl Tally {
    /// One answer with this status.
    #[inline]
    pub(super) fn answered(&mut self, code: u16) {
        self.answered_times(code, 1);
    }

    /// So many answers with this status.
    #[inline]
    pub(super) fn answered_times(&mut self, code: u16, times: u64) {
        self.classes[usize::from(code / 100)] += times;
    }

    /// Adds it to the meter.
    #[inline]
    pub(super) fn count(&self, meter: &Meter) {
        if self.requests > 0 {
            meter.requests.add(self.requests);
        }
        if self.refused > 0 {
            meter.refused.add(self.refused);
        }
        for (class, &answers) in (0..).zip(&self.classes) {
            if answers > 0 {
                meter.status(class).add(answers);
            }
        }
    }
}

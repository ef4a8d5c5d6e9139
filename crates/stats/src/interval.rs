//! What one seat of a load generator saw in one stretch of time: histograms and counts, which only ever add up.
//!
//! Two intervals of whichever seats and times join into one by adding bucket to bucket and count to count, so a percentile of the sum
//! is that of all its samples. Percentiles themselves are never joined. Memory does not depend on the number of samples.

use hdrhistogram::Histogram;
use std::ops::AddAssign;

/// Lowest and highest value that is told apart, in nanoseconds: 1 ns to 1 hour. What is longer counts as an hour.
pub const HIGHEST_NS: u64 = 3_600_000_000_000;
/// Decimal digits that a recorded value keeps.
pub const DIGITS: u8 = 3;

/// A histogram of nanoseconds with this crate's bounds.
pub fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, HIGHEST_NS, DIGITS).expect("the bounds are constant and lie in order")
}

/// What one seat saw between two times of a run.
#[derive(Clone, Debug)]
pub struct Interval {
    /// Nanoseconds since the first intended arrival that is measured (the end of the warm-up).
    pub from_ns: u64,
    /// The end; exclusive.
    pub to_ns: u64,
    /// From the intended arrival to the last byte of the answer; of what failed, to when that was known.
    pub response: Histogram<u64>,
    /// From the first byte given to the kernel to the last byte of the answer.
    pub service: Histogram<u64>,
    /// From when a request was due and a connection free for it to the first byte given to the kernel: the generator's own error.
    pub send_lag: Histogram<u64>,
    /// From the start of a connect to its success.
    pub connect: Histogram<u64>,
    /// From the first byte of a request given to the kernel to the first byte of its answer.
    pub first_byte: Histogram<u64>,
    /// The longest that the seat stood still: how late a timer of a few milliseconds was.
    pub paused_max_ns: u64,
    /// What is counted and not timed.
    pub counts: Counts,
}

impl Interval {
    /// Without a sample.
    pub fn new() -> Interval {
        Interval {
            from_ns: 0,
            to_ns: 0,
            response: histogram(),
            service: histogram(),
            send_lag: histogram(),
            connect: histogram(),
            first_byte: histogram(),
            paused_max_ns: 0,
            counts: Counts::default(),
        }
    }

    /// Each histogram with the name that it has in files.
    pub fn each(&self) -> [(&'static str, &Histogram<u64>); 5] {
        let Interval { response, service, send_lag, connect, first_byte, .. } = self;
        [
            ("response", response),
            ("service", service),
            ("send_lag", send_lag),
            ("connect", connect),
            ("first_byte", first_byte),
        ]
    }

    /// Adds what another saw. The time becomes the shortest that covers both; one that is still empty covers none.
    pub fn join(&mut self, other: &Interval) {
        let empty = self.to_ns == 0;
        self.from_ns = if empty { other.from_ns } else { self.from_ns.min(other.from_ns) };
        self.to_ns = self.to_ns.max(other.to_ns);
        for (mine, others) in [
            (&mut self.response, &other.response),
            (&mut self.service, &other.service),
            (&mut self.send_lag, &other.send_lag),
            (&mut self.connect, &other.connect),
            (&mut self.first_byte, &other.first_byte),
        ] {
            mine.add(others).expect("histograms of one crate have the same bounds");
        }
        self.paused_max_ns = self.paused_max_ns.max(other.paused_max_ns);
        self.counts += other.counts;
    }

    /// Forgets everything and keeps the memory.
    pub fn clear(&mut self) {
        (self.from_ns, self.to_ns, self.paused_max_ns, self.counts) = (0, 0, 0, Counts::default());
        let Interval { response, service, send_lag, connect, first_byte, .. } = self;
        [response, service, send_lag, connect, first_byte].into_iter().for_each(Histogram::reset);
    }
}

impl Default for Interval {
    fn default() -> Interval {
        Interval::new()
    }
}

macro_rules! counts {
    ($($name:ident $help:literal)*) => {
        /// What is counted. Requests that were intended in the warm-up count nowhere but in `warmup`.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Counts {
            $(#[doc = $help] pub $name: u64,)*
        }

        impl AddAssign for Counts {
            fn add_assign(&mut self, other: Counts) {
                $(self.$name += other.$name;)*
            }
        }
    };
}

counts! {
    due "Arrivals that the schedule intended (closed loop: requests begun)."
    sent "Requests given to the kernel."
    answered "Requests answered as they should be."
    completed "Good answers that came in the measured time, whenever they were asked for: what a rate is made of."
    waited "Arrivals that found no connection free and waited for one."
    dropped "Arrivals given up because no connection was free (`--late drop`)."
    overflowed "Arrivals given up because more than the bound of them waited."
    warmup "Requests answered in the warm-up, which count nowhere else."
    bytes_in "Bytes received in the measured time."
    bytes_out "Bytes given to the kernel in the measured time."
    checked_bytes "Bytes of answers that were compared with what was to come."
    corrupt "Answers whose bytes are not those that were to come."
    short "Answers that ended before their end."
    extra "Bytes that no request asked for."
    reordered "Answers that came before one that was asked for earlier."
    duplicated "Answers that came again."
    lost "Datagrams that were not answered in time."
    refused "Connects that were refused."
    reset "Requests that ended because the peer reset or closed their connection."
    timeout "Requests that had no answer in time."
    connect_timeout "Connects that had no answer in time."
    mismatch "Answers that are not what they should be, of whichever kind."
    status "HTTP answers of class 4xx and 5xx."
    status_1xx "HTTP answers of class 1xx."
    status_2xx "HTTP answers of class 2xx."
    status_3xx "HTTP answers of class 3xx."
    status_4xx "HTTP answers of class 4xx."
    status_5xx "HTTP answers of class 5xx."
    opened "Connections that were opened."
    ended "Connections that this side closed as it meant to."
    lost_connections "Connections that ended otherwise than they were meant to: by the peer, the network, or because they could not go on."
}

impl Counts {
    /// Requests that were sent, or waited to be, and ended otherwise than they should: each counts once.
    pub fn failed(&self) -> u64 {
        self.reset + self.timeout + self.short + self.mismatch + self.status
    }

    /// All that went wrong: requests that failed and connects that did.
    pub fn errors(&self) -> u64 {
        self.failed() + self.refused + self.connect_timeout
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_of_the_sum_is_that_of_all_samples() {
        let (mut slow, mut fast) = (Interval::new(), Interval::new());
        (slow.from_ns, slow.to_ns, fast.from_ns, fast.to_ns) = (5, 9, 1, 4);
        (0..90).for_each(|_| fast.response.record(1_000).unwrap());
        (0..10).for_each(|_| slow.response.record(1_000_000).unwrap());
        (slow.counts.answered, fast.counts.answered) = (10, 90);
        (slow.paused_max_ns, fast.paused_max_ns) = (3, 2);
        let mut both = Interval::new();
        both.join(&slow);
        both.join(&fast);
        assert_eq!((both.from_ns, both.to_ns, both.counts.answered, both.paused_max_ns), (1, 9, 100, 3));
        assert_eq!(both.response.value_at_quantile(0.90), 1_000);
        assert!(both.response.value_at_quantile(0.91) >= 999_000);
        both.clear();
        assert_eq!((both.response.len(), both.counts, both.to_ns), (0, Counts::default(), 0));
    }
}

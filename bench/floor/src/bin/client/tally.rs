//! Counts and times of the measured part of a run.

use hdrhistogram::Histogram;

/// Length of a window.
pub const WINDOW_NS: u64 = 100_000_000;

/// Answers that came between `from_ns` and `to_ns`.
pub struct Tally {
    pub from_ns: u64,
    pub to_ns: u64,
    pub windows: Vec<u64>,
    pub latency: Histogram<u64>,
}

impl Tally {
    /// `seconds`, rounded up to whole windows, from `from_ns` on.
    pub fn new(from_ns: u64, seconds: f64) -> Self {
        let windows = ((seconds * 1e9) as u64).div_ceil(WINDOW_NS).max(1);
        let latency = Histogram::new_with_bounds(1, 60_000_000_000, 3).expect("constant bounds");
        Self { from_ns, to_ns: from_ns + windows * WINDOW_NS, windows: vec![0; windows as usize], latency }
    }

    /// `messages` that were sent at `sent_ns` were answered at `now_ns`.
    #[inline]
    pub fn record(&mut self, now_ns: u64, sent_ns: u64, messages: u32) {
        if now_ns < self.from_ns || now_ns >= self.to_ns {
            return;
        }
        self.latency.saturating_record_n(now_ns - sent_ns, messages.into());
        self.windows[((now_ns - self.from_ns) / WINDOW_NS) as usize] += u64::from(messages);
    }
}

//! What a seat counts: one writer, any number of readers, and one table that everything else is made from.
//!
//! Never locks and never uses a locked instruction: each number is written by its seat's thread alone, and read with
//! relaxed loads by whoever draws the metrics page or the final report. A reader may see one number newer than another.
//!
//! To add a number, add a line to the table: the [`Meter`], the [`Snapshot`], their sums and every report follow.

use std::iter::Sum;
use std::ops::AddAssign;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The meters of all seats of a run: those of its shards, and behind them those of each shard's workers, if there are any.
///
/// A shard is counted as a whole: what its workers count stands in its snapshot.
#[derive(Debug)]
pub struct Board {
    rows: Box<[Meter]>,
    cores: Box<[Option<usize>]>,
    /// Of each shard.
    workers: usize,
}

impl Board {
    /// A board with one meter for each seat. `cores` says which core a seat is pinned to, if any.
    pub fn new(cores: &[Option<usize>]) -> Arc<Board> {
        Board::with_workers(cores, 0)
    }

    /// The same, where each of them is a shard with so many workers, which are seats too: those of the first shard have the
    /// numbers behind that of the last shard, and so on.
    pub fn with_workers(cores: &[Option<usize>], workers: usize) -> Arc<Board> {
        let rows = (0..cores.len() * (1 + workers)).map(|_| Meter::default()).collect();
        Arc::new(Board { rows, cores: cores.into(), workers })
    }

    /// Number of shards: of seats that have no shard over them.
    pub fn seats(&self) -> usize {
        self.cores.len()
    }

    /// The meter of seat `index`, of a worker too. Only that seat's thread may write to it. Panics when there is no such seat.
    #[inline]
    pub fn seat(&self, index: usize) -> &Meter {
        &self.rows[index]
    }

    /// The core that shard `index` is pinned to. Panics when there is no such shard.
    pub fn core(&self, index: usize) -> Option<usize> {
        self.cores[index]
    }

    /// What shard `index` has counted so far, its workers included. Panics when there is no such shard.
    pub fn snapshot(&self, index: usize) -> Snapshot {
        let shards = self.cores.len();
        assert!(index < shards);
        let workers = shards + index * self.workers..shards + (index + 1) * self.workers;
        self.rows[workers].iter().map(Meter::snapshot).fold(self.rows[index].snapshot(), |mut sum, worker| {
            sum += worker;
            sum
        })
    }

    /// The sum over all seats.
    pub fn total(&self) -> Snapshot {
        self.rows.iter().map(Meter::snapshot).sum()
    }
}

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds `n`. Only the thread of the meter's seat may call it: a second writer would lose counts (never more than that).
    #[inline]
    pub fn add(&self, n: u64) {
        // A load and a store, not `fetch_add`: a locked instruction costs 20 cycles and guards against a second writer only.
        self.0.store(self.0.load(Relaxed).wrapping_add(n), Relaxed);
    }

    /// Adds one; see [`add`](Counter::add).
    #[inline]
    pub fn inc(&self) {
        self.add(1);
    }

    /// The count so far.
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// A number that grows and shrinks.
#[derive(Debug, Default)]
pub struct Gauge(AtomicU64);

impl Gauge {
    /// Replaces the value. Only the thread of the meter's seat may call it.
    #[inline]
    pub fn set(&self, value: u64) {
        self.0.store(value, Relaxed);
    }

    /// Adds one. Only the thread of the meter's seat may call it.
    #[inline]
    pub fn inc(&self) {
        self.set(self.get() + 1);
    }

    /// Takes one away. Only the thread of the meter's seat may call it. Below zero is a mistake of ours: a debug build
    /// panics, a release build stays at 0.
    #[inline]
    pub fn dec(&self) {
        let value = self.get();
        debug_assert!(value > 0, "something left that never came");
        self.set(value.saturating_sub(1));
    }

    /// The present value.
    #[inline]
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// How a number behaves, which decides its suffix and its `# TYPE` on a metrics page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Grows and shrinks.
    Gauge,
}

/// One line of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metric {
    /// Field name in [`Meter`] and [`Snapshot`], and key in reports; ends with the unit where it is not a plain count.
    pub name: &'static str,
    /// How it behaves.
    pub kind: Kind,
    /// One sentence for people.
    pub help: &'static str,
}

macro_rules! table {
    ($($kind:ident $name:ident $help:literal)*) => {
        /// The numbers of one seat. Two seats never share a cache line, nor a pair of lines that are fetched together.
        #[derive(Debug, Default)]
        #[repr(align(128))]
        pub struct Meter {
            $(#[doc = $help] pub $name: $kind,)*
        }

        /// A copy of a [`Meter`] at one moment, or the sum of several.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Snapshot {
            $(#[doc = $help] pub $name: u64,)*
        }

        /// The table: every number there is, in the order of [`Snapshot::values`].
        pub const METRICS: &[Metric] =
            &[$(Metric { name: stringify!($name), kind: Kind::$kind, help: $help },)*];

        impl Meter {
            /// A copy of all numbers.
            pub fn snapshot(&self) -> Snapshot {
                Snapshot { $($name: self.$name.get(),)* }
            }
        }

        impl Snapshot {
            /// All numbers, in the order of [`METRICS`].
            pub fn values(&self) -> [u64; METRICS.len()] {
                [$(self.$name,)*]
            }
        }

        impl AddAssign for Snapshot {
            fn add_assign(&mut self, other: Snapshot) {
                $(self.$name += other.$name;)*
            }
        }
    };
}

// The order is that of reports; what a request touches stands together at the head, in the first cache lines.
table! {
    Counter requests "Requests begun; of an echo: times that received bytes were handed to it."
    Counter bytes_in "Bytes received from peers."
    Counter bytes_out "Bytes that the kernel took for sending to peers."
    Counter submissions "Operations given to the kernel's submission queue."
    Counter completions "Completions taken from the kernel's completion queue."
    Counter enters "Calls of io_uring_enter, or of the wait that another engine has in its place."
    Counter calls "System calls for the bytes of connections, waits included: under io_uring the enters, else also each accept, receive, send and change of what a connection waits for. The end of a connection is one, whatever it takes."
    Counter timer_fires "Timers that fired."
    Counter busy_ns "Nanoseconds that the thread ran, in the kernel too, spinning included."
    Counter parked_ns "Nanoseconds that the thread did not run."
    Counter spun_ns "Nanoseconds spent looking for work in memory instead of sleeping; part of busy_ns."
    Gauge in_flight "Operations that the kernel has and has not completed."
    Gauge buffers_lent "Receive buffers that wait for their reader."
    Gauge connections "Open connections."
    Counter accepted "Connections accepted."
    Counter closed "Connections closed, by whichever side."
    Counter accepts_paused "Times that accepting stopped because the bound of connections was reached."
    Counter shed "Connections that were accepted and turned away: every worker was busy and the queue full, or the run ended before their turn."
    Counter accept_errors "Accepts that failed, for want of descriptors or because the peer had gone."
    Counter status_1xx "HTTP answers of class 1xx (informational)."
    Counter status_2xx "HTTP answers of class 2xx (success)."
    Counter status_3xx "HTTP answers of class 3xx (redirection)."
    Counter status_4xx "HTTP answers of class 4xx (mistake of the client)."
    Counter status_5xx "HTTP answers of class 5xx (mistake of the server)."
    Counter refused "Connections that broke their protocol and were closed, after an answer if the protocol has one."
    Counter enobufs "Receives that found no free buffer and were armed again later."
    Counter cq_overflows "Completions that the kernel had to keep aside because the completion queue was full."
    Counter parked "Connections that began to wait by a poll, having been idle (--park-after)."
    Counter unparked "Parked connections that became busy and are received from as usual."
    Counter short_sends "Sends of which the kernel took only a part. Those called back for their buffers count as sends_reclaimed instead."
    Counter sends_reclaimed "Sends called back because the peer did not read and their buffers were wanted."
    Counter zero_copy_used "Zero-copy sends that were sent without a copy."
    Counter zero_copy_copied "Zero-copy sends that the kernel copied after all."
    Counter bytes_copied "Bytes copied in user space between receiving and sending."
    Counter input_full "Connections closed because their unread input was full and nobody paused them."
    Counter sessions_idle_closed "Connections closed because no byte moved for the idle timeout."
    Counter upstream_failed "Outgoing connections that were refused, timed out or broke."
    Counter datagrams_dropped "Datagrams dropped at a bound or by a rate limit."
    Counter wakes "Wakes that sessions of this seat got, from whichever thread."
    Counter notes_sent "Notes posted to other seats."
    Counter notes_full "Notes that found the mailbox of the other seat full."
    Counter orphans "Sessions ended because nothing could ever happen to them again."
    Counter drained "Connections that ended by themselves during the drain."
    Counter aborted "Connections that outlived the drain's deadline and were reset."
    Counter frames_in "Frames received whole."
    Counter frames_out "Frames given to the output."
    Counter heartbeats_sent "PINGs sent to peers that were quiet."
    Counter heartbeats_answered "PINGs of peers that were answered."
    Counter verdicts_postponed "Times that a silent peer had another tick because this seat was late or behind."
    Counter peers_silent "Connections reset because nothing was heard of the peer for the agreed number of heartbeats."
    Counter peers_stuck "Connections reset because the peer took nothing of what was sent to it for as long."
    Gauge frame_peers "Peers of frame-udp:// that have shown their cookie."
    Gauge frame_bytes_kept "Bytes kept for peers of frame-udp://: frames that wait for an ACK or for their order, and their tables."
    Counter frames_retransmitted "Frames sent again over datagrams because no ACK came in time."
    Counter frames_duplicate "Frames that came over datagrams again, and were not taken again."
    Counter frames_given_up "Frames given up over datagrams: no ACK came of any try."
    Counter frames_no_room "Frames not taken over datagrams for want of room: their sender tries again."
    Counter frames_strange "Frames over datagrams whose number cannot be of their conversation."
    Counter cookies_given "Cookies given over datagrams to those who asked."
    Counter frame_refused_bad_magic "Frames refused with the code bad-magic."
    Counter frame_refused_version_unknown "Frames refused with the code version-unknown."
    Counter frame_refused_flag_unknown "Frames refused with the code flag-unknown."
    Counter frame_refused_type_unknown "Frames refused with the code type-unknown."
    Counter frame_refused_reserved_set "Frames refused with the code reserved-set."
    Counter frame_refused_too_long "Frames refused with the code too-long."
    Counter frame_refused_bad_crc "Frames refused with the code bad-crc."
    Counter frame_refused_malformed "Frames refused with the code malformed."
    Counter frame_refused_hello_expected "Frames refused with the code hello-expected."
    Counter frame_refused_hello_repeated "Frames refused with the code hello-repeated."
    Counter frame_refused_no_common_version "Frames refused with the code no-common-version."
    Counter frame_refused_hello_late "Frames refused with the code hello-late."
    Counter frame_refused_length_mismatch "Frames refused with the code length-mismatch."
    Counter frame_refused_bad_cookie "Frames refused with the code bad-cookie."
    Counter frame_refused_silent "Frames refused with the code silent."
    Counter frame_refused_busy "Frames refused with the code busy."
    Counter frame_refused_order_late "Frames refused with the code order-late."
}

impl Meter {
    /// The counter of the HTTP answers of one class, 1 to 5. Panics for another class.
    #[inline]
    pub fn status(&self, class: u16) -> &Counter {
        match class {
            1 => &self.status_1xx,
            2 => &self.status_2xx,
            3 => &self.status_3xx,
            4 => &self.status_4xx,
            5 => &self.status_5xx,
            _ => panic!("the class of an HTTP status is 1 to 5 (RFC 9110 section 15), not {class}"),
        }
    }
}

impl Meter {
    /// The counter of the frames that were refused with the ERROR code `number`. Panics for a code that there is not.
    pub fn frame_refused(&self, number: u32) -> &Counter {
        match number {
            1 => &self.frame_refused_bad_magic,
            2 => &self.frame_refused_version_unknown,
            3 => &self.frame_refused_flag_unknown,
            4 => &self.frame_refused_type_unknown,
            5 => &self.frame_refused_reserved_set,
            6 => &self.frame_refused_too_long,
            7 => &self.frame_refused_bad_crc,
            8 => &self.frame_refused_malformed,
            9 => &self.frame_refused_hello_expected,
            10 => &self.frame_refused_hello_repeated,
            11 => &self.frame_refused_no_common_version,
            12 => &self.frame_refused_hello_late,
            13 => &self.frame_refused_length_mismatch,
            14 => &self.frame_refused_bad_cookie,
            15 => &self.frame_refused_silent,
            16 => &self.frame_refused_busy,
            17 => &self.frame_refused_order_late,
            _ => panic!("docs/FRAME.md has no code {number}"),
        }
    }
}

impl Snapshot {
    /// Each line of the table with its value.
    pub fn iter(&self) -> impl Iterator<Item = (&'static Metric, u64)> + use<> {
        METRICS.iter().zip(self.values())
    }
}

impl Sum for Snapshot {
    fn sum<I: Iterator<Item = Snapshot>>(snapshots: I) -> Snapshot {
        snapshots.fold(Snapshot::default(), |mut sum, snapshot| {
            sum += snapshot;
            sum
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::thread;

    #[test]
    fn the_total_is_the_sum_of_the_seats() {
        let board = Board::new(&[Some(0), Some(3), None]);
        for (index, n) in [(0, 5), (1, 70), (2, 900)] {
            board.seat(index).requests.add(n);
            board.seat(index).connections.set(n / 5);
        }
        board.seat(1).aborted.inc();
        let expected = Snapshot { requests: 975, connections: 195, aborted: 1, ..Snapshot::default() };
        assert_eq!(board.total(), expected);
        assert_eq!(board.snapshot(2), Snapshot { requests: 900, connections: 180, ..Snapshot::default() });
        assert_eq!((board.seats(), board.core(1), board.core(2)), (3, Some(3), None));
    }

    #[test]
    fn what_workers_count_stands_in_the_line_of_their_shard() {
        let board = Board::with_workers(&[Some(0), Some(1)], 3);
        for seat in 0..2 + 2 * 3 {
            board.seat(seat).requests.add(10_u64.pow(seat as u32));
        }
        let requests = |shard| board.snapshot(shard).requests;
        assert_eq!((requests(0), requests(1)), (11_101, 11_100_010));
        assert_eq!((board.seats(), board.total().requests), (2, 11_111_111));
    }

    #[test]
    fn every_line_of_the_table_has_its_own_name_value_and_sentence() {
        let names: BTreeSet<&str> = METRICS.iter().map(|metric| metric.name).collect();
        assert_eq!(names.len(), METRICS.len());
        for metric in METRICS {
            assert!(metric.help.ends_with('.') && !metric.help.contains('\n'), "{}", metric.name);
        }
        let board = Board::new(&[None]);
        board.seat(0).requests.inc();
        board.seat(0).aborted.add(2);
        let snapshot = board.snapshot(0);
        let not_zero: Vec<_> = snapshot.iter().filter(|(_, n)| *n > 0).map(|(m, n)| (m.name, n)).collect();
        assert_eq!(not_zero, [("requests", 1), ("aborted", 2)]);
    }

    #[test]
    fn gauges_are_those_that_also_shrink() {
        let gauges = METRICS.iter().filter(|metric| metric.kind == Kind::Gauge).map(|metric| metric.name);
        assert_eq!(
            gauges.collect::<Vec<_>>(),
            ["in_flight", "buffers_lent", "connections", "frame_peers", "frame_bytes_kept"]
        );
        let gauge = Gauge::default();
        gauge.inc();
        gauge.inc();
        gauge.dec();
        assert_eq!(gauge.get(), 1);
    }

    #[test]
    fn each_status_class_has_its_counter() {
        let meter = Meter::default();
        for class in 1..=5 {
            meter.status(class).add(u64::from(class));
        }
        let seen = meter.snapshot();
        let classes = [seen.status_1xx, seen.status_2xx, seen.status_3xx, seen.status_4xx, seen.status_5xx];
        assert_eq!(classes, [1, 2, 3, 4, 5]);
    }

    #[test]
    fn a_reader_never_sees_a_counter_shrink() {
        let board = Board::new(&[None]);
        thread::scope(|scope| {
            scope.spawn(|| (0..100_000).for_each(|_| board.seat(0).requests.inc()));
            let mut last = 0;
            while last < 100_000 {
                let now = board.total().requests;
                assert!(now >= last);
                last = now;
                std::hint::spin_loop();
            }
        });
    }

    #[test]
    fn seats_do_not_share_cache_lines() {
        assert_eq!((align_of::<Meter>(), size_of::<Meter>() % 128), (128, 0));
    }
}

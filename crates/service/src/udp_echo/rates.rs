//! A token bucket for each source, in a table that never grows.
//!
//! Never reads a clock and never allocates after `new`. A source has one of four places; where they are all taken by sources
//! that are still sending, a newcomer is refused. So nobody gets more than its rate by using many addresses to push its own
//! bucket out of the table, and whoever floods it with forged sources can only make us silent to newcomers.
//!
//! There is a table on each seat, and the kernel spreads the ports of one address over the seats (SO_REUSEPORT, socket(7)). Such
//! a source gets an equal part of its rate on each, so that all parts together are no more than the whole.

use shard::Tick;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::net::SocketAddr;

/// How often a source may be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Datagrams a second in the long run, at most 4,000,000.
    pub per_second: u32,
    /// Datagrams at once after a rest, at least 1.
    pub burst: u32,
}

impl Rate {
    /// Nobody but this machine is hurt: a bound against loops only, above what one socket can ask.
    pub const LOOPBACK: Rate = Rate { per_second: 1_000_000, burst: 100_000 };
    /// Enough to test a path with, too little to be worth forging for.
    pub const PUBLIC: Rate = Rate { per_second: 100, burst: 50 };
}

/// The buckets of one seat: [`Rates::SOURCES_MAX`] at most.
#[derive(Debug)]
pub struct Rates {
    sets: Box<[[Option<Bucket>; WAYS]]>,
    /// Makes the set of a source unguessable.
    key: u64,
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    source: SocketAddr,
    /// Thousandths of a datagram, so that a millisecond brings a whole number of them.
    milli: u64,
    /// When `milli` was right.
    at: Tick,
}

const WAYS: usize = 4;
const SETS: usize = 512;

impl Rates {
    /// Most sources that are remembered, a seat (about 100 KiB).
    pub const SOURCES_MAX: usize = WAYS * SETS;

    /// An empty table. `key` should be random: it decides which sources share a set.
    pub fn new(key: u64) -> Rates {
        Rates { sets: vec![[None; WAYS]; SETS].into_boxed_slice(), key }
    }

    /// Whether `source` may have one more answer now, which is then taken off its bucket. `seats`, at least 1, is how many
    /// tables the source may come to: each grants that part of `rate`, and a burst of at least 1.
    pub fn admit(&mut self, source: SocketAddr, rate: Rate, seats: usize, now: Tick) -> bool {
        // A datagram costs as many times more as there are seats: that divides slow rates without a remainder.
        let price = MILLI * seats as u64;
        let full = (u64::from(rate.burst) * MILLI).max(price);
        let set = self.set(source);
        let places = &mut self.sets[set];
        for bucket in places.iter_mut().flatten() {
            if bucket.source == source {
                bucket.refill(rate, now, full);
                return bucket.spend(price);
            }
        }
        // A bucket that is full again says nothing that a new one would not.
        let is_free =
            |place: &Option<Bucket>| place.is_none_or(|mut bucket| bucket.refill(rate, now, full) == full);
        let Some(place) = places.iter_mut().find(|place| is_free(place)) else { return false };
        place.insert(Bucket { source, milli: full, at: now }).spend(price)
    }

    fn set(&self, source: SocketAddr) -> usize {
        let hasher = BuildHasherDefault::<DefaultHasher>::default();
        hasher.hash_one((self.key, source)) as usize % SETS
    }
}

impl Bucket {
    fn refill(&mut self, rate: Rate, now: Tick, full: u64) -> u64 {
        // A datagram a second is a thousandth of one a millisecond.
        let earned = now.0.saturating_sub(self.at.0).saturating_mul(u64::from(rate.per_second));
        self.milli = self.milli.saturating_add(earned).min(full);
        self.at = now;
        self.milli
    }

    fn spend(&mut self, price: u64) -> bool {
        let enough = self.milli >= price;
        self.milli -= if enough { price } else { 0 };
        enough
    }
}

const MILLI: u64 = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate { per_second: 10, burst: 3 };

    fn source(n: u32) -> SocketAddr {
        SocketAddr::new(std::net::Ipv4Addr::from_bits(n).into(), 0)
    }

    fn admitted(rates: &mut Rates, of: SocketAddr, now: Tick, tries: usize) -> usize {
        (0..tries).filter(|_| rates.admit(of, RATE, 1, now)).count()
    }

    #[test]
    fn a_source_gets_its_burst_and_then_its_rate() {
        let mut rates = Rates::new(1);
        assert_eq!(admitted(&mut rates, source(1), Tick(5), 10), 3);
        assert_eq!(admitted(&mut rates, source(1), Tick(104), 10), 0);
        assert_eq!(admitted(&mut rates, source(1), Tick(105), 10), 1);
        let in_ten_seconds: usize =
            (106..10_105).map(|ms| admitted(&mut rates, source(1), Tick(ms), 2)).sum();
        assert_eq!(in_ten_seconds, 99);
        assert_eq!(admitted(&mut rates, source(1), Tick(60_000), 10), 3);
    }

    #[test]
    fn a_source_that_comes_to_every_seat_gets_its_rate_once() {
        let check = |seats: usize, burst: usize, in_ten_seconds: usize| {
            let mut tables: Vec<Rates> = (0..seats as u64).map(Rates::new).collect();
            let mut admitted = |now: Tick| -> usize {
                let tries =
                    |rates: &mut Rates| (0..9).filter(|_| rates.admit(source(1), RATE, seats, now)).count();
                tables.iter_mut().map(tries).sum()
            };
            assert_eq!(admitted(Tick(0)), burst, "{seats} seats");
            assert_eq!(
                (1..=10_000).map(|ms| admitted(Tick(ms))).sum::<usize>(),
                in_ten_seconds,
                "{seats} seats"
            );
        };
        check(1, 3, 100);
        // 3 / 2: one at once on each.
        check(2, 2, 100);
        // One at once on each is the least.
        check(4, 4, 100);
        check(20, 20, 100);
    }

    #[test]
    fn sources_do_not_spend_each_others_tokens() {
        let mut rates = Rates::new(1);
        assert_eq!(admitted(&mut rates, source(1), Tick(0), 9), 3);
        assert_eq!(admitted(&mut rates, source(2), Tick(0), 9), 3);
    }

    #[test]
    fn a_flood_of_sources_silences_newcomers_but_frees_nobody() {
        let mut rates = Rates::new(7);
        assert_eq!(admitted(&mut rates, source(1), Tick(0), 9), 3);
        let flood: usize = (2..100_000).map(|n| admitted(&mut rates, source(n), Tick(0), 1)).sum();
        assert_eq!(flood, Rates::SOURCES_MAX - 1);
        assert_eq!(admitted(&mut rates, source(1), Tick(0), 9), 0);
        // Those that sent once are full again after 100 ms: then a newcomer finds a place.
        assert_eq!(admitted(&mut rates, source(200_000), Tick(99), 1), 0);
        assert_eq!(admitted(&mut rates, source(200_000), Tick(100), 9), 3);
    }
}

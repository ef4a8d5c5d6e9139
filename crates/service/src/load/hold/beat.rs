//! When each connection has its heartbeats: by arithmetic, so that no connection pays for a timer.
//!
//! An interval has as many equal places as the seat has connections. The seed deals the places to the connections, and says how far
//! into its place each beat is. So beats are spread evenly however many connections there are, those of one connection are exactly an
//! interval apart, and what is due is found by counting on: nobody looks through all connections.

use shard::random::Random;

/// The heartbeats of one seat, in order of time.
#[derive(Debug)]
pub(super) struct Beats {
    begin_ns: u64,
    interval_ns: u64,
    connections: u64,
    /// Place `k` is that of connection `(stride * k + shift) % connections`.
    stride: u64,
    shift: u64,
    seed: u64,
}

/// One heartbeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Beat {
    /// When it is to be sent.
    pub(super) at_ns: u64,
    /// On which connection of the seat.
    pub(super) index: u32,
}

impl Beats {
    /// Of `connections` connections, at least 1, from `begin_ns` on.
    pub(super) fn new(begin_ns: u64, interval_ns: u64, connections: u32, seed: u64) -> Beats {
        let connections = u64::from(connections);
        assert!(connections > 0 && interval_ns > 0);
        let mut random = Random::new(seed);
        let (mut stride, shift) = (1 + random.below(connections), random.below(connections));
        // Without a common factor every connection has one place (Knuth, volume 2, section 3.2.1.2).
        while common(stride, connections) > 1 {
            stride += 1;
        }
        Beats { begin_ns, interval_ns, connections, stride, shift, seed: random.next() }
    }

    /// Beat number `beat` of the seat.
    pub(super) fn at(&self, beat: u64) -> Beat {
        let (round, place) = (beat / self.connections, beat % self.connections);
        let jitter = Random::new(self.seed ^ place).below(self.interval_ns);
        let within = u128::from(place) * u128::from(self.interval_ns) + u128::from(jitter);
        let within_ns = (within / u128::from(self.connections)) as u64;
        let index = (u128::from(self.stride) * u128::from(place) + u128::from(self.shift))
            % u128::from(self.connections);
        Beat { at_ns: self.begin_ns + round * self.interval_ns + within_ns, index: index as u32 }
    }
}

/// The greatest common divisor.
fn common(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { common(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_connection_has_one_beat_in_each_interval_and_they_are_exactly_one_apart() {
        for connections in [1, 2, 6, 97, 1000] {
            let beats = Beats::new(5, 10_000_000, connections, 42);
            let mut first = vec![0; connections as usize];
            for beat in 0..u64::from(connections) {
                let Beat { at_ns, index } = beats.at(beat);
                assert_eq!(std::mem::replace(&mut first[index as usize], at_ns), 0, "{index} twice");
                let again = beats.at(beat + u64::from(connections));
                assert_eq!(again, Beat { at_ns: at_ns + 10_000_000, index });
            }
            assert!(first.iter().all(|at_ns| (5..10_000_005).contains(at_ns)));
        }
    }

    #[test]
    fn beats_are_in_order_of_time_and_spread_evenly_over_the_interval() {
        let beats = Beats::new(0, 1_000_000_000, 1000, 7);
        let times: Vec<u64> = (0..3000).map(|beat| beats.at(beat).at_ns).collect();
        assert!(times.is_sorted());
        // One in each thousandth of each interval, at most.
        for (beat, at_ns) in (0..).zip(&times) {
            assert!((beat * 1_000_000..(beat + 1) * 1_000_000).contains(at_ns), "{beat}: {at_ns}");
        }
    }

    #[test]
    fn another_seed_is_another_order() {
        let order = |seed| {
            let beats = Beats::new(0, 1_000_000, 100, seed);
            (0..100).map(|beat| beats.at(beat).index).collect::<Vec<_>>()
        };
        assert_eq!(order(1), order(1));
        assert_ne!(order(1), order(2));
    }
}

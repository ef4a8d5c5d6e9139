//! When each connection has its heartbeats: by arithmetic, so that no connection pays for a timer.
//!
//! An interval has as many equal places as the seat has connections. The seed deals the places to the connections, and says how far
//! into its place each beat is. So beats are spread evenly however many connections there are, those of one connection are exactly an
//! interval apart, and what is due is found by counting on: nobody looks through all connections.
//!
//! Where a protocol wants intervals drawn anew (docs/FRAME.md: from 0.9 to 1.1 of what was agreed), the tenth of an interval that a
//! place lies in is turned by as many places as are drawn for it each time, and each beat is drawn anew within its place. That still
//! is a beat in each place.

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
    /// Places that are turned together; 0 where intervals are not drawn.
    window: u64,
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
        Beats { begin_ns, interval_ns, connections, stride, shift, seed: random.next(), window: 0 }
    }

    /// The same, with each interval of a connection drawn anew from 0.9 to 1.1 of the usual one.
    pub(super) fn drawn(self) -> Beats {
        Beats { window: (self.connections / 10).max(1), ..self }
    }

    /// Beat number `beat` of the seat.
    pub(super) fn at(&self, beat: u64) -> Beat {
        let (round, place) = (beat / self.connections, beat % self.connections);
        if self.window > 0 {
            return self.drawn_at(beat, round, place);
        }
        let jitter = Random::new(self.seed ^ place).below(self.interval_ns);
        self.beat(round, place, jitter, place)
    }

    fn drawn_at(&self, beat: u64, round: u64, place: u64) -> Beat {
        let begin = place / self.window * self.window;
        let places = self.window.min(self.connections - begin);
        let turn = Random::new(self.seed ^ begin << 32 ^ round).below(places);
        let whose = begin + (place - begin + turn) % places;
        // Of few connections a place is longer than what may be drawn.
        let most = self.interval_ns.min(self.interval_ns / 10 * self.connections).max(1);
        let jitter = Random::new(!self.seed ^ beat).below(most);
        self.beat(round, place, jitter, whose)
    }

    /// The beat `jitter` into a place, in parts of which the place has as many as an interval nanoseconds; of the connection whose
    /// place is `whose`.
    fn beat(&self, round: u64, place: u64, jitter: u64, whose: u64) -> Beat {
        let within = u128::from(place) * u128::from(self.interval_ns) + u128::from(jitter);
        let within_ns = (within / u128::from(self.connections)) as u64;
        let index = (u128::from(self.stride) * u128::from(whose) + u128::from(self.shift))
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
    fn drawn_intervals_lie_within_a_tenth_differ_and_leave_one_beat_in_each_place() {
        for connections in [1, 2, 9, 10, 19, 97, 1000] {
            let beats = Beats::new(0, 10_000_000, connections, 42).drawn();
            let mut last = vec![None; connections as usize];
            let (mut least, mut most) = (u64::MAX, 0);
            for beat in 0..20 * u64::from(connections) {
                let Beat { at_ns, index } = beats.at(beat);
                let place = 10_000_000 / u64::from(connections);
                assert!(
                    at_ns.abs_diff(beat * 10_000_000 / u64::from(connections)) <= place,
                    "{beat}: {at_ns}"
                );
                if let Some(before) = last[index as usize].replace(at_ns) {
                    (least, most) = (least.min(at_ns - before), most.max(at_ns - before));
                }
            }
            assert!(last.iter().all(Option::is_some));
            assert!(least >= 9_000_000 && most <= 11_000_000, "{connections}: {least} to {most}");
            assert!(most - least > 500_000, "{connections}: {least} to {most}");
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

//! What an honest load generator must report of a server whose behaviour is known: the waiting-time recursion, over the actual schedule.
//!
//! One server, first come first served (Lindley, "The theory of queues with a single server", 1952): a request begins when it has arrived
//! and the one before it has left. In a stall the server does nothing; a request in service goes on where it was. Times are nanoseconds
//! since the begin of the load. Never asks a clock.

/// A time in which the server does nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stall {
    /// Its begin.
    pub from_ns: u64,
    /// Its end; exclusive, not before the begin.
    pub to_ns: u64,
}

/// The response time of each arrival, in order.
#[derive(Clone, Debug)]
pub struct Responses<'a, A, S> {
    arrivals: A,
    service: S,
    /// Those that may still matter.
    stalls: &'a [Stall],
    index: u64,
    /// When the request before leaves.
    free_ns: u64,
}

/// Of arrivals that never fall, the time of service that each asks for, by its index and when it begins (for a fixed time:
/// `|_, _| 20_000`), and stalls in order that do not overlap.
pub fn responses<A, S>(arrivals: A, service: S, stalls: &[Stall]) -> Responses<'_, A::IntoIter, S>
where
    A: IntoIterator<Item = u64>,
    S: FnMut(u64, u64) -> u64,
{
    assert!(stalls.iter().all(|stall| stall.from_ns <= stall.to_ns), "a stall ends before it begins");
    assert!(stalls.is_sorted_by(|a, b| a.to_ns <= b.from_ns), "stalls overlap or are not in order");
    Responses { arrivals: arrivals.into_iter(), service, stalls, index: 0, free_ns: 0 }
}

impl<A: Iterator<Item = u64>, S: FnMut(u64, u64) -> u64> Iterator for Responses<'_, A, S> {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        let arrival = self.arrivals.next()?;
        let mut now = self.end_of_stall(arrival.max(self.free_ns));
        let mut left = (self.service)(self.index, now);
        while let Some(stall) = self.stalls.first().filter(|stall| stall.from_ns < now + left) {
            left -= stall.from_ns - now;
            now = self.end_of_stall(stall.from_ns);
        }
        self.index += 1;
        self.free_ns = now + left;
        Some(self.free_ns - arrival)
    }
}

impl<A, S> Responses<'_, A, S> {
    /// The first time from `now` on at which the server works. Forgets stalls before it.
    fn end_of_stall(&mut self, mut now: u64) -> u64 {
        while let Some((stall, later)) = self.stalls.split_first().filter(|(stall, _)| stall.from_ns <= now) {
            now = now.max(stall.to_ns);
            self.stalls = later;
        }
        now
    }
}

/// A stall under a constant rate, in closed form: the response time of the arrival at `k` times `gap_ns`, where each asks for
/// `service_ns`, less than `gap_ns`, and the server was idle before.
///
/// What is in service when the stall comes is late by the length of the stall. Those who arrive in it, or in the queue that it left, leave
/// one behind the other; each gains `gap - service` on its arrival, so the queue is gone when these gains have made up for the stall.
pub fn after_stall(k: u64, gap_ns: u64, service_ns: u64, stall: Stall) -> u64 {
    assert!(service_ns < gap_ns, "the server is too slow for the rate");
    let arrival = k * gap_ns;
    if arrival + service_ns <= stall.from_ns {
        return service_ns;
    }
    // The first that the stall delays: in service when it comes, or the next to arrive.
    let first = (stall.from_ns + gap_ns - service_ns) / gap_ns;
    let done = stall.from_ns.saturating_sub(first * gap_ns);
    let leaves = stall.to_ns + (k - first + 1) * service_ns - done;
    leaves.saturating_sub(arrival).max(service_ns)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;
    use crate::schedule::{Arrivals, Law, Share};

    #[test]
    fn a_single_stall_is_as_in_closed_form_wherever_it_begins() {
        let (gap, service) = (100, 30);
        for from_ns in 480..620 {
            for to_ns in [from_ns, from_ns + 1, from_ns + 75, from_ns + 2_000] {
                let stall = Stall { from_ns, to_ns };
                let stalls = if from_ns == to_ns { vec![] } else { vec![stall] };
                let seen: Vec<u64> = responses((0..60).map(|k| k * gap), |_, _| service, &stalls).collect();
                let expected: Vec<u64> = (0..60).map(|k| after_stall(k, gap, service, stall)).collect();
                assert_eq!(seen, expected, "{stall:?}");
            }
        }
    }

    #[test]
    fn the_stall_of_the_conformance_table_shows_in_the_percentiles_of_all_who_should_have_been_served() {
        // 1.4 s once in 20 s at 10,000/s: 7 % arrive in it, and those behind them wait for the queue.
        let second = 1_000_000_000;
        let arrivals =
            Arrivals::steady(Law::Constant, 10_000.0, 20 * second, 0).share(Share { index: 0, of: 1 });
        let stall = Stall { from_ns: 5 * second, to_ns: 6_400_000_000 };
        let mut times: Vec<u64> = responses(arrivals, |_, _| 20_000, &[stall]).collect();
        times.sort_unstable();
        assert_eq!((times.len(), times[100_000]), (200_000, 20_000));
        // The queue of 1.4 s is gone after 1.4 s * gap / (gap - service) = 1.75 s; from the top times fall by 80 us an arrival.
        assert_eq!(times[199_999], 1_400_020_000);
        assert_eq!(times[198_000], 1_400_020_000 - 1_999 * 80_000);
        assert_eq!(times.iter().filter(|ns| **ns > 20_000).count(), 17_500);
    }

    #[test]
    fn a_request_in_service_is_suspended_by_each_stall_that_comes() {
        let stalls =
            [(10, 20), (20, 25), (40, 50), (60, 60)].map(|(from_ns, to_ns)| Stall { from_ns, to_ns });
        // 5 before the first stall, 15 between, 2 behind.
        assert_eq!(responses([5], |_, _| 22, &stalls).collect::<Vec<_>>(), [47]);
        // One who arrives in a stall begins at its end; service is asked for then.
        let begins = std::cell::RefCell::new(vec![]);
        let service = |index, start| {
            begins.borrow_mut().push((index, start));
            5
        };
        assert_eq!(responses([12, 12, 100], service, &stalls).collect::<Vec<_>>(), [18, 23, 5]);
        assert_eq!(begins.into_inner(), [(0, 25), (1, 30), (2, 100)]);
    }

    #[test]
    fn the_mean_wait_of_an_mg1_queue_is_that_of_pollaczek_and_khinchine() {
        // Poisson at 0.7 of what it can do: M/D/1 waits rho s / 2 (1 - rho), M/M/1 twice that.
        let arrivals =
            Arrivals::steady(Law::Poisson, 70_000.0, 10_000_000_000, 9).share(Share { index: 0, of: 1 });
        let mean = |times: &mut dyn Iterator<Item = u64>| {
            let (sum, count) = times.fold((0, 0), |(sum, count), ns| (sum + ns, count + 1));
            sum as f64 / f64::from(count)
        };
        let mut random = Random::new(4);
        let fixed = mean(&mut responses(arrivals.clone(), |_, _| 10_000, &[])) - 10_000.0;
        let spread =
            mean(&mut responses(arrivals, |_, _| (random.exponential() * 1e4) as u64, &[])) - 10_000.0;
        assert!((fixed / 11_667.0 - 1.0).abs() < 0.03, "M/D/1 waits {fixed}");
        assert!((spread / 23_333.0 - 1.0).abs() < 0.04, "M/M/1 waits {spread}");
    }
}

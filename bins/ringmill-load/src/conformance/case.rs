//! The stall servers of `conformance`, and what an honest generator must report of each. Pure.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use service::stall::{Fault, Log};
use stats::lindley::{self, Stall};

/// One server and the load that it gets.
#[derive(Clone, Copy, Debug)]
pub(super) struct Case {
    pub(super) name: &'static str,
    pub(super) what: &'static str,
    pub(super) fault: Fault,
    pub(super) duration: Duration,
    pub(super) connections: u32,
    /// Enough that no arrival waits for a connection.
    pub(super) pipeline: u16,
    /// Requests of a connection before another one takes its place.
    pub(super) churn: Option<u64>,
}

const MS: fn(u64) -> Duration = Duration::from_millis;

pub(super) fn cases() -> [Case; 4] {
    let base = Case {
        name: "once",
        what: "1.4 s of silence once",
        fault: Fault::Once { after: MS(5_000), long: MS(1_400) },
        duration: MS(20_000),
        connections: 128,
        pipeline: 256,
        churn: None,
    };
    [
        base,
        Case {
            name: "slow-one-in",
            what: "1 in 40 slow by 50 ms",
            fault: Fault::SlowOneIn { requests: 40, by: MS(50) },
            duration: MS(5_000),
            connections: 256,
            pipeline: 1,
            ..base
        },
        Case {
            name: "periodic",
            what: "10 ms of silence every 200 ms",
            fault: Fault::Periodic { every: MS(200), long: MS(10) },
            duration: MS(5_000),
            connections: 256,
            pipeline: 1,
            ..base
        },
        Case {
            name: "slow-accept",
            what: "first answer 200 ms after the accept, 20 requests a connection",
            fault: Fault::SlowAccept { by: MS(200) },
            duration: MS(5_000),
            connections: 512,
            pipeline: 1,
            churn: Some(20),
        },
    ]
}

/// What was measured of the server and of the network beside its fault.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// One request of a queue that is never empty.
    pub(super) service_ns: u64,
    /// One connect.
    pub(super) connect_ns: u64,
    /// The way to the server and back, with the wake-ups on both sides: the median of the same load without a fault.
    pub(super) way_ns: u64,
}

impl Case {
    /// The response times of arrivals at these times, in order, sorted. Times are nanoseconds since `begin_ns` of the log's clock.
    pub(super) fn expected(
        &self,
        arrivals: impl Iterator<Item = u64>,
        begin_ns: u64,
        log: &Log,
        pace: Pace,
    ) -> Vec<u64> {
        let mut times: Vec<u64> = match (self.fault, self.churn) {
            (Fault::SlowAccept { by }, Some(churn)) => {
                self.churned(arrivals, by.as_nanos() as u64, churn, pace)
            }
            (fault, _) => {
                let since = |ns: u64| ns.saturating_sub(begin_ns);
                let stall = |span: &service::stall::Span| Stall {
                    from_ns: since(span.from_ns),
                    to_ns: since(span.to_ns),
                };
                let stalls: Vec<Stall> = log.stalls.iter().map(stall).collect();
                let times = lindley::responses(arrivals, |_, _| pace.service_ns, &stalls);
                match fault {
                    Fault::SlowOneIn { requests, by } => {
                        let late = |k: u64| if k.is_multiple_of(requests) { by.as_nanos() as u64 } else { 0 };
                        (1..).zip(times).map(|(k, ns)| ns + late(k)).collect()
                    }
                    _ => times.collect(),
                }
            }
        };
        times.iter_mut().for_each(|ns| *ns += pace.way_ns);
        times.sort_unstable();
        times
    }

    /// Connections of so many requests whose first answer comes late, taken in the order in which they became free.
    fn churned(&self, arrivals: impl Iterator<Item = u64>, by_ns: u64, churn: u64, pace: Pace) -> Vec<u64> {
        // When it is free, which it is, when its first answer may come, requests it has had.
        let mut free: BinaryHeap<Reverse<(u64, u32, u64, u64)>> =
            (0..self.connections).map(|index| Reverse((0, index, 0, 0))).collect();
        let answer = |arrival: u64| {
            let Reverse((free_ns, index, first_ns, had)) = free.pop().expect("each goes back");
            let begin_ns = arrival.max(free_ns);
            let done_ns = begin_ns.max(if had == 0 { first_ns } else { 0 }) + pace.service_ns;
            free.push(Reverse(if had + 1 == churn {
                let accepted_ns = done_ns + pace.connect_ns;
                (accepted_ns, index, accepted_ns + by_ns, 0)
            } else {
                (done_ns, index, 0, had + 1)
            }));
            done_ns - arrival
        };
        arrivals.map(answer).collect()
    }
}

/// A quantile of sorted samples, as HdrHistogram means it: the lowest value that so many are not above.
pub(super) fn quantile(sorted: &[u64], q: f64) -> u64 {
    let rank = (q * sorted.len() as f64).ceil().max(1.0) as usize;
    sorted.get(rank - 1).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use service::stall::Span;

    const PACE: Pace = Pace { service_ns: 1_000, connect_ns: 50_000, way_ns: 0 };

    fn arrivals(n: u64) -> impl Iterator<Item = u64> {
        (0..n).map(|k| k * 100_000)
    }

    #[test]
    fn a_stall_is_waited_for_by_all_who_arrive_in_it() {
        let log =
            Log { stalls: vec![Span { from_ns: 1_005_000_000, to_ns: 1_015_000_000 }], ..Log::default() };
        let times = cases()[2].expected(arrivals(1_000), 1_000_000_000, &log, PACE);
        assert_eq!(times.iter().filter(|ns| **ns > 2_000).count(), 101);
        assert_eq!(times.last(), Some(&10_001_000));
        assert_eq!(quantile(&times, 0.5), 1_000);
    }

    #[test]
    fn one_in_forty_is_late_by_as_much_as_it_is_said_to_be() {
        let times = cases()[1].expected(arrivals(4_000), 0, &Log::default(), PACE);
        assert_eq!(times.iter().filter(|ns| **ns == 50_001_000).count(), 100);
        assert_eq!((quantile(&times, 0.975), quantile(&times, 0.99)), (1_000, 50_001_000));
    }

    #[test]
    fn the_first_answer_of_a_churned_connection_is_late_by_what_is_left_when_its_turn_comes() {
        let case = Case { connections: 1_500, churn: Some(5), ..cases()[3] };
        let times = case.expected(arrivals(20_000), 0, &Log::default(), PACE);
        let late: Vec<u64> = times.iter().copied().filter(|ns| *ns > 1_000).collect();
        // One in five of what the connections of the beginning leave, and those that were not used up in the end; a new one waits
        // for its turn for a part of the 200 ms.
        assert!((2_500..=4_000).contains(&late.len()), "{}", late.len());
        assert!(late.iter().all(|ns| (40_000_000..200_000_000).contains(ns)), "{:?}", &late[..5]);
    }
}

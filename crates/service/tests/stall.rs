//! Stalling servers in the simulated world: each answers when its fault says, and its log says what it did.

use service::stall::{Fault, Log, Speaks, Stall};
use shard::engine::sim::{Faults, Line, Peer, Sim, plan};
use shard::plan::{Listen, Plan};
use shard::{LegError, ListenerId};
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

const MS: u64 = 1_000_000;
/// What the simulated network takes both ways, at most, with the turns of the server.
const WAY: u64 = MS / 2;
const ECHO: &[u8] = b"ping";
const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n";

/// Sends a request each `gap_ns` whatever comes back, and notes when each was sent and answered.
struct Open {
    request: &'static [u8],
    answer_bytes: usize,
    gap_ns: u64,
    left: usize,
    sent: Vec<u64>,
    got: usize,
    seen: Seen,
}

/// Of each answer in order of answers: its client, when the request was sent, when it was answered.
type Seen = Rc<RefCell<Vec<(usize, u64, u64)>>>;

impl Peer for Open {
    fn on_connect(&mut self, line: &mut Line<'_>) {
        line.wait(Duration::from_nanos(self.gap_ns));
    }

    fn on_timer(&mut self, line: &mut Line<'_>) {
        line.send(self.request);
        self.sent.push(line.now_ns());
        self.left -= 1;
        if self.left > 0 {
            line.wait(Duration::from_nanos(self.gap_ns));
        }
    }

    fn on_bytes(&mut self, bytes: &[u8], line: &mut Line<'_>) {
        let before = self.got / self.answer_bytes;
        self.got += bytes.len();
        for answer in before..self.got / self.answer_bytes {
            let id = self.gap_ns as usize;
            self.seen.borrow_mut().push((id, self.sent[answer], line.now_ns()));
        }
        if self.left == 0 && self.got == self.sent.len() * self.answer_bytes {
            line.close();
        }
    }

    fn on_failed(&mut self, why: LegError) {
        panic!("{why}");
    }
}

/// Runs clients of so many requests, each with its gap. Returns what they saw and the server's log.
fn run(fault: Fault, speaks: Speaks, gaps_ns: &[u64], requests: usize) -> (Vec<(usize, u64, u64)>, Log) {
    let (seen, log) = (Seen::default(), Arc::new(Mutex::new(Log::default())));
    let pool = linux::pool::Plan { count: 64, bytes: 4096, huge_pages: false };
    let base = plan(1);
    let listeners: Vec<Listen> = base.listeners.clone();
    let mut sim = Sim::new(11).faults(Faults::NONE).plan(Plan {
        pool,
        listeners,
        out_max: 256 << 10,
        connections_max: 3000,
        ..base
    });
    let (request, answer_bytes) = match speaks {
        Speaks::Echo { .. } => (ECHO, ECHO.len()),
        Speaks::Http => (GET, 66),
    };
    for gap_ns in gaps_ns {
        let open = Open {
            request,
            answer_bytes,
            gap_ns: *gap_ns,
            left: requests,
            sent: Vec::new(),
            got: 0,
            seen: seen.clone(),
        };
        sim = sim.client_at(Duration::ZERO, ListenerId(0), open);
    }
    let its_log = log.clone();
    sim.run(move |_| Stall::new(fault, vec![speaks], its_log.clone())).check();
    let log = log.lock().unwrap().clone();
    (Rc::try_unwrap(seen).unwrap().into_inner(), log)
}

fn echo() -> Speaks {
    Speaks::Echo { bytes: ECHO.len() }
}

/// How long each answer took, in the order of requests.
fn took(mut seen: Vec<(usize, u64, u64)>) -> Vec<u64> {
    seen.sort_by_key(|(_, sent, _)| *sent);
    seen.into_iter().map(|(_, sent, answered)| answered - sent).collect()
}

#[test]
fn a_server_without_a_fault_answers_at_once() {
    for speaks in [echo(), Speaks::Http] {
        let (seen, log) = run(Fault::None, speaks, &[MS, 3 * MS], 100);
        assert_eq!((seen.len(), log.requests, log.slow, log.stalls.len()), (200, 200, 0, 0));
        assert!(took(seen).iter().all(|ns| *ns < WAY));
    }
}

#[test]
fn in_one_stall_nothing_is_answered_and_at_its_end_everything_is_in_the_order_in_which_it_came() {
    let fault = Fault::Once { after: Duration::from_millis(20), long: Duration::from_micros(30_250) };
    for speaks in [echo(), Speaks::Http] {
        let (seen, log) = run(fault, speaks, &[MS, 7 * MS], 100);
        let [stall] = log.stalls[..] else { panic!("{log:?}") };
        let first_ns = log.first_ns.unwrap();
        // Exact deadlines: not of a millisecond.
        assert!(stall.from_ns - (first_ns + 20 * MS) < 20_000, "{log:?}");
        assert!(stall.to_ns - (first_ns + 50_250_000) < 20_000, "{log:?}");
        assert_eq!((seen.len(), log.requests), (200, 200));
        let in_stall = |(_, sent, _): &(usize, u64, u64)| *sent > stall.from_ns && *sent + WAY < stall.to_ns;
        let waited: Vec<_> = seen.iter().filter(|answer| in_stall(answer)).collect();
        assert!(waited.len() > 30, "{}", waited.len());
        assert!(waited.iter().all(|(_, _, answered)| (stall.to_ns..stall.to_ns + WAY).contains(answered)));
        let others = seen.iter().filter(|(_, sent, _)| *sent > stall.to_ns || *sent + WAY < stall.from_ns);
        assert!(others.into_iter().all(|(_, sent, answered)| answered - sent < WAY));
        // The connection whose input came first is answered first.
        let (first, _, _) = waited.iter().min_by_key(|(_, sent, _)| *sent).unwrap();
        assert_eq!(waited[0].0, *first);
    }
}

#[test]
fn periodic_stalls_come_again_and_again_each_at_its_time() {
    let fault = Fault::Periodic { every: Duration::from_millis(20), long: Duration::from_micros(4_500) };
    let (seen, log) = run(fault, echo(), &[MS], 500);
    let first_ns = log.first_ns.unwrap();
    assert!((24..=25).contains(&log.stalls.len()), "{}", log.stalls.len());
    for (k, stall) in (1..).zip(&log.stalls) {
        assert!(stall.from_ns - (first_ns + k * 20 * MS) < 20_000, "{k}: {stall:?}");
        assert!(stall.to_ns - (first_ns + k * 20 * MS + 4_500_000) < 20_000, "{k}: {stall:?}");
    }
    let slow = took(seen).iter().filter(|ns| **ns > WAY).count();
    // 4 or 5 of every 20.
    assert!((24 * 4..=25 * 5).contains(&slow), "{slow}");
}

#[test]
fn one_request_in_so_many_is_late_by_the_time_said_and_delays_no_other_connection() {
    let fault = Fault::SlowOneIn { requests: 10, by: Duration::from_micros(5_500) };
    for speaks in [echo(), Speaks::Http] {
        // Each client is done with one request before it sends the next.
        let (seen, log) = run(fault, speaks, &[10 * MS, 11 * MS, 13 * MS], 100);
        assert_eq!((log.requests, log.slow), (300, 30));
        let took = took(seen);
        let late: Vec<usize> = (0..300).filter(|at| took[*at] > WAY).collect();
        assert_eq!(late, (0..30).map(|k| 10 * k + 9).collect::<Vec<_>>());
        assert!(late.iter().all(|at| (5_500_000..5_500_000 + WAY).contains(&took[*at])), "{took:?}");
    }
}

#[test]
fn what_is_behind_a_late_answer_on_its_connection_waits_for_it() {
    let fault = Fault::SlowOneIn { requests: 10, by: Duration::from_millis(4) };
    let (seen, log) = run(fault, Speaks::Http, &[MS], 20);
    let took = took(seen);
    assert_eq!(log.requests, 20);
    // The tenth is late by 4 ms, those sent 1, 2 and 3 ms after it by the rest.
    for (at, expected) in [(8, 0), (9, 4), (10, 3), (11, 2), (12, 1), (14, 0)] {
        assert!((expected * MS..expected * MS + WAY).contains(&took[at]), "{at}: {took:?}");
    }
}

#[test]
fn a_slow_accept_delays_the_first_answer_of_a_connection_and_no_other() {
    let fault = Fault::SlowAccept { by: Duration::from_micros(20_400) };
    let (seen, log) = run(fault, echo(), &[5 * MS, 7 * MS], 50);
    assert_eq!((seen.len(), log.slow), (100, 2));
    // What was sent before 20.4 ms had passed is answered then; the connections stand from 0 on, but for the network.
    for (_, sent, answered) in seen {
        let expected = sent.max(20_400_000);
        assert!((expected..expected + 2 * WAY).contains(&answered), "{sent} {answered}");
    }
}

#[test]
fn more_connections_than_a_mailbox_holds_go_on_after_a_stall() {
    let fault = Fault::Once { after: Duration::from_millis(1), long: Duration::from_millis(50) };
    let gaps: Vec<u64> = (0..2000).map(|k| 5 * MS + k * 1000).collect();
    let (seen, log) = run(fault, echo(), &gaps, 3);
    assert_eq!((seen.len(), log.requests, log.stalls.len()), (6000, 6000, 1));
}

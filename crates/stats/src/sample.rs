//! Made-up results for tests: the same every time.

use crate::interval::Interval;
use crate::outcome::{Asked, Build, Change, Command, Cost, End, Environment, Outcome, Plan};
use crate::schedule::Law;

const SECOND: u64 = 1_000_000_000;

/// What is known before a run of ten seconds at 10,000 requests a second.
pub(crate) fn plan() -> Plan {
    Plan {
        command: Command::Run,
        version: "0.1.0".to_owned(),
        began_unix_s: 1_760_000_000,
        asked: Asked {
            url: "http://127.0.0.1:8080/ping".to_owned(),
            protocol: "http".to_owned(),
            address: "127.0.0.1:8080".to_owned(),
            arrivals: "constant".to_owned(),
            schedule: "10k".to_owned(),
            steady: true,
            seed: 1,
            connections: 64,
            pipeline: 1,
            request_bytes: 62,
            shards: 1,
            duration_ns: 10 * SECOND,
            warmup_ns: 2 * SECOND,
            timeout_ns: 2 * SECOND,
            late: "queue".to_owned(),
            mode: "keep".to_owned(),
            idle: "hybrid".to_owned(),
        },
        law: Some(Law::Constant),
        verify: true,
    }
}

/// One second of it: `n` answers that take 100 us and more, with a tail.
pub(crate) fn second(k: u64, n: u64) -> Interval {
    let mut step = Interval::new();
    (step.from_ns, step.to_ns) = (k * SECOND, (k + 1) * SECOND);
    let record = |into: &mut hdrhistogram::Histogram<u64>, ns| into.record(ns).expect("below an hour");
    for i in 0..n {
        // Harmonic in the share that is left above: p50 is twice the least, p99 a hundred times, as real tails are.
        let tail = 50_000 * n / (n - i).max(n / 1_000 + 1);
        record(&mut step.service, 50_000 + tail);
        record(&mut step.first_byte, 45_000 + tail);
        record(&mut step.send_lag, 1_000 + tail / 1_000);
        record(&mut step.response, 51_000 + tail + tail / 1_000);
    }
    let counts = &mut step.counts;
    (counts.due, counts.sent, counts.answered, counts.completed) = (n, n, n, n);
    (counts.bytes_in, counts.bytes_out, counts.checked_bytes, counts.status_2xx) =
        (n * 120, n * 62, n * 5, n);
    if k == 0 {
        counts.opened = 64;
        counts.warmup = 2 * n;
        (0..64).for_each(|i| record(&mut step.connect, 40_000 + i * 1_000));
    }
    step
}

/// What is known at its end.
pub(crate) fn end() -> End {
    End {
        measured_ns: 10 * SECOND,
        expected: Some(100_000.0),
        held: 64,
        gaps: (0..1_000).map(|_| (100_000, 100_000)).collect(),
        cost: Cost {
            cores: vec![Some(1)],
            cpu_ns: 2_100_000_000,
            spun_ns: 700_000_000,
            busy_max: 0.21,
            enters: Some(90_000),
        },
        environment: Environment {
            kernel: "Linux 6.12.0".to_owned(),
            cpu_model: "A CPU".to_owned(),
            cpus: 4,
            mitigations: vec![("spectre_v2".to_owned(), "Mitigation: Retpolines".to_owned())],
            clocksource: "tsc".to_owned(),
            governor: None,
            ring_tier: "best".to_owned(),
            command_line: vec!["ringmill-load".to_owned(), "http://127.0.0.1:8080/ping".to_owned()],
            program: "ringmill-load 0.1.0".to_owned(),
            changes: vec![Change { name: "TcpExt.ListenOverflows".to_owned(), by: 0 }],
        },
    }
}

/// A run with which nothing is wrong.
pub(crate) fn good() -> Outcome {
    let mut build = Build::new(plan());
    (0..10).for_each(|k| {
        build.add(&second(k, 10_000));
    });
    build.finish(end())
}

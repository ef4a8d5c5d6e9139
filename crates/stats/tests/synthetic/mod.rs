//! Results that nobody measured: a server that stalls once, as a queue of one server says it (Lindley's recursion), and a search.

use stats::interval::Interval;
use stats::outcome::{
    Asked, Build, Change, Command, Cost, End, Environment, Latencies, Latency, Outcome, Plan, Search,
    SearchPoint,
};
use stats::schedule::Law;

/// What varies between the made-up runs.
#[derive(Clone, Copy)]
pub(crate) struct Made {
    /// Requests a second, constant.
    pub(crate) per_s: u64,
    /// What one request costs the server.
    pub(crate) each_ns: u64,
    /// How long it stalls, 8 s after the begin; 0 is not at all.
    pub(crate) stall_ns: u64,
    /// Of the noise.
    pub(crate) seed: u64,
}

/// A run of 20 s with 64 connections.
pub(crate) fn run(made: Made) -> Outcome {
    let Made { per_s, each_ns, stall_ns, mut seed } = made;
    let mut seconds: Vec<Interval> = (0..SECONDS)
        .map(|second| Interval { from_ns: second * SECOND, to_ns: (second + 1) * SECOND, ..Interval::new() })
        .collect();
    for k in 0..64 {
        seconds[0].connect.record(60_000 + k * 700).expect("below an hour");
        seconds[0].counts.opened += 1;
    }
    let (gap, mut ends) = (SECOND / per_s, Vec::<u64>::new());
    for k in 0..SECONDS * per_s {
        let due = k * gap;
        let before = ends.last().copied().unwrap_or(0);
        let free = if k < 64 { 0 } else { ends[k as usize - 64] };
        let lag = 1_500 + noise(&mut seed, 2_500) + if k % 997 == 0 { noise(&mut seed, 40_000) } else { 0 };
        let sent = due.max(free) + lag;
        let stalled = (8 * SECOND..8 * SECOND + stall_ns).contains(&sent.max(before));
        let begun = if stalled { 8 * SECOND + stall_ns } else { sent.max(before) };
        let end = begun + each_ns + noise(&mut seed, each_ns / 4);
        let answered = end + 30_000 + noise(&mut seed, 12_000);
        ends.push(end);
        let second = &mut seconds[(answered / SECOND).min(SECONDS - 1) as usize];
        second.response.record(answered - due).expect("below an hour");
        second.service.record(answered - sent).expect("below an hour");
        second.send_lag.record(lag).expect("below an hour");
        let counts = &mut second.counts;
        // A dozen of those that had to wait are given up.
        let failed = u64::from(free > due && k % 1_150 == 0);
        counts.due += 1;
        counts.sent += 1;
        counts.waited += u64::from(free > due);
        counts.timeout += failed;
        counts.answered += 1 - failed;
        counts.completed += (1 - failed) * u64::from(answered < SECONDS * SECOND);
        counts.status_2xx += 1 - failed;
        counts.bytes_in += 120;
        counts.bytes_out += 61;
        counts.checked_bytes += 120;
    }
    let mut build = Build::new(plan(per_s));
    seconds.iter().for_each(|second| {
        build.add(second);
    });
    let requests = SECONDS * per_s;
    build.finish(End {
        measured_ns: SECONDS * SECOND,
        expected: Some(requests as f64),
        held: 64,
        gaps: (0..1_000).map(|k| (gap, gap - 500 + k)).collect(),
        cost: Cost {
            cores: vec![Some(1)],
            cpu_ns: requests * 3_800,
            spun_ns: 4 * SECOND,
            busy_max: 0.19,
            enters: Some(requests * 61 / 100),
        },
        environment: environment(),
    })
}

/// A search for the highest rate that keeps `p99<2ms`.
pub(crate) fn search() -> Outcome {
    let mut outcome = run(Made { per_s: 1_000, each_ns: 20_000, stall_ns: 0, seed: 3 });
    let mut seed = 11;
    let mut points: Vec<SearchPoint> = [40, 60, 90, 135, 110, 121, 126, 131]
        .iter()
        .map(|thousands| {
            let rate_per_s = f64::from(*thousands) * 1_000.0;
            let exact = 90_000.0 / (1.0 - rate_per_s / 142_000.0);
            let wanted = if (110..132).contains(thousands) { 5 } else { 3 };
            let runs_ns: Vec<Option<u64>> = (0..wanted)
                .map(|_| Some((exact * (1.0 + noise(&mut seed, 900) as f64 / 300.0)) as u64))
                .collect();
            let kept: Vec<bool> = runs_ns.iter().map(|ns| ns.is_some_and(|ns| ns < 2_000_000)).collect();
            let accepted = kept.iter().filter(|kept| **kept).count() * 2 > kept.len();
            SearchPoint {
                rate_per_s,
                achieved_per_s: rate_per_s,
                runs_ns,
                kept,
                accepted,
                fitted_ns: Some(exact * 2.4),
            }
        })
        .collect();
    points.sort_by(|a, b| a.rate_per_s.total_cmp(&b.rate_per_s));
    outcome.command = Command::Search;
    outcome.search = Some(Search {
        slo: "p99<2ms".to_string(),
        rate_per_s: Some(126_000.0),
        ci95_per_s: Some([122_500.0, 128_900.0]),
        points,
        ended: "found".to_string(),
    });
    outcome
}

/// Connections held: nothing was asked over them.
pub(crate) fn hold() -> Outcome {
    let mut build = Build::new(Plan { command: Command::Hold, law: None, verify: false, ..plan(0) });
    for second in 0..SECONDS {
        let mut step = Interval { from_ns: second * SECOND, to_ns: (second + 1) * SECOND, ..Interval::new() };
        let opened = if second < 10 { 10_000 } else { 0 };
        step.connect.record_n(80_000 + second * 5_000, opened).expect("below an hour");
        step.counts.opened = opened;
        step.counts.lost_connections = u64::from(second == 15) * 40;
        build.add(&step);
    }
    let mut outcome = build.finish(End {
        measured_ns: SECONDS * SECOND,
        expected: None,
        held: 99_960,
        gaps: Vec::new(),
        cost: Cost { cores: vec![None], cpu_ns: 2 * SECOND, busy_max: 0.1, ..Cost::default() },
        environment: environment(),
    });
    outcome.asked.protocol = "echo".to_string();
    outcome.asked.url = "echo://127.0.0.1:7".to_string();
    outcome.latency = Latencies { response: Latency::default(), ..outcome.latency };
    outcome
}

fn plan(per_s: u64) -> Plan {
    Plan {
        command: Command::Run,
        version: "0.1.0".to_string(),
        began_unix_s: 1_772_323_200,
        asked: Asked {
            url: "http://127.0.0.1:8080/ping".to_string(),
            protocol: "http".to_string(),
            address: "127.0.0.1:8080".to_string(),
            arrivals: if per_s == 0 { "closed" } else { "constant" }.to_string(),
            schedule: format!("{}k", per_s / 1_000),
            steady: true,
            seed: 7,
            connections: if per_s == 0 { 100_000 } else { 64 },
            pipeline: 1,
            request_bytes: 61,
            shards: 1,
            duration_ns: SECONDS * SECOND,
            warmup_ns: 2 * SECOND,
            timeout_ns: 5 * SECOND,
            late: "queue".to_string(),
            mode: "keep".to_string(),
            idle: "hybrid".to_string(),
        },
        law: Some(Law::Constant),
        verify: true,
    }
}

fn environment() -> Environment {
    let text = |name: &str, state: &str| (name.to_string(), state.to_string());
    Environment {
        kernel: "Linux 6.12.9".to_string(),
        cpu_model: "A CPU of the imagination @ 3.00GHz".to_string(),
        cpus: 2,
        mitigations: vec![
            text("meltdown", "Mitigation: PTI"),
            text("spectre_v2", "Mitigation: Retpolines; IBPB"),
        ],
        clocksource: "tsc".to_string(),
        governor: None,
        ring_tier: "6.12: DEFER_TASKRUN, multishot".to_string(),
        command_line: ["ringmill-load", "http://127.0.0.1:8080/ping", "--rate", "10k"]
            .map(str::to_string)
            .to_vec(),
        program: "ringmill-load 0.1.0".to_string(),
        changes: vec![
            Change { name: "TcpExt.TCPDelivered".to_string(), by: 200_117 },
            Change { name: "psi.cpu.some_us".to_string(), by: 51_220 },
        ],
    }
}

/// Below `bound`, by a linear congruence (Knuth's MMIX).
fn noise(seed: &mut u64, bound: u64) -> u64 {
    *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*seed >> 33) % bound
}

const SECOND: u64 = 1_000_000_000;
const SECONDS: u64 = 20;

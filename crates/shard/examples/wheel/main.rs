//! A million timers of 30 s in the wheel of a seat, and what a turn costs then: `wheel [--timers N] [--rounds N] [--seconds N]`.
//!
//! Beside it the wheel that brings a slot down whole, and this one with other bounds of a turn; each round has all of them, in
//! an order of its own. One connection is one timer and one number, when it was heard: a touch is a store to that number. A
//! timer that fires and finds that its connection was heard meanwhile is armed again, as are those of a server.
//!
//! Times are those of the thread's CPU clock, whose two looks are part of each turn (about half a microsecond). A machine that
//! other programs share still makes single turns long. So a contender does the same in each round, turn by turn, and "undisturbed" is
//! the course in which each turn took what it took in its best round.
#![allow(clippy::print_stdout, reason = "its output is its purpose")]

mod whole;

use linux::clock::Clock;
use shard::Tick;
use shard::random::Random;
use shard::wheel::{MOVES_MAX, Wheel};
use std::hint::black_box;
use whole::Whole;

/// Milliseconds until an untouched connection's timer fires, give or take a sixteenth.
const EVERY: u64 = 30_000;
/// When the wheel is made: in the middle of things.
const START: u64 = 1 << 30;

fn main() {
    let (mut timers, mut rounds, mut seconds) = (1_000_000, 9, 60);
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    for pair in arguments.chunks(2) {
        let value = pair.get(1).and_then(|value| value.parse().ok()).filter(|value| *value > 0);
        match (pair[0].as_str(), value) {
            ("--timers", Some(value)) => timers = value,
            ("--rounds", Some(value)) => rounds = value,
            ("--seconds", Some(value)) => seconds = value,
            _ => return println!("usage: wheel [--timers N] [--rounds N] [--seconds N]"),
        }
    }
    println!(
        "{timers} timers of 30 s, {seconds} s of ticks, {rounds} rounds; each figure is the median of the rounds (lowest..highest).\n"
    );
    for (title, within) in [("spread over 30 s", EVERY), ("armed within one second", 1_000)] {
        table(title, timers, within, rounds, seconds);
    }
}

/// Who is measured.
const CONTENDERS: [(&str, Option<u32>); 4] = [
    ("a slot comes down whole", None),
    ("at most 64 a turn", Some(64)),
    ("at most 256 a turn (the seat's)", Some(MOVES_MAX)),
    ("at most 1024 a turn", Some(1024)),
];

fn table(title: &str, timers: u64, within: u64, rounds: u64, seconds: u64) {
    let course = Course { timers, within, seconds };
    let mut seen: [Vec<Figures>; CONTENDERS.len()] = Default::default();
    let mut best: [Vec<Turn>; CONTENDERS.len()] = Default::default();
    for round in 0..rounds as usize {
        for n in 0..CONTENDERS.len() {
            let who = (round + n) % CONTENDERS.len();
            let (figures, turns) = match CONTENDERS[who].1 {
                None => course.run(Whole::new(Tick(START))),
                Some(most) => course.run(Wheel::with_moves_max(Tick(START), most)),
            };
            seen[who].push(figures);
            undisturb(&mut best[who], turns);
        }
    }
    println!("### {title}\n");
    println!(
        "| wheel | inserts/s | touch ns | fire and arm again ns | turn p50 us | turn p99.9 us | worst turn us |"
    );
    println!("|---|---|---|---|---|---|---|");
    for ((name, _), figures) in CONTENDERS.iter().zip(&seen) {
        let range = |digits: usize, of: fn(&Figures) -> f64| {
            let mut all: Vec<f64> = figures.iter().map(of).collect();
            all.sort_by(f64::total_cmp);
            let (lowest, median, highest) = (all[0], all[all.len() / 2], all[all.len() - 1]);
            format!("{median:.digits$} ({lowest:.digits$}..{highest:.digits$})")
        };
        let cells = [
            range(1, |f| 1e3 / f.insert_ns) + " M",
            range(1, |f| f.touch_ns),
            range(0, |f| f.fire_ns),
            range(1, |f| f.turn_us[0]),
            range(0, |f| f.turn_us[1]),
            range(0, |f| f.turn_us[2]),
        ];
        println!("| {name} | {} |", cells.join(" | "));
    }
    println!(
        "\n| undisturbed | turn p50 us | turn p99.9 us | worst turn us | worst tick, all its turns us | turns a virtual second |"
    );
    println!("|---|---|---|---|---|---|");
    for ((name, _), turns) in CONTENDERS.iter().zip(&best) {
        let [p50, p999, max] = quantiles_us(turns);
        let ticks =
            turns.chunk_by(|a, b| a.tick == b.tick).map(|tick| tick.iter().map(|turn| turn.ns).sum::<u64>());
        let tick = ticks.max().unwrap_or(0) as f64 / 1000.0;
        let pace = turns.len() as f64 * 1000.0 / (EVERY + 1000 * seconds) as f64;
        println!("| {name} | {p50:.1} | {p999:.0} | {max:.0} | {tick:.0} | {pace:.0} |");
    }
    println!();
}

/// Keeps of each turn what it took when it took least.
fn undisturb(best: &mut Vec<Turn>, turns: Vec<Turn>) {
    if best.is_empty() {
        *best = turns;
        return;
    }
    assert_eq!(best.len(), turns.len(), "the same course has the same turns");
    for (best, turn) in best.iter_mut().zip(turns) {
        assert_eq!(best.tick, turn.tick);
        best.ns = best.ns.min(turn.ns);
    }
}

/// The middle turn, the 99.9th of a hundred, and the longest.
fn quantiles_us(turns: &[Turn]) -> [f64; 3] {
    let mut all: Vec<u64> = turns.iter().map(|turn| turn.ns).collect();
    all.sort_unstable();
    [0.5, 0.999, 1.0].map(|share| all[((all.len() - 1) as f64 * share) as usize] as f64 / 1000.0)
}

/// What one contender has to do in one round.
struct Course {
    timers: u64,
    /// They are armed within this many milliseconds.
    within: u64,
    seconds: u64,
}

/// What a turn took, and in which millisecond it was.
struct Turn {
    tick: u64,
    ns: u64,
}

struct Figures {
    insert_ns: f64,
    touch_ns: f64,
    fire_ns: f64,
    turn_us: [f64; 3],
}

impl Course {
    fn run(&self, mut wheel: impl Timers) -> (Figures, Vec<Turn>) {
        let mut random = Random::new(1);
        let mut later = |from: u64| from + EVERY - EVERY / 16 + random.below(EVERY / 8);
        let mut arrivals = Random::new(2);
        let due: Vec<u64> =
            (0..self.timers).map(|_| later(START + 1 + arrivals.below(self.within))).collect();
        let began = Clock::thread_cpu_ns();
        for (n, at) in (0..).zip(&due) {
            wheel.insert(Tick(*at), n);
        }
        let insert_ns = (Clock::thread_cpu_ns() - began) as f64 / self.timers as f64;

        // Half as many touches as connections: of those, each is heard while its timer runs.
        let mut heard = vec![0; self.timers as usize];
        let touched: Vec<u32> = (0..self.timers / 2).map(|_| arrivals.below(self.timers) as u32).collect();
        let began = Clock::thread_cpu_ns();
        for n in &touched {
            heard[*n as usize] = black_box(START + 10_000);
        }
        let touch_ns = (Clock::thread_cpu_ns() - began) as f64 / touched.len() as f64;

        let (mut turns, mut fires, mut now) = (Vec::with_capacity(1 << 20), 0_u64, START);
        // The seat sleeps until the wheel's deadline, or turns at once where that has come already.
        while let Some(Tick(next)) = wheel.next_deadline()
            && next < START + EVERY + 1000 * self.seconds
        {
            now = now.max(next);
            let began = Clock::thread_cpu_ns();
            while let Some(n) = wheel.fire(Tick(now)) {
                let heard = &mut heard[n as usize];
                let from = if *heard + EVERY > now { *heard } else { now };
                *heard = 0;
                wheel.insert(Tick(later(from).max(now + 1)), n);
                fires += 1;
            }
            turns.push(Turn { tick: now, ns: Clock::thread_cpu_ns() - began });
        }
        let all_ns: u64 = turns.iter().map(|turn| turn.ns).sum();
        let fire_ns = all_ns as f64 / fires as f64;
        (Figures { insert_ns, touch_ns, fire_ns, turn_us: quantiles_us(&turns) }, turns)
    }
}

/// What a seat wants of a wheel.
trait Timers {
    fn insert(&mut self, at: Tick, what: u64);
    fn fire(&mut self, now: Tick) -> Option<u64>;
    fn next_deadline(&self) -> Option<Tick>;
}

impl Timers for Wheel<u64> {
    fn insert(&mut self, at: Tick, what: u64) {
        Wheel::insert(self, at, what);
    }

    fn fire(&mut self, now: Tick) -> Option<u64> {
        Wheel::fire(self, now).map(|fired| fired.what)
    }

    fn next_deadline(&self) -> Option<Tick> {
        Wheel::next_deadline(self)
    }
}

impl Timers for Whole {
    fn insert(&mut self, at: Tick, what: u64) {
        Whole::insert(self, at, what);
    }

    fn fire(&mut self, now: Tick) -> Option<u64> {
        Whole::fire(self, now)
    }

    fn next_deadline(&self) -> Option<Tick> {
        Whole::next_deadline(self)
    }
}

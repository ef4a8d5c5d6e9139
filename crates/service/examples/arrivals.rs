//! Who arrives when a server comes back: simulates 20,000 clients that lose it at one moment, and draws their arrivals.
//!
//! `cargo run --release -p ringmill-service --example arrivals docs/frame/arrivals.svg` made the picture of docs/FRAME.md.
#![allow(clippy::print_stdout, reason = "its output is its purpose")]

#[path = "../tests/scenarios/mod.rs"]
mod scenarios;

use scenarios::fleet::{Fleet, Log};
use service::frame::client::Backoff;
use stats::plot::{Axis, Chart, Dash, Ink, Scale, Series, Shape, Unit};
use std::time::Duration;

const CLIENTS: usize = 20_000;

fn main() -> std::io::Result<()> {
    let path = std::env::args_os().nth(1).unwrap_or_else(|| "arrivals.svg".into());
    let second = Duration::from_secs(1);
    let fixed = Backoff { base: second, first: second, cap: second };
    let calm = Fleet::new(CLIENTS, Backoff::default());
    let series =
        [("decorrelated jitter (the default)", calm), ("again every second", Fleet::new(CLIENTS, fixed))];
    let logs = series.map(|(label, fleet)| {
        let (run, log) = fleet.run(1);
        run.check();
        let (peak, last) = (log.slots[from(fleet)..].iter().max().expect("slots"), log.last_ms);
        println!("{label}: at most {peak} arrivals in 100 ms once it was gone; the last client is back at {last} ms");
        (label, log)
    });
    std::fs::write(path, chart(calm, &logs).svg())
}

/// The first slot after the server went.
fn from(fleet: Fleet) -> usize {
    fleet.down.as_millis() as usize / 100
}

fn chart(fleet: Fleet, logs: &[(&str, Log)]) -> Chart {
    let points = |log: &Log| -> Vec<[f64; 2]> {
        let shown = log.slots.iter().take(10 * 55).enumerate();
        // A slot without arrivals stands at the foot of a scale that has no 0.
        shown.map(|(slot, n)| [slot as f64 * 1e8, f64::from((*n).max(1))]).collect()
    };
    let at = |when: Duration| when.as_nanos() as f64;
    let mark = |label: &str, when: Duration| Series {
        label: label.into(),
        ink: Ink::Dim,
        dash: Dash::Dotted,
        shape: Shape::Upright(at(when)),
    };
    let mut all = vec![mark("the server goes, and comes back", fleet.down), mark("", fleet.up)];
    for (index, (label, log)) in logs.iter().enumerate() {
        let dash = if index == 0 { Dash::Solid } else { Dash::Dashed };
        all.push(Series {
            label: (*label).into(),
            ink: Ink::Colour(index),
            dash,
            shape: Shape::Step(points(log)),
        });
    }
    let every = logs.iter().flat_map(|(_, log)| points(log)).map(|[_, y]| y);
    Chart {
        title: format!("{CLIENTS} clients lose their server at once"),
        description:
            "Connections that arrive in each 100 ms: some hundreds with jitter, all at once without.".into(),
        x: Axis::between("time", Scale::Linear, Unit::Nanoseconds, [0.0, 55e9]),
        y: Axis::fit("connections that arrive in 100 ms", Scale::Log, Unit::Count, every),
        series: all,
    }
}

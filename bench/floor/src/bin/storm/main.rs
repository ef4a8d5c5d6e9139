//! `make storm`: what a storm of connections does to the traffic that is there already.
//!
//! A fresh server each time, loaded by one `ringmill-load` (64 connections, 64 B echoes, an open loop) without and with another
//! that connects, says one word and resets, a third as often as a bare loop accepts. With one shard the server has core 0 and both
//! generators core 1; with two shards all of them share both. Server and traffic run before all that is not realtime (needs
//! root), since the clients of a storm do not run on the machine that they storm: theirs gets what is left of the cores.

mod raw;
mod run;
mod table;

use std::fs;
use std::time::Duration;

use floor::args::{Args, quit};
use serde_json::json;

use run::{Case, Round};

/// What is asked for.
pub struct Wanted {
    pub rounds: usize,
    pub seconds: f64,
    /// Requests a second of the traffic.
    pub rate: f64,
    /// Connects a second of the storm; a third of the raw rate where it is not given.
    pub storm: f64,
    pub server: String,
    pub load: String,
    /// Further words of the server.
    pub with: String,
    pub realtime: bool,
}

/// Where each shard has a listener of its own there is nothing to steer by with one of them.
const CASES: [Case; 4] = [
    Case { shards: 1, accept: "reuseport" },
    Case { shards: 2, accept: "reuseport" },
    Case { shards: 2, accept: "cbpf" },
    Case { shards: 2, accept: "hand-off" },
];

fn main() {
    let mut args = Args::from_env();
    let mut wanted = Wanted {
        rounds: args.parse("--rounds", 7),
        seconds: args.parse("--seconds", 2.0),
        rate: args.parse("--rate", 10_000.0),
        storm: args.parse("--storm", 0.0),
        server: args.parse("--server", "target/release/ringmill".into()),
        load: args.parse("--load", "target/release/ringmill-load".into()),
        with: args.parse("--with", String::new()),
        realtime: !args.switch("--not-realtime"),
    };
    let out = args.text("--out");
    let only = args.text("--only");
    args.finish();
    let raw = raw_rate();
    if wanted.storm == 0.0 {
        wanted.storm = (raw[raw.len() / 2] / 3.0).ceil();
    }
    let chosen = |case: &&Case| only.as_deref().is_none_or(|only| case.name().contains(only));
    let mut cases: Vec<(Case, Vec<Round>)> =
        CASES.iter().filter(chosen).map(|case| (*case, Vec::new())).collect();
    for round in 0..wanted.rounds {
        // Each round begins with another case, and every other one with the storm: the host changes its speed for seconds at a time.
        let many = cases.len();
        for step in 0..many {
            let (case, rounds) = &mut cases[(round + step) % many];
            match Round::run(*case, &wanted, round % 2 == 1) {
                Ok(done) => rounds.push(done),
                Err(why) => quit(&format!("{}: {why}", case.name())),
            }
            eprintln!("round {} of {}: {}", round + 1, wanted.rounds, cases[(round + step) % many].0.name());
        }
    }
    let text = table::markdown(&wanted, &raw, &cases);
    println!("{text}");
    if let Some(out) = out {
        let cases: Vec<_> = cases
            .iter()
            .map(|(case, rounds)| json!({ "case": case.name(), "rounds": rounds.iter().map(Round::json).collect::<Vec<_>>() }))
            .collect();
        let json = json!({
            "raw_accepts_per_s": raw,
            "storm_per_s": wanted.storm, "traffic_per_s": wanted.rate, "seconds": wanted.seconds,
            "with": wanted.with, "realtime": wanted.realtime,
            "cases": cases,
        });
        for (end, text) in [("json", format!("{json:#}\n")), ("md", text)] {
            let path = format!("{out}.{end}");
            fs::write(&path, text).unwrap_or_else(|error| quit(&format!("{path}: {error}")));
        }
    }
}

/// Of several short looks, from the lowest to the highest.
fn raw_rate() -> Vec<f64> {
    let look = |_| raw::measure(Duration::from_millis(500));
    let mut rates: Vec<f64> = (0..7)
        .map(look)
        .collect::<Result<_, _>>()
        .unwrap_or_else(|error| quit(&format!("the raw accept rate: {error}")));
    rates.sort_by(f64::total_cmp);
    rates
}

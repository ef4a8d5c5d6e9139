//! What was measured, for people.

use std::fmt::Write;

use super::Wanted;
use super::run::{Case, Half, Round};

/// What the p99 of the traffic may become, and what part of the storm has to be served.
const RATIO_MOST: f64 = 2.0;
const SERVED_LEAST: f64 = 0.98;

pub fn markdown(wanted: &Wanted, raw: &[f64], cases: &[(Case, Vec<Round>)]) -> String {
    let mut text = String::new();
    let [low, median, high] = spread(raw.iter().copied());
    let _ = writeln!(
        text,
        "Raw accepts a second (a loop that accepts and closes, one that connects and resets): {median:.0} ({low:.0} to {high:.0}). Storm: \
         {:.0} a second. Traffic: {:.0} echoes of 64 B a second on 64 connections, open loop. {} rounds of {} s{}; medians, lowest to highest.\n",
        wanted.storm,
        wanted.rate,
        wanted.rounds,
        wanted.seconds,
        if wanted.realtime { ", server and traffic before all else" } else { "" },
    );
    text.push_str("| case | p50 us: calm, storm | p99 us: calm | p99 us: storm | times the p99 | connects a second | connect p99 us | server, cores: calm, storm | accepted, least to most of a shard | verdict |\n");
    text.push_str("|---|---|---|---|---|---|---|---|---|---|\n");
    for (case, rounds) in cases.iter().filter(|(_, rounds)| !rounds.is_empty()) {
        let calm = |of: fn(&Half) -> f64| spread(rounds.iter().map(|round| of(&round.calm)));
        let stormy = |of: fn(&Half) -> f64| spread(rounds.iter().map(|round| of(&round.stormy)));
        let of_storm = |half: &Half, of: fn(&super::run::Storm) -> f64| half.storm.as_ref().map_or(0.0, of);
        let achieved = spread(rounds.iter().map(|round| of_storm(&round.stormy, |storm| storm.achieved)));
        let connect = spread(rounds.iter().map(|round| of_storm(&round.stormy, |storm| storm.connect_p99)));
        let failed: f64 =
            rounds.iter().map(|round| of_storm(&round.stormy, |storm| storm.failed as f64)).sum();
        let ratio = spread(rounds.iter().map(Round::ratio));
        let served = achieved[1] >= SERVED_LEAST * wanted.storm && failed == 0.0;
        let verdict = match (served, ratio[1] <= RATIO_MOST) {
            (true, true) => "kept",
            (true, false) => "p99 missed",
            (false, true) => "rate missed",
            (false, false) => "both missed",
        };
        let _ = writeln!(
            text,
            "| {} | {:.0}, {:.0} | {} | {} | {:.2} ({:.2} to {:.2}) | {} | {} | {:.2}, {:.2} | {} | {verdict} |",
            case.name(),
            calm(|half| half.p50)[1],
            stormy(|half| half.p50)[1],
            ranged(calm(|half| half.p99)),
            ranged(stormy(|half| half.p99)),
            ratio[1],
            ratio[0],
            ratio[2],
            ranged(achieved),
            ranged(connect),
            calm(|half| half.busy)[1],
            stormy(|half| half.busy)[1],
            shares(rounds),
        );
    }
    text
}

/// The part of all connections of the storms that the shards with the fewest and the most had.
fn shares(rounds: &[Round]) -> String {
    let mut sums: Vec<u64> = Vec::new();
    for round in rounds {
        sums.resize(round.stormy.accepted.len(), 0);
        sums.iter_mut().zip(&round.stormy.accepted).for_each(|(sum, accepted)| *sum += accepted);
    }
    let all = sums.iter().sum::<u64>().max(1) as f64;
    let percent = |count: Option<&u64>| 100.0 * *count.unwrap_or(&0) as f64 / all;
    format!("{:.1} to {:.1} %", percent(sums.iter().min()), percent(sums.iter().max()))
}

/// The lowest, the median, the highest.
fn spread(values: impl Iterator<Item = f64>) -> [f64; 3] {
    let mut sorted: Vec<f64> = values.collect();
    sorted.sort_by(f64::total_cmp);
    match sorted[..] {
        [] => [f64::NAN; 3],
        _ => [sorted[0], sorted[sorted.len() / 2], sorted[sorted.len() - 1]],
    }
}

fn ranged([low, median, high]: [f64; 3]) -> String {
    format!("{median:.0} ({low:.0} to {high:.0})")
}

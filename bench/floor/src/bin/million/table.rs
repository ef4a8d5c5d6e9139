//! What was seen, for people: a table, the kernel's caches, a plot.

use super::Wanted;
use super::run::{Run, Who};
use serde_json::Value;
use stats::plot::{Axis, Chart, Dash, Ink, Scale, Series, Shape, Unit};
use std::fmt::Write;

pub fn markdown(wanted: &Wanted, runs: &[Run]) -> String {
    let n = wanted.connections as f64;
    let mut text = String::new();
    let names: Vec<&str> = runs.iter().map(|run| run.who.name()).collect();
    let _ = writeln!(
        text,
        "| {} connections, a heartbeat each {} s | {} |",
        wanted.connections,
        wanted.heartbeat_s,
        names.join(" | ")
    );
    let _ = writeln!(text, "|---|{}", "---|".repeat(runs.len()));
    let mut row = |name: &str, cell: &dyn Fn(&Run) -> Option<String>| {
        let cells: Vec<String> = runs.iter().map(|run| cell(run).unwrap_or_else(|| "-".into())).collect();
        let _ = writeln!(text, "| {name} | {} |", cells.join(" | "));
    };
    let count = |run: &Run, path: &str| run.holder.pointer(path).and_then(Value::as_u64);
    let ms = |run: &Run, path: &str| count(run, path).map(|ns| format!("{:.0}", ns as f64 / 1e6));
    row("held at once, the least that was seen", &|run| Some(run.held.to_string()));
    row("lost, for whatever reason", &|run| Some(losses(&run.holder).to_string()));
    row("connects a second, from the first to the last", &|run| Some(format!("{:.0}", n / run.connect_s)));
    row("memory of the server, bytes a connection", &|run| {
        Some(format!("{:.0}", run.rss[1].saturating_sub(run.rss[0]) as f64 / n))
    });
    row("memory of the holder, bytes a connection", &|run| {
        Some(format!("{:.0}", run.holder_rss[1].saturating_sub(run.holder_rss[0]) as f64 / n))
    });
    let first = runs.first().map(|run| run.who);
    row("kernel memory, bytes a connection and end", &|run| {
        let sum = run.slabs.values().sum::<u64>() as f64;
        (Some(run.who) == first).then(|| format!("{:.0}", sum / n / 2.0))
    });
    row("heartbeats a second", &|run| Some(format!("{:.0}", run.beats_per_s()?)));
    row("CPU of the server at rest, % of a core", &|run| {
        let [ns, s] = run.rest()?;
        Some(format!("{:.1}", ns / s / 1e7))
    });
    row("CPU of the server a heartbeat, us", &|run| {
        let [ns, s] = run.rest()?;
        Some(format!("{:.2}", ns / s / run.beats_per_s()? / 1e3))
    });
    row("an echo on each connection, s", &|run| {
        Some(format!("{:.1}", count(run, "/hold/frames/echo/took_ns")? as f64 / 1e9))
    });
    row("of them failed", &|run| Some(count(run, "/hold/frames/echo/failed")?.to_string()));
    row("fell silent, and were found", &|run| {
        let (muted, found) =
            (count(run, "/hold/frames/muted/muted")?, count(run, "/hold/frames/muted/found")?);
        Some(format!("{muted}, {found}"))
    });
    row("after a silence of, ms: least, median, most", &|run| {
        let at = |which: &str| ms(run, &format!("/hold/frames/muted/silent_{which}_ns"));
        Some(format!("{}, {}, {}", at("min")?, at("p50")?, at("max")?))
    });
    row("close of all by resets, s; then until the server has let go of them, s", &|run| {
        let closing = count(run, "/hold/closing_ns")? as f64 / 1e9;
        Some(format!("{closing:.1}; {:.1}", run.close_s))
    });
    let Some(run) = runs.first() else { return text };
    let _ = writeln!(
        text,
        "\n| kernel's cache, with {} | bytes a connection and end |\n|---|---|",
        run.who.name()
    );
    let mut caches: Vec<(f64, &String)> =
        run.slabs.iter().map(|(cache, bytes)| (*bytes as f64 / n / 2.0, cache)).collect();
    caches.sort_by(|a, b| b.0.total_cmp(&a.0));
    for (bytes, cache) in caches.iter().filter(|(bytes, _)| *bytes >= 8.0) {
        let _ = writeln!(text, "| {cache} | {bytes:.0} |");
    }
    text.push_str("\nBytes a connection and end: what the cache grew by, of both ends, divided by twice the connections.\n");
    text
}

fn losses(holder: &Value) -> u64 {
    let lost = holder.pointer("/hold/lost").and_then(Value::as_object);
    lost.map_or(0, |lost| lost.values().filter_map(Value::as_u64).sum())
}

/// Connections, and the share of a core that the server took, over time.
pub fn plot(wanted: &Wanted, runs: &[Run]) -> String {
    let mut series = Vec::new();
    let mut longest = 1.0f64;
    for (index, run) in runs.iter().enumerate() {
        let open: Vec<[f64; 2]> = run
            .seconds
            .iter()
            .map(|s| [s.at_s, 100.0 * s.connections as f64 / wanted.connections as f64])
            .collect();
        // A second's worth of samples at a time: the clock of the process is exact, its looks are not even.
        let busy: Vec<[f64; 2]> = run
            .seconds
            .windows(5)
            .step_by(4)
            .map(|five| {
                let [first, .., last] = five else { return [0.0, f64::NAN] };
                [last.at_s, (last.cpu_ns - first.cpu_ns) as f64 / (last.at_s - first.at_s) / 1e7]
            })
            .collect();
        longest = longest.max(run.seconds.last().map_or(1.0, |s| s.at_s));
        let ink = Ink::Colour(index + if run.who == Who::Floor { 2 } else { 0 });
        let name = run.who.name();
        series.push(Series {
            label: format!("{name}: connections, % of all"),
            ink,
            dash: Dash::Solid,
            shape: Shape::Line(open),
        });
        series.push(Series {
            label: format!("{name}: CPU, % of a core"),
            ink,
            dash: Dash::Dotted,
            shape: Shape::Line(busy),
        });
    }
    let x = Axis::between("seconds since the first connect", Scale::Linear, Unit::Count, [0.0, longest]);
    let y = Axis::between("%", Scale::Linear, Unit::Count, [0.0, 110.0]);
    Chart {
        title: format!("{} connections with heartbeats on one core", wanted.connections),
        description: "Connections that were open, and the time that the server took, from the first connect to the last close.".into(),
        x,
        y,
        series,
    }
    .svg()
}

//! Which charts a report has, made from results.
//!
//! Never invents a point: what a result does not carry is a gap, and a chart without a point is not there. Of one run a colour is a
//! measure; of several it is a run, and the dash says which measure.

use super::Run;
use crate::outcome::{Command, Latency, Outcome, Quantile, Step};
use crate::plot::{Axis, Chart, Dash, Glyph, Ink, Mark, Scale, Series, Shape, Unit};
use crate::text::{duration, parse_duration, rate};

/// All charts that have something to show, in the order of a report.
pub(super) fn charts(runs: &[Run<'_>]) -> Vec<Chart> {
    let all = [
        search(runs),
        percentiles(runs),
        throughput(runs),
        over_time(runs),
        send_lag(runs),
        connections(runs),
    ];
    all.into_iter().flatten().collect()
}

/// Latency by percentile: `response` against `service`, and `send_lag`.
fn percentiles(runs: &[Run<'_>]) -> Option<Chart> {
    let mut series = Vec::new();
    for (at, run) in runs.iter().enumerate() {
        let latency = &run.outcome.latency;
        let measures =
            [("response", &latency.response), ("service", &latency.service), ("send_lag", &latency.send_lag)];
        for (nth, (name, latency)) in measures.into_iter().enumerate() {
            if latency.curve.is_empty() {
                continue;
            }
            let ink = pen(runs, at, nth);
            let shape = Shape::Line(
                latency
                    .curve
                    .iter()
                    .map(|point| [last(point.quantile, latency), point.value_ns as f64])
                    .collect(),
            );
            series.push(line(runs, at, name, ink, shape));
            let (bars, marks) = intervals(name, latency);
            series.push(Series {
                label: String::new(),
                ink: ink.0,
                dash: Dash::Solid,
                shape: Shape::Bars(bars),
            });
            series.push(Series {
                label: String::new(),
                ink: ink.0,
                dash: Dash::Solid,
                shape: Shape::Points(Glyph::Dot, marks),
            });
        }
    }
    chart(
        "Latency by percentile",
        "Latency in a logarithmic scale over the share of requests that took at most so long. Bars are 95 % confidence intervals. \
         Where response lies above service, requests waited before they could be sent.",
        |xs| Axis::fit("share of requests", Scale::Percentile, Unit::Share, xs.to_vec()),
        |ys| Axis::fit("latency", Scale::Log, Unit::Nanoseconds, ys.to_vec()),
        series,
    )
}

/// The maximum is one sample of all, so what is at most 1 - 1/n lies below it.
fn last(quantile: f64, latency: &Latency) -> f64 {
    quantile.min(1.0 - 1.0 / latency.count.max(2) as f64)
}

fn intervals(name: &str, latency: &Latency) -> (Vec<[f64; 3]>, Vec<Mark>) {
    let (mut bars, mut marks) = (Vec::new(), Vec::new());
    for Quantile { q, name: of, value_ns, ci95_ns } in latency.quantiles() {
        let Some(ns) = value_ns else { continue };
        let mut hint = format!("{name} {of}: {}", duration(ns as f64));
        if let Some([low, high]) = ci95_ns.map(|ends| ends.map(|ns| ns as f64)) {
            bars.push([q, low, high]);
            hint += &format!(" (95 %: {} to {})", duration(low), duration(high));
        }
        marks.push(Mark { x: q, y: ns as f64, hint });
    }
    (bars, marks)
}

/// Answers a second over time, against what was asked for.
fn throughput(runs: &[Run<'_>]) -> Option<Chart> {
    let mut series = Vec::new();
    for (at, run) in runs.iter().enumerate().filter(|(_, run)| run.outcome.arrivals.due > 0) {
        let ink = pen(runs, at, 0);
        let errors: Vec<Mark> = steps(run.outcome)
            .filter(|step| step.errors > 0)
            .map(|step| Mark {
                x: step.from_ns as f64 + seconds(step) * 5e8,
                y: answered(step),
                hint: format!("{} errors from {}", step.errors, duration(step.from_ns as f64)),
            })
            .collect();
        if let Some(target) = run.outcome.rate.target_per_s {
            let (label, ink) = if runs.len() == 1 {
                (if run.outcome.asked.steady { "target" } else { "target (mean)" }.to_string(), Ink::Dim)
            } else {
                (run.label("target"), ink.0)
            };
            series.push(Series { label, ink, dash: Dash::Dashed, shape: Shape::Level(target) });
        }
        series.push(line(
            runs,
            at,
            "answered",
            (ink.0, Dash::Solid),
            Shape::Step(over(run.outcome, |step| Some(answered(step)))),
        ));
        if !errors.is_empty() {
            let ink = if runs.len() == 1 { Ink::Colour(1) } else { ink.0 };
            series.push(line(
                runs,
                at,
                "errors seen",
                (ink, Dash::Solid),
                Shape::Points(Glyph::Cross, errors),
            ));
        }
    }
    chart(
        "Throughput over time",
        "Requests answered as they should be, a second, over the measured time; the target is what the schedule asked for. A cross \
         stands where requests failed.",
        time,
        |ys| counts("requests/s", ys),
        series,
    )
}

/// Response times over time.
fn over_time(runs: &[Run<'_>]) -> Option<Chart> {
    type Of = fn(&Step) -> Option<u64>;
    let measures: [(&str, Of); 3] =
        [("p50", |step| step.p50_ns), ("p99", |step| step.p99_ns), ("max", |step| step.max_ns)];
    let mut series = Vec::new();
    for (at, run) in runs.iter().enumerate() {
        for (nth, (name, of)) in measures.into_iter().enumerate() {
            let shape = Shape::Step(over(run.outcome, |step| of(step).map(|ns| ns as f64)));
            series.push(line(runs, at, name, pen(runs, at, nth), shape));
        }
    }
    chart(
        "Response time over time",
        "Median, 99th percentile and maximum of the response time of what ended in each step, in a logarithmic scale.",
        time,
        |ys| Axis::fit("response time", Scale::Log, Unit::Nanoseconds, ys.to_vec()),
        series,
    )
}

/// The generator's own error over time.
fn send_lag(runs: &[Run<'_>]) -> Option<Chart> {
    let mut series = Vec::new();
    for (at, run) in runs.iter().enumerate() {
        let shape = Shape::Step(over(run.outcome, |step| step.send_lag_p99_ns.map(|ns| ns as f64)));
        series.push(line(runs, at, "send_lag p99", (pen(runs, at, 0).0, Dash::Solid), shape));
    }
    chart(
        "Send lag over time",
        "How late the generator itself was: the 99th percentile, in each step, of the time from when a request was due and a \
         connection free to its first byte given to the kernel.",
        time,
        |ys| Axis::fit("send_lag", Scale::Log, Unit::Nanoseconds, ys.to_vec()),
        series,
    )
}

/// Open connections over time, where their number is what is measured, or changed.
fn connections(runs: &[Run<'_>]) -> Option<Chart> {
    let changes =
        |outcome: &Outcome| outcome.series.windows(2).any(|pair| pair[0].connections != pair[1].connections);
    if !runs.iter().any(|run| run.outcome.command == Command::Hold || changes(run.outcome)) {
        return None;
    }
    let mut series = Vec::new();
    for (at, run) in runs.iter().enumerate() {
        let shape = Shape::Step(over(run.outcome, |step| Some(step.connections as f64)));
        series.push(line(runs, at, "open", (pen(runs, at, 0).0, Dash::Solid), shape));
    }
    chart(
        "Connections over time",
        "Connections that were open at the end of each step.",
        time,
        |ys| counts("connections", ys),
        series,
    )
}

/// The promised quantile over the rate, and the highest rate that keeps the promise.
fn search(runs: &[Run<'_>]) -> Option<Chart> {
    let mut series = Vec::new();
    let mut promises: Vec<&str> = Vec::new();
    for (at, run) in runs.iter().enumerate() {
        let Some(search) = &run.outcome.search else { continue };
        let ink = pen(runs, at, 0).0;
        if let Some([low, high]) = search.ci95_per_s {
            series.push(line(runs, at, "95 % interval", (ink, Dash::Solid), Shape::Span([low, high])));
        }
        if let Some(per_s) = search.rate_per_s {
            let name = format!("highest rate kept: {}", rate(per_s));
            series.push(line(runs, at, &name, (ink, Dash::Dotted), Shape::Upright(per_s)));
        }
        if !promises.contains(&search.slo.as_str()) {
            promises.push(&search.slo);
            if let Some(ns) = promised_ns(&search.slo) {
                let label = format!("promise: {}", search.slo);
                series.push(Series { label, ink: Ink::Dim, dash: Dash::Dashed, shape: Shape::Level(ns) });
            }
        }
        let fitted = search
            .points
            .iter()
            .map(|point| [point.rate_per_s, point.fitted_ns.unwrap_or(f64::NAN)])
            .collect();
        series.push(line(runs, at, "isotonic fit", (ink, Dash::Solid), Shape::Line(fitted)));
        for (kept, name, glyph) in [(true, "run kept it", Glyph::Dot), (false, "run broke it", Glyph::Cross)]
        {
            let marks: Vec<Mark> = search
                .points
                .iter()
                .flat_map(|point| {
                    point.runs_ns.iter().zip(&point.kept).map(move |run| (point.rate_per_s, run))
                })
                .filter(|(_, (_, run_kept))| **run_kept == kept)
                .filter_map(|(per_s, (ns, _))| ns.map(|ns| (per_s, ns as f64)))
                .map(|(x, y)| Mark { x, y, hint: format!("{name}: {} at {}", duration(y), rate(x)) })
                .collect();
            if !marks.is_empty() {
                let ink = if runs.len() == 1 && !kept { Ink::Colour(1) } else { ink };
                series.push(line(runs, at, name, (ink, Dash::Solid), Shape::Points(glyph, marks)));
            }
        }
    }
    chart(
        "The promise over the rate",
        "The promised quantile of each run over the rate it was run at, the rising curve that fits them best, the promise, and the \
         highest rate that keeps it with its confidence interval.",
        |xs| Axis::fit("requests/s", Scale::Linear, Unit::Count, xs.to_vec()),
        |ys| Axis::fit("latency", Scale::Log, Unit::Nanoseconds, ys.to_vec()),
        series,
    )
}

/// The first bound of a time in `p99<2ms,errors<0.1%`, in nanoseconds.
fn promised_ns(slo: &str) -> Option<f64> {
    slo.split(',').find_map(|part| {
        let (_, bound) = part.split_once('<')?;
        parse_duration(bound.trim_start_matches('=').trim()).ok().map(|ns| ns as f64)
    })
}

/// A chart whose axes hold everything in it; `None` without a point.
fn chart(
    title: &str,
    description: &str,
    x: impl Fn(&[f64]) -> Axis,
    y: impl Fn(&[f64]) -> Axis,
    mut series: Vec<Series>,
) -> Option<Chart> {
    series.retain(|series| match &series.shape {
        Shape::Line(points) | Shape::Step(points) => points.iter().any(|[_, y]| y.is_finite()),
        _ => true,
    });
    let drawn = |series: &Series| matches!(series.shape, Shape::Line(_) | Shape::Step(_) | Shape::Points(..));
    if !series.iter().any(drawn) {
        return None;
    }
    let (mut xs, mut ys) = (Vec::new(), Vec::new());
    for series in &series {
        match &series.shape {
            Shape::Line(points) | Shape::Step(points) => points.iter().for_each(|[x, y]| {
                xs.push(*x);
                ys.push(*y);
            }),
            Shape::Points(_, marks) => marks.iter().for_each(|mark| {
                xs.push(mark.x);
                ys.push(mark.y);
            }),
            Shape::Band(points) | Shape::Bars(points) => points.iter().for_each(|[x, low, high]| {
                xs.push(*x);
                ys.extend([low, high]);
            }),
            Shape::Level(y) => ys.push(*y),
            Shape::Upright(x) => xs.push(*x),
            Shape::Span(ends) => xs.extend(ends),
        }
    }
    Some(Chart {
        title: title.to_string(),
        description: description.to_string(),
        x: x(&xs),
        y: y(&ys),
        series,
    })
}

/// Time ends where the last step ends, not at a round number.
fn time(xs: &[f64]) -> Axis {
    let end = xs.iter().copied().filter(|x| x.is_finite()).fold(0.0, f64::max);
    let label = "time since the measured time began";
    Axis::between(label, Scale::Linear, Unit::Nanoseconds, [0.0, if end > 0.0 { end } else { 1e9 }])
}

/// With air above the highest, so that a level line does not lie on the frame.
fn counts(label: &str, ys: &[f64]) -> Axis {
    Axis::fit(label, Scale::Linear, Unit::Count, ys.iter().map(|y| y * 1.04))
}

/// A figure of each step, and the end of the last.
fn over(outcome: &Outcome, of: impl Fn(&Step) -> Option<f64>) -> Vec<[f64; 2]> {
    let mut points: Vec<[f64; 2]> =
        steps(outcome).map(|step| [step.from_ns as f64, of(step).unwrap_or(f64::NAN)]).collect();
    if let Some(step) = steps(outcome).last() {
        points.push([step.to_ns as f64, f64::NAN]);
    }
    points
}

fn steps(outcome: &Outcome) -> impl Iterator<Item = &Step> {
    outcome.series.iter().filter(|step| step.to_ns > step.from_ns)
}

fn seconds(step: &Step) -> f64 {
    (step.to_ns - step.from_ns) as f64 / 1e9
}

fn answered(step: &Step) -> f64 {
    step.completed as f64 / seconds(step)
}

/// Colour and dash of the `nth` measure of a run.
fn pen(runs: &[Run<'_>], run: usize, nth: usize) -> (Ink, Dash) {
    let dash = [Dash::Solid, Dash::Dashed, Dash::Dotted][nth % 3];
    (Ink::Colour(if runs.len() == 1 { nth } else { run }), dash)
}

fn line(runs: &[Run<'_>], run: usize, name: &str, (ink, dash): (Ink, Dash), shape: Shape) -> Series {
    let label = if runs.len() == 1 { name.to_string() } else { runs[run].label(name) };
    Series { label, ink, dash, shape }
}

//! The pictures of an experiment: effects with their intervals, every run in its order, ratios by quantile, and A/A beside A/B.
//!
//! Never invents a value: what was not measured has no mark. An arm has one colour on the whole page.

use super::{Experiment, Proof, ratios};
use crate::plot::{Axis, Chart, Dash, Glyph, Ink, Mark, Row, Rows, Scale, Series, Shape, Unit};
use crate::text::duration;

/// A picture, whichever way it is drawn.
pub(super) enum Picture {
    Chart(Chart),
    Rows(Rows),
}

impl Picture {
    pub(super) fn inline(&self) -> String {
        match self {
            Picture::Chart(chart) => chart.inline(),
            Picture::Rows(rows) => rows.inline(),
        }
    }
}

/// Of one experiment, in the order in which they are read.
pub(super) fn of(experiment: &Experiment) -> Vec<Picture> {
    let forest =
        Picture::Rows(forest("Effects and their intervals", experiment.margin_pct, effects(experiment)));
    let mut pictures = vec![forest, Picture::Rows(strip(experiment))];
    pictures.extend(run_order(experiment).map(Picture::Chart));
    pictures.extend(quantiles(experiment).map(Picture::Chart));
    pictures
}

/// The knobs of a profile and the whole of it, in one picture.
pub(super) fn knobs(proof: &Proof) -> Picture {
    let tried = proof.knobs.iter().filter(|knob| knob.effect_pct.is_some());
    let rows = tried.map(|knob| {
        row(&last_word(&knob.name), Ink::Colour(0), knob.effect_pct, knob.ci95_pct, knob.verdict.name())
    });
    let whole = &proof.whole;
    let last =
        row("the whole profile", Ink::Colour(1), whole.effect_pct, whole.ci95_pct, whole.verdict.name());
    let title = format!("{} of each knob", whole.metric);
    Picture::Rows(forest(&title, whole.margin_pct, rows.chain([last]).collect()))
}

/// Of a name, what tells it from its neighbours: `somaxconn`; of a pair, of both.
fn last_word(name: &str) -> String {
    let last = |name: &str| name.rsplit('.').next().unwrap_or(name).to_owned();
    name.split(" + ").map(last).collect::<Vec<_>>().join(" + ")
}

fn effects(experiment: &Experiment) -> Vec<Row> {
    let aa = &experiment.aa;
    let words = |effect: Option<f64>| effect.map_or("-".to_owned(), |effect| format!("{effect:+.2} %"));
    vec![
        row("B against A", B, experiment.effect_pct, experiment.ci95_pct, &words(experiment.effect_pct)),
        row("A' against A", AA, aa.effect_pct, aa.ci95_pct, &words(aa.effect_pct)),
    ]
}

fn row(label: &str, ink: Ink, dot: Option<f64>, bar: Option<[f64; 2]>, hint: &str) -> Row {
    Row { label: label.to_owned(), ink, rings: Vec::new(), dot, bar, hint: hint.to_owned() }
}

fn forest(title: &str, margin: f64, rows: Vec<Row>) -> Rows {
    let ends: Vec<f64> = rows.iter().flat_map(|row| row.bar.into_iter().flatten().chain(row.dot)).collect();
    Rows {
        title: title.to_owned(),
        description: "The effect as a dot, its repeated interval as a bar; what lies in the shaded area is within the margin."
            .to_owned(),
        x: around_zero(&ends, margin),
        span: Some([-margin, margin]),
        upright: Some(0.0),
        rows,
    }
}

/// Every block by itself: how far equal things lie apart, beside what is asked about.
fn strip(experiment: &Experiment) -> Rows {
    let of = |to: usize| -> Vec<f64> {
        let logs = ratios(&experiment.arms[0], &experiment.arms[to], &experiment.metric);
        logs.into_iter().map(super::percent).collect()
    };
    let line = |label: &str, ink: Ink, rings: Vec<f64>, dot: Option<f64>| {
        let hint = crate::text::plural(rings.len() as u64, "block");
        Row { label: label.to_owned(), ink, rings, dot, bar: None, hint }
    };
    let (aa, ab) = (of(1), of(2));
    let all: Vec<f64> = aa.iter().chain(&ab).copied().collect();
    Rows {
        title: "Block by block: A' and B against A".to_owned(),
        description: "One ring for each block, and the estimate over all of them as a dot.".to_owned(),
        x: around_zero(&all, experiment.margin_pct),
        span: Some([-experiment.margin_pct, experiment.margin_pct]),
        upright: Some(0.0),
        rows: vec![
            line("A' against A", AA, aa, experiment.aa.effect_pct),
            line("B against A", B, ab, experiment.effect_pct),
        ],
    }
}

/// `None` where no run has the metric.
fn run_order(experiment: &Experiment) -> Option<Chart> {
    let metric = &experiment.metric;
    let values: Vec<f64> = experiment.runs().filter_map(|run| run.figures.get(metric).copied()).collect();
    let y = near(metric, &values)?;
    let last = experiment.runs().map(|run| run.order).max()? as f64;
    let looks = [(A, Glyph::Dot), (AA, Glyph::Ring), (B, Glyph::Cross)];
    let mut series: Vec<Series> = Vec::new();
    for (arm, (ink, glyph)) in experiment.arms.iter().zip(looks) {
        let marks = |excluded: bool| -> Vec<Mark> {
            let runs = arm.runs.iter().filter(|run| run.excluded.is_some() == excluded);
            let mark = |run: &super::Run| {
                let value = *run.figures.get(metric)?;
                let hint =
                    format!("{}, run {} of block {}: {}", arm.name, run.order, run.block, y.say(value));
                Some(Mark { x: run.order as f64, y: value, hint })
            };
            runs.filter_map(mark).collect()
        };
        let points = |label: &str, ink, marks| Series {
            label: label.to_owned(),
            ink,
            dash: Dash::Solid,
            shape: Shape::Points(glyph, marks),
        };
        series.push(points(&arm.name, ink, marks(false)));
        let excluded = marks(true);
        if !excluded.is_empty() {
            series.push(points("excluded", Ink::Dim, excluded));
        }
    }
    Some(Chart {
        title: format!("{metric}, every run in its order"),
        description: "Each run as a mark; a drift or a step shows here, whichever arm it hit.".to_owned(),
        x: Axis::between("run", Scale::Linear, Unit::Count, [0.0, last + 1.0]),
        y,
        series,
    })
}

/// `None` where the runs have no latencies.
fn quantiles(experiment: &Experiment) -> Option<Chart> {
    let of = |(name, share): (&str, f64)| {
        let differences = ratios(&experiment.arms[0], &experiment.arms[2], name);
        let center = crate::paired::center(&differences)?.exp();
        let ends = crate::paired::center_ci95(&differences).map(|ends| ends.map(f64::exp));
        Some((share, center, ends))
    };
    let points: Vec<_> = QUANTILES.into_iter().filter_map(of).collect();
    if points.len() < 2 {
        return None;
    }
    let values = points.iter().flat_map(|(_, center, ends)| ends.iter().flatten().chain([center]));
    let [low, high] =
        values.fold([0.95f64, 1.05f64], |[low, high], value| [low.min(*value), high.max(*value)]);
    let line = |label: &str, ink, dash, shape| Series { label: label.to_owned(), ink, dash, shape };
    let bars = points.iter().filter_map(|(at, _, ends)| ends.map(|[low, high]| [*at, low, high]));
    Some(Chart {
        title: "Response time of B by that of A, by quantile".to_owned(),
        description: "The ratio at each quantile, with an interval of 95 % for each alone: exploratory."
            .to_owned(),
        x: Axis::fit("quantile", Scale::Percentile, Unit::Share, points.iter().map(|(at, ..)| *at)),
        y: Axis::between(
            "times that of A",
            Scale::Linear,
            Unit::Count,
            [(low * 20.0).floor() / 20.0, (high * 20.0).ceil() / 20.0],
        ),
        series: vec![
            line("no difference", Ink::Dim, Dash::Dashed, Shape::Level(1.0)),
            line(
                "B by A",
                B,
                Dash::Solid,
                Shape::Line(points.iter().map(|(at, center, _)| [*at, *center]).collect()),
            ),
            line("95 % of each alone", B, Dash::Solid, Shape::Bars(bars.collect())),
        ],
    })
}

/// An axis of percent that shows the margin on both sides, and all of `values`.
fn around_zero(values: &[f64], margin: f64) -> Axis {
    let least = margin * 1.5;
    let [low, high] =
        values.iter().fold([-least, least], |[low, high], value| [low.min(*value), high.max(*value)]);
    let air = (high - low) * 0.03;
    Axis::between("effect, %", Scale::Linear, Unit::Count, [low - air, high + air])
}

/// An axis that does not begin at 0: what differs by a percent would lie on one line there.
fn near(metric: &str, values: &[f64]) -> Option<Axis> {
    let finite = values.iter().copied().filter(|value| value.is_finite());
    let [low, high] =
        finite.fold([f64::INFINITY, f64::NEG_INFINITY], |[low, high], v| [low.min(v), high.max(v)]);
    let air = ((high - low) * 0.08).max(high.abs() * 0.01);
    let unit = if metric.contains("_ns") { Unit::Nanoseconds } else { Unit::Count };
    (low <= high && air > 0.0).then(|| Axis::between(metric, Scale::Linear, unit, [low - air, high + air]))
}

/// A value of a metric as people read it.
pub(super) fn say(metric: &str, value: f64) -> String {
    if metric.contains("_ns") {
        duration(value)
    } else {
        Axis::fit("", Scale::Linear, Unit::Count, [value]).say(value)
    }
}

const A: Ink = Ink::Colour(0);
const AA: Ink = Ink::Colour(2);
const B: Ink = Ink::Colour(1);

/// Figures of a run that are quantiles of the response time, with their shares.
const QUANTILES: [(&str, f64); 4] = [("p50_ns", 0.5), ("p90_ns", 0.9), ("p99_ns", 0.99), ("p99_9_ns", 0.999)];

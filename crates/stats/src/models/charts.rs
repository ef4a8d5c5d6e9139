//! Two pictures for each figure: what every round gave, and the ratio to the baseline with its interval.
//!
//! Never invents a value: what was not measured has no dot. A variant has one colour on the whole page.

use super::compare::TIE;
use super::{Figure, Models, figure, words};
use crate::plot::{Axis, Ink, Row, Rows, Scale, Unit};

/// The pictures of a figure: rounds, and ratios where there are any.
pub(super) fn of(models: &Models, figure: &Figure) -> Vec<Rows> {
    [Some(rounds(models, figure)), ratios(models, figure)].into_iter().flatten().collect()
}

fn rounds(models: &Models, figure: &Figure) -> Rows {
    let row = |(at, variant): (usize, &super::Variant)| Row {
        label: variant.name.clone(),
        ink: Ink::Colour(at),
        rings: figure.values(variant),
        dot: figure.median(variant),
        bar: None,
        hint: figure.text(figure.median(variant)),
    };
    let values: Vec<f64> = models.served().flat_map(|variant| figure.values(variant)).collect();
    Rows {
        title: capital(figure.name),
        description: format!("{} of every round as rings, and their median as a dot.", capital(figure.name)),
        x: axis(figure, &values),
        span: None,
        upright: None,
        rows: models.served().enumerate().map(row).collect(),
    }
}

fn ratios(models: &Models, figure: &Figure) -> Option<Rows> {
    let others = models.served().enumerate().filter(|(_, variant)| variant.name != models.baseline);
    let row = |(at, variant): (usize, &super::Variant)| {
        let comparison = models.comparison(&variant.name, figure)?;
        let dot = comparison.ratio?;
        Some(Row {
            label: variant.name.clone(),
            ink: Ink::Colour(at),
            rings: Vec::new(),
            dot: Some(dot),
            bar: comparison.ci95,
            hint: words::times(dot),
        })
    };
    let rows: Vec<Row> = others.filter_map(row).collect();
    let ends = rows.iter().flat_map(|row| row.bar.into_iter().flatten().chain(row.dot));
    let [low, high] = ends.fold([1.0 - LEAST, 1.0 + LEAST], |[low, high], end| [low.min(end), high.max(end)]);
    let label = format!("times that of {}", models.baseline);
    (!rows.is_empty()).then(|| Rows {
        title: format!("{}, against {}", capital(figure.name), models.baseline),
        description:
            "The ratio as a dot, its interval of 95 % as a bar; what lies in the shaded area is a tie."
                .to_owned(),
        x: match high / low.max(f64::MIN_POSITIVE) > WIDE {
            true => Axis::fit(&label, Scale::Log, Unit::Count, [low, high]),
            false => Axis::between(&label, Scale::Linear, Unit::Count, [floor(low), ceil(high)]),
        },
        span: Some([1.0 - TIE, 1.0 + TIE]),
        upright: Some(1.0),
        rows,
    })
}

/// From 0, unless the values are so far apart that the small ones would all lie there.
fn axis(figure: &Figure, values: &[f64]) -> Axis {
    let above = |value: &&f64| **value > 0.0;
    let least = values.iter().filter(above).fold(f64::INFINITY, |least, value| least.min(*value));
    let most = values.iter().fold(0.0, |most: f64, value| most.max(*value));
    let scale = if most > least * WIDE * 4.0 { Scale::Log } else { Scale::Linear };
    let (label, unit) = match figure.unit {
        figure::Unit::Nanoseconds => (figure.name, Unit::Nanoseconds),
        figure::Unit::PerSecond | figure::Unit::Count => (figure.name, Unit::Count),
        figure::Unit::Bytes => ("bytes", Unit::Count),
    };
    // With air beyond the largest, so that no ring lies on the end.
    Axis::fit(label, scale, unit, values.iter().map(|value| value * 1.02))
}

fn floor(value: f64) -> f64 {
    (value / STEP).floor() * STEP
}

fn ceil(value: f64) -> f64 {
    (value / STEP).ceil() * STEP
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or(String::new(), |first| first.to_uppercase().chain(letters).collect())
}

/// A scale of ratios shows at least so much on either side of 1: less would show noise as if it were something.
const LEAST: f64 = 0.1;
/// Ratios that are further apart have a logarithmic scale.
const WIDE: f64 = 5.0;
/// Where a scale of ratios may begin and end.
const STEP: f64 = 0.05;

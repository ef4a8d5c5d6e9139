//! A small chart with every shape, as it is drawn: `tests/golden/chart.svg`. `BLESS=1 cargo test` writes it anew, to be looked at.

use stats::plot::{Axis, Chart, Dash, Glyph, Ink, Mark, Scale, Series, Shape, Unit};

fn chart() -> Chart {
    let series = |label: &str, ink, dash, shape| Series { label: label.to_string(), ink, dash, shape };
    Chart {
        title: "Latency <over> time".to_string(),
        description: "A line & what belongs to it".to_string(),
        x: Axis::fit("time", Scale::Linear, Unit::Nanoseconds, [0.0, 4e9]),
        y: Axis::fit("latency", Scale::Log, Unit::Nanoseconds, [20e3, 9e6]),
        series: vec![
            series("between", Ink::Colour(7), Dash::Solid, Shape::Span([1.5e9, 2e9])),
            series("95 %", Ink::Colour(0), Dash::Solid, Shape::Band(vec![[0.0, 2e4, 4e4], [1e9, 3e4, 5e4]])),
            series(
                "p50",
                Ink::Colour(0),
                Dash::Solid,
                Shape::Line(vec![
                    [0.0, 3e4],
                    [1e9, 4e4],
                    [2e9, f64::NAN],
                    [3e9, 5e4],
                    [3e9, 5e4],
                    [4e9, 4e4],
                ]),
            ),
            series(
                "p99",
                Ink::Colour(1),
                Dash::Dashed,
                Shape::Step(vec![[0.0, 1e5], [2e9, 9e6], [4e9, 0.0]]),
            ),
            series("", Ink::Colour(1), Dash::Dotted, Shape::Bars(vec![[1e9, 8e4, 2e5]])),
            series(
                "errors",
                Ink::Colour(1),
                Dash::Solid,
                Shape::Points(Glyph::Cross, vec![Mark { x: 1e9, y: 1e5, hint: "3 <errors>".to_string() }]),
            ),
            series("promise", Ink::Dim, Dash::Dashed, Shape::Level(2e6)),
            series("knee", Ink::Dim, Dash::Dotted, Shape::Upright(1.75e9)),
        ],
    }
}

#[test]
fn a_chart_is_drawn_as_it_was_looked_at() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/chart.svg");
    let drawn = chart().svg();
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(path, &drawn).unwrap();
    }
    assert!(drawn == std::fs::read_to_string(path).unwrap(), "the chart changed:\n{drawn}");
}

#[test]
fn what_is_not_finite_is_not_drawn_and_a_line_breaks_there() {
    let mut chart = chart();
    chart.series.push(Series {
        label: String::new(),
        ink: Ink::Dim,
        dash: Dash::Solid,
        shape: Shape::Line(vec![[f64::NAN, 1.0], [1e9, f64::INFINITY]]),
    });
    let drawn = chart.svg();
    assert!(!drawn.contains("NaN") && !drawn.contains("inf"), "{drawn}");
    let line = drawn
        .lines()
        .find(|line| line.starts_with("<path class=\"line\" d=\"M") && line.contains('L'))
        .unwrap();
    assert_eq!(line.matches('M').count(), 2, "one begin before the gap and one behind it: {line}");
}

#[test]
fn one_legend_entry_stands_for_all_series_of_its_name() {
    let mut chart = chart();
    chart.series.push(chart.series[2].clone());
    assert_eq!(chart.svg().matches(">p50</text>").count(), 1);
}

#[test]
fn what_is_written_below_or_beside_an_axis_does_not_overlap() {
    for (from, to) in [(0.0, 0.9), (0.0, 0.999_999_999)] {
        let mut chart = chart();
        chart.x = Axis::between("share", Scale::Percentile, Unit::Share, [from, to]);
        let drawn = chart.svg();
        let mut places: Vec<(f64, f64)> = drawn
            .lines()
            .filter(|line| line.contains("text-anchor=\"middle\"") && line.contains(" %<"))
            .map(|line| {
                let x: f64 = line.split(" x=\"").nth(1).unwrap().split('"').next().unwrap().parse().unwrap();
                let name = line.split('>').nth(1).unwrap().split('<').next().unwrap();
                (x, name.chars().count() as f64 * 6.5 / 2.0)
            })
            .collect();
        places.sort_by(|a, b| a.0.total_cmp(&b.0));
        assert!(places.len() >= 2);
        assert!(places.windows(2).all(|pair| pair[0].0 + pair[0].1 < pair[1].0 - pair[1].1), "{places:?}");
    }
}

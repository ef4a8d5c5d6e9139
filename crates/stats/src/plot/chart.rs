//! A chart: two axes, series between them, a legend above them; drawn as SVG.
//!
//! Never measures text (there is no font here): the legend is laid out by widths that are too large rather than too small. Never
//! changes what it shows: a line has every point that was given, but for those that fall on the same tenth of a unit.

use super::axis::Axis;
use super::ruler::{below, place};
use super::style::{COLOURS, STYLE};
use super::text::{coordinate, escape, shortened, width};
use std::fmt::Write;

/// A chart of fixed width; its height grows with its legend.
#[derive(Clone, Debug, PartialEq)]
pub struct Chart {
    /// What is shown; stands above the chart and is its name for who cannot see it.
    pub title: String,
    /// What there is to see, for who cannot see it.
    pub description: String,
    /// From left to right.
    pub x: Axis,
    /// From bottom to top.
    pub y: Axis,
    /// Later ones are drawn over earlier ones.
    pub series: Vec<Series>,
}

/// One thing that is shown.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// Its name in the legend; those of one name share the entry of the first. Empty: no entry.
    pub label: String,
    /// Its colour.
    pub ink: Ink,
    /// Of its lines.
    pub dash: Dash,
    /// How it is drawn.
    pub shape: Shape,
}

/// A colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ink {
    /// One of six, which begin again after the last.
    Colour(usize),
    /// That of axes: for what was promised or asked for rather than measured.
    Dim,
}

/// How a line is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are what they are")]
pub enum Dash {
    Solid,
    Dashed,
    Dotted,
}

/// What is drawn. A point that is not finite breaks a line and is left out elsewhere.
#[derive(Clone, Debug, PartialEq)]
pub enum Shape {
    /// `[x, y]` joined by straight lines.
    Line(Vec<[f64; 2]>),
    /// `[x, y]`: y holds from this x to the next; the last says only where the one before it ends.
    Step(Vec<[f64; 2]>),
    /// Single ones.
    Points(Glyph, Vec<Mark>),
    /// `[x, low, high]`: the area between, as of confidence intervals.
    Band(Vec<[f64; 3]>),
    /// `[x, low, high]`: an upright bar with ends at each x.
    Bars(Vec<[f64; 3]>),
    /// A line across at this y.
    Level(f64),
    /// An upright line at this x.
    Upright(f64),
    /// The area from one x to another, over the whole height.
    Span([f64; 2]),
}

/// How a single point looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are what they are")]
pub enum Glyph {
    Dot,
    Ring,
    Cross,
}

/// A single point.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "the place")]
pub struct Mark {
    pub x: f64,
    pub y: f64,
    /// What is told of it when one points at it.
    pub hint: String,
}

impl Chart {
    /// A file of its own.
    pub fn svg(&self) -> String {
        format!("{}\n", self.draw(&format!("<style>{STYLE}</style>\n")))
    }

    /// A part of a page, which has [`STYLE`] somewhere.
    pub fn inline(&self) -> String {
        self.draw("")
    }

    fn draw(&self, style: &str) -> String {
        let (legend, legend_height) = self.legend();
        let frame = Frame::around(self, TITLE + legend_height);
        let height = frame.bottom + BELOW;
        let (title, description) = (escape(&self.title), escape(&self.description));
        let mut out = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"plot\" viewBox=\"0 0 {WIDTH} {0}\" width=\"{WIDTH}\" height=\"{0}\" \
             role=\"img\" aria-label=\"{title}\">\n<title>{title}</title>\n<desc>{description}</desc>\n{style}\
             <rect class=\"paper\" width=\"{WIDTH}\" height=\"{0}\"/>\n<text class=\"title\" x=\"8\" y=\"18\">{1}</text>\n",
            coordinate(height),
            escape(&shortened(&self.title, 62)),
        );
        out.push_str(&legend);
        frame.draw_axes(&mut out);
        for series in &self.series {
            let _ = writeln!(out, "<g class=\"{}\">", series.ink.class());
            frame.draw(&mut out, series);
            out.push_str("</g>\n");
        }
        out.push_str("</svg>");
        out
    }

    /// The entries, in rows, and their height.
    fn legend(&self) -> (String, f64) {
        let (mut out, mut x, mut row) = (String::new(), 8.0, 0.0);
        let mut seen: Vec<&str> = Vec::new();
        for series in self.series.iter().filter(|series| !series.label.is_empty()) {
            if seen.contains(&series.label.as_str()) {
                continue;
            }
            seen.push(&series.label);
            let label = shortened(&series.label, 60);
            let entry = SWATCH + 6.0 + width(&label) + 14.0;
            if x + entry > WIDTH && x > 8.0 {
                (x, row) = (8.0, row + ROW);
            }
            let y = TITLE + row + 9.0;
            let _ = writeln!(
                out,
                "<g class=\"{}\">{}<text x=\"{}\" y=\"{}\">{}</text></g>",
                series.ink.class(),
                swatch(series, x, y),
                coordinate(x + SWATCH + 6.0),
                coordinate(y + 4.0),
                escape(&label)
            );
            x += entry;
        }
        (out, if seen.is_empty() { 0.0 } else { row + ROW })
    }
}

/// Where the axes lie.
struct Frame<'a> {
    chart: &'a Chart,
    left: f64,
    right: f64,
    top: f64,
    bottom: f64,
}

impl Frame<'_> {
    fn around(chart: &Chart, above: f64) -> Frame<'_> {
        let longest = chart.y.ticks(Y_NAMES).iter().map(|tick| width(&tick.label)).fold(0.0, f64::max);
        // The name of the y axis stands above it, where it can be read without turning the head.
        let top = above + if chart.y.label.is_empty() { 8.0 } else { 30.0 };
        Frame { chart, left: longest + 16.0, right: WIDTH - 22.0, top, bottom: top + PLOT }
    }

    fn x(&self, value: f64) -> f64 {
        place(&self.chart.x, value, [self.left, self.right])
    }

    fn y(&self, value: f64) -> f64 {
        self.bottom - self.chart.y.position(value) * (self.bottom - self.top)
    }

    fn draw_axes(&self, out: &mut String) {
        let Frame { chart, left, right, top, bottom } = *self;
        let [l, r, t, b] = [left, right, top, bottom].map(coordinate);
        let _ = writeln!(
            out,
            "<text class=\"name\" x=\"8\" y=\"{}\">{}</text>",
            coordinate(top - 14.0),
            escape(&chart.y.label)
        );
        for tick in chart.y.ticks(Y_NAMES) {
            let y = coordinate(self.y(tick.value));
            let class = if tick.minor { "faint" } else { "grid" };
            let _ = writeln!(out, "<path class=\"{class}\" d=\"M{l},{y}H{r}\"/>");
            if !tick.label.is_empty() {
                let (x, y) = (coordinate(left - 6.0), coordinate(self.y(tick.value) + 4.0));
                let _ = writeln!(
                    out,
                    "<text text-anchor=\"end\" x=\"{x}\" y=\"{y}\">{}</text>",
                    escape(&tick.label)
                );
            }
        }
        below(out, &chart.x, [left, right], [top, bottom]);
        let _ = writeln!(out, "<path class=\"frame\" d=\"M{l},{t}V{b}H{r}\"/>");
    }

    fn draw(&self, out: &mut String, series: &Series) {
        let Frame { left, right, top, bottom, .. } = *self;
        let dash = series.dash.attribute();
        let line = |d: &str| format!("<path class=\"line\"{dash} d=\"{d}\"/>\n");
        match &series.shape {
            Shape::Line(points) => {
                out.push_str(&line(&self.path(points)));
                self.draw_hints(out, series, points);
            }
            Shape::Step(points) => {
                let corners: Vec<[f64; 2]> =
                    points.windows(2).flat_map(|pair| [pair[0], [pair[1][0], pair[0][1]]]).collect();
                out.push_str(&line(&self.path(&corners)));
                self.draw_hints(out, series, &points[..points.len().saturating_sub(1)]);
            }
            Shape::Points(glyph, marks) => {
                for mark in marks.iter().filter(|mark| mark.x.is_finite() && mark.y.is_finite()) {
                    let hint = escape(&mark.hint);
                    let drawn = glyph.at(self.x(mark.x), self.y(mark.y));
                    let _ = writeln!(out, "<g>{drawn}<title>{hint}</title></g>");
                }
            }
            Shape::Band(points) => {
                let points: Vec<_> =
                    points.iter().filter(|point| point.iter().all(|v| v.is_finite())).collect();
                let low = points.iter().map(|[x, low, _]| [*x, *low]);
                let high = points.iter().rev().map(|[x, _, high]| [*x, *high]);
                let outline: Vec<[f64; 2]> = low.chain(high).collect();
                let _ = writeln!(out, "<path class=\"area\" d=\"{}Z\"/>", self.path(&outline));
            }
            Shape::Bars(points) => {
                for [x, low, high] in points.iter().filter(|point| point.iter().all(|v| v.is_finite())) {
                    let (x, low, high) = (self.x(*x), self.y(*low), self.y(*high));
                    let [w, e, low, high] = [x - 4.0, x + 4.0, low, high].map(coordinate);
                    let x = coordinate(x);
                    out.push_str(&line(&format!("M{w},{low}H{e}M{x},{low}V{high}M{w},{high}H{e}")));
                }
            }
            Shape::Level(y) => {
                let [y, left, right] = [self.y(*y), left, right].map(coordinate);
                out.push_str(&line(&format!("M{left},{y}H{right}")));
            }
            Shape::Upright(x) => {
                let [x, top, bottom] = [self.x(*x), top, bottom].map(coordinate);
                out.push_str(&line(&format!("M{x},{top}V{bottom}")));
            }
            Shape::Span([from, to]) => {
                let [from, to, top, bottom] = [self.x(*from), self.x(*to), top, bottom].map(coordinate);
                let _ = writeln!(out, "<path class=\"area\" d=\"M{from},{top}H{to}V{bottom}H{from}Z\"/>");
            }
        }
    }

    /// Straight lines from point to point, broken where one is not finite.
    fn path(&self, points: &[[f64; 2]]) -> String {
        let (mut path, mut last, mut pen_down) = (String::new(), None, false);
        for point in points {
            if !point.iter().all(|value| value.is_finite()) {
                (pen_down, last) = (false, None);
                continue;
            }
            let place = (coordinate(self.x(point[0])), coordinate(self.y(point[1])));
            if last.as_ref() != Some(&place) {
                let _ = write!(path, "{}{},{}", if pen_down { 'L' } else { 'M' }, place.0, place.1);
            }
            (pen_down, last) = (true, Some(place));
        }
        path
    }

    /// What the points of a line are, for who points at them; of a line of many points this would cost more than the line.
    fn draw_hints(&self, out: &mut String, series: &Series, points: &[[f64; 2]]) {
        if points.len() > HINTS {
            return;
        }
        for [x, y] in points.iter().filter(|point| point.iter().all(|value| value.is_finite())) {
            let hint = format!("{}: {} at {}", series.label, self.chart.y.say(*y), self.chart.x.say(*x));
            let [left, top] = [self.x(*x), self.y(*y)].map(coordinate);
            let hint = escape(&hint);
            let _ = writeln!(
                out,
                "<circle class=\"hit\" cx=\"{left}\" cy=\"{top}\" r=\"5\"><title>{hint}</title></circle>"
            );
        }
    }
}

impl Ink {
    pub(super) fn class(self) -> String {
        match self {
            Ink::Colour(index) => format!("i{}", index % COLOURS),
            Ink::Dim => "dim".to_string(),
        }
    }
}

impl Dash {
    fn attribute(self) -> &'static str {
        match self {
            Dash::Solid => "",
            Dash::Dashed => " stroke-dasharray=\"7 4\"",
            Dash::Dotted => " stroke-dasharray=\"2 3\"",
        }
    }
}

impl Glyph {
    fn at(self, x: f64, y: f64) -> String {
        let [left, right, top, bottom] = [x - 3.5, x + 3.5, y - 3.5, y + 3.5].map(coordinate);
        let (x, y) = (coordinate(x), coordinate(y));
        match self {
            Glyph::Dot => format!("<circle class=\"full\" cx=\"{x}\" cy=\"{y}\" r=\"3.5\"/>"),
            Glyph::Ring => format!("<circle class=\"open\" cx=\"{x}\" cy=\"{y}\" r=\"3.5\"/>"),
            Glyph::Cross => {
                format!(
                    "<path class=\"line\" d=\"M{left},{top}L{right},{bottom}M{left},{bottom}L{right},{top}\"/>"
                )
            }
        }
    }
}

/// The sample of a series beside its name.
fn swatch(series: &Series, x: f64, y: f64) -> String {
    let [left, right, top, bottom] = [x, x + SWATCH, y - 6.0, y + 6.0].map(coordinate);
    let (middle, dash) = (coordinate(y), series.dash.attribute());
    match &series.shape {
        Shape::Line(_) | Shape::Step(_) | Shape::Level(_) => {
            format!("<path class=\"line\"{dash} d=\"M{left},{middle}H{right}\"/>")
        }
        Shape::Upright(_) | Shape::Bars(_) => {
            let centre = coordinate(x + SWATCH / 2.0);
            format!("<path class=\"line\"{dash} d=\"M{centre},{top}V{bottom}\"/>")
        }
        Shape::Band(_) | Shape::Span(_) => {
            format!("<path class=\"area\" d=\"M{left},{top}H{right}V{bottom}H{left}Z\"/>")
        }
        Shape::Points(glyph, _) => glyph.at(x + SWATCH / 2.0, y),
    }
}

/// Units of the drawing. At this width, text of 12 can still be read when a telephone makes the picture smaller.
pub(super) const WIDTH: f64 = 520.0;
pub(super) const TITLE: f64 = 28.0;
const ROW: f64 = 19.0;
const SWATCH: f64 = 24.0;
const PLOT: f64 = 230.0;
pub(super) const BELOW: f64 = 44.0;
/// Names there is room for beside.
const Y_NAMES: usize = 8;
/// Points of a line that have a hint each, at most.
const HINTS: usize = 150;

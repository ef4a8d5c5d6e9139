//! Rows of dots and intervals: one row for each thing that is compared, named at its left, over one axis.
//!
//! For what has names and no order of its own, where a chart would need a second axis of numbers. Never sorts: rows stand as they are
//! given, from top to bottom.

use super::Ink;
use super::axis::Axis;
use super::chart::{BELOW, TITLE, WIDTH};
use super::ruler::{below, place};
use super::style::STYLE;
use super::text::{coordinate, escape, shortened, width};
use std::fmt::Write;

/// A picture of rows; its height grows with them.
#[derive(Clone, Debug, PartialEq)]
pub struct Rows {
    /// What is shown; stands above and is its name for who cannot see it.
    pub title: String,
    /// What there is to see, for who cannot see it.
    pub description: String,
    /// From left to right.
    pub x: Axis,
    /// Values that count as the same as that of the line: a shaded area.
    pub span: Option<[f64; 2]>,
    /// A line that all are held against.
    pub upright: Option<f64>,
    /// From top to bottom.
    pub rows: Vec<Row>,
}

/// One thing. What is not finite is left out.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Its name; cut where it is longer than there is room for.
    pub label: String,
    /// Its colour.
    pub ink: Ink,
    /// Single values, as rings.
    pub rings: Vec<f64>,
    /// What stands for all of them, as a dot.
    pub dot: Option<f64>,
    /// A bar with ends, as of a confidence interval.
    pub bar: Option<[f64; 2]>,
    /// What is told of the row when one points at it, and written at its right end.
    pub hint: String,
}

impl Rows {
    /// A file of its own.
    pub fn svg(&self) -> String {
        format!("{}\n", self.draw(&format!("<style>{STYLE}</style>\n")))
    }

    /// A part of a page, which has [`STYLE`] somewhere.
    pub fn inline(&self) -> String {
        self.draw("")
    }

    fn draw(&self, style: &str) -> String {
        let widest = |texts: &mut dyn Iterator<Item = f64>| texts.fold(0.0, f64::max);
        let left = widest(&mut self.rows.iter().map(|row| width(&name(row)))) + 18.0;
        let right = WIDTH - widest(&mut self.rows.iter().map(|row| width(&row.hint))).max(12.0) - 14.0;
        let (top, bottom) = (TITLE + 8.0, TITLE + 8.0 + self.rows.len().max(1) as f64 * ROW);
        let height = coordinate(bottom + BELOW);
        let (title, description) = (escape(&self.title), escape(&self.description));
        let mut out = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"plot\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" \
             height=\"{height}\" role=\"img\" aria-label=\"{title}\">\n<title>{title}</title>\n<desc>{description}</desc>\n{style}\
             <rect class=\"paper\" width=\"{WIDTH}\" height=\"{height}\"/>\n<text class=\"title\" x=\"8\" y=\"18\">{}</text>\n",
            escape(&shortened(&self.title, 62)),
        );
        let x = |value: f64| coordinate(place(&self.x, value, [left, right]));
        let [t, b] = [top, bottom].map(coordinate);
        if let Some([from, to]) = self.span {
            let (from, to) = (x(from), x(to));
            let _ = writeln!(
                out,
                "<g class=\"dim\"><path class=\"area\" d=\"M{from},{t}H{to}V{b}H{from}Z\"/></g>"
            );
        }
        below(&mut out, &self.x, [left, right], [top, bottom]);
        if let Some(at) = self.upright {
            let at = x(at);
            let _ = writeln!(out, "<g class=\"dim\"><path class=\"line\" d=\"M{at},{t}V{b}\"/></g>");
        }
        let (l, r) = (coordinate(left), coordinate(right));
        let _ = writeln!(out, "<path class=\"frame\" d=\"M{l},{t}V{b}H{r}\"/>");
        for (at, row) in self.rows.iter().enumerate() {
            row.draw(&mut out, top + (at as f64 + 0.5) * ROW, [left, right], &x);
        }
        out.push_str("</svg>");
        out
    }
}

impl Row {
    fn draw(&self, out: &mut String, y: f64, [left, right]: [f64; 2], x: &dyn Fn(f64) -> String) {
        let (middle, text) = (coordinate(y), coordinate(y + 4.0));
        let (label, hint) = (escape(&name(self)), escape(&self.hint));
        let _ = writeln!(
            out,
            "<text text-anchor=\"end\" x=\"{}\" y=\"{text}\">{label}</text>\n\
             <text class=\"name\" x=\"{}\" y=\"{text}\">{hint}</text>",
            coordinate(left - 8.0),
            coordinate(right + 8.0)
        );
        let _ =
            writeln!(out, "<g class=\"{}\"><title>{}: {hint}</title>", self.ink.class(), escape(&self.label));
        for value in self.rings.iter().filter(|value| value.is_finite()) {
            let _ = writeln!(out, "<circle class=\"open\" cx=\"{}\" cy=\"{middle}\" r=\"3\"/>", x(*value));
        }
        if let Some([low, high]) = self.bar.filter(|ends| ends.iter().all(|end| end.is_finite())) {
            let ([low, high], [up, down]) = ([low, high].map(x), [y - 4.0, y + 4.0].map(coordinate));
            let _ = writeln!(
                out,
                "<path class=\"line\" d=\"M{low},{up}V{down}M{low},{middle}H{high}M{high},{up}V{down}\"/>"
            );
        }
        if let Some(value) = self.dot.filter(|value| value.is_finite()) {
            let _ = writeln!(out, "<circle class=\"full\" cx=\"{}\" cy=\"{middle}\" r=\"4\"/>", x(value));
        }
        out.push_str("</g>\n");
    }
}

fn name(row: &Row) -> String {
    shortened(&row.label, NAME)
}

/// Height of a row.
const ROW: f64 = 22.0;
/// Letters of a name, so that more than half of the width is left for what is shown.
const NAME: usize = 22;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plot::{Scale, Unit};

    fn rows() -> Rows {
        let row = |label: &str, dot: f64| Row {
            label: label.to_owned(),
            ink: Ink::Colour(0),
            rings: vec![dot - 0.1, f64::NAN],
            dot: Some(dot),
            bar: Some([dot - 0.05, dot + 0.05]),
            hint: format!("{dot} <times>"),
        };
        Rows {
            title: "A & B".to_owned(),
            description: "both".to_owned(),
            x: Axis::between("ratio", Scale::Linear, Unit::Count, [0.5, 1.5]),
            span: Some([0.97, 1.03]),
            upright: Some(1.0),
            rows: vec![row("a", 1.0), row("a name that is longer than there is room for", 1.25)],
        }
    }

    #[test]
    fn rows_stand_in_their_order_with_their_names_and_without_what_is_not_finite() {
        let drawn = rows().svg();
        let at = |part: &str| drawn.find(part).unwrap_or_else(|| panic!("{part} is missing: {drawn}"));
        assert!(at(">a</text>") < at(">a name that is longer…</text>"));
        assert!(drawn.contains("1 &lt;times&gt;") && drawn.contains("A &amp; B"));
        assert_eq!(
            (drawn.matches("class=\"open\"").count(), drawn.matches("class=\"full\"").count()),
            (2, 2)
        );
        assert!(!drawn.contains("NaN") && !drawn.contains("<times>"), "{drawn}");
    }

    #[test]
    fn no_two_rows_touch_and_a_picture_without_rows_has_a_frame() {
        let drawn = rows().inline();
        let middle: Vec<f64> = drawn
            .split("class=\"full\" cx=\"")
            .skip(1)
            .map(|rest| {
                rest.split("cy=\"").nth(1).and_then(|y| y.split('"').next()).expect("it has a height")
            })
            .map(|y| y.parse().expect("a number"))
            .collect();
        assert_eq!(middle[1] - middle[0], ROW);
        assert!(Rows { rows: Vec::new(), ..rows() }.inline().contains("class=\"frame\""));
    }
}

//! A plot with a line for each contender: a dot at the median of the rounds, a bar from lowest to highest, SVG without a script.
//!
//! Never measures text: names are laid out by widths that are too large rather than too small. Axis, colours and escapes are those of
//! `stats::plot`.

use std::fmt::Write;

use stats::plot::{Axis, escape};

use crate::figures::Range;

/// One contender.
pub struct Dot {
    pub name: String,
    pub range: Range,
    pub rank: Rank,
}

/// Whose dot it is, and so its colour and its shape.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Rank {
    Ours,
    Peer,
    Floor,
}

impl Rank {
    fn class(self) -> &'static str {
        match self {
            Self::Ours => "i1",
            Self::Peer => "i0",
            Self::Floor => "dim",
        }
    }
}

/// The plot, in the order of `dots` from the top.
pub fn plot(title: &str, axis: &Axis, dots: &[Dot]) -> String {
    let bottom = TOP + ROW * dots.len() as f64;
    let height = bottom + BELOW;
    let (label, name) = (escape(&axis.label), escape(title));
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"plot\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" \
         height=\"{height}\" role=\"img\" aria-label=\"{name}\">\n<title>{name}</title>\n\
         <rect class=\"paper\" width=\"{WIDTH}\" height=\"{height}\"/>\n<text class=\"title\" x=\"8\" y=\"18\">{name}</text>\n"
    );
    draw_axis(&mut out, axis, bottom);
    let _ = writeln!(
        out,
        "<text class=\"name\" text-anchor=\"middle\" x=\"{}\" y=\"{}\">{label}</text>",
        (LEFT + RIGHT) / 2.0,
        bottom + 36.0
    );
    for (row, dot) in dots.iter().enumerate() {
        draw_dot(&mut out, axis, dot, TOP + ROW * (row as f64 + 0.5));
    }
    out.push_str("</svg>");
    out
}

fn draw_axis(out: &mut String, axis: &Axis, bottom: f64) {
    let mut taken = f64::NEG_INFINITY;
    for tick in axis.ticks(TICKS) {
        let x = place(axis, tick.value);
        let class = if tick.minor { "faint" } else { "grid" };
        let _ = writeln!(out, "<path class=\"{class}\" d=\"M{x:.1},{TOP}V{bottom}\"/>");
        let half = tick.label.chars().count() as f64 * 3.5 + 3.0;
        // A name stands only where the one before it leaves it air.
        if !tick.label.is_empty() && x - half > taken && x + half < WIDTH {
            taken = x + half;
            let y = bottom + 17.0;
            let _ = writeln!(
                out,
                "<text text-anchor=\"middle\" x=\"{x:.1}\" y=\"{y}\">{}</text>",
                escape(&tick.label)
            );
        }
    }
    let _ = writeln!(out, "<path class=\"frame\" d=\"M{LEFT},{TOP}V{bottom}H{RIGHT}\"/>");
}

fn draw_dot(out: &mut String, axis: &Axis, dot: &Dot, y: f64) {
    let Range { low, median, high } = dot.range;
    let [from, at, to] = [low, median, high].map(|value| place(axis, value));
    let name = escape(&dot.name);
    let base = y + 4.0;
    let hint =
        escape(&format!("{}: {} ({} .. {})", dot.name, axis.say(median), axis.say(low), axis.say(high)));
    let mark = match dot.rank {
        Rank::Floor => format!("<circle class=\"open\" cx=\"{at:.1}\" cy=\"{y:.1}\" r=\"4\"/>"),
        _ => format!("<circle class=\"full\" cx=\"{at:.1}\" cy=\"{y:.1}\" r=\"4.5\"/>"),
    };
    let weight = if dot.rank == Rank::Ours { " font-weight=\"700\"" } else { "" };
    let _ = writeln!(
        out,
        "<text text-anchor=\"end\" x=\"{}\" y=\"{base:.1}\"{weight}>{name}</text>\n\
         <g class=\"{}\"><path class=\"line\" d=\"M{from:.1},{y:.1}H{to:.1}\"/>{mark}<title>{hint}</title></g>\n\
         <text class=\"name\" x=\"{}\" y=\"{base:.1}\">{}</text>",
        LEFT - 8.0,
        dot.rank.class(),
        RIGHT + 10.0,
        escape(&axis.say(median)),
    );
}

fn place(axis: &Axis, value: f64) -> f64 {
    LEFT + axis.position(value) * (RIGHT - LEFT)
}

/// Units of the drawing; the figure at the right of a line stands behind the plot, where no bar can reach it.
const WIDTH: f64 = 520.0;
const LEFT: f64 = 118.0;
const RIGHT: f64 = 436.0;
const TOP: f64 = 30.0;
const ROW: f64 = 19.0;
const BELOW: f64 = 44.0;
/// Names there is room for below.
const TICKS: usize = 6;

#[cfg(test)]
mod tests {
    use super::*;
    use stats::plot::{Scale, Unit};

    #[test]
    fn a_name_is_escaped_and_every_dot_has_its_line() {
        let dot = |name: &str, median: f64| {
            let range = Range { low: median * 0.9, median, high: median * 1.1 };
            Dot { name: name.to_string(), range, rank: Rank::Peer }
        };
        let dots = [dot("a<b", 10.0), dot("c", 20.0)];
        let axis = Axis::fit("messages/s", Scale::Linear, Unit::Count, [0.0, 22.0]);
        let drawn = plot("t", &axis, &dots);
        assert!(drawn.contains("a&lt;b") && !drawn.contains("a<b"));
        assert_eq!(drawn.matches("<circle").count(), dots.len());
    }
}

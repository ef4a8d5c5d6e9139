//! The axis below a picture: lines up from its ticks, their names, and what it shows.
//!
//! Never measures text: a name that would touch another by its estimated width is left out.

use super::axis::Axis;
use super::chart::WIDTH;
use super::text::{coordinate, escape, width};
use std::fmt::Write;

/// Where a value lies between `left` and `right`.
pub(super) fn place(axis: &Axis, value: f64, [left, right]: [f64; 2]) -> f64 {
    left + axis.position(value) * (right - left)
}

/// Draws it below a frame.
pub(super) fn below(out: &mut String, axis: &Axis, [left, right]: [f64; 2], [top, bottom]: [f64; 2]) {
    let [t, b] = [top, bottom].map(coordinate);
    let ticks = axis.ticks(NAMES);
    for tick in &ticks {
        let x = coordinate(place(axis, tick.value, [left, right]));
        let class = if tick.minor { "faint" } else { "grid" };
        let _ = writeln!(out, "<path class=\"{class}\" d=\"M{x},{t}V{b}\"/>");
    }
    // Names that matter most come first; another stands only where it leaves them air.
    let mut taken: Vec<[f64; 2]> = Vec::new();
    let (major, minor): (Vec<_>, Vec<_>) = ticks.iter().partition(|tick| !tick.minor);
    for tick in major.into_iter().chain(minor).filter(|tick| !tick.label.is_empty()) {
        let (x, half) = (place(axis, tick.value, [left, right]), width(&tick.label) / 2.0 + 3.0);
        let x = x.min(WIDTH - half);
        if taken.iter().any(|[from, to]| x - half < *to && *from < x + half) {
            continue;
        }
        taken.push([x - half, x + half]);
        let (x, y) = (coordinate(x), coordinate(bottom + 17.0));
        let label = escape(&tick.label);
        let _ = writeln!(out, "<text text-anchor=\"middle\" x=\"{x}\" y=\"{y}\">{label}</text>");
    }
    let (x, y) = (coordinate((left + right) / 2.0), coordinate(bottom + 35.0));
    let label = escape(&axis.label);
    let _ = writeln!(out, "<text class=\"name\" text-anchor=\"middle\" x=\"{x}\" y=\"{y}\">{label}</text>");
}

/// Names there is room for.
const NAMES: usize = 7;

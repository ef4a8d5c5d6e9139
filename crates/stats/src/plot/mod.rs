//! Pictures: a chart, or rows of dots, as SVG text that any browser shows, on paper and on a screen, in the light and in the dark.
//!
//! No script, no font, no address: a picture needs nothing but itself. The same chart gives the same bytes. Colours are told apart by
//! people who see few of them, and no two series of a chart differ by colour alone where a dash or a glyph can say it too.

mod axis;
mod chart;
mod rows;
mod ruler;
mod style;
mod text;

pub use axis::{Axis, Scale, Tick, Unit};
pub use chart::{Chart, Dash, Glyph, Ink, Mark, Series, Shape};
pub use rows::{Row, Rows};
pub use style::STYLE;
pub use text::escape;

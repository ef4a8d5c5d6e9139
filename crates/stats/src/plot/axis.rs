//! An axis: where a value lies on it, and which values have a line and a name.
//!
//! Never draws. Positions are shares of its length, 0 to 1; the chart turns them into coordinates.

use super::text::trimmed;

/// How values are spread over the length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// Equal differences are equally long.
    Linear,
    /// Equal ratios are equally long. What is not above 0 lies at the begin.
    Log,
    /// Shares `q` from 0 to below 1, by `log10(1 / (1 - q))`: 90 %, 99 %, 99.9 % are equally far apart, as in HdrHistogram's plots.
    Percentile,
}

/// What the values are, for the names of ticks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Nanoseconds, named in the unit that suits: `10 us`, `1.5 s`.
    Nanoseconds,
    /// A number, or a number a second (the axis' label says of what): `200k`.
    Count,
    /// A share of 1, named in percent.
    Share,
}

/// One direction of a chart.
#[derive(Clone, Debug, PartialEq)]
pub struct Axis {
    /// What it shows, in words; units that ticks do not name stand here (`requests/s`).
    pub label: String,
    /// How values are spread.
    pub scale: Scale,
    /// What they are.
    pub unit: Unit,
    /// First and last value; the first is below the last. See [`Axis::fit`].
    pub range: [f64; 2],
}

/// A value with a line across the chart.
#[derive(Clone, Debug, PartialEq)]
pub struct Tick {
    /// Where.
    pub value: f64,
    /// Its name; empty for a line that only helps the eye.
    pub label: String,
    /// Named only where its neighbours leave room.
    pub minor: bool,
}

impl Axis {
    /// An axis whose range holds `values` (those within 1e300) and ends at round numbers. A linear one begins at 0 unless a value
    /// is below it; a logarithmic one is at least a decade long and holds what is above 0; a percentile one begins at 0 and ends at
    /// the highest share that is below 1.
    pub fn fit(label: &str, scale: Scale, unit: Unit, values: impl IntoIterator<Item = f64>) -> Axis {
        // Beyond these, arithmetic with ranges leaves what a number can hold.
        let lowest = if scale == Scale::Log { 1e-300 } else { -1e300 };
        let highest = if scale == Scale::Percentile { 1.0 - 1e-12 } else { 1e300 };
        let [low, high] = values
            .into_iter()
            .filter(|value| (lowest..=highest).contains(value))
            .fold([f64::INFINITY, f64::NEG_INFINITY], |[low, high], value| [low.min(value), high.max(value)]);
        let none = low > high;
        let range = match scale {
            Scale::Linear if none || low.abs().max(high.abs()) < 1e-300 => [0.0, 1.0],
            Scale::Linear => {
                let (low, high) = (low.min(0.0), high.max(0.0));
                let step = step(unit, (high - low) / 5.0);
                [(low / step).floor() * step, (high / step - 1e-9).ceil() * step]
            }
            Scale::Log if none => [1.0, 10.0],
            Scale::Log => {
                let (mut low, mut high) = (round_down(low), round_up(high));
                // Less than a decade would show noise as if it were something.
                while high / low < 9.99 {
                    (low, high) = (round_down(low / 2.0), round_up(high * 2.0));
                }
                [low, high]
            }
            Scale::Percentile if none => [0.0, 0.99],
            Scale::Percentile => [0.0, high.max(0.9)],
        };
        Axis { label: label.to_string(), scale, unit, range }
    }

    /// An axis from `first` to `last`, which must be above it and finite.
    pub fn between(label: &str, scale: Scale, unit: Unit, [first, last]: [f64; 2]) -> Axis {
        assert!(first < last && last.is_finite(), "an axis from {first} to {last}");
        assert!(scale != Scale::Log || first > 0.0, "a logarithmic axis from {first}");
        Axis { label: label.to_string(), scale, unit, range: [first, last] }
    }

    /// Where `value` lies: 0 at the begin, 1 at the end; what lies outside is put at the nearer end.
    pub fn position(&self, value: f64) -> f64 {
        let [first, last] = self.range.map(|end| self.spread(end));
        ((self.spread(value) - first) / (last - first)).clamp(0.0, 1.0)
    }

    /// The lines, in order of their values, for an axis with room for about `room` names.
    pub fn ticks(&self, room: usize) -> Vec<Tick> {
        match self.scale {
            Scale::Linear => self.even_ticks(room),
            Scale::Log => self.log_ticks(room),
            Scale::Percentile => self.percentile_ticks(),
        }
    }

    /// A value in words, to four digits; a share to as many as it needs.
    pub fn say(&self, value: f64) -> String {
        if value == 0.0 || self.unit == Unit::Share {
            return self.name(value);
        }
        // By way of text, which rounds at any size.
        let rounded = format!("{value:.3e}").parse().unwrap_or(value);
        self.name(rounded)
    }

    fn spread(&self, value: f64) -> f64 {
        match self.scale {
            Scale::Linear => value,
            Scale::Log => value.max(f64::MIN_POSITIVE).log10(),
            Scale::Percentile => -(1.0 - value.min(1.0 - 1e-12)).log10(),
        }
    }

    fn even_ticks(&self, room: usize) -> Vec<Tick> {
        let [first, last] = self.range;
        let step = step(self.unit, (last - first) / room.max(1) as f64);
        let name = |value: f64| match self.unit {
            // One unit for the whole axis: 0.5 s, 1 s, 1.5 s.
            Unit::Nanoseconds => in_unit(value, time_unit(first.abs().max(last.abs()), step)),
            Unit::Count => count(value),
            Unit::Share => format!("{} %", trimmed(value * 100.0, 3)),
        };
        let (begin, end) = ((first / step - 1e-9).ceil() as i64, (last / step + 1e-9).floor() as i64);
        (begin..=end)
            .map(|k| k as f64 * step)
            .map(|value| Tick { value, label: name(value), minor: false })
            .collect()
    }

    fn log_ticks(&self, room: usize) -> Vec<Tick> {
        let [first, last] = self.range;
        let (low, high) = (first * (1.0 - 1e-9), last * (1.0 + 1e-9));
        let decades = (last / first).log10();
        let name_all = decades * 3.0 <= room as f64 + 1.0;
        // Names of every decade, or of every second and so on where there are more than room for them.
        let every = (decades / room.max(1) as f64).ceil().max(1.0) as i32;
        let mut ticks = Vec::new();
        for exponent in low.log10().floor() as i32..=high.log10().floor() as i32 {
            for digit in [1.0, 2.0, 5.0] {
                let value = digit * power_of_ten(exponent);
                if !(low..=high).contains(&value) {
                    continue;
                }
                let named = name_all || (digit == 1.0 && exponent % every == 0);
                let label = if named { self.name(value) } else { String::new() };
                ticks.push(Tick { value, label, minor: digit != 1.0 });
            }
        }
        if ticks.len() < 3 { self.even_ticks(room) } else { ticks }
    }

    fn percentile_ticks(&self) -> Vec<Tick> {
        let [first, last] = self.range;
        let half = Tick { value: 0.5, label: "50 %".to_string(), minor: true };
        let mut ticks = vec![Tick { value: 0.0, label: "0 %".to_string(), minor: false }, half];
        ticks.extend((1..=12).map(|nines| {
            let label = match nines {
                1 | 2 => format!("{} %", "9".repeat(nines) + if nines == 1 { "0" } else { "" }),
                _ => format!("99.{} %", "9".repeat(nines - 2)),
            };
            Tick { value: 1.0 - power_of_ten(-(nines as i32)), label, minor: false }
        }));
        ticks.retain(|tick| (first..=last + 1e-13).contains(&tick.value));
        ticks
    }

    fn name(&self, value: f64) -> String {
        match self.unit {
            Unit::Nanoseconds => in_unit(value, time_unit(value, 1.0)),
            Unit::Count => count(value),
            Unit::Share => format!("{} %", trimmed(value * 100.0, 6)),
        }
    }
}

/// The shortest round step that is at least `least`.
fn step(unit: Unit, least: f64) -> f64 {
    const SECOND: f64 = 1e9;
    // Above 10 s time is not decimal.
    const CLOCK_S: [f64; 14] = [
        15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1800.0, 3600.0, 7200.0, 10_800.0, 21_600.0, 43_200.0,
        86_400.0,
    ];
    let least = least.max(f64::MIN_POSITIVE);
    if unit == Unit::Nanoseconds && least > 10.0 * SECOND {
        let clock = CLOCK_S.map(|s| s * SECOND).into_iter().find(|step| *step >= least);
        return clock.unwrap_or_else(|| (least / (86_400.0 * SECOND)).ceil() * 86_400.0 * SECOND);
    }
    round_up(least)
}

/// The nearest of 1, 2, 5, 10, 20, ... that is not below.
fn round_up(value: f64) -> f64 {
    let decade = power_of_ten(value.log10().floor() as i32);
    let digit = [1.0, 2.0, 5.0, 10.0].into_iter().find(|digit| digit * decade >= value * (1.0 - 1e-9));
    digit.unwrap_or(10.0) * decade
}

/// The nearest of them that is not above.
fn round_down(value: f64) -> f64 {
    let decade = power_of_ten(value.log10().floor() as i32);
    let digit = [5.0, 2.0, 1.0].into_iter().find(|digit| digit * decade <= value * (1.0 + 1e-9));
    digit.unwrap_or(0.5) * decade
}

/// Exact for whole powers, which a product of 0.1 is not.
fn power_of_ten(exponent: i32) -> f64 {
    if exponent < 0 { 1.0 / 10f64.powi(-exponent) } else { 10f64.powi(exponent) }
}

/// The unit for values up to `highest` at distances of `step`: its name and its nanoseconds.
fn time_unit(highest: f64, step: f64) -> (&'static str, f64) {
    match highest {
        _ if step >= 3.6e12 => ("h", 3.6e12),
        _ if step >= 6e10 => ("min", 6e10),
        ns if ns >= 1e9 => ("s", 1e9),
        ns if ns >= 1e6 => ("ms", 1e6),
        ns if ns >= 1e3 => ("us", 1e3),
        _ => ("ns", 1.0),
    }
}

fn in_unit(value: f64, (name, ns): (&str, f64)) -> String {
    if value == 0.0 { "0".to_string() } else { format!("{} {name}", trimmed(value / ns, 3)) }
}

/// `1500` as `1.5k`.
fn count(value: f64) -> String {
    match value.abs() {
        n if n >= 1e9 => trimmed(value / 1e9, 3) + "G",
        n if n >= 1e6 => trimmed(value / 1e6, 3) + "M",
        n if n >= 1e3 => trimmed(value / 1e3, 3) + "k",
        // What is counted a request may be rare.
        n if n < 0.1 => trimmed(value, 6),
        _ => trimmed(value, 3),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_named_with_their_unit() {
        use Scale::*;
        use Unit::*;
        let table: [(Scale, Unit, [f64; 2], usize, &str); 16] = [
            (Linear, Count, [0.0, 1.0], 5, "0, 0.2, 0.4, 0.6, 0.8, 1"),
            (Linear, Count, [0.0, 0.0025], 5, "0, 0.0005, 0.001, 0.0015, 0.002, 0.0025"),
            (Linear, Count, [0.0, 230_000.0], 5, "0, 50k, 100k, 150k, 200k"),
            (Linear, Count, [0.0, 1_200_000.0], 5, "0, 500k, 1M"),
            (Linear, Count, [-15.0, 12.0], 5, "-10, 0, 10"),
            (Linear, Nanoseconds, [0.0, 10e9], 5, "0, 2 s, 4 s, 6 s, 8 s, 10 s"),
            (Linear, Nanoseconds, [0.0, 1.5e9], 5, "0, 0.5 s, 1 s, 1.5 s"),
            (Linear, Nanoseconds, [0.0, 90e9], 6, "0, 15 s, 30 s, 45 s, 60 s, 75 s, 90 s"),
            (Linear, Nanoseconds, [0.0, 600e9], 5, "0, 2 min, 4 min, 6 min, 8 min, 10 min"),
            (Linear, Nanoseconds, [0.0, 3e12], 6, "0, 10 min, 20 min, 30 min, 40 min, 50 min"),
            (Linear, Nanoseconds, [0.0, 4e5], 4, "0, 100 us, 200 us, 300 us, 400 us"),
            (Linear, Share, [0.0, 1.0], 5, "0 %, 20 %, 40 %, 60 %, 80 %, 100 %"),
            (Log, Nanoseconds, [1e3, 1e10], 8, "1 us, 10 us, 100 us, 1 ms, 10 ms, 100 ms, 1 s, 10 s"),
            (Log, Nanoseconds, [5e4, 2e6], 8, "50 us, 100 us, 200 us, 500 us, 1 ms, 2 ms"),
            (Log, Nanoseconds, [1e6, 1.6e6], 5, "1 ms, 1.2 ms, 1.4 ms, 1.6 ms"),
            (Log, Count, [1.0, 1e9], 5, "1, 100, 10k, 1M, 100M"),
        ];
        for (scale, unit, range, room, expected) in table {
            let named: Vec<String> = Axis::between("", scale, unit, range)
                .ticks(room)
                .into_iter()
                .map(|tick| tick.label)
                .filter(|label| !label.is_empty())
                .collect();
            assert_eq!(named.join(", "), expected, "{scale:?} {unit:?} {range:?}");
        }
    }

    #[test]
    fn each_nine_of_a_percentile_is_as_long_as_the_one_before() {
        let axis = Axis::fit("", Scale::Percentile, Unit::Share, [0.1, 0.999_9, 1.0]);
        assert_eq!(axis.range, [0.0, 0.999_9]);
        for (share, position) in [
            (0.0, 0.0),
            (0.9, 0.25),
            (0.99, 0.5),
            (0.999, 0.75),
            (0.999_9, 1.0),
            (1.0, 1.0),
            (0.5, 0.075_257),
        ] {
            assert!((axis.position(share) - position).abs() < 1e-6, "{share}: {}", axis.position(share));
        }
        let named: Vec<_> = axis.ticks(5).into_iter().map(|tick| tick.label).collect();
        assert_eq!(named, ["0 %", "50 %", "90 %", "99 %", "99.9 %", "99.99 %"]);
    }

    #[test]
    fn a_range_ends_at_round_numbers_and_holds_every_value() {
        use Scale::*;
        let table: [(Scale, &[f64], [f64; 2]); 10] = [
            (Linear, &[3.0, 97.0], [0.0, 100.0]),
            (Linear, &[199_980.0, 200_020.0], [0.0, 250_000.0]),
            (Linear, &[], [0.0, 1.0]),
            (Linear, &[0.0], [0.0, 1.0]),
            (Linear, &[-3.0, f64::NAN], [-3.0, 0.0]),
            (Log, &[130.0, 8_100.0, 0.0], [100.0, 10_000.0]),
            (Log, &[100.0], [20.0, 500.0]),
            (Log, &[], [1.0, 10.0]),
            (Percentile, &[0.2], [0.0, 0.9]),
            (Percentile, &[1.0], [0.0, 0.99]),
        ];
        for (scale, values, expected) in table {
            let axis = Axis::fit("", scale, Unit::Count, values.iter().copied());
            assert_eq!(axis.range, expected, "{scale:?} {values:?}");
        }
    }
}

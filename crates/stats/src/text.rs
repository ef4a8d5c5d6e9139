//! Times, rates and bytes as people write and read them: `2ms`, `1.5M`, `64KiB` in, `1.23 ms`, `199.9k/s`, `64 KiB` out.
//!
//! What is printed can be read back, to within the digits that are printed: three of a time, four of a rate. ASCII only, so that a
//! column is as wide as it looks in any terminal. Never rounds what is stored; that is for people's eyes alone.

use std::fmt;

/// What was wrong with something typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TextError {
    /// It does not begin with a number that is finite and not negative.
    NotANumber {
        /// What was typed.
        typed: String,
    },
    /// The unit behind the number is none of those known.
    Unit {
        /// What was typed.
        typed: String,
        /// Those known, in words.
        known: &'static str,
    },
    /// It is more than can be counted.
    TooMuch {
        /// What was typed.
        typed: String,
    },
}

impl fmt::Display for TextError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TextError::NotANumber { typed } => {
                write!(out, "`{typed}` does not begin with a number of 0 or more")
            }
            TextError::Unit { typed, known } => {
                write!(out, "`{typed}` has no unit that is known here: {known}")
            }
            TextError::TooMuch { typed } => write!(out, "`{typed}` is more than can be counted"),
        }
    }
}

impl std::error::Error for TextError {}

/// Nanoseconds with three digits and a unit: `450 ns`, `83.2 us`, `1.23 ms`, `10 s`; from 100 s on whole seconds.
pub fn duration(ns: f64) -> String {
    let (value, _, unit) = scaled(ns, 3, 1_000.0, &TIMES);
    format!("{value}{unit}")
}

/// As [`duration`], with all three digits also where they are 0, for a column: `5.00 ms` below `5.01 ms`. Whole nanoseconds.
pub fn aligned(ns: f64) -> String {
    let (value, decimals, unit) = scaled(ns.round(), 3, 1_000.0, &TIMES);
    let decimals = if unit == TIMES[0] { 0 } else { decimals };
    format!("{value:.decimals$}{unit}")
}

/// Events a second with four digits: `12.5/s`, `199.9k/s`, `1.234M/s`.
pub fn rate(per_s: f64) -> String {
    let (value, _, unit) = scaled(per_s, 4, 1_000.0, &["/s", "k/s", "M/s", "G/s"]);
    format!("{value}{unit}")
}

/// Bytes with three digits, in powers of 1,024: `512 B`, `64 KiB`, `1.5 GiB`.
pub fn bytes(count: f64) -> String {
    let (value, _, unit) = scaled(count, 3, 1_024.0, &[" B", " KiB", " MiB", " GiB", " TiB"]);
    format!("{value}{unit}")
}

/// A count with commas: `1,234,567`.
pub fn count(count: u64) -> String {
    let digits = count.to_string();
    let mut out = String::with_capacity(digits.len() * 4 / 3);
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A count and what is counted: `1 shard`, `2 shards`.
pub fn plural(n: u64, one: &str) -> String {
    format!("{} {one}{}", count(n), if n == 1 { "" } else { "s" })
}

/// A share as percent, with two digits from 0.01 % to 99.99 %, so that neither few is none nor most is all: `0.05 %`, `12 %`.
pub fn percent(share: f64) -> String {
    let percent = share * 100.0;
    if percent > 0.0 && percent < 0.005 {
        return "<0.01 %".to_owned();
    }
    if percent > 99.99 && percent < 100.0 {
        return ">99.99 %".to_owned();
    }
    let is_near_end = percent < 10.0 || (percent > 99.0 && percent < 100.0);
    format!("{} %", trimmed(percent, if is_near_end { 2 } else { 1 }))
}

/// Nanoseconds from `500ns`, `20us`, `2ms`, `1.5s`, `3m` or `1h`. A bare `0` needs no unit, anything else does.
pub fn parse_duration(typed: &str) -> Result<u64, TextError> {
    const UNITS: &[(&str, f64)] =
        &[("ns", 1.0), ("us", 1e3), ("ms", 1e6), ("s", 1e9), ("m", 60e9), ("min", 60e9), ("h", 3_600e9)];
    let (number, unit) = split(typed)?;
    if number == 0.0 && unit.is_empty() {
        return Ok(0);
    }
    whole(number * factor(typed, unit, UNITS, "ns, us, ms, s, m, h")?, typed)
}

/// Events a second from `200`, `200k`, `1.5M` or `10k/s`.
pub fn parse_rate(typed: &str) -> Result<f64, TextError> {
    let (number, unit) = split(typed)?;
    let unit = unit.strip_suffix("/s").unwrap_or(unit);
    Ok(number * factor(typed, unit, THOUSANDS, "k, M, G")?)
}

/// A count from `64`, `100k` or `1M`; what is no whole number is rounded down.
pub fn parse_count(typed: &str) -> Result<u64, TextError> {
    let (number, unit) = split(typed)?;
    whole(number * factor(typed, unit, THOUSANDS, "k, M, G")?, typed)
}

/// Bytes from `64`, `4KiB`, `1MiB` (powers of 1,024) or `4kB`, `1MB` (powers of 1,000); a `k` alone means 1,024, as everywhere in
/// Ringmill's settings.
pub fn parse_bytes(typed: &str) -> Result<u64, TextError> {
    const UNITS: &[(&str, f64)] = &[
        ("", 1.0),
        ("B", 1.0),
        ("k", 1024.0),
        ("K", 1024.0),
        ("KiB", 1024.0),
        ("M", 1_048_576.0),
        ("MiB", 1_048_576.0),
        ("G", 1_073_741_824.0),
        ("GiB", 1_073_741_824.0),
        ("kB", 1e3),
        ("MB", 1e6),
        ("GB", 1e9),
    ];
    let (number, unit) = split(typed)?;
    whole(number * factor(typed, unit, UNITS, "B, KiB, MiB, GiB, kB, MB, GB")?, typed)
}

const TIMES: [&str; 4] = [" ns", " us", " ms", " s"];

const THOUSANDS: &[(&str, f64)] = &[("", 1.0), ("k", 1e3), ("K", 1e3), ("M", 1e6), ("G", 1e9)];

fn split(typed: &str) -> Result<(f64, &str), TextError> {
    let typed = typed.trim();
    let end = typed.find(|c: char| !c.is_ascii_digit() && c != '.' && c != '_').unwrap_or(typed.len());
    let (number, unit) = typed.split_at(end);
    let number = number.replace('_', "").parse::<f64>().ok().filter(|number| number.is_finite());
    let number = number.ok_or_else(|| TextError::NotANumber { typed: typed.to_owned() })?;
    Ok((number, unit.trim()))
}

fn factor(typed: &str, unit: &str, units: &[(&str, f64)], known: &'static str) -> Result<f64, TextError> {
    let found = units.iter().find(|(name, _)| *name == unit).map(|(_, factor)| *factor);
    found.ok_or_else(|| TextError::Unit { typed: typed.to_owned(), known })
}

fn whole(number: f64, typed: &str) -> Result<u64, TextError> {
    // 0.1 s is 99,999,999.99... ns in binary: rounded to a thousandth first, so that a decimal means itself.
    let number = (number * 1e3).round() / 1e3;
    if number >= u64::MAX as f64 {
        return Err(TextError::TooMuch { typed: typed.to_owned() });
    }
    Ok(number as u64)
}

/// A number in the unit that suits it, rounded, with the decimals that its digits leave, and that unit.
fn scaled<'a>(number: f64, digits: i32, step: f64, units: &[&'a str]) -> (f64, usize, &'a str) {
    let (mut value, mut at) = (number, 0);
    // Rounded before it is compared: 999.96 with three digits is 1,000, which belongs to the next unit.
    while at + 1 < units.len() && rounded(value, digits).abs() >= step {
        value /= step;
        at += 1;
    }
    let value = rounded(value, digits);
    (value, decimals(value, digits), units[at])
}

/// Decimals that leave `digits` significant ones.
fn decimals(value: f64, digits: i32) -> usize {
    let before = if value == 0.0 { 1 } else { value.abs().log10().floor() as i32 + 1 };
    (digits - before).clamp(0, digits) as usize
}

fn rounded(value: f64, digits: i32) -> f64 {
    let scale = 10f64.powi(decimals(value, digits) as i32);
    (value * scale).round() / scale
}

fn trimmed(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_three_digits_and_the_unit_that_suits_it() {
        for (ns, text) in [
            (0.0, "0 ns"),
            (450.0, "450 ns"),
            (0.25, "0.25 ns"),
            (999.4, "999 ns"),
            (999.6, "1 us"),
            (83_000.0, "83 us"),
            (83_190.0, "83.2 us"),
            (1_234_567.0, "1.23 ms"),
            (999_999.0, "1 ms"),
            (10e9, "10 s"),
            (123.4e9, "123 s"),
            (3_600e9, "3600 s"),
        ] {
            assert_eq!(duration(ns), text);
        }
        let column = [0.0, 450.4, 5_000_000.0, 5_012_345.0, 999_999.0, 100e9].map(aligned);
        assert_eq!(column, ["0 ns", "450 ns", "5.00 ms", "5.01 ms", "1.00 ms", "100 s"]);
    }

    #[test]
    fn rates_bytes_counts_and_shares_read_as_people_write_them() {
        for (per_s, text) in [
            (0.0, "0/s"),
            (12.5, "12.5/s"),
            (199_873.0, "199.9k/s"),
            (1_234_567.0, "1.235M/s"),
            (999_990.0, "1M/s"),
        ] {
            assert_eq!(rate(per_s), text);
        }
        for (number, text) in
            [(512.0, "512 B"), (65_536.0, "64 KiB"), (1.5 * 1_073_741_824.0, "1.5 GiB"), (1_023.9, "1 KiB")]
        {
            assert_eq!(bytes(number), text);
        }
        for (number, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(count(number), text);
        }
        for (share, text) in [
            (0.0, "0 %"),
            (0.000_01, "<0.01 %"),
            (0.000_5, "0.05 %"),
            (0.123, "12.3 %"),
            (0.999_5, "99.95 %"),
            (0.999_999, ">99.99 %"),
            (1.0, "100 %"),
        ] {
            assert_eq!(percent(share), text);
        }
    }

    #[test]
    fn what_is_typed_is_understood_or_refused_with_the_units_that_are_known() {
        for (typed, ns) in [
            ("10s", 10_000_000_000),
            ("2ms", 2_000_000),
            ("1.5 s", 1_500_000_000),
            ("0.1s", 100_000_000),
            ("20us", 20_000),
            ("3m", 180_000_000_000),
            ("1h", 3_600_000_000_000),
            ("0", 0),
        ] {
            assert_eq!(parse_duration(typed), Ok(ns), "{typed}");
        }
        for (typed, per_s) in
            [("200", 200.0), ("200k", 200e3), ("1.5M", 1.5e6), ("10k/s", 10e3), ("1_000", 1e3)]
        {
            assert_eq!(parse_rate(typed), Ok(per_s), "{typed}");
        }
        assert_eq!(
            (parse_bytes("4KiB"), parse_bytes("1MB"), parse_count("100k")),
            (Ok(4096), Ok(1_000_000), Ok(100_000))
        );
        for (mistake, message) in [
            (parse_duration("10"), "`10` has no unit that is known here: ns, us, ms, s, m, h"),
            (parse_duration("fast"), "`fast` does not begin with a number of 0 or more"),
            (parse_duration("-1s"), "`-1s` does not begin with a number of 0 or more"),
            (parse_duration("1.2.3s"), "`1.2.3s` does not begin with a number of 0 or more"),
            (parse_duration("99999999999h"), "`99999999999h` is more than can be counted"),
            (parse_count("5 per cent"), "`5 per cent` has no unit that is known here: k, M, G"),
        ] {
            assert_eq!(mistake.unwrap_err().to_string(), message);
        }
    }

    #[test]
    fn what_is_printed_can_be_read_back() {
        for ns in [1u64, 450, 83_200, 1_230_000, 10_000_000_000] {
            assert_eq!(parse_duration(&duration(ns as f64)), Ok(ns));
        }
        for per_s in [12.5, 199_900.0, 1_235_000.0] {
            assert_eq!(parse_rate(&rate(per_s)), Ok(per_s));
        }
        assert_eq!(parse_bytes(&bytes(65_536.0)), Ok(65_536));
    }
}

//! A setting's value: read from a person or from the kernel, compared, and written.
//!
//! Pure. The kernel separates the numbers of a vector by tabs, people by spaces, and both mean the same; a choice is shown by the
//! kernel among its brothers in brackets and written alone; a set of CPUs has leading zeros or not; ports that are neighbours are shown
//! as a range, and the size of a table as the power of two that was made of it. So values are compared as what they mean, never as text. Who must give back a value *byte for byte* keeps the text beside it.

use std::fmt;

/// What values a knob takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A number from `min` to `max`.
    Integer {
        /// The least.
        min: i64,
        /// The most.
        max: i64,
    },
    /// So many numbers. One number written to such a file changes its first field only, so a value always has all of them.
    Vector {
        /// How many.
        count: usize,
        /// The least of each.
        min: i64,
        /// The most of each.
        max: i64,
    },
    /// 0, or a size of which the kernel makes the next power of two.
    PowerOfTwo {
        /// The most, which is one.
        max: i64,
    },
    /// One of these words.
    Enum(&'static [&'static str]),
    /// A set of CPUs, as the kernel writes it: groups of 32 bits in hexadecimal with commas between, the lowest last.
    Bitmap,
    /// A set of ports: numbers and ranges with commas between, which the kernel shows in their order, neighbours as a range.
    Ports,
    /// One or more names with spaces or commas between: letters, digits and `_ - . :`, at most 255 bytes in all.
    Text,
}

impl Kind {
    /// Off or on.
    pub const SWITCH: Kind = Kind::Integer { min: 0, max: 1 };
    /// What a C `int` holds that is not negative.
    pub const COUNT: Kind = Kind::Integer { min: 0, max: i32::MAX as i64 };
}

/// A value of some kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Of [`Kind::Integer`] and [`Kind::PowerOfTwo`].
    Integer(i64),
    /// Of [`Kind::Vector`].
    Vector(Vec<i64>),
    /// Of [`Kind::Enum`] and [`Kind::Text`], with one space between words; of [`Kind::Ports`], as the kernel shows it.
    Word(String),
    /// Of [`Kind::Bitmap`]: groups of 32 bits, the lowest first, none of the last ones zero.
    Bitmap(Vec<u32>),
}

/// A text that is no value of a kind.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}`{}`: expected {expected}", if name.is_empty() { String::new() } else { format!("{name}=") }, shown(text))]
pub struct ValueError {
    /// The knob that it was meant for, where that is known.
    name: String,
    text: String,
    expected: String,
}

impl ValueError {
    /// The same of the knob `name`.
    pub(crate) fn of(self, name: &str) -> ValueError {
        ValueError { name: name.into(), ..self }
    }

    /// What to try, in words that follow "Try".
    pub fn cure(&self) -> String {
        match self.name.as_str() {
            "" => self.expected.clone(),
            name => format!("`ringmill-lab explain {name}` for what it takes"),
        }
    }
}

impl Value {
    /// The value that a person means by `text`. Errors: it is none of this kind, or out of its bounds.
    pub fn parse(kind: Kind, text: &str) -> Result<Value, ValueError> {
        let wrong = || ValueError { name: String::new(), text: text.into(), expected: kind.to_string() };
        let value = Value::meant(kind, text).ok_or_else(wrong)?;
        if value.is_within(kind) { Ok(value) } else { Err(wrong()) }
    }

    /// The value that the kernel shows as `text`. It may be out of the bounds of `kind`, which are for what is written.
    /// Errors: it is none of this kind.
    pub fn read(kind: Kind, text: &str) -> Result<Value, ValueError> {
        // `always [madvise] never`: the one in brackets holds.
        let chosen = text.split_whitespace().find_map(|word| word.strip_prefix('[')?.strip_suffix(']'));
        let value = match (kind, chosen) {
            (Kind::Enum(_), Some(word)) => Some(Value::Word(word.into())),
            // What is empty is a value too, of a file that lists things.
            (Kind::Text | Kind::Enum(_), _) => Some(Value::Word(spaced(text))),
            (Kind::Ports, _) if text.trim().is_empty() => Some(Value::Word(String::new())),
            _ => Value::meant(kind, text),
        };
        value.ok_or_else(|| ValueError { name: String::new(), text: text.into(), expected: kind.to_string() })
    }

    fn meant(kind: Kind, text: &str) -> Option<Value> {
        let mut words = text.split_whitespace();
        Some(match kind {
            Kind::Integer { .. } => Value::Integer(alone(&mut words).and_then(number)?),
            Kind::Vector { count, .. } => {
                let numbers: Vec<i64> = words.map(number).collect::<Option<_>>()?;
                Value::Vector(Some(numbers).filter(|numbers| numbers.len() == count)?)
            }
            Kind::PowerOfTwo { .. } => Value::Integer(alone(&mut words).and_then(number).and_then(rounded)?),
            Kind::Enum(_) => Value::Word(alone(&mut words)?.into()),
            Kind::Ports => Value::Word(ports(text)?),
            Kind::Bitmap => Value::Bitmap(bits(alone(&mut words)?)?),
            Kind::Text => Value::Word(spaced(text)),
        })
    }

    fn is_within(&self, kind: Kind) -> bool {
        match (self, kind) {
            (Value::Integer(number), Kind::Integer { min, max }) => (min..=max).contains(number),
            (Value::Vector(numbers), Kind::Vector { min, max, .. }) => {
                numbers.iter().all(|number| (min..=max).contains(number))
            }
            (Value::Integer(number), Kind::PowerOfTwo { max }) => (0..=max).contains(number),
            (Value::Word(word), Kind::Ports) => word.len() <= PORTS_BYTES_MAX,
            (Value::Word(word), Kind::Enum(words)) => words.contains(&word.as_str()),
            (Value::Word(word), Kind::Text) => {
                let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.:, ".contains(&byte);
                !word.is_empty() && word.len() <= 255 && word.bytes().all(is_plain)
            }
            (Value::Bitmap(_), Kind::Bitmap) => true,
            _ => false,
        }
    }
}

/// The only one of `words`.
fn alone<'a>(words: &mut impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let word = words.next()?;
    words.next().is_none().then_some(word)
}

/// As the kernel reads numbers: decimal, or hexadecimal after 0x. It takes octal after a 0 too, which nobody means: refused.
fn number(word: &str) -> Option<i64> {
    let digits = word.strip_prefix('-').unwrap_or(word);
    if let Some(hex) = digits.strip_prefix("0x") {
        return (digits == word && !hex.starts_with(['+', '-']))
            .then(|| i64::from_str_radix(hex, 16).ok())?;
    }
    let is_octal = digits.len() > 1 && digits.starts_with('0');
    (!is_octal && !word.starts_with('+')).then(|| word.parse().ok())?
}

/// As the kernel rounds the size of a table.
fn rounded(number: i64) -> Option<i64> {
    let size = u64::try_from(number).ok()?;
    if size == 0 { Some(0) } else { i64::try_from(size.checked_next_power_of_two()?).ok() }
}

/// Ports and ranges in the kernel's form: in order, each once, neighbours as a range (proc_do_large_bitmap() in kernel/sysctl.c).
fn ports(text: &str) -> Option<String> {
    let port = |word: &str| u16::try_from(number(word.trim())?).ok();
    let range = |piece: &str| match piece.split_once('-') {
        Some((first, last)) => Some((port(first)?, port(last)?)).filter(|(first, last)| first <= last),
        None => Some((port(piece)?, port(piece)?)),
    };
    let mut ranges: Vec<(u16, u16)> = text.split(',').map(range).collect::<Option<_>>()?;
    ranges.sort_unstable();
    let mut joined: Vec<(u16, u16)> = Vec::with_capacity(ranges.len());
    for (first, last) in ranges {
        match joined.last_mut() {
            Some(before) if first <= before.1.saturating_add(1) => before.1 = before.1.max(last),
            _ => joined.push((first, last)),
        }
    }
    let said = |(first, last): &(u16, u16)| match first == last {
        true => first.to_string(),
        false => format!("{first}-{last}"),
    };
    Some(joined.iter().map(said).collect::<Vec<_>>().join(","))
}

/// Groups of at most eight hexadecimal digits, the lowest last.
fn bits(word: &str) -> Option<Vec<u32>> {
    let group = |group: &str| {
        let is_hex = (1..=8).contains(&group.len()) && group.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_hex.then(|| u32::from_str_radix(group, 16).ok())?
    };
    let mut groups: Vec<u32> = word.rsplit(',').map(group).collect::<Option<_>>()?;
    while groups.last() == Some(&0) {
        groups.pop();
    }
    Some(groups)
}

/// A list that is longer cannot be read back whole: a value is a page at most.
const PORTS_BYTES_MAX: usize = crate::root::VALUE_BYTES_MAX - 1;

/// With one space between words.
fn spaced(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// As much of `text` as an error needs, in one line.
pub(crate) fn shown(text: &str) -> String {
    let line = spaced(text);
    let mut short: String = plain(&line).chars().take(60).collect();
    if short.chars().count() < line.chars().count() {
        short.push_str("...");
    }
    short
}

/// `text` without what a terminal acts on, in one line.
pub(crate) fn plain(text: &str) -> String {
    text.replace(char::is_control, "")
}

impl fmt::Display for Value {
    /// As it is written to its file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Integer(number) => write!(f, "{number}"),
            Value::Vector(numbers) => {
                f.write_str(&numbers.iter().map(i64::to_string).collect::<Vec<_>>().join(" "))
            }
            Value::Word(word) => f.write_str(word),
            Value::Bitmap(groups) => {
                let (last, rest) = groups.split_last().unwrap_or((&0, &[]));
                write!(f, "{last:x}")?;
                rest.iter().rev().try_for_each(|group| write!(f, ",{group:08x}"))
            }
        }
    }
}

impl fmt::Display for Kind {
    /// What it takes, in words that follow "expected".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Kind::Integer { min, max } => write!(f, "{min} to {max}"),
            Kind::Vector { count, min, max } => {
                write!(f, "{count} numbers with spaces between, each {min} to {max}")
            }
            Kind::PowerOfTwo { max } => write!(f, "0 or a power of two up to {max}"),
            Kind::Enum(words) => write!(f, "one of {}", words.join(", ")),
            Kind::Ports => f.write_str("ports and ranges with commas between, such as 8080,9000-9100"),
            Kind::Bitmap => f.write_str("a set of CPUs in hexadecimal, such as f or 3,ffffffff"),
            Kind::Text => f.write_str("names of letters, digits and _ - . : with spaces or commas between"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PORTS: Kind = Kind::Vector { count: 2, min: 1, max: 65535 };
    const THP: Kind = Kind::Enum(&["always", "madvise", "never"]);

    fn check(kind: Kind, text: &str, expected: Option<&str>) {
        let got = Value::parse(kind, text).ok().map(|value| value.to_string());
        assert_eq!(got.as_deref(), expected, "{kind:?} {text:?}");
    }

    #[test]
    fn a_number_is_taken_inside_its_bounds_only() {
        check(Kind::COUNT, "4096", Some("4096"));
        check(Kind::COUNT, " 4096\n", Some("4096"));
        check(Kind::COUNT, "0x400", Some("1024"));
        check(Kind::COUNT, "-1", None);
        check(Kind::COUNT, "2147483648", None);
        check(Kind::COUNT, "010", None);
        check(Kind::COUNT, "+1", None);
        check(Kind::COUNT, "1 2", None);
        check(Kind::COUNT, "", None);
        check(Kind::COUNT, "4k", None);
        check(Kind::Integer { min: -31, max: 31 }, "-31", Some("-31"));
        check(Kind::SWITCH, "2", None);
    }

    #[test]
    fn a_vector_has_all_its_fields_whatever_stands_between_them() {
        check(PORTS, "1024\t65535", Some("1024 65535"));
        check(PORTS, "  1024   65535 \n", Some("1024 65535"));
        check(PORTS, "1024", None);
        check(PORTS, "1024 2 3", None);
        check(PORTS, "0 65535", None);
        assert_eq!(Value::read(PORTS, "32768\t60999\n"), Value::parse(PORTS, "32768 60999"));
    }

    #[test]
    fn a_choice_is_read_from_its_brackets_and_written_alone() {
        let read = |text: &str| Value::read(THP, text).expect("words").to_string();
        assert_eq!(read("always [madvise] never\n"), "madvise");
        assert_eq!(read("performance\n"), "performance");
        check(THP, "never", Some("never"));
        check(THP, "sometimes", None);
        check(THP, "[never]", None);
        check(THP, "never always", None);
    }

    #[test]
    fn a_set_of_cpus_is_the_same_with_leading_zeros() {
        check(Kind::Bitmap, "f", Some("f"));
        check(Kind::Bitmap, "0000000f", Some("f"));
        check(Kind::Bitmap, "00000000,00000003", Some("3"));
        check(Kind::Bitmap, "1,00000000", Some("1,00000000"));
        check(Kind::Bitmap, "0", Some("0"));
        check(Kind::Bitmap, "", None);
        check(Kind::Bitmap, "g", None);
        check(Kind::Bitmap, "123456789", None);
        check(Kind::Bitmap, "1,,2", None);
        check(Kind::Bitmap, "+f", None);
    }

    #[test]
    fn a_text_is_names_and_nothing_that_a_shell_or_a_kernel_would_act_on() {
        check(Kind::Text, "bbr", Some("bbr"));
        check(Kind::Text, "reno\tcubic", Some("reno cubic"));
        check(Kind::Text, "8080,9148-9150", Some("8080,9148-9150"));
        check(Kind::Text, "|/bin/sh", None);
        check(Kind::Text, "a;b", None);
        check(Kind::Text, "", None);
        check(Kind::Text, &"x".repeat(256), None);
        assert_eq!(Value::read(Kind::Text, "\n").expect("an empty list").to_string(), "");
    }

    #[test]
    fn ports_are_the_same_in_any_order_and_as_ranges_or_one_by_one() {
        check(Kind::Ports, "8080,8081", Some("8080-8081"));
        check(Kind::Ports, "9000-9100, 8080,9101", Some("8080,9000-9101"));
        check(Kind::Ports, "65535,1,1,65534-65535", Some("1,65534-65535"));
        check(Kind::Ports, "1-10,3-4", Some("1-10"));
        for wrong in ["", "5-3", "65536", "-1", "1-2-3", "1,,2", "http", "1 2", "1-"] {
            check(Kind::Ports, wrong, None);
        }
        assert_eq!(Value::read(Kind::Ports, "8080-8081\n"), Value::parse(Kind::Ports, "8081,8080"));
        assert_eq!(Value::read(Kind::Ports, "\n").expect("an empty list").to_string(), "");
    }

    #[test]
    fn the_size_of_a_table_is_what_the_kernel_makes_of_it() {
        let size = Kind::PowerOfTwo { max: 1 << 24 };
        for (text, expected) in [("0", "0"), ("1", "1"), ("1000", "1024"), ("16777216", "16777216")] {
            check(size, text, Some(expected));
        }
        for wrong in ["16777217", "-1", "9223372036854775807"] {
            check(size, wrong, None);
        }
        assert_eq!(Value::read(size, "1024\n"), Value::parse(size, "1000"));
    }

    #[test]
    fn what_the_kernel_shows_out_of_bounds_is_a_value_all_the_same() {
        assert_eq!(Value::read(Kind::SWITCH, "7\n"), Ok(Value::Integer(7)));
        assert!(Value::read(Kind::SWITCH, "seven\n").is_err());
        assert!(Value::read(PORTS, "7\n").is_err());
    }

    #[test]
    fn an_error_says_what_is_taken_and_what_to_try() {
        let error = Value::parse(Kind::SWITCH, "yes").expect_err("no number");
        assert_eq!(error.to_string(), "`yes`: expected 0 to 1");
        let error = error.of("net.ipv4.tcp_sack");
        assert_eq!(error.to_string(), "net.ipv4.tcp_sack=`yes`: expected 0 to 1");
        assert_eq!(error.cure(), "`ringmill-lab explain net.ipv4.tcp_sack` for what it takes");
        let long = Value::parse(Kind::SWITCH, &"y\n".repeat(99)).expect_err("no number").to_string();
        assert!(long.len() < 100 && !long.contains('\n'), "{long}");
    }
}

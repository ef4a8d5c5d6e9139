//! Values that are typed as one word and mean more than a number: rates, steps, ranges of addresses, headers.
//!
//! Pure. Numbers with units are read by `stats::text`; here they are put together, and kept to their bounds.

use std::net::IpAddr;
use std::time::Duration;

use proto::http1::{is_field_value, is_token};
use stats::schedule::Stretch;
use stats::text;

/// `200k`, or `10k..50k`: from one rate to another in a straight line.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Rate {
    /// Arrivals a second at the begin.
    pub(crate) from_per_s: f64,
    /// Arrivals a second at the end.
    pub(crate) to_per_s: f64,
}

/// Reads `200k` or `10k..50k`. A ramp may begin or end with 0, but not both.
pub(crate) fn rate(word: &str) -> Result<Rate, String> {
    let one = |word: &str| match text::parse_rate(word) {
        Ok(per_s) if per_s <= RATE_MAX => Ok(per_s),
        Ok(_) => Err(format!("`{word}` is more than {} can be", text::rate(RATE_MAX))),
        Err(why) => Err(why.to_string()),
    };
    let (from, to) = word.split_once("..").unwrap_or((word, word));
    let rate = Rate { from_per_s: one(from)?, to_per_s: one(to)? };
    if rate.from_per_s == 0.0 && rate.to_per_s == 0.0 {
        return Err("a rate of 0 sends nothing: expected above 0, such as 1k".into());
    }
    Ok(rate)
}

/// A rate that does not change, above 0.
pub(crate) fn steady_rate(word: &str) -> Result<f64, String> {
    match rate(word)? {
        rate if rate.from_per_s == rate.to_per_s => Ok(rate.from_per_s),
        _ => Err("a rate from one value to another makes no sense here".into()),
    }
}

/// Stretches of a schedule, one behind the other.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Steps(pub(crate) Vec<Stretch>);

/// Reads `10k:5s,20k:5s`; a step may be a ramp (`0..10k:5s`) or a pause (`0:5s`).
pub(crate) fn steps(word: &str) -> Result<Steps, String> {
    let step = |part: &str| {
        let Some((rate_word, time)) = part.split_once(':') else {
            return Err(format!("`{part}` is no step: expected RATE:TIME such as 10k:5s"));
        };
        let is_pause = rate_word.trim() == "0";
        let rate = if is_pause { Rate { from_per_s: 0.0, to_per_s: 0.0 } } else { rate(rate_word.trim())? };
        let ns = duration(time)?.as_nanos() as u64;
        Ok(Stretch { from_per_s: rate.from_per_s, to_per_s: rate.to_per_s, ns })
    };
    let steps = word.split(',').map(step).collect::<Result<Vec<_>, _>>()?;
    if steps.iter().all(|step| step.from_per_s + step.to_per_s == 0.0) {
        return Err("steps of rate 0 alone send nothing".into());
    }
    Ok(Steps(steps))
}

/// Reads `10s`, above 0 and at most a day.
pub(crate) fn duration(word: &str) -> Result<Duration, String> {
    match pause(word)? {
        Duration::ZERO => Err("it must be longer than 0".into()),
        time => Ok(time),
    }
}

/// The same, where 0 is one too.
pub(crate) fn pause(word: &str) -> Result<Duration, String> {
    let time = Duration::from_nanos(text::parse_duration(word).map_err(|why| why.to_string())?);
    if time > TIME_MAX { Err("it is at most 24h".into()) } else { Ok(time) }
}

/// Reads a number from 1 on that an unsigned of 32 bits holds: `64`, `100k`.
pub(crate) fn count(word: &str) -> Result<u32, String> {
    match text::parse_count(word).map(u32::try_from) {
        Ok(Ok(count @ 1..)) => Ok(count),
        Ok(_) => Err(format!("`{word}`: expected 1 to {}", u32::MAX)),
        Err(why) => Err(why.to_string()),
    }
}

/// Reads a number of bytes, at most 1 GiB: `64`, `16KiB`.
pub(crate) fn bytes(word: &str) -> Result<usize, String> {
    match text::parse_bytes(word) {
        Ok(count) if count <= BYTES_MAX => Ok(count as usize),
        Ok(_) => Err("it is at most 1 GiB".into()),
        Err(why) => Err(why.to_string()),
    }
}

/// Addresses to come from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sources(pub(crate) Vec<IpAddr>);

/// Reads `10.0.0.1,127.0.0.2-127.0.0.9`: addresses and ranges of IPv4, at most 65,536, each once.
pub(crate) fn sources(word: &str) -> Result<Sources, String> {
    let mut found = Vec::new();
    for part in word.split(',') {
        let one = |text: &str| text.parse::<IpAddr>().map_err(|_| format!("`{text}` is no address"));
        let range = match part.split_once('-') {
            None => vec![one(part)?],
            Some((first, last)) => match (one(first)?, one(last)?) {
                (IpAddr::V4(first), IpAddr::V4(last)) if first <= last => {
                    let (first, last) = (first.to_bits(), last.to_bits());
                    (first..=last).take(SOURCES_MAX + 1).map(|bits| IpAddr::V4(bits.into())).collect()
                }
                _ => return Err(format!("`{part}` is no range of IPv4 addresses that runs upwards")),
            },
        };
        found.extend(range);
        if found.len() > SOURCES_MAX {
            return Err(format!("more than {} addresses", text::count(SOURCES_MAX as u64)));
        }
    }
    if found.iter().any(IpAddr::is_ipv4) && found.iter().any(IpAddr::is_ipv6) {
        return Err("addresses of IPv4 and of IPv6 cannot both reach one target".into());
    }
    let once: std::collections::HashSet<_> = found.iter().collect();
    if once.len() < found.len() { Err("an address is named twice".into()) } else { Ok(Sources(found)) }
}

/// A header field as it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// A token (RFC 9110 section 5.1).
    pub(crate) name: String,
    /// Without white space around it.
    pub(crate) value: String,
}

/// Reads `Name: value`.
pub(crate) fn header(word: &str) -> Result<Header, String> {
    let Some((name, value)) = word.split_once(':') else {
        return Err(format!("`{word}` is no header: expected 'Name: value'"));
    };
    let value = value.trim_matches([' ', '\t']);
    if !is_token(name.as_bytes()) {
        return Err(format!("`{name}` cannot be the name of a header (RFC 9110 section 5.1)"));
    }
    if !is_field_value(value.as_bytes()) {
        return Err(format!("the value of `{name}` has a character that a header cannot have"));
    }
    Ok(Header { name: name.into(), value: value.into() })
}

/// Reads the method of a request: a token.
pub(crate) fn method(word: &str) -> Result<String, String> {
    match word {
        "CONNECT" => Err("CONNECT makes a tunnel, which cannot be loaded".into()),
        _ if is_token(word.as_bytes()) => Ok(word.into()),
        _ => Err(format!("`{word}` cannot be a method (RFC 9110 section 9.1)")),
    }
}

/// Reads a CRC-32 of 8 hexadecimal digits, as crc32(1) prints it, with or without 0x.
pub(crate) fn crc32(word: &str) -> Result<u32, String> {
    let digits = word.strip_prefix("0x").unwrap_or(word);
    let is_hex = digits.len() == 8 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    let wrong = || format!("`{word}`: expected 8 hexadecimal digits");
    if is_hex { u32::from_str_radix(digits, 16).map_err(|_| wrong()) } else { Err(wrong()) }
}

/// No machine sends more; beyond it nanoseconds are too coarse for a schedule.
const RATE_MAX: f64 = 1e9;
const TIME_MAX: Duration = Duration::from_secs(24 * 3600);
const BYTES_MAX: u64 = 1 << 30;
const SOURCES_MAX: usize = 65_536;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_one_or_from_one_to_another_and_never_nothing() {
        let check = |word: &str, from: f64, to: f64| {
            assert_eq!(rate(word), Ok(Rate { from_per_s: from, to_per_s: to }), "{word}");
        };
        check("200k", 200e3, 200e3);
        check("0.5", 0.5, 0.5);
        check("0..50k", 0.0, 50e3);
        for (word, part) in [
            ("0", "rate of 0"),
            ("0..0", "rate of 0"),
            ("NaN", "NaN"),
            ("inf", "inf"),
            ("-1", "-1"),
            ("2G", "more than"),
        ] {
            let why = rate(word).expect_err(word);
            assert!(why.contains(part), "{word}: {why}");
        }
        assert_eq!(steady_rate("5"), Ok(5.0));
        assert!(steady_rate("5..6").is_err());
    }

    #[test]
    fn steps_are_stretches_one_behind_the_other() {
        let second = 1_000_000_000;
        let stretch = |from_per_s, to_per_s, ns| Stretch { from_per_s, to_per_s, ns };
        let expected =
            [stretch(0.0, 1e4, 5 * second), stretch(0.0, 0.0, second / 2), stretch(2e4, 2e4, second)];
        assert_eq!(steps("0..10k:5s,0:500ms,20k:1s").expect("steps").0, expected);
        for word in ["", "10k", "10k:", "10k:0s", ":5s", "0:5s", "10k:5s,", "10k:25h"] {
            assert!(steps(word).is_err(), "{word}");
        }
    }

    #[test]
    fn sources_are_addresses_and_ranges_each_once() {
        let check = |word: &str, expected: &[&str]| {
            let found: Vec<String> = sources(word).expect(word).0.iter().map(IpAddr::to_string).collect();
            assert_eq!(found, expected);
        };
        check("127.0.0.2", &["127.0.0.2"]);
        check("10.0.0.255-10.0.1.1,10.0.0.1", &["10.0.0.255", "10.0.1.0", "10.0.1.1", "10.0.0.1"]);
        check("::1", &["::1"]);
        for word in [
            "",
            "x",
            "10.0.0.2-10.0.0.1",
            "::1-::2",
            "10.0.0.1,10.0.0.1",
            "0.0.0.0-255.255.255.255",
            "::1,10.0.0.1",
        ] {
            assert!(sources(word).is_err(), "{word}");
        }
    }

    #[test]
    fn headers_cannot_smuggle_a_line() {
        let check = |word: &str, name: &str, value: &str| {
            assert_eq!(header(word), Ok(Header { name: name.into(), value: value.into() }));
        };
        check("Accept:  text/html ", "Accept", "text/html");
        check("X-Empty:", "X-Empty", "");
        for word in ["Accept", "A B: c", ": c", "A: b\r\nC: d", "A: b\nC: d", "A: \0"] {
            assert!(header(word).is_err(), "{word:?}");
        }
        assert!(method("GE T").is_err() && method("CONNECT").is_err() && method("PROPFIND").is_ok());
    }

    #[test]
    fn numbers_keep_to_their_bounds() {
        assert_eq!((count("100k"), bytes("16KiB")), (Ok(100_000), Ok(16_384)));
        assert!(count("0").is_err() && count("5G").is_err() && bytes("2GiB").is_err());
        assert!(duration("0").is_err() && duration("25h").is_err());
        assert_eq!((pause("0"), duration("1.5s")), (Ok(Duration::ZERO), Ok(Duration::from_millis(1500))));
        assert_eq!((crc32("0xcbf43926"), crc32("CBF43926")), (Ok(0xcbf4_3926), Ok(0xcbf4_3926)));
        assert!(crc32("+bf43926").is_err() && crc32("1").is_err());
    }
}

//! Logs are written and read back, joined, cut off, and read by another program.

use super::*;
use crate::sample;
use std::io::Write;
use std::process::{Command, Stdio};

const GOLDEN: &[u8] = include_bytes!("../../tests/golden/run.hlog");
/// What the reader in Python printed of it (`tests/read_hlog.py`).
const GOLDEN_NUMBERS: &str = include_str!("../../tests/golden/run.hlog.txt");

fn log(seconds: std::ops::Range<u64>) -> Vec<u8> {
    let mut writer = Writer::begin(Vec::new(), "a test", 1_760_000_000.25).expect("memory");
    seconds.for_each(|k| writer.step(&sample::second(k, 2_000 + 100 * k)).expect("memory"));
    writer.end().expect("memory")
}

/// One line a tag, as `read_hlog.py` prints them.
fn numbers(log: &[u8]) -> String {
    let mut joined = Joined::default();
    joined.add(log).expect("a log");
    let line = |entry: &Entry| {
        let at = [0.5, 0.9, 0.99, 0.999, 0.9999].map(|q| entry.values.value_at_quantile(q).to_string());
        format!("{} {} {} {}\n", entry.tag, entry.values.len(), at.join(" "), entry.values.max())
    };
    joined.entries().map(line).collect()
}

#[test]
fn what_is_written_is_read_back() {
    let log = log(0..3);
    assert_eq!(began_unix_s(&log), Some(1_760_000_000.25));
    let entries: Vec<Entry> = read(&log).collect::<Result<_, _>>().expect("a log");
    let tags: Vec<&str> = entries.iter().map(|entry| entry.tag.as_str()).collect();
    let later = ["response", "service", "send_lag", "first_byte"];
    assert_eq!(tags[..5], ["response", "service", "send_lag", "connect", "first_byte"]);
    assert_eq!((&tags[5..9], &tags[9..]), (&later[..], &later[..]));
    let second = &entries[5];
    assert_eq!((second.from, second.length), (Duration::from_secs(1), Duration::from_secs(1)));
    assert_eq!(second.values, sample::second(1, 2_100).response);
}

#[test]
fn a_stored_log_has_the_numbers_that_another_reader_found() {
    assert_eq!(numbers(GOLDEN), GOLDEN_NUMBERS);
    assert_eq!(GOLDEN_NUMBERS.lines().count(), 5);
}

#[test]
fn a_log_written_today_has_the_numbers_of_the_stored_one() {
    assert_eq!(numbers(&log(0..3)), GOLDEN_NUMBERS);
}

#[test]
fn joined_logs_are_the_log_of_all_samples() {
    let mut joined = Joined::default();
    joined.add(&log(2..3)).expect("a log");
    joined.add(&log(0..2)).expect("a log");
    let all = joined.write(Vec::new(), "a test", 0.0).expect("memory");
    assert_eq!(numbers(&all), numbers(&log(0..3)));
    let response = joined.entries().find(|entry| entry.tag == "response").expect("it is in each");
    assert_eq!((response.from, response.length), (Duration::ZERO, Duration::from_secs(3)));
}

#[test]
fn a_log_of_wider_bounds_and_no_tag_is_joined_too() {
    let foreign = |value| {
        let mut values = Histogram::<u64>::new_with_bounds(1, value * 2, 2).expect("bounds in order");
        values.record(value).expect("in bounds");
        let mut writer = Writer::begin(Vec::new(), "another", 0.0).expect("memory");
        writer.line("", Duration::ZERO, Duration::from_secs(1), &values).expect("memory");
        writer.end().expect("memory")
    };
    let mut joined = Joined::default();
    [1_000, 1 << 50].into_iter().for_each(|value| joined.add(&foreign(value)).expect("a log"));
    let entry = joined.entries().next().expect("one");
    assert_eq!((entry.tag.as_str(), entry.values.len()), ("", 2));
    assert!(entry.values.max() >= 1 << 50);
}

#[test]
fn a_log_that_is_cut_off_or_changed_is_refused_where_it_is_broken() {
    let whole = log(0..1);
    let cut = &whole[..whole.len() - 5];
    let last = whole[..whole.len() - 1].iter().rposition(|byte| *byte == b'\n').expect("lines") + 1;
    let results: Vec<_> = read(cut).map(|entry| entry.map(|entry| entry.tag)).collect();
    assert_eq!((results.len(), results.last()), (5, Some(&Err(LogError::Line { offset: last }))));

    let text = String::from_utf8(whole).expect("text");
    let changed = text.replacen(",HISTF", ",HISTQ", 2);
    let mut joined = Joined::default();
    let error = joined.add(changed.as_bytes()).expect_err("the first histogram is not one");
    assert!(matches!(error, LogError::Payload { entry: 1, .. }), "{error}");

    let garbage = Joined::default().add(b"HTTP/1.1 404 Not Found\r\n").expect_err("no log");
    assert_eq!(garbage.to_string(), "the line at byte 0 is none of an interval log (cut off?)");
}

#[test]
fn a_tag_that_would_break_the_line_is_refused() {
    let mut writer = Writer::begin(Vec::new(), "a test", 0.0).expect("memory");
    let values = crate::interval::histogram();
    assert!(writer.line("a,b", Duration::ZERO, Duration::ZERO, &values).is_err());
}

#[test]
fn a_reader_in_python_reads_the_same_numbers() {
    let has_it = Command::new("python3").args(["-c", "import hdrh"]).stderr(Stdio::null()).status();
    if !has_it.is_ok_and(|status| status.success()) {
        use std::io::stderr;
        let _ = writeln!(
            stderr(),
            "SKIPPED: no python3 with PyPI's `hdrhistogram`; the stored log stands for it"
        );
        return;
    }
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/read_hlog.py");
    let mut reader = Command::new("python3")
        .args([script, "/dev/stdin"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it ran a moment ago");
    let log = log(0..4);
    reader.stdin.take().expect("piped").write_all(&log).expect("it reads all of it");
    let output = reader.wait_with_output().expect("it ends with its input");
    assert!(output.status.success());
    assert_eq!(String::from_utf8_lossy(&output.stdout), numbers(&log));
}

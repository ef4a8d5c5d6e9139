//! The golden tables: each input read whole, cut at every position, and byte by byte, with the same answer.

mod support;

use proto::http1::{HEADERS_MAX, Limits, Refusal};
use support::{cases, read};

const TABLES: [(&str, &str); 4] = [
    ("heads.txt", include_str!("golden/heads.txt")),
    ("fields.txt", include_str!("golden/fields.txt")),
    ("bodies.txt", include_str!("golden/bodies.txt")),
    ("limits.txt", include_str!("golden/limits.txt")),
];

#[test]
fn every_case_reads_as_written_wherever_it_is_cut() {
    let mut wrong = Vec::new();
    for (name, text) in TABLES {
        for case in cases(text) {
            let mut check = |how: &str, told: Vec<String>| {
                if told != case.expected {
                    wrong.push(format!(
                        "{name}:{} {how}: {}\n  told     {told:?}\n  expected {:?}",
                        case.line,
                        case.input.escape_ascii(),
                        case.expected
                    ));
                }
            };
            check("whole", read(&case.input, case.limits, []));
            check("byte by byte", read(&case.input, case.limits, 1..case.input.len()));
            for cut in 1..case.input.len() {
                check(&format!("cut at {cut}"), read(&case.input, case.limits, [cut]));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} wrong, the first ones:\n{}",
        wrong.len(),
        wrong[..wrong.len().min(20)].join("\n")
    );
}

#[test]
fn every_refusal_is_reached_by_a_case() {
    let all: Vec<String> =
        TABLES.iter().flat_map(|(_, text)| cases(text)).flat_map(|case| case.expected).collect();
    for refusal in Refusal::ALL.iter().filter(|refusal| **refusal != Refusal::Timeout) {
        let line = format!("! {} {}", refusal.code(), refusal.status().code());
        assert!(all.contains(&line), "no golden case for {line}");
    }
}

#[test]
fn the_default_bounds_hold_to_the_byte() {
    let limits = Limits::default();
    let head = |uri: usize, filler: usize| {
        format!("GET /{} HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "u".repeat(uri - 1), "x".repeat(filler))
            .into_bytes()
    };
    let told = |input: &[u8]| {
        let whole = read(input, limits, []);
        assert_eq!(whole, read(input, limits, 1..input.len()), "whole and byte by byte");
        assert_eq!(whole, read(input, limits, (1..input.len()).filter(|cut| cut % 1024 < 3)), "in pages");
        whole[0].clone()
    };
    assert!(told(&head(8 << 10, 0)).starts_with("= GET /uu"));
    assert_eq!(told(&head((8 << 10) + 1, 0)), "! uri-too-long 414");
    assert_eq!(told(&head(100 << 10, 0)), "! uri-too-long 414");
    let rest = (32 << 10) - head(1, 0).len();
    assert!(told(&head(1, rest)).starts_with("= GET / "));
    assert_eq!(told(&head(1, rest + 1)), "! head-too-large 431");
    assert_eq!(told(&head(1, 130 << 10)), "! head-too-large 431");
    let lines = |count: usize| {
        format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(count - 1)).into_bytes()
    };
    assert!(told(&lines(HEADERS_MAX)).starts_with("= GET / "));
    assert_eq!(told(&lines(HEADERS_MAX + 1)), "! headers-too-many 431");
}

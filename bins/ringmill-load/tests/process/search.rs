//! A search from outside. What it finds is the machine's affair; that it ends, what it writes and how it can be ended is not.

use std::net::TcpStream;

use serde_json::Value;
use stats::outcome::Outcome;

use crate::schema::Schema;
use crate::support::{Home, Running, check_refusal, echo, exit_code, program, run, said, serve, silent};

/// A search of few and short runs, and its result: what the process said is checked against it, and it against the schema.
fn search(server: fn(TcpStream), flags: &[&str]) -> (Value, String) {
    let url = format!("echo://{}", serve(server));
    let short = ["--run", "100ms", "--warmup", "0", "-c", "4", "--shards", "1", "--json", "-"];
    let output = program().args(["search", &url]).args(short).args(flags).output();
    let (code, out, err) = said(output.expect("the program starts"));
    let result: Value = serde_json::from_str(&out).unwrap_or_else(|why| panic!("{why}: {out}{err}"));
    assert_eq!(code, Some(exit_code(&result)), "{err}");
    check(&result);
    (result, err)
}

fn check(result: &Value) {
    let schema = serde_json::from_str(include_str!("../../../../docs/result.schema.json")).expect("JSON");
    Schema(schema).check(result).expect("as the schema says");
    let read: Outcome = serde_json::from_value(result.clone()).expect("a result");
    assert_eq!(serde_json::to_value(&read).expect("JSON"), *result);
    assert_eq!(result["command"], "search");
    for key in ["/search/rate_per_s", "/search/ci95_per_s", "/search/points", "/search/ended"] {
        assert!(result.pointer(key).is_some(), "{key} is missing: {result}");
    }
}

#[test]
fn help_of_search_names_its_flags_and_shows_examples() {
    let (code, out, err) = run(&["search", "--help"]);
    assert_eq!((code, err.as_str()), (Some(0), ""));
    for part in ["--slo", "--precision", "--budget", "Examples:", "Exit codes:", "'p99<2ms'"] {
        assert!(out.contains(part), "{part}: {out}");
    }
}

#[test]
fn a_search_that_cannot_be_meant_is_exit_code_2_with_a_cure() {
    let echo = format!("echo://{}", serve(echo));
    let check = |flags: &[&str], what: &str, cure: &str| {
        check_refusal(run(&[&["search", &echo][..], flags].concat()), 2, what, cure);
    };
    let slo = ["--slo", "p99<2ms"];
    let with = |flags: &[&'static str]| [&slo[..], flags].concat();
    check(&[], "--slo <PROMISE>", "--help");
    check(&["--slo", "p99"], "expected NAME<LIMIT", "--help");
    check(&["--slo", "p98<2ms"], "`p98` cannot be promised", "--help");
    check(&["--slo", "p99<2ms,p99<3ms"], "p99 is limited twice", "--help");
    check(
        &["--slo", "p99<10s"],
        "promises 10 s, and a request is given up after --timeout 5 s",
        "`--timeout 10s`",
    );
    check(&with(&["--precision", "3"]), "expected a share such as 0.1%", "--help");
    check(&with(&["--precision", "0%"]), "0.1% to 50%", "--help");
    check(
        &with(&["--min-rate", "2k", "--max-rate", "1k"]),
        "--min-rate 2k/s is above",
        "the other way round",
    );
    check(&with(&["--start", "2k", "--max-rate", "1k"]), "--start 2k/s is not between", "`--start`");
    check(&with(&["--budget", "1ms"]), "--budget is at least 1s", "--help");
    check(&with(&["--rate", "1k"]), "unexpected argument '--rate'", "");
    check(&with(&["--json", "/nonexistent/x"]), "cannot be written", "a directory that exists");
}

#[test]
fn a_search_without_a_start_ends_and_writes_its_points_by_rate() {
    let home = Home::new();
    let html = home.path("a.html");
    let flags = ["--slo", "p50<200ms,errors<5%", "--max-rate", "300", "--precision", "50%", "--html", &html];
    let (result, err) = search(echo, &flags);
    let points = result["search"]["points"].as_array().expect("points");
    assert!(!points.is_empty() && points.iter().all(|point| point["rate_per_s"].as_f64() <= Some(300.0)));
    assert_eq!(result["search"]["slo"], "p50<200ms,errors<5%");
    assert!(err.contains("a closed loop reaches") && err.contains("300/s: "), "{err}");
    assert!(err.contains("runs at 300/s take 400 ms, which p50<200ms,errors<5% needs"), "{err}");
    assert!(home.read("a.html").contains("promise: p50&lt;200ms"), "the curve is drawn");
}

#[test]
fn a_server_that_never_answers_keeps_no_promise() {
    let flags = ["--slo", "p50<100ms", "--timeout", "100ms", "--start", "500", "--min-rate", "500"];
    let (result, err) = search(silent, &flags);
    assert_eq!(result["search"]["rate_per_s"], Value::Null, "{err}");
    assert_ne!(exit_code(&result), 0);
    assert!(err.contains("500/s: rejected, 0 of 3 kept") && err.contains("no rate keeps p50<100ms"), "{err}");
}

#[test]
fn an_interrupt_ends_a_search_with_what_is_known() {
    let home = Home::new();
    let json = home.path("s.json");
    let url = format!("echo://{}", serve(echo));
    let flags = ["--slo", "p50<10ms", "--start", "300", "--run", "300ms", "--budget", "1h", "--shards", "1"];
    let mut running = Running::start(&[&["search", &url, "-c", "4", "--json", &json], &flags[..]].concat());
    running.wait_for("kept");
    running.interrupt();
    let (code, out, err) = running.end();
    let result: Value = serde_json::from_str(&home.read("s.json")).expect("JSON");
    check(&result);
    assert_eq!((code, &result["search"]["ended"]), (Some(3), &"interrupted".into()), "{err}");
    assert!(out.contains("undecided") && out.contains("search: it was told to end"), "{out}");
}

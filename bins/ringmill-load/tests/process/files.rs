//! The files of a result, and what other commands make of them.

use crate::support::{Home, echo, http, measure, program, run, serve};

#[test]
fn every_file_that_was_asked_for_is_written_whole() {
    let home = Home::new();
    let [csv, hlog, hgrm, html] = ["a.csv", "a.hlog", "a.hgrm", "a.html"].map(|name| home.path(name));
    let url = format!("http://{}/", serve(http));
    let result = measure(&url, &["--csv", &csv, "--hlog", &hlog, "--hgrm", &hgrm, "--html", &html]);
    assert_eq!(home.names(), ["a.csv", "a.hgrm", "a.hlog", "a.html"]);
    let steps = result["series"].as_array().expect("a series").len();
    assert_eq!(home.read("a.csv").lines().count(), 1 + steps);
    assert!(home.read("a.csv").starts_with("from_ns,to_ns,"));
    assert!(home.read("a.hgrm").contains("#[Max"));
    assert!(home.read("a.html").starts_with("<!DOCTYPE html>") && home.read("a.html").contains(&url));
    assert!(home.read("a.hlog").contains("Tag=response"));
}

#[test]
fn an_interval_log_begins_where_the_result_does_behind_the_warm_up() {
    let home = Home::new();
    let [json, hlog] = ["a.json", "a.hlog"].map(|name| home.path(name));
    let url = format!("echo://{}", serve(echo));
    let mut command = program();
    command.args([&url, "-c", "4", "--duration", "100ms", "--warmup", "2100ms", "--quiet"]);
    command.args(["--json", &json, "--hlog", &hlog]).output().expect("it runs");
    let (log, result) = (home.read("a.hlog"), home.read("a.json"));
    let number = |text: &str, behind: &str| -> f64 {
        let rest = text.split(behind).nth(1).expect("it is there");
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').expect("more follows");
        rest[..end].parse().expect("a number")
    };
    let (base, began) = (number(&log, "BaseTime: "), number(&result, "\"began_unix_s\": "));
    assert!((base - began).abs() < 1.5, "the log begins at {base}, the result at {began}");
}

#[test]
fn a_summary_that_cannot_be_printed_takes_no_file_with_it() {
    let home = Home::new();
    let json = home.path("a.json");
    let url = format!("echo://{}", serve(echo));
    let full = std::fs::File::options().write(true).open("/dev/full").expect("Linux has one");
    let mut command = program();
    command.args([&url, "--rate", "500", "--duration", "100ms", "--warmup", "0", "--quiet", "--json", &json]);
    let code = command.stdout(full).output().expect("it runs").status.code();
    assert_eq!((code, home.names()), (Some(1), vec!["a.json".to_owned()]));
}

#[test]
fn merged_logs_have_the_samples_of_both() {
    let home = Home::new();
    let url = format!("echo://{}", serve(echo));
    let logs = ["a.hlog", "b.hlog"].map(|name| home.path(name));
    let counts = logs.each_ref().map(|log| {
        let result = measure(&url, &["--rate", "500", "--hlog", log]);
        result["latency"]["response"]["count"].as_u64().expect("a count")
    });
    let both = home.path("both.hlog");
    let (code, first, err) = run(&["merge", &logs[0], &logs[1], "-o", &both]);
    assert_eq!((code, err.as_str()), (Some(0), ""));
    let words = first.lines().find(|line| line.starts_with("response ")).expect("a line");
    assert_eq!(words.split_whitespace().nth(1), Some((counts[0] + counts[1]).to_string().as_str()));
    assert_eq!(run(&["merge", &both]).1, first);
}

#[test]
fn the_same_results_give_the_same_report_byte_for_byte() {
    let home = Home::new();
    let url = format!("echo://{}", serve(echo));
    let results = ["a.json", "b.json"].map(|name| {
        let result = measure(&url, &["--rate", "500"]);
        home.write(name, &result.to_string())
    });
    let pages = ["1.html", "2.html"].map(|name| {
        let page = home.path(name);
        let (code, out, err) = run(&["report", &results[0], &results[1], "-o", &page]);
        assert_eq!((code, out.as_str(), err.as_str()), (Some(0), "", ""));
        home.read(name)
    });
    assert!(pages[0] == pages[1] && pages[0].contains("</html>"));
    let (code, out, err) = run(&["compare", &results[0], &results[1], "--html", &home.path("c.html")]);
    assert_eq!((code, err.as_str()), (Some(0), ""));
    assert!(out.lines().any(|line| line.starts_with("response p50")), "{out}");
    assert!(home.read("c.html") == pages[0]);
}

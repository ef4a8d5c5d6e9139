//! The course of a load: it is measured, may be ended early, and says by its exit code what it is worth.

use serde_json::Value;

use crate::support::{Home, Running, echo, exit_code, http, measure, run, serve, silent};

/// The keys that programs may rely on.
const STABLE: &[&str] = &[
    "/verdict/state",
    "/verdict/reasons",
    "/rate/target_per_s",
    "/rate/achieved_per_s",
    "/latency/response/p99_9_ns",
    "/latency/service/p50_ns",
    "/latency/send_lag/p99_ns",
    "/latency/connect/max_ns",
    "/latency/response/ci95/p99_ns",
    "/errors/refused",
    "/errors/timeout",
    "/errors/status",
    "/verify/checked_bytes",
    "/verify/corrupt",
    "/verify/lost",
    "/connections/opened",
    "/connections/held",
    "/connections/lost",
    "/series",
    "/environment/kernel",
    "/environment/command_line",
];

#[test]
fn every_request_of_a_schedule_is_sent_and_answered_once() {
    for url in [format!("http://{}/ping", serve(http)), format!("echo://{}", serve(echo))] {
        let result = measure(&url, &["--rate", "1k", "--arrivals", "constant", "--seed", "7"]);
        for key in STABLE {
            assert!(result.pointer(key).is_some(), "{key} is missing: {result}");
        }
        assert_eq!((&result["schema"], &result["asked"]["seed"]), (&1.into(), &7.into()));
        assert_eq!(result["asked"]["url"], url);
        let arrivals = &result["arrivals"];
        assert_eq!((&arrivals["due"], &arrivals["answered"]), (&300.into(), &300.into()), "{result}");
        assert_eq!(result["latency"]["response"]["count"], 300);
        let connections = &result["connections"];
        assert_eq!((&connections["opened"], &connections["held"]), (&4.into(), &4.into()), "{result}");
        assert_eq!(result["status"]["2xx"] == 300, url.starts_with("http"), "{result}");
    }
}

#[test]
fn a_closed_loop_has_no_target_and_asks_again_as_soon_as_it_is_answered() {
    let result = measure(&format!("echo://{}", serve(echo)), &["--closed", "--size", "1KiB"]);
    assert_eq!(result["rate"]["target_per_s"], Value::Null);
    assert!(result["arrivals"]["answered"].as_u64().is_some_and(|count| count > 4), "{result}");
    assert_eq!(result["asked"]["request_bytes"], 1024);
}

#[test]
fn connections_that_churn_are_opened_again() {
    let flags = ["--churn", "10", "--close", "rst", "--rate", "1k", "--arrivals", "constant"];
    let result = measure(&format!("http://{}/", serve(http)), &flags);
    assert!(result["connections"]["opened"].as_u64().is_some_and(|count| count > 20), "{result}");
    assert!(result["connections"]["held"].as_u64().is_some_and(|count| count <= 4), "{result}");
    assert_eq!(result["arrivals"]["due"], 300);
}

#[test]
fn connections_that_all_end_at_once_find_room_to_come_again() {
    let url = format!("http://{}/", serve(http));
    let flags =
        ["--closed", "--churn", "1", "-c", "256", "--shards", "1", "--duration", "300ms", "--warmup", "0"];
    let (_, out, err) = run(&[&[&url, "--json", "-"], &flags[..]].concat());
    let result: Value = serde_json::from_str(&out).unwrap_or_else(|why| panic!("{why}: {out}{err}"));
    assert!(result["connections"]["opened"].as_u64().is_some_and(|count| count > 256), "{result}");
    assert_eq!(result["errors"]["refused"], 0, "{result}");
}

#[test]
fn without_a_terminal_progress_is_lines_on_standard_error_and_quiet_is_none() {
    let url = format!("echo://{}", serve(echo));
    let short = [&url, "--duration", "100ms", "--warmup", "0", "-c", "1", "--shards", "1"];
    let (_, out, err) = run(&short);
    assert!(out.starts_with(&url) && out.contains("\nverdict "), "{out}");
    assert!(err.lines().any(|line| line.contains("  p50 ") && line.contains("send_lag")), "{err}");
    let (_, out, err) = run(&[&short[..], &["--quiet"]].concat());
    assert!(out.starts_with(&url), "{out}");
    assert_eq!(err, "");
}

#[test]
fn an_interrupt_ends_early_and_still_shows_and_writes_what_was_measured() {
    let home = Home::new();
    let (json, hlog) = (home.path("run.json"), home.path("run.hlog"));
    let url = format!("echo://{}", serve(echo));
    let flags = ["--duration", "10m", "--warmup", "0", "-c", "2", "--shards", "1"];
    let mut running = Running::start(&[&[&url, "--json", &json, "--hlog", &hlog], &flags[..]].concat());
    running.wait_for("  p50 ");
    running.interrupt();
    let (code, out, err) = running.end();
    let result: Value = serde_json::from_str(&home.read("run.json")).expect("JSON");
    assert_eq!(code, Some(exit_code(&result)), "{err}");
    assert!(out.contains("duration: ended after"), "{out}");
    assert!(result["arrivals"]["answered"].as_u64().is_some_and(|count| count > 0), "{result}");
    assert_eq!(home.names(), ["run.hlog", "run.json"]);
}

#[test]
fn an_interrupt_before_the_measured_time_leaves_nothing_behind() {
    let home = Home::new();
    let url = format!("echo://{}", serve(echo));
    let (json, hlog) = (home.path("run.json"), home.path("run.hlog"));
    let mut running =
        Running::start(&[&url, "--warmup", "10m", "--shards", "1", "--json", &json, "--hlog", &hlog]);
    running.wait_for("warming up");
    running.interrupt();
    let (code, out, err) = running.end();
    assert_eq!((code, out.as_str()), (Some(1), ""), "{err}");
    assert!(err.contains("ringmill-load: ended before anything was measured."), "{err}");
    assert_eq!(home.names(), Vec::<String>::new());
}

#[test]
fn a_second_interrupt_does_not_wait_for_answers_that_may_never_come() {
    let url = format!("echo://{}", serve(silent));
    let flags = [&url, "--duration", "10m", "--warmup", "0", "--timeout", "1h", "--shards", "1"];
    let mut running = Running::start(&flags);
    running.wait_for("  p50 ");
    running.interrupt();
    running.wait_for("waiting for the last answers");
    running.interrupt();
    let (code, out, err) = running.end();
    assert_eq!((code, out.as_str()), (Some(1), ""), "{err}");
    assert!(err.contains("told twice to end"), "{err}");
}

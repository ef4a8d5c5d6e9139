//! A comparison from outside: real servers on free ports. What is found is the machine's affair; what is written, and that no server is
//! left, is not.

use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use serde_json::Value;
use stats::models::Models;

use crate::schema::Schema;
use crate::support::{Home, Running, check_refusal, run};

/// The server, which stands beside the program that is tested. Where the tests of this package alone were built, it is built first.
fn server() -> &'static str {
    static SERVER: OnceLock<String> = OnceLock::new();
    SERVER.get_or_init(|| {
        let program = PathBuf::from(env!("CARGO_BIN_EXE_ringmill-load")).with_file_name("ringmill");
        if !program.exists() {
            let folder = program.parent().expect("it stands in a folder");
            let mut build = Command::new(env!("CARGO"));
            build.args(["build", "--package", "ringmill", "--target-dir"]);
            build.arg(folder.parent().expect("that of its profile stands in another"));
            if folder.ends_with("release") {
                build.arg("--release");
            }
            assert!(build.status().expect("cargo").success(), "the server is built");
        }
        program.display().to_string()
    })
}

/// The flags of a comparison that is over soon, on the first two cores; `None` on a machine with one.
#[allow(clippy::print_stderr, reason = "a test that is not made says so")]
fn short() -> Option<Vec<String>> {
    let allowed = linux::cpu::allowed().expect("a thread runs somewhere");
    let [first, second, ..] = allowed[..] else {
        eprintln!("skipped: server and load need a core each");
        return None;
    };
    let cores = [first, second].map(|core| core.to_string());
    let flags = ["models", "--server", server(), "--cores-server", &cores[0], "--cores-load", &cores[1]];
    let load =
        ["-c", "4", "--duration", "40ms", "--warmup", "0", "--rate", "500", "--idle", "20", "--seed", "1"];
    Some(flags.iter().chain(&load).map(|word| (*word).to_owned()).collect())
}

fn with(short: &[String], more: &[&str]) -> (Option<i32>, String, String) {
    let words: Vec<&str> = short.iter().map(String::as_str).chain(more.iter().copied()).collect();
    run(&words)
}

/// A result as it was written: the schema holds, and it is what the program reads.
fn check(text: &str) -> Models {
    let value: Value = serde_json::from_str(text).unwrap_or_else(|why| panic!("{why}: {text}"));
    let schema = serde_json::from_str(include_str!("../../../../docs/models.schema.json")).expect("JSON");
    Schema(schema).check(&value).expect("as the schema says");
    serde_json::from_value(value).expect("a result")
}

#[test]
fn help_of_models_names_its_flags_and_shows_examples() {
    let (code, out, err) = run(&["models", "--help"]);
    assert_eq!((code, err.as_str()), (Some(0), ""));
    for part in ["--engines", "--factors", "--variant", "--baseline", "--from", "Examples:", "Exit codes:"] {
        assert!(out.contains(part), "{part}: {out}");
    }
}

#[test]
fn two_variants_are_compared_and_a_third_that_refuses_is_named_with_what_it_said() {
    let Some(short) = short() else { return };
    let home = Home::new();
    let [html, md, json] = ["a.html", "a.md", "a.json"].map(|name| home.path(name));
    let variants =
        ["--variant", "plain=", "--variant", "wrong=--no-such-flag", "--variant", "spin=--spin-us 20"];
    let more = [&variants[..], &["--rounds", "2", "--html", &html, "--md", &md, "--json", &json]].concat();
    let (code, out, err) = with(&short, &more);
    let models = check(&home.read("a.json"));
    assert_eq!((code, models.rounds, models.baseline.as_str()), (Some(3), 2, "plain"), "{out}{err}");
    let [plain, wrong, spin] = &models.variants[..] else { panic!("three variants: {out}") };
    for variant in [plain, spin] {
        for round in &variant.rounds {
            assert_eq!(round.failures, [""; 0], "{}", variant.name);
            let measured =
                [round.requests_per_s, round.cpu_ns_per_request, round.enters_per_request, round.threads];
            assert!(measured.iter().all(|figure| figure.is_some_and(|value| value > 0.0)), "{round:?}");
            assert!(round.p50_ns.is_some() || round.verdict.is_some(), "{round:?}");
            assert!(round.memory_bytes_per_connection.is_some(), "{round:?}");
        }
    }
    assert_eq!((wrong.rounds.len(), spin.flags.join(" ").as_str()), (0, "--spin-us 20"));
    assert!(wrong.refused.as_deref().is_some_and(|line| line.contains("--no-such-flag")), "{wrong:?}");
    assert!(out.contains("spin against plain") && out.contains("wrong was not measured"), "{out}");
    assert!(
        err.contains("wrong refuses to start: ") && err.contains("round 2 of 2  spin  closed loop: "),
        "{err}"
    );
    assert!(home.read("a.md").contains("| spin |") && home.read("a.html").contains("wrong was not measured"));

    let again = home.path("again.html");
    let (code, said, err) = run(&["models", "--from", &json, "--html", &again]);
    assert_eq!((code, err.as_str()), (Some(3), ""));
    assert!(
        said == out && home.read("again.html") == home.read("a.html"),
        "the same result is drawn the same"
    );
}

#[test]
fn a_comparison_of_which_no_server_starts_says_what_the_first_one_said() {
    let Some(short) = short() else { return };
    let said = with(&short, &["--quiet", "--variant", "x=--no-such-flag", "--variant", "y=--no-such-flag"]);
    check_refusal(said, 1, "no server starts; x: ", "the same flags");
}

#[test]
fn an_interrupt_ends_a_comparison_with_the_rounds_that_are_whole_and_leaves_no_server() {
    let Some(short) = short() else { return };
    let home = Home::new();
    let json = home.path("a.json");
    let words: Vec<&str> = short.iter().map(String::as_str).collect();
    let more = ["--variant", "plain=", "--rounds", "1000", "--json", &json];
    let mut running = Running::start(&[&words[..], &more].concat());
    let mark = format!("ringmill-models-{}", running.pid());
    running.wait_for("round 2 of 1000");
    running.interrupt();
    let (code, out, err) = running.end();
    let models = check(&home.read("a.json"));
    assert!(models.rounds >= 1 && models.rounds < 1000 && models.asked.rounds == 1000, "{err}");
    assert_eq!(code, Some(3), "{err}");
    assert!(out.contains("ended early: "), "{out}");
    let alive = fs::read_dir("/proc").expect("proc is mounted").flatten().filter(|entry| {
        let said = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&said).contains(&mark)
    });
    assert_eq!(alive.count(), 0, "a server is left");
    assert!(!env::temp_dir().join(mark).exists(), "its directory is left");
}

#[test]
fn a_comparison_that_cannot_be_meant_is_exit_code_2_with_a_cure() {
    let Some(short) = short() else { return };
    let home = Home::new();
    let check = |more: &[&str], what: &str, cure: &str| check_refusal(with(&short, more), 2, what, cure);
    check(&["--variant", "spin"], "expected NAME=FLAGS", "--help");
    check(&["--variant", "a=", "--variant", "a=--spin-us 1"], "two variants are called a", "another name");
    check(&["--baseline", "x"], "--baseline x is none of the variants", "one of uring, epoll");
    check(&["--bytes", "7", "--service", "udp-echo"], "--bytes 7", "`--bytes 8`");
    check(&["--service", "udp-echo", "--pipeline", "2"], "means nothing with udp-echo", "--connections");
    check(&["--html", "/nonexistent/x"], "cannot be written", "a directory that exists");
    check(&["--html", "x", "--md", "x"], "named for two results", "each");
    check(&["--md", "-"], "standard output is for the table", "`--md FILE`");
    check(&["--rounds", "0"], "0 is not in 1..=1000", "--help");
    let only = |more: &[&str], what: &str, cure: &str| {
        check_refusal(run(&[&["models", "--server", server()], more].concat()), 2, what, cure);
    };
    only(&["--rate", "0"], "a rate of 0 sends nothing", "--help");
    only(&["--cores-load", "0"], "server and load cannot share core 0", "--cores-load");
    only(&["--cores-server", "1023"], "--cores-server 1023: the allowed cores are", "`--cores-server ");
    only(&["--idle", "10"], "--idle 10 is not above --connections 64", "`--idle 640`");
    only(&["--idle", "40000000"], "file descriptors", "a smaller `--idle`");
    let nobody = ["models", "--server", "/nonexistent/ringmill"];
    check_refusal(run(&nobody), 2, "no server program at /nonexistent/ringmill", "`--server FILE`");
    let other = home.write("other.json", r#"{"schema": 1, "command": "run"}"#);
    check_refusal(run(&["models", "--from", &other]), 2, "no result of `models`", "--json FILE");
    let newer = home.write("newer.json", r#"{"schema": 1000, "command": "models"}"#);
    check_refusal(run(&["models", "--from", &newer]), 2, "schema 1000 is newer", "the version");
    check_refusal(run(&["models", "--from", &other, "--rounds", "3"]), 2, "cannot be used with", "--help");
}

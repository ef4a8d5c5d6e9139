//! What the program says before the first thread: help, refusals with their cures.

use std::net::TcpListener;

use crate::support::{Home, check_refusal, echo, program, run, said, serve};
use linux::sandbox::{self, Refusal};

#[test]
fn help_of_each_command_names_its_flags_and_shows_examples() {
    for (command, part) in [
        (&["--help"][..], "Exit codes:"),
        (&["run", "--help"], "--expect-crc32"),
        (&["hold", "--help"], "--echo-once"),
        (&["report", "--help"], "--output"),
        (&["compare", "--help"], "--html"),
        (&["merge", "--help"], "--output"),
    ] {
        let (code, out, err) = run(command);
        assert_eq!((code, err.as_str()), (Some(0), ""), "{command:?}");
        assert!(out.contains(part) && out.contains("Examples:"), "{command:?}: {out}");
    }
    let (code, out, _) = run(&["--version"]);
    assert!(code == Some(0) && out.starts_with("ringmill-load "), "{out}");
}

#[test]
fn flags_that_cannot_be_meant_are_exit_code_2_with_a_cure() {
    let home = Home::new();
    let echo = format!("echo://{}", serve(echo));
    let check = |args: &[&str], what: &str, cure: &str| check_refusal(run(args), 2, what, cure);
    check(&[], "there is nothing to load", "http://");
    check(&["https://x"], "no TLS in this version", "--help");
    check(&[&echo, "--rate", "0"], "a rate of 0 sends nothing", "--help");
    check(&[&echo, "--rate", "NaN"], "`NaN`", "--help");
    check(&[&echo, "--method", "GET"], "--method means nothing with echo://", "--help");
    check(&["http://127.0.0.1:1", "--size", "5"], "--size means nothing with http://", "--help");
    check(&["udp-echo://127.0.0.1:1", "--pipeline", "2"], "--pipeline above 1 means nothing", "--help");
    check(&["udp-echo://127.0.0.1:1", "--size", "70000"], "8 to 65507 bytes", "`--size 65507`");
    check(&["udp-echo://127.0.0.1:1", "--size", "1"], "8 to 65507 bytes", "`--size 8`");
    check(&[&echo, "--duration", "1us"], "at least 1ms", "--help");
    check(&[&echo, "--cores", "1023"], "core 1023 is not among the allowed cores", "`--cores ");
    check(&[&echo, "--shards", "4096"], "4096 shards need 4096 cores", "`--shards ");
    check(
        &[&echo, "--json", "/nonexistent/x"],
        "/nonexistent/x cannot be written",
        "a directory that exists",
    );
    check(&[&echo, "--csv", "x", "--html", "x"], "x is named for two results", "another file");
    check(&[&echo, "--json", "-", "--csv", "-"], "standard output is for the summary", "`--csv FILE`");
    check(&["http://127.0.0.1:1", "--expect-bytes", "5", "--no-verify"], "cannot be used with", "--help");
    check(&[&echo, "--tui"], "which is no terminal", "without `--tui`");
    check(&["http://127.0.0.1:1", "--body", "/nonexistent"], "No such file", "--body FILE");
    check(&["http://127.0.0.1:1", "-H", "Connection: close"], "not the request's to say", "--help");
    check(&[&echo, "--from", "192.0.2.1"], "no interface of this machine has the address", "ip address");
    check(&[&echo, "--from", "::1"], "addresses of IPv4 only", "`--from`");
    check(&[&echo, "-c", "40000000"], "40,000,000 connections", "--connections");
    check(&["udp-echo://127.0.0.1:1", "-c", "1025"], "there can be 1024", "`--connections 1024`");
    check(&["frame://127.0.0.1:1", "--size", "2MiB"], "at most 1048576 bytes", "`--size 1048576`");
    check(&["frame://127.0.0.1:1", "--method", "GET"], "--method means nothing with frame://", "--help");
    check(&["hold", &echo, "--echo-once"], "mean nothing without frame://", "hold --help");
    let frame = "frame://127.0.0.1:1";
    check(&["hold", frame, "--heartbeat", "1ms"], "is 100ms to 15m", "hold --help");
    check(&["hold", frame, "--mute", "2k"], "--mute 2000 is above --connections 1000", "hold --help");
    check(
        &["hold", frame, "--mute", "9", "--for", "30s"],
        "--duration 30 s is too short",
        "`--duration 91s`",
    );
    check(&["hold", frame, "--misses", "1"], "1 is not in 2..=20", "--help");
    let text = home.write("no.json", "{}");
    check(&["report", &text, "-o", "x"], "no.json: this is no result", "--json FILE");
    let newer = home.write("newer.json", r#"{"schema": 1000}"#);
    check(&["compare", &newer, &newer], "schema 1000 is newer than", "the version");
    check(&["merge", &text], "no.json: the line at byte 0", "--hlog FILE");
}

#[test]
fn a_port_with_nobody_behind_it_is_one_line_and_exit_code_1() {
    // An address of its own: nobody is given the port meanwhile, and no connection comes from there.
    let gone = TcpListener::bind("127.77.7.13:0").expect("a free port").local_addr().expect("it is bound");
    for scheme in ["http", "echo"] {
        let said = run(&[&format!("{scheme}://{gone}")]);
        check_refusal(said, 1, &format!("nobody listens at {gone}"), "another port");
    }
    check_refusal(run(&["http://nobody.invalid/"]), 1, "nobody.invalid: ", "another name");
}

#[test]
fn too_few_descriptors_are_named_with_the_number_of_connections_that_would_do() {
    let mut command = program();
    command.args([&format!("echo://{}", serve(echo)), "-c", "100", "--shards", "1"]);
    sandbox::limit_nofile(&mut command, 100);
    let said = said(command.output().expect("the program starts"));
    check_refusal(said, 2, "more than the 100 file descriptors", "`ulimit -n 184`, or `--connections 16`");
}

#[test]
fn a_result_that_cannot_be_written_is_one_line_and_a_cure() {
    let url = format!("echo://{}", serve(echo));
    for file in ["--json", "--csv", "--hlog", "--hgrm", "--html"] {
        let (code, _, err) =
            run(&[&url, "--duration", "100ms", "--warmup", "0", "-q", "-c", "1", file, "/dev/full"]);
        let lines: Vec<&str> = err.lines().collect();
        assert!(code == Some(1) && lines.len() == 2, "{file}: {err}");
        assert!(
            lines[0].contains("/dev/full: No space left") && lines[1].contains("Try a directory"),
            "{err}"
        );
    }
}

#[test]
fn io_uring_that_is_refused_is_one_line_and_a_cure() {
    let mut command = program();
    command.args([&format!("echo://{}", serve(echo)), "--shards", "1", "-c", "1"]);
    sandbox::refuse_io_uring(&mut command, Refusal::NotPermitted);
    check_refusal(said(command.output().expect("the program starts")), 1, "io_uring", "");
}

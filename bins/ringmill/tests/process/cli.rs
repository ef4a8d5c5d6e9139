//! What the program says before it serves: help, refusals with their cures, configurations, capabilities.

use std::fs;
use std::process::Command;

use crate::support::{Home, check_refusal, ringmill, run, said};
use serde_json::Value;

#[test]
fn help_and_version_are_answers_and_not_errors() {
    for (args, part) in
        [("--help", "--recv-buffers <COUNTxSIZE>"), ("-h", "Exit codes:"), ("--version", "ringmill ")]
    {
        let (code, out, err) = said(run(&[args]));
        assert_eq!((code, err.as_str()), (Some(0), ""), "{args}");
        assert!(out.contains(part), "{args}: {out}");
    }
}

#[test]
fn flags_that_cannot_be_meant_are_exit_code_2_with_a_cure() {
    let check = |args: &[&str], what: &str, cure: &str| check_refusal(run(args), 2, what, cure);
    check(&["--drian-ms", "5"], "unexpected argument '--drian-ms'", "`--drain-ms`");
    check(&["--engine", "kqueue"], "`kqueue` is no engine of this version: there are uring", "--help");
    check(&["--listen", "https://127.0.0.1:0"], "`https://` is no kind of listener", "--help");
    check(&["--listen", "admin://0.0.0.0:0"], "would show metrics to other machines", "`--admin-public`");
    check(&["--listen", "udp-echo://[::]:0"], "flood third parties", "`--udp-echo-public`");
    check(&["--cores", "1023"], "core 1023 is not among the allowed cores", "`--cores ");
    check(&["--shards", "4096"], "4096 shards need 4096 cores", "`--shards ");
    check(&["--recv-buffers", "100x16KiB"], "both powers of two", "--help");
    check(&["--report", "/nonexistent/report.json"], "/nonexistent/report.json", "a directory that exists");
    check(&["--config", "/nonexistent/ringmill.toml"], "No such file", "--config FILE");
}

#[test]
fn a_file_is_checked_and_its_first_mistake_is_named_by_line_and_column() {
    let home = Home::new();
    let good = home.write("good.toml", "listen = ['http://127.0.0.1:0']\nspin-us = 5\n");
    let (code, out, err) = said(run(&["check", &good]));
    assert_eq!((code, err.as_str()), (Some(0), ""));
    assert!(out.starts_with("ok: 1 listener, "), "{out}");

    let bad = home.write("bad.toml", "spin-us = 5\n\nthreads = 1\n");
    let what = format!("{bad}:3:1: unknown key `threads`");
    check_refusal(run(&["check", &bad]), 2, &what, "`ringmill --print-config`");
    let typo = home.write("typo.toml", "  drian-ms = 1\n");
    check_refusal(run(&["check", &typo]), 2, "typo.toml:1:3: unknown key `drian-ms`", "`drain-ms`");
    let cores = home.write("cores.toml", "cores = '1023'\n");
    check_refusal(run(&["check", &cores]), 2, "core 1023 is not among the allowed cores", "`--cores ");
}

#[test]
fn a_mistake_that_is_found_after_reading_a_file_names_the_file() {
    let home = Home::new();
    let check = |text: &str, what: &str| {
        let file = home.write("f.toml", text);
        check_refusal(run(&["check", &file]), 2, &format!("f.toml: {what}"), "");
        check_refusal(run(&["--config", &file]), 2, &format!("f.toml: {what}"), "");
    };
    check("listen = []", "there is nothing to listen on");
    check("listen = ['admin://0.0.0.0:0']", "admin://0.0.0.0:0 would show metrics to other machines");
    check("cores = '1023'", "core 1023 is not among the allowed cores");
    check("shards = 4096", "4096 shards need 4096 cores");
    check("report = '/nonexistent/report.json'", "the report cannot be written");
    let value = home.write("value.toml", "spin-us = -1");
    check_refusal(run(&["check", &value]), 2, "value.toml:1:11: ", "`ringmill --help`");
    let syntax = home.write("syntax.toml", "spin-us = ");
    check_refusal(run(&["check", &syntax]), 2, "syntax.toml:1:11: ", "`ringmill --print-config`");
    let good = home.write("good.toml", "listen = ['http://127.0.0.1:0']");
    let output = run(&["--config", &good, "--listen", "admin://0.0.0.0:0"]);
    check_refusal(output, 2, "good.toml and the flags over it: admin://0.0.0.0:0 would", "`--admin-public`");
}

#[test]
fn a_check_of_what_this_machine_refuses_is_exit_code_2() {
    let home = Home::new();
    let file = home.write("f.toml", "listen = ['http://127.0.0.1:0']\nshards = 1\n");
    let mut command = ringmill();
    linux::sandbox::limit_nofile(command.args(["check", &file]), 10);
    let output = command.output().expect("ringmill starts");
    check_refusal(output, 2, "10 file descriptors are allowed", "`ulimit -n ");
    let full = fs::OpenOptions::new().write(true).open("/dev/full").expect("it is always there");
    let output = ringmill().args(["check", &file]).stdout(full).output().expect("ringmill starts");
    check_refusal(output, 2, "standard output: No space left on device", "");
}

#[test]
fn relays_that_lead_in_a_circle_are_named_before_the_start() {
    let home = Home::new();
    let [a, b] = ["relay://127.9.9.9:1099?to=127.9.9.9:1098", "relay://*:1098?to=[::ffff:127.9.9.9]:1099"];
    let what = format!("{a} leads to itself by way of relay://[::]:1098?to=[::ffff:127.9.9.9]:1099");
    check_refusal(run(&["--listen", a, "--listen", b]), 2, &what, "after `to=`");
    let file = home.write("f.toml", &format!("listen = ['{a}', '{b}']\n"));
    check_refusal(run(&["check", &file]), 2, &format!("f.toml: {what}"), "after `to=`");
}

#[test]
fn a_pipe_is_no_configuration_and_nobody_waits_for_its_writer() {
    let home = Home::new();
    let pipe = home.path("pipe").display().to_string();
    assert!(Command::new("mkfifo").arg(&pipe).status().expect("mkfifo").success());
    for args in [["check", &pipe], ["--config", &pipe]] {
        check_refusal(run(&args), 2, "pipe: this is no regular file", "--config FILE");
    }
}

#[test]
fn an_answer_that_cannot_be_written_is_an_error_unless_its_reader_has_gone() {
    for args in [&["--help"][..], &["--version"], &["--print-config"], &["caps"], &["caps", "--json"]] {
        let full = fs::OpenOptions::new().write(true).open("/dev/full").expect("it is always there");
        let output = ringmill().args(args).stdout(full).output().expect("ringmill starts");
        check_refusal(output, 1, "standard output: No space left on device", "");

        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let output = ringmill().args(args).stdout(writer).output().expect("ringmill starts");
        assert_eq!(said(output), (Some(0), String::new(), String::new()), "{args:?}");
    }
}

#[test]
fn receive_buffers_that_memory_cannot_hold_are_refused_before_the_start() {
    let home = Home::new();
    let meminfo = fs::read_to_string("/proc/meminfo").expect("proc is mounted");
    let total = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:")).expect("a line MemTotal");
    let kib: u64 = total.trim().trim_end_matches(" kB").parse().expect("a number of kB");
    if kib >= 32 << 20 {
        #[expect(clippy::print_stderr, reason = "a test that skips says so")]
        {
            eprintln!("skipped: this machine has room for the most buffers of a shard");
        }
        return;
    }
    let file = home.write("f.toml", "recv-buffers = '32768x1MiB'\nshards = 1\n");
    for (args, code) in [(["check", &file], 2), (["--config", &file], 1)] {
        check_refusal(run(&args), code, "32768x1024KiB on 1 shard are 32.0 GiB", "`--recv-buffers ");
    }
}

#[test]
fn a_printed_configuration_can_be_fed_back_and_flags_override_it() {
    let home = Home::new();
    let flags = [
        "--listen",
        "relay://[::1]:0?to=127.0.0.1:1",
        "--name",
        "a.example",
        "--drain-ms",
        "7",
        "--huge-pages",
    ];
    let (code, printed, _) =
        said(ringmill().args(flags).arg("--print-config").output().expect("ringmill starts"));
    assert_eq!(code, Some(0));
    assert!(printed.contains("\ndrain-ms = 7\n") && printed.contains("\nhuge-pages = true\n"), "{printed}");

    let file = home.write("printed.toml", &printed);
    let again = run(&["--config", &file, "--print-config"]);
    assert_eq!(said(again), (Some(0), printed.clone(), String::new()));
    let (_, changed, _) = said(run(&["--config", &file, "--drain-ms", "8", "--print-config"]));
    assert_eq!(changed, printed.replace("\ndrain-ms = 7\n", "\ndrain-ms = 8\n"));
}

#[test]
fn caps_tells_the_kernel_the_limits_and_the_cores() {
    let (code, text, _) = said(run(&["caps"]));
    assert_eq!(code, Some(0));
    for name in [
        "kernel ",
        "io_uring ",
        "descriptors ",
        "locked memory ",
        "accept queue ",
        "cores ",
        "cgroup grants ",
    ] {
        assert!(text.lines().any(|line| line.starts_with(name)), "{name}: {text}");
    }
    let (code, json, _) = said(run(&["caps", "--json"]));
    let json: Value = serde_json::from_str(&json).expect("JSON");
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").expect("proc is mounted");
    assert_eq!((code, json["kernel"].as_str()), (Some(0), Some(kernel.trim())));
    assert!(json["cores"]["allowed"].as_array().is_some_and(|cores| !cores.is_empty()), "{json}");
}

#[test]
fn caps_of_a_user_who_may_not_have_a_ring_says_why_and_what_to_do() {
    let mut command = ringmill();
    command.args(["caps", "--json"]);
    linux::sandbox::refuse_io_uring(&mut command, linux::sandbox::Refusal::NotPermitted);
    let (code, json, _) = said(command.output().expect("ringmill starts"));
    let json: Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!((code, &json["io_uring"]["tier"]), (Some(0), &Value::Null));
    assert!(json["io_uring"]["refused"].is_string() && json["advice"][0].is_string(), "{json}");
}

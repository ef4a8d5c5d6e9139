//! Experiments from outside: what cannot be meant, and a whole one with a command in place of a server.

#![allow(clippy::print_stderr, reason = "a test that must skip says so aloud")]

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

fn lab(words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ringmill-lab")).args(words).output().expect("it was built")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn what_cannot_be_meant_is_one_line_and_a_cure_and_exit_code_2() {
    let check = |words: &[&str], what: &str, cure: &str| {
        let output = lab(words);
        let said = said(&output);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(what) && said.contains(cure), "{words:?}: {said}");
    };
    check(&["ab", "--b", "somaxconn=8"], "`somaxconn` is no knob", "net.core.somaxconn");
    check(&["ab", "--b", "vm.swappiness=1"], "of the whole host", "explain vm.swappiness");
    check(&["ab", "--b", "net.core.somaxconn=8", "--budget", "9s"], "the first look is after 8", "--budget");
    check(&["ab", "--b", "net.core.somaxconn=8", "--workload", "command:x"], "no figure", "--figure");
    check(&["ab", "--b", "net.core.somaxconn=8", "--figure", "p99_ns"], "p99_ns takes a rate", "--rate 10k");
    check(&["prove", "classic", "--figure", "connect_p99_ns"], "connect_p99_ns takes a rate", "--rate 10k");
    check(&["ab", "--b", "net.core.somaxconn=8", "--html", "/nowhere/x"], "no such directory", "a file");
    check(&["prove", "nothing-of-the-kind"], "is no profile", "classic");
    check(&["reanalyse", "/proc/version"], "this is no JSON", "ab --json FILE");
}

#[test]
fn an_experiment_is_written_drawn_and_judged_again_and_a_file_that_says_others_is_found() {
    let home = std::env::temp_dir().join(format!("ringmill-lab-ab-{}", std::process::id()));
    fs::create_dir_all(&home).expect("a directory of our own");
    let file = |name: &str| -> PathBuf { home.join(name) };
    let [json, html, other] =
        ["ab.json", "ab.html", "other.json"].map(|name| file(name).display().to_string());
    let words = ["ab", "--b", "net.core.somaxconn=8", "--workload", "command:/bin/echo {\"cost\":7}"];
    let how = ["--figure", "cost", "--duration", "1ms", "--warmup", "1ms", "--budget", "5m", "--json", &json];
    let output = lab(&[&words[..], &how].concat());
    if said(&output).contains("CAP_SYS_ADMIN") {
        return eprintln!("not tested: {}", said(&output));
    }
    // 3 where somebody else uses this machine.
    assert!(matches!(output.status.code(), Some(0 | 3)), "{}", said(&output));
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(told.contains("equivalent: cost of B lies 0.00 %"), "{told}");
    assert_eq!(lab(&["reanalyse", &json]).status.code(), Some(0));
    assert_eq!(lab(&["report", &json, "-o", &html]).status.code(), Some(0));
    assert!(fs::read_to_string(&html).expect("it was written").contains("cost, every run in its order"));
    let text = fs::read_to_string(&json).expect("it was written");
    fs::write(&other, text.replacen("\"equivalent\"", "\"better\"", 1)).expect("our own");
    let found = lab(&["reanalyse", &other]);
    assert_eq!(found.status.code(), Some(3));
    assert!(said(&found).contains("do not give what the file says"), "{}", said(&found));
    fs::remove_dir_all(&home).ok();
}

#[test]
fn a_knob_that_is_refused_or_unknown_is_said_to_be_so_and_the_others_have_their_trial() {
    let home = std::env::temp_dir().join(format!("ringmill-lab-prove-{}", std::process::id()));
    fs::create_dir_all(&home).expect("a directory of our own");
    let profile = home.join("p.conf");
    let lines = "net.ipv4.tcp_congestion_control=nosuch\nnet.core.somaxconn=8\nkernel.core_pattern=core\n";
    fs::write(&profile, lines).expect("our own");
    let words = ["prove", profile.to_str().expect("text"), "--workload", "command:/bin/echo {\"cost\":7}"];
    let how = ["--figure", "cost", "--duration", "1ms", "--warmup", "1ms", "--budget", "5m", "--json"];
    let output = lab(&[&words[..], &how].concat());
    fs::remove_dir_all(&home).ok();
    if said(&output).contains("CAP_SYS_ADMIN") {
        return eprintln!("not tested: {}", said(&output));
    }
    // 3 where somebody else uses this machine.
    assert!(matches!(output.status.code(), Some(0 | 3)), "{}", said(&output));
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON and nothing else");
    assert_eq!(told["arms"][2]["spec"], "net.core.somaxconn=8");
    let knobs = told["knobs"].as_array().expect("a list");
    let text = |knob: &serde_json::Value, key: &str| knob[key].as_str().unwrap_or_default().to_owned();
    let verdicts: Vec<_> = knobs.iter().map(|knob| (text(knob, "name"), text(knob, "verdict"))).collect();
    let expected = [
        ("net.ipv4.tcp_congestion_control", "not testable here"),
        ("net.core.somaxconn", "equivalent"),
        ("kernel.core_pattern", "not testable here"),
    ];
    assert_eq!(verdicts, expected.map(|(name, verdict)| (name.to_owned(), verdict.to_owned())));
    let [refused, unknown] = [0, 2].map(|at| text(&knobs[at], "reason"));
    assert!(refused.contains("tcp_congestion_control=nosuch: "), "{refused}");
    assert!(unknown.contains("no knob of the catalogue"), "{unknown}");
}

//! The program from outside, on trees of files that stand for hosts.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

/// A tree of files, gone when it is dropped.
struct Host(PathBuf);

impl Host {
    fn of(name: &str, files: &[(&str, &str)]) -> Host {
        let home = std::env::temp_dir().join(format!("ringmill-lab-{name}-{}", std::process::id()));
        let host = Host(home);
        for (path, text) in files.iter().chain(&[("proc/version", ""), ("sys/version", "")]) {
            let path = host.0.join(path);
            fs::create_dir_all(path.parent().expect("it is below the top")).expect("a directory of our own");
            fs::write(path, text).expect("a file of our own");
        }
        host
    }

    fn run(&self, words: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ringmill-lab"));
        command.arg("--root").arg(&self.0).args(words).output().expect("it was built")
    }

    /// Everything below it, to see that nothing changed.
    fn content(&self) -> Vec<(PathBuf, String)> {
        let mut found = Vec::new();
        let mut folders = vec![self.0.clone()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).expect("our own").map(|entry| entry.expect("our own").path()) {
                match entry.is_dir() {
                    true => folders.push(entry),
                    false => found.push((entry.clone(), fs::read_to_string(entry).expect("our own"))),
                }
            }
        }
        found.sort();
        found
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

const SOMAXCONN: (&str, &str) = ("proc/sys/net/core/somaxconn", "128\n");

#[test]
fn a_plan_ends_with_3_while_changes_are_pending_and_changes_nothing() {
    let host = Host::of("pending", &[SOMAXCONN]);
    let before = host.content();
    let pending = host.run(&["plan", "--set", "net.core.somaxconn=4096"]);
    assert_eq!(pending.status.code(), Some(3), "{pending:?}");
    assert!(text(&pending.stdout).contains("128 -> 4096"), "{pending:?}");
    assert_eq!(host.run(&["plan", "--set", "net.core.somaxconn=128"]).status.code(), Some(0));
    assert_eq!(host.run(&["audit", "classic"]).status.code(), Some(3));
    assert_eq!(host.run(&["doctor"]).status.code(), Some(0));
    assert_eq!(host.content(), before);
}

#[test]
fn a_file_of_sysctl_d_is_held_against_a_host_and_what_it_may_not_name_is_dropped() {
    let conf = "kernel.core_pattern = |/bin/x\nnet.core.somaxconn = 512\n";
    let host =
        Host::of("dropped", &[SOMAXCONN, ("90.conf", conf), ("proc/sys/kernel/core_pattern", "core\n")]);
    let path = host.0.join("90.conf");
    let plan = host.run(&["plan", path.to_str().expect("text"), "--json"]);
    assert_eq!(plan.status.code(), Some(3), "{plan:?}");
    let told: serde_json::Value = serde_json::from_slice(&plan.stdout).expect("JSON and nothing else");
    assert_eq!(told["dropped"][0]["name"], "kernel.core_pattern");
    let lines = told["lines"].as_array().expect("a list");
    assert!(matches!(&lines[..], [line] if line["target"] == "512"), "{lines:?}");
}

#[test]
fn a_profile_is_shown_as_a_file_of_sysctl_d_or_of_tuned_and_a_plan_reads_that_again() {
    let host = Host::of("export", &[("proc/sys/net/ipv4/tcp_sack", "1\n")]);
    for flag in ["--sysctl-d", "--tuned"] {
        let shown = host.run(&["plan", "edge", flag]);
        assert_eq!(shown.status.code(), Some(0), "{shown:?}");
        assert_eq!(text(&shown.stdout).contains("[sysctl]"), flag == "--tuned", "{shown:?}");
        let path = host.0.join("exported.conf");
        fs::write(&path, &shown.stdout).expect("our own");
        let again = host.run(&["plan", path.to_str().expect("text"), "--json"]);
        let told: serde_json::Value = serde_json::from_slice(&again.stdout).expect("JSON and nothing else");
        let lines = [&told["lines"], &told["dropped"]].map(|list| list.as_array().map(Vec::len));
        assert_eq!(lines, [Some(9), Some(0)], "{flag}: {told}");
    }
}

#[test]
fn json_goes_to_a_file_beside_the_text() {
    let host = Host::of("json", &[("proc/net/softnet_stat", "0000000a 00000001 0\n")]);
    let file = host.0.join("doctor.json");
    let doctor = host.run(&["doctor", "--json", file.to_str().expect("text")]);
    assert!(text(&doctor.stdout).starts_with("1. drops (failing)"), "{doctor:?}");
    let told = fs::read_to_string(file).expect("it was written");
    let told: serde_json::Value = serde_json::from_str(&told).expect("JSON");
    assert_eq!(told["findings"][0]["subject"], "drops");
}

#[test]
fn a_knob_is_explained_by_its_last_word_and_one_that_is_none_is_2_with_a_cure() {
    let host = Host::of("explain", &[]);
    let told = host.run(&["explain", "tcp_tw_recycle"]);
    assert!(text(&told.stdout).contains("gone since Linux 4.12"), "{told:?}");
    let wrong = host.run(&["explain", "net.ipv4.somaxconn"]);
    assert_eq!(wrong.status.code(), Some(2));
    assert!(text(&wrong.stderr).contains("Try `net.core.somaxconn`."), "{wrong:?}");
    let nowhere = host.run(&["--root", "/nowhere/at/all", "doctor"]);
    assert_eq!(nowhere.status.code(), Some(2), "{nowhere:?}");
}

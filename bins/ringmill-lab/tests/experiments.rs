//! Experiments from outside: what cannot be meant, and a whole one with a command in place of a server.

#![allow(clippy::print_stderr, reason = "a test that must skip says so aloud")]

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use stats::experiment::{Arm, Better, Declaration, Ended, Experiment, Origin};

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
    let command = ["ab", "--b", "net.core.somaxconn=8", "--workload", "command:x", "--figure"];
    check(&[&command[..], &["mbps"]].concat(), "which way of mbps is good", "--better higher");
    check(&[&command[..], &["mbps", "--better", "up"]].concat(), "expected higher or lower", "--help");
    check(&[&command[..], &["x_per_s", "--budget", "9s"]].concat(), "the first look is after 8", "--budget");
    check(&["ab", "--b", "net.core.somaxconn=8", "--figure", "p99_ns"], "p99_ns takes a rate", "--rate 10k");
    check(&["prove", "classic", "--figure", "connect_p99_ns"], "connect_p99_ns takes a rate", "--rate 10k");
    check(
        &["ab", "--b", "net.core.somaxconn=8", "--figure", "p98_ns"],
        "no run of this workload has a figure",
        "p99_ns",
    );
    check(&["ab", "--b", "net.core.somaxconn=8", "--html", "/nowhere/x"], "no such directory", "a file");
    let flags = ["ab", "--b", "ringmill.spin-us=9", "--workload", "command:x", "--figure", "x_per_s"];
    check(&flags, "brings its own server", "into the command");
    check(&["prove", "nothing-of-the-kind"], "is no profile", "classic");
    check(&["reanalyse", "/proc/version"], "this is no JSON", "ab --json FILE");
}

/// A workload that costs the same each time, and takes none.
const COMMAND: [&str; 6] =
    ["--workload", "command:/bin/echo {\"cost\":7}", "--figure", "cost", "--better", "lower"];
const TIMES: [&str; 6] = ["--duration", "1ms", "--warmup", "1ms", "--budget", "5m"];

/// A directory that is gone with the value.
struct Home(PathBuf);

impl Home {
    fn of(name: &str) -> Home {
        let home = std::env::temp_dir().join(format!("ringmill-lab-{name}-{}", std::process::id()));
        fs::create_dir_all(&home).expect("a directory of our own");
        Home(home)
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }

    /// A result in which no run was made, as a file.
    fn result(&self, name: &str, change: impl FnOnce(&mut Experiment)) -> String {
        let declaration = Declaration::new("", "net.core.somaxconn=8", "cost", Better::Lower, 1);
        let arms = declaration.arms.iter();
        let arms = arms.map(|arm| Arm { name: arm.name.clone(), spec: arm.spec.clone(), runs: Vec::new() });
        let arms = arms.collect();
        let mut made = Experiment::of(declaration, arms, Ended::Stopped, Origin::default());
        change(&mut made);
        let path = self.path(name);
        fs::write(&path, serde_json::to_string(&made).expect("JSON")).expect("our own");
        path
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}

#[test]
fn a_result_without_one_of_its_arms_is_refused_and_not_judged() {
    let home = Home::of("arm");
    assert_eq!(lab(&["reanalyse", &home.result("whole.json", |_| ())]).status.code(), Some(0));
    let short = home.result("short.json", |made| drop(made.arms.pop()));
    for words in [&["reanalyse", &short][..], &["report", &short, "-o", &home.path("x.html")]] {
        let output = lab(words);
        assert_eq!(output.status.code(), Some(2), "{}", said(&output));
        assert!(said(&output).contains("its arms are A, A' in place of A, A', B"), "{}", said(&output));
    }
}

#[test]
fn a_report_is_a_page_and_the_result_told_or_as_json() {
    let home = Home::of("report");
    let (result, html) = (home.result("a.json", |_| ()), home.path("a.html"));
    let told = lab(&["report", &result, "-o", &html]);
    let text = String::from_utf8_lossy(&told.stdout).into_owned();
    assert!(text.starts_with("undecided: no block has cost"), "{text}{}", said(&told));
    assert!(fs::read_to_string(&html).expect("it was written").contains("cost: B against A"));
    let json = lab(&["report", &result, "-o", &html, "--json"]);
    let [told, stored] = [json.stdout, fs::read(&result).expect("our own")]
        .map(|bytes| serde_json::from_slice::<Experiment>(&bytes).expect("a result and nothing else"));
    assert_eq!(told, stored);
    let nowhere = lab(&["report", &result, "-o", "/nowhere/x.html"]);
    assert_eq!(nowhere.status.code(), Some(2), "{}", said(&nowhere));
}

#[test]
fn an_experiment_is_written_drawn_and_judged_again_and_a_file_that_says_others_is_found() {
    let home = Home::of("ab");
    let [json, html, other] = ["ab.json", "ab.html", "other.json"].map(|name| home.path(name));
    let words = ["ab", "--b", "net.core.somaxconn=8"];
    let output = lab(&[&words[..], &COMMAND, &TIMES, &["--json", &json]].concat());
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
}

#[test]
fn who_ends_an_experiment_is_told_what_was_measured_until_then() {
    use std::os::unix::fs::PermissionsExt;
    let home = Home::of("stop");
    let (script, count) = (home.path("run"), home.path("count"));
    // In the first run of the fourth block somebody has seen enough; that run never ends by itself.
    let lines = format!(
        "#!/bin/sh\necho >> {count}\nif [ $(wc -l < {count}) -gt 9 ]; then kill -INT $PPID; kill -STOP $$; fi\necho '{{\"cost\":7}}'\n"
    );
    fs::write(&script, lines).expect("our own");
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).expect("our own");
    let (workload, json) = (format!("command:{script}"), home.path("ab.json"));
    let words = ["ab", "--b", "net.core.somaxconn=8", "--workload", &workload, "--json", &json];
    let output = lab(&[&words[..], &COMMAND[2..], &TIMES].concat());
    if said(&output).contains("CAP_SYS_ADMIN") {
        return eprintln!("not tested: {}", said(&output));
    }
    // 3 where somebody else uses this machine.
    assert!(matches!(output.status.code(), Some(0 | 3)), "{}", said(&output));
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(told.starts_with("undecided") || told.starts_with("WARNING"), "{told}");
    assert!(told.contains("ended by its user after 3 usable blocks") && told.contains("+0.00 %"), "{told}");
    let kept: Experiment = serde_json::from_slice(&fs::read(&json).expect("it was written")).expect("JSON");
    assert_eq!((kept.ended, kept.blocks), (Ended::Stopped, 3));
}

#[test]
fn a_knob_that_is_refused_or_unknown_is_said_to_be_so_and_the_others_have_their_trial() {
    let home = Home::of("prove");
    let profile = home.path("p.conf");
    let lines = "net.ipv4.tcp_congestion_control=nosuch\nnet.core.somaxconn=8\nkernel.core_pattern=core\n";
    fs::write(&profile, lines).expect("our own");
    let output = lab(&[&["prove", &profile][..], &COMMAND, &TIMES, &["--json"]].concat());
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

#[test]
fn a_range_of_ports_that_is_taken_after_its_bound_only_is_tried_together_with_that() {
    let home = Home::of("together");
    let profile = home.path("p.conf");
    let lines = "net.ipv4.ip_local_port_range=500 65000\nnet.ipv4.ip_unprivileged_port_start=80\n";
    fs::write(&profile, lines).expect("our own");
    let output = lab(&[&["prove", &profile][..], &COMMAND, &TIMES, &["--json"]].concat());
    if said(&output).contains("CAP_SYS_ADMIN") {
        return eprintln!("not tested: {}", said(&output));
    }
    // 3 where somebody else uses this machine.
    assert!(matches!(output.status.code(), Some(0 | 3)), "{}", said(&output));
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON and nothing else");
    let both = "net.ipv4.ip_unprivileged_port_start=80,net.ipv4.ip_local_port_range=500 65000";
    assert_eq!(told["arms"][2]["spec"], both);
    let knobs = told["knobs"].as_array().expect("a list");
    assert_eq!(knobs.len(), 1);
    assert_eq!(knobs[0]["name"], "net.ipv4.ip_unprivileged_port_start + net.ipv4.ip_local_port_range");
    assert_eq!(knobs[0]["verdict"], "equivalent");
}

#[test]
fn a_profile_of_which_nothing_can_be_tried_is_no_experiment() {
    let home = Home::of("nothing");
    let profile = home.path("p.conf");
    fs::write(&profile, "vm.swappiness=1\n").expect("our own");
    let output = lab(&[&["prove", &profile][..], &COMMAND, &TIMES].concat());
    if said(&output).contains("CAP_SYS_ADMIN") {
        return eprintln!("not tested: {}", said(&output));
    }
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains("vm.swappiness: it is of the whole host"), "{}", said(&output));
}

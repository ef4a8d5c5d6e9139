//! The program changes a tree of files and takes it back; its exit codes and answers are as its help says.
//!
//! Nothing here waits for a time: the program says when it waits, and the host's lock says when its dead-man has ended.
#![forbid(unsafe_code)]

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, ChildStderr, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::Value;

/// A host made of files, gone when it is dropped.
struct Home(PathBuf);

const SOMAXCONN: &str = "proc/sys/net/core/somaxconn";
const SWAPPINESS: &str = "proc/sys/vm/swappiness";

impl Home {
    fn new() -> Home {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let home = Home(std::env::temp_dir().join(format!("ringmill-lab-{}-{number}", std::process::id())));
        for (path, text) in [(SOMAXCONN, "4096\n"), (SWAPPINESS, "60\n"), ("etc/motd", ""), ("sys/x", "")] {
            let path = home.0.join(path);
            fs::create_dir_all(path.parent().expect("below the home")).expect("a directory of our own");
            fs::write(path, text).expect("a file of our own");
        }
        home
    }

    fn get(&self, path: &str) -> String {
        fs::read_to_string(self.0.join(path)).expect("a file of our own")
    }

    fn lab(&self, words: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ringmill-lab"));
        command.args(words.split_whitespace()).arg("--root").arg(&self.0);
        command
    }

    fn run(&self, words: &str) -> Output {
        self.lab(words).output().expect("the program starts")
    }

    #[track_caller]
    fn check(&self, words: &str, code: i32, part: &str) {
        let output = self.run(words);
        let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{words}: {said}");
        assert!(said.contains(part), "{words}: {said}");
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}

/// Starts an apply and returns when it waits to be confirmed.
fn waiting(home: &Home, words: &str) -> (Child, BufReader<ChildStderr>) {
    let mut command = home.lab(words);
    let mut child =
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts");
    let mut says = BufReader::new(child.stderr.take().expect("a pipe"));
    let mut line = String::new();
    while !line.contains("ringmill-lab confirm --root") {
        line.clear();
        assert_ne!(says.read_line(&mut line).expect("text"), 0, "it ended before it waited");
    }
    (child, says)
}

/// The first process that `parent` has started and that has not ended (proc_pid_stat(5)).
fn child_of(parent: u32) -> Option<String> {
    let parent = parent.to_string();
    let processes = fs::read_dir("/proc").expect("every Linux has it").flatten();
    let mut names = processes.filter_map(|process| process.file_name().into_string().ok());
    names.find(|name| {
        // Its name is in brackets and may have anything in it; behind it are its state and its parent.
        let stat = fs::read_to_string(format!("/proc/{name}/stat")).unwrap_or_default();
        let fields = stat.rsplit_once(')').map(|(_, fields)| fields);
        fields.and_then(|fields| fields.split_whitespace().nth(1)) == Some(parent.as_str())
    })
}

#[test]
fn what_is_confirmed_stays_and_reverts_later() {
    let home = Home::new();
    let (child, _says) = waiting(&home, "apply --set net.core.somaxconn=8192 --json");
    assert_eq!(home.get(SOMAXCONN), "8192");
    home.check("apply --set net.core.somaxconn=1", 1, "another ringmill-lab is changing settings");
    home.check("confirm", 0, "kept: it was confirmed");
    let output = child.wait_with_output().expect("a child");
    assert_eq!(output.status.code(), Some(0));
    let answer: Value = serde_json::from_slice(&output.stdout).expect("JSON and nothing else");
    assert_eq!(answer["end"], "confirmed");
    home.check("confirm", 1, "no transaction waits");
    home.check("apply --set net.core.somaxconn=8192", 0, "nothing is to be changed");
    home.check("revert", 0, "net.core.somaxconn: 4096, as before");
    assert_eq!(home.get(SOMAXCONN), "4096\n");
    home.check("revert", 1, "no transaction waits");
}

#[test]
fn what_is_not_confirmed_comes_back_and_so_does_what_a_killed_apply_left() {
    let home = Home::new();
    home.check("apply --set net.core.somaxconn=8192 --confirm-within 1s", 4, "was not confirmed in time");
    let (mut child, _says) = waiting(&home, "apply --set net.core.somaxconn=8192");
    child.kill().expect("SIGKILL to a child");
    child.wait().expect("a child");
    let lock = fs::File::open(home.0.join("run/ringmill-lab/lock")).expect("a transaction was there");
    linux::file::lock(&lock).expect("a file can be locked");
    linux::file::unlock(&lock).expect("it was locked");
    assert_eq!(home.get(SOMAXCONN), "4096\n");
    home.check("recover", 0, "nothing was left");
}

#[test]
fn who_ends_an_apply_is_told_that_everything_came_back() {
    for signal in ["-INT", "-TERM", "-HUP"] {
        let home = Home::new();
        let (child, _says) = waiting(&home, "apply --set net.core.somaxconn=8192");
        let sent = Command::new("kill").args([signal, &child.id().to_string()]).status().expect("kill runs");
        assert!(sent.success());
        let output = child.wait_with_output().expect("a child");
        let said = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(4), "{signal}: {said}");
        assert!(
            said.contains("taken back: it was asked for")
                && said.contains("net.core.somaxconn: 4096, as before"),
            "{said}"
        );
        assert_eq!(home.get(SOMAXCONN), "4096\n");
        home.check("recover", 0, "nothing was left");
    }
}

#[test]
fn who_ends_an_apply_during_its_health_check_does_not_wait_for_that() {
    let home = Home::new();
    let hangs = home.0.join("hangs");
    // It tells that it has begun by ending the apply, and never ends itself.
    fs::write(&hangs, "#!/bin/sh\nkill -INT $PPID\nkill -STOP $$\n").expect("a file of our own");
    fs::set_permissions(&hangs, fs::Permissions::from_mode(0o755)).expect("a file of our own");
    let words = "apply --set net.core.somaxconn=8192 --confirm-within 1h --check";
    home.check(&format!("{words} {}", hangs.display()), 4, "net.core.somaxconn: 4096, as before");
    assert_eq!(home.get(SOMAXCONN), "4096\n");
}

#[test]
fn a_dead_man_that_is_asked_to_end_watches_on() {
    let home = Home::new();
    let (mut child, _says) = waiting(&home, "apply --set net.core.somaxconn=8192");
    let dead_man = child_of(child.id()).expect("it watches");
    for signal in ["-INT", "-TERM", "-HUP"] {
        let sent = Command::new("kill").args([signal, &dead_man]).status().expect("kill runs");
        assert!(sent.success());
    }
    home.check("confirm", 0, "kept: it was confirmed");
    assert_eq!(child.wait().expect("a child").code(), Some(0));
    assert_eq!(home.get(SOMAXCONN), "8192");
}

#[test]
fn what_somebody_else_changed_is_left_alone_and_said_by_the_exit_code() {
    let home = Home::new();
    let (mut child, _says) = waiting(&home, "apply --set net.core.somaxconn=8192");
    fs::write(home.0.join(SOMAXCONN), "7\n").expect("a file of our own");
    home.check("revert", 5, "foreign change, left alone: it was 4096 and is 7");
    assert_eq!(child.wait().expect("a child").code(), Some(5));
    assert_eq!(home.get(SOMAXCONN), "7\n");
}

#[test]
fn nothing_is_changed_or_kept_where_the_answer_has_no_place() {
    let home = Home::new();
    let nowhere = home.0.join("missing/outcome.json");
    let json = format!("--json {}", nowhere.display());
    home.check(&format!("apply --set net.core.somaxconn=8192 {json}"), 2, "there is no such directory");
    assert_eq!(home.get(SOMAXCONN), "4096\n");
    let (mut child, _says) = waiting(&home, "apply --set net.core.somaxconn=8192");
    home.check(&format!("confirm {json}"), 2, "there is no such directory");
    home.check(&format!("revert {json}"), 2, "there is no such directory");
    assert_eq!(home.get(SOMAXCONN), "8192");
    home.check("confirm", 0, "kept: it was confirmed");
    assert_eq!(child.wait().expect("a child").code(), Some(0));
    home.check(&format!("revert {json}"), 2, "there is no such directory");
    home.check(&format!("recover {json}"), 2, "there is no such directory");
    home.check(&format!("persist edge {json}"), 2, "there is no such directory");
    assert_eq!(home.get(SOMAXCONN), "8192");
    assert!(!home.0.join("etc/sysctl.d").exists());
}

#[test]
fn a_setting_of_the_whole_host_takes_a_word_and_leaks_out_of_a_namespace() {
    let home = Home::new();
    home.check("apply --set vm.swappiness=1", 2, "is felt by every process of the host");
    home.check(
        "apply --set vm.swappiness=1 --host --netns blue",
        2,
        "is felt outside of the network namespace",
    );
    assert_eq!(home.get(SWAPPINESS), "60\n");
    home.check("apply --set vm.swappiness=1 --host --check /bin/false", 4, "the health check failed");
    assert_eq!(home.get(SWAPPINESS), "60\n");
}

#[test]
fn a_health_check_that_does_not_end_is_over_when_the_time_is_up() {
    let home = Home::new();
    let hangs = home.0.join("hangs");
    fs::write(&hangs, "#!/bin/sh\nkill -STOP $$\n").expect("a file of our own");
    fs::set_permissions(&hangs, fs::Permissions::from_mode(0o755)).expect("a file of our own");
    let words = "apply --set net.core.somaxconn=8192 --confirm-within 1s --check";
    home.check(&format!("{words} {}", hangs.display()), 4, "taken back: ");
    assert_eq!(home.get(SOMAXCONN), "4096\n");
}

#[test]
fn what_is_no_knob_cannot_be_written_or_persisted() {
    let home = Home::new();
    home.check("apply --set kernel.core_pattern=|/bin/sh", 2, "is no knob of the catalogue");
    let profile = home.0.join("edge-of-night.conf");
    fs::write(&profile, "kernel.core_pattern = |/bin/sh\nnet.core.somaxconn = 512\n")
        .expect("a file of our own");
    home.check(
        &format!("persist {}", profile.display()),
        0,
        "etc/sysctl.d/90-ringmill-edge-of-night.conf: 1 settings",
    );
    let text = home.get("etc/sysctl.d/90-ringmill-edge-of-night.conf");
    assert!(text.ends_with("\nnet.core.somaxconn = 512\n") && !text.contains("core_pattern"), "{text}");
    fs::write(home.0.join("etc/sysctl.d/99-other.conf"), "net.core.somaxconn = 1\n")
        .expect("a file of our own");
    home.check(&format!("persist {}", profile.display()), 3, "99-other.conf is read later and sets 1");
}

#[test]
fn what_a_host_has_more_of_than_is_asked_for_at_least_is_neither_lowered_nor_persisted() {
    let home = Home::new();
    let profile = home.0.join("many.toml");
    let text = |least: u32| {
        format!(
            "what = 'Many'\n[[set]]\nknob = 'net.core.somaxconn'\nvalue = {least}\nat_least = true\n\
             why = ''\nsource = ''\nevidence = ''\n"
        )
    };
    fs::write(&profile, text(512)).expect("a file of our own");
    let words = format!("{}", profile.display());
    home.check(&format!("apply {words}"), 0, "nothing is to be changed");
    home.check(&format!("audit {words}"), 0, "as wanted  net.core.somaxconn is 4096");
    home.check(&format!("persist {words}"), 0, "net.core.somaxconn: this host has more than is asked for");
    assert!(!home.get("etc/sysctl.d/90-ringmill-many.conf").contains("somaxconn"));
    fs::write(&profile, text(8192)).expect("a file of our own");
    home.check(&format!("audit {words}"), 3, "differs  net.core.somaxconn is 4096, wanted 8192");
    assert_eq!(home.get(SOMAXCONN), "4096\n");
}

#[test]
fn a_dead_man_without_a_parent_does_nothing() {
    let home = Home::new();
    let mut command = home.lab("dead-man");
    let output = command.stdin(Stdio::null()).output().expect("the program starts");
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("started by apply alone"));
}

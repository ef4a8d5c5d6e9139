//! A transaction ends as it says, whoever is killed and wherever: old values come back byte for byte, and what somebody else
//! changed stays. On trees of files; this test program is its own dead-man and its own victim.
//!
//! A victim says each step on its standard output and goes on when it is told to, so nothing here waits for a time.
#![forbid(unsafe_code)]

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tune::apply::{
    self, ApplyError, Change, End, Fate, FateEnd, Host, Outcome, Request, Setting, Step, journal, recover,
    revert_last,
};
use tune::catalogue;

/// What is written in most tests: a plain number, a vector, two of a pair, one of a device.
const CHANGES: &[(&str, &str, &str)] = &[
    ("net.core.somaxconn", "4096\n", "65535"),
    ("net.ipv4.tcp_rmem", "4096\t131072\t6291456\n", "4096 131072 16777216"),
    ("net.core.busy_poll", "0\n", "50"),
    ("net.core.busy_read", "0\n", "50"),
    ("device.gro_flush_timeout@eth0", "0\n", "20000"),
];

/// A host made of files, gone when it is dropped.
struct Home(PathBuf);

impl Home {
    fn new() -> Home {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let home = Home(std::env::temp_dir().join(format!("ringmill-apply-{}-{number}", std::process::id())));
        for (name, text, _) in CHANGES {
            home.put(name, text);
        }
        home
    }

    fn path(&self, name: &str) -> PathBuf {
        let (knob, place) = name.split_once('@').unwrap_or((name, ""));
        let path = catalogue::named(knob).and_then(|knob| knob.path_at(place));
        self.0.join(path.expect("the tests name what there is"))
    }

    fn put(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("it is below the home")).expect("a directory of our own");
        fs::write(path, text).expect("a file of our own");
    }

    fn get(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).expect("a file of our own")
    }

    fn host(&self) -> Host {
        Host { tree: Some(self.0.clone()), netns: None, knobs: catalogue::named }
    }

    fn assert_as_before(&self, when: &str) {
        for (name, before, _) in CHANGES {
            assert_eq!(self.get(name), *before, "{name} {when}");
        }
    }

    fn assert_written(&self) {
        for (name, _, target) in CHANGES {
            assert_eq!(self.get(name).trim(), *target, "{name}");
        }
    }

    /// Until nobody has the host's lock: the dead-man has ended.
    fn wait_for_the_lock(&self) {
        let lock = fs::File::open(self.0.join("run/ringmill-lab/lock")).expect("a transaction was there");
        linux::file::lock(&lock).expect("a file can be locked");
        linux::file::unlock(&lock).expect("it was locked");
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}

fn change(name: &str, target: &str) -> Change {
    let setting = Setting::named(name, catalogue::named).expect("the tests name what there is");
    let target = setting.knob.parse(target).expect("a value of it");
    Change { setting, target }
}

fn changes() -> Vec<Change> {
    CHANGES.iter().map(|(name, _, target)| change(name, target)).collect()
}

/// A child that runs the ignored test `name` of this file on this home.
fn this_test(name: &str, home: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("a test knows its file"));
    command.args(["--ignored", "--exact", "--nocapture", name]).env(HOME, home);
    command
}

/// Applies `changes` in this process, with a dead-man; `tell` is told each step.
fn apply(
    home: &Home,
    changes: &[Change],
    within: Duration,
    tell: &mut dyn FnMut(Step<'_>),
) -> Result<Outcome, ApplyError> {
    let mut dead_man = this_test("dead_man", &home.0);
    let check = &mut || Ok(());
    let request =
        Request { changes, confirm_within: within, host_wide: true, dead_man: &mut dead_man, check };
    apply::apply(&home.host(), request, tell)
}

/// The same, and does `act` once it is applied.
fn applied(home: &Home, changes: &[Change], mut act: impl FnMut()) -> Outcome {
    let tell = &mut |step: Step<'_>| {
        if step == Step::Applied {
            act();
        }
    };
    apply(home, changes, LONG, tell).expect("it begins")
}

/// A process that applies, step by step.
struct Victim {
    child: Child,
    steps: BufReader<ChildStdout>,
    go: ChildStdin,
    dead_man: Option<String>,
}

impl Victim {
    fn start(test: &str, home: &Home) -> Victim {
        let mut command = this_test(test, &home.0);
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the test starts");
        let steps = BufReader::new(child.stdout.take().expect("a pipe"));
        let go = child.stdin.take().expect("a pipe");
        Victim { child, steps, go, dead_man: None }
    }

    /// Its next step; none where it ended.
    fn step(&mut self) -> Option<String> {
        loop {
            let mut line = String::new();
            if self.steps.read_line(&mut line).expect("a pipe of text") == 0 {
                return None;
            }
            // The test harness speaks there too.
            let Some(at) = line.find(MARK) else { continue };
            let step = line[at + MARK.len()..].trim().to_string();
            if let Some(id) = step.strip_prefix("Armed(").and_then(|rest| rest.strip_suffix(')')) {
                self.dead_man = Some(id.into());
            }
            return Some(step);
        }
    }

    fn go_on(&mut self) {
        self.go.write_all(b"\n").expect("it waits");
    }

    /// Lets it do `count` steps more; the name of the last of them, none where there are not so many.
    fn reach(&mut self, count: usize) -> Option<String> {
        for _ in 1..count {
            self.step()?;
            self.go_on();
        }
        self.step()
    }

    fn kill(&mut self) {
        self.child.kill().expect("SIGKILL to a child");
        self.child.wait().expect("a child");
    }

    fn kill_dead_man(&self) {
        if let Some(id) = &self.dead_man {
            kill(id);
        }
    }
}

fn kill(id: &str) {
    assert!(Command::new("kill").args(["-KILL", id]).status().expect("kill runs").success());
}

#[test]
fn a_transaction_that_is_confirmed_stays_and_can_be_taken_back_later() {
    let home = Home::new();
    let mut confirmed = None;
    let outcome = applied(&home, &changes(), || confirmed = Some(apply::confirm(&home.host())));
    assert_eq!(outcome.end, End::Confirmed);
    assert_eq!(confirmed.expect("it was applied").expect("it waits"), outcome);
    home.assert_written();
    assert!(matches!(apply::confirm(&home.host()), Err(ApplyError::NothingWaits)));
    assert!(recover(&home.host(), &mut |_| {}).expect("nothing is locked").is_none());
    let outcome = revert_last(&home.host(), &mut |_| {}).expect("it was confirmed");
    assert!(outcome.is_clean(), "{outcome:?}");
    home.assert_as_before("after revert");
    assert!(matches!(revert_last(&home.host(), &mut |_| {}), Err(ApplyError::NothingWaits)));
}

#[test]
fn one_that_is_taken_back_leaves_the_confirmed_one_before_it_to_revert() {
    let home = Home::new();
    let confirmed = applied(&home, &[change("net.core.somaxconn", "65535")], || {
        apply::confirm(&home.host()).expect("it waits");
    });
    assert_eq!(confirmed.end, End::Confirmed);
    let second = applied(&home, &[change("net.core.busy_poll", "50")], || {
        apply::take_back_now(&home.host()).expect("it waits");
    });
    assert_eq!((second.end, home.get("net.core.somaxconn").as_str()), (End::TakenBack, "65535"));
    let outcome = revert_last(&home.host(), &mut |_| {}).expect("the first one stands");
    assert!(outcome.is_clean(), "{outcome:?}");
    home.assert_as_before("after revert");
    assert!(matches!(revert_last(&home.host(), &mut |_| {}), Err(ApplyError::NothingWaits)));
}

#[test]
fn the_dead_man_takes_back_when_the_time_is_up() {
    let home = Home::new();
    let outcome = apply(&home, &changes(), Duration::from_millis(200), &mut |_| {}).expect("it begins");
    assert_eq!((outcome.end, outcome.is_clean()), (End::TakenBack, true), "{outcome:?}");
    assert_eq!(outcome.why, "it was not confirmed in time");
    home.assert_as_before("after the deadline");
}

#[test]
fn a_transaction_that_somebody_asks_back_is_taken_back() {
    let home = Home::new();
    let outcome = applied(&home, &changes(), || {
        apply::take_back_now(&home.host()).expect("it waits");
    });
    assert_eq!((outcome.end, outcome.why.as_str()), (End::TakenBack, "it was asked for"));
    home.assert_as_before("after revert");
}

#[test]
fn the_dead_man_restores_every_value_wherever_its_parent_is_killed() {
    for count in 1.. {
        let home = Home::new();
        let mut victim = Victim::start("victim", &home);
        let Some(step) = victim.reach(count) else { return assert!(count > 20, "{count} steps only") };
        victim.kill();
        home.wait_for_the_lock();
        home.assert_as_before(&format!("after {step}"));
        // Before it was armed there is no dead-man, and after it the journal has its end.
        let left = recover(&home.host(), &mut |_| {}).expect("nobody has the lock");
        assert_eq!(
            left.is_some(),
            ["JournalCreated", "JournalWritten"].contains(&step.as_str()),
            "after {step}"
        );
        if step == "Applied" {
            return;
        }
    }
}

#[test]
fn recover_restores_every_value_wherever_both_processes_are_killed() {
    for count in 1.. {
        let home = Home::new();
        let mut victim = Victim::start("victim", &home);
        let step = victim.reach(count).expect("it is applied before it ends");
        victim.kill_dead_man();
        victim.kill();
        home.wait_for_the_lock();
        let has_journal = !["Locked", "Snapshot"].contains(&step.as_str());
        if has_journal {
            let blocked = apply(&home, &changes(), LONG, &mut |_| {});
            assert!(
                matches!(blocked, Err(ApplyError::Unfinished { netns: None })),
                "after {step}: {blocked:?}"
            );
        }
        let outcome = recover(&home.host(), &mut |_| {}).expect("nobody has the lock");
        assert_eq!(outcome.is_some(), has_journal, "after {step}");
        assert!(outcome.is_none_or(|outcome| outcome.is_clean()), "after {step}");
        home.assert_as_before(&format!("after {step}"));
        assert!(recover(&home.host(), &mut |_| {}).expect("nobody has the lock").is_none(), "after {step}");
        if step == "Applied" {
            return home.assert_as_before("at the end");
        }
    }
}

#[test]
fn a_recover_that_is_killed_anywhere_is_finished_by_the_next() {
    for count in 1.. {
        let home = Home::new();
        let mut victim = Victim::start("victim", &home);
        while victim.step().expect("it is applied before it ends") != "Applied" {
            victim.go_on();
        }
        victim.kill_dead_man();
        victim.kill();
        home.wait_for_the_lock();
        home.assert_written();
        let mut second = Victim::start("recovering_victim", &home);
        let Some(step) = second.reach(count) else { return assert_eq!(count, 2 * CHANGES.len() + 1) };
        second.kill();
        let outcome =
            recover(&home.host(), &mut |_| {}).expect("nobody has the lock").expect("it is unfinished");
        assert!(outcome.is_clean(), "after {step}: {outcome:?}");
        home.assert_as_before(&format!("after {step}"));
    }
}

#[test]
fn where_the_dead_man_is_killed_its_parent_takes_back_at_once() {
    let check = |at: fn(&Step<'_>) -> bool| {
        let home = Home::new();
        let mut id = 0;
        let tell = &mut |step: Step<'_>| {
            if let Step::Armed(number) = step {
                id = number;
            }
            if at(&step) {
                kill(&id.to_string());
            }
        };
        let outcome = apply(&home, &changes(), LONG, tell).expect("it begins");
        assert_eq!((outcome.end, outcome.why.as_str()), (End::TakenBack, "the dead-man is gone"));
        assert!(outcome.is_clean(), "{outcome:?}");
        home.assert_as_before("without a dead-man");
        assert!(recover(&home.host(), &mut |_| {}).expect("nobody has the lock").is_none());
    };
    check(|step| matches!(step, Step::Armed(_)));
    check(|step| *step == Step::Wrote("net.core.busy_poll"));
    check(|step| *step == Step::Applied);
}

#[test]
fn what_is_confirmed_stays_where_the_dead_man_is_killed_before_it_could_say_so() {
    let check = |name: &str| {
        let home = Home::new();
        let mut id = 0;
        let tell = &mut |step: Step<'_>| match step {
            Step::Armed(number) => id = number,
            Step::Applied => {
                // As it does, up to the one system call or to the next.
                let state = home.0.join("run/ringmill-lab");
                let open = state.join(journal::OPEN);
                let mut file = fs::File::options().append(true).open(&open).expect("it is there");
                file.write_all(b"{\"step\":\"confirmed\"}\n").expect("a file of our own");
                fs::rename(&open, state.join(name)).expect("a file of our own");
                kill(&id.to_string());
            }
            _ => {}
        };
        let outcome = apply(&home, &changes(), LONG, tell).expect("it begins");
        assert_eq!((outcome.end, outcome.why.as_str()), (End::Confirmed, "it was confirmed"));
        home.assert_written();
        assert!(revert_last(&home.host(), &mut |_| {}).expect("it stands").is_clean());
        home.assert_as_before("after revert");
    };
    check(journal::OPEN);
    check(journal::LAST);
}

#[test]
fn what_somebody_else_changed_is_left_alone_and_told_of_with_what_is_coupled() {
    let home = Home::new();
    let outcome = applied(&home, &changes(), || {
        home.put("net.core.somaxconn", "1024\n");
        home.put("net.core.busy_read", "7\n");
        apply::take_back_now(&home.host()).expect("it waits");
    });
    let foreign: Vec<&Fate> = outcome.fates.iter().filter(|fate| !fate.is_back()).collect();
    let names: Vec<&str> = foreign.iter().map(|fate| fate.name.as_str()).collect();
    assert_eq!(names, ["net.core.busy_read", "net.core.busy_poll", "net.core.somaxconn"]);
    assert!(foreign.iter().all(|fate| fate.end == FateEnd::ForeignChange), "{foreign:?}");
    assert_eq!(home.get("net.core.somaxconn"), "1024\n");
    assert_eq!(home.get("net.core.busy_read"), "7\n");
    assert_eq!(home.get("net.core.busy_poll"), "50");
    assert_eq!(home.get("net.ipv4.tcp_rmem"), "4096\t131072\t6291456\n");
    assert!(foreign[2].to_string().contains("foreign change, left alone: it was 4096 and is 1024"));
}

#[test]
fn a_write_under_way_is_awaited_and_taken_back_too_and_no_other_follows() {
    let home = Home::new();
    let (mut announced, mut asking) = (Vec::new(), None);
    let tell = &mut |step: Step<'_>| {
        let Step::Announced(name) = step else { return };
        announced.push(name.to_string());
        if name != "net.core.busy_poll" {
            return;
        }
        let host = home.host();
        asking = Some(std::thread::spawn(move || apply::take_back_now(&host)));
        // Until it has been heard.
        loop {
            match apply::confirm(&home.host()) {
                Err(ApplyError::Refused { why }) if why == "it is being taken back" => return,
                Err(ApplyError::Refused { .. }) => std::thread::yield_now(),
                ended => panic!("before the write was made: {ended:?}"),
            }
        }
    };
    let outcome = apply(&home, &changes(), LONG, tell).expect("it begins");
    assert_eq!(announced.last().map(String::as_str), Some("net.core.busy_poll"));
    assert_eq!((outcome.end, outcome.why.as_str()), (End::TakenBack, "it was asked for"));
    let answer = asking.expect("it came to that write").join().expect("what it was told");
    let told = answer.expect("it was under way");
    let fate = told.fates.iter().find(|fate| fate.name == "net.core.busy_poll").expect("it was written");
    assert!(told.is_clean() && fate.is_back(), "{told:?}");
    home.assert_as_before("after a write that was awaited");
}

#[test]
fn a_setting_that_changes_under_the_write_takes_the_rest_back() {
    let home = Home::new();
    let tell = &mut |step: Step<'_>| {
        if step == Step::Wrote("net.core.busy_poll") {
            home.put("net.core.busy_poll", "49\n");
        }
    };
    let outcome = apply(&home, &changes(), LONG, tell).expect("it begins");
    assert_eq!(outcome.end, End::TakenBack);
    assert_eq!(outcome.why, "net.core.busy_poll: 50 was written and 49 is there");
    home.assert_as_before("after a write that did not hold");
}

#[test]
fn a_write_that_fails_in_the_middle_takes_the_first_ones_back() {
    let home = Home::new();
    let tell = &mut |step: Step<'_>| {
        if step == Step::Announced("net.core.busy_poll") {
            // As a device does that is unplugged.
            fs::remove_file(home.path("device.gro_flush_timeout@eth0")).expect("our own file");
        }
    };
    let outcome = apply(&home, &changes(), LONG, tell).expect("it begins");
    assert_eq!(outcome.end, End::TakenBack);
    assert!(outcome.why.starts_with("device.gro_flush_timeout@eth0: "), "{}", outcome.why);
    for (name, before, _) in &CHANGES[..CHANGES.len() - 1] {
        assert_eq!(home.get(name), *before, "{name}");
    }
}

#[test]
fn a_health_check_that_fails_takes_everything_back() {
    let home = Home::new();
    let mut dead_man = this_test("dead_man", &home.0);
    let changes = changes();
    let check = &mut || Err("no answer".to_string());
    let request =
        Request { changes: &changes, confirm_within: LONG, host_wide: true, dead_man: &mut dead_man, check };
    let outcome = apply::apply(&home.host(), request, &mut |_| {}).expect("it begins");
    assert_eq!(outcome.why, "the health check failed: no answer");
    home.assert_as_before("after an unhealthy check");
}

#[test]
fn a_second_transaction_waits_for_the_first_to_end() {
    let home = Home::new();
    let outcome = applied(&home, &changes(), || {
        let second = apply(&home, &changes(), LONG, &mut |_| {});
        assert!(matches!(second, Err(ApplyError::Busy)), "{second:?}");
        assert!(matches!(recover(&home.host(), &mut |_| {}), Err(ApplyError::Busy)));
        apply::confirm(&home.host()).expect("it waits");
    });
    assert_eq!(outcome.end, End::Confirmed);
}

#[test]
fn nothing_can_be_confirmed_before_all_is_applied() {
    let home = Home::new();
    let tell = &mut |step: Step<'_>| match step {
        Step::ReadBack("net.core.somaxconn") => {
            let early = apply::confirm(&home.host());
            assert!(matches!(early, Err(ApplyError::Refused { .. })), "{early:?}");
        }
        Step::Applied => drop(apply::confirm(&home.host()).expect("it waits")),
        _ => {}
    };
    assert_eq!(apply(&home, &changes(), LONG, tell).expect("it begins").end, End::Confirmed);
}

#[test]
fn a_journal_of_another_boot_blocks_nothing_and_nothing_is_taken_back() {
    let home = Home::new();
    let boot = home.0.join("proc/sys/kernel/random");
    fs::create_dir_all(&boot).expect("a directory of our own");
    fs::write(boot.join("boot_id"), "first\n").expect("a file of our own");
    let mut victim = Victim::start("victim", &home);
    while victim.step().expect("it is applied before it ends") != "Applied" {
        victim.go_on();
    }
    victim.kill_dead_man();
    victim.kill();
    home.wait_for_the_lock();
    fs::write(boot.join("boot_id"), "second\n").expect("a file of our own");
    assert!(recover(&home.host(), &mut |_| {}).expect("nobody has the lock").is_none());
    home.assert_written();
}

#[test]
fn what_is_not_for_this_place_or_this_program_is_refused_before_anything_is_touched() {
    let home = Home::new();
    let refused = |host: Host, host_wide: bool, name: &str, target: &str| {
        let mut dead_man = Command::new("/nonexistent");
        let changes = [change(name, target)];
        let check = &mut || Ok(());
        let request =
            Request { changes: &changes, confirm_within: LONG, host_wide, dead_man: &mut dead_man, check };
        apply::apply(&host, request, &mut |_| {}).expect_err("it is refused")
    };
    let inside = Host { netns: Some("blue".into()), ..home.host() };
    let error = refused(home.host(), false, "vm.dirty_ratio", "10");
    assert!(matches!(error, ApplyError::HostWide { .. }), "{error}");
    let error = refused(inside, true, "vm.dirty_ratio", "10");
    assert!(matches!(error, ApplyError::Leaks { .. }), "{error}");
    let error = refused(home.host(), false, "net.ipv4.tcp_tw_recycle", "0");
    assert!(matches!(error, ApplyError::NotWritable { .. }), "{error}");
    let error = refused(home.host(), false, "net.ipv4.tcp_fin_timeout", "30");
    assert!(matches!(error, ApplyError::Unreadable { .. }), "{error}");
    assert!(!home.0.join("run/ringmill-lab/journal.jsonl").exists());
    // A dead-man that cannot be started leaves nothing behind.
    let error = refused(home.host(), false, "net.core.somaxconn", "8");
    assert!(matches!(error, ApplyError::State { what: "start the dead-man", .. }), "{error}");
    assert!(!home.0.join("run/ringmill-lab/journal.jsonl").exists());
    home.assert_as_before("after refusals");
}

#[test]
fn a_setting_that_refuses_its_own_old_value_has_it_back_when_its_other_is_written() {
    let check = |last: &str| {
        let home = Home::new();
        home.put("vm.dirty_bytes", "0\n");
        home.put("vm.dirty_ratio", "20\n");
        let mut victim = Victim::start("victim_of_a_pair", &home);
        while let Some(step) = victim.step() {
            // What the kernel does: the one that is written switches its other off.
            if step == "Wrote(\"vm.dirty_bytes\")" {
                home.put("vm.dirty_ratio", "0\n");
            }
            if step == last {
                break;
            }
            victim.go_on();
        }
        victim.kill_dead_man();
        victim.kill();
        home.wait_for_the_lock();
        assert_eq!(
            (home.get("vm.dirty_bytes"), home.get("vm.dirty_ratio")),
            ("1048576".into(), "0\n".into())
        );
        let mut refusals = 0;
        let kernel = &mut |step: Step<'_>| match step {
            // It takes no 0.
            Step::TookBack("vm.dirty_bytes") => {
                refusals += 1;
                home.put("vm.dirty_bytes", "1048576\n");
            }
            Step::TookBack("vm.dirty_ratio") => home.put("vm.dirty_bytes", "0\n"),
            _ => {}
        };
        let outcome = recover(&home.host(), kernel).expect("nobody has the lock").expect("it is unfinished");
        assert!(outcome.is_clean() && refusals == 1, "after {last}: {refusals} {outcome:?}");
        assert_eq!((home.get("vm.dirty_bytes"), home.get("vm.dirty_ratio")), ("0\n".into(), "20\n".into()));
    };
    // Whether what the write did to the other is in the journal, or is not.
    check("ReadBack(\"vm.dirty_bytes\")");
    check("Wrote(\"vm.dirty_bytes\")");
}

#[test]
#[ignore = "is killed by another test"]
fn victim_of_a_pair() {
    let home =
        std::mem::ManuallyDrop::new(Home(std::env::var_os(HOME).expect("its parent says where").into()));
    let changes = [change("vm.dirty_ratio", "10"), change("vm.dirty_bytes", "1048576")];
    apply(&home, &changes, LONG, &mut stop).expect("it begins");
}

#[test]
#[ignore = "the dead-man of the other tests"]
fn dead_man() {
    apply::stand_by(catalogue::named).expect("its parent gives the order");
}

#[test]
#[ignore = "is killed by other tests"]
fn victim() {
    let home =
        std::mem::ManuallyDrop::new(Home(std::env::var_os(HOME).expect("its parent says where").into()));
    apply(&home, &changes(), LONG, &mut stop).expect("it begins");
}

#[test]
#[ignore = "is killed by another test"]
fn recovering_victim() {
    let home =
        std::mem::ManuallyDrop::new(Home(std::env::var_os(HOME).expect("its parent says where").into()));
    recover(&home.host(), &mut stop).expect("nobody has the lock");
}

/// Says the step and waits to be told to go on.
fn stop(step: Step<'_>) {
    let mut out = std::io::stdout();
    writeln!(out, "{MARK}{step:?}").and_then(|()| out.flush()).expect("a pipe");
    std::io::stdin().read_line(&mut String::new()).expect("a pipe");
}

/// What comes before a step, among what the test harness says.
const MARK: &str = "at step: ";

/// Where a child finds its home.
const HOME: &str = "RINGMILL_TEST_HOME";

/// No test waits as long.
const LONG: Duration = Duration::from_secs(600);

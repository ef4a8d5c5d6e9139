//! Each limit is really there, and stays where it was put.

use std::io::ErrorKind;
use std::process::Command;
use std::{env, thread};

use io_uring::IoUring;
use linux::Error;
use linux::sandbox::{self, Refusal};
use linux::wake::{EventFd, Inbox};

/// A child of the shell that prints what `script` prints.
fn shell(script: &str) -> Command {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", script]);
    command
}

/// A child that runs the ignored test `name` of this file.
fn this_test(name: &str) -> Command {
    let mut command = Command::new(env::current_exe().expect("a test knows its file"));
    command.args(["--ignored", "--exact", name]);
    command
}

fn assert_passed(test: &mut Command) {
    let output = output(test);
    assert!(output.contains("1 passed"), "a test that has lost its name passes too: {output}");
}

fn output(command: &mut Command) -> String {
    let output = command.output().expect("the child starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8(output.stdout).expect("a shell prints text").trim().to_string()
}

#[test]
fn a_ring_is_refused_in_the_thread_that_asked_for_it_and_in_its_children_only() {
    let check = |refusal: Refusal, errno: i32| {
        let refused = thread::spawn(move || {
            sandbox::refuse_io_uring_in_this_thread(refusal).expect("seccomp");
            let child = thread::spawn(|| IoUring::new(2).map(drop));
            [IoUring::new(2).map(drop), child.join().expect("the thread does not panic")]
        });
        for result in refused.join().expect("the thread does not panic") {
            assert_eq!(result.expect_err("refused").raw_os_error(), Some(errno));
        }
    };
    check(Refusal::NotPermitted, libc::EPERM);
    check(Refusal::NoSuchCall, libc::ENOSYS);
    IoUring::new(2).expect("this thread asked for no refusal");
}

#[test]
fn a_child_is_refused_a_ring() {
    let mut child = this_test("there_is_no_ring");
    assert_passed(sandbox::refuse_io_uring(&mut child, Refusal::NotPermitted));
}

#[test]
#[ignore = "runs in the child that `a_child_is_refused_a_ring` starts"]
fn there_is_no_ring() {
    let error = IoUring::new(2).map(drop).expect_err("refused");
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
}

#[test]
fn a_child_that_runs_out_of_descriptors_is_told_its_limit() {
    let mut child = this_test("there_are_32_descriptors");
    assert_passed(sandbox::limit_nofile(&mut child, 32));
}

#[test]
#[ignore = "runs in the child that `a_child_that_runs_out_of_descriptors_is_told_its_limit` starts"]
fn there_are_32_descriptors() {
    let mut opened = Vec::new();
    let error = loop {
        match EventFd::new() {
            Ok(event) => opened.push(event),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, Error::NofileShort { have: 32, need: 33 }), "{error}");
    assert!(matches!(Inbox::register(), Err(Error::NofileShort { .. })));
    opened.clear();
    Inbox::register().expect("what failed before took no place in the table");
}

#[test]
fn a_child_has_the_limits_that_it_was_given_as_soft_and_hard_ones() {
    let mut child = shell("ulimit -Sn; ulimit -Hn; ulimit -Sl; ulimit -Hl");
    sandbox::limit_nofile(&mut child, 64);
    sandbox::limit_memlock(&mut child, 128 * 1024);
    assert_eq!(output(&mut child), "64\n64\n128\n128");
}

#[test]
fn a_child_of_a_plain_user_has_no_groups_and_no_capabilities() {
    let mut child = shell("id -u; id -G; grep CapEff /proc/self/status");
    // SAFETY: geteuid(2) takes nothing and cannot fail.
    let is_root = unsafe { libc::geteuid() } == 0;
    sandbox::as_user(&mut child, NOBODY);
    if is_root {
        assert_eq!(output(&mut child), "65534\n65534\nCapEff:\t0000000000000000");
    } else {
        let error = child.output().expect_err("only root may become another user");
        assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    }
}

/// The user that Debian calls nobody.
const NOBODY: u32 = 65534;

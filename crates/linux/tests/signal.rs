//! Signals taken synchronously. Those sent to the whole process are tested in a child, because the harness's own
//! threads have nothing blocked and would be killed.

use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::Duration;
use std::{env, io, ptr, thread};

use linux::signal::{Signal, Signals};

#[test]
fn a_blocked_signal_waits_until_it_is_taken_and_is_taken_once() {
    let signals = Signals::block(Signal::ALL).expect("block");
    for signal in Signal::ALL {
        assert_eq!(signals.wait_timeout(Duration::ZERO).expect("look"), None);
        signal.raise().expect("raise");
        assert_eq!(signals.wait().expect("wait"), signal);
    }
    assert_eq!(signals.wait_timeout(Duration::ZERO).expect("look"), None);
}

#[test]
fn two_signals_of_one_kind_merge_and_two_kinds_do_not() {
    let signals = Signals::block(Signal::ALL).expect("block");
    for signal in [Signal::Terminate, Signal::User1, Signal::Terminate] {
        signal.raise().expect("raise");
    }
    let mut taken = [signals.wait().expect("wait"), signals.wait().expect("wait")];
    taken.sort_by_key(|signal| format!("{signal:?}"));
    assert_eq!(taken, [Signal::Terminate, Signal::User1]);
    assert_eq!(signals.wait_timeout(Duration::ZERO).expect("look"), None);
}

#[test]
fn a_signal_outside_the_set_is_left_for_another_to_take() {
    let all = Signals::block(Signal::ALL).expect("block");
    let one = Signals::block([Signal::Hangup]).expect("block");
    Signal::User1.raise().expect("raise");
    assert_eq!(one.wait_timeout(Duration::ZERO).expect("look"), None);
    assert_eq!(all.wait_timeout(Duration::ZERO).expect("look"), Some(Signal::User1));
}

#[test]
fn writing_to_a_closed_connection_is_an_error_and_no_signal() {
    Signals::block([]).expect("block");
    let (mut ours, theirs) = std::os::unix::net::UnixStream::pair().expect("socketpair");
    drop(theirs);
    // A child that another test has forked holds a copy of `theirs` until it executes its program.
    let error = loop {
        match io::Write::write_all(&mut ours, b"x") {
            Ok(()) => thread::yield_now(),
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
}

#[test]
fn a_signal_to_the_process_is_taken_by_the_thread_that_waits() {
    let mut child = Command::new(env::current_exe().expect("a test knows its file"));
    child.args(["--ignored", "--exact", "the_process_sends_itself_every_signal"]).env(CHILD, "");
    // SAFETY: between fork and exec only pthread_sigmask(3) is called, which is async-signal-safe
    // (signal-safety(7)), with a set that lives in the hook's frame.
    unsafe {
        child.pre_exec(|| {
            let mut all = std::mem::MaybeUninit::uninit();
            libc::sigfillset(all.as_mut_ptr());
            libc::pthread_sigmask(libc::SIG_BLOCK, all.as_ptr(), ptr::null_mut());
            Ok(())
        });
    }
    let output = child.output().expect("the child starts");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

#[test]
#[ignore = "runs in the child that `a_signal_to_the_process_is_taken_by_the_thread_that_waits` starts"]
fn the_process_sends_itself_every_signal() {
    assert!(env::var_os(CHILD).is_some(), "elsewhere the signals would end the harness");
    let signals = Signals::block(Signal::ALL).expect("block");
    for signal in Signal::ALL {
        let sender = thread::spawn(move || signal.send_to_self());
        assert_eq!(signals.wait().expect("wait"), signal);
        sender.join().expect("the thread does not panic").expect("kill");
    }
}

/// Set in the child, where every thread has every signal blocked from its start.
const CHILD: &str = "RINGMILL_SIGNAL_CHILD";

//! The generator of a run, or the user's command: started in the namespace of the calling thread, and what it printed.

use std::io::{self, Read};
use std::process::{Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use linux::process::Process;

/// Runs `command` on `cores` to its end, and returns what it printed and its exit code. Errors: it cannot be started, takes longer than
/// `longest`, or the user wants no more.
pub(super) fn printed(
    mut command: Command,
    cores: &[usize],
    longest: Duration,
    is_stopped: &dyn Fn() -> bool,
) -> Result<(String, Option<i32>), String> {
    let name = command.get_program().to_string_lossy().into_owned();
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut process = Process::start(&mut command, cores).map_err(|why| format!("{name}: {why}"))?;
    let complaint =
        super::server::said(process.stderr().expect("it was piped"), |line| Some(line.trim().to_owned()));
    let (tell, told) = channel();
    let out = process.stdout().expect("it was piped");
    thread::spawn(move || {
        let mut text = String::new();
        let _ = out.take(PRINTED_MAX).read_to_string(&mut text);
        let _ = tell.send(text);
    });
    let until = Instant::now() + longest;
    let text = loop {
        match told.recv_timeout(LOOK) {
            Ok(text) => break text,
            Err(RecvTimeoutError::Timeout) if is_stopped() => return Err("ended by its user".into()),
            Err(RecvTimeoutError::Timeout) if Instant::now() < until => {}
            Err(_) => return Err(format!("{name} did not end within {} s", longest.as_secs())),
        }
    };
    let code = code(&mut process).map_err(|why| format!("{name}: {why}"))?;
    if text.trim().is_empty() {
        let line = complaint.recv_timeout(PATIENCE).unwrap_or_default();
        return Err(format!("{name} printed nothing: {line}"));
    }
    Ok((text, code))
}

/// The exit code of a program that has closed its output. One that goes on for long is ended.
fn code(process: &mut Process) -> io::Result<Option<i32>> {
    let until = Instant::now() + PATIENCE;
    while Instant::now() < until {
        if let Some(ended) = process.has_ended()? {
            return Ok(ended.code);
        }
        thread::sleep(LOOK_AT_END);
    }
    Ok(process.end(Duration::ZERO)?.code)
}

/// How often the user's word is looked for.
const LOOK: Duration = Duration::from_millis(50);
/// How often its end is looked for.
const LOOK_AT_END: Duration = Duration::from_millis(1);
/// A program that has closed its output ends soon.
const PATIENCE: Duration = Duration::from_secs(2);
/// Bytes of a result at most.
const PRINTED_MAX: u64 = 64 << 20;

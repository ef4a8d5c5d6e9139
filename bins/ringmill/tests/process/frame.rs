//! The framed protocol as a stranger speaks it: the client in `docs/examples`, in Python, against the real server.

use std::io::ErrorKind;
use std::process::{Command, Stdio};

use crate::support::{Server, ringmill};

const EXAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/examples/frame_client.py");

#[test]
fn the_client_in_python_is_as_short_as_it_is_said_to_be() {
    let lines = std::fs::read_to_string(EXAMPLE).expect("the example is there").lines().count();
    assert!(lines <= 60, "{lines} lines");
}

#[test]
fn the_client_in_python_is_greeted_echoed_and_let_go() {
    let server =
        Server::start(ringmill().args(["--listen", "frame://127.0.0.1:0", "--heartbeat-ms", "1000"]));
    let Some(said) = python(&server, &["one", "two words", ""]) else { return };
    let lines: Vec<&str> = said.lines().collect();
    // The heartbeat that the client wished (5,000 ms), the misses and the longest payload that the server gave.
    assert!(lines[0].starts_with("hello 0 ") && lines[0].contains(r"\x88'\x18\x03 \x80\x80@"), "{said}");
    let back = ["data 1 b'one'", "ack 1 b''", "data 2 b'two words'", "ack 2 b''", "data 3 b''", "ack 3 b''"];
    assert_eq!(lines[1..], back);
    assert!(server.terminate().0.success());
}

/// What the example prints; `None`, said aloud, where there is no Python.
#[expect(clippy::print_stderr, reason = "a test that skips says so")]
fn python(server: &Server, words: &[&str]) -> Option<String> {
    let address = server.address("frame");
    let mut command = Command::new("python3");
    command.arg(EXAMPLE).arg(address.ip().to_string()).arg(address.port().to_string()).args(words);
    let output = match command.stderr(Stdio::inherit()).output() {
        Ok(output) => output,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            eprintln!("SKIPPED: there is no python3 to run the example client with");
            return None;
        }
        Err(error) => panic!("{error}"),
    };
    assert!(output.status.success(), "{output:?}");
    Some(String::from_utf8(output.stdout).expect("it prints text"))
}

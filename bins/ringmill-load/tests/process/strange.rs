//! Servers that do what no server should: each is counted by its name, and none keeps the load from its end.

use std::io::{Read, Write};
use std::net::TcpStream;

use crate::support::{answer, exit_code, measure, serve, silent};
use serde_json::Value;

/// A load of `scheme` against `strange`.
fn load(scheme: &str, strange: fn(TcpStream)) -> Value {
    let url = format!("{scheme}://{}", serve(strange));
    let result = measure(&url, &["--rate", "200", "--timeout", "1s"]);
    assert_eq!(exit_code(&result), 4, "{result}");
    assert_eq!(result["arrivals"]["answered"], 0, "{result}");
    result
}

fn count(result: &Value, error: &str) -> u64 {
    result["errors"][error].as_u64().expect("a count")
}

#[test]
fn a_server_that_closes_every_connection_is_counted_as_such() {
    let result = load("http", drop);
    assert!(count(&result, "reset") + count(&result, "timeout") > 0, "{result}");
}

#[test]
fn a_server_that_answers_garbage_is_counted_as_mismatch() {
    let result = load("http", |stream| answer(&stream, b"\x00\xffnot HTTP at all\r\n\r\n"));
    assert!(count(&result, "mismatch") > 0, "{result}");
}

#[test]
fn a_server_that_never_answers_is_counted_as_timeout_of_at_least_that_time() {
    let result = load("echo", silent);
    assert!(count(&result, "timeout") > 0, "{result}");
    let least = result["latency"]["response"]["min_ns"].as_u64().expect("samples");
    // A histogram keeps three digits.
    assert!(least >= 999_000_000, "{least}");
}

#[test]
fn an_echo_that_changes_a_byte_is_corrupt_and_not_answered() {
    let result = load("echo", |mut stream| {
        let mut bytes = [0; 64];
        while stream.read_exact(&mut bytes).is_ok() {
            bytes[63] ^= 1;
            if stream.write_all(&bytes).is_err() {
                return;
            }
        }
    });
    let corrupt = result["verify"]["corrupt"].as_u64().expect("a count");
    assert!(corrupt > 0 && count(&result, "mismatch") >= corrupt, "{result}");
}

#[test]
fn a_status_of_500_is_an_error_with_its_class() {
    let result = load("http", |stream| answer(&stream, b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n"));
    assert!(count(&result, "status") > 0 && result["status"]["5xx"] == count(&result, "status"), "{result}");
}

//! Servers that do what no server should: each is counted by its name, and none keeps the load from its end.

use std::io::{Read, Write};
use std::net::TcpStream;

use crate::support::{answer, echo, exit_code, measure, serve, silent};
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
    let arrivals = |name: &str| result["arrivals"][name].as_u64().expect("a count");
    assert!(arrivals("waited") >= arrivals("due") - arrivals("sent"), "{result}");
}

#[test]
fn a_server_that_ends_each_connection_after_its_answer_is_asked_on_new_ones() {
    let once = |answer: &'static [u8]| {
        move |mut stream: TcpStream| {
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(answer);
        }
    };
    for url in [
        serve(once(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")),
        serve(once(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")),
        serve(once(b"HTTP/1.0 200 OK\r\n\r\nok")),
    ] {
        let flags = ["--rate", "200", "--arrivals", "constant"];
        let result = measure(&format!("http://{url}/"), &flags);
        assert_eq!(result["arrivals"]["answered"], 60, "{result}");
        assert!(result["connections"]["opened"].as_u64().is_some_and(|count| count >= 60), "{result}");
        assert!(!result["verdict"]["reasons"].to_string().contains("errors"), "{result}");
    }
}

#[test]
fn a_load_in_which_nothing_is_due_says_so() {
    let flags = ["--rate", "0.001", "--seed", "1"];
    let result = measure(&format!("echo://{}", serve(echo)), &flags);
    let reasons = result["verdict"]["reasons"].to_string();
    assert!(reasons.contains("no request was sent within 300 ms"), "{result}");
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

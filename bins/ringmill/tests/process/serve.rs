//! A life of the server: it starts, answers, reports, drains, ends.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use crate::support::{Home, SMALL, Server, check_echo, connect, get, ringmill};
use serde_json::Value;

fn report(path: &std::path::Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).expect("the report was written")).expect("JSON")
}

/// The service manager that `command` is told to talk to.
fn manager(home: &Home, command: &mut std::process::Command) -> UnixDatagram {
    let path = home.path("notify");
    let manager = UnixDatagram::bind(&path).expect("a socket of our own");
    manager.set_read_timeout(Some(Duration::from_secs(30))).expect("a timeout");
    command.env("NOTIFY_SOCKET", path);
    manager
}

fn told(manager: &UnixDatagram) -> String {
    let mut message = [0; 64];
    let bytes = manager.recv(&mut message).expect("the manager is told");
    String::from_utf8_lossy(&message[..bytes]).into_owned()
}

#[test]
fn every_kind_of_listener_serves_and_the_table_says_where() {
    let upstream = Server::with(SMALL);
    let relay = format!("relay://127.0.0.1:0?to={}", upstream.address("echo"));
    let kinds =
        ["http://127.0.0.1:0", "echo://127.0.0.1:0", "udp-echo://127.0.0.1:0", "admin://127.0.0.1:0", &relay];
    let server = Server::start(ringmill().args(kinds.iter().flat_map(|url| ["--listen", url])));

    let ping = get(server.address("http"), "/ping");
    assert!(ping.starts_with("HTTP/1.1 200 ") && ping.ends_with("\r\n\r\nok"), "{ping}");
    assert!(get(server.address("admin"), "/ready").starts_with("HTTP/1.1 200 "));
    let metrics = get(server.address("admin"), "/metrics");
    assert!(metrics.ends_with("# EOF\n"), "{metrics}");
    check_echo(&mut server.connect("echo"), b"to and fro");
    check_echo(&mut server.connect("relay"), b"further and back");
    let udp = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    udp.set_read_timeout(Some(Duration::from_secs(30))).expect("a timeout");
    udp.send_to(b"datagram", server.address("udp-echo")).expect("sent");
    let mut back = [0; 64];
    let (bytes, from) = udp.recv_from(&mut back).expect("the datagram comes back");
    assert_eq!((&back[..bytes], from), (&b"datagram"[..], server.address("udp-echo")));

    let curl = format!("Try: curl http://{}/ping", server.address("http"));
    for part in ["shard 0", "core ", "ring  ", curl.as_str()] {
        assert!(server.table.contains(part), "{part}: {}", server.table);
    }
}

#[test]
fn a_wildcard_of_ipv6_serves_both_families() {
    if TcpListener::bind("[::1]:0").is_err() {
        #[expect(clippy::print_stderr, reason = "a test that skips says so")]
        {
            eprintln!("skipped: this machine has no IPv6");
        }
        return;
    }
    let server = Server::with(&["--listen", "http://*:0", "--shards", "1"]);
    let port = server.address("http").port();
    for address in [format!("127.0.0.1:{port}"), format!("[::1]:{port}")] {
        let ping = get(address.parse().expect("an address"), "/ping");
        assert!(ping.starts_with("HTTP/1.1 200 "), "{address}: {ping}");
    }
}

#[test]
fn a_report_after_a_drain_has_the_counts_and_nothing_left_behind() {
    let home = Home::new();
    let path = home.path("report.json");
    let server = Server::start(ringmill().args(SMALL).arg("--report").arg(&path));
    for _ in 0..3 {
        get(server.address("http"), "/ping");
    }
    let mut echo = server.connect("echo");
    check_echo(&mut echo, &[7; 100_000]);
    drop(echo);
    let (status, last) = server.terminate();
    assert!(status.success(), "{status}: {last}");
    assert!(last.contains("left in flight 0, buffers lent 0"), "{last}");

    let json = report(&path);
    assert_eq!((&json["ended"], json["shards"].as_array().map(Vec::len)), (&true.into(), Some(1)));
    assert_eq!((&json["in_flight_at_exit"], &json["buffers_lent_at_exit"]), (&0.into(), &0.into()));
    assert_eq!((&json["totals"]["accepted"], &json["totals"]["closed"]), (&4.into(), &4.into()));
    let at_least = |name: &str, least: u64| {
        let value = json["totals"][name].as_u64().unwrap_or_else(|| panic!("no {name} in {json}"));
        assert!(value >= least, "{name}: {value}");
    };
    let least = [("requests", 4), ("bytes_in", 100_000), ("bytes_out", 100_000)];
    let some = ["submissions", "completions", "enters"].map(|name| (name, 1));
    let any = ["enobufs", "cq_overflows", "zero_copy_used", "zero_copy_copied", "bytes_copied"]
        .map(|name| (name, 0));
    for (name, least) in least.into_iter().chain(some).chain(any) {
        at_least(name, least);
    }
    assert!(json["drained"].is_u64() && json["aborted"].is_u64(), "{json}");
}

#[test]
fn sigusr1_reports_and_the_server_goes_on() {
    let mut server = Server::with(SMALL);
    get(server.address("http"), "/ping");
    server.signal("USR1");
    let json: Value = serde_json::from_str(&server.read_until("}")).expect("JSON");
    assert_eq!((&json["ended"], &json["in_flight_at_exit"]), (&false.into(), &Value::Null));
    assert_eq!(json["totals"]["status_2xx"], 1);
    assert!(get(server.address("http"), "/ping").starts_with("HTTP/1.1 200 "));
}

#[test]
fn the_service_manager_is_told_when_it_serves_and_when_it_stops() {
    let home = Home::new();
    let mut command = ringmill();
    let manager = manager(&home, command.args(SMALL));
    let server = Server::start(&mut command);
    assert_eq!(told(&manager), "READY=1");
    let (status, _) = server.terminate();
    assert_eq!((told(&manager).as_str(), status.success()), ("STOPPING=1", true));
}

#[test]
fn an_empty_notify_socket_is_none_and_a_manager_that_is_gone_is_warned_of_once() {
    for (name, warnings) in [("", 0), ("/nonexistent/notify", 1)] {
        let server = Server::start(ringmill().args(SMALL).env("NOTIFY_SOCKET", name));
        let err = server.terminate_for_errors();
        assert_eq!(err.lines().count(), warnings, "{name}: {err}");
    }
}

#[test]
fn a_datagram_as_long_as_the_table_says_comes_back_and_a_longer_one_does_not() {
    let server = Server::with(&["--listen", "udp-echo://127.0.0.1:0", "--shards", "1"]);
    assert!(server.table.contains("up to 16,296 bytes"), "{}", server.table);
    let udp = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    udp.set_read_timeout(Some(Duration::from_secs(30))).expect("a timeout");
    for bytes in [16_297, 16_296] {
        udp.send_to(&vec![7; bytes], server.address("udp-echo")).expect("sent");
    }
    let mut back = [0; 20_000];
    assert_eq!(udp.recv(&mut back).expect("the shorter comes back"), 16_296);
}

/// A server that was told to stop while `streams` have sent the head of a request and a part of its body.
fn stopping_amid_requests(home: &Home, count: usize, flags: &[&str]) -> (Server, Vec<TcpStream>) {
    let mut command = ringmill();
    let manager = manager(home, command.args(SMALL).args(flags));
    let server = Server::start(&mut command);
    assert_eq!(told(&manager), "READY=1");
    let address = server.address("http");
    let head = format!("POST /echo HTTP/1.1\r\nHost: {address}\r\nContent-Length: 6\r\n\r\nabc");
    let begin = |_| {
        let mut stream = connect(address);
        stream.write_all(head.as_bytes()).expect("the server reads");
        // The first half came back: so the request has begun, whatever comes now.
        let mut begun = Vec::new();
        while !begun.ends_with(b"abc") {
            let mut byte = [0];
            stream.read_exact(&mut byte).expect("the echo streams");
            begun.push(byte[0]);
        }
        stream
    };
    let streams = (0..count).map(begin).collect();
    server.signal("TERM");
    assert_eq!(told(&manager), "STOPPING=1");
    (server, streams)
}

#[test]
fn requests_that_are_begun_when_a_drain_comes_are_answered_whole() {
    let home = Home::new();
    let path = home.path("report.json").display().to_string();
    let (server, mut streams) =
        stopping_amid_requests(&home, 8, &["--drain-ms", "3600000", "--report", &path]);
    for stream in &mut streams {
        stream.write_all(b"def").expect("the server reads");
    }
    for mut stream in streams {
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).expect("the answer ends, and with it the connection");
        assert_eq!(rest, b"def");
    }
    let (status, last) = server.wait();
    assert!(status.success(), "{status}: {last}");
    let json = report(home.path("report.json").as_path());
    assert_eq!((&json["drained"], &json["aborted"]), (&8.into(), &0.into()), "{json}");
}

#[test]
fn a_second_signal_does_not_wait_for_those_who_never_finish() {
    let home = Home::new();
    let path = home.path("report.json").display().to_string();
    let (server, streams) = stopping_amid_requests(&home, 2, &["--drain-ms", "3600000", "--report", &path]);
    let (status, last) = server.insist();
    assert!(status.success(), "{status}: {last}");
    let json = report(home.path("report.json").as_path());
    assert_eq!((&json["drained"], &json["aborted"]), (&0.into(), &2.into()), "{json}");
    assert_eq!((&json["in_flight_at_exit"], &json["buffers_lent_at_exit"]), (&0.into(), &0.into()));
    drop(streams);
}

#[test]
fn a_drain_that_takes_too_long_ends_by_its_deadline() {
    let home = Home::new();
    let (server, streams) = stopping_amid_requests(&home, 1, &["--drain-ms", "1"]);
    let (status, last) = server.wait();
    assert!(status.success() && last.contains("aborted 1"), "{status}: {last}");
    drop(streams);
}

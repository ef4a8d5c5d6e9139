//! The site and the echo in simulated worlds: whatever the network does, and at the edges of every deadline.

mod scenarios;

use scenarios::{Asker, Regular, pattern, run, serve, site};
use service::any::{Any, Config, Kind};
use shard::LegError;
use shard::engine::sim::{Line, Peer, Seeds, Sim};
use std::time::Duration;

#[test]
fn http_keeps_every_promise_whatever_the_network_does() {
    Seeds::new("http", 2000).run(|seed| run("http", seed));
}

#[test]
fn echo_keeps_every_promise_whatever_the_network_does() {
    Seeds::new("tcp-echo", 2000).run(|seed| run("tcp-echo", seed));
}

/// Sends `request` cut in two at every byte, and wants the same answers for each.
fn check_cuts(request: &str, answers: &[(u16, &str)]) {
    let clients = (1..request.len()).map(|cut| {
        let asker = Asker::new().send(&request[..cut]).wait(Duration::from_millis(20)).send(&request[cut..]);
        answers.iter().fold(asker, |asker, (status, body)| asker.expect(*status, *body))
    });
    serve(clients).check();
}

#[test]
fn where_a_request_is_cut_changes_nothing() {
    let last = "GET /ping HTTP/1.0\r\n\r\n";
    for (request, status, body) in [
        ("GET /ping HTTP/1.1\r\nHost: x\r\n\r\n", 200, "ok"),
        ("\r\nGET /users/7?type=a HTTP/1.1\r\nHost: x\r\nA: b\r\n\r\n", 200, r#"{"id":"7","type":"a"}"#),
        ("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 11\r\n\r\nhello world", 200, "hello world"),
        (
            "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5;a=\"b\"\r\nhello\r\n1\r\n!\r\n0\r\nT: v\r\n\r\n",
            200,
            "hello!",
        ),
        (
            "GET /ping HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
            200,
            "ok",
        ),
        ("PUT /ping HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi", 405, "Method Not Allowed\n"),
        ("OPTIONS /ping HTTP/1.1\r\nHost: x\r\n\r\n", 204, ""),
    ] {
        check_cuts(&format!("{request}{last}"), &[(status, body), (200, "ok")]);
    }
}

#[test]
fn where_a_refused_request_is_cut_changes_nothing() {
    for (request, status, body) in [
        ("GET /ping HTTP/1.1\r\n\r\n", 400, "no Host header\n"),
        (
            "GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n",
            400,
            "a percent sign without two hex digits in the request target\n",
        ),
        (
            "GET /ping HTTP/1.1\r\nHost: x\r\nA : b\r\n\r\n",
            400,
            "white space between a header name and its colon\n",
        ),
        (
            "GET /ping HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n",
            501,
            "a transfer coding other than chunked\n",
        ),
        (
            "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            400,
            "a malformed chunk size\n",
        ),
    ] {
        check_cuts(request, &[(status, body)]);
    }
}

#[test]
fn a_request_that_comes_while_an_answer_waits_for_its_reader_is_answered_after_it() {
    let ms = Duration::from_millis;
    let begin = Asker::new().read(false).send("GET /bytes/100000 HTTP/1.1\r\nHost: x\r\n\r\n").wait(ms(10));
    let rest = begin.send("GET /ping HTTP/1.0\r\n\r\n").wait(ms(50)).read(true);
    serve([rest.expect(200, pattern(100_000)).expect(200, "ok")]).check();
}

#[test]
fn a_drain_under_load_fails_no_request() {
    for seed in 0..50 {
        let clients = (0..20).map(|n| Regular::new(Duration::from_millis(n * 40)));
        let world = Sim::new(seed).drain_at(Duration::from_millis(300 + seed));
        let world = clients.fold(world, Sim::client);
        world.run(|_| Any::new(Config::new(vec![Kind::Http(Box::new(site()))]))).check();
    }
}

#[test]
fn each_deadline_ends_its_connection_and_no_other() {
    let seconds = Duration::from_secs;
    let timeout = "the request did not arrive in time\n";
    let half = "GET /ping HTTP/1.1\r\nHo";
    let ping = "GET /ping HTTP/1.1\r\nHost: x\r\n\r\n";
    let post = "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n";
    // A byte a second for a head that would be whole only later.
    let drip = half.bytes().fold(Asker::new(), |asker, byte| asker.send([byte]).wait(seconds(1)));
    serve([
        Asker::new().ends_ms(75_000..=75_050),
        Asker::new().send(half).expect(408, timeout).ends_ms(10_000..=10_050),
        drip.expect(408, timeout).ends_ms(10_000..=10_050),
        // The time of a head does not begin before its first byte, nor end a connection after its last.
        Asker::new()
            .wait(seconds(70))
            .send(half)
            .wait(seconds(9))
            .send("st: x\r\n\r\n")
            .expect(200, "ok")
            .ends_ms(154_000..=154_050),
        Asker::new()
            .send(ping)
            .wait(seconds(60))
            .send(ping)
            .expect(200, "ok")
            .expect(200, "ok")
            .ends_ms(135_000..=135_050),
        Asker::new().send(post).expect(408, timeout).ends_ms(5_000..=5_050),
        Asker::new().send("GET /bytes/1000000 HTTP/1.1\r\nHost: x\r\n\r\n").read(false).ends_by_reset(),
    ])
    .check();
}

#[test]
fn a_body_that_keeps_its_rate_may_take_as_long_as_it_wants() {
    let body = "x".repeat(60_000);
    let head = "POST /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 60000\r\n\r\n";
    let slow = |every| {
        let begin = Asker::new().send(head);
        body.as_bytes()
            .chunks(1000)
            .fold(begin, |asker, piece| asker.send(piece).wait(Duration::from_millis(every)))
    };
    serve([slow(1900).expect(200, body.as_bytes()).ends_ms(112_000..=112_200)]).check();
    // At 400 bytes a second the grace is used up after 20,000 bytes; the beginning of an answer is all there is then.
    let run = serve([slow(2500)]);
    assert!(run.broken.iter().any(|why| why.contains("whole: false, end: Some((2")), "{:?}", run.broken);
}

/// Asks in the middle of each of the first seconds of the run, which begins at 2025-06-01 00:00:00.
#[derive(Debug)]
struct Dated(String);

impl Peer for Dated {
    fn on_connect(&mut self, line: &mut Line<'_>) {
        line.wait(Duration::from_millis(500));
    }

    fn on_timer(&mut self, line: &mut Line<'_>) {
        line.send("GET /ping HTTP/1.1\r\nHost: x\r\n\r\nGET /users/1 HTTP/1.1\r\nHost: x\r\n\r\n");
        match line.now_ns() < SECONDS * 1_000_000_000 {
            true => line.wait(Duration::from_secs(1)),
            false => line.finish(),
        }
    }

    fn on_bytes(&mut self, bytes: &[u8], _: &mut Line<'_>) {
        self.0.push_str(str::from_utf8(bytes).expect("text"));
    }

    fn verdict(&self, _: bool) -> Result<(), String> {
        let dates: Vec<&str> = self.0.lines().filter_map(|line| line.strip_prefix("Date: ")).collect();
        let expected = (0..=2 * SECONDS + 1).map(|n| format!("Sun, 01 Jun 2025 00:00:0{} GMT", n / 2));
        if dates.iter().copied().eq(expected) { Ok(()) } else { Err(format!("{dates:?}")) }
    }
}

const SECONDS: u64 = 4;

#[test]
fn the_date_of_an_answer_is_the_second_in_which_it_was_asked_for() {
    let world = Sim::new(1).client(Dated(String::new()));
    world.run(|_| Any::new(Config::new(vec![Kind::Http(Box::new(site()))]))).check();
}

/// Asks for much and reads a window of it every 20 s, so many times; then not any more.
#[derive(Debug)]
struct Sipper {
    sips: u32,
    heard: usize,
    failed: bool,
}

const ALL: usize = 600_000;
const SIP: Duration = Duration::from_secs(20);

impl Peer for Sipper {
    fn on_connect(&mut self, line: &mut Line<'_>) {
        line.send(format!("GET /bytes/{ALL} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"));
        line.read(false);
        line.wait(SIP);
    }

    fn on_timer(&mut self, line: &mut Line<'_>) {
        if self.sips > 0 {
            self.sips -= 1;
            line.read(true);
        }
    }

    fn on_bytes(&mut self, bytes: &[u8], line: &mut Line<'_>) {
        self.heard += bytes.len();
        line.read(false);
        line.wait(SIP);
    }

    fn on_failed(&mut self, _: LegError) {
        self.failed = true;
    }

    fn verdict(&self, _: bool) -> Result<(), String> {
        let whole = self.heard > ALL && !self.failed;
        let cut = self.heard < ALL && self.failed;
        if if self.sips > 0 { whole } else { cut } { Ok(()) } else { Err(format!("{self:?}")) }
    }
}

#[test]
fn a_reader_is_kept_as_long_as_some_leaves_in_30_s_though_a_send_takes_minutes_and_cut_when_none_does() {
    for sips in [1000, 4, 0] {
        let sipper = Sipper { sips, heard: 0, failed: false };
        Sim::new(1).client(sipper).run(|_| Any::new(Config::new(vec![Kind::Http(Box::new(site()))]))).check();
    }
}

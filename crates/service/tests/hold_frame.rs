//! Held frame connections in the simulated world: HELLO, heartbeats, one echo each, silence on purpose; and servers that lie.

#[allow(dead_code, reason = "the rig is that of loads")]
mod load_rig;

use load_rig::frames::{Frames as Server, Trick};
use load_rig::held::{self, Seen};
use service::load::hold::{Frames, HoldConfig, Report, Say};
use std::time::Duration;

/// 100 connections, at once, until 10 s of the world, with a heartbeat each second.
fn config(frames: Frames) -> HoldConfig {
    HoldConfig { ramp_per_s: None, ..held::config(Some(Say::Frame(frames))) }
}

fn run(config: HoldConfig, server: Server) -> Seen {
    held::run(config, Some(server), Duration::from_secs(20))
}

#[test]
fn connections_say_hello_and_each_is_asked_once_an_interval() {
    let server = Server::default();
    let log = server.seen();
    let seen = run(config(Frames { misses: 4, ..Frames::default() }), server);
    let over = seen.sum();
    assert_eq!((over.open, over.reached, over.refused.sum(), over.lost.sum()), (100, 100, 0, 0), "{over:?}");
    let log = log.borrow();
    assert_eq!(log.hellos.len(), 100);
    assert!(log.hellos.iter().all(|hello| (hello.heartbeat_ms, hello.misses) == (1000, 4)));
    // Each has one in each interval but the first, in which it was just heard or had not come yet.
    assert!((900..=1000).contains(&over.beats.sent), "{over:?}");
    assert_eq!((over.beats.answered, over.beats.late, log.pings), (over.beats.sent, 0, over.beats.sent));
    assert_eq!(seen.times.response.len(), over.beats.sent);
    assert!(seen.times.response.max() < 1_000_000, "{}", seen.times.response.max());
    let counts = seen.times.counts;
    assert_eq!((counts.due, counts.answered, counts.failed()), (over.beats.sent, over.beats.sent, 0));
}

#[test]
fn a_server_that_asks_is_answered_and_need_not_be_asked() {
    let server = Server::default().asks(Duration::from_millis(400));
    let log = server.seen();
    let over = run(config(Frames::default()), server).sum();
    assert_eq!((over.frames.pongs, over.beats.sent, over.open), (log.borrow().pongs, 0, 100), "{over:?}");
    assert!(over.frames.pongs >= 24 * 100, "{over:?}");
}

#[test]
fn seats_share_connections_and_destinations_share_them_too() {
    let mut config = config(Frames { echo_once: true, mute: 7, ..Frames::default() });
    config.seats = 3;
    config.to = vec!["192.0.2.9".parse().unwrap(), "192.0.2.10".parse().unwrap()];
    let over = run(config, Server::default().buries(Duration::from_secs(3))).sum();
    // At the other address nobody is.
    assert_eq!((over.reached, over.refused.refused), (50, 50), "{over:?}");
    assert_eq!((over.frames.echoes, over.frames.echoed), (50, 50), "{over:?}");
    assert!((1..=7).contains(&over.frames.muted), "{over:?}");
}

#[test]
fn who_gets_no_hello_was_not_connected_and_the_reason_is_counted() {
    let check = |trick: Trick, name: &str, count: fn(&Report) -> u64| {
        let over = run(config(Frames::default()), Server::new(trick)).sum();
        assert_eq!((count(&over), over.refused.sum(), over.reached), (100, 100, 0), "{name}: {over:?}");
        assert_eq!((over.open, over.opening, over.lost.sum()), (0, 0, 0), "{name}: {over:?}");
    };
    check(Trick::Speechless, "timeout", |report| report.refused.timeout);
    check(Trick::Instead(b""), "closed", |report| report.refused.closed);
    check(Trick::Instead(b"HTTP/1.1 400 Bad Request\r\n\r\n"), "answer", |report| report.refused.answer);
    check(Trick::Instead(b"RM\x01\0\0\x03\0\0\0\0\0\0\0\0\0\0"), "PONG", |report| report.refused.answer);
    check(Trick::Busy(16), "error", |report| report.refused.error);
    check(Trick::Busy(16), "its code", |report| report.frames.errors[16].into());
    check(Trick::Busy(99), "a code of tomorrow", |report| report.frames.errors[0].into());
    check(Trick::Gone, "goaway", |report| report.refused.goaway);
}

#[test]
fn a_loss_has_the_name_of_its_reason() {
    let check = |trick: Trick, name: &str, count: fn(&Report) -> u64| {
        let seen = run(config(Frames::default()), Server::new(trick));
        let over = seen.sum();
        assert_eq!((count(&over), over.lost.sum(), over.open), (100, 100, 0), "{name}: {over:?}");
        let counts = seen.times.counts;
        assert_eq!(counts.due, counts.answered + counts.failed(), "{name}: {counts:?}");
    };
    check(Trick::Silent, "silent", |report| report.lost.silent);
    check(Trick::Refuses(7), "error", |report| report.lost.error);
    check(Trick::Refuses(7), "its code", |report| report.frames.errors[7].into());
    check(Trick::Leaves, "goaway", |report| report.lost.goaway);
    check(Trick::Greets, "a second HELLO", |report| report.lost.answer);
    check(Trick::Pong { seq: 1, flip: 0 }, "a PONG of the future", |report| report.lost.answer);
    check(Trick::Pong { seq: 0, flip: 0x80 }, "a PONG with another stamp", |report| report.lost.answer);
    // The server does not wait for what it was told: it resets.
    let buried = run(config(Frames::default()), Server::default().buries(Duration::from_millis(1)));
    assert_eq!(buried.sum().lost.reset, 100, "{:?}", buried.sum());
}

#[test]
fn an_answer_to_an_earlier_ping_says_only_that_the_peer_lives() {
    let over = run(config(Frames::default()), Server::new(Trick::Pong { seq: u32::MAX, flip: 0 })).sum();
    assert_eq!((over.lost.sum(), over.open, over.beats.answered), (0, 100, 0), "{over:?}");
    // Each but the first finds the one before it without its answer.
    assert_eq!(over.beats.late, over.beats.sent - 100, "{over:?}");
}

#[test]
fn a_silent_server_is_dead_after_as_many_intervals_as_were_agreed_and_no_sooner() {
    for misses in [2, 3, 5] {
        let lost = |ms: u64| {
            let wish = Frames { misses, ..Frames::default() };
            let config = HoldConfig { duration: Duration::from_millis(ms), ..config(wish) };
            let over = run(config, Server::new(Trick::Silent)).sum();
            assert_eq!(over.lost.sum(), over.lost.silent);
            over.lost.silent
        };
        // HELLO comes in the first milliseconds, and the end of a hold within 20 ms of its time.
        let patience_ms = u64::from(misses) * 1000;
        assert_eq!((lost(patience_ms - 25), lost(patience_ms + 5)), (0, 100), "{misses}");
    }
}

#[test]
fn each_connection_has_one_frame_back_byte_by_byte() {
    let frames = Frames { echo_once: true, ..Frames::default() };
    let server = Server::default();
    let log = server.seen();
    let over = run(config(frames), server).sum();
    let counts = over.frames;
    assert_eq!((counts.echoes, counts.echoed, counts.echoes_failed), (100, 100, 0), "{counts:?}");
    assert_eq!((log.borrow().data, over.lost.sum()), (100, 0));
    assert!((1..50_000_000).contains(&counts.echoes_ns), "{counts:?}");
}

#[test]
fn a_frame_that_does_not_come_back_as_it_was_sent_has_failed() {
    let check = |trick: Trick, echoed: u64, lost: u64, name: &str| {
        let frames = Frames { echo_once: true, ..Frames::default() };
        let over = run(config(frames), Server::new(trick)).sum();
        let counts = over.frames;
        assert_eq!((counts.echoes, counts.echoed), (100, echoed), "{name}: {over:?}");
        assert_eq!(counts.echoes_failed, 100 - echoed, "{name}: {over:?}");
        assert_eq!((over.lost.answer, over.lost.sum()), (lost, lost), "{name}: {over:?}");
        assert!(counts.echoes_ns > 0, "{name}: it is over: {over:?}");
    };
    let data = |seq, flip, times, spoil| Trick::Data { seq, flip, times, spoil };
    check(data(1, 0, 1, 99), 0, 100, "another number");
    check(data(0, 1, 1, 99), 0, 100, "another byte");
    check(data(0, 0, 1, 0), 0, 100, "another magic");
    check(data(0, 0, 1, 8), 0, 100, "a length beyond all");
    check(data(0, 0, 1, 11), 0, 100, "a shorter length");
    check(data(0, 0, 2, 99), 100, 100, "twice");
    check(data(0, 0, 0, 99), 0, 0, "never");
}

#[test]
fn those_that_fall_silent_are_found_by_the_server_and_nobody_else_is() {
    let frames = Frames { mute: 10, mute_after: Duration::from_secs(2), ..Frames::default() };
    // It asks those too, and must not be answered.
    let server = Server::default().asks(Duration::from_millis(300)).buries(Duration::from_secs(3));
    let log = server.seen();
    let seen = run(config(frames), server);
    let over = seen.sum();
    assert_eq!((over.frames.muted, over.frames.found, over.open), (10, 10, 90), "{over:?}");
    assert_eq!((over.lost.sum(), log.borrow().buried), (0, 10), "{over:?}");
    assert_eq!(seen.silences_ms.len(), 10);
    // Each was last heard at most 300 ms before, and the server looks as often.
    assert!(seen.silences_ms.iter().all(|ms| (2_690..=3_310).contains(ms)), "{:?}", seen.silences_ms);
    assert_eq!((seen.steps[0].frames.muted, seen.steps[2].frames.muted), (0, 10));
}

#[test]
fn a_hold_waits_for_those_that_are_to_be_found_and_no_longer() {
    let frames = Frames { mute: 10, mute_after: Duration::from_secs(8), ..Frames::default() };
    // The server takes five seconds more than was agreed.
    let over = run(config(frames), Server::default().buries(Duration::from_secs(8))).sum();
    assert_eq!((over.frames.found, over.open), (10, 90), "{over:?}");
    assert!((15_000_000_000..16_200_000_000).contains(&over.at_ns), "{over:?}");
}

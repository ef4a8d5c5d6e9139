//! Held connections in the simulated world: what is reported is held against what the server really did.

#[allow(dead_code, reason = "the rig is that of loads")]
mod load_rig;

use load_rig::held::{Seen, config, run as run_until};
use load_rig::{Ending, Server};
use service::load::hold::{HoldConfig, Report, Say};
use service::load::http::Request;
use std::time::Duration;

fn run(config: HoldConfig, server: Option<Server>) -> Seen {
    run_until(config, server, Duration::from_secs(12))
}

fn http() -> Say {
    Say::Http(Request::new("GET", "/", &[("Host", "x")], None).unwrap())
}

#[test]
fn connections_are_opened_along_the_ramp_and_all_are_held_to_the_end() {
    let seen = run(config(None), Some(Server::echo()));
    let [settled] = seen.settled[..] else { panic!("{:?}", seen.settled) };
    assert_eq!((settled.opened, settled.opening), (100, 0));
    // 50 a second, and the first at once: the last one 1.98 s later.
    assert!((1_980_000_000..2_000_000_000).contains(&settled.at_ns), "{settled:?}");
    assert_eq!((seen.steps[0].opened, seen.steps[1].open), (50, 100), "{:?}", &seen.steps[..2]);
    let [over] = seen.over[..] else { panic!("{:?}", seen.over) };
    assert_eq!((over.open, over.opened, over.reached, over.lost.sum()), (100, 100, 100, 0));
    assert!((10_000_000_000..10_050_000_000).contains(&over.at_ns), "{over:?}");
    assert_eq!((seen.times.connect.len(), seen.times.response.len()), (100, 0));
}

#[test]
fn seats_share_connections_and_ramp() {
    let seen = run(HoldConfig { seats: 3, ..config(None) }, Some(Server::echo()));
    let mut sum = Report::default();
    seen.over.iter().for_each(|report| sum += *report);
    assert_eq!((seen.settled.len(), seen.over.len(), sum.open, sum.opened), (3, 3, 100, 100));
    assert!(seen.settled.iter().all(|report| report.at_ns > 1_900_000_000), "{:?}", seen.settled);
}

#[test]
fn every_connection_has_its_heartbeat_each_interval_and_each_is_answered() {
    for say in [Say::Echo, http()] {
        let answer = |_| b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".to_vec();
        let server = match say {
            Say::Echo => Server::echo(),
            Say::Http(_) => Server::echo().changes(answer),
            Say::Frame(_) => unreachable!("frames have tests of their own"),
        };
        let seen = run(config(Some(say)), Some(server));
        let beats = seen.over[0].beats;
        assert_eq!(beats.answered, beats.sent, "{beats:?}");
        // 100 a second, from 2 s on all of them.
        assert_eq!(seen.steps[7].beats.sent - seen.steps[2].beats.sent, 500, "{:?}", seen.steps);
        assert_eq!((seen.over[0].lost.sum(), beats.late, beats.status), (0, 0, 0));
        assert_eq!(seen.times.response.len(), beats.answered);
    }
}

#[test]
fn a_loss_has_the_name_of_its_reason() {
    let closes = |n| Server::echo().ends(Ending::Closes(n));
    let resets = |n| Server::echo().ends(Ending::Resets(n));
    let check = |server: Server, say, name: &str, count: fn(&Report) -> u64| {
        let seen = run(config(Some(say)), Some(server));
        let over = seen.over[0];
        assert_eq!((count(&over), over.lost.sum(), over.open), (100, 100, 0), "{name}: {over:?}");
        assert_eq!(
            seen.times.response.len(),
            over.beats.sent,
            "{name}: every heartbeat is timed, however it ended"
        );
        let counts = seen.times.counts;
        assert_eq!(counts.due, counts.answered + counts.failed(), "{name}: {counts:?}");
    };
    check(closes(32), Say::Echo, "closed", |report| report.lost.closed);
    check(resets(32), Say::Echo, "reset", |report| report.lost.reset);
    check(Server::echo().silent(), Say::Echo, "timeout", |report| report.lost.timeout);
    let other = |bytes: Vec<u8>| vec![0xff; bytes.len()];
    check(Server::echo().changes(other), Say::Echo, "answer", |report| report.lost.answer);
    check(Server::echo(), http(), "answer", |report| report.lost.answer);
}

#[test]
fn a_heartbeat_without_an_answer_counts_with_at_least_its_timeout() {
    let seen = run(config(Some(Say::Echo)), Some(Server::echo().silent()));
    assert_eq!(seen.times.response.len(), 100);
    assert!(seen.times.response.min() >= 499_000_000, "{}", seen.times.response.min());
    assert!(seen.times.response.max() <= 550_000_000, "{}", seen.times.response.max());
}

#[test]
fn an_answer_of_another_class_is_counted_and_loses_nothing() {
    let busy = |_| b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n".to_vec();
    let seen = run(config(Some(http())), Some(Server::echo().changes(busy)));
    let over = seen.over[0];
    assert_eq!((over.beats.answered, over.beats.status, over.open), (0, over.beats.sent, 100));
}

#[test]
fn a_beat_that_finds_the_one_before_it_without_an_answer_is_late_and_not_sent() {
    let mut config = config(Some(Say::Echo));
    config.timeout = Duration::from_secs(60);
    let seen = run(config, Some(Server::echo().silent()));
    let over = seen.over[0];
    assert_eq!((over.beats.sent, over.lost.sum(), over.open), (100, 0, 100));
    // One second after its first beat each has a second one, and so on until 10 s.
    assert!((700..900).contains(&over.beats.late), "{over:?}");
}

#[test]
fn a_port_with_nobody_behind_it_refuses_all_and_nothing_is_lost() {
    let seen = run(config(None), None);
    let over = seen.over[0];
    assert_eq!((over.opened, over.refused.refused, over.lost.sum()), (0, 100, 0), "{over:?}");
    assert_eq!(seen.settled.len(), 1);
}

#[test]
fn lost_connections_stay_lost_unless_they_are_to_be_reopened() {
    let closes = || Some(Server::echo().ends(Ending::Closes(16)));
    let once = run(config(Some(Say::Echo)), closes());
    assert_eq!((once.over[0].opened, once.over[0].reached), (100, 100));
    let again = run(HoldConfig { reopen: true, ..config(Some(Say::Echo)) }, closes());
    let over = again.over[0];
    assert_eq!((over.reached, over.lost.closed + over.open), (100, over.opened), "{over:?}");
    assert!(over.opened > 300, "{over:?}");
}

#[test]
fn a_drain_ends_a_hold_early_and_it_still_reports() {
    let seen = run_until(config(None), Some(Server::echo()), Duration::from_secs(1));
    let [over] = seen.over[..] else { panic!("{:?}", seen.over) };
    assert!((50..=51).contains(&over.open), "{over:?}");
}

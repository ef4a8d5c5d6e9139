//! The framed protocol in the simulated world: thousands of seeds, and the cases that have to come out just so.

#[path = "scenarios/mod.rs"]
mod scenarios;

use proto::frame::{
    Agreed, Flags, Goaway, Header, Hello, Kind, Refusal, Rules, sum, whole, write, write_error,
};
use service::any::{Any, Config, Kind as Served};
use service::frame;
use shard::LegError;
use shard::engine::sim::{Faults, Line, Peer, Run, Script, Seeds, Sim, plan};
use shard::meter::Snapshot;
use shard::plan::Plan;
use std::time::Duration;

#[test]
fn no_living_peer_is_killed_and_each_silent_one_is_found_in_its_time() {
    Seeds::new("frame", 6_000).run(scenarios::frame::run);
}

#[test]
fn who_is_never_done_but_not_an_interval_behind_kills_nobody() {
    let mut postponed = 0;
    for seed in 1..=5 {
        // Turns are long and take a few completions: more waits than is done in some, never more than in an interval.
        let run = scenarios::frame::crowd(seed, 150, "few_taken", 1.0).check();
        assert_eq!(run.seats[0].peers_silent, 0, "seed {seed}");
        postponed += run.seats[0].verdicts_postponed;
    }
    assert!(postponed > 10, "{postponed} verdicts were put off: that proves little");
}

#[test]
fn bytes_that_wait_for_a_buffer_for_longer_than_a_patience_are_no_silence() {
    for seed in 1..=3 {
        // A try takes some microseconds and finds a buffer once in 200,000: half a second passes, which is five intervals.
        let run = scenarios::frame::crowd(seed, 2, "starve_buffers", 0.999_995).check();
        assert!(run.seats[0].enobufs > 100_000 && run.seats[0].peers_silent == 0, "seed {seed}");
    }
}

fn serve<P: Peer + 'static>(clients: impl IntoIterator<Item = P>) -> Run {
    serve_in(Sim::new(1), clients)
}

fn serve_in<P: Peer + 'static>(world: Sim, clients: impl IntoIterator<Item = P>) -> Run {
    let world = clients.into_iter().fold(world, Sim::client);
    world.run(|_| Any::new(Config::new(vec![Served::Frame(frame::Config::default())])))
}

fn hello() -> Vec<u8> {
    control(Kind::Hello, 0, &Hello::new())
}

/// The server's answer to it.
fn greeting() -> Vec<u8> {
    let agreed: Agreed = Hello::new().agree(&frame::Offer::default()).expect("good");
    control(Kind::Hello, 0, &Hello::answer(&agreed))
}

fn control(kind: Kind, seq: u32, message: &impl proto::frame::Message) -> Vec<u8> {
    let mut bytes = Vec::new();
    write(&mut bytes, kind, Flags::NONE, seq, message);
    bytes
}

fn bare(kind: Kind, seq: u32) -> Vec<u8> {
    Header::new(kind, 0, seq).to_bytes().to_vec()
}

fn data(seq: u32, flags: Flags, payload: &[u8]) -> Vec<u8> {
    let header = Header::new(Kind::Data, payload.len() as u32, seq).with(flags);
    let mut bytes = header.to_bytes().to_vec();
    bytes.extend(payload);
    if flags.has(Flags::CRC) {
        bytes.extend(sum(&header, payload));
    }
    bytes
}

fn error(seq: u32, refusal: Refusal) -> Vec<u8> {
    let mut bytes = Vec::new();
    write_error(&mut bytes, seq, refusal);
    bytes
}

fn pattern(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|at| (at % 251) as u8).collect()
}

#[test]
fn each_refusal_is_said_closed_and_counted_by_its_code() {
    let bad = |at: usize, byte: u8| {
        let mut bytes = data(5, Flags::NONE, b"x");
        bytes[at] = byte;
        bytes
    };
    let mut spoilt = data(6, Flags::CRC, b"abc");
    spoilt[17] ^= 1;
    let late = Hello { versions: vec![9], ..Hello::new() };
    // What is sent after a good HELLO, the number of the frame that the ERROR is about, why.
    let cases = [
        (b"GET / HTTP/1.1\r\n".to_vec(), 0, Refusal::Magic),
        (bad(2, 2), 0, Refusal::Version),
        (bad(3, 4), 0, Refusal::Flag),
        (bad(5, 7), 0, Refusal::Type),
        (bad(7, 1), 0, Refusal::Reserved),
        (bad(8, 1), 0, Refusal::TooLong),
        (spoilt.clone(), 6, Refusal::Crc),
        (control(Kind::Ping, 3, &proto::frame::Ping { stamp: 1 })[..24].to_vec(), 3, Refusal::Malformed),
        (hello(), 0, Refusal::HelloRepeated),
    ];
    for (mut sent, seq, why) in cases {
        if why == Refusal::Malformed {
            // Its length says 8, which cuts the stamp.
            sent[11] = 8;
        }
        // What is passed on goes as it came, wrong or not: the sender sees the damage.
        let back = if why == Refusal::Crc { spoilt.clone() } else { Vec::new() };
        let client = Script::new().send(hello()).expect(greeting()).send(sent).expect(back);
        check_refused(client.expect(error(seq, why)).eof(), why);
    }
    check_refused(
        Script::new().send(data(9, Flags::NONE, b"x")).expect(error(9, Refusal::HelloExpected)).eof(),
        Refusal::HelloExpected,
    );
    check_refused(
        Script::new().send(bare(Kind::Ping, 2)).expect(error(2, Refusal::HelloExpected)).eof(),
        Refusal::HelloExpected,
    );
    let client =
        Script::new().send(control(Kind::Hello, 1, &late)).expect(error(1, Refusal::NoVersion)).eof();
    check_refused(client, Refusal::NoVersion);
}

#[track_caller]
fn check_refused(client: Script, why: Refusal) {
    let run = serve([client]).check();
    assert_eq!((run.seats[0].refused, refused(&run.seats[0], why)), (1, 1), "{why}");
}

fn refused(counts: &Snapshot, why: Refusal) -> u64 {
    let name = format!("frame_refused_{}", why.code().replace('-', "_"));
    counts.iter().find(|(metric, _)| metric.name == name).expect("each refusal has a counter").1
}

#[test]
fn a_refusal_that_bytes_do_not_cause_has_a_counter_too() {
    for why in Refusal::ALL {
        assert_eq!(refused(&Snapshot::default(), *why), 0);
    }
}

#[test]
fn a_hello_that_does_not_come_whole_in_its_time_is_refused_however_busily_it_comes() {
    let whole = hello();
    let second = Duration::from_secs(1);
    let drip = whole[..9].iter().fold(Script::new(), |script, byte| script.send([*byte]).wait(second));
    let run = serve([drip.expect(error(0, Refusal::HelloLate)).eof()]).check();
    assert_eq!(refused(&run.seats[0], Refusal::HelloLate), 1);
    let silent = serve([Script::new().expect(error(0, Refusal::HelloLate)).eof()]).check();
    assert!((10..13).contains(&silent.took.as_secs()), "{:?}", silent.took);
}

#[test]
fn a_hello_that_never_ends_has_its_time_though_the_server_is_short_of_buffers_all_the_while() {
    let mut whole = control(Kind::Hello, 0, &Hello::new());
    // A field that nobody knows makes it as long as it may be.
    whole[10..12].copy_from_slice(&1024_u16.to_be_bytes());
    let drip = whole
        .iter()
        .chain([&0; 900])
        .fold(Script::new(), |script, byte| script.send([*byte]).wait(Duration::from_millis(90)));
    for seed in 1..5 {
        // A byte waits some milliseconds for a buffer: no look is fair.
        let world = Sim::new(seed).faults(Faults::NONE.with("starve_buffers", 0.999));
        let run = serve_in(world, [drip.clone()]);
        assert_eq!(refused(&run.seats[0], Refusal::HelloLate), 1, "seed {seed}");
        assert!((10..18).contains(&run.took.as_secs()), "seed {seed}: {:?}", run.took);
    }
}

#[test]
fn frames_that_are_longer_than_any_buffer_pass_through_with_their_sums_and_acks() {
    let long = pattern(1 << 20);
    let client = Script::new()
        .send(hello())
        .expect(greeting())
        .send(data(1, Flags::NONE, &long))
        .expect(data(1, Flags::NONE, &long))
        .send(data(2, Flags::CRC.with(Flags::ACK_WANTED), &long))
        .expect(data(2, Flags::CRC, &long))
        .expect(bare(Kind::Ack, 2))
        .send(bare(Kind::Goaway, 0))
        .eof();
    let run = serve([client]).check();
    assert_eq!((run.seats[0].frames_in, run.seats[0].frames_out, run.seats[0].requests), (4, 4, 2));
}

#[test]
fn a_flood_of_pings_that_nobody_reads_the_answers_of_is_held_back_and_answered_in_its_order() {
    const PINGS: u32 = 20_000;
    let asked: Vec<u8> = (1..=PINGS).flat_map(|seq| bare(Kind::Ping, seq)).collect();
    let answers: Vec<u8> = (1..=PINGS).flat_map(|seq| bare(Kind::Pong, seq)).collect();
    let client = Script::new()
        .send(hello())
        .expect(greeting())
        .read(false)
        .send(asked)
        .wait(Duration::from_secs(4))
        .read(true)
        .expect(answers)
        .send(bare(Kind::Goaway, 0))
        .eof();
    // The world itself watches that no leg holds more than its bounds.
    let run = serve([client]).check();
    assert_eq!(run.seats[0].heartbeats_answered, u64::from(PINGS));
}

#[test]
fn a_quiet_client_is_asked_twice_in_its_patience_and_reset_at_its_end() {
    let client = Script::new()
        .send(hello())
        .expect(greeting())
        .expect([bare(Kind::Ping, 0), bare(Kind::Ping, 0)].concat())
        .failed();
    let run = serve([client]).check();
    assert_eq!(
        (run.seats[0].heartbeats_sent, run.seats[0].peers_silent, run.seats[0].peers_stuck),
        (2, 1, 0)
    );
    assert_eq!(run.took.as_secs(), 15, "{:?}", run.took);
}

#[test]
fn a_client_that_reads_nothing_is_found_as_stuck() {
    let long = pattern(200_000);
    let client =
        Script::new().send(hello()).expect(greeting()).read(false).send(data(1, Flags::NONE, &long)).failed();
    let run = serve([client]).check();
    assert_eq!((run.seats[0].peers_silent, run.seats[0].peers_stuck), (0, 1));
}

#[test]
fn a_drain_says_goaway_and_finishes_the_frame_that_has_begun() {
    let goaway = control(Kind::Goaway, 0, &Goaway { deadline_ms: 1000, text: "shutting down".into() });
    let frame = data(1, Flags::CRC, &pattern(5_000));
    let (begin, rest) = frame.split_at(3_000);
    let second = Duration::from_secs(1);
    let greeted = || Script::new().send(hello()).expect(greeting());
    let busy = greeted().send(begin).wait(3 * second).send(rest).expect(&frame[..]).expect(&goaway[..]).eof();
    let polite = greeted().expect(&goaway[..]).send(bare(Kind::Goaway, 0)).eof();
    let idle = greeted().expect(&goaway[..]).eof();
    let asking = greeted()
        .expect(&goaway[..])
        .send(data(7, Flags::NONE, b"last"))
        .expect(data(7, Flags::NONE, b"last"))
        .eof();
    let late =
        Script::new().wait(second + second / 2).send(hello()).expect(greeting()).expect(&goaway[..]).eof();
    let run = serve_in(Sim::new(1).drain_at(second), [busy, polite, idle, asking, late]);
    let run = run.check();
    assert_eq!((run.seats[0].aborted, run.seats[0].drained), (0, 5));
}

/// Sends small frames from the start and reads nothing before some time, then all: what it sees of a drain.
#[derive(Default)]
struct LateReader {
    got: Vec<u8>,
    goaways: u32,
    ended: bool,
    wrong: bool,
}

impl Peer for LateReader {
    fn on_connect(&mut self, line: &mut Line<'_>) {
        line.read(false);
        line.send(hello());
        (0..1_000).for_each(|seq| line.send(data(seq, Flags::NONE, &pattern(seq as usize % 200))));
        line.wait(Duration::from_secs(2));
    }

    fn on_timer(&mut self, line: &mut Line<'_>) {
        line.read(true);
    }

    fn on_bytes(&mut self, bytes: &[u8], _: &mut Line<'_>) {
        self.got.extend(bytes);
        let mut rest = &self.got[..];
        while let Ok(Some((header, _))) = whole(rest, &Rules::STREAM) {
            self.goaways += u32::from(header.kind == Kind::Goaway);
            rest = &rest[header.frame_bytes()..];
        }
        self.wrong |= whole(rest, &Rules::STREAM).is_err();
        self.got = rest.to_vec();
    }

    fn on_eof(&mut self, line: &mut Line<'_>) {
        self.ended = true;
        line.finish();
    }

    fn on_failed(&mut self, _: LegError) {
        self.ended = false;
    }

    fn verdict(&self, _: bool) -> Result<(), String> {
        let good = self.ended && self.got.is_empty() && !self.wrong && self.goaways == 1;
        good.then_some(()).ok_or(format!("{} goaways, ended: {}", self.goaways, self.ended))
    }
}

#[test]
fn a_drain_says_goaway_to_a_client_whose_output_is_full_once_it_reads() {
    let second = Duration::from_secs(1);
    for seed in 1..50 {
        let faults = Faults::NONE.with("small_window", 0.5).with("cut", 0.5).with("slow_reader", 0.2);
        let world = Sim::new(seed).faults(faults).drain_at(second).plan(Plan { out_max: 4_000, ..plan(1) });
        serve_in(world, [LateReader::default()]).check();
    }
}

#[test]
fn why_a_client_is_refused_is_said_behind_a_full_output_too() {
    for seed in 1..100 {
        let frames: Vec<u8> = (1..40)
            .flat_map(|seq| data(seq, Flags::NONE, &pattern((seed * seq as usize * 31) % 97)))
            .collect();
        let client = Script::new()
            .send(hello())
            .expect(greeting())
            .send([&frames[..], b"GET / HTTP/1.1"].concat())
            .expect(frames)
            .expect(error(0, Refusal::Magic))
            .eof();
        let world =
            Sim::new(seed as u64).faults(Faults::NONE.with("small_window", 0.7).with("slow_reader", 0.3));
        serve_in(world.plan(Plan { out_max: 300, ..plan(1) }), [client]).check();
    }
}

#[test]
fn small_outputs_and_every_fault_change_no_byte_and_who_has_finished_sending_gets_all() {
    for seed in 1..300 {
        let flags = |seq: u32| Flags(seq as u8 & 3);
        let payload = |seq: u32| pattern(seq as usize * 37);
        // The last wants an ACK, and nothing of it is left unread when the ACK finds no room.
        let frames: Vec<u8> = (1..=30).flat_map(|seq| data(seq, flags(seq), &payload(seq))).collect();
        let back = (1..=30).flat_map(|seq| {
            let mut back = data(seq, flags(seq).without(Flags::ACK_WANTED), &payload(seq));
            back.extend(if flags(seq).has(Flags::ACK_WANTED) { bare(Kind::Ack, seq) } else { Vec::new() });
            back
        });
        let client = Script::new()
            .send(hello())
            .expect(greeting())
            .send(&frames[..])
            .finish()
            .expect(back.collect::<Vec<u8>>())
            .eof();
        let world = Sim::new(seed).faults(Faults::mixed(seed)).plan(Plan { out_max: 300, ..plan(1) });
        serve_in(world, [client]).check();
    }
}

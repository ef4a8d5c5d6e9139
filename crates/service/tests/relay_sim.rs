//! The relay in the simulated world, once as a machine and once as a story: whatever the network does, what arrives is a
//! beginning of what was sent, and an end that looks like the end is one.

use service::any::{Any, Config, Kind};
use service::relay;
use shard::ListenerId;
use shard::engine::sim::{Faults, Line, Mirror, Peer, Run, Script, Seeds, Sim, plan};
use shard::plan::Plan;
use shard::random::Random;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

const UPSTREAM: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 9)), 9);
const DEADLINE: Duration = Duration::from_millis(700);
const FORMS: [fn(relay::Config) -> Kind; 2] = [Kind::Relay, Kind::RelayTask];

fn relayed(sim: Sim, form: fn(relay::Config) -> Kind) -> Run {
    let config = Config::new(vec![form(relay::Config { to: UPSTREAM, connect_deadline: DEADLINE })]);
    sim.run(|_| Any::new(config.clone()))
}

/// An upstream that sends back what comes.
struct Echo;

impl Peer for Echo {
    fn on_connect(&mut self, _: &mut Line<'_>) {}

    fn on_bytes(&mut self, bytes: &[u8], line: &mut Line<'_>) {
        line.send(bytes);
    }
}

/// A client whose connection may be cut on either side of the relay.
struct Doubter {
    bytes: u64,
    back: u64,
    sent: Random,
    expected: Random,
    wrong: bool,
    eof: bool,
}

impl Doubter {
    fn new(seed: u64, bytes: u64) -> Doubter {
        let (sent, expected) = (Random::new(seed), Random::new(seed));
        Doubter { bytes, back: 0, sent, expected, wrong: false, eof: false }
    }
}

impl Peer for Doubter {
    fn on_connect(&mut self, line: &mut Line<'_>) {
        line.send((0..self.bytes).map(|_| self.sent.next() as u8).collect::<Vec<u8>>());
        line.finish();
    }

    fn on_bytes(&mut self, bytes: &[u8], _: &mut Line<'_>) {
        self.wrong |= bytes.iter().any(|byte| *byte != self.expected.next() as u8);
        self.back += bytes.len() as u64;
    }

    fn on_eof(&mut self, line: &mut Line<'_>) {
        self.eof = true;
        line.finish();
    }

    fn verdict(&self, _harmed: bool) -> Result<(), String> {
        let Doubter { bytes, back, .. } = self;
        if self.wrong || back > bytes {
            return Err(format!("{back} bytes came back and are not those that were sent"));
        }
        // Without an upstream the client is closed before a byte of it: nothing was cut.
        if self.eof && *back > 0 && back < bytes {
            return Err(format!("{back} of {bytes} bytes came back, and then what looked like the end"));
        }
        Ok(())
    }
}

/// A peer that hears the other out, and has the last word when it has thought it over.
struct LastWord(&'static str);

impl Peer for LastWord {
    fn on_connect(&mut self, _: &mut Line<'_>) {}

    fn on_bytes(&mut self, bytes: &[u8], _: &mut Line<'_>) {
        self.0 =
            self.0.strip_prefix(str::from_utf8(bytes).expect("it is text")).expect("it is what was sent");
    }

    fn on_eof(&mut self, line: &mut Line<'_>) {
        assert_eq!(self.0, "", "the end comes behind the last byte");
        line.send("and then, ");
        line.wait(2 * DEADLINE);
    }

    fn on_timer(&mut self, line: &mut Line<'_>) {
        line.send("later");
        line.finish();
    }
}

/// A client that says nothing and is to be closed between `least` and 50 ms later.
struct Closed {
    least: Duration,
    at: Option<Duration>,
}

impl Peer for Closed {
    fn on_connect(&mut self, _: &mut Line<'_>) {}

    fn on_bytes(&mut self, _: &[u8], _: &mut Line<'_>) {}

    fn on_eof(&mut self, line: &mut Line<'_>) {
        self.at = Some(Duration::from_nanos(line.now_ns()));
        line.finish();
    }

    fn verdict(&self, _harmed: bool) -> Result<(), String> {
        let in_time =
            self.at.is_some_and(|at| at >= self.least && at < self.least + Duration::from_millis(50));
        if in_time { Ok(()) } else { Err(format!("closed at {:?}", self.at)) }
    }
}

/// A world for the seed, with bounds that are met.
fn world(seed: u64, random: &mut Random) -> Sim {
    let plan = Plan { out_max: 64 << random.below(8), ..plan(1 + random.below(2) as u16) };
    Sim::new(seed).plan(plan).upstream(UPSTREAM, || Echo)
}

#[test]
fn all_that_is_sent_comes_back_through_every_delay_and_cut() {
    for form in FORMS {
        Seeds::new("relay", 150).run(|seed| {
            let random = &mut Random::new(seed);
            let faults = Faults { reset: 0.0, refuse: 0.0, silence: 0.0, ..Faults::mixed(seed) };
            let mut sim = world(seed, random).faults(faults);
            for client in 0..1 + random.below(6) {
                let (bytes, ahead) = (random.below(30_000), 1 + random.below(20_000));
                let at = Duration::from_micros(random.below(3000));
                sim = sim.client_at(at, ListenerId(0), Mirror::new(seed ^ client << 32, bytes, ahead));
            }
            relayed(sim, form)
        });
    }
}

#[test]
fn a_cut_stream_never_looks_like_a_whole_one() {
    for form in FORMS {
        Seeds::new("relay-cut", 150).run(|seed| {
            let random = &mut Random::new(seed);
            let mut sim = world(seed, random).faults(Faults { reset: 0.3, ..Faults::mixed(seed) });
            for client in 0..1 + random.below(6) {
                let at = Duration::from_micros(random.below(3000));
                sim =
                    sim.client_at(at, ListenerId(0), Doubter::new(seed ^ client << 32, random.below(30_000)));
            }
            if random.chance(0.3) {
                sim = sim.drain_at(Duration::from_millis(random.below(50)));
            }
            relayed(sim, form)
        });
    }
}

#[test]
fn an_upstream_that_is_silent_or_refuses_closes_the_client_in_time_and_is_counted() {
    for form in FORMS {
        for (fault, least) in [("silence", DEADLINE), ("refuse", Duration::ZERO)] {
            let sim = Sim::new(1).faults(Faults::NONE.with(fault, 1.0)).upstream(UPSTREAM, || Echo);
            let run = relayed(sim.client(Closed { least, at: None }), form).check();
            assert_eq!(run.seats[0].upstream_failed, 1, "{fault}");
        }
    }
}

#[test]
fn a_half_close_is_passed_on_and_the_other_way_stays_open() {
    for form in FORMS {
        let client = Script::new().send("all I say").finish().expect("and then, later").eof();
        relayed(Sim::new(1).upstream(UPSTREAM, || LastWord("all I say")).client(client), form).check();
        let upstream = || Script::new().send("all I say").finish().expect("and then, later").eof();
        relayed(Sim::new(1).upstream(UPSTREAM, upstream).client(LastWord("all I say")), form).check();
    }
}

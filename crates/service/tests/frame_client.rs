//! The client of the framed protocol in the simulated world, against the server of the same crate on the same seat.

#[path = "scenarios/mod.rs"]
mod scenarios;

use bytes::Bytes;
use proto::frame::{Flags, Header, Hello, Kind, Offer, Refusal, Rules, whole, write, write_error};
use scenarios::fleet::Fleet;
use service::frame;
use service::frame::client::{Backoff, Client, Config, Fate, Refused, Told, Why};
use shard::engine::sim::{Faults, Line, Peer, Run, Script, Sim, plan};
use shard::plan::Plan;
use shard::random::Random;
use shard::{End, Event, Io, LegError, Next, Origin, Service, Tick, Token};
use std::cell::RefCell;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// The picture of 20,000 clients is made by `examples/arrivals.rs`; fewer behave alike.
#[test]
fn a_restart_with_thousands_of_clients_sees_no_storm() {
    const CLIENTS: usize = 4_000;
    let fleet = Fleet::new(CLIENTS, Backoff::default());
    let (run, log) = fleet.run(1);
    run.check();
    // Each was greeted before and after.
    assert_eq!(log.ups, 2 * CLIENTS, "{} downs", log.downs);
    assert_eq!(log.answers, 2 * CLIENTS as u64);
    let down = fleet.down.as_millis() as usize / 100;
    let peak = log.slots[down..].iter().max().expect("there are slots");
    assert!((*peak as usize) < CLIENTS / 20, "{peak} arrivals in 100 ms");
    let back = Duration::from_millis(log.last_ms);
    assert!(back < fleet.up + Backoff::default().cap, "the last one came back at {back:?}");
}

#[test]
fn the_same_with_a_fixed_wait_is_a_storm() {
    let second = Duration::from_secs(1);
    let fleet = Fleet::new(1_000, Backoff { base: second, first: second, cap: second });
    let (run, log) = fleet.run(1);
    run.check();
    let up = fleet.up.as_millis() as usize / 100;
    let peak = log.slots[up..].iter().max().expect("there are slots");
    assert!(*peak > 900, "{peak} arrivals in 100 ms: the plot compares nothing");
}

/// What a client's session was told.
#[derive(Clone, Debug, Default)]
struct Log {
    /// Of each request: what was sent, what has come back, and how it ended.
    requests: HashMap<u64, Request>,
    refused: Vec<Refused>,
    downs: Vec<(Why, Option<Duration>)>,
    ups: usize,
    wrong: Vec<String>,
}

#[derive(Clone, Debug)]
struct Request {
    sent: Vec<u8>,
    due: Tick,
    back: Vec<u8>,
    end: Option<Result<(), Fate>>,
}

/// How much later than its deadline the end of a request may be told: the seat may sleep for 2 ms, and 2 more by a fault.
const SLACK_MS: u64 = 5;

/// The server, and one client that asks now and then.
struct Asking {
    client: Client,
    served: bool,
    asks: u32,
    every: Duration,
    next: Option<Token>,
    random: Random,
    log: Rc<RefCell<Log>>,
}

enum Session {
    Root,
    Served(frame::Session),
}

impl Asking {
    fn ask(&mut self, io: &mut Io<'_, Asking>) {
        self.next = None;
        if self.asks == 0 {
            let log = self.log.clone();
            let now = io.now();
            return self.client.leave(io, &mut |told| log.borrow_mut().note(told, now));
        }
        self.asks -= 1;
        let bytes = [0, 1, 10, 3_000, 40_000][self.random.below(5) as usize];
        let sent: Vec<u8> = (0..bytes).map(|at| (at * 3) as u8 ^ self.asks as u8).collect();
        let deadline = Duration::from_millis([5, 200, 8_000][self.random.below(3) as usize]);
        match self.client.ask(Kind::Data, Bytes::from(sent.clone()), deadline, io) {
            Ok(ticket) => {
                let due = Tick(io.now().0 + deadline.as_millis() as u64);
                let request = Request { sent, due, back: Vec::new(), end: None };
                self.log.borrow_mut().requests.insert(ticket.0, request);
            }
            Err(why) => self.log.borrow_mut().refused.push(why),
        }
        self.next = Some(io.timer(self.every));
    }
}

impl Log {
    fn note(&mut self, told: Told<'_>, now: Tick) {
        let (ticket, end) = match told {
            Told::Up(_) => return self.ups += 1,
            Told::Down(why, wait) => return self.downs.push((why, wait)),
            Told::Answer(ticket, piece, left) => {
                let request = self.requests.get_mut(&ticket.0).expect("it was asked");
                request.back.extend(piece);
                if left > 0 && request.end.is_none() {
                    return;
                }
                if request.back != request.sent {
                    self.wrong.push(format!("{ticket:?} has other bytes"));
                }
                (ticket, Ok(()))
            }
            Told::Failed(ticket, fate) => (ticket, Err(fate)),
        };
        let request = self.requests.get_mut(&ticket.0).expect("it was asked");
        if now.0 > request.due.0 + SLACK_MS {
            self.wrong.push(format!("{ticket:?} ended {end:?} {} ms late", now.0 - request.due.0));
        }
        if let Some(before) = request.end.replace(end) {
            self.wrong.push(format!("{ticket:?} ended twice: {before:?}, {end:?}"));
        }
    }

    fn ended(&self, end: Result<(), Fate>) -> usize {
        self.requests.values().filter(|request| request.end == Some(end)).count()
    }
}

impl Service for Asking {
    type Session = Session;
    type Note = ();
    const INPUT_MAX: usize = service::any::INPUT_MAX;

    fn open(&mut self, origin: Origin, io: &mut Io<'_, Asking>) -> Session {
        match origin {
            Origin::Accepted(leg, _) => {
                if !self.served {
                    io.abort(leg);
                }
                Session::Served(frame::Session::new(leg, &CONFIG, io))
            }
            Origin::Root => {
                self.client.start(Duration::from_millis(10), io);
                self.next = Some(io.timer(Duration::from_millis(5)));
                Session::Root
            }
        }
    }

    fn on(&mut self, session: &mut Session, event: Event<'_, Asking>, io: &mut Io<'_, Asking>) -> Next {
        match session {
            Session::Served(frame) => return frame.on(|_| &CONFIG, event, io),
            Session::Root if self.client.concerns(&event) => {
                let (log, now) = (self.log.clone(), io.now());
                self.client.on(event, io, &mut |told| log.borrow_mut().note(told, now));
            }
            Session::Root => match event {
                Event::Timer(timer) if Some(timer) == self.next => self.ask(io),
                Event::Drain(_) => return Next::Close,
                _ => {}
            },
        }
        Next::Stay
    }

    fn end(&mut self, _: Session, _: End) {}
}

const CONFIG: frame::Config = frame::Config {
    offer: Offer { heartbeat_ms: 500, misses: 3, payload_bytes_max: 1 << 20 },
    hello: Duration::from_secs(10),
};

fn run(seed: u64, faults: Faults, served: bool, change: impl Fn(&mut Config)) -> (Run, Log) {
    run_in(Sim::new(seed).faults(faults), seed, served, change)
}

fn run_in(world: Sim, seed: u64, served: bool, change: impl Fn(&mut Config)) -> (Run, Log) {
    let log = Rc::new(RefCell::new(Log::default()));
    let made = log.clone();
    let mut config = Config::new("192.0.2.1:80".parse().expect("an address"));
    (config.requests_max, config.crc) = (40, seed.is_multiple_of(2));
    change(&mut config);
    let config = Arc::new(config);
    let pool = linux::pool::Plan { count: 64, ..plan(1).pool };
    let world = world.plan(Plan { pool, ..plan(1) }).drain_at(Duration::from_secs(60));
    let run = world.run(|_| Asking {
        client: Client::new(config.clone()),
        served,
        asks: 100,
        // Before there is a connection they wait, which is all there is to see without one.
        every: Duration::from_millis(if served { 20 } else { 200 }),
        next: None,
        random: Random::new(seed),
        log: made.clone(),
    });
    (run, log.take())
}

const ELSEWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7)), 7016);

/// The client asks a server of the test's own.
fn run_to<P: Peer + 'static>(world: Sim, seed: u64, server: impl FnMut() -> P + 'static) -> (Run, Log) {
    run_in(world.upstream(ELSEWHERE, server), seed, false, |config| config.to = ELSEWHERE)
}

/// The HELLO of a server that wants a heartbeat each second and takes so long payloads.
fn greeting(payload_bytes_max: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    let offer = Offer { payload_bytes_max, ..Offer::default() };
    let agreed = Hello { heartbeat_ms: 1_000, ..Hello::new() }.agree(&offer).expect("good");
    write(&mut bytes, Kind::Hello, Flags::NONE, 0, &Hello::answer(&agreed));
    bytes
}

#[test]
fn in_a_perfect_world_each_request_is_answered_and_the_client_leaves_in_peace() {
    let (run, log) = run(2, Faults::NONE, true, |_| {});
    run.check();
    assert_eq!((log.ended(Ok(())), log.ups, &log.wrong[..]), (100, 1, &[][..]));
    assert_eq!(log.downs, [(Why::Left, None)]);
}

#[test]
fn whatever_the_network_does_each_request_ends_once_and_its_answer_is_its_own() {
    let (mut answered, mut lost, mut late, mut ups) = (0, 0, 0, 0);
    for seed in 1..400 {
        // Connections break young: a crowd of requests must be on its way by then.
        let faults = Faults::mixed(seed).with("reset", 0.3);
        let (run, log) = run(seed, faults, true, |_| {});
        run.check();
        assert!(log.wrong.is_empty(), "seed {seed}: {:?}", log.wrong);
        let open = log.requests.values().filter(|request| request.end.is_none()).count();
        let ended = log.downs.last().is_some_and(|(_, wait)| wait.is_none());
        assert!(open == 0 && ended, "seed {seed}: {open} requests without an end, {:?}", log.downs.last());
        answered += log.ended(Ok(()));
        lost += log.ended(Err(Fate::Lost));
        late += log.ended(Err(Fate::Late));
        ups += log.ups;
    }
    assert!(answered > 20_000 && lost > 20 && late > 20 && ups > 350, "{answered} {lost} {late} {ups}");
}

#[test]
fn a_server_that_is_silent_strange_or_gone_is_left_for_a_while_with_the_reason() {
    let long = Duration::from_secs(100);
    let greeting = || greeting(1 << 20);
    let refusal = || {
        let mut bytes = Vec::new();
        write_error(&mut bytes, 0, Refusal::Busy);
        bytes
    };
    let check = |script: Script, ups: usize, expected: Why| {
        // It is as it is once; whoever comes again is reset.
        let mut script = Some(script);
        let upstream = move || script.take().unwrap_or_else(|| Script::new().reset());
        let (_, log) = run_to(Sim::new(1), 1, upstream);
        let (why, wait) = log.downs[0];
        assert_eq!((why, log.ups), (expected, ups));
        assert!(wait.is_some_and(|wait| wait >= Duration::from_millis(500)), "{wait:?}");
        assert!(log.requests.values().all(|request| request.end.is_some_and(|end| end.is_err())));
    };
    check(Script::new().wait(long), 0, Why::NoHello);
    check(Script::new().send(greeting()).wait(long), 1, Why::Silent);
    check(Script::new().send(refusal()).wait(long), 0, Why::Error(Refusal::Busy.number()));
    check(Script::new().send("HTTP/1.1 400 Bad Request\r\n\r\n").wait(long), 0, Why::Refused(Refusal::Magic));
    check(
        Script::new().send(greeting()).send(greeting()).wait(long),
        1,
        Why::Refused(Refusal::HelloRepeated),
    );
    check(Script::new().send(greeting()).finish().wait(long), 1, Why::Eof);
    check(Script::new().reset(), 0, Why::Leg(LegError::Reset));
}

#[test]
fn while_the_server_is_away_requests_wait_within_a_bound_and_end_by_their_deadlines() {
    let (run, log) = run(1, Faults::NONE, false, |config| config.requests_max = 5);
    run.check();
    assert!(log.ups == 0 && log.refused.contains(&Refused::Full), "{:?}", log.refused);
    assert_eq!(log.ended(Err(Fate::Late)) + log.ended(Err(Fate::Unsent)), log.requests.len());
    let waits: Vec<Duration> = log.downs.iter().filter_map(|(_, wait)| *wait).collect();
    assert!(
        waits.len() > 2 && waits.iter().all(|wait| (500..=30_000).contains(&wait.as_millis())),
        "{waits:?}"
    );
}

/// A server that lives, in its own way.
struct Server {
    way: Way,
    got: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq)]
enum Way {
    /// It answers PING, no request, and does not close when it is asked to.
    Mute,
    /// It begins to answer a request, and never comes to an end.
    Trickles,
    /// It says nothing, and reads a little now and then.
    Sips,
}

const PAUSE: Duration = Duration::from_millis(2_500);

impl Server {
    fn new(way: Way) -> Server {
        Server { way, got: Vec::new() }
    }

    fn hear(&mut self, header: &Header, line: &mut Line<'_>) {
        match (header.kind, self.way) {
            (Kind::Hello, _) => {
                line.send(greeting(1 << 20));
                line.wait(PAUSE);
            }
            (Kind::Ping, Way::Mute) => line.send(Header::new(Kind::Pong, 0, header.seq).to_bytes()),
            (Kind::Data, Way::Trickles) if header.length == 40_000 => {
                line.send(Header::new(Kind::Data, header.length, header.seq).to_bytes());
                line.send([0]);
            }
            _ => {}
        }
    }
}

impl Peer for Server {
    fn on_connect(&mut self, _: &mut Line<'_>) {}

    fn on_bytes(&mut self, bytes: &[u8], line: &mut Line<'_>) {
        self.got.extend(bytes);
        while let Ok(Some((header, _))) = whole(&self.got, &Rules::STREAM) {
            self.got.drain(..header.frame_bytes());
            self.hear(&header, line);
        }
        if self.way == Way::Sips {
            line.read(false);
        }
    }

    fn on_timer(&mut self, line: &mut Line<'_>) {
        match self.way {
            Way::Mute => return,
            Way::Trickles => line.send([0]),
            Way::Sips => line.read(true),
        }
        line.wait(PAUSE);
    }

    fn on_eof(&mut self, line: &mut Line<'_>) {
        if self.way != Way::Mute {
            line.finish();
        }
    }
}

#[test]
fn a_request_ends_by_its_deadline_though_its_answer_has_begun_to_come() {
    let mut begun = 0;
    for seed in 1..20 {
        let (run, log) = run_to(Sim::new(seed), seed, || Server::new(Way::Trickles));
        run.check();
        assert!(log.wrong.is_empty(), "seed {seed}: {:?}", log.wrong);
        begun += log.requests.values().filter(|request| !request.back.is_empty()).count();
    }
    assert!(begun > 5, "{begun} answers began to come");
}

#[test]
fn a_client_that_ends_waits_for_no_answer_that_is_late_and_not_long_for_a_server_that_does_not_close() {
    for seed in 1..20 {
        let (run, log) = run_to(Sim::new(seed), seed, || Server::new(Way::Mute));
        run.check();
        assert_eq!((log.ups, &log.downs[..]), (1, &[(Why::Left, None)][..]), "seed {seed}");
        assert!(log.wrong.is_empty(), "seed {seed}: {:?}", log.wrong);
    }
}

#[test]
fn a_server_that_says_nothing_lives_as_long_as_it_reads() {
    for seed in 1..20 {
        let world = Sim::new(seed).faults(Faults::NONE.with("small_window", 1.0));
        let (run, log) = run_to(world, seed, || Server::new(Way::Sips));
        run.check();
        // Its patience is 3 s.
        let silent = log.downs.iter().any(|down| matches!(down, (Why::Silent, _)));
        assert!(log.ups == 1 && log.downs.len() <= 1 && !silent, "seed {seed}: {:?}", log.downs);
    }
}

#[test]
fn requests_that_waited_and_are_longer_than_the_server_takes_fail_and_harm_no_other() {
    let server = || Script::new().wait(PAUSE).send(greeting(100)).wait(60 * PAUSE);
    let (_, log) = run_to(Sim::new(1), 1, server);
    assert!(log.wrong.is_empty() && log.ups >= 1, "{:?}", log.wrong);
    // In the end those fail too that never found a server, but by then none is asked that is so long.
    let unsent = log.requests.values().filter(|request| request.end == Some(Err(Fate::Unsent)));
    assert!(unsent.filter(|request| request.sent.len() > 100).count() > 0);
    assert!(log.refused.contains(&Refused::TooLong), "it knows by now");
}

//! Hostile clients of a datagram listener, each with a cookie of its own: what they can have kept, for how long, and what is left for
//! others. All in the simulated world.

#[path = "scenarios/mod.rs"]
mod scenarios;

use proto::frame::udp::COOKIE_BYTES;
use proto::frame::{Error, Flags, Goaway, Header, Hello, Kind, Offer, Ping, Rules, datagram, read, write};
use scenarios::frame_udp::{Caller, Told};
use service::any::{Any, Config, Kind as Served};
use service::frame::udp::{self, Jar, KEPT_BYTES_MAX, ORDER_MS, PEERS_MAX, PROOF_MS};
use shard::ListenerId;
use shard::engine::sim::{Faults, Post, Run, Sim, Station, listener, plan};
use shard::meter::Snapshot;
use shard::plan::{Plan, Transport};
use shard::random::Random;
use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

/// A client by hand: it does what its cookie lets it, and acknowledges nothing.
struct Rogue {
    hello: Hello,
    /// What it says when it is greeted: `(wait, number from its first, kind, flags, payload)`, in the order of the waits.
    says: Vec<(u64, u32, Kind, Flags, usize)>,
    /// It stays for so long after it was greeted, and says PING every four seconds.
    stays_s: u64,
    seq: u32,
    first: u32,
    said: usize,
    greeted_ms: Option<u64>,
    /// It answers no PING: it does not see what the server sends, and goes on from what it has seen before.
    blind: bool,
    /// It says HELLO each second until it is greeted.
    insists: bool,
    /// Everything it has sent is sent again when it would leave, from here on.
    repeats: Option<usize>,
    sent: Vec<Vec<u8>>,
    seen: Rc<RefCell<Seen>>,
}

/// What all rogues of a run were told.
#[derive(Debug, Default)]
struct Seen {
    greeted: usize,
    agreed: Option<Hello>,
    acked: usize,
    answered: usize,
    ponged: usize,
    /// Codes, and when they came.
    errors: Vec<(u32, u64)>,
    /// When each GOAWAY came.
    goaways: Vec<u64>,
}

impl Rogue {
    fn new(seq: u32, seen: &Rc<RefCell<Seen>>) -> Rogue {
        Rogue {
            hello: Hello::new(),
            says: Vec::new(),
            stays_s: 1,
            seq,
            first: 0,
            said: 0,
            greeted_ms: None,
            blind: false,
            insists: false,
            repeats: None,
            sent: Vec::new(),
            seen: seen.clone(),
        }
    }

    fn send(&mut self, post: &mut Post<'_>, bytes: Vec<u8>) {
        self.sent.push(bytes.clone());
        post.send(bytes);
    }

    fn say_hello(&mut self, post: &mut Post<'_>, cookie: Vec<u8>) {
        let mut out = Vec::new();
        write(&mut out, Kind::Hello, Flags::NONE, self.seq, &Hello { cookie, ..self.hello.clone() });
        self.send(post, out);
    }

    /// Says what is due, and waits for what comes next.
    fn go_on(&mut self, post: &mut Post<'_>) {
        let now_ms = post.now_ns() / 1_000_000;
        let Some(greeted_ms) = self.greeted_ms else { return };
        let since = now_ms - greeted_ms;
        while let Some(&(at, number, kind, flags, bytes)) = self.says.get(self.said)
            && at <= since
        {
            self.said += 1;
            let header = Header::new(kind, bytes as u32, self.first.wrapping_add(number)).with(flags);
            self.send(post, [&header.to_bytes()[..], &vec![7; bytes]].concat());
        }
        if since >= self.stays_s * 1_000 {
            let again = self.repeats.and_then(|at| self.sent.get(at)).cloned();
            let (Some(bytes), Some(at)) = (again, &mut self.repeats) else { return post.end() };
            *at += 1;
            post.send(bytes);
            return post.wait(Duration::from_millis(5));
        }
        let next = self.says.get(self.said).map_or(u64::MAX, |said| said.0).min(since + 4_000);
        post.wait(Duration::from_millis((next - since).max(1)));
    }
}

impl Station for Rogue {
    fn on_begin(&mut self, post: &mut Post<'_>) {
        self.say_hello(post, vec![0; COOKIE_BYTES]);
        if self.insists {
            post.wait(Duration::from_secs(1));
        }
    }

    fn on_datagram(&mut self, bytes: &[u8], post: &mut Post<'_>) {
        let now_ms = post.now_ns() / 1_000_000;
        let (header, payload) = datagram(bytes, &Rules::DATAGRAM).expect("the server sends frames");
        let seen = self.seen.clone();
        let mut seen = seen.borrow_mut();
        match header.kind {
            Kind::Hello => {
                let hello: Hello = read(payload).expect("HELLO");
                if !hello.cookie.is_empty() {
                    self.say_hello(post, hello.cookie);
                } else if self.greeted_ms.is_none() {
                    self.greeted_ms = Some(now_ms);
                    self.first = hello.first;
                    seen.greeted += 1;
                    seen.agreed = Some(hello);
                    self.go_on(post);
                }
            }
            Kind::Ack => seen.acked += 1,
            Kind::Data => seen.answered += usize::from(!header.flags.has(Flags::RETRANSMISSION)),
            Kind::Pong => seen.ponged += 1,
            Kind::Ping if !self.blind => {
                let header = Header::new(Kind::Pong, payload.len() as u32, header.seq);
                post.send([&header.to_bytes()[..], payload].concat());
            }
            Kind::Error => {
                seen.errors.push((read::<Error>(payload).expect("ERROR").code, now_ms));
                if self.repeats.is_none() {
                    post.end();
                }
            }
            Kind::Goaway => {
                let goaway: Goaway = read(payload).expect("GOAWAY");
                assert!(goaway.deadline_ms <= 1_000);
                seen.goaways.push(now_ms);
            }
            _ => {}
        }
    }

    fn on_timer(&mut self, post: &mut Post<'_>) {
        if self.insists && self.greeted_ms.is_none() {
            return self.on_begin(post);
        }
        if self.stays_s > 1 && self.repeats.is_none() {
            // Something that counts as heard, and settles nothing.
            let mut out = Vec::new();
            write(&mut out, Kind::Ping, Flags::NONE, self.first, &Ping { stamp: 1 });
            post.send(out);
        }
        self.go_on(post);
    }

    fn verdict(&self, _: bool) -> Result<(), String> {
        Ok(())
    }
}

/// A world of one seat with datagrams of up to 4 KiB.
fn world(seed: u64, faults: Faults) -> Sim {
    let address = SocketAddr::from(([192, 0, 2, 1], 7016));
    let small = plan(1);
    let pool = linux::pool::Plan { count: 512, bytes: 4_096, ..small.pool };
    let plan = Plan { listeners: vec![listener(Transport::Udp, address)], pool, ..small };
    Sim::new(seed).faults(faults).plan(plan).patience(Duration::from_secs(3_600))
}

fn at(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn host(number: u64, port: u64) -> SocketAddr {
    SocketAddr::from(([198, 51, 100, number as u8], 1_024 + port as u16))
}

fn serve(world: Sim, peers_max: usize) -> Run {
    let config = Config::new(vec![Served::FrameUdp(udp::Config {
        offer: Offer::default(),
        jar: Jar::new([5; 16]),
        peers_max,
    })]);
    world.run(|_| Any::new(config.clone())).check()
}

fn counts(run: &Run) -> &Snapshot {
    &run.seats[0]
}

const IN_ORDER: Flags = Flags::ACK_WANTED.with(Flags::ORDERED);
/// Bytes of a payload that is charged with 4,176.
const LARGE: usize = 4_000;
/// An eighth of the 64 MiB of a seat.
const SHARE: usize = 8 << 20;

/// Sixty conversations of each of some hosts leave their first number out; meanwhile others are served as ever.
#[test]
fn gaps_that_stay_open_hold_half_of_a_share_for_a_minute_and_hold_nobody_up() {
    for seed in 0..4 {
        let seen = Rc::new(RefCell::new(Seen::default()));
        let sum = Rc::new(RefCell::new(Told::default()));
        let mut random = Random::new(seed);
        let mut world = world(seed, Faults::NONE);
        let (hosts, each) = (2, 60);
        for n in 0..hosts * each {
            let says = (1..60).map(|number| (0, number, Kind::Data, IN_ORDER, LARGE)).collect();
            let rogue = Rogue { says, stays_s: 70, ..Rogue::new(n as u32 * 1_000, &seen) };
            world = world.station(at(n), ListenerId(0), host(n % hosts, n), rogue);
        }
        for n in 0..10 {
            let caller = Caller::new(&mut random, sum.clone());
            world = world.station(at(5_000 + 2_000 * n), ListenerId(0), host(hosts, n), caller);
        }
        let run = serve(world, PEERS_MAX);
        let (seen, told) = (seen.borrow(), sum.borrow());
        // 31 of 4,176 bytes are what one conversation may have of its 256 KiB.
        assert!(seen.acked > 0 && seen.answered == 0, "{seen:?}");
        let conversation = KEPT_BYTES_MAX / 2 / 4_176;
        assert!(seen.acked <= hosts as usize * (SHARE / 2 / 4_176).min(each as usize * conversation));
        assert!(seen.acked > hosts as usize * (SHARE / 2 / 5_200), "the share is used: {seen:?}");
        assert!(counts(&run).frames_no_room > 0);
        // Each that had something kept is told when the minute is over.
        let told_late = seen.errors.len() as u64;
        assert!(told_late >= seen.acked as u64 / conversation as u64, "{seen:?}");
        assert_eq!(counts(&run).frame_refused_order_late, told_late);
        for (code, when) in &seen.errors {
            assert!(*code == 17 && (ORDER_MS..ORDER_MS + 1_000).contains(when), "{code} at {when}");
        }
        assert!(told.frames > 100 && told.answered == told.frames, "{told:?}");
        assert_eq!((counts(&run).frame_bytes_kept, counts(&run).frame_peers), (0, 0));
    }
}

/// One that closes its first gap just before the end, and leaves another: it gains a minute, and no third.
#[test]
fn a_gap_that_is_moved_along_gains_one_more_minute() {
    let seen = Rc::new(RefCell::new(Seen::default()));
    let mut says: Vec<_> = (1..30).map(|number| (0, 2 * number, Kind::Data, IN_ORDER, 10)).collect();
    // Each of the gaps is closed some seconds before a minute after the last.
    says.extend((0..29).map(|n| (1 + n * 55_000, 1 + 2 * n as u32, Kind::Data, IN_ORDER, 10)));
    let rogue = Rogue { says, stays_s: 3_000, ..Rogue::new(9, &seen) };
    serve(world(1, Faults::NONE).station(at(0), ListenerId(0), host(0, 0), rogue), PEERS_MAX);
    let seen = seen.borrow();
    let [(17, when)] = seen.errors[..] else { panic!("{seen:?}") };
    assert!((ORDER_MS..2 * ORDER_MS + 1_000).contains(&when), "at {when}");
}

#[test]
fn answers_that_nobody_acknowledges_fill_the_share_of_their_host_and_no_more() {
    let seen = Rc::new(RefCell::new(Seen::default()));
    let sum = Rc::new(RefCell::new(Told::default()));
    let mut world = world(3, Faults::NONE);
    for n in 0..50 {
        let says = (0..60).map(|number| (0, number, Kind::Data, Flags::ACK_WANTED, LARGE)).collect();
        let rogue = Rogue { says, ..Rogue::new(n as u32 * 1_000, &seen) };
        world = world.station(at(n), ListenerId(0), host(0, n), rogue);
    }
    let caller = Caller::new(&mut Random::new(1), sum.clone());
    world = world.station(at(500), ListenerId(0), host(1, 0), caller);
    serve(world, PEERS_MAX);
    let (seen, told) = (seen.borrow(), sum.borrow());
    let bytes = seen.answered * 4_176;
    assert!(bytes <= SHARE && bytes > SHARE - SHARE / 10, "{bytes} bytes, {seen:?}");
    assert_eq!(seen.acked, seen.answered);
    assert!(told.frames > 0 && told.answered == told.frames, "{told:?}");
}

/// A PING says that some 255 numbers are given up, and a table of them is to be kept; at once, or by one that goes back in its numbers.
#[test]
fn tables_of_what_will_never_be_answered_are_in_the_account() {
    let at_once = vec![(0, 255, Kind::Ping, Flags::NONE, 0)];
    let back = vec![
        (0, 0, Kind::Data, Flags::ACK_WANTED, 4),
        (20, 257, Kind::Ping, Flags::NONE, 0),
        (40, 0, Kind::Ack, Flags::NONE, 0),
        (60, 1, Kind::Ping, Flags::NONE, 0),
    ];
    for (says, pings) in [(at_once, 1), (back, 2)] {
        let seen = Rc::new(RefCell::new(Seen::default()));
        let mut world = world(4, Faults::NONE);
        for n in 0..800 {
            let rogue = Rogue { says: says.clone(), ..Rogue::new(n as u32 * 1_000, &seen) };
            world = world.station(at(n / 10), ListenerId(0), host(0, n), rogue);
        }
        let run = serve(world, PEERS_MAX);
        let seen = seen.borrow();
        assert_eq!((seen.greeted, seen.ponged), (800, 800 * pings), "all are answered");
        let tables = 800 - counts(&run).frames_no_room as usize;
        assert!((400..SHARE / 12_000).contains(&tables), "{tables}");
    }
}

#[test]
fn one_host_gets_an_eighth_of_the_places_and_another_still_finds_one() {
    let (seen, other) = (Rc::new(RefCell::new(Seen::default())), Rc::new(RefCell::new(Seen::default())));
    let mut world = world(5, Faults::NONE);
    for n in 0..10 {
        let rogue = Rogue { stays_s: 5, ..Rogue::new(n as u32, &seen) };
        world = world.station(at(n), ListenerId(0), host(0, n), rogue);
    }
    world = world.station(at(100), ListenerId(0), host(1, 0), Rogue::new(70, &other));
    let run = serve(world, 32);
    assert_eq!((seen.borrow().greeted, other.borrow().greeted), (4, 1));
    assert!(seen.borrow().errors.iter().all(|(code, _)| *code == 16));
    assert_eq!((seen.borrow().errors.len(), counts(&run).frame_refused_busy), (6, 6));
}

#[test]
fn whatever_is_wished_a_silent_peer_keeps_its_place_for_five_minutes_at_most() {
    let seen = Rc::new(RefCell::new(Seen::default()));
    let hello = Hello { heartbeat_ms: 900_000, misses: 20, ..Hello::new() };
    let silent = Rogue { hello, ..Rogue::new(1, &seen) };
    let late = Rogue::new(2, &seen);
    let world = world(6, Faults::NONE).station(at(0), ListenerId(0), host(0, 0), silent);
    // The run goes on until the second is done, which comes when the first is forgotten.
    let run =
        serve(world.station(at(301_000), ListenerId(0), host(1, 0), late).drain_at(at(303_000)), PEERS_MAX);
    assert_eq!(counts(&run).peers_silent, 1);
    assert_eq!(seen.borrow().greeted, 2);
}

/// Who had an address for a moment, and sends in its name ever after, has its answers sent there for three minutes at most.
#[test]
fn a_peer_that_cannot_see_what_is_sent_to_it_loses_its_place() {
    let (seen, honest) = (Rc::new(RefCell::new(Seen::default())), Rc::new(RefCell::new(Seen::default())));
    let says: Vec<_> = (0..200).map(|n| (2_000 * n, n as u32, Kind::Data, Flags::NONE, 10)).collect();
    let rogue = |blind, seen| Rogue { says: says.clone(), blind, stays_s: 390, ..Rogue::new(5, seen) };
    let world = world(9, Faults::NONE).station(at(0), ListenerId(0), host(0, 0), rogue(true, &seen));
    let run = serve(world.station(at(0), ListenerId(0), host(1, 0), rogue(false, &honest)), PEERS_MAX);
    let seen = seen.borrow();
    let [(9, when)] = seen.errors[..] else { panic!("{seen:?}") };
    assert!((2 * PROOF_MS..2 * PROOF_MS + 10_000).contains(&when), "at {when}");
    assert_eq!(counts(&run).peers_silent, 1);
    assert!(honest.borrow().errors.is_empty() && honest.borrow().answered > 190, "{:?}", honest.borrow());
}

/// A drain under loss: all are told, a few in each turn, and again if they are still there.
/// However rarely it is to be asked, the proof is asked for often enough.
#[test]
fn a_peer_with_a_long_interval_lives_though_half_of_all_gets_lost() {
    for seed in 0..20 {
        let seen = Rc::new(RefCell::new(Seen::default()));
        let hello = Hello { heartbeat_ms: 120_000, misses: 2, ..Hello::new() };
        let says: Vec<_> = (0..400).map(|n| (5_000 * n, n as u32, Kind::Data, Flags::NONE, 10)).collect();
        let rogue = Rogue { hello, says, stays_s: 2_000, insists: true, ..Rogue::new(5, &seen) };
        let lossy = Faults::NONE.with("datagram_lost", 0.3);
        let run = serve(world(seed, lossy).station(at(0), ListenerId(0), host(0, 0), rogue), PEERS_MAX);
        assert!(seen.borrow().errors.is_empty() && seen.borrow().greeted == 1, "{:?}", seen.borrow());
        assert!(seen.borrow().answered > 100 && counts(&run).peers_silent == 0, "seed {seed}");
    }
}

#[test]
fn a_drain_tells_all_peers_a_few_at_a_time_and_again_while_they_stay() {
    for (loss, peers) in [(0.0, 3_000_u64), (0.3, 600)] {
        let seen = Rc::new(RefCell::new(Seen::default()));
        let mut world = world(7, Faults::NONE.with("datagram_lost", loss)).drain_at(at(20_000));
        for n in 0..peers {
            let rogue = Rogue { stays_s: 40, ..Rogue::new(n as u32, &seen) };
            world = world.station(at(n), ListenerId(0), host(n % 200, n), rogue);
        }
        serve(world, PEERS_MAX);
        let seen = seen.borrow();
        let greeted = seen.greeted;
        assert!(greeted > 100 && (loss > 0.0 || greeted == peers as usize));
        // Four rounds in the second of grace.
        let rounds = seen.goaways.len() as f64 / greeted as f64;
        assert!((3.5 * (1.0 - loss)..4.1).contains(&rounds), "each was told {rounds} times");
        let most = seen.goaways.chunk_by(|one, other| one == other).map(<[u64]>::len).max();
        assert!(most.is_some_and(|most| most <= 2 * 256), "{most:?} in a millisecond");
    }
}

/// What an old conversation has sent comes once more when it is over, HELLO and cookie and all.
#[test]
fn a_conversation_that_is_said_again_delivers_nothing_again() {
    let seen = Rc::new(RefCell::new(Seen::default()));
    let both = |n| [Flags::ACK_WANTED, Flags::NONE].map(|flags| (0, n, Kind::Data, flags, 10));
    let mut says: Vec<_> = (0..5).flat_map(both).collect();
    // It leaves; nothing is said after it.
    says.push((500, 5, Kind::Goaway, Flags::NONE, 0));
    let rogue = Rogue { says, repeats: Some(0), ..Rogue::new(1_000, &seen) };
    let run = serve(world(8, Faults::NONE).station(at(0), ListenerId(0), host(0, 0), rogue), PEERS_MAX);
    assert_eq!(counts(&run).requests, 10, "{:?}", seen.borrow());
    assert!(counts(&run).frames_strange >= 5 && counts(&run).frames_duplicate == 5);
}

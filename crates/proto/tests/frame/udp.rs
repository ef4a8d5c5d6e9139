//! Datagrams: the golden matrix of who may say what, vectors cut at every byte, and two ends of a bad network.

use crate::reader::{hex, unhex};
use proto::frame::udp::{
    COOKIE_BYTES, Caller, Came, Due, Jar, Known, Receiver, Sender, ServerSays, TRIES_MAX, Taken, WINDOW,
    server,
};
use proto::frame::{Ack, Flags, Hello, Kind, Refusal, Rules, datagram, read, write};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

const TABLE: &str = include_str!("../golden/frame/datagrams.txt");
const VECTORS: &str = include_str!("../golden/frame/datagrams.json");

const CAME: [(&str, Came); 14] = [
    ("ask", Came::Ask),
    ("proof", Came::Proof),
    ("stale", Came::Stale),
    ("bare", Came::Bare),
    ("cookie", Came::Cookie),
    ("bad-cookie", Came::BadCookie),
    ("HELLO", Came::Other(Kind::Hello)),
    ("PING", Came::Other(Kind::Ping)),
    ("PONG", Came::Other(Kind::Pong)),
    ("ACK", Came::Other(Kind::Ack)),
    ("ERROR", Came::Other(Kind::Error)),
    ("GOAWAY", Came::Other(Kind::Goaway)),
    ("DATA", Came::Other(Kind::Data)),
    ("APPLICATION", Came::Other(Kind::Application(0x8000))),
];

fn table() -> String {
    let mut out = String::from(
        "# Who may say what over datagrams: state, what came -> (client: state after,) what is said.\n",
    );
    for known in [Known::Unknown, Known::Open] {
        for draining in [false, true] {
            for (name, came) in CAME {
                let says = match server(known, draining, came) {
                    ServerSays::Refuse(refusal) => format!("refuse:{}", refusal.code()),
                    says => format!("{says:?}").to_lowercase(),
                };
                let state = format!("{known:?}{}", if draining { "/draining" } else { "" }).to_lowercase();
                out += &format!("server {state:16} {name:11} -> {says}\n");
            }
        }
    }
    for state in ["asking", "proving", "open", "leaving", "parting", "closed"] {
        for (name, came) in CAME {
            let mut caller = at(state);
            let says = format!("{:?}", caller.on(came)).to_lowercase();
            let after = format!("{:?}", caller.state()).to_lowercase();
            out += &format!("client {state:16} {name:11} -> {after:8} {says}\n");
        }
    }
    out
}

fn at(state: &str) -> Caller {
    let mut caller = Caller::new();
    let way = [Came::Cookie, Came::Bare, Came::Other(Kind::Goaway)];
    let steps =
        ["asking", "proving", "open", "leaving", "parting", "closed"].iter().position(|name| *name == state);
    let steps = steps.expect("a state");
    way.into_iter().take(steps).for_each(|came| _ = caller.on(came));
    match state {
        "parting" => caller.part(),
        "closed" => caller.close(),
        _ => {}
    }
    assert_eq!(format!("{:?}", caller.state()).to_lowercase(), state);
    caller
}

#[test]
fn all_that_may_come_in_every_state_has_the_answer_of_the_table() {
    let is = table();
    for (is, golden) in is.lines().zip(TABLE.lines()) {
        assert_eq!(is, golden);
    }
    assert_eq!(is.lines().count(), TABLE.lines().count());
    assert_eq!(is.lines().count(), 1 + 14 * (4 + 6));
}

/// The answer of one server is never a question to another that goes on for ever.
#[test]
fn two_servers_and_a_machine_that_sends_everything_back_fall_silent() {
    // What a server says, as another server, or itself again, would hear it.
    let heard = |says: ServerSays| match says {
        ServerSays::Cookie => vec![Came::Stale, Came::Proof],
        ServerSays::Greet => vec![Came::Bare],
        ServerSays::Refuse(_) => vec![Came::Other(Kind::Error)],
        ServerSays::Pong => vec![Came::Other(Kind::Pong)],
        ServerSays::Finish => vec![Came::Other(Kind::Goaway)],
        ServerSays::Nothing | ServerSays::Heard | ServerSays::Forget | ServerSays::Take => vec![],
    };
    for (name, came) in CAME {
        let mut said = vec![came];
        let mut turns = 0;
        while !said.is_empty() {
            turns += 1;
            assert!(turns < 5, "{name} goes on");
            said = said.into_iter().flat_map(|came| heard(server(Known::Unknown, false, came))).collect();
        }
    }
}

fn vectors() -> Vec<(String, Vec<u8>, Value)> {
    let all: Vec<Value> = serde_json::from_str(VECTORS).expect("JSON");
    let text = |value: &Value| value.as_str().expect("a string").to_owned();
    all.into_iter().map(|one| (text(&one["name"]), unhex(&text(&one["hex"])), one)).collect()
}

#[test]
fn every_vector_is_read_as_it_says_and_no_part_of_it_is_a_datagram() {
    for (name, bytes, one) in vectors() {
        let (header, payload) =
            datagram(&bytes, &Rules::DATAGRAM).unwrap_or_else(|why| panic!("{name}: {why}"));
        assert_eq!(header.kind.name(), one["frame"], "{name}");
        assert_eq!(u64::from(header.seq), one["seq"], "{name}");
        assert_eq!(u64::from(header.flags.0), one["flags"], "{name}");
        assert_eq!(hex(payload), one["payload"].as_str().expect("hex"), "{name}");
        for cut in 0..bytes.len() {
            assert_eq!(
                datagram(&bytes[..cut], &Rules::DATAGRAM),
                Err(Refusal::Length),
                "{name} cut at {cut}"
            );
        }
        let longer = [&bytes[..], &[0]].concat();
        assert_eq!(datagram(&longer, &Rules::DATAGRAM), Err(Refusal::Length), "{name} and a byte");
    }
}

#[test]
fn the_vectors_are_a_whole_conversation_with_its_cookie() {
    let all: BTreeMap<String, Vec<u8>> =
        vectors().into_iter().map(|(name, bytes, _)| (name, bytes)).collect();
    let frame = |kind, seq, message: &Hello| {
        let mut out = Vec::new();
        write(&mut out, kind, Flags::NONE, seq, message);
        out
    };
    let secret: [u8; 16] = std::array::from_fn(|at| at as u8);
    let (peer, seq) = ("192.0.2.1:5000".parse().expect("an address"), 1_000);
    let cookie = Jar::new(secret).give(peer, seq, 0).to_vec();
    let ask = Hello { cookie: vec![0; COOKIE_BYTES], ..Hello::new() };
    assert_eq!(all["a client asks for a cookie"], frame(Kind::Hello, seq, &ask));
    let given = Hello { cookie: cookie.clone(), ..Hello::default() };
    assert_eq!(
        hex(&all["the server gives it: secret 00 to 0f, 192.0.2.1:5000, in the first minute"]),
        hex(&frame(Kind::Hello, seq, &given))
    );
    let proof = Hello { cookie, ..Hello::new() };
    assert_eq!(hex(&all["the client brings it back"]), hex(&frame(Kind::Hello, seq, &proof)));
    // What is said to a stranger is no longer than what he said.
    let mut refusal = Vec::new();
    write(&mut refusal, Kind::Error, Flags::NONE, 0, &proto::frame::Error { code: 14, text: String::new() });
    let (pace, payload_bytes_max) = (proto::frame::Pace::new(u32::MAX, 20).over_datagrams(), u16::MAX.into());
    let agreed = proto::frame::Agreed { pace, payload_bytes_max };
    let greeting = Hello { first: u32::MAX, ..Hello::answer(&agreed) };
    for answer in [frame(Kind::Hello, seq, &given), refusal, frame(Kind::Hello, seq, &greeting)] {
        assert!(answer.len() <= all["a client asks for a cookie"].len());
    }
    let hello: Hello = read(&proof_payload(&all["the client brings it back"])).expect("a HELLO");
    assert!(Jar::new(secret).is_good(&hello.cookie, peer, seq, 0));
}

fn proof_payload(bytes: &[u8]) -> Vec<u8> {
    datagram(bytes, &Rules::DATAGRAM).expect("a frame").1.to_vec()
}

/// One way of a network: a receiver, and what is on its way to it and back.
struct Way {
    sender: Sender<u32>,
    receiver: Receiver<u32>,
    ordered: bool,
    delivered: Vec<u32>,
    given_up: BTreeSet<u32>,
    skipped: BTreeSet<u32>,
}

enum Wire {
    Frame(u32),
    Ack(u32, Ack),
    Ping(u32),
    Pong(u32),
}

/// splitmix64.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n
    }
}

fn run(seed: u64) -> [usize; 3] {
    let mut random = Random(seed);
    // The numbers wrap around in the midst of some.
    let first = [0, 7, u32::MAX - 100, u32::MAX / 2][random.below(4) as usize];
    let ordered = random.below(2) == 0;
    let loss = [0, 10, 30, 60][random.below(4) as usize];
    let (twice, held_max) = (random.below(30), [0, 3, 300][random.below(3) as usize]);
    let mut way = Way {
        sender: Sender::new(first),
        receiver: Receiver::new(first),
        ordered,
        delivered: Vec::new(),
        given_up: BTreeSet::new(),
        skipped: BTreeSet::new(),
    };
    let (mut air, mut now, mut held) = (Vec::<(u64, Wire)>::new(), random.below(1 << 40), 0_usize);
    let (mut left, mut idle) = (300 + random.below(300), 0);
    while idle < 40_000 {
        now += 1;
        // A blackout now and then: whole windows are given up.
        let dark = seed.is_multiple_of(4) && now % 20_000 < 8_000;
        let mut out = Vec::new();
        while left > 0
            && random.below(4) > 0
            && let Some(seq) = way.sender.next()
        {
            way.sender.sent(seq, seq, 1, now);
            out.push(Wire::Frame(seq));
            left -= 1;
        }
        let mut at = 0;
        while let Some(due) = way.sender.due(&mut at, now, false) {
            match due {
                Due::Again(seq, frame) => {
                    assert_eq!(seq, *frame);
                    out.push(Wire::Frame(seq));
                }
                Due::Lost(seq, _) => assert!(way.given_up.insert(seq), "given up twice"),
                Due::Ask(floor) => out.push(Wire::Ping(floor)),
            }
        }
        let (mut came, mut rest) = (Vec::new(), Vec::new());
        for (due, wire) in air {
            if due <= now { came.push(wire) } else { rest.push((due, wire)) }
        }
        air = rest;
        idle = if came.is_empty() && out.is_empty() && left == 0 { idle + 1 } else { 0 };
        if idle > 10 && way.sender.due_ms().is_none() {
            break;
        }
        for wire in came {
            match wire {
                Wire::Frame(seq) => {
                    let taken = way.receiver.take(seq, way.ordered, || (held < held_max).then_some(seq));
                    match taken {
                        Taken::Now => way.delivered.push(seq),
                        Taken::Held => held += 1,
                        Taken::Duplicate => {}
                        Taken::NoRoom => continue,
                        Taken::Beyond => panic!("{seq} is beyond {}", way.receiver.floor()),
                    }
                    out.push(Wire::Ack(seq, way.receiver.ack(seq)));
                }
                Wire::Ack(seq, ack) => _ = way.sender.acknowledged(seq, ack, now, |_| {}),
                Wire::Ping(floor) => {
                    let skipped = &mut way.skipped;
                    if way.receiver.settle(floor, |seq| assert!(skipped.insert(seq))) {
                        out.push(Wire::Pong(floor));
                    }
                }
                Wire::Pong(floor) => _ = way.sender.confirmed(floor),
            }
            while let Some((seq, kept)) = way.receiver.pop() {
                assert_eq!(seq, kept);
                held -= 1;
                way.delivered.push(seq);
            }
        }
        for wire in out {
            if dark || random.below(100) < loss {
                continue;
            }
            let copy = match &wire {
                Wire::Frame(seq) => Wire::Frame(*seq),
                Wire::Ack(seq, ack) => Wire::Ack(*seq, *ack),
                Wire::Ping(floor) => Wire::Ping(*floor),
                Wire::Pong(floor) => Wire::Pong(*floor),
            };
            if random.below(100) < twice {
                air.push((now + 1 + random.below(60), copy));
            }
            air.push((now + 1 + random.below(15), wire));
        }
    }
    let sent = way.sender.next().expect("the window is free again").wrapping_sub(first);
    assert_eq!((way.sender.flying(), way.sender.bytes(), held), (0, 0, 0), "seed {seed}: all is settled");
    let delivered: BTreeSet<u32> = way.delivered.iter().copied().collect();
    assert_eq!(delivered.len(), way.delivered.len(), "seed {seed}: none comes twice");
    for n in 0..sent {
        let seq = first.wrapping_add(n);
        assert!(
            delivered.contains(&seq) || way.given_up.contains(&seq),
            "seed {seed}: {n} was lost silently"
        );
        assert!(
            !(delivered.contains(&seq) && way.skipped.contains(&seq)),
            "seed {seed}: {n} came after it was skipped"
        );
    }
    if ordered {
        let in_order = way.delivered.windows(2).all(|pair| (pair[1].wrapping_sub(pair[0]) as i32) > 0);
        assert!(in_order, "seed {seed}: out of order");
    }
    [way.delivered.len(), way.given_up.len(), way.skipped.len()]
}

#[test]
fn two_ends_of_a_bad_network_lose_nothing_silently_and_deliver_nothing_twice() {
    let count = std::env::var("RINGMILL_FUZZ_COUNT").ok().and_then(|n| n.parse().ok()).unwrap_or(400);
    let first = std::env::var("RINGMILL_FUZZ_SEED").ok().and_then(|n| n.parse().ok()).unwrap_or(1);
    let mut sum = [0; 3];
    for seed in first..first + count {
        sum.iter_mut().zip(run(seed)).for_each(|(sum, n)| *sum += n);
    }
    if count >= 400 {
        assert!(sum.iter().all(|n| *n > 100), "{sum:?}");
    }
}

#[test]
fn a_frame_is_tried_so_often_with_waits_that_double_and_then_given_up_and_put_off_once_by_a_late_look() {
    let mut sender = Sender::new(5);
    sender.sent(5, 'x', 1, 0);
    let (mut now, mut waits) = (0, Vec::new());
    for _ in 1..TRIES_MAX {
        let due = sender.due_ms().expect("it flies");
        assert_eq!(sender.due(&mut 0, due - 1, false), None);
        assert!(matches!(sender.due(&mut 0, due, true), Some(Due::Again(5, 'x'))));
        waits.push(due - now);
        now = due;
    }
    assert_eq!(waits, [250, 500, 1_000, 2_000, 4_000, 4_000, 4_000]);
    now = sender.due_ms().expect("it flies");
    assert_eq!(sender.due(&mut 0, now, true), None, "an ACK may have come that nobody has looked at");
    assert_eq!(sender.due_ms(), Some(now + 250));
    // Once: a seat that is always late gives up too.
    assert_eq!(sender.due(&mut 0, now + 250, true), Some(Due::Lost(5, 'x')));
    assert_eq!((sender.flying(), sender.bytes(), sender.floor()), (0, 0, 6));
    // The peer is asked until it knows.
    assert_eq!(sender.due(&mut 0, now + 250, false), Some(Due::Ask(6)));
    assert!(!sender.confirmed(7), "a number that was never sent");
    assert!(sender.confirmed(6));
    assert_eq!(sender.due_ms(), None);
}

#[test]
fn numbers_of_nobody_change_nothing() {
    let mut random = Random(3);
    let (mut sender, mut receiver) = (Sender::new(1_000_000), Receiver::<u8>::new(1_000_000));
    sender.sent(1_000_000, 1, 1, 0);
    for _ in 0..100_000 {
        let seq = random.below(1 << 32) as u32;
        if seq.wrapping_sub(1_000_000).wrapping_add(WINDOW) <= 2 * WINDOW {
            continue;
        }
        let ack = Ack { before: random.below(u64::MAX), floor: 0 };
        assert_eq!(sender.acknowledged(seq, ack, 1, |_| panic!("it is not of this")), None);
        assert!(!sender.confirmed(seq) && !receiver.settle(seq, |_| panic!("it is not of this")));
        assert_eq!(receiver.take(seq, false, || None), Taken::Beyond);
    }
    assert_eq!((sender.flying(), receiver.floor()), (1, 1_000_000));
    // Those that want no ACK begin with the first number too.
    for (seq, is_new) in
        [(999_999, false), (999_800, false), (1_000_003, true), (1_000_000, true), (1_000_000, false)]
    {
        assert_eq!(receiver.take_loose(seq), is_new, "{seq}");
    }
}

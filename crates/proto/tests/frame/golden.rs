//! The golden vectors, each read whole, cut at every byte, and byte by byte; and written again.

use crate::reader::{Told, at_once, datagram, in_pieces, unhex};
use proto::frame::{
    Ack, Error, Flags, Goaway, HEADER_BYTES, Header, Hello, Kind, Over, Ping, Refusal, Rules, read, sum,
    write, write_error,
};
use serde_json::Value;

pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) rules: Rules,
    pub(crate) input: Vec<u8>,
    pub(crate) told: Told,
}

pub(crate) fn cases() -> Vec<Case> {
    let all: Vec<Value> = serde_json::from_str(include_str!("../golden/frame/frames.json")).expect("JSON");
    all.iter().map(case).collect()
}

fn case(row: &Value) -> Case {
    let text = |key: &str| row[key].as_str();
    let over = match text("over") {
        Some("stream") => Over::Stream,
        Some("datagram") => Over::Datagram,
        other => panic!("{other:?}"),
    };
    let payload_bytes_max = row["payload_bytes_max"].as_u64().expect("a number") as u32;
    let input = unhex(text("hex").expect("hex"));
    let frames = row["frames"].as_array().expect("a list").clone();
    let refusal = text("refusal").map(|code| {
        *Refusal::ALL.iter().find(|refusal| refusal.code() == code).expect("a refusal that there is")
    });
    let read: usize = frames.iter().map(bytes).sum();
    let rest = if refusal.is_some() { 0 } else { input.len() - read };
    Case {
        name: text("name").expect("a name").to_owned(),
        rules: Rules { over, payload_bytes_max },
        input,
        told: Told { frames, refusal, rest },
    }
}

/// Bytes of a frame that the vectors tell of.
fn bytes(frame: &Value) -> usize {
    let payload = frame["payload"].as_str().expect("hex").len() / 2;
    HEADER_BYTES + payload + if frame["flags"].as_u64().expect("a number") & 1 == 1 { 4 } else { 0 }
}

#[test]
fn every_vector_reads_as_written_wherever_it_is_cut() {
    for case in cases() {
        let Case { name, rules, input, told } = &case;
        if rules.over == Over::Datagram {
            assert_eq!(datagram(input, rules), *told, "{name}");
            continue;
        }
        assert_eq!(at_once(input, rules), *told, "{name}: at once");
        assert_eq!(in_pieces(input, rules, []), *told, "{name}: whole");
        assert_eq!(in_pieces(input, rules, 1..input.len()), *told, "{name}: byte by byte");
        for cut in 1..input.len() {
            assert_eq!(in_pieces(input, rules, [cut]), *told, "{name}: cut at {cut}");
        }
    }
}

#[test]
fn every_refusal_that_bytes_can_cause_is_reached() {
    let by_others = [
        Refusal::HelloExpected,
        Refusal::HelloRepeated,
        Refusal::NoVersion,
        Refusal::HelloLate,
        Refusal::Cookie,
        Refusal::Silent,
        Refusal::Busy,
        Refusal::OrderLate,
    ];
    let seen: Vec<Refusal> = cases().iter().filter_map(|case| case.told.refusal).collect();
    for refusal in Refusal::ALL {
        assert_ne!(seen.contains(refusal), by_others.contains(refusal), "{refusal:?}");
        assert_eq!(Refusal::from_number(refusal.number()), Some(*refusal));
    }
    assert_eq!((Refusal::from_number(0), Refusal::from_number(u32::MAX)), (None, None));
}

#[test]
fn what_is_read_is_written_with_the_same_bytes() {
    for case in cases() {
        // One vector's message has a field that is not ours, one a form that we only read.
        let foreign = case.name.contains("future") || case.name.contains("one by one");
        let mut input = &case.input[..];
        for frame in &case.told.frames {
            let (bytes, rest) = input.split_at(bytes(frame));
            let header = Header::read(bytes, &case.rules).expect("good").expect("whole");
            assert_eq!(header.frame_bytes(), bytes.len());
            assert_eq!(header.to_bytes(), bytes[..HEADER_BYTES]);
            let payload = &bytes[HEADER_BYTES..][..header.length as usize];
            if header.flags.has(Flags::CRC) {
                assert_eq!(sum(&header, payload), bytes[bytes.len() - 4..]);
            }
            if header.kind.is_control() && !foreign {
                assert_eq!(rewritten(&header, payload), bytes, "{}", case.name);
            }
            input = rest;
        }
    }
}

fn rewritten(header: &Header, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let &Header { kind, flags, seq, .. } = header;
    match kind {
        Kind::Hello => write(&mut out, kind, flags, seq, &read::<Hello>(payload).expect("good")),
        Kind::Ping | Kind::Pong => write(&mut out, kind, flags, seq, &read::<Ping>(payload).expect("good")),
        Kind::Ack => write(&mut out, kind, flags, seq, &read::<Ack>(payload).expect("good")),
        Kind::Error => write(&mut out, kind, flags, seq, &read::<Error>(payload).expect("good")),
        Kind::Goaway => write(&mut out, kind, flags, seq, &read::<Goaway>(payload).expect("good")),
        Kind::Data | Kind::Application(_) => unreachable!("not a control frame"),
    }
    out
}

#[test]
fn an_error_says_why_in_a_number_and_in_words() {
    for refusal in Refusal::ALL {
        let mut out = Vec::new();
        write_error(&mut out, 9, *refusal);
        let (header, payload) = proto::frame::datagram(&out, &Rules::DATAGRAM).expect("good");
        let error: Error = read(payload).expect("good");
        assert_eq!((header.kind, header.seq), (Kind::Error, 9));
        assert_eq!((error.code, &error.text[..]), (refusal.number(), refusal.reason()));
    }
}

#[test]
fn both_sides_agree_on_what_the_client_wished_as_far_as_it_goes() {
    use proto::frame::{Agreed, Offer, heartbeat::Pace};
    let offer = Offer { heartbeat_ms: 30_000, misses: 4, payload_bytes_max: 65_536 };
    let check = |hello: Hello, expected: Result<(u32, u32, u32), Refusal>| {
        let told =
            |agreed: Agreed| (agreed.pace.interval_ms(), agreed.pace.misses(), agreed.payload_bytes_max);
        let server = hello.agree(&offer);
        assert_eq!(server.map(told), expected);
        if let Ok(agreed) = server {
            assert_eq!(Hello::answer(&agreed).settled(), Ok(agreed), "the client understands the same");
        }
    };
    check(Hello::new(), Ok((30_000, 4, 65_536)));
    check(Hello { heartbeat_ms: 1, misses: 1, payload_bytes_max: 1, ..Hello::new() }, Ok((100, 2, 1)));
    check(
        Hello { heartbeat_ms: u32::MAX, misses: 99, payload_bytes_max: u32::MAX, ..Hello::new() },
        Ok((900_000, 20, 65_536)),
    );
    check(Hello { versions: vec![3, 2, 1], ..Hello::new() }, Ok((30_000, 4, 65_536)));
    check(Hello { versions: vec![2], ..Hello::new() }, Err(Refusal::NoVersion));
    check(Hello { versions: vec![257], ..Hello::new() }, Err(Refusal::NoVersion));
    check(Hello { versions: vec![], ..Hello::new() }, Err(Refusal::NoVersion));
    check(Hello { client_id: vec![0; 64], ..Hello::new() }, Ok((30_000, 4, 65_536)));
    check(Hello { client_id: vec![0; 65], ..Hello::new() }, Err(Refusal::Malformed));
    assert_eq!(
        Agreed { pace: Pace::default(), payload_bytes_max: 1 << 20 },
        Hello::new().settled().expect("good")
    );
}

#[test]
fn the_specification_has_every_code_and_kind_and_its_examples_are_frames() {
    let text = include_str!("../../../../docs/FRAME.md");
    for refusal in Refusal::ALL {
        let row = format!("| {} | {} | ", refusal.number(), refusal.code());
        assert!(text.contains(&row), "no row {row}");
    }
    for kind in [Kind::Hello, Kind::Ping, Kind::Pong, Kind::Ack, Kind::Error, Kind::Goaway, Kind::Data] {
        let row = format!("| {} | {} | ", kind.number(), kind.name());
        assert!(text.contains(&row), "no row {row}");
    }
    let hex: String = text
        .split("## Examples")
        .nth(1)
        .expect("it ends with examples")
        .lines()
        .filter(|line| is_hex(line))
        .collect();
    let told = at_once(&unhex(&hex.replace(' ', "")), &Rules::STREAM);
    assert_eq!((told.frames.len(), told.refusal, told.rest), (7, None, 0));
    // Each is one of the vectors.
    let vectors: Vec<Value> = cases().into_iter().flat_map(|case| case.told.frames).collect();
    for frame in told.frames.iter().filter(|frame| frame["frame"] != "PONG") {
        assert!(vectors.contains(frame), "{frame}");
    }
}

/// A line of pairs of hex digits.
fn is_hex(line: &str) -> bool {
    let mut pairs = line.split_whitespace().peekable();
    pairs.peek().is_some() && pairs.all(|pair| pair.len() == 2 && u8::from_str_radix(pair, 16).is_ok())
}

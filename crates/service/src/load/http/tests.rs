//! The reader of HTTP answers: cut anywhere, wrong in every way, on a seat that knows an answer and on one that does not.

use super::*;
use Answer::{Closing, Corrupt, Extra, Garbage, Good, Status};
use shard::random::Random;

const OK: &str = "HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Length: 2\r\n\r\nok";
const LATER: &str = "HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:38 GMT\r\nContent-Length: 2\r\n\r\nok";
const CHUNKED: &str =
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;a=b\r\no\r\n001\r\nk\r\n0\r\nx: y\r\n\r\n";

fn answers(head: bool) -> Answers {
    let method = if head { "HEAD" } else { "GET" };
    let request = Request::new(method, "/", &[("Host", "h")], None).unwrap();
    Answers::new(&Request { expect_bytes: Some(2), expect_crc32: Some(0x79dc_dd47), ..request }, true)
}

/// One connection: pieces, the requests outstanding, then the end if `ends`.
fn read_on(answers: &mut Answers, mut outstanding: usize, pieces: &[&[u8]], ends: bool) -> Vec<Answer> {
    let (mut reader, mut told) = (Reader::default(), Vec::new());
    for piece in pieces {
        let mut ended = 0;
        answers.read(&mut reader, outstanding, piece, told.len() as u64 * 100_000_000, |answer| {
            ended += usize::from(!matches!(answer, Closing | Extra(_) | Garbage));
            told.push(answer);
        });
        outstanding -= ended;
        if told.last() == Some(&Garbage) {
            return told;
        }
    }
    if ends && !answers.end(&mut reader, 0, |answer| told.push(answer)) && reader.is_midway() {
        told.push(Garbage);
    }
    told
}

/// The same on a new seat and on one that knows an answer, wherever it is cut.
fn read_all(head: bool, outstanding: usize, stream: &str, ends: bool) -> Vec<Answer> {
    let bytes = stream.as_bytes();
    let whole = read_on(&mut answers(head), outstanding, &[bytes], ends);
    let mut seasoned = answers(head);
    let known = if head { "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n" } else { OK };
    read_on(&mut seasoned, 1, &[known.as_bytes()], false);
    let step = if bytes.len() > 300 { 7 } else { 1 };
    for first in (0..=bytes.len()).step_by(step) {
        let rest = [first, (first + 1).min(bytes.len()), (first + 20).min(bytes.len()), bytes.len()];
        for second in rest {
            let pieces = [&bytes[..first], &bytes[first..second], &bytes[second..]];
            let fresh = read_on(&mut answers(head), outstanding, &pieces, ends);
            assert_eq!(joined(fresh), joined(whole.clone()), "cut at {first}, {second}");
            let again = read_on(&mut seasoned, outstanding, &pieces, ends);
            assert_eq!(joined(again), joined(whole.clone()), "known, cut at {first}, {second}");
        }
    }
    whole
}

/// What came unasked may come in pieces.
fn joined(answers: Vec<Answer>) -> Vec<Answer> {
    let mut all: Vec<Answer> = Vec::new();
    for answer in answers {
        match (all.last_mut(), answer) {
            (Some(Extra(before)), Extra(more)) => *before += more,
            _ => all.push(answer),
        }
    }
    all
}

#[test]
fn answers_are_read_wherever_they_are_cut_also_where_the_date_changes() {
    assert_eq!(read_all(false, 3, &[OK, LATER, LATER].concat(), false), [Good(2); 3]);
    assert_eq!(read_all(false, 4, &[OK, CHUNKED, CHUNKED, OK].concat(), false), [Good(2); 4]);
    assert_eq!(read_all(false, 16, &[OK, LATER].concat().repeat(8), false), [Good(2); 16]);
}

#[test]
fn an_answer_that_another_connection_made_old_in_its_middle_is_read_on() {
    for cut in 1..OK.len() {
        let (mut all, mut reader, mut told) = (answers(false), Reader::default(), Vec::new());
        read_on(&mut all, 1, &[OK.as_bytes()], false);
        let (begin, rest) = OK.as_bytes().split_at(cut);
        all.read(&mut reader, 1, begin, 60_000_000, |answer| told.push(answer));
        // On another connection the date changes, and with it what is known.
        all.read(&mut Reader::default(), 1, LATER.as_bytes(), 120_000_000, |_| ());
        assert_eq!(all.known.bytes, LATER.as_bytes());
        all.read(&mut reader, 1, rest, 130_000_000, |answer| told.push(answer));
        assert_eq!(told, [Good(2)], "cut at {cut}");
    }
}

#[test]
fn every_kind_of_answer_ends_where_it_says_and_is_called_what_it_is() {
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n";
    assert_eq!(read_all(true, 2, &head.repeat(2), false), [Corrupt; 2], "0 bytes, not 2");
    let none = "HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n";
    assert_eq!(read_all(false, 2, none, false), [Corrupt, Good(3)]);
    let interim = format!("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n{OK}");
    assert_eq!(read_all(false, 2, &[&interim, OK].concat(), false), [Good(2), Good(2)]);
    let until_close = "HTTP/1.1 200 OK\r\n\r\nok";
    assert_eq!(read_all(false, 1, until_close, true), [Closing, Good(2)]);
    assert_eq!(read_all(false, 1, "HTTP/1.1 200 OK\r\n\r\nokay", true), [Closing, Corrupt]);
    let close = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok";
    assert_eq!(read_all(false, 2, &[OK, close].concat(), true), [Good(2), Closing, Good(2)]);
    let bad = "HTTP/1.1 404 No\r\nContent-Length: 2\r\n\r\nno";
    let worse = "HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(read_all(false, 3, &[OK, bad, worse].concat(), false), [Good(2), Status(4), Status(5)]);
    let other = OK.replace("ok", "no");
    assert_eq!(read_all(false, 2, &[other.as_str(), OK].concat(), false), [Corrupt, Good(2)], "other bytes");
    let longer = OK.replace("2\r\n\r\nok", "3\r\n\r\noks");
    assert_eq!(read_all(false, 2, &[longer.as_str(), OK].concat(), false), [Corrupt, Good(2)]);
    assert_eq!(read_all(false, 1, &[OK, OK].concat(), false), [Good(2), Extra(OK.len() as u64)]);
    assert_eq!(read_all(false, 1, &OK[..OK.len() - 1], true), [Garbage], "it ended before its end");
    for garbage in ["HTTP/3 200 OK\r\n\r\n", "\0\0\0\0", "HTTP/1.1 999 X\r\n\r\n", "SSH-2.0-x\r\n"] {
        assert_eq!(read_all(false, 2, &[OK, garbage].concat(), false), [Good(2), Garbage], "{garbage:?}");
    }
    let two = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok";
    assert_eq!(read_all(false, 1, two, false), [Garbage]);
    let chunk = CHUNKED.replace("001", "xyz");
    assert_eq!(read_all(false, 1, &chunk, false), [Garbage]);
}

#[test]
fn a_head_has_a_bound_and_a_body_that_is_too_long_to_know_is_summed() {
    let head = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(100 << 10));
    let pieces: Vec<&[u8]> = head.as_bytes().chunks(1000).collect();
    assert_eq!(read_on(&mut answers(false), 1, &pieces, false), [Garbage]);
    let body = "b".repeat(2 * KNOWN_MAX);
    let long = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let request = Request::new("GET", "/", &[("Host", "h")], None).unwrap();
    let mut learning = Answers::new(&request, true);
    let twice = long.repeat(2);
    let pieces: Vec<&[u8]> = twice.as_bytes().chunks(4096).collect();
    assert_eq!(read_on(&mut learning, 2, &pieces, false), [Good(2); 2]);
    assert!(learning.known.bytes.is_empty(), "it is too long to be kept");
    let changed = long.replacen("\r\n\r\nb", "\r\n\r\nc", 1);
    assert_eq!(read_on(&mut learning, 1, &[changed.as_bytes()], false), [Corrupt]);
}

#[test]
fn no_bytes_make_it_panic_hang_or_answer_a_request_twice() {
    let kinds = [OK, LATER, CHUNKED, "HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 204 No\r\n\r\n", "\r\n"];
    let mut seasoned = answers(false);
    for seed in 0..20_000 {
        let mut random = Random::new(seed);
        let mut stream: Vec<u8> = (0..1 + random.below(6))
            .flat_map(|_| kinds[random.below(kinds.len() as u64) as usize].bytes())
            .collect();
        for _ in 0..random.below(4) {
            let at = random.below(stream.len() as u64) as usize;
            match random.below(4) {
                0 => stream[at] = random.next() as u8,
                1 if stream.len() > 1 => drop(stream.remove(at)),
                2 => stream.truncate(at + 1),
                _ => stream.insert(at, b"\r\n0:c "[random.below(6) as usize]),
            }
        }
        let cut = random.below(stream.len() as u64) as usize;
        let (first, rest) = stream.split_at(cut);
        let outstanding = random.below(7) as usize;
        let whole = read_on(&mut answers(false), outstanding, &[&stream], true);
        for all in [&mut answers(false), &mut seasoned] {
            let pieces = read_on(all, outstanding, &[first, rest], true);
            assert_eq!(joined(pieces), joined(whole.clone()), "seed {seed}, cut at {cut}");
        }
        let ended = whole.iter().filter(|answer| matches!(answer, Good(_) | Corrupt | Status(_)));
        assert!(ended.count() <= outstanding, "seed {seed}: {whole:?}");
    }
}

//! The fuzz runner: mutated golden inputs, read whole and in pieces, against an oracle that is slow and simple.
//!
//! Deterministic: `RINGMILL_FUZZ_SEED` (default 1) gives the inputs, and the default run has a fixed count of
//! them. `RINGMILL_FUZZ_MS` runs for so many milliseconds instead. A failure prints the seed of its input:
//! `RINGMILL_FUZZ_SEED=<seed> RINGMILL_FUZZ_COUNT=1` replays that one alone.

#[path = "support/random.rs"]
mod random;
mod support;

use std::env;
use std::net::Ipv6Addr;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::{Duration, Instant};

use proto::http1::{Framing, HEADERS_MAX, Head, Limits, Scan, Version, head};
use random::Random;
use support::{Connection, cases, read};

const COUNT: u64 = 200_000;

#[test]
fn mutated_requests_are_read_alike_in_pieces_and_never_against_the_oracle() {
    let first = number("RINGMILL_FUZZ_SEED").unwrap_or(1);
    let count = number("RINGMILL_FUZZ_COUNT").unwrap_or(COUNT);
    let until = number("RINGMILL_FUZZ_MS").map(|ms| Instant::now() + Duration::from_millis(ms));
    let corpus = corpus();
    let mut seed = first;
    while until.map_or(seed - first < count, |until| Instant::now() < until) {
        let mut random = Random(seed);
        let input = mutate(&mut random, &corpus);
        let check = AssertUnwindSafe(|| check(&mut random, &input));
        if let Err(panic) = catch_unwind(check) {
            let hex: String = input.iter().map(|byte| format!("{byte:02x}")).collect();
            #[expect(clippy::print_stderr, reason = "what a failed run must say")]
            {
                eprintln!("RINGMILL_FUZZ_SEED={seed} RINGMILL_FUZZ_COUNT=1 replays this input:\n{hex}");
            }
            resume_unwind(panic);
        }
        seed += 1;
    }
}

fn number(name: &str) -> Option<u64> {
    let text = env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}={text} is not a number")))
}

fn corpus() -> Vec<Vec<u8>> {
    [
        include_str!("golden/heads.txt"),
        include_str!("golden/fields.txt"),
        include_str!("golden/bodies.txt"),
        include_str!("golden/limits.txt"),
    ]
    .iter()
    .flat_map(|text| cases(text))
    .map(|case| case.input)
    .collect()
}

fn check(random: &mut Random, input: &[u8]) {
    let limits = match random.below(4) {
        0 => Limits {
            uri_bytes_max: 16,
            head_bytes_max: 64,
            headers_max: 3,
            body_bytes_max: 8,
            extension_bytes_max: 4,
        },
        _ => Limits::default(),
    };
    let mut connection = Connection::new(limits);
    connection.receive(input);
    assert!(connection.taken <= input.len());
    for range in &connection.heads {
        judge(&input[range.clone()], &limits);
        compare(&input[range.clone()]);
    }
    for (range, framing, payload) in &connection.bodies {
        let expected = match *framing {
            Framing::Chunked => judge_chunks(&input[range.clone()], &limits),
            _ => input[range.clone()].to_vec(),
        };
        assert_eq!(
            (payload, *framing == Framing::Length(range.len() as u64)),
            (&expected, *framing != Framing::Chunked)
        );
    }
    let whole = connection.finish();
    assert_eq!(whole, read(input, limits, 1..input.len()), "byte by byte");
    let mut cuts: Vec<usize> = (0..random.below(5)).map(|_| random.below(input.len() + 1)).collect();
    cuts.sort_unstable();
    assert_eq!(whole, read(input, limits, cuts.iter().copied()), "cut at {cuts:?}");
}

/// What is accepted must be accepted by httparse too, with the same parts.
fn compare(bytes: &[u8]) {
    let (head, _) =
        head::parse(bytes, &Limits::default(), &mut Scan::default()).expect("accepted").expect("whole");
    let mut slots = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut request = httparse::Request::new(&mut slots);
    assert_eq!(request.parse(bytes), Ok(httparse::Status::Complete(bytes.len())));
    assert_eq!(request.method, Some(head.method.name()));
    assert_eq!(request.version, Some(u8::from(head.version == Version::H11)));
    assert!(request.path.is_some_and(|target| target.contains(head.path.trim_start_matches(['*', '/']))));
    assert!(request.headers.iter().map(|header| (header.name, header.value)).eq(head.headers()));
}

/// Reads an accepted head again, line by line with nothing but splits, and demands the same meaning.
fn judge(bytes: &[u8], limits: &Limits) {
    let (head, used) =
        head::parse(bytes, limits, &mut Scan::default()).expect("accepted before").expect("whole before");
    assert_eq!(used, bytes.len());
    assert!(used <= limits.head_bytes_max);
    let text: String = bytes.iter().map(|&byte| byte as char).collect();
    let text = text.strip_prefix("\r\n").unwrap_or(&text);
    let lines: Vec<&str> =
        text.strip_suffix("\r\n\r\n").expect("ends with an empty line").split("\r\n").collect();
    assert!(lines.iter().all(|line| !line.is_empty() && is_text(line)), "{lines:?}");
    judge_request_line(lines[0], &head, limits);

    let fields: Vec<(&str, &str)> =
        lines[1..].iter().map(|line| line.split_once(':').expect("a colon in each line")).collect();
    assert!(fields.len() <= limits.headers_max);
    for ((name, value), (parsed_name, parsed_value)) in fields.iter().zip(head.headers()) {
        assert!(is_token(name), "{name:?}");
        let parsed_value: String = parsed_value.iter().map(|&byte| byte as char).collect();
        assert_eq!((*name, value.trim_matches([' ', '\t'])), (parsed_name, &*parsed_value));
    }
    assert_eq!(fields.len(), head.headers().count());
    judge_fields(&fields, &head, limits);
}

fn judge_request_line(line: &str, head: &Head<'_>, limits: &Limits) {
    let [method, target, version] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line:?}") };
    assert!(is_token(method) && method.len() <= 32 && method == head.method.name());
    assert!(target.len() <= limits.uri_bytes_max && !target.contains('#') && target.is_ascii());
    assert_eq!(version, if head.version == Version::H10 { "HTTP/1.0" } else { "HTTP/1.1" });
    let query = target.split_once('?').map(|(_, query)| query);
    assert_eq!(query, head.query);
    assert!(head.path.is_empty() || head.path == "*" || head.path.starts_with('/'));
    let path = target.split('?').next().expect("split gives one");
    assert!(path.ends_with(head.path) || matches!(head.path, "/" | "*"));
    assert!(head.path != "*" || method == "OPTIONS");
    let host = head.host.map_or("", |host| host.text());
    judge_host(host);
    assert!(
        method != "CONNECT"
            || (host == target && host.rsplit_once(':').is_some_and(|(_, port)| !port.is_empty()))
    );

    let path = decoded(head.path);
    assert!(!path.contains(|c| c < ' '), "{path:?}");
    assert!(path.split(['/', '\\']).all(|segment| segment != "." && segment != ".."), "{path:?}");
    assert!(!decoded(query.unwrap_or("")).contains('\0'));
}

fn judge_host(host: &str) {
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') => (name, Some(port)),
        _ => (host, None),
    };
    assert!(
        port.is_none_or(|port| port.is_empty() || (!port.starts_with('+') && port.parse::<u16>().is_ok()))
    );
    match name.strip_prefix('[').and_then(|name| name.strip_suffix(']')) {
        Some(address) => assert!(address.parse::<Ipv6Addr>().is_ok(), "{host:?}"),
        None => assert!(
            name.chars().all(|c| c.is_ascii_alphanumeric() || "-._~!$&'()*+,;=".contains(c)),
            "{host:?}"
        ),
    }
    assert!(host.is_empty() || !name.is_empty());
}

/// Reads a whole chunked body again with nothing but splits; gives its payload.
fn judge_chunks(bytes: &[u8], limits: &Limits) -> Vec<u8> {
    let text: String = bytes.iter().map(|&byte| byte as char).collect();
    let mut payload = Vec::new();
    let mut extension_bytes = 0;
    let mut rest = text.as_str();
    loop {
        let (line, after) = rest.split_once("\r\n").expect("a size line");
        let (digits, extensions) = line.split_at(line.find(';').unwrap_or(line.len()));
        assert!(
            (1..=16).contains(&digits.len()) && digits.chars().all(|c| c.is_ascii_hexdigit()),
            "{line:?}"
        );
        extension_bytes += extensions.chars().count();
        judge_extensions(extensions);
        let size = usize::from_str_radix(digits, 16).expect("64 bits");
        if size == 0 {
            rest = after;
            break;
        }
        payload.extend(after.chars().take(size).map(|c| c as u8));
        let end = after.char_indices().nth(size).expect("more than the payload").0;
        rest = after[end..].strip_prefix("\r\n").expect("a chunk ends where its size says");
    }
    assert!(extension_bytes <= limits.extension_bytes_max && payload.len() as u64 <= limits.body_bytes_max);
    let lines = rest.strip_suffix("\r\n").expect("an empty line at the end");
    assert!(lines.chars().count() <= limits.head_bytes_max);
    let trailers: Vec<&str> = lines.split_terminator("\r\n").collect();
    assert!(lines.is_empty() || lines.ends_with("\r\n"));
    assert!(trailers.len() <= limits.headers_max);
    for line in trailers {
        let (name, value) = line.split_once(':').expect("a colon in each trailer");
        assert!(is_token(name) && is_text(value), "{line:?}");
    }
    payload
}

/// Each is `;token`, `;token=token` or `;token="text"`.
fn judge_extensions(text: &str) {
    assert!(is_text(text));
    let mut rest = text;
    while !rest.is_empty() {
        let after = rest.strip_prefix(';').expect("a semicolon before each extension");
        let (name, after) = after.split_at(token_len(after));
        assert!(is_token(name), "{text:?}");
        rest = match after.strip_prefix('=') {
            None => after,
            Some(value) => match value.strip_prefix('"') {
                None => {
                    let end = token_len(value);
                    assert!(end > 0, "{text:?}");
                    &value[end..]
                }
                Some(quoted) => {
                    let mut escaped = false;
                    let end = quoted.find(|c| {
                        let closes = c == '"' && !escaped;
                        escaped = c == '\\' && !escaped;
                        closes
                    });
                    &quoted[end.expect("a closing quote") + 1..]
                }
            },
        };
    }
}

fn judge_fields(fields: &[(&str, &str)], head: &Head<'_>, limits: &Limits) {
    let values = |name: &str| -> Vec<String> {
        let found = fields.iter().filter(|(found, _)| found.to_ascii_lowercase() == name);
        found.map(|(_, value)| value.trim_matches([' ', '\t']).to_ascii_lowercase()).collect()
    };
    let hosts = values("host");
    assert!(hosts.len() <= 1);
    assert!(head.version == Version::H10 || hosts.len() == 1);
    let framing = match (&values("content-length")[..], &values("transfer-encoding")[..]) {
        ([], []) => Framing::None,
        ([length], []) => {
            assert!(!length.is_empty() && length.bytes().all(|byte| byte.is_ascii_digit()));
            Framing::Length(length.parse().expect("64 bits"))
        }
        ([], [coding]) => {
            assert_eq!((coding.as_str(), head.version), ("chunked", Version::H11));
            Framing::Chunked
        }
        both => panic!("accepted {both:?}"),
    };
    assert_eq!(framing, head.framing);
    assert!(!matches!(framing, Framing::Length(length) if length > limits.body_bytes_max));
    let options = values("connection").join(",");
    let says = |option: &str| options.split(',').any(|found| found.trim_matches([' ', '\t']) == option);
    assert_eq!(head.keep_alive, !says("close") && (head.version == Version::H11 || says("keep-alive")));
    let expects = values("expect");
    assert!(expects.iter().all(|value| value == "100-continue"));
    let has_body = !matches!(framing, Framing::None | Framing::Length(0));
    assert_eq!(head.expect_continue, !expects.is_empty() && has_body && head.version == Version::H11);
}

fn is_token(text: &str) -> bool {
    !text.is_empty() && token_len(text) == text.len()
}

/// Bytes of the token at the start of `text`.
fn token_len(text: &str) -> usize {
    let is_tchar = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    text.find(|c| !is_tchar(c)).unwrap_or(text.len())
}

fn is_text(text: &str) -> bool {
    text.chars().all(|c| c == '\t' || (c >= ' ' && c != '\x7f'))
}

/// Percent-decoded; panics at a broken escape.
fn decoded(text: &str) -> String {
    let mut parts = text.split('%');
    let mut out = parts.next().expect("split gives one").to_owned();
    for part in parts {
        assert!(part.as_bytes()[..2].iter().all(u8::is_ascii_hexdigit), "{text:?}");
        out.push(u8::from_str_radix(&part[..2], 16).expect("two hex digits") as char);
        out.push_str(&part[2..]);
    }
    out
}

/// Pieces that matter to a parser, to be put where they do not belong.
const PIECES: [&[u8]; 40] = [
    b"\r\n",
    b"\r",
    b"\n",
    b"\0",
    b" ",
    b"\t",
    b":",
    b"\r\n\r\n",
    b"\r\n ",
    b" :",
    b"0",
    b"f",
    b"ffffffffffffffff",
    b";",
    b"=",
    b"\"",
    b"\\",
    b"%00",
    b"%2e",
    b"/..",
    b"..",
    b"?",
    b"#",
    b"http://",
    b"*",
    b"\x80",
    b"\x7f",
    b",",
    b"HTTP/1.0",
    b"HTTP/1.1",
    b"HTTP/2.0",
    b"Host: a\r\n",
    b"Content-Length: 3\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Expect: 100-continue\r\n",
    b"Connection: close\r\n",
    b"Connection: keep-alive\r\n",
    b"chunked",
    b"0\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
];

fn mutate(random: &mut Random, corpus: &[Vec<u8>]) -> Vec<u8> {
    let mut input = random.pick(corpus).clone();
    input.truncate(4096);
    for _ in 0..random.below(5) {
        let at = random.below(input.len() + 1);
        let end = (at + 1 + random.below(8)).min(input.len());
        match random.below(8) {
            0 if at < input.len() => input[at] ^= 1 << random.below(8),
            1 if at < input.len() => input[at] = random.below(256) as u8,
            2 => drop(input.drain(at..end)),
            3 => {
                let copy = input[at..end].to_vec();
                drop(input.splice(at..at, copy));
            }
            4 => {
                let other = random.pick(corpus);
                let from = random.below(other.len() + 1);
                input.truncate(at);
                input.extend_from_slice(&other[from..]);
            }
            5 => input.truncate(at),
            6 => input.extend(random.pick(corpus)),
            _ => drop(input.splice(at..at, random.pick(&PIECES).iter().copied())),
        }
    }
    input.truncate(4096);
    input
}

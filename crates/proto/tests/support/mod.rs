//! What the tests share: golden files, and a connection that reads requests in pieces.
//!
//! A golden file is a list of cases, an empty line between them. `>` gives the bytes (`\r \n \t \0 \\ \xHH`,
//! and `{text*N}` for N repetitions; several `>` lines are joined), `@` bounds for this case, and the other
//! lines are what reading them must tell, in order:
//!
//! ```text
//! = METHOD target version host framing keep|close [continue]      a head
//! : payload                                                       its body, if it has one
//! ! code status                                                   the refusal that ends the connection
//! ?                                                               the rest is not a whole request
//! ```
#![allow(dead_code, reason = "each test binary uses its part")]

use std::fmt::Write as _;
use std::ops::Range;

use proto::http1::{Body, Framing, Head, Limits, Refusal, Scan, Step, Version, head};

/// One case of a golden file.
pub(crate) struct Case {
    pub(crate) line: usize,
    pub(crate) input: Vec<u8>,
    pub(crate) limits: Limits,
    pub(crate) expected: Vec<String>,
}

/// The cases of a golden file.
pub(crate) fn cases(text: &str) -> Vec<Case> {
    let mut cases = Vec::new();
    let mut case = empty(1);
    for (index, line) in text.lines().chain([""]).enumerate() {
        match line.split_at_checked(1) {
            None if case.input.is_empty() => case = empty(index + 2),
            None => cases.push(std::mem::replace(&mut case, empty(index + 2))),
            Some(("#", _)) => case.line += 1,
            Some((">", rest)) => case.input.extend(unescape(rest.strip_prefix(' ').unwrap_or(rest))),
            Some(("@", rest)) => bounds(&mut case.limits, rest),
            Some(_) => case.expected.push(line.to_owned()),
        }
    }
    cases
}

fn empty(line: usize) -> Case {
    Case { line, input: Vec::new(), limits: Limits::default(), expected: Vec::new() }
}

fn bounds(limits: &mut Limits, text: &str) {
    for bound in text.split_whitespace() {
        let (name, value) = bound.split_once('=').expect("a bound is name=value");
        let value: usize = value.parse().expect("a bound is a number");
        match name {
            "uri" => limits.uri_bytes_max = value,
            "head" => limits.head_bytes_max = value,
            "headers" => limits.headers_max = value,
            "body" => limits.body_bytes_max = value as u64,
            "extensions" => limits.extension_bytes_max = value,
            other => panic!("no bound {other}"),
        }
    }
}

fn unescape(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        match (first, tail) {
            (b'\\', [b'x', digits @ ..]) => {
                let digits = str::from_utf8(&digits[..2]).expect("hex digits");
                out.push(u8::from_str_radix(digits, 16).expect("hex digits"));
                rest = &tail[3..];
            }
            (b'\\', [escape, after @ ..]) => {
                let byte = match escape {
                    b'r' => b'\r',
                    b'n' => b'\n',
                    b't' => b'\t',
                    b'0' => 0,
                    other => *other,
                };
                out.push(byte);
                rest = after;
            }
            (b'{', _) => {
                let end = tail.iter().position(|&byte| byte == b'}').expect("a closing brace");
                let inside = str::from_utf8(&tail[..end]).expect("ASCII");
                let (text, count) = inside.rsplit_once('*').expect("text*count");
                out.extend(unescape(text).repeat(count.parse().expect("a count")));
                rest = &tail[end + 1..];
            }
            (byte, _) => out.push(*byte),
        }
    }
    out
}

/// Reads requests as a service does: keeps what is unread, offers it again when more has come.
#[derive(Default)]
pub(crate) struct Connection {
    limits: Limits,
    unread: Vec<u8>,
    scan: Scan,
    body: Option<Body>,
    payload: Vec<u8>,
    told: Vec<String>,
    is_over: bool,
    /// Bytes of the stream before `unread`.
    pub(crate) taken: usize,
    /// Where each accepted head lies in the stream.
    pub(crate) heads: Vec<Range<usize>>,
    /// Where each whole body lies in the stream, how it was framed, and its payload.
    pub(crate) bodies: Vec<(Range<usize>, Framing, Vec<u8>)>,
    framing: Option<Framing>,
}

impl Connection {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { limits, ..Self::default() }
    }

    pub(crate) fn receive(&mut self, piece: &[u8]) {
        self.unread.extend_from_slice(piece);
        while !self.is_over && self.step() {}
    }

    /// What was told in all, with the state of the rest.
    pub(crate) fn finish(mut self) -> Vec<String> {
        let is_whole = self.unread.is_empty() && self.body.is_none();
        if !self.is_over && !is_whole {
            if self.body.is_some() {
                self.tell_payload();
            }
            self.told.push("?".to_owned());
        }
        self.told
    }

    fn step(&mut self) -> bool {
        let result = if self.body.is_some() { self.step_body() } else { self.step_head() };
        result.unwrap_or_else(|refusal| {
            if self.body.is_some() {
                self.tell_payload();
            }
            self.told.push(format!("! {} {}", refusal.code(), refusal.status().code()));
            self.is_over = true;
            false
        })
    }

    fn step_head(&mut self) -> Result<bool, Refusal> {
        if self.unread.is_empty() {
            return Ok(false);
        }
        let Some((head, used)) = head::parse(&self.unread, &self.limits, &mut self.scan)? else {
            return Ok(false);
        };
        assert!(used <= self.unread.len() && self.scan.is_fresh());
        self.told.push(describe(&head));
        self.framing = Some(head.framing);
        self.body = (head.framing != Framing::None).then(|| Body::new(head.framing));
        self.heads.push(self.taken..self.taken + used);
        self.take(used);
        Ok(true)
    }

    fn step_body(&mut self) -> Result<bool, Refusal> {
        let body = self.body.as_mut().expect("a body is being read");
        match body.decode(&self.unread, &self.limits)? {
            Step::Data { skip, len } => {
                assert!(len > 0 && skip + len <= self.unread.len());
                self.payload.extend_from_slice(&self.unread[skip..skip + len]);
                self.take(skip + len);
                Ok(true)
            }
            Step::More { used } => {
                assert!(used == self.unread.len(), "framing is never left over");
                self.take(used);
                Ok(false)
            }
            Step::Done { used } => {
                assert!(used <= self.unread.len() && body.is_done());
                self.take(used);
                self.body = None;
                let start = self.heads.last().map_or(0, |head| head.end);
                let framing = self.framing.expect("a head came before");
                self.bodies.push((start..self.taken, framing, self.payload.clone()));
                self.tell_payload();
                Ok(true)
            }
        }
    }

    fn tell_payload(&mut self) {
        self.told.push(format!(": {}", self.payload.escape_ascii()));
        self.payload.clear();
    }

    fn take(&mut self, used: usize) {
        self.unread.drain(..used);
        self.taken += used;
    }
}

/// The golden line of a head.
pub(crate) fn describe(head: &Head<'_>) -> String {
    let mut line = format!("= {} {}", head.method.name(), if head.path.is_empty() { "-" } else { head.path });
    if let Some(query) = head.query {
        write!(line, "?{query}").expect("a String takes all");
    }
    let version = if head.version == Version::H10 { "1.0" } else { "1.1" };
    let host = match head.host {
        None => "none",
        Some(host) if host.text().is_empty() => "empty",
        Some(host) => host.text(),
    };
    let framing = match head.framing {
        Framing::None => "nobody".to_owned(),
        Framing::Length(bytes) => bytes.to_string(),
        Framing::Chunked => "chunked".to_owned(),
    };
    let keep = if head.keep_alive { "keep" } else { "close" };
    let wait = if head.expect_continue { " continue" } else { "" };
    write!(line, " {version} {host} {framing} {keep}{wait}").expect("a String takes all");
    line
}

/// What a connection tells about `input` that arrives cut at `cuts`, ascending.
pub(crate) fn read(input: &[u8], limits: Limits, cuts: impl IntoIterator<Item = usize>) -> Vec<String> {
    let mut connection = Connection::new(limits);
    let mut from = 0;
    for cut in cuts.into_iter().chain([input.len()]) {
        connection.receive(&input[from..cut]);
        from = cut;
    }
    connection.finish()
}

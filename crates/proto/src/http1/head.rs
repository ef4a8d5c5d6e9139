//! Reading a request head: the request line and the headers, in place, or the reason why not.
//!
//! A head that arrives whole and correct, which is nearly every one, is read in one pass. Any other
//! head goes through [`Scan`], which finds its end piece by piece, and, if it is refused,
//! through the line checks at the end of this file, which say why. Both ways accept the same heads.
//!
//! Bad bytes are refused when they arrive, a bad request line at its end, bad header lines at the head's end.

use super::fields::Fields;
use super::host::Host;
use super::limits::{HEADERS_MAX, Limits, METHOD_BYTES_MAX};
use super::refusal::Refusal;
use super::scan::{Scan, find_below, find_special};
use super::target::{Form, Target};
use super::token::{is_space, is_token, is_token_byte, trim};

/// A request head, borrowed from the bytes it was read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head<'b> {
    /// The method.
    pub method: Method<'b>,
    /// The version.
    pub version: Version,
    /// The form of the target.
    pub form: Form,
    /// The path, still encoded. See [`Target::path`].
    pub path: &'b str,
    /// The query, still encoded.
    pub query: Option<&'b str>,
    /// Whom the peer asked: the target's authority if it has one, else the Host header (RFC 9112 section 3.2.2).
    /// `None` in HTTP/1.0 only; may be empty.
    pub host: Option<Host<'b>>,
    /// How the body's end is found.
    pub framing: Framing,
    /// Whether the connection may serve another request after this one (RFC 9112 section 9.3).
    pub keep_alive: bool,
    /// Whether the peer waits for `100 Continue` before it sends the body. Only set if there is one.
    pub expect_continue: bool,
    /// The header lines with their line ends, checked.
    fields: &'b [u8],
}

impl<'b> Head<'b> {
    /// The headers in their order: name as sent, value without white space around it.
    pub fn headers(&self) -> Headers<'b> {
        Headers { rest: self.fields }
    }

    /// The value of the first header called `name`, compared without case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&'b [u8]> {
        self.headers().find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

/// A request method. Names are compared with case (RFC 9110 section 9.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "each variant is the method of its name")]
pub enum Method<'b> {
    Get,
    Head,
    Post,
    Put,
    Delete,
    Options,
    Patch,
    Trace,
    Connect,
    /// Any other token of at most [`METHOD_BYTES_MAX`] bytes.
    Other(&'b str),
}

impl<'b> Method<'b> {
    #[inline]
    fn from_name(name: &'b str) -> Self {
        match name {
            "GET" => Self::Get,
            "HEAD" => Self::Head,
            "POST" => Self::Post,
            "PUT" => Self::Put,
            "DELETE" => Self::Delete,
            "OPTIONS" => Self::Options,
            "PATCH" => Self::Patch,
            "TRACE" => Self::Trace,
            "CONNECT" => Self::Connect,
            _ => Self::Other(name),
        }
    }

    /// The method as it is sent.
    #[must_use]
    pub fn name(self) -> &'b str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Delete => "DELETE",
            Self::Options => "OPTIONS",
            Self::Patch => "PATCH",
            Self::Trace => "TRACE",
            Self::Connect => "CONNECT",
            Self::Other(name) => name,
        }
    }
}

/// A version that is served; others are refused with 505.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// HTTP/1.0.
    H10,
    /// HTTP/1.1.
    H11,
}

/// How the end of a body is found (RFC 9112 section 6.3). A request without either header has no body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// No body.
    None,
    /// So many bytes.
    Length(u64),
    /// Chunks until the last one.
    Chunked,
}

/// Reads the head at the start of `input`, which begins with its first byte and may go on behind it.
///
/// `Ok(None)`: not complete; call again with more bytes and the same `scan`. `Ok(Some((head, used)))`: the
/// head took `used` bytes, the body begins there, and `scan` is ready for the next head. One empty line
/// before the request line is ignored (RFC 9112 section 2.2).
///
/// Errors: a [`Refusal`], the same one however the input was cut; the connection must then be closed.
#[inline]
pub fn parse<'b>(
    input: &'b [u8],
    limits: &Limits,
    scan: &mut Scan,
) -> Result<Option<(Head<'b>, usize)>, Refusal> {
    if scan.is_fresh()
        && let Ok(read) = read(input, limits)
    {
        return Ok(Some(read));
    }
    parse_careful(input, limits, scan)
}

/// The way of heads that come in pieces or are refused.
#[cold]
#[inline(never)]
fn parse_careful<'b>(
    input: &'b [u8],
    limits: &Limits,
    scan: &mut Scan,
) -> Result<Option<(Head<'b>, usize)>, Refusal> {
    let had_request_line = !scan.in_request_line();
    let advanced = scan.advance(input, limits);
    let start = scan.start();
    match advanced {
        Ok(None) => {
            if !had_request_line && !scan.in_request_line() {
                check_request_line(first_line(&input[start..]), limits)?;
            }
            Ok(None)
        }
        Ok(Some(end)) => {
            let lines = &input[start..end - 2];
            // What the head means is judged after all its lines are.
            let refused = |fault| match (check_lines(lines, limits), fault) {
                (Err(refusal), _) | (Ok(()), Fault::Refused(refusal)) => refusal,
                (Ok(()), Fault::Syntax) => Refusal::HeaderLine,
            };
            let (head, used) = read(&input[start..end], limits).map_err(refused)?;
            assert!(start + used == end, "both ways find the same end");
            *scan = Scan::default();
            Ok(Some((head, end)))
        }
        // The first bad line decides: lines before the one with the bad byte are judged first.
        Err(refusal) => check_lines(&input[start..scan.line()], limits).and(Err(refusal)),
    }
}

/// Why `read` gave no head.
enum Fault {
    /// Incomplete, or against the grammar: the careful way finds out.
    Syntax,
    /// The grammar is right, the meaning is refused.
    Refused(Refusal),
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// Reads a head that is complete, or says that it cannot. Looks at each byte once, from left to right.
#[inline]
fn read<'b>(input: &'b [u8], limits: &Limits) -> Result<(Head<'b>, usize), Fault> {
    let window = &input[..input.len().min(limits.head_bytes_max)];
    let (method, target, version, mut rest) = split_request_line(window).ok_or(Fault::Syntax)?;
    let (method, target) = request_line(method, target, limits)?;
    let fields_at = window.len() - rest.len();
    let mut fields = Fields::default();
    let mut lines_left = limits.headers_max.min(HEADERS_MAX);
    let rest = loop {
        if let [b'\r', b'\n', rest @ ..] = rest {
            break rest;
        }
        let (name, value, after) = split_header(rest).ok_or(Fault::Syntax)?;
        lines_left = lines_left.checked_sub(1).ok_or(Fault::Syntax)?;
        fields.add(name, value)?;
        rest = after;
    };
    let end = window.len() - rest.len();
    let framing = fields.framing(version, limits)?;
    let host = fields.host(version)?;
    let head = Head {
        method,
        version,
        form: target.form,
        path: target.path,
        query: target.query,
        host: target.authority.or(host),
        framing,
        keep_alive: fields.keep_alive(version),
        expect_continue: fields.expect_continue(version, framing),
        fields: &input[fields_at..end - 2],
    };
    Ok((head, end))
}

/// Method, target, version, and what follows the line; `None` if it is incomplete or malformed.
#[inline]
fn split_request_line(bytes: &[u8]) -> Option<(&str, &str, Version, &[u8])> {
    let (method, rest) = match bytes {
        [b'G', b'E', b'T', b' ', rest @ ..] => ("GET", rest),
        _ => {
            split_token(bytes, b' ').and_then(|(method, rest)| Some((str::from_utf8(method).ok()?, rest)))?
        }
    };
    let target_end = find_below(rest, b' ' + 1);
    let target = str::from_utf8(&rest[..target_end]).ok().filter(|target| !target.is_empty())?;
    let (version, rest) = match rest[target_end..].split_first_chunk()? {
        (b" HTTP/1.1\r\n", rest) => (Version::H11, rest),
        (b" HTTP/1.0\r\n", rest) => (Version::H10, rest),
        _ => return None,
    };
    Some((method, target, version, rest))
}

/// Name, value and what follows the line; `None` if it is incomplete or malformed.
#[inline]
fn split_header(bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let (name, rest) = split_token(bytes, b':')?;
    let mut end = 0;
    loop {
        end = find_special(rest, end, false);
        match &rest[end..] {
            [b'\r', b'\n', after @ ..] => return Some((name, trim(&rest[..end]), after)),
            [b'\t', ..] => end += 1,
            _ => return None,
        }
    }
}

/// The token at the start of `bytes`, and what follows the byte `end` that must come next.
#[inline]
fn split_token(bytes: &[u8], end: u8) -> Option<(&[u8], &[u8])> {
    let len = bytes.iter().position(|&byte| !is_token_byte(byte))?;
    let is_ended = len > 0 && bytes[len] == end;
    is_ended.then(|| (&bytes[..len], &bytes[len + 1..]))
}

/// The meaning of a request line whose grammar is right.
#[inline]
fn request_line<'b>(
    method: &'b str,
    target: &'b str,
    limits: &Limits,
) -> Result<(Method<'b>, Target<'b>), Refusal> {
    if method.len() > METHOD_BYTES_MAX {
        return Err(Refusal::MethodTooLong);
    }
    if target.len() > limits.uri_bytes_max {
        return Err(Refusal::UriTooLong);
    }
    let method = Method::from_name(method);
    Ok((method, Target::parse(target, method)?))
}

/// The headers of a [`Head`] in their order.
#[derive(Clone, Debug)]
pub struct Headers<'b> {
    rest: &'b [u8],
}

impl<'b> Iterator for Headers<'b> {
    type Item = (&'b str, &'b [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let line = first_line(self.rest);
        let colon = line.iter().position(|&byte| byte == b':')?;
        self.rest = &self.rest[line.len() + 2..];
        let name = str::from_utf8(&line[..colon]).ok()?;
        Some((name, trim(&line[colon + 1..])))
    }
}

/// Says why `lines`, whole lines of a head free of bad bytes, are against the grammar; `Ok` if they are not.
#[cold]
fn check_lines(lines: &[u8], limits: &Limits) -> Result<(), Refusal> {
    if lines.is_empty() {
        return Ok(());
    }
    let line = first_line(lines);
    check_request_line(line, limits)?;
    let mut rest = &lines[line.len() + 2..];
    let mut count = 0;
    while !rest.is_empty() {
        let line = first_line(rest);
        check_header_line(line)?;
        count += 1;
        if count > limits.headers_max.min(HEADERS_MAX) {
            return Err(Refusal::HeadersTooMany);
        }
        rest = &rest[line.len() + 2..];
    }
    Ok(())
}

/// `method SP target SP HTTP/x.y`, nothing more, nothing less, then [`request_line`].
fn check_request_line(line: &[u8], limits: &Limits) -> Result<(), Refusal> {
    // The scanner has refused bytes outside ASCII.
    let line = str::from_utf8(line).map_err(|_| Refusal::NonAscii)?;
    let (method, rest) = line.split_once(' ').ok_or(Refusal::RequestLine)?;
    if method.is_empty() {
        return Err(Refusal::RequestLine);
    }
    if !is_token(method.as_bytes()) {
        return Err(Refusal::MethodToken);
    }
    let (target, version) = rest.split_once(' ').ok_or(Refusal::RequestLine)?;
    if target.is_empty() {
        return Err(Refusal::RequestLine);
    }
    match version.as_bytes() {
        b"HTTP/1.0" | b"HTTP/1.1" => request_line(method, target, limits).map(|_| ()),
        [b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', b'.', b'0'..=b'9'] => Err(Refusal::VersionUnknown),
        _ => Err(Refusal::RequestLine),
    }
}

fn check_header_line(line: &[u8]) -> Result<(), Refusal> {
    if line.first().copied().is_some_and(is_space) {
        return Err(Refusal::ObsFold);
    }
    let colon = line.iter().position(|&byte| byte == b':').ok_or(Refusal::HeaderLine)?;
    let name = &line[..colon];
    match name.last() {
        Some(&last) if is_space(last) => Err(Refusal::SpaceBeforeColon),
        _ if is_token(name) => Ok(()),
        _ => Err(Refusal::HeaderName),
    }
}

/// `lines` up to the first line end; all of it if there is none. Every line feed ends a line here.
fn first_line(lines: &[u8]) -> &[u8] {
    let end = lines.iter().position(|&byte| byte == b'\r').unwrap_or(lines.len());
    &lines[..end]
}

//! The request target: which form it has, whether its path and query are well formed, and how to decode them.
//!
//! The path keeps its percent signs: it is checked, not decoded, so that a router compares what the peer
//! sent and a segment is decoded only by whoever uses it ([`decode`]). What two programs could take for two
//! paths is refused: dot segments plain or encoded, encoded control bytes, broken percent escapes.

use super::head::Method;
use super::host::{Authority, Host};
use super::refusal::Refusal;
use super::token::is_token_byte;

/// The form of a request target (RFC 9112 section 3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `/path?query`, what clients send to servers.
    Origin,
    /// `http://host/path?query`, what clients send to proxies. Its host replaces the Host header's.
    Absolute,
    /// `host:port`, for CONNECT only.
    Authority,
    /// `*`, for OPTIONS only.
    Asterisk,
}

/// A request target in its parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target<'b> {
    /// Its form.
    pub form: Form,
    /// The path, still encoded; begins with `/`, except `*` for OPTIONS of the server itself and empty for CONNECT.
    pub path: &'b str,
    /// What follows the first `?`, still encoded.
    pub query: Option<&'b str>,
    /// The authority of an absolute or authority form.
    pub authority: Option<Host<'b>>,
}

impl<'b> Target<'b> {
    /// Takes `text` apart. `text` is not empty and has no byte below 0x21.
    ///
    /// Errors: [`Refusal::Target`], [`Refusal::TargetPercent`], [`Refusal::TargetControl`],
    /// [`Refusal::DotSegment`], [`Refusal::HostInvalid`].
    #[inline]
    pub fn parse(text: &'b str, method: Method<'_>) -> Result<Self, Refusal> {
        if text.as_bytes().first() == Some(&b'/') && method != Method::Connect {
            let (path, query) = path_and_query(text)?;
            return Ok(Self { form: Form::Origin, path, query, authority: None });
        }
        Self::parse_rare(text, method)
    }

    #[cold]
    fn parse_rare(text: &'b str, method: Method<'_>) -> Result<Self, Refusal> {
        if method == Method::Connect {
            let authority = Host::new(text.as_bytes()).ok_or(Refusal::Target)?;
            authority.parts().and_then(|parts| parts.port).ok_or(Refusal::Target)?;
            return Ok(Self { form: Form::Authority, path: "", query: None, authority: Some(authority) });
        }
        if text == "*" && method == Method::Options {
            return Ok(Self { form: Form::Asterisk, path: "*", query: None, authority: None });
        }
        let scheme = text.get(..SCHEME.len()).filter(|scheme| scheme.eq_ignore_ascii_case(SCHEME));
        scheme.ok_or(Refusal::Target)?;
        let rest = &text[SCHEME.len()..];
        let authority = &rest[..rest.find(['/', '?']).unwrap_or(rest.len())];
        // An absolute target must name a host (RFC 9110 section 4.2.1); user names in it are not ours to see.
        Authority::parse(authority).ok_or(Refusal::HostInvalid)?;
        let (path, query) = path_and_query(&rest[authority.len()..])?;
        let path = match path {
            "" if method == Method::Options && query.is_none() => "*",
            "" => "/",
            path => path,
        };
        Ok(Self { form: Form::Absolute, path, query, authority: Host::new(authority.as_bytes()) })
    }
}

/// Splits at the first `?` and checks both halves.
#[inline]
fn path_and_query(text: &str) -> Result<(&str, Option<&str>), Refusal> {
    let seen = classes(text);
    if seen == 0 {
        return Ok((text, None));
    }
    let (path, query) = match text.split_once('?') {
        None => (text, None),
        Some((path, query)) => (path, Some(query)),
    };
    let seen = classes(path);
    if seen & (NOT_IN_PATH | PERCENT | DOT) != 0 {
        check_path(path.as_bytes(), seen)?;
    }
    if let Some(query) = query {
        check_query(query)?;
    }
    Ok((path, query))
}

/// The union of the classes of `text`'s bytes. No branch in it: most targets have nothing special.
#[inline]
fn classes(text: &str) -> u8 {
    text.as_bytes().iter().fold(0, |seen, &byte| seen | CLASS[byte as usize])
}

/// The checks of a path with a byte in it that needs one. `seen` is the union of its bytes' classes.
fn check_path(path: &[u8], seen: u8) -> Result<(), Refusal> {
    if seen & NOT_IN_PATH != 0 {
        return Err(Refusal::Target);
    }
    if seen & PERCENT != 0 {
        check_escapes(path, |byte| byte < 0x20 || byte == 0x7f)?;
    }
    if has_dot_segment(path) { Err(Refusal::DotSegment) } else { Ok(()) }
}

fn check_query(query: &str) -> Result<(), Refusal> {
    let seen = classes(query);
    if seen & NOT_IN_QUERY != 0 {
        return Err(Refusal::Target);
    }
    // Forms send line breaks and tabs in queries; a NUL nobody sends.
    if seen & PERCENT != 0 { check_escapes(query.as_bytes(), |byte| byte == 0) } else { Ok(()) }
}

fn check_escapes(text: &[u8], is_refused: impl Fn(u8) -> bool) -> Result<(), Refusal> {
    let mut rest = text;
    while let Some(at) = rest.iter().position(|&byte| byte == b'%') {
        let byte = escape(&rest[at..]).ok_or(Refusal::TargetPercent)?;
        if is_refused(byte) {
            return Err(Refusal::TargetControl);
        }
        rest = &rest[at + 3..];
    }
    Ok(())
}

/// Whether a segment of `path` decodes to `.` or `..`. An encoded slash or backslash ends a segment too: some
/// program behind us may decode it before it looks.
fn has_dot_segment(path: &[u8]) -> bool {
    let mut dots = 0;
    let mut others = false;
    let mut rest = path;
    while let [first, ..] = rest {
        let (byte, used) = match escape(rest) {
            Some(byte) => (byte, 3),
            None => (*first, 1),
        };
        match byte {
            b'/' | b'\\' => {
                if !others && matches!(dots, 1 | 2) {
                    return true;
                }
                (dots, others) = (0, false);
            }
            b'.' => dots += 1,
            _ => others = true,
        }
        rest = &rest[used..];
    }
    !others && matches!(dots, 1 | 2)
}

/// The byte that an escape at the start of `text` stands for.
fn escape(text: &[u8]) -> Option<u8> {
    match text {
        [b'%', high, low, ..] => Some(hex(*high)? << 4 | hex(*low)?),
        _ => None,
    }
}

/// The value of a hex digit.
pub(super) fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

/// Appends `text` to `out` with its percent escapes replaced by their bytes; broken escapes stay as they are.
///
/// The bytes need not be UTF-8. Right for a path segment; for a query's names and values use [`decode_form`].
pub fn decode(text: &str, out: &mut Vec<u8>) {
    decode_as(text, out, |byte| byte);
}

/// [`decode`] with `+` for a space, as HTML forms write queries.
pub fn decode_form(text: &str, out: &mut Vec<u8>) {
    decode_as(text, out, |byte| if byte == b'+' { b' ' } else { byte });
}

fn decode_as(text: &str, out: &mut Vec<u8>, plain: impl Fn(u8) -> u8) {
    let mut rest = text.as_bytes();
    while let [first, ..] = rest {
        let (byte, used) = match escape(rest) {
            Some(byte) => (byte, 3),
            None => (plain(*first), 1),
        };
        out.push(byte);
        rest = &rest[used..];
    }
}

/// The `name=value` pairs of a query in their order, still encoded. Empty pairs are left out; a pair without
/// `=` has an empty value.
pub fn pairs(query: &str) -> impl Iterator<Item = (&str, &str)> {
    query.split('&').filter(|pair| !pair.is_empty()).map(|pair| pair.split_once('=').unwrap_or((pair, "")))
}

/// The value of the first pair of `query` whose name is exactly `name`, still encoded.
#[must_use]
pub fn pair<'q>(query: &'q str, name: &str) -> Option<&'q str> {
    pairs(query).find(|(key, _)| *key == name).map(|(_, value)| value)
}

const SCHEME: &str = "http://";

const NOT_IN_PATH: u8 = 1;
const NOT_IN_QUERY: u8 = 2;
const DOT: u8 = 4;
const PERCENT: u8 = 8;
const QUESTION: u8 = 16;

/// RFC 3986 section 3.3 and 3.4, and what browsers send raw beside it (URL Standard, percent-encode sets):
/// `| [ ]` in paths, and in queries everything visible but `" # < >`.
static CLASS: [u8; 256] = {
    let mut table = [NOT_IN_PATH | NOT_IN_QUERY; 256];
    let mut byte = 0x21;
    while byte < 0x7f {
        let b = byte as u8;
        let in_path = is_token_byte(b) && !matches!(b, b'#' | b'^' | b'`')
            || matches!(b, b'/' | b':' | b'@' | b'(' | b')' | b',' | b';' | b'=' | b'[' | b']' | b'?');
        let in_query = !matches!(b, b'"' | b'#' | b'<' | b'>');
        table[byte] = if in_path { 0 } else { NOT_IN_PATH } | if in_query { 0 } else { NOT_IN_QUERY };
        byte += 1;
    }
    table[b'.' as usize] |= DOT;
    table[b'%' as usize] |= PERCENT;
    table[b'?' as usize] |= QUESTION;
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> Result<&str, Refusal> {
        Target::parse(text, Method::Get).map(|target| target.path)
    }

    #[test]
    fn dot_segments_are_refused_in_every_spelling() {
        for text in [
            "/..",
            "/../",
            "/a/../b",
            "/.",
            "/./a",
            "/%2e%2e",
            "/%2E.",
            "/.%2e/x",
            "/a%2f..%2fb",
            "/a%5c..%5cb",
        ] {
            assert_eq!(path(text), Err(Refusal::DotSegment), "{text}");
        }
        for text in ["/...", "/a..b", "/..a", "/.well-known/x", "/a.", "/%252e%252e/", "/%2e%2e%2e"] {
            assert_eq!(path(text), Ok(text), "{text}");
        }
    }

    #[test]
    fn pairs_are_split_at_the_first_equals_sign() {
        let found: Vec<_> = pairs("a=1&&b&c==2&=").collect();
        assert_eq!(found, [("a", "1"), ("b", ""), ("c", "=2"), ("", "")]);
        assert_eq!(pair("type=x&type=y", "type"), Some("x"));
        assert_eq!(pair("type=x", "typ"), None);
    }

    #[test]
    fn decoding_replaces_whole_escapes_only() {
        let mut out = Vec::new();
        decode("a%20b+%c3%a9%", &mut out);
        assert_eq!(out, "a b+é%".as_bytes());
        out.clear();
        decode_form("a+b%2B%zz", &mut out);
        assert_eq!(out, b"a b+%zz");
    }
}

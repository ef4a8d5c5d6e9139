//! Authorities, `host` or `host:port`: parsing them, and telling whether a Host header names this listener.
//!
//! A page of another site can make a browser resolve its own name to 127.0.0.1 and then ask us with that name
//! in Host (DNS rebinding). [`Names`] is the answer: only names the listener is known by are served. No name
//! is ever resolved here.

use core::net::{IpAddr, Ipv6Addr};

use super::token::is_token_byte;

/// A Host header's value as received: checked to be empty or an authority, not taken apart yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Host<'b> {
    bytes: &'b [u8],
}

impl<'b> Host<'b> {
    /// `None` if `bytes` is neither empty (RFC 9112 section 3.2 allows it) nor an authority.
    #[inline]
    #[must_use]
    pub fn new(bytes: &'b [u8]) -> Option<Self> {
        is_valid(bytes).then_some(Self { bytes })
    }

    /// The text as received.
    #[must_use]
    pub fn text(&self) -> &'b str {
        str::from_utf8(self.bytes).expect("a checked host is ASCII")
    }

    /// Its host and port; `None` if it is empty.
    #[must_use]
    pub fn parts(&self) -> Option<Authority<'b>> {
        Authority::parse(self.text())
    }
}

/// `host` or `host:port`, taken apart (RFC 3986 section 3.2; user information is refused).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Authority<'b> {
    /// The host: a name or an IPv4 address as sent, or an IPv6 address without its brackets.
    pub host: &'b str,
    /// The port, if one was given. `host:` has none (RFC 3986 section 3.2.3).
    pub port: Option<u16>,
}

impl<'b> Authority<'b> {
    /// Takes `text` apart. `None` if it is no authority or its host is empty.
    #[must_use]
    pub fn parse(text: &'b str) -> Option<Self> {
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (host, port) = rest.split_once(']')?;
                host.parse::<Ipv6Addr>().ok()?;
                (host, if port.is_empty() { "" } else { port.strip_prefix(':')? })
            }
            None => {
                let (host, port) = text.split_once(':').unwrap_or((text, ""));
                if host.is_empty() || !host.bytes().all(is_name_byte) {
                    return None;
                }
                (host, port)
            }
        };
        let port = match port {
            "" => None,
            digits if digits.bytes().all(|byte| byte.is_ascii_digit()) => Some(digits.parse().ok()?),
            _ => return None,
        };
        Some(Self { host, port })
    }

    /// The host as an address, if it is one.
    #[must_use]
    pub fn address(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }
}

/// The names that a listener is asked by. Built at start, asked per request.
#[derive(Clone, Debug, Default)]
pub struct Names {
    names: Vec<Box<str>>,
    addresses: Vec<IpAddr>,
}

impl Names {
    /// No names at all: admits nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Names and addresses of a loopback listener: `localhost`, 127.0.0.1 and `[::1]`.
    #[must_use]
    pub fn loopback() -> Self {
        let mut names = Self::new();
        for name in ["localhost", "127.0.0.1", "::1"] {
            names.add(name);
        }
        names
    }

    /// Adds a host: a name without port, or an address without brackets. A final dot is left out.
    pub fn add(&mut self, host: &str) {
        match host.parse() {
            Ok(address) => self.addresses.push(address),
            Err(_) => self.names.push(host.strip_suffix('.').unwrap_or(host).into()),
        }
    }

    /// Whether a Host header (or an absolute target's authority) names this listener. Ports are not compared: behind a
    /// forwarded port they differ, and rebinding needs a foreign *name*. Names compare without case, IPv6
    /// addresses by value. An empty host is not admitted.
    #[must_use]
    pub fn admit(&self, host: &Host<'_>) -> bool {
        let Some(authority) = host.parts() else { return false };
        match authority.address() {
            Some(address) => self.addresses.contains(&address),
            None => {
                let asked = authority.host.strip_suffix('.').unwrap_or(authority.host);
                self.names.iter().any(|name| name.eq_ignore_ascii_case(asked))
            }
        }
    }
}

/// Whether a Host header's value is well formed: empty (RFC 9112 section 3.2) or an authority.
///
/// Asked for every request: `name` and `name:port` are judged here, with the port read from the end; brackets,
/// five-digit ports and what is refused take the long way.
#[inline]
fn is_valid(text: &[u8]) -> bool {
    let digits = text.iter().rev().take(4).take_while(|byte| byte.is_ascii_digit()).count();
    let name = match text[..text.len() - digits] {
        [ref name @ .., b':'] if !name.is_empty() => name,
        _ => text,
    };
    let is_name = name.iter().fold(true, |so_far, &byte| so_far & is_name_byte(byte));
    is_name || str::from_utf8(text).is_ok_and(|text| Authority::parse(text).is_some())
}

/// unreserved and sub-delims of RFC 3986. Percent-encoded names are refused: nobody sends them, and two
/// programs would compare them differently.
const fn is_name_byte(byte: u8) -> bool {
    NAME[byte as usize]
}

static NAME: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        let b = byte as u8;
        let is_delimiter = matches!(b, b'(' | b')' | b',' | b';' | b'=');
        table[byte] = is_delimiter || is_token_byte(b) && !matches!(b, b'#' | b'%' | b'^' | b'`' | b'|');
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn authorities_are_parsed_or_refused() {
        let good = [
            ("localhost", "localhost", None),
            ("127.0.0.1:8080", "127.0.0.1", Some(8080)),
            ("[::1]", "::1", None),
            ("[::1]:65535", "::1", Some(65535)),
            ("a.example:", "a.example", None),
            ("a_b:00080", "a_b", Some(80)),
        ];
        for (text, host, port) in good {
            assert_eq!(Authority::parse(text), Some(Authority { host, port }), "{text}");
            assert!(is_valid(text.as_bytes()), "{text}");
        }
        for text in [
            "a:b", "a:65536", "a:1:2", "::1", "[::1", "[::1]x", "[a]", "u@h", "a b", "a/b", "a:-1", ":80",
            "a%41", "é",
        ] {
            assert_eq!(Authority::parse(text), None, "{text}");
            assert!(!is_valid(text.as_bytes()), "{text}");
        }
        assert_eq!(Authority::parse(""), None);
        assert!(is_valid(b""), "an empty Host is well formed");
    }

    #[test]
    fn only_the_names_of_the_listener_are_admitted() {
        let admit = |names: &Names, host: &str| names.admit(&Host::new(host.as_bytes()).expect(host));
        let mut names = Names::loopback();
        names.add("Edge.Example.");
        for host in [
            "localhost:8080",
            "LOCALHOST",
            "127.0.0.1",
            "[::1]:8080",
            "[0:0::1]",
            "edge.example",
            "edge.example.:80",
        ] {
            assert!(admit(&names, host), "{host}");
        }
        for host in ["", "evil.example", "127.0.0.2", "localhost.evil.example", "[::2]", "xlocalhost"] {
            assert!(!admit(&names, host), "{host}");
        }
        assert!(!admit(&Names::new(), "localhost"));
    }
}

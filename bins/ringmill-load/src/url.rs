//! Whom to load and in which protocol, as one line: `http://127.0.0.1:8080/ping`, `echo://[::1]:7007`.
//!
//! Pure: reads and writes the text. Names are looked up in `target.rs`.

use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

/// The target of a load.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Url {
    /// What is spoken there.
    pub(crate) scheme: Scheme,
    /// A name or an address; that of IPv6 without its brackets.
    pub(crate) host: String,
    /// Never 0.
    pub(crate) port: u16,
    /// Of HTTP: path and query, beginning with `/`; else empty.
    pub(crate) path: String,
}

/// The protocol of a load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scheme {
    /// Messages that come back on a TCP connection.
    Echo,
    /// Datagrams that come back.
    UdpEcho,
    /// HTTP/1.1.
    Http,
    /// Ringmill's framed protocol over TCP.
    Frame,
}

impl Scheme {
    /// As it stands in a URL and in the result.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Scheme::Echo => "echo",
            Scheme::UdpEcho => "udp-echo",
            Scheme::Http => "http",
            Scheme::Frame => "frame",
        }
    }
}

impl Url {
    /// Host and port as HTTP's `Host` has them: without the port that is the scheme's own (RFC 9110 section 7.2).
    pub(crate) fn authority(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        if self.scheme == Scheme::Http && self.port == HTTP_PORT {
            host
        } else {
            format!("{host}:{}", self.port)
        }
    }
}

impl FromStr for Url {
    type Err = String;

    /// Errors: one sentence with the part that is wrong.
    fn from_str(text: &str) -> Result<Url, String> {
        let Some((scheme, rest)) = text.split_once("://") else {
            return Err(format!("`{text}` is no URL: expected {SCHEMES}"));
        };
        let scheme = match scheme {
            "echo" => Scheme::Echo,
            "udp-echo" => Scheme::UdpEcho,
            "http" => Scheme::Http,
            "frame" => Scheme::Frame,
            "https" => return Err("there is no TLS in this version: expected http://".into()),
            _ => return Err(format!("`{scheme}://` is nothing that can be loaded: expected {SCHEMES}")),
        };
        let place = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (place, path) = rest.split_at(place);
        let (host, port) = authority(place)?;
        let port = match (port, scheme) {
            (Some(port), _) => port,
            (None, Scheme::Http) => HTTP_PORT,
            (None, _) => {
                return Err(format!("`{text}` has no port: expected {}://{place}:PORT", scheme.name()));
            }
        };
        Ok(Url { scheme, host, port, path: target(path, scheme)? })
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", self.scheme.name(), self.authority(), self.path)
    }
}

/// `host`, `host:80`, `127.0.0.1:80`, `[::1]`, `[::1]:80`.
fn authority(place: &str) -> Result<(String, Option<u16>), String> {
    let wrong = || format!("`{place}` is no host: expected HOST:PORT such as 127.0.0.1:8080 or [::1]:8080");
    if place.contains('@') {
        return Err(
            "names and passwords in a URL are not sent: expected --header 'Authorization: ...'".into()
        );
    }
    let (host, port) = match place.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']').ok_or_else(wrong)?;
            host.parse::<Ipv6Addr>().map_err(|_| wrong())?;
            (host, if port.is_empty() { None } else { Some(port.strip_prefix(':').ok_or_else(wrong)?) })
        }
        None => match place.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (place, None),
        },
    };
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
    if host.is_empty() || !host.chars().all(is_name) {
        return Err(wrong());
    }
    match port.map(str::parse::<u16>) {
        None => Ok((host.into(), None)),
        Some(Ok(port @ 1..)) => Ok((host.into(), Some(port))),
        Some(_) => Err(format!("`{place}` has no port that can be connected to: expected 1 to 65535")),
    }
}

/// The request target in origin form (RFC 9112 section 3.2.1); a fragment is never sent.
fn target(path: &str, scheme: Scheme) -> Result<String, String> {
    let path = path.split('#').next().unwrap_or_default();
    if scheme != Scheme::Http {
        return match path {
            "" | "/" => Ok(String::new()),
            _ => Err(format!("`{path}`: {}:// has no path", scheme.name())),
        };
    }
    if let Some(wrong) = path.chars().find(|c| !c.is_ascii_graphic()) {
        return Err(format!("`{path}`: {wrong:?} cannot stand in a path: expected it percent-encoded"));
    }
    Ok(if path.starts_with('/') { path.into() } else { format!("/{path}") })
}

const SCHEMES: &str =
    "http://HOST[:PORT][/PATH], echo://HOST:PORT, udp-echo://HOST:PORT or frame://HOST:PORT";
const HTTP_PORT: u16 = 80;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_understood_whichever_way_it_is_written() {
        let check = |text: &str, expected: &str| {
            let url: Url = text.parse().unwrap_or_else(|why| panic!("{text}: {why}"));
            assert_eq!(url.to_string(), expected);
        };
        check("http://example.org", "http://example.org/");
        check("http://example.org:80/a?b=c#d", "http://example.org/a?b=c");
        check("http://127.0.0.1:8080?b", "http://127.0.0.1:8080/?b");
        check("http://[::1]/ping", "http://[::1]/ping");
        check("http://[::1]:8080/ping", "http://[::1]:8080/ping");
        check("echo://localhost:7007/", "echo://localhost:7007");
        check("udp-echo://[::1]:7007", "udp-echo://[::1]:7007");
        check("frame://127.0.0.1:7016/", "frame://127.0.0.1:7016");
    }

    #[test]
    fn what_cannot_be_meant_is_refused_with_the_part_that_is_wrong() {
        let check = |text: &str, part: &str| {
            let why = text.parse::<Url>().expect_err(text);
            assert!(why.contains(part), "{text}: {why}");
        };
        check("127.0.0.1:8080", "is no URL");
        check("ftp://x", "`ftp://` is nothing");
        check("https://x", "no TLS");
        check("http://", "`` is no host");
        check("http://a b", "is no host");
        check("http://[::1", "is no host");
        check("http://[::g]", "is no host");
        check("http://[::1]80", "is no host");
        check("http://u:p@x", "--header");
        check("http://x:0", "1 to 65535");
        check("http://x:65536", "1 to 65535");
        check("http://x:", "1 to 65535");
        check("http://x/a b", "percent-encoded");
        check("http://x/\u{e4}", "percent-encoded");
        check("echo://x", "echo://x:PORT");
        check("echo://x:7/a", "has no path");
        check("frame://x", "frame://x:PORT");
    }
}

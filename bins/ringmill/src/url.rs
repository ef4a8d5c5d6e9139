//! What to serve and where, as one line: `http://127.0.0.1:8080`, `relay://[::]:7000?to=10.0.0.1:80`.
//!
//! Pure: reads and writes the text. It never looks a name up and never asks whether an address can be bound.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;

use linux::net::Transport;

/// One listener of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Url {
    /// What is served there.
    pub(crate) kind: Kind,
    /// Where; port 0 lets the kernel choose.
    pub(crate) address: SocketAddr,
    /// On `[::]`: leaves IPv4 out. Off by default, so that one listener serves both families.
    pub(crate) v6only: bool,
}

/// What a listener serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The built-in site.
    Http,
    /// Bytes come back.
    Echo,
    /// Datagrams come back.
    UdpEcho,
    /// Bytes go on to another server, and its bytes come back.
    Relay(Relay),
    /// Metrics and health. On one shard.
    Admin,
    /// Frames, whose payloads come back.
    Frame,
    /// The same, one frame a datagram.
    FrameUdp,
}

/// Where a relay goes and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Relay {
    /// The upstream server.
    pub(crate) to: SocketAddr,
    /// Which of the two ways in which it is written.
    pub(crate) form: Form,
    /// How long the upstream may take to accept; none is the relay's own default.
    pub(crate) connect: Option<Duration>,
}

/// The two ways in which the relay is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) enum Form {
    /// A state machine on `pipe`.
    #[default]
    Machine,
    /// An `async fn` inside a session.
    Task,
}

impl Kind {
    /// The scheme of its URL.
    pub(crate) fn scheme(&self) -> &'static str {
        match self {
            Kind::Http => "http",
            Kind::Echo => "echo",
            Kind::UdpEcho => "udp-echo",
            Kind::Relay(_) => "relay",
            Kind::Admin => "admin",
            Kind::Frame => "frame",
            Kind::FrameUdp => "frame-udp",
        }
    }

    /// Streams or datagrams.
    pub(crate) fn transport(&self) -> Transport {
        match self {
            Kind::UdpEcho | Kind::FrameUdp => Transport::Udp,
            _ => Transport::Tcp,
        }
    }
}

impl Url {
    /// Whether a peer on another machine could reach it.
    pub(crate) fn is_public(&self) -> bool {
        !self.address.ip().to_canonical().is_loopback()
    }

    /// Whether both would be the same socket, or one would take connections that are meant for the other.
    pub(crate) fn collides(&self, other: &Url) -> bool {
        let (a, b) = (self.address, other.address);
        let is_same_port = a.port() == b.port() && a.port() != 0;
        let is_same_place = self.covers(b.ip()) || other.covers(a.ip());
        self.kind.transport() == other.kind.transport() && is_same_port && is_same_place
    }

    /// Whether it takes TCP connections to `to`. `is_ours` says whether this machine has an address.
    pub(crate) fn takes(&self, to: SocketAddr, is_ours: impl Fn(IpAddr) -> bool) -> bool {
        let ip = to.ip().to_canonical();
        let is_here = self.address.ip().to_canonical() == ip || self.covers(ip) && is_ours(ip);
        self.kind.transport() == Transport::Tcp && self.address.port() == to.port() && is_here
    }

    /// Whether `ip` is its address, however written, or one of all those that it stands for.
    fn covers(&self, ip: IpAddr) -> bool {
        let (own, ip) = (self.address.ip().to_canonical(), ip.to_canonical());
        let is_wide =
            own.is_unspecified() && (own.is_ipv4() == ip.is_ipv4() || own.is_ipv6() && !self.v6only);
        own == ip || is_wide
    }
}

impl FromStr for Url {
    type Err = String;

    /// Errors: one sentence with the part that is wrong.
    fn from_str(text: &str) -> Result<Url, String> {
        let Some((scheme, rest)) = text.split_once("://") else {
            return Err(format!("`{text}` is no listener: expected {SCHEMES} and ://ADDR"));
        };
        let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
        let address = address(place.strip_suffix('/').unwrap_or(place))?;
        check_scope(address)?;
        let mut query = Query::parse(query)?;
        let v6only = query.take("v6only", |word| word.parse().map_err(|_| "true or false"))?.unwrap_or(false);
        let kind = match scheme {
            "http" => Kind::Http,
            "echo" => Kind::Echo,
            "udp-echo" => Kind::UdpEcho,
            "relay" => Kind::Relay(relay(&mut query)?),
            "admin" => Kind::Admin,
            "frame" => Kind::Frame,
            "frame-udp" => Kind::FrameUdp,
            _ => return Err(format!("`{scheme}://` is no kind of listener: expected {SCHEMES}")),
        };
        query.end(scheme)?;
        if v6only && address.is_ipv4() {
            return Err(format!("`v6only` makes no sense on the IPv4 address {address}"));
        }
        Ok(Url { kind, address, v6only })
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.kind.scheme(), self.address)?;
        let mut mark = '?';
        let mut option = |f: &mut fmt::Formatter<'_>, name: &str, value: &dyn fmt::Display| {
            let mark = std::mem::replace(&mut mark, '&');
            write!(f, "{mark}{name}={value}")
        };
        if let Kind::Relay(relay) = &self.kind {
            option(f, "to", &relay.to)?;
            if relay.form != Form::default() {
                option(f, "form", &"task")?;
            }
            if let Some(connect) = relay.connect {
                option(f, "connect-ms", &connect.as_millis())?;
            }
        }
        if self.v6only { option(f, "v6only", &true) } else { Ok(()) }
    }
}

fn relay(query: &mut Query<'_>) -> Result<Relay, String> {
    let Some(to) = query.take("to", |word| address(word).map_err(|_| "ADDR:PORT"))? else {
        return Err("a relay needs `?to=ADDR:PORT`".into());
    };
    check_scope(to)?;
    if to.port() == 0 || to.ip().to_canonical().is_unspecified() {
        return Err(format!("`to={to}` is no address to connect to"));
    }
    let form = query.take("form", |word| match word {
        "machine" => Ok(Form::Machine),
        "task" => Ok(Form::Task),
        _ => Err("machine or task"),
    })?;
    let connect = query.take("connect-ms", |word| match word.parse() {
        Ok(ms @ 1..=600_000) => Ok(Duration::from_millis(ms)),
        _ => Err("1 to 600000"),
    })?;
    Ok(Relay { to, form: form.unwrap_or_default(), connect })
}

/// `127.0.0.1:80`, `[::1]:80`, `localhost:80` (IPv4) and `*:80` (every address of both families).
fn address(text: &str) -> Result<SocketAddr, String> {
    let expected = "expected ADDR:PORT such as 127.0.0.1:8080, [::1]:8080, *:8080 or localhost:8080";
    let wrong = || format!("`{text}` is no address: {expected}");
    let named = |ip: IpAddr, port: &str| match port.parse() {
        Ok(port) => Ok(SocketAddr::new(ip, port)),
        Err(_) => Err(wrong()),
    };
    match text.rsplit_once(':') {
        Some(("localhost", port)) => named(Ipv4Addr::LOCALHOST.into(), port),
        Some(("*", port)) => named(Ipv6Addr::UNSPECIFIED.into(), port),
        _ => text.parse().map_err(|_| wrong()),
    }
}

/// Such addresses mean nothing without an interface, and sockets here are bound and connected without one.
fn check_scope(address: SocketAddr) -> Result<(), String> {
    match address {
        SocketAddr::V6(v6) if v6.ip().is_unicast_link_local() => Err(format!(
            "{address} is link-local, and would need a scope id (%INTERFACE), which is not supported"
        )),
        _ => Ok(()),
    }
}

/// The options after the `?`, each of which must be known and stand there once.
struct Query<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Query<'a> {
    fn parse(text: &'a str) -> Result<Query<'a>, String> {
        let mut options: Vec<(&str, &str)> = Vec::new();
        for word in text.split('&').filter(|word| !word.is_empty()) {
            let Some((name, value)) = word.split_once('=') else {
                return Err(format!("`{word}` is no option: expected NAME=VALUE"));
            };
            if options.iter().any(|(other, _)| *other == name) {
                return Err(format!("`{name}` is given twice"));
            }
            options.push((name, value));
        }
        Ok(Query(options))
    }

    /// Takes out the option `name`. `read` answers with what it would have understood.
    fn take<T>(
        &mut self,
        name: &str,
        read: impl Fn(&str) -> Result<T, &'static str>,
    ) -> Result<Option<T>, String> {
        let Some(index) = self.0.iter().position(|(other, _)| *other == name) else { return Ok(None) };
        let (_, value) = self.0.remove(index);
        read(value).map(Some).map_err(|expected| format!("`{name}={value}`: expected {expected}"))
    }

    fn end(self, scheme: &str) -> Result<(), String> {
        match self.0.first() {
            Some((name, _)) => Err(format!("`{scheme}://` has no option `{name}`")),
            None => Ok(()),
        }
    }
}

const SCHEMES: &str = "http, echo, udp-echo, relay, frame, frame-udp or admin";

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        text.parse().unwrap_or_else(|why| panic!("{text}: {why}"))
    }

    #[test]
    fn every_url_is_written_as_it_is_read() {
        for text in [
            "http://127.0.0.1:8080",
            "echo://[::1]:7",
            "udp-echo://[::]:7007?v6only=true",
            "admin://127.0.0.1:0",
            "frame://[::1]:7016",
            "frame-udp://[::]:7016?v6only=true",
            "relay://0.0.0.0:1?to=10.0.0.1:80",
            "relay://[::]:1?to=[2001:db8::1]:80&form=task&connect-ms=250&v6only=true",
        ] {
            assert_eq!(url(text).to_string(), text);
        }
    }

    #[test]
    fn short_forms_mean_addresses() {
        let check = |text: &str, expected: &str| assert_eq!(url(text), url(expected));
        check("http://localhost:80", "http://127.0.0.1:80");
        check("http://*:80/", "http://[::]:80");
        check("relay://*:1?to=localhost:2&form=machine", "relay://[::]:1?to=127.0.0.1:2");
        check("echo://[::1]:7?v6only=false", "echo://[::1]:7");
    }

    #[test]
    fn what_cannot_be_meant_is_refused_with_the_part_that_is_wrong() {
        let check = |text: &str, part: &str| match text.parse::<Url>() {
            Err(why) => assert!(why.contains(part), "{text}: {why}"),
            Ok(url) => panic!("{text} was read as {url}"),
        };
        check("127.0.0.1:8080", "no listener");
        check("https://127.0.0.1:8080", "`https://` is no kind");
        check("http://127.0.0.1", "`127.0.0.1` is no address");
        check("http://example.org:80", "no address");
        check("http://localhost:65536", "no address");
        check("http://[::1:80", "no address");
        check("http://[fe80::1]:8899", "[fe80::1]:8899 is link-local");
        check("http://[fe80::1%2]:8899", "[fe80::1%2]:8899 is link-local");
        check("relay://127.0.0.1:1?to=[fe80::1]:80", "[fe80::1]:80 is link-local");
        check("http://127.0.0.1:80/path", "no address");
        check("http://127.0.0.1:80?to=1.1.1.1:1", "`http://` has no option `to`");
        check("http://127.0.0.1:80?v6only=true", "IPv4");
        check("frame://127.0.0.1:7016?heartbeat-ms=1", "`frame://` has no option `heartbeat-ms`");
        check("echo://[::1]:7?v6only=yes", "true or false");
        check("echo://[::1]:7?v6only", "NAME=VALUE");
        check("relay://127.0.0.1:1", "needs `?to=");
        check("relay://127.0.0.1:1?to=x", "`to=x`: expected ADDR:PORT");
        check("relay://127.0.0.1:1?to=0.0.0.0:80", "no address to connect to");
        check("relay://127.0.0.1:1?to=[::ffff:0.0.0.0]:80", "no address to connect to");
        check("relay://127.0.0.1:1?to=1.1.1.1:0", "no address to connect to");
        check("relay://127.0.0.1:1?to=1.1.1.1:1&form=x", "machine or task");
        check("relay://127.0.0.1:1?to=1.1.1.1:1&connect-ms=0", "1 to 600000");
        check("relay://127.0.0.1:1?to=1.1.1.1:1&to=1.1.1.1:1", "twice");
    }

    #[test]
    fn two_listeners_collide_where_one_would_take_the_others_connections() {
        let check = |a: &str, b: &str, expected: bool| {
            assert_eq!(url(a).collides(&url(b)), expected, "{a} and {b}");
            assert_eq!(url(b).collides(&url(a)), expected, "{b} and {a}");
        };
        check("http://127.0.0.1:80", "echo://127.0.0.1:80", true);
        check("http://127.0.0.1:80", "echo://127.0.0.1:81", false);
        check("http://127.0.0.1:80", "echo://127.0.0.2:80", false);
        check("http://127.0.0.1:0", "echo://127.0.0.1:0", false);
        check("frame-udp://127.0.0.1:80", "udp-echo://127.0.0.1:80", true);
        check("frame-udp://127.0.0.1:80", "frame://127.0.0.1:80", false);
        check("http://127.0.0.1:80", "udp-echo://127.0.0.1:80", false);
        check("http://0.0.0.0:80", "echo://127.0.0.1:80", true);
        check("http://[::]:80", "echo://127.0.0.1:80", true);
        check("http://[::]:80?v6only=true", "echo://127.0.0.1:80", false);
        check("http://[::]:80?v6only=true", "echo://[::1]:80", true);
        check("http://0.0.0.0:80", "echo://[::1]:80", false);
        check("http://[::ffff:127.0.0.1]:80", "echo://127.0.0.1:80", true);
        check("http://[::ffff:127.0.0.1]:80", "echo://0.0.0.0:80", true);
        check("http://[::ffff:0.0.0.0]:80", "echo://127.0.0.1:80", true);
        check("http://[::ffff:0.0.0.0]:80", "echo://[::1]:80", false);
    }

    #[test]
    fn only_loopback_is_private() {
        let check = |text: &str, expected: bool| assert_eq!(url(text).is_public(), expected, "{text}");
        check("http://127.9.9.9:1", false);
        check("http://[::1]:1", false);
        check("http://[::ffff:127.0.0.1]:1", false);
        check("http://*:1", true);
        check("http://0.0.0.0:1", true);
        check("http://192.168.0.1:1", true);
    }
}

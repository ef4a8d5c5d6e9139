//! Text for people: columns, numbers with separators, and what is printed once the server serves.
//!
//! Plain words in plain columns; the only decoration is a bold first line where a terminal reads it.

use std::io::IsTerminal;
use std::net::SocketAddr;

use linux::ring::Factors;
use shard::engine::Engine;
use shard::plan::SeatInfo;

use crate::url::{Form, Kind, Relay, Url};
use linux::console;

/// What is said at the start.
pub(crate) struct Start<'a> {
    /// What is served, in the order of the configuration.
    pub(crate) listen: &'a [Url],
    /// Where, in the same order.
    pub(crate) addresses: &'a [SocketAddr],
    /// What moves the bytes.
    pub(crate) engine: Engine,
    /// What each shard got.
    pub(crate) seats: &'a [SeatInfo],
    /// How the rings were asked to differ from the best ones.
    pub(crate) factors: Factors,
    /// The longest datagram that fits a receive buffer.
    pub(crate) datagram_max: u32,
    /// The bound on connections that was asked for.
    pub(crate) connections_max: usize,
    /// What else there is to know, a line each.
    pub(crate) notes: &'a [String],
}

impl Start<'_> {
    /// The table, each line complete.
    pub(crate) fn text(&self) -> String {
        let mut rows: Vec<Vec<String>> = Vec::new();
        for (url, address) in self.listen.iter().zip(self.addresses) {
            let bound = Url { address: *address, ..url.clone() };
            rows.push(vec![bound.to_string(), self.offer(&url.kind)]);
        }
        for (index, seat) in self.seats.iter().enumerate() {
            let core = seat.core.map_or("no core of its own".into(), |core| format!("core {core}"));
            let most = thousands(seat.connections_max as u64);
            let rings = if seat.rings > 1 { format!(" on {} rings", seat.rings) } else { String::new() };
            rows.push(vec![format!("shard {index}"), format!("{core}, at most {most} connections{rings}")]);
        }
        let mut text = columns(&rows);
        let other = (self.engine != Engine::Uring).then(|| format!("engine   {}", self.engine));
        for line in other.into_iter().chain(self.ring()).chain(self.bound()).chain(self.notes.iter().cloned())
        {
            text.push_str(&line);
            text.push('\n');
        }
        text + &self.first_steps()
    }

    /// The tier of the rings and what they lack. All shards ask one kernel, but each has its own share of memory.
    fn ring(&self) -> Vec<String> {
        let mut lines: Vec<String> = Vec::new();
        for (index, seat) in self.seats.iter().enumerate() {
            let Some(ring) = &seat.ring else { continue };
            let missing = ring.missing.iter().map(|(name, why)| format!("missing  {name}: {why}"));
            let factors = (self.factors != Factors::BEST).then(|| format!("factors  {}", self.factors));
            for line in std::iter::once(format!("ring     {}", ring.tier)).chain(factors).chain(missing) {
                if index == 0 {
                    lines.push(line);
                } else if !lines.contains(&line) {
                    lines.push(format!("{line} (shard {index})"));
                }
            }
        }
        lines
    }

    /// What a client finds there.
    fn offer(&self, kind: &Kind) -> String {
        match kind {
            Kind::Http => "/  /ping  /echo  /bytes/N  /users/ID  /health".into(),
            Kind::Echo => "sends back what it gets".into(),
            Kind::UdpEcho => {
                format!("sends back datagrams of up to {} bytes", thousands(self.datagram_max.into()))
            }
            Kind::Relay(Relay { form: Form::Machine, .. }) => "carries on, as a state machine".into(),
            Kind::Relay(Relay { form: Form::Task, .. }) => "carries on, as an async task".into(),
            Kind::Admin => "/metrics  /health  /ready  /caps".into(),
            Kind::FrameUdp => format!(
                "frames of up to {} bytes, one a datagram (docs/FRAME.md)",
                thousands(self.datagram_max.into())
            ),
            Kind::Frame => "frames whose payloads come back; heartbeats (docs/FRAME.md)".into(),
        }
    }

    fn bound(&self) -> Option<String> {
        let least = self.seats.iter().map(|seat| seat.connections_max).min()?;
        (least < self.connections_max).then(|| {
            let (least, asked) = (thousands(least as u64), thousands(self.connections_max as u64));
            format!(
                "limit    file descriptors allow {least} connections a shard, not {asked}: see `ulimit -n`"
            )
        })
    }

    /// What to type next, for the first listener of the kind.
    fn first_steps(&self) -> String {
        let pairs =
            || self.listen.iter().zip(self.addresses).map(|(url, address)| (&url.kind, reachable(*address)));
        let step = pairs().find_map(|(kind, address)| match kind {
            Kind::Http => Some(format!("curl http://{address}/ping")),
            Kind::Admin => Some(format!("curl http://{address}/metrics")),
            _ => None,
        });
        let step = step.or_else(|| {
            let (_, address) = pairs().find(|(kind, _)| matches!(kind, Kind::Echo))?;
            Some(format!("nc {} {}", address.ip(), address.port()))
        });
        step.map_or(String::new(), |step| format!("\nTry: {step}\n")) + "Ctrl-C drains and reports.\n"
    }
}

/// An address to type into a client: a wildcard is reached by loopback.
fn reachable(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => SocketAddr::from(([127, 0, 0, 1], v4.port())),
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => SocketAddr::from(([127, 0, 0, 1], v6.port())),
        other => other,
    }
}

/// Prints `text` while serving: what cannot be written is no reason to stop.
pub(crate) fn say(text: &str) {
    let _ = console::tell(text);
}

/// The same under a headline, which a terminal shows in bold.
pub(crate) fn say_under(headline: &str, text: &str) {
    let is_bold = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let (bold, plain) = if is_bold { ("\x1b[1m", "\x1b[0m") } else { ("", "") };
    say(&format!("{bold}{headline}{plain}\n{text}"));
}

/// Rows in left-aligned columns, two spaces apart; the last cell of a row has no bound.
pub(crate) fn columns(rows: &[Vec<String>]) -> String {
    let count = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = rows.iter().filter(|row| column + 1 < row.len());
        cells.map(|row| row[column].chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..count).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        format!("{}\n", cells.collect::<Vec<_>>().join("  ").trim_end())
    };
    rows.iter().map(line).collect()
}

/// `1234567` as `1,234,567`.
pub(crate) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().map(|group| std::str::from_utf8(group).expect("digits")).collect();
    groups.join(",")
}

/// `1 shard`, `2 shards`.
pub(crate) fn counted(count: usize, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {what}{plural}")
}

/// Bytes in the largest binary unit that leaves a number of at least one: `1.5 MiB`.
pub(crate) fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if count < 1024 {
        return format!("{count} B");
    }
    let steps = ((count.ilog2() / 10) as usize).min(UNITS.len());
    let size = count as f64 / (1u64 << (10 * steps)) as f64;
    format!("{size:.1} {}", UNITS[steps - 1])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [["a", "bb", "c"], ["aaa", "b", "long text"]].map(|row| row.map(String::from).to_vec());
        assert_eq!(columns(&rows), "a    bb  c\naaa  b   long text\n");
        assert_eq!(columns(&[vec!["one".into()], vec!["x".into(), "y".into()]]), "one\nx  y\n");
        assert_eq!(columns(&[]), "");
    }

    #[test]
    fn numbers_are_written_for_people() {
        let written = [0, 999, 1000, 1_234_567].map(thousands);
        assert_eq!(written, ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([0, 1, 2].map(|count| counted(count, "shard")), ["0 shards", "1 shard", "2 shards"]);
        let written = [0, 1023, 1024, 1_572_864, u64::MAX].map(bytes);
        assert_eq!(written, ["0 B", "1023 B", "1.0 KiB", "1.5 MiB", "16384.0 PiB"]);
    }

    #[test]
    fn a_wildcard_is_reached_by_loopback() {
        let check = |address: &str, expected: &str| {
            assert_eq!(reachable(address.parse().expect("an address")).to_string(), expected);
        };
        check("0.0.0.0:80", "127.0.0.1:80");
        check("[::]:80", "127.0.0.1:80");
        check("[::1]:80", "[::1]:80");
        check("10.0.0.1:80", "10.0.0.1:80");
    }
}

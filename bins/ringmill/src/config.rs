//! What is meant: every setting with its type, made once from defaults, file and flags, and checked whole.
//!
//! Nothing here reads a file or asks the kernel. [`Config::check`] knows what settings mean together; what the machine
//! has to say to them (cores, descriptors, ports) is asked in `cores.rs` and `run.rs`, before the first thread.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use linux::cpu::{CoresSpec, Shards};
use linux::net::Arrival;
use linux::pool;
use linux::ring::Factors;
use service::frame;
use shard::engine::Engine;
use shard::plan::{Accept, ZeroCopy};

use crate::engine::Choice;
use crate::url::{Kind, Url};
use linux::console::Failure;

/// Every setting. `knobs.rs` says what each is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Config {
    pub(crate) listen: Vec<Url>,
    pub(crate) name: Vec<HostName>,
    pub(crate) admin_public: bool,
    pub(crate) udp_echo_public: bool,
    pub(crate) engine: Choice,
    pub(crate) cores: CoresSpec,
    pub(crate) shards: Shards,
    pub(crate) connections_max: u64,
    pub(crate) backlog: u64,
    pub(crate) threads_max: u64,
    pub(crate) pool_workers: u64,
    pub(crate) pool_queue: u64,
    pub(crate) accept: Accept,
    pub(crate) recv_buffers: RecvBuffers,
    pub(crate) huge_pages: bool,
    pub(crate) zero_copy: ZeroCopyBytes,
    pub(crate) spin_us: u64,
    pub(crate) ring: Factors,
    pub(crate) idle_timeout_ms: u64,
    pub(crate) park_after_ms: u64,
    pub(crate) heartbeat_ms: u64,
    pub(crate) heartbeat_misses: u64,
    pub(crate) frame_bytes_max: u64,
    pub(crate) frame_peers_max: u64,
    pub(crate) drain_ms: u64,
    pub(crate) report: Option<PathBuf>,
}

impl Default for Config {
    fn default() -> Config {
        let plan = shard::plan::Plan::default();
        let offer = frame::Offer::default();
        let listen = [
            "http://127.0.0.1:8080",
            "echo://127.0.0.1:7007",
            "udp-echo://127.0.0.1:7007",
            "admin://127.0.0.1:9090",
        ];
        Config {
            listen: listen.iter().map(|url| url.parse().expect("a literal URL")).collect(),
            name: Vec::new(),
            admin_public: false,
            udp_echo_public: false,
            engine: Choice::Auto,
            cores: CoresSpec::default(),
            shards: Shards::Auto,
            connections_max: plan.connections_max as u64,
            backlog: plan.backlog.into(),
            threads_max: plan.threads_max.into(),
            pool_workers: plan.pool_workers.into(),
            pool_queue: plan.pool_queue as u64,
            accept: plan.accept,
            recv_buffers: RecvBuffers { count: plan.pool.count, bytes: plan.pool.bytes },
            huge_pages: plan.pool.huge_pages,
            zero_copy: ZeroCopyBytes(plan.zero_copy),
            spin_us: plan.spin.as_micros() as u64,
            ring: plan.ring,
            park_after_ms: plan.park.as_millis() as u64,
            idle_timeout_ms: plan.idle.map_or(0, |idle| idle.as_millis() as u64),
            heartbeat_ms: offer.heartbeat_ms.into(),
            heartbeat_misses: offer.misses.into(),
            frame_bytes_max: offer.payload_bytes_max.into(),
            frame_peers_max: frame::udp::PEERS_MAX as u64,
            drain_ms: plan.drain.as_millis() as u64,
            report: None,
        }
    }
}

impl Config {
    /// Whether the settings make sense together. Errors: what does not, with its cure.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        if self.listen.is_empty() {
            return Err(
                Failure::usage("there is nothing to listen on").cure("`--listen http://127.0.0.1:8080`")
            );
        }
        if self.ring != Factors::BEST && self.engine() != Choice::Only(Engine::Uring) {
            let what =
                format!("`--ring {}` is about rings, and `--engine {}` has none", self.ring, self.engine);
            return Err(Failure::usage(what).cure("`--engine uring`, or no --ring"));
        }
        for (index, url) in self.listen.iter().enumerate() {
            self.check_public(url)?;
            if let Some(other) = self.listen[..index].iter().find(|other| other.collides(url)) {
                return Err(
                    Failure::usage(format!("{other} and {url} are the same port")).cure("another port")
                );
            }
        }
        Ok(())
    }

    fn check_public(&self, url: &Url) -> Result<(), Failure> {
        let (is_allowed, what, flag) = match url.kind {
            Kind::Admin => (self.admin_public, "would show metrics to other machines", "--admin-public"),
            Kind::UdpEcho => {
                (self.udp_echo_public, "could be made to flood third parties", "--udp-echo-public")
            }
            _ => return Ok(()),
        };
        if url.is_public() && !is_allowed {
            let cure = format!("an address of loopback, or `{flag}` if that is meant");
            return Err(Failure::usage(format!("{url} {what}")).cure(cure));
        }
        Ok(())
    }

    /// The engine that is asked for. Who asks for something of its ring is served by no other.
    pub(crate) fn engine(&self) -> Choice {
        match self.engine {
            Choice::Auto if self.ring != Factors::BEST => Choice::Only(Engine::Uring),
            choice => choice,
        }
    }

    /// The receive buffers of a shard, as the engine wants them.
    pub(crate) fn pool(&self) -> pool::Plan {
        pool::Plan {
            count: self.recv_buffers.count,
            bytes: self.recv_buffers.bytes,
            huge_pages: self.huge_pages,
        }
    }

    /// What frame listeners hold their clients to.
    pub(crate) fn frame_offer(&self) -> frame::Offer {
        // Their ranges are within 32 bits.
        frame::Offer {
            heartbeat_ms: self.heartbeat_ms as u32,
            misses: self.heartbeat_misses as u32,
            payload_bytes_max: self.frame_bytes_max as u32,
        }
    }

    /// The same for those of datagrams, where a frame fits one buffer.
    pub(crate) fn frame_udp_offer(&self) -> frame::Offer {
        let offer = self.frame_offer();
        let most = self.recv_buffers.datagram_max().saturating_sub(FRAME_BYTES).max(1);
        frame::Offer { payload_bytes_max: offer.payload_bytes_max.min(most), ..offer }
    }

    /// The idle timeout, or none.
    pub(crate) fn idle(&self) -> Option<Duration> {
        (self.idle_timeout_ms > 0).then(|| Duration::from_millis(self.idle_timeout_ms))
    }
}

/// A name that may stand in a Host header, without a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HostName(String);

impl FromStr for HostName {
    type Err = String;

    fn from_str(text: &str) -> Result<HostName, String> {
        let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        // 253 is the longest name of the DNS (RFC 1035 section 2.3.4, without the length bytes).
        if text.is_empty() || text.len() > 253 || !text.bytes().all(is_letter) {
            return Err(format!(
                "`{text}` is no host name: letters, digits, `-`, `.` and `_`, without a port"
            ));
        }
        Ok(HostName(text.to_ascii_lowercase()))
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Count and size of a shard's receive buffers: `128x16KiB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RecvBuffers {
    pub(crate) count: u16,
    pub(crate) bytes: u32,
}

impl FromStr for RecvBuffers {
    type Err = String;

    fn from_str(text: &str) -> Result<RecvBuffers, String> {
        let read = || {
            let (count, size) = text.split_once('x')?;
            let (digits, unit) = match (size.strip_suffix("KiB"), size.strip_suffix("MiB")) {
                (Some(digits), _) => (digits, 1 << 10),
                (_, Some(digits)) => (digits, 1 << 20),
                _ => (size, 1),
            };
            let count: u16 = count.parse().ok()?;
            let bytes = digits.parse::<u32>().ok()?.checked_mul(unit)?;
            let is_count = count.is_power_of_two() && (2..=32_768).contains(&count);
            let is_size = bytes.is_power_of_two() && (1 << 10..=1 << 20).contains(&bytes);
            (is_count && is_size).then_some(RecvBuffers { count, bytes })
        };
        let expected =
            "expected COUNTxSIZE such as 128x16KiB: 2 to 32768 buffers of 1KiB to 1MiB, both powers of two";
        read().ok_or_else(|| format!("`{text}`: {expected}"))
    }
}

impl fmt::Display for RecvBuffers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}KiB", self.count, self.bytes >> 10)
    }
}

impl RecvBuffers {
    /// Bytes of all of them.
    pub(crate) fn total(&self) -> u64 {
        u64::from(self.count) * u64::from(self.bytes)
    }

    /// As many of this size as `bytes` hold, or none where that is fewer than the least.
    pub(crate) fn fewer(self, bytes: u64) -> Option<RecvBuffers> {
        let most = (bytes / u64::from(self.bytes)).min(self.count.into());
        (most >= 2).then(|| RecvBuffers { count: 1 << most.ilog2(), ..self })
    }

    /// The longest datagram that fits one buffer, behind what the kernel says about it; longer ones are dropped.
    pub(crate) fn datagram_max(&self) -> u32 {
        (self.bytes - DATAGRAM_HEAD_BYTES).min(UDP_BYTES_MAX)
    }
}

/// What a frame adds to its payload: its header and its checksum.
const FRAME_BYTES: u32 = 16 + 4;
/// In front of a datagram's payload: io_uring's header, room for the sender's address, and for the one that it came to.
const DATAGRAM_HEAD_BYTES: u32 = 16 + 32 + Arrival::CONTROL_BYTES as u32;
/// The most that a datagram of IPv4 carries: 65,535 bytes less the heads of IP and UDP (udp(7)).
const UDP_BYTES_MAX: u32 = 65_507;

/// When a send goes out without a copy: `auto`, `off`, or from so many bytes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ZeroCopyBytes(pub(crate) ZeroCopy);

impl FromStr for ZeroCopyBytes {
    type Err = String;

    fn from_str(text: &str) -> Result<ZeroCopyBytes, String> {
        match (text, text.parse()) {
            ("auto", _) => Ok(ZeroCopyBytes(ZeroCopy::Auto)),
            ("off", _) => Ok(ZeroCopyBytes(ZeroCopy::Off)),
            (_, Ok(bytes @ 1..=0x4000_0000)) => Ok(ZeroCopyBytes(ZeroCopy::AtLeast(bytes))),
            _ => Err(format!("`{text}`: expected auto, off or 1 to 1073741824 bytes")),
        }
    }
}

impl fmt::Display for ZeroCopyBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            ZeroCopy::Auto => f.write_str("auto"),
            ZeroCopy::Off => f.write_str("off"),
            ZeroCopy::AtLeast(bytes) => write!(f, "{bytes}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The default configuration with these listeners instead.
    fn serving(urls: &[&str]) -> Config {
        let listen = urls.iter().map(|url| url.parse().expect("a literal URL")).collect();
        Config { listen, ..Config::default() }
    }

    #[test]
    fn the_defaults_are_those_of_the_readme_and_pass_the_check() {
        let config = Config::default();
        config.check().expect("the defaults");
        let urls: Vec<String> = config.listen.iter().map(Url::to_string).collect();
        let expected = [
            "http://127.0.0.1:8080",
            "echo://127.0.0.1:7007",
            "udp-echo://127.0.0.1:7007",
            "admin://127.0.0.1:9090",
        ];
        assert_eq!(urls, expected);
        assert_eq!((config.connections_max, config.idle_timeout_ms, config.spin_us), (100_000, 0, 0));
    }

    #[test]
    fn listeners_that_cannot_stand_together_are_refused() {
        let check = |urls: &[&str], part: &str| {
            let failure = serving(urls).check().expect_err(part);
            assert!(failure.to_string().contains(part), "{failure}");
        };
        check(&[], "nothing to listen on");
        check(&["http://127.0.0.1:80", "echo://127.0.0.1:80"], "same port");
        check(&["http://*:80", "echo://127.0.0.1:80"], "same port");
        serving(&["http://127.0.0.1:0", "echo://127.0.0.1:0"]).check().expect("the kernel chooses two ports");
        serving(&["echo://127.0.0.1:7", "udp-echo://127.0.0.1:7"]).check().expect("two transports");
    }

    #[test]
    fn admin_and_udp_echo_leave_loopback_only_when_told_to() {
        for (url, flag) in [("admin://*:1", "--admin-public"), ("udp-echo://0.0.0.0:1", "--udp-echo-public")]
        {
            let failure = serving(&[url]).check().expect_err("off loopback");
            assert!(failure.to_string().contains(flag), "{failure}");
            Config { admin_public: true, udp_echo_public: true, ..serving(&[url]) }.check().expect("told to");
        }
        serving(&["http://*:1", "echo://*:2"]).check().expect("these may be public");
    }

    #[test]
    fn words_for_the_ring_ask_for_an_engine_that_has_one() {
        let ring = "bundles=off".parse().expect("a word");
        let with = |engine| Config { engine, ring, ..Config::default() };
        assert_eq!(with(Choice::Auto).engine(), Choice::Only(Engine::Uring));
        with(Choice::Only(Engine::Uring)).check().expect("it has one");
        let failure = with(Choice::Only(Engine::Epoll)).check().expect_err("it has none").to_string();
        assert!(
            failure.contains("`--ring bundles=off`") && failure.contains("`--engine epoll`"),
            "{failure}"
        );
        Config { engine: Choice::Only(Engine::Epoll), ..Config::default() }.check().expect("nothing asked");
    }

    #[test]
    fn receive_buffers_are_powers_of_two_in_range() {
        let check = |text: &str, expected: Option<(u16, u32)>| {
            let got = text.parse::<RecvBuffers>().ok().map(|buffers| (buffers.count, buffers.bytes));
            assert_eq!(got, expected, "{text}");
        };
        check("128x16KiB", Some((128, 16_384)));
        check("2x1024", Some((2, 1024)));
        check("32768x1MiB", Some((32_768, 1 << 20)));
        check("65536x1KiB", None);
        check("1x1KiB", None);
        check("3x1KiB", None);
        check("4x3KiB", None);
        check("4x2MiB", None);
        check("4x512", None);
        check("4x8192MiB", None);
        check("16KiB", None);
        check("x", None);
    }

    #[test]
    fn the_longest_datagram_is_a_buffer_less_its_head_or_what_udp_carries() {
        let check = |text: &str, expected: u32| {
            assert_eq!(text.parse::<RecvBuffers>().expect("a literal").datagram_max(), expected, "{text}");
        };
        check("2x1KiB", 936);
        check("256x16KiB", 16_296);
        check("2x64KiB", 65_448);
        check("2x128KiB", 65_507);
    }

    #[test]
    fn host_names_have_no_port_and_no_case() {
        assert_eq!(
            "Edge-1.Example.ORG".parse::<HostName>().expect("a name").to_string(),
            "edge-1.example.org"
        );
        for text in ["", "a:80", "a b", "a/b", "[::1]", &"a".repeat(254)] {
            assert!(text.parse::<HostName>().is_err(), "{text}");
        }
    }
}

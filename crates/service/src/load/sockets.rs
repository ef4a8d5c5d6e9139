//! What an engine's plan needs to know of a load.

use super::config::{Config, Talk};
use super::frame;
use shard::plan::{Listen, Transport};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

/// The length of a step of the series, in nanoseconds: at most a second, and ten or a multiple of ten of them are the measured time.
pub fn step_ns(duration: Duration) -> u64 {
    let ns = duration.as_nanos() as u64;
    (ns / (10 * ns.div_ceil(10_000_000_000).max(1))).max(1)
}

/// Most bytes of output that one connection of a load queues: what `Plan::out_max` has to be at least.
pub fn out_max(config: &Config) -> usize {
    let bytes = match &config.talk {
        Talk::Echo { bytes } | Talk::UdpEcho { bytes } => *bytes,
        Talk::Frame { bytes } => frame::FRAME_HEADER_BYTES + bytes,
        Talk::Http(request) => request.bytes.len(),
    };
    (2 * bytes * usize::from(config.pipeline)).clamp(256 << 10, 64 << 20)
}

/// The sockets of a load that has no connections: one datagram listener for each, on a port that the kernel chooses.
pub fn listeners(config: &Config) -> Vec<Listen> {
    if !matches!(config.talk, Talk::UdpEcho { .. }) {
        return Vec::new();
    }
    let any = |number: usize| match config.from.get(number % config.from.len().max(1)) {
        Some(from) => *from,
        None if config.target.is_ipv4() && config.target.ip().is_loopback() => Ipv4Addr::LOCALHOST.into(),
        None if config.target.is_ipv4() => Ipv4Addr::UNSPECIFIED.into(),
        None if config.target.ip().is_loopback() => Ipv6Addr::LOCALHOST.into(),
        None => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    let listen = |number: u32| Listen {
        transport: Transport::Udp,
        address: SocketAddr::new(any(number as usize), 0),
        v6only: true,
        seat: Some((number % u32::from(config.seats)) as u16),
        late: false,
        refusal: None,
    };
    (0..config.connections).map(listen).collect()
}

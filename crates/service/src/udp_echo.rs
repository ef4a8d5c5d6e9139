//! UDP echo: each datagram goes back to its sender, unless that could hurt somebody.
//!
//! An open echo is a reflector: whoever can forge a source address makes it send to a stranger, and two echoes that hear of
//! each other never stop. So it answers loopback peers only unless told otherwise, and never a port below 1024, one of its
//! own listeners, or an address that stands for many. What remains is bounded for each source ([`Rates`]). It never answers
//! with more than it got, and what it drops is counted in `datagrams_dropped`.

mod rates;

pub use rates::{Rate, Rates};

use shard::{Io, Leg, Packet, Service};
use std::net::{IpAddr, SocketAddr};

/// Whom an echo answers, and how often.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// Answer peers that are not on this machine too.
    pub public: bool,
    /// The bound for each loopback source, an address with its port. `None`: [`Rate::LOOPBACK`].
    pub rate_loopback: Option<Rate>,
    /// The bound for each other source, an address whatever its port. Its ports come to whichever seats the kernel chooses, so
    /// each seat grants an equal part. `None`: [`Rate::PUBLIC`].
    pub rate_public: Option<Rate>,
}

/// The echo of one seat, for all its datagram listeners.
#[derive(Debug, Default)]
pub struct UdpEcho {
    /// Made by the first datagram: most seats of most programs never see one.
    rates: Option<Rates>,
}

impl UdpEcho {
    /// Handles one datagram. `own` are the addresses that datagram listeners of this process are bound to.
    pub fn on_datagram<S: Service>(
        &mut self,
        config: &Config,
        own: &[SocketAddr],
        leg: Leg,
        packet: Packet<'_>,
        io: &mut Io<'_, S>,
    ) {
        io.meter().requests.inc();
        let answered =
            may_answer(packet.peer, packet.local, config.public, own) && self.admit(config, packet.peer, io);
        if !answered {
            io.meter().datagrams_dropped.inc();
        } else if io.send_to(leg, packet.peer, packet.local, packet.chunk()).is_err() {
            // Too many are on their way. The desk has counted it.
        }
    }

    fn admit<S: Service>(&mut self, config: &Config, peer: SocketAddr, io: &mut Io<'_, S>) -> bool {
        let now = io.now();
        let rates = self.rates.get_or_insert_with(|| Rates::new(io.random()));
        let (source, rate, seats) = bound(config, peer, io.board().seats());
        rates.admit(source, rate, seats, now)
    }
}

/// What counts as the source of a datagram, its bound, and over how many of the `seats` it is spread. One address with its port
/// comes to one seat only.
fn bound(config: &Config, peer: SocketAddr, seats: usize) -> (SocketAddr, Rate, usize) {
    if peer.ip().to_canonical().is_loopback() {
        (peer, config.rate_loopback.unwrap_or(Rate::LOOPBACK), 1)
    } else {
        (SocketAddr::new(network(peer.ip()), 0), config.rate_public.unwrap_or(Rate::PUBLIC), seats)
    }
}

/// Whether an answer to `peer` can hurt nobody but `peer`. `local` is the address that it asked.
pub(crate) fn may_answer(peer: SocketAddr, local: Option<IpAddr>, public: bool, own: &[SocketAddr]) -> bool {
    let ip = peer.ip().to_canonical();
    let local = local.map(|ip| ip.to_canonical());
    peer.port() >= PORT_MIN
        && !stands_for_many(ip)
        && !local.is_some_and(stands_for_many)
        && (public || ip.is_loopback())
        && !own.iter().any(|listener| is_own(*listener, peer.port(), ip, local))
}

/// Whether a datagram from `ip` and `port` comes from `listener`, or is forged to look so.
fn is_own(listener: SocketAddr, port: u16, ip: IpAddr, local: Option<IpAddr>) -> bool {
    listener.port() == port && (ip.is_loopback() || ip == listener.ip().to_canonical() || Some(ip) == local)
}

/// Whether sending to an address reaches more than one machine, or none. The broadcast address of a subnet looks like any
/// other; the kernel refuses to send to it (SO_BROADCAST, socket(7)).
fn stands_for_many(ip: IpAddr) -> bool {
    ip.is_unspecified() || ip.is_multicast() || matches!(ip, IpAddr::V4(ip) if ip.is_broadcast())
}

/// What counts as one source: an IPv4 address, or the /64 that one IPv6 host chooses its addresses from (RFC 4291 2.5.1).
pub(crate) fn network(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(ip) => IpAddr::V6((ip.to_bits() >> 64 << 64).into()),
        ip => ip,
    }
}

/// Ports below are those of services that answer: echo, chargen, DNS, NTP. Two answering machines would never stop.
const PORT_MIN: u16 = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn check(peer: &str, local: Option<&str>, public: bool, own: &[&str], expected: bool) {
        let own: Vec<SocketAddr> = own.iter().map(|a| a.parse().unwrap()).collect();
        let local = local.map(|ip| ip.parse().unwrap());
        assert_eq!(
            may_answer(peer.parse().unwrap(), local, public, &own),
            expected,
            "{peer} {local:?} {public} {own:?}"
        );
    }

    #[test]
    fn only_loopback_is_answered_unless_told_otherwise() {
        for peer in ["127.0.0.1:5000", "127.9.9.9:5000", "[::1]:5000", "[::ffff:127.0.0.1]:5000"] {
            check(peer, None, false, &[], true);
        }
        for peer in ["192.0.2.1:5000", "[2001:db8::1]:5000", "[::ffff:192.0.2.1]:5000"] {
            check(peer, None, false, &[], false);
            check(peer, None, true, &[], true);
        }
    }

    #[test]
    fn ports_of_services_and_addresses_of_many_are_never_answered() {
        for peer in [
            "127.0.0.1:0",
            "127.0.0.1:7",
            "127.0.0.1:1023",
            "255.255.255.255:5000",
            "224.0.0.1:5000",
            "[ff02::1]:5000",
            "0.0.0.0:5000",
            "[::]:5000",
            "[::ffff:224.0.0.1]:5000",
        ] {
            check(peer, None, true, &[], false);
        }
        check("127.0.0.1:1024", None, true, &[], true);
        for local in ["255.255.255.255", "224.0.0.1", "ff02::1"] {
            check("127.0.0.1:5000", Some(local), true, &[], false);
        }
    }

    #[test]
    fn a_listener_of_ours_is_never_answered_wherever_it_is_bound() {
        for own in ["127.0.0.1:7007", "0.0.0.0:7007", "[::]:7007"] {
            check("127.0.0.1:7007", Some("127.0.0.1"), true, &[own], false);
            check("127.0.0.2:7007", Some("127.0.0.1"), true, &["192.0.2.1:9", own], false);
            check("127.0.0.1:7008", Some("127.0.0.1"), true, &[own], true);
        }
        check("192.0.2.1:7007", Some("192.0.2.1"), true, &["0.0.0.0:7007"], false);
        check("192.0.2.1:7007", None, true, &["192.0.2.1:7007"], false);
        // The same port on another machine is somebody else's.
        check("192.0.2.9:7007", Some("192.0.2.1"), true, &["0.0.0.0:7007"], true);
    }

    #[test]
    fn a_public_source_is_bounded_over_all_seats_and_a_loopback_one_by_its_port() {
        let public = |peer: &str| bound(&Config::default(), peer.parse().unwrap(), 8);
        assert_eq!(public("192.0.2.1:5000"), ("192.0.2.1:0".parse().unwrap(), Rate::PUBLIC, 8));
        assert_eq!(public("[::ffff:192.0.2.1]:5001"), public("192.0.2.1:5000"));
        assert_eq!(public("127.0.0.1:5000"), ("127.0.0.1:5000".parse().unwrap(), Rate::LOOPBACK, 1));
    }

    #[test]
    fn an_ipv6_host_is_one_source_whatever_its_interface_id() {
        assert_eq!(network("2001:db8::1".parse().unwrap()), network("2001:db8::ffff:2".parse().unwrap()));
        assert_ne!(network("2001:db8::1".parse().unwrap()), network("2001:db8:0:1::1".parse().unwrap()));
        assert_eq!(network("::ffff:192.0.2.1".parse().unwrap()), network("192.0.2.1".parse().unwrap()));
    }
}

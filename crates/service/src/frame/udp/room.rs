//! What is kept for the peers of a seat, and the share of it that one host may have: of the memory, and of the places.
//!
//! A host is an IPv4 address or a /64 of IPv6. It has at most an eighth of the places, and of the
//! memory at most an eighth of what the others leave of it. So one host leaves seven eighths, and each that joins it an eighth less of the
//! rest: there is room for a newcomer as long as there is any, and never more is kept than [`KEPT_SEAT_MAX`].

use crate::udp_echo::network;
use std::cell::Cell;
use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::net::IpAddr;
use std::rc::Rc;

/// Most bytes that are kept for all peers of a seat: frames, and the tables of their windows.
pub(super) const KEPT_SEAT_MAX: usize = 64 << 20;

/// One host has at most so large a part of the places, and of the memory that others leave.
pub(super) const HOST_PART: usize = 8;

/// The account of one seat.
#[derive(Debug, Default)]
pub(super) struct Room {
    kept: usize,
    hosts: HashMap<Name, Rc<Host>, BuildHasherDefault<std::hash::DefaultHasher>>,
}

/// One host that has peers here.
#[derive(Debug)]
pub(super) struct Host {
    name: Name,
    peers: Cell<usize>,
    kept: Cell<usize>,
}

/// The salt makes the places in the table unguessable.
type Name = (u64, IpAddr);

impl Room {
    /// A place for one more peer at this address, of `places` in all. `None` when its host has its part of them.
    pub(super) fn enter(&mut self, salt: u64, ip: IpAddr, places: usize) -> Option<Rc<Host>> {
        let name = (salt, network(ip));
        let taken = self.hosts.get(&name).map_or(0, |host| host.peers.get());
        if taken >= places.div_ceil(HOST_PART) {
            return None;
        }
        let new = || Rc::new(Host { name, peers: Cell::new(0), kept: Cell::new(0) });
        let host = self.hosts.entry(name).or_insert_with(new);
        host.peers.set(taken + 1);
        Some(host.clone())
    }

    /// A peer leaves, for whom so much is kept.
    pub(super) fn leave(&mut self, host: &Host, kept: usize) {
        self.count(host, kept, 0);
        host.peers.set(host.peers.get() - 1);
        if host.peers.get() == 0 {
            self.hosts.remove(&host.name);
        }
    }

    /// Whether so many more bytes may be kept for a host. What waits for its order may have only half of the share: so what it waits
    /// for still finds room.
    pub(super) fn has(&self, host: &Host, bytes: usize, waits: bool) -> bool {
        let share = KEPT_SEAT_MAX.saturating_sub(self.kept - host.kept.get()) / HOST_PART;
        host.kept.get() + bytes <= if waits { share / 2 } else { share }
    }

    /// What is kept for a peer of this host was `before` bytes, and is `now`.
    pub(super) fn count(&mut self, host: &Host, before: usize, now: usize) {
        self.kept = self.kept - before + now;
        host.kept.set(host.kept.get() - before + now);
    }

    /// Bytes that are kept.
    pub(super) const fn kept(&self) -> usize {
        self.kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(ip: &str) -> IpAddr {
        ip.parse().expect("an address")
    }

    #[test]
    fn a_host_is_an_address_of_ipv4_however_it_is_written_or_a_64_of_ipv6() {
        for (one, other, same) in [
            ("192.0.2.1", "::ffff:192.0.2.1", true),
            ("::ffff:192.0.2.1", "::ffff:192.0.2.2", false),
            ("2001:db8:1:2::1", "2001:db8:1:2:ffff::2", true),
            ("2001:db8:1:2::1", "2001:db8:1:3::1", false),
        ] {
            let mut room = Room::default();
            assert!(room.enter(1, ip(one), 8).is_some());
            assert_eq!(room.enter(1, ip(other), 8).is_none(), same, "{one} {other}");
        }
    }

    #[test]
    fn one_host_has_an_eighth_of_the_places_and_gives_them_back() {
        let mut room = Room::default();
        let places: Vec<_> = (0..2).map(|_| room.enter(1, ip("192.0.2.1"), 16).expect("a place")).collect();
        assert!(room.enter(1, ip("192.0.2.1"), 16).is_none());
        assert!(room.enter(1, ip("192.0.2.2"), 16).is_some(), "another has places of his own");
        places.iter().for_each(|host| room.leave(host, 0));
        assert!(room.enter(1, ip("192.0.2.1"), 16).is_some());
        assert_eq!(room.hosts.len(), 2);
    }

    #[test]
    fn whoever_fills_his_share_leaves_seven_eighths_and_all_together_never_pass_the_bound() {
        let mut room = Room::default();
        let hosts: Vec<_> =
            (0..60).map(|n| room.enter(1, IpAddr::from([192, 0, 2, n]), 1 << 16).expect("a place")).collect();
        for host in &hosts {
            let mut kept = 0;
            while room.has(host, 16_464, false) {
                room.count(host, kept, kept + 16_464);
                kept += 16_464;
            }
            assert!(!room.has(host, 16_464, true));
        }
        assert!(hosts[0].kept.get() > (8 << 20) - 20_000 && hosts[0].kept.get() <= 8 << 20);
        assert!(room.kept() <= KEPT_SEAT_MAX);
        // Twenty of them leave a newcomer hundreds of frames, sixty a few small ones.
        assert!(hosts[19].kept.get() > 500_000 && room.has(&room.hosts[&(1, ip("192.0.2.59"))], 0, false));
        for host in &hosts {
            room.leave(host, host.kept.get());
        }
        assert_eq!((room.kept(), room.hosts.len()), (0, 0));
    }
}

//! Relays that lead to each other: a connection would go round until no descriptor is left.
//!
//! Knows the listeners of one configuration. A circle over another process or machine cannot be seen from here; there
//! `--connections-max` is the bound.

use std::net::IpAddr;

use crate::url::{Kind, Url};
use linux::console::Failure;

/// Follows `to=` of every relay among `listen`. `is_ours` says whether this machine has an address, which is what decides
/// for listeners on every address. Errors: the relays of a circle, in their order.
pub(crate) fn check(listen: &[Url], is_ours: impl Fn(IpAddr) -> bool) -> Result<(), Failure> {
    let next = |url: &Url| match &url.kind {
        Kind::Relay(relay) => listen.iter().find(|other| other.takes(relay.to, &is_ours)),
        _ => None,
    };
    for first in listen {
        // A way that is longer than there are listeners runs in a circle that `first` only leads to: another one's way.
        let way = std::iter::successors(next(first), |url| next(url)).take(listen.len());
        let mut by = Vec::new();
        for url in way {
            if url == first {
                return Err(circle(first, &by));
            }
            by.push(url.to_string());
        }
    }
    Ok(())
}

fn circle(first: &Url, by: &[String]) -> Failure {
    let by = if by.is_empty() { String::new() } else { format!(" by way of {}", by.join(" and ")) };
    Failure::usage(format!("{first} leads to itself{by}")).cure("another address after `to=`")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// On a machine that has 10.0.0.1 and loopback.
    fn check(urls: &[&str], expected: Option<&str>) {
        let listen: Vec<Url> = urls.iter().map(|url| url.parse().expect("a literal URL")).collect();
        let is_ours = |ip: IpAddr| ip.is_loopback() || ip == IpAddr::from([10, 0, 0, 1]);
        match (super::check(&listen, is_ours), expected) {
            (Ok(()), None) => {}
            (Err(failure), Some(part)) => assert!(failure.to_string().contains(part), "{urls:?}: {failure}"),
            (found, _) => panic!("{urls:?}: {found:?}"),
        }
    }

    #[test]
    fn a_relay_that_leads_to_itself_is_refused_however_its_address_is_written() {
        for url in [
            "relay://127.0.0.1:80?to=127.0.0.1:80",
            "relay://127.0.0.1:80?to=[::ffff:127.0.0.1]:80",
            "relay://[::ffff:127.0.0.1]:80?to=127.0.0.1:80",
            "relay://*:80?to=127.0.0.1:80",
            "relay://*:80?to=[::1]:80",
            "relay://0.0.0.0:80?to=[::ffff:127.0.0.9]:80",
            "relay://*:80?to=10.0.0.1:80",
        ] {
            check(&[url], Some(&format!("{} leads to itself", url.replace('*', "[::]"))));
        }
    }

    #[test]
    fn a_circle_of_relays_is_refused_and_named() {
        let (a, b) = ("relay://127.0.0.1:1?to=127.0.0.1:2", "relay://*:2?to=[::ffff:127.0.0.1]:1");
        let b_said = b.replace('*', "[::]");
        check(&[a, b], Some(&format!("{a} leads to itself by way of {b_said}")));
        let three = ["relay://127.0.0.1:2?to=127.0.0.1:3", "relay://127.0.0.1:3?to=127.0.0.1:1"];
        check(
            &[a, three[0], three[1]],
            Some(&format!("{a} leads to itself by way of {} and {}", three[0], three[1])),
        );
        // The first one only leads to the circle.
        check(&["relay://127.0.0.1:9?to=127.0.0.1:1", a, &b_said], Some(&format!("{a} leads to itself by")));
    }

    #[test]
    fn relays_that_end_somewhere_may_stand_in_a_row() {
        check(
            &[
                "relay://127.0.0.1:1?to=127.0.0.1:2",
                "relay://127.0.0.1:2?to=127.0.0.1:3",
                "echo://127.0.0.1:3",
            ],
            None,
        );
        check(&["relay://*:5432?to=10.0.0.7:5432"], None);
        check(&["relay://[::]:80?to=127.0.0.1:80&v6only=true"], None);
        check(&["relay://127.0.0.1:80?to=127.0.0.2:80"], None);
        check(&["relay://127.0.0.1:0?to=127.0.0.1:80", "udp-echo://127.0.0.1:80"], None);
    }
}

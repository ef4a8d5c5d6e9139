//! Each rung of the ring's ladder serves alike: what an older kernel gives is a slower way, not another server.
//!
//! The rungs are those of `uring`; other engines have none.

use crate::echo::exchange;
use crate::notes;
use crate::server::{Engine, Recipe};
use crate::site_rig::noise;
use linux::ring::Tier;

const TIERS: [Tier; 3] = [Tier::Defer, Tier::DeferWithArray, Tier::Coop];

#[test]
fn notes_between_seats_arrive_on_every_rung() {
    TIERS.into_iter().for_each(|tier| notes::reach_the_other_seat(Engine::Uring, tier));
}

#[test]
fn echo_and_http_are_served_on_every_rung() {
    for tier in TIERS {
        let server = Recipe::new().plan(|plan| plan.highest_tier = tier).serve(Engine::Uring);
        let features = server.seats()[0].ring.as_ref().expect("this engine has a ring");
        assert!(features.tier <= tier, "{features:?}");
        assert!(
            features.missing.iter().all(|(name, why)| !name.is_empty() && !why.is_empty()),
            "{features:?}"
        );
        let mut client = server.echo();
        for bytes in [1, 4096, 100_000] {
            let message = noise(bytes as u64, bytes);
            (0..20)
                .for_each(|_| assert!(exchange(&mut client, &message) == message, "{tier}: {bytes} bytes"));
        }
        let mut site = server.site();
        for (request, body) in [
            ("GET /ping HTTP/1.1\r\nHost: x\r\n\r\n", "ok"),
            ("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello", "hello"),
        ] {
            assert_eq!(site.send(request).answer().text(), body, "{tier}");
        }
        assert_eq!(
            site.send("GET /bytes/1000000 HTTP/1.1\r\nHost: x\r\n\r\n").answer().body.len(),
            1_000_000
        );
        drop((client, site));
        assert_eq!(server.end().cq_overflows, 0, "{tier}");
    }
}

//! Each way of making a ring serves alike: what an older kernel gives, or an experiment leaves out, is another way and not
//! another server (docs/decisions/0008-ring-factors.md).
//!
//! The ways are those of `uring`; other engines have none. Other files give their tests to [`each`], by `on_every_ring!`.

use crate::echo::exchange;
use crate::notes;
use crate::server::{Engine, Recipe};
use crate::site_rig::noise;
use linux::ring::{self, Factors, RingError};
use std::cell::Cell;
use std::thread;

/// Every word alone, as far as it can be, and those together that touch the same thing.
const WAYS: [&str; 18] = [
    "default",
    "sqarray=on",
    "tier=coop",
    "tier=plain",
    "sqpoll=on,bundles=off",
    "ring-fd=off",
    "direct=off",
    "fixed=off",
    "bundles=off",
    "inc=on",
    "poll-first=off",
    "min-wait-us=50",
    "parked=on",
    // Less than may wait in a queue: connections are spread over all of the rings.
    "slots=4000",
    "parked=on,slots=4000",
    "bundles=off,inc=on",
    "sqpoll=on,direct=off,bundles=off,inc=on",
    "tier=plain,ring-fd=off,direct=off,fixed=off,bundles=off,poll-first=off",
];

thread_local! {
    /// How the servers of this test make their rings.
    static WAY: Cell<Factors> = const { Cell::new(Factors::BEST) };
}

/// How a server of this test is to make its rings.
pub(crate) fn way() -> Factors {
    WAY.get()
}

/// Runs a test on each way that this kernel has.
#[expect(clippy::print_stderr, reason = "a way that is left out is told, and where a test failed")]
pub(crate) fn each(test: fn(Engine)) {
    for words in WAYS {
        let factors: Factors = words.parse().expect(words);
        // In a thread of its own: the end of a ring may interrupt the thread that made it (a read with a timeout is not begun
        // again then, signal(7)), and the test is about to read.
        match thread::scope(|scope| scope.spawn(|| ring::probe(&factors)).join()).expect("no panic") {
            Ok(_) => {}
            Err(RingError::Factor { word, why }) => {
                eprintln!("skipped on this kernel: {words}: {word}: {why}");
                continue;
            }
            Err(error) => panic!("{error}"),
        }
        eprintln!("--ring {words}");
        WAY.set(factors);
        test(Engine::Uring);
    }
    WAY.set(Factors::BEST);
}

#[test]
fn notes_between_seats_arrive_on_every_ring() {
    each(notes::reach_the_other_seat);
}

#[test]
fn echo_and_http_are_served_on_every_ring() {
    each(|engine| {
        let server = Recipe::new().serve(engine);
        let ring = server.seats()[0].ring.as_ref().expect("this engine has a ring");
        assert!(way() == Factors::BEST || ring.tier == way().tier, "{ring:?}");
        assert!(ring.missing.iter().all(|(name, why)| !name.is_empty() && !why.is_empty()), "{ring:?}");
        let mut client = server.echo();
        for bytes in [1, 4096, 100_000] {
            let message = noise(bytes as u64, bytes);
            (0..20).for_each(|_| assert!(exchange(&mut client, &message) == message, "{bytes} bytes"));
        }
        let mut site = server.site();
        for (request, body) in [
            ("GET /ping HTTP/1.1\r\nHost: x\r\n\r\n", "ok"),
            ("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello", "hello"),
        ] {
            assert_eq!(site.send(request).answer().text(), body);
        }
        assert_eq!(
            site.send("GET /bytes/1000000 HTTP/1.1\r\nHost: x\r\n\r\n").answer().body.len(),
            1_000_000
        );
        drop((client, site));
        assert_eq!(server.end().cq_overflows, 0);
    });
}

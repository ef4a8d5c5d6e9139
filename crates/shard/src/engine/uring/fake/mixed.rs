//! Every bad luck at once, by seeds: what comes back on each stream is what was sent, and the end is clean.

use super::rig::{Rig, Setting};
use super::services::{Carrier, Echo, Noted};
use super::socket::Id;
use super::{Fake, Luck};
use crate::meter::Snapshot;
use crate::random::Random;
use crate::service::{LegError, Service};
use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

const SEEDS: u64 = 250;
const TURNS_MAX: u32 = 20_000;

#[test]
fn whatever_the_kernel_does_an_echo_gives_back_what_was_sent() {
    let met = each_seed(|seed| {
        let mut random = Random::new(seed);
        let setting = setting(seed, &mut random);
        run(Rig::new(Echo, setting), Crowd::new(random))
    });
    let seen = [
        met.enobufs,
        met.cq_overflows,
        met.short_sends,
        met.sends_reclaimed,
        met.zero_copy_used,
        met.zero_copy_copied,
        met.accepts_paused,
        met.accept_errors,
        met.aborted,
        met.parked,
        met.unparked,
    ];
    assert!(seen.iter().all(|n| *n > 0), "a kind of bad luck was never met: {met:?}");
}

#[test]
fn whatever_the_kernel_does_a_pipe_carries_all_both_ways() {
    each_seed(|seed| {
        let mut random = Random::new(seed);
        let to = "127.0.0.1:9".parse().unwrap();
        // A carried connection has two legs, and both count.
        let mut setting = Setting { connections_max: 30, ..setting(seed, &mut random) };
        if seed % 2 > 0 {
            (setting.luck.refused, setting.luck.unanswered) = (0.2, 0.2);
        }
        let failures = Noted::default();
        let crowd = Crowd { failures: failures.clone(), ..Crowd::new(random) };
        run(Rig::new(Carrier { to, failures }, setting), crowd)
    });
}

/// Runs each seed, names the one that failed, and adds up what they met.
fn each_seed(run: impl Fn(u64) -> Snapshot) -> Snapshot {
    let mut met = Snapshot::default();
    for seed in 0..SEEDS {
        match catch_unwind(AssertUnwindSafe(|| run(seed))) {
            Ok(of_one) => met += of_one,
            Err(panic) => {
                #[expect(clippy::print_stderr, reason = "whoever looks after the failure needs the seed")]
                {
                    eprintln!("seed {seed} failed");
                }
                resume_unwind(panic);
            }
        }
    }
    met
}

fn setting(seed: u64, random: &mut Random) -> Setting {
    Setting {
        seed,
        luck: Luck { only_polls: seed % 5 == 4, ..Luck::bad(random) },
        buffers: 2 << random.below(4),
        connections_max: 2 + random.below(8) as usize,
        crowd: [0, 4, 40][random.below(3) as usize],
        slots: 24,
        out_max: 1 << (10 + random.below(5)),
        zero_copy_bytes: random.chance(0.5).then_some(256),
        late: random.chance(0.3),
        listeners: 1,
        // By the seed and not by luck, which older seeds know without them.
        turn_sends: if seed.is_multiple_of(3) { 1 + (seed % 4) as u32 } else { u32::MAX },
        stamps: seed.is_multiple_of(2),
        // The same: some park soon, some have nothing but polls.
        park_ms: [0, 1, 20][(seed / 4 % 3) as usize],
    }
}

/// The clients of one run.
struct Crowd {
    random: Random,
    clients: Vec<Client>,
    /// How it ends: after all have finished, or by a drain or an abort amid them.
    cut: Option<Cut>,
    /// Why upstreams did not come about, or broke: then their clients are cut short.
    failures: Noted<LegError>,
}

#[derive(Clone, Copy)]
enum Cut {
    Drain,
    Abort,
}

struct Client {
    id: Id,
    bytes: Vec<u8>,
    said: usize,
    /// Goes away without a word once so much was said.
    resets_at: Option<usize>,
}

impl Crowd {
    fn new(mut random: Random) -> Crowd {
        let cut = match random.below(4) {
            0 => Some(Cut::Drain),
            1 => Some(Cut::Abort),
            _ => None,
        };
        Crowd { random, clients: Vec::new(), cut, failures: Noted::default() }
    }

    fn arrive(&mut self, ring: &mut Fake) {
        let random = &mut self.random;
        let id = ring.arrive(200 + random.below(3000) as usize);
        let len = random.below(12_000) as usize;
        let bytes = (0..len).map(|_| random.next() as u8).collect();
        let resets_at = random.chance(0.15).then(|| random.below(len as u64 + 1) as usize);
        self.clients.push(Client { id, bytes, said: 0, resets_at });
    }

    /// Each far end does something, or not.
    fn act(&mut self, ring: &mut Fake) {
        let mut ours = HashSet::new();
        for client in &mut self.clients {
            ours.insert(format!("{:?}", client.id));
            let (random, socket) = (&mut self.random, ring.socket(client.id));
            if socket.peer_reset || socket.was_reset {
                continue;
            }
            if random.chance(0.6) {
                let n = (client.bytes.len() - client.said).min(random.below(4000) as usize);
                socket.arriving.extend(&client.bytes[client.said..client.said + n]);
                client.said += n;
            }
            if random.chance(0.5) {
                socket.read(random.below(4000) as usize);
            }
            if client.resets_at.is_some_and(|at| client.said >= at) {
                socket.reset();
            } else if socket.heard.len() == client.bytes.len() && random.chance(0.5) {
                socket.peer_finished = true;
            }
        }
        // The others are upstreams: they echo too.
        for id in ring.sockets.ids().filter(|id| !ours.contains(&format!("{id:?}"))) {
            let n = self.random.below(3000) as usize;
            let socket = ring.socket(id);
            let before = socket.heard.len();
            socket.read(n);
            let heard = socket.heard[before..].to_vec();
            socket.arriving.extend(heard);
        }
    }

    fn is_over(&self, ring: &mut Fake) -> bool {
        self.clients.iter().all(|client| {
            let socket = ring.socket(client.id);
            socket.peer_reset || socket.is_closed()
        })
    }

    fn judge(&self, ring: &mut Fake) {
        let upstream_failed = |why: &LegError| matches!(why, LegError::Refused | LegError::Timeout);
        let all = self.cut.is_none() && !self.failures.borrow().iter().any(upstream_failed);
        for client in &self.clients {
            let socket = ring.socket(client.id);
            let heard = &socket.heard[..];
            assert!(client.bytes.starts_with(heard), "{:?} heard what it never said", client.id);
            let whole = all && !socket.peer_reset;
            assert!(!whole || heard.len() == client.bytes.len(), "{:?} lost the end", client.id);
        }
    }
}

fn run<S: Service>(mut rig: Rig<S>, mut crowd: Crowd) -> Snapshot {
    let cut_at = crowd.random.below(60) as u32;
    let mut turn = 0;
    loop {
        turn += 1;
        assert!(turn < TURNS_MAX, "clients hang: {:?}", rig.meter());
        if crowd.clients.len() < 12 && crowd.random.chance(0.4) {
            crowd.arrive(rig.ring());
        }
        crowd.act(rig.ring());
        rig.ring().signalled |= crowd.random.chance(0.1);
        let ns = crowd.random.below(20_000_000);
        rig.turn_after(ns);
        match crowd.cut.filter(|_| turn == cut_at) {
            Some(Cut::Drain) => break rig.control.drain(),
            Some(Cut::Abort) => break rig.control.abort(),
            None if crowd.clients.len() == 12 && crowd.is_over(rig.ring()) => break rig.control.drain(),
            None => {}
        }
    }
    rig.end();
    crowd.judge(rig.ring());
    rig.meter()
}

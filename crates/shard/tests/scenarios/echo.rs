//! Echo: what a client sends comes back, whatever the network does, and a drain loses nothing that was begun.

use shard::engine::sim::{Faults, Mirror, Run, Sim, plan};
use shard::plan::Plan;
use shard::random::Random;
use shard::{End, Event, Io, Leg, ListenerId, Next, Origin, Service};
use std::time::Duration;

/// Sends back what comes.
struct Echo;

impl Service for Echo {
    type Session = Option<Leg>;
    type Note = ();
    const INPUT_MAX: usize = 4096;

    fn open(&mut self, origin: Origin, _: &mut Io<'_, Self>) -> Option<Leg> {
        match origin {
            Origin::Accepted(leg, _) => Some(leg),
            Origin::Root => None,
        }
    }

    fn on(&mut self, leg: &mut Option<Leg>, event: Event<'_, Self>, io: &mut Io<'_, Self>) -> Next {
        match event {
            Event::Bytes(leg, mut input) => {
                let out = io.out(leg);
                while !input.is_empty() && out.reserve(1) {
                    if let Some(chunk) = input.take(out.room()) {
                        out.push(chunk).expect("there is room for it");
                    }
                }
                Next::Stay
            }
            Event::Eof(_) | Event::Failed(..) => Next::Close,
            // A client that is not done ends by itself or at the deadline.
            Event::Drain(_) if leg.is_none() => Next::Close,
            _ => Next::Stay,
        }
    }

    fn end(&mut self, _: Option<Leg>, _: End) {}
}

pub(super) fn run(seed: u64) -> Run {
    let mut random = Random::new(seed);
    let seats = 1 + random.below(3) as u16;
    let out_max = 64 << random.below(8);
    let plan = Plan { out_max, ..plan(seats) };
    let mut sim = Sim::new(seed).faults(Faults::mixed(seed)).plan(plan);
    for client in 0..1 + random.below(8) {
        // Small outputs mean many sends.
        let bytes = random.below(2000 + 8 * out_max as u64);
        let ahead = 1 + random.below(20_000);
        let at = Duration::from_micros(random.below(3000));
        sim = sim.client_at(at, ListenerId(0), Mirror::new(seed ^ client << 32, bytes, ahead));
    }
    if random.chance(0.2) {
        sim = sim.drain_at(Duration::from_millis(random.below(100)));
    }
    sim.run(|_| Echo)
}

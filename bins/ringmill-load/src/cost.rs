//! What the measured time cost the generator, and where it ran: differences of what the meters and the kernel count.

use linux::machine::{Counters, Machine};
use shard::meter::{Board, Snapshot};
use shard::plan::{Running, SeatInfo};
use stats::outcome::{Change, Cost, Environment};

/// The meters of all seats, and the kernel's counters, at one moment.
#[derive(Debug)]
pub(crate) struct Reading {
    seats: Vec<Snapshot>,
    kernel: Counters,
}

impl Reading {
    /// Now.
    pub(crate) fn take(board: &Board) -> Reading {
        let seats = (0..board.seats()).map(|seat| board.snapshot(seat)).collect();
        Reading { seats, kernel: Counters::now() }
    }

    /// What the kernel counted from `self` to `end`.
    pub(crate) fn changes(&self, end: &Reading) -> Vec<(String, i64)> {
        end.kernel.since(&self.kernel)
    }

    /// What was spent from `self` to `end`, which lies `ns` later.
    pub(crate) fn cost(&self, end: &Reading, ns: u64, seats: &[SeatInfo]) -> Cost {
        let between = |field: fn(&Snapshot) -> u64| {
            self.seats.iter().zip(&end.seats).map(move |(begin, end)| field(end).saturating_sub(field(begin)))
        };
        let spun = between(|seat| seat.spun_ns);
        // The meter's busy time has what was spun in it.
        let worked: Vec<u64> =
            between(|seat| seat.busy_ns).zip(spun).map(|(busy, spun)| busy.saturating_sub(spun)).collect();
        let most = worked.iter().copied().max().unwrap_or(0);
        Cost {
            cores: seats.iter().map(|seat| seat.core.map(|core| core as u64)).collect(),
            cpu_ns: worked.iter().sum(),
            spun_ns: between(|seat| seat.spun_ns).sum(),
            busy_max: (most as f64 / ns.max(1) as f64).min(1.0),
            enters: Some(between(|seat| seat.enters).sum()),
        }
    }
}

/// Where the load of `running` runs, and what else the kernel counted meanwhile.
pub(crate) fn environment(running: &Running, changes: Vec<(String, i64)>) -> Environment {
    let Machine { kernel, cpu_model, cpus, mitigations, clocksource, governor, .. } = Machine::read();
    Environment {
        kernel,
        cpu_model,
        cpus: cpus as u64,
        mitigations,
        clocksource,
        governor,
        ring_tier: running
            .seats()
            .first()
            .and_then(|seat| seat.ring.as_ref())
            .map_or(String::new(), |ring| ring.tier.to_string()),
        command_line: std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect(),
        program: concat!("ringmill-load ", env!("CARGO_PKG_VERSION")).into(),
        changes: changes.into_iter().map(|(name, by)| Change { name, by }).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_spun_is_no_work_and_the_busiest_seat_is_told_of() {
        let seat = |busy_ns, spun_ns, enters| Snapshot { busy_ns, spun_ns, enters, ..Snapshot::default() };
        let reading = |seats| Reading { seats, kernel: Counters::now() };
        let begin = reading(vec![seat(100, 50, 7), seat(0, 0, 0)]);
        let end = reading(vec![seat(1_000, 450, 10), seat(900, 100, 1)]);
        let cost = begin.cost(&end, 1_000, &[]);
        assert_eq!((cost.cpu_ns, cost.spun_ns, cost.enters), (500 + 800, 400 + 100, Some(4)));
        assert_eq!(cost.busy_max, 0.8);
    }
}

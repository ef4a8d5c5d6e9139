//! Steps of all seats put together: a step is told of when every seat has given its part.

use std::collections::BTreeMap;

use stats::interval::Interval;

/// The steps that some seats have told of and others have not.
#[derive(Debug)]
pub(crate) struct Steps {
    seats: u16,
    /// By their begin: the sum, and how many seats are in it.
    open: BTreeMap<u64, (Interval, u16)>,
    /// Empty ones.
    spare: Vec<Interval>,
}

impl Steps {
    /// Of so many seats.
    pub(crate) fn new(seats: u16) -> Steps {
        Steps { seats, open: BTreeMap::new(), spare: Vec::new() }
    }

    /// Adds the part of one seat, and gives `each` the step if that was the last. Steps of one seat come in order, so those of all
    /// become whole in order.
    pub(crate) fn add(&mut self, part: &Interval, mut each: impl FnMut(&Interval)) {
        let spare = &mut self.spare;
        let fresh = || (spare.pop().unwrap_or_default(), 0);
        let (sum, parts) = self.open.entry(part.from_ns).or_insert_with(fresh);
        sum.join(part);
        *parts += 1;
        if *parts == self.seats {
            let (mut sum, _) = self.open.remove(&part.from_ns).expect("it was found above");
            each(&sum);
            sum.clear();
            self.spare.push(sum);
        }
    }

    /// Gives `each` what is left, in order: steps of a load that ended early, which not every seat came to.
    pub(crate) fn finish(self, mut each: impl FnMut(&Interval)) {
        self.open.values().for_each(|(sum, _)| each(sum));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(from_ns: u64, answered: u64) -> Interval {
        let mut part = Interval { from_ns, to_ns: from_ns + 10, ..Interval::new() };
        part.counts.answered = answered;
        part
    }

    #[test]
    fn a_step_is_told_of_once_every_seat_is_in_it() {
        let mut steps = Steps::new(2);
        let mut told = Vec::new();
        let mut note = |step: &Interval| told.push((step.from_ns, step.to_ns, step.counts.answered));
        steps.add(&part(0, 1), &mut note);
        steps.add(&part(10, 2), &mut note);
        steps.add(&part(0, 4), &mut note);
        steps.add(&part(10, 8), &mut note);
        steps.add(&part(30, 16), &mut note);
        steps.add(&part(20, 32), &mut note);
        assert_eq!(told, [(0, 10, 5), (10, 20, 10)]);
        steps.finish(|step| told.push((step.from_ns, step.to_ns, step.counts.answered)));
        assert_eq!(told[2..], [(20, 30, 32), (30, 40, 16)]);
    }
}

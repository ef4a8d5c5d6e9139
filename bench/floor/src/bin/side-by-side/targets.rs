//! What Ringmill is to reach beside its peers, held against a run: reached, a tie, or lost. Nothing that is lost is left out.
//!
//! Never looks at anything but ratios of one round. A measured ratio within 3 % of what was to reach is a tie.

use serde_json::{Value, json};

use crate::Outcome;
use crate::figures::{Column, Measure, Ratio};
use crate::plan::{OURS, Plan};
use crate::table;

/// One line of the table.
struct Target {
    case: &'static str,
    measure: Measure,
    /// The contender whose ratio it is.
    whose: &'static str,
    against: Against,
    /// At least this where more is better, at most this where less is.
    bound: f64,
}

/// Whom the ratio is to.
enum Against {
    One(&'static str),
    /// The best of some by its median.
    BestOf(&'static [&'static str]),
    /// The best of everybody else who is a server, floors left out.
    Best,
}

/// Not servers: loops that answer anything.
const FLOORS: &[&str] =
    &["ring-bundle", "ring-small", "ring-large", "ring-inc", "epoll-echo", "ring-http", "epoll-http"];

const fn target(case: &'static str, measure: Measure, against: Against, bound: f64) -> Target {
    Target { case, measure, whose: OURS, against, bound }
}

use Against::{Best, BestOf, One};
use Measure::{CpuNs, MemoryEach, MemoryMany, P50, P99, P999, Rate};

const TARGETS: &[Target] = &[
    target("echo-64b-64c", Rate, BestOf(FLOORS), 1.0),
    target("echo-64b-64c", CpuNs, One("tokio"), 1.0),
    target("echo-64b-64c", Rate, One("glommio"), 1.15),
    target("echo-64b-64c", Rate, Best, 1.0),
    target("echo-16k-64c", Rate, BestOf(FLOORS), 1.0),
    target("echo-16k-64c", Rate, Best, 1.0),
    target("echo-16k-64c", Rate, One("tokio"), 1.05),
    target("http-64c", Rate, One("may_minihttp"), 1.12),
    target("http-64c", Rate, One("hyper"), 1.12),
    target("http-64c", Rate, One("nginx"), 1.25),
    target("http-64c", Rate, One("actix"), 1.25),
    target("http-64c", Rate, One("fasthttp"), 1.45),
    target("http-64c", Rate, One("go net/http"), 2.1),
    target("http-64c", Rate, Best, 1.0),
    target("http-400c", Rate, One("may_minihttp"), 1.12),
    target("http-400c", Rate, One("hyper"), 1.12),
    target("http-400c", Rate, One("nginx"), 1.25),
    target("http-400c", Rate, One("actix"), 1.25),
    target("http-400c", Rate, One("fasthttp"), 1.45),
    target("http-400c", Rate, One("go net/http"), 2.1),
    target("http-400c", Rate, Best, 1.0),
    target("http-64c-depth16", Rate, One("may_minihttp"), 1.12),
    target("http-64c-depth16", Rate, One("hyper"), 1.8),
    target("http-64c-depth16", Rate, One("fasthttp"), 2.0),
    target("http-64c-depth16", Rate, One("nginx"), 13.0),
    target("http-64c-depth16", Rate, Best, 1.0),
    target("http-64c-churn10", Rate, Best, 1.0),
    // The generator's core may be the limit of all that are fast.
    target("http-64c-churn10", CpuNs, Best, 1.0),
    target("http-64c-open", P99, Best, 1.0),
    target("http-64c-open", P999, Best, 1.0),
    target("echo-64b-1c", P50, Best, 0.5),
    target("http-1c", P50, Best, 0.5),
    target("http-idle", MemoryEach, One("nginx"), 0.5),
    target("http-idle", MemoryEach, One("hyper"), 0.02),
    target("http-idle", MemoryMany, One("nginx"), 1.0),
    Target { whose: "ringmill-epoll", ..target("echo-64b-64c", Rate, One("epoll-echo"), 0.95) },
    Target { whose: "ringmill-epoll", ..target("http-64c", Rate, One("epoll-http"), 0.95) },
];

/// A target with what was measured.
pub struct Line {
    pub case: &'static str,
    /// `messages/s of hyper: at least 1.12`.
    pub wanted: String,
    pub measured: Option<Ratio>,
    pub verdict: Verdict,
    bound: f64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    Won,
    Tie,
    Lost,
    /// One of the two was absent, or failed in every round.
    NotMeasured,
}

impl Verdict {
    /// A ratio beside what it was to be.
    fn of(measured: f64, bound: f64, more_is_better: bool) -> Self {
        let excess = if more_is_better { measured / bound } else { bound / measured };
        match excess {
            tie if (1.0 / TIE..=TIE).contains(&tie) => Self::Tie,
            won if won > 1.0 => Self::Won,
            _ => Self::Lost,
        }
    }

    pub fn word(self) -> &'static str {
        match self {
            Self::Won => "won",
            Self::Tie => "tie",
            Self::Lost => "lost",
            Self::NotMeasured => "not measured",
        }
    }
}

/// Differences under 3 % are none.
const TIE: f64 = 1.03;

/// Whether it is a loop to be held against, and no server.
pub fn is_floor(name: &str) -> bool {
    FLOORS.contains(&name)
}

/// All targets of the cases that were run.
pub fn lines(plan: &Plan, outcome: &Outcome) -> Vec<Line> {
    let held = |target: &Target| {
        let at = plan.cases.iter().position(|case| case.name == target.case)?;
        Some(hold(target, &outcome.tables[at]))
    };
    TARGETS.iter().filter_map(held).collect()
}

fn hold(target: &Target, columns: &[Column]) -> Line {
    let Target { case, measure, whose, ref against, bound } = *target;
    let named = |name: &str| columns.iter().find(|column| column.contender.name == name);
    let better = measure.more_is_better();
    let median = |column: &&Column| column.over(|run| measure.of(run)).map(|range| range.median);
    let best = |takes_part: &dyn Fn(&str) -> bool| {
        let some =
            columns.iter().filter(|column| takes_part(&column.contender.name) && median(column).is_some());
        some.max_by(|a, b| {
            let order = median(a).partial_cmp(&median(b)).unwrap_or(std::cmp::Ordering::Equal);
            if better { order } else { order.reverse() }
        })
    };
    let is_peer = |name: &str| !name.starts_with(OURS) && !is_floor(name);
    let (other, whom) = match *against {
        One(name) => (named(name), name.to_string()),
        BestOf(names) => (best(&|name| names.contains(&name)), "the best floor".to_string()),
        Best => (best(&is_peer), "the best peer".to_string()),
    };
    let whom = match other {
        Some(other) if other.contender.name != whom => format!("{whom} ({})", other.contender.name),
        _ => whom,
    };
    let measured = named(whose).and_then(|ours| ours.against(other, |run| measure.of(run)));
    let verdict = |ratio: Ratio| Verdict::of(ratio.range.median, bound, better);
    let limit = if better { "at least" } else { "at most" };
    let subject = if whose == OURS { String::new() } else { format!("{whose}: ") };
    Line {
        case,
        wanted: format!("{subject}{} {limit} {bound} of {whom}", measure.name()),
        measured,
        verdict: measured.map_or(Verdict::NotMeasured, verdict),
        bound,
    }
}

/// The table for people.
pub fn markdown(lines: &[Line]) -> String {
    let mut text = "## What was to reach\n\nRatios are Ringmill's over the other's of the same round. Within 3 % of what was to reach is a \
                    tie.\n\n| case | to reach | measured | |\n|---|---|---|---|\n"
        .to_string();
    for line in lines {
        let measured = table::ratio(line.measured);
        text.push_str(&format!(
            "| {} | {} | {measured} | {} |\n",
            line.case,
            line.wanted,
            line.verdict.word()
        ));
    }
    text
}

/// The same for programs.
pub fn json(lines: &[Line]) -> Value {
    let line = |line: &Line| {
        json!({
            "case": line.case,
            "wanted": line.wanted,
            "bound": line.bound,
            "measured": line.measured.map_or(Value::Null, Ratio::json),
            "verdict": line.verdict.word(),
        })
    };
    lines.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cases::{CASES, Suite};
    use crate::contenders::known;

    #[test]
    fn a_difference_under_three_per_cent_is_a_tie_on_both_sides() {
        for (measured, bound, more_is_better, verdict) in [
            (1.0, 1.0, true, Verdict::Tie),
            (1.029, 1.0, true, Verdict::Tie),
            (0.972, 1.0, true, Verdict::Tie),
            (1.031, 1.0, true, Verdict::Won),
            (0.969, 1.0, true, Verdict::Lost),
            (1.2, 1.12, true, Verdict::Won),
            (1.031, 1.0, false, Verdict::Lost),
            (0.4, 0.5, false, Verdict::Won),
            (0.505, 0.5, false, Verdict::Tie),
        ] {
            assert_eq!(Verdict::of(measured, bound, more_is_better), verdict, "{measured} beside {bound}");
        }
    }

    #[test]
    fn every_target_names_a_case_and_contenders_that_take_part_in_it() {
        let known = known();
        for target in TARGETS {
            let case = CASES.iter().find(|case| case.suite == Suite::Peers && case.name == target.case);
            let case = case.unwrap_or_else(|| panic!("there is no case {}", target.case));
            let there = |name: &str| known.iter().any(|one| one.name == name && one.takes_part(case));
            assert!(there(target.whose), "{} sits {} out", target.whose, case.name);
            match target.against {
                One(name) => assert!(there(name), "{name} sits {} out", case.name),
                BestOf(names) => {
                    assert!(names.iter().any(|name| there(name)), "nobody of {names:?} in {}", case.name)
                }
                Best => {}
            }
        }
    }
}

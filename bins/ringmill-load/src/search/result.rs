//! The result of a search: that of one run, with the search in it, and a verdict on both.
//!
//! Pure. The run is the one that [`drive`](super::drive) chose: it shows what the server is like at the rate that was found.

use stats::outcome::{self, Command, Outcome, State, Verdict};
use stats::search::Search;
use stats::text;

use super::args::What;
use super::drive::{Ended, Found};

/// What is shown and written, with `seed` as that of the search. Beside it, why the search ended where that is no more than a remark.
pub(super) fn of(
    search: &Search,
    what: &What,
    found: Found<Outcome>,
    seed: u64,
) -> (Outcome, Option<String>) {
    let mut searched = search.outcome(&what.slo.typed);
    let (word, state, why) = end(found.ended, what, &searched);
    searched.ended = word.to_owned();
    let mut outcome = found.run;
    outcome.command = Command::Search;
    outcome.asked.seed = seed;
    outcome.search = Some(searched);
    outcome.verdict = verdict(state, why.as_deref(), outcome.verdict);
    (outcome, why.filter(|_| state == State::Valid))
}

/// The word for an end, what it makes of the result, and why, in a sentence without its begin.
fn end(ended: Ended, what: &What, search: &outcome::Search) -> (&'static str, State, Option<String>) {
    let slo = &what.slo.typed;
    let rate = |point: Option<&outcome::SearchPoint>| {
        point.map_or("no rate".to_owned(), |point| text::rate(point.rate_per_s))
    };
    let (lowest, highest) = (rate(search.points.first()), rate(search.points.last()));
    match ended {
        Ended::Found => ("found", State::Valid, None),
        Ended::Ceiling => {
            let why = format!("{highest}, the highest rate allowed, keeps {slo}: raise --max-rate for more");
            ("ceiling", State::Valid, Some(why))
        }
        Ended::Floor => {
            let why = format!("{lowest}, the lowest rate allowed, does not keep {slo}");
            ("floor", State::Invalid, Some(why))
        }
        Ended::Budget => {
            let budget = text::duration(what.budget.as_nanos() as f64);
            ("budget", State::Degraded, Some(format!("--budget {budget} is used up: {}", known(search))))
        }
        Ended::Interrupted => {
            ("interrupted", State::Degraded, Some(format!("it was told to end: {}", known(search))))
        }
        Ended::Failed(failure) => {
            let why = format!("{}; the next run failed: {failure}", known(search));
            ("interrupted", State::Degraded, Some(why))
        }
        Ended::Generator(per_s, blame) => {
            let why = format!(
                "the generator is the limit at {} ({blame}): {}; give it cores that the server does not have",
                text::rate(per_s),
                known(search)
            );
            ("generator", State::Degraded, Some(why))
        }
    }
}

/// What is known of a search that did not come to its end.
fn known(search: &outcome::Search) -> String {
    let Some(per_s) = search.rate_per_s else { return "no rate is accepted so far".to_owned() };
    let accepted = format!("{} is accepted", text::rate(per_s));
    match search.points.iter().find(|point| point.rate_per_s > per_s && !point.accepted) {
        Some(point) => format!("{accepted}, {} is not", text::rate(point.rate_per_s)),
        None => format!("{accepted}, and no higher rate was tried"),
    }
}

/// The verdict on a search that is worth `state`, of which the run has its own.
fn verdict(state: State, why: Option<&str>, of_run: Verdict) -> Verdict {
    let ended = why.filter(|_| state > State::Valid).map(|why| format!("search: {why}"));
    // The quantiles that were promised were carried, or the run would not have kept the promise.
    let of_run: Vec<String> =
        of_run.reasons.into_iter().filter(|reason| !reason.starts_with("samples:")).collect();
    // A run that kept the promise did so in spite of what speaks against it, which is no more than a reservation here.
    let least = if of_run.is_empty() { State::Valid } else { State::Degraded };
    Verdict { state: state.max(least), reasons: ended.into_iter().chain(of_run).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::search::slo::{self, tests::ran};
    use stats::search::{Options, Run};
    use std::time::Duration;

    /// A search from 1k/s of runs that went so, which `ended`.
    fn result(runs: &[bool], ended: Ended, of_run: &[&str]) -> (Outcome, Option<String>) {
        let mut search = Search::new(Options::new(2_000_000, 1_000.0));
        for kept in runs {
            search.record(Run { kept: *kept, quantile_ns: Some(1_000_000), achieved_per_s: 1.0 });
        }
        let what = What {
            slo: slo::slo("p99<2ms").expect("a promise"),
            start: None,
            min_rate: None,
            max_rate: None,
            precision: 0.03,
            budget: Duration::from_secs(60),
        };
        let mut run = ran(1_000_000, 0, 0, 0.2);
        let reasons = of_run.iter().map(|reason| (*reason).to_owned()).collect();
        run.verdict = Verdict { state: State::Invalid, reasons };
        of(&search, &what, Found { ended, run }, 7)
    }

    #[test]
    fn each_end_has_its_word_its_exit_code_and_its_reason() {
        let check = |runs: &[bool], ended: Ended, word: &str, code: u8, part: &str| {
            let (outcome, remark) = result(runs, ended, &[]);
            assert_eq!(
                (outcome.search.expect("a search").ended.as_str(), outcome.verdict.state.exit_code()),
                (word, code)
            );
            let reasons = outcome.verdict.reasons.concat() + &remark.unwrap_or_default();
            assert!(reasons.contains(part) && reasons.is_empty() == part.is_empty(), "{word}: {reasons}");
        };
        let (yes, no) = ([true; 3], [false; 3]);
        check(&yes, Ended::Found, "found", 0, "");
        check(&yes, Ended::Ceiling, "ceiling", 0, "1k/s, the highest rate allowed, keeps p99<2ms");
        check(&no, Ended::Floor, "floor", 4, "search: 1k/s, the lowest rate allowed, does not keep");
        check(&yes, Ended::Budget, "budget", 3, "60 s is used up: 1k/s is accepted, and no higher rate");
        let both = [true, true, true, false];
        check(&both, Ended::Interrupted, "interrupted", 3, "told to end: 1k/s is accepted, 1.5k/s is not");
        check(
            &no,
            Ended::Failed("gone.".into()),
            "interrupted",
            3,
            "no rate is accepted so far; the next run failed: gone",
        );
        let generator = Ended::Generator(1_500.0, "busy".into());
        check(
            &yes,
            generator,
            "generator",
            3,
            "the generator is the limit at 1.5k/s (busy): 1k/s is accepted",
        );
    }

    #[test]
    fn what_speaks_against_the_run_is_a_reservation_unless_it_is_a_quantile_that_nobody_promised() {
        let (outcome, _) = result(&[true; 3], Ended::Found, &["samples: 50 carry no p99", "gaps: 0.1"]);
        assert_eq!(outcome.verdict, Verdict { state: State::Degraded, reasons: vec!["gaps: 0.1".into()] });
        let (outcome, _) = result(&[true; 3], Ended::Found, &["samples: 50 carry no p99"]);
        assert_eq!(outcome.verdict, Verdict { state: State::Valid, reasons: Vec::new() });
        assert_eq!((outcome.command, outcome.asked.seed), (Command::Search, 7));
    }
}

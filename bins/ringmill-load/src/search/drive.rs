//! The course of a search: asks the machine of `stats::search` which rate is next, has it run, and tells it what came of that.
//!
//! Runs nothing itself and reads no clock: a [`Bench`] does, which in a test is a closure. Ends when the machine does, or earlier, when
//! the time is used up, the user wants no more, the generator is the limit, or a run could not be made.

use std::time::Duration;

use linux::console::Failure;
use stats::search::{self, Run, Step};
use stats::text;

use super::slo::Answer;

/// What can run a load.
pub(crate) trait Bench {
    /// All that a run leaves.
    type Trace;

    /// One run at this rate. Errors: it could not be made.
    fn run(&mut self, per_s: f64) -> Result<Ran<Self::Trace>, Failure>;

    /// How long a run at this rate takes, at least.
    fn time(&self, per_s: f64) -> Duration;

    /// The time that is left for all runs.
    fn left(&self) -> Duration;

    /// Whether the user wants no more.
    fn is_told_to_end(&self) -> bool;

    /// Says something to the user.
    fn say(&mut self, line: &str);
}

/// One run.
#[derive(Clone, Debug)]
pub(crate) struct Ran<T> {
    /// What it says to the promise.
    pub(crate) answer: Answer,
    /// The quantile of the promise, where its samples carry it.
    pub(crate) quantile_ns: Option<u64>,
    /// Requests a second that were answered.
    pub(crate) achieved_per_s: f64,
    /// What else it left.
    pub(crate) trace: T,
}

/// Why a search ended.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Ended {
    /// The bracket is narrow enough.
    Found,
    /// The highest rate holds.
    Ceiling,
    /// The lowest does not.
    Floor,
    /// The time is used up.
    Budget,
    /// The user wanted no more.
    Interrupted,
    /// This rate was too much for the generator, for this reason.
    Generator(f64, String),
    /// A run could not be made, for this reason.
    Failed(String),
}

/// What a search left.
#[derive(Debug)]
pub(crate) struct Found<T> {
    /// Why it ended.
    pub(crate) ended: Ended,
    /// Of the runs that kept the promise at the highest accepted rate the one whose quantile is in the middle; where none is
    /// accepted, the last run.
    pub(crate) run: T,
}

/// Searches to the end. Errors: the first run could not be made, or none was, for want of time or by the user's word.
pub(crate) fn drive<B: Bench>(
    search: &mut search::Search,
    bench: &mut B,
) -> Result<Found<B::Trace>, Failure> {
    let mut best: Option<B::Trace> = None;
    let mut last: Option<B::Trace> = None;
    // Of the rate that is tried.
    let mut kept: Vec<(u64, B::Trace)> = Vec::new();
    let (mut runs, mut voids) = (0, 0);
    let ended = loop {
        let per_s = match search.step() {
            Step::Done(ended) => break of(ended),
            Step::Try { rate_per_s } => rate_per_s,
        };
        if bench.is_told_to_end() {
            break Ended::Interrupted;
        }
        let (left, need) = (bench.left(), bench.time(per_s));
        let is_first = best.is_none() && last.is_none() && kept.is_empty();
        if left < need && is_first {
            let [left, need] = [left, need].map(|time| text::duration(time.as_nanos() as f64));
            let what = format!("the first run, at {}, takes {need}, and {left} are left", text::rate(per_s));
            return Err(Failure::usage(what).cure("a longer `--budget`, or another promise"));
        }
        if left < need {
            break Ended::Budget;
        }
        let came = bench.run(per_s);
        // A run that was cut short says nothing, and neither does its failure.
        if bench.is_told_to_end() {
            break Ended::Interrupted;
        }
        let ran = match came {
            Ok(ran) => ran,
            Err(failure) if is_first => return Err(failure),
            Err(failure) => break Ended::Failed(failure.to_string()),
        };
        bench.say(&line(per_s, &ran));
        if let Answer::Void(why) = ran.answer {
            last = Some(ran.trace);
            voids += 1;
            if voids == VOIDS_MAX {
                break Ended::Generator(per_s, why);
            }
            continue;
        }
        let is_kept = ran.answer == Answer::Kept;
        runs += 1;
        search.record(Run {
            kept: is_kept,
            quantile_ns: ran.quantile_ns,
            achieved_per_s: ran.achieved_per_s,
        });
        match ran.quantile_ns {
            Some(ns) if is_kept => kept.push((ns, ran.trace)),
            _ => last = Some(ran.trace),
        }
        if search.step() == (Step::Try { rate_per_s: per_s }) {
            continue;
        }
        let is_accepted = kept.len() >= 3 && runs - kept.len() <= 1;
        let decision = if is_accepted { "accepted" } else { "rejected" };
        bench.say(&format!("{}: {decision}, {} of {runs} kept", text::rate(per_s), kept.len()));
        let middle = middle(std::mem::take(&mut kept));
        // A rate may hold above one that does not; it is not the answer then.
        if search.accepted_per_s() == Some(per_s) {
            best = middle;
        } else {
            last = last.or(middle);
        }
        (runs, voids) = (0, 0);
    };
    let run = best.or(last).or_else(|| middle(kept));
    let nothing = || Failure::runtime("ended before anything was measured");
    Ok(Found { ended, run: run.ok_or_else(nothing)? })
}

fn of(ended: search::Ended) -> Ended {
    match ended {
        search::Ended::Found => Ended::Found,
        search::Ended::Ceiling => Ended::Ceiling,
        search::Ended::Floor => Ended::Floor,
        search::Ended::Budget => Ended::Budget,
    }
}

/// Of several runs the one with the quantile in the middle.
fn middle<T>(mut runs: Vec<(u64, T)>) -> Option<T> {
    runs.sort_by_key(|(ns, _)| *ns);
    let at = runs.len().checked_sub(1)? / 2;
    Some(runs.swap_remove(at).1)
}

/// One run in a line.
fn line<T>(per_s: f64, ran: &Ran<T>) -> String {
    let quantile = ran.quantile_ns.map_or("-".to_owned(), |ns| text::aligned(ns as f64));
    let said = match &ran.answer {
        Answer::Kept => "kept".to_owned(),
        Answer::Broken(why) => format!("not kept: {why}"),
        Answer::Void(why) => format!("does not count, the generator was late: {why}"),
    };
    format!("{:>9}  {quantile:>7}  {said}", text::rate(per_s))
}

/// So many runs of one rate that the generator spoilt end the search.
const VOIDS_MAX: u32 = 3;

#[cfg(test)]
mod tests {
    use super::*;
    use stats::search::{Options, Search};

    const LIMIT_NS: u64 = 2_000_000;

    /// A bench on which each run takes a second that does not pass, and leaves its number.
    struct Fake<F> {
        server: F,
        runs: u32,
        budget: u32,
        told_after: u32,
        said: Vec<String>,
    }

    impl<F: FnMut(f64, u32) -> Result<Ran<u32>, Failure>> Bench for Fake<F> {
        type Trace = u32;

        fn run(&mut self, per_s: f64) -> Result<Ran<u32>, Failure> {
            self.runs += 1;
            (self.server)(per_s, self.runs)
        }

        fn time(&self, _: f64) -> Duration {
            Duration::from_secs(1)
        }

        fn left(&self) -> Duration {
            Duration::from_secs((self.budget - self.runs).into())
        }

        fn is_told_to_end(&self) -> bool {
            self.runs >= self.told_after
        }

        fn say(&mut self, line: &str) {
            self.said.push(line.to_owned());
        }
    }

    fn fake<F: FnMut(f64, u32) -> Result<Ran<u32>, Failure>>(server: F) -> Fake<F> {
        Fake { server, runs: 0, budget: 1_000, told_after: u32::MAX, said: Vec::new() }
    }

    fn ran(ns: u64, run: u32) -> Ran<u32> {
        let is_kept = ns < LIMIT_NS;
        let answer = if is_kept { Answer::Kept } else { Answer::Broken("slow".into()) };
        Ran { answer, quantile_ns: Some(ns), achieved_per_s: 1.0, trace: run }
    }

    /// A server of 20k/s.
    fn queue(per_s: f64, run: u32) -> Result<Ran<u32>, Failure> {
        Ok(ran(if per_s < 20_000.0 { (1e6 + per_s) as u64 } else { 9_000_000 }, run))
    }

    fn search() -> Search {
        Search::new(Options { floor_per_s: 100.0, ceiling_per_s: 1e6, ..Options::new(LIMIT_NS, 8_000.0) })
    }

    #[test]
    fn a_search_finds_the_rate_and_says_each_run_and_each_decision() {
        let (mut search, mut bench) = (search(), fake(queue));
        let found = drive(&mut search, &mut bench).expect("it runs");
        assert_eq!(found.ended, Ended::Found);
        let rate = search.accepted_per_s().expect("one is accepted");
        assert!(rate < 20_000.0 && rate * 1.03 >= 20_000.0 / 1.03, "{rate}");
        let decided = bench.said.iter().filter(|line| line.contains("ed, ")).count();
        assert_eq!(bench.said.len(), bench.runs as usize + decided);
        assert_eq!(
            bench.said[..4],
            [
                "     8k/s  1.01 ms  kept",
                "     8k/s  1.01 ms  kept",
                "     8k/s  1.01 ms  kept",
                "8k/s: accepted, 3 of 3 kept",
            ]
        );
        assert!(bench.said.iter().any(|line| line == "27k/s: rejected, 0 of 3 kept"), "{:?}", bench.said);
    }

    #[test]
    fn the_run_that_is_shown_is_the_middle_one_of_the_rate_that_was_found() {
        let mut search = Search::new(Options { ceiling_per_s: 8_000.0, ..Options::new(LIMIT_NS, 8_000.0) });
        let mut bench = fake(|_, run| Ok(ran([0, 300, 100, 200][run as usize], run)));
        let found = drive(&mut search, &mut bench).expect("it runs");
        assert_eq!((found.ended, found.run), (Ended::Ceiling, 3));
    }

    #[test]
    fn where_nothing_is_kept_the_last_run_is_shown() {
        let mut bench = fake(|_, run| Ok(ran(LIMIT_NS, run)));
        let found = drive(&mut search(), &mut bench).expect("it runs");
        assert_eq!((found.ended, found.run), (Ended::Floor, bench.runs));
    }

    #[test]
    fn a_run_is_not_begun_that_the_time_left_does_not_hold() {
        let mut search = search();
        let mut bench = Fake { budget: 5, ..fake(queue) };
        let found = drive(&mut search, &mut bench).expect("it runs");
        assert_eq!((found.ended, bench.runs, search.accepted_per_s()), (Ended::Budget, 5, Some(8_000.0)));
        let nothing = drive(&mut self::search(), &mut Fake { budget: 0, ..fake(queue) });
        let why = nothing.expect_err("not one run").to_string();
        assert!(why.contains("at 8k/s, takes 1 s, and 0 ns are left") && why.contains("`--budget`"), "{why}");
    }

    #[test]
    fn a_run_that_the_user_cut_short_does_not_count() {
        let mut search = search();
        let found = drive(&mut search, &mut Fake { told_after: 4, ..fake(queue) }).expect("it runs");
        assert_eq!((found.ended, search.runs()), (Ended::Interrupted, 3));
        let nothing = drive(&mut self::search(), &mut Fake { told_after: 1, ..fake(queue) });
        assert!(nothing.is_err_and(|failure| failure.to_string().contains("before anything was measured")));
    }

    #[test]
    fn three_runs_of_one_rate_that_the_generator_spoilt_end_the_search_and_none_is_the_servers_failure() {
        let mut search = search();
        let mut bench = fake(|per_s, run| match per_s > 10_000.0 {
            true => Ok(Ran { answer: Answer::Void("busy".into()), ..ran(LIMIT_NS, run) }),
            false => queue(per_s, run),
        });
        let found = drive(&mut search, &mut bench).expect("it runs");
        assert_eq!(found.ended, Ended::Generator(12_000.0, "busy".into()));
        assert_eq!((search.accepted_per_s(), search.runs(), bench.runs), (Some(8_000.0), 3, 6));
        assert_eq!(found.run, 2);
    }

    #[test]
    fn a_run_that_the_generator_spoilt_is_run_again() {
        let mut bench = fake(|per_s, run| match run % 3 {
            0 => Ok(Ran { answer: Answer::Void("busy".into()), ..ran(LIMIT_NS, run) }),
            _ => queue(per_s, run),
        });
        assert_eq!(drive(&mut search(), &mut bench).expect("it runs").ended, Ended::Found);
    }

    #[test]
    fn a_run_that_cannot_be_made_ends_with_what_is_known_or_as_a_failure_where_nothing_is() {
        let refused = |from: u32| {
            move |per_s, run| if run < from { queue(per_s, run) } else { Err(Failure::runtime("refused")) }
        };
        assert!(drive(&mut search(), &mut fake(refused(1))).is_err());
        let mut search = search();
        let found = drive(&mut search, &mut fake(refused(5))).expect("some of it runs");
        assert_eq!(found.ended, Ended::Failed("refused.".into()));
        assert_eq!((search.accepted_per_s(), search.runs()), (Some(8_000.0), 4));
    }
}

//! The highest rate that keeps a promise: which rate to try next, when it is decided, and how sure the answer is.
//!
//! A pure machine: [`Search::step`] says what to run, [`Search::record`] is told what came of it. It runs nothing and reads no clock.
//!
//! ```text
//!  start --kept--> x1.5 --kept--> x1.5 ... --not--> halve the bracket (by ratio) until it is narrow --> found
//!    |               '--at the ceiling--> ceiling
//!    '---not--> /1.5 ... --kept--> halve
//!                 '--at the floor--> floor                       any of them, when the runs are used up --> budget
//! ```
//!
//! One run decides nothing. A rate is accepted at 3-0 or 4-1 and rejected at 0-3 or 1-4; in between it is run again. After 3-2 or 2-3 it is
//! rejected: a rate that fails two times of five keeps no promise. Two failures could be called early, but the runs that follow are near
//! the knee, where the curve needs them.
//!
//! The curve is the isotonic regression, over the rate, of the median quantile of the runs of each rate, weighted by their number, in
//! logarithms. Medians, because one wild run of five does not reject a rate and must not bend the curve either. A run that broke the
//! promise by something else than its quantile (errors, a rate not reached, too few samples) stands in it as one at the limit.
//!
//! A bracket may be narrow and its upper rate rejected by 3-2, with a median that keeps the promise. The curve then meets the limit
//! nowhere, and rates above are tried, each twice as far as the last, until it does.

use crate::isotonic;
use crate::outcome::{self, SearchPoint};
use crate::paired::{RESAMPLES, middle95};
use crate::random::Random;
use crate::trend::median;

/// What to search, and how finely. Rates are requests per second, above 0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Options {
    /// The limit of the quantile, in nanoseconds; above 0.
    pub limit_ns: u64,
    /// The first rate to try.
    pub start_per_s: f64,
    /// No lower rate is tried.
    pub floor_per_s: f64,
    /// No higher rate is tried.
    pub ceiling_per_s: f64,
    /// By which factor rates rise and fall until there is a bracket; above 1.
    pub growth: f64,
    /// The search ends when the lowest rejected rate is at most so many times the highest accepted; above 1.
    pub ratio: f64,
    /// No more runs than these.
    pub runs_max: u32,
    /// Of the bootstrap.
    pub seed: u64,
}

impl Options {
    /// For a limit and a first rate, between a thousandth and a thousand times of it: by 1.5, to 3 %, in at most 200 runs.
    pub fn new(limit_ns: u64, start_per_s: f64) -> Options {
        Options {
            limit_ns,
            start_per_s,
            floor_per_s: start_per_s / 1_000.0,
            ceiling_per_s: start_per_s * 1_000.0,
            growth: 1.5,
            ratio: 1.03,
            runs_max: 200,
            seed: 0,
        }
    }
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Step {
    /// Run this rate once, and tell what came of it.
    Try {
        /// Requests per second.
        rate_per_s: f64,
    },
    /// Nothing more.
    Done(Ended),
}

/// Why a search is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The bracket is narrow enough.
    Found,
    /// The highest rate holds.
    Ceiling,
    /// The lowest rate does not.
    Floor,
    /// All runs are used up.
    Budget,
}

/// What came of one run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Run {
    /// Whether it kept the promise.
    pub kept: bool,
    /// The quantile of the promise; `None` where its samples did not carry it.
    pub quantile_ns: Option<u64>,
    /// Requests per second that it reached.
    pub achieved_per_s: f64,
}

/// A search under way, or over.
#[derive(Clone, Debug)]
pub struct Search {
    options: Options,
    /// By rate, each different.
    points: Vec<Point>,
    /// The one that is tried.
    at: usize,
    ended: Option<Ended>,
}

#[derive(Clone, Debug)]
struct Point {
    rate_per_s: f64,
    runs: Vec<Run>,
}

impl Search {
    /// Panics where rates are not above 0, the floor is above the ceiling, or a factor is not above 1. The first rate is moved between
    /// floor and ceiling.
    pub fn new(options: Options) -> Search {
        let Options { floor_per_s, ceiling_per_s, growth, ratio, .. } = options;
        assert!(
            floor_per_s > 0.0 && floor_per_s <= ceiling_per_s && ceiling_per_s.is_finite(),
            "{options:?}"
        );
        assert!(growth > 1.0 && ratio > 1.0 && options.limit_ns > 0, "{options:?}");
        let rate_per_s = options.start_per_s.clamp(floor_per_s, ceiling_per_s);
        let ended = (options.runs_max == 0).then_some(Ended::Budget);
        Search { options, points: vec![Point { rate_per_s, runs: Vec::new() }], at: 0, ended }
    }

    /// What to do next. The same until a run is recorded.
    pub fn step(&self) -> Step {
        self.ended.map_or(Step::Try { rate_per_s: self.points[self.at].rate_per_s }, Step::Done)
    }

    /// Tells what came of a run at the rate that [`Search::step`] asked for.
    pub fn record(&mut self, run: Run) {
        assert!(self.ended.is_none(), "the search is over");
        let point = &mut self.points[self.at];
        point.runs.push(run);
        if point.verdict().is_some() {
            self.advance();
        }
        if self.ended.is_none() && self.runs() >= self.options.runs_max {
            self.ended = Some(Ended::Budget);
        }
    }

    /// Runs so far.
    pub fn runs(&self) -> u32 {
        self.points.iter().map(|point| point.runs.len() as u32).sum()
    }

    /// The highest rate that was accepted, and below which none was rejected.
    pub fn accepted_per_s(&self) -> Option<f64> {
        let below = self.points.iter().take_while(|point| point.verdict() != Some(false));
        below.filter(|point| point.verdict() == Some(true)).last().map(|point| point.rate_per_s)
    }

    /// The rate at which the curve meets the limit; `None` while it does not between the rates that were run.
    pub fn crossing_per_s(&self) -> Option<f64> {
        crossing(&self.middles(), self.limit())
    }

    /// A confidence interval of 95 % of the rate at which the true curve meets the limit, by bootstrap: the runs of each rate are drawn
    /// again, with replacement, and a curve is fitted to each draw. `None` where there is no crossing.
    ///
    /// Of each draw both rates count between which it meets the limit: that the curve rises is known, that it is straight between
    /// two rates is not, and behind the knee it is far from it. So the interval is never narrower than the bracket. The few runs of one
    /// rate scatter by less than what they are drawn from, so a draw is spread by `sqrt(n / (n - 1))` about their
    /// median (Efron, Tibshirani, 1993, section 5.3, for a mean).
    pub fn ci95_per_s(&self) -> Option<[f64; 2]> {
        self.crossing_per_s()?;
        let mut random = Random::new(self.options.seed);
        let points: Vec<(f64, Vec<f64>)> = self.values().collect();
        let mut draw = |(rate_per_s, values): &(f64, Vec<f64>)| {
            let count = values.len() as f64;
            let mut drawn: Vec<f64> = values.iter().map(|_| values[random.below(values.len())]).collect();
            let (middle, drawn) = (median(&mut values.clone()), median(&mut drawn));
            let spread = if count > 1.0 { (count / (count - 1.0)).sqrt() } else { 1.0 };
            Middle { rate_per_s: *rate_per_s, value: middle + (drawn - middle) * spread, count }
        };
        let (mut lows, mut highs) = (Vec::with_capacity(RESAMPLES), Vec::with_capacity(RESAMPLES));
        for _ in 0..RESAMPLES {
            let middles: Vec<Middle> = points.iter().map(&mut draw).collect();
            let above = fit(&middles).partition_point(|value| *value < self.limit());
            // A draw whose curve does not meet the limit says no more than that it lies beyond all rates.
            lows.push(middles[above.saturating_sub(1)].rate_per_s);
            highs.push(middles[above.min(middles.len() - 1)].rate_per_s);
        }
        Some([middle95(lows)[0], middle95(highs)[1]])
    }

    /// As it is written down, with the promise as typed. May be asked at any time: a search that is not over was interrupted.
    pub fn outcome(&self, slo: &str) -> outcome::Search {
        let middles = self.middles();
        let fitted = fit(&middles);
        let fitted_at = |rate: f64| {
            let at = middles.iter().position(|middle| middle.rate_per_s == rate)?;
            Some(fitted[at].exp())
        };
        let points = self.points.iter().filter(|point| !point.runs.is_empty()).map(|point| SearchPoint {
            rate_per_s: point.rate_per_s,
            achieved_per_s: median(&mut point.runs.iter().map(|run| run.achieved_per_s).collect::<Vec<_>>()),
            runs_ns: point.runs.iter().map(|run| run.quantile_ns).collect(),
            kept: point.runs.iter().map(|run| run.kept).collect(),
            accepted: point.verdict() == Some(true),
            fitted_ns: fitted_at(point.rate_per_s),
        });
        let ended = match self.ended {
            Some(Ended::Found) => "found",
            Some(Ended::Ceiling) => "ceiling",
            Some(Ended::Floor) => "floor",
            Some(Ended::Budget) => "budget",
            None => "interrupted",
        };
        outcome::Search {
            slo: slo.to_owned(),
            rate_per_s: self.accepted_per_s(),
            ci95_per_s: self.ci95_per_s(),
            points: points.collect(),
            ended: ended.to_owned(),
        }
    }

    /// Goes to the next rate, or ends.
    fn advance(&mut self) {
        let Options { floor_per_s, ceiling_per_s, growth, ratio, .. } = self.options;
        let low = self.accepted_per_s();
        let high =
            self.points.iter().find(|point| point.verdict() == Some(false)).map(|point| point.rate_per_s);
        let next = match (low, high) {
            (Some(low), None) if low >= ceiling_per_s => Err(Ended::Ceiling),
            (Some(low), None) => Ok((low * growth).min(ceiling_per_s)),
            (None, Some(high)) if high <= floor_per_s => Err(Ended::Floor),
            (None, Some(high)) => Ok((high / growth).max(floor_per_s)),
            (Some(low), Some(high)) if high <= low * ratio => {
                let top = self.points.last().map_or(high, |point| point.rate_per_s);
                if self.crossing_per_s().is_some() || top >= ceiling_per_s {
                    Err(Ended::Found)
                } else {
                    Ok((top * ratio * (top / high)).min(ceiling_per_s))
                }
            }
            (Some(low), Some(high)) => Ok((low * high).sqrt()),
            (None, None) => unreachable!("it is called when a rate was decided"),
        };
        match next {
            Err(ended) => self.ended = Some(ended),
            Ok(rate_per_s) => {
                self.at = self.points.partition_point(|point| point.rate_per_s < rate_per_s);
                self.points.insert(self.at, Point { rate_per_s, runs: Vec::new() });
            }
        }
    }

    /// The rates that were run, and the logarithms of the quantiles there.
    fn values(&self) -> impl Iterator<Item = (f64, Vec<f64>)> + '_ {
        let limit = self.limit();
        let value = move |run: &Run| match (run.kept, run.quantile_ns) {
            (true, None) => None,
            (true, Some(ns)) => Some((ns.max(1) as f64).ln()),
            (false, ns) => Some((ns.unwrap_or(1).max(1) as f64).ln().max(limit)),
        };
        let point = move |point: &Point| (point.rate_per_s, point.runs.iter().filter_map(value).collect());
        self.points.iter().map(point).filter(|(_, values): &(f64, Vec<f64>)| !values.is_empty())
    }

    fn middles(&self) -> Vec<Middle> {
        let middle = |(rate_per_s, mut values): (f64, Vec<f64>)| {
            let count = values.len() as f64;
            Middle { rate_per_s, value: median(&mut values), count }
        };
        self.values().map(middle).collect()
    }

    fn limit(&self) -> f64 {
        (self.options.limit_ns as f64).ln()
    }
}

impl Point {
    /// Whether the rate holds, once that is decided.
    fn verdict(&self) -> Option<bool> {
        let kept = self.runs.iter().filter(|run| run.kept).count();
        match (kept, self.runs.len() - kept) {
            (3, 0) | (4, 1) => Some(true),
            (0, 3) | (1, 4) | (2, 3) | (3, 2) => Some(false),
            _ => None,
        }
    }
}

/// The median of the logarithms of the quantiles of one rate.
struct Middle {
    rate_per_s: f64,
    value: f64,
    count: f64,
}

fn fit(middles: &[Middle]) -> Vec<f64> {
    isotonic::rising(&middles.iter().map(|middle| (middle.value, middle.count)).collect::<Vec<_>>())
}

/// Where the curve meets the limit: in a straight line, in logarithms, between the last rate below it and the first that is not.
fn crossing(middles: &[Middle], limit: f64) -> Option<f64> {
    let fitted = fit(middles);
    let above = fitted.partition_point(|value| *value < limit);
    if above == 0 || above == middles.len() {
        return None;
    }
    let (low, high) = (&middles[above - 1], &middles[above]);
    let share = (limit - fitted[above - 1]) / (fitted[above] - fitted[above - 1]);
    Some(low.rate_per_s * (high.rate_per_s / low.rate_per_s).powf(share))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT_NS: u64 = 2_000_000;

    /// A server of 100,000/s, 10 us each: the p99 of M/D/1 as if its wait were exponential (Kingman, 1961).
    fn p99_ns(rate_per_s: f64) -> f64 {
        let load = rate_per_s / 1e5;
        if load >= 1.0 { 1e9 * load } else { 1e4 + 1e4 * load / (2.0 * (1.0 - load)) * 100f64.ln() }
    }

    /// The rate at which that is the limit.
    fn knee(limit_ns: u64) -> f64 {
        let waits = (limit_ns as f64 - 1e4) / (1e4 / 2.0 * 100f64.ln());
        1e5 * waits / (1.0 + waits)
    }

    fn drive(search: &mut Search, mut p99: impl FnMut(f64) -> f64) -> Ended {
        loop {
            match search.step() {
                Step::Done(ended) => return ended,
                Step::Try { rate_per_s } => {
                    let ns = p99(rate_per_s) as u64;
                    let kept = ns < search.options.limit_ns;
                    search.record(Run { kept, quantile_ns: Some(ns), achieved_per_s: rate_per_s });
                }
            }
        }
    }

    fn wins(kept: &[bool]) -> (Option<bool>, usize) {
        let mut point = Point { rate_per_s: 1.0, runs: Vec::new() };
        for (at, kept) in kept.iter().enumerate() {
            point.runs.push(Run { kept: *kept, quantile_ns: None, achieved_per_s: 1.0 });
            if point.verdict().is_some() {
                return (point.verdict(), at + 1);
            }
        }
        (None, kept.len())
    }

    #[test]
    fn every_order_of_five_runs_is_decided_as_the_rule_says() {
        for order in 0..32u32 {
            let kept: Vec<bool> = (0..5).map(|at| order >> at & 1 == 1).collect();
            let first: Vec<bool> = kept[..3].to_vec();
            let expected = match first[..] {
                [true, true, true] => (Some(true), 3),
                [false, false, false] => (Some(false), 3),
                _ => (Some(order.count_ones() >= 4), 5),
            };
            assert_eq!(wins(&kept), expected, "{kept:?}");
        }
    }

    #[test]
    fn without_noise_the_knee_lies_in_a_bracket_of_three_percent_from_wherever_it_starts() {
        for start in [120.0, 1_000.0, 64_000.0, 97_000.0, 5e6] {
            let mut search = Search::new(Options::new(LIMIT_NS, start));
            assert_eq!(drive(&mut search, p99_ns), Ended::Found);
            let rate = search.accepted_per_s().unwrap();
            assert!((rate..=rate * 1.03).contains(&knee(LIMIT_NS)), "{rate}");
            let [low, high] = search.ci95_per_s().unwrap();
            assert!(low == rate && rate < high && high <= rate * 1.03, "runs that agree leave the bracket");
        }
    }

    #[test]
    fn with_noise_it_ends_covers_the_knee_and_tries_no_rate_too_often() {
        // A steep knee, where the bracket is all doubt, and flat ones, where the noise is.
        for (limit_ns, noise, width) in [(LIMIT_NS, 0.25, 1.1), (100_000, 0.1, 1.15), (60_000, 0.25, 1.6)] {
            let knee = knee(limit_ns);
            let mut covered = 0;
            let mut widths = Vec::new();
            for seed in 0..200 {
                let mut random = Random::new(seed);
                let mut run = |rate| {
                    let normal = (0..12).map(|_| random.uniform()).sum::<f64>() - 6.0;
                    // One run in thirty meets a machine that does something else.
                    let wild = if random.below(30) == 0 { 20.0 } else { 1.0 };
                    p99_ns(rate) * (noise * normal).exp() * wild
                };
                let mut search = Search::new(Options { seed, ..Options::new(limit_ns, 10_000.0) });
                assert_eq!(drive(&mut search, &mut run), Ended::Found);
                // Six steps up, log2(ln 1.5 / ln 1.03) = 4 halvings, some beyond the knee; five runs each at most.
                assert!(search.runs() <= 5 * (7 + 4 + 4), "{} runs", search.runs());
                let outcome = search.outcome("p99<2ms");
                assert!(outcome.points.iter().all(|point| (3..=5).contains(&point.kept.len())));
                let rises = |a: &SearchPoint, b: &SearchPoint| {
                    a.rate_per_s < b.rate_per_s && a.fitted_ns <= b.fitted_ns
                };
                assert!(outcome.points.is_sorted_by(rises));
                let [low, high] = outcome.ci95_per_s.unwrap();
                widths.push(high / low);
                covered += u32::from(low <= knee && knee <= high);
            }
            let median = median(&mut widths);
            assert!(
                covered >= 180 && median < width,
                "{limit_ns} ns: {covered} of 200, median width {median}"
            );
        }
    }

    #[test]
    fn a_server_that_always_holds_ends_at_the_ceiling_and_one_that_never_does_at_the_floor() {
        let options =
            Options { floor_per_s: 700.0, ceiling_per_s: 3_000.0, ..Options::new(LIMIT_NS, 1_000.0) };
        let mut search = Search::new(options);
        assert_eq!(drive(&mut search, |_| 1e3), Ended::Ceiling);
        let found = search.outcome("p99<2ms");
        assert_eq!((found.rate_per_s, found.ci95_per_s, &*found.ended), (Some(3_000.0), None, "ceiling"));
        let rates: Vec<f64> = found.points.iter().map(|point| point.rate_per_s).collect();
        assert_eq!(rates, [1_000.0, 1_500.0, 2_250.0, 3_000.0]);

        let mut search = Search::new(options);
        assert_eq!(drive(&mut search, |_| 1e8), Ended::Floor);
        let found = search.outcome("p99<2ms");
        assert_eq!((found.rate_per_s, found.ci95_per_s, &*found.ended), (None, None, "floor"));
        assert_eq!(found.points[0].rate_per_s, 700.0);
    }

    #[test]
    fn a_rate_that_holds_above_one_that_was_rejected_is_not_the_answer() {
        let mut search = Search::new(Options { ratio: 1.6, ..Options::new(LIMIT_NS, 1_000.0) });
        let mut at_1500 = [1e6, 3e6, 1e6, 3e6, 1e6].into_iter();
        let ended = drive(&mut search, |rate| match rate as u64 {
            1_500 => at_1500.next().unwrap(),
            ..5_000 => 1e6,
            _ => 3e6,
        });
        let rates: Vec<u64> = search.points.iter().map(|point| point.rate_per_s as u64).collect();
        assert_eq!((ended, rates), (Ended::Found, vec![1_000, 1_500, 2_400, 6_144]));
        assert_eq!(search.accepted_per_s(), Some(1_000.0));
    }

    #[test]
    fn a_server_that_decides_by_a_coin_still_ends() {
        for seed in 0..200 {
            let mut random = Random::new(seed);
            let mut search = Search::new(Options::new(LIMIT_NS, 1e5));
            drive(&mut search, |_| if random.uniform() < 0.5 { 1e6 } else { 3e6 });
            // From start to ceiling or floor are 18 steps by 1.5.
            assert!(search.runs() <= 5 * (19 + 4));
        }
    }

    #[test]
    fn a_budget_ends_it_between_two_runs_and_what_is_undecided_is_not_accepted() {
        let mut search = Search::new(Options { runs_max: 5, ..Options::new(LIMIT_NS, 1_000.0) });
        assert_eq!(drive(&mut search, p99_ns), Ended::Budget);
        let found = search.outcome("p99<2ms");
        assert_eq!((found.rate_per_s, &*found.ended, search.runs()), (Some(1_000.0), "budget", 5));
        assert_eq!(found.points.iter().map(|point| point.accepted).collect::<Vec<_>>(), [true, false]);
        let none = Search::new(Options { runs_max: 0, ..Options::new(LIMIT_NS, 1_000.0) });
        assert_eq!(none.step(), Step::Done(Ended::Budget));
        let interrupted = Search::new(Options::new(LIMIT_NS, 1_000.0)).outcome("p99<2ms");
        assert_eq!((&*interrupted.ended, interrupted.points.len()), ("interrupted", 0));
    }

    #[test]
    fn a_run_that_fails_by_its_errors_bends_the_curve_to_the_limit() {
        let mut search = Search::new(Options::new(LIMIT_NS, 1_000.0));
        while let Step::Try { rate_per_s } = search.step() {
            let kept = rate_per_s < 5_000.0;
            search.record(Run { kept, quantile_ns: kept.then_some(10_000), achieved_per_s: rate_per_s });
        }
        let rate = search.accepted_per_s().unwrap();
        let crossing = search.crossing_per_s().unwrap();
        assert!((4_800.0..5_000.0).contains(&rate) && (5_000.0..=rate * 1.03).contains(&crossing));
        assert!((search.outcome("").points.last().unwrap().fitted_ns.unwrap() / 2e6 - 1.0).abs() < 1e-9);
    }
}

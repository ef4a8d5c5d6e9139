//! A promise about how long requests take and how many fail: read from words, and held against the result of one run.
//!
//! Pure. `p99<2ms,errors<0.1%` is kept where each of its parts is. The first quantile in it is the one that a curve is drawn of.
//!
//! A broken promise is the server's doing only where the generator had no part in it. A kept one needs no such doubt: the response
//! time has in it what the generator was late.

use std::time::Duration;

use stats::outcome::{Latency, Outcome};
use stats::text;

/// What is promised.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Slo {
    /// As it was typed.
    pub(crate) typed: String,
    /// At least one, each quantile once.
    times: Vec<Bound>,
    /// Of requests that fail.
    errors: Share,
}

/// A quantile of the response time and its limit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Bound {
    /// As people write it: `p99.9`.
    pub(crate) name: &'static str,
    /// 0 to 1.
    pub(crate) q: f64,
    /// Above 0.
    pub(crate) limit_ns: u64,
    is_inclusive: bool,
}

/// A limit of a share, 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Share {
    limit: f64,
    is_inclusive: bool,
}

/// What a run says to a promise.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Answer {
    /// It is kept.
    Kept,
    /// It is not, and why.
    Broken(String),
    /// It is not, and that may be the generator's doing, and how: the run says nothing of the server.
    Void(String),
}

impl Slo {
    /// The bound that a curve is drawn of.
    pub(crate) fn first(&self) -> Bound {
        self.times[0]
    }

    /// The time that a run at this rate has to take: so many requests that each quantile is carried (`n (1 - q) >= 20`, and four
    /// standard deviations of a Poisson count), and so long that a rate above the server's by the share `precision` builds up a
    /// backlog that breaks the promise.
    pub(crate) fn time(&self, per_s: f64, precision: f64) -> Duration {
        let each = self.times.iter().map(|bound| {
            let need = SAMPLES_BEYOND / (1.0 - bound.q);
            let requests = (need + 4.0 * need.sqrt()) / per_s;
            requests.max(bound.limit_ns as f64 / 1e9 / precision)
        });
        Duration::from_secs_f64(each.fold(0.0, f64::max).min(LONGEST_S))
    }

    /// The longest time that is promised.
    pub(crate) fn longest(&self) -> Duration {
        Duration::from_nanos(self.times.iter().map(|bound| bound.limit_ns).max().unwrap_or(0))
    }

    /// Holds it against a run of an open loop.
    pub(crate) fn answer(&self, outcome: &Outcome) -> Answer {
        let Some((why, bound)) = self.broken(outcome) else { return Answer::Kept };
        match blame(outcome, bound) {
            Some(blame) => Answer::Void(blame),
            None => Answer::Broken(why),
        }
    }

    /// What is broken first, with the bound if it is one.
    fn broken(&self, outcome: &Outcome) -> Option<(String, Option<Bound>)> {
        let (asked, opened) = (outcome.asked.connections, outcome.connections.opened);
        if (opened as f64) < 0.95 * asked as f64 {
            let what = format!("{} of {} connections were opened", text::count(opened), text::count(asked));
            return Some((what, None));
        }
        let verify = outcome.verify;
        if verify.corrupt + verify.extra > 0 {
            return Some(("answers with wrong bytes".into(), None));
        }
        let arrivals = outcome.arrivals;
        let failed = arrivals.due.saturating_sub(arrivals.answered) as f64 / arrivals.due.max(1) as f64;
        if !self.errors.holds(failed) {
            return Some((format!("{} of all requests failed", text::percent(failed)), None));
        }
        for bound in &self.times {
            match bound.of(&outcome.latency.response) {
                Some(ns) if bound.holds(ns) => {}
                Some(ns) => {
                    let what = format!("{} is {}", bound.name, text::duration(ns as f64));
                    return Some((what, Some(*bound)));
                }
                None => {
                    let samples = text::count(outcome.latency.response.count);
                    return Some((format!("{samples} samples carry no {}", bound.name), Some(*bound)));
                }
            }
        }
        None
    }
}

impl Bound {
    /// Its quantile in a histogram, where the samples carry it.
    pub(crate) fn of(&self, latency: &Latency) -> Option<u64> {
        latency.quantiles().iter().find(|quantile| quantile.name == self.name)?.value_ns
    }

    fn holds(&self, ns: u64) -> bool {
        ns < self.limit_ns || (self.is_inclusive && ns == self.limit_ns)
    }
}

impl Share {
    fn holds(&self, share: f64) -> bool {
        share < self.limit || (self.is_inclusive && share <= self.limit)
    }
}

/// What the generator did to a run that broke the promise, by a bound if one is given; `None` where it is the server's doing.
fn blame(outcome: &Outcome, bound: Option<Bound>) -> Option<String> {
    let busy = outcome.generator.busy_max;
    if busy > BUSY_MAX {
        return Some(format!("its busiest core worked {} of the time", text::percent(busy)));
    }
    let bound = bound?;
    let response_ns = bound.of(&outcome.latency.response)?;
    let lag_ns = bound.of(&outcome.latency.send_lag)?;
    let is_much = lag_ns as f64 > LAG_SHARE * bound.limit_ns as f64;
    let is_all = bound.holds(response_ns.saturating_sub(lag_ns));
    (is_much && is_all).then(|| {
        let lag = text::duration(lag_ns as f64);
        format!("send_lag {} is {lag}, without which {} might have held", bound.name, bound.name)
    })
}

/// Reads `p99<2ms,p50<=500us,errors<0.1%`. Errors: what is wrong, in words that follow the flag.
pub(crate) fn slo(typed: &str) -> Result<Slo, String> {
    let mut times: Vec<Bound> = Vec::new();
    let mut errors = None;
    for part in typed.split(',') {
        let part = part.trim();
        let Some((name, limit)) = part.split_once('<') else {
            return Err(format!("`{part}` is no promise: expected NAME<LIMIT such as p99<2ms"));
        };
        let (is_inclusive, limit) = match limit.strip_prefix('=') {
            Some(limit) => (true, limit.trim()),
            None => (false, limit.trim()),
        };
        if name.trim() == "errors" {
            let share = Share { limit: share(limit)?, is_inclusive };
            if errors.replace(share).is_some() {
                return Err("errors are limited twice".into());
            }
            if share.limit == 0.0 && !is_inclusive {
                return Err("errors<0% cannot be kept: errors<=0% means none".into());
            }
            continue;
        }
        let known = Latency::default().quantiles().into_iter().find(|quantile| quantile.name == name.trim());
        let Some(quantile) = known else {
            let name = name.trim();
            return Err(format!(
                "`{name}` cannot be promised: expected p50, p90, p99, p99.9, p99.99 or errors"
            ));
        };
        let limit_ns = text::parse_duration(limit).map_err(|why| why.to_string())?;
        if limit_ns == 0 {
            return Err(format!("{part}: nothing takes no time"));
        }
        if times.iter().any(|bound| bound.name == quantile.name) {
            return Err(format!("{} is limited twice", quantile.name));
        }
        times.push(Bound { name: quantile.name, q: quantile.q, limit_ns, is_inclusive });
    }
    if times.is_empty() {
        return Err("it promises no time: expected a quantile too, such as p99<2ms".into());
    }
    let errors = errors.unwrap_or(Share { limit: ERRORS_MAX, is_inclusive: false });
    Ok(Slo { typed: typed.to_owned(), times, errors })
}

/// Reads `0.1%`: 0 to 1.
pub(crate) fn share(typed: &str) -> Result<f64, String> {
    let wrong = || format!("`{typed}`: expected a share such as 0.1%");
    let number = typed.strip_suffix('%').ok_or_else(wrong)?.trim_end();
    let is_plain = number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    match number.parse::<f64>() {
        Ok(percent) if is_plain && percent <= 100.0 => Ok(percent / 100.0),
        _ => Err(wrong()),
    }
}

/// What beyond a quantile carries it (`stats::quantile::carries`).
const SAMPLES_BEYOND: f64 = 20.0;
/// A run that would take longer is none of a search.
const LONGEST_S: f64 = 24.0 * 3600.0;
/// Of requests that may fail where nothing else was promised.
const ERRORS_MAX: f64 = 0.01;
/// A core that worked more of the time may have been late with everything, answers too.
const BUSY_MAX: f64 = 0.9;
/// Of a limit: a generator that is late by less is no reason.
const LAG_SHARE: f64 = 0.1;

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use stats::interval::Interval;
    use stats::outcome::{Asked, Build, Command, Cost, End, Environment, Plan};
    use stats::quantile::carries;

    /// A run of 10,000 arrivals at 10k/s, of which `failed` did, each answered after `response_ns` and sent late by `lag_ns`.
    pub(in crate::search) fn ran(response_ns: u64, lag_ns: u64, failed: u64, busy_max: f64) -> Outcome {
        let plan = Plan {
            command: Command::Run,
            version: String::new(),
            began_unix_s: 0,
            asked: Asked { connections: 4, ..Default::default() },
            law: None,
            verify: true,
        };
        let mut build = Build::new(plan);
        let mut step = Interval { to_ns: 1_000_000_000, ..Interval::new() };
        step.response.record_n(response_ns, 10_000).expect("in range");
        step.send_lag.record_n(lag_ns, 10_000).expect("in range");
        (step.counts.due, step.counts.answered, step.counts.opened) = (10_000, 10_000 - failed, 4);
        build.add(&step);
        build.finish(End {
            measured_ns: 1_000_000_000,
            expected: Some(10_000.0),
            held: 4,
            gaps: Vec::new(),
            cost: Cost { busy_max, ..Cost::default() },
            environment: Environment::default(),
        })
    }

    #[test]
    fn a_promise_is_read_with_its_parts() {
        let read = slo("p99<2ms, p50 <= 500us,errors<0.1%").expect("a promise");
        assert_eq!((read.first().name, read.first().limit_ns, read.times.len()), ("p99", 2_000_000, 2));
        assert!(!read.times[0].is_inclusive && read.times[1].is_inclusive);
        assert_eq!(read.errors, Share { limit: 0.001, is_inclusive: false });
        assert_eq!(read.longest(), Duration::from_millis(2));
        assert!(slo("errors<=0%,p99.99<1s").is_ok_and(|slo| slo.first().q == 0.9999));
    }

    #[test]
    fn what_cannot_be_promised_says_why() {
        for (typed, part) in [
            ("", "expected NAME<LIMIT"),
            ("p99", "expected NAME<LIMIT"),
            ("p99>2ms", "expected NAME<LIMIT"),
            ("p99<2ms,", "expected NAME<LIMIT"),
            ("p98<2ms", "expected p50, p90"),
            ("mean<2ms", "expected p50, p90"),
            ("p99<2", "ms"),
            ("p99<NaN", "NaN"),
            ("p99<0", "no time"),
            ("p99<1ms,p99<2ms", "twice"),
            ("errors<1%", "no time"),
            ("p99<1ms,errors<1", "such as 0.1%"),
            ("p99<1ms,errors<-1%", "such as 0.1%"),
            ("p99<1ms,errors<101%", "such as 0.1%"),
            ("p99<1ms,errors<0%", "errors<=0%"),
        ] {
            let why = slo(typed).expect_err(typed);
            assert!(why.contains(part) && !why.contains('\n'), "{typed}: {why}");
        }
    }

    #[test]
    fn a_run_is_long_enough_for_its_quantile_and_for_a_backlog_to_show() {
        let time = |typed: &str, per_s| slo(typed).expect(typed).time(per_s, 0.03).as_secs_f64();
        assert!((time("p99<2ms", 1_000.0) - 2.1788).abs() < 1e-3, "2,000 samples, and 4 of their roots");
        assert!((time("p99<2ms", 1e6) - 0.0667).abs() < 1e-3, "2 ms by 3 %");
        assert!((time("p99<2ms,p99.9<5ms", 1e4) - 2.0566).abs() < 1e-3, "the higher quantile asks for more");
        for (q, name) in [(0.5, "p50<1ms"), (0.9999, "p99.99<1ms")] {
            assert!(carries((time(name, 100.0) * 100.0) as u64, q), "{name}");
        }
    }

    #[test]
    fn a_run_keeps_a_promise_where_each_part_is_kept() {
        let check =
            |typed: &str, outcome: &Outcome, part: &str| match slo(typed).expect(typed).answer(outcome) {
                Answer::Broken(why) => assert!(!part.is_empty() && why.contains(part), "{typed}: {why}"),
                other => assert!(other == Answer::Kept && part.is_empty(), "{typed}: {other:?}"),
            };
        let fine = ran(1_000, 0, 0, 0.2);
        check("p99<2us", &fine, "");
        check("p99<=1us", &fine, "");
        check("p99<1us", &fine, "p99 is 1 us");
        check("p90<2us,p50<1us", &fine, "p50 is 1 us");
        check("p99.99<2us", &fine, "10,000 samples carry no p99.99");
        check("p99<2us", &ran(1_000, 0, 99, 0.2), "");
        check("p99<2us", &ran(1_000, 0, 100, 0.2), "1 % of all requests failed");
        check("p99<2us,errors<=0%", &ran(1_000, 0, 1, 0.2), "0.01 % of all requests failed");
        check("p99<2us,errors<5%", &ran(1_000, 0, 100, 0.2), "");
        let mut few = ran(1_000, 0, 0, 0.2);
        few.connections.opened = 3;
        check("p99<2us", &few, "3 of 4 connections");
        let mut wrong = ran(1_000, 0, 0, 0.2);
        wrong.verify.corrupt = 1;
        check("p99<2us", &wrong, "wrong bytes");
    }

    #[test]
    fn what_the_generator_may_have_done_is_no_answer_of_the_server() {
        let slo = slo("p99<2ms").expect("a promise");
        let void = |outcome| matches!(slo.answer(&outcome), Answer::Void(_));
        assert!(void(ran(2_500_000, 600_000, 0, 0.2)), "without the lag it might have held");
        assert!(!void(ran(2_500_000, 400_000, 0, 0.2)), "it would not have");
        assert!(!void(ran(2_050_000, 100_000, 0, 0.2)), "the lag is small");
        assert!(void(ran(9_000_000, 0, 0, 0.95)), "the core had no time left");
        assert_eq!(slo.answer(&ran(1_900_000, 1_800_000, 0, 0.95)), Answer::Kept, "in spite of it all");
    }
}

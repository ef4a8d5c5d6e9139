//! Whether a result is worth believing, and why not: one judge for each thing that can spoil it.
//!
//! Pure: looks at the figures of a result and at nothing else, so that an old file can be judged again. What is judged is the
//! measurement, not the server: a slow server measured well is `valid`. A degraded result holds with what stands beside it; an invalid
//! one does not say what it is meant to. A reason begins with what was judged and a colon, has the numbers, and a cure where there is
//! one.
//!
//! | judge | degraded | invalid |
//! |---|---|---|
//! | answers | | none came, or fewer than 40 |
//! | duration | ended early | |
//! | rate (open loop) | under 99 % of the target | under 95 % |
//! | send_lag (open loop) | p99 above max(20 us, 5 % of the service median) | ten times that |
//! | generator | busiest core above 90 % (closed loop: 95 %) | |
//! | pause | a shard stood still for more than 10 ms | |
//! | errors, lost | any | above 1 % |
//! | verify | datagrams out of order, twice | wrong bytes in any answer |
//! | arrivals | above 0.1 % waited for a connection; any given up | above 1 % given up |
//! | trend | ten windows rise or fall (Mann-Kendall, p < 0.01) by over 10 % | |
//! | gaps (open loop) | KS distance from the law above 0.05 | |
//! | samples | too few for a p99 | |
//! | connections | fewer opened than asked for; of `hold`, any lost | under 95 % opened; of `hold`, fewer opened, or above 5 % lost |

use crate::outcome::{Command, Latency, Outcome, State, Step, Verdict};
use crate::quantile::carries;
use crate::text::{count, duration, percent, plural, rate};
use crate::trend::Trend;

/// Judges a result by everything in it but its verdict.
pub fn judge(outcome: &Outcome) -> Verdict {
    let mut verdict = Verdict { state: State::Valid, reasons: Vec::new() };
    for Finding { state, reason } in findings(outcome) {
        verdict.state = verdict.state.max(state);
        verdict.reasons.push(reason);
    }
    verdict
}

/// What each judge has against a result. A verdict has the worst of their states and all of their reasons, so it does not tell which of
/// them calls the result invalid: who must know asks here.
pub fn findings(outcome: &Outcome) -> Vec<Finding> {
    let judges: [fn(&Outcome) -> Option<Finding>; 15] = [
        answers,
        ended_early,
        rate_reached,
        send_lag,
        generator,
        pause,
        errors,
        lost_datagrams,
        verify,
        given_up,
        waited,
        response_trend,
        throughput_trend,
        gaps,
        connections,
    ];
    judges.iter().filter_map(|judge| judge(outcome)).collect()
}

/// What one judge has against a result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How much: never `Valid`.
    pub state: State,
    /// Why, as it stands in [`Verdict::reasons`].
    pub reason: String,
}

/// A shard may stand still for so long: schedulers of busy machines give others a few milliseconds.
const PAUSE_NS: u64 = 10_000_000;
/// The generator's own error may be so large, or [`LAG_SHARE`] of the service median where that is more.
const LAG_NS: f64 = 20_000.0;
const LAG_SHARE: f64 = 0.05;
/// Fewer windows say nothing of a trend at p < 0.01.
/// Of fewer gaps a handful would decide.
pub(crate) const GAPS_MIN: u64 = 100;
const WINDOWS: usize = 10;

fn found(state: State, reason: String) -> Option<Finding> {
    Some(Finding { state, reason })
}

/// `Invalid` for what is beyond the harder bound.
fn graded(is_invalid: bool, reason: String) -> Option<Finding> {
    found(if is_invalid { State::Invalid } else { State::Degraded }, reason)
}

fn is_open(outcome: &Outcome) -> bool {
    outcome.rate.target_per_s.is_some()
}

/// Connections that are held and say nothing.
fn is_silent(outcome: &Outcome) -> bool {
    outcome.command == Command::Hold && outcome.arrivals.due == 0
}

fn answers(outcome: &Outcome) -> Option<Finding> {
    let samples = outcome.latency.response.count;
    if is_silent(outcome) {
        return None;
    }
    if outcome.arrivals.due == 0 {
        let measured = duration(outcome.measured_ns as f64);
        return found(
            State::Invalid,
            format!("answers: no request was sent within {measured}; measure longer or send more"),
        );
    }
    if outcome.arrivals.answered == 0 {
        return found(
            State::Invalid,
            format!("answers: none came to {}", plural(outcome.arrivals.sent, "request")),
        );
    }
    if !carries(samples, 0.5) {
        return found(
            State::Invalid,
            format!(
                "samples: {samples} carry no quantile at all, a median needs 40; measure longer or send more"
            ),
        );
    }
    if !carries(samples, 0.99) && outcome.command != Command::Hold {
        return found(
            State::Degraded,
            format!(
                "samples: {} carry no p99, which needs 2,000; measure longer or send more",
                count(samples)
            ),
        );
    }
    None
}

fn ended_early(outcome: &Outcome) -> Option<Finding> {
    let (measured, asked) = (outcome.measured_ns as f64, outcome.asked.duration_ns as f64);
    if measured >= asked * 0.99 {
        return None;
    }
    found(State::Degraded, format!("duration: ended after {} of {}", duration(measured), duration(asked)))
}

fn rate_reached(outcome: &Outcome) -> Option<Finding> {
    // That no answer came at all is said above.
    let target = outcome.rate.target_per_s.filter(|target| *target > 0.0 && outcome.arrivals.answered > 0)?;
    let seconds = outcome.measured_ns as f64 / 1e9;
    let expected = target * seconds;
    // A schedule is not to blame for its own law: Poisson counts vary by their root, constant ones by the arrival at the end.
    let by_chance = if outcome.asked.arrivals == "poisson" { 3.0 * expected.sqrt() } else { 1.0 };
    // Those on their way at the end are missing; of a steady rate a warm-up left as many for the begin, if it was as long (Little, 1961).
    let warmup_ns = if outcome.asked.steady { outcome.asked.warmup_ns as f64 } else { 0.0 };
    let on_their_way_ns = (outcome.latency.service.mean_ns.unwrap_or(0.0) - warmup_ns).max(0.0);
    let slack = by_chance + target * on_their_way_ns / 1e9;
    let reached = outcome.rate.achieved_per_s;
    let short_of = |share: f64| reached * seconds < share * expected - slack;
    if !short_of(0.99) {
        return None;
    }
    graded(
        short_of(0.95),
        format!(
            "rate: {} of {} was answered ({}); lower the rate, or look for what could not keep up",
            rate(reached),
            rate(target),
            percent(reached / target),
        ),
    )
}

fn send_lag(outcome: &Outcome) -> Option<Finding> {
    if !is_open(outcome) {
        return None;
    }
    let median = outcome.latency.service.p50_ns.unwrap_or(0) as f64;
    let limit = LAG_NS.max(LAG_SHARE * median);
    let (name, lag) = highest_to(0.99, &outcome.latency.send_lag)?;
    let lag = lag as f64;
    if lag <= limit {
        return None;
    }
    graded(
        lag > 10.0 * limit,
        format!(
            "send_lag: {name} is {}, more than {}; free the generator's core or lower the rate",
            duration(lag),
            duration(limit),
        ),
    )
}

/// The highest quantile up to `q` that the samples carry.
fn highest_to(q: f64, latency: &Latency) -> Option<(&'static str, u64)> {
    let carried = latency.quantiles().into_iter().rev().filter(|quantile| quantile.q <= q);
    carried.filter_map(|quantile| Some((quantile.name, quantile.value_ns?))).next()
}

/// A shard that stood still sent and timed late, also where every connection was waiting for an answer and no send was due: then
/// `send_lag` cannot tell.
fn pause(outcome: &Outcome) -> Option<Finding> {
    let paused = outcome.generator.paused_max_ns;
    (paused > PAUSE_NS).then(|| Finding {
        state: State::Degraded,
        reason: format!(
            "pause: a shard of the generator stood still for {}, which is in the times of what was under way; \
             give it a core of its own",
            duration(paused as f64)
        ),
    })
}

fn generator(outcome: &Outcome) -> Option<Finding> {
    let busy = outcome.generator.busy_max;
    if is_open(outcome) {
        return (busy > 0.9).then(|| Finding {
            state: State::Degraded,
            reason: format!(
                "generator: its busiest core worked {} of the time; give it more cores or lower the rate",
                percent(busy)
            ),
        });
    }
    // A closed loop asks for all that both sides give; when this side gives out first, the figure is its own.
    (busy > 0.95).then(|| Finding {
        state: State::Degraded,
        reason: format!(
            "generator: its busiest core worked {} of the time: the rate may be its ceiling, not the server's; \
             give it more cores",
            percent(busy)
        ),
    })
}

fn errors(outcome: &Outcome) -> Option<Finding> {
    let errors = outcome.errors;
    let sum = errors.sum();
    if sum == 0 {
        return None;
    }
    let kinds = [
        ("refused", errors.refused),
        ("reset", errors.reset),
        ("timeout", errors.timeout),
        ("short", errors.short),
        ("mismatch", errors.mismatch),
        ("status", errors.status),
    ];
    let kinds = kinds.iter().filter(|(_, n)| *n > 0).map(|(kind, n)| format!("{} {kind}", count(*n)));
    let share = sum as f64 / (sum + outcome.arrivals.answered) as f64;
    let kinds = kinds.collect::<Vec<_>>().join(", ");
    graded(share > 0.01, format!("errors: {} of all requests failed ({kinds})", percent(share)))
}

fn lost_datagrams(outcome: &Outcome) -> Option<Finding> {
    let lost = outcome.verify.lost;
    if lost == 0 {
        return None;
    }
    let share = lost as f64 / outcome.arrivals.sent.max(lost) as f64;
    graded(
        share > 0.01,
        format!(
            "lost: {} ({}) without an answer within {}",
            plural(lost, "datagram"),
            percent(share),
            duration(outcome.asked.timeout_ns as f64)
        ),
    )
}

fn verify(outcome: &Outcome) -> Option<Finding> {
    let verify = outcome.verify;
    // Short answers are among the errors.
    let wrong = [("corrupt", verify.corrupt), ("extra bytes", verify.extra)];
    let moved = [("reordered", verify.reordered), ("duplicated", verify.duplicated)];
    let said = wrong.iter().chain(&moved).filter(|(_, n)| *n > 0);
    let said = said.map(|(kind, n)| format!("{} {kind}", count(*n))).collect::<Vec<_>>().join(", ");
    if said.is_empty() && outcome.errors.mismatch == 0 {
        return None;
    }
    if said.is_empty() {
        let answers = plural(outcome.errors.mismatch, "answer");
        return found(State::Invalid, format!("verify: {answers} not as they should be"));
    }
    // A network may turn datagrams round and send them twice (RFC 768 promises nothing); a stream may not.
    let is_udp = outcome.asked.protocol == "udp-echo";
    let is_invalid = !is_udp || wrong.iter().any(|(_, n)| *n > 0);
    graded(is_invalid, format!("verify: {said}"))
}

fn given_up(outcome: &Outcome) -> Option<Finding> {
    let arrivals = outcome.arrivals;
    let given_up = arrivals.dropped + arrivals.overflowed;
    if given_up == 0 {
        return None;
    }
    let share = given_up as f64 / arrivals.due.max(given_up) as f64;
    graded(
        share > 0.01,
        format!(
            "arrivals: {} ({}) were given up for want of a connection and are in no histogram; \
             raise --connections or --pipeline",
            count(given_up),
            percent(share)
        ),
    )
}

fn waited(outcome: &Outcome) -> Option<Finding> {
    let arrivals = outcome.arrivals;
    let share = arrivals.waited as f64 / arrivals.due.max(1) as f64;
    if !is_open(outcome) || share <= 0.001 {
        return None;
    }
    found(
        State::Degraded,
        format!(
            "arrivals: {} ({}) waited for a free connection, which their response time has; \
             raise --connections or --pipeline",
            count(arrivals.waited),
            percent(share)
        ),
    )
}

fn response_trend(outcome: &Outcome) -> Option<Finding> {
    let answered = || outcome.series.iter().filter(|step| step.mean_ns.is_some());
    // Of a low rate no step carries a median; its mean is better than to look at nothing.
    if answered().filter(|step| step.p50_ns.is_none()).count() * 10 > answered().count() {
        return trend(outcome, "response mean", |step| step.mean_ns, duration);
    }
    trend(outcome, "response median", |step| step.p50_ns.map(|ns| ns as f64), duration)
}

fn throughput_trend(outcome: &Outcome) -> Option<Finding> {
    if is_open(outcome) {
        return None; // the schedule sets it
    }
    let per_s = |step: &Step| {
        let ns = step.to_ns.saturating_sub(step.from_ns);
        (ns > 0).then(|| step.completed as f64 * 1e9 / ns as f64)
    };
    trend(outcome, "throughput", per_s, rate)
}

/// Whether a figure of the steps drifts: Mann-Kendall (Mann 1945, Kendall 1975) over ten windows of the run. A trend that is sure but
/// small is let pass: with enough samples every machine that warms up has one.
fn trend(
    outcome: &Outcome,
    name: &str,
    figure: impl Fn(&Step) -> Option<f64>,
    text: fn(f64) -> String,
) -> Option<Finding> {
    if !outcome.asked.steady || outcome.command == Command::Hold {
        return None;
    }
    let figures: Vec<f64> = outcome.series.iter().filter_map(figure).collect();
    if figures.len() < WINDOWS {
        return None;
    }
    let windows: Vec<f64> = (0..WINDOWS)
        .map(|k| median(&figures[k * figures.len() / WINDOWS..(k + 1) * figures.len() / WINDOWS]))
        .collect();
    let (first, last) = (median(&windows[..3]), median(&windows[WINDOWS - 3..]));
    let Trend { p, relative, .. } = Trend::of(&windows)?;
    if p >= 0.01 || relative.abs() <= 0.1 {
        return None;
    }
    found(
        State::Degraded,
        format!(
            "trend: the {name} went from {} to {} during the run (p {p:.0e}); \
             warm up longer, or the load is more than can be kept up",
            text(first),
            text(last)
        ),
    )
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 { sorted[middle] } else { (sorted[middle - 1] + sorted[middle]) / 2.0 }
}

fn gaps(outcome: &Outcome) -> Option<Finding> {
    let (distance, n) = (outcome.arrivals.gaps_ks?, outcome.arrivals.gaps_count);
    // Judged by size, not by a p: any batching fails that at a million.
    if distance <= 0.05 || n < GAPS_MIN {
        return None;
    }
    found(
        State::Degraded,
        format!(
            "gaps: {} between sends are {distance:.3} from the {} law (KS, more than 0.05): \
             they were sent in batches; add shards or lower the rate",
            plural(n, "gap"),
            outcome.asked.arrivals
        ),
    )
}

fn connections(outcome: &Outcome) -> Option<Finding> {
    let (asked, opened, lost) =
        (outcome.asked.connections, outcome.connections.opened, outcome.connections.lost);
    let is_hold = outcome.command == Command::Hold;
    if opened < asked {
        let said = format!("connections: {} of {} were opened", count(opened), count(asked));
        // A hold was asked how many there can be; a run measures something else over them.
        return graded(is_hold || (opened as f64) < 0.95 * asked as f64, said);
    }
    if is_hold && lost > 0 {
        let said = format!("connections: {} of {} were lost", count(lost), count(opened));
        return graded(lost as f64 > 0.05 * opened as f64, said);
    }
    None
}

#[cfg(test)]
mod tests;

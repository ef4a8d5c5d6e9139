//! The text that ends a search: every rate that was tried, then the run at the rate that was found.
//!
//! Plain text as `stats::summary` writes it. The same result gives the same bytes.

use std::fmt::Write;

use stats::outcome::{Outcome, SearchPoint};
use stats::{summary, text};

/// All of it, with the name of the quantile, and a remark on why the search ended.
pub(crate) fn text(outcome: &Outcome, quantile: &str, remark: Option<&str>) -> String {
    let Some(search) = &outcome.search else { return summary::text(outcome) };
    let mut out = String::new();
    let _ = writeln!(out, "{:>12}{:>9}{:>12}{:>12}{:>12}", "rate", "kept", "achieved", quantile, "curve");
    for point in &search.points {
        let fitted = point.fitted_ns.map_or("-".to_owned(), text::aligned);
        let _ = writeln!(
            out,
            "{:>12}{:>9}{:>12}{:>12}{fitted:>12}  {}",
            text::rate(point.rate_per_s),
            kept(point),
            text::rate(point.achieved_per_s),
            middle(point).map_or("-".to_owned(), text::aligned),
            decision(point),
        );
    }
    let of = if search.rate_per_s.is_some() {
        "The middle one of the runs at the rate found"
    } else {
        "The last run"
    };
    let _ = writeln!(out, "\n{of}:");
    out.push_str(&summary::text(outcome));
    if let Some(remark) = remark {
        let _ = writeln!(out, "\n{remark}");
    }
    out
}

/// `3 of 5`.
fn kept(point: &SearchPoint) -> String {
    format!("{} of {}", point.kept.iter().filter(|kept| **kept).count(), point.kept.len())
}

/// The median of the runs that carried the quantile; the lower of two.
fn middle(point: &SearchPoint) -> Option<f64> {
    let mut carried: Vec<u64> = point.runs_ns.iter().flatten().copied().collect();
    carried.sort_unstable();
    let at = carried.len().checked_sub(1)? / 2;
    Some(carried[at] as f64)
}

fn decision(point: &SearchPoint) -> &'static str {
    let broken = point.kept.iter().filter(|kept| !**kept).count();
    let kept = point.kept.len() - broken;
    match () {
        () if point.accepted => "accepted",
        () if broken >= 3 || (kept >= 3 && broken >= 2) => "rejected",
        () => "undecided",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(kept: &[bool], accepted: bool) -> SearchPoint {
        let runs_ns = kept.iter().map(|kept| kept.then_some(1_000_000)).collect();
        SearchPoint {
            rate_per_s: 1e3,
            achieved_per_s: 999.0,
            runs_ns,
            kept: kept.to_vec(),
            accepted,
            fitted_ns: None,
        }
    }

    #[test]
    fn a_rate_is_called_what_its_runs_decided() {
        let check =
            |kept: &[bool], accepted, expected| assert_eq!(decision(&point(kept, accepted)), expected);
        check(&[true; 3], true, "accepted");
        check(&[true, false, true, true, true], true, "accepted");
        check(&[false; 3], false, "rejected");
        check(&[true, true, true, false, false], false, "rejected");
        check(&[true, true, false, false], false, "undecided");
        check(&[false], false, "undecided");
    }

    #[test]
    fn the_median_is_of_the_runs_that_carried_the_quantile() {
        let of =
            |runs_ns: &[Option<u64>]| middle(&SearchPoint { runs_ns: runs_ns.to_vec(), ..point(&[], false) });
        assert_eq!(of(&[Some(3), None, Some(1), Some(2)]), Some(2.0));
        assert_eq!((of(&[Some(3), Some(1)]), of(&[None]), of(&[])), (Some(1.0), None, None));
    }
}

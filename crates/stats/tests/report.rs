//! The page and the comparison, of made-up results.

mod synthetic;

use stats::outcome::{Change, Outcome, State};
use stats::report::{Finding, compare, page};
use synthetic::{Made, hold, run, search};

/// Small, so that a test is quick; it stalls for a second.
fn stalled() -> Outcome {
    run(Made { per_s: 1_000, each_ns: 25_000, stall_ns: 1_000_000_000, seed: 1 })
}

fn calm() -> Outcome {
    run(Made { per_s: 1_000, each_ns: 25_000, stall_ns: 0, seed: 2 })
}

#[test]
fn the_same_results_give_the_same_bytes_also_when_they_were_read_from_a_file() {
    let first = page(&[("a", &stalled()), ("b", &calm()), ("c", &search())]);
    let again = |outcome: Outcome| -> Outcome {
        serde_json::from_str(&serde_json::to_string_pretty(&outcome).unwrap()).unwrap()
    };
    assert!(first == page(&[("a", &again(stalled())), ("b", &again(calm())), ("c", &again(search()))]));
    assert!(
        first != page(&[("a", &stalled()), ("b", &stalled()), ("c", &search())]),
        "what is measured is shown"
    );
}

#[test]
fn no_text_of_a_result_becomes_markup() {
    const HOSTILE: &str = "<script>alert('\"&')</script>";
    let hostile = || HOSTILE.to_string();
    let mut outcome = search();
    outcome.version = hostile();
    outcome.verdict.state = State::Invalid;
    outcome.verdict.reasons = vec![hostile()];
    let asked = &mut outcome.asked;
    let texts =
        [&mut asked.url, &mut asked.protocol, &mut asked.address, &mut asked.arrivals, &mut asked.schedule];
    texts.into_iter().for_each(|text| *text = hostile());
    [&mut asked.late, &mut asked.mode, &mut asked.idle].into_iter().for_each(|text| *text = hostile());
    let found = outcome.search.as_mut().unwrap();
    (found.slo, found.ended) = (format!("{HOSTILE}<2ms"), hostile());
    let environment = &mut outcome.environment;
    [
        &mut environment.kernel,
        &mut environment.cpu_model,
        &mut environment.clocksource,
        &mut environment.ring_tier,
    ]
    .into_iter()
    .for_each(|text| *text = hostile());
    (environment.governor, environment.program) = (Some(hostile()), hostile());
    environment.mitigations = vec![(hostile(), hostile())];
    environment.command_line = vec![hostile()];
    environment.changes = vec![Change { name: hostile(), by: 1 }];
    let mut other = outcome.clone();
    other.asked.connections += 1;
    other.asked.schedule += "x";
    for page in [page(&[(HOSTILE, &outcome)]), page(&[(HOSTILE, &outcome), (HOSTILE, &other)])] {
        assert!(!page.contains("<script") && !page.contains("</script"), "a text stands there as it came");
        // Every field but those that only steer what is drawn is there: url, name, reason, ..., each escaped.
        assert!(page.matches("&lt;script&gt;").count() >= 18, "{}", page.matches("&lt;script&gt;").count());
        let mut open = 0i64;
        page.split('<').skip(1).for_each(|tag| open += if tag.starts_with('/') { -1 } else { 1 });
        let (title, void) =
            (page.matches("<!DOCTYPE").count(), page.matches("<meta").count() + page.matches("/>").count());
        assert_eq!(open, (title + void) as i64, "every tag that is opened is closed");
    }
}

#[test]
fn a_page_needs_nothing_from_elsewhere() {
    let page = page(&[("a", &stalled()), ("b", &calm())]);
    for outside in ["src=", "href=", "@import", "url(", "<script", "<link"] {
        assert!(!page.contains(outside), "{outside}");
    }
    let namespace = "http://www.w3.org/2000/svg";
    assert!(
        page.replace(namespace, "").matches("://").count()
            == page.matches("http://127.0.0.1:8080/ping").count()
    );
}

#[test]
fn every_kind_of_result_has_the_charts_that_it_has_points_for() {
    let titles = |page: String| -> Vec<String> {
        let titles = page.split("<text class=\"title\"").skip(1);
        titles.map(|rest| rest.split(['>', '<']).nth(1).unwrap().to_string()).collect()
    };
    let run =
        ["Latency by percentile", "Throughput over time", "Response time over time", "Send lag over time"];
    assert_eq!(titles(page(&[("a", &stalled())])), run);
    assert_eq!(titles(page(&[("a", &stalled()), ("b", &calm())])), run);
    assert_eq!(titles(page(&[("hold", &hold())])), ["Connections over time"]);
    assert_eq!(titles(page(&[("search", &search())]))[0], "The promise over the rate");
    assert!(page(&[]).contains("No result"));
}

#[test]
fn a_page_is_made_of_the_largest_and_the_smallest_figures_too() {
    for (ns, per_s) in [(0, 0.0), (1, f64::MIN_POSITIVE), (u64::MAX, f64::MAX), (5, -1.0)] {
        let mut outcome = search();
        (outcome.began_unix_s, outcome.measured_ns, outcome.asked.duration_ns) = (ns, ns, ns);
        (outcome.rate.target_per_s, outcome.rate.achieved_per_s) = (Some(per_s), per_s);
        let response = &mut outcome.latency.response;
        (response.count, response.p99_ns, response.ci95.p99_ns) = (ns, Some(ns), Some([ns, ns]));
        response.curve.iter_mut().for_each(|point| (point.value_ns, point.quantile) = (ns, per_s));
        outcome.series.truncate(3);
        for step in &mut outcome.series {
            (step.to_ns, step.completed, step.errors, step.connections) = (ns, ns, ns, ns);
            (step.p50_ns, step.max_ns, step.send_lag_p99_ns) = (Some(ns), Some(ns), Some(ns));
        }
        let found = outcome.search.as_mut().unwrap();
        (found.rate_per_s, found.ci95_per_s) = (Some(per_s), Some([per_s, -per_s]));
        for point in &mut found.points {
            (point.rate_per_s, point.fitted_ns, point.runs_ns) = (per_s, Some(ns as f64), vec![Some(ns)]);
        }
        let page = page(&[("a", &outcome), ("b", &outcome), ("c", &calm())]);
        assert!(!page.contains("NaN") && !page.contains(",inf") && page.len() < 1_000_000, "{ns} {per_s}");
    }
}

#[test]
fn a_verdict_stands_there_in_words_with_its_reasons() {
    let mut outcome = calm();
    for (state, word) in [(State::Valid, "valid"), (State::Degraded, "degraded"), (State::Invalid, "invalid")]
    {
        outcome.verdict.state = state;
        outcome.verdict.reasons = vec!["send_lag: p99 is 3 ms".to_string()];
        let page = page(&[("a", &outcome)]);
        assert!(
            page.contains(&format!("<div class=\"verdict {word}\">"))
                && page.contains(&format!(" {word}</strong>"))
        );
        assert!(page.contains("<li>send_lag: p99 is 3 ms</li>"));
    }
}

#[test]
fn a_quantile_without_samples_is_a_dash_with_its_reason() {
    let mut outcome = calm();
    outcome.latency.response.p99_99_ns = None;
    assert!(page(&[("a", &outcome)]).contains("fewer than 20 samples lie beyond it\">-<"));
}

#[test]
fn one_run_of_each_is_told_apart_where_their_intervals_do_not_meet() {
    let (slow, fast) = (stalled(), calm());
    let compared = compare(std::slice::from_ref(&fast), std::slice::from_ref(&slow));
    let finding = |name: &str| compared.rows.iter().find(|row| row.name == name).unwrap().finding;
    assert_eq!(finding("response p99"), Finding::Different);
    assert_eq!(finding("rate"), Finding::CannotSay);
    let same = compare(std::slice::from_ref(&fast), std::slice::from_ref(&fast));
    let row = same.rows.iter().find(|row| row.name == "response p99").unwrap();
    assert_eq!((row.finding, row.percent), (Finding::NotDifferent, Some(0.0)));
    assert!(same.warnings.is_empty(), "{:?}", same.warnings);
}

/// `count` runs whose rate and p99 are so many times those of a calm run, each a little different.
fn runs(count: u64, times: f64) -> Vec<Outcome> {
    let calm = calm();
    let one = |k: u64| {
        let mut run = calm.clone();
        let wobble = times * (1.0 + (k * 7 % 5) as f64 / 1_000.0);
        run.rate.achieved_per_s *= wobble;
        let p99 = &mut run.latency.response.p99_ns;
        *p99 = p99.map(|ns| (ns as f64 * wobble) as u64);
        run
    };
    (0..count).map(one).collect()
}

#[test]
fn six_pairs_of_runs_say_what_five_cannot() {
    let finding = |a: u64, b: u64, times: f64| {
        let compared = compare(&runs(a, 1.0), &runs(b, times));
        let row = compared.rows.into_iter().find(|row| row.name == "rate").unwrap();
        (row.finding, row.percent.unwrap().round())
    };
    assert_eq!(finding(6, 6, 1.1), (Finding::Different, 10.0));
    assert_eq!(finding(6, 6, 0.9), (Finding::Different, -10.0));
    assert_eq!(finding(6, 6, 1.0), (Finding::NotDifferent, 0.0));
    assert_eq!(finding(5, 5, 1.1), (Finding::CannotSay, 10.0));
    assert_eq!(finding(6, 7, 1.1), (Finding::CannotSay, 10.0));
}

#[test]
fn what_cannot_be_compared_is_one_warning_and_no_table() {
    let calm = calm();
    let other = |change: fn(&mut Outcome)| {
        let mut other = calm.clone();
        change(&mut other);
        compare(std::slice::from_ref(&calm), &[other])
    };
    type Spoil = fn(&mut Outcome);
    let table: [(Spoil, &str); 3] = [
        (|other| other.asked.protocol = "echo".to_string(), "protocol http against echo"),
        (|other| other.schema += 1, "schema 1 against 2"),
        (|other| other.command = stats::outcome::Command::Hold, "a run against a hold"),
    ];
    for (change, why) in table {
        let compared = other(change);
        assert!(compared.rows.is_empty());
        assert_eq!(compared.text(), format!("warning: these results cannot be compared: {why}\n"));
    }
    assert_eq!(
        compare(&[], std::slice::from_ref(&calm)).warnings,
        ["these results cannot be compared: one side has no run"]
    );
    let loads = other(|other| other.asked.connections = 128);
    assert_eq!(loads.warnings, ["the number of connections differs: 64 against 128"]);
    assert!(!loads.rows.is_empty());
    let invalid = other(|other| other.verdict.state = State::Invalid);
    assert_eq!(invalid.warnings.len(), 1);
}

#[test]
fn the_table_for_a_terminal_is_what_was_looked_at() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/compare.txt");
    let text = compare(&[calm()], &[stalled()]).text() + "\n" + &compare(&runs(6, 1.0), &runs(6, 1.1)).text();
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(path, &text).unwrap();
    }
    assert!(text == std::fs::read_to_string(path).unwrap(), "the table changed:\n{text}");
}

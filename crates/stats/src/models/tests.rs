//! Made-up rounds with known ratios: what is found in them, how it reads, and what is written.

use super::*;
use crate::outcome::tests::check::Schema;
use crate::sample;
use serde_json::Value;

/// Rounds that differ by what changes from minute to minute, in which a variant costs and gives `times` as much as another.
fn rounds(count: u64, times: f64) -> Vec<Round> {
    let one = |round: u64| {
        // Of the machine: the same for all variants of a round. And of the run itself.
        let machine = 1.0 + (round * 7 % 5) as f64 / 10.0;
        let own = 1.0 + (round * 11 % 3) as f64 / 1e3;
        Round {
            requests_per_s: Some((200_000.0 * machine * own / times).round()),
            cpu_ns_per_request: Some((4_200.0 * own * times).round()),
            enters_per_request: Some(0.1),
            calls_per_request: Some(0.1),
            syscalls_per_request: None,
            switches_voluntary_per_request: Some(if times > 1.0 { 0.002 } else { 0.0 }),
            switches_involuntary_per_request: Some(0.0),
            p50_ns: Some((70_000.0 * machine * own).round()),
            p99_ns: Some((300_000.0 * machine * own * times * times).round()),
            p99_9_ns: (round.is_multiple_of(2)).then_some(900_000.0),
            cpu_ns_per_request_at_rate: Some(6_000.0),
            memory_bytes_per_connection: Some(188.0 * times * 40.0),
            resident_bytes: Some(8e6),
            threads: Some(2.0),
            server_busy: Some(0.99),
            generator_busy: Some(0.7),
            failed_requests: 0,
            verdict: Some(State::Valid),
            failures: Vec::new(),
        }
    };
    (0..count).map(one).collect()
}

fn variant(name: &str, count: u64, times: f64) -> Variant {
    let flags = vec!["--engine".to_owned(), name.to_owned()];
    Variant { name: name.to_owned(), flags, refused: None, rounds: rounds(count, times) }
}

fn refused(name: &str) -> Variant {
    let said = "no such <engine> | here".to_owned();
    Variant { name: name.to_owned(), refused: Some(said), ..Variant::default() }
}

fn plan(baseline: &str) -> Plan {
    let asked = Asked {
        service: "echo".to_owned(),
        bytes: 64,
        connections: 64,
        pipeline: 1,
        rounds: 7,
        duration_ns: 2_000_000_000,
        warmup_ns: 300_000_000,
        idle: 1000,
        cores_server: vec![0],
        cores_load: vec![1],
        verify: true,
        seed: 7,
        ..Asked::default()
    };
    Plan { version: "0.1.0".to_owned(), began_unix_s: 1_772_323_200, asked, baseline: baseline.to_owned() }
}

fn models(variants: Vec<Variant>) -> Models {
    let notes = vec!["a note".to_owned()];
    Models::new(plan("uring"), 61_234.567_89, variants, notes, sample::good().environment)
}

/// Two that differ, one that does not, and one that refused.
fn full() -> Models {
    models(vec![
        variant("uring", 7, 1.0),
        variant("epoll", 7, 1.1),
        variant("same", 7, 1.0),
        refused("glommio"),
    ])
}

fn finding(models: &Models, variant: &str, figure: &str) -> (Finding, Option<f64>) {
    let is_it = |found: &&Comparison| found.variant == variant && found.figure == figure;
    let found = models.comparisons.iter().find(is_it).unwrap_or_else(|| panic!("{variant} {figure}"));
    (found.finding, found.ratio.map(|ratio| (ratio * 100.0).round() / 100.0))
}

#[test]
fn a_ratio_is_found_behind_what_changes_from_round_to_round() {
    let models = full();
    assert_eq!(finding(&models, "epoll", "requests_per_s"), (Finding::Lower, Some(0.91)));
    assert_eq!(finding(&models, "epoll", "p99_ns"), (Finding::Higher, Some(1.21)));
    assert_eq!(finding(&models, "epoll", "p50_ns"), (Finding::Tie, Some(1.0)));
    assert_eq!(finding(&models, "same", "cpu_ns_per_request"), (Finding::Tie, Some(1.0)));
    assert!(!models.comparisons.iter().any(|found| found.figure == "syscalls_per_request"));
    assert!(!models.comparisons.iter().any(|found| ["uring", "glommio"].contains(&found.variant.as_str())));
}

#[test]
fn less_than_three_percent_is_a_tie_however_sure_and_more_is_not() {
    for (times, expected) in [(1.02, Finding::Tie), (1.05, Finding::Higher), (0.9, Finding::Lower)] {
        let models = models(vec![variant("uring", 7, 1.0), variant("other", 7, times)]);
        assert_eq!(finding(&models, "other", "cpu_ns_per_request").0, expected, "{times}");
    }
}

#[test]
fn fewer_than_six_rounds_cannot_say_what_is_more_than_chance() {
    let models = models(vec![variant("uring", 5, 1.0), variant("epoll", 5, 1.1)]);
    assert_eq!(finding(&models, "epoll", "cpu_ns_per_request"), (Finding::Unclear, Some(1.1)));
    assert_eq!(finding(&models, "epoll", "threads"), (Finding::Tie, Some(1.0)));
    assert!(models.warnings[0].starts_with("ended early: 5 of 7 rounds"), "{:?}", models.warnings);
    assert!(models.warnings[1].contains("an interval of 95 % takes 6"), "{:?}", models.warnings);
}

#[test]
fn rounds_without_a_figure_are_no_pairs_and_what_was_0_has_no_ratio() {
    let models = full();
    let p99_9 =
        models.comparisons.iter().find(|found| found.figure == "p99_9_ns").expect("four rounds have it");
    assert_eq!((p99_9.pairs, p99_9.ci95), (4, None));
    let voluntary = "switches_voluntary_per_request";
    assert_eq!(finding(&models, "epoll", voluntary), (Finding::Higher, None));
    assert_eq!(finding(&models, "same", voluntary), (Finding::Tie, None));
}

#[test]
fn where_the_baseline_refuses_the_first_that_served_takes_its_place() {
    let models = models(vec![refused("uring"), variant("epoll", 7, 1.0), variant("pool", 7, 1.1)]);
    assert_eq!((models.baseline.as_str(), models.rounds), ("epoll", 7));
    assert_eq!(models.notes[0], "uring did not serve, so all are compared with epoll");
    assert_eq!(finding(&models, "pool", "cpu_ns_per_request").0, Finding::Higher);
}

#[test]
fn what_speaks_against_the_figures_is_said_and_is_the_exit_code() {
    assert_eq!(models(vec![variant("uring", 7, 1.0)]).exit_code(), 0);
    let mut spoilt = variant("uring", 7, 1.0);
    spoilt.rounds[1].failures.push("open loop: the server ended with code 1".to_owned());
    spoilt.rounds[2].verdict = Some(State::Invalid);
    spoilt.rounds[3].failed_requests = 12;
    for round in &mut spoilt.rounds {
        (round.server_busy, round.generator_busy) = (Some(0.6), Some(0.99));
    }
    let models = models(vec![spoilt, refused("epoll")]);
    let expected = [
        "uring: round 2: open loop: the server ended with code 1",
        "uring: 12 requests failed",
        "uring: 1 of 7 open loops judged themselves invalid: do not quote their latency",
        "uring: the generator was busy and the server was not: requests/s is the generator's limit",
        "epoll was not measured, its server refused: no such <engine> | here",
    ];
    assert_eq!(models.warnings, expected);
    assert_eq!(models.exit_code(), 3);
}

#[test]
fn an_order_holds_every_variant_once_and_is_another_in_each_round_and_pass() {
    let orders: Vec<Vec<usize>> =
        (0..6).flat_map(|round| (0..4).map(move |pass| order(9, round, pass, 8))).collect();
    for found in &orders {
        let mut sorted = found.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, (0..8).collect::<Vec<_>>());
    }
    let different: std::collections::BTreeSet<_> = orders.iter().collect();
    assert_eq!(different.len(), orders.len());
    assert_eq!(
        (order(9, 3, 1, 8), order(9, 0, 0, 0), order(9, 0, 0, 1)),
        (orders[13].clone(), vec![], vec![0])
    );
}

#[test]
fn the_rate_is_half_of_the_slowest_to_two_digits() {
    assert_eq!(half_of_slowest([212_345.6, 130_987.0]), Some(65_000.0));
    assert_eq!((half_of_slowest([3.3]), half_of_slowest([])), (Some(1.6), None));
    assert_eq!(half_of_slowest([0.0, 10.0]), None);
}

/// Set `RINGMILL_BLESS=1` to write what is said now, and look at the difference.
fn golden(name: &str, said: &str) {
    let path = format!("{}/tests/golden/{name}", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("RINGMILL_BLESS").is_some() {
        std::fs::write(&path, said).expect("the file can be written");
    }
    assert_eq!(said, std::fs::read_to_string(&path).expect(&path));
}

#[test]
fn the_table_and_the_markdown_read_as_they_were_looked_at() {
    let said = text(&full());
    assert!(said.is_ascii() && said.lines().all(|line| line.len() <= 100 && !line.ends_with(' ')), "{said}");
    golden("models.txt", &said);
    golden("models.md", &markdown(&full()));
}

#[test]
fn the_same_result_gives_the_same_page_which_needs_nothing_from_elsewhere() {
    let written = serde_json::to_string_pretty(&full()).expect("it can be written");
    let read: Models = serde_json::from_str(&written).expect("it can be read");
    assert_eq!(read, full());
    let page = page(&read);
    assert!(page == super::page(&full()));
    for outside in ["src=", "href=", "@import", "url(", "<script", "<link"] {
        assert!(!page.contains(outside), "{outside}");
    }
    assert!(!page.contains("<engine>") && page.contains("no such &lt;engine&gt;"));
    assert!(!page.contains("NaN") && !page.contains("inf"), "what cannot be told is not drawn");
    // Two pictures of each of thirteen figures, but of that which was 0 in the baseline no ratio, nor of that which was 0 in all.
    assert_eq!(page.matches("<figure>").count(), 13 * 2 - 2);
}

#[test]
fn a_page_is_made_of_nothing_and_of_the_largest_figures_too() {
    let mut wild = variant("uring", 7, 1.0);
    wild.rounds[0].p50_ns = Some(f64::MAX);
    wild.rounds[1].p50_ns = Some(f64::MIN_POSITIVE);
    for variants in
        [vec![], vec![refused("a")], vec![variant("uring", 0, 1.0)], vec![wild, variant("b", 7, 1e9)]]
    {
        let page = page(&models(variants));
        assert!(!page.contains("NaN") && !page.contains(",inf") && page.ends_with("</html>\n"));
    }
}

#[test]
fn results_are_what_the_schema_says_and_without_any_field_they_are_not() {
    let text = include_str!("../../../../docs/models.schema.json");
    let schema = Schema(serde_json::from_str(text).expect("it is JSON"));
    let full = serde_json::to_value(full()).expect("it can be written");
    schema.check(&full).unwrap();
    schema.check(&serde_json::to_value(models(vec![])).expect("it can be written")).unwrap();
    for place in ["", "/asked", "/variants/0", "/variants/0/rounds/0", "/comparisons/0"] {
        let keys = full.pointer(place).and_then(Value::as_object).expect("an object").keys();
        for key in keys {
            let mut without = full.clone();
            without.pointer_mut(place).and_then(Value::as_object_mut).expect("an object").remove(key);
            assert!(schema.check(&without).is_err(), "{place}/{key}");
        }
    }
}

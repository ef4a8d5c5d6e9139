//! Results as they are written against `docs/result.schema.json`, and the keys that others build on.

pub(crate) mod check;

use super::{
    Asked, Build, CodeCount, Command, Echoes, Frames, Heartbeats, Hold, Losses, Muted, Outcome, Search,
    SearchPoint,
};
use crate::interval::Interval;
use crate::sample;
use check::Schema;
use serde_json::{Value, json};

fn schema() -> Schema {
    Schema(serde_json::from_str(include_str!("../../../../docs/result.schema.json")).expect("it is JSON"))
}

/// A result with every optional part, which no command writes.
fn full() -> Outcome {
    let mut outcome = sample::good();
    outcome.command = Command::Search;
    let point = SearchPoint {
        rate_per_s: 150e3,
        achieved_per_s: 149_990.5,
        runs_ns: vec![Some(1_700_000), None, Some(1_900_000)],
        kept: vec![true, false, true],
        accepted: true,
        fitted_ns: Some(1_812_345.5),
    };
    outcome.search = Some(Search {
        slo: "p99<2ms".to_owned(),
        rate_per_s: Some(150e3),
        ci95_per_s: Some([140e3, 155e3]),
        points: vec![point.clone(), SearchPoint { fitted_ns: None, ..point }],
        ended: "found".to_owned(),
    });
    outcome.hold = Some(Hold {
        reached: 99_990,
        opening_ns: 10_000_000_000,
        refused: Losses { no_port: 10, ..Losses::default() },
        lost: Losses { reset: 3, timeout: 1, ..Losses::default() },
        heartbeats: Heartbeats {
            every_ns: Some(5_000_000_000),
            sent: 7,
            answered: 6,
            ..Heartbeats::default()
        },
        bytes_per_connection: Some(231.5),
        closing_ns: Some(2_000_000_000),
        open_per_s: vec![9_000, 99_990],
        frames: Some(Frames {
            pongs: 3,
            errors: vec![CodeCount { code: 16, count: 2 }],
            echo: Some(Echoes { sent: 9, answered: 8, failed: 1, took_ns: 5_000_000 }),
            muted: Some(Muted {
                muted: 3,
                found: 2,
                silent_min_ns: Some(70_000_000_000),
                silent_p50_ns: Some(80_000_000_000),
                silent_max_ns: Some(90_001_000_000),
            }),
        }),
    });
    outcome
}

/// Nothing came: every figure that can be missing is.
fn empty() -> Outcome {
    let mut plan = sample::plan();
    plan.law = None;
    plan.asked = Asked { arrivals: "closed".to_owned(), ..plan.asked };
    let mut end = sample::end();
    end.expected = None;
    end.cost.cores = vec![None];
    end.cost.enters = None;
    let mut build = Build::new(plan);
    build.add(&Interval { to_ns: 1_000_000_000, ..Interval::new() });
    build.finish(end)
}

fn json(outcome: &Outcome) -> Value {
    serde_json::to_value(outcome).expect("a result can be written")
}

/// Every path to a value in a document, as JSON pointers (RFC 6901).
fn paths(value: &Value, at: &str, into: &mut Vec<String>) {
    match value {
        Value::Object(fields) => fields.iter().for_each(|(key, value)| {
            into.push(format!("{at}/{key}"));
            paths(value, &format!("{at}/{key}"), into);
        }),
        Value::Array(items) => items.iter().take(1).for_each(|item| paths(item, &format!("{at}/0"), into)),
        _ => {}
    }
}

#[test]
fn results_are_what_the_schema_says() {
    let mut hold = empty();
    (hold.command, hold.began_unix_s, hold.verdict.reasons) = (Command::Hold, 0, Vec::new());
    let mut silent = full();
    let hold_of = silent.hold.as_mut().expect("it has one");
    (hold_of.heartbeats.every_ns, hold_of.bytes_per_connection) = (None, None);
    (hold_of.closing_ns, hold_of.frames) = (None, None);
    let mut none_found = full();
    if let Some(Hold { frames: Some(frames), .. }) = &mut none_found.hold {
        (frames.echo, frames.muted) = (None, Some(Muted { muted: 1, ..Muted::default() }));
    }
    let mut nothing_found = full();
    let search = nothing_found.search.as_mut().expect("it has one");
    (search.rate_per_s, search.ci95_per_s, search.ended) = (None, None, "floor".to_owned());
    for outcome in [sample::good(), empty(), full(), hold, silent, none_found, nothing_found] {
        schema().check(&json(&outcome)).unwrap();
    }
}

#[test]
fn what_is_written_is_read_back() {
    for outcome in [full(), empty()] {
        let written = serde_json::to_string_pretty(&outcome).expect("a result can be written");
        assert_eq!(serde_json::from_str::<Outcome>(&written).expect("it can be read"), outcome);
        assert_eq!(
            serde_json::to_string_pretty(&outcome).unwrap(),
            written,
            "the same result, the same bytes"
        );
    }
    let mut later = json(&full());
    later["rate"]["of_a_later_version"] = json!(1);
    assert_eq!(
        serde_json::from_value::<Outcome>(later).expect("a field that is not known is passed over"),
        full()
    );
}

#[test]
fn a_result_without_any_one_of_its_fields_is_refused() {
    let (schema, full) = (schema(), json(&full()));
    let mut all = Vec::new();
    paths(&full, "", &mut all);
    assert!(all.len() > 150, "{} fields", all.len());
    for path in all.iter().filter(|path| !["/search", "/hold", "/hold/frames"].contains(&path.as_str())) {
        let (parent, key) = path.rsplit_once('/').expect("it begins with one");
        let mut without = full.clone();
        without.pointer_mut(parent).and_then(Value::as_object_mut).expect("it was walked").remove(key);
        assert!(schema.check(&without).is_err(), "{path} may be missing");
    }
}

#[test]
fn a_result_with_a_field_more_or_of_another_kind_is_refused() {
    let (schema, full) = (schema(), json(&full()));
    let mut all = Vec::new();
    paths(&full, "", &mut all);
    for path in all {
        let mut other = full.clone();
        let value = other.pointer_mut(&path).expect("it was walked");
        if let Some(fields) = value.as_object_mut() {
            fields.insert("unknown".to_owned(), json!(0));
        } else {
            *value = json!({ "of": "another kind" });
        }
        assert!(schema.check(&other).is_err(), "{path} may be anything");
    }
}

#[test]
fn every_definition_of_the_schema_is_described_and_used() {
    let Schema(schema) = schema();
    let text = schema.to_string();
    for (name, definition) in schema["$defs"].as_object().expect("it has some") {
        assert!(text.contains(&format!("\"#/$defs/{name}\"")), "{name} is not used");
        assert!(definition["description"].is_string(), "{name} is not described");
        for (field, of) in definition["properties"].as_object().into_iter().flatten() {
            assert!(
                of["description"].as_str().is_some_and(|said| said.len() > 3),
                "{name}.{field} is not described"
            );
        }
    }
}

#[test]
fn the_keys_that_others_build_on_stand() {
    let outcome = json(&full());
    let mut keys: Vec<String> = [
        "schema",
        "verdict.state",
        "verdict.reasons",
        "rate.target_per_s",
        "rate.achieved_per_s",
        "search.rate_per_s",
        "search.ci95_per_s",
        "search.points",
        "series",
        "environment",
    ]
    .map(str::to_owned)
    .into();
    for (group, names) in [
        ("errors", &["refused", "reset", "timeout", "short", "mismatch", "status"][..]),
        ("verify", &["checked_bytes", "corrupt", "lost", "duplicated", "reordered"]),
        ("connections", &["opened", "held", "lost"]),
    ] {
        keys.extend(names.iter().map(|name| format!("{group}.{name}")));
    }
    let quantiles = ["p50_ns", "p90_ns", "p99_ns", "p99_9_ns", "p99_99_ns"];
    for histogram in ["response", "service", "send_lag", "connect"] {
        let figures = ["count", "mean_ns", "max_ns"].into_iter().chain(quantiles);
        keys.extend(figures.map(|figure| format!("latency.{histogram}.{figure}")));
        keys.extend(quantiles.map(|quantile| format!("latency.{histogram}.ci95.{quantile}")));
    }
    for key in keys {
        let pointer = format!("/{}", key.replace('.', "/"));
        assert!(outcome.pointer(&pointer).is_some(), "no {key}");
    }
    assert_eq!((&outcome["schema"], &outcome["verdict"]["state"]), (&json!(1), &json!("valid")));
}

//! What the arithmetic of experiments must keep, on runs of a few lines.

use super::*;
use crate::outcome::tests::check::Schema;
use serde_json::Value;

/// An experiment of which every block has these ratios of A' and of B to A.
pub(crate) fn made(declaration: Declaration, ratios: &[[f64; 2]], ended: Ended) -> Experiment {
    let arms = arms(&declaration, ratios);
    Experiment::of(declaration, arms, ended, Origin::default())
}

fn arms(declaration: &Declaration, ratios: &[[f64; 2]]) -> Vec<Arm> {
    let mut arms: Vec<Arm> = declaration
        .arms
        .iter()
        .map(|arm| Arm { name: arm.name.clone(), spec: arm.spec.clone(), runs: Vec::new() })
        .collect();
    for (at, [aa, ab]) in ratios.iter().enumerate() {
        for (arm, ratio) in [1.0, *aa, *ab].into_iter().enumerate() {
            let mut run =
                Run { order: 3 * at as u64 + arm as u64 + 1, block: at as u64 + 1, ..Run::default() };
            run.put("requests_per_s", 1_000.0 * ratio);
            run.put("p99_ns", 5_000.0 / ratio);
            arms[arm].runs.push(run);
        }
    }
    arms
}

pub(crate) fn declared() -> Declaration {
    Declaration::new("", "knob=1", "requests_per_s", Better::Higher, 1)
}

/// Ratios about `center` that differ a little from block to block, never twice the same.
pub(crate) fn about(center: f64, spread: f64, count: usize) -> Vec<[f64; 2]> {
    let off = |at: usize| spread * ((at * 7 % 12) as f64 / 11.0 - 0.5);
    (0..count).map(|at| [1.0 + off(at + 5), center * (1.0 + off(at))]).collect()
}

#[test]
fn the_verdict_is_that_of_the_interval_in_the_declared_direction() {
    let check = |center: f64, spread: f64, better: Better, expected: Verdict| {
        let declaration = Declaration { better, ..declared() };
        let experiment = made(declaration, &about(center, spread, 12), Ended::Budget);
        assert_eq!(experiment.verdict, expected, "{center} {spread}: {}", experiment.reason);
    };
    check(1.10, 0.02, Better::Higher, Verdict::Better);
    check(1.10, 0.02, Better::Lower, Verdict::Worse);
    check(0.90, 0.02, Better::Higher, Verdict::Worse);
    check(1.00, 0.01, Better::Higher, Verdict::Equivalent);
    // It is there, and it was declared not to matter.
    check(1.01, 0.002, Better::Higher, Verdict::Equivalent);
    check(1.00, 0.30, Better::Higher, Verdict::Undecided);
}

#[test]
fn equivalent_is_not_said_where_equal_things_are_not_known_to_be_equal() {
    let mut ratios = about(1.0, 0.005, 12);
    assert_eq!(made(declared(), &ratios, Ended::Budget).verdict, Verdict::Equivalent);
    ratios.iter_mut().zip(about(1.0, 0.2, 12)).for_each(|(to, [aa, _])| to[0] = aa);
    let experiment = made(declared(), &ratios, Ended::Budget);
    assert_eq!(experiment.verdict, Verdict::Undecided);
    assert!(experiment.notes.iter().any(|note| note.contains("`equivalent` cannot be said")));
    assert!(experiment.reason.contains("A' against A is not known"), "{}", experiment.reason);
}

#[test]
fn seven_blocks_have_no_interval_and_none_has_no_effect() {
    let seven = made(declared(), &about(1.5, 0.01, 7), Ended::Stopped);
    assert_eq!((seven.verdict, seven.ci95_pct, seven.blocks), (Verdict::Undecided, None, 7));
    assert!(seven.effect_pct.is_some_and(|effect| (effect - 50.0).abs() < 1.0));
    assert!(seven.reason.contains("takes 8") && seven.notes.iter().any(|note| note.contains("by its user")));
    let none = made(declared(), &[], Ended::Stopped);
    assert_eq!((none.effect_pct, none.p, none.detectable_pct), (None, None, None));
    assert_eq!(ends(&none.declaration, &none.arms), None);
}

#[test]
fn an_experiment_ends_at_a_look_and_at_its_budget_and_not_between() {
    let ends_after = |center: f64, spread: f64, blocks: usize| {
        ends(&declared(), &arms(&declared(), &about(center, spread, blocks)))
    };
    assert_eq!([7, 8, 9].map(|blocks| ends_after(1.5, 0.01, blocks)), [None, Some(Ended::Decided), None]);
    assert_eq!(ends_after(1.0, 0.3, 12), None);
    assert_eq!(ends_after(1.0, 0.3, 64), Some(Ended::Budget));
}

#[test]
fn a_run_is_left_out_for_what_its_generator_said_and_with_it_its_block_alone() {
    let declaration = declared();
    let mut arms = arms(&declaration, &about(0.9, 0.02, 12));
    arms[2].runs[3].excluded = Some("send_lag: p99 is 3 ms".to_owned());
    arms[2].runs[3].put("requests_per_s", 1.0);
    arms[1].runs[5].excluded = Some("send_lag: p99 is 4 ms".to_owned());
    let experiment = Experiment::of(declaration, arms.clone(), Ended::Budget, Origin::default());
    assert_eq!((experiment.blocks, experiment.aa.blocks, experiment.verdict), (11, 11, Verdict::Worse));
    assert!(
        experiment.notes.iter().any(|note| note.starts_with("2 runs excluded")),
        "{:?}",
        experiment.notes
    );
    // The wildest of values is kept, as long as the generator stands by it.
    arms[2].runs[3].excluded = None;
    let kept = Experiment::of(experiment.declaration, arms, Ended::Budget, Origin::default());
    assert_eq!(kept.blocks, 12);
}

#[test]
fn an_arm_that_loses_its_runs_is_told_of_and_so_is_a_figure_without_a_ratio() {
    let declaration = declared();
    let mut arms = arms(&declaration, &about(1.0, 0.02, 12));
    for run in arms[2].runs.iter_mut().take(6) {
        run.excluded = Some("errors: 12 % of requests".to_owned());
    }
    arms[0].runs[11].put("requests_per_s", 0.0);
    let experiment = Experiment::of(declaration, arms, Ended::Budget, Origin::default());
    let banners = experiment.banners.join("\n");
    assert!(banners.contains("0 runs of A and 6 of B") && banners.contains("errors: 12 %"), "{banners}");
    assert!(banners.contains("1 run has no requests_per_s"), "{banners}");
    assert_eq!(experiment.exit_code(), 3);
}

#[test]
fn equal_things_that_differ_and_a_machine_that_others_use_have_a_banner() {
    let ratios: Vec<[f64; 2]> = about(1.0, 0.01, 12).into_iter().map(|[aa, ab]| [aa * 1.05, ab]).collect();
    let differs = made(declared(), &ratios, Ended::Budget);
    assert!(differs.aa.differs && differs.banners[0].starts_with("A/A differs"), "{:?}", differs.banners);
    assert!(differs.banners[0].contains("happens to 1.2 % of experiments"), "{:?}", differs.banners);
    assert_eq!(made(declared(), &about(1.0, 0.01, 12), Ended::Budget).banners, Vec::<String>::new());
    let mut arms = arms(&declared(), &about(1.0, 0.01, 12));
    arms.iter_mut().flat_map(|arm| &mut arm.runs).for_each(|run| {
        (run.steal_share, run.pressure_share) = (Some(0.05), Some(0.5));
    });
    let shared = Experiment::of(declared(), arms, Ended::Budget, Origin::default());
    assert!(shared.banners[0].contains("5.0 %") && shared.notes.iter().any(|note| note.contains("PSI")));
}

#[test]
fn a_drift_and_runs_that_are_alike_are_noted_and_do_not_move_the_verdict() {
    let declaration = declared();
    let mut arms = arms(&declaration, &about(1.0, 0.004, 24));
    for arm in &mut arms {
        for run in &mut arm.runs {
            let value = run.figures["requests_per_s"] * (1.0 + 0.01 * run.block as f64);
            run.put("requests_per_s", value);
        }
    }
    let experiment = Experiment::of(declaration, arms, Ended::Budget, Origin::default());
    assert_eq!(experiment.verdict, Verdict::Equivalent);
    let notes = experiment.notes.join("\n");
    assert!(notes.contains("A itself drifted by +2") && notes.contains("autocorrelation 0.8"), "{notes}");
}

#[test]
fn the_raw_runs_give_the_same_numbers_again_by_way_of_a_file() {
    for (center, spread) in [(1.0, 0.01), (1.033_333_333, 0.077_777), (0.5, 0.3)] {
        let experiment = made(declared(), &about(center, spread, 20), Ended::Budget);
        let file = serde_json::to_string_pretty(&experiment).expect("numbers under names are JSON");
        let read: Experiment = serde_json::from_str(&file).expect("it is read back");
        assert_eq!(read, experiment);
        assert_eq!(read.again(), experiment);
    }
}

#[test]
fn a_result_that_lacks_an_arm_or_a_bound_is_found_before_it_is_judged_again() {
    let made = made(declared(), &about(1.1, 0.02, 12), Ended::Decided);
    assert_eq!((made.check(), proof().check()), (Ok(()), Ok(())));
    let check = |change: fn(&mut Experiment), why: &str| {
        let mut other = made.clone();
        change(&mut other);
        assert_eq!(other.check(), Err(why.to_owned()));
        let mut proof = proof();
        proof.knobs[1].experiment = Some(other);
        assert_eq!(proof.check(), Err(format!("down: {why}")));
    };
    check(|other| drop(other.arms.pop()), "its arms are A, A' in place of A, A', B");
    check(|other| other.arms.clear(), "its arms are  in place of A, A', B");
    check(|other| other.arms.swap(0, 2), "its arms are B, A', A in place of A, A', B");
    check(|other| drop(other.declaration.arms.pop()), "its arms are A, A' in place of A, A', B");
    check(|other| other.declaration.looks_z = -9.0, "a bound of -9 standard errors is none");
}

#[test]
fn the_keys_that_others_read_are_there() {
    let experiment = made(declared(), &about(1.1, 0.02, 12), Ended::Decided);
    let value = serde_json::to_value(&experiment).expect("numbers under names are JSON");
    for key in [
        "verdict",
        "metric",
        "effect_pct",
        "ci95_pct",
        "p",
        "blocks",
        "margin_pct",
        "detectable_pct",
        "aa",
        "arms",
        "declaration_sha256",
        "environment",
    ] {
        assert!(!value[key].is_null(), "{key}");
    }
    assert_eq!(value["verdict"], "better");
    assert_eq!(value["ci95_pct"].as_array().map(Vec::len), Some(2));
    assert!(value["aa"]["differs"].is_boolean() && value["aa"]["ci95_pct"].is_array());
    assert_eq!(value["arms"][1]["name"], "A'");
    assert_eq!(value["arms"][2]["runs"][0]["order"], 3);
}

#[test]
fn holm_is_that_of_the_book_and_never_less_than_a_smaller_p() {
    let adjusted = holm(&[0.01, 0.04, 0.03, 0.005]);
    let expected = [0.03, 0.06, 0.06, 0.02];
    assert!(adjusted.iter().zip(expected).all(|(p, q)| (p - q).abs() < 1e-12), "{adjusted:?}");
    assert_eq!((holm(&[0.9, 0.8]), holm(&[])), (vec![1.0, 1.0], Vec::new()));
}

/// Two that were tried together.
const PAIR: &str = "net.ipv4.ip_unprivileged_port_start + net.ipv4.ip_local_port_range";

fn proof() -> Proof {
    let knob = |name: &str, center: f64, family: u64| Tried {
        name: name.to_owned(),
        value: "1".to_owned(),
        came: Ok(made(Declaration { family, ..declared() }, &about(center, 0.02, 24), Ended::Budget)),
    };
    let absent = Tried {
        name: "vm.swappiness".to_owned(),
        value: "1".to_owned(),
        came: Err("it is of the whole host".to_owned()),
    };
    let whole = made(declared(), &about(1.2, 0.02, 12), Ended::Decided);
    Proof::of("classic", whole, vec![knob("up", 1.1, 3), knob("down", 0.9, 3), absent, knob(PAIR, 1.0, 3)])
}

#[test]
fn a_profile_says_of_each_knob_what_it_does_and_of_those_left_out_why() {
    let proof = proof();
    let verdicts: Vec<_> = proof.knobs.iter().map(|knob| knob.verdict.name()).collect();
    assert_eq!(verdicts, ["helps", "hurts", "not testable here", "equivalent"]);
    assert_eq!(proof.knobs[2].reason, "it is of the whole host");
    let value = serde_json::to_value(&proof).expect("numbers under names are JSON");
    assert_eq!((&value["command"], &value["verdict"]), (&"prove".into(), &"better".into()));
    assert_eq!(value["knobs"][2]["verdict"], "not testable here");
    let read: Proof = serde_json::from_value(value).expect("it is read back");
    assert_eq!((read.again(), &read), (proof.clone(), &proof));
}

#[test]
fn a_claim_that_holds_alone_does_not_hold_among_a_hundred() {
    // Eleven of twelve blocks are up: alone it is a claim.
    let mut ratios = about(1.06, 0.02, 12);
    ratios[2][1] = 0.97;
    let of = |family: u64| made(Declaration { family, ..declared() }, &ratios, Ended::Budget);
    assert_eq!((of(1).verdict, of(100).verdict), (Verdict::Better, Verdict::Undecided));
    assert!(of(100).reason.contains("among 100 experiments"), "{}", of(100).reason);
}

#[test]
fn a_page_needs_nothing_but_itself_and_nothing_escapes_from_a_result() {
    let mut declaration = declared();
    declaration.arms[2].spec = "<script>alert(1)</script>".to_owned();
    let experiment = made(declaration, &about(1.1, 0.02, 12), Ended::Decided);
    let (one, all) = (page(&experiment), proof_page(&proof()));
    for page in [&one, &all] {
        let foreign = page.replace("http://www.w3.org/2000/svg", "");
        assert!(!foreign.contains("http") && !page.contains("<script"), "it is whole by itself");
        assert_eq!(page.matches("<svg").count(), page.matches("</svg>").count());
        assert!(!page.contains("NaN") && !page.contains("inf"));
    }
    assert!(one.contains("&lt;script&gt;") && one.contains("every run in its order"));
    assert!(all.contains("not testable here") && all.contains("it is of the whole host"));
    // A telephone is narrower than a name of the kernel's.
    assert!(all.contains("vm.<wbr>swappiness"));
    assert!(all.contains("ip_unprivileged_port_start + ip_local_port_range: equivalent"));
    assert_eq!(one, page(&experiment));
}

#[test]
fn the_text_fits_a_terminal_and_says_verdict_interval_and_hash() {
    let experiment = made(declared(), &about(1.1, 0.02, 12), Ended::Decided);
    let told = text(&experiment);
    assert!(told.starts_with("better: requests_per_s of B lies 1"), "{told}");
    assert!(told.contains(&experiment.declaration_sha256) && told.contains("exploratory"));
    let all = proof_text(&proof());
    assert!(all.contains("vm.swappiness = 1") && all.contains("helps") && all.contains("the whole profile"));
    assert!(all.contains(&format!("{PAIR} = 1\n  ")), "its figures stand below it: {all}");
    assert!(told.lines().chain(all.lines()).all(|line| line.is_ascii() && line.len() <= 100), "{told}{all}");
}

#[test]
fn results_are_what_the_schema_says_and_without_any_field_they_are_not() {
    let text = include_str!("../../../../docs/experiment.schema.json");
    let schema = Schema(serde_json::from_str(text).expect("it is JSON"));
    let json = |experiment: &Experiment| serde_json::to_value(experiment).expect("it can be written");
    schema.check(&json(&made(declared(), &about(1.1, 0.02, 12), Ended::Decided))).unwrap();
    schema.check(&json(&made(declared(), &[], Ended::Stopped))).unwrap();
    let full = serde_json::to_value(proof()).expect("it can be written");
    schema.check(&full).unwrap();
    let places = [
        "",
        "/aa",
        "/exploratory/0",
        "/arms/2",
        "/arms/2/runs/0",
        "/declaration",
        "/declaration/arms/0",
        "/environment",
        "/knobs/0",
        "/knobs/0/experiment/aa",
        "/knobs/2",
    ];
    for place in places {
        let keys = full.pointer(place).and_then(Value::as_object).expect("an object").keys();
        for key in keys.filter(|key| !["profile", "knobs"].contains(&key.as_str())) {
            let mut without = full.clone();
            without.pointer_mut(place).and_then(Value::as_object_mut).expect("an object").remove(key);
            assert!(schema.check(&without).is_err(), "{place}/{key} may be missing");
        }
        let mut with = full.clone();
        let fields = with.pointer_mut(place).and_then(Value::as_object_mut).expect("an object");
        fields.insert("unknown".to_owned(), Value::Null);
        assert!(schema.check(&with).is_err(), "{place} may have anything");
    }
}

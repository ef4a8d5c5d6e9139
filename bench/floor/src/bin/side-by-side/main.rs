//! Compares servers honestly on a noisy machine: short rounds, shuffled with a recorded seed, a fresh process for every run,
//! one contender alive at a time, ratios paired by round. Writes Markdown and JSON.

mod cases;
mod contenders;
mod machine;
mod run;
mod table;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use floor::args::{Args, quit};
use serde_json::json;

use cases::{CASES, Case};
use contenders::Contender;
use run::Bench;
use table::Column;

fn main() {
    let mut args = Args::from_env();
    let quick = args.switch("--quick");
    let rounds = args.parse("--rounds", if quick { 2u32 } else { 7 });
    let seconds = args.parse("--seconds", if quick { 0.6f64 } else { 1.5 });
    let warmup_ms = args.parse("--warmup-ms", if quick { 200u64 } else { 300 });
    let only: Vec<String> = std::iter::from_fn(|| args.text("--only")).collect();
    let with: Vec<String> = std::iter::from_fn(|| args.text("--with")).collect();
    let added: Vec<String> = std::iter::from_fn(|| args.text("--contender")).collect();
    let baseline = args.text("--baseline");
    let pause = Duration::from_millis(args.parse("--pause-ms", 20));
    let label = args.parse("--label", "side-by-side".to_string());
    let seed = args.parse("--seed", clock_seed());
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let own = std::env::current_exe()
        .ok()
        .and_then(|path| path.parent().map(Path::to_path_buf))
        .unwrap_or_default();
    let bench = Bench {
        peers: args.parse("--peers", home_of("hyper-ping", &own, here.join("../peers/target/release"))),
        ringmill: args.parse(
            "--ringmill",
            home_of("ringmill", &own, here.join("../../target/release")).join("ringmill"),
        ),
        nginx_conf: here.join("../peers/nginx.conf"),
        floor: own,
        seconds,
        warmup_ms,
        foreign_max: args.parse("--foreign-max", 0.1),
        realtime: args.switch("--realtime"),
    };
    let out: PathBuf = args.parse("--out", here.join("../results"));
    let list = args.switch("--list");
    args.finish();

    let mut contenders = contenders::known();
    for text in &added {
        let parsed = Contender::parse(text);
        contenders.push(
            parsed.unwrap_or_else(|| quit("--contender wants name=kind:command, kind echo, http or udp")),
        );
    }
    contenders.retain(|contender| with.is_empty() || with.contains(&contender.name));
    let cases: Vec<&Case> = CASES
        .iter()
        .filter(|case| only.is_empty() || only.iter().any(|part| case.name.contains(part.as_str())))
        .collect();
    if list || cases.is_empty() {
        CASES.iter().for_each(|case| println!("{}", case.name));
        return;
    }
    let mut absent = Vec::new();
    contenders.retain(|contender| {
        let there = bench.program(contender).is_some();
        if !there && cases.iter().any(|case| contender.takes_part(case)) {
            eprintln!("absent: {} ({})", contender.name, contender.kind.mode());
            absent.push(format!("{} ({})", contender.name, contender.kind.mode()));
        }
        there
    });

    let mut tables: Vec<Vec<Column>> = cases.iter().map(|case| columns(case, &contenders)).collect();
    let mut shuffle = Shuffle(seed);
    let mut failures = Vec::new();
    for round in 1..=rounds {
        for at in shuffle.order(cases.len()) {
            let (case, columns) = (cases[at], &mut tables[at]);
            for turn in shuffle.order(columns.len()) {
                let column = &mut columns[turn];
                let contender = Contender {
                    name: column.contender.clone(),
                    kind: case.kind,
                    command: column.command.clone(),
                };
                let outcome = bench.run(case, &contender);
                if let Err(why) = &outcome {
                    eprintln!("failed: {} in {}: {why}", contender.name, case.name);
                    failures.push(format!("{} in {}, round {round}: {why}", contender.name, case.name));
                }
                column.runs.push(outcome.ok());
                std::thread::sleep(pause);
            }
        }
        eprintln!("round {round} of {rounds} done");
    }

    let machine = machine::fingerprint();
    let baseline_of = |case: &Case| baseline.clone().unwrap_or_else(|| case.kind.baseline().to_string());
    let mut text = format!("# {label}\n\n");
    let facts =
        [("kernel", "Linux"), ("cpu", "on"), ("cores", "cores"), ("memory", "memory"), ("day", "measured")];
    let machine_line = facts
        .map(|(name, word)| format!("{word} {}", machine[name].to_string().trim_matches('"')))
        .join(", ");
    text.push_str(&format!(
        "{machine_line}.\n{rounds} rounds of {seconds} s after {warmup_ms} ms, 100 ms windows, seed {seed}; \
         server on core 0, client on core 1.\n\n"
    ));
    for (title, lines) in [("Absent", &absent), ("Failed", &failures)] {
        if !lines.is_empty() {
            text.push_str(&format!("{title}: {}.\n\n", lines.join("; ")));
        }
    }
    for (case, columns) in cases.iter().zip(&tables) {
        text.push_str(&table::markdown(case, columns, &baseline_of(case)));
        text.push('\n');
    }
    text.push_str("## Commands\n\n");
    for contender in contenders.iter().filter(|one| cases.iter().any(|case| one.takes_part(case))) {
        text.push_str(&format!(
            "- `{}` ({}): `{}`\n",
            contender.name,
            contender.kind.mode(),
            contender.command
        ));
    }
    let results: Vec<_> = cases
        .iter()
        .zip(&tables)
        .map(|(case, columns)| table::json(case, columns, &baseline_of(case)))
        .collect();
    let whole = json!({
        "label": label, "machine": machine, "rounds": rounds, "seconds": seconds, "warmup_ms": warmup_ms, "seed": seed,
        "absent": absent, "failures": failures, "cases": results,
    });
    print!("{text}");
    let stem = out.join(format!("{}-{label}", machine::day()));
    let written = fs::create_dir_all(&out)
        .and_then(|()| fs::write(stem.with_extension("md"), &text))
        .and_then(|()| fs::write(stem.with_extension("json"), format!("{whole}\n")));
    if let Err(error) = written {
        quit(&format!("results not written: {error}"));
    }
    if !failures.is_empty() {
        std::process::exit(1);
    }
}

fn columns(case: &Case, contenders: &[Contender]) -> Vec<Column> {
    let taking_part = contenders.iter().filter(|contender| contender.takes_part(case));
    let column = |contender: &Contender| Column {
        contender: contender.name.clone(),
        command: contender.command.clone(),
        runs: Vec::new(),
    };
    taking_part.map(column).collect()
}

/// The runner's own directory when the program is built there (one target directory for all), else `usual`.
fn home_of(program: &str, own: &Path, usual: PathBuf) -> PathBuf {
    if own.join(program).exists() { own.to_path_buf() } else { usual }
}

fn clock_seed() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |since| since.as_nanos() as u64 % 1_000_000_007)
}

/// Orders that a seed reproduces (splitmix64, Fisher-Yates).
struct Shuffle(u64);

impl Shuffle {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn order(&mut self, count: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..count).collect();
        for last in (1..count).rev() {
            order.swap(last, (self.next() % (last as u64 + 1)) as usize);
        }
        order
    }
}

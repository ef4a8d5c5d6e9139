//! Compares servers honestly on a noisy machine: short rounds, shuffled with a recorded seed, a fresh process for every run,
//! one contender alive at a time, ratios paired by round. Writes Markdown and JSON.

mod cases;
mod contenders;
mod machine;
mod plan;
mod report;
mod run;
mod table;

use std::fs;
use std::thread;

use floor::args::quit;

use plan::Plan;
use table::Column;

/// What was measured: for each case of the plan a column for each contender that takes part, and what went wrong.
pub struct Outcome {
    pub tables: Vec<Vec<Column>>,
    pub failures: Vec<String>,
}

fn main() {
    let Some(plan) = Plan::from_args() else {
        cases::CASES.iter().for_each(|case| println!("{}", case.name));
        return;
    };
    let outcome = measure(&plan);
    let text = report::markdown(&plan, &outcome);
    print!("{text}");
    let stem = plan.out.join(format!("{}-{}", machine::day(), plan.label));
    let written =
        fs::create_dir_all(&plan.out).and_then(|()| fs::write(stem.with_extension("md"), &text)).and_then(
            |()| fs::write(stem.with_extension("json"), format!("{}\n", report::json(&plan, &outcome))),
        );
    if let Err(error) = written {
        quit(&format!("results not written: {error}"));
    }
    if !outcome.failures.is_empty() {
        std::process::exit(1);
    }
}

/// All rounds. The contenders of a case run next to each other in time: the machine changes its speed.
fn measure(plan: &Plan) -> Outcome {
    let mut tables: Vec<Vec<Column>> = plan.cases.iter().map(|case| plan.columns(case)).collect();
    let mut failures = Vec::new();
    let mut shuffle = Shuffle(plan.seed);
    for round in 1..=plan.rounds {
        for at in shuffle.order(plan.cases.len()) {
            let (case, columns) = (plan.cases[at], &mut tables[at]);
            for turn in shuffle.order(columns.len()) {
                let column = &mut columns[turn];
                let run = plan.bench.run(case, &column.contender).map_err(|why| {
                    let failure = format!("{} in {}, round {round}: {why}", column.contender.name, case.name);
                    eprintln!("failed: {failure}");
                    failures.push(failure);
                });
                column.runs.push(run.ok());
                thread::sleep(plan.pause);
            }
        }
        eprintln!("round {round} of {} done", plan.rounds);
    }
    Outcome { tables, failures }
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

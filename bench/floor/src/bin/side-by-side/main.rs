//! Compares servers honestly on a noisy machine: short rounds, shuffled with a recorded seed, a fresh process for every run,
//! one contender alive at a time, ratios paired by round. Writes Markdown and JSON, and of the peers a page and what was to reach.

mod cases;
mod contenders;
mod dots;
mod figures;
mod generator;
mod idle;
mod machine;
mod page;
mod ping;
mod plan;
mod report;
mod run;
mod server;
mod table;
mod targets;
mod veth;

use std::fs;
use std::thread;

use floor::args::quit;
use floor::process::raise_nofile;

use cases::{Case, Load};
use figures::{Column, Measure};
use plan::Plan;

/// What was measured: for each case of the plan a column for each contender that takes part, and what went wrong.
pub struct Outcome {
    pub tables: Vec<Vec<Column>>,
    pub failures: Vec<String>,
}

fn main() {
    let Some(plan) = Plan::from_args() else {
        cases::CASES.iter().for_each(|case| println!("{} --suite {}", case.name, case.suite.word()));
        return;
    };
    // Servers and the holder of idle connections inherit it.
    raise_nofile();
    let outcome = measure(&plan);
    let text = report::markdown(&plan, &outcome);
    print!("{text}");
    let write = |kind: &str, text: &str| fs::write(plan.out.join(format!("{}.{kind}", plan.label)), text);
    let written = fs::create_dir_all(&plan.out)
        .and_then(|()| write("md", &text))
        .and_then(|()| write("json", &format!("{}\n", report::json(&plan, &outcome))))
        .and_then(|()| if plan.has_page() { write("html", &page::html(&plan, &outcome)) } else { Ok(()) });
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
            let rate = rate_of(plan, case);
            for turn in shuffle.order(columns.len()) {
                let column = &mut columns[turn];
                let run = rate.clone().and_then(|rate| plan.bench.run(case, &column.contender, rate));
                let run = run.map_err(|why| {
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

/// The rate of an open loop in this round, the same for all: half of what Ringmill answers now, unless one was asked for. 0 for
/// other cases.
fn rate_of(plan: &Plan, case: &Case) -> Result<f64, String> {
    if case.load != Load::Open {
        return Ok(0.0);
    }
    if let Some(rate) = plan.rate {
        return Ok(rate);
    }
    let closed = Case { load: Load::Capacity, ..*case };
    let ours = plan.ours(case).ok_or("the rate of an open loop comes from ringmill, or from --rate")?;
    let run = plan.bench.run(&closed, ours, 0.0).map_err(|why| format!("the capacity of ringmill: {why}"))?;
    Ok(Measure::Rate.of(&run) / 2.0)
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

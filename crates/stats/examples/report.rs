//! Reports of made-up results, to be looked at: `cargo run -p ringmill-stats --example report DIRECTORY`.
//!
//! Writes `one.html`, `two.html`, `search.html` and `hold.html` there.

#[path = "../tests/synthetic/mod.rs"]
mod synthetic;

use stats::report::page;
use std::path::PathBuf;
use synthetic::{Made, hold, run, search};

fn main() -> std::io::Result<()> {
    let directory = PathBuf::from(std::env::args_os().nth(1).unwrap_or_else(|| ".".into()));
    let stalled = run(Made { per_s: 10_000, each_ns: 25_000, stall_ns: 1_400_000_000, seed: 1 });
    let calm = run(Made { per_s: 10_000, each_ns: 27_000, stall_ns: 0, seed: 2 });
    let pages = [
        ("one.html", page(&[("stalled.json", &stalled)])),
        ("two.html", page(&[("stalled.json", &stalled), ("calm.json", &calm)])),
        ("search.html", page(&[("search.json", &search())])),
        ("hold.html", page(&[("hold.json", &hold())])),
    ];
    pages.iter().try_for_each(|(name, page)| std::fs::write(directory.join(name), page))
}

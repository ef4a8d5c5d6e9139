//! What the command line asks for, read once and checked whole before anything runs.

use std::iter;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use floor::args::{Args, quit};

use crate::cases::{self, CASES, Case, Suite};
use crate::contenders::{self, Contender};
use crate::figures::Column;
use crate::machine;
use crate::run::Bench;
use crate::veth::Veth;

/// Who is measured in what, how often, and where the result goes.
pub struct Plan {
    pub bench: Bench,
    pub cases: Vec<&'static Case>,
    pub contenders: Vec<Contender>,
    /// Contenders whose program is not there.
    pub absent: Vec<String>,
    pub rounds: u32,
    /// Rest between two runs.
    pub pause: Duration,
    pub seed: u64,
    /// Requests a second of open loops; without it half of what Ringmill answers in the same round.
    pub rate: Option<f64>,
    pub label: String,
    pub out: PathBuf,
    suite: Suite,
    baseline: Option<String>,
}

/// The name of the server that all of this is about.
pub const OURS: &str = "ringmill";

impl Plan {
    /// `None` when the cases shall only be listed, or none was chosen.
    pub fn from_args() -> Option<Self> {
        let mut args = Args::from_env();
        let list = args.switch("--list");
        let quick = args.switch("--quick");
        let only: Vec<String> = iter::from_fn(|| args.text("--only")).collect();
        let with: Vec<String> = iter::from_fn(|| args.text("--with")).collect();
        let added: Vec<String> = iter::from_fn(|| args.text("--contender")).collect();
        let word = args.parse("--suite", Suite::Floor.word().to_string());
        let suite = [Suite::Floor, Suite::Peers].into_iter().find(|suite| suite.word() == word);
        let suite = suite.unwrap_or_else(|| quit(&format!("--suite {word}: floor or peers")));
        let named =
            |case: &Case| only.is_empty() || only.iter().any(|part| case.name.contains(part.as_str()));
        let chosen = |case: &&Case| (list || case.suite == suite) && named(case);
        let label = match suite {
            Suite::Floor => format!("{}-side-by-side", machine::day()),
            Suite::Peers => format!("{}-peers", machine::short_name()),
        };
        let label = args.text("--label").map_or(label, |word| format!("{}-{word}", machine::day()));
        let mut plan = Self {
            bench: read_bench(&mut args, quick),
            cases: CASES.iter().filter(chosen).collect(),
            contenders: contenders::known(),
            absent: Vec::new(),
            rounds: args.parse("--rounds", if quick { 2 } else { 7 }),
            pause: Duration::from_millis(args.parse("--pause-ms", 20)),
            seed: args.parse("--seed", clock_seed()),
            rate: args
                .text("--rate")
                .map(|text| text.parse().unwrap_or_else(|_| quit("--rate: requests a second, a number"))),
            label,
            suite,
            out: args.parse("--out", here().join("../results")),
            baseline: args.text("--baseline"),
        };
        args.finish();
        let read = |text: &String| {
            let wanted = "--contender wants name=kind:command, kind echo, http or udp";
            Contender::parse(text).unwrap_or_else(|| quit(wanted))
        };
        plan.contenders.extend(added.iter().map(read));
        plan.contenders.retain(|one| with.is_empty() || with.contains(&one.name));
        plan.contenders.retain(|one| plan.cases.iter().any(|case| one.takes_part(case)));
        plan.set_absent_aside();
        if list || plan.cases.is_empty() {
            return None;
        }
        plan.lay_wire();
        Some(plan)
    }

    /// Whom the others of this case are held against.
    pub fn baseline(&self, case: &Case) -> &str {
        let usual = if case.suite == Suite::Peers { OURS } else { case.kind.baseline() };
        self.baseline.as_deref().unwrap_or(usual)
    }

    /// Whether the peers are measured: with targets and a page.
    pub fn has_page(&self) -> bool {
        self.suite == Suite::Peers
    }

    /// Ringmill as it serves a case, if it takes part.
    pub fn ours(&self, case: &Case) -> Option<&Contender> {
        self.contenders.iter().find(|one| one.name == OURS && one.takes_part(case))
    }

    /// Empty columns of those who take part in a case.
    pub fn columns(&self, case: &Case) -> Vec<Column> {
        let taking_part = self.contenders.iter().filter(|one| one.takes_part(case));
        taking_part.map(|one| Column { contender: one.clone(), runs: Vec::new() }).collect()
    }

    /// Makes the namespaces of the cases that go over a wire; where that is refused, they are absent.
    fn lay_wire(&mut self) {
        let over_wire = |case: &&Case| case.path == cases::Path::Veth;
        if !self.cases.iter().any(over_wire) {
            return;
        }
        match Veth::make() {
            Ok(veth) => self.bench.veth = Some(veth),
            Err(why) => {
                eprintln!("absent: the cases over veth: {why}");
                self.cases.retain(|case| !over_wire(case));
                self.absent.push(format!("the cases over veth ({why})"));
            }
        }
    }

    fn set_absent_aside(&mut self) {
        let (there, absent) =
            self.contenders.drain(..).partition::<Vec<_>, _>(|one| self.bench.program(one).is_some());
        self.contenders = there;
        self.absent = absent.iter().map(|one| format!("{} ({})", one.name, one.kind.mode())).collect();
        self.absent.iter().for_each(|name| eprintln!("absent: {name}"));
    }
}

fn read_bench(args: &mut Args, quick: bool) -> Bench {
    let own = std::env::current_exe().ok();
    let own = own.as_deref().and_then(Path::parent).map(Path::to_path_buf).unwrap_or_default();
    let peers = home_of("hyper-ping", &own, here().join("../peers/target/release"));
    let ringmill = home_of("ringmill", &own, here().join("../../target/release")).join("ringmill");
    Bench {
        peers: args.parse("--peers", peers),
        ringmill: args.parse("--ringmill", ringmill),
        confs: here().join("../peers"),
        floor: own,
        seconds: args.parse("--seconds", if quick { 0.6 } else { 1.5 }),
        warmup_ms: args.parse("--warmup-ms", if quick { 200 } else { 300 }),
        foreign_max: args.parse("--foreign-max", 0.1),
        realtime: args.switch("--realtime"),
        veth: None,
    }
}

/// This workspace's directory.
fn here() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The runner's own directory when the program is built there (one target directory for all), else `usual`.
fn home_of(program: &str, own: &Path, usual: PathBuf) -> PathBuf {
    if own.join(program).exists() { own.to_path_buf() } else { usual }
}

fn clock_seed() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |since| since.as_nanos() as u64 % 1_000_000_007)
}

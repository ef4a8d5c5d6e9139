//! The course of one experiment: block after block until a look is sure, the budget is used up, or the user wants no more.

use std::time::{Duration, Instant};

use stats::experiment::{Arm, Declaration, Ended, Experiment, Origin, Run, ends};
use stats::outcome::Environment;

use super::arm::ArmPlan;
use super::place::Place;
use super::run;
use super::workload::Workload;

/// What an experiment is meant to be.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Where.
    pub place: Place,
    /// What a run is.
    pub workload: Workload,
    /// What it is compared with.
    pub a: ArmPlan,
    /// What is asked about.
    pub b: ArmPlan,
    /// Effects within this much count as none.
    pub margin_pct: f64,
    /// Time for all of it.
    pub budget: Duration,
    /// Experiments that are judged together.
    pub family: u64,
    /// Of the shuffles, and of what loads do.
    pub seed: u64,
    /// The program's version.
    pub version: String,
    /// The command line, as typed.
    pub command_line: Vec<String>,
}

/// What is told meanwhile: never a figure.
#[derive(Clone, Debug, PartialEq)]
pub struct News<'a> {
    /// The block that goes on, 1 for the first.
    pub block: u64,
    /// Of so many at most.
    pub blocks_max: u64,
    /// The arm that runs.
    pub arm: &'a str,
    /// Runs so far that are excluded.
    pub excluded: u64,
}

/// An experiment that goes on.
pub struct Course<'a> {
    /// Whether the user wants no more.
    pub is_stopped: &'a (dyn Fn() -> bool + Sync),
    /// Who is told.
    pub tell: &'a mut dyn FnMut(&News<'_>),
}

/// Why there is no experiment.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CourseError {
    /// The first run of an arm could not be made.
    #[error("arm {arm} cannot be run: {why}")]
    Arm {
        /// Its name.
        arm: String,
        /// What it met.
        why: String,
    },
    /// No setting of a profile can be tried here, so the whole of it would be compared with itself.
    #[error("nothing of the profile can be tried here; {name}: {why}")]
    Nothing {
        /// The first of its knobs.
        name: String,
        /// Why not.
        why: String,
    },
    /// There is not the time for eight blocks, without which nothing can be said.
    #[error("a budget of {budget_s} s has room for {blocks} blocks, and the first look is after 8")]
    Budget {
        /// Seconds asked for.
        budget_s: u64,
        /// What they hold.
        blocks: u64,
    },
}

impl CourseError {
    /// What the user can do, in words that follow "Try".
    pub fn cure(&self) -> String {
        match self {
            CourseError::Arm { why, .. } if why.contains("CAP_SYS_ADMIN") => "the same as root".into(),
            CourseError::Arm { .. } => "the same setting or flag by itself, to see what refuses it".into(),
            CourseError::Nothing { .. } => "`ringmill-lab plan`, which says more of each".into(),
            CourseError::Budget { .. } => "a longer `--budget`, or a shorter `--duration`".into(),
        }
    }
}

impl Plan {
    /// What is declared before the first run. Errors: the budget is too short for the first look.
    pub fn declaration(&self) -> Result<Declaration, CourseError> {
        let run = self.workload.duration + self.workload.warmup + AROUND;
        let blocks = (self.budget.as_secs_f64() / (3.0 * run.as_secs_f64())) as u64;
        let Workload { metric, better, .. } = &self.workload;
        let declaration = Declaration::new(&self.a.spec(), &self.b.spec(), metric, *better, self.seed);
        let first = declaration.looks[0];
        if blocks < first {
            return Err(CourseError::Budget { budget_s: self.budget.as_secs(), blocks });
        }
        let blocks_max = blocks.min(declaration.blocks_max);
        let declaration = declaration.with_blocks(blocks_max);
        Ok(Declaration {
            workload: self.workload.to_string(),
            margin_pct: self.margin_pct,
            family: self.family,
            ..declaration
        })
    }

    /// Makes all runs. Errors: see [`CourseError`]; a run that fails after the first of its arm is excluded with its reason.
    pub fn run(&self, course: &mut Course<'_>) -> Result<Experiment, CourseError> {
        let declaration = self.declaration()?;
        let began = Instant::now();
        let began_unix_s = linux::clock::Clock::unix_seconds();
        let specs = declaration.arms.iter();
        let mut arms: Vec<Arm> = specs
            .map(|arm| Arm { name: arm.name.clone(), spec: arm.spec.clone(), runs: Vec::new() })
            .collect();
        let mut environment: Option<Environment> = None;
        let mut longest = Duration::ZERO;
        let ended = loop {
            let block = arms[0].runs.len() as u64 + 1;
            let begun = Instant::now();
            let Some(runs) = self.block(&declaration, block, &arms, &mut environment, course)? else {
                break Ended::Stopped;
            };
            arms.iter_mut().zip(runs).for_each(|(arm, run)| arm.runs.push(run));
            longest = longest.max(begun.elapsed());
            if let Some(ended) = ends(&declaration, &arms) {
                break ended;
            }
            // Fewer blocks than the first look takes would have been for nothing: they are made even where the machine is slower
            // than was planned for.
            if block >= declaration.looks[0] && began.elapsed() + longest > self.budget {
                break Ended::Budget;
            }
        };
        let environment = environment.unwrap_or_default();
        let environment =
            Environment { command_line: self.command_line.clone(), changes: Vec::new(), ..environment };
        let origin = Origin { version: self.version.clone(), began_unix_s, environment };
        Ok(Experiment::of(declaration, arms, ended, origin))
    }

    /// One block, its runs in the order of the arms; `None` where the user cut it short: half a block compares nothing.
    fn block(
        &self,
        declaration: &Declaration,
        block: u64,
        arms: &[Arm],
        environment: &mut Option<Environment>,
        course: &mut Course<'_>,
    ) -> Result<Option<Vec<Run>>, CourseError> {
        let mut runs = vec![Run::default(); arms.len()];
        let excluded =
            arms.iter().flat_map(|arm| &arm.runs).filter(|run| run.excluded.is_some()).count() as u64;
        for (at, index) in declaration.order(block).into_iter().enumerate() {
            let arm = &arms[index].name;
            (course.tell)(&News { block, blocks_max: declaration.blocks_max, arm, excluded });
            let plan = if index == B { &self.b } else { &self.a };
            // The same arrivals and bytes for all arms of a block.
            let seed = self.seed.wrapping_add(block) & SEED_MASK;
            let made = run::one(&self.place, &self.workload, plan, seed, course.is_stopped);
            if (course.is_stopped)() {
                return Ok(None);
            }
            let made = match made {
                Ok(made) => made,
                Err(why) if block == 1 => return Err(CourseError::Arm { arm: arm.clone(), why }),
                Err(why) => {
                    run::Made { run: Run { excluded: Some(why), ..Run::default() }, environment: None }
                }
            };
            if environment.is_none() {
                *environment = made.environment;
            }
            runs[index] = Run { order: (block - 1) * arms.len() as u64 + at as u64 + 1, block, ..made.run };
        }
        Ok(Some(runs))
    }
}

/// The arm that is asked about.
const B: usize = 2;
/// What a run takes beside its load: namespace, start and end of two programs.
const AROUND: Duration = Duration::from_millis(400);
/// What every reader of JSON reads exactly (RFC 8259 section 6).
const SEED_MASK: u64 = (1 << 53) - 1;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::Kind;
    use stats::experiment::Better;
    use std::path::PathBuf;

    fn plan(budget: Duration) -> Plan {
        let place = Place {
            server: PathBuf::new(),
            load: PathBuf::new(),
            cores_server: vec![0],
            cores_load: vec![0],
        };
        let workload = Workload {
            kind: Kind::Command(vec!["/bin/echo".into(), "{\"cost\": 7}".into()]),
            duration: Duration::from_secs(2),
            warmup: Duration::from_millis(600),
            rate_per_s: None,
            metric: "cost".into(),
            better: Better::Lower,
        };
        let (a, b) = (ArmPlan::default(), ArmPlan::parse("net.core.somaxconn=8").expect("a knob"));
        Plan {
            place,
            workload,
            a,
            b,
            margin_pct: 2.0,
            budget,
            family: 1,
            seed: 1,
            version: "0".into(),
            command_line: Vec::new(),
        }
    }

    #[test]
    fn what_is_declared_fits_the_budget_and_too_short_a_budget_is_refused() {
        let blocks = |s: u64| plan(Duration::from_secs(s)).declaration().map(|declared| declared.looks);
        assert_eq!(blocks(20 * 60), Ok(vec![8, 12, 17, 24, 34, 48, 64]));
        assert_eq!(blocks(90), Ok(vec![8, 10]));
        let error = blocks(60).expect_err("six blocks are too few");
        assert!(error.to_string().contains("room for 6 blocks") && error.cure().contains("--budget"));
    }

    #[test]
    #[expect(clippy::print_stderr, reason = "a test that is not made says so")]
    fn a_command_is_run_in_every_arm_until_the_first_look_and_its_figure_is_in_every_run() {
        let mut plan = plan(Duration::from_secs(600));
        plan.place.cores_server = linux::cpu::allowed().expect("a thread runs somewhere");
        plan.place.cores_load = plan.place.cores_server.clone();
        let mut told = Vec::new();
        let mut tell = |news: &News<'_>| told.push((news.block, news.arm.to_owned()));
        let course = &mut Course { is_stopped: &|| false, tell: &mut tell };
        let experiment = match plan.run(course) {
            Err(error) if error.to_string().contains("CAP_SYS_ADMIN") => {
                return eprintln!("not tested: {error}");
            }
            other => other.expect("echo prints JSON"),
        };
        // The same figure each time: no difference, and known at the first look.
        assert_eq!((experiment.ended, experiment.blocks), (Ended::Decided, 8));
        assert_eq!(experiment.effect_pct, Some(0.0));
        assert!(experiment.arms.iter().flat_map(|arm| &arm.runs).all(|run| run.figures["cost"] == 7.0));
        assert_eq!(experiment.arms[2].spec, "net.core.somaxconn=8");
        assert_eq!(experiment.again(), experiment);
        assert_eq!(told.len(), 24);
        assert!(told.chunks(3).all(|block| block.iter().all(|(at, _)| *at == block[0].0)));
    }

    #[test]
    fn an_arm_that_cannot_be_run_ends_it_before_it_begins_and_a_user_who_wants_no_more_gets_what_there_is() {
        let mut broken = plan(Duration::from_secs(600));
        broken.workload.metric = "price".into();
        broken.place.cores_server = linux::cpu::allowed().expect("a thread runs somewhere");
        let course = &mut Course { is_stopped: &|| false, tell: &mut |_| () };
        let error = broken.run(course).expect_err("it prints no price");
        assert!(
            error.to_string().contains("no number price") || error.cure() == "the same as root",
            "{error}"
        );
        let stopped = broken.run(&mut Course { is_stopped: &|| true, tell: &mut |_| () });
        let stopped = stopped.expect("an end is no error");
        assert_eq!((stopped.ended, stopped.blocks), (Ended::Stopped, 0));
    }
}

//! The commands that change something: apply, confirm, revert, recover, persist; and the dead-man, which apply starts.
//!
//! No logic of its own about settings: which may be changed, in what order, and who takes them back is in `tune::apply`. Changes
//! nothing where the answer has no place to go to.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use clap::Args;
use linux::console::Failure;
use linux::process::Process;
use tune::apply::persist::{Persisted, persist};
use tune::apply::{self, ApplyError, Change, End, Host, Outcome, Request, Setting, Step};
use tune::plan::State;
use tune::probe::Found;
use tune::{Plan, Profile, catalogue};

use crate::args::{Common, Wanted};
use crate::stops::Stops;
use crate::{looking, results};

/// Change settings, and take everything back unless that is confirmed in time.
///
/// Stays in the foreground. Everything comes back when the time is up, when this program ends, and when anything fails; what
/// somebody else changed meanwhile is left alone.
#[derive(Debug, Args)]
#[command(after_help = APPLY_EXAMPLES)]
pub(crate) struct Apply {
    #[command(flatten)]
    wanted: Wanted,
    /// How long to wait for `ringmill-lab confirm`: 90, 60s, 5m
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = duration)]
    confirm_within: Duration,
    /// Also settings that every process of the host feels: fs, kernel, vm and others
    #[arg(long)]
    host: bool,
    /// Run this when all is written, without arguments; everything comes back where it does not end with 0 before the time is up
    #[arg(long, value_name = "PROGRAM")]
    check: Option<String>,
    #[command(flatten)]
    place: Place,
}

/// Where a transaction is.
#[derive(Debug, Args)]
pub(crate) struct Place {
    /// In the network namespace of this name (ip-netns(8)), whose settings and devices alone are changed
    #[arg(long, value_name = "NAME")]
    netns: Option<String>,
}

/// Keep what apply has written and waits to hear about.
#[derive(Debug, Args)]
#[command(after_help = END_CODES)]
pub(crate) struct Confirm {
    #[command(flatten)]
    place: Place,
}

/// Take back what apply has written: what waits to be confirmed, or else what was confirmed last in this boot.
#[derive(Debug, Args)]
#[command(after_help = END_CODES)]
pub(crate) struct Revert {
    #[command(flatten)]
    place: Place,
}

/// Take back what an apply left that was killed together with its dead-man.
#[derive(Debug, Args)]
#[command(after_help = END_CODES)]
pub(crate) struct Recover {
    #[command(flatten)]
    place: Place,
}

/// Keep a profile's sysctls over a boot, as a file of their own in /etc/sysctl.d. Changes nothing now.
#[derive(Debug, Args)]
#[command(after_help = PERSIST_EXAMPLES)]
pub(crate) struct Persist {
    /// As of plan
    #[arg(value_name = "PROFILE")]
    profile: String,
}

pub(crate) fn apply(words: &Apply, common: &Common) -> Result<ExitCode, Failure> {
    results::places(common, None)?;
    let profile = looking::wanted(&words.wanted)?;
    let host = enter(&words.place, common)?;
    // The dead-man takes back, and tells the outcome: a program that the signal ended could tell nobody. Before there is one to ask, the
    // word is kept until there is.
    let asked = host.clone();
    let take_back = move || drop(apply::take_back_now(&asked));
    let stops = Stops::listen_and(take_back.clone())?;
    let plan = looking::planned(profile, &root(&host)?);
    let changes: Vec<Change> = changes(&plan, |state| *state == State::Pending);
    say(&plan.text());
    // The catalogue's word is not enough where the kernel says otherwise.
    if let Some(line) = plan.pending().find(|line| line.found == Some(Found::OfHost) && !words.host) {
        return Err(failure(ApplyError::HostWide { name: line.name() }));
    }
    if changes.is_empty() {
        let outcome =
            Outcome { end: End::Confirmed, why: "nothing is to be changed".into(), fates: Vec::new() };
        return show(common, &outcome, ExitCode::SUCCESS);
    }
    let mut dead_man = Command::new("/proc/self/exe");
    dead_man.arg0("ringmill-lab").arg("dead-man");
    let until = Instant::now() + words.confirm_within;
    let request = Request {
        changes: &changes,
        confirm_within: words.confirm_within,
        host_wide: words.host,
        dead_man: &mut dead_man,
        check: &mut || words.check.as_deref().map_or(Ok(()), |program| healthy(program, until, &stops)),
    };
    let tell = &mut |step: Step<'_>| match step {
        Step::Armed(_) if stops.is_told() => take_back(),
        Step::Applied => say(&waiting(words, common, changes.len())),
        _ => {}
    };
    let outcome = apply::apply(&host, request, tell).map_err(failure)?;
    let code = match outcome.end {
        End::Confirmed => ExitCode::SUCCESS,
        End::TakenBack if outcome.is_clean() => ExitCode::from(TAKEN_BACK),
        End::TakenBack => ExitCode::from(NOT_CLEAN),
    };
    show(common, &outcome, code)
}

pub(crate) fn confirm(words: &Confirm, common: &Common) -> Result<ExitCode, Failure> {
    results::places(common, None)?;
    let outcome = apply::confirm(&enter(&words.place, common)?).map_err(failure)?;
    let code = match outcome.end {
        End::Confirmed => ExitCode::SUCCESS,
        End::TakenBack if outcome.is_clean() => ExitCode::from(TAKEN_BACK),
        End::TakenBack => ExitCode::from(NOT_CLEAN),
    };
    show(common, &outcome, code)
}

pub(crate) fn revert(words: &Revert, common: &Common) -> Result<ExitCode, Failure> {
    results::places(common, None)?;
    let host = enter(&words.place, common)?;
    let outcome = match apply::take_back_now(&host) {
        Err(ApplyError::NothingWaits) => apply::revert_last(&host, &mut |_| {}),
        other => other,
    };
    let outcome = outcome.map_err(failure)?;
    show(common, &outcome, clean(&outcome))
}

pub(crate) fn recover(words: &Recover, common: &Common) -> Result<ExitCode, Failure> {
    results::places(common, None)?;
    let host = enter(&words.place, common)?;
    let nothing = || Outcome { end: End::TakenBack, why: "nothing was left".into(), fates: Vec::new() };
    let outcome = apply::recover(&host, &mut |_| {}).map_err(failure)?.unwrap_or_else(nothing);
    show(common, &outcome, clean(&outcome))
}

pub(crate) fn keep(words: &Persist, common: &Common) -> Result<ExitCode, Failure> {
    results::places(common, None)?;
    let profile = Profile::find(&words.profile).map_err(looking::failure)?;
    let root = looking::root(common)?;
    let plan = Plan::of(profile, &root);
    let changes = changes(&plan, |state| matches!(state, State::Pending | State::Met));
    let stem = Path::new(&words.profile).file_stem().unwrap_or_default().to_string_lossy();
    let persisted = persist(&root, &stem, &changes).map_err(|why| match why.kind() {
        std::io::ErrorKind::InvalidInput => Failure::usage(why.to_string()).cure("a file of another name"),
        std::io::ErrorKind::PermissionDenied => {
            Failure::runtime(format!("write {FOLDER}: {why}")).cure("it as root")
        }
        _ => Failure::runtime(format!("write {FOLDER}: {why}")),
    })?;
    let persisted = Persisted { exceeded: names(&plan, |state| *state == State::Kept), ..persisted };
    looking::show(common, || persisted_text(&persisted), || json(&persisted))?;
    let is_all = persisted.overruled.is_empty();
    Ok(if is_all { ExitCode::SUCCESS } else { ExitCode::from(OVERRULED) })
}

/// The process that watches over an apply, which alone starts it.
pub(crate) fn dead_man() -> Result<ExitCode, Failure> {
    apply::stand_by(catalogue::named).map(|()| ExitCode::SUCCESS).map_err(|why| {
        Failure::usage(format!("the dead-man is started by apply alone: {why}"))
            .cure("`ringmill-lab apply --help`")
    })
}

/// Where the settings are. From here on this thread is in the namespace, and so is all that it starts.
pub(crate) fn enter(place: &Place, common: &Common) -> Result<Host, Failure> {
    let tree = Some(common.root.clone()).filter(|root| root != Path::new("/"));
    if let (Some(name), None) = (&place.netns, &tree) {
        linux::namespace::enter_network(name).map_err(|why| {
            Failure::usage(format!("--netns {name}: {why}"))
                .cure("`ip netns list` for those that there are; where it is gone, `ringmill-lab recover` without it")
        })?;
    }
    Ok(Host { tree, netns: place.netns.clone(), knobs: catalogue::named })
}

/// What is read and written there. Errors: it is no directory, or, of a namespace's devices, the kernel allows no sysfs of its own.
pub(crate) fn root(host: &Host) -> Result<tune::Root, Failure> {
    host.root().map_err(|why| match &host.tree {
        Some(path) => {
            Failure::usage(format!("--root {}: {why}", path.display())).cure("a directory that can be read")
        }
        None => Failure::runtime(format!("open the settings: {why}")).cure("it as root"),
    })
}

/// The values of a plan whose state is wanted.
fn changes(plan: &Plan, is_wanted: fn(&State) -> bool) -> Vec<Change> {
    let lines = plan.lines.iter().filter(|line| is_wanted(&line.state));
    let change = |line: &tune::plan::Line| {
        let setting = Setting::of(line.setting.knob, line.setting.place.as_deref().unwrap_or_default())?;
        Some(Change { setting, target: line.setting.value.clone() })
    };
    lines.filter_map(change).collect()
}

/// The names of those lines of a plan whose state is wanted.
fn names(plan: &Plan, is_wanted: fn(&State) -> bool) -> Vec<String> {
    plan.lines.iter().filter(|line| is_wanted(&line.state)).map(tune::plan::Line::name).collect()
}

/// Runs a program, not a shell. One that has not ended when the time is up, or when the user wants no more, is killed: it would keep the
/// host's lock from others.
fn healthy(program: &str, until: Instant, stops: &Stops) -> Result<(), String> {
    let failed = |why: std::io::Error| format!("{program}: {why}");
    let cores = linux::cpu::allowed().map_err(|why| format!("{program}: {why}"))?;
    let mut command = Command::new(program);
    let mut process = Process::start(command.stdin(Stdio::null()), &cores).map_err(failed)?;
    let ended = loop {
        let left = until.saturating_duration_since(Instant::now());
        match process.wait_for(left.min(LOOK)).map_err(failed)? {
            None if !left.is_zero() && !stops.is_told() => {}
            ended => break ended,
        }
    };
    match ended {
        Some(ended) if ended.code == Some(0) => Ok(()),
        Some(ended) => Err(match ended.code {
            Some(code) => format!("{program}: exit code {code}"),
            None => format!("{program}: a signal ended it"),
        }),
        None if stops.is_told() => Err(format!("{program}: its user wanted no more")),
        None => Err(format!("{program}: it has not ended in time")),
    }
}

fn waiting(words: &Apply, common: &Common, count: usize) -> String {
    let mut command = String::from("ringmill-lab confirm");
    if common.root != Path::new("/") {
        command += &format!(" --root {}", common.root.display());
    }
    if let Some(name) = &words.place.netns {
        command += &format!(" --netns {name}");
    }
    format!(
        "{count} written. Keep them, from another terminal, within {} s of the start:\n\n  {command}\n\n\
         Otherwise, or with Ctrl-C here, everything is taken back.\n",
        words.confirm_within.as_secs()
    )
}

/// What is said on the way: never on standard output, which is for the answer.
fn say(text: &str) {
    let _ = std::io::stderr().write_all(text.as_bytes());
}

fn show(common: &Common, outcome: &Outcome, code: ExitCode) -> Result<ExitCode, Failure> {
    looking::show(common, || outcome_text(outcome), || json(outcome))?;
    Ok(code)
}

fn outcome_text(outcome: &Outcome) -> String {
    let end = match outcome.end {
        End::Confirmed => "kept",
        End::TakenBack => "taken back",
    };
    let fates: String = outcome.fates.iter().map(|fate| format!("  {fate}\n")).collect();
    format!("{end}: {}\n{fates}", outcome.why)
}

fn persisted_text(persisted: &Persisted) -> String {
    let mut text = format!("{}: {} settings\n", persisted.path, persisted.kept.len());
    for name in &persisted.left_out {
        text += &format!("  {name}: is no sysctl, and is not in it\n");
    }
    for name in &persisted.exceeded {
        text += &format!("  {name}: this host has more than is asked for, and it is not in it\n");
    }
    for overruled in &persisted.overruled {
        text +=
            &format!("  {}: {} is read later and sets {}\n", overruled.name, overruled.by, overruled.value);
    }
    for path in &persisted.unread {
        text += &format!("  {path}: is read later and was not looked into\n");
    }
    text
}

fn json(answer: &impl serde::Serialize) -> String {
    serde_json::to_string_pretty(answer).expect("text is JSON") + "\n"
}

fn clean(outcome: &Outcome) -> ExitCode {
    if outcome.is_clean() { ExitCode::SUCCESS } else { ExitCode::from(NOT_CLEAN) }
}

fn failure(error: ApplyError) -> Failure {
    let cure = error.cure();
    let is_typed = matches!(
        error,
        ApplyError::Leaks { .. }
            | ApplyError::HostWide { .. }
            | ApplyError::NotWritable { .. }
            | ApplyError::OtherNamespace { .. }
            | ApplyError::WaitsElsewhere { .. }
    );
    let what = error.to_string();
    (if is_typed { Failure::usage(what) } else { Failure::runtime(what) }).cure_if(cure)
}

/// A number of seconds, or one with `s`, `m` or `h`.
fn duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = match text.find(|c: char| !c.is_ascii_digit()) {
        Some(at) => text.split_at(at),
        None => (text, "s"),
    };
    let seconds = match unit {
        "s" => Some(1),
        "m" => Some(60),
        "h" => Some(3600),
        _ => None,
    };
    let total = seconds.and_then(|unit| number.parse::<u64>().ok()?.checked_mul(unit));
    let total = total.filter(|total| (1..=CONFIRM_SECONDS_MAX).contains(total));
    total.map(Duration::from_secs).ok_or_else(|| "a time from 1s to 24h, such as 90, 60s or 5m".into())
}

/// How often a health check is asked whether its user wants no more.
const LOOK: Duration = Duration::from_millis(50);
/// Whoever needs a day needs no dead-man.
const CONFIRM_SECONDS_MAX: u64 = 24 * 3600;

/// apply: another file of sysctl.d wins.
const OVERRULED: u8 = 3;
/// Everything is as it was before.
const TAKEN_BACK: u8 = 4;
/// Something is neither as it was nor as it was wished.
const NOT_CLEAN: u8 = 5;

const FOLDER: &str = "etc/sysctl.d";

const APPLY_EXAMPLES: &str = "\
Examples:
  ringmill-lab apply edge --confirm-within 2m
  ringmill-lab apply --set net.core.somaxconn=16384 --json outcome.json
  ringmill-lab apply --set vm.swappiness=1 --host
  ip netns add try && ringmill-lab apply --netns try --set net.ipv4.tcp_fin_timeout=30

Exit codes:
  0   written and confirmed, or nothing was to be changed
  1   the machine refused before anything was changed, or another transaction is under way or unfinished
  2   what was typed, or a file, cannot be meant; or a setting is for --host, or not for --netns
  4   everything was taken back
  5   taken back but for what somebody else changed, or what the kernel did not take: each is named";

const END_CODES: &str = "\
Exit codes:
  0   done; recover: or nothing was left
  1   the machine refused, or nothing waits
  2   what was typed cannot be meant, or it is in another namespace
  4   confirm: it was taken back instead
  5   something was left alone that somebody else changed, or did not go back: each is named";

const PERSIST_EXAMPLES: &str = "\
Examples:
  ringmill-lab persist edge        writes /etc/sysctl.d/90-ringmill-edge.conf

Exit codes:
  0   written
  1   the machine refused
  2   what was typed, or a file, cannot be meant
  3   written, and another file that is read later sets another value: each is named";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_a_number_with_a_unit_or_seconds() {
        let check = |text: &str, expected: Option<u64>| {
            assert_eq!(duration(text).ok(), expected.map(Duration::from_secs), "{text}");
        };
        check("90", Some(90));
        check("60s", Some(60));
        check("5m", Some(300));
        check("24h", Some(86_400));
        check("25h", None);
        check("0", None);
        check("", None);
        check("-1", None);
        check("5 m", None);
        check("99999999999999999999h", None);
    }

    #[test]
    fn an_outcome_names_each_setting() {
        let fate = apply::Fate {
            name: "net.core.somaxconn".into(),
            before: "4096\n".into(),
            now: "8\n".into(),
            end: apply::FateEnd::ForeignChange,
        };
        let outcome = Outcome { end: End::TakenBack, why: "it was asked for".into(), fates: vec![fate] };
        assert_eq!(
            outcome_text(&outcome),
            "taken back: it was asked for\n  \
             net.core.somaxconn: foreign change, left alone: it was 4096 and is 8\n"
        );
        assert_eq!(clean(&outcome), ExitCode::from(NOT_CLEAN));
    }
}

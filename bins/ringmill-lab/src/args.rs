//! What was typed: the command line by clap, a struct for each command.
//!
//! Knows words, not settings: those are looked up by whoever answers.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::{Args, Parser, Subcommand};
use linux::console::Failure;

use crate::applying;
use crate::trying;

/// What the program is asked to do.
#[derive(Debug)]
pub(crate) enum Asked {
    /// A command, on some host.
    Do(Command, Common),
    /// Show the help or the version.
    Show(String),
}

#[derive(Debug, Parser)]
#[command(name = "ringmill-lab", version, disable_help_subcommand = true, after_help = EXAMPLES)]
/// Kernel settings for network servers: what costs here, what a setting does, what a profile would change, and that done safely.
///
/// Nothing is changed by the commands that only look: doctor, knobs, explain, plan, audit.
struct Line {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    common: Common,
}

/// What every command takes.
#[derive(Clone, Debug, Args)]
pub(crate) struct Common {
    /// A tree of files in place of the host's /: for tests, and for a host that was copied
    #[arg(long, global = true, value_name = "DIR", default_value = "/")]
    pub(crate) root: PathBuf,
    /// The answer as JSON; - or no FILE is standard output, in place of the text
    #[arg(long, global = true, value_name = "FILE", num_args = 0..=1, default_missing_value = "-")]
    pub(crate) json: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// What on this host costs a network server, most expensive first, each with evidence and what to do. Changes nothing
    #[command(after_help = DOCTOR_CODES)]
    Doctor,
    Knobs(Knobs),
    Explain(Explain),
    Plan(Plan),
    Audit(Audit),
    Apply(applying::Apply),
    Confirm(applying::Confirm),
    Revert(applying::Revert),
    Recover(applying::Recover),
    Persist(applying::Persist),
    #[command(hide = true)]
    DeadMan,
    Ab(Box<trying::Ab>),
    Prove(Box<trying::Prove>),
    Report(trying::Report),
    Reanalyse(trying::Reanalyse),
}

/// Every setting that there is to turn, in one line each.
#[derive(Debug, Args)]
#[command(after_help = KNOBS_EXAMPLES)]
pub(crate) struct Knobs {
    /// As the page docs/KNOBS.md
    #[arg(long, conflicts_with = "json")]
    pub(crate) markdown: bool,
}

/// What a setting does, where it lives, when it does nothing, what it risks, and what is said of it and not so.
#[derive(Debug, Args)]
#[command(after_help = EXPLAIN_EXAMPLES)]
pub(crate) struct Explain {
    /// Its name, or the last word of it
    #[arg(value_name = "KNOB")]
    pub(crate) knob: String,
}

/// What a profile would change here. Changes nothing.
#[derive(Debug, Args)]
#[command(after_help = PLAN_EXAMPLES)]
pub(crate) struct Plan {
    #[command(flatten)]
    pub(crate) wanted: Wanted,
    /// Show the profile as a file of sysctl.d instead
    #[arg(long, conflicts_with = "json")]
    pub(crate) sysctl_d: bool,
    /// Show the profile as the tuned.conf of a TuneD profile instead
    #[arg(long, conflicts_with_all = ["json", "sysctl_d"])]
    pub(crate) tuned: bool,
}

/// What a host should be set to.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Wanted {
    /// million-connections, throughput, latency, edge, classic, or a file: a profile (.toml), sysctl.d or TuneD
    #[arg(value_name = "PROFILE")]
    pub(crate) profile: Option<String>,
    /// One setting, in place of a profile; may be repeated
    #[arg(long, value_name = "KNOB=VALUE")]
    pub(crate) set: Vec<String>,
}

/// Which values are not as a profile wants them, a line each. Changes nothing.
#[derive(Debug, Args)]
#[command(after_help = AUDIT_EXAMPLES)]
pub(crate) struct Audit {
    /// As of plan
    #[arg(value_name = "PROFILE")]
    pub(crate) profile: String,
    #[command(flatten)]
    pub(crate) place: applying::Place,
}

/// Reads the command line, program name first. Errors: what is wrong with it.
pub(crate) fn read(words: impl IntoIterator<Item = OsString>) -> Result<Asked, Failure> {
    match Line::try_parse_from(words) {
        Ok(line) => Ok(Asked::Do(line.command, line.common)),
        Err(error) if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) => {
            Ok(Asked::Show(error.render().to_string()))
        }
        Err(error) if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            Err(Failure::usage("no command was given").cure("`ringmill-lab --help`"))
        }
        Err(error) => Err(Failure::unread(&error.render().to_string(), "ringmill-lab --help")),
    }
}

const EXAMPLES: &str = "\
Examples:
  ringmill-lab doctor                    what costs a server here, most expensive first
  ringmill-lab explain somaxconn
  ringmill-lab plan throughput           what would change, and what each change risks
  ringmill-lab audit edge && echo as it should be
  ringmill-lab apply edge --confirm-within 2m        written, and taken back unless `ringmill-lab confirm` comes in time

Exit codes:
  0   done, or the question was answered
  1   the machine refused
  2   what was typed, or a file, cannot be meant
  3   plan: changes are pending; audit: a value is not as it should be; persist: another file wins
  4   apply, confirm: everything was taken back
  5   apply, confirm, revert, recover: something could not be, or was changed by somebody else";

const DOCTOR_CODES: &str = "\
Exit codes:
  0   it was looked at, whatever was found
  1   the machine refused
  2   what was typed cannot be meant";

const KNOBS_EXAMPLES: &str = "\
Examples:
  ringmill-lab knobs
  ringmill-lab knobs --json knobs.json

Exit codes:
  0   told
  1   the machine refused
  2   what was typed cannot be meant";

const EXPLAIN_EXAMPLES: &str = "\
Examples:
  ringmill-lab explain net.ipv4.tcp_tw_reuse
  ringmill-lab explain busy_poll --json

Exit codes:
  0   told
  1   the machine refused
  2   there is no such knob";

const PLAN_EXAMPLES: &str = "\
Examples:
  ringmill-lab plan million-connections
  ringmill-lab plan --set net.core.somaxconn=16384 --set 'net.ipv4.ip_local_port_range=1024 65535'
  ringmill-lab plan --set device.rps_cpus@eth0/rx-0=f
  ringmill-lab plan 90-tuning.conf --json plan.json      a file of sysctl.d; what the catalogue does not know is dropped
  ringmill-lab plan edge --sysctl-d > edge.conf
  ringmill-lab plan edge --tuned > tuned.conf

Exit codes:
  0   nothing to change
  1   the machine refused
  2   what was typed, or a file, cannot be meant
  3   changes are pending";

const AUDIT_EXAMPLES: &str = "\
Examples:
  ringmill-lab audit edge

Exit codes:
  0   all that can be written is as the profile wants it
  1   the machine refused
  2   what was typed, or a file, cannot be meant
  3   a value is not as the profile wants it";

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn typed(line: &str) -> Result<Asked, Failure> {
        read(std::iter::once("ringmill-lab").chain(line.split_whitespace()).map(OsString::from))
    }

    #[test]
    fn the_command_is_one_that_clap_accepts() {
        Line::command().debug_assert();
    }

    #[test]
    fn the_flags_of_all_commands_may_stand_behind_any() {
        for line in ["--root /x --json a.json doctor", "doctor --root /x --json a.json"] {
            let Ok(Asked::Do(Command::Doctor, common)) = typed(line) else { panic!("{line}") };
            assert_eq!((common.root, common.json), ("/x".into(), Some("a.json".into())), "{line}");
        }
        let Ok(Asked::Do(_, common)) = typed("knobs --json") else { panic!("no FILE") };
        assert_eq!((common.root, common.json), ("/".into(), Some("-".into())));
    }

    #[test]
    fn what_cannot_be_meant_is_one_line_and_a_cure() {
        let check = |line: &str, what: &str, cure: &str| {
            let failure = typed(line).expect_err(line).to_string();
            let (first, second) = failure.split_once(" Try ").expect("a cure");
            assert!(first.contains(what) && second.contains(cure), "{line}: {failure}");
        };
        check("", "no command was given", "--help");
        check("docter", "'docter'", "`doctor`");
        check("plan", "required arguments", "--help");
        check("plan edge --set a=b", "cannot be used with", "--help");
        check("plan edge --sysctl-d --json", "cannot be used with", "--help");
        check("plan edge --sysctl-d --tuned", "cannot be used with", "--help");
        check("explain", "required arguments", "--help");
        check("knobs --jsn", "unexpected argument '--jsn'", "`--json`");
    }

    #[test]
    fn every_help_names_its_exit_codes() {
        for (line, code) in [
            ("--help", 3),
            ("plan --help", 3),
            ("audit --help", 3),
            ("ab --help", 3),
            ("prove --help", 3),
            ("apply --help", 4),
            ("confirm --help", 4),
            ("revert --help", 5),
            ("recover --help", 5),
            ("persist --help", 3),
            ("doctor --help", 2),
            ("knobs --help", 2),
            ("explain --help", 2),
            ("report --help", 2),
            ("reanalyse --help", 3),
        ] {
            let Ok(Asked::Show(help)) = typed(line) else { panic!("{line}") };
            assert!(help.contains("Exit codes:") && help.contains(&format!("  {code}   ")), "{line}: {help}");
            assert!(!help.contains("dead-man "), "a person has no use for it: {help}");
        }
    }
}

//! What was typed: the command line by clap, its flags made from the catalogue in `knobs.rs`.
//!
//! Knows words, not meanings: [`Args::config`] lays defaults, file and flags over each other and has the result checked.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::{Arg, ArgAction, ArgMatches, Command};

use crate::config::Config;
use crate::file;
use crate::knobs::{Field, KNOBS, Knob};
use linux::console::Failure;

/// What the program is asked to do.
#[derive(Debug)]
pub(crate) enum Asked {
    /// Serve.
    Serve(Args),
    /// Show the configuration that would be served.
    PrintConfig(Args),
    /// Say whether a configuration file could be served.
    Check(Args),
    /// Say what this machine allows.
    Caps {
        /// As JSON.
        json: bool,
    },
    /// Show the help or the version.
    Show(String),
}

/// Flags and the file they override.
#[derive(Debug)]
pub(crate) struct Args {
    file: Option<PathBuf>,
    flags: Vec<(&'static str, Vec<String>)>,
}

/// Reads the command line, program name first. Errors: what is wrong with it.
pub(crate) fn read(words: impl IntoIterator<Item = OsString>) -> Result<Asked, Failure> {
    let matches = match command().try_get_matches_from(words) {
        Ok(matches) => matches,
        Err(error) if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) => {
            return Ok(Asked::Show(error.render().to_string()));
        }
        Err(error) => return Err(Failure::unread(&error.render().to_string(), "ringmill --help")),
    };
    let file = |matches: &ArgMatches, name: &str| matches.get_one::<PathBuf>(name).cloned();
    Ok(match matches.subcommand() {
        Some(("check", check)) => Asked::Check(Args { file: file(check, "FILE"), flags: Vec::new() }),
        Some(("caps", caps)) => Asked::Caps { json: caps.get_flag("json") },
        _ => {
            let args = Args { file: file(&matches, "config"), flags: flags(&matches) };
            if matches.get_flag("print-config") { Asked::PrintConfig(args) } else { Asked::Serve(args) }
        }
    })
}

impl Args {
    /// What is meant. Errors: the first mistake, in the file or among the flags or in what they mean together.
    pub(crate) fn config(&self) -> Result<Config, Failure> {
        let mut config = Config::default();
        if let Some(path) = &self.file {
            file::read(path, &mut config)?;
        }
        for (name, words) in &self.flags {
            let knob = Knob::named(name).expect("flags are made from the catalogue");
            let mut field = (knob.field)(&mut config);
            if let Field::Words(words) = &mut field {
                words.clear();
            }
            for word in words {
                let wrong = |why| Failure::usage(format!("--{name} {why}")).cure("`ringmill --help`");
                field.read(word).map_err(wrong)?;
            }
        }
        self.of_file(config.check())?;
        Ok(config)
    }

    /// The answer, with the file named in a mistake that was found after reading it, and the flags where they could have
    /// made it.
    pub(crate) fn of_file<T>(&self, answer: Result<T, Failure>) -> Result<T, Failure> {
        let Some(path) = &self.file else { return answer };
        let flags = if self.flags.is_empty() { "" } else { " and the flags over it" };
        answer.map_err(|failure| failure.at(&format!("{}{flags}", path.display())))
    }
}

fn flags(matches: &ArgMatches) -> Vec<(&'static str, Vec<String>)> {
    let typed = |knob: &Knob| Some(matches.get_many::<String>(knob.name)?.cloned().collect());
    KNOBS.iter().filter_map(|knob| Some((knob.name, typed(knob)?))).collect()
}

fn command() -> Command {
    let config =
        Arg::new("config").long("config").value_name("FILE").value_parser(clap::value_parser!(PathBuf));
    let print = Arg::new("print-config").long("print-config").action(ArgAction::SetTrue);
    let file = Arg::new("FILE").required(true).value_parser(clap::value_parser!(PathBuf));
    let json = Arg::new("json").long("json").action(ArgAction::SetTrue).help("As JSON");
    Command::new("ringmill")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Serves HTTP, echo and relay from one pinned executor per core, by io_uring.")
        .args(KNOBS.iter().map(flag))
        .arg(
            config.help(
                "Read settings from a TOML file; its keys are the names of these flags, which override it",
            ),
        )
        .arg(print.help("Show every setting as it would be served, as a file for --config, and end"))
        .subcommand(
            Command::new("check").about("Say whether a configuration file could be served here").arg(file),
        )
        .subcommand(
            Command::new("caps").about("Say what this kernel, these limits and this user allow").arg(json),
        )
        .args_conflicts_with_subcommands(true)
        .disable_help_subcommand(true)
        .after_help(EXAMPLES)
}

fn flag(knob: &Knob) -> Arg {
    let bounds = knob.bounds();
    let arg = Arg::new(knob.name)
        .long(knob.name)
        .help(format!("{} {bounds}", knob.what))
        .long_help(format!("{}. {}\n{bounds}", knob.what, knob.why));
    let mut config = Config::default();
    match (knob.field)(&mut config) {
        // `--huge-pages=false` takes back what a file says.
        Field::Switch(_) => {
            arg.num_args(0..=1).require_equals(true).value_name("BOOL").default_missing_value("true")
        }
        Field::Words(_) => arg.value_name(knob.value).action(ArgAction::Append),
        Field::Number(..) | Field::Word(_) | Field::File(_) => arg.value_name(knob.value),
    }
}

const EXAMPLES: &str = "\
Examples:
  ringmill                                       HTTP on 127.0.0.1:8080, echo on :7007, admin on :9090
  ringmill --listen http://*:80 --name example.org
  ringmill --cores 0 --spin-us 100 --listen echo://127.0.0.1:7007
  ringmill --listen 'relay://*:5432?to=10.0.0.7:5432&connect-ms=500'
  ringmill --print-config > ringmill.toml && ringmill check ringmill.toml && ringmill --config ringmill.toml

Signals:
  SIGTERM, SIGINT, SIGHUP   drain: accept nothing new, end what is begun; a second one does not wait
  SIGUSR1                   write the report and go on

Exit codes:
  0   served and drained, or the question was answered
  1   the machine refused: an address, a limit, io_uring
  2   the flags or the configuration file cannot be meant; `check`: it could not be served here";

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(line: &str) -> Result<Asked, Failure> {
        read(std::iter::once("ringmill").chain(line.split_whitespace()).map(OsString::from))
    }

    fn config(line: &str) -> Result<Config, Failure> {
        match typed(line)? {
            Asked::Serve(args) => args.config(),
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn the_command_is_one_that_clap_accepts() {
        command().debug_assert();
    }

    #[test]
    fn no_flags_mean_the_defaults() {
        assert_eq!(config("").expect("nothing typed"), Config::default());
    }

    #[test]
    fn flags_replace_the_defaults() {
        let got =
            config("--listen echo://127.0.0.1:1 --listen echo://127.0.0.1:2 --huge-pages --spin-us 100");
        let got = got.expect("flags");
        let urls: Vec<String> = got.listen.iter().map(|url| url.to_string()).collect();
        assert_eq!(urls, ["echo://127.0.0.1:1", "echo://127.0.0.1:2"]);
        assert_eq!((got.huge_pages, got.spin_us), (true, 100));
        assert!(!config("--huge-pages=false").expect("a switch taken back").huge_pages);
    }

    #[test]
    fn what_cannot_be_meant_is_one_line_and_a_cure() {
        let check = |line: &str, what: &str, cure: &str| {
            let failure = config(line).expect_err(line).to_string();
            let (first, second) = failure.split_once(" Try ").expect("a cure");
            assert!(first.contains(what), "{line}: {failure}");
            assert!(second.contains(cure), "{line}: {failure}");
        };
        check("--drian-ms 5", "unexpected argument '--drian-ms'", "`--drain-ms`");
        check("--nonsense", "unexpected argument '--nonsense'", "`ringmill --help`");
        check("chek x", "'chek'", "`check`");
        check("check", "required arguments", "--help");
        check("--drain-ms", "a value is required for '--drain-ms <N>'", "--help");
        check("--drain-ms x", "--drain-ms `x`: expected 0 to 3600000", "--help");
        check("--drain-ms 1 --drain-ms 2", "cannot be used multiple times", "--help");
        check("--engine kqueue", "`kqueue` is no engine of this version: there are uring", "--help");
        check("--cores 5-2", "a range runs backwards", "--help");
        check("--listen admin://0.0.0.0:1", "metrics", "--admin-public");
        check("--config /nonexistent/x.toml", "/nonexistent/x.toml: No such file", "--config FILE");
    }

    #[test]
    fn help_names_every_knob_with_its_bounds() {
        let Ok(Asked::Show(help)) = typed("--help") else { panic!("no help") };
        for knob in KNOBS {
            assert!(help.contains(&format!("--{}", knob.name)), "{}", knob.name);
        }
        assert!(help.contains("0 to 3600000, default 10000"), "{help}");
        assert!(help.contains("Exit codes:"), "{help}");
    }
}

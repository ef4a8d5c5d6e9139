//! What a program says to its user, and with what code it ends: an answer on standard output, or one line and a cure.
//!
//! Knows no flag and no configuration. A program gives its name when it speaks.

use std::fmt;
use std::io::{ErrorKind, Write};
use std::process::ExitCode;

use crate::error::Error;

/// The end of a program that could not do what it was asked.
#[derive(Debug)]
pub struct Failure {
    what: String,
    cure: Option<String>,
    exit: Exit,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Exit {
    /// The machine refused.
    Runtime = 1,
    /// What was typed cannot be meant.
    Usage = 2,
}

impl Failure {
    /// The machine refused `what`: exit code 1.
    pub fn runtime(what: impl Into<String>) -> Failure {
        Failure { what: what.into(), cure: None, exit: Exit::Runtime }
    }

    /// The flags or a file cannot be meant: exit code 2.
    pub fn usage(what: impl Into<String>) -> Failure {
        Failure { what: what.into(), cure: None, exit: Exit::Usage }
    }

    /// A refusal by Linux that has to do with what was typed.
    pub fn usage_of(error: Error) -> Failure {
        Failure::usage(error.to_string()).cure_if(error.cure())
    }

    /// A command line that its parser refused with `complaint`, whose first paragraph tells and whose later ones may have a
    /// tip: `error: ...`, `tip: a similar argument exists: '--x'` (as clap writes). Without one the cure is `else_try`.
    pub fn unread(complaint: &str, else_try: &str) -> Failure {
        let paragraph = complaint.split("\n\n").next().unwrap_or_default();
        let what = paragraph.split_whitespace().collect::<Vec<_>>().join(" ");
        let tip = complaint
            .lines()
            .find(|line| line.trim_start().starts_with("tip: ") && line.contains(" similar "));
        let meant = tip.and_then(|tip| tip.split('\'').nth(1));
        Failure::usage(what.strip_prefix("error: ").unwrap_or(&what))
            .cure(format!("`{}`", meant.unwrap_or(else_try)))
    }

    /// What the user can do, in words that follow "Try".
    pub fn cure(self, cure: impl Into<String>) -> Failure {
        Failure { cure: Some(cure.into()), ..self }
    }

    /// The same, where there may be none.
    pub fn cure_if(self, cure: Option<String>) -> Failure {
        Failure { cure, ..self }
    }

    /// The same about `place`, where it is one that cannot be meant: what the machine refuses is no mistake of a place.
    pub fn at(self, place: &str) -> Failure {
        match self.exit {
            Exit::Usage => Failure { what: format!("{place}: {}", self.what), ..self },
            Exit::Runtime => self,
        }
    }

    /// The same as the answer to a question that was asked, whose exit code is 2 whatever was refused, and by whom.
    pub fn of_check(self) -> Failure {
        Failure { exit: Exit::Usage, ..self }
    }

    /// Says it on standard error in the name of `program`. Returns the exit code that goes with it.
    pub fn tell(&self, program: &str) -> ExitCode {
        let _ = writeln!(std::io::stderr(), "{}", self.text(program));
        ExitCode::from(self.exit as u8)
    }

    /// What is said: one line, and one with the cure if there is one.
    fn text(&self, program: &str) -> String {
        match &self.cure {
            Some(cure) => {
                format!("{program}: {}.\n{:indent$}Try {cure}.", self.what, "", indent = program.len() + 2)
            }
            None => format!("{program}: {}.", self.what),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure::runtime(error.to_string()).cure_if(error.cure())
    }
}

impl fmt::Display for Failure {
    /// In one line, without the program.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.", self.what)?;
        self.cure.iter().try_for_each(|cure| write!(f, " Try {cure}."))
    }
}

/// Prints `text`, which was asked for, on standard output. A reader that has gone (`| head`) wanted no more. Errors: it could
/// not be written, to a full disk for one.
pub fn tell(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(why) if why.kind() != ErrorKind::BrokenPipe => {
            let failure = Failure::runtime(format!("standard output: {why}"));
            Err(failure.cure("somewhere else to write to"))
        }
        _ => Ok(()),
    }
}

/// Says on standard error in the name of `program` what went wrong without ending it.
pub fn warn(program: &str, what: &str) {
    let _ = writeln!(std::io::stderr(), "{program}: {what}.");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_one_line_and_its_cure_stands_below_it() {
        let failure = Failure::usage("a rate of 0").cure("`--rate 1k`");
        assert_eq!(failure.text("ringmill"), "ringmill: a rate of 0.\n          Try `--rate 1k`.");
        assert_eq!(failure.to_string(), "a rate of 0. Try `--rate 1k`.");
        assert_eq!(Failure::runtime("no ring").text("x"), "x: no ring.");
    }

    #[test]
    fn a_parsers_complaint_becomes_one_line_and_its_tip_the_cure() {
        let check = |complaint: &str, expected: &str| {
            assert_eq!(Failure::unread(complaint, "x --help").to_string(), expected);
        };
        check("error: required:\n  <URL>\n\nUsage: x", "required: <URL>. Try `x --help`.");
        let tips = "tip: to pass '--y' as a value, use '-- --y'\n  tip: a similar argument exists: '--why'";
        check(&format!("error: no '--y'\n\n  {tips}\n"), "no '--y'. Try `--why`.");
    }

    #[test]
    fn only_what_cannot_be_meant_is_the_mistake_of_a_place() {
        assert_eq!(Failure::usage("x").at("a.toml").to_string(), "a.toml: x.");
        assert_eq!(Failure::runtime("x").at("a.toml").to_string(), "x.");
        assert_eq!(Failure::runtime("x").of_check().at("a.toml").to_string(), "a.toml: x.");
    }
}

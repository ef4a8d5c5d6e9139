//! Why the program ends with something else than 0: one line, a cure, and the exit code.

use std::fmt;
use std::io::Write;
use std::process::ExitCode;

use shard::plan::EngineError;

/// The end of a program that could not do what it was asked. Shown as it is printed.
#[derive(Debug)]
pub(crate) struct Failure {
    what: String,
    cure: Option<String>,
    exit: Exit,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Exit {
    /// The machine refused.
    Runtime = 1,
    /// The flags or the configuration file cannot be meant, or `ringmill check` says no.
    Usage = 2,
}

impl Failure {
    /// The machine refused `what`: exit code 1.
    pub(crate) fn runtime(what: impl Into<String>) -> Failure {
        Failure { what: what.into(), cure: None, exit: Exit::Runtime }
    }

    /// The flags or the file cannot be meant: exit code 2.
    pub(crate) fn usage(what: impl Into<String>) -> Failure {
        Failure { what: what.into(), cure: None, exit: Exit::Usage }
    }

    /// What the user can do, in words that follow "Try".
    pub(crate) fn cure(self, cure: impl Into<String>) -> Failure {
        Failure { cure: Some(cure.into()), ..self }
    }

    /// The same, where there may be none.
    pub(crate) fn cure_if(self, cure: Option<String>) -> Failure {
        Failure { cure, ..self }
    }

    /// The same about `place`, where it is one that cannot be meant: what the machine refuses is no mistake of a place.
    pub(crate) fn at(self, place: &str) -> Failure {
        match self.exit {
            Exit::Usage => Failure { what: format!("{place}: {}", self.what), ..self },
            Exit::Runtime => self,
        }
    }

    /// The same as the answer of `ringmill check`, whose exit code is 2 whatever was refused, and by whom.
    pub(crate) fn of_check(self) -> Failure {
        Failure { exit: Exit::Usage, ..self }
    }

    /// The exit code that goes with it.
    pub(crate) fn code(&self) -> ExitCode {
        ExitCode::from(self.exit as u8)
    }

    /// A refusal by Linux that has to do with what was typed.
    pub(crate) fn usage_of(error: linux::Error) -> Failure {
        Failure::usage(error.to_string()).cure_if(error.cure())
    }
}

impl From<linux::Error> for Failure {
    fn from(error: linux::Error) -> Failure {
        Failure::runtime(error.to_string()).cure_if(error.cure())
    }
}

impl From<EngineError> for Failure {
    fn from(error: EngineError) -> Failure {
        match error {
            EngineError::Ring(error) => Failure::runtime(error.to_string()).cure_if(error.cure()),
            EngineError::Linux(error) => error.into(),
            EngineError::Plan(what) => Failure::usage(what).cure("`ringmill --help`"),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ringmill: {}", self.what)?;
        match &self.cure {
            Some(cure) => write!(f, ".\n          Try {cure}."),
            None => write!(f, "."),
        }
    }
}

/// Says on standard error what went wrong without ending the program.
pub(crate) fn warn(what: &str) {
    let _ = writeln!(std::io::stderr(), "ringmill: {what}.");
}

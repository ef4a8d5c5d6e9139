//! What can go wrong before anything is changed: a name, a file, a value.

use std::io;
use std::path::PathBuf;

use crate::catalogue;
use crate::value::{ValueError, plain, shown};

/// Why a question cannot be answered.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No knob of the catalogue has this name.
    #[error("`{}` is no knob of the catalogue", shown(.0))]
    NoKnob(String),
    /// No profile of this program has this name, and there is no such file.
    #[error("`{}` is no profile, and no file", plain(.0))]
    NoProfile(String),
    /// A file cannot be read.
    #[error("{path}: {why}")]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// As the kernel said.
        why: io::Error,
    },
    /// A profile is not written as one.
    #[error("{place}: {why}")]
    Malformed {
        /// File, and line and column where they are known.
        place: String,
        /// One line.
        why: String,
    },
    /// Profiles inherit from each other in a circle.
    #[error("profile `{0}` inherits itself")]
    Circle(String),
    /// `--set` without a name, an equals sign or a value.
    #[error("`{}` is no setting", shown(.0))]
    NoSetting(String),
    /// A value is none of its knob.
    #[error(transparent)]
    Value(#[from] ValueError),
}

impl Error {
    /// What the user can do, in words that follow "Try".
    pub fn cure(&self) -> String {
        match self {
            Error::NoKnob(name) => match catalogue::meant(name) {
                Some(knob) => format!("`{}`", knob.name),
                None => "`ringmill-lab knobs` for every knob there is".into(),
            },
            Error::NoProfile(_) => {
                let names: Vec<_> = crate::profile::BUILT_IN.iter().map(|(name, _)| *name).collect();
                format!("one of {}, or the path of a file", names.join(", "))
            }
            Error::Unreadable { .. } => "a file that can be read".into(),
            Error::Malformed { .. } => "a file as those in sysctl/ are written".into(),
            Error::Circle(_) => "to take one `inherits` away".into(),
            Error::NoSetting(_) => "`--set net.core.somaxconn=4096`".into(),
            Error::Value(error) => error.cure(),
        }
    }
}

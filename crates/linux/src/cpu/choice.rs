//! Which cores get a shard: what was asked for, what the process may use, what the cgroup grants.
//!
//! Never pins a thread; the engine does. The choice itself is a pure function of what the kernel said.

use std::fmt;
use std::str::FromStr;

use super::{CoresSpec, quota};
use crate::error::Error;

/// The number of shards as typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shards {
    /// One on each core, or fewer where the cgroup grants less time.
    Auto,
    /// So many.
    Count(u16),
}

/// The cores that get a shard each, and what to tell the user about it.
#[derive(Debug, PartialEq, Eq)]
pub struct Choice {
    /// At least one, each once.
    pub cores: Vec<usize>,
    /// One line, if there is something to know.
    pub warning: Option<String>,
}

/// Asks the kernel and chooses.
///
/// Errors: `Error::NoSuchCore` for a core that is not allowed, `Error::TooFewCores` for more shards than cores.
pub fn choose(cores: &CoresSpec, shards: Shards) -> Result<Choice, Error> {
    choose_among(cores.resolve()?, cores, shards, quota())
}

fn choose_among(
    mut found: Vec<usize>,
    cores: &CoresSpec,
    shards: Shards,
    quota: Option<f64>,
) -> Result<Choice, Error> {
    if let Shards::Count(count) = shards {
        let count = usize::from(count);
        if count > found.len() {
            return Err(Error::TooFewCores { shards: count, cores: found });
        }
        found.truncate(count);
    }
    let Some(quota) = quota.filter(|quota| *quota < found.len() as f64) else {
        return Ok(Choice { cores: found, warning: None });
    };
    let counted = |count: usize| format!("{count} shard{}", if count == 1 { "" } else { "s" });
    let granted = format!("the cgroup (cpu.max) grants the time of {quota} cores");
    if shards != Shards::Auto || matches!(cores, CoresSpec::List(_)) {
        let warning = format!("{granted}, fewer than the {} asked for: expect stalls", counted(found.len()));
        return Ok(Choice { cores: found, warning: Some(warning) });
    }
    // Rounded down: a shard more than there is time for would be stopped by the cgroup in the middle of a turn.
    let before = found.len();
    found.truncate((quota as usize).max(1));
    let warning = format!("{granted} of {before}: {}", counted(found.len()));
    Ok(Choice { cores: found, warning: Some(warning) })
}

impl FromStr for Shards {
    type Err = String;

    fn from_str(text: &str) -> Result<Shards, String> {
        match (text, text.parse()) {
            ("auto", _) => Ok(Shards::Auto),
            (_, Ok(count @ 1..=4096)) => Ok(Shards::Count(count)),
            _ => Err(format!("`{text}`: expected auto or 1 to 4096")),
        }
    }
}

impl fmt::Display for Shards {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Shards::Auto => f.write_str("auto"),
            Shards::Count(count) => write!(f, "{count}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_take_the_first_of_the_cores_and_never_more_than_there_are() {
        let choose = |count| choose_among(vec![0, 2, 3], &CoresSpec::default(), Shards::Count(count), None);
        assert_eq!(choose(2).expect("two of three").cores, [0, 2]);
        let error = choose(4).expect_err("four of three");
        let failure = error.to_string();
        assert!(failure.contains("4 shards need 4 cores and there are 3: 0,2-3"), "{failure}");
        assert_eq!(error.cure().as_deref(), Some("`--shards 3`"));
    }

    #[test]
    fn a_cgroup_that_grants_less_means_fewer_shards_unless_they_were_asked_for() {
        let check = |cores: &str, shards: Shards, quota: f64, expected: usize, warns: bool| {
            let cores = cores.parse().expect("cores");
            let choice = choose_among(vec![0, 1, 2, 3], &cores, shards, Some(quota)).expect("a choice");
            assert_eq!((choice.cores.len(), choice.warning.is_some()), (expected, warns), "{choice:?}");
        };
        check("all", Shards::Auto, 4.0, 4, false);
        check("all", Shards::Auto, 2.5, 2, true);
        check("physical", Shards::Auto, 0.5, 1, true);
        check("all", Shards::Count(3), 1.5, 3, true);
        check("all", Shards::Count(1), 1.5, 1, false);
        check("0-3", Shards::Auto, 1.5, 4, true);
    }

    #[test]
    fn cores_and_shards_are_written_as_they_are_read() {
        for text in ["all", "physical", "0", "0,2-5", "3,1-2"] {
            assert_eq!(text.parse::<CoresSpec>().expect(text).to_string(), text);
        }
        for text in ["auto", "1", "4096"] {
            assert_eq!(text.parse::<Shards>().expect(text).to_string(), text);
        }
        for text in ["0", "4097", "-1", "all", ""] {
            assert!(text.parse::<Shards>().is_err(), "{text}");
        }
    }
}

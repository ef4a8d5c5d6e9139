//! Which engine serves: the one that was asked for, or the best that this machine lets the process have.
//!
//! Only `auto` falls back, and only where io_uring is refused as a whole (a sysctl, a filter, an old kernel). What is merely
//! short (locked memory, descriptors) is an error with a cure: who raises the limit gets what they came for.

use std::fmt;
use std::str::FromStr;

use linux::ring::{self, Factors, RingError};
use shard::engine::Engine;

/// What was asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Choice {
    /// io_uring, and epoll where it is refused.
    #[default]
    Auto,
    /// This one or none.
    Only(Engine),
}

/// What serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Serving {
    pub(crate) engine: Engine,
    /// Why it is not the first choice.
    pub(crate) instead: Option<String>,
}

/// Asks the kernel for a ring if that decides. What is merely short is for the engine to say when it is checked or started.
pub(crate) fn choose(choice: Choice) -> Serving {
    let refusal = match choice {
        Choice::Only(engine) => return Serving { engine, instead: None },
        Choice::Auto => ring::probe(&Factors::BEST).err().filter(RingError::is_refusal),
    };
    match refusal {
        None => Serving { engine: Engine::Uring, instead: None },
        Some(error) => Serving { engine: Engine::Epoll, instead: Some(error.to_string()) },
    }
}

impl Serving {
    /// The first choice, where something else serves.
    pub(crate) fn instead_of(&self) -> Option<&'static str> {
        self.instead.as_ref().map(|_| Engine::Uring.name())
    }
}

impl FromStr for Choice {
    type Err = String;

    fn from_str(text: &str) -> Result<Choice, String> {
        match text {
            "auto" => Ok(Choice::Auto),
            text => text.parse().map(Choice::Only),
        }
    }
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Choice::Auto => f.write_str("auto"),
            Choice::Only(engine) => engine.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_engine_is_read_by_its_name_and_others_are_named_with_those_there_are() {
        for engine in Engine::ALL {
            assert_eq!(engine.to_string().parse(), Ok(Choice::Only(engine)));
        }
        assert_eq!("auto".parse(), Ok(Choice::Auto));
        let error = "kqueue".parse::<Choice>().expect_err("not on Linux");
        assert!(error.contains("`kqueue`") && error.contains("epoll"), "{error}");
    }

    #[test]
    fn an_engine_that_was_asked_for_is_not_replaced() {
        for engine in Engine::ALL {
            assert_eq!(choose(Choice::Only(engine)), Serving { engine, instead: None });
        }
    }
}

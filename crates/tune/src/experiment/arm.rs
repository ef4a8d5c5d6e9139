//! What makes an arm what it is: settings of a network namespace, and flags of the server.
//!
//! Names knobs of the catalogue only, and of those only what a namespace keeps to itself. Never writes: see [`super::run`].

use crate::catalogue;
use crate::knob::{Access, Knob, Scope};
use crate::value::{Value, ValueError};

/// An arm as it is meant.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ArmPlan {
    /// In the order in which they are written.
    pub settings: Vec<Set>,
    /// Flags of `ringmill`, word by word.
    pub flags: Vec<String>,
}

/// One setting.
#[derive(Clone, Debug)]
pub struct Set {
    /// Of what.
    pub knob: &'static Knob,
    /// To what.
    pub value: Value,
}

impl PartialEq for Set {
    /// A knob is the same where its name is: names are there once.
    fn eq(&self, other: &Set) -> bool {
        self.knob.name == other.knob.name && self.value == other.value
    }
}

/// Why words are no arm.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ArmError {
    /// No knob has this name.
    #[error("`{0}` is no knob of the catalogue")]
    NoKnob(String),
    /// There is no value.
    #[error("`{0}` has no value")]
    NoValue(String),
    /// It cannot be tried inside of a namespace.
    #[error("{name} cannot be tried here: {why}")]
    NotTestable {
        /// Which knob.
        name: &'static str,
        /// Why.
        why: String,
    },
    /// The value is none of its knob.
    #[error(transparent)]
    Value(#[from] ValueError),
}

impl ArmError {
    /// What the user can do, in words that follow "Try".
    pub fn cure(&self) -> String {
        match self {
            ArmError::NoKnob(name) => match catalogue::meant(name) {
                Some(knob) => format!("`{}`", knob.name),
                None => "`ringmill-lab knobs` for every knob there is".into(),
            },
            ArmError::NoValue(_) => "`net.core.somaxconn=8`, or `ringmill:--spin-us 100`".into(),
            ArmError::NotTestable { name, .. } => format!("`ringmill-lab explain {name}`"),
            ArmError::Value(error) => error.cure(),
        }
    }
}

impl ArmPlan {
    /// The arm that `spec` means: `knob=value,knob=value,ringmill:--flag VALUE`; nothing at all is the default. A comma before what is
    /// no knob belongs to the value before it. Errors: see [`ArmError`].
    pub fn parse(spec: &str) -> Result<ArmPlan, ArmError> {
        let mut pieces: Vec<String> = Vec::new();
        for piece in spec.split(',') {
            match pieces.last_mut() {
                Some(last) if !begins(piece) => *last += &format!(",{piece}"),
                _ if piece.trim().is_empty() => {}
                _ => pieces.push(piece.to_owned()),
            }
        }
        let mut arm = ArmPlan::default();
        for piece in &pieces {
            match piece.trim().strip_prefix(SERVER) {
                Some(flags) => arm.flags.extend(flags.split_whitespace().map(str::to_owned)),
                None => {
                    let (name, value) =
                        piece.split_once('=').ok_or_else(|| ArmError::NoValue(piece.trim().into()))?;
                    let knob =
                        catalogue::named(name.trim()).ok_or_else(|| ArmError::NoKnob(name.trim().into()))?;
                    arm.set(knob, knob.parse(value)?)?;
                }
            }
        }
        Ok(arm)
    }

    /// Adds a value of a knob. Errors: it cannot be tried here.
    pub fn set(&mut self, knob: &'static Knob, value: Value) -> Result<(), ArmError> {
        testable(knob).map_err(|why| ArmError::NotTestable { name: knob.name, why })?;
        match knob.access {
            Access::Flag(flag) => match value.to_string().as_str() {
                "true" => self.flags.push(flag.to_owned()),
                "false" => {}
                value => self.flags.extend([flag.to_owned(), value.to_owned()]),
            },
            Access::File | Access::Advice => {
                self.settings.retain(|set| set.knob.name != knob.name);
                self.settings.push(Set { knob, value });
            }
        }
        Ok(())
    }

    /// The same arm in one form: what is declared.
    pub fn spec(&self) -> String {
        let settings = self.settings.iter().map(|Set { knob, value }| format!("{}={value}", knob.name));
        let flags = (!self.flags.is_empty()).then(|| format!("{SERVER}{}", self.flags.join(" ")));
        settings.chain(flags).collect::<Vec<_>>().join(",")
    }
}

/// Whether a knob can be tried in a namespace of its own. Errors: why not, in words that follow "not testable here".
pub fn testable(knob: &Knob) -> Result<(), String> {
    if let Some(release) = knob.removed {
        return Err(format!("it is gone since Linux {release}"));
    }
    match (knob.scope, knob.access) {
        (Scope::Netns, Access::File) if !knob.is_many() => Ok(()),
        (Scope::Ringmill, Access::Flag(_)) => Ok(()),
        (Scope::Netns, _) => Err("it is not one file".into()),
        (Scope::Device, _) => Err("a fresh namespace has no device but its loopback".into()),
        (Scope::Host, _) => {
            Err("it is of the whole host, and would be felt outside of the experiment".into())
        }
        (Scope::Boot, _) => Err("it is of the kernel's command line, and takes a reboot".into()),
        (Scope::Socket | Scope::Ringmill, _) => Err("it is set by a program on its own sockets".into()),
    }
}

/// Whether a piece between commas is a setting of its own.
fn begins(piece: &str) -> bool {
    let is_knob = |name: &str| catalogue::named(name.trim()).is_some();
    piece.trim().starts_with(SERVER) || piece.split_once('=').is_some_and(|(name, _)| is_knob(name))
}

/// Before flags of the server.
const SERVER: &str = "ringmill:";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spec_is_read_and_said_in_one_form() {
        let check = |spec: &str, said: &str| {
            let arm = ArmPlan::parse(spec).unwrap_or_else(|error| panic!("{spec}: {error}"));
            assert_eq!(arm.spec(), said, "{spec}");
            assert_eq!(ArmPlan::parse(said).map(|arm| arm.spec()).as_deref(), Ok(said));
        };
        check("", "");
        check("net.core.somaxconn=8", "net.core.somaxconn=8");
        check(
            " net/core/somaxconn=8 , net.ipv4.tcp_rmem=4096\t4096 4096",
            "net.core.somaxconn=8,net.ipv4.tcp_rmem=4096 4096 4096",
        );
        check("net.core.somaxconn=8,net.core.somaxconn=9", "net.core.somaxconn=9");
        check("ringmill:--spin-us 100", "ringmill:--spin-us 100");
        check("ringmill.spin-us=100,net.core.somaxconn=8", "net.core.somaxconn=8,ringmill:--spin-us 100");
        check("ringmill.huge-pages=true", "ringmill:--huge-pages");
        check("ringmill:--ring tier=coop,bundles=off", "ringmill:--ring tier=coop,bundles=off");
    }

    #[test]
    fn what_is_no_arm_says_why_and_what_to_try() {
        let check = |spec: &str, error: &str, cure: &str| {
            let found = ArmPlan::parse(spec).expect_err(spec);
            assert!(found.to_string().contains(error), "{spec}: {found}");
            assert!(found.cure().contains(cure), "{spec}: {}", found.cure());
        };
        check("somaxconn=8", "`somaxconn` is no knob", "net.core.somaxconn");
        check("fast", "`fast` has no value", "net.core.somaxconn=8");
        check("net.core.somaxconn=many", "expected", "explain net.core.somaxconn");
        check("kernel.core_pattern=x", "is no knob", "knobs");
        check("vm.swappiness=1", "of the whole host", "explain vm.swappiness");
        check("net.ipv4.tcp_tw_recycle=0", "gone since Linux 4.12", "explain");
    }

    #[test]
    fn only_what_a_namespace_keeps_to_itself_is_testable() {
        for knob in catalogue::all() {
            let leaks = matches!(knob.scope, Scope::Host | Scope::Boot | Scope::Device);
            assert!(!leaks || testable(knob).is_err(), "{}", knob.name);
        }
        assert!(catalogue::all().filter(|knob| testable(knob).is_ok()).count() > 20);
    }
}

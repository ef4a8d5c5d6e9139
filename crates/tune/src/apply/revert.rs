//! Taking back what a journal says was written: in reverse order, coupled settings as one, and only what is still ours.
//!
//! A setting that reads neither as it was nor as we left it has been changed by somebody else: it is left alone, with all that
//! are coupled with it, and told of. May be cut off anywhere and begun again: what is back already is not written.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Step;
use super::journal::{Kept, Log};
use super::setting::{Lookup, Setting};
use crate::root::Root;

/// What became of a setting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fate {
    /// Which.
    pub name: String,
    /// What it was before.
    pub before: String,
    /// What it reads now; empty where it cannot be read.
    pub now: String,
    /// How that came.
    pub end: FateEnd,
}

/// How a setting came to what it reads now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FateEnd {
    /// It is as it was.
    AsBefore,
    /// Somebody else changed it after us, or what it is coupled with: left alone.
    ForeignChange,
    /// The kernel did not take its old value back.
    Failed {
        /// What the kernel said.
        why: String,
    },
}

impl Fate {
    /// Whether it is as it was.
    pub fn is_back(&self) -> bool {
        self.end == FateEnd::AsBefore
    }
}

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, before, now) = (&self.name, self.before.trim(), self.now.trim());
        match &self.end {
            FateEnd::AsBefore => write!(f, "{name}: {before}, as before"),
            FateEnd::ForeignChange => {
                write!(f, "{name}: foreign change, left alone: it was {before} and is {now}")
            }
            FateEnd::Failed { why } => write!(f, "{name}: not back: it was {before} and is {now} ({why})"),
        }
    }
}

/// Takes back what `log` says was written below `root`, and says what became of each setting, coupled ones included.
pub(super) fn take_back(log: &Log, root: &Root, knobs: Lookup, tell: &mut dyn FnMut(Step<'_>)) -> Vec<Fate> {
    let mut groups: Vec<usize> = Vec::new();
    for kept in log.kept.iter().rev() {
        let is_written = |other: &Kept| other.group == kept.group && other.is_written;
        if !groups.contains(&kept.group) && log.kept.iter().any(is_written) {
            groups.push(kept.group);
        }
    }
    let mut fates = Vec::new();
    for group in groups {
        let members: Vec<&Kept> = log.kept.iter().rev().filter(|kept| kept.group == group).collect();
        let in_flight = members
            .iter()
            .copied()
            .find(|kept| log.in_flight.as_ref().is_some_and(|name| kept.name == *name));
        fates.extend(take_group_back(&members, in_flight, root, knobs, tell));
    }
    fates
}

fn take_group_back(
    members: &[&Kept],
    in_flight: Option<&Kept>,
    root: &Root,
    knobs: Lookup,
    tell: &mut dyn FnMut(Step<'_>),
) -> Vec<Fate> {
    let mut members: Vec<Member<'_>> = members.iter().map(|kept| Member::of(kept, root, knobs)).collect();
    if members.iter().any(|member| member.is_foreign(in_flight)) {
        return members.into_iter().map(|member| member.fate(true)).collect();
    }
    // A coupled setting may refuse its own old value, and have it all the same once its other is back: `vm.dirty_bytes` takes no
    // 0 and becomes 0 when `vm.dirty_ratio` is written. So each is tried as often as there are settings, and what they read
    // in the end counts.
    for _ in 0..members.len() {
        for at in 0..members.len() {
            members[at].write_back(root, tell);
            members.iter_mut().for_each(|member| member.look(root));
        }
        if members.iter().all(Member::is_back) {
            break;
        }
    }
    members.into_iter().map(|member| member.fate(false)).collect()
}

/// A setting on its way back.
struct Member<'a> {
    kept: &'a Kept,
    setting: Option<Setting>,
    /// None where it cannot be read: its device is gone.
    now: Option<String>,
    refused: Option<String>,
}

impl<'a> Member<'a> {
    fn of(kept: &'a Kept, root: &Root, knobs: Lookup) -> Member<'a> {
        let setting = Setting::named(&kept.name, knobs);
        let refused = setting.is_none().then(|| "it is not in this program's catalogue".into());
        let mut member = Member { kept, setting, now: None, refused };
        member.look(root);
        member
    }

    fn look(&mut self, root: &Root) {
        let Some(setting) = &self.setting else { return };
        match setting.read(root) {
            Ok(now) => self.now = Some(now),
            Err(error) => {
                self.now = None;
                self.refused = Some(error.to_string());
            }
        }
    }

    fn is_back(&self) -> bool {
        self.reads(&self.kept.before)
    }

    /// Neither as before nor as we left it. What a write in flight did to those that are coupled with it is not known.
    fn is_foreign(&self, in_flight: Option<&Kept>) -> bool {
        let is_beside = in_flight.is_some_and(|kept| kept.name != self.kept.name);
        let is_ours = is_beside || self.kept.ours.iter().any(|text| self.reads(text));
        self.now.is_some() && !self.is_back() && !is_ours
    }

    fn reads(&self, text: &str) -> bool {
        let both = self.setting.as_ref().zip(self.now.as_ref());
        both.is_some_and(|(setting, now)| setting.is_same(now, text))
    }

    fn write_back(&mut self, root: &Root, tell: &mut dyn FnMut(Step<'_>)) {
        let Some(setting) = self.setting.as_ref().filter(|_| !self.is_back()) else { return };
        tell(Step::TakingBack(&self.kept.name));
        self.refused =
            setting.write(root, setting.to_write(&self.kept.before)).err().map(|error| error.to_string());
        tell(Step::TookBack(&self.kept.name));
    }

    fn fate(self, is_foreign: bool) -> Fate {
        let end = match (self.is_back(), is_foreign) {
            (true, _) => FateEnd::AsBefore,
            (false, true) => FateEnd::ForeignChange,
            (false, false) => FateEnd::Failed {
                why: self.refused.unwrap_or_else(|| "the kernel took it and shows another".into()),
            },
        };
        Fate {
            name: self.kept.name.clone(),
            before: self.kept.before.clone(),
            now: self.now.unwrap_or_default(),
            end,
        }
    }
}

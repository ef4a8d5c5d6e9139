//! One transaction, from the lock to its end, as the process that applies it runs it.
//!
//! Never writes before the dead-man watches, and writes nothing more once the dead-man has ended the watch. What was written by then is
//! taken back once more, since the last write and the end may have crossed.

use std::io;
use std::process::Command;
use std::time::Duration;

use super::deadman::DeadMan;
use super::journal::{self, Journal, Log, Record};
use super::parley::Order;
use super::revert::take_back;
use super::setting::{Change, Setting};
use super::state::{self, State};
use super::{ApplyError, End, Host, Outcome, Step};
use crate::knob::Scope;
use crate::root::Root;

/// What is asked for.
pub struct Request<'a> {
    /// The values, in the order in which they are written.
    pub changes: &'a [Change],
    /// How long it waits to be confirmed, from when the dead-man watches.
    pub confirm_within: Duration,
    /// Whether settings that every process of the host feels may be among them.
    pub host_wide: bool,
    /// A program that comes to [`stand_by`](super::stand_by).
    pub dead_man: &'a mut Command,
    /// Whether the host is well with all of it; what is wrong otherwise.
    pub check: &'a mut dyn FnMut() -> Result<(), String>,
}

/// Writes the changes and waits until somebody confirms them, or takes them back. Tells each step when it is done.
///
/// Errors: nothing was changed, and why. A failure after the first write is an [`Outcome`].
pub fn apply(
    host: &Host,
    request: Request<'_>,
    tell: &mut dyn FnMut(Step<'_>),
) -> Result<Outcome, ApplyError> {
    request.changes.iter().try_for_each(|change| may(host, &request, &change.setting))?;
    let root = host.root().map_err(ApplyError::state("open the root"))?;
    let state = State::lock(&root)?;
    tell(Step::Locked);
    if let Some(log) = state.unfinished(&root)? {
        return Err(ApplyError::Unfinished { netns: log.head.and_then(|head| head.netns) });
    }
    let mut records = vec![Record::Begun(state::head(&root, host, request.confirm_within.as_secs()))];
    records.extend(snapshot(host, &root, request.changes)?);
    tell(Step::Snapshot);
    let mut journal = Journal::create(&state.tree).map_err(ApplyError::state("create the journal"))?;
    tell(Step::JournalCreated);
    // The name of the journal must be on disk too.
    let written = journal.add(&records).and_then(|()| state.tree.sync());
    written.map_err(|error| abandon(&state, "write the journal", error))?;
    tell(Step::JournalWritten);
    let order = Order {
        tree: host.tree.clone(),
        netns: host.netns.clone(),
        confirm_within_ms: u64::try_from(request.confirm_within.as_millis())
            .unwrap_or(u64::MAX / 1_000_000 / 2),
        records: records.clone(),
    };
    let dead_man = DeadMan::arm(request.dead_man, order, &state.lock)
        .map_err(|error| abandon(&state, "start the dead-man", error))?;
    tell(Step::Armed(dead_man.id()));
    let mut log = Log::default();
    records.iter().for_each(|record| log.note(record));
    let run = Run { host, root: &root, state: &state, journal, log };
    Ok(run.run(dead_man, request, tell))
}

/// Nothing was written yet, so nothing needs a journal.
fn abandon(state: &State, what: &'static str, error: io::Error) -> ApplyError {
    let _ = state.tree.remove(journal::OPEN);
    ApplyError::State { what, error }
}

/// Whether this setting may be changed here.
fn may(host: &Host, request: &Request<'_>, setting: &Setting) -> Result<(), ApplyError> {
    let name = setting.name();
    match setting.knob.scope {
        _ if !setting.knob.is_writable() => Err(ApplyError::NotWritable { name }),
        Scope::Netns | Scope::Device => Ok(()),
        Scope::Host if host.netns.is_some() => Err(ApplyError::Leaks { name }),
        Scope::Host if !request.host_wide => Err(ApplyError::HostWide { name }),
        Scope::Host => Ok(()),
        Scope::Socket | Scope::Boot | Scope::Ringmill => Err(ApplyError::NotWritable { name }),
    }
}

/// What every setting is, and every one that is coupled with it. Those that touch each other have one group.
fn snapshot(host: &Host, root: &Root, changes: &[Change]) -> Result<Vec<Record>, ApplyError> {
    let mut kept: Vec<(String, String, usize)> = Vec::new();
    for (at, Change { setting, .. }) in changes.iter().enumerate() {
        let text =
            setting.read(root).map_err(|error| ApplyError::Unreadable { name: setting.name(), error })?;
        let mut members = vec![(setting.name(), text)];
        for coupled in setting.coupled(host.knobs) {
            // What this kernel does not have cannot be changed by the other.
            members.extend(coupled.read(root).ok().map(|text| (coupled.name(), text)));
        }
        let is_member = |name: &String| members.iter().any(|(member, _)| member == name);
        let touched: Vec<usize> =
            kept.iter().filter(|(name, ..)| is_member(name)).map(|(.., group)| *group).collect();
        let in_touched = kept.iter_mut().filter(|(.., group)| touched.contains(group));
        in_touched.for_each(|(.., group)| *group = at);
        for (name, text) in members {
            if !kept.iter().any(|(known, ..)| *known == name) {
                kept.push((name, text, at));
            }
        }
    }
    Ok(kept.into_iter().map(|(name, text, group)| Record::Before { name, text, group }).collect())
}

/// A transaction that may write.
struct Run<'a> {
    host: &'a Host,
    root: &'a Root,
    state: &'a State,
    journal: Journal,
    log: Log,
}

/// Why the writing stopped.
enum Stop {
    /// Something went wrong.
    Failed(String),
    /// The kernel refused a write.
    Refused(String),
    /// The dead-man has ended it, or is gone.
    Over(Option<Outcome>),
}

impl Run<'_> {
    fn run(mut self, mut dead_man: DeadMan, request: Request<'_>, tell: &mut dyn FnMut(Step<'_>)) -> Outcome {
        let (ended, why) = match self.write(&mut dead_man, request, tell) {
            Ok(()) => (dead_man.wait(), GONE.into()),
            Err(Stop::Failed(why) | Stop::Refused(why)) => (dead_man.take_back(&why), why),
            Err(Stop::Over(ended)) => {
                // Our last write and its end may have crossed: what it did is done once more when it is gone.
                dead_man.wait();
                (None, ended.map_or(GONE.into(), |outcome| outcome.why))
            }
        };
        ended.unwrap_or_else(|| self.take_back(&why, tell))
    }

    fn write(
        &mut self,
        dead_man: &mut DeadMan,
        request: Request<'_>,
        tell: &mut dyn FnMut(Step<'_>),
    ) -> Result<(), Stop> {
        let mut later: Vec<&Change> = Vec::new();
        for (at, change) in request.changes.iter().enumerate() {
            match self.write_one(dead_man, change, tell) {
                // A range of ports is refused until the bound is lower that it would cross, whichever stands first in a profile.
                Err(Stop::Refused(_)) if self.awaits(change, &request.changes[at + 1..]) => {
                    later.push(change)
                }
                other => other?,
            }
        }
        later.into_iter().try_for_each(|change| self.write_one(dead_man, change, tell))?;
        // Once more: a later one may have changed an earlier one that it is coupled with.
        for Change { setting, target } in request.changes {
            self.reads(setting, &target.to_string())?;
        }
        (request.check)().map_err(|why| Stop::Failed(format!("the health check failed: {why}")))?;
        tell(Step::Checked);
        self.note(dead_man, &[Record::Applied])?;
        tell(Step::Applied);
        Ok(())
    }

    fn write_one(
        &mut self,
        dead_man: &mut DeadMan,
        change: &Change,
        tell: &mut dyn FnMut(Step<'_>),
    ) -> Result<(), Stop> {
        let Change { setting, target } = change;
        let (name, text) = (setting.name(), target.to_string());
        if setting.read(self.root).is_ok_and(|now| setting.is_same(&now, &text)) {
            return Ok(());
        }
        self.note(dead_man, &[Record::Writing { name: name.clone(), text: text.clone() }])?;
        tell(Step::Announced(&name));
        // A whole vector, and in one write: one number changes the first field only.
        let written = setting.write(self.root, &text);
        tell(Step::Wrote(&name));
        // A write that failed may have changed the value: rps_default_mask does so. What it reads now is ours either way.
        let reads = setting.read(self.root).map_err(|error| Stop::Failed(format!("{name}: {error}")))?;
        let mut records = vec![Record::Reads { name: name.clone(), text: reads }];
        // The kernel may have changed what is coupled with it.
        for coupled in setting.coupled(self.host.knobs) {
            let reads = coupled.read(self.root).ok();
            records.extend(reads.map(|text| Record::Reads { name: coupled.name(), text }));
        }
        records.push(Record::Wrote);
        self.note(dead_man, &records)?;
        tell(Step::ReadBack(&name));
        written.map_err(|error| Stop::Refused(format!("{name}={text} was refused: {error}")))?;
        self.reads(setting, &text)
    }

    /// Whether something that `change` is coupled with is still to be written.
    fn awaits(&self, change: &Change, rest: &[Change]) -> bool {
        let is_to_come = |coupled: Setting| rest.iter().any(|other| other.setting.name() == coupled.name());
        change.setting.coupled(self.host.knobs).any(is_to_come)
    }

    fn reads(&self, setting: &Setting, text: &str) -> Result<(), Stop> {
        let failed = |why: String| Stop::Failed(format!("{}: {why}", setting.name()));
        let now = setting.read(self.root).map_err(|error| failed(error.to_string()))?;
        if setting.is_same(&now, text) {
            return Ok(());
        }
        Err(failed(format!("{text} was written and {} is there", now.trim())))
    }

    /// Where the dead-man is gone.
    fn take_back(mut self, why: &str, tell: &mut dyn FnMut(Step<'_>)) -> Outcome {
        // It may have been told to let everything stay, and been killed before it could say so.
        if self.journal.log().is_ok_and(|log| log.is_confirmed && !log.is_taken_back) {
            let _ = journal::close(&self.state.tree, journal::LAST);
            return Outcome::confirmed();
        }
        let fates = take_back(&self.log, self.root, self.host.knobs, tell);
        // The dead-man may have closed it already. What cannot be closed blocks the next one, and recover finds all back.
        let _ = state::end(&mut self.journal, &self.state.tree, &self.log, why, &fates);
        Outcome { end: End::TakenBack, why: why.into(), fates }
    }

    /// On disk first, then in the dead-man's memory.
    fn note(&mut self, dead_man: &mut DeadMan, records: &[Record]) -> Result<(), Stop> {
        let added = self.journal.add(records);
        added.map_err(|error| Stop::Failed(format!("the journal cannot be written: {error}")))?;
        records.iter().for_each(|record| self.log.note(record));
        records.iter().try_for_each(|record| dead_man.note(record)).map_err(Stop::Over)
    }
}

const GONE: &str = "the dead-man is gone";

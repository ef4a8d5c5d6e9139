//! The directory of the journal, the lock of the host, and the transactions that were left there.
//!
//! `run/ringmill-lab` below the root, mode 0700: its own user's alone. It is on a file system that a boot empties, and what a boot did
//! not empty is known by the boot's id. The lock is held by an open file, so nobody has to remove it.

use std::fs::File;
use std::io;

use linux::clock::Clock;
use linux::tree::Tree;

use super::journal::{self, Head, Journal, Log, Record};
use super::revert::take_back;
use super::{ApplyError, End, Host, Outcome, Step};
use crate::root::Root;

/// The directory, and in it the host's lock, taken.
#[derive(Debug)]
pub(super) struct State {
    pub(super) tree: Tree,
    pub(super) lock: File,
}

impl State {
    /// Takes the lock. Errors: `Busy` where another process has it, `State`.
    pub(super) fn lock(root: &Root) -> Result<State, ApplyError> {
        let tree = directory(root)?;
        let lock = tree.append(LOCK, 0o600).map_err(ApplyError::state("open the lock"))?;
        match linux::file::try_lock(&lock) {
            Ok(true) => Ok(State { tree, lock }),
            Ok(false) => Err(ApplyError::Busy),
            Err(error) => Err(ApplyError::State { what: "lock the host's settings", error }),
        }
    }

    /// The journal of a transaction of this boot that has no end; one of another boot is put aside, since its settings are gone.
    pub(super) fn unfinished(&self, root: &Root) -> Result<Option<Log>, ApplyError> {
        let read = |name| journal::read(&self.tree, name).map_err(ApplyError::state("read the journal"));
        let Some(log) = read(journal::OPEN)? else { return Ok(None) };
        if log.head.as_ref().is_some_and(|head| head.version != journal::VERSION) {
            let error = io::Error::new(io::ErrorKind::InvalidData, "it was written by another release");
            return Err(ApplyError::State { what: "read the journal", error });
        }
        let is_over = log.is_confirmed || log.is_taken_back;
        let is_of_this_boot = log.head.as_ref().is_none_or(|head| head.boot == boot(root));
        if is_of_this_boot && !is_over {
            return Ok(Some(log));
        }
        // Its end was written and its name not yet changed, or the machine was started again.
        let stands = is_of_this_boot && !log.is_taken_back;
        let name = if stands { journal::LAST } else { journal::TAKEN_BACK };
        journal::close(&self.tree, name).map_err(ApplyError::state("close the journal"))?;
        Ok(None)
    }
}

impl Drop for State {
    /// By then no dead-man has it any more: each is waited for.
    fn drop(&mut self) {
        let _ = linux::file::unlock(&self.lock);
    }
}

/// Takes back what a transaction left that was cut off. `None` where there is none.
///
/// Errors: `Busy` while one is under way; `OtherNamespace` where it was in another than the calling thread is in; `State`.
pub fn recover(host: &Host, tell: &mut dyn FnMut(Step<'_>)) -> Result<Option<Outcome>, ApplyError> {
    let root = host.root().map_err(ApplyError::state("open the root"))?;
    let state = State::lock(&root)?;
    let Some(log) = state.unfinished(&root)? else { return Ok(None) };
    let (why, fates) = if is_gone(&log, host) {
        ("its network namespace is gone, and its settings with it", Vec::new())
    } else {
        check_namespace(&log, host)?;
        ("it was cut off before it was confirmed", take_back(&log, &root, host.knobs, tell))
    };
    let why = why.to_owned();
    Journal::again(&state.tree)
        .and_then(|mut journal| end(&mut journal, &state.tree, &log, &why, &fates))
        .map_err(ApplyError::state("close the journal"))?;
    Ok(Some(Outcome { end: End::TakenBack, why, fates }))
}

/// Takes back the last transaction that was confirmed in this boot.
///
/// Errors: `NothingWaits` where there is none that stands; and as of [`recover`].
pub fn revert_last(host: &Host, tell: &mut dyn FnMut(Step<'_>)) -> Result<Outcome, ApplyError> {
    let root = host.root().map_err(ApplyError::state("open the root"))?;
    let state = State::lock(&root)?;
    if let Some(log) = state.unfinished(&root)? {
        return Err(ApplyError::Unfinished { netns: log.head.and_then(|head| head.netns) });
    }
    let last = journal::read(&state.tree, journal::LAST).map_err(ApplyError::state("read the journal"))?;
    let stands = |log: &Log| {
        let is_of_this_boot = log.head.as_ref().is_some_and(|head| head.boot == boot(&root));
        is_of_this_boot && log.is_confirmed && !log.is_taken_back
    };
    let log = last.filter(stands).ok_or(ApplyError::NothingWaits)?;
    check_namespace(&log, host)?;
    // While it is being taken back it is unfinished again, and recover goes on where this is cut off.
    state.tree.rename(journal::LAST, journal::OPEN).map_err(ApplyError::state("open the journal"))?;
    let mut journal = Journal::again(&state.tree).map_err(ApplyError::state("open the journal"))?;
    journal.add(&[Record::Reverting]).map_err(ApplyError::state("write the journal"))?;
    let fates = take_back(&log, &root, host.knobs, tell);
    let why = String::from("it was asked for");
    end(&mut journal, &state.tree, &log, &why, &fates).map_err(ApplyError::state("close the journal"))?;
    Ok(Outcome { end: End::TakenBack, why, fates })
}

/// Writes the end of a transaction that was taken back. Where nothing had come to disk there is nothing to keep.
pub(super) fn end(
    journal: &mut Journal,
    state: &Tree,
    log: &Log,
    why: &str,
    fates: &[super::Fate],
) -> io::Result<()> {
    if log.head.is_none() {
        return state.remove(journal::OPEN);
    }
    journal.add(&[Record::TakenBack { why: why.into(), fates: fates.to_vec() }])?;
    journal::close(state, journal::TAKEN_BACK)
}

/// The first line of a new journal.
pub(super) fn head(root: &Root, host: &Host, confirm_within_s: u64) -> Head {
    Head {
        version: journal::VERSION,
        boot: boot(root),
        namespace: namespace(host),
        netns: host.netns.clone(),
        unix_seconds: Clock::unix_seconds(),
        confirm_within_s,
    }
}

/// The directory, made if there is none. Errors: `State`; `PermissionDenied` in it where others may look into it.
pub(super) fn directory(root: &Root) -> Result<Tree, ApplyError> {
    root.state_directory().map_err(ApplyError::state("open run/ringmill-lab"))
}

fn check_namespace(log: &Log, host: &Host) -> Result<(), ApplyError> {
    let is_other = |head: &&Head| head.namespace != namespace(host);
    match log.head.as_ref().filter(is_other) {
        Some(head) => Err(ApplyError::OtherNamespace { netns: head.netns.clone() }),
        None => Ok(()),
    }
}

/// Whether the namespace that it was in no longer has its name. Nobody can enter it by that any more.
fn is_gone(log: &Log, host: &Host) -> bool {
    let Some(Head { netns: Some(name), namespace, .. }) = &log.head else { return false };
    host.tree.is_none() && linux::namespace::named(name).is_ok_and(|found| found.as_ref() != Some(namespace))
}

/// A tree of files has no namespaces: it is the same from each.
pub(super) fn namespace(host: &Host) -> String {
    match host.tree {
        Some(_) => "tree".into(),
        None => linux::namespace::network().unwrap_or_default(),
    }
}

/// Which boot this is. A tree without one is always the same.
fn boot(root: &Root) -> String {
    root.read("proc/sys/kernel/random/boot_id").map_or("none".into(), |id| id.trim().into())
}

const LOCK: &str = "lock";

//! The dead-man: a process of its own that watches over a transaction, holds the old values in memory, and ends it.
//!
//! ```text
//!              note                          confirm, once all is applied: everything stays
//! armed ------------------> armed ---------> time is up, the parent is gone, or somebody asks: everything is taken back
//! ```
//!
//! As long as it lives it alone ends a transaction, so that no two processes write at once: while a write of its parent's is
//! under way it waits until the parent has said what that did, or is gone. It has its parent's network namespace, a process
//! group of its own (Ctrl-C does not reach it), and the host's lock as its standard output: who waits for the lock waits for
//! it too. Writes nothing but old values, and obeys no signal. Where it is killed, its parent takes back; where both are,
//! `recover` does.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use linux::clock::Clock;
use linux::poll::{Interest, PollSet};
use linux::signal::{Signal, Signals};
use linux::tree::Tree;

use super::journal::{self, Journal, Log, Record};
use super::parley::{Ask, Order, Parley, Say, Visit};
use super::revert::take_back;
use super::setting::Lookup;
use super::{ApplyError, End, Host, Outcome, state};
use crate::root::Root;

/// The dead-man as its parent sees it.
#[derive(Debug)]
pub(super) struct DeadMan {
    parley: Parley,
    child: Child,
}

impl DeadMan {
    /// Starts `command`, which comes to [`stand_by`], and returns once it watches. Errors: as of fork(2) and execve(2), and
    /// `BrokenPipe` where it ended at once.
    pub(super) fn arm(command: &mut Command, order: Order, lock: &File) -> io::Result<DeadMan> {
        let (ours, theirs) = UnixStream::pair()?;
        command.stdin(OwnedFd::from(theirs)).stdout(lock.try_clone()?).stderr(Stdio::null()).process_group(0);
        let child = command.spawn()?;
        // The command keeps its end of the pair, and a child that ended would not be seen to be gone.
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let mut dead_man = DeadMan { parley: Parley::of(ours), child };
        match dead_man.parley.ask(&Ask::Watch(order)) {
            Some(Say::Noted) => Ok(dead_man),
            answer => {
                dead_man.child.wait()?;
                Err(match answer {
                    Some(Say::Refused { why }) => io::Error::other(why),
                    _ => io::Error::from(io::ErrorKind::BrokenPipe),
                })
            }
        }
    }

    /// Its process.
    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Tells it what is in the journal now. Errors: the watch is over, with its outcome where it could be told.
    pub(super) fn note(&mut self, record: &Record) -> Result<(), Option<Outcome>> {
        match self.parley.ask(&Ask::Note(record.clone())) {
            Some(Say::Noted) => Ok(()),
            Some(Say::Ended(outcome)) => Err(Some(outcome)),
            Some(Say::Refused { .. } | Say::Elsewhere { .. }) | None => Err(None),
        }
    }

    /// Has it take everything back; `None` where it is gone without having said so.
    pub(super) fn take_back(mut self, why: &str) -> Option<Outcome> {
        let answer = self.parley.ask(&Ask::TakeBack { why: why.into() });
        self.gone(answer)
    }

    /// Waits until it ends the transaction; `None` where it is gone without having said so.
    pub(super) fn wait(mut self) -> Option<Outcome> {
        let answer = self.parley.hear().ok().flatten();
        self.gone(answer)
    }

    fn gone(mut self, answer: Option<Say>) -> Option<Outcome> {
        let _ = self.child.wait();
        match answer {
            Some(Say::Ended(outcome)) => Some(outcome),
            _ => None,
        }
    }
}

/// Lets the transaction that waits stay. Errors: `NothingWaits`, `WaitsElsewhere`, `Refused` where it is not applied yet, `State`.
pub fn confirm(host: &Host) -> Result<Outcome, ApplyError> {
    ask(host, Ask::Confirm)
}

/// Has the transaction that is under way taken back at once. Errors: `NothingWaits`, `WaitsElsewhere`, `State`.
pub fn take_back_now(host: &Host) -> Result<Outcome, ApplyError> {
    ask(host, Ask::TakeBack { why: "it was asked for".into() })
}

fn ask(host: &Host, question: Ask) -> Result<Outcome, ApplyError> {
    let root = host.root().map_err(ApplyError::state("open the root"))?;
    let state = state::directory(&root)?;
    let stream = match UnixStream::connect(control(&state)) {
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
            return Err(ApplyError::NothingWaits);
        }
        other => other.map_err(ApplyError::state("reach the transaction that waits"))?,
    };
    match Parley::of(stream).ask(&Visit { namespace: state::namespace(host), question }) {
        Some(Say::Ended(outcome)) => Ok(outcome),
        Some(Say::Refused { why }) => Err(ApplyError::Refused { why }),
        Some(Say::Elsewhere { netns }) => Err(ApplyError::WaitsElsewhere { netns }),
        Some(Say::Noted) | None => Err(ApplyError::NothingWaits),
    }
}

/// What the dead-man's process does: waits on its standard input for an order, watches, and ends the transaction.
///
/// Blocks the signals that ask a process to end, for good. Errors: its standard input is nobody who gives an order.
pub fn stand_by(knobs: Lookup) -> io::Result<()> {
    // systemd ends a service or a login by a signal to every process of it, its parent too: then somebody has to take back.
    Signals::block([Signal::Interrupt, Signal::Terminate, Signal::Hangup]).map_err(io::Error::other)?;
    let stdin = io::stdin().as_fd().try_clone_to_owned()?;
    let mut parent = Parley::of(UnixStream::from(stdin));
    let Some(Ask::Watch(order)) = parent.hear()? else { return Ok(()) };
    let mut watch = match Watch::begin(order, knobs) {
        Ok(watch) => watch,
        Err(error) => return parent.say(&Say::Refused { why: error.to_string() }),
    };
    // A parent that is gone by now is noticed by the first wait.
    let _ = parent.say(&Say::Noted);
    watch.run(&mut parent);
    Ok(())
}

/// The dead-man at work.
struct Watch {
    root: Root,
    knobs: Lookup,
    state: Tree,
    journal: Journal,
    log: Log,
    control: UnixListener,
    deadline_ns: u64,
    /// Why all is to be taken back, once the write that is under way has come to an end.
    due: Option<String>,
    /// Who has asked for that, and is told when it is done.
    visitors: Vec<Parley>,
}

/// What happens to a watch.
enum Event {
    TimeUp,
    Parent,
    Visitor,
}

impl Watch {
    fn begin(order: Order, knobs: Lookup) -> io::Result<Watch> {
        let deadline_ns = Clock::now_ns() + order.confirm_within_ms * 1_000_000;
        let host = Host { tree: order.tree, netns: order.netns, knobs };
        let root = host.root()?;
        let state = root.state_directory()?;
        let mut log = Log::default();
        order.records.iter().for_each(|record| log.note(record));
        // One that was killed left its socket; who holds the lock may remove it.
        let _ = state.remove(CONTROL);
        let control = UnixListener::bind(control(&state))?;
        control.set_nonblocking(true)?;
        let journal = Journal::again(&state)?;
        let (due, visitors) = (None, Vec::new());
        Ok(Watch { root, knobs, state, journal, log, control, deadline_ns, due, visitors })
    }

    fn run(&mut self, parent: &mut Parley) {
        loop {
            let ended = match self.wait(parent) {
                Event::TimeUp => self.take_back_once_written("it was not confirmed in time"),
                Event::Parent => match parent.hear::<Ask>() {
                    Ok(Some(question)) => self.answer(parent, question),
                    Ok(None) | Err(_) => Some(self.take_back("the process that applied it is gone")),
                },
                Event::Visitor => self.visit(),
            };
            if let Some(outcome) = ended {
                let _ = self.state.remove(CONTROL);
                for visitor in &mut self.visitors {
                    let _ = visitor.say(&Say::Ended(outcome.clone()));
                }
                // The parent may be gone, and may be asking something: it takes this as the answer.
                let _ = parent.say(&Say::Ended(outcome));
                return;
            }
        }
    }

    /// The parent is looked at first: what it has written comes before what others want of it.
    fn wait(&self, parent: &Parley) -> Event {
        let mut set = PollSet::default();
        let read = Interest { read: true, write: false };
        set.set(parent.stream(), read, 0);
        set.set(&self.control, read, 1);
        loop {
            let left_ns = self.deadline_ns.saturating_sub(Clock::now_ns());
            let timeout_ns = self.due.is_none().then_some(left_ns);
            if timeout_ns == Some(0) {
                return Event::TimeUp;
            }
            let mut events = Vec::new();
            // A wait that fails ends at the deadline all the same.
            let _ = set.wait(timeout_ns, &mut events);
            match events.iter().map(|event| event.token).min() {
                Some(0) => return Event::Parent,
                Some(_) => return Event::Visitor,
                None => {}
            }
        }
    }

    /// Somebody at the socket. One who says nothing is not waited for: the deadline is more important.
    fn visit(&mut self) -> Option<Outcome> {
        let (stream, _) = self.control.accept().ok()?;
        stream.set_nonblocking(false).ok()?;
        stream.set_read_timeout(Some(VISIT_MAX)).ok()?;
        stream.set_write_timeout(Some(VISIT_MAX)).ok()?;
        let mut visitor = Parley::of(stream);
        let Visit { namespace, question } = visitor.hear().ok()??;
        if let Some(head) = self.log.head.as_ref().filter(|head| head.namespace != namespace) {
            let _ = visitor.say(&Say::Elsewhere { netns: head.netns.clone() });
            return None;
        }
        let ended = match question {
            Ask::TakeBack { why } => self.take_back_once_written(&why),
            question => Some(self.answer(&mut visitor, question)?),
        };
        self.visitors.push(visitor);
        ended
    }

    fn answer(&mut self, asker: &mut Parley, question: Ask) -> Option<Outcome> {
        let answer = match question {
            Ask::Note(record) => {
                self.log.note(&record);
                match self.due.take_if(|_| self.log.in_flight.is_none()) {
                    Some(why) => return Some(self.take_back(&why)),
                    None => Say::Noted,
                }
            }
            Ask::Confirm if self.due.is_some() => Say::Refused { why: "it is being taken back".into() },
            Ask::Confirm if self.log.is_applied => return Some(self.confirm()),
            Ask::Confirm => Say::Refused { why: "it is not applied yet".into() },
            Ask::TakeBack { why } => return Some(self.take_back(&why)),
            Ask::Watch(_) => Say::Refused { why: "it is watched already".into() },
        };
        let _ = asker.say(&answer);
        None
    }

    fn confirm(&mut self) -> Outcome {
        // Where the disk does not say that it stays, it does not: a recover would take it back.
        let added = self.journal.add(&[Record::Confirmed]);
        match added.and_then(|()| journal::close(&self.state, journal::LAST)) {
            Ok(()) => Outcome::confirmed(),
            Err(error) => self.take_back(&format!("the journal cannot be closed: {error}")),
        }
    }

    /// At once, or when the parent has noted what its write did: one that the kernel took later would stay, and nobody be left
    /// to take it back.
    fn take_back_once_written(&mut self, why: &str) -> Option<Outcome> {
        if self.log.in_flight.is_none() {
            return Some(self.take_back(why));
        }
        self.due = Some(why.into());
        None
    }

    fn take_back(&mut self, why: &str) -> Outcome {
        let fates = take_back(&self.log, &self.root, self.knobs, &mut |_| {});
        // A journal that cannot be ended blocks the next transaction, and recover finds everything back.
        let _ = state::end(&mut self.journal, &self.state, &self.log, why, &fates);
        Outcome { end: End::TakenBack, why: why.into(), fates }
    }
}

/// Where visitors come: bind(2) takes no descriptor of a directory, and a path has at most 107 bytes.
fn control(state: &Tree) -> String {
    format!("{}/{CONTROL}", state.path())
}

const CONTROL: &str = "control";

/// How long a visitor may take to say what it wants.
const VISIT_MAX: Duration = Duration::from_millis(500);

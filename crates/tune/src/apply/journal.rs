//! What a transaction has done so far, on disk before it is done: one JSON object a line.
//!
//! ```text
//! begun                       which boot, which network namespace, for how long
//! before    name text         what each setting was; all of them are on disk before the first write
//! writing   name text         on disk before that write
//! reads     name text         what the setting reads after it, and each that is coupled with it
//! wrote                       there are no more of them
//! applied                     all is written and checked, and waits to be confirmed
//! confirmed                   the end; the file is then renamed to `last.jsonl`, which can be taken back later
//! taken_back                  the end; it is then renamed to `taken-back.jsonl`, so that the one that stands keeps its name
//! reverting                   what was confirmed is being taken back: unfinished again
//! ```
//!
//! A journal without an end belongs to a transaction that was cut off. Never names a path, so that no journal can have a file
//! written that is not in the catalogue. A last line that is not whole was being written when the machine or the program stopped: what it
//! would have announced has not been done.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};

use linux::tree::{Links, Tree};
use serde::{Deserialize, Serialize};

use super::revert::Fate;

/// One line of a journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum Record {
    /// The first line.
    Begun(Head),
    /// What a setting was.
    Before {
        /// Which.
        name: String,
        /// What it read, byte for byte.
        text: String,
        /// Settings of one number are coupled, and are taken back together.
        group: usize,
    },
    /// A write that comes now.
    Writing {
        /// Which.
        name: String,
        /// What is written.
        text: String,
    },
    /// What a setting reads after the write, whatever that said; those that are coupled with it too.
    Reads {
        /// Which.
        name: String,
        /// What it reads.
        text: String,
    },
    /// All that the write did is known.
    Wrote,
    /// All is written and healthy.
    Applied,
    /// It stays.
    Confirmed,
    /// What was confirmed is being taken back.
    Reverting,
    /// It was taken back, as far as that could be.
    TakenBack {
        /// Why.
        why: String,
        /// What became of each setting.
        fates: Vec<Fate>,
    },
}

/// Whose journal it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// Of this format: 1.
    pub version: u32,
    /// The boot that it belongs to: after another one no setting is what it was.
    pub boot: String,
    /// The network namespace, as the kernel names it.
    pub namespace: String,
    /// The name that was given for it; none on the host.
    pub netns: Option<String>,
    /// When, in seconds since 1970.
    pub unix_seconds: u64,
    /// Seconds within which it is to be confirmed.
    pub confirm_within_s: u64,
}

/// A setting as a journal knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Which.
    pub name: String,
    /// What it was.
    pub before: String,
    /// Whom it is coupled with.
    pub group: usize,
    /// Whether a write to it was announced. Otherwise it is here because it is coupled with one.
    pub is_written: bool,
    /// Every text that it may have from us: what was written, and what it read after a write to it or to a coupled one.
    pub ours: Vec<String>,
}

/// All that a journal says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Log {
    /// Its first line; none where not even that came to disk.
    pub head: Option<Head>,
    /// The settings, in the order in which they are written.
    pub kept: Vec<Kept>,
    /// The setting whose write was announced and of which it is not known what it did to others.
    pub in_flight: Option<String>,
    /// Whether all was written.
    pub is_applied: bool,
    /// Whether it was confirmed.
    pub is_confirmed: bool,
    /// Whether it was taken back.
    pub is_taken_back: bool,
}

impl Log {
    /// Reads the lines of a journal. Errors: `InvalidData`, naming the line that is no record.
    pub fn parse(text: &str) -> io::Result<Log> {
        let mut log = Log::default();
        for (at, line) in text.split_inclusive('\n').enumerate() {
            let Some(whole) = line.strip_suffix('\n') else { break };
            let record = serde_json::from_str(whole).map_err(|error| {
                io::Error::new(io::ErrorKind::InvalidData, format!("line {} of the journal: {error}", at + 1))
            })?;
            log.note(&record);
        }
        Ok(log)
    }

    /// Takes one more record in.
    pub fn note(&mut self, record: &Record) {
        match record {
            Record::Begun(head) => self.head = Some(head.clone()),
            Record::Before { name, text, group } => {
                let (name, before, group) = (name.clone(), text.clone(), *group);
                self.kept.push(Kept { name, before, group, is_written: false, ours: Vec::new() });
            }
            Record::Writing { name, text } => {
                let Some(kept) = self.kept.iter_mut().find(|kept| kept.name == *name) else { return };
                kept.is_written = true;
                kept.ours.push(text.clone());
                self.in_flight = Some(name.clone());
            }
            Record::Reads { name, text } => {
                let Some(kept) = self.kept.iter_mut().find(|kept| kept.name == *name) else { return };
                kept.ours.push(text.clone());
            }
            Record::Wrote => self.in_flight = None,
            Record::Applied => self.is_applied = true,
            Record::Confirmed => self.is_confirmed = true,
            Record::Reverting => self.is_confirmed = false,
            Record::TakenBack { .. } => self.is_taken_back = true,
        }
    }
}

/// The journal of the transaction that is under way.
#[derive(Debug)]
pub struct Journal {
    file: File,
}

impl Journal {
    /// Creates it, empty. Errors: `AlreadyExists` while there is one.
    pub fn create(state: &Tree) -> io::Result<Journal> {
        Ok(Journal { file: state.create(OPEN, 0o600)? })
    }

    /// Opens the one that is there, to add to it. Errors: as of openat2(2), read(2) and ftruncate(2).
    pub fn again(state: &Tree) -> io::Result<Journal> {
        let mut journal = Journal { file: state.append(OPEN, 0o600)? };
        journal.whole()?;
        Ok(journal)
    }

    /// What it says by now, whoever has added to it and is gone, and whatever its name has become. Errors: as of
    /// [`again`](Journal::again) and [`Log::parse`].
    pub fn log(&mut self) -> io::Result<Log> {
        parse(&self.whole()?)
    }

    /// Its whole lines. What is behind them is cut off: whatever is added would be one line with it.
    fn whole(&mut self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.file.seek(SeekFrom::Start(0))?;
        self.file.read_to_end(&mut bytes)?;
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        if whole < bytes.len() {
            self.file.set_len(whole as u64)?;
            bytes.truncate(whole);
        }
        Ok(bytes)
    }

    /// Adds records, and waits until they are on disk. Errors: as of write(2) and fsync(2).
    pub fn add(&mut self, records: &[Record]) -> io::Result<()> {
        let mut lines = Vec::new();
        for record in records {
            serde_json::to_writer(&mut lines, record)?;
            lines.push(b'\n');
        }
        self.file.write_all(&lines)?;
        self.file.sync_all()
    }
}

/// What the journal `name` says; `None` where there is none. Errors: as of openat2(2) and [`Log::parse`].
pub fn read(state: &Tree, name: &str) -> io::Result<Option<Log>> {
    let bytes = match state.read(name, Links::Refused, JOURNAL_BYTES_MAX) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other?,
    };
    parse(&bytes).map(Some)
}

/// A text may be cut in the middle of a character, in the line that is not whole.
fn parse(bytes: &[u8]) -> io::Result<Log> {
    Log::parse(&String::from_utf8_lossy(bytes))
}

/// The transaction is over: its journal becomes [`LAST`] or [`TAKEN_BACK`]. Errors: as of renameat(2) and fsync(2); `NotFound` where
/// somebody has done so already.
pub fn close(state: &Tree, name: &str) -> io::Result<()> {
    state.rename(OPEN, name)?;
    state.sync()
}

/// The journal of a transaction that has not ended.
pub const OPEN: &str = "journal.jsonl";

/// The journal of the last one that was confirmed, and stands.
pub const LAST: &str = "last.jsonl";

/// The journal of the last one that was taken back, or whose boot is over: for a person to read.
pub const TAKEN_BACK: &str = "taken-back.jsonl";

/// Of one format, which a program of another must not guess at.
pub const VERSION: u32 = 1;

/// Some 100 settings with their texts are 100 KiB.
const JOURNAL_BYTES_MAX: usize = 4 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(records: &[Record]) -> String {
        let line = |record| serde_json::to_string(record).expect("plain data") + "\n";
        records.iter().map(line).collect()
    }

    fn records() -> Vec<Record> {
        let name = || String::from("net.ipv4.tcp_rmem");
        vec![
            Record::Begun(Head { version: VERSION, boot: "b".into(), ..Head::default() }),
            Record::Before { name: name(), text: "4096\t131072\t6291456\n".into(), group: 0 },
            Record::Writing { name: name(), text: "1 2 3".into() },
            Record::Reads { name: name(), text: "1\t2\t3\n".into() },
            Record::Wrote,
            Record::Applied,
            Record::Confirmed,
        ]
    }

    #[test]
    fn a_journal_cut_anywhere_says_what_its_whole_lines_say() {
        let text = lines(&records());
        for cut in 0..=text.len() {
            let whole = text[..cut].matches('\n').count();
            let expected = Log::parse(&lines(&records()[..whole])).expect("whole lines");
            assert_eq!(Log::parse(&text[..cut]).expect("a cut is no damage"), expected, "{cut}");
        }
        let log = Log::parse(&text).expect("whole lines");
        assert_eq!(log.kept[0].before, "4096\t131072\t6291456\n");
        assert_eq!(log.kept[0].ours, ["1 2 3", "1\t2\t3\n"]);
        assert!(log.is_applied && log.is_confirmed && !log.is_taken_back);
    }

    #[test]
    fn a_line_that_was_cut_off_does_not_swallow_the_next() {
        let home = std::env::temp_dir().join(format!("ringmill-journal-{}", std::process::id()));
        std::fs::create_dir_all(&home).expect("a directory of our own");
        let state = Tree::open(&home).expect("it was made");
        let (text, end) = (lines(&records()), Record::TakenBack { why: "w".into(), fates: Vec::new() });
        for cut in [3, text.len() / 2, text.len() - 1, text.len()] {
            std::fs::write(home.join(OPEN), &text[..cut]).expect("a file of our own");
            let mut expected = Log::parse(&text[..cut]).expect("a cut is no damage");
            let mut journal = Journal::again(&state).expect("it is there");
            assert_eq!(journal.log().expect("a cut is no damage"), expected, "{cut}");
            journal.add(std::slice::from_ref(&end)).expect("it can be written");
            expected.note(&end);
            assert_eq!(read(&state, OPEN).expect("no damage"), Some(expected), "{cut}");
        }
        std::fs::remove_dir_all(home).expect("our own directory");
    }

    #[test]
    fn a_line_that_is_no_record_is_damage_and_is_named() {
        let error = Log::parse("{\"step\":\"applied\"}\nnonsense\n").expect_err("damage");
        assert!(error.to_string().starts_with("line 2 of the journal"), "{error}");
    }
}

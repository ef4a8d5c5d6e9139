//! One file of a knob: what a transaction writes, reads and takes back.
//!
//! Its path comes from the catalogue, never from a journal or a profile: those only name it.

use std::io;

use crate::knob::Knob;
use crate::root::Root;
use crate::value::Value;

/// A knob at a place.
#[derive(Debug, Clone)]
pub struct Setting {
    /// The row of the catalogue.
    pub knob: &'static Knob,
    /// Which of its files, as [`Knob::path_at`] takes it; empty where it has one only.
    pub place: String,
    path: String,
}

/// Where knobs are looked up by name: [`catalogue::named`](crate::catalogue::named).
pub type Lookup = fn(&str) -> Option<&'static Knob>;

impl Setting {
    /// `knob` at `place`; none where that is no place of it.
    pub fn of(knob: &'static Knob, place: &str) -> Option<Setting> {
        let path = knob.path_at(place).filter(|path| !path.is_empty())?;
        Some(Setting { knob, place: place.into(), path })
    }

    /// The setting that [`name`](Setting::name) gave this name.
    pub fn named(name: &str, knobs: Lookup) -> Option<Setting> {
        let (knob, place) = name.split_once('@').unwrap_or((name, ""));
        Setting::of(knobs(knob)?, place)
    }

    /// The knob's name, and after an `@` its place: `net.core.somaxconn`, `device.rps_cpus@eth0/rx-0`.
    pub fn name(&self) -> String {
        match self.place.as_str() {
            "" => self.knob.name.into(),
            place => format!("{}@{place}", self.knob.name),
        }
    }

    /// Its file, relative to the root.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Those that change and are taken back together with it, as far as the catalogue knows them.
    pub fn coupled(&self, knobs: Lookup) -> impl Iterator<Item = Setting> {
        self.knob.coupled.iter().filter_map(move |name| Setting::of(knobs(name)?, &self.place))
    }

    /// What the kernel shows, byte for byte. Errors: as of [`Root::read`].
    pub fn read(&self, root: &Root) -> io::Result<String> {
        root.read(&self.path)
    }

    /// Writes `text`. Errors: as of [`Root::write`].
    pub fn write(&self, root: &Root, text: &str) -> io::Result<()> {
        root.write(&self.path, text)
    }

    /// What to write so that the kernel shows `text` again. It is the same text, but for a choice among words that are all
    /// shown: `always [madvise] never`.
    pub fn to_write<'a>(&self, text: &'a str) -> &'a str {
        text.split_whitespace().find_map(|word| word.strip_prefix('[')?.strip_suffix(']')).unwrap_or(text)
    }

    /// Whether two texts mean the same to this knob: tabs are as good as spaces, a set of CPUs may have leading zeros.
    pub fn is_same(&self, one: &str, other: &str) -> bool {
        match (Value::read(self.knob.kind, one), Value::read(self.knob.kind, other)) {
            (Ok(one), Ok(other)) => one == other,
            // The kernel shows what the catalogue does not expect: then its words are compared.
            _ => one.split_whitespace().eq(other.split_whitespace()),
        }
    }
}

/// A value that a setting shall have.
#[derive(Debug, Clone)]
pub struct Change {
    /// The setting.
    pub setting: Setting,
    /// What it shall be; of its knob's kind.
    pub target: Value,
}

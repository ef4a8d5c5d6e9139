//! What this kernel says of the knobs' files, where that is not what the catalogue says: whether they are there, who may write them,
//! and whose they are.
//!
//! Looks and never writes, on the host or anywhere else: a file that a new network namespace does not have, or that its mode lets
//! nobody write there, is the whole host's. The namespace is made for that in a thread of its own and is gone with it. It costs one
//! namespace and two looks at each file, some milliseconds in all. Of the files below `sys` only presence and mode are asked: a
//! namespace shows other devices than the host.

use std::io;
use std::thread;

use crate::knob::{Access, Knob, Scope};
use crate::root::Root;

/// What was found. Knobs with a file for each device, queue or CPU are not asked about.
#[derive(Debug, Default)]
pub struct Probe {
    /// How many files were asked for.
    pub asked: usize,
    /// Where the kernel says something else than the catalogue, or has no such file.
    pub notes: Vec<Note>,
    /// Why nobody knows whose the files are, where there was no namespace to look from.
    pub no_namespace: Option<String>,
}

/// What is to be known of one knob here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// Its name.
    pub name: &'static str,
    /// What it is.
    pub found: Found,
}

/// What a kernel may say that the catalogue does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// There is no such file.
    Absent,
    /// There is one, though it was taken out long ago.
    Present,
    /// Its mode lets nobody write it.
    ReadOnly,
    /// A change is felt by the whole host.
    OfHost,
    /// Each network namespace has its own.
    OfNamespace,
}

/// A file as it is seen from somewhere; none where there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Seen {
    is_read_only: bool,
}

impl Probe {
    /// Asks for the files of `knobs` below `root`, and on a host in a new namespace too.
    pub fn of(root: &Root, knobs: impl Iterator<Item = &'static Knob>) -> Probe {
        let is_one = |knob: &&Knob| knob.access == Access::File && !knob.is_many();
        let mut knobs: Vec<&'static Knob> = knobs.filter(is_one).collect();
        knobs.dedup_by_key(|knob| knob.name);
        let here: Vec<Option<Seen>> = knobs.iter().map(|knob| seen(root, knob)).collect();
        let inside = if root.is_host() { inside(&knobs) } else { Err("this is a tree of files".into()) };
        let of_knob = |at: usize| inside.as_ref().ok().map(|seen| seen[at]);
        let notes = knobs.iter().enumerate();
        let notes = notes.filter_map(|(at, knob)| {
            found(knob, here[at], of_knob(at)).map(|found| Note { name: knob.name, found })
        });
        Probe { asked: knobs.len(), notes: notes.collect(), no_namespace: inside.as_ref().err().cloned() }
    }

    /// What is to be known of this knob; none where all is as the catalogue says.
    pub fn note(&self, knob: &Knob) -> Option<Found> {
        self.notes.iter().find(|note| note.name == knob.name).map(|note| note.found)
    }

    /// Knobs that are not here.
    pub fn absent(&self) -> usize {
        self.notes.iter().filter(|note| note.found == Found::Absent).count()
    }

    /// Notes that speak against the catalogue: a file that is not there may be one that this kernel was built without.
    pub fn against(&self) -> impl Iterator<Item = &Note> {
        self.notes.iter().filter(|note| note.found != Found::Absent)
    }
}

impl Found {
    /// In words that follow "here".
    pub fn text(self) -> &'static str {
        match self {
            Found::Absent => "there is no such file",
            Found::Present => "the file is there still",
            Found::ReadOnly => "nobody may write it",
            Found::OfHost => "it is the whole host's: no new network namespace has its own",
            Found::OfNamespace => "each network namespace has its own",
        }
    }
}

/// What the two looks at a file say that its row does not. `inside` is none where nobody could look from there.
fn found(knob: &Knob, here: Option<Seen>, inside: Option<Option<Seen>>) -> Option<Found> {
    let Some(here) = here else { return knob.removed.is_none().then_some(Found::Absent) };
    if knob.removed.is_some() {
        return Some(Found::Present);
    }
    if here.is_read_only {
        return Some(Found::ReadOnly);
    }
    // All others are seen from every namespace alike, and are the host's.
    let inside = inside.filter(|_| knob.path.starts_with("proc/sys/net/"))?;
    match (inside, knob.scope) {
        (Some(Seen { is_read_only: false }), Scope::Host) => Some(Found::OfNamespace),
        (Some(Seen { is_read_only: true }) | None, Scope::Netns) => Some(Found::OfHost),
        _ => None,
    }
}

fn seen(root: &Root, knob: &Knob) -> Option<Seen> {
    root.is_read_only(knob.path).ok().map(|is_read_only| Seen { is_read_only })
}

/// The same files from a new namespace. Errors: why there is none.
fn inside(knobs: &[&'static Knob]) -> Result<Vec<Option<Seen>>, String> {
    let look = || -> io::Result<Vec<Option<Seen>>> {
        linux::namespace::new_network()?;
        let root = Root::host()?;
        Ok(knobs.iter().map(|knob| seen(&root, knob)).collect())
    };
    let seen = thread::scope(|scope| scope.spawn(look).join()).expect("looking does not panic");
    seen.map_err(|why| format!("a network namespace to look from: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::Fake;
    use crate::{Plan, Profile, catalogue};

    #[test]
    fn what_two_looks_say_is_a_note_only_where_the_row_says_something_else() {
        let (open, closed) = (Some(Seen { is_read_only: false }), Some(Seen { is_read_only: true }));
        let named = |name: &str| catalogue::named(name).expect("it is there");
        let check = |name: &str, here, inside, expected| {
            assert_eq!(found(named(name), here, inside), expected, "{name} {here:?} {inside:?}");
        };
        let (own, of_host, vm) = ("net.core.somaxconn", "net.core.netdev_budget", "vm.swappiness");
        check(own, open, Some(open), None);
        check(own, open, Some(None), Some(Found::OfHost));
        check(own, open, Some(closed), Some(Found::OfHost));
        check(own, open, None, None);
        check(own, closed, Some(closed), Some(Found::ReadOnly));
        check(own, None, Some(None), Some(Found::Absent));
        check(of_host, open, Some(None), None);
        check(of_host, open, Some(closed), None);
        check(of_host, open, Some(open), Some(Found::OfNamespace));
        check(vm, open, Some(open), None);
        check("net.ipv4.tcp_tw_recycle", None, Some(None), None);
        check("net.ipv4.tcp_tw_recycle", open, Some(open), Some(Found::Present));
    }

    #[test]
    fn of_a_tree_of_files_presence_and_mode_are_told() {
        let fake = Fake::of(&[("proc/sys/net/core/somaxconn", "4096\n"), ("proc/sys/vm/swappiness", "60\n")]);
        fake.read_only("proc/sys/vm/swappiness");
        let probe = Probe::of(&fake.root(), catalogue::all());
        assert!(probe.no_namespace.is_some() && probe.asked > 50);
        assert_eq!(probe.absent(), probe.asked - 2 - removed());
        let against: Vec<&Note> = probe.against().collect();
        assert_eq!(against, [&Note { name: "vm.swappiness", found: Found::ReadOnly }]);
        assert_eq!(probe.note(catalogue::named("net.core.somaxconn").expect("it is there")), None);
    }

    fn removed() -> usize {
        catalogue::all().filter(|knob| knob.removed.is_some()).count()
    }

    #[test]
    fn a_plan_says_what_was_found_of_its_knobs() {
        let fake = Fake::of(&[("proc/sys/net/core/somaxconn", "128\n")]);
        let profile = Profile::typed(&["net.core.somaxconn=4096".into()]).expect("a setting");
        let mut plan = Plan::of(profile, &fake.root());
        let note = Note { name: "net.core.somaxconn", found: Found::OfHost };
        plan.mark(&Probe { asked: 1, notes: vec![note], no_namespace: None });
        assert!(
            plan.text().contains("network namespace, but here it is the whole host's"),
            "{}",
            plan.text()
        );
        assert!(plan.json().contains("\"found\": \"it is the whole host's"), "{}", plan.json());
        assert_eq!(plan.lines[0].found, Some(Found::OfHost));
    }
}

//! Cores: which are allowed, which are threads of one physical core, how much of them the cgroup grants, and pinning.
//!
//! Never moves another thread than the caller's. Reads sched_getaffinity(2) and sysfs; the parsers are pure.

mod choice;
mod quota;

use std::fmt;
use std::fs;
use std::path::Path;
use std::str::FromStr;

pub use choice::{Choice, Shards, choose};
pub use quota::quota;

use crate::error::Error;

/// Which cores to use, as typed: `all`, `physical`, or a list such as `0,2-5`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum CoresSpec {
    /// Every allowed core.
    #[default]
    All,
    /// The first allowed hardware thread of each physical core.
    Physical,
    /// These, in this order.
    List(Vec<usize>),
}

impl CoresSpec {
    /// The cores that are meant, out of those on which the calling thread may run.
    ///
    /// Errors: `Error::NoSuchCore` for a listed core that is not allowed.
    pub fn resolve(&self) -> Result<Vec<usize>, Error> {
        self.resolve_among(&allowed()?, siblings)
    }

    fn resolve_among(
        &self,
        allowed: &[usize],
        siblings: impl Fn(usize) -> Vec<usize>,
    ) -> Result<Vec<usize>, Error> {
        match self {
            CoresSpec::All => Ok(allowed.to_vec()),
            CoresSpec::Physical => Ok(first_of_each_core(allowed, siblings)),
            CoresSpec::List(cores) => match cores.iter().find(|core| !allowed.contains(core)) {
                Some(&core) => Err(Error::NoSuchCore { core, allowed: allowed.to_vec() }),
                None => Ok(cores.clone()),
            },
        }
    }
}

impl FromStr for CoresSpec {
    type Err = Error;

    fn from_str(text: &str) -> Result<CoresSpec, Error> {
        match text {
            "all" => Ok(CoresSpec::All),
            "physical" => Ok(CoresSpec::Physical),
            list => parse_list(list).map(CoresSpec::List),
        }
    }
}

impl fmt::Display for CoresSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CoresSpec::All => f.write_str("all"),
            CoresSpec::Physical => f.write_str("physical"),
            CoresSpec::List(cores) => f.write_str(&list(cores)),
        }
    }
}

/// The cores on which the calling thread may run, ascending. Ask before pinning: afterwards it is the one core.
pub fn allowed() -> Result<Vec<usize>, Error> {
    // SAFETY: cpu_set_t is an array of integers, for which zero is a value.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: the kernel writes at most size_of(set) bytes into `set`, which lives here (sched_getaffinity(2)).
    if unsafe { libc::sched_getaffinity(0, size_of_val(&set), &raw mut set) } != 0 {
        return Err(Error::last("sched_getaffinity"));
    }
    // SAFETY: CPU_ISSET only reads `set`, and indexes it below CPU_SETSIZE, which is its length in bits.
    let is_allowed = |core: &usize| unsafe { libc::CPU_ISSET(*core, &set) };
    Ok((0..CORES_MAX).filter(is_allowed).collect())
}

/// Pins the calling thread to `core`.
///
/// Errors: `Error::NoSuchCore` when the thread may not run there, which includes a core that does not exist.
pub fn pin(core: usize) -> Result<(), Error> {
    let allowed = allowed()?;
    // The kernel would also let a thread leave the set it was given (taskset(1)): what the user chose is kept here.
    let is_allowed = allowed.contains(&core);
    if is_allowed && core_affinity::set_for_current(core_affinity::CoreId { id: core }) {
        Ok(())
    } else {
        Err(Error::NoSuchCore { core, allowed })
    }
}

/// The first allowed hardware thread of each physical core, ascending.
///
/// A machine that does not tell (no sysfs) counts each thread as a core.
pub fn physical() -> Result<Vec<usize>, Error> {
    CoresSpec::Physical.resolve()
}

/// Parses cores as the kernel and `taskset -c` write them: `0,2-5`. Order is kept.
///
/// Errors: `Error::CoreList` for anything else: nothing, a number above 1023, a range that runs backwards, a core
/// that is named twice.
pub fn parse_list(text: &str) -> Result<Vec<usize>, Error> {
    let wrong = |why| Error::CoreList { text: text.into(), why };
    let number = |word: &str| match word.trim().parse::<usize>() {
        Ok(core) if core < CORES_MAX && !word.contains('+') => Ok(core),
        Ok(core) if core >= CORES_MAX => Err(wrong("a core's number is at most 1023")),
        _ => Err(wrong("expected numbers and ranges such as 0,2-5")),
    };
    let mut cores = Vec::new();
    for part in text.trim().split(',') {
        let (first, last) = match part.split_once('-') {
            Some((first, last)) => (number(first)?, number(last)?),
            None => (number(part)?, number(part)?),
        };
        if first > last {
            return Err(wrong("a range runs backwards"));
        }
        for core in first..=last {
            if cores.contains(&core) {
                return Err(wrong("a core is named twice"));
            }
            cores.push(core);
        }
    }
    Ok(cores)
}

/// Cores as the kernel writes them: `0,2-5`. Order is kept.
pub fn list(cores: &[usize]) -> String {
    let runs = cores.chunk_by(|core, next| core + 1 == *next);
    let words = runs.map(|run| match run {
        [core] => core.to_string(),
        [first, .., last] => format!("{first}-{last}"),
        [] => String::new(),
    });
    words.collect::<Vec<_>>().join(",")
}

/// The hardware threads that share the physical core of `core`, itself included.
fn siblings(core: usize) -> Vec<usize> {
    siblings_under(Path::new("/sys/devices/system/cpu"), core)
}

fn siblings_under(root: &Path, core: usize) -> Vec<usize> {
    let path = root.join(format!("cpu{core}/topology/thread_siblings_list"));
    let text = fs::read_to_string(path).unwrap_or_default();
    parse_list(&text).unwrap_or_else(|_| vec![core])
}

fn first_of_each_core(allowed: &[usize], siblings: impl Fn(usize) -> Vec<usize>) -> Vec<usize> {
    let is_first =
        |core: &usize| siblings(*core).iter().all(|other| other >= core || !allowed.contains(other));
    allowed.iter().copied().filter(is_first).collect()
}

/// Cores that glibc's `cpu_set_t` can name, and with it `core_affinity`.
const CORES_MAX: usize = libc::CPU_SETSIZE as usize;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_as_the_kernel_writes_them() {
        let check = |text: &str, expected: &[usize]| assert_eq!(parse_list(text).expect(text), expected);
        check("0", &[0]);
        check("0,2-5", &[0, 2, 3, 4, 5]);
        check("7,1-2\n", &[7, 1, 2]);
        check("1023", &[1023]);
    }

    #[test]
    fn cores_are_written_as_the_kernel_writes_them() {
        assert_eq!(list(&[]), "");
        assert_eq!(list(&[3]), "3");
        assert_eq!(list(&[0, 1, 2, 4, 6, 7]), "0-2,4,6-7");
    }

    #[test]
    fn a_list_that_cannot_be_meant_is_refused_with_its_reason() {
        let check = |text: &str, part: &str| match parse_list(text) {
            Err(error @ Error::CoreList { .. }) => assert!(error.to_string().contains(part), "{error}"),
            other => panic!("{text}: {other:?}"),
        };
        check("", "expected numbers");
        check("0,", "expected numbers");
        check("-1", "expected numbers");
        check("1-2-3", "expected numbers");
        check("x", "expected numbers");
        check("+1", "expected numbers");
        check("1024", "at most 1023");
        check("0-4000000000", "at most 1023");
        check("5-2", "backwards");
        check("0-3,2", "twice");
    }

    #[test]
    fn the_three_ways_to_name_cores_are_parsed() {
        assert_eq!("all".parse::<CoresSpec>().expect("all"), CoresSpec::All);
        assert_eq!("physical".parse::<CoresSpec>().expect("physical"), CoresSpec::Physical);
        assert_eq!("3,1".parse::<CoresSpec>().expect("a list"), CoresSpec::List(vec![3, 1]));
        assert!("some".parse::<CoresSpec>().is_err());
    }

    #[test]
    fn one_thread_of_each_physical_core_is_taken_and_only_an_allowed_one() {
        let neighbours = |core: usize| vec![core & !1, core | 1]; // 0 and 1 are one core, 2 and 3 the next
        let halves = |core: usize| vec![core % 4, core % 4 + 4]; // 0 and 4 are one core, 1 and 5 the next
        assert_eq!(first_of_each_core(&[0, 1, 2, 3], neighbours), [0, 2]);
        assert_eq!(first_of_each_core(&[1, 2, 3], neighbours), [1, 2]);
        assert_eq!(first_of_each_core(&[0, 1, 4, 5, 7], halves), [0, 1, 7]);
    }

    #[test]
    fn a_listed_core_outside_the_allowed_set_is_named_with_the_set() {
        let alone = |core| vec![core];
        let list = CoresSpec::List(vec![1, 6]);
        assert_eq!(list.resolve_among(&[0, 1, 6], alone).expect("both are allowed"), [1, 6]);
        match list.resolve_among(&[0, 1], alone) {
            Err(Error::NoSuchCore { core: 6, allowed }) => assert_eq!(allowed, [0, 1]),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_machine_without_topology_counts_each_thread_as_a_core() {
        assert_eq!(siblings_under(Path::new("/nonexistent"), 3), [3]);
    }

    #[test]
    fn a_pinned_thread_runs_on_its_core_only_and_refuses_another() {
        let pinned = std::thread::spawn(|| {
            let core = *allowed()?.last().expect("the thread runs somewhere");
            pin(core)?;
            assert_eq!(allowed()?, [core]);
            pin(core + 1)
        });
        match pinned.join().expect("the thread does not panic") {
            Err(Error::NoSuchCore { core, allowed }) => assert_eq!(allowed, [core - 1]),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn every_resolved_set_is_part_of_the_allowed_set() {
        let allowed = allowed().expect("sched_getaffinity(2) of oneself");
        assert_eq!(CoresSpec::All.resolve().expect("all"), allowed);
        let physical = physical().expect("physical");
        assert!(!physical.is_empty() && physical.iter().all(|core| allowed.contains(core)));
    }
}

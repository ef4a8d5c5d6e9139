//! Making a ring: the ladder of what kernels give, tried from the top, and what is missing with the reason.
//!
//! Decided at run time by trying, never by a version number. Each rung works without the ones above it.

use super::Factors;
use super::sqe::OP_SEND_ZC;
use crate::limits::{self, IoUringSwitch};
use crate::pool::Pool;
use io_uring::{Builder, IoUring, Probe};
use std::fmt;
use std::io;

/// How a ring is wanted.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    /// Submission entries; rounded up to a power of two. A full queue is submitted early.
    pub submissions: u32,
    /// Completion entries: at least 2 x (buffers + sends in flight), or completions overflow.
    pub completions: u32,
    /// Slots in the table of direct descriptors; at most the soft RLIMIT_NOFILE.
    pub descriptors: u32,
    /// The caller will spin for work before it waits: deferred work is announced in shared memory.
    pub spin: bool,
    /// Bytes of the pool to register as a fixed buffer, for zero-copy sends; cut to the pool, 0 registers none.
    pub fixed_bytes: usize,
    /// No ring will stand beside it. Else none of them sends without a copy: each would have to be given the memory of all.
    pub alone: bool,
    /// What an experiment changes; the defaults are the best ways.
    pub factors: Factors,
}

impl Default for Setup {
    fn default() -> Setup {
        let (submissions, completions, descriptors) = (1024, 8192, 1024);
        Setup {
            submissions,
            completions,
            descriptors,
            spin: false,
            fixed_bytes: usize::MAX,
            alone: true,
            factors: Factors::default(),
        }
    }
}

/// A rung of the ladder: how completions reach the thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tier {
    /// A thread of the kernel submits and completes (`SQPOLL`). Only where it is asked for.
    Polled,
    /// Completions interrupt the thread, wherever it is. Only where it is asked for: whatever gives buffer rings gives `Coop`.
    Plain,
    /// Linux 5.19: completions run at the thread's next system call (`COOP_TASKRUN`).
    Coop,
    /// Linux 6.1: completions run when the thread asks for them (`SINGLE_ISSUER | DEFER_TASKRUN`).
    DeferWithArray,
    /// Linux 6.6: the same, without the indirection of the submission array (`NO_SQARRAY`).
    Defer,
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Tier::Defer => "DEFER_TASKRUN, NO_SQARRAY (Linux 6.6)",
            Tier::DeferWithArray => "DEFER_TASKRUN (Linux 6.1)",
            Tier::Coop => "COOP_TASKRUN (Linux 5.19)",
            Tier::Plain => "no task-run flags",
            Tier::Polled => "SQPOLL",
        })
    }
}

/// What a ring got, and what it did not.
#[derive(Clone, Debug)]
pub struct Features {
    /// The rung of the ladder.
    pub tier: Tier,
    /// Names of what is there.
    pub present: Vec<&'static str>,
    /// Names of what is missing, each with the reason.
    pub missing: Vec<(&'static str, String)>,
}

/// What the encoder needs to know of it.
#[derive(Clone, Default)]
pub(super) struct Gifts {
    /// The slots that come are counted, and numbered where there are rings beside.
    pub(super) numbers: bool,
    /// The buffers that receives choose from by themselves; else the kernel chooses from those that it was given.
    pub(super) pool: Option<Pool>,
    pub(super) multishot: bool,
    pub(super) bundles: bool,
    pub(super) limits: bool,
    pub(super) no_iowait: bool,
    /// Accepted connections come into the table of direct descriptors.
    pub(super) direct: bool,
    /// The flag of receives that wait before their first try, or 0.
    pub(super) poll_first: u16,
    /// A thread of the kernel submits.
    pub(super) polled: bool,
    /// See [`Factors::min_wait_us`].
    pub(super) min_wait_us: u32,
    /// `LingerZero` works.
    pub(super) resets: bool,
    /// Bytes of one buffer of the pool.
    pub(super) buffer_bytes: u32,
}

impl Features {
    pub(super) fn note(&mut self, name: &'static str, there: Result<(), String>) -> bool {
        match there {
            Ok(()) => self.present.push(name),
            Err(ref why) => self.missing.push((name, why.clone())),
        }
        there.is_ok()
    }

    /// Whether a feature of this name is there.
    pub fn has(&self, name: &str) -> bool {
        self.present.contains(&name)
    }
}

/// Why there is no ring.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RingError {
    /// The sysctl forbids it to this user.
    #[error("io_uring is switched off (kernel.io_uring_disabled={0})")]
    SwitchedOff(u32),
    /// Allowed by the sysctl and still refused: a seccomp filter or a security module.
    #[error("io_uring is refused to this process, as by a seccomp filter")]
    Refused,
    /// Not in this kernel, or older than what Ringmill can use.
    #[error("this kernel (Linux {have}) has no io_uring that serves here: 5.19 or newer is needed")]
    TooOld {
        /// The running kernel's release.
        have: String,
    },
    /// RLIMIT_MEMLOCK is short.
    #[error("{what}: needs {need} bytes of locked memory, and RLIMIT_MEMLOCK is {have}")]
    Memlock {
        /// What was being made.
        what: &'static str,
        /// Bytes it needs.
        need: u64,
        /// The soft limit.
        have: u64,
    },
    /// The limit would do, and yet there is no memory: the machine's, or what others have left of the limit.
    #[error(
        "{what}: no memory, either of the machine or of the {have} bytes of RLIMIT_MEMLOCK that one user's processes share"
    )]
    NoMemory {
        /// What was being made.
        what: &'static str,
        /// The soft limit.
        have: u64,
    },
    /// Too few descriptors. How many would do depends on what else the process opens, which is not known here.
    #[error("{what} needs more file descriptors than RLIMIT_NOFILE allows ({have})")]
    Nofile {
        /// What was being made.
        what: &'static str,
        /// The soft limit.
        have: u64,
    },
    /// A word of [`Factors`] asks for what cannot be had.
    #[error("`{word}` cannot be had: {why}")]
    Factor {
        /// The word.
        word: String,
        /// Why not.
        why: String,
    },
    /// Anything else.
    #[error("{what}: {error}")]
    Os {
        /// What was tried.
        what: &'static str,
        /// What the kernel said.
        error: io::Error,
    },
}

impl RingError {
    /// What the user can do about it, as words that follow "Try"; `None` where nothing general helps.
    pub fn cure(&self) -> Option<String> {
        Some(match self {
            RingError::SwitchedOff(_) => "`sysctl -w kernel.io_uring_disabled=0` as root".into(),
            RingError::Refused => {
                "a container or service profile that allows io_uring_setup, io_uring_enter and io_uring_register".into()
            }
            RingError::TooOld { .. } => "a kernel of 5.19 or newer; 6.6 or newer is best".into(),
            RingError::Memlock { need, .. } => format!("`ulimit -l {}`, or fewer shards", need.div_ceil(1024)),
            RingError::NoMemory { .. } => {
                "a larger `ulimit -l`, fewer shards, or an end to other programs of this user that use io_uring".into()
            }
            RingError::Nofile { have, .. } => {
                format!("`ulimit -n` with more than {have}, or a smaller --connections-max")
            }
            RingError::Factor { word, .. } => format!("`--ring` without {word}"),
            RingError::Os { .. } => return None,
        })
    }

    /// Whether io_uring is refused to this process as a whole: what is merely short is not.
    pub fn is_refusal(&self) -> bool {
        matches!(self, RingError::SwitchedOff(_) | RingError::Refused | RingError::TooOld { .. })
    }

    pub(super) fn factor(word: impl Into<String>, why: impl Into<String>) -> RingError {
        RingError::Factor { word: word.into(), why: why.into() }
    }

    pub(super) fn too_old() -> RingError {
        RingError::TooOld { have: limits::kernel_release().unwrap_or_else(|_| "unknown".into()) }
    }

    /// Why there was no memory for what needs `need` bytes where `have` may be locked; none are counted if `exempt`.
    fn no_memory(what: &'static str, need: u64, have: u64, exempt: bool) -> RingError {
        if have < need && !exempt {
            RingError::Memlock { what, need, have }
        } else {
            RingError::NoMemory { what, have }
        }
    }

    pub(super) fn from_io(what: &'static str, error: io::Error, need: u64) -> RingError {
        match error.raw_os_error() {
            Some(libc::EPERM | libc::EACCES) => match limits::io_uring_switch() {
                IoUringSwitch::Nobody => RingError::SwitchedOff(2),
                IoUringSwitch::Group => RingError::SwitchedOff(1),
                IoUringSwitch::Everybody => RingError::Refused,
            },
            // A seccomp filter may answer so, too: a kernel that is new enough has the call.
            Some(libc::ENOSYS) if limits::kernel_version().is_ok_and(|v| (v.major, v.minor) >= (5, 19)) => {
                RingError::Refused
            }
            Some(libc::ENOSYS | libc::EINVAL) => RingError::too_old(),
            Some(libc::ENOMEM) => {
                let have = limits::memlock().map_or(0, |limit| limit.soft);
                RingError::no_memory(what, need, have, limits::has_cap_ipc_lock())
            }
            Some(libc::EMFILE) => {
                RingError::Nofile { what, have: limits::nofile().map_or(0, |limit| limit.soft) }
            }
            _ => RingError::Os { what, error },
        }
    }
}

/// Climbs down the ladder until the kernel agrees; a rung that was asked for by name is the only one tried.
pub(super) fn climb(setup: &Setup) -> Result<(IoUring, Tier), RingError> {
    let asked = setup.factors.tier;
    let rungs: &[Tier] = match &asked {
        Tier::Defer => &[Tier::Defer, Tier::DeferWithArray, Tier::Coop],
        one => std::slice::from_ref(one),
    };
    let mut refusal = None;
    for &tier in rungs {
        match builder(tier, setup).build(setup.submissions.next_power_of_two()) {
            Ok(ring) => return Ok((ring, tier)),
            // Only an unknown flag is worth another rung.
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => refusal = Some(error),
            Err(error) => return Err(RingError::from_io("the ring", error, ring_bytes(setup))),
        }
    }
    let error = refusal.unwrap_or_else(|| io::Error::from_raw_os_error(libc::EINVAL));
    match asked {
        Tier::Defer => Err(RingError::from_io("the ring", error, ring_bytes(setup))),
        _ => Err(RingError::factor(Factors::tier_word(asked), "this kernel has it not")),
    }
}

/// The flags of a rung: each differs from the one above it in one thing.
fn builder(tier: Tier, setup: &Setup) -> Builder {
    let mut builder = IoUring::builder();
    builder.setup_submit_all().setup_cqsize(setup.completions.next_power_of_two());
    match tier {
        Tier::Polled => builder.setup_sqpoll(POLLED_IDLE_MS),
        Tier::Plain => &mut builder,
        Tier::Coop => builder.setup_coop_taskrun().setup_taskrun_flag(),
        Tier::DeferWithArray => builder.setup_single_issuer().setup_defer_taskrun(),
        Tier::Defer => builder.setup_single_issuer().setup_defer_taskrun().setup_no_sqarray(),
    };
    // The two without it need none: completions come by themselves (io_uring_setup(2) refuses the flag there).
    if setup.spin && !matches!(tier, Tier::Polled | Tier::Plain) {
        builder.setup_taskrun_flag();
    }
    builder
}

/// How long the kernel's thread of a [`Tier::Polled`] ring looks for submissions before it sleeps.
const POLLED_IDLE_MS: u32 = 10;

/// Whether the kernel knows zero-copy sends.
pub(super) fn knows_zero_copy(ring: &IoUring) -> bool {
    let mut probe = Probe::new();
    ring.submitter().register_probe(&mut probe).is_ok() && probe.is_supported(OP_SEND_ZC)
}

fn ring_bytes(setup: &Setup) -> u64 {
    u64::from(setup.submissions.next_power_of_two()) * 64
        + u64::from(setup.completions.next_power_of_two()) * 16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shortage_is_said_with_the_limit_in_force_and_its_cure() {
        let check = |errno: i32, what: &str, cure: &str| {
            let error = RingError::from_io("the ring", io::Error::from_raw_os_error(errno), 3000);
            assert!(error.to_string().contains(what), "{error}");
            assert_eq!(error.cure().unwrap_or_default(), cure, "{error}");
        };
        let nofile = limits::nofile().expect("a known resource").soft;
        let more = format!("`ulimit -n` with more than {nofile}, or a smaller --connections-max");
        check(libc::EMFILE, &format!("more file descriptors than RLIMIT_NOFILE allows ({nofile})"), &more);
        // No limit of this process.
        check(libc::ENFILE, "the ring: Too many open files in system", "");
    }

    #[test]
    fn a_limit_is_blamed_for_missing_memory_only_where_it_is_too_small() {
        let short = RingError::no_memory("the ring", 3000, 2000, false);
        assert_eq!(
            short.to_string(),
            "the ring: needs 3000 bytes of locked memory, and RLIMIT_MEMLOCK is 2000"
        );
        assert_eq!(short.cure().unwrap(), "`ulimit -l 3`, or fewer shards");
        for (have, exempt) in [(3000, false), (2000, true)] {
            let other = RingError::no_memory("the ring", 3000, have, exempt);
            assert!(matches!(other, RingError::NoMemory { .. }), "{other}");
        }
    }
}

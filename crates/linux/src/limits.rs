//! What this process may have: descriptors, locked memory, and what the kernel says of itself.
//!
//! Reads, and raises one soft limit to its hard limit; never touches a sysctl. Numbers come from getrlimit(2), proc(5)
//! and uname(2); the parsers are pure.

use std::ffi::CStr;
use std::fs;
use std::ops::RangeInclusive;

use crate::error::Error;

/// A resource limit: `soft` is in force, `hard` is how far the process may raise it. `u64::MAX` is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// In force.
    pub soft: u64,
    /// The most that `soft` may become without privilege.
    pub hard: u64,
}

/// A kernel release, compared by its first two numbers: `6.18.4-arch1` is `{6, 18}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct KernelVersion {
    /// The first number.
    pub major: u32,
    /// The second number.
    pub minor: u32,
}

/// The sysctl `kernel.io_uring_disabled` (Linux 6.6), which says who may create a ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IoUringSwitch {
    /// 0, or a kernel that has no such switch.
    Everybody,
    /// 1: processes with CAP_SYS_ADMIN and the group `kernel.io_uring_group`.
    Group,
    /// 2: nobody.
    Nobody,
}

/// The limit of open file descriptors (`RLIMIT_NOFILE`).
pub fn nofile() -> Result<Limit, Error> {
    read_limit(libc::RLIMIT_NOFILE)
}

/// The limit of locked memory in bytes (`RLIMIT_MEMLOCK`). The ring's registered buffers count against it, per user,
/// unless the process has CAP_IPC_LOCK.
pub fn memlock() -> Result<Limit, Error> {
    read_limit(libc::RLIMIT_MEMLOCK)
}

/// Raises the soft limit of descriptors to the hard one and returns what is then in force.
pub fn raise_nofile() -> Result<Limit, Error> {
    let limit = nofile()?;
    if limit.soft < limit.hard {
        let wanted = libc::rlimit { rlim_cur: limit.hard, rlim_max: limit.hard };
        // SAFETY: `wanted` is a live rlimit that setrlimit(2) only reads.
        if unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const wanted) } != 0 {
            return Err(Error::last("raise the limit of file descriptors"));
        }
    }
    nofile()
}

/// Whether at least `need` descriptors are allowed. Errors: `Error::NofileShort` with both numbers.
pub fn require_nofile(need: u64) -> Result<(), Error> {
    let have = nofile()?.soft;
    if have < need { Err(Error::NofileShort { have, need }) } else { Ok(()) }
}

/// Whether locked memory is not counted for this thread (capabilities(7), CAP_IPC_LOCK effective).
pub fn has_cap_ipc_lock() -> bool {
    const CAP_IPC_LOCK: u32 = 14; // linux/capability.h
    let status = fs::read_to_string("/proc/thread-self/status").unwrap_or_default();
    parse_cap_eff(&status).is_some_and(|set| set & (1 << CAP_IPC_LOCK) != 0)
}

/// The running kernel's release. Errors: `Error::Strange` when it does not begin with two numbers.
pub fn kernel_version() -> Result<KernelVersion, Error> {
    let release = kernel_release()?;
    parse_release(&release).ok_or(Error::Strange { what: "the kernel's release", text: release })
}

/// The running kernel's release as it calls itself, for people: `6.18.4-arch1`.
pub fn kernel_release() -> Result<String, Error> {
    let mut name = std::mem::MaybeUninit::<libc::utsname>::zeroed();
    // SAFETY: uname(2) fills the struct behind the pointer, which lives here, and keeps no pointer to it.
    if unsafe { libc::uname(name.as_mut_ptr()) } != 0 {
        return Err(Error::last("uname"));
    }
    // SAFETY: the struct is plain arrays of characters, zeroed above, then filled by a call that succeeded; `release`
    // is one of them and ends in NUL inside its bounds (uname(2)).
    let release = unsafe { CStr::from_ptr((*name.as_ptr()).release.as_ptr()) };
    Ok(release.to_string_lossy().into_owned())
}

/// Who may create a ring, by sysctl. A seccomp filter may refuse all the same: only io_uring_setup(2) knows.
pub fn io_uring_switch() -> IoUringSwitch {
    parse_switch(&fs::read_to_string("/proc/sys/kernel/io_uring_disabled").unwrap_or_default())
}

fn read_limit(resource: libc::__rlimit_resource_t) -> Result<Limit, Error> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is a live rlimit that getrlimit(2) fills; it keeps no pointer to it.
    if unsafe { libc::getrlimit(resource, &raw mut limit) } != 0 {
        return Err(Error::last("getrlimit"));
    }
    Ok(Limit { soft: limit.rlim_cur, hard: limit.rlim_max })
}

fn parse_cap_eff(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(line.trim(), 16).ok()
}

fn parse_release(release: &str) -> Option<KernelVersion> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    Some(KernelVersion { major: numbers.next()?.ok()?, minor: numbers.next()?.ok()? })
}

fn parse_switch(text: &str) -> IoUringSwitch {
    match text.trim() {
        "1" => IoUringSwitch::Group,
        "2" => IoUringSwitch::Nobody,
        _ => IoUringSwitch::Everybody,
    }
}

/// Connections that may wait in one accept queue, at most (`net.core.somaxconn`); `None` where nobody says.
#[must_use]
pub fn somaxconn() -> Option<u64> {
    fs::read_to_string("/proc/sys/net/core/somaxconn").ok()?.trim().parse().ok()
}

/// The local ports that the kernel gives out by itself, both ends included (`net.ipv4.ip_local_port_range`, ip(7); IPv6 has
/// the same): one source address has no more connections than that to one peer. `None` where nobody says.
#[must_use]
pub fn local_ports() -> Option<RangeInclusive<u16>> {
    parse_ports(&fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").ok()?)
}

fn parse_ports(text: &str) -> Option<RangeInclusive<u16>> {
    let mut ends = text.split_whitespace().map(str::parse);
    let (first, last) = (ends.next()?.ok()?, ends.next()?.ok()?);
    (first <= last).then_some(first..=last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_compared_as_numbers() {
        let check = |release: &str, expected: Option<(u32, u32)>| {
            let got = parse_release(release).map(|version| (version.major, version.minor));
            assert_eq!(got, expected, "{release}");
        };
        check("6.18.4-arch1", Some((6, 18)));
        check("5.19", Some((5, 19)));
        check("6.1-rc3", Some((6, 1)));
        check("6", None);
        check("", None);
        check("new.1", None);
        assert!(KernelVersion { major: 5, minor: 19 } < KernelVersion { major: 6, minor: 1 });
        assert!(KernelVersion { major: 6, minor: 6 } < KernelVersion { major: 6, minor: 18 });
    }

    #[test]
    fn the_running_kernel_has_a_version() {
        assert!(kernel_version().expect("uname(2) cannot fail here").major >= 4);
    }

    #[test]
    fn the_range_of_local_ports_has_two_ends() {
        assert_eq!(parse_ports("32768\t60999\n"), Some(32768..=60999));
        assert_eq!(parse_ports("1024\t1024\n").map(|ports| ports.len()), Some(1));
        for wrong in ["", "32768", "60999 32768", "1 65536", "a b"] {
            assert_eq!(parse_ports(wrong), None, "{wrong}");
        }
        assert!(local_ports().is_some_and(|ports| !ports.is_empty()));
    }

    #[test]
    fn capabilities_are_read_from_the_effective_set() {
        assert_eq!(parse_cap_eff("CapPrm:\tff\nCapEff:\t0000000000004000\nCapBnd:\tff\n"), Some(1 << 14));
        assert_eq!(parse_cap_eff("CapPrm:\tff\n"), None);
        assert_eq!(parse_cap_eff("CapEff:\twrong\n"), None);
    }

    #[test]
    fn the_switch_of_io_uring_has_three_positions() {
        assert_eq!(parse_switch("0\n"), IoUringSwitch::Everybody);
        assert_eq!(parse_switch("1\n"), IoUringSwitch::Group);
        assert_eq!(parse_switch("2\n"), IoUringSwitch::Nobody);
        assert_eq!(parse_switch(""), IoUringSwitch::Everybody, "kernels before 6.6 have no switch");
    }

    #[test]
    fn more_descriptors_than_allowed_is_a_named_error_with_both_numbers() {
        require_nofile(3).expect("a running process has its three streams");
        match require_nofile(u64::MAX) {
            Err(Error::NofileShort { have, need: u64::MAX }) => assert!(have >= 3),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn raising_the_descriptors_reaches_the_hard_limit() {
        let limit = raise_nofile().expect("raising soft to hard needs no privilege");
        assert_eq!(limit.soft, limit.hard);
    }
}

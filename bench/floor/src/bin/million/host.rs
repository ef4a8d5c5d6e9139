//! What the kernel says of this host and of a process: limits before the start, memory and time while it runs.

use std::collections::BTreeMap;
use std::fs;
use std::io;

/// Bytes of the kernel's slab caches, by cache (slabinfo(5)): of the objects in use, each with its share of the slab's slack. Whole
/// slabs would not do: the kernel keeps those that earlier connections left empty.
pub type Slabs = BTreeMap<String, u64>;

/// Needs root.
pub fn slabs() -> io::Result<Slabs> {
    let page = 4096;
    let text = fs::read_to_string("/proc/slabinfo")?;
    let of = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [name, ..] = words[..] else { return None };
        let number = |at: usize| words.get(at)?.parse::<u64>().ok();
        let (active, each, pages) = (number(1)?, number(4)?, number(5)?);
        Some((name.to_string(), active * pages * page / each.max(1)))
    };
    Ok(text.lines().skip(2).filter_map(of).collect())
}

/// Bytes that each cache grew by; those that did not are left out.
pub fn grown(before: &Slabs, after: &Slabs) -> Slabs {
    let more = |(name, bytes): (&String, &u64)| {
        let was = before.get(name).copied().unwrap_or(0);
        (*bytes > was).then(|| (name.clone(), bytes - was))
    };
    after.iter().filter_map(more).collect()
}

/// A line of a file of the form `Name: value kB`, in bytes.
pub fn kib_of(path: &str, name: &str) -> u64 {
    let text = fs::read_to_string(path).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) << 10
}

/// Memory of a process that is really there.
pub fn rss(pid: u32) -> u64 {
    kib_of(&format!("/proc/{pid}/status"), "VmRSS")
}

/// TCP sockets of this process's network namespace that are in use, and those in TIME_WAIT (/proc/net/sockstat).
pub fn sockets() -> (u64, u64) {
    let text = fs::read_to_string("/proc/self/net/sockstat").unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with("TCP:")).unwrap_or_default();
    let words: Vec<&str> = line.split_whitespace().collect();
    let of = |name: &str| {
        let at = words.iter().position(|word| *word == name);
        at.and_then(|at| words.get(at + 1)?.parse().ok()).unwrap_or(0)
    };
    (of("inuse"), of("tw"))
}

/// Pages that TCP has queued, in bytes (/proc/net/sockstat).
pub fn tcp_memory() -> u64 {
    let text = fs::read_to_string("/proc/self/net/sockstat").unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with("TCP:")).unwrap_or_default();
    line.split_whitespace().next_back().and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0) * 4096
}

/// A number in a file of /proc/sys.
pub fn sysctl(name: &str) -> u64 {
    let text = fs::read_to_string(format!("/proc/sys/{}", name.replace('.', "/"))).unwrap_or_default();
    text.split_whitespace().next().and_then(|word| word.parse().ok()).unwrap_or(0)
}

/// What keeps `connections` with both ends on this host from being held, each with a cure.
pub fn obstacles(connections: u64, nofile: u64) -> Vec<String> {
    let mut found = Vec::new();
    let need = connections * BYTES_EACH;
    let have = kib_of("/proc/meminfo", "MemAvailable");
    if have < need {
        let fits = have / BYTES_EACH;
        found.push(format!(
            "memory: {:.1} GiB are needed and {:.1} are free: `make million N={fits}`",
            need as f64 / GIB,
            have as f64 / GIB
        ));
    }
    let files = sysctl("fs.file-max");
    if files < 2 * connections + 10_000 {
        found.push(format!(
            "fs.file-max is {files}: `sysctl -w fs.file-max={}` as root, or `make million N={}`",
            2 * connections + 100_000,
            files.saturating_sub(10_000) / 2
        ));
    }
    if connections.div_ceil(nofile) > RINGS_MAX {
        found.push(format!(
            "RLIMIT_NOFILE is {nofile}, and a shard has at most {RINGS_MAX} rings of as many: `ulimit -Hn {}`",
            connections / RINGS_MAX + 1
        ));
    }
    found
}

/// Both ends: about 9 KiB of the kernel's memory, half a KiB of both programs, and something to spare.
const BYTES_EACH: u64 = 11 << 10;
const GIB: f64 = (1u64 << 30) as f64;
/// Of one shard (engine/uring/start.rs).
const RINGS_MAX: u64 = 256;

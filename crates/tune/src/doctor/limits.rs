//! Limits of the process: open files and locked memory, of a server that runs or of who would start one.

use super::{Cost, Report, field, server, told};
use crate::look::Look;

/// What Ringmill would like to hold on each shard.
const CONNECTIONS: u64 = 100_000;
/// Fixed buffers of some shards.
const LOCKED_BYTES: u64 = 64 << 20;

pub(super) fn examine(look: &Look, report: &mut Report) {
    let (process, name) = server(look);
    let Ok(limits) = look.read(&format!("{process}/limits")) else {
        return report.unknown("limits", format!("/{process}/limits cannot be read"));
    };
    match hard(&limits, "Max open files") {
        Some(files) if files < CONNECTIONS => {
            let what = format!("{name} may have few connections: each is an open file");
            let cure = format!("`ulimit -Hn {CONNECTIONS}` before it starts, or LimitNOFILE of its unit");
            report.find(
                Cost::Slight,
                "open files",
                told(what, format!("hard limit {files} (/{process}/limits)"), cure),
            );
        }
        files => report.fine("open files", bound(files)),
    }
    let status = look.read(&format!("{process}/status")).unwrap_or_default();
    match hard(&limits, "Max locked memory") {
        Some(bytes) if bytes < LOCKED_BYTES && !may_lock(&status) => {
            let what = format!("{name} may register little memory for zero-copy sends and file I/O");
            let cure =
                format!("`ulimit -l {}`, LimitMEMLOCK of its unit, or CAP_IPC_LOCK", LOCKED_BYTES >> 10);
            let evidence =
                format!("{} KiB, shared by all processes of the user (/{process}/limits)", bytes >> 10);
            report.find(Cost::Slight, "locked memory", told(what, evidence, cure));
        }
        bytes => report.fine("locked memory", bound(bytes)),
    }
}

fn bound(limit: Option<u64>) -> String {
    limit.map_or("no limit".into(), |limit| format!("hard limit {limit}"))
}

/// The hard limit in the line that begins with `name`; none is unlimited.
fn hard(limits: &str, name: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// Whether locked memory is not counted at all.
fn may_lock(status: &str) -> bool {
    const CAP_IPC_LOCK: u32 = 14; // linux/capability.h
    let set = field(status, "CapEff").and_then(|hex| u64::from_str_radix(hex, 16).ok());
    set.is_some_and(|set| set & (1 << CAP_IPC_LOCK) != 0)
}

#[cfg(test)]
mod tests {
    use super::examine;
    use crate::doctor::tests::check;

    #[test]
    fn short_limits_are_found_unless_memory_is_not_counted() {
        let limits = "Limit                     Soft Limit           Hard Limit           Units\n\
                      Max open files            1024                 20000                files\n\
                      Max locked memory         8388608              8388608              bytes\n";
        let files = [("proc/self/limits", limits), ("proc/self/status", "CapEff:\t0000000000000000\n")];
        check(examine, &files, "slight: hard limit 20000");
        check(examine, &files, "slight: 8192 KiB");
        let root = [("proc/self/limits", limits), ("proc/self/status", "CapEff:\t000001ffffffffff\n")];
        check(examine, &root, "fine: hard limit 8388608");
        let free = "Max open files 1024 1048576 files\nMax locked memory unlimited unlimited bytes\n";
        check(examine, &[("proc/self/limits", free)], "fine: no limit");
        check(examine, &[], "unknown: cannot be read");
    }
}

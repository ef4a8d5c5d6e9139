//! Limits: open files and locked memory of a server that runs or of who would start one, and open files of the whole host.

use super::{Cost, Report, field, server, told};
use crate::look::Look;

/// What Ringmill would like to hold on each shard.
const CONNECTIONS: u64 = 100_000;
/// Fixed buffers of some shards.
const LOCKED_BYTES: u64 = 64 << 20;

/// Open files of the host: enough for a million connections and what else is open, which the kernel's own `fs.nr_open` is.
const FILES: u64 = 1_000_000;
/// What bounds them, what a short one means, and what to do. No profile sets these: a number that is more on one host is less on the next,
/// where systemd has raised both as far as the kernel lets it (since version 240; its NEWS).
const BOUNDS: &[(&str, &str, &str)] = &[
    (
        "fs.nr_open",
        "no process can have the open files of a million connections, whatever its own limit",
        "`sysctl -w fs.nr_open=1048576`, the kernel's own",
    ),
    (
        "fs.file-max",
        "all processes together cannot have the open files of a million connections",
        "`sysctl -w fs.file-max=2400000`, for as many at both ends, if there is the memory for them",
    ),
];

pub(super) fn examine(look: &Look, report: &mut Report) {
    BOUNDS.iter().for_each(|bound| of_host(look, report, bound));
    of_process(look, report);
}

fn of_host(look: &Look, report: &mut Report, &(name, what, cure): &(&'static str, &str, &str)) {
    match of_kernel(look, name) {
        None => report.unknown(name, format!("/{} cannot be read", path(name))),
        Some(files) if files < FILES => {
            report.find(Cost::Slight, name, told(what, format!("{name} is {files}"), cure));
        }
        Some(files) => report.fine(name, files.to_string()),
    }
}

/// The kernel shows it without a sign, and on some hosts it is more than an i64 holds.
fn of_kernel(look: &Look, name: &str) -> Option<u64> {
    look.line(&path(name))?.parse().ok()
}

fn path(name: &str) -> String {
    format!("proc/sys/{}", name.replacen('.', "/", 1))
}

fn of_process(look: &Look, report: &mut Report) {
    let (process, name) = server(look);
    let Ok(limits) = look.read(&format!("{process}/limits")) else {
        return report.unknown("limits", format!("/{process}/limits cannot be read"));
    };
    match hard(&limits, "Max open files") {
        Some(files) if files < CONNECTIONS => {
            let what = format!("{name} may have few connections: each is an open file");
            let raise = format!("`ulimit -Hn {CONNECTIONS}` before it starts, or LimitNOFILE of its unit");
            // The kernel refuses a limit beyond it, and the server would not start.
            let cure = match of_kernel(look, "fs.nr_open").filter(|most| *most < CONNECTIONS) {
                Some(most) => {
                    format!("a larger fs.nr_open first, which is {most} and bounds it, then {raise}")
                }
                None => raise,
            };
            report.find(
                Cost::Slight,
                "open files",
                told(what, format!("hard limit {files} (/{process}/limits)"), cure),
            );
        }
        files => report.fine("open files", bound(files)),
    }
    let all = of_kernel(look, "fs.file-max");
    if let (Some(own), Some(all)) = (hard(&limits, "Max open files"), all)
        && own > all
    {
        let what = format!("{name} may have more open files than all processes together");
        let evidence = format!("hard limit {own} (/{process}/limits), fs.file-max {all}");
        let cure = "a larger fs.file-max: accept(2) fails with ENFILE before its own limit is reached";
        report.find(Cost::Slight, "open files", told(what, evidence, cure));
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
    use super::{BOUNDS, examine};
    use crate::doctor::tests::check;
    use crate::profile::{BUILT_IN, Profile, Setting};

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

    #[test]
    fn the_limit_of_a_process_is_held_against_those_of_the_host() {
        let limits = (
            "proc/self/limits",
            "Max open files 1024 20000 files\nMax locked memory unlimited unlimited b\n",
        );
        let host = |nr_open: &'static str, file_max: &'static str| {
            [limits, ("proc/sys/fs/nr_open", nr_open), ("proc/sys/fs/file-max", file_max)]
        };
        let cures = |files: &[(&str, &str)]| {
            let mut report = crate::doctor::Report::default();
            examine(&crate::fake::Fake::of(files).look(), &mut report);
            report.findings.iter().map(|finding| finding.cure.clone()).collect::<Vec<_>>().join("\n")
        };
        check(
            examine,
            &host("1048576\n", "10000\n"),
            "slight: hard limit 20000 (/proc/self/limits), fs.file-max 10000",
        );
        assert!(!cures(&host("1048576\n", "2000000\n")).contains("ENFILE"));
        assert!(cures(&host("50000\n", "2000000\n")).contains("a larger fs.nr_open first, which is 50000"));
        assert!(!cures(&host("1048576\n", "2000000\n")).contains("fs.nr_open first"));
    }

    #[test]
    fn bounds_of_the_host_are_found_where_they_are_short_and_no_profile_would_lower_them() {
        let host = |nr_open: &'static str, file_max: &'static str| {
            [("proc/sys/fs/nr_open", nr_open), ("proc/sys/fs/file-max", file_max)]
        };
        check(examine, &host("1048576\n", "98304\n"), "slight: fs.file-max is 98304");
        check(examine, &host("1048576\n", "98304\n"), "fine: 1048576");
        check(examine, &host("1024\n", "18446744073709551615\n"), "slight: fs.nr_open is 1024");
        check(examine, &host("1024\n", "18446744073709551615\n"), "fine: 18446744073709551615");
        for (name, text) in BUILT_IN {
            let profile = Profile::read(name, text).expect("a profile");
            let is_bound = |setting: &Setting| BOUNDS.iter().any(|(bound, ..)| setting.knob.name == *bound);
            assert!(!profile.settings.iter().any(is_bound), "{name}");
        }
    }
}

//! Whether the receive buffers fit into the memory that is free: the one thing that this program takes much of at once.
//!
//! Asks /proc/meminfo; allocates nothing. Without the check the kernel grants the addresses, and ends the process with
//! SIGKILL later, when the buffers are filled or locked.

use std::fs;

use crate::config::{Config, RecvBuffers};
use crate::table;
use linux::console::Failure;

/// Errors: the buffers of so many shards are more than is available. Where the kernel does not say how much that is, all is
/// well.
pub(crate) fn check(config: &Config, shards: usize) -> Result<(), Failure> {
    let meminfo = fs::read_to_string("/proc/meminfo").ok();
    let available = meminfo.and_then(|text| available(&text, config.huge_pages));
    available.map_or(Ok(()), |available| check_against(config.recv_buffers, shards, available))
}

fn check_against(buffers: RecvBuffers, shards: usize, available: u64) -> Result<(), Failure> {
    let need = buffers.total() * shards as u64;
    if need <= available {
        return Ok(());
    }
    let most = buffers.fewer(available / shards as u64);
    let cure =
        most.map_or("fewer shards, by `--shards`".into(), |most| format!("`--recv-buffers {most}` or less"));
    let (need, available) = (table::bytes(need), table::bytes(available));
    let on = table::counted(shards, "shard");
    let what =
        format!("receive buffers {buffers} on {on} are {need}, and {available} of memory are available");
    Err(Failure::runtime(what).cure(cure))
}

/// Bytes that programs could take without swapping, and huge pages that lie ready, which are not among them
/// (proc_meminfo(5)).
fn available(meminfo: &str, huge_pages: bool) -> Option<u64> {
    let value = |name: &str| meminfo.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let number = |name: &str| value(name)?.trim().trim_end_matches(" kB").parse::<u64>().ok();
    let huge = || Some(number("HugePages_Free")? * number("Hugepagesize")?);
    let ready = if huge_pages { huge().unwrap_or(0) } else { 0 };
    Some((number("MemAvailable")? + ready) << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_that_do_not_fit_are_named_with_those_that_would() {
        let check =
            |text: &str, shards: usize| check_against(text.parse().expect("a literal"), shards, 24 << 30);
        check("256x16KiB", 2).expect("the default");
        check("8192x1MiB", 3).expect("just so");
        let refused = check("32768x1MiB", 2).expect_err("64 GiB of 24").to_string();
        assert!(
            refused.contains("32768x1024KiB on 2 shards are 64.0 GiB, and 24.0 GiB of memory"),
            "{refused}"
        );
        assert!(refused.contains("Try `--recv-buffers 8192x1024KiB`"), "{refused}");
        let refused = check_against("2x1MiB".parse().expect("a literal"), 1, 1 << 20).expect_err("too much");
        assert!(refused.to_string().contains("fewer shards"), "{refused}");
    }

    #[test]
    fn what_is_available_is_read_as_the_kernel_writes_it() {
        let text = "MemTotal:       24000000 kB\nMemFree:  5 kB\nMemAvailable:       12 kB\nBuffers: 1 kB\n";
        assert_eq!(available(text, false), Some(12 << 10));
        assert_eq!(available(text, true), Some(12 << 10));
        let text = format!("{text}HugePages_Free:        3\nHugepagesize:       2048 kB\n");
        assert_eq!(available(&text, false), Some(12 << 10));
        assert_eq!(available(&text, true), Some((12 + 3 * 2048) << 10));
        assert_eq!(available("MemTotal: 24000000 kB\n", false), None);
    }
}

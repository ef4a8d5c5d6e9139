//! Whether this machine has room for the connections that were asked for: descriptors, ports to come from, memory.
//!
//! Asked before the first thread. The answers are pure functions of what the kernel said.

use linux::console::Failure;
use linux::limits;
use stats::text;

/// What the kernel grants.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Room {
    /// Descriptors of this process (`RLIMIT_NOFILE`, soft).
    pub(crate) descriptors: u64,
    /// Ports that connects without one of their own are given, for each source address (ip(7), `ip_local_port_range`).
    pub(crate) ports: u64,
    /// Open files of the whole machine (`fs.file-max`, proc_sys_fs(5)), and those that are open; `None` where nobody says.
    pub(crate) files: Option<(u64, u64)>,
    /// Memory that can be had without pushing anything out, in bytes (`MemAvailable`, proc_meminfo(5)).
    pub(crate) memory: Option<u64>,
}

/// What is asked of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wish {
    /// Connections in all.
    pub(crate) connections: u64,
    /// Threads.
    pub(crate) shards: u64,
    /// Addresses to come from, at least 1.
    pub(crate) sources: u64,
    /// They are datagram sockets.
    pub(crate) udp: bool,
    /// Addresses to connect to, at least 1: each pair of addresses has its own ports.
    pub(crate) destinations: u64,
    /// Sockets may come from the tables of rings, each of which holds as many as the process may have descriptors.
    pub(crate) rings: bool,
    /// The server is this machine too.
    pub(crate) is_local: bool,
}

impl Default for Wish {
    fn default() -> Wish {
        Wish {
            connections: 1,
            shards: 1,
            sources: 1,
            udp: false,
            destinations: 1,
            rings: false,
            is_local: false,
        }
    }
}

impl Room {
    /// Asks the kernel, after the soft limit of descriptors was raised to the hard one.
    pub(crate) fn ask() -> Result<Room, Failure> {
        let ports = limits::local_ports().map_or(PORTS_MAX, |ports| ports.len() as u64);
        Ok(Room { descriptors: limits::raise_nofile()?.soft, ports, files: files(), memory: memory() })
    }

    /// Whether so many connections need more descriptors than the process may have.
    pub(crate) fn is_short(&self, wish: Wish) -> bool {
        wish.connections + PROCESS_DESCRIPTORS + wish.shards * SHARD_DESCRIPTORS > self.descriptors
    }

    /// Errors: what is short, and the number of connections, or of addresses, that would do.
    pub(crate) fn check(&self, wish: Wish) -> Result<(), Failure> {
        let Wish { connections, shards, sources, udp, destinations, rings, is_local } = wish;
        let asked = text::count(connections);
        if udp && connections > UDP_SOCKETS_MAX {
            let what = format!("{asked} datagram sockets, and there can be {UDP_SOCKETS_MAX}");
            return Err(Failure::usage(what).cure(format!("`--connections {UDP_SOCKETS_MAX}`")));
        }
        let own = PROCESS_DESCRIPTORS + shards * SHARD_DESCRIPTORS;
        let tables = if rings { shards * RINGS_MAX * self.descriptors.saturating_sub(64) } else { 0 };
        if self.is_short(wish) && connections > tables {
            let fit = self.descriptors.saturating_sub(own);
            let what = format!(
                "{asked} connections need more than the {} file descriptors that are allowed",
                self.descriptors
            );
            let fewer = if fit > 0 { format!(", or `--connections {fit}`") } else { String::new() };
            return Err(Failure::usage(what).cure(format!("`ulimit -n {}`{fewer}", connections + own)));
        }
        let pairs = sources * destinations;
        let most = self.ports * pairs;
        if connections > most {
            let from = match (pairs, destinations) {
                (1, _) => "one address has".into(),
                (_, 1) => format!("{sources} addresses have"),
                _ => format!("{pairs} pairs of addresses have"),
            };
            let what = format!("{asked} connections, and {from} {} ports for them", text::count(most));
            let (flag, need) = match rings {
                true => ("--to", self.destinations(connections)),
                false => ("--from", connections.div_ceil(self.ports.max(1))),
            };
            let cure = format!("`--connections {most}`, or `{flag}` with {need} addresses");
            return Err(Failure::usage(what).cure(cure));
        }
        if connections < MANY {
            return Ok(());
        }
        // The server's end of each is an open file too, where it is here.
        let ends = if is_local { 2 } else { 1 };
        if let Some((max, open)) = self.files.filter(|(max, open)| ends * connections + open > *max) {
            let what = format!("{asked} connections, and fs.file-max is {} open files", text::count(max));
            let need = ends * connections + open + PROCESS_DESCRIPTORS;
            return Err(Failure::usage(what).cure(format!("`sysctl -w fs.file-max={need}`")));
        }
        let need = connections * CONNECTION_BYTES * ends;
        if let Some(memory) = self.memory.filter(|memory| need > *memory) {
            let (need, have) = (text::bytes(need as f64), text::bytes(memory as f64));
            let ends = if is_local { "both ends of each on this machine" } else { "this end of each" };
            let what =
                format!("{asked} connections need about {need} of memory, {ends}, and {have} are free");
            let fit = memory / (CONNECTION_BYTES * if is_local { 2 } else { 1 });
            return Err(Failure::usage(what).cure(format!("`--connections {fit}`")));
        }
        Ok(())
    }

    /// Addresses to connect to that leave so many connections room for a quick search of their ports. A connect tries the even
    /// ports of its range first, all of them, before it tries an odd one (`__inet_hash_connect` of net/ipv4/inet_hashtables.c): with
    /// half of the range gone it takes 2.5 ms of CPU instead of 25 us (Linux 6.18).
    pub(crate) fn destinations(&self, connections: u64) -> u64 {
        connections.div_ceil((self.ports / 2).max(1))
    }
}

fn files() -> Option<(u64, u64)> {
    let text = std::fs::read_to_string("/proc/sys/fs/file-nr").ok()?;
    let mut numbers = text.split_whitespace().map(|word| word.parse::<u64>().ok());
    let open = numbers.next()??;
    Some((numbers.nth(1)??, open))
}

fn memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? * 1024)
}

/// From so many connections on the machine as a whole is asked too.
const MANY: u64 = 10_000;
/// What one end of an idle TCP connection takes, the kernel's part and this program's, rounded up from what was measured on Linux 6.18.
const CONNECTION_BYTES: u64 = 5_000;
/// Rings of one seat (`shard::engine::uring`).
const RINGS_MAX: u64 = 256;

/// Datagram sockets are listeners of the plan, which has 1,024 at most (`shard::engine::uring::check`).
const UDP_SOCKETS_MAX: u64 = 1024;
/// All that are not reserved (RFC 6335 section 6), where nobody says which are given out.
const PORTS_MAX: u64 = 64_512;
/// Standard streams, files of results, and what libraries open for a moment.
const PROCESS_DESCRIPTORS: u64 = 16;
/// A ring and its wake-up, and the places that an engine keeps for what is closing.
const SHARD_DESCRIPTORS: u64 = 4 + 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(connections: u64) -> Wish {
        Wish { connections, ..Wish::default() }
    }

    #[test]
    fn what_is_short_is_named_with_the_number_that_would_do() {
        let room = Room { descriptors: 1024, ports: 28_232, files: None, memory: None };
        let check = |room: Room, wish: Wish, what: &str, cure: &str| {
            let failure = room.check(wish).expect_err(what).to_string();
            assert!(failure.contains(what) && failure.contains(cure), "{failure}");
        };
        room.check(wish(1024 - 84)).expect("just so");
        check(room, wish(1024 - 83), "941 connections need", "`ulimit -n 1025`, or `--connections 940`");
        let narrow = Room { descriptors: 84, ..room };
        let failure = narrow.check(wish(1)).expect_err("no connection fits").to_string();
        assert!(failure.ends_with("Try `ulimit -n 85`."), "{failure}");
        let wide = Room { descriptors: 1 << 20, ..room };
        wide.check(wish(28_232)).expect("just so");
        check(
            wide,
            wish(100_000),
            "one address has 28,232 ports",
            "`--connections 28232`, or `--from` with 4 addresses",
        );
        wide.check(Wish { sources: 4, ..wish(100_000) }).expect("four addresses");
        check(wide, Wish { udp: true, ..wish(1025) }, "there can be 1024", "`--connections 1024`");
    }

    #[test]
    fn where_sockets_come_from_rings_ports_files_and_memory_are_what_bounds_them() {
        let room = Room { descriptors: 20_000, ports: 28_232, files: None, memory: None };
        let many = Wish { rings: true, destinations: 40, ..wish(1_000_000) };
        room.check(many).expect("50 rings and 40 addresses");
        let check = |room: Room, wish: Wish, part: &str| {
            let failure = room.check(wish).expect_err(part).to_string();
            assert!(failure.contains(part), "{failure}");
        };
        check(room, Wish { rings: false, ..many }, "20000 file descriptors");
        check(room, Wish { destinations: 2, ..many }, "2 pairs of addresses have 56,464 ports");
        check(room, Wish { destinations: 2, ..many }, "`--to` with 71 addresses");
        let few_files = Room { files: Some((1_500_000, 1000)), ..room };
        few_files.check(many).expect("the server is elsewhere");
        check(few_files, Wish { is_local: true, ..many }, "`sysctl -w fs.file-max=2001016`");
        let little = Room { memory: Some(6_000_000_000), ..room };
        little.check(many).expect("one end");
        check(little, Wish { is_local: true, ..many }, "`--connections 600000`");
    }
}

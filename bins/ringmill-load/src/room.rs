//! Whether this machine has room for the connections that were asked for: descriptors, and ports to come from.
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
}

impl Room {
    /// Asks the kernel, after the soft limit of descriptors was raised to the hard one.
    pub(crate) fn ask() -> Result<Room, Failure> {
        let ports = limits::local_ports().map_or(PORTS_MAX, |ports| ports.len() as u64);
        Ok(Room { descriptors: limits::raise_nofile()?.soft, ports })
    }

    /// Errors: what is short, and the number of connections, or of addresses, that would do.
    pub(crate) fn check(&self, wish: Wish) -> Result<(), Failure> {
        let Wish { connections, shards, sources, udp } = wish;
        let asked = text::count(connections);
        if udp && connections > UDP_SOCKETS_MAX {
            let what = format!("{asked} datagram sockets, and there can be {UDP_SOCKETS_MAX}");
            return Err(Failure::usage(what).cure(format!("`--connections {UDP_SOCKETS_MAX}`")));
        }
        let own = PROCESS_DESCRIPTORS + shards * SHARD_DESCRIPTORS;
        if connections + own > self.descriptors {
            let fit = self.descriptors.saturating_sub(own);
            let what = format!(
                "{asked} connections need more than the {} file descriptors that are allowed",
                self.descriptors
            );
            let fewer = if fit > 0 { format!(", or `--connections {fit}`") } else { String::new() };
            return Err(Failure::usage(what).cure(format!("`ulimit -n {}`{fewer}", connections + own)));
        }
        let most = self.ports * sources;
        if connections > most {
            let from =
                if sources == 1 { "one address has".into() } else { format!("{sources} addresses have") };
            let what = format!("{asked} connections, and {from} {} ports for them", text::count(most));
            let need = connections.div_ceil(self.ports.max(1));
            let cure = format!("`--connections {most}`, or `--from` with {need} addresses");
            return Err(Failure::usage(what).cure(cure));
        }
        Ok(())
    }
}

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
        Wish { connections, shards: 1, sources: 1, udp: false }
    }

    #[test]
    fn what_is_short_is_named_with_the_number_that_would_do() {
        let room = Room { descriptors: 1024, ports: 28_232 };
        let check = |room: Room, wish: Wish, what: &str, cure: &str| {
            let failure = room.check(wish).expect_err(what).to_string();
            assert!(failure.contains(what) && failure.contains(cure), "{failure}");
        };
        room.check(wish(1024 - 84)).expect("just so");
        check(room, wish(1024 - 83), "941 connections need", "`ulimit -n 1025`, or `--connections 940`");
        let narrow = Room { descriptors: 84, ports: 28_232 };
        let failure = narrow.check(wish(1)).expect_err("no connection fits").to_string();
        assert!(failure.ends_with("Try `ulimit -n 85`."), "{failure}");
        let wide = Room { descriptors: 1 << 20, ports: 28_232 };
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
}

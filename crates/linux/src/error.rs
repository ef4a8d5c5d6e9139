//! What Linux may refuse outside the ring, by who must act.
//!
//! Never decides what happens next: the caller may print `error` and `error.cure()`, or fall back. Errors of the ring
//! itself (switched off, too old, memory that may not be locked) are `ring::RingError`.

use std::io;
use std::net::SocketAddr;

use crate::cpu::list;

/// Why a call of this crate failed, with the numbers that help to repair it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Another socket has this address, perhaps one of another process that would share it by `SO_REUSEPORT`.
    #[error("address {addr} is in use")]
    AddressInUse {
        /// The address that was asked for.
        addr: SocketAddr,
    },
    /// No interface of this machine has this address, or its family is switched off.
    #[error("no interface of this machine has the address {}", addr.ip())]
    NoSuchAddress {
        /// The address that was asked for.
        addr: SocketAddr,
    },
    /// This user may not do it.
    #[error("no permission to {what}")]
    Permission {
        /// What was tried, in words that follow "to".
        what: String,
    },
    /// The core does not exist, or the process may not run there.
    #[error("core {core} is not among the allowed cores {}", list(allowed))]
    NoSuchCore {
        /// The core that was asked for.
        core: usize,
        /// The cores on which the asking thread may run, ascending.
        allowed: Vec<usize>,
    },
    /// More shards than cores.
    #[error("{shards} shards need {shards} cores and there {}: {}", are(cores.len()), list(cores))]
    TooFewCores {
        /// The shards that were asked for.
        shards: usize,
        /// The cores that there are for them.
        cores: Vec<usize>,
    },
    /// A list of cores that cannot be read.
    #[error("`{text}` is not a list of cores: {why}")]
    CoreList {
        /// What was typed.
        text: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// Fewer file descriptors than needed.
    #[error("{have} file descriptors are allowed and {need} are needed")]
    NofileShort {
        /// The soft limit in force.
        have: u64,
        /// The least limit that would do.
        need: u64,
    },
    /// More threads with tasks than a waker's word can name.
    #[error("more than {max} shards at a time")]
    InboxesMax {
        /// How many there may be.
        max: usize,
    },
    /// A text from the kernel or from the environment that cannot be understood.
    #[error("{what} is not understood: `{text}`")]
    Strange {
        /// Where the text came from.
        what: &'static str,
        /// The text, cut to a line.
        text: String,
    },
    /// Any other refusal of the kernel.
    #[error("{what}: {errno}")]
    Os {
        /// The system call, or what it was for.
        what: &'static str,
        /// The kernel's word.
        #[source]
        errno: io::Error,
    },
}

impl Error {
    /// What the user can do about it, as a line that follows "Try"; `None` where nothing general helps.
    pub fn cure(&self) -> Option<String> {
        match self {
            Error::AddressInUse { addr } => {
                Some(format!("`ss -tulpn 'sport = :{}'` to see who has it, or another port", addr.port()))
            }
            Error::NoSuchAddress { addr } if addr.is_ipv6() => {
                Some("`ip -6 address` to see the addresses there are, or an IPv4 address".into())
            }
            Error::NoSuchAddress { .. } => Some("`ip address` to see the addresses there are".into()),
            Error::Permission { .. } => {
                Some("another user, or, where it is about an address, a port from 1024 upwards".into())
            }
            Error::NoSuchCore { allowed, .. } => Some(format!("`--cores {}`", list(allowed))),
            Error::TooFewCores { cores, .. } => Some(format!("`--shards {}`", cores.len())),
            Error::CoreList { .. } => Some("`--cores all`, `--cores physical` or `--cores 0,2-5`".into()),
            Error::NofileShort { need, .. } => Some(format!("`ulimit -n {need}`, or fewer connections")),
            Error::InboxesMax { max } => Some(format!("at most {max} shards")),
            Error::Strange { .. } | Error::Os { .. } => None,
        }
    }

    /// The last error of the calling thread, for the call `what`.
    pub(crate) fn last(what: &'static str) -> Error {
        Error::os(what, io::Error::last_os_error())
    }

    /// `errno` of the call `what`; a lack of permission or of descriptors becomes its named variant.
    pub(crate) fn os(what: &'static str, errno: io::Error) -> Error {
        match errno.raw_os_error() {
            Some(libc::EPERM | libc::EACCES) => Error::Permission { what: what.into() },
            Some(libc::EMFILE) => {
                let have = crate::limits::nofile().map_or(0, |limit| limit.soft);
                Error::NofileShort { have, need: have + 1 }
            }
            _ => Error::Os { what, errno },
        }
    }

    /// `errno` of the call `what` about the address `addr`.
    pub(crate) fn about(addr: SocketAddr, what: &'static str, errno: io::Error) -> Error {
        match errno.raw_os_error() {
            Some(libc::EADDRINUSE) => Error::AddressInUse { addr },
            Some(libc::EADDRNOTAVAIL | libc::EAFNOSUPPORT) => Error::NoSuchAddress { addr },
            Some(libc::EPERM | libc::EACCES) => Error::Permission { what: format!("{what} {addr}") },
            _ => Error::os(what, errno),
        }
    }
}

fn are(count: usize) -> String {
    format!("{} {count}", if count == 1 { "is" } else { "are" })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addr() -> SocketAddr {
        "127.0.0.1:80".parse().expect("a literal address")
    }

    #[test]
    fn an_errno_about_an_address_becomes_the_variant_of_who_must_act() {
        let check = |errno: i32, text: &str| {
            let error = Error::about(addr(), "bind", io::Error::from_raw_os_error(errno));
            assert_eq!(error.to_string(), text);
        };
        check(libc::EADDRINUSE, "address 127.0.0.1:80 is in use");
        check(libc::EADDRNOTAVAIL, "no interface of this machine has the address 127.0.0.1");
        check(libc::EACCES, "no permission to bind 127.0.0.1:80");
        check(libc::EIO, "bind: Input/output error (os error 5)");
    }

    #[test]
    fn a_full_descriptor_table_names_the_limit_in_force() {
        let soft = crate::limits::nofile().expect("getrlimit never fails for a known resource").soft;
        match Error::os("socket", io::Error::from_raw_os_error(libc::EMFILE)) {
            Error::NofileShort { have, need } => assert_eq!((have, need), (soft, soft + 1)),
            other => panic!("{other}"),
        }
    }

    #[test]
    fn every_error_that_a_user_can_repair_has_a_cure_with_its_numbers() {
        let check = |error: Error, part: &str| {
            let cure = error.cure().unwrap_or_default();
            assert!(cure.contains(part), "{error}: {cure}");
        };
        check(Error::AddressInUse { addr: addr() }, "sport = :80");
        check(Error::NoSuchAddress { addr: addr() }, "ip address");
        check(Error::NoSuchAddress { addr: "[2001:db8::1]:80".parse().expect("a literal address") }, "ip -6");
        check(Error::Permission { what: "bind 127.0.0.1:80".into() }, "1024");
        check(Error::NoSuchCore { core: 9, allowed: vec![0, 1, 3] }, "--cores 0-1,3");
        check(Error::CoreList { text: "x".into(), why: "y" }, "--cores all");
        check(Error::InboxesMax { max: 4096 }, "4096 shards");
        check(Error::NofileShort { have: 64, need: 4096 }, "ulimit -n 4096");
        assert_eq!(Error::os("x", io::Error::from_raw_os_error(libc::EIO)).cure(), None);
    }
}

//! Questions that the kernel answers over netlink(7) and in no file: the queues of listeners (sock_diag(7)), how many rules nftables has,
//! and what audit does.
//!
//! Only asks, never changes. Who asks may make the kernel load a module (tcp_diag, nf_tables): whether it is there is to be looked at
//! before. An answer is for the network namespace of the calling thread. The readers of answers are pure.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// A TCP socket that listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listener {
    /// Its port.
    pub port: u16,
    /// Connections that wait to be accepted.
    pub waiting: u32,
    /// How many may wait: what listen(2) was asked for, cut to net.core.somaxconn at that time.
    pub backlog: u32,
}

/// What audit does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Audit {
    /// Whether it is on.
    pub is_on: bool,
    /// Rules that are loaded.
    pub rules: usize,
    /// Whether one of them leaves every new task out (`-a never,task`).
    pub leaves_all_out: bool,
}

/// Who listens for TCP, over both families. Errors: as of socket(2) and recv(2); ENOENT where the kernel cannot tell.
pub fn listeners() -> io::Result<Vec<Listener>> {
    let mut found = Vec::new();
    for family in [libc::AF_INET, libc::AF_INET6] {
        let mut request = [0; 56];
        request[0] = family as u8;
        request[1] = libc::IPPROTO_TCP as u8;
        request[4..8].copy_from_slice(&(1u32 << TCP_LISTEN).to_ne_bytes());
        let answers = ask(libc::NETLINK_SOCK_DIAG, SOCK_DIAG_BY_FAMILY, DUMP, &request, |_| false)?;
        found.extend(answers.iter().filter_map(|(_, answer)| listener(answer)));
    }
    Ok(found)
}

/// How many rules there are in the tables of nftables, those that iptables-nft made too. Errors: as of socket(2) and recv(2); EPERM without
/// CAP_NET_ADMIN.
pub fn nftables_rules() -> io::Result<usize> {
    let answers = ask(libc::NETLINK_NETFILTER, NFT_MSG_GETRULE, DUMP, &[0; 4], |_| false)?;
    Ok(answers.iter().filter(|(kind, _)| *kind == NFT_MSG_NEWRULE).count())
}

/// What audit does, on the whole host. Errors: as of socket(2) and recv(2); EPERM without CAP_AUDIT_CONTROL, ECONNREFUSED or EPERM from
/// a container, EPROTONOSUPPORT where the kernel has no audit.
pub fn audit() -> io::Result<Audit> {
    let status = ask(libc::NETLINK_AUDIT, AUDIT_GET, 0, &[], |kind| kind == AUDIT_GET)?;
    let is_on = status.iter().any(|(_, status)| word(status, 4).is_some_and(|enabled| enabled != 0));
    let rules = ask(libc::NETLINK_AUDIT, AUDIT_LIST_RULES, 0, &[], |_| false)?;
    let rules = rules.iter().filter(|(kind, _)| *kind == AUDIT_LIST_RULES);
    let rules: Vec<&[u8]> = rules.map(|(_, rule)| rule.as_slice()).collect();
    Ok(Audit { is_on, rules: rules.len(), leaves_all_out: rules.iter().any(|rule| leaves_all_out(rule)) })
}

/// An inet_diag_msg (linux/inet_diag.h): family, state and timers, the two ends, then the time, and the two queues, which of a listener
/// are who waits and who may.
fn listener(answer: &[u8]) -> Option<Listener> {
    let port = u16::from_be_bytes(answer.get(4..6)?.try_into().ok()?);
    let is_listener = answer.get(1) == Some(&TCP_LISTEN);
    is_listener.then_some(Listener { port, waiting: word(answer, 56)?, backlog: word(answer, 60)? })
}

/// An audit_rule_data (linux/audit.h): list, action, number of conditions. Of more than one list the first bits say which.
fn leaves_all_out(rule: &[u8]) -> bool {
    [word(rule, 0), word(rule, 4), word(rule, 8)] == [Some(AUDIT_FILTER_TASK), Some(AUDIT_NEVER), Some(0)]
}

/// A message: its kind, and what follows its head.
type Message = (u16, Vec<u8>);

/// Asks `protocol` and returns the answers up to the last: the one that `is_last` knows, or the one that says so itself.
fn ask(
    protocol: libc::c_int,
    kind: u16,
    flags: u16,
    payload: &[u8],
    is_last: impl Fn(u16) -> bool,
) -> io::Result<Vec<Message>> {
    // SAFETY: socket(2) takes no pointer.
    let socket = unsafe { libc::socket(libc::AF_NETLINK, libc::SOCK_RAW | libc::SOCK_CLOEXEC, protocol) };
    if socket < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just given us this descriptor, and nobody else knows of it.
    let socket = unsafe { OwnedFd::from_raw_fd(socket) };
    let socket = socket.as_raw_fd();
    let patience = libc::timeval { tv_sec: PATIENCE_S, tv_usec: 0 };
    // SAFETY: `patience` is a live timeval of the size that is said (socket(7)).
    let set = unsafe {
        let bytes = size_of::<libc::timeval>() as libc::socklen_t;
        libc::setsockopt(socket, libc::SOL_SOCKET, libc::SO_RCVTIMEO, (&raw const patience).cast(), bytes)
    };
    if set != 0 {
        return Err(io::Error::last_os_error());
    }
    let message = message(kind, flags, payload);
    // SAFETY: the pointer and the length are those of a live slice; a netlink socket without an address sends to the kernel.
    if unsafe { libc::send(socket, message.as_ptr().cast(), message.len(), 0) } < 0 {
        return Err(io::Error::last_os_error());
    }
    let mut answers = Vec::new();
    let mut buffer = vec![0; BUFFER_BYTES];
    for _ in 0..BUFFERS_MAX {
        // SAFETY: the pointer and the length are those of a live buffer that nobody else has.
        let bytes = unsafe { libc::recv(socket, buffer.as_mut_ptr().cast(), buffer.len(), 0) };
        if bytes < 0 {
            return Err(io::Error::last_os_error());
        }
        for (kind, payload) in messages(&buffer[..bytes as usize]) {
            match kind {
                NLMSG_DONE => return Ok(answers),
                // Errors are negative; zero only confirms.
                NLMSG_ERROR => match word(payload, 0).unwrap_or_default() as i32 {
                    0 => {}
                    error => return Err(io::Error::from_raw_os_error(-error)),
                },
                _ => answers.push((kind, payload.to_vec())),
            }
            if is_last(kind) {
                return Ok(answers);
            }
        }
    }
    Err(io::Error::from(io::ErrorKind::FileTooLarge))
}

/// A head and what follows it.
fn message(kind: u16, flags: u16, payload: &[u8]) -> Vec<u8> {
    let mut message = Vec::with_capacity(HEAD_BYTES + payload.len());
    message.extend(((HEAD_BYTES + payload.len()) as u32).to_ne_bytes());
    message.extend(kind.to_ne_bytes());
    message.extend((NLM_F_REQUEST | flags).to_ne_bytes());
    // The number of the question, and who asks: nothing and nobody will do on a socket that asks one.
    message.extend([0; 8]);
    message.extend(payload);
    message
}

/// The messages in what one read gave. One that is cut off ends them.
fn messages(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = word(bytes, 0)? as usize;
        let kind = u16::from_ne_bytes(bytes.get(4..6)?.try_into().ok()?);
        let payload = bytes.get(HEAD_BYTES..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, payload))
    })
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

/// A kernel that says nothing for so long says nothing.
const PATIENCE_S: libc::time_t = 2;
/// netlink(7) puts no more than this into one read.
const BUFFER_BYTES: usize = 64 << 10;
/// Some hundred thousand listeners, or rules.
const BUFFERS_MAX: usize = 1024;

// linux/netlink.h
const HEAD_BYTES: usize = 16;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NLM_F_REQUEST: u16 = 1;
const DUMP: u16 = 0x300;
// linux/sock_diag.h, net/tcp_states.h
const SOCK_DIAG_BY_FAMILY: u16 = 20;
const TCP_LISTEN: u8 = 10;
// linux/netfilter/nf_tables.h, as kinds of the subsystem NFNL_SUBSYS_NFTABLES
const NFT_MSG_NEWRULE: u16 = 10 << 8 | 6;
const NFT_MSG_GETRULE: u16 = 10 << 8 | 7;
// linux/audit.h
const AUDIT_GET: u16 = 1000;
const AUDIT_LIST_RULES: u16 = 1013;
const AUDIT_FILTER_TASK: u32 = 1;
const AUDIT_NEVER: u32 = 0;

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::net::{TcpListener, TcpStream};
    use std::thread;

    #[test]
    fn answers_are_read_up_to_what_is_cut_off() {
        let mut bytes = message(7, 0, &[1, 2, 3]);
        bytes.push(0);
        bytes.extend(message(8, 0, &[]));
        bytes.extend(&message(9, 0, &[4, 5])[..17]);
        let read: Vec<(u16, &[u8])> = messages(&bytes).collect();
        assert_eq!(read, [(7, &[1, 2, 3][..]), (8, &[])]);
        assert_eq!(messages(&[3, 0, 0, 0, 0, 0, 0, 0]).count(), 0, "shorter than its own head");
        for cut in 0..message(7, 0, &[1, 2, 3]).len() {
            assert_eq!(messages(&bytes[..cut]).count(), 0, "{cut}");
        }
    }

    #[test]
    fn only_a_rule_without_a_condition_on_the_list_of_tasks_leaves_all_out() {
        let rule = |list: u32, action: u32, conditions: u32| -> Vec<u8> {
            [list, action, conditions, 0].iter().flat_map(|word| word.to_ne_bytes()).collect()
        };
        assert!(leaves_all_out(&rule(1, 0, 0)));
        for other in [rule(4, 0, 0), rule(1, 2, 0), rule(1, 0, 1), Vec::new()] {
            assert!(!leaves_all_out(&other));
        }
    }

    #[test]
    fn a_listener_is_seen_with_who_waits_and_how_many_may() {
        let inside = thread::spawn(|| {
            if let Err(error) = crate::namespace::new_network().and_then(|()| crate::loopback::lift()) {
                let _ =
                    writeln!(io::stderr(), "not tested: a network namespace takes CAP_SYS_ADMIN ({error})");
                return;
            }
            if let Err(error) = listeners() {
                let _ = writeln!(io::stderr(), "not tested: this kernel has no tcp_diag ({error})");
                return;
            }
            assert_eq!(listeners().expect("asked before"), []);
            let four = TcpListener::bind("127.0.0.1:0").expect("a namespace of our own");
            let six = TcpListener::bind("[::1]:0").ok();
            let address = four.local_addr().expect("it is bound");
            let _one = TcpStream::connect(address).expect("there is room");
            let seen = listeners().expect("asked before");
            // What the standard library asks listen(2) for.
            let expected = Listener { port: address.port(), waiting: 1, backlog: 128 };
            assert_eq!(seen.iter().find(|one| one.port == address.port()), Some(&expected), "{seen:?}");
            assert_eq!(seen.len(), 1 + usize::from(six.is_some()), "{seen:?}");
        });
        inside.join().expect("what was asserted inside");
    }

    #[test]
    fn a_new_namespace_has_no_rule_of_nftables() {
        let inside = thread::spawn(|| {
            if let Err(error) = crate::namespace::new_network() {
                let _ =
                    writeln!(io::stderr(), "not tested: a network namespace takes CAP_SYS_ADMIN ({error})");
                return;
            }
            match nftables_rules() {
                Ok(rules) => assert_eq!(rules, 0),
                Err(error) => {
                    let _ = writeln!(io::stderr(), "not tested: this kernel has no nf_tables ({error})");
                }
            }
        });
        inside.join().expect("what was asserted inside");
    }

    #[test]
    fn what_the_kernel_refuses_is_an_error_and_audit_is_told_or_refused() {
        let unknown = ask(libc::NETLINK_SOCK_DIAG, 0xfff, DUMP, &[], |_| false);
        assert!(unknown.is_err(), "{unknown:?}");
        match audit() {
            Ok(audit) => assert!(audit.rules > 0 || !audit.leaves_all_out, "{audit:?}"),
            Err(error) => {
                let _ = writeln!(io::stderr(), "not tested: audit does not answer here ({error})");
            }
        }
    }
}

//! One Ringmill a port while it starts: a name that only one process can hold.
//!
//! `net::probe_free` finds the servers that listen already. Two that start together would both pass it and then both bind,
//! since listeners of shards share their port (SO_REUSEPORT). So each holds a name for each of its ports from before it
//! probes until its listeners are bound, where the other one's probe finds them; the other one waits that long, and then
//! asks the kernel. The name leaves the address out: `*:80` and `127.0.0.1:80` are in each other's way, and whether
//! `127.0.0.1:80` and `127.0.0.2:80` are is the kernel's answer. Names of the abstract namespace (unix(7)) leave no file
//! behind, and go with the process however that ends. They stop no other program: the kernel does, when that one has the port.

use std::io::ErrorKind;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr as Name, UnixDatagram};
use std::thread;
use std::time::{Duration, Instant};

use linux::net::Transport;

use crate::url::Url;
use linux::console::Failure;

/// The names that this process holds. Dropped, they are free.
#[derive(Debug)]
pub(crate) struct Locks(#[expect(dead_code, reason = "held")] Vec<UnixDatagram>);

impl Locks {
    /// Takes a name for each port that is not the kernel's choice, and waits up to `patience` for one that another Ringmill
    /// holds. Errors: it still holds it.
    pub(crate) fn take(listen: &[Url], patience: Duration) -> Result<Locks, Failure> {
        let until = Instant::now() + patience;
        let mut listen: Vec<&Url> = listen.iter().filter(|url| url.address.port() != 0).collect();
        // Every process takes them in the same order: two that each held what the other wants would wait in vain.
        listen.sort_by_key(|url| name(url));
        listen.dedup_by_key(|url| name(url));
        listen.into_iter().map(|url| lock(url, until)).collect::<Result<_, _>>().map(Locks)
    }
}

fn lock(url: &Url, until: Instant) -> Result<UnixDatagram, Failure> {
    loop {
        let named = Name::from_abstract_name(name(url));
        match named.and_then(|name| UnixDatagram::bind_addr(&name)) {
            Ok(held) => return Ok(held),
            Err(why) if why.kind() != ErrorKind::AddrInUse => {
                return Err(Failure::runtime(format!("{}: the name that guards it: {why}", url.address)));
            }
            Err(_) if Instant::now() >= until => {
                return Err(linux::Error::AddressInUse { addr: url.address }.into());
            }
            Err(_) => thread::sleep(LOOK),
        }
    }
}

/// At most 18 bytes, of the 107 that a name may have.
fn name(url: &Url) -> String {
    let transport = match url.kind.transport() {
        Transport::Tcp => "tcp",
        Transport::Udp => "udp",
    };
    format!("ringmill/{transport}/{}", url.address.port())
}

/// How long a start may wait for others to end theirs: one takes some tens of milliseconds, and more where it faults in
/// large receive buffers.
pub(crate) const PATIENCE: Duration = Duration::from_secs(3);
/// How often it looks whether they have.
const LOOK: Duration = Duration::from_millis(5);

#[cfg(test)]
mod tests {
    use super::*;

    /// Ports of these tests alone; nothing is ever bound there. Names are the machine's: another run of the tests has others.
    fn listening(kind: &str, ip: &str, port: u16) -> Vec<Url> {
        let port = 40_000 + (std::process::id() % 2000) as u16 * 10 + port;
        vec![format!("{kind}://{ip}:{port}").parse().expect("a URL")]
    }

    fn take(kind: &str, ip: &str, port: u16) -> Result<Locks, Failure> {
        Locks::take(&listening(kind, ip, port), Duration::ZERO)
    }

    #[test]
    fn a_port_is_held_by_one_whatever_its_address_and_free_once_it_is_dropped() {
        let held = take("http", "127.0.0.1", 1).expect("nobody has it");
        for ip in ["127.0.0.1", "*", "0.0.0.0", "[::1]", "127.0.0.2"] {
            let refused = take("echo", ip, 1).expect_err("it is held").to_string();
            assert!(refused.contains(" is in use") && refused.contains("`ss -tulpn 'sport = :"), "{refused}");
        }
        take("udp-echo", "127.0.0.1", 1).expect("another transport");
        take("http", "127.0.0.1", 2).expect("another port");
        drop(held);
        take("echo", "*", 1).expect("it is free again");
    }

    #[test]
    fn a_start_waits_for_another_to_end() {
        let held = take("http", "127.0.0.1", 3).expect("nobody has it");
        thread::scope(|scope| {
            let waits =
                scope.spawn(|| Locks::take(&listening("http", "127.0.0.2", 3), Duration::from_secs(30)));
            drop(held);
            waits.join().expect("no panic").expect("it is free soon");
        });
    }

    #[test]
    fn one_process_may_have_two_addresses_of_one_port() {
        let two = [listening("http", "127.0.0.1", 4), listening("echo", "127.0.0.2", 4)].concat();
        Locks::take(&two, Duration::ZERO).expect("one name for both");
    }

    #[test]
    fn ports_of_the_kernels_choice_are_not_held() {
        let any: Vec<Url> = vec!["http://127.0.0.1:0".parse().expect("a URL")];
        let _held = Locks::take(&any, Duration::ZERO).expect("nothing to hold");
        Locks::take(&any, Duration::ZERO).expect("nothing to hold");
    }
}

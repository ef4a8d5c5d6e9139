//! One Ringmill an address, also of two that start at the same moment: a name that only one process can hold.
//!
//! `net::probe_free` finds the servers that listen already. Two that start together would both pass it and then both bind,
//! since listeners of shards share their port (SO_REUSEPORT). So each holds a name for each address from before it probes
//! until its listeners are bound, where the other one's probe finds them. No longer than that: the next server may start
//! while this one drains. Names of the abstract namespace (unix(7)) leave no file behind, and go with the process however
//! that ends. They stop no other program: the kernel does, when that one has the port.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr as Name, UnixDatagram};

use linux::net::Transport;

use crate::failure::Failure;
use crate::url::Url;

/// The names that this process holds. Dropped, they are free.
#[derive(Debug)]
pub(crate) struct Locks(#[expect(dead_code, reason = "held")] Vec<UnixDatagram>);

impl Locks {
    /// Takes a name for each address whose port is not the kernel's choice. Errors: another Ringmill has one of them.
    pub(crate) fn take(listen: &[Url]) -> Result<Locks, Failure> {
        listen.iter().filter(|url| url.address.port() != 0).map(lock).collect::<Result<_, _>>().map(Locks)
    }
}

fn lock(url: &Url) -> Result<UnixDatagram, Failure> {
    let named = Name::from_abstract_name(name(url.kind.transport(), url.address));
    named.and_then(|name| UnixDatagram::bind_addr(&name)).map_err(|why| match why.kind() {
        ErrorKind::AddrInUse => linux::Error::AddressInUse { addr: url.address }.into(),
        _ => Failure::runtime(format!("{}: the name that guards it: {why}", url.address)),
    })
}

/// At most 80 bytes, of the 107 that a name may have.
fn name(transport: Transport, address: SocketAddr) -> String {
    let transport = match transport {
        Transport::Tcp => "tcp",
        Transport::Udp => "udp",
    };
    format!("ringmill/{transport}/{address}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An address that no other test locks; nothing is ever bound there.
    fn listening(kind: &str, port: u16) -> Vec<Url> {
        vec![format!("{kind}://127.{}.7.9:{port}", std::process::id() % 256).parse().expect("a URL")]
    }

    #[test]
    fn an_address_is_held_by_one_and_free_once_it_is_dropped() {
        let held = Locks::take(&listening("http", 7)).expect("nobody has it");
        let refused = Locks::take(&listening("echo", 7)).expect_err("it is held").to_string();
        assert!(
            refused.contains(":7 is in use") && refused.contains("`ss -tulpn 'sport = :7'`"),
            "{refused}"
        );
        Locks::take(&listening("udp-echo", 7)).expect("another transport");
        Locks::take(&listening("http", 8)).expect("another port");
        drop(held);
        Locks::take(&listening("echo", 7)).expect("it is free again");
    }

    #[test]
    fn ports_of_the_kernels_choice_are_not_held() {
        let _held = Locks::take(&listening("http", 0)).expect("nothing to hold");
        Locks::take(&listening("http", 0)).expect("nothing to hold");
    }
}

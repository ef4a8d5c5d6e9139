//! Two network namespaces joined by a veth pair, the server in one and the client in the other.
//!
//! They have no names and live as long as this process has them open, however it ends. `ip` of iproute2 joins them, which needs
//! root. Never changes anything of the namespace that the runner was started in.

use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

/// The addresses of the two ends; TEST-NET-2 of RFC 5737, which nobody routes.
const SERVER: [u8; 4] = [198, 51, 100, 1];
const CLIENT: [u8; 4] = [198, 51, 100, 2];

/// Both namespaces, and the one that the runner is in.
pub struct Veth {
    server: File,
    client: File,
    home: File,
}

/// The calling thread, and what it starts, is in the client's namespace until this is dropped.
pub struct Inside<'a>(&'a Veth);

impl Veth {
    /// Errors: this process may not, or there is no `ip`.
    pub fn make() -> Result<Self, String> {
        let refused = |error: io::Error| format!("no network namespace: {error}; it needs root");
        let home = own_namespace().map_err(refused)?;
        let (server, client) = (fresh(&home).map_err(refused)?, fresh(&home).map_err(refused)?);
        let veth = Self { server, client, home };
        let other = format!("/proc/{}/fd/{}", std::process::id(), veth.client.as_raw_fd());
        ip(&veth.server, &format!("link add wire type veth peer name wire netns {other}"))?;
        for (namespace, [a, b, c, d]) in [(&veth.server, SERVER), (&veth.client, CLIENT)] {
            ip(namespace, &format!("address add {a}.{b}.{c}.{d}/24 dev wire"))?;
            ip(namespace, "link set wire up")?;
            ip(namespace, "link set lo up")?;
        }
        Ok(veth)
    }

    /// Where a server listens.
    pub fn server(&self, port: u16) -> SocketAddr {
        SocketAddr::from((SERVER, port))
    }

    pub fn server_namespace(&self) -> RawFd {
        self.server.as_raw_fd()
    }

    /// Moves the calling thread to the client's side.
    pub fn enter(&self) -> Result<Inside<'_>, String> {
        set_namespace(self.client.as_raw_fd()).map_err(|error| format!("the client's namespace: {error}"))?;
        Ok(Inside(self))
    }
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        set_namespace(self.0.home.as_raw_fd()).expect("the thread came from there");
    }
}

/// What a new process does before it becomes the program: it goes to another namespace.
pub fn move_into(command: &mut Command, namespace: RawFd) {
    // SAFETY: between fork and exec only setns(2) is called; the descriptor is open as long as the namespaces are.
    unsafe { command.pre_exec(move || set_namespace(namespace)) };
}

/// A new namespace; the calling thread stays where it was.
fn fresh(home: &File) -> io::Result<File> {
    // SAFETY: a call that touches no memory.
    if unsafe { libc::unshare(libc::CLONE_NEWNET) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let made = own_namespace();
    set_namespace(home.as_raw_fd())?;
    made
}

fn own_namespace() -> io::Result<File> {
    File::open("/proc/thread-self/ns/net")
}

fn set_namespace(fd: RawFd) -> io::Result<()> {
    // SAFETY: a call on a descriptor; memory is not touched.
    match unsafe { libc::setns(fd, libc::CLONE_NEWNET) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

fn ip(namespace: &File, words: &str) -> Result<(), String> {
    let mut command = Command::new("ip");
    command.args(words.split(' '));
    move_into(&mut command, namespace.as_raw_fd());
    let said = command.output().map_err(|error| format!("ip: {error}"))?;
    match said.status.success() {
        true => Ok(()),
        false => Err(format!("ip {words}: {}", String::from_utf8_lossy(&said.stderr).trim())),
    }
}

//! Network namespaces: entering one that has a name, making one without, and its own view of devices.
//!
//! Only the calling thread goes (setns(2), unshare(2)), with the threads and programs that it starts from then on. Nobody goes
//! back: a thread that has entered ends there. Of `/proc/sys/net` a thread sees that of its own namespace.

use std::fs;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::Path;

use crate::tree::{Links, Tree};

/// Enters the network namespace `name` of ip-netns(8). Errors: as of openat2(2) (there is none of that name) and setns(2).
pub fn enter_network(name: &str) -> io::Result<()> {
    let namespace = Tree::open(Path::new(NAMED))?.file(name, Links::Refused)?;
    // SAFETY: setns(2) takes no pointer; the descriptor is open, and is checked by the kernel to be a network namespace.
    match unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Enters a new network namespace, which is gone with the last thread in it. Errors: as of unshare(2); takes CAP_SYS_ADMIN.
pub fn new_network() -> io::Result<()> {
    // SAFETY: unshare(2) takes no pointer, and a network namespace may be left by a single thread.
    match unsafe { libc::unshare(libc::CLONE_NEWNET) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Which network namespace the calling thread is in: a text that is the same as long as it is the same one. Errors: as of readlink(2).
pub fn network() -> io::Result<String> {
    let text = fs::read_link("/proc/thread-self/ns/net")?;
    Ok(text.to_string_lossy().into_owned())
}

/// A sysfs of its own for the calling thread's network namespace. It is mounted nowhere, so no other process sees it, and is gone
/// with the value. Errors: as of fsopen(2), fsconfig(2) and fsmount(2), Linux 5.2; takes CAP_SYS_ADMIN.
pub fn sysfs() -> io::Result<Tree> {
    // SAFETY: the name ends with a zero and lives through the call.
    let context = owned(unsafe { libc::syscall(libc::SYS_fsopen, c"sysfs".as_ptr(), FSOPEN_CLOEXEC) })?;
    let (none, nothing) = (std::ptr::null::<libc::c_char>(), std::ptr::null::<libc::c_void>());
    let create = FSCONFIG_CMD_CREATE;
    // SAFETY: the descriptor is open, and this command takes neither key nor value.
    if unsafe { libc::syscall(libc::SYS_fsconfig, context.as_raw_fd(), create, none, nothing, 0) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let rights = libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NODEV | libc::MOUNT_ATTR_NOEXEC;
    // SAFETY: the descriptor is open; fsmount(2) takes no pointer.
    let mount =
        owned(unsafe { libc::syscall(libc::SYS_fsmount, context.as_raw_fd(), FSMOUNT_CLOEXEC, rights) })?;
    Ok(Tree::of(mount))
}

/// What a system call gave that returns a new descriptor.
fn owned(result: libc::c_long) -> io::Result<OwnedFd> {
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just given us this descriptor, and nobody else knows of it.
    Ok(unsafe { OwnedFd::from_raw_fd(result as libc::c_int) })
}

/// Where ip-netns(8) keeps its names.
const NAMED: &str = "/run/netns";

// linux/mount.h
const FSOPEN_CLOEXEC: libc::c_uint = 1;
const FSMOUNT_CLOEXEC: libc::c_uint = 1;
const FSCONFIG_CMD_CREATE: libc::c_uint = 6;

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::thread;

    #[test]
    fn a_thread_in_a_new_namespace_has_settings_and_devices_of_its_own() {
        let before = network().expect("a thread is in one");
        let before_inside = before.clone();
        let inside = thread::spawn(move || {
            if let Err(error) = new_network() {
                let _ =
                    writeln!(io::stderr(), "not tested: a network namespace takes CAP_SYS_ADMIN ({error})");
                return;
            }
            let root = Tree::open(Path::new("/")).expect("there is a /");
            let value = "proc/sys/net/ipv4/tcp_fin_timeout";
            root.write(value, Links::Refused, b"7").expect("it is our own");
            assert_eq!(root.read(value, Links::Refused, 100).expect("read"), b"7\n");
            let sys = sysfs().expect("CAP_SYS_ADMIN is there");
            let devices = sys.below("class/net", Links::Within).expect("it is there").names().expect("list");
            // A module may put devices of its own into every namespace; what is the host's is not among them.
            assert!(devices.contains(&"lo".into()) && !devices.contains(&"eth0".into()), "{devices:?}");
            assert_ne!(sys.read("class/net/lo/mtu", Links::Within, 100).expect("a link within"), b"");
            assert_ne!(network().expect("a thread is in one"), before_inside);
        });
        inside.join().expect("what was asserted inside");
        assert_eq!(network().expect("a thread is in one"), before);
        assert_ne!(fs::read("/proc/sys/net/ipv4/tcp_fin_timeout").expect("read"), b"7\n");
    }

    #[test]
    fn a_namespace_without_that_name_is_an_error_and_a_path_is_no_name() {
        assert!(enter_network("ringmill-there-is-none").is_err());
        assert!(enter_network("../../proc/self/ns/net").is_err());
    }
}

//! Network namespaces: entering one that has a name, making one without, and its own view of devices.
//!
//! Only the calling thread goes (setns(2), unshare(2)), with the threads and programs that it starts from then on. Nobody goes
//! back: a thread that has entered ends there. Of `/proc/sys/net` a thread sees that of its own namespace.

use std::ffi::CStr;
use std::fs;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
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

/// Which network namespace has the name `name` of ip-netns(8), as [`network`] says it; `None` where none has. Errors: as of
/// openat2(2).
pub fn named(name: &str) -> io::Result<Option<String>> {
    let opened = Tree::open(Path::new(NAMED)).and_then(|tree| tree.file(name, Links::Refused));
    match opened {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        other => Ok(Some(format!("net:[{}]", other?.metadata()?.ino()))),
    }
}

/// A sysfs of its own for the calling thread's network namespace. It is mounted nowhere, so no other process sees it, and is gone
/// with the value. Errors: as of fsopen(2), fsconfig(2) and fsmount(2), Linux 5.2; takes CAP_SYS_ADMIN.
pub fn sysfs() -> io::Result<Tree> {
    mount_of_sysfs().map(Tree::of)
}

/// Puts a sysfs of the calling thread's network namespace over `/sys`, for that thread and all that it starts from then on, and for
/// nobody else: the thread has its mounts to itself from here on. What the host has mounted at `/sys/fs/cgroup` stays where it is, since
/// programs read their quota there; all else below `/sys` is the namespace's. Errors: as of unshare(2), mount(2), fsmount(2) and
/// move_mount(2), Linux 5.2; takes CAP_SYS_ADMIN.
pub fn own_sysfs() -> io::Result<()> {
    // SAFETY: unshare(2) takes no pointer.
    if unsafe { libc::unshare(libc::CLONE_NEWNS) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let nothing = std::ptr::null();
    // Private first, or the mount would be seen by those who share ours.
    let private = libc::MS_REC | libc::MS_PRIVATE;
    // SAFETY: the name ends with a zero and lives through the call, which reads nothing else of ours (mount(2)).
    if unsafe { libc::mount(nothing, c"/".as_ptr(), nothing, private, nothing.cast()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let groups = tree_at(CGROUPS);
    put(&mount_of_sysfs()?, c"/sys")?;
    match groups {
        Ok(groups) => put(&groups, CGROUPS),
        // A kernel without control groups has no such directory.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// A mount of the network namespace's sysfs that is in no place yet.
fn mount_of_sysfs() -> io::Result<OwnedFd> {
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
    owned(unsafe { libc::syscall(libc::SYS_fsmount, context.as_raw_fd(), FSMOUNT_CLOEXEC, rights) })
}

/// A copy of the mounts at and below `path` that is in no place yet.
fn tree_at(path: &CStr) -> io::Result<OwnedFd> {
    let flags = OPEN_TREE_CLONE | libc::O_CLOEXEC as libc::c_uint | libc::AT_RECURSIVE as libc::c_uint;
    // SAFETY: the path ends with a zero and lives through the call.
    owned(unsafe { libc::syscall(libc::SYS_open_tree, libc::AT_FDCWD, path.as_ptr(), flags) })
}

/// Puts a mount that is in no place over `path`.
fn put(mount: &OwnedFd, path: &CStr) -> io::Result<()> {
    let (from, whole) = (mount.as_raw_fd(), MOVE_MOUNT_F_EMPTY_PATH);
    // SAFETY: the descriptor is open, and both paths end with a zero and live through the call.
    let moved = unsafe {
        libc::syscall(libc::SYS_move_mount, from, c"".as_ptr(), libc::AT_FDCWD, path.as_ptr(), whole)
    };
    if moved == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
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

/// Where control groups are mounted (cgroups(7)).
const CGROUPS: &CStr = c"/sys/fs/cgroup";

// linux/mount.h
const OPEN_TREE_CLONE: libc::c_uint = 1;
const MOVE_MOUNT_F_EMPTY_PATH: libc::c_uint = 4;
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
    fn what_a_thread_with_a_sys_of_its_own_starts_sees_that_one_and_the_control_groups_of_the_host() {
        let list = |path: &str| {
            let told = std::process::Command::new("ls").arg(path).output().expect("there is ls");
            let mut names: Vec<_> =
                String::from_utf8_lossy(&told.stdout).lines().map(str::to_owned).collect::<Vec<_>>();
            names.sort();
            names
        };
        let (groups, devices) = (list("/sys/fs/cgroup"), list("/sys/class/net"));
        let (its_groups, its_devices) = (groups.clone(), devices.clone());
        let its_state = fs::read_to_string("/sys/class/net/lo/flags").expect("every device has them");
        let inside = thread::spawn(move || {
            if let Err(error) = new_network() {
                let _ =
                    writeln!(io::stderr(), "not tested: a network namespace takes CAP_SYS_ADMIN ({error})");
                return;
            }
            assert_eq!(
                list("/sys/class/net"),
                its_devices,
                "a network namespace alone leaves the host's /sys"
            );
            own_sysfs().expect("CAP_SYS_ADMIN is there");
            assert!(!list("/sys/class/net").contains(&"eth0".into()));
            assert!(list("/sys/class/net").contains(&"lo".into()));
            assert_eq!(list("/sys/fs/cgroup"), its_groups);
            // Down in the new namespace, and up on the host.
            let state = fs::read_to_string("/sys/class/net/lo/flags").expect("every device has them");
            assert_ne!(state, its_state);
        });
        inside.join().expect("what was asserted inside");
        assert_eq!((list("/sys/fs/cgroup"), list("/sys/class/net")), (groups, devices));
    }

    #[test]
    fn a_namespace_without_that_name_is_an_error_and_a_path_is_no_name() {
        assert!(enter_network("ringmill-there-is-none").is_err());
        assert_eq!(named("ringmill-there-is-none").expect("it can be looked for"), None);
        assert!(enter_network("../../proc/self/ns/net").is_err());
    }
}

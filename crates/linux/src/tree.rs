//! A directory and the files below it, reached by name without ever leaving it.
//!
//! Never follows a link that somebody put there to lead out, never waits for a pipe, never reads more than it was told to. A
//! program that runs as root and opens files by names from elsewhere needs nothing less. Rests on openat2(2), Linux 5.6.

use std::ffi::CString;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Component, Path};

/// An open directory. It stays the same one when it is renamed or when something is mounted over it.
#[derive(Debug)]
pub struct Tree {
    directory: File,
}

/// Which links a path may go through. None may be its last part, and none may lead out of the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Links {
    /// None at all.
    Refused,
    /// Those that stay in the tree: sysfs is made of them.
    Within,
}

impl Tree {
    /// The directory at `path`, links followed: who names it answers for it. Errors: as of open(2).
    pub fn open(path: &Path) -> io::Result<Tree> {
        let directory = File::open(path)?;
        if directory.metadata()?.is_dir() { Ok(Tree { directory }) } else { Err(not_a_directory()) }
    }

    /// The directory `path` below this one. Errors: as of openat2(2).
    pub fn below(&self, path: &str, links: Links) -> io::Result<Tree> {
        let directory = self.open_at(path, libc::O_RDONLY | libc::O_DIRECTORY, 0, links)?;
        Ok(Tree { directory })
    }

    /// What stands in the file `path`. Errors: as of openat2(2) and read(2); `FileTooLarge` past `bytes_max`.
    pub fn read(&self, path: &str, links: Links, bytes_max: usize) -> io::Result<Vec<u8>> {
        let file = self.regular(path, libc::O_RDONLY, 0, links)?;
        let mut bytes = Vec::new();
        file.take(bytes_max as u64 + 1).read_to_end(&mut bytes)?;
        if bytes.len() > bytes_max {
            return Err(io::Error::from(io::ErrorKind::FileTooLarge));
        }
        Ok(bytes)
    }

    /// Writes `bytes` into the file `path`, which exists, by one write(2): to the kernel a setting written in two pieces is two
    /// settings. Errors: as of openat2(2) and write(2); `WriteZero` where less was taken.
    pub fn write(&self, path: &str, links: Links, bytes: &[u8]) -> io::Result<()> {
        let mut file = self.regular(path, libc::O_WRONLY | libc::O_TRUNC, 0, links)?;
        let taken = loop {
            match file.write(bytes) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other?,
            }
        };
        if taken == bytes.len() { Ok(()) } else { Err(io::Error::from(io::ErrorKind::WriteZero)) }
    }

    /// The file `path` itself, opened to be read, whatever it is. Errors: as of openat2(2).
    pub(crate) fn file(&self, path: &str, links: Links) -> io::Result<File> {
        self.open_at(path, libc::O_RDONLY | libc::O_NONBLOCK, 0, links)
    }

    /// Creates the file `name` in this directory with these rights, to append to. Errors: `AlreadyExists`, and as of openat2(2).
    pub fn create(&self, name: &str, mode: u32) -> io::Result<File> {
        let flags = libc::O_RDWR | libc::O_APPEND | libc::O_CREAT | libc::O_EXCL;
        self.regular(name, flags, mode, Links::Refused)
    }

    /// The file `name` in this directory, to append to; created with these rights if there is none. Errors: as of openat2(2).
    pub fn append(&self, name: &str, mode: u32) -> io::Result<File> {
        self.regular(name, libc::O_RDWR | libc::O_APPEND | libc::O_CREAT, mode, Links::Refused)
    }

    /// The directory `name` in this one, created with these rights if there is none. Errors: as of mkdirat(2) and openat2(2);
    /// `PermissionDenied` where it is another user's, or others have rights that `mode` does not give them.
    pub fn private(&self, name: &str, mode: u32) -> io::Result<Tree> {
        let text = one_name(name)?;
        // SAFETY: the descriptor is open and `text` ends with a zero and lives through the call (mkdirat(2)).
        let result = unsafe { libc::mkdirat(self.directory.as_raw_fd(), text.as_ptr(), mode) };
        if result != 0 {
            let error = io::Error::last_os_error();
            if error.kind() != io::ErrorKind::AlreadyExists {
                return Err(error);
            }
        }
        let tree = self.below(name, Links::Refused)?;
        let found = tree.directory.metadata()?;
        // SAFETY: geteuid(2) takes nothing and cannot fail.
        let own = unsafe { libc::geteuid() };
        if found.uid() != own || found.permissions().mode() & 0o777 & !mode != 0 {
            return Err(io::Error::from(io::ErrorKind::PermissionDenied));
        }
        Ok(tree)
    }

    /// The names in this directory, sorted; those that are no text are left out. Errors: as of getdents(2).
    pub fn names(&self) -> io::Result<Vec<String>> {
        // The directory by its descriptor: what stands at its path may be another one by now.
        let listed = fs::read_dir(format!("/proc/self/fd/{}", self.directory.as_raw_fd()))?;
        let mut names = Vec::new();
        for entry in listed {
            names.extend(entry?.file_name().into_string());
        }
        names.sort();
        Ok(names)
    }

    /// Gives the file `from` in this directory the name `to`, whoever had it. Errors: as of renameat(2).
    pub fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let (from, to) = (one_name(from)?, one_name(to)?);
        let directory = self.directory.as_raw_fd();
        // SAFETY: the descriptor is open; both names end with a zero and live through the call (renameat(2)).
        let result = unsafe { libc::renameat(directory, from.as_ptr(), directory, to.as_ptr()) };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    /// Removes the file `name` from this directory. Errors: as of unlinkat(2).
    pub fn remove(&self, name: &str) -> io::Result<()> {
        let name = one_name(name)?;
        // SAFETY: the descriptor is open; the name ends with a zero and lives through the call (unlinkat(2)).
        let result = unsafe { libc::unlinkat(self.directory.as_raw_fd(), name.as_ptr(), 0) };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    /// Waits until the names in this directory are on the disk (fsync(2)); a file's own fsync(2) does not say so.
    pub fn sync(&self) -> io::Result<()> {
        self.directory.sync_all()
    }

    /// A path by which this process reaches the directory as long as it is open: for what takes no descriptor (bind(2)).
    pub fn path(&self) -> String {
        format!("/proc/self/fd/{}", self.directory.as_raw_fd())
    }

    /// The directory `descriptor`, which the caller has made sure is one.
    pub(crate) fn of(descriptor: OwnedFd) -> Tree {
        Tree { directory: File::from(descriptor) }
    }

    /// Opens what is a regular file, or nothing: a pipe would have us wait, a device would do who knows what.
    fn regular(&self, path: &str, flags: libc::c_int, mode: u32, links: Links) -> io::Result<File> {
        // O_TRUNC is left until it is known what was opened; NONBLOCK so that a pipe does not keep us here.
        let file = self.open_at(path, flags & !libc::O_TRUNC | libc::O_NONBLOCK, mode, links)?;
        if !file.metadata()?.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file"));
        }
        if flags & libc::O_TRUNC != 0 {
            file.set_len(0)?;
        }
        Ok(file)
    }

    fn open_at(&self, path: &str, flags: libc::c_int, mode: u32, links: Links) -> io::Result<File> {
        let path = relative(path)?;
        // SAFETY: open_how is plain integers, for which zero is a value.
        let mut how: libc::open_how = unsafe { std::mem::zeroed() };
        how.flags = (flags | libc::O_CLOEXEC | libc::O_NOFOLLOW | libc::O_NOCTTY) as u64;
        how.mode = mode.into();
        how.resolve = libc::RESOLVE_BENEATH
            | match links {
                Links::Refused => libc::RESOLVE_NO_SYMLINKS,
                Links::Within => libc::RESOLVE_NO_MAGICLINKS,
            };
        for _ in 0..OPEN_TRIES {
            // SAFETY: the descriptor is open; path and `how` live through the call, which only reads them, and the size is that
            // of `how` (openat2(2)).
            let opened = unsafe {
                libc::syscall(
                    libc::SYS_openat2,
                    self.directory.as_raw_fd(),
                    path.as_ptr(),
                    &raw const how,
                    size_of::<libc::open_how>(),
                )
            };
            if opened >= 0 {
                // SAFETY: the kernel has just given us this descriptor, and nobody else knows of it.
                return Ok(File::from(unsafe { OwnedFd::from_raw_fd(opened as libc::c_int) }));
            }
            let error = io::Error::last_os_error();
            // EAGAIN: something was renamed on the way while a link led upwards, and the kernel could not be sure.
            if !matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::EINTR)) {
                return Err(error);
            }
        }
        Err(io::Error::from(io::ErrorKind::ResourceBusy))
    }
}

/// How often a path is tried that is being renamed at the same time.
const OPEN_TRIES: usize = 32;

/// The kernel refuses `..` out of the tree and absolute paths too; here they are refused wherever they stand.
fn relative(path: &str) -> io::Result<CString> {
    let plain =
        !path.is_empty() && Path::new(path).components().all(|part| matches!(part, Component::Normal(_)));
    if !plain {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no path below a directory"));
    }
    CString::new(path).map_err(io::Error::from)
}

fn one_name(name: &str) -> io::Result<CString> {
    if name.contains('/') {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no name of a file"));
    }
    relative(name)
}

fn not_a_directory() -> io::Error {
    io::Error::from(io::ErrorKind::NotADirectory)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;
    use std::path::PathBuf;
    use std::process::Command;

    /// A directory of the test's own, gone when it is dropped.
    struct Home(PathBuf);

    impl Home {
        fn new(name: &str) -> Home {
            let path = std::env::temp_dir().join(format!("ringmill-tree-{name}-{}", std::process::id()));
            fs::create_dir_all(path.join("in/deep")).expect("a directory of our own");
            fs::write(path.join("secret"), "outside").expect("write");
            fs::write(path.join("in/deep/value"), "1\n").expect("write");
            Home(path)
        }

        fn tree(&self) -> Tree {
            Tree::open(&self.0.join("in")).expect("it was made")
        }
    }

    impl Drop for Home {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).ok();
        }
    }

    #[test]
    fn a_value_is_read_and_replaced_whole() {
        let home = Home::new("value");
        let tree = home.tree();
        tree.write("deep/value", Links::Refused, b"4096\n").expect("write");
        tree.write("deep/value", Links::Refused, b"2\n").expect("write");
        assert_eq!(tree.read("deep/value", Links::Refused, 2).expect("read"), b"2\n");
        let error = tree.read("deep/value", Links::Refused, 1).expect_err("it has two bytes");
        assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
        let error = tree.write("deep/new", Links::Refused, b"x").expect_err("a setting that is not there");
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn no_name_leads_out_of_the_tree() {
        let home = Home::new("out");
        let tree = home.tree();
        symlink("../secret", home.0.join("in/up")).expect("link");
        symlink(home.0.join("secret"), home.0.join("in/absolute")).expect("link");
        symlink("..", home.0.join("in/parent")).expect("link");
        for path in
            ["../secret", "deep/../../secret", "/etc/hostname", "up", "absolute", "parent/secret", "", "."]
        {
            for links in [Links::Refused, Links::Within] {
                assert!(tree.read(path, links, 100).is_err(), "{path} {links:?}");
                assert!(tree.write(path, links, b"x").is_err(), "{path} {links:?}");
            }
        }
        assert_eq!(fs::read_to_string(home.0.join("secret")).expect("read"), "outside");
    }

    #[test]
    fn a_link_within_the_tree_is_followed_only_where_that_was_said_and_never_as_the_last_part() {
        let home = Home::new("within");
        let tree = home.tree();
        symlink("deep", home.0.join("in/device")).expect("link");
        symlink("value", home.0.join("in/deep/last")).expect("link");
        assert!(tree.read("device/value", Links::Refused, 100).is_err());
        assert_eq!(tree.read("device/value", Links::Within, 100).expect("read"), b"1\n");
        assert!(tree.read("deep/last", Links::Within, 100).is_err());
    }

    #[test]
    fn what_is_no_regular_file_is_refused_and_not_waited_for() {
        let home = Home::new("pipe");
        let made = Command::new("mkfifo").arg(home.0.join("in/pipe")).status().expect("mkfifo runs");
        assert!(made.success());
        assert!(home.tree().read("pipe", Links::Refused, 100).is_err());
        assert!(home.tree().write("pipe", Links::Refused, b"x").is_err());
        assert!(home.tree().read("deep", Links::Refused, 100).is_err());
    }

    #[test]
    fn a_private_directory_that_others_may_enter_is_refused() {
        let home = Home::new("private");
        let tree = home.tree();
        let private = tree.private("state", 0o700).expect("made");
        private.create("journal", 0o600).expect("created");
        let again = private.create("journal", 0o600).expect_err("it is there");
        assert_eq!(again.kind(), io::ErrorKind::AlreadyExists);
        private.rename("journal", "last").expect("renamed");
        assert_eq!(private.names().expect("listed"), ["last"]);
        private.sync().expect("a directory can be synced");
        private.remove("last").expect("removed");
        tree.private("state", 0o700).expect("it is still ours alone");
        fs::set_permissions(home.0.join("in/state"), fs::Permissions::from_mode(0o755)).expect("chmod");
        let error = tree.private("state", 0o700).expect_err("others may look into it");
        assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
    }
}

//! Where the settings of a host are: its `/`, or a tree of files that looks like one.
//!
//! Never follows a link out, and never writes anything that is no regular file. Below `sys` the links that stay in it are
//! followed, since that is how sysfs is built: `sys/class/net/eth0` is one, and so is `cpufreq` of a CPU. Only the kernel makes
//! links there. Everywhere else a path has none. A value is a page at most.

use std::io;
use std::path::Path;

use linux::tree::{Links, Tree};

/// The top of a tree of settings.
#[derive(Debug)]
pub struct Root {
    top: Tree,
    /// What stands in for `sys` below the top: that of a network namespace, which shows its own devices only.
    sys: Option<Tree>,
    is_host: bool,
}

impl Root {
    /// The host's own. Errors: as of open(2).
    pub fn host() -> io::Result<Root> {
        Ok(Root { top: Tree::open(Path::new("/"))?, sys: None, is_host: true })
    }

    /// The host's, but with the devices of the network namespace in which the calling thread is: its `sys` is mounted for this
    /// value alone, and nowhere else to be seen. Of `proc/sys/net` each thread sees that of its own namespace anyway.
    /// Errors: as of open(2) and fsmount(2).
    pub fn namespace() -> io::Result<Root> {
        Ok(Root { sys: Some(linux::namespace::sysfs()?), ..Root::host()? })
    }

    /// The tree of files below `path`. Errors: as of open(2).
    pub fn tree(path: &Path) -> io::Result<Root> {
        Ok(Root { top: Tree::open(path)?, sys: None, is_host: false })
    }

    /// Whether what is written here is felt.
    pub fn is_host(&self) -> bool {
        self.is_host
    }

    /// What stands in the file `path`, byte for byte. Errors: as of openat2(2) and read(2); `FileTooLarge`; `InvalidData` where it
    /// is no text.
    pub fn read(&self, path: &str) -> io::Result<String> {
        let bytes = self.at(path, |tree, rest, links| tree.read(rest, links, VALUE_BYTES_MAX))?;
        String::from_utf8(bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }

    /// The same of a file that a person wrote, which may be longer than a value.
    pub fn read_long(&self, path: &str) -> io::Result<String> {
        let bytes = self.at(path, |tree, rest, links| tree.read(rest, links, TEXT_BYTES_MAX))?;
        String::from_utf8(bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }

    /// Writes `text` into the file `path`, which exists, in one piece. Errors: as of openat2(2) and write(2).
    pub fn write(&self, path: &str, text: &str) -> io::Result<()> {
        self.at(path, |tree, rest, links| tree.write(rest, links, text.as_bytes()))
    }

    /// The names in the directory `path`, sorted. Errors: as of openat2(2) and getdents(2).
    pub fn names(&self, path: &str) -> io::Result<Vec<String>> {
        self.at(path, |tree, rest, links| tree.below(rest, links)?.names())
    }

    /// `run/ringmill-lab`, made if there is none, which no other user may look into. Errors: as of mkdirat(2) and openat2(2);
    /// `PermissionDenied` where others could.
    pub fn state_directory(&self) -> io::Result<Tree> {
        self.top.private("run", 0o755)?.private("ringmill-lab", 0o700)
    }

    /// The directory `path`, no part of which is a link. Errors: as of openat2(2).
    pub fn directory(&self, path: &str) -> io::Result<Tree> {
        self.top.below(path, Links::Refused)
    }

    /// Hands over where `path` begins, what is left of it there, and which links it may have.
    fn at<T>(&self, path: &str, act: impl FnOnce(&Tree, &str, Links) -> io::Result<T>) -> io::Result<T> {
        let Some(rest) = path.strip_prefix("sys/") else {
            return act(&self.top, path, Links::Refused);
        };
        match &self.sys {
            Some(sys) => act(sys, rest, Links::Within),
            None => act(&self.top.below("sys", Links::Refused)?, rest, Links::Within),
        }
    }
}

/// Most bytes of a value: sysfs gives a page, and no setting of the catalogue needs more.
pub const VALUE_BYTES_MAX: usize = 4096;

/// Most bytes of a configuration file.
const TEXT_BYTES_MAX: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::PathBuf;

    /// A tree that looks like a host, gone when it is dropped.
    struct Home(PathBuf);

    impl Drop for Home {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).ok();
        }
    }

    fn home(name: &str) -> Home {
        let path = std::env::temp_dir().join(format!("ringmill-root-{name}-{}", std::process::id()));
        for folder in ["proc/sys/net/core", "sys/class/net", "sys/devices/virtual/net/eth0", "etc"] {
            fs::create_dir_all(path.join(folder)).expect("a directory of our own");
        }
        fs::write(path.join("proc/sys/net/core/somaxconn"), "4096\n").expect("write");
        fs::write(path.join("sys/devices/virtual/net/eth0/gro_flush_timeout"), "0\n").expect("write");
        symlink("../../devices/virtual/net/eth0", path.join("sys/class/net/eth0")).expect("link");
        Home(path)
    }

    #[test]
    fn a_setting_is_read_and_written_below_the_root() {
        let home = home("value");
        let root = Root::tree(&home.0).expect("it was made");
        assert!(!root.is_host());
        root.write("proc/sys/net/core/somaxconn", "8").expect("write");
        assert_eq!(root.read("proc/sys/net/core/somaxconn").expect("read"), "8");
        assert_eq!(root.names("proc/sys/net").expect("list"), ["core"]);
        assert!(
            root.write("proc/sys/net/core/missing", "8").is_err(),
            "no file is made where a setting should be"
        );
    }

    #[test]
    fn a_device_is_reached_by_its_link_which_may_not_leave_sys() {
        let home = home("device");
        let root = Root::tree(&home.0).expect("it was made");
        root.write("sys/class/net/eth0/gro_flush_timeout", "20000").expect("write");
        assert_eq!(root.read("sys/devices/virtual/net/eth0/gro_flush_timeout").expect("read"), "20000");
        symlink("../../../etc", home.0.join("sys/class/net/eth1")).expect("link");
        fs::write(home.0.join("etc/shadow"), "x").expect("write");
        assert!(root.read("sys/class/net/eth1/shadow").is_err());
        symlink("net", home.0.join("proc/sys/link")).expect("link");
        assert!(root.read("proc/sys/link/core/somaxconn").is_err(), "no links outside of sys");
    }

    #[test]
    fn a_value_longer_than_a_page_is_refused() {
        let home = home("long");
        let root = Root::tree(&home.0).expect("it was made");
        let path = "proc/sys/net/core/somaxconn";
        root.write(path, &"1".repeat(VALUE_BYTES_MAX)).expect("write");
        root.read(path).expect("a page");
        root.write(path, &"1".repeat(VALUE_BYTES_MAX + 1)).expect("write");
        assert_eq!(root.read(path).expect_err("more").kind(), io::ErrorKind::FileTooLarge);
    }

    #[test]
    fn the_hosts_settings_can_be_read() {
        let root = Root::host().expect("there is a /");
        assert!(root.is_host());
        assert!(
            root.read("proc/sys/net/core/somaxconn")
                .expect("every kernel has it")
                .trim()
                .parse::<u32>()
                .is_ok()
        );
    }
}

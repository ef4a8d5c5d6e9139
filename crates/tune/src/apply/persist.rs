//! A profile's sysctls as a file of their own in `etc/sysctl.d`, so that the next boot has them.
//!
//! Writes that one file, whole or not at all, and changes no setting. Where several files set a key the last name in the order of
//! the alphabet wins, whatever directory it is in (sysctl.d(5)); sysctl(8) reads `etc/sysctl.conf` after all of them. What is no
//! sysctl (a device's file in sysfs) has no place there and is told.

use std::io::{self, Write};

use linux::tree::Tree;
use serde::Serialize;

use super::setting::Change;
use crate::root::Root;

/// What was written, and what may come of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Persisted {
    /// The file, relative to the root.
    pub path: String,
    /// The settings in it.
    pub kept: Vec<String>,
    /// The settings that are no sysctls.
    pub left_out: Vec<String>,
    /// The settings that were not asked to be kept: the host has more than the profile wants at least.
    pub exceeded: Vec<String>,
    /// Settings that another file sets to another value, and wins.
    pub overruled: Vec<Overruled>,
    /// Files that would be read at boot and were not looked into: links, and what is no text.
    pub unread: Vec<String>,
}

/// A setting that will not be as persisted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Overruled {
    /// Which.
    pub name: String,
    /// By which file, relative to the root.
    pub by: String,
    /// To what.
    pub value: String,
}

/// Writes the sysctls among `changes` into the file of the profile `profile`, whose name is made of letters, digits and `-`.
///
/// Errors: `InvalidInput` for another name; as of openat2(2), write(2) and renameat(2).
pub fn persist(root: &Root, profile: &str, changes: &[Change]) -> io::Result<Persisted> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    if profile.is_empty() || !profile.bytes().all(is_plain) {
        let why = format!("`{profile}` cannot be part of a file's name: letters, digits and `-` can");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
    }
    let name = format!("90-ringmill-{profile}.conf");
    let (kept, left_out): (Vec<_>, Vec<_>) = changes.iter().partition(|change| key(change).is_some());
    let directory = root.directory("etc")?.private("sysctl.d", 0o755)?;
    replace(&directory, &name, &text(profile, &kept))?;
    let mut persisted = Persisted {
        path: format!("etc/sysctl.d/{name}"),
        kept: kept.iter().map(|change| change.setting.name()).collect(),
        left_out: left_out.iter().map(|change| change.setting.name()).collect(),
        exceeded: Vec::new(),
        overruled: Vec::new(),
        unread: Vec::new(),
    };
    for path in read_after(root, &name) {
        let Ok(text) = root.read_long(&path) else {
            persisted.unread.push(path);
            continue;
        };
        for change in &kept {
            let value = set_by(&text, change);
            let other = value.filter(|value| !change.setting.is_same(value, &change.target.to_string()));
            persisted.overruled.extend(other.map(|value| {
                let (name, by) = (change.setting.name(), path.clone());
                Overruled { name, by, value: value.into() }
            }));
        }
    }
    Ok(persisted)
}

fn text(profile: &str, changes: &[&Change]) -> String {
    let mut text = format!("# Written by `ringmill-lab persist {profile}`, which replaces the whole file.\n");
    for change in changes {
        let key = key(change).expect("those without were left out");
        text.push_str(&format!("{key} = {}\n", change.target));
    }
    text
}

/// A crash leaves the file that was there, or the new one.
fn replace(directory: &Tree, name: &str, text: &str) -> io::Result<()> {
    let beside = format!("{name}.tmp");
    // One that was cut off left it; sysctl(8) reads names that end in `.conf` only.
    let _ = directory.remove(&beside);
    let mut file = directory.create(&beside, 0o644)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    directory.rename(&beside, name)?;
    directory.sync()
}

/// What sysctl.d(5) calls it: with dots, or with slashes where a part has a dot of its own (`eth0.5`). None for what is no sysctl.
fn key(change: &Change) -> Option<String> {
    let path = change.setting.path().strip_prefix("proc/sys/")?;
    Some(if path.contains('.') { path.into() } else { path.replace('/', ".") })
}

/// The files that a boot reads after the one of this name.
fn read_after(root: &Root, name: &str) -> Vec<String> {
    let mut later: Vec<(String, String)> = Vec::new();
    for directory in DIRECTORIES {
        let names = root.directory(directory).and_then(|tree| tree.names()).unwrap_or_default();
        for other in names.into_iter().filter(|other| other.ends_with(".conf") && other.as_str() > name) {
            // Of one name in two directories only the first is read.
            if !later.iter().any(|(known, _)| *known == other) {
                let path = format!("{directory}/{other}");
                later.push((other, path));
            }
        }
    }
    later.sort();
    let conf = Some("etc/sysctl.conf".to_owned()).filter(|path| root.read_long(path).is_ok());
    later.into_iter().map(|(_, path)| path).chain(conf).collect()
}

/// The value that a file sets the key of `change` to, by its last line that does.
fn set_by<'a>(text: &'a str, change: &Change) -> Option<&'a str> {
    let ours = change.setting.path().strip_prefix("proc/sys/")?;
    text.lines()
        .filter(|line| !line.trim_start().starts_with(['#', ';']))
        .filter_map(|line| line.split_once('='))
        .rfind(|(key, _)| is_meant(&slashed(key.trim().trim_start_matches('-')), ours))
        .map(|(_, value)| value.trim())
}

/// The first separator of a key says which of the two it uses; the other is then its opposite (sysctl.d(5)).
fn slashed(key: &str) -> String {
    match key.find(['.', '/']).map(|at| key.as_bytes()[at]) {
        Some(b'.') => key
            .chars()
            .map(|c| {
                if c == '.' {
                    '/'
                } else if c == '/' {
                    '.'
                } else {
                    c
                }
            })
            .collect(),
        _ => key.into(),
    }
}

/// Whether a pattern, part by part, is about `path`: a `*` stands for anything in a part.
fn is_meant(pattern: &str, path: &str) -> bool {
    let (patterns, parts): (Vec<_>, Vec<_>) = (pattern.split('/').collect(), path.split('/').collect());
    let part_is_meant = |(pattern, part): (&&str, &&str)| match pattern.split_once('*') {
        None => pattern == part,
        // With more stars than one it is taken to be meant: a warning too many does no harm.
        Some((start, end)) => part.starts_with(start) && (end.contains('*') || part.ends_with(end)),
    };
    patterns.len() == parts.len() && patterns.iter().zip(&parts).all(part_is_meant)
}

/// Where sysctl.d(5) files are, the first of one name counting.
const DIRECTORIES: &[&str] =
    &["etc/sysctl.d", "run/sysctl.d", "usr/local/lib/sysctl.d", "usr/lib/sysctl.d", "lib/sysctl.d"];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::apply::Setting;
    use crate::catalogue;
    use std::fs;
    use std::path::PathBuf;

    struct Home(PathBuf);

    impl Drop for Home {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).ok();
        }
    }

    impl Home {
        fn new(name: &str, files: &[(&str, &str)]) -> Home {
            let home =
                Home(std::env::temp_dir().join(format!("ringmill-persist-{name}-{}", std::process::id())));
            fs::create_dir_all(home.0.join("etc")).expect("a directory of our own");
            for (path, text) in files {
                let path = home.0.join(path);
                fs::create_dir_all(path.parent().expect("below the home")).expect("a directory of our own");
                fs::write(path, text).expect("a file of our own");
            }
            home
        }

        fn persist(&self, profile: &str, changes: &[(&str, &str)]) -> io::Result<Persisted> {
            let change = |(name, target): &(&str, &str)| {
                let setting = Setting::named(name, catalogue::named).expect("the tests name what there is");
                let target = setting.knob.parse(target).expect("a value of it");
                Change { setting, target }
            };
            let changes: Vec<Change> = changes.iter().map(change).collect();
            persist(&Root::tree(&self.0).expect("it was made"), profile, &changes)
        }
    }

    #[test]
    fn a_profile_is_written_whole_and_what_is_no_sysctl_is_told() {
        let home = Home::new("whole", &[("etc/sysctl.d/90-ringmill-edge.conf", "vm.swappiness = 1\n")]);
        let changes = [
            ("net.core.somaxconn", "65535"),
            ("net.ipv4.tcp_rmem", "4096 131072 16777216"),
            ("device.gro_flush_timeout@eth0", "1"),
        ];
        let persisted = home.persist("edge", &changes).expect("written");
        let text = fs::read_to_string(home.0.join(&persisted.path)).expect("written");
        let lines: Vec<&str> = text.lines().skip(1).collect();
        assert_eq!(lines, ["net.core.somaxconn = 65535", "net.ipv4.tcp_rmem = 4096 131072 16777216"]);
        assert_eq!(persisted.left_out, ["device.gro_flush_timeout@eth0"]);
        assert_eq!(fs::read_dir(home.0.join("etc/sysctl.d")).expect("list").count(), 1);
        assert!(home.persist("../edge", &changes).is_err());
        assert!(home.persist("", &changes).is_err());
    }

    #[test]
    fn a_file_that_is_read_later_and_says_otherwise_is_told_of() {
        let home = Home::new(
            "later",
            &[
                ("etc/sysctl.d/10-early.conf", "net.core.somaxconn=1\n"),
                ("etc/sysctl.d/99-late.conf", "# net.core.somaxconn=2\n-net/core/somaxconn = 3\n"),
                ("usr/lib/sysctl.d/99-late.conf", "net.core.somaxconn=4\n"),
                (
                    "usr/lib/sysctl.d/95-same.conf",
                    "net.core.somaxconn = 65535\nnet.ipv4.tcp_rmem = 1\t2\t3\n",
                ),
                ("usr/lib/sysctl.d/96-pattern.conf", "net.ipv4.tcp_r* = 1 2 3\n"),
                ("etc/sysctl.conf", "net.core.somaxconn=5\n"),
            ],
        );
        std::os::unix::fs::symlink("../sysctl.conf", home.0.join("etc/sysctl.d/99-sysctl.conf"))
            .expect("link");
        let persisted = home
            .persist("edge", &[("net.core.somaxconn", "65535"), ("net.ipv4.tcp_rmem", "1 2 4")])
            .expect("written");
        let told: Vec<(&str, &str, &str)> =
            persisted.overruled.iter().map(|o| (o.name.as_str(), o.by.as_str(), o.value.as_str())).collect();
        let expected = [
            ("net.ipv4.tcp_rmem", "usr/lib/sysctl.d/95-same.conf", "1\t2\t3"),
            ("net.ipv4.tcp_rmem", "usr/lib/sysctl.d/96-pattern.conf", "1 2 3"),
            ("net.core.somaxconn", "etc/sysctl.d/99-late.conf", "3"),
            ("net.core.somaxconn", "etc/sysctl.conf", "5"),
        ];
        assert_eq!(told, expected);
        assert_eq!(persisted.unread, ["etc/sysctl.d/99-sysctl.conf"]);
    }

    #[test]
    fn a_keys_first_separator_says_what_the_other_means() {
        assert_eq!(slashed("net.ipv4.conf.eth0/5.rp_filter"), "net/ipv4/conf/eth0.5/rp_filter");
        assert_eq!(slashed("net/ipv4/conf/eth0.5/rp_filter"), "net/ipv4/conf/eth0.5/rp_filter");
        assert!(is_meant("net/ipv4/conf/*/rp_filter", "net/ipv4/conf/eth0.5/rp_filter"));
        assert!(!is_meant("net/ipv4/conf/*", "net/ipv4/conf/eth0.5/rp_filter"));
    }
}

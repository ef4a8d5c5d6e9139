//! A look at a host, or at a tree of files that stands for one: what is read, and nothing else.
//!
//! Never writes, and has no call that could. Links are followed (`/proc/net` is one), so it is not for a tree that others may
//! change while root looks: what a program acts on is read again by whoever writes it.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Where to look.
#[derive(Clone, Debug)]
pub struct Look {
    root: PathBuf,
}

impl Look {
    /// Below `root`; `/` is the host.
    pub fn at(root: impl Into<PathBuf>) -> Look {
        Look { root: root.into() }
    }

    /// Whether this is the host itself.
    pub fn is_host(&self) -> bool {
        self.root == Path::new("/")
    }

    /// What is in the file `path`, at most 4 MiB of it. Errors: as of open(2) and read(2).
    pub fn read(&self, path: &str) -> io::Result<String> {
        let mut bytes = Vec::new();
        File::open(self.root.join(path))?.take(BYTES_MAX).read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// The same without the line end; none where it cannot be read or is empty.
    pub fn line(&self, path: &str) -> Option<String> {
        Some(self.read(path).ok()?.trim().to_owned()).filter(|line| !line.is_empty())
    }

    /// The number that a file holds.
    pub fn number(&self, path: &str) -> Option<i64> {
        self.line(path)?.parse().ok()
    }

    /// The names in a directory, sorted as people count (`cpu2` before `cpu10`); none where there is no such.
    pub fn names(&self, path: &str) -> Vec<String> {
        let entries = fs::read_dir(self.root.join(path)).into_iter().flatten().flatten();
        let mut names: Vec<String> =
            entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.sort_by_key(|name| {
            let digits = name.len() - name.trim_end_matches(|c: char| c.is_ascii_digit()).len();
            let (word, number) = name.split_at(name.len() - digits);
            (word.to_owned(), number.parse::<u64>().unwrap_or(0))
        });
        names
    }

    /// Whether there is such a file or directory.
    pub fn has(&self, path: &str) -> bool {
        self.root.join(path).exists()
    }
}

/// More than any file of proc(5) that is looked at has on a host of a thousand CPUs.
const BYTES_MAX: u64 = 4 << 20;

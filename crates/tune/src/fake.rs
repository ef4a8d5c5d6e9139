//! For tests: a tree of files that stands for a host, gone when it is dropped.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::look::Look;
use crate::root::Root;

/// The tree.
pub(crate) struct Fake(PathBuf);

impl Fake {
    /// With these files, each with the directories that it is in.
    pub(crate) fn of(files: &[(&str, &str)]) -> Fake {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let home = std::env::temp_dir().join(format!("ringmill-tune-{}-{number}", std::process::id()));
        fs::create_dir_all(home.join("proc")).expect("a directory of our own");
        fs::create_dir_all(home.join("sys")).expect("a directory of our own");
        let fake = Fake(home);
        files.iter().for_each(|(path, text)| fake.put(path, text));
        fake
    }

    /// Writes one more, or another text.
    pub(crate) fn put(&self, path: &str, text: &str) {
        let path = self.0.join(path);
        fs::create_dir_all(path.parent().expect("it is below the top")).expect("a directory of our own");
        fs::write(path, text).expect("a file of our own");
    }

    pub(crate) fn root(&self) -> Root {
        Root::tree(&self.0).expect("it was made")
    }

    pub(crate) fn look(&self) -> Look {
        Look::at(&self.0)
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}

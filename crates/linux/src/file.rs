//! Files that programs leave behind: replaced whole, and known to be writable before there is something to write.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Replaces the file at `path` in one step, so that a reader never sees half of it. What is no regular file (a pipe, a
/// terminal) is written to instead. Errors: as of write(2) and rename(2); nothing is left beside it then.
pub fn replace(path: &Path, content: impl AsRef<[u8]>) -> io::Result<()> {
    if fs::metadata(path).is_ok_and(|found| !found.is_file()) {
        return fs::write(path, content);
    }
    let beside = beside(path);
    fs::write(&beside, content).and_then(|()| fs::rename(&beside, path)).inspect_err(|_| {
        fs::remove_file(&beside).ok();
    })
}

/// Whether `path` could be the name of a file: it is no directory, and lies in one that exists. Rights are not asked for.
pub fn has_place(path: &Path) -> bool {
    let home = path.parent().filter(|home| !home.as_os_str().is_empty()).unwrap_or(Path::new("."));
    !path.is_dir() && home.is_dir()
}

/// A name in the same directory, since rename(2) does not cross file systems.
fn beside(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(format!(".{}.tmp", std::process::id()));
    path.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_nothing_is_left_beside_it() {
        let home = std::env::temp_dir().join(format!("ringmill-file-{}", std::process::id()));
        fs::create_dir_all(&home).expect("a directory of our own");
        let path = home.join("report.json");
        for text in ["a long text", "short"] {
            assert!(has_place(&path));
            replace(&path, text).expect("write");
            assert_eq!(fs::read_to_string(&path).expect("read"), text);
        }
        assert_eq!(fs::read_dir(&home).expect("list").count(), 1);
        let nowhere = home.join("missing/report.json");
        assert!(!has_place(&nowhere) && !has_place(&home));
        assert!(replace(&nowhere, "x").is_err());
        fs::remove_dir_all(home).expect("our own directory");
    }

    #[test]
    fn what_is_no_regular_file_is_written_to() {
        replace(Path::new("/dev/null"), "x").expect("it takes everything");
        assert!(!fs::metadata("/dev/null").expect("it is always there").is_file());
    }
}

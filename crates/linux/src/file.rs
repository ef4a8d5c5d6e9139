//! Files that programs leave behind: replaced whole, known to be writable before there is something to write, and locked.
//!
//! Never writes through a link that somebody put beside a file, and never into a device of blocks.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

/// A file that is written little by little, and takes the place of the one at its path when it is complete. Dropped before, it is
/// removed, and what was there stays.
#[derive(Debug)]
pub struct Draft {
    file: File,
    path: PathBuf,
    /// Where it is meanwhile; `None` for a pipe or a terminal, which is written to at once.
    beside: Option<PathBuf>,
}

impl Draft {
    /// Of the file at `path`. Errors: as of open(2); `InvalidInput` where it is neither a regular file nor one to write to at once.
    pub fn of(path: &Path) -> io::Result<Draft> {
        let is_regular = fs::metadata(path).map_or(true, |found| found.is_file());
        let beside = is_regular.then(|| beside(path));
        let file = match &beside {
            Some(beside) => new(beside)?,
            None => stream(File::options().write(true).open(path)?)?,
        };
        Ok(Draft { file, path: path.into(), beside })
    }

    /// It is complete. Errors: as of rename(2).
    pub fn keep(mut self) -> io::Result<()> {
        match &self.beside {
            Some(beside) => fs::rename(beside, &self.path)?,
            None => return Ok(()),
        }
        self.beside = None;
        Ok(())
    }
}

impl Write for Draft {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if let Some(beside) = &self.beside {
            fs::remove_file(beside).ok();
        }
    }
}

/// Replaces the file at `path` in one step, so that a reader never sees half of it. Errors: as of open(2), write(2) and rename(2);
/// nothing is left beside it then.
pub fn replace(path: &Path, content: impl AsRef<[u8]>) -> io::Result<()> {
    let mut draft = Draft::of(path)?;
    draft.write_all(content.as_ref())?;
    draft.keep()
}

/// Whether `path` could be the name of a file: it is no directory, and lies in one that exists. Rights are not asked for.
pub fn has_place(path: &Path) -> bool {
    let home = path.parent().filter(|home| !home.as_os_str().is_empty()).unwrap_or(Path::new("."));
    !path.is_dir() && home.is_dir()
}

/// Takes the lock of an open file, unless another has it: then `false`. It is held until the last copy of the descriptor is closed, in
/// whatever process. Errors: as of flock(2).
pub fn try_lock(file: &File) -> io::Result<bool> {
    match flock(file, libc::LOCK_EX | libc::LOCK_NB) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
        other => other.map(|()| true),
    }
}

/// The same, but waits for it.
pub fn lock(file: &File) -> io::Result<()> {
    loop {
        match flock(file, libc::LOCK_EX) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

/// Gives it back, whoever has a copy of the descriptor: a program that another thread is starting has one until it begins.
/// Errors: as of flock(2).
pub fn unlock(file: &File) -> io::Result<()> {
    flock(file, libc::LOCK_UN)
}

fn flock(file: &File, operation: libc::c_int) -> io::Result<()> {
    // SAFETY: flock(2) takes no pointer, and the descriptor is open.
    match unsafe { libc::flock(file.as_raw_fd(), operation) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// A file that was not there: in a directory where others may write, theirs could lead anywhere.
fn new(path: &Path) -> io::Result<File> {
    // One that was cut off may have left it, when it had our number.
    let _ = fs::remove_file(path);
    File::options().write(true).create_new(true).open(path)
}

/// The same file, if it takes what is written as it comes. What it is is asked of the open file: its name may be another's by now.
fn stream(file: File) -> io::Result<File> {
    let kind = file.metadata()?.file_type();
    if kind.is_fifo() || kind.is_char_device() {
        return Ok(file);
    }
    Err(io::Error::new(io::ErrorKind::InvalidInput, "this is no file, pipe or terminal"))
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
        let mut half = Draft::of(&path).expect("open");
        half.write_all(b"ha").expect("write");
        drop(half);
        assert_eq!(fs::read_to_string(&path).expect("read"), "short");
        assert_eq!(fs::read_dir(&home).expect("list").count(), 1);
        let nowhere = home.join("missing/report.json");
        assert!(!has_place(&nowhere) && !has_place(&home));
        assert!(replace(&nowhere, "x").is_err());
        fs::remove_dir_all(home).expect("our own directory");
    }

    #[test]
    fn a_lock_is_held_until_it_is_given_back_or_its_last_copy_is_closed() {
        let path = std::env::temp_dir().join(format!("ringmill-lock-{}", std::process::id()));
        let (first, second) = (File::create(&path).expect("open"), File::create(&path).expect("open"));
        let copy = first.try_clone().expect("another descriptor of it");
        assert!(try_lock(&first).expect("a file can be locked"));
        drop(first);
        assert!(!try_lock(&second).expect("a file can be locked"));
        drop(copy);
        lock(&second).expect("nobody has it");
        let third = File::create(&path).expect("open");
        let copy = second.try_clone().expect("another descriptor of it");
        unlock(&second).expect("it is ours");
        assert!(try_lock(&third).expect("a file can be locked"));
        drop(copy);
        fs::remove_file(path).expect("our own file");
    }

    #[test]
    fn a_link_beside_a_file_is_not_written_through() {
        let home = std::env::temp_dir().join(format!("ringmill-link-{}", std::process::id()));
        fs::create_dir_all(&home).expect("a directory of our own");
        let (path, other) = (home.join("report.json"), home.join("other"));
        fs::write(&other, "somebody's").expect("write");
        std::os::unix::fs::symlink(&other, beside(&path)).expect("link");
        replace(&path, "ours").expect("write");
        assert_eq!(fs::read_to_string(&other).expect("read"), "somebody's");
        assert_eq!(fs::read_to_string(&path).expect("read"), "ours");
        assert!(fs::symlink_metadata(&path).expect("it is there").is_file());
        fs::remove_dir_all(home).expect("our own directory");
    }

    #[test]
    fn what_is_no_regular_file_is_written_to_if_it_is_a_pipe_or_a_terminal() {
        replace(Path::new("/dev/null"), "x").expect("it takes everything");
        assert!(!fs::metadata("/dev/null").expect("it is always there").is_file());
        // Whatever else there is, and a regular file that has come to the name meanwhile.
        for other in [std::env::temp_dir(), std::env::current_exe().expect("a test knows its file")] {
            let error = stream(File::open(other).expect("it can be read")).expect_err("neither");
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        }
    }
}

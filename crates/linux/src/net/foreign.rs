//! Sockets of other crates that know descriptors only as numbers: handing them one of ours, and borrowing one of theirs.
//!
//! Never duplicates or closes a descriptor. The number traits of the standard library are either unsafe (`FromRawFd`) or say
//! nothing of who closes it (`AsRawFd`); here only types that close what they have are let through.

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd};

/// Gives a descriptor to a type that owns and closes it from now on.
pub fn adopt<T: FromRawFd>(fd: OwnedFd) -> T {
    const { assert!(std::mem::needs_drop::<T>(), "a type that closes nothing would leak the descriptor") };
    // SAFETY: the descriptor is open and was owned, and its owner has just given it up (`FromRawFd` asks for no more). What
    // kind of descriptor it is decides only which calls on it fail.
    unsafe { T::from_raw_fd(fd.into_raw_fd()) }
}

/// The descriptor of a type that owns it.
pub fn borrow<T: AsRawFd + FromRawFd>(owner: &T) -> BorrowedFd<'_> {
    const { assert!(std::mem::needs_drop::<T>(), "a number owns no descriptor") };
    let fd = owner.as_raw_fd();
    assert!(fd >= 0, "an owner has a descriptor");
    // SAFETY: a type that is made by taking a descriptor over and has something to drop keeps it open until then, and it is
    // borrowed for as long as what is returned.
    unsafe { BorrowedFd::borrow_raw(fd) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::io::{Read, Write, pipe};

    #[test]
    fn a_descriptor_that_is_given_away_is_closed_by_its_new_owner() {
        let (mut reader, writer) = pipe().unwrap();
        let mut adopted: File = adopt(OwnedFd::from(writer));
        adopted.write_all(b"still open").unwrap();
        let number = adopted.as_raw_fd();
        assert_eq!(borrow(&adopted).as_raw_fd(), number);
        drop(adopted);
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text, "still open", "and then the end, which comes when the last descriptor is closed");
    }
}

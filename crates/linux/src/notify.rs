//! Tells the service manager how far the program is: `READY=1`, `STOPPING=1`.
//!
//! One datagram to the socket that the environment names, as sd_notify(3) describes it; without that variable nobody
//! asked, and nothing is sent.

use std::env;
use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use crate::error::Error;

/// What the service manager may be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Every listener accepts.
    Ready,
    /// A drain has begun.
    Stopping,
}

impl Stage {
    fn message(self) -> &'static [u8] {
        match self {
            Stage::Ready => b"READY=1",
            Stage::Stopping => b"STOPPING=1",
        }
    }
}

/// Tells the manager named by `NOTIFY_SOCKET`. `Ok(false)` means that nobody asked.
///
/// Errors: `Error::Strange` for a name that is neither a path nor abstract, else what the send met.
pub fn notify(stage: Stage) -> Result<bool, Error> {
    match env::var_os("NOTIFY_SOCKET") {
        Some(name) => notify_at(&name, stage).map(|()| true),
        None => Ok(false),
    }
}

/// Tells the manager at `name`: an absolute path, or `@` and an abstract name (unix(7)).
pub fn notify_at(name: &OsStr, stage: Stage) -> Result<(), Error> {
    let failed = |errno: io::Error| Error::os("tell the service manager", errno);
    let address = match name.as_bytes() {
        [b'/', ..] => SocketAddr::from_pathname(name),
        [b'@', rest @ ..] => SocketAddr::from_abstract_name(rest),
        _ => {
            let text = name.to_string_lossy().into_owned();
            return Err(Error::Strange { what: "NOTIFY_SOCKET", text });
        }
    };
    let socket = UnixDatagram::unbound().map_err(failed)?;
    // A manager that does not read must not hold up the server.
    socket.set_nonblocking(true).map_err(failed)?;
    socket.send_to_addr(stage.message(), &address.map_err(failed)?).map_err(failed)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a manager at `address`, known to the program as `name`, is told.
    fn check(address: &SocketAddr, name: &OsStr) {
        let manager = UnixDatagram::bind_addr(address).expect("bind");
        let mut message = [0; 64];
        for (stage, expected) in [(Stage::Ready, "READY=1"), (Stage::Stopping, "STOPPING=1")] {
            notify_at(name, stage).expect("the manager listens");
            let bytes = manager.recv(&mut message).expect("it was sent");
            assert_eq!(&message[..bytes], expected.as_bytes());
        }
    }

    #[test]
    fn a_manager_at_a_path_is_told_both_stages() {
        let path = env::temp_dir().join(format!("ringmill-notify-{}", std::process::id()));
        check(&SocketAddr::from_pathname(&path).expect("a short path"), path.as_os_str());
        std::fs::remove_file(path).expect("the socket's file is there");
    }

    #[test]
    fn a_manager_with_an_abstract_name_is_told_both_stages() {
        let name = format!("ringmill-notify-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).expect("a short name");
        check(&address, OsStr::new(&format!("@{name}")));
    }

    #[test]
    fn a_name_that_is_neither_is_refused_and_a_missing_manager_is_an_error() {
        match notify_at(OsStr::new("vsock:2:1234"), Stage::Ready) {
            Err(Error::Strange { what: "NOTIFY_SOCKET", text }) => assert_eq!(text, "vsock:2:1234"),
            other => panic!("{other:?}"),
        }
        match notify_at(OsStr::new("/nonexistent/notify"), Stage::Ready) {
            Err(Error::Os { errno, .. }) => assert_eq!(errno.kind(), io::ErrorKind::NotFound),
            other => panic!("{other:?}"),
        }
    }
}

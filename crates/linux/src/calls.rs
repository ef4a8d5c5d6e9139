//! How many system calls another process makes, by the tracepoint that the kernel passes at each: `raw_syscalls:sys_enter`.
//!
//! Never changes what the process does, but makes each of its calls dearer by some 100 ns: not for a run whose time is measured. Takes
//! CAP_PERFMON or a `kernel.perf_event_paranoid` of at most 1, and a tracefs that can be read, or root (perf_event_open(2)). Never mounts
//! one where others would see it.

use std::ffi::CString;
use std::fs;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsRawFd, FromRawFd};
use std::path::Path;

use crate::error::Error;

/// A count that goes on.
#[derive(Debug)]
pub struct Calls(Vec<File>);

impl Calls {
    /// Begins to count the calls of all threads of process `pid`, and of those that they will start.
    ///
    /// Errors: what the kernel does not allow; ENOENT where there is no such process.
    pub fn of(pid: u32) -> Result<Calls, Error> {
        let event = event()?;
        let threads =
            fs::read_dir(format!("/proc/{pid}/task")).map_err(|why| Error::os("list threads", why))?;
        let ids = threads.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        // One that has ended since it was listed will make no more calls.
        let counters =
            ids.map(|id| open(event, id)).filter(|opened| !matches!(opened, Err(why) if is_gone(why)));
        Ok(Calls(counters.collect::<Result<_, _>>()?))
    }

    /// The calls so far. Errors: as of read(2).
    pub fn count(&mut self) -> Result<u64, Error> {
        let mut sum = 0;
        for counter in &mut self.0 {
            let mut count = [0; 8];
            counter.read_exact(&mut count).map_err(|why| Error::os("read a counter", why))?;
            sum += u64::from_ne_bytes(count);
        }
        Ok(sum)
    }
}

/// The first version of `struct perf_event_attr` (linux/perf_event.h, `PERF_ATTR_SIZE_VER0`), which is all that is needed.
#[repr(C)]
struct Attr {
    kind: u32,
    size: u32,
    config: u64,
    sample_period: u64,
    sample_type: u64,
    read_format: u64,
    flags: u64,
    wakeup_events: u32,
    bp_type: u32,
    config1: u64,
}

const _: () = assert!(size_of::<Attr>() == 64, "PERF_ATTR_SIZE_VER0");
const PERF_TYPE_TRACEPOINT: u32 = 2;
/// The second bit of the flags: threads that a thread will start are counted with it.
const INHERIT: u64 = 1 << 1;
const PERF_FLAG_FD_CLOEXEC: libc::c_ulong = 1 << 3;

fn is_gone(why: &Error) -> bool {
    matches!(why, Error::Os { errno, .. } if errno.raw_os_error() == Some(libc::ESRCH))
}

fn open(event: u64, thread: libc::pid_t) -> Result<File, Error> {
    let attr = Attr {
        kind: PERF_TYPE_TRACEPOINT,
        size: size_of::<Attr>() as u32,
        config: event,
        sample_period: 0,
        sample_type: 0,
        read_format: 0,
        flags: INHERIT,
        wakeup_events: 0,
        bp_type: 0,
        config1: 0,
    };
    // SAFETY: `attr` is as long as it says and lives through the call, which only reads it (perf_event_open(2)). On any core (-1), in
    // no group (-1).
    let result = unsafe {
        libc::syscall(libc::SYS_perf_event_open, &raw const attr, thread, -1, -1, PERF_FLAG_FD_CLOEXEC)
    };
    descriptor(result).map_err(|why| Error::os("count system calls", why))
}

/// The number of the tracepoint, which is another on every kernel.
fn event() -> Result<u64, Error> {
    let at = |root: &str| fs::read_to_string(Path::new(root).join(ID));
    let text = at("/sys/kernel/tracing").or_else(|_| at("/sys/kernel/debug/tracing"));
    let text =
        text.or_else(|why| unmounted().map_err(|_| Error::os("read tracefs at /sys/kernel/tracing", why)))?;
    text.trim().parse().map_err(|_| Error::Strange { what: "the number of a tracepoint", text })
}

/// Where tracefs keeps that number.
const ID: &str = "events/raw_syscalls/sys_enter/id";

/// The same where tracefs is mounted nowhere: by a mount that has no place (fsopen(2), fsmount(2)), which nobody else sees and which
/// ends with its descriptor. Takes CAP_SYS_ADMIN and Linux 5.2.
fn unmounted() -> io::Result<String> {
    const FSOPEN_CLOEXEC: libc::c_uint = 1;
    const FSCONFIG_CMD_CREATE: libc::c_uint = 6;
    const FSMOUNT_CLOEXEC: libc::c_uint = 1;
    // SAFETY: the name is a string of C that outlives the call.
    let context =
        descriptor(unsafe { libc::syscall(libc::SYS_fsopen, c"tracefs".as_ptr(), FSOPEN_CLOEXEC) })?;
    let none = std::ptr::null::<libc::c_char>();
    let context_fd = context.as_raw_fd();
    // SAFETY: this command takes neither key nor value (fsconfig(2)).
    if unsafe { libc::syscall(libc::SYS_fsconfig, context_fd, FSCONFIG_CMD_CREATE, none, none, 0) } < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: numbers only.
    let mount = descriptor(unsafe { libc::syscall(libc::SYS_fsmount, context_fd, FSMOUNT_CLOEXEC, 0) })?;
    let id = CString::new(ID).expect("no zero byte");
    // SAFETY: the path is a string of C that outlives the call; flags say that nothing is made.
    let file = unsafe { libc::openat(mount.as_raw_fd(), id.as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC) };
    io::read_to_string(descriptor(file.into())?)
}

/// What a call that opens something gave.
fn descriptor(result: libc::c_long) -> io::Result<File> {
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor is new, and nobody else has it.
    Ok(unsafe { File::from_raw_fd(result as libc::c_int) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;
    use std::thread;

    #[test]
    #[allow(clippy::print_stderr, reason = "a test that is not made says so")]
    fn each_call_of_a_thread_that_was_there_and_of_one_that_came_later_is_counted() {
        // SAFETY: getppid(2) takes nothing and cannot fail; unlike getpid(2) no library keeps its answer.
        let call = || (0..1_000).for_each(|_| assert!(unsafe { libc::getppid() } >= 0));
        let (counting, its_begin) = mpsc::channel::<()>();
        let other = thread::spawn(move || {
            let _ = its_begin.recv();
            call();
        });
        let mut calls = match Calls::of(std::process::id()) {
            Ok(calls) => calls,
            Err(why) => return eprintln!("skipped: this machine does not allow it: {why}"),
        };
        drop(counting);
        other.join().expect("it only calls");
        thread::spawn(call).join().expect("it only calls");
        assert!(calls.count().expect("it counts") >= 2_000);
    }

    #[test]
    fn a_process_that_is_not_there_has_no_calls() {
        assert!(Calls::of(u32::MAX).is_err());
    }
}

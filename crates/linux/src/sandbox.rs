//! Worlds with less in them, for tests: io_uring refused, few descriptors, little locked memory, a plain user, a narrow
//! connection, an empty directory.
//!
//! A limit that is set here can never be lifted again by the thread or child that has it. Programs never use it.

use std::ffi::CStr;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::process::CommandExt;
use std::process::Command;

use crate::error::Error;
use crate::net;

/// What a refused io_uring_setup(2) says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// EPERM: as containers do, and as `kernel.io_uring_disabled` does.
    NotPermitted,
    /// ENOSYS: as a kernel without io_uring does.
    NoSuchCall,
}

impl Refusal {
    fn errno(self) -> libc::c_int {
        match self {
            Refusal::NotPermitted => libc::EPERM,
            Refusal::NoSuchCall => libc::ENOSYS,
        }
    }
}

/// Makes io_uring_setup(2) fail in the calling thread, and in every thread and process that it starts from now on.
///
/// Errors: what prctl(2) met; EINVAL is a kernel without seccomp filters.
pub fn refuse_io_uring_in_this_thread(refusal: Refusal) -> Result<(), Error> {
    refuse_call_in_this_thread(libc::SYS_io_uring_setup, refusal.errno())
}

/// Makes the system call `number` fail with `errno`, in the same way.
pub(crate) fn refuse_call_in_this_thread(number: libc::c_long, errno: libc::c_int) -> Result<(), Error> {
    install(number, errno).map_err(|errno| Error::os("install a seccomp filter", errno))
}

/// Makes io_uring_setup(2) fail in the child.
pub fn refuse_io_uring(child: &mut Command, refusal: Refusal) -> &mut Command {
    // SAFETY: the hook makes two system calls by prctl(2) and builds its filter on the stack: it takes no lock and
    // allocates nothing, which is what the time between fork and exec demands (signal-safety(7)).
    unsafe { child.pre_exec(move || install(libc::SYS_io_uring_setup, refusal.errno())) }
}

/// Lets the child have at most `descriptors` open files, by soft and hard limit. May only lower what the child has.
pub fn limit_nofile(child: &mut Command, descriptors: u64) -> &mut Command {
    limit(child, libc::RLIMIT_NOFILE, descriptors)
}

/// Lets the child lock at most `bytes` of memory, by soft and hard limit. May only lower what the child has.
///
/// With CAP_IPC_LOCK the kernel does not count: see [`as_user`].
pub fn limit_memlock(child: &mut Command, bytes: u64) -> &mut Command {
    limit(child, libc::RLIMIT_MEMLOCK, bytes)
}

/// Runs the child as user and group `id`, without other groups and so without capabilities; takes root to start.
pub fn as_user(child: &mut Command, id: u32) -> &mut Command {
    // The standard library also empties the list of other groups when it changes the user as root.
    child.gid(id).uid(id)
}

/// Puts an empty directory over `path`, for the calling thread and what it starts from now on: nobody else sees it, or what is
/// written there. Errors: as of unshare(2) and mount(2); takes CAP_SYS_ADMIN.
pub fn empty_over(path: &CStr) -> Result<(), Error> {
    // SAFETY: unshare(2) takes no pointer.
    if unsafe { libc::unshare(libc::CLONE_NEWNS) } != 0 {
        return Err(Error::last("unshare"));
    }
    let (root, kind, none) = (c"/".as_ptr(), c"tmpfs".as_ptr(), std::ptr::null());
    let private = libc::MS_REC | libc::MS_PRIVATE;
    // Private first, or the mount would be seen by those who share ours.
    let options = c"mode=755".as_ptr();
    // SAFETY: the names and options end with a zero and live through the calls (mount(2)).
    let results = unsafe {
        [
            libc::mount(kind, root, none, private, std::ptr::null()),
            libc::mount(kind, path.as_ptr(), kind, libc::MS_NOSUID | libc::MS_NODEV, options.cast()),
        ]
    };
    if results == [0, 0] { Ok(()) } else { Err(Error::last("mount")) }
}

/// A connection to `to` that holds some 100 KiB where one over loopback holds megabytes: segments of 1 KiB, from which the
/// peer's kernel derives its send buffer, and the smallest buffers of its own that there are (tcp(7), socket(7)).
///
/// For peers by the thousand that never read. Errors: as [`net::connect_socket`], and what
/// connect(2) met.
pub fn connect_narrow(to: SocketAddr) -> Result<TcpStream, Error> {
    const SEGMENT_BYTES: libc::c_int = 1024;
    let socket = net::connect_socket(to, None)?;
    net::set(&socket, libc::IPPROTO_TCP, libc::TCP_MAXSEG, SEGMENT_BYTES)?;
    net::set(&socket, libc::SOL_SOCKET, libc::SO_RCVBUF, 1)?;
    net::set(&socket, libc::SOL_SOCKET, libc::SO_SNDBUF, 1)?;
    net::connect(&socket, to)?;
    Ok(socket.into())
}

fn limit(child: &mut Command, resource: libc::__rlimit_resource_t, most: u64) -> &mut Command {
    let limit = libc::rlimit { rlim_cur: most, rlim_max: most };
    let hook = move || {
        // SAFETY: `limit` belongs to the hook and setrlimit(2) only reads it.
        match unsafe { libc::setrlimit(resource, &raw const limit) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    };
    // SAFETY: the hook makes one system call, takes no lock and allocates nothing (signal-safety(7)).
    unsafe { child.pre_exec(hook) }
}

/// The filter: the system call of this architecture with that number fails, all else passes.
fn install(number: libc::c_long, errno: libc::c_int) -> Result<(), io::Error> {
    let errno = errno as u32 & libc::SECCOMP_RET_DATA;
    let mut filter = [
        load(ARCH_OFFSET),
        skip_unless(AUDIT_ARCH, 3),
        load(NUMBER_OFFSET),
        skip_unless(number as u32, 1),
        answer(libc::SECCOMP_RET_ERRNO | errno),
        answer(libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
    // SAFETY: prctl(2) with PR_SET_NO_NEW_PRIVS takes no pointer; without it a plain user may not install a filter.
    if unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1u64, 0u64, 0u64, 0u64) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let mode = libc::SECCOMP_MODE_FILTER as libc::c_ulong;
    // SAFETY: `program` and the `filter` it points to live through the call, which copies them (seccomp(2)).
    if unsafe { libc::prctl(libc::PR_SET_SECCOMP, mode, &raw const program, 0u64, 0u64) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Loads the word at `offset` of `struct seccomp_data`.
fn load(offset: u32) -> libc::sock_filter {
    instruction(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, offset)
}

/// Goes on if the loaded word is `value`, else skips `instructions`.
fn skip_unless(value: u32, instructions: u8) -> libc::sock_filter {
    instruction(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, instructions, value)
}

/// Ends the filter with a verdict.
fn answer(verdict: u32) -> libc::sock_filter {
    instruction(libc::BPF_RET | libc::BPF_K, 0, verdict)
}

fn instruction(code: u32, jf: u8, k: u32) -> libc::sock_filter {
    libc::sock_filter { code: code as u16, jt: 0, jf, k }
}

const NUMBER_OFFSET: u32 = std::mem::offset_of!(libc::seccomp_data, nr) as u32;
const ARCH_OFFSET: u32 = std::mem::offset_of!(libc::seccomp_data, arch) as u32;

/// `AUDIT_ARCH_X86_64` and `AUDIT_ARCH_AARCH64` (linux/audit.h): the ELF machine, 64 bits, little endian.
const AUDIT_ARCH: u32 = 0xC000_0000 | if cfg!(target_arch = "aarch64") { 183 } else { 62 };

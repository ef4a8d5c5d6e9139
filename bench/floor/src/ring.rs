//! One io_uring, its entries written field by field, one `io_uring_enter` a turn.
//!
//! The crate maps the queues. Entries are our own struct because the crate's builders have no field for
//! `IORING_RECVSEND_POLL_FIRST` or `IORING_SEND_VECTORIZED`; the enter is our own so that it always carries GETEVENTS (under
//! DEFER_TASKRUN nothing completes without it) and the registered ring descriptor. Needs Linux 6.17.

use std::io;
use std::mem;
use std::os::fd::{AsRawFd, RawFd};

use io_uring::{IoUring, squeue};

use crate::sock::check;

/// A submission entry; names follow io_uring_enter(2).
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct Sqe {
    pub opcode: u8,
    pub flags: u8,
    pub ioprio: u16,
    pub fd: i32,
    pub off: u64,
    pub addr: u64,
    pub len: u32,
    pub op_flags: u32,
    pub user_data: u64,
    pub buf_group: u16,
    pub personality: u16,
    /// Also the byte limit of a multishot receive (`optlen`).
    pub file_index: u32,
    pub addr3: u64,
    pub pad: u64,
}
const _: () = assert!(size_of::<Sqe>() == size_of::<squeue::Entry>());

/// A completion, copied out of the queue.
#[derive(Clone, Copy)]
pub struct Cqe {
    pub user_data: u64,
    pub result: i32,
    pub flags: u32,
}

const OP_POLL_ADD: u8 = 6;
const OP_RECVMSG: u8 = 10;
const OP_ACCEPT: u8 = 13;
const OP_ASYNC_CANCEL: u8 = 14;
const OP_CLOSE: u8 = 19;
const OP_SEND: u8 = 26;
const OP_RECV: u8 = 27;

const FIXED_FILE: u8 = 1 << 0;
const BUFFER_SELECT: u8 = 1 << 5;
const SKIP_SUCCESS: u8 = 1 << 6;

const POLL_FIRST: u16 = 1 << 0;
const RECV_MULTISHOT: u16 = 1 << 1;
const BUNDLE: u16 = 1 << 4;
const SEND_VECTORIZED: u16 = 1 << 5;
const ACCEPT_MULTISHOT: u16 = 1 << 0;
const POLL_ADD_MULTI: u32 = 1 << 0;
const FILE_INDEX_ALLOC: u32 = u32::MAX;

const ENTER_GETEVENTS: u32 = 1 << 0;
const ENTER_EXT_ARG: u32 = 1 << 3;
const ENTER_REGISTERED_RING: u32 = 1 << 4;
const ENTER_NO_IOWAIT: u32 = 1 << 7;
const REGISTER_RING_FDS: libc::c_long = 20;

/// Whether the request goes on after this completion.
pub const F_MORE: u32 = 1 << 1;
/// An incremental buffer of which the kernel still holds the rest.
pub const F_BUF_MORE: u32 = 1 << 4;
/// The completion names a buffer in its upper flag bits.
pub const F_BUFFER: u32 = 1 << 0;

/// The address of a kernel timespec of this timeout, in nanoseconds.
#[repr(C)]
struct Timespec {
    seconds: i64,
    nanoseconds: i64,
}

#[repr(C)]
struct GetEvents {
    sigmask: u64,
    sigmask_bytes: u32,
    min_wait_us: u32,
    timeout: u64,
}

#[repr(C)]
struct ResourceUpdate {
    offset: u32,
    reserved: u32,
    data: u64,
}

impl Sqe {
    /// Accepts until cancelled, each connection into the next free slot of the file table.
    pub fn accept_multishot(listener: RawFd, user_data: u64) -> Self {
        let ioprio = ACCEPT_MULTISHOT;
        Self {
            opcode: OP_ACCEPT,
            ioprio,
            fd: listener,
            file_index: FILE_INDEX_ALLOC,
            user_data,
            ..Self::default()
        }
    }

    /// Accepts one connection into the next free slot of the file table.
    pub fn accept(listener: RawFd, user_data: u64) -> Self {
        Self { ioprio: 0, ..Self::accept_multishot(listener, user_data) }
    }

    /// Says each time that a slot of the file table becomes readable.
    pub fn poll_multishot(slot: u32, user_data: u64) -> Self {
        Self { flags: FIXED_FILE, ..Self::poll_multishot_fd(slot as RawFd, user_data) }
    }

    /// The same for a descriptor of the process.
    pub fn poll_multishot_fd(fd: RawFd, user_data: u64) -> Self {
        let (len, op_flags) = (POLL_ADD_MULTI, libc::POLLIN as u32);
        Self { opcode: OP_POLL_ADD, fd, len, op_flags, user_data, ..Self::default() }
    }

    /// Receives at most `bytes` bytes to `to`, if there are any by now.
    pub fn recv(slot: u32, to: *mut u8, bytes: u32, user_data: u64) -> Self {
        let op_flags = libc::MSG_DONTWAIT as u32;
        let (opcode, flags, fd, addr) = (OP_RECV, FIXED_FILE, slot as i32, to as u64);
        Self { opcode, flags, fd, addr, len: bytes, op_flags, user_data, ..Self::default() }
    }

    /// Receives into buffers of `group` until EOF, an error, no buffer, or `limit` bytes (0: no limit); waits for readiness
    /// before the first try.
    pub fn recv_multishot(
        slot: u32,
        group: u16,
        bundle: bool,
        limit: u32,
        msg_flags: i32,
        user_data: u64,
    ) -> Self {
        Self {
            opcode: OP_RECV,
            flags: FIXED_FILE | BUFFER_SELECT,
            ioprio: POLL_FIRST | RECV_MULTISHOT | if bundle { BUNDLE } else { 0 },
            fd: slot as i32,
            op_flags: msg_flags as u32,
            file_index: limit,
            buf_group: group,
            user_data,
            ..Self::default()
        }
    }

    /// Receives datagrams with their peers into buffers of `group`; `header` says how many bytes are kept for the name.
    pub fn recvmsg_multishot(fd: RawFd, group: u16, header: *const libc::msghdr, user_data: u64) -> Self {
        Self {
            opcode: OP_RECVMSG,
            flags: BUFFER_SELECT,
            ioprio: POLL_FIRST | RECV_MULTISHOT,
            fd,
            addr: header as u64,
            len: 1,
            buf_group: group,
            user_data,
            ..Self::default()
        }
    }

    /// Sends `bytes` bytes from `from`, all of them or until an error.
    pub fn send(slot: u32, from: *const u8, bytes: u32, user_data: u64) -> Self {
        let op_flags = libc::MSG_WAITALL as u32;
        let addr = from as u64;
        Self {
            opcode: OP_SEND,
            flags: FIXED_FILE,
            fd: slot as i32,
            addr,
            len: bytes,
            op_flags,
            user_data,
            ..Self::default()
        }
    }

    /// Sends what `count` pieces hold, in order. The kernel copies the list when it takes the entry.
    pub fn send_gathered(slot: u32, pieces: *const libc::iovec, count: u32, user_data: u64) -> Self {
        let send = Self::send(slot, pieces.cast(), count, user_data);
        Self { ioprio: SEND_VECTORIZED, ..send }
    }

    /// Sends one datagram on a plain descriptor to the peer named by `name_bytes` bytes at `name`.
    pub fn send_to(
        fd: RawFd,
        from: *const u8,
        bytes: u32,
        name: *const u8,
        name_bytes: u16,
        user_data: u64,
    ) -> Self {
        let (off, file_index) = (name as u64, name_bytes.into());
        Self {
            opcode: OP_SEND,
            fd,
            addr: from as u64,
            len: bytes,
            off,
            file_index,
            user_data,
            ..Self::default()
        }
    }

    /// Ends the request with `target` as user data; silent when it worked.
    pub fn cancel(target: u64, user_data: u64) -> Self {
        Self {
            opcode: OP_ASYNC_CANCEL,
            flags: SKIP_SUCCESS,
            fd: -1,
            addr: target,
            user_data,
            ..Self::default()
        }
    }

    /// Frees a slot of the file table; silent when it worked.
    pub fn close(slot: u32, user_data: u64) -> Self {
        Self { opcode: OP_CLOSE, flags: SKIP_SUCCESS, file_index: slot + 1, user_data, ..Self::default() }
    }
}

/// How the ring is made.
pub struct Setup {
    /// Submission entries; a power of two.
    pub entries: u32,
    /// Completion entries; at least twice the buffers and sends in flight.
    pub completions: u32,
    /// Slots in the table of direct descriptors.
    pub files: u32,
    /// Lets `watch` and `work_waits` see deferred work without a syscall.
    pub spin: bool,
    /// Completions are posted in whichever system call the thread makes next, not only in an enter of this ring.
    pub coop: bool,
}

impl Default for Setup {
    fn default() -> Self {
        Self { entries: 256, completions: 1024, files: 0, spin: false, coop: false }
    }
}

/// The ring of one thread.
pub struct Ring {
    uring: IoUring,
    registered: Option<RawFd>,
    enters: u64,
    reaped: Vec<Cqe>,
}

impl Ring {
    /// A ring for the calling thread alone.
    pub fn new(setup: &Setup) -> io::Result<Self> {
        let mut builder = IoUring::builder();
        builder.setup_single_issuer().setup_submit_all();
        if setup.coop {
            builder.setup_coop_taskrun();
        } else {
            builder.setup_defer_taskrun();
        }
        builder.setup_no_sqarray().setup_cqsize(setup.completions);
        if setup.spin {
            builder.setup_taskrun_flag();
        }
        let uring = builder.build(setup.entries)?;
        if setup.files > 0 {
            uring.submitter().register_files_sparse(setup.files)?;
        }
        // A thread may register 16 of them; further ones are found by their descriptor.
        let registered = register_ring_fd(uring.as_raw_fd()).ok();
        Ok(Self { uring, registered, enters: 0, reaped: Vec::new() })
    }

    /// The crate's handle for registrations.
    pub fn submitter(&self) -> io_uring::Submitter<'_> {
        self.uring.submitter()
    }

    /// Queues one entry; submits what is queued first when the queue is full.
    #[inline]
    pub fn push(&mut self, sqe: Sqe) {
        // SAFETY: both are 64 bytes of plain integers in the kernel's layout (asserted above).
        let entry: squeue::Entry = unsafe { mem::transmute(sqe) };
        loop {
            // SAFETY: what the entry points to is owned by the caller until its completion comes.
            if unsafe { self.uring.submission().push(&entry) }.is_ok() {
                return;
            }
            self.turn(0, 0).expect("a full queue can be submitted");
        }
    }

    /// One `io_uring_enter`: submits all, runs deferred work, waits for `want` completions at most `timeout_ns` (0: no limit).
    pub fn turn(&mut self, want: u32, timeout_ns: u64) -> io::Result<()> {
        let to_submit = self.uring.submission().len();
        let time = Timespec { seconds: 0, nanoseconds: timeout_ns as i64 };
        let timeout = if timeout_ns == 0 { 0 } else { &raw const time as u64 };
        let events = GetEvents { sigmask: 0, sigmask_bytes: 0, min_wait_us: 0, timeout };
        self.enters += 1;
        let (fd, by_number) = match self.registered {
            Some(number) => (number, ENTER_REGISTERED_RING),
            None => (self.uring.as_raw_fd(), 0),
        };
        // SAFETY: `events` and `time` outlive the call; entries were checked by `push`.
        let result = unsafe {
            libc::syscall(
                libc::SYS_io_uring_enter,
                fd,
                to_submit as u32,
                want,
                ENTER_GETEVENTS | ENTER_EXT_ARG | ENTER_NO_IOWAIT | by_number,
                &raw const events,
                size_of::<GetEvents>(),
            )
        };
        if result >= 0 {
            return Ok(());
        }
        let error = io::Error::last_os_error();
        match error.raw_os_error() {
            Some(libc::ETIME | libc::EINTR | libc::EAGAIN | libc::EBUSY) => Ok(()),
            _ => Err(error),
        }
    }

    /// Copies out all completions there are. They come in a vector that `give_back` takes again.
    #[inline]
    pub fn reap(&mut self) -> Vec<Cqe> {
        let mut reaped = mem::take(&mut self.reaped);
        let queue = self.uring.completion();
        reaped.extend(queue.map(|cqe| Cqe {
            user_data: cqe.user_data(),
            result: cqe.result(),
            flags: cqe.flags(),
        }));
        reaped
    }

    /// Returns the vector of `reap` for its next use.
    #[inline]
    pub fn give_back(&mut self, mut reaped: Vec<Cqe>) {
        reaped.clear();
        self.reaped = reaped;
    }

    /// Whether anything was queued that the kernel has not taken.
    #[inline]
    pub fn has_unsubmitted(&mut self) -> bool {
        !self.uring.submission().is_empty()
    }

    /// The ring's descriptor.
    pub fn descriptor(&self) -> RawFd {
        self.uring.as_raw_fd()
    }

    /// Whether the kernel has something to be fetched. Reads memory only; needs `Setup::spin`.
    #[inline]
    pub fn work_waits(&mut self) -> bool {
        !self.uring.completion().is_empty() || self.uring.submission().taskrun()
    }

    /// Submits if anything is queued, then watches the queues for work until `until` says no. Needs `Setup::spin`.
    ///
    /// True when work came.
    pub fn watch(&mut self, mut until: impl FnMut() -> bool) -> io::Result<bool> {
        if !self.uring.submission().is_empty() {
            self.turn(0, 0)?;
        }
        while !self.work_waits() {
            if !until() {
                return Ok(false);
            }
            std::hint::spin_loop();
        }
        if self.uring.completion().is_empty() {
            self.turn(0, 0)?;
        }
        Ok(true)
    }

    /// How often the kernel was entered.
    pub fn enters(&self) -> u64 {
        self.enters
    }
}

/// Registers the ring's own descriptor, which spares the lookup in each enter (io_uring_register_ring_fd(3)).
fn register_ring_fd(fd: RawFd) -> io::Result<RawFd> {
    let mut update = ResourceUpdate { offset: u32::MAX, reserved: 0, data: fd as u64 };
    // SAFETY: `update` outlives the call; one element is given.
    let result =
        unsafe { libc::syscall(libc::SYS_io_uring_register, fd, REGISTER_RING_FDS, &raw mut update, 1) };
    check(result as libc::c_int)?;
    Ok(update.offset as RawFd)
}

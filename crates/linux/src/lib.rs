//! Linux made safe: the ring, the buffers, sockets, cores, clocks and signals.
//!
//! This is the only crate of Ringmill in which `unsafe` may stand, and nothing it offers is `unsafe` to call. All of it
//! rests on one theorem: **memory given to the kernel belongs to the ring until its completion comes back** (for a
//! zero-copy send: until its notification). It knows nothing of shards, services or protocols.

pub mod cache;
pub mod calls;
pub mod clock;
pub mod console;
pub mod counting_alloc;
pub mod cpu;
pub mod epoll;
pub mod error;
pub mod file;
pub mod heap;
pub mod limits;
pub mod loopback;
pub mod machine;
pub mod namespace;
pub mod net;
pub mod netlink;
pub mod notify;
pub mod poll;
pub mod pool;
pub mod process;
pub mod ring;
pub mod sandbox;
pub mod signal;
pub mod spsc;
mod sync;
pub mod tree;
pub mod wake;

pub use error::Error;

/// The error numbers that engines tell apart (errno(3)).
pub mod errno {
    pub use libc::{
        EADDRINUSE, EADDRNOTAVAIL, EAGAIN, ECANCELED, ECONNABORTED, ECONNREFUSED, ECONNRESET, EINTR, EINVAL,
        EMFILE, ENFILE, ENOBUFS, ENOMEM,
    };
}

pub use pool::{Chunk, Gather, Lease, Pool};

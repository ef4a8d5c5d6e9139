//! What the floor programs share: flags, pinning, sockets, the ring and its buffers.
//!
//! A floor is the least code that does the job correctly on one core. It has no router, no deadlines, no metrics and no
//! limits per connection; it is the bound that the server is held against, not an example of one.

pub mod args;
pub mod buffers;
pub mod epoll;
pub mod http;
pub mod process;
pub mod ring;
pub mod sock;

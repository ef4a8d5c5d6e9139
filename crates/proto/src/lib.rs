//! Bytes to meaning and back: the wire formats Ringmill speaks.
//!
//! Nothing here does I/O, reads a clock, or allocates while parsing. Input is whatever bytes have arrived so
//! far, cut anywhere; output goes into a buffer the caller owns. Who the peer is, when its time is up and
//! what to answer are decided above (`service`), never here.
#![forbid(unsafe_code)]

pub mod frame;
pub mod http1;

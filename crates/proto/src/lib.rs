//! Ringmill proto.
#![forbid(unsafe_code)]

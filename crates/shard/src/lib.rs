//! Ringmill shard.
#![forbid(unsafe_code)]

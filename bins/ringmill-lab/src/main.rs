//! The `ringmill-lab` program: kernel settings looked at, applied safely, and proven.
//!
//! No logic of its own about settings: that is in `tune`.
#![forbid(unsafe_code)]

fn main() {}

//! ringmill
#![forbid(unsafe_code)]
fn main() {}

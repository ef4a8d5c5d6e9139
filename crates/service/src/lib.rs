//! Ringmill service.
#![forbid(unsafe_code)]

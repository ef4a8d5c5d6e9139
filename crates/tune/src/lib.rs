//! Kernel settings for network servers: what there is to turn, what profiles want, what a host has, and what it costs.
//!
//! Every path is looked up below a root that the caller names, so all of it runs against a tree of files too. A setting that
//! is no knob of the [`catalogue`] is never written, whoever asks.
#![forbid(unsafe_code)]

pub mod catalogue;
pub mod experiment;
pub mod knob;
pub mod root;
pub mod value;

pub use knob::Knob;
pub use root::Root;
pub use value::{Kind, Value, ValueError};

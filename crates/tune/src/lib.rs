//! Kernel settings for network servers: what there is to turn, what profiles want, what a host has, and what it costs.
//!
//! Every path is looked up below a root that the caller names, so all of it runs against a tree of files too. A setting that
//! is no knob of the [`catalogue`] is never written, whoever asks.
#![forbid(unsafe_code)]

pub mod apply;
pub mod catalogue;
pub mod doctor;
pub mod error;
pub mod experiment;
pub mod explain;
pub mod knob;
pub mod look;
pub mod plan;
pub mod probe;
pub mod profile;
pub mod root;
pub mod value;

pub use error::Error;
pub use knob::Knob;
pub use look::Look;
pub use plan::Plan;
pub use probe::Probe;
pub use profile::Profile;
pub use root::Root;
pub use value::{Kind, Value, ValueError};

#[cfg(test)]
mod fake;

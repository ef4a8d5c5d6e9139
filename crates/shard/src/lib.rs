//! One core's life: the executor, its engines, and the seam that services meet them at.
//!
//! A *seat* is one pinned thread with everything it needs: listeners, ring, buffers, sessions, timers, counters. Seats
//! share nothing on the way of a byte. This crate does not know what the bytes mean (`proto`) nor what is done with them
//! (`service`); it never parses.
#![forbid(unsafe_code)]

pub mod engine;
pub mod mail;
pub mod meter;
pub mod plan;
pub mod random;
pub mod slab;
pub mod task;
pub mod wheel;

mod alarm;
mod conn;
mod desk;
mod input;
mod io;
mod out;
mod seat;
mod service;
mod table;
mod timers;

pub use input::{Input, Packet};
pub use io::{Connect, Full, Io};
pub use out::Out;
pub use service::{Address, End, Event, Leg, LegError, ListenerId, Next, Origin, Outcome, Service, Token};
pub use wheel::Tick;

//! The program from outside: real processes, servers on free ports of loopback, real signals.

mod cli;
mod course;
mod files;
mod models;
#[path = "../../../../crates/stats/src/outcome/tests/check.rs"]
mod schema;
mod search;
mod storm;
mod strange;
mod support;

//! Numbers one may trust: when to send, what was measured, how sure that is, and how it looks.
//!
//! Pure: no I/O, no clock, no thread, no random of its own. The load generator's sessions (`service::load`) ask it when the next
//! request is due and put what they saw into its histograms; programs write down what it makes of them.
#![forbid(unsafe_code)]

pub mod csv;
pub mod experiment;
pub mod fit;
pub mod hgrm;
pub mod hlog;
pub mod interval;
pub mod isotonic;
pub mod lindley;
pub mod models;
pub mod outcome;
pub mod paired;
pub mod plot;
pub mod quantile;
pub mod random;
pub mod report;
pub mod schedule;
pub mod search;
pub mod summary;
pub mod text;
pub mod trend;
pub mod verdict;

#[cfg(test)]
mod sample;

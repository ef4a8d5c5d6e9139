//! The program from outside: real processes on free ports, real signals, real shortages.

mod cli;
mod refused;
mod serve;
mod support;

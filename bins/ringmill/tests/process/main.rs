//! The program from outside: real processes on free ports, real signals, real shortages.

mod cli;
mod frame;
mod refused;
mod serve;
mod support;
